#!/usr/bin/env python3
"""Fails where product code reaches past the seams that tests replace (A2):
memory, clocks, random numbers, events and sockets each have one place that may call the system.

Calls are found by name after comments and strings are blanked; `x.free(...)` and `x->send(...)` are
calls through a table and are not meant, nor is a static function of the file that has such a name.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ["lb", "health", "geo", "conf", "db", "admin"]

# kind: (names, where they may stand, what to use instead)
SEAMS = {
    "memory": (
        "malloc calloc realloc reallocarray free aligned_alloc posix_memalign strdup strndup asprintf"
        " vasprintf getline getdelim open_memstream",
        ["lb/base/mem.c"], "base/mem.h"),
    "clock": (
        "time clock clock_gettime gettimeofday timespec_get sleep usleep nanosleep clock_nanosleep"
        " pthread_timedjoin_np pthread_cond_timedwait pthread_mutex_timedlock sem_timedwait",
        ["lb/base/clock.c"], "base/clock.h or the loop's time"),
    "random": (
        "rand rand_r random srand srandom drand48 lrand48 getrandom getentropy arc4random RAND_bytes"
        " RAND_priv_bytes",
        ["lb/base/hash.c"], "base/hash.h"),
    "events": (
        r"ev_\w+ epoll_\w+ eventfd timerfd_\w+ poll ppoll select pselect",
        ["lb/net/loop_ev.c", "lb/net/sock.c"], "net/loop.h"),
    "sockets": (
        "socket socketpair bind listen accept accept4 connect recv recvfrom recvmsg recvmmsg send sendto"
        " sendmsg sendmmsg shutdown getsockopt setsockopt getsockname getpeername getaddrinfo splice"
        " sendfile",
        ["lb/net/loop_ev.c", "lb/net/sock.c"], "net/loop.h"),
    "descriptors": (
        "read write readv writev pread pwrite open openat fopen fdopen fread fwrite fgets fputs close"
        " ioctl fcntl stat fstat lstat unlink rename",
        ["lb/net/loop_ev.c", "lb/net/sock.c", "lb/base/", "lb/run/", "geo/", "conf/", "admin/"],
        "bytes handed in, or the loop's sockets"),
}

# (path, name): the reason. Keep it short: each entry is code that no test can put under simulation.
ALLOWED = {
    ("conf/source.c", "free"): "memory of libfyaml, which its caller must give back",
    ("conf/source.c", "poll"): "the helper's thread: a pipe in the place of a file ends in time",
    ("lb/net/tls_common.c", "stat"): "the helper's thread: before the TLS library opens a file by name",
    ("conf/tree.c", "free"): "memory of libfyaml, which its caller must give back",
    ("admin/meridianctl.c", "sleep"): "a command for people that shows again every two seconds",
    ("admin/ctl_client.c", "socket"): "a command for people: one blocking connection",
    ("admin/ctl_client.c", "setsockopt"): "a command for people: one blocking connection",
    ("admin/ctl_client.c", "connect"): "a command for people: one blocking connection",
    ("admin/ctl_client.c", "send"): "a command for people: one blocking connection",
    ("admin/ctl_client.c", "recv"): "a command for people: one blocking connection",
    ("lb/run/service.c", "setsockopt"): "the service manager's notify socket: one datagram, main thread",
    ("lb/run/log_writer.c", "nanosleep"): "a thread of its own that waits for lines; no worker",
    ("lb/run/service.c", "socket"): "the service manager's notify socket: one datagram, main thread",
    ("lb/run/service.c", "sendmsg"): "the service manager's notify socket: one datagram, main thread",
    ("lb/run/sockets.c", "getsockopt"): "what the service manager handed over at the start",
    ("lb/run/sockets.c", "getsockname"): "what the service manager handed over at the start",
}

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blanked(text):
    """The text without comments and literals, its lines where they were."""
    return TOKEN.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def pattern_of(names):
    return re.compile(r"(?<![\w.])(?<!->)(" + "|".join(names.split()) + r")\s*\(")


STATIC = re.compile(r"^static [^;{}()]*?(\w+)\(", re.M)
PATTERNS = {kind: pattern_of(names) for kind, (names, _, _) in SEAMS.items()}


def problems_of(path):
    relative = str(path.relative_to(ROOT))
    code = blanked(path.read_text(encoding="utf-8"))
    own = set(STATIC.findall(code))
    for kind, (_, places, instead) in SEAMS.items():
        if any(relative.startswith(place) for place in places):
            continue
        for match in PATTERNS[kind].finditer(code):
            if match[1] not in own and (relative, match[1]) not in ALLOWED:
                line = code.count("\n", 0, match.start()) + 1
                yield f"{relative}:{line}: {match[1]}() is the system's {kind}: use {instead}"


def main():
    problems = [problem for folder in PRODUCT for path in sorted((ROOT / folder).rglob("*.[ch]"))
                for problem in problems_of(path)]
    for problem in problems:
        print(f"check-seam: {problem}", file=sys.stderr)
    return 1 if problems else 0


sys.exit(main())
