"""Listeners that speak HTTP/2: which version it is, by ALPN or by the first bytes."""
import shutil
import socket
import subprocess
import threading
import time

from browser import Browser
from client import Client
from env import Skip, until
from origin import gated, text
from wire import Ended

BOTH = {"protocols": ["h2", "http/1.1"]}


def curl(*args):
    if not shutil.which("curl"):
        raise Skip("curl is not installed")
    done = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", *args],
                          capture_output=True, text=True, timeout=30)
    return done.stdout


def test_the_first_bytes_tell_the_version(env):
    balancer = env.simple(env.origin(script=[text(b"ok")]), listener=BOTH)
    url = f"http://127.0.0.1:{balancer.port}/"
    assert curl(url) == "1.1 200"
    assert curl("--http2-prior-knowledge", url) == "2 200"
    with Client(balancer.port) as client:
        for piece in (b"P", b"R", b"I * HTTP/1.1\r\nHost: a\r\n\r\n"):  # a method that begins as the preface does
            client.send(piece)
            time.sleep(0.05)
        assert client.response().status == 405
    with Client(balancer.port) as client:
        for piece in (b"G", b"ET / HTTP/1.1\r\nHos", b"t: a\r\n\r\n"):
            client.send(piece)
            time.sleep(0.05)
        assert client.response().status == 200


PAGE = b"""<!doctype html><title>t</title><body>waiting<script>
const parts = Array.from({length: 40}, (_, i) => fetch(`/part/${i}`).then(r => r.text()));
Promise.all(parts).then(texts => {
  const over = performance.getEntries().map(e => e.nextHopProtocol).filter(p => p !== undefined && p !== "");
  document.body.textContent = `${texts.join(" ").length} bytes over ${[...new Set(over)]}, ${over.length} times`;
});
</script>"""


def test_a_browser_loads_a_page(env):
    """A page and forty parts of it, over TLS, from a server that speaks HTTP/1.1."""
    part = b"p" * 20000

    def serve(request):
        if request.target == "/":
            return text(PAGE, fields={"Content-Type": "text/html"})
        return text(part) if request.target.startswith("/part/") else text(b"", status=204)
    certificate = env.authority.server("localhost")
    balancer = env.simple(env.origin(reply=serve), listener={"tls": {"certificates": [certificate.config()]}})
    browser = Browser(env)
    browser.ask("Security.setIgnoreCertificateErrors", ignore=True)
    browser.open(f"https://localhost:{balancer.port}/")
    text_of_page = "document.body?.textContent || ''"
    until(lambda: browser.value(text_of_page)[:1].isdigit(), 30, "the page and its parts")
    said = browser.value(text_of_page)
    assert said.startswith(f"{40 * 20000 + 39} bytes over h2, 4") and browser.said() == [], (said, browser.said())
    lines = [line for line in balancer.access_log() if line["path"].startswith("/part/")]
    assert len(lines) == 40 and {(line["protocol"], line["end"]) for line in lines} == {("HTTP/2", "ok")}, lines


def test_clients_that_say_nothing_leave_nothing(env):
    balancer = env.simple(env.origin(), listener=BOTH, timeouts={"handshake": "1s"})
    for _ in range(20):
        socket.create_connection(("127.0.0.1", balancer.port)).close()
    silent = Client(balancer.port)
    half = Client(balancer.port)
    half.send(b"PRI * HT")
    assert silent.ended(5) and half.ended(5)
    time.sleep(1)
    assert balancer.alive()
    until(lambda: balancer.ctl_json("status")["connections"] == 0, what="no connection is left")


def test_the_handshake_chooses_the_version(env):
    certificate = env.authority.server("localhost")
    balancer = env.simple(env.origin(script=[text(b"ok")]),
                          listener={"tls": {"certificates": [certificate.config()]}})
    url = f"https://localhost:{balancer.port}/"
    assert curl("-k", "--http2", url) == "2 200"
    assert curl("-k", "--http1.1", url) == "1.1 200"
    assert curl("-k", "--no-alpn", url) == "1.1 200"


def test_a_listener_that_speaks_only_one(env):
    certificate = env.authority.server("localhost")
    tls = {"tls": {"certificates": [certificate.config()]}}
    only_h2 = env.simple(env.origin(script=[text(b"ok")]), listener={**tls, "protocols": ["h2"]})
    assert curl("-k", "--http2", f"https://localhost:{only_h2.port}/") == "2 200"
    assert curl("-k", "--http1.1", f"https://localhost:{only_h2.port}/").endswith(" 000")
    only_h1 = env.simple(env.origin(script=[text(b"ok")]), listener={**tls, "protocols": ["http/1.1"]})
    assert curl("-k", "--http2", f"https://localhost:{only_h1.port}/") == "1.1 200"


def test_clients_behind_one_connection_are_told_apart(env):
    """Streams of one trusted connection come from different clients, and none takes another's place."""
    gate = threading.Event()
    origin = env.origin(reply=lambda request: gated(gate, text()) if request.target == "/slow" else text())
    balancer = env.simple(origin, listener={"protocols": ["h2"]}, trusted_proxies={"from": ["127.0.0.0/8"]})
    client = env.h2_client(balancer.port).ready()
    slow = client.request("GET", "/slow", [("x-forwarded-for", "192.0.2.1")])
    until(lambda: origin.requests, what="the slow request")
    for last in (2, 3, 3, 1, 4):
        client.get("/fast", [("x-forwarded-for", f"192.0.2.{last}")])
    gate.set()
    client.answer(slow)
    lines = balancer.access_log(6)
    assert [line["client"][-1] for line in lines] == ["2", "3", "3", "1", "4", "1"], lines


def test_l2_is_not_for_trusted_proxies(env):
    for trusted, want in (({"trusted_proxies": {"from": ["127.0.0.0/8"]}}, 10), ({}, 4)):
        balancer = env.simple(env.origin(), limits={"connections_per_source": 4}, **trusted)
        clients = [env.client(balancer.port) for _ in range(10)]
        served = 0
        for client in clients:
            try:
                served += client.get().status == 200
            except (OSError, Ended):
                pass
        assert served == want, (trusted, served)
