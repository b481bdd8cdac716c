"""Reads records by h11; see README.md."""
import h11

from records import Found, run


def read(data):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    found = None
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                return
            if isinstance(event, h11.Request):
                found = Found(event.method.decode(), event.target.decode("latin-1"))
                for name, value in event.headers:
                    found.field(name, value)
            elif isinstance(event, h11.Data):
                found.content(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                yield f"! trailers {event.headers}" if len(event.headers) else str(found)
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                connection.start_next_cycle()
    except (h11.ProtocolError, RuntimeError) as problem:
        yield f"! {problem}"


run(read)
