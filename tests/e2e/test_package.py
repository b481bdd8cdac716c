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
    shutil.copy(package, os.path.join(root, "tmp", "meridian.deb"))
    inside(root, "apt-get -qq update")
    # What it needs first, so that what is compared afterwards is the package's own.
    depends = run("dpkg-deb", "--field", package, "Depends").stdout.strip()
    names = [re.split(r"[ (|]", one.strip())[0] for one in depends.split(",")]
    inside(root, "apt-get -qq install --no-install-recommends -y python3-minimal " + " ".join(names))
    before = files(root)
    inside(root, "apt-get -qq install --no-install-recommends -y /tmp/meridian.deb")
    inside(root, "getent passwd meridian | grep -q nologin; getent group meridian")
    assert inside(root, "stat -c '%U:%G %a' /etc/meridian/tls /var/log/meridian").stdout.split("\n")[:2] == [
        "root:meridian 750", "meridian:meridian 755"]
    unprivileged = inside(root, "setpriv --reuid nobody --regid nogroup --clear-groups meridian -t -c /etc/meridian/meridian.yaml")
    assert "fine" in unprivileged.stdout + unprivileged.stderr, unprivileged
    runs_by_its_unit(env, root)
    inside(root, "echo 'key' > /etc/meridian/tls/own.key; echo '# mine' >> /etc/meridian/meridian.yaml")
    inside(root, "apt-get -qq install --no-install-recommends -y --reinstall /tmp/meridian.deb")
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
