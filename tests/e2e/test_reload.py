"""Reload (rules C1-C4, P6, P7; F23, F24): nothing in flight notices, nothing broken gets in."""
import contextlib
import copy
import json
import os
import re
import signal
import threading
import time

from client import Client, client_context, get
from env import alone, seconds, until
from origin import accept_websocket, dripped, gated, head, reset, text
from test_watch import expired
from test_websocket import open_websocket


def test_new_backend_gets_traffic(env):
    first, second = env.origin(), env.origin()
    balancer = env.simple(first)
    config = copy.deepcopy(balancer.config)
    config["pools"]["api"]["backends"] = {"b": {"address": second.address}}
    balancer.reload(config)
    before = len(first.requests)
    for _ in range(10):
        assert get(balancer.port).status == 200
    assert len(second.requests) == 10 and len(first.requests) == before


def test_hup(env):
    balancer = env.simple(env.origin(name="old"))
    config = copy.deepcopy(balancer.config)
    config["pools"]["api"]["backends"] = {"b": {"address": env.origin(name="new").address}}
    balancer.write(config)
    balancer.signal(signal.SIGHUP)
    until(lambda: get(balancer.port).body == b"new", what="the new backend")


def test_what_only_a_restart_changes_is_compared_with_what_runs(env):
    """At every reload for as long as the file has something else, and no more when it has what runs again."""
    running, other = (f"127.0.0.1:{env.port()}" for _turn in range(2))
    balancer = env.simple(env.origin(), admin={"http": running})
    kept = f"warning: admin.http: '{running}' is kept; a change takes effect at a restart"

    def said_with(http):
        return balancer.reload({**balancer.config, "admin": {**balancer.config["admin"], "http": http}})
    for http, warns in ((other, True), (other, True), (running, False), (other, True)):
        assert (kept in said_with(http)) == warns, http
    events = [line for line in balancer.errors().splitlines() if "event=config" in line and "admin.http" in line]
    assert len(events) == 3 and all("level=warn" in line for line in events), events


def test_f23_broken_file_changes_nothing(env):
    """C1: the old state serves; the command, a metric and the log say so, with file, line and column."""
    balancer = env.simple(env.origin(name="old"))
    for broken in ["listeners: [", json.dumps({**balancer.config, "pols": {}}),
                   json.dumps({**balancer.config, "routes": [{"pool": "absent"}]}),
                   json.dumps({**balancer.config, "geo": {"databases": ["/nonexistent.mmdb"]}}),
                   "a: &x 1\nb: *x\n", ""]:
        balancer.write(broken)
        done = balancer.ctl("reload", check=False)
        assert done.returncode == 1, f"{broken[:40]!r}: {done.returncode}"
        assert "error" in done.stdout + done.stderr
        assert get(balancer.port).body == b"old"
    assert balancer.metric("meridian_reloads_total", result="failed") == 6
    assert balancer.metric("meridian_config_last_reload_failed") == 1
    said = balancer.errors()
    assert said.count("event=reload-refused") == 6 and re.search(r"meridian\.yaml:\d+:\d+: error: ", said), said
    balancer.write(balancer.config if isinstance(balancer.config, dict) else {})


def test_f23_message_names_the_line(env):
    origin = env.origin()
    balancer = env.simple(origin)
    text_of = json.dumps({**balancer.defaults(), **balancer.config}, indent=1)
    broken = text_of.replace('"routes"', '"rotues"')
    line = next(i for i, row in enumerate(broken.splitlines(), 1) if "rotues" in row)
    balancer.write(broken)
    done = balancer.ctl("reload", check=False)
    output = done.stdout + done.stderr
    assert f"meridian.yaml:{line}:" in output, output
    assert "did you mean" in output and "routes" in output, output


def test_f23_every_kind_of_broken(env):
    """A port in use, a file that is not there, another's key, deep nesting, aliases: refused with file, line and column."""
    pair, other = env.authority.server("localhost"), env.authority.server("localhost")
    balancer = env.simple(env.origin(name="old"))
    taken = env.origin()
    good = copy.deepcopy(balancer.config)

    def secure(chain, key):
        return {"bind": f"127.0.0.1:{env.port()}", "tls": {"certificates": [{"chain": chain, "key": key}]}}
    kinds = {
        "in use": {"listeners": {**good["listeners"], "more": {"bind": taken.address}}},
        "no such file": {"listeners": {**good["listeners"], "tls": secure("/nonexistent.pem", pair.key)}},
        "key": {"listeners": {**good["listeners"], "tls": secure(pair.chain, other.key)}},
        "deep": {"sites": json.loads("[" * 60 + "]" * 60)},
    }
    broken = {why: {**good, **part} for why, part in kinds.items()}
    broken["an alias (*name) is not allowed"] = '{"timeouts": &some {}, "limits": *some, ' + json.dumps(good)[1:]
    for why, text in broken.items():
        refused = balancer.reload(text, check=False)
        said = refused.stdout + refused.stderr
        assert refused.returncode == 1 and why in said and re.search(r"meridian\.yaml:\d+:\d+: error: ", said), (why, said)
        assert get(balancer.port).body == b"old", why
    assert "reloaded" in balancer.reload(good)


def test_f23_expired_certificate(env):
    """In the place of a good one, by a reload: the good one stays in force, and the message names the line."""
    pair, late = env.authority.server("localhost"), expired(env)
    balancer = env.simple(env.origin(), listener={"tls": {"certificates": [pair.config()]}})
    config = copy.deepcopy(balancer.config)
    config["listeners"]["public"]["tls"]["certificates"] = [late.config()]
    said = balancer.reload(config, check=False)
    assert "meridian.yaml:" in said.stdout + said.stderr and "expired" in said.stdout + said.stderr, said
    assert get(balancer.port, tls=client_context(env.authority.ca)).status == 200


@seconds(120)
def test_f23_ten_thousand_hosts(env):
    balancer = env.simple(env.origin())
    config = copy.deepcopy(balancer.config)
    many = 1000 if env.tsan else 10000  # a sanitizer that watches each access is too slow for all
    config["routes"] = [{"match": {"host": f"h{i}.example.com"}, "pool": "api"} for i in range(many)]
    balancer.write(config)
    assert "reloaded" in balancer.ctl("reload", timeout=100)
    for i in (0, many // 2, many - 1):
        assert get(balancer.port, headers={"Host": f"h{i}.example.com"}).status == 200
    assert get(balancer.port, headers={"Host": f"h{many}.example.com"}).status == 404


def test_f24_reload_while_reloading(env):
    """Those that come meanwhile are answered by the one that follows; the last configuration wins."""
    balancer = env.simple(env.origin())
    results = []
    threads = [threading.Thread(target=lambda: results.append(balancer.ctl("reload"))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 12 and all("reloaded: generation" in said for said in results), results
    until(lambda: balancer.metric("meridian_config_generation") >= 2)
    assert get(balancer.port).status == 200


def test_listener_comes_and_goes(env):
    balancer = env.simple(env.origin())
    extra = env.port()
    config = copy.deepcopy(balancer.config)
    config["listeners"]["more"] = {"bind": f"127.0.0.1:{extra}"}
    balancer.reload(config)
    with Client(extra) as client:
        assert client.get().status == 200
        del config["listeners"]["more"]
        balancer.reload(config)
        assert client.get().status == 200
    try:
        Client(extra).close()
        raise AssertionError("the removed listener still accepts")
    except ConnectionRefusedError:
        pass
    assert get(balancer.port).status == 200


def test_listener_moves_within_its_port(env):
    """From one address to all of them and back: what holds the port until then is the balancer itself."""
    for workers in (1, 2):
        balancer = env.simple(env.origin(), workers=workers)
        port = balancer.port
        for bind in (f"0.0.0.0:{port}", f"127.0.0.1:{port}", [f"127.0.0.1:{port}", f"127.0.0.2:{port}"], f"0.0.0.0:{port}"):
            config = copy.deepcopy(balancer.config)
            config["listeners"] = {name: {**listener, "bind": bind} for name, listener in config["listeners"].items()}
            balancer.reload(config)
            for _ in range(4):
                assert get(port).status == 200, (workers, bind)


def changed_listener(env, change):
    """Connections of every kind through a listener, which a reload then changes; what becomes of them."""
    gate = threading.Event()

    def in_two(connection, request):
        if request.target == "/ws":
            return accept_websocket(connection, request)
        if request.target != "/slow":
            return text(b"ok")(connection, request)
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        gate.wait(30)
        connection.send("def")
        return True
    balancer = env.simple(env.origin(script=[in_two]), route={"websocket": True})
    config, port = copy.deepcopy(balancer.config), env.port()
    config["listeners"]["more"] = {"bind": f"127.0.0.1:{port}", "protocols": ["h2", "http/1.1"]}
    balancer.reload(config)
    websocket = open_websocket(env, port)
    idle, next_one, begun = env.client(port), env.client(port), env.client(port)
    for client in (idle, next_one):
        assert client.get().status == 200
    begun.request("GET", "/slow")
    until(lambda: begun.reader.more() and begun.reader.buffer.endswith(b"abc"), what="half of the answer")
    begun.reader.buffer = b""
    calm, busy = env.h2_client(port).ready(), env.h2_client(port).ready()
    assert calm.get().status == 200
    slow = busy.request("GET", "/slow")
    busy.wait(lambda: len(slow.body) == 3, what="half of the answer")
    change(config, port)
    balancer.reload(config)
    answer = next_one.get()
    assert answer.status == 200 and answer.fields.get("connection") == "close" and next_one.ended(), answer.fields
    assert idle.ended()
    calm.wait(lambda: calm.ended_at, what="the end of an idle connection")
    busy.wait(lambda: len(busy.goaways) == 2, what="GOAWAY in two steps")
    for client, last in ((calm, 1), (busy, 1)):
        assert [goaway[:2] for goaway in client.goaways] == [(0x7fffffff, 0), (last, 0)], client
    assert not busy.ended_at and not slow.over, busy
    gate.set()
    assert busy.answer(slow).body == b"abcdef"
    busy.wait(lambda: busy.ended_at, what="the end after the last stream")
    assert begun.reader.exactly(3) == b"def" and begun.ended()
    websocket.send(b"still there")
    assert websocket.reader.exactly(11) == b"still there"
    return balancer, config, port, websocket


def test_removed_listener_drains(env):
    """Its connections end as those of a stop do; when its name comes back, it is another one."""
    def remove(config, _port):
        del config["listeners"]["more"]
    balancer, config, port, websocket = changed_listener(env, remove)
    config["listeners"]["more"] = {"bind": f"127.0.0.1:{port}"}
    balancer.reload(config)
    with Client(port) as client:
        for _ in range(2):
            answer = client.get()
            assert answer.status == 200 and answer.fields.get("connection") != "close"
    websocket.send(b"still there")
    assert websocket.reader.exactly(11) == b"still there"


def test_listener_that_begins_tls_drains(env):
    pair = env.authority.server("localhost")

    def secure(config, _port):
        config["listeners"]["more"]["tls"] = {"certificates": [{"chain": pair.chain, "key": pair.key}]}
    _, _, port, _ = changed_listener(env, secure)
    assert get(port, tls=client_context(env.authority.ca)).status == 200


def test_two_listeners_of_one_name_are_counted_together(env):
    """A tunnel through one that has gone is counted under its name, whatever came through the next of that name."""
    def either(connection, request):
        return (accept_websocket if request.target == "/ws" else text(b"ok"))(connection, request)
    balancer = env.simple(env.origin(script=[either]), route={"websocket": True}, workers=1)
    pair, port = env.authority.server("localhost"), env.port()
    without = copy.deepcopy(balancer.config)

    def open_now():
        return balancer.metric("meridian_listener_connections", listener="more")
    for tls, between in (({}, [without]), ({"tls": {"certificates": [{"chain": pair.chain, "key": pair.key}]}}, [])):
        plain = {**without, "listeners": {**without["listeners"], "more": {"bind": f"127.0.0.1:{port}"}}}
        after = {**without, "listeners": {**without["listeners"], "more": {"bind": f"127.0.0.1:{port}", **tls}}}
        balancer.reload(plain)
        websocket = open_websocket(env, port)
        for config in (*between, after):
            balancer.reload(config)
        assert get(port, tls=client_context(env.authority.ca) if tls else None).status == 200
        until(lambda: open_now() == 1, what="the tunnel alone")
        balancer.reload(without)
        websocket.send(b"still there")
        assert websocket.reader.exactly(11) == b"still there"
        websocket.close()
        balancer.reload(after)
        until(lambda: open_now() == 0, what="no connection")
        balancer.reload(without)


def test_certificates_are_read_again(env):
    pair = env.authority.server("localhost", label="first")
    balancer = env.simple(env.origin(), listener={"tls": {"certificates": [pair.config()]}})
    context = client_context(env.authority.ca)

    def serial():
        with Client(balancer.port, tls=context) as client:
            return client.socket.getpeercert()["serialNumber"]
    before = serial()
    new = env.authority.server("localhost", label="second")
    for old, fresh in [(pair.chain, new.chain), (pair.key, new.key)]:
        with open(fresh, "rb") as source, open(old, "wb") as target:
            target.write(source.read())
    balancer.reload()
    assert serial() != before


def test_c3_mismatched_key_is_refused(env):
    pair, other = env.authority.server("localhost"), env.authority.server("localhost")
    balancer = env.simple(env.origin(), listener={"tls": {"certificates": [pair.config()]}})
    config = copy.deepcopy(balancer.config)
    config["listeners"]["public"]["tls"]["certificates"] = [{"chain": pair.chain, "key": other.key}]
    assert balancer.reload(config, check=False).returncode == 1
    assert get(balancer.port, tls=client_context(env.authority.ca)).status == 200


def test_p7_connections_survive(env):
    balancer = env.simple(env.origin())
    with Client(balancer.port) as client:
        for _ in range(10):
            assert client.get().status == 200
            balancer.reload(balancer.config)
        assert client.get().status == 200


def test_connections_from_before_have_the_limits_of_heads_in_force(env):
    """What may be held of a head that has not come whole is what the limits say when it comes."""
    balancer = env.simple(env.origin(reply=lambda request: text(b"%d" % len(request.raw_head))), limits={"head": "32KiB"})
    kept, inside = env.client(balancer.port), env.client(balancer.port)
    assert kept.get().status == inside.get().status == 200
    inside.send(b"GET / HTTP/1.1\r\nHo")
    balancer.reload({**balancer.config, "limits": {"head": "1MiB"}})
    large = {f"x-{i}": "a" * 8000 for i in range(40)}
    for client in (env.client(balancer.port), kept):
        answer = client.get("/", headers=large.items())
        assert answer.status == 200 and int(answer.body) > 320_000, answer.status
    inside.send(b"st: a\r\n" + b"".join(b"%s: %s\r\n" % (name.encode(), value.encode()) for name, value in large.items()) + b"\r\n")
    assert inside.response().status == 200, "begun before, ended after it"


def changed(base, turn, addresses):
    """The configuration of the turn-th reload: backends come, go and change their weight."""
    config = copy.deepcopy(base)
    backends = {name: {"address": address, "weight": 50 + turn % 7 * 25}
                for i, (name, address) in enumerate(addresses.items()) if i == 0 or (turn >> (i - 1)) & 1}
    config["pools"]["api"]["backends"] = backends
    return config


@alone
@seconds(180)
def test_g3_f24_100_reloads_under_load(env):
    """100 reloads at 1,000 requests per second: none fails; a download and a WebSocket live on."""
    ports = [env.port() for _ in range(4)]
    arguments = [part for port in ports for part in ("--port", str(port))]
    import subprocess
    server = subprocess.Popen([env.program("bench/origin"), *arguments])
    try:
        reloads_under_load(env, ports)
    finally:
        server.terminate()
        server.wait(10)


def reloads_under_load(env, ports):
    special = env.origin(reply=lambda request: accept_websocket if request.target == "/ws" else dripped(
        head(200, {"Content-Length": "600"}) + b"d" * 600, 0.05, size=4))
    addresses = {f"b{i}": f"127.0.0.1:{port}" for i, port in enumerate(ports)}
    port = env.port()
    base = {"listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
            "pools": {"api": {"backends": {}}, "special": {"backends": {"s": {"address": special.address}}}},
            "routes": [{"match": {"path": "/special"}, "pool": "special"},
                       {"match": {"path": "/ws"}, "pool": "special", "websocket": True}, {"pool": "api"}]}
    balancer = env.meridian(changed(base, 0, addresses))
    socket = open_websocket(env, port, "/ws")
    download = env.client(port, timeout=60).request("GET", "/special")
    rate = 300 if env.tsan else 1000
    load = env.load(f"http://127.0.0.1:{port}/", "--rate", rate, "--seconds", 150, "--connections", 48,
                    "--timeout", 10000, background=True)
    time.sleep(0.5)
    for turn in range(100):
        if turn == 50:
            balancer.write("listeners: {")
            assert balancer.ctl("reload", check=False).returncode == 1
        else:
            balancer.reload(changed(base, turn, addresses))
        socket.send(b"turn %d" % turn)
        assert socket.reader.exactly(len(b"turn %d" % turn)) == b"turn %d" % turn
    answer = download.response()
    assert (answer.status, len(answer.body)) == (200, 600)
    load.send_signal(signal.SIGINT)  # it asked all the while
    report = env.load_report(load)
    assert report["failed"] == 0, report
    assert report["completed"] >= 0.9 * rate * report["seconds"], report
    assert report["connections_opened"] <= 48 * 3, report


def test_memory_is_flat_over_reloads(env):
    balancer = env.simple(env.origin())
    for _ in range(20):
        balancer.reload(balancer.config)
    before, descriptors = balancer.rss_kib(), balancer.descriptors()
    for _ in range(60):
        balancer.reload(balancer.config)
    assert until(lambda: balancer.descriptors() <= descriptors + 4, what="as many descriptors as before")
    limit = 65536  # sanitizers keep freed memory for a while
    assert balancer.rss_kib() - before < limit, f"{balancer.rss_kib() - before} KiB more after 60 reloads"


def test_response_outlives_its_route(env):
    """What a response that is still on its way counts in is there until it has ended."""
    gate = threading.Event()

    def in_two(connection, _request):
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        gate.wait(30)
        connection.send("def")
        return True
    origin = env.origin(script=[in_two])
    balancer = env.simple(origin, route={"name": "old"})
    with Client(balancer.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: origin.requests, what="the request")
        for name in ("new", "newer", "newest"):
            config = copy.deepcopy(balancer.config)
            config["routes"][0]["name"] = name
            balancer.reload(config)
            time.sleep(0.3)  # the old snapshot goes when all workers have let go of it
        gate.set()
        assert client.response().body == b"abcdef"
    assert balancer.access_log(1)[0]["route"] == "old"


def replaced(env, *before, **backend):
    """A balancer over these origins, and a function that puts another one in their place."""
    port = env.port()

    def config(*origins):
        return {"workers": 1, "listeners": {"public": {"bind": f"127.0.0.1:{port}"}}, "routes": [{"pool": "api"}],
                "pools": {"api": {"backends": {f"b{i}": {"address": origin.address, "backup": i > 0, **backend}
                                               for i, origin in enumerate(origins)}}}}
    balancer = env.meridian(config(*before))
    balancer.port = port
    return balancer, lambda origin: balancer.reload(config(origin))


def test_p7_a_waiting_request_outlives_its_server_s_removal(env):
    gate = threading.Event()
    old = env.origin(name="old", reply=lambda request: gated(gate, text(close=request.target == "/slow")))
    balancer, replace = replaced(env, old, max_inflight=1)
    with Client(balancer.port) as first, Client(balancer.port) as second:
        first.request("GET", "/slow")
        until(lambda: old.requests, what="the first request")
        second.request("GET", "/waits")
        until(lambda: balancer.metric("meridian_requests_waiting") == 1, what="the second request")
        replace(env.origin(name="new"))
        gate.set()
        assert first.response().status == 200
        assert second.response().status == 200
    until(lambda: old.open_count() == 0, what="the end of the old server's connections")


def test_waiting_requests_see_a_reload(env):
    """They are what servers are added for: another one, a higher limit, another one instead."""
    for change, expected in (
            (lambda c, new: c["backends"].update(new={"address": new.address}), b"new"),
            (lambda c, new: c["backends"]["old"].pop("max_inflight"), b"old"),
            (lambda c, new: c.update(backends={"new": {"address": new.address, "max_inflight": 1}}), b"new")):
        gate = threading.Event()
        slow = gated(gate, text(b"old"))
        old = env.origin(name="old", reply=lambda request: slow if request.target == "/slow" else text(b"old"))
        port = env.port()
        balancer = env.meridian({
            "listeners": {"public": {"bind": f"127.0.0.1:{port}"}}, "routes": [{"name": "all", "pool": "api"}],
            "pools": {"api": {"queue": {"timeout": "60s"},
                              "backends": {"old": {"address": old.address, "max_inflight": 1}}}}})
        with contextlib.ExitStack() as clients:
            first, *waiting = (clients.enter_context(Client(port)) for _ in range(4))
            first.request("GET", "/slow")
            until(lambda: old.requests, what="the request that holds the place")
            for client in waiting:
                client.request("GET", "/waits")
            until(lambda: balancer.metric("meridian_requests_waiting") == 3, what="the waiting ones")
            config = copy.deepcopy(balancer.config)
            change(config["pools"]["api"], env.origin(name="new"))
            balancer.reload(config)
            for client in waiting:
                assert client.response().body == expected
            assert balancer.metric("meridian_requests_waiting") == 0
            gate.set()
            assert first.response().body == b"old"


def test_waiting_requests_of_a_route_that_is_gone_end_in_their_edition(env):
    gate = threading.Event()
    slow = gated(gate, text(b"old"))
    old = env.origin(name="old", reply=lambda request: slow if request.target == "/slow" else text(b"old"))
    balancer, _ = replaced(env, old, max_inflight=1)
    with Client(balancer.port) as first, Client(balancer.port) as second:
        first.request("GET", "/slow")
        until(lambda: old.requests, what="the first request")
        second.request("GET", "/waits")
        until(lambda: balancer.metric("meridian_requests_waiting") == 1, what="the second request")
        config = copy.deepcopy(balancer.config)
        config["pools"]["other"] = {"backends": {"b": {"address": env.origin(name="other").address}}}
        config["routes"] = [{"name": "others", "pool": "other"}]
        balancer.reload(config)
        assert get(balancer.port).body == b"other"
        gate.set()
        assert first.response().body == b"old" and second.response().body == b"old"


def test_p7_a_retry_outlives_its_server_s_removal(env):
    gate = threading.Event()
    old, spare = env.origin(script=[gated(gate, reset())]), env.origin(name="spare")
    balancer, replace = replaced(env, old, spare)
    with Client(balancer.port) as client:
        client.request()
        until(lambda: old.requests, what="the request")
        replace(env.origin(name="new"))
        gate.set()
        assert client.response().body == b"spare"


def test_f23_a_refused_reload_leaves_the_token(env):
    """What was read already is let go once: beside a token, a file that is not there, and a token that is not there."""
    token, port = env.write("admin.token", "a-long-and-secret-word\n"), env.port()
    admin = {"socket": env.path("c.sock"), "http": f"127.0.0.1:{port}", "token": f"file:{token}"}
    balancer = env.simple(env.origin(name="old"), admin=admin)
    balancer.control = env.path("c.sock")
    good = copy.deepcopy(balancer.config)
    for broken in ({"geo": {"databases": ["/nonexistent.mmdb"]}}, {"error_pages": {"503": "/nonexistent.html"}},
                   {"admin": {**admin, "token": "file:/nonexistent"}}):
        refused = balancer.reload({**good, **broken}, check=False)
        assert refused.returncode == 1 and "/nonexistent" in refused.stdout + refused.stderr, refused
        assert get(balancer.port).body == b"old", balancer.errors()
    assert "reloaded" in balancer.reload(good)


def test_f23_what_is_no_file_holds_nobody_up(env):
    """A pipe in the place of a file: the reload is refused, the next one works, and TERM ends it."""
    pair = env.authority.server("localhost")
    balancer, pipe = env.simple(env.origin()), env.path("pipe")
    os.mkfifo(pipe)
    good = copy.deepcopy(balancer.config)
    tls = {"bind": f"127.0.0.1:{env.port()}", "tls": {"certificates": [pair.config()]}}
    for part in ({"include": [pipe]}, {"log": {"access": {"path": pipe}}}, *(
            {"listeners": {**good["listeners"], "tls": {**tls, "tls": other}}} for other in (
                {"certificates": [{"chain": pipe, "key": pair.key}]}, {"certificates": [{"chain": pair.chain, "key": pipe}]},
                {**tls["tls"], "client_ca": pipe}))):
        assert balancer.reload({**good, **part}, check=False).returncode != 0, part
    assert "reloaded" in balancer.reload(good)


def drip(path, done):
    """Writes a comment, a byte at a time, for whoever reads the pipe, until the other end is closed."""
    with contextlib.suppress(BrokenPipeError), open(path, "wb", buffering=0) as pipe:
        while not done.wait(0.3):
            pipe.write(b"#")


def test_f23_a_pipe_that_drips_holds_nobody_up(env):
    """Each byte comes in time, the end never: such a reload is refused, and the next one works."""
    balancer, pipe, done = env.simple(env.origin()), env.path("pipe"), threading.Event()
    os.mkfifo(pipe)
    good = copy.deepcopy(balancer.config)
    writer = threading.Thread(target=drip, args=(pipe, done))
    writer.start()
    try:
        began = time.monotonic()
        refused = balancer.reload({**good, "include": [pipe]}, check=False)
        assert refused.returncode != 0 and "it is a pipe or a device" in refused.stdout + refused.stderr, refused
        assert time.monotonic() - began < 12
        assert "reloaded" in balancer.reload(good)
    finally:
        done.set()
        with contextlib.suppress(OSError):  # a writer that waits for a reader
            os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
        writer.join()


def test_reload_while_it_drains(env):
    gate = threading.Event()
    origin = env.origin(reply=lambda request: gated(gate, text()))
    balancer = env.simple(origin, drain={"requests": "20s", "tunnels": "20s"})
    with Client(balancer.port) as client:
        client.request()
        until(lambda: origin.requests, what="the request")
        balancer.signal(signal.SIGTERM)
        until(lambda: "event=stopping" in balancer.errors(), what="the drain")
        answer = balancer.ctl("reload", check=False)
        assert answer.returncode != 0 and "stopping" in answer.stdout + answer.stderr, answer
        gate.set()
        assert client.response().status == 200


def test_c2_old_generations_end(env):
    """Each reload leaves a request behind that nobody answers: at most eight generations stay."""
    gate = threading.Event()
    origin = env.origin(reply=lambda request: gated(gate, text()))
    balancer = env.simple(origin, drain={"requests": "1s", "tunnels": "1s"})
    clients = []
    for turn in range(12):
        clients.append(env.client(balancer.port))
        clients[-1].request("GET", f"/{turn}")
        until(lambda: len(origin.requests) == turn + 1, what="the request")
        balancer.reload()
    until(lambda: balancer.metric("meridian_requests_ended_total", reason="deadline") == 5, 20, "the end of the oldest")
    gate.set()
    assert [client.response().status for client in clients] == [504] * 5 + [200] * 7
