"""The Debian package on a system of its own: a fresh one, made by debootstrap, in which it is installed, started by the
unit's line, removed and purged, and leaves nothing behind that is not its user's (long)."""
import glob
import os
import re
import shutil
import subprocess

from env import Skip, long, seconds, until


def run(*command, check=True, timeout=300, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **more)
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done


def mirror():
    """Where this machine has its own Debian packages from, and of which release."""
    rows = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(ORIGIN)", "Created-By: Packages").stdout
    found = [line.split() for line in rows.splitlines() if re.match(r"\S+ bookworm Debian$", line)]
    if not found:
        raise Skip("no Debian mirror is configured here")
    return found[0][:2]


def chroot(env):
    """A minimal system. It is kept as an archive in the build folder, since making it takes a minute."""
    if os.getuid() != 0 or shutil.which("debootstrap", path="/usr/sbin:/usr/bin") is None:
        raise Skip("this needs root and debootstrap")
    uri, release = mirror()
    root, archive = env.path("root"), os.path.join(env.build, f"{release}.tar")
    if not os.path.exists(archive):
        run("debootstrap", "--variant=minbase", release, root, uri, timeout=400)
        run("tar", "-C", root, "-cf", archive + ".new", ".")
        os.rename(archive + ".new", archive)
    else:
        os.makedirs(root)
        run("tar", "-C", root, "-xf", archive)
    shutil.copy("/etc/resolv.conf", os.path.join(root, "etc", "resolv.conf"))
    for source in ("/etc/apt/sources.list.d/debian.sources",):
        if os.path.exists(source):
            shutil.copy(source, os.path.join(root, source.lstrip("/")))
            with open(os.path.join(root, "etc/apt/sources.list"), "w", encoding="ascii"):
                pass
    for folder in ("proc", "dev"):
        run("mount", "--bind", f"/{folder}", os.path.join(root, folder))
        env.at_end(lambda folder=folder: run("umount", "--lazy", os.path.join(root, folder)))
    return root


def inside(root, script, check=True, timeout=400):
    return run("chroot", root, "/bin/sh", "-ec", script, check=check, timeout=timeout,
               env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"})


# What a minimal system has not, for the lines of the README: others' rights, an editor, and a service manager that notes
# what it is asked for. Nothing is asked back, and no recommended package comes along.
STUBS = {
    "sudo": """if [ "$1" = -u ]; then user=$2; shift 2; exec setpriv --reuid "$user" --regid "$user" --init-groups "$@"; fi
exec "$@"
""",
    "sudoedit": "exec sed -i s/9001/9003/ \"$1\"\n",
    "systemctl": "echo \"$@\" >> /tmp/systemctl\n",
}


def prepare(root):
    for name, text in STUBS.items():
        path = os.path.join(root, "usr", "bin", name)
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(path, 0o755)
    with open(os.path.join(root, "etc", "apt", "apt.conf.d", "99test"), "w", encoding="ascii") as file:
        file.write('APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\n')
    inside(root, "useradd -m somebody")


def installed_as_written(env, root):
    """The README's lines, in the folder with the package."""
    with open(os.path.join(env.root, "README.md"), encoding="utf-8") as page:
        block, = re.findall(r"^```sh\n(sudo apt install .*?)^```$", page.read(), re.S | re.M)
    said = inside(root, "cd /tmp; export USER=somebody\n" + block)
    assert "the configuration is fine" in said.stdout, said
    assert "9003" in inside(root, "cat /etc/meridian/meridian.yaml").stdout
    assert inside(root, "cat /tmp/systemctl").stdout == "enable --now meridian\n"
    assert "meridian" in inside(root, "id -nG somebody").stdout.split()


def files(root):
    """All but what apt and dpkg keep for themselves."""
    found = run("find", root, "-xdev", "-mindepth", "1", "-printf", "%P\n").stdout.splitlines()
    mine = re.compile(r"(proc|dev|sys|tmp|var/cache|var/lib/(apt|dpkg|systemd)|var/log|etc/ld\.so\.cache|root)(/|$)|etc/.*-$")
    return {name for name in found if not mine.match(name)}


def built(env):
    package = glob.glob(os.path.join(env.build, "*.deb"))
    for old in package:
        os.unlink(old)
    run("cpack", "-G", "DEB", cwd=env.build)
    package, = glob.glob(os.path.join(env.build, "*.deb"))
    return package


@long
@seconds(900)
def test_package_on_a_fresh_system(env):
    package, root = built(env), chroot(env)
    shutil.copy(package, os.path.join(root, "tmp"))
    shutil.copy(package, os.path.join(root, "tmp", "meridian.deb"))
    inside(root, "apt-get -qq update")
    # What it needs first, so that what is compared afterwards is the package's own.
    depends = run("dpkg-deb", "--field", package, "Depends").stdout.strip()
    names = [re.split(r"[ (|]", one.strip())[0] for one in depends.split(",")]
    inside(root, "apt-get -qq install --no-install-recommends -y python3-minimal " + " ".join(names))
    prepare(root)
    before = files(root)
    installed_as_written(env, root)
    inside(root, "getent passwd meridian | grep -q nologin; getent group meridian")
    assert inside(root, "stat -c '%U:%G %a' /etc/meridian/tls /var/log/meridian").stdout.split("\n")[:2] == [
        "root:meridian 750", "meridian:meridian 755"]
    unprivileged = inside(root, "setpriv --reuid nobody --regid nogroup --clear-groups meridian -t -c /etc/meridian/meridian.yaml")
    assert "fine" in unprivileged.stdout + unprivileged.stderr, unprivileged
    runs_by_its_unit(env, root)
    inside(root, "echo 'key' > /etc/meridian/tls/own.key; echo '# mine' >> /etc/meridian/meridian.yaml")
    inside(root, "mkdir -p /run/systemd/system; rm /tmp/systemctl; "
                 "apt-get -qq install --no-install-recommends -y --reinstall /tmp/meridian.deb; rm -r /run/systemd")
    assert "kill --kill-whom=main --signal=USR2 meridian.service\n" in inside(root, "cat /tmp/systemctl").stdout
    assert "# mine" in inside(root, "cat /etc/meridian/meridian.yaml").stdout, "an upgrade took the configuration"
    inside(root, "apt-get -qq remove -y meridian")
    inside(root, "test -e /etc/meridian/meridian.yaml; test ! -e /usr/sbin/meridian")
    inside(root, "apt-get -qq purge -y meridian")
    left = files(root) - before
    assert left == {"etc/meridian", "etc/meridian/tls", "etc/meridian/tls/own.key"}, left
    inside(root, "apt-get -qq install --no-install-recommends -y /tmp/meridian.deb; rm -r /etc/meridian/tls/own.key; "
                 "apt-get -qq purge -y meridian")
    assert files(root) - before == set()


def runs_by_its_unit(env, root):
    """As systemd would: the unit's user, folders and lines."""
    unit = inside(root, "cat /usr/lib/systemd/system/meridian.service").stdout
    start, reload = (re.search(rf"^{key}=(.+)$", unit, re.M)[1] for key in ("ExecStart", "ExecReload"))
    as_user = "setpriv --reuid meridian --regid meridian --init-groups"
    port, admin = env.port(), env.port()
    inside(root, f"sed -i 's/0.0.0.0:8080/127.0.0.1:{port}/' /etc/meridian/meridian.yaml; "
                 f"echo 'admin: {{http: \"127.0.0.1:{admin}\"}}' >> /etc/meridian/meridian.yaml; "
                 "install -d -o meridian -g meridian /run/meridian /var/lib/meridian")
    environ = "RUNTIME_DIRECTORY=/run/meridian STATE_DIRECTORY=/var/lib/meridian"
    process = subprocess.Popen(["chroot", root, "/bin/sh", "-c", f"exec env {environ} {as_user} {start}"],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until(lambda: inside(root, f"{as_user} meridianctl status", check=False).returncode == 0, 20, "the start")
        assert "generation 2" in inside(root, f"{as_user} {reload}").stdout
        inside(root, "cp /etc/meridian/meridian.yaml /tmp/good; echo 'pols: {}' >> /etc/meridian/meridian.yaml")
        broken = inside(root, f"{as_user} {reload}", check=False)
        assert broken.returncode == 1 and "did you mean 'pools'?" in broken.stdout + broken.stderr, broken
        inside(root, "cp /tmp/good /etc/meridian/meridian.yaml; rm /tmp/good")
        inside(root, f"{as_user} meridianctl drain api/one")
    finally:
        process.terminate()
        assert process.wait(30) == 0
    inside(root, "rm -r /run/meridian")  # RuntimeDirectory= goes with the service
