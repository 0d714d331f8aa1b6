"""outrider node and an engine that is not as it should be: what it says of one container is that container's matter, and nobody is asked without a pause."""
import re

from harness.case import limit, rows
from harness.node import Engine, node as _node, serving as _serving


def _said(agent, *words):
    """How many lines of the log have all these words."""
    return sum(all(word in line for word in words) for line in agent.stderr().split("\n"))


@limit(150)
def test_a_nul_in_what_a_container_says(t):
    """a NUL in a label or in the output of a health check, which the engine passes on, spoils that text alone: its container has a sidecar as the others have"""
    engine = Engine(t)
    ident, _ = engine.container(t, 81, ["OUTRIDER_PORT=8080"], "x", labels={"note": "a\0b"})
    engine.containers[ident]["State"]["Health"] = {"Status": "healthy", "Log": [{"Output": "\0 fine"}]}
    engine.listed = lambda record: {"Id": record["Id"], "Labels": record["Config"]["Labels"]}
    engine.container(t, 82, ["OUTRIDER_PORT=8080"], "y")
    agent = _node(t, engine)
    agent.until("both serve", lambda: set(_serving(agent)) == {"c81", "c82"})
    assert not _said(agent, "in trouble"), agent.stderr()


@limit(150)
def test_many_networks(t):
    """a container of more networks than are looked at has its sidecar"""
    engine = Engine(t)
    agent = _node(t, engine)
    ident, _ = engine.container(t, 83, ["OUTRIDER_PORT=8080"], "x")
    engine.containers[ident]["NetworkSettings"]["Networks"] = {"n%03d" % n: {"IPAddress": "10.1.0.%d" % n} for n in range(100)}
    engine.event("update", ident)
    agent.until("it serves", lambda: "c83" in _serving(agent))
    assert not _said(agent, "in trouble") and not _said(agent, "left alone"), agent.stderr()


@limit(150)
def test_one_that_cannot_be_read(t):
    """What the engine says of one container cannot be taken: it is left alone with one line, the event stream of the others goes on, and when it says
    less it has its sidecar; one that has a sidecar keeps it as it was until it ends"""
    engine = Engine(t)
    agent = _node(t, engine)
    long = {"essay": "x" * (3 << 20)}
    served, _ = engine.container(t, 84, ["OUTRIDER_PORT=8080"], "served")
    agent.until("it serves", lambda: "c84" in _serving(agent))
    ident, _ = engine.container(t, 85, ["OUTRIDER_PORT=8080"], "x", labels=long)
    agent.until("it is said", lambda: _said(agent, "left alone", ident, "longer than"))
    streams = sum("/events" in path for path in engine.asked)
    for number in (86, 87):
        engine.container(t, number, ["OUTRIDER_PORT=8080"], "y")
        engine.event("update", ident)
        agent.until("the next one serves by its event", lambda name="c%d" % number: name in _serving(agent))
    assert sum("/events" in path for path in engine.asked) == streams and not _said(agent, "in trouble"), agent.stderr()
    assert _said(agent, "left alone") == 1, agent.stderr()
    engine.containers[served]["Config"]["Labels"] = long
    engine.event("update", served)
    agent.until("it is said of the other", lambda: _said(agent, "stays as it is", served))
    assert "c84" in _serving(agent)
    engine.containers[ident]["Config"]["Labels"] = {}
    engine.event("update", ident)
    agent.until("it serves after all", lambda: "c85" in _serving(agent))
