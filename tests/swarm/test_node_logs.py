"""What containers write, as the agents of a swarm read it from real engines."""
import json

from estate import estate
from swarm import until

RUNNING = ("swarm",)
TALK = "i=0; while :; do i=$((i+1)); echo line $i; echo \"{\\\"level\\\":\\\"warn\\\",\\\"n\\\":$i}\" >&2; /busybox usleep 20000; done"


def _talker(e, name, *words):
    e.swarm.image("talker:1", {"/busybox": "/bin/busybox"})
    e.docker(1, "service", "create", "--detach", "--name", "shop_" + name, "--label", "com.docker.stack.namespace=shop",
             "--container-label", "outrider.enable=true", "--container-label", "com.docker.stack.namespace=shop", "--network", "outrider",
             "--endpoint-mode", "dnsrr", "--constraint", "node.hostname==node2", "--no-resolve-image", *words, "talker:1", "/busybox", "sh", "-c", TALK)


def _records(e, node):
    """App records of all agents that node has had: in their own logs."""
    found = []
    for one in e.docker(node, "ps", "-aq", "-f", "label=com.docker.swarm.service.name=outrider_agent").split():
        done = e.docker(node, "logs", one, check=False)
        for line in (done.stdout + done.stderr).splitlines():
            record = json.loads(line) if line.startswith('{"time":') else {}
            if record.get("type") == "app":
                found.append(record)
    return found


def _numbers(e, stream):
    lines = [r for r in _records(e, 2) if r["service"] == "talker" and r["stream"] == stream]
    return [r["n"] if stream == "stderr" else int(r["message"].split()[1]) for r in lines]


def _output(e, name):
    return {s["service"]: s["output"] for s in e.sidecars(2) or []}.get(name, {})


def test_lines_of_a_service(_t, swarm):
    """a service that asks for it has every line in the records of its node's agent, once, from the first on, over an update of the agent;
    one whose driver cannot be read back is named; one that did not ask is not read"""
    e = estate(swarm)
    _talker(e, "talker", "-e", "OUTRIDER_APP_LOG=on")
    _talker(e, "mute", "-e", "OUTRIDER_APP_LOG=on", "--log-driver", "none")
    try:
        until("it is followed", lambda: _output(e, "talker").get("lines", 0) > 100, 40, show=lambda: e.sidecars(2))
        record = [r for r in _records(e, 2) if r["service"] == "talker"][-1]
        assert record["node"] == "node2" and record["task"].startswith("shop_talker.1."), record
        assert _output(e, "mute").get("state") == "not followed" and "none" in _output(e, "mute")["why"], _output(e, "mute")
        assert not [r for r in _records(e, 2) if r["service"] in ("quotes", "accounts")]
        e.update("outrider_agent", "--force")
        until("the new agent reads it", lambda: _output(e, "talker").get("lines", 0) > 100, 60, show=lambda: e.sidecars(2))
        until("the old ones have ended", lambda: len(e.containers("outrider_agent", 2)) == 1, 150)
        for stream in ("stdout", "stderr"):
            numbers = sorted(_numbers(e, stream))
            swarm.say("  %s: %d lines, %d of them twice" % (stream, len(numbers), len(numbers) - len(set(numbers))))
            assert numbers == list(range(1, len(numbers) + 1)), (stream, sorted(set(range(1, numbers[-1])) - set(numbers))[:20], len(numbers))
    finally:
        e.docker(1, "service", "rm", "shop_talker", "shop_mute", check=False)


test_lines_of_a_service.limit = 300
