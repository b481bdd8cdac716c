"""Header compression for HTTP/2 (RFC 7541): an encoder whose every choice is the test's, and a strict
decoder. Run as a program it checks itself against the examples of the RFC's appendix C.

Fields are pairs of bytes, (name, value)."""

STATIC = [tuple(line.partition("=")[::2]) for line in """\
:authority :method=GET :method=POST :path=/ :path=/index.html :scheme=http :scheme=https :status=200
:status=204 :status=206 :status=304 :status=400 :status=404 :status=500 accept-charset
accept-encoding=gzip,_deflate accept-language accept-ranges accept access-control-allow-origin age allow
authorization cache-control content-disposition content-encoding content-language content-length
content-location content-range content-type cookie date etag expect expires from host if-match
if-modified-since if-none-match if-range if-unmodified-since last-modified link location max-forwards
proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie
strict-transport-security transfer-encoding user-agent vary via www-authenticate""".split()]
STATIC = [(name.encode(), value.replace("_", " ").encode()) for name, value in STATIC]
assert len(STATIC) == 61

# How many bits the code of each byte has, and of the end mark: the code is canonical (appendix B), so
# the lengths are all there is to know. Runs of one length are written LENGTHxCOUNT.
LENGTHS = [int(length) for length, _, count in (run.partition("x") for run in """\
13 23 28x7 24 30 28x2 30 28x8 30 28x9 6 10x2 12 13 6 8 11 10x2 8 11 8 6x3 5x3 6x7 7 8 15 6 12 10 13
6 7x22 8 7 8 13 19 13 14 6 15 5 6 5 6 5 6x3 5 7x2 6x3 5 6 7 6 5x2 6 7x5 15 11 14 13 28
20 22 20x2 22x3 23 22 23x5 24 23 24x2 22 23 24 23x4 21 22 23 22 23x2 24 22 21 20 22x2 23x2 21 23 22x2
24 21 22 23x2 21x2 22 21 23 22 23x2 20 22x3 23 22x2 23 26x2 20 19 22 23 22 25 26x3 27x2 26 24 25 19
21 26 27x2 26 27 24 21x2 26x2 28 27x3 20 24 20 21 22 21x2 23 22x2 25x2 24x2 26 23 26 27 26x2 27x5 28
27x5 26 30""".split()) for _ in range(int(count or 1))]
assert len(LENGTHS) == 257


def _codes():
    codes, code, before = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(LENGTHS)):
        code <<= length - before
        codes[symbol] = (code, length)
        code, before = code + 1, length
    return codes


CODES = _codes()
SYMBOLS = {(length, code): symbol for symbol, (code, length) in CODES.items()}


class Broken(Exception):
    """A header block that RFC 7541 does not allow."""


# --- spelling ---

def integer(value, bits, first=0):
    """Section 5.1; `first` are the bits above the prefix."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def huffman(text):
    bits, count = 0, 0
    for byte in text:
        code, length = CODES[byte]
        bits, count = bits << length | code, count + length
    padding = -count % 8
    return (bits << padding | (1 << padding) - 1).to_bytes((count + padding) // 8, "big")


def string(text, coded=False):
    if coded:
        text = huffman(text)
    return integer(len(text), 7, 0x80 if coded else 0) + text


def indexed(index):
    return integer(index, 7, 0x80)


def literal(name, value, add=False, never=False, coded=False):
    """A field spelled out; `name` is text or an index. `add` puts it into the table of the reader."""
    first, bits = (0x40, 6) if add else (0x10 if never else 0, 4)
    start = integer(name, bits, first) if isinstance(name, int) else integer(0, bits, first) + string(name, coded)
    return start + string(value, coded)


def resize(size):
    return integer(size, 5, 0x20)


def encode(fields, coded=False):
    """A block that needs no table but the static one."""
    block = b""
    for name, value in fields:
        if (name, value) in STATIC:
            block += indexed(STATIC.index((name, value)) + 1)
        else:
            block += literal(name, value, coded=coded)
    return block


class Encoder:
    """One that adds every field to the reader's table and uses what is there."""

    def __init__(self, size=4096):
        self.table = Table(size)

    def encode(self, fields):
        block = b""
        for field in fields:
            index = self.table.find(field)
            if index:
                block += indexed(index)
            else:
                block += literal(*field, add=True)
                self.table.add(field)
        return block


# --- reading ---

class Table:
    """The static and the dynamic table as one (sections 2.3 and 4)."""

    def __init__(self, size=4096):
        self.most = self.size = size
        self.fields, self.used = [], 0

    def get(self, index):
        if not 0 < index <= len(STATIC) + len(self.fields):
            raise Broken(f"index {index}")
        return STATIC[index - 1] if index <= len(STATIC) else self.fields[index - len(STATIC) - 1]

    def find(self, field):
        if field in STATIC:
            return STATIC.index(field) + 1
        return len(STATIC) + 1 + self.fields.index(field) if field in self.fields else 0

    def add(self, field):
        self.fields.insert(0, field)
        self.used += cost(field)
        self.shrink()

    def resize(self, size):
        if size > self.most:
            raise Broken(f"table size {size}, at most {self.most}")
        self.size = size
        self.shrink()

    def shrink(self):
        while self.used > self.size:
            self.used -= cost(self.fields.pop())


def cost(field):
    return len(field[0]) + len(field[1]) + 32


class Decoder:
    """Reads blocks; keeps the table between them."""

    def __init__(self, size=4096):
        self.table = Table(size)
        self.block, self.at = b"", 0

    def decode(self, block):
        self.block, self.at = block, 0
        fields = []
        while self.at < len(block):
            first = block[self.at]
            if first & 0x80:
                fields.append(self.table.get(self._integer(7)))
            elif first & 0xe0 == 0x20:
                if fields:
                    raise Broken("a table size after fields")
                self.table.resize(self._integer(5))
            else:
                fields.append(self._literal(first & 0x40))
        return fields

    def _literal(self, add):
        index = self._integer(6 if add else 4)
        name = self.table.get(index)[0] if index else self._string()
        field = (name, self._string())
        if add:
            self.table.add(field)
        return field

    def _byte(self):
        if self.at >= len(self.block):
            raise Broken("a block that ends too early")
        self.at += 1
        return self.block[self.at - 1]

    def _integer(self, bits):
        most = (1 << bits) - 1
        value = self._byte() & most
        if value < most:
            return value
        for shift in range(0, 35, 7):
            byte = self._byte()
            value += (byte & 127) << shift
            if byte < 128:
                return value
        raise Broken("an integer without end")

    def _string(self):
        coded = self.at < len(self.block) and self.block[self.at] & 0x80
        length = self._integer(7)
        text = self.block[self.at:self.at + length]
        if len(text) < length:
            raise Broken("a string that ends too early")
        self.at += length
        return unhuffman(text) if coded else text


def unhuffman(data):
    out, code, length = bytearray(), 0, 0
    for byte in data:
        for bit in range(7, -1, -1):
            code, length = code << 1 | byte >> bit & 1, length + 1
            symbol = SYMBOLS.get((length, code))
            if symbol == 256:
                raise Broken("the end mark inside a string")
            if symbol is not None:
                out.append(symbol)
                code = length = 0
    if length > 7 or code != (1 << length) - 1:
        raise Broken("padding")
    return bytes(out)


# --- the check of itself ---

def check():
    assert integer(10, 5) == b"\x0a" and integer(1337, 5) == b"\x1f\x9a\x0a" and integer(42, 8) == b"\x2a"
    assert sum(2.0 ** -length for length in LENGTHS) == 1.0
    assert huffman(b"www.example.com").hex() == "f1e3c2e5f23a6ba0ab90f4ff"
    assert unhuffman(huffman(bytes(range(256)))) == bytes(range(256))

    # C.4: three requests, Huffman coded, on one table.
    reader = Decoder()
    common = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]
    assert reader.decode(bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff")) == common
    assert reader.decode(bytes.fromhex("828684be5886a8eb10649cbf")) == [*common, (b"cache-control", b"no-cache")]
    assert reader.decode(bytes.fromhex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf")) == [
        (b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/index.html"),
        (b":authority", b"www.example.com"), (b"custom-key", b"custom-value")]
    assert reader.table.used == 164

    # C.5: responses on a table of 256 bytes, with evictions.
    reader = Decoder(256)
    first = bytes.fromhex("4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a3231"
                          "20474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d")
    assert reader.decode(first)[0] == (b":status", b"302") and reader.table.used == 222
    assert reader.decode(bytes.fromhex("4803333037c1c0bf"))[0] == (b":status", b"307")
    assert reader.table.used == 222

    writer, reader = Encoder(), Decoder()
    for turn in range(5):
        fields = [(b"x-%d" % name, b"v" * 300) for name in range(turn, turn + 20)]
        assert reader.decode(writer.encode(fields)) == fields
    for block in (b"\x80", b"\xff\xff\xff\xff\xff\xff", b"\x00", b"\x00\x81\x00\x00", b"\x3f\xe2\x1f", b"\xbe",
                  b"\x00\x84\xff\xff\xff\xff\x00"):
        try:
            raise AssertionError(Decoder().decode(block))
        except Broken:
            pass


if __name__ == "__main__":
    check()
    print("ok")
