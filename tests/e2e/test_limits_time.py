"""Bounds that are counted in time, from both sides (RELIABILITY section 2: L6, L7, L8)."""
import socket
import threading
import time

from client import get
from env import lengthy, seconds, until
from origin import chunked, head, text

QUIET = {"health": {"off": True}, "retries": {"extra": 0}}


def drip(client, pieces, pause, piece):
    """So many pieces, one each `pause`; ends early where the balancer has ended it."""
    try:
        for _ in range(pieces):
            client.send(piece)
            time.sleep(pause)
    except OSError:
        pass


class Uploading:
    """The content of one stream of HTTP/2."""

    def __init__(self, client, path, size):
        self.client, self.stream = client, client.request("POST", path, [("content-length", str(size))], end=False)
        self.left = size

    def send(self, piece):
        if self.stream.over:
            raise BrokenPipeError("the stream has ended")
        self.left -= len(piece)
        self.client.send(self.stream.id, piece, end=self.left == 0)


def ended_as(balancer, reason):
    return until(lambda: [line for line in balancer.access_log(0) if line["end"] == reason], what=f"{reason} in the log")


@lengthy
@seconds(90)
def test_l6_mean_rate_of_content(env):
    """100 KB a second: too little where 1 MiB is wanted, whoever goes on without a pause; enough where 10 KiB are."""
    balancer = env.simple(env.origin(reply=lambda request: text(b"%d" % len(request.body))), limits={"request_rate": "1MiB/s"},
                          listener={"protocols": ["h2", "http/1.1"]},
                          routes=[{"match": {"path": "/patient"}, "pool": "api", "limits": {"request_rate": "10KiB/s"}},
                                  {"pool": "api"}])
    slow, patient = (env.client(balancer.port, timeout=60).request("POST", path, {"Content-Length": str(70 * 20_000)})
                     for path in ("/slow", "/patient"))
    begun = time.monotonic()
    many = env.h2_client(balancer.port).ready()
    streams = [Uploading(many, path, 70 * 20_000) for path in ("/slow2", "/patient/2")]
    threads = [threading.Thread(target=drip, args=(client, 70, 0.2, b"m" * 20_000)) for client in (slow, patient, *streams)]
    for thread in threads:
        thread.start()
    assert slow.response().status == 408
    many.wait(lambda: streams[0].stream.over, timeout=60, what="the end of the slow stream")
    assert streams[0].stream.status == 408, streams[0].stream
    assert time.monotonic() - begun > 9, "the first window is ten seconds long"
    answer = patient.response()
    assert (answer.status, answer.body) == (200, b"1400000")
    many.wait(lambda: streams[1].stream.over, timeout=60, what="the end of the patient stream")
    assert (streams[1].stream.status, bytes(streams[1].stream.body)) == (200, b"1400000")
    for thread in threads:
        thread.join()
    assert sorted(line["path"] for line in ended_as(balancer, "limit-L6")) == ["/slow", "/slow2"]


def narrow(env, port, path):
    """A client with a small buffer, so that what it does not take waits in the balancer."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    one.settimeout(60)
    one.connect(("127.0.0.1", port))
    env.at_end(one.close)
    one.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
    return one


def gulp(one, size, pause, most_s):
    """Takes so much at a time, with a pause after each; returns when it ended, or None."""
    begun = time.monotonic()
    try:
        while time.monotonic() - begun < most_s:
            left = size
            while left > 0:
                piece = one.recv(min(left, 65536))
                if not piece:
                    return time.monotonic() - begun
                left -= len(piece)
            time.sleep(pause)
    except OSError:
        return time.monotonic() - begun
    return None


@lengthy
@seconds(150)
def test_l7_mean_rate_of_an_answer(env):
    """Who takes a little, waits, and takes a little is too slow where the mean is; who takes what there is, is not, however
    little that is."""
    def reply(request):
        if request.target == "/quiet":
            return chunked(*[b"event"] * 140, pause=0.25, fields=[("Content-Type", "text/event-stream")])
        return text(b"m" * (128 << 20))
    balancer = env.simple(env.origin(reply=reply), workers=1, limits={"response_rate": "1MiB/s"},
                          listener={"protocols": ["h2", "http/1.1"]})
    ends = {}

    def take(name, size, pause):
        ends[name] = gulp(narrow(env, balancer.port, b"/" + name.encode()), size, pause, 45)

    threads = [threading.Thread(target=take, args=args) for args in (("slow", 300_000, 3), ("fast", 400_000, 0.2))]
    for thread in threads:
        thread.start()
    quiet = env.client(balancer.port, timeout=60).request("GET", "/quiet")
    client = env.h2_client(balancer.port, generous=False).ready()
    streams, begun = [client.request("GET", "/slow2") for _ in range(2)], time.monotonic()
    while not streams[0].over and time.monotonic() - begun < 45:
        for number in (0, *[one.id for one in streams]):
            client.open_window(number, 300_000)
        time.sleep(3)
    assert streams[0].reset is not None and not streams[0].ended, streams[0]
    assert time.monotonic() - begun >= 30, "the first window is thirty seconds long"
    assert quiet.response().body == b"event" * 140
    for thread in threads:
        thread.join()
    assert ends["slow"] is not None and ends["slow"] >= 30 and ends["fast"] is None, ends
    assert {line["path"] for line in balancer.access_log(0) if line["end"] == "limit-L7"} == {"/slow", "/slow2"}


@seconds(60)
def test_l7_is_noticed_in_time_where_the_server_may_be_silent_for_long(env):
    """The times of a server and of a tunnel say nothing about a client that has stopped to take what is there."""
    def late(connection, request):
        fields = [("Content-Length", 64 << 20)] + [("Content-Type", "text/event-stream")] * (request.target == "/events")
        connection.send(head(200, fields) + b"first")
        time.sleep(1.5)
        connection.send(bytes((64 << 20) - 5))
        return True
    balancer = env.simple(env.origin(early=late), timeouts={"send": "1s", "tunnel_idle": "1h", "response_body": "1h"})
    clients = [narrow(env, balancer.port, path) for path in (b"/events", b"/plain")]
    lines = until(lambda: len(found := balancer.access_log(0)) == 2 and found, 15, "the end of both")
    assert [line["end"] for line in lines] == ["limit-L7"] * 2
    del clients


class Taker:
    """A server that takes what it is sent in its own time: `bytes_at_a_time` each 0.2 s, then answers; 0: takes nothing."""

    def __init__(self, env, size, at_a_time):
        self.size, self.at_a_time, self.accepted = size, at_a_time, []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        env.at_end(self.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                one, _ = self.listener.accept()
                self.accepted.append(one)
                threading.Thread(target=self.take, args=(one,), daemon=True).start()
        except OSError:
            pass

    def take(self, one):
        taken = 0
        try:
            while self.at_a_time and taken < self.size:
                turn = 0
                while turn < self.at_a_time and taken < self.size:
                    piece = one.recv(65536)
                    if not piece:
                        return
                    turn += len(piece)
                    taken += len(piece)
                time.sleep(0.2)
            if self.at_a_time:
                one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntaken")
        except OSError:
            pass

    def close(self):
        for one in [self.listener, *self.accepted]:
            one.close()


@seconds(90)
def test_l8_a_server_that_takes_no_content(env):
    """504 after its pause, and what it may have acted on goes to nobody else; one that takes a little goes on."""
    size = 16 << 20
    for at_a_time, wanted in ((0, 504), (700_000, 200)):
        servers = [Taker(env, size, at_a_time) for _ in range(2)]
        balancer = env.simple(*servers, pool={"health": {"off": True}},
                              timeouts={"backend_send": "1s", "request_body": "60s", "first_byte": "60s"})
        client, begun = env.client(balancer.port, timeout=60), time.monotonic()
        client.request("POST", "/", {"Content-Length": str(size)})
        upload = threading.Thread(target=drip, args=(client, 1, 0, b"m" * size))
        upload.start()
        answer = client.response()
        took = time.monotonic() - begun
        assert answer.status == wanted, (at_a_time, answer)
        assert took >= 1 and (took > 3 or not at_a_time), took
        client.close()
        upload.join()
        line = balancer.access_log(1)[0]
        assert line["end"] == ("backend-send-timeout" if not at_a_time else "ok"), line
        assert sum(len(server.accepted) for server in servers) == 1


@seconds(60)
def test_l8_a_server_that_does_not_accept(env):
    """Its backlog is full, so that the kernel does not answer: 504 at the time to connect, or the next server."""
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    env.at_end(full.close)
    address = f"127.0.0.1:{full.getsockname()[1]}"
    for _ in range(4):
        one = socket.socket()
        one.setblocking(False)
        env.at_end(one.close)
        one.connect_ex(full.getsockname())
    good = env.origin()
    times = {"connect": "700ms", "first_byte": "60s"}
    alone = env.simple(pool={"backends": {"a": {"address": address}}, **QUIET}, timeouts=times)
    begun = time.monotonic()
    assert get(alone.port).status == 504
    assert 0.6 < time.monotonic() - begun < 20
    ended_as(alone, "backend-connect-timeout")
    both = env.simple(pool={"backends": {"a": {"address": address}, "b": {"address": good.address}},
                            "health": {"off": True}}, timeouts=times)
    assert {get(both.port, method=method).status for method in ("GET", "POST") * 4} == {200}


def ask_without_reading(env, port, most):
    """A client that asks for redirects, each with a long address, and takes none; returns it when nobody takes more of them."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.settimeout(2)
    one.connect(("127.0.0.1", port))
    env.at_end(one.close)
    try:
        for _ in range(most):
            one.sendall(b"GET /away/" + b"a" * 7000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    except OSError:
        return one
    raise AssertionError(f"all of {most} requests were taken")


REDIRECTS = [{"match": {"path": "/away/"}, "redirect": {"to": "https://b.example{uri}"}}, {"pool": "api"}]


@seconds(60)
def test_l18_l7_answers_without_content_that_nobody_takes(env):
    """They hold back the next request as content would, and who takes nothing for long is ended also between requests."""
    balancer = env.simple(env.origin(), workers=1, timeouts={"send": "4s", "idle": "1h"}, routes=REDIRECTS)
    clients = [ask_without_reading(env, balancer.port, 4000) for _ in range(2)]
    assert balancer.metric("meridian_connections") >= 1, "they are not ended at once"
    answered = len(balancer.access_log(0))
    assert answered * 7000 < 2 * (1 << 20), f"{answered} requests were answered"
    until(lambda: balancer.metric("meridian_connections") == 0, 20, "the end of both")
    del clients


@seconds(60)
def test_l18_a_client_that_reads_late_has_all_its_answers(env):
    """L5 does not count while its next request waits for it; and it goes on as soon as it reads."""
    balancer = env.simple(env.origin(), workers=1, timeouts={"send": "30s", "idle": "1s"}, routes=REDIRECTS)
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.settimeout(30)
    one.connect(("127.0.0.1", balancer.port))
    env.at_end(one.close)
    count, asked = 400, b"GET /away/" + b"a" * 7000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    sender = threading.Thread(target=one.sendall, args=(asked * count,))
    sender.start()
    time.sleep(3)
    assert len(balancer.access_log(0)) < count
    taken = b""
    while taken.count(b"\r\n\r\n") < count:
        piece = one.recv(65536)
        assert piece, f"ended after {taken.count(b'HTTP/1.1 30')} answers"
        taken += piece
    sender.join()
    assert taken.count(b"https://b.example/away/aaa") == count
