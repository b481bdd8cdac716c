"""Bounds of RELIABILITY section 2 as clients and servers of HTTP/2 meet them, each from both sides (L12, L13, L14, L16, L17,
L25); floods are in test_h2_floods.py, what a connection may make the balancer hold in test_h2_bounds.py."""
import time

from client import get
from env import until
from h2 import ENHANCE_YOUR_CALM, INITIAL_WINDOW, PING, SETTINGS, WINDOW_UPDATE, frame, settings
from origin import text

H2 = {"protocols": ["h2"]}


def client_of(env, **config):
    balancer = env.simple(env.origin(reply=lambda request: text(b"%d" % len(request.body))), listener=H2, **config)
    return balancer, env.h2_client(balancer.port).ready()


def outcome(client, stream):
    """Its status; "reset" where there is none."""
    client.wait(lambda: stream.over or client.ended_at, what="an answer")
    assert not client.ended_at, client
    return stream.status or "reset"


def test_l12_request_line(env):
    """Counted as HTTP/1.1 would spell it."""
    _, client = client_of(env, limits={"request_line": "256B"})
    room = 256 - len("GET /" + " HTTP/1.1")
    for extra, wanted in ((-1, 200), (0, 200), (1, 414)):
        assert outcome(client, client.request(path="/" + "a" * (room + extra))) == wanted, extra


def test_l13_head_fields_and_field(env):
    _, client = client_of(env, limits={"head": "2KiB", "request_line": "1KiB", "fields": 10, "field": "1KiB"})
    for count, wanted in ((9, 200), (10, 200), (11, 431)):
        assert outcome(client, client.request(fields=[(f"x-{i}", "a") for i in range(count)])) == wanted, f"{count} fields"
    for size, wanted in ((1023, 200), (1024, 200), (1025, 431)):
        assert outcome(client, client.request(fields=[("x", "a" * (size - 1))])) == wanted, f"a field of {size}"
    own = sum(len(name) + len(value) + 32 for name, value in client.head("GET", "/", []))
    rest = 3 * 1024 - own - 3 * (1 + 32)
    for extra, wanted in ((-1, 200), (0, 200), (1, 431)):
        fields = [("x", "a" * 1000), ("y", "a" * 1000), ("z", "a" * (rest - 2000 + extra))]
        assert outcome(client, client.request(fields=fields)) == wanted, f"a head of 3 KiB and {extra}"
    assert client.ping() and not client.goaways


def test_l14_trailers(env):
    _, client = client_of(env)
    for count, fine in ((16, True), (17, False)):
        stream = client.request("POST", body=b"a", trailers=[(f"x-{i}", "a") for i in range(count)])
        assert (outcome(client, stream) == 200) == fine, f"{count}: {stream}"
    room = 4096 - len("x") - 32
    for extra, fine in ((-1, True), (0, True), (1, False)):
        stream = client.request("POST", body=b"a", trailers=[("x", "a" * (room + extra))])
        assert (outcome(client, stream) == 200) == fine, f"{extra}: {stream}"
    assert client.ping() and not client.goaways


def test_l16_content(env):
    balancer, client = client_of(env, limits={"body": "1KiB"})
    for size, wanted in ((0, 200), (1023, 200), (1024, 200), (1025, 413)):
        for fields in ([("content-length", size)], []):
            assert outcome(client, client.request("POST", fields=fields, body=b"a" * size)) == wanted, (size, fields)
    until(lambda: [line["end"] for line in balancer.access_log(0)].count("limit-L16") == 2, what="limit-L16 in the log")


def test_l17_heads_of_servers(env):
    """200 fields, 64 KiB, 10 interim responses; beyond that 502."""
    own = len(":status") + len("200") + 32
    room = (64 << 10) - own - 4 * (1 + 32)
    heads = {"/200": [(f"x-{i}", "a") for i in range(200)], "/201": [(f"x-{i}", "a") for i in range(201)]}
    for path, extra in (("/large", 0), ("/larger", 1)):
        heads[path] = [(name, "a" * (room // 4 + (room % 4 + extra if name == "w" else 0))) for name in "wxyz"]

    def reply(stream):
        for _ in range(int(stream.path[1:]) if stream.path in ("/10", "/11") else 0):
            stream.connection.headers(stream.id, [(b":status", b"103"), (b"link", b"</a>")])
        stream.respond(200, heads.get(stream.path, []), b"ok")
    balancer = env.simple(env.h2_origin(reply=reply), pool={"protocol": "h2", "health": {"off": True}, "retries": {"extra": 0}})
    for path, wanted in (("/200", 200), ("/201", 502), ("/large", 200), ("/larger", 502), ("/10", 200), ("/11", 502)):
        assert get(balancer.port, path).status == wanted, path


def test_l25_settings_of_a_frame(env):
    balancer, client = client_of(env)
    client.frame(SETTINGS, 0, 0, settings(*[(0xf000 + i, 1) for i in range(32)]))
    assert client.ping() and not client.goaways, "32 of them"
    client.frame(SETTINGS, 0, 0, settings(*[(0xf000 + i, 1) for i in range(33)]))
    client.wait(lambda: client.ended_at, what="the end")
    assert client.code == ENHANCE_YOUR_CALM, client
    assert env.h2_client(balancer.port).get().status == 200


def test_l25_answers_that_nobody_takes(env):
    """100 acknowledgements that wait to be sent because the client has stopped to read; more of them end it."""
    origin = env.origin(script=[text(b"m" * (32 << 20))])
    balancer = env.simple(origin, listener=H2, workers=1, timeouts={"send": "60s"})
    for count, fine in ((90, True), (400, False)):
        client = env.h2_client(balancer.port, terms=[(INITIAL_WINDOW, 0)], receive_buffer=4096, generous=False).ready()
        stream = client.request()
        client.wait(lambda stream=stream: stream.status, what="the head")
        with client._wire:  # its reader stands still
            client.socket.setblocking(True)
            client.socket.sendall(b"".join(frame(WINDOW_UPDATE, 0, one, b"\x7f\0\0\0") for one in (0, stream.id)))
            time.sleep(1)  # the connection is full
            client.socket.sendall(frame(PING, 0, 0, b"12345678") * count)
            time.sleep(1)
            ends = [line["end"] for line in balancer.access_log(0)]
            client.socket.setblocking(False)
        assert ends == ([] if fine else ["client-abort", "h2-flood"]), (count, ends)
        client.close()
        until(lambda: balancer.metric("meridian_requests_running") == 0, what="no request")
