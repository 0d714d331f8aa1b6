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


@rows({"more than is looked at": (3, "longer than"), "more than is received": (9, "too long")})
@limit(150)
def test_one_that_cannot_be_read(t, megabytes, word):
    """What the engine says of one container cannot be taken: it is left alone with one line, the event stream of the others goes on, and when it says
    less it has its sidecar; one that has a sidecar keeps it as it was until it ends"""
    engine = Engine(t)
    agent = _node(t, engine)
    long = {"essay": "x" * (megabytes << 20)}
    served, _ = engine.container(t, 84, ["OUTRIDER_PORT=8080"], "served")
    agent.until("it serves", lambda: "c84" in _serving(agent))
    ident, _ = engine.container(t, 85, ["OUTRIDER_PORT=8080"], "x", labels=long)
    agent.until("it is said", lambda: _said(agent, "left alone", ident, word))
    streams = sum("/events" in path for path in engine.asked)
    for number in (86, 87):
        engine.container(t, number, ["OUTRIDER_PORT=8080"], "y")
        engine.event("update", ident, essay="x" * (1 << 20))
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


@rows({"about one container": (False,), "at all": (True,)})
@limit(150)
def test_no_answer(t, everywhere):
    """An engine that closes connections instead of an answer is asked again after pauses that grow, about one container a few times: then it is left alone with
    a line until the engine answers; the others are served meanwhile"""
    engine = Engine(t)
    agent = _node(t, engine)
    ident, _ = engine.container(t, 88, [], "x")
    agent.until("it was looked at", lambda: any(ident in path for path in engine.asked))
    engine.mute = lambda path: everywhere or ident in path
    before = len(engine.asked)
    engine.containers[ident]["Config"]["Env"] = ["OUTRIDER_PORT=8080"]
    engine.event("update", ident)
    if everywhere:
        agent.until("it is asked for", lambda: any(ident in path for path in engine.asked[before:]))
        engine.listeners.clear()
        agent.until("it is asked whether it is there", lambda: engine.asked[before:].count("/_ping") > 3)
        assert _said(agent, "in trouble"), agent.stderr()
    else:
        engine.container(t, 89, ["OUTRIDER_PORT=8080"], "y")
        agent.until("it is said", lambda: _said(agent, "left alone", ident, "docker inspect"))
        agent.until("the other one serves", lambda: "c89" in _serving(agent))
        assert not _said(agent, "in trouble"), agent.stderr()
    asked = sum(ident in path for path in engine.asked[before:])
    assert 1 <= asked <= 5, asked
    engine.mute = lambda path: False
    agent.until("it serves", lambda: engine.event("update", ident) or "c88" in _serving(agent))
