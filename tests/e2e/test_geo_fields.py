"""Several databases together (City, ASN and one of the operator's own), and their fields towards servers."""
from client import get
from mmdb import database

CLIENT, OTHER, NOWHERE = "5.1.7.9", "5.2.7.9", "10.1.2.3"


def world(env, fields):
    paths = []
    for name, records in (
            ("city", {"5.1.0.0/16": {"country": {"iso_code": "BR"}, "city": {"names": {"en": "Sao Paulo",
                                     "pt-BR": "São Paulo"}}, "location": {"latitude": -23.5, "longitude": -46.6,
                                     "time_zone": "America/Sao_Paulo", "accuracy_radius": 20},
                                     "subdivisions": [{"iso_code": "SP", "names": {"en": "State"}}]}}),
            ("asn", {"5.0.0.0/8": {"autonomous_system_number": 64500, "autonomous_system_organization": "Example Net"}}),
            ("own", {"5.2.0.0/16": {"country_code": "US", "city": "Ashburn", "is_proxy": True, "score": 0.25}})):
        path = env.path(name + ".mmdb")
        with open(path, "wb") as file:
            file.write(database(records, name))
        paths.append(path)
    origin, port = env.origin(), env.port()
    balancer = env.meridian({
        "geo": {"databases": paths},
        "trusted_proxies": {"from": ["127.0.0.0/8"], "header": "x-forwarded-for"},
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"api": {"backends": {"one": {"address": origin.address}}}},
        "routes": [{"pool": "api", "request_headers": {"set": fields}}]})
    balancer.port = port
    return balancer, origin


def test_fields_of_several_databases(env):
    fields = {"X-Country": "{geo.country}", "X-City": "{geo.city}", "X-Asn": "{geo.asn}", "X-Org": "{geo.organization}",
              "X-Zone": "{geo:location.time_zone}", "X-Radius": "{geo:location.accuracy_radius}",
              "X-Pt": "{geo:city.names.pt-BR}", "X-Sub": "{geo:subdivisions.0.names.en}", "X-Proxy": "{geo:is_proxy}",
              "X-Score": "s={geo:score}", "X-Map": "{geo:city}", "X-None": "{geo:no.such.thing}",
              "X-Long": "{geo:a.b.c.d.e.f.g.h.i.j}"}
    balancer, origin = world(env, fields)

    def told(address):
        assert get(balancer.port, headers={"X-Forwarded-For": address, "X-City": "forged"}).status == 200
        seen = origin.last().fields
        return {name: seen.get(name.lower()) for name in fields}
    got = told(CLIENT)
    assert got == {"X-Country": "BR", "X-City": "Sao Paulo", "X-Asn": "64500", "X-Org": "Example Net",
                   "X-Zone": "America/Sao_Paulo", "X-Radius": "20", "X-Pt": "São Paulo".encode().decode("latin-1"),
                   "X-Sub": "State", "X-Proxy": None, "X-Score": "s=", "X-Map": None, "X-None": None, "X-Long": None}, got
    got = told(OTHER)
    assert (got["X-Country"], got["X-City"], got["X-Asn"], got["X-Proxy"], got["X-Score"], got["X-Map"]) == \
        ("US", "Ashburn", "64500", "true", "s=0.25", "Ashburn"), got
    got = told(NOWHERE)
    assert all(value in (None, "s=") for value in got.values()), got


def test_geo_command_tells_what_the_databases_say(env):
    balancer, _ = world(env, {"X-Country": "{geo.country}"})
    told = balancer.ctl_json("geo", CLIENT)
    assert (told["place"]["country"], told["city"], told["asn"], told["organization"]) == \
        ("BR", "Sao Paulo", "64500", "Example Net"), told
    city, asn, own = told["databases"]
    assert city["network"] == "5.1.0.0/16" and city["place"]["subdivision"] == "SP" and "asn" not in city, city
    assert asn["network"] == "5.0.0.0/8" and asn["asn"] == "64500" and not asn["place"]["known"], asn
    assert "network" not in own and "place" not in own, own
    text = balancer.ctl("geo", CLIENT)
    for part in ("Sao Paulo", "64500", "Example Net", "BR-SP", "/16", "no record"):
        assert part in text, (part, text)
    nowhere = balancer.ctl_json("geo", NOWHERE)
    assert not nowhere["place"]["known"] and all("network" not in one for one in nowhere["databases"]), nowhere
