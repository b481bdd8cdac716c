"""gRPC end to end with a widely used client and server: every kind of call, metadata, errors, deadlines,
cancellation; over TLS, to backends of HTTP/2 with and without TLS."""
import json
import os
import shutil
import subprocess

from env import Skip, seconds

HERE = os.path.dirname(os.path.abspath(__file__))
OK, CANCELLED, DEADLINE_EXCEEDED, FAILED_PRECONDITION, UNIMPLEMENTED, UNAVAILABLE = 0, 1, 4, 9, 12, 14


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

