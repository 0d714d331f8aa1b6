"""Circuit breakers: an upstream that fails is left alone for a while, and comes back by one call."""
import calendar
import json
import os
import re
import time

from harness.case import rows
from harness.service import Service

BREAKER = {"OUTRIDER_BREAKER_VOLUME": "5", "OUTRIDER_BREAKER_SLEEP_WINDOW": "300ms", "OUTRIDER_RETRY_TRIES": "1", "OUTRIDER_EJECT_CONSECUTIVE": "off",
           "OUTRIDER_RETRY_SAFE": "off"}


def scene(t, answer, n=1, **env):
    services = [t.service(answer) for _ in range(n)]
    agent = t.sidecar(endpoints={"quotes": services}, env=dict(BREAKER, **env))
    return agent, t.client(agent.outbound), services[0] if n == 1 else services


def ask(c, method="GET", path="/", fields=(), body=None, host="quotes"):
    c.ask(method, path, host, fields, body)
    return c.read_response(method)


def circuit(agent, service="quotes"):
    return agent.get("/circuits?service=" + service)["circuits"][0]


def open_it(agent, c):
    """Fails until the circuit opens; the agent looks at its counts every half second."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        reply = ask(c)
        if reply.get("x-outrider-reason") == "circuit-open":
            return reply
    raise AssertionError("the circuit did not open: %r" % circuit(agent))


def test_opens_and_closes_again(t):
    """All calls fail: the circuit opens, calls are refused at once; one probe after the sleep window closes it."""
    agent, c, s = scene(t, 503)
    t.own_answer(open_it(agent, c), "circuit-open")
    seen = circuit(agent)
    assert seen["state"] == "open" and seen["open"] and "failed" in seen["why"] and seen["since"] and seen["until"] and seen["opened"], seen
    hits = len(s.hits)
    assert ask(c).get("x-outrider-reason") == "circuit-open" and len(s.hits) == hits
    s.answer = 200
    agent.until("it closed", lambda: ask(c).status == 200)
    agent.until("nothing failed since", lambda: circuit(agent)["state"] == "closed" and circuit(agent)["window"]["errors"] == 0)
    for words in ("opened", "half open", "closed: its probe"):  # the page shows the circuit itself, which may be ahead of the log
        agent.until("the log says " + words, lambda: words in agent.stderr() + agent.stdout())
    seen = circuit(agent)
    assert seen["opened"] is None and "opened" not in seen["why"], seen
    stats = agent.get("/stats")
    assert stats["counters"]["outrider_circuits_opened_total"] >= 1 and stats["counters"]["outrider_requests_shorted_total"] >= 2, stats


def test_says_what_opened_it(t):
    """Since when and why it is open is said alike on every page, also when its window has forgotten the calls that failed and probes failed since."""
    agent, c, s = scene(t, 503, OUTRIDER_BREAKER_WINDOW="1s")
    refused = open_it(agent, c).get("x-request-id")
    opened = circuit(agent)["opened"]
    agent.until("a probe failed", lambda: ask(c) and "probe" in circuit(agent)["why"])
    agent.until("its window is empty", lambda: circuit(agent)["window"]["total"] == 0)
    seen = circuit(agent)
    said = re.match(r"(\d+) of (\d+) calls had failed when it opened, and (\d+) probes? since$", seen["why"])
    assert said and int(said[1]) == int(said[2]) >= 5 and int(said[3]) >= 1, seen
    assert seen["opened"][:19] == opened[:19] < seen["since"], (opened, seen)
    on_page = agent.get("/ui/state")["circuits"][0]
    assert on_page["why"] == seen["why"] and on_page["since_ms"] // 1000 == at_second(opened), (on_page, seen)
    told = agent.get("/why/" + refused)["exchanges"][-1]
    assert told["reason"] == "circuit-open" and told["circuit_now"].startswith("open since " + opened[:19]) and seen["why"] in told["circuit_now"], told


def at_second(iso):
    return calendar.timegm(time.strptime(iso[:19], "%Y-%m-%dT%H:%M:%S"))


def test_a_failed_probe_waits_once_more(t):
    """While the upstream fails one call per sleep window reaches it, no more."""
    agent, c, s = scene(t, 503)
    open_it(agent, c)
    hits, began = len(s.hits), time.monotonic()
    while time.monotonic() - began < 1.5:
        ask(c)
    probes = len(s.hits) - hits
    assert 1 <= probes <= 6, probes


def test_half_failures_do_not_open_it(t):
    """By default a call that may succeed is never refused: half of them failing opens nothing."""
    agent, c, s = scene(t, lambda _m, n: 503 if n % 2 else 200)
    began = time.monotonic()
    while time.monotonic() - began < 1.5:
        assert ask(c).get("x-outrider-reason") is None
    assert circuit(agent)["state"] == "closed" and circuit(agent)["window"]["failure"] > 5


def test_a_threshold_of_half(t):
    """breaker.error-threshold=50% opens it then, as Hystrix does."""
    agent, c, _ = scene(t, lambda _m, n: 503 if n % 2 else 200, OUTRIDER_BREAKER_ERROR_THRESHOLD="50%")
    open_it(agent, c)


@rows({"404": (404, "bad_request"), "500": (500, "success"), "200": (200, "success")})
def test_what_is_no_failure(t, status, kind):
    """The caller's mistakes count neither way; statuses outside breaker.statuses are successes."""
    agent, c, _ = scene(t, status)
    began = time.monotonic()
    while time.monotonic() - began < 0.8:
        assert ask(c).status == status
    seen = circuit(agent)
    assert seen["window"][kind] > 5 and seen["window"]["errors"] == 0 and seen["state"] == "closed", seen


@rows({"reset": (Service.RESET, {}, "failure"), "close": (Service.CLOSE, {}, "failure"),
       "hang": (Service.HANG, {"OUTRIDER_TIMEOUT_FIRST_BYTE": "20ms"}, "timeout"),
       "late": (Service.HANG, {"OUTRIDER_TIMEOUT_REQUEST": "30ms"}, "timeout")})
def test_what_is_a_failure(t, answer, env, kind):
    """Connections that end, and time limits, open it."""
    agent, c, _ = scene(t, answer, **env)
    open_it(agent, c)
    agent.until("they are counted", lambda: circuit(agent)["window"][kind] >= 5)


@rows({"ours": ("X-Outrider-Deadline-Ms",), "envoy": ("X-Envoy-Expected-Rq-Timeout-Ms",)})
def test_a_short_deadline_opens_nothing(t, field):
    """How little time callers give says nothing of the upstream: it ends their calls and opens no circuit. An own limit that is shorter does."""
    agent, c, s = scene(t, Service.HANG)
    for _ in range(12):
        t.own_answer(ask(c, fields=(field + ": 60",)), "request-timeout")
    agent.until("they are counted", lambda: circuit(agent)["window"]["aborted"] == 12)
    seen = circuit(agent)
    assert len(s.hits) == 12 and seen["state"] == "closed" and seen["window"]["errors"] == 0, seen
    agent, c, s = scene(t, Service.HANG, OUTRIDER_TIMEOUT_REQUEST="30ms")
    for _ in range(3):
        t.own_answer(ask(c, fields=(field + ": 20000",)), "request-timeout")
    agent.until("they count", lambda: circuit(agent)["window"]["timeout"] == 3)


def test_by_hand(t):
    """PUT /circuits/S/open refuses all calls, /close lets them fail, /auto gives it back to itself."""
    agent, c, s = scene(t, 200)
    assert agent.admin_call("PUT", "/circuits/quotes/open", {"X-Outrider": "1"})[0] == 200
    t.own_answer(ask(c), "circuit-open")
    assert circuit(agent)["forced"] == "open" and "hand" in circuit(agent)["why"]
    s.answer = 503
    assert agent.admin_call("PUT", "/circuits/quotes/close", {"X-Outrider": "1"})[0] == 200
    began = time.monotonic()
    while time.monotonic() - began < 0.8:
        assert ask(c).get("x-outrider-reason") is None
    assert agent.admin_call("PUT", "/circuits/quotes/auto", {"X-Outrider": "1"})[0] == 200
    open_it(agent, c)
    assert agent.admin_call("PUT", "/circuits/quotes/open", {})[0] == 403
    assert agent.admin_call("PUT", "/circuits/nobody/open", {"X-Outrider": "1"})[0] == 404
    assert agent.admin_call("PUT", "/circuits/quotes/ajar", {"X-Outrider": "1"})[0] == 400


def test_bytes_ask_no_circuit(t):
    """The circuit of an upstream that is pinned as tcp:// only cannot be set by hand: nothing would come of it."""
    pin = t.port()
    agent = t.sidecar(upstreams="tcp://db:1@" + pin.text, endpoints={"db": [t.origin()]})
    status, _, body = agent.admin_call("PUT", "/circuits/db/open", {"X-Outrider": "1"})
    assert status == 409 and b"tcp://" in body, (status, body)
    agent = t.sidecar(upstreams="tcp://db:1@%s,db@%s" % (t.port().text, t.port().text), endpoints={"db": [t.origin()]})
    assert agent.admin_call("PUT", "/circuits/db/open", {"X-Outrider": "1"})[0] == 200


def test_observe(t):
    """Mode observe counts what would have been refused, and refuses nothing."""
    agent, c, s = scene(t, 503, OUTRIDER_MODE="observe")
    began = time.monotonic()
    while time.monotonic() - began < 1.2:
        assert ask(c).get("x-outrider-reason") is None
    agent.until("it is counted", lambda: circuit(agent)["open"] and agent.get("/stats")["counters"]["outrider_requests_shorted_total"] > 0)
    assert len(s.hits) > 20
    assert agent.get("/stats")["counters"]["outrider_observed_shorted_total"] > 0
    agent.until("the log says so", lambda: '"broken":' in agent.stderr() and "mode observe: calls were left alone" in agent.stderr())


def test_a_caller_that_leaves_says_nothing(t):
    """A client that goes away counts neither way; as a probe it reopens the circuit."""
    agent, c, s = scene(t, 503)
    open_it(agent, c)
    s.answer = Service.HANG
    hits = len(s.hits)

    def probes():
        other = t.client(agent.outbound)
        other.ask("GET", "/", "quotes")
        try:
            other.read_response(seconds=0.2)
        except Exception:  # it hangs: it is the probe
            pass
        other.close()
        return len(s.hits) > hits
    agent.until("a probe hangs and leaves", probes)
    s.answer = 200
    agent.until("another one closes it", lambda: ask(c).status == 200)


def test_hystrix_stream(t):
    """/hystrix.stream: one command and one pool per circuit with the whole set of keys, pings, at most five readers."""
    agent, c, _ = scene(t, 200)
    for _ in range(5):
        ask(c)
    agent.until("they are counted", lambda: circuit(agent)["window"]["success"] == 5)
    readers = []
    for _ in range(5):
        reader = t.client(agent.admin)
        reader.send(b"GET /hystrix.stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = reader.read_head()
        assert head.status == 200 and head.get("content-type").startswith("text/event-stream"), head
        readers.append(reader)
    sixth = t.client(agent.admin)
    sixth.send(b"GET /hystrix.stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    refused = sixth.read_response()
    assert refused.status == 503 and b"MaxConcurrentConnections" in refused.body
    text = readers[0].read_until(b"ping: ").decode()
    lines = [json.loads(line[line.index("{"):]) for line in text.split("\n") if line.startswith("data: ")]
    command = next(line for line in lines if line["type"] == "HystrixCommand")
    pool = next(line for line in lines if line["type"] == "HystrixThreadPool")
    assert command["name"] == "quotes" and command["requestCount"] == 5 and command["rollingCountSuccess"] == 5, command
    assert set(command["latencyTotal"]) == {"0", "25", "50", "75", "90", "95", "99", "99.5", "100"}
    for key in ("isCircuitBreakerOpen", "errorPercentage", "rollingCountSemaphoreRejected", "rollingCountShortCircuited", "reportingHosts",
                "propertyValue_circuitBreakerSleepWindowInMilliseconds", "propertyValue_executionIsolationStrategy", "currentConcurrentExecutionCount"):
        assert key in command, key
    assert pool["reportingHosts"] == 1 and "propertyValue_queueSizeRejectionThreshold" in pool
    readers[0].close()
    agent.until("a place is free", lambda: _streams(t, agent))


def _streams(t, agent):
    reader = t.client(agent.admin)
    reader.send(b"GET /hystrix.stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return reader.read_head().status == 200


def test_options_are_live(t):
    """Thresholds change while calls are made; the circuit keeps what it counted."""
    folder = t.tempdir()

    def put(text):
        with open(folder + "/accountservice.properties.tmp", "w", encoding="ascii") as file:
            file.write(text)
        os.rename(folder + "/accountservice.properties.tmp", folder + "/accountservice.properties")
    put("outrider.breaker.volume=1000000\n")
    env = {key: value for key, value in BREAKER.items() if key != "OUTRIDER_BREAKER_VOLUME"}
    agent = t.sidecar(endpoints={"quotes": [t.service(503)]}, env=dict(env, OUTRIDER_CONFIG="file:" + folder))
    c = t.client(agent.outbound)
    for _ in range(30):
        assert ask(c).get("x-outrider-reason") is None
    put("outrider.breaker.volume=5\n")
    agent.until("it opens", lambda: ask(c).get("x-outrider-reason") == "circuit-open")
    put("outrider.breaker.volume=5\noutrider.breaker.force=closed\n")
    agent.until("it is kept closed", lambda: ask(c).get("x-outrider-reason") is None and circuit(agent)["forced"] == "closed")


def test_properties_of_hystrix(t):
    """hystrix.command.<service>.… of a Spring estate's files are options of that service; an option of ours stands before them."""
    folder = t.tempdir()
    with open(folder + "/application.yml", "w", encoding="ascii") as file:
        file.write("hystrix:\n  command:\n    default:\n      execution.isolation.thread.timeoutInMilliseconds: 1234\n"
                   "    quotes:\n      circuitBreaker:\n        requestVolumeThreshold: 3\n        sleepWindowInMilliseconds: 4321\n"
                   "        errorThresholdPercentage: 50\n    'Client#call(String)':\n      circuitBreaker.requestVolumeThreshold: 1\n"
                   "outrider.upstream.quotes.breaker.volume: 7\n")
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]}, env={"OUTRIDER_CONFIG": "file:" + folder})
    said = {o["key"]: o["value"] for o in agent.get("/config")["options"]}
    assert said["outrider.upstream.quotes.breaker.sleep-window"] in ("4321ms", "4.321s"), said
    assert said["outrider.upstream.quotes.breaker.error-threshold"] == "50%"
    assert said["outrider.upstream.quotes.breaker.volume"] == "7"
    assert said["outrider.timeout.request"] in ("1234ms", "1.234s"), said["outrider.timeout.request"]


@rows({"own": ("quotes", "off"), "of-all": ("default", "off"), "of-another": ("image", "900ms")})
def test_a_hystrix_timeout_that_is_turned_off(t, command, limit):
    """execution.timeout.enabled=false, of the command or of all, wins over its time, wherever it stands in the file."""
    folder = t.tempdir()
    for before in (True, False):
        lines = ["hystrix.command.quotes.execution.isolation.thread.timeoutInMilliseconds=900", "hystrix.command.%s.execution.timeout.enabled=false" % command]
        with open(folder + "/application.properties", "w", encoding="ascii") as file:
            file.write("\n".join(lines if before else lines[::-1]) + "\n")
        agent = t.sidecar(endpoints={"quotes": [t.service(200)]}, env={"OUTRIDER_CONFIG": "file:" + folder})
        said = {o["key"]: o["value"] for o in agent.get("/config")["options"]}
        got = said.get("outrider.upstream.quotes.timeout.request", said["outrider.timeout.request"])
        assert got == limit, (before, got)


def test_a_circuit_for_each_soap_action(t):
    """breaker.by=soapaction: an action that fails opens its own circuit; the others, and calls without one, go on."""
    agent, c, s = scene(t, lambda m, _n: 503 if m.get("soapaction") == '"urn:Sick"' else 200, OUTRIDER_BREAKER_BY="soapaction")
    deadline = time.monotonic() + 10
    while ask(c, fields=('SOAPAction: "urn:Sick"',)).get("x-outrider-reason") != "circuit-open":
        assert time.monotonic() < deadline
    assert ask(c, fields=('SOAPAction: "urn:Well"',)).status == 200 and ask(c).status == 200
    states = {one.get("key"): one["state"] for one in agent.get("/circuits?service=quotes")["circuits"]}
    assert states == {None: "closed", '"urn:Sick"': "open", '"urn:Well"': "closed"}, states
    agent.until("/ui/state names them too", lambda: {one["key"]: one["state"] for one in agent.get("/ui/state")["circuits"]} == states)


def test_many_soap_actions(t):
    """Each of 32 actions has its own circuit, and more have the upstream's: none is refused for another that fails. All are shown, also in metrics and to
    Hystrix."""
    agent, c, s = scene(t, lambda m, _n: 503 if m.get("soapaction") == "urn:0" else 200, OUTRIDER_BREAKER_BY="soapaction",
                        OUTRIDER_BREAKER_SLEEP_WINDOW="60s", OUTRIDER_BREAKER_WINDOW="60s")

    def call(i):
        return ask(c, fields=("SOAPAction: urn:%d" % i,))
    agent.until("the sick one is open", lambda: call(0).get("x-outrider-reason") == "circuit-open")
    for i in range(1, 32):
        assert call(i).status == 200, i
    shown = {one.get("key"): one["state"] for one in agent.get("/circuits?service=quotes")["circuits"]}
    assert shown == dict({None: "closed", "urn:0": "open"}, **{"urn:%d" % i: "closed" for i in range(1, 32)}), shown
    assert call(99).status == 200 and len(agent.get("/circuits?service=quotes")["circuits"]) == 33
    reader = t.client(agent.admin)
    reader.send(b"GET /hystrix.stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    reader.read_head()
    text = reader.read_until(b"ping: ").decode()
    commands = {line["name"]: line for line in (json.loads(line[line.index("{"):]) for line in text.split("\n") if line.startswith("data: "))
                if line["type"] == "HystrixCommand"}
    assert commands["quotes#urn:0"]["isCircuitBreakerOpen"] and commands["quotes#urn:7"]["requestCount"] == 1 and not commands["quotes"]["isCircuitBreakerOpen"]
    assert len(commands) == 33 and commands["quotes#urn:7"]["threadPool"] == "quotes", sorted(commands)
    text = agent.admin_call("GET", "/metrics")[2]
    text = text.decode() if isinstance(text, bytes) else str(text)
    assert 'key="urn:0"} 2' in text and 'key="urn:7"} 0' in text, [line for line in text.split("\n") if "circuit_state" in line]


def test_retries_of_soap_actions_have_a_budget(t):
    """Calls with a circuit of their own count for the retry budget of the upstream, too."""
    bad, good = t.service(503), t.service(200)
    env = dict(BREAKER, OUTRIDER_RETRY_TRIES="2", OUTRIDER_RETRY_METHODS="all", OUTRIDER_RETRY_BUDGET_FLOOR="0", OUTRIDER_RETRY_BUDGET="100%",
               OUTRIDER_BREAKER_BY="soapaction", OUTRIDER_RETRY_BACKOFF="off")
    agent = t.sidecar(endpoints={"quotes": [bad, good]}, env=env)
    c = t.client(agent.outbound)
    assert [ask(c, fields=("SOAPAction: urn:a",)).status for _ in range(20)] == [200] * 20
