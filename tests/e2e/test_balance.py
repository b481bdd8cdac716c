"""Algorithms of `balance`, and backups, with real servers (BALANCING.md, sections 7, 9 and 10)."""
import threading
from collections import Counter

from client import Client, get
from env import until
from origin import gated, text


def pool_of(env, names, balance, backends=None, **pool):
    """A pool of origins under one worker; returns (balancer, {name: origin})."""
    origins = {name: env.origin(name=name) for name in names}
    backends = backends or {}
    port = env.port()
    balancer = env.meridian({
        "workers": 1,
        "trusted_proxies": {"from": ["127.0.0.0/8"], "header": "x-forwarded-for"},
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"api": {"backends": {name: {"address": origin.address, **backends.get(name, {})}
                                       for name, origin in origins.items()},
                          "balance": {"slow_start": "0s", **balance}, **pool}},
        "routes": [{"pool": "api"}]})
    balancer.port = port
    return balancer, origins


def asked(client, path="/", **headers):
    return client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()}).body.decode()


def test_round_robin_gives_exact_shares(env):
    balancer, _ = pool_of(env, "abc", {"algorithm": "round_robin"}, {"a": {"weight": 200}})
    with Client(balancer.port) as client:
        served = [asked(client) for _ in range(40)]
    assert Counter(served) == {"a": 20, "b": 10, "c": 10}, served
    assert served[:4] == served[4:8], served


def test_round_robin_passes_over_who_is_away(env):
    balancer, origins = pool_of(env, "abc", {"algorithm": "round_robin"})
    origins["b"].die()
    with Client(balancer.port) as client:
        served = Counter(asked(client) for _ in range(60))
    assert sorted(served) == ["a", "c"] and sum(served.values()) == 60, served


def test_a_weight_set_at_run_time_changes_the_turns(env):
    balancer, _ = pool_of(env, "ab", {"algorithm": "round_robin"})
    balancer.ctl("weight", "api/a", "300")
    with Client(balancer.port) as client:
        assert Counter(asked(client) for _ in range(40)) == {"a": 30, "b": 10}


def held_requests(port, count):
    """Requests that an origin does not answer yet; returns their threads."""
    threads = [threading.Thread(target=get, args=(port,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def check_avoids_the_busy_one(env, algorithm):
    balancer, origins = pool_of(env, "ab", {"algorithm": algorithm})
    gate = threading.Event()
    origins["a"].script = [gated(gate, text("a"))]
    threads = held_requests(balancer.port, 6)
    until(lambda: len(origins["a"].requests) > 0 and sum(len(o.requests) for o in origins.values()) == 6,
          what="six requests")
    held = len(origins["a"].requests)
    with Client(balancer.port) as client:
        assert {asked(client) for _ in range(30)} == {"b"}
    assert len(origins["a"].requests) == held
    gate.set()
    for thread in threads:
        thread.join()


def test_least_connections_avoids_the_busy_one(env):
    check_avoids_the_busy_one(env, "least_connections")


def test_two_choices_avoids_the_busy_one(env):
    check_avoids_the_busy_one(env, "two_choices")


def owners(client, keys, **how):
    return {key: asked(client, **{name: value.format(key) for name, value in how.items()}) for key in keys}


def test_consistent_hash_keeps_keys_where_they_are(env):
    """When one of four leaves only its keys move, at most 1.5 of four parts; when it is back all return."""
    balancer, _ = pool_of(env, "abcd", {"algorithm": "consistent_hash", "hash": {"by": "header X-User"}})
    keys = range(200)
    with Client(balancer.port) as client:
        first = owners(client, keys, X_User="user-{}")
        assert first == owners(client, keys, X_User="user-{}")
        shares = Counter(first.values())
        assert len(shares) == 4 and min(shares.values()) >= 25, shares
        balancer.ctl("drain", "api/c")
        without = until(lambda: (lambda now: now if "c" not in now.values() else None)(
            owners(client, keys, X_User="user-{}")), what="the drain")
        moved = [key for key in keys if without[key] != first[key]]
        assert all(first[key] == "c" for key in moved) and len(moved) <= 1.5 * len(keys) / 4, len(moved)
        balancer.ctl("enable", "api/c")
        until(lambda: owners(client, keys, X_User="user-{}") == first, what="the return")


def test_consistent_hash_is_the_same_after_a_restart(env):
    balancer, _ = pool_of(env, "abc", {"algorithm": "consistent_hash", "hash": {"by": "path"}})
    keys = range(60)
    with Client(balancer.port) as client:
        first = owners(client, keys, path="/item/{}")
    balancer.stop()
    balancer.start()
    with Client(balancer.port) as client:
        assert owners(client, keys, path="/item/{}") == first


def test_consistent_hash_by_every_part(env):
    """The part that is named decides, and nothing else does."""
    cases = {"cookie id": {"Cookie": "x=1; id={}"}, "query user": {"path": "/?a=1&user={}"},
             "query": {"path": "/?{}"}, "path": {"path": "/{}"}, "client": {"X_Forwarded_For": "192.0.2.{}"}}
    for by, how in cases.items():
        balancer, _ = pool_of(env, "abc", {"algorithm": "consistent_hash", "hash": {"by": by}})
        keys = range(40)
        with Client(balancer.port) as client:
            first = owners(client, keys, **how)
            assert len(set(first.values())) == 3, by
            assert owners(client, keys, X_Other="9", **how) == first, by
            other = {**how, "path": how["path"] + "&b=2"} if by == "query user" else how
            assert owners(client, keys, **other) == first, by
        balancer.stop()


def test_consistent_hash_bounds_a_hot_key(env):
    """Nobody has more than 125 % of its share in flight, though all requests have one key."""
    balancer, origins = pool_of(env, "abcd", {"algorithm": "consistent_hash", "hash": {"by": "path", "load": "125%"}})
    gate = threading.Event()
    for name, origin in origins.items():
        origin.script = [gated(gate, text(name))]
    threads = held_requests(balancer.port, 32)
    until(lambda: sum(len(o.requests) for o in origins.values()) == 32, what="32 requests")
    most = max(len(origin.requests) for origin in origins.values())
    gate.set()
    for thread in threads:
        thread.join()
    assert most <= 10, {name: len(origin.requests) for name, origin in origins.items()}


def test_explain_knows_the_owner_of_a_key(env):
    balancer, _ = pool_of(env, "abc", {"algorithm": "consistent_hash", "hash": {"by": "header X-User"}})
    with Client(balancer.port) as client:
        for key in range(20):
            told = balancer.ctl_json("explain", "--client", "127.0.0.1", "-H", f"X-User: {key}", "http://localhost/")
            chosen = [one["backend"] for one in told["candidates"] if one["verdict"] == "chosen"]
            assert told["algorithm"] == "consistent_hash" and not told["backup"]
            assert chosen == [asked(client, X_User=str(key))], told
    assert "along the ring" in balancer.ctl("explain", "--client", "127.0.0.1", "http://localhost/")


def test_backup_serves_only_while_nobody_else_can(env):
    for algorithm in ("nearest", "round_robin", "least_connections", "two_choices", "consistent_hash"):
        balancer, origins = pool_of(env, "abz", {"algorithm": algorithm}, {"z": {"backup": True}},
                                    health={"tcp": {}, "interval": "100ms", "timeout": "100ms", "rise": 1})
        with Client(balancer.port) as client:
            assert {asked(client) for _ in range(20)} <= {"a", "b"}, algorithm
            origins["a"].die()
            assert {asked(client) for _ in range(20)} == {"b"}, algorithm
            origins["b"].die()
            # Until both are known to be down, a request may use up its attempts on them.
            until(lambda: asked(client) == "z", what="the backup")
            assert {asked(client) for _ in range(20)} == {"z"}, algorithm
            told = until(lambda: (lambda now: now if now["backup"] else None)(
                balancer.ctl_json("explain", "--client", "127.0.0.1", "http://localhost/")), what="the explanation")
            assert told["mode"] == "normal" and told["candidates"][0]["backend"] == "z", told
            origins["a"].listen()
            balancer.ctl("reset", "api/a")
            until(lambda: asked(client) == "a", what="the return")
        balancer.stop()


def test_l34_waiting_for_a_connection_costs_nothing(env):
    """A server that has all the connections that it may have is asked for again when one ends, not all the time."""
    gate = threading.Event()
    origin = env.origin(reply=lambda request: gated(gate, text()))
    balancer = env.simple(origin, workers=1, limits={"backend_connections": 1},
                          pool={"queue": {"timeout": "60s"}})
    clients = [env.client(balancer.port) for _ in range(4)]
    for client in clients:
        client.request()
    until(lambda: balancer.metric("meridian_requests_waiting") == 3, what="those who wait")
    for _ in range(20):
        balancer.ctl("status")
    asked = balancer.ctl_json("backends")["backends"][0]["requests"]
    assert asked < 1000, asked
    gate.set()
    assert [client.response().status for client in clients] == [200] * 4
