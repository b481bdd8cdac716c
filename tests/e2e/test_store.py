"""Sockets kept by the service manager: a crash or a restart refuses nobody (RELIABILITY G5, F25).
The manager here is a few lines of Python: it keeps what FDSTORE=1 hands it, gives it to the next
process, and starts that one when the last has died, as systemd does."""
import array
import fcntl
import os
import signal
import socket
import subprocess
import threading
import time

from env import gone, until


class Manager:
    def __init__(self, balancer, sockets=()):
        self.balancer = balancer
        self.given = dict(sockets)  # what a .socket unit opens: name -> socket
        self.kept = []              # (name, descriptor), as in systemd's store
        self.messages = []
        self.path = os.path.join(balancer.dir, "manager")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.ready = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                data, control, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(4 * 16))
            except OSError:
                return
            if not data:
                return
            message = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
            for level, kind, body in control:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    handed = array.array("i", body[:len(body) // 4 * 4])
                    for fd in handed:
                        assert message.get("FDSTORE") == "1"
                        self.kept.append((message["FDNAME"], fd))
            if message.get("FDSTOREREMOVE") == "1":
                for name, fd in [entry for entry in self.kept if entry[0] == message["FDNAME"]]:
                    os.close(fd)
                    self.kept.remove((name, fd))
            self.messages.append(message)
            if message.get("READY") == "1":
                self.ready.set()

    def names(self):
        return sorted(name for name, _ in self.kept)

    def start(self):
        """As sd_listen_fds(3) wants it: descriptors from 3 on, their names, whose they are."""
        entries = [(name, one.fileno()) for name, one in self.given.items()] + list(self.kept)
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 200) for _, fd in entries]
        moves = " ".join(f"{3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(high))
        command = " ".join(f"'{part}'" for part in self.balancer.command())
        environ = {**self.balancer.environment(), "NOTIFY_SOCKET": self.path}
        if entries:
            environ.update(LISTEN_FDS=str(len(entries)), LISTEN_FDNAMES=":".join(name for name, _ in entries))
        self.ready.clear()
        with open(os.path.join(self.balancer.dir, "stderr"), "ab") as errors:
            self.balancer.process = subprocess.Popen(
                ["/bin/bash", "-c", f"exec {moves}; export LISTEN_PID=$$; exec {command}" if moves
                 else f"exec {command}"], pass_fds=high, env=environ, stderr=errors,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=self.balancer.dir)
        for fd in high:
            os.close(fd)
        self.balancer.stopped = False
        until(lambda: self.ready.is_set() or self.balancer.process.poll() is not None, 20, "READY=1")
        assert self.ready.is_set(), self.balancer.errors()

    def kill(self):
        self.balancer.signal(signal.SIGKILL)
        self.balancer.process.wait(10)
        self.balancer.stopped = True

    def close(self):
        self.balancer.stop()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for _, fd in self.kept:
            os.close(fd)


class Knocker:
    """Clients that connect and ask all the time; counts how it went."""

    def __init__(self, port, count=4):
        self.port, self.over = port, threading.Event()
        self.refused, self.lost, self.served = [], [], 0
        self.threads = [threading.Thread(target=self._knock) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _knock(self):
        while not self.over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), 20) as one:
                    try:
                        one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                        if one.recv(4096).startswith(b"HTTP/1.1 200"):
                            self.served += 1
                        else:
                            self.lost.append("no answer")
                    except OSError as problem:
                        self.lost.append(str(problem))
            except ConnectionRefusedError as problem:
                self.refused.append(str(problem))

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(30)


def config(origin, *binds, workers=2):
    return {"workers": workers, "listeners": {"public": {"bind": list(binds)}},
            "pools": {"api": {"backends": {"a": {"address": origin.address}}}}, "routes": [{"pool": "api"}]}


def sockets_of(port):
    """How many sockets listen at the port, from the kernel's table."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        return sum(1 for row in table if f":{port:04X} " in row.split()[1] + " " and row.split()[3] == "0A")


def killed_under_load(manager, port, times):
    knocker = Knocker(port)
    for _ in range(times):
        before = knocker.served
        until(lambda: knocker.served > before + 20, 20, "service")
        manager.kill()
        time.sleep(0.05)
        manager.start()
    before = knocker.served
    until(lambda: knocker.served > before + 20, 20, "service after the last crash")
    knocker.end()
    assert knocker.refused == [], knocker.refused
    # Each crash loses what that process had accepted, and no more: one exchange for each client.
    assert len(knocker.lost) <= times * len(knocker.threads), knocker.lost


def test_g5_killed_with_stored_sockets(env):
    """F25: the next process finds the sockets, and nobody was refused."""
    port = env.port()
    balancer = env.meridian(config(env.origin(), f"127.0.0.1:{port}"), start=False)
    manager = Manager(balancer)
    manager.start()
    assert manager.names() == [f"listener.127.0.0.1={port}.0", f"listener.127.0.0.1={port}.1"]
    killed_under_load(manager, port, 3)
    assert len(manager.kept) == 2 and sockets_of(port) == 2, "a restart must not gather sockets"
    manager.close()


def test_g5_killed_under_socket_activation(env):
    port = env.port()
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    balancer = env.meridian(config(env.origin(), "systemd:web"), start=False)
    manager = Manager(balancer, {"web": listener})
    manager.start()
    assert manager.kept == [], "what a .socket unit opens is kept by it"
    killed_under_load(manager, port, 3)
    manager.close()
    listener.close()


def test_fewer_and_more_workers_after_a_restart(env):
    """Every stored socket is served, by however many workers; more workers open more."""
    port = env.port()
    origin = env.origin()
    balancer = env.meridian(config(origin, f"127.0.0.1:{port}", workers=3), start=False)
    manager = Manager(balancer)
    manager.start()
    for workers, sockets in ((1, 3), (4, 4)):
        manager.kill()
        balancer.write(config(origin, f"127.0.0.1:{port}", workers=workers))
        manager.start()
        assert len(manager.kept) == sockets and sockets_of(port) == sockets
        for _ in range(40):
            with env.client(port) as client:
                assert client.get().status == 200
    manager.close()


def test_stored_sockets_of_a_listener_that_went(env):
    """By a reload and over a restart: forgotten by the manager, closed here, nobody waits in vain."""
    first, second = env.port(), env.port()
    origin = env.origin()
    both = config(origin, f"127.0.0.1:{first}", f"127.0.0.1:{second}")
    balancer = env.meridian(both, start=False)
    manager = Manager(balancer)
    manager.start()
    assert len(manager.kept) == 4
    balancer.reload(config(origin, f"127.0.0.1:{first}"))
    until(lambda: len(manager.kept) == 2, what="the manager to forget")
    until(lambda: sockets_of(second) == 0, what="the second address to be closed")
    balancer.reload(both)
    until(lambda: len(manager.kept) == 4, what="the manager to keep them again")
    manager.kill()
    balancer.write(config(origin, f"127.0.0.1:{first}"))
    manager.start()
    until(lambda: len(manager.kept) == 2 and sockets_of(second) == 0, what="the unused ones to be closed")
    assert "inherited-socket-unused" in balancer.errors()
    balancer.reload(both)
    with env.client(second) as client:
        assert client.get().status == 200
    manager.close()


def test_stored_unix_socket(env):
    path = env.path("front.sock")
    balancer = env.meridian(config(env.origin(), f"unix:{path}"), start=False)
    manager = Manager(balancer)
    manager.start()
    for graceful in (False, True):
        if graceful:
            balancer.stop()
        else:
            manager.kill()
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.settimeout(20)
            waiting.connect(path)
            waiting.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            manager.start()
            assert waiting.recv(4096).startswith(b"HTTP/1.1 200")
    manager.close()


def test_restart_refuses_nobody(env):
    port = env.port()
    balancer = env.meridian(config(env.origin(), f"127.0.0.1:{port}"), start=False)
    manager = Manager(balancer)
    manager.start()
    knocker = Knocker(port)
    for _ in range(3):
        before = knocker.served
        until(lambda: knocker.served > before + 10, 20, "service")
        balancer.stop()
        manager.start()
    knocker.end()
    assert knocker.refused == [] and knocker.lost == [], (knocker.refused, knocker.lost)
    manager.close()


def upgraded(manager):
    """USR2; the new process's id, when the old one has ended."""
    old = manager.balancer.process
    seen = len(manager.messages)
    old.send_signal(signal.SIGUSR2)

    def announced():
        return [m["MAINPID"] for m in manager.messages[seen:] if m.get("MAINPID", str(old.pid)) != str(old.pid)]

    new = int(until(announced, 20, "the new main process")[0])
    manager.balancer.expect_end(0)
    return new


def test_upgrade_then_crash_refuses_nobody(env):
    """Stored sockets and those of a .socket unit pass through an upgrade and a crash after it."""
    stored, given = env.port(), env.port()
    listener = socket.create_server(("127.0.0.1", given), backlog=128)
    balancer = env.meridian(config(env.origin(), f"127.0.0.1:{stored}", "systemd:web"), start=False)
    manager = Manager(balancer, {"web": listener})
    manager.start()
    names = manager.names()
    knockers = [Knocker(stored, 2), Knocker(given, 2)]
    new = upgraded(manager)
    before = [knocker.served for knocker in knockers]
    until(lambda: all(k.served > n + 10 for k, n in zip(knockers, before)), 20, "service by the new process")
    assert manager.names() == names and sockets_of(stored) == len(names) == 2
    assert all(knocker.lost == [] for knocker in knockers), [knocker.lost for knocker in knockers]
    os.kill(new, signal.SIGKILL)
    until(lambda: gone(new), what="the crash")
    manager.start()
    before = [knocker.served for knocker in knockers]
    until(lambda: all(k.served > n + 10 for k, n in zip(knockers, before)), 20, "service after the crash")
    for knocker in knockers:
        knocker.end()
        assert knocker.refused == [], knocker.refused
        assert len(knocker.lost) <= len(knocker.threads), knocker.lost
    assert manager.names() == names and sockets_of(stored) == 2
    manager.close()
    listener.close()
