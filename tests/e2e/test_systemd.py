"""The installed package under a real systemd, which is process 1 of name spaces of its own: started as the README says,
reloaded, killed, upgraded, its log rotated, stopped and purged (long)."""
import os
import shutil
import signal
import subprocess

from client import get
from env import Skip, long, seconds, until
from test_package import built, chroot, inside
from test_store import Knocker

# What a container's manager prepares. /proc and /dev are put over those that the chroot had for the installation.
BOOT = """
set -e
cd "$ROOT"
mount --bind "$ROOT" "$ROOT"
cd "$ROOT"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 dev/${node%:*} c 1 ${node#*:}; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mkdir -p before
pivot_root . before
umount -l before
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=null
"""


def control_group():
    """A new group of the second version's tree, where there is one that can be written."""
    with open("/proc/mounts", encoding="ascii") as mounts:
        trees = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
    for tree in trees:
        path = os.path.join(tree, f"meridian-test-{os.getpid()}")
        try:
            os.mkdir(path)
            return path
        except OSError:
            continue
    raise Skip("no control group can be made here")


class Machine:
    def __init__(self, env, root):
        self.group = control_group()
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--cgroup", "--propagation", "private",
             "bash", "-c", BOOT], env={**os.environ, "ROOT": root}, preexec_fn=self._join, stdin=subprocess.DEVNULL)
        env.at_end(self.close)
        until(self._first, 20, "a process of its own")
        until(lambda: self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded"), 60, "systemd")

    def _join(self):
        with open(os.path.join(self.group, "cgroup.procs"), "w", encoding="ascii") as group:
            group.write(str(os.getpid()))

    def _first(self):
        assert self.process.poll() is None, "it has not booted"
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as children:
            found = children.read().split()
        return found[0] if found else None

    def run(self, script, check=True):
        done = subprocess.run(["nsenter", "-t", self._first(), "-m", "-p", "-u", "-i", "-C", "env", "-i", "LC_ALL=C.UTF-8",
                               "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "sh", "-ec", script],
                              capture_output=True, text=True, timeout=120, check=False)
        assert not check or done.returncode == 0, f"{script}: {done.returncode}\n{done.stdout}{done.stderr}{self.journal()}"
        return done

    def journal(self):
        return self.run("journalctl -u meridian -n 30 --no-pager -o cat", check=False).stdout

    def main(self):
        return int(self.run("systemctl show -p MainPID --value meridian").stdout)

    def close(self):
        self.process.kill()
        self.process.wait(20)
        with open(os.path.join(self.group, "cgroup.kill"), "w", encoding="ascii") as group:
            group.write("1")
        until(lambda: self._removed(self.group), 20, "the end of its processes")

    def _removed(self, group):
        try:
            for folder, _, _ in os.walk(group, topdown=False):
                os.rmdir(folder)
            return True
        except OSError:
            return False


def installed(env):
    package, root = built(env), chroot(env)
    shutil.copy(package, os.path.join(root, "root", "meridian.deb"))
    inside(root, "apt-get -qq update; apt-get -qq install --no-install-recommends -y systemd systemd-sysv logrotate; "
                 "apt-get -qq install --no-install-recommends -y /root/meridian.deb")
    return root


@long
@seconds(900)
def test_service_under_systemd(env):
    root = installed(env)
    port, origin = env.port(), env.origin()
    config = (f'listeners: {{public: {{bind: "127.0.0.1:{port}"}}}}\npools: {{api: {{backends: {{one: {{address: "{origin.address}"}}}}}}}}\n'
              f'routes: [{{pool: api}}]\nlog: {{access: {{path: /var/log/meridian/access.log}}}}\nadmin: {{http: "127.0.0.1:{env.port()}"}}\n')
    with open(os.path.join(root, "etc", "meridian", "meridian.yaml"), "w", encoding="ascii") as file:
        file.write(config)
    machine = Machine(env, root)
    machine.run("setpriv --reuid meridian --regid meridian --init-groups meridian -t && systemctl enable --now meridian")
    assert get(port).status == 200
    reloads(machine, port)
    knocker = Knocker(port)
    changes(machine, knocker)
    knocker.end()
    assert knocker.refused == [] and len(knocker.lost) <= len(knocker.threads), (knocker.refused, knocker.lost, machine.journal())
    machine.run("test -s /var/log/meridian/access.log; logrotate --force /etc/logrotate.d/meridian; test -s /var/log/meridian/access.log.1")
    assert get(port).status == 200
    until(lambda: machine.run("test -s /var/log/meridian/access.log", check=False).returncode == 0, 20, "lines in the new file")
    machine.run("systemctl stop meridian; test $(systemctl show -p Result --value meridian) = success")
    machine.run("apt-get -qq purge -y meridian")
    left = machine.run("find / -xdev -iname '*meridian*' -not -path '/root/*' -not -path '/proc/*'").stdout
    assert left == "", left


def reloads(machine, port):
    assert "generation 2" in machine.run("systemctl reload meridian; meridianctl status | grep generation").stdout.replace("   ", " ")
    machine.run("cp /etc/meridian/meridian.yaml /root/good; echo 'pols: {}' >> /etc/meridian/meridian.yaml")
    assert machine.run("systemctl reload meridian", check=False).returncode == 1
    assert "did you mean 'pools'?" in machine.journal()
    machine.run("cp /root/good /etc/meridian/meridian.yaml; systemctl reload meridian; systemctl is-active meridian")
    assert get(port).status == 200


def changes(machine, knocker):
    """A crash, then another version: what was in the crashed process is lost, and nobody is refused."""
    def goes_on():
        before = knocker.served
        until(lambda: knocker.served > before + 20, 30, "service")
    goes_on()
    first = machine.main()
    machine.run(f"kill -{signal.SIGKILL.value} {first}")
    until(lambda: machine.main() not in (0, first), 20, "another process")
    goes_on()
    second = machine.main()
    machine.run("apt-get -qq install --no-install-recommends -y --reinstall /root/meridian.deb")
    until(lambda: machine.main() not in (0, second), 20, "the new version")
    goes_on()
    assert machine.run("systemctl show -p NRestarts --value meridian").stdout.strip() == "1", machine.journal()
