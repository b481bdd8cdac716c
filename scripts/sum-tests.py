#!/usr/bin/env python3
"""Prints "PASSED FAILED" for one step's log of scripts/test.sh: sums what CTest's tests, the fuzz
replays or the end-to-end runner say of themselves. A step that counts nothing, such as a build, adds
nothing, or one failure. usage: sum-tests.py LOG EXIT-STATUS"""
import re
import sys

CRITERION = re.compile(r"Tested: (\d+) \| Passing: (\d+)")
MINI = re.compile(r"Tested: (\d+) \| Failed: (\d+)")
RUNNER = re.compile(r"^(\d+) passed, (\d+) failed", re.M)
CTEST = re.compile(r"Test +#(\d+): \S+ .*?(Passed|\*\*\*\S+)")


def tests_in(text):
    """(passed, failed) of one program's output, or None where it says nothing."""
    if match := CRITERION.search(text):
        tested, passed = int(match[1]), int(match[2])
        return passed, tested - passed
    if match := MINI.search(text):
        tested, failed = int(match[1]), int(match[2])
        return tested - failed, failed
    if matches := RUNNER.findall(text):
        return int(matches[-1][0]), int(matches[-1][1])
    return None


def ctest_sums(text):
    """One (passed, failed) per CTest test: its own figures, or one for the whole test."""
    for number, result in CTEST.findall(text):
        output = "\n".join(re.findall(rf"^{number}: (.*)$", text, re.M))
        passed, failed = tests_in(output) or (int(result == "Passed"), 0)
        if result != "Passed":
            failed = max(failed, 1)
        yield passed, failed


def main():
    text = open(sys.argv[1], encoding="utf-8", errors="replace").read()
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    sums = list(ctest_sums(text)) or [tests_in(text) or (0, 0)]
    passed, failed = (sum(column) for column in zip(*sums))
    if sys.argv[2] != "0":
        failed = max(failed, 1)
    print(passed, failed)


main()
