"""A client of raw bytes: sends exactly what it is told, reads strictly."""
import socket
import ssl
import struct
import time

from pace import patience
from wire import Ended, Reader


def client_context(ca=None, certificate=None, minimum=None, maximum=None, alpn=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        context.load_verify_locations(ca)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate.chain, certificate.key)
    if minimum:
        context.minimum_version = minimum
    if maximum:
        context.maximum_version = maximum
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


class Client:
    """One connection to 127.0.0.1:port, or to a unix socket where `port` is a path."""

    def __init__(self, port, tls=None, name="localhost", timeout=15, session=None, source=None):
        self.port = port
        timeout *= patience()
        if isinstance(port, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(port)
        else:
            self.socket = socket.create_connection(
                ("127.0.0.1", port), timeout=timeout, source_address=(source, 0) if source else None)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=name, session=session)
        self.reader = Reader(self.socket)
        self.host = name

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- sending ---

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def send_pieces(self, data, size=1, pause=0.0):
        """Sends `size` bytes at a time."""
        for at in range(0, len(data), size):
            self.send(data[at:at + size])
            if pause:
                time.sleep(pause)
        return self

    def request(self, method="GET", path="/", headers=(), body=b"", version="HTTP/1.1"):
        """Sends a well-formed request; a body goes with its length."""
        fields = dict(headers)
        names = {name.lower() for name in fields}
        lines = [f"{method} {path} {version}"]
        if "host" not in names:
            lines.append(f"Host: {self.host}")
        if body and not names & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    # --- receiving ---

    def response(self, method="GET"):
        return self.reader.response(method)

    def get(self, path="/", headers=(), method="GET", body=b""):
        self.request(method, path, headers, body)
        return self.response(method)

    def ended(self, timeout=10):
        """True when the peer has closed and nothing is left to read; False where bytes came."""
        self.socket.settimeout(timeout * patience())
        try:
            return not self.reader.buffer and not self.reader.more()
        except (ConnectionError, ssl.SSLError):
            return True

    def silent(self, seconds):
        """True when nothing comes for so long."""
        self.socket.settimeout(seconds)
        try:
            return not (self.reader.more() or True)
        except (TimeoutError, ssl.SSLWantReadError):
            return True
        finally:
            self.socket.settimeout(15 * patience())

    def everything(self):
        """All bytes until the end of the connection, however it ends."""
        try:
            while self.reader.more():
                pass
        except (ConnectionError, ssl.SSLError, TimeoutError):
            pass
        return bytes(self.reader.all)

    # --- ending ---

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Ends the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        # The file descriptor of a TLS socket goes without a farewell, as that of a killed client.
        self.socket.close()


def get(port, path="/", headers=(), method="GET", body=b"", **kwargs):
    """One request on a connection of its own."""
    with Client(port, **kwargs) as client:
        return client.get(path, headers, method, body)


def exchange(port, data, **kwargs):
    """Sends raw bytes; the responses that came until the peer closed or was silent for a while."""
    responses = []
    with Client(port, **kwargs) as client:
        client.send(data)
        try:
            while True:
                responses.append(client.response())
        except (Ended, ConnectionError):
            return responses, True
        except TimeoutError:
            return responses, False
