"""The session with a central PostgreSQL: its start (C9), the change feed (A4), who the database is, and how it is
reached. A real server, started, stopped, promoted and restored."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from central import addresses, balancer_of, begun, config_of, database, has_libpq, insert, serving, wait_for
from client import get
from dns import NameServer
from env import Skip, threadless, until
from postgres import Postgres, binaries


def test_c9_the_start_waits_for_the_first_answer(env):
    """What the table says serves from the first request on; nothing is published twice."""
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    insert(server, other)
    balancer = balancer_of(env, server, seed, mode="authoritative", wait="10s")
    assert addresses(balancer) == {other.address} and balancer.ctl_json("status")["generation"] == 1
    assert serving(balancer) == {b"other"}
    assert begun(balancer)[0] == "database"
    assert balancer.metric("meridian_registry_source", pool="api", source="database") == 1
    kept = os.path.join(balancer.dir, "pools.json")
    until(lambda: os.path.exists(kept), what="the last-known-good file")
    with open(kept, encoding="utf-8") as file:
        shown = json.load(file)
    assert shown["schema"] == 3 and re.fullmatch("[0-9a-f]{16}", shown["checksum"])
    assert shown["rows"] == [{"pool": "api", "address": other.address, "weight": 100, "site": "", "desired": "active"}]
    assert shown["server"].split("/")[0] == server.sql("SELECT system_identifier FROM pg_control_system()")
    assert abs(shown["read_at"] - time.time()) < 300


def only_late(balancer):
    """No poll was lost but for the time that it took: a first one has a second (A4.8)."""
    return set(re.findall(r"database-away reason=(\S.*?) effect", balancer.errors())) <= {'"no answer in time"'}


def test_a4_3_very_many_changes_in_one_poll(env):
    """They are not told apart: everything counts as changed, and the feed goes on."""
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    balancer = balancer_of(env, server, seed)
    flushes = balancer.metric("meridian_database_flushes_total")
    server.sql("INSERT INTO meridian.change (tag) SELECT 'x/' || i FROM generate_series(1, 100001) i")
    until(lambda: balancer.metric("meridian_database_flushes_total") == flushes + 1, what="the flush")
    server.sql("INSERT INTO meridian.change (tag) SELECT 'x/' || i FROM generate_series(1, 1000) i")
    insert(server, other)
    wait_for(balancer, seed, other)
    assert balancer.metric("meridian_database_flushes_total") == flushes + 1
    assert only_late(balancer)


def test_a4_3_tags_of_any_length(env):
    """What the function would not let in, written by the owner: it counts as a change of everything."""
    server, seed = database(env), env.origin(name="seed")
    balancer = balancer_of(env, server, seed)
    until(lambda: balancer.ctl_json("database")["polls"] >= 2, what="some polls")
    reads = balancer.ctl_json("database")["reads"]
    server.sql("INSERT INTO meridian.change (tag) SELECT repeat('x', 1000000) || i FROM generate_series(1, 70) i;"
               "INSERT INTO meridian.change (tag) VALUES (''), (E'a\\nb'), ('meridian:pool/api\u00e4')")
    until(lambda: balancer.ctl_json("database")["reads"] > reads, what="the read")
    assert only_late(balancer)


def test_a4_3_a_poll_that_cannot_be_answered(env):
    """Something in the log ends the connection of whoever reads it: after the second time it is followed anew from
    its end, and everything counts as changed."""
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    server.sql("""ALTER TABLE meridian.change RENAME TO log; CREATE VIEW meridian.change AS SELECT xid, tag
        FROM meridian.log WHERE tag <> 'poison' OR pg_terminate_backend(pg_backend_pid())""")
    balancer = balancer_of(env, server, seed)
    flushes = balancer.metric("meridian_database_flushes_total")
    server.sql("INSERT INTO meridian.log (tag) VALUES ('poison')")
    until(lambda: balancer.metric("meridian_database_failures_total") >= 2, 20, "two polls lost")
    insert(server, other)
    wait_for(balancer, seed, other)
    assert balancer.metric("meridian_database_flushes_total") == flushes + 1
    assert balancer.metric("meridian_database_failures_total") == 2


def test_a4_10_the_log_is_pruned(env):
    """Any balancer sees to it; a role that may not is no reason to hang up."""
    server, seed = database(env), env.origin(name="seed")
    server.sql("""SELECT meridian.tag_changed('old');
        UPDATE meridian.meta SET mark = pg_snapshot_xmin(pg_current_snapshot()), mark_at = now() - interval '2 hours';
        SELECT meridian.tag_changed('new');
        CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA meridian TO reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA meridian TO reader;
        REVOKE EXECUTE ON FUNCTION meridian.prune FROM PUBLIC""")
    config = config_of(env, server, seed)
    config["data_sources"]["main"]["postgres"] = server.words.replace("user=meridian", "user=reader")
    reader = env.meridian(config)
    until(lambda: reader.ctl_json("database")["polls"] >= 3, what="some polls")
    assert reader.metric("meridian_database_connects_total") == 1
    assert server.sql("SELECT string_agg(tag, ' ') FROM meridian.change") == "old new"
    balancer = balancer_of(env, server, seed)
    until(lambda: server.sql("SELECT string_agg(tag, ' ') FROM meridian.change") == "new", what="the end of the old")
    assert int(server.sql("SELECT floor FROM meridian.meta")) > 0
    until(lambda: balancer.ctl_json("database")["polls"] >= 3, what="some polls")
    assert balancer.metric("meridian_database_flushes_total") == 1, "what is pruned had been seen"


def test_a4_10_a_log_that_grows_fast_is_pruned_faster(env):
    """One prune takes 10,000 rows; while there are more, the next one does not wait for a minute."""
    server, seed = database(env), env.origin(name="seed")
    server.sql("""INSERT INTO meridian.change (tag) SELECT 'x' FROM generate_series(1, 25000);
        UPDATE meridian.meta SET mark = pg_snapshot_xmin(pg_current_snapshot()), mark_at = now() - interval '2 hours'""")
    balancer = balancer_of(env, server, seed)
    until(lambda: server.sql("SELECT count(*) FROM meridian.change") == "0", 40, "the end of all of them")
    assert only_late(balancer)


def lint(env, server, words=None):
    """What `-t --with-database` says, and whether that was good."""
    config = config_of(env, server, type("Seed", (), {"address": "127.0.0.1:1"}))
    config["data_sources"]["main"]["postgres"] = words or server.words
    done = env.meridian(config, start=False).run("-t", "--with-database")
    return done.returncode, done.stdout + done.stderr


@threadless
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


@threadless
def test_the_upgrade_makes_what_a_new_installation_has(env):
    """Objects of every older version with rows in them, watched by a balancer all the while."""
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    new = server.dump()
    for version in (1, 2):
        server.sql("DROP SCHEMA meridian CASCADE")
        server.sql("\\i " + os.path.join(env.root, "tests", "data", "sql", f"meridian-{version}.sql"))
        upgraded(env, server, new, seed, other)


def upgraded(env, server, new, seed, other):
    balancer = balancer_of(env, server, seed)
    insert(server, other)
    wait_for(balancer, seed, other)
    for _ in range(2):
        server.sql("\\i " + os.path.join(env.root, "deploy", "sql", "upgrade.sql"))
        assert server.sql("SELECT version FROM meridian.meta") == "3"
        assert server.dump() == new
    server.sql(f"SELECT meridian.leave('api', '{other.address}')")
    wait_for(balancer, seed)
    assert only_late(balancer)
    balancer.stop()


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


OTHER = type("Server", (), {"words": "host=/run/postgresql dbname=app"})


def is_open(port):
    with socket.socket() as asker:
        return asker.connect_ex(("127.0.0.1", port)) == 0


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
    """The program of such a build refuses that file, and serves any other."""
    config = config_of(env, OTHER, env.origin())
    balancer = env.meridian(config, start=False)
    program = env.program("tests/tools/meridian-without-libpq" if has_libpq(env, OTHER) else "meridian")
    for args in (["-t"], ["-t", "--with-database"], []):
        done = subprocess.run([program, "-c", balancer.file, *args], capture_output=True, text=True, timeout=30,
                              check=False, env=balancer.environment())
        assert done.returncode == 1, done
        assert re.match(re.escape(balancer.file) + r":\d+:\d+: error: .*this program was built without libpq, which data "
                        "sources need", done.stderr), done.stderr
    del config["data_sources"], config["pools"]["api"]["registry"]
    balancer.write(config)
    port = int(config["listeners"]["public"]["bind"].split(":")[1])
    process = subprocess.Popen([program, "-c", balancer.file], env=balancer.environment(), stderr=subprocess.DEVNULL)
    try:
        until(lambda: is_open(port), what="its listener")
        assert get(port).status == 200
    finally:
        process.terminate()
        assert process.wait(30) == 0


@threadless
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
    assert "invalid connection option \"databas\"\n" in said("databas=app"), "one line"
    assert "not defined under data_sources" in said("host=/run/postgresql", source="other")


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
