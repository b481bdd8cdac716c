"""The pool registry: rows of a real PostgreSQL that serve, drain, lapse, and are hostile (C6 to C8, C11, F20)."""
import json
import os
import shutil
import signal
import subprocess
import time

from central import addresses, balancer_of, begun, config_of, database, insert, serving, wait_for
from client import get
from env import Skip, lengthy, threadless, until
from inject import Faults


def test_a_row_adds_a_server_and_its_end_removes_it(env):
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    balancer = balancer_of(env, server, seed)
    assert serving(balancer) == {b"seed"}
    insert(server, other)
    wait_for(balancer, seed, other)
    until(lambda: b"other" in serving(balancer), what="traffic of the new server")
    server.sql("UPDATE meridian.pool_server SET desired = 'drain'")
    wait_for(balancer, seed)
    assert balancer.ctl_json("database")["idle"] == [{"pool": "api", "address": other.address, "reason": "drain"}]
    assert "REASON" in balancer.ctl("database")
    server.sql("UPDATE meridian.pool_server SET desired = 'active'")
    wait_for(balancer, seed, other)
    server.sql(f"SELECT meridian.leave('api', '{other.address}')")
    wait_for(balancer, seed)
    assert serving(balancer) == {b"seed"}


def test_a_row_that_moves_and_a_table_that_is_emptied(env):
    """The log tells of both, long before the table is read anew in any case: the pool that a row leaves has changed."""
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    balancer = balancer_of(env, server, seed)

    def change(statement, *wanted):
        changes = balancer.metric("meridian_database_changes_total")
        server.sql(statement)
        until(lambda: balancer.metric("meridian_database_changes_total") > changes, what=statement)
        wait_for(balancer, *wanted)

    change(f"INSERT INTO meridian.pool_server (pool, address) VALUES ('api', '{other.address}')", seed, other)
    change("UPDATE meridian.pool_server SET pool = 'elsewhere'", seed)
    change("UPDATE meridian.pool_server SET pool = 'api'", seed, other)
    change("TRUNCATE meridian.pool_server", seed)


def test_meridianctl_shows_it(env):
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    balancer = balancer_of(env, server, seed)
    insert(server, other)
    insert(server, "192.0.2.1:80")
    until(lambda: balancer.ctl_json("database").get("rows") == 2, what="both rows")
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
    server.sql("UPDATE meridian.pool_server SET desired = 'drain'")
    wait_for(balancer)
    assert get(balancer.port).status == 503, "whoever drains all of them means it"


def test_c7_an_empty_table_where_that_may_be(env):
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    balancer = balancer_of(env, server, seed, mode="authoritative", allow_empty=True)
    assert addresses(balancer) == set() and get(balancer.port).status == 503
    insert(server, other)
    wait_for(balancer, other)
    until(lambda: serving(balancer, 4) == {b"other"}, what="its traffic")
    server.sql("DELETE FROM meridian.pool_server")
    wait_for(balancer)


def test_c8_who_has_the_last_word(env):
    """Operator, then file, then registry; a row says nothing about TLS, checks or limits."""
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    insert(server, other, weight=70)
    insert(server, seed, weight=5, desired="drain")
    balancer = balancer_of(env, server, seed)
    wait_for(balancer, seed, other)

    def weights():
        return {row["address"]: row["weight"] for row in balancer.ctl_json("backends", "api")["backends"]}

    assert weights() == {seed.address: 100, other.address: 70}, "the file's word about its own server"
    balancer.ctl("weight", f"api/{other.address}", "30")
    balancer.ctl("drain", f"api/{other.address}")
    generation = balancer.ctl_json("status")["generation"]
    server.sql("UPDATE meridian.pool_server SET weight = 90")
    until(lambda: balancer.ctl_json("status")["generation"] > generation, what="the new row")
    assert weights()[other.address] == 30 and serving(balancer) == {b"seed"}
    balancer.ctl("enable", f"api/{other.address}")
    balancer.ctl("reset", f"api/{other.address}")
    assert weights()[other.address] == 90
    until(lambda: b"other" in serving(balancer), what="its traffic")


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
            ('api', '127.0.0.1:4', 100, repeat('s', 100000), 'active', NULL, now()),
            ('api', '127.0.0.1:5', 100, 'nowhere', 'active', '170000000 years', 'infinity'),
            ('api', '127.0.0.1:6', 100, 'nowhere', 'active', '-170000000 years', '-infinity'),
            ('api', '127.0.0.1:7', 100, 'nowhere', 'active', '1 day', '294276-12-31'),
            ('../etc', '127.0.0.1:8', 100, '', 'active', NULL, now());
    """)
    balancer = balancer_of(env, server, seed)
    insert(server, good)
    wait_for(balancer, seed, good)
    assert balancer.metric("meridian_registry_rows_skipped") == 13
    reasons = {row["address"][:16]: row["reason"] for row in balancer.ctl_json("database")["idle"]}
    assert len(reasons) == 12 and reasons["10.0.0.1:80"] == "not in allow", reasons  # which is there twice
    assert reasons["example.com:80"].startswith("address:") and reasons["127.0.0.1:1"].startswith("weight:")
    assert reasons["127.0.0.1:2"].startswith("site:") and reasons["127.0.0.1:3"].startswith("desired:")
    assert reasons["9" * 16].startswith("address:"), "cut"
    assert balancer.metric("meridian_database_failures_total") == 0


@lengthy
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
    assert {"pool": "api", "address": lost.address, "reason": "its lease is over, and its checks fail"} in \
        balancer.ctl_json("database")["idle"]
    time.sleep(1.5)  # its endpoint is swept meanwhile
    server.sql(f"SELECT meridian.heartbeat('api', '{held.address}', '1 h', 50)")
    until(lambda: 50 in {row["weight"] for row in balancer.ctl_json("backends", "api")["backends"]},
          what="the next read")
    assert addresses(balancer) == {seed.address, held.address}, "it does not come back by itself"


def test_c10_two_balancers_agree_within_one_poll(env):
    """Neither leads. Counted in polls, without notifications: none has a second one after the change and the old rows."""
    server, seed, other = database(env), env.origin(name="seed"), env.origin(name="other")
    server.sql("ALTER DATABASE postgres SET meridian.notify = off")
    both = [balancer_of(env, server, seed) for _ in range(2)]
    until(lambda: all(balancer.metric("meridian_database_up") == 1 for balancer in both), what="both sessions")

    def change(statement, *wanted):
        server.sql(statement)
        begun = [balancer.ctl_json("database")["polls"] for balancer in both]
        for balancer, polls in zip(both, begun):
            while addresses(balancer) != {origin.address for origin in wanted}:
                # One may have been on its way, the next one sees it; its rows are a moment behind it.
                assert balancer.ctl_json("database")["polls"] <= polls + 2, statement
                time.sleep(0.05)

    for _ in range(2):
        change(f"INSERT INTO meridian.pool_server (pool, address) VALUES ('api', '{other.address}')", seed, other)
        change(f"SELECT meridian.leave('api', '{other.address}')", seed)


def test_rows_of_other_pools_are_not_read(env):
    """Thousands of rows of this pool and of others: each pool has its own room, and what is not asked for costs
    nothing. A reload that names another pool reads it at once, on the same connection."""
    server, seed = database(env), env.origin(name="seed")
    shop, last = env.origin(name="shop"), env.origin(name="last")
    server.sql("""INSERT INTO meridian.pool_server (pool, address, desired) SELECT 'a' || p, '127.' || i / 65536 + 1 ||
        '.' || i / 256 % 256 || '.' || i % 256 || ':80', 'maintenance'
        FROM generate_series(1, 10050) i, unnest(ARRAY['aa', 'pi']) p""")
    insert(server, shop, pool="shop")
    insert(server, last)
    config = config_of(env, server, seed, wait="10s")
    balancer = env.meridian(config)
    balancer.port = int(config["listeners"]["public"]["bind"].split(":")[1])
    shown = balancer.ctl_json("database")
    assert (shown["rows"], shown["skipped"]) == (10000, 1), shown
    server.sql(f"DELETE FROM meridian.pool_server WHERE pool = 'api' AND address <> '{last.address}'")
    wait_for(balancer, seed, last)
    config["pools"]["shop"] = json.loads(json.dumps(config["pools"]["api"]))
    balancer.reload(config)
    until(lambda: {row["address"] for row in balancer.ctl_json("backends", "shop")["backends"]} ==
          {seed.address, shop.address}, what="the other pool's row")
    assert balancer.metric("meridian_database_connects_total") == 1


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


def test_c9_a_registry_taken_out_while_its_file_is_written(env):
    """On a slow disk: what was to be kept anew when the file is there is no more."""
    if env.tsan:
        raise Skip("ThreadSanitizer does not go together with LD_PRELOAD")
    server, seed, one, two = database(env), *(env.origin(name=name) for name in ("seed", "one", "two"))
    faults = Faults(env)
    faults.set(sync_ms=700)
    balancer = balancer_of(env, server, seed, environ=faults.environ)
    insert(server, one)
    wait_for(balancer, seed, one)
    insert(server, two)
    wait_for(balancer, seed, one, two)
    config = config_of(env, server, seed)
    del config["data_sources"], config["pools"]["api"]["registry"]
    config["listeners"]["public"]["bind"] = f"127.0.0.1:{balancer.port}"
    balancer.reload(config)
    time.sleep(2)  # the file is written meanwhile
    assert addresses(balancer) == {seed.address}


@lengthy
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


@threadless
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


@threadless
def test_the_python_example_keeps_a_server_registered(env):
    server = database(env)
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import psycopg"], capture_output=True, check=False).returncode:
        raise Skip("psycopg is not installed")
    example(env, "register.py")
    run_example(env, server, [python], env.write("server.py", """
import signal, sys
from register import register
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
register(f"host={sys.argv[1]} user=meridian dbname=postgres", "api", sys.argv[2], 1)
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


@threadless
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
