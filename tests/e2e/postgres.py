"""A PostgreSQL of the test's own, in its folder, reached by a unix socket."""
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile

SQL = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                   "deploy", "sql", "meridian.sql")


def binaries():
    """The folder of the newest installed server, or None."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    return os.path.dirname(found[-1]) if found else None


class Postgres:
    """The server refuses to run as root, so then it is the user postgres (or nobody) who does."""

    def __init__(self):
        self.bin = binaries()
        self.dir = tempfile.mkdtemp(prefix="meridian-pg-", dir="/tmp")
        self.data = os.path.join(self.dir, "data")
        self.user = self._user()
        if self.user:
            os.chown(self.dir, self.user.pw_uid, self.user.pw_gid)
            os.chmod(self.dir, 0o755)
        self.process = None
        self.psql = None
        self._run("initdb", "-D", self.data, "-U", "meridian", "-A", "trust", "-E", "UTF8", "--locale=C",
                  "--no-sync")
        self.start()
        self.sql(f"\\i {SQL}")

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
        return f"host={self.dir} dbname=postgres user=meridian"

    def start(self):
        log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen(
            [os.path.join(self.bin, "postgres"), "-D", self.data, "-k", self.dir, "-c", "listen_addresses=",
             "-c", "fsync=off", "-c", "max_prepared_transactions=10", "-c", "max_connections=40"],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.dir, **self._identity())
        log.close()
        for _ in range(200):
            if subprocess.run([os.path.join(self.bin, "pg_isready"), "-q", "-h", self.dir],
                              timeout=10, check=False).returncode == 0:
                return
            assert self.process.poll() is None, open(os.path.join(self.dir, "log")).read()
        raise AssertionError("the server did not get ready")

    def stop(self, how=signal.SIGINT):
        """SIGINT: fast shutdown; SIGQUIT: at once, as a crash (the next start recovers)."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

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
                               "-h", self.dir, "-U", "meridian", "postgres"], input=text,
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def close(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.dir, ignore_errors=True)
