#!/usr/bin/env python3
"""Meridian, HAProxy (leastconn) and nginx (least_conn) before the same three sites of servers, side by side, in
the scenarios of geo_routing.py that all of them can express. The peers run twice: with all servers in one
group, which knows no place, and with one group for each region, whose other sites are backups. Each program
runs alone, on one worker. Latency is what the program's own access log says of each request plus the
distance between the client's city and the site that served it; a request is cross-region where another site
would have been nearer.

    geo_peers.py [--build DIR] [--seconds S] [--only steady,surge,…] [--json FILE]
"""
import argparse
import json
import os
import sys
import tempfile
import time

from proxies import program
from geo_predict import distance_ms
from geo_routing import CITIES, SITES, WARM, World, scenarios
from rig import Rig

SCENARIOS = "steady,surge,lost,slow,hole503,unlike"
NEAREST = {region: min(SITES, key=lambda site: sum(distance_ms(city[3:5], SITES[site]) for city in cities))
           for region, cities in CITIES.items()}
CLIENTS = {city[0].replace(".0/24", ".9"): city for cities in CITIES.values() for city in cities}

HAPROXY = """\
global
  nbthread 1
  maxconn 8000
  log stdout format raw local0
defaults
  mode http
  timeout connect 3s
  timeout client 60s
  timeout server 60s
  timeout queue 5s
  option http-keep-alive
  option redispatch
  http-reuse always
  default-server check inter 500ms fall 3 rise 2
frontend public
  bind 127.0.0.1:{door}
  log global
  capture request header X-Forwarded-For len 40
  log-format "%[capture.req.hdr(0)] %s %ST %Ta"
  use_backend %[req.hdr(X-Region)]
"""

NGINX = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections 16000; }}
http {{
  log_format peers '$http_x_forwarded_for $upstream_addr $status $request_time';
  access_log {log} peers buffer=64k flush=1s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000000;
{groups}
  server {{
    listen 127.0.0.1:{door} backlog=4096;
    location / {{
      proxy_pass http://$http_x_region; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
  }}
}}
"""


class PeerWorld(World):
    """One contender before the servers; its access log goes to a file."""

    def __init__(self, rig, folder, shape, contender):
        self.kind, self.near = contender
        self.log = os.path.join(folder, "access.log")
        super().__init__(rig, folder, shape)

    def site_of(self, backend):
        """Of a name such as fra-1, or 127.0.0.1:PORT."""
        if ":" not in backend:
            return backend.split("-")[0]
        port = int(backend.rsplit(":", 1)[1])
        return next((site for site, ports in self.ports.items() if port in ports), None)

    def servers(self, region):
        """(name, port, whether only a backup) of all servers, for the clients of a region."""
        return [(f"{site}-{i}", port, self.near and site != NEAREST[region])
                for site, ports in self.ports.items() for i, port in enumerate(ports)]

    def config(self, i, database):
        config = super().config(i, database)
        return {**config, "workers": 1, "log": {"access": {"path": self.log}}}

    def haproxy(self):
        text = HAPROXY.format(door=self.doors[0])
        for region in CITIES:
            text += f"backend {region}\n  balance leastconn\n  option httpchk GET /healthz\n  option allbackups\n"
            text += "".join(f"  server {name} 127.0.0.1:{port}{' backup' if backup else ''}\n"
                            for name, port, backup in self.servers(region))
        return text

    def nginx(self):
        groups = ""
        for region in CITIES:
            groups += f"  upstream {region} {{ least_conn; keepalive 512; keepalive_requests 1000000000;\n"
            groups += "".join(f"    server 127.0.0.1:{port} max_fails=3 fail_timeout=5s{' backup' if backup else ''};\n"
                              for _, port, backup in self.servers(region))
            groups += "  }\n"
        return NGINX.format(folder=self.folder, log=self.log, door=self.doors[0], groups=groups)

    def start_balancer(self, i, database):
        self.stderr = os.path.join(self.folder, "stderr" if self.kind != "meridian" else f"stderr-{i}")
        self.balancer = super().start_balancer(i, database) if self.kind == "meridian" else self.start_peer()
        return self.balancer

    def start_peer(self):
        path = os.path.join(self.folder, "peer.conf")
        with open(path, "w") as file:
            file.write(self.haproxy() if self.kind == "haproxy" else self.nginx())
        command = ["-db", "-f", path] if self.kind == "haproxy" else ["-c", path, "-p", self.folder]
        return self.rig.start([program(self.kind), *command], stdout=open(self.log if self.kind == "haproxy" else os.devnull, "wb"),
                              stderr=open(self.stderr, "wb"))

    def write_paths(self, region):
        path = os.path.join(self.folder, region)
        with open(path, "w") as file:
            for city in CITIES[region]:
                file.write(f"/\tX-Forwarded-For: {city[0].replace('.0/24', '.9')}\tX-Region: {region}\n")
        return path

    def read_log(self, skip):
        """(client, site or None, status, ms) of each request after the first `skip` bytes, and the log's length."""
        rows = []
        with open(self.log, "rb") as file:
            file.seek(skip)
            data = file.read()
        for line in data.decode("latin-1").splitlines():
            rows.append(self.read_json(line) if self.kind == "meridian" else self.read_words(line))
        return [row for row in rows if row and row[0] in CLIENTS], skip + len(data)

    def read_json(self, line):
        row = json.loads(line)
        return row.get("client"), row.get("site"), row["status"], 1000 * row["total"]

    def read_words(self, line):
        words = line.replace(", ", ",").split()
        if len(words) != 4:
            return None
        client, backend, status, spent = words
        site = self.site_of(backend.split(",")[-1])
        return client, site, int(status), float(spent) * (1 if self.kind == "haproxy" else 1000)


def figures(rows, warm):
    """Of the rows after a share of them that is warming up."""
    rows = rows[int(len(rows) * warm):]
    told, cross, failed = [], 0, 0
    for client, site, status, spent in rows:
        if status >= 400 or site not in SITES:
            failed += 1
            continue
        distances = {name: distance_ms(CLIENTS[client][3:5], place) for name, place in SITES.items()}
        told.append(spent + distances[site])
        cross += distances[site] > min(distances.values())
    told.sort()
    count = len(told) or 1
    return {"requests": len(rows), "p50": told[count // 2] if told else 0, "p99": told[count * 99 // 100] if told else 0,
            "cross": 100 * cross / count, "failed": 100 * failed / (len(rows) or 1)}


def run(scenario, contender, options):
    """The figures of each phase."""
    found, gone, at = [], (), 0
    with tempfile.TemporaryDirectory(prefix="meridian-peers-") as folder, Rig(options.build) as rig:
        world = PeerWorld(rig, folder, scenario.shape, contender)
        for what, demand, lost in scenario.phases:
            for site in gone:
                world.bring_back(site)
            for site in lost:
                world.lose(site)
            gone = lost
            _, at = world.read_log(at)
            reports = world.phase(demand, options.seconds)
            time.sleep(1.5)  # for the log's buffers
            rows, at = world.read_log(at)
            told = figures(rows, WARM / options.seconds)
            told["client_errors"] = sum(report["failed"] for report in reports.values())
            found.append({"phase": what, **told})
            check_log(what, len(rows), reports, world)
    return found


def check_log(what, logged, reports, world):
    """Figures of a log that lacks a tenth of the requests say nothing: says what is known of the cause."""
    answered = sum(report["completed"] for report in reports.values())
    if logged >= 0.9 * answered and answered > 0:
        return
    errors = {region: report["errors"] for region, report in reports.items()}
    with open(world.stderr, errors="replace") as file:
        said = file.read()[-2000:]
    ended = world.balancer.poll()
    raise SystemExit(f"{world.kind}, {what}: its log has {logged} requests, clients had {answered} answers; their errors: "
                     f"{errors}; it {'runs' if ended is None else f'ended with {ended}'} and says: {said}")


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(root, "build", "release"))
    parser.add_argument("--seconds", type=float, default=10, help="of each phase")
    parser.add_argument("--only", default=SCENARIOS)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    contenders = {"Meridian": ("meridian", False)}
    for kind, title in (("haproxy", "HAProxy leastconn"), ("nginx", "nginx least_conn")):
        if program(kind):
            contenders[f"{title}, one group"] = (kind, False)
            contenders[f"{title}, by region"] = (kind, True)
        else:
            print(f"{kind} is not installed: left out")
    document = {}
    for name in options.only.split(","):
        scenario = scenarios()[name]
        document[name] = {title: run(scenario, contender, options) for title, contender in contenders.items()}
        for i, (what, _, _) in enumerate(scenario.phases):
            print(f"{name}: {what}")
            print(f"    {'':30} {'requests':>8} {'p50 ms':>8} {'p99 ms':>8} {'cross-region':>12} {'failed':>8}")
            for title, phases in document[name].items():
                row = phases[i]
                print(f"    {title:30} {row['requests']:8} {row['p50']:8.1f} {row['p99']:8.1f} {row['cross']:10.1f} % "
                      f"{row['failed']:6.2f} %")
            sys.stdout.flush()
    if options.json:
        with open(options.json, "w") as file:
            json.dump(document, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
