#!/usr/bin/env python3
"""The hostile corpus (tests/hostile) through Meridian, HAProxy and nginx in one run, each before a server that records what
it gets and reads it as RFC 9112 has it, no more leniently.

    corpus.py [--build DIR] [--only NAMES] [--share N]      --share 10: every tenth case

Each case has a connection and a source address of its own; HTTP/1.1 in clear and HTTP/2 over TLS in front, HTTP/1.1 behind.
Of what is to be refused (by rules that are stricter than the RFCs where these leave a choice): how much a server got whole
all the same. Of what is to be served: how much was. `hidden`: requests that stand inside of others, for who reads the outer
one differently, and that the server took for requests of their own, the proxy not (it adds X-Forwarded-For to what it knows).
`unreadable`: connections on which the server could not tell where a message ends, or got what is no request. Exits with 1
where Meridian has any of the latter two.
"""
import argparse
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import proxies
from rig import Rig, certificate, free_ports

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))
import corpus  # noqa: E402
import hostile  # noqa: E402
from client import client_context  # noqa: E402
from origin import Origin, text  # noqa: E402

FRONTS = {"h1": "HTTP/1.1", "h2": "HTTP/2"}
RULE_OF_A_ROUTE = 403  # the tests' balancer has a route that the peers' configurations do not

def told(case):
    return RULE_OF_A_ROUTE not in case.expect.statuses


class Server:
    """Answers with the target; keeps what has come whole."""

    def __init__(self):
        port, = free_ports(1)
        self.whole = []
        self.origin = Origin(port, reply=self.reply)

    def reply(self, request):
        self.whole.append(request)
        return text(request.target.encode())

    def sources(self):
        """Of whom it got a request that is not the plain one behind."""
        return {part.strip() for request in self.whole if hostile.BEHIND not in request.target
                for part in request.fields.get("x-forwarded-for", "").split(",")}


def run(proxy, front, cases, server):
    """(refused in all, of them arrived; forwarded in all, of them served)."""
    def ask(job):
        number, case = job
        if front == "h1":
            return hostile.ask_h1(case, proxy.plain, hostile.source(number))
        return hostile.ask_h2(case, proxy.tls, hostile.source(number), tls=client_context(alpn=["h2"]))
    with ThreadPoolExecutor(hostile.AT_ONCE) as pool:
        outcomes = list(pool.map(ask, enumerate(cases)))
    proxy.stop()
    got = server.sources()
    refused = [one for one in outcomes if one.case.expect.kind == "refused"]
    forwarded = [one for one in outcomes if one.case.expect.kind == "forwarded"]
    return (len(refused), sum(one.source in got for one in refused),
            len(forwarded), sum(one.statuses == [200] for one in forwarded))


def row(rig, name, values, front, cases):
    server = Server()
    proxy = proxies.Proxy(rig, name, {**values, "origins": [server.origin.port]})
    try:
        refused, through, forwarded, served = run(proxy, front, cases, server)
    finally:
        proxy.stop()
    hidden = sum(hostile.SMUGGLED in one.target and "x-forwarded-for" not in one.fields for one in server.whole)
    unreadable = len(server.origin.malformed)
    server.origin.die()
    print(f"{FRONTS[front]:9} {name:9} {through:5} of {refused:4} {served:5} of {forwarded:4} {hidden:7} {unreadable:11}", flush=True)
    return hidden, unreadable


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--only", default="meridian,haproxy,nginx")
    parser.add_argument("--share", type=int, default=1)
    options = parser.parse_args()
    names = proxies.available(options.only.split(","), options.build)
    wrong = not names
    print(f"{'front':9} {'proxy':9} {'forwarded':>13} {'served':>13} {'hidden':>7} {'unreadable':>11}\n"
          f"{'':19} {'to be refused':>13} {'to be served':>13}")
    with tempfile.TemporaryDirectory() as folder, Rig(options.build) as rig:
        chain, key, both = certificate(folder)
        values = {"folder": folder, "chain": chain, "key": key, "both": both}
        for front in FRONTS:
            cases = [case for case in corpus.load(front) if told(case)][::options.share]
            for name in names:
                hidden, unreadable = row(rig, name, values, front, cases)
                wrong |= name == "meridian" and hidden + unreadable > 0
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
