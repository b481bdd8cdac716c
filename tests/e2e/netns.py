"""A network namespace beside ours, joined by a cable that can be pulled: for peers that fall silent (F4). Addresses are of
the range for benchmarks (RFC 2544), and nothing leads further."""
import ctypes
import os
import random
import signal
import subprocess

from env import Skip

CLONE_NEWNET = 0x40000000


def ip(*words):
    return subprocess.run(["ip", *words], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False).returncode == 0


class Pair:
    """The namespace; `address` is what is on its side. Everything ends with the test."""

    def __init__(self, env):
        self.env, number = env, random.randrange(1 << 14)
        self.name, self.ours, self.theirs = f"meridian-{number}", f"mer{number}a", f"mer{number}b"
        net = f"198.{18 + (number >> 13)}.{number >> 5 & 255}.{(number & 31) * 8}"
        base, last = net.rsplit(".", 1)
        self.here, self.address = f"{base}.{int(last) + 1}", f"{base}.{int(last) + 2}"
        if not ip("netns", "add", self.name):
            raise Skip("no network namespace can be made here")
        env.at_end(self.close)
        for words in (("link", "add", self.ours, "type", "veth", "peer", "name", self.theirs),
                      ("link", "set", self.theirs, "netns", self.name), ("addr", "add", f"{self.here}/29", "dev", self.ours),
                      ("link", "set", self.ours, "up"), ("-n", self.name, "addr", "add", f"{self.address}/29", "dev", self.theirs),
                      ("-n", self.name, "link", "set", self.theirs, "up"), ("-n", self.name, "link", "set", "lo", "up")):
            if not ip(*words):
                raise Skip(f"ip {' '.join(words)} does not work here")
        self.pids = []

    def serve(self, port, serve):
        """Calls serve(address, port) in a process of the namespace."""
        pid = os.fork()
        if pid == 0:
            try:
                handle = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
                if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET):
                    os._exit(2)
                serve(self.address, port)
            finally:
                os._exit(1)
        self.pids.append(pid)

    def pull(self):
        """The cable: nothing passes, and nobody is told."""
        assert ip("-n", self.name, "link", "set", self.theirs, "down")

    def plug(self):
        assert ip("-n", self.name, "link", "set", self.theirs, "up")

    def close(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        ip("link", "del", self.ours)
        ip("netns", "del", self.name)
