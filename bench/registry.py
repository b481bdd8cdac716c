#!/usr/bin/env python3
"""How long a change of a row in the central database takes to reach every worker: from the moment before the
statement is sent until requests on connections of all workers are answered by the other server. With
notifications, and by polling alone. Prints the distribution of each; with two balancers also how far apart
they are. Needs a PostgreSQL server on this machine.

    registry.py [--build DIR] [--changes N] [--polled N] [--json FILE]
"""
import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

from rig import free_ports, wait_port

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
from postgres import Postgres, binaries  # noqa: E402
from test_feed import Session  # noqa: E402

CONNECTIONS = 12  # per balancer: both workers have some
PATIENCE_S = 20
PAUSE_S = 0.0005  # between two rounds: who looks should not take the processors from who works


class Probe:
    """One kept connection; `ask` says which server answers."""

    REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self):
        self.socket.sendall(self.REQUEST)
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._more()
        head, body = got.split(b"\r\n\r\n", 1)
        length = int(next(line.split(b":")[1] for line in head.split(b"\r\n")
                          if line.lower().startswith(b"content-length:")))
        while len(body) < length:
            body += self._more()
        return body

    def _more(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise SystemExit("the balancer closed a connection")
        return piece


def config_of(words, port, first, folder):
    return {"workers": 2, "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
            "data_sources": {"main": {"postgres": words}},
            "pools": {"api": {"backends": {"seed": {"address": f"127.0.0.1:{first}"}}, "health": {"off": True},
                              "registry": {"source": "main", "mode": "authoritative", "allow": ["127.0.0.0/8"]}}},
            "routes": [{"pool": "api"}], "log": {"access": {"path": "off"}}, "state": folder,
            "limits": {"requests_per_connection": 10 ** 9},
            "admin": {"socket": os.path.join(folder, "control.sock"), "http": "off"}}


def seen_after(groups, wanted, begun):
    """Per balancer the seconds until the last of its connections was answered by `wanted`."""
    waiting = {(name, probe) for name, probes in groups.items() for probe in probes}
    last = {}
    while waiting:
        for name, probe in list(waiting):
            if wanted in probe.ask():
                last[name] = time.monotonic() - begun
                waiting.discard((name, probe))
        time.sleep(PAUSE_S)
        if time.monotonic() - begun > PATIENCE_S:
            raise SystemExit(f"after {PATIENCE_S} s {len(waiting)} connections are still answered by the old server")
    return last


def measure(session, groups, ports, changes):
    """[(the slower balancer's seconds, the difference of both)]"""
    result = []
    for i in range(changes):
        port, name = ports[i % 2], b"two" if i % 2 else b"one"
        begun = time.monotonic()
        session.ask(f"UPDATE meridian.pool_server SET address = '127.0.0.1:{port}'")
        last = seen_after(groups, name, begun)
        result.append((max(last.values()), max(last.values()) - min(last.values())))
        time.sleep(0.03)
    return result


def show(what, seconds):
    ordered = sorted(seconds)
    pick = {f"p{p}": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 1) for p in (50, 90, 99)}
    pick["max"] = round(1000 * ordered[-1], 1)
    print(f"{what:34} n={len(ordered):4}  " + "  ".join(f"{name} {value} ms" for name, value in pick.items()))
    return pick


def run(options, folder, server, processes):
    ports = free_ports(4)
    for name, port in zip(("one", "two"), ports):
        processes.append(subprocess.Popen([os.path.join(options.build, "bench/origin"), "--name", name, "--json", "--port", str(port)]))
    server.sql(f"INSERT INTO meridian.pool_server (pool, address) VALUES ('api', '127.0.0.1:{ports[1]}')")
    groups = {}
    for port in ports[2:]:
        state = os.path.join(folder, str(port))
        os.mkdir(state)
        path = os.path.join(state, "meridian.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config_of(server.words, port, ports[0], state), file)
        with open(os.path.join(state, "log"), "wb") as log:
            processes.append(subprocess.Popen([os.path.join(options.build, "meridian"), "-c", path], stderr=log))
        wait_port(port, processes[-1])
        groups[port] = [Probe(port) for _ in range(CONNECTIONS)]
    seen_after(groups, b"two", time.monotonic())
    session = Session(server)
    figures = {}
    for what, changes, notify in (("notify", options.changes, "on"), ("poll", options.polled, "off")):
        session.ask(f"SET meridian.notify = {notify}")
        rows = measure(session, groups, ports, changes // 2 * 2)
        figures[what] = show(f"{what}: row to every worker", [row[0] for row in rows])
        figures[what + "_apart"] = show(f"{what}: two balancers apart", [row[1] for row in rows])
    session.close()
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--polled", type=int, default=40)
    parser.add_argument("--json")
    options = parser.parse_args()
    if binaries() is None:
        raise SystemExit("PostgreSQL is not installed")
    server, processes = Postgres(), []
    with tempfile.TemporaryDirectory() as folder:
        try:
            figures = run(options, folder, server, processes)
        finally:
            for one in processes:
                one.terminate()
            for one in processes:
                one.wait(30)
            server.close()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file)
    if figures["notify"]["p99"] > 50:
        raise SystemExit("more than 50 ms with notifications")


if __name__ == "__main__":
    main()
