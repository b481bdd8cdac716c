"""A client of HTTP/2 that reads what it has asked for, but slowly: the rest of it waits, and none is refused for want of room in
what its connection may make the balancer hold (RELIABILITY L18). What servers of HTTP/2 say of themselves, heads and trailers,
cannot be held back there: requests wait before these are asked."""
import collections
import time

from env import busy, lengthy, seconds, until
from h2 import INITIAL_WINDOW, MAX_STREAMS, REFUSED_STREAM, H2Client

MANY = 100  # L20
BODY = 100_000


class Slow(H2Client):
    """So many bytes a second, and no more in the system's buffers than need be."""

    def __init__(self, port, rate, window):
        self.rate, self.due = rate, time.monotonic()
        super().__init__(port, terms=[(INITIAL_WINDOW, window)], receive_buffer=16384)

    def _more(self):
        data = super()._more()
        now = time.monotonic()
        self.due = max(self.due, now - 0.05) + len(data) / self.rate
        if self.due > now:
            time.sleep(self.due - now)
        return data


def read_slowly(env, rate, window, rounds, fields, trailers):
    def reply(stream):
        stream.respond(200, fields, bytes(BODY), trailers)
    origin = env.h2_origin(reply=reply, terms=[(MAX_STREAMS, MANY)])
    balancer = env.simple(origin, pool={"protocol": "h2", "health": {"off": True}}, listener={"protocols": ["h2"]}, workers=1)
    client = Slow(balancer.port, rate, window)
    env._ends.callback(client.close)
    client.ready().get()  # by then it is known how large its answers are
    for _ in range(rounds):
        left = MANY
        while left:  # what was refused is asked for again
            streams = [client.request() for _ in range(left)]
            client.wait(lambda streams=streams: client.ended_at or all(one.over for one in streams), 100, "answers")
            answered = [one for one in streams if one.reset != REFUSED_STREAM]
            for one in answered:
                assert one.ended and one.reset is None and one.status == 200 and len(one.body) == BODY, one
                assert bool(one.trailers) == bool(trailers), one
            left -= len(answered)
    until(lambda: len(balancer.access_log()) >= rounds * MANY + 1, what="lines")
    ends = collections.Counter(line["end"] for line in balancer.access_log())
    assert set(ends) == {"ok"}, ends


@busy
@lengthy
@seconds(180)
def test_l18_slow_readers_get_all_answers(env):
    """Heads of 10 KiB and trailers of 4 KB around 100 KB of content, 100 at a time; the windows of the client are as small as the
    protocol has them at first."""
    fields, trailers = [(f"x-large-{turn}", "m" * 3400) for turn in range(3)], [("x-sum", "t" * 4000)]
    read_slowly(env, 4e6, 65535, 3, fields, trailers)


@busy
@lengthy
@seconds(180)
def test_l18_slow_readers_of_large_heads(env):
    """24 KiB each, of which 40 find room at a time."""
    read_slowly(env, 8e6, 16384, 2, [(f"x-large-{turn}", "m" * 4000) for turn in range(6)], [])


@busy
@seconds(60)
def test_l18_requests_wait_for_no_silent_server(env):
    """100 at a time to a server that says nothing for a second: all of them have been sent to it by then, as its answers will not
    all come together with those that would be large."""
    asked = []

    def reply(stream):
        asked.append(stream.id)
        until(lambda: len(asked) == MANY, 20, "all requests")
        stream.respond(200, [], b"hello")
    origin = env.h2_origin(reply=reply, terms=[(MAX_STREAMS, MANY)])
    balancer = env.simple(origin, pool={"protocol": "h2", "health": {"off": True}}, listener={"protocols": ["h2"]}, workers=1)
    client = env.h2_client(balancer.port).ready()
    streams = [client.request() for _ in range(MANY)]
    assert all(client.answer(one, 30).status == 200 for one in streams)
