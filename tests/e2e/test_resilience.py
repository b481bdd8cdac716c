"""What a pool does when its servers are not well (BALANCING.md sections 9 and 10, limits L30-L33, F13)."""
import threading
import time
from collections import Counter

from client import Client, get
from env import until
from origin import delayed, gated, text

HTTP = {"http": {"path": "/healthz"}, "interval": "500ms", "timeout": "500ms", "fall": 2, "rise": 1}
QUIET = {"tcp": {}, "interval": "60s"}
AT_ONCE = {"slow_start": "0s"}


def rows(balancer):
    return {row["name"]: row for row in balancer.ctl_json("backends")["backends"]}


def states(balancer):
    return {name: row["state"] for name, row in rows(balancer).items()}


def crowd(balancer, clients, requests):
    """Statuses of requests by several clients at once."""
    seen, lock = Counter(), threading.Lock()

    def one():
        with Client(balancer.port) as client:
            mine = Counter(client.get().status for _ in range(requests))
        with lock:
            seen.update(mine)
    threads = [threading.Thread(target=one) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def black_hole(env, status):
    """One of four servers answers `status` at once, the others take their time; what clients saw."""
    sick = env.origin(script=[text(b"", status)])
    well = [env.origin(script=[delayed(0.02, text())]) for _ in range(3)]
    balancer = env.simple(sick, *well, pool={"health": QUIET, "balance": AT_ONCE})
    return balancer, sick, crowd(balancer, 8, 40)


def test_l32_a_server_that_fails_fast_goes_out(env):
    balancer, sick, seen = black_hole(env, 500)
    assert seen[200] + seen[500] == 320 and rows(balancer)["a"]["ejections"] >= 1
    # Five in a row, and what was under way meanwhile; again whenever it comes back.
    assert seen[500] <= 40 and len(sick.requests) == seen[500], seen


def test_l32_a_server_that_is_busy_at_once_draws_nobody(env):
    """It has few requests in flight because it refuses them: the guard takes it out."""
    balancer, sick, seen = black_hole(env, 503)
    assert seen[200] + seen[503] == 320 and rows(balancer)["a"]["ejections"] >= 1
    assert len(sick.requests) <= 64, seen


def test_busy_servers_under_load_stay(env):
    """All are as busy as the others: nobody is a light outlier, nobody goes out."""
    origins = [env.origin(script=[delayed(0.01, text(b"", 503))]) for _ in range(3)]
    balancer = env.simple(*origins, pool={"health": QUIET})
    assert crowd(balancer, 6, 20) == {503: 120}
    assert sum(row["ejections"] for row in rows(balancer).values()) <= 1


def test_l32_half_of_a_pool_goes_out_at_most(env):
    for count in (4, 5, 1):
        origins = [env.origin(script=[text(b"", 500)]) for _ in range(count)]
        balancer = env.simple(*origins, pool={"health": QUIET})
        with Client(balancer.port) as client:
            assert all(client.get().status == 500 for _ in range(20 * count))
        out = list(states(balancer).values()).count("out")
        assert out <= count // 2, (count, out)
        balancer.stop()


def unhealthy(env, percent):
    """Four servers whose checks all fail, though they answer."""
    origins = [env.origin(name=name) for name in "abcd"]
    balancer = env.simple(*origins, pool={"health": HTTP, "balance": {"panic_percent": percent, **AT_ONCE}})
    for origin in origins:
        origin.healthy = False
    until(lambda: set(states(balancer).values()) == {"soft"}, what="the checks")
    return balancer, origins


def test_b1_panic_serves_when_no_check_is_good(env):
    """F13: a check that is wrong everywhere takes nobody out."""
    balancer, origins = unhealthy(env, "50%")
    with Client(balancer.port) as client:
        assert all(client.get().status == 200 for _ in range(40))
    assert all(origin.requests for origin in origins)
    told = balancer.ctl_json("explain", "--client", "127.0.0.1", "http://localhost/")
    assert told["mode"] == "panic"
    until(lambda: balancer.metric("meridian_pool_panic", pool="api") == 1, what="the gauge")
    assert balancer.ctl_json("pools")["pools"][0]["panic"] is True
    origins[0].healthy = origins[1].healthy = True
    until(lambda: list(states(balancer).values()).count("up") == 2, what="two that are well")
    with Client(balancer.port) as client:
        assert {client.get().body for _ in range(30)} == {b"a", b"b"}
    until(lambda: balancer.metric("meridian_pool_panic", pool="api") == 0, what="the gauge at the end")
    lines = [line for line in balancer.errors().splitlines() if "event=panic" in line]
    assert len(lines) == 2 and "mode=panic clients=all" in lines[0] and "endpoints=4" in lines[0], lines
    assert "panic-over" in lines[1], lines


def test_f13_all_servers_are_slow(env):
    """Nobody answers in time: retries do not make it worse by more than the budget says, and when the servers are well again
    so is everything, without help."""
    gate = threading.Event()
    origins = [env.origin(script=[gated(gate, text())]) for _ in range(4)]
    balancer = env.simple(*origins, pool={"health": QUIET, "retries": {"extra": 2, "budget": "20%"}}, timeouts={"first_byte": "300ms"})
    begun = time.monotonic()
    seen = crowd(balancer, 40, 5)
    took = time.monotonic() - begun
    assert set(seen) <= {503, 504} and sum(seen.values()) == 200, seen
    attempts = sum(len(origin.requests) for origin in origins)
    assert attempts <= 200 * 1.2 + 10 * (took + 10), f"{attempts} attempts in {took:.1f} s"
    gate.set()
    until(lambda: [get(balancer.port).status for _ in range(20)] == [200] * 20, 40, "recovery")


def test_b1_no_panic_where_it_is_off(env):
    balancer, origins = unhealthy(env, "0%")
    answer = get(balancer.port)
    assert answer.status == 503 and b"no-backend" in answer.body
    origins[0].healthy = True
    until(lambda: get(balancer.port).status == 200, what="recovery")


def down_lines(balancer):
    return [line for line in balancer.errors().splitlines() if "event=pool-down" in line or "event=pool-up" in line]


def test_an_outage_of_a_pool_is_an_error_in_the_log_once(env):
    """Whether panic serves, each request tries, or all get 503: nobody passes."""
    for percent, effect in (("50%", "checks are ignored"), ("0%", "requests get 503")):
        balancer, origins = unhealthy(env, percent)
        line, = until(lambda: down_lines(balancer), what="the outage in the log")
        assert "level=error" in line and 'pool="api" endpoints=4 taken_out=0' in line and effect in line, line
        balancer.ctl("drain", "api/a")
        origins[1].healthy = True
        until(lambda: len(down_lines(balancer)) == 2, what="its end")
        line = down_lines(balancer)[1]
        assert "level=info" in line and 'event=pool-up pool="api" usable=1 seconds=' in line, line
        balancer.ctl("drain", "api/b")
        until(lambda: len(down_lines(balancer)) == 3, what="the other outage")
        assert "endpoints=4 taken_out=2" in down_lines(balancer)[2], down_lines(balancer)
        balancer.stop()
    origin = env.origin()
    balancer = env.simple(origin, pool={"health": HTTP})
    origin.die()
    line, = until(lambda: down_lines(balancer), what="the outage in the log")
    assert "each request tries one" in line, line


def test_b1_maintenance_holds_in_panic(env):
    balancer, origins = unhealthy(env, "100%")
    balancer.ctl("maintenance", "api/a")
    balancer.ctl("drain", "api/b")
    with Client(balancer.port) as client:
        assert {client.get().body for _ in range(40)} == {b"c", b"d"}
    assert not origins[0].requests and not origins[1].requests


def turns(env, **balance):
    origins = [env.origin(name=name) for name in "ab"]
    return env.simple(*origins, workers=1, pool={
        "health": HTTP, "balance": {"algorithm": "round_robin", "slow_start": "1h", **balance}}), origins


def shares(balancer, count):
    with Client(balancer.port) as client:
        return Counter(client.get().body.decode() for _ in range(count))


def test_l33_who_comes_back_begins_slowly(env):
    """With an hour to go it stays at a tenth of its weight."""
    balancer, origins = turns(env)
    assert shares(balancer, 40) == {"a": 20, "b": 20}
    origins[1].healthy = False
    until(lambda: states(balancer)["b"] == "soft", what="b down")
    assert shares(balancer, 20) == {"a": 20}
    origins[1].healthy = True
    until(lambda: states(balancer)["b"] == "up", what="b up")
    seen = shares(balancer, 110)
    assert 9 <= seen["b"] <= 12, seen
    balancer.ctl("weight", "api/b", "1000")
    seen = shares(balancer, 200)
    assert 95 <= seen["b"] <= 105, seen


def test_l33_who_is_added_by_a_reload_begins_slowly(env):
    balancer, _ = turns(env)
    config = dict(balancer.config)
    config["pools"]["api"]["backends"]["c"] = {"address": env.origin(name="c").address}
    balancer.reload(config)
    seen = shares(balancer, 210)
    assert 9 <= seen["c"] <= 12 and abs(seen["a"] - seen["b"]) <= 2, seen


def test_weights_of_the_default_rule_at_run_time(env):
    """In flight per weight: of eight requests held, the heavier server has more."""
    gate = threading.Event()
    origins = [env.origin(name=name, script=[gated(gate, text())]) for name in "ab"]
    balancer = env.simple(*origins, workers=1, pool={"health": QUIET})
    balancer.ctl("weight", "api/b", "300")
    threads = [threading.Thread(target=get, args=(balancer.port,)) for _ in range(12)]
    for thread in threads:
        thread.start()
    until(lambda: sum(len(origin.requests) for origin in origins) == 12, what="twelve requests")
    held = [len(origin.requests) for origin in origins]
    gate.set()
    for thread in threads:
        thread.join()
    assert held == [3, 9], held


def test_a_full_pool_fails_fast_where_nobody_may_wait(env):
    """The circuit by concurrency: max_inflight, and a queue of nobody."""
    gate = threading.Event()
    origins = [env.origin(script=[gated(gate, text())]) for _ in range(2)]
    balancer = env.simple(workers=1, pool={
        "backends": {name: {"address": origin.address, "max_inflight": 2} for name, origin in zip("ab", origins)},
        "queue": {"limit": 0}, "health": QUIET})
    clients = [env.client(balancer.port) for _ in range(4)]
    for client in clients:
        client.request()
    until(lambda: [len(origin.requests) for origin in origins] == [2, 2], what="all places taken")
    for _ in range(5):
        answer = get(balancer.port)
        assert answer.status == 503 and b"queue-full" in answer.body and "retry-after" in answer.fields
    assert [len(origin.requests) for origin in origins] == [2, 2]
    ask = ("explain", "--client", "127.0.0.1", "http://localhost/")
    assert "too many requests wait already" in balancer.ctl(*ask, check=False).stdout
    balancer.config["pools"]["api"]["queue"] = {"limit": 1}
    balancer.reload(balancer.config)
    told = balancer.ctl(*ask, check=False)
    assert told.returncode == 1 and "it would wait: no server has a place free" in told.stdout, told.stdout
    assert "default  full" in told.stdout and "at its max_inflight" in told.stdout, told.stdout
    gate.set()
    assert [client.response().status for client in clients] == [200] * 4
    assert get(balancer.port).status == 200
