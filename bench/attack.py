#!/usr/bin/env python3
"""The same attacks on Meridian, HAProxy and nginx in one run (docs/reliability.md: G9, G10, G11): what legal traffic notices,
what the attack costs the proxy, and how soon the attackers are gone.

    attack.py [--build DIR] [--only NAMES] [--attacks NAMES] [--connections N] [--rounds N] [--short] [--json FILE]

Slow attacks hold N connections (10,000), in clear and, those named tls-..., over TLS with a handshake each; floods use a
few HTTP/2 connections as fast as they can. Legal traffic is 300
requests a second on its own connections, which are there before the attack: first without and then with it. While the
slow ones connect only failures are counted. Attacks come in rounds, and the medians of the 99th percentiles are shown:
one moment in which the machine does something else makes a bad one. One worker each, pinned to one
CPU; everything else on another. Time-outs of the peers are set to those of Meridian. Ratios within one run count.
"""
import argparse
import json
import os
import resource
import select
import socket
import ssl
import statistics
import struct
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import proxies
from rig import Rig, certificate, cpu_seconds, family, free_ports, wait_port

SLOW = {  # name: (what each connection says first, what it adds every second, what it is)
    "slow-head": (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ", b"a", "a byte of the head every second"),
    "slow-body": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\na", b"a",
                  "a byte of the content every second"),
    "slow-read": (b"GET /bytes/1048576 HTTP/1.1\r\nHost: a\r\n\r\n", b"", "asks for 1 MiB and reads nothing"),
    "silent": (b"", b"", "says nothing"),
}
SLOW.update({f"tls-{name}": (begin, more, what + ", over TLS") for name, (begin, more, what) in list(SLOW.items())})
BATCH = 200  # connections that are opened side by side
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = b"\x82\x87\x04\x01/\x01\x09localhost"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


FLOODS = {  # name: (the bytes of round n, what it is)
    "reset": (lambda n: frame(1, 5, 2 * n + 1, HEAD) + frame(3, 0, 2 * n + 1, struct.pack(">I", 8)),
              "asks and resets at once"),
    "ping": (lambda n: frame(6, 0, 0, b"are you?"), "PING"),
    "settings": (lambda n: frame(4, 0, 0), "SETTINGS"),
    "continuation": (lambda n: frame(9, 0, 1, b"\x00\x01a\x01b" * 100) if n else frame(1, 1, 1, HEAD),
                     "a header block that never ends"),
    "empty": (lambda n: frame(0, 0, 1) if n else frame(1, 4, 1, HEAD), "DATA frames without data"),
}
RATE = {"plain": 2000, "tls": 400}  # connections of slow attackers that are there after a second
LEGAL = ("--connections", 16, "--open-all", "--rate", 300)


def tune(descriptors):
    """The peers get Meridian's bounds in time, and enough connections."""
    proxies.HAPROXY = (proxies.HAPROXY.replace("maxconn 8000", f"maxconn {descriptors // 2 - 200}")
                       .replace("option http-keep-alive", "option http-keep-alive\n  timeout http-request 10s")
                       .replace("timeout client 60s", "timeout client 30s"))
    proxies.NGINX = proxies.NGINX.replace(
        "tcp_nodelay on;", "tcp_nodelay on; client_header_timeout 10s; client_body_timeout 30s; send_timeout 30s;")


def rss_kib(pid):
    total = 0
    for one in family(pid):
        with open(f"/proc/{one}/status", encoding="ascii") as status:
            total += next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    return total


def trusting(*protocols):
    """A client's TLS that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(protocols)
    return context


class Crowd:
    """Many slow connections in this process, driven by hand."""

    def __init__(self, port, tls, count, begin, more):
        self.port, self.tls = port, trusting("http/1.1") if tls else None
        self.begin, self.more, self.poll, self.sockets = begin, more, select.epoll(), {}
        self.asked = 0
        self.lost_at = []
        for first in range(0, count, BATCH):
            self.open(range(first, min(first + BATCH, count)))
            self.turn(0)
        self.begun = time.monotonic()

    def open(self, numbers):
        """Connects, shakes hands where that is asked, and says how it begins."""
        opening = [one for one in map(self.connect, numbers) if one]
        end = time.monotonic() + 20
        while opening and time.monotonic() < end:
            opening = [one for one in opening if not self.settle(one)]
        for one in opening:
            one.close()

    def connect(self, number):
        one = socket.socket()
        if not self.more and self.begin:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(20)
        try:
            one.bind((f"127.0.{1 + number // 500}.{1 + number % 250}", 0))
            one.connect(("127.0.0.1", self.port))
            one.setblocking(False)
            return self.tls.wrap_socket(one, do_handshake_on_connect=False) if self.tls else one
        except OSError:
            one.close()
            return None

    def settle(self, one):
        """Whether nothing is left to do for this one: it stands, or is gone."""
        try:
            if self.tls:
                one.do_handshake()
            one.sendall(self.begin)
        except ssl.SSLWantReadError:
            return False
        except OSError:
            one.close()
            return True
        self.poll.register(one, select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR)
        self.sockets[one.fileno()] = one
        self.asked += 1
        return True

    def turn(self, seconds):
        """Notices who has been thrown out, and says one more byte on all others."""
        end = time.monotonic() + seconds
        while True:
            for number, _ in self.poll.poll(max(end - time.monotonic(), 0), 10000):
                self.sockets.pop(number).close()
                self.lost_at.append(time.monotonic())
            if time.monotonic() >= end:
                break
        for one in list(self.sockets.values()) if self.more else ():
            try:
                one.send(self.more)
            except OSError:
                pass

    def last_for(self, most):
        """Seconds until 99 % of them were gone, or None."""
        while time.monotonic() - self.begun < most and len(self.sockets) > self.asked / 100:
            self.turn(1)
        gone = sorted(self.lost_at)[: int(self.asked * 0.99)]
        return round(gone[-1] - self.begun, 1) if len(self.sockets) <= self.asked / 100 and gone else None

    def close(self):
        for one in self.sockets.values():
            one.close()


def flood(port, make, seconds):
    """One connection after the other, each flooded until it is ended. (connections, MiB sent)"""
    context = trusting("h2")
    connections, sent, end = 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        connections += 1
        try:
            with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 5), server_hostname="a") as one:
                one.sendall(PREFACE + frame(4, 0, 0))
                number = 0
                while time.monotonic() < end:
                    data = b"".join(make(n) for n in range(number, number + 50))
                    number += 50
                    one.sendall(data)
                    sent += len(data)
        except OSError:
            pass
    return connections, sent / (1 << 20)


def be_modest(cpu):
    """The calling thread takes only what the legal clients and the server leave of their CPU: attackers have machines of
    their own, and the CPU time that they take here would be seen as the proxy's latency."""
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def figures(report):
    """The 99th percentile in ms, and what failed."""
    return report["latency_ms"]["p99"], report["failed"]


def legal(rig, url, seconds):
    return figures(rig.load_report(rig.load_begin(url, "--seconds", seconds, "--warm", 0.5, *LEGAL, cpu=rig.other_cpu)))


def attack_slowly(do, rig, proxy, name, options):
    """What legal traffic saw beside it; and who was held, what it took, when they were gone."""
    tls = name.startswith("tls-")
    rss = rss_kib(proxy.process.pid)
    warm = options.connections / RATE["tls" if tls else "plain"]
    load = rig.load_begin(f"http://127.0.0.1:{proxy.plain}/", "--seconds", options.seconds + warm, "--warm", warm, *LEGAL,
                          cpu=rig.other_cpu)
    time.sleep(0.5)
    crowd = do(Crowd, proxy.tls if tls else proxy.plain, tls, options.connections, *SLOW[name][:2])
    while load.poll() is None:
        do(crowd.turn, 0.5)
    result = {"held": len(crowd.sockets), "connections": crowd.asked, "rss_mib": (rss_kib(proxy.process.pid) - rss) / 1024,
              "gone_s": do(crowd.last_for, options.patience)}
    do(crowd.close)
    return figures(rig.load_report(load)), result


def attack_fast(do, rig, proxy, name, options):
    """The same of a flood."""
    rss = rss_kib(proxy.process.pid)
    load = rig.load_begin(f"http://127.0.0.1:{proxy.plain}/", "--seconds", options.seconds, "--warm", 0.5, *LEGAL,
                          cpu=rig.other_cpu)
    connections, sent = do(flood, proxy.tls, FLOODS[name][0], options.seconds)
    return figures(rig.load_report(load)), {"connections": connections, "sent_mib": sent,
                                            "rss_mib": (rss_kib(proxy.process.pid) - rss) / 1024}


def together(quiet, attacked, results):
    """Of all rounds: the median of what is a time of many requests, the sum of what failed, the worst of the rest."""
    before, beside = (statistics.median(p99 for p99, _ in some) for some in (quiet, attacked))
    worst = {key: max(one[key] for one in results) for key in results[0] if key != "gone_s"}
    gone = [one["gone_s"] for one in results if "gone_s" in one]
    return {**worst, **({"gone_s": None if None in gone else max(gone)} if gone else {}), "quiet_p99_ms": before,
            "p99_ms": beside, "p99_ratio": beside / max(before, 0.001), "failed": sum(bad for _, bad in quiet + attacked)}


def attack(rig, proxy, name, options):
    quiet, attacked, results = [], [], []
    with ThreadPoolExecutor(1, initializer=be_modest, initargs=(rig.other_cpu,)) as attacker:
        def do(work, *arguments):
            return attacker.submit(work, *arguments).result()
        for _ in range(options.rounds):
            quiet.append(legal(rig, f"http://127.0.0.1:{proxy.plain}/", options.seconds))
            cpu = cpu_seconds(proxy.process.pid)[0]
            seen, result = (attack_slowly if name in SLOW else attack_fast)(do, rig, proxy, name, options)
            attacked.append(seen)
            results.append({**result, "cpu_s": cpu_seconds(proxy.process.pid)[0] - cpu})
            time.sleep(1)
    return together(quiet, attacked, results)


def show(name, results):
    what = SLOW[name][2] if name in SLOW else FLOODS[name][1]
    print(f"\n{name}: {what}")
    print(f"{'':10}{'p99 quiet':>10}{'attacked':>10}{'ratio':>7}{'failed':>8}{'CPU s':>8}{'RSS MiB':>9}{'conn.':>8}{'held':>8}"
          f"{'gone s':>8}")
    for who, one in results.items():
        held = one.get("held", "")
        gone = "" if "held" not in one else "stays" if one["gone_s"] is None else one["gone_s"]
        print(f"{who:10}{one['quiet_p99_ms']:10.2f}{one['p99_ms']:10.2f}{one['p99_ratio']:7.1f}{one['failed']:8d}"
              f"{one['cpu_s']:8.2f}{one['rss_mib']:9.1f}{one['connections']:8d}{held:>8}{gone:>8}", flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--build", default=os.path.join(root, "build", "release"))
    parser.add_argument("--only", default="meridian,haproxy,nginx")
    parser.add_argument("--attacks", default=",".join([*SLOW, *FLOODS]))
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--patience", type=float, default=15, help="seconds that attackers are waited for")
    parser.add_argument("--short", action="store_true", help="1,000 connections, 2 seconds and one round")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if options.short:
        options.connections, options.seconds, options.patience, options.rounds = 1000, 2, 14, 1
    options.attacks = options.attacks.split(",")
    return options


def main():
    options = parse()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    options.connections = min(options.connections, (most - 2000) // 2)
    tune(most)
    document = {}
    for name in options.attacks:
        results = {}
        for who in proxies.available(options.only.split(","), options.build):
            # A fresh process for each: what one attack left behind is not the next one's.
            with tempfile.TemporaryDirectory(prefix="meridian-attack-") as folder, Rig(options.build) as rig:
                chain, key, both = certificate(folder)
                origin, = free_ports(1)
                rig.origin("--port", origin, cpu=rig.other_cpu)
                wait_port(origin)
                values = {"origins": [origin], "chain": chain, "key": key, "both": both, "folder": folder}
                results[who] = attack(rig, proxies.Proxy(rig, who, values), name, options)
        show(name, results)
        document[name] = results
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
    mine = [one["meridian"] for one in document.values() if "meridian" in one]
    failed = sum(one["failed"] for one in mine)
    print(f"\nMeridian: {failed} legal requests failed; worst p99 ratio "
          f"{max((one['p99_ratio'] for one in mine), default=0):.1f}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
