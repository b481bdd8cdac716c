"""What deploy/ ships fits the program: dashboard and alert rules name metrics that exist, examples have the
editor's line, and the package holds what its scripts and units name."""
import glob
import json
import os
import re
import shutil
import subprocess

from env import Skip, seconds

THREADLESS = True  # the subject is what is shipped beside the program


def path(env, *names):
    return os.path.join(env.root, "deploy", *names)


def text(env, *names):
    with open(path(env, *names), encoding="utf-8") as file:
        return file.read()


def served(env):
    """Families of a running balancer that has all kinds of rows: name to type."""
    certificate = env.authority.server("localhost")
    balancer = env.simple(env.origin(), listener={"tls": {"certificates": [certificate.config()]}})
    page = balancer.admin("/metrics")[1]
    return page, dict(re.findall(r"^# TYPE (meridian_\w+) (\w+)$", page, re.M))


def check_expressions(families, expressions):
    """Every metric exists, counters are never shown raw, histograms only by their parts."""
    assert expressions
    for expression in expressions:
        names = re.findall(r"\bmeridian_\w+", expression)
        assert names, expression
        for name in names:
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            kind = families.get(name) or families.get(base)
            assert kind is not None, name
            assert (kind == "histogram") == (name not in families), name
            if kind != "gauge":
                assert re.search(rf"(rate|increase)\({name}\b", expression), expression


def test_alert_rules_name_metrics_that_exist(env):
    rules = text(env, "prometheus", "meridian.rules.yml")
    check_expressions(served(env)[1], re.findall(r"^ +expr: (.+)$", rules, re.M))
    alerts = re.findall(r"^ +- alert: (\w+)$", rules, re.M)
    assert len(alerts) == len(set(alerts)) >= 8
    assert rules.count("summary:") == rules.count("description:") == len(alerts)


def test_dashboard_names_metrics_that_exist(env):
    board = json.loads(text(env, "grafana", "meridian.json"))
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len(panels) >= 10 and len({panel["id"] for panel in panels}) == len(panels)
    check_expressions(served(env)[1], [target["expr"] for panel in panels for target in panel["targets"]])
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)


def promtool():
    tool = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if tool is None:
        raise Skip("promtool is not installed")
    return tool


def test_promtool_takes_rules_and_metrics(env):
    """Prometheus' own reading of both, and its rules for names."""
    done = subprocess.run([promtool(), "check", "rules", path(env, "prometheus", "meridian.rules.yml")],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run([promtool(), "check", "metrics"], input=served(env)[0], capture_output=True, text=True,
                          timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


def test_examples_have_the_editors_line(env):
    examples = glob.glob(path(env, "examples", "*.yaml"))
    assert len(examples) >= 10
    cmake = text(env, "CMakeLists.txt")
    assert 'FILES meridian.schema.json DESTINATION "${CMAKE_INSTALL_DATADIR}/meridian"' in cmake
    for example in examples:
        first = text(env, "examples", os.path.basename(example)).splitlines()[0]
        assert first == "# yaml-language-server: $schema=/usr/share/meridian/meridian.schema.json", example


def test_migrations_stand_side_by_side(env):
    for other, own in [("nginx.conf", "from-nginx.yaml"), ("haproxy.cfg", "from-haproxy.yaml")]:
        theirs, ours = text(env, "examples", "migration", other), text(env, "examples", own)
        for address in set(re.findall(r"\b10\.0\.0\.\d+:\d+", theirs)):
            assert address in ours, (own, address)
        assert f"migration/{other}" in ours and own in theirs


def test_logrotate_takes_its_file(env):
    if shutil.which("logrotate") is None:
        raise Skip("logrotate is not installed")
    rules = text(env, "meridian.logrotate").replace("/var/log/meridian", env.dir).replace("su meridian meridian", "")
    rules = re.sub(r"create .*", "create", rules)
    log = env.write("access.log", "x\n")
    os.chmod(env.dir, 0o755)
    done = subprocess.run(["logrotate", "--force", "--state", env.path("state"), env.write("rules", rules)],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert os.path.exists(log + ".1") and os.path.getsize(log) == 0


def test_maintainer_scripts_are_sound(env):
    scripts = [path(env, "debian", name) for name in ("postinst", "prerm", "postrm")]
    for script in scripts:
        assert os.access(script, os.X_OK), script
        subprocess.run(["sh", "-n", script], check=True, timeout=30)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", *scripts], check=True, timeout=60)
    conffiles = text(env, "debian", "conffiles").split()
    assert sorted(conffiles) == ["/etc/logrotate.d/meridian", "/etc/meridian/meridian.yaml"]


@seconds(170)
def test_units_and_scripts_name_installed_programs(env):
    """An installation into a folder holds every file that units and scripts name below /usr."""
    target = env.path("installed")
    done = subprocess.run(["cmake", "--install", env.build, "--prefix", "/usr"], capture_output=True, text=True,
                          timeout=160, env={**os.environ, "DESTDIR": target})
    assert done.returncode == 0, done.stdout + done.stderr
    named = set()
    for unit in glob.glob(path(env, "*.service")):
        named |= set(re.findall(r"^Exec\w+=(/usr/\S+)", text(env, os.path.basename(unit)), re.M))
    for script in ("postinst", "prerm", "postrm"):
        named |= set(re.findall(r"/usr/lib/\S+\.conf", text(env, "debian", script)))
    named |= {"/usr/share/meridian/meridian.schema.json", "/etc/meridian/meridian.yaml", "/etc/logrotate.d/meridian"}
    assert len(named) >= 6
    for name in named:
        assert os.path.exists(target + name), name
