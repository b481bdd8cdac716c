"""meridianctl: seeing and steering a running balancer (SURFACE.md, section 2)."""
import os
import stat

from client import get
from env import until
from test_health import backends


def counts(origins):
    return [len(origin.requests) for origin in origins]


def trio(env, **kwargs):
    origins = [env.origin() for _ in range(3)]
    return env.simple(*origins, **kwargs), origins


def test_tables(env):
    balancer, origins = trio(env)
    for _turn in range(5):
        get(balancer.port)
    assert "meridian" in balancer.ctl("status").lower()
    assert "api" in balancer.ctl("pools")
    table = balancer.ctl("backends")
    for origin in origins:
        assert str(origin.port) in table
    assert balancer.ctl("backends", "api") == table or "api" in balancer.ctl("backends", "api")


def test_json_is_json(env):
    balancer, _ = trio(env)
    for command in ["status", "pools", "backends"]:
        assert balancer.ctl_json(command)


def test_socket_is_private(env):
    balancer, _ = trio(env)
    mode = os.stat(balancer.control).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660


def test_drain_and_enable(env):
    balancer, origins = trio(env)
    balancer.ctl("drain", "api/a")
    before = counts(origins)
    for _ in range(12):
        assert get(balancer.port).status == 200
    after = counts(origins)
    assert after[0] == before[0] and sum(after) - sum(before) == 12
    balancer.ctl("enable", "api/a")
    until(lambda: get(balancer.port) and counts(origins)[0] > before[0], what="traffic after enable")


def test_maintenance_of_all_is_503(env):
    balancer, _ = trio(env)
    for name in "abc":
        balancer.ctl("maintenance", f"api/{name}")
    assert get(balancer.port).status == 503
    balancer.ctl("enable", "api/b")
    assert get(balancer.port).status == 200


def test_weight(env):
    balancer, origins = trio(env)
    balancer.ctl("weight", "api/a", "1000")
    for name in "bc":
        balancer.ctl("weight", f"api/{name}", "1")
    for _ in range(40):
        get(balancer.port)
    assert counts(origins)[0] > 25, counts(origins)
    row = next(row for row in backends(balancer) if row["name"] == "a")
    assert row["weight"] == 1000


def test_overrides_survive_reload_and_end_by_reset(env):
    balancer, origins = trio(env)
    balancer.ctl("drain", "api/a")
    balancer.reload(balancer.config)
    before = counts(origins)[0]
    for _ in range(9):
        get(balancer.port)
    assert counts(origins)[0] == before
    assert "*" in balancer.ctl("backends")
    balancer.ctl("reset", "api/a")
    until(lambda: get(balancer.port) and counts(origins)[0] > before, what="traffic after reset")


def test_wrong_names_are_refused(env):
    balancer, _ = trio(env)
    for args in [("drain", "api/nobody"), ("drain", "nopool/a"), ("drain", "a"), ("weight", "api/a", "0"),
                 ("weight", "api/a", "1001"), ("weight", "api/a", "x"), ("drain",), ("nonsense",)]:
        done = balancer.ctl(*args, check=False)
        assert done.returncode in (1, 2), (args, done.returncode)
        assert done.stderr or done.stdout, args
    assert get(balancer.port).status == 200


def test_explain(env):
    balancer, _ = trio(env, route={"match": {"host": "shop.example.com", "path": "/v1/"}})
    told = balancer.ctl("explain", "--client", "5.1.2.3", "http://shop.example.com/v1/x")
    assert "api" in told
    told = balancer.ctl("explain", "--client", "5.1.2.3", "http://shop.example.com/other", check=False)
    assert "no" in (told.stdout + told.stderr).lower()


def test_log_level(env):
    balancer, _ = trio(env)
    balancer.ctl("log-level", "debug")
    assert balancer.ctl("log-level", "loud", check=False).returncode in (1, 2)


def test_stop(env):
    balancer, _ = trio(env)
    balancer.ctl("stop")
    balancer.expect_end(0)


def test_no_balancer_is_an_error(env):
    balancer, _ = trio(env)
    balancer.stop()
    done = balancer.ctl("status", check=False)
    assert done.returncode != 0 and "control.sock" in done.stdout + done.stderr
