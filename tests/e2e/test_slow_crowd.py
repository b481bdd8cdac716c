"""Crowds of slow clients before a server with few places: who was there before, and who is in earnest, is served
(RELIABILITY G9, L34)."""
import socket
import time

from client import Client, get
from env import busy, seconds, until
from origin import text

PLACES, WAITING, CROWD = 64, 20, 100
SLOW_POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\na"


def besieged(env, begin, receive=None):
    """A balancer, a client that was there before, and a crowd whose members hold or wait for the server's places."""
    origin = env.origin(reply=lambda request: text(b"m" * (8 << 20) if request.target == "/large" else b"hello"))
    balancer = env.simple(origin, workers=1, limits={"backend_connections": PLACES},
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
