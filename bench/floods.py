#!/usr/bin/env python3
"""What clients notice while others flood one Meridian over HTTP/2 (docs/reliability.md: G10, G11): 100 polite clients on
schedule, first alone and then beside one attacker at a time, who comes again as soon as it has been cut off. Prints
for each family of floods how long its longest connection lived, the polite clients' 99th percentiles, quiet and
attacked by turns, as medians of the rounds (one second of another job on the machine is enough for a bad 99th), and what
failed.

    floods.py [--build DIR] [--rounds 5] [--seconds 3] [--rate 500] [FAMILY...]
"""
import argparse
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

from rig import Rig, free_ports, wait_port

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))
import hpack  # noqa: E402
from h2 import (CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW, PING, PREFACE,  # noqa: E402
                RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, settings)

CLIENTS, TURNS, LARGE = 100, 64, 1 << 20
LONGEST = 3      # seconds that an attacker's connection is kept busy at most


def head(method, path="/bytes/100"):
    return hpack.encode([(b":method", method), (b":scheme", b"http"), (b":authority", b"localhost"),
                         (b":path", path.encode())])


GET, POST, MUCH = head(b"GET"), head(b"POST"), head(b"GET", f"/bytes/{LARGE}")


def ask(turn, block=GET, end=True):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), 2 * turn + 1, block)


def number(value):
    return struct.pack(">I", value)


BOMB = hpack.literal(b"cookie", b"b" * 3900, add=True)
# name: (what begins the connection, what is sent in each turn; None: nothing more)
FAMILIES = {
    "rapid reset": (b"", lambda turn: ask(turn) + frame(RST_STREAM, 0, 2 * turn + 1, number(CANCEL))),
    "provoked resets": (b"", lambda turn: ask(turn, POST, False) + frame(WINDOW_UPDATE, 0, 2 * turn + 1, number(0))),
    "CONTINUATION": (frame(HEADERS, END_STREAM, 1, GET),
                     lambda turn: frame(CONTINUATION, 0, 1, hpack.literal(b"x", b"y"))),
    "SETTINGS": (b"", lambda turn: frame(SETTINGS, 0, 0, settings((INITIAL_WINDOW, 70000)))),
    "PING": (b"", lambda turn: frame(PING, 0, 0, b"12345678")),
    "empty DATA": (ask(0, POST, False), lambda turn: frame(DATA, 0, 1)),
    "unknown frames": (b"", lambda turn: frame(0x55, 0xff, 0, b"what?")),
    "HPACK bomb": (ask(0, GET + BOMB), lambda turn: ask(turn + 1, GET + hpack.indexed(62) * 4000)),
    "zero windows": (frame(SETTINGS, 0, 0, settings((INITIAL_WINDOW, 0)))
                     + b"".join(ask(turn, MUCH) for turn in range(100)), None),
}


class Attacker(threading.Thread):
    """One connection after the other, until told to stop."""

    def __init__(self, port, cpu, setup, piece):
        super().__init__(daemon=True)
        self.port, self.cpu, self.piece, self.stop, self.lives = port, cpu, piece, threading.Event(), []
        self.first = PREFACE + frame(SETTINGS) + setup

    def talk(self, connection):
        connection.sendall(self.first)
        connection.settimeout(LONGEST)
        turn, end = 0, time.monotonic() + LONGEST
        while time.monotonic() < end and not self.stop.is_set():
            if self.piece is not None:
                connection.sendall(b"".join(self.piece(turn + i) for i in range(TURNS)))
                turn += TURNS
            elif not connection.recv(65536):
                return

    def run(self):
        """The attacker takes what the polite clients and the backend leave of their CPU: his machine is not theirs."""
        os.sched_setaffinity(0, {self.cpu})
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        while not self.stop.is_set():
            with socket.create_connection(("127.0.0.1", self.port)) as connection:
                begun = time.monotonic()
                try:
                    self.talk(connection)
                except OSError:
                    pass
                self.lives.append(time.monotonic() - begun)


def start(rig, folder):
    port, backend, much, admin = free_ports(4)
    rig.origin("--port", backend, cpu=rig.other_cpu)
    os.sched_setscheduler(rig.origin("--port", much, cpu=rig.other_cpu).pid, os.SCHED_IDLE, os.sched_param(0))
    path = os.path.join(folder, "meridian.yaml")
    with open(path, "w") as file:
        json.dump({"workers": 1, "listeners": {"public": {"bind": f"127.0.0.1:{port}", "protocols": ["h2", "http/1.1"]}},
                   "pools": {name: {"backends": {"one": {"address": f"127.0.0.1:{server}"}}, "health": {"off": True}}
                             for name, server in (("api", backend), ("files", much))},
                   "routes": [{"match": {"path": f"/bytes/{LARGE}"}, "pool": "files"}, {"pool": "api"}], "limits": {"connections_per_source": 10000},
                   "log": {"access": {"path": "off"}},
                   "admin": {"socket": os.path.join(folder, "control.sock"), "http": f"127.0.0.1:{admin}"},
                   "state": folder}, file)
    process = rig.start([rig.tool("meridian"), "-c", path], rig.proxy_cpu, stderr=subprocess.DEVNULL)
    wait_port(backend)
    wait_port(port, process)
    return port


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(FAMILIES))
    arguments = parser.parse_args()
    unknown = set(arguments.families) - set(FAMILIES)
    if unknown:
        parser.error(f"no such family: {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
    print(f"{'family':16} {'longest life':>12} {'connections':>11} {'p99 quiet':>10} {'attacked':>9} {'ratio':>6} {'failed':>6}")
    with tempfile.TemporaryDirectory() as folder, Rig(arguments.build) as rig:
        port = start(rig, folder)

        def polite():
            return rig.load(f"http://127.0.0.1:{port}/bytes/1000", "--connections", CLIENTS, "--rate", arguments.rate,
                            "--seconds", arguments.seconds, "--warm", 1, cpu=rig.other_cpu)
        for name in arguments.families or FAMILIES:
            reports, lives = ([], []), []
            for _ in range(arguments.rounds):
                reports[0].append(polite())
                attacker = Attacker(port, rig.other_cpu, *FAMILIES[name])
                attacker.start()
                reports[1].append(polite())
                attacker.stop.set()
                attacker.join()
                lives += attacker.lives
            quiet, attacked = (statistics.median(one["latency_ms"]["p99"] for one in some) for some in reports)
            print(f"{name:16} {max(lives):10.2f} s {len(lives):11} {quiet:7.2f} ms {attacked:6.2f} ms {attacked / quiet:6.2f}"
                  f" {sum(one['failed'] for some in reports for one in some):6}", flush=True)


if __name__ == "__main__":
    main()
