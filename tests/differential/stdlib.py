"""Reads records by what Python's http.server reads heads with, content by its framing; see README.md."""
import http.client
import io

from records import Found, run


def content(stream, fields):
    """The content; None where it is cut short."""
    if fields.get("transfer-encoding"):
        out = b""
        while True:
            line = stream.readline()
            size = int(line, 16) if line.endswith(b"\n") else -1
            piece = stream.read(size + 2) if size >= 0 else b""
            if size < 0 or len(piece) < size + 2:
                return None
            out += piece[:size]
            if not size:
                return out
    size = int(fields.get("content-length", "0"))
    data = stream.read(size)
    return data if len(data) == size else None


def read(data):
    stream = io.BytesIO(data)
    while stream.tell() < len(data):
        line = stream.readline(65537).decode("latin-1")
        words = line.split()
        if len(words) != 3 or words[2] != "HTTP/1.1":
            yield f"! start line {line!r}"
            return
        try:
            fields = http.client.parse_headers(stream)
            body = content(stream, fields)
        except (http.client.HTTPException, ValueError) as problem:
            yield f"! {problem!r}"
            return
        if body is None:
            return
        found = Found(words[0], words[1])
        found.host, found.client = ", ".join(fields.get_all("host", [])), ", ".join(fields.get_all("x-forwarded-for", []))
        found.content(body)
        yield str(found)


run(read)
