"""Generates streams of requests: sound ones, those of the hostile corpus, and mutations of both, one after another
on a connection. The same number gives the same stream for ever."""
import random

import corpus

METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"HEAD")
PIECES = (b"\r\n", b"\r", b"\n", b"\0", b" ", b"\t", b":", b";", b",", b"%", b"%2f", b"%00", b"/../", b"//", b"\\", b"#", b"?",
          b"\x0b", b"\x80", b"\xff", b"0", b"5", b"a", b"0\r\n\r\n", b"\r\n\r\n", b" HTTP/1.1\r\n", b"chunked", b"close", b"\r\n ",
          b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: x\r\n",
          b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"Host: b\r\n", b"X-A: 1\r\n", b"5\r\nhello\r\n", b"GET /y HTTP/1.1\r\n",
          b"Connection: content-length\r\n", b"TE: trailers\r\n", b"Upgrade: h2c\r\n", b"1;a=b\r\nx\r\n")


def load():
    """What streams are made of: the corpus without what is large."""
    return [case.bytes for case in corpus.load("h1") if len(case.bytes) < 2000]


def sound(rng):
    """A request that there is nothing wrong with."""
    method = rng.choice(METHODS)
    lines = [b"%s /%s HTTP/1.1" % (method, word(rng)), b"Host: " + (word(rng) or b"a")]
    lines += [b"X-%s: %s" % (word(rng) or b"a", word(rng)) for _ in range(rng.randrange(4))]
    body = rng.choice((b"", b"hello", b"0\r\n\r\n", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", bytes(rng.randrange(256) for _ in range(9))))
    if rng.random() < 0.4:
        lines.append(b"Transfer-Encoding: chunked")
        at = rng.randrange(len(body) + 1)
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:at], body[at:]) if part) + b"0\r\n\r\n"
    elif body:
        lines.append(b"Content-Length: %d" % len(body))
    if rng.random() < 0.3:
        lines.append(lines.pop(rng.randrange(1, len(lines))))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def word(rng):
    return bytes(rng.choice(b"abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(rng.randrange(8)))


def mutate(rng, data):
    at = rng.randrange(len(data) + 1)
    kind = rng.randrange(7)
    if kind == 0:
        return data[:at] + rng.choice(PIECES) + data[at:]
    if kind == 1:
        return data[:at] + rng.choice(PIECES) + data[at + 1:]
    end = min(at + 1 + rng.randrange(20), len(data))
    if kind == 2:
        return data[:at] + data[end:]
    if kind == 3:
        return data[:end] + data[at:end] + data[end:]
    if kind == 4:
        return data[:at] + data[at:end].swapcase() + data[end:]
    lines = data.split(b"\r\n")
    one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
    if kind == 5:
        lines[one], lines[two] = lines[two], lines[one]
    else:
        lines.insert(one, rng.choice(PIECES[-14:]).rstrip(b"\r\n"))
    return b"\r\n".join(lines)


def stream(seed, number, cases):
    rng = random.Random(seed << 32 | number)
    out = b""
    for _ in range(rng.randrange(1, 4)):
        data = rng.choice(cases) if rng.random() < 0.5 else sound(rng)
        for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
            data = mutate(rng, data) or b"\r\n"
        out += data
    return out
