"""outrider node and the namespaces of containers that start: attached before the first instruction, and never in a namespace that may be another's."""
import os
import time

from harness.case import limit, rows
from harness.node import Engine, node as _node, serving as _serving

HEARD_FOR = 3.5  # seconds for which events must have been heard (agent/attach/engine_events.c), and some more


def _hearing(t):
    """An engine and its node's agent, which has heard events for long enough to trust them."""
    engine = Engine(t)
    agent = _node(t, engine)
    agent.until("it hears events", lambda: engine.listeners)
    since = time.monotonic()
    agent.until("it has heard them for long enough", lambda: time.monotonic() > since + HEARD_FOR)
    return engine, agent


def _looked(engine, agent, ident):
    agent.until("it was looked at", lambda: any(ident in path for path in engine.asked))


@rows({"after it was looked at": (True,), "at once": (False,)})
@limit(150)
def test_before_it_runs(t, looked):
    """A container that has joined a network is attached in the one namespace that appears, before the engine says that it runs"""
    engine, agent = _hearing(t)
    ident, space = engine.made(t, 93, ["OUTRIDER_PORT=8080"], "x")
    if looked:
        _looked(engine, agent, ident)
    engine.joins(ident)
    engine.appear(space)

    def serves():
        with open(os.path.join(engine.netns, "look"), "w", encoding="ascii"):  # on a slow machine the first look may have been in vain
            pass
        os.unlink(os.path.join(engine.netns, "look"))
        return "c93" in _serving(agent)
    agent.until("it serves", serves)
    assert engine.containers[ident]["State"]["Status"] == "created" and 4143 in space.listeners()
    before = space.listeners()
    engine.started(ident, space)
    agent.until("its handler", lambda: _serving(agent)["c93"]["handler"] == "up")
    assert space.fetch("http://127.0.0.1:4143/") == "x" and {4140: before[4140], 4143: before[4143]}.items() <= space.listeners().items()


@rows({"that was made": (False,), "that joined a network": (True,)})
@limit(150)
def test_beside_another(t, joined):
    """While another container starts, be it one that wants no sidecar, the namespace that appears may be the other's: nothing is guessed"""
    engine, agent = _hearing(t)
    other, stranger = engine.made(t, 94, [])
    ident, space = engine.made(t, 95, ["OUTRIDER_PORT=8080"], "x")
    _looked(engine, agent, ident)
    if joined:
        engine.joins(other)
    engine.joins(ident)
    engine.appear(stranger)
    looks = len(engine.asked)
    engine.event("update", other)
    agent.until("the keeper has had its turn", lambda: len(engine.asked) > looks)
    engine.appear(space)
    engine.started(ident, space)
    agent.until("it serves", lambda: _serving(agent).get("c95", {}).get("handler") == "up")
    engine.started(other, stranger)
    assert space.fetch("http://127.0.0.1:4143/") == "x"
    assert not stranger.listeners() and "has ended" not in agent.stderr() and agent.stderr().count("a sidecar serves") == 1, agent.stderr()


@limit(150)
def test_after_another(t):
    """When the other one runs, its namespace is known for its, and the one that is left belongs to who starts"""
    engine, agent = _hearing(t)
    other, stranger = engine.made(t, 96, [])
    ident, space = engine.made(t, 97, ["OUTRIDER_PORT=8080"], "x")
    _looked(engine, agent, ident)
    engine.joins(other)
    engine.joins(ident)
    engine.appear(stranger)
    engine.appear(space)
    engine.started(other, stranger)
    agent.until("it serves", lambda: "c97" in _serving(agent))
    assert engine.containers[ident]["State"]["Status"] == "created" and 4143 in space.listeners() and not stranger.listeners()
