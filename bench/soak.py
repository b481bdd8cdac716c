#!/usr/bin/env python3
"""Minutes of mixed faults against one release Meridian with its time-outs divided by ten: plain and TLS, HTTP/1.1
and HTTP/2, good and bad servers, polite and hostile clients, a reload every two seconds (docs/reliability.md: G8, G14). A pool
of good servers alone has clients of its own, of whom no request may fail. At the end everything must be as it was:
memory flat, descriptors and gauges back to where they began, no request ended for a reason that is Meridian's own, and
a clean exit. How long the turns of its loops lasted is printed; it depends on what else the machine does.

    soak.py [--build DIR] [--seconds 300]

Below a minute the servers are taken away at the end, instead of waiting until idle connections to them close (L34).
"""
import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from rig import Rig, certificate, free_ports, wait_port

GAUGES = ("meridian_connections", "meridian_requests_running", "meridian_requests_waiting", "meridian_tunnels",
          "meridian_pool_requests_waiting", "meridian_backend_requests_running")
SLOPE_KIB = 1024
# Ends that nothing of what happens here explains.
OWN_FAULTS = {"no-memory", "no-descriptor", "no-port", "full", "system", "internal", "overload", "overload-heaviest", "shed",
              "no-route"}
LABELLED = re.compile(r'^(\w+)\{(?:.*,)?(?:reason|le)="([^"]*)"\} (\S+)$', re.M)


class BadServer(threading.Thread):
    """Answers one request a connection, mostly wrongly."""
    ANSWERS = [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000,
               b"HTTP/1.1 999 Odd\r\n\r\n", b"garbage\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
               b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
               b"HTTP/1.1 103 Hints\r\n\r\n" * 20]

    def __init__(self, port, seed):
        super().__init__(daemon=True)
        self.random = random.Random(seed)
        self.listener = socket.create_server(("127.0.0.1", port), backlog=256)

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            try:
                connection.settimeout(0.5)
                connection.recv(65536)
                if self.random.random() < 0.1:
                    time.sleep(0.3)
                connection.sendall(self.random.choice(self.ANSWERS))
                if self.random.random() < 0.5:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            except OSError:
                pass
            connection.close()


class RudeClient(threading.Thread):
    """One hostile or careless connection after the other."""

    def __init__(self, ports, stop, seed):
        super().__init__(daemon=True)
        self.ports, self.stop, self.random, self.done = ports, stop, random.Random(seed), 0
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self.h2 = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.h2.check_hostname, self.h2.verify_mode = False, ssl.CERT_NONE
        self.h2.set_alpn_protocols(["h2"])

    def bytes(self):
        pick = self.random.random
        head = b"GET /bytes/%d HTTP/1.1\r\nHost: a\r\n" % self.random.choice([0, 1000, 3000000])
        if pick() < 0.2:
            return os.urandom(200)
        if pick() < 0.3:
            return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * self.random.randrange(100000)
        if pick() < 0.2:
            return b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz"
        if pick() < 0.2:
            return head
        return (head + b"\r\n") * self.random.randrange(1, 5)

    def h2_bytes(self):
        frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
        head = b"\x82\x87\x84\x01\x01a"
        for stream in range(1, 2 * self.random.randrange(1, STREAMS), 2):
            frames += b"\0\0" + bytes([len(head), 1, 5]) + stream.to_bytes(4, "big") + head
            if self.random.random() < 0.5:
                frames += b"\0\0\4\3\0" + stream.to_bytes(4, "big") + b"\0\0\0\x08"
        return frames + (os.urandom(50) if self.random.random() < 0.3 else b"")

    def once(self):
        over = self.random.choice(["plain", "tls", "h2"])
        connection = socket.create_connection(("127.0.0.1", self.ports[0 if over == "plain" else 1]), timeout=3)
        try:
            if over != "plain":
                context = self.tls if over == "tls" else self.h2
                connection = context.wrap_socket(connection, server_hostname="localhost")
            connection.sendall(self.h2_bytes() if over == "h2" else self.bytes())
            end = self.random.random()
            if end < 0.3:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            elif end < 0.5 and over == "plain":
                connection.shutdown(socket.SHUT_WR)
                connection.recv(100)
            elif end < 0.8:
                connection.recv(self.random.randrange(1, 100000))
            elif end < 0.83:
                time.sleep(2)
        finally:
            connection.close()

    def run(self):
        while not self.stop.is_set():
            try:
                self.once()
            except OSError:
                pass
            self.done += 1
            time.sleep(0.005)


class World:
    def __init__(self, rig, folder):
        self.rig, self.folder, self.generation = rig, folder, 0
        good, good2, bad, bad2, h2, self.admin, *self.ports = free_ports(9)
        self.chain, self.key, _ = certificate(folder)
        rig.origin("--port", good, "--port", good2)
        self.bad = [BadServer(bad, 1), BadServer(bad2, 2)]
        for server in self.bad:
            server.start()
        self.backends = {"good": good, "good2": good2, "bad": bad, "bad2": bad2}
        self.h2 = None
        if shutil.which("nghttpd"):
            self.h2 = h2
            rig.start(["nghttpd", "--no-tls", "-d", folder, "-a", "127.0.0.1", str(h2)], stdout=subprocess.DEVNULL)
        self.path = os.path.join(folder, "meridian.yaml")
        self.control = os.path.join(folder, "control.sock")
        self.write()
        self.process = rig.start([rig.tool("meridian"), "-c", self.path],
                                 stderr=open(os.path.join(folder, "stderr"), "wb"))
        wait_port(self.ports[0], self.process)

    def write(self, broken=False, last=False):
        """The next generation: other weights, now and then a server less; at last other servers altogether."""
        self.generation += 1
        chosen = {name: port for name, port in self.backends.items()
                  if name == "good" or self.generation % 5 or name != "bad2"}
        backends = {name: {"address": f"127.0.0.1:{port}", "weight": 50 + self.generation * 7 % 100}
                    for name, port in chosen.items()}
        pools = {"api": {"backends": backends, "health": {"interval": "500ms", "timeout": "200ms"}}}
        routes = [{"pool": "api", "websocket": True}]
        pools["steady"] = {"backends": {name: {"address": f"127.0.0.1:{self.backends[name]}"} for name in ("good", "good2")}}
        routes.insert(0, {"match": {"path": "/steady"}, "pool": "steady"})
        if self.h2:
            pools["h2"] = {"backends": {"one": {"address": f"127.0.0.1:{self.h2}"}}, "protocol": "h2"}
            routes.insert(0, {"match": {"path": "/h2"}, "pool": "h2"})
        if last:
            pools = {"none": {"backends": {"one": {"address": "127.0.0.1:1"}}, "health": {"off": True}}}
            routes = [{"pool": "none"}]
        config = {
            "workers": 2, "state": self.folder,
            "admin": {"socket": self.control, "http": f"127.0.0.1:{self.admin}"},
            "log": {"level": "error", "access": {"path": "off"}},
            "timeouts": {"request_head": "1s", "idle": "6s", "request_body": "3s", "send": "3s", "first_byte": "6s",
                         "response_body": "6s", "backend_send": "3s", "handshake": "1s"},
            "limits": {"connections_per_source": 20000},
            "listeners": {"plain": {"bind": f"127.0.0.1:{self.ports[0]}", "protocols": ["h2", "http/1.1"]},
                          "tls": {"bind": f"127.0.0.1:{self.ports[1]}",
                                  "tls": {"certificates": [{"chain": self.chain, "key": self.key}]}}},
            "pools": pools, "routes": [{"pool": "nowhere"}] if broken else routes,
        }
        with open(self.path + ".new", "w") as file:
            json.dump(config, file)
        os.rename(self.path + ".new", self.path)

    def reload(self, last=False):
        broken = self.generation % 10 == 9 and not last
        self.write(broken, last)
        done = subprocess.run([self.rig.tool("meridianctl"), "-s", self.control, "reload"], capture_output=True,
                              timeout=60)
        if (done.returncode != 0) != broken:
            raise SystemExit(f"soak: reload: {done.stdout.decode()}{done.stderr.decode()}")

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10) as answer:
            return answer.read().decode()

    def labelled(self, name):
        """Of a family with one label: the value of each."""
        return {label: float(value) for family, label, value in LABELLED.findall(self.metrics()) if family == name}

    def gauges(self):
        sums = {}
        for line in self.metrics().splitlines():
            name = line.split("{")[0].split(" ")[0]
            if name in GAUGES:
                sums[name] = sums.get(name, 0) + float(line.rsplit(" ", 1)[1])
        return sums

    def counted(self):
        """KiB that it counts itself of what it has taken: what leaks shows here though the process has room to spare."""
        return float(re.search(r"^meridian_memory_bytes (\S+)", self.metrics(), re.M)[1]) / 1024

    def figures(self):
        """(resident KiB, descriptors, threads)"""
        status = dict(line.split(":", 1) for line in open(f"/proc/{self.process.pid}/status") if ":" in line)
        return (int(status["VmRSS"].split()[0]), len(os.listdir(f"/proc/{self.process.pid}/fd")),
                int(status["Threads"]))


class Steady(threading.Thread):
    """Requests that only good servers serve: all of them must be answered."""

    def __init__(self, world, stop, url, *options):
        super().__init__(daemon=True)
        self.command = [world.rig.tool("bench/load"), "--seconds", "3", "--rate", "50", "--connections", "4",
                        "--timeout", "20000", *options, url]
        self.stop, self.answered, self.failed = stop, 0, {}

    def run(self):
        while not self.stop.is_set():
            done = subprocess.run(self.command, capture_output=True, text=True)
            if done.returncode:
                self.failed["the load tool ended"] = done.returncode
                return
            report = json.loads(done.stdout)
            self.answered += report["completed"]
            for what, count in report["errors"].items():
                if count:
                    self.failed[what] = self.failed.get(what, 0) + count


def polite(world, stop):
    """Load that comes back as soon as it has ended."""
    plain, tls = (f"http://127.0.0.1:{world.ports[0]}", f"https://127.0.0.1:{world.ports[1]}")
    commands = [[world.rig.tool("bench/load"), "--seconds", "3", "--rate", "300", "--status", "200-599", f"{url}/bytes/2000"]
                for url in (plain, tls)]
    if shutil.which("h2load"):
        commands += [["h2load", "-D", "3", "-c", "8", "-m", "20", "--rps", "40", f"{url}/bytes/5000"]
                     for url in (plain, tls)]
        if world.h2:
            commands.append(["h2load", "-D", "3", "-c", "4", "-m", "10", "--rps", "40", f"{tls}/h2/cert.pem"])

    def again(command):
        while not stop.is_set():
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    threads = [threading.Thread(target=again, args=(command,), daemon=True) for command in commands]
    for thread in threads:
        thread.start()
    return threads


RUDE, STREAMS = 8, 60


def crowd(world):
    """All that the rude clients can do at once, at once: later it comes together by chance, once in an hour, and what
    workers keep of it for the next time, up to a bound, would look like a leak."""
    head = b"\x82\x87\x01\x01a\x04\x0e/bytes/3000000"
    frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"".join(
        b"\0\0" + bytes([len(head), 1, 5]) + stream.to_bytes(4, "big") + head for stream in range(1, 2 * STREAMS, 2))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with contextlib.ExitStack() as stack:
        for _ in range(RUDE):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", world.ports[1]), timeout=10))
            connection = stack.enter_context(context.wrap_socket(connection, server_hostname="localhost"))
            connection.sendall(frames)
        time.sleep(2)


def run(world, seconds):
    """Samples of (seconds, KiB, descriptors, threads), of (seconds, KiB that it counts itself), and the steady clients."""
    crowd(world)
    stop = threading.Event()
    plain, tls = f"http://127.0.0.1:{world.ports[0]}/steady", f"https://127.0.0.1:{world.ports[1]}/steady"
    steady = [Steady(world, stop, plain), Steady(world, stop, tls), Steady(world, stop, tls, "--h2", "8")]
    for client in steady:
        client.start()
    threads = polite(world, stop) + steady
    rude = [RudeClient(world.ports, stop, seed) for seed in range(RUDE)]
    for client in rude:
        client.start()
    samples, counted, begun, turn = [], [], time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        time.sleep(1)
        turn += 1
        if world.process.poll() is not None:
            raise SystemExit(f"soak: ended with {world.process.returncode}")
        if turn % 2 == 0:
            world.reload()
        samples.append((time.monotonic() - begun, *world.figures()))
        counted.append((samples[-1][0], world.counted()))
        if turn % 10 == 0:
            print("%4d s  %7d KiB  %5d descriptors  %d rude connections" %
                  (*samples[-1][:3], sum(client.done for client in rude)), flush=True)
    stop.set()
    for thread in threads + rude:
        thread.join(30)
    return samples, counted, steady


def turns(world):
    """How long the loops' turns lasted (G14): at most 5 ms in 99.9 %, never above 100 ms."""
    buckets = world.labelled("meridian_turn_seconds_bucket")
    total = max(buckets["+Inf"], 1)
    return (f"turns of the loops: {total:.0f}, of which {100 * buckets['0.005'] / total:.3f} % took at most 5 ms, "
            f"{buckets['+Inf'] - buckets['0.1']:.0f} above 100 ms")


def slope(samples):
    """KiB by which memory grows over the second half, by the least squares of its samples."""
    half = samples[len(samples) // 2:]
    mean_x = sum(s[0] for s in half) / len(half)
    mean_y = sum(s[1] for s in half) / len(half)
    spread = sum((s[0] - mean_x) ** 2 for s in half)
    return sum((s[0] - mean_x) * (s[1] - mean_y) for s in half) / spread * (half[-1][0] - half[0][0])


def at_rest(world, before, timeout=80):
    """Gauges and descriptors are back, or what is not. Idle connections to servers may stay for 50 s (L34)."""
    end = time.monotonic() + timeout
    while True:
        gauges, (_, descriptors, threads) = world.gauges(), world.figures()
        left = {name: value for name, value in gauges.items() if value > before[0].get(name, 0)}
        if descriptors > before[1] + 8 or threads > before[2]:
            left["descriptors, threads"] = (descriptors, threads, *before[1:])
        if not left or time.monotonic() > end:
            return left
        time.sleep(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--seconds", type=int, default=300)
    options = parser.parse_args()
    with Rig(options.build) as rig, tempfile.TemporaryDirectory(prefix="soak-") as folder:
        world = World(rig, folder)
        time.sleep(1)
        before = (world.gauges(), *world.figures()[1:])
        samples, counted, steady = run(world, options.seconds)
        own = {reason: count for reason, count in world.labelled("meridian_requests_ended_total").items()
               if reason in OWN_FAULTS and count}
        failed = [client.failed for client in steady if client.failed or not client.answered]
        print(turns(world))
        if options.seconds < 60:
            world.reload(last=True)
        left = at_rest(world, before)
        growth, more = slope(samples), slope(counted)
        world.process.send_signal(signal.SIGTERM)
        code = world.process.wait(60)
        print(f"memory over the second half: {growth:+.0f} KiB resident, {more:+.0f} counted (at most {SLOPE_KIB}); at rest: "
              f"{'everything' if not left else left}; exit {code}; {world.generation} configurations; of "
              f"{sum(client.answered for client in steady)} steady requests {failed or 'none'} failed; own faults: "
              f"{own or 'none'}")
        good = (max(growth, more) <= SLOPE_KIB or options.seconds < 60) and not left and code == 0 and not failed and not own
        if not good:
            with open(os.path.join(folder, "stderr"), errors="replace") as file:
                sys.stdout.write(file.read()[-3000:])
        print("soak: " + ("passed" if good else "failed"))
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
