"""Upstreams that die: a reply that was cut never looks complete; a request is repeated only when that is safe."""
from harness.case import rows
from harness.message import Broken, chunk, request
from harness.wire import Ended


def _cut(c, method="GET"):
    """The reply that comes is not complete."""
    try:
        reply = c.read_response(method)
    except (Ended, Broken):
        return
    raise AssertionError("a cut reply looked complete: %r" % (reply.body[:100],))


HEADS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"half of it"),
    "chunked-in-a-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf of it",
    "chunked-in-a-size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"half of it") + b"6",
    "chunked-before-the-end":
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"half of it") + b"0\r\n",
}


@rows({"%s-%s" % (name, end): (raw, end) for name, raw in HEADS.items() for end in ("close", "reset")})
def test_death_in_mid_body(t, raw, end):
    """The client sees a cut connection, never a reply that looks complete."""
    _, c, o = t.inbound()
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.send(raw)
    c.read_until(b"half of it")
    c.buf[:0] = raw[:raw.index(b"half of it") + 10]
    getattr(wire, end)()
    _cut(c)


@rows({"http11": ("HTTP/1.1",), "http10": ("HTTP/1.0",)})
def test_reset_of_a_close_delimited_reply(t, version):
    """A close-delimited reply that is reset is cut: no last chunk for 1.1, a reset for 1.0."""
    _, c, o = t.inbound()
    c.send(request(version=version))
    wire = o.accept()
    wire.read_request()
    wire.send(b"HTTP/1.0 200 OK\r\n\r\nhalf of it")
    head = c.read_head()
    c.read_until(b"half of it")
    wire.reset()
    try:
        rest = c.read_all()
        assert head.find_framing()[0] == "chunked" and not rest.endswith(b"0\r\n\r\n"), "looks complete"
    except Ended:
        pass


def test_cut_for_http10_client_of_a_chunked_origin(t):
    """A 1.0 client of a chunked reply that is cut sees a reset, since a clean end would look complete."""
    _, c, o = t.inbound()
    c.send(request(version="HTTP/1.0"))
    wire = o.accept()
    wire.read_request()
    wire.send(HEADS["chunked"])
    c.read_until(b"half of it")
    wire.close()
    try:
        c.read_all()
    except Ended:
        return
    raise AssertionError("a clean end: the reply looked complete")


def test_cut_reply_is_counted(t):
    """The reason response-cut is seen on /stats or /upstreams."""
    agent, c, o = t.inbound()
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.send(HEADS["length"])
    c.read_until(b"half of it")
    wire.close()
    c.expect_cut()
    agent.until("response-cut counted", lambda: b"response-cut" in agent.admin_call("GET", "/stats")[2]
                or b"response-cut" in agent.admin_call("GET", "/upstreams")[2])


BAD_CHUNKS = {"not-hex": b"xyz\r\n", "too-big": b"fffffffffffffffff\r\n", "no-crlf-behind": b"3\r\nabcXX0\r\n\r\n",
              "negative": b"-1\r\n", "bare-lf": b"3\nabc\n0\n\n"}


@rows({name: (raw,) for name, raw in BAD_CHUNKS.items()})
def test_bad_chunk_in_a_reply(t, raw):
    """Bad chunking of a reply cuts the client, or is a 502 when nothing was sent yet."""
    _, c, o = t.inbound()
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"start"))
    c.read_until(b"start")
    wire.try_send(raw)
    rest = c.expect_cut()
    assert not rest.endswith(b"0\r\n\r\n"), "looks complete: %r" % rest


@rows({method: (method,) for method in ("GET", "HEAD", "OPTIONS")})
def test_safe_request_is_repeated_once(t, method):
    """A GET, HEAD or OPTIONS without body whose connection ends before the first byte is sent once more."""
    _, c, o = t.outbound()
    c.send(request(method, host="quotes"))
    first = o.accept()
    first.read_request()
    first.close()
    second = o.accept()
    assert second.read_request().method == method
    second.answer(200, b"" if method == "HEAD" else b"ok")
    assert c.read_response(method).status == 200


def test_safe_request_is_repeated_only_once(t):
    """The second death is told to the client: no endless repetition."""
    _, c, o = t.outbound()
    c.ask(host="quotes")
    for _ in range(2):
        wire = o.accept()
        wire.read_request()
        wire.close()
    t.own_answer(t.answered_once(c, o), "upstream-closed")


@rows({"POST": ("POST", None), "PUT": ("PUT", b"x"), "DELETE": ("DELETE", None), "GET-with-body": ("GET", b"x"),
       "PATCH": ("PATCH", b"x")})
def test_other_requests_are_not_repeated(t, method, body):
    """Everything else is sent once."""
    _, c, o = t.outbound()
    c.send(request(method, host="quotes", body=body))
    wire = o.accept()
    wire.read_request()
    wire.close()
    t.own_answer(t.answered_once(c, o), "upstream-closed")


def test_retry_safe_off(t):
    """OUTRIDER_RETRY_SAFE=off: a GET on a fresh connection is not repeated either."""
    _, c, o = t.outbound({"OUTRIDER_RETRY_SAFE": "off"})
    c.ask(host="quotes")
    wire = o.accept()
    wire.read_request()
    wire.close()
    t.own_answer(t.answered_once(c, o), "upstream-closed")


def test_no_repetition_after_the_first_byte(t):
    """Once a byte of the reply has come, nothing is repeated."""
    _, c, o = t.outbound()
    c.ask(host="quotes")
    wire = o.accept()
    wire.read_request()
    wire.send(b"HTTP/1.1 200 OK\r\n")
    wire.consumed().close()
    assert t.answered_once(c, o).status == 502


def test_no_repetition_after_an_interim_reply(t):
    """An interim reply is a byte of the reply."""
    _, c, o = t.outbound()
    c.ask(host="quotes")
    wire = o.accept()
    wire.read_request()
    wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
    assert c.read_response().status == 103
    wire.close()
    t.own_answer(t.answered_once(c, o), "upstream-closed")


def test_first_byte_timeout(t):
    """An upstream that stalls longer than timeout.first-byte gives 504 response-timeout."""
    _, c, o = t.outbound({"OUTRIDER_TIMEOUT_FIRST_BYTE": "100ms"})
    c.send(request("POST", host="quotes", body=b"x"))
    wire = o.accept()
    wire.read_request()
    t.own_answer(c.read_response(), "response-timeout")
    wire.expect_end()


def test_handler_down(t):
    """A handler that does not listen: 503 handler-down, and the connection goes on."""
    agent = t.sidecar(t.port())
    c = t.client(agent.inbound)
    c.ask()
    t.own_answer(c.read_response(), "handler-down")
    c.ask()
    t.own_answer(c.read_response(), "handler-down")


def test_handler_comes_back(t):
    """A handler that starts to listen is served at once: nothing remembers that it was down."""
    port = t.port()
    agent = t.sidecar(port)
    c = t.client(agent.inbound)
    c.ask()
    t.own_answer(c.read_response(), "handler-down")
    handler = t.origin("handler", (port.host, port.port))
    _, reply, _ = t.exchange(c, handler)
    assert reply.status == 200


def test_an_instance_that_dies_is_not_tried_again_at_once(t):
    """A process that dies closes its connections before its listener, so a new connection may still be taken, and cut: the request
    whose kept connection was cut goes to another instance, though its key leads to the same."""
    import select
    _, c, origins = t.outbound({"OUTRIDER_BALANCE": "ring-hash", "OUTRIDER_BALANCE_HASH": "header:X-Key"}, n=2)
    wires, keys, key = {}, {}, 0
    while len(wires) < 2:  # a kept connection to each, and a key that leads there
        key += 1
        c.send(request(host="quotes", fields=["X-Key: %d" % key]))
        socks = {o.sock: o for o in origins if o not in wires}
        socks.update({w.sock: o for o, w in wires.items()})
        o = socks[select.select(list(socks), [], [], 8)[0][0]]
        wires[o] = wires.get(o) or o.accept()
        keys[o] = key
        wires[o].read_request()
        wires[o].answer(200, b"ok")
        assert c.read_response().status == 200
    dying, other = origins
    c.send(request(host="quotes", fields=["X-Key: %d" % keys[dying]]))
    wires[dying].read_request()
    wires[dying].close()
    wires[other].read_request()
    wires[other].answer(200, b"ok")
    assert c.read_response().status == 200
    assert not select.select([dying.sock], [], [], 0)[0], "the dying one was connected to again"
