"""What can be seen from outside: access log, metrics, health of the balancer itself (SURFACE 4, 5)."""
import fcntl
import http.client
import json
import os
import re
import signal
import time

from client import Client, client_context, exchange, get
from env import lengthy, until
from h2 import H2Client
from origin import raw, reset, text
from pace import patience
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


def test_users_of_urls_are_hidden(env):
    """H23: nobody's name and password, in a target that is refused for them or in what a client came from."""
    for form in ("json", "combined", "{time} {path} {uri} {referer}"):
        path = env.path(f"{len(form)}.log")
        balancer = env.simple(env.origin(), listener={"protocols": ["h2", "http/1.1"]}, log={"access": {"path": path, "format": form}})
        for ask in (b"GET http://joe:hunter2@a/ HTTP/1.1\r\nHost: a\r\n\r\n", b"CONNECT joe:hunter2@a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
                    b"GET / HTTP/1.1\r\nHost: joe:hunter2@a\r\n\r\n"):
            responses, _ = exchange(balancer.port, ask)
            assert responses[0].status in (400, 405), ask
        get(balancer.port, "/next", {"Referer": "https://joe:hunter2@a/reset?token=hunter2&page=7"})
        with H2Client(balancer.port) as client:
            assert client.get("http://joe:hunter2@a/").status == 400

        def lines():
            with open(path) as file:
                return file.read()
        until(lambda: lines().count("\n") == 5, what=f"five lines of {form}")
        assert "hunter2" not in lines(), lines()
        assert form == "json" or "https://***@a/reset?token=***&page=7" in lines(), lines()


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


def test_l38_nobody_is_too_long_for_the_log(env):
    """Bytes that are written as several, in every field that a client chooses: each request has its line."""
    for form in ("combined", "json"):
        balancer = env.simple(env.origin(), log={"access": {"path": env.path("access-" + form), "format": form}})
        odd = "\xff" * 6000
        with Client(balancer.port) as client:
            client.send(f"GET /{chr(34) * 3000}?{chr(34) * 3000} HTTP/1.1\r\nHost: a\r\nUser-Agent: {odd}\r\nReferer: {odd}\r\n\r\n"
                        .encode("latin-1"))
            assert client.response().status == 200

        def lines(form=form):
            with open(env.path("access-" + form), encoding="utf-8") as file:
                return file.read().splitlines()
        until(lambda lines=lines: lines(), what="the line")
        assert len(lines()) == 1 and 2000 < len(lines()[0]) < 8192, len(lines()[0])
        assert balancer.metric("meridian_access_log_lines_dropped_total") == 0


def test_template_format(env):
    """A line of one's own; the template follows a reload, and a wrong name is told with what is allowed."""
    path = env.path("own.log")

    def log(form):
        return {"access": {"path": path, "format": form}}
    balancer = env.simple(env.origin(), log=log("{client.address} {method} {uri} {status} {end} {total} {{x}"))
    get(balancer.port, "/a?token=b")

    def lines():
        try:
            with open(path, encoding="ascii") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []
    assert re.fullmatch(r"127\.0\.0\.1 GET /a\?token=\*\*\* 200 ok \d+\.\d{6} \{x}", until(lines)[0]), lines()
    balancer.reload({**balancer.config, "log": log("{route} {backend}")})
    get(balancer.port, "/b")
    until(lambda: len(lines()) == 2)
    assert lines()[1].endswith(" a"), lines()
    refused = balancer.reload({**balancer.config, "log": log("{statu}")}, check=False)
    assert refused.returncode == 1 and "did you mean '{status}'?" in refused.stdout + refused.stderr, refused


def event_lines(balancer):
    return balancer.errors().splitlines()


def test_events_as_json(env):
    """One object a line with the same keys, from the first one on; the form follows a reload."""
    log = {"access": {"path": env.path("access.log")}}
    balancer = env.simple(env.origin(), log={**log, "events": {"format": "json"}})
    good = balancer.config
    balancer.ctl("drain", "api/a")
    assert balancer.reload({**good, "routes": [{"pool": 'a "quoted" one'}]}, check=False).returncode == 1
    until(lambda: any('"config"' in line for line in event_lines(balancer)), what="the messages of the reload")
    events = [json.loads(line) for line in event_lines(balancer) if line.startswith("{")]
    assert [event for event in event_lines(balancer) if "level=" in event] == []
    by_name = {event["event"]: event for event in events}
    assert by_name["ready"]["workers"] >= 1 and by_name["ready"]["level"] == "info", by_name
    assert by_name["ready"]["time"].endswith("Z") and by_name["ready"]["pid"] == balancer.process.pid
    assert (by_name["operator"]["command"], by_name["operator"]["backend"]) == ("drain", "api/a"), by_name["operator"]
    assert by_name["reload-refused"]["effect"] == "the running configuration stays"
    assert all(event["message"].startswith(balancer.file) for event in events if event["event"] == "config"), events
    assert any("routes[0].pool is 'a \"quoted\" one'" in event["message"] for event in events if event["event"] == "config"), events
    balancer.reload({**good, "log": log})
    until(lambda: "event=reloaded" in balancer.errors(), what="a line of text")


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
    health = {"tcp": {}, "interval": f"{300 * patience():.0f}ms", "timeout": f"{200 * patience():.0f}ms", "fall": 2}
    balancer = env.simple(origin, pool={"health": health})
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


def post(balancer, path, body=b"", token=None, host=None):
    connection = http.client.HTTPConnection("127.0.0.1", balancer.admin_port, timeout=20)
    try:
        connection.request("POST", path, body, {**({"Authorization": f"Bearer {token}"} if token else {}),
                                                **({"Host": host} if host else {})})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def guarded(env, token, **admin):
    """A balancer whose admin listener takes commands from whoever knows the token."""
    file = env.write("admin.token", token + "\n")
    port = env.port()
    balancer = env.simple(env.origin(), env.origin(), admin={
        "socket": env.path("control.sock"), "http": f"127.0.0.1:{port}", "token": f"file:{file}", **admin})
    balancer.admin_port, balancer.control = port, env.path("control.sock")
    return balancer, file


def test_l40_commands_over_http_need_the_token(env):
    """Without a token there are none; with it they are the control socket's, jobs among them."""
    token = "a-long-and-secret-word"
    balancer, file = guarded(env, token)
    assert post(balancer, "/v1/drain", b'{"backend": "api/a"}')[0] == 401
    assert post(balancer, "/v1/drain", b'{"backend": "api/a"}', token + "x")[0] == 401
    assert post(balancer, "/v1/drain", b'{"backend": "api/a"}', token[:-1])[0] == 401
    assert post(balancer, "/v1/drain", b'{"backend": "api/a"}', token, host="evil.example.com")[0] == 421
    assert [row["admin"] for row in balancer.ctl_json("backends")["backends"]] == ["active", "active"]
    status, body = post(balancer, "/v1/drain", b'{"backend": "api/a"}', token)
    assert status == 200 and json.loads(body) == {"ok": True, "command": "drain", "endpoints": 1}, body
    assert [row["admin"] for row in balancer.ctl_json("backends")["backends"]] == ["drain", "active"]
    assert post(balancer, "/v1/drain", b'{"backend": "api/none"}', token)[0] == 404
    assert post(balancer, "/v1/nonsense", b"", token)[0] == 404
    for wrong in (b"[]", b"nonsense", b'{"backend": 1}', b'{"command": "stop"}', b'{"backend": "a"'):
        assert post(balancer, "/v1/drain", wrong, token)[0] == 400, wrong
    assert post(balancer, "/v1/weight", b'{"backend": "api/b", "weight": 7}', token)[0] == 200
    assert json.loads(post(balancer, "/v1/connections", b"", token)[1])["ok"] is True
    assert json.loads(post(balancer, "/v1/reload", b" {} ", token)[1])["ok"] is True
    good = balancer.config
    balancer.write("listeners: [")
    status, body = post(balancer, "/v1/reload", b"", token)
    assert status == 409 and "meridian.yaml:" in json.loads(body)["message"], body
    with open(file, "w", encoding="ascii") as new:
        new.write("another-secret-word-of-ours")
    balancer.reload(good)
    assert post(balancer, "/v1/status", b"", token)[0] == 401
    assert post(balancer, "/v1/status", b"", "another-secret-word-of-ours")[0] == 200


def test_l40_allow_remote(env):
    """Another address only when it is said; then Host may be any address, or a name that is listed."""
    balancer = env.simple(env.origin())
    refused = balancer.reload({**balancer.config, "admin": {"http": "0.0.0.0:9977"}}, check=False)
    assert refused.returncode == 1 and "admin.allow_remote" in refused.stdout + refused.stderr, refused
    port = env.port()
    remote = env.simple(env.origin(), admin={"socket": env.path("other.sock"), "http": f"0.0.0.0:{port}",
                                             "allow_remote": True, "hosts": "lb.example.com"})
    remote.admin_port = port
    for host, status in [("192.0.2.7:9977", 200), ("[2001:db8::1]", 200), ("lb.example.com", 200), ("LB.example.com:1", 200),
                         ("localhost", 200), ("evil.example.com", 421)]:
        assert remote.admin("/metrics", host=host)[0] == status, host


@lengthy
def test_f30_admin_http_flooded_slow_and_large(env):
    """L40: 16 connections, 1 MiB of content, 10 s; traffic and the control socket do not notice."""
    token = "a-long-and-secret-word"
    balancer, _ = guarded(env, token)
    head = f"POST /v1/drain HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    with Client(balancer.admin_port) as large:
        large.send(f"{head}Content-Length: {2 << 20}\r\n\r\n")
        try:
            large.send(b"{" + b" " * (2 << 20))
        except OSError:
            pass
        assert large.response().status == 413
    slow = [env.client(balancer.admin_port) for _ in range(16)]
    for one in slow:
        one.send(head + "Content-Length: 100\r\n\r\n{")
    until(lambda: refused(balancer.admin_port), what="the bound on connections")
    assert balancer.ctl_json("status")["ready"] is True and get(balancer.port).status == 200
    until(lambda: slow[0].response().status == 408, 20, "the end of patience")
    until(lambda: balancer.admin("/healthz")[0] == 200, 20, "room again")


def refused(port):
    """Whether a further connection is closed unanswered."""
    try:
        with Client(port) as one:
            one.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return one.everything() == b""
    except OSError:
        return True


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
        end = time.monotonic() + 60
        while _read_some(reader):  # without a pause: 4 MiB come by 4 KiB
            assert time.monotonic() < end, "the pipe is never empty"
        assert client.get("/after").status == 200
        until(lambda: b'"/after"' in _read_some(reader), 20, "a line that comes after the stop")
    os.close(reader)


def test_f29_log_disk_full(env):
    """Every write fails: requests are served, and the lines counted."""
    balancer = env.simple(env.origin(), log={"access": {"path": "/dev/full", "format": "json"}})
    for _ in range(20):
        assert get(balancer.port).status == 200
    until(lambda: balancer.metric("meridian_access_log_lines_dropped_total") == 20, 20, "the count")


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


def spans_of(collector):
    """All spans that it has been sent, each with its attributes as a dict."""
    found = []
    for request in collector.requests:
        for resource in json.loads(request.body)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    values = {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}
                    found.append({**span, "values": values, "resource": resource["resource"]})
    return found


def test_spans_go_to_a_collector(env):
    """OTLP over HTTP: sampled requests only; the server's parent is Meridian's span, whose parent is the client's."""
    origin, collector = env.origin(), env.origin(name="collector")
    balancer = env.simple(origin, tracing={"collector": collector.address, "sample": "0%", "service": "edge"})
    trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    assert get(balancer.port, "/a?token=x", {"traceparent": f"00-{trace}-{caller}-01", "tracestate": "v=1"}).status == 200
    assert get(balancer.port, "/b", {"traceparent": f"00-{trace}-{caller}-00"}).status == 200
    assert get(balancer.port, "/c").status == 200
    sent = [request.fields for request in origin.requests]
    assert sent[0].get("tracestate") == "v=1" and sent[1].get("traceparent") == f"00-{trace}-{caller}-00", sent
    span, = until(lambda: spans_of(collector), 20, "a span")
    assert (span["traceId"], span["parentSpanId"]) == (trace, caller)
    assert sent[0].get("traceparent") == f"00-{trace}-{span['spanId']}-01"
    assert span["values"]["url.path"] == "/a" and span["values"]["http.response.status_code"] == "200", span
    assert "token" not in json.dumps(span) and span["resource"]["attributes"][0]["value"]["stringValue"] == "edge"
    assert int(span["endTimeUnixNano"]) >= int(span["startTimeUnixNano"]) > 1e18
    request = collector.requests[0]
    assert (request.method, request.target) == ("POST", "/v1/traces")
    until(lambda: balancer.metric("meridian_trace_spans_total", result="sent") == 1, what="the count")


def test_collector_that_says_more_than_one_head(env):
    """Interim responses are passed over, be they in one packet with the answer, which ends the connection."""
    hints = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    collector = env.origin(name="collector", script=[raw(hints + answer, close=True), raw(hints + answer, hold=20)])
    balancer = env.simple(env.origin(), tracing={"collector": collector.address, "sample": "100%"})
    for taken in (1, 2):
        assert get(balancer.port).status == 200
        until(lambda: sum(balancer.metric("meridian_trace_spans_total", result=end) for end in ("sent", "dropped")) == taken,
              20, "an end of the span")
        assert balancer.metric("meridian_trace_spans_total", result="sent") == taken, balancer.errors()


def test_collector_that_is_away_costs_spans_only(env):
    """Spans are dropped and counted, requests go on; when it is back the next ones arrive."""
    balancer = env.simple(env.origin(), tracing={"collector": f"127.0.0.1:{env.port()}", "sample": "100%"})
    assert get(balancer.port).status == 200
    until(lambda: balancer.metric("meridian_trace_spans_total", result="dropped") == 1, 20, "a dropped span")
    assert "event=collector-away" in balancer.errors()
    collector = env.origin(name="collector")
    balancer.reload({**balancer.config, "tracing": {"collector": collector.address, "sample": "100%"}})
    assert get(balancer.port, "/again").status == 200
    until(lambda: [span for span in spans_of(collector) if span["values"]["url.path"] == "/again"], 20, "the next span")
