"""What makes configurations pleasant to change: the schema for editors, warnings, the summary of a reload."""
import copy
import json
import os
import re
import signal

from client import get
from env import threadless, until


def fits(schema, value):
    """Whether the value fits the JSON Schema: the keywords of draft-07 that ours uses."""
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
    if "const" in schema and value != schema["const"] or "enum" in schema and value not in schema["enum"]:
        return False
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    if names and not any(isinstance(value, kinds[n]) and (n == "boolean" or not isinstance(value, bool)) for n in names):
        return False
    if "anyOf" in schema and not any(fits(s, value) for s in schema["anyOf"]):
        return False
    if "oneOf" in schema and sum(fits(s, value) for s in schema["oneOf"]) != 1:
        return False
    if "not" in schema and fits(schema["not"], value):
        return False
    if isinstance(value, str):
        return re.search(schema.get("pattern", ""), value) is not None
    if isinstance(value, dict):
        return fits_map(schema, value)
    if isinstance(value, list):
        return schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)) and \
            all(fits(schema.get("items", {}), item) for item in value)
    return schema.get("minimum", value) <= value <= schema.get("maximum", value)


def fits_map(schema, value):
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)):
        return False
    if any(key not in value for key in schema.get("required", [])):
        return False
    if not all(fits(schema.get("propertyNames", {}), key) for key in value):
        return False
    return all(fits(known[key], item) if key in known else others is not False and fits(others, item)
               for key, item in value.items())


def schema(env):
    with open(os.path.join(env.root, "deploy", "meridian.schema.json"), encoding="utf-8") as file:
        return json.load(file)


def configuration(env, **more):
    return {"listeners": {"p": {"bind": f"127.0.0.1:{env.port()}"}}, "admin": {"http": "off"},
            "pools": {"api": {"backends": {"a": {"address": "127.0.0.1:9"}}}}, "routes": [{"pool": "api"}], **more}


def checked(env, text):
    balancer = env.meridian(text, start=False)
    balancer.stopped = True
    return balancer.run("-t")


@threadless
def test_schema_and_program_agree(env):
    """What an editor underlines, -t refuses, and what -t takes, no editor underlines."""
    one = {"a": {"address": "127.0.0.1:9"}}
    good = [{}, {"workers": 2}, {"workers": "auto"}, {"timeouts": {"idle": "250ms"}}, {"limits": {"head": "16KiB"}},
            {"pools": {"api": {"backends": one, "retries": {"on": ["connect", 502]}, "health": {"off": True}}}},
            {"pools": {"api": {"backends": one, "balance": {"spill_band": 1.5}, "health": {"http": {"status": 200}}}}},
            {"routes": [{"pool": "api", "match": {"path": {"exact": "/x"}, "methods": ["GET"], "headers": {"A": "1"}}}]},
            {"routes": [{"split": {"api": 5}}, {"match": {"path": "/r"}, "respond": {"status": 204}}]},
            {"here": {"location": [50.11, 8.68]}}, {"drain": {"requests": "1m"}}, {"log": {"level": "warn"}}]
    bad = [{"worker": 2}, {"workers": "two"}, {"workers": 0}, {"timeouts": {"idle": 250}}, {"timeouts": {"idle": "5 s"}},
           {"limits": {"head": "16KB"}}, {"pools": {"api": {}}}, {"pools": {"a b": {"backends": one}}},
           {"pools": {"api": {"backends": {}}}}, {"pools": {"api": {"backends": one, "retries": {"on": ["never"]}}}},
           {"pools": {"api": {"backends": one, "health": {"off": False}}}}, {"routes": []}, {"routes": [{}]},
           {"routes": [{"pool": "api", "split": {"api": 1}}]}, {"routes": [{"pool": "api", "websocket": "yes"}]},
           {"here": {"location": [50.11]}}, {"log": {"level": "loud"}}, {"listeners": {"p": {}}}, {"routes": "api"},
           {"listeners": {"p": {"bind": []}}}, {"cache": {}}]
    rules = schema(env)
    for wanted, changes in [(True, good), (False, bad)]:
        for change in changes:
            config = configuration(env, **change)
            done = checked(env, json.dumps(config))
            assert (done.returncode == 0) == wanted, (change, done.stderr)
            assert fits(rules, config) == wanted, change


@threadless
def test_warnings_do_not_fail(env):
    backends = {"a": {"address": "127.0.0.1:9"}}
    text = json.dumps(configuration(env, pools={"api": {"backends": backends}, "spare": {"backends": backends}}))
    done = checked(env, text)
    assert done.returncode == 0, done.stderr
    assert re.search(r"meridian\.yaml:\d+:\d+: warning: no route leads to pool 'spare'", done.stderr), done.stderr
    assert "^" in done.stderr and "error" not in done.stderr


def test_reload_tells_what_changed(env):
    balancer = env.simple(env.origin())
    config = copy.deepcopy(balancer.config)
    second = env.origin()
    config["pools"]["api"]["backends"]["new"] = {"address": second.address}
    config["pools"]["api"]["queue"] = {"limit": 7}
    config["routes"].append({"match": {"path": "/x"}, "respond": {"status": 204}})
    balancer.write(config)
    said = balancer.ctl("reload")
    for line in ["  + pools.api.backends.new", "  ~ pools.api.queue.limit: 1024 -> 7", "  + routes./x"]:
        assert line in said.splitlines(), said
    assert get(balancer.port, "/x").status == 204
    again = balancer.ctl("reload")
    assert "the settings are the same" in again, again


def test_the_log_tells_what_a_reload_changed_and_who_asked(env):
    balancer = env.simple(env.origin())
    ready, = [line for line in balancer.errors().splitlines() if "event=ready " in line]
    assert f'listen="127.0.0.1:{balancer.port}"' in ready, ready

    def lines(event):
        return [line for line in balancer.errors().splitlines() if f"event={event} " in line]
    config = copy.deepcopy(balancer.config)
    for n in range(3):
        config["routes"].append({"match": {"path": f"/{n}"}, "respond": {"status": 204}})
    config["pools"]["api"]["queue"] = {"limit": 7}
    balancer.reload(config)
    line, = lines("reloaded")
    assert "by=control listeners=1 pools=1 backends=1 routes=4 changes=4 " in line, line
    assert 'first="~ pools.api.queue.limit: 1024 -> 7; + routes./0; + routes./1"' in line, line
    balancer.signal(signal.SIGHUP)
    until(lambda: len(lines("reloaded")) == 2, what="the second one")
    assert 'by=signal' in lines("reloaded")[1] and 'changes=0 first=""' in lines("reloaded")[1], lines("reloaded")
    balancer.write("routes: []")
    balancer.signal(signal.SIGHUP)
    line, = until(lambda: lines("reload-refused"), what="the refusal")
    assert "by=signal" in line and 'effect="the running configuration stays"' in line, line


def test_included_files_are_reloaded(env):
    """A folder of parts: what changes in one is taken by a reload, what is broken in one is named there."""
    origin = env.origin()
    balancer = env.simple(origin)
    whole = {**balancer.defaults(), **balancer.config}
    os.makedirs(os.path.join(balancer.dir, "conf.d"))

    def part(text):
        with open(os.path.join(balancer.dir, "conf.d", "routes.yaml"), "w", encoding="utf-8") as file:
            file.write(text)
    part("routes:\n  - match: {path: /part}\n    respond: {status: 204}\n")
    balancer.reload({**whole, "include": "conf.d/*.yaml"})
    assert get(balancer.port, "/part").status == 204 and get(balancer.port).status == 200
    part("routes:\n  - match: {path: /part}\n    respond: {status: 1000}\n")
    done = balancer.ctl("reload", check=False)
    assert done.returncode == 1 and "conf.d/routes.yaml:3:" in done.stdout + done.stderr, done
    assert get(balancer.port, "/part").status == 204
