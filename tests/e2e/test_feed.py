"""The poll of the change log against a model: exactly the tags of transactions that committed between
two polls, whatever the order of their numbers and commits."""
import os
import random
import re
import subprocess

from env import Skip, long, seconds
from postgres import Postgres, binaries

HERE = os.path.dirname(os.path.abspath(__file__))


def poll_statement():
    """The statement as the session prepares it."""
    with open(os.path.join(HERE, "..", "..", "db", "session_sql.h"), encoding="utf-8") as file:
        text = file.read()
    body = text[text.index("#define SQL_POLL_("):text.index("#define SQL_POLL ")]
    body = body[:body.index("#endif")] if "#endif" in body else body
    body = body.replace(" identity ", " \"''\" ").split("\\", 1)[1]
    return "".join(re.findall(r'"([^"]*)"', body.split("\n\n")[0]))


class Session:
    """One connection, by psql; statements are answered one by one."""

    END = "--end--"

    def __init__(self, server):
        self.process = subprocess.Popen(
            [os.path.join(server.bin, "psql"), "-XqAt", "-h", server.dir, "-U", "meridian", "postgres"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)

    def ask(self, *statements):
        self.process.stdin.write("".join(f"{s};\n" for s in statements) + f"\\echo {self.END}\n")
        self.process.stdin.flush()
        lines = []
        while True:
            line = self.process.stdout.readline()
            assert line, lines
            if line.rstrip("\n") == self.END:
                break
            lines.append(line.rstrip("\n"))
        assert not any("ERROR" in line for line in lines), lines
        return lines

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Writer:
    """A session that is in a transaction or is not, and the tags that depend on its end."""

    def __init__(self, session, model):
        self.session, self.model, self.tags, self.open = session, model, [], False

    def step(self, chance):
        if not self.open:
            self.session.ask("BEGIN")
            self.open, self.tags = True, []
            return
        what = chance.random()
        if what < 0.35:
            self.tags.append(self.model.tag(self.session))
        elif what < 0.45:
            self.session.ask("SAVEPOINT s")
            lost = self.model.tag(self.session)
            self.session.ask("ROLLBACK TO s")
            assert lost not in self.tags
        elif what < 0.55:
            self.session.ask("SAVEPOINT s")
            self.tags.append(self.model.tag(self.session))
            self.session.ask("RELEASE s")
        elif what < 0.70:
            self.session.ask("ROLLBACK")
            self.open = False
        elif what < 0.80 and len(self.model.prepared) < 8:
            name = f"p{self.model.next}"
            self.model.next += 1
            self.session.ask(f"PREPARE TRANSACTION '{name}'")
            self.model.prepared[name] = self.tags
            self.open = False
        else:
            self.session.ask("COMMIT")
            self.model.committed(self.tags)
            self.open = False


class Model:
    def __init__(self, server):
        self.next, self.prepared = 0, {}
        self.pending, self.seen, self.ended, self.flushes = set(), set(), 0, 0
        self.reader = Session(server)
        self.reader.ask(f"PREPARE p (pg_snapshot) AS {poll_statement()}")
        self.at, = self.reader.ask("SELECT pg_current_snapshot()")

    def tag(self, session):
        self.next += 1
        session.ask(f"SELECT meridian.tag_changed('t{self.next}')")
        return f"t{self.next}"

    def committed(self, tags):
        self.pending |= set(tags)
        self.ended += 1

    def end_prepared(self, session, chance):
        if not self.prepared:
            return
        name = chance.choice(sorted(self.prepared))
        tags = self.prepared.pop(name)
        if chance.random() < 0.5:
            session.ask(f"COMMIT PREPARED '{name}'")
            self.committed(tags)
        else:
            session.ask(f"ROLLBACK PREPARED '{name}'")

    def poll(self):
        answer = self.reader.ask(f"EXECUTE p ('{self.at}')")
        before = self.at
        self.at, _, floor, first = answer[0].split("|")
        found = [tag for tag in [first, *answer[1:]] if tag]
        assert len(found) == len(set(found)), "a tag twice"
        assert not set(found) & self.seen, "seen before"
        if int(before.split(":")[0]) >= int(floor):
            assert set(found) == self.pending, (set(found) ^ self.pending)
        else:  # the log was pruned past us: a balancer flushes, but nothing is invented
            assert set(found) <= self.pending, (set(found) - self.pending)
            self.flushes += 1
        self.seen |= self.pending
        self.pending = set()


def run_model(env, transactions):
    if binaries() is None:
        raise Skip("PostgreSQL is not installed")
    server = Postgres()
    env.at_end(server.close)
    server.sql("ALTER DATABASE postgres SET meridian.notify = off")
    chance = random.Random(transactions)
    model = Model(server)
    free = Session(server)
    writers = [Writer(Session(server), model) for _ in range(4)]
    while model.ended < transactions:
        chance.choice(writers).step(chance)
        if chance.random() < 0.1:
            model.end_prepared(free, chance)
        if chance.random() < 0.15:
            model.poll()
        if chance.random() < 0.002:
            free.ask("SELECT meridian.prune('0 s')")
    model.poll()
    assert len(model.seen) > transactions / 4 and model.flushes < model.ended / 50
    for session in [free, model.reader, *(writer.session for writer in writers)]:
        session.close()


@seconds(120)
def test_no_change_is_lost_or_invented(env):
    run_model(env, 600)


@long
@seconds(1800)
def test_no_change_is_lost_or_invented_long(env):
    run_model(env, 100000)
