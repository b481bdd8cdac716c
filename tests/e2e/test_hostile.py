"""The hostile corpus (tests/hostile, F12, G2) through the real binary over every pair of versions: each case is refused
or forwarded as exactly one canonical request, as its family says, and never read in two ways."""
import canonical
import corpus
import hostile
from env import seconds, threadless
from origin import text

SHARE_WHERE_SLOW = 8


def story(env, front, back):
    cases = corpus.load(front)[::SHARE_WHERE_SLOW if env.tsan or env.valgrind else 1]
    if back == "h1":
        origin = env.origin(reply=lambda request: text(request.target.encode()))
    else:
        def reply(stream):
            stream.read()
            stream.respond(200, [], b"" if stream.method == "HEAD" else stream.path.encode())
        origin = env.h2_origin(reply=reply)
    port = env.port()
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}", "protocols": ["h2" if front == "h2" else "http/1.1"]}},
        "pools": {"api": {"protocol": "h2" if back == "h2" else "http/1.1", "health": {"off": True},
                          "backends": {"a": {"address": origin.address}}}},
        "routes": [{"match": {"path": "/admin"}, "respond": {"status": 403, "body": "no"}}, {"pool": "api"}]})
    ask = hostile.ask_h1 if front == "h1" else hostile.ask_h2
    wrong = hostile.run(cases, ask, port, origin, back, balancer.stop)
    assert not wrong, "\n".join([f"{len(wrong)} of {len(cases)} cases:", *wrong])
    print(f"{len(cases)} cases of {front} to {back}")


@threadless
def test_the_judge_and_the_corpus(env):
    """At least 600 and 250 cases, each with a rule."""
    canonical.check_itself()
    for kind, least in (("h1", 600), ("h2", 250)):
        cases = corpus.load(kind)
        assert len(cases) >= least and all(case.family.rules for case in cases), len(cases)


@seconds(180)
def test_h1_to_h1(env):
    story(env, "h1", "h1")


@seconds(180)
def test_h1_to_h2(env):
    story(env, "h1", "h2")


@seconds(180)
def test_h2_to_h1(env):
    story(env, "h2", "h1")


@seconds(180)
def test_h2_to_h2(env):
    story(env, "h2", "h2")
