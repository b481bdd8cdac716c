#!/usr/bin/env python3
"""Prints the line and branch coverage of a build of the `cover` preset that tests have run in: of the pure parsers one
by one, and of the whole (docs/reliability.md: G1).

usage: scripts/coverage.py [BUILD]      default: build/cover; scripts/coverage.sh builds and runs the tests first

With --missing FILE... it lists the lines of these files where a branch was never taken.
"""
import glob
import gzip
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAYERS = ("lb/", "geo/", "conf/", "db/", "health/", "admin/")
PARSERS = """lb/http/h1_scan.c lb/http/h1_request.c lb/http/h1_reply.c lb/http/h1_fields.c lb/http/h1_body.c lb/http/uri.c
lb/http/field.c lb/http/msg.c lb/http/websocket.c lb/http/h2_scan.c lb/http/h2_block.c lb/http/h2_request.c lb/http/h2_reply.c
lb/http/h2_guard.c lb/http/h2_past.c lb/http/h1_write.c lb/base/str.c lb/base/template.c lb/net/addr.c lb/net/prefix.c
lb/net/proxy_proto.c lb/net/name_set.c lb/proxy/grpc.c lb/proxy/trace.c geo/verify.c conf/text.c conf/word.c
conf/address.c lb/base/json_read.c""".split()


class Covered:
    """One source file: how often each line ran, how often each branch was taken, over all its objects."""

    def __init__(self):
        self.lines, self.branches = {}, {}

    def add(self, line):
        number = line["line_number"]
        self.lines[number] = self.lines.get(number, 0) + line["count"]
        for index, branch in enumerate(line["branches"]):
            key = (number, line.get("function_name"), index)
            self.branches[key] = self.branches.get(key, 0) + branch["count"]

    def sums(self):
        return (sum(count > 0 for count in self.lines.values()), len(self.lines),
                sum(count > 0 for count in self.branches.values()), len(self.branches))


def gather(build):
    found = {}
    notes = [path for path in glob.glob(os.path.join(build, "**", "*.gcda"), recursive=True) if "/tests/" not in path]
    for at in range(0, len(notes), 50):
        done = subprocess.run(["gcov", "-b", "--json-format", "--stdout", *notes[at:at + 50]], cwd=build, check=False,
                              capture_output=True)
        if done.returncode:
            raise SystemExit(f"coverage: tests have run in another build than that of {build}: {done.stderr.decode().strip()}")
        for text in done.stdout.splitlines():
            for file in json.loads(gzip.decompress(text) if text[:2] == b"\x1f\x8b" else text)["files"]:
                name = os.path.relpath(os.path.join(build, file["file"]), ROOT)
                if name.startswith(LAYERS):
                    covered = found.setdefault(name, Covered())
                    for line in file["lines"]:
                        covered.add(line)
    return found


def percent(part, whole):
    """Rounded down: 100 is all."""
    return f"{1000 * part // whole / 10:5.1f} %" if whole else "    - "


def show(name, sums):
    lines, all_lines, branches, all_branches = sums
    print(f"{name:28} {percent(lines, all_lines)} of {all_lines:6} lines   {percent(branches, all_branches)} of "
          f"{all_branches:6} branches")


def total(found, names):
    """Zeros where nothing has run."""
    return [sum(numbers) for numbers in zip((0, 0, 0, 0), *(found[name].sums() for name in names))]


def missing(found, name):
    with open(os.path.join(ROOT, name)) as file:
        text = file.read().splitlines()
    branches = found[name].branches
    for number in sorted({key[0] for key in branches}):
        here = [count for key, count in branches.items() if key[0] == number]
        if 0 in here:
            print(f"{name}:{number}: {here.count(0)} of {len(here)}: {text[number - 1].strip()}")


def main(arguments):
    names = []
    if "--missing" in arguments:
        at = arguments.index("--missing")
        arguments, names = arguments[:at], arguments[at + 1:]
    build = os.path.abspath(arguments[0] if arguments else os.path.join(ROOT, "build", "cover"))
    found = gather(build)
    if not found:
        print(f"coverage: nothing has run in {build}", file=sys.stderr)
        return 1
    for name in names:
        missing(found, name)
    if names:
        return 0
    parsers = [name for name in PARSERS if name in found]
    for name in parsers:
        show(name, found[name].sums())
    show("pure parsers", total(found, parsers))
    for layer in LAYERS[1:]:
        show(layer[:-1], total(found, [name for name in found if name.startswith(layer)]))
    for layer in sorted({"/".join(name.split("/")[:2]) for name in found if name.startswith("lb/")}):
        show(layer, total(found, [name for name in found if name.startswith(layer + "/")]))
    show("the whole", total(found, found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
