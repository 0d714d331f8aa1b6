"""Connections to upstreams: reuse, replacement of dead ones, and what the peer says about their age."""
from harness.case import rows
from harness.message import request, response
from harness.wire import Ended


def test_one_connection_for_many_requests(t):
    """Requests of several clients, one after the other, share one upstream connection."""
    agent, c, o = t.inbound()
    _, _, wire = t.exchange(c, o)
    for _ in range(20):
        t.exchange(t.client(agent.inbound), wire)
    assert o.untouched(), "a second upstream connection was made"


def test_concurrent_requests_get_connections_of_their_own(t):
    """A connection carries one exchange at a time."""
    agent, c, o = t.inbound()
    c2 = t.client(agent.inbound)
    c.ask("GET", "/1")
    first = o.accept()
    first.read_request()
    c2.ask("GET", "/2")
    second = o.accept()
    assert second.read_request().target == "/2"
    second.answer(200, b"2")
    first.answer(200, b"1")
    assert c.read_response().body == b"1" and c2.read_response().body == b"2"


def test_pool_max_idle_zero_keeps_none(t):
    """OUTRIDER_POOL_MAX_IDLE=0 ends each upstream connection after its exchange."""
    _, c, o = t.outbound({"OUTRIDER_POOL_MAX_IDLE": "0"})
    for _ in range(3):
        _, _, wire = t.exchange(c, o, request(host="quotes"))
        wire.expect_end()


def test_pool_idle_ends_resting_connections(t):
    """A connection rests no longer than OUTRIDER_POOL_IDLE."""
    _, c, o = t.outbound({"OUTRIDER_POOL_IDLE": "100ms"})
    _, _, wire = t.exchange(c, o, request(host="quotes"))
    wire.expect_end()


def test_keep_alive_timeout_of_the_peer(t):
    """A peer that says Keep-Alive: timeout=1 sees its connection ended, unused, before that second is over."""
    _, c, o = t.outbound()
    c.ask(host="quotes")
    wire = o.accept()
    wire.read_request()
    wire.answer(200, b"x", ["Connection: keep-alive", "Keep-Alive: timeout=1, max=100"])
    reply = c.read_response()
    assert reply.get("keep-alive") is None
    wire.expect_end(seconds=1.5)


def test_keep_alive_timeout_zero_is_not_reused(t):
    """Keep-Alive: timeout=0 means: not once more."""
    _, c, o = t.outbound()
    t.exchange(c, o, request(host="quotes"), response(200, b"", ["Keep-Alive: timeout=0"]))
    _, reply, _ = t.exchange(c, o, request(host="quotes"))
    assert reply.status == 200


def _resting(t, end):
    """A pooled connection that its peer has ended while it rested; the agent may or may not have noticed."""
    agent, c, o = t.outbound()
    _, _, wire = t.exchange(c, o, request(host="quotes"))
    getattr(wire, end)()
    return agent, c, o


@rows({"%s-%s" % (method, end): (method, end) for method in ("GET", "POST") for end in ("close", "reset")})
def test_dead_connection_is_replaced_unseen(t, method, end):
    """A pooled connection that died while it rested costs no request anything."""
    _, c, o = _resting(t, end)
    raw = request(method, host="quotes", body=b"abc" if method == "POST" else None)
    seen, reply, _ = t.exchange(c, o, raw)
    assert reply.status == 200 and seen.method == method


def test_get_is_repeated_when_a_reused_connection_dies_at_once(t):
    """A GET whose reused connection ends before the first byte is sent once more."""
    _, c, o = t.outbound()
    _, _, wire = t.exchange(c, o, request(host="quotes"))
    c.ask("GET", "/again", "quotes")
    wire.read_request()
    wire.close()
    again = o.accept()
    assert again.read_request().target == "/again"
    again.answer(200, b"second")
    assert c.read_response().body == b"second"


def test_post_is_not_repeated_once_sent(t):
    """A POST whose reused connection dies after it was sent gives 502 upstream-closed and is never repeated."""
    _, c, o = t.outbound()
    _, _, wire = t.exchange(c, o, request(host="quotes"))
    c.ask("POST", "/pay", "quotes", body=b"money")
    assert wire.read_request().body == b"money"
    wire.close()
    t.own_answer(t.answered_once(c, o), "upstream-closed")


def test_post_reset_after_sending(t):
    """A reset instead of a close is told apart: upstream-reset."""
    _, c, o = t.outbound()
    _, _, wire = t.exchange(c, o, request(host="quotes"))
    c.ask("POST", "/pay", "quotes", body=b"money")
    wire.read_request()
    wire.reset()
    t.own_answer(t.answered_once(c, o), "upstream-reset")


def test_bytes_on_a_resting_connection_poison_it(t):
    """Bytes that nobody asked for are never taken for the reply to the next request."""
    _, c, o = t.outbound()
    _, _, wire = t.exchange(c, o, request(host="quotes"))
    wire.try_send(response(200, b"poison"))
    wire.expect_end()
    _, reply, _ = t.exchange(c, o, request(host="quotes"))
    assert reply.body == b"fine"


def test_bytes_behind_a_reply_poison_the_connection(t):
    """Bytes sent in one piece behind a complete reply are dropped with their connection."""
    _, c, o = t.outbound()
    _, reply, wire = t.exchange(c, o, request(host="quotes"), response(200, b"fine") + response(200, b"poison"))
    assert reply.body == b"fine"
    wire.expect_end()
    _, reply, _ = t.exchange(c, o, request(host="quotes"), response(200, b"clean"))
    assert reply.body == b"clean"


def test_incomplete_upload_spoils_the_connection(t):
    """A connection on which a request's body is not finished is not reused."""
    _, c, o = t.outbound()
    c.send(request("POST", "/", "quotes", ["Content-Length: 1000"]) + b"abc")
    wire = o.accept()
    wire.read_head()
    wire.read(3)
    c.reset()
    try:
        assert wire.expect_cut() == b""
    except Ended:
        pass
    c2 = t.client(t.agents[0].outbound)
    _, reply, _ = t.exchange(c2, o, request(host="quotes"))
    assert reply.status == 200
