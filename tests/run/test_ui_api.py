"""What the operator's page lives on: /ui/state, /ui/history, /ui/changes and the events of /ui/live, of one agent."""
import json
import os
import time

from harness.agent import sanitized
from harness.case import Skip, limit, rows, slow
from harness.live import CHANGE, HELLO, SERIES, Live, changes_of, fits, state_of
from harness.node import Engine
from harness.service import Service

ONE_TRY = {"OUTRIDER_RETRY_TRIES": "1", "OUTRIDER_RETRY_SAFE": "off"}


def calls(t, address, n, host="quotes", pause=0.0):
    c = t.client(address)
    for _ in range(n):
        c.ask("GET", "/", host)
        c.read_response()
        time.sleep(pause)


def busy(t, agent, check, host="quotes", address=None):
    """Calls until a state of the agent is as wanted."""
    def look():
        calls(t, address or agent.outbound, 20, host)
        state = state_of(agent)
        return state if check(state) else None
    return agent.until("a state as wanted", look, 15)


# --- the state ---------------------------------------------------------------------------------------------------------------


def test_state_of_an_agent(t):
    """All members, each of its type, before the first call and under calls: rates and percentiles in and out, edge, circuit, sidecar, process."""
    agent = t.sidecar(t.service(200), endpoints={"quotes": [t.service(200), t.service(200)], "idle": [t.port()]}, env={"OUTRIDER_META": "version=7.1"})
    state = agent.until("sampled", lambda: (s := state_of(agent))["sidecars"] and s)
    assert state["out"]["rate"] == 0 and state["out"]["p50_ms"] is None, state["out"]
    assert {e["to"] for e in state["edges"]} == {"quotes", "idle"} and not state["circuits"], state["edges"]
    state = busy(t, agent, lambda s: s["out"]["rate"] > 1 and s["out"]["p50_ms"] is not None)
    assert 0 < state["out"]["p50_ms"] <= state["out"]["p95_ms"] <= state["out"]["p99_ms"] and state["out"]["errors"] == 0, state["out"]
    edge = state["edges"][0]
    assert (edge["from"], edge["to"], edge["healthy"], edge["endpoints"], edge["circuit"]) == ("accountservice", "quotes", 2, 2, "closed"), edge
    assert edge["rate"] > 1 and edge["p50_ms"] and edge["p99_ms"] >= edge["p50_ms"], edge
    assert state["circuits"][0]["to"] == "quotes" and state["circuits"][0]["requests"] > 0, state["circuits"]
    sidecar, = state["sidecars"]
    assert (sidecar["name"], sidecar["service"], sidecar["version"], sidecar["handler"]) == ("accountservice", "accountservice", "7.1", "up"), sidecar
    assert sidecar["wired"] is True and sidecar["out"] == state["out"] and sidecar["state"] == "serving", sidecar
    assert state["process"]["memory_bytes"] > 1 << 20 and state["process"]["uptime_ms"] > 0 and state["config_age_ms"] > 0, state["process"]


@rows({"nothing": (["sidecar"], {}, "not wired: no call seen, no pinned name; "), "pinned": (["sidecar"], {"OUTRIDER_UPSTREAMS": "quotes@127.0.0.1:%d"}, "ready: "),
       "exec": (["exec", "--", "sleep", "300"], {}, "not wired: no call seen, no proxy variable, no pinned name"),
       "exec with the variable": (["exec", "--", "sleep", "300"], {"OUTRIDER_EXEC_PROXY_ENV": "on"}, "ready: ")})
def test_wired_is_who_called(t, command, more, says):
    """Before the first call it says what is there for it, and only behind a call that a service is wired."""
    env, ports = t.wiring(t.service(200), endpoints={"quotes": [t.service(200)]}, env={k: v % t.port().port if "%" in v else v for k, v in more.items()})
    agent = t.agent(command, env, ports, expect_status=143 if command[0] == "exec" else 0)
    look = lambda: state_of(agent)["sidecars"][0]["wired"]
    assert str(look()).startswith(says), look()
    calls(t, agent.inbound, 1)
    assert str(look()).startswith(says), "a call of another one is none of its own: %s" % look()
    calls(t, agent.outbound, 1)
    agent.until("wired", lambda: look() is True)


def test_rates_are_of_the_last_interval(t):
    """When nobody calls any more rates fall to zero and percentiles to unknown, of the agent and of the edge."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]})
    busy(t, agent, lambda s: s["out"]["rate"] > 1)
    state = agent.until("quiet", lambda: (s := state_of(agent))["out"]["rate"] == 0 and s["edges"][0]["rate"] == 0
                        and s["edges"][0]["p50_ms"] is None and s, 15)
    assert state["out"]["p50_ms"] is None, state["out"]


def test_slow_calls_are_slow(t):
    """Percentiles come of the durations of that interval: with one of four calls taking 300 ms the 95th is far above the 50th."""
    def answer(_, n):
        time.sleep(0.3 if n % 4 == 0 else 0)
        return 200
    agent = t.sidecar(t.service(answer))
    state = busy(t, agent, lambda s: s["in"]["p95_ms"] and s["in"]["p95_ms"] > 200, address=agent.inbound)
    assert state["in"]["p50_ms"] < 100 < state["in"]["p95_ms"], state["in"]


def test_errors_and_retries(t):
    """5xx are errors of the edge and of the agent; retries are counted."""
    agent = t.sidecar(endpoints={"quotes": [t.service(503), t.service(503)]},
                      env={"OUTRIDER_BREAKER": "off", "OUTRIDER_EJECT_CONSECUTIVE": "off", "OUTRIDER_RETRY_BUDGET": "100%"})
    state = busy(t, agent, lambda s: s["out"]["errors"] > 1)
    edge = state["edges"][0]
    assert edge["errors"] > 1 and abs(edge["errors"] - edge["rate"]) <= 1 and edge["retries"] > 0, edge


def test_an_edge_has_callers_and_upstreams(t):
    """Of an edge `in` are its public listeners, `out` the calls to its upstreams."""
    agent = t.edge({"api": {"prefix": "/", "upstream": "quotes"}}, {"quotes": [t.service(200)]})
    state = busy(t, agent, lambda s: s["in"]["rate"] > 1, address=agent.edge)
    assert state["out"]["rate"] > 1 and state["edges"][0]["from"] == "edge", state
    assert state["sidecars"][0]["wired"] is None, "there is no service whose calls could pass by"


def test_calls_under_way(t):
    """`active` are those that wait for their answer now."""
    agent = t.sidecar(t.service(Service.HANG))
    c = t.client(agent.inbound)
    c.ask()
    agent.until("active", lambda: state_of(agent)["in"]["active"] == 1)


@rows({"least": ("?bytes=1", 8192), "asked": ("?bytes=20000", 20000), "most": ("?bytes=99999999", 512 * 1024 + 600)})
def test_a_state_within_bytes(t, query, most):
    """?bytes= bounds the answer: the busiest are in it, left_out counts the others."""
    agent = t.sidecar(endpoints={"service-%03d" % n: ["127.0.0.1:1"] for n in range(200)})
    raw = agent.admin_call("GET", "/ui/state" + query)[2]
    page = json.loads(raw)
    assert len(raw) <= most + len(json.dumps(page["hello"])) + 300, len(raw)
    assert len(page["edges"]) + page["left_out"]["edges"] == 200 and page["edges"], page["left_out"]


def test_a_history_within_bytes(t):
    """?bytes= bounds what is told of the past as well: as many points as fit, of changes the newest, and how many were left out. A state with its
    changes keeps to it, too."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]})
    for n in range(120):
        assert agent.admin_call("PUT", "/circuits/quotes/" + ("open", "close")[n % 2], {"X-Outrider": "1"}, b"")[0] == 200
    every = agent.get("/ui/changes")
    assert len(every["changes"]) > 60 and every["left_out"] == 0, every["left_out"]
    for path in ("/ui/history?bytes=8192", "/ui/changes?bytes=8192", "/ui/state?bytes=8192&changes_ms=600000"):
        raw = agent.admin_call("GET", path)[2]
        page = json.loads(raw)
        assert len(raw) <= 8192 and 5 < len(page["changes"]) < len(every["changes"]), (path, len(raw), len(page["changes"]))
        assert page["changes"][-1] == every["changes"][-1], "the newest are told"
        left = page.get("changes_left_out", page.get("left_out"))
        assert "state" in path or left == len(every["changes"]) - len(page["changes"]), (path, left)


def test_support_is_told(t):
    """Sources, registries, exporters and sinks of log records with their state; one that cannot be reached is in trouble, with the cause."""
    folder = t.tempdir()
    agent = t.sidecar(t.service(200), env={"OUTRIDER_CONFIG": "file:" + folder, "OUTRIDER_REGISTRY": "consul:http://127.0.0.1:1",
                                           "OUTRIDER_UPSTREAMS": "quotes@127.0.0.1:%d" % t.port().port,
                                           "OUTRIDER_TRACE": "zipkin:http://127.0.0.1:1"})
    state = agent.until("in trouble", lambda: (s := state_of(agent)) and any(x["state"] == "trouble" for x in s["support"]) and s, 15)
    by = {one["kind"]: one for one in state["support"]}
    assert set(by) == {"config", "registry", "trace", "log"} and by["log"]["name"] == "json:stderr" and by["log"]["state"] == "ok", state["support"]
    assert by["config"]["state"] == "ok" and folder in by["config"]["name"], by
    assert by["log"]["state"] == "ok" and "sent" in by["log"]["detail"], by
    assert by["registry"]["why"] and "127.0.0.1" in by["registry"]["name"], by


def test_format_text(t):
    """The pages have their readable form like all others."""
    agent = t.sidecar(t.service(200))
    for path in ("/ui/state", "/ui/changes", "/ui/history"):
        status, fields, body = agent.admin_call("GET", path + "?format=text")
        assert status == 200 and fields["content-type"].startswith("text/plain") and body, path


# --- changes -------------------------------------------------------------------------------------------------------------------


def test_configuration_that_changes_and_is_refused(t):
    """A change in force names the keys that changed, never a value; a refused one its reason; since= gives what is newer."""
    folder = t.tempdir()
    path = os.path.join(folder, "application.properties")

    def write(text):
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.replace(path + ".new", path)
    write("outrider.timeout.idle=60s\n")
    agent = t.sidecar(t.service(200), env={"OUTRIDER_CONFIG": "file:" + folder, "OUTRIDER_CONFIG_POLL": "1s"})
    write("outrider.timeout.idle=61s\ndb.password=hunter2\n")
    change, = agent.until("in force", lambda: changes_of(agent, "config"), 15)
    assert "outrider.timeout.idle" in change["text"] and "hunter2" not in change["text"] and "61s" not in change["text"], change
    write("outrider.timeout.idle=never-ever\n")
    refused, = agent.until("refused", lambda: changes_of(agent, "config-refused", change["number"]), 15)
    assert "timeout.idle" in refused["text"] and refused["number"] > change["number"], refused
    assert state_of(agent)["sidecars"][0]["config_errors"] == 1
    assert not changes_of(agent, since=refused["number"])


def test_a_handler_that_goes_and_comes(t):
    """The service's own handler stops listening and listens again."""
    port = t.port()
    handler = t.origin("handler", (port.host, port.port))
    agent = t.sidecar(port)
    agent.until("up", lambda: agent.ready() == 200)
    handler.refuse()
    agent.until("down", lambda: any("takes no requests" in one["text"] for one in changes_of(agent, "handler")))


def test_ejection_and_circuit(t):
    """An endpoint that fails is ejected, the circuit opens: each is one change with the upstream; by hand it is told as well. The open circuit
    stands first."""
    agent = t.sidecar(endpoints={"quotes": [t.service(503), t.service(503)], "fine": [t.service(200)]},
                      env=dict(ONE_TRY, OUTRIDER_BREAKER_VOLUME="20", OUTRIDER_BREAKER_SLEEP_WINDOW="60s", OUTRIDER_EJECT_CONSECUTIVE="3"))
    calls(t, agent.outbound, 30, "fine")

    def told():
        calls(t, agent.outbound, 10)
        return changes_of(agent, "circuit") and changes_of(agent, "ejected")
    agent.until("told", told, 15)
    assert changes_of(agent, "circuit")[0]["upstream"] == "quotes"
    ejected = changes_of(agent, "ejected")[0]
    assert ejected["upstream"] == "quotes" and ejected["subject"] in ejected["text"], ejected
    state = state_of(agent)
    assert (state["circuits"][0]["to"], state["circuits"][0]["state"]) == ("quotes", "open") and state["circuits"][0]["since_ms"], state["circuits"]
    assert [e["circuit"] for e in state["edges"] if e["to"] == "quotes"] == ["open"], state["edges"]
    assert [e["healthy"] for e in state["edges"] if e["to"] == "quotes"][0] < 2, state["edges"]
    assert agent.admin_call("PUT", "/circuits/fine/open", {"X-Outrider": "1"}, b"")[0] == 200
    assert "by hand" in changes_of(agent, "circuit")[-1]["text"]
    assert [c["forced"] for c in state_of(agent)["circuits"] if c["to"] == "fine"] == ["open"]


def test_a_rollout(t):
    """Instances that come and leave are one change, with addresses and versions; the first set is none."""
    folder = t.tempdir()
    path = os.path.join(folder, "quotes.json")

    def write(*instances):
        with open(path + ".new", "w", encoding="ascii") as file:
            json.dump([{"targets": [address], "labels": {"version": version}} for address, version in instances], file)
        os.replace(path + ".new", path)
    services = [t.service(200) for _ in range(3)]
    write((services[0].text, "1"), (services[1].text, "1"))
    agent = t.sidecar(t.service(200), env={"OUTRIDER_REGISTRY": "file:" + path, "OUTRIDER_UPSTREAMS": "quotes@127.0.0.1:%d" % t.port().port})
    agent.until("known", lambda: [e for e in state_of(agent)["edges"] if e["endpoints"] == 2], 15)
    assert not changes_of(agent, "rollout")
    write((services[1].text, "1"), (services[2].text, "2"))
    change, = agent.until("told", lambda: changes_of(agent, "rollout"), 15)
    assert change["upstream"] == "quotes" and services[2].text in change["text"] and "version 2" in change["text"] and services[0].text in change["text"], change


# --- events --------------------------------------------------------------------------------------------------------------------


def test_events_of_an_agent(t):
    """hello, history, a tick at once, then one every interval; the tick is what /ui/state says."""
    agent = t.sidecar(t.service(200))
    live = Live(t, agent)
    assert live.head.status == 200 and live.head.get("content-type") == "text/event-stream; charset=utf-8", live.head
    assert live.head.get("cache-control") == "no-store" and live.head.get("x-content-type-options") == "nosniff"
    name, hello = live.next()
    fits(hello, HELLO, "hello")
    assert name == "hello" and hello["scopes"] == ["sidecar"] and hello["scope"] == "sidecar" and hello["writes"] == "loopback", hello
    assert (hello["command"], hello["service"], hello["interval_ms"]) == ("sidecar", "accountservice", 2000), hello
    name, history = live.next()
    one, = history["agents"]
    assert name == "history" and history["interval_ms"] == 2000 and {"in", "out"} <= set(one), history
    assert all(set(one[side]) == set(SERIES) and len({len(v) for v in one[side].values()}) == 1 for side in ("in", "out")), one
    for change in one["changes"]:
        fits(change, CHANGE)
    assert "sidecar-up" in [change["kind"] for change in one["changes"]] and one["changes_left_out"] == 0
    times = [live.until("tick", "ticks")["time_ms"] for _ in range(3)]
    assert 1000 <= times[2] - times[1] <= 8000, times


def test_history_grows(t):
    """What was before the page was opened is in its history, newest last, at most ten minutes of it."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]})
    busy(t, agent, lambda s: s["out"]["rate"] > 1)
    busy(t, agent, lambda s: s["out"]["rate"] > 1)
    live = Live(t, agent)
    one, = live.until("history", "history")["agents"]
    assert 1 <= len(one["out"]["rate"]) <= 300 and max(one["out"]["rate"]) > 1 and max(v or 0 for v in one["out"]["p50_ms"]) > 0, one["out"]
    page = agent.get("/ui/history?points=10")
    assert page["interval_ms"] == 60000 and len(page["out"]["rate"]) == 1 and page["out"]["rate"][0] > 0, page


def test_a_change_comes_when_it_happens(t):
    """A circuit that is opened by hand is an event at once, not at the next tick."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]})
    live = Live(t, agent)
    live.until("tick", "the first")
    agent.admin_call("PUT", "/circuits/quotes/open", {"X-Outrider": "1"}, b"")
    change = live.until("change", "by hand")
    fits(change, CHANGE, "change")
    assert change["kind"] == "circuit" and change["upstream"] == "quotes", change


def test_leaving_is_told(t):
    """A drain is an event; then the stream ends with the agent."""
    agent = t.sidecar(t.service(200))
    live = Live(t, agent)
    live.until("tick", "the first")
    agent.leave()
    live.until("change", "a drain", lambda change: change["kind"] == "drain")


@rows({"nothing": ("?scope=", 400), "unknown": ("?scope=world", 400), "node": ("?scope=node", 400), "swarm": ("?scope=swarm", 400), "own": ("?scope=sidecar", 200)})
def test_scopes(t, query, status):
    """Only what hello names may be asked for."""
    agent = t.sidecar(t.service(200))
    assert Live(t, agent, query).head.status == status


def test_readers_are_bounded(t):
    """Ten may read; an eleventh is told to wait; who leaves makes room. HEAD takes no place."""
    agent = t.sidecar(t.service(200))
    readers = [Live(t, agent) for _ in range(10)]
    assert [r.head.status for r in readers] == [200] * 10
    assert agent.admin_call("HEAD", "/ui/live")[0] == 200
    assert Live(t, agent).head.status == 503
    for r in readers:
        assert r.next()[0] == "hello"
    readers[3].wire.close()
    agent.until("room", lambda: Live(t, agent).head.status == 200)
    for r in readers[4:]:
        r.until("tick", "others go on")


def _share(agent, seconds, wait):
    """Of a core, in percent, that the agent used while wait(until) went on."""
    began, used = time.monotonic(), agent.cpu()
    wait(began + seconds)
    return (agent.cpu() - used) / (time.monotonic() - began) * 100


@slow
@limit(60)
def test_what_a_reader_costs(t):
    """A quiet agent with 50 upstreams: who looks costs at most 1 % of a core, and what nobody looks at next to nothing. CPU time, which hardly
    depends on what else the machine does."""
    if sanitized():
        raise Skip("its figures are of the plain build")
    agent = t.sidecar(t.service(200), endpoints={"service-%02d" % n: ["127.0.0.1:1", "127.0.0.1:2"] for n in range(50)})
    live = Live(t, agent)

    def look(until):
        while time.monotonic() < until:
            live.tick()
    look(time.monotonic() + 2)
    watched = _share(agent, 10, look)
    live.wire.close()
    alone = _share(agent, 10, lambda until: time.sleep(until - time.monotonic()))
    print("one reader: %.2f %% of a core; nobody: %.2f %%" % (watched, alone))
    assert watched < 1 and alone < 0.5, (watched, alone)


@slow
@limit(90)
def test_a_reader_that_takes_nothing_is_dropped(t):
    """It loses its place after half a minute, others go on, and the agent keeps no more for it than a tick."""
    agent = t.sidecar(t.service(200), endpoints={"service-%03d" % n: ["127.0.0.1:1"] for n in range(450)}, env={"OUTRIDER_UPSTREAM_DEFAULT_BREAKER": "on"})
    stuck = [Live(t, agent, rcvbuf=2048) for _ in range(9)]
    good = Live(t, agent)
    before = agent.rss()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        good.until("tick", "one that reads goes on")
        probe = Live(t, agent)
        if probe.head.status == 200:
            break
        probe.wire.close()
    else:
        raise AssertionError("the slow ones keep their places")
    assert sanitized() or agent.rss() - before < 9 * 256, agent.rss() - before
    assert len(stuck) == 9


@rows({"state": ("/ui/state",), "history": ("/ui/history",), "changes": ("/ui/changes",), "live": ("/ui/live",)})
def test_foreign_hosts_and_origins_are_refused(t, path):
    """What the page lives on is guarded as all pages are; no CORS is granted."""
    agent = t.sidecar(t.service(200))
    assert agent.admin_call("GET", path, host="evil.example")[0] == 403
    assert agent.admin_call("GET", path, {"Origin": "http://evil.example"})[0] == 403
    assert agent.admin_call("GET", path, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"})[0] == 403, "an image of another site's page"
    status, fields, _ = agent.admin_call("HEAD", path, {"Origin": "http://%s:%d" % agent.admin})
    assert status == 200 and "access-control-allow-origin" not in fields, fields


# --- a node --------------------------------------------------------------------------------------------------------------------


def _node(t):
    engine, port = Engine(t), t.port()
    agent = t.agent(["node"], {"OUTRIDER_ENGINE": engine.path, "OUTRIDER_NETNS": engine.netns, "OUTRIDER_RUN": engine.run, "OUTRIDER_ADMIN": port.text,
                               "OUTRIDER_SERVICE": None, "OUTRIDER_STOP_TIMEOUT": "2s"}, {"admin": port})
    return engine, agent


def _serve(agent, n):
    agent.until("they serve", lambda: len([s for s in agent.get("/sidecars")["sidecars"] if s["state"] == "serving" and s["handler"] == "up"]) == n, 15)


def test_state_of_a_node(t):
    """All sidecars with their traffic, and sums; below /sidecars/NAME, and in a container's network, that sidecar alone."""
    engine, agent = _node(t)
    _, one = engine.container(t, 31, ["OUTRIDER_PORT=8080", "OUTRIDER_SERVICE=accounts"], "x")
    engine.container(t, 32, ["OUTRIDER_PORT=8080", "OUTRIDER_SERVICE=images"], "x")
    _serve(agent, 2)

    def carried():
        for _ in range(3):
            one.fetch("http://127.0.0.1:4143/")
        state = state_of(agent)
        return state if state["in"]["rate"] > 0 else None
    state = agent.until("carried", carried, 20)
    assert {s["name"]: s["service"] for s in state["sidecars"]} == {"c31": "accounts", "c32": "images"}, state["sidecars"]
    assert state["sidecars"][0]["name"] == "c31" and state["sidecars"][0]["in"]["rate"] > 0 and state["sidecars"][1]["in"]["rate"] == 0, state["sidecars"]
    assert [x["state"] for x in state["support"] if x["kind"] == "engine"] == ["ok"], state["support"]
    hello = agent.get("/ui/state")["hello"]
    assert hello["scope"] == "node" and hello["scopes"] == ["node", "swarm"] and hello["node"] == "node-1" and hello["service"] is None, hello
    page = agent.get("/sidecars/c32/ui/state")
    assert page["hello"]["scopes"] == ["sidecar"] and [s["service"] for s in page["sidecars"]] == ["images"], page
    assert page["sidecars"][0]["wired"] == "not wired: no call seen, no proxy variable, no pinned name", page["sidecars"]
    inside = one.fetch("http://127.0.0.1:4191/ui/state")
    assert "images" not in inside and "accounts" in inside, inside
    seen = one.fetch("http://127.0.0.1:4191/ui/changes")
    assert "c31" in seen and "c32" not in seen, seen


def test_instances_of_one_service_on_a_node(t):
    """Two containers of one service: edges, circuits and endpoints say whose they are, and an open circuit of the one is not that of the other."""
    engine, agent = _node(t)
    env = ["OUTRIDER_PORT=8080", "OUTRIDER_SERVICE=accounts", "OUTRIDER_UPSTREAMS=quotes@127.0.4.1:8081", "OUTRIDER_UPSTREAM_QUOTES_ENDPOINTS=127.0.0.1:8080"]
    spaces = [engine.container(t, n, env, "x")[1] for n in (36, 37)]
    _serve(agent, 2)
    assert [s.fetch("http://127.0.4.1:8081/") for s in spaces] == ["x", "x"]
    assert agent.admin_call("PUT", "/sidecars/c37/circuits/quotes/open", {"X-Outrider": "1"}, b"")[0] == 200
    state = agent.until("sampled", lambda: (s := state_of(agent)) and len(s["circuits"]) == 2 and s, 15)
    assert {c["instance"]: (c["from"], c["state"], c["forced"]) for c in state["circuits"]} == {
        "c36": ("accounts", "closed", None), "c37": ("accounts", "closed", "open")}, state["circuits"]
    assert {e["instance"]: (e["from"], e["circuit"]) for e in state["edges"] if e["to"] == "quotes"} == {
        "c36": ("accounts", "closed"), "c37": ("accounts", "forced-open")}, state["edges"]
    assert {e["instance"] for e in state["edges"]} <= {s["name"] for s in state["sidecars"]}, state["sidecars"]
    for path, name in (("/upstreams?service=quotes", "upstreams"), ("/circuits?service=quotes", "circuits")):
        assert [(u["instance"], u["sidecar"]) for u in agent.get(path)[name]] == [("c36", "accounts"), ("c37", "accounts")], agent.get(path)
    own = state_of(agent, "/sidecars/c37/ui/state")
    assert [s["name"] for s in own["sidecars"]] == ["c37"] == [e["instance"] for e in own["edges"] if e["to"] == "quotes"], own


def test_a_sidecar_that_leaves_ends_its_readers(t):
    """The node's page goes on, with the change; the page of that sidecar ends."""
    engine, agent = _node(t)
    first, _ = engine.container(t, 33, ["OUTRIDER_PORT=8080"], "x")
    _serve(agent, 1)
    whole, its = Live(t, agent), Live(t, agent, prefix="/sidecars/c33")
    assert its.next()[1]["scope"] == "sidecar" and whole.next()[1]["scope"] == "node"
    engine.gone(first)
    whole.until("change", "it is told", lambda c: c["kind"] == "sidecar-down" and c["subject"])
    try:
        for _ in range(20):
            its.next()
        raise AssertionError("it never ended")
    except (EOFError, AssertionError) as why:
        assert "never" not in str(why), why
    whole.tick("none is left", lambda agents: not agents[0]["state"]["sidecars"])


def test_a_sidecar_has_its_page(t):
    """/sidecars/NAME leads a browser to /sidecars/NAME/, where the page and its files are."""
    engine, agent = _node(t)
    engine.container(t, 34, ["OUTRIDER_PORT=8080"], "x")
    _serve(agent, 1)
    browser = {"Accept": "text/html", "Accept-Encoding": "gzip"}
    status, fields, _ = agent.admin_call("GET", "/sidecars/c34", browser)
    assert status == 308 and fields["location"] == "c34/", (status, fields)
    assert agent.admin_call("GET", "/sidecars/c34/", browser)[1]["content-type"].startswith("text/html")
    assert agent.admin_call("GET", "/sidecars/c34/ui/uplot.js", browser)[0] == 200
    assert agent.get("/sidecars/c34/")["agent"] == "outrider" and agent.get("/sidecars/c34")["agent"] == "outrider"
