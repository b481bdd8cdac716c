"""Reading HTTP/1.1 strictly, for both sides of the balancer: whatever is not exactly by the book is
Malformed. Bytes that were read are kept as they came."""
import re

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) (\S+) (HTTP/1\.[01])\Z")
STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) ([0-9]{3}) ([\t\x20-\x7e\x80-\xff]*)\Z")
HEAD_MAX = 1 << 20


class Malformed(Exception):
    """The peer sent something that is not HTTP/1.1, or not unambiguous."""


class Ended(Exception):
    """The peer ended the connection; `at_boundary` where no byte of a message had come."""

    def __init__(self, what, at_boundary=False):
        super().__init__(what)
        self.at_boundary = at_boundary


class Fields(list):
    """[(lower-case name, value)] as text."""

    def all(self, name):
        return [value for key, value in self if key == name]

    def get(self, name, default=None):
        found = self.all(name)
        return found[0] if found else default

    def __contains__(self, name):
        return any(key == name for key, _ in self)


class Message:
    def __init__(self, start, fields, raw):
        self.start, self.fields, self.raw_head = start, fields, raw
        self.body, self.trailers, self.framing = b"", Fields(), "none"
        self.chunks = []
        self.interim = []

    @property
    def keep_alive(self):
        tokens = [token.strip().lower() for value in self.fields.all("connection")
                  for token in value.split(",")]
        return "close" not in tokens and self.version == "HTTP/1.1"


class Request(Message):
    complete = False  # whether its body has been read to the end

    def __init__(self, match, fields, raw):
        super().__init__(match.group(0).decode("latin-1"), fields, raw)
        self.method = match.group(1).decode()
        self.target = match.group(2).decode("latin-1")
        self.version = match.group(3).decode()


class Response(Message):
    def __init__(self, match, fields, raw):
        super().__init__(match.group(0).decode("latin-1"), fields, raw)
        self.version = match.group(1).decode()
        self.status = int(match.group(2))
        self.reason = match.group(3).decode("latin-1")


class Reader:
    """Buffered reading from a socket (plain or TLS)."""

    def __init__(self, connection):
        self.connection = connection
        self.buffer = b""
        self.all = bytearray()

    def more(self):
        """Reads once; False at the end of the stream."""
        data = self.connection.recv(65536)
        self.buffer += data
        self.all += data
        return bool(data)

    def line(self):
        """A line without its CR LF."""
        while b"\n" not in self.buffer:
            if len(self.buffer) > HEAD_MAX:
                raise Malformed("a line without end")
            if not self.more():
                raise Ended("inside a line" if self.buffer else "between messages", not self.buffer)
        line, self.buffer = self.buffer.split(b"\n", 1)
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            raise Malformed(f"line end in {line!r}")
        return line[:-1]

    def exactly(self, count):
        pieces, have = [], 0
        try:
            while have + len(self.buffer) < count:
                pieces.append(self.buffer)
                have, self.buffer = have + len(self.buffer), b""
                if not self.more():
                    raise Ended(f"{have} of {count} bytes")
        finally:
            self.buffer = b"".join([*pieces, self.buffer])
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def rest(self):
        while self.more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    # --- messages ---

    def fields(self, raw):
        fields = Fields()
        while True:
            line = self._inner_line()
            raw.append(line + b"\r\n")
            if not line:
                return fields
            name, colon, value = line.partition(b":")
            if not colon or not TOKEN.match(name):
                raise Malformed(f"field {line!r}")
            value = value.strip(b" \t")
            if not VALUE.match(value):
                raise Malformed(f"field value {line!r}")
            fields.append((name.decode().lower(), value.decode("latin-1")))

    def _inner_line(self):
        try:
            return self.line()
        except Ended as end:
            raise Ended(str(end)) from None

    def head(self, pattern, kind):
        line = self.line()
        match = pattern.match(line)
        if not match:
            raise Malformed(f"start line {line!r}")
        raw = [line + b"\r\n"]
        fields = self.fields(raw)
        return kind(match, fields, b"".join(raw))

    def request_head(self):
        request = self.head(REQUEST_LINE, Request)
        if request.version == "HTTP/1.1" and len(request.fields.all("host")) != 1:
            raise Malformed("not exactly one Host")
        return request

    def length_of(self, message):
        """None: chunked; a number; -1: until the end of the connection."""
        lengths, codings = message.fields.all("content-length"), message.fields.all("transfer-encoding")
        if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
            raise Malformed(f"ambiguous framing: {lengths} {codings}")
        if codings:
            if codings != ["chunked"] or message.version != "HTTP/1.1":
                raise Malformed(f"transfer coding {codings}")
            return None
        if lengths:
            if not re.fullmatch("[0-9]{1,19}", lengths[0]):
                raise Malformed(f"Content-Length {lengths[0]!r}")
            return int(lengths[0])
        return -1

    def request_body(self, request):
        length = self.length_of(request)
        self._body(request, 0 if length == -1 else length)
        return request

    def _body(self, message, length):
        if length is None:
            message.framing = "chunked"
            self.chunked(message)
        elif length == -1:
            message.framing = "close"
            message.body = self.rest()
        else:
            message.framing = "length" if "content-length" in message.fields else "none"
            message.body = self.exactly(length)

    def chunked(self, message):
        while True:
            line = self._inner_line()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", line):
                raise Malformed(f"chunk size {line!r}")
            size = int(line, 16)
            if not size:
                message.trailers = self.fields([])
                return
            message.chunks.append(self.exactly(size))
            message.body += message.chunks[-1]
            if self.exactly(2) != b"\r\n":
                raise Malformed("end of chunk")

    def response(self, method="GET"):
        """The next final response, with the interim ones before it."""
        interim = []
        while True:
            response = self.head(STATUS_LINE, Response)
            if response.status >= 200 or response.status == 101:
                break
            interim.append(response)
        response.interim = interim
        length = self.length_of(response)
        if response.status == 101 or method == "HEAD" or response.status in (204, 304):
            return response
        self._body(response, length)
        return response
