"""What servers depend on, told from what is wrong with one of them (CAPABILITIES C2 to C4 and C11): a real
PostgreSQL, and servers whose readiness really needs it."""
import json
import os
import re
import socket
import threading
import time

from central import begun, config_of, database
from client import Client, get
from env import busy, lengthy, native, seconds, until
from origin import text
from wire import Ended


class Api:
    """A server that is ready when it can connect to the database. `broken`: it never can."""

    def __init__(self, env, database, name):
        self.database, self.broken, self.live, self.says = database, False, True, None
        self.origin = env.origin(name=name, reply=self._reply)
        self.address = self.origin.address

    def _ready(self):
        if self.broken:
            return False
        with socket.socket(socket.AF_UNIX) as asker:
            try:
                asker.connect(self.database.socket)
                return True
            except OSError:
                return False

    def _reply(self, request):
        if request.target == "/live":
            return text(b"", 200 if self.live else 500)
        if request.target != "/ready":
            return text()
        if self._ready():
            return text(b"", 200)
        fields = {"Content-Type": "application/health+json"} if self.says else {}
        return text(json.dumps(self.says).encode() if self.says else b"", 503, fields)


BLAME = {"status": "fail", "checks": {"db:connections": [{"status": "fail"}]}}


def setting(env, server, count=3, level="query", interval="300ms", words=None, patience="300ms", **pool):
    """A balancer before `count` such servers, which are checked every `patience` and have as long to answer."""
    servers = [Api(env, server, f"s{i}") for i in range(count)]
    port = env.port()
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "data_sources": {"main": {"postgres": words or server.words}},
        "dependencies": {"db": {"data_source": "main", "level": level, "interval": interval, "timeout": "300ms"}},
        "pools": {"api": {"backends": {one.origin.name: {"address": one.address} for one in servers},
                          "health": {"live": {"path": "/live"}, "ready": {"path": "/ready"}, "interval": patience,
                                     "timeout": patience, "fall": 2},
                          "depends_on": ["db"], **pool}},
        "routes": [{"pool": "api"}]})
    balancer.port = port
    return balancer, servers


def healths(balancer):
    return [row["health"] for row in balancer.ctl_json("backends", "api")["backends"]]


def down(balancer):
    """Why the pool is dependency-down, or None."""
    pool, = balancer.ctl_json("pools")["pools"]
    return pool["dependency_reason"] if pool["dependency_down"] else None


PAUSE_S = 0.0002  # the servers live in the same process, and may have their turn


class Load:
    """Requests without a pause until it is asked what came of them."""

    def __init__(self, port, clients=3):
        self.statuses, self.ended = {}, False
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(port,)) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _one(self, port, client):
        """The connection is kept until an answer says that it is the last one (L11)."""
        try:
            client = client or Client(port)
            answer = client.get()
        except (OSError, Ended) as problem:
            return None, repr(problem)
        if (answer.fields.get("connection") or "").lower() == "close":
            client.close()
            client = None
        return client, answer.status

    def _run(self, port):
        client = None
        while not self.ended:
            client, status = self._one(port, client)
            with self.lock:
                self.statuses[status] = self.statuses.get(status, 0) + 1
            time.sleep(PAUSE_S)
        if client:
            client.close()

    def end(self):
        self.ended = True
        for thread in self.threads:
            thread.join()
        return self.statuses


def test_c4_a_a_shared_failure_ejects_nobody(env):
    server = database(env)
    balancer, _ = setting(env, server, patience="1s")  # servers and clients share a process here
    until(lambda: balancer.ctl_json("database")["dependencies"][0]["state"] == "up", what="the probe")
    load = Load(balancer.port)
    server.stop()
    until(lambda: down(balancer) == "probe", what="the state")
    time.sleep(1.5)
    assert healths(balancer) == ["up"] * 3, "nobody is taken out"
    assert balancer.metric("meridian_pool_dependency_down", pool="api") == 1
    assert balancer.metric("meridian_dependency_down", dependency="db") == 1
    assert "db (probe)" in balancer.ctl("pools") and "db (probe)" in balancer.ctl("status")
    assert "db (probe): servers that are not ready stay" in balancer.ctl("explain", "--client", "192.0.2.1", "/")
    row, = balancer.ctl_json("database")["dependencies"]
    assert row["state"] == "down" and row["reason"], row
    assert "query" in balancer.ctl("database")
    server.start()
    until(lambda: down(balancer) is None, 20, "its end")
    assert set(load.end()) == {200}, load.statuses
    assert healths(balancer) == ["up"] * 3
    log = balancer.errors()
    assert log.count("dependency-down") == 1 and log.count("dependency-up") == 1, log
    assert "backend-health" not in log, "no verdict about any server"
    assert balancer.metric("meridian_pool_dependency_downs_total") == 1


def test_c4_b_several_servers_blame_it(env):
    """Meridian itself can reach the database; two servers say that they cannot."""
    server = database(env)
    balancer, servers = setting(env, server, 5)
    for one in servers[:2]:
        one.says, one.broken = BLAME, True
    until(lambda: down(balancer) == "blamed", what="the state")
    until(lambda: healths(balancer) == ["up"] * 5, what="the return of the one that failed first")
    for one in servers:
        one.broken = False
    until(lambda: down(balancer) is None, 20, "its end")
    assert healths(balancer) == ["up"] * 5


def test_c4_c_most_of_them_at_a_time(env):
    server = database(env)
    balancer, servers = setting(env, server, 5)
    for one in servers[:3]:
        one.broken = True
    until(lambda: down(balancer) == "together", what="the state")
    until(lambda: healths(balancer) == ["up"] * 5, what="the return of those that failed first")


def test_c11_one_server_with_broken_credentials_is_ejected(env):
    """1 of 5, whatever it says; and when the database fails too, it stays out."""
    server = database(env)
    balancer, servers = setting(env, server, 5)
    servers[0].says, servers[0].broken = BLAME, True
    until(lambda: healths(balancer) == ["soft"] + ["up"] * 4, what="its ejection")
    assert down(balancer) is None
    time.sleep(1.5)  # longer than three intervals
    server.stop()
    until(lambda: down(balancer) == "probe", what="the state")
    time.sleep(1)
    assert healths(balancer) == ["soft"] + ["up"] * 4, "they keep their last verdict"
    server.start()
    until(lambda: down(balancer) is None or healths(balancer).count("up") == 4, 20, "the end")
    servers[0].broken = False
    until(lambda: healths(balancer) == ["up"] * 5, what="its return")


@lengthy
def test_c7_a_lapsed_lease_ends_with_life_not_with_readiness(env):
    """Whoever cannot reach the database is not ready and does not renew its lease: it stays, out of work, while it
    lives, and has work again without a word to the database."""
    server = database(env)
    balancer, servers = setting(env, server, 2, registry={"source": "main", "allow": ["127.0.0.0/8"]})
    listed = Api(env, server, "listed")
    server.sql(f"SELECT meridian.heartbeat('api', '{listed.address}', '1 min')")
    until(lambda: healths(balancer) == ["up"] * 3, what="all of them")
    listed.broken = True
    until(lambda: healths(balancer).count("soft") == 1, what="its unreadiness")
    reads = balancer.ctl_json("database")["reads"]
    server.sql("UPDATE meridian.pool_server SET seen_at = now() - interval '2 min';"
               "SELECT meridian.heartbeat('api', '192.0.2.1:80')")
    until(lambda: balancer.ctl_json("database")["reads"] > reads, what="the read that sees the end of its lease")
    until(lambda: balancer.metric("meridian_registry_suspects") == 1, what="suspicion")
    assert len(healths(balancer)) == 3
    listed.broken = False
    until(lambda: healths(balancer) == ["up"] * 3, what="its readiness")
    listed.live = False
    until(lambda: len(healths(balancer)) == 2, 30, "its end")


def test_c4_live_failures_still_eject(env):
    server = database(env)
    balancer, servers = setting(env, server)
    server.stop()
    until(lambda: down(balancer) == "probe", what="the state")
    servers[1].live = False
    until(lambda: healths(balancer) == ["up", "hard", "up"], what="the end of the dead one")
    servers[1].live = True
    until(lambda: healths(balancer) == ["up"] * 3, what="its return")


def test_c4_answers_during_it_eject_nobody(env):
    """Servers that answer 500 because the database is away are not taken out by live traffic either."""
    server = database(env)
    balancer, servers = setting(env, server)
    server.stop()
    until(lambda: down(balancer) == "probe", what="the state")
    for one in servers:
        one.origin.script = [text(b"no database", 500)]
        one.origin.reply = lambda request, one=one: (
            one._reply(request) if request.target in ("/live", "/ready") else text(b"no database", 500))
    assert {get(balancer.port).status for _ in range(60)} == {500}
    assert balancer.metric("meridian_backend_ejections_total") == 0


@lengthy
def test_c4_fail_fast(env):
    server = database(env)
    balancer, _ = setting(env, server, on_dependency_down="fail_fast")
    assert get(balancer.port).status == 200
    server.stop()
    until(lambda: down(balancer) == "probe", what="the state")
    answer = get(balancer.port)
    assert answer.status == 503 and int(answer.fields.get("retry-after")) >= 1, answer
    assert b"dependency-down" in answer.body, answer.body
    assert "requests are refused" in balancer.ctl("explain", "--client", "192.0.2.1", "/", check=False).stdout
    server.start()
    until(lambda: down(balancer) is None, 20, "its end")
    first = [get(balancer.port).status for _ in range(40)]
    assert 200 in first or until(lambda: get(balancer.port).status == 200, what="the first one"), first
    until(lambda: {get(balancer.port).status for _ in range(60)} == {200}, 20, "all of the traffic")


@lengthy
def test_c11_flapping(env):
    server = database(env)
    balancer, _ = setting(env, server, patience="1s")
    load = Load(balancer.port, 2)
    for _ in range(4):
        server.stop()
        time.sleep(1.2)
        server.start()
        time.sleep(0.5)
    until(lambda: down(balancer) is None, 20, "the end")
    assert set(load.end()) == {200}, load.statuses
    assert "backend-health" not in balancer.errors()


def state_of(balancer):
    return balancer.ctl_json("database")["dependencies"][0]["state"]


def test_c3_accept_does_not_ask_who_we_are(env):
    server = database(env)
    words = f"host={server.dir} dbname=nothing user=nobody"
    balancer, _ = setting(env, server, 1, level="accept", words=words)
    until(lambda: state_of(balancer) == "up", what="up: it takes connections")
    server.stop()
    until(lambda: state_of(balancer) == "down", what="down")


def test_c3_query_needs_an_answer(env):
    server = database(env)
    balancer, _ = setting(env, server, 1, words=f"host={server.dir} dbname=nothing user=meridian")
    until(lambda: state_of(balancer) == "down", what="down: there is no such database")
    until(lambda: "nothing" in balancer.ctl_json("database")["dependencies"][0]["reason"], what="its reason")


def test_c3_primary_and_lag(env):
    server = database(env)
    server.stop()
    standby = os.path.join(server.data, "standby.signal")
    with open(standby, "w", encoding="utf-8"):
        pass
    server.start()
    balancer, _ = setting(env, server, 1, level="primary")
    until(lambda: state_of(balancer) == "down", what="down: it is a standby")
    behind, _ = setting(env, server, 1, level="lag")
    until(lambda: state_of(behind) == "up", what="up: it has replayed all that it has received")
    server.sql("SELECT pg_promote()")
    until(lambda: state_of(balancer) == "up", 20, "up: the primary")


def test_c3_a_replica_beside_the_registrys_database(env):
    """Servers read a standby, which is a data source of its own; the registry is at the primary."""
    server, seed = database(env), env.origin(name="seed")
    replica = server.standby()
    env.at_end(replica.close)
    config = config_of(env, server, seed)
    config["data_sources"]["replica"] = {"postgres": replica.words}
    config["dependencies"] = {"reads": {"data_source": "replica", "level": "lag", "interval": "300ms", "timeout": "300ms"},
                              "writes": {"data_source": "main", "level": "primary"}}
    config["pools"]["api"].update(depends_on=["reads"], health={"http": {"path": "/"}, "interval": "500ms", "timeout": "500ms"})
    balancer = env.meridian(config)

    def states():
        return {row["name"]: row["state"] for row in balancer.ctl_json("database")["dependencies"]}

    until(lambda: states() == {"reads": "up", "writes": "up"}, what="both")
    done = balancer.run("-t", "--with-database")
    assert done.returncode == 0, "the standby is not asked for the registry's objects: " + done.stderr
    replica.stop()
    until(lambda: states() == {"reads": "down", "writes": "up"}, what="the end of the replica")
    assert balancer.metric("meridian_database_up") == 1


def test_c3_starting_is_not_up(env):
    """57P03: the server answers, but it takes nobody yet."""
    server = database(env)
    balancer, _ = setting(env, server, 1, level="accept")
    until(lambda: state_of(balancer) == "up", what="up")
    server.stop()
    with open(os.path.join(server.data, "postgresql.conf"), "a", encoding="utf-8") as file:
        file.write("hot_standby = off\n")
    with open(os.path.join(server.data, "standby.signal"), "w", encoding="utf-8"):
        pass
    server.start(ready=False)
    until(lambda: "not accepting" in balancer.ctl_json("database")["dependencies"][0]["reason"]
          or "starting up" in balancer.ctl_json("database")["dependencies"][0]["reason"], 20, "its reason")
    assert state_of(balancer) == "down"


@native
def test_reload_keeps_what_is_known(env):
    server = database(env)
    balancer, servers = setting(env, server)
    server.stop()
    until(lambda: down(balancer) == "probe", what="the state")
    config = json.loads(json.dumps(balancer.config))
    config["pools"]["api"]["queue"] = {"limit": 7}
    balancer.reload(config)
    assert down(balancer) == "probe" and healths(balancer) == ["up"] * 3
    del config["pools"]["api"]["depends_on"]
    balancer.reload(config)
    until(lambda: "up" not in healths(balancer), what="each to answer for itself")
    assert down(balancer) is None


def returns(balancer, server, servers):
    """The database comes back: how long until all is well, and how many connections and probes that took."""
    def figures():
        return {name: balancer.metric(f"meridian_{name}_total") for name in
                ("dependency_probes", "health_checks", "database_failures", "database_connects")}

    before, said = figures(), len(server.log())
    bad = balancer.metric("meridian_dependency_probes_total", result="bad")
    begun = time.monotonic()
    server.start()
    until(lambda: balancer.metric("meridian_database_up") == 1 and down(balancer) is None, 60, "the return")
    gone, after = time.monotonic() - begun, figures()
    failed = after["database_failures"] - before["database_failures"]
    failed += balancer.metric("meridian_dependency_probes_total", result="bad") - bad
    took = {name: after[name] - before[name] for name in after}
    took["connections"] = len(re.findall("connection authorized: .*application_name=meridian", server.log()[said:]))
    print(f"back within {gone:.2f} s: {took}, {failed:.0f} tries failed meanwhile")
    assert took["connections"] <= 2 + failed, "the session and the probe have one each"
    assert took["dependency_probes"] <= gone / 0.1 + 3, "no more than the gap between those that are asked for allows"
    assert took["health_checks"] <= 2 * len(servers) * (gone / 0.2 + 3), "two pages each, not more often than ever"


@busy
@seconds(400)
def test_c11_stopped_under_full_load(env):
    """Two minutes in the long run. Nothing is lost to ejection; a restart meanwhile serves from the kept file at once;
    when the database returns, nobody runs at it."""
    outage = 120 if int(os.environ.get("MERIDIAN_CASES", "1")) >= 100 else 3
    server = database(env)
    server.sql("ALTER SYSTEM SET log_connections = on")
    balancer, servers = setting(env, server, patience="3s",
                                registry={"source": "main", "mode": "merge", "allow": ["127.0.0.0/8"]})
    servers.append(Api(env, server, "listed"))
    server.sql(f"INSERT INTO meridian.pool_server (pool, address) VALUES ('api', '{servers[-1].address}')")
    kept = os.path.join(balancer.dir, "pools.json")
    until(lambda: os.path.exists(kept) and servers[-1].address in open(kept).read(), what="the last-known-good file")
    load = Load(balancer.port, 4)
    server.stop()
    until(lambda: down(balancer) == "probe", what="the state")
    time.sleep(outage)
    statuses = load.end()
    assert set(statuses) == {200}, statuses
    assert healths(balancer) == ["up"] * 4
    tries = balancer.metric("meridian_database_failures_total")

    balancer.stop()
    started = time.monotonic()
    balancer.start()
    assert get(balancer.port).status == 200
    source, waited = begun(balancer)
    print(f"{sum(statuses.values())} requests in {outage} s, none lost; {tries:.0f} tries to connect meanwhile; "
          f"a restart waited {waited} ms for the database and served after {time.monotonic() - started:.2f} s")
    assert source == "snapshot"
    assert servers[-1].address in {row["address"] for row in balancer.ctl_json("backends", "api")["backends"]}
    until(lambda: down(balancer) == "probe", what="the state again")
    load = Load(balancer.port, 4)
    returns(balancer, server, servers)
    statuses = load.end()
    assert set(statuses) == {200}, statuses
    assert healths(balancer) == ["up"] * 4
