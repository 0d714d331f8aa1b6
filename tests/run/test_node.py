"""outrider node against a scripted engine, in real network namespaces: who gets a sidecar, what of a container counts, who takes over."""
import os
import shutil
import subprocess

from harness.agent import run
from harness.case import Skip, limit, rows
from harness.hystrix import Reader
from harness.node import Engine, node as _node, serving as _serving


@limit(150)
def test_a_container_gets_its_sidecar(t):
    """Its 4143 leads to a handler on its own loopback; /sidecars/NAME has its pages; when it ends nothing of it is left."""
    engine = Engine(t)
    agent = _node(t, engine)
    one, space = engine.container(t, 1, ["OUTRIDER_PORT=8080"], "first")
    engine.container(t, 2, [], "second")  # it did not ask
    agent.until("it serves", lambda: list(_serving(agent)) == ["c1"])
    agent.until("its handler", lambda: _serving(agent)["c1"]["handler"] == "up")
    assert space.fetch("http://127.0.0.1:4143/") == "first"
    assert agent.get("/sidecars/c1/stats")["counters"]["outrider_requests_total"] == 1
    assert agent.admin_call("GET", "/sidecars/c2/stats")[0] == 404
    engine.gone(one)
    agent.until("it has ended", lambda: not agent.get("/sidecars")["sidecars"])
    agent.until("nobody listens", lambda: set(space.listeners()) <= {8080})


@limit(150)
def test_circuits_of_a_node(t):
    """/hystrix.stream of the node's agent names a circuit by who calls and whom, so that no two share a name; that of /sidecars/NAME says the upstream alone"""
    engine = Engine(t)
    agent = _node(t, engine)
    for n, service in ((11, "accounts"), (12, "images"), (13, "accounts")):
        engine.container(t, n, ["OUTRIDER_PORT=8080", "OUTRIDER_SERVICE=" + service, "OUTRIDER_UPSTREAMS=quotes:9002"], "x")
    agent.until("they serve", lambda: len(_serving(agent)) == 3)

    def names(*events):
        return sorted((event["name"], event["group"]) for event in events if event["type"] == "HystrixCommand")
    wanted = [("accounts.quotes", "accounts"), ("accounts~2.quotes", "accounts"), ("images.quotes", "images")]
    Reader(t, agent).until("three", lambda *events: names(*events) == wanted)
    assert names(*Reader(t, agent, prefix="/sidecars/c12").tick()) == [("quotes", "images")]


@limit(150)
def test_metrics_of_a_node(t):
    """/metrics of the node's agent has all its sidecars, that of /sidecars/NAME its own; the process tells of itself within its filter of system calls"""
    engine = Engine(t)
    agent = _node(t, engine)
    for n, service in ((21, "accounts"), (22, "images")):
        engine.container(t, n, ["OUTRIDER_PORT=8080", "OUTRIDER_SERVICE=" + service], "x")
    agent.until("they serve", lambda: len(_serving(agent)) == 2)
    status, _, page = agent.admin_call("GET", "/metrics")
    assert status == 200 and b'service="accounts"' in page and b'service="images"' in page and b"process_open_fds " in page, page[:2000]
    status, _, own = agent.admin_call("GET", "/sidecars/c22/metrics")
    assert status == 200 and b'service="accounts"' not in own and b'service="images"' in own, own[:2000]


@limit(150)
def test_options_of_a_container(t):
    """Variables and labels set its sidecar's options; what it may not set is left out and said; a handler outside is refused"""
    engine = Engine(t)
    agent = _node(t, engine)
    _, space = engine.container(t, 3, ["OUTRIDER_PORT=8080", "OUTRIDER_WORKERS=9", "OUTRIDER_CONFIG=file:/etc", "OUTRIDER_TYPO=1",
                                         "OUTRIDER_EUREKA_PASSWORD=hunter2", "OUTRIDER_REDIS_PASSWORD_FILE=/run/secrets/redis"], "x",
                                labels={"outrider.upstreams": "images:9002"})
    engine.container(t, 4, ["OUTRIDER_PORT=unix:/var/run/docker.sock"])
    agent.until("both are known", lambda: len(agent.get("/sidecars")["sidecars"]) == 2)
    first = _serving(agent)["c3"]
    for word in ("OUTRIDER_WORKERS", "OUTRIDER_CONFIG", "OUTRIDER_TYPO", "OUTRIDER_EUREKA_PASSWORD", "OUTRIDER_REDIS_PASSWORD_FILE",
                 "in the environment of the agent's service", "--secret-add NAME outrider_agent"):
        assert word in first["options_left_out"], first
    assert "hunter2" not in first["options_left_out"] + agent.stderr()
    assert 9002 in space.listeners(), space.listeners()
    other = [s for s in agent.get("/sidecars")["sidecars"] if s["container"] == "c4"][0]
    assert "OUTRIDER_PORT" in other.get("options_left_out", "") + other.get("why", ""), other
    lines = {(line["check"], line["state"]) for line in agent.get("/doctor")["lines"]}
    assert ("options", "fail") in lines and ("engine", "ok") in lines, lines


@limit(150)
def test_a_container_that_names_too_many(t):
    """one that names more upstreams than its share of the node's has no sidecar, with a line that says why; its neighbour has"""
    engine = Engine(t)
    agent = _node(t, engine)
    engine.container(t, 8, ["OUTRIDER_PORT=8080"] + ["OUTRIDER_UPSTREAM_S%d_PORT=80" % n for n in range(600)], "x")
    engine.container(t, 9, ["OUTRIDER_PORT=8080"], "x")
    agent.until("both are known", lambda: len(agent.get("/sidecars")["sidecars"]) == 2)
    states = {s["container"]: (s["state"], s.get("why", "")) for s in agent.get("/sidecars")["sidecars"]}
    assert states["c9"][0] == "serving" and states["c8"][0] == "failed" and "more than 512 upstreams" in states["c8"][1], states


@rows({"host": ({"mode": "host"}, "host's network namespace"), "other": ({"mode": "container:abc"}, "another container"),
       "own": ({"path": "/outrider"}, "outrider itself"), "unclear": ({"labels": {"outrider.enable": "no"}}, "outrider.enable")})
@limit(150)
def test_left_alone(t, more, word):
    """containers that cannot have a sidecar are left alone, with a line that says why"""
    engine = Engine(t)
    ident, _ = engine.container(t, 5, ["OUTRIDER_PORT=8080"], **more)
    engine.containers[ident]["Path"] = more.get("path", "/app")
    agent = _node(t, engine)
    agent.until("it is said", lambda: word in agent.stderr())
    assert agent.get("/sidecars")["sidecars"] == []


@rows({"20.10": ("1.41", "/v1.41/"), "25.0": ("1.44", "/v1.44/"), "28.5": ("1.51", "/v1.51/"), "29.0": ("1.52", "/v1.52/"), "29.7": ("1.55", "/v1.55/"),
       "future": ("1.70", "/v1.55/")})
@limit(150)
def test_versions_of_the_api(t, api, prefix):
    """the highest version that both know is spoken; keys that came or went with a version of the engine change nothing"""
    engine = Engine(t, api=api)
    agent = _node(t, engine)
    engine.container(t, 6, ["OUTRIDER_PORT=8080"], "x")
    agent.until("it serves", lambda: "c6" in _serving(agent))
    spoken = {path.split("containers")[0] for path in engine.asked if "containers" in path}
    assert spoken == {prefix}, spoken
    engine.gone("%064x" % 6)
    agent.until("its end is seen by the event", lambda: not agent.get("/sidecars")["sidecars"])


@limit(150)
def test_an_engine_that_is_too_old(t):
    """an engine without API 1.41 is named, with the version that is needed"""
    engine = Engine(t, api="1.40")
    agent = _node(t, engine)
    agent.until("it is said", lambda: "1.41" in agent.stderr())
    assert any(line["check"] == "engine" and line["state"] == "fail" for line in agent.get("/doctor")["lines"])


@limit(150)
def test_a_successor_takes_over(t):
    """a second agent gets the same listening sockets, serves, and the first one leaves them to it"""
    engine = Engine(t)
    first = _node(t, engine)
    _, space = engine.container(t, 7, ["OUTRIDER_PORT=8080"], "same")
    first.until("it serves", lambda: "c7" in _serving(first))
    first.until("its handler", lambda: _serving(first)["c7"]["handler"] == "up")
    before = space.listeners()
    second = _node(t, engine)
    second.until("it serves", lambda: "c7" in _serving(second))
    second.until("it is said", lambda: "a successor serves" in first.stderr())
    assert space.listeners() == before, (before, space.listeners())
    assert space.fetch("http://127.0.0.1:4143/") == "same"
    assert second.get("/sidecars/c7/stats")["counters"]["outrider_requests_total"] == 1
    first.leave()
    assert space.fetch("http://127.0.0.1:4143/") == "same" and space.listeners() == before


def test_no_registry_docker(t):
    """registry docker: would choose addresses in the agent's own networks: refused at the start, with what to set instead"""
    status, _, err = run(["node"], {"OUTRIDER_REGISTRY": "redis:redis:6379,docker:"})
    assert status == 2 and "OUTRIDER_REGISTRY=dns:" in err, (status, err)


NAMES = """
import http.server, sys, threading
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.server.server_address[0].encode()
        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
for one in sys.argv[2:]:
    threading.Thread(target=http.server.ThreadingHTTPServer((one, int(sys.argv[1])), H).serve_forever).start()
print("ready", flush=True)
"""
ASK = """
import urllib.request
print(*[urllib.request.urlopen("http://127.0.4.1:8081/", timeout=20).read().decode() for _ in range(20)])
"""


@rows({"a port of its own": (9000,), "asked for a hello in vain": (4143,)})
@limit(150)
def test_who_is_near(t, port):
    """an instance that says no hello is on the same node when a container of this node has its address, and only then: it is preferred while it runs"""
    if not shutil.which("ip"):
        raise Skip("there is no ip")
    engine = Engine(t)

    def plain(number, address):
        ident, _ = engine.container(t, number)
        engine.containers[ident]["NetworkSettings"]["Networks"]["shop"]["IPAddress"] = address
        engine.event("update", ident)
        return ident
    near = plain(91, "10.77.0.2")
    _, space = engine.container(t, 90, ["OUTRIDER_UPSTREAMS=db@127.0.4.1:8081", "OUTRIDER_UPSTREAM_DB_ENDPOINTS=10.77.0.1:%d,10.77.0.2:%d" % (port, port)],
                                labels={"outrider.enable": "true"})
    for address in ("10.77.0.1", "10.77.0.2"):
        assert space.run("ip", "addr", "add", address + "/32", "dev", "lo").returncode == 0
    held = subprocess.Popen(["nsenter", "--net=" + space.path, "python3", "-c", NAMES, str(port), "10.77.0.1", "10.77.0.2"], stdout=subprocess.PIPE)
    try:
        assert held.stdout.readline() == b"ready\n"
        agent = _node(t, engine)
        agent.until("it serves", lambda: "c90" in _serving(agent))

        def asked():
            done = space.run("python3", "-c", ASK)
            assert done.returncode == 0, done.stderr
            return set(done.stdout.split())

        def tiers():
            asked()  # each worker learns of it by a call
            return [one.get("tier") for one in agent.get("/sidecars/c90/explain?service=db")["candidates"]]
        agent.until("one is near", lambda: tiers() == ["elsewhere", "same-node"])
        assert asked() == {"10.77.0.2"}
        engine.gone(near)
        plain(92, "10.77.0.1")
        agent.until("the other is near", lambda: tiers() == ["same-node", "elsewhere"])
        assert asked() == {"10.77.0.1"}
        engine.gone("%064x" % 92)
        agent.until("none is", lambda: tiers() == ["elsewhere", "elsewhere"])
    finally:
        held.kill()
        held.communicate()


@limit(150)
def test_without_the_folder(t):
    """a folder of namespaces that is not there is named with the remedy, and nothing starts"""
    engine = Engine(t)
    os.rmdir(engine.netns)
    port = t.port()
    agent = t.agent(["node"], {"OUTRIDER_ENGINE": engine.path, "OUTRIDER_NETNS": engine.netns, "OUTRIDER_RUN": "off",
                               "OUTRIDER_ADMIN": port.text, "OUTRIDER_SERVICE": None}, {"admin": port}, expect_status=1, ready=False)
    assert agent.wait() == 1 and "mount it" in agent.stderr(), agent.stderr()
