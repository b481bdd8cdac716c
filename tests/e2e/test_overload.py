"""What is given up when memory runs out, and in which order (RELIABILITY section 5, L35, L2, L5, L20, P5,
G11). Connections that send only part of a head hold what they sent: that fills it up."""
import threading
import time

from client import get
from env import Skip, busy, seconds, until
from h2 import MAX_STREAMS, SETTINGS
from origin import gated, text

HALF = "GET / HTTP/1.1\r\nHost: a\r\n" + "".join(f"X-{i}: {'a' * 14000}\r\n" for i in range(2))
TIERS = ["none", "save", "refuse", "reset"]
SMALL = {"limits": {"memory": "32MiB"}, "timeouts": {"request_head": "120s"}, "workers": 2}


def tier(balancer):
    return TIERS.index(balancer.ctl_json("status")["overload"])


def fill(env, balancer, wanted, source, most=600, meanwhile=lambda: None):
    """Half heads from this source until the tier is reached."""
    held = []
    while tier(balancer) < wanted and len(held) < most:
        meanwhile()
        status = balancer.ctl_json("status")
        full = status["memory_bytes"] / status["memory_limit_bytes"]
        for _ in range(32 if full < 0.7 else 4):
            try:
                held.append(env.client(balancer.port, source=source).send(HALF))
            except OSError:
                return held  # reset while it was sent
        time.sleep(0.15)  # it looks ten times a second
    return held


def ended(clients, timeout=20):
    return [client.ended(timeout) for client in clients]


@busy
@seconds(180)
def test_l35_tiers_in_order(env):
    """80 %: no keep-alive. 90 %: 503 at once, 64 connections per source. 95 %: the source that holds most is
    reset, and with it the pressure ends; nobody else's request is lost, and the admin interface answers."""
    gate = threading.Event()
    origin = env.origin(reply=lambda request: gated(gate, text()) if request.target == "/wait" else text())
    balancer = env.simple(origin, **SMALL)
    legal = env.client(balancer.port, source="127.0.0.9", timeout=120).request("GET", "/wait")
    idle = env.client(balancer.port, source="127.0.0.8")
    assert "close" not in idle.get().fields.get("connection", "")

    heaviest = fill(env, balancer, 1, "127.0.0.2")
    assert tier(balancer) == 1, balancer.ctl("status")
    answer = get(balancer.port, source="127.0.0.8")
    assert answer.status == 200 and answer.fields.get("connection") == "close"
    assert idle.ended(20), "an idle connection ends after 5 s (L5)"
    assert get(balancer.port, source="127.0.0.7").status == 200

    others = []
    for number in range(20, 40):
        others += fill(env, balancer, 2, f"127.0.0.{number}", most=40)
    assert tier(balancer) == 2, balancer.ctl("status")
    answer = get(balancer.port, source="127.0.0.7")
    assert (answer.status, answer.fields.get("retry-after")) == (503, "1")
    until(lambda: any(line["end"] == "overload" for line in balancer.access_log()), what="its line in the log")
    refused = balancer.metric("meridian_connections_refused_total")
    crowd = []
    while balancer.metric("meridian_connections_refused_total") < refused + 8:
        assert len(crowd) < 600, "more than 64 connections of one source (L2)"
        crowd += [env.client(balancer.port, source="127.0.0.6").send("G") for _ in range(40)]
    for client in crowd:
        client.close()

    for number in range(40, 80):
        if balancer.metric("meridian_overload_resets_total"):
            break
        others += fill(env, balancer, 3, f"127.0.0.{number}", most=40)
    until(lambda: balancer.metric("meridian_overload_resets_total"), what="the reset of the heaviest source")
    assert balancer.admin("/healthz")[0] == 200
    assert all(ended(heaviest)), "all of the source that held most"
    until(lambda: tier(balancer) < 3, what="relief")

    gate.set()
    assert legal.response().status == 200, "a request that was under way"
    for client in others:
        client.close()
    until(lambda: tier(balancer) == 0, what="the end of it")
    answer = get(balancer.port, source="127.0.0.7")
    assert answer.status == 200 and "close" not in answer.fields.get("connection", "")
    entered = {name: balancer.metric("meridian_overload_entered_total", tier=name) for name in TIERS[1:]}
    assert all(entered.values()), entered
    assert "overload tier=save before=none" in balancer.errors()


@busy
@seconds(120)
def test_l35_at_90_the_longest_idle_go(env):
    """Not only those that have been idle for 5 s, as at 80 %."""
    balancer = env.simple(env.origin(), **SMALL)
    held = []

    def status(name):
        return balancer.ctl_json("status")[name]

    def more(count):
        for _ in range(count):
            held.append(env.client(balancer.port, source=f"127.0.0.{20 + len(held) % 80}").send(HALF))
        time.sleep(0.3)  # it looks ten times a second

    limit, before = status("memory_limit_bytes"), status("memory_bytes")
    more(80)
    each = (status("memory_bytes") - before) / len(held)
    assert each > 1000, each
    for _ in range(5):
        more(max(0, int((0.76 * limit - status("memory_bytes")) / each)))
        assert tier(balancer) == 0, balancer.ctl("status")
        idle = [env.client(balancer.port) for _ in range(10)]
        assert {client.get().status for client in idle} == {200}
        begun = time.monotonic()
        more(max(0, int((0.925 * limit - status("memory_bytes")) / each)))
        if tier(balancer) >= 2 and time.monotonic() - begun < 3:
            break
        for client in held[len(held) // 2:]:
            client.close()
        del held[len(held) // 2:]
        until(lambda: tier(balancer) == 0, what="room again")
    else:
        raise Skip("this machine is too slow to fill it up in time")
    assert all(ended(idle, max(0.1, begun + 4.5 - time.monotonic())))


@busy
@seconds(120)
def test_l20_fewer_streams_under_pressure(env):
    """HTTP/2 connections are told of 10 streams while memory is short, new ones from their beginning; and of
    100 again when it is not."""
    balancer = env.simple(env.origin(), listener={"protocols": ["h2", "http/1.1"]}, **SMALL)

    def told(client):
        frames = [one.payload for one in client.frames if one.kind == SETTINGS and one.payload]
        values = [int.from_bytes(payload[at + 2:at + 6], "big") for payload in frames
                  for at in range(0, len(payload), 6) if int.from_bytes(payload[at:at + 2], "big") == MAX_STREAMS]
        return values[-1] if values else None

    before = env.h2_client(balancer.port)
    before.wait(lambda: told(before) == 100, what="100 streams")
    held = fill(env, balancer, 1, "127.0.0.2", meanwhile=lambda: before.get("/"))
    before.wait(lambda: told(before) == 10, what="10 streams")
    after = env.h2_client(balancer.port)
    after.wait(lambda: told(after) == 10, what="10 streams at once")
    assert after.get("/").status == 200
    for client in held:
        client.close()
    until(lambda: tier(balancer) == 0, what="the end of it")
    again = env.h2_client(balancer.port)
    again.wait(lambda: told(again) == 100, what="100 streams again")
