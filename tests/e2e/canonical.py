"""Judges what a backend was sent, from its bytes alone: is this exactly one request, in the one form that no two
servers read differently? Shares nothing with the balancer nor with the readers of the other tests. What is asked
for is stricter than RFC 9112 and 9113: RELIABILITY's message rules H1 to H16."""
import itertools
import re

METHOD = rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)"
VALUE = rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?"
HEAD = re.compile(METHOD + rb" (\*|/[!-\"$-~]*) HTTP/1\.1\r\n((?:[a-z0-9-]+: " + VALUE + rb"\r\n)+)\r\n")
CHUNK = re.compile(rb"([0-9a-f]{1,16})\r\n")
HOST = re.compile(r"([a-z0-9._~-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?\Z")
NEVER = {"connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "expect"}
ONCE = ("x-forwarded-for", "x-forwarded-proto", "forwarded", "via", "x-request-id")
ADDRESS = re.compile(r"127(\.[0-9]{1,3}){3}\Z")
GUARDED = "/admin"


class Unsound(Exception):
    """Bytes that are not one canonical request after another."""


class Seen:
    """One request as a backend was sent it, of either version."""

    def __init__(self, method, target, host, fields, body, complete=True):
        self.method, self.target, self.host, self.fields = method, target, host, fields
        self.body, self.complete = body, complete

    def all(self, name):
        return [value for key, value in self.fields if key == name]

    @property
    def client(self):
        """Who the balancer says has sent it."""
        return ", ".join(self.all("x-forwarded-for"))

    def __repr__(self):
        return f"{self.method} {self.target} host {self.host!r} {self.fields} {bytes(self.body)!r}"


# --- HTTP/1: the whole of a connection's bytes ---

def requests(data, problems=None):
    """The requests that these bytes are. What is wrong with one alone goes to `problems` where there is such a list. The content of the last one may be cut short, where
    the balancer gave up."""
    found, at = [], 0
    while at < len(data):
        match = HEAD.match(data, at)
        if not match:
            raise Unsound(f"no canonical head: {data[at:at + 300]!r}")
        fields = [tuple(part.decode("latin-1") for part in line.split(b": ", 1))
                  for line in match[3].split(b"\r\n")[:-1]]
        seen = Seen(match[1].decode(), match[2].decode(), None, fields, b"")
        at, seen.body, seen.complete = content(seen, data, match.end())
        try:
            found.append(check(one_host(seen)))
        except Unsound as problem:
            if problems is None:
                raise
            problems.append(str(problem))
    return found


def one_host(seen):
    hosts = seen.all("host")
    if len(hosts) != 1:
        raise Unsound(f"hosts {hosts}")
    seen.host = hosts[0]
    if seen.all("te"):
        raise Unsound(f"{seen!r}: te")
    return seen


def content(seen, data, at):
    """(where it ends, the content, whether it is complete)"""
    lengths, codings = seen.all("content-length"), seen.all("transfer-encoding")
    if len(lengths) + len(codings) > 1 or codings not in ([], ["chunked"]):
        raise Unsound(f"framing {lengths} {codings}")
    if codings:
        return chunks(data, at)
    length = 0
    if lengths:
        if not re.fullmatch("0|[1-9][0-9]{0,18}", lengths[0]):
            raise Unsound(f"length {lengths}")
        length = int(lengths[0])
    return min(at + length, len(data)), data[at:at + length], at + length <= len(data)


def chunks(data, at):
    body = b""
    while True:
        match = CHUNK.match(data, at)
        if not match:
            if b"\n" in data[at:] or len(data) - at > 18:
                raise Unsound(f"no chunk: {data[at:at + 40]!r}")
            return len(data), body, False
        size, at = int(match[1], 16), match.end()
        if size + 2 > len(data) - at:
            return len(data), body + data[at:], False
        if data[at + size:at + size + 2] != b"\r\n":
            raise Unsound(f"end of chunk {data[at + size:at + size + 9]!r}")  # of the last one: no trailers
        body, at = body + data[at:at + size], at + size + 2
        if not size:
            return at, body, True


# --- HTTP/2: a stream ---

def stream(heads, body, ended, reset):
    """The request that a stream is; None where no head came."""
    if not heads:
        return None
    pseudo = [field for field in heads[0] if field[0].startswith(":")]
    fields = [field for field in heads[0] if not field[0].startswith(":")]
    names = [name for name, _ in pseudo]
    if heads[0][:len(pseudo)] != pseudo or sorted(names) != [":authority", ":method", ":path", ":scheme"]:
        raise Unsound(f"pseudo fields {heads[0]}")
    kind = dict(pseudo)
    if kind[":scheme"] not in ("http", "https") or not re.fullmatch(METHOD.decode(), kind[":method"]):
        raise Unsound(f"{pseudo}")
    if not re.fullmatch(r'\*|/[!-"$-~]*', kind[":path"]):
        raise Unsound(f"path {kind[':path']!r}")
    seen = Seen(kind[":method"], kind[":path"], kind[":authority"], fields, bytes(body), ended and reset is None)
    for name, value in [*fields, *(heads[1] if len(heads) > 1 else [])]:
        if not re.fullmatch("[a-z0-9-]+", name) or not re.fullmatch(VALUE, value.encode("latin-1")):
            raise Unsound(f"{name!r}: {value!r}")
    if seen.all("host") not in ([], [seen.host]) or seen.all("transfer-encoding"):
        raise Unsound(f"{seen!r}: host or coding")
    if seen.all("te") not in ([], ["trailers"]):
        raise Unsound(f"te {seen.all('te')}")
    lengths = seen.all("content-length")
    if len(lengths) > 1 or (lengths and seen.complete and lengths != [str(len(body))]):
        raise Unsound(f"length {lengths} of {len(body)}")
    return check(seen)


# --- both ---

def check(seen):
    """What holds for every request that is forwarded."""
    names = [name for name, _ in seen.fields]
    if NEVER & set(names):
        raise Unsound(f"{seen!r}: {NEVER & set(names)}")
    for name in ONCE:
        if names.count(name) != 1:
            raise Unsound(f"{seen!r}: {names.count(name)} times {name}")
    if names.count("x-forwarded-host") > 1:  # none where HTTP/1.0 names no host
        raise Unsound(f"{seen!r}: x-forwarded-host")
    if not ADDRESS.match(seen.client):
        raise Unsound(f"the client is {seen.client!r}")
    host = HOST.match(seen.host)
    if not host or int((host[2] or ":0")[1:]) > 65535:
        raise Unsound(f"host {seen.host!r}")
    if seen.target == "*" and seen.method != "OPTIONS":
        raise Unsound(f"{seen!r}")
    check_path(seen.target.partition("?")[0])
    return seen


def check_path(path):
    if re.search("%(?![0-9A-Fa-f]{2})|%00", path):
        raise Unsound(f"escapes of {path!r}")
    if path != normal(path):
        raise Unsound(f"dot segments of {path!r}")
    for reading in readings(path):
        if reading == GUARDED or reading.startswith(GUARDED + "/"):
            raise Unsound(f"{path!r} is {reading!r} to some")


DOTS = {".": ".", "%2e": ".", "..": "..", ".%2e": "..", "%2e.": "..", "%2e%2e": ".."}


def normal(path):
    """RFC 3986 section 5.2.4, with dots escaped or not."""
    if not path.startswith("/"):
        return path
    out, segments = [], path[1:].split("/")
    for number, segment in enumerate(segments):
        dots = DOTS.get(segment.lower())
        if dots == ".." and out:
            out.pop()
        if not dots:
            out.append(segment)
        elif number == len(segments) - 1:
            out.append("")
    return "/" + "/".join(out)


def plain(path):
    """Escapes of what needs none."""
    return re.sub("%([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16))
                  if re.fullmatch("[A-Za-z0-9._~-]", chr(int(match[1], 16))) else match[0], path)


CUT = (lambda path: re.sub(";[^/]*", "", path), lambda path: re.sub("%3b[^/]*", "", path, flags=re.I))
LENIENT = (CUT[0],  # before anything is decoded, or after
           plain,
           lambda path: re.sub("%2f", "/", re.sub("%5c", "\\\\", path, flags=re.I), flags=re.I),
           lambda path: path.replace("\\", "/"),
           *CUT,
           lambda path: re.sub("//+", "/", path))


def read_as(path, habits):
    for habit in habits:
        path = habit(path)
    return path


def habitual(path):
    """What servers make of the path before they resolve dots: each with some of the habits that H14 names."""
    return {read_as(path, habits) for count in range(len(LENIENT) + 1) for habits in itertools.combinations(LENIENT, count)}


def again(read, resolved):
    """What the server behind one that resolved something makes of it."""
    return {resolved} if read == resolved else {resolved, read_as(resolved, LENIENT)}


def readings(path):
    return {path}.union(*(again(read, normal(read)) for read in habitual(path)))


def check_itself():
    """A judge that lets everything pass is none."""
    good = (b"POST /a HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\nx-forwarded-host: a\r\n"
            b"forwarded: for=127.0.0.1\r\nvia: 1.1 x\r\nx-request-id: 1\r\n%s\r\n%s")
    assert len(requests(good % (b"content-length: 2\r\n", b"ab") + good % (b"", b""))) == 2
    assert requests(good % (b"transfer-encoding: chunked\r\n", b"2\r\nab\r\n0\r\n\r\n"))[0].body == b"ab"
    assert not requests(good % (b"content-length: 3\r\n", b"ab"))[0].complete
    for fields, body in ((b"content-length: 2\r\ncontent-length: 2\r\n", b"ab"), (b"content-length: 02\r\n", b"ab"),
                         (b"content-length: 1\r\n", b"ab"), (b"transfer-encoding: chunked\r\n", b"2;a\r\nab\r\n0\r\n\r\n"),
                         (b"transfer-encoding: chunked\r\ncontent-length: 1\r\n", b""), (b"host: b\r\n", b""),
                         (b"te: trailers\r\n", b""), (b"expect: 100-continue\r\n", b""), (b"x-a : 1\r\n", b""),
                         (b"x-a: 1\n", b""), (b"x_a: 1\r\n", b""), (b"x-forwarded-for: 127.0.0.1\r\n", b""),
                         (b"transfer-encoding: chunked\r\n", b"0\r\nx-a: 1\r\n\r\n"), (b"X-A: 1\r\n", b"")):
        for data in (good % (fields, body),):
            try:
                assert not requests(data), f"{data!r} passes"
                raise AssertionError(f"{data!r} passes")
            except Unsound:
                pass
    for path in ("/a/../b", "//admin", "/%2e/x", "/x/..;/admin", "/%61dmin", "/x%2f..%2fadmin", "/x\\..\\admin", "/%", "/%00"):
        try:
            check_path(path)
            raise AssertionError(f"{path} passes")
        except Unsound:
            pass
    for path in ("/administrator", "/x/admin", "/a//b", "/a;b", "/...", "/"):
        check_path(path)


if __name__ == "__main__":
    check_itself()
    print("ok")
