#!/usr/bin/env python3
"""Instructions that fixed work on fixed inputs takes, against what it took when cost.txt was written: parser,
writer, route look-up, pick, a line of the access log, and a whole exchange on the simulated network, without and
with its line. The same program counts the same each time; another compiler counts otherwise, so cost.txt belongs to the
release build of Debian 12's.

    cost.py [--build DIR] [--update]      fails where something takes more than a twentieth more, or allocates
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

TIMES = 1000        # as in cost.c
TOLERANCE = 0.05
NAMES = ("parse", "write", "route", "pick", "line", "exchange", "logged")  # in the order of cost.c
HERE = os.path.dirname(os.path.abspath(__file__))
BASE = os.path.join(HERE, "cost.txt")


def count(program, folder):
    """Instructions of one time of each, by name."""
    out = os.path.join(folder, "counts")
    result = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--toggle-collect=cost_measured",
                             "--dump-after=cost_measured", program], capture_output=True, text=True)
    print(result.stdout, end="")
    if result.returncode:
        raise SystemExit(f"{program} ended with status {result.returncode}:\n{result.stderr[-2000:]}")
    counts = {}
    for name, path in zip(NAMES, sorted(glob.glob(f"{out}.*"), key=lambda path: int(path.rsplit(".", 1)[1]))):
        with open(path) as file:
            counts[name] = int(re.search(r"^(?:summary|totals): (\d+)", file.read(), re.M)[1]) / TIMES
    if len(counts) != len(NAMES):
        raise SystemExit(f"only {', '.join(counts)} were counted:\n{result.stderr[-2000:]}")
    return counts


def read_base():
    with open(BASE) as file:
        return {name: float(number) for name, number in (line.split() for line in file if line[0] != "#")}


def write_base(counts):
    with open(BASE, "w") as file:
        file.write("# Instructions of one time, by cost.py --update.\n")
        file.writelines(f"{name} {number:.0f}\n" for name, number in counts.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(os.path.dirname(HERE), "build", "release"))
    parser.add_argument("--update", action="store_true", help="write cost.txt")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        raise SystemExit("valgrind is not here")
    with tempfile.TemporaryDirectory(prefix="cost-") as folder:
        counts = count(os.path.join(options.build, "bench", "cost"), folder)
    if options.update:
        write_base(counts)
    base = read_base()
    failed = 0
    for name, number in counts.items():
        ratio = number / base[name]
        over = ratio > 1 + TOLERANCE
        less = " (less: cost.py --update keeps it so)" if ratio < 1 - TOLERANCE else ""
        print(f"{'FAIL' if over else 'ok  '} {name:10} {number:8.0f} instructions, {ratio:.3f} of {base[name]:.0f}{less}")
        failed += over
    print(f"{len(counts) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
