"""What a load balancer does all day: requests in, requests on, answers back."""
import socket
import time

from client import Client, exchange, get
from env import until
from origin import chunked, text


def test_request_and_answer_pass_through(env):
    origin = env.origin(script=[text(b"hello", 201, {"X-From": "origin"})])
    balancer = env.simple(origin)
    answer = get(balancer.port, "/a/b?c=d", {"X-Plan": "gold"}, "POST", b"content")
    assert (answer.status, answer.body) == (201, b"hello")
    assert answer.fields.get("x-from") == "origin"
    request = origin.last()
    assert (request.method, request.target, request.body) == ("POST", "/a/b?c=d", b"content")
    assert request.fields.get("x-plan") == "gold"
    assert request.fields.get("host") == "localhost"


def test_minimal_file(env):
    origin, port = env.origin(), env.port()
    balancer = env.meridian(
        f'listeners:\n  public: {{bind: "127.0.0.1:{port}"}}\n'
        f'pools:\n  api: {{backends: {{one: {{address: "{origin.address}"}}}}}}\n'
        f'routes:\n  - pool: api\nadmin: {{http: off}}\n')
    assert get(port).status == 200
    assert balancer.alive()


def test_keep_alive_on_both_sides(env):
    origin = env.origin()
    balancer = env.simple(origin, workers=1)
    with Client(balancer.port) as client:
        for _ in range(20):
            assert client.get().status == 200
    assert len(origin.requests) == 20
    assert len(origin.connections) == 1


def test_connection_close_is_kept(env):
    balancer = env.simple(env.origin())
    with Client(balancer.port) as client:
        answer = client.get(headers={"Connection": "close"})
        assert answer.status == 200 and not answer.keep_alive
        assert client.ended()


def test_http_1_0(env):
    origin = env.origin()
    balancer = env.simple(origin)
    with Client(balancer.port) as client:
        client.send("GET /old HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert client.response().status == 200
        assert client.ended()
    assert origin.last().version == "HTTP/1.1"


def test_chunked_answer_to_http_1_0_has_no_chunks(env):
    balancer = env.simple(env.origin(script=[chunked(b"one", b"two")]))
    with Client(balancer.port) as client:
        client.send("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = client.response()
        assert "transfer-encoding" not in answer.fields
        assert answer.body == b"onetwo"


def test_answers_without_body(env):
    origin = env.origin(reply=lambda request: text(b"12345", int(request.target[1:])))
    balancer = env.simple(origin)
    with Client(balancer.port) as client:
        head = client.get("/200", method="HEAD")
        assert head.status == 200 and head.fields.get("content-length") == "5"
        assert client.get("/204").body == b""
        assert client.get("/304").body == b""
        assert client.get("/200").body == b"12345"


def test_chunked_both_ways(env):
    origin = env.origin(script=[chunked(b"alpha", b"beta" * 5000, b"g")])
    balancer = env.simple(origin)
    with Client(balancer.port) as client:
        client.request("POST", "/", {"Transfer-Encoding": "chunked"})
        client.send(b"3\r\nabc\r\n").send(b"A\r\n0123456789\r\n").send(b"0\r\n\r\n")
        answer = client.response()
        assert answer.body == b"alpha" + b"beta" * 5000 + b"g"
        assert client.get("/again").status == 200
    assert origin.requests[0].body == b"abc0123456789"


def test_large_bodies_both_ways(env):
    size = 8 << 20
    origin = env.origin(reply=lambda request: text(request.body[::-1]))
    balancer = env.simple(origin)
    content = bytes(range(256)) * (size // 256)
    answer = get(balancer.port, method="PUT", body=content, timeout=40)
    assert answer.status == 200
    assert answer.body == content[::-1]


def test_pipelined_requests_are_answered_in_order(env):
    origin = env.origin(reply=lambda request: text(request.target.encode()))
    balancer = env.simple(origin)
    count = 50
    with Client(balancer.port) as client:
        client.send("".join(f"GET /{i} HTTP/1.1\r\nHost: localhost\r\n\r\n" for i in range(count)))
        assert [client.response().body.decode() for _ in range(count)] == [f"/{i}" for i in range(count)]


def test_byte_by_byte(env):
    origin = env.origin(reply=lambda request: text(request.body))
    balancer = env.simple(origin)
    with Client(balancer.port) as client:
        client.send_pieces(b"POST /slow HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                           b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", pause=0.002)
        assert client.response().body == b"hello!"


def test_expect_100_continue(env):
    origin = env.origin(reply=lambda request: text(request.body))
    balancer = env.simple(origin)
    with Client(balancer.port) as client:
        client.request("POST", "/", {"Expect": "100-continue", "Content-Length": "4"})
        assert client.reader.line() == b"HTTP/1.1 100 Continue"
        while client.reader.line():
            pass
        client.send(b"body")
        assert client.response().body == b"body"


def least_seconds(port, pieces):
    """The least of 20 new connections until the answer to what is written piece by piece."""
    took = []
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            begun = time.monotonic()
            for piece in pieces:
                client.sendall(piece)
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
            took.append(time.monotonic() - begun)
    return min(took)


def test_the_beginning_of_a_request_is_acknowledged_at_once(env):
    """Where a client leaves Nagle's algorithm on, the second piece leaves when the first has been acknowledged; a system
    that waits for an answer to go along with that waits for 40 ms at least."""
    origin = env.origin(reply=lambda request: text(request.body))
    balancer = env.simple(origin)
    behind_proxy = env.simple(origin, listener={"proxy_protocol": {"from": ["127.0.0.0/8"]}})
    post = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n"
    get_it = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    least = {
        "content": least_seconds(balancer.port, [post, b"body"]),
        "half of the content": least_seconds(balancer.port, [post + b"bo", b"dy"]),
        "half of the head": least_seconds(balancer.port, [get_it[:20], get_it[20:]]),
        "half of the first line": least_seconds(balancer.port, [get_it[:2], get_it[2:]]),
        "PROXY header": least_seconds(behind_proxy.port, [b"PROXY TCP4 10.0.0.1 10.0.0.2 1000 80\r\n", get_it]),
    }
    assert max(least.values()) < 0.04, least


def test_forwarding_fields(env):
    origin = env.origin()
    balancer = env.simple(origin)
    answer = get(balancer.port, headers={"Host": "shop.example.com"})
    fields = origin.last().fields
    assert fields.get("x-forwarded-for") == "127.0.0.1"
    assert fields.get("x-forwarded-proto") == "http"
    assert fields.get("x-forwarded-host") == "shop.example.com"
    assert "for=" in fields.get("forwarded", "") or "forwarded" not in fields
    assert "1.1" in fields.get("via", "")
    assert fields.get("x-request-id")
    assert fields.get("host") == "shop.example.com"
    assert answer.status == 200


def test_request_id_is_made_for_each_request(env):
    origin = env.origin()
    balancer = env.simple(origin)
    with Client(balancer.port) as client:
        for _ in range(5):
            client.get()
    assert len({request.fields.get("x-request-id") for request in origin.requests}) == 5


def test_both_backends_work(env):
    first, second = env.origin(), env.origin()
    balancer = env.simple(first, second)
    with Client(balancer.port) as client:
        for _ in range(60):
            assert client.get().status == 200
    assert len(first.requests) >= 10 and len(second.requests) >= 10


def test_weights(env):
    light, heavy = env.origin(), env.origin()
    port = env.port()
    env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"api": {"backends": {"light": {"address": light.address, "weight": 50},
                                       "heavy": {"address": heavy.address, "weight": 450}}}},
        "routes": [{"pool": "api"}]})
    with Client(port) as client:
        for _ in range(200):
            client.get()
    assert len(heavy.requests) > 2 * len(light.requests) > 0


def test_max_inflight_sends_the_rest_elsewhere(env):
    import threading
    gate = threading.Event()
    from origin import gated
    first, second = env.origin(script=[gated(gate, text())]), env.origin(script=[gated(gate, text())])
    port = env.port()
    env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"api": {"backends": {"a": {"address": first.address, "max_inflight": 2},
                                       "b": {"address": second.address, "max_inflight": 2}}}},
        "routes": [{"pool": "api"}]})
    clients = [env.client(port).request() for _ in range(6)]
    until(lambda: len(first.requests) == 2 and len(second.requests) == 2, what="four requests")
    gate.set()
    assert [client.response().status for client in clients] == [200] * 6
    assert len(first.requests) + len(second.requests) == 6


def routed(env, routes, **config):
    """A balancer over one origin per pool name in the routes; returns (port, {pool: origin})."""
    names = sorted({route["pool"] for route in routes if "pool" in route})
    origins = {name: env.origin(name=name) for name in names}
    port = env.port()
    env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {name: {"backends": {"one": {"address": origins[name].address}}} for name in names},
        "routes": routes, **config})
    return port, origins


def test_routes_by_host_and_path(env):
    port, _ = routed(env, [
        {"match": {"host": "a.example.com"}, "pool": "exact"},
        {"match": {"host": "*.example.com"}, "pool": "wild"},
        {"match": {"host": "*.deep.example.com"}, "pool": "deeper"},
        {"match": {"path": "/v1/"}, "pool": "v1"},
        {"match": {"path": "/v1/users"}, "pool": "users"},
        {"match": {"path": {"exact": "/v1/exact"}}, "pool": "only"},
        {"pool": "rest"}])
    for host, path, pool in [
            ("a.example.com", "/", "exact"), ("A.EXAMPLE.com", "/v1/", "exact"),
            ("a.example.com:8080", "/", "exact"),
            ("b.example.com", "/", "wild"), ("x.deep.example.com", "/", "deeper"),
            ("other.org", "/", "rest"), ("other.org", "/v1/x", "v1"), ("other.org", "/v1x", "rest"),
            ("other.org", "/v1/users", "users"), ("other.org", "/v1/users/7?x=1", "users"),
            ("other.org", "/v1/users2", "v1"), ("other.org", "/v1/exact", "only"),
            ("other.org", "/v1/exact/x", "v1")]:
        answer = get(port, path, {"Host": host})
        assert answer.body.decode() == pool, f"{host}{path}: {answer.body} instead of {pool}"


def test_no_route_is_404_and_wrong_method_405(env):
    port, origins = routed(env, [{"match": {"path": "/api/", "methods": ["GET", "HEAD"]}, "pool": "api"}])
    assert get(port, "/other").status == 404
    answer = get(port, "/api/x", method="DELETE")
    assert answer.status == 405
    assert {word.strip() for word in answer.fields.get("allow").split(",")} >= {"GET", "HEAD"}
    assert not origins["api"].requests


def test_a_route_for_get_serves_head(env):
    port, origins = routed(env, [{"match": {"path": "/", "methods": ["GET"]}, "pool": "api"},
                                 {"match": {"path": "/own", "methods": ["GET"]}, "pool": "api"},
                                 {"match": {"path": "/own", "methods": ["HEAD"]}, "pool": "heads"}])
    assert get(port, method="HEAD").status == 200 and get(port, "/own").body == b"api"
    assert get(port, "/own", method="HEAD").status == 200
    assert [r.method for r in origins["api"].requests] == ["HEAD", "GET"]
    assert [r.method for r in origins["heads"].requests] == ["HEAD"]
    answer = get(port, method="POST")
    assert answer.status == 405 and answer.fields.get("allow") == "GET, HEAD", answer.fields.get("allow")


def test_methods_that_are_never_served_are_warned_about(env):
    """The list in the checks of the configuration is that of the codecs."""
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY"]
    origin = env.origin()
    balancer = env.simple(origin, routes=[{"match": {"methods": [method]}, "pool": "api"} for method in methods])
    said = balancer.run("-t").stderr
    for method in methods:
        refused = get(balancer.port, method=method).status == 405
        assert refused == (f"warning: '{method}' is answered with 405" in said), (method, said)


def test_routes_by_header(env):
    port, _ = routed(env, [{"match": {"path": "/", "headers": {"X-Plan": "gold"}}, "pool": "gold"},
                           {"pool": "rest"}])
    assert get(port, headers={"X-Plan": "gold"}).body == b"gold"
    assert get(port, headers={"X-Plan": "tin"}).body == b"rest"


def test_respond_and_redirect_routes(env):
    port, _ = routed(env, [
        {"match": {"path": "/hello"}, "respond": {"status": 200, "body": "hi\n"}},
        {"match": {"path": "/old"}, "redirect": {"to": "https://new.example.com/", "status": 308}},
        {"pool": "rest"}])
    with Client(port) as client:
        answer = client.get("/hello")
        assert (answer.status, answer.body) == (200, b"hi\n")
        answer = client.get("/old/page")
        assert answer.status == 308
        assert answer.fields.get("location").startswith("https://new.example.com/")
        assert client.get("/").body == b"rest"


def test_redirect_to_https(env):
    origin = env.origin()
    balancer = env.simple(origin, listener={"redirect_to_https": True})
    answer = get(balancer.port, "/path?x=1", {"Host": "www.example.com"})
    assert answer.status in (301, 302, 307, 308)
    assert answer.fields.get("location") == "https://www.example.com/path?x=1"
    assert not origin.requests


def test_redirect_to_https_goes_to_the_first_port_with_tls(env):
    """Whatever stands before it: a socket of the file system has none."""
    plain, secure = env.port(), env.port()
    env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{plain}", "redirect_to_https": True},
                      "secure": {"bind": [f"unix:{env.path('s')}", f"127.0.0.1:{secure}"],
                                 "tls": {"certificates": [env.authority.server("localhost").config()]}}},
        "pools": {"api": {"backends": {"a": {"address": env.origin().address}}}}, "routes": [{"pool": "api"}]})
    answer = get(plain, "/a?b")
    assert (answer.status, answer.fields.get("location")) == (308, f"https://localhost:{secure}/a?b"), answer.fields


def test_h17_redirect_to_https_knows_its_hosts(env):
    balancer = env.simple(env.origin(), listener={"redirect_to_https": True}, route={"match": {"host": "good.test"}})
    answer = get(balancer.port, "/x?y", headers={"Host": "good.test"})
    assert (answer.status, answer.fields.get("location")) == (308, "https://good.test/x?y")
    answer = get(balancer.port, "/x?y", headers={"Host": "evil.test"})
    assert answer.status == 404 and "location" not in answer.fields


def test_unix_socket_listener(env):
    origin, path = env.origin(), env.path("front.sock")
    env.meridian({"listeners": {"local": {"bind": f"unix:{path}"}},
                  "pools": {"api": {"backends": {"one": {"address": origin.address}}}},
                  "routes": [{"pool": "api"}]})
    assert get(path).status == 200


def test_ipv6_listener(env):
    from env import Skip
    origin, port = env.origin(), env.port()
    try:
        socket.create_server(("::1", port), family=socket.AF_INET6).close()
    except OSError:
        raise Skip("no IPv6 here") from None
    env.meridian({"listeners": {"public": {"bind": [f"127.0.0.1:{port}", f"[::1]:{port}"]}},
                  "pools": {"api": {"backends": {"one": {"address": origin.address}}}},
                  "routes": [{"pool": "api"}]})
    with socket.create_connection(("::1", port), timeout=10) as six:
        six.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert six.recv(100).startswith(b"HTTP/1.1 200 ")
    until(lambda: origin.requests)
    assert origin.last().fields.get("x-forwarded-for").strip('"[]') == "::1"
    assert get(port).status == 200


def test_host_towards_backends(env):
    origin = env.origin()
    by_name = env.simple(origin, pool={"host": "inner.example.com"})
    get(by_name.port, headers={"Host": "outer.example.com"})
    assert origin.last().fields.get("host") == "inner.example.com"
    assert origin.last().fields.get("x-forwarded-host") == "outer.example.com"
    as_backend = env.simple(origin, pool={"host": "backend"})
    get(as_backend.port, headers={"Host": "outer.example.com"})
    assert origin.last().fields.get("host") == origin.address


def test_early_hints_pass(env):
    from origin import raw
    origin = env.origin(script=[raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
                                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")])
    balancer = env.simple(origin)
    answer = get(balancer.port)
    assert (answer.status, answer.body) == (200, b"ok")
    assert [interim.status for interim in answer.interim] == [103]
    assert answer.interim[0].fields.get("link") == "</a.css>"


def test_early_hints_keep_the_rules_of_the_route(env):
    """A 103 loses what is hop-by-hop, and what the route removes or sets, over either version."""
    from origin import raw
    hints = (b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nX-Inner: 10.0.0.1\r\nServer: inner/1.2\r\nConnection: x-hop\r\n"
             b"X-Hop: 1\r\nKeep-Alive: timeout=5\r\n\r\n")
    origin = env.origin(early=lambda connection, request: connection.send(
        hints + b"HTTP/1.1 200 OK\r\nX-Inner: 10.0.0.1\r\nServer: inner/1.2\r\nContent-Length: 2\r\n\r\nok") or True)
    balancer = env.simple(origin, listener={"protocols": ["h2", "http/1.1"]},
                          routes=[{"pool": "api", "response_headers": {"remove": ["x-inner"], "set": {"server": "front"}}}])
    first = get(balancer.port)
    with env.h2_client(balancer.port) as client:
        second = client.get()
        told = [dict((str(name), str(value)) for name, value in fields) for fields in second.interim]
    for early in (dict((name.lower(), value) for name, value in first.interim[0].fields), *told):
        assert early.get("link") == "</a.css>" and early.get("server") == "front", early
        assert not {"x-inner", "x-hop", "keep-alive", "connection"} & set(early), early
    assert len(told) == 1 and first.fields.get("x-inner") is None and first.fields.get("server") == "front"


def test_body_until_close(env):
    from origin import raw
    origin = env.origin(script=[raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", close=True)])
    balancer = env.simple(origin)
    with Client(balancer.port) as client:
        assert client.get().body == b"until the end"
        assert client.get().body == b"until the end"


def test_two_requests_in_one_write_with_bodies(env):
    origin = env.origin(reply=lambda request: text(request.body))
    balancer = env.simple(origin)
    one = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    two = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nde\r\n0\r\n\r\n"
    responses, closed = exchange(balancer.port, one + two)
    assert closed and [response.body for response in responses] == [b"abc", b"de"]
