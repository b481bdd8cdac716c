"""The poll of the change log against a model: exactly the tags of transactions that committed between
two polls, whatever the order of their numbers and commits, and whoever's connection was cut."""
import os
import random
import re
import subprocess
import time

from env import Skip, seconds
from postgres import Postgres, binaries

THREADLESS = True  # the subject is the SQL

HERE = os.path.dirname(os.path.abspath(__file__))


def poll_statement():
    """The statement as the session prepares it."""
    with open(os.path.join(HERE, "..", "..", "db", "session_sql.h"), encoding="utf-8") as file:
        text = file.read()
    body = text[text.index("#define SQL_POLL_("):text.index("#define SQL_POLL ")]
    body = body[:body.index("#endif")] if "#endif" in body else body
    for name, value in re.findall(r'#define (SQL_TAG_|SQL_MOST) "(.*)"', text):
        body = body.replace(f" {name}", f' "{value}"')
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

    def say(self, statement):
        """Without waiting for what comes of it."""
        self.process.stdin.write(f"{statement};\n")
        self.process.stdin.flush()

    def cut(self):
        """The client dies: the server sees the end of its connection, at whatever it does then."""
        self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()
        self.process.stdout.close()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Writer:
    """A session that is in a transaction or is not, and the tags that depend on its end."""

    def __init__(self, server, model):
        self.server, self.session, self.model = server, Session(server), model
        self.tags, self.open = [], False

    def cut(self, chance):
        """In the middle of a transaction, or between the sending of COMMIT and its answer: then only the
        server knows what became of it."""
        number = self.session.ask("SELECT pg_current_xact_id_if_assigned()")[0] if self.open else ""
        if number and chance.random() < 0.7:
            self.session.say("COMMIT")
        self.session.cut()
        self.session = Session(self.server)
        state = "in progress" if number else "aborted"
        while state == "in progress":
            state, = self.session.ask(f"SELECT pg_xact_status('{number}')")
        if state == "committed":
            self.model.committed(self.tags)
        self.model.cuts[state] = self.model.cuts.get(state, 0) + 1
        self.open = False

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
        self.pending, self.told, self.ended, self.flushes = set(), 0, 0, 0
        self.server, self.cuts, self.resumed = server, {}, 0
        self.begin_reading()
        self.at, = self.reader.ask("SELECT pg_current_snapshot()")

    def begin_reading(self):
        self.reader = Session(self.server)
        self.reader.ask(f"PREPARE p (pg_snapshot) AS {poll_statement()}")

    def cut_reader(self):
        """Its next connection goes on from the same snapshot. What was asked and not answered is asked again."""
        self.reader.say(f"EXECUTE p ('{self.at}')")
        self.reader.cut()
        self.begin_reading()
        self.resumed += 1

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
        if int(before.split(":")[0]) >= int(floor):
            assert set(found) == self.pending, (set(found) ^ self.pending)
        else:  # the log was pruned past us: a balancer flushes, but nothing is invented
            assert set(found) <= self.pending, (set(found) - self.pending)
            self.flushes += 1
        self.told += len(self.pending)
        self.pending = set()


def run_model(env, transactions, seed):
    if binaries() is None:
        raise Skip("PostgreSQL is not installed")
    print(f"seed {seed}, {transactions} transactions")
    server = Postgres()
    env.at_end(server.close)
    server.sql("ALTER DATABASE postgres SET meridian.notify = off")
    chance = random.Random(seed)
    model = Model(server)
    free = Session(server)
    writers = [Writer(server, model) for _ in range(4)]
    steps = 0
    while model.ended < transactions:
        steps += 1
        writer = chance.choice(writers)
        if steps % 100 == 0 and writer.open:
            writer.cut(chance)
        elif steps % 1009 == 0:
            model.cut_reader()
        else:
            writer.step(chance)
        if chance.random() < 0.1:
            model.end_prepared(free, chance)
        if chance.random() < 0.15:
            model.poll()
        if chance.random() < 0.002:
            free.ask("SELECT meridian.prune('0 s')")
    model.poll()
    print(f"{model.told} tags, {model.flushes} flushes, cut writers {model.cuts}, resumed {model.resumed}")
    assert model.told > transactions / 4 and model.flushes < model.ended / 50
    assert model.resumed > 0 and model.cuts, "connections were cut"
    for session in [free, model.reader, *(writer.session for writer in writers)]:
        session.close()


@seconds(3600)
def test_no_change_is_lost_or_invented(env):
    """100000 transactions in the long run (MERIDIAN_CASES is the percentage), as MERIDIAN_SEED replays them."""
    seed = int(os.environ.get("MERIDIAN_SEED", time.time_ns() % 10**6))
    run_model(env, 1000 * int(os.environ.get("MERIDIAN_CASES", "1")), seed)


class Tags:
    """What statements on watched tables leave in the log."""

    def __init__(self, env):
        if binaries() is None:
            raise Skip("PostgreSQL is not installed")
        self.server = Postgres()
        env.at_end(self.server.close)

    def of(self, *statements):
        """The tags of each transaction that these make, together."""
        self.server.sql("TRUNCATE meridian.change")
        self.server.sql(";\n".join(statements))
        return set(self.server.sql("SELECT DISTINCT tag FROM meridian.change").split())

    def refused(self, statement):
        try:
            self.server.sql(statement)
        except AssertionError as problem:
            return str(problem)
        raise AssertionError(f"it was taken: {statement}")


def test_a3_watched_tables(env):
    """Every way in which a statement may change rows, columns that count, wide statements, and what is refused."""
    tags = Tags(env)
    tags.server.sql("""
        CREATE TABLE orgs (id int PRIMARY KEY);
        CREATE TABLE users (id int PRIMARY KEY, org int REFERENCES orgs ON DELETE CASCADE, name text, seen int DEFAULT 0);
        SELECT meridian.watch('users', ARRAY['users', 'users/{id}', 'org/{org}/users'], ARRAY['name', 'org'], 5);
        SELECT meridian.watch('orgs', ARRAY['orgs/{id}']);""")
    assert tags.server.sql("SELECT count(*) FROM meridian.watched") == "2"
    assert tags.of("INSERT INTO orgs VALUES (1), (2)") == {"orgs/1", "orgs/2"}
    assert tags.of("INSERT INTO users VALUES (7, 1, 'a')") == {"users", "users/7", "org/1/users"}
    assert tags.of("UPDATE users SET seen = seen + 1") == set(), "a column that does not count"
    assert tags.of("UPDATE users SET name = name") == set(), "nothing is changed"
    assert tags.of("UPDATE users SET name = 'b'") == {"users", "users/7", "org/1/users"}
    assert tags.of("UPDATE users SET org = 2") == {"users", "users/7", "org/1/users", "org/2/users"}, "before and after"
    assert tags.of("UPDATE users SET id = 8") == {"users", "users/7", "users/8", "org/2/users"}, "what tags are made of"
    assert tags.of("UPDATE users SET id = 7") == {"users", "users/7", "users/8", "org/2/users"}
    assert tags.of("INSERT INTO users VALUES (7, 2, 'd') ON CONFLICT (id) DO UPDATE SET name = 'd'") == {
        "users", "users/7", "org/2/users"}, "an upsert"
    assert tags.of("COPY users (id, org) FROM STDIN WITH (DELIMITER ',');\n9,1\n\\.\n") == {
        "users", "users/9", "org/1/users"}
    assert tags.of("DELETE FROM orgs WHERE id = 2") == {"orgs/2", "users", "users/7", "org/2/users"}, "a cascade"
    assert tags.of("DELETE FROM users WHERE id = 12345") == set(), "no row"
    assert tags.of("INSERT INTO users SELECT i, 1 FROM generate_series(100, 103) i") >= {"users/100", "users/103"}
    assert tags.of("INSERT INTO users SELECT i, 1 FROM generate_series(200, 204) i") == {
        "users", "users/*", "org/*"}, "as many as are folded"
    assert tags.of("TRUNCATE users") == {"users", "users/*", "org/*"}
    assert tags.of("BEGIN", "INSERT INTO users VALUES (1, 1)", "ROLLBACK") == set()
    tags.server.sql("INSERT INTO users VALUES (1, 1); ALTER TABLE users DROP COLUMN org")
    assert tags.of("DELETE FROM users") == {"users", "users/*", "org/*"}, "an altered table widens; its writer goes on"


def test_a3_what_is_no_tag(env):
    tags = Tags(env)
    tags.server.sql("CREATE TABLE t (id int, odd numeric, dropped int); ALTER TABLE t DROP COLUMN dropped")
    for template in ("{id}", "meridian:pool/{id}", "a//b", "a/b{id}", "a/*", "a/{id", "", "a/{ID}"):
        assert "bad template" in tags.refused(f"SELECT meridian.watch('t', ARRAY['{template}'])"), template
    for column in ("odd", "dropped", "none"):
        assert f'column "{column}"' in tags.refused(f"SELECT meridian.watch('t', ARRAY['a/{{{column}}}'])"), column
    assert tags.of("SELECT meridian.tag_changed('a', 'a', NULL, 'b')") == {"a", "b"}
    assert tags.of("SELECT meridian.tag_changed('')") == {"*"}
    assert tags.of("SELECT meridian.tag_changed(repeat('x', 200), repeat('y', 201))") == {"x" * 200, "*"}
    assert tags.of("SELECT meridian.tag_changed(E'a\\tb')") == {"*"}, "a control character"


def test_a3_whoever_writes_needs_no_right_to_the_log(env):
    tags = Tags(env)
    tags.server.sql("""CREATE ROLE app; CREATE TABLE public.t (id int); GRANT INSERT ON public.t TO app;
        SELECT meridian.watch('public.t', ARRAY['t/{id}'])""")
    assert tags.of("SET ROLE app", "INSERT INTO public.t VALUES (5)", "RESET ROLE") == {"t/5"}
    assert "permission denied" in tags.refused("SET ROLE app; INSERT INTO meridian.change (tag) VALUES ('x')")


def test_a4_10_pruning_raises_the_floor_first(env):
    """Only what every snapshot of an hour ago has seen goes, and who is behind that can tell."""
    tags = Tags(env)
    tags.server.sql("SELECT meridian.tag_changed('one')")
    assert tags.server.sql("SELECT meridian.prune('0 s')") == "0", "a mark is set"
    behind = tags.server.sql("SELECT pg_snapshot_xmin(pg_current_snapshot())")
    tags.server.sql("SELECT meridian.tag_changed('two')")
    assert tags.server.sql("SELECT meridian.prune('1 hour')") == "0", "too soon"
    assert tags.server.sql("SELECT meridian.prune('0 s')") == "1"
    assert tags.server.sql("SELECT tag FROM meridian.change") == "two"
    assert int(tags.server.sql("SELECT floor FROM meridian.meta")) <= int(behind)
    tags.server.sql("SELECT meridian.prune('0 s')")
    assert int(tags.server.sql("SELECT floor FROM meridian.meta")) > int(behind)
