"""What the parsers of Python have in common: reading records, printing requests."""
import hashlib
import struct
import sys


class Found:
    """One request as a parser sees it."""

    def __init__(self, method="", target=""):
        self.method, self.target, self.host, self.client = method, target, "", ""
        self.body, self.size = hashlib.md5(), 0

    def field(self, name, value):
        name = name.lower()
        if name == b"host":
            self.host = value.decode("latin-1")
        elif name == b"x-forwarded-for":
            self.client = value.decode("latin-1")

    def content(self, data):
        self.body.update(data)
        self.size += len(data)

    def __str__(self):
        return f"{self.method} {self.target} {self.host} {self.client} {self.size} {self.body.hexdigest()}"


def run(read):
    """read(bytes) yields lines."""
    while True:
        head = sys.stdin.buffer.read(4)
        if not head:
            return
        data = sys.stdin.buffer.read(struct.unpack(">I", head)[0])
        for line in read(data):
            print(line)
        print(".")
