"""What a test gets as `t`: a workshop for peers and agents that cleans up after itself."""
import json
import os
import shutil
import socket
import tempfile
import threading

from . import message, table
from .agent import Agent
from .origin import Origin, Port
from .service import Service
from .wire import DEADLINE, Transcript, Wire
from . import ready

REASONS = table.reasons()

# Every agent of a test starts from these: one worker, so that pools and round robin are determined, and no
# lame duck, so that a test ends at once. A test that is about them sets them itself.
# Tests of traces, of the access log and of x-outrider-agent turn them on.
QUIET = {"OUTRIDER_WORKERS": "1", "OUTRIDER_LAME_DUCK": "0s", "OUTRIDER_STOP_TIMEOUT": "5s", "OUTRIDER_TRACE": "off", "OUTRIDER_ACCESS_LOG": "off",
         "OUTRIDER_FORWARD_AGENT": "off"}


class Skip(Exception):
    """The test cannot run here; the text says why."""


def rows(table_of_arguments):
    """One test per row: {name: tuple of further arguments}."""
    def mark(function):
        function.rows = table_of_arguments
        return function
    return mark


def limit(seconds):
    """Seconds after which the runner ends the test (default 40)."""
    def mark(function):
        function.limit = seconds
        return function
    return mark


def slow(function):
    """Left out when QUICK is set in the environment."""
    function.slow = True
    return function


class Case:
    def __init__(self):
        self.transcript = Transcript()
        self.agents, self.things, self.threads = [], [], []
        self.folder = None
        self.clients = self.origins = 0

    # --- peers ---------------------------------------------------------------------------------

    def port(self, host="127.0.0.1"):
        """A reserved port, closed until somebody listens on it."""
        return self._keep(Port(host))

    def origin(self, name=None, address=("127.0.0.1", 0), **options):
        self.origins += 1
        return self._keep(Origin(self.transcript, name or "o%d" % self.origins, address, **options))

    def service(self, answer=200):
        """An upstream that answers by itself (harness/service.py)."""
        return self._keep(Service(answer))

    def client(self, address, rcvbuf=0, source=None, mss=0):
        """A connection to (host, port) or to an agent's listener. A small mss keeps the agent's send buffer small, too."""
        if isinstance(address, Port):
            address = (address.host, address.port)
        self.clients += 1
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if mss:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
        if source:
            sock.bind((source, 0))
        sock.settimeout(DEADLINE)
        try:
            sock.connect(address)
        except ConnectionResetError:
            pass  # made and reset before connect() returned: the reads will tell
        return self._keep(Wire(self.transcript, "c%d" % self.clients, sock))

    def own_address(self):
        """The machine's own address beside loopback; a machine without one skips the test."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))
                return probe.getsockname()[0]
            except OSError:
                raise Skip("no address but loopback") from None

    def tempdir(self):
        if not self.folder:
            self.folder = tempfile.mkdtemp(prefix="outrider-run-")
        return self.folder

    def background(self, function, *args):
        """Runs beside the test; join() on the result waits and passes its exception on."""
        job = _Job(function, args)
        self.threads.append(job)
        return job

    def _keep(self, thing):
        self.things.append(thing)
        return thing

    # --- agents --------------------------------------------------------------------------------

    def agent(self, args, env, ports, expect_status=0, ready=True, files=None, cage=None):
        """ports: {name: Port}; env may override QUIET; files, cage: limits of the agent (Agent)."""
        addresses = {name: (port.host, port.port) for name, port in ports.items()}
        agent = Agent(self.transcript, args, dict(QUIET, **env), addresses, expect_status, files, cage)
        self.agents.append(agent)
        return agent.wait_ready() if ready else agent

    def wiring(self, handler=None, upstreams=None, endpoints=None, env=None, listen="127.0.0.1"):
        """(env, ports) of a sidecar. handler: Origin, Port or text; endpoints: {service: [Origin, Port or text]}."""
        ports = {name: self.port(listen) for name in ("inbound", "outbound", "admin")}
        made = {"OUTRIDER_SERVICE": "accountservice"}
        made.update({"OUTRIDER_" + name.upper(): port.text for name, port in ports.items()})
        if handler is not None:
            made["OUTRIDER_PORT"] = _text(handler)
        else:
            made["OUTRIDER_INBOUND"] = "off"
            del ports["inbound"]
        if upstreams:
            made["OUTRIDER_UPSTREAMS"] = upstreams
        made.update(endpoint_env(endpoints))
        made.update(env or {})
        return made, ports

    def sidecar(self, handler=None, upstreams=None, endpoints=None, env=None, listen="127.0.0.1", **options):
        made, ports = self.wiring(handler, upstreams, endpoints, env, listen)
        return self.agent(["sidecar"], made, ports, **options)

    def edge(self, routes, endpoints=None, env=None, **options):
        """routes: {name: {"prefix": …, "upstream": …}}"""
        ports = {"edge": self.port(), "admin": self.port()}
        made = {"OUTRIDER_LISTEN": ports["edge"].text, "OUTRIDER_ADMIN": ports["admin"].text}
        for name, keys in routes.items():
            for key, value in keys.items():
                made["OUTRIDER_ROUTE_%s_%s" % (name.upper(), key.upper())] = value
        made.update(endpoint_env(endpoints))
        made.update(env or {})
        return self.agent(["edge"], made, ports, **options)

    # --- dialogues ------------------------------------------------------------------------------

    def inbound(self, env=None, **options):
        """The usual scene: an origin as handler, its sidecar, a client on 4143."""
        handler = self.origin("handler")
        agent = self.sidecar(handler, env=env, **options)
        return agent, self.client(agent.inbound), handler

    def outbound(self, env=None, service="quotes", n=1, **options):
        """An upstream of n endpoints, a sidecar, a client on 4140."""
        origins = [self.origin() for _ in range(n)]
        agent = self.sidecar(endpoints={service: origins}, env=env, **options)
        return agent, self.client(agent.outbound), origins[0] if n == 1 else origins

    def exchange(self, client, server, raw=None, reply=None, method="GET"):
        """One request and its answer; server is an Origin (a new connection) or a Wire (a pooled one).
        Returns (request as the origin saw it, reply as the client saw it, the origin's connection)."""
        client.send(raw if raw is not None else message.request(method))
        wire = server.accept() if isinstance(server, Origin) else server
        seen = wire.read_request()
        wire.send(reply if reply is not None else message.response(200, b"fine"))
        return seen, client.read_response(method), wire

    def answered_once(self, client, origin, seconds=DEADLINE):
        """The client's reply comes, and meanwhile nobody asks the origin once more."""
        able = ready.select([client.sock, origin.sock], [], [], seconds)[0]
        assert origin.sock not in able, "the request was sent once more"
        reply = client.read_response()
        assert origin.untouched(), "the request was sent once more"
        return reply

    def own_answer(self, reply, reason, method="GET"):
        """The reply is one of the agent's own, as the table of reasons says."""
        status, stage, blame = REASONS[reason]
        assert reply.status == status, "status %d (%s), expected %d %s" % (
            reply.status, reply.get("x-outrider-reason"), status, reason)
        assert reply.get("x-outrider-reason") == reason, "x-outrider-reason is %r, expected %r" % (
            reply.get("x-outrider-reason"), reason)
        if method == "HEAD":
            return {}
        assert (reply.get("content-type") or "").startswith("application/json"), reply.get("content-type")
        told = json.loads(reply.body)
        assert told["reason"] == reason and told["stage"] == stage and told["blame"] == blame, told
        return told

    # --- the end --------------------------------------------------------------------------------

    def finish(self):
        """Ends everything; returns complaints about the agents."""
        for job in self.threads:
            job.thread.join(0.2)
        for thing in self.things:
            thing.close() if not isinstance(thing, Wire) else thing.sock.close()
        complaints = [complaint for complaint in (agent.finish() for agent in self.agents) if complaint]
        self.stderr = "\n".join(agent.stderr()[-6000:] for agent in self.agents)
        for agent in self.agents:
            agent.close()
        if self.folder and os.path.isdir(self.folder):
            shutil.rmtree(self.folder, ignore_errors=True)
        return complaints


class _Job:
    def __init__(self, function, args):
        self.error = self.value = None
        self.thread = threading.Thread(target=self._run, args=(function, args), daemon=True)
        self.thread.start()

    def _run(self, function, args):
        try:
            self.value = function(*args)
        except BaseException as why:  # handed to whoever joins
            self.error = why

    def join(self, seconds=DEADLINE):
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "a background job is still running"
        if self.error:
            raise self.error
        return self.value


def _text(peer):
    if isinstance(peer, str):
        return peer
    return peer.text


def endpoint_env(endpoints):
    """{service: peers} as OUTRIDER_UPSTREAM_<S>_ENDPOINTS."""
    return {"OUTRIDER_UPSTREAM_%s_ENDPOINTS" % service.upper().replace("-", "_").replace(".", "_"):
            ",".join(_text(peer) for peer in peers) for service, peers in (endpoints or {}).items()}
