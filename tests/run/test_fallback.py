"""Fallbacks and injected faults."""
import time

from harness.case import rows
from harness.live import state_of
from harness.service import Service
from harness.wire import Ended

PLAIN = {"OUTRIDER_RETRY_TRIES": "1", "OUTRIDER_RETRY_SAFE": "off", "OUTRIDER_EJECT_CONSECUTIVE": "off"}


def ask(c, method="GET", fields=(), body=None, host="quotes"):
    c.ask(method, "/", host, fields, body)
    return c.read_response(method)


def circuit(agent):
    return agent.get("/circuits?service=quotes")["circuits"][0]


STATIC = {"OUTRIDER_UPSTREAM_QUOTES_FALLBACK_STATUS": "200", "OUTRIDER_UPSTREAM_QUOTES_FALLBACK_BODY": '{"quote":"none today"}'}


@rows({"503": (503, {}), "reset": (Service.RESET, {}), "late": (Service.HANG, {"OUTRIDER_TIMEOUT_REQUEST": "50ms"}), "refused": (None, {})})
def test_a_static_fallback(t, answer, env):
    """A call that fails, whatever way, is answered with status, type and body of the options; it counts as failed all the same."""
    s = t.port() if answer is None else t.service(answer)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(PLAIN, **STATIC, **env))
    c = t.client(agent.outbound)
    for _ in range(3):
        reply = ask(c)
        assert reply.status == 200 and reply.body == b'{"quote":"none today"}', reply
        assert reply.get("x-outrider-fallback") == "static" and reply.get("content-type") == "application/json" and reply.get("x-outrider-reason")
    agent.until("three failed", lambda: all(circuit(agent)["window"][k] == 3 for k in ("errors", "fallback")))
    agent.counted("outrider_fallbacks_total", 3)


@rows({"204": (204, "No Content"), "205": (205, "Reset Content"), "304": (304, "Not Modified")})
def test_a_static_fallback_without_a_body(t, status, phrase):
    """A status that has no body comes without one, whatever fallback.body says: the connection goes on with the next reply."""
    agent = t.sidecar(endpoints={"quotes": [t.service(503)]}, env=dict(PLAIN, **dict(STATIC, OUTRIDER_UPSTREAM_QUOTES_FALLBACK_STATUS=str(status))))
    c = t.client(agent.outbound)
    for _ in range(2):
        c.ask("GET", "/", "quotes")
        head = c.read_head()
        assert (head.status, head.phrase) == (status, phrase) and head.get("content-length") == ("0" if status == 205 else None), head.raw
        assert head.get("content-type") is None and head.get("x-outrider-fallback") == "static"


def test_the_words_of_a_status(t):
    """A static fallback has the words of its status, not of an error."""
    agent = t.sidecar(endpoints={"quotes": [t.service(503)]}, env=dict(PLAIN, **dict(STATIC, OUTRIDER_UPSTREAM_QUOTES_FALLBACK_STATUS="429")))
    reply = ask(t.client(agent.outbound))
    assert (reply.status, reply.phrase) == (429, "Too Many Requests"), reply


def test_what_needs_no_fallback(t):
    """Good replies, and the caller's mistakes, pass as they are."""
    s = t.service(lambda _m, n: (404, b"no") if n % 2 else (200, b"yes"))
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(PLAIN, **STATIC))
    c = t.client(agent.outbound)
    assert [(r.status, r.body) for r in (ask(c) for _ in range(4))] == [(200, b"yes"), (404, b"no")] * 2


def test_an_open_circuit_falls_back(t):
    """Where the circuit is open, the fallback answers, and nothing is sent."""
    s = t.service(200)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(PLAIN, **STATIC))
    agent.admin_call("PUT", "/circuits/quotes/open", {"X-Outrider": "1"})
    reply = ask(t.client(agent.outbound))
    assert reply.status == 200 and reply.get("x-outrider-fallback") == "static" and reply.get("x-outrider-reason") == "circuit-open"
    assert not s.hits


@rows({"get": ("GET", None), "post": ("POST", b"order" * 100)})
def test_another_upstream(t, method, body):
    """fallback.upstream is called instead, with the same request; its failure is the last word."""
    s, other = t.service(503), t.service((200, b"from the spare"))
    agent = t.sidecar(endpoints={"quotes": [s], "spare": [other]}, env=dict(PLAIN, OUTRIDER_UPSTREAM_QUOTES_FALLBACK_UPSTREAM="spare"))
    c = t.client(agent.outbound)
    reply = ask(c, method, body=body)
    assert reply.status == 200 and reply.body == b"from the spare" and reply.get("x-outrider-fallback") == "upstream", reply
    assert other.hits[0].body == (body or b"") and other.hits[0].get("host") == "quotes"
    other.answer = 502
    assert ask(c, method, body=body).status == 502
    agent.until("both failed", lambda: circuit(agent)["window"]["failure"] == 2)
    seen = circuit(agent)["window"]
    assert seen["fallback"] == seen["fallback_failed"] == 1, seen
    agent.counted("outrider_fallbacks_total", 1)


@rows({"502": (502,), "reset": (Service.RESET,), "refused": (None,)})
def test_what_follows_another_upstream(t, answer):
    """When the other upstream fails, too, the next fallback answers; each circuit has its own failure."""
    s, spare = t.service(503), t.port() if answer is None else t.service(answer)
    agent = t.sidecar(endpoints={"quotes": [s], "spare": [spare]}, env=dict(PLAIN, OUTRIDER_UPSTREAM_QUOTES_FALLBACK_UPSTREAM="spare", **STATIC))
    reply = ask(t.client(agent.outbound))
    assert reply.status == 200 and reply.body == b'{"quote":"none today"}' and reply.get("x-outrider-fallback") == "static", reply
    agent.until("both failed", lambda: all(agent.get("/circuits?service=" + name)["circuits"][0]["window"]["failure"] == 1 for name in ("quotes", "spare")))
    seen = circuit(agent)["window"]
    assert seen["fallback"] == 1 and seen["fallback_failed"] == 0, seen
    agent.until("none is under way", lambda: all(u["active"] == 0 for u in agent.get("/upstreams")["upstreams"]))


@rows({"nowhere": (503, "nowhere"), "itself": (504, "quotes")})
def test_a_fallback_that_cannot_be_called(t, status, spare):
    """Where the other upstream has no instance, or is the same one, the service's own reply stays."""
    agent = t.sidecar(endpoints={"quotes": [t.service((status, b"its own words"))]}, env=dict(PLAIN, OUTRIDER_UPSTREAM_QUOTES_FALLBACK_UPSTREAM=spare))
    reply = ask(t.client(agent.outbound))
    assert reply.status == status and reply.body == b"its own words" and reply.get("x-outrider-reason") is None, reply
    agent.until("it failed", lambda: circuit(agent)["window"]["fallback_failed"] == 1)


def test_a_fallback_that_only_the_registry_knows(t):
    """The other upstream needs no option of its own: its name is enough for it to be looked for."""
    path, spare = t.tempdir() + "/services.yml", t.service((200, b"from the spare"))
    with open(path, "w", encoding="ascii") as file:
        file.write("spare:\n  - %s\n" % spare.text)
    agent = t.sidecar(endpoints={"quotes": [t.service(503)]},
                      env=dict(PLAIN, OUTRIDER_UPSTREAM_QUOTES_FALLBACK_UPSTREAM="spare", OUTRIDER_BREAKER="off", OUTRIDER_REGISTRY="file:" + path))
    agent.until("it is called", lambda: ask(t.client(agent.outbound)).body == b"from the spare")


def test_observe_has_no_fallback(t):
    """Mode observe passes the failure on."""
    agent = t.sidecar(endpoints={"quotes": [t.service(503)]}, env=dict(PLAIN, OUTRIDER_MODE="observe", **STATIC))
    assert ask(t.client(agent.outbound)).status == 503


# --- faults ------------------------------------------------------------------------------------------------------------

FAULTS = {"OUTRIDER_FAULTS": "on"}


def test_an_injected_abort(t):
    """fault.abort answers in the upstream's place, and counts as its failure."""
    s = t.service(200)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(PLAIN, OUTRIDER_FAULT_ABORT="418", **FAULTS))
    reply = ask(t.client(agent.outbound))
    assert reply.status == 418 and reply.get("x-outrider-reason") == "fault-injected" and not s.hits
    agent.until("it failed", lambda: circuit(agent)["window"]["failure"] == 1)
    agent.counted("outrider_faults_injected_total", 1)


def test_an_injected_reset(t):
    """fault.reset-percent closes the caller's connection without an answer."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]}, env=dict(PLAIN, OUTRIDER_FAULT_RESET_PERCENT="100%", **FAULTS))
    try:
        ask(t.client(agent.outbound))
    except Ended:
        return
    raise AssertionError("it was answered")


def test_an_injected_delay(t):
    """fault.delay holds a call back; one whose caller leaves meanwhile leaves nothing behind."""
    s = t.service(200)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(PLAIN, OUTRIDER_FAULT_DELAY="300ms", **FAULTS))
    impatient = t.client(agent.outbound)
    impatient.ask("GET", "/", "quotes")
    impatient.close()
    assert ask(t.client(agent.outbound)).status == 200
    agent.until("none is under way", lambda: agent.get("/stats")["counters"]["outrider_requests_active"] == 0)
    assert len(s.hits) <= 2


def test_faults_are_shown(t):
    """Circuits whose calls meet faults on purpose say which; others, and all where faults are not allowed, say none."""
    env = dict(PLAIN, OUTRIDER_UPSTREAM_QUOTES_FAULT_ABORT="418", OUTRIDER_UPSTREAM_QUOTES_FAULT_DELAY="300ms", OUTRIDER_UPSTREAM_QUOTES_FAULT_DELAY_PERCENT="50%",
               OUTRIDER_UPSTREAM_QUOTES_FAULT_HEADER="x-test=yes")
    for more, says in ((FAULTS, "delay 300ms of 50%, abort 418 of 100%; calls with x-test=yes"), ({}, None)):
        agent = t.sidecar(endpoints={"quotes": [t.service(200)], "image": [t.service(200)]}, env=dict(env, **more))
        c = t.client(agent.outbound)
        assert ask(c).status == 200 and ask(c, host="image").status == 200
        assert {one["upstream"]: one["faults"] for one in agent.get("/circuits")["circuits"]} == {"quotes": says, "image": None}
        agent.until("the page has it", lambda: {one["to"]: one["faults"] for one in state_of(agent)["circuits"]} == {"quotes": says, "image": None})


def test_only_calls_with_a_header(t):
    """fault.header: only calls that have it meet faults."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]}, env=dict(PLAIN, OUTRIDER_FAULT_ABORT="500", OUTRIDER_FAULT_HEADER="x-test=yes", **FAULTS))
    c = t.client(agent.outbound)
    assert ask(c).status == 200 and ask(c, fields=("X-Test: no",)).status == 200
    assert ask(c, fields=("X-Test: yes",)).status == 500


def test_faults_must_be_allowed(t):
    """Without outrider.faults=on no fault is injected."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]}, env=dict(PLAIN, OUTRIDER_FAULT_ABORT="500"))
    assert ask(t.client(agent.outbound)).status == 200


def test_a_throttled_body(t):
    """fault.throttle lets a reply's body through at that rate; one whose caller leaves meanwhile leaves nothing behind."""
    s = t.service((200, b"x" * 60000))
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(PLAIN, OUTRIDER_FAULT_THROTTLE="100KiB", **FAULTS))
    began = time.monotonic()
    assert len(ask(t.client(agent.outbound)).body) == 60000
    assert time.monotonic() - began > 0.3
    impatient = t.client(agent.outbound)
    impatient.ask("GET", "/", "quotes")
    agent.until("it has begun", lambda: len(s.hits) == 2)
    impatient.close()
    agent.until("none is under way", lambda: agent.get("/stats")["counters"]["outrider_requests_active"] == 0)
