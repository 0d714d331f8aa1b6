"""The agent's own answers: a reason of the closed list in field and body, stage, blame and request id."""
import select

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
    agent.until("counted", lambda: agent.get("/stats")["reasons"][reason] == 1)  # a turn after the answer left
    assert agent.get("/stats")["counters"]["outrider_own_answers_total"] == 1


def test_reasons_have_legal_words(t):
    """The table is a closed list of lower-case words with a status, a stage and a blame."""
    agent = t.sidecar()
    told = agent.get("/stats")["reasons"]
    assert set(told) == set(REASONS), set(told) ^ set(REASONS)
    for word, (status, stage, blame) in REASONS.items():
        assert word == word.lower() and " " not in word and stage and blame
        assert status == 0 or 400 <= status <= 599


def test_unsent_mark_when_the_handler_is_down(t):
    """No byte reached the handler: the caller's agent may go elsewhere, whatever the method."""
    agent = t.sidecar(t.port())
    for method in ("GET", "POST"):
        c = t.client(agent.inbound)
        c.ask(method)
        assert c.read_response(method).get("x-outrider-mark") == "unsent", method


@rows({"get": ("GET", "unsent"), "post": ("POST", None)})
def test_unsent_mark_when_the_handler_dies(t, method, mark):
    """A handler that ends without an answer: only what is safe to repeat may go elsewhere (decision 0009)."""
    _, c, o = t.inbound()
    c.ask(method)
    while True:
        wire = o.accept()
        wire.read_request()
        wire.close()
        if select.select([c.sock, o.sock], [], [], 8)[0] == [c.sock]:
            break
    reply = c.read_response(method)
    assert reply.status == 502 and reply.get("x-outrider-mark") == mark


def test_unsent_mark_stays_between_agents(t):
    """A service never sees the mark of another agent."""
    _, c, o = t.outbound()
    c.ask(host="quotes")
    wire = o.accept()
    wire.read_request()
    wire.send(b"HTTP/1.1 503 No\r\nx-outrider-mark: unsent\r\nContent-Length: 0\r\n\r\n")
    reply = c.read_response()
    assert reply.status == 503 and reply.get("x-outrider-mark") is None
