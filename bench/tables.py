#!/usr/bin/env python3
"""Tables for docs/performance.md from what compare.py --json has written.

    tables.py result.json
"""
import json
import sys

from compare import PAIRS, ROWS
from proxies import PEERS

NAMES = {"floor": "floor", "meridian": "Meridian", "haproxy": "HAProxy", "nginx": "nginx", "nghttpx": "nghttpx"}


def table(head, rows):
    if not rows:
        return
    print("\n| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def figure(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def against(ratio, aim):
    """A ratio with its aim; bold where it is missed."""
    if ratio is None:
        return "–"
    text = f"{ratio:.2f}" + (f" ({aim:.2f})" if aim else "")
    return f"**{text}**" if aim and ratio > aim + 0.005 else text


def load(results):
    """One line for each row of CPU time."""
    columns = ("floor", "meridian") + PEERS
    lines = []
    for name, row in ROWS.items():
        found = results.get(name)
        if not found:
            continue
        own = found["meridian"]
        cells = [figure(found[one]["cpu_us"]) if one in found else "–" for one in columns]
        lines.append([row.what, *cells, f"{own['user_us']:.1f} + {own['system_us']:.1f}",
                      against(own.get("cpu_ratio"), row.peer), against(own.get("floor_ratio"), row.floor)])
    table(["row", *[NAMES[one] for one in columns], "Meridian's user + system", "of the best peer (aim)",
           "of the floor (aim)"], lines)


def pairs(results):
    lines = []
    for name, pair in PAIRS.items():
        found = results.get(name)
        if found:
            lines.append([pair.what, against(found["meridian"]["growth"], pair.most),
                          *[f"{found[one]['growth']:.2f}" if one in found else "–" for one in PEERS]])
    table(["CPU per request", "Meridian (aim)", *[NAMES[one] for one in PEERS]], lines)


def open_loop(results):
    found = results.get("open_loop", {})
    lines = [[f"{name}, {one[name]['rate']:.0f} a second", NAMES[who],
              *[f"{one[name][key]:.3f}" for key in ("p50", "p99", "p999")], f"{one[name]['cpu_us']:.1f}"]
             for name in ("plain", "tls") for who, one in found.items() if name in one]
    table(["open loop", "", "p50 ms", "p99 ms", "p99.9 ms", "CPU µs a request"], lines)


def calls(results):
    found = results.get("calls", {})
    lines = [[name, NAMES[who], f"{sum(n for n, _ in one[name].values()):.2f}",
              ", ".join(f"{call} {n:.2f}" for call, (n, _) in sorted(one[name].items(), key=lambda item: -item[1][0]))]
             for name in ("plain", "tls") for who, one in found.items() if name in one]
    table(["system calls of a warm request", "", "all", "by name"], lines)


def reload(results):
    lines = []
    for who, one in results.get("reload", {}).items():
        times = one["effective_ms"]
        lines.append([NAMES[who], f"{min(times):.0f} to {max(times):.0f}",
                      " / ".join(str(n) for n in one["by_load"].values()), f"{max(one['p99_ms'].values()):.1f}",
                      " / ".join(f"{mb:.1f}" for mb in one["memory_mb"])])
    table(["reload", "effective after ms", "failed: keep-alive / new connections / TLS", "worst p99 ms",
           "memory MB before / peak / after"], lines)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__)
    with open(sys.argv[1]) as file:
        document = json.load(file)
    facts, results = document["machine"], document["results"]
    print(f"{facts['processor']}, {facts['processors']} processors, Linux {facts['kernel']}, {facts['openssl']}; "
          + ", ".join(facts["peers"].values()) + ".")
    for part in (load, pairs, open_loop, calls, reload):
        part(results)
    if "memory" in results:
        print("\n" + "\n".join("    " + line for line in results["memory"]["text"].splitlines()))


if __name__ == "__main__":
    main()
