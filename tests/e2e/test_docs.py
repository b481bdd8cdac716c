"""What the pages say is what the program does."""
import glob
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import xml.etree.ElementTree

from central import config_of, database
from client import Client, client_context, get
from env import Skip, seconds

THREADLESS = True  # the subject is the pages

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as page:
        return page.read()


def sources(*folders):
    """The text of all C files of the folders."""
    paths = [path for folder in folders for path in glob.glob(os.path.join(ROOT, folder, "*.[ch]"))]
    assert paths, folders
    return "\n".join(read(path) for path in paths)


def program(env, *args):
    return subprocess.run([env.program("meridian"), *args], capture_output=True, text=True, timeout=30)


def check_yaml(env, page, block):
    path = os.path.join(env.dir, "block.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(block)
    done = program(env, "-t", "-c", path)
    assert done.returncode == 0, (page, block, done.stderr)


def pages():
    found = sorted(glob.glob(os.path.join(ROOT, "docs", "*.md"))) + [os.path.join(ROOT, "README.md"), os.path.join(ROOT, "HACKING.md")]
    assert len(found) > 8
    return [os.path.relpath(path, ROOT) for path in found]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", read(page), re.S | re.M)


def completed(env, block):
    """A part of a configuration with what it leaves out, so that it can be checked; files are the test's."""
    html, places = env.write("page.html", "<p>sorry</p>"), env.geo_database([("5.1.0.0/16", "FR", 48.86, 2.35)])
    block = re.sub(r"/etc/meridian/\w+\.html", html, re.sub(r"[^\s\[\],]+\.mmdb", places, block))
    if "chain: /" in block:
        pair = env.authority.server("www.example.com")
        block = re.sub(r"key: /[^,}\s]+", f"key: {pair.key}", re.sub(r"chain: /[^,}\s]+", f"chain: {pair.chain}", block))
    has = set(re.findall(r"^(\w+):", block, re.M))
    if "listeners" not in has:
        block += 'listeners: {public: {bind: "127.0.0.1:8080"}}\n'
    if "pools" not in has:
        named = {"api", *re.findall(r"\bpool: (\w+)", block), *re.findall(r"(\w+): \d+[,}]", "".join(re.findall(r"split: .*", block)))}
        block += "pools:\n" + "".join(f'  {name}: {{backends: {{one: {{address: "127.0.0.1:9001"}}}}}}\n' for name in sorted(named))
    if "routes" not in has:
        block += "routes: [{pool: %s}]\n" % re.search(r"^pools:\n?[ {]*(\w+):", block, re.M)[1]
    sites = set(re.findall(r"\bsite: (\w+)", block))
    if sites and "sites" not in has:
        block += "".join(["sites:\n", *(f"  {site}: {{location: [50.1, 8.7], country: DE}}\n" for site in sorted(sites))])
    if "geo" not in has and re.search(r"residency|countries", block):
        block += f"geo: {{databases: [{places}]}}\n"
    return block


def test_manual_names_every_section(env):
    """meridian.yaml(5) has all keys of the top level that the reference has, and no other."""
    del env
    sections = read("docs", "man", "meridian.yaml.5").split(".SH SECTIONS")[1].split(".PP")[0]
    named = set(re.findall(r"\w+", " ".join(re.findall(r"^\.BR? (.*)$", sections, re.M))))
    assert named == set(re.findall(r"^## ([a-z_]+)$", read("docs", "configuration.md"), re.M))


def test_yaml_of_the_pages_is_valid(env):
    """All blocks of all pages; those that leave out parts are completed."""
    count = 0
    for page in pages():
        for block in blocks(page, "yaml"):
            check_yaml(env, page, completed(env, block))
            count += 1
        assert not re.search(r"^    (listeners|pools|routes):\n", read(page), re.M), f"{page}: a block that no test sees"
    assert count >= 15, count


def test_shell_of_the_pages_parses(env):
    """All blocks of all pages, by bash itself."""
    del env
    count = 0
    for page in pages():
        for block in blocks(page, "sh"):
            done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, timeout=20)
            assert done.returncode == 0, (page, block, done.stderr)
            count += 1
    assert count >= 15, count


# Which test runs a block of shell as it is written, by page and how the block begins ("": all of the page).
RUN = {
    ("README.md", "scripts/demo.sh"): "test_demo.test_demo_checks_itself",
    ("README.md", "sudo apt install"): "test_package.test_package_on_a_fresh_system",
    ("docs/control-protocol.md", "printf"): "test_docs.test_control_protocol_names_every_command",
    ("docs/database.md", "psql"): "test_docs.test_objects_of_the_database_are_made_as_written",
    ("docs/operations.md", "curl -X POST"): "test_docs.test_commands_over_http_work_as_written",
    ("docs/operations.md", "meridianctl drain"): "test_docs.test_draining_works_as_written",
    ("docs/operations.md", "systemctl enable"): "test_units.test_enabling_as_the_pages_say",
    ("docs/operations.md", "#!/bin/sh"): "test_docs.test_certbot_works_as_written",
    ("docs/operations.md", "install -d"): "test_docs.test_certbot_works_as_written",
    ("docs/tutorial.md", ""): "test_docs.test_tutorial_works_as_written",
}


def test_shell_of_the_pages_is_run_or_says_that_it_is_not(env):
    """Each block is run by a test that exists, or the line above it says why none does."""
    del env
    used, untested = set(), 0
    for page in pages():
        for above, block in re.findall(r"^([^\n]*)\n```sh\n(.*?)^```$", read(page), re.S | re.M):
            told = re.fullmatch(r"<!-- not run by a test\b.*: .+ -->", above)
            runs = [key for key in RUN if key[0] == page and block.startswith(key[1])]
            assert bool(told) != bool(runs), (page, block)
            used |= set(runs)
            untested += bool(told)
    assert used == set(RUN), set(RUN) - used
    assert untested <= 5, untested
    for name in RUN.values():
        module, function = name.split(".")
        assert re.search(rf"^def {function}\(", read("tests", "e2e", module + ".py"), re.M), name


def test_draining_works_as_written(env):
    """The four lines of operations.md; the one that watches is ended when it has shown the backend drained twice."""
    block = next(block for block in blocks("docs/operations.md", "sh") if block.startswith("meridianctl drain"))
    origins = [env.origin(), env.origin()]
    balancer = env.meridian({
        "sites": {"fra": {"location": [50.1, 8.7], "country": "DE"}}, "listeners": {"public": {"bind": f"127.0.0.1:{env.port()}"}},
        "pools": {"api": {"backends": {name: {"address": origin.address, "site": "fra"} for name, origin in zip(("one", "two"), origins)}}},
        "routes": [{"pool": "api"}]})
    ctl = f"{env.program('meridianctl')} -s {balancer.control}"
    lines = [line.replace("meridianctl", ctl) for line in block.splitlines()]
    assert len(lines) == 4 and "--watch" in lines[1], lines
    subprocess.run(["sh", "-ec", lines[0]], check=True, timeout=30)
    with subprocess.Popen(["sh", "-ec", "exec " + lines[1]], stdout=subprocess.PIPE, text=True) as watch:
        shown = []
        while len(shown) < 2:
            line = watch.stdout.readline()
            assert line, shown
            shown += [line] if line.startswith("api/one") else []
        watch.kill()
    assert all("drain" in line for line in shown), shown
    subprocess.run(["sh", "-ec", lines[2]], check=True, timeout=30)
    assert [row["admin"] for row in balancer.ctl_json("backends")["backends"]] == ["active"] * 2
    subprocess.run(["sh", "-ec", lines[3]], check=True, timeout=30)
    assert [row["admin"] for row in balancer.ctl_json("backends")["backends"]] == ["maintenance"] * 2


def test_objects_of_the_database_are_made_as_written(env):
    server = database(env)
    server.sql("CREATE DATABASE fresh")
    block, = blocks("docs/database.md", "sh")
    words = dict(word.split("=", 1) for word in server.words.split())
    done = subprocess.run(["sh", "-ec", block], capture_output=True, text=True, timeout=60, cwd=ROOT, env={
        **os.environ, "PATH": server.bin + ":" + os.environ["PATH"], "PGHOST": words["host"], "PGUSER": words["user"],
        "PGDATABASE": "fresh"})
    assert done.returncode == 0, done.stdout + done.stderr
    config = config_of(env, server, env.origin())
    config["data_sources"]["main"]["postgres"] = re.sub(r"dbname=\S+", "dbname=fresh", server.words)
    done = env.meridian(config, start=False).run("-t", "--with-database")
    assert done.returncode == 0, done.stderr


def test_pictures_of_the_pages_are_there(env):
    """Each is well-formed, says what it shows, and loads nothing."""
    del env
    count = 0
    for page in pages():
        for words, path in re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", read(page)):
            tree = xml.etree.ElementTree.fromstring(read(os.path.dirname(page), path))
            assert len(words) > 20 and tree.find("{http://www.w3.org/2000/svg}desc") is not None, (page, path)
            assert "href" not in read(os.path.dirname(page), path), path
            count += 1
    assert count >= 3


def test_commands_over_http_work_as_written(env):
    block = next(block for block in blocks("docs/operations.md", "sh") if "curl -X POST" in block)
    token, port = env.write("admin.token", "a-long-and-secret-word\n"), env.port()
    balancer = env.simple(env.origin(), admin={"socket": env.path("c.sock"), "http": f"127.0.0.1:{port}", "token": f"file:{token}"})
    balancer.control = env.path("c.sock")
    block = block.replace("/etc/meridian/admin.token", token).replace("127.0.0.1:9977", f"127.0.0.1:{port}").replace("api/one", "api/a")
    done = subprocess.run(["sh", "-c", block], capture_output=True, text=True, timeout=30)
    said = json.loads(done.stdout)
    assert (said["ok"], said["command"], said["endpoints"]) == (True, "drain", 1), done
    assert balancer.ctl_json("backends")["backends"][0]["admin"] == "drain"


def test_packages_of_others_are_listed(env):
    """Those that the lock file puts into the bundle, and only those."""
    lock = json.loads(read("admin", "web", "package-lock.json"))["packages"]
    inside = {path.split("node_modules/")[-1] for path, facts in lock.items() if path and not facts.get("dev")} - {"commander"}
    told = set(re.findall(r"^\| ([\w-]+) \| ISC \|", read("docs", "THIRD-PARTY.md"), re.M))
    assert told == inside, told ^ inside
    bundle = os.path.join(env.build, "map", "map.js")
    if os.path.exists(bundle) and os.path.getsize(bundle):
        with open(bundle, encoding="utf-8") as file:
            head = file.read().split("*/")[0]
        for name in told:
            assert re.search(rf"^{name} {lock['node_modules/' + name]['version']}$", head, re.M), name


def test_yaml_of_the_man_page_is_valid(env):
    block = re.search(r"^\.EX\n(.*?)^\.EE$", read("docs", "man", "meridian.yaml.5"), re.S | re.M)
    check_yaml(env, "meridian.yaml.5", block[1])


def test_examples_are_valid(env):
    """With files of the test in the place of the certificates and databases that they name."""
    examples = sorted(glob.glob(os.path.join(ROOT, "deploy", "examples", "*.yaml")))
    assert examples
    certificate = env.authority.server("example.com", "example.org")
    chain, key = certificate.chain, certificate.key
    places = env.geo_database([("5.1.0.0/16", "FR", 48.86, 2.35)])
    numbers = itertools.count()

    def copied(path):
        """The same under another name: no certificate may be given twice."""
        return shutil.copy(path, env.path(f"{next(numbers)}.pem"))
    for example in examples:
        text = re.sub(r"chain: [^,}\s]+", lambda _: f"chain: {copied(chain)}", read(example))
        text = re.sub(r"key: /[^,}\s]+", f"key: {key}", text)
        text = re.sub(r"\b(ca|client_ca): /[^,}\s]+", rf"\1: {chain}", text)
        text = re.sub(r"[^\s\[\],]+\.mmdb", places, text)
        check_yaml(env, example, text)


def test_arrows_are_those_of_the_build(env):
    build = dict(re.findall(r"^meridian_library\((\w+) +\S+ +(?:SEES ([a-z ]+?))?(?: LINK.*)?\)$",
                            read("CMakeLists.txt"), re.M))
    table = dict(re.findall(r"^\| (\w+) \| `[a-z/]+` \| ([^|]+) \|$", read("docs", "architecture.md"), re.M))
    assert set(build) == set(table), set(build) ^ set(table)
    for layer, sees in build.items():
        if layer == "run":
            continue
        told = set(re.findall(r"[a-z]+", table[layer])) - {"nothing"}
        assert told == set(sees.split()), layer


def test_fields_of_the_access_log_are_explained(env):
    code = read("lb", "proxy", "access_log.c")
    names = set(re.findall(r'(?:text|word|number|seconds)\((?:out|b), "(\w+)"', code)) | {"time", "distance_ms"}
    told = set(re.findall(r"`(\w+)`", read("docs", "operations.md")))
    assert names <= told, names - told


def test_installed_files_exist(env):
    del env
    text = read("deploy", "CMakeLists.txt") + read("deploy", "install-units.cmake.in")
    names = set(re.findall(r"\bmeridian[a-z-]*\.(?:service|socket|sysusers|tmpfiles|logrotate|schema\.json)\b", text))
    assert len(names) == 8, names
    for name in names:
        assert os.path.exists(os.path.join(ROOT, "deploy", name)), name


def test_limits_are_all_explained(env):
    """Each row that lb/base/limits.h names is a row of the page, with the key of each that has one."""
    page = read("docs/limits.md")
    rows = set(re.findall(r"^\| (L\d+) \|", page, re.M))
    assert rows >= set(re.findall(r"\bL\d+\b", read("lb/base/limits.h")))
    keys = set(re.findall(r"^\| `((?:limits|timeouts|drain)\.\w+)`", read("docs/configuration.md"), re.M))
    missing = [key for key in keys if key.split(".")[1] not in page]
    assert not missing, missing


def test_end_reasons_are_all_explained(env):
    del env
    code = read("lb", "base", "err.h").replace("\\\n", " ")
    build = {name: (int(status), phrase) for name, status, phrase in
             re.findall(r'X\(\w+,\s*"([\w-]+)",\s*(\d+),\s*"([^"]+)"\)', code)}
    assert len(build) == len(re.findall(r"\bX\([A-Z0-9_]+,", code))
    page = read("docs", "operations.md").split("## End reasons")[1].split("\n## ")[0]
    told = {name: (0 if status == "–" else int(status), phrase) for name, status, phrase in
            re.findall(r"^\| `([\w-]+)` \| (\d+|–) \| (.+) \|$", page, re.M)}
    assert told == build, set(told.items()) ^ set(build.items())


def test_metrics_are_all_explained(env):
    """Against a running process: families and types, and the labels of those that have rows."""
    certificate = env.authority.server("localhost")
    balancer = env.simple(env.origin(), listener={"tls": {"certificates": [certificate.config()]}})
    config = {**balancer.config, "data_sources": {"main": {"postgres": "host=/nowhere"}},
              "dependencies": {"db": {"data_source": "main"}}}
    for pool in config["pools"].values():
        pool["registry"] = {"source": "main", "allow": ["192.0.2.0/24"]}
    balancer.reload(config)
    text = balancer.admin("/metrics")[1]
    served = dict(re.findall(r"^# TYPE (meridian_\w+) (\w+)$", text, re.M))
    page = read("docs", "operations.md").split("## Metrics")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(meridian_\w+)` \| (\w+) \| ([^|]+) \| .+ \|$", page, re.M)
    assert {name: kind for name, kind, _ in rows} == served
    for name, _, labels in rows:
        row = re.search(rf"^{name}(?:_bucket)?(?:\{{(.*)\}})? \S+$", text, re.M)
        assert row, name
        found = [key for key in re.findall(r'(\w+)="', row[1] or "") if key != "le"]
        assert found == ([] if labels == "–" else labels.split(", ")), (name, found)


def test_names_of_the_architecture_exist(env):
    """Functions in the walk, and every path: the page must not outlive what it tells of."""
    del env
    page = read("docs", "architecture.md")
    code = sources("lb/base", "lb/net", "lb/http", "lb/pick", "lb/proxy", "lb/run", "geo", "conf", "health", "db", "admin")
    walk = page.split("## One request")[1].split("## Two tables")[0]
    names = set(re.findall(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b", walk)) - {"h1_front", "h1_parse"}
    assert len(names) > 20
    missing = {name for name in names if not re.search(rf"\b{name}\b", code)}
    assert not missing, missing
    for path in re.findall(r"`((?:lb|health|geo|conf|admin|scripts|cmake|tests)/[\w/.-]+)`", page):
        assert os.path.exists(os.path.join(ROOT, path)), path


def test_options_are_in_the_man_pages(env):
    for name, section in [("meridian", 8), ("meridianctl", 8)]:
        usage = subprocess.run([env.program(name), "-h"], capture_output=True, text=True, timeout=30).stdout
        page = read("docs", "man", f"{name}.{section}").replace("\\-", "-")
        words = set(re.findall(r"(?<![\w-])--?[a-zA-Z][a-z-]*", usage))
        words |= set(re.findall(r"^  ([a-z][a-z-]+)\b", usage, re.M))
        assert len(words) > 5, usage
        missing = {word for word in words if word not in page}
        assert not missing, (name, missing)


def exposure(unit):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                           os.path.join(ROOT, "deploy", unit)], capture_output=True, text=True, timeout=30)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


def test_units_are_sandboxed(env):
    del env
    if shutil.which("systemd-analyze") is None:
        raise Skip("systemd-analyze is not installed")
    assert exposure("meridian.service") <= 2.0
    assert exposure("meridian-activated.service") <= 1.5


def test_control_protocol_names_every_command(env):
    """The page's table is the program's, and its example works as written."""
    page = read("docs", "control-protocol.md")
    told = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.M))
    have = set(re.findall(r'^    \{"([a-z-]+)", run_\w+\},', read("admin", "command.c"), re.M))
    assert len(have) > 10 and told == have, told ^ have
    balancer = env.simple(env.origin())
    block = re.search(r"```sh\n(.*?)```", page, re.S)[1]
    done = subprocess.run(["sh", "-c", block.replace("/run/meridian/control.sock", balancer.control)],
                          capture_output=True, text=True, timeout=30)
    answer = json.loads(done.stdout)
    assert answer["ok"] is True and answer["command"] == "status", done
    refused = json.loads(re.search(r"```json\n(.*?)```", page, re.S)[1])
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(balancer.control)
        control.sendall(b'{"command": "drain", "backend": "api/x"}\n')
        assert json.loads(control.makefile().readline()) == refused


def reasons():
    code = read("lb", "base", "err.h").replace("\\\n", " ")
    return set(re.findall(r'X\(\w+,\s*"([\w-]+)",\s*\d', code))


def test_troubleshooting_has_every_end_reason(env):
    """Each once, and none that is not; symptoms name only those that exist."""
    del env
    symptoms, table = read("docs", "troubleshooting.md").split("## By end reason")
    told = [name for row in re.findall(r"^\| (`[^|]+) \|", table, re.M) for name in re.findall(r"`([\w-]+)`", row)]
    assert len(told) == len(set(told)), sorted(name for name in told if told.count(name) > 1)
    assert set(told) == reasons(), set(told) ^ reasons()
    named = set(re.findall(r"`((?:limit|backend|client|queue|rate|h2)-[\w]+)`", symptoms))
    assert len(named) > 5 and named <= reasons(), named - reasons()


@seconds(120)
def test_tutorial_works_as_written(env):
    """All its blocks in one shell, only with ports and a folder of the test."""
    script = "\n".join(re.findall(r"```sh\n(.*?)```", read("docs", "tutorial.md"), re.S))
    folder = env.path("tutorial")
    for port in ("8080", "9001", "9002", "9977"):
        script = script.replace(f"127.0.0.1:{port}", f"127.0.0.1:@{port}").replace(f"server {port} ", f"server @{port} ")
    script = script.replace("in 9001 9002", "in @9001 @9002")
    for port in ("8080", "9001", "9002", "9977"):
        script = script.replace(f"@{port}", str(env.port()))
    script = script.replace("/tmp/meridian-tutorial", folder).replace("$PWD/build/release", env.build)
    done = subprocess.run(["bash", "-euo", "pipefail", "-m"], input=script, capture_output=True, text=True, timeout=100,
                          cwd=env.root)
    said = done.stdout
    assert done.returncode == 0, said + done.stderr
    assert "the configuration is fine" in said and "~ pools.web.backends.one.weight: 100 -> 50" in said, said
    served = said.split("the configuration is fine")[1]
    counts = [int(n) for n in re.findall(r"^ +(\d+) hello from (?:one|two)$", served, re.M)]
    assert len(counts) == 2 and sum(counts) == 20, said
    assert "refused, and nothing has changed" in said and "did you mean 'web'?" in said + done.stderr
    drained = said.rsplit("refused, and nothing has changed", 1)[1]
    assert drained.count("hello from one") >= 3, drained


CERTBOT = """#!/bin/sh
# As certbot does with these options: the challenge into the folder, read by the authority over HTTP, then the hook.
set -e
while [ $# -gt 0 ]; do case "$1" in -w) folder="$2" ;; --deploy-hook) hook="$2" ;; esac; shift; done
mkdir -p "$folder/.well-known/acme-challenge"
echo token.thumbprint > "$folder/.well-known/acme-challenge/token"
test "$(curl -s http://127.0.0.1:$AUTHORITY_PORT/.well-known/acme-challenge/token)" = token.thumbprint
RENEWED_LINEAGE="$LINEAGE" "$hook"
"""


def test_certbot_works_as_written(env):
    """Both configurations, the hook and the command of operations.md, with an authority of the test in certbot's place."""
    page = read("docs", "operations.md").split("## Certificates by certbot")[1].split("\n## ")[0]
    (first, second), (hook, ask) = (re.findall(rf"^```{kind}\n(.*?)^```$", page, re.S | re.M) for kind in ("yaml", "sh"))
    pair, plain, secure, origin = env.authority.server("www.example.com"), env.port(), env.port(), env.origin()
    tls, acme, script = env.path("etc"), env.path("acme"), env.path("deploy", "meridian")
    os.makedirs(tls)

    def here(text):
        for told, real in [("/etc/meridian/tls", tls), ("/var/lib/meridian/acme", acme), ("0.0.0.0:80", f"127.0.0.1:{plain}"),
                           ("0.0.0.0:443", f"127.0.0.1:{secure}"), ("10.0.0.11:8080", origin.address), ("-o root -g meridian ", ""),
                           ("/etc/letsencrypt/renewal-hooks/deploy/meridian", script)]:
            text = text.replace(told, real)
        return text
    env.write("lineage/fullchain.pem", read(pair.chain))
    env.write("lineage/privkey.pem", read(pair.key))
    for path, content in [(script, here(hook)), (env.path("bin", "certbot"), CERTBOT)]:
        env.write(path, content)
        os.chmod(path, 0o755)
    more = f"admin: {{socket: {env.path('c.sock')}, http: off}}\n"
    balancer = env.meridian(here(first) + more)
    balancer.control = env.path("c.sock")
    done = subprocess.run(["sh", "-ec", here(ask)], capture_output=True, text=True, timeout=30, env={
        **os.environ, "PATH": env.path("bin") + ":" + os.environ["PATH"], "AUTHORITY_PORT": str(plain), "LINEAGE": env.path("lineage")})
    assert done.returncode == 0, done.stdout + done.stderr
    balancer.reload(here(second) + more)
    assert get(plain).status == 308 and get(plain, "/.well-known/acme-challenge/token").body.strip() == b"token.thumbprint"
    with Client(secure, tls=client_context(env.authority.ca), name="www.example.com") as client:
        assert client.get().status == 200


def test_shell_of_the_pages_names_what_exists(env):
    """Programs and files of the project in shell blocks are there, with the options that they get."""
    presets = set(re.findall(r'"name": "(\w+)"', read("CMakePresets.json")))
    helps = {}
    for page in pages():
        text = read(page)
        lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
        lines += re.findall(r"^    (\S.+)$", text, re.M)
        for line in lines:
            for path in re.findall(r"(?<![\w/.-])((?:scripts|tests|bench)/[\w/]+\.(?:sh|py))", line):
                assert os.path.exists(os.path.join(ROOT, path)), (page, path)
            assert set(re.findall(r"--preset (\w+)", line)) <= presets, (page, line)
            found = re.search(r"meridianctl (?:--\w+ )*([a-z-]+)", line)
            if found and "helps" not in helps:
                helps["helps"] = subprocess.run([env.program("meridianctl"), "-h"], capture_output=True, text=True,
                                                timeout=30).stdout
            assert not found or re.search(rf"^  {found[1]}\b", helps["helps"], re.M), (page, line)
