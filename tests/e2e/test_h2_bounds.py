"""What one client's connection of HTTP/2 may make the balancer hold, whatever its streams and their servers do (G11, L18):
content that servers do not take, heads that compression hides, windows that nobody has agreed to. And peers that never
agree (RFC 9113 section 6.5.3)."""
import re
import shutil
import subprocess
import threading
import time

import hpack
from client import get
from env import Skip, busy, lengthy, seconds, until
from h2 import (ACK, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW, MAX_HEADER_LIST, MAX_STREAMS, PADDED, REFUSED_STREAM,
                SETTINGS, SETTINGS_TIMEOUT, frame)
from origin import text

MANY = 100                       # L20
HELD_MOST = 4 << 20              # G11, bytes of one connection
WINDOW = 1 << 20                 # L21, of the connection
HEAD = [(b":scheme", b"http"), (b":authority", b"localhost"), (b":path", b"/")]


def ask(stream, block, end=True):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block)


def pour(client, left, still=1.0):
    """Content on all of these streams as the windows allow, until it is sent or nothing has moved for a while; how much."""
    moved, sent = time.monotonic(), 0
    while any(left.values()) and time.monotonic() - moved < still and not client.ended_at:
        pieces = []
        with client.news:
            for number in left:
                stream = client.streams[number]
                size = min(left[number], stream.window, client.window, 16384)
                if size <= 0:
                    continue
                stream.window -= size
                client.window -= size
                left[number] -= size
                sent += size
                pieces.append(frame(DATA, 0 if left[number] else END_STREAM, number, bytes(size)))
        if pieces:
            moved = time.monotonic()
            client.raw(b"".join(pieces))
        else:
            time.sleep(0.01)
    return sent


@busy
@seconds(90)
def test_g11_content_that_servers_do_not_take(env):
    """100 uploads to servers that open no window: what is taken from the client, and what its window lets through still,
    leaves room for all else that it may make us hold. When the servers go on, everything arrives."""
    size, go_on = 150_000, threading.Event()

    def serve(stream):
        go_on.wait(60)
        stream.connection.open_window(stream.id, size)
        stream.respond(200, [], b"%d" % len(stream.read()))
    for one_server in (True, False):
        go_on.clear()
        origin = env.h2_origin(reply=serve, terms=[(INITIAL_WINDOW, 0), (MAX_STREAMS, MANY if one_server else 10)])
        balancer = env.simple(origin, pool={"protocol": "h2", "health": {"off": True}}, listener={"protocols": ["h2"]}, workers=1)
        client = env.h2_client(balancer.port).ready()
        block = hpack.encode([(b":method", b"POST"), *HEAD])
        client.raw(b"".join(ask(2 * turn + 1, block, end=False) for turn in range(MANY)))
        left = {client.stream(2 * turn + 1).id: size for turn in range(MANY)}
        until(lambda origin=origin: len(origin.requests) == MANY, 20, "requests")
        sent = pour(client, left)
        assert sent + client.window < 2 * WINDOW, f"{sent >> 10} KiB, and {client.window >> 10} more"
        assert client.ping()
        go_on.set()
        for connection in origin.connections:
            connection.open_window(0, MANY * size)
        pour(client, left, 20)
        client.wait(lambda client=client: all(one.over for one in client.streams.values()), 20, "answers")
        assert {bytes(one.body) for one in client.streams.values()} == {b"%d" % size}, client
        client.close()


@busy
def test_l18_uploads_that_are_taken_are_not_held_up(env):
    """One server that takes nothing does not stop what goes to others, also when the rest of the connection is in use."""
    stuck = env.h2_origin(reply=lambda stream: stream.read(60), terms=[(INITIAL_WINDOW, 0)])
    moves = env.origin(reply=lambda request: text(b"%d" % len(request.body)))
    port = env.port()
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}", "protocols": ["h2"]}},
        "pools": {"stuck": {"backends": {"a": {"address": stuck.address}}, "protocol": "h2", "health": {"off": True}},
                  "moves": {"backends": {"a": {"address": moves.address}}}},
        "routes": [{"match": {"path": "/stuck"}, "pool": "stuck"}, {"pool": "moves"}], "workers": 1})
    client = env.h2_client(port).ready()
    left = {client.request("POST", "/stuck", end=False).id: 100_000 for _ in range(8)}
    until(lambda: len(stuck.requests) == 8, 20, "requests")
    pour(client, left)
    for _ in range(3):
        answer = client.get("/", method="POST", body=bytes(3_000_000))
        assert answer.body == b"3000000", (answer, balancer.access_log())
    assert balancer.alive()


@busy
@seconds(90)
def test_g11_heads_that_compression_hides(env):
    """A table entry of 3900 bytes, named nine times by each of 100 requests: 36 KiB that were some bytes on the wire. As many
    are taken as fit beside what they may still make us hold, the others are refused, and taken later."""
    gate = threading.Event()

    def serve(_):
        gate.wait(60)
        return text(b"hello")
    origin = env.origin(reply=serve)
    balancer = env.simple(origin, listener={"protocols": ["h2"]}, workers=1)
    client = env.h2_client(balancer.port).ready()
    get_it = hpack.encode([(b":method", b"GET"), *HEAD])
    size = 9 * (3900 + len("x-large") + 32)
    assert size < client.peer_settings[MAX_HEADER_LIST]
    before = balancer.rss_kib()
    client.raw(ask(1, get_it + hpack.literal(b"x-large", b"b" * 3900, add=True) + hpack.indexed(62) * 8))
    client.raw(b"".join(ask(2 * turn + 1, get_it + hpack.indexed(62) * 9) for turn in range(1, MANY)))
    streams = [client.stream(2 * turn + 1) for turn in range(MANY)]
    until(lambda: len(origin.requests) + sum(one.over for one in streams) == MANY, 20, "requests and refusals")
    refused = [one for one in streams if one.reset == REFUSED_STREAM]
    assert len(origin.requests) + len(refused) == MANY, client
    assert len(origin.requests) * size < HELD_MOST // 4 * 3, f"{len(origin.requests)} requests of {size} bytes"
    assert len(origin.requests) >= 25, "enough for those who mean it"
    grown = (balancer.rss_kib() - before) * 1024
    # 3.4 MiB, but AddressSanitizer's zones are several times that, for the many pieces.
    assert env.tsan or grown < 4 * HELD_MOST, f"{grown >> 10} KiB"
    gate.set()
    client.wait(lambda: all(one.over for one in streams), 20, "answers")
    client.raw(b"".join(ask(2 * turn + 1, get_it + hpack.indexed(62) * 9) for turn in range(MANY, MANY + len(refused))))
    again = [client.stream(2 * turn + 1) for turn in range(MANY, MANY + len(refused))]
    client.wait(lambda: all(one.over for one in again), 20, "the others")
    assert {one.status for one in streams + again if one not in refused} == {200}, client


def test_l21_servers_agree_first(env):
    """Before a server has acknowledged our SETTINGS each stream would have the window of RFC 9113: it is given none."""
    origin = env.h2_origin(polite=False)
    balancer = env.simple(origin, pool={"protocol": "h2", "health": {"off": True}}, workers=1, timeouts={"connect": "500ms"})
    assert get(balancer.port).status == 504
    assert origin.connections and not origin.requests
    late = env.h2_origin(polite=False)
    balancer = env.simple(late, pool={"protocol": "h2", "health": {"off": True}}, workers=1)

    early = []

    def agree():
        until(lambda: late.connections, what="a connection")
        time.sleep(0.3)
        early.extend(late.requests)
        late.connections[0].frame(SETTINGS, ACK)
    agrees = threading.Thread(target=agree)
    agrees.start()
    answer = get(balancer.port)
    agrees.join()
    assert answer.status == 200 and len(late.requests) == 1 and not early, (answer, early)


@lengthy
def test_l25_clients_that_never_agree(env):
    """RFC 9113 section 6.5.3: they are served for ten seconds."""
    balancer = env.simple(env.origin(), listener={"protocols": ["h2"]}, workers=1)
    client = env.h2_client(balancer.port, polite=False)
    agreed = env.h2_client(balancer.port)
    begun = time.monotonic()
    assert client.get("/").status == agreed.get("/").status == 200
    client.wait(lambda: client.ended_at, 30, "the end")
    assert client.code == SETTINGS_TIMEOUT and client.ended_at - begun > 5, client
    assert agreed.ping()


@busy
@seconds(90)
def test_l27_large_answers_to_many_streams(env):
    """A client that takes what it asked for is not refused further requests because others come as fast as it can take them:
    pieces get smaller before L27's bound is reached. A few may be, which were asked for before anything had come."""
    program = shutil.which("h2load")
    if not program:
        raise Skip("h2load is not installed")
    balancer = env.simple(env.origin(reply=lambda request: text(bytes(100_000))), listener={"protocols": ["h2"]}, workers=1)
    count = 500 if env.tsan else 2000
    done = subprocess.run([program, "-n", str(count), "-c", "2", "-m", "100", f"http://127.0.0.1:{balancer.port}/"],
                          capture_output=True, text=True, timeout=80)
    succeeded = int(re.search(r"(\d+) succeeded", done.stdout).group(1))
    assert succeeded >= 0.98 * count, done.stdout


@busy
@seconds(90)
def test_l21_padding_is_given_back(env):
    """It opens the connection's window again as content does, however much of it has come."""
    origin = env.origin(reply=lambda request: text(b"%d" % len(request.body)))
    balancer = env.simple(origin, workers=1, listener={"protocols": ["h2"]})
    piece = bytes([255]) + b"m" * 1000 + bytes(255)
    client = env.h2_client(balancer.port).ready()
    for _ in range(8):
        stream = client.request("POST", "/", end=False)
        for _ in range(100):
            client.wait(lambda: min(stream.window, client.window) >= 10 * len(piece), 10, "the windows to open")
            with client.news:
                stream.window -= 10 * len(piece)
                client.window -= 10 * len(piece)
            client.raw(10 * frame(DATA, PADDED, stream.id, piece))
        client.raw(frame(DATA, END_STREAM, stream.id))
        assert client.answer(stream).body == b"1000000"


@busy
@seconds(90)
def test_l18_uploads_that_wait_do_not_stop_those_that_have_a_place(env):
    """Forty at a time where five have a place: the content of the others must not use up the connection's window."""
    origin = env.origin(reply=lambda request: text(b"%d" % len(request.body)))
    balancer = env.simple(origin, workers=1, listener={"protocols": ["h2"]}, limits={"backend_connections": 5},
                          pool={"queue": {"limit": 100, "timeout": "30s"}})
    client = env.h2_client(balancer.port).ready()
    streams = [client.request("POST", "/", end=False) for _ in range(40)]
    pour(client, {one.id: 300_000 for one in reversed(streams)}, still=5)
    for one in streams:
        assert client.answer(one).status == 200 and one.body == b"300000", (one, balancer.access_log())
