"""outrider node over a container's life, against a scripted engine: tunnels beside an upgrade, pauses, restarts, namespaces that change hands."""
import ast
import json
import os
import shutil
import signal
import subprocess
import time

from harness.agent import run
from harness.case import Skip, limit, rows
from harness.node import Engine, halves, node as _node, serving as _serving
from harness.redis import RedisServer

# Tunnels of three kinds that say something each 50 ms and expect it back; prints when the last answer of each came. An echo stands on 8090.
TUNNELS = """
import socket, sys, threading, time
ends = []
echo = socket.socket(); echo.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); echo.bind(("127.0.0.1", 8090)); echo.listen(64)
def answer(s):
    while True:
        data = s.recv(4096)
        if not data: return s.close()
        s.sendall(data)
def serve():
    while True: threading.Thread(target=answer, args=(echo.accept()[0],), daemon=True).start()
threading.Thread(target=serve, daemon=True).start()
def dial(host, port):
    s = socket.create_connection((host, port), timeout=20)
    return s
def head(s):
    data = b""
    while b"\\r\\n\\r\\n" not in data: data += s.recv(1)
    return data
def websocket():
    s = dial("127.0.0.1", 4143)
    s.sendall(b"GET /ws HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Version: 13\\r\\n"
              b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\n\\r\\n")
    assert b" 101 " in head(s)
    return s, True
def events():
    s = dial("127.0.0.1", 4143)
    s.sendall(b"GET /events HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    head(s)
    return s, False
def tcp():
    return dial("127.0.4.2", 5432), True
def one(kind):
    s, speaks = kind()
    last = time.time()
    try:
        while True:
            if speaks: s.sendall(b"ping")
            if not s.recv(4096): break
            last = time.time()
            if speaks: time.sleep(0.05)
    except OSError:
        pass
    ends.append((kind.__name__, last))
threads = [threading.Thread(target=one, args=(kind,)) for kind in (websocket, events, tcp) for _ in range(5)]
[t.start() for t in threads]
[t.join() for t in threads]
print("\\n".join("%s %.3f" % e for e in ends))
"""
TAKE_NAME = ("import socket, sys, time\ns = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)\ns.bind('\\0outrider')\ns.listen(8)\n"
             "print('held', flush=True)\nsys.stdin.read()\n")


# Forty calls at once of an upstream that takes connections and never answers; prints the reasons of those that were refused, and how many were held.
CALLS = """
import collections, http.client, socket, threading
silent = socket.socket(); silent.bind(("127.0.0.1", 9000)); silent.listen(256)
ended = collections.Counter()
def call():
    c = http.client.HTTPConnection("127.0.4.1", 8081, timeout=3)
    try:
        c.request("GET", "/")
        r = c.getresponse()
        ended["%d %s" % (r.status, r.getheader("x-outrider-reason"))] += 1
    except OSError:
        ended["held"] += 1
threads = [threading.Thread(target=call) for _ in range(40)]
[t.start() for t in threads]
[t.join() for t in threads]
print(dict(ended))
"""


def _sidecar(agent, number):
    return [s for s in agent.get("/sidecars")["sidecars"] if s["container"] == "c%d" % number]


@limit(150)
def test_tunnels_stay_with_the_old_agent(t):
    """WebSockets, event streams and tcp tunnels go on with the agent that leaves, byte for byte, are let go over its last third, and counted;
    new ones come to its successor"""
    engine = Engine(t)
    grace = 3.6  # seconds
    first = _node(t, engine, stop_timeout="%dms" % (grace * 1000))
    _, space = engine.container(t, 31, ["OUTRIDER_PORT=8080", "OUTRIDER_UPSTREAMS=tcp://db:8090@127.0.4.2:5432",
                                        "OUTRIDER_UPSTREAM_DB_ENDPOINTS=127.0.0.1:8090"], "same")
    first.until("its handler", lambda: _serving(first).get("c31", {}).get("handler") == "up")
    tunnels = t.background(space.run, "python3", "-c", TUNNELS)

    def under_way():
        counters = first.get("/sidecars/c31/stats")["counters"]
        return counters["outrider_tunnels_open"] == 10 and counters["outrider_requests_active"] >= 5
    first.until("fifteen are open", under_way)
    second = _node(t, engine)
    second.until("it is said", lambda: "a successor serves" in first.stderr())
    assert space.fetch("http://127.0.0.1:4143/") == "same"
    assert second.get("/sidecars/c31/stats")["counters"]["outrider_requests_total"] == 1
    assert under_way()
    told = time.time()
    first.leave()
    ends = [(line.split()[0], float(line.split()[1]) - told) for line in tunnels.join().stdout.strip().split("\n")]
    times = sorted(at for _, at in ends)
    assert len(ends) == 15 and {kind for kind, _ in ends} == {"websocket", "events", "tcp"}, ends
    assert times[0] > grace * 0.55 and times[-1] < grace + 0.5, times  # none before the last third of what is left to the proxy
    assert times[-1] - times[0] > grace * 0.15, times               # and not all at the same moment
    assert '"let_go":15' in first.stderr(), first.stderr()[-1500:]


@limit(150)
def test_a_paused_container(t):
    """a container that is paused keeps its sidecar and its listeners; so it is when it goes on"""
    engine = Engine(t)
    agent = _node(t, engine)
    ident, space = engine.container(t, 32, ["OUTRIDER_PORT=8080"], "x")
    agent.until("it serves", lambda: _serving(agent).get("c32", {}).get("handler") == "up")
    before, asked = space.listeners(), len(engine.asked)
    engine.state(ident, "paused", "pause")
    agent.until("it was looked at", lambda: len(engine.asked) > asked)
    asked = len(engine.asked)
    engine.state(ident, "running", "unpause")
    agent.until("it was looked at again", lambda: len(engine.asked) > asked)
    assert space.fetch("http://127.0.0.1:4143/") == "x"
    assert space.listeners() == before and "c32" in _serving(agent)


@rows({"told": (True,), "its end was missed": (False,)})
@limit(150)
def test_a_restarted_container(t, told):
    """a container that is started anew has another namespace: the sidecar moves there, and nothing of it stays in the old one"""
    engine = Engine(t)
    agent = _node(t, engine)
    ident, old = engine.container(t, 33, ["OUTRIDER_PORT=8080"], "old")
    agent.until("it serves", lambda: _serving(agent).get("c33", {}).get("handler") == "up")
    new = engine.restarted(t, ident, "%012x" % 0x3301, "new", told)
    agent.until("it serves there", lambda: 4143 in new.listeners() and _serving(agent).get("c33", {}).get("handler") == "up")
    assert new.fetch("http://127.0.0.1:4143/") == "new"
    agent.until("nobody listens in the old one", lambda: set(old.listeners()) <= {8080})
    assert len(_sidecar(agent, 33)) == 1


@limit(150)
def test_a_name_that_is_used_again(t):
    """a namespace whose name another container had before: its sidecar reaches its own handler, never the other's"""
    engine = Engine(t)
    agent = _node(t, engine)
    name = "%012x" % 0x3402
    one, first = engine.container(t, 34, ["OUTRIDER_PORT=8080"], "one", sandbox=name)
    agent.until("the first serves", lambda: _serving(agent).get("c34", {}).get("handler") == "up")
    assert first.fetch("http://127.0.0.1:4143/") == "one"
    engine.gone(one)
    agent.until("it has ended", lambda: not _sidecar(agent, 34))
    first.close()
    _, second = engine.container(t, 35, ["OUTRIDER_PORT=8080"], "two", sandbox=name)
    agent.until("the second serves", lambda: _serving(agent).get("c35", {}).get("handler") == "up")
    assert second.fetch("http://127.0.0.1:4143/") == "two"


@limit(150)
def test_a_second_owner(t):
    """whoever holds @outrider in a namespace owns it: the container is left alone, with a line that says so, until the name is free"""
    engine = Engine(t)
    agent = _node(t, engine)
    held = []

    def take(space):
        held.append(subprocess.Popen(["nsenter", "--net=" + space.path, "python3", "-c", TAKE_NAME], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True))
        assert held[0].stdout.readline() == "held\n"
    _, space = engine.container(t, 36, ["OUTRIDER_PORT=8080"], "x", before=take)
    try:
        agent.until("it is said", lambda: "another agent serves it already" in agent.stderr())
        assert not _sidecar(agent, 36) and set(space.listeners()) <= {8080}
    finally:
        held[0].communicate("")
    agent.until("it serves", lambda: "c36" in _serving(agent))


@limit(150)
def test_another_network(t):
    """a container that joins a network keeps its sidecar; the addresses that it has there count as its own"""
    engine = Engine(t)
    agent = _node(t, engine)
    ident, space = engine.container(t, 37, ["OUTRIDER_PORT=8080"], "x")
    agent.until("it serves", lambda: _serving(agent).get("c37", {}).get("handler") == "up")
    before = space.listeners()
    for networks in ({"shop": {"IPAddress": "10.0.0.37"}, "back": {"IPAddress": "10.9.0.37"}}, {"back": {"IPAddress": "10.9.0.37"}}):
        asked = len(engine.asked)
        engine.containers[ident]["NetworkSettings"]["Networks"] = networks
        engine.event("update", ident)
        agent.until("it was looked at", lambda n=asked: len(engine.asked) > n)
        assert space.fetch("http://127.0.0.1:4143/") == "x"
    assert space.listeners() == before


def _open(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


@limit(150)
def test_containers_by_the_second(t):
    """containers come and go; neither half keeps a descriptor of them, and those that are there are not disturbed"""
    engine = Engine(t)
    agent = _node(t, engine)
    _, stays = engine.container(t, 40, ["OUTRIDER_PORT=8080"], "stays")
    agent.until("it serves", lambda: _serving(agent).get("c40", {}).get("handler") == "up")
    pids = halves(agent)

    def come_and_go(first, n):
        made = [engine.container(t, number, ["OUTRIDER_PORT=8080"]) for number in range(first, first + n)]
        agent.until("they serve", lambda: len(_serving(agent)) == n + 1)
        assert stays.fetch("http://127.0.0.1:4143/") == "stays"
        for ident, _ in made:
            engine.gone(ident)
        agent.until("they have ended", lambda: len(agent.get("/sidecars")["sidecars"]) == 1)
        for _, space in made:
            space.close()
    come_and_go(41, 2)
    before = [_open(pid) for pid in pids]
    for turn in range(3):
        come_and_go(50 + 10 * turn, 3)
    agent.until("as many as before", lambda: [_open(pid) for pid in pids] <= [n + 1 for n in before])


@limit(150)
def test_a_keeper_that_is_late(t):
    """A keeper that brings no sockets blames no upstream: calls that find none say no-socket, the circuit stays closed, and when it is back all is well"""
    engine = Engine(t)
    agent = _node(t, engine)
    _, space = engine.container(t, 45, ["OUTRIDER_PORT=8080", "OUTRIDER_UPSTREAMS=slow@127.0.4.1:8081,self@127.0.4.2:8082", "OUTRIDER_TIMEOUT_CONNECT=500ms",
                                        "OUTRIDER_UPSTREAM_SLOW_ENDPOINTS=127.0.0.1:9000", "OUTRIDER_UPSTREAM_SELF_ENDPOINTS=127.0.0.1:8080",
                                        "OUTRIDER_UPSTREAM_SLOW_BREAKER_VOLUME=5"], "here")
    agent.until("it serves", lambda: _serving(agent).get("c45", {}).get("handler") == "up")
    os.kill(agent.pid, signal.SIGSTOP)
    try:
        said = ast.literal_eval(space.run("python3", "-c", CALLS).stdout)
    finally:
        os.kill(agent.pid, signal.SIGCONT)
    assert set(said) == {"held", "503 no-socket"} and said["503 no-socket"] >= 20, said
    (circuit,) = [c for c in agent.get("/sidecars/c45/circuits")["circuits"] if c["upstream"] == "slow"]
    assert circuit["state"] == "closed", circuit
    (one,) = [e for u in agent.get("/sidecars/c45/upstreams")["upstreams"] if u["name"] == "slow" for e in u["endpoints"]]
    assert one["state"] == "up" and one["ejected_times"] == 0, one
    agent.until("all is well", lambda: space.fetch("http://127.0.4.2:8082/") == "here")


LOAD = """
import http.client, sys, threading
def call():
    conn = http.client.HTTPConnection("127.0.0.1", 4143)
    for _ in range(int(sys.argv[1])):
        conn.request("GET", "/")
        conn.getresponse().read()
threads = [threading.Thread(target=call) for _ in range(int(sys.argv[2]))]
[t.start() for t in threads]
[t.join() for t in threads]
"""


@limit(150)
def test_who_stays_pays_for_itself(t):
    """CPU time that a sidecar has cost goes with it when its container ends, and is not charged to the others, on /sidecars and /metrics"""
    engine = Engine(t)
    agent = _node(t, engine)
    busy, space = engine.container(t, 54, ["OUTRIDER_PORT=8080"], "x")
    _, quiet = engine.container(t, 55, ["OUTRIDER_PORT=8080"], "x")
    agent.until("both serve", lambda: [s["handler"] for s in _serving(agent).values()] == ["up", "up"])
    for one, many in ((space, "40"), (quiet, "1")):
        done = one.run("python3", "-c", LOAD, "30", many)
        assert done.returncode == 0, done.stderr

    def cost(container):
        return _serving(agent)[container]["cost"]["cpu_ms"]

    def load(task):
        page = agent.admin_call("GET", "/metrics")[2].decode()
        return [float(line.split()[-1]) for line in page.split("\n") if line.startswith("outrider_sidecar_load_ratio{") and task in line][0]
    before = cost("c54")
    assert before > 10 and load("c54") > 0.5, (before, load("c54"))
    engine.gone(busy)
    agent.until("it has ended", lambda: list(_serving(agent)) == ["c55"])
    quiet.run("python3", "-c", LOAD, "5", "1")
    assert cost("c55") < before / 2 and load("c55") < 0.5, (before, cost("c55"), load("c55"))


@rows({"ours": ("http://127.0.0.1:4140", "ready"), "by name": ("http://user:pass@localhost:4140/", "ready"), "without a scheme": ("127.0.0.1:4140", "ready"),
       "another": ("http://proxy.example.org:3128", "not wired: no call seen, the proxy variable names another proxy"),
       "another port": ("http://127.0.0.1:3128/", "not wired: no call seen, the proxy variable names another proxy")})
@limit(150)
def test_a_proxy_variable(t, url, says):
    """a proxy variable is a wiring when it leads to the sidecar's own listener; that of a company, which an image may bring, is none"""
    engine = Engine(t)
    agent = _node(t, engine)
    for n, name in ((56, "http_proxy"), (57, "HTTP_PROXY")):
        engine.container(t, n, ["OUTRIDER_PORT=8080", "%s=%s" % (name, url)])
    agent.until("they serve", lambda: len(_serving(agent)) == 2)
    found = [one["outbound"] for one in _serving(agent).values()]
    assert all(one.startswith(says) for one in found), found


@limit(150)
def test_pages_of_a_sidecar(t):
    """/sidecars says wiring and cost of each; outrider get --service finds one by service, service.stack, task and container"""
    engine = Engine(t)
    agent = _node(t, engine)
    swarm = {"com.docker.swarm.service.name": "shop_accounts", "com.docker.stack.namespace": "shop", "com.docker.swarm.task.name": "shop_accounts.1.abc"}
    _, space = engine.container(t, 38, ["OUTRIDER_PORT=8080"], "x", labels=swarm)
    engine.container(t, 39, ["OUTRIDER_PORT=8080", "OUTRIDER_SERVICE=pinned", "OUTRIDER_UPSTREAMS=quotes:9001"], "x")
    agent.until("both serve", lambda: [s["handler"] for s in _serving(agent).values()] == ["up", "up"])
    assert space.fetch("http://127.0.0.1:4143/") == "x"
    one, other = _serving(agent)["c38"], _serving(agent)["c39"]
    assert one["outbound"] == "not wired: no call seen, no proxy variable, no pinned name", one
    assert other["outbound"] == "ready: no call seen yet", other
    assert (one["service"], one["stack"], one["task"], one["slot"], one["node"]) == ("accounts", "shop", "shop_accounts.1.abc", "1", "node-1"), one
    assert {"cpu_ms", "connections", "sockets_in_stock", "memory_kb"} <= set(one["cost"]) and one["requests"] == 1, one
    for name in ("accounts", "accounts.shop", "shop_accounts.1.abc", "c38", "%064x" % 38):
        status, out, err = run(["get", "/stats", "--service=" + name, "--admin=%s:%d" % agent.admin])
        assert status == 0 and json.loads(out)["counters"]["outrider_requests_total"] == 1, (name, out, err)


@limit(150)
def test_a_network_that_the_operator_listed(t):
    """with outrider.expose.networks a container is left alone, with a line, until it joins one of them"""
    engine = Engine(t)
    agent = _node(t, engine, expose_networks="open", expose_stacks="")
    ident, _ = engine.container(t, 71, ["OUTRIDER_PORT=8080"], "x")
    agent.until("it is said", lambda: "outrider.expose.networks" in agent.stderr())
    assert not _sidecar(agent, 71)
    engine.containers[ident]["NetworkSettings"]["Networks"]["open"] = {"IPAddress": "10.7.0.71"}
    engine.event("update", ident)
    agent.until("it serves", lambda: "c71" in _serving(agent))


@limit(150)
def test_a_folder_without_propagation(t):
    """a folder of namespaces in which later mounts are not seen is named at the start and by doctor, with the remedy"""
    engine = Engine(t)
    if subprocess.run(["mount", "--bind", engine.netns, engine.netns], check=False).returncode != 0:
        raise Skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "--make-private", engine.netns], check=True)
        agent = _node(t, engine)
        agent.until("it is said", lambda: "without propagation" in agent.stderr() and "rslave" in agent.stderr())
        line = [one for one in agent.get("/doctor")["lines"] if one["check"] == "namespaces"][0]
        assert line["state"] == "fail" and "rslave" in line["remedy"], line
    finally:
        subprocess.run(["umount", "-l", engine.netns], check=False)


@limit(150)
def test_descriptors_of_both_halves(t):
    """both halves may open as many descriptors as the hard limit allows; doctor warns, with the remedy, when that is little for the containers"""
    engine = Engine(t)
    agent = _node(t, engine, files=(128, 330))
    for number in (73, 74):
        engine.container(t, number, ["OUTRIDER_PORT=8080"], "x")
    agent.until("both serve", lambda: len(_serving(agent)) == 2)
    for pid in halves(agent):
        with open("/proc/%d/limits" % pid, encoding="ascii") as file:
            assert [line.split()[3:5] for line in file if line.startswith("Max open files")] == [["330", "330"]], pid

    def line():
        return [one for one in agent.get("/doctor")["lines"] if one["check"] == "descriptors"][0]
    agent.until("two are counted", lambda: "; 2 containers" in line()["says"])
    assert line()["state"] == "warn" and "330" in line()["says"] and "--ulimit-add" in line()["remedy"], line()


@limit(150)
def test_dns_by_network(t):
    """doctor says of each set of networks whether the resolver in there answers"""
    engine = Engine(t)
    agent = _node(t, engine)
    _, space = engine.container(t, 75, ["OUTRIDER_PORT=8080", "OUTRIDER_UPSTREAMS=quotes:9001"], "x")  # its namespace has no resolver
    ident, _ = engine.container(t, 76, ["OUTRIDER_PORT=8080"], "x")
    agent.until("both serve", lambda: len(_serving(agent)) == 2)
    engine.containers[ident]["NetworkSettings"]["Networks"]["other"] = {"IPAddress": "10.8.0.76"}
    engine.event("update", ident)

    def lines():
        return {one["of"]: one for one in agent.get("/doctor")["lines"] if one["check"] == "dns"}
    agent.until("each has a line", lambda: {of: one["state"] for of, one in lines().items()} == {"shop": "ok", "shop, other": "ok"})
    assert space.fetch("http://127.0.0.1:9001/").startswith("failed")
    agent.until("nobody answered", lambda: lines()["shop"]["state"] == "warn")
    assert "127.0.0.11" in lines()["shop"]["says"] and lines()["shop"]["remedy"] and lines()["shop, other"]["state"] == "ok", lines()


def _joined(one, other):
    """Two namespaces, joined by a cable: 10.99.0.1 and 10.99.0.2."""
    if not shutil.which("ip"):
        raise Skip("there is no ip")
    for words in (["ip", "link", "add", "v1", "type", "veth", "peer", "name", "v2", "netns", str(other.holder.pid)],
                  ["ip", "addr", "add", "10.99.0.1/24", "dev", "v1"], ["ip", "link", "set", "v1", "up"]):
        done = one.run(*words)
        if done.returncode != 0:
            raise Skip("a pair of interfaces cannot be made here: " + done.stderr)
    other.run("ip", "addr", "add", "10.99.0.2/24", "dev", "v2")
    other.run("ip", "link", "set", "v2", "up")


@limit(150)
def test_registrations_of_a_node(t):
    """Two containers of one service on one node are two instances in a registry, by swarm's task or the container; another proxy and a
    successor renew the same two, and an agent that leaves takes none away"""
    engine = Engine(t)
    first_id, one = engine.container(t, 85, ["OUTRIDER_PORT=8080"], "x", labels={"com.docker.swarm.service.name": "quotes", "com.docker.swarm.task.id": "task85"})
    second_id, other = engine.container(t, 86, ["OUTRIDER_PORT=8080"], "x", labels={"com.docker.swarm.service.name": "quotes"})
    _joined(one, other)
    server = RedisServer(t, "--protected-mode", "no", space=(one, "10.99.0.1"))
    env = {"registry": "redis:" + server.text, "registry_lease": "2s", "handler_check_interval": "100ms"}
    addresses = {"task85": "10.99.0.1:4143", second_id: "10.99.0.2:4143"}

    def owners():
        """{instance: who renewed it last}, when these two are known, and no other."""
        flat = server("HGETALL", "outrider:registry:quotes:values")
        found = dict(zip(flat[::2], flat[1::2]))
        assert set(found) <= set(addresses), found
        good = len(found) == 2 and all(addresses[name] in value and '"up"' in value for name, value in found.items())
        return {name: value.split()[0] for name, value in found.items()} if good else {}

    agent = _node(t, engine, **env)
    before = agent.until("both are registered", owners)
    os.kill(halves(agent)[1], signal.SIGKILL)
    agent.until("another proxy renews them", lambda: owners() and not set(owners().values()) & set(before.values()))
    before = owners()
    successor = _node(t, engine, **env)
    successor.until("it renews them", lambda: owners() and not set(owners().values()) & set(before.values()))
    agent.leave()
    before = owners()
    assert len(before) == 2 and server("ZCARD", "outrider:registry:quotes") == 2, before
    engine.gone(first_id)
    successor.until("one has left", lambda: server("HKEYS", "outrider:registry:quotes:values") == [second_id])


# Holds N connections whose heads never end; says so, and goes when its input ends.
CROWD = """
import socket, sys
crowd = []
for _ in range(int(sys.argv[1])):
    s = socket.create_connection(("127.0.0.1", 4143), timeout=20)
    s.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n")
    crowd.append(s)
print("held", flush=True)
sys.stdin.read()
"""


class Crowd:
    def __init__(self, space, n):
        self.proc = subprocess.Popen(["nsenter", "--net=" + space.path, "python3", "-c", CROWD, str(n)], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)

    def close(self):
        self.proc.kill()
        self.proc.communicate()


def _neighbours(t, n, limits, **env):
    """A node of two containers; the callers of the first hold n connections open until the ladder stands on its last step. (agent, spaces, crowd)"""
    engine = Engine(t)
    agent = _node(t, engine, workers="1", **limits, **env)
    spaces = [engine.container(t, number, ["OUTRIDER_PORT=8080"], text)[1] for number, text in ((77, "crowded"), (78, "calm"))]
    agent.until("both serve", lambda: [s["handler"] for s in _serving(agent).values()] == ["up", "up"])
    crowd = t._keep(Crowd(spaces[0], n))
    agent.until("no more are accepted", lambda: agent.get("/stats")["workers"][0]["overload"] == "stop")
    return agent, spaces, crowd


@rows({"descriptors": ({"files": 400}, 450, {}), "buffers": ({}, 600, {"limit_buffers": "4MiB"})})
@limit(150)
def test_one_takes_all(t, limits, n, env):
    """a container whose callers hold as many connections as the process may have descriptors, or all of its buffers: its own callers wait or are
    refused, those of its neighbour are served as before"""
    agent, spaces, crowd = _neighbours(t, n, limits, **env)
    for _ in range(20):
        assert spaces[1].fetch("http://127.0.0.1:4143/") == "calm"
    counters = agent.get("/sidecars/c78/stats")["counters"]
    assert counters["outrider_requests_shed_total"] == 0 and counters["outrider_requests_total"] == 20, counters
    crowd.close()
    agent.until("it is over", lambda: agent.get("/stats")["workers"][0]["overload"] == "none")
    assert spaces[0].fetch("http://127.0.0.1:4143/") == "crowded"
