"""Everything at once (RELIABILITY section 8, F1 to F10, F24, F26 mixed; P1, P3, P4): servers killed and stopped while the
configuration changes, the binary is replaced, and clients dawdle, break off and lie. What the law promises through all of
it: at most two of four servers are away at a time, and a request that may be repeated is tried with three (H22, L30), so
that none of these may fail; no POST reaches servers twice; and whatever was counted up is counted down."""
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections import Counter

from client import Client
from env import alone, long, seconds, until
from test_upgrade import BOTH, Line, Load
from wire import Ended

SERVERS, ROUNDS = 4, 12
BYTES = 3000
REST = ("meridian_connections", "meridian_requests_running", "meridian_requests_waiting", "meridian_tunnels",
        "meridian_pool_requests_waiting", "meridian_backend_requests_running")


class Servers:
    """Processes that note every request they have read the head of."""

    def __init__(self, env):
        self.env, self.ports = env, [env.port() for _ in range(SERVERS)]
        self.processes = [self.start(i) for i in range(SERVERS)]
        env.at_end(self.close)

    def journal(self, i):
        return self.env.path(f"journal-{i}")

    def start(self, i):
        process = subprocess.Popen([self.env.program("bench/origin"), "--name", f"s{i}", "--bytes", str(BYTES), "--delay-ms",
                                    "4", "--journal", self.journal(i), "--port", str(self.ports[i])])
        until(lambda: self.listens(i), what=f"server {i}")
        return process

    def listens(self, i):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports[i])) == 0

    def hurt(self, i, how):
        self.processes[i].send_signal(how)
        if how == signal.SIGKILL:
            self.processes[i].wait(10)

    def heal(self, i):
        if self.processes[i].poll() is None:
            self.processes[i].send_signal(signal.SIGCONT)
        else:
            self.processes[i] = self.start(i)

    def received(self):
        lines = Counter()
        for i in range(SERVERS):
            with open(self.journal(i), encoding="ascii") as file:
                lines.update(file.read().splitlines())
        return lines

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


class Crowd:
    """Threads that each do one thing all the time, until told to end."""

    def __init__(self):
        self.over, self.threads, self.problems = threading.Event(), [], []

    def add(self, action, count, pause):
        def again():
            while not self.over.wait(pause):
                try:
                    action()
                except ConnectionRefusedError as problem:
                    self.problems.append(repr(problem))
                except OSError:
                    pass  # how a client's connection may end that Meridian has given up
                except Exception as problem:  # pylint: disable=broad-except
                    self.problems.append(repr(problem))
                    return
        for _ in range(count):
            self.threads.append(threading.Thread(target=again))
            self.threads[-1].start()

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        assert not self.problems, self.problems


class Posts:
    """Requests that may not be repeated, each with a path of its own: one outcome each, whole or a visible abort."""

    def __init__(self, port):
        self.port, self.lock, self.next, self.seen = port, threading.Lock(), 0, Counter()

    def one(self):
        with self.lock:
            number, self.next = self.next, self.next + 1
        with Client(self.port) as client:
            try:
                answer = client.get(f"/post/{number}", method="POST", body=b"p" * 500)
                outcome = answer.status
                assert len(answer.body) == BYTES if outcome == 200 else outcome in (502, 503, 504), answer
            except (Ended, OSError):
                outcome = "abort"
        with self.lock:
            self.seen[outcome] += 1


def slow_head(port):
    with Client(port) as client:
        client.send_pieces(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 30, 1, 0.1)


def slow_body(port):
    with Client(port) as client:
        client.send_pieces(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n" + b"a" * 30, 1, 0.1)


def break_off(port):
    client = Client(port).send(b"GET /bytes/2000000 HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
    client.socket.recv(random.randrange(1, 100000))
    client.reset()


def lie(port):
    with Client(port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + os.urandom(50))
        client.everything()


def configured(servers, generation):
    """The pool with other weights each time."""
    weights = [50 + (generation * 7 + i * 13) % 100 for i in range(SERVERS)]
    return {f"s{i}": {"address": f"127.0.0.1:{servers.ports[i]}", "weight": weights[i]} for i in range(SERVERS)}


def change(balancer, servers, generation):
    balancer.config["pools"]["api"]["backends"] = configured(servers, generation)
    balancer.reload(balancer.config)


def well(balancer):
    return all(row["health"] == "up" for row in balancer.ctl_json("backends")["backends"])


def at_rest(balancer):
    return [balancer.metric(name) for name in REST] == [0] * len(REST)


@long
@alone
@seconds(400)
def test_p3_p4_everything_at_once(env):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    servers = Servers(env)
    port = env.port()
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}", **BOTH}},
        "timeouts": {"connect": "500ms", "first_byte": "1s", "request_head": "2s", "request_body": "2s", "idle": "5s"},
        "pools": {"api": {"backends": configured(servers, 0), "balance": {"slow_start": "1s"},
                          "health": {"http": {"path": "/healthz"}, "interval": "500ms", "timeout": "300ms"}}},
        "routes": [{"pool": "api"}]})
    line, load, posts, crowd = Line(balancer), Load(port), Posts(port), Crowd()
    crowd.add(posts.one, 4, 0.02)
    for action in (slow_head, slow_body, break_off, lie):
        crowd.add(lambda action=action: action(port), 3, 0.05)
    try:
        for turn in range(ROUNDS):
            victims = draw.sample(range(SERVERS), draw.choice([1, 2]))
            for victim in victims:
                servers.hurt(victim, draw.choice([signal.SIGKILL, signal.SIGSTOP]))
                time.sleep(draw.random())
            change(balancer, servers, turn + 1)
            if turn % 3 == 2:
                line.upgrade()
            time.sleep(2 * draw.random())
            for victim in victims:
                servers.heal(victim)
            # Nobody is away before all that the last ones owe has been tried elsewhere.
            until(lambda: well(balancer), 30, "servers that are well")
            before = load.served
            until(lambda: load.served > before + 100, 60, f"answers {load.failed}")
    finally:
        crowd.end()
    load.end()
    until(lambda: at_rest(balancer), 60, "counters at rest")
    received = servers.received()
    twice = [what for what, count in received.items() if count > 1 and what.startswith("POST /post/")]
    assert not twice, twice
    assert load.served > 1000 and posts.seen[200] > 100, (load.served, posts.seen)
    # What may fail of the others is what was on its way to a server that went: no more than there are clients, each time.
    assert sum(count for what, count in posts.seen.items() if what != 200) <= 4 * 2 * ROUNDS, posts.seen
    print(f"{load.served} served, {dict(posts.seen)}")
    line.ended()
    line.close()
