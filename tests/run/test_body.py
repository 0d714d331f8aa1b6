"""Bodies both ways: lengths, chunks, trailers, and replies that have none."""
from harness.case import rows
from harness.message import chunk, chunked, request, response

CHUNKED = ["Transfer-Encoding: chunked"]


def test_chunked_request(t):
    """A chunked request arrives whole, and streams: a chunk is not held until the next one comes."""
    _, c, o = t.inbound()
    c.send(request("POST", "/", fields=CHUNKED) + chunk(b"first"))
    wire = o.accept()
    head = wire.read_head()
    assert head.find_framing() == ("chunked", 0)
    assert b"first" in wire.read_until(b"first")
    c.send(chunk(b"second") + chunk(b"") + b"\r\n")
    wire.read_until(b"second")
    wire.read_until(b"0\r\n\r\n")
    wire.answer(200, b"ok")
    assert c.read_response().body == b"ok"


def test_chunked_reply(t):
    """A chunked reply streams too."""
    _, c, o = t.inbound()
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    wire.send(chunk(b"event 1"))
    head = c.read_head()
    c.read_until(b"event 1")
    wire.send(chunk(b"event 2"))
    c.read_until(b"event 2\r\n")
    wire.send(chunk(b"") + b"\r\n")
    c.expect(b"0\r\n\r\n")
    assert head.tokens("transfer-encoding") == ["chunked"]
    t.exchange(c, wire)


def test_length_request_streams(t):
    """A body with Content-Length is passed on as it comes, with that length."""
    _, c, o = t.inbound()
    c.send(request("PUT", "/", fields=["Content-Length: 6"]) + b"abc")
    wire = o.accept()
    head = wire.read_head()
    assert head.get("content-length") == "6"
    wire.expect(b"abc")
    c.send("def")
    wire.expect(b"def")
    wire.answer(201, b"")
    assert c.read_response().status == 201


def test_trailers_of_a_request(t):
    """Trailer fields of a request reach the origin; those that may not stand there do not."""
    _, c, o = t.inbound()
    body = chunked(b"x", trailers=["X-Checksum: 1f", "Host: evil", "Content-Length: 5", "Transfer-Encoding: gzip",
                                   "Authorization: Basic eA=="])
    seen, _, _ = t.exchange(c, o, request("POST", "/", fields=CHUNKED + ["Trailer: X-Checksum"]) + body)
    assert seen.trailers == [("x-checksum", "1f")], seen.trailers


def test_trailers_of_a_reply(t):
    """Trailer fields of a reply reach the client."""
    _, c, o = t.inbound()
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(
        b"data", trailers=["Server-Timing: a;dur=1", "Set-Cookie: no=1", "Content-Length: 9"])
    _, got, _ = t.exchange(c, o, request(fields=["TE: trailers", "Connection: TE"]), reply)
    assert ("server-timing", "a;dur=1") in got.trailers, got.trailers
    assert "content-length" not in dict(got.trailers)


def test_chunk_extensions_are_dropped(t):
    """Short chunk extensions are legal; they are not forwarded."""
    _, c, o = t.inbound()
    c.send(request("POST", "/", fields=CHUNKED) + b"3;name=value\r\nabc\r\n0;last\r\n\r\n")
    wire = o.accept()
    wire.read_head()
    raw = wire.read_until(b"0\r\n\r\n")
    assert b"name" not in raw and b"abc" in raw
    wire.answer()
    assert c.read_response().status == 200


def test_many_small_chunks(t):
    """Ten thousand chunks of a byte come out as ten thousand bytes."""
    _, c, o = t.inbound()
    data = b"".join(b"%d" % (n % 10) for n in range(10000))
    many = chunked(*[data[n:n + 1] for n in range(10000)])
    job = t.background(c.send, request("POST", "/", fields=CHUNKED) + many)
    wire = o.accept()
    assert wire.read_request().body == data
    job.join()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + many)
    assert c.read_response().body == data


@rows({"uppercase-hex": (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
       "leading-zeros": (b"0003\r\nabc\r\n000\r\n\r\n", b"abc"),
       "empty": (b"0\r\n\r\n", b"")})
def test_legal_chunk_spellings(t, body, meant):
    """Spellings of chunk sizes that the grammar allows."""
    _, c, o = t.inbound()
    seen, reply, _ = t.exchange(c, o, request("POST", "/", fields=CHUNKED) + body)
    assert seen.body == meant and reply.status == 200


@rows({"200-with-length": (200, ["Content-Length: 1234"]), "204": (204, []), "304": (304, ["ETag: \"x\""]),
       "304-with-length": (304, ["Content-Length: 99"])})
def test_replies_without_a_body(t, status, fields):
    """HEAD, 204 and 304 have no body, whatever their fields say, and the connection goes on."""
    _, c, o = t.inbound()
    method = "HEAD" if status == 200 else "GET"
    raw = ("HTTP/1.1 %d X\r\n" % status + "".join(line + "\r\n" for line in fields) + "\r\n").encode()
    _, reply, wire = t.exchange(c, o, request(method), raw, method)
    assert reply.status == status
    if fields and "Length" in fields[0]:
        assert reply.get("content-length") == fields[0].split()[1], "Content-Length was changed"
    _, reply, _ = t.exchange(c, wire)
    assert reply.body == b"fine"


def test_head_reply_with_chunked(t):
    """A HEAD reply may say Transfer-Encoding: chunked; still no body follows."""
    _, c, o = t.inbound()
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    _, reply, wire = t.exchange(c, o, request("HEAD"), raw, "HEAD")
    assert reply.status == 200
    _, reply, _ = t.exchange(c, wire)
    assert reply.body == b"fine"


def test_204_with_length_zero(t):
    """204 beside Content-Length: 0, which many frameworks send, passes."""
    _, c, o = t.inbound()
    _, reply, wire = t.exchange(c, o, None, b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
    assert reply.status == 204
    t.exchange(c, wire)


def test_get_with_a_body(t):
    """A GET may have a body (search engines use it); it passes."""
    _, c, o = t.inbound()
    seen, reply, _ = t.exchange(c, o, request("GET", body=b"{}"))
    assert seen.body == b"{}" and reply.status == 200


def test_post_without_a_length(t):
    """A POST without Content-Length has no body (RFC 9112 section 6.3), and is not waited for."""
    _, c, o = t.inbound()
    seen, reply, _ = t.exchange(c, o, request("POST"))
    assert seen.body == b"" and reply.status == 200


def test_a_megabyte_both_ways(t):
    """A body larger than any buffer arrives unchanged in both directions."""
    _, c, o = t.inbound()
    data = bytes(range(256)) * 4096
    job = t.background(c.send, request("POST", body=data))
    wire = o.accept()
    assert wire.read_request().body == data
    job.join()
    job = t.background(wire.send, response(200, data))
    assert c.read_response().body == data
    job.join()
