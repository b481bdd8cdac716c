"""Traffic shaping by route: redirects and templates, header rules, rewrites, splits, access, countries."""
import collections
import copy
import gzip
import shutil
import subprocess
import json
import os
import re
import subprocess
import threading
import zlib

from client import Client, get
from env import alone, threadless
from origin import chunked, head, text

PLACES = [("5.1.0.0/16", "FR", "EU", "IDF", 48.9, 2.35, 10),
          ("5.2.0.0/16", "US", "NA", "NY", 40.7, -74.0, 20)]
TRUST = {"trusted_proxies": {"from": ["127.0.0.0/8"], "header": "x-forwarded-for"}}


def shaped(env, routes, pools=None, geo=False, **config):
    """A balancer with these routes; pools are named for their origins' names."""
    port = env.port()
    pools = pools or {"api": [env.origin(name="api")]}
    if geo:
        config = {**TRUST, "geo": {"databases": [env.geo_database(PLACES)]}, **config}
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {name: {"backends": {f"{name}-{i}": {"address": origin.address}
                                      for i, origin in enumerate(origins)}}
                  for name, origins in pools.items()},
        "routes": routes, **config})
    balancer.port = port
    return balancer


def location(port, path, **headers):
    answer = get(port, path, headers=headers)
    return answer.status, answer.fields.get("location")


# --- answers that no server gives ---

def test_redirect_templates(env):
    balancer = shaped(env, [
        {"match": {"path": "/old"}, "redirect": {"to": "https://new.example{uri}"}},
        {"match": {"path": "/moved"}, "redirect": {"to": "https://{host}/there?{query}", "status": 302}},
        {"match": {"path": "/fixed"}, "redirect": {"to": "/else/where", "status": 301}},
        {"match": {"path": "/"}, "redirect": {"to": "{path}x", "status": 307}}])
    assert location(balancer.port, "/old/a%20b?c=d&e") == (308, "https://new.example/old/a%20b?c=d&e")
    assert location(balancer.port, "/old") == (308, "https://new.example/old")
    assert location(balancer.port, "/moved?a", Host="Shop.Example:81") == (302, "https://shop.example/there?a")
    assert location(balancer.port, "/fixed?x") == (301, "/else/where")
    assert location(balancer.port, "/x/../y") == (307, "/yx")


def test_redirect_never_leaves_the_host(env):
    balancer = shaped(env, [{"redirect": {"to": "{uri}"}}])
    for path in ["//evil.example/", "/\\evil.example", "///evil.example", "//\\/evil.example/x", "/.//evil.example/"]:
        status, to = location(balancer.port, path)
        assert status in (308, 400), (path, status)
        if status == 308:
            assert to[0] == "/" and to[1] not in "/\\", (path, to)


def test_redirect_without_host(env):
    balancer = shaped(env, [{"redirect": {"to": "https://{host}{uri}"}}])
    with Client(balancer.port) as client:
        client.send(b"GET /x HTTP/1.0\r\n\r\n")
        assert client.response().status == 400


def test_response_headers_on_all_answers(env):
    origin = env.origin(reply=lambda _: text(
        b"x", fields=[("Server", "origin"), ("X-Powered-By", "y"), ("Cache-Control", "a")]))
    rules = {"set": {"Strict-Transport-Security": "max-age=31536000", "Cache-Control": "no-store",
                     "X-Route": "{route}"}, "add": {"Vary": "Accept"}, "remove": ["Server", "X-Powered-By"]}
    balancer = shaped(env, [
        {"name": "fixed", "match": {"path": "/fixed"}, "respond": {"status": 200, "body": "hi"},
         "response_headers": rules},
        {"name": "away", "match": {"path": "/away"}, "redirect": {"to": "/x"}, "response_headers": rules},
        {"name": "closed", "match": {"path": "/closed"}, "pool": "api", "access": {"deny": ["127.0.0.0/8"]},
         "response_headers": rules},
        {"name": "served", "pool": "api", "response_headers": rules}], {"api": [origin]})
    for path, status, route in [("/fixed", 200, "fixed"), ("/away", 308, "away"), ("/closed", 403, "closed"),
                                ("/", 200, "served")]:
        answer = get(balancer.port, path)
        assert answer.status == status
        assert answer.fields.all("strict-transport-security") == ["max-age=31536000"], path
        assert answer.fields.all("cache-control") == ["no-store"], path
        assert answer.fields.all("x-route") == [route], path
        assert "Accept" in answer.fields.all("vary"), path
        assert "x-powered-by" not in answer.fields and "origin" not in answer.fields.all("server")


def test_method_not_allowed_beside_header_conditions(env):
    """A route's header conditions are asked again for the Allow field of a 405."""
    balancer = shaped(env, [{"match": {"headers": {"X-Plan": "gold"}, "methods": ["GET", "PUT"]}, "pool": "api"}])
    answer = get(balancer.port, method="POST", headers={"X-Plan": "gold"})
    assert answer.status == 405 and answer.fields.get("allow") == "GET, PUT, HEAD"
    assert get(balancer.port, method="POST").status == 404


def test_error_pages(env):
    lost, busy, mine = (env.write(f"{name}.html", f"<p>{name}</p>") for name in ("lost", "busy", "mine"))
    port = env.port()
    html, jason = {"Accept": "text/html"}, {"Accept": "application/json"}
    balancer = shaped(env, [
        {"match": {"path": "/a"}, "pool": "dead"},
        {"match": {"path": "/b"}, "pool": "dead", "error_pages": {"502": mine},
         "response_headers": {"set": {"X-A": "b"}}}],
        {"dead": [type("Nobody", (), {"address": f"127.0.0.1:{port}"})]},
        error_pages={"404": lost, "502": busy, "503": busy})
    for path, status, body in [("/", 404, b"<p>lost</p>"), ("/b", (502, 503), (b"<p>mine</p>", b"<p>busy</p>")),
                               ("/a", (502, 503), b"<p>busy</p>")]:
        answer = get(balancer.port, path, headers=html)
        assert answer.status == status or answer.status in status
        assert answer.body == body or answer.body in body, (path, answer.body)
        assert answer.fields.get("content-type") == "text/html; charset=utf-8"
        assert get(balancer.port, path, headers=jason).fields.get("content-type") == "application/problem+json"
    assert get(balancer.port, "/", headers=html, method="HEAD").fields.get("content-length") == "11"
    # Read again on reload; a file that is gone refuses it.
    env.write("lost.html", "<p>found</p>")
    balancer.reload(balancer.config)
    assert get(balancer.port, headers=html).body == b"<p>found</p>"
    for bad in ("/nonexistent/page.html", env.dir, env.write("large.html", "x" * 65537)):
        config = copy.deepcopy(balancer.config)
        config["error_pages"]["404"] = bad
        balancer.write(config)
        done = balancer.ctl("reload", check=False)
        assert done.returncode == 1 and "page" in done.stdout + done.stderr, done
        assert get(balancer.port, headers=html).body == b"<p>found</p>"


# --- heads towards servers ---

def test_request_headers(env):
    origin = env.origin(name="api")
    balancer = shaped(env, [{
        "name": "main", "pool": "api",
        "request_headers": {"set": {"X-Country": "{geo.country}", "X-Where": "{geo.continent}/{geo.subdivision}",
                                    "X-From": "{client.address} {peer.address}", "X-Json": '{{"p": "{path}"}',
                                    "X-Line": "{method} {scheme}://{authority}{uri} {listener}/{route}",
                                    "X-Id": "{request_id}"},
                            "add": {"X-Tag": "two"}, "remove": ["X-Debug", "Cookie"]}}], {"api": [origin]}, geo=True)
    answer = get(balancer.port, "/a?b=c", headers={
        "Host": "shop.example", "X-Forwarded-For": "5.1.2.3", "X-Debug": "1", "Cookie": "a=b", "X-Tag": "one",
        "X-Country": "XX", "X-Request-Id": "abc-1"})
    assert answer.status == 200
    fields = origin.last().fields
    assert fields.all("x-country") == ["FR"]
    assert fields.get("x-where") == "EU/IDF"
    assert fields.get("x-from") == "5.1.2.3 127.0.0.1"
    assert fields.get("x-json") == '{"p": "/a"}'
    assert fields.get("x-line") == "GET http://shop.example/a?b=c public/main"
    assert fields.get("x-id") == "abc-1"
    assert fields.all("x-tag") == ["one", "two"]
    assert "x-debug" not in fields and "cookie" not in fields
    # What is not known is left out, and the client's own word with it.
    get(balancer.port, headers={"X-Forwarded-For": "203.0.113.9", "X-Country": "DE"})
    assert "x-country" not in origin.last().fields


def test_rules_hold_for_every_attempt(env):
    bad = env.origin(reply=lambda _: text(b"", status=503))
    good = env.origin(name="good")
    balancer = shaped(env, [{"pool": "api", "request_headers": {"set": {"X-A": "{path}"}},
                             "rewrite": {"strip_prefix": "/v1"}}], {"api": [bad, good]})
    config = copy.deepcopy(balancer.config)
    config["pools"]["api"]["retries"] = {"on": ["503"]}
    balancer.reload(config)
    for _ in range(100):
        assert get(balancer.port, "/v1/x").body == b"good"
        if bad.requests:
            break
    assert bad.requests and all(r.fields.all("x-a") == ["/v1/x"] and r.target == "/x"
                                for r in bad.requests + good.requests)


def test_rewrite(env):
    origin = env.origin(name="api")
    balancer = shaped(env, [
        {"match": {"path": "/both"}, "pool": "api", "rewrite": {"strip_prefix": "/both/", "add_prefix": "/api/"}},
        {"match": {"path": "/strip"}, "pool": "api", "rewrite": {"strip_prefix": "/strip"}},
        {"pool": "api", "rewrite": {"add_prefix": "/root"}}], {"api": [origin]})
    for path, seen in [("/both/x?q", "/api/x?q"), ("/both", "/api"), ("/both/", "/api/"), ("/strip", "/"),
                       ("/strip?q", "/?q"), ("/strip/a/b", "/a/b"), ("/strip/a//b", "/a//b"),
                       ("/strip//evil.example/", "/evil.example/"), ("/stripped", "/root/stripped"),
                       ("/", "/root/")]:
        answer = get(balancer.port, path)
        assert answer.status == 200, (path, answer.status)
        assert origin.last().target == seen, (path, origin.last().target)
    assert "/both/x?q" in {line["path"] for line in balancer.access_log(10)}


# --- smaller answers ---

JSON = [("Content-Type", "application/json")]


def test_compress(env):
    body = json.dumps([{"name": "x" * 20, "n": n} for n in range(2000)]).encode()
    origin = env.origin(reply=lambda request: {
        "/stream": chunked(body[:1000], body[1000:], fields=JSON),
        "/small": text(b"{}", fields=JSON),
        "/other": text(body, fields=[("Content-Type", "image/png")]),
        "/tag": text(body, fields=JSON + [("ETag", '"a"'), ("Accept-Ranges", "bytes")]),
    }.get(request.target, text(body, fields=JSON)))
    balancer = shaped(env, [
        {"match": {"path": "/fixed"}, "respond": {"body": "a" * 5000},
         "compress": {"types": ["text/plain"]}},
        {"pool": "api", "compress": {"types": ["application/json"]}}], {"api": [origin]})
    accept = {"Accept-Encoding": "deflate, gzip"}
    with Client(balancer.port) as client:  # all on one connection: the framing is right
        for path in ["/", "/stream", "/tag"]:
            answer = client.get(path, headers=accept)
            assert answer.fields.all("content-encoding") == ["gzip"], path
            assert "content-length" not in answer.fields and "Accept-Encoding" in answer.fields.all("vary")
            assert gzip.decompress(answer.body) == body and len(answer.body) < len(body) / 4, path
        assert answer.fields.get("etag") == 'W/"a"' and "accept-ranges" not in answer.fields
        plain = client.get("/")
        assert plain.body == body and "Accept-Encoding" in plain.fields.all("vary")
        for path, sent in [("/small", b"{}"), ("/other", body)]:
            answer = client.get(path, headers=accept)
            assert answer.body == sent and "content-encoding" not in answer.fields, path
        assert gzip.decompress(client.get("/fixed", headers=accept).body) == b"a" * 5000
        head = client.get("/", headers=accept, method="HEAD")
        assert head.body == b"" and "Accept-Encoding" in head.fields.all("vary")
        assert gzip.decompress(client.get("/", headers=accept).body) == body


def test_codings_that_others_can_read(env):
    """Brotli and zstd against curl's decoders, on streams and on one connection; the best liked one is taken."""
    curl = shutil.which("curl")
    known = subprocess.run([curl or "false", "-V"], capture_output=True, text=True).stdout
    built = subprocess.run([env.program("meridian"), "-V"], capture_output=True, text=True,
                           check=True).stdout.split("compression:")[1].split("\n")[0].split()
    body = json.dumps([{"name": "x" * 20, "n": n} for n in range(3000)]).encode()
    origin = env.origin(reply=lambda request: chunked(
        body[:1000], body[1000:70000], body[70000:], fields=JSON) if request.target == "/stream"
        else text(body, fields=JSON))
    balancer = shaped(env, [{"pool": "api", "compress": {"types": ["application/json"]}}], {"api": [origin]})
    for coding, feature in (("br", "brotli"), ("zstd", "zstd"), ("gzip", "libz")):
        if coding not in built or feature not in known:
            continue
        done = subprocess.run([curl, "-sS", "--compressed", "-H", f"Accept-Encoding: gzip;q=0.1, {coding}", "-D", "-",
                               *[f"http://127.0.0.1:{balancer.port}{path}" for path in ("/", "/stream", "/")]],
                              capture_output=True, timeout=30, check=True)
        assert done.stdout.lower().count(f"content-encoding: {coding}".encode()) == 3, (coding, done.stdout[:400])
        assert done.stdout.count(body) == 3, coding
    answer = get(balancer.port, headers={"Accept-Encoding": "gzip, br, zstd"})
    assert answer.fields.get("content-encoding") == built[0], (answer.fields, built)


def unzipped(raw):
    """What can be read of a compressed answer in chunks so far."""
    rest, reader, got = raw.split(b"\r\n\r\n", 1)[1], zlib.decompressobj(31), b""
    while b"\r\n" in rest:
        size, rest = rest.split(b"\r\n", 1)
        got += reader.decompress(rest[:int(size, 16)])
        rest = rest[int(size, 16) + 2:]
    return got


def test_compressed_stream_arrives_as_it_comes(env):
    go_on = threading.Event()

    def two_pieces(connection, _request):
        connection.send(head(200, [*JSON, ("Transfer-Encoding", "chunked")]) + b"5\r\nfirst\r\n")
        go_on.wait(30)
        connection.send(b"6\r\nsecond\r\n0\r\n\r\n")
        return True

    origin = env.origin(reply=lambda _: two_pieces)
    balancer = shaped(env, [{"pool": "api", "compress": {"types": ["application/json"]}}], {"api": [origin]})
    with Client(balancer.port) as client:
        client.request(headers={"Accept-Encoding": "gzip"})
        while b"\r\n\r\n" not in client.reader.buffer or unzipped(client.reader.buffer) != b"first":
            assert client.reader.more()
        go_on.set()
        assert gzip.decompress(client.response().body) == b"firstsecond"


def test_small_pieces_that_come_together_are_compressed_together(env):
    """Each by itself took 259 times the processor time of the server that sent it, and more bytes than it had."""
    body = b"abcdefghij" * 400
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)

    def many(connection, _request):
        connection.send(head(200, [*JSON, ("Transfer-Encoding", "chunked")]) + chunks + b"0\r\n\r\n")
        return True

    origin = env.origin(reply=lambda _: many)
    balancer = shaped(env, [{"pool": "api", "compress": {"types": ["application/json"]}}], {"api": [origin]})
    with Client(balancer.port) as client:
        answer = client.get(headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(answer.body) == body and len(answer.body) < 1000, len(answer.body)


def test_digests_in_trailers(env):
    """They are of the content as it was: where one is announced it stays so, and what comes unannounced is left out."""
    body, digest = b"hello world " * 200, ("Content-Digest", "sha-256=:eHh4:")
    script = {
        "/announced": chunked(body, trailers=[digest], fields=[*JSON, ("Trailer", "X-A, content-digest")]),
        "/sudden": chunked(body, trailers=[digest, ("X-A", "1"), ("Repr-Digest", "sha-256=:eHh4:")], fields=JSON),
        "/alone": chunked(body, trailers=[digest], fields=JSON),
    }
    wanted = {"/announced": (None, [digest]), "/sudden": ("gzip", [("X-A", "1")]), "/alone": ("gzip", [])}
    origin = env.origin(reply=lambda request: script[request.target])
    balancer = shaped(env, [{"pool": "api", "compress": {"types": ["application/json"]}}], {"api": [origin]})
    with Client(balancer.port) as client:
        for path, (coding, trailers) in wanted.items():
            answer = client.get(path, headers={"Accept-Encoding": "gzip", "TE": "trailers"})
            assert answer.fields.get("content-encoding") == coding, path
            assert (gzip.decompress(answer.body) if coding else answer.body) == body, path
            assert [(n.lower(), v) for n, v in answer.trailers] == [(n.lower(), v) for n, v in trailers], path


def test_an_answer_that_becomes_too_large_and_its_page_are_both_compressed(env):
    """The answer's stream ends where its head cannot be made, before the page that says so has one: it was lost, with what was
    booked for it, which ended the process when a client of HTTP/2 left."""
    origin = env.origin(reply=lambda request: text(b"<p>hello</p>" * 1000, fields=[("Content-Type", "text/html")]))
    page = env.write("page.html", "<p>sorry</p>" * 500)
    link = "<https://m.example{uri}>; rel=alternate, <https://amp.example{uri}>; rel=amphtml"
    balancer = env.simple(origin, listener={"protocols": ["http/1.1", "h2"]},
                          route={"compress": {"types": ["text/html"]}, "error_pages": {431: page},
                                 "response_headers": {"set": {"Link": link}}})
    fields = [("accept-encoding", "gzip"), ("accept", "text/html")]
    for _ in range(3):
        client = env.h2_client(balancer.port).ready()
        stream = client.request("GET", "/" + "y" * 8165, fields)
        client.wait(lambda: stream.over or client.ended_at, 10, "an end")
        assert stream.status == 431 and not client.ended_at
        client.close()
    answer = get(balancer.port, "/", headers=dict(fields))
    assert answer.status == 200 and answer.fields.get("content-encoding") == "gzip"
    assert balancer.alive()


def test_an_answer_whose_rules_make_no_head(env):
    """Neither of it nor of its error page: the client learns the status all the same, and the log why."""
    link = ", ".join(f"<https://{name}.example{{uri}}>; rel=alternate" for name in ("m", "de", "fr"))
    rules = {"response_headers": {"set": {"Link": link}}}
    balancer = shaped(env, [{"match": {"path": "/fixed"}, "respond": {"status": 200, "body": "ok"}, **rules},
                            {"match": {"path": "/to"}, "redirect": {"to": "https://new.example/"}, **rules},
                            {"match": {"path": "/closed"}, "access": {"deny": ["0.0.0.0/0"]}, "pool": "api", **rules},
                            {"pool": "api", **rules}], {"api": [env.origin()]})
    for path, status in (("/fixed", 431), ("/to", 431), ("/closed", 403), ("/", 431)):
        assert get(balancer.port, path).fields.get("link"), path
        long = f"{path}?{'y' * 8150}"
        with Client(balancer.port) as client:
            for _ in range(2):
                client.request("GET", long)
                answer = client.response()
                assert answer.status == status and "link" not in answer.fields, (path, answer)
                assert json.loads(answer.body)["status"] == status
    ends = collections.Counter((line["status"], line["end"]) for line in balancer.access_log(12))
    assert ends[431, "limit-L13"] == 6 and ends[403, "forbidden"] == 3, ends


def test_client_leaves_a_compressed_answer(env):
    """Streams come back to their worker when their client is gone."""
    origin = env.origin(reply=lambda _: chunked(*[os.urandom(30000)] * 20, fields=JSON, pause=0.02))
    balancer = shaped(env, [{"pool": "api", "compress": {"types": ["application/json"]}}], {"api": [origin]})
    for _ in range(8):
        with Client(balancer.port) as client:
            client.request(headers={"Accept-Encoding": "gzip"})
            assert client.reader.more()
            client.reset()
    assert get(balancer.port, headers={"Accept-Encoding": "gzip"}).fields.get("content-encoding") == "gzip"


# --- which pool ---

def test_split_by_weight(env):
    balancer = shaped(env, [{"split": {"api": 3, "canary": 1, "never": 0}}],
                      {name: [env.origin(name=name)] for name in ("api", "canary", "never")})
    with Client(balancer.port) as client:
        seen = collections.Counter(client.get().body.decode() for _ in range(800))
    assert set(seen) == {"api", "canary"}
    assert 120 <= seen["canary"] <= 290, seen  # 200 ± 7 standard deviations


def test_split_is_stable(env):
    pools = {name: [env.origin(name=name)] for name in ("api", "canary")}
    balancer = shaped(env, [
        {"match": {"path": "/cookie"}, "split": {"api": 1, "canary": 1}, "split_by": "cookie who"},
        {"match": {"path": "/header"}, "split": {"api": 1, "canary": 1}, "split_by": "header X-Who"},
        {"split": {"api": 1, "canary": 1}, "split_by": "client"}], pools, **TRUST)

    def ask(path, who):
        headers = {"/cookie": {"Cookie": f"x=1; who={who}"}, "/header": {"X-Who": who},
                   "/": {"X-Forwarded-For": f"9.1.2.{who}"}}[path]
        return get(balancer.port, path, headers=headers).body

    first = {(path, who): ask(path, str(who)) for path in ("/cookie", "/header", "/") for who in range(24)}
    for path in ("/cookie", "/header", "/"):
        assert len({first[path, who] for who in range(24)}) == 2, f"{path}: all went to one"
    balancer.reload(balancer.config)
    assert all(ask(path, str(who)) == body for (path, who), body in first.items())
    # Without the cookie it goes by the client.
    assert len({get(balancer.port, "/cookie").body for _ in range(8)}) == 1
    # Where the canary grows, nobody leaves it.
    config = copy.deepcopy(balancer.config)
    config["routes"][0]["split"] = {"api": 1, "canary": 3}
    balancer.reload(config)
    for who in range(24):
        now = ask("/cookie", str(who))
        assert first["/cookie", who] == b"api" or now == b"canary", who


# --- who may come ---

def status_of(port, address, path="/"):
    return get(port, path, headers={"X-Forwarded-For": address}).status


def test_access_by_network(env):
    balancer = shaped(env, [
        {"match": {"path": "/allow"}, "pool": "api",
         "access": {"allow": ["10.0.0.0/8", "2001:db8::/32"], "deny": ["10.1.0.0/16", "10.2.0.1"]}},
        {"match": {"path": "/deny"}, "pool": "api",
         "access": {"deny": ["10.0.0.0/8", "::/0"], "allow": ["10.1.0.0/16"]}},
        {"pool": "api", "access": {"deny": ["10.0.0.0/8"]}}], **TRUST)
    for path, address, status in [
            ("/allow", "10.9.9.9", 200), ("/allow", "10.1.0.1", 403), ("/allow", "10.2.0.1", 403),
            ("/allow", "10.2.0.2", 200), ("/allow", "11.0.0.1", 403), ("/allow", "2001:db8::1", 200),
            ("/allow", "2001:db9::1", 403), ("/allow", "::ffff:10.9.9.9", 200),
            ("/deny", "10.1.2.3", 200), ("/deny", "10.2.2.3", 403), ("/deny", "11.0.0.1", 403),
            ("/deny", "2001:db8::1", 403), ("/", "10.0.0.1", 403), ("/", "9.255.255.255", 200),
            ("/", "11.0.0.0", 200), ("/", "::1", 200)]:
        assert status_of(balancer.port, address, path) == status, (path, address)
    assert collections.Counter(line["end"] for line in balancer.access_log(16)) == {"ok": 8, "forbidden": 8}


def test_access_by_country(env):
    balancer = shaped(env, [
        {"match": {"path": "/eu"}, "pool": "api", "access": {"allow_countries": ["FR", "DE"], "allow": ["10.0.0.0/8"]}},
        {"match": {"path": "/not"}, "pool": "api", "access": {"deny_countries": ["FR"], "allow": ["5.1.7.0/24"]}},
        {"pool": "api", "access": {"deny_countries": ["FR"]}}], geo=True)
    for path, address, status in [
            ("/eu", "5.1.0.1", 200), ("/eu", "5.2.0.1", 403), ("/eu", "9.9.9.9", 403), ("/eu", "10.0.0.1", 200),
            ("/not", "5.1.0.1", 403), ("/not", "5.1.7.1", 200), ("/not", "5.2.0.1", 403),
            ("/", "5.1.0.1", 403), ("/", "5.2.0.1", 200), ("/", "9.9.9.9", 200)]:
        assert status_of(balancer.port, address, path) == status, (path, address)


def test_route_by_country(env):
    pools = {name: [env.origin(name=name)] for name in ("fr", "world")}
    balancer = shaped(env, [{"pool": "world"}, {"match": {"countries": ["FR", "DE"]}, "pool": "fr"}], pools, geo=True)
    for address, pool in [("5.1.0.1", b"fr"), ("5.2.0.1", b"world"), ("9.9.9.9", b"world")]:
        assert get(balancer.port, headers={"X-Forwarded-For": address}).body == pool, address
    told = balancer.ctl_json("explain", "--client", "5.1.0.1", "http://localhost/")
    assert "fr" in json.dumps(told), told


# --- how often ---

def test_rate_limit(env):
    balancer = shaped(env, [
        {"name": "client", "match": {"path": "/client"}, "pool": "api", "rate_limit": {"rate": "6/m", "burst": 3}},
        {"name": "all", "match": {"path": "/all"}, "pool": "api",
         "rate_limit": {"per": "route", "rate": "6/m", "burst": 3}},
        {"name": "key", "match": {"path": "/key"}, "pool": "api",
         "rate_limit": {"per": "header X-Key", "rate": "6/m", "burst": 2}}], workers=2, **TRUST)

    def burst(path, count, **headers):
        return [get(balancer.port, path, headers=headers).status for _ in range(count)]

    one, two = {"X-Forwarded-For": "9.0.0.1"}, {"X-Forwarded-For": "9.0.0.2"}
    assert burst("/client", 4, **one) == [200, 200, 200, 429]
    assert burst("/client", 4, **two) == [200, 200, 200, 429]
    assert burst("/all", 2, **one) + burst("/all", 2, **two) == [200, 200, 200, 429]
    assert burst("/key", 3, **{"X-Key": "a"}) == [200, 200, 429]
    assert burst("/key", 3, **{"X-Key": "b"}) == [200, 200, 429]
    assert burst("/key", 3, **one) == [200, 200, 429]  # without the field: by the client
    refused = get(balancer.port, "/client", headers=one)
    assert refused.status == 429 and 1 <= int(refused.fields.get("retry-after")) <= 10
    # A reload keeps the buckets, and another rate begins where the old one was.
    config = copy.deepcopy(balancer.config)
    config["routes"][0]["rate_limit"]["burst"] = 4
    balancer.reload(config)
    assert burst("/client", 2, **one) == [200, 429]
    ends = collections.Counter((line["route"], line["end"]) for line in balancer.access_log(24))
    assert ends["all", "ok"] == 3 and ends["all", "rate-limit"] == 1, ends


def test_a_second_key_does_not_get_past_the_rate(env):
    """Servers differ in which of two they take: such a request counts for its client, however the first one reads."""
    balancer = shaped(env, [
        {"match": {"path": f"/{kind}"}, "pool": "api", "rate_limit": {"per": per, "rate": "1/m", "burst": 1}}
        for kind, per in (("cookie", "cookie session"), ("header", "header X-Api-Key"))])
    with Client(balancer.port) as client:
        def ask(path, *lines):
            client.send("".join(f"{line}\r\n" for line in (f"GET {path} HTTP/1.1", "Host: localhost", *lines, "")))
            return client.response().status

        assert [ask("/cookie", "Cookie: session=valid") for _ in range(2)] == [200, 429]
        assert [ask("/cookie", f"Cookie: session=r{i}; session=valid") for i in range(3)] == [200, 429, 429]
        assert [ask("/cookie", f"Cookie: session=s{i}", "Cookie: session=valid") for i in range(2)] == [429, 429]
        assert ask("/cookie") == 429  # all of them are the client
        assert [ask("/header", "X-Api-Key: valid") for _ in range(2)] == [200, 429]
        assert [ask("/header", f"X-Api-Key: r{i}", "X-Api-Key: valid") for i in range(3)] == [200, 429, 429]


@alone
def test_rate_is_exact_over_two_workers(env):
    rate, burst = 400, 40
    balancer = shaped(env, [{"respond": {"status": 200}, "rate_limit": {"per": "route", "rate": f"{rate}/s",
                                                                        "burst": burst}}], workers=2)
    report = env.load(f"http://127.0.0.1:{balancer.port}/", "--rate", 3 * rate, "--seconds", 5, "--connections", 16)
    served, refused = report["statuses"]["200"], report["statuses"]["429"]
    assert refused > rate, report
    assert 5 * rate * 0.99 <= served <= (report["seconds"] * rate + burst) * 1.01, report


# --- the page ---

@threadless
def test_examples_of_the_page_are_valid(env):
    with open(os.path.join(env.root, "docs", "routes.md"), encoding="utf-8") as page:
        blocks = re.findall(r"```yaml\n(.*?)```", page.read(), re.S)
    assert len(blocks) >= 4
    listeners = 'listeners: {public: {bind: "127.0.0.1:8080"}}\n'
    pools = """pools:
  api: {backends: {one: {address: "127.0.0.1:9001"}}}
  canary: {backends: {one: {address: "127.0.0.1:9002"}}}
  shadow: {backends: {one: {address: "127.0.0.1:9003"}}}
"""
    for block in blocks:
        block = block.replace("/etc/meridian/", env.dir + "/")
        for name in re.findall(r"/(\w+\.html)", block):
            env.write(name, "<p>x</p>")
        block += listeners if "pools:" in block.splitlines() else listeners + pools
        done = subprocess.run([env.program("meridian"), "-t", "-c", env.write("block.yaml", block)],
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
