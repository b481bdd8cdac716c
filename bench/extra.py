"""Parts of compare.py that are no rows of CPU time: latency at a given rate, system calls, reloads, memory."""
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

from memory import resident
from proxies import Setup
from rig import cpu_seconds, family

SHARE = 0.4   # of what the slowest of them can do
RELOADS = 5
RATE = 500    # requests per second of each of the three loads while reloading


def open_loop(bench, rows):
    """Latency where requests come at fixed times, at a rate that is easy for all."""
    with bench.rig.servers_first() as first:
        if not first:
            print("\nServers wait for the load generator's turns: real-time scheduling is not allowed here.")
        return open_loops(bench, rows)


def open_loops(bench, rows):
    results = {}
    for name in ("plain", "tls"):
        row = rows[name]
        proxies = [bench.proxy(one, row.setup) for one in bench.options.names]
        full = min(bench.round(proxy, row)["per_second"] for proxy in proxies)
        rate = round(SHARE * full, -2)
        print(f"\nopen, {name}: {rate:.0f} requests per second, {SHARE:.0%} of what the slowest can do")
        print(f"{'':10} {'p50 ms':>8} {'p99 ms':>8} {'p999 ms':>8} {'CPU us/req':>11} {'failed':>7}")
        reports = {proxy: [] for proxy in proxies}
        for turn in range(bench.options.rounds):
            for proxy in proxies[turn % len(proxies):] + proxies[:turn % len(proxies)]:
                before = cpu_seconds(proxy.pid(row.tls))[0]
                report = bench.load(proxy, row, "--rate", rate, "--warm", 0.2, "--seconds", bench.options.seconds)
                spent = cpu_seconds(proxy.pid(row.tls))[0] - before
                reports[proxy].append({**report["latency_ms"], "failed": report["failed"],
                                       "cpu_us": 1e6 * spent / max(report["completed"], 1)})
        for proxy, each in reports.items():
            r = {key: statistics.median(one[key] for one in each) for key in each[0]}
            r["failed"] = sum(one["failed"] for one in each)
            results.setdefault(proxy.name, {"failed": 0})[name] = {"rate": rate, **r}
            results[proxy.name]["failed"] += r["failed"]
            print(f"{proxy.name:10} {r['p50']:8.3f} {r['p99']:8.3f} {r['p999']:8.3f} {r['cpu_us']:11.2f} {r['failed']:7d}",
                  flush=True)
            proxy.stop()
    return results


def count_calls(bench, proxy, row, requests):
    """Calls per request by name, failed ones apart."""
    path = os.path.join(bench.folder, "calls")
    words = [word for pid in family(proxy.pid(row.tls)) for word in ("-p", str(pid))]
    tracer = subprocess.Popen(["strace", "-f", "-c", "-U", "name,calls,errors", "-o", path, *words],
                              stderr=subprocess.PIPE, text=True)
    while "attached" not in tracer.stderr.readline():
        if tracer.poll() is not None:
            return None
    threading.Thread(target=tracer.stderr.read, daemon=True).start()
    done = bench.load(proxy, row, "--requests", requests, "--timeout", 60000)["completed"]
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    calls = {}
    with open(path) as file:
        for match in re.finditer(r"^(\w+) +(\d+) *(\d*)$", file.read(), re.M):
            if match[1] != "total" and int(match[2]) / done >= 0.005:
                calls[match[1]] = (int(match[2]) / done, int(match[3] or 0) / done)
    return calls


def calls(bench, rows):
    """System calls of a warm request."""
    if not shutil.which("strace"):
        print("\nstrace is not here: no system calls are counted", file=sys.stderr)
        return None
    results = {}
    print("\ncalls: system calls per warm request (failed ones in brackets)")
    for name in ("plain", "tls"):
        for one in bench.options.names:
            proxy = bench.proxy(one, rows[name].setup)
            bench.load(proxy, rows[name], "--requests", 2000)
            counted = count_calls(bench, proxy, rows[name], 10000)
            proxy.stop()
            if counted is None:
                continue
            results.setdefault(one, {"failed": 0})[name] = counted
            text = ", ".join(f"{call} {n:.2f}" + (f" ({bad:.2f})" if bad >= 0.005 else "")
                             for call, (n, bad) in sorted(counted.items(), key=lambda item: -item[1][0]))
            print(f"{name:6} {one:10} {sum(n for n, _ in counted.values()):6.2f}: {text}", flush=True)
    return results


def effective_ms(proxy, version, began):
    """How long until the new version answers."""
    while time.monotonic() < began + 10:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{proxy.plain}/version", timeout=2) as reply:
                if reply.read() == f"v{version}".encode():
                    return 1000 * (time.monotonic() - began)
        except OSError:
            pass
        time.sleep(0.002)
    raise SystemExit(f"{proxy.name} did not take its configuration")


def reload(bench, rows):
    """Reloads with 1,000 backends under load: what fails, how soon it counts, what memory it takes."""
    results = {}
    seconds = RELOADS * 1.5 + 5
    loads = {"keep-alive": (rows["plain"], ()), "fresh": (rows["plain"], ("--fresh",)), "tls": (rows["tls"], ())}
    print(f"\nreload: {RELOADS} times with 1,000 backends, {len(loads) * RATE} requests per second")
    print(f"{'':10} {'effective ms':>14} {'failed':>24} {'p99 ms':>8} {'memory MB before, peak, after':>30}")
    for one in bench.options.names:
        if one in ("floor", "nghttpx"):  # they are told all when they start
            continue
        proxy = bench.proxy(one, Setup(backends=1000, reloads=True))
        for row, _ in loads.values():
            bench.load(proxy, row, "--seconds", 1)
        running = {name: bench.load(proxy, row, *more, "--rate", RATE, "--seconds", seconds, begin=True)
                   for name, (row, more) in loads.items()}
        time.sleep(2)
        before = peak = resident(proxy.process.pid)
        times = []
        for version in range(2, 2 + RELOADS):
            time.sleep(1)
            began = time.monotonic()
            proxy.reload(version)
            times.append(effective_ms(proxy, version, began))
            peak = max(peak, resident(proxy.process.pid))
        time.sleep(2)
        after = resident(proxy.process.pid)  # under the same load as before
        reports = {name: bench.rig.load_report(process) for name, process in running.items()}
        proxy.stop()
        failed = {name: report["failed"] for name, report in reports.items()}
        results[one] = {"failed": sum(failed.values()), "by_load": failed, "effective_ms": times,
                        "p99_ms": {name: report["latency_ms"]["p99"] for name, report in reports.items()},
                        "memory_mb": [before / 1024, peak / 1024, after / 1024]}
        print(f"{one:10} {f'{min(times):.0f} to {max(times):.0f}':>14} "
              f"{' / '.join(f'{name} {n}' for name, n in failed.items()):>24} "
              f"{max(r['latency_ms']['p99'] for r in reports.values()):8.2f} "
              f"{before / 1024:14.1f} {peak / 1024:7.1f} {after / 1024:7.1f}", flush=True)
    return results


def memory(bench, rows):
    """What idle connections cost, by memory.py."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "memory.py")
    print("\nmemory: KiB of an idle connection", flush=True)
    result = subprocess.run([sys.executable, script, "--build", bench.options.build, "--peers"], capture_output=True,
                            text=True)
    print(result.stdout, end="", flush=True)
    return {"text": result.stdout, "good": result.returncode == 0}
