#!/usr/bin/env python3
"""Measures the goals G1-G14 and writes the table of docs/reliability.md, or prints it.

    release-report.py [--short] [--only G3,G5] [--write] [--debug DIR] [--release DIR] [--plain DIR] [--tsan DIR]

--short: what takes minutes is done in a second or two, to see that it works: nothing that depends on time is judged
and nothing is written. Tests that the test command runs anyway are only counted. A figure is a command of the
repository and what its output says. With --write and --only the other lines of the table stay. Exits with 1 where a
goal is missed.
"""
import argparse
import csv
import datetime
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: scripts/release-check.sh -->", "<!-- end of figures -->"

# --- what outputs say: each reader gives (figure, whether the goal is met), of the whole or of a short run ---


def passed(output, _short):
    """What the end-to-end runner says of itself."""
    found = re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", output, re.M)
    if not found:
        return "no result", False
    good, bad, skipped = (int(number or 0) for number in found[-1])
    figure = f"{good} of {good + bad} tests pass" + (f", {skipped} skipped" if skipped else "")
    unsteady = re.findall(r"^unsteady: (\S+)", output, re.M)
    return figure + (f"; at the second try {', '.join(unsteady)}" if unsteady else ""), bad == 0 and good > 0


def clean(output, _short):
    """The counts of scripts/under.py."""
    programs, tests = (re.findall(rf"^{what}: (\d+ passed, \d+ failed.*)$", output, re.M) for what in ("programs", "end to end"))
    left = re.findall(r"^\d+ (?:that say|about) .* are left to the other builds?$", output, re.M)
    if not programs or not tests:
        return "no result", False
    figure = f"programs of units, simulation and corpora: {programs[-1]}; end to end: {tests[-1]}"
    return figure + (f"; {left[-1]}" if left else ""), f"{programs[-1]}, {tests[-1]}".count(" 0 failed") == 2


def hostile(output, short):
    figure, fine = passed(output, short)
    cases = re.findall(r"(\d+) cases of (h\d) to (h\d)", output)
    return ", ".join(f"{count} of {front} to {back}" for count, front, back in cases) + f"; {figure}", fine and len(cases) == 4


def beside(output, _short):
    """The rows of bench/corpus.py."""
    rows = re.findall(r"^(HTTP/\S+) +(\w+) +(\d+) of +(\d+) +(\d+) of +(\d+) +(\d+) +(\d+)$", output, re.M)
    figures = [f"{front}, {who}: {through} of {refused} to be refused came through, {served} of {good} others served, "
               f"{hidden} hidden, {unread} unreadable" for front, who, through, refused, served, good, hidden, unread in rows]
    own = [row for row in rows if row[1] == "meridian"]
    fine = len(own) == 2 and all((row[2], row[6], row[7]) == ("0", "0", "0") and row[4] == row[5] for row in own)
    return "<br>".join(figures) or "no result", fine


def listed(output, _short):
    names = [line for line in output.splitlines() if line.startswith("test_")]
    return f"{len(names)} tests of the test command", bool(names)


def said(pattern, judge=lambda *_: True):
    """The last line that has the pattern."""
    def read(output, short):
        found = re.findall(rf"^.*{pattern}.*$", output, re.M)
        return (found[-1].strip(), judge(found[-1], short)) if found else ("no result", False)
    return read


def undisturbed(line, short):
    """Nothing failed, was lost or came twice, and latency was at most twice what it is at rest (G3)."""
    found = re.search(r"failed (\d+), lost (\d+), duplicated (\d+), p99_ms ([\d.]+), quiet_p99_ms ([\d.]+)", line)
    return bool(found) and set(found.groups()[:3]) == {"0"} and (short or float(found[4]) <= 2 * float(found[5]))


FUZZED_LESS = {"conf", "mmdb", "h2_front", "proxy"}  # 10^6 each; all others are parsers of bytes, 10^8 together


def fuzzed(output, _short):
    """The ledger, which the run before has added to."""
    with open(ROOT / "tests" / "fuzz" / "ledger.csv", encoding="ascii") as file:
        runs = {row["target"]: int(row["executions"]) for row in csv.DictReader(file)}
    parsers = sum(count for name, count in runs.items() if name not in FUZZED_LESS)
    others = {name: runs.get(name, 0) for name in sorted(FUZZED_LESS)}
    figure = f"parsers of bytes {parsers / 1e6:.0f} million executions; millions of others: " + ", ".join(
        f"{name} {count / 1e6:.2f}" for name, count in others.items())
    return figure, parsers >= 10**8 and min(others.values()) >= 10**6


def covered(output, _short):
    rows = {name.strip(): (float(lines), float(branches)) for name, lines, branches in
            re.findall(r"^(.+?) +([\d.]+) % of +\d+ lines +([\d.]+) % of +\d+ branches", output, re.M)}
    if not {"pure parsers", "the whole"} <= set(rows):
        return "no result", False
    (_, pure), (lines, branches) = rows["pure parsers"], rows["the whole"]
    return f"pure parsers {pure} % of branches; the whole {lines} % of lines, {branches} % of branches", (
        pure >= 100 and lines >= 90 and branches >= 85)


def simulated(output, _short):
    found = re.search(r"^seeds \d+\.\.\d+: (\d+) held, (\d+) failed: (\d+) answered, (\d+) refused, (\d+) aborted", output, re.M)
    if not found:
        return "no result: " + (output.strip().splitlines() or ["no output"])[-1], False
    held, failed, *outcomes = map(int, found.groups())
    figure = f"{held:,} seeds, {sum(outcomes):,} requests: every invariant held"
    return figure + (f"; not in {failed} more" if failed else ""), failed == 0


@dataclass(frozen=True)
class Attacked:
    """A line of what bench/attack.py prints."""
    who: str
    quiet: float
    late: float
    failed: int
    mib: float
    gone: str  # seconds; "stays"; None of floods

    def __str__(self):
        gone = {None: "", "stays": ", stay"}.get(self.gone, f", gone after {self.gone} s")
        return f"p99 {self.quiet:.2f} → {self.late:.2f} ms, {self.failed} failed, {self.mib:+.0f} MiB{gone}"

    @staticmethod
    def all(text):
        rows = re.findall(r"^(\w+) +([\d.]+) +([\d.]+) +[\d.]+ +(\d+) +[\d.]+ +(-?[\d.]+) +\d+(?: +\d+ +(\S+))? *$", text, re.M)
        return [Attacked(who, float(quiet), float(late), int(failed), float(mib), gone or None)
                for who, quiet, late, failed, mib, gone in rows]


def attacked(most_mib=None, gone_by=(), slack_ms=0.0):
    """What legal traffic noticed of each attack, and what the attack cost; the same of the peers below it."""
    def read(output, short):
        parts = re.findall(r"^(\S+): [^\n]*\n([^\n]*failed.*?)(?=\n\S+: |\nMeridian: |\Z)", output, re.M | re.S)
        fine, figures = bool(parts), []
        for name, text in parts:
            own, *peers = Attacked.all(text) or [None]
            if own is None or own.who != "meridian":
                return f"no figure for {name}", False
            figures += [f"{name}: {own}", *(f"{one.who}: {one}" for one in peers)]
            late = own.late > 2 * own.quiet + slack_ms
            stay = name in gone_by and (own.gone == "stays" or float(own.gone) > 11)
            fine = fine and own.failed == 0 and (most_mib is None or own.mib <= most_mib) and (short or not late and not stay)
        return "<br>".join(figures) or "no result", fine
    return read


def steady(output, short):
    return said("memory over the second half")(output, short)


def turns(output, short):
    found = re.search(r"^turns of the loops: \d+, of which ([\d.]+) % took at most 5 ms, (\d+) above 100 ms", output, re.M)
    return (found[0], short or (float(found[1]) >= 99.9 and found[2] == "0")) if found else ("no result", False)


# --- the goals ---

def e2e(*parts, build="{debug}", options=("--long",)):
    return ["python3", "tests/e2e/run.py", "--build", build, *options, *(x for part in parts for x in ("-k", part))]


def under(tool, build):
    return ["scripts/under.py", tool, "--build", build]


def change(which):
    others = [x for name in ("reloads", "upgrades", "kills") if name != which for x in (f"--{name}", "0")]
    return ["python3", "bench/change.py", "--build", "{release}", *others]


def attack(names):
    return ["python3", "bench/attack.py", "--build", "{release}", "--attacks", names]


def soak(seconds):
    return ["python3", "bench/soak.py", "--build", "{release}", "--seconds", seconds]


HURRY = ["--only", "meridian", "--connections", "300", "--seconds", "1", "--patience", "0", "--rounds", "1"]
SLOW, GONE = ("slow-head", "slow-body", "slow-read", "silent"), ("slow-head", "silent")
SUITE = "the suite's"  # the short form of what the test command runs anyway


@dataclass(frozen=True)
class Goal:
    name: str
    asks: str
    command: list
    short: object  # a command, SUITE, or None: nothing
    read: Callable


GOALS = [Goal(*row) for row in (
    ("G1 fuzzing", "no open crash; 10⁸ executions of parsers, 10⁶ of each other target",
     ["scripts/fuzz.sh", "--seconds", "60"], None, fuzzed),
    ("G1 coverage", "pure parsers 100 % of branches; the whole 90 % of lines, 85 % of branches", ["scripts/coverage.sh"], None,
     covered),
    ("G2 corpus", "600 hostile cases of HTTP/1, 250 of HTTP/2, over every pair of versions",
     e2e("test_hostile", options=("--long", "-v")), SUITE, hostile),
    ("G2 peers", "of what is to be refused a server gets nothing whole, nothing hidden, nothing unreadable; HAProxy and nginx",
     ["python3", "bench/corpus.py", "--build", "{release}"],
     ["python3", "bench/corpus.py", "--build", "{release}", "--only", "meridian", "--share", "20"], beside),
    ("G2 streams", "1,000,000 generated streams, four other parsers, no disagreement",
     ["env", "MERIDIAN_CASES=100", *e2e("test_differential", options=("-v",))], SUITE, passed),
    ("G3", "100 reloads at 2,000 requests/s: none failed, lost or doubled; p99 ≤ 2 × quiet", change("reloads"), SUITE,
     said(r"reloads \(G3\)", undisturbed)),
    ("G4", "20 binary upgrades at that load: none failed", change("upgrades"), SUITE, said(r"upgrades \(G4\)")),
    ("G5", "killed under socket activation: nobody refused, full service within 1 s", change("kills"), SUITE,
     said(r"kills \(G5\)")),
    ("G6", "one of four servers killed at 2,000 requests/s: no GET fails, no POST twice",
     ["python3", "bench/failover.py", "--build", "{release}"], SUITE,
     lambda output, _: ("; ".join(re.sub(" +", " ", line) for line in output.splitlines()
                                  if line.startswith(("GET failed", "POST failed", "POST that"))) or "no result", True)),
    ("G7", "out within 1 s where it refuses, within 7 s where it is silent; back within 5 s",
     ["python3", "bench/failover.py", "--build", "{release}"], SUITE,
     lambda output, _: ("; ".join(re.sub(" +", " ", line) for line in output.splitlines()
                                  if " after s" in line) or "no result", True)),
    ("G8", "soak of 30 min, time-outs divided by ten: memory ≤ 1 MiB, all counters back", soak("1800"), soak("4"), steady),
    ("G9 plain", "10,000 slow connections: p99 ≤ 2 × quiet + 1 ms, ≤ 80 MiB, slow heads gone within 11 s",
     attack(",".join(SLOW)), [*attack("slow-head"), *HURRY], attacked(most_mib=80, gone_by=GONE, slack_ms=1.0)),
    ("G9 TLS", "the same over TLS, ≤ 320 MiB", attack(",".join(f"tls-{name}" for name in SLOW)),
     [*attack("tls-slow-head"), *HURRY], attacked(most_mib=320, gone_by=[f"tls-{name}" for name in GONE], slack_ms=1.0)),
    ("G10", "rapid resets: p99 ≤ 2 × quiet; what reaches servers is bounded by the tests of L23 and L24", attack("reset"),
     [*attack("reset"), *HURRY], attacked()),
    ("G11", "floods: p99 ≤ 2 × quiet, memory below its bound", attack("ping,settings,continuation,empty"),
     [*attack("empty"), *HURRY], attacked(most_mib=64)),
    ("G12", "simulation: 100,000 seeds of 1,000 requests with faults", ["scripts/simulate.py", "--seeds", "100000"],
     ["scripts/simulate.py", "--program", "{debug}/tests/sim/proxy_sim", "--first", "21", "--seeds", "2"], simulated),
    ("G13 asan", "units, simulation, corpora and the whole functional suite under AddressSanitizer and UBSan: 0 errors, 0 "
     "lost bytes", under("asan", "{debug}"), SUITE, clean),
    ("G13 tsan", "the same under ThreadSanitizer, but for what has no threads", under("tsan", "{tsan}"), SUITE, clean),
    ("G13 valgrind", "the same under valgrind, but for times, threads and descriptors that it changes", under("valgrind", "{plain}"), SUITE, clean),
    ("G14", "in the soak 99.9 % of loop turns ≤ 5 ms, none above 100 ms", soak("1800"), soak("4"), turns),
)]
BUILDS = {"debug": "build/debug", "release": "build/release-check", "plain": "build/plain", "tsan": "build/tsan"}


class Measurement:
    """Runs commands, each once, however many goals read its output."""

    def __init__(self, options):
        self.options, self.outputs = options, {}

    def command(self, goal):
        if not self.options.short:
            return goal.command
        if goal.short == SUITE:
            tests = {"G3": "test_g3", "G4": "test_g4", "G5": "test_g5", "G6": "test_retry", "G7": "test_health"}
            parts = [tests[goal.name]] if goal.name in tests else re.findall(r"-k (\S+)", " ".join(goal.command))
            return e2e(*parts, options=("--long", "--list"))
        return goal.short

    def run(self, command):
        command = tuple(part.format(**{name: getattr(self.options, name) for name in BUILDS}) for part in command)
        if command not in self.outputs:
            done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            self.outputs[command] = done.stdout, done.returncode
        return *self.outputs[command], " ".join(command)

    def measure(self, goal):
        """The line of the table, or None where there is nothing to do."""
        command = self.command(goal)
        if command is None:
            return None
        begun = time.monotonic()
        output, status, shown = self.run(command)
        logs = ROOT / "build" / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        (logs / f"goal-{goal.name.replace(' ', '-')}.log").write_text(output, encoding="utf-8")
        read = listed if self.options.short and goal.short == SUITE else goal.read
        figure, fine = read(output, self.options.short)
        fine = fine and status == 0
        print(f"{goal.name:12} {'holds ' if fine else 'MISSED'} {time.monotonic() - begun:6.0f} s  {figure}", flush=True)
        if not fine and self.options.short:
            print(output[-4000:])
        return {"goal": goal, "figure": figure, "fine": fine, "command": shown}


# --- the page ---

def table(rows, page):
    """The table anew: goals that were not measured now keep their lines."""
    cpus, when = len(os.sched_getaffinity(0)), datetime.date.today().isoformat()
    lines = {name: line for line, name in re.findall(r"^(\| (G\d+(?: \w+)?) \|.*)$", page, re.M)}
    for row in rows:
        lines[row["goal"].name] = (f"| {row['goal'].name} | {row['goal'].asks} | {row['figure'].replace('|', '/')} | "
                                   f"{'yes' if row['fine'] else '**no**'} | {when}, {version()} | `{row['command']}` |")
    order = [goal.name for goal in GOALS]
    head = [BEGIN, "", f"On {cpus} processors ({platform.machine()}).", "",
            "| goal | asks for | measured | holds | when | command |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *(lines[name] for name in order if name in lines), "", END])


def version():
    done = subprocess.run(["git", "describe", "--always"], cwd=ROOT, capture_output=True, text=True, check=False)
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
    parser.add_argument("--only", default="", help="goals, e.g. G3,G13")
    for name, folder in BUILDS.items():
        parser.add_argument(f"--{name}", default=folder)
    options = parser.parse_args()
    only = options.only.split(",") if options.only else []
    wanted = [goal for goal in GOALS if not only or goal.name in only or goal.name.split()[0] in only]
    if not wanted:
        parser.error(f"--only: no such goal; there are {', '.join(goal.name for goal in GOALS)}")
    measurement, rows = Measurement(options), []
    for goal in wanted:
        row = measurement.measure(goal)
        if row is None:
            continue
        rows.append(row)
        if options.write and not options.short:
            write([row])
    missed = [row["goal"].name for row in rows if not row["fine"]]
    print(f"{len(rows) - len(missed)} passed, {len(missed)} failed" + (f": {', '.join(missed)}" if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
