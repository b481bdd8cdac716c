"""Host names of backends against a scripted name server (F21, L37, B4, C6)."""
import contextlib
import http.server
import socket
import threading
import time

from client import get
from dns import SRV, NameServer
from env import lengthy, seconds, until

LIES = ["nxdomain", "servfail", "silent", "empty", "garbage", "wrong-id", "loop", "other-name",
        "many"]


class Server(http.server.ThreadingHTTPServer):
    """Answers with its own address; /slow waits for `go`."""

    def __init__(self, host, port):
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.host, self.go, self.slow = host, threading.Event(), threading.Event()
        super().__init__((host, port), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/slow":
            self.server.slow.set()
            self.server.go.wait(30)
        body = self.server.host.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def world(env, names, hosts=("127.0.0.1",), modes=None, first=None):
    """A name server, servers at these hosts on one port, and a balancer with one pool for each name;
    the route to a name's pool is its first label as a path."""
    port = env.port()
    with contextlib.ExitStack() as ends:
        dns = NameServer(env.port(), names)
        ends.callback(dns.close)
        dns.modes.update(modes or {})
        servers = {}
        for host in hosts:
            servers[host] = ends.enter_context(Server(host, port))
            ends.callback(servers[host].shutdown)
        listen = env.port()
        pools = {name.split(".")[0]: {"backends": {"one": {"address": f"{name}:{port}"}},
                                      "health": {"interval": "1s"}} for name in names}
        balancer = env.meridian({
            "listeners": {"public": {"bind": f"127.0.0.1:{listen}"}},
            "resolve": {"servers": [dns.address]}, "pools": pools,
            "routes": [{"match": {"path": f"/{pool}/"}, "pool": pool, "rewrite": {"strip_prefix": f"/{pool}"}}
                       for pool in pools]})
        balancer.port = listen
        yield balancer, dns, servers, port


def addresses(balancer, pool="api"):
    rows = balancer.ctl_json("backends", pool)
    rows = rows if isinstance(rows, list) else next(value for value in rows.values() if isinstance(value, list))
    return sorted(row["address"].rsplit(":", 1)[0] for row in rows)


def comes(balancer, want, pool="api", timeout=20):
    until(lambda: addresses(balancer, pool) == sorted(want), timeout, f"{want}, not {addresses(balancer, pool)},")


def test_follows_the_ttl(env):
    with world(env, {"api.test": ["127.0.0.1"]}, ["127.0.0.1", "127.0.0.2"]) as (balancer, dns, _, _):
        comes(balancer, ["127.0.0.1"])
        assert get(balancer.port, "/api/").body == b"127.0.0.1"
        dns.names["api.test"] = ["127.0.0.1", "127.0.0.2"]
        comes(balancer, ["127.0.0.1", "127.0.0.2"])
        until(lambda: get(balancer.port, "/api/").body == b"127.0.0.2", what="traffic to the new address")


@lengthy
@seconds(120)
def test_f21_lies_and_silence_change_nothing(env):
    """C6, L37: the last good addresses serve, whatever a name server says or does not say."""
    names = {f"{lie}.test": ["127.0.0.1"] for lie in LIES}
    with world(env, names) as (balancer, dns, _, _):
        for lie in LIES:
            comes(balancer, ["127.0.0.1"], lie)
        dns.modes.update({f"{lie}.test": lie for lie in LIES})
        bad = balancer.metric("meridian_name_answers_total", result="bad")
        until(lambda: balancer.metric("meridian_name_answers_total", result="bad") >= bad + len(LIES), 90,
              "a failure of each name")
        for lie in LIES:
            assert addresses(balancer, lie) == ["127.0.0.1"], lie
            assert get(balancer.port, f"/{lie}/").status == 200, lie
        assert "the last good addresses stay" in balancer.errors()
        dns.modes.clear()
        balancer.reload()
        for lie in LIES:
            assert addresses(balancer, lie) == ["127.0.0.1"], lie


def test_unknown_at_start_is_503_for_that_pool_only(env):
    """C6: a name that is waited for holds up nobody else."""
    names = {"api.test": ["127.0.0.1"], "late.test": ["127.0.0.1"]}
    with world(env, names, modes={"late.test": "nxdomain"}) as (balancer, dns, _, _):
        comes(balancer, ["127.0.0.1"])
        assert addresses(balancer, "late") == []
        assert get(balancer.port, "/api/").status == 200
        assert get(balancer.port, "/late/").status == 503
        assert balancer.metric("meridian_names_unknown") == 1
        dns.modes.clear()
        comes(balancer, ["127.0.0.1"], "late")
        until(lambda: get(balancer.port, "/late/").status == 200, what="a server of the late name")


def test_truncated_answers_are_asked_for_over_tcp(env):
    many = [f"127.0.1.{i}" for i in range(1, 61)]
    names = {"api.test": ["127.0.0.1"], "many.test": many, "flood.test": [f"127.0.2.{i}" for i in range(1, 101)]}
    with world(env, names, modes={"api.test": "truncated"}) as (balancer, dns, _, _):
        comes(balancer, ["127.0.0.1"])
        comes(balancer, many, "many")
        assert dns.tcp_asked >= 2
        assert get(balancer.port, "/api/").status == 200
        assert addresses(balancer, "flood") == []


@lengthy
@seconds(120)
def test_b4_mass_removal_is_held(env):
    hosts = [f"127.0.0.{i}" for i in range(1, 5)]
    with world(env, {"api.test": hosts}, hosts) as (balancer, dns, _, _):
        comes(balancer, hosts)
        dns.names["api.test"] = hosts[:1]
        until(lambda: balancer.metric("meridian_name_addresses_held") == 3, 20, "the brake")
        assert addresses(balancer) == hosts
        assert "name-removal-held" in balancer.errors()
        comes(balancer, hosts[:1], timeout=60)


def test_an_address_that_vanishes_drains(env):
    hosts = [f"127.0.0.{i}" for i in range(1, 5)]
    with world(env, {"api.test": hosts}, hosts) as (balancer, dns, servers, _):
        comes(balancer, hosts)
        results = []
        asks = [threading.Thread(target=lambda: results.append(get(balancer.port, "/api/slow")))
                for _ in range(12)]
        for ask in asks:
            ask.start()
        until(lambda: servers["127.0.0.4"].slow.is_set(), what="a request at the fourth address")
        dns.names["api.test"] = hosts[:3]
        comes(balancer, hosts[:3])
        for server in servers.values():
            server.go.set()
        for ask in asks:
            ask.join()
        assert [one.status for one in results] == [200] * 12
        assert b"127.0.0.4" in [one.body for one in results]


def test_a_name_in_maintenance_stays_so_with_other_addresses(env):
    with world(env, {"api.test": ["127.0.0.1"]}, ["127.0.0.1", "127.0.0.2"]) as (balancer, dns, _, _):
        comes(balancer, ["127.0.0.1"])
        balancer.ctl("maintenance", "api/one")
        dns.names["api.test"] = ["127.0.0.1", "127.0.0.2"]
        comes(balancer, ["127.0.0.1", "127.0.0.2"])
        assert get(balancer.port, "/api/").status == 503
        balancer.ctl("enable", "api/one")
        until(lambda: get(balancer.port, "/api/").status == 200, what="traffic")


def test_aaaa(env):
    if not socket.has_dualstack_ipv6():
        return
    with world(env, {"api.test": ["::1"]}, ["::1"]) as (balancer, _, _, _):
        comes(balancer, ["[::1]"])
        until(lambda: get(balancer.port, "/api/").body == b"::1", what="traffic over IPv6")


def test_reload_keeps_what_is_known(env):
    with world(env, {"api.test": ["127.0.0.1"]}) as (balancer, dns, _, _):
        comes(balancer, ["127.0.0.1"])
        dns.modes["api.test"] = "silent"
        balancer.reload()
        assert addresses(balancer) == ["127.0.0.1"]
        assert get(balancer.port, "/api/").status == 200


def test_names_do_not_bring_in_an_unsaved_file(env):
    with world(env, {"api.test": ["127.0.0.1"]}) as (balancer, dns, _, _):
        comes(balancer, ["127.0.0.1"])
        balancer.write("broken: [")
        dns.names["api.test"] = ["127.0.0.1", "127.0.0.2"]
        comes(balancer, ["127.0.0.1", "127.0.0.2"])
        assert get(balancer.port, "/api/").status == 200


def test_names_are_published_while_others_change(env):
    """Answers that never pause do not hold up the first of them."""
    class Slow(NameServer):
        def _answer(self, message, over_tcp):
            time.sleep(0.004)
            return super()._answer(message, over_tcp)
    many = 300
    dns = Slow(env.port(), {f"n{i}.test": ["127.0.0.1"] for i in range(many)})
    env.at_end(dns.close)
    origin, port = env.origin(), env.port()
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}}, "resolve": {"servers": [dns.address]},
        "pools": {f"p{i}": {"backends": {"n": {"address": f"n{i}.test:{origin.port}"}}, "health": {"off": True}}
                  for i in range(many)},
        "routes": [{"match": {"path": f"/{i}/"}, "pool": f"p{i}"} for i in range(many)]})
    until(lambda: get(port, "/0/").status == 200, what="the first name")
    asked = len(dns.asked)
    assert asked < 2 * many - 40, f"{asked} questions came before"
    assert balancer.alive()


def test_reloads_do_not_keep_names_unknown(env):
    """Reloads that come faster than the name server answers."""
    class Slow(NameServer):
        def _serve_udp(self):
            while True:
                try:
                    message, peer = self.udp.recvfrom(4096)
                except OSError:
                    return
                threading.Timer(0.6, lambda m=message, p=peer: [self.udp.sendto(a, p) for a in self._answer(m, False)]).start()
    dns = Slow(env.port(), {"api.test": ["127.0.0.1"]})
    env.at_end(dns.close)
    origin, port = env.origin(), env.port()
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}}, "resolve": {"servers": [dns.address]},
        "pools": {"api": {"backends": {"n": {"address": f"api.test:{origin.port}"}}}}, "routes": [{"pool": "api"}]})
    for _ in range(20):
        time.sleep(0.2)
        balancer.reload()
        if get(port).status == 200:
            return
    raise AssertionError("still unknown")


@contextlib.contextmanager
def service(env, records, hosts=("127.0.0.1", "127.0.0.2", "127.0.0.3"), pool=None, backend=None):
    """A balancer whose pool asks for `_http._tcp.api.test`, and servers that targets a, b, c … stand for, all on
    one port; `records(port)` are the service's. Yields balancer, name server, servers, their port."""
    port = env.port()
    with contextlib.ExitStack() as ends:
        dns = NameServer(env.port(), {f"{'abc'[i]}.test": [host] for i, host in enumerate(hosts)})
        ends.callback(dns.close)
        dns.services["_http._tcp.api.test"] = records(port)
        servers = {host: ends.enter_context(Server(host, port)) for host in hosts}
        for server in servers.values():
            ends.callback(server.shutdown)
        listen = env.port()
        balancer = env.meridian({
            "listeners": {"public": {"bind": f"127.0.0.1:{listen}"}}, "resolve": {"servers": [dns.address]},
            "pools": {"api": {"backends": {"one": {"address": "_http._tcp.api.test", **(backend or {})}},
                              "health": {"interval": "500ms", "timeout": "500ms"}, "balance": {"slow_start": "0s"}, **(pool or {})}},
            "routes": [{"pool": "api"}]})
        balancer.port = listen
        yield balancer, dns, servers, port


def rows(balancer):
    return {row["address"].rsplit(":", 1)[0]: row for row in balancer.ctl_json("backends", "api")["backends"]}


def serving(balancer, times=40):
    return {get(balancer.port, "/").body.decode() for _ in range(times)}


def test_srv_priority_weight_and_port(env):
    def records(port):
        return [(10, 60, port, "a.test"), (10, 20, port, "b.test"), (20, 0, port, "c.test"),
                (5, 1, 0, "c.test"), (30, 7, port, "c.test")]
    with service(env, records, pool={"host": "backend"}) as (balancer, dns, servers, port):
        comes(balancer, ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
        seen = rows(balancer)
        assert {host: (row["rank"], row["weight"]) for host, row in seen.items()} == {
            "127.0.0.1": (0, 60), "127.0.0.2": (0, 20), "127.0.0.3": (1, 1)}, seen
        assert all(row["address"].endswith(f":{port}") for row in seen.values())
        assert serving(balancer) == {"127.0.0.1", "127.0.0.2"}
        table = balancer.ctl("backends", "api")
        assert "up backup" in table and "a backup, and others can serve" in table, table
        for host in ("127.0.0.1", "127.0.0.2"):
            servers[host].shutdown()
            servers[host].server_close()
        until(lambda: serving(balancer, 5) == {"127.0.0.3"}, what="the backup alone")


@lengthy
def test_srv_follows_ttl_weights_and_targets(env):
    with service(env, lambda port: [(1, 0, port, "a.test"), (1, 0, port, "b.test")],
                 backend={"weight": 250}) as (balancer, dns, _, port):
        comes(balancer, ["127.0.0.1", "127.0.0.2"])
        assert {row["weight"] for row in rows(balancer).values()} == {250}, "the records say nothing of weights"
        dns.services["_http._tcp.api.test"] = [(1, 65535, port, "a.test"), (2, 6554, port, "b.test")]
        until(lambda: [(row["rank"], row["weight"]) for _, row in sorted(rows(balancer).items())]
              == [(0, 1000), (1, 100)], 20, "the new weights and ranks")
        assert serving(balancer) == {"127.0.0.1"}
        dns.names["a.test"] = ["127.0.0.3"]
        until(lambda: "127.0.0.3" in rows(balancer), 20, "the target's new address")
        until(lambda: "127.0.0.3" in serving(balancer), what="traffic to it")
        asked = dns.count("_http._tcp.api.test", SRV)
        assert 1 < asked < 30, f"asked {asked} times"


@lengthy
@seconds(120)
def test_f21_srv_lies_change_nothing(env):
    lies = [*LIES, "root"]
    with contextlib.ExitStack() as ends:
        port, listen = env.port(), env.port()
        dns = NameServer(env.port(), {"a.test": ["127.0.0.1"], "self.test": []})
        ends.callback(dns.close)
        server = ends.enter_context(Server("127.0.0.1", port))
        ends.callback(server.shutdown)
        names = {lie: f"_{lie}._tcp.api.test" for lie in lies}
        dns.services.update({name: [(1, 1, port, "a.test")] for name in names.values()})
        balancer = env.meridian({
            "listeners": {"public": {"bind": f"127.0.0.1:{listen}"}}, "resolve": {"servers": [dns.address]},
            "pools": {lie: {"backends": {"one": {"address": name}}} for lie, name in names.items()},
            "routes": [{"match": {"path": f"/{lie}/"}, "pool": lie} for lie in lies]})
        balancer.port = listen
        for lie in lies:
            comes(balancer, ["127.0.0.1"], lie)
        dns.modes.update({name: lie for lie, name in names.items() if lie != "root"})
        dns.services[names["root"]] = [(0, 0, 0, ".")]
        bad = balancer.metric("meridian_name_answers_total", result="bad")
        until(lambda: balancer.metric("meridian_name_answers_total", result="bad") >= bad + len(lies), 90,
              "a failure of each name")
        for lie in lies:
            assert addresses(balancer, lie) == ["127.0.0.1"], lie
            assert get(balancer.port, f"/{lie}/").status == 200, lie
        # targets that have no address, or are the service itself, are none; the others serve
        dns.modes.clear()
        dns.services[names["root"]] = [(1, 1, port, names["root"]), (1, 1, port, "self.test"), (1, 1, port, "a.test")]
        asked = dns.count("self.test")
        until(lambda: dns.count("self.test") > asked, 30, "the targets")
        assert addresses(balancer, "root") == ["127.0.0.1"]


def test_srv_is_kept_over_a_reload(env):
    with service(env, lambda port: [(1, 5, port, "a.test"), (2, 5, port, "b.test")]) as (balancer, dns, _, _):
        comes(balancer, ["127.0.0.1", "127.0.0.2"])
        dns.modes["_http._tcp.api.test"] = "silent"
        balancer.reload()
        assert [(row["rank"], row["weight"]) for _, row in sorted(rows(balancer).items())] == [(0, 5), (1, 5)]
        assert serving(balancer, 10) == {"127.0.0.1"}
