"""Clients and backends that give up, stall or close halfway (F3, F5, F8, F9; limits L4-L8)."""
import threading
import time

from client import Client, client_context, get
from env import until
from h2 import H2Client
from origin import dripped, gated, head, never, text
from test_websocket import open_websocket
from wire import Ended

QUIET = {"health": {"tcp": {}, "interval": "60s"}}


def at_rest(balancer):
    """No request is being served any more, by the balancer's own count."""
    def still():
        rows = balancer.ctl_json("backends")
        rows = rows if isinstance(rows, list) else next(v for v in rows.values() if isinstance(v, list))
        return all(row["inflight"] == 0 for row in rows)
    until(still, 5, "in-flight counters back to zero")


def test_f8_abort_while_waiting(env):
    """The client goes away while the backend thinks: the backend's connection ends at once. (A client
    that merely closes cannot be told from one that waits with its side closed, F9.)"""
    origin = env.origin(script=[never()])
    balancer = env.simple(origin, pool=QUIET)
    for turn in range(3):
        client = env.client(balancer.port).request()
        until(lambda turn=turn: len(origin.requests) > turn, what="the request")
        client.reset()
        left = time.monotonic()
        until(lambda: origin.open_count() == 0, 5, "the end of the backend's connection")
        assert time.monotonic() - left < 2
        at_rest(balancer)


def test_f8_abort_in_head(env):
    origin = env.origin()
    balancer = env.simple(origin, pool=QUIET)
    for part in ["G", "GET / HT", "GET / HTTP/1.1\r\nHost: a", "GET / HTTP/1.1\r\nHost: a\r\n"]:
        env.client(balancer.port).send(part).reset()
        env.client(balancer.port).send(part).close()
    assert get(balancer.port).status == 200
    assert len(origin.requests) == 1


def test_f8_abort_in_request_body(env):
    origin = env.origin()
    balancer = env.simple(origin, pool=QUIET)
    client = env.client(balancer.port).request("POST", "/", {"Content-Length": "1000000"})
    client.send(b"a" * 100000)
    until(lambda: origin.requests, what="the head")
    client.reset()
    until(lambda: origin.open_count() == 0, 5, "the end of the backend's connection")
    assert not origin.last().complete
    at_rest(balancer)


def test_f8_abort_in_response(env):
    data = head(200, {"Content-Length": "100000000"})
    origin = env.origin(script=[lambda connection, request: [connection.send(data)] and [
        connection.send(b"x" * 100000) for _ in range(1000)] and True])
    balancer = env.simple(origin, pool=QUIET)
    client = env.client(balancer.port).request()
    client.reader.exactly(300000)
    client.reset()
    until(lambda: origin.open_count() == 0, 5, "the end of the backend's connection")
    at_rest(balancer)


def test_f8_abort_in_handshake_and_after_connect(env):
    pair = env.authority.server("localhost")
    balancer = env.simple(env.origin(), listener={"tls": {"certificates": [pair.config()]}})
    for data in [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"a" * 500]:
        env.client(balancer.port).send(data).reset()
        env.client(balancer.port).send(data).close()
    assert get(balancer.port, tls=client_context(env.authority.ca)).status == 200


def test_f8_abort_in_tunnel(env):
    from origin import accept_websocket
    origin = env.origin(script=[accept_websocket])
    balancer = env.simple(origin, pool=QUIET, route={"websocket": True})
    for _ in range(5):
        open_websocket(env, balancer.port).reset()
    until(lambda: origin.open_count() == 0, 5)
    at_rest(balancer)


def test_f8_abort_in_queue(env):
    gate = threading.Event()
    origin, port = env.origin(script=[gated(gate, text())]), env.port()
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"api": {"backends": {"a": {"address": origin.address, "max_inflight": 1}},
                          "queue": {"limit": 10, "timeout": "20s"}, **QUIET}},
        "routes": [{"pool": "api"}]})
    first = env.client(port).request()
    until(lambda: origin.requests)
    waiting = [env.client(port).request("GET", f"/{i}") for i in range(4)]
    time.sleep(0.3)
    for client in waiting[:3]:
        client.reset()
    time.sleep(0.2)
    gate.set()
    assert first.response().status == 200
    assert waiting[3].response().status == 200
    assert len(origin.requests) == 2
    at_rest(balancer)


def test_l9_queue_full_and_too_long(env):
    gate = threading.Event()
    origin, port = env.origin(script=[gated(gate, text())]), env.port()
    env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"api": {"backends": {"a": {"address": origin.address, "max_inflight": 1}},
                          "queue": {"limit": 1, "timeout": "1s"}, **QUIET}},
        "routes": [{"pool": "api"}]})
    first = env.client(port).request()
    until(lambda: origin.requests)
    second = env.client(port).request()
    time.sleep(0.3)
    answer = get(port)
    assert answer.status == 503 and answer.fields.get("retry-after")
    assert second.response().status == 503
    gate.set()
    assert first.response().status == 200


def test_l9_a_full_queue_keeps_the_important(env):
    """Load shedding by priority of routes: who waits gives up the place, with a reason in log and metric."""
    gate = threading.Event()
    origin, port = env.origin(script=[gated(gate, text())]), env.port()
    balancer = env.meridian({
        "workers": 1,
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"api": {"backends": {"a": {"address": origin.address, "max_inflight": 1}},
                          "queue": {"limit": 2, "timeout": "20s"}, **QUIET}},
        "routes": [{"match": {"path": "/pay"}, "pool": "api", "priority": "high"},
                   {"match": {"path": "/batch"}, "pool": "api", "priority": "low"},
                   {"pool": "api"}]})
    first = env.client(port).request()
    until(lambda: origin.requests)
    batch = env.client(port).request("GET", "/batch")
    time.sleep(0.3)
    page = env.client(port).request("GET", "/page")
    time.sleep(0.3)
    pay = env.client(port).request("GET", "/pay")
    answer = batch.response()
    assert answer.status == 503 and answer.fields.get("retry-after") and b"shed" in answer.body
    assert get(port, "/batch").status == 503
    gate.set()
    assert [client.response().status for client in [first, pay, page]] == [200, 200, 200]
    assert [request.target for request in origin.requests] == ["/", "/pay", "/page"]
    at_rest(balancer)


def test_l9_a_full_queue_keeps_the_important_of_any_worker(env):
    """Those that wait are one worker's, as one connection brought them; the important ones come to both."""
    gate = threading.Event()
    origin, port = env.origin(script=[gated(gate, text())]), env.port()
    balancer = env.meridian({
        "workers": 2,
        "listeners": {"public": {"bind": f"127.0.0.1:{port}", "protocols": ["h2", "http/1.1"]}},
        "pools": {"api": {"backends": {"a": {"address": origin.address, "max_inflight": 1}},
                          "queue": {"limit": 8, "timeout": "30s"}, **QUIET}},
        "routes": [{"match": {"path": "/pay"}, "pool": "api", "priority": "high"},
                   {"match": {"path": "/batch"}, "pool": "api", "priority": "low"},
                   {"pool": "api"}]})

    def all_wait():
        return balancer.ctl_json("pools")["pools"][0]["waiting"] == 8
    first = env.client(port).request()
    until(lambda: origin.requests)
    with H2Client(port) as batch:
        batch.ready()
        low = [batch.request(path="/batch") for _ in range(8)]
        until(all_wait, what="eight that wait")
        high = [env.client(port).request("GET", "/pay") for _ in range(8)]
        for stream in low:
            assert batch.answer(stream).status == 503 and b"shed" in stream.body, stream
    assert get(port, "/batch").status == 503
    until(all_wait, what="eight others that wait")
    gate.set()
    assert [client.response().status for client in [first, *high]] == [200] * 9
    at_rest(balancer)


def test_f9_half_close_after_the_request(env):
    gate = threading.Event()
    balancer = env.simple(env.origin(script=[gated(gate, text(b"late"))]), pool=QUIET)
    with Client(balancer.port) as client:
        client.request("POST", "/", body=b"all").half_close()
        time.sleep(0.3)
        gate.set()
        assert client.response().body == b"late"
        assert client.ended()


def test_f5_backend_never_answers(env):
    origin = env.origin(script=[never()])
    balancer = env.simple(origin, pool={**QUIET, "retries": {"extra": 0}}, timeouts={"first_byte": "1s"})
    started = time.monotonic()
    assert get(balancer.port).status == 504
    assert 0.8 < time.monotonic() - started < 10
    until(lambda: origin.open_count() == 0, 5)


def test_f5_head_by_the_byte_is_504(env):
    origin = env.origin(script=[dripped(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 500, 0.05)])
    balancer = env.simple(origin, pool={**QUIET, "retries": {"extra": 0}}, timeouts={"first_byte": "1s"})
    assert get(balancer.port).status == 504


def test_f5_slow_body_is_passed_on_as_it_comes(env):
    data = head(200, {"Content-Length": "20"})
    balancer = env.simple(env.origin(script=[
        lambda connection, request: [connection.send(data)] and dripped(b"01234567890123456789", 0.1)(connection, request)]),
        pool=QUIET, timeouts={"response_body": "1s"})
    with Client(balancer.port) as client:
        client.request()
        assert client.reader.more()
        started = time.monotonic()
        assert client.response().body.endswith(b"0123456789")
        assert time.monotonic() - started > 0.5, "the body was held back"


def test_f5_body_that_stops_is_an_abort(env):
    stuck = head(200, {"Content-Length": "100"}) + b"some"
    origin = env.origin(script=[lambda connection, request: [connection.send(stuck)] and never()(connection, request)])
    balancer = env.simple(origin, pool=QUIET, timeouts={"response_body": "1s"})
    with Client(balancer.port) as client:
        client.request()
        try:
            client.response()
            raise AssertionError("a body that stopped looked complete")
        except (Ended, ConnectionError):
            pass
    until(lambda: origin.open_count() == 0, 5)


def test_l4_slow_head_is_408(env):
    balancer = env.simple(env.origin(), timeouts={"request_head": "1s"})
    with Client(balancer.port) as client:
        started = time.monotonic()
        client.send("GET / HTTP/1.1\r\n")
        try:
            for _ in range(40):
                client.send("X: y\r\n")
                time.sleep(0.1)
        except ConnectionError:
            pass
        assert b" 408 " in client.everything()[:20]
        assert time.monotonic() - started < 10


def test_l5_idle_connection_is_closed(env):
    balancer = env.simple(env.origin(), timeouts={"idle": "1s"})
    with Client(balancer.port) as client:
        assert client.get().status == 200
        assert client.ended(6)


def test_l6_stalled_request_body_is_408(env):
    origin = env.origin()
    balancer = env.simple(origin, pool=QUIET, timeouts={"request_body": "1s"})
    with Client(balancer.port) as client:
        client.request("POST", "/", {"Content-Length": "1000"}).send(b"abc")
        assert client.response().status == 408
        assert client.ended()
    until(lambda: origin.open_count() == 0, 5)


def test_l7_client_that_does_not_read(env):
    big = b"x" * (64 << 20)
    origin = env.origin(script=[text(big)])
    balancer = env.simple(origin, pool=QUIET, timeouts={"send": "1s"})
    env.client(balancer.port).request()
    until(lambda: origin.requests)
    until(lambda: origin.open_count() == 0, 20, "the end of the stalled exchange")
    at_rest(balancer)


def test_l11_requests_per_connection(env):
    balancer = env.simple(env.origin(), limits={"requests_per_connection": 5})
    with Client(balancer.port) as client:
        answers = [client.get() for _ in range(5)]
        assert [answer.keep_alive for answer in answers] == [True] * 4 + [False]
        assert client.ended()


def test_backpressure_keeps_memory_flat(env):
    """A5: a fast backend and a client that does not read do not fill the balancer's memory."""
    size = 200 << 20
    origin = env.origin(script=[text(b"y" * size)])
    balancer = env.simple(origin, pool=QUIET)
    before = balancer.rss_kib()
    client = env.client(balancer.port, timeout=60).request()
    client.reader.exactly(1000)
    time.sleep(1.5)
    assert balancer.rss_kib() - before < 32 << 10, f"{balancer.rss_kib() - before} KiB more"
    client.reset()
    at_rest(balancer)


def test_f3_backend_resets_while_we_write(env):
    """No SIGPIPE, no leak: the backend resets in the middle of a large upload."""
    def early_reset(connection, request):
        time.sleep(0.1)
        connection.reset()
        return False
    origin = env.origin(early=early_reset)
    balancer = env.simple(origin, pool={**QUIET, "retries": {"extra": 0}})
    for _ in range(5):
        with Client(balancer.port) as client:
            try:
                client.request("POST", "/", body=b"z" * (8 << 20))
                assert client.response().status == 502
            except (ConnectionError, Ended):
                pass
    assert balancer.alive()
    at_rest(balancer)
