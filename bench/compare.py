#!/usr/bin/env python3
"""Meridian, HAProxy, nginx and nghttpx on the same work, side by side: CPU time per request and requests per
second, in interleaved rounds, as ratios to the best of the peers and to a floor.

    compare.py [--build DIR] [--only NAMES] [--rows NAMES] [--rounds N] [--seconds S] [--short]
               [--connections N] [--json FILE]      --rows: names or groups: load, pairs, open, calls, reload, memory

One worker each, pinned to one CPU; origin and load generator share another. `floor` is a yardstick that
only frames and copies. Absolute figures hold for one machine; ratios within one run are what counts.
"""
import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

import extra
from proxies import PEERS, Proxy, Setup, available, host_names, program
from rig import Rig, certificate, cpu_seconds, free_ports, how_to_build, wait_port


@dataclasses.dataclass(frozen=True)
class Row:
    what: str
    tls: bool = False
    path: str = "/"
    size: int = 1024
    options: tuple = ()
    peer: float = 0        # CPU per request against the best peer, at most
    floor: float = 0       # and against the floor
    setup: Setup = Setup()
    but: tuple = ()        # who cannot do it


H2 = ("--h2", 10, "--connections", 16)
ROWS = {
    "plain": Row("HTTP/1.1, 1 KB, keep-alive", peer=0.85, floor=1.20),
    "tls": Row("TLS 1.3, HTTP/1.1, 1 KB, keep-alive", True, peer=0.85, floor=1.20),
    "plain-fresh": Row("HTTP/1.1, a new connection for each request", options=("--fresh",), peer=0.95),
    "tls-fresh": Row("TLS 1.3, a full handshake for each request", True, options=("--fresh",), peer=1.00),
    "tls-resumed": Row("TLS 1.3, a resumed handshake for each request", True, options=("--fresh", "--resume"), peer=1.00),
    "plain-64k": Row("HTTP/1.1, 64 KB, keep-alive", False, "/bytes/65536", 65536, peer=0.80, floor=1.25),
    "tls-64k": Row("TLS 1.3, 64 KB, keep-alive", True, "/bytes/65536", 65536, peer=0.80, floor=1.25),
    "plain-1m": Row("HTTP/1.1, 1 MB, keep-alive", False, "/bytes/1048576", 1 << 20, peer=0.90),
    "tls-1m": Row("TLS 1.3, 1 MB, keep-alive", True, "/bytes/1048576", 1 << 20, peer=0.90),
    "h2": Row("HTTP/2 over TLS, 16 x 10 streams, HTTP/1.1 behind", True, options=H2, peer=0.90, but=("floor",)),
    "h2-h2": Row("HTTP/2 over TLS, HTTP/2 behind", True, "/index.html", options=H2, peer=0.90,
                 setup=Setup(h2_back=True), but=("floor", "nginx")),
}


@dataclasses.dataclass(frozen=True)
class Pair:
    """The same work with little and with much of something."""
    what: str
    few: Setup
    many: Setup
    most: float
    but: tuple = ("floor",)


PAIRS = {
    "backends": Pair("1,000 backends against 4, checked every 2 s but by nginx, which cannot",
                     Setup(backends=4), Setup(backends=1000), 1.05, ("nghttpx",)),
    "hosts": Pair("1,000 host routes against 1", Setup(hosts=1), Setup(hosts=1000), 1.05, ("floor", "nghttpx")),
    "hosts-10k": Pair("10,000 host routes against 10", Setup(hosts=10), Setup(hosts=10000), 1.05,
                      ("floor", "nghttpx", "nginx")),
    "workers": Pair("two workers against one", Setup(), Setup(workers=2), 1.05),
    "log": Pair("access log to a file against none", Setup(), Setup(log=True), 1.10, ("floor", "haproxy")),
}
GROUPS = {"load": list(ROWS), "pairs": list(PAIRS), "open": ["open_loop"], "calls": ["calls"], "reload": ["reload"],
          "memory": ["memory"]}


class Bench:
    """The origins, and what is measured with them."""

    def __init__(self, rig, options, folder):
        self.rig, self.options, self.folder, self.proxies = rig, options, folder, []
        chain, key, both = certificate(folder)
        self.ports = free_ports(1000)
        rig.origin(*[word for port in self.ports for word in ("--port", port)], cpu=rig.other_cpu)
        wait_port(self.ports[-1])
        self.values = {"chain": chain, "key": key, "both": both, "folder": folder}
        self.h2_port = self.start_h2()

    def start_h2(self):
        """An origin that speaks HTTP/2: nghttp2's."""
        if not program("nghttpd"):
            return None
        root = os.path.join(self.folder, "root")
        os.makedirs(root)
        with open(os.path.join(root, "index.html"), "w") as file:
            file.write("m" * 1024)
        port, = free_ports(1)
        self.rig.start([program("nghttpd"), "--no-tls", "--address=127.0.0.1", "-d", root, str(port)], self.rig.other_cpu,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_port(port)
        return port

    def proxy(self, name, setup):
        origins = [self.h2_port] if setup.h2_back else self.ports[:setup.backends]
        self.proxies.append(Proxy(self.rig, name, {**self.values, "origins": origins}, setup))
        return self.proxies[-1]

    def stop_proxies(self):
        for proxy in self.proxies:
            proxy.stop()
        self.proxies.clear()

    def load(self, proxy, row, *more, begin=False):
        names = host_names(proxy.setup)
        url = f"{'https' if row.tls else 'http'}://127.0.0.1:{proxy.tls if row.tls else proxy.plain}{row.path}"
        words = ["--connections", self.options.connections, "--expect-bytes", row.size, *row.options, *more]
        if names:
            words += ["--host", names[len(names) // 2]]
        return (self.rig.load_begin if begin else self.rig.load)(url, *words, cpu=self.rig.other_cpu)

    def round(self, proxy, row):
        """One round of one proxy."""
        options = self.options
        self.load(proxy, row, "--seconds", options.warm * (4 if proxy.setup.backends > 4 else 1))
        before = cpu_seconds(proxy.pid(row.tls))
        report = self.load(proxy, row, "--seconds", options.seconds)
        after = cpu_seconds(proxy.pid(row.tls))
        done = max(report["completed"], 1)
        total, user, system = (1e6 * (late - early) / done for late, early in zip(after, before))
        return {"cpu_us": total, "user_us": user, "system_us": system, "per_second": report["requests_per_second"],
                "p50_ms": report["latency_ms"]["p50"], "p99_ms": report["latency_ms"]["p99"],
                "p999_ms": report["latency_ms"]["p999"], "failed": report["failed"], "completed": report["completed"]}

    def rounds(self, proxies, row):
        """Of all in turn, each round in another order: the medians."""
        rounds = {proxy: [] for proxy in proxies}
        for turn in range(self.options.rounds):
            for proxy in proxies[turn % len(proxies):] + proxies[:turn % len(proxies)]:
                rounds[proxy].append(self.round(proxy, row))
        return {proxy: median_of(each) for proxy, each in rounds.items()}

    def compared(self, proxies, row):
        """Of two in turn: the medians, and by how much the second one's CPU time is the first one's."""
        few, many = self.rounds(proxies, row).values()
        return {"few": few, "many": many, "growth": ratio_of(many, few), "failed": few["failed"] + many["failed"]}

    def row(self, name):
        row = ROWS[name]
        if row.setup.h2_back and not self.h2_port:
            return None
        proxies = [self.proxy(one, row.setup) for one in self.options.names if one not in row.but]
        results = with_ratios({proxy.name: one for proxy, one in self.rounds(proxies, row).items()})
        for proxy in proxies:
            proxy.stop()
        print_row(name, row, results)
        return results

    def pair(self, name):
        pair = PAIRS[name]
        results = {}
        print(f"\n{name}: {pair.what} (at most {pair.most:.2f})", flush=True)
        for one in self.options.names:
            if one in pair.but:
                continue
            proxies = [self.proxy(one, pair.few), self.proxy(one, pair.many)]
            result = results[one] = self.compared(proxies, ROWS["plain"])
            for proxy in proxies:
                proxy.stop()
            print(f"{one:10} {result['few']['cpu_us']:8.2f} -> {result['many']['cpu_us']:8.2f} us/req   {result['growth']:5.2f}",
                  flush=True)
        return results


def median_of(rounds):
    result = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
    result["failed"] = sum(one["failed"] for one in rounds)
    result["each_us"] = [one["cpu_us"] for one in rounds]
    result["spread"] = (max(one["cpu_us"] for one in rounds) - min(one["cpu_us"] for one in rounds)) / (
        result["cpu_us"] or 1)
    return result


def ratio_of(one, other):
    """The median of what the one costs of the other in each round: the machine's speed may change between rounds."""
    return statistics.median(mine / its for mine, its in zip(one["each_us"], other["each_us"]))


def with_ratios(results):
    """Adds each one's ratio to the best peer and to the floor: CPU below 1 is better."""
    peers = [results[name] for name in PEERS if name in results]
    for result in results.values():
        if peers:
            result["cpu_ratio"] = max(ratio_of(result, peer) for peer in peers)
            result["rate_ratio"] = result["per_second"] / max(peer["per_second"] for peer in peers)
        if "floor" in results:
            result["floor_ratio"] = ratio_of(result, results["floor"])
    return results


def print_row(name, row, results):
    aims = " ".join(f"{text} {aim:.2f}" for text, aim in (("peer", row.peer), ("floor", row.floor)) if aim)
    print(f"\n{name}: {row.what} (at most: {aims})")
    print(f"{'':10} {'CPU us/req':>10} {'user+sys':>15} {'spread':>7} {'/peer':>6} {'/floor':>6} {'req/s':>8} "
          f"{'p50 ms':>7} {'p99 ms':>7} {'failed':>6}")
    for one, r in results.items():
        print(f"{one:10} {r['cpu_us']:10.2f} {r['user_us']:7.2f}+{r['system_us']:<7.2f} {r['spread']:7.0%} "
              f"{r.get('cpu_ratio', 0):6.2f} {r.get('floor_ratio', 0):6.2f} {r['per_second']:8.0f} {r['p50_ms']:7.2f} "
              f"{r['p99_ms']:7.2f} {r['failed']:6d}")
    sys.stdout.flush()


def first_line(*command):
    result = subprocess.run(command, capture_output=True, text=True)
    return (result.stdout + result.stderr).strip().split("\n")[0]


def machine(names):
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    versions = {"haproxy": ("haproxy", "-v"), "nginx": ("nginx", "-v"), "nghttpx": ("nghttpx", "--version")}
    return {"processor": models[0] if models else platform.machine(), "processors": os.cpu_count(),
            "kernel": platform.release(), "openssl": first_line("openssl", "version"),
            "peers": {name: first_line(program(name), versions[name][1]) for name in names if name in versions}}


def measure(bench, name):
    if name in ROWS:
        return bench.row(name)
    return bench.pair(name) if name in PAIRS else getattr(extra, name)(bench, ROWS)


def measure_all(bench, wanted, document, path):
    """Each row is written when it is there. What stops one keeps nobody from the others; how many were stopped."""
    stopped = 0
    for name in wanted:
        try:
            result = measure(bench, name)
        except (SystemExit, OSError, subprocess.SubprocessError) as why:
            print(f"{name}: {why}", file=sys.stderr, flush=True)
            bench.stop_proxies()
            stopped += 1
            continue
        if result:
            document["results"][name] = result
        if path:
            with open(path, "w") as file:
                json.dump(document, file, indent=1)
    return stopped


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--build", default=os.path.join(root, "build", "release"))
    parser.add_argument("--only", default=",".join(("floor", "meridian") + PEERS), help="a list of names")
    parser.add_argument("--rows", default=",".join(GROUPS), help=", ".join([*GROUPS, *ROWS, *PAIRS]))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--warm", type=float, default=0.3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--short", action="store_true", help="one round of 0.6 seconds, and no reloads nor 10,000 routes")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    options.wanted = [name for word in options.rows.split(",") for name in GROUPS.get(word, [word])]
    if options.short:
        options.rounds, options.seconds, options.warm = 1, 0.6, 0.2
        options.wanted = [name for name in options.wanted if name not in ("reload", "memory", "hosts-10k")]
    for name in options.wanted:
        if name not in {**ROWS, **PAIRS} and name not in [n for group in GROUPS.values() for n in group]:
            parser.error(f"no row {name}; there are {', '.join([*GROUPS, *ROWS, *PAIRS])}")
    return options


def main():
    options = parse()
    asked = options.only.split(",")
    options.names = available(asked, options.build)
    for name in asked:
        if name not in options.names:
            how = "" if name in PEERS else f"; {how_to_build(options.build)}"
            print(f"{name} is not here and left out{how}", file=sys.stderr)
    if not options.names:
        raise SystemExit("none of the programs is here")
    facts = machine(options.names)
    print(f"{facts['processor']}, {facts['processors']} processors, Linux {facts['kernel']}, {facts['openssl']}")
    document = {"machine": facts, "results": {}}
    with tempfile.TemporaryDirectory(prefix="meridian-compare-") as folder, Rig(options.build) as rig:
        if rig.proxy_cpu == rig.other_cpu:
            print("only one CPU: proxy, origin and load share it", file=sys.stderr)
        stopped = measure_all(Bench(rig, options, folder), options.wanted, document, options.json)
    failed = sum(results["meridian"].get("failed", 0) for results in document["results"].values()
                 if "meridian" in results)
    if failed or stopped:
        raise SystemExit(f"{failed} requests failed, {stopped} rows could not be measured")


if __name__ == "__main__":
    main()
