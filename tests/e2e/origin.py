"""A backend that does exactly what a script says and remembers every byte it was sent.

    Origin(port)                            answers 200 with its name
    Origin(port, script=[reset(), text()])  resets the first request, answers all later ones
    Origin(port, reply=function)            function(request) gives the action

Health probes (GET /healthz) are answered apart and are no part of script or record. Connections that
carry no byte (TCP probes) are not recorded.
"""
import base64
import ctypes
import hashlib
import socket
import ssl
import struct
import threading
import time

from wire import Ended, Malformed, Reader

WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

DISSOLVE = ctypes.CDLL(None).connect
NOWHERE = struct.pack("H14x", socket.AF_UNSPEC)


class Connection:
    """One connection from the balancer: its bytes and the requests that were read from them."""

    def __init__(self, origin, accepted):
        self.origin, self.socket = origin, accepted
        self.reader = Reader(accepted)
        self.requests = []
        self.malformed = None
        self.ended = False
        self.ended_at = None
        self.probe = False
        # Read now: the TLS object is gone once the connection has ended.
        self.tls_resumed = getattr(accepted, "session_reused", None)

    @property
    def bytes(self):
        return bytes(self.reader.all)

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def reset(self):
        """RST; from any thread, even while another one waits in recv: a connection that is closed beneath a waiting
        thread may stay until that has woken, one that is dissolved does not (connect(2), AF_UNSPEC)."""
        DISSOLVE(self.socket.fileno(), NOWHERE, len(NOWHERE))

    def close(self):
        if self.socket.fileno() < 0:
            return
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def wait_end(self, timeout=30):
        """Reads until the peer ends the connection; True if it did."""
        self.socket.settimeout(timeout)
        try:
            while self.reader.more():
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True


# --- actions: what is done with one request. False (or None with a closed socket) ends the connection.

def head(status=200, fields=(), reason="OK"):
    lines = [f"HTTP/1.1 {status} {reason}"]
    lines += [f"{name}: {value}" for name, value in (fields.items() if isinstance(fields, dict) else fields)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def text(body=None, status=200, fields=(), close=False):
    """A complete answer with its length; without a body the origin's name."""
    def action(connection, request):
        content = connection.origin.name.encode() if body is None else body
        extra = list(fields.items() if isinstance(fields, dict) else fields)
        extra += [("Connection", "close")] if close else []
        extra += [("X-Origin", connection.origin.name)]
        no_body = request.method == "HEAD" or status in (204, 304)
        if status not in (204, 304):
            extra.append(("Content-Length", len(content)))
        connection.send(head(status, extra) + (b"" if no_body else content))
        return not close
    return action


def chunked(*chunks, trailers=(), fields=(), pause=0.0):
    """An answer in chunks, sent one by one."""
    def action(connection, _request):
        connection.send(head(200, [*fields, ("Transfer-Encoding", "chunked")]))
        for chunk in chunks:
            time.sleep(pause)
            connection.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        ends = "".join(f"{name}: {value}\r\n" for name, value in trailers)
        connection.send(b"0\r\n" + ends.encode() + b"\r\n")
        return True
    return action


def raw(data, close=False, hold=0.0):
    """These bytes; then closes, after `hold` seconds of reading on, or goes on."""
    def action(connection, _request):
        connection.send(data)
        if hold:
            connection.wait_end(hold)
        return not close
    return action


def dripped(data, pause, size=1, close=False):
    """These bytes, a few at a time."""
    def action(connection, _request):
        for at in range(0, len(data), size):
            connection.send(data[at:at + size])
            time.sleep(pause)
        return not close
    return action


def reset(after=b""):
    """RST, after these bytes have been sent."""
    def action(connection, _request):
        if after:
            connection.send(after)
            time.sleep(0.1)
        connection.reset()
        return False
    return action


def hang_up(after=b""):
    """An orderly close, after these bytes."""
    return raw(after, close=True) if after else (lambda connection, request: False)


def never():
    """Reads on and answers nothing."""
    return lambda connection, request: not connection.wait_end(60)


def delayed(delay, action):
    def wait_first(connection, request):
        time.sleep(delay)
        return action(connection, request)
    return wait_first


def gated(event, action):
    """Waits for a threading.Event first."""
    def wait_first(connection, request):
        event.wait(30)
        return action(connection, request)
    return wait_first


def agree(connection, request):
    """Begins a tunnel."""
    key = request.fields.get("sec-websocket-key", "")
    accept = base64.b64encode(hashlib.sha1((key + WEBSOCKET_GUID).encode()).digest()).decode()
    connection.send(head(101, [("Upgrade", "websocket"), ("Connection", "Upgrade"),
                               ("Sec-WebSocket-Accept", accept)], "Switching Protocols"))


def accept_websocket(connection, request):
    """Agrees to the upgrade and sends back whatever comes, bytes as they are."""
    agree(connection, request)
    data, connection.reader.buffer = connection.reader.buffer, b""
    while True:
        if data:
            connection.send(data)
        data = connection.socket.recv(65536)
        if not data:
            return False
        connection.reader.all += data


class Origin:
    """`early`: an action taken when the head is there, before the body is read; it decides like the
    others whether the connection goes on (the body is read afterwards)."""

    def __init__(self, port, name=None, script=None, reply=None, early=None, tls=None, greet=b"",
                 healthy=True, listen=True):
        self.port, self.name = port, name or f"origin-{port}"
        self.script = list(script or [text()])
        self.reply, self.early, self.tls, self.greet = reply, early, tls, greet
        self.healthy = healthy
        self.lock = threading.Lock()
        self.turn = 0
        self.probes = 0
        self.probe_delay = 0  # seconds
        self._connections, self._requests = [], []
        self._open = set()
        self._listener = None
        if listen:
            self.listen()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    # --- the record ---

    @property
    def connections(self):
        """Those that carried traffic."""
        with self.lock:
            return [one for one in self._connections if one.reader.all and not one.probe]

    @property
    def requests(self):
        """All requests in the order in which their heads came."""
        with self.lock:
            return list(self._requests)

    @property
    def malformed(self):
        return [one.malformed for one in self.connections if one.malformed]

    def last(self):
        return self.requests[-1]

    def open_count(self):
        with self.lock:
            return len([one for one in self._open if not one.probe])

    # --- life ---

    def listen(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(512)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def die(self):
        """Like a killed process: no listener, every connection reset."""
        self._stop_listening()
        with self.lock:
            dying = list(self._open)
        for one in dying:
            try:
                one.reset()
            except OSError:
                pass

    def close(self):
        self.die()

    def _stop_listening(self):
        listener, self._listener = self._listener, None
        if listener:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()

    def _accept(self, listener):
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted):
        try:
            accepted.settimeout(60)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                accepted = self.tls.wrap_socket(accepted, server_side=True)
        except OSError:
            accepted.close()
            return
        connection = Connection(self, accepted)
        with self.lock:
            self._connections.append(connection)
            self._open.add(connection)
        try:
            if self.greet:
                connection.send(self.greet)
            while self._one(connection):
                pass
        except Malformed as problem:
            connection.malformed = problem
        except (Ended, OSError, ValueError):
            pass
        finally:
            connection.ended, connection.ended_at = True, time.monotonic()
            with self.lock:
                self._open.discard(connection)
            connection.close()

    def _one(self, connection):
        request = connection.reader.request_head()
        if request.target == "/healthz":
            connection.probe = not connection.requests
            self.probes += 1
            time.sleep(self.probe_delay)
            if self.healthy == "reset":
                connection.reset()
                return False
            return text(b"", 200 if self.healthy else 503)(connection, request)
        with self.lock:
            connection.requests.append(request)
            self._requests.append(request)
        if self.early and not self.early(connection, request):
            return False
        connection.reader.request_body(request)
        request.complete = True
        if self.early:
            return True
        return bool(self._next(request)(connection, request))

    def _next(self, request):
        with self.lock:
            turn = min(self.turn, len(self.script) - 1)
            self.turn += 1
        return self.reply(request) if self.reply else self.script[turn]


def server_context(pair, client_ca=None, maximum=None, alpn=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.chain, pair.key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    if maximum:
        context.maximum_version = maximum
    if alpn:
        context.set_alpn_protocols(alpn)
    return context
