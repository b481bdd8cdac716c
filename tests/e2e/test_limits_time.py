"""Bounds that are counted in time, from both sides (RELIABILITY section 2: L6, L8)."""
import socket
import threading
import time

from client import get
from env import lengthy, seconds, until
from origin import text

QUIET = {"health": {"off": True}, "retries": {"extra": 0}}


def drip(client, pieces, pause, piece):
    """So many pieces, one each `pause`; ends early where the balancer has ended it."""
    try:
        for _ in range(pieces):
            client.send(piece)
            time.sleep(pause)
    except OSError:
        pass


def ended_as(balancer, reason):
    return until(lambda: [line for line in balancer.access_log(0) if line["end"] == reason], what=f"{reason} in the log")


@lengthy
@seconds(90)
def test_l6_mean_rate_of_content(env):
    """100 KB a second: too little where 1 MiB is wanted, whoever goes on without a pause; enough where 10 KiB are."""
    balancer = env.simple(env.origin(reply=lambda request: text(b"%d" % len(request.body))), limits={"request_rate": "1MiB/s"},
                          routes=[{"match": {"path": "/patient"}, "pool": "api", "limits": {"request_rate": "10KiB/s"}},
                                  {"pool": "api"}])
    slow, patient = (env.client(balancer.port, timeout=60).request("POST", path, {"Content-Length": str(70 * 20_000)})
                     for path in ("/slow", "/patient"))
    begun = time.monotonic()
    threads = [threading.Thread(target=drip, args=(client, 70, 0.2, b"m" * 20_000)) for client in (slow, patient)]
    for thread in threads:
        thread.start()
    assert slow.response().status == 408
    assert time.monotonic() - begun > 9, "the first window is ten seconds long"
    answer = patient.response()
    assert (answer.status, answer.body) == (200, b"1400000")
    for thread in threads:
        thread.join()
    assert [line["path"] for line in ended_as(balancer, "limit-L6")] == ["/slow"]


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
