"""What trials of one pool have in common: servers that note what they got in a journal, a Meridian in front of them,
and a report of what is not as it should be."""
import argparse
import json
import os

from rig import free_ports, wait_port

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Trial:
    """`servers` of them, named s0, s1, …, each started with `options` of the origin tool; `pool`: what the pool has
    besides its backends."""

    def __init__(self, rig, folder, servers, options, pool):
        self.rig, self.folder, self.servers, self.options = rig, folder, servers, options
        self.port, *self.ports = free_ports(1 + servers)
        self.origins = [self.start(i) for i in range(servers)]
        for port in self.ports:
            wait_port(port)
        self.control, path = os.path.join(folder, "control.sock"), os.path.join(folder, "meridian.yaml")
        with open(path, "w") as file:
            json.dump({"workers": 2, "listeners": {"public": {"bind": f"127.0.0.1:{self.port}"}},
                       "pools": {"api": {"backends": {f"s{i}": {"address": f"127.0.0.1:{port}"}
                                                      for i, port in enumerate(self.ports)},
                                         "health": {"http": {"path": "/healthz"}}, **pool}},
                       "routes": [{"pool": "api"}], "log": {"access": {"path": "off"}},
                       "admin": {"http": "off", "socket": self.control}, "state": folder}, file, indent=1)
        self.process = rig.start([rig.tool("meridian"), "-c", path], stderr=open(os.path.join(folder, "stderr"), "wb"))
        wait_port(self.port, self.process)

    def start(self, i):
        return self.rig.origin("--name", f"s{i}", *self.options, "--journal", self.journal(i), "--port", self.ports[i])

    def journal(self, i):
        return os.path.join(self.folder, f"journal-{i}")

    def received(self):
        """One line for each request that reached a server, checks left out."""
        for i in range(self.servers):
            with open(self.journal(i)) as file:
                yield from (line for line in file.read().split("\n") if line and "/healthz" not in line)


def arguments(text):
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--json", metavar="FILE")
    return parser


def finish(options, found, problems):
    """The status to end with."""
    if options.json:
        with open(options.json, "w") as file:
            json.dump(found, file, indent=1)
    for problem in problems:
        print(f"not as it should be: {problem}")
    print(f"{len(problems)} problems")
    return 1 if problems else 0
