"""outrider node hands its listeners on: to one that does not read, and to one that may not open as many."""
import os
import signal
import socket
import struct
import time

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


def _updated(t, engine, agents):
    """The next agent; it serves, and the one before has nothing to do any more."""
    agents.append(_node(t, engine, workers="1"))
    old, new = agents[-2:]
    new.until("it serves", lambda: _serving(new).get("c101", {}).get("handler") == "up")
    old.until("nothing is left to do", lambda: "this agent waits to be ended" in old.stderr())


def _reached(agent):
    """None: nobody listens there at this moment."""
    try:
        return _serving(agent)
    except OSError:
        return None


@limit(150)
def test_an_agent_that_waits_to_be_ended(t):
    """After the hand-over the old agent answers health checks until it is told to end, however long that takes: swarm kills a task that does not.
    Its sidecars are gone meanwhile, and it leaves at once."""
    engine = Engine(t)
    agents = [_node(t, engine, workers="1")]
    _, space = engine.container(t, 101, ["OUTRIDER_PORT=8080"], "x")
    agents[0].until("it serves", lambda: _serving(agents[0]).get("c101", {}).get("handler") == "up")
    _updated(t, engine, agents)
    old, new = agents
    old.until("its sidecars are gone", lambda: old.get("/sidecars")["sidecars"] == [])
    assert old.get("/health")["healthy"] is True
    assert space.fetch("http://127.0.0.1:4143/") == "x" and "c101" in _serving(new)
    old.leave()
    assert space.fetch("http://127.0.0.1:4143/") == "x"


@limit(150)
def test_the_successor_is_killed(t):
    """An agent that waits to be ended serves again when its successor goes away"""
    engine = Engine(t)
    agents = [_node(t, engine, workers="1")]
    _, space = engine.container(t, 101, ["OUTRIDER_PORT=8080"], "x")
    agents[0].until("it serves", lambda: _serving(agents[0]).get("c101", {}).get("handler") == "up")
    _updated(t, engine, agents)
    agents[1].die()
    agents[0].until("it serves again", lambda: agents[0].stderr().count('"a sidecar serves"') == 2)
    agents[0].until("its page", lambda: "c101" in (_reached(agents[0]) or ()))
    assert space.fetch("http://127.0.0.1:4143/") == "x"
    assert "serves again" in agents[0].stderr() and "started anew" not in agents[0].stderr(), agents[0].stderr()[-1500:]


@limit(150)
def test_three_agents_one_after_another(t):
    """Of three agents that swarm has not ended yet the last one serves; when the middle one is ended the first is not called back, but when the
    last one goes away, too"""
    engine = Engine(t)
    agents = [_node(t, engine, workers="1")]
    _, space = engine.container(t, 101, ["OUTRIDER_PORT=8080"], "x")
    agents[0].until("it serves", lambda: _serving(agents[0]).get("c101", {}).get("handler") == "up")
    _updated(t, engine, agents)
    _updated(t, engine, agents)
    first, second, third = agents
    second.leave()
    assert first.get("/health")["healthy"] is True and first.get("/sidecars")["sidecars"] == []
    assert space.fetch("http://127.0.0.1:4143/") == "x" and "c101" in _serving(third)
    assert "serves again" not in first.stderr(), first.stderr()[-1500:]
    third.die()
    first.until("it serves again", lambda: "c101" in (_reached(first) or ()))
    assert space.fetch("http://127.0.0.1:4143/") == "x"


@limit(150)
def test_told_to_end_before_the_successor_serves(t):
    """An agent that swarm tells to end while its successor still looks at its containers leaves as soon as that one serves, not at stop-timeout"""
    engine = Engine(t)
    first = _node(t, engine, workers="1", stop_timeout="60s")
    _, space = engine.container(t, 101, ["OUTRIDER_PORT=8080"], "x")
    first.until("it serves", lambda: _serving(first).get("c101", {}).get("handler") == "up")
    first.signal(signal.SIGTERM)
    first.until("it heard", lambda: '"stopping"' in first.stderr())
    second = _node(t, engine, workers="1")
    second.until("it serves", lambda: "c101" in _serving(second))
    began = time.monotonic()
    assert first.wait() == 0
    assert time.monotonic() - began < 20
    assert space.fetch("http://127.0.0.1:4143/") == "x"
