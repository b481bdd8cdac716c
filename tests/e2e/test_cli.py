"""The command line and the configuration's messages (SURFACE.md, sections 2, 3)."""
import json
import os
import re
import shutil
import socket
import subprocess

from client import get
from env import Skip, threadless

GOOD = """\
listeners:
  public: {bind: "127.0.0.1:%d"}
pools:
  api: {backends: {one: {address: "127.0.0.1:9"}}}
routes:
  - pool: api
admin: {http: off}
"""


def checked(env, text):
    """`meridian -t` of this text."""
    balancer = env.meridian(text, start=False)
    balancer.stopped = True
    return balancer.run("-t")


def messages(env, text):
    done = checked(env, text)
    assert done.returncode == 1, f"{text!r}: {done.returncode}"
    return done.stderr + done.stdout


def plain(env, *args):
    return subprocess.run([env.program("meridian"), *args], capture_output=True, text=True, timeout=20)


@threadless
def test_version_and_help(env):
    done = plain(env, "-v")
    assert done.returncode == 0 and re.search(r"meridian \d+\.\d+\.\d+", done.stdout.lower())
    done = plain(env, "-V")
    assert done.returncode == 0, done.stderr
    for library in ("OpenSSL", "libev", "libnghttp2", "libfyaml", "libmaxminddb", "zlib"):
        assert re.search(rf"^libraries: .*\b{library} \d", done.stdout, re.M), (library, done.stdout)
    done = plain(env, "-h")
    assert done.returncode == 0 and "--config" in done.stdout


@threadless
def test_usage_is_exit_2(env):
    for args in [["--nonsense"], ["-c"], ["-x"], ["extra"]]:
        assert plain(env, *args).returncode == 2, args


@threadless
def test_t_accepts(env):
    done = checked(env, GOOD % env.port())
    assert done.returncode == 0, done.stderr


@threadless
def test_t_needs_no_privileges(env):
    """As a user who owns nothing, also for ports that only root may open."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        raise Skip("this needs root to become somebody else")
    path = env.write("meridian.yaml", (GOOD % 443).replace("127.0.0.1:443", "0.0.0.0:443"))
    program = shutil.copy(env.program("meridian"), env.path("meridian"))
    os.chmod(env.dir, 0o755)
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program, "-t", "-c", path],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0 and "fine" in done.stdout + done.stderr, done


@threadless
def test_t_prints_the_effective_configuration(env):
    port = env.port()
    balancer = env.meridian(GOOD % port, start=False)
    balancer.stopped = True
    done = balancer.run("-T")
    assert done.returncode == 0, done.stderr
    assert f"127.0.0.1:{port}" in done.stdout and "weight" in done.stdout
    again = env.meridian(done.stdout, start=False)
    again.stopped = True
    second = again.run("-T")
    assert second.returncode == 0, second.stderr
    assert second.stdout == done.stdout


@threadless
def test_absent_file(env):
    done = plain(env, "-t", "-c", env.path("absent.yaml"))
    assert done.returncode in (1, 3) and "absent.yaml" in done.stderr


def test_start_with_broken_file_is_exit_1(env):
    balancer = env.meridian("listeners: 5\n", start=False)
    balancer.spawn()
    balancer.expect_end(1)


def test_port_in_use_is_exit_3(env):
    port = env.port()
    with socket.create_server(("127.0.0.1", port)):
        balancer = env.meridian(GOOD % port, start=False)
        balancer.spawn()
        balancer.expect_end(3)
        assert str(port) in balancer.errors()


def test_what_cannot_be_listened_at_says_how_to_mend_it(env):
    """A port in use, one for the privileged, an address of another machine, a folder that is not there: at a start and by a reload."""
    port, taken = env.port(), env.port()
    folder = env.path("none")
    cases = [(f"127.0.0.1:{taken}", "address already in use; `ss -tanp` shows by whom"),
             ("192.0.2.1:8080", "this machine has no such address; `ip address` shows those that it has"),
             (f"unix:{folder}/socket", "its folder does not exist")]
    with socket.create_server(("127.0.0.1", taken)):
        running = env.meridian(GOOD % port)
        for address, want in cases:
            text = (GOOD % port).replace(f"127.0.0.1:{port}", address)
            balancer = env.meridian(text, start=False)
            balancer.spawn()
            balancer.expect_end(3)
            assert f"cannot listen on {address}: {want}" in balancer.errors() and "^~~" in balancer.errors(), balancer.errors()
            done = running.reload(text, check=False)
            assert done.returncode == 1 and want in done.stdout + done.stderr, done
    text = (GOOD % env.port()).replace("http: off", f"http: off, socket: {folder}/control.sock")
    balancer = env.meridian(text, start=False)
    balancer.spawn()
    balancer.expect_end(3)
    assert re.search(r"meridian\.yaml:\d+:\d+: error: cannot listen on .*/control\.sock: its folder does not exist", balancer.errors())
    if os.getuid() == 0:
        socket_of_service = "name the port in meridian.socket and write bind: \"systemd:http\""
        path = env.write("privileged.yaml", GOOD % 81)
        os.chmod(env.dir, 0o755)
        done = subprocess.run(["setpriv", "--reuid", "nobody", "--clear-groups", env.program("meridian"), "-c", path],
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == 3 and "ports below 1024 need CAP_NET_BIND_SERVICE" in done.stderr and socket_of_service in done.stderr, done


def test_two_balancers_do_not_share_a_port(env):
    """SO_REUSEPORT is for the sockets of one process; a second one must not get a share by mistake."""
    for workers in (1, 2):
        port = env.port()
        text = f"workers: {workers}\n" + GOOD % port
        first = env.meridian(text)
        second = env.meridian(text, start=False)
        second.spawn()
        second.expect_end(3)
        assert str(port) in second.errors() and "in use" in second.errors(), second.errors()
        assert first.alive() and get(port).status in (502, 503)
        first.reload((text + "").replace(f'"127.0.0.1:{port}"', f'"0.0.0.0:{port}"'))
        assert get(port).status in (502, 503)


@threadless
def test_messages_have_place_and_advice(env):
    said = messages(env, GOOD.replace("routes:", "rotes:") % 8080)
    assert re.search(r"meridian\.yaml:5:1: error: .*rotes", said), said
    assert re.search(r"did you mean .?routes", said), said
    assert "rotes:" in said and "^" in said


@threadless
def test_all_errors_are_shown(env):
    said = messages(env, 'listeners:\n  public: {bind: "127.0.0.1:99999"}\n  public2: {bond: "127.0.0.1:1"}\n'
                         'pools:\n  api: {backends: {one: {address: "nowhere", weight: 0}}}\n'
                         'routes:\n  - pool: apo\ntimeouts: {idle: 60}\n')
    for line in (2, 3, 5, 7, 8):
        assert f"meridian.yaml:{line}:" in said, f"no error for line {line}: {said}"


@threadless
def test_duplicates_name_both_places(env):
    said = messages(env, GOOD % 8080 + "pools:\n  other: {}\n")
    assert "meridian.yaml:8:" in said and re.search(r"\b3\b", said), said


@threadless
def test_strictness(env):
    good = GOOD % 8080
    for bad in [good + "workers: \"2\"\nworkers: 3\n", good + "timeouts: {idle: 5}\n", good + "timeouts: {idle: 5 s}\n",
                good + "timeouts: {idle: -5s}\n", good + "limits: {head: 5}\n", good + "limits: {head: 32KB}\n",
                good.replace("routes:", "x: &a 1\nroutes:"), good + "here: {location: [91, 0]}\n",
                good + "here: {location: [1]}\n", good.replace("pool: api", "pool: none"), good + "cache: {}\n",
                good.replace('"127.0.0.1:8080"', "[]"), "[]\n", "5\n", "", "\t\n", good.replace("  - pool", "  pool"),
                good + "trusted_proxies: {from: [10.0.0.0/33]}\n", good.replace("9\"", "9\", weight: 1001"),
                "a: " + "[" * 100 + "]" * 100 + "\n", good + "log: {level: loud}\n", good + "workers: yes\n"]:
        said = messages(env, bad)
        assert "error:" in said, bad


@threadless
def test_sites_all_or_none(env):
    said = messages(env, 'sites: {fra: {location: [50, 8]}}\nlisteners: {p: {bind: "127.0.0.1:8080"}}\n'
                         'pools: {api: {backends: {a: {address: "127.0.0.1:1", site: fra}, b: {address: "127.0.0.1:2"}}}}\n'
                         'routes: [{pool: api}]\n')
    assert "site" in said


@threadless
def test_t_checks_files(env):
    pair, other = env.authority.server("localhost"), env.authority.server("localhost")
    port = env.port()

    def with_tls(chain, key):
        return json.dumps({"listeners": {"p": {"bind": f"127.0.0.1:{port}", "tls": {"certificates": [
            {"chain": chain, "key": key}]}}}, "pools": {"api": {"backends": {"a": {"address": "127.0.0.1:1"}}}},
            "routes": [{"pool": "api"}], "admin": {"http": "off"}}, indent=1)
    assert checked(env, with_tls(pair.chain, pair.key)).returncode == 0
    said = messages(env, with_tls(pair.chain, other.key)).splitlines()
    at = next(i for i, line in enumerate(said) if "does not belong to the certificate" in line)
    assert said[at + 1][said[at + 2].index("^"):].lstrip('"').startswith(other.key), said
    assert "absent.pem" in messages(env, with_tls(env.path("absent.pem"), pair.key))
    assert messages(env, with_tls(env.write("junk.pem", "junk"), pair.key))
    said = messages(env, GOOD % port + f"geo: {{databases: [{env.write('junk.mmdb', 'junk')}]}}\n")
    assert "junk.mmdb" in said


@threadless
def test_what_is_no_file_is_said(env):
    """A folder in the place of the access log, and a pipe in that of the configuration."""
    done = checked(env, GOOD % env.port() + f"log: {{access: {{path: {env.path()}}}}}\n")
    assert done.returncode == 1 and f"'{env.path()}' is a folder; name the file in it" in done.stderr, done.stderr
    balancer = env.meridian(GOOD % env.port(), start=False)
    os.remove(balancer.file)
    os.mkfifo(balancer.file)
    done = subprocess.run(balancer.command("-t"), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "it is a pipe or a device; a file is wanted" in done.stderr, done.stderr


@threadless
def test_a_configuration_out_of_a_process(env):
    """`-c <(command)`: a pipe whose writer takes its time, but ends."""
    file = env.write("whole.yaml", GOOD % env.port())
    done = subprocess.run(
        ["bash", "-c", 'exec "$0" -t -c <(head -n 1 "$1"; sleep 1; tail -n +2 "$1")', env.program("meridian"), file],
        capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr


@threadless
def test_f23_links_in_a_circle_are_said(env):
    """Wherever a file is named: which one, in which line, and how one finds the link."""
    loop = env.path("loop.pem")
    os.symlink("loop.pem", loop)
    tls = f'tls: {{certificates: [{{chain: {loop}, key: {loop}}}]}}'
    for more in (f"include: {loop}\n", f"geo: {{databases: [{loop}]}}\n", f"error_pages: {{503: {loop}}}\n",
                 f"log: {{access: {{path: {loop}}}}}\n"):
        said = messages(env, GOOD % env.port() + more)
        assert re.search(rf"yaml:8:\d+: error: .*{loop}.*a symbolic link leads in a circle.*`namei PATH` shows it", said), said
    said = messages(env, (GOOD % env.port()).replace('"}', f'", {tls}}}', 1))
    assert re.search(rf"yaml:2:\d+: error: certificate {loop}: a symbolic link leads in a circle", said), said


@threadless
def test_t_warns_of_folders_that_a_start_needs(env):
    away = env.path("away")
    done = checked(env, GOOD % env.port() + f"state: {away}\nlog: {{access: {{path: {away}/access.log}}}}\n")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"'{away}") == 2 and done.stderr.count("does not exist") == 2, done.stderr


@threadless
def test_t_warns_of_folders_that_cannot_be_written(env):
    """As who would run it; and below /run of all but the unit's own folder."""
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        raise Skip("this needs to become somebody else")
    port, shut = env.port(), env.path("shut")
    os.mkdir(shut)
    control = f"admin: {{http: off, socket: %s/control.sock}}\nlog: {{access: {{path: {shut}/access.log}}}}\n"
    path = env.write("shut.yaml", GOOD.replace("admin: {http: off}\n", control % shut) % port)
    os.chmod(shut, 0o555)
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.getuid() == 0 else []
    os.chmod(env.dir, 0o755)
    program = shutil.copy(env.program("meridian"), env.path("program"))
    done = subprocess.run([*nobody, program, "-t", "-c", path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done
    assert len(re.findall(rf"shut\.yaml:\d+:\d+: warning: this user cannot write in the folder '{shut}/'", done.stderr)) == 2, done
    for folder, warned in (("/run/no-such-folder", True), ("/run/meridian-of-a-test", False)):
        done = checked(env, GOOD.replace("admin: {http: off}\n", control % folder) % port)
        assert done.returncode == 0 and (f"the folder '{folder}/' does not exist" in done.stderr) == warned, done


def test_written_admin_address_in_use_is_exit_3(env):
    admin, port = env.port(), env.port()
    with socket.create_server(("127.0.0.1", admin)):
        balancer = env.meridian((GOOD % port).replace("http: off", f'http: "127.0.0.1:{admin}"'), start=False)
        balancer.spawn()
        balancer.expect_end(3)


def test_two_balancers_by_hand(env):
    """Defaults that cannot be had are a warning, not an end."""
    text = (GOOD % env.port()).replace("admin: {http: off}\n", "")
    first = env.meridian(text)
    second_port = env.port()
    second = env.meridian((GOOD % second_port).replace("admin: {http: off}\n", ""))
    assert first.alive() and second.alive()
    assert get(second_port).status in (502, 503)


@threadless
def test_shipped_examples_are_valid(env):
    """As a file can be checked on a machine where its certificates and databases do not exist: the
    only complaints are about files that are not there."""
    folder = os.path.join(env.root, "deploy", "examples")
    examples = [name for name in os.listdir(folder) if name.endswith(".yaml")]
    assert examples, "no example configuration"
    for name in examples:
        with open(os.path.join(folder, name)) as file:
            done = checked(env, file.read())
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "error:" in line]
        assert done.returncode == 0 or errors, name
        for error in errors:
            assert "/etc/" in error or "/var/" in error, f"{name}: {error}"
