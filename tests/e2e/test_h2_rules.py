"""What HTTP/2 does not allow and what it does (RFC 9113 sections 3 to 8, RFC 7541), frame by frame, at the
client's side: each case says what is sent and what may come of it. A recording backend must never see
a whole request of a malformed one (RELIABILITY H9 to H12)."""
import struct
import threading
import time

import hpack
from client import Client, client_context, get
from env import until
from h2 import (ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM,
                ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, H2Client, HEADERS, INITIAL_WINDOW, MAX_FRAME, MAX_STREAMS,
                NO_ERROR, PADDED, PING, PREFACE, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM,
                SETTINGS, STREAM_CLOSED, TABLE_SIZE, WINDOW_UPDATE, WITH_PRIORITY, frame, pairs, settings)
from origin import gated, text

# --- what may come of it ---


class Ends:
    """GOAWAY with one of these codes, then the end of the connection."""

    def __init__(self, *codes):
        self.codes = codes

    def judge(self, client):
        client.wait(lambda: client.ended_at, 5, "the end of the connection")
        return client.code in self.codes


class Resets:
    """RST_STREAM with one of these codes, the connection lives; or GOAWAY with one of them."""

    def __init__(self, *codes, stream=1):
        self.codes, self.stream = codes, stream

    def judge(self, client):
        stream = client.stream(self.stream)
        client.wait(lambda: stream.reset is not None or client.ended_at, 5, "RST_STREAM")
        if client.ended_at:
            return client.code in self.codes
        return stream.reset in self.codes and client.ping()


class Answers:
    """A response with one of these statuses; the connection lives."""

    def __init__(self, *statuses, stream=1):
        self.statuses, self.stream = statuses, stream

    def judge(self, client):
        stream = client.stream(self.stream)
        client.wait(lambda: stream.over or client.ended_at, 5, "a response")
        return stream.status in self.statuses and client.ping()


class Refuses:
    """The request is malformed: 400, or a stream error of PROTOCOL_ERROR (RFC 9113 section 8.1.1)."""

    def __init__(self, *statuses):
        self.statuses = statuses or (400,)

    def judge(self, client):
        stream = client.stream(1)
        client.wait(lambda: stream.over or client.ended_at, 5, "a refusal")
        if client.ended_at or stream.reset not in (None, NO_ERROR):
            return PROTOCOL_ERROR in (client.code, stream.reset)
        return stream.status in self.statuses and client.ping()


class Lives:
    """Nothing happens."""

    def judge(self, client):
        return client.ping() and not client.goaways


FINE = Answers(200)


# --- spelling ---

def head(*fields, method="GET", path="/", end=True, stream=1, flags=END_HEADERS, kind=HEADERS):
    return raw_head(hpack.encode(whole(*fields, method=method, path=path)), end, stream, flags, kind)


def raw_head(block, end=True, stream=1, flags=END_HEADERS, kind=HEADERS):
    return frame(kind, flags | (END_STREAM if end else 0), stream, block)


def whole(*fields, method="GET", path="/"):
    return [(b":method", method.encode()), (b":scheme", b"http"), (b":authority", b"localhost"),
            (b":path", path.encode()), *pairs(fields)]


def fields(*all_of_them, end=True):
    """A head of exactly these fields."""
    return raw_head(hpack.encode(pairs(all_of_them)), end)


def long(value):
    return struct.pack(">I", value)


def answered(stream=1):
    return lambda client: client.wait(lambda: client.stream(stream).ended or client.ended_at, 5, "the response")


POST = head(method="POST", end=False)
M, S, A, P = (":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")
BLOCK = hpack.encode(whole())


def run(env, cases, hello=None):
    """Cases whose requests may pass have an origin of their own: one that comes late counts against nobody."""
    refused = [case for case in cases if isinstance(case[2], Refuses)]
    wrong = run_alike(env, refused, hello) + run_alike(env, [case for case in cases if case not in refused], hello)
    assert not wrong, "\n".join([f"{len(wrong)} of {len(cases)}:", *wrong])


def run_alike(env, cases, hello):
    origin = env.origin(reply=lambda request: text(b"hello"))
    balancer = env.simple(origin, listener={"protocols": ["h2"]})
    wrong = []
    for title, sent, reaction in cases:
        before = len([one for one in origin.requests if one.complete])
        with H2Client(balancer.port, hello=hello, polite=hello is None) as client:
            try:
                if hello is None:
                    client.ready()
                for piece in sent if isinstance(sent, (list, tuple)) else [sent]:
                    if callable(piece):
                        piece(client)
                    else:
                        client.raw(piece)
                good = reaction.judge(client)
            except (TimeoutError, ConnectionError) as problem:
                good = isinstance(problem, ConnectionError) and isinstance(reaction, Ends) and reaction.judge(client)
            if not good:
                wrong.append(f"{title}: {client}")
        passed = len([one for one in origin.requests if one.complete]) - before
        if passed and isinstance(reaction, Refuses):
            wrong.append(f"{title}: the backend saw it")
    assert not origin.malformed
    return wrong


# --- RFC 9113 ---

def test_3_connection_preface(env):
    terms = frame(SETTINGS)
    cases = [
        ("a preface and a request in one piece", PREFACE + terms + head(), FINE),
        ("a preface byte by byte", [bytes([byte]) for byte in PREFACE + terms] + [head()], FINE),
        ("no SETTINGS after the preface", PREFACE + head(), Ends(PROTOCOL_ERROR)),
        ("PING before SETTINGS", PREFACE + frame(PING, 0, 0, b"12345678"), Ends(PROTOCOL_ERROR)),
        ("an acknowledgement before SETTINGS", PREFACE + frame(SETTINGS, ACK), Ends(PROTOCOL_ERROR)),
        ("another preface", b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n" + terms, Ends(None, PROTOCOL_ERROR)),
        ("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b" " * 24, Ends(None, PROTOCOL_ERROR)),
        ("an upgrade to h2c", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
         b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", Ends(None, PROTOCOL_ERROR)),
    ]
    run(env, cases, hello=b"")


def test_4_frames(env):
    big = bytes(16385)
    cases = [
        ("an unknown type", [frame(0x42, 0xff, 0, b"what"), frame(0x42, 0, 77, b"what"), head()], FINE),
        ("unknown flags", frame(HEADERS, 0xff & ~(PADDED | WITH_PRIORITY), 1, BLOCK), FINE),
        ("the reserved bit", [frame(PING, 0, 0x80000000, b"12345678"), frame(HEADERS, 5, 0x80000001, BLOCK)], FINE),
        ("DATA of the largest size", [POST, frame(DATA, 1, 1, bytes(16384))], FINE),
        ("DATA above it", [POST, frame(DATA, 1, 1, big)], Resets(FRAME_SIZE_ERROR)),
        ("HEADERS above it", frame(HEADERS, 5, 1, big), Ends(FRAME_SIZE_ERROR)),
        ("SETTINGS above it", frame(SETTINGS, 0, 0, bytes(16386)), Ends(FRAME_SIZE_ERROR)),
        ("an unknown frame above it", frame(0x42, 0, 0, big), Ends(FRAME_SIZE_ERROR)),
        ("a block that does not decode", raw_head(b"\xff\xff\xff\xff\xff"), Ends(COMPRESSION_ERROR)),
        ("a block cut short", raw_head(BLOCK + b"\x00\x05ab"), Ends(COMPRESSION_ERROR)),
        ("another stream's HEADERS inside a block", [head(flags=0), head(stream=3)], Ends(PROTOCOL_ERROR)),
        ("PRIORITY inside a block", [head(flags=0), frame(PRIORITY, 0, 1, bytes(5))], Ends(PROTOCOL_ERROR)),
        ("an unknown frame inside a block", [head(flags=0), frame(0x42)], Ends(PROTOCOL_ERROR)),
        ("DATA inside a block", [head(flags=0, end=False), frame(DATA, 1, 1)], Ends(PROTOCOL_ERROR)),
        ("trailers that do not decode", [POST, raw_head(b"\x80")], Ends(COMPRESSION_ERROR)),
    ]
    run(env, cases)


def test_5_streams(env):
    reset = frame(RST_STREAM, 0, 1, long(CANCEL))
    closed = Ends(STREAM_CLOSED)
    depends = frame(PRIORITY, 0, 1, long(1) + b"\xff")
    cases = [
        ("idle: DATA", frame(DATA, 1, 1, b"x"), Ends(PROTOCOL_ERROR)),
        ("idle: RST_STREAM", reset, Ends(PROTOCOL_ERROR)),
        ("idle: WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 1, long(1)), Ends(PROTOCOL_ERROR)),
        ("idle: CONTINUATION", raw_head(BLOCK, kind=CONTINUATION), Ends(PROTOCOL_ERROR)),
        ("idle: PRIORITY", [frame(PRIORITY, 0, 3, long(0) + b"\x10"), head()], FINE),
        ("half closed: DATA", [head(), frame(DATA, 1, 1, b"x")], Resets(STREAM_CLOSED)),
        ("half closed: HEADERS", [head(), head()], Resets(STREAM_CLOSED)),
        ("half closed: WINDOW_UPDATE, PRIORITY", [head() + frame(WINDOW_UPDATE, 0, 1, long(9)) +
                                                  frame(PRIORITY, 0, 1, bytes(5))], FINE),
        ("reset: DATA", [POST, reset, frame(DATA, 1, 1, b"x")], closed),
        ("reset: HEADERS", [POST, reset, head()], closed),
        ("reset: CONTINUATION", [POST, reset, raw_head(BLOCK, kind=CONTINUATION)], Ends(STREAM_CLOSED, PROTOCOL_ERROR)),
        ("reset: RST_STREAM, WINDOW_UPDATE", [POST, reset, reset, frame(WINDOW_UPDATE, 0, 1, long(1))], Lives()),
        ("ended: DATA", [head(), answered(), frame(DATA, 1, 1, b"x")], closed),
        ("ended: HEADERS", [head(), answered(), head()], closed),
        ("ended: CONTINUATION", [head(), answered(), raw_head(BLOCK, kind=CONTINUATION)],
         Ends(STREAM_CLOSED, PROTOCOL_ERROR)),
        ("ended: WINDOW_UPDATE, RST_STREAM, PRIORITY", [head(), answered(), frame(WINDOW_UPDATE, 0, 1, long(1)),
                                                        reset, frame(PRIORITY, 0, 1, bytes(5))], Lives()),
        ("an even number", head(stream=2), Ends(PROTOCOL_ERROR)),
        ("number 0", head(stream=0), Ends(PROTOCOL_ERROR)),
        ("a number below the last", [head(stream=5), answered(5), head(stream=3)], Ends(PROTOCOL_ERROR)),
        ("numbers passed over", [head(stream=5), answered(5), head(stream=101)], Answers(200, stream=101)),
        ("the last number", head(stream=0x7fffffff), Answers(200, stream=0x7fffffff)),
        ("it depends on itself, HEADERS", frame(HEADERS, 0x25, 1, long(1) + b"\x10" + BLOCK), Resets(PROTOCOL_ERROR)),
        ("it depends on itself, PRIORITY", [POST, depends], Resets(PROTOCOL_ERROR)),
        ("priorities are ignored", frame(HEADERS, 0x25, 1, long(0x80000003) + b"\x10" + BLOCK), FINE),
        ("frames of two streams mixed", [POST, head(stream=3, method="POST", end=False), frame(DATA, 0, 3, b"b"),
                                         frame(DATA, 1, 1, b"a"), frame(DATA, 1, 3, b"b")], Answers(200, stream=3)),
    ]
    run(env, cases)


def test_6_frame_types(env):
    padded = bytes([4]) + b"data" + bytes(4)
    reset = frame(RST_STREAM, 0, 1, long(CANCEL))
    cases = [
        ("6.1 DATA on stream 0", frame(DATA, 1, 0, b"x"), Ends(PROTOCOL_ERROR)),
        ("6.1 padding", [POST, frame(DATA, 9, 1, padded)], FINE),
        ("6.1 padding of the whole frame", [POST, frame(DATA, 9, 1, bytes([4]) + bytes(4))], FINE),
        ("6.1 padding longer than the frame", [POST, frame(DATA, 9, 1, b"\x09data")], Ends(PROTOCOL_ERROR)),
        ("6.1 padded and empty", [POST, frame(DATA, 9, 1)], Ends(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
        ("6.2 padding", frame(HEADERS, 5 | PADDED, 1, bytes([3]) + BLOCK + bytes(3)), FINE),
        ("6.2 padding longer than the frame", frame(HEADERS, 5 | PADDED, 1, b"\xff" + BLOCK), Ends(PROTOCOL_ERROR)),
        ("6.2 priority cut short", frame(HEADERS, 0x25, 1, bytes(3)), Ends(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
        ("6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, bytes(5)), Ends(PROTOCOL_ERROR)),
        ("6.3 PRIORITY of 4 bytes", [POST, frame(PRIORITY, 0, 1, bytes(4))], Resets(FRAME_SIZE_ERROR)),
        ("6.4 RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, long(CANCEL)), Ends(PROTOCOL_ERROR)),
        ("6.4 RST_STREAM of 3 bytes", [POST, frame(RST_STREAM, 0, 1, bytes(3))], Ends(FRAME_SIZE_ERROR)),
        ("6.4 an unknown code", [POST, frame(RST_STREAM, 0, 1, long(0xdead))], Lives()),
        ("6.5 SETTINGS on stream 1", frame(SETTINGS, 0, 1), Ends(PROTOCOL_ERROR)),
        ("6.5 an acknowledgement with content", frame(SETTINGS, ACK, 0, settings((3, 1))), Ends(FRAME_SIZE_ERROR)),
        ("6.5 SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, bytes(5)), Ends(FRAME_SIZE_ERROR)),
        ("6.5.2 push 2", frame(SETTINGS, 0, 0, settings((ENABLE_PUSH, 2))), Ends(PROTOCOL_ERROR)),
        ("6.5.2 a window of 2^31", frame(SETTINGS, 0, 0, settings((INITIAL_WINDOW, 1 << 31))), Ends(FLOW_CONTROL_ERROR)),
        ("6.5.2 frames below 2^14", frame(SETTINGS, 0, 0, settings((MAX_FRAME, 16383))), Ends(PROTOCOL_ERROR)),
        ("6.5.2 frames above 2^24-1", frame(SETTINGS, 0, 0, settings((MAX_FRAME, 1 << 24))), Ends(PROTOCOL_ERROR)),
        ("6.5.2 an unknown setting", [frame(SETTINGS, 0, 0, settings((0xf0f0, 7))), head()], FINE),
        ("6.5.3 one setting twice", [frame(SETTINGS, 0, 0, settings((INITIAL_WINDOW, 1), (INITIAL_WINDOW, 9))), head()],
         FINE),
        ("6.6 PUSH_PROMISE from a client", [POST, frame(PUSH_PROMISE, 4, 1, long(2) + BLOCK)], Ends(PROTOCOL_ERROR)),
        ("6.7 PING", frame(PING, 0, 0, b"12345678"), Lives()),
        ("6.7 an answer nobody asked for", [frame(PING, ACK, 0, b"12345678"), head()], FINE),
        ("6.7 PING on stream 1", frame(PING, 0, 1, b"12345678"), Ends(PROTOCOL_ERROR)),
        ("6.7 PING of 7 bytes", frame(PING, 0, 0, b"1234567"), Ends(FRAME_SIZE_ERROR)),
        ("6.8 GOAWAY on stream 1", frame(GOAWAY, 0, 1, bytes(8)), Ends(PROTOCOL_ERROR)),
        ("6.8 GOAWAY cut short", frame(GOAWAY, 0, 0, bytes(7)), Ends(FRAME_SIZE_ERROR)),
        ("6.8 a response after GOAWAY", [head() + frame(GOAWAY, 0, 0, bytes(8)), answered()],
         Ends(None, NO_ERROR)),
        ("6.9 WINDOW_UPDATE of 0, connection", frame(WINDOW_UPDATE, 0, 0, long(0)), Ends(PROTOCOL_ERROR)),
        ("6.9 WINDOW_UPDATE of 0, stream", [POST, frame(WINDOW_UPDATE, 0, 1, long(0))], Resets(PROTOCOL_ERROR)),
        ("6.9 WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, 0, 0, bytes(3)), Ends(FRAME_SIZE_ERROR)),
        ("6.9.1 overflow, connection", frame(WINDOW_UPDATE, 0, 0, long(0x7fffffff)), Ends(FLOW_CONTROL_ERROR)),
        ("6.9.1 overflow, stream", [POST, frame(WINDOW_UPDATE, 0, 1, long(0x7fffffff))], Resets(FLOW_CONTROL_ERROR)),
        ("6.9.2 overflow by SETTINGS", [POST, frame(WINDOW_UPDATE, 0, 1, long(0x7fffffff - 65535)),
                                        frame(SETTINGS, 0, 0, settings((INITIAL_WINDOW, 65536)))],
         Resets(FLOW_CONTROL_ERROR)),
        ("6.10 blocks in pieces", frame(HEADERS, 1, 1, BLOCK[:1]) + frame(CONTINUATION, 0, 1, BLOCK[1:3]) +
         frame(CONTINUATION, 4, 1, BLOCK[3:]), FINE),
        ("6.10 CONTINUATION after the end of a block", [head(), frame(CONTINUATION, 4, 1, BLOCK)],
         Ends(PROTOCOL_ERROR, STREAM_CLOSED)),
        ("6.10 CONTINUATION on stream 0", [head(flags=0), frame(CONTINUATION, 4, 0, BLOCK)], Ends(PROTOCOL_ERROR)),
        ("6.10 CONTINUATION of another stream", [head(flags=0), frame(CONTINUATION, 4, 3, BLOCK)], Ends(PROTOCOL_ERROR)),
        ("6.10 CONTINUATION after DATA", [POST, frame(DATA, 0, 1, b"x"), frame(CONTINUATION, 4, 1, BLOCK)],
         Ends(PROTOCOL_ERROR)),
        ("a stream reset and the next one asked", [POST, reset, head(stream=3)], Answers(200, stream=3)),
    ]
    run(env, cases)


def test_8_requests(env):
    no = Refuses()
    cases = [
        ("H9 an upper-case name", head(("X-Name", "1")), no),
        ("H9 :status", fields(M, S, A, P, (":status", "200")), no),
        ("H9 an unknown pseudo field", fields(M, S, A, P, (":test", "x")), no),
        ("H9 a pseudo field after another", fields(M, S, ("x", "1"), A, P), no),
        ("H9 no :method", fields(S, A, P), no),
        ("H9 no :scheme", fields(M, A, P), no),
        ("H9 no :path", fields(M, S, A), no),
        ("H9 :method twice", fields(M, M, S, A, P), no),
        ("H9 :scheme twice", fields(M, S, S, A, P), no),
        ("H9 :path twice", fields(M, S, A, P, P), no),
        ("H9 :authority twice", fields(M, S, A, A, P), no),
        ("H9 an empty :path", fields(M, S, A, (":path", "")), no),
        ("H9 a relative :path", fields(M, S, A, (":path", "x")), no),
        ("H9 an absolute :path", fields(M, S, A, (":path", "http://localhost/")), no),
        ("H9 * for GET", fields(M, S, A, (":path", "*")), no),
        ("H9 * for OPTIONS", fields((":method", "OPTIONS"), S, A, (":path", "*")), FINE),
        ("H9 a space in :path", head(path="/a b"), no),
        ("H9 CR LF in :path", head(path="/a\r\nx: y"), no),
        ("H9 a # in :path", head(path="/a#b"), no),
        ("H9 another :scheme", fields(M, (":scheme", "ftp"), A, P), no),
        ("H9 a :method that is no token", fields((":method", "GE T"), S, A, P), Refuses(400, 405)),
        ("H9 an empty :method", fields((":method", ""), S, A, P), no),
        ("H9 Host and :authority differ", head(("host", "other")), no),
        ("H9 Host and :authority alike", head(("host", "localhost")), FINE),
        ("H9 Host alone", fields(M, S, P, ("host", "localhost")), FINE),
        ("H9 no host at all", fields(M, S, P), no),
        ("H9 an empty :authority", fields(M, S, (":authority", ""), P), no),
        ("H9 user@ in :authority", fields(M, S, (":authority", "user@localhost"), P), no),
        ("H9 a space in :authority", fields(M, S, (":authority", "a b"), P), no),
        ("H9 te: trailers", head(("te", "trailers")), FINE),
        ("H9 te: gzip", head(("te", "trailers, gzip")), no),
        ("H9 an empty name", head(("", "x")), no),
        ("H9 a name with a space", head(("a b", "x")), no),
        ("H9 a name with a colon", head(("a:b", "x")), no),
        ("H9 a name with NUL", head(("a\0b", "x")), no),
        ("H9 a name of non-ASCII", head(("a\xe4", "x")), no),
        ("H9 an empty value", head(("x-empty", "")), FINE),
        ("H14 encoded NUL in :path", head(path="/%00"), no),
        ("H11 CONNECT", fields((":method", "CONNECT"), A), Answers(400, 405)),
        ("H11 TRACE", head(method="TRACE"), Answers(405)),
        ("H11 extended CONNECT for anything else", fields((":method", "CONNECT"), (":protocol", "tcp"), S, A, P),
         Answers(400, 405, 501)),
        ("H11 :protocol without CONNECT", fields(M, (":protocol", "websocket"), S, A, P), no),
        ("H11 http2-settings is not passed on", head(("http2-settings", "AA")), FINE),
        ("413 for too long a content-length", head(("content-length", str(1 << 40)), method="POST", end=False),
         Answers(413)),
        ("100 fields", head(*[(f"x-{i}", "1") for i in range(90)]), FINE),
        ("L13 101 fields", head(*[(f"x-{i}", "1") for i in range(101)]), Answers(431)),
        ("L12 too long a path", head(path="/" + "a" * 9000), Answers(414)),
        ("8.2.3 crumbs", head(*[("cookie", f"c{i}=1") for i in range(50)]), FINE),
        ("twenty heads in one piece", [b"".join(head(stream=number) for number in range(1, 41, 2)),
                                       *(answered(number) for number in range(1, 41, 2))], Answers(200, stream=39)),
    ]
    cases += [(f"H9 {name}", head((name, value)), no) for name, value in (
        ("connection", "close"), ("keep-alive", "timeout=1"), ("proxy-connection", "keep-alive"), ("upgrade", "h2c"),
        ("transfer-encoding", "chunked"))]
    cases += [(f"H9 value {value!r}", head(("x", value)), no) for value in (
        "a\rb", "a\nb", "a\0b", "a\x01b", "a\x7fb", " a", "a ", "\ta", "a\t", "a\r\ny: b")]
    run(env, cases)


def test_8_content(env):
    def post(length, *frames):
        return [head(("content-length", length), method="POST", end=False), *frames]

    no = Refuses()
    trailer = hpack.encode([(b"x-sum", b"1")])
    cases = [
        ("H10 as said", post(6, frame(DATA, 0, 1, b"abc"), frame(DATA, 1, 1, b"def")), FINE),
        ("H10 as said, padded", post(4, frame(DATA, 9, 1, bytes([4]) + b"data" + bytes(4))), FINE),
        ("H10 less than said", post(4, frame(DATA, 1, 1, b"abc")), no),
        ("H10 more than said", post(2, frame(DATA, 1, 1, b"abc")), no),
        ("H10 more than said, in two", post(4, frame(DATA, 0, 1, b"abc"), frame(DATA, 1, 1, b"de")), no),
        ("H10 less than said, then trailers", post(4, frame(DATA, 0, 1, b"abc"), raw_head(trailer)), no),
        ("H10 nothing at all", [head(("content-length", 3), method="POST")], no),
        ("H10 0, and END_STREAM", [head(("content-length", 0), method="POST")], FINE),
        ("H10 an empty DATA with the end", post(3, frame(DATA, 0, 1, b"abc"), frame(DATA, 1, 1)), FINE),
        ("H10 something that is no number", post("3x", frame(DATA, 1, 1, b"abc")), no),
        ("H10 -1", post("-1", frame(DATA, 1, 1, b"abc")), no),
        ("H10 +3", post("+3", frame(DATA, 1, 1, b"abc")), no),
        ("H10 more than 64 bits", post("18446744073709551617", frame(DATA, 1, 1, b"a")), Refuses(400, 413)),
        ("H10 twice", [head(("content-length", 3), ("content-length", 4), method="POST", end=False),
                       frame(DATA, 1, 1, b"abc")], no),
        ("8.1 trailers", [POST, frame(DATA, 0, 1, b"abc"), raw_head(trailer)], FINE),
        ("8.1 trailers without END_STREAM", [POST, frame(DATA, 0, 1, b"abc"), raw_head(trailer, end=False)], no),
        ("8.1 a pseudo field in trailers", [POST, frame(DATA, 0, 1, b"abc"), fields((":path", "/"))], no),
        ("8.1 DATA after trailers", [POST, raw_head(trailer), frame(DATA, 1, 1, b"x")], Resets(STREAM_CLOSED)),
        ("H9 connection in trailers", [POST, frame(DATA, 0, 1, b"abc"), fields(("connection", "x"))], no),
        ("expect", [head(("expect", "100-continue"), method="POST", end=False), frame(DATA, 1, 1, b"a")], FINE),
    ]
    run(env, cases)


def test_h3_doubtful_names_are_dropped(env):
    origin = env.origin()
    balancer = env.simple(origin, listener={"protocols": ["h2"]})
    names = ("x_real_ip", "x.y", "content_length")
    assert env.h2_client(balancer.port).get("/", [(name, "1") for name in (*names, "x-good")]).status == 200
    found = origin.last().fields
    assert "x-good" in found and not [name for name in names if name in found], found
    until(lambda: balancer.metric("meridian_request_fields_dropped_total") == 3, what="their count")


# --- RFC 7541 ---

def test_hpack(env):
    add = hpack.literal(b"x-added", b"1", add=True)
    wrong = Ends(COMPRESSION_ERROR)
    huge = hpack.integer(5000, 5, 0x20)
    cases = [
        ("2.3.3 index 0", raw_head(BLOCK + b"\x80"), wrong),
        ("2.3.3 an index that is not there", raw_head(BLOCK + hpack.indexed(70)), wrong),
        ("2.3.3 a name that is not there", raw_head(BLOCK + hpack.literal(70, b"v")), wrong),
        ("4.2 a size after fields", raw_head(BLOCK + hpack.resize(0)), wrong),
        ("4.2 a smaller table", raw_head(hpack.resize(0) + BLOCK), FINE),
        ("4.2 two sizes", raw_head(hpack.resize(0) + hpack.resize(4096) + BLOCK), FINE),
        ("5.1 an integer without end", raw_head(BLOCK + b"\x7f" + b"\xff" * 12), wrong),
        ("5.2 padding of more than 7 bits", raw_head(BLOCK + b"\x00\x01x\x82\x1f\xff\xff"[:7]), wrong),
        ("5.2 padding of zeros", raw_head(BLOCK + b"\x00\x01x\x81\x18"), wrong),
        ("5.2 the end mark in a string", raw_head(BLOCK + b"\x00\x01x\x84\xff\xff\xff\xff"), wrong),
        ("5.2 Huffman", raw_head(hpack.encode(whole(("x-name", "some value")), coded=True)), FINE),
        ("6.2 all ways to spell a field", raw_head(BLOCK + add + hpack.literal(b"a", b"b") +
                                                   hpack.literal(b"c", b"d", never=True)), FINE),
        ("6.3 a size above what was said", raw_head(huge + BLOCK), wrong),
        ("an entry of an earlier block", [raw_head(BLOCK + add), raw_head(BLOCK + hpack.indexed(62), stream=3)],
         Answers(200, stream=3)),
        ("an entry of a refused request", [raw_head(BLOCK + add + hpack.encode([(b"connection", b"x")])),
                                           raw_head(BLOCK + hpack.indexed(62), stream=3)], Answers(200, stream=3)),
        ("evicted", [raw_head(BLOCK + add + hpack.literal(b"y", b"v" * 4060, add=True)),
                     raw_head(BLOCK + hpack.indexed(63), stream=3)], wrong),
    ]
    run(env, cases)


# --- what takes more than one look ---

def test_l20_more_streams_than_allowed(env):
    """A stream error or a connection error (RFC 9113 section 5.1.2); the backend sees none of them."""
    for limit, more in ((100, {}), (7, {"limits": {"streams": 7}})):
        gate = threading.Event()
        origin = env.origin(script=[gated(gate, text())])
        balancer = env.simple(origin, listener={"protocols": ["h2"]}, **more)
        client = env.h2_client(balancer.port).ready()
        assert client.peer_settings[MAX_STREAMS] == limit, client.peer_settings
        streams = [client.request() for _ in range(limit)]
        until(lambda: len(origin.requests) == limit)
        assert client.ping() and not any(one.over for one in streams)
        extra = client.request()
        client.wait(lambda: extra.reset == REFUSED_STREAM or client.code == PROTOCOL_ERROR, what="a refusal")
        assert len(origin.requests) == limit
        gate.set()


def test_flow_control_is_the_clients(env):
    """Not one byte above the windows, and all of it once they open (RFC 9113 section 6.9)."""
    body = bytes(range(256)) * 1000
    origin = env.origin(script=[text(body)])
    balancer = env.simple(origin, listener={"protocols": ["h2"]})
    client = env.h2_client(balancer.port, terms=[(INITIAL_WINDOW, 10)], generous=False).ready()
    stream = client.request()
    client.wait(lambda: len(stream.body) == 10, what="10 bytes")
    client.open_window(1, 5)
    client.wait(lambda: len(stream.body) == 15, what="15 bytes")
    client.frame(SETTINGS, 0, 0, settings((INITIAL_WINDOW, 30)))
    client.wait(lambda: len(stream.body) == 35, what="35 bytes")
    client.frame(SETTINGS, 0, 0, settings((INITIAL_WINDOW, 0)))  # the window is negative now
    client.open_window(1, 20)
    assert client.ping() and len(stream.body) == 35
    client.open_window(1, 1 << 20)
    client.wait(lambda: len(stream.body) == 65535, what="the connection's window")
    assert client.ping() and len(stream.body) == 65535
    client.open_window(0, 1 << 20)
    assert client.answer(stream).body == body


def test_window_of_the_balancer_is_held(env):
    """What goes above the window that it gave ends the stream or the connection (section 6.9.1)."""
    gate = threading.Event()
    origin = env.origin(early=lambda connection, request: gate.wait(20))  # takes no content
    balancer = env.simple(origin, listener={"protocols": ["h2"]})
    client = env.h2_client(balancer.port).ready()
    stream = client.request("POST", end=False)
    try:
        for _ in range(400):
            client.frame(DATA, 0, 1, bytes(16384))
    except (ConnectionError, TimeoutError):
        pass
    client.wait(lambda: stream.reset == FLOW_CONTROL_ERROR or client.ended_at, what="the end")
    assert FLOW_CONTROL_ERROR in (stream.reset, client.code), client
    gate.set()


def test_l21_a_window_grows_on_a_long_path(env):
    """One upload on a path of 300 ms: what is used up within a round trip doubles, to 1 MiB; a slow one keeps 64 KiB."""
    origin = env.origin()
    balancer = env.simple(origin, listener={"protocols": ["h2"]}, workers=1)
    client = env.h2_client(balancer.port, polite=False)
    client.wait(lambda: INITIAL_WINDOW in client.peer_settings, what="SETTINGS")
    time.sleep(0.3)  # the path
    client.frame(SETTINGS, ACK)
    stream, most = client.request("POST", end=False), 0
    for _ in range(400):  # the connection's window grows beside it, and opens by halves
        client.wait(lambda: min(stream.window, client.window) >= most / 4, what="windows")
        most = max(most, stream.window)
        if most > (1 << 20) * 3 // 4:
            break
        assert not stream.over, (most, stream)
        client.send(1, bytes(min(stream.window, client.window)))
    assert (1 << 20) * 3 // 4 < most <= 1 << 20, most
    client.send(1, b"", end=True)
    client.answer(stream, timeout=60)  # megabytes may lie in the kernel for the origin, which reads slowly
    slow = client.request("POST", end=False)
    for _ in range(3):
        client.send(3, bytes(1000))
        assert client.ping()
    assert slow.window <= 65536, slow.window
    client.send(3, b"", end=True)
    client.answer(slow)


def test_hpack_tables_of_the_client(env):
    """The client's SETTINGS_HEADER_TABLE_SIZE is kept: its decoder, which is strict, has no larger table."""
    origin = env.origin(reply=lambda request: text(b"x", fields=[(f"x-{i}", request.target * 5) for i in range(20)]))
    balancer = env.simple(origin, listener={"protocols": ["h2"]})
    for size in (0, 100, 4096, 65536):
        client = env.h2_client(balancer.port, terms=[(TABLE_SIZE, size)])
        client.reader = hpack.Decoder(size)
        client.ready()
        for turn in range(5):
            assert client.get(f"/{turn}").get("x-19") == f"/{turn}" * 5
        assert client.reader.table.used <= min(size, 4096)


def test_l22_a_block_of_table_sizes(env):
    """RFC 7541 section 4.2: senders need two at most, receivers need not count them. They cost next to nothing, keep no
    memory, and are bytes of a block like others (L22); the table works on after them."""
    balancer = env.simple(env.origin(), listener={"protocols": ["h2"]}, workers=1)
    client = env.h2_client(balancer.port).ready()
    other = env.h2_client(balancer.port).ready()
    sizes = (hpack.resize(0) + hpack.resize(4096)) * 15_000
    fill = hpack.literal(b"x-kept", b"v" * 100, add=True)
    for turn, block in enumerate((BLOCK + fill, sizes + BLOCK + fill, BLOCK + hpack.indexed(62))):
        pieces = [block[at:at + 16384] for at in range(0, len(block), 16384)]
        for at, piece in enumerate(pieces):
            flags = (END_STREAM if at == 0 else 0) | (END_HEADERS if at == len(pieces) - 1 else 0)
            client.frame(CONTINUATION if at else HEADERS, flags, 2 * turn + 1, piece)
        assert client.answer(client.stream(2 * turn + 1)).status == 200, turn
    assert other.get().status == 200
    client.frame(HEADERS, END_STREAM | END_HEADERS, 7, hpack.resize(0) + BLOCK + hpack.indexed(62))
    client.wait(lambda: client.ended_at, what="the end: it was emptied")
    assert client.code == COMPRESSION_ERROR, client
    client = env.h2_client(balancer.port).ready()
    client.frame(HEADERS, END_STREAM, 1, sizes[:16384])
    try:
        for _ in range(20):
            client.frame(CONTINUATION, 0, 1, sizes[:16384])
    except (ConnectionError, TimeoutError):
        pass
    client.wait(lambda: client.ended_at, what="the end: it is too long")
    assert client.code in (None, ENHANCE_YOUR_CALM), client
    assert other.get().status == 200


def test_protocols_of_a_listener(env):
    """Prior knowledge only where it is said; ALPN chooses over TLS (H11)."""
    origin = env.origin()
    old = env.simple(origin)
    with Client(old.port) as client:
        client.send(PREFACE + frame(SETTINGS))
        assert client.response().status in (400, 405, 505)
    pair = env.authority.server("localhost")
    tls = {"certificates": [pair.config()]}
    both = env.simple(origin, listener={"tls": tls})
    assert env.h2_client(both.port, tls=client_context(env.authority.ca, alpn=["h2", "http/1.1"])).get().status == 200
    assert get(both.port, tls=client_context(env.authority.ca, alpn=["http/1.1"])).status == 200
    assert get(both.port, tls=client_context(env.authority.ca)).status == 200
    first = env.simple(origin, listener={"tls": tls, "protocols": ["http/1.1"]})
    assert get(first.port, tls=client_context(env.authority.ca, alpn=["h2", "http/1.1"])).status == 200
