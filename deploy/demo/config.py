"""Where the demo's agents take their configuration from: a directory (the embedded default), Redis, or a Spring Cloud Config
Server. Each kind can be told new values while the traffic runs."""
import http.client
import json
import os
import shutil
import socket
import sys
import time

from process import Process

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GOOD = {"outrider.limit.fields": "256", "demo.greeting": "hello"}


class Unavailable(Exception):
    """This machine lacks what the kind needs; the text says what to do."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Files:
    """A directory laid out as a Spring config repository; agents are told of changes by the kernel."""

    poll = "30s"

    def __init__(self, folder):
        self.folder = os.path.join(folder, "config")
        os.makedirs(self.folder, exist_ok=True)
        self.processes = []
        self.put(GOOD)

    def address(self):
        return "file:" + self.folder

    def words(self):
        return f"the directory {self.folder}"

    def put(self, values):
        """All properties of application.properties, in one step: written beside it, then renamed."""
        path = os.path.join(self.folder, "application.properties")
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write("".join(f"{key}={value}\n" for key, value in values.items()))
        os.rename(path + ".new", path)

    def start(self):
        """Nothing to start."""

    def stop(self):
        for process in self.processes:
            process.terminate()
            if not process.wait(10):
                process.kill()


class Redis(Files):
    """Hashes in a redis-server of the demo's own; a message tells the agents."""

    def __init__(self, folder):
        if not shutil.which("redis-server") or not shutil.which("redis-cli"):
            raise Unavailable("DEMO_CONFIG=redis needs redis-server: make deps installs it")
        self.port = free_port()
        self.server = Process("redis", ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "",
                                        "--dir", folder], {}, folder)
        self.folder, self.processes = folder, [self.server]

    def address(self):
        return f"redis:127.0.0.1:{self.port}"

    def words(self):
        return f"redis-server at 127.0.0.1:{self.port}, hash outrider:config:application"

    def command(self, *words):
        """One command in the protocol's own form; the reply's first line."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as conn:
            conn.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w.encode()), w.encode()) for w in words))
            return conn.recv(4096).split(b"\r\n")[0].decode()

    def start(self):
        self.server.start()
        until(lambda: self.answers(), 10, "redis-server does not answer")
        self.put(GOOD)

    def answers(self):
        try:
            return self.command("PING") == "+PONG"
        except OSError:
            return False

    def put(self, values):
        self.command("HSET", "outrider:config:application", *[word for pair in values.items() for word in pair])
        self.command("PUBLISH", "outrider:config", "*")


class Spring(Files):
    """A real Spring Cloud Config Server in front of the directory; agents ask it twice a second."""

    poll = "500ms"

    def __init__(self, folder):
        super().__init__(folder)
        sys.path.insert(0, os.path.join(ROOT, "tests", "interop"))
        from maven import Maven, Missing  # noqa: PLC0415
        try:
            jar = Maven(os.path.join(ROOT, "build", "interop")).jar("config-server")
        except (Missing, AssertionError) as why:
            raise Unavailable(f"DEMO_CONFIG=spring needs the config server of tests/interop: {why}") from why
        self.port = free_port()
        options = {"server.port": self.port, "server.address": "127.0.0.1", "spring.profiles.active": "native",
                   "spring.cloud.config.server.native.search-locations": "file:" + self.folder + "/",
                   "spring.cloud.bus.enabled": "false", "spring.cloud.stream.enabled": "false",
                   "spring.main.banner-mode": "off"}
        self.server = Process("config-server", ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-jar", jar] +
                              [f"--{key}={value}" for key, value in options.items()], {}, folder)
        self.processes = [self.server]

    def address(self):
        return f"spring:http://127.0.0.1:{self.port}"

    def words(self):
        return f"a Spring Cloud Config Server at http://127.0.0.1:{self.port} in front of {self.folder}"

    def start(self):
        self.server.start()
        until(self.answers, 120, "the config server does not answer")

    def answers(self):
        try:
            conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            conn.request("GET", "/application/default")
            return conn.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


KINDS = {"file": Files, "redis": Redis, "spring": Spring}


def until(condition, seconds, otherwise):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise OSError(otherwise)
        time.sleep(0.05)


def page(host):
    """/config of the agent whose admin port is at that address; None while it does not answer."""
    try:
        conn = http.client.HTTPConnection(host, 4191, timeout=2)
        conn.request("GET", "/config", headers={"Host": "localhost"})
        return json.loads(conn.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return None


def value(config, key):
    """The effective value of an option in a /config page, or ''."""
    return next((o["value"] for o in (config or {}).get("options", []) if o["key"] == key), "")
