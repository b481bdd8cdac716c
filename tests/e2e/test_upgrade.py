"""Binary upgrade by USR2 (RELIABILITY G4, F26): sockets, health, ticket keys and counters are handed over."""
import errno
import os
import re
import shutil
import signal
import socket
import threading
import time

from client import Client, client_context, get
from dns import NameServer
from env import gone, long, seconds, until
from h2 import H2Client
from origin import gated, text

GOAWAY = 7
BOTH = {"protocols": ["h2", "http/1.1"]}


class Line:
    """One balancer after another: each process takes the place of the one before."""

    def __init__(self, balancer):
        self.balancer, self.pids = balancer, [balancer.process.pid]

    def upgrade(self):
        old = self.pids[-1]
        os.kill(old, signal.SIGUSR2)
        message = self.balancer.notify.wait("READY", "1", 20)
        while message and message.get("MAINPID") in (None, str(old)):
            message = self.balancer.notify.wait("READY", "1", 20)
        assert message, self.balancer.errors()
        self.pids.append(int(message["MAINPID"]))

    def ended(self, which=-2):
        until(lambda: self._reaped(self.pids[which]), 20, "the end of the old process")

    def _reaped(self, pid):
        if pid == self.balancer.process.pid:
            return self.balancer.process.poll() is not None
        return gone(pid)

    def close(self):
        """The last one ends by TERM; the first one, which the test started, ended with 0."""
        os.kill(self.pids[-1], signal.SIGTERM)
        until(lambda: all(self._reaped(pid) for pid in self.pids), 30, "the end of all")
        if len(self.pids) > 1:
            self.balancer.expect_end(0)
        else:
            self.balancer.stop()


class Load:
    """Clients that ask all the time, over connections that they keep; every answer counts."""

    def __init__(self, port, h1=3, h2=3):
        self.port, self.over, self.served, self.failed = port, threading.Event(), 0, []
        self.threads = [threading.Thread(target=self._run, args=(one,)) for one in [self._h1] * h1 + [self._h2] * h2]
        for thread in self.threads:
            thread.start()

    def _run(self, one):
        try:
            while not self.over.is_set():
                one()
        except Exception as problem:  # pylint: disable=broad-except
            self.failed.append(f"{one.__name__}: {problem!r}")

    def _h1(self):
        with Client(self.port) as client:
            while not self.over.is_set():
                answer = client.get()
                assert answer.status == 200, answer
                self.served += 1
                if not answer.keep_alive:
                    return

    def _h2(self):
        with H2Client(self.port) as client:
            client.ready()
            while not self.over.is_set() and not client.count(GOAWAY):
                try:
                    assert client.get().status == 200
                    self.served += 1
                except (AssertionError, OSError):
                    if not client.count(GOAWAY):
                        raise
                    return  # begun after the last one that counts: to be asked again (RFC 9113 section 6.8)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        assert self.failed == [], self.failed


def upgrades_under_load(env, times):
    balancer = env.simple(env.origin(), listener=BOTH)
    line = Line(balancer)
    load = Load(balancer.port)
    for _ in range(times):
        before = load.served
        until(lambda: load.served > before + 100, 30, f"answers {load.failed}")
        line.upgrade()
        line.ended()
    before = load.served
    until(lambda: load.served > before + 100, 30, "answers after the last one")
    load.end()
    line.close()


def test_g4_upgrades_under_load(env):
    upgrades_under_load(env, 4)


@long
@seconds(240)
def test_g4_twenty_upgrades_under_load(env):
    upgrades_under_load(env, 20)


def test_state_is_handed_over(env):
    origins = [env.origin(), env.origin()]
    balancer = env.simple(*origins, pool={"health": {"tcp": {}, "interval": "500ms", "timeout": "300ms"}})
    line = Line(balancer)
    balancer.ctl("drain", "api/a")
    balancer.ctl("weight", "api/b", "7")
    origins[0].die()
    until(lambda: balancer.ctl_json("backends")["backends"][0]["health"] != "up", what="a to be down")
    for _ in range(5):
        assert get(balancer.port).status == 200
    before = balancer.ctl_json("backends")["backends"]
    requests = balancer.ctl_json("status")["requests_total"]
    line.upgrade()
    status = balancer.ctl_json("status")
    assert status["pid"] == line.pids[-1] and status["requests_total"] >= requests >= 5, status
    after = balancer.ctl_json("backends")["backends"]
    for key in ("name", "health", "admin", "weight", "requests"):
        assert [row[key] for row in after] == [row[key] for row in before], (key, before, after)
    line.ended()
    assert balancer.ctl_json("status")["pid"] == line.pids[-1], "the control socket went with the old process"
    assert balancer.admin("/healthz")[0] == 200
    line.close()


def counted(text):
    """{series: value} of the counters on a page of metrics, parts of histograms among them."""
    counters = set(re.findall(r"^# TYPE (meridian_\w+) (?:counter|histogram)$", text, re.M))
    rows = re.findall(r"^(meridian_\w+?)((?:_bucket|_sum|_count)?(?:\{.*\})?) (\S+)$", text, re.M)
    return {name + more: float(value) for name, more, value in rows if name in counters}


def test_p7_no_counter_goes_back_and_none_is_lost(env):
    """Each one of the page, the clients of the map too; and what the old process counts while it drains is added."""
    gate, collector = threading.Event(), env.origin(name="collector")
    origin = env.origin(reply=lambda request: gated(gate, text(b"slow")) if request.target == "/slow" else text())
    places = env.geo_database([("5.1.0.0/16", "DE", "EU", "", 52.5, 13.4, 10)])
    balancer = env.simple(origin, geo={"databases": [places]}, tracing={"collector": collector.address, "sample": "100%"},
                          trusted_proxies={"from": ["127.0.0.0/8"], "header": "x-forwarded-for"})
    good, line = balancer.config, Line(balancer)
    assert [get(balancer.port, headers={"X-Forwarded-For": f"5.1.0.{i}"}).status for i in range(5)] == [200] * 5
    assert balancer.reload("listeners: {", check=False).returncode == 1
    balancer.reload(good)
    busy = [Client(balancer.port).request("GET", "/slow") for _ in range(3)]
    until(lambda: len(origin.requests) == 8, what="the slow requests")
    until(lambda: balancer.metric("meridian_trace_spans_total", result="sent") == 5, what="the spans")
    before, clients = counted(balancer.admin("/metrics")[1]), balancer.ctl_json("map")["clients"]
    assert [(row["country"], row["clients"]) for row in clients] == [("", 3), ("DE", 5)], clients
    line.upgrade()
    after = counted(balancer.admin("/metrics")[1])
    fallen = {name: (value, after.get(name)) for name, value in before.items() if after.get(name, -1) < value}
    assert len(before) > 50 and not fallen, fallen
    assert balancer.ctl_json("map")["clients"] == clients
    gate.set()
    for client in busy:
        assert client.response().body == b"slow"
        client.close()
    line.ended()
    until(lambda: balancer.metric("meridian_requests_total", route="api", code="2xx") == 8, what="what was counted since")
    assert balancer.metric("meridian_backend_requests_total", backend="a") == 8
    assert balancer.metric("meridian_request_seconds_count", route="api") == 8
    assert balancer.metric("meridian_listener_accepted_total", listener="public") == 8
    line.close()


def held(env):
    """A balancer whose requests for /slow wait for the gate, which are seen at the origin."""
    gate = threading.Event()
    origin = env.origin(reply=lambda request: gated(gate, text()) if request.target == "/slow" else text())
    return env.simple(origin, drain={"requests": "300s", "tunnels": "300s"}), origin, gate


def busy(balancer, origin):
    """A client whose request is under way: in this process, or in the one before, which accepts until its workers have heard."""
    before = len(origin.requests)
    client = Client(balancer.port).request("GET", "/slow")
    until(lambda: len(origin.requests) > before, what="the request")
    return client


def served(balancer):
    return balancer.metric("meridian_requests_total", route="api", code="2xx")


def test_p7_what_drains_longest_is_counted_after_many_upgrades(env):
    """The first process ends last: those between are gone by then, and the last one gets what it has counted."""
    balancer, origin, gate = held(env)
    line = Line(balancer)
    client = busy(balancer, origin)
    for _ in range(3):
        line.upgrade()
        assert get(balancer.port).status == 200
    for between in (1, 2):
        line.ended(between)
    gate.set()
    assert client.response().status == 200
    line.ended(0)
    until(lambda: served(balancer) == 4, what="what the first one counted")
    assert balancer.metric("meridian_request_seconds_count", route="api") == 4
    line.close()


def test_p7_nothing_is_counted_twice_where_an_upgrade_fails(env):
    """The one before ends while a next one is tried, which fails: what it counted is added once, here."""
    balancer, origin, gate = held(env)
    good, line = balancer.config, Line(balancer)
    client = busy(balancer, origin)
    line.upgrade()
    balancer.write("listeners: {")
    os.kill(line.pids[-1], signal.SIGUSR2)
    until(lambda: "upgrade-failed" in balancer.errors(), 20, "the failure")
    balancer.write(good)
    gate.set()
    assert client.response().status == 200
    line.ended()
    until(lambda: served(balancer) == 1, what="what the first one counted")
    line.upgrade()
    line.ended()
    assert served(balancer) == 1
    line.close()


@long
@seconds(180)
def test_p7_more_drain_than_are_counted(env):
    """Seventeen drain at a time: the oldest is left out with a warning, all others are counted."""
    balancer, origin, gate = held(env)
    line, clients = Line(balancer), []
    for _ in range(17):
        while not balancer.metric("meridian_requests_running"):
            clients.append(busy(balancer, origin))
        line.upgrade()
    assert balancer.errors().count("counts-left") == 1, balancer.errors()
    assert "successor-ended" not in balancer.errors(), "which does not mean that nobody serves"
    gate.set()
    assert [client.response().status for client in clients] == [200] * len(clients)
    for which in range(17):
        line.ended(which)
    until(lambda: served(balancer) >= len(clients) - 2, what="what was counted")  # the oldest may have got the second one, too
    assert served(balancer) < len(clients)
    line.close()


def test_tickets_are_handed_over(env):
    authority = env.authority
    balancer = env.simple(env.origin(), listener={
        "tls": {"certificates": [authority.server("localhost").config()]}, "protocols": ["http/1.1"]})
    line = Line(balancer)
    context = client_context(authority.ca)
    with Client(balancer.port, tls=context) as client:
        assert client.get().status == 200
        session = client.socket.session
    line.upgrade()
    line.ended()
    with Client(balancer.port, tls=context, session=session) as client:
        assert client.get().status == 200 and client.socket.session_reused
    line.close()


def test_running_request_ends_with_the_old_process(env):
    gate = threading.Event()
    origin = env.origin(script=[gated(gate, text(b"slow")), text(b"quick")])
    balancer = env.simple(origin)
    line = Line(balancer)
    busy = env.client(balancer.port).request()
    until(lambda: origin.requests)
    line.upgrade()
    assert get(balancer.port).status == 200
    time.sleep(1)  # until each worker of the old process has heard of its drain, which nobody else can see
    gate.set()
    answer = busy.response()
    assert answer.body == b"slow" and not answer.keep_alive
    line.ended()
    line.close()


def copied(env):
    """A balancer whose program can be replaced."""
    balancer = env.simple(env.origin())
    balancer.stop()
    program = env.path("bin", "meridian")
    os.makedirs(os.path.dirname(program))
    shutil.copy(env.program("meridian"), program)
    balancer.program = program
    balancer.start()
    return balancer, program


def replaced(program, script):
    with open(program + ".new", "w", encoding="ascii") as file:
        file.write(script)
    os.chmod(program + ".new", 0o755)
    os.rename(program + ".new", program)


def test_f26_new_process_dies(env):
    balancer, program = copied(env)
    replaced(program, "#!/bin/sh\necho the new one is broken >&2\nexit 42\n")
    balancer.signal(signal.SIGUSR2)
    until(lambda: "upgrade-failed" in balancer.errors(), 20, "the failure")
    assert "the new one is broken" in balancer.errors() and "status=42" in balancer.errors(), balancer.errors()
    assert get(balancer.port).status == 200 and balancer.alive()
    os.unlink(program)
    balancer.signal(signal.SIGUSR2)
    until(lambda: "status=127" in balancer.errors(), 20, "the second failure")
    assert get(balancer.port).status == 200 and balancer.alive()


# Says what a new process says over its pipe, and ends.
SAYS = """#!/usr/bin/env python3
import os, sys
os.write(3 + os.environ["LISTEN_FDNAMES"].split(":").index("meridian.ready"), {said!r})
sys.exit({status})
"""


def test_f26_new_process_dies_when_it_has_said_that_it_serves(env):
    """The old one goes on as if nothing had been: for clients, for operators, for the service manager, and for the next upgrade."""
    balancer, program = copied(env)
    line = Line(balancer)
    shutil.copy(program, program + ".good")
    replaced(program, SAYS.format(said=b"1", status=42))
    with Client(balancer.port) as client:
        assert client.get().status == 200
        balancer.signal(signal.SIGUSR2)
        until(lambda: "reason=ended-early status=42" in balancer.errors(), 20, "the failure")
        for _ in range(3):
            answer = client.get()
            assert answer.status == 200 and answer.keep_alive, answer
    assert get(balancer.port).status == 200 and balancer.admin("/readyz")[0] == 200
    assert balancer.ctl_json("status")["pid"] == balancer.process.pid
    mains = {message.get("MAINPID") for message in balancer.notify.messages} - {None}
    assert mains == {str(balancer.process.pid)} and "STOPPING" not in str(balancer.notify.messages), balancer.notify.messages
    os.rename(program + ".good", program)
    line.upgrade()
    line.ended()
    assert balancer.ctl_json("status")["pid"] == line.pids[-1] and get(balancer.port).status == 200
    line.close()


def test_who_stops_the_new_process_stops_the_service(env):
    """Also before the old one has let go: it must not take that for a failure and go on."""
    balancer, program = copied(env)
    replaced(program, SAYS.format(said=b"10", status=0))
    balancer.signal(signal.SIGUSR2)
    balancer.expect_end(0)
    assert "upgrade-failed" not in balancer.errors(), balancer.errors()


def draining(env):
    """A balancer that has been upgraded, its first process busy with a request that waits for the gate."""
    balancer, origin, gate = held(env)
    line, client = Line(balancer), busy(balancer, origin)
    line.upgrade()
    return balancer, line, client, gate


def parent(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[1])


def test_g5_new_process_is_killed_while_the_old_one_drains(env):
    """The manager, which is its parent by then, sees that; what drains does not hold up the next one."""
    balancer, line, client, _ = draining(env)
    assert parent(line.pids[-1]) not in (0, balancer.process.pid)
    with open(f"/proc/{balancer.process.pid}/task/{balancer.process.pid}/children", encoding="ascii") as children:
        assert children.read() == ""
    os.kill(line.pids[-1], signal.SIGKILL)
    balancer.expect_end(0)
    assert "event=successor-ended" in balancer.errors(), balancer.errors()
    client.close()


def halted(balancer):
    """The pid of a new process that has begun and gets no further until SIGCONT."""
    before = balancer.errors().count("event=upgrading")
    balancer.signal(signal.SIGUSR2)
    until(lambda: balancer.errors().count("event=upgrading") > before, 20, "the new process")
    pid = int(re.findall(r"event=upgrading .*pid=(\d+)", balancer.errors())[-1])
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_a_reload_during_an_upgrade_is_not_lost(env):
    """One by HUP is carried out by whoever is the service when it is over, one that somebody waits for is refused."""
    balancer, other = env.simple(env.origin()), env.port()
    line, good = Line(balancer), balancer.config
    child = halted(balancer)
    both = {**good, "listeners": {**good["listeners"], "other": {"bind": f"127.0.0.1:{other}"}}}
    refused = balancer.reload(both, check=False)
    assert refused.returncode == 1 and "an upgrade is under way" in refused.stderr, refused
    balancer.signal(signal.SIGHUP)
    until(lambda: "event=reload-waits" in balancer.errors(), 20, "the word of it")
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", other)) == errno.ECONNREFUSED
    os.kill(child, signal.SIGKILL)
    until(lambda: "event=upgrade-failed" in balancer.errors(), 20, "the failure")
    until(lambda: balancer.ctl_json("status")["generation"] == 2, 20, "the reload of the one that goes on")
    assert get(other).status == 200
    child = halted(balancer)
    balancer.write(good)
    balancer.signal(signal.SIGHUP)
    until(lambda: balancer.errors().count("event=reload-waits") == 2, 20, "the word of it")
    balancer.write(both)  # what is there when the upgrade is over counts
    os.kill(child, signal.SIGCONT)
    until(lambda: "event=upgraded" in balancer.errors(), 20, "the upgrade")
    line.pids.append(child)
    line.ended()
    until(lambda: balancer.ctl_json("status")["pid"] == child and balancer.ctl_json("status")["generation"] == 2, 20, "the new one's reload")
    assert get(other).status == get(balancer.port).status == 200
    line.close()


def test_a_stop_after_an_upgrade_lets_requests_finish(env):
    """A manager sends TERM to both: for the old one, which drains, it is the first one."""
    balancer, line, client, gate = draining(env)
    os.kill(line.pids[-1], signal.SIGTERM)
    balancer.signal(signal.SIGTERM)
    until(lambda: gone(line.pids[-1]), 20, "the end of the new process")
    gate.set()
    assert client.response().status == 200
    balancer.expect_end(0)
    assert "successor-ended" not in balancer.errors(), balancer.errors()


def test_who_stops_the_old_process_leaves_the_new_one(env):
    """TERM right after the new one serves is what ends the old one anyway: nothing is killed."""
    balancer = env.simple(env.origin())
    line = Line(balancer)
    balancer.signal(signal.SIGUSR2)
    assert balancer.notify.wait("STATUS", "serving, generation 1", 20), balancer.errors()  # the new one's: the old one's was read
    balancer.signal(signal.SIGTERM)
    message = balancer.notify.wait("READY", "1", 20)
    while message and message.get("MAINPID") in (None, str(balancer.process.pid)):
        message = balancer.notify.wait("READY", "1", 20)
    line.pids.append(int(message["MAINPID"]))
    line.ended()
    assert get(balancer.port).status == 200 and balancer.ctl_json("status")["pid"] == line.pids[-1]
    line.close()


def test_f26_new_configuration_is_broken(env):
    balancer = env.simple(env.origin())
    balancer.write("listeners: {")
    balancer.signal(signal.SIGUSR2)
    until(lambda: "upgrade-failed" in balancer.errors(), 20, "the failure")
    assert "status=1 " in balancer.errors() and "meridian.yaml:2:" in balancer.errors(), balancer.errors()
    assert get(balancer.port).status == 200
    assert balancer.ctl_json("status")["pid"] == balancer.process.pid


def test_f26_new_process_hangs(env):
    """It is ended when the old one stops; no second one is begun beside it."""
    balancer, program = copied(env)
    pid_file = env.path("pid")
    replaced(program, f"#!/bin/sh\necho $$ > {pid_file}.new; mv {pid_file}.new {pid_file}\nexec sleep 1000\n")
    balancer.signal(signal.SIGUSR2)
    until(lambda: os.path.exists(pid_file), 20, "the start of the new process")
    balancer.signal(signal.SIGUSR2)
    until(lambda: "upgrade-refused" in balancer.errors(), what="the refusal")
    assert get(balancer.port).status == 200
    with open(pid_file, encoding="ascii") as file:
        pid = int(file.read())
    balancer.stop()
    assert gone(pid)
    with socket.socket() as late:
        assert late.connect_ex(("127.0.0.1", balancer.port)) != 0


@long
def test_f26_new_process_hangs_too_long(env):
    balancer, program = copied(env)
    replaced(program, "#!/bin/sh\nexec sleep 1000\n")
    balancer.signal(signal.SIGUSR2)
    until(lambda: "not-ready-in-time" in balancer.errors(), 60, "the end of patience")
    time.sleep(1)
    assert get(balancer.port).status == 200


def refused(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def test_c7_the_last_process_refuses_while_it_drains(env):
    """What it has from the process before it is its own: clients are not left waiting at TERM."""
    gate = threading.Event()
    origin = env.origin(reply=lambda request: gated(gate, text()))
    balancer = env.simple(origin, drain={"requests": "20s", "tunnels": "20s"})
    line = Line(balancer)
    line.upgrade()
    line.ended()
    with Client(balancer.port) as client:
        client.request()
        until(lambda: origin.requests, what="the request")
        os.kill(line.pids[-1], signal.SIGTERM)
        until(lambda: refused(balancer.port), what="the refusal")
        gate.set()
        assert client.response().status == 200
    line.close()


def test_p7_names_and_orders_about_them(env):
    """Addresses of host names are known at once, whatever name servers say, and so is what an operator said."""
    dns = NameServer(env.port(), {"a.test": ["127.0.0.1"], "b.test": ["127.0.0.1"]})
    env.at_end(dns.close)
    first, second, port = env.origin(name="first"), env.origin(name="second"), env.port()
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}}, "resolve": {"servers": [dns.address]},
        "pools": {"api": {"backends": {"a": {"address": f"a.test:{first.port}"}, "b": {"address": f"b.test:{second.port}"}}}},
        "routes": [{"pool": "api"}]})
    until(lambda: len(balancer.ctl_json("backends")["backends"]) == 2, what="both addresses")
    balancer.ctl("drain", "api/a")
    dns.modes.update({"a.test": "silent", "b.test": "silent"})
    line = Line(balancer)
    line.upgrade()
    assert [get(port).body for _ in range(4)] == [b"second"] * 4
    line.close()
