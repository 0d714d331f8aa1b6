"""Limits and times: what they answer, and that their defaults harm nobody."""
from harness.agent import sanitized
from harness.case import rows
from harness.message import chunk, request


def test_head_too_large(t):
    """A head beyond limit.head: 431, and the end."""
    _, c, o = t.inbound({"OUTRIDER_LIMIT_HEAD": "4KiB"})
    c.try_send(request(fields=["X-A: " + "x" * 5000]))
    t.own_answer(c.read_response(), "head-too-large")
    c.expect_end()
    assert o.untouched()


def test_head_limit_is_exact(t):
    """A head of exactly limit.head passes, one byte more does not."""
    agent, c, o = t.inbound({"OUTRIDER_LIMIT_HEAD": "4KiB"})
    base = len(request(fields=["X-A: "]))
    t.exchange(c, o, request(fields=["X-A: " + "x" * (4096 - base)]))
    c = t.client(agent.inbound)
    c.try_send(request(fields=["X-A: " + "x" * (4097 - base)]))
    t.own_answer(c.read_response(), "head-too-large")


def test_head_default_64k(t):
    """By default 60 KiB of head pass and 70 KiB do not."""
    agent, c, o = t.inbound()
    seen, _, _ = t.exchange(c, o, request(fields=["X-%d: " % n + "x" * 1000 for n in range(60)]))
    assert len([name for name in seen.names() if name.startswith("x-") and name[2:].isdigit()]) == 60
    c = t.client(agent.inbound)
    c.try_send(request(fields=["X-%d: " % n + "x" * 1000 for n in range(70)]))
    t.own_answer(c.read_response(), "head-too-large")


def test_too_many_fields(t):
    """More fields than limit.fields: 431."""
    agent, c, o = t.inbound({"OUTRIDER_LIMIT_FIELDS": "20"})
    c.try_send(request(fields=["X-%d: 1" % n for n in range(20)]))
    t.own_answer(c.read_response(), "head-too-large")
    c = t.client(agent.inbound)
    t.exchange(c, o, request(fields=["X-%d: 1" % n for n in range(19)]))


def test_request_line_too_long(t):
    """A request line beyond limit.request-line: 414."""
    _, c, o = t.inbound({"OUTRIDER_LIMIT_REQUEST_LINE": "1KiB"})
    c.try_send(request("GET", "/" + "x" * 2000))
    t.own_answer(c.read_response(), "target-too-long")
    c.expect_end()
    assert o.untouched()


def test_request_line_without_end(t):
    """A request line that never ends is refused as soon as the limit is passed."""
    _, c, o = t.inbound()
    c.try_send(b"GET /" + b"x" * 40000)
    t.own_answer(c.read_response(), "target-too-long")
    assert o.untouched()


def test_body_too_large_by_length(t):
    """A Content-Length beyond limit.body: 413 before anything reaches the service."""
    _, c, o = t.inbound({"OUTRIDER_LIMIT_BODY": "1KiB"})
    c.try_send(request("POST", body=b"x" * 1025))
    t.own_answer(c.read_response(), "body-too-large")
    c.expect_cut()
    assert o.untouched()


def test_body_at_the_limit(t):
    """A body of exactly the limit passes."""
    _, c, o = t.inbound({"OUTRIDER_LIMIT_BODY": "1KiB"})
    seen, _, _ = t.exchange(c, o, request("POST", body=b"x" * 1024))
    assert len(seen.body) == 1024


def test_body_too_large_by_chunks(t):
    """Chunks beyond limit.body: 413; the service sees a cut body."""
    _, c, o = t.inbound({"OUTRIDER_LIMIT_BODY": "1KiB"})
    c.send(request("POST", fields=["Transfer-Encoding: chunked"]) + chunk(b"x" * 600))
    wire = o.accept()
    wire.read_until(b"x\r\n")
    c.try_send(chunk(b"x" * 600))
    t.own_answer(c.read_response(), "body-too-large")
    assert not wire.expect_cut().endswith(b"0\r\n\r\n")


def test_body_too_large_by_one_chunk_size(t):
    """A single chunk beyond the limit is refused before it is complete."""
    _, c, _ = t.inbound({"OUTRIDER_LIMIT_BODY": "1KiB"})
    c.send(request("POST", fields=["Transfer-Encoding: chunked"]) + b"ffffff\r\n" + b"x" * 2000)
    t.own_answer(c.read_response(), "body-too-large")


@rows({"half-a-line": (b"GET / HT",), "half-a-head": (b"GET / HTTP/1.1\r\nHost: a\r\n",)})
def test_slowloris(t, raw):
    """A head that is not complete within timeout.head: 408, and the end."""
    _, c, o = t.inbound({"OUTRIDER_TIMEOUT_HEAD": "150ms"})
    c.send(raw)
    t.own_answer(c.read_response(), "head-timeout")
    c.expect_end()
    assert o.untouched()


def test_slowloris_dripping(t):
    """Dripping a byte now and then does not extend the time: it counts from the first byte of the head."""
    _, c, o = t.inbound({"OUTRIDER_TIMEOUT_HEAD": "300ms"})
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"x" * 60000
    for at in range(len(head)):
        if not c.is_open():
            break
        c.sock.sendall(head[at:at + 1])
        c._consumed(0.05)
    else:
        raise AssertionError("the head was waited for without end")
    t.own_answer(c.read_response(), "head-timeout")
    assert o.untouched()


def test_idle_connection_is_closed(t):
    """A connection that rests longer than timeout.idle is ended silently."""
    agent, c, o = t.inbound({"OUTRIDER_TIMEOUT_IDLE": "150ms"})
    t.exchange(c, o)
    c.expect_end(["eof"])
    c = t.client(agent.inbound)
    c.expect_end(["eof"])


def test_slow_handler_is_not_limited(t):
    """timeout.idle and timeout.head do not touch a request that waits for its reply (an hour-long poll)."""
    agent, c, o = t.inbound({"OUTRIDER_TIMEOUT_IDLE": "100ms", "OUTRIDER_TIMEOUT_HEAD": "100ms",
                             "OUTRIDER_POOL_IDLE": "100ms"})
    c.ask("GET", "/poll")
    wire = o.accept()
    wire.read_request()
    for _ in range(3):  # another connection measures that these times have passed
        t.client(agent.inbound).expect_end(["eof"])
    assert c.is_open()
    wire.answer(200, b"news")
    assert c.read_response().body == b"news"


def test_body_stall(t):
    """timeout.stall ends a body that has stopped arriving: 408 body-timeout."""
    _, c, o = t.inbound({"OUTRIDER_TIMEOUT_STALL": "150ms"})
    c.send(request("POST", fields=["Content-Length: 100"]) + b"abc")
    wire = o.accept()
    wire.read_head()
    t.own_answer(c.read_response(), "body-timeout")
    wire.expect_cut()


def test_reply_stall(t):
    """timeout.stall ends a reply that has stopped arriving; the client sees a cut."""
    _, c, o = t.inbound({"OUTRIDER_TIMEOUT_STALL": "150ms"})
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    c.read_until(b"abc")
    assert c.expect_cut() == b""
    wire.expect_end()


def test_connections_per_listener(t):
    """Connections beyond limit.connections are answered 503 too-many-connections; a freed place is used again."""
    agent, c, o = t.inbound({"OUTRIDER_LIMIT_CONNECTIONS": "2"})
    _, _, wire = t.exchange(c, o)
    second = t.client(agent.inbound)
    t.exchange(second, wire)
    third = t.client(agent.inbound)
    third.try_send(request())
    t.own_answer(third.read_response(), "too-many-connections")
    third.expect_end()
    second.close()
    agent.until("a place is free", lambda: agent.get("/stats")["counters"]["outrider_connections_open"] == 1)
    t.exchange(t.client(agent.inbound), wire)


def test_requests_per_connection(t):
    """After limit.requests the connection says close and ends."""
    _, c, o = t.inbound({"OUTRIDER_LIMIT_REQUESTS": "3"})
    _, reply, wire = t.exchange(c, o)
    assert "close" not in reply.tokens("connection")
    t.exchange(c, wire)
    _, reply, _ = t.exchange(c, wire)
    assert reply.tokens("connection") == ["close"]
    c.expect_end(["eof"])


def test_connect_timeout(t):
    """An endpoint that never accepts: 504 connect-timeout within timeout.connect."""
    hole = t.origin("hole").never_accept()
    agent = t.sidecar(endpoints={"quotes": [hole]}, env={"OUTRIDER_TIMEOUT_CONNECT": "200ms"})
    c = t.client(agent.outbound)
    c.ask(host="quotes")
    t.own_answer(c.read_response(), "connect-timeout")


def test_delayed_accept(t):
    """A service that is slow to accept, its kernel taking the connection meanwhile, is simply waited for."""
    _, c, o = t.outbound()
    c.ask(host="quotes")
    other = t.client(t.agents[0].outbound)
    other.ask(host="nobody.invalid", path="http://quotes/second")
    first, second = o.accept(), o.accept()
    for wire in (second, first):
        wire.read_request()
        wire.answer(200, b"late")
    assert c.read_response().body == other.read_response().body == b"late"


def test_idle_connections_are_cheap(t):
    """A thousand idle connections cost little memory (the exact figure is the benchmark's)."""
    agent, c, o = t.inbound()
    t.exchange(c, o)
    before = agent.rss()
    held = [t.client(agent.inbound) for _ in range(1000)]
    agent.until("all accepted", lambda: agent.get("/stats")["counters"]["outrider_connections_open"] >= 1001)
    assert sanitized() or agent.rss() - before < 4096, "%d KiB for 1,000 connections" % (agent.rss() - before)
    assert held[-1].is_open()
