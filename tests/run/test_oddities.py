"""What is legal passes untouched, however odd."""
import gzip

from harness.case import rows
from harness.message import chunk, request, response

FAULT = (b'<?xml version="1.0"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
         b"<soap:Fault><faultcode>soap:Server</faultcode><faultstring>no</faultstring></soap:Fault></soap:Body>"
         b"</soap:Envelope>")


def test_cookie_of_40_kib(t):
    """A 40 KiB cookie passes with default limits."""
    _, c, o = t.inbound()
    cookie = "session=" + "c" * 40000
    answer = response(200, b"", ["Set-Cookie: " + cookie])
    seen, reply, _ = t.exchange(c, o, request(fields=["Cookie: " + cookie]), answer)
    assert seen.get("cookie") == cookie and reply.get("set-cookie") == cookie


def test_soap_fault(t):
    """A SOAP fault with status 500 is the service's own answer: untouched, no reason, not repeated."""
    _, c, o = t.inbound()
    raw = request("POST", "/soap", fields=['SOAPAction: "urn:do"', "Content-Type: text/xml"], body=b"<x/>")
    seen, reply, _ = t.exchange(c, o, raw, response(500, FAULT, ["Content-Type: text/xml; charset=utf-8"], "Internal"))
    assert seen.get("soapaction") == '"urn:do"'
    assert reply.status == 500 and reply.body == FAULT and reply.get("content-type") == "text/xml; charset=utf-8"
    assert reply.get("x-outrider-reason") is None


@rows({str(status): (status,) for status in (200, 201, 206, 299, 301, 400, 404, 408, 421, 429, 451, 500, 502, 503,
                                             504, 599, 999)})
def test_statuses_pass(t, status):
    """Every final status passes with its body and without a reason of ours."""
    _, c, o = t.inbound()
    _, reply, wire = t.exchange(c, o, None, response(status, b"body", ["Retry-After: 1"]))
    assert reply.status == status and reply.body == b"body" and reply.get("x-outrider-reason") is None
    t.exchange(c, wire)


@rows({method: (method,) for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND",
                                        "M-SEARCH", "X")})
def test_methods_pass(t, method):
    """Every method passes as it is spelt."""
    _, c, o = t.inbound()
    seen, _, _ = t.exchange(c, o, request(method))
    assert seen.method == method


def test_long_url(t):
    """A URL of 30 KiB passes with default limits."""
    _, c, o = t.inbound()
    path = "/search?q=" + "%C3%A4" * 5000
    seen, _, _ = t.exchange(c, o, request("GET", path))
    assert seen.target == path


def test_compressed_body(t):
    """Content-Encoding is end to end: the bytes are not touched."""
    _, c, o = t.inbound()
    data = gzip.compress(b"hello" * 1000)
    _, reply, _ = t.exchange(c, o, None, response(200, data, ["Content-Encoding: gzip", "ETag: \"a\"", "Server: x",
                                                             "Date: Mon, 01 Jan 2024 00:00:00 GMT"]))
    assert reply.body == data and reply.get("content-encoding") == "gzip" and reply.get("server") == "x"
    assert reply.get("date") == "Mon, 01 Jan 2024 00:00:00 GMT"


def test_no_fields_are_added_to_replies(t):
    """A reply gets no field that the service did not send, but for framing."""
    _, c, o = t.inbound()
    _, reply, _ = t.exchange(c, o, None, response(200, b"x", ["X-A: 1"]))
    assert set(reply.names()) <= {"x-a", "content-length", "connection"}, reply.names()


def test_server_sent_events(t):
    """Events arrive one by one, and a reader that leaves is told to the service."""
    _, c, o = t.inbound()
    c.ask("GET", "/events", fields=["Accept: text/event-stream"])
    wire = o.accept()
    wire.read_request()
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for n in range(20):
        wire.send(chunk(b"data: %d\n\n" % n))
        c.read_until(b"data: %d\n\n\r\n" % n)
    c.reset()
    wire.expect_cut()


def test_two_hundred_fields(t):
    """Two hundred fields pass with default limits, in order."""
    _, c, o = t.inbound()
    lines = ["X-F%d: %d" % (n, n) for n in range(200)]
    seen, reply, _ = t.exchange(c, o, request(fields=lines), response(200, b"", lines))
    for head in (seen, reply):
        assert [v for k, v in head.fields if k[:3] == "X-F" and k[3:].isdigit()] == [str(n) for n in range(200)]


def test_multipart_upload(t):
    """A multipart body whose boundary looks like a request is a body."""
    _, c, o = t.inbound()
    body = (b"--GET / HTTP/1.1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nGET /x HTTP/1.1\r\n\r\n"
            b"--GET / HTTP/1.1--\r\n")
    seen, _, wire = t.exchange(c, o, request("POST", body=body))
    assert seen.body == body
    t.exchange(c, wire)


def test_reply_before_the_request_ends_and_reuse(t):
    """Forty exchanges with bodies of odd sizes on one connection stay in step."""
    _, c, server = t.inbound()
    for n in range(40):
        size = (n * 977) % 20000
        seen, reply, server = t.exchange(c, server, request("POST", body=b"q" * size), response(200, b"r" * (size * 3)))
        assert len(seen.body) == size and len(reply.body) == size * 3
