"""Health checks and what follows from them (limits L31-L33, rules B1-B5)."""
import time

from client import Client, get
from env import until
from origin import gated, text

HTTP = {"http": {"path": "/healthz"}, "interval": "300ms", "timeout": "200ms", "fall": 2, "rise": 2}


def only(balancer, origin, others, count=12):
    """True when `count` requests in a row all went to this origin."""
    before = [len(other.requests) for other in others]
    statuses = [get(balancer.port).status for _ in range(count)]
    return statuses == [200] * count and before == [len(other.requests) for other in others] and origin.requests


def test_failing_check_takes_a_backend_out_and_back(env):
    first, second = env.origin(), env.origin()
    balancer = env.simple(first, second, pool={"health": HTTP})
    until(lambda: first.probes and second.probes, what="probes")
    first.healthy = False
    until(lambda: only(balancer, second, [first]), what="traffic only to the healthy one")
    first.healthy = True
    before = len(first.requests)

    def used():
        get(balancer.port)
        return len(first.requests) > before
    until(used, what="the recovered backend's return")


def test_c2_a_good_answer_says_what_it_should(env):
    """The page is there, but of something else than what was asked for."""
    pages = [b"{status: ok}", b"{status: ok}"]
    first, second = (env.origin(reply=lambda request, i=i: text(pages[i] if request.target == "/up" else b"")) for i in (0, 1))
    balancer = env.simple(first, second, pool={"health": {**HTTP, "http": {"path": "/up", "contains": "status: ok"}}})
    until(lambda: balancer.metric("meridian_health_checks_total", result="good") >= 2, what="good checks")
    pages[0] = b"<html>Welcome to your new server</html>"

    def healths():
        return [row["health"] for row in balancer.ctl_json("backends")["backends"]]

    until(lambda: healths() == ["soft", "up"], what="its end")
    assert {get(balancer.port).status for _ in range(20)} == {200}
    pages[0] = pages[1]
    until(lambda: healths() == ["up", "up"], what="its return")


def test_no_request_fails_when_a_backend_stops(env):
    first, second = env.origin(), env.origin()
    balancer = env.simple(first, second, pool={"health": HTTP})
    with Client(balancer.port) as client:
        for turn in range(60):
            if turn == 20:
                first.die()
            assert client.get().status == 200
            time.sleep(0.01)


def test_all_down_is_503_with_retry_after(env):
    origin = env.origin(listen=False)
    balancer = env.simple(origin, pool={"health": HTTP})

    def refused():
        answer = get(balancer.port)
        return answer if answer.status == 503 else None
    answer = until(refused, what="503")
    assert int(answer.fields.get("retry-after")) >= 1
    origin.listen()
    until(lambda: get(balancer.port).status == 200, what="recovery without a restart")


def test_b3_optimistic_start(env):
    """A backend serves before its first check has an answer."""
    balancer = env.simple(env.origin(), pool={"health": {**HTTP, "interval": "60s"}})
    assert get(balancer.port).status == 200


def test_tcp_check(env):
    first, second = env.origin(), env.origin()
    balancer = env.simple(first, second, pool={"health": {"tcp": {}, "interval": "300ms", "timeout": "200ms",
                                                          "fall": 2, "rise": 2}})
    first.die()
    until(lambda: only(balancer, second, [first]), what="traffic only to the one that listens")
    first.listen()

    def used():
        get(balancer.port)
        return bool(first.requests)
    until(used, what="the return")


def test_check_that_times_out_fails(env):
    import threading
    gate = threading.Event()
    slow, good = env.origin(), env.origin()
    slow.healthy = True
    balancer = env.simple(slow, good, pool={"health": {**HTTP, "http": {"path": "/slow-check"}}})
    slow.reply = lambda request: gated(gate, text()) if request.target == "/slow-check" else text()
    good.reply = lambda request: text()

    def down():
        states = {row["name"]: row for row in backends(balancer)}
        return "up" not in str(states["a"].get("health", states["a"].get("state"))).lower()
    until(down, what="the slow one's fall")
    gate.set()


def backends(balancer):
    """The rows of `meridianctl --json backends`, whatever object they stand in."""
    rows = balancer.ctl_json("backends")
    rows = rows if isinstance(rows, list) else next(value for value in rows.values() if isinstance(value, list))
    for row in rows:
        row["name"] = str(row.get("backend", row.get("name"))).split("/")[-1].split("@")[0]
    return rows


def test_state_survives_reload(env):
    bad, good = env.origin(listen=False), env.origin()
    balancer = env.simple(bad, good, pool={"health": {**HTTP, "interval": "1s", "timeout": "1s"}})
    until(lambda: "up" not in state_of(balancer, "a"), what="the fall")
    balancer.reload(balancer.config)
    assert "up" not in state_of(balancer, "a")
    assert "up" in state_of(balancer, "b")


def state_of(balancer, name):
    row = next(row for row in backends(balancer) if row["name"] == name)
    return str(row.get("health", row.get("state"))).lower()


def test_live_failures_count_without_checks(env):
    """B2, L32: connect failures of traffic take a backend out long before the next check."""
    dead, alive = env.origin(), env.origin()
    balancer = env.simple(dead, alive, pool={"health": {"tcp": {}, "interval": "60s"}})
    assert get(balancer.port).status == 200
    dead.die()
    for _ in range(40):
        assert get(balancer.port).status == 200
    until(lambda: "up" not in state_of(balancer, "a"), 5, "the fall of the one that refuses")


def test_l31_probe_rate(env):
    origin = env.origin()
    env.simple(origin, pool={"health": {**HTTP, "interval": "500ms"}})
    until(lambda: origin.probes >= 2)
    before, started = origin.probes, time.monotonic()
    time.sleep(3)
    rate = (origin.probes - before) / (time.monotonic() - started)
    assert 1 <= rate <= 3.2, rate


def test_health_status_list(env):
    odd, good = env.origin(), env.origin()
    odd.reply = lambda request: text(b"", 404)
    good.reply = lambda request: text(b"", 204)
    balancer = env.simple(odd, good, pool={"health": {**HTTP, "http": {"path": "/check", "status": "204"}}})
    until(lambda: "up" not in state_of(balancer, "a"), what="the fall of the one that says 404")
    assert "up" in state_of(balancer, "b")
