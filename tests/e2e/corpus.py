#!/usr/bin/env python3
"""Reads the hostile corpus (tests/hostile, whose README describes the form): files into families, families
into cases. Run as a program, it lists all cases."""
import glob
import itertools
import os
import re

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "hostile")
PLACE = re.compile(r"\{(#?\w+)(?:\*(\d+))?\}")
STEPS = ("send", "head", "data", "trailers", "frame")


class Expectation:
    """What may come of a case, as its family says."""

    def __init__(self, words):
        self.kind, rest = words[0], words[1:]
        assert self.kind in ("refused", "forwarded", "either", "cut"), words
        self.closes = "closes" in rest
        self.silent = "none" in rest
        self.statuses = [int(word) for word in rest if word.isdigit()]
        self.half_close = False
        self.checks = []

    def takes(self, line):
        word, _, rest = line.partition(" ")
        if line == "half-close":
            self.half_close = True
        else:
            assert word in ("method", "target", "body", "host", "has", "lacks"), line
            self.checks.append((word, rest))


class Family:
    def __init__(self, path, line):
        self.name, *self.rules = line.split()
        self.file = os.path.relpath(path, FOLDER)
        self.about, self.steps, self.each = [], [], {}
        self.expect = None

    def cases(self):
        for chosen in itertools.product(*(options for options in self.each.values())):
            values = dict(zip(self.each, (value for _, value in chosen)))
            yield Case(self, ", ".join(title for title, _ in chosen) or "itself", values)


class Case:
    def __init__(self, family, title, values):
        self.family, self.expect = family, family.expect
        self.name = f"{family.file[:-4]}/{family.name}: {title}"
        self.steps = [(kind, fields(text, values) if kind in ("head", "trailers") else fill(text, values))
                      for kind, text in family.steps]
        self.checks = [(word, fill(text, values).decode("latin-1")) for word, text in family.expect.checks]

    @property
    def bytes(self):
        """Of a case of HTTP/1."""
        return self.steps[0][1]


def unescape(text):
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")


def repeat(match):
    return match[1] * int(match[2]) if match[2] else match[0]


def fill(text, values):
    """Puts the values in their places, then reads the escapes of both."""
    def value(match):
        if match[1][0] == "#":
            return str(len(fill(values[match[1][1:]], {})))
        if match[1] not in values:
            return repeat(match)
        return PLACE.sub(repeat, values[match[1]]) * int(match[2] or 1)
    return unescape(PLACE.sub(value, text))


def fields(text, values):
    """Of a head of HTTP/2, [(name, value)]. A value of `each` that stands for several fields parts them by ` || `."""
    lines = PLACE.sub(lambda match: PLACE.sub(repeat, values.get(match[1], match[0])), text).replace(" || ", "\n").split("\n")
    parts = [re.fullmatch(r"(:?[^:]*):(?: (.*))?", line) for line in lines]
    return [(unescape(part[1]), unescape(part[2] or "")) for part in parts]


def as_lines(lines):
    """The text of a `send`: every line with its end, unless it says otherwise."""
    return "".join(line[:-2] if line.endswith("\\-") else line + "\\r\\n" for line in lines)


def read(path):
    families, mode, name = [], None, None
    with open(path, encoding="ascii") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if line.startswith("#"):
                continue
            if line and not line.startswith(" "):
                mode, _, name = line.partition(" ")
                if mode == "family":
                    families.append(Family(path, name))
                elif mode == "expect":
                    families[-1].expect = Expectation(name.split())
                elif mode in STEPS:
                    families[-1].steps.append([mode, [name] if name else []])
                elif mode == "each":
                    families[-1].each[name] = []
                elif mode == "then":
                    families[-1].expect.takes(name)
                else:
                    raise ValueError(f"{path}:{number}: {mode}")
                continue
            take(families[-1] if families else None, mode, name, line[2:])
    for family in families:
        finish(family)
    return families


def take(family, mode, name, line):
    """A line below a word."""
    if mode in STEPS:
        family.steps[-1][1].append(line)
    elif not line.strip():
        return
    elif mode == "family":
        family.about.append(line)
    elif mode == "expect":
        family.expect.takes(line)
    elif mode == "each":
        title, equals, value = line.partition(" = ")
        assert equals or line.endswith(" ="), f"{family.name}: {line!r} has no value"
        family.each[name].append((title if equals else line[:-2], value))


def finish(family):
    for kind, lines in family.steps:
        while lines and not lines[-1] and (kind != "send" or lines[-2:] == ["", ""]):
            lines.pop()  # what separates words; one empty line may end a message
    family.steps = [(kind, as_lines(lines) if kind == "send" else "\n".join(lines)) for kind, lines in family.steps]
    assert family.expect and family.steps and family.about, family.name


def load(kind):
    """All cases of "h1" or "h2"; no two have the same name, no two send the same bytes."""
    cases = [case for path in sorted(glob.glob(os.path.join(FOLDER, kind, "*.txt")))
             for family in read(path) for case in family.cases()]
    seen = {}
    for case in cases:
        assert case.name not in seen, f"{case.name} twice"
        key = repr((case.steps, case.expect.half_close))
        assert key not in seen.values(), f"{case.name} is {[name for name in seen if seen[name] == key]}"
        seen[case.name] = key
    return cases


if __name__ == "__main__":
    for kind in ("h1", "h2"):
        cases = load(kind)
        for case in cases:
            print(f"{case.name}  [{' '.join(case.family.rules)}]")
        print(f"{len(cases)} cases of {kind} in {len({case.family.name for case in cases})} families")
