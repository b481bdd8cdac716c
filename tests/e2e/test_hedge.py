"""Hedging: a second server is asked beside a slow one (BALANCING.md and `hedge` of a pool)."""
import threading

from client import Client, get
from env import until
from origin import delayed, gated, hang_up, text

QUIET = {"health": {"tcp": {}, "interval": "60s"}}


def hedged(after="50ms", budget="100%", **pool):
    return {"hedge": {"after": after, "budget": budget}, **QUIET, **pool}


def counts(*origins):
    return [len(origin.requests) for origin in origins]


def test_a_slow_server_is_outrun(env):
    gate = threading.Event()
    slow, quick = env.origin(name="slow", script=[gated(gate, text())]), env.origin(name="quick")
    balancer = env.simple(slow, quick, workers=1, pool=hedged())
    with Client(balancer.port) as client:
        for _ in range(16):
            answer = client.get()
            assert (answer.status, answer.body) == (200, b"quick")
    gate.set()
    assert len(quick.requests) == 16
    lines = balancer.access_log(16)
    assert len(lines) == 16
    # On a machine that is busy the quick one may be late too, and the slow one asked beside it, perhaps not to the end.
    won, asked_both = sum(line.get("hedge") == "won" for line in lines), sum("hedge" in line for line in lines)
    assert 0 < won <= asked_both
    until(lambda: won <= len(slow.requests) <= asked_both, what="what the slow one was asked")
    assert all(line["backend"] == "b" and line["end"] == "ok" for line in lines)
    assert all(line["attempts"] == (2 if "hedge" in line else 1) for line in lines)
    assert balancer.metric("meridian_hedges_total") == asked_both
    assert balancer.metric("meridian_hedges_won_total") == won
    assert balancer.metric("meridian_retries_total") == 0
    until(lambda: all(one["inflight"] == 0 for one in balancer.ctl_json("backends")["backends"]), what="nothing in flight")


def test_the_first_may_still_win(env):
    """Both are slow, the first was asked earlier: one whole answer, and the loser's connection is closed."""
    origins = [env.origin(name=name, script=[delayed(0.4, text())]) for name in "ab"]
    balancer = env.simple(*origins, workers=1, pool=hedged("100ms"))
    with Client(balancer.port) as client:
        for turn in range(3):
            answer = client.get()
            assert answer.status == 200 and answer.body in (b"a", b"b")
            assert counts(*origins) == [turn + 1, turn + 1]
    assert [line["hedge"] for line in balancer.access_log(3)].count("lost") >= 2


def test_what_has_an_effect_is_never_doubled(env):
    origins = [env.origin(script=[delayed(0.3, text())]) for _ in range(2)]
    balancer = env.simple(*origins, pool=hedged("50ms"))
    for method in ["POST", "PUT", "DELETE", "PATCH"]:
        assert get(balancer.port, method=method).status == 200
    assert get(balancer.port, body=b"content").status == 200
    assert sum(counts(*origins)) == 5
    assert balancer.metric("meridian_hedges_total") == 0


def test_the_budget_bounds_them(env):
    origins = [env.origin(script=[delayed(0.05, text())]) for _ in range(2)]
    balancer = env.simple(*origins, workers=1, pool=hedged("5ms", "10%"))
    with Client(balancer.port) as client:
        assert all(client.get().status == 200 for _ in range(60))
    asked, refused = (balancer.metric(f"meridian_hedges_{name}") for name in ("total", "refused_total"))
    assert 1 <= asked <= 6 and asked + refused == 60, (asked, refused)
    assert sum(counts(*origins)) == 60 + asked


def test_a_share_of_the_answers_decides(env):
    """Nothing is known at first; then a server that is slow now and then is outrun."""
    origins = [env.origin() for _ in range(2)]
    balancer = env.simple(*origins, workers=1, pool=hedged("90%"))
    with Client(balancer.port) as client:
        for _ in range(200):
            assert client.get().status == 200
        gate = threading.Event()
        origins[0].script = [gated(gate, text())]
        held = len(origins[0].requests)
        for _ in range(12):
            assert client.get().status == 200
        assert len(origins[0].requests) > held
        gate.set()
    assert balancer.metric("meridian_hedges_won_total") > 0


def test_it_rescues_from_a_server_that_fails_late(env):
    late, fine = env.origin(script=[delayed(0.3, hang_up())]), env.origin(script=[delayed(0.4, text(b"fine"))])
    balancer = env.simple(late, fine, workers=1, pool=hedged("100ms", retries={"extra": 0}))
    for _ in range(4):
        assert get(balancer.port).body == b"fine"


def test_the_client_leaves_while_two_work(env):
    gate = threading.Event()
    origins = [env.origin(script=[gated(gate, text())]) for _ in range(2)]
    balancer = env.simple(*origins, workers=1, pool=hedged("50ms"))
    with Client(balancer.port) as client:
        client.request()
        until(lambda: counts(*origins) == [1, 1], what="both attempts")
        client.reset()
    until(lambda: all(one["inflight"] == 0 for one in balancer.ctl_json("backends")["backends"]), what="both let go")
    gate.set()
    assert balancer.access_log(1)[0]["end"] == "client-abort"


def test_http_2_servers(env):
    """The stream that lost is reset, its connection goes on."""
    gate = threading.Event()
    slow, quick = env.h2_origin(reply=lambda stream: gate.wait(30) and None), env.h2_origin()
    balancer = env.simple(slow, quick, workers=1, pool=hedged(protocol="h2", health={"off": True}))
    for _ in range(12):
        answer = get(balancer.port)
        assert (answer.status, answer.body) == (200, quick.name.encode())
    gate.set()
    assert 0 < balancer.metric("meridian_hedges_won_total") <= len(slow.requests)
    assert balancer.metric("meridian_hedges_total") == len(slow.requests)
    assert len(slow.connections) == 1
