"""Tunnels: WebSocket upgrades and tcp:// upstreams."""
from harness.case import rows
from harness.message import request, response

UPGRADE = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
SWITCH = (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")


def _upgraded(t, behind_request=b"", behind_reply=b"", **options):
    _, c, o = t.inbound(**options)
    c.send(request("GET", "/chat", fields=UPGRADE) + behind_request)
    wire = o.accept()
    seen = wire.read_head()
    assert seen.tokens("connection") == ["upgrade"] and seen.get("upgrade").lower() == "websocket"
    assert seen.get("sec-websocket-key") == "dGhlIHNhbXBsZSBub25jZQ=="
    wire.send(SWITCH + behind_reply)
    reply = c.read_head()
    assert reply.status == 101 and reply.tokens("connection") == ["upgrade"]
    assert reply.get("upgrade").lower() == "websocket" and reply.get("sec-websocket-accept")
    return c, wire


def test_websocket_both_directions(t):
    """After the upstream's 101 bytes pass both ways, unchanged."""
    c, wire = _upgraded(t)
    for data in (b"\x81\x05hello", b"\x00" * 1000, bytes(range(256))):
        c.send(data)
        wire.expect(data)
        wire.send(data[::-1])
        c.expect(data[::-1])


def test_websocket_data_right_behind_the_101(t):
    """Bytes in the same piece as the 101 are not lost."""
    c, wire = _upgraded(t, behind_reply=b"\x81\x02hi")
    c.expect(b"\x81\x02hi")
    c.send(b"back")
    wire.expect(b"back")


def test_websocket_data_before_the_101(t):
    """Bytes that an eager client sends before the 101 are kept for the tunnel."""
    c, wire = _upgraded(t, behind_request=b"\x81\x82early")
    wire.expect(b"\x81\x82early")
    wire.send(b"answer")
    c.expect(b"answer")


@rows({"client": ("client",), "origin": ("origin",)})
def test_websocket_half_close(t, first):
    """One side may end its direction; the other goes on until it ends too."""
    c, wire = _upgraded(t)
    one, other = (c, wire) if first == "client" else (wire, c)
    one.send(b"last words").half_close()
    other.expect(b"last words")
    other.expect_end(["eof"])
    other.send(b"still talking")
    one.expect(b"still talking")
    other.half_close()
    one.expect_end(["eof"])


@rows({"client": ("client",), "origin": ("origin",)})
def test_websocket_reset_reaches_the_other_side(t, first):
    """A reset of one side ends the other."""
    c, wire = _upgraded(t)
    one, other = (c, wire) if first == "client" else (wire, c)
    one.reset()
    other.expect_end()


def test_websocket_refused_by_the_origin(t):
    """Without a 101 there is no tunnel: the reply is an ordinary one, and so is the next request."""
    _, c, o = t.inbound()
    _, reply, wire = t.exchange(c, o, request("GET", fields=UPGRADE), response(403, b"no"))
    assert reply.status == 403 and reply.body == b"no"
    t.exchange(c, wire)


def test_101_without_being_asked(t):
    """A 101 to a request that asked for no upgrade is 502 bad-response."""
    _, c, o = t.inbound()
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.send(SWITCH)
    t.own_answer(c.read_response(), "bad-response")


@rows({"h2c": ("h2c", ["HTTP2-Settings: AAMAAABkAAQAAP__"]), "tls": ("TLS/1.0", []), "list": ("websocket, h2c", [])})
def test_other_upgrades_are_not_forwarded(t, protocol, more):
    """Only websocket may be upgraded to; another is answered as if it had not been asked for."""
    _, c, o = t.inbound()
    connection = "Connection: Upgrade" + (", HTTP2-Settings" if more else "")
    seen, reply, _ = t.exchange(c, o, request("GET", fields=[connection, "Upgrade: " + protocol] + more))
    assert seen.get("upgrade") is None and seen.tokens("connection") == [], seen.fields
    assert seen.get("http2-settings") is None and reply.status == 200


def test_websocket_idle_limit(t):
    """OUTRIDER_TIMEOUT_TUNNEL_IDLE ends a silent tunnel; it is off by default."""
    c, wire = _upgraded(t, env={"OUTRIDER_TIMEOUT_TUNNEL_IDLE": "150ms"})
    c.expect_end()
    wire.expect_end()


def test_websocket_is_not_ended_by_the_head_or_idle_time(t):
    """Times for requests do not apply to a tunnel."""
    c, wire = _upgraded(t, env={"OUTRIDER_TIMEOUT_IDLE": "100ms", "OUTRIDER_TIMEOUT_HEAD": "100ms"})
    other = t.client(t.agents[0].inbound)
    other.expect_end()  # this one rested: by now the times are over
    c.send(b"x")
    wire.expect(b"x")


def _tcp(t):
    port, o = t.port(), t.origin("db")
    t.sidecar(upstreams="tcp://db@" + port.text, endpoints={"db": [o]})
    return t.client(port), o


def test_tcp_relay(t):
    """A tcp:// upstream relays bytes that are no HTTP."""
    c, o = _tcp(t)
    c.send(b"\x00\x03SELECT\xff")
    wire = o.accept()
    wire.expect(b"\x00\x03SELECT\xff")
    wire.send(b"\r\n\r\n\x00rows")
    c.expect(b"\r\n\r\n\x00rows")


def test_tcp_relay_server_speaks_first(t):
    """The server of a tcp:// upstream may speak first."""
    c, o = _tcp(t)
    wire = o.accept()
    wire.send(b"220 mail ready\r\n")
    c.expect(b"220 mail ready\r\n")
    c.send(b"QUIT\r\n")
    wire.expect(b"QUIT\r\n")


@rows({"client": ("client",), "server": ("server",)})
def test_tcp_relay_half_close(t, first):
    """Half-closes pass in both directions."""
    c, o = _tcp(t)
    c.send(b"hello")
    wire = o.accept()
    wire.expect(b"hello")
    one, other = (c, wire) if first == "client" else (wire, c)
    one.half_close()
    other.expect_end(["eof"])
    other.send(b"answer")
    one.expect(b"answer")
    other.close()
    one.expect_end(["eof"])


@rows({"client": ("client",), "server": ("server",)})
def test_tcp_relay_reset(t, first):
    """A reset of one side is seen by the other."""
    c, o = _tcp(t)
    c.send(b"hello")
    wire = o.accept()
    wire.expect(b"hello")
    one, other = (c, wire) if first == "client" else (wire, c)
    one.reset()
    other.expect_end(["reset"])


def test_tcp_relay_refused(t):
    """When no endpoint listens the client's connection is ended, without a byte of HTTP."""
    port = t.port()
    t.sidecar(upstreams="tcp://db@" + port.text, endpoints={"db": [t.port()]})
    c = t.client(port)
    assert c.expect_cut() == b""


def test_tcp_relay_tries_another_endpoint(t):
    """A refused endpoint is passed over."""
    port, o = t.port(), t.origin("db")
    t.sidecar(upstreams="tcp://db@" + port.text, endpoints={"db": [t.port(), o, t.port()]})
    for _ in range(3):
        c = t.client(port)
        c.send(b"hello")
        o.accept().expect(b"hello")


def test_tcp_relay_back_pressure(t):
    """A reader that stops stops the sender."""
    c, o = _tcp(t)
    wire = o.accept()
    sent = wire.fill(256 << 20)
    assert sent < 64 << 20, "%d bytes went into a tunnel that nobody reads" % sent
    assert c.read(1000) == b"x" * 1000


def test_tcp_relay_a_hundred_megabytes(t):
    """Much data passes unchanged in length and order, both ways at once."""
    c, o = _tcp(t)
    wire = o.accept()
    piece, n = bytes(range(256)) * 256, 800

    def pour(end):
        for _ in range(n):
            end.sock.sendall(piece)
        end.half_close()

    def drink(end):
        total, rest = 0, b""
        while True:
            data = end.sock.recv(1 << 20)
            if not data:
                return total
            total += len(data)
            rest = data[-1:]
            assert rest

    jobs = [t.background(pour, c), t.background(pour, wire), t.background(drink, c), t.background(drink, wire)]
    for job in jobs:
        job.join(30)
    assert jobs[2].value == jobs[3].value == n * len(piece)
