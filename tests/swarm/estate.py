"""What the tests of node mode share: the agent as deploy/outrider.yml says, a shop of services on its network, loads."""
import json
import os
import re
import subprocess
import threading
import time

from swarm import HERE, until

ROOT = os.path.dirname(os.path.dirname(HERE))
DEPLOY = os.path.join(ROOT, "deploy")
BENCH = os.path.join(ROOT, "tests", "bench")
PROGRAMS = os.path.join(ROOT, "build", "swarm")
FULL = os.environ.get("FULL", "") not in ("", "0")  # make swarm-check FULL=1: at the counts that the figures are of

# As a user writes it, but for dnsrr: this kernel may have no IPVS, and a pin of the calling service to the manager, whose namespace
# the load enters.
SHOP = """
version: "3.8"
services:
  quotes:
    image: handler:1
    environment: {OUTRIDER_PORT: 8080, GREETING: one}
    networks: [outrider]
    stop_grace_period: 5s
    deploy: {endpoint_mode: dnsrr, replicas: 3, update_config: {parallelism: 1}}
  accounts:
    image: handler:1
    command: [--listen, "127.0.0.1:8080"]
    environment: {OUTRIDER_PORT: 8080, OUTRIDER_UPSTREAMS: "quotes@127.0.4.1:8081"}
    networks: [outrider]
    deploy: {endpoint_mode: dnsrr, placement: {constraints: [node.hostname == node1]}}
networks: {outrider: {external: true}}
"""


def programs():
    """handler and steady, compiled."""
    os.makedirs(PROGRAMS, exist_ok=True)
    made = {}
    for name, flags in (("handler", ["-static"]), ("steady", ["-static"]), ("relay", ["-static", "-I", BENCH])):
        source = os.path.join(BENCH if name == "relay" else os.path.join(HERE, "programs"), name + ".c")
        made[name] = os.path.join(PROGRAMS, name)
        if not os.path.exists(made[name]) or os.path.getmtime(made[name]) < os.path.getmtime(source):
            subprocess.run(["gcc", "-O2", "-Wall", "-D_GNU_SOURCE", "-pthread", *flags, source, "-o", made[name]], check=True)
    return made


class Load:
    """steady in a container's network namespace; a thread waits for it."""

    def __init__(self, swarm, node, container, seconds, rate, *more, target="127.0.4.1:8081"):
        self.pid = swarm.docker(node, "inspect", "-f", "{{.State.Pid}}", container)
        words = ["nsenter", "-t", self.pid, "-n", os.path.join(PROGRAMS, "steady"), target, str(seconds), str(rate), "--timeout", "20000", *more]
        self.began = time.monotonic()
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.text = ""
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        swarm.loads.append(self)

    def _read(self):
        self.text = self.process.communicate()[0]

    def end(self):
        self.process.terminate()
        self.reader.join()

    def result(self, stop=False):
        """What came of it, when its time is over, or now."""
        if stop:
            self.process.terminate()
        self.reader.join()
        return json.loads(self.text)


class Estate:
    """Made once by the first test that asks for it: `estate(swarm)`."""

    def __init__(self, swarm):
        self.swarm, self.docker = swarm, swarm.docker
        programs()
        swarm.image("handler:1", {"/handler": os.path.join(PROGRAMS, "handler"), "/busybox": "/bin/busybox", "/bin/sh": "/bin/busybox"},
                    'ENTRYPOINT ["/handler"]')
        swarm.agent_image()
        self.deploy(os.path.join(DEPLOY, "outrider.yml"), "outrider")
        until("the agents are healthy", lambda: self.agents() == swarm.n, 240, show=lambda: self.docker(
            1, "service", "ps", "--no-trunc", "outrider_agent"))
        self.shop(SHOP)

    def deploy(self, file, stack):
        self.docker(1, "stack", "deploy", "--resolve-image", "never", "-c", file, stack)

    def shop(self, text, stack="shop"):
        path = os.path.join(self.swarm.folder, stack + ".yml")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        self.deploy(path, stack)
        until("the shop answers", lambda: self.call("/").strip(), 240, show=self.state)

    def state(self):
        return "\n".join([self.docker(1, "service", "ls"), self.docker(1, "service", "ps", "--no-trunc", "shop_quotes", "shop_accounts"),
                          self.logs()[-3000:]])

    def agents(self):
        """How many nodes have a healthy agent."""
        return sum(1 for node in range(1, self.swarm.n + 1)
                   if self.docker(node, "ps", "-q", "-f", "label=com.docker.swarm.service.name=outrider_agent", "-f", "health=healthy"))

    def containers(self, service, node):
        return self.docker(node, "ps", "-q", "-f", "label=com.docker.swarm.service.name=" + service).split()

    def container(self, service):
        """(node, id) of one of its running containers."""
        for node in range(1, self.swarm.n + 1):
            for one in self.containers(service, node):
                return node, one
        raise AssertionError("no container of %s runs" % service)

    def agent(self, node):
        """The newest agent of that node."""
        return self.containers("outrider_agent", node)[0]

    def get(self, node, path):
        return json.loads(self.docker(node, "exec", self.agent(node), "/outrider", "get", path))

    def sidecars(self, node):
        """Those of that node, or None while its agent does not answer."""
        agents = self.containers("outrider_agent", node)
        done = self.docker(node, "exec", agents[0], "/outrider", "get", "/sidecars", check=False) if agents else None
        return json.loads(done.stdout)["sidecars"] if done and done.returncode == 0 else None

    def up(self):
        """How many instances of quotes are up, as the caller's sidecar sees them."""
        page = self.docker(1, "exec", self.agent(1), "/outrider", "get", "/upstreams?service=quotes", "--service=accounts", check=False)
        return sum(one["state"] == "up" for u in json.loads(page.stdout)["upstreams"] for one in u["endpoints"]) if page.returncode == 0 else 0

    def called(self, service):
        """Addresses of the instances of a service that the caller's sidecar reached without a failure."""
        page = self.docker(1, "exec", self.agent(1), "/outrider", "get", "/upstreams?service=" + service, "--service=accounts", check=False)
        if page.returncode != 0:
            return []
        return [e["address"] for u in json.loads(page.stdout)["upstreams"] for e in u["endpoints"]
                if e["attempts"] and not e["failures"] and (e["agent"] or {}).get("service", "").endswith(service)]

    def call(self, path, target="http://127.0.4.1:8081", *words):
        """What accounts gets from quotes, through two agents; empty when it gets nothing."""
        try:
            node, container = self.container("shop_accounts")
        except AssertionError:
            return ""
        done = self.swarm.inside(node, container, "curl", "-s", "-m", "5", *words, target + path)
        return done.stdout if done.returncode == 0 else ""

    def load(self, seconds, rate, *more, **named):
        node, container = self.container("shop_accounts")
        return Load(self.swarm, node, container, seconds, rate, *more, **named)

    def update(self, service, *words):
        """docker service update, until it is complete. A task that fails does so within a second of its start; swarm's default
        is to watch each for five."""
        watched = () if "--rollback" in words else ("--update-monitor", "1s", "--rollback-monitor", "1s")  # a rollback takes no other option
        self.docker(1, "service", "update", "-q", "--detach=false", *watched, *words, service, timeout=600)

    def logs(self, since="10m"):
        """Of all agents, for somebody who looks for a cause; engines that were restarted may owe the answer."""
        try:
            return self.docker(1, "service", "logs", "--no-trunc", "--since", since, "outrider_agent", check=False, timeout=30).stdout
        except AssertionError as why:
            return str(why)

    def said(self, node):
        """By the newest agent of that node."""
        return self.docker(node, "logs", self.agent(node), check=False).stderr


def estate(swarm):
    if not getattr(swarm, "estate", None):
        swarm.estate = Estate(swarm)
    return swarm.estate


def whole(result):
    """Nothing failed, and there was a load."""
    assert result["failed"] == 0 and result["ok"] > 1000, json.dumps(result)
    if result["late"] > result["ok"] / 50:
        print("  the machine is busy: %d of %d requests left later than they were due" % (result["late"], result["ok"]), flush=True)


def bar(met, text):
    """A figure that other work on the machine can spoil: it is said, and fails the test in the full form only, for which nothing else shall run."""
    if not met:
        print("  missed: " + text, flush=True)
    assert met or not FULL, text


def told(result):
    """One line of a load's result, without who answered."""
    return re.sub(r', "by".*', "", json.dumps(result))
