"""The differential run: generated streams through the balancer to a backend that keeps all bytes, which other
parsers then read (tests/differential). Clients and backend are processes of their own."""
import os
import re
import selectors
import shutil
import socket
import struct
import subprocess
import sys

import streams
from hostile import source

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "differential")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ANSWERED = re.compile(rb"HTTP/1\.1 200 OK\r\n")
FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding): ([^\r]*)")
CLIENT = re.compile(rb"\r\nx-forwarded-for: ([^\r]*)")
CHUNK = re.compile(rb"([0-9a-f]+)\r\n")
RECORD_MOST = 1 << 20
CLIENTS = 2


# --- the backend: a process that answers requests and writes down what it was sent ---

class Kept:
    def __init__(self):
        self.data, self.at = bytearray(), 0

    def take(self):
        """The client of the next complete request, or None."""
        end = self.data.find(b"\r\n\r\n", self.at)
        if end < 0:
            return None
        head = bytes(self.data[self.at:end])
        framing = FRAMING.search(head)
        after = end + 4
        if framing and framing[1] == b"content-length":
            after += int(framing[2])
        elif framing:
            after = self.chunks(after)
        if not after or after > len(self.data):
            return None
        self.at = after
        client = CLIENT.search(head)
        return client[1] if client else b"nobody"

    def chunks(self, at):
        while True:
            match = CHUNK.match(self.data, at)
            if not match:
                return None
            at = match.end() + int(match[1], 16) + 2
            if match[1] == b"0":
                return at


def record(listener, path, stop, other_end):
    """Serves until the other end of `stop`, a pipe, is closed everywhere; writes the records, and beside them who was
    served how often."""
    os.close(other_end)
    select, counts = selectors.DefaultSelector(), {}
    listener.setblocking(False)
    select.register(listener, selectors.EVENT_READ, None)
    select.register(stop, selectors.EVENT_READ, None)
    with open(path, "wb") as out:
        def flush(kept, size):
            out.write(struct.pack(">I", size) + kept.data[:size])
            del kept.data[:size]
            kept.at = 0
        kepts, going = {}, True
        while going:
            for key, _ in select.select():
                if key.fileobj is stop:
                    going = False
                elif key.fileobj is listener:
                    accepted, _ = listener.accept()
                    kepts[accepted] = Kept()
                    select.register(accepted, selectors.EVENT_READ, kepts[accepted])
                elif not receive(key.fileobj, key.data, counts):
                    select.unregister(key.fileobj)
                    key.fileobj.close()
                    flush(key.data, len(key.data.data))
                    del kepts[key.fileobj]
                elif key.data.at > RECORD_MOST:
                    flush(key.data, key.data.at)
        for kept in kepts.values():
            flush(kept, len(kept.data))
    with open(path + ".counts", "w") as out:
        for client, count in counts.items():
            out.write(f"{client.decode('latin-1')} {count}\n")


def receive(connected, kept, counts):
    try:
        data = connected.recv(1 << 16)
        kept.data += data
        while True:
            client = kept.take()
            if client is None:
                return bool(data)
            counts[client] = counts.get(client, 0) + 1
            connected.sendall(ANSWER)
    except OSError:
        return False


# --- the clients ---

def ask(port, data, address):
    """How many times 200 came; None where the balancer was not there."""
    with socket.socket() as client:
        client.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        client.bind((address, 0))
        client.settimeout(60)
        client.connect(("127.0.0.1", port))
        got = b""
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has been refused already
        try:
            while True:
                more = client.recv(1 << 16)
                if not more:
                    break
                got += more
        except ConnectionError:
            pass
        return len(ANSWERED.findall(got))


def send(port, seed, first, last, path):
    """Streams first…last-1; writes how often each was served."""
    cases = streams.load()
    with open(path, "w") as out:
        for number in range(first, last):
            try:
                served = ask(port, streams.stream(seed, number, cases), source(number))
            except OSError as problem:
                served = f"{problem!r}"
            out.write(f"{source(number)} {served}\n")


def fork(action, *args):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            action(*args)
            status = 0
        finally:
            os._exit(status)
    return pid


def wait(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# --- the parsers ---

def python_with(module):
    """An interpreter that has the module: Debian's, or the one that runs."""
    for program in ("/usr/bin/python3", sys.executable):
        if os.access(program, os.X_OK) and subprocess.run(
                [program, "-c", f"import {module}"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return program
    return None


def parsers():
    """{name: command} of those that are installed."""
    found = {"http.server": [sys.executable, os.path.join(FOLDER, "stdlib.py")]}
    if python_with("h11"):
        found["h11"] = [python_with("h11"), os.path.join(FOLDER, "h11_.py")]
    if shutil.which("node"):
        found["llhttp"] = [shutil.which("node"), os.path.join(FOLDER, "llhttp.js")]
    if shutil.which("perl") and subprocess.run(["perl", "-MHTTP::Parser::XS", "-e", "1"], stderr=subprocess.DEVNULL,
                                               check=False).returncode == 0:
        found["picohttpparser"] = ["perl", os.path.join(FOLDER, "pico.pl")]
    return found


def reparse(path, commands):
    """{name: the file of its lines}; all run beside each other."""
    running = {}
    for name, command in commands.items():
        output = f"{path}.{name}"
        with open(path, "rb") as records, open(output, "wb") as out:
            running[name] = (output, subprocess.Popen(command, stdin=records, stdout=out))
    for name, (_, process) in running.items():
        assert process.wait() == 0, f"{name} ended with {process.returncode}"
    return {name: output for name, (output, _) in running.items()}
