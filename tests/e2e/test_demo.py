"""scripts/demo.sh does what it prints (SURFACE.md, section 1)."""
import os
import socket
import subprocess
import sys

from env import seconds
from central import database

THREADLESS = True  # the subject is a script


@seconds(150)
def test_demo_of_the_database_checks_itself(env):
    server = database(env)  # skips where there is none
    server.stop()
    backends = " ".join(str(env.port()) for _ in range(3))
    done = subprocess.run([os.path.join(env.root, "scripts", "demo.sh"), "--database", "--check"], capture_output=True,
                          text=True, timeout=140, env={**os.environ, "MERIDIAN_DEMO_BUILD": env.build, "TMPDIR": "/tmp",
                                                       "MERIDIAN_DEMO_PORT": str(env.port()),
                                                       "MERIDIAN_DEMO_BACKENDS": backends})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("The demo works.")


@seconds(150)
def test_demo_checks_itself(env):
    ports = [env.port(), env.port()]
    backends = " ".join(str(env.port()) for _ in range(3))
    done = subprocess.run([os.path.join(env.root, "scripts", "demo.sh"), "--check"], capture_output=True, text=True,
                          timeout=140, env={**os.environ, "MERIDIAN_DEMO_BUILD": env.build, "TMPDIR": env.dir,
                                            "MERIDIAN_DEMO_PORT": str(ports[0]), "MERIDIAN_DEMO_ADMIN": str(ports[1]),
                                            "MERIDIAN_DEMO_BACKENDS": backends})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("The demo works.")
    assert not [name for name in os.listdir(env.dir) if name.startswith("meridian-demo")], "it left something behind"


def test_demo_ends_where_a_port_is_taken(env):
    """Both of them, before anything is started, and say which."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        backends = f"{env.port()} {taken.getsockname()[1]} {env.port()}"
        for option in ([], ["--database"]):
            done = subprocess.run([os.path.join(env.root, "scripts", "demo.sh"), *option, "--check"], text=True,
                                  capture_output=True, timeout=60,
                                  env={**os.environ, "MERIDIAN_DEMO_BUILD": env.build, "TMPDIR": env.dir,
                                       "MERIDIAN_DEMO_PORT": str(env.port()), "MERIDIAN_DEMO_ADMIN": str(env.port()),
                                       "MERIDIAN_DEMO_BACKENDS": backends})
            assert done.returncode == 1, done.stdout + done.stderr
            assert f"port {taken.getsockname()[1]} is taken; end what has it" in done.stderr, done.stderr
            assert not done.stdout and not [name for name in os.listdir(env.dir) if name.startswith("meridian-demo")]


def test_demo_ends_where_a_server_cannot_begin(env):
    """A port that nobody answers at and that is taken all the same."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        done = subprocess.run([os.path.join(env.root, "scripts", "demo.sh"), "--check"], text=True, capture_output=True,
                              timeout=60, env={**os.environ, "MERIDIAN_DEMO_BUILD": env.build, "TMPDIR": env.dir,
                                               "MERIDIAN_DEMO_PORT": str(env.port()),
                                               "MERIDIAN_DEMO_ADMIN": str(env.port()),
                                               "MERIDIAN_DEMO_BACKENDS": f"{env.port()} {port} {env.port()}"})
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"demo: server virginia could not begin on port {port}" in done.stderr, done.stderr
    assert not [name for name in os.listdir(env.dir) if name.startswith("meridian-demo")]


def test_benchmarks_say_how_to_build_what_is_missing(env):
    """A folder with no more than what the demo needs."""
    os.makedirs(env.path("few", "bench"))
    for name in ("meridian", "meridianctl", "bench/origin"):
        os.symlink(env.program(name), env.path("few", name))
    done = subprocess.run([sys.executable, os.path.join(env.root, "bench", "compare.py"), "--build", env.path("few"),
                           "--only", "meridian", "--rows", "plain", "--short"], text=True, capture_output=True, timeout=60)
    assert done.returncode == 1 and "is not built; build it: cmake -B " in done.stderr, done.stdout + done.stderr
    assert f" && cmake --build {env.path('few')} -j " in done.stderr, done.stderr
