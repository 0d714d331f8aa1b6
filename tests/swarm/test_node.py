"""One global service beside every container, as deploy/outrider.yml says; a call goes through two agents, over nodes."""
import json
import os
import re
import shutil
import time

from estate import bar, estate, told, whole
from harness.case import Skip
from swarm import until

RUNNING = ("swarm",)
LIMIT = 400
CONTAINER = re.compile(r"[0-9a-f]{12}")


def test_a_call_through_two_agents(_t, swarm):
    """a service reaches another by a pinned address; its sidecar and the other's stand between; all instances of all nodes are called"""
    e = estate(swarm)
    def ask():  # one after the other: those further away are called until it is known that they are
        e.call("/")
        return len(e.called("quotes")) == 3
    until("all three were called", ask, 120, show=e.state)
    name = e.call("/").strip()
    assert CONTAINER.fullmatch(name), name
    head = e.call("/", "http://127.0.4.1:8081", "-D-")
    words = [line for line in head.lower().splitlines() if line.startswith("x-outrider")]
    assert len(words) == 1 and words[0].startswith("x-outrider-agent: node"), head  # which agent, and nothing else of what agents tell each other


def test_a_handler_on_loopback_only(_t, swarm):
    """a handler bound to its 127.0.0.1 is reached through its sidecar's 4143 by others, and not otherwise"""
    e = estate(swarm)
    node, container = e.container("shop_accounts")
    address = swarm.docker(node, "inspect", "-f", '{{(index .NetworkSettings.Networks "outrider").IPAddress}}', container)
    other_node, other = e.container("shop_quotes")
    through = swarm.inside(other_node, other, "curl", "-s", "-m", "5", "http://%s:4143/" % address)
    assert through.returncode == 0 and through.stdout == container[:12], through
    beside = swarm.inside(other_node, other, "curl", "-s", "-m", "5", "http://%s:8080/" % address)
    assert beside.returncode == 7, beside


def test_the_admin_port_of_a_node(_t, swarm):
    """the agent's own 4191 on network outrider shows all of its node to whoever stands on that network, and changes nothing"""
    e = estate(swarm)
    address = swarm.docker(1, "inspect", "-f", '{{(index .NetworkSettings.Networks "outrider").IPAddress}}', e.agent(1))
    node, container = e.container("shop_accounts")
    page = swarm.inside(node, container, "curl", "-s", "-m", "5", "http://%s:4191/sidecars" % address).stdout
    assert {"accounts"} <= {s["service"] for s in json.loads(page)["sidecars"]}, page
    refused = swarm.inside(node, container, "curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "-H", "X-Outrider: 1",
                           "http://%s:4191/log?level=debug" % address).stdout
    assert refused in ("401", "403"), refused


def test_an_admin_port_on_loopback_only(_t, swarm):
    """with OUTRIDER_ADMIN=127.0.0.1:4191 no service reaches the agent's 4191; the agent is healthy, its pages answer on its node, calls go on"""
    e = estate(swarm)
    node, container = e.container("shop_accounts")

    def asked():
        address = swarm.docker(1, "inspect", "-f", '{{(index .NetworkSettings.Networks "outrider").IPAddress}}', e.agent(1))
        return swarm.inside(node, container, "curl", "-s", "-m", "5", "http://%s:4191/sidecars" % address).returncode
    assert asked() == 0
    e.update("outrider_agent", "--env-add", "OUTRIDER_ADMIN=127.0.0.1:4191")
    try:
        until("the agents are healthy", lambda: e.agents() == swarm.n, 240)
        assert asked() == 7  # curl's word for: refused
        assert "accounts" in {s["service"] for s in e.sidecars(1)}
        assert json.loads(swarm.inside(node, container, "curl", "-s", "-m", "5", "http://127.0.0.1:4191/stats").stdout)["counters"]
        assert len(e.call("/").strip()) == 12
    finally:
        e.update("outrider_agent", "--env-rm", "OUTRIDER_ADMIN")
        until("the agents are healthy", lambda: e.agents() == swarm.n, 240)


def test_the_proxy_has_no_rights(_t, swarm):
    """the half that parses what comes from networks: no user of power, no capability, no new privileges, a filter of system calls"""
    e = estate(swarm)
    top = swarm.docker(1, "top", e.agent(1), "-eo", "pid,args").split("\n")[1:]
    halves = {("proxy" if "node-proxy" in line else "keeper"): line.split()[0] for line in top}
    for half, uid, caps in (("proxy", "65534", 0), ("keeper", "0", 0x2000c0)):
        with open("/proc/%s/status" % halves[half], encoding="ascii") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        assert status["Uid"].split() == [uid] * 4, status["Uid"]
        assert int(status["CapEff"], 16) == caps and int(status["CapBnd"], 16) == 0x2000c0, status
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", (half, status["NoNewPrivs"], status["Seccomp"])


def test_pages_of_all_nodes(_t, swarm):
    """one agent tells of all: /swarm/circuits asks the agents of every node by tasks.outrider_agent"""
    e = estate(swarm)
    e.call("/")

    def seen():
        page = e.get(1, "/swarm/circuits")
        found = {c["upstream"] for one in page["agents"] for c in one.get("answer", {}).get("circuits", [])}
        return page["asked"] == 3 and page["failed"] == 0 and "quotes" in found
    until("three agents answer", seen, 240, show=lambda: e.docker(1, "exec", e.agent(1), "/outrider", "get", "/swarm/circuits", check=False).stdout[:2000])
    sidecars = e.get(2, "/swarm/sidecars")["agents"]
    assert len({s["node"] for one in sidecars for s in one["answer"]["sidecars"]}) == 3, sidecars


def test_circuits_of_all_nodes_added_up(_t, swarm):
    """/swarm/hystrix.stream of one agent, read from another container by its address on network outrider, as a dashboard would: callers on
    three nodes are three hosts of one circuit, and their calls are added up"""
    e = estate(swarm)
    node, container = e.container("shop_accounts")
    at = e.get(1, "/swarm/circuits")["agents"][0]["agent"]

    def seen():
        for n in range(1, swarm.n + 1):
            for one in e.containers("shop_quotes", n):
                swarm.inside(n, one, "curl", "-s", "-m", "5", "-x", "http://127.0.0.1:4140", "http://accounts/")
        text = swarm.inside(node, container, "curl", "-sN", "-m", "3", "http://%s/swarm/hystrix.stream" % at).stdout
        events = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: ")]
        return [one for one in events if one["type"] == "HystrixCommand" and one["name"].endswith("quotes.accounts")
                and one["reportingHosts"] == 3 and one["rollingCountSuccess"] >= 3]
    command = until("three hosts", seen, 120)[-1]
    assert command["requestCount"] == command["rollingCountSuccess"] and command["isCircuitBreakerOpen"] is False, command


def test_variables_of_a_service(_t, swarm):
    """options of a container's env take effect for its sidecar alone, and change with `service update`"""
    e = estate(swarm)
    e.update("shop_quotes", "--env-add", "OUTRIDER_MODE=off", "--env-add", "OUTRIDER_UPSTREAMS=accounts:4999", "--env-add",
             "OUTRIDER_PORT_TYPO=1")
    node, container = e.container("shop_quotes")
    until("its pinned port", lambda: swarm.inside(node, container, "curl", "-sf", "http://127.0.0.1:4999/").returncode == 0)
    mine = [s for s in e.get(node, "/sidecars")["sidecars"] if s["id"].startswith(container)][0]
    assert "OUTRIDER_PORT_TYPO" in json.dumps(mine), mine
    others = [s for s in e.get(1, "/sidecars")["sidecars"] if s["service"] == "accounts"][0]
    assert "4999" not in json.dumps(others), others
    e.update("shop_quotes", "--env-rm", "OUTRIDER_MODE", "--env-rm", "OUTRIDER_UPSTREAMS", "--env-rm", "OUTRIDER_PORT_TYPO")
    node, container = e.container("shop_quotes")
    until("it is as before", lambda: swarm.inside(node, container, "curl", "-sf", "http://127.0.0.1:4191/health").returncode == 0)


def test_a_service_with_a_virtual_address(_t, swarm):
    """endpoint mode vip, called by an alias that its agent does not know, and by its whole name, by a service that never named it: its tasks
    are called by their own addresses"""
    e = estate(swarm)
    swarm.docker(1, "service", "create", "--detach", "--name", "shop_vipped", "--label", "com.docker.stack.namespace=shop", "--network",
                 "name=outrider,alias=vipped", "--replicas", "2", "--no-resolve-image", "-e", "OUTRIDER_PORT=8080", "handler:1")
    try:
        def ask():
            e.call("/", "http://127.0.0.1:4140", "-H", "Host: vipped")
            return len(e.called("vipped")) == 2
        until("both tasks answered", ask, 120, show=e.state)
        for name in ("vipped", "shop_vipped"):  # an alias, and the whole name: its agent knows one of the two
            answer = e.call("/", "http://127.0.0.1:4140", "-H", "Host: " + name).strip()
            assert CONTAINER.fullmatch(answer), (name, answer)
    finally:
        swarm.docker(1, "service", "rm", "shop_vipped")


def test_a_source_on_the_overlay(_t, swarm):
    """the agent's own options come from a Redis that stands on network outrider only, and reach the sidecars of services while they run"""
    if not shutil.which("redis-server") or not shutil.which("redis-cli"):
        raise Skip("there is no redis-server: `make deps` installs it")
    e = estate(swarm)
    swarm.image("redis:7-alpine", swarm.linked("redis-server"), 'CMD ["%s"]' % shutil.which("redis-server"))
    swarm.docker(2, "run", "-d", "--name", "values", "--network", "outrider", "redis:7-alpine", shutil.which("redis-server"), "--protected-mode", "no")

    def told(*words):
        return swarm.inside(2, "values", "redis-cli", *words).stdout

    def page():
        return swarm.docker(1, "exec", e.agent(1), "/outrider", "get", "/config", "--service=accounts")
    try:
        until("it takes a value", lambda: told("HSET", "outrider:config:accounts", "outrider.timeout.connect", "1234ms").strip() in ("0", "1"))
        e.update("outrider_agent", "--env-add", "OUTRIDER_CONFIG=redis:values:6379")
        until("the agents are healthy", lambda: e.agents() == swarm.n, 240)
        until("its value is in force", lambda: "1234ms" in page() and "redis:values:6379/outrider:config:accounts" in page(), 120, show=page)
        told("HSET", "outrider:config:accounts", "outrider.timeout.connect", "1235ms")
        told("PUBLISH", "outrider:config", "accounts")
        until("the next one, too", lambda: "1235ms" in page(), 20, show=page)
    finally:
        e.update("outrider_agent", "--env-rm", "OUTRIDER_CONFIG")
        until("the agents are healthy", lambda: e.agents() == swarm.n, 240)
        swarm.docker(2, "rm", "-f", "values", check=False)


def test_scale(_t, swarm):
    """1 → 6 → 3 replicas at 500 requests/s: the new ones are called within 2 s of their tasks running; nothing is lost"""
    e = estate(swarm)
    swarm.docker(1, "service", "scale", "-d", "shop_quotes=1")
    until("one runs", lambda: sum(len(e.containers("shop_quotes", n)) for n in range(1, swarm.n + 1)) == 1)
    load = e.load(300, 500)
    time.sleep(2)
    swarm.docker(1, "service", "scale", "-d", "shop_quotes=6")
    until("six run", lambda: len([line for line in swarm.docker(
        1, "service", "ps", "-f", "desired-state=running", "--format", "{{.CurrentState}}", "shop_quotes").split("\n")
        if line.startswith("Running")]) == 6)
    ran = time.monotonic() - load.began
    time.sleep(4)
    swarm.docker(1, "service", "scale", "-d", "shop_quotes=3")
    until("three run", lambda: sum(len(e.containers("shop_quotes", n)) for n in range(1, swarm.n + 1)) == 3)
    result = load.result(stop=True)
    whole(result)
    first = sorted(one["first"] for one in result["by"].values())
    swarm.say("  six ran after %.1f s, the sixth answered first after %.1f s; %s" % (ran, first[-1], told(result)))
    assert len(first) >= 6, first
    bar(first[5] < ran + 2, "six ran after %.1f s, and answered after %s" % (ran, first))
