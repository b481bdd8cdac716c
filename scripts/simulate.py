#!/usr/bin/env python3
"""Runs the simulation of the request path (tests/sim) over many seeds, on all processors: 5,000 for a change to that path,
100,000 for a release (docs/reliability.md: G12). Builds it first, optimised and with its assertions. A seed that fails is named,
and `build/sim/tests/sim/proxy_sim SEED` repeats it; the other seeds go on.

    simulate.py [--first 1] [--seeds 5000] [--jobs N] [--build DIR | --program FILE]
"""
import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PIECE = 250  # seeds that one process runs
NAMES = ("answered", "refused", "aborted", "tunnels", "reloads")


def build(folder):
    for command in (["cmake", "--preset", "sim", "-B", folder], ["cmake", "--build", folder, "--target", "proxy_sim"]):
        done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise SystemExit(f"{done.stdout}\nthe simulation could not be built")
    return os.path.join(folder, "tests", "sim", "proxy_sim")


def run(program, first, end):
    """(seeds that held, their counts by name, [what failed]); a process ends at the seed that fails."""
    held, counts, failed = 0, dict.fromkeys(NAMES, 0), []
    while first < end:
        done = subprocess.run([program, "--seeds", str(first), str(end - first)], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        if done.returncode == 0:
            for name in NAMES:
                counts[name] += int(re.search(rf"(\d+) {name}", done.stdout)[1])
            return held + end - first, counts, failed
        failed.append(done.stderr.strip() or f"seeds from {first} on: status {done.returncode}")
        found = re.search(r"^proxy_sim: seed (\d+)", done.stderr, re.M)
        if not found:
            break
        held += int(found[1]) - first
        first = int(found[1]) + 1
    return held, counts, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "sim"))
    parser.add_argument("--program", help="one that is built, instead")
    options = parser.parse_args()
    end = options.first + options.seeds
    program = options.program or build(os.path.abspath(options.build))
    held, counts, failed = 0, dict.fromkeys(NAMES, 0), []
    with ThreadPoolExecutor(options.jobs) as pool:
        pieces = [pool.submit(run, program, first, min(first + PIECE, end)) for first in range(options.first, end, PIECE)]
        for number, piece in enumerate(as_completed(pieces), 1):
            some, some_counts, some_failed = piece.result()
            held += some
            counts = {name: counts[name] + some_counts[name] for name in NAMES}
            failed += some_failed
            print("\n".join(some_failed) or f"{number} of {len(pieces)} pieces, {held} seeds held", flush=True)
    print(f"seeds {options.first}..{end - 1}: {held} held, {len(failed)} failed: "
          + ", ".join(f"{count} {name}" for name, count in counts.items()))
    return 1 if failed or not held else 0


if __name__ == "__main__":
    sys.exit(main())
