"""Residency: which sites may serve whom, whatever happens (BALANCING.md, section 4)."""
import collections
import http.client
import http.server
import os
import random
import socket
import struct
import threading
import time

from client import get
from env import long, seconds, until
from origin import reset
from test_geo import PLACES, address_in

SITES = {"fra": (50.11, 8.68), "iad": (39.04, -77.49), "sin": (1.35, 103.82)}
RULES = [{"groups": ["eea", "CH"], "sites": ["fra"]}, {"countries": ["BR"], "deny": 451},
         {"continents": ["AS"], "sites": ["sin", "iad"]}, {"countries": ["KE"], "deny": 403}]
UNKNOWN = "198.51.100.7"


def world(env, rules=None, algorithm="nearest", **residency):
    origins = {name: env.origin(name=name) for name in SITES}
    port = env.port()
    balancer = env.meridian({
        "geo": {"databases": [env.geo_database(list(PLACES.values()))]},
        "trusted_proxies": {"from": ["127.0.0.0/8"], "header": "x-forwarded-for"},
        "sites": {name: {"location": list(place)} for name, place in SITES.items()},
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"api": {"backends": {f"{name}-1": {"address": origin.address, "site": name}
                                       for name, origin in origins.items()},
                          "balance": {"algorithm": algorithm},
                          "health": {"tcp": {}, "interval": "100ms", "timeout": "100ms"},
                          "residency": {"rules": rules or RULES, **residency}}},
        "routes": [{"pool": "api"}]})
    balancer.port = port
    return balancer, origins


def ask(balancer, address):
    return get(balancer.port, headers={"X-Forwarded-For": address})


def test_rules_decide_who_serves(env):
    for algorithm in ("nearest", "round_robin", "least_connections", "two_choices", "consistent_hash"):
        balancer, _ = world(env, algorithm=algorithm)
        for _ in range(10):
            assert ask(balancer, address_in(PLACES["EU"])).body == b"fra"
            assert ask(balancer, address_in(PLACES["AS"])).body in (b"sin", b"iad")
            assert ask(balancer, address_in(PLACES["NA"])).status == 200
        assert ask(balancer, address_in(PLACES["SA"])).status == 451
        assert ask(balancer, address_in(PLACES["AF"])).status == 403
        assert ask(balancer, UNKNOWN).status == 451
        balancer.stop()


def test_never_another_site_when_the_allowed_one_fails(env):
    """Resets (retries), a dead server (ejection, panic, last resort): 502 or 503, and no request elsewhere."""
    balancer, origins = world(env, [{"groups": ["eu"], "sites": ["fra"]}])
    origins["fra"].script = [reset()]
    assert ask(balancer, address_in(PLACES["EU"])).status == 502
    origins["fra"].die()
    statuses = {ask(balancer, address_in(PLACES["EU"])).status for _ in range(60)}
    assert statuses <= {502, 503}, statuses
    until(lambda: ask(balancer, address_in(PLACES["EU"])).status == 503, what="503")
    assert not origins["iad"].requests and not origins["sin"].requests
    assert ask(balancer, address_in(PLACES["NA"])).status == 200
    until(lambda: balancer.metric("meridian_pool_panic", pool="api") == 1, what="the gauge")
    until(lambda: "mode=last-resort clients=some usable=2 endpoints=3" in balancer.errors(), what="the event")


def test_unknown_clients(env):
    assert ask(world(env, unknown="allow")[0], UNKNOWN).status == 200
    assert ask(world(env, [{"unknown": True, "sites": ["sin"]}])[0], UNKNOWN).body == b"sin"
    everybody = world(env, [{"countries": ["FR"], "sites": ["fra"]}, {"sites": ["iad"]}])[0]
    assert ask(everybody, UNKNOWN).body == b"iad"
    assert ask(everybody, address_in(PLACES["OC"])).body == b"iad"


def test_explain_tells_what_is_forbidden(env):
    balancer, _ = world(env)
    told = balancer.ctl_json("explain", "--client", address_in(PLACES["EU"]), "http://localhost/")
    assert {one["site"]: one["verdict"] for one in told["sites"]} == \
        {"fra": "chosen", "iad": "forbidden", "sin": "forbidden"}, told
    told = balancer.ctl("--json", "explain", "--client", UNKNOWN, "http://localhost/", check=False).stdout
    assert '"residency"' in told and '"chosen"' not in told, told


def test_a_reload_changes_the_rules_at_once(env):
    balancer, origins = world(env)
    config = balancer.config
    config["pools"]["api"]["residency"] = {"rules": [{"groups": ["eu"], "sites": ["sin"]}]}
    balancer.reload(config)
    until(lambda: ask(balancer, address_in(PLACES["EU"])).body == b"sin", what="the new rule")
    assert [ask(balancer, address_in(PLACES["EU"])).body for _ in range(20)] == [b"sin"] * 20
    assert not origins["fra"].requests


class Servers(http.server.ThreadingHTTPServer):
    """One server of a site: what it does is random (`mood`), and it notes each request that may not be here."""
    request_queue_size, daemon_threads = 128, True

    def __init__(self, chaos, site, port):
        self.chaos, self.site, self.mood, self.port = chaos, site, "well", port
        super().__init__(("127.0.0.1", port), Visit)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, *_):
        pass


class Visit(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        chaos, mood = self.server.chaos, self.server.mood
        chaos.judge(self.server.site, self.headers["X-Place"], int(self.headers["X-Since"]), "got")
        if mood == "reset" or (mood == "shaky" and random.random() < 0.5):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        time.sleep(0.03 if mood == "slow" else 0)
        body = self.server.site.encode()
        self.send_response(int(mood) if mood.isdigit() else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Chaos:
    """Random rules, one set after the other; random servers; and the law that no request comes to a site that none of
    the sets that were in force since it began allows it."""
    MOODS = ["well", "well", "well", "slow", "503", "500", "reset", "shaky"]

    def __init__(self, env, seed):
        self.env, self.random = env, random.Random(seed)
        self.sets, self.since, self.wrong, self.ends = [], 0, [], collections.Counter()
        self.servers = [Servers(self, site, env.port()) for site in SITES for _ in range(2)]
        self.port, self.over = env.port(), False

    def new_set(self):
        """{place: allowed sites, or the status that refuses}, and the rules that say so."""
        sites, rules = {}, []
        for name, place in PLACES.items():
            kind = self.random.randrange(4)
            sites[name] = set(self.random.sample(list(SITES), self.random.randint(1, 2))) if kind else self.random.choice(
                [403, 451, set(SITES)])
            says = self.random.choice([{"countries": [place[1]]}, {"continents": [place[2]]},
                                       {"groups": ["eu" if place[1] == "FR" else place[1]]}])
            if isinstance(sites[name], int):
                rules.append({**says, "deny": sites[name]})
            elif sites[name] != set(SITES):
                rules.append({**says, "sites": sorted(sites[name])})
        self.sets.append(sites)
        return rules or [{"countries": ["XX"], "deny": 451}]

    def config(self):
        rules = self.new_set()
        algorithm = self.random.choice(["nearest", "nearest", "round_robin", "least_connections", "two_choices"])
        pool = {"backends": {f"s{i}": {"address": f"127.0.0.1:{one.port}", "site": one.site,
                                       "backup": self.random.random() < 0.15, "max_inflight": self.random.choice([0, 0, 2])}
                             for i, one in enumerate(self.servers)},
                "balance": {"algorithm": algorithm, "panic_percent": self.random.choice(["0%", "50%", "100%"])},
                "health": {"tcp": {}, "interval": "100ms", "timeout": "100ms"},
                "retries": {"extra": 3, "budget": "100%", "on": ["connect", "reset", "first_byte", "502", "503"]},
                "queue": {"limit": 64, "timeout": "200ms"}, "residency": {"rules": rules}}
        sticky = {**pool, "sticky": {"cookie": "stick"}}
        return {"geo": {"databases": [self.database]},
                "trusted_proxies": {"from": ["127.0.0.0/8"], "header": "x-forwarded-for"},
                "sites": {name: {"location": list(place)} for name, place in SITES.items()},
                "listeners": {"public": {"bind": f"127.0.0.1:{self.port}"}},
                "pools": {"api": pool, "sticky": sticky},
                "routes": [{"pool": "api"}, {"match": {"path": "/sticky/"}, "pool": "sticky"}]}

    def judge(self, site, place, since, what):
        allowed = [one[place] for one in self.sets[since:]]
        if not any(site in one for one in allowed if not isinstance(one, int)):
            self.wrong.append(f"{site} {what} a request of {place}, for which there was {allowed}")

    def ask(self, seed):
        """One client: places change, the cookie stays."""
        own, cookie, connection = random.Random(seed), "", None
        while not self.over:
            place, since = own.choice(list(PLACES)), self.since
            fields = {"X-Forwarded-For": address_in(PLACES[place]), "X-Place": place, "X-Since": str(since), "Cookie": cookie}
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                connection.request("GET", own.choice(["/", "/sticky/"]), headers=fields)
                answer = connection.getresponse()
                body = answer.read().decode()
            except (OSError, http.client.HTTPException):
                connection = connection.close() if connection else None
                self.ends["broken"] += 1
                continue
            self.ends[answer.status] += 1
            cookie = (answer.headers["Set-Cookie"] or cookie).split(";")[0]
            if answer.status == 200:
                self.judge(body, place, since, "answered")
            elif answer.status in (403, 451) and not any(one[place] == answer.status for one in self.sets[since:]):
                self.wrong.append(f"{place} was refused with {answer.status}, by {self.sets[since:]}")

    def run(self, seconds):
        self.database = self.env.geo_database(list(PLACES.values()))
        balancer = self.env.meridian(self.config())
        clients = [threading.Thread(target=self.ask, args=(self.random.random(),), daemon=True) for _ in range(6)]
        for client in clients:
            client.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end or len(self.sets) < 5:
            for server in self.servers:
                server.mood = self.random.choice(self.MOODS)
            order = self.random.choice(["drain", "maintenance", "enable", "enable", "reset"])
            target = self.random.choice(["api/s0", "sticky/s3", "site:fra", "api"])
            balancer.ctl(order, target)
            time.sleep(0.3)
            balancer.ctl("reset", "api")
            balancer.reload(self.config())
            self.since = len(self.sets) - 1  # those that begin from now on obey this set alone
            time.sleep(0.5)
        self.over = True
        for client in clients:
            client.join(30)
        assert not any(client.is_alive() for client in clients), "a request that does not end"
        until(lambda: all(row["inflight"] == 0 for row in balancer.ctl_json("backends")["backends"]), what="nothing in flight")
        return balancer


def chaos(env, length):
    seed = int(os.environ.get("MERIDIAN_SEED") or random.randrange(1 << 32))
    world = Chaos(env, seed)
    env.at_end(lambda: [server.shutdown() for server in world.servers])
    balancer = world.run(length)
    told = f"MERIDIAN_SEED={seed}: {sum(world.ends.values())} requests, {len(world.sets)} sets of rules, {dict(world.ends)}"
    print(told)
    assert not world.wrong, f"{told}: {len(world.wrong)} violations: {world.wrong[:5]}"
    assert world.ends[200] > 100 and world.ends[403] + world.ends[451] > 10, told
    retries = [line for line in balancer.admin("/metrics")[1].split("\n") if line.startswith("meridian_retries_total{")]
    assert sum(float(line.split()[-1]) for line in retries) > 10, retries


def test_no_violation_under_random_load(env):
    """BALANCING.md sections 4 and 11: failures, retries, sticks, orders by hand and reloads; 0 violations."""
    chaos(env, 4)


@long
@seconds(900)
def test_no_violation_under_random_load_for_long(env):
    chaos(env, 300)
