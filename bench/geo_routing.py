#!/usr/bin/env python3
"""Geographic routing with the real balancer: clients in twelve cities, three regions, backends that take
their time and have only so many slots. Scenarios: a steady state, one region's surge to three times its
demand, a region lost and back, one slow backend, one that fails at once (500, 503), unlike speeds, hard
rules that keep a surge at home, several balancers over one pool, a thousand backends. Prints where requests
went, how far, and what is predicted; fails where a share is more than 5 points off, where a request
fails, or where one goes to a site that is forbidden to it.

    geo_routing.py [--build DIR] [--seconds S] [--only steady,surge,lost,…] [--json FILE]
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
POINTS, SEEDS, WARM = 5.0, 5, 3.0
PORTS_PER_ORIGIN = 60


class Shape:
    """The servers of each site, and what stands before them. `factors`: how much slower than usual each
    server of a site is; `sick`: the status that the first server of Frankfurt answers at once."""

    def __init__(self, servers=2, slots=4, service_ms=(15, 25), factors=None, sick=None, balancers=1, rules=(), errors=0.0,
                 seeds=SEEDS):
        self.slots, self.service_ms, self.sick, self.balancers = slots, service_ms, sick, balancers
        self.factors = {site: (factors or {}).get(site, [1.0] * servers) for site in SITES}
        self.rules, self.errors, self.seeds = list(rules), errors, seeds
        self.capacity = servers * slots * 1000 / (sum(service_ms) / 2)  # requests per second of one site

    def demand(self, share, surge=None, times=3):
        return {region: self.capacity * share * (times if region == surge else 1) for region in CITIES}

    def allowed(self):
        """{region: sites} where the rules say so for all of its cities."""
        told = {}
        for rule in self.rules:
            for region, cities in CITIES.items():
                if all(city[2] in rule["continents"] for city in cities):
                    told[region] = rule["sites"]
        return told


class Scenario:
    """`phases`: [(what, demand, sites lost)], one after the other."""

    def __init__(self, shape, *phases):
        self.shape, self.phases = shape, phases


def scenarios():
    usual, many, mixed = Shape(), Shape(servers=334, slots=1, service_ms=(450, 550), seeds=2), [0.5, 1.0, 1.5, 2.0]
    home = Shape(rules=[{"continents": ["EU", "AF"], "sites": ["fra", "sin"]}])
    slow = Shape(servers=4, factors={"fra": [5.0, 1.0, 1.0, 1.0]})
    unlike = Shape(servers=4, factors=dict.fromkeys(SITES, mixed))
    several = Shape(servers=4, balancers=3)
    holes = {status: Shape(servers=4, sick=status, errors=0.002) for status in (500, 503)}
    half = "half of the capacity everywhere"
    return {
        "steady": Scenario(usual, ("70 % of capacity everywhere", usual.demand(0.7), ())),
        "surge": Scenario(usual, ("45 % everywhere", usual.demand(0.45), ()),
                          ("three times as much in Europe", usual.demand(0.45, "europe"), ()),
                          ("45 % again", usual.demand(0.45), ())),
        "lost": Scenario(usual, ("35 % everywhere", usual.demand(0.35), ()), ("Frankfurt is lost", usual.demand(0.35), ("fra",)),
                         ("Frankfurt is back", usual.demand(0.35), ())),
        "slow": Scenario(slow, (half + ", one of four servers in Frankfurt five times as slow", slow.demand(0.5), ())),
        "hole500": Scenario(holes[500], (half + ", one of four servers in Frankfurt answers 500 at once", holes[500].demand(0.5), ())),
        "hole503": Scenario(holes[503], (half + ", one of four servers in Frankfurt answers 503 at once", holes[503].demand(0.5), ())),
        "unlike": Scenario(unlike, (half + ", servers of four speeds", unlike.demand(0.5), ())),
        "rules": Scenario(home, ("45 %, Europe may not go to America", home.demand(0.45), ()),
                          ("Europe asks three times as much", home.demand(0.45, "europe"), ())),
        "balancers": Scenario(several, ("three balancers that know nothing of each other, 45 %", several.demand(0.45), ()),
                              ("Europe asks three times as much", several.demand(0.45, "europe"), ())),
        "thousand": Scenario(many, ("a thousand backends, half of the capacity", many.demand(0.5), ()),
                             ("Europe asks two and a half times as much", many.demand(0.5, "europe", 2.5), ())),
    }


class World:
    """Balancers before three sites of backends."""

    def __init__(self, rig, folder, shape):
        self.rig, self.folder, self.shape = rig, folder, shape
        self.doors, ports = free_ports(shape.balancers), free_ports(sum(map(len, shape.factors.values())))
        self.ports = {site: [ports.pop() for _ in factors] for site, factors in shape.factors.items()}
        self.origins = {}
        for site in SITES:
            self.start_site(site)
        database = self.database()
        for i, door in enumerate(self.doors):
            process = self.start_balancer(i, database)
            wait_port(door, process)
        self.paths = {region: self.write_paths(region) for region in CITIES}

    def start_balancer(self, i, database):
        path = os.path.join(self.folder, f"meridian-{i}.yaml")
        with open(path, "w") as file:
            json.dump(self.config(i, database), file, indent=1)
        return self.rig.start([self.rig.tool("meridian"), "-c", path],
                              stderr=open(os.path.join(self.folder, f"stderr-{i}"), "wb"))

    def server_options(self, site, i):
        least, most = self.shape.service_ms
        if site == "fra" and i == 0 and self.shape.sick:
            return ["--port", self.ports[site][i], "--status", self.shape.sick]
        factor = self.shape.factors[site][i]
        return ["--port", self.ports[site][i], "--delay-ms", round(least * factor), "--delay-jitter",
                round((most - least) * factor), "--slots", self.shape.slots]

    def start_site(self, site):
        self.origins[site], count = [], len(self.ports[site])
        for first in range(0, count, PORTS_PER_ORIGIN):
            options = ["--name", site]
            for i in range(first, min(first + PORTS_PER_ORIGIN, count)):
                options += self.server_options(site, i)
            self.origins[site].append(self.rig.origin(*options))
        for port in self.ports[site]:
            wait_port(port)

    def database(self):
        rows, target = os.path.join(self.folder, "places.csv"), os.path.join(self.folder, "places.mmdb")
        with open(rows, "w") as file:
            for network, country, continent, lat, lon, accuracy in sum(CITIES.values(), []):
                file.write(f"{network},{country},{continent},,{lat},{lon},{accuracy}\n")
        subprocess.run([self.rig.tool("tests/tools/mmdb-write"), rows, target], check=True)
        return target

    def config(self, i, database):
        backends = {f"{site}-{k}": {"address": f"127.0.0.1:{port}", "site": site}
                    for site, ports in self.ports.items() for k, port in enumerate(ports)}
        few = len(backends) < 100
        pool = {"backends": backends, "balance": {"slow_start": "0s"},
                "health": {"http": {"path": "/healthz"}, "interval": "500ms" if few else "5s", "timeout": "400ms"}}
        if self.shape.rules:
            pool["residency"] = {"unknown": "allow", "rules": self.shape.rules}
        state = os.path.join(self.folder, f"state-{i}")
        os.makedirs(state)
        return {
            "geo": {"databases": [database]},
            "trusted_proxies": {"from": ["127.0.0.0/8"], "header": "x-forwarded-for"},
            "sites": {name: {"location": list(place)} for name, place in SITES.items()},
            "listeners": {"public": {"bind": f"127.0.0.1:{self.doors[i]}"}},
            "pools": {"api": pool},
            "routes": [{"pool": "api"}],
            "log": {"access": {"path": "off"}},
            "admin": {"http": "off", "socket": os.path.join(state, "control.sock")},
            "state": state}

    def write_paths(self, region):
        path = os.path.join(self.folder, region)
        with open(path, "w") as file:
            for city in CITIES[region]:
                file.write(f"/\tX-Forwarded-For: {city[0].replace('.0/24', '.9')}\n")
        return path

    def lose(self, site):
        for origin in self.origins[site]:
            origin.kill()
            origin.wait()

    def bring_back(self, site):
        self.start_site(site)
        time.sleep(3)  # two good checks

    def phase(self, demand, seconds):
        """Runs all regions' clients at once, each spread over the balancers; {region: report}."""
        running = {region: [self.rig.load_begin(
            f"http://127.0.0.1:{door}/", "--rate", rate / len(self.doors), "--seconds", seconds, "--warm", WARM, "--connections",
            2000, "--timeout", 20000, "--paths", self.paths[region]) for door in self.doors] for region, rate in demand.items()}
        return {region: merged([self.rig.load_report(process) for process in processes])
                for region, processes in running.items()}


def merged(reports):
    """Of several clients: sums, and of percentiles the highest."""
    sum_of = lambda name: sum(report[name] for report in reports)
    origins = {}
    for report in reports:
        for name, count in report["origins"].items():
            origins[name] = origins.get(name, 0) + count
    return {"completed": sum_of("completed"), "failed": sum_of("failed"), "origins": origins,
            "errors": [report["errors"] for report in reports],
            "latency_ms": {name: max(report["latency_ms"][name] for report in reports) for name in ("p50", "p99")}}


def predicted(scenario, seconds):
    """The mean shares of each phase over some seeds: [{region: {site: share}}]."""
    shape, phases = scenario.shape, scenario.phases
    sums = [{region: dict.fromkeys(SITES, 0.0) for region in CITIES} for _ in phases]
    places = {region: [city[3:] for city in cities] for region, cities in CITIES.items()}
    factors = dict(shape.factors)
    if shape.sick:
        factors["fra"] = factors["fra"][1:]  # it is out nearly all of the time
    for seed in range(shape.seeds):
        world = Simulation(SITES, factors, shape.slots, shape.service_ms, seed, shape.balancers, shape.allowed())
        for i, (_, demand, lost) in enumerate(phases):
            for region, counts in world.run(seconds, demand, places, lost, WARM).items():
                for site, count in counts.items():
                    sums[i][region][site] += 100 * count / (sum(counts.values()) or 1) / shape.seeds
    return sums


def judge(reports, prediction, shape):
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
        problems += [f"{region}: {count} requests to {site}, where they may not go"
                     for site, count in report["origins"].items() if site not in shape.allowed().get(region, SITES)]
        problems += [f"{region}: {site} got {share:.1f} %, predicted {prediction[region][site]:.1f} %"
                     for site, share in shares.items() if abs(share - prediction[region][site]) > POINTS]
    sys.stdout.flush()
    failed = sum(report["failed"] for report in reports.values())
    if failed > shape.errors * sum(report["completed"] + report["failed"] for report in reports.values()):
        problems.append(f"{failed} requests failed: {[report['errors'] for report in reports.values()]}")
    return problems


def run_scenario(name, scenario, options):
    problems, record = [], []
    prediction = predicted(scenario, options.seconds)
    print(f"{name}:")
    with tempfile.TemporaryDirectory(prefix="meridian-geo-") as folder, Rig(options.build) as rig:
        world = World(rig, folder, scenario.shape)
        gone = ()
        for (what, demand, lost), expected in zip(scenario.phases, prediction):
            for site in gone:
                world.bring_back(site)
            for site in lost:
                world.lose(site)
            gone = lost
            print(f"  {what}")
            reports = world.phase(demand, options.seconds)
            problems += [f"{name}, {what}: {problem}" for problem in judge(reports, expected, scenario.shape)]
            record.append({"phase": what, "reports": reports, "predicted": expected})
    return problems, record


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(root, "build", "release"))
    parser.add_argument("--seconds", type=float, default=12, help="of each phase")
    parser.add_argument("--only", default=",".join(scenarios()))
    parser.add_argument("--predict", action="store_true", help="only what is predicted")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    problems, document = [], {}
    for name in options.only.split(","):
        scenario = scenarios().get(name)
        if scenario is None:
            parser.error(f"no scenario {name}; there are {', '.join(scenarios())}")
        if options.predict:
            print(json.dumps({name: predicted(scenario, options.seconds)}, indent=1))
            continue
        found, document[name] = run_scenario(name, scenario, options)
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
