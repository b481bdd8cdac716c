#!/usr/bin/env python3
"""One of four servers is killed, comes back, falls silent and wakes up, under thousands of requests per
second (docs/reliability.md: G6, G7). What must hold: no idempotent request fails when the server is killed, as many
POSTs fail at most as were in flight there, no POST reaches servers twice; a server that refuses is out of
traffic within a second, a silent one within seven, and one that is back has traffic within five.

    failover.py [--build DIR] [--rate R] [--posts R] [--hedge] [--json FILE]
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter

from rig import Rig, wait_port
from trial import Trial, arguments, finish

SERVERS, DELAY_MS = 4, (4, 4)
BEFORE, KILLED, BACK, SILENT, AFTER = 3, 4, 7, 10, 6  # seconds of each part
SECONDS = BEFORE + KILLED + BACK + SILENT + AFTER


class World(Trial):
    def __init__(self, rig, folder, hedge):
        super().__init__(rig, folder, SERVERS,
                         ["--delay-ms", DELAY_MS[0], "--delay-jitter", DELAY_MS[1], "--bytes", 200],
                         {"balance": {"slow_start": "0s"}, **({"hedge": {}} if hedge else {})})

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
    parser = arguments(__doc__)
    parser.add_argument("--rate", type=float, default=2000, help="GETs per second")
    parser.add_argument("--posts", type=float, default=200, help="POSTs per second")
    parser.add_argument("--hedge", action="store_true", help="with a second attempt beside slow ones")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory(prefix="meridian-failover-") as folder, Rig(options.build) as rig:
        world = World(rig, folder, options.hedge)
        running = [world.load("get", options.rate, 0), world.load("post", options.posts, 0)]
        happening = threading.Thread(target=script, args=(world, found))
        happening.start()
        gets, posts = (rig.load_report(process) for process in running)
        happening.join()
        problems = judge(found, gets, posts, Counter(world.received()), options.rate * SECONDS)
    for what, value in found.items():
        print(f"{what:28} {value if not isinstance(value, float) else round(value, 2)}")
    return finish(options, found, problems)


if __name__ == "__main__":
    sys.exit(main())
