"""Message rules H18-H20 and H23 (RELIABILITY.md, section 3) at the backend's side, and F6: backends
that break the protocol."""
import time

from client import Client, get
from env import until
from origin import chunked, dripped, hang_up, raw, reset, text
from wire import Ended, Malformed

BROKEN_HEADS = [
    b"garbage\r\n\r\n",
    b"\x00\x01\x02\x03" * 10 + b"\r\n\r\n",
    b"HTTP/1.1 OK\r\n\r\n",
    b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nBad Name: a\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nNo-Colon\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\na",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-Big: " + b"a" * 70000 + b"\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 201 + b"Content-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000,
]


def test_h18_broken_answers_are_502(env):
    """Each broken answer gives 502, its connection is never used again, the next request is clean."""
    for broken in BROKEN_HEADS:
        origin = env.origin(script=[raw(broken, hold=1.0), text(b"good")])
        balancer = env.simple(origin, pool={"retries": {"extra": 0}})
        with Client(balancer.port) as client:
            answer = client.get()
            assert answer.status == 502, f"{broken[:60]!r}: {answer.status}"
            assert all(interim.status in (100, 103) for interim in answer.interim)
        assert get(balancer.port).body == b"good", broken[:60]
        assert len(origin.connections) == 2, f"{broken[:60]!r}: the connection was used again"
        balancer.stop()
        origin.close()


def test_h18_unknown_interim_answers_are_not_passed(env):
    origin = env.origin(script=[raw(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 What\r\n\r\n"
                                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")])
    answer = get(env.simple(origin).port)
    assert (answer.status, answer.body, answer.interim) == (200, b"ok", [])


def test_h19_short_body_is_an_abort(env):
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"
    for action in [hang_up(cut), reset(cut)]:
        balancer = env.simple(env.origin(script=[action]))
        with Client(balancer.port) as client:
            client.request()
            try:
                client.response()
                raise AssertionError("a cut body looked complete")
            except (Ended, ConnectionError):
                pass
        balancer.stop()


def test_h19_missing_last_chunk_is_an_abort(env):
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    for cut in [start, start + b"5\r\nhel", start + b"5\r", start + b"0\r\n", start + b"zz\r\nhello\r\n0\r\n\r\n"]:
        balancer = env.simple(env.origin(script=[hang_up(cut)]))
        with Client(balancer.port) as client:
            client.request()
            try:
                client.response()
                raise AssertionError(f"{cut!r} looked complete")
            except (Ended, ConnectionError):
                assert not bytes(client.reader.all).endswith(b"0\r\n\r\n"), cut
        balancer.stop()


def test_h20_leftover_bytes_end_the_connection(env):
    extra = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    origin = env.origin(script=[raw(extra, hold=0.5), text(b"good")])
    balancer = env.simple(origin, workers=1)
    with Client(balancer.port) as client:
        assert client.get().body == b"ok"
        assert client.get().body == b"good"
    assert len(origin.connections) == 2


def test_h20_close_and_1_0_are_not_reused(env):
    for first in [text(b"1", close=True), raw(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n1", hold=0.5)]:
        origin = env.origin(script=[first, text(b"2")])
        balancer = env.simple(origin, workers=1)
        with Client(balancer.port) as client:
            assert client.get().body == b"1"
            assert client.get().body == b"2"
        assert len(origin.connections) == 2
        balancer.stop()


def test_h20_answer_before_the_request(env):
    origin = env.origin(greet=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    balancer = env.simple(origin, pool={"retries": {"extra": 0}})
    with Client(balancer.port) as client:
        for _ in range(3):
            answer = client.get()
            if answer.status == 200:  # the greeting came after the request was written: it is its answer
                break
            assert answer.status == 502
    assert all(len(one.requests) <= 1 for one in origin.connections)


def test_h20_early_answer_is_delivered(env):
    """F7: the backend refuses while the client still uploads."""
    origin = env.origin(early=text(b"too big", 413, close=True))
    balancer = env.simple(origin)
    with Client(balancer.port) as client:
        client.request("POST", "/", {"Content-Length": str(32 << 20)})
        try:
            client.send(b"a" * (256 << 10))
        except ConnectionError:
            pass
        answer = client.response()
        assert (answer.status, answer.body) == (413, b"too big")
    until(lambda: origin.open_count() == 0, what="the end of the backend's connection")


def test_h20_backend_ends_idle_connection(env):
    """A connection that the backend closed while idle is never used: no request fails."""
    origin = env.origin()
    balancer = env.simple(origin, workers=1)
    with Client(balancer.port) as client:
        for turn in range(5):
            assert client.get("/", method="POST", body=b"x").status == 200
            for one in origin.connections:
                if not one.ended:
                    one.close()
            until(lambda: origin.open_count() == 0)
            time.sleep(0.1)
    assert len(origin.requests) == 5


def test_answer_in_single_bytes(env):
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-T: v\r\n\r\n"
    balancer = env.simple(env.origin(script=[dripped(data, 0.002)]))
    with Client(balancer.port) as client:
        assert client.get().body == b"abcde"
        assert client.get().body == b"abcde"


def test_trailers_of_an_answer_are_well_formed(env):
    balancer = env.simple(env.origin(script=[chunked(b"abc", trailers=[("X-Sum", "7")], fields=[("Trailer", "X-Sum")])]))
    answer = get(balancer.port, headers={"TE": "trailers", "Connection": "TE"})
    assert answer.body == b"abc"
    assert all(name == "x-sum" for name, _ in answer.trailers)


def test_l14_trailers_of_an_answer(env):
    """Sixteen of them, 4 KiB; with more it is cut off, or 502 where its head has not left yet."""
    room = 4096 - len("X") - 32  # a field counts with 32 bytes more
    cases = {f"/{count}": [(f"X-{i}", "1") for i in range(count)] for count in (16, 17)}
    cases |= {f"/{room + extra}": [("X", "a" * (room + extra))] for extra in (0, 1)}
    balancer = env.simple(env.origin(reply=lambda request: chunked(b"abc", trailers=cases[request.target])), pool={
        "retries": {"extra": 0}})
    for path, fine in ((path, path in ("/16", f"/{room}")) for path in cases):
        with Client(balancer.port) as client:
            client.request(path=path, headers={"TE": "trailers", "Connection": "TE"})
            try:
                answer = client.response()
                assert (answer.status, len(answer.trailers)) == ((200, len(cases[path])) if fine else (502, 0)), (path, answer)
            except (Ended, ConnectionError, Malformed):
                assert not fine, path


def test_h23_error_pages_reflect_nothing(env):
    origin = env.origin(script=[reset()])
    balancer = env.simple(origin, pool={"retries": {"extra": 0}}, route={"match": {"path": "/known"}})
    marker = "zqx81"
    for path, status in [(f"/{marker}", 404), ("/known", 502)]:
        for accept, kind in [("application/json", "application/problem+json"), ("text/html", "text/html")]:
            answer = get(balancer.port, f"{path}?{marker}", {"X-A": marker, "User-Agent": marker, "Accept": accept,
                                                            "Host": f"{marker}.example.com"})
            assert answer.status == status
            assert answer.fields.get("content-type").startswith(kind), answer.fields.get("content-type")
            assert marker not in answer.body.decode() + str(answer.fields)
            assert origin.address not in answer.body.decode()
            request_id = answer.fields.get("x-request-id")
            assert request_id and request_id in answer.body.decode()
            assert "0.1" not in str(answer.fields.all("server"))


def test_h23_log_is_escaped_and_keeps_secrets(env):
    origin = env.origin(script=[text(b"x", fields={"Set-Cookie": "secret-three"})])
    balancer = env.simple(origin)
    get(balancer.port, "/a\"b\\c%0a?token=secret-four",
        {"Authorization": "Bearer secret-one", "Cookie": "sid=secret-two", "User-Agent": "quote\" \xff\xfe"})
    lines = balancer.access_log()
    assert len(lines) == 1
    with open(balancer.log_file, "rb") as file:
        data = file.read()
    assert b"secret-" not in data.replace(b"secret-four", b"") and all(0x20 <= byte < 0x7f or byte == 10 for byte in data)
