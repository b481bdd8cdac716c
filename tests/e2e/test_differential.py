"""G2: generated streams of requests, what is forwarded of them re-parsed by at least three other parsers, without one
disagreement. MERIDIAN_CASES says how many per cent of 1,000,000; the seed is printed, MERIDIAN_SEED sets it."""
import itertools
import os
import random
import socket

import differ
from env import Skip, seconds, threadless

ALL = 1_000_000
DISAGREEMENTS = 20


def counts(*paths):
    found = {}
    for path in paths:
        with open(path) as file:
            found.update(line.rstrip("\n").split(" ", 1) for line in file)
    return found


def compare(outputs):
    """How many requests all have found alike, and where they differ."""
    files = [open(path, errors="surrogateescape") for path in outputs.values()]
    requests, wrong = 0, []
    for lines in itertools.zip_longest(*files):
        requests += lines[0] not in (".\n", None)
        if len(set(lines)) > 1 or lines[0].startswith("!"):
            wrong.append(" | ".join(f"{name}: {str(line).strip()}" for name, line in zip(outputs, lines)))
            if len(wrong) == DISAGREEMENTS:
                break
    for file in files:
        file.close()
    return requests, wrong


@threadless
@seconds(7200)
def test_streams_are_read_alike(env):
    parsers = differ.parsers()
    if len(parsers) < 3:
        raise Skip(f"of the other parsers only {sorted(parsers)} are installed")
    count = int(ALL * float(os.environ.get("MERIDIAN_CASES", "1")) / 100)
    seed = int(os.environ.get("MERIDIAN_SEED") or random.randrange(1 << 30))
    listener = socket.create_server(("127.0.0.1", env.port()), backlog=512)
    records, (reading, writing) = env.path("records"), os.pipe()
    origin = differ.fork(differ.record, listener, records, reading, writing)
    os.close(reading)
    port = env.port()
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}}, "log": {"access": {"path": "/dev/null"}},
        "pools": {"api": {"health": {"off": True},
                          "backends": {"a": {"address": f"127.0.0.1:{listener.getsockname()[1]}"}}}},
        "routes": [{"pool": "api"}]})
    step = -(-count // differ.CLIENTS)
    clients = [differ.fork(differ.send, port, seed, first, min(first + step, count), env.path(f"client-{first}"))
               for first in range(0, count, step)]
    for client in clients:
        differ.wait(client)
    balancer.stop()
    os.close(writing)
    differ.wait(origin)
    asked = counts(*[env.path(f"client-{first}") for first in range(0, count, step)])
    got = counts(records + ".counts")
    wrong = [f"seed {seed}, {client}: answered {answered} times, the backend got {got.get(client, 0)}"
             for client, answered in asked.items() if answered != str(got.get(client, 0))]
    wrong += [f"seed {seed}: {client} has asked nothing" for client in set(got) - set(asked)]
    requests, disagreements = compare(differ.reparse(records, parsers))
    wrong += [f"seed {seed}: {line}" for line in disagreements]
    served = sum(int(count) for count in got.values())
    print(f"seed {seed}: {count} streams, {served} requests forwarded, read by {', '.join(parsers)}")
    assert not wrong, "\n".join([f"{len(wrong)} disagreements", *wrong[:DISAGREEMENTS]])
    assert requests == served, f"seed {seed}: {served} were answered, the parsers found {requests}"
    assert served > count / 4, f"seed {seed}: only {served} requests passed"
