"""What one client's connection of HTTP/2 may make the balancer hold, whatever its streams and their servers do (G11, L18)."""
import time

from env import alone, until
from h2 import DATA, END_STREAM, INITIAL_WINDOW, frame
from origin import text


def pour(client, left, still=1.0):
    """Content on all of these streams as the windows allow, until it is sent or nothing has moved for a while; how much."""
    moved, sent = time.monotonic(), 0
    while any(left.values()) and time.monotonic() - moved < still and not client.ended_at:
        pieces = []
        with client.news:
            for number in left:
                stream = client.streams[number]
                size = min(left[number], stream.window, client.window, 16384)
                if size <= 0:
                    continue
                stream.window -= size
                client.window -= size
                left[number] -= size
                sent += size
                pieces.append(frame(DATA, 0 if left[number] else END_STREAM, number, bytes(size)))
        if pieces:
            moved = time.monotonic()
            client.raw(b"".join(pieces))
        else:
            time.sleep(0.01)
    return sent


@alone
def test_l18_uploads_that_are_taken_are_not_held_up(env):
    """One server that takes nothing does not stop what goes to others, also when the rest of the connection is in use."""
    stuck = env.h2_origin(reply=lambda stream: stream.read(60), terms=[(INITIAL_WINDOW, 0)])
    moves = env.origin(reply=lambda request: text(b"%d" % len(request.body)))
    port = env.port()
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}", "protocols": ["h2"]}},
        "pools": {"stuck": {"backends": {"a": {"address": stuck.address}}, "protocol": "h2", "health": {"off": True}},
                  "moves": {"backends": {"a": {"address": moves.address}}}},
        "routes": [{"match": {"path": "/stuck"}, "pool": "stuck"}, {"pool": "moves"}], "workers": 1})
    client = env.h2_client(port).ready()
    left = {client.request("POST", "/stuck", end=False).id: 100_000 for _ in range(8)}
    until(lambda: len(stuck.requests) == 8, 20, "requests")
    pour(client, left)
    for _ in range(3):
        answer = client.get("/", method="POST", body=bytes(3_000_000))
        assert answer.body == b"3000000", (answer, balancer.access_log())
    assert balancer.alive()
