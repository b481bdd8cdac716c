#!/usr/bin/env python3
"""Resident memory of idle connections, each after one request: plain and TLS 1.3 keep-alive, HTTP/2 over TLS.
The difference between many connections and a warm base of some, divided by their number, against the bounds
of the goals (L19); and HTTP/2 connections with 100 requests under way, which wait for the server, or whose client takes nothing,
against L18. Fails where Meridian is above a bound.

    memory.py [--build DIR] [--connections N] [--peers]      --peers: nginx and HAProxy beside it
"""
import argparse
import os
import shutil
import socket
import ssl
import struct
import tempfile
import time

from rig import Rig, certificate, family, free_ports, wait_port

BOUNDS = {"plain": 4.0, "tls": 32.0, "h2": 48.0}  # KiB
BUSY = {"100 that wait": "/delay/20000", "100 stalled": "/bytes/1048576"}
BUSY_BOUND, BUSY_COUNT = 4096.0, 10
BASE = 200
REQUEST = b"GET /bytes/100 HTTP/1.1\r\nHost: localhost\r\n\r\n"


def resident(pid):
    """KiB of the process and its children."""
    total = 0
    for one in family(pid):
        try:
            with open(f"/proc/{one}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Rss:"))
        except OSError:  # it has just ended
            continue
    return total


def settled(pid):
    """What it holds once it stops changing."""
    last = resident(pid)
    for _ in range(20):
        time.sleep(0.3)
        now = resident(pid)
        if abs(now - last) < 16:
            return now
        last = now
    return last


def tls_context(alpn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(alpn)
    return context


def ask_h1(connection):
    connection.sendall(REQUEST)
    data = b""
    while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < 100:
        more = connection.recv(4096)
        if not more:
            raise SystemExit(f"the connection ended: {data!r}")
        data += more


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise SystemExit("the connection ended")
        data += more
    return data


def ask_h2(connection):
    """One request on stream 1: the static table's GET, https, and two literals."""
    head = b"\x82\x87" + b"\x04\x0a/bytes/100" + b"\x01\x09localhost"
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 5, 1, head))
    while True:
        length, kind, flags = struct.unpack(">I", b"\0" + exactly(connection, 3))[0], *exactly(connection, 2)
        exactly(connection, 4 + length)
        if kind == 4 and not flags & 1:
            connection.sendall(frame(4, 1, 0, b""))
        if kind in (0, 1) and flags & 1:
            return


def ask_many(connection, path):
    """100 requests, and no window for the answers."""
    head = b"\x82\x87" + b"\x04" + bytes([len(path)]) + path.encode() + b"\x01\x09localhost"
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, struct.pack(">HI", 4, 0))
                       + b"".join(frame(1, 5, 2 * turn + 1, head) for turn in range(100)))
    time.sleep(0.2)


def measure_busy(pid, port, path):
    """KiB a connection with 100 requests under way."""
    def open_all(count):
        connections = []
        for _ in range(count):
            connection = tls_context(["h2"]).wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20))
            ask_many(connection, path)
            connections.append(connection)
        return connections
    warm = open_all(2)
    before = settled(pid)
    more = open_all(BUSY_COUNT)
    after = settled(pid)
    for connection in warm + more:
        connection.close()
    return (after - before) / BUSY_COUNT


def connect(port, how, context):
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    if how != "plain":
        connection = context.wrap_socket(connection, server_hostname="localhost")
    (ask_h2 if how == "h2" else ask_h1)(connection)
    return connection


def measure(pid, port, how, count):
    """KiB a connection."""
    context = tls_context(["h2"] if how == "h2" else ["http/1.1"]) if how != "plain" else None
    connections = [connect(port, how, context) for _ in range(BASE)]
    before = settled(pid)
    connections += [connect(port, how, context) for _ in range(count)]
    after = settled(pid)
    for connection in connections:
        connection.close()
    time.sleep(1)
    return (after - before) / count


def meridian(rig, folder, ports, origin):
    chain, key, _ = certificate(folder)
    path = os.path.join(folder, "meridian.yaml")
    with open(path, "w") as file:
        file.write(f"""workers: 1
timeouts: {{idle: 10m}}
limits: {{connections_per_source: 20000, backend_connections: 4000}}
admin: {{socket: {folder}/control.sock, http: off}}
log: {{level: error, access: {{path: "off"}}}}
listeners:
  plain: {{bind: "127.0.0.1:{ports[0]}"}}
  tls: {{bind: "127.0.0.1:{ports[1]}", tls: {{certificates: [{{chain: {chain}, key: {key}}}]}}}}
pools: {{api: {{backends: {{one: {{address: "127.0.0.1:{origin}"}}}}}}}}
routes: [{{pool: api}}]
""")
    return rig.start([rig.tool("meridian"), "-c", path])


def nginx(rig, folder, ports, origin):
    chain, key, _ = certificate(folder)
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w") as file:
        file.write(f"""daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 20000; }}
http {{ access_log off; keepalive_timeout 600; keepalive_requests 1000000;
  upstream api {{ server 127.0.0.1:{origin}; keepalive 16; }}
  server {{ listen 127.0.0.1:{ports[0]}; listen 127.0.0.1:{ports[1]} ssl http2; ssl_certificate {chain};
    ssl_certificate_key {key}; ssl_protocols TLSv1.3; location / {{ proxy_pass http://api; proxy_http_version 1.1;
    proxy_set_header Connection ""; }} }} }}
""")
    return rig.start([shutil.which("nginx"), "-c", path, "-p", folder])


def haproxy(rig, folder, ports, origin):
    _, _, both = certificate(folder)
    path = os.path.join(folder, "haproxy.cfg")
    with open(path, "w") as file:
        file.write(f"""global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout client 600s
  timeout http-keep-alive 600s
  timeout server 60s
  timeout connect 5s
frontend f
  bind 127.0.0.1:{ports[0]}
  bind 127.0.0.1:{ports[1]} ssl crt {both} alpn h2,http/1.1 ssl-min-ver TLSv1.3
  default_backend b
backend b
  server one 127.0.0.1:{origin}
""")
    return rig.start([shutil.which("haproxy"), "-db", "-f", path])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--peers", action="store_true")
    options = parser.parse_args()
    programs = {"Meridian": meridian}
    if options.peers:
        programs |= {name: start for name, start in [("nginx", nginx), ("HAProxy", haproxy)]
                     if shutil.which(name.lower())}
    good = True

    def with_proxy(start, figure):
        with Rig(options.build) as rig, tempfile.TemporaryDirectory(prefix="memory-") as folder:
            origin, *ports = free_ports(3)
            rig.origin("--port", origin)
            wait_port(origin)
            process = start(rig, folder, ports, origin)
            wait_port(ports[0], process)
            return figure(process.pid, ports)
    print(f"{'KiB a connection':<18}{'plain':>8}{'TLS':>8}{'h2+TLS':>8}")
    for name, start in programs.items():
        row = []
        for how, bound in BOUNDS.items():  # each on a fresh process
            kib = with_proxy(start, lambda pid, ports: measure(pid, ports[0] if how == "plain" else ports[1], how,
                                                               options.connections))
            row.append(kib)
            good = good and (name != "Meridian" or kib <= bound)
        print(f"{name:<18}" + "".join(f"{kib:>8.1f}" for kib in row), flush=True)
    print(f"{'bound (L19)':<18}" + "".join(f"{bound:>8.1f}" for bound in BOUNDS.values()))
    for name, path in BUSY.items():
        kib = with_proxy(meridian, lambda pid, ports: measure_busy(pid, ports[1], path))
        good = good and kib <= BUSY_BOUND
        print(f"an HTTP/2 connection of Meridian with {name}: {kib:.0f} KiB, bound (L18, G11) {BUSY_BOUND:.0f}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
