"""Copies of requests for another pool: never seen, never waited for, bounded."""
import copy

from client import get
from env import until
from origin import reset, never, text


def mirrored(env, shadow, mirror=None, main=None, **config):
    port = env.port()
    main = main or env.origin(name="main")
    balancer = env.meridian({
        "workers": 1,
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"main": {"backends": {"m": {"address": main.address}}},
                  "shadow": {"backends": {"s": {"address": shadow.address}}, **config.pop("pool", {})}},
        "routes": [{"name": "all", "pool": "main", "mirror": {"pool": "shadow", **(mirror or {})},
                    "rewrite": {"add_prefix": "/v2"}}], **config})
    balancer.port, balancer.main = port, main
    return balancer


def test_mirror_gets_a_copy(env):
    shadow = env.origin(script=[text(b"x" * 100000, status=500)])
    balancer = mirrored(env, shadow)
    for n, (method, body) in enumerate([("GET", b""), ("POST", b"y" * 60000), ("DELETE", b"")], 1):
        answer = get(balancer.port, "/a?b=c", method=method, body=body, headers={"X-Mine": "1"})
        assert answer.status == 200 and answer.body == b"main"
        until(lambda: len(shadow.requests) == n, what="the copy")
        until(lambda: balancer.metric("meridian_backend_requests_running", pool="shadow") == 0, what="the end of its answer")
        theirs, ours = shadow.last(), balancer.main.last()
        for one in (theirs, ours):
            assert (one.method, one.target, one.body) == (method, "/v2/a?b=c", body)
            assert one.fields.get("x-mine") == "1"
        for name in ("x-request-id", "x-forwarded-for", "host", "via"):
            assert theirs.fields.all(name) == ours.fields.all(name), name
    assert len(shadow.connections) == 1, "answers are read to their end, connections are used again"
    until(lambda: balancer.metric("meridian_mirrored_total", route="all") == 3)
    assert balancer.metric("meridian_requests_total", route="all") == 3
    assert len(balancer.access_log(3)) == 3


def test_mirror_that_breaks_is_not_felt(env):
    for shadow in (env.origin(script=[reset()]), env.origin(script=[never()]), env.origin(listen=False)):
        balancer = mirrored(env, shadow, {"inflight": 2}, drain={"requests": "1s", "tunnels": "1s"})
        for _ in range(12):
            assert get(balancer.port).body == b"main"
        assert len(balancer.main.requests) == 12
    made, dropped = (balancer.metric(f"meridian_{name}_total", route="all") for name in ("mirrored", "mirror_dropped"))
    assert made + dropped == 12


def test_mirror_is_bounded(env):
    shadow = env.origin(script=[never()])
    balancer = mirrored(env, shadow, {"inflight": 3}, drain={"requests": "1s", "tunnels": "1s"})
    for _ in range(10):
        assert get(balancer.port).body == b"main"
    assert balancer.metric("meridian_mirrored_total", route="all") == 3
    assert balancer.metric("meridian_mirror_dropped_total", route="all") == 7


def endless(connection, _request):
    """Says the head, and goes on as long as anybody listens."""
    connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.send(b"z" * 65536)


def test_mirror_whose_answers_never_end(env):
    """Nobody reads them for ever: a copy is done after 1 MiB, so that others can be made, and its server is as good as before."""
    shadow = env.origin(script=[endless])
    balancer = mirrored(env, shadow, {"inflight": 2})
    for n in range(1, 9):
        assert get(balancer.port).body == b"main"
        until(lambda: balancer.metric("meridian_mirrored_total", route="all") == n, what="a copy")
        until(lambda: balancer.metric("meridian_backend_requests_running", pool="shadow") == 0, what="its end")
    assert balancer.metric("meridian_mirror_dropped_total", route="all") == 0
    until(lambda: shadow.open_count() == 0, what="the end of its connections")
    assert balancer.metric("meridian_requests_ended_total", reason="ok") == 16


def test_mirror_of_large_content(env):
    shadow = env.origin()
    balancer = mirrored(env, shadow, {"content": "1KiB"})
    for size in (1025, 200000, 1024):
        assert get(balancer.port, method="POST", body=b"z" * size).body == b"main"
    until(lambda: shadow.requests, what="the copy")
    assert [len(one.body) for one in shadow.requests] == [1024]
    assert balancer.metric("meridian_mirror_dropped_total", route="all") == 2


def test_mirror_obeys_residency(env):
    """A copy of a client's request goes nowhere that the client's own could not."""
    shadow = env.origin()
    places = [("5.1.0.0/16", "FR", "EU", "IDF", 48.9, 2.35, 10), ("5.2.0.0/16", "US", "NA", "NY", 40.7, -74.0, 20)]
    balancer = mirrored(
        env, shadow, geo={"databases": [env.geo_database(places)]},
        trusted_proxies={"from": ["127.0.0.0/8"], "header": "x-forwarded-for"},
        pool={"residency": {"rules": [{"countries": ["FR"], "deny": 451}]}})
    for client in ("5.1.0.1", "9.9.9.9", "5.2.0.1"):
        assert get(balancer.port, "/" + client, headers={"X-Forwarded-For": client}).body == b"main"
    until(lambda: shadow.requests, what="the copy")
    assert [one.target for one in shadow.requests] == ["/v2/5.2.0.1"]


def test_mirror_problems(env):
    balancer = mirrored(env, env.origin())
    for mirror, said in [({"pool": "shadw"}, "did you mean 'shadow'"), ({"share": "5%"}, "'pool' is missing"),
                         ({"pool": "shadow", "share": "0%"}, "share"), ({"pool": "shadow", "content": "1MiB"}, "content")]:
        config = copy.deepcopy(balancer.config)
        config["routes"][0]["mirror"] = mirror
        balancer.write(config)
        done = balancer.run("-t")
        assert done.returncode == 1 and said in done.stdout + done.stderr, (mirror, done)


def test_mirror_does_not_hold_up_the_end(env):
    shadow = env.origin(script=[never()])
    balancer = mirrored(env, shadow, drain={"requests": "10m", "tunnels": "10m"})
    assert get(balancer.port).body == b"main"
    until(lambda: shadow.requests, what="the copy")
    balancer.stop()
