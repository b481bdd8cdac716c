"""Sends the cases of the hostile corpus and judges what came of them. Each case has a connection and a source
address of its own: by that address, which the balancer tells its backends, what arrives is known to be the
case's, whatever its bytes are."""
from concurrent.futures import ThreadPoolExecutor

import canonical
import hpack
from canonical import Unsound
from client import Client
from h2 import DATA, END_HEADERS, END_STREAM, H2Client, HEADERS, frame
from wire import Ended, Malformed

BEHIND = "/behind"
SMUGGLED = "smuggled"
AT_ONCE = 4


class Outcome:
    """What the client saw of a case."""

    def __init__(self, case, source):
        self.case, self.source = case, source
        self.statuses = []     # of the case's own answers
        self.behind = None     # the status of the request that stood behind
        self.closed = False
        self.trouble = None    # an answer that is none
        self.seen = []         # canonical.Seen at the backend


def source(number):
    return f"127.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


# --- clients ---

def ask_h1(case, port, address):
    outcome = Outcome(case, address)
    method = "HEAD" if case.bytes.startswith(b"HEAD ") else "GET"
    behind = b"" if case.expect.half_close else f"GET {BEHIND} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with Client(port, source=address, timeout=20) as client:
        try:
            client.send(case.bytes + behind)
            if case.expect.half_close:
                client.half_close()
        except ConnectionError:
            pass  # refused before all was sent; the answer is there
        try:
            while outcome.behind is None:
                answer = client.response(method if not outcome.statuses else "GET")
                if answer.body == BEHIND.encode():
                    outcome.behind = answer.status
                else:
                    outcome.statuses.append(answer.status)
        except (Ended, ConnectionError):
            outcome.closed = True
        except (Malformed, TimeoutError) as problem:
            outcome.trouble = problem
    return outcome


def frames(case):
    """The bytes of a case of HTTP/2, on stream 1."""
    out = b""
    for number, (kind, content) in enumerate(case.steps):
        end = END_STREAM if number == len(case.steps) - 1 else 0
        if kind == "frame":
            out += bytes.fromhex(content.decode())
        elif kind == "data":
            out += frame(DATA, end, 1, content)
        else:
            out += frame(HEADERS, END_HEADERS | end, 1, hpack.encode(content))
    return out


def ask_h2(case, port, address, tls=None):
    outcome = Outcome(case, address)
    scheme = b"https" if tls else b"http"
    head = hpack.encode([(b":method", b"GET"), (b":scheme", scheme), (b":authority", b"localhost"),
                         (b":path", BEHIND.encode())])
    with H2Client(port, tls=tls, source=address) as client:
        first, behind = client.stream(1), client.stream(3)
        try:
            client.raw(frames(case) + frame(HEADERS, END_HEADERS | END_STREAM, 3, head))
            client.wait(lambda: client.ended_at or (first.over and behind.over), 20, "an end")
        except ConnectionError:
            pass
        except TimeoutError as problem:
            outcome.trouble = problem
        outcome.closed = client.ended_at is not None or bool(client.goaways)
        if first.ended and first.reset in (None, 0):
            outcome.statuses.append(first.status)
        if behind.ended:
            outcome.behind = behind.status
    return outcome


# --- the judgement ---

def arrived(origin, version):
    """All that the backend was sent, as canonical requests."""
    seen, unsound = [], []
    if version == "h1":
        for connection in origin.connections:
            try:
                seen += canonical.requests(connection.bytes, unsound)
            except Unsound as problem:
                unsound.append(str(problem))
        unsound += [f"the reader: {problem}" for problem in origin.malformed]
    else:
        for stream in origin.requests:
            try:
                seen.append(canonical.stream(stream.heads, stream.body, stream.ended, stream.reset))
            except Unsound as problem:
                unsound.append(str(problem))
    return [one for one in seen if one], unsound


def judge(outcome):
    """What is wrong with it; None where nothing is."""
    expect, whole = outcome.case.expect, [one for one in outcome.seen if one.complete]
    own, behind = [one for one in whole if one.target != BEHIND], [one for one in whole if one.target == BEHIND]
    if outcome.trouble:
        return f"{outcome.trouble}"
    if any(SMUGGLED in one.target for one in outcome.seen):
        return f"the backend got what was hidden: {outcome.seen}"
    if len(behind) > 1 or (outcome.behind is not None and outcome.behind != 200):
        return f"behind it: {outcome.behind}, {behind}"
    if expect.kind == "cut":
        return judge_cut(outcome, expect, own)
    if expect.kind == "refused" or (expect.kind == "either" and outcome.statuses[:1] != [200]):
        return judge_refused(outcome, expect, own, behind)
    if outcome.statuses != [200] or len(own) != 1:
        return f"answered by {outcome.statuses}, the backend got {own}"
    if not expect.half_close and (outcome.behind != 200 or len(behind) != 1):
        return f"what stands behind got {outcome.behind}, the backend {behind}"
    return judge_forwarded(own[0], outcome.case.checks)


def judge_refused(outcome, expect, own, behind):
    status = outcome.statuses[0] if outcome.statuses else None
    http2 = outcome.case.family.steps[0][0] != "send"
    if status not in expect.statuses and not (status is None and (expect.silent or http2)):
        return f"answered by {outcome.statuses} instead of {expect.statuses}"
    if len(outcome.statuses) > 1 or own:
        return f"answered by {outcome.statuses}, the backend got {own}"
    if expect.closes and (not outcome.closed or behind):
        return f"not closed, behind it: {outcome.behind}, {behind}"
    if outcome.behind is None and not outcome.closed:
        return "neither closed nor the one behind it served"
    return None


def judge_cut(outcome, expect, own):
    if len(own) > 1 or not set(outcome.statuses) <= set(expect.statuses):
        return f"answered by {outcome.statuses}, the backend got {own}"
    return judge_forwarded(own[0], outcome.case.checks) if own else None


def judge_forwarded(seen, checks):
    for what, value in checks:
        if what == "lacks":
            found = [name for name in value.split() if seen.all(name.lower())]
            if found:
                return f"{found} came through: {seen}"
        elif what == "has":
            name, _, content = value.partition(": ")
            if seen.all(name) != [content]:
                return f"{name} is {seen.all(name)} instead of {content!r}"
        elif what == "body":
            if seen.body != value.encode("latin-1"):
                return f"the content is {seen.body!r} instead of {value!r}"
        elif getattr(seen, what) != value:
            return f"{what} is {getattr(seen, what)!r} instead of {value!r}"
    return None


def run(cases, ask, port, origin, back, settle):
    """Sends all cases, a few at once; returns what is wrong, as lines. `settle` ends what is under way."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda job: ask(job[1], port, source(job[0])), enumerate(cases)))
    settle()
    seen, wrong = arrived(origin, back)
    by_source = {outcome.source: outcome for outcome in outcomes}
    for one in seen:
        by_source[one.client].seen.append(one)
    for outcome in outcomes:
        problem = judge(outcome)
        if problem:
            wrong.append(f"{outcome.case.name} [{' '.join(outcome.case.family.rules)}]: {problem}")
    return wrong
