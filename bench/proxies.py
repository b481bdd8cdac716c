"""The programs compared, each given the same work: Meridian, HAProxy, nginx, nghttpx, and the floor."""
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import tempfile

from rig import free_ports, wait_port

PEERS = ("haproxy", "nginx", "nghttpx")


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a proxy is to be configured for."""
    backends: int = 1
    hosts: int = 0      # host routes; 0: one route for all
    workers: int = 1
    log: bool = False   # an access log to a file
    h2_back: bool = False
    reloads: bool = False
    version: int = 1    # told at /version, so that a reload can be seen


HAPROXY = """\
global
  nbthread {workers}
  maxconn 8000
  stats socket {folder}/haproxy.sock expose-fd listeners
  {log_to}
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
defaults
  mode http
  timeout connect 3s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
  {log_it}
frontend plain
  bind 127.0.0.1:{plain}
  http-request return status 200 content-type text/plain string "v{version}" if {{ path /version }}
  {choose}
  default_backend api
frontend secure
  bind 127.0.0.1:{tls} ssl crt {both} alpn h2,http/1.1
  {choose}
  default_backend api
backend api
  balance leastconn
  option forwardfor
{servers}
"""

NGINX = """\
worker_processes {workers};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
worker_rlimit_nofile 20000;
events {{ worker_connections 16000; }}
http {{
  access_log {log_to};
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  tcp_nodelay on;
  keepalive_requests 1000000000; keepalive_timeout 600;
  server_names_hash_max_size 65536; server_names_hash_bucket_size 128;
  upstream api {{ least_conn; {servers} keepalive 2048; keepalive_requests 1000000000; }}
  ssl_certificate {chain}; ssl_certificate_key {key};
  ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
  ssl_session_tickets on;
  proxy_http_version 1.1; proxy_set_header Connection "";
  proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header Host $http_host;
{hosts}
}}
"""
NGINX_HOST = """\
  server {{
    listen 127.0.0.1:{plain}{more}; listen 127.0.0.1:{tls} ssl http2{more}; server_name {name};
    location = /version {{ return 200 "v{version}"; }}
    location / {{ proxy_pass http://api; }}
  }}
"""


def program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def host_names(setup):
    return [f"host{i}.example" for i in range(setup.hosts)]


def haproxy_text(values, setup, folder):
    names = host_names(setup)
    with open(os.path.join(folder, "hosts.map"), "w") as file:
        file.writelines(f"{name} api\n" for name in names)
    proto = (" proto h2" if setup.h2_back else "") + (" check inter 2s" if setup.backends > 1 else "")
    return HAPROXY.format(
        **values, workers=setup.workers, version=setup.version,
        log_to=f"log {values['folder']}/log.sock local0" if setup.log else "", log_it="log global\n  option httplog"
        if setup.log else "",
        choose=f"use_backend %[req.hdr(host),lower,map({folder}/hosts.map,api)]" if names else "",
        servers="\n".join(f"  server s{i} 127.0.0.1:{port}{proto}" for i, port in enumerate(values["origins"])))


def nginx_text(values, setup, folder):
    hosts = [NGINX_HOST.format(**values, version=setup.version, name=name, more="" if i else " backlog=4096")
             for i, name in enumerate(host_names(setup) or ["localhost"])]
    return NGINX.format(**values, workers=setup.workers, hosts="".join(hosts),
                        log_to=os.path.join(folder, "access.log") if setup.log else "off",
                        servers=" ".join(f"server 127.0.0.1:{port};" for port in values["origins"]))


def meridian_text(values, setup, folder):
    version = {"match": {"path": "/version"}, "name": "version", "respond": {"status": 200, "body": f"v{setup.version}"}}
    hosts = [{"match": {"host": name}, "name": name, "pool": "api"} for name in host_names(setup)]
    pool = {"backends": {f"s{i}": {"address": f"127.0.0.1:{port}"} for i, port in enumerate(values["origins"])}}
    if setup.h2_back:
        pool["protocol"] = "h2"
    return json.dumps({
        "workers": setup.workers,
        "listeners": {
            "plain": {"bind": f"127.0.0.1:{values['plain']}"},
            "secure": {"bind": f"127.0.0.1:{values['tls']}",
                       "tls": {"certificates": [{"chain": values["chain"], "key": values["key"]}]}}},
        "pools": {"api": pool},
        "routes": hosts + [version, {"name": "all", "pool": "api"}],
        "limits": {"connections_per_source": 20000},
        "log": {"access": {"path": os.path.join(folder, "access.log") if setup.log else "off"}},
        "admin": {"http": "off", "socket": os.path.join(folder, "control.sock")},
        "state": folder}, indent=1)


TEXTS = {"haproxy": haproxy_text, "nginx": nginx_text, "meridian": meridian_text}


class Proxy:
    """One of the programs: its ports and its process."""

    def __init__(self, rig, name, values, setup=Setup()):
        self.name, self.setup, self.rig = name, setup, rig
        self.plain, self.tls = free_ports(2)
        self.folder = tempfile.mkdtemp(prefix=f"{name}-", dir=values["folder"])
        self.values = {**values, "plain": self.plain, "tls": self.tls, "folder": self.folder}
        self.cpu = rig.proxy_cpu if setup.workers == 1 else None
        self.process = self.start(self.command())
        wait_port(self.plain, self.process, 60)
        self.more = []
        if name == "floor":
            self.more.append(self.start([self.rig.tool("bench/floor"), str(self.tls), ",".join(map(str, values["origins"])),
                                         values["chain"], values["key"]]))
            wait_port(self.tls, self.more[0])

    def start(self, command):
        log = os.path.join(self.folder, "output")
        with open(log, "ab") as out:
            return self.rig.start(command, self.cpu, stdout=out, stderr=out, env={
                **os.environ, "RUNTIME_DIRECTORY": self.folder, "STATE_DIRECTORY": self.folder})

    def write(self):
        path = os.path.join(self.folder, "config")
        with open(path, "w") as file:
            file.write(TEXTS[self.name](self.values, self.setup, self.folder))
        return path

    def command(self):
        values, setup = self.values, self.setup
        if self.name == "floor":
            return [self.rig.tool("bench/floor"), str(self.plain), ",".join(map(str, values["origins"]))]
        if self.name == "nghttpx":
            proto = ";;proto=h2" if setup.h2_back else ""
            log = [f"--accesslog-file={self.folder}/access.log"] if setup.log else []
            return [program("nghttpx"), "--conf=/dev/null", f"--workers={setup.workers}", "--single-process", "--no-ocsp",
                    f"--frontend=127.0.0.1,{self.plain};no-tls", f"--frontend=127.0.0.1,{self.tls}", *log,
                    *[f"--backend=127.0.0.1,{port}{proto}" for port in values["origins"]],
                    "--tls-min-proto-version=TLSv1.3", "--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--add-x-forwarded-for",
                    "--backlog=4096", values["key"], values["chain"]]
        path = self.write()
        if self.name == "haproxy":
            return [program("haproxy"), *(["-W"] if setup.reloads else []), "-db", "-f", path]
        if self.name == "nginx":
            return [program("nginx"), "-c", path, "-p", self.folder]
        return [self.rig.tool("meridian"), "-c", path]

    def reload(self, version):
        """Takes a new version of its configuration, as its operator would tell it to."""
        self.setup = dataclasses.replace(self.setup, version=version)
        self.write()
        self.process.send_signal(signal.SIGUSR2 if self.name == "haproxy" else signal.SIGHUP)

    def stop(self):
        for process in [self.process, *self.more]:
            if process not in self.rig.processes:
                continue
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self.rig.processes.remove(process)

    def pid(self, tls):
        """Whose CPU time counts."""
        return self.more[0].pid if tls and self.more else self.process.pid


def available(names, build):
    found = []
    for name in names:
        path = program(name) if name in PEERS else os.path.join(build, "bench/floor" if name == "floor" else name)
        if path and os.access(path, os.X_OK):
            found.append(name)
    return found
