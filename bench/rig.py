"""What the benchmark scripts share: ports, pinned processes, CPU time, certificates, the load tool."""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_port(port, process=None, timeout=20):
    end = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process and process.poll() is not None:
                raise SystemExit(f"{process.args} ended with status {process.returncode}") from None
            if time.monotonic() > end:
                raise SystemExit(f"nothing listens on port {port}") from None
            time.sleep(0.05)


def certificate(folder):
    """A self-signed P-256 certificate: (chain, key, both in one file)."""
    chain, key, both = (os.path.join(folder, name) for name in ("cert.pem", "key.pem", "both.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out",
                    chain], check=True, capture_output=True)
    with open(both, "wb") as out:
        for part in (chain, key):
            with open(part, "rb") as file:
                shutil.copyfileobj(file, out)
    return chain, key, both


def how_to_build(build):
    """The command that makes all of the folder's programs: the demo, for one, makes only what it needs."""
    presets = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "build")
    preset = os.path.basename(os.path.abspath(build))
    make = f"cmake --build {build} -j {len(os.sched_getaffinity(0))}"
    if os.path.exists(os.path.join(build, "CMakeCache.txt")):
        return f"build it: {make}"
    ours = os.path.dirname(os.path.abspath(build)) == presets
    return f"build it: cmake {f'--preset {preset}' if ours else f'-B {build}'} && {make}"


class Rig:
    """Programs that end with the `with` block; the proxy on one CPU, all else on another."""

    def __init__(self, build):
        self.build = build
        cpus = sorted(os.sched_getaffinity(0))
        self.proxy_cpu, self.other_cpu = cpus[0], cpus[1 % len(cpus)]
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def tool(self, name):
        path = os.path.join(self.build, name)
        if not os.access(path, os.X_OK):
            raise SystemExit(f"{path} is not built; {how_to_build(self.build)}")
        return path

    def start(self, command, cpu=None, **kwargs):
        pin = (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None
        process = subprocess.Popen(command, preexec_fn=pin, stdin=subprocess.DEVNULL, **kwargs)
        self.processes.append(process)
        return process

    @contextlib.contextmanager
    def servers_first(self):
        """In this block what already runs beside the proxy, the servers, goes before everything else on its CPU, where
        the system allows that (True): the load generator is there, too, and for how long a server waits for its turn, a
        millisecond now and then, would be taken for the proxy's latency."""
        servers = [one.pid for one in self.processes
                   if one.poll() is None and os.sched_getaffinity(one.pid) == {self.other_cpu}]
        try:
            for pid in servers:
                os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))
        except PermissionError:
            yield False
            return
        try:
            yield True
        finally:
            for pid in servers:
                os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))

    def origin(self, *options, cpu=None):
        return self.start([self.tool("bench/origin"), *map(str, options)], cpu)

    def load(self, url, *options, cpu=None):
        """Runs the load tool to its end; its report."""
        return self.load_report(self.load_begin(url, *options, cpu=cpu))

    def load_begin(self, url, *options, cpu=None):
        return self.start([self.tool("bench/load"), *map(str, options), url], cpu, stdout=subprocess.PIPE, text=True)

    def load_report(self, process):
        output, _ = process.communicate()
        self.processes.remove(process)
        if process.returncode:
            raise SystemExit(f"the load tool ended with status {process.returncode}")
        return json.loads(output)


def family(pid):
    """The process and its children."""
    pids = [pid]
    for one in pids:
        try:
            with open(f"/proc/{one}/task/{one}/children") as file:
                pids += [int(child) for child in file.read().split()]
        except OSError:
            pass
    return pids


def cpu_seconds(pid):
    """(precise total, user ticks, system ticks) of a process, its threads and its children so far."""
    total = user = system = 0.0
    for one in family(pid):
        try:
            with open(f"/proc/{one}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            user += int(fields[11]) / TICKS
            system += int(fields[12]) / TICKS
            for thread in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{thread}/schedstat") as file:
                    total += int(file.read().split()[0]) / 1e9
        except (OSError, IndexError):
            continue
    return total or user + system, user, system
