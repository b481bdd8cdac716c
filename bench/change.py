#!/usr/bin/env python3
"""Changes while 2,000 requests per second arrive over HTTP/1.1 and HTTP/2: reloads (G3), binary upgrades (G4), and
kills of a process whose socket somebody else holds (G5). The servers count what reaches them, so that a request that
was lost or came twice is seen. Prints one line for each; the exit status is 1 where one does not hold.

    change.py [--build DIR] [--rate 2200] [--reloads 100] [--upgrades 20] [--kills 10] [--json]
"""
import argparse
import fcntl
import json
import multiprocessing
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from rig import Rig, free_ports, wait_port

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "e2e"))
from h2 import GOAWAY, H2Client  # noqa: E402  (needs the path above)

H2_CLIENTS, H2_BATCH = 2, 8
READY_MOST = 20.0


class Balancer:
    """Meridian, one process after another, and what it tells its service manager."""

    def __init__(self, rig, folder, port, origins, bind=None):
        self.rig, self.folder, self.port, self.bind = rig, folder, port, bind or f"127.0.0.1:{port}"
        self.origins, self.file = origins, os.path.join(folder, "meridian.yaml")
        self.control = os.path.join(folder, "control.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.path.join(folder, "notify"))
        self.pid = self.process = None
        self.write(0)

    def write(self, turn):
        """Backends come, go and change their weight from one turn to the next."""
        backends = {f"b{i}": {"address": f"127.0.0.1:{port}", "weight": 50 + turn % 7 * 25}
                    for i, port in enumerate(self.origins) if i == 0 or turn >> (i - 1) & 1 or turn == 0}
        config = {"listeners": {"public": {"bind": self.bind, "protocols": ["h2", "http/1.1"]}},
                  "pools": {"api": {"backends": backends}}, "routes": [{"pool": "api"}],
                  "drain": {"requests": "10s", "tunnels": "10s"}, "log": {"access": {"path": "off"}},
                  "admin": {"socket": self.control, "http": "off"}, "state": self.folder}
        with open(self.file + ".new", "w", encoding="ascii") as file:
            json.dump(config, file)
        os.rename(self.file + ".new", self.file)

    def start(self, inherited=None):
        environ = {**os.environ, "NOTIFY_SOCKET": os.path.join(self.folder, "notify")}
        command = f"exec '{self.rig.tool('meridian')}' -c '{self.file}'"
        more = {}
        if inherited is not None:
            fd = fcntl.fcntl(inherited, fcntl.F_DUPFD, 200)
            environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="web")
            command, more = f"exec 3<&{fd} {fd}<&-; export LISTEN_PID=$$; {command}", {"pass_fds": (fd,)}
        with open(os.path.join(self.folder, "stderr"), "ab") as errors:
            self.process = self.rig.start(["/bin/bash", "-c", command], env=environ, stderr=errors, **more)
        for handed in more.get("pass_fds", ()):
            os.close(handed)
        self.pid = self.process.pid
        self.ready(self.pid)

    def ready(self, pid=None, but=None):
        """Waits for READY=1 of that process, or of another than `but`; returns whose it was."""
        end = time.monotonic() + READY_MOST
        while True:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                said = dict(line.split("=", 1) for line in self.socket.recv(65536).decode().splitlines() if "=" in line)
            except TimeoutError:
                raise SystemExit(f"no READY=1: {self.errors()}") from None
            who = int(said.get("MAINPID", 0))
            if said.get("READY") == "1" and (who == pid if pid else who not in (0, but)):
                return who

    def reload(self):
        done = subprocess.run([self.rig.tool("meridianctl"), "-s", self.control, "reload"], capture_output=True, text=True,
                              timeout=30, check=False)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)

    def upgrade(self):
        old = self.pid
        os.kill(old, signal.SIGUSR2)
        self.pid = self.ready(but=old)
        end = time.monotonic() + READY_MOST
        while self.process.poll() is None if old == self.process.pid else os.path.exists(f"/proc/{old}"):
            if time.monotonic() > end:
                raise SystemExit(f"process {old} does not end: {self.errors()}")
            time.sleep(0.02)

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        end = time.monotonic() + READY_MOST
        while os.path.exists(f"/proc/{self.pid}") and self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)

    def errors(self):
        with open(os.path.join(self.folder, "stderr"), encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]


def h2_client(port, over, rate, out):
    """Batches of requests over connections that are kept until they are told to go."""
    served, failed = 0, []
    due = time.monotonic()
    while not over.is_set() and len(failed) < 100:
        try:
            with H2Client(port) as client:
                client.ready()
                while not over.is_set() and not client.count(GOAWAY) and len(client.frames) < 20000:
                    due = max(due + H2_BATCH / rate, time.monotonic() - 0.5)
                    time.sleep(max(0.0, due - time.monotonic()))
                    served += h2_batch(client, failed)
        except Exception as problem:  # pylint: disable=broad-except
            failed.append(repr(problem))
    out.put((served, failed))


def h2_batch(client, failed):
    """How many were answered. What GOAWAY names as not processed is to be asked again (RFC 9113 section 6.8)."""
    served, streams = 0, []
    try:
        for _ in range(H2_BATCH):
            streams.append(client.request())
    except OSError:
        pass
    for stream in streams:
        try:
            served += client.answer(stream).status == 200
        except AssertionError:
            last = [struct.unpack(">I", frame.payload[:4])[0] for frame in client.frames if frame.kind == GOAWAY]
            if not last or stream.id <= min(last):
                failed.append(f"{stream}: {client}")
    return served


class Load:
    """Three quarters of the rate over HTTP/1.1, one over HTTP/2; what the servers have counted meanwhile."""

    def __init__(self, rig, port, rate, seconds):
        self.rig, self.over, self.out = rig, multiprocessing.Event(), multiprocessing.Queue()
        self.h1 = rig.load_begin(f"http://127.0.0.1:{port}/", "--rate", rate * 3 // 4, "--seconds", seconds,
                                 "--connections", 64, "--timeout", 20000)
        self.h2 = [multiprocessing.Process(target=h2_client, args=(port, self.over, rate / 4 / H2_CLIENTS, self.out))
                   for _ in range(H2_CLIENTS)]
        self.began = time.monotonic()
        for one in self.h2:
            one.start()

    def end(self):
        if self.h1.poll() is None:
            self.h1.send_signal(signal.SIGINT)
        report = self.rig.load_report(self.h1)
        self.over.set()
        results = [self.out.get(timeout=60) for _ in self.h2]
        for one in self.h2:
            one.join(30)
        seconds = time.monotonic() - self.began
        h2_served = sum(served for served, _ in results)
        h2_failed = [why for _, all_of_it in results for why in all_of_it]
        served = report["completed"] + h2_served
        rate = report["completed"] / max(report["seconds"], 0.001) + h2_served / seconds
        return {"served": served, "rate": round(rate), "h2": h2_served,
                "failed": report["failed"] + len(h2_failed), "why": [report["errors"], h2_failed[:3]],
                "p99_ms": report["latency_ms"]["p99"]}


class Origins:
    """Servers that count their requests."""

    def __init__(self, rig, count):
        self.rig, self.ports = rig, free_ports(count)
        options = [part for port in self.ports for part in ("--port", str(port))]
        self.process = rig.start([rig.tool("bench/origin"), "--requests", *options], stdout=subprocess.PIPE, text=True)
        for port in self.ports:
            wait_port(port, self.process)

    def end(self):
        """All requests that came."""
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=20)
        self.rig.processes.remove(self.process)
        rows = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        assert len(rows) == len(self.ports), output
        return sum(row["requests"] for row in rows)


def under_load(options, folder, what, times, change):
    """Quiet load for a while, then the changes under it; the servers' count against the clients'."""
    with Rig(options.build) as rig:
        origins = Origins(rig, 4)
        port, = free_ports(1)
        balancer = Balancer(rig, folder, port, origins.ports)
        balancer.start()
        load = Load(rig, port, options.rate, 3)
        time.sleep(3)
        quiet = load.end()
        load = Load(rig, port, options.rate, 3600)
        time.sleep(0.5)
        for turn in range(times):
            change(balancer, turn)
        time.sleep(0.5)
        busy = load.end()
        balancer.stop()
        reached = origins.end()
    answered = quiet["served"] + busy["served"]
    extra = reached - answered
    row = {"what": what, "times": times, "served": busy["served"], "h2": busy["h2"], "per_second": busy["rate"],
           "failed": busy["failed"] + quiet["failed"], "lost": max(0, -extra), "duplicated": max(0, extra),
           "p99_ms": busy["p99_ms"], "quiet_p99_ms": quiet["p99_ms"]}
    row["holds"] = row["failed"] == row["lost"] == row["duplicated"] == 0 and busy["rate"] >= options.rate * 0.95
    if row["failed"]:
        print(busy["why"], quiet["why"], file=sys.stderr)
    return row


def reload(balancer, turn):
    balancer.write(turn + 1)
    balancer.reload()
    time.sleep(0.05)


def upgrade(balancer, turn):
    del turn
    balancer.upgrade()


class Knocker(threading.Thread):
    """New connections without end; when each was answered, and what went wrong."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.over = port, threading.Event()
        self.served, self.refused, self.lost = [], 0, 0

    def run(self):
        while not self.over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), 20) as one:
                    one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    if one.recv(4096).startswith(b"HTTP/1.1 200"):
                        self.served.append(time.monotonic())
                    else:
                        self.lost += 1
            except ConnectionRefusedError:
                self.refused += 1
            except OSError:
                self.lost += 1


def kills(options, folder):
    """The manager of the socket starts the next process at once, as a service manager does."""
    with Rig(options.build) as rig:
        origins = Origins(rig, 1)
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        port = listener.getsockname()[1]
        balancer = Balancer(rig, folder, port, origins.ports, bind="systemd:web")
        balancer.start(listener)
        knockers = [Knocker(port) for _ in range(4)]
        for one in knockers:
            one.start()
        gaps = []
        for _ in range(options.kills):
            time.sleep(0.3)
            killed = time.monotonic()
            os.kill(balancer.pid, signal.SIGKILL)
            balancer.process.wait(10)
            balancer.start(listener)
            time.sleep(0.3)
            # Full service: every client has been answered again.
            gaps.append(max(next((at for at in one.served if at > killed), float("inf")) for one in knockers) - killed)
        for one in knockers:
            one.over.set()
        for one in knockers:
            one.join(30)
        balancer.stop()
        listener.close()
    row = {"what": "kills (G5)", "times": options.kills, "served": sum(len(one.served) for one in knockers),
           "refused": sum(one.refused for one in knockers), "lost": sum(one.lost for one in knockers),
           "longest_gap_s": round(max(gaps, default=0.0), 3)}
    row["holds"] = (row["refused"] == 0 and row["lost"] <= options.kills * len(knockers)
                    and row["longest_gap_s"] <= options.gap)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rate", type=int, default=2200)
    parser.add_argument("--reloads", type=int, default=100)
    parser.add_argument("--upgrades", type=int, default=20)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--gap", type=float, default=1.0, help="seconds until full service after a kill")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for name, times, run in [
            ("reloads (G3)", options.reloads, lambda f: under_load(options, f, "reloads (G3)", options.reloads, reload)),
            ("upgrades (G4)", options.upgrades, lambda f: under_load(options, f, "upgrades (G4)", options.upgrades, upgrade)),
            ("kills (G5)", options.kills, lambda f: kills(options, f))]:
        if times == 0:
            continue
        with tempfile.TemporaryDirectory(prefix="meridian-change-") as folder:
            rows.append(run(folder))
        row = rows[-1]
        print(json.dumps(row) if options.json else
              f"{'ok  ' if row['holds'] else 'FAIL'} {name}: " +
              ", ".join(f"{key} {value}" for key, value in row.items() if key not in ("what", "holds")), flush=True)
    held = sum(row["holds"] for row in rows)
    print(f"{held} passed, {len(rows) - held} failed")
    return 0 if held == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
