#!/usr/bin/env python3
"""Meridian, HAProxy and nginx on the same work, side by side: CPU time per request and requests per
second, in interleaved rounds, as ratios to the better of the two peers.

    compare.py [--build DIR] [--only NAMES] [--scenarios NAMES] [--rounds N] [--seconds S] [--short]
               [--connections N] [--json FILE]

One worker each, pinned to one CPU; origin and load generator share another. `floor` is a yardstick that
only frames and copies. Absolute figures hold for one machine; ratios within one run are what counts.
"""
import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile

from rig import Rig, certificate, cpu_seconds, free_ports, wait_port

PEERS = ("haproxy", "nginx")
SCENARIOS = {  # name: (TLS, path, bytes of the answer, options of the load tool, what it is)
    "plain": (False, "/", 1024, (), "HTTP/1.1, 1 KB, keep-alive"),
    "tls": (True, "/", 1024, (), "TLS 1.3, HTTP/1.1, 1 KB, keep-alive"),
    "plain-64k": (False, "/bytes/65536", 65536, (), "HTTP/1.1, 64 KB, keep-alive"),
    "tls-64k": (True, "/bytes/65536", 65536, (), "TLS 1.3, 64 KB, keep-alive"),
    "plain-1m": (False, "/bytes/1048576", 1048576, (), "HTTP/1.1, 1 MB, keep-alive"),
    "plain-fresh": (False, "/", 1024, ("--fresh",), "HTTP/1.1, a new connection for each request"),
    "tls-fresh": (True, "/", 1024, ("--fresh",), "TLS 1.3, a full handshake for each request"),
    "tls-resumed": (True, "/", 1024, ("--fresh", "--resume"), "TLS 1.3, a resumed handshake for each request"),
}

HAPROXY = """\
global
  nbthread 1
  maxconn 4000
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
defaults
  mode http
  timeout connect 3s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
frontend plain
  bind 127.0.0.1:{plain}
  default_backend api
frontend secure
  bind 127.0.0.1:{tls} ssl crt {both} alpn http/1.1
  default_backend api
backend api
  balance leastconn
  option forwardfor
  server one 127.0.0.1:{origin}
"""

NGINX = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections 8000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  upstream api {{ least_conn; server 127.0.0.1:{origin}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{plain} backlog=4096;
    listen 127.0.0.1:{tls} ssl backlog=4096;
    ssl_certificate {chain}; ssl_certificate_key {key};
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    ssl_session_tickets on;
    location / {{
      proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header Host $http_host;
    }}
  }}
}}
"""


def meridian_config(values):
    return json.dumps({
        "workers": 1,
        "listeners": {
            "plain": {"bind": f"127.0.0.1:{values['plain']}"},
            "secure": {"bind": f"127.0.0.1:{values['tls']}",
                       "tls": {"certificates": [{"chain": values["chain"], "key": values["key"]}]}}},
        "pools": {"api": {"backends": {"one": {"address": f"127.0.0.1:{values['origin']}"}}}},
        "routes": [{"pool": "api"}],
        "limits": {"connections_per_source": 20000},
        "log": {"access": {"path": "off"}},
        "admin": {"http": "off", "socket": os.path.join(values["folder"], "control.sock")},
        "state": values["folder"]}, indent=1)


class Proxy:
    """One of the programs compared: its ports and its process."""

    def __init__(self, rig, name, values):
        self.name = name
        self.plain, self.tls = free_ports(2)
        folder = os.path.join(values["folder"], name)
        os.makedirs(folder)
        values = {**values, "plain": self.plain, "tls": self.tls, "folder": folder}
        self.process = rig.start(self.command(rig, values, folder), rig.proxy_cpu, stdout=subprocess_null(),
                                 stderr=open(os.path.join(folder, "stderr"), "wb"),
                                 env={**os.environ, "RUNTIME_DIRECTORY": folder, "STATE_DIRECTORY": folder})
        wait_port(self.plain, self.process)

    def command(self, rig, values, folder):
        texts = {"haproxy": HAPROXY, "nginx": NGINX}
        path = os.path.join(folder, "config")
        if self.name == "floor":
            self.tls = None
            return [rig.tool("bench/floor"), str(self.plain), str(values["origin"])]
        with open(path, "w") as file:
            file.write(texts[self.name].format(**values) if self.name in texts else meridian_config(values))
        if self.name == "haproxy":
            return [program("haproxy"), "-db", "-f", path]
        if self.name == "nginx":
            return [program("nginx"), "-c", path, "-p", folder]
        return [rig.tool("meridian"), "-c", path]


def subprocess_null():
    return open(os.devnull, "wb")


def program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def available(names, build):
    places = {"haproxy": program("haproxy"), "nginx": program("nginx")}
    found = []
    for name in names:
        path = places.get(name) or os.path.join(build, "bench/floor" if name == "floor" else name)
        if os.access(path, os.X_OK):
            found.append(name)
        else:
            print(f"{name} is not here and left out", file=sys.stderr)
    return found


def measure(rig, proxy, scenario, options):
    """One round of one proxy."""
    tls, path, size, more, _ = SCENARIOS[scenario]
    port = proxy.tls if tls else proxy.plain
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}{path}"
    common = ["--connections", options.connections, "--expect-bytes", size, *more]
    rig.load(url, "--seconds", 0.3, *common, cpu=rig.other_cpu)
    before = cpu_seconds(proxy.process.pid)
    report = rig.load(url, "--seconds", options.seconds, *common, cpu=rig.other_cpu)
    after = cpu_seconds(proxy.process.pid)
    done = max(report["completed"], 1)
    total, user, system = (1e6 * (late - early) / done for late, early in zip(after, before))
    return {"cpu_us": total, "user_us": user, "system_us": system, "per_second": report["requests_per_second"],
            "p50_ms": report["latency_ms"]["p50"], "p99_ms": report["latency_ms"]["p99"], "failed": report["failed"],
            "completed": report["completed"]}


def median_of(rounds):
    result = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
    result["failed"] = sum(one["failed"] for one in rounds)
    result["spread"] = (max(one["cpu_us"] for one in rounds) - min(one["cpu_us"] for one in rounds)) / (
        result["cpu_us"] or 1)
    return result


def with_ratios(results):
    """Adds each one's ratio to the better peer: CPU below 1 is better, requests per second above 1."""
    peers = [results[name] for name in PEERS if name in results]
    for result in results.values():
        if peers:
            result["cpu_ratio"] = result["cpu_us"] / min(peer["cpu_us"] for peer in peers)
            result["rate_ratio"] = result["per_second"] / max(peer["per_second"] for peer in peers)
    return results


def print_table(scenario, results):
    print(f"\n{scenario}: {SCENARIOS[scenario][4]}")
    print(f"{'':10} {'CPU us/req':>10} {'user+sys':>13} {'spread':>7} {'ratio':>6} {'req/s':>9} {'ratio':>6} {'p50 ms':>7} "
          f"{'p99 ms':>7} {'failed':>6}")
    for name, one in results.items():
        print(f"{name:10} {one['cpu_us']:10.2f} {one['user_us']:6.2f}+{one['system_us']:<6.2f} {one['spread']:7.0%} "
              f"{one.get('cpu_ratio', 0):6.2f} {one['per_second']:9.0f} {one.get('rate_ratio', 0):6.2f} "
              f"{one['p50_ms']:7.2f} {one['p99_ms']:7.2f} {one['failed']:6d}")
    sys.stdout.flush()


def compare(rig, names, options, folder):
    chain, key, both = certificate(folder)
    origin_port, = free_ports(1)
    rig.origin("--port", origin_port, cpu=rig.other_cpu)
    wait_port(origin_port)
    values = {"origin": origin_port, "chain": chain, "key": key, "both": both, "folder": folder}
    proxies = [Proxy(rig, name, values) for name in names]
    document = {}
    for scenario in options.scenarios:
        able = [proxy for proxy in proxies if proxy.tls or not SCENARIOS[scenario][0]]
        rounds = {proxy.name: [] for proxy in able}
        for turn in range(options.rounds):
            for proxy in able[turn % len(able):] + able[:turn % len(able)]:
                rounds[proxy.name].append(measure(rig, proxy, scenario, options))
        results = with_ratios({name: median_of(each) for name, each in rounds.items()})
        print_table(scenario, results)
        document[scenario] = results
    return document


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--build", default=os.path.join(root, "build", "release"))
    parser.add_argument("--only", default="floor,meridian,haproxy,nginx", help="a list of names")
    parser.add_argument("--scenarios", default="plain,tls", help=", ".join(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--short", action="store_true", help="3 rounds of 1.5 seconds")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if options.short:
        options.rounds, options.seconds = 3, 1.5
    options.scenarios = options.scenarios.split(",")
    for scenario in options.scenarios:
        if scenario not in SCENARIOS:
            parser.error(f"no scenario {scenario}; there are {', '.join(SCENARIOS)}")
    return options


def main():
    options = parse()
    names = available(options.only.split(","), options.build)
    if not names:
        raise SystemExit("none of the programs is here")
    with tempfile.TemporaryDirectory(prefix="meridian-compare-") as folder, Rig(options.build) as rig:
        if rig.proxy_cpu == rig.other_cpu:
            print("only one CPU: proxy, origin and load share it", file=sys.stderr)
        document = compare(rig, names, options, folder)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(document, file, indent=1)
    failed = sum(one["failed"] for results in document.values() for one in results.values())
    if failed:
        raise SystemExit(f"{failed} requests failed")


if __name__ == "__main__":
    main()
