"""A scripted name server over UDP and TCP: says what a test wants, truth, lies or nothing."""
import socket
import struct
import threading

A, CNAME, AAAA, SRV = 1, 5, 28, 33


def labels(name):
    return b"".join(bytes([len(each)]) + each.encode() for each in name.split(".") if each) + b"\0"


class NameServer:
    """`names` maps a name to its addresses, `services` one to its SRV records (priority, weight, port, target);
    what they do not hold does not exist. `ttl` in seconds.
    `modes` says how a name is answered where that is not "good": "nxdomain", "servfail", "silent", "empty", "truncated" (the truth over TCP only),
    "wrong-id", "garbage", "many" (1,000 addresses),
    "loop" (a CNAME to itself), "other-name" (an answer to another question)."""

    def __init__(self, port, names=None, ttl=5):
        self.names, self.ttl, self.modes, self.services = names or {}, ttl, {}, {}
        self.port, self.address = port, f"127.0.0.1:{port}"
        self.asked, self.tcp_asked = [], 0
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", port))
        self.tcp = socket.create_server(("127.0.0.1", port))
        for target in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=target, daemon=True).start()

    def close(self):
        for each in (self.udp, self.tcp):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()

    def count(self, name, of=A):
        return sum(1 for asked, kind in list(self.asked) if asked == name and kind == of)

    # --- answers ---

    @staticmethod
    def _question(message):
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]].decode())
            at += 1 + message[at]
        return ".".join(labels).lower(), struct.unpack("!H", message[at + 1:at + 3])[0], at + 5

    def _records(self, name, kind):
        if kind == SRV:
            return [struct.pack("!HHH", *each[:3]) + labels(each[3]) for each in self.services.get(name, [])]
        family = socket.AF_INET6 if kind == AAAA else socket.AF_INET
        return [socket.inet_pton(family, each) for each in self.names.get(name, [])
                if (":" in each) == (kind == AAAA) and kind in (A, AAAA)]

    def _answer(self, message, over_tcp):
        name, kind, end = self._question(message)
        self.asked.append((name, kind))
        mode = self.modes.get(name, "good")
        if mode == "silent":
            return []
        if mode == "garbage":
            return [message[:2] + b"\xff" * 40]
        question = message[12:end]
        code = 3 if mode == "nxdomain" or name not in {**self.names, **self.services} else 2 if mode == "servfail" else 0
        records = [] if code or mode == "empty" else self._records(name, kind)
        if mode == "many" and kind == A and not code:
            records = [bytes([127, 9, at >> 8, at & 255]) for at in range(1000)]
        if mode == "many" and kind == SRV and not code:
            records = [struct.pack("!HHH", 0, 0, 1 + at) + labels("a.test") for at in range(1000)]
        cut = not over_tcp and (mode == "truncated" or len(records) > 25)
        body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, self.ttl, len(data)) + data
                        for data in ([] if cut else records))
        if mode == "loop" and not code:
            records, body = [b""], b"\xc0\x0c" + struct.pack("!HHIH", CNAME, 1, self.ttl, 2) + b"\xc0\x0c"
        if mode == "other-name":
            question = labels("evil.example") + question[-4:]
        head = struct.pack("!HHHHH", 0x8480 | code | (0x200 if cut else 0), 1, 0 if cut else len(records), 0, 0)
        if mode == "wrong-id":
            return [bytes([message[0] ^ 0x55, message[1]]) + head + question + body]
        return [message[:2] + head + question + body]

    def _serve_udp(self):
        while True:
            try:
                message, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if len(message) < 17:
                continue
            for answer in self._answer(message, False):
                self.udp.sendto(answer, peer)

    def _serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection):
        with connection, connection.makefile("rb") as stream:
            while True:
                size = stream.read(2)
                if len(size) < 2:
                    return
                self.tcp_asked += 1
                for answer in self._answer(stream.read(struct.unpack("!H", size)[0]), True):
                    connection.sendall(struct.pack("!H", len(answer)) + answer)
