"""Bulkheads: how many calls may be under way at a time, over all workers; who waits, and for how long."""
import threading
import time

from harness.case import rows
from harness.service import Service

PLAIN = {"OUTRIDER_EJECT_CONSECUTIVE": "off", "OUTRIDER_RETRY_TRIES": "1", "OUTRIDER_WORKERS": "2"}


def slow(seconds, inside=None):
    """Answers after a while; `inside` collects how many were there at a time."""
    count, lock = [0], threading.Lock()

    def answer(_m, _n):
        with lock:
            count[0] += 1
            if inside is not None:
                inside.append(count[0])
        time.sleep(seconds)
        with lock:
            count[0] -= 1
        return 200
    return answer


def crowd(t, address, n, host="quotes"):
    """n clients at once, one request each; their replies."""
    clients = [t.client(address) for _ in range(n)]
    for c in clients:
        c.ask("GET", "/", host)
    return [c.read_response() for c in clients]


@rows({"upstream": ("OUTRIDER_BULKHEAD_MAX", "outbound"), "inbound": ("OUTRIDER_LIMIT_CONCURRENT", "inbound")})
def test_more_than_the_limit_are_refused(t, option, side):
    """The limit holds over all workers; what is more gets its 503 at once, marked as unsent for another agent."""
    inside = []
    s = t.service(slow(0.5, inside))
    agent = t.sidecar(handler=s if side == "inbound" else None, endpoints={"quotes": [s]}, env=dict(PLAIN, **{option: "3"}))
    replies = crowd(t, getattr(agent, side), 12)
    good, refused = [r for r in replies if r.status == 200], [r for r in replies if r.status == 503]
    assert len(good) >= 3 and len(good) + len(refused) == 12 and max(inside) <= 3, (len(good), inside)
    for reply in refused:
        t.own_answer(reply, "bulkhead-full")
        assert (reply.get("x-outrider-mark") == "unsent") == (side == "inbound")
    agent.counted("outrider_requests_rejected_total", len(refused))


def test_a_queue_waits_for_a_place(t):
    """With a queue all are served in the end, and never more than the limit at a time."""
    inside = []
    s = t.service(slow(0.05, inside))
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(PLAIN, OUTRIDER_BULKHEAD_MAX="2", OUTRIDER_BULKHEAD_QUEUE="100",
                                                          OUTRIDER_BULKHEAD_QUEUE_TIME="20s"))
    replies = crowd(t, agent.outbound, 40)
    assert [r.status for r in replies] == [200] * 40 and max(inside) <= 2, inside

    def empty():
        seen = agent.get("/circuits?service=quotes")["circuits"][0]
        return (seen["active"], seen["queued"], seen["limit"]) == (0, 0, 2)
    agent.until("no one is left", empty)


def test_a_wait_is_noted_in_the_span(t):
    """Of those that waited for a place the span says so, and since when; of those that did not it does not."""
    s = t.service(slow(0.05))
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(PLAIN, OUTRIDER_WORKERS="1", OUTRIDER_TRACE="", OUTRIDER_TRACE_SAMPLE="always", OUTRIDER_BULKHEAD_MAX="1",
                                                          OUTRIDER_BULKHEAD_QUEUE="100", OUTRIDER_BULKHEAD_QUEUE_TIME="20s"))
    assert [r.status for r in crowd(t, agent.outbound, 3)] == [200] * 3
    traces = agent.until("all are there", lambda: len(rows := agent.get("/traces")["traces"]) == 3 and rows)
    spans = [agent.get("/traces/" + one["trace_id"])[0] for one in traces]
    waits = sorted(s["timestamp"] + s["duration"] - note["timestamp"] for s in spans for note in s.get("annotations", []) if note["value"] == "queue")
    assert len(waits) == 2 and 80e3 <= waits[0] < waits[1], spans


def test_the_queue_has_an_end(t):
    """Who waits longer than queue-time gets 503 queue-timeout; who finds the queue full 503 bulkhead-full."""
    s = t.service(slow(1.5))
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(PLAIN, OUTRIDER_BULKHEAD_MAX="1", OUTRIDER_BULKHEAD_QUEUE="2",
                                                          OUTRIDER_BULKHEAD_QUEUE_TIME="200ms"))
    reasons = [r.get("x-outrider-reason") for r in crowd(t, agent.outbound, 6)]
    assert sorted(map(str, reasons)) == ["None"] + ["bulkhead-full"] * 3 + ["queue-timeout"] * 2, reasons


def test_who_is_too_late_goes_first(t):
    """What can no longer be answered in time leaves a full queue for a newcomer, and is not sent when its turn comes; others wait in order."""
    s = t.service(slow(1.0))
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(PLAIN, OUTRIDER_WORKERS="1", OUTRIDER_BULKHEAD_MAX="1", OUTRIDER_BULKHEAD_QUEUE="3",
                                                          OUTRIDER_BULKHEAD_QUEUE_TIME="20s"))

    def queued(n):
        agent.until("%d wait" % n, lambda: agent.get("/circuits?service=quotes")["circuits"][0]["queued"] == n)

    def ask(path, *fields):
        c = t.client(agent.outbound)
        c.ask("GET", path, "quotes", fields)
        return c
    assert ask("/first").read_response().status == 200
    holder = ask("/holder")
    agent.until("it is there", lambda: len(s.hits) == 2)
    late, turn, patient = ask("/late", "x-outrider-deadline-ms: 900"), ask("/turn", "x-outrider-deadline-ms: 1400"), ask("/patient")
    queued(3)
    newcomer = ask("/newcomer")
    t.own_answer(late.read_response(seconds=0.5), "queue-timeout")
    t.own_answer(turn.read_response(), "queue-timeout")
    assert [c.read_response().status for c in (holder, patient, newcomer)] == [200] * 3
    assert [hit.target for hit in s.hits] == ["/first", "/holder", "/patient", "/newcomer"]


def test_who_leaves_frees_a_place(t):
    """A client that goes away gives its place back, and one that waits leaves the queue."""
    s = t.service(Service.HANG)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(PLAIN, OUTRIDER_BULKHEAD_MAX="1", OUTRIDER_BULKHEAD_QUEUE="5",
                                                          OUTRIDER_BULKHEAD_QUEUE_TIME="20s"))
    first, second, third = (t.client(agent.outbound) for _ in range(3))
    first.ask("GET", "/", "quotes")
    agent.until("the first is there", lambda: len(s.hits) == 1)
    second.ask("GET", "/", "quotes")
    third.ask("GET", "/", "quotes")
    agent.until("two wait", lambda: agent.get("/circuits?service=quotes")["circuits"][0]["queued"] == 2)
    second.close()
    agent.until("one waits", lambda: agent.get("/circuits?service=quotes")["circuits"][0]["queued"] == 1)
    s.answer = 200
    first.close()
    assert third.read_response().status == 200


@rows({"upstream": ("OUTRIDER_BULKHEAD_ADAPTIVE", "outbound", "quotes"), "inbound": ("OUTRIDER_LIMIT_ADAPTIVE", "inbound", "accountservice")})
def test_adaptive(t, option, side, host):
    """An adaptive limit begins at 20, shrinks when a queue stands at the service (its latency is a multiple of what it was), and is shown and obeyed."""
    pause = [0.01]

    def answer(_m, _n):
        time.sleep(pause[0])
        return 200
    s = t.service(answer)
    agent = t.sidecar(handler=s if side == "inbound" else None, endpoints={"quotes": [s]}, env=dict(PLAIN, **{option: "on"}))
    c = t.client(getattr(agent, side))

    def limit():
        return [one["limit"] for one in agent.get("/circuits")["circuits"] if one["upstream"] == ("handler" if side == "inbound" else "quotes")][0]

    def call(seconds):
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            c.ask("GET", "/", host)
            assert c.read_response().status == 200
    call(0.5)
    assert limit() >= 15, limit()
    pause[0] = 0.05
    agent.until("it shrinks", lambda: call(0.5) or limit() < 10, seconds=25)
    pause[0] = 1.5
    most = limit()
    replies = crowd(t, getattr(agent, side), most + 12, host)
    refused = [r for r in replies if r.status == 503]
    assert refused and len(replies) - len(refused) <= most + 2, (most, [r.status for r in replies])
    t.own_answer(refused[0], "bulkhead-full")


def test_the_queue_before_the_handler(t):
    """limit.concurrent-queue requests wait for their handler, for at most limit.concurrent-time; more are refused at once."""
    s = t.service(slow(1.5))
    agent = t.sidecar(handler=s, env=dict(PLAIN, OUTRIDER_LIMIT_CONCURRENT="1", OUTRIDER_LIMIT_CONCURRENT_QUEUE="2", OUTRIDER_LIMIT_CONCURRENT_TIME="200ms"))
    reasons = [r.get("x-outrider-reason") for r in crowd(t, agent.inbound, 6, "accountservice")]
    assert sorted(map(str, reasons)) == ["None"] + ["bulkhead-full"] * 3 + ["queue-timeout"] * 2, reasons
    s.answer = slow(0.05)
    agent = t.sidecar(handler=s, env=dict(PLAIN, OUTRIDER_LIMIT_CONCURRENT="1", OUTRIDER_LIMIT_CONCURRENT_QUEUE="20", OUTRIDER_LIMIT_CONCURRENT_TIME="20s"))
    assert [r.status for r in crowd(t, agent.inbound, 8, "accountservice")] == [200] * 8


def test_fast_failures_are_no_measure(t):
    """An adaptive limit is found from calls that were answered: after a time in which all fail at once it is what it was."""
    s = t.service(slow(0.02))
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(PLAIN, OUTRIDER_BULKHEAD_ADAPTIVE="on", OUTRIDER_RETRY_SAFE="off", OUTRIDER_BREAKER="off"))
    c = t.client(agent.outbound)

    def call(seconds, status):
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            c.ask("GET", "/", "quotes")
            assert c.read_response().status == status
    call(0.6, 200)
    good, s.answer = s.answer, Service.RESET
    call(0.4, 502)
    s.answer = good
    call(2.5, 200)
    limit = agent.get("/circuits?service=quotes")["circuits"][0]["limit"]
    assert limit >= 15, limit


def test_observe(t):
    """Mode observe counts whom it would have refused."""
    s = t.service(slow(0.2))
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(PLAIN, OUTRIDER_BULKHEAD_MAX="1", OUTRIDER_MODE="observe"))
    assert [r.status for r in crowd(t, agent.outbound, 5)] == [200] * 5
    agent.counted("outrider_requests_rejected_total", 4)
    agent.counted("outrider_observed_rejected_total", 4)
    agent.until("the log says so", lambda: '"refused":4' in agent.stderr())


def test_one_client_does_not_take_all(t):
    """limit.client-concurrent: a client address has its share under way, and no more; others are served."""
    s = t.service(slow(0.5))
    agent = t.sidecar(handler=s, env=dict(PLAIN, OUTRIDER_LIMIT_CLIENT_CONCURRENT="3"))
    replies = crowd(t, agent.inbound, 8)
    refused = [r for r in replies if r.status == 503]
    assert len(refused) == 5, replies
    t.own_answer(refused[0], "client-bulkhead-full")
    for c in (t.client(agent.inbound), t.client(agent.inbound, source="127.0.0.9")):
        c.ask("GET", "/", "quotes")
        assert c.read_response().status == 200
