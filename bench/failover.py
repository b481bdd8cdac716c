#!/usr/bin/env python3
"""One of four servers is killed, comes back, falls silent and wakes up, under thousands of requests per
second (RELIABILITY G6, G7). What must hold: no idempotent request fails when the server is killed, as many
POSTs fail at most as were in flight there, no POST reaches servers twice; a server that refuses is out of
traffic within a second, a silent one within seven, and one that is back has traffic within five.

    failover.py [--build DIR] [--rate R] [--posts R] [--hedge] [--json FILE]
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter

from rig import Rig, free_ports, wait_port

SERVERS, DELAY_MS = 4, (4, 4)
BEFORE, KILLED, BACK, SILENT, AFTER = 3, 4, 7, 10, 6  # seconds of each part
SECONDS = BEFORE + KILLED + BACK + SILENT + AFTER


class World:
    def __init__(self, rig, folder, hedge):
        self.rig, self.folder = rig, folder
        self.port, *self.ports = free_ports(1 + SERVERS)
        self.origins = [self.start(i) for i in range(SERVERS)]
        for port in self.ports:
            wait_port(port)
        self.control = os.path.join(folder, "control.sock")
        path = os.path.join(folder, "meridian.yaml")
        with open(path, "w") as file:
            json.dump(self.config(hedge), file, indent=1)
        self.process = rig.start([rig.tool("meridian"), "-c", path], stderr=open(os.path.join(folder, "stderr"), "wb"))
        wait_port(self.port, self.process)

    def start(self, i):
        delay, jitter = DELAY_MS
        return self.rig.origin("--name", f"s{i}", "--delay-ms", delay, "--delay-jitter", jitter, "--journal",
                               self.journal(i), "--bytes", 200, "--port", self.ports[i])

    def journal(self, i):
        return os.path.join(self.folder, f"journal-{i}")

    def config(self, hedge):
        pool = {"backends": {f"s{i}": {"address": f"127.0.0.1:{port}"} for i, port in enumerate(self.ports)},
                "balance": {"slow_start": "0s"}, "health": {"http": {"path": "/healthz"}}}
        if hedge:
            pool["hedge"] = {}
        return {"workers": 2, "listeners": {"public": {"bind": f"127.0.0.1:{self.port}"}}, "pools": {"api": pool},
                "routes": [{"pool": "api"}], "log": {"access": {"path": "off"}},
                "admin": {"http": "off", "socket": self.control}, "state": self.folder}

    def backend(self, name):
        done = subprocess.run([self.rig.tool("meridianctl"), "-s", self.control, "--json", "backends", "api"],
                              capture_output=True, check=True)
        return next(row for row in json.loads(done.stdout)["backends"] if row["name"] == name)

    def load(self, name, rate, first):
        """Each request has a path of its own, so that one that comes twice is found."""
        paths = os.path.join(self.folder, name)
        with open(paths, "w") as file:
            file.writelines(f"/{name}/{i}\n" for i in range(first, first + int(rate * SECONDS) + 10))
        options = ["--method", "POST", "--body-bytes", 64] if name == "post" else []
        return self.rig.load_begin(f"http://127.0.0.1:{self.port}/", "--rate", rate, "--seconds", SECONDS, "--connections",
                                   64, "--paths", paths, "--timeout", 30000, *options)

    def received(self):
        counts = Counter()
        for i in range(SERVERS):
            with open(self.journal(i)) as file:
                counts.update(line for line in file.read().split("\n") if line and "/healthz" not in line)
        return counts


def watch(world, name, condition, limit=30):
    """Seconds until the condition holds of the backend's row; None: it never did."""
    start = time.monotonic()
    while time.monotonic() < start + limit:
        if condition(world.backend(name)):
            return time.monotonic() - start
        time.sleep(0.02)
    return None


def script(world, found):
    """What happens to the first server."""
    time.sleep(BEFORE)
    found["in flight when killed"] = world.backend("s0")["inflight"]
    world.origins[0].kill()
    world.origins[0].wait()
    found["killed: out after s"] = watch(world, "s0", lambda row: row["state"] != "up", KILLED)
    time.sleep(max(0, KILLED - (found["killed: out after s"] or 0)))
    world.origins[0] = world.start(0)
    wait_port(world.ports[0])
    served = world.backend("s0")["responses"]
    found["back: serves after s"] = watch(world, "s0", lambda row: row["responses"] > served + 50, BACK)
    time.sleep(max(0, BACK - (found["back: serves after s"] or 0)))
    world.origins[0].send_signal(signal.SIGSTOP)
    found["silent: out after s"] = watch(world, "s0", lambda row: row["state"] != "up", SILENT)
    time.sleep(max(0, SILENT - (found["silent: out after s"] or 0)))
    world.origins[0].send_signal(signal.SIGCONT)


def judge(found, gets, posts, received, expected):
    twice = sum(count > 1 for line, count in received.items() if line.startswith("POST"))
    again = sum(count - 1 for line, count in received.items() if line.startswith("GET"))
    found.update({"GET answered": gets["completed"], "GET failed": gets["failed"], "GET errors": gets["errors"],
                  "POST answered": posts["completed"], "POST failed": posts["failed"], "POST errors": posts["errors"],
                  "POST that came twice": twice, "GET that came again": again,
                  "GET p50/p99 ms": [gets["latency_ms"]["p50"], gets["latency_ms"]["p99"]]})
    late = lambda what, most: found[what] is None or found[what] > most
    return [text for text, bad in (
        ("idempotent requests failed", gets["failed"] > 0),
        ("a POST came twice", twice > 0),
        ("more POSTs failed than can have been in flight there", posts["failed"] > 64),
        ("the killed server was not out within 1 s", late("killed: out after s", 1)),
        ("the silent server was not out within 7 s", late("silent: out after s", 7)),
        ("the server that came back had no traffic within 5 s", late("back: serves after s", 5)),
        ("there were fewer requests than there should be", gets["completed"] < 0.95 * expected)) if bad]


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(root, "build", "release"))
    parser.add_argument("--rate", type=float, default=2000, help="GETs per second")
    parser.add_argument("--posts", type=float, default=200, help="POSTs per second")
    parser.add_argument("--hedge", action="store_true", help="with a second attempt beside slow ones")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory(prefix="meridian-failover-") as folder, Rig(options.build) as rig:
        world = World(rig, folder, options.hedge)
        running = [world.load("get", options.rate, 0), world.load("post", options.posts, 0)]
        happening = threading.Thread(target=script, args=(world, found))
        happening.start()
        gets, posts = (rig.load_report(process) for process in running)
        happening.join()
        problems = judge(found, gets, posts, world.received(), options.rate * SECONDS)
    for what, value in found.items():
        print(f"{what:28} {value if not isinstance(value, float) else round(value, 2)}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(found, file, indent=1)
    for problem in problems:
        print(f"not as it should be: {problem}")
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
