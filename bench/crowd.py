#!/usr/bin/env python3
"""A pool that gets twice what it can do for a while, and answers 503 to what it has no room for, with retries
on 503 (F14, L30). What must hold: by retries the servers get at most a fifth more requests than
clients sent then; what they answer in time hardly falls; and ten seconds after the crowd has gone nobody is
refused.

    crowd.py [--build DIR] [--seconds S] [--json FILE]
"""
import sys
import tempfile
import time

from rig import Rig
from trial import Trial, arguments, finish

SERVERS, SLOTS, DELAY_MS, ROOM = 4, 4, 20, 8
CAPACITY = SERVERS * SLOTS * 1000 / DELAY_MS  # requests per second
CALM = 0.7


class World(Trial):
    def __init__(self, rig, folder):
        super().__init__(rig, folder, SERVERS, ["--delay-ms", DELAY_MS, "--slots", SLOTS, "--room", ROOM],
                         {"retries": {"on": ["connect", "reset", "first_byte", 503]}})

    def count(self):
        return sum(1 for _ in self.received())

    def run(self, share, seconds):
        """(report, requests of clients, requests that reached servers)."""
        before = self.count()
        report = self.rig.load(f"http://127.0.0.1:{self.port}/", "--rate", CAPACITY * share, "--seconds", seconds,
                               "--connections", 2000, "--timeout", 20000)
        return report, report["completed"] + report["failed"], self.count() - before


def main():
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="of the crowd")
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
    if extra > 0.2 * crowd["asked"]:
        problems.append(f"{extra} retries for {crowd['asked']} requests")
    if crowd["good per second"] < 0.9 * CAPACITY:
        problems.append(f"only {crowd['good per second']:.0f} good answers per second of {CAPACITY:.0f}")
    if before["failed"] or later["failed"]:
        problems.append("requests were refused when there was no crowd")
    return finish(options, parts, problems)


if __name__ == "__main__":
    sys.exit(main())
