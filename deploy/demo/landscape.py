"""The demo landscape: which services there are, at which addresses, and how they are started and stopped.

Every instance has a loopback address of its own, as a container would have, and the agent's usual ports there:

    127.A.B.1    edge             :8080 public  :4191 admin
    127.A.B.2, 3 servers that the agents ask, where DEMO_REGISTRY or DEMO_CONFIG want one
    127.A.B.10   accountservice   :6767 handler :4143 inbound :4140 outbound :4191 admin
    127.A.B.21-23 quotes-service  :8080 handler :4143 inbound :4140 outbound :4191 admin
    127.A.B.30   imageservice     :7777 handler :4143 inbound :4140 outbound :4191 admin
    127.A.B.41:8080               accountservice's pinned address of quotes-service (wiring 1)
    127.0.0.1:20000+n             accountservice's pinned port of imageservice (wiring 2)

A.B is a block that no other demo on this machine holds."""
import http.client
import json
import random
import shutil
import socket
import tempfile
import time

import chaos
import peers
import registries
import settings
from process import Process

BLOCKS = 1000
WARM_UP = 100  # requests
WARM_PATHS = {"quotes-service": "/api/quote?id=1"}
HANDLER_PORTS = {"accountservice": 6767, "quotes-service": 8080, "imageservice": 7777}


class Block:
    """A lease on the addresses 127.A.B.0/24 and one port of 127.0.0.1, held by an open listener for as long as we live."""

    def __init__(self):
        start = random.randrange(BLOCKS)
        for number in (n % BLOCKS for n in range(start, start + BLOCKS)):
            self.number = number
            self.lease = socket.socket()
            try:
                self.lease.bind((self.address(254), 4199))
                self.lease.listen(1)
                with socket.socket() as probe:  # wiring 2 needs this port of the address that all share
                    probe.bind(("127.0.0.1", self.pinned_port()))
                return
            except OSError:
                self.lease.close()
        raise OSError("no free block of loopback addresses")

    def address(self, last):
        return f"127.{100 + self.number // 250}.{self.number % 250}.{last}"

    def pinned_port(self):
        return 20000 + self.number


class Instance:
    """One copy of a service: a plain handler, and an agent that is its parent (exec), stands beside it (sidecar), or is missing (none)."""

    def __init__(self, name, service, host, command, env, agent, agent_env, logs):
        self.name, self.service, self.host, self.how = name, service, host, agent[0]
        self.handler_at = f"{host}:{HANDLER_PORTS[service]}"
        handler_env = {"LISTEN": self.handler_at, "INSTANCE": name, **env}
        program = agent[1]
        if self.how == "exec":
            self.processes = [Process(name, [program, "exec", "--", *command], {**agent_env, **handler_env}, logs)]
        elif self.how == "sidecar":
            self.processes = [Process(name, command, handler_env, logs),
                              Process(name + "-agent", [program, "sidecar"], agent_env, logs)]
        else:
            self.processes = [Process(name, command, handler_env, logs)]
        self.state = "down"
        self.gone = False      # true while its registry need not know it
        self.expected = False  # true from start to stop or kill: a process that is missing then ended by itself

    def start(self):
        self.state, self.expected = "starting", True
        for process in self.processes:
            if not process.running():
                process.start()

    def kill_all(self):
        """Handler and agent at the same moment."""
        self.state, self.expected = "killed", False
        for process in self.processes:
            process.kill()

    def kill_handler(self):
        """The handler alone. Under exec its agent then ends by itself, as a container does; a sidecar stays."""
        self.state, self.expected = "killed", False
        first = self.processes[0]
        if self.how == "exec":
            first.kill_with(first.children())
        else:
            first.kill()

    def handler_pids(self):
        """The handler's own processes, without its agent."""
        return self.processes[0].children() if self.how == "exec" else [self.processes[0].pid]

    def listens(self):
        """True once the handler, and the agent in front of it, accept connections."""
        ports = [HANDLER_PORTS[self.service]] + ([4143] if self.how != "none" else [])
        return all(accepts(self.host, port) for port in ports)

    def warm_up(self):
        """What a health check does on swarm before others hear of a task: a JVM's first replies take long."""
        connection = http.client.HTTPConnection(self.host, HANDLER_PORTS[self.service], timeout=2)
        try:
            for _ in range(WARM_UP):
                connection.request("GET", WARM_PATHS[self.service])
                connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            pass  # who cannot answer will be seen by the traffic
        finally:
            connection.close()

    def unexpected_end(self):
        for process in self.processes:
            if self.expected and process.ended():
                return f"{process.name} ended by itself ({process.ended()})"
        return ""

    def pids(self):
        return [process.pid for process in self.processes if process.running()]


def accepts(host, port):
    try:
        socket.create_connection((host, port), 0.5).close()
        return True
    except OSError:
        return False


def in_words(line):
    """A line of a log for people: of an agent's JSON only what happened and why."""
    try:
        record = json.loads(line)
        return ": ".join(record[key] for key in ("message", "why") if key in record)
    except (ValueError, TypeError):
        return line


class Landscape:
    def __init__(self, commands, outrider, registry="static", config="file"):
        """commands as of toolchains.commands(); outrider is the path of the binary, or None for no agents at all. registry
        and config name one of registries.KINDS and settings.KINDS. Raises peers.Missing."""
        self.block = Block()
        self.logs = tempfile.mkdtemp(prefix="outrider-demo-")
        try:
            self.registry = registries.KINDS[registry if outrider else "static"](self.block.address(2), self.logs)
            self.settings = settings.KINDS[config if outrider else "file"](self.block.address(3), self.logs)
        except peers.Missing:
            self.forget_logs()
            raise
        self.peers = [peer.process for peer in (self.registry.peer, self.settings.peer) if peer]
        self.commands, self.outrider = commands, outrider
        self.edge = None
        self.quotes = [self.instance(f"quotes-{i}", "quotes-service", 20 + i, self.agent("sidecar" if i == 3 else "exec"))
                       for i in (1, 2, 3)]
        self.image = self.instance("images-1", "imageservice", 30, self.agent("exec"))
        self.account = self.instance("accounts-1", "accountservice", 10, self.agent("exec"), *self.account_wiring())
        self.instances = [*self.quotes, self.image, self.account]
        if outrider:
            self.edge = Process("edge", [outrider, "edge"], self.edge_env(), self.logs)
            self.entry = (self.block.address(1), 8080)
        else:
            self.entry = (self.account.host, HANDLER_PORTS["accountservice"])

    def agent(self, how):
        return (how if self.outrider else "none", self.outrider)

    def instance(self, name, service, last, agent, env=None, upstreams=None):
        host = self.block.address(last)
        agent_env = {
            "OUTRIDER_SERVICE": service,
            "OUTRIDER_PORT": f"{host}:{HANDLER_PORTS[service]}",  # in a container the port alone would do
            "OUTRIDER_INBOUND": f"{host}:4143",
            "OUTRIDER_OUTBOUND": f"{host}:4140",
            "OUTRIDER_ADMIN": f"{host}:4191",
            "OUTRIDER_INSTANCE": name,      # in a container its host name tells it apart
            "OUTRIDER_NODE": "node-" + name,  # each its own machine: nobody is preferred for being near
            "OUTRIDER_LAME_DUCK": "100ms",  # no DNS here that must forget us first
            "OUTRIDER_AGENTS": self.admin_ports(),
            **self.registry.env(), **self.settings.env(), **(upstreams or {})}
        return Instance(name, service, host, self.commands[service][0], env or {}, agent, agent_env, self.logs)

    def admin_ports(self):
        """Of all agents, so that the page of each shows all; on swarm they are found by name."""
        return ",".join(f"{self.block.address(last)}:4191" for last in (1, 10, 21, 22, 23, 30))

    def page(self):
        """The operator's page, of all agents."""
        return f"http://{self.block.address(1)}:4191/#/?scope=swarm"

    def called(self, *groups):
        """What an agent is told of the services it calls."""
        told = {}
        for group in groups:
            told.update(self.registry.upstream(group[0].service, [instance.host for instance in group]))
        return told

    def account_wiring(self):
        """What accountservice calls, and what its agent makes of it."""
        if not self.outrider:
            return {"QUOTES_URL": f"http://{self.quotes[0].handler_at}", "IMAGES_URL": f"http://{self.image.handler_at}"}, {}
        pinned, port = self.block.address(41), self.block.pinned_port()
        env = {"QUOTES_URL": f"http://{pinned}:8080", "IMAGES_URL": f"http://127.0.0.1:{port}"}
        return env, {
            "OUTRIDER_UPSTREAM_QUOTES_SERVICE_TIMEOUT_TRY": chaos.TRY,
            "OUTRIDER_UPSTREAMS": f"quotes-service@{pinned}:8080,imageservice:{port}",
            **self.called(self.quotes, [self.image])}

    def edge_env(self):
        return {
            "OUTRIDER_LISTEN": f"{self.block.address(1)}:8080",
            "OUTRIDER_ADMIN": f"{self.block.address(1)}:4191",
            "OUTRIDER_NODE": "node-edge",
            "OUTRIDER_AGENTS": self.admin_ports(),
            "OUTRIDER_LAME_DUCK": "100ms",
            "OUTRIDER_ROUTE_ACCOUNTS_PREFIX": "/accounts",
            "OUTRIDER_ROUTE_ACCOUNTS_UPSTREAM": "accountservice",
            "OUTRIDER_ROUTE_IMAGES_PREFIX": "/images",
            "OUTRIDER_ROUTE_IMAGES_UPSTREAM": "imageservice",
            "OUTRIDER_ROUTE_IMAGES_STRIP": "on",
            **self.registry.env(), **self.settings.env(), **self.called([self.account], [self.image])}

    def url(self, path):
        return "http://%s:%d%s" % (*self.entry, path)

    def start(self, interrupted, deadline_seconds=90):
        """Starts everything and returns when all listen and the entry answers; OSError when that does not happen."""
        self.registry.start()
        self.settings.start()
        self.tell_registry()
        for instance in self.instances:
            instance.start()
        if self.edge:
            self.edge.start()
        deadline = time.monotonic() + deadline_seconds
        while not self.ready():
            problem = self.problem() or ("interrupted before the traffic began" if interrupted() else "")
            if problem or time.monotonic() > deadline:
                raise OSError(problem or f"not ready after {deadline_seconds} s: {self.missing()}")
            time.sleep(0.1)

    def tell_registry(self):
        """As swarm's DNS: a container is known from its start until a moment after it was killed."""
        members = {}
        for instance in self.instances:
            members.setdefault(instance.service, [])
            if not instance.gone:
                members[instance.service].append(instance.host)
        self.registry.present(members)

    def admins(self):
        """{name: (host, port)} of the admin pages of all agents."""
        found = {i.name: (i.host, 4191) for i in self.instances if i.how != "none"}
        return {**found, "edge": (self.block.address(1), 4191)} if self.edge else found

    def ready(self):
        self.poll()
        return not self.missing()

    def poll(self):
        """Moves instances from starting to up."""
        for instance in self.instances:
            if instance.state == "starting" and instance.listens():
                if instance.service in WARM_PATHS:
                    instance.warm_up()
                instance.state = "up"

    def missing(self):
        late = [instance.name for instance in self.instances if instance.state != "up"]
        return ", ".join(late) if late or self.answers() else "the entry " + self.url("/accounts/1")

    def answers(self):
        try:
            connection = http.client.HTTPConnection(*self.entry, timeout=2)
            connection.request("GET", "/accounts/1")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False

    def problem(self):
        """A process that ended by itself, with its last words; empty when all is well."""
        ends = [instance.unexpected_end() for instance in self.instances]
        ends += [f"{process.name} ended by itself ({process.ended()})"
                 for process in [*([self.edge] if self.edge else []), *self.peers] if process.ended()]
        words = next((end for end in ends if end), "")
        if not words:
            return ""
        process = next(p for p in self.processes() if p.name == words.split()[0])
        return "\n  ".join([words] + [in_words(line) for line in process.last_lines()])

    def processes(self):
        own = [process for instance in reversed(self.instances) for process in reversed(instance.processes)]
        return ([self.edge] if self.edge else []) + own + self.peers

    def stop(self, patience=15):
        """SIGTERM to all, callers first; returns the names of those that had to be killed."""
        for instance in self.instances:
            instance.expected = False
        for process in self.processes():
            if process not in self.peers:  # they are asked until the last agent has left
                process.terminate()
        deadline = time.monotonic() + patience
        stubborn = []
        for process in self.processes():
            process.terminate()
            if process.popen and not process.wait(max(0.0, deadline - time.monotonic())):
                stubborn.append(process.name)
                process.kill()
        self.registry.stop()
        self.block.lease.close()
        return stubborn

    def forget_logs(self):
        shutil.rmtree(self.logs, ignore_errors=True)
