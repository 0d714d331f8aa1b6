"""/hystrix.stream to a reader as strict as Turbine: framing, keys and types of each event, numbers that can be added up, and readers
that stop reading, leave, or only ask for the head."""
import json
import time

from harness.case import rows
from harness.hystrix import Reader
from harness.service import Service

QUIET = {"OUTRIDER_RETRY_TRIES": "1", "OUTRIDER_EJECT_CONSECUTIVE": "off", "OUTRIDER_RETRY_SAFE": "off"}
TICK = 0.5

def calls(t, agent, n, service="quotes"):
    c = t.client(agent.outbound)
    for _ in range(n):
        c.ask("GET", "/", service)
        c.read_response()


# --- events ------------------------------------------------------------------------------------------------------------------


def test_each_event_is_whole(t):
    """Before the first call, under calls that succeed, fail, are refused by the open circuit, are answered 4xx: each event has the
    full set of keys and no other, each with its type, and the same percentiles; counts are integers and add up."""
    s = t.service(lambda _, n: (200, 404, 503)[n % 3] if n < 12 else 503)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(QUIET, OUTRIDER_BREAKER_VOLUME="5", OUTRIDER_BREAKER_SLEEP_WINDOW="30s"))
    reader = Reader(t, agent)
    assert reader.head.status == 200 and reader.head.get("content-type") == "text/event-stream;charset=UTF-8", reader.head
    assert reader.head.get("cache-control") == "no-cache, no-store, max-age=0, must-revalidate" and reader.head.get("pragma") == "no-cache"
    command, pool = reader.tick()
    assert (command["name"], command["group"], command["requestCount"]) == ("quotes", "accountservice", 0), command
    assert pool["name"] == command["threadPool"] == "quotes"
    calls(t, agent, 12)
    command, pool = reader.until("counted", lambda c, p: c["requestCount"] == 8 and (c, p))
    assert [command["rollingCount" + key] for key in ("Success", "BadRequests", "Failure")] == [4, 4, 4], command
    assert (command["errorCount"], command["errorPercentage"], command["isCircuitBreakerOpen"]) == (4, 50, False), command
    assert pool["rollingCountThreadsExecuted"] == 8, pool


def test_an_open_circuit_is_told(t):
    """isCircuitBreakerOpen turns true, refused calls are rollingCountShortCircuited and in neither requestCount nor errorCount; by
    hand it is forceOpen."""
    agent = t.sidecar(endpoints={"quotes": [t.service(503)]}, env=dict(QUIET, OUTRIDER_BREAKER_VOLUME="5", OUTRIDER_BREAKER_SLEEP_WINDOW="30s"))
    reader = Reader(t, agent)
    calls(t, agent, 5)

    def opened(command, _):
        calls(t, agent, 1)
        return command["isCircuitBreakerOpen"] and command["rollingCountShortCircuited"] > 1 and command
    command = reader.until("open", opened)
    assert command["requestCount"] == command["errorCount"] == command["rollingCountFailure"] >= 5, command
    assert not command["propertyValue_circuitBreakerForceOpen"] and command["propertyValue_circuitBreakerEnabled"]
    assert agent.admin_call("PUT", "/circuits/quotes/open", {"X-Outrider": "1"}, b"")[0] == 200
    reader.until("forced", lambda command, _: command["propertyValue_circuitBreakerForceOpen"] and command["isCircuitBreakerOpen"])


@rows({"no-limit": ({}, 0), "bulkhead": ({"OUTRIDER_BULKHEAD_MAX": "2"}, 2)})
def test_calls_under_way(t, env, limit):
    """Calls that are under way are told as such, with a limit or without one, and stay the most of the last ten seconds when they have
    left; what the bulkhead refuses is rejected by the semaphore and by the pool."""
    agent = t.sidecar(endpoints={"quotes": [t.service(Service.HANG)]}, env=dict(QUIET, **env))
    reader = Reader(t, agent)
    callers = [t.client(agent.outbound) for _ in range(2)]
    for c in callers:
        c.ask("GET", "/", "quotes")
    command, pool = reader.until("two", lambda c, p: c["currentConcurrentExecutionCount"] == 2 and (c, p))
    assert pool["currentActiveCount"] == pool["rollingMaxActiveThreads"] == command["rollingMaxConcurrentExecutionCount"] == 2, pool
    assert command["propertyValue_executionIsolationSemaphoreMaxConcurrentRequests"] == pool["currentMaximumPoolSize"] == limit, command
    if limit:
        calls(t, agent, 3)
        command, pool = reader.until("refused", lambda c, p: c["rollingCountSemaphoreRejected"] and (c, p))
        assert command["rollingCountSemaphoreRejected"] == pool["rollingCountCommandRejections"] == 3, (command, pool)
    for c in callers:
        c.close()
    command, pool = reader.until("none", lambda c, p: c["currentConcurrentExecutionCount"] == 0 and (c, p))
    assert pool["currentActiveCount"] == 0 and pool["rollingMaxActiveThreads"] == command["rollingMaxConcurrentExecutionCount"] == 2, pool


def test_pings_without_circuits(t):
    """An agent without an upstream sends pings all the same, twice a second, to a reader of HTTP/1.0 without chunks as well."""
    agent = t.sidecar()
    readers = [Reader(t, agent), Reader(t, agent, "1.0")]
    assert [reader.chunked for reader in readers] == [True, False]
    for reader in readers:
        assert reader.tick() == []
    began = time.monotonic()
    for _ in range(3):
        for reader in readers:
            assert reader.tick() == []
    assert time.monotonic() - began > TICK, "more pings than asked for"


def test_sums_of_two_agents(t):
    """What Turbine makes of two agents: the key sets are the same, numbers are added up, and reportingHosts is the divisor."""
    service = t.service(200)
    agents = [t.sidecar(endpoints={"quotes": [service]}, env=QUIET) for _ in range(2)]
    for n, agent in enumerate(agents):
        calls(t, agent, 3 + n)
    seen = [Reader(t, agent).until("counted", lambda c, p, n=n: c["requestCount"] == 3 + n and (c, p)) for n, agent in enumerate(agents)]
    for one, other in zip(*seen):
        assert (one["type"], one["name"]) == (other["type"], other["name"]) and set(one) == set(other)
        same = {key for key in one if key.startswith("propertyValue_")}
        assert {key: one[key] for key in same} == {key: other[key] for key in same}
        total = {key: one[key] + other[key] for key in one if type(one[key]) is int and key not in same}
        assert total["reportingHosts"] == 2
        assert total["requestCount" if "requestCount" in total else "rollingCountThreadsExecuted"] == 7, total


def test_the_stream_of_a_swarm(t):
    """/swarm/hystrix.stream adds up the circuits of all agents by <service>.<upstream>: counts are sums, reportingHosts says of how many;
    who does not answer, or talks nonsense, is named in a comment, and the others count all the same."""
    service, odd, gone = t.service(200), t.service((200, b'{"figures":1,"circuits":[]}')), t.port()
    agents = [t.sidecar(endpoints={"quotes": [service]}, env=dict(QUIET, OUTRIDER_BREAKER_VOLUME="5", OUTRIDER_BREAKER_SLEEP_WINDOW="60s")) for _ in range(3)]
    asked = ["127.0.0.1:%d" % agent.admin[1] for agent in agents]
    watch = t.sidecar(env={"OUTRIDER_AGENTS": ",".join(asked + [odd.text, gone.text])})
    reader = Reader(t, watch, prefix="/swarm")
    assert reader.head.status == 200 and reader.head.get("content-type") == "text/event-stream;charset=UTF-8", reader.head
    for n, agent in enumerate(agents):
        calls(t, agent, 5 + n)
    command, pool = reader.until("added up", lambda *events: events and events[0]["requestCount"] == 18 and events)
    assert command["name"] == command["threadPool"] == pool["name"] == "accountservice.quotes" and command["group"] == "accountservice", command
    assert command["reportingHosts"] == pool["reportingHosts"] == 3 and command["rollingCountSuccess"] == pool["rollingCountThreadsExecuted"] == 18
    assert command["isCircuitBreakerOpen"] is False and command["propertyValue_circuitBreakerRequestVolumeThreshold"] == 5, command
    why = reader.remarks[-1]
    assert why.startswith(": 5 agents were asked; missing: ") and odd.text + ": an agent of another version" in why and gone.text + ": " in why, why
    assert asked[0] not in why
    for agent in agents[:2]:
        assert agent.admin_call("PUT", "/circuits/quotes/open", {"X-Outrider": "1"}, b"")[0] == 200
    reader.until("two are open", lambda *events: events and events[0]["isCircuitBreakerOpen"] == '{"true":2,"false":1}')
    agents[2].die()
    command, _ = reader.until("two are left", lambda *events: events and events[0]["reportingHosts"] == 2 and events)
    assert command["isCircuitBreakerOpen"] == 2 and command["propertyValue_circuitBreakerForceOpen"], command


def test_a_swarm_whose_agents_hang(t):
    """An agent that takes the question and never answers delays the others by three seconds and no more; pings come all the time, the
    places become free when readers leave, also the last."""
    mute, other = t.origin("mute"), t.sidecar(endpoints={"quotes": [t.service(200)]}, env=QUIET)
    watch = t.sidecar(env={"OUTRIDER_AGENTS": "%s,127.0.0.1:%d" % (mute.text, other.admin[1])})
    calls(t, other, 2)
    readers = [Reader(t, watch, prefix="/swarm") for _ in range(5)]
    assert Reader(t, watch, prefix="/swarm").head.status == 503
    command, _ = readers[0].until("the other one", lambda *events: events and events[0]["requestCount"] == 2 and events)
    assert mute.text + " took the request and fell silent: no answer within 3s" in readers[0].remarks[0], readers[0].remarks
    for reader in readers[:-1]:
        reader.wire.reset()
    readers[-1].tick()
    readers[-1].wire.close()
    watch.until("a place is free, and the stream begins again", lambda: Reader(t, watch, prefix="/swarm").head.status == 200)


# --- readers -----------------------------------------------------------------------------------------------------------------


def places(t, agent):
    """How many readers more are let in; they leave again by RST."""
    readers = [Reader(t, agent) for _ in range(6)]
    statuses = [reader.head.status for reader in readers]
    n = statuses.count(200)
    assert statuses == [200] * n + [503] * (6 - n), statuses
    for reader in readers[n:]:
        assert reader.wire.read_body(reader.head).body == b"MaxConcurrentConnections reached\n"
    for reader in readers:
        reader.wire.reset()
    return n


LEAVES = {"closes": (lambda wire: wire.close(),), "resets": (lambda wire: wire.reset(),), "shuts": (lambda wire: wire.half_close(),)}


@rows(LEAVES)
def test_a_reader_that_leaves_frees_its_place(t, leave):
    """However readers leave, their places are free, and those who stay go on reading."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]})
    stays, *others = [Reader(t, agent) for _ in range(5)]
    assert Reader(t, agent).head.status == 503
    for reader in others:
        leave(reader.wire)
    agent.until("four places are free", lambda: places(t, agent) == 4)
    for _ in range(2):
        assert len(stays.tick()) == 2


def test_head_takes_no_place(t):
    """HEAD gets the head of the stream at once, as often as it is asked for, and the connection goes on."""
    agent = t.sidecar()
    c = t.client(agent.admin)
    for _ in range(7):
        c.send("HEAD /hystrix.stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = c.read_response("HEAD")
        assert head.status == 200 and head.get("content-type") == "text/event-stream;charset=UTF-8", head
    c.send("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert c.read_response().status == 200
    assert places(t, agent) == 5


MANY = 150


def test_more_circuits_than_a_tick_carries(t):
    """A stream of many circuits is bounded per tick, and all of them have their turn within a few ticks; readers that do not read
    are dropped and their places free, while another goes on."""
    s = t.service(200)
    agent = t.sidecar(endpoints={"quotes-%03d" % n: [s] for n in range(MANY)}, env=QUIET)
    lazy = [Reader(t, agent, rcvbuf=4096) for _ in range(4)]
    reader = Reader(t, agent)
    assert Reader(t, agent).head.status == 503
    seen, ticks = set(), 0
    while len(seen) < 2 * MANY and ticks < 6:
        events = reader.tick()
        size = sum(len(json.dumps(event)) for event in events)
        assert events and size < 512 * 1024, size
        seen |= {(event["type"], event["name"]) for event in events}
        ticks += 1
    assert len(seen) == 2 * MANY, (len(seen), ticks)

    def dropped():
        assert reader.tick()
        return places(t, agent) == 4
    agent.until("the lazy ones are dropped", dropped, 30)
    assert reader.tick()
    for one in lazy:
        one.wire.reset()
