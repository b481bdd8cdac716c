"""Heads that `limits.head` allows pass in every combination of versions, however large it is made, and one that is too
large gets its status (L12, L13, L17, L22)."""
from env import seconds, until
from test_matrix import Asker2, Cut, each

LARGEST = {"head": "1MiB", "field": "1MiB", "request_line": "1MiB", "fields": 1000}


def fields_of(size, count):
    return [(f"x-{number:03}", "~" * (size // count)) for number in range(count)]


@seconds(300)
def test_l13_heads_as_large_as_they_may_be(env):
    """Large fields, many fields, one field, one cookie, one target; answers of 60 KiB come back."""
    def deed(talk):
        sent = {name: value for name, value in talk.fields.items() if name.startswith("x-0") or name == "cookie"}
        talk.respond(200, [("X-Count", len(sent)), ("X-Bytes", sum(map(len, sent.values()))),
                           ("X-Path", len(talk.path)), ("X-Large", "b" * 60000)], b"ok")

    crumbs = [("cookie", f"a{number}=" + "~" * 1000) for number in range(900)]
    heads = {
        "almost a megabyte": ("/", fields_of(1_040_000, 20)),
        "many fields": ("/", fields_of(90_000, 90)),
    }
    heads_1 = {
        "one field": ("/", fields_of(900_000, 1)),
        "a cookie": ("/", [("cookie", "; ".join(value for _, value in crumbs))]),
        "a target": ("/" + "a" * 600_000, fields_of(400_000, 4)),
    }
    # Of HTTP/2 no name, value or target may be longer than 64 KiB.
    heads_2 = {
        "one field": ("/", fields_of(65_000, 1)),
        "a cookie": ("/", crumbs),
        "a target": ("/" + "a" * 65_000, fields_of(900_000, 20)),
    }

    def story(asker, _balancer):
        for name, (path, fields) in {**heads, **(heads_2 if isinstance(asker, Asker2) else heads_1)}.items():
            answer = asker.ask("POST", path, fields, b"content")
            assert (answer.status, answer.body) == (200, b"ok"), (name, answer.status, answer.body[:200])
            found = tuple(int(answer.fields[field]) for field in ("x-count", "x-bytes", "x-path"))
            joined = "; ".join(value for name, value in fields if name == "cookie")
            rest = [value for name, value in fields if name != "cookie"]
            wanted = (len(rest) + (joined != ""), len(joined) + sum(map(len, rest)), len(path))
            assert found == wanted, (name, found, wanted)
            assert len(answer.fields["x-large"]) == 60000
    each(env, deed, story, limits=LARGEST)


@seconds(120)
def test_l13_heads_that_are_larger(env):
    """431 and limit-L13 for the client's, 502 and limit-L17 for the server's."""
    def deed(talk):
        talk.respond(200, fields_of(70000 if talk.path == "/large" else 7, 7), b"ok")

    def story(asker, balancer):
        try:
            status = type(asker)(balancer.port).ask("GET", "/", fields_of(1_100_000, 20)).status
        except Cut:
            status = None  # HTTP/1.1: reset while it was still sending, maybe
        answer = asker.ask("GET", "/large")
        assert answer.status == 502 and status in (431, None), (status, answer.status)
        until(lambda: len(balancer.access_log()) == 2, what="two lines")
        ends = [line["end"] for line in balancer.access_log()]
        assert sorted(ends) == ["limit-L13", "limit-L17"], ends
    each(env, deed, story, limits={**LARGEST, "request_line": "8KiB"})
