#!/usr/bin/env python3
"""Fails where a row of the requirements has no test that names it: limits L1-L41, message rules H1-H24,
backends B1-B5, state C1-C8 and the central database C1-C11, process S1-S3, faults F1-F34, goals G1-G14.
A unit or end-to-end test names a row in its name (`f16_…`, `…_H14`; h1 and h2 in small letters are versions), in its
docstring or in a comment in it or right above it: what only the head of a file lists is proved by nobody. Of fuzz targets,
the simulation and scripts/check-* every comment counts, and for goals what bench/ and scripts/release-report.py say.
Short ranges (L20-L27) name all of theirs. What has none yet is in MISSING with its reason.
usage: scripts/check-rows.py [--list]   --list: for each row the files that name it"""
import ast
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
IN_NAME = re.compile(r"(?:test_|\b|_)(?:([lbcsfLHBCSF])(\d{1,2})|(h)(\d{2}|[3-9]))(?![A-Za-z0-9])")
COMMENTS = re.compile(r'#[^\n]*|"""(?:.*?)"""|//[^\n]*|/\*.*?\*/', re.S)
IN_C = re.compile(r"((?:/\*(?:(?!\*/).)*\*/\s*)?)^TEST\((\w+, \w+)\)(.*?)^}", re.S | re.M)


def tests_of(path, text):
    """[(name, what is said in it and right above it)]; one for all of a file that is no collection of tests."""
    if path.suffix == ".py" and path.name.startswith("test_"):
        found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
        return [(node.name, ast.get_source_segment(text, node)) for node in found if node.name.startswith("test_")]
    if path.suffix == ".c" and "unit" in path.parts:
        return [(name, above + body) for above, name, body in IN_C.findall(text)]
    whole = path.parent.name in ("fuzz", "sim", "bench", "scripts")
    return [("", text)] if whole else []


def rows_in(path, text, goals_only=False):
    named = set()
    if text.startswith("#!") and "GOALS = [" in text:
        named |= {("G", int(number)) for number in re.findall(r'^    \("G(\d+)[" ]', text, re.M)}
    for name, said in tests_of(path, text):
        for kind, first, other, last in (m.groups() for part in COMMENTS.findall(said) for m in NAME.finditer(part)):
            is_range = last and other in ("", kind) and int(first) < int(last) <= int(first) + 8
            end = int(last) if is_range else int(first)
            named |= {(kind, number) for number in range(int(first), end + 1)}
        for kind, number, small, of_small in IN_NAME.findall(name):
            named.add(((kind or small).upper(), int(number or of_small)))
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
        for row in rows_in(path, text, goals_only=relative.startswith("bench") or "release" in relative):
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
