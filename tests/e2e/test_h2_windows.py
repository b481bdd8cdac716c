"""How much windows of HTTP/2 let through on a long path (L21): they open by what was taken, and become wider where they
are what bounds the speed."""
import queue
import socket
import threading
import time

from env import busy, seconds
from h2 import INITIAL_WINDOW

HALF_TRIP_S, SIZE = 0.05, 4 << 20
STALLS_MOST = 40  # windows that stayed at 64 KiB, opened by halves, would be used up 128 times


class LongPath:
    """A port that leads to another one, each byte HALF_TRIP_S later."""

    def __init__(self, env, to):
        self.port, self.to = env.port(), to
        self.listener = socket.create_server(("127.0.0.1", self.port))
        env._ends.callback(self.listener.close)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            for source, sink in ((near, far), (far, near)):
                way = queue.Queue()
                threading.Thread(target=self._read, args=(source, way), daemon=True).start()
                threading.Thread(target=self._write, args=(sink, way), daemon=True).start()

    def _read(self, source, way):
        data = b"more"
        while data:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            way.put((time.monotonic() + HALF_TRIP_S, data))

    def _write(self, sink, way):
        while True:
            due, data = way.get()
            time.sleep(max(0, due - time.monotonic()))
            try:
                sink.sendall(data) if data else sink.shutdown(socket.SHUT_WR)
            except OSError:
                return
            if not data:
                return


def send_counting(stream, size):
    """How often its windows were used up while so much was sent."""
    stalls, connection = 0, stream.connection
    for at in range(0, size, 16384):
        stalls += min(stream.window, connection.window) <= 0
        connection.send(stream.id, bytes(16384), end=at + 16384 >= size)
    return stalls


@busy
@seconds(90)
def test_l21_one_stream_from_a_server_far_away(env):
    stalls = []

    def reply(stream):
        stream.connection.headers(stream.id, [(b":status", b"200")])
        stalls.append(send_counting(stream, SIZE))

    origin = env.h2_origin(reply=reply)
    balancer = env.simple(LongPath(env, origin.port), pool={"protocol": "h2", "health": {"off": True}},
                          listener={"protocols": ["h2"]}, workers=1)
    client = env.h2_client(balancer.port, terms=[(INITIAL_WINDOW, 1 << 24)]).ready()
    client.open_window(0, 1 << 24)
    assert len(client.answer(client.request(), timeout=60).body) == SIZE
    assert stalls[0] <= STALLS_MOST, stalls


@busy
@seconds(90)
def test_l21_one_stream_from_a_client_far_away(env):
    origin = env.h2_origin(reply=lambda stream: stream.respond(200, body=b"%d" % len(stream.read(60))))
    balancer = env.simple(origin, pool={"protocol": "h2", "health": {"off": True}}, listener={"protocols": ["h2"]}, workers=1)
    client = env.h2_client(LongPath(env, balancer.port).port).ready()
    stream = client.request("POST", end=False)
    stalls = send_counting(stream, SIZE)
    assert bytes(client.answer(stream, timeout=60).body) == b"%d" % SIZE
    assert stalls <= STALLS_MOST, stalls
