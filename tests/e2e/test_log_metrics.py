"""What can be seen from outside: access log, metrics, health of the balancer itself (SURFACE 4, 5)."""
import fcntl
import json
import os
import re
import signal

from client import Client, client_context, get
from env import until
from origin import reset, text
from test_abort import QUIET

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")


def test_json_line_of_a_request(env):
    balancer = env.simple(env.origin(script=[text(b"12345")]), listener=None)
    get(balancer.port, "/path?q=1", {"Host": "shop.example.com"}, "POST", b"abc")
    line, = balancer.access_log()
    assert STAMP.match(line["time"]), line["time"]
    assert line["client"].startswith("127.0.0.1") and line["peer"].startswith("127.0.0.1")
    assert (line["listener"], line["pool"], line["backend"]) == ("public", "api", "a")
    assert line["protocol"].lower() == "http/1.1"
    assert (line["method"], line["authority"], line["path"]) == ("POST", "shop.example.com", "/path?q=1")
    assert (line["status"], line["attempts"], line["end"]) == (200, 1, "ok")
    assert line["bytes_in"] >= 3 and line["bytes_out"] >= 5
    assert 0 <= line["first_byte"] <= line["total"] < 10
    assert line["request_id"] and line["route"]


def test_end_reasons(env):
    origin = env.origin(script=[reset()])
    balancer = env.simple(origin, workers=1, pool={**QUIET, "retries": {"extra": 0}}, route={"match": {"path": "/known"}})
    get(balancer.port, "/known")
    get(balancer.port, "/unknown")
    with Client(balancer.port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
        client.response()
    ends = [(line["status"], line["end"]) for line in balancer.access_log(3)]
    assert ends == [(502, "backend-reset"), (404, "no-route"), (400, "bad-host")], ends


def test_client_abort_is_logged(env):
    from origin import never
    origin = env.origin(script=[never()])
    balancer = env.simple(origin, pool=QUIET)
    client = env.client(balancer.port).request()
    until(lambda: origin.requests)
    client.reset()
    assert balancer.access_log()[0]["end"] == "client-abort"


def test_tls_fields(env):
    pair = env.authority.server("localhost")
    balancer = env.simple(env.origin(), listener={"tls": {"certificates": [pair.config()]}})
    get(balancer.port, tls=client_context(env.authority.ca))
    line, = balancer.access_log()
    assert line["tls"] == "TLSv1.3" and line["sni"] == "localhost"


def test_secrets_of_the_query_are_hidden(env):
    balancer = env.simple(env.origin())
    get(balancer.port, "/a?access_token=abcdef&page=2")
    line, = balancer.access_log()
    assert "abcdef" not in json.dumps(line) and "page=2" in line["path"]


def test_combined_format(env):
    path = env.path("combined.log")
    balancer = env.simple(env.origin(script=[text(b"12345")]), log={"access": {"path": path, "format": "combined"}})
    get(balancer.port, "/x", {"User-Agent": 'a"b', "Referer": "http://r/"})

    def lines():
        with open(path) as file:
            return file.read().splitlines()
    until(lambda: lines())
    assert re.match(r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /x HTTP/1\.1" 200 \d+ "http://r/" ',
                    lines()[0]), lines()[0]
    assert lines()[0].count('"') == 6


def test_log_file_is_opened_again_on_usr1(env):
    import os
    balancer = env.simple(env.origin())
    get(balancer.port)
    balancer.access_log(1)
    os.rename(balancer.log_file, balancer.log_file + ".1")
    balancer.signal(signal.SIGUSR1)
    until(lambda: os.path.exists(balancer.log_file), what="the new file")
    get(balancer.port)
    assert len(balancer.access_log(1)) == 1


def test_metrics_count_requests(env):
    balancer = env.simple(env.origin())
    for _ in range(7):
        get(balancer.port)
    get(balancer.port, method="DELETE")
    until(lambda: (balancer.metric("meridian_requests_ended_total") or 0) >= 8, what="eight requests in the metrics")
    assert balancer.metric("meridian_requests_ended_total") == 8


def test_metrics_are_well_formed(env):
    balancer = env.simple(env.origin())
    get(balancer.port)
    status, page = balancer.admin("/metrics")
    assert status == 200
    typed, seen = {}, set()
    for line in page.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in typed, f"{name} twice"
            typed[name] = kind
        elif line and not line.startswith("#"):
            assert line not in seen
            seen.add(line)
    for name, labels, value in balancer.metrics():
        family = re.sub(r"_(bucket|sum|count)\Z", "", name)
        kind = typed.get(name) or typed.get(family)
        assert kind, f"{name} has no TYPE"
        assert name.startswith("meridian_")
        assert kind != "counter" or name.endswith("_total"), name
        assert not set(labels) & {"path", "host", "client"}, labels
        assert value == value
    assert "histogram" in typed.values()


def test_histograms_are_cumulative(env):
    balancer = env.simple(env.origin())
    for _ in range(5):
        get(balancer.port)
    until(lambda: (balancer.metric("meridian_requests_ended_total") or 0) >= 5)
    series = {}
    for name, labels, value in balancer.metrics():
        if name.endswith("_bucket"):
            key = (name, *sorted((k, v) for k, v in labels.items() if k != "le"))
            series.setdefault(key, []).append((float(labels["le"].replace("+Inf", "inf")), value))
    assert series
    for key, points in series.items():
        values = [value for _, value in sorted(points)]
        assert values == sorted(values), key
        assert sorted(points)[-1][0] == float("inf"), key


def test_healthz_and_readyz(env):
    origin = env.origin()
    balancer = env.simple(origin, pool={"health": {"tcp": {}, "interval": "300ms", "timeout": "200ms", "fall": 2}})
    assert balancer.admin("/healthz")[0] == 200
    assert balancer.admin("/readyz")[0] == 200
    origin.die()
    until(lambda: balancer.admin("/readyz")[0] == 503, what="not ready")
    assert balancer.admin("/healthz")[0] == 200


def test_f30_admin_checks_host_and_method(env):
    balancer = env.simple(env.origin())
    assert balancer.admin("/metrics", host="evil.example.com")[0] in (400, 403, 421)
    assert balancer.admin("/metrics", method="POST")[0] in (403, 404, 405)
    assert balancer.admin("/nonsense")[0] == 404
    with Client(balancer.admin_port) as client:
        client.send(b"GET / HTTP/1.1\nHost: x\n\n")
        assert b" 200 " not in client.everything()[:20]
    assert get(balancer.port).status == 200


def test_v1_says_the_same_as_the_command(env):
    balancer = env.simple(env.origin(), env.origin())
    status, body = balancer.admin("/v1/backends")
    assert status == 200

    def names(document):
        rows = document if isinstance(document, list) else next(v for v in document.values() if isinstance(v, list))
        return sorted(str(row.get("backend", row.get("name"))) for row in rows)
    assert names(json.loads(body)) == names(balancer.ctl_json("backends"))
    assert len(names(json.loads(body))) == 2


def test_f29_log_reader_stands_still(env):
    """L38: a full pipe holds up no request; lines are dropped and counted; later ones are written again."""
    pipe = env.path("access.pipe")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    balancer = env.simple(env.origin(), log={"access": {"path": pipe, "format": "json"}})
    padding = "x" * 1900

    def dropped():
        return balancer.metric("meridian_access_log_lines_dropped_total")

    with Client(balancer.port) as client:
        for turn in range(8000):
            assert client.get("/" + padding).status == 200
            if turn % 500 == 499 and dropped():
                break
        assert dropped(), "a ring of 4 MiB holds no more than that"
        until(lambda: not _read_some(reader), 20, "the pipe to be read empty")
        assert client.get("/after").status == 200
        until(lambda: b'"/after"' in _read_some(reader), 20, "a line that comes after the stop")
    os.close(reader)


def _read_some(reader):
    said = b""
    try:
        while piece := os.read(reader, 65536):
            said += piece
    except BlockingIOError:
        pass
    return said


def test_trace_is_passed_on_or_begun(env):
    """W3C Trace Context: a client's well-formed traceparent as it is, else one of our own; in the log either way."""
    origin = env.origin()
    balancer = env.simple(origin)
    own, state = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1"

    def sent(**headers):
        assert get(balancer.port, headers=headers).status == 200
        fields = origin.requests[-1].fields
        return fields.get("traceparent"), fields.get("tracestate")
    assert sent(traceparent=own, tracestate=state) == (own, state)
    begun = [sent(), sent(), sent(traceparent=own.upper(), tracestate=state), sent(traceparent="00-1-2-3")]
    for parent, left in begun:
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", parent) and left is None, (parent, left)
    assert len({parent for parent, _ in begun}) == len(begun)
    logged = [line["trace"] for line in balancer.access_log(5)]
    assert sorted(logged) == sorted([own[3:35], *(parent[3:35] for parent, _ in begun)]), logged
