"""The public conformance suite for HTTP/2 servers (h2spec, strict), where it is installed; what it covers
is covered by test_h2_rules.py too."""
import re
import shutil
import subprocess

from env import Skip, seconds
from origin import text


def check(env, *options, **listener):
    program = shutil.which("h2spec")
    if not program:
        raise Skip("h2spec is not installed")
    origin = env.origin(reply=lambda request: text(b"hello"))
    balancer = env.simple(origin, listener=listener)
    done = subprocess.run([program, "--strict", "--timeout", "3", "-h", "localhost", "-p", str(balancer.port),
                           *options], capture_output=True, text=True, timeout=150)
    counts = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
    assert counts and int(counts.group(2)) > 140, done.stdout[-4000:] + done.stderr
    failures = done.stdout[done.stdout.find("Failures:"):]
    assert counts.group(4) == "0", failures
    assert not origin.malformed


@seconds(180)
def test_by_prior_knowledge(env):
    check(env, protocols=["h2"])


@seconds(180)
def test_over_tls(env):
    pair = env.authority.server("localhost")
    check(env, "--tls", "--insecure", tls={"certificates": [pair.config()]})
