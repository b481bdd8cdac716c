#!/usr/bin/env python3
"""What one scrape of /metrics costs with 1,000 backends: its size and time, the CPU time of the main thread that makes it,
and what a client's requests notice of it (they are served by other threads).

    scrape.py [--build DIR] [--backends 1000] [--pools 10] [--scrapes 50]
"""
import argparse
import json
import os
import statistics
import tempfile
import time
import urllib.request

from rig import Rig, free_ports, wait_port


def configuration(options, port, admin, origin, folder):
    pools = {}
    for i in range(options.backends):
        pool = pools.setdefault(f"p{i % options.pools}", {"backends": {}, "health": {"off": True}})
        pool["backends"][f"b{i}"] = {"address": f"127.{1 + i // 62500}.{i // 250 % 250}.{1 + i % 250}:9"}
    pools["api"] = {"backends": {"one": {"address": f"127.0.0.1:{origin}"}}}
    routes = [{"match": {"path": f"/{name}/"}, "pool": name} for name in pools if name != "api"] + [{"pool": "api"}]
    return {"listeners": {"public": {"bind": f"127.0.0.1:{port}"}}, "pools": pools, "routes": routes, "workers": 1,
            "admin": {"http": f"127.0.0.1:{admin}", "socket": os.path.join(folder, "c.sock")}, "state": folder,
            "log": {"access": {"path": "off"}}}


def main_thread_seconds(pid):
    with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def scrape(admin):
    began = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=30) as answer:
        size = len(answer.read())
    return time.monotonic() - began, size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--backends", type=int, default=1000)
    parser.add_argument("--pools", type=int, default=10)
    parser.add_argument("--scrapes", type=int, default=50)
    options = parser.parse_args()
    port, admin, origin = free_ports(3)
    with Rig(options.build) as rig, tempfile.TemporaryDirectory(prefix="meridian-scrape-") as folder:
        rig.origin("--port", origin)
        path = os.path.join(folder, "meridian.yaml")
        with open(path, "w", encoding="ascii") as file:
            json.dump(configuration(options, port, admin, origin, folder), file, indent=1)
        with open(os.path.join(folder, "stderr"), "wb") as errors:
            process = rig.start([rig.tool("meridian"), "-c", path], stderr=errors)
        wait_port(port, process)
        wait_port(admin, process)
        scrape(admin)
        quiet = rig.load(f"http://127.0.0.1:{port}/", "--rate", 1000, "--seconds", 3, "--connections", 8)
        load = rig.load_begin(f"http://127.0.0.1:{port}/", "--rate", 1000, "--seconds", 3, "--connections", 8)
        before, rows = main_thread_seconds(process.pid), []
        for _ in range(options.scrapes):
            rows.append(scrape(admin))
            time.sleep(0.05)
        cpu = main_thread_seconds(process.pid) - before
        busy = rig.load_report(load)
    times = sorted(seconds for seconds, _ in rows)
    print(f"{options.backends} backends in {options.pools} pools: {rows[-1][1] / 1024:.0f} KiB, "
          f"median {1000 * statistics.median(times):.1f} ms, longest {1000 * times[-1]:.1f} ms, "
          f"{1000 * cpu / options.scrapes:.1f} ms of CPU each; every 15 s that is {100 * cpu / options.scrapes / 15:.2f} % of one CPU")
    print(f"requests meanwhile: p99 {busy['latency_ms']['p99']:.2f} ms, {quiet['latency_ms']['p99']:.2f} ms without scrapes, "
          f"{busy['failed']} failed")
    return 1 if busy["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
