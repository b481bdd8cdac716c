#!/usr/bin/env python3
"""Measures functions and files and fails where the limits of HACKING.md are passed.

The code is clang-formatted, so a function is what stands between a `{` and the next `}` that are
alone in column 0. Product code keeps all limits; tests and bench only that of the longest function.
"""
import re
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ["lb", "health", "geo", "conf", "db", "admin"]
OTHER = ["tests", "bench"]
MEDIAN, P90, LONGEST = 15, 45, 100
FILE_NOTED, FILE_MOST = 500, 600


def sources(folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.[ch]")):
            yield path


def name_before(lines, brace):
    """The function's name: the last identifier before a parenthesis in the lines above its brace."""
    head = ""
    for line in reversed(lines[:brace]):
        head = line + " " + head
        if line and not line[0].isspace() and "(" in head:
            break
    found = re.search(r"([A-Za-z_]\w*)\s*\(", head)
    return found.group(1) if found else "?"


def functions(path):
    """(lines from { to }, name, line) of each function of one file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    start = None
    for number, line in enumerate(lines):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            yield number - start + 1, name_before(lines, start), start + 1
            start = None


def measure(folders):
    return [(size, name, f"{path.relative_to(ROOT)}:{line}")
            for path in sources(folders) for size, name, line in functions(path)]


def percentile(sizes, share):
    return sorted(sizes)[min(len(sizes) - 1, int(len(sizes) * share))]


def check_functions(measured, problems):
    sizes = [size for size, _, _ in measured]
    median, p90 = statistics.median(sizes), percentile(sizes, 0.9)
    print(f"product: {len(sizes)} functions, median {median:g} lines, p90 {p90}, longest {max(sizes)}")
    for size, name, where in sorted(measured, reverse=True)[:5]:
        print(f"  {size:4} {name} {where}")
    if median > MEDIAN:
        problems.append(f"the median function has {median:g} lines, at most {MEDIAN} are allowed")
    if p90 > P90:
        problems.append(f"the 90th percentile is {p90} lines, at most {P90} are allowed")


def check_files(problems):
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources(PRODUCT)}
    print(f"product: {len(sizes)} files, {sum(sizes.values())} lines")
    for path, size in sorted(sizes.items(), key=lambda item: -item[1]):
        if size > FILE_NOTED:
            print(f"  {size:4} {path.relative_to(ROOT)} (above {FILE_NOTED})")
        if size > FILE_MOST:
            problems.append(f"{path.relative_to(ROOT)} has {size} lines, at most {FILE_MOST} are allowed")


def main():
    problems = []
    product, other = measure(PRODUCT), measure(OTHER)
    if product:
        check_functions(product, problems)
    if other:
        print(f"tests and bench: {len(other)} functions, longest {max(other)[0]}")
    for size, name, where in product + other:
        if size > LONGEST:
            problems.append(f"{where}: {name} has {size} lines, at most {LONGEST} are allowed")
    check_files(problems)
    for problem in problems:
        print(f"check-size: {problem}", file=sys.stderr)
    return 1 if problems else 0


sys.exit(main())
