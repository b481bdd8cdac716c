"""Life as a service: notify socket, socket activation, watchdog, signals (SURFACE.md, sections 2, 7)."""
import os
import resource
import signal
import socket
import subprocess
import threading
import time

import hpack
from client import Client, client_context, get
from env import native, seconds, until
from h2 import HEADERS, SETTINGS, frame
from meridian import Notify
from origin import gated, text
from wire import Ended


def test_ready_status_and_stopping(env):
    balancer = env.simple(env.origin())
    notify = balancer.notify
    assert any(message.get("READY") == "1" for message in notify.messages)
    balancer.signal(signal.SIGTERM)
    assert notify.wait("STOPPING", "1", 10), notify.messages
    balancer.expect_end(0)


def test_reloading_is_announced(env):
    balancer = env.simple(env.origin())
    balancer.signal(signal.SIGHUP)
    message = balancer.notify.wait("RELOADING", "1", 10)
    assert message and message.get("MONOTONIC_USEC", "").isdigit(), message
    assert balancer.notify.wait("READY", "1", 10)


def test_notify_socket_that_nobody_reads(env):
    """P8: a service manager that does not listen stops nothing."""
    balancer = env.simple(env.origin())
    balancer.stop()
    balancer.notify = Notify(os.path.join(balancer.dir, "deaf"), reading=False)
    balancer.spawn(NOTIFY_SOCKET=balancer.notify.path)
    until(lambda: balancer.ctl("status", check=False).returncode == 0, what="the control socket")
    for _ in range(30):
        balancer.ctl("reload", timeout=5)
    assert get(balancer.port).status == 200


def test_watchdog(env):
    balancer = env.simple(env.origin())
    balancer.stop()
    notify = Notify(os.path.join(balancer.dir, "second"))
    balancer.notify = notify
    balancer.spawn(NOTIFY_SOCKET=notify.path, WATCHDOG_USEC="2000000")
    assert notify.wait("READY", "1", 20)
    assert notify.wait("WATCHDOG", "1", 5), "no sign of life"
    assert notify.wait("WATCHDOG", "1", 5), "only one sign of life"


def test_abstract_notify_socket(env):
    balancer = env.simple(env.origin())
    balancer.stop()
    name = f"meridian-test-{os.getpid()}"
    notify = Notify("\0" + name)
    balancer.notify = notify
    balancer.spawn(NOTIFY_SOCKET="@" + name)
    assert notify.wait("READY", "1", 20)
    assert get(balancer.port).status == 200


def activated(env, balancer, listener, **more):
    """Starts the balancer through a shell that makes LISTEN_PID right, as a service manager does."""
    fd = listener.fileno()
    notify = Notify(os.path.join(balancer.dir, "notify-activated"))
    environ = {**balancer.environment(), "NOTIFY_SOCKET": notify.path, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web",
               **more}
    command = " ".join(f"'{part}'" for part in balancer.command())
    stderr = open(os.path.join(balancer.dir, "stderr"), "ab")
    balancer.process = subprocess.Popen(
        ["/bin/bash", "-c", f"exec 3<&{fd} {fd}<&-; export LISTEN_PID=$$; exec {command}"], pass_fds=(fd,),
        env=environ, stderr=stderr, stdout=subprocess.DEVNULL, cwd=balancer.dir)
    stderr.close()
    balancer.stopped = False
    balancer.notify = notify
    assert notify.wait("READY", "1", 20), balancer.errors()


def test_socket_activation(env):
    """Connections made while no balancer runs wait and are served by the next one."""
    origin, port = env.origin(), env.port()
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    os.set_inheritable(listener.fileno(), True)
    balancer = env.meridian({
        "listeners": {"public": {"bind": "systemd:web"}},
        "pools": {"api": {"backends": {"a": {"address": origin.address}}}},
        "routes": [{"pool": "api"}]}, start=False)
    early = env.client(port).request()
    activated(env, balancer, listener)
    assert early.response().status == 200
    assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 64 << 10, "as on our own sockets (L18)"
    for _ in range(20):
        assert get(port).status == 200
    balancer.stop()
    between = env.client(port).request()
    activated(env, balancer, listener)
    assert between.response().status == 200
    listener.close()


def test_an_activated_socket_for_both_families_knows_its_proxies(env):
    """ListenStream=443 is such a socket; IPv4 addresses come as ::ffff:127.0.0.1 there."""
    origin, port = env.origin(), env.port()
    listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=128, dualstack_ipv6=True)
    os.set_inheritable(listener.fileno(), True)
    balancer = env.meridian({
        "listeners": {"public": {"bind": "systemd:web", "proxy_protocol": {"from": ["127.0.0.1"]}}},
        "pools": {"api": {"backends": {"a": {"address": origin.address}}}},
        "routes": [{"pool": "api"}]}, start=False)
    activated(env, balancer, listener)
    with env.client(port) as client:
        client.send(b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n")
        assert client.get("/").status == 200
    assert origin.last().fields.get("x-forwarded-for") == "192.0.2.7"
    listener.close()


def test_missing_activated_socket_is_exit_3_or_1(env):
    balancer = env.meridian({
        "listeners": {"public": {"bind": "systemd:absent"}},
        "pools": {"api": {"backends": {"a": {"address": "127.0.0.1:9"}}}}, "routes": [{"pool": "api"}]}, start=False)
    done = balancer.run()
    assert done.returncode in (1, 3) and "absent" in done.stderr
    balancer.stopped = True


def test_term_lets_requests_finish(env):
    gate = threading.Event()
    origin = env.origin(script=[gated(gate, text(b"finished"))])
    balancer = env.simple(origin)
    busy = env.client(balancer.port).request()
    idle = env.client(balancer.port)
    until(lambda: origin.requests)
    balancer.signal(signal.SIGTERM)
    assert idle.ended(), "the idle connection stays open"
    time.sleep(0.3)
    try:
        Client(balancer.port).close()
        accepted = True
    except ConnectionError:
        accepted = False
    gate.set()
    answer = busy.response()
    assert answer.body == b"finished" and not answer.keep_alive
    assert not accepted, "a stopping balancer still accepts"
    balancer.expect_end(0)


@seconds(60)
def test_term_waits_for_no_head(env):
    """What is not complete is no request: neither half a head, nor half a handshake, nor half a frame."""
    origin = env.origin()
    tls = {"certificates": [env.authority.server("localhost").config()]}
    both = env.simple(origin, listener={"protocols": ["h2", "http/1.1"]}, timeouts={"request_head": "40s"})
    secure = env.simple(origin, listener={"tls": tls}, timeouts={"request_head": "40s", "handshake": "40s"})
    halves = [b"GET / HTTP/1.1\r\nHost: loc", b"PRI * HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS) +
              frame(HEADERS, 0, 1, hpack.encode([(b":method", b"GET")]))]
    clients = [env.client(both.port).send(half) for half in halves] + [env.client(secure.port).send(b"\x16\x03\x01")]
    begun = time.monotonic()
    until(lambda: both.ctl_json("status")["connections"] == 3 and secure.ctl_json("status")["connections"] == 1)
    for balancer in (both, secure):
        balancer.signal(signal.SIGTERM)
    for balancer in (both, secure):
        balancer.expect_end(0)
    assert time.monotonic() - begun < 30
    for client in clients:
        client.everything()


def test_term_gives_up_after_the_drain(env):
    from origin import never
    origin = env.origin(script=[never()])
    balancer = env.simple(origin, drain={"requests": "1s", "tunnels": "1s"})
    busy = env.client(balancer.port).request()
    until(lambda: origin.requests)
    balancer.signal(signal.SIGTERM)
    balancer.expect_end(0, 10)
    assert b" 200 " not in busy.everything()[:20]


def test_second_term_stops_at_once(env):
    from origin import never
    origin = env.origin(script=[never()])
    balancer = env.simple(origin, drain={"requests": "60s", "tunnels": "60s"})
    env.client(balancer.port).request()
    until(lambda: origin.requests)
    balancer.signal(signal.SIGTERM)
    time.sleep(0.5)
    assert balancer.alive()
    balancer.signal(signal.SIGTERM)
    balancer.expect_end(0, 5)


def test_sigpipe_and_unknown_signals_do_not_kill(env):
    balancer = env.simple(env.origin())
    for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGUSR1):
        balancer.signal(number)
        time.sleep(0.2)
        assert get(balancer.port).status == 200


def test_f27_stopped_and_continued(env):
    """A process that was stopped for a while goes on: nobody is thrown out."""
    balancer = env.simple(env.origin(), pool={"health": {"tcp": {}, "interval": "500ms", "timeout": "300ms"}})
    with Client(balancer.port) as client:
        assert client.get().status == 200
        balancer.signal(signal.SIGSTOP)
        time.sleep(5)
        balancer.signal(signal.SIGCONT)
        assert client.get().status == 200
    time.sleep(1)
    assert get(balancer.port).status == 200


@native
def test_f15_out_of_descriptors(env):
    """The limit falls while it runs: clients wait, the admin interface and a reload have what they need."""
    origin = env.origin()
    balancer = env.simple(origin, workers=1)
    assert get(balancer.port).status == 200
    pid = balancer.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (balancer.descriptors() + 14, before[1]))
    time.sleep(1.5)  # it looks once a second
    clients = [env.client(balancer.port) for _ in range(40)]
    for client in clients:
        client.request()
    for _ in range(10):
        assert balancer.admin("/healthz")[0] == 200
        assert balancer.ctl_json("status")["ready"]
    assert "reloaded" in balancer.reload()
    until(lambda: balancer.ctl_json("status")["overload"] != "none", what="the pressure, which is looked at ten times a second")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    def outcome(client):
        try:
            return client.response().status
        except (Ended, ConnectionError):
            return "reset"  # the only source there is was the one that held most
    outcomes = [outcome(client) for client in clients]
    assert set(outcomes) <= {200, 503, "reset"} and outcomes.count(200) > 10, outcomes
    until(lambda: balancer.ctl_json("status")["overload"] == "none", what="the end of the pressure")


def settled(pid):
    """The descriptors of a process, once they have been the same for a while."""
    before = None
    while True:
        now = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
        if now == before:
            return now
        before = now
        time.sleep(0.3)


def test_f15_a_reload_that_runs_out_of_descriptors(env):
    """Whatever is missing for a new listener, those that were there are served by the new configuration."""
    pair = env.authority.server("localhost")
    origin = env.origin(reply=lambda request: text(close=True))  # no connection that is counted and then given up
    balancer = env.simple(origin, workers=1, listener={"tls": {"certificates": [pair.config()]}}, pool={"health": {"off": True}})
    pid, config = balancer.process.pid, balancer.config
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    context = client_context(ca=env.authority.ca)

    def said(what):
        return balancer.errors().count(f"event={what}")

    for free in range(1, 4):
        used = settled(pid)
        bound = [number for number in range(1024) if number not in used][free]
        news = {"bind": f"127.0.0.1:{env.port()}"}
        balancer.write({**config, "listeners": {"news": news, **config["listeners"]}})
        told = said("reloaded") + said("reload-refused")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (bound, before[1]))
        balancer.signal(signal.SIGHUP)
        until(lambda: said("reloaded") + said("reload-refused") > told, what="the end of the reload")
        time.sleep(0.3)  # the worker takes it
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        time.sleep(1.1)  # a worker looks at its bound once a second
        assert get(balancer.port, tls=context).status == 200, free
    assert said("listen-failed") > 0, balancer.errors()
    for _ in range(8):
        assert get(int(news["bind"].split(":")[1])).status == 200
