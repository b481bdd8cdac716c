#!/usr/bin/env python3
"""Fails where a layer includes, or CMakeLists.txt lets it see, what the law does not allow.

LAW is the table of docs/architecture.md, "The arrows". CMakeLists.txt may name less, never more; an
include must be in what CMakeLists.txt names. Foreign libraries stay where they are wrapped.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAW = {
    "base": set(),
    "net": {"base"},
    "geo": {"base"},
    "conf": {"base"},
    "pick": {"base"},
    "http": {"net", "base"},
    "proxy": {"http", "net", "pick", "geo", "base"},
    "db": {"net", "base"},
    "health": {"http", "net", "pick", "base"},
    "admin": {"http", "net", "pick", "base"},
    "run": {"admin", "health", "db", "proxy", "http", "conf", "pick", "geo", "net", "base"},
}
# header: the layers that may include it
FOREIGN = {
    r"ev\.h": {"net"},
    r"openssl/": {"net"},
    r"maxminddb\.h": {"geo"},
    r"libfyaml\.h": {"conf"},
    r"xxhash\.h": {"base"},
    r"zlib\.h": {"proxy"},
    r"brotli/.*": {"proxy"},
    r"zstd\.h": {"proxy"},
    r"libpq-fe\.h": {"db"},
    r"criterion/": set(),
}
# file: (header, reason)
ALLOWED = {
    "lb/run/main.c": (r"openssl/", "prints the version of the library it was linked with"),
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
LIBRARY = re.compile(r"meridian_library\(\s*(\w+)\s+(\S+?)\s*(?:SEES\s+([\w\s]*?))?(?:LINK[^)]*)?\)")


def layers():
    """name: (folder, what it sees), as CMakeLists.txt says."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    text = re.sub(r"#.*", "", text)
    return {name: (folder, set((sees or "").split())) for name, folder, sees in LIBRARY.findall(text)}


def check_law(found):
    for name, (_, sees) in found.items():
        if name not in LAW:
            yield f"CMakeLists.txt: the layer {name} is not in the law of scripts/check-arrows.py"
        else:
            for extra in sorted(sees - LAW[name]):
                yield f"CMakeLists.txt: {name} must not see {extra}"
    for name in sorted(set(LAW) - set(found)):
        yield f"CMakeLists.txt: no meridian_library line for {name}"


def foreign_problem(layer, path, header):
    for pattern, where in FOREIGN.items():
        if re.match(pattern, header) and layer not in where:
            if ALLOWED.get(path, ("",))[0] != pattern:
                return f"<{header}> belongs to {' '.join(sorted(where)) or 'tests'} only"
    return None


def problem_of(layer, sees, path, kind, header, names):
    if kind == "<":
        return foreign_problem(layer, path, header)
    first = header.split("/")[0]
    if "/" not in header or first not in names:
        return f'"{header}" is not a full path "layer/file.h"'
    if first != layer and first not in sees:
        return f"{layer} must not see {first}"
    return None


def check_includes(found):
    for layer, (folder, sees) in found.items():
        for path in sorted((ROOT / folder).glob("*.[ch]")):
            relative = str(path.relative_to(ROOT))
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                match = INCLUDE.match(line)
                if match is None or match[2].endswith(".inc"):
                    continue
                problem = problem_of(layer, sees, relative, match[1], match[2], found)
                if problem is not None:
                    yield f"{relative}:{number}: {problem}"


def main():
    found = layers()
    problems = [*check_law(found), *check_includes(found)]
    for problem in problems:
        print(f"check-arrows: {problem}", file=sys.stderr)
    return 1 if problems else 0


sys.exit(main())
