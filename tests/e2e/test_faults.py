"""Faults that the machine makes (RELIABILITY section 8): calls that fail, full disks, exhausted ports, silent peers,
a stopped process, hostile names and log fields. tests/fault/README.md says where each F row is tested."""
import errno
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import time

import netns
from client import Client, client_context, get
from env import Skip, long, seconds, threadless, until
from h2 import H2Client
from inject import Faults
from origin import text

QUIET = {"health": {"off": True}}


def injected(env, origins, listener=None, pool=None, **config):
    """(balancer, faults): one with the library before it."""
    if env.tsan:
        raise Skip("ThreadSanitizer does not go together with LD_PRELOAD")
    faults, port = Faults(env), env.port()
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}", **(listener or {})}},
        "pools": {"api": {"backends": {f"b{n}": {"address": one.address} for n, one in enumerate(origins)}, **(pool or QUIET)}},
        "routes": [{"pool": "api"}], **config}, environ=faults.environ)
    balancer.port = port
    return balancer, faults


def echo(request):
    return text(request.body or request.target.encode() * 50)


@threadless
def test_every_row_has_its_tests(env):
    """The table of tests/fault/README.md: F1 to F34, and every test it names exists and, if a unit, names the row."""
    tests = os.path.join(env.root, "tests")
    with open(os.path.join(tests, "fault", "README.md")) as file:
        rows = [line.split("|") for line in file if line.startswith("| F")]
    assert [row[1].strip() for row in rows] == [f"F{number}" for number in range(1, 35)]
    for row in rows:
        named = re.findall("`([a-z0-9_.]+)`", row[3])
        assert named or row[1].strip() == "F19", row
        for name in named:
            unit = name.endswith(".c")
            found = [os.path.join(folder, name if unit else name.partition(".")[0] + ".py")
                     for folder, _, files in os.walk(tests) if (name if unit else name.partition(".")[0] + ".py") in files]
            assert found, f"{row[1]}: there is no {name}"
            with open(found[0]) as file:
                content = file.read()
            assert (row[1].strip() if unit else f"def {name.partition('.')[2]}(") in content, f"{row[1]}: {name}"


# --- F17: short, interrupted and refused calls ---

STORMS = ({"one_byte": 1}, {"interrupt": 2}, {"again": 2}, {"interrupt": 3, "again": 2}, {"one_byte": 1, "interrupt": 3, "again": 2})


def stories(ask):
    """The same questions, as results that can be compared."""
    return [ask("GET", "/a", b""), ask("POST", "/b", b"content" * 100), ask("POST", "/c", bytes(range(256)) * 8),
            ask("HEAD", "/d", b""), ask("PUT", "/e", b"x")]


def over_h1(port, **options):
    with Client(port, **options) as client:
        return stories(lambda method, path, body: (lambda answer: (answer.status, answer.body))(
            client.get(path, method=method, body=body)))


def over_h2(port):
    with H2Client(port) as client:
        return stories(lambda method, path, body: (lambda answer: (answer.status, bytes(answer.body)))(
            client.get(path, method=method, body=body)))


@seconds(240)
def test_f17_short_and_interrupted_calls_change_nothing(env):
    """F17: one byte at a time, EINTR, storms of EAGAIN: identical results, over HTTP/1, HTTP/2 and TLS."""
    pair = env.authority.server("localhost")
    origin = env.origin(reply=echo)
    plain, faults = injected(env, [origin])
    fast, faults2 = injected(env, [origin], {"protocols": ["h2"]})
    tls, faults3 = injected(env, [origin], {"tls": {"certificates": [pair.config()]}})

    def all_of_them():
        return [over_h1(plain.port), over_h2(fast.port),
                over_h1(tls.port, tls=client_context(env.authority.ca, alpn=["http/1.1"]))]
    assert len({one.path for one in (faults, faults2, faults3)}) == 3
    good = all_of_them()
    assert good[0] == good[1] == good[2] and good[0][1] == (200, b"content" * 100)
    for storm in STORMS:
        before = [one.injected for one in (faults, faults2, faults3)]
        for one in (faults, faults2, faults3):
            one.set(**storm)
        assert all_of_them() == good, storm
        assert storm == {"one_byte": 1} or all(one.injected > had for one, had in zip((faults, faults2, faults3), before))
    for one in (faults, faults2, faults3):
        one.set()
    assert not origin.malformed


# --- F15, F33: what there is not enough of ---

def test_f15_accepting_fails(env):
    """F15: no descriptor, no memory, a client gone again: the backlog waits, nothing spins, the admin interface answers."""
    balancer, faults = injected(env, [env.origin()])
    for error in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ECONNABORTED, errno.EPROTO, errno.EPERM):
        assert get(balancer.port).status == 200
        faults.set(accept_error=error)
        before = faults.injected
        with Client(balancer.port) as client:
            client.request()
            until(lambda: faults.injected > before, 10, f"a failed accept by {errno.errorcode[error]}")
            time.sleep(0.5)
            assert balancer.ctl_json("status")["ready"]
            spun = faults.injected - before
            faults.set()
            assert client.response().status == 200, errno.errorcode[error]
        assert error in (errno.ECONNABORTED, errno.EPROTO) or spun < 1000, f"{errno.errorcode[error]}: {spun} times"


def test_f33_no_port_towards_a_backend(env):
    """F33, F15, B2: a local failure is answered by 503, never counts against the backend, and passes."""
    origin = env.origin()
    balancer, faults = injected(env, [origin], pool={"health": {"tcp": {}, "interval": "200ms", "timeout": "100ms"}})
    assert get(balancer.port).status == 200
    for fault, error in (("connect_error", errno.EADDRNOTAVAIL), ("socket_error", errno.EMFILE),
                         ("socket_error", errno.ENFILE), ("socket_error", errno.ENOBUFS)):
        origin.die()  # what is kept open is gone
        origin.listen()
        before = faults.injected
        faults.set(**{fault: error})
        statuses = {get(balancer.port, method=method).status for method in ("GET", "POST") * 6}
        assert faults.injected > before and statuses == {503}, (fault, errno.errorcode[error], statuses)
        time.sleep(1)  # checks fail alike
        faults.set()
        assert get(balancer.port).status == 200, errno.errorcode[error]
        row = balancer.ctl_json("backends")["backends"][0]
        assert row["health"] == "up", row


# --- F18: logs ---

def lines_lost(balancer):
    return balancer.metric("meridian_access_log_lines_dropped_total")


def log_story(env, balancer, break_it, mend_it, log):
    """Traffic goes on while the log cannot be written; lines are counted, and written again afterwards."""
    for _ in range(5):
        assert get(balancer.port, "/before").status == 200
    until(lambda: os.path.getsize(log) > 0, 10, "a line")
    break_it()

    def some_are_lost():
        assert get(balancer.port, "/during").status == 200
        return lines_lost(balancer) >= 3
    until(some_are_lost, 20, "lost lines")
    mend_it()

    def one_is_written():
        assert get(balancer.port, "/after").status == 200
        with open(log, errors="replace") as file:
            return "/after" in file.read()
    until(one_is_written, 20, "a line after it")
    with open(log, errors="replace") as file:
        after = [line for line in file.read().split("\n")[:-1] if "/after" in line]
    assert [json.loads(line)["path"] for line in after] == ["/after"] * len(after), "behind a line that was cut short"


def test_f18_the_log_cannot_be_written(env):
    """F18: EIO, ENOSPC, EROFS and EDQUOT of the access log: traffic does not notice, what is lost is counted."""
    for error in (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT):
        balancer, faults = injected(env, [env.origin()])
        log_story(env, balancer, lambda: faults.set(write_error=error), faults.set, balancer.log_file)
        balancer.stop()


def test_f18_the_disk_is_full(env):
    """F18: a file system of 64 KiB under the log: the same, and it recovers when there is room."""
    folder = env.path("small")
    os.makedirs(folder)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("no file system can be mounted here")
    env.at_end(lambda: subprocess.run(["umount", "-l", folder], check=True))
    log, filler, port = os.path.join(folder, "access.log"), os.path.join(folder, "filler"), env.port()
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"api": {"backends": {"a": {"address": env.origin().address}}, **QUIET}},
        "routes": [{"pool": "api"}], "log": {"access": {"path": log, "format": "json"}}})
    balancer.port = port

    def fill():
        with open(filler, "wb", buffering=0) as file:
            try:
                while file.write(bytes(512)):
                    pass
            except OSError:
                pass
        for _ in range(40):  # what room the log's last page has
            assert get(port, "/" + "x" * 1000).status == 200
    log_story(env, balancer, fill, lambda: os.unlink(filler), log)


# --- F4: silence ---

def far_backend(address, port):
    """One request a connection, in a process of its own."""
    listener = socket.create_server((address, port), backlog=64)
    while True:
        accepted, _ = listener.accept()
        if accepted.recv(65536):
            accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        accepted.close()


@seconds(120)
def test_f4_a_backend_that_falls_silent(env):
    """F4, L8, G7: the link is pulled under a request: it ends by its time limit, the check finds out, and when the link
    is back so is the backend."""
    net, other, port, far = netns.Pair(env), env.origin(), env.port(), env.port()
    net.serve(far, far_backend)
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"api": {"retries": {"extra": 0}, "backends": {"far": {"address": f"{net.address}:{far}"}},
                          "health": {"tcp": {}, "interval": "500ms", "timeout": "300ms"}},
                  "near": {"backends": {"a": {"address": other.address}}, **QUIET}},
        "routes": [{"match": {"path": "/near"}, "pool": "near"}, {"pool": "api"}],
        "timeouts": {"first_byte": "2s", "connect": "1s"}})
    until(lambda: get(port).status == 200, 10, "the far backend")
    net.pull()
    assert get(port).status == 504
    until(lambda: balancer.ctl_json("backends")["backends"][0]["health"] != "up", 15, "a verdict")
    assert get(port, "/near").status == 200
    net.plug()
    until(lambda: get(port).status == 200, 30, "its return")


# --- F27 ---

@long
@seconds(120)
def test_f27_stopped_for_half_a_minute(env):
    """F27: SIGSTOP, 30 s, SIGCONT: nothing is ejected, nobody is timed out who was not due."""
    origins = [env.origin() for _ in range(3)]
    balancer = env.simple(*origins, pool={"health": {"tcp": {}, "interval": "1s", "timeout": "500ms"}})
    clients = [env.client(balancer.port) for _ in range(20)]
    for client in clients:
        assert client.get().status == 200
    balancer.signal(signal.SIGSTOP)
    time.sleep(30)
    balancer.signal(signal.SIGCONT)
    assert [client.get().status for client in clients] == [200] * 20
    for _ in range(20):
        assert {row["health"] for row in balancer.ctl_json("backends")["backends"]} == {"up"}
        time.sleep(0.1)


# --- F31: names that collide ---

def colliding(count):
    """Different names that hash alike by h * 31 + c, the function without a key that most tables have had."""
    names = [""]
    while len(names) < count:
        names = [name + pair for name in names for pair in ("an", "c0")]
    return [f"x-{name}" for name in names[:count]]


def cpu_ticks(balancer):
    with open(f"/proc/{balancer.process.pid}/stat") as file:
        words = file.read().rsplit(")", 1)[1].split()
    return int(words[11]) + int(words[12])


@seconds(120)
def test_f31_names_that_collide(env):
    """F31: fields and cookies whose names collide cost at most twice what others do, measured in turns."""
    balancer = env.simple(env.origin(), pool=QUIET, workers=1)
    same = colliding(90)
    other = [f"x-{os.urandom(4).hex()}" for _ in same]
    assert len(set(same)) == len(set(other)) == 90
    costs = {"same": 0, "other": 0}
    with Client(balancer.port) as client:
        for _ in range(12):
            for kind, names in (("same", same), ("other", other)):
                before = cpu_ticks(balancer)
                for _ in range(60):
                    fields = {name: "1" for name in names}
                    assert client.get("/", {**fields, "Cookie": "; ".join(f"{name}=1" for name in names)}).status == 200
                costs[kind] += cpu_ticks(balancer) - before
    assert costs["same"] <= 2 * costs["other"] + 20, costs


# --- F32: what logs must not carry ---

def hello(name, protocol):
    """A ClientHello that asks for this name and this protocol, whatever bytes they are."""
    sni = struct.pack(">HBH", len(name) + 3, 0, len(name)) + name
    alpn = struct.pack(">HB", len(protocol) + 1, len(protocol)) + protocol
    fields = b"".join(struct.pack(">HH", kind, len(data)) + data for kind, data in (
        (0, sni), (16, alpn), (43, b"\x02\x03\x04"), (10, b"\x00\x02\x00\x1d"), (13, b"\x00\x02\x04\x03"),
        (51, b"\x00\x24\x00\x1d\x00\x20" + b"k" * 32)))
    body = b"\x03\x03" + b"r" * 32 + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00" + struct.pack(">H", len(fields)) + fields
    return b"\x16\x03\x01" + struct.pack(">H", len(body) + 4) + b"\x01" + struct.pack(">I", len(body))[1:] + body


NASTY = (b"a\r\nlevel=error event=forged", b"a\x1b[2Jb", b"a\x9b31mb", b'a","status":200,"x":"', b"a\\", b"a\x00b", b"\xff\xfe")


@seconds(120)
def test_f32_what_comes_is_logged_harmlessly(env):
    """F32, H23: line ends, escapes of terminals and quotes in path, query, fields, SNI and ALPN: every line of either log is
    one line of visible ASCII, and JSON where it is said to be."""
    pair = env.authority.server("localhost")
    origin, plain, tls = env.origin(), env.port(), env.port()
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{plain}"},
                      "safe": {"bind": f"127.0.0.1:{tls}", "tls": {"certificates": [pair.config()]}}},
        "pools": {"api": {"backends": {"a": {"address": origin.address}}, **QUIET}},
        "routes": [{"pool": "api"}]})
    count = 0
    for nasty in NASTY:
        for data in (b"GET /" + nasty + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     b"GET /?" + nasty + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: " + nasty + b"\r\n\r\n", nasty + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: " + nasty + b"\r\nReferer: " + nasty + b"\r\nX-Request-ID: " +
                     nasty + b"\r\nTraceparent: " + nasty + b"\r\n\r\n"):
            with Client(plain) as client:
                client.send(data)
                client.half_close()
                client.everything()
                count += 1
        with socket.create_connection(("127.0.0.1", tls), timeout=10) as raw:
            raw.sendall(hello(nasty, nasty[:200]))
            try:
                raw.recv(4096)
            except OSError:
                pass
        context = client_context(env.authority.ca)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with Client(tls, tls=context) as client:
                client.get("/%0d%0a%1b", {"User-Agent": "a\x9b31m"})
        except ssl.SSLError:
            pass
    assert len(balancer.access_log(count)) >= count
    for name in ("access.log", "stderr"):
        with open(os.path.join(balancer.dir, name), "rb") as file:
            content = file.read()
        odd = [line for line in content.split(b"\n") if not re.fullmatch(rb"[ -~]*", line) or line.startswith(b"level=error")]
        assert not odd, (name, odd[:3])
