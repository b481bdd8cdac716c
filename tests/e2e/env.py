"""What a test is given: a folder, ports, certificates, a geolocation database, and the making of
Meridian, origins and clients, all of which end with the test."""
import contextlib
import fcntl
import json
import os
import random
import socket
import subprocess
import tempfile
import time

from certs import Authority
from meridian import Meridian
from origin import Origin
from pace import patience
from h2 import H2Client, H2Origin
from client import Client


class Skip(Exception):
    """Something the test needs is not on this machine."""


def long(function):
    """Marks a test that only --long runs."""
    function.long = True
    return function


def seconds(limit):
    """How long a test may take before it is killed (60 by default)."""
    def mark(function):
        function.seconds = limit
        return function
    return mark


def lengthy(function):
    """Marks a test that waits for ten seconds or more: it begins among the first, and others run meanwhile."""
    function.lengthy = True
    return function


def busy(function):
    """Marks a test that computes for most of its time: fewer run beside it."""
    function.busy = True
    return function


def alone(function):
    """Marks a test that counts what the whole machine does in a time: nothing runs beside it."""
    function.alone = True
    return function


def native(function):
    """Marks a test that is about times, threads or descriptors of which valgrind takes its share: left to the other
    runs."""
    function.native = True
    return function


def threadless(function):
    """Marks a test that says nothing about threads (a document, a message of -t, a package, the tests' own tools): the
    run with ThreadSanitizer leaves it to the one with AddressSanitizer. A module says so by THREADLESS = True."""
    function.threadless = True
    return function


PAUSE_MOST_S = 0.25


def until(condition, timeout=10.0, what="the condition", pause=0.02):
    """Waits until condition() is true and returns its value. Many tests wait at a time: the pause is at least as long
    as it took to ask, and grows with the time that has been waited."""
    timeout *= patience()
    begun = time.monotonic()
    while True:
        asked = time.monotonic()
        value = condition()
        if value:
            return value
        now = time.monotonic()
        if now > begun + timeout:
            raise AssertionError(f"{what} did not come within {timeout} s")
        time.sleep(max(pause, min(max(now - asked, 0.05 * (now - begun)), PAUSE_MOST_S)))


def gone(pid):
    """Whether a process that is not our child has ended, all its threads: the first one is shown as a
    zombie while others still hold the descriptors."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            zombie = stat.read().rsplit(")", 1)[1].split()[0] == "Z"
        return zombie and len(os.listdir(f"/proc/{pid}/task")) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True


class Ports:
    """Ports of 127.0.0.1 that no other test on this machine uses: each is held by a lock on a file,
    because SO_REUSEPORT would let two balancers share one without an error."""

    FIRST, LAST = 10000, 29999

    def __init__(self):
        self.folder = os.path.join(tempfile.gettempdir(), f"meridian-ports-{os.getuid()}")
        os.makedirs(self.folder, exist_ok=True)
        self.held = []

    def take(self):
        for _ in range(1000):
            port = random.randint(self.FIRST, self.LAST)
            lock = open(os.path.join(self.folder, str(port)), "w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
                    probe.listen()
            except OSError:
                lock.close()
                continue
            self.held.append(lock)
            return port
        raise AssertionError("no free port")


class Env:
    def __init__(self, folder, root, build, tsan=False, valgrind=False):
        self.dir, self.root, self.build, self.tsan, self.valgrind = folder, root, build, tsan, valgrind
        self._ports = Ports()
        self._ends = contextlib.ExitStack()
        self._balancers = []
        self._authority = None

    # --- making things ---

    def port(self):
        return self._ports.take()

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, content):
        """A file of the test's folder; returns its path."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def program(self, *candidates):
        """The path of a built program, e.g. program("bench/load")."""
        for name in candidates:
            path = os.path.join(self.build, name)
            if os.access(path, os.X_OK):
                return path
        raise AssertionError(f"{candidates[0]} is not built in {self.build}")

    @property
    def authority(self):
        if not self._authority:
            self._authority = Authority(self.path("tls"))
        return self._authority

    def at_end(self, action):
        """Called when the test is over and its balancers have ended."""
        self._ends.callback(action)

    def origin(self, *args, **kwargs):
        origin = Origin(self.port(), *args, **kwargs)
        self._ends.callback(origin.close)
        return origin

    def h2_origin(self, *args, **kwargs):
        origin = H2Origin(self.port(), *args, **kwargs)
        self._ends.callback(origin.close)
        return origin

    def h2_client(self, port, **kwargs):
        client = H2Client(port, **kwargs)
        self._ends.callback(client.close)
        return client

    def client(self, port, **kwargs):
        client = Client(port, **kwargs)
        self._ends.callback(client.close)
        return client

    def meridian(self, config, start=True, **kwargs):
        """A balancer with this configuration (dict or text), started and ready."""
        balancer = Meridian(self, config, **kwargs)
        self._balancers.append(balancer)
        if start:
            balancer.start()
        return balancer

    def simple(self, *origins, pool=None, route=None, listener=None, **config):
        """A balancer with one listener, one pool over these origins and one route. Its port is
        in `.port`."""
        port = self.port()
        backends = {name: {"address": origin.address}
                    for name, origin in zip("abcdefghijklmnopqrstuvwxyz", origins)}
        config = {
            "listeners": {"public": {"bind": f"127.0.0.1:{port}", **(listener or {})}},
            "pools": {"api": {"backends": backends, **(pool or {})}},
            "routes": [{"pool": "api", **(route or {})}],
            **config,
        }
        balancer = self.meridian(config)
        balancer.port = port
        return balancer

    def geo_database(self, rows, name="geo.mmdb"):
        """A database from (network, country, continent, subdivision, latitude, longitude, accuracy)."""
        lines = "".join(",".join(str(value) for value in row) + "\n" for row in rows)
        source, target = self.write(name + ".csv", lines), self.path(name)
        writer = self.program("tests/tools/mmdb-write", "tests/tools/mmdb_write")
        done = subprocess.run([writer, source, target], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, f"mmdb-write: {done.stdout}{done.stderr}"
        return target

    def load(self, url, *options, background=False):
        """The load generator against loopback. Returns its report, or the running process (give it
        to load_report)."""
        process = subprocess.Popen([self.program("bench/load"), *map(str, options), url],
                                   stdout=subprocess.PIPE, text=True)
        self._ends.callback(self._end_process, process)
        return process if background else self.load_report(process)

    @staticmethod
    def load_report(process, timeout=120):
        output, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0, f"load ended with {process.returncode}"
        return json.loads(output)

    @staticmethod
    def _end_process(process):
        if process.poll() is None:
            process.kill()
            process.wait()

    # --- the end ---

    def close(self, failed):
        """Stops everything; a balancer that does not end cleanly fails the test."""
        problems = []
        for balancer in self._balancers:
            try:
                balancer.stop()
            except AssertionError as problem:
                problems.append(str(problem))
            if failed or problems:
                print(balancer.story())
        self._ends.close()
        assert not problems, "; ".join(problems)
