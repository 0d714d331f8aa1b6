"""HTTP/1.0 on either side, and replies that end with their connection."""
from harness.case import rows
from harness.message import request, response

OLD = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold style"


def test_http10_client_is_closed(t):
    """A 1.0 client without keep-alive gets its reply and the end."""
    _, c, o = t.inbound()
    seen, reply, _ = t.exchange(c, o, request(version="HTTP/1.0"))
    assert seen.minor == 1, "the agent speaks HTTP/1.1 to the origin"
    assert reply.body == b"fine"
    c.expect_end(["eof"])


def test_http10_client_keep_alive(t):
    """A 1.0 client that asks for keep-alive gets it, and is told so."""
    _, c, o = t.inbound()
    raw = request(version="HTTP/1.0", fields=["Connection: keep-alive"])
    _, reply, wire = t.exchange(c, o, raw)
    assert "keep-alive" in reply.tokens("connection")
    _, reply, _ = t.exchange(c, wire, raw)
    assert reply.body == b"fine"


def test_http10_client_without_host(t):
    """HTTP/1.0 knew no Host; on 4143 it is not needed."""
    _, c, o = t.inbound()
    seen, reply, _ = t.exchange(c, o, request(host=None, version="HTTP/1.0"))
    assert reply.status == 200 and len(seen.all("host")) == 1


def test_http10_client_of_a_chunked_reply(t):
    """A chunked reply is unpacked for a 1.0 client and ended by the connection's end."""
    _, c, o = t.inbound()
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
    _, reply, _ = t.exchange(c, o, request(version="HTTP/1.0", fields=["Connection: keep-alive"]), raw)
    assert reply.framing == "close" and reply.body == b"abcdef"
    assert "keep-alive" not in reply.tokens("connection")


def test_http10_origin_with_length(t):
    """A 1.0 origin that says its length; its connection is not reused, the client's goes on."""
    _, c, o = t.inbound()
    _, reply, _ = t.exchange(c, o, None, response(200, b"abc", version="HTTP/1.0"))
    assert reply.body == b"abc" and reply.minor == 1
    _, reply, _ = t.exchange(c, o)
    assert reply.status == 200


def test_http10_origin_keep_alive(t):
    """A 1.0 origin that says keep-alive is pooled."""
    _, c, o = t.inbound()
    _, _, wire = t.exchange(c, o, None, response(200, b"abc", ["Connection: keep-alive"], version="HTTP/1.0"))
    t.exchange(c, wire)


@rows({"http10-origin": (OLD,),
       "http11-origin": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nold style",),
       "http11-origin-silent": (b"HTTP/1.1 200 OK\r\n\r\nold style",)})
def test_close_delimited_becomes_chunked(t, raw):
    """A reply that ends with its connection reaches a 1.1 client as chunks, whose connection goes on."""
    _, c, o = t.inbound()
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.send(raw)
    wire.close()
    reply = c.read_response()
    assert reply.framing == "chunked" and reply.body == b"old style", reply.framing
    _, reply, _ = t.exchange(c, o)
    assert reply.status == 200


def test_close_delimited_streams(t):
    """Its bytes are not held back until the end."""
    _, c, o = t.inbound()
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.send(OLD)
    c.read_until(b"old style")
    wire.send(b" and more")
    c.read_until(b" and more")
    wire.close()
    c.read_until(b"0\r\n\r\n")


def test_close_delimited_to_http10(t):
    """To a 1.0 client it ends with the connection."""
    _, c, o = t.inbound()
    c.send(request(version="HTTP/1.0"))
    wire = o.accept()
    wire.read_request()
    wire.send(OLD)
    wire.close()
    reply = c.read_response()
    assert reply.framing == "close" and reply.body == b"old style"


def test_close_delimited_empty(t):
    """An empty close-delimited body is a complete reply."""
    _, c, o = t.inbound()
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.send(b"HTTP/1.0 200 OK\r\n\r\n")
    wire.close()
    assert c.read_response().body == b""
