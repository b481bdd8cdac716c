"""Clients that come back to the server that served them: after residency, health and drain."""
import copy
import os
import stat

from client import client_context, get

KEY = "0123456789abcdef" * 4 + "\n"
PLACES = [("5.1.0.0/16", "FR", "EU", "IDF", 48.9, 2.35, 10),
          ("5.2.0.0/16", "US", "NA", "NY", 40.7, -74.0, 20)]


def made(env, sticky, count=4, pool=None, **config):
    origins = [env.origin(name=f"o{i}") for i in range(count)]
    balancer = env.simple(*origins, pool={"sticky": sticky, **(pool or {})}, **config)
    balancer.origins = origins
    return balancer


def served(origins, ask):
    """The answer, and which origin gave it."""
    before = [len(origin.requests) for origin in origins]
    answer = ask()
    after = [len(origin.requests) for origin in origins]
    assert sum(after) == sum(before) + 1, (before, after)
    return answer, [b != a for b, a in zip(before, after)].index(True)


def cookie_of(answer):
    return answer.fields.get("set-cookie").split(";")[0]


def test_sticky_cookie(env):
    balancer = made(env, {"cookie": "meridian", "ttl": "1h"})
    first, home = served(balancer.origins, lambda: get(balancer.port))
    parts = first.fields.get("set-cookie").split("; ")
    assert parts[1:] == ["Path=/", "Max-Age=3600", "HttpOnly", "SameSite=Lax"], parts
    headers = {"Cookie": "a=b; " + cookie_of(first)}
    for _ in range(20):
        answer, at = served(balancer.origins, lambda: get(balancer.port, headers=headers))
        assert at == home and "set-cookie" not in answer.fields
    # The key in the state folder is nobody else's business, and outlives reloads and the process.
    key = os.path.join(balancer.dir, "sticky.key")
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    balancer.reload(balancer.config)
    assert served(balancer.origins, lambda: get(balancer.port, headers=headers))[1] == home
    balancer.stop()
    balancer.start()
    assert served(balancer.origins, lambda: get(balancer.port, headers=headers))[1] == home
    forged = {"Cookie": cookie_of(first)[:-1] + ("0" if cookie_of(first)[-1] != "0" else "1")}
    assert "set-cookie" in get(balancer.port, headers=forged).fields


def test_sticky_is_explained(env):
    """What is explained is what a request with the cookie gets."""
    balancer = made(env, {"cookie": "meridian"})

    def explain(*more):
        return balancer.ctl_json("explain", "--client", "127.0.0.1", *more, "http://localhost/")
    first, home = served(balancer.origins, lambda: get(balancer.port))
    cookie = ("-H", "Cookie: " + cookie_of(first))
    for _ in range(5):
        told = explain(*cookie)
        assert told["sticky"] == "kept" and told["candidates"][0]["backend"] == "abcd"[home], told
    balancer.ctl("drain", f"api/{'abcd'[home]}")
    assert explain(*cookie)["sticky"] == "broken"
    assert explain()["sticky"] == "made"
    assert "sticky   broken" in balancer.ctl("explain", "--client", "127.0.0.1", *cookie, "http://localhost/")


def test_sticky_broken_by_drain(env):
    balancer = made(env, {"cookie": "meridian"}, count=2)
    first, home = served(balancer.origins, lambda: get(balancer.port))
    headers = {"Cookie": cookie_of(first)}
    balancer.ctl("drain", f"api/{'ab'[home]}")
    answer, at = served(balancer.origins, lambda: get(balancer.port, headers=headers))
    assert at != home and cookie_of(answer) != cookie_of(first)
    headers = {"Cookie": cookie_of(answer)}
    balancer.ctl("enable", f"api/{'ab'[home]}")
    assert served(balancer.origins, lambda: get(balancer.port, headers=headers))[1] == at
    lines = balancer.access_log(3)
    # Two workers' lines may come out of order.
    assert sorted(line.get("sticky") for line in lines) == ["broken", "kept", "made"]
    assert balancer.metric("meridian_sticky_broken_total", route="api") == 1


def test_sticky_survives_a_server_that_dies(env):
    balancer = made(env, {"cookie": "meridian"}, count=2)
    first, home = served(balancer.origins, lambda: get(balancer.port))
    balancer.origins[home].close()
    answer = get(balancer.port, headers={"Cookie": cookie_of(first)})
    assert answer.status == 200 and cookie_of(answer) != cookie_of(first)


def test_sticky_over_tls_and_h2(env):
    tls = {"certificates": [env.authority.server("localhost").config()]}
    balancer = made(env, {"cookie": "meridian"}, listener={"tls": tls, "protocols": ["h2"]})
    client = env.h2_client(balancer.port, tls=client_context(env.authority.ca, alpn=["h2"]))
    first, home = served(balancer.origins, lambda: client.get("/"))
    assert first.get("set-cookie").endswith("; Secure")
    for _ in range(8):
        answer, at = served(balancer.origins, lambda: client.get("/", fields=[("cookie", first.get("set-cookie").split(";")[0])]))
        assert at == home and not answer.get("set-cookie")


def test_sticky_across_balancers_with_one_key(env):
    key = env.write("key", KEY)
    first = made(env, {"cookie": "meridian", "key": key})
    second = env.simple(*first.origins, pool={"sticky": {"cookie": "meridian", "key": key}})
    answer, home = served(first.origins, lambda: get(first.port))
    headers = {"Cookie": cookie_of(answer)}
    for _ in range(8):
        assert served(first.origins, lambda: get(second.port, headers=headers))[1] == home


def test_sticky_by_header_and_client(env):
    for by, ask in [("header X-User", lambda n: {"X-User": f"u{n}"}), ("client", lambda n: {})]:
        balancer = made(env, {"by": by})
        homes = set()
        for user in range(12):
            at = {served(balancer.origins, lambda: get(balancer.port, headers=ask(user)))[1] for _ in range(4)}
            assert len(at) == 1, (by, user, at)
            homes |= at
        assert (len(homes) > 1) == (by != "client")


def test_sticky_never_against_residency(env):
    """A cookie made in one country is no way around the rules of another."""
    origins = [env.origin(name="eu"), env.origin(name="us")]
    port = env.port()
    env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "geo": {"databases": [env.geo_database(PLACES)]},
        "trusted_proxies": {"from": ["127.0.0.0/8"], "header": "x-forwarded-for"},
        "sites": {"eu": {"location": [50, 8]}, "us": {"location": [39, -77]}},
        "pools": {"api": {
            "backends": {name: {"address": origin.address, "site": name} for name, origin in zip(("eu", "us"), origins)},
            "sticky": {"cookie": "meridian"},
            "residency": {"rules": [{"countries": ["FR"], "sites": ["eu"]}]}}},
        "routes": [{"pool": "api"}]})
    american, at = served(origins, lambda: get(port, headers={"X-Forwarded-For": "5.2.0.1"}))
    assert at == 1
    for _ in range(5):
        headers = {"X-Forwarded-For": "5.1.0.1", "Cookie": cookie_of(american)}
        answer, at = served(origins, lambda: get(port, headers=headers))
        assert at == 0 and "set-cookie" in answer.fields
    # The other way round nothing forbids it: the stick goes before distance.
    headers = {"X-Forwarded-For": "5.2.0.1", "Cookie": cookie_of(answer)}
    assert served(origins, lambda: get(port, headers=headers))[1] == 0


def test_sticky_key_problems(env):
    short = env.write("short", "abc\n")
    balancer = made(env, {"cookie": "meridian"}, count=1)
    for sticky, said in [({"cookie": "a", "key": short}, "32 to 4095 bytes"),
                         ({"cookie": "a", "key": "/nonexistent/key"}, "cannot read the key"),
                         ({"by": "client", "key": short}, "sticky.key signs cookies"),
                         ({"cookie": "a b"}, "the name of a cookie"),
                         ({"cookie": "a", "by": "client"}, "exclude each other")]:
        config = copy.deepcopy(balancer.config)
        config["pools"]["api"]["sticky"] = sticky
        balancer.write(config)
        done = balancer.run("-t")
        assert done.returncode == 1 and said in done.stdout + done.stderr, (sticky, done)
