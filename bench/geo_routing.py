#!/usr/bin/env python3
"""Geographic routing with the real balancer: clients in twelve cities, three regions, backends that take
their time and have only so many slots. Three scenarios: a steady state, one region's surge to three times
its demand, a region lost and back. Prints where requests went, how far, and what BALANCING.md predicts;
fails where a share is more than 5 points off or any request fails.

    geo_routing.py [--build DIR] [--seconds S] [--only steady,surge,lost] [--json FILE]
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

from geo_predict import Simulation, distance_ms
from rig import Rig, free_ports, wait_port

SITES = {"fra": (50.11, 8.68), "iad": (39.04, -77.49), "sin": (1.35, 103.82)}
CITIES = {  # region: (address, country, continent, latitude, longitude, accuracy in km)
    "europe": [("5.1.0.0/24", "FR", "EU", 48.86, 2.35, 10), ("5.1.1.0/24", "ES", "EU", 40.42, -3.70, 20),
               ("5.1.2.0/24", "PL", "EU", 52.23, 21.01, 20), ("5.1.3.0/24", "KE", "AF", -1.29, 36.82, 100)],
    "america": [("5.2.0.0/24", "US", "NA", 40.71, -74.01, 20), ("5.2.1.0/24", "US", "NA", 34.05, -118.24, 20),
                ("5.2.2.0/24", "CA", "NA", 43.65, -79.38, 20), ("5.2.3.0/24", "BR", "SA", -23.55, -46.63, 50)],
    "asia": [("5.3.0.0/24", "JP", "AS", 35.68, 139.69, 5), ("5.3.1.0/24", "ID", "AS", -6.21, 106.85, 30),
             ("5.3.2.0/24", "IN", "AS", 19.08, 72.88, 50), ("5.3.3.0/24", "AU", "OC", -33.87, 151.21, 30)],
}
BACKENDS, SLOTS, SERVICE_MS = 2, 4, (15, 25)
CAPACITY = BACKENDS * SLOTS * 1000 / (sum(SERVICE_MS) / 2)  # requests per second of one site
POINTS, SEEDS, WARM = 5.0, 5, 3.0


def rates(share, surge=None):
    return {region: CAPACITY * share * (3 if region == surge else 1) for region in CITIES}


# name: [(what, demand, sites lost)], one phase after the other
SCENARIOS = {
    "steady": [("70 % of capacity everywhere", rates(0.7), ())],
    "surge": [("45 % everywhere", rates(0.45), ()), ("three times as much in Europe", rates(0.45, "europe"), ()),
              ("45 % again", rates(0.45), ())],
    "lost": [("35 % everywhere", rates(0.35), ()), ("Frankfurt is lost", rates(0.35), ("fra",)),
             ("Frankfurt is back", rates(0.35), ())],
}


class World:
    """The balancer before three sites of backends."""

    def __init__(self, rig, folder):
        self.rig, self.folder = rig, folder
        self.port, *ports = free_ports(1 + BACKENDS * len(SITES))
        self.ports = {site: ports[i * BACKENDS:(i + 1) * BACKENDS] for i, site in enumerate(SITES)}
        self.origins = {}
        for site in SITES:
            self.start_site(site)
        self.control = os.path.join(folder, "control.sock")
        path = os.path.join(folder, "meridian.yaml")
        with open(path, "w") as file:
            json.dump(self.config(), file, indent=1)
        self.process = rig.start([rig.tool("meridian"), "-c", path], stderr=open(os.path.join(folder, "stderr"), "wb"))
        wait_port(self.port, self.process)
        self.paths = {region: self.write_paths(region) for region in CITIES}

    def start_site(self, site):
        least, most = SERVICE_MS
        options = ["--name", site, "--delay-ms", least, "--delay-jitter", most - least, "--slots", SLOTS]
        for port in self.ports[site]:
            options += ["--port", port]
        self.origins[site] = self.rig.origin(*options)
        for port in self.ports[site]:
            wait_port(port)

    def database(self):
        rows, target = os.path.join(self.folder, "places.csv"), os.path.join(self.folder, "places.mmdb")
        with open(rows, "w") as file:
            for network, country, continent, lat, lon, accuracy in sum(CITIES.values(), []):
                file.write(f"{network},{country},{continent},,{lat},{lon},{accuracy}\n")
        subprocess.run([self.rig.tool("tests/tools/mmdb-write"), rows, target], check=True)
        return target

    def config(self):
        backends = {f"{site}-{i}": {"address": f"127.0.0.1:{port}", "site": site}
                    for site, ports in self.ports.items() for i, port in enumerate(ports)}
        return {
            "geo": {"databases": [self.database()]},
            "trusted_proxies": {"from": ["127.0.0.0/8"], "header": "x-forwarded-for"},
            "sites": {name: {"location": list(place)} for name, place in SITES.items()},
            "listeners": {"public": {"bind": f"127.0.0.1:{self.port}"}},
            "pools": {"api": {"backends": backends, "balance": {"slow_start": "0s"},
                              "health": {"http": {"path": "/healthz"}, "interval": "500ms", "timeout": "400ms"}}},
            "routes": [{"pool": "api"}],
            "log": {"access": {"path": "off"}},
            "admin": {"http": "off", "socket": self.control},
            "state": self.folder}

    def write_paths(self, region):
        path = os.path.join(self.folder, region)
        with open(path, "w") as file:
            for city in CITIES[region]:
                file.write(f"/\tX-Forwarded-For: {city[0].replace('.0/24', '.9')}\n")
        return path

    def lose(self, site):
        self.origins[site].kill()
        self.origins[site].wait()

    def bring_back(self, site):
        self.start_site(site)
        time.sleep(3)  # two good checks

    def phase(self, demand, seconds):
        """Runs all regions' clients at once; {region: report}."""
        running = {region: self.rig.load_begin(
            f"http://127.0.0.1:{self.port}/", "--rate", rate, "--seconds", seconds, "--warm", WARM, "--connections", 2000,
            "--timeout", 20000, "--paths", self.paths[region]) for region, rate in demand.items()}
        return {region: self.rig.load_report(process) for region, process in running.items()}


def predicted(phases, seconds):
    """The mean shares of each phase over some seeds: [{region: {site: share}}]."""
    sums = [{region: dict.fromkeys(SITES, 0.0) for region in CITIES} for _ in phases]
    places = {region: [city[3:] for city in cities] for region, cities in CITIES.items()}
    for seed in range(SEEDS):
        world = Simulation(SITES, BACKENDS, SLOTS, SERVICE_MS, seed)
        for i, (_, demand, lost) in enumerate(phases):
            for region, counts in world.run(seconds, demand, places, lost, WARM).items():
                for site, count in counts.items():
                    sums[i][region][site] += 100 * count / (sum(counts.values()) or 1) / SEEDS
    return sums


def judge(reports, prediction):
    """Prints the table of one phase; what is wrong with it."""
    problems = []
    print(f"    {'region':9} {'requests':>8} {'failed':>6} {'p50 ms':>7} {'p99 ms':>8} {'km':>6}  share of each site (predicted)")
    for region, report in reports.items():
        total = sum(report["origins"].values()) or 1
        shares = {site: 100 * report["origins"].get(site, 0) / total for site in SITES}
        # Which city went where is not counted: the mean over the region's cities stands for it.
        km = sum(share / 100 * sum(60 * distance_ms(city[3:5], SITES[site]) for city in CITIES[region]) / len(CITIES[region])
                 for site, share in shares.items())
        told = "  ".join(f"{site} {share:5.1f} % ({prediction[region][site]:5.1f})" for site, share in shares.items())
        latency = report["latency_ms"]
        print(f"    {region:9} {report['completed']:8} {report['failed']:6} {latency['p50']:7.1f} {latency['p99']:8.1f} "
              f"{km:6.0f}  {told}")
        if report["failed"]:
            problems.append(f"{region}: {report['failed']} requests failed: {report['errors']}")
        problems += [f"{region}: {site} got {share:.1f} %, predicted {prediction[region][site]:.1f} %"
                     for site, share in shares.items() if abs(share - prediction[region][site]) > POINTS]
    sys.stdout.flush()
    return problems


def run_scenario(name, options):
    phases, problems, record = SCENARIOS[name], [], []
    prediction = predicted(phases, options.seconds)
    print(f"{name}:")
    with tempfile.TemporaryDirectory(prefix="meridian-geo-") as folder, Rig(options.build) as rig:
        world = World(rig, folder)
        gone = ()
        for (what, demand, lost), expected in zip(phases, prediction):
            for site in gone:
                world.bring_back(site)
            for site in lost:
                world.lose(site)
            gone = lost
            print(f"  {what}")
            reports = world.phase(demand, options.seconds)
            problems += [f"{name}, {what}: {problem}" for problem in judge(reports, expected)]
            record.append({"phase": what, "reports": reports, "predicted": expected})
    return problems, record


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(root, "build", "release"))
    parser.add_argument("--seconds", type=float, default=12, help="of each phase")
    parser.add_argument("--only", default=",".join(SCENARIOS))
    parser.add_argument("--predict", action="store_true", help="only what BALANCING.md predicts")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    problems, document = [], {}
    for name in options.only.split(","):
        if name not in SCENARIOS:
            parser.error(f"no scenario {name}; there are {', '.join(SCENARIOS)}")
        if options.predict:
            print(json.dumps({name: predicted(SCENARIOS[name], options.seconds)}, indent=1))
            continue
        found, document[name] = run_scenario(name, options)
        problems += found
    if options.json:
        with open(options.json, "w") as file:
            json.dump(document, file, indent=1)
    if options.predict:
        return 0
    for problem in problems:
        print(f"not as it should be: {problem}")
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
