"""SIGTERM: readiness fails, inbound goes on for the lame duck, what is in flight finishes, the child is told while its
calls still work, and all of it is bounded."""
import os
import signal
import socket
import sys

from harness.case import rows
from harness.message import request

PYTHON = sys.executable

# Tells that it got SIGTERM, calls out once more through the outbound proxy, ends with the status of that call.
CALLER = """import os, signal, socket, sys
def leave(number, frame):
    print("term", flush=True)
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
    s.sendall(b"GET http://quotes/bye HTTP/1.1\\r\\nHost: quotes\\r\\n\\r\\n")
    answer = s.recv(1000)
    print("called", answer[:12].decode(), flush=True)
    sys.exit(23 if b" 200 " in answer else 24)
signal.signal(signal.SIGTERM, leave)
print("up", flush=True)
while True:
    signal.pause()"""

STUBBORN = """import signal
signal.signal(signal.SIGTERM, lambda *_: print("term", flush=True))
print("up", flush=True)
while True:
    signal.pause()"""


def _exec(t, code, env, expect_status, handler=None, endpoints=None, arguments=lambda ports: []):
    made, ports = t.wiring(handler, endpoints=endpoints, env=env)
    agent = t.agent(["exec", "--", PYTHON, "-c", code] + arguments(ports), made, ports, expect_status=expect_status)
    agent.until("the child is up", lambda: "up" in agent.stdout())
    return agent


def _refused(agent):
    """Nobody accepts on inbound any more."""
    with socket.socket() as probe:
        return probe.connect_ex(agent.inbound) != 0


def test_order_of_leaving(t):
    """The whole order: readiness, lame duck, in-flight request, child with its outbound call, exit status."""
    handler, quotes = t.origin("handler"), t.origin("quotes")
    agent = _exec(t, CALLER, {"OUTRIDER_LAME_DUCK": "700ms", "OUTRIDER_STOP_TIMEOUT": "8s"}, 23, handler,
                  {"quotes": [quotes]}, lambda ports: [str(ports["outbound"].port)])
    slow = t.client(agent.inbound)
    slow.ask("GET", "/slow")
    pending = handler.accept()
    pending.read_request()
    agent.signal(signal.SIGTERM)
    agent.until("readiness fails", lambda: agent.ready() == 503, 0.5)
    late = t.client(agent.inbound)
    _, reply, _ = t.exchange(late, handler)
    assert reply.status == 200, "inbound is not served during the lame duck"
    assert "term" not in agent.stdout(), "the child was told before the lame duck was over"
    agent.until("inbound is closed", lambda: _refused(agent))
    assert "term" not in agent.stdout(), "the child was told while a request was in flight"
    pending.answer(200, b"finished")
    reply = slow.read_response()
    assert reply.body == b"finished" and reply.tokens("connection") == ["close"]
    slow.expect_end(["eof"])
    wire = quotes.accept()
    assert wire.read_request().target == "/bye"
    assert "term" in agent.stdout()
    wire.answer(200, b"bye")
    assert agent.wait() == 23, agent.stdout()


def test_sidecar_finishes_what_is_in_flight(t):
    """A sidecar without a child does the same without one, and ends with 0."""
    agent, c, o = t.inbound({"OUTRIDER_LAME_DUCK": "100ms"})
    c.ask()
    wire = o.accept()
    wire.read_request()
    agent.signal(signal.SIGTERM)
    agent.until("inbound is closed", lambda: _refused(agent))
    wire.answer(200, b"finished")
    assert c.read_response().body == b"finished"
    assert agent.wait() == 0


def test_idle_connections_are_closed(t):
    """Connections at rest do not hold the agent up; they end cleanly."""
    agent, c, o = t.inbound()
    t.exchange(c, o)
    agent.signal(signal.SIGTERM)
    c.expect_end(["eof"])
    assert agent.wait() == 0


def test_lame_duck_replies_say_close(t):
    """During the lame duck replies say Connection: close, so that callers go elsewhere."""
    agent, c, o = t.inbound({"OUTRIDER_LAME_DUCK": "2s"})
    _, _, wire = t.exchange(c, o)
    agent.signal(signal.SIGTERM)
    agent.until("readiness fails", lambda: agent.ready() == 503, 0.5)
    _, reply, _ = t.exchange(t.client(agent.inbound), wire)
    assert reply.tokens("connection") == ["close"]
    agent.signal(signal.SIGTERM)  # a second one skips the waiting
    assert agent.wait(1.5) == 0


def test_stop_timeout_bounds_requests(t):
    """A request that never ends is cut when the stop time is up."""
    agent, c, o = t.inbound({"OUTRIDER_STOP_TIMEOUT": "400ms"})
    c.ask()
    wire = o.accept()
    wire.read_request()
    agent.signal(signal.SIGTERM)
    assert agent.wait(4) == 0
    c.expect_cut()


def test_stop_timeout_bounds_the_child(t):
    """A child that does not end is killed when the stop time is up: 137."""
    agent = _exec(t, STUBBORN, {"OUTRIDER_STOP_TIMEOUT": "500ms"}, 137)
    agent.signal(signal.SIGTERM)
    agent.until("the child was told", lambda: "term" in agent.stdout())
    assert agent.wait(4) == 137


def test_stop_timeout_bounds_a_tunnel(t):
    """A tunnel does not hold the agent up beyond the stop time."""
    agent, c, o = t.inbound({"OUTRIDER_STOP_TIMEOUT": "400ms"})
    c.send(request("GET", fields=["Connection: Upgrade", "Upgrade: websocket"]))
    wire = o.accept()
    wire.read_head()
    wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert c.read_head().status == 101
    agent.signal(signal.SIGTERM)
    assert agent.wait(4) == 0
    c.expect_cut()


@rows({"SIGTERM": (signal.SIGTERM, "15"), "SIGINT": (signal.SIGINT, "2")})
def test_the_child_gets_the_signal(t, number, shown):
    """The child gets SIGTERM for SIGTERM; its status is returned."""
    code = """import signal, sys
for s in (signal.SIGTERM, signal.SIGINT):
    signal.signal(s, lambda number, frame: (print("got", int(number), flush=True), sys.exit(6)))
print("up", flush=True)
while True:
    signal.pause()"""
    agent = _exec(t, code, {}, 6)
    agent.signal(number)
    assert agent.wait() == 6
    assert "got " + shown in agent.stdout(), agent.stdout()


def test_child_that_ends_while_serving(t):
    """When the child ends by itself the agent leaves with its status, soon."""
    code = "import sys\nprint('up', flush=True)\nsys.stdin.read()\nsys.exit(11)"
    made, ports = t.wiring()
    agent = t.agent(["exec", "--", PYTHON, "-c", code], made, ports, expect_status=11, ready=False)
    assert agent.wait() == 11


def test_edge_leaves(t):
    """The edge finishes what is in flight and ends with 0."""
    o = t.origin()
    agent = t.edge({"a": {"prefix": "/", "upstream": "web"}}, {"web": [o]})
    c = t.client(agent.edge)
    c.ask()
    wire = o.accept()
    wire.read_request()
    agent.signal(signal.SIGTERM)
    agent.until("readiness fails", lambda: agent.ready() in (503, 0))
    wire.answer(200, b"finished")
    assert c.read_response().body == b"finished"
    assert agent.wait() == 0


def test_nothing_is_left_behind(t):
    """After its end no process and no listener of the agent is left."""
    agent, c, o = t.inbound()
    t.exchange(c, o)
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    assert _refused(agent) and not os.path.exists("/proc/%d/fd" % agent.pid)
