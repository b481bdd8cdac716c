"""gRPC end to end with a widely used client and server: every kind of call, metadata, errors, deadlines,
cancellation; over TLS, to backends of HTTP/2 with and without TLS."""
import json
import os
import shutil
import subprocess

from env import Skip, lengthy, native, seconds, until
from h2 import CANCEL, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM
from pace import patience

HERE = os.path.dirname(os.path.abspath(__file__))
OK, CANCELLED, DEADLINE_EXCEEDED, PERMISSION_DENIED, RESOURCE_EXHAUSTED = 0, 1, 4, 7, 8
FAILED_PRECONDITION, UNIMPLEMENTED, UNAVAILABLE = 9, 12, 14


class Node:
    """Node.js with grpc-js, of this machine or installed into the test's folder."""

    def __init__(self, env):
        self.program, self.env = shutil.which("node"), env
        if not self.program:
            raise Skip("node is not installed")
        self.environ = dict(os.environ)
        if self.run("-e", "require('@grpc/grpc-js')").returncode != 0:
            self.install()

    def install(self):
        npm = shutil.which("npm")
        if not npm:
            raise Skip("npm is not installed")
        folder = self.env.path("npm")
        os.makedirs(folder)
        try:
            done = subprocess.run([npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder,
                                   "@grpc/grpc-js"], capture_output=True, cwd=folder, timeout=90)
        except subprocess.TimeoutExpired:
            raise Skip("npm gets no packages") from None
        if done.returncode != 0:
            raise Skip("npm gets no packages")
        self.environ["NODE_PATH"] = os.path.join(folder, "node_modules")

    def run(self, *args):
        return subprocess.run([self.program, *map(str, args)], capture_output=True, text=True, timeout=60,
                              env=self.environ)

    def server(self, pair=None):
        server = Served(self, pair)
        self.env._ends.callback(self.env._end_process, server.process)
        assert server.process.stdout.readline() == "ready\n"
        return server

    def stories(self, port, ca, *names):
        done = self.run(os.path.join(HERE, "grpc_peer.js"), "client", port, ca, *names)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


class Served:
    def __init__(self, node, pair):
        self.port = node.env.port()
        command = [node.program, os.path.join(HERE, "grpc_peer.js"), "server", str(self.port)]
        self.process = subprocess.Popen(command + ([pair.key, pair.chain] if pair else []), text=True,
                                        stdout=subprocess.PIPE, env=node.environ)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"


EXPECTED = {
    "unary": {"end": {"code": OK}, "size": 300000, "head": "please", "trailer": "end", "binary": [0, 255, 10]},
    "empty": {"end": {"code": OK}, "size": 0},
    "gather": {"end": {"code": OK}, "size": 1000000},
    "spread": {"end": {"code": OK, "details": "OK"}, "count": 200, "right": True},
    "talk": {"end": {"code": OK, "details": "OK"}, "rounds": 50},
    "fail": {"end": {"code": FAILED_PRECONDITION, "details": "not now: 100 % of \u00fcs"}},
    "unknown": {"end": {"code": UNIMPLEMENTED}},
    "deadline": {"end": {"code": DEADLINE_EXCEEDED}},
    "cancel": {"end": {"code": CANCELLED}},
    "cancelled": {"end": {"code": OK}, "count": 2},
    "many": {"failed": 0},
}


def check(env, node, pair, **pool):
    server = node.server(pair if "tls" in pool else None)
    balancer = env.simple(server, pool={"protocol": "h2", "health": {"off": True}, **pool},
                          listener={"tls": {"certificates": [pair.config()]}})
    results = node.stories(balancer.port, env.authority.ca)
    for name, expected in EXPECTED.items():
        got = results[name]
        if "details" not in expected.get("end", {}):
            got.get("end", {}).pop("details", None)
        assert got == expected, f"{name}: {got} instead of {expected}"
    return balancer, server


@seconds(240)
def test_every_kind_of_call(env):
    node, pair = Node(env), env.authority.server("localhost")
    check(env, node, pair)
    balancer, server = check(env, node, pair, tls={"ca": env.authority.ca, "server_name": "localhost"})

    # Without a server Meridian itself says so, in gRPC's words.
    server.process.kill()
    server.process.wait()
    results = node.stories(balancer.port, env.authority.ca, "empty")
    assert results["empty"]["end"]["code"] == UNAVAILABLE, results



# --- frame by frame: what the library above would hide ---

CALL = [("content-type", "application/grpc"), ("te", "trailers")]
MESSAGE = b"\0\0\0\0\5hello"
H2 = {"protocol": "h2", "health": {"off": True}}


def between(env, *servers, pool=None, **config):
    """A client of HTTP/2, and the balancer between it and servers of HTTP/2."""
    balancer = env.simple(*servers, pool={**H2, **(pool or {})}, listener={"protocols": ["h2"]}, workers=1, **config)
    return balancer, env.h2_client(balancer.port).ready()


def call(client, path="/shop.Orders/Get", fields=(), body=MESSAGE):
    stream = client.request("POST", path, [*CALL, *fields], body)
    client.wait(lambda: stream.over, 20, "the end of the call")
    return stream


def trailers_only(stream):
    """The grpc-status of an answer of one head, which is trailers too."""
    assert stream.ended and stream.reset in (None, NO_ERROR) and len(stream.heads) == 1 and not stream.body, stream
    assert (stream.status, stream.get("content-type")) == (200, "application/grpc") and stream.get("grpc-message"), stream
    return int(stream.get("grpc-status"))


def good(stream):
    stream.read()
    stream.respond(200, [("content-type", "application/grpc")], MESSAGE, [("grpc-status", "0")])


def test_errors_made_here_are_trailers_only(env):
    """Each with the status that gRPC's clients understand."""
    refuses = {"address": f"127.0.0.1:{env.port()}"}
    config = {"pools": {"api": {**H2, "backends": {"a": refuses}}}, "routes": [
        {"match": {"path": "/shop.Orders/"}, "pool": "api"},
        {"match": {"path": "/shop.Secret/"}, "pool": "api", "access": {"deny": ["127.0.0.0/8"]}},
        {"match": {"path": "/shop.Small/"}, "pool": "api", "limits": {"body": "4B"}}]}
    _, client = between(env, **config)
    wanted = {"Orders": UNAVAILABLE, "Nothing": UNIMPLEMENTED, "Secret": PERMISSION_DENIED, "Small": RESOURCE_EXHAUSTED}
    got = {name: trailers_only(call(client, f"/shop.{name}/Get", [("content-length", len(MESSAGE))])) for name in wanted}
    assert got == wanted, got


def test_a11_grpc_timeout_bounds_the_call(env):
    """Before an answer has begun it is DEADLINE_EXCEEDED; afterwards it breaks off, and never looks whole. The server
    hears of it."""
    left = []

    def silent(stream):
        if stream.path.endswith("/Begin"):
            stream.connection.headers(stream.id, [(":status", 200), ("content-type", "application/grpc")])
            stream.connection.send(stream.id, MESSAGE)
        stream.connection.wait(lambda: stream.reset is not None, 20, "RST_STREAM")
        left.append((stream.path, stream.reset))

    balancer, client = between(env, env.h2_origin(reply=silent))
    assert trailers_only(call(client, fields=[("grpc-timeout", f"{200 * patience():.0f}m")])) == DEADLINE_EXCEEDED
    begun = call(client, "/shop.Orders/Begin", [("grpc-timeout", f"{700 * patience():.0f}m")])
    assert begun.body == MESSAGE and not begun.ended and begun.reset not in (None, NO_ERROR), begun
    until(lambda: len(left) == 2, what="two resets")
    assert left == [("/shop.Orders/Get", CANCEL), ("/shop.Orders/Begin", CANCEL)]
    assert [line["end"] for line in balancer.access_log(2)] == ["deadline"] * 2
    assert client.ping()


def test_law_1_calls_are_repeated_only_where_nobody_saw_them(env):
    """A call is a POST: REFUSED_STREAM and GOAWAY go elsewhere, what a server has begun or answered does not."""
    refuse = (lambda stream: stream.cancel(REFUSED_STREAM), lambda stream: stream.connection.go_away(0))
    for deed in refuse:
        bad, fine = env.h2_origin(reply=deed), env.h2_origin(reply=good)
        _, client = between(env, bad, fine, pool={"retries": {"budget": "100%"}})
        for _ in range(6):
            answer = call(client)
            assert (answer.body, answer.trailers) == (MESSAGE, {"grpc-status": "0"}), answer
        assert bad.requests and len(fine.requests) == 6
    begins = (lambda stream: stream.cancel(INTERNAL_ERROR),
              lambda stream: stream.respond(200, [("content-type", "application/grpc"), ("grpc-status", "14"),
                                                  ("grpc-message", "busy")]))
    for deed in begins:
        bad, fine = env.h2_origin(reply=deed), env.h2_origin(reply=good)
        _, client = between(env, bad, fine, pool={"retries": {"budget": "100%"}})
        calls = []
        while len(calls) < 8 or (not (bad.requests and fine.requests) and len(calls) < 64):
            calls.append(call(client))
        assert {int(one.get("grpc-status") or one.trailers["grpc-status"]) for one in calls} == {OK, UNAVAILABLE}, calls
        assert len(bad.requests) + len(fine.requests) == len(calls)


def test_health_by_grpc(env):
    """grpc.health.v1: what the server says of itself, or of the one service that is asked for."""
    says, asked = {"state": 1}, []

    def reply(stream):
        if stream.path != "/grpc.health.v1.Health/Check":
            return good(stream)
        assert stream.method == "POST" and stream.get("content-type") == "application/grpc", stream
        asked.append(bytes(stream.read()))
        answer = b"\0\0\0\0\2\x08" + bytes([says["state"]])
        return stream.respond(200, [("content-type", "application/grpc")], answer, [("grpc-status", "0")])

    checks = {"grpc": {"service": "shop.Orders"}, "interval": "200ms", "timeout": "150ms", "fall": 2, "rise": 2}
    balancer, client = between(env, env.h2_origin(reply=reply), pool={"health": checks})

    def health():
        return balancer.ctl_json("backends")["backends"][0]["health"]

    until(lambda: balancer.metric("meridian_health_checks_total", result="good") >= 2, what="good checks")
    assert asked[0] == b"\0\0\0\0\x0d\x0a\x0bshop.Orders" and health() == "up"
    assert call(client).trailers == {"grpc-status": "0"}
    says["state"] = 2  # NOT_SERVING
    until(lambda: health() == "soft", what="its end")
    says["state"] = 1
    until(lambda: health() == "up", what="its return")


@native
@lengthy
def test_l6_a_client_that_streams_little(env):
    """Where the route says so no least speed is asked of its messages, and pauses may be long; elsewhere it is."""
    slow = {"timeouts": {"request_body": "30s"}, "limits": {"request_rate": "0B/s"}}
    routes = [{"match": {"path": "/shop.Feed/"}, "pool": "api", **slow},
              {"pool": "api", "timeouts": {"request_body": "500ms"}}]
    balancer, client = between(env, env.h2_origin(reply=good), routes=routes)
    feed, other = (client.request("POST", path, CALL, end=False) for path in ("/shop.Feed/Put", "/shop.Orders/Put"))
    client.wait(lambda: other.over, 20, "the end of the call that pauses")
    assert trailers_only(other) == DEADLINE_EXCEEDED and balancer.access_log(1)[0]["end"] == "limit-L6"
    client.send(feed.id, MESSAGE)
    try:
        client.wait(lambda: feed.over, 11, "the end")  # longer than the rate's window
        raise AssertionError(feed)
    except TimeoutError:
        pass
    client.send(feed.id, b"", end=True)
    assert client.answer(feed).trailers == {"grpc-status": "0"}
