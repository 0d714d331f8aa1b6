"""outrider node and containers that cannot have their sidecar now: what may pass is tried again, with one line for each reason."""
import subprocess

from harness.case import limit
from harness.node import Engine, node as _node, serving as _serving

HOLD = ("import socket, sys\ns = socket.socket()\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\ns.bind(('127.0.0.1', 4140))\ns.listen(8)\n"
        "print('held', flush=True)\nsys.stdin.read()\n")


@limit(150)
def test_a_port_that_is_held(t):
    """An application that holds 4140 itself has no sidecar as long as it does, with a line; then it has one, without a restart of anything"""
    engine = Engine(t)
    agent = _node(t, engine)
    held = []

    def take(space):
        held.append(subprocess.Popen(["nsenter", "--net=" + space.path, "python3", "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert held[0].stdout.readline() == "held\n"
    _, space = engine.container(t, 91, ["OUTRIDER_PORT=8080"], "x", before=take)
    try:
        agent.until("it failed", lambda: [s["state"] for s in agent.get("/sidecars")["sidecars"]] == ["failed"])
        engine.event("update", "%064x" % 91)
        agent.until("it is said", lambda: agent.stderr().count("a container gets no sidecar") == 1 and "4140" in agent.stderr())
    finally:
        held[0].communicate("")
    agent.until("it serves", lambda: "c91" in _serving(agent))
    assert space.fetch("http://127.0.0.1:4143/") == "x"
    assert agent.stderr().count("a container gets no sidecar") == 1 and "why" not in _serving(agent)["c91"], agent.stderr()
    engine.gone("%064x" % 91)
    agent.until("nothing of it stays", lambda: not agent.get("/sidecars")["sidecars"] and set(space.listeners()) <= {8080})


@limit(150)
def test_a_namespace_that_comes_late(t):
    """A namespace that cannot be opened when its container is first seen is tried again, until it can"""
    engine = Engine(t)
    agent = _node(t, engine)
    _, space = engine.container(t, 92, ["OUTRIDER_PORT=8080"], "x", before=lambda one: subprocess.run(["umount", one.path], check=True))
    agent.until("it is said", lambda: "left alone" in agent.stderr())
    subprocess.run(["mount", "--bind", "/proc/%d/ns/net" % space.holder.pid, space.path], check=True)
    agent.until("it serves", lambda: "c92" in _serving(agent))
    assert agent.stderr().count("left alone") == 1, agent.stderr()
