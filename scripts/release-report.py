#!/usr/bin/env python3
"""Measures the goals G1-G14 (RELIABILITY section 9) and writes the table of docs/reliability.md, or prints it.

    release-report.py [--short] [--only G3,G5] [--write] [--debug DIR] [--release DIR]

--short: each goal in seconds instead of minutes, with what a change can afford; figures are then of that size and
nothing is written. A goal is a command of the repository and what its output says; what it cannot say yet is a gap,
which the table names. Exits with 1 where a measured goal is missed.
"""
import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: scripts/release-check.sh -->", "<!-- end of figures -->"


def passed(output):
    """What the end-to-end runner, CTest or a check says of itself: (figure, whether it is fine)."""
    found = re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", output, re.M)
    if not found:
        return "no result", False
    good, bad = int(found[-1][0]), int(found[-1][1])
    return f"{good} of {good + bad} tests pass", bad == 0 and good > 0


def simulation(output):
    found = re.search(r"^seeds (\d+)\.\.(\d+): (\d+) answered, (\d+) refused, (\d+) aborted", output, re.M)
    if not found:
        return "an invariant broke: " + (output.strip().splitlines() or ["no output"])[-1], False
    first, last, *outcomes = map(int, found.groups())
    return f"{last - first + 1:,} seeds, {sum(outcomes):,} requests, every invariant held", True


def attacks(names, most):
    def read(output):
        ratios, failed = [], 0
        for name in names:
            part = re.search(rf"^{name}: .*?(?=^\S+: |\Z)", output, re.M | re.S)
            row = part and re.search(r"^meridian +([\d.]+) +([\d.]+) +([\d.]+) +(\d+)", part[0], re.M)
            if not row:
                return f"no figure for {name}", False
            ratios.append((name, float(row[3]), float(row[1]), float(row[2])))
            failed += int(row[4])
        text = "; ".join(f"{name} ×{ratio:.1f}" for name, ratio, _, _ in ratios)
        fine = failed == 0 and all(late <= most * quiet + 1 for _, _, quiet, late in ratios)
        return f"{failed} legal requests failed; p99 against quiet: {text}", fine
    return read


def soak(output):
    found = re.search(r"^(memory over the second half: .*)$", output, re.M)
    return (found[1] if found else "no result"), bool(found)


def last_line(output):
    return (output.strip().splitlines() or ["no output"])[-1][:160], True


def e2e(*parts):
    return ["python3", "tests/e2e/run.py", "--build", "{debug}", "--long", *(x for part in parts for x in ("-k", part))]


SLOW = ["slow-head", "slow-body", "slow-read", "silent"]
FLOODS = ["reset", "ping", "settings", "continuation", "empty"]
ATTACK = ["python3", "bench/attack.py", "--build", "{release}", "--attacks"]

# goal, what it asks for, the command, the same in short (None: the same), what its output says
GOALS = [
    ("G1", "no open crash; each fuzz target", ["scripts/fuzz.sh", "--seconds", "600"], ["scripts/fuzz.sh", "--seconds", "5"],
     last_line),
    ("G2", "hostile corpus over every pair of versions", e2e("hostile"), None, passed),
    ("G3", "100 reloads under load: none failed, lost or doubled", e2e("test_g3"), None, passed),
    ("G4", "20 binary upgrades under load: none failed", e2e("test_g4"), e2e("test_g4_upgrades"), passed),
    ("G5", "killed under socket activation: nobody refused", e2e("test_g5"), None, passed),
    ("G6", "a server of four killed under load: no idempotent request fails, no POST twice", e2e("test_g6"), None, passed),
    ("G7", "refused out within 1 s, silent within 7 s, back within 5 s",
     ["python3", "bench/failover.py", "--build", "{release}"], e2e("test_health"), None),
    ("G8", "soak with time-outs divided by ten: memory flat, counters back",
     ["python3", "bench/soak.py", "--build", "{release}", "--seconds", "1800"],
     ["python3", "bench/soak.py", "--build", "{release}", "--seconds", "20"], soak),
    ("G9", "10,000 slow connections: no legal request fails, p99 ≤ 2 × quiet + 1 ms", [*ATTACK, ",".join(SLOW)],
     [*ATTACK, "slow-head,slow-read", "--short", "--only", "meridian"], None),
    ("G10", "reset attacks: p99 ≤ 2 × quiet", [*ATTACK, "reset"], [*ATTACK, "reset", "--short", "--only", "meridian"],
     attacks(["reset"], 2)),
    ("G11", "hostile streams: p99 ≤ 2 × quiet, memory below its bound", [*ATTACK, ",".join(FLOODS)],
     [*ATTACK, "ping,empty", "--short", "--only", "meridian"], None),
    ("G12", "simulation: 100,000 seeds of 1,000 requests with faults",
     ["{release}/tests/sim/proxy_sim", "--seeds", "100000"], ["{release}/tests/sim/proxy_sim", "--seeds", "200"], simulation),
    ("G13", "functional suite clean under AddressSanitizer and UBSan", e2e("test_"), e2e("test_basic"), passed),
    ("G14", "turns that last 100 ms show where they are", e2e("test_g14"), None, passed),
]
READ_BY_ATTACKS = {"G9": (SLOW, ["slow-head", "slow-read"]), "G11": (FLOODS, ["ping", "empty"])}


def measure(goal, options):
    name, _, command, short, read = goal
    command = short if options.short and short else command
    command = [part.format(debug=options.debug, release=options.release) for part in command]
    if name in READ_BY_ATTACKS:
        read = attacks(READ_BY_ATTACKS[name][1 if options.short else 0], 2)
    if name == "G7":
        read = passed if options.short else last_line
    begun = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    (ROOT / "build" / "logs").mkdir(parents=True, exist_ok=True)
    (ROOT / "build" / "logs" / f"goal-{name}.log").write_text(done.stdout, encoding="utf-8")
    figure, fine = read(done.stdout)
    fine = fine and done.returncode == 0
    shown = " ".join(part.replace(str(ROOT) + "/", "") for part in command)
    print(f"{name:4} {'holds ' if fine else 'MISSED'} {time.monotonic() - begun:6.0f} s  {figure}", flush=True)
    return {"goal": name, "what": goal[1], "figure": figure, "fine": fine, "command": shown}


def table(rows, page):
    """The table anew: goals that were not measured now keep their lines."""
    cpus, when = len(os.sched_getaffinity(0)), datetime.date.today().isoformat()
    lines = {goal: line for line, goal in re.findall(r"^(\| (G\d+) \|.*)$", page, re.M)}
    for row in rows:
        lines[row["goal"]] = (f"| {row['goal']} | {row['what']} | {row['figure']} | {'yes' if row['fine'] else '**no**'} | "
                              f"{when}, {version()} | `{row['command']}` |")
    head = [BEGIN, "", f"On {cpus} processors ({platform.machine()}).", "",
            "| goal | asks for | measured | holds | when | command |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *(lines[goal] for goal in sorted(lines, key=lambda goal: int(goal[1:]))), "", END])


def version():
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "an unknown version"


def write(rows):
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    PAGE.write_text(before + table(rows, rest.split(END, 1)[0]) + rest.split(END, 1)[1], encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)} is new")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--debug", default="build/debug")
    parser.add_argument("--release", default="build/release-check")
    options = parser.parse_args()
    wanted = [goal for goal in GOALS if not options.only or goal[0] in options.only.split(",")]
    rows = [measure(goal, options) for goal in wanted]
    if options.write and not options.short:
        write(rows)
    missed = [row["goal"] for row in rows if not row["fine"]]
    print(f"{len(rows) - len(missed)} passed, {len(missed)} failed" + (f": {', '.join(missed)}" if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
