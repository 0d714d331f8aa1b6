"""Interim replies, Expect: 100-continue, early replies, and clients that leave."""
from harness.case import rows
from harness.message import chunk, request, response
from harness.wire import Ended

EXPECT = ["Expect: 100-continue", "Content-Length: 5"]


@rows({"100": (100,), "102": (102,), "103": (103,)})
def test_interim_replies_are_relayed(t, status):
    """1xx replies are passed on as they come, with their fields, before the final one."""
    _, c, o = t.inbound()
    c.send(request("POST", fields=EXPECT))
    wire = o.accept()
    wire.read_head()
    wire.send("HTTP/1.1 %d Interim\r\nLink: </a.css>; rel=preload\r\n\r\n" % status)
    interim = c.read_response()
    assert interim.status == status and interim.get("link") == "</a.css>; rel=preload"
    c.send("12345")
    wire.expect(b"12345")
    wire.answer(200, b"done")
    assert c.read_response().body == b"done"


def test_several_interim_replies(t):
    """Two interim replies in one piece with the final one arrive as three."""
    _, c, o = t.inbound()
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: b\r\n\r\n"
              + response(200, b"end"))
    assert [c.read_response().get("link"), c.read_response().get("link")] == ["a", "b"]
    assert c.read_response().body == b"end"


def test_interim_is_not_sent_to_http10(t):
    """A client of HTTP/1.0 never sees a 1xx."""
    _, c, o = t.inbound()
    c.send(request(version="HTTP/1.0"))
    wire = o.accept()
    wire.read_request()
    wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + response(200, b"end"))
    assert c.read_response().status == 200


def test_expect_is_passed_through(t):
    """Expect: 100-continue goes to the origin, which decides; the agent does not answer for it."""
    _, c, o = t.inbound()
    c.send(request("POST", fields=EXPECT))
    wire = o.accept()
    head = wire.read_head()
    assert head.get("expect") == "100-continue"
    assert c.is_open(), "the agent answered by itself"
    wire.send("HTTP/1.1 100 Continue\r\n\r\n")
    assert c.read_response().status == 100
    c.send("12345")
    wire.expect(b"12345")
    wire.answer(200, b"ok")
    assert c.read_response().body == b"ok"


@rows({"417": (417,), "401": (401,), "200": (200,)})
def test_expect_answered_finally(t, status):
    """An origin may answer finally without asking for the body; the reply reaches the client, nothing waits for
    the body."""
    _, c, o = t.inbound()
    c.send(request("POST", fields=EXPECT))
    wire = o.accept()
    wire.read_head()
    wire.answer(status, b"no")
    reply = c.read_response()
    assert reply.status == status and reply.body == b"no"


def test_early_reply_while_the_body_is_sent(t):
    """A reply that comes before the body is complete reaches the client at once."""
    _, c, o = t.inbound()
    c.send(request("POST", fields=["Content-Length: 100000"]) + b"x" * 1000)
    wire = o.accept()
    wire.read_head()
    wire.answer(413, b"too much")
    reply = c.read_response()
    assert reply.status == 413 and reply.body == b"too much"


def test_early_reply_and_the_rest_of_the_body(t):
    """The client may finish its body after an early reply; the connection is then ended or in step, never astray."""
    _, c, o = t.inbound()
    c.send(request("POST", fields=["Content-Length: 10"]) + b"01234")
    wire = o.accept()
    wire.read_head()
    wire.expect(b"01234")
    wire.answer(200, b"early")
    assert c.read_response().body == b"early"
    c.try_send(b"56789")
    if not c.try_send(request("GET", "/next")):
        return
    try:
        follow = wire.expect_cut() if not c.is_open() else None
        assert not follow or follow.startswith(b"56789") or b"GET /next" in follow, follow
    except (Ended, AssertionError):
        pass
    tail = c.expect_cut() if not c.is_open() else b""
    assert b" 400 " not in tail, "the rest of the body was read as a request"


def test_early_streaming_reply(t):
    """Both bodies may be under way at once."""
    _, c, o = t.inbound()
    c.send(request("POST", fields=["Transfer-Encoding: chunked"]) + chunk(b"one"))
    wire = o.accept()
    wire.read_head()
    wire.read_until(b"one\r\n")
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"ONE"))
    c.read_until(b"ONE\r\n")
    c.send(chunk(b"two"))
    wire.read_until(b"two\r\n")
    wire.send(chunk(b"TWO"))
    c.read_until(b"TWO\r\n")
    c.send(b"0\r\n\r\n")
    wire.read_until(b"0\r\n\r\n")
    wire.send(b"0\r\n\r\n")
    c.expect(b"0\r\n\r\n")


def test_a_closed_client_cancels_its_request_soon(t):
    """A client that closed without a word while it waits cancels its request within seconds (docs/decisions/0003)."""
    _, c, o = t.inbound()
    c.ask()
    wire = o.accept()
    wire.read_request()
    c.close()
    wire.expect_cut()


@rows({"client": ("client",), "handler": ("handler",)})
def test_a_reset_of_a_stalled_upload_is_seen(t, who):
    """An upload that stands still because the handler does not read ends at once when either side resets: waiting for the
    one must not make the agent blind for the other."""
    handler = t.origin("handler", rcvbuf=8192)
    agent = t.sidecar(handler)
    c = t.client(agent.inbound)
    c.send(request("POST", fields=["Content-Length: 500000000"]))
    wire = handler.accept()
    c.fill(500000000)
    (c if who == "client" else wire).reset()
    agent.until("the exchange is over",
                lambda: agent.get("/stats")["counters"]["outrider_requests_active"] == 0)


@rows({"client": ("client",), "handler": ("handler",)})
def test_a_reset_of_a_stalled_download_is_seen(t, who):
    """The same for a reply that stands still because the client does not read."""
    agent, _, o = t.inbound()
    c = t.client(agent.inbound, rcvbuf=8192)
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\n")
    wire.fill(500000000)
    (c if who == "client" else wire).reset()
    if who == "client":
        agent.until("the exchange is over",
                    lambda: agent.get("/stats")["counters"]["outrider_requests_active"] == 0)
    else:
        c.expect_cut()


@rows({"while-waiting-reset": ("waiting", "reset"), "in-the-body-reset": ("body", "reset"),
       "in-the-body-close": ("body", "close"), "while-sending-reset": ("sending", "reset")})
def test_a_client_that_leaves_cancels_its_request(t, when, how):
    """The upstream connection of a client that has left is ended at once, so that the service can stop working."""
    _, c, o = t.inbound()
    if when == "sending":
        c.send(request("POST", fields=["Content-Length: 100"]) + b"abc")
    else:
        c.ask()
    wire = o.accept()
    wire.read_head()
    if when == "body":
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nabc")
        c.read_until(b"abc")
        if how == "close":
            wire.send(b"more")
            c.read_until(b"more")
    getattr(c, how)()
    if when == "body":  # the agent sees the end by writing, as everybody does
        data = b"z" * 65536
        for _ in range(2000):
            if not wire.try_send(data):
                break
        else:
            raise AssertionError("the agent goes on reading for a client that left")
        return
    wire.expect_cut()
