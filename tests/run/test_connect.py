"""CONNECT on the outbound port: the same authority rules, exchanges inside where it is HTTP, bytes otherwise."""
from harness.case import rows
from harness.message import request, response


def _connect(c, authority, behind=b""):
    c.send(("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (authority, authority)).encode() + behind)


def _granted(c):
    reply = c.read_head()
    assert reply.status == 200, "%d %s" % (reply.status, reply.get("x-outrider-reason"))
    assert reply.get("content-length") is None and reply.get("transfer-encoding") is None
    return reply


def test_connect_to_a_service_with_http_inside(t):
    """HTTP inside a CONNECT to a service is an exchange like any other: counted, marked by Via, own answers."""
    agent, c, o = t.outbound()
    _connect(c, "quotes:80")
    _granted(c)
    seen, reply, wire = t.exchange(c, o, request("GET", "/inside", "quotes"))
    assert seen.target == "/inside" and seen.all("via"), "not parsed as an exchange"
    assert reply.body == b"fine"
    seen, _, _ = t.exchange(c, wire, request("GET", "/second", "quotes"))
    assert seen.target == "/second"
    agent.until("counted", lambda: [u for u in agent.get("/upstreams")["upstreams"]
                                    if u["name"] == "quotes" and u["requests"] >= 2])


def test_connect_http_inside_is_strict(t):
    """The strictness towards requests holds inside a CONNECT too."""
    _, c, o = t.outbound()
    _connect(c, "quotes:80")
    _granted(c)
    c.send(b"GET / HTTP/1.1\r\nHost: quotes\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
    t.own_answer(c.read_response(), "bad-length")
    c.expect_end()


def test_connect_host_inside_does_not_reroute(t):
    """Who was allowed to reach one authority does not reach another by the Host inside."""
    first, second = t.origin("first"), t.origin("second")
    agent = t.sidecar(endpoints={"first": [first], "second": [second]})
    c = t.client(agent.outbound)
    _connect(c, "first:80")
    _granted(c)
    t.exchange(c, first, request("GET", "/", "second"))
    assert second.untouched()


def test_connect_opaque_bytes(t):
    """Bytes that do not begin like HTTP/1 are relayed as they are, both ways."""
    _, c, o = t.outbound()
    _connect(c, "quotes:443")
    _granted(c)
    c.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03tls")
    wire = o.accept()
    wire.expect(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03tls")
    wire.send(b"\x16\x03\x03server hello")
    c.expect(b"\x16\x03\x03server hello")
    c.half_close()
    wire.expect_end(["eof"])
    wire.send(b"bye")
    c.expect(b"bye")
    wire.close()
    c.expect_end(["eof"])


def test_connect_bytes_behind_the_head(t):
    """Bytes that a client sends in one piece with its CONNECT are not lost."""
    _, c, o = t.outbound()
    _connect(c, "quotes:443", b"\x16\x03\x01eager")
    _granted(c)
    o.accept().expect(b"\x16\x03\x01eager")


def test_connect_server_speaks_first(t):
    """The server may speak first: nothing waits for the client's bytes."""
    _, c, o = t.outbound()
    _connect(c, "quotes:25")
    wire = o.accept()
    wire.send(b"220 ready\r\n")
    _granted(c)
    c.expect(b"220 ready\r\n")
    c.send(b"HELO x\r\n")
    wire.expect(b"HELO x\r\n")


def test_connect_bytes_one_by_one(t):
    """What the bytes are is decided right when they come one by one."""
    _, c, o = t.outbound()
    _connect(c, "quotes:80")
    _granted(c)
    c.trickle(request("GET", "/slow", "quotes"))
    wire = o.accept()
    seen = wire.read_request()
    assert seen.target == "/slow" and seen.all("via")
    wire.answer(200, b"ok")
    assert c.read_response().body == b"ok"


def test_connect_to_an_endpoint(t):
    """CONNECT to the address of a known endpoint reaches that endpoint."""
    _, c, origins = t.outbound(n=2)
    _connect(c, origins[1].text)
    _granted(c)
    t.exchange(c, origins[1], request("GET", "/", origins[1].text))
    assert origins[0].untouched()


def test_connect_to_egress(t):
    """CONNECT to something else is egress."""
    o = t.origin("outside")
    agent = t.sidecar()
    c = t.client(agent.outbound)
    _connect(c, o.text)
    _granted(c)
    c.send(b"\x00opaque")
    o.accept().expect(b"\x00opaque")


def test_connect_denied_egress(t):
    """Egress rules hold for CONNECT."""
    agent = t.sidecar(env={"OUTRIDER_EGRESS": "deny"})
    c = t.client(agent.outbound)
    _connect(c, "203.0.113.7:443")
    t.own_answer(c.read_response(), "egress-denied")


def test_connect_refused_upstream(t):
    """An upstream that refuses is told as a reply to the CONNECT."""
    agent = t.sidecar(endpoints={"quotes": [t.port()]})
    c = t.client(agent.outbound)
    _connect(c, "quotes:80")
    t.own_answer(c.read_response(), "connect-refused")


def test_connect_refused_on_inbound(t):
    """4143 is no proxy: CONNECT is refused there, and the connection ended."""
    _, c, o = t.inbound()
    _connect(c, "quotes:80")
    t.own_answer(c.read_response(), "upgrade-refused")
    c.expect_end()
    assert o.untouched()


def test_connect_refused_on_pinned(t):
    """A pinned upstream serves no CONNECT either."""
    port, o = t.port(), t.origin()
    t.sidecar(upstreams="quotes@" + port.text, endpoints={"quotes": [o]})
    c = t.client(port)
    _connect(c, "quotes:80")
    t.own_answer(c.read_response(), "upgrade-refused")
    assert o.untouched()


@rows({"without-port": ("quotes",), "path": ("/",), "absolute": ("http://quotes:80/",)})
def test_connect_bad_targets(t, target):
    """CONNECT needs host:port."""
    _, c, o = t.outbound()
    c.send("CONNECT %s HTTP/1.1\r\nHost: quotes\r\n\r\n" % target)
    t.own_answer(c.read_response(), "bad-target")
    c.expect_end()
    assert o.untouched()


def test_connect_with_a_body_is_refused(t):
    """A CONNECT with Content-Length is read differently by different servers: refused."""
    _, c, _ = t.outbound()
    c.send(b"CONNECT quotes:80 HTTP/1.1\r\nHost: quotes:80\r\nContent-Length: 5\r\n\r\nhello")
    t.own_answer(c.read_response(), "bad-length")
    c.expect_end()


def test_connect_websocket_inside(t):
    """A WebSocket upgrade inside a CONNECT works (how many clients do it through a proxy)."""
    _, c, o = t.outbound()
    _connect(c, "quotes:80")
    _granted(c)
    c.send(request("GET", "/ws", "quotes", ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"]))
    wire = o.accept()
    assert wire.read_head().get("upgrade") == "websocket"
    wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframe")
    assert c.read_head().status == 101
    c.expect(b"frame")
    c.send(b"back")
    wire.expect(b"back")


def test_connect_unused(t):
    """A CONNECT whose client leaves at once ends the upstream connection too."""
    _, c, o = t.outbound()
    _connect(c, "quotes:443")
    _granted(c)
    wire = o.accept()
    c.close()
    wire.expect_end()


def test_connect_head_response(t):
    """An origin's answers inside a CONNECT keep their meaning: a second request follows a HEAD."""
    _, c, o = t.outbound()
    _connect(c, "quotes:80")
    _granted(c)
    _, reply, wire = t.exchange(c, o, request("HEAD", "/", "quotes"),
                                b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "HEAD")
    assert reply.get("content-length") == "7"
    _, reply, _ = t.exchange(c, wire, request("GET", "/", "quotes"), response(200, b"2"))
    assert reply.body == b"2"
