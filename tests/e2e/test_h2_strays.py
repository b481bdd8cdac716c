"""HTTP/2 frames that say nothing, from clients and from servers (RELIABILITY F11, L26): of streams that are over, GOAWAY
again and again, content in pieces smaller than their frames. They end the connection; what may have been on its way when a
stream ended, and small messages, do not."""
import struct
import threading
import time

import hpack
from client import Client, get
from env import busy, seconds, until
from h2 import (CANCEL, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PROTOCOL_ERROR, RST_STREAM,
                frame)
from origin import text
from test_h2_back import Frames, pool
from test_h2_floods import POST, Siege, ask, number

HEAD = hpack.encode([(b":status", b"200")])
HINT = hpack.encode([(b":status", b"103"), (b"link", b"a")])
FIELD = hpack.encode([(b"x", b"y")])
LAST = struct.pack(">II", 0x7fffffff, 0)


@busy
def test_l26_clients(env):
    siege = Siege(env)
    upload = ask(1, end=False, block=POST)
    gone = upload + frame(RST_STREAM, 0, 1, number(CANCEL))
    ways = {
        "trailers that end nothing": (upload, frame(HEADERS, END_HEADERS, 1, FIELD)),
        "DATA on a stream that is over": (gone, frame(DATA, 0, 1, b"x")),
        "GOAWAY": (b"", frame(GOAWAY, 0, 0, LAST)),
        "content of 1 byte": (upload, frame(DATA, 0, 1, b"x")),
        "content of 1 byte, padded": (upload, frame(DATA, 8, 1, b"\1x\0")),
    }
    for name, (setup, piece) in ways.items():
        siege.cut(name, lambda turn, piece=piece: 1000 * piece, setup=setup, requests=1, codes=range(1, 14))
    siege.quiet()


@busy
def test_l26_new_streams_after_goaway(env):
    """L11: a client that was told to open no further stream, and has one that runs. A few late ones are its right."""
    come, go_on = threading.Event(), threading.Event()

    def reply(_):
        come.set()
        go_on.wait(30)
        return text(b"late")
    balancer = env.simple(env.origin(reply=reply), listener={"protocols": ["h2"]}, limits={"requests_per_connection": 1})
    for many in (100, 50_000):
        client = env.h2_client(balancer.port).ready()
        stream = client.request("GET", "/")
        client.wait(lambda client=client: len(client.goaways) == 2, what="both steps of the drain")
        assert come.wait(10)
        try:
            client.raw(b"".join(ask(2 * turn + 3) for turn in range(many)))
        except (ConnectionError, TimeoutError):
            pass
        if many > 100:
            client.wait(lambda client=client: client.ended_at, what="the end")
            assert client.code in (None, ENHANCE_YOUR_CALM), client
        else:
            go_on.set()
            assert client.answer(stream).body == b"late", client
        go_on.clear()


def test_trailers_that_do_not_end_a_request(env):
    """RFC 9113 section 8.1: they are malformed, and cost the stream; the connection goes on."""
    balancer = env.simple(env.origin(), listener={"protocols": ["h2"]})
    client = env.h2_client(balancer.port).ready()
    stream = client.request("POST", "/", end=False)
    client.raw(frame(HEADERS, END_HEADERS, stream.id, FIELD) + 100 * frame(DATA, 0, stream.id, b"more"))
    client.wait(lambda: stream.over, what="a reset")
    assert stream.reset == PROTOCOL_ERROR, stream
    assert client.answer(client.request("GET", "/")).status == 200 and not client.goaways


class Flood:
    """A server that answers by `before`, then sends `piece` until it is cut off or 5 s are over."""

    def __init__(self, before, piece):
        self.before, self.piece, self.lasted = before, piece, None
        self.done = threading.Event()

    def __call__(self, connection, stream):
        begun = time.monotonic()
        try:
            connection.sendall(self.before(stream))
            threading.Thread(target=self.drain, args=(connection,), daemon=True).start()
            while time.monotonic() - begun < 5:
                connection.sendall(1000 * self.piece(stream))
        except OSError:
            self.lasted = time.monotonic() - begun
        self.done.set()

    @staticmethod
    def drain(connection):
        try:
            while connection.recv(65536):
                pass
        except OSError:
            pass


@busy
@seconds(60)
def test_l26_servers(env):
    """The request that waits for such a server fails as with any that breaks the rules; others are served."""
    def ended(stream):
        return frame(HEADERS, END_HEADERS | END_STREAM, stream, HEAD)

    def begun(stream):
        return frame(HEADERS, END_HEADERS, stream, HEAD)

    def nothing(_):
        return b""
    ways = {
        "RST_STREAM": (ended, lambda id: frame(RST_STREAM, 0, id, number(CANCEL)), 200),
        "GOAWAY": (nothing, lambda id: frame(GOAWAY, 0, 0, LAST), 502),
        "interim answers": (nothing, lambda id: frame(HEADERS, END_HEADERS, id, HINT), 103),
        "heads": (ended, lambda id: frame(HEADERS, END_HEADERS | END_STREAM, id, HEAD), 200),
        "DATA": (ended, lambda id: frame(DATA, 0, id, b"x" * 100), 200),
        "trailers that end nothing": (begun, lambda id: frame(HEADERS, END_HEADERS, id, FIELD), 200),
        "content of 1 byte": (begun, lambda id: frame(DATA, 0, id, b"x"), 200),
        "content of 1 byte, padded": (begun, lambda id: frame(DATA, 8, id, b"\2x\0\0"), 200),
    }
    for name, (before, piece, status) in ways.items():
        flood = Flood(before, piece)
        balancer = env.simple(Frames(env, flood), pool=pool(retries={"extra": 0}), workers=1)
        with Client(balancer.port).request() as client:
            assert client.reader.line().split()[1] == b"%d" % status, name
            assert flood.done.wait(10), name
        assert flood.lasted is not None, f"{name}: never cut off"
        assert balancer.alive()


def test_l26_what_was_on_its_way_is_free(env):
    """A server that answers to the end streams whose clients have left, each in its own 60 frames; and resets what is over."""
    def reply(connection, stream):
        if (stream - 1) // 2 % 2:
            connection.sendall(frame(HEADERS, END_HEADERS | END_STREAM, stream, HEAD) + frame(RST_STREAM, 0, stream, number(0)))
            return
        left.wait(10)
        left.clear()
        connection.sendall(frame(HEADERS, END_HEADERS, stream, HEAD) + 60 * frame(DATA, 0, stream, b"x" * 100) +
                           frame(DATA, END_STREAM, stream))
    left = threading.Event()
    server = Frames(env, reply)
    balancer = env.simple(server, pool=pool(), listener={"protocols": ["h2"]}, workers=1)
    client = env.h2_client(balancer.port).ready()
    for turn in range(100):
        seen = len(server.requests)
        stream = client.request("GET", "/")
        until(lambda seen=seen: len(server.requests) > seen, what="the request")
        client.raw(frame(RST_STREAM, 0, stream.id, number(CANCEL)))
        client.ping()
        left.set()
        assert client.answer(client.request("GET", "/")).status == 200, turn
    assert server.connections == 1 and client.ping() and not client.goaways


def test_l26_small_messages_are_let_be(env):
    """20,000 of 5 bytes, gRPC's least, as fast as they go; 2,000 of 1 byte."""
    def reply(connection, stream):
        connection.sendall(frame(HEADERS, END_HEADERS, stream, HEAD) + 20_000 * frame(DATA, 0, stream, bytes(5)) +
                           2_000 * frame(DATA, 0, stream, b"x") + frame(DATA, END_STREAM, stream))
    server = Frames(env, reply)
    balancer = env.simple(server, pool=pool(), workers=1)
    for _ in range(2):
        assert len(get(balancer.port).body) == 102_000
        time.sleep(0.5)
