"""Meridian under test: writes its configuration, starts it, talks to it, and looks at how it ended."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from pace import patience

SANITIZER = re.compile(r"(ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|"
                       r"Assertion .* failed)")
# What is lost, or wrong, ends it with the sanitizers' status.
SUPPRESSIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tsan.supp")
VALGRIND = ["valgrind", "-q", "--leak-check=full", "--errors-for-leak-kinds=definite", "--error-exitcode=86",
            "--child-silent-after-fork=yes"]
METRIC = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
LOOKS = ("status", "pools", "backends", "database", "certificates", "connections", "map")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Notify:
    """A service manager's notify socket, read all the time."""

    def __init__(self, path, reading=True):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.messages = []
        self.taken = 0
        self.news = threading.Condition()
        if reading:
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                text = self.socket.recv(65536).decode()
            except OSError:
                return
            if not text:
                return
            with self.news:
                self.messages.append(dict(line.split("=", 1) for line in text.splitlines() if "=" in line))
                self.news.notify_all()

    def wait(self, key, value, timeout):
        """The next message, of those not looked at yet, that says so; None after `timeout` seconds."""
        end = time.monotonic() + timeout
        with self.news:
            while True:
                while self.taken < len(self.messages):
                    message = self.messages[self.taken]
                    self.taken += 1
                    if message.get(key) == value:
                        return message
                if not self.news.wait(max(end - time.monotonic(), 0)):
                    return None

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        if not self.path.startswith("\0"):
            os.unlink(self.path)


class Meridian:
    """One balancer process. `config` is a dict (written as JSON, which is YAML) or the text itself.
    A dict gets a control socket, an admin address, an access log and short drains where it says
    nothing about them."""

    def __init__(self, env, config, args=(), environ=None, pass_fds=(), name="meridian"):
        self.env, self.args, self.environ, self.pass_fds = env, args, environ or {}, pass_fds
        self.dir = env.path(f"{name}-{env.port()}")
        os.makedirs(self.dir)
        self.file = os.path.join(self.dir, "meridian.yaml")
        self.control = os.path.join(self.dir, "control.sock")
        self.log_file = os.path.join(self.dir, "access.log")
        self.admin_port = env.port()
        self.program, self.before = env.program("meridian"), []  # what runs, and by what
        self.process = self.notify = None
        self.port = None
        self.stopped = False
        self.write(config)

    # --- configuration ---

    def defaults(self):
        return {
            "workers": 2,
            "admin": {"socket": self.control, "http": f"127.0.0.1:{self.admin_port}"},
            "log": {"access": {"path": self.log_file, "format": "json"}},
            "drain": {"requests": "5s", "tunnels": "1s"},
            **({"sandbox": False} if self.env.valgrind else {}),  # whose own code in each thread the filter refuses
        }

    def write(self, config):
        """Replaces the configuration file, as an editor would: all at once."""
        self.config = config
        if isinstance(config, dict):
            config = json.dumps({**self.defaults(), **config}, indent=1)
        with open(self.file + ".new", "w") as file:
            file.write(config)
        os.rename(self.file + ".new", self.file)

    # --- life ---

    def command(self, *args):
        return [*self.before, *(VALGRIND if self.env.valgrind else []), self.program, "-c", self.file, *self.args, *args]

    def environment(self):
        environ = {key: value for key, value in os.environ.items()
                   if key not in ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC")}
        environ.update(RUNTIME_DIRECTORY=self.dir, STATE_DIRECTORY=self.dir,
                       ASAN_OPTIONS="abort_on_error=0:exitcode=86:detect_leaks=1",
                       UBSAN_OPTIONS="print_stacktrace=1",
                       TSAN_OPTIONS=f"exitcode=86:second_deadlock_stack=1:suppressions={SUPPRESSIONS}")
        environ.update(self.environ)
        return environ

    def start(self, timeout=20):
        """Starts it and waits for READY=1."""
        timeout *= patience()
        self.notify = Notify(os.path.join(self.dir, "notify"))
        self.spawn(NOTIFY_SOCKET=self.notify.path)
        end = time.monotonic() + timeout
        while not self.notify.wait("READY", "1", 0.1):
            if self.process.poll() is not None:
                raise AssertionError(f"ended at start with {self.process.returncode}: {self.errors()}")
            assert time.monotonic() < end, f"not ready after {timeout} s: {self.errors()}"
        return self

    def spawn(self, **environ):
        """Starts it and returns at once."""
        self.stopped = False
        if self.env.valgrind and not isinstance(self.config, dict) and "sandbox:" not in self.config:
            self.write(self.config + "\nsandbox: false\n")
        stdout = open(os.path.join(self.dir, "stdout"), "ab")
        stderr = open(os.path.join(self.dir, "stderr"), "ab")
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=stdout,
                                        stderr=stderr, cwd=self.dir, pass_fds=self.pass_fds,
                                        env={**self.environment(), **environ})
        stdout.close()
        stderr.close()
        return self.process

    def run(self, *args, timeout=30):
        """Runs the program with further arguments until it ends; for -t, -T, -v."""
        return subprocess.run(self.command(*args), capture_output=True, text=True, timeout=timeout * patience(),
                              cwd=self.dir, env=self.environment())

    def signal(self, number):
        self.process.send_signal(number)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, timeout=30, status=0):
        """Ends it by TERM and checks how it ended."""
        if self.stopped or self.process is None:
            return
        self.stopped = True
        if self.alive():
            self.signal(signal.SIGTERM)
        try:
            result = self.process.wait(timeout * patience())
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(10)
            raise AssertionError(f"it did not end within {timeout} s of TERM") from None
        finally:
            if self.notify:
                self.notify.close()
                self.notify = None
        assert result == status, f"it ended with {result} instead of {status}"
        found = SANITIZER.search(self.errors())
        assert not found, f"a sanitizer complained: {found.group(0)}"

    def expect_end(self, status, timeout=30):
        """It ends by itself, with this status."""
        self.stopped = True
        result = self.process.wait(timeout * patience())
        assert result == status, f"it ended with {result} instead of {status}: {self.errors()}"

    # --- talking to it ---

    def ctl(self, *args, check=True, timeout=30):
        """meridianctl; returns what it printed."""
        done = subprocess.run([self.env.program("meridianctl"), "-s", self.control, *args],
                              capture_output=True, text=True, timeout=timeout * patience())
        if check:
            assert done.returncode == 0, f"meridianctl {args}: {done.returncode} {done.stdout}{done.stderr}"
            return done.stdout
        return done

    def ctl_json(self, *args):
        """What a command answers. meridianctl --json prints it as it comes (test_ctl): tests that wait ask without it
        what only looks, since a process for each question would take most of the machine."""
        if args[0] not in LOOKS or len(args) > 2:
            return json.loads(self.ctl("--json", *args))
        question = {"command": args[0], **({"pool": args[1]} if len(args) == 2 else {})}
        try:
            with socket.socket(socket.AF_UNIX) as control:
                control.settimeout(30)
                control.connect(self.control)
                control.sendall(json.dumps(question).encode() + b"\n")
                answer = json.loads(control.makefile().readline())
        except (OSError, ValueError) as problem:
            raise AssertionError(f"{args}: {problem!r}") from problem
        assert answer["ok"], answer
        return answer

    def reload(self, config=None, check=True):
        if config is not None:
            self.write(config)
        return self.ctl("reload", check=check)

    def admin(self, path, method="GET", host=None):
        """(status, body) of the admin listener."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10 * patience())
        try:
            connection.request(method, path, headers={"Host": host} if host else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metrics(self, only=""):
        """[(name, labels, value)] of /metrics, of names that begin so."""
        status, text = self.admin("/metrics")
        assert status == 200, status
        result = []
        for line in text.splitlines():
            if not line or line.startswith("#") or not line.startswith(only):
                continue
            match = METRIC.match(line)
            assert match, f"not a metric: {line!r}"
            result.append((match.group(1), dict(LABEL.findall(match.group(2) or "")), float(match.group(3))))
        return result

    def metric(self, name, **labels):
        """The sum over all series of this name that carry these labels; None where there is none."""
        values = [value for found, has, value in self.metrics(name)
                  if found == name and all(has.get(key) == want for key, want in labels.items())]
        return sum(values) if values else None

    # --- what it left ---

    def errors(self):
        return self._read("stderr")

    def access_log(self, count=1, timeout=10):
        """At least `count` lines of the access log, parsed."""
        end = time.monotonic() + timeout * patience()
        while True:
            lines = [line for line in self._read("access.log").split("\n") if line]
            if len(lines) >= count:
                return [json.loads(line) for line in lines]
            assert time.monotonic() < end, f"{len(lines)} of {count} log lines after {timeout} s"
            time.sleep(0.05)

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def story(self):
        """What it said, for the report of a failed test."""
        tail = "\n".join(self.errors().splitlines()[-80:])
        return f"--- {os.path.basename(self.dir)}: standard error ---\n{tail}"

    def _read(self, name):
        try:
            with open(os.path.join(self.dir, name), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def forget_logs(self):
        shutil.copyfile("/dev/null", self.log_file)
