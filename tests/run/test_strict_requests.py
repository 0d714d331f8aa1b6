"""Strict to requests: what two servers could read differently is refused, the connection closed, and nothing of it
reaches a service (DESIGN section 9; RFC 9112)."""
from harness.case import rows
from harness.message import chunk, request

HOST = b"Host: a\r\n"


def get(*lines, first=b"GET / HTTP/1.1"):
    return first + b"\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(*lines, body=b""):
    return get(*lines, first=b"POST / HTTP/1.1") + body


CL, TE = b"Content-Length: 5", b"Transfer-Encoding: chunked"
LINE, METHOD, TARGET, VERSION = "bad-request-line", "bad-method", "bad-target", "bad-version"
FIELD, HOSTBAD, LENGTH, ENCODING, CHUNK = "bad-field", "bad-host", "bad-length", "bad-transfer-encoding", "bad-chunk"

HEADS = {
    # the request line
    "line-garbage": (b"hello\r\n\r\n", LINE),
    "line-http09": (b"GET /\r\n\r\n", LINE),
    "line-two-blanks": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", (LINE, TARGET)),
    "line-blank-at-end": (b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", (LINE, VERSION)),
    "line-tab": (b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", (LINE, METHOD)),
    "line-bare-lf": (b"GET / HTTP/1.1\n" + HOST + b"\r\n", LINE),
    "line-leading-blank": (b" GET / HTTP/1.1\r\n" + HOST + b"\r\n", (LINE, METHOD)),
    "line-many-empty": (b"\r\n" * 50 + get(), LINE),
    "line-nul": (b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n", (LINE, TARGET)),
    "line-tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", (LINE, METHOD)),
    "method-bad-byte": (b"GE(T / HTTP/1.1\r\n" + HOST + b"\r\n", METHOD),
    "method-8bit": (b"G\xc3\x8bT / HTTP/1.1\r\n" + HOST + b"\r\n", METHOD),
    "method-nul": (b"GET\0 / HTTP/1.1\r\n" + HOST + b"\r\n", METHOD),
    "target-no-slash": (b"GET index.html HTTP/1.1\r\n" + HOST + b"\r\n", TARGET),
    "target-8bit": (b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n", TARGET),
    "target-control": (b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n", TARGET),
    "target-del": (b"GET /\x7f HTTP/1.1\r\n" + HOST + b"\r\n", TARGET),
    "target-asterisk-get": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", TARGET),
    "target-cr": (b"GET /\rX HTTP/1.1\r\n" + HOST + b"\r\n", (TARGET, LINE)),
    "version-2": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", VERSION),
    "version-12": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", VERSION),
    "version-lower": (b"GET / http/1.1\r\n" + HOST + b"\r\n", (VERSION, LINE)),
    "version-long": (b"GET / HTTP/1.11\r\n" + HOST + b"\r\n", VERSION),
    "version-icy": (b"GET / ICY/1.1\r\n" + HOST + b"\r\n", (VERSION, LINE)),
    "preface-h2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0", "http2-preface"),
    # field lines
    "field-blank-before-colon": (get(b"X-A : 1"), FIELD),
    "field-tab-before-colon": (get(b"X-A\t: 1"), FIELD),
    "field-cl-blank-before-colon": (post(b"Content-Length : 5", body=b"12345"), FIELD),
    "field-te-blank-before-colon": (post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"), FIELD),
    "field-no-colon": (get(b"X-A"), FIELD),
    "field-empty-name": (get(b": 1"), FIELD),
    "field-fold": (get(b"X-A: 1", b" folded"), FIELD),
    "field-fold-tab": (get(b"X-A: 1", b"\tfolded"), FIELD),
    "field-fold-first": (b"GET / HTTP/1.1\r\n X: 1\r\n" + HOST + b"\r\n", FIELD),
    "field-bare-lf": (b"GET / HTTP/1.1\r\n" + HOST + b"X-A: 1\n\r\n", FIELD),
    "field-bare-lf-end": (b"GET / HTTP/1.1\r\n" + HOST + b"\n", FIELD),
    "field-bare-cr": (get(b"X-A: 1\rX-B: 2"), FIELD),
    "field-nul": (get(b"X-A: 1\x002"), FIELD),
    "field-nul-in-name": (get(b"X\0A: 1"), FIELD),
    "field-control": (get(b"X-A: \x01"), FIELD),
    "field-del": (get(b"X-A: \x7f"), FIELD),
    "field-8bit-name": (get(b"X-\xc3\xa4: 1"), FIELD),
    "field-parenthesis-in-name": (get(b"X(A): 1"), FIELD),
    "field-vertical-tab": (get(b"Transfer-Encoding:\x0bchunked"), (FIELD, ENCODING)),
    # Host
    "host-missing": (b"GET / HTTP/1.1\r\nX: 1\r\n\r\n", HOSTBAD),
    "host-twice": (get(b"Host: b"), HOSTBAD),
    "host-twice-equal": (get(b"Host: a"), HOSTBAD),
    "host-list": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HOSTBAD),
    "host-blank": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HOSTBAD),
    "host-path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HOSTBAD),
    "host-userinfo": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", HOSTBAD),
    "host-bad-port": (b"GET / HTTP/1.1\r\nHost: a:port\r\n\r\n", HOSTBAD),
    "host-big-port": (b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", HOSTBAD),
    "host-open-bracket": (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", HOSTBAD),
    "host-scheme": (b"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", HOSTBAD),
    "host-absolute-missing": (b"GET http://a/ HTTP/1.1\r\nX: 1\r\n\r\n", HOSTBAD),
    # framing: the smuggling classics
    "length-and-chunked": (post(CL, TE, body=b"0\r\n\r\n"), LENGTH),
    "chunked-and-length": (post(TE, CL, body=b"0\r\n\r\n"), LENGTH),
    "length-zero-and-chunked": (post(b"Content-Length: 0", TE, body=b"0\r\n\r\n"), LENGTH),
    "length-twice": (post(CL, b"Content-Length: 6", body=b"123456"), LENGTH),
    "length-twice-equal": (post(CL, CL, body=b"12345"), LENGTH),
    "length-list": (post(b"Content-Length: 5, 5", body=b"12345"), LENGTH),
    "length-plus": (post(b"Content-Length: +5", body=b"12345"), LENGTH),
    "length-minus": (post(b"Content-Length: -5", body=b"12345"), LENGTH),
    "length-hex": (post(b"Content-Length: 0x5", body=b"12345"), LENGTH),
    "length-empty": (post(b"Content-Length:", body=b""), LENGTH),
    "length-blank-inside": (post(b"Content-Length: 1 2", body=b"1"), LENGTH),
    "length-point": (post(b"Content-Length: 5.0", body=b"12345"), LENGTH),
    "length-overflow": (post(b"Content-Length: 18446744073709551621", body=b"12345"), LENGTH),
    "length-overflow-63": (post(b"Content-Length: 99999999999999999999999", body=b"1"), LENGTH),
    "coding-gzip": (post(b"Transfer-Encoding: gzip", body=b"x"), ENCODING),
    "coding-gzip-chunked": (post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), ENCODING),
    "coding-chunked-gzip": (post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), ENCODING),
    "coding-chunked-twice": (post(TE, TE, body=b"0\r\n\r\n"), ENCODING),
    "coding-chunked-chunked": (post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), ENCODING),
    "coding-identity": (post(b"Transfer-Encoding: identity", body=b"x"), ENCODING),
    "coding-chunked-identity": (post(TE, b"Transfer-Encoding: identity", body=b"0\r\n\r\n"), ENCODING),
    "coding-xchunked": (post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), ENCODING),
    "coding-quoted": (post(b"Transfer-Encoding: \"chunked\"", body=b"0\r\n\r\n"), ENCODING),
    "coding-comma": (post(b"Transfer-Encoding: ,chunked", body=b"0\r\n\r\n"), ENCODING),
    "coding-parameter": (post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"), ENCODING),
    "coding-empty": (post(b"Transfer-Encoding:", body=b""), ENCODING),
    "coding-http10": (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ENCODING),
    "coding-fold": (post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"), FIELD),
}


@rows(HEADS)
def test_bad_head(t, raw, reason):
    """The status and reason of the table, then the end of the connection; no byte reaches the service."""
    _, c, o = t.inbound()
    c.try_send(raw)
    reply = c.read_response()
    if isinstance(reason, tuple):
        assert reply.get("x-outrider-reason") in reason, reply.get("x-outrider-reason")
        reason = reply.get("x-outrider-reason")
    t.own_answer(reply, reason)
    assert reply.tokens("connection") == ["close"]
    c.expect_end()
    assert o.untouched(), "the service was called"


@rows({name: (raw, reason) for name, (raw, reason) in HEADS.items()
       if name in ("length-and-chunked", "field-fold", "host-twice", "length-twice-equal",
                   "coding-chunked-gzip")})
def test_bad_head_behind_a_good_request(t, raw, reason):
    """In a pipeline the good request is answered, then the bad one refused; the service sees only the good one."""
    _, c, o = t.inbound()
    c.send(request("GET", "/good") + raw)
    wire = o.accept()
    assert wire.read_request().target == "/good"
    wire.answer(200, b"good")
    assert c.read_response().body == b"good"
    t.own_answer(c.read_response(), reason)
    c.expect_end()
    assert not wire.buf and o.untouched()


@rows({name: (HEADS[name][0], HEADS[name][1]) for name in ("length-and-chunked", "field-bare-lf", "host-list")})
def test_bad_head_byte_by_byte(t, raw, reason):
    """The same refusal when the bytes come one by one."""
    _, c, o = t.inbound()
    try:
        c.trickle(raw)
    except OSError:
        pass
    t.own_answer(c.read_response(), reason)
    assert o.untouched()


CHUNKS = {
    "size-empty": b"\r\nabc\r\n0\r\n\r\n",
    "size-not-hex": b"g\r\nabc\r\n0\r\n\r\n",
    "size-minus": b"-3\r\nabc\r\n0\r\n\r\n",
    "size-plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "size-0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "size-blank-before": b" 3\r\nabc\r\n0\r\n\r\n",
    "size-underscore": b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "size-17-digits": b"00000000000000003\r\nabc\r\n0\r\n\r\n",
    "size-overflow": b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "size-wraps": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "size-bare-lf": b"3\nabc\r\n0\r\n\r\n",
    "size-bare-cr": b"3\rabc\r\n0\r\n\r\n",
    "size-nul": b"3\0\r\nabc\r\n0\r\n\r\n",
    "data-too-long": b"3\r\nabcd\r\n0\r\n\r\n",
    "data-lf-only": b"3\r\nabc\n0\r\n\r\n",
    "data-no-end": b"3\r\nabc0\r\n\r\n",
    "extension-flood": b"3;" + b"x" * 20000 + b"\r\nabc\r\n0\r\n\r\n",
    "extension-bare-lf": b"3;x\nabc\r\n0\r\n\r\n",
    "extension-bare-cr": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "extension-nul": b"3;a\0b\r\nabc\r\n0\r\n\r\n",
    "last-bare-lf": b"3\r\nabc\r\n0\n\n",
    "trailer-bare-lf": b"3\r\nabc\r\n0\r\nX: 1\n\r\n",
    "trailer-fold": b"3\r\nabc\r\n0\r\nX: 1\r\n folded\r\n\r\n",
    "trailer-blank-before-colon": b"3\r\nabc\r\n0\r\nX : 1\r\n\r\n",
    "trailer-no-colon": b"3\r\nabc\r\n0\r\nX\r\n\r\n",
    "trailer-nul": b"3\r\nabc\r\n0\r\nX: \0\r\n\r\n",
    "trailer-huge": b"3\r\nabc\r\n0\r\nX: " + b"y" * 100000 + b"\r\n\r\n",
    "trailer-many": b"3\r\nabc\r\n0\r\n" + b"X: 1\r\n" * 2000 + b"\r\n",
}


@rows({name: (raw,) for name, raw in CHUNKS.items()})
def test_bad_chunk(t, raw):
    """Bad chunking: 400 bad-chunk and the end; the service never sees the end of such a body."""
    _, c, o = t.inbound()
    c.try_send(post(TE) + raw)
    t.own_answer(c.read_response(), "bad-chunk")
    c.expect_end()
    if not o.untouched():
        wire = o.accept()
        assert not wire.expect_cut().endswith(b"0\r\n\r\n"), "the service saw a complete body"


def test_chunk_extensions_in_every_chunk_are_bounded(t):
    """Many chunks, each with a legal extension: the extensions are dropped, the data passes."""
    _, c, o = t.inbound()
    c.send(post(TE) + b"1;ext=value\r\na\r\n" * 500 + b"0\r\n\r\n")
    wire = o.accept()
    assert wire.read_request().body == b"a" * 500
    wire.answer()
    assert c.read_response().status == 200


def test_smuggled_request_is_never_served(t):
    """CL.TE, TE.CL and TE.TE: the request hidden in the body is never seen by the service."""
    hidden = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
    agent, _, o = t.inbound()
    for lines in ((CL, TE), (TE, b"Content-Length: %d" % len(hidden)), (TE, b"Transfer-Encoding: x"),
                  (b"Transfer-Encoding: xchunked",), (b"Transfer-encoding: identity", TE),
                  (b"Transfer-Encoding: chunked", b"Transfer-Encoding : x")):
        c = t.client(agent.inbound)
        c.try_send(post(*lines, body=b"0\r\n\r\n" + hidden))
        assert c.read_response().status == 400
        c.expect_end()
    assert o.untouched()


GOOD = {
    "host-underscore": b"GET / HTTP/1.1\r\nHost: my_service:80\r\n\r\n",
    "host-v6": b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    "host-empty": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "method-unknown": b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
    "method-lower": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "value-without-blank": b"GET / HTTP/1.1\r\nHost:a\r\nX:1\r\n\r\n",
    "value-many-blanks": b"GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n",
    "coding-upper-case": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
    "query-odd": b"GET /a?b=[c]&d={e}|f HTTP/1.1\r\nHost: a\r\n\r\n",
    "path-odd": b"GET //a/../b/./%2e%41;x=1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "length-leading-zeros": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0000\r\n\r\n",
}


@rows({name: (raw,) for name, raw in GOOD.items()})
def test_legal_oddities_pass(t, raw):
    """What is legal and unambiguous passes, and its target is not touched on 4143."""
    _, c, o = t.inbound()
    seen, reply, _ = t.exchange(c, o, raw)
    assert reply.status == 200
    assert seen.target == raw.split(b" ")[1].decode()


@rows({"outbound": (False,), "edge": (True,)})
def test_strict_on_the_other_listeners(t, edge):
    """4140 and the edge are as strict."""
    o = t.origin()
    if edge:
        address = t.edge({"a": {"prefix": "/", "upstream": "a"}}, {"a": [o]}).edge
    else:
        address = t.sidecar(endpoints={"a": [o]}).outbound
    for raw, reason in (HEADS["length-and-chunked"], HEADS["field-fold"], HEADS["preface-h2"], HEADS["host-missing"]):
        c = t.client(address)
        c.try_send(raw)
        t.own_answer(c.read_response(), reason)
        c.expect_end()
    assert o.untouched()


def test_bad_chunk_after_good_ones(t):
    """A body that goes bad late: the service sees a cut request, the client 400 or the end."""
    _, c, o = t.inbound()
    c.send(post(TE) + chunk(b"good"))
    wire = o.accept()
    wire.read_until(b"good\r\n")
    c.try_send(b"zzz\r\n")
    rest = wire.expect_cut()
    assert not rest.endswith(b"0\r\n\r\n")
    t.own_answer(c.read_response(), "bad-chunk")
