"""TLS towards clients and backends (limits L28, L29, rule C3)."""
import os
import socket
import ssl
import threading
import warnings

from client import Client, client_context, get
from dns import NameServer
from env import native, until
from h2 import H2Client
from origin import server_context, text
from wire import Ended

warnings.filterwarnings("ignore", category=DeprecationWarning)


def secure(env, *origins, certificates=None, pool=None, **tls):
    pairs = certificates or [env.authority.server("localhost")]
    origins = origins or (env.origin(),)
    return env.simple(*origins, pool=pool, listener={
        "tls": {"certificates": [pair.config() for pair in pairs], **tls}})


def test_tls_1_3_and_1_2(env):
    origin = env.origin()
    balancer = secure(env, origin)
    for version in [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2]:
        context = client_context(env.authority.ca, minimum=version, maximum=version)
        with Client(balancer.port, tls=context) as client:
            assert client.get().status == 200
            assert client.get().status == 200
            assert client.socket.version() == {ssl.TLSVersion.TLSv1_3: "TLSv1.3"}.get(version, "TLSv1.2")
            assert "GCM" in client.socket.cipher()[0] or "CHACHA20" in client.socket.cipher()[0]
    assert origin.last().fields.get("x-forwarded-proto") == "https"


def test_l28_old_versions_and_ciphers_are_refused(env):
    balancer = secure(env)
    old = client_context(env.authority.ca, minimum=ssl.TLSVersion.TLSv1, maximum=ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("ALL:@SECLEVEL=0")
    cbc = client_context(env.authority.ca, maximum=ssl.TLSVersion.TLSv1_2)
    cbc.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0")
    for context in (old, cbc):
        try:
            Client(balancer.port, tls=context).close()
            raise AssertionError("accepted")
        except (ssl.SSLError, ConnectionError):
            pass


def test_minimum_1_3(env):
    balancer = secure(env, minimum="1.3")
    try:
        Client(balancer.port, tls=client_context(env.authority.ca, maximum=ssl.TLSVersion.TLSv1_2)).close()
        raise AssertionError("TLS 1.2 was accepted")
    except (ssl.SSLError, ConnectionError):
        pass
    assert get(balancer.port, tls=client_context(env.authority.ca)).status == 200


def test_server_names_choose_the_certificate(env):
    pairs = [env.authority.server("one.example.com"), env.authority.server("*.two.example.com"),
             env.authority.server("localhost")]
    balancer = secure(env, certificates=pairs)
    context = client_context(env.authority.ca)
    for name in ["one.example.com", "a.two.example.com", "B.two.example.com", "localhost"]:
        with Client(balancer.port, tls=context, name=name) as client:
            assert client.get().status == 200, name
    for name in ["two.example.com", "x.a.two.example.com", "three.example.com"]:
        try:
            Client(balancer.port, tls=context, name=name).close()
            raise AssertionError(f"{name} got a certificate that names it")
        except (ssl.SSLError, ConnectionError):
            pass


def test_alpn(env):
    balancer = secure(env)
    with Client(balancer.port, tls=client_context(env.authority.ca, alpn=["http/1.1"])) as client:
        assert client.socket.selected_alpn_protocol() == "http/1.1"
        assert client.get().status == 200
    try:
        Client(balancer.port, tls=client_context(env.authority.ca, alpn=["spdy/1"])).close()
        raise AssertionError("no protocol in common, yet accepted")
    except (ssl.SSLError, ConnectionError):
        pass


def test_mutual_tls(env):
    balancer = secure(env, client_ca=env.authority.ca)
    good = client_context(env.authority.ca, certificate=env.authority.client("alice"))
    assert get(balancer.port, tls=good).status == 200
    for context in (client_context(env.authority.ca), stranger(env)):
        try:
            with Client(balancer.port, tls=context) as client:
                client.get()
            raise AssertionError("served without the certificate")
        except (ssl.SSLError, OSError, EOFError) as _:
            pass
        except Exception as problem:  # the end of the stream, in TLS 1.3 after the handshake
            assert type(problem).__name__ == "Ended", problem


def served(port, context):
    try:
        return get(port, tls=context).status == 200
    except (OSError, Ended):  # in TLS 1.3 the refusal comes after the handshake
        return False


def test_l28_chains_of_clients_are_bounded(env):
    """Four authorities between a client and the one that is known, and 16 KiB; not one more."""
    balancer = secure(env, client_ca=env.authority.ca)
    for through, fine in ((3, True), (4, True), (5, False)):
        context = client_context(env.authority.ca, certificate=env.authority.client("deep", through=through))
        assert served(balancer.port, context) == fine, f"through {through}"
    for padding, fine in ((14 << 10, True), (17 << 10, False)):
        context = client_context(env.authority.ca, certificate=env.authority.client("wide", padding=padding))
        assert served(balancer.port, context) == fine, f"{padding} bytes more"


def stranger(env):
    from certs import Authority
    other = Authority(env.path("other-authority"))
    return client_context(env.authority.ca, certificate=other.client("mallory"))


def test_l29_sessions_are_resumed_on_every_worker(env):
    balancer = secure(env)
    for version in [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2]:
        context = client_context(env.authority.ca, minimum=version, maximum=version)
        with Client(balancer.port, tls=context) as client:
            client.get()
            session = client.socket.session
        for _ in range(8):
            with Client(balancer.port, tls=context, session=session) as client:
                assert client.get().status == 200
                assert client.socket.session_reused


def test_l29_tickets_survive_reload(env):
    balancer = secure(env)
    context = client_context(env.authority.ca)
    with Client(balancer.port, tls=context) as client:
        client.get()
        session = client.socket.session
    balancer.reload(balancer.config)
    with Client(balancer.port, tls=context, session=session) as client:
        assert client.get().status == 200
        assert client.socket.session_reused


def status_of_host(version, port, context, name, host):
    """What a request for this host gets on a connection to that name; None: no answer."""
    try:
        if version == "h2":
            with H2Client(port, tls=context, name=name) as client:
                client.name = host
                stream = client.request()
                client.wait(lambda: stream.over or client.ended_at, what="an end")
                return stream.status if stream.ended else None
        with Client(port, tls=context, name=name) as client:
            client.host = host
            return client.get().status
    except (OSError, Ended):  # in TLS 1.3 the refusal comes after the handshake
        return None


def test_h8_what_is_asked_of_clients_holds_for_every_host(env):
    """No host of a listener asks for another certificate than its others, so that the name in the handshake opens none that
    is closed, and no request needs 421. A host that no route is for gets 404."""
    origin, port = env.origin(), env.port()
    pairs = [env.authority.server(name) for name in ("a.example", "b.example")]
    env.meridian({"listeners": {"public": {"bind": f"127.0.0.1:{port}", "tls": {
                      "certificates": [pair.config() for pair in pairs], "client_ca": env.authority.ca}}},
                  "pools": {"api": {"backends": {"a": {"address": origin.address}}}},
                  "routes": [{"match": {"host": name}, "pool": "api"} for name in ("a.example", "b.example")]})
    alice = env.authority.client("alice")
    for version in ("http/1.1", "h2"):
        for name in ("a.example", "b.example"):
            nobody = client_context(env.authority.ca, alpn=[version])
            assert status_of_host(version, port, nobody, name, name) is None, (version, name)
            for host, status in (("a.example", 200), ("b.example", 200), ("c.example", 404)):
                known = client_context(env.authority.ca, certificate=alice, alpn=[version])
                assert status_of_host(version, port, known, name, host) == status, (version, name, host)
    assert len(origin.requests) == 8


def test_h8_sessions_stay_where_their_certificates_are_asked_for(env):
    """No session of one listener opens another that asks for a client's certificate; nor does a reload to other
    authorities let those in that the old ones had signed."""
    from certs import Authority
    certificates, other = [env.authority.server("localhost").config()], Authority(env.path("other-authority"))
    ports = {name: env.port() for name in ("free", "closed", "others")}
    origin = env.origin()

    def config(**asked):
        return {"listeners": {name: {"bind": f"127.0.0.1:{port}", "tls": {
                    "certificates": certificates, **({"client_ca": asked[name]} if name in asked else {})}}
                    for name, port in ports.items()},
                "pools": {"api": {"backends": {"a": {"address": origin.address}}}}, "routes": [{"pool": "api"}]}
    balancer = env.meridian(config(closed=env.authority.ca, others=other.ca))

    def session_of(name, context):
        with Client(ports[name], tls=context) as client:
            assert client.get().status == 200
            return client.socket.session

    def served(name, context, session):
        try:
            with Client(ports[name], tls=context, session=session) as client:
                return client.get().status == 200
        except (OSError, Ended):
            return False
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        nobody = client_context(env.authority.ca, minimum=version, maximum=version)
        alice = client_context(env.authority.ca, certificate=env.authority.client("alice"), minimum=version,
                               maximum=version)
        free, closed = session_of("free", nobody), session_of("closed", alice)
        assert not served("closed", nobody, free) and not served("others", nobody, free), version
        assert served("closed", alice, closed) and not served("others", alice, closed), version
        balancer.reload(config(closed=other.ca, others=other.ca))
        assert not served("closed", alice, closed), version
        balancer.reload(config(closed=env.authority.ca, others=other.ca))


def to_backend(env, pair, client_ca=None, **tls):
    origin = env.origin(tls=server_context(pair, client_ca))
    return origin, env.simple(origin, pool={"tls": tls, "retries": {"extra": 0},
                                           "health": {"tcp": {}, "interval": "60s"}})


def test_backend_certificate_is_verified(env):
    _, good = to_backend(env, env.authority.server("inner.example.com"), ca=env.authority.ca,
                         server_name="inner.example.com", verify=True)
    assert get(good.port).status == 200
    _, wrong = to_backend(env, env.authority.server("other.example.com"), ca=env.authority.ca,
                          server_name="inner.example.com")
    assert get(wrong.port).status == 502
    from certs import Authority
    stranger = Authority(env.path("strangers"))
    _, unknown = to_backend(env, stranger.server("inner.example.com"), ca=env.authority.ca,
                            server_name="inner.example.com")
    assert get(unknown.port).status == 502
    _, unchecked = to_backend(env, stranger.server("inner.example.com"), verify=False)
    assert get(unchecked.port).status == 200


def test_backend_certificate_is_for_the_host_that_is_sent(env):
    """Without its port, which no certificate has; and a connection under one name is no good under the next."""
    origin = env.origin(tls=server_context(env.authority.server("inner.example.com")))
    balancer = env.simple(origin, pool={"tls": {"ca": env.authority.ca}, "host": "inner.example.com:8443",
                                        "health": {"off": True}, "retries": {"extra": 0}})
    assert get(balancer.port).status == 200
    assert origin.last().fields.get("host") == "inner.example.com:8443"
    pool = {**balancer.config["pools"]["api"], "host": "other.example.com"}
    balancer.reload({**balancer.config, "pools": {"api": pool}})
    assert get(balancer.port).status == 502


@native
def test_checks_ask_for_each_backend_by_its_own_name(env):
    """Where no name is given a certificate is for the backend's own; so it is for who checks it."""
    origins = {name: env.origin(tls=server_context(env.authority.server(f"{name}.test"))) for name in "abc"}
    names = NameServer(env.port(), {f"{name}.test": ["127.0.0.1"] for name in origins})
    env.at_end(names.close)
    balancer = env.simple(pool={
        "backends": {name: {"address": f"{name}.test:{origin.port}"} for name, origin in origins.items()},
        "tls": {"ca": env.authority.ca}, "health": {"http": {"path": "/healthz"}, "interval": "1s", "fall": 1}},
        resolve={"servers": [names.address]})
    until(lambda: all(origin.probes > 1 for origin in origins.values()), 20, "two checks of each")
    assert "event=backend-health" not in balancer.errors(), balancer.errors()
    until(lambda: get(balancer.port).status == 200 and all(origin.requests for origin in origins.values()), 20, "a request to each")


def test_backend_sessions_are_resumed(env):
    origin, balancer = to_backend(env, env.authority.server("inner.example.com"), ca=env.authority.ca,
                                  server_name="inner.example.com")
    origin.script = [text(close=True)]
    reused = []
    for _ in range(6):
        assert get(balancer.port).status == 200
    for one in origin.connections:
        reused.append(one.tls_resumed)
    assert any(reused[2:]), reused


def test_large_bodies_over_tls(env):
    content = bytes(range(256)) * 8192
    origin = env.origin(reply=lambda request: text(request.body))
    balancer = secure(env, origin)
    answer = get(balancer.port, method="PUT", body=content, tls=client_context(env.authority.ca), timeout=40)
    assert answer.body == content


def test_plain_http_on_a_tls_port(env):
    """It is told so, in clear; what is neither gets nothing."""
    balancer = secure(env)
    for request in ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE /x HTTP/1.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + "a" * 100000):
        with Client(balancer.port) as client:
            client.send(request)
            answer = client.response()
            assert answer.status == 400 and b"https" in answer.body and not answer.keep_alive, answer
            assert client.ended()
    for nonsense in (b"\x80\x2e\x01", b"\x17\x03\x03\x00\x02ab", b"\0" * 100):
        with Client(balancer.port) as client:
            client.send(nonsense).half_close()
            assert not client.everything().startswith(b"HTTP"), nonsense
    assert balancer.alive()


class Halves:
    """A client of TLS whose close_notify and whose FIN are two things."""

    def __init__(self, port, context):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=15)
        self.arrived, self.leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.arrived, self.leaving, server_hostname="localhost")
        self.do(self.tls.do_handshake)

    def flush(self):
        self.socket.sendall(self.leaving.read())

    def do(self, deed):
        while True:
            try:
                return deed()
            except ssl.SSLWantReadError:
                self.flush()
                data = self.socket.recv(65536)
                if not data:
                    return b""
                self.arrived.write(data)
            finally:
                self.flush()

    def end_half(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()

    def everything(self):
        data = b""
        try:
            while more := self.do(lambda: self.tls.read(65536)):
                data += more
        except (ssl.SSLError, ConnectionError):
            pass
        return data


def test_f9_close_notify_after_the_request(env):
    """It ends the client's half: the request is answered. Where the connection ends too, nobody reads any more (F8)."""
    gate = threading.Event()

    def slow(connection, request):
        if request.target == "/gone":
            return connection.wait_end(10)
        gate.wait(10)
        return text(b"answered")(connection, request)
    origin = env.origin(reply=lambda request: slow)
    balancer = secure(env, origin)
    halves = Halves(balancer.port, client_context(env.authority.ca))
    halves.tls.write(b"POST /stays HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nall")
    halves.end_half()
    until(lambda: origin.requests, what="the request")
    gate.set()
    answer = halves.everything()
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"answered"), answer
    gone = Halves(balancer.port, client_context(env.authority.ca))
    gone.tls.write(b"GET /gone HTTP/1.1\r\nHost: localhost\r\n\r\n")
    gone.end_half()
    until(lambda: len(origin.requests) == 2, what="the request")
    gone.socket.shutdown(socket.SHUT_WR)
    until(lambda: [line["end"] for line in balancer.access_log()] == ["ok", "client-abort"], 5, "the abort")


def test_close_notify_before_the_end(env):
    """A clean end of an answer without length must be seen as one: with close_notify."""
    from origin import raw
    origin = env.origin(script=[raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", close=True)])
    balancer = secure(env, origin)
    context = client_context(env.authority.ca)
    with Client(balancer.port, tls=context) as client:
        client.socket.suppress_ragged_eofs = False
        client.request(headers={"Connection": "close"})
        assert client.response().body == b"until the end"
        assert until(client.ended)


def test_the_last_answer_is_whole_and_ends_clean(env):
    """Whether its end goes along with it and nobody is waited for, or it is too large for that; also for one who ends its
    half behind the request, which may then arrive at a connection that is closed already."""
    balancer = secure(env, env.origin(reply=lambda request: text(b"x" * int(request.target[1:]))))
    context = client_context(env.authority.ca)
    for size in (0, 35, 5000, 13000, 15000, 200_000, 3_000_000):
        with Client(balancer.port, tls=context) as client:
            client.socket.suppress_ragged_eofs = False
            client.request("GET", f"/{size}", {"Connection": "close"})
            assert client.response().body == b"x" * size, size
            assert until(client.ended)
        for _ in range(10):
            halves = Halves(balancer.port, context)
            halves.tls.write(f"GET /{size} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            halves.flush()
            halves.end_half()
            assert halves.everything().endswith(b"\r\n\r\n" + b"x" * size), size


def test_l3_silent_handshakes_keep_nobody_out(env):
    balancer = env.simple(env.origin(), limits={"handshakes": 16}, listener={
        "tls": {"certificates": [env.authority.server("localhost").config()]}})
    silent = [socket.create_connection(("127.0.0.1", balancer.port)) for _ in range(200)]
    for _ in range(5):
        assert get(balancer.port, tls=client_context(env.authority.ca), timeout=8).status == 200
    assert balancer.metric("meridian_tls_handshakes_failed_total") >= 200 - 2 * 16
    for one in silent:
        one.close()


def test_a_stop_does_not_wait_for_silent_handshakes(env):
    """Who has asked for nothing yet holds nobody up, however long requests may take."""
    balancer = env.simple(env.origin(), drain={"requests": "5m"}, timeouts={"handshake": "60s"}, listener={
        "tls": {"certificates": [env.authority.server("localhost").config()]}})
    silent = [env.client(balancer.port) for _ in range(3)] + [env.client(balancer.port).send(b"\x16\x03\x01")]
    assert get(balancer.port, tls=client_context(env.authority.ca)).status == 200
    balancer.stop()  # which does not wait for minutes
    assert all(client.ended() for client in silent)


def test_acme_challenges_come_before_the_redirect(env):
    """As certbot --webroot writes them (RFC 8555 section 8.3): files of the folder and nothing else, also after a reload."""
    root = env.path("acme")
    folder = os.path.join(root, ".well-known", "acme-challenge")
    os.makedirs(folder)
    balancer = env.simple(env.origin(), listener={"redirect_to_https": True, "acme_challenges": root})
    path, token = "/.well-known/acme-challenge/", "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"

    def put(name, text):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(text)
    assert get(balancer.port, path + token).status == 404
    put(token, token + ".digest\n")
    env.write("acme/secret", "secret")
    for _ in range(2):
        answer = get(balancer.port, path + token)
        assert (answer.status, answer.body) == (200, f"{token}.digest".encode()), answer
        balancer.reload()
    assert get(balancer.port, path + token, method="HEAD").status == 200
    put("large", "x" * 2000)
    os.mkfifo(os.path.join(folder, "pipe"))
    os.mkdir(os.path.join(folder, "folder"))
    for name in ("large", "pipe", "folder"):
        assert get(balancer.port, path + name).status == 500, name
    for other in ("/", path, path + "..%2f..%2fsecret", path + "../../secret", "/secret"):
        assert get(balancer.port, other).status in (308, 400, 404), other
    with Client(balancer.port) as client:
        client.request("GET", path + token)
        client.reset()
    many = [env.client(balancer.port).request("GET", path + token) for _ in range(40)]
    assert {one.response().status for one in many} <= {200, 503}
    assert get(balancer.port, path + token).status == 200


class RawTls:
    """TLS over a socket of its own, whose records the test sends as it likes."""

    def __init__(self, port, context):
        self.came, self.goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.came, self.goes, server_hostname="localhost")
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.until(self.tls.do_handshake)

    def until(self, step):
        """Feeds it until the step is done; its result."""
        while True:
            try:
                result = step()
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                self.came.write(self.socket.recv(65536))

    def flush(self, more=b""):
        data = self.goes.read() + more
        if data:
            self.socket.sendall(data)


def test_what_follows_close_notify_is_ignored(env):
    """RFC 8446 section 6.1: whatever comes after it, the connection has ended there."""
    balancer = secure(env)
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        client = RawTls(balancer.port, client_context(env.authority.ca, maximum=version))
        client.tls.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.flush()
        assert client.until(lambda: client.tls.read(65536)).startswith(b"HTTP/1.1 200 ")
        try:
            client.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        client.flush(b"\x17\x03\x03\x00\x20" + b"x" * 20)
        while client.socket.recv(65536):
            pass
        client.socket.close()
    until(lambda: balancer.ctl_json("status")["connections"] == 0, what="the end of the connections")
