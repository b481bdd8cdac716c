"""A balancer whose pool is kept current by a PostgreSQL of the test's own."""
import re

from client import get
from env import Skip, until
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


def config_of(env, server, seed, mode="merge", allow=("127.0.0.0/8",), wait="2s", **registry):
    return {
        "listeners": {"public": {"bind": f"127.0.0.1:{env.port()}"}},
        "data_sources": {"main": {"postgres": server.words, "start_wait": wait}},
        "pools": {"api": {"backends": {"seed": {"address": seed.address}},
                          "health": {"tcp": {}, "interval": "250ms", "timeout": "250ms", "fall": 2},
                          "registry": {"source": "main", "mode": mode, "allow": list(allow), **registry}}},
        "routes": [{"pool": "api"}],
    }


def balancer_of(env, server, seed, environ=None, **kwargs):
    config = config_of(env, server, seed, **kwargs)
    balancer = env.meridian(config, environ=environ)
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


def begun(balancer):
    """(where the servers came from at the start, how long that was waited for)"""
    source, waited = re.findall(r"registry-begun source=(\w+) waited_ms=(\d+)", balancer.errors())[-1]
    return source, int(waited)
