"""A central database that is away, slow, silent, endless or hostile (F20): everything else goes on."""
import os
import re
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time

from central import addresses, balancer_of, begun, config_of, database, has_libpq, insert, serving, wait_for
from client import get
from env import Skip, lengthy, native, seconds, until
from postgres import SQL


class Silent:
    """Takes connections and says nothing."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.words = f"hostaddr=127.0.0.1 port={port} dbname=x user=x sslmode=disable"
        self.close = self.listener.close


def test_c9_f20_the_start_waits_no_longer_than_that(env):
    """Nobody answers: the wait ends by its own timer, and the file's backends serve."""
    server, seed = Silent(env.port()), env.origin(name="seed")
    env.at_end(server.close)
    if not has_libpq(env, server):
        raise Skip("built without libpq")
    for wait, least in (("0s", None), ("700ms", 700)):
        balancer = balancer_of(env, server, seed, wait=wait)
        assert serving(balancer, 2) == {b"seed"}
        source, waited = begun(balancer) if least else ("seed", None)
        assert source == "seed" and (waited or 0) >= (least or 0)
        assert balancer.metric("meridian_registry_source", pool="api", source="seed") == 1
        print(f"start_wait {wait}: waited {waited} ms")
        balancer.stop()


@seconds(120)
def test_f20_away_at_start_in_between_and_killed(env):
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    insert(server, other)
    balancer = balancer_of(env, server, seed)
    wait_for(balancer, seed, other)
    kept = os.path.join(balancer.dir, "pools.json")
    until(lambda: os.path.exists(kept), what="the last-known-good file")
    server.stop(signal.SIGQUIT)
    until(lambda: balancer.metric("meridian_database_up") == 0, what="its loss")
    until(lambda: "No such file" in balancer.ctl_json("database")["reason"], what="the reason")
    assert re.search(r"^state +away\nreason +.*No such file", balancer.ctl("database"))
    assert addresses(balancer) == {seed.address, other.address}
    assert {get(balancer.port).status for _ in range(50)} == {200}

    balancer.stop()
    started = time.monotonic()
    balancer.start()
    assert get(balancer.port).status == 200
    source, waited = begun(balancer)
    print(f"C9: waited {waited} ms, served {time.monotonic() - started:.2f} s after its start")
    assert source == "snapshot" and waited >= 2000
    assert addresses(balancer) == {seed.address, other.address}, "from the file"
    assert balancer.metric("meridian_registry_source", pool="api", source="snapshot") == 1
    assert "registry-restored" in balancer.errors()
    assert {get(balancer.port).status for _ in range(20)} == {200}

    server.start()
    until(lambda: balancer.metric("meridian_database_up") == 1, 40, "its return")
    assert "reason" not in balancer.ctl_json("database")
    assert balancer.metric("meridian_registry_source", pool="api", source="database") == 1
    server.sql("DELETE FROM meridian.pool_server")
    wait_for(balancer, seed)

    balancer.stop()
    with open(kept, "r+b") as file:
        file.write(b"x")
    server.stop()
    balancer.start()
    assert addresses(balancer) == {seed.address}
    assert "registry-not-restored" in balancer.errors()


@seconds(120)
def test_f20_what_a_database_may_do_meanwhile(env):
    """Its schema goes, the role loses its rights, nobody may write, nobody may connect: each time the servers stay,
    the log says why, and all goes on when it is over."""
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    third = env.origin(name="third")
    server.sql("CREATE ROLE app LOGIN; GRANT USAGE ON SCHEMA meridian TO app;"
               "GRANT SELECT ON ALL TABLES IN SCHEMA meridian TO app")
    insert(server, other)
    config = config_of(env, server, seed)
    config["data_sources"]["main"]["postgres"] = server.words.replace("user=meridian", "user=app")
    balancer = env.meridian(config)
    balancer.port = int(config["listeners"]["public"]["bind"].split(":")[1])
    wait_for(balancer, seed, other)

    def spell(begin, reason, end, *wanted):
        failures, said = balancer.metric("meridian_database_failures_total"), len(balancer.errors())
        server.sql(begin)
        until(lambda: balancer.metric("meridian_database_failures_total") > failures, 20, f"the failure of {begin}")
        until(lambda: reason in balancer.errors()[said:], 20, reason)
        assert {row["address"] for row in balancer.ctl_json("backends", "api")["backends"]} >= {seed.address}
        assert serving(balancer, 6) <= {b"seed", b"other", b"third"} and get(balancer.port).status == 200
        server.sql(end)
        wait_for(balancer, *wanted)
        until(lambda: balancer.metric("meridian_database_up") == 1, 40, "the session")

    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app';"
    spell("DROP SCHEMA meridian CASCADE", "does not exist",
          f"\\i {SQL}\nGRANT USAGE ON SCHEMA meridian TO app; GRANT SELECT ON ALL TABLES IN SCHEMA meridian TO app;"
          f"INSERT INTO meridian.pool_server (pool, address) VALUES ('api', '{other.address}'), ('api', '{third.address}')",
          seed, other, third)
    spell("CREATE TABLE kept AS SELECT * FROM meridian.meta; DELETE FROM meridian.meta",
          "meridian.meta must have exactly one row", "INSERT INTO meridian.meta SELECT * FROM kept",
          seed, other, third)
    spell("REVOKE SELECT ON ALL TABLES IN SCHEMA meridian FROM app", "permission denied",
          f"GRANT SELECT ON ALL TABLES IN SCHEMA meridian TO app; SELECT meridian.leave('api', '{third.address}')",
          seed, other)
    spell("ALTER ROLE app CONNECTION LIMIT 0;" + cut, "too many connections",
          f"ALTER ROLE app CONNECTION LIMIT -1; SELECT meridian.heartbeat('api', '{third.address}')", seed, other, third)
    server.sql("ALTER ROLE app SET default_transaction_read_only = on;" + cut)
    server.sql(f"SELECT meridian.leave('api', '{third.address}')")
    wait_for(balancer, seed, other)
    assert {get(balancer.port).status for _ in range(10)} == {200}


class Relay:
    """Stands before the database, and passes its answers on `delay` seconds late."""

    def __init__(self, env, server):
        self.server, self.delay, self.late = server, 0.0, 0
        self.dir = tempfile.mkdtemp(prefix="meridian-relay-", dir="/tmp")
        env.at_end(lambda: shutil.rmtree(self.dir, ignore_errors=True))
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.dir, ".s.PGSQL.5432"))
        os.chmod(self.dir, 0o755)
        os.chmod(os.path.join(self.dir, ".s.PGSQL.5432"), 0o777)
        self.listener.listen()
        self.words = f"host={self.dir} dbname=postgres user=meridian"
        threading.Thread(target=self._accept, daemon=True).start()
        env.at_end(self.listener.close)

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.server.socket)
            for pair in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source, target, is_answer):
        try:
            while data := source.recv(65536):
                if is_answer and self.delay:
                    time.sleep(self.delay)
                    self.late += 1
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            target.close()


@native
@lengthy
@seconds(120)
def test_f20_slow_10_s(env):
    """A database that answers after 10 s: requests, checks, reloads, the admin interface and the verdicts about
    servers go on as if nothing were; what it says counts again when it is quick."""
    server = database(env)
    seed, other, relay = env.origin(name="seed"), env.origin(name="other"), Relay(env, server)
    config = config_of(env, relay, seed)
    config["dependencies"] = {"db": {"data_source": "main", "interval": "300ms", "timeout": "300ms"}}
    config["pools"]["api"].update(depends_on=["db"], health={"http": {"path": "/"}, "interval": "250ms", "timeout": "250ms"})
    balancer = env.meridian(config)
    balancer.port = int(config["listeners"]["public"]["bind"].split(":")[1])
    until(lambda: balancer.ctl_json("database")["dependencies"][0]["state"] == "up", what="the probe")
    relay.delay = 10.0
    insert(server, other)
    statuses, checks = {}, balancer.metric("meridian_health_checks_total", result="good")
    failures = balancer.metric("meridian_database_failures_total")

    def late():
        status = get(balancer.port).status
        statuses[status] = statuses.get(status, 0) + 1
        return relay.late and balancer.metric("meridian_database_failures_total") > failures

    until(late, 60, "an answer that came 10 s late, and the end of patience")
    assert set(statuses) == {200}, statuses
    assert balancer.metric("meridian_health_checks_total", result="good") > checks, "checks go on"
    assert balancer.ctl_json("database")["dependencies"][0]["state"] == "down"
    config["pools"]["api"]["queue"] = {"limit": 7}
    balancer.reload(config)
    assert addresses(balancer) == {seed.address}, "what is known stays"
    relay.delay = 0.0
    wait_for(balancer, seed, other, within=60)
    until(lambda: balancer.ctl_json("database")["dependencies"][0]["state"] == "up", 20, "the probe")
    assert "backend-health" not in balancer.errors() and "slow-turn" not in balancer.errors()


def relayed(env, server, seed):
    relay = Relay(env, server)
    config = config_of(env, relay, seed)
    balancer = env.meridian(config)
    balancer.port = int(config["listeners"]["public"]["bind"].split(":")[1])
    until(lambda: balancer.metric("meridian_database_up") == 1, what="the session")
    return balancer, relay


def test_a4_8_a_poll_has_a_second(env):
    """A database that was quick falls silent: that is known long before its statements' own time is over."""
    server, seed = database(env), env.origin(name="seed")
    balancer, relay = relayed(env, server, seed)
    until(lambda: balancer.ctl_json("database")["polls"] >= 2, what="some polls")
    relay.delay = 3600.0
    until(lambda: not balancer.ctl_json("database")["up"], 30, "the end of patience")
    assert "no answer in time" in balancer.errors()
    assert balancer.ctl_json("database")["contact_seconds"] < 6


@lengthy
@seconds(120)
def test_a4_8_a_database_that_needs_longer_is_followed(env):
    """Each answer takes more than a second: patience grows, and nothing counts as missed for that."""
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    balancer, relay = relayed(env, server, seed)
    flushes = balancer.metric("meridian_database_flushes_total")
    relay.delay = 1.5
    insert(server, other)
    wait_for(balancer, seed, other, within=90)
    assert balancer.metric("meridian_database_flushes_total") == flushes


class Endless:
    """Speaks enough of the protocol to be asked, and answers without end."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._serve, daemon=True).start()

    @staticmethod
    def _message(kind, content):
        return kind + struct.pack("!I", len(content) + 4) + content

    def _serve(self):
        while True:
            try:
                asker, _ = self.listener.accept()
                asker.recv(65536)
                asker.sendall(self._message(b"R", bytes(4)) + self._message(b"Z", b"I"))
                asker.recv(65536)
                column = struct.pack("!H", 1) + b"a\0" + struct.pack("!IHIHIH", 0, 0, 25, 65535, 0xffffffff, 0)
                asker.sendall(self._message(b"T", column))
                while True:
                    asker.sendall(self._message(b"D", struct.pack("!HI", 1, 100000) + bytes(100000)) * 10)
            except OSError:
                if self.listener.fileno() < 0:
                    return


def test_f20_an_answer_without_end(env):
    seed, port = env.origin(), env.port()
    server = Endless(port)
    env.at_end(server.listener.close)
    server.words = f"hostaddr=127.0.0.1 port={port} dbname=x user=x sslmode=disable"
    if not has_libpq(env, server):
        raise Skip("built without libpq")
    balancer = balancer_of(env, server, seed)
    until(lambda: "the answer is too large" in balancer.errors(), 20, "the end of patience")
    assert get(balancer.port).status == 200


def test_wake_ups_without_end(env):
    """Whoever may connect to the database may send notifications: they do not set the pace."""
    server, seed = database(env), env.origin()
    balancer = balancer_of(env, server, seed)
    until(lambda: balancer.ctl_json("database").get("up"), what="the database")
    before, begun = balancer.ctl_json("database"), time.monotonic()
    server.sql("DO $$ BEGIN FOR i IN 1..2000 LOOP PERFORM pg_notify('meridian', i::text); COMMIT; END LOOP; END $$")
    until(lambda: balancer.ctl_json("database")["wakeups"] >= 1000, what="the wake-ups")
    after, gone = balancer.ctl_json("database"), time.monotonic() - begun
    assert after["polls"] - before["polls"] <= gone / 0.02 + 2, (before, after, gone)
