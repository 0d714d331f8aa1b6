"""The proxies that are compared: how each is started beside one origin, and ended again.

A proxy gets a temporary folder, a free port, a core. One that is not installed says so by `missing`."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

import machine
import tools


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(target):
    host, port = target.split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2) as s:
            s.sendall(b"GET /128/00000000 HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return s.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


class Running:
    """A started process; ended by its pid, with what it started."""

    def __init__(self, command, env, cores, log, output=None):
        """output: a descriptor instead of the log."""
        self.log = log
        with open(log, "ab") as file:
            out = file if output is None else output
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            start_new_session=True, preexec_fn=tools.pin(*cores))
        self.pid = self.process.pid

    def wait_for(self, target, what):
        deadline = time.monotonic() + 10
        while not answers(target):
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = machine.read(self.log).strip().splitlines()[-1:] or ["(nothing)"]
                self.stop()
                raise tools.Failed(f"{what} does not serve; it said: {said[0]}")
            time.sleep(0.01)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self.process.wait()


class Origins:
    """One origin per load core, all on one port."""

    def __init__(self, folder, cores):
        self.folder, self.target = folder, f"127.0.0.1:{free_port()}"
        self.running = []
        for core in cores:
            one = Running([tools.program("load"), "origin", "--listen", self.target], None, [core],
                          os.path.join(folder, "origin.log"))
            self.running.append(one)
            one.wait_for(self.target, "the origin")

    def stop(self):
        for one in self.running:
            one.stop()


class Proxy:
    """A kind of proxy. command() writes what it needs into `folder` and returns (argv, environment)."""
    name = ""
    binary = ""

    def __init__(self):
        self.path = shutil.which(self.binary, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        self.running = self.folder = None

    @property
    def missing(self):
        return None if self.path else f"{self.binary} is not installed"

    def version(self):
        return ""

    def command(self, folder, listen, origin, workers):
        raise NotImplementedError

    def prepare(self, origin, workers=1):
        """A fresh folder and port; returns what starts it there."""
        self.forget()
        self.folder = tempfile.mkdtemp(prefix=f"bench-{self.name}-")
        os.chmod(self.folder, 0o755)  # nginx's worker is another user
        self.target = f"127.0.0.1:{free_port()}"
        return self.command(self.folder, self.target, origin, workers)

    def start(self, origin, cores, workers=1, env=None):
        argv, own = self.prepare(origin, workers)
        self.running = Running(argv, {**own, **(env or {})}, cores, os.path.join(self.folder, "log"))
        self.pid = self.running.pid
        self.running.wait_for(self.target, self.name)

    def forget(self):
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def stop(self):
        if self.running:
            self.running.stop()
            self.running = None
        self.forget()

    def fill(self, template, folder, **values):
        with open(os.path.join(tools.HERE, template), encoding="utf-8") as f:
            text = f.read()
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        path = os.path.join(folder, template.removesuffix(".in"))
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def said(self, *words):
        """First line of what the program prints about its version."""
        out = subprocess.run([self.path, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             timeout=10, check=False).stdout
        return out.strip().splitlines()[0] if out.strip() else ""


class Outrider(Proxy):
    name = "outrider"

    def __init__(self, path=None):
        super().__init__()
        # A relative path is one from the top of the tree.
        self.path = os.path.join(tools.ROOT, path or os.environ.get("OUTRIDER_BIN") or "build/outrider")

    @property
    def missing(self):
        return None if os.access(self.path, os.X_OK) else f"{os.path.relpath(self.path, tools.ROOT)} is not built"

    def version(self):
        return self.said("version")

    def command(self, folder, listen, origin, workers):
        env = {k: v for k, v in os.environ.items() if not k.startswith("OUTRIDER")}
        env |= {
            "OUTRIDER_SERVICE": "bench",
            "OUTRIDER_PORT": origin.split(":")[1],
            "OUTRIDER_INBOUND": listen,
            "OUTRIDER_OUTBOUND": f"127.0.0.1:{free_port()}",
            "OUTRIDER_ADMIN": f"127.0.0.1:{free_port()}",
            "OUTRIDER_WORKERS": str(workers),
            "OUTRIDER_TRACE": "off",  # what is told of requests is measured by itself: watched.py
            "OUTRIDER_ACCESS_LOG": "off",
        }
        return [self.path, "sidecar"], env


class Live(Outrider):
    """The agent with a file: source, whose upstream policy and limits change() makes others."""

    def command(self, folder, listen, origin, workers):
        argv, env = super().command(folder, listen, origin, workers)
        self.directory, self.admin, self.changes = os.path.join(folder, "config"), env["OUTRIDER_ADMIN"], 0
        os.mkdir(self.directory)
        self.change()
        return argv, env | {"OUTRIDER_CONFIG": "file:" + self.directory}

    def change(self):
        """One real change, as careful programs write files: beside it, then renamed."""
        self.changes += 1
        path = os.path.join(self.directory, "application.yml")
        with open(path + ".tmp", "w", encoding="utf-8") as f:
            f.write(f"outrider:\n  timeout:\n    connect: {2000 + self.changes}ms\n  pool:\n"
                    f"    idle: {60000 + self.changes}ms\n")
        os.rename(path + ".tmp", path)

    def applied(self):
        with urllib.request.urlopen(f"http://{self.admin}/stats", timeout=5) as reply:
            return json.load(reply)["config"]["reloads_applied_total"]


class Sidecars(Proxy):
    """Fifty sidecars in one process (sidecars.c), of which the first serves."""
    name = "sidecars"

    def __init__(self):
        super().__init__()
        self.path = tools.of_agent(self.name)

    def command(self, folder, listen, origin, workers):
        return [self.path, listen, origin], dict(os.environ)

    def toggle(self):
        os.kill(self.pid, signal.SIGUSR1)


class Nginx(Proxy):
    name = binary = "nginx"

    def version(self):
        return self.said("-v").removeprefix("nginx version: ")

    def command(self, folder, listen, origin, workers):
        conf = self.fill("nginx.conf.in", folder, DIR=folder, LISTEN=listen, ORIGIN=origin, WORKERS=workers, FILES=20000)
        return [self.path, "-p", folder, "-c", conf, "-e", os.path.join(folder, "nginx.log")], dict(os.environ)


class Haproxy(Proxy):
    name = binary = "haproxy"

    def version(self):
        return " ".join(self.said("-v").split()[:3])

    def command(self, folder, listen, origin, workers):
        return [self.path, "-db", "-f", self.fill("haproxy.cfg.in", folder, LISTEN=listen, ORIGIN=origin,
                                                  WORKERS=workers)], dict(os.environ)


class Relay(Proxy):
    name = "relay"

    def __init__(self):
        super().__init__()
        self.path = tools.program("relay")

    def version(self):
        return "tests/bench/relay.c"

    def command(self, folder, listen, origin, workers):
        return [self.path, listen, origin], dict(os.environ)


KINDS = {k.name: k for k in (Outrider, Nginx, Haproxy, Relay)}
