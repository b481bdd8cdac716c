"""Answers that stream, and content that goes on beside its answer: which time is theirs (L6-L8, L10, L41)."""
import threading
import time

from env import lengthy, seconds, until
from origin import chunked, delayed, head, text
from wire import Ended

CHUNKED = {"Transfer-Encoding": "chunked"}
KINDS = {"events": "text/event-stream", "call": "application/grpc", "plain": "text/plain", "route": "text/plain"}


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def talks(pauses):
    """Begins to answer at once, says something after each pause, then ends; the path says of what kind it is."""
    def action(connection, request):
        kind = KINDS[request.target.strip("/")]
        connection.send(head(200, [("Content-Type", kind), ("Transfer-Encoding", "chunked")]) + chunk(b"0"))
        for pause in pauses:
            time.sleep(pause)
            connection.send(chunk(b"+"))
        connection.send(b"0\r\n\r\n")
        return True
    return action


def balancer_of(env, origin, **config):
    routes = [{"match": {"path": "/route"}, "pool": "api", "streaming": True}, {"pool": "api"}]
    return env.simple(origin, routes=routes, **config)


def outcome(client):
    """The content of the answer, or None where it breaks off."""
    try:
        return client.response().body
    except (Ended, ConnectionError):
        return None


def test_l6_holds_until_the_answer_begins(env):
    """A client may take its time with what comes after that: a call in both directions, for example."""
    origin = env.origin(early=talks([0.1] * 40))
    balancer = balancer_of(env, origin, timeouts={"request_body": "1s"})
    for kind in ("plain", "call"):
        client = env.client(balancer.port).request("POST", "/" + kind, CHUNKED).send(chunk(b"a"))
        time.sleep(2.5)
        client.send(chunk(b"b") + b"0\r\n\r\n")
        assert outcome(client) == b"0" + b"+" * 40, kind
        until(lambda: origin.last().complete, what="the end of the content")
        assert origin.last().body == b"ab", kind


@seconds(90)
def test_l8_l10_silence_in_streams(env):
    """A stream may be silent for as long as a tunnel; either way ends its silence."""
    origin = env.origin(early=talks([2.5]))
    balancer = balancer_of(env, origin, timeouts={"response_body": "1s", "tunnel_idle": "20s"})
    clients = {kind: env.client(balancer.port).request("GET", "/" + kind) for kind in KINDS}
    for kind, client in clients.items():
        assert outcome(client) == (b"0+" if kind != "plain" else None), kind
    brief = balancer_of(env, env.origin(early=talks([2.8])), timeouts={"tunnel_idle": "1s"})
    silent = env.client(brief.port).request("GET", "/events")
    assert outcome(silent) is None
    assert brief.access_log()[-1]["end"] == "limit-L10"
    busy = env.client(brief.port).request("POST", "/events", CHUNKED)
    for _ in range(12):
        time.sleep(0.2)
        busy.send(chunk(b"a"))
    assert outcome(busy) == b"0+"


def test_l41_streams_have_the_time_of_tunnels(env):
    origin = env.origin(early=talks([0.1] * 30))
    balancer = balancer_of(env, origin, listener={"protocols": ["h2", "http/1.1"]},
                           drain={"requests": "1s", "tunnels": "20s"})
    clients = {kind: env.client(balancer.port).request("GET", "/" + kind) for kind in ("events", "plain")}
    both = env.h2_client(balancer.port).ready()
    streams = {kind: both.request("GET", "/" + kind) for kind in clients}
    until(lambda: len(origin.requests) == 4, what="all of them")
    stop = threading.Thread(target=balancer.stop)
    stop.start()
    assert outcome(clients["events"]) == b"0" + b"+" * 30
    assert outcome(clients["plain"]) is None
    assert both.answer(streams["events"]).body == b"0" + b"+" * 30
    assert not streams["plain"].ended
    stop.join()


TIMES = {"send": "1s", "backend_send": "1s", "response_body": "20s", "first_byte": "20s", "request_body": "20s"}


@lengthy
def test_l7_l8_who_has_taken_all_is_not_late(env):
    """Neither the client while its server says nothing, nor the server while its client does, or while it thinks."""
    def reply(request):
        if request.target == "/pauses":
            return chunked(b"one", b"two", pause=3)
        if request.target == "/events":
            return chunked(b"one", b"two", pause=3, fields=[("Content-Type", "text/event-stream")])
        return delayed(4, text(b"%d" % len(request.body)))
    balancer = env.simple(env.origin(reply=reply), workers=1, timeouts=TIMES)
    asked = [env.client(balancer.port).request(path=path) for path in ("/pauses", "/events")]
    thinks = env.client(balancer.port).request("POST", "/", body=b"m" * 1000)
    pauses = env.client(balancer.port).send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n" + b"m" * 1000)
    time.sleep(4)
    pauses.send(b"m" * 1000)
    assert [one.response().body for one in asked] == [b"onetwo"] * 2
    assert thinks.response().body == b"1000"
    assert pauses.response().body == b"2000"
