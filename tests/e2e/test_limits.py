"""Bounds of RELIABILITY section 2, each from both sides: what is just within it goes through, what is one
beyond does not (L1, L2, L3, L4, L5, L9, L11, L12, L13, L14, L15, L16, L17, L19, L40, L41). What is counted in time or in frames is
tested on simulated clocks, tests/unit/proxy/pace_test.c, tests/unit/http/h2_guard_test.c, and in test_limits_time.py."""
import re
import resource
import socket
import threading
import time

from client import Client, client_context, get
from env import busy, native, seconds, until
from origin import accept_websocket, gated, head, never, raw, text
from test_websocket import open_websocket
from wire import Ended


def status_of(port, data):
    """The status of the answer to these bytes; None where the connection ends without one."""
    with Client(port) as client:
        client.send(data)
        try:
            return client.response().status
        except (Ended, ConnectionError):
            return None


def ends_with(balancer, reason):
    until(lambda: any(line["end"] == reason for line in balancer.access_log(0)), what=f"{reason} in the log")


def test_l1_connections_of_the_process(env):
    """The one beyond waits in the backlog and is served when another has gone."""
    balancer = env.simple(env.origin(), limits={"connections": 3}, workers=1)
    first = [env.client(balancer.port) for _ in range(3)]
    for client in first:
        assert client.get().status == 200
    beyond = env.client(balancer.port).request()
    assert beyond.silent(0.5)
    first[0].close()
    assert beyond.response().status == 200


@native
def test_l1_by_the_descriptors_that_can_be_had(env):
    """Half of them beyond the reserve of 256, which the log tells; a number that cannot be had is no start."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (1256, 1256))  # of this test's process and its children
    balancer = env.simple(env.origin())
    assert re.search(r"event=ready .*connections=500 ", balancer.errors()), balancer.errors()
    balancer.stop()
    balancer.write({**balancer.config, "limits": {"connections": 500}})
    balancer.start()
    balancer.stop()
    balancer.write({**balancer.config, "limits": {"connections": 501}})
    balancer.spawn()
    balancer.expect_end(3)
    assert "need 1258 descriptors" in balancer.errors() and "LimitNOFILE" in balancer.errors(), balancer.errors()


@native
def test_l1_a_reload_asks_for_no_more_than_can_be_had(env):
    """As a start does; else connections that are let in would have no descriptor towards a server."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (1256, 1256))
    balancer = env.simple(env.origin(), limits={"connections": 3}, workers=1)
    kept = balancer.config
    balancer.write({**kept, "limits": {"connections": 501}})
    done = balancer.ctl("reload", check=False)
    assert done.returncode == 1 and "need 1258 descriptors" in done.stdout + done.stderr, done
    assert "event=reload-refused" in balancer.errors() and "LimitNOFILE" in balancer.errors(), balancer.errors()
    clients = [env.client(balancer.port) for _ in range(3)]
    for client in clients:
        assert client.get().status == 200
    assert env.client(balancer.port).request().silent(0.5)  # the limit of before holds
    balancer.reload({**kept, "limits": {"connections": 500}})


def test_l2_connections_of_one_source(env):
    balancer = env.simple(env.origin(), limits={"connections_per_source": 3}, workers=1)
    within = [env.client(balancer.port, source="127.0.0.2") for _ in range(3)]
    for client in within:
        assert client.get().status == 200
    assert env.client(balancer.port, source="127.0.0.2").ended()
    assert get(balancer.port, source="127.0.0.3").status == 200
    within[0].close()
    until(lambda: balancer.ctl_json("status")["connections"] == 2, what="its end")
    assert get(balancer.port, source="127.0.0.2").status == 200


def test_l11_requests_of_a_connection(env):
    balancer = env.simple(env.origin(), limits={"requests_per_connection": 3})
    with Client(balancer.port) as client:
        answers = [client.get() for _ in range(3)]
        assert [answer.keep_alive for answer in answers] == [True, True, False]
        assert client.ended()


def test_l12_request_line(env):
    balancer = env.simple(env.origin(), limits={"request_line": "256B"})
    line = "GET /{} HTTP/1.1"
    room = 256 - len(line.format(""))
    for extra, wanted in ((-1, 200), (0, 200), (1, 414)):
        request = line.format("a" * (room + extra)) + "\r\nHost: a\r\n\r\n"
        assert status_of(balancer.port, request) == wanted, extra
    ends_with(balancer, "limit-L12")


def test_l13_head_fields_and_field(env):
    """A field counts with its name, its value and 32 bytes; what is beyond is 431."""
    balancer = env.simple(env.origin(), limits={"head": "2KiB", "fields": 10, "field": "1KiB"})
    begin = "GET / HTTP/1.1\r\nHost: a\r\n"  # 4 + 1 + 32 bytes of a head
    for count, wanted in ((8, 200), (9, 200), (10, 431)):
        request = begin + "".join(f"X-{i}: a\r\n" for i in range(count)) + "\r\n"
        assert status_of(balancer.port, request) == wanted, f"{count} fields and Host"
    for size, wanted in ((1023, 200), (1024, 200), (1025, 431)):
        request = begin + "X: " + "a" * (size - 1) + "\r\n\r\n"
        assert status_of(balancer.port, request) == wanted, f"a field of {size}"
    rest = 2048 - 37 - 2 * (1 + 32)
    for extra, wanted in ((-1, 200), (0, 200), (1, 431)):
        request = begin + "X: " + "a" * 990 + "\r\nY: " + "a" * (rest - 990 + extra) + "\r\n\r\n"
        assert status_of(balancer.port, request) == wanted, f"a head of 2 KiB and {extra}"
    for size, wanted in ((256, 200), (257, 431)):
        assert status_of(balancer.port, begin + "X" * size + ": a\r\n\r\n") == wanted, f"a name of {size}"
    ends_with(balancer, "limit-L13")


def test_l14_trailers(env):
    balancer = env.simple(env.origin())
    begin = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    for count, wanted in ((16, 200), (17, 400)):
        request = begin + "".join(f"X-{i}: a\r\n" for i in range(count)) + "\r\n"
        assert status_of(balancer.port, request) == wanted, count
    room = 4096 - len("X") - 32  # a field counts with 32 bytes more
    for extra, wanted in ((-1, 200), (0, 200), (1, 400)):
        assert status_of(balancer.port, begin + "X: " + "a" * (room + extra) + "\r\n\r\n") == wanted, extra


def test_l15_chunk_lines(env):
    balancer = env.simple(env.origin())
    begin = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    for line, wanted in (("0" * 15 + "1", 200), ("0" * 16 + "1", 400), ("8" + "0" * 15, 400),
                         ("1;a=" + "b" * 251, 200), ("1;a=" + "b" * 252, 200), ("1;a=" + "b" * 253, 400)):
        assert status_of(balancer.port, begin + line + "\r\na\r\n0\r\n\r\n") == wanted, line
    with Client(balancer.port) as client:
        assert client.send(begin + "7" + "f" * 15 + "\r\na").silent(0.3), "2^63-1 is a size"


def test_l15_chunk_overhead_is_exact(env):
    """At most as much framing as content and 16 KiB; the last chunk's line is framing too."""
    balancer = env.simple(env.origin())
    begin = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    sizes = [200] * 80 + [230]  # of the framing of chunks with one byte each
    rest = (16 << 10) + len(sizes) + 1 - sum(sizes) - len("0\r\n")
    for extra, wanted in ((-1, 200), (0, 200), (1, 400)):
        chunks = "".join(f"1;{'x' * (size - 6)}\r\na\r\n" for size in [*sizes, rest + extra])
        assert status_of(balancer.port, begin + chunks + "0\r\n\r\n") == wanted, extra


def test_l16_content(env):
    balancer = env.simple(env.origin(), limits={"body": "1KiB"})
    for size, wanted in ((0, 200), (1023, 200), (1024, 200), (1025, 413)):
        request = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n" + "a" * size
        assert status_of(balancer.port, request) == wanted, size
        chunk = f"{size:x}\r\n{'a' * size}\r\n" if size else ""
        request = f"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"
        assert status_of(balancer.port, request) == wanted, f"{size} in chunks"
    ends_with(balancer, "limit-L16")


def test_l17_heads_of_servers(env):
    """200 fields, 64 KiB, 10 interim responses; beyond that 502 and the connection to the server ends."""
    answers = {}
    origin = env.origin(reply=lambda request: raw(answers[request.target]))
    balancer = env.simple(origin, pool={"retries": {"extra": 0}})
    begin, end = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", b"\r\n"
    fields = b"".join(b"X-%d: a\r\n" % i for i in range(199))
    answers["/200"] = begin + fields + end
    answers["/201"] = begin + fields + b"X: a\r\n" + end
    room = (64 << 10) - len(b"Content-Length" + b"0" + b"X") - 2 * 32
    answers["/large"] = begin + b"X: " + b"a" * room + b"\r\n" + end
    answers["/larger"] = begin + b"X: " + b"a" * (room + 1) + b"\r\n" + end
    answers["/10"] = head(103, [("Link", "</a>")], "Early Hints") * 10 + begin + end
    answers["/11"] = head(103, [("Link", "</a>")], "Early Hints") * 11 + begin + end
    for path, wanted in (("/200", 200), ("/201", 502), ("/large", 200), ("/larger", 502), ("/10", 200), ("/11", 502)):
        assert get(balancer.port, path).status == wanted, path


def test_l3_handshakes_in_progress(env):
    """As many as are allowed go on side by side; one more, and the oldest makes room."""
    pair = env.authority.server("localhost")
    balancer = env.simple(env.origin(), limits={"handshakes": 3}, workers=1, timeouts={"handshake": "40s"},
                          listener={"tls": {"certificates": [pair.config()]}})
    within = [env.client(balancer.port).send(b"\x16") for _ in range(3)]
    assert all(client.silent(0.2) for client in within)
    beyond = env.client(balancer.port).send(b"\x16")
    assert within[0].ended()
    assert all(client.silent(0.2) for client in [*within[1:], beyond])
    for client in [*within, beyond]:
        client.close()


def test_l3_time_of_a_handshake(env):
    """Bytes that drip in do not make it longer."""
    pair = env.authority.server("localhost")
    balancer = env.simple(env.origin(), timeouts={"handshake": "1s"}, listener={"tls": {"certificates": [pair.config()]}})
    client, begun = env.client(balancer.port), time.monotonic()
    try:
        for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200):
            client.send(bytes([byte]))
            time.sleep(0.1)
            assert time.monotonic() - begun < 20, "it is still there"
    except ConnectionError:
        pass
    assert client.ended() and time.monotonic() - begun >= 0.9
    assert get(balancer.port, tls=client_context(env.authority.ca)).status == 200


def test_l4_l5_times_within_their_bounds(env):
    """A slow head and a pause that are within their bounds are served."""
    balancer = env.simple(env.origin(), timeouts={"request_head": "30s", "idle": "30s"})
    with Client(balancer.port, timeout=30) as client:
        for _ in range(2):
            for piece in ("GET / HT", "TP/1.1\r\nHo", "st: a\r\n", "\r\n"):
                client.send(piece)
                time.sleep(0.3)
            assert client.response().status == 200


def test_l9_places_of_a_queue(env):
    """Who finds room waits and is served; one more is turned away at once."""
    gate = threading.Event()
    origin = env.origin(script=[gated(gate, text())])
    balancer = env.simple(origin, workers=1, pool={
        "backends": {"a": {"address": origin.address, "max_inflight": 1}}, "queue": {"limit": 3, "timeout": "40s"},
        "health": {"off": True}})
    first = env.client(balancer.port, timeout=40).request()
    until(lambda: origin.requests, what="the first request")
    within = [env.client(balancer.port, timeout=40).request() for _ in range(3)]
    until(lambda: balancer.metric("meridian_requests_waiting") == 3, what="a full queue")
    beyond = get(balancer.port)
    assert beyond.status == 503 and beyond.fields.get("retry-after")
    gate.set()
    assert [client.response().status for client in [first, *within]] == [200] * 4
    ends_with(balancer, "queue-full")


def idle_connection(env, balancer, kind):
    """One that has been served."""
    if kind == "h2":
        context = client_context(env.authority.ca, alpn=["h2"])
        client = env.h2_client(balancer.port, tls=context)
    else:
        client = env.client(balancer.port, tls=client_context(env.authority.ca) if kind == "tls" else None)
    assert client.get().status == 200
    return client


@busy
def test_l19_memory_of_idle_connections(env):
    """By the balancer's own count, which OpenSSL's and nghttp2's memory is part of; bench/memory.py measures what is resident."""
    pair, origin = env.authority.server("localhost"), env.origin()
    for kind, most_kib in (("plain", 4), ("tls", 32), ("h2", 48)):
        balancer = env.simple(origin, workers=1, timeouts={"idle": "10m"},
                              listener={} if kind == "plain" else {"tls": {"certificates": [pair.config()]}})
        kept = [idle_connection(env, balancer, kind) for _ in range(20)]
        time.sleep(0.3)  # it looks ten times a second how much it is
        before = balancer.ctl_json("status")["memory_bytes"]
        kept += [idle_connection(env, balancer, kind) for _ in range(50)]
        until(lambda: balancer.ctl_json("status")["memory_bytes"] > before + 50 * 200, what="memory of them")
        time.sleep(0.3)
        each = (balancer.ctl_json("status")["memory_bytes"] - before) / 50 / 1024
        assert 0.2 < each <= most_kib, f"{kind}: {each:.1f} KiB each, of {len(kept)}"
        for client in kept:
            client.close()


def test_l40_connections_of_the_admin_address(env):
    """Sixteen, and the next one is closed at once; traffic has places of its own, and so has the control socket."""
    balancer = env.simple(env.origin())
    within = [socket.create_connection(("127.0.0.1", balancer.admin_port)) for _ in range(16)]
    for one in within:
        one.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    beyond = socket.create_connection(("127.0.0.1", balancer.admin_port))
    beyond.settimeout(10)
    assert beyond.recv(10) == b""
    within[0].settimeout(10)
    within[0].sendall(b"\r\n")
    assert b" 200 " in within[0].recv(100)
    assert get(balancer.port).status == 200 and balancer.ctl_json("status")["ready"] is not None
    for one in [*within, beyond]:
        one.close()


@seconds(60)
def test_l41_drain_of_requests(env):
    """A request gets its time, and no more."""
    origin = env.origin(reply=lambda request: never() if request.target == "/never" else text())
    balancer = env.simple(origin, drain={"requests": "1s", "tunnels": "1s"})
    client = env.client(balancer.port, timeout=40).request("GET", "/never")
    until(lambda: origin.requests, what="the request")
    begun = time.monotonic()
    balancer.stop()
    assert time.monotonic() - begun >= 1
    try:
        assert client.response().status == 503
    except (Ended, ConnectionError):
        pass


@seconds(60)
def test_l41_drain_within_its_time(env):
    """A request that ends in time is served whole, and the process does not wait any longer."""
    gate = threading.Event()
    origin = env.origin(script=[gated(gate, text(b"in time"))])
    balancer = env.simple(origin, drain={"requests": "40s", "tunnels": "40s"})
    client = env.client(balancer.port, timeout=40).request()
    until(lambda: origin.requests, what="the request")
    ending = threading.Thread(target=balancer.stop)
    ending.start()
    until(lambda: "stopping" in balancer.errors(), what="the drain")
    gate.set()
    assert client.response().body == b"in time"
    ending.join(30)
    assert not ending.is_alive() and not balancer.alive()


@seconds(60)
def test_l41_drain_of_tunnels(env):
    """A tunnel goes on after requests have had their time, and ends at its own."""
    origin = env.origin(script=[accept_websocket])
    balancer = env.simple(origin, route={"websocket": True}, drain={"requests": "1s", "tunnels": "3s"})
    client = open_websocket(env, balancer.port, timeout=40)
    begun = time.monotonic()
    ending = threading.Thread(target=balancer.stop)
    ending.start()
    until(lambda: "stopping" in balancer.errors(), what="the drain")
    time.sleep(1.5)
    client.send(b"still here")
    assert client.reader.exactly(10) == b"still here"
    assert client.ended(30) and time.monotonic() - begun >= 3
    ending.join(30)
    assert not balancer.alive()


@seconds(90)
def test_f10_slow_connections_are_thrown_out(env):
    """Slow heads end by L4, slow content by L6, answers that nobody reads by L7; and nobody else notices."""
    origin = env.origin(reply=lambda request: text(b"a" * 16000000) if request.target == "/large" else text())
    balancer = env.simple(origin, timeouts={"request_head": "2s", "request_body": "2s", "send": "2s", "idle": "3s"})
    slow = [("head", "GET / HTTP/1.1\r\nHost: a\r\nX: "), ("body", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\na"),
            ("read", "GET /large HTTP/1.1\r\nHost: a\r\n\r\n")]
    held = [(kind, env.client(balancer.port).send(data)) for kind, data in slow for _ in range(40)]
    for _ in range(20):
        assert get(balancer.port).status == 200
        for kind, client in held:
            if kind == "head":
                try:
                    client.send("a")
                except OSError:
                    pass  # thrown out already
        time.sleep(0.1)
    until(lambda: balancer.ctl_json("status")["connections"] == 0, 60, "the end of all of them")
    ends = [line["end"] for line in balancer.access_log(120)]
    assert {"limit-L4", "limit-L6", "limit-L7"} <= set(ends), set(ends)
    assert get(balancer.port).status == 200
