#!/usr/bin/env python3
"""A pool that gets twice what it can do for a while, and answers 503 to what it has no room for, with retries
on 503 (RELIABILITY F14, L30). What must hold: by retries the servers get at most a fifth more requests than
clients sent then and in the ten seconds before, which the budget looks back on; what they answer in time
hardly falls; and ten seconds after the crowd has gone nobody is refused.

    crowd.py [--build DIR] [--seconds S] [--json FILE]
"""
import argparse
import json
import os
import sys
import tempfile
import time

from rig import Rig, free_ports, wait_port

SERVERS, SLOTS, DELAY_MS, ROOM = 4, 4, 20, 8
CAPACITY = SERVERS * SLOTS * 1000 / DELAY_MS  # requests per second
CALM = 0.7


class World:
    def __init__(self, rig, folder):
        self.rig, self.folder = rig, folder
        self.port, self.admin, *self.ports = free_ports(2 + SERVERS)
        for i, port in enumerate(self.ports):
            rig.origin("--name", f"s{i}", "--delay-ms", DELAY_MS, "--slots", SLOTS, "--room", ROOM, "--journal",
                       self.journal(i), "--port", port)
            wait_port(port)
        path = os.path.join(folder, "meridian.yaml")
        with open(path, "w") as file:
            json.dump({"workers": 2, "listeners": {"public": {"bind": f"127.0.0.1:{self.port}"}},
                       "pools": {"api": {"backends": {f"s{i}": {"address": f"127.0.0.1:{port}"}
                                                      for i, port in enumerate(self.ports)},
                                         "health": {"http": {"path": "/healthz"}},
                                         "retries": {"on": ["connect", "reset", "first_byte", 503]}}},
                       "routes": [{"pool": "api"}], "log": {"access": {"path": "off"}},
                       "admin": {"http": "off", "socket": os.path.join(folder, "control.sock")}, "state": folder}, file)
        process = rig.start([rig.tool("meridian"), "-c", path], stderr=open(os.path.join(folder, "stderr"), "wb"))
        wait_port(self.port, process)

    def journal(self, i):
        return os.path.join(self.folder, f"journal-{i}")

    def received(self):
        count = 0
        for i in range(SERVERS):
            with open(self.journal(i)) as file:
                count += sum("/healthz" not in line for line in file)
        return count

    def run(self, share, seconds):
        """(report, requests of clients, requests that reached servers)."""
        before = self.received()
        report = self.rig.load(f"http://127.0.0.1:{self.port}/", "--rate", CAPACITY * share, "--seconds", seconds,
                               "--connections", 2000, "--timeout", 20000)
        return report, report["completed"] + report["failed"], self.received() - before


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(root, "build", "release"))
    parser.add_argument("--seconds", type=float, default=30, help="of the crowd")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    parts, problems = [], []
    with tempfile.TemporaryDirectory(prefix="meridian-crowd-") as folder, Rig(options.build) as rig:
        world = World(rig, folder)
        for what, share, seconds in (("before", CALM, 5), ("crowd", 2.0, options.seconds), ("the ten seconds after", CALM, 10),
                                     ("later", CALM, 10)):
            report, asked, received = world.run(share, seconds)
            good = report["completed"] / seconds
            parts.append({"part": what, "good per second": good, "failed": report["failed"], "asked": asked,
                          "received": received, "latency_ms": report["latency_ms"]})
            print(f"{what:22} {good:7.0f} good/s  {report['failed']:6} refused  {received / (asked or 1):.3f} requests at "
                  f"servers for each  p50 {report['latency_ms']['p50']:.1f} ms  p99 {report['latency_ms']['p99']:.1f} ms")
            sys.stdout.flush()
            time.sleep(0.2)
    before, crowd, _, later = parts
    extra = crowd["received"] - crowd["asked"]
    if extra > 0.2 * (crowd["asked"] + before["asked"]):
        problems.append(f"{extra} retries for {crowd['asked']} requests, and {before['asked']} before")
    if crowd["good per second"] < 0.9 * CAPACITY:
        problems.append(f"only {crowd['good per second']:.0f} good answers per second of {CAPACITY:.0f}")
    if before["failed"] or later["failed"]:
        problems.append("requests were refused when there was no crowd")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(parts, file, indent=1)
    for problem in problems:
        print(f"not as it should be: {problem}")
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
