"""Crowds of slow clients before a server with few places: who was there before, and who is in earnest, is served
(RELIABILITY G9, L34)."""
import socket
import threading
import time

from client import Client, get
from env import busy, seconds, until
from h2 import H2Client
from origin import delayed, text

PLACES, WAITING, CROWD = 64, 20, 100
BOTH = {"protocols": ["h2", "http/1.1"]}
SLOW_POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\na"


def besieged(env, begin, receive=None, places=PLACES):
    """A balancer, a client that was there before, and a crowd whose members hold or wait for the server's places."""
    origin = env.origin(reply=lambda request: text(b"m" * (8 << 20) if request.target == "/large" else b"hello"))
    balancer = env.simple(origin, workers=1, limits={"backend_connections": places},
                          pool={"queue": {"limit": WAITING, "timeout": "30s"}})
    regular = env.client(balancer.port)
    assert regular.get().status == 200
    crowd = []
    for _ in range(CROWD):
        one = socket.socket()
        env.at_end(one.close)
        if receive:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        one.connect(("127.0.0.1", balancer.port))
        one.sendall(begin)
        crowd.append(one)
    until(lambda: balancer.metric("meridian_requests_waiting") == WAITING, 20, "a full line")
    return balancer, regular


def in_two_pieces(client):
    """A POST whose content comes a moment after its head."""
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    time.sleep(0.05)
    return client.send(b"hello").response().status


@busy
@seconds(90)
def test_g9_slow_bodies_leave_places_to_others(env):
    balancer, regular = besieged(env, SLOW_POST)
    assert [regular.get().status for _ in range(20)] == [200] * 20
    assert in_two_pieces(regular) == 200
    assert get(balancer.port).status == 200, "a new client whose request is there"
    with Client(balancer.port) as client:
        assert in_two_pieces(client) == 200, "and one whose content comes soon"
    assert regular.get(method="POST", body=b"m" * 200000).status == 200, "an upload, by who goes on sending it"


@busy
@seconds(90)
def test_l34_bodies_that_stall_make_room(env):
    balancer, _ = besieged(env, SLOW_POST)
    until(lambda: sum(line["end"] == "limit-L6" for line in balancer.access_log()) > PLACES // 4, 20, "their ends")
    odd = [line for line in balancer.access_log() if line["end"] == "limit-L6" and line["status"] != 408]
    assert not odd, odd[:2]


@busy
@seconds(90)
def test_g9_readers_that_stall_leave_places_to_others(env):
    _, regular = besieged(env, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n", receive=4096)
    assert [regular.get().status for _ in range(50)] == [200] * 50


@busy
@seconds(90)
def test_g9_readers_that_stall_leave_one_of_few_places_to_others(env):
    balancer, regular = besieged(env, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n", receive=4096, places=4)
    until(lambda: sum(line["end"] == "limit-L7" for line in balancer.access_log()) >= 3, 20, "a row of ends")
    assert [regular.get().status for _ in range(50)] == [200] * 50
    lines = [line for line in balancer.access_log() if line["status"] == 200 and line["end"] == "ok"]
    waited = [line["queue"] for line in lines[-50:] if line["queue"]]
    assert len(waited) < 5, waited


def test_l18_the_kernel_keeps_little_for_who_takes_nothing(env):
    """It would take megabytes for each, until it has nothing left for anybody."""
    origin = env.origin(reply=lambda request: text(b"m" * (1 << 20)))
    balancer = env.simple(origin)
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", balancer.port))
        one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: origin.requests, what="the request")
        time.sleep(0.5)
        assert balancer.metric("meridian_requests_running") == 1, "it is held back"
        assert len(get(balancer.port).body) == 1 << 20, "and others are not"


def held(env, seconds_held=1.5, **config):
    """A balancer whose server's only place is held for a while by a request to /hold."""
    origin = env.origin(reply=lambda request: delayed(seconds_held, text(b"held")) if request.target == "/hold"
                        else text(str(len(request.body)).encode()))
    pool = {"queue": {"limit": WAITING, "timeout": "8s"}}
    balancer = env.simple(origin, workers=1, limits={"backend_connections": 1}, pool=pool, **config)
    holder = env.client(balancer.port)
    assert holder.get().status == 200, "it is one that was there before"
    holder.request("GET", "/hold")
    until(lambda: any(request.target == "/hold" for request in origin.requests), 10, "the place to be held")
    return balancer, holder


def test_h22_content_that_comes_while_a_server_is_waited_for(env):
    """In two pieces, which together are more than is kept for another attempt."""
    balancer, holder = held(env)
    with Client(balancer.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"m" * 10000)
        until(lambda: balancer.metric("meridian_requests_waiting") == 1, 10, "the request to wait")
        time.sleep(0.2)
        answer = client.send(b"m" * 190000).response()
    assert (answer.status, answer.body) == (200, b"200000")
    assert holder.response().status == 200


def test_l18_content_that_waits_is_kept_beside_what_is_kept_for_other_attempts(env):
    origin = env.origin(reply=lambda request: delayed(2, text(str(len(request.body)).encode())))
    balancer = env.simple(origin, workers=1, limits={"backend_connections": 20}, listener=BOTH,
                          pool={"queue": {"limit": WAITING, "timeout": "8s"}})
    with H2Client(balancer.port) as client:
        streams = [client.request("POST", body=b"m" * 60000) for _ in range(20)]
        until(lambda: len(origin.requests) == 20 and all(len(one.body) == 60000 for one in origin.requests), 10,
              "all places to be taken")
        late = client.request("POST", body=b"m" * 60000)
        for one in [*streams, late]:
            assert client.answer(one).status == 200 and one.body == b"60000", one


def test_l18_content_is_invited_when_that_of_others_has_gone(env):
    balancer, _ = held(env, 6, listener=BOTH)
    with H2Client(balancer.port) as client:
        asked = [client.request("POST", fields=[("expect", "100-continue"), ("content-length", "5")], end=False)
                 for _ in range(10)]
        until(lambda: balancer.metric("meridian_requests_waiting") == len(asked), 10, "all to wait")
        until(lambda: sum(bool(one.interim) for one in asked) == 8, 10, "some to be invited")
        for one in asked[:8]:
            one.cancel()
        client.wait(lambda: all(one.interim for one in asked), 3, "the others to be invited")


@busy
@seconds(60)
def test_l34_a_body_that_stalls_after_its_wait_makes_room(env):
    balancer, holder = held(env, route={"timeouts": {"request_body": "50s"}, "limits": {"request_rate": "0B/s"}})
    with Client(balancer.port) as slow:
        slow.send(SLOW_POST)
        until(lambda: balancer.metric("meridian_requests_waiting") == 1, 10, "the request to wait")
        assert holder.response().status == 200
        assert get(balancer.port).status == 200, "who waits for its place gets it"
        assert slow.response().status == 408


@busy
@seconds(60)
def test_l9_who_is_new_is_served_while_others_fill_the_servers(env):
    """Clients that were there before never leave a place unused: each asks again as soon as it has its answer."""
    origin = env.origin(reply=lambda request: delayed(0.05, text(b"hello")))
    balancer = env.simple(origin, workers=1, limits={"backend_connections": 2},
                          pool={"queue": {"limit": 50, "timeout": "3s"}})
    over = threading.Event()
    statuses = []

    def ask():
        with Client(balancer.port) as client:
            while not over.is_set():
                statuses.append(client.get().status)

    old = [threading.Thread(target=ask) for _ in range(8)]
    env.at_end(over.set)
    for one in old:
        one.start()
    until(lambda: len(statuses) > 50, 10, "all to have been served once")
    new = [get(balancer.port).status for _ in range(2)]
    over.set()
    for one in old:
        one.join()
    assert new == [200, 200]
    assert set(statuses) == {200}
