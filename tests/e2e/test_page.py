"""The status page (L40): whole without JavaScript, nothing from elsewhere; live in a real browser where one is."""
import html.parser
import json
import os
import threading

from browser import Browser, axe_source
from client import Client, get
from env import Skip, lengthy, native, seconds, threadless, until


class Page(html.parser.HTMLParser):
    """What a reader without a script finds: tables by caption, links to files, headings."""

    def __init__(self, text):
        super().__init__()
        self.open, self.files, self.tables, self.headings, self.cells = [], [], {}, [], []
        self.caption = None
        self.feed(text)
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "link", "path"):
            self.open.append(tag)
        attributes = dict(attributes)
        self.files += [attributes[name] for name in ("src", "href") if name in attributes]
        assert not any(name.startswith("on") or name == "style" for name in attributes), attributes
        if tag == "tr":
            self.cells = []
        if tag in ("td", "th", "caption"):
            self.cells.append("")

    def handle_endtag(self, tag):
        if tag in ("path",):
            return
        assert self.open.pop() == tag, tag
        if tag == "caption":
            self.caption = self.cells.pop()
            self.tables.setdefault(self.caption, [])
        if tag == "tr":
            self.tables[self.caption].append(self.cells)

    def handle_data(self, text):
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(text)
        if self.cells and self.open and {"td", "th", "caption"} & set(self.open):
            self.cells[-1] += text


def scene(env):
    """Two pools, of which one has a dead server, a certificate, and some requests."""
    pair = env.authority.server("www.example.com", days=60)
    good = [env.origin(name=f"one-{i}") for i in range(3)]
    port, secure = env.port(), env.port()
    balancer = env.meridian({
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"},
                      "secure": {"bind": f"127.0.0.1:{secure}", "tls": {"certificates": [pair.config()]}}},
        "pools": {"api": {"backends": {**{f"fra-{i}": {"address": origin.address} for i, origin in enumerate(good)},
                                       "gone": {"address": f"127.0.0.1:{env.port()}"}},
                          "health": {"http": {"path": "/"}, "interval": "200ms", "timeout": "100ms"}},
                  "files": {"backends": {"only": {"address": good[0].address}}}},
        "routes": [{"match": {"path": "/files/"}, "pool": "files"}, {"pool": "api"}]})
    balancer.port = port
    for _ in range(50):
        assert get(port).status == 200
    until(lambda: any(row["health"] != "up" for row in balancer.ctl_json("backends")["backends"]), 30,
          "the dead one")
    return balancer


@native
def test_page_without_a_script(env):
    balancer = scene(env)
    status, body = balancer.admin("/")
    text = body.decode() if isinstance(body, bytes) else body
    page = Page(text)
    assert status == 200 and page.headings[0] == "Meridian"
    assert all(name.startswith("/") for name in page.files), page.files
    for name in page.files:
        assert balancer.admin(name)[0] == 200, name
    rows = {row[0]: row for row in page.tables["Backends of the pool"]}
    assert rows["gone"][1].startswith("hard") and "the server refused the connection" in rows["gone"][1] and rows["fra-0"][1] == "up", rows
    ends = {row[0]: row for row in page.tables["Requests by end reason"]}
    assert int(ends["ok"][1]) >= 50
    certificates = {row[0]: row for row in page.tables["Certificates"]}
    assert certificates["www.example.com"][1].strip() in ("59", "60"), certificates
    assert "Central database" not in page.headings


def test_card_of_the_central_database(env):
    """One that is away: what the command says, in short."""
    balancer = regions(env)
    until(lambda: balancer.ctl_json("database")["dependencies"][0]["state"] == "down", 20, "the first probe")
    page, told = Page(balancer.admin("/")[1]), balancer.ctl_json("database")["dependencies"][0]
    assert "Central database" in page.headings, page.headings
    name, level, state, _, reason = page.tables["What servers depend on"][1]
    assert [name, level, state, reason] == [told["name"], told["level"], "down", told["reason"]], (told, page.tables)


@lengthy
@threadless
@seconds(150)
def test_page_in_a_browser(env):
    """In a real one, light and dark, wide and narrow: live charts and the map under the strict policy, nothing asked
    of another machine, not a word on the console, and no serious fault by axe-core. Pictures go to build/logs/pictures, or MERIDIAN_PICTURES."""
    browser = Browser(env)
    balancer = regions(env)
    url = f"http://127.0.0.1:{balancer.admin_port}/"
    folder = os.environ.get("MERIDIAN_PICTURES") or os.path.join(env.root, "build", "logs", "pictures")
    os.makedirs(folder, exist_ok=True)
    has_map = "/map.js" in balancer.admin("/")[1]
    ended = threading.Event()

    def traffic():
        while not ended.wait(0.01):
            for client in CLIENTS:
                get(balancer.port, headers={"X-Forwarded-For": client})
            get(balancer.port, "/none")
    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        browser.open(url)
        until(lambda: browser.value("(document.querySelector('#rate path') || document.body)?.getAttribute('d')?.split('L')"
                                    ".length > 3"), 40, "the charts")
        if has_map:
            until(lambda: browser.value("document.querySelectorAll('#map circle').length") == 3, 20, "the map")
            assert browser.value("document.querySelectorAll('#map rect').length") == 3
        assert browser.value("document.getElementById('fresh').textContent") == "live"
        for name, width, dark in [("wide-light", 1280, False), ("wide-dark", 1280, True), ("narrow-light", 420, False),
                                  ("narrow-dark", 420, True)]:
            browser.shape(width, 1000, dark)
            assert browser.value("document.documentElement.scrollWidth <= innerWidth"), f"{name}: it scrolls sideways"
            assert browser.value("matchMedia('(prefers-color-scheme: dark)').matches") is dark
            browser.picture(os.path.join(folder, name + ".png"))
            if width < 500:
                check_scrolled(browser)
            assert os.path.getsize(os.path.join(folder, name + ".png")) > 10000, name
            check_accessible(env, browser, name)
    finally:
        ended.set()
        thread.join()
    assert browser.said() == [], browser.said()
    assert {one.split("/")[2] for one in browser.requested()} == {f"127.0.0.1:{balancer.admin_port}"}


def check_scrolled(browser):
    """A table that is wider than the screen stays where a finger has moved it, while its rows are replaced."""
    browser.value("document.querySelector('#live .wide').scrollLeft = 40; document.querySelector('#live tr').id = 'old'; true")
    until(lambda: browser.value("document.getElementById('old') === null"), 20, "new rows")
    assert browser.value("document.querySelector('#live .wide').scrollLeft") == 40


def check_accessible(env, browser, name):
    browser.value(axe_source(env) + ";true")
    found = browser.value("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice']}).then((r) => "
                          "r.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.html).slice(0, 3)]))")
    assert [one for one in found if one[0] in ("serious", "critical")] == [], (name, found)


# A client of each of three countries, near one site each.
CLIENTS = {"198.51.100.1": ("DE", 51.2, 10.4), "203.0.113.1": ("US", 39.8, -98.6), "192.0.2.1": ("SG", 1.35, 103.8)}


def regions(env):
    """Three sites, a dead server, a certificate, a central database that is away."""
    places = env.geo_database([(f"{address}/32", country, "", "", latitude, longitude, 20)
                               for address, (country, latitude, longitude) in CLIENTS.items()])
    pair = env.authority.server("www.example.com", days=60)
    port = env.port()
    sites = {"fra": {"location": [50.1, 8.7], "country": "DE"}, "iad": {"location": [39.0, -77.5], "country": "US"},
             "sin": {"location": [1.3, 103.8], "country": "SG"}}
    backends = {f"{site}-1": {"address": env.origin(name=site).address, "site": site} for site in sites}
    backends["fra-2"] = {"address": f"127.0.0.1:{env.port()}", "site": "fra"}
    balancer = env.meridian({
        "trusted_proxies": {"from": ["127.0.0.0/8"]}, "geo": {"databases": [places]}, "sites": sites,
        "data_sources": {"main": {"postgres": "host=/nowhere", "start_wait": "0s"}}, "dependencies": {"db": {"data_source": "main"}},
        "listeners": {"public": {"bind": f"127.0.0.1:{port}"},
                      "secure": {"bind": f"127.0.0.1:{env.port()}", "tls": {"certificates": [pair.config()]}}},
        "pools": {"api": {"backends": backends, "depends_on": ["db"], "registry": {"source": "main", "allow": ["192.0.2.0/24"]},
                          "health": {"http": {"path": "/"}, "interval": "500ms", "timeout": "400ms"}}},
        "routes": [{"match": {"path": "/none"}, "respond": {"status": 404, "body": "none"}}, {"pool": "api"}]})
    balancer.port = port
    return balancer


def test_clients_and_the_sites_that_serve_them(env):
    """Counted once for each client and site, not for each request: on the page, by the command, over HTTP."""
    balancer = regions(env)
    for _ in range(3):
        for client in CLIENTS:
            with Client(balancer.port) as one:
                for _ in range(4):
                    assert one.get(headers={"X-Forwarded-For": client}).status == 200
    with Client(balancer.port) as trusted:
        for client in CLIENTS:
            assert trusted.get(headers={"X-Forwarded-For": client}).status == 200
    shown = balancer.ctl_json("map")
    assert {(row["country"], row["site"], row["clients"]) for row in shown["clients"]} == {
        ("DE", "fra", 4), ("US", "iad", 4), ("SG", "sin", 4)}, shown
    fra = next(row for row in shown["sites"] if row["name"] == "fra")
    assert (fra["latitude"], fra["longitude"], fra["endpoints"]) == (50.1, 8.7, 2), fra
    assert json.loads(balancer.admin("/v1/map")[1])["clients"] == shown["clients"]
    rows = Page(balancer.admin("/")[1]).tables["Clients by country, and the site that serves them"]
    assert sorted(row[:3] for row in rows[1:]) == [["DE", "fra", "4"], ["SG", "sin", "4"], ["US", "iad", "4"]], rows
    assert "COUNTRY" in balancer.ctl("map")
