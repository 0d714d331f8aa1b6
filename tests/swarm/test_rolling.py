"""Nothing is lost while it all rolls: updates of services and of the agent, drained nodes, restarts; and what is lost when
something dies."""
import os
import signal
import time

from estate import FULL, bar, estate, told, whole
from harness.case import Skip
from swarm import until

RUNNING = ("swarm",)
LIMIT = 600
LONGEST = 900  # seconds of a load that is stopped when what it stands beside is over


def rolls(e, act, *more, rate=500):
    """The load while act() runs and a little longer; its result."""
    load = e.load(LONGEST, rate, *more)
    time.sleep(1)
    act()
    assert time.monotonic() - load.began < LONGEST, "it took longer than the load"
    time.sleep(1.5)
    return load.result(stop=True)


def here(e, service="shop_quotes"):
    """How many containers of it run, on all nodes."""
    return sum(len(e.containers(service, n)) for n in range(1, e.swarm.n + 1))


def test_update_of_a_service(_t, swarm):
    """rolling update and rollback, three replicas, 500 requests/s: nothing fails"""
    e = estate(swarm)

    def act():
        e.update("shop_quotes", "--env-add", "GREETING=two")
        e.update("shop_quotes", "--rollback")
    result = rolls(e, act)
    swarm.say("  " + told(result))
    whole(result)


HEALTH = ("--health-cmd", "/busybox wget -q -O /dev/null http://127.0.0.1:8080/", "--health-interval", "1s", "--health-timeout", "2s",
          "--health-retries", "3")


def test_update_with_health_checks(_t, swarm):
    """the same of a service with a health check of its own, which swarm calls running, and names in DNS, when it is healthy: nothing fails"""
    e = estate(swarm)

    def healthy():
        return sum(len(e.docker(n, "ps", "-q", "-f", "label=com.docker.swarm.service.name=shop_quotes", "-f", "health=healthy").split())
                   for n in range(1, e.swarm.n + 1))

    def act():
        e.update("shop_quotes", *HEALTH)
        assert healthy() == 3, e.state()
        e.update("shop_quotes", "--env-add", "GREETING=two")
        e.update("shop_quotes", "--rollback")
        assert healthy() == 3, e.state()
        e.update("shop_quotes", "--no-healthcheck")
    result = rolls(e, act)
    swarm.say("  " + told(result))
    whole(result)


def test_update_of_the_agent(_t, swarm):
    """the agent's own update, on all nodes: neither kept connections nor 2,000 new ones a second lose anything"""
    e = estate(swarm)
    times = 20 if FULL else 2
    new = e.load(120 * times, 2000 if FULL else 1000, "--close", "--threads", "32")
    kept = e.load(120 * times, 500)
    for n in range(times):
        began = time.monotonic()
        e.update("outrider_agent", "--force")
        until("the agents are healthy", lambda: e.agents() == swarm.n, 240)
        swarm.say("  update %d took %.1f s" % (n + 1, time.monotonic() - began))
    a, b = new.result(stop=True), kept.result(stop=True)
    swarm.say("  new connections: %s\n  kept: %s" % (told(a), told(b)))
    whole(a)
    whole(b)


test_update_of_the_agent.limit = 2400 if FULL else 600


def test_updates_one_upon_another(_t, swarm):
    """four updates of the agent, each begun in the middle of the one before: nothing fails, swarm takes no task for failed, the last one completes"""
    if not FULL:
        raise Skip("updates one upon another are of FULL=1")
    e = estate(swarm)

    def state():
        return swarm.docker(1, "service", "inspect", "-f", "{{.UpdateStatus.State}}", "outrider_agent").strip()

    def tasks():
        return swarm.docker(1, "service", "ps", "--no-trunc", "--format", "{{.ID}} {{.Node}} {{.CurrentState}} {{.Error}}", "outrider_agent")
    before = {line.split()[0] for line in tasks().strip().split("\n")}
    load = e.load(LONGEST, 500)
    for _ in range(4):
        swarm.docker(1, "service", "update", "-q", "--detach=true", "--force", "--update-monitor", "1s", "outrider_agent")
        time.sleep(8)  # their pace
    until("the last one is over", lambda: state() != "updating", 300, show=tasks)
    assert state() == "completed", (state(), tasks())
    until("one agent on each node", lambda: [len(e.containers("outrider_agent", n)) for n in range(1, swarm.n + 1)] == [1] * swarm.n, 60, show=tasks)
    new = [line for line in tasks().strip().split("\n") if line.split()[0] not in before]
    swarm.say("  %d tasks" % len(new))
    assert not [line for line in new if "Failed" in line or "Rejected" in line], new
    result = load.result(stop=True)
    swarm.say("  " + told(result))
    whole(result)


def test_a_drained_node(_t, swarm):
    """docker node update --availability drain: its tasks move, its agent serves until they have ended; nothing fails"""
    e = estate(swarm)
    node = [n for n in range(2, swarm.n + 1) if e.containers("shop_quotes", n)][0]

    def act():
        swarm.docker(1, "node", "update", "--availability", "drain", "node%d" % node)
        try:
            until("the node is empty", lambda: not swarm.docker(node, "ps", "-q"), 150)
            until("three tasks run elsewhere", lambda: here(e) == 3)
        finally:
            swarm.docker(1, "node", "update", "--availability", "active", "node%d" % node)
        until("the agents are healthy", lambda: e.agents() == swarm.n, 240)
    result = rolls(e, act)
    swarm.say("  " + told(result))
    whole(result)


def spread(e):
    """A task of quotes on each node, as it was after the deployment: swarm puts those that come first where none are."""
    e.update("shop_quotes", "--force")


def test_a_forced_task_restart(_t, swarm):
    """service update --force, with the stack file's one task at a time: nothing fails"""
    e = estate(swarm)
    result = rolls(e, lambda: spread(e))
    swarm.say("  " + told(result))
    whole(result)


def unplanned(result, most, why):
    """What dies may lose what was in flight on it, and that only: counted, explained."""
    assert result["failed"] <= (most if FULL else max(most, result["ok"] // 10)), "more than %d (%s): %s" % (most, why, told(result))
    bar(result["failed"] <= most, "%d failed, more than %d" % (result["failed"], most))


def test_a_container_is_killed(_t, swarm):
    """docker kill of an instance at 500 requests/s: at most what it was answering is lost; another takes its place"""
    e = estate(swarm)
    node = [n for n in range(2, swarm.n + 1) if e.containers("shop_quotes", n)][0]
    def act():
        swarm.docker(node, "kill", e.containers("shop_quotes", node)[0])
        time.sleep(5)
    result = rolls(e, act)
    swarm.say("  " + told(result))
    unplanned(result, 2, "in flight on the one that was killed")
    until("three run again", lambda: here(e) == 3)


def pid_of(e, node, half):
    top = e.docker(node, "top", e.agent(node), "-eo", "pid,args").split("\n")[1:]
    return int([line.split()[0] for line in top if ("node-proxy" in line) == (half == "proxy")][0])


def test_the_proxy_is_killed(_t, swarm):
    """kill -9 of the proxy of the calling node, and of a called one: another serves within 50 ms; lost is what was in flight"""
    e = estate(swarm)
    load, kept = e.load(12, 500, "--close"), e.load(12, 500)
    for node in (1, [n for n in range(2, swarm.n + 1) if e.containers("shop_quotes", n)][0]):
        time.sleep(3)
        os.kill(pid_of(e, node, "proxy"), signal.SIGKILL)
    a, b = load.result(), kept.result()
    swarm.say("  new connections: %s\n  kept: %s" % (told(a), told(b)))
    unplanned(a, 6, "in flight in the two proxies")
    unplanned(b, 20, "in flight, and kept connections cut in mid-request")
    bar(max(a["max_ms"], b["max_ms"]) < 1000, "another proxy took %g ms" % max(a["max_ms"], b["max_ms"]))


def test_the_keeper_is_killed(_t, swarm):
    """kill -9 of the keeper of a called node ends its container: that node is not called until the next agent serves, within 3 s"""
    e = estate(swarm)
    node = [n for n in range(2, swarm.n + 1) if e.containers("shop_quotes", n)][0]
    before = e.agent(node)

    def act():
        os.kill(pid_of(e, node, "keeper"), signal.SIGKILL)
        began = time.monotonic()
        until("the next agent", lambda: [c for c in e.containers("outrider_agent", node) if c != before])
        until("its sidecars serve", lambda: any(s["state"] == "serving" for s in (e.sidecars(node) or [])))
        swarm.say("  the next agent serves after %.1f s" % (time.monotonic() - began))
        bar(time.monotonic() - began <= 3, "the next agent serves after %.1f s, not 3" % (time.monotonic() - began))
    result = rolls(e, act)
    swarm.say("  " + told(result))
    unplanned(result, 40, "in flight on that node, and tries on its refused ports")


def test_a_node_cut_off(_t, swarm):
    """a node taken off the network for 8 s: others answer; after it is healed its instances are called again"""
    e = estate(swarm)
    spread(e)
    node = [n for n in range(2, swarm.n + 1) if e.containers("shop_quotes", n)][0]
    name = e.containers("shop_quotes", node)[0][:12]

    def act():
        swarm.lab("cut", str(node))
        try:
            time.sleep(8)
        finally:
            swarm.lab("heal", str(node))
    result = rolls(e, act, "--timeout", "5000")
    swarm.say("  " + told(result))
    unplanned(result, 60, "in flight to what no longer answers, and tries until it is out")
    until("three instances are up for the caller", lambda: e.agents() == swarm.n and e.up() == 3, 240, show=e.state)
    swarm.say("  the one on that node: %s" % ("back" if name in str(e.containers("shop_quotes", node)) else "replaced"))


def test_an_engine_restarts(_t, swarm):
    """the engine of a called node is stopped and started (its containers end, as swarm has no live restore): the others answer"""
    e = estate(swarm)
    node = [n for n in range(2, swarm.n + 1) if e.containers("shop_quotes", n)][0]

    def act():
        swarm.lab("restart", str(node))
        until("its agent is healthy", lambda: e.agents() == swarm.n, 240)
    result = rolls(e, act)
    swarm.say("  " + told(result))
    unplanned(result, 40, "in flight on the node whose engine ended")


def test_the_manager_is_lost(_t, swarm):
    """the one manager's engine is frozen: what runs goes on, nothing fails"""
    e = estate(swarm)

    def act():
        swarm.lab("pause", "1")
        try:
            time.sleep(8)
        finally:
            swarm.lab("resume", "1")
    node, container = e.container("shop_accounts")
    assert node == 1, container
    result = rolls(e, act)
    swarm.say("  " + told(result))
    whole(result)
