"""Servers that the demo starts for its agents to ask: a real Redis, the real Spring servers where their jars are built.

All of them listen on the demo's own address and a free port, keep their files beside the logs, and end with the demo."""
import glob
import os
import shutil
import socket
import time
import urllib.error
import urllib.request

from process import Process

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INTEROP = os.environ.get("OUTRIDER_INTEROP") or os.path.join(ROOT, "build", "interop")
JAVA = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]


class Missing(Exception):
    """This machine lacks what was asked for; the text says what to do."""


def free_port(host):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def wait_until(what, condition, process, seconds):
    """OSError when the server ends or says nothing for so long."""
    limit = time.monotonic() + seconds
    while not condition():
        if process.ended() or time.monotonic() > limit:
            words = process.ended() or f"no answer for {seconds} s"
            raise OSError("\n  ".join([f"{what}: {words}", *process.last_lines()]))
        time.sleep(0.05)


class Redis:
    """A real redis-server without persistence."""

    def __init__(self, name, host, logs):
        path = shutil.which("redis-server")
        if not path:
            raise Missing("there is no redis-server here: apt-get install redis-server")
        self.host, self.port = host, free_port(host)
        self.process = Process(name, [path, "--bind", host, "--port", str(self.port), "--save", "",
                                      "--appendonly", "no", "--dir", logs], {}, logs)

    @property
    def text(self):
        return f"{self.host}:{self.port}"

    def start(self):
        self.process.start()
        wait_until("redis-server", self.answers, self.process, 10)

    def answers(self):
        try:
            return self.command("PING") == b"+PONG"
        except OSError:
            return False

    def command(self, *words):
        """One command; the first line of its reply. OSError when the server refuses it."""
        text = b"*%d\r\n" % len(words)
        for word in map(str.encode, words):
            text += b"$%d\r\n%s\r\n" % (len(word), word)
        with socket.create_connection((self.host, self.port), 5) as connection:
            connection.sendall(text)
            line = connection.makefile("rb").readline().strip()
        if line.startswith(b"-"):
            raise OSError("redis-server: " + line[1:].decode(errors="replace"))
        return line


class Spring:
    """One of the servers that `make interop` builds; options are its properties."""

    def __init__(self, project, host, logs, options):
        jars = sorted(glob.glob(os.path.join(INTEROP, "peers", project, "*.jar")), key=os.path.getmtime)
        if not jars or not shutil.which("java"):
            raise Missing(f"the real {project} is not built here: `make interop` builds it (needs a JDK and Maven)")
        self.host, self.port = host, free_port(host)
        temp = os.path.join(logs, project + ".tmp")
        os.makedirs(temp, exist_ok=True)
        told = {"spring.application.name": project, "server.address": host, "server.port": self.port,
                "spring.main.banner-mode": "off", "management.endpoints.web.exposure.include": "*", **options}
        argv = [*JAVA, "-Djava.io.tmpdir=" + temp, "-jar", jars[-1]] + [f"--{key}={value}" for key, value in told.items()]
        self.process = Process(project, argv, {"JAVA_TOOL_OPTIONS": ""}, logs)

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def start(self):
        self.process.start()
        wait_until(self.process.name, self.answers, self.process, 90)

    def answers(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.url + "/actuator/info", timeout=5) as reply:
                return reply.status == 200
        except (OSError, urllib.error.URLError):
            return False
