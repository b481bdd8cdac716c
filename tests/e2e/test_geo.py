"""Places: one request per continent goes to the nearest of three sites (BALANCING.md, sections 2, 3, 5)."""
import math

from client import get
from env import native, until

PLACES = {  # where a client is: (network, country, continent, subdivision, latitude, longitude, accuracy)
    "EU": ("5.1.0.0/16", "FR", "EU", "IDF", 48.9, 2.35, 10),
    "NA": ("5.2.0.0/16", "US", "NA", "NY", 40.7, -74.0, 20),
    "SA": ("5.3.0.0/16", "BR", "SA", "SP", -23.5, -46.6, 50),
    "AF": ("5.4.0.0/16", "KE", "AF", "30", -1.3, 36.8, 100),
    "AS": ("5.5.0.0/16", "JP", "AS", "13", 35.7, 139.7, 5),
    "OC": ("5.6.0.0/16", "AU", "OC", "NSW", -33.9, 151.2, 30),
    "AN": ("5.7.0.0/16", "AQ", "AN", "", -77.8, 166.7, 200),
}
SIXES = ("2001:470:1::/48", "DE", "EU", "HE", 50.1, 8.7, 10)
SITES = {"fra": (50.11, 8.68), "iad": (39.04, -77.49), "sin": (1.35, 103.82)}


def distance_ms(place, site):
    """BALANCING.md, section 3: haversine, less the accuracy radius, 60 km per millisecond."""
    lat1, lon1, lat2, lon2 = (math.radians(value) for value in (place[4], place[5], *site))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return max(0.0, 2 * 6371.0 * math.asin(math.sqrt(h)) - place[6]) / 60


def nearest(place):
    return min(SITES, key=lambda name: distance_ms(place, SITES[name]))


def world(env, rows=None, balance=None, **config):
    """Three sites with a backend each; returns (balancer, {site: origin})."""
    origins = {name: env.origin(name=name) for name in SITES}
    database = env.geo_database(rows or [*PLACES.values(), SIXES])
    port = env.port()
    balancer = env.meridian({
        "geo": {"databases": [database]},
        "trusted_proxies": {"from": ["127.0.0.0/8"], "header": "x-forwarded-for"},
        "sites": {name: {"location": list(place)} for name, place in SITES.items()},
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"api": {"backends": {f"{name}-1": {"address": origin.address, "site": name}
                                       for name, origin in origins.items()},
                          **({"balance": balance} if balance else {})}},
        "routes": [{"pool": "api"}], **config})
    balancer.port = port
    return balancer, origins


def address_in(place):
    return place[0].split("/")[0].replace(".0.0", ".7.9")


def test_one_request_per_continent(env):
    balancer, _ = world(env)
    for continent, place in PLACES.items():
        answer = get(balancer.port, headers={"X-Forwarded-For": address_in(place)})
        assert answer.body.decode() == nearest(place), f"{continent}: {answer.body} instead of {nearest(place)}"
    assert get(balancer.port, headers={"X-Forwarded-For": "2001:470:1::99"}).body == b"fra"


def test_log_says_where_the_client_is(env):
    balancer, _ = world(env)
    for place in PLACES.values():
        get(balancer.port, headers={"X-Forwarded-For": address_in(place)})
    lines = {line["client"]: line for line in balancer.access_log(len(PLACES))}
    for place in PLACES.values():
        line = lines[address_in(place)]
        assert line["country"] == place[1] and line["site"] == nearest(place)
        assert abs(line["distance_ms"] - distance_ms(place, SITES[nearest(place)])) < 0.2, line


def test_every_request_of_a_trusted_connection_has_its_own_place(env):
    from client import Client
    balancer, _ = world(env)
    with Client(balancer.port) as client:
        for place in [*PLACES.values()] * 2:
            answer = client.get(headers={"X-Forwarded-For": address_in(place)})
            assert answer.body.decode() == nearest(place)


def test_spill_when_the_near_site_is_down(env):
    balancer, origins = world(env)
    paris = {"X-Forwarded-For": address_in(PLACES["EU"])}
    assert get(balancer.port, headers=paris).body == b"fra"
    origins["fra"].die()
    for _ in range(10):
        answer = get(balancer.port, headers=paris)
        assert (answer.status, answer.body) == (200, b"iad")
    origins["fra"].listen()
    until(lambda: get(balancer.port, headers=paris).body == b"fra", 60, "the near site's return")


def test_unknown_place_is_served(env):
    balancer, _ = world(env)
    for address in ["10.0.0.1", "192.168.1.1", "203.0.113.9", "::1"]:
        answer = get(balancer.port, headers={"X-Forwarded-For": address})
        assert answer.status == 200, address
    assert "country" not in balancer.access_log(4)[-1]


def test_unknown_place_counts_as_here(env):
    balancer, _ = world(env, here={"location": [1.3, 103.8]})
    for _ in range(5):
        assert get(balancer.port, headers={"X-Forwarded-For": "203.0.113.9"}).body == b"sin"


def test_distance_from_here(env):
    balancer, _ = world(env, balance={"distance_from": "here"}, here={"location": [39.0, -77.0]})
    for place in PLACES.values():
        assert get(balancer.port, headers={"X-Forwarded-For": address_in(place)}).body == b"iad"


def test_distance_that_a_site_says(env):
    """`distance` goes before the locations (BALANCING.md section 3)."""
    far = {"fra": "80ms", "iad": "30ms", "sin": "2ms"}
    balancer, _ = world(env, balance={"distance_from": "here"}, sites={
        name: {"location": list(place), "distance": far[name]} for name, place in SITES.items()})
    for place in PLACES.values():
        assert get(balancer.port, headers={"X-Forwarded-For": address_in(place)}).body == b"sin"
    told = balancer.ctl_json("explain", "--client", address_in(PLACES["EU"]), "http://localhost/")
    assert {one["site"]: one["distance_ms"] for one in told["sites"]} == {"fra": 80, "iad": 30, "sin": 2}, told


@native
def test_distance_that_is_measured(env):
    """`distance_source: measured`: what connecting takes here is next to nothing, whatever the locations say, and a
    site's own `distance` goes before it (BALANCING.md section 4)."""
    for own in (None, "25ms"):
        sites = {name: {"location": list(place)} for name, place in SITES.items()}
        if own:
            sites["sin"]["distance"] = own
        balancer, _ = world(env, balance={"distance_from": "here", "distance_source": "measured"}, sites=sites,
                            here={"location": [39.0, -77.0]})

        def told():
            return balancer.ctl_json("explain", "--client", address_in(PLACES["EU"]), "http://localhost/")
        until(lambda: told()["distance_source"] == "measured", 20, "a check of each site")
        ways = {one["site"]: one["distance_ms"] for one in told()["sites"]}
        assert ways["fra"] < 20 and ways["iad"] < 20, ways
        assert ways["sin"] == 25 if own else ways["sin"] < 20, ways
        assert get(balancer.port, headers={"X-Forwarded-For": address_in(PLACES["EU"])}).status == 200
        assert balancer.access_log(1)[-1]["distance_ms"] < 20
        assert balancer.metric("meridian_site_round_trip_seconds", pool="api", site="fra") < 0.02
        balancer.stop()


def test_distance_weight_0_ignores_distance(env):
    balancer, origins = world(env, balance={"distance_weight": 0})
    for _ in range(60):
        get(balancer.port, headers={"X-Forwarded-For": address_in(PLACES["EU"])})
    assert sum(1 for origin in origins.values() if origin.requests) >= 1
    assert sum(len(origin.requests) for origin in origins.values()) == 60


def test_country_without_coordinates(env):
    rows = [("5.1.0.0/16", "FR", "EU"), ("5.2.0.0/16", "US", "NA"), ("5.5.0.0/16", "ID", "AS")]
    balancer, _ = world(env, rows)
    for network, site in [("5.1.1.1", b"fra"), ("5.2.1.1", b"iad"), ("5.5.1.1", b"sin")]:
        assert get(balancer.port, headers={"X-Forwarded-For": network}).body == site


def test_explain_agrees_with_traffic(env):
    balancer, _ = world(env)
    for place in PLACES.values():
        served = get(balancer.port, headers={"X-Forwarded-For": address_in(place)}).body.decode()
        told = balancer.ctl("explain", "--client", address_in(place), "http://localhost/")
        assert served in told and place[1] in told, told


def test_geo_command(env):
    balancer, _ = world(env)
    told = balancer.ctl("geo", address_in(PLACES["AS"]))
    assert "JP" in told and "AS" in told and "35.7" in told
    pool, = balancer.ctl_json("geo", address_in(PLACES["AS"]))["pools"]
    sites = sorted(SITES, key=lambda name: distance_ms(PLACES["AS"], SITES[name]))
    assert [one["site"] for one in pool["sites"]] == sites and all(one["allowed"] for one in pool["sites"]), pool
    assert abs(pool["sites"][0]["distance_ms"] - distance_ms(PLACES["AS"], SITES[sites[0]])) < 0.1, pool
    assert ", ".join(sites)[:3] in told


def test_c4_database_replaced_and_broken(env):
    balancer, _ = world(env)
    client = {"X-Forwarded-For": "5.1.7.9"}
    assert get(balancer.port, headers=client).body == b"fra"
    tokyo = PLACES["AS"]
    env.geo_database([("5.1.0.0/16", *tokyo[1:])])
    balancer.reload()
    assert get(balancer.port, headers=client).body == b"sin"
    env.write("geo.mmdb", b"this is no database")
    done = balancer.reload(check=False)
    assert done.returncode == 1
    assert get(balancer.port, headers=client).body == b"sin"
