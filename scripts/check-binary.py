#!/usr/bin/env python3
"""Fails where the programs of a release build lack a protection (S3): position-independent,
full RELRO, no executable stack and no page both writable and executable, stack protector, FORTIFY, places
where the processor lets control flow go (CET), no search path of libraries.
usage: scripts/check-binary.py BUILD"""
import platform
import re
import subprocess
import sys
from pathlib import Path

PROGRAMS = ["meridian", "meridianctl"]
# endbr64 begins what may be jumped to. The note that switches the guard on needs the C library's own start code
# to have it too, so it is the code that is looked at.
LANDING, LANDINGS_LEAST = b"\xf3\x0f\x1e\xfa", 20


def readelf(option, path):
    return subprocess.run(["readelf", "-W", option, path], check=True, capture_output=True, text=True).stdout


def problems_of(path):
    header, dynamic, segments, symbols = (readelf(option, path) for option in ("-h", "-d", "-l", "--dyn-syms"))
    flags = " ".join(re.findall(r"\(FLAGS(?:_1)?\)\s+(.*)", dynamic))
    stack = re.search(r"GNU_STACK.*?(R\w*)\s+0x", segments)
    checks = [
        ("position-independent (PIE)", re.search(r"Type:\s+DYN", header) and "PIE" in flags),
        ("RELRO", "GNU_RELRO" in segments),
        ("all symbols bound at start (BIND_NOW)", "NOW" in flags),
        ("no text relocations", "TEXTREL" not in dynamic),
        ("no RPATH or RUNPATH", not re.search(r"\((RPATH|RUNPATH)\)", dynamic)),
        ("a stack that is not executable", stack and "E" not in stack[1]),
        ("no segment both writable and executable", not re.search(r"LOAD.*\bRWE\b", segments)),
        ("stack protector", "__stack_chk_fail" in symbols),
        ("FORTIFY", re.search(r"__\w+_chk\b(?<!__stack_chk)", symbols)),
    ]
    if platform.machine() == "x86_64":
        checks.append(("guards of control flow (CET)", path.read_bytes().count(LANDING) >= LANDINGS_LEAST))
    return [what for what, fine in checks if not fine]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    failed = passed = 0
    for name in PROGRAMS:
        path = Path(sys.argv[1]) / name
        problems = problems_of(path)
        for problem in problems:
            print(f"check-binary: {path}: lacks: {problem}", file=sys.stderr)
        failed, passed = failed + bool(problems), passed + (not problems)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
