#!/usr/bin/env python3
"""Fails where a row of the requirements has no test that names it: limits L1-L41, message rules H1-H24,
backends B1-B5, state C1-C8 and the central database C1-C11, process S1-S3, faults F1-F34, goals G1-G14.
Only tests count (tests/ and scripts/check-*; for goals bench/ and scripts/release-report.py too): in a
comment, a docstring or the test's name (`f16_…`); short ranges (L20-L27) name all of theirs. What has none yet is in MISSING with its reason.
usage: scripts/check-rows.py [--list]   --list: for each row the files that name it"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAST = {"L": 41, "H": 24, "B": 5, "C": 11, "S": 3, "F": 34, "G": 14}
MISSING = {
    "L39": "there is no queue of deferred requests yet",
    "H24": "there is no cache yet",
    "F19": "there is no queue yet",
}

NAME = re.compile(r"(?<![A-Za-z0-9])([LHBCSFG])(\d{1,2})(?:\s?(?:-|–|to)\s?([LHBCSFG]?)(\d{1,2}))?(?![A-Za-z0-9.])")
IN_FUNCTION = re.compile(r"(?:test_|\b|_)([lhbcsfg])(\d{1,2})_[a-z]")
COMMENTS = re.compile(r'#[^\n]*|"""(?:.*?)"""|//[^\n]*|/\*.*?\*/', re.S)
FUNCTIONS = re.compile(r"^(?:def (test_\w+)|TEST\((\w+, \w+)\))", re.M)


def rows_in(text, goals_only=False):
    named = set()
    if text.startswith("#!") and "GOALS = [" in text:
        named |= {("G", int(number)) for number in re.findall(r'^    \("G(\d+)[" ]', text, re.M)}
    for kind, first, other, last in (m.groups() for part in COMMENTS.findall(text) for m in NAME.finditer(part)):
        is_range = last and other in ("", kind) and int(first) < int(last) <= int(first) + 8
        end = int(last) if is_range else int(first)
        named |= {(kind, number) for number in range(int(first), end + 1)}
    for pair in FUNCTIONS.findall(text):
        named |= {(kind.upper(), int(number)) for kind, number in IN_FUNCTION.findall("".join(pair))}
    return {row for row in named if row[1] in range(1, LAST[row[0]] + 1) and (row[0] == "G" or not goals_only)}


def files():
    for folder, patterns in (("tests", ("*.c", "*.h", "*.py", "*.js")), ("bench", ("*.c", "*.py"))):
        for pattern in patterns:
            yield from sorted((ROOT / folder).rglob(pattern))
    yield from (path for path in sorted((ROOT / "scripts").glob("check-*.py")) if path.name != "check-rows.py")
    yield ROOT / "scripts" / "release-report.py"


def main():
    where = {}
    for path in files():
        relative = str(path.relative_to(ROOT))
        text = path.read_text(encoding="utf-8", errors="replace")
        for row in rows_in(text, goals_only=relative.startswith("bench") or "release" in relative):
            where.setdefault(row, []).append(relative)
    problems = 0
    for kind, last in LAST.items():
        for number in range(1, last + 1):
            row, has = f"{kind}{number}", where.get((kind, number), [])
            if "--list" in sys.argv:
                print(f"{row:4} {' '.join(has) or 'MISSING: ' + MISSING.get(row, '')}")
            if not has and row not in MISSING:
                print(f"check-rows: {row} has no test that names it", file=sys.stderr)
                problems += 1
            elif has and row in MISSING:
                print(f"check-rows: {row} has a test by now ({has[0]}): take it off the list")
    return 1 if problems else 0


sys.exit(main())
