"""A PostgreSQL of the test's own, in its folder, reached by a unix socket."""
import fcntl
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

SQL = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                   "deploy", "sql", "meridian.sql")


def binaries():
    """The folder of the newest installed server, or None."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    return os.path.dirname(found[-1]) if found else None


def _target_of(link):
    try:
        return os.readlink(link)
    except OSError:
        return None


class Postgres:
    """The server refuses to run as root, so then it is the user postgres (or nobody) who does. With a
    port it listens on loopback too, where passwords are asked for; a pair (certificate, key) is for TLS."""

    def __init__(self, port=None, pair=None):
        self.bin, self.port, self.pair = binaries(), port, pair
        self.dir = tempfile.mkdtemp(prefix="meridian-pg-", dir="/tmp")
        self.data = os.path.join(self.dir, "data")
        self.user = self._user()
        if self.user:
            os.chown(self.dir, self.user.pw_uid, self.user.pw_gid)
            os.chmod(self.dir, 0o755)
        self.process = None
        self._begin(os.environ.get("MERIDIAN_PG_TEMPLATE"))
        if port:
            self._listen()
        self.start()

    def _begin(self, template):
        """The files of a server that has the objects: made anew, or a copy of those that a whole run shares."""
        if not template:
            self._make()
            return
        ready = os.path.join(template, "data")
        with open(os.path.join(template, "lock"), "a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(ready):
                self._make()
                shutil.copytree(self.data, ready + ".new")
                os.rename(ready + ".new", ready)
                return
        shutil.copytree(ready, self.data)
        self._own(self.data)

    def _make(self):
        self._run("initdb", "-D", self.data, "-U", "meridian", "-A", "trust", "-E", "UTF8", "--locale=C",
                  "--no-sync", "--wal-segsize=1")
        port, self.port = self.port, None
        self.start()
        self.sql(f"\\i {SQL}")
        self.stop()
        self.port = port

    def _listen(self):
        lines = [f"listen_addresses = '127.0.0.1'", f"port = {self.port}"]
        for name, path in zip(("server.crt", "server.key"), self.pair or ()):
            copy = os.path.join(self.data, name)
            shutil.copy(path, copy)
            os.chmod(copy, 0o600)
            if self.user:
                os.chown(copy, self.user.pw_uid, self.user.pw_gid)
        if self.pair:
            lines.append("ssl = on")
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="utf-8") as file:
            file.write("local all all trust\n" + ("hostssl" if self.pair else "host") +
                       " all all 127.0.0.1/32 scram-sha-256\n")

    @staticmethod
    def _user():
        if os.getuid() != 0:
            return None
        try:
            return pwd.getpwnam("postgres")
        except KeyError:
            return pwd.getpwnam("nobody")

    def _identity(self):
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}

    def _run(self, program, *args):
        done = subprocess.run([os.path.join(self.bin, program), *args], capture_output=True, text=True,
                              timeout=60, cwd=self.dir, **self._identity())
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"

    @property
    def words(self):
        """What a data source says."""
        return f"host={self.dir} dbname=postgres user=meridian" + (f" port={self.port}" if self.port else "")

    @property
    def socket(self):
        """The path of the unix socket."""
        return os.path.join(self.dir, f".s.PGSQL.{self.port or 5432}")

    def start(self, ready=True):
        log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen(
            [os.path.join(self.bin, "postgres"), "-D", self.data, "-k", self.dir,
             *(() if self.port else ("-c", "listen_addresses=")), "-c", "fsync=off", "-c", "max_prepared_transactions=10", "-c", "max_connections=40"],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.dir, **self._identity())
        log.close()
        if not ready:
            return
        for _ in range(200):
            if subprocess.run([os.path.join(self.bin, "pg_isready"), "-q", "-h", self.dir,
                               "-p", str(self.port or 5432)],
                              timeout=10, check=False).returncode == 0:
                return
            assert self.process.poll() is None, open(os.path.join(self.dir, "log")).read()
        raise AssertionError("the server did not get ready")

    def log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self, how=signal.SIGINT):
        """SIGINT: fast shutdown; SIGQUIT: at once, as a crash (the next start recovers)."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None
            for _ in range(1000):  # of one that was killed, others live on until they notice: no start goes before
                if not self._left_over():
                    break
                time.sleep(0.01)

    def _left_over(self):
        """The processes that work in the data folder."""
        return [link for link in glob.glob("/proc/[0-9]*/cwd") if _target_of(link) == os.path.realpath(self.data)]

    def become_standby_and_promote(self):
        """Recovers as a standby does, then goes on as the primary of a new timeline."""
        with open(os.path.join(self.data, "standby.signal"), "w", encoding="utf-8"):
            pass
        self.start()
        assert self.sql("SELECT pg_is_in_recovery()") == "t"
        self.sql("SELECT pg_promote()")

    def sql(self, text):
        """Runs statements, each in a transaction of its own; returns what the last one printed."""
        done = subprocess.run([os.path.join(self.bin, "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1",
                               "-h", self.dir, "-p", str(self.port or 5432), "-U", "meridian", "postgres"],
                              input=text,
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def dump(self):
        """The schema meridian as statements, without what differs by the day."""
        done = subprocess.run([os.path.join(self.bin, "pg_dump"), "-s", "-n", "meridian", "-h", self.dir, "-p",
                               str(self.port or 5432), "-U", "meridian", "postgres"], capture_output=True, text=True,
                              timeout=60, check=True)
        return [line for line in done.stdout.splitlines() if line and not line.startswith(("--", "\\"))]

    def take_back(self, copy):
        """An older copy of the files takes the place of the present ones."""
        shutil.rmtree(self.data)
        os.rename(copy, self.data)
        self._own(self.data)

    def _own(self, folder):
        if not self.user:
            return
        for path, folders, files in os.walk(folder):
            for name in ["."] + folders + files:
                os.chown(os.path.join(path, name), self.user.pw_uid, self.user.pw_gid)

    def standby(self):
        """Another server that follows this one."""
        other = Postgres.__new__(Postgres)
        other.bin, other.port, other.pair, other.user, other.process = self.bin, None, None, self.user, None
        other.dir = tempfile.mkdtemp(prefix="meridian-pg-", dir="/tmp")
        other.data = os.path.join(other.dir, "data")
        if other.user:
            os.chown(other.dir, other.user.pw_uid, other.user.pw_gid)
            os.chmod(other.dir, 0o755)
        other._run("pg_basebackup", "-D", other.data, "-R", "-h", self.dir, "-U", "meridian", "-c", "fast")
        other.start()
        return other

    def promote(self):
        self._run("pg_ctl", "promote", "-w", "-D", self.data)

    def be_replaced_by(self, other):
        """Whoever comes by this one's socket finds the other."""
        for name in ("", ".lock"):
            if os.path.exists(self.socket + name):
                os.unlink(self.socket + name)
        os.symlink(other.socket, self.socket)

    def close(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.dir, ignore_errors=True)
