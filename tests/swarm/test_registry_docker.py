"""Registry docker with a real engine: the tasks of a swarm's service become endpoints, and follow it."""
import contextlib
import json
import os
import time

from swarm import until


@contextlib.contextmanager
def agent(swarm, *more):
    """An agent on a network of its own, which sees the manager's socket; and a service `stock` beside it."""
    page = os.path.join(swarm.folder, "index.html")
    with open(page, "w", encoding="ascii") as file:
        file.write("hello\n")
    swarm.image("web:1", {"/busybox": "/bin/busybox", "/www/index.html": page})
    swarm.image("agent:1", {**swarm.program(), "/busybox": "/bin/busybox"})
    swarm.docker(1, "network", "create", "-d", "overlay", "--attachable", "shopnet")
    swarm.service("stock", "--container-label", "version=2", replicas=2, network="shopnet")
    env = {"OUTRIDER_SERVICE": "edge", "OUTRIDER_INBOUND": "off", "OUTRIDER_REGISTRY": "docker:", "OUTRIDER_UPSTREAM_STOCK_PORT": "8080"}
    words = [word for key, value in env.items() for word in ("-e", key + "=" + value)]
    swarm.docker(1, "run", "-d", "--name", "edge", "--network", "shopnet", "-v", "/run/docker.sock:/var/run/docker.sock:ro", *words,
                 "agent:1", "/outrider", "sidecar")
    try:
        yield
    finally:
        swarm.docker(1, "rm", "-f", "edge", check=False)
        swarm.docker(1, "service", "rm", "shop_stock", check=False)
        until("the network is free", lambda: swarm.docker(1, "network", "rm", "shopnet", check=False).returncode == 0, 30)


def endpoints(swarm):
    page = swarm.docker(1, "exec", "edge", "/outrider", "get", "/upstreams?service=stock", check=False)
    if page.returncode != 0:
        return None
    return [e for u in json.loads(page.stdout)["upstreams"] for e in u["endpoints"]]


def call(swarm):
    done = swarm.inside(1, "edge", "curl", "-s", "-m", "5", "-D-", "-H", "Host: stock", "http://127.0.0.1:4140/")
    return done.stdout


def test_follows_a_service(_t, swarm):
    """tasks are endpoints with node, slot and stack; a service that is scaled is followed by events, not by the poll alone"""
    with agent(swarm):
        until("a call succeeds", lambda: call(swarm).endswith("\n\nhello\n"), show=lambda: (
            call(swarm), endpoints(swarm), swarm.docker(1, "service", "ps", "--no-trunc", "shop_stock")))
        two = until("two tasks", lambda: [e for e in endpoints(swarm) or [] if e["state"] == "up"][1:] and endpoints(swarm))
        assert sorted(e["meta"]["slot"] for e in two) == ["1", "2"] and all(e["meta"]["stack"] == "shop" for e in two), two
        assert all(e["node"].startswith("node") and len(e["instance"]) == 25 for e in two), two
        for replicas, seconds in ((5, 60), (1, 60)):
            began = time.monotonic()
            swarm.docker(1, "service", "scale", "-d", "shop_stock=%d" % replicas)
            until("%d tasks" % replicas, lambda n=replicas: len(endpoints(swarm) or []) == n, seconds)
            swarm.say("  scaled to %d: known after %.1f s" % (replicas, time.monotonic() - began))
        assert call(swarm).endswith("\n\nhello\n")


test_follows_a_service.running = ("swarm",)
test_follows_a_service.limit = 300


def test_a_worker_says_so(_t, swarm):
    """on a node that is no manager the registry names the remedy, and the agent serves on"""
    swarm.image("agent:1", {**swarm.program(), "/busybox": "/bin/busybox"})
    swarm.docker(2, "run", "-d", "--name", "worker", "-v", "/run/docker.sock:/var/run/docker.sock:ro", "-e", "OUTRIDER_SERVICE=edge",
                 "-e", "OUTRIDER_INBOUND=off", "-e", "OUTRIDER_REGISTRY=docker:", "-e", "OUTRIDER_UPSTREAMS=stock:9001", "agent:1",
                 "/outrider", "sidecar")

    def trouble():
        page = swarm.docker(2, "exec", "worker", "/outrider", "get", "/upstreams?service=stock", check=False)
        return page.returncode == 0 and json.loads(page.stdout)["registries"][0]["trouble"]
    try:
        said = until("the registry is in trouble", trouble)
        assert "manager" in said, said
    finally:
        swarm.docker(2, "rm", "-f", "worker", check=False)


test_a_worker_says_so.running = ("swarm",)
test_a_worker_says_so.limit = 200
