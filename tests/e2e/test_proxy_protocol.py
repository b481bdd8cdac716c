"""The PROXY protocol (RELIABILITY H16): received on listeners that demand it, before TLS."""
import shutil
import socket
import struct
import subprocess

from client import Client, client_context
from env import Skip, until
from test_geo import PLACES, address_in

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source="192.0.2.7", port=4711):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {'::1' if ':' in source else '10.0.0.1'} {port} 443\r\n".encode()


def v2(source="192.0.2.7", port=4711, command=0x21, tlvs=b""):
    family, size = (socket.AF_INET6, 0x21) if ":" in source else (socket.AF_INET, 0x11)
    block = socket.inet_pton(family, source) * 2 + struct.pack(">HH", port, 443) + tlvs
    return SIGNATURE + bytes([command, size]) + struct.pack(">H", len(block)) + block


def world(env, listener=None, sources=("127.0.0.0/8",), **config):
    origin = env.origin()
    port = env.port()
    balancer = env.meridian({
        "geo": {"databases": [env.geo_database(list(PLACES.values()))]},
        "listeners": {"public": {"bind": f"127.0.0.1:{port}", "proxy_protocol": {"from": list(sources)},
                                 **(listener or {})}},
        "pools": {"api": {"backends": {"one": {"address": origin.address}}}},
        "routes": [{"pool": "api", "access": {"deny": ["203.0.113.0/24"]}, "request_headers": {
            "set": {"X-Client": "{client.address}", "X-Peer": "{peer.address}", "X-Country": "{geo.country}"}}}],
        **config})
    balancer.port = port
    return balancer, origin


def ask(balancer, header, pieces=None, **more):
    with Client(balancer.port, **more) as client:
        if pieces:
            client.send_pieces(header, pieces, 0.01)
        else:
            client.send(header)
        return client.get("/")


def seen(origin):
    fields = origin.last().fields
    return fields.get("x-client"), fields.get("x-peer"), fields.get("x-forwarded-for")


def test_the_source_is_the_client(env):
    balancer, origin = world(env)
    for header in (v1(), v2(), v2(tlvs=b"\x02\0\6a.test\x20\0\0")):
        for pieces in (None, 7):
            assert ask(balancer, header, pieces).status == 200
            assert seen(origin) == ("192.0.2.7",) * 3, origin.last().fields
    assert ask(balancer, v1("2001:db8::9")).status == 200 and seen(origin)[0] == "2001:db8::9"
    for header in (v1(address_in(PLACES["EU"])), v2(address_in(PLACES["EU"]))):
        assert ask(balancer, header).status == 200
        assert origin.last().fields.get("x-country") == "FR"
    assert ask(balancer, v2("203.0.113.9")).status == 403
    line = next(one for one in balancer.access_log(10) if one["client"] == "192.0.2.7")
    assert line["peer"] == "192.0.2.7", line


def test_header_and_request_in_one_packet(env):
    balancer, origin = world(env)
    for header in (v1(), v2()):
        with Client(balancer.port) as client:
            client.send(header + b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.response().status == 200 and client.response().status == 200
    assert [one.target for one in origin.requests] == ["/a", "/b"] * 2


def test_l3_handshakes_behind_a_proxy(env):
    """A handshake begins behind the header: who has not sent it takes no place, and who begins one too many has one of
    the others make room."""
    balancer, _ = world(env, {"tls": {"certificates": [env.authority.server("localhost").config()]}}, workers=1,
                        limits={"handshakes": 2}, timeouts={"handshake": "40s"})
    waiting = [env.client(balancer.port) for _ in range(5)]
    within = [env.client(balancer.port).send(v1() + b"\x16") for _ in range(2)]
    waiting += [env.client(balancer.port) for _ in range(5)]
    assert all(client.silent(0.2) for client in [*within, *waiting])
    waiting[0].send(v1() + b"\x16")
    until(lambda: sum(client.silent(0.2) for client in within) == 1, 10, "one makes room")
    assert all(client.silent(0.2) for client in waiting)
    for client in waiting:
        client.close()


def test_local_and_unknown_keep_the_peer(env):
    balancer, origin = world(env)
    for header in (b"PROXY UNKNOWN\r\n", v2(command=0x20), SIGNATURE + b"\x20\0\0\0"):
        assert ask(balancer, header).status == 200
        assert seen(origin)[0] == "127.0.0.1"


def test_before_tls_and_both_versions(env):
    certificate = env.authority.server("localhost")
    balancer, origin = world(env, {"tls": {"certificates": [certificate.config()]}})
    for alpn in (["http/1.1"], ["h2"]):
        for header in (v1(), v2()):
            raw = socket.create_connection(("127.0.0.1", balancer.port), timeout=15)
            raw.sendall(header)
            secure = client_context(env.authority.ca, alpn=alpn).wrap_socket(raw, server_hostname="localhost")
            if alpn == ["h2"]:
                secure.close()  # the handshake is what is shown here
                continue
            secure.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert secure.recv(100).startswith(b"HTTP/1.1 200")
            assert seen(origin)[0] == "192.0.2.7"
            secure.close()


def test_prior_knowledge_of_http2(env):
    balancer, origin = world(env, {"protocols": ["h2", "http/1.1"]})
    assert ask(balancer, v2()).status == 200
    with Client(balancer.port) as client:
        client.send(v1() + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        assert client.socket.recv(9)[3] == 4  # its SETTINGS
    assert seen(origin)[0] == "192.0.2.7"


def test_nothing_without_a_header(env):
    """Neither requests, nor TLS, nor broken or doubled headers, nor other sources; nothing is answered."""
    balancer, origin = world(env)
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\0\x01", b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
                 b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", v2()[:16] + b"\0" * 3 + b"GET / HTTP/1.1\r\n\r\n",
                 SIGNATURE + b"\x21\x11\xff\xff" + b"\0" * 100, b"PROXY " + b"x" * 200):
        with Client(balancer.port) as client:
            client.send(data)
            if data[:12] != SIGNATURE or data[14] == 0xff:
                assert client.ended(), data
    with Client(balancer.port) as client:  # a second header is no request
        client.send(v1() + v1())
        assert client.response().status == 400
    elsewhere, other = world(env, sources=["10.0.0.0/8"])
    with Client(elsewhere.port) as client:
        assert client.ended()
    assert not origin.requests and not other.requests
    until(lambda: elsewhere.metric("meridian_connections_refused_total") >= 1, what="its count")


def test_a_header_that_does_not_come(env):
    balancer, _ = world(env, timeouts={"handshake": "300ms"})
    with Client(balancer.port) as silent, Client(balancer.port) as slow:
        slow.send(v1()[:20])
        assert silent.ended() and slow.ended()


def test_limits_are_the_clients(env):
    """L2 counts who is behind, not the load balancer."""
    balancer, _ = world(env, limits={"connections_per_source": 2})
    clients = [Client(balancer.port).send(v1(f"192.0.2.{one % 5}")) for one in range(10)]
    assert all(client.get("/").status == 200 for client in clients)
    with Client(balancer.port) as one_more:
        one_more.send(v1("192.0.2.1"))
        assert one_more.ended()
    for client in clients:
        client.close()
    until(lambda: balancer.metric("meridian_connections") == 0, what="all closed")
    assert ask(balancer, v1("192.0.2.1")).status == 200


def test_l2_a_source_of_ipv6_is_a_64(env):
    """Who has one has 2^64 addresses: they count as one."""
    balancer, _ = world(env, limits={"connections_per_source": 3})
    clients = [Client(balancer.port).send(v1(f"2001:db8:0:1:{one}::{one}")) for one in range(1, 4)]
    assert all(client.get("/").status == 200 for client in clients)
    with Client(balancer.port) as beyond:
        assert beyond.send(v1("2001:db8:0:1:ffff::9")).ended()
    assert ask(balancer, v1("2001:db8:0:2::1")).status == 200
    assert ask(balancer, v1("2001:db8:1:1::1")).status == 200
    for client in clients:
        client.close()


def test_trusted_proxies_behind_it(env):
    """The header's source is the peer: where that is trusted, its field says who the client is."""
    balancer, origin = world(env, trusted_proxies={"from": ["192.0.2.0/24"], "header": "x-forwarded-for"})
    with Client(balancer.port) as client:
        client.send(v1())
        assert client.get("/", {"X-Forwarded-For": "198.51.100.4"}).status == 200
    assert seen(origin)[:2] == ("198.51.100.4", "192.0.2.7")


class Told:
    """A server behind which only connections with a header come through."""

    def __init__(self, env):
        self.seen, self.checks = [], 0  # [(source, connection, target)]
        self.origin = env.origin(listen=False)
        one = self.origin._one

        def with_header(connection):
            if not hasattr(connection, "told"):
                connection.told = self.header(connection.reader)
            before = len(connection.requests)
            going = one(connection)
            if len(connection.requests) > before:
                self.seen.append((connection.told, id(connection), connection.requests[-1].target))
            else:
                self.checks += connection.told == "local"
            return going
        self.origin._one = with_header
        self.origin.listen()

    @staticmethod
    def header(reader):
        start = reader.exactly(6)
        if start == b"PROXY ":
            words = reader.line().decode().split(" ")
            return "local" if words[0] == "UNKNOWN" else (words[1], int(words[3]))
        rest = reader.exactly(10)
        assert start + rest[:6] == SIGNATURE, start + rest
        block = reader.exactly(struct.unpack(">H", rest[8:])[0])
        if rest[6] == 0x20:
            return "local"
        family, size = (socket.AF_INET, 4) if rest[7] == 0x11 else (socket.AF_INET6, 16)
        return (socket.inet_ntop(family, block[:size]), struct.unpack(">H", block[2 * size:2 * size + 2])[0])


def test_servers_are_told_and_never_share(env):
    for version in ("v1", "v2"):
        told = Told(env)
        port = env.port()
        env.meridian({
            "trusted_proxies": {"from": ["127.0.0.0/8"], "header": "x-forwarded-for"},
            "listeners": {"public": {"bind": f"127.0.0.1:{port}"}}, "workers": 1,
            "pools": {"api": {"backends": {"one": {"address": told.origin.address}},
                              "send_proxy_protocol": version,
                              "health": {"http": {"path": "/healthz"}, "interval": "200ms", "timeout": "200ms"}}},
            "routes": [{"pool": "api"}]})
        with Client(port) as one, Client(port) as other:
            mine, theirs = one.socket.getsockname()[1], other.socket.getsockname()[1]
            for turn in range(3):
                assert one.get(f"/one/{turn}").status == 200 and other.get(f"/other/{turn}").status == 200
            for address in ("2001:db8::5", "192.0.2.5"):
                assert other.get("/behind", {"X-Forwarded-For": address}).status == 200
        until(lambda: len(told.seen) == 8, what="all requests")
        by_source = {}
        for source, connection, target in told.seen:
            by_source.setdefault(source, set()).add(connection)
            want = {"one": ("127.0.0.1", mine), "other": ("127.0.0.1", theirs)}.get(target.split("/")[1])
            assert want is None or source == want, (source, target)
        assert set(by_source) == {("127.0.0.1", mine), ("127.0.0.1", theirs), ("2001:db8::5", 0), ("192.0.2.5", 0)}
        assert all(len(connections) == 1 for connections in by_source.values()), by_source  # kept for the same
        assert len(set().union(*by_source.values())) == 4  # and for nobody else
        until(lambda: told.checks > 0, what="a check that says LOCAL")


def test_through_two_of_them(env):
    """What one says the other understands, over TLS and with a reload that changes the version."""
    certificate = env.authority.server("localhost")
    inner, origin = world(env, {"tls": {"certificates": [certificate.config()]}})
    port = env.port()
    config = {"listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
              "pools": {"api": {"backends": {"one": {"address": f"127.0.0.1:{inner.port}"}},
                                "tls": {"ca": env.authority.ca, "server_name": "localhost"},
                                "send_proxy_protocol": "v1"}},
              "routes": [{"pool": "api"}]}
    outer = env.meridian(config)
    for version in ("v1", "v2"):
        config["pools"]["api"]["send_proxy_protocol"] = version
        outer.reload(config)
        for source in ("127.0.0.1", "127.0.0.9"):
            with Client(port, source=source) as client:
                assert client.get("/").status == 200 and client.get("/").status == 200
            assert seen(origin)[1] == source, origin.last().fields
    config["pools"]["api"].pop("send_proxy_protocol")
    outer.reload(config)
    with Client(port) as client:
        assert client.get("/").status in (502, 503)


def test_curl(env):
    curl = shutil.which("curl")
    if not curl:
        raise Skip("no curl")
    balancer, origin = world(env)
    done = subprocess.run([curl, "-sS", "--haproxy-protocol", f"http://127.0.0.1:{balancer.port}/"],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and origin.requests, done
