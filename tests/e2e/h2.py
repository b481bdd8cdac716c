"""HTTP/2 by hand (RFC 9113), for both sides of the balancer: a client and a server that can send every
frame there is, right or wrong, and remember all that came. Nothing is repaired and little is done
unasked: SETTINGS and PING are acknowledged (`polite`), and windows are opened as content comes
(`generous`), unless the test wants to do that itself.

    client = H2Client(port)                          by prior knowledge; tls=client_context(…, alpn=["h2"])
    answer = client.get("/")                         waits for the whole response
    stream = client.request("POST", "/", end=False)  then client.send(stream.id, body, end=True)
    client.frame(PING, 0, 0, b"short")               anything

    server = H2Origin(port, reply=lambda stream: stream.respond(200, body=b"hello"))
"""
import select
import socket
import ssl
import struct
import threading
import time
from typing import NamedTuple

import hpack
from pace import patience

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 0x20
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
 REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY,
 HTTP_1_1_REQUIRED) = range(14)
(TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_HEADER_LIST) = range(1, 7)
ENABLE_CONNECT = 8
WINDOW, FRAME_MOST = 65535, 16384


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """The bytes of a frame; `length` where the header shall lie."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(*pairs):
    return b"".join(struct.pack(">HI", *pair) for pair in pairs)


def pairs(fields):
    """Text or bytes, dict or pairs, as pairs of bytes."""
    fields = fields.items() if isinstance(fields, dict) else fields
    return [tuple(part if isinstance(part, bytes) else str(part).encode("latin-1") for part in field)
            for field in fields]


class Stream:
    """One stream, as far as the peer has said something on it."""

    def __init__(self, connection, number):
        self.connection, self.id = connection, number
        self.heads = []           # of fields, as text; interim responses first, trailers last
        self.body = bytearray()
        self.ended = False        # END_STREAM came
        self.reset = None         # the code of RST_STREAM
        self.window = connection.initial_window  # what may be sent

    @property
    def interim(self):
        return [head for head in self.heads if head and head[0][1].startswith("1") and head[0][0] == ":status"]

    @property
    def fields(self):
        """Of the final response, or of the request."""
        rest = self.heads[len(self.interim):]
        return rest[0] if rest else None

    @property
    def trailers(self):
        return dict(self.heads[-1]) if len(self.heads) - len(self.interim) > 1 else {}

    @property
    def over(self):
        return self.ended or self.reset is not None

    def get(self, name, default=None):
        return dict(self.fields or ()).get(name, default)

    def all(self, name):
        return [value for key, value in self.fields or () if key == name]

    @property
    def status(self):
        return int(self.get(":status", 0))

    # --- for servers ---

    @property
    def method(self):
        return self.get(":method")

    @property
    def path(self):
        return self.get(":path")

    def read(self, timeout=30):
        """Waits for the end of the request; its content."""
        self.connection.wait(lambda: self.over, timeout, "the end of the request")
        return self.body

    def respond(self, status=200, fields=(), body=b"", trailers=()):
        trailers = pairs(trailers)
        head = [(b":status", b"%d" % status), *pairs(fields)]
        self.connection.headers(self.id, head, end=not body and not trailers)
        if body:
            self.connection.send(self.id, body, end=not trailers)
        if trailers:
            self.connection.headers(self.id, trailers, end=True)

    def cancel(self, code=CANCEL):
        self.connection.frame(RST_STREAM, 0, self.id, struct.pack(">I", code))

    def __repr__(self):
        return f"stream {self.id}: {self.heads} body {len(self.body)} ended {self.ended} reset {self.reset}"


class Connection:
    """One end of a connection; a thread reads all the time."""

    def __init__(self, connected, hello, polite=True, generous=True, on_head=None):
        self.socket = connected
        self.polite, self.generous, self.on_head = polite, generous, on_head
        self.news = threading.Condition()
        self.frames, self.streams, self.goaways = [], {}, []
        self.peer_settings = {}
        self.initial_window, self.window = WINDOW, WINDOW
        self.ended_at = None
        self.reader = hpack.Decoder()
        self.block = None
        self.buffer = b""
        self._writing, self._wire = threading.Lock(), threading.Lock()  # a frame; a call of the socket
        self.socket.setblocking(False)
        if hello:
            self.raw(hello)
        threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the connection without a farewell."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        with self._wire:
            self.socket.close()

    # --- sending ---

    def raw(self, data, timeout=15):
        """These bytes, in one piece as far as other threads are concerned."""
        end = time.monotonic() + timeout
        with self._writing:
            view = memoryview(data)
            while view:
                try:
                    with self._wire:
                        view = view[self.socket.send(view):]
                except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    if time.monotonic() > end:
                        raise TimeoutError("the peer takes nothing") from None
                    self._poll(select.POLLOUT, 100)
        return self

    def frame(self, kind, flags=0, stream=0, payload=b"", length=None):
        return self.raw(frame(kind, flags, stream, payload, length))

    def headers(self, stream, fields, end=False):
        """A header block, in as many frames as it needs."""
        block = hpack.encode(pairs(fields))
        pieces = [block[at:at + FRAME_MOST] for at in range(0, len(block), FRAME_MOST)] or [b""]
        kinds = [HEADERS] + [CONTINUATION] * (len(pieces) - 1)
        frames = [frame(kind, (END_STREAM if end and kind == HEADERS else 0), stream, piece)
                  for kind, piece in zip(kinds[:-1], pieces[:-1])]
        last = END_HEADERS | (END_STREAM if end and len(pieces) == 1 else 0)
        return self.raw(b"".join(frames) + frame(kinds[-1], last, stream, pieces[-1]))

    def send(self, stream, body, end=False, timeout=60):
        """DATA as fast as the peer's windows allow. Stops where the stream or connection is over."""
        target, at = self.stream(stream), 0
        while at < len(body):
            with self.news:
                self._wait(lambda: self.ended_at or target.reset is not None or min(target.window, self.window) > 0,
                           timeout, f"a window on stream {stream}")
                if self.ended_at or target.reset is not None:
                    return False
                size = min(target.window, self.window, FRAME_MOST, len(body) - at)
                target.window -= size
                self.window -= size
            at += size
            self.frame(DATA, END_STREAM if end and at == len(body) else 0, stream, body[at - size:at])
        if end and not body:
            self.frame(DATA, END_STREAM, stream)
        return True

    def open_window(self, stream, size):
        return self.frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))

    def go_away(self, last=0, code=NO_ERROR):
        return self.frame(GOAWAY, 0, 0, struct.pack(">II", last, code))

    # --- what came ---

    def stream(self, number):
        with self.news:
            if number not in self.streams:
                self.streams[number] = Stream(self, number)
            return self.streams[number]

    def wait(self, condition, timeout=10, what="the condition"):
        """Until condition() is true, which is asked after every frame and at the end."""
        with self.news:
            return self._wait(condition, timeout, what)

    def _wait(self, condition, timeout, what):
        if not self.news.wait_for(condition, timeout * patience()):
            raise TimeoutError(f"{what} did not come within {timeout} s: {self}")
        return condition()

    def count(self, kind):
        with self.news:
            return len([one for one in self.frames if one.kind == kind])

    def ping(self, text=b"are you?", timeout=10):
        """True where the answer comes, False where the connection ends instead."""
        self.frame(PING, 0, 0, text)
        answer = Frame(PING, ACK, 0, text)
        return self.wait(lambda: answer in self.frames or self.ended_at, timeout, "PING") is True

    @property
    def code(self):
        """Of the last GOAWAY; None where none came."""
        return self.goaways[-1][1] if self.goaways else None

    def __repr__(self):
        return f"goaways {self.goaways}, ended {bool(self.ended_at)}, {list(self.streams.values())[-3:]}"

    # --- the reading thread ---

    def _poll(self, what, timeout_ms):
        poll = select.poll()
        try:
            poll.register(self.socket, what)
            poll.poll(timeout_ms)
        except (ValueError, OSError):
            raise ConnectionError("closed") from None

    def _more(self):
        while True:
            try:
                with self._wire:
                    return self.socket.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._poll(select.POLLIN, 1000)

    def _exactly(self, size):
        while len(self.buffer) < size:
            data = self._more()
            if not data:
                raise ConnectionError("ended")
            self.buffer += data
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def _run(self):
        try:
            self._begin()
            while True:
                head = self._exactly(9)
                payload = self._exactly(int.from_bytes(head[:3], "big"))
                self._take(Frame(head[3], head[4], int.from_bytes(head[5:], "big") & 0x7fffffff, payload))
        except (OSError, ValueError):
            pass
        finally:
            with self.news:
                self.ended_at = time.monotonic()
                self.news.notify_all()

    def _begin(self):
        """For servers: the preface."""

    def _take(self, one):
        stream = self.stream(one.stream) if one.stream else None
        with self.news:
            self.frames.append(one if one.kind != DATA else one._replace(payload=b""))
            begun = self._note(one, stream)
            self.news.notify_all()
        if self.polite and one.kind in (SETTINGS, PING) and not one.flags & ACK:
            self.frame(one.kind, ACK, 0, one.payload if one.kind == PING else b"")
        if self.generous and one.kind == DATA and one.payload:
            update = struct.pack(">I", len(one.payload))
            here = b"" if stream.over else frame(WINDOW_UPDATE, 0, one.stream, update)
            self.raw(here + frame(WINDOW_UPDATE, 0, 0, update))
        if begun and self.on_head:
            threading.Thread(target=self.on_head, args=(stream,), daemon=True).start()

    def _note(self, one, stream):
        """Keeps what a frame says; true where it completes a first head."""
        if one.kind == DATA:
            pad = one.payload[0] + 1 if one.flags & PADDED else 0
            stream.body += one.payload[1:len(one.payload) - pad + 1] if pad else one.payload
            stream.ended = stream.ended or bool(one.flags & END_STREAM)
        elif one.kind in (HEADERS, CONTINUATION):
            return self._head(one, stream)
        elif one.kind == RST_STREAM:
            stream.reset = struct.unpack(">I", one.payload)[0]
        elif one.kind == GOAWAY:
            self.goaways.append((*struct.unpack(">II", one.payload[:8]), one.payload[8:]))
        elif one.kind == WINDOW_UPDATE:
            size = struct.unpack(">I", one.payload)[0]
            if stream:
                stream.window += size
            else:
                self.window += size
        elif one.kind == SETTINGS:
            self._settings(one.payload)
        return False

    def _head(self, one, stream):
        if one.kind == HEADERS:
            start = (1 if one.flags & PADDED else 0) + (5 if one.flags & WITH_PRIORITY else 0)
            pad = one.payload[0] if one.flags & PADDED else 0
            self.block = (one.flags & END_STREAM, one.payload[start:len(one.payload) - pad])
        else:
            self.block = (self.block[0], self.block[1] + one.payload)
        if not one.flags & END_HEADERS:
            return False
        fields = self.reader.decode(self.block[1])
        stream.heads.append([(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields])
        stream.ended = stream.ended or bool(self.block[0])
        return len(stream.heads) == 1

    def _settings(self, payload):
        for at in range(0, len(payload), 6):
            key, value = struct.unpack(">HI", payload[at:at + 6])
            self.peer_settings[key] = value
            if key == INITIAL_WINDOW:
                for stream in self.streams.values():
                    stream.window += value - self.initial_window
                self.initial_window = value


class H2Client(Connection):
    def __init__(self, port, tls=None, name="localhost", terms=(), hello=None, receive_buffer=None, source=None, **options):
        connected = socket.socket()
        if source:
            connected.bind((source, 0))
        if receive_buffer:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connected.settimeout(15)
        connected.connect(("127.0.0.1", port))
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            connected = tls.wrap_socket(connected, server_hostname=name)
            assert connected.selected_alpn_protocol() == "h2", connected.selected_alpn_protocol()
        self.scheme, self.name, self.next = "https" if tls else "http", name, 1
        hello = PREFACE + frame(SETTINGS, 0, 0, settings(*terms)) if hello is None else hello
        super().__init__(connected, hello, **options)

    def ready(self):
        """Both have acknowledged the other's SETTINGS."""
        self.wait(lambda: self.ended_at or Frame(SETTINGS, ACK, 0, b"") in self.frames, what="SETTINGS")
        return self

    def head(self, method="GET", path="/", fields=()):
        return [(b":method", method.encode()), (b":scheme", self.scheme.encode()),
                (b":authority", self.name.encode()), (b":path", path.encode("latin-1")), *pairs(fields)]

    def request(self, method="GET", path="/", fields=(), body=b"", trailers=(), end=True):
        """Begins a stream; with `end` the request is sent as a whole."""
        stream = self.stream(self.next)
        self.next += 2
        trailers = pairs(trailers)
        self.headers(stream.id, self.head(method, path, fields), end=end and not body and not trailers)
        if body:
            self.send(stream.id, body, end=end and not trailers)
        if trailers:
            self.headers(stream.id, trailers, end=True)
        return stream

    def answer(self, stream, timeout=15):
        """Waits for the end of the stream; fails where it did not come to a good one."""
        self.wait(lambda: stream.over or self.ended_at, timeout, f"a response on stream {stream.id}")
        assert stream.ended and stream.reset in (None, NO_ERROR), stream
        return stream

    def get(self, path="/", fields=(), method="GET", body=b"", trailers=()):
        return self.answer(self.request(method, path, fields, body, trailers))


class H2Origin:
    """A backend: `reply(stream)` is called in a thread of its own when a request's head is there. What
    it may do to the connection is everything: `stream.connection`. `hold`: an event before which it
    says nothing."""

    def __init__(self, port, reply=None, terms=(), tls=None, hold=None, **options):
        self.port, self.reply, self.terms, self.tls, self.options = port, reply or self.hello, terms, tls, options
        self.name, self.hold, self.accepted = f"origin-{port}", hold, 0
        self.connections, self.requests = [], []
        self.other = None  # what serves TLS connections of another version
        self.listener = socket.create_server(("127.0.0.1", port), backlog=512)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def hello(self, stream):
        body = stream.read()
        stream.respond(200, [("x-origin", self.name)], body or self.name.encode())

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in list(self.connections):
            connection.close()

    def _accept(self):
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted):
        accepted.settimeout(15)
        if self.hold:
            self.hold.wait(30)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls:
                accepted = self.tls.wrap_socket(accepted, server_side=True)
                if self.other and accepted.selected_alpn_protocol() != "h2":
                    self.other(accepted)
                    return
            hello = frame(SETTINGS, 0, 0, settings(*self.terms))
            self.connections.append(_Served(accepted, hello, on_head=self._asked, **self.options))
        except OSError:
            accepted.close()

    def _asked(self, stream):
        self.requests.append(stream)
        try:
            self.reply(stream)
        except (OSError, TimeoutError):
            pass  # the connection has ended


class _Served(Connection):
    def _begin(self):
        if self._exactly(len(PREFACE)) != PREFACE:
            raise ConnectionError("no preface")
