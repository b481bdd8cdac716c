"""Upgrades (rule H21): a WebSocket through the balancer is a tunnel of bytes."""
import os
import threading
import time

from client import Client
from env import until
from h2 import CANCEL, ENABLE_CONNECT, INTERNAL_ERROR
from origin import accept_websocket, agree, gated, text

UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}


def open_websocket(env, port, path="/ws", **kwargs):
    client = env.client(port, **kwargs).request("GET", path, UPGRADE)
    answer = client.response()
    assert answer.status == 101, answer.status
    assert answer.fields.get("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert answer.fields.get("upgrade").lower() == "websocket"
    assert "upgrade" in answer.fields.get("connection").lower()
    return client


def tunnel(env, script=None, **config):
    origin = env.origin(script=script or [accept_websocket])
    return origin, env.simple(origin, route={"websocket": True}, **config)


def test_h21_bytes_pass_both_ways(env):
    origin, balancer = tunnel(env)
    client = open_websocket(env, balancer.port)
    for size in (1, 125, 5000, 300000):
        data = os.urandom(size)
        client.send(data)
        assert client.reader.exactly(size) == data
    fields = origin.last().fields
    assert fields.get("upgrade") == "websocket" and fields.get("connection").lower() == "upgrade"


EXTENDED = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"http"), (b":authority", b"a"),
            (b":path", b"/ws"), (b"sec-websocket-version", b"13")]


class Tunnel1:
    """A client's side of a tunnel over HTTP/1.1."""

    def __init__(self, env, port):
        self.client = open_websocket(env, port)

    def send(self, data):
        self.client.send(data)

    def take(self, size):
        return self.client.reader.exactly(size)

    def end(self):
        self.client.half_close()
        return self.client.ended()


class Tunnel2:
    """The same as a stream of HTTP/2 (RFC 8441)."""

    def __init__(self, env, port):
        self.client = env.h2_client(port).ready()
        self.stream, self.taken = self.client.stream(1), 0
        self.client.headers(1, EXTENDED)
        self.client.wait(lambda: self.stream.status, what="the tunnel")
        assert self.stream.status == 200 and "sec-websocket-accept" not in dict(self.stream.fields), self.stream

    def send(self, data):
        self.client.send(1, data)

    def take(self, size):
        self.client.wait(lambda: len(self.stream.body) >= self.taken + size or self.stream.over, what="bytes")
        self.taken += size
        return bytes(self.stream.body[self.taken - size:self.taken])

    def end(self):
        self.client.send(1, b"", end=True)
        self.client.wait(lambda: self.stream.over, what="the end")
        return self.stream.ended and self.client.ping()


def echo_stream(stream):
    """A server of RFC 8441 that says everything again."""
    sent = 0
    assert (stream.method, stream.get(":protocol")) == ("CONNECT", "websocket"), stream
    stream.connection.headers(stream.id, [(b":status", b"200")])
    while not stream.over or len(stream.body) > sent:
        stream.connection.wait(lambda: stream.over or len(stream.body) > sent, 30, "bytes")
        piece = bytes(stream.body[sent:])
        sent += len(piece)
        stream.connection.send(stream.id, piece)
    stream.connection.send(stream.id, b"", end=True)


def test_every_pair_of_versions_and_a_reload(env):
    """RFC 6455, RFC 8441: client and server speak what they like; a reload cuts nothing off."""
    servers = ((env.origin(script=[accept_websocket]), {}),
               (env.h2_origin(reply=echo_stream, terms=((ENABLE_CONNECT, 1),)), {"protocol": "h2"}))
    for server, pool in servers:
        balancer = env.simple(server, pool=pool, route={"websocket": True}, listener={"protocols": ["h2", "http/1.1"]})
        tunnels = [kind(env, balancer.port) for kind in (Tunnel1, Tunnel2)]
        for size in (1, 5000, 300_000):
            for tunnel in tunnels:
                data = os.urandom(size)
                tunnel.send(data)
                assert tunnel.take(size) == data, (tunnel, pool, size)
        balancer.config["routes"][0]["websocket"] = False
        balancer.reload(balancer.config)
        for tunnel in tunnels:
            tunnel.send(b"still there")
            assert tunnel.take(11) == b"still there", (tunnel, pool)
        assert balancer.metric("meridian_tunnels") == 2
        assert env.client(balancer.port).get("/", UPGRADE).status == 403
        assert all(tunnel.end() for tunnel in tunnels), pool
        until(lambda balancer=balancer: balancer.metric("meridian_tunnels") == 0, what="no tunnel")


def test_h21_bytes_sent_too_early_are_held(env):
    origin, balancer = tunnel(env)
    with Client(balancer.port) as client:
        lines = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
        client.send(f"GET /ws HTTP/1.1\r\nHost: a\r\n{lines}\r\nearly bytes")
        assert client.response().status == 101
        assert client.reader.exactly(11) == b"early bytes"


def test_h21_more_than_is_held_waits_outside(env):
    """16 KiB are read before there is a tunnel; the rest stays with the client, nothing goes on early, and all of it arrives."""
    gate = threading.Event()
    origin, balancer = tunnel(env, script=[gated(gate, accept_websocket)], workers=1)
    early = os.urandom(8 << 20)
    with Client(balancer.port, timeout=30) as client:
        lines = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
        client.send(f"GET /ws HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
        sending = threading.Thread(target=client.send, args=(early,))
        sending.start()
        until(lambda: origin.requests, what="the request")
        before = balancer.ctl_json("status")["memory_bytes"]
        time.sleep(1)
        assert balancer.ctl_json("status")["memory_bytes"] - before < 256 << 10, "it is read to be stored"
        assert len(origin.connections[-1].bytes) < 2000, "it goes on before it is a tunnel"
        assert sending.is_alive(), "all of it has been taken"
        gate.set()
        assert client.response().status == 101
        assert client.reader.exactly(len(early)) == early
        sending.join()


def test_h21_refusal_leaves_plain_http(env):
    _, balancer = tunnel(env, script=[text(b"no", 403), text(b"fine")])
    with Client(balancer.port) as client:
        client.request("GET", "/ws", UPGRADE)
        assert client.response().status == 403
        try:
            assert client.get("/next").body == b"fine"
        except ConnectionError:
            pass  # closing is allowed as well


def test_h21_route_that_does_not_allow_it(env):
    origin = env.origin()
    balancer = env.simple(origin)
    with Client(balancer.port) as client:
        client.request("GET", "/ws", UPGRADE)
        assert client.response().status in (200, 403)
    assert not [request for request in origin.requests if "upgrade" in request.fields]


def test_h21_only_websocket_and_only_get(env):
    origin, balancer = tunnel(env, script=[text()])
    for method, protocol in [("GET", "h2c"), ("GET", "foo/2"), ("POST", "websocket")]:
        with Client(balancer.port) as client:
            client.request(method, "/", {**UPGRADE, "Upgrade": protocol})
            assert client.response().status in (200, 400, 403), (method, protocol)
    assert not [request for request in origin.requests if "upgrade" in request.fields]
    with Client(balancer.port) as client:  # of several offers only the one may be passed on
        client.request("GET", "/", {**UPGRADE, "Upgrade": "websocket, h2c"})
        client.response()
    assert {request.fields.get("upgrade") for request in origin.requests} <= {None, "websocket"}


def test_h21_wrong_accept_is_502(env):
    from origin import raw
    _, balancer = tunnel(env, script=[raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n"
                                          b"Connection: Upgrade\r\n\r\n", hold=1)])
    with Client(balancer.port) as client:
        client.request("GET", "/", UPGRADE)
        assert client.response().status == 502


def test_end_of_one_side_ends_the_other(env):
    origin, balancer = tunnel(env)
    client = open_websocket(env, balancer.port)
    client.reset()
    until(lambda: origin.open_count() == 0, what="the end at the backend")
    client = open_websocket(env, balancer.port)
    origin.die()
    assert client.ended()


def test_l10_idle_tunnel_ends(env):
    """And no sooner than that, after whatever has moved last."""
    origin, balancer = tunnel(env, timeouts={"tunnel_idle": "2s"})
    client, begun = open_websocket(env, balancer.port), time.monotonic()
    for _ in range(8):
        client.send(b"x")
        assert client.reader.exactly(1) == b"x"
        time.sleep(0.4)
    assert time.monotonic() - begun > 3
    assert client.ended(12)
    until(lambda: origin.open_count() == 0)


def test_stop_ends_tunnels_after_their_drain(env):
    _, balancer = tunnel(env)
    client = open_websocket(env, balancer.port)
    balancer.stop(timeout=15)
    assert client.ended()


def broken_by_reset(connection, request):
    agree(connection, request)
    assert connection.socket.recv(5) == b"break"
    connection.reset()
    return False


def broken_by_reset_stream(stream):
    stream.connection.headers(stream.id, [(b":status", b"200")])
    stream.connection.wait(lambda: stream.body == b"break", what="the first bytes")
    stream.cancel(INTERNAL_ERROR)


def test_law_3_a_tunnel_that_breaks_does_not_look_ended(env):
    """RST where the client speaks HTTP/1.1, CANCEL where it speaks HTTP/2 (RFC 8441 section 5)."""
    servers = ((env.origin(script=[broken_by_reset]), {}),
               (env.h2_origin(reply=broken_by_reset_stream, terms=((ENABLE_CONNECT, 1),)), {"protocol": "h2"}))
    for server, pool in servers:
        balancer = env.simple(server, pool=pool, route={"websocket": True}, listener={"protocols": ["h2", "http/1.1"]})
        client = open_websocket(env, balancer.port).send(b"break")
        try:
            client.reader.rest()
            raise AssertionError("a clean end")
        except ConnectionResetError:
            pass
        h2 = env.h2_client(balancer.port).ready()
        fields = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"http"), (b":authority", b"a"),
                  (b":path", b"/ws"), (b"sec-websocket-version", b"13")]
        stream = h2.stream(1)
        h2.headers(1, fields)
        h2.wait(lambda stream=stream: stream.status == 200, what="the tunnel")
        h2.send(1, b"break")
        h2.wait(lambda stream=stream: stream.over, what="the end")
        assert stream.reset == CANCEL and not stream.ended and h2.ping(), stream


def test_h21_an_answer_that_begins_no_tunnel(env):
    """A server that serves the request as a plain one: HTTP/1.1 says so; over HTTP/2 2xx would mean a tunnel."""
    origin = env.origin(reply=lambda request: text(b"a page"))
    balancer = env.simple(origin, route={"websocket": True}, listener={"protocols": ["h2", "http/1.1"]})
    with Client(balancer.port) as client:
        client.request("GET", "/", UPGRADE)
        answer = client.response()
        assert (answer.status, answer.body) == (200, b"a page")
    h2 = env.h2_client(balancer.port).ready()
    h2.headers(1, [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"http"), (b":authority", b"a"),
                   (b":path", b"/ws"), (b"sec-websocket-version", b"13")])
    stream = h2.stream(1)
    h2.wait(lambda: stream.over, what="the end")
    assert stream.status == 502 and not stream.body, stream
    assert h2.ping()
