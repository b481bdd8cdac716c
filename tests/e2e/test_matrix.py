"""The same stories with clients and backends of both versions of HTTP, in all four combinations: what goes
in at one side comes out at the other, and what is cut short never looks whole."""
import os
import threading
import time

from client import Client
from env import long, seconds, until
from h2 import HEADERS, NO_ERROR, H2Client
from origin import head
from wire import Ended, Malformed

VERSIONS = ("h1", "h2")
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"}


PAUSE = 0.01


def pieces(body, count=20):
    size = -(-len(body) // count)
    for at in range(0, len(body), size):
        time.sleep(PAUSE)
        yield body[at:at + size]


class Slow:
    """A socket whose reader takes its time."""

    def __init__(self, connection):
        self.connection = connection

    def recv(self, _size):
        time.sleep(PAUSE)
        return self.connection.recv(10000)


class Answer:
    """A response, whichever version carried it."""

    def __init__(self, status, fields, body, trailers, interim):
        self.status, self.fields, self.body = status, dict(fields), body
        self.trailers, self.interim = dict(trailers), interim


class Cut(Exception):
    """No whole response came."""


# --- clients ---

class Asker1:
    def __init__(self, port):
        self.client = Client(port, timeout=100)

    def ask(self, method="GET", path="/", fields=(), body=b"", trailers=()):
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in fields)]
        if trailers:
            lines += ["Transfer-Encoding: chunked", "", "%x" % len(body), body.decode("latin-1"), "0"]
            lines += [f"{name}: {value}" for name, value in trailers]
        elif body:
            lines += [f"Content-Length: {len(body)}"]
        end = b"" if trailers else body
        try:
            self.client.send("\r\n".join([*lines, "", ""]).encode("latin-1") + end)
        except ConnectionError:
            pass  # answered early; the answer is there
        try:
            got = self.client.response(method)
        except (Ended, Malformed, ConnectionError) as problem:
            raise Cut(problem) from None
        return Answer(got.status, got.fields, got.body, got.trailers, [one.status for one in got.interim])

    def begin(self, body=b"", path="/", length=1000000):
        """A request that is not complete yet."""
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}", "", ""]
        self.client.send("\r\n".join(lines).encode() + body)

    def expects(self, body):
        """Sends the content only once it is asked for."""
        self.client.send(f"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        until(lambda: b"\r\n\r\n" in self.client.reader.buffer or self.client.reader.more(), what="a first answer")
        until(lambda: b"\r\n\r\n" in self.client.reader.buffer or self.client.reader.more(), what="all of it")
        if self.client.reader.buffer.startswith(b"HTTP/1.1 100 "):
            self.client.send(body)
        got = self.client.response()
        return Answer(got.status, got.fields, got.body, got.trailers, [one.status for one in got.interim])

    def half_a_head(self):
        self.client.send(b"GET / HTTP/1.1\r\nHos")

    def call(self, path):
        """Asks, and does not wait for the answer."""
        self.client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def taste(self):
        """Waits for the beginning of its content."""
        assert self.client.socket.recv(1000)

    def slowly(self, body):
        """Sends piece by piece, and takes the answer so."""
        self.begin(length=len(body))
        for piece in pieces(body):
            self.client.send(piece)
        self.client.reader.connection = Slow(self.client.socket)
        return self.client.response().body

    def leave(self):
        self.client.reset()


class Asker2:
    def __init__(self, port):
        self.client = H2Client(port)

    def ask(self, method="GET", path="/", fields=(), body=b"", trailers=()):
        length = [("content-length", len(body))] if body and not trailers else []
        fields = [(name.lower(), value) for name, value in fields]
        stream = self.client.request(method, path, [*fields, *length], body, trailers)
        self.client.wait(lambda: stream.over or self.client.ended_at, 100, "a response")
        if not stream.ended or stream.reset not in (None, NO_ERROR):
            raise Cut(stream)
        assert not HOP_BY_HOP & set(dict(stream.fields)), stream.fields
        return Answer(stream.status, stream.fields, stream.body, stream.trailers,
                      [int(one[0][1]) for one in stream.interim])

    def begin(self, body=b"", path="/", length=1000000):
        self.stream = self.client.request("POST", path, [("content-length", length)], end=False)
        self.client.send(self.stream.id, body)

    def expects(self, body):
        fields = [("expect", "100-continue"), ("content-length", len(body))]
        stream = self.client.request("POST", "/", fields, end=False)
        self.client.wait(lambda: stream.heads, 10, "a first answer")
        if stream.interim:
            self.client.send(stream.id, body, end=True)
        self.client.wait(lambda: stream.over, 10, "the answer")
        return Answer(stream.status, stream.fields, stream.body, stream.trailers, [int(one[0][1]) for one in stream.interim])

    def half_a_head(self):
        self.client.frame(HEADERS, 0, 1, b"\x82")

    def call(self, path):
        self.stream = self.client.request("GET", path)

    def taste(self):
        self.client.wait(lambda: self.stream.body, 10, "content")

    def slowly(self, body):
        self.client.generous = False
        self.begin(length=len(body))
        for piece in pieces(body):
            self.client.send(self.stream.id, piece)
        self.client.send(self.stream.id, b"", end=True)
        while not self.stream.over:
            self.client.open_window(self.stream.id, 10000)
            self.client.open_window(0, 10000)
            time.sleep(PAUSE)
        return self.stream.body

    def leave(self):
        self.client.close()


# --- backends: a deed is done with each request ---

class Talk1:
    def __init__(self, connection, request):
        self.connection, self.request = connection, request
        self.method, self.path = request.method, request.target
        self.body = request.body

    @property
    def fields(self):
        return {name: ", ".join(self.request.fields.all(name)) for name, _ in self.request.fields}

    @property
    def trailers(self):
        return dict(self.request.trailers)

    def interim(self, status, fields):
        self.connection.send(head(status, fields))

    def respond(self, status=200, fields=(), body=b"", trailers=()):
        none = self.method == "HEAD" or status in (204, 304)
        if trailers:
            ends = "".join(f"{name}: {value}\r\n" for name, value in trailers).encode()
            fields = [*fields, ("Transfer-Encoding", "chunked")]
            self.connection.send(head(status, fields) + b"%x\r\n" % len(body) + body + b"\r\n0\r\n" + ends + b"\r\n")
        else:
            fields = fields if none else [*fields, ("Content-Length", len(body))]
            self.connection.send(head(status, fields) + (b"" if none else body))

    def slowly(self, body):
        self.connection.send(head(200, [("Content-Length", len(body))]))
        for piece in pieces(body):
            self.connection.send(piece)

    def half(self, body):
        """More than is ever sent is announced."""
        self.connection.send(head(200, [("Content-Length", len(body) + 1000)]) + body)

    def cut(self):
        self.connection.reset()

    def left(self):
        """Waits until the balancer gives up."""
        return self.connection.wait_end(10)


class Talk2:
    def __init__(self, stream):
        self.stream = stream
        self.method, self.path = stream.method, stream.path

    @property
    def body(self):
        return self.stream.read()

    @property
    def fields(self):
        return {name: ", ".join(self.stream.all(name)) for name, _ in self.stream.fields if name[0] != ":"}

    @property
    def trailers(self):
        self.stream.read()
        return self.stream.trailers

    def interim(self, status, fields):
        self.stream.connection.headers(self.stream.id, [(":status", status), *lower(fields)])

    def respond(self, status=200, fields=(), body=b"", trailers=()):
        none = self.method == "HEAD" or status in (204, 304)
        length = [] if none or trailers else [("content-length", len(body))]
        self.stream.respond(status, [*lower(fields), *length], b"" if none else body, trailers)

    def slowly(self, body):
        self.stream.connection.headers(self.stream.id, [(":status", 200), ("content-length", len(body))])
        for piece in pieces(body):
            self.stream.connection.send(self.stream.id, piece)
        self.stream.connection.send(self.stream.id, b"", end=True)

    def half(self, body):
        self.stream.connection.headers(self.stream.id, [(":status", 200), ("content-length", len(body) + 1000)])
        self.stream.connection.send(self.stream.id, body)

    def cut(self):
        self.stream.cancel(2)

    def left(self):
        connection = self.stream.connection
        connection.wait(lambda: self.stream.reset is not None or connection.ended_at, 10, "the end of the stream")
        return True


def lower(fields):
    return [(name.lower(), value) for name, value in fields]


def backend(env, version, deed, early=False):
    if version == "h2":
        return env.h2_origin(reply=lambda stream: deed(Talk2(stream)))

    def act(connection, request):
        deed(Talk1(connection, request))
        return not early and connection.socket.fileno() >= 0
    return env.origin(early=act) if early else env.origin(reply=lambda request: act)


def each(env, deed, story, early=False, **more):
    """Tells the story in every combination; deed(talk) is what the backend does."""
    for back in VERSIONS:
        origin = backend(env, back, deed, early)
        pool = {"protocol": "h2" if back == "h2" else "http/1.1", "health": {"off": True}}
        for front in VERSIONS:
            protocols = {"protocols": ["h2"]} if front == "h2" else {}
            balancer = env.simple(origin, pool=pool, listener=protocols, **more)
            asker = Asker2(balancer.port) if front == "h2" else Asker1(balancer.port)
            try:
                story(asker, balancer)
            except Exception as problem:
                raise AssertionError(f"{front} to {back}: {problem!r}") from problem


# --- the stories ---

def echo(talk):
    talk.respond(200, [("X-Method", talk.method)], talk.body)


@seconds(120)
def test_content_both_ways(env):
    def story(asker, _balancer):
        for size in (0, 1, 16384, 65535, 65536, 300_000, 1_000_000, 3):
            body = os.urandom(size)
            answer = asker.ask("POST", "/", body=body)
            assert (answer.status, answer.body) == (200, body), (size, answer.status, len(answer.body))
            assert answer.fields["content-length"] == str(size)
    each(env, echo, story)


@long
@seconds(600)
def test_much_content_both_ways(env):
    def story(asker, _balancer):
        body = os.urandom(1 << 20) * 100
        assert asker.ask("POST", "/", body=body).body == body
    each(env, echo, story, limits={"body": "200MiB"})


def test_answers_without_content(env):
    def deed(talk):
        status = int(talk.path[1:])
        talk.respond(status, [("ETag", '"1"')], b"hello")

    def story(asker, _balancer):
        for _ in range(2):
            for method, status, body in (("GET", 204, b""), ("GET", 304, b""), ("HEAD", 200, b""), ("HEAD", 404, b""),
                                         ("GET", 200, b"hello"), ("GET", 404, b"hello")):
                answer = asker.ask(method, f"/{status}")
                assert (answer.status, answer.body) == (status, body), (method, status, answer.status, answer.body)
                assert answer.fields["etag"] == '"1"'
    each(env, deed, story)


def test_trailers_both_ways(env):
    """Those of requests pass from HTTP/2 to HTTP/2 alone: servers of HTTP/1.1 merge them into the fields (L14)."""
    def deed(talk):
        talk.respond(200, [("X-Talk", type(talk).__name__)], talk.body, [("x-sum", talk.trailers.get("x-asked", "none")), ("x-end", "2")])

    def story(asker, _balancer):
        for turn in range(10):
            answer = asker.ask("POST", "/", [("TE", "trailers")], b"content", [("x-asked", f"turn {turn}")])
            assert answer.body == b"content"
            passes = isinstance(asker, Asker2) and answer.fields["x-talk"] == "Talk2"
            asked = f"turn {turn}" if passes else "none"
            assert answer.trailers == {"x-sum": asked, "x-end": "2"}, answer.trailers
    each(env, deed, story)


def test_trailers_that_may_not_be_some(env):
    """RFC 9110 section 6.5.1: what frames, routes, authenticates or describes the content stays behind."""
    never = [(name, "7") for name in ("content-length", "host", "set-cookie", "location", "authorization", "cookie",
                                      "content-type", "content-encoding", "x-forwarded-for", "x-real-ip", "via")]

    def deed(talk):
        seen = ",".join(sorted(set(talk.trailers) & {name for name, _ in never}))
        talk.respond(200, [("X-Seen", seen or "none")], talk.body, [*never, ("x-end", "2")])

    def story(asker, _balancer):
        answer = asker.ask("POST", "/", [("TE", "trailers")], b"content", never)
        assert answer.fields["x-seen"] == "none" and answer.trailers == {"x-end": "2"}, (answer.fields, answer.trailers)
    each(env, deed, story)


def test_interim_answers(env):
    def deed(talk):
        talk.interim(103, [("Link", "</style.css>; rel=preload")])
        talk.respond(200, [], b"after")

    def story(asker, _balancer):
        answer = asker.ask()
        assert (answer.status, answer.body, answer.interim) == (200, b"after", [103]), (answer.status, answer.interim)
    each(env, deed, story)


def test_100_is_made_here(env):
    """H7: once a server is there to take the content, and once; servers are not asked for it, and what they say of
    it is not passed on. Whoever is refused before that gets no 100."""
    def deed(talk):
        assert "expect" not in talk.fields
        talk.interim(100, [])
        talk.respond(200, [], talk.body)

    def story(asker, balancer):
        for body in (b"content", b"c" * 100_000):
            answer = asker.expects(body)
            assert (answer.status, answer.body, answer.interim) == (200, body, [100]), (answer.status, answer.interim)
        answer = asker.ask("POST", "/", body=b"unasked")
        assert (answer.body, answer.interim) == (b"unasked", []), answer.interim
        balancer.ctl("drain", "api/a")
        refused = type(asker)(balancer.port).expects(b"never sent")
        assert (refused.status, refused.interim) == (503, []), (refused.status, refused.interim)
        balancer.ctl("enable", "api/a")
    each(env, deed, story)


def test_fields_on_the_way(env):
    """One cookie from many crumbs, and nothing that belongs to a connection alone."""
    seen = []

    def deed(talk):
        seen.append(talk.fields)
        talk.respond(200, [("X-End", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])

    def story(asker, _balancer):
        crumbs = [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]
        fields = crumbs if isinstance(asker, Asker2) else [("Cookie", "a=1; b=2; c=3"), ("Connection", "X-Hop, TE"),
                                                           ("X-Hop", "1"), ("Keep-Alive", "timeout=5")]
        answer = asker.ask("GET", "/", [*fields, ("TE", "trailers"), ("X-Kept", "1")])
        assert answer.fields["x-end"] == "1"
        assert seen[-1]["cookie"] == "a=1; b=2; c=3" and seen[-1]["x-kept"] == "1", seen[-1]
        assert not (HOP_BY_HOP - {"te", "connection"} | {"x-hop"}) & set(seen[-1]), seen[-1]
    each(env, deed, story)


@seconds(60)
def test_slow_sides(env):
    """Both sides send piece by piece, and take so."""
    def story(asker, _balancer):
        body = os.urandom(300_000)
        assert asker.slowly(body) == body
    each(env, lambda talk: talk.slowly(talk.body), story)


@seconds(60)
def test_ends_at_every_phase(env):
    """Whoever breaks off, and whenever: nothing is left behind, and the next request is served."""
    def deed(talk):
        if talk.path == "/waits":
            talk.left()
        elif talk.path == "/half":
            talk.half(b"x" * 50_000)
            talk.left()
        elif talk.path == "/cut":
            talk.cut()
        else:
            talk.respond(200, [], b"fine")

    def running(balancer):
        return sum(row["inflight"] for row in balancer.ctl_json("backends")["backends"])

    def waits(balancer):
        until(lambda: running(balancer) == 1, 10, "the request")

    phases = {
        "in the head": lambda asker, balancer: asker.half_a_head(),
        "in the content": lambda asker, balancer: (asker.begin(b"a" * 1000, "/waits"), waits(balancer)),
        "before the answer": lambda asker, balancer: (asker.call("/waits"), waits(balancer)),
        "in the answer": lambda asker, balancer: (asker.call("/half"), asker.taste()),
    }

    def story(asker, balancer):
        for name, begin in phases.items():
            leaver = type(asker)(balancer.port)
            begin(leaver, balancer)
            leaver.leave()
            until(lambda: running(balancer) == 0, 10, f"the end {name}")
            assert type(asker)(balancer.port).ask().body == b"fine", name
        assert asker.ask("POST", "/cut", body=b"once").status == 502
        assert type(asker)(balancer.port).ask().body == b"fine"
        until(lambda: balancer.metric("meridian_requests_running") == 0, 10, "no request")
    each(env, deed, story, early=True)


def test_a_backend_that_breaks_off(env):
    """The client must see that it is not the whole (H19)."""
    def deed(talk):
        talk.half(b"x" * 50_000)
        time.sleep(0.2)
        talk.cut()

    def story(asker, _balancer):
        try:
            answer = asker.ask()
        except Cut:
            return
        raise AssertionError(f"it looks whole: {answer.status}, {len(answer.body)} bytes")
    each(env, deed, story)


def test_a_backend_that_answers_early(env):
    def deed(talk):
        talk.respond(403, [], b"no")
        time.sleep(0.3)

    def story(asker, balancer):
        asker.begin(body=b"a" * 1000)
        if isinstance(asker, Asker2):
            stream = asker.client.streams[1]
            asker.client.wait(lambda: stream.status, 5, "the early answer")
            assert stream.status == 403
        else:
            assert asker.client.response().status == 403
    each(env, deed, story, early=True)


def test_a_client_that_leaves(env):
    """While it still sends, and while it waits: the backend is let go in both cases."""
    asked, gone = threading.Semaphore(0), threading.Semaphore(0)

    def deed(talk):
        asked.release()
        if talk.left():
            gone.release()

    def story(asker, balancer):
        asker.begin(body=b"a" * 1000)
        assert asked.acquire(timeout=5), "the backend was not asked"
        asker.leave()
        assert gone.acquire(timeout=5), "the backend still waits"
    each(env, deed, story, early=True)


def test_drain_and_reload(env):
    """What is under way ends well while the configuration changes and when the balancer stops."""
    gates = []

    def deed(talk):
        if talk.path == "/slow":
            gates[-1].wait(10)
        talk.respond(200, [], b"done")

    def story(asker, balancer):
        gates.append(threading.Event())
        assert asker.ask().body == b"done"
        balancer.reload()
        assert asker.ask().body == b"done"
        result = []
        thread = threading.Thread(target=lambda: result.append(asker.ask("GET", "/slow").body))
        thread.start()
        until(lambda: sum(row["inflight"] for row in balancer.ctl_json("backends")["backends"]) == 1, 5, "the request")
        balancer.signal(15)
        time.sleep(0.3)
        gates[-1].set()
        thread.join(10)
        assert result == [b"done"]
        if isinstance(asker, Asker2):  # RFC 9113 section 6.8: first all streams, then those that were taken
            asker.client.wait(lambda: asker.client.ended_at, 5, "the end")
            assert [goaway[:2] for goaway in asker.client.goaways] == [(0x7fffffff, 0), (5, 0)], asker.client.goaways
        balancer.process.wait(10)
    each(env, deed, story)


def test_retries(env):
    """A backend that breaks off before it answers: what may be asked again is asked elsewhere (law 1)."""
    def bad(talk):
        talk.cut()

    def good(talk):
        talk.respond(200, [], b"good")

    for back in VERSIONS:
        pool = {"protocol": "h2" if back == "h2" else "http/1.1", "health": {"off": True}, "retries": {"budget": "100%"}}
        for front in VERSIONS:
            origins = backend(env, back, bad), backend(env, back, good)
            balancer = env.simple(*origins, pool=pool, listener={"protocols": ["h2"]} if front == "h2" else {})
            asker = Asker2(balancer.port) if front == "h2" else Asker1(balancer.port)
            for _ in range(6):
                answer = asker.ask()
                assert (answer.status, answer.body) == (200, b"good"), (front, back, answer.status)
            posts = []
            for _ in range(6):
                try:
                    posts.append(asker.ask("POST", "/", body=b"once").status)
                except Cut:
                    posts.append(0)
            asked = sum(len([one for one in origin.requests if one.method == "POST"]) for origin in origins)
            assert asked == 6 and set(posts) <= {200, 502}, (front, back, posts, asked)


def test_heads_as_large_as_they_may_be(env):
    """limits.head above what libraries think large. Blocks of HTTP/2 follow it (L22)."""
    def deed(talk):
        talk.respond(200, [("X-Large", "b" * 50000)], b"ok")

    def story(asker, _balancer):
        answer = asker.ask("GET", "/", [(f"X-Large-{number}", "~" * 50000) for number in range(2)])
        assert (answer.status, answer.body, len(answer.fields["x-large"])) == (200, b"ok", 50000), answer.status
    each(env, deed, story, limits={"head": "256KiB", "field": "128KiB"})
