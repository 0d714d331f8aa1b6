"""The agent's own answers: a reason of the closed list in field and body, stage, blame and request id."""
from harness.case import REASONS, rows
from harness.message import request


def test_body_and_id(t):
    """The JSON body has reason, status, stage, blame and the id of the request, which the field says too."""
    agent = t.sidecar(endpoints={"quotes": [t.port()]})
    c = t.client(agent.outbound)
    c.ask(host="quotes", fields=["X-Request-Id: find-me-1"])
    reply = c.read_response()
    told = t.own_answer(reply, "connect-refused")
    assert told["request_id"] == "find-me-1" == reply.get("x-request-id"), told
    assert told["status"] == 502 and told.get("upstream") == "quotes"


def test_id_is_made_when_there_is_none(t):
    """Without an id one is made, also for a request that could not be read."""
    _, c, _ = t.inbound()
    c.send(b"rubbish\r\n\r\n")
    reply = c.read_response()
    told = t.own_answer(reply, "bad-request-line")
    assert told["request_id"] and told["request_id"] == reply.get("x-request-id")


def test_head_gets_no_body(t):
    """An own answer to HEAD has no body, and the connection stays in step."""
    port = t.port()
    agent = t.sidecar(port)
    c = t.client(agent.inbound)
    c.send(request("HEAD"))
    reply = c.read_response("HEAD")
    t.own_answer(reply, "handler-down", "HEAD")
    c.ask()
    t.own_answer(c.read_response(), "handler-down")


def test_http10_client(t):
    """A 1.0 client gets its own answer and the end."""
    agent = t.sidecar(t.port())
    c = t.client(agent.inbound)
    c.send(request(version="HTTP/1.0"))
    t.own_answer(c.read_response(), "handler-down")
    c.expect_end(["eof"])


def test_body_of_the_request_is_not_left_behind(t):
    """An own answer while the body is under way leaves the connection in step or ends it, never astray."""
    agent = t.sidecar(t.port())
    c = t.client(agent.inbound)
    c.send(request("POST", body=b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"))
    reply = c.read_response()
    t.own_answer(reply, "handler-down")
    if reply.tokens("connection") == ["close"]:
        c.expect_end()
        return
    c.ask("GET", "/next")
    t.own_answer(c.read_response(), "handler-down")
    assert c.is_open(), "the body was read as a second request"


def test_request_id_is_safe(t):
    """An id of the client is never put where it could break field or JSON."""
    agent = t.sidecar(t.port())
    c = t.client(agent.inbound)
    c.ask(fields=['X-Request-Id: a"b\\c{}'])
    t.own_answer(c.read_response(), "handler-down")


def test_long_request_id(t):
    """An id of absurd length is replaced or cut, and does not break the answer."""
    agent = t.sidecar(t.port())
    c = t.client(agent.inbound)
    c.ask(fields=["X-Request-Id: " + "i" * 20000])
    told = t.own_answer(c.read_response(), "handler-down")
    assert len(told["request_id"]) <= 256


@rows({"connect-refused": ("quotes", "connect-refused"), "egress-denied": ("other.invalid", "egress-denied")})
def test_counted_by_reason(t, host, reason):
    """/stats counts each reason."""
    agent = t.sidecar(endpoints={"quotes": [t.port()]}, env={"OUTRIDER_EGRESS": "deny"})
    c = t.client(agent.outbound)
    c.ask(host=host)
    t.own_answer(c.read_response(), reason)
    stats = agent.get("/stats")
    assert stats["reasons"][reason] == 1, stats["reasons"]
    assert stats["counters"]["outrider_own_answers_total"] == 1


def test_reasons_have_legal_words(t):
    """The table is a closed list of lower-case words with a status, a stage and a blame."""
    agent = t.sidecar()
    told = agent.get("/stats")["reasons"]
    assert set(told) == set(REASONS), set(told) ^ set(REASONS)
    for word, (status, stage, blame) in REASONS.items():
        assert word == word.lower() and " " not in word and stage and blame
        assert status == 0 or 400 <= status <= 599
