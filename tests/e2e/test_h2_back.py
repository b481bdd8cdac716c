"""HTTP/2 towards backends: by prior knowledge, by ALPN, many streams on one connection, what a server
may refuse (laws of docs/architecture.md; limits L17, L20, L21)."""
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time

from client import Client, get
from env import Skip, busy, seconds, until
from h2 import HTTP_1_1_REQUIRED, MAX_STREAMS
from origin import server_context, text

NO_ERROR, REFUSED_STREAM, CANCEL = 0, 7, 8
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
STATUS_200 = b"\x88"


class Nghttpd:
    """nghttpd over one folder; its log tells how many connections came."""

    def __init__(self, env, *options, pair=None):
        program = shutil.which("nghttpd")
        if not program:
            raise Skip("nghttpd is not installed")
        self.port = env.port()
        self.log = env.path(f"nghttpd-{self.port}.log")
        self.folder = env.path(f"docs-{self.port}")
        os.makedirs(self.folder)
        for name, size in (("small", 100), ("large", 3_000_000)):
            with open(os.path.join(self.folder, name), "wb") as file:
                file.write(bytes(range(256)) * (size // 256) + b"e" * (size % 256))
        tls = [pair.key, pair.chain] if pair else ["--no-tls"]
        options = [*options, "-v", "-a", "127.0.0.1", "-d", self.folder]
        command = [program, *options, *([] if pair else tls), str(self.port), *(tls if pair else [])]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        env._ends.callback(env._end_process, self.process)
        until(self._listens, what="nghttpd")

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def connections(self):
        """Those on which a request came."""
        with open(self.log, encoding="latin-1") as log:
            return len(set(re.findall(r"\[id=(\d+)\].*recv \(stream_id=\d+\) :method", log.read())))

    def content(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()


class Frames:
    """A server of raw frames: it answers each request as `reply(connection, stream)` says. Header
    blocks are not read; responses are spelled with the static table alone."""

    def __init__(self, env, reply, settings=b"", first=None, data=None):
        self.port = env.port()
        self.reply, self.settings, self.first, self.data = reply, settings, first, data
        self.requests, self.connections = [], 0
        self.listener = socket.create_server(("127.0.0.1", self.port))
        env._ends.callback(self.listener.close)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted):
        reader = accepted.makefile("rb")
        try:
            if self.first is not None:
                accepted.sendall(self.first)
            else:
                accepted.sendall(frame(SETTINGS, 0, 0, self.settings))
            reader.read(24)
            while True:
                head = reader.read(9)
                if len(head) < 9:
                    return
                size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
                stream = int.from_bytes(head[5:], "big") & 0x7fffffff
                payload = reader.read(size)
                if kind == SETTINGS and not flags & 1:
                    accepted.sendall(frame(SETTINGS, 1, 0))
                elif kind == PING and not flags & 1:
                    accepted.sendall(frame(PING, 1, 0, payload))
                elif kind == HEADERS:
                    self.requests.append(stream)
                    self.reply(accepted, stream)
                elif kind == DATA and self.data:
                    self.data(accepted, stream, payload, flags)
        except OSError:
            pass
        finally:
            accepted.close()


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def answer(connection, stream, body=b"frames"):
    connection.sendall(frame(HEADERS, 4, stream, STATUS_200) + frame(DATA, 1, stream, body))


def refuse(connection, stream):
    connection.sendall(frame(RST_STREAM, 0, stream, struct.pack(">I", REFUSED_STREAM)))


def go_away(connection, stream):
    """It never looked at the stream."""
    connection.sendall(frame(GOAWAY, 0, 0, struct.pack(">II", stream - 2 if stream > 1 else 0, NO_ERROR)))


def pool(**more):
    return {"protocol": "h2", "health": {"off": True}, **more}


def test_prior_knowledge(env):
    server = Nghttpd(env, "--echo-upload", "--trailer", "x-check: 1")
    balancer = env.simple(server, pool=pool(), workers=1)
    with Client(balancer.port) as client:
        answer = client.get("/small")
        assert (answer.status, answer.body) == (200, server.content("small")), answer
        assert client.get("/large").body == server.content("large")
        assert client.get("/missing").status == 404
        assert client.get("/small", method="HEAD").status == 200
        for size in (0, 1, 40_000, 300_000):
            body = os.urandom(size)
            answer = client.get("/echo", method="POST", body=body)
            assert (answer.status, answer.body) == (200, body), (size, answer.status)
    assert server.connections() == 1


def test_one_connection_serves_many_at_once(env):
    server = Nghttpd(env)
    balancer = env.simple(server, pool=pool(), workers=1)
    load = env.load(f"http://127.0.0.1:{balancer.port}/large", "--requests", 60, "--connections", 20)
    assert (load["failed"], load["completed"]) == (0, 60), load
    assert server.connections() == 1


def test_more_connections_when_streams_are_used_up(env):
    server = Nghttpd(env, "-m", "4")
    balancer = env.simple(server, pool=pool(), workers=1)
    load = env.load(f"http://127.0.0.1:{balancer.port}/large", "--seconds", 2, "--connections", 20)
    assert load["failed"] == 0 and load["completed"] > 20, load
    # Five have room for all; a client's next request may come before its last stream is over.
    assert 2 <= server.connections() <= 10, server.connections()


def test_one_connection_is_opened_for_all_who_wait(env):
    """Until the server has said how many streams it takes one connection stands for all; then as many as they need."""
    for streams, connections in ((100, 1), (20, 3)):
        speaks, gate, asked = threading.Event(), threading.Event(), []

        def reply(stream, gate=gate, asked=asked):
            asked.append(stream)
            gate.wait(30)
            stream.respond(200, [], b"here")

        server = env.h2_origin(reply=reply, terms=((MAX_STREAMS, streams),), hold=speaks)
        balancer = env.simple(server, pool=pool(), listener={"protocols": ["h2"]}, workers=1, timeouts={"connect": "30s"})
        client = env.h2_client(balancer.port).ready()
        waiting = [client.request() for _ in range(60)]
        until(lambda balancer=balancer: balancer.metric("meridian_requests_running") == 60, what="60 requests")
        until(lambda server=server: server.accepted, what="a connection")
        assert server.accepted == 1
        speaks.set()
        until(lambda asked=asked: len(asked) == 60, what="60 streams")
        assert server.accepted == connections == len({id(one.connection) for one in asked}), (server.accepted, connections)
        gate.set()
        assert {client.answer(one).status for one in waiting} == {200}


def test_the_handshake_chooses(env):
    pair = env.authority.server("localhost")
    tls = {"ca": env.authority.ca, "server_name": "localhost"}
    second = Nghttpd(env, pair=pair)
    old = env.origin(tls=server_context(pair))
    for server, protocol, status in ((second, "h2", 200), (second, "auto", 200), (old, "auto", 200),
                                     (old, "http/1.1", 200), (old, "h2", 502)):
        balancer = env.simple(server, pool=pool(tls=tls, protocol=protocol), workers=1)
        assert get(balancer.port, "/small").status == status, (server, protocol)
    assert [request.version for request in old.requests] == ["HTTP/1.1"] * 2


PATIENT = {"connect": "30s"}  # a handshake takes seconds under valgrind


class Both:
    """A server of both versions over TLS, which takes no request of HTTP/2 (RFC 9113 section 7)."""

    def __init__(self, env, pair, **options):
        self.old = env.origin(reply=lambda request: text(b"old"), listen=False)
        self.new = env.h2_origin(reply=lambda stream: stream.cancel(HTTP_1_1_REQUIRED), **options)
        context = server_context(pair)
        context.set_alpn_protocols(["h2", "http/1.1"])
        self.new.tls, self.new.other = context, self.old._serve
        self.address = self.new.address


def test_a_server_that_requires_http_1_1(env):
    """It is asked in it where the pool leaves the choice; what it may have acted on is not repeated (law 1)."""
    pair = env.authority.server("localhost")
    tls = {"ca": env.authority.ca, "server_name": "localhost"}
    server = Both(env, pair)
    balancer = env.simple(server, pool=pool(tls=tls, protocol="auto"), workers=1, timeouts=PATIENT)
    assert get(balancer.port).body == b"old"
    assert [get(balancer.port, method="POST", body=b"once").status for _ in range(3)] == [200] * 3
    assert (len(server.new.requests), len(server.old.requests)) == (1, 4)
    first = env.simple(Both(env, pair), pool=pool(tls=tls, protocol="auto"), workers=1, timeouts=PATIENT)
    assert [get(first.port, method="POST", body=b"once").status for _ in range(3)] == [502, 200, 200]
    assert first.access_log()[0]["end"] == "backend-wants-h1"
    only = env.simple(Both(env, pair), pool=pool(tls=tls, protocol="h2"), workers=1, timeouts=PATIENT)
    assert [get(only.port).status for _ in range(3)] == [502] * 3


def test_a_server_that_requires_http_1_1_of_all(env):
    """By GOAWAY, which says what it has not looked at: that goes again, whatever it is. Also before the first request."""
    pair = env.authority.server("localhost")
    tls = {"ca": env.authority.ca, "server_name": "localhost"}
    server = Both(env, pair)
    server.new.reply = lambda stream: stream.connection.go_away(0, HTTP_1_1_REQUIRED)
    balancer = env.simple(server, pool=pool(tls=tls, protocol="auto"), workers=1, timeouts=PATIENT)
    assert [get(balancer.port, method="POST", body=b"once").body for _ in range(3)] == [b"old"] * 3
    assert (len(server.new.requests), len(server.old.requests)) == (1, 3)
    early = Both(env, pair, polite=False)

    def turn_away():
        until(lambda: early.new.connections, what="a connection")
        early.new.connections[0].go_away(0, HTTP_1_1_REQUIRED)
    threading.Thread(target=turn_away).start()
    balancer = env.simple(early, pool=pool(tls=tls, protocol="auto"), workers=1, timeouts=PATIENT)
    assert [get(balancer.port, method="POST", body=b"once").body for _ in range(3)] == [b"old"] * 3
    assert (len(early.new.connections), len(early.new.requests)) == (1, 0)
    half = Both(env, pair)
    half.new.reply = lambda stream: (stream.connection.go_away(stream.id, HTTP_1_1_REQUIRED), stream.connection.close())
    balancer = env.simple(half, pool=pool(tls=tls, protocol="auto"), workers=1, timeouts=PATIENT)
    assert [get(balancer.port, method="POST", body=b"once").status for _ in range(3)] == [502, 200, 200]
    assert balancer.access_log()[0]["end"] == "backend-wants-h1"


def test_a_server_of_the_other_version(env):
    """It is found out before any byte of a request was sent."""
    talker = Frames(env, answer, first=b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    balancer = env.simple(talker, pool=pool(), workers=1)
    assert get(balancer.port, method="POST", body=b"once").status == 502
    assert [line["end"] for line in balancer.access_log()] == ["backend-protocol"]
    assert talker.requests == []


def test_refused_streams_go_elsewhere(env):
    """RFC 9113 section 8.7, law 1: what was not processed is tried again, a POST too."""
    for deed in (refuse, go_away):
        bad, good = Frames(env, deed), Frames(env, answer)
        balancer = env.simple(bad, good, pool=pool(retries={"budget": "100%"}), workers=1)
        for _ in range(8):
            answered = get(balancer.port, method="POST", body=b"once")
            assert (answered.status, answered.body) == (200, b"frames"), deed
        assert len(good.requests) == 8 and bad.requests, deed


def test_a_server_that_turns_away_before_the_first_request(env):
    """Law 1: GOAWAY with the SETTINGS processed nothing: another server, else an error that says so."""
    hello = frame(SETTINGS, 0, 0) + frame(GOAWAY, 0, 0, bytes(8))
    bad, good = Frames(env, refuse, first=hello), Frames(env, answer)
    balancer = env.simple(bad, good, pool=pool(retries={"budget": "100%"}), workers=1)
    for _ in range(8):
        answered = get(balancer.port, method="POST", body=b"once")
        assert (answered.status, answered.body) == (200, b"frames")
    assert bad.connections and not bad.requests
    alone = env.simple(Frames(env, refuse, first=hello), pool=pool(), workers=1)
    assert get(alone.port).status == 502
    assert [(line["status"], line["end"]) for line in alone.access_log()] == [(502, "backend-reset")]


def test_a_server_that_allows_no_stream(env):
    """L8: like one that accepts and says nothing; L34: no flood of connections."""
    none = struct.pack(">HI", 3, 0)
    bad, good = Frames(env, answer, settings=none), Frames(env, answer)
    quick = {"connect": "1s"}
    balancer = env.simple(bad, good, pool=pool(retries={"budget": "100%"}), timeouts=quick, workers=1)
    statuses = []
    until(lambda: statuses.append(get(balancer.port).status) or bad.connections, 20, "a request for the bad one")
    statuses += [get(balancer.port).status for _ in range(5)]
    assert set(statuses) == {200} and bad.connections <= 6 and not bad.requests, (statuses, bad.connections)
    full = Frames(env, answer, settings=none)
    alone = env.simple(full, pool=pool(), timeouts=quick, workers=1)
    assert get(alone.port).status == 504
    assert 1 <= full.connections <= 3
    assert [line["end"] for line in alone.access_log()] == ["backend-connect-timeout"]


def test_a_refused_stream_finds_a_new_connection_of_the_only_server(env):
    """RFC 9113 section 8.7: what was not processed may go there again, where it is not refused."""
    for deed in (refuse, go_away):
        first = []

        def reply(connection, stream, deed=deed, first=first):
            first.append(connection)
            (deed if connection is first[0] else answer)(connection, stream)

        server = Frames(env, reply)
        balancer = env.simple(server, pool=pool(), workers=1)
        answered = get(balancer.port, method="POST", body=b"once")
        assert (answered.status, answered.body) == (200, b"frames"), deed
        assert server.connections == 2, deed


def test_a_refused_stream_leaves_a_connection_that_is_in_use(env):
    first, held = [], threading.Event()

    def reply(connection, stream):
        first.append(connection)
        if len(first) == 1:
            held.set()
        else:
            (refuse if connection is first[0] else answer)(connection, stream)

    server = Frames(env, reply)
    balancer = env.simple(server, pool=pool(), workers=1)
    with Client(balancer.port) as client:
        client.send(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        assert held.wait(30)
        answered = get(balancer.port, method="POST", body=b"once")
        assert (answered.status, answered.body) == (200, b"frames")
        assert server.connections == 2
        answer(first[0], 1)
        assert client.response().status == 200


def test_a_reset_after_the_request_was_seen(env):
    def reset(connection, stream):
        connection.sendall(frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))

    bad, good = Frames(env, reset), Frames(env, answer)
    balancer = env.simple(bad, good, pool=pool(retries={"budget": "100%"}), workers=1)
    posts = [get(balancer.port, method="POST", body=b"once").status for _ in range(8)]
    assert 502 in posts and 200 in posts
    assert len(bad.requests) + len(good.requests) == 8
    assert all(get(balancer.port).status == 200 for _ in range(8))


def test_goaway_ends_a_connection_after_its_streams(env):
    def last(connection, stream):
        connection.sendall(frame(GOAWAY, 0, 0, struct.pack(">II", stream, NO_ERROR)))
        answer(connection, stream)

    server = Frames(env, last)
    balancer = env.simple(server, pool=pool(), workers=1)
    with Client(balancer.port) as client:
        for _ in range(5):
            assert client.get().body == b"frames"
    assert server.requests == [1] * 5


def test_l17_a_head_without_end(env):
    def endless(connection, stream):
        connection.sendall(frame(HEADERS, 0, stream, STATUS_200))
        for _ in range(100):
            connection.sendall(frame(9, 0, stream, b"\x00\x01a\x01b" * 100))

    balancer = env.simple(Frames(env, endless), pool=pool(), workers=1)
    assert get(balancer.port).status == 502
    assert balancer.alive()


def test_l22_a_block_of_table_sizes(env):
    """RFC 7541 section 4.2, as from clients: one above what was announced ends the connection, many below it do nothing."""
    sizes = b"\x20" + b"\x3f\xe1\x1f"  # 0, 4096
    for block, status in ((sizes * 15_000 + STATUS_200, 200), (b"\x3f\xe2\x1f" + STATUS_200, 502),
                          (STATUS_200 + sizes, 502), (sizes * 40_000 + STATUS_200, 502)):
        def reply(connection, stream, block=block):
            pieces = [block[at:at + 16384] for at in range(0, len(block), 16384)]
            connection.sendall(b"".join(frame(9 if at else HEADERS, 4 if at == len(pieces) - 1 else 0, stream, piece)
                                        for at, piece in enumerate(pieces)) + frame(DATA, 1, stream, b"sizes"))

        balancer = env.simple(Frames(env, reply), pool=pool(), workers=1)
        assert get(balancer.port, method="POST").status == status, (len(block), status)
        assert balancer.alive()


def test_tunnels_only_where_the_server_takes_them(env):
    server = Frames(env, answer)
    balancer = env.simple(server, pool=pool(), route={"websocket": True}, workers=1)
    with Client(balancer.port) as client:
        answered = client.get("/", headers={
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    assert answered.status == 502, answered
    assert server.requests == []


def test_a_tunnel_by_extended_connect(env):
    """RFC 8441: a WebSocket client of HTTP/1.1, a server of HTTP/2."""
    def accept(connection, stream):
        connection.sendall(frame(HEADERS, 4, stream, STATUS_200))

    def echo(connection, stream, payload, flags):
        connection.sendall(frame(DATA, flags, stream, payload[::-1]))

    server = Frames(env, accept, settings=struct.pack(">HI", 8, 1), data=echo)
    balancer = env.simple(server, pool=pool(), route={"websocket": True}, workers=1)
    with Client(balancer.port) as client:
        answered = client.get("/", headers={
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
        assert answered.status == 101, answered
        assert answered.fields.get("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        for _ in range(3):
            client.send(b"abc")
            until(lambda: client.reader.buffer or client.reader.more())
            assert client.reader.buffer[:3] == b"cba", client.reader.buffer
            client.reader.buffer = client.reader.buffer[3:]
        client.half_close()
        assert client.ended()


def test_a_stream_whose_client_left_is_reset(env):
    resets = []

    def begin(connection, stream):
        connection.sendall(frame(HEADERS, 4, stream, STATUS_200))

        data, want = b"", frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL))
        while want not in data:
            more = connection.recv(4096)
            if not more:
                return
            data += more
        resets.append(stream)

    balancer = env.simple(Frames(env, begin), pool=pool(), workers=1)
    client = Client(balancer.port)
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    client.reader.more()
    client.reset()
    until(lambda: resets == [1], what="RST_STREAM")


def test_a_client_that_is_answered_leaves_before_the_server_has_ended(env):
    """What has no content ends with its head for the client; the server may say END_STREAM later (RFC 9113
    section 8.1). The client's connection is gone by then."""
    for method, status, late in (("HEAD", 200, True), ("GET", 204, True), ("GET", 304, False)):
        gate = threading.Event()

        def reply(stream, status=status, late=late, gate=gate):
            stream.connection.headers(stream.id, [(":status", status)])
            gate.wait(20)
            stream.connection.send(stream.id, b"", end=True) if late else stream.cancel()

        balancer = env.simple(env.h2_origin(reply=reply), pool=pool(), listener={"protocols": ["h2"]}, workers=1)
        client = env.h2_client(balancer.port)
        assert client.get(method=method).status == status
        client.socket.shutdown(socket.SHUT_WR)
        client.wait(lambda: client.ended_at, what="the end of the connection")
        client.close()
        another = env.h2_client(balancer.port)
        assert another.ping()
        gate.set()
        assert [line["status"] for line in balancer.access_log()] == [status]
        assert another.get(method=method).status == status


def test_an_answer_without_content_is_whole_with_its_head(env):
    """RST_STREAM in the same read takes nothing from it."""
    def reply(connection, stream):
        connection.sendall(frame(HEADERS, 4, stream, b"\x8b") + frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))

    balancer = env.simple(Frames(env, reply), pool=pool(), listener={"protocols": ["h2", "http/1.1"]}, workers=1)
    for _ in range(3):
        assert get(balancer.port).status == 304
        assert env.h2_client(balancer.port).get("/").status == 304


def test_an_answer_without_content_holds_up_nobody(env):
    """It ends with its head, also where the server never ends its stream: that one is reset after a while."""
    resets = []

    def reply(stream):
        stream.connection.headers(stream.id, [(":status", stream.path[1:])])
        stream.connection.wait(lambda: stream.reset is not None or stream.connection.ended_at, 20, "the end")
        resets.append(stream.reset)

    server = env.h2_origin(reply=reply)
    balancer = env.simple(server, pool=pool(), workers=1)
    with Client(balancer.port) as client:
        for method, status in (("HEAD", 200), ("GET", 204), ("HEAD", 404), ("GET", 304)):
            assert client.get(f"/{status}", method=method).status == status, (method, status)
    assert [(line["status"], line["end"]) for line in balancer.access_log(4)] == [(n, "ok") for n in (200, 204, 404, 304)]
    until(lambda: len(resets) == 4, 20, "resets")
    assert resets == [CANCEL] * 4 and len(server.connections) == 1, (resets, server.connections)


@busy
def test_g6_a_backend_killed_under_load(env):
    """No idempotent request fails."""
    servers = [Nghttpd(env) for _ in range(3)]
    balancer = env.simple(*servers, pool={"protocol": "h2"})
    load = env.load(f"http://127.0.0.1:{balancer.port}/small", "--rate", 200, "--seconds", 4,
                    "--connections", 32, background=True)
    time.sleep(1.5)
    servers[1].process.kill()
    report = env.load_report(load)
    assert report["failed"] == 0, report
    assert report["completed"] >= 700
    assert until(balancer.alive)


@busy
@seconds(180)
def test_100_streams_on_each_of_100_connections(env):
    """All at once, to servers of both versions: 0 errors. One of HTTP/1.1 has them wait for its 512 connections (L34), for
    which the pool's queue must be long enough (L9). Under ThreadSanitizer a fifth of them: one turn of a worker would
    last so long that its watchdog ends it (C8)."""
    clients = 20 if env.tsan else 100
    program = shutil.which("h2load")
    if not program:
        raise Skip("h2load is not installed")
    for origin, more in ((env.origin(), {"queue": {"limit": 10000, "timeout": "100s"}}), (Nghttpd(env), {"protocol": "h2"})):
        balancer = env.simple(origin, pool=more, listener={"protocols": ["h2"]})
        count, url = 100 * clients, f"http://127.0.0.1:{balancer.port}/small"
        done = subprocess.run([program, "-n", str(count), "-c", str(clients), "-m", "100", url], capture_output=True,
                              text=True, timeout=120)
        assert f"{count} succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, (more, done.stdout, done.stderr)
        assert f"{count} 2xx, 0 3xx, 0 4xx, 0 5xx" in done.stdout, (more, done.stdout)
        until(lambda balancer=balancer: balancer.metric("meridian_requests_running") == 0, what="no request")


@busy
def test_both_sides_under_h2load(env):
    """100 streams on each of 20 connections, and a backend that dies in the middle: nothing fails. Of fewer under
    ThreadSanitizer, as above."""
    clients = 5 if env.tsan else 20
    program = shutil.which("h2load")
    if not program:
        raise Skip("h2load is not installed")
    servers = [Nghttpd(env) for _ in range(3)]
    pool = {"protocol": "h2", "retries": {"budget": "100%"}}  # a third of all that is in flight may need one
    balancer = env.simple(*servers, pool=pool, listener={"protocols": ["h2"]})
    count, url = 1000 * clients, f"http://127.0.0.1:{balancer.port}/small"
    command = [program, "-n", str(count), "-c", str(clients), "-m", "100", url]
    load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    env._ends.callback(env._end_process, load)
    time.sleep(0.5)
    servers[1].process.kill()
    report, _ = load.communicate(timeout=60)
    assert f"{count} succeeded, 0 failed, 0 errored, 0 timeout" in report, report
    assert f"{count} 2xx, 0 3xx, 0 4xx, 0 5xx" in report, report
