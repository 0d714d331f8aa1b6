"""Retries: another instance is asked where that is safe, within a budget, and chains of agents do not multiply them."""
import time

from harness.case import rows
from harness.service import Service

PLAIN = {"OUTRIDER_EJECT_CONSECUTIVE": "off", "OUTRIDER_BREAKER": "off", "OUTRIDER_RETRY_BACKOFF": "1ms", "OUTRIDER_BALANCE": "round-robin"}


def scene(t, answers, **env):
    services = [t.service(answer) for answer in answers]
    agent = t.sidecar(endpoints={"quotes": services}, env=dict(PLAIN, **env))
    return agent, t.client(agent.outbound), services


def ask(c, method="GET", fields=(), body=None):
    c.ask(method, "/", "quotes", fields, body)
    return c.read_response(method)


@rows({"502": (502,), "503": (503,), "504": (504,)})
def test_a_bad_gateway_is_tried_elsewhere(t, status):
    """502, 503 and 504 of one instance: a GET is answered by another."""
    agent, c, (bad, good) = scene(t, [status, (200, b"good")])
    for _ in range(6):
        reply = ask(c)
        assert reply.status == 200 and reply.body == b"good", reply
    assert bad.hits and len(good.hits) == 6
    agent.counted("outrider_retries_total", len(bad.hits))


@rows({"500": (500, ()), "404": (404, ()), "retry-after": (503, ("Retry-After: 1",))})
def test_what_is_not_tried_again(t, status, fields):
    """Other statuses, and a reply that says when to come back, are passed on."""
    _, c, services = scene(t, [(status, b"", fields), (status, b"", fields)])
    assert ask(c).status == status
    assert sum(len(s.hits) for s in services) == 1


@rows({"post": ("POST", "safe", 1), "put": ("PUT", "idempotent", 2), "post-all": ("POST", "all", 2), "put-safe": ("PUT", "safe", 1),
       "get-none": ("GET", "none", 1)})
def test_methods(t, method, allowed, attempts):
    """retry.methods says which requests may be sent twice; their bodies are sent again whole."""
    _, c, services = scene(t, [503, 503], OUTRIDER_RETRY_METHODS=allowed)
    body = None if method == "GET" else b"0123456789" * 1000
    assert ask(c, method, body=body).status == 503
    hits = [hit for s in services for hit in s.hits]
    assert len(hits) == attempts, len(hits)
    assert all(hit.body == (body or b"") for hit in hits)


def test_a_chunked_body_is_sent_again(t):
    """A body without a length is kept, too."""
    _, c, services = scene(t, [503, 503], OUTRIDER_RETRY_METHODS="all")
    c.send(b"POST / HTTP/1.1\r\nHost: quotes\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
    assert c.read_response().status == 503
    hits = [hit for s in services for hit in s.hits]
    assert len(hits) == 2 and all(hit.body == b"hello world" for hit in hits)


def test_a_body_longer_than_the_buffer_is_sent_once(t):
    """retry.body bounds what is kept; the request itself is not affected."""
    _, c, services = scene(t, [503, 503], OUTRIDER_RETRY_METHODS="all", OUTRIDER_RETRY_BODY="1KiB")
    assert ask(c, "POST", body=b"x" * 100000).status == 503
    hits = [hit for s in services for hit in s.hits]
    assert len(hits) == 1 and len(hits[0].body) == 100000


def test_try_timeout(t):
    """An instance that hangs: after timeout.try another one answers."""
    _, c, (_, good) = scene(t, [Service.HANG, (200, b"good")], OUTRIDER_TIMEOUT_TRY="50ms")
    for _ in range(3):
        assert ask(c).body == b"good"
    assert len(good.hits) == 3


def test_try_timeout_of_all(t):
    """All hang: 504 try-timeout after as many attempts as may be made."""
    _, c, services = scene(t, [Service.HANG, Service.HANG], OUTRIDER_TIMEOUT_TRY="50ms")
    t.own_answer(ask(c), "try-timeout")
    assert [len(s.hits) for s in services] == [1, 1]


def test_whole_request_timeout(t):
    """timeout.request ends the call, retries included, with 504 request-timeout; what is left travels along."""
    agent, c, services = scene(t, [Service.HANG, Service.HANG], OUTRIDER_TIMEOUT_REQUEST="300ms", OUTRIDER_TIMEOUT_TRY="100ms")
    began = time.monotonic()
    reply = ask(c)
    assert reply.status == 504 and time.monotonic() - began < 2
    left = [int(hit.get("x-outrider-deadline-ms")) for s in services for hit in s.hits]
    assert len(left) == 2 and 200 <= max(left) <= 300 and min(left) <= 210, left
    agent.counted("outrider_attempts_total", 2)


@rows({"ours": ("X-Outrider-Deadline-Ms",), "envoy": ("X-Envoy-Expected-Rq-Timeout-Ms",)})
def test_a_deadline_that_came_along(t, field):
    """The caller's deadline holds though no option sets one, and only shortens."""
    _, c, (s,) = scene(t, [Service.HANG])
    began = time.monotonic()
    t.own_answer(ask(c, fields=(field + ": 200",)), "request-timeout")
    assert 0.15 < time.monotonic() - began < 3
    assert 0 < int(s.hits[0].get("x-outrider-deadline-ms")) <= 200 and s.hits[0].get("x-envoy-expected-rq-timeout-ms") is None


@rows({"ours": ("X-Outrider-Deadline-Ms",), "envoy": ("X-Envoy-Expected-Rq-Timeout-Ms",)})
def test_observe_obeys_no_deadline(t, field):
    """In mode observe a deadline that came along ends nothing, and passes on as it came."""
    _, c, (s,) = scene(t, [lambda _m, _n: time.sleep(0.2) or 200], OUTRIDER_MODE="observe")
    assert ask(c, fields=(field + ": 20",)).status == 200 and s.hits[0].get(field.lower()) == "20"


def test_the_caller_forbids_retries(t):
    """x-outrider-retries: 0: the first reply is the last word."""
    _, c, services = scene(t, [503, 503])
    assert ask(c, fields=("X-Outrider-Retries: 0",)).status == 503
    assert sum(len(s.hits) for s in services) == 1


def test_a_budget_bounds_a_storm(t):
    """All instances fail: after the floor of the budget at most a fifth of the calls is sent twice."""
    agent, c, services = scene(t, [503, 503], OUTRIDER_RETRY_BUDGET_FLOOR="1")
    for _ in range(300):
        assert ask(c).status == 503
    sent = sum(len(s.hits) for s in services)
    assert 300 < sent <= 300 * 1.2 + 20, sent
    agent.until("retries are refused", lambda: agent.get("/stats")["counters"]["outrider_retries_refused_total"] > 100)


@rows({"0": ("0", 1), "1": ("1", 2), "2": ("2", 3), "more": ("9", 4)})
def test_the_caller_lowers_retries(t, retries, sent):
    """x-outrider-retries: n: at most n attempts after the first, and never more than retry.tries."""
    _, c, services = scene(t, [503] * 5, OUTRIDER_RETRY_TRIES="4", OUTRIDER_RETRY_BUDGET="off", OUTRIDER_RETRY_BACKOFF="off")
    assert ask(c, fields=("X-Outrider-Retries: " + retries,)).status == 503
    assert sum(len(s.hits) for s in services) == sent


def test_lists_of_statuses(t):
    """retry.statuses and breaker.statuses take lists of statuses, ranges and classes; what stands in none is left alone."""
    answer = [429]
    agent, c, services = scene(t, [lambda _m, _n: answer[0]] * 2, OUTRIDER_RETRY_STATUSES="429,502-503", OUTRIDER_BREAKER_STATUSES="404, 429, 5xx",
                               OUTRIDER_RETRY_BUDGET="off")
    seen = []
    for answer[0] in (429, 502, 503, 504, 500, 200):
        before = sum(len(s.hits) for s in services)
        assert ask(c).status == answer[0]
        seen.append(sum(len(s.hits) for s in services) - before)
    assert seen == [2, 2, 2, 1, 1, 1], seen
    agent.until("five failed", lambda: agent.get("/circuits?service=quotes")["circuits"][0]["window"]["failure"] == 5)


def test_a_budget_of_nothing(t):
    """retry.budget=0% leaves the floor alone, and without one nothing is retried; off leaves retries without a bound."""
    for budget, attempts in (("0%", 20), ("off", 40)):
        _, c, services = scene(t, [503, 503], OUTRIDER_RETRY_BUDGET=budget, OUTRIDER_RETRY_BUDGET_FLOOR="0")
        for _ in range(20):
            assert ask(c).status == 503
        assert sum(len(s.hits) for s in services) == attempts, budget


@rows({"none": ({"OUTRIDER_RETRY_METHODS": "none"}, 1), "safe-off": ({"OUTRIDER_RETRY_SAFE": "off", "OUTRIDER_RETRY_TRIES": "1"}, 1),
       "one-try": ({"OUTRIDER_RETRY_TRIES": "1"}, 2), "default": ({}, 2)})
def test_a_reset_and_what_was_allowed(t, env, hits):
    """A GET whose connection is reset is sent once more, to another instance, whatever retry.tries says; never where retry.methods is none or retry-safe off."""
    services = [t.service(Service.RESET), t.service(Service.RESET)]
    agent = t.sidecar(endpoints={"quotes": services}, env=dict({"OUTRIDER_EJECT_CONSECUTIVE": "off"}, **env))
    assert ask(t.client(agent.outbound)).status == 502
    seen = [len(s.hits) for s in services]
    assert sum(seen) == hits and max(seen) == 1, seen


def test_a_chain_does_not_multiply(t):
    """Three agents, one behind the other: the instance's agent retries, those before it see `exhausted` and do not."""
    services = [t.service(503), t.service(503)]
    last = t.edge({"all": {"prefix": "/", "upstream": "quotes"}}, endpoints={"quotes": services}, env=PLAIN)
    twin = t.edge({"all": {"prefix": "/", "upstream": "quotes"}}, endpoints={"quotes": services}, env=PLAIN)
    middle = t.edge({"all": {"prefix": "/", "upstream": "quotes"}},
                    endpoints={"quotes": ["%s:%d" % a.edge for a in (last, twin)]}, env=PLAIN)
    first = t.sidecar(endpoints={"quotes": ["%s:%d" % middle.edge, "%s:%d" % middle.edge]}, env=PLAIN)
    c = t.client(first.outbound)
    for n in range(1, 11):
        assert ask(c).status == 503
        assert sum(len(s.hits) for s in services) == 2 * n
    for agent, retries in ((first, 0), (middle, 0)):
        agent.counted("outrider_retries_total", retries)
    last.until("ten in all", lambda: sum(a.get("/stats")["counters"]["outrider_retries_total"] for a in (last, twin)) == 10)


def test_observe_retries_nothing_new(t):
    """Mode observe passes bad replies on, and counts and says what it would have tried again, and whom it would have put aside."""
    agent, c, services = scene(t, [503, 503], OUTRIDER_MODE="observe", OUTRIDER_EJECT_CONSECUTIVE="2", OUTRIDER_TIMEOUT_TRY="1ms")
    for n in range(1, 11):
        assert ask(c).status == 503
        assert sum(len(s.hits) for s in services) == n
    agent.counted("outrider_observed_retries_total", 10)
    agent.until("one would be out", lambda: agent.get("/stats")["counters"]["outrider_observed_ejections_total"] > 0)
    assert agent.get("/stats")["counters"]["outrider_ejections_total"] == 0
    agent.until("the log says so", lambda: '"retried":10' in agent.stderr() and '"ejected":0' not in agent.stderr())


def test_the_last_error_of_a_bad_reply(t):
    """An endpoint whose replies are not taken says so in /upstreams: failures come with the status that they had."""
    agent = t.sidecar(endpoints={"quotes": [t.service(503), t.service(200)]}, env={"OUTRIDER_BALANCE": "round-robin"})
    c = t.client(agent.outbound)
    for _ in range(4):
        c.ask("GET", "/", "quotes")
        assert c.read_response().status == 200
    bad, good = agent.get("/upstreams?service=quotes")["upstreams"][0]["endpoints"]
    assert bad["failures"] > 0 and (bad["last_error"], bad["last_errno"]) == ("status 503", None) and bad["last_error_at"], bad
    assert good["last_error"] is None, good
