"""Deadlines: one for a request as a whole, in the queue, in retries, and told to servers (A11)."""
import re
import threading
import time

from client import Client, get
from env import until
from origin import accept_websocket, delayed, gated, hang_up, never, text

QUIET = {"health": {"tcp": {}, "interval": "60s"}}


def total(limit, **route):
    return {"timeouts": {"total": limit}, **route}


def test_a11_a_request_as_a_whole(env):
    """Each attempt would have time, all of them together have not."""
    origins = [env.origin(script=[never()]) for _ in range(3)]
    balancer = env.simple(*origins, pool=QUIET, route={"timeouts": {"total": "900ms", "first_byte": "400ms"}})
    answer = get(balancer.port)
    assert answer.status == 504 and b"deadline" in answer.body
    assert sum(len(origin.requests) for origin in origins) in (2, 3)
    assert balancer.access_log(1)[0]["end"] == "deadline"


def test_a11_waiting_counts(env):
    gate = threading.Event()
    origin = env.origin(script=[gated(gate, text())])
    balancer = env.simple(origin, workers=1, route=total("500ms"), pool={
        "backends": {"a": {"address": origin.address, "max_inflight": 1}}, "queue": {"timeout": "30s"}, **QUIET})
    with Client(balancer.port) as first, Client(balancer.port) as second:
        first.request()
        until(lambda: origin.requests, what="the first request")
        second.request()
        assert [client.response().status for client in (second, first)] == [504, 504]
    gate.set()
    until(lambda: get(balancer.port).status == 200, what="a free server")


def test_a11_the_content_counts_and_the_cut_shows(env):
    def endless(connection, _request):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.send(b"1\r\nx\r\n")
            time.sleep(0.02)
    balancer = env.simple(env.origin(script=[endless]), route=total("500ms"))
    with Client(balancer.port) as client:
        client.request()
        seen = client.everything()
    assert seen.startswith(b"HTTP/1.1 200") and not seen.endswith(b"0\r\n\r\n")
    assert balancer.access_log(1)[0]["end"] == "deadline"


def test_a11_servers_are_told_what_is_left(env):
    """With each attempt less; what the client says itself is not passed on."""
    first, second = (env.origin(script=[delayed(0.2, hang_up())]) for _ in range(2))
    balancer = env.simple(first, second, pool={"retries": {"extra": 1}, **QUIET}, route=total(
        "5s", request_headers={"set": {"X-Time-Left": "{deadline}"}}))
    assert get(balancer.port, headers={"X-Time-Left": "999999"}).status == 502
    left = sorted(int(one.last().fields.get("x-time-left")) for one in (first, second))
    assert 0 < left[0] <= left[1] - 150 and left[1] <= 5000, left


def test_a11_no_deadline_no_field(env):
    origin = env.origin()
    balancer = env.simple(origin, route={"request_headers": {"set": {"X-Time-Left": "{deadline}"}}})
    assert get(balancer.port, headers={"X-Time-Left": "7"}).status == 200
    assert "x-time-left" not in origin.last().fields


def call(balancer, **headers):
    return get(balancer.port, method="POST", headers={"Content-Type": "application/grpc", **headers}, body=b"\0\0\0\0\0")


def micros(origin):
    found = re.fullmatch(r"(\d{1,8})u", origin.last().fields.get("grpc-timeout"))
    assert found, origin.last().fields.get("grpc-timeout")
    return int(found[1])


def test_a11_grpc_timeout_shrinks(env):
    origin = env.origin()
    balancer = env.simple(origin, route=total("3s"))
    assert call(balancer, **{"grpc-timeout": "2S"}).status == 200
    assert 0 < micros(origin) <= 2_000_000
    assert call(balancer, **{"grpc-timeout": "1M"}).status == 200
    assert 2_000_000 < micros(origin) <= 3_000_000
    assert call(balancer).status == 200
    assert 2_000_000 < micros(origin) <= 3_000_000
    plain = env.simple(origin)
    assert call(plain).status == 200
    assert "grpc-timeout" not in origin.last().fields


def test_a11_tunnels_have_no_end(env):
    balancer = env.simple(env.origin(script=[accept_websocket]), route=total("300ms", websocket=True))
    with Client(balancer.port) as client:
        client.request(headers={"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
        assert client.response().status == 101
        time.sleep(0.7)
        client.send(b"still there")
        assert client.socket.recv(64) == b"still there"
