"""Clocks that jump, and a process that stands still for a while (RELIABILITY F27, C5): nobody is thrown out for it, and what
is told to people says the new time."""
import email.utils
import signal
import ssl
import time

from client import Client, client_context
from env import Skip, lengthy, long, native, seconds, until
from inject import Faults
from origin import delayed, text

HOUR, YEARS = 3600, 10 * 365 * 24 * 3600
CHECKED = {"health": {"tcp": {}, "interval": "500ms", "timeout": "300ms", "fall": 1}}
TIMES = {"idle": "30s", "request_head": "20s", "request_body": "20s", "first_byte": "20s", "send": "20s"}


def reply(request):
    return delayed(1, text(b"late")) if request.target.startswith("/late") else text(request.body or b"at once")


def seconds_of(date):
    return email.utils.parsedate_to_datetime(date).timestamp()


def logged(balancer, path):
    """The line of the request with this path."""
    return until(lambda: next((line for line in balancer.access_log(0) if line["path"] == path), None), what=f"{path} in the log")


@native
@lengthy
@seconds(120)
def test_f27_the_wall_clock_is_set(env):
    """F27, C5: by an hour and by ten years, forth and back, with requests on their way: nothing is ejected, no time is up, no
    session is refused; Date, both logs and what is told of certificates say the new time."""
    if env.tsan:
        raise Skip("ThreadSanitizer does not go together with LD_PRELOAD")
    faults, port, safe = Faults(env), env.port(), env.port()
    origins = [env.origin(reply=reply) for _ in range(3)]
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"},
                      "safe": {"bind": f"127.0.0.1:{safe}", "tls": {"certificates": [env.authority.server("localhost").config()]}}},
        "pools": {"api": {"backends": {f"b{n}": {"address": one.address} for n, one in enumerate(origins)},
                          "sticky": {"cookie": "stay", "ttl": "1h"}, **CHECKED}},
        "routes": [{"pool": "api", "rate_limit": {"rate": "1000/s"}}], "timeouts": TIMES}, environ=faults.environ)
    kept = [env.client(port) for _ in range(4)]
    tls = client_context(env.authority.ca, minimum=ssl.TLSVersion.TLSv1_3)
    with Client(safe, tls=tls) as client:
        client.get()
        session = client.socket.session
    for number, ahead in enumerate((HOUR, -HOUR, YEARS, -YEARS, 0)):
        path = f"/late{number}"
        cookie = kept[0].get("/").fields.get("set-cookie") or ""
        late = [env.client(port, timeout=40).request("GET", path) for _ in range(3)]
        half = env.client(port).send(b"POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        begun = env.client(port).send(b"GET /begun HTTP/1.1\r\nHo")
        time.sleep(0.3)
        faults.set(wall_s=ahead)
        answers = [one.response() for one in late]
        assert [answer.status for answer in answers] == [200] * 3, ahead
        assert all(abs(seconds_of(answer.fields.get("date")) - time.time() - ahead) < 30 for answer in answers), ahead
        assert half.send(b"again").response().body == b"helloagain"
        assert begun.send(b"st: a\r\n\r\n").response().status == 200
        assert [one.get("/", {"Cookie": cookie.split(";")[0]} if cookie else {}).status for one in kept] == [200] * 4, ahead
        for reused in (session, None):
            with Client(safe, tls=tls, session=reused) as client:
                assert client.get().status == 200, (ahead, reused)
        line = logged(balancer, path)
        assert abs(seconds_of_line(line) - time.time() - ahead) < 30 and line["total"] < 20, (ahead, line)
        time.sleep(1.2)
        assert {row["health"] for row in balancer.ctl_json("backends")["backends"]} == {"up"}, ahead
        balancer.reload(balancer.config)
        told = [line for line in balancer.errors().splitlines() if "event=reloaded" in line][-1]
        assert abs(seconds_of_text(told.split()[0].partition("=")[2]) - time.time() - ahead) < 30, (ahead, told)
    assert {line["end"] for line in balancer.access_log(1)} == {"ok"}
    expected = ("event=ready", "event=reloaded", "event=certificate-expired")
    assert not [line for line in balancer.errors().splitlines() if line and not any(event in line for event in expected)]
    assert all("time=20%d-" % (time.gmtime(time.time() + YEARS).tm_year - 2000) in line
               for line in balancer.errors().splitlines() if "certificate-expired" in line)


def seconds_of_text(stamp):
    return time.mktime(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone


def seconds_of_line(line):
    return seconds_of_text(line["time"])


def stopped(env, stop_s, times):
    """Requests of every kind are on their way while the process stands still for longer than each of their times."""
    origins = [env.origin(reply=reply) for _ in range(3)]
    balancer = env.simple(*origins, pool=CHECKED, timeouts=times)
    kept = [env.client(balancer.port, timeout=60) for _ in range(20)]
    assert [client.get().status for client in kept] == [200] * 20
    late = [env.client(balancer.port, timeout=60).request("GET", "/late") for _ in range(20)]
    halves = [env.client(balancer.port, timeout=60).send(b"POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
              for _ in range(20)]
    heads = [env.client(balancer.port, timeout=60).send(b"GET /begun HTTP/1.1\r\nHo") for _ in range(20)]
    time.sleep(0.3)
    balancer.signal(signal.SIGSTOP)
    for one in halves:
        one.send(b"again")
    for one in heads:
        one.send(b"st: a\r\n\r\n")
    for one in kept:
        one.request("GET", "/")
    time.sleep(stop_s)
    balancer.signal(signal.SIGCONT)
    for kind in (late, halves, heads, kept):
        assert [one.response().status for one in kind] == [200] * 20
    for _ in range(10):
        assert {row["health"] for row in balancer.ctl_json("backends")["backends"]} == {"up"}
        time.sleep(0.1)
    assert {line["end"] for line in balancer.access_log(1)} == {"ok"}


SHORT = {name: "2s" for name in ("idle", "request_head", "request_body", "first_byte", "send", "response_body")}


@seconds(60)
def test_f27_stopped_while_everything_is_on_its_way(env):
    """F27: what came while the process stood still is looked at before anybody's time is up."""
    stopped(env, 4, SHORT)


@long
@seconds(150)
def test_f27_stopped_for_thirty_seconds_while_everything_is_on_its_way(env):
    stopped(env, 30, {})
