"""Why a backend gets traffic or none: `explain`, the reasons of `backends`, the decision in the access log."""
import json
import threading

from client import Client, get
from env import lengthy, until
from origin import gated, text

HTTP = {"http": {"path": "/healthz"}, "interval": "500ms", "timeout": "500ms", "fall": 2, "rise": 1}
SITES = {"fra": {"location": [50.11, 8.68]}, "iad": {"location": [39.04, -77.49]}}


def told(balancer, client="127.0.0.1"):
    return balancer.ctl_json("explain", "--client", client, "http://localhost/")


def reasons(balancer):
    return {row["name"]: row["reason"] for row in balancer.ctl_json("backends")["backends"]}


def test_every_backend_has_its_reason(env):
    """Each of seven is kept from traffic, or not, by something else."""
    origins = {name: env.origin(name=name) for name in ("well", "drained", "away", "sick", "gone", "full", "spare")}
    gate = threading.Event()
    origins["full"].script = [gated(gate, text())]
    extra = {"full": {"max_inflight": 1, "weight": 1000}, "spare": {"backup": True}}
    balancer = env.simple(workers=1, pool={
        "backends": {name: {"address": origin.address, **extra.get(name, {})} for name, origin in origins.items()},
        "balance": {"choices": 16, "slow_start": "0s"}, "health": HTTP})
    while not origins["full"].requests:
        asking = threading.Thread(target=get, args=(balancer.port,), daemon=True)
        asking.start()
        until(lambda: origins["full"].requests or not asking.is_alive(), what="an answer, or the one that is held")
    balancer.ctl("drain", "api/drained")
    balancer.ctl("maintenance", "api/away")
    origins["sick"].healthy = False
    origins["gone"].die()
    want = {"well": "", "drained": "drain", "away": "maintenance", "sick": "soft", "gone": "hard", "full": "full",
            "spare": "backup"}
    until(lambda: reasons(balancer) == want, what="the reasons")
    answer = told(balancer)
    assert [one["backend"] for one in answer["candidates"]] == ["well"]
    assert {one["backend"]: one["why"] for one in answer["others"]} == {
        name: why for name, why in want.items() if name != "well"}
    table = balancer.ctl("backends")
    for part in ("drained by an operator", "in maintenance", "its checks fail", "it cannot be reached",
                 "at its max_inflight of 1", "a backup, and others can serve"):
        assert part in table, table
    assert "drained by an operator" in balancer.ctl("explain", "--client", "127.0.0.1", "http://localhost/")
    gate.set()
    asking.join()


def test_panic_is_said(env):
    """A wrong check takes nobody out, and REASON says that."""
    origins = [env.origin(), env.origin()]
    for origin in origins:
        origin.healthy = False
    balancer = env.simple(*origins, pool={"health": HTTP})
    until(lambda: balancer.ctl("backends").count("its checks fail") == 2, what="the failures")
    assert balancer.ctl("backends").count("; panic: used all the same") == 2, balancer.ctl("backends")
    assert get(balancer.port).status == 200
    origins[0].healthy = True
    until(lambda: "panic" not in balancer.ctl("backends"), what="the end of the panic")


def test_who_was_ejected_says_when_it_is_back(env):
    origins = [env.origin(script=[text(b"", 500)]), env.origin()]
    balancer = env.simple(*origins, workers=1, pool={"health": {"off": True}})
    with Client(balancer.port) as client:
        until(lambda: client.get() and reasons(balancer)["a"] == "out", what="the ejection")
    assert "back in" in balancer.ctl("backends")
    other = [one for one in told(balancer)["others"] if one["backend"] == "a"]
    assert other[0]["why"] == "out" and 0 < other[0]["ejected_seconds"] <= 5

    def lines(event):
        return [line for line in balancer.errors().splitlines() if f"event={event} " in line]
    line, = until(lambda: lines("backend-ejected"), what="the line in the log")
    assert "level=warn" in line and 'pool="api" backend="a"' in line and "ejections=1" in line, line
    until(lambda: lines("backend-readmitted"), what="its return in the log")
    assert len(lines("backend-ejected")) == 1


@lengthy
def test_who_is_dead_is_not_readmitted(env):
    """The time of an ejection is up and checks fail: back is who passes them."""
    gate = threading.Event()
    origins = [env.origin(script=[text(b"", 500)]), env.origin()]
    balancer = env.simple(*origins, workers=1, pool={"health": {**HTTP, "interval": "1s"}})

    def lines(event):
        return [line for line in balancer.errors().splitlines() if f"event={event} " in line]
    with Client(balancer.port) as client:
        until(lambda: client.get() and reasons(balancer)["a"] == "out", what="the ejection")
    origins[0].healthy = False
    until(lambda: reasons(balancer)["a"] == "soft", what="checks that fail")
    gate.wait(7)  # the ejection takes 5 s, and the log is looked at once a second
    assert not lines("backend-readmitted"), balancer.errors()
    origins[0].healthy = True
    until(lambda: lines("backend-readmitted"), what="its return in the log")
    assert len(lines("backend-readmitted")) == 1


def test_slow_start_and_pools_without_routes(env):
    origins = [env.origin(), env.origin(), env.origin()]
    balancer = env.simple(*origins[:2], pool={"health": HTTP})
    origins[1].healthy = False
    until(lambda: reasons(balancer)["b"] == "soft", what="b down")
    origins[1].healthy = True
    until(lambda: reasons(balancer)["b"] == "slow-start", what="b back")
    until(lambda: "in slow start: a part of its weight" in balancer.ctl("backends"), what="the table")
    config = dict(balancer.config)
    config["pools"]["lost"] = {"backends": {"c": {"address": origins[2].address}}}
    balancer.reload(config)
    assert reasons(balancer)["c"] == "no-route"
    assert "no route leads to its pool" in balancer.ctl("backends", "lost")
    config["routes"] = [{"match": {"path": "/split"}, "split": {"api": 1, "lost": 1}}, {"pool": "api"}]
    balancer.reload(config)
    assert reasons(balancer)["c"] == ""


def placed(env, **log):
    origins = {name: env.origin(name=name) for name in ("fra-1", "fra-2", "iad-1")}
    port = env.port()
    balancer = env.meridian({
        "workers": 1, "sites": SITES, "here": {"location": [48.86, 2.35]},
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"api": {"backends": {name: {"address": origin.address, "site": name[:3]}
                                       for name, origin in origins.items()}, "health": {"off": True}}},
        "routes": [{"pool": "api"}],
        "log": {"access": {"path": env.path("meridian-access.log"), "format": "json", **log}}})
    balancer.port = port
    return balancer


def lines(env, count):
    path = env.path("meridian-access.log")

    def read():
        with open(path) as file:
            return [json.loads(line) for line in file]
    return until(lambda: len(read()) >= count and read(), what="the log")


def test_the_access_log_tells_each_decision(env):
    balancer = placed(env, decision=True)

    def fra():
        return {site["site"]: site for site in lines(env, 40)[-1]["decision"]["sites"]}["fra"]
    with Client(balancer.port) as client:
        for _ in range(40):
            assert client.get().status == 200
        until(lambda: client.get().status == 200 and fra()["normal_ms"] > 0, what="a view that was made after the first answers")
    for line in lines(env, 41):
        decision = line["decision"]
        assert decision["algorithm"] == "nearest" and decision["mode"] == "normal"
        sites = {site["site"]: site for site in decision["sites"]}
        assert (sites["fra"]["verdict"], sites["iad"]["verdict"]) == ("chosen", "costlier")
        assert sites["fra"]["inflight"] == 0, "as it was before the request"
        assert sites["iad"]["cost_ms"] > sites["fra"]["cost_ms"] > 0
        assert abs(sites["fra"]["distance_ms"] + sites["fra"]["load_ms"] - sites["fra"]["cost_ms"]) < 0.02
        chosen = [one["backend"] for one in decision["candidates"] if one["verdict"] == "chosen"]
        assert chosen == [line["backend"]]
    assert lines(env, 41)[-1]["decision"]["base_ms"] > 0 and fra()["recent_ms"] > 0 and fra()["normal_ms"] > 0
    other = [one for one in told(balancer)["others"] if one["backend"] == "iad-1"]
    assert other[0]["why"] == "other-site"


def test_a_decision_tells_where_the_request_has_been(env):
    dead, alive = env.origin(listen=False), env.origin()
    port, path = env.port(), env.path("meridian-access.log")
    env.meridian({
        "workers": 1, "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"api": {"backends": {"dead": {"address": dead.address}, "alive": {"address": alive.address}},
                          "health": {"off": True}}},
        "routes": [{"pool": "api"}], "log": {"access": {"path": path, "decision": True}}})
    for _ in range(40):
        assert get(port).status == 200
    for line in lines(env, 40):
        assert line["decision"]["tried"] == (["dead"] if line["attempts"] == 2 else [])
    assert any(line["attempts"] == 2 for line in lines(env, 40))


def test_decisions_only_where_asked_for(env):
    balancer = placed(env)
    assert get(balancer.port).status == 200
    assert "decision" not in lines(env, 1)[0]
