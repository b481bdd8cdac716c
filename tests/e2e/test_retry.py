"""Retries (rule H22, limit L30) and broken connections at each point (F1-F3)."""
import signal
import threading
import time

from client import Client, get
from env import until
from h2 import INTERNAL_ERROR
from origin import delayed, gated, hang_up, reset, text
from wire import Ended

HALF_HEAD = b"HTTP/1.1 200 OK\r\nContent-Le"


def quiet(**pool):
    """A pool whose checks do not interfere with what a test counts."""
    return {"health": {"tcp": {}, "interval": "60s"}, **pool}


def attempts(*origins):
    return sum(len(origin.requests) for origin in origins)


def test_h22_refused_connection_goes_elsewhere_for_any_method(env):
    """F1: one backend refuses, no request fails, POST included."""
    dead, alive = env.origin(listen=False), env.origin()
    balancer = env.simple(dead, alive)
    for method in ["GET", "POST", "PATCH", "DELETE"] * 10:
        assert get(balancer.port, method=method, body=b"x" if method == "POST" else b"").status == 200
    assert len(alive.requests) == 40


def test_h22_idempotent_is_repeated_after_a_reset(env):
    """F2, F3: reset or close before the head and inside it."""
    for action in [reset(), hang_up(), reset(HALF_HEAD), hang_up(HALF_HEAD)]:
        bad, good = env.origin(script=[action]), env.origin()
        balancer = env.simple(bad, good, pool=quiet())
        for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"] * 4:
            assert get(balancer.port, method=method, body=b"put" if method == "PUT" else b"").status == 200, method
        assert bad.requests and len(good.requests) == 20
        balancer.stop()


def test_h22_post_is_never_sent_twice(env):
    for action in [reset(), hang_up(), reset(HALF_HEAD)]:
        first, second = env.origin(script=[action]), env.origin(script=[action])
        balancer = env.simple(first, second, pool=quiet())
        for method in ["POST", "PATCH"]:
            assert get(balancer.port, method=method, body=b"once").status == 502
        assert attempts(first, second) == 2
        balancer.stop()


def test_h22_large_body_is_not_repeated(env):
    first, second = env.origin(script=[reset()]), env.origin(script=[reset()])
    balancer = env.simple(first, second, pool=quiet())
    answer = get(balancer.port, method="PUT", body=b"a" * (1 << 20))
    assert answer.status == 502
    assert attempts(first, second) == 1


def test_h22_nothing_is_repeated_once_the_client_saw_bytes(env):
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"
    first, second = env.origin(script=[reset(cut)]), env.origin(script=[reset(cut)])
    balancer = env.simple(first, second, pool=quiet())
    with Client(balancer.port) as client:
        client.request()
        try:
            client.response()
            raise AssertionError("a cut answer looked complete")
        except (Ended, ConnectionError):
            pass
    time.sleep(0.3)
    assert attempts(first, second) == 1


def test_l30_two_more_attempts_each_elsewhere(env):
    origins = [env.origin(script=[reset()]) for _ in range(5)]
    balancer = env.simple(*origins, pool=quiet())
    assert get(balancer.port).status == 502
    assert attempts(*origins) == 3
    assert max(len(origin.requests) for origin in origins) == 1


def test_l30_budget(env):
    """A pool that resets everything is not asked much more often than there are requests."""
    origins = [env.origin(script=[reset()]) for _ in range(3)]
    balancer = env.simple(*origins, pool=quiet())
    started = time.monotonic()
    count = 300
    with Client(balancer.port) as client:
        for _ in range(count):
            assert client.get().status in (502, 503)
    elapsed = time.monotonic() - started
    limit = count * 1.2 + 10 * (elapsed + 10) + 10
    assert attempts(*origins) <= limit, f"{attempts(*origins)} attempts for {count} requests in {elapsed:.1f} s"


def test_l30_budget_of_used_connections(env):
    """That a connection had been used excuses nothing where the server took the request: one that resets every stream of HTTP/2,
    or ends the connection of HTTP/1.1 at certain requests, is asked no more often than that."""
    def of_path(request):
        return hang_up() if request.target == "/bad" else text()
    cases = (("h2", env.h2_origin(reply=lambda stream: stream.cancel(INTERNAL_ERROR))), ("http/1.1", env.origin(reply=of_path)))
    for protocol, origin in cases:
        balancer = env.simple(origin, workers=1, pool=quiet(protocol=protocol))
        count, started = 600, time.monotonic()
        with Client(balancer.port) as client:
            for _ in range(count):
                assert client.get("/bad").status in (502, 503)
                assert protocol == "h2" or client.get("/good").status == 200
        limit = 0.2 * 2 * count + 10 * (time.monotonic() - started + 10) + 10
        again = int(balancer.metric("meridian_retries_total") or 0)
        assert again <= limit, f"{again} times again for {count} requests with {protocol}"
        balancer.stop()


def test_no_retry_where_it_is_off(env):
    first, second = env.origin(script=[reset()]), env.origin(script=[reset()])
    balancer = env.simple(first, second, pool=quiet(retries={"extra": 0}))
    assert get(balancer.port).status == 502
    assert attempts(first, second) == 1


def test_retry_on_status(env):
    busy, free = env.origin(script=[text(b"busy", 503)]), env.origin(script=[text(b"free")])
    balancer = env.simple(busy, free, pool=quiet(retries={"on": ["connect", "reset", 503]}))
    for _ in range(10):
        assert get(balancer.port).status == 200
    assert get(balancer.port, method="POST", body=b"x").status in (200, 503)


def test_status_passes_where_not_asked_for(env):
    balancer = env.simple(env.origin(script=[text(b"mine", 503, {"Retry-After": "7"})]), pool=quiet())
    answer = get(balancer.port)
    assert (answer.status, answer.body, answer.fields.get("retry-after")) == (503, b"mine", "7")


def test_f2_backend_dies_between_keep_alive_requests(env):
    origin = env.origin()
    balancer = env.simple(origin, workers=1, pool=quiet())
    with Client(balancer.port) as client:
        for _ in range(5):
            assert client.get().status == 200
            origin.die()
            origin.listen()
    assert len(origin.requests) == 5


def test_f2_reuse_race_is_repeated(env):
    """The backend resets the second request of every connection without an answer."""
    def reply(request):
        return text()

    origin = env.origin(reply=reply)
    second = env.origin(reply=reply)
    for one in (origin, second):
        seen = {}

        def only_first(request, one=one, seen=seen):
            connection = next(c for c in one.connections if request in c.requests)
            seen[id(connection)] = seen.get(id(connection), 0) + 1
            return text() if seen[id(connection)] == 1 else reset()
        one.reply = only_first
    balancer = env.simple(origin, second, workers=1, pool=quiet(retries={"budget": "100%"}))
    with Client(balancer.port) as client:
        for _ in range(30):
            assert client.get().status == 200


def test_f2_resting_connections_that_all_end_at_once_cost_no_retry(env):
    """A server closes all of its resting connections while 400 requests are on their way to them: far more than the budget of
    retries (L30) has. Each goes again on a new connection, once, and nobody notices."""
    origin = env.origin(reply=lambda _: delayed(1, text()))
    balancer = env.simple(origin, workers=1, listener={"protocols": ["h2"]}, pool=quiet())
    clients = [env.h2_client(balancer.port).ready() for _ in range(40)]

    def asked():
        return [(client, client.request("GET", "/")) for client in clients for _ in range(10)]
    assert {client.answer(one).status for client, one in asked()} == {200}
    until(lambda: origin.open_count() == 400, what="as many connections")
    balancer.signal(signal.SIGSTOP)
    crowd = asked()
    time.sleep(0.3)
    origin.die()
    origin.listen()
    balancer.signal(signal.SIGCONT)
    assert {client.answer(one).status for client, one in crowd} == {200}
    assert max(line["attempts"] for line in balancer.access_log(800)) == 2


def test_g6_a_backend_killed_under_load(env):
    """One of three backends dies in the middle: no idempotent request fails."""
    origins = [env.origin(reply=lambda request: text(b"x" * 100)) for _ in range(3)]
    balancer = env.simple(*origins)
    load = env.load(f"http://127.0.0.1:{balancer.port}/", "--rate", 200, "--seconds", 4, "--connections", 32,
                    background=True)
    time.sleep(1.5)
    origins[1].die()
    report = env.load_report(load)
    assert report["failed"] == 0, report
    assert report["completed"] >= 700
    assert until(lambda: balancer.alive())


def test_l18_what_one_connection_keeps_is_bounded(env):
    """Of many uploads side by side the first are kept for another attempt, less than a mebibyte of them; the others have one."""
    gate = threading.Event()
    origins = [env.origin(script=[gated(gate, action)]) for action in (reset(), text(b"ok"))]
    balancer = env.simple(*origins, pool={"health": {"off": True}, "retries": {"budget": "100%"}},
                          listener={"protocols": ["h2"]}, workers=1)
    client = env.h2_client(balancer.port).ready()
    body = b"u" * 60000
    streams = [client.request("PUT", "/", [("content-length", len(body))], body) for _ in range(60)]
    until(lambda: attempts(*origins) == 60, 20, "all requests")
    gate.set()
    client.wait(lambda: all(one.over for one in streams), 20, "answers")
    failed = [one for one in streams if one.status != 200]
    assert {one.status for one in failed} == {502}, failed
    kept = (1 << 20) // len(body)
    assert 0 < attempts(*origins) - 60 <= kept and len(failed) >= 20 - kept, (attempts(*origins), len(failed))
