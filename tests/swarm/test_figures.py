"""Figures of node mode: how early it attaches, what it leaves behind, what it takes at rest, what a call costs."""
import json
import os
import subprocess
import time
from statistics import median

from estate import FULL, PROGRAMS, bar, estate, told
from swarm import until

RUNNING = ("swarm",)
LIMIT = 600


def pids(e, node):
    """{half: pid} of that node's newest agent."""
    top = e.docker(node, "top", e.agent(node), "-eo", "pid,args").split("\n")[1:]
    return {("proxy" if "node-proxy" in line else "keeper"): int(line.split()[0]) for line in top}


def open_files(e, node):
    return {half: len(os.listdir("/proc/%d/fd" % pid)) for half, pid in pids(e, node).items()}


def test_how_early(_t, swarm):
    """containers start and end one after another: the share in which 4140 was open before the app's first instruction; no
    descriptor stays behind"""
    e = estate(swarm)
    node, times, early = swarm.n, 300 if FULL else 30, 0
    names = ["early%d" % i for i in range(times)]
    before = open_files(e, node)
    try:
        for name in names:
            swarm.docker(node, "run", "-d", "--name", name, "--network", "outrider", "-e", "OUTRIDER_PORT=8080", "-e", "FIRST=1", "handler:1")
            if FULL or name == names[-1] or int(name[5:]) % 8 == 7:  # they also overlap
                running = swarm.docker(node, "ps", "--format", "{{.Names}}").split()
                swarm.docker(node, "kill", *[n for n in running if n in names])
        for name in names:
            early += "4140 open" in swarm.docker(node, "logs", name)
    finally:
        swarm.docker(node, "rm", "-f", *names, check=False)
    swarm.say("  4140 was open at the first instruction of %d of %d apps" % (early, times))
    bar(early >= 0.9 * times, "%d of %d" % (early, times))
    until("all descriptors are closed", lambda: all(n <= before[half] + 4 for half, n in open_files(e, node).items()), 60,
          show=lambda: (before, open_files(e, node)))


def private(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_"))


def ran(pid):
    """Nanoseconds on a CPU, all threads."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task), encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def test_fifty_at_rest(_t, swarm):
    """fifty idle sidecars on a node: at most 14 MiB private memory in both processes, 0.2 % of a core"""
    e = estate(swarm)
    node = swarm.n
    names = ["idle%d" % i for i in range(50)]
    try:
        for name in names:
            swarm.docker(node, "run", "-d", "--name", name, "--network", "outrider", "-e", "OUTRIDER_PORT=8080", "handler:1")
        until("fifty serve", lambda: sum(s["state"] == "serving" for s in e.sidecars(node) or []) >= 50, 120)
        time.sleep(3)  # what began with them is over
        halves = pids(e, node)
        began = {half: ran(pid) for half, pid in halves.items()}
        time.sleep(10)
        cpu = {half: (ran(pid) - began[half]) / 10e9 * 100 for half, pid in halves.items()}
        memory = {half: private(pid) for half, pid in halves.items()}
    finally:
        swarm.docker(node, "rm", "-f", *names, check=False, timeout=120)
    swarm.say("  private memory %s kB, together %.1f MiB; %s %% of a core" % (
        memory, sum(memory.values()) / 1024, {half: round(v, 3) for half, v in cpu.items()}))
    assert sum(memory.values()) <= 14 * 1024, memory
    bar(sum(cpu.values()) <= 0.4, "CPU at rest: %s" % cpu)  # the bar is 0.2 with one engine on the machine, and here are three


test_how_early.limit = 1800 if FULL else 600


def test_image(_t, swarm):
    """the image is at most 7 MB; from the engine's `start` event to a serving sidecar at most 50 ms"""
    e = estate(swarm)
    size = int(swarm.docker(1, "image", "inspect", "-f", "{{.Size}}", "outrider:latest"))
    assert size <= 7_000_000, size
    began = time.time()
    swarm.docker(1, "run", "-d", "--name", "timed", "--network", "outrider", "-e", "OUTRIDER_PORT=8080", "handler:1")
    try:
        line = until("its sidecar", lambda: [one for one in e.sidecars(1) or [] if one["container"] == "timed"], 60)[0]
        event = json.loads(swarm.docker(1, "events", "--since", str(int(began) - 1), "--until", str(int(time.time()) + 1), "--filter",
                                        "container=timed", "--filter", "event=start", "--format", "{{json .}}").split("\n")[0])
        late = line["serving_since_ms"] - event["timeNano"] / 1e6
    finally:
        swarm.docker(1, "rm", "-f", "timed")
    swarm.say("  image %.2f MB; a sidecar serves %.1f ms after the start event" % (size / 1e6, late))
    bar(late <= 50, "%.1f ms after the start event" % late)


def local_quotes(e):
    """(container, address) of an instance of quotes on the manager, where accounts is."""
    container = e.containers("shop_quotes", 1)[0]
    return container, e.docker(1, "inspect", "-f", '{{(index .NetworkSettings.Networks "outrider").IPAddress}}', container)


def test_what_a_call_costs(_t, swarm):
    """service → agent → agent → service on one node adds at most 150 us to the median of the direct call, at 1,000 requests/s over
    64 connections"""
    e = estate(swarm)
    container, address = local_quotes(e)
    for _ in range(5):
        e.call("/")
    added = []
    for _ in range(7 if FULL else 1):
        direct = e.load(4, 1000, "--threads", "64", target=address + ":8080").result()
        through = e.load(4, 1000, "--threads", "64").result()
        added.append(round((through["p50_ms"] - direct["p50_ms"]) * 1000))
        same_node = through["by"].get(container, {"n": 0})["n"] / max(1, through["ok"])
        swarm.say("  direct  %s\n  through %s, %.0f %% on the same node" % (told(direct), told(through), same_node * 100))
    added.sort()
    swarm.say("  added to the median: %s us" % added)
    bar(added[len(added) // 2] <= 150, "added to the median: %s us" % added)


def beside(swarm, name, container, *words):
    """A program of load:1 as a container in the namespace of another one, running: the scheduler gives each container its share, and
    what the test runs outside of any would take more than a service can. Its standard output."""
    return swarm.begin(1, "run", "--rm", "--name", name, "--network", "container:" + container, "load:1", *words)


def test_one_is_flooded(_t, swarm):
    """calls of one sidecar while another one of the node is flooded: their p99 is at most 1.5 times that while a bare relay is;
    flood, relay, calls and handlers are containers like the agent"""
    e = estate(swarm)
    caller = e.container("shop_accounts")[1]
    swarm.image("load:1", {"/" + name: os.path.join(PROGRAMS, name) for name in ("steady", "relay")})
    swarm.docker(1, "run", "-d", "--name", "flooded", "--network", "outrider", "-e", "OUTRIDER_PORT=8080", "handler:1")
    relay = beside(swarm, "relay", "flooded", "/relay", "127.0.0.1:9999", "127.0.0.1:8080")
    p99 = {"relay": [], "agent": []}
    try:
        for _ in range(9 if FULL else 1):
            for word, port in (("relay", 9999), ("agent", 4143)):
                flood = beside(swarm, "flood", "flooded", "/steady", "127.0.0.1:%d" % port, "5", "20000", "--threads", "32")
                time.sleep(0.5)
                calls = beside(swarm, "calls", caller, "/steady", "127.0.4.1:8081", "4", "500", "--threads", "16")
                calm = json.loads(calls.communicate()[0])
                p99[word].append(calm["p99_ms"])
                swarm.say("  %s: %s\n    flood %s" % (word, told(calm), told(json.loads(flood.communicate()[0]))))
    finally:
        swarm.docker(1, "rm", "-f", "flooded", "relay", "flood", "calls", check=False)
        relay.wait()
    ratio = median(p99["agent"]) / median(p99["relay"])
    swarm.say("  p99 of the other, ms: flooded agent %s, flooded relay %s; ratio of the medians %.2f" % (p99["agent"], p99["relay"], ratio))
    bar(ratio <= 1.5, "p99 of the other beside a flood: %.2f times that beside a flooded relay" % ratio)
