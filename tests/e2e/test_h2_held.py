"""One connection of HTTP/2 makes the balancer hold 4 MiB at most, in memory that is really taken, whatever its client does and
whatever servers answer (RELIABILITY G11, L18); each of its requests ends with a reason, and others are served."""
import collections
import json
import random
import socket
import struct
import threading
import time
import zlib

import hpack
from env import busy, lengthy, seconds, until
from h2 import (ACK, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW, MAX_STREAMS, PREFACE, REFUSED_STREAM, SETTINGS, WINDOW_UPDATE, frame,
                settings)
from origin import head, text
from test_h2_bounds import pour

MANY = 100                # L20
HELD_MOST = 4 << 10       # G11, KiB of one connection
LARGE = [(f"x-large-{turn}", "m" * 4000) for turn in range(15)]   # 60 KiB
COUNTED = [(f"x-counted-{turn}", "m" * 250) for turn in range(190)]  # 55 KiB, of many fields
RUNNING = "meridian_requests_running"


def block(method=b"GET", path=b"/", fields=()):
    return hpack.encode([(b":method", method), (b":scheme", b"http"), (b":authority", b"localhost"), (b":path", path), *fields])


class Mute:
    """A client that opens its windows wide, asks, and reads nothing at all."""

    def __init__(self, env, port, window=1 << 20):
        self.socket = socket.socket()
        env._ends.callback(self.socket.close)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(15)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings((INITIAL_WINDOW, window))) + frame(SETTINGS, ACK)
                            + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 100 << 20)))

    def ask(self, method=b"GET", end=True, count=MANY, fields=()):
        asked = block(method, fields=fields)
        for turn in range(count):
            self.socket.sendall(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), 2 * turn + 1, asked))

    def pour(self, size):
        """So much content, a frame on one stream after the other, beyond what any window allows."""
        self.socket.setblocking(False)
        for turn in range(size // 4096):
            try:
                self.socket.send(frame(DATA, 0, 2 * (turn % MANY) + 1, bytes(4096)))
            except BlockingIOError:
                return


class Memory:
    """What the balancer holds more than at first, in KiB: resident; or with a sanitizer, which keeps what is freed and more, of
    the heap by the balancer's own count, what was never touched and what is kept for the next one included."""

    def __init__(self, balancer, plain):
        self.balancer, self.plain = balancer, plain
        self.before = self.now()
        self.most, self.bound = 0, HELD_MOST if plain else HELD_MOST * 5 // 4

    def now(self):
        return self.balancer.rss_kib() if self.plain else self.balancer.metric("meridian_memory_bytes") / 1024

    def watch(self, duration):
        end = time.monotonic() + duration
        while time.monotonic() < end:
            self.most = max(self.most, self.now() - self.before)
            time.sleep(0.1)
        assert self.most <= self.bound, f"{self.most:.0f} KiB"


def is_plain(env):
    """Without a sanitizer or valgrind, which take memory of their own."""
    with open(env.program("meridian"), "rb") as file:
        return not env.tsan and not env.valgrind and b"__asan_init" not in file.read()


def warm(env, balancer):
    """What is kept for everybody once it has been used is not the attacker's."""
    for _ in range(2):
        client = env.h2_client(balancer.port).ready()
        streams = [client.request("GET", "/warm") for _ in range(MANY)]
        for one in streams:
            client.answer(one)
        client.close()
    until(lambda: balancer.metric(RUNNING) == 0, what="no request")


def legal_is_served(env, balancer):
    client = env.h2_client(balancer.port).ready()
    streams = [client.request("GET", "/legal") for _ in range(MANY)]
    assert all(client.answer(one).status == 200 for one in streams), balancer.access_log()
    client.close()


def is_over(balancer, origin=None):
    until(lambda: balancer.metric(RUNNING) == 0, 20, "the end of all requests")
    assert balancer.alive() and (balancer.metric("meridian_requests_waiting") or 0) == 0


def ends_of(balancer, path="/"):
    return collections.Counter(line["end"] for line in balancer.access_log() if line["path"] == path)


def large_heads(env, fields, http2, tls=None):
    """A server whose answers to / have large heads, and a megabyte of content."""
    def of_stream(stream):
        large = stream.path == "/"
        stream.respond(200, fields if large else [], bytes(1 << 20) if large else b"hello")

    def of_request(connection, request):
        large = request.target == "/"
        body = bytes(1 << 20) if large else b"hello"
        connection.send(head(200, [*(fields if large else []), ("Content-Length", str(len(body)))]) + body)
    if http2:
        return env.h2_origin(reply=of_stream, terms=[(MAX_STREAMS, MANY)])
    return env.origin(reply=lambda request: of_request)


@busy
@lengthy
@seconds(180)
def test_g11_large_heads_that_nobody_takes(env):
    """100 answers with heads of 60 KiB for a client that reads nothing at all: some are read and wait, the oldest first, the others
    stay with their servers; where no room comes they end with limit-L18, those of servers of HTTP/2, which cannot be held back,
    at once. None ends as if its server had been slow."""
    for http2 in (False, True):
        for fields in (LARGE, COUNTED):
            origin = large_heads(env, fields, http2)
            balancer = env.simple(origin, pool={"protocol": "h2" if http2 else "http/1.1", "health": {"off": True}},
                                  listener={"protocols": ["h2"]}, workers=1)
            warm(env, balancer)
            memory = Memory(balancer, is_plain(env))
            client = Mute(env, balancer.port)
            client.ask()
            memory.watch(10)
            print(f"HTTP/2 {http2}, {len(fields)} fields: +{memory.most:.0f} KiB")
            client.socket.close()
            is_over(balancer)
            ends = ends_of(balancer)
            assert set(ends) <= {"limit-L18", "client-abort"} and ends["limit-L18"] > 0, ends
            legal_is_served(env, balancer)


@busy
@lengthy
@seconds(180)
def test_g11_large_heads_that_are_taken(env):
    """The same from a client that reads: everybody gets the answer from servers that can be held back, whatever the order."""
    origin = large_heads(env, LARGE, False)
    balancer = env.simple(origin, listener={"protocols": ["h2"]}, workers=1)
    client = env.h2_client(balancer.port).ready()
    answered, asked = 0, 0
    while answered < MANY:  # some are refused, and asked for again
        streams = [client.request() for _ in range(MANY - answered)]
        asked += len(streams)
        client.wait(lambda streams=streams: all(one.over for one in streams), 100, "answers")
        for one in streams:
            assert one.reset in (None, REFUSED_STREAM), one
            assert one.reset or one.status == 200 and len(one.body) == 1 << 20, (one, ends_of(balancer))
            answered += not one.reset
    assert asked < 2 * MANY
    is_over(balancer)


@busy
@lengthy
@seconds(180)
def test_g11_uploads_beside_answers(env):
    """100 uploads to servers that take nothing and answer before they have, for a client that sends on and reads nothing."""
    def of_request(connection, request):
        if request.target == "/":
            connection.send(head(200, [("Content-Length", str(4 << 20))]) + bytes(4 << 20))
        else:
            text(b"hello")(connection, request)

    def of_stream(stream):
        stream.respond(200, [], bytes(4 << 20) if stream.path == "/" else b"hello")
    for http2 in (False, True):
        terms = [(MAX_STREAMS, MANY), (INITIAL_WINDOW, 0)]
        origin = env.h2_origin(reply=of_stream, terms=terms) if http2 else env.origin(early=of_request, reply=lambda _: of_request)
        balancer = env.simple(origin, pool={"protocol": "h2" if http2 else "http/1.1", "health": {"off": True}},
                              listener={"protocols": ["h2"]}, workers=1)
        warm(env, balancer)
        memory = Memory(balancer, is_plain(env))
        client = Mute(env, balancer.port)
        client.ask(b"POST", end=False)
        client.pour(64 << 10)
        memory.watch(6)
        print(f"HTTP/2 {http2}: +{memory.most:.0f} KiB")
        client.socket.close()
        is_over(balancer)
        legal_is_served(env, balancer)


@busy
@lengthy
@seconds(180)
def test_l18_uploads_that_shut_the_window(env):
    """100 uploads where five have a place, and the window is used up by the others' content: the youngest of those end with
    limit-L18, until it opens again; nobody waits until L6 has passed."""
    origin = env.origin(reply=lambda request: text(b"%d" % len(request.body)))
    balancer = env.simple(origin, workers=1, listener={"protocols": ["h2"]}, limits={"backend_connections": 5},
                          pool={"queue": {"limit": 200, "timeout": "60s"}})
    warm(env, balancer)
    client = env.h2_client(balancer.port).ready()
    memory = Memory(balancer, is_plain(env))
    streams = [client.request("POST", "/", end=False) for _ in range(MANY)]
    left = {one.id: 300_000 for one in reversed(streams)}

    def send():
        while any(left.values()) and not client.ended_at:
            for number in list(left):
                if client.streams[number].over:
                    left[number] = 0
            pour(client, left, still=0.5)
    sender = threading.Thread(target=send)
    sender.start()
    memory.watch(5)
    client.wait(lambda: all(one.over for one in streams), 100, "answers")
    sender.join()
    print(f"+{memory.most:.0f} KiB")
    until(lambda: len(balancer.access_log()) >= MANY, what="lines")
    ends = ends_of(balancer)
    # Limit L6: one that has a place and had no time yet to send, as this client begins with the last ones (L34).
    assert ends["ok"] >= 20 and ends["limit-L18"] and set(ends) <= {"ok", "limit-L18", "limit-L6"} and ends["limit-L6"] <= 5, ends
    assert {one.status for one in streams} <= {200, 503, 408}
    is_over(balancer)
    legal_is_served(env, balancer)


def catalogue(size):
    """JSON that shrinks as such things do."""
    dice = random.Random(4711)
    return json.dumps([{"id": dice.randrange(1 << 30), "name": f"article {dice.randrange(1000)}"} for _ in range(size // 46)]).encode()


def compressing(env):
    body = catalogue(1 << 20)

    def of_request(connection, request):
        if request.target == "/":
            fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            connection.send(head(200, fields) + body)
        else:
            text(b"hello")(connection, request)
    origin = env.origin(reply=lambda request: of_request)
    return body, env.simple(origin, listener={"protocols": ["h2"]}, workers=1, pool={"health": {"off": True}},
                            route={"compress": {"types": ["application/json"]}})


@busy
@lengthy
@seconds(180)
def test_g11_compressed_answers_that_nobody_takes(env):
    """100 answers in a content coding for a client that reads nothing: what the encoders have counts, and where that has no room
    answers go as they are. It comes back when the connections end: what is kept for the next ones does not grow."""
    _, balancer = compressing(env)
    warm(env, balancer)
    for coding in (b"gzip", b"br", b"zstd"):
        memory = Memory(balancer, is_plain(env))
        client = Mute(env, balancer.port)
        client.ask(fields=[(b"accept-encoding", coding)])
        memory.watch(4)
        print(f"{coding.decode()}: +{memory.most:.0f} KiB")
        client.socket.close()
        is_over(balancer)
        legal_is_served(env, balancer)

    def own():
        return balancer.metric("meridian_memory_bytes") / 1024
    left = []
    for _ in range(3):
        clients = [Mute(env, balancer.port) for _ in range(4)]
        for client in clients:
            client.ask(fields=[(b"accept-encoding", b"gzip")])
        time.sleep(3)
        for client in clients:
            client.socket.close()
        is_over(balancer)
        until(lambda: balancer.metric("meridian_descriptors") < 100, what="figures of after that")
        left.append(own())
        print(f"after four connections: {left[-1]:.0f} KiB, resident {balancer.rss_kib()} KiB")
    assert left[2] <= left[0] + 2048, left


@seconds(60)
def test_g11_answers_go_as_they_are_where_codings_have_no_room(env):
    """Each of 100 answers is whole, says Vary, and some are compressed."""
    body, balancer = compressing(env)
    client = env.h2_client(balancer.port).ready()
    streams = [client.request("GET", "/", [("accept-encoding", "gzip")]) for _ in range(MANY)]
    client.wait(lambda: all(one.over for one in streams), 60, "answers")
    answered = [one for one in streams if one.reset != REFUSED_STREAM]
    for one in answered:
        coded = one.get("content-encoding") == "gzip"
        assert one.ended and one.status == 200 and one.get("vary") == "Accept-Encoding", one
        assert (zlib.decompress(one.body, 31) if coded else bytes(one.body)) == body
    assert any(one.get("content-encoding") for one in answered) and len(answered) > MANY // 2
