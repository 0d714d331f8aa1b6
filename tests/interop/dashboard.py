"""Netflix' Hystrix Dashboard, and a browser that shows its page: Chromium without a screen, driven by its DevTools protocol."""
import base64
import fcntl
import io
import json
import os
import select
import shutil
import time
import urllib.parse
import zipfile

from harness.serial import Missing
from process import Http, Process
from spring import JAVA

PROGRAMS = ("chromium-headless-shell", "chromium")
# The tests may run as root or in a container, where Chromium's own sandbox does not start; it sees nothing but 127.0.0.1, and
# no other name is looked up.
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
             "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--window-size=1000,640",
             "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--remote-debugging-pipe"]
UNDERSCORE = "META-INF/resources/webjars/underscorejs/1.8.3/underscore-min.js"


class HystrixDashboard(Http, Process):
    """One page for each `?stream=`, which its servlet /proxy.stream reads in the browser's stead."""

    jvm = True
    project = "hystrix-dashboard"

    def __init__(self, name, estate):
        super().__init__(name, estate)
        self.port = estate.port()
        self.starts = 0

    @classmethod
    def require(cls, estate):
        estate.maven.jar(cls.project)

    def argv(self):
        self.starts += 1
        temp = os.path.join(self.estate.folder, "%s.%d" % (self.name, self.starts))
        os.makedirs(temp)
        return JAVA + ["-Djava.io.tmpdir=" + temp, "-jar", self.estate.maven.jar(self.project), str(self.port.port)]

    def answers(self):
        return self.answers_at("/monitor/monitor.html")

    def page(self, stream, title):
        return "%s/monitor/monitor.html?stream=%s&title=%s" % (self.url, urllib.parse.quote(stream, safe=""), title)

    def underscore(self):
        """The library that the page loads from cdnjs.cloudflare.com."""
        with zipfile.ZipFile(self.estate.maven.jar(self.project)) as jar:
            inner = next(name for name in jar.namelist() if "underscorejs" in name and name.endswith(".jar"))
            with zipfile.ZipFile(io.BytesIO(jar.read(inner))) as webjar:
                return webjar.read(UNDERSCORE).decode()


class Browser(Process):
    """Messages go through two named pipes, each with a zero byte behind it."""

    def __init__(self, name, estate):
        super().__init__(name, estate)
        self.folder = os.path.join(estate.folder, name)
        self.ids, self.buffer, self.pipes = 0, b"", []

    @classmethod
    def require(cls, estate):
        if not any(shutil.which(program) for program in PROGRAMS):
            raise Missing("there is no %s; `make deps` installs it" % PROGRAMS[0])

    def launch(self):
        if self.running():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.leave_pipes()
        for name in ("in", "out"):
            path = os.path.join(self.folder, name)
            os.mkfifo(path)
            self.pipes.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))  # both ends: nobody waits for the other to open it
        fcntl.fcntl(self.pipes[1], fcntl.F_SETPIPE_SZ, 1 << 20)
        super().launch()

    def argv(self):
        program = next(path for path in map(shutil.which, PROGRAMS) if path)
        return ["sh", "-c", 'in=$1 out=$2; shift 2; exec "$@" 3<"$in" 4>"$out"', "browser", os.path.join(self.folder, "in"),
                os.path.join(self.folder, "out"), program, *ARGUMENTS, "--user-data-dir=" + os.path.join(self.folder, "data")]

    def answers(self):
        return bool(self.call("Browser.getVersion", seconds=60.0)["product"])

    def stop(self, *how):
        super().stop(*how)
        self.leave_pipes()

    def leave_pipes(self):
        for pipe in self.pipes:
            os.close(pipe)
        self.pipes, self.buffer = [], b""

    def call(self, method, session=None, seconds=20.0, **params):
        """The result of a command of the protocol; events on the way are dropped."""
        self.ids += 1
        message = {"id": self.ids, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.pipes[0], json.dumps(message).encode() + b"\0")
        limit = time.monotonic() + seconds
        while True:
            while b"\0" not in self.buffer:
                assert self.running(), "the browser has ended, see " + self.log
                assert time.monotonic() < limit, "%s: the browser did not answer within %d s" % (method, seconds)
                if select.select([self.pipes[1]], [], [], 0.2)[0]:
                    self.buffer += os.read(self.pipes[1], 1 << 20)
            text, _, self.buffer = self.buffer.partition(b"\0")
            said = json.loads(text)
            if said.get("id") == self.ids:
                assert "error" not in said, "%s: %s" % (method, said["error"])
                return said["result"]

    def open(self, url, before=""):
        """Shows a page in a new tab; `before` is a script that runs before those of the page."""
        return Page(self, url, before)


class Page:
    def __init__(self, browser, url, before):
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        self.call("Page.enable")
        if before:
            self.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        self.call("Page.navigate", url=url)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def value(self, script):
        """What an expression is in the page, as JSON."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def picture(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
