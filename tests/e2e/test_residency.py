"""Residency: which sites may serve whom, whatever happens (BALANCING.md, section 4)."""
from client import get
from env import until
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
