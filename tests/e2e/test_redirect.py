"""Redirect mode: clients are sent to the best site's own URL (BALANCING.md sections 2, 6, 7; RELIABILITY H17).
Two Meridians stand for two sites; both know both, and each serves its own URL."""
from urllib.parse import urlsplit

from client import get
from env import native, until
from h2 import H2Client
from test_geo import PLACES, address_in

SITES = {"fra": (50.11, 8.68), "iad": (39.04, -77.49)}
SLOW = 0.2  # seconds that checks of an overloaded site take


class Regions:
    """A Meridian for each site, and an origin behind each."""

    def __init__(self, env, status=307, residency=None, listeners=None):
        self.origins = {name: env.origin(name=name) for name in SITES}
        self.ports = {name: env.port() for name in SITES}
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}
        self.database = env.geo_database(list(PLACES.values()))
        self.at = {name: env.meridian(self.config(name, status, residency, listeners)) for name in SITES}

    def config(self, name, status, residency, listeners):
        return {
            "geo": {"databases": [self.database]},
            "trusted_proxies": {"from": ["127.0.0.0/8"], "header": "x-forwarded-for"},
            "sites": {site: {"location": list(place), "public_url": self.urls[site]}
                      for site, place in SITES.items()},
            "listeners": {"public": {"bind": f"127.0.0.1:{self.ports[name]}", **(listeners or {})}},
            "pools": {
                "regions": {
                    "mode": "redirect", "redirect_status": status,
                    "backends": {f"{site}-1": {"address": origin.address, "site": site}
                                 for site, origin in self.origins.items()},
                    "health": {"http": {"path": "/healthz"}, "interval": "300ms", "timeout": "300ms"},
                    **({"residency": residency} if residency else {})},
                "local": {"backends": {"here": {"address": self.origins[name].address}}}},
            "routes": [{"match": {"host": "www.example.com"}, "pool": "regions"},
                       {"match": {"host": "127.0.0.1"}, "pool": "local"},
                       {"match": {"path": "/loop/"}, "pool": "regions"}]}

    def ask(self, name, place, path="/", host="www.example.com", **more):
        headers = {"Host": host, "X-Forwarded-For": address_in(PLACES[place]), **more.pop("headers", {})}
        return get(self.ports[name], path, headers=headers, **more)

    def site_of(self, answer):
        for site, url in self.urls.items():
            if answer.fields.get("location").startswith(url + "/"):
                return site
        raise AssertionError(answer.fields)


@native
def test_each_client_goes_to_its_region_and_is_served_there(env):
    regions = Regions(env)
    for name in SITES:  # whichever Meridian it asks
        for place, site in (("EU", "fra"), ("NA", "iad")):
            answer = regions.ask(name, place, "/v1/%41%2fb?q=1&r=a%20b")
            assert answer.status == 307 and regions.site_of(answer) == site, (name, place, answer)
            assert answer.fields.get("cache-control") == "no-store", answer.fields
            target = urlsplit(answer.fields.get("location"))
            followed = get(target.port, f"{target.path}?{target.query}", headers={"Host": target.netloc})
            assert followed.status == 200 and followed.body.decode() == site, followed
            assert regions.origins[site].requests[-1].target == "/v1/%41%2fb?q=1&r=a%20b"
    line = next(one for one in regions.at["fra"].access_log(4) if one["end"] == "redirected")
    assert line["pool"] == "regions" and line["site"] in SITES and line["status"] == 307, line
    for site in SITES:
        assert regions.at["fra"].metric("meridian_site_redirects_total", pool="regions", site=site) == 1


def test_the_access_log_tells_why_a_site_was_chosen(env):
    regions = Regions(env)
    balancer = regions.at["fra"]
    balancer.reload({**balancer.config, "log": {"access": {"path": balancer.log_file, "decision": True}}})
    assert regions.site_of(regions.ask("fra", "NA")) == "iad"
    decision = balancer.access_log(1)[-1]["decision"]
    verdicts = {site["site"]: site["verdict"] for site in decision["sites"]}
    assert verdicts == {"fra": "costlier", "iad": "chosen"}, decision


def test_content_is_left_to_the_next_server(env):
    """H20: the connection goes on where little content is left to read, else it ends; never a mix-up."""
    regions = Regions(env)
    for size in (10, 40_000):
        answer = regions.ask("fra", "NA", "/up", method="POST", body=b"x" * size)
        assert answer.status == 307 and regions.site_of(answer) == "iad", answer
    answer = regions.ask("fra", "NA", "/up", method="POST", headers={"Expect": "100-continue", "Content-Length": "9"})
    assert answer.status == 307, answer
    answer = regions.ask("fra", "NA", "/up", method="HEAD")
    assert answer.status == 307 and answer.body == b"", answer
    assert all(one.method == "GET" for origin in regions.origins.values() for one in origin.requests)


def test_over_http2_and_with_308(env):
    regions = Regions(env, status=308, listeners={"protocols": ["h2"]})
    with H2Client(regions.ports["fra"], name="www.example.com") as client:
        for body in (b"", b"x" * 5000):
            answer = client.get("/x?y", [("x-forwarded-for", address_in(PLACES["NA"]))], "POST", body)
            assert answer.status == 308 and answer.get("location") == regions.urls["iad"] + "/x?y", answer
            assert answer.get("cache-control") == "no-store", answer


def test_no_client_can_choose_the_target(env):
    """H17: hosts, absolute forms and paths that begin with two slashes."""
    regions = Regions(env)
    for path, host in (("//evil.example/x", "www.example.com"), ("/\\evil.example", "www.example.com"),
                       ("http://www.example.com//evil.example/", "evil.example")):
        answer = regions.ask("fra", "EU", path, host=host)
        if answer.status == 307:
            rest = answer.fields.get("location")[len(regions.urls["fra"]):]
            assert regions.site_of(answer) == "fra" and rest[0] == "/" and rest[1:2] not in ("/", "\\"), answer.fields
        else:
            assert answer.status in (400, 404), answer
    assert regions.ask("fra", "EU", host="evil.example").status == 404


def test_no_loop(env):
    """Whoever is where the pool would send it is not sent on, from either Meridian."""
    regions = Regions(env)
    for name in SITES:
        for site in SITES:
            host = urlsplit(regions.urls[site]).netloc
            answer = regions.ask(name, "EU", "/loop/", host=f"localhost:{urlsplit(regions.urls[site]).port}")
            assert answer.status == 307, answer  # another host at the same port is none of them
            config = dict(regions.at[name].config)
            config["routes"] = [{"match": {"path": "/loop/"}, "pool": "regions"}]
            regions.at[name].reload(config)
            answer = regions.ask(name, "EU", "/loop/", host=host)
            assert answer.status == 508 and b"redirect-loop" in answer.body, answer
            told = regions.at[name].ctl("--json", "explain", "--client", address_in(PLACES["EU"]),
                                        f"http://{host}/loop/", check=False).stdout
            assert "redirect-loop" in told, told


def test_a_lost_site_and_its_return(env):
    regions = Regions(env)
    assert regions.site_of(regions.ask("fra", "EU")) == "fra"
    regions.origins["fra"].die()
    until(lambda: regions.site_of(regions.ask("iad", "EU")) == "iad", what="the other site")
    regions.origins["iad"].die()
    until(lambda: regions.ask("iad", "EU").status == 503, what="503")
    assert regions.ask("iad", "EU").fields.get("retry-after")
    regions.origins["fra"].listen()
    until(lambda: regions.ask("iad", "NA").status == 307, what="somebody")
    assert regions.site_of(regions.ask("iad", "NA")) == "fra"


def test_residency_is_obeyed(env):
    regions = Regions(env, residency={"rules": [{"groups": ["eu"], "sites": ["fra"]},
                                                {"countries": ["BR"], "deny": 451}]})
    assert {regions.site_of(regions.ask("iad", "EU")) for _ in range(20)} == {"fra"}
    assert regions.ask("iad", "SA").status == 451
    regions.origins["fra"].die()
    until(lambda: regions.ask("iad", "EU").status == 503, what="503")
    assert regions.site_of(regions.ask("iad", "NA")) == "iad"


def test_an_overloaded_site_sheds_and_is_taken_back_with_hysteresis(env):
    """The samples are the checks': where they get slow clients go elsewhere, and they come back."""
    regions = Regions(env)

    def explained():
        told = regions.at["fra"].ctl_json("explain", "--client", address_in(PLACES["EU"]),
                                          "http://www.example.com/")
        return {one["site"]: one for one in told["sites"]}, told
    until(lambda: min(one["samples"] for one in explained()[0].values()) >= 4, what="four rounds")
    regions.origins["fra"].probe_delay = SLOW
    until(lambda: regions.site_of(regions.ask("fra", "EU")) == "iad", timeout=20, what="the other site")

    def shed():
        sites, told = explained()
        return (told["redirect"] == regions.urls["iad"] + "/" and sites["fra"]["verdict"] == "costlier"
                and sites["fra"]["load_ms"] > 0)
    until(shed, timeout=20, what="the same in words")
    regions.origins["fra"].probe_delay = 0
    until(lambda: regions.site_of(regions.ask("fra", "EU")) == "fra", timeout=20, what="the near site")
    until(lambda: explained()[0]["fra"]["load_ms"] == 0, timeout=20, what="no load")
