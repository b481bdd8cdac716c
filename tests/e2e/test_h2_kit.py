"""The tests' own HTTP/2 against another implementation: what the other tests of HTTP/2 rely on."""
import os
import shutil
import subprocess

import hpack
from client import client_context
from env import Skip
from h2 import CANCEL, H2Client
from origin import server_context
from test_h2_back import Nghttpd

THREADLESS = True  # the subject is the tests' own tools


def test_header_compression(env):
    hpack.check()


def test_the_client(env):
    pair = env.authority.server("localhost")
    for server, tls in ((Nghttpd(env, "--echo-upload"), None),
                        (Nghttpd(env, "--echo-upload", pair=pair), client_context(env.authority.ca, alpn=["h2"]))):
        with H2Client(server.port, tls=tls) as client:
            first, second = client.request(path="/large"), client.request(path="/small")
            assert client.answer(second).body == server.content("small")
            assert client.answer(first).body == server.content("large")
            body = os.urandom(300_000)
            assert client.get("/echo", method="POST", body=body).body == body
            assert client.get("/missing").status == 404
            assert client.ping()


def test_the_server(env):
    program = shutil.which("nghttp")
    if not program:
        raise Skip("nghttp is not installed")
    origin = env.h2_origin()
    secure = env.h2_origin(tls=server_context(env.authority.server("localhost"), alpn=["h2"]))
    body = env.write("body", os.urandom(200_000).hex())
    for url in (f"http://{origin.address}/", f"https://localhost:{secure.port}/"):
        done = subprocess.run([program, "-d", body, url], capture_output=True, timeout=20)
        with open(body, "rb") as file:
            assert done.stdout == file.read(), done.stderr
    assert [one.method for one in origin.requests + secure.requests] == ["POST"] * 2


def test_a_reset(env):
    origin = env.h2_origin(reply=lambda stream: stream.cancel())
    with H2Client(origin.port) as client:
        stream = client.request()
        client.wait(lambda: stream.over)
        assert stream.reset == CANCEL
