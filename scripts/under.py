#!/usr/bin/env python3
"""Runs everything that tests Meridian under one tool: first the programs that CTest knows (units, simulation, fuzz
targets over their corpora), then the end-to-end tests (docs/reliability.md: G13). The last two lines are their counts; what the
tool reports fails the test it is reported in. Under valgrind, which makes everything some thirty times as slow, a few
end-to-end tests that fail without a report of it run once more, alone; those that pass then are named.

usage: scripts/under.py asan|tsan|valgrind [--build DIR] [--programs | --e2e]

DIR is a build of the preset debug, tsan or plain, which is build/PRESET where nothing else is said.
"""
import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STEADY = ["setarch", "-R"]  # ThreadSanitizer's shadow memory and a widely randomised address space do not go together
VALGRIND = ["valgrind", "-q", "--leak-check=full", "--errors-for-leak-kinds=definite", "--error-exitcode=9"]
TOOLS = {  # preset, what a program is run by, what the end-to-end runner is run by and told
    "asan": ("debug", [], [], []),
    "tsan": ("tsan", STEADY, STEADY, ["--tsan"]),
    "valgrind": ("plain", VALGRIND, [], ["--valgrind", "--again"]),
}
LONGEST_S = 1800  # of one program, under valgrind


def run_program(test, prefix, environ):
    """Whether a test of CTest's passed."""
    folder = next((one["value"] for one in test.get("properties", []) if one["name"] == "WORKING_DIRECTORY"), ROOT)
    try:
        done = subprocess.run([*prefix, *test["command"]], cwd=folder, env=environ, text=True, errors="replace", check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LONGEST_S)
        output, fine = done.stdout, done.returncode == 0
    except subprocess.TimeoutExpired as late:
        output, fine = f"not finished after {late.timeout} s", False
    said = re.findall(r"Tested: \d+ \|.*", output)
    print(f"{'ok  ' if fine else 'FAIL'} {test['name']}{': ' + said[-1] if said else ''}" + ("" if fine else "\n" + output), flush=True)
    return fine


def programs(build, prefix):
    """The line of counts, and whether all passed."""
    listed = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], check=True, capture_output=True, text=True)
    tests = [test for test in json.loads(listed.stdout)["tests"] if test.get("command")]
    environ = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1", "UBSAN_OPTIONS": "print_stacktrace=1",
               "TSAN_OPTIONS": "second_deadlock_stack=1"}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda test: run_program(test, prefix, environ), tests))
    good = sum(results)
    return f"programs: {good} passed, {len(results) - good} failed", bool(results) and all(results)


def end_to_end(build, prefix, told):
    with subprocess.Popen([*prefix, sys.executable, "tests/e2e/run.py", "--build", build, *told], cwd=ROOT, text=True,
                          errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        last = "nothing"
        for line in running.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
    return f"end to end: {last}", running.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("--build")
    parser.add_argument("--programs", action="store_true", help="not end to end")
    parser.add_argument("--e2e", action="store_true", help="only end to end")
    options = parser.parse_args()
    preset, prefix, runner, told = TOOLS[options.tool]
    build = os.path.abspath(options.build or os.path.join(ROOT, "build", preset))
    counts = []
    if not options.e2e:
        counts.append(programs(build, prefix))
    if not options.programs:
        counts.append(end_to_end(build, runner, told))
    print("\n".join(line for line, _ in counts))
    return 0 if all(fine for _, fine in counts) else 1


if __name__ == "__main__":
    sys.exit(main())
