"""Where the operator chooses what becomes of odd requests: `path_handling` of a route (H14) and `odd_header_names` of a
listener (H3), over both versions on both sides."""
import json
import os
import random
import re

import canonical
from client import Client, get
from env import seconds, until
from origin import text

PAIRS = [(front, back) for front in ("h1", "h2") for back in ("h1", "h2")]


def told(target, fields):
    return json.dumps({"target": target, "fields": fields}).encode()


def echo(env, back):
    """A server that answers with what it was asked."""
    if back == "h1":
        return env.origin(reply=lambda request: text(told(request.target, list(request.fields))))

    def reply(stream):
        stream.read()
        stream.respond(200, [], told(stream.path, stream.fields))
    return env.h2_origin(reply=reply)


def balanced(env, front, back, routes, names=None):
    port, origin = env.port(), echo(env, back)
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}", "protocols": ["h2" if front == "h2" else "http/1.1"],
                                 **({"odd_header_names": names} if names else {})}},
        "pools": {"api": {"protocol": "h2" if back == "h2" else "http/1.1", "health": {"off": True},
                          "backends": {"a": {"address": origin.address}}}},
        "routes": routes})
    balancer.port = port
    return balancer


def ask(env, front, port, path="/", fields=()):
    """The status, and what the server was asked where it was."""
    if front == "h1":
        answer = get(port, path, headers=fields)
        status, body = answer.status, answer.body
    else:
        stream = env.h2_client(port).request("GET", path, fields)
        stream.connection.wait(lambda: stream.over, what="an answer")
        status, body = (stream.status, bytes(stream.body)) if stream.ended else (None, b"")
    return status, json.loads(body) if status == 200 else None


# --- H14 ---

ROUTES = [{"match": {"path": "/closed/"}, "respond": {"status": 403}},
          {"match": {"path": "/plain/"}, "pool": "api"},
          {"match": {"path": "/kept/"}, "pool": "api", "path_handling": "keep"},
          {"match": {"path": "/one/"}, "pool": "api", "path_handling": "normalise", "rewrite": {"strip_prefix": "/one"}},
          {"match": {"path": "/strict/"}, "pool": "api", "path_handling": "reject"}]

PATHS = [("/plain/a/./b/../%7Ec//d%2fe?x=/../y", "/plain/a/%7Ec//d%2fe?x=/../y"),
         ("/kept/a/./b/../%7Ec//d%2fe?x=/../y", "/kept/a/./b/../%7Ec//d%2fe?x=/../y"),
         ("/kept/%2e/a", "/kept/%2e/a"),
         ("/kept/../kept/a", "/kept/../kept/a"),
         ("/one/a/./b/../%7Ec//d%2fe%2D?x=/../y%2D", "/a/~c/d%2Fe-?x=/../y%2D"),
         ("/one//a;b", "/a;b"),
         ("/strict/.a/b%2Fc%20;d?//..", "/strict/.a/b%2Fc%20;d?//.."),
         ("/strict/a/./b", 400), ("/strict/a//b", 400), ("/strict/%7Ea", 400), ("/strict/%c3%A4", 400), ("/strict/a\\b", 400),
         ("/plain/%00", 400), ("/kept/%00", 400), ("/kept/%zz", 400), ("/one/%00", 400), ("/closed/x", 403),
         # whoever leaves the dots, or some of them, would see a path of the route that is closed
         ("/closed/../kept/a", 400), ("/kept/x/../../closed/%2e%2e/kept/a", 400), ("/kept//../closed/a", 400),
         ("/plain/x;%2fy/..%2f..%2fclosed", 400), ("/plain/%3b%2fy/..%2f..%2fclosed", 400), ("/plain/;\\y/..\\..\\closed", 400),
         ("/plain/;%5Ca/%3b%5C..%5Cclosed", 400),
         ("/plain/x/..;/..%2f..%2fclosed;x", 400), ("/plain/a;b%2fc/%3Bd.e", "/plain/a;b%2fc/%3Bd.e"),
         ("/kept/..%2f../closed/a", 400), ("/one/..%2fclosed/a", 400), ("/one/..;/closed/a", 400), ("/kept/../closed/a", 403)]


def test_h14_path_handling(env):
    """What each rule forwards, and that none opens a way around another route."""
    for front, back in PAIRS:
        balancer = balanced(env, front, back, ROUTES)
        for path, want in PATHS:
            status, seen = ask(env, front, balancer.port, path)
            assert (seen["target"] if seen else status) == want, (front, back, path, status, seen)


def test_h14_rules_are_the_logs_and_redirects_too(env):
    """The canonical request is the one that is logged, redirected and explained (H13)."""
    balancer = balanced(env, "h1", "h1", [
        {"match": {"path": "/to/"}, "redirect": {"to": "https://new.example{uri}"}, "path_handling": "normalise"}, *ROUTES])
    assert get(balancer.port, "/to//%61/./b").fields.get("location") == "https://new.example/to/a/b"
    assert get(balancer.port, "/kept/./b").status == 200
    assert sorted(line["path"] for line in balancer.access_log(2)) == ["/kept/b", "/to/a/b"]  # of two workers
    for path, _ in PATHS:
        known = get(balancer.port, path).status
        if "%00" not in path and "%zz" not in path:
            explained = balancer.ctl("explain", "--client", "127.0.0.1", "http://localhost" + path, check=False).stdout
            assert ("the request target is malformed" in explained) == (known == 400), (path, known, explained)


def test_h14_kept_paths_are_retried_and_mirrored_as_they_came(env):
    origin, shadow = env.origin(), env.origin()
    port = env.port()
    env.meridian({"listeners": {"public": {"bind": f"127.0.0.1:{port}"}},
                  "pools": {"api": {"health": {"off": True}, "backends": {"gone": {"address": f"127.0.0.1:{env.port()}"},
                                                                          "a": {"address": origin.address}}},
                            "shadow": {"backends": {"a": {"address": shadow.address}}}},
                  "routes": [{"pool": "api", "path_handling": "keep", "mirror": {"pool": "shadow"}}]})
    for number in range(6):
        assert get(port, f"/{number}/../x").status == 200
    assert [one.target for one in origin.requests] == [f"/{number}/../x" for number in range(6)]
    until(lambda: len(shadow.requests) == 6, what="copies")
    assert {one.target for one in shadow.requests} == {f"/{number}/../x" for number in range(6)}


PIECES = ("/", "/", "/", "//", "\\", ".", "..", "..", "%2e", "%2E.", "%2f", "%5C", ";", ";x", "%3b", "closed", "closed", "%63losed",
          "a", "%41", "%40")


def literal(path):
    """Resolved by one to whom `%2e` is no dot."""
    return canonical.normal(path.replace("%2e", "%FE").replace("%2E", "%FF")).replace("%FE", "%2e").replace("%FF", "%2E")


def readings(path):
    """All that servers make of it, those too that resolve no dots, or only those that are written so."""
    for read in canonical.habitual(path):
        yield from canonical.again(read, canonical.normal(read)) | canonical.again(read, literal(read)) | {read}


@seconds(120)
def test_h14_no_reader_sees_a_closed_path(env):
    """Paths by chance, through routes of each kind: what is forwarded is below /closed for no reader."""
    seed = int(os.environ.get("MERIDIAN_SEED", random.randrange(1 << 32)))
    print(f"MERIDIAN_SEED={seed}")
    rng = random.Random(seed)
    for rule in ("resolve", "keep", "normalise", "reject"):
        balancer = balanced(env, "h1", "h1", [{"match": {"path": "/closed"}, "respond": {"status": 403}},
                                              {"match": {"path": "/a/"}, "pool": "api", "path_handling": rule},
                                              {"pool": "api", "path_handling": rule}])
        counts = {200: 0, 400: 0, 403: 0}
        with Client(balancer.port) as client:
            for _ in range(1000):
                path = "/" + "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 12)))
                client.request("GET", path)
                answer = client.response()
                counts[answer.status] += 1
                if answer.status == 200:
                    target = json.loads(answer.body)["target"]
                    assert target == path if rule in ("keep", "reject") else target == canonical.normal(target), (rule, path, target)
                    for read in readings(target):
                        assert not re.match("/closed(/|$)", read), f"{rule}: {path!r} went on as {target!r}, {read!r} to some"
        assert min(counts.values()) > 10, (rule, counts)


# --- H3 ---

ODD = [("X_Id", "1"), ("X-Id", "2"), ("X.Y", "3"), ("X_Forwarded_For", "9.9.9.9"), ("X-Forwarded_For", "9.9.9.9"),
       ("Content.Length", "9"), ("Transfer_Encoding", "chunked"), ("X_Real_IP", "9.9.9.9"), ("Host_", "h"),
       ("X_Country", "XX"), ("X_Secret", "s")]
ROUTE = [{"pool": "api", "request_headers": {"set": {"X-Country": "DE"}, "remove": ["X-Secret"]}}]


def odd(front):
    return [(name.lower() if front == "h2" else name, value) for name, value in ODD]


def names_of(seen):
    return sorted(name for name, _ in seen["fields"] if name.startswith(("x_", "x.", "x-i", "host_", "content", "transfer")))


def test_h3_odd_header_names(env):
    """Dropped and counted by default; refused; or forwarded, but for those that pass for a field of ours."""
    for front, back in PAIRS:
        balancer = balanced(env, front, back, ROUTE)
        _, seen = ask(env, front, balancer.port, "/", odd(front))
        assert names_of(seen) == ["x-id"], (front, back, seen)
        assert balancer.metric("meridian_request_fields_dropped_total") == len(ODD) - 1

        balancer = balanced(env, front, back, ROUTE, names="allow")
        status, seen = ask(env, front, balancer.port, "/", odd(front))
        assert status == 200 and names_of(seen) == ["host_", "x-id", "x.y", "x_id"], (front, back, seen)
        assert balancer.metric("meridian_request_fields_dropped_total") == 5
        fields = dict(seen["fields"])
        assert fields["x-forwarded-for"] == "127.0.0.1" and fields["x-country"] == "DE" and fields["x_id"] == "1", fields

        balancer = balanced(env, front, back, ROUTE, names="reject")
        assert ask(env, front, balancer.port, "/", odd(front)[1:2])[0] == 200
        for one in odd(front):
            if "-i" not in one[0].lower():
                assert ask(env, front, balancer.port, "/", [one])[0] in (400, None if front == "h2" else 400), (front, one)
        assert {line["end"] for line in balancer.access_log(10)} <= {"ok", "bad-field"}, front


def test_h3_connection_names_an_odd_field(env):
    """An odd field that is allowed is one like others to Connection (H15)."""
    balancer = balanced(env, "h1", "h1", ROUTE, names="allow")
    with Client(balancer.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX_Id: 1\r\nX_Hop: 2\r\nConnection: X_Hop\r\n\r\n")
        seen = json.loads(client.response().body)
    assert names_of(seen) == ["x_id"], seen
