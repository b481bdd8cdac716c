"""meridianctl: seeing and steering a running balancer (SURFACE.md, section 2)."""
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import termios
import threading

from client import get
from env import threadless, until
from meridian import LOOKS
from origin import gated, text
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
    """The answer as it comes: that of anybody who asks at the socket."""
    balancer, _ = trio(env)
    for command in [*((name,) for name in LOOKS), ("backends", "api")]:
        printed = json.loads(balancer.ctl("--json", *command))
        assert printed["command"] == command[0] and printed.keys() == balancer.ctl_json(*command).keys(), printed


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


def test_a_pool_and_a_site_are_taken_out_and_what_comes_later_too(env):
    origins = {name: env.origin(name=name) for name in "abcd"}
    port = env.port()
    sites = {"a": "fra", "b": "fra", "c": "iad", "d": "fra"}

    def config(names, weight=100):
        backends = {name: {"address": origins[name].address, "site": sites[name], "weight": weight} for name in names}
        return {"listeners": {"public": {"bind": f"127.0.0.1:{port}"}}, "sites": {"fra": {"location": [50, 8]}, "iad": {"location": [39, -77]}},
                "pools": {"api": {"backends": backends}, "other": {"backends": {"a": backends["a"]}}},
                "routes": [{"pool": "api"}, {"match": {"path": "/other/"}, "pool": "other"}]}

    def serving():
        return {get(port).body for _ in range(20)}
    balancer = env.meridian(config("abc"))
    assert balancer.ctl_json("maintenance", "site:fra")["endpoints"] == 3
    until(lambda: serving() == {b"c"}, what="the other site")
    assert get(port, "/other/").status == 503
    balancer.reload(config("abcd"))
    assert {row["name"]: row["state"] for row in backends(balancer) if row["pool"] == "api"} == {
        "a": "maintenance", "b": "maintenance", "c": "up", "d": "maintenance"}
    balancer.ctl("enable", "api/d")
    until(lambda: b"d" in serving(), what="the one that is back")
    balancer.ctl("drain", "api")
    until(lambda: get(port).status == 503, what="the whole pool")
    balancer.ctl("reset", "api")
    until(lambda: len(serving()) > 1, what="the pool")
    assert get(port, "/other/").status == 503, "which was no part of it"
    balancer.ctl("weight", "api/a", "7")
    assert "api/a" not in balancer.reload(config("abcd"))
    said = balancer.reload(config("abcd", 50))
    assert "pools.api.backends.a.weight: 50 has no effect while 7 holds" in said and "api/b" not in said, said


def test_a_pool_that_nobody_is_left_of_is_warned_about(env):
    origins = [env.origin() for _ in range(4)]
    balancer = env.simple(*origins[:3], pool={"health": {"http": {"path": "/healthz"}, "interval": "500ms", "timeout": "500ms", "fall": 1}})
    assert "warning" not in balancer.ctl("drain", "api/a")
    origins[1].healthy = False
    until(lambda: [row["state"] for row in backends(balancer)].count("soft") == 1, what="b")
    said = balancer.ctl("maintenance", "api/c")
    assert "done, 1 endpoint\n" in said, said
    assert "warning: pool 'api' has nobody left who passes checks: 2 of 3 are drained" in said, said
    said = balancer.ctl("drain", "api")
    assert "done, 3 endpoints\n" in said, said
    assert "warning: pool 'api' has nobody left to serve it: all 3" in said and "meridianctl enable api ends" in said, said
    assert "warning" not in balancer.ctl("enable", "api")
    assert len(json.loads(balancer.ctl("--json", "drain", "api"))["warnings"]) == 1


def test_a_refused_reload_says_that_nothing_has_changed(env):
    balancer, _ = trio(env)
    balancer.write("routes: []")
    done = balancer.ctl("reload", check=False)
    assert done.returncode == 1 and done.stderr.endswith("\nmeridianctl: reload refused; the running configuration stays\n"), done


@threadless
def test_help_is_a_command_too(env):
    ctl = env.program("meridianctl")
    asked, meant = (subprocess.run([ctl, word], capture_output=True, text=True, timeout=30) for word in ("help", "--help"))
    assert asked.returncode == 0 and asked.stdout == meant.stdout, asked


def test_wrong_names_are_refused(env):
    balancer, _ = trio(env)
    for args in [("drain", "api/nobody"), ("drain", "nopool/a"), ("drain", "a"), ("weight", "api/a", "0"),
                 ("weight", "api/a", "1001"), ("weight", "api/a", "x"), ("drain",), ("nonsense",)]:
        done = balancer.ctl(*args, check=False)
        assert done.returncode in (1, 2), (args, done.returncode)
        assert done.stderr or done.stdout, args
    assert get(balancer.port).status == 200


def test_who_mistypes_is_told_what_was_meant(env):
    origin = env.origin()
    balancer = env.meridian({"listeners": {"public": {"bind": f"127.0.0.1:{env.port()}"}}, "routes": [{"pool": "api"}],
                             "pools": {"api": {"backends": {"paris-1": {"address": origin.address},
                                                            "oslo-1": {"address": f"127.0.0.1:{env.port()}"}}}}})
    other = f"{origin.address}0"
    for args, said in [
            (("drain", "api/pairs-1"), "no backend pairs-1 in pool api; meridianctl backends api lists them; did you mean 'paris-1'?"),
            (("weight", "api/osl-1", "7"), "no backend osl-1 in pool api; meridianctl backends api lists them; did you mean 'oslo-1'?"),
            (("reset", "apo/oslo-1"), "no pool apo; meridianctl pools lists them; did you mean 'api'?"),
            (("drain", "oslo-1"), "no pool oslo-1; a backend is written POOL/BACKEND; meridianctl pools lists them"),
            (("backends", "ap"), "no pool ap; meridianctl pools lists them; did you mean 'api'?"),
            (("enable", f"api/paris-1@{other}"), f"no address {other} of backend paris-1 in pool api; meridianctl backends api lists "
                                                 f"them; did you mean '{origin.address}'?"),
            (("drain", "site:fra"), "no server is at site fra"),
            (("drain", "nobody/of-these"), "no pool nobody; meridianctl pools lists them"),
            (("log-level", "dbug"), "the level must be error, warn, info or debug; did you mean 'debug'?"),
            (("drian", "api"), "unknown command drian; did you mean 'drain'?"),
            (("",), "a command is missing; meridianctl --help lists them"),
            (("--watch", "reload"), "--watch is for commands that only look; reload would act every time")]:
        done = balancer.ctl(*args, check=False)
        assert done.returncode in (1, 2) and said == done.stderr.partition("meridianctl: ")[2].strip(), (args, done)
    assert balancer.ctl_json("status")["generation"] == 1


def test_what_is_no_socket_is_said_to_be_none(env):
    for path, said in [(env.write("a.yaml", "x"), "is no socket"), (env.dir, "is no socket"), (env.path("nothing"), "no balancer listens at")]:
        done = subprocess.run([env.program("meridianctl"), "-s", path, "status"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 3 and path in done.stderr and said in done.stderr, done


def test_geo_without_a_database_says_so(env):
    balancer, _ = trio(env)
    assert "no database is set: geo.databases names them" in balancer.ctl("geo", "192.0.2.1")


def test_explain(env):
    balancer, _ = trio(env, route={"match": {"host": "shop.example.com", "path": "/v1/"}})
    told = balancer.ctl("explain", "--client", "5.1.2.3", "http://shop.example.com/v1/x")
    assert "api" in told
    told = balancer.ctl("explain", "--client", "5.1.2.3", "http://shop.example.com/other", check=False)
    assert "no" in (told.stdout + told.stderr).lower()
    for method in ("BREW", "TRACE"):
        told = balancer.ctl("explain", "--client", "5.1.2.3", "-X", method, "http://shop.example.com/v1/x", check=False)
        assert "the method is not served here" in told.stdout + told.stderr, told.stdout


def test_explain_obeys_gates_and_splits(env):
    """What is explained is what a request gets: who may not come is told so, and a split follows its key."""
    balancer, _ = trio(env, route={"match": {"path": "/closed"}, "access": {"deny": ["127.0.0.0/8"]}})
    assert get(balancer.port, "/closed").status == 403
    told = balancer.ctl("explain", "--client", "127.0.0.1", "http://localhost/closed", check=False)
    assert told.returncode == 1 and "not allowed" in told.stdout and "chosen" not in told.stdout, told.stdout
    assert "chosen" in balancer.ctl("explain", "--client", "5.1.2.3", "http://localhost/closed")
    one, two = env.origin(name="one"), env.origin(name="two")
    port = env.port()
    split = env.meridian({"listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
                          "pools": {"one": {"backends": {"a": {"address": one.address}}},
                                    "two": {"backends": {"a": {"address": two.address}}}},
                          "routes": [{"split": {"one": 50, "two": 50}, "split_by": "header X-User"}]})
    seen = set()
    for user in range(12):
        served = get(port, headers=[("X-User", str(user))]).body.decode()
        told = split.ctl_json("explain", "--client", "127.0.0.1", "-H", f"X-User: {user}", "http://localhost/")
        assert told["pool"] == served, (user, told["pool"], served)
        seen.add(served)
    assert seen == {"one", "two"}


def test_explain_refuses_paths_of_two_readings(env):
    """H14: a path that another reader takes for one of another route is refused, and explained so."""
    origin = env.origin()
    port = env.port()
    balancer = env.meridian({"listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
                             "pools": {"api": {"backends": {"a": {"address": origin.address}}}},
                             "routes": [{"match": {"path": "/closed/"}, "respond": {"status": 403}}, {"pool": "api"}]})
    for path, refused in (("/open%2fx", False), ("/closed%2fx", True), ("//closed/x", True), ("/a;b/../closed/x", False),
                          ("/a/..;/closed/x", True)):
        told = balancer.ctl("explain", "--client", "5.1.2.3", f"http://localhost{path}", check=False)
        assert (get(port, path).status == 400) == refused, path
        assert ("the request target is malformed" in told.stdout) == refused, (path, told.stdout)


def test_backends_of_an_unknown_pool(env):
    balancer, _ = trio(env)
    done = balancer.ctl("backends", "nope", check=False)
    assert done.returncode == 1 and "no pool nope" in done.stderr, done


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


def rows(balancer):
    return balancer.ctl_json("connections")["connections"]


def test_connections_of_all_workers(env):
    gate = threading.Event()
    origin = env.origin(script=[text(b"first"), gated(gate, text(b"second"))])
    balancer = env.simple(origin)
    idle = [env.client(balancer.port) for _ in range(8)]
    busy = env.client(balancer.port)
    assert busy.get().status == 200
    busy.request()
    until(lambda: len(origin.requests) == 2)
    until(lambda: len(rows(balancer)) == 9, what="nine connections")
    assert len({row["worker"] for row in rows(balancer)}) >= 1
    shown = [row for row in rows(balancer) if row["requests"] == 2]
    assert len(shown) == 1, rows(balancer)
    row = shown[0]
    assert (row["pool"], row["backend"], row["protocol"]) == ("api", "a", "http/1.1") and row["state"] != "idle", row
    assert row["client"].startswith("127.0.0.1:") and row["bytes_out"] > 0, row
    assert "127.0.0.1" in balancer.ctl("connections")
    gate.set()
    assert busy.response().body == b"second"
    for client in idle:
        client.close()
    until(lambda: [row["state"] for row in rows(balancer)] == ["idle"], what="the one that is left")


def test_connections_are_bounded(env):
    balancer = env.simple(env.origin(), workers=1)
    held = [socket.create_connection(("127.0.0.1", balancer.port)) for _ in range(530)]
    until(lambda: balancer.ctl_json("connections")["total"] == 530, what="all accepted")
    assert len(rows(balancer)) == 512
    assert "512 of 530" in balancer.ctl("connections")
    for client in held:
        client.close()


def test_connections_while_draining(env):
    gate = threading.Event()
    origin = env.origin(script=[gated(gate, text(b"end"))])
    balancer = env.simple(origin)
    busy = env.client(balancer.port).request()
    until(lambda: origin.requests)
    balancer.signal(signal.SIGTERM)
    until(lambda: balancer.ctl_json("status")["draining"], what="draining")
    assert len(rows(balancer)) == 1, "a worker that has ended must not be waited for"
    gate.set()
    assert busy.response().body == b"end"
    balancer.expect_end(0)


def test_f30_slow_and_hostile_local_clients_cost_only_themselves(env):
    """Half a line, garbage, a megabyte without end, answers nobody reads, gone before the answer."""
    balancer = env.simple(env.origin(), pool={"backends": {f"b{n}": {"address": f"127.0.0.1:{n + 1}"}
                                                           for n in range(300)}})

    def dial(data):
        local = socket.socket(socket.AF_UNIX)
        local.settimeout(10)
        local.connect(balancer.control)
        try:
            local.sendall(data)
        except OSError:
            pass  # it was shown the door before it had said everything
        return local

    slow = [dial(b'{"command":') for _ in range(4)]
    deaf = [dial(b'{"command":"backends"}\n') for _ in range(4)]
    assert b'"ok":false' in dial(b"\x00\xff\n").recv(4096).replace(b": ", b":")
    assert b'"ok":false' in dial(b"{" * 4000 + b"\n").recv(4096).replace(b": ", b":")
    huge = dial(b'{"command":"' + b"x" * (2 << 20))
    for _ in range(40):
        dial(b'{"command":"connections"}\n').close()
    until(lambda: balancer.ctl("status", check=False).returncode == 0, what="an answer for a good client")
    assert get(balancer.port).status in (200, 502, 503)
    for local in [*slow, *deaf, huge]:
        local.close()
    full = []

    def shown_the_door():
        full.append(dial(b""))
        with dial(b'{"command":"status"}\n') as one_more:
            try:
                return one_more.recv(10) == b""
            except ConnectionResetError:  # closed with our question unread
                return True

    until(shown_the_door, what="the seventeenth to be closed")
    for local in full:
        local.close()
    until(lambda: balancer.ctl("status", check=False).returncode == 0, what="an answer when they are gone")


@threadless
def test_completion_names_every_command(env):
    usage = balancer_help(env)
    commands = re.findall(r"^  ([a-z-]+) ", usage.split("\n  -s")[0], re.M)
    assert len(commands) >= 16
    for shell in ("bash", "zsh", "fish"):
        with open(os.path.join(env.root, "deploy", f"meridianctl.{shell}"), encoding="utf-8") as file:
            completion = file.read()
        missing = [name for name in commands if not re.search(rf"(?<![\w-]){name}(?![\w-])", completion)]
        assert not missing, (shell, missing)
        program = shutil.which(shell)
        if program:
            path = os.path.join(env.root, "deploy", f"meridianctl.{shell}")
            done = subprocess.run([program, "-n", path], capture_output=True, text=True, timeout=30)
            assert done.returncode == 0, done.stderr


def balancer_help(env):
    return subprocess.run([env.program("meridianctl"), "--help"], capture_output=True, text=True, timeout=10).stdout


def on_a_terminal(balancer, *args):
    """What meridianctl prints where its output is a terminal of 80 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([balancer.env.program("meridianctl"), "-s", balancer.control, *args],
                               stdout=slave, stderr=subprocess.STDOUT)
    os.close(slave)
    said = b""
    try:
        while piece := os.read(master, 65536):
            said += piece
    except OSError:
        pass  # the other side of a terminal has gone
    os.close(master)
    assert process.wait(10) == 0, said
    return said.decode().replace("\r", "").splitlines()


def test_tables_fit_80_columns(env):
    name = "a-backend-with-a-long-name-as-they-are-in-real-life-0123456789"
    origin = env.origin()
    balancer = env.simple(origin, pool={"backends": {name: {"address": origin.address, "max_inflight": 100000}}},
                          route={"match": {"host": "a.rather.long.host.name.of.some.api.example.com",
                                           "path": "/a/long/path/that/goes/on/and/on/and/on/and/on"}})
    busy = env.client(balancer.port)
    assert busy.get("/a/long/path/that/goes/on/and/on/and/on/and/on",
                    [("Host", "a.rather.long.host.name.of.some.api.example.com")]).status in (200, 400, 404)
    for command in ("status", "pools", "backends", "routes", "connections", "certificates", "map", "database"):
        lines = on_a_terminal(balancer, command)
        assert lines, command
        assert max(map(len, lines)) <= 80, (command, [line for line in lines if len(line) > 80])


def test_what_is_wrong_can_be_read_on_80_columns(env):
    """Names that differ at their ends stay apart, and why a server is down stands there whole; so do the terms of explain."""
    origin = env.origin()
    places = env.geo_database([("5.1.0.0/16", "DE", "EU", "", 52.5, 13.4, 10)])
    sites = {name: {"location": [50 + i, 8.7], "country": "DE"} for i, name in enumerate(("frankfurt", "amsterdam"))}
    names = [f"frankfurt-{i}" for i in range(1, 4)]
    backends = {name: {"address": f"127.0.0.1:{env.port()}", "site": "frankfurt"} for name in names}
    backends["amsterdam-1"] = {"address": origin.address, "site": "amsterdam"}
    balancer = env.simple(origin, geo={"databases": [places]}, sites=sites,
                          pool={"backends": backends, "health": {"tcp": {}, "interval": "100ms", "timeout": "100ms"}})
    until(lambda: [row["health"] for row in balancer.ctl_json("backends")["backends"]].count("hard") == 3, what="three dead ones")
    until(lambda: all(len(row["history"]) == 64 for row in balancer.ctl_json("backends")["backends"]), 30, what="all checks")
    lines = on_a_terminal(balancer, "backends")
    assert max(map(len, lines)) <= 80, lines
    assert "\n".join(lines).count("it cannot be reached: the server refused the connection") == 3, lines
    shown = [line.split()[0] for line in lines[1:] if line.startswith("api/")]
    assert len(set(shown)) == 4 and [one[-5:] for one in shown] == [name[-5:] for name in backends], lines
    lines = on_a_terminal(balancer, "explain", "--client", "5.1.0.1", "http://localhost/")
    assert max(len(line) for line in lines if not line.startswith("client")) <= 80, lines
    wide = balancer.ctl("explain", "--client", "5.1.0.1", "http://localhost/")
    assert all(title in wide for title in ("SAMPLES", "SEEN", "RECENT", "WHY NOT")), wide


def test_l40_too_many_at_once_is_said(env):
    balancer = env.simple(env.origin())
    others = [socket.socket(socket.AF_UNIX) for _ in range(16)]
    for one in others:
        one.connect(balancer.control)
    until(lambda: "16 others ask it already: try again" in balancer.ctl("status", check=False).stderr, what="the refusal")
    for one in others:
        one.close()
    until(lambda: balancer.ctl("status", check=False).returncode == 0, what="room again")


def test_watch_shows_again(env):
    """Every two seconds, a table anew each time, until it is interrupted or the balancer has gone."""
    balancer = env.simple(env.origin())
    process = subprocess.Popen([env.program("meridianctl"), "-s", balancer.control, "--watch", "--json", "backends"],
                               stdout=subprocess.PIPE, text=True)
    first = json.loads(process.stdout.readline())
    balancer.ctl("drain", "api/a")
    second = json.loads(process.stdout.readline())
    assert [one["backends"][0]["admin"] for one in (first, second)] == ["active", "drain"]
    process.terminate()
    assert process.wait(10) == -signal.SIGTERM
    process.stdout.close()
