#!/usr/bin/env python3
"""Prints "PASSED FAILED" for one step's log of scripts/test.sh: sums what CTest's tests, the fuzz
replays or the end-to-end runner say of themselves. A sanitizer's report is a failure whatever a second run of the test
said. A step that counts nothing, such as a build, adds
nothing, or one failure. usage: sum-tests.py LOG EXIT-STATUS"""
import re
import sys

CRITERION = re.compile(r"Tested: (\d+) \| Passing: (\d+)")
MINI = re.compile(r"Tested: (\d+) \| Failed: (\d+)")
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error: ")
RUNNER = re.compile(r"^(\d+) passed, (\d+) failed", re.M)
CTEST = re.compile(r"Test +#(\d+): \S+ .*?(Passed|\*\*\*\S+)")


def tests_in(text):
    """(passed, failed) of what the programs of a text say, or None where they say nothing."""
    sums = [(int(passed), int(tested) - int(passed)) for tested, passed in CRITERION.findall(text)]
    sums += [(int(tested) - int(failed), int(failed)) for tested, failed in MINI.findall(text)]
    if not sums:
        sums = [(int(passed), int(failed)) for passed, failed in RUNNER.findall(text)[-1:]]
    return tuple(map(sum, zip(*sums))) if sums else None


def ctest_sums(text):
    """One (passed, failed) per CTest test: the figures of its last run, or one for the whole test."""
    for number, result in dict(CTEST.findall(text)).items():
        last = re.split(rf"^ *Start +{number}: ", text, flags=re.M)[-1]
        output = "\n".join(re.findall(rf"^{number}: (.*)$", last, re.M))
        passed, failed = tests_in(output) or (int(result == "Passed"), 0)
        if result != "Passed":
            failed = max(failed, 1)
        yield passed, failed


def main():
    text = open(sys.argv[1], encoding="utf-8", errors="replace").read()
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    sums = list(ctest_sums(text)) or [tests_in(text) or (0, 0)]
    passed, failed = (sum(column) for column in zip(*sums))
    if sys.argv[2] != "0" or SANITIZER.search(text):
        failed = max(failed, 1)
    print(passed, failed)


main()
