"""A Gatling run against a container, and what it and the agent take meanwhile by `docker stats`, as in the table of docs/performance.md."""
import os
import re
import shutil
import subprocess
import threading
import time

from estate import PROGRAMS, ROOT
from harness.serial import Missing

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gatling")
WORK = os.path.join(ROOT, "build", "gatling")
SETTLED = os.path.join(WORK, "fetched")
MAVEN = ["mvn", "-B", "-ntp", "-Daether.connector.connectTimeout=15000", "gatling:test"]


def go_handler():
    """The path of the compiled handler. Raises Missing without Go."""
    if not shutil.which("go"):
        raise Missing("there is no Go here: apt-get install golang-go, if you want the table with a Go handler")
    target, source = os.path.join(PROGRAMS, "account"), os.path.join(os.path.dirname(PROJECT), "programs", "account.go")
    os.makedirs(PROGRAMS, exist_ok=True)
    if not os.path.exists(target) or os.path.getmtime(target) < os.path.getmtime(source):
        env = {"HOME": PROGRAMS, **os.environ, "GO111MODULE": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        subprocess.run(["go", "build", "-o", target, source], env=env, check=True, capture_output=True)
    return target


def fetch():
    """Gets what Maven needs, once, by a run of one request that nobody answers. Raises Missing."""
    if not shutil.which("mvn"):
        raise Missing("there is no Maven here: `make deps` installs it")
    if os.path.exists(SETTLED):
        return
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(PROJECT, WORK)
    done = subprocess.run([*MAVEN, "-Durl=http://127.0.0.1:1", "-Dusers=1", "-Dseconds=1", "-DresultsFolder=" + WORK + "/first"],
                          cwd=WORK, capture_output=True, text=True, timeout=280, check=False)
    if "Reports generated" not in done.stdout:
        raise Missing("Maven cannot get Gatling: " + (re.findall(r"\[ERROR\].*", done.stdout) or ["no word why"])[0][:160])
    with open(SETTLED, "w", encoding="ascii"):
        pass


class Stats(threading.Thread):
    """MemUsage and CPU % of containers of a node, the highest seen."""

    def __init__(self, swarm, node, containers):
        super().__init__()
        self.swarm, self.node, self.containers, self.end, self.most = swarm, node, containers, threading.Event(), {}

    def look(self):
        text = self.swarm.docker(self.node, "stats", "--no-stream", "--format", "{{.ID}} {{.MemUsage}} {{.CPUPerc}}", *self.containers)
        for line in text.split("\n"):
            one, used, _, _, cpu = line.split()
            number, unit = re.match(r"([0-9.]+)([KMG]?i?B)", used).groups()
            mib = float(number) * {"B": 1 / 2**20, "KiB": 1 / 1024, "MiB": 1, "GiB": 1024}[unit]
            was = self.most.get(one[:12], (0, 0))
            self.most[one[:12]] = (max(was[0], mib), max(was[1], float(cpu.rstrip("%"))))

    def run(self):
        while not self.end.is_set():
            self.look()

    def stop(self):
        self.end.set()
        self.join()
        return self.most


def run(swarm, node, url, users, seconds, name):
    """{count, failed, mean, p95, p99} of Gatling in the node's namespace; its report stays in build/gatling/NAME."""
    results = os.path.join(WORK, name)
    shutil.rmtree(results, ignore_errors=True)
    words = [*MAVEN, "-o", "-Durl=" + url, "-Dusers=%d" % users, "-Dseconds=%d" % seconds, "-DresultsFolder=" + results]
    done = subprocess.run([os.path.join(os.path.dirname(PROJECT), "lab"), "netns", str(node), *words], cwd=WORK, env=swarm.env,
                          capture_output=True, text=True, timeout=seconds + 240, check=False)
    text = done.stdout

    def figure(label):
        found = re.search(r"> %s +\| +([0-9,]+) \| +([0-9,-]+) \| +([0-9,-]+)" % re.escape(label), text)
        assert found, text[-2000:]
        return [int(v.replace(",", "")) if v != "-" else 0 for v in found.groups()]
    count = figure("request count")
    return {"count": count[0], "failed": count[2], "mean": figure("mean response time (ms)")[0],
            "p95": figure("response time 95th percentile (ms)")[0], "p99": figure("response time 99th percentile (ms)")[0]}


def address(swarm, node, container):
    """Where the node reaches the container: its leg on the node's own bridge."""
    text = swarm.inside(node, container, "ip", "-4", "-o", "addr").stdout
    return re.findall(r"inet (172\.[0-9.]+)/", text)[-1]


def measured(swarm, node, container, agent, what, port, users, seconds):
    """A row of the table: (what, memory and CPU of the handler, of the agent, Gatling's figures), all the highest seen."""
    stats = Stats(swarm, node, [container, agent])
    time.sleep(1)
    stats.start()
    try:
        figures = run(swarm, node, "http://%s:%d" % (address(swarm, node, container), port), users, seconds, re.sub("[^a-z]+", "-", what))
    finally:
        most = stats.stop()
    return what, most[container[:12]], most[agent[:12]], figures


def pair(swarm, node, container, agent, users, seconds):
    """The table that the issue of node mode asks for: at rest, plain, through the sidecar."""
    rest = Stats(swarm, node, [container, agent])
    rest.look()
    return [("at rest", rest.most[container[:12]], rest.most[agent[:12]], None)] + [
        measured(swarm, node, container, agent, what, port, users, seconds) for what, port in (("plain", 6767), ("through its sidecar", 4143))]


def table(rows, users):
    lines = ["%-38s %14s %8s %13s %8s   %s" % ("%d requests/s" % users, "handler MiB", "CPU %", "agent MiB", "CPU %", "Gatling")]
    for what, handler, agent, figures in rows:
        lines.append("%-38s %14.1f %8.1f %13.1f %8.1f   %s" % (what, *handler, *agent, "" if not figures else
                     "%(count)d requests, %(failed)d failed, mean %(mean)d ms, p95 %(p95)d, p99 %(p99)d" % figures))
    return "\n".join(lines)
