"""The pool registry in a central PostgreSQL (F20): a real server, started, stopped and killed."""
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

from client import get
from dns import NameServer
from env import Skip, seconds, until
from postgres import Postgres, binaries


def database(env):
    if binaries() is None:
        raise Skip("PostgreSQL is not installed")
    server = Postgres()
    env.at_end(server.close)
    if not has_libpq(env, server):
        raise Skip("built without libpq")
    return server


def has_libpq(env, server):
    config = config_of(env, server, type("Seed", (), {"address": "127.0.0.1:1"}))
    done = env.meridian(config, start=False).run("-t")
    return "built without libpq" not in done.stdout + done.stderr


def config_of(env, server, seed, mode="merge", allow=("127.0.0.0/8",)):
    return {
        "listeners": {"public": {"bind": f"127.0.0.1:{env.port()}"}},
        "data_sources": {"main": {"postgres": server.words}},
        "pools": {"api": {"backends": {"seed": {"address": seed.address}},
                          "health": {"tcp": {}, "interval": "250ms", "timeout": "250ms", "fall": 2},
                          "registry": {"source": "main", "mode": mode, "allow": list(allow)}}},
        "routes": [{"pool": "api"}],
    }


def balancer_of(env, server, seed, **kwargs):
    config = config_of(env, server, seed, **kwargs)
    balancer = env.meridian(config)
    balancer.port = int(config["listeners"]["public"]["bind"].split(":")[1])
    return balancer


def insert(server, origin, **columns):
    columns = {"pool": "api", "address": origin if isinstance(origin, str) else origin.address, **columns}
    server.sql(f"INSERT INTO meridian.pool_server ({', '.join(columns)}) VALUES "
               f"({', '.join(repr(value) for value in columns.values())})")


def addresses(balancer):
    return {row["address"] for row in balancer.ctl_json("backends", "api")["backends"]}


def serving(balancer, count=8):
    """The bodies of some answers."""
    return {get(balancer.port).body for _ in range(count)}


def wait_for(balancer, *wanted, within=40):
    wanted = {origin.address for origin in wanted}
    until(lambda: addresses(balancer) == wanted, within, f"{wanted} instead of {addresses(balancer)}")


def test_a_row_adds_a_server_and_its_end_removes_it(env):
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    balancer = balancer_of(env, server, seed)
    assert serving(balancer) == {b"seed"}
    insert(server, other)
    wait_for(balancer, seed, other)
    until(lambda: b"other" in serving(balancer), what="traffic of the new server")
    server.sql("UPDATE meridian.pool_server SET desired = 'drain'")
    wait_for(balancer, seed)
    server.sql("UPDATE meridian.pool_server SET desired = 'active'")
    wait_for(balancer, seed, other)
    server.sql(f"SELECT meridian.leave('api', '{other.address}')")
    wait_for(balancer, seed)
    assert serving(balancer) == {b"seed"}


def test_meridianctl_shows_it(env):
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    balancer = balancer_of(env, server, seed)
    insert(server, other)
    insert(server, "192.0.2.1:80")
    until(lambda: balancer.ctl_json("database").get("used") == 1, what="the row")
    shown = balancer.ctl_json("database")
    assert shown["followed"] and shown["up"] and shown["origin"] == "database"
    assert (shown["rows"], shown["skipped"], shown["suspects"]) == (2, 1, 0), shown
    text = balancer.ctl("database")
    assert "state" in text and "up" in text and "database" in text, text
    assert "no pool has a registry" in env.simple(env.origin()).ctl("database")


def test_without_notify_the_poll_finds_it(env):
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    server.sql("ALTER DATABASE postgres SET meridian.notify = off")
    balancer = balancer_of(env, server, seed)
    until(lambda: balancer.metric("meridian_database_up") == 1, what="the session")
    insert(server, other)
    wait_for(balancer, seed, other)
    assert balancer.metric("meridian_database_wakeups_total") == 0


def test_authoritative_rows_take_the_place_of_the_seed(env):
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    balancer = balancer_of(env, server, seed, mode="authoritative")
    assert serving(balancer) == {b"seed"}
    insert(server, other)
    wait_for(balancer, other)
    server.sql("DELETE FROM meridian.pool_server")
    generation = balancer.ctl_json("status")["generation"]
    insert(server, other, weight=50)
    until(lambda: balancer.ctl_json("status")["generation"] > generation, what="the new weight")
    assert addresses(balancer) == {other.address}, "an empty result empties nothing"


@seconds(120)
def test_f20_away_at_start_in_between_and_killed(env):
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    insert(server, other)
    balancer = balancer_of(env, server, seed)
    wait_for(balancer, seed, other)
    kept = os.path.join(balancer.dir, "pools.state")
    until(lambda: os.path.exists(kept), what="the last-known-good file")
    server.stop(signal.SIGQUIT)
    until(lambda: balancer.metric("meridian_database_up") == 0, what="its loss")
    assert addresses(balancer) == {seed.address, other.address}
    assert {get(balancer.port).status for _ in range(50)} == {200}

    balancer.stop()
    balancer.start()
    assert addresses(balancer) == {seed.address, other.address}, "from the file"
    assert balancer.metric("meridian_registry_source", pool="api", source="snapshot") == 1
    assert "registry-restored" in balancer.errors()
    assert {get(balancer.port).status for _ in range(20)} == {200}

    server.start()
    until(lambda: balancer.metric("meridian_database_up") == 1, 40, "its return")
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


def test_f20_c11_hostile_rows_are_skipped_and_counted(env):
    server, seed, good = database(env), env.origin(name="seed"), env.origin(name="good")
    server.sql("""
        ALTER TABLE meridian.pool_server DROP CONSTRAINT pool_server_pool_check,
            DROP CONSTRAINT pool_server_address_check, DROP CONSTRAINT pool_server_weight_check,
            DROP CONSTRAINT pool_server_site_check, DROP CONSTRAINT pool_server_desired_check;
        INSERT INTO meridian.pool_server (pool, address, weight, site, desired, ttl, seen_at) VALUES
            ('api', '169.254.169.254:80', 100, '', 'active', NULL, now()),
            ('api', '[::ffff:10.0.0.1]:80', 100, '', 'active', NULL, now()),
            ('api', '10.0.0.1:80', 100, '', 'active', NULL, now()),
            ('api', 'example.com:80', 100, '', 'active', NULL, now()),
            ('api', 'unix:/etc/passwd', 100, '', 'active', NULL, now()),
            ('api', repeat('9', 5000), 100, '', 'active', NULL, now()),
            ('api', '127.0.0.1:1', -5, '', 'active', NULL, now()),
            ('api', '127.0.0.1:2', 100, 'nowhere', 'active', NULL, now()),
            ('api', '127.0.0.1:3', 100, '', E'x\\ny', NULL, now()),
            ('../etc', '127.0.0.1:4', 100, '', 'active', NULL, now()),
            ('none', '127.0.0.1:5', 100, '', 'active', '170000000 years', 'infinity'),
            ('none', '127.0.0.1:6', 100, '', 'active', '-170000000 years', '-infinity'),
            ('none', '127.0.0.1:7', 100, '', 'active', '1 day', '294276-12-31');
    """)
    balancer = balancer_of(env, server, seed)
    insert(server, good)
    wait_for(balancer, seed, good)
    assert balancer.metric("meridian_registry_rows_skipped") == 10
    assert balancer.metric("meridian_database_failures_total") == 0


def test_leases(env):
    server, seed = database(env), env.origin(name="seed")
    held, lost = env.origin(name="held"), env.origin(name="lost")
    balancer = balancer_of(env, server, seed)
    for origin in (held, lost):
        server.sql(f"SELECT meridian.heartbeat('api', '{origin.address}', '1 s')")
    insert(server, seed.address, ttl="1 day")
    wait_for(balancer, seed, held, lost)
    until(lambda: balancer.metric("meridian_registry_suspects") == 2, 30, "two leases to be over")
    assert addresses(balancer) == {seed.address, held.address, lost.address}, "suspicion is no verdict"
    lost.close()
    server.sql(f"SELECT meridian.heartbeat('api', '{held.address}', '1 h')")
    until(lambda: addresses(balancer) == {seed.address, held.address}, 30, "the end of the lost one")
    time.sleep(1.5)  # its endpoint is swept meanwhile
    server.sql(f"SELECT meridian.heartbeat('api', '{held.address}', '1 h', 50)")
    until(lambda: 50 in {row["weight"] for row in balancer.ctl_json("backends", "api")["backends"]},
          what="the next read")
    assert addresses(balancer) == {seed.address, held.address}, "it does not come back by itself"


def test_two_balancers_agree(env):
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    one, two = balancer_of(env, server, seed), balancer_of(env, server, seed)
    insert(server, other)
    wait_for(one, seed, other)
    wait_for(two, seed, other)


def test_reload_and_rows_do_not_disturb_each_other(env):
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    balancer = balancer_of(env, server, seed)
    insert(server, other)
    wait_for(balancer, seed, other)
    balancer.write("broken: [")
    server.sql("UPDATE meridian.pool_server SET desired = 'maintenance'")
    wait_for(balancer, seed)
    config = config_of(env, server, seed)
    del config["data_sources"], config["pools"]["api"]["registry"]
    balancer.reload(config)
    assert addresses(balancer) == {seed.address}
    until(lambda: balancer.metric("meridian_database_up") in (0, None), what="the end of the session")


def lint(env, server, words=None):
    """What `-t --with-database` says, and whether that was good."""
    config = config_of(env, server, type("Seed", (), {"address": "127.0.0.1:1"}))
    config["data_sources"]["main"]["postgres"] = words or server.words
    done = env.meridian(config, start=False).run("-t", "--with-database")
    return done.returncode, done.stdout + done.stderr


def test_with_database_checks_its_objects(env):
    server = database(env)
    status, said = lint(env, server)
    assert status == 0 and "fine" in said and "warning" not in said, said
    server.sql("CREATE ROLE reader LOGIN")
    reader = server.words.replace("user=meridian", "user=reader")
    status, said = lint(env, server, reader)
    assert status == 1 and "GRANT USAGE ON SCHEMA meridian" in said and "GRANT SELECT" in said, said
    server.sql("GRANT USAGE ON SCHEMA meridian TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA meridian TO reader;"
               "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    status, said = lint(env, server, reader)
    assert status == 0 and "warning" in said and "pg_control_system" in said, said
    server.sql("ALTER TABLE meridian.pool_server DISABLE TRIGGER pool_changed")
    status, said = lint(env, server)
    assert status == 1 and "pool_changed" in said, said
    server.sql("ALTER TABLE meridian.pool_server ENABLE TRIGGER pool_changed; UPDATE meridian.meta SET version = 1")
    status, said = lint(env, server)
    assert status == 0 and "warning" in said and "upgrade.sql" in said, said
    server.sql("DROP SCHEMA meridian CASCADE")
    status, said = lint(env, server)
    assert status == 1 and "load deploy/sql/meridian.sql" in said, said
    server.stop()
    status, said = lint(env, server)
    assert status == 1 and "cannot be reached" in said, said


def test_the_upgrade_makes_what_a_new_installation_has(env):
    """Objects of version 1 with rows in them, watched by a balancer all the while."""
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    new = server.dump()
    server.sql("DROP SCHEMA meridian CASCADE")
    server.sql("\\i " + os.path.join(env.root, "tests", "data", "sql", "meridian-1.sql"))
    balancer = balancer_of(env, server, seed)
    insert(server, other)
    wait_for(balancer, seed, other)
    failures = balancer.metric("meridian_database_failures_total")
    for _ in range(2):
        server.sql("\\i " + os.path.join(env.root, "deploy", "sql", "upgrade.sql"))
        assert server.sql("SELECT version FROM meridian.meta") == "2"
        assert server.dump() == new
    server.sql(f"SELECT meridian.leave('api', '{other.address}')")
    wait_for(balancer, seed)
    assert balancer.metric("meridian_database_failures_total") == failures


def test_a4_a_dump_put_back_flushes(env):
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    balancer = balancer_of(env, server, seed)
    until(lambda: balancer.metric("meridian_database_flushes_total") == 1, what="the first poll")
    flushes = balancer.metric("meridian_database_flushes_total")
    server.sql(f"INSERT INTO meridian.pool_server (pool, address) VALUES ('api', '{other.address}');"
               "SELECT meridian.restored()")
    until(lambda: balancer.metric("meridian_database_flushes_total") > flushes, what="the flush")
    wait_for(balancer, seed, other)


def test_a4_restored_from_a_copy_of_the_files(env):
    """The copy is older than what the balancer has seen: the same server by name, but set back."""
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    server.stop()
    copy = os.path.join(server.dir, "copy")
    shutil.copytree(server.data, copy)
    server.start()
    balancer = balancer_of(env, server, seed)
    until(lambda: balancer.metric("meridian_database_up") == 1, what="the session")
    for _ in range(20):
        insert(server, other)
        server.sql("DELETE FROM meridian.pool_server")
    insert(server, other)
    wait_for(balancer, seed, other)
    flushes = balancer.metric("meridian_database_flushes_total")
    server.stop()
    server.take_back(copy)
    server.start()
    until(lambda: balancer.metric("meridian_database_flushes_total") == flushes + 1, 40, "the flush")
    wait_for(balancer, seed)


def test_a4_killed_with_9_resumes(env):
    """The server's own process and a backend's: the log is as it was, and nothing was missed."""
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    balancer = balancer_of(env, server, seed)
    until(lambda: balancer.metric("meridian_database_flushes_total") == 1, what="the first poll")
    flushes = balancer.metric("meridian_database_flushes_total")
    backend = server.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'meridian'")
    os.kill(int(backend), signal.SIGKILL)
    until(lambda: balancer.metric("meridian_database_resumes_total") == 1, 40, "the first return")
    server.stop(signal.SIGKILL)
    server.start()
    insert(server, other)
    wait_for(balancer, seed, other)
    until(lambda: balancer.metric("meridian_database_resumes_total") == 2, 40, "the second return")
    assert balancer.metric("meridian_database_flushes_total") == flushes


def test_a4_a_streaming_standby_takes_over(env):
    """pg_ctl promote: it has the rows, but its transactions have numbers of their own from then on."""
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    insert(server, other)
    balancer = balancer_of(env, server, seed)
    wait_for(balancer, seed, other)
    standby = server.standby()
    env.at_end(standby.close)
    until(lambda: standby.sql("SELECT count(*) FROM meridian.pool_server") == "1", what="the row")
    flushes = balancer.metric("meridian_database_flushes_total")
    server.stop(signal.SIGKILL)
    standby.promote()
    standby.sql(f"SELECT meridian.leave('api', '{other.address}')")
    server.be_replaced_by(standby)
    until(lambda: balancer.metric("meridian_database_flushes_total") == flushes + 1, 40, "the flush")
    wait_for(balancer, seed)


def test_c7_c11_mass_lapse(env):
    """More than half of a pool lapses at a time, and for good: they stay as long as their checks pass."""
    server, seed = database(env), env.origin(name="seed")
    held = [env.origin(name=f"h{i}") for i in range(4)]
    balancer = balancer_of(env, server, seed, mode="authoritative")
    for origin in held:
        server.sql(f"SELECT meridian.heartbeat('api', '{origin.address}', '1 s')")
    wait_for(balancer, *held)
    server.sql("UPDATE meridian.pool_server SET seen_at = now() - interval '1 hour'")
    until(lambda: balancer.metric("meridian_registry_mass_expiry_total") >= 1, 30, "the brake")
    assert addresses(balancer) == {origin.address for origin in held}
    assert "registry-mass-expiry" in balancer.errors()
    held[0].close()
    until(lambda: addresses(balancer) == {origin.address for origin in held[1:]}, 40, "the one that failed its checks")


def words_over_tcp(server):
    return f"host=db.test port={server.port} dbname=postgres user=app sslmode=verify-full"


def test_names_tls_and_a_password_that_changes(env):
    """By name through the configured name servers, with TLS verified for that name, and a password in a file that
    is read anew for each connection."""
    dns = NameServer(env.port(), {"db.test": ["127.0.0.1"]})
    env.at_end(dns.close)
    if binaries() is None:
        raise Skip("PostgreSQL is not installed")
    pair = env.authority.server("db.test")
    server = Postgres(env.port(), (pair.chain, pair.key))
    env.at_end(server.close)
    if not has_libpq(env, server):
        raise Skip("built without libpq")
    seed, other = env.origin(name="seed"), env.origin(name="other")
    server.sql("CREATE ROLE app LOGIN PASSWORD 'one'; GRANT USAGE ON SCHEMA meridian TO app;"
               "GRANT SELECT ON ALL TABLES IN SCHEMA meridian TO app")
    config = config_of(env, server, seed)
    secret = os.path.join(env.dir, "password")
    with open(secret, "w", encoding="utf-8") as file:
        file.write("one\n")
    config["resolve"] = {"servers": [dns.address]}
    config["data_sources"]["main"] = {"postgres": f"{words_over_tcp(server)} sslrootcert={env.authority.ca}",
                                      "password": f"file:{secret}"}
    balancer = env.meridian(config)
    balancer.port = int(config["listeners"]["public"]["bind"].split(":")[1])
    until(lambda: balancer.metric("meridian_database_up") == 1, what="the session")
    assert server.sql("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'app'") == "t"
    assert dns.count("db.test") >= 1
    server.sql("ALTER ROLE app PASSWORD 'two'; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
    until(lambda: "password authentication failed" in balancer.errors() or
          balancer.metric("meridian_database_failures_total") >= 2, 40, "the old password's refusal")
    with open(secret, "w", encoding="utf-8") as file:
        file.write("two\n")
    insert(server, other)
    wait_for(balancer, seed, other, within=60)
    assert "two" not in balancer.errors()


def test_without_libpq_a_file_that_needs_it_is_refused(env):
    config = config_of(env, type("Server", (), {"words": "host=/run/postgresql dbname=app"}), env.origin())
    balancer = env.meridian(config, start=False)
    program = env.program("tests/tools/meridian-without-libpq")
    for args in (["-t"], ["-t", "--with-database"], []):
        done = subprocess.run([program, "-c", balancer.file, *args], capture_output=True, text=True, timeout=30,
                              check=False, env=balancer.environment())
        assert done.returncode == 1, done
        assert "error: this program was built without libpq, which data sources need" in done.stderr, done.stderr
        assert done.stderr.startswith(balancer.file + ":"), done.stderr


def test_messages_say_how_to_mend_it(env):
    seed = env.origin()

    def said(words, **registry):
        config = config_of(env, type("Server", (), {"words": words}), seed)
        config["pools"]["api"]["registry"].update(registry)
        done = env.meridian(config, start=False).run("-t")
        assert done.returncode == 1
        return done.stdout + done.stderr

    if "built without libpq" in said("databas=app"):
        return
    assert "passfile=" in said("host=/run/postgresql password=secret")
    assert "databas" in said("databas=app")
    assert "not defined under data_sources" in said("host=/run/postgresql", source="other")


def test_the_shell_example_keeps_a_server_registered(env):
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    balancer = balancer_of(env, server, seed)
    environ = {**os.environ, "PGHOST": server.dir, "PGUSER": "meridian", "PGDATABASE": "postgres",
               "PATH": f"{server.bin}:{os.environ['PATH']}", "HEARTBEAT": "1"}
    example = os.path.join(env.root, "deploy", "sql", "examples", "register.sh")
    process = subprocess.Popen(["sh", example, "api", other.address, "sleep", "1000"], env=environ)
    wait_for(balancer, seed, other)
    process.terminate()
    assert process.wait(20) == 0
    wait_for(balancer, seed)


def run_example(env, server, command, script):
    """A server that registers itself by an example, as long as it lives."""
    seed, other = env.origin(name="seed"), env.origin(name="other")
    balancer = balancer_of(env, server, seed)
    process = subprocess.Popen([*command, script, server.dir, other.address], cwd=env.dir)
    try:
        wait_for(balancer, seed, other)
        process.terminate()
        assert process.wait(20) == 0
        wait_for(balancer, seed)
    finally:
        process.kill()
        process.wait()


def example(env, name):
    return shutil.copy(os.path.join(env.root, "deploy", "sql", "examples", name), env.dir)


def test_the_python_example_keeps_a_server_registered(env):
    server = database(env)
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import psycopg"], capture_output=True, check=False).returncode:
        raise Skip("psycopg is not installed")
    example(env, "register.py")
    run_example(env, server, [python], env.write("server.py", """
import signal, sys
from register import register
register(f"host={sys.argv[1]} user=meridian dbname=postgres", "api", sys.argv[2], 1)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.pause()
"""))


def node_postgres():
    """The folder of the package, from Debian or from npm; None where there is none."""
    if not shutil.which("node"):
        return None
    folders = ["/usr/share/nodejs"]
    if shutil.which("npm"):
        folders.append(subprocess.run(["npm", "root", "-g"], capture_output=True, text=True, check=True).stdout.strip())
    return next((path for path in (os.path.join(folder, "pg") for folder in folders) if os.path.isdir(path)), None)


def test_the_node_example_keeps_a_server_registered(env):
    server = database(env)
    package = node_postgres()
    if not package:
        raise Skip("node-postgres is not installed")
    example(env, "register.mjs")
    os.makedirs(env.path("node_modules"))
    os.symlink(package, env.path("node_modules", "pg"))
    run_example(env, server, [shutil.which("node")], env.write("server.mjs", """
import { register } from "./register.mjs";
const [host, address] = process.argv.slice(2);
const leave = register({ host, user: "meridian", database: "postgres" }, "api", address, 1000);
process.on("SIGTERM", () => leave().then(() => process.exit(0)));
"""))


def test_a_promoted_server_is_another_one(env):
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    balancer = balancer_of(env, server, seed)
    until(lambda: balancer.metric("meridian_database_up") == 1, what="the session")
    insert(server, other)
    wait_for(balancer, seed, other)
    flushes = balancer.metric("meridian_database_flushes_total")
    server.stop()
    server.start()
    until(lambda: balancer.metric("meridian_database_connects_total") == 2, 40, "the next connection")
    until(lambda: balancer.metric("meridian_database_up") == 1, 40, "the session")
    assert balancer.metric("meridian_database_flushes_total") == flushes, "the same server: resumed"
    server.stop()
    server.become_standby_and_promote()
    until(lambda: balancer.metric("meridian_database_flushes_total") == flushes + 1, 40, "the flush")
    assert addresses(balancer) == {seed.address, other.address}


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
