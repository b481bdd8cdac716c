"""A headless Chromium, driven over its pipe (Chrome DevTools Protocol, one JSON text after the other with NUL between
them), and axe-core for accessibility, from npm."""
import base64
import fcntl
import json
import os
import shutil
import subprocess
import threading
import time

from env import Skip

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")


def axe_source(env):
    """The checker's script, fetched once for each build folder."""
    folder = os.path.join(env.build, "web-tests")
    script = os.path.join(folder, "node_modules", "axe-core", "axe.min.js")
    if not os.path.exists(script):
        if shutil.which("npm") is None:
            raise Skip("no npm, which has axe-core")
        shutil.copytree(os.path.join(env.root, "tests", "web"), folder, dirs_exist_ok=True)
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, capture_output=True,
                              text=True, timeout=60)
        if done.returncode:
            raise Skip(f"npm cannot get axe-core: {done.stderr.strip().splitlines()[-1:]}")
    with open(script, encoding="utf-8") as file:
        return file.read()


def _high(fd):
    """The same where no low number is in its way."""
    high = fcntl.fcntl(fd, fcntl.F_DUPFD, 200)
    os.close(fd)
    return high


class Browser:
    def __init__(self, env):
        if PROGRAM is None:
            raise Skip("no chromium")
        self.replies, self.events, self.number, self.news = {}, [], 0, threading.Condition()
        there, self.sending = os.pipe()
        self.reading, back = os.pipe()
        there, back = _high(there), _high(back)
        command = [PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                   "--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={env.path('browser')}",
                   "about:blank"]
        shell = f"exec 3<&{there} 4>&{back} {there}<&- {back}>&-; exec \"$@\""
        self.process = subprocess.Popen(["/bin/bash", "-c", shell, "sh", *command], pass_fds=(there, back),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(there)
        os.close(back)
        env.at_end(self.close)
        threading.Thread(target=self._read, daemon=True).start()
        page = next(one for one in self._ask("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self.session = self._ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{part}.enable")

    def _read(self):
        rest = b""
        while piece := os.read(self.reading, 1 << 16):
            *texts, rest = (rest + piece).split(b"\0")
            with self.news:
                for text in map(json.loads, texts):
                    if "id" in text:
                        self.replies[text["id"]] = text
                    else:
                        self.events.append(text)
                self.news.notify_all()

    def _ask(self, method, session=None, timeout=30, **params):
        self.number += 1
        text = {"id": self.number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        data = json.dumps(text).encode() + b"\0"
        while data:
            data = data[os.write(self.sending, data):]
        number, end = self.number, time.monotonic() + timeout
        with self.news:
            while number not in self.replies:
                assert self.news.wait(max(0.0, end - time.monotonic())) or number in self.replies, f"no answer to {method}"
            reply = self.replies.pop(number)
        assert "result" in reply, (method, reply)
        return reply["result"]

    def ask(self, method, **params):
        return self._ask(method, self.session, **params)

    def open(self, url, width=1280, height=1000, dark=False):
        self.shape(width, height, dark)
        self.ask("Page.navigate", url=url)

    def shape(self, width, height, dark):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.ask("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def value(self, expression):
        """Of a JavaScript expression, promises waited for."""
        reply = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in reply, reply["exceptionDetails"]
        return reply["result"].get("value")

    def picture(self, path):
        """The whole page."""
        data = self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def said(self):
        """What came on the console, errors of the page among it."""
        with self.news:
            return [one["params"] for one in self.events
                    if one["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")]

    def requested(self):
        """Every address that the page has asked for."""
        with self.news:
            return [one["params"]["request"]["url"] for one in self.events
                    if one["method"] == "Network.requestWillBeSent"]

    def close(self):
        os.close(self.sending)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
