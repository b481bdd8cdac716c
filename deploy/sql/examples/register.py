"""Keeps a server in the registry of a pool (psycopg 3)."""
import atexit
import threading
import psycopg


def register(conninfo, pool, address, every=10):
    def say(statement, *values):
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(statement, values)

    def beat():
        try:
            say("SELECT meridian.heartbeat(%s, %s, '30 s')", pool, address)
        except psycopg.Error:
            pass  # the lease lasts; the next beat tries again
        timer = threading.Timer(every, beat)
        timer.daemon = True
        timer.start()

    atexit.register(say, "SELECT meridian.leave(%s, %s)", pool, address)
    beat()
