"""Client connections: keep-alive, pipelining, and when they end."""
from harness.case import rows
from harness.message import request, response


def test_keep_alive_inbound(t):
    """Several requests follow each other on one client connection."""
    _, c, o = t.inbound()
    _, reply, wire = t.exchange(c, o)
    assert reply.status == 200 and reply.body == b"fine"
    for number in range(5):
        _, reply, _ = t.exchange(c, wire, request("GET", "/%d" % number), response(200, b"%d" % number))
        assert reply.body == b"%d" % number
    assert c.is_open()


def test_keep_alive_outbound(t):
    """The same on the outbound proxy."""
    _, c, o = t.outbound()
    _, _, wire = t.exchange(c, o, request("GET", "http://quotes/a", host="quotes"))
    _, reply, _ = t.exchange(c, wire, request("GET", "http://quotes/b", host="quotes"))
    assert reply.status == 200


def test_connection_close_is_obeyed(t):
    """Connection: close of a client ends its connection after the reply, and is said in the reply."""
    _, c, o = t.inbound()
    seen, reply, wire = t.exchange(c, o, request("GET", fields=["Connection: close"]))
    assert "close" not in seen.tokens("connection")
    assert reply.tokens("connection") == ["close"]
    c.expect_end(["eof"])
    c2 = t.client(t.agents[0].inbound)
    t.exchange(c2, wire)


def test_origin_close_leaves_the_client_open(t):
    """An origin's Connection: close ends its connection, never the client's."""
    _, c, o = t.inbound()
    _, reply, wire = t.exchange(c, o, None, response(200, b"x", ["Connection: close"]))
    assert "close" not in reply.tokens("connection")
    wire.expect_end()
    _, reply, _ = t.exchange(c, o)
    assert reply.status == 200


def test_pipelining_keeps_order(t):
    """Requests sent in one piece are answered in their order, each with its own reply."""
    _, c, o = t.inbound()
    c.send(b"".join(request("GET", "/%d" % n) for n in range(8)))
    wire = o.accept()
    for n in range(8):
        seen = wire.read_request()
        assert seen.target == "/%d" % n, seen.target
        wire.answer(200, b"reply %d" % n)
    for n in range(8):
        assert c.read_response().body == b"reply %d" % n


def test_pipelining_behind_a_body(t):
    """A request that follows the body of another in the same piece is not lost and not part of the body."""
    _, c, o = t.inbound()
    c.send(request("POST", "/1", body=b"12345") + request("GET", "/2"))
    wire = o.accept()
    assert wire.read_request().body == b"12345"
    wire.answer(200, b"one")
    assert wire.read_request().target == "/2"
    wire.answer(200, b"two")
    assert [c.read_response().body, c.read_response().body] == [b"one", b"two"]


def test_pipelining_ends_with_close(t):
    """What is pipelined behind Connection: close is not served."""
    _, c, o = t.inbound()
    c.send(request("GET", "/1", fields=["Connection: close"]) + request("GET", "/2"))
    wire = o.accept()
    assert wire.read_request().target == "/1"
    wire.answer(200, b"one")
    assert c.read_response().body == b"one"
    assert c.expect_cut() == b""
    assert wire.is_open() or not wire.buf


def test_requests_cut_at_every_byte(t):
    """A request that arrives byte by byte is the same request."""
    _, c, o = t.inbound()
    c.trickle(request("POST", "/slow", body=b"abc"))
    wire = o.accept()
    seen = wire.read_request()
    assert (seen.method, seen.target, seen.body) == ("POST", "/slow", b"abc")
    wire.answer(200, b"ok")
    assert c.read_response().body == b"ok"


def test_replies_cut_at_every_byte(t):
    """A reply that arrives byte by byte is the same reply."""
    _, c, o = t.inbound()
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert c.read_response().body == b"abc"


def test_empty_line_before_a_request(t):
    """One empty line before a request line is forgiven (RFC 9112 section 2.2)."""
    _, c, o = t.inbound()
    _, reply, _ = t.exchange(c, o, b"\r\n" + request())
    assert reply.status == 200


@rows({"keep-alive": ([], "HTTP/1.1"), "close": (["Connection: close"], "HTTP/1.1"), "http10": ([], "HTTP/1.0")})
def test_half_close_of_the_client(t, fields, version):
    """A client may shut its sending side behind its request, and still gets the reply when that comes soon."""
    _, c, o = t.inbound()
    c.send(request(fields=fields, version=version))
    wire = o.accept()
    wire.read_request()
    c.half_close()
    wire.try_send(response(200, b"still here"))
    assert c.read_response().body == b"still here"
    c.expect_end(["eof"])


def test_origin_replies_with_lowercase_and_odd_phrase(t):
    """Field spelling, order and the reason phrase pass as they are."""
    _, c, o = t.inbound()
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.send(b"HTTP/1.1 299 Quite  Fine\r\nx-b: 1\r\nX-A: 2\r\nX-a: 3\r\ncontent-length: 0\r\n\r\n")
    reply = c.read_response()
    assert reply.status == 299 and reply.phrase == "Quite  Fine"
    kept = [field for field in reply.fields if field[0].lower() in ("x-a", "x-b")]
    assert kept == [("x-b", "1"), ("X-A", "2"), ("X-a", "3")], kept
