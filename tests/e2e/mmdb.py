"""Writes a small database in MaxMind's format with any records, IPv4 only (specification 2.0)."""
import ipaddress
import struct

MARKER = b"\xab\xcd\xefMaxMind.com"


def control(kind, size):
    """The bytes before a value of this type."""
    first, extended = (kind << 5, b"") if kind < 8 else (0, bytes([kind - 7]))
    if size < 29:
        return bytes([first | size]) + extended
    assert size < 285, size
    return bytes([first | 29]) + extended + bytes([size - 29])


class Small(int):
    """A number of 16 bits, as metadata want it."""


class Large(int):
    """A number of 64 bits."""


def value(of):
    if isinstance(of, bool):
        return control(14, int(of))
    if isinstance(of, str):
        text = of.encode()
        return control(2, len(text)) + text
    if isinstance(of, float):
        return control(3, 8) + struct.pack(">d", of)
    if isinstance(of, int):
        digits = of.to_bytes((of.bit_length() + 7) // 8, "big")
        kind = 5 if isinstance(of, Small) else 9 if isinstance(of, Large) else 6
        return control(kind, len(digits)) + digits
    if isinstance(of, list):
        return control(11, len(of)) + b"".join(value(one) for one in of)
    return control(7, len(of)) + b"".join(value(key) + value(one) for key, one in of.items())


def database(records, kind="Test"):
    """The bytes of a file that has {network: record}."""
    nodes, data, places = [[None, None]], b"", {}
    for network, record in records.items():
        net = ipaddress.ip_network(network)
        places[network] = len(data)
        data += value(record)
        at, bits = 0, int(net.network_address)
        for depth in range(net.prefixlen):
            bit = bits >> (31 - depth) & 1
            if depth + 1 == net.prefixlen:
                nodes[at][bit] = network
                break
            if nodes[at][bit] is None:
                nodes.append([None, None])
                nodes[at][bit] = len(nodes) - 1
            at = nodes[at][bit]
    count = len(nodes)

    def record_of(to):
        number = count if to is None else count + 16 + places[to] if isinstance(to, str) else to
        return number.to_bytes(3, "big")
    tree = b"".join(record_of(left) + record_of(right) for left, right in nodes)
    about = {"binary_format_major_version": Small(2), "binary_format_minor_version": Small(0),
             "build_epoch": Large(1700000000), "database_type": kind, "description": {"en": "for tests"}, "ip_version": Small(4), "languages": ["en"],
             "node_count": count, "record_size": Small(24)}
    return tree + b"\0" * 16 + data + MARKER + value(about)
