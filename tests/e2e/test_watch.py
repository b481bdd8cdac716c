"""Files that are replaced while the process runs (C3, C4; F22, F28): taken by themselves when they are good."""
import os
import re
import shutil
import ssl
import time

from certs import openssl
from client import Client, client_context, get
from env import Skip, until
from test_geo import PLACES, address_in, world


def serial(env, balancer, port=None):
    with Client(port or balancer.port, tls=client_context(env.authority.ca)) as client:
        return client.socket.getpeercert()["serialNumber"]


def read(balancer, kind, result):
    return balancer.metric("meridian_watched_files_read_total", file=kind, result=result) or 0


def put(source, target):
    shutil.copyfile(source, target + ".new")
    os.rename(target + ".new", target)


def secure(env, *pairs):
    return env.simple(env.origin(), listener={"tls": {"certificates": [pair.config() for pair in pairs]}})


def test_c3_certificate_behind_symbolic_links(env):
    """As certbot renews: live/NAME/*.pem are links that are turned to new files, one after the other."""
    pairs = [env.authority.server("localhost", label=f"archive{i}") for i in range(2)]
    live = env.path("live")
    os.makedirs(live)

    def link(pair):
        for name, target in [("chain.pem", pair.chain), ("key.pem", pair.key)]:
            path = os.path.join(live, name)
            os.symlink(target, path + ".new")
            os.rename(path + ".new", path)
    link(pairs[0])
    balancer = env.simple(env.origin(), listener={"tls": {"certificates": [
        {"chain": os.path.join(live, "chain.pem"), "key": os.path.join(live, "key.pem")}]}})
    before = serial(env, balancer)
    with Client(balancer.port, tls=client_context(env.authority.ca)) as old:
        assert old.get().status == 200
        link(pairs[1])
        until(lambda: serial(env, balancer) != before, 30, "the new certificate")
        assert old.get().status == 200, "a connection from before lives on"
    assert "certificate-read" in balancer.errors() and "files-taken" in balancer.errors()


def test_c3_a_chain_that_something_is_added_to_at_each_renewal(env):
    """Sixteen certificates are taken; with one more, which clients would soon refuse all for, the ones from before stay."""
    pair = env.authority.server("localhost", label="a")
    balancer = secure(env, pair)
    with open(pair.chain) as file:
        blocks = re.findall("-----BEGIN CERT.*?END CERTIFICATE-----\n", file.read(), re.S)

    def grown(count):
        put(env.write("more.pem", "".join((blocks * count)[:count])), pair.chain)
    good, bad = read(balancer, "certificate", "good"), read(balancer, "certificate", "bad")
    grown(16)
    until(lambda: read(balancer, "certificate", "good") > good, 30, "sixteen")
    grown(17)
    until(lambda: read(balancer, "certificate", "bad") > bad, 30, "seventeen")
    assert "more than 16 certificates are in this file" in balancer.errors(), balancer.errors()
    assert serial(env, balancer) and balancer.ctl("reload", check=False).returncode == 1


def test_c3_f28_half_written_files(env):
    """A chain cut short, then a chain without its key: refused, told, the old one stays; complete: taken."""
    pair, new = env.authority.server("localhost", label="a"), env.authority.server("localhost", label="b")
    balancer = secure(env, pair)
    before = serial(env, balancer)
    with open(new.chain) as file:
        text = file.read()
    with open(pair.chain, "w") as file:
        file.write(text[:len(text) // 4])
    until(lambda: read(balancer, "certificate", "bad") == 1, 30, "the refusal of half a chain")
    assert serial(env, balancer) == before
    put(new.chain, pair.chain)
    until(lambda: read(balancer, "certificate", "bad") == 2, 30, "the refusal of a chain with another's key")
    assert serial(env, balancer) == before
    assert "certificate-refused" in balancer.errors() and "does not belong" in balancer.errors()
    put(new.key, pair.key)
    until(lambda: serial(env, balancer) != before, 30, "the new certificate")
    assert read(balancer, "certificate", "good") == 1


def test_c3_f28_files_gone(env):
    """Taken away: what was read serves on; put back: taken."""
    pair, new = env.authority.server("localhost", label="a"), env.authority.server("localhost", label="b")
    balancer = secure(env, pair)
    before = serial(env, balancer)
    os.unlink(pair.key)
    until(lambda: read(balancer, "certificate", "bad") == 1, 30, "the refusal")
    assert serial(env, balancer) == before
    put(new.chain, pair.chain)
    put(new.key, pair.key)
    until(lambda: serial(env, balancer) != before, 30, "the new certificate")


def test_c3_f28_wrong_permissions(env):
    """As a user who may not read the new files: refused, the old one stays; readable: taken, although nothing else changed."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        raise Skip("this needs root to become somebody else")
    pair, new = env.authority.server("localhost", label="a"), env.authority.server("localhost", label="b")
    port, program = env.port(), shutil.copy(env.program("meridian"), env.path("meridian"))
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}", "tls": {"certificates": [pair.config()]}}},
        "pools": {"api": {"backends": {"a": {"address": env.origin().address}}}}, "routes": [{"pool": "api"}]}, start=False)
    balancer.port, balancer.program = port, program
    balancer.before = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    os.umask(0)
    for folder, _, files in os.walk(env.dir):
        os.chmod(folder, 0o777)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o755)
    balancer.start()
    before = serial(env, balancer)
    for source, target in [(new.chain, pair.chain), (new.key, pair.key)]:
        os.chmod(shutil.copyfile(source, target + ".new"), 0o600)
        os.rename(target + ".new", target)
    until(lambda: read(balancer, "certificate", "bad") >= 1, 30, "the refusal")
    assert serial(env, balancer) == before and "certificate-refused" in balancer.errors()
    for path in (pair.chain, pair.key):
        os.chmod(path, 0o644)
    until(lambda: serial(env, balancer) != before, 30, "the new certificate")


def test_c3_each_certificate_fails_alone(env):
    one, two = env.authority.server("localhost", label="one"), env.authority.server("two.example", label="two")
    new = env.authority.server("localhost", label="new")
    balancer = secure(env, one, two)
    before = serial(env, balancer)
    with open(two.chain, "w") as file:
        file.write("no certificate\n")
    put(new.chain, one.chain)
    put(new.key, one.key)
    until(lambda: serial(env, balancer) != before, 30, "the good one of two")
    names = [row["names"] for row in balancer.ctl_json("certificates")["certificates"]]
    assert names == ["localhost", "two.example"] or names == [["localhost"], ["two.example"]], names
    assert read(balancer, "certificate", "bad") >= 1


def dated(env, start, end, label="late"):
    """A certificate that is good from then to then."""
    pair = env.authority.server("localhost", label=label)
    base = pair.chain[:-len(".pem")]
    with open(base + ".cnf", "w") as file:
        file.write(f"[ca]\ndefault_ca=c\n[c]\nnew_certs_dir={os.path.dirname(base)}\ndatabase={base}.index\n"
                   f"serial={base}.serial\npolicy=p\ndefault_md=sha256\n[p]\ncommonName=supplied\n")
    open(base + ".index", "w").close()
    with open(base + ".serial", "w") as file:
        file.write("77\n")
    openssl("ca", "-batch", "-notext", "-config", base + ".cnf", "-in", base + ".csr", "-out", pair.chain,
            "-cert", env.authority.ca, "-keyfile", env.authority.key, "-startdate", start, "-enddate", end,
            "-extfile", base + ".ext")
    return pair


def expired(env):
    """One that was good one day in the past."""
    return dated(env, "20200101000000Z", "20200102000000Z")


def test_c3_f28_expired(env):
    """In the place of a good one it is refused; at a start it is served, and told."""
    pair, late = env.authority.server("localhost"), expired(env)
    balancer = secure(env, pair)
    before = serial(env, balancer)
    put(late.chain, pair.chain)
    put(late.key, pair.key)
    until(lambda: read(balancer, "certificate", "bad") >= 1, 30, "the refusal")
    assert serial(env, balancer) == before and "expired on" in balancer.errors()
    second = secure(env, late)
    until(lambda: "certificate-expired" in second.errors(), 30, "the word about it")
    assert second.metric("meridian_cert_expiry_seconds") < 0


def shown(balancer):
    """The certificate that clients are shown, whatever it is worth."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Client(balancer.port, tls=context) as client:
        return client.socket.getpeercert(binary_form=True)


def test_c3_f28_expires_while_it_is_served(env):
    """It is served on, for clients to refuse; a reload keeps it; a new one in its place is taken."""
    end = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + 6))
    pair, new = dated(env, "20200101000000Z", end, "short"), env.authority.server("localhost", label="new")
    balancer = secure(env, pair)
    before = shown(balancer)
    until(lambda: balancer.metric("meridian_cert_expiry_seconds") < 0, 30, "its end")
    until(lambda: "certificate-expired" in balancer.errors(), 30, "the word about it")
    assert shown(balancer) == before
    assert "reloaded" in balancer.reload(balancer.config)
    assert shown(balancer) == before
    row, = balancer.ctl_json("certificates")["certificates"]
    assert row["left_seconds"] < 0, row
    put(new.chain, pair.chain)
    put(new.key, pair.key)
    until(lambda: shown(balancer) != before, 30, "the new one")
    assert balancer.metric("meridian_cert_expiry_seconds") > 0


def test_f28_what_is_watched_follows_a_reload(env):
    """The files of the new configuration are watched; the configuration itself is not read by a renewal."""
    old, new = env.authority.server("localhost", label="old"), env.authority.server("localhost", label="new")
    third = env.authority.server("localhost", label="third")
    balancer = secure(env, old)
    config = {**balancer.config, "listeners": {"public": {**balancer.config["listeners"]["public"],
                                                          "tls": {"certificates": [new.config()]}}}}
    balancer.reload(config)
    before = serial(env, balancer)
    balancer.write("broken: [")
    put(third.chain, new.chain)
    put(third.key, new.key)
    until(lambda: serial(env, balancer) != before, 30, "the third certificate")
    assert get(balancer.port, tls=client_context(env.authority.ca)).status == 200
    balancer.write(config)
    balancer.reload()
    assert get(balancer.port, tls=client_context(env.authority.ca)).status == 200


def database_of(balancer):
    return balancer.config["geo"]["databases"][0]


def country(balancer):
    get(balancer.port, headers={"X-Forwarded-For": address_in(PLACES["EU"])})
    return balancer.ctl_json("geo", address_in(PLACES["EU"]))["place"]["country"]


def moved(env):
    place = list(PLACES["EU"])
    place[1] = "ES"
    return env.geo_database([tuple(place)], name="moved.mmdb")


def test_c4_geo_replaced_by_rename(env):
    balancer, _ = world(env)
    assert country(balancer) == "FR"
    put(moved(env), database_of(balancer))
    until(lambda: country(balancer) == "ES", 30, "the new database")
    assert read(balancer, "geo", "good") == 1


def test_c4_f22_geo_in_place(env):
    """Truncated and filled with noise while it serves: the copy serves on; written in place: taken."""
    balancer, _ = world(env)
    new = moved(env)
    path = database_of(balancer)
    with open(path, "r+b") as file:
        file.truncate(100)
    until(lambda: read(balancer, "geo", "bad") == 1, 30, "the refusal of a cut database")
    assert country(balancer) == "FR"
    with open(path, "wb") as file:
        file.write(os.urandom(5000))
    until(lambda: read(balancer, "geo", "bad") == 2, 30, "the refusal of noise")
    assert country(balancer) == "FR" and "geo-refused" in balancer.errors()
    with open(new, "rb") as source, open(path, "wb") as file:
        file.write(source.read())
    until(lambda: country(balancer) == "ES", 30, "the new database")


def test_f22_geo_gone(env):
    balancer, _ = world(env)
    os.unlink(database_of(balancer))
    until(lambda: read(balancer, "geo", "bad") == 1, 30, "the refusal")
    assert country(balancer) == "FR"
