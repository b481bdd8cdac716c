"""The status page (L40): whole without JavaScript, nothing from elsewhere; live in a real browser where one is."""
import html.parser
import os
import shutil
import subprocess
import threading

from client import get
from env import Skip, until


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
    assert rows["gone"][3].startswith(("hard", "soft")) and rows["fra-0"][3] == "up", rows
    ends = {row[0]: row for row in page.tables["Requests by end reason"]}
    assert int(ends["ok"][1]) >= 50
    certificates = {row[0]: row for row in page.tables["Certificates"]}
    assert certificates["www.example.com"][3].strip() in ("59", "60"), certificates


BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def browse(env, url, *options):
    done = subprocess.run([BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
                           "--hide-scrollbars", f"--user-data-dir={env.path('browser')}", *options, url],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert console == [], console
    return done.stdout


def test_page_in_a_browser(env):
    """Live charts under the strict policy, without a word on the console; pictures in four shapes."""
    if BROWSER is None:
        raise Skip("no chromium")
    balancer = scene(env)
    url = f"http://127.0.0.1:{balancer.admin_port}/"
    ended = threading.Event()

    def traffic():
        while not ended.wait(0.02):
            get(balancer.port)
    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        document = browse(env, url, "--virtual-time-budget=9000", "--dump-dom")
        assert ">live<" in document, document[-2000:]
        assert 'id="charts" hidden' not in document and 'd="M' in document
        folder = os.environ.get("MERIDIAN_PICTURES") or env.path("pictures")
        os.makedirs(folder, exist_ok=True)
        for name, size, dark in [("wide-light", "1280,1000", 0), ("wide-dark", "1280,1000", 1),
                                 ("narrow-light", "500,1000", 0), ("narrow-dark", "500,1000", 1)]:
            picture = os.path.join(folder, name + ".png")
            browse(env, url, f"--window-size={size}", "--virtual-time-budget=9000", f"--screenshot={picture}",
                   *(["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []))
            assert os.path.getsize(picture) > 10000, name
    finally:
        ended.set()
        thread.join()
