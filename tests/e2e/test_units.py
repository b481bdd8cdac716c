"""What is installed: units, their sandbox, sockets handed over by name, the Debian package."""
import configparser
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import sys

from client import get
from env import Skip, lengthy, seconds, threadless
from meridian import Notify
from pace import patience

SERVICES = {"meridian.service": 2.0, "meridian-activated.service": 1.5}  # the most exposure allowed
SOCKETS = ["meridian.socket", "meridian-https.socket"]


def tool(name):
    """Where a program of the system is."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not path:
        raise Skip(f"{name} is not installed")
    return path


def deploy(env, *parts):
    return os.path.join(env.root, "deploy", *parts)


def unit(env, name):
    """The unit as {section: {key: [values]}}."""
    sections, section = {}, None
    with open(deploy(env, name), encoding="utf-8") as file:
        for line in file.read().splitlines():
            if line.startswith("["):
                section = sections.setdefault(line.strip("[]"), {})
            elif "=" in line and not line.startswith("#"):
                key, value = line.split("=", 1)
                section.setdefault(key, []).append(value)
    return sections


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **more)


@threadless
def test_systemd_understands_the_units(env):
    analyze = tool("systemd-analyze")
    for name in [*SERVICES, *SOCKETS]:
        with open(deploy(env, name), encoding="utf-8") as file:
            text = file.read()
        for program in ("meridian", "meridianctl"):
            text = re.sub(rf"/usr/s?bin/{program} ", env.program(program) + " ", text)
        env.write(f"units/{name}", text)
    done = run(analyze, "verify", "--man=no", *[env.path("units", name) for name in [*SERVICES, *SOCKETS]])
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr


@threadless
def test_exposure(env):
    analyze = tool("systemd-analyze")
    for name, most in SERVICES.items():
        done = run(analyze, "security", "--offline=true", "--no-pager", deploy(env, name))
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
        assert found, done.stdout + done.stderr
        assert float(found.group(1)) <= most, f"{name}: {found.group(1)}"


@threadless
def test_units_do_what_the_pages_say(env):
    """S1: started again at once, however often, and its sockets are kept meanwhile. S2: what it cannot do."""
    for name in SERVICES:
        service = unit(env, name)["Service"]
        assert unit(env, name)["Unit"]["StartLimitIntervalSec"] == ["0"], name
        wanted = {"Type": "notify", "ExecReload": "/usr/bin/meridianctl reload", "Restart": "always",
                  "RestartPreventExitStatus": "1 2", "TimeoutStopSec": "330s", "WatchdogSec": "10s",
                  "RuntimeDirectory": "meridian", "StateDirectory": "meridian", "LogsDirectory": "meridian", "User": "meridian",
                  "NoNewPrivileges": "yes", "ProtectSystem": "strict"}
        for key, value in wanted.items():
            assert service.get(key) == [value], f"{name}: {key}={service.get(key)}"
        # With it /var/log/meridian and /var/lib/meridian are links into folders that only root may enter (systemd.exec(5)):
        # logrotate, which becomes the user first, finds nothing, and purging removes the links alone.
        assert "DynamicUser" not in service, name
    alone, activated = (unit(env, name)["Service"] for name in SERVICES)
    assert int(alone["FileDescriptorStoreMax"][0]) >= 64
    assert alone["CapabilityBoundingSet"] == alone["AmbientCapabilities"] == ["CAP_NET_BIND_SERVICE"]
    assert activated["CapabilityBoundingSet"] == [""] and "AmbientCapabilities" not in activated
    assert activated["PrivateUsers"] == ["yes"]
    for name in SOCKETS:
        assert unit(env, name)["Socket"]["Service"] == ["meridian-activated.service"], name


LAUNCH = """\
import fcntl, os, sys
given = [int(fd) for fd in sys.argv[1].split(",")]
high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in given]
for fd in given:
    os.close(fd)
for at, fd in enumerate(high):
    os.dup2(fd, 3 + at)
    os.close(fd)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execvp(sys.argv[2], sys.argv[2:])
"""


def hand_over(env, balancer, listeners, names):
    """Starts the balancer with these sockets from descriptor 3 on, as a service manager does."""
    fds = [listener.fileno() for listener in listeners]
    notify = Notify(os.path.join(balancer.dir, "notify-units"))
    environ = {**balancer.environment(), "NOTIFY_SOCKET": notify.path, "LISTEN_FDS": str(len(fds)),
               "LISTEN_FDNAMES": ":".join(names)}
    with open(os.path.join(balancer.dir, "stderr"), "ab") as stderr:
        balancer.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, ",".join(map(str, fds)), *balancer.command()], pass_fds=fds,
            env=environ, stderr=stderr, stdout=subprocess.DEVNULL, cwd=balancer.dir)
    balancer.stopped, balancer.notify = False, notify
    assert notify.wait("READY", "1", 20 * patience()), balancer.errors()


def watchers(balancer, fd):
    """How many event loops of the process watch the descriptor's socket, under whatever number."""
    count, socket_number = 0, os.stat(f"/proc/{balancer.process.pid}/fd/{fd}").st_ino
    for path in glob.glob(f"/proc/{balancer.process.pid}/fdinfo/*"):
        try:
            with open(path) as info:
                count += bool(re.search(rf"^tfd:.*\bino:{socket_number:x}\b", info.read(), re.M))
        except FileNotFoundError:
            pass
    return count


def listening(port, share=False):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    return listener


def test_several_sockets_by_name(env):
    """Two sockets of one name and one of another: each listener gets its own, and all workers watch
    every one of them."""
    origin = env.origin()
    ports = [env.port() for _ in range(3)]
    listeners = [listening(port) for port in ports]
    balancer = env.meridian({
        "workers": 3,
        "listeners": {"one": {"bind": "systemd:http"}, "two": {"bind": "systemd:other"}},
        "pools": {"api": {"backends": {"a": {"address": origin.address}}}},
        "routes": [{"pool": "api"}]}, start=False)
    hand_over(env, balancer, listeners, ["http", "other", "http"])
    for port, name in zip(ports, ["one", "two", "one"]):
        assert get(port).status == 200
        assert balancer.access_log(ports.index(port) + 1)[-1]["listener"] == name
    assert [watchers(balancer, fd) for fd in (3, 4, 5)] == [3, 3, 3]
    balancer.stop()
    for listener in listeners:
        listener.close()


def test_one_socket_for_each_worker(env):
    """Sockets made with SO_REUSEPORT, as many as workers: each worker watches its own."""
    origin, port = env.origin(), env.port()
    listeners = [listening(port, share=True) for _ in range(2)]
    balancer = env.meridian({
        "workers": 2,
        "listeners": {"one": {"bind": "systemd:http"}},
        "pools": {"api": {"backends": {"a": {"address": origin.address}}}},
        "routes": [{"pool": "api"}]}, start=False)
    hand_over(env, balancer, listeners, ["http", "http"])
    for _ in range(20):
        assert get(port).status == 200
    assert [watchers(balancer, fd) for fd in (3, 4)] == [1, 1]
    balancer.stop()
    for listener in listeners:
        listener.close()


def install(env, prefix):
    root = env.path("root")
    done = run("cmake", "--install", env.build, "--prefix", prefix, env={**os.environ, "DESTDIR": root})
    assert done.returncode == 0, done.stderr
    return root


@threadless
def test_installation(env):
    root = install(env, "/usr/local")
    for path in ["usr/local/sbin/meridian", "usr/local/bin/meridianctl",
                 "usr/local/lib/systemd/system/meridian.socket", "usr/local/lib/sysusers.d/meridian.conf",
                 "usr/local/share/man/man8/meridian.8.gz", "usr/local/share/man/man8/meridianctl.8.gz",
                 "usr/local/share/man/man5/meridian.yaml.5.gz", "usr/local/share/doc/meridian/examples/tls.yaml",
                 "usr/local/share/meridian/sql/meridian.sql",
                 "usr/local/share/bash-completion/completions/meridianctl"]:
        assert os.path.exists(os.path.join(root, path)), path
    with open(os.path.join(root, "usr/local/lib/systemd/system/meridian.service")) as file:
        text = file.read()
    assert "ExecStart=/usr/local/sbin/meridian " in text
    assert "ExecReload=/usr/local/bin/meridianctl " in text
    first = os.path.join(root, "etc/meridian/meridian.yaml")
    done = run(os.path.join(root, "usr/local/sbin/meridian"), "-t", "-c", first)
    assert done.returncode == 0, done.stderr
    with open(first, "a") as file:
        file.write("# mine\n")
    install(env, "/usr/local")
    with open(first) as file:
        assert file.read().endswith("# mine\n"), "an installation replaced the configuration"


@threadless
def test_links_of_the_installed_pages_lead_somewhere(env):
    pages = os.path.join(install(env, "/usr"), "usr/share/doc/meridian")
    found, dangling = 0, []
    for folder, _, names in os.walk(pages):
        for name in names:
            if not name.endswith(".md"):
                continue
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", file.read())
            found += len(links)
            dangling += [(name, link) for link in links if not os.path.exists(os.path.join(folder, link))]
    assert found > 50 and not dangling, dangling


@threadless
def test_enabling_as_the_pages_say(env):
    """Each `systemctl enable` of the pages, offline, in a tree with the installed units."""
    if shutil.which("systemctl") is None:
        raise Skip("systemctl is not installed")
    root = install(env, "/usr")
    count = 0
    for page in ("README.md", os.path.join("docs", "operations.md")):
        with open(os.path.join(env.root, page), encoding="utf-8") as file:
            blocks = re.findall(r"^```sh\n(.*?)^```", file.read(), re.S | re.M)
        for line in re.findall(r"systemctl enable --now ([\w. -]+)$", "\n".join(blocks), re.M):
            done = run("systemctl", f"--root={root}", "enable", *line.split())
            assert done.returncode == 0, (page, line, done.stderr)
            for unit in line.split():
                name = unit if "." in unit else unit + ".service"
                assert run("systemctl", f"--root={root}", "is-enabled", name).stdout.strip() == "enabled", (page, name)
            count += 1
    assert count >= 3, count


@lengthy
@threadless
@seconds(300)
def test_debian_package(env):
    deb, _ = tool("dpkg-deb"), tool("dpkg-shlibdeps")
    done = run("cpack", "-G", "DEB", "-B", env.path("package"), "--config",
               os.path.join(env.build, "CPackConfig.cmake"), cwd=env.dir)
    assert done.returncode == 0, done.stdout + done.stderr
    package, = glob.glob(env.path("package", "*.deb"))
    if shutil.which("lintian"):
        found = run("lintian", "--no-tag-display-limit", "--allow-root", "--fail-on", "none", package).stdout
        errors = [line for line in found.splitlines() if line.startswith("E:")]
        assert errors == [], "\n".join(errors)
    fields = configparser.ConfigParser()
    fields.read_string("[deb]\n" + run(deb, "--field", package).stdout)
    assert fields["deb"]["Package"] == "meridian"
    for library in ("libev4", "libssl3", "libmaxminddb0"):
        assert library in fields["deb"]["Depends"], fields["deb"]["Depends"]
    names = run(deb, "--contents", package).stdout
    for path in ["./usr/sbin/meridian\n", "./etc/meridian/meridian.yaml\n", "/system/meridian.service\n"]:
        assert path in names, path
    assert run(deb, "--info", package, "conffiles").stdout.split() == [
        "/etc/meridian/meridian.yaml", "/etc/logrotate.d/meridian"]
    for script in ("postinst", "prerm", "postrm"):
        checked = subprocess.run(["sh", "-n"], input=run(deb, "--info", package, script).stdout, text=True)
        assert checked.returncode == 0, script


@threadless
def test_completion_knows_all_commands(env):
    usage = run(env.program("meridianctl"), "--help").stdout
    commands = re.findall(r"^  ([a-z][a-z-]*) ", usage, re.M)
    assert len(commands) > 10, usage
    script = f"source {deploy(env, 'meridianctl.bash')}; COMP_WORDS=(meridianctl ''); COMP_CWORD=1; " \
             "_meridianctl; printf '%s\\n' \"${COMPREPLY[@]}\""
    done = run("bash", "-c", script)
    assert sorted(done.stdout.split()) == sorted(commands), json.dumps([done.stdout, usage])
