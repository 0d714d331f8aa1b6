"""outrider node hands its listeners on: to one that does not read, and to one that may not open as many."""
import os
import socket
import struct

from harness.case import limit
from harness.node import Engine, node as _node, serving as _serving

PINS = 400
TAKE = struct.pack("<I", 2) + bytes(388)  # agent/attach/wire.h: what a keeper asks another for


def _many(engine, t, number):
    """A container of many listeners."""
    pins = ",".join("s%d@127.0.%d.%d:8081" % (n, 5 + n // 200, 1 + n % 200) for n in range(PINS))
    return engine.container(t, number, ["OUTRIDER_PORT=8080", "OUTRIDER_UPSTREAMS=" + pins], "x")


@limit(150)
def test_a_successor_that_does_not_read(t):
    """A successor that asks for the listeners and reads none is waited for once, for two seconds, not for each of them: the containers are served meanwhile"""
    engine = Engine(t)
    agent = _node(t, engine, workers="1")
    _, space = _many(engine, t, 98)
    agent.until("it serves", lambda: "c98" in _serving(agent) and len(space.listeners()[8081]) == PINS)
    stuck = t._keep(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    stuck.connect(os.path.join(engine.run, "keeper.sock"))
    stuck.send(TAKE)
    engine.container(t, 99, ["OUTRIDER_PORT=8080"], "y")
    agent.until("the next one serves", lambda: "c99" in _serving(agent))
    agent.until("it is said", lambda: "it does not read" in agent.stderr())
    assert space.fetch("http://127.0.0.1:4143/") == "x" and len(space.listeners()[8081]) == PINS


@limit(150)
def test_more_than_may_be_open(t):
    """A successor that may not open as many descriptors as there are listeners says so, with the remedy"""
    engine = Engine(t)
    first = _node(t, engine, workers="1")
    _, space = _many(engine, t, 100)
    first.until("it serves", lambda: "c100" in _serving(first) and len(space.listeners()[8081]) == PINS)
    second = _node(t, engine, files=(200, 200), ready=False, workers="1")
    second.until("it is said", lambda: "listeners of a predecessor are lost" in second.stderr() and "--ulimit-add" in second.stderr())
    assert '"kept":136' in second.stderr(), second.stderr()
