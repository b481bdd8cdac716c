"""What the process has given up, and who watches it: the filter of system calls, keys in memory, the
watchdog (RELIABILITY S2, C8, F25, F34, G14). What each filter refuses is tests/unit/run/sandbox_test.c."""
import ctypes
import os
import re
import signal
import subprocess
import threading
import time

from client import Client, client_context, get
from env import Skip, native, seconds, until

KINDS = {"worker-0", "worker-1", "health", "helper", "log", "tracer"}  # each kind of thread but the main one


def tasks(balancer):
    """(its name, Seccomp, NoNewPrivs, number of filters) of each thread."""
    found = []
    for task in os.listdir(f"/proc/{balancer.process.pid}/task"):
        with open(f"/proc/{balancer.process.pid}/task/{task}/status", encoding="ascii") as status:
            fields = dict(line.split(":", 1) for line in status.read().splitlines())
        found.append((fields["Name"].strip(), int(fields["Seccomp"]), int(fields["NoNewPrivs"]),
                      int(fields.get("Seccomp_filters", 0))))
    return found


def built(balancer):
    return "system-call filter" in balancer.run("-V").stdout


@native
def test_s2_every_thread_has_its_filter(env):
    """The main thread has one filter, all others two; the sanitizer's own thread began before."""
    balancer = env.simple(env.origin(), workers=2,
                          tracing={"collector": f"127.0.0.1:{env.port()}", "sample": "100%"})
    if not built(balancer):
        raise Skip("built without libseccomp")
    assert get(balancer.port).status == 200
    until(lambda: all(count == 2 for name, _, _, count in tasks(balancer) if name in KINDS), what="every thread's filter")
    found = tasks(balancer)
    assert KINDS <= {name for name, *_ in found}, found
    assert sum(count == 2 for *_, count in found) == len(found) - (2 if env.tsan else 1), found
    own = [one for one in found if one[1] == 2]
    assert len(found) - len(own) <= (1 if env.tsan else 0), found
    assert all(no_new for _, _, no_new, _ in own), found
    ones = sum(count == 1 for *_, count in own)
    assert 1 <= ones <= (2 if env.tsan else 1), found
    assert "no-sandbox" not in balancer.errors()


def test_s2_filter_switched_off(env):
    balancer = env.simple(env.origin(), sandbox=False)
    assert get(balancer.port).status == 200
    assert {mode for _, mode, _, _ in tasks(balancer)} == {0}


# --- keys ---

def numbers_of(path):
    """The secret numbers of a private key, as openssl prints them."""
    text = subprocess.run(["openssl", "pkey", "-in", path, "-noout", "-text"], check=True, capture_output=True,
                          text=True).stdout
    found = {}
    for name, digits in re.findall(r"^(\w+):\n((?:    [0-9a-f:]+\n)+)", text, re.M):
        found[name] = bytes.fromhex(re.sub(r"[^0-9a-f]", "", digits)).lstrip(b"\0")
    return {name: value for name, value in found.items()
            if name in ("priv", "privateExponent", "prime1", "prime2", "exponent1", "exponent2")}


def needles(path):
    """What would tell the key: its numbers in both orders of bytes, and its file's text."""
    with open(path, "rb") as file:
        lines = [line for line in file.read().splitlines() if not line.startswith(b"-")]
    result = {"text": line for line in lines[1:2] or lines[:1]}
    for name, value in numbers_of(path).items():
        result[name] = value[:24]
        result[name + ", little end first"] = value[::-1][:24]
    return result


def dumpable_memory(pid):
    """The memory that a core would hold: written pages, without those marked `dd`."""
    with open(f"/proc/{pid}/smaps", encoding="ascii") as smaps:
        text = smaps.read()
    for start, end, body in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw.*\n((?:[A-Z].*\n)+)", text, re.M):
        resident = int(re.search(r"^Rss:\s+(\d+)", body, re.M).group(1))
        if resident and "dd" not in re.search(r"^VmFlags:(.*)", body, re.M).group(1).split():
            yield int(start, 16), int(end, 16)


def occurrences(pid, wanted):
    """Names of what is found in memory that a core would hold."""
    found, piece = set(), 1 << 22
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for start, end in dumpable_memory(pid):
            if end - start > 1 << 31:
                continue  # a sanitizer's shadow
            before = b""
            for at in range(start, end, piece):
                try:
                    memory.seek(at)
                    data = before + memory.read(min(piece, end - at))
                except OSError:
                    break
                found |= {name for name, value in wanted.items() if value in data}
                before = data[-64:]
    return found


@seconds(120)
def test_s2_keys_are_in_no_core(env):
    """After handshakes with it, nothing that tells a private key is in memory that a core would hold."""
    origin = env.origin()
    for kind in ("ec", "rsa"):
        folder = env.path(kind)
        os.makedirs(folder)
        key, chain = os.path.join(folder, "key.pem"), os.path.join(folder, "chain.pem")
        how = ["ec:/dev/stdin"] if kind == "ec" else ["rsa:2048"]
        parameters = subprocess.run(["openssl", "ecparam", "-name", "prime256v1"], check=True,
                                    capture_output=True).stdout
        subprocess.run(["openssl", "req", "-x509", "-nodes", "-newkey", *how, "-keyout", key, "-out", chain, "-days",
                        "30", "-subj", "/CN=localhost"], check=True, capture_output=True, input=parameters)
        balancer = env.simple(origin, listener={"tls": {"certificates": [{"chain": chain, "key": key}]}})
        for _ in range(8):
            with Client(balancer.port, tls=client_context()) as client:
                assert client.get().status == 200
        balancer.reload()
        wanted = needles(key)
        assert len(wanted) >= 3, wanted
        try:
            found = occurrences(balancer.process.pid, wanted)
        except PermissionError:
            raise Skip("memory of other processes cannot be read here") from None
        assert not found, (kind, found)
        assert "keys-not-locked" not in balancer.errors()


# --- the watchdog ---

SEIZE, INTERRUPT, SYSCALL, DETACH = 0x4206, 0x4207, 24, 17
EVERY_THREAD = 0x40000000  # __WALL
RECVFROM = {"x86_64": 45, "aarch64": 207}


class Held:
    """One thread of another process, traced; all calls from one thread, as the kernel wants it."""

    def __init__(self, thread):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.thread = thread
        if self._ptrace(SEIZE):
            raise Skip("other processes cannot be traced here")
        self._ptrace(INTERRUPT)
        self.stopped()

    def _ptrace(self, what, data=0):
        return self.libc.ptrace(what, self.thread, ctypes.c_void_p(0), ctypes.c_void_p(data))

    def stopped(self, timeout=30):
        """The signal at which it stopped next."""
        def look():
            thread, status = os.waitpid(self.thread, EVERY_THREAD | os.WNOHANG)
            return status if thread else None
        return os.WSTOPSIG(until(look, timeout, "a stop", pause=0.001))

    def to_next_call(self, number=0):
        self._ptrace(SYSCALL, number)

    def call(self):
        with open(f"/proc/{self.thread}/syscall", encoding="ascii") as file:
            return file.read().split()[0]

    def dead(self):
        thread, status = os.waitpid(self.thread, EVERY_THREAD | os.WNOHANG)
        return thread and os.WIFSIGNALED(status)

    def let_go(self, number=0):
        self._ptrace(DETACH, number)


def worker(balancer):
    folder = f"/proc/{balancer.process.pid}/task"
    for task in os.listdir(folder):
        with open(f"{folder}/{task}/comm", encoding="ascii") as comm:
            if comm.read().strip() == "worker-0":
                return int(task)
    raise AssertionError("no worker")


@native
@seconds(60)
def test_c8_a_stuck_worker_ends_the_process(env):
    """F25: three ticks without a sign of life: the process ends with a core, whoever started it starts it again."""
    balancer = env.simple(env.origin(), workers=2)
    assert get(balancer.port).status == 200
    held = Held(worker(balancer))
    until(lambda: "stuck thread=worker index=0" in balancer.errors(), 30, what="the watchdog")
    balancer.stopped = True
    until(held.dead, 30, what="the thread's end")
    assert balancer.process.wait(30) == -signal.SIGABRT


@seconds(60)
def test_g14_a_turn_that_lasts_shows_its_stack(env):
    """A worker that does not come out of a call in a turn of its loop is warned about, with where it was."""
    balancer = env.simple(env.origin(), workers=1)
    if env.tsan or os.uname().machine not in RECVFROM:
        raise Skip("the sanitizer keeps signals back")
    assert get(balancer.port).status == 200
    held = Held(worker(balancer))
    client = threading.Thread(target=lambda: get(balancer.port, timeout=60))
    client.start()
    number, waited = 0, False
    while number in (0, signal.SIGTRAP):
        held.to_next_call()
        number = held.stopped()
        if not waited and number == signal.SIGTRAP and held.call() == str(RECVFROM[os.uname().machine]):
            time.sleep(1)  # some looks of the watchdog
            waited = True
    held.let_go(number)
    client.join()
    until(lambda: "turn-lasts thread=worker" in balancer.errors(), what="the warning")
    assert re.search(r'turn-lasts .*backtrace="[^"]*meridian\+0x[0-9a-f]+', balancer.errors()), balancer.errors()
