"""What is removed, kept and added when a message is passed on."""
from harness.case import rows
from harness.message import request, response

HOP = {"connection-named": ["Connection: X-Secret, close-ish", "X-Secret: 1"],
       "keep-alive": ["Keep-Alive: timeout=9"], "proxy-connection": ["Proxy-Connection: keep-alive"],
       "te": ["TE: gzip", "Connection: TE"], "proxy-authorization": ["Proxy-Authorization: Basic eA=="],
       "proxy-authenticate": ["Proxy-Authenticate: Basic"],
       "upgrade": ["Upgrade: foo", "Connection: upgrade"]}


def _names(lines):
    return [line.split(":")[0].lower() for line in lines]


@rows({name: (lines,) for name, lines in HOP.items()})
def test_hop_by_hop_of_requests(t, lines):
    """Hop-by-hop fields of a request, and those that Connection names, are not forwarded."""
    _, c, o = t.inbound()
    seen, _, _ = t.exchange(c, o, request(fields=["X-Kept: 1"] + lines))
    for name in _names(lines):
        assert not seen.all(name), (name, seen.fields)
    assert seen.get("x-kept") == "1"


@rows({name: (lines,) for name, lines in HOP.items() if name != "te"})
def test_hop_by_hop_of_replies(t, lines):
    """The same for replies."""
    _, c, o = t.inbound()
    _, reply, _ = t.exchange(c, o, None, response(200, b"x", ["X-Kept: 1"] + lines))
    for name in _names(lines):
        assert not reply.all(name), (name, reply.fields)
    assert reply.get("x-kept") == "1" and reply.body == b"x"


def test_connection_cannot_name_what_frames(t):
    """A Connection field that names Host, Content-Length or the like does not delete those."""
    _, c, o = t.inbound()
    seen, _, _ = t.exchange(c, o, request(
        "POST", fields=["Connection: Host, Content-Length, X-Request-Id"], body=b"abc"))
    assert seen.get("host") == "handler" and seen.body == b"abc"


def test_te_trailers_is_kept(t):
    """TE: trailers is the one TE that is passed on (gRPC and others need it)."""
    _, c, o = t.inbound()
    seen, _, _ = t.exchange(c, o, request(fields=["TE: trailers", "Connection: TE"]))
    assert seen.tokens("te") == ["trailers"] and seen.tokens("connection") == ["te"]


def test_fields_keep_order_and_spelling(t):
    """End-to-end fields keep order, spelling and repetition, both ways."""
    lines = ["X-B: 1", "x-a: 2", "Cookie: a=b; c=d", "X-B: 3", "X-Empty:", "X-Long: " + "v" * 3000]
    _, c, o = t.inbound()
    answer = response(200, b"", lines + ["Set-Cookie: a", "Set-Cookie: b"])
    seen, reply, _ = t.exchange(c, o, request(fields=lines), answer)
    wanted = [(line.split(":", 1)[0], line.split(":", 1)[1].strip()) for line in lines]
    assert [field for field in seen.fields if field[0] in dict(wanted)] == wanted
    assert [field for field in reply.fields if field[0] in dict(wanted)] == wanted
    assert reply.all("set-cookie") == ["a", "b"]


def test_field_values_with_high_bytes(t):
    """Bytes above 127 in a value pass as they are."""
    _, c, o = t.inbound()
    seen, _, _ = t.exchange(c, o, b"GET / HTTP/1.1\r\nHost: a\r\nX-Name: J\xc3\xbcrgen \xff\r\n\r\n")
    assert seen.get("x-name").encode("latin-1") == b"J\xc3\xbcrgen \xff"


def test_forwarded_fields_are_added(t):
    """Inbound: X-Forwarded-For, -Proto, -Host, X-Request-Id and Via are added when absent."""
    _, c, o = t.inbound()
    seen, _, _ = t.exchange(c, o, request(host="account.example"))
    assert seen.get("x-forwarded-for") == "127.0.0.1"
    assert seen.get("x-forwarded-proto") == "http"
    assert seen.get("x-forwarded-host") == "account.example"
    assert seen.get("x-request-id") and len(seen.get("x-request-id")) >= 16
    assert seen.get("via").startswith("1.1 ")


def test_forwarded_fields_of_trusted_peers(t):
    """A trusted peer's fields are kept; X-Forwarded-For is extended."""
    _, c, o = t.inbound()
    seen, _, _ = t.exchange(c, o, request(fields=[
        "X-Forwarded-For: 203.0.113.9, 10.0.0.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example",
        "X-Request-Id: abc-123", "Forwarded: for=203.0.113.9"]))
    assert seen.get("x-forwarded-for") == "203.0.113.9, 10.0.0.1, 127.0.0.1"
    assert seen.get("x-forwarded-proto") == "https" and seen.get("x-forwarded-host") == "shop.example"
    assert seen.get("x-request-id") == "abc-123" and seen.get("forwarded") == "for=203.0.113.9"


def test_forwarded_for_in_several_fields(t):
    """X-Forwarded-For that came in several fields keeps its order; the peer is the last."""
    _, c, o = t.inbound()
    seen, _, _ = t.exchange(c, o, request(fields=["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.0.0.1"]))
    values = [value.strip() for line in seen.all("x-forwarded-for") for value in line.split(",")]
    assert values == ["203.0.113.9", "10.0.0.1", "127.0.0.1"], values


@rows({"none": ("none",), "other-block": ("10.0.0.0/8",)})
def test_forwarded_fields_of_untrusted_peers(t, trusted):
    """Others' X-Forwarded-* and X-Request-Id are replaced."""
    _, c, o = t.inbound({"OUTRIDER_TRUSTED_PEERS": trusted})
    seen, _, _ = t.exchange(c, o, request(fields=[
        "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Request-Id: evil-1",
        "Forwarded: for=evil"]))
    assert seen.get("x-forwarded-for") == "127.0.0.1" and seen.get("x-forwarded-proto") == "http"
    assert seen.get("x-forwarded-host") == "handler" and seen.get("x-request-id") != "evil-1"
    assert seen.get("forwarded") is None


def test_edge_trusts_nobody_by_default(t):
    """The edge replaces what the public says of itself."""
    o = t.origin()
    agent = t.edge({"a": {"prefix": "/", "upstream": "web"}}, {"web": [o]})
    c = t.client(agent.edge)
    seen, _, _ = t.exchange(c, o, request(host="shop", fields=["X-Forwarded-For: 1.2.3.4", "X-Request-Id: mine",
                                                              "X-Outrider-Deadline-Ms: 1", "X-Envoy-Expected-Rq-Timeout-Ms: 10000"]))
    assert seen.get("x-forwarded-for") == "127.0.0.1" and seen.get("x-request-id") != "mine"
    assert seen.get("x-outrider-deadline-ms") is None and seen.get("x-envoy-expected-rq-timeout-ms") is None


def test_edge_believes_the_deadline_of_an_envoy_before_it(t):
    """A trusted peer's deadline holds at the edge, too."""
    o = t.origin()
    agent = t.edge({"a": {"prefix": "/", "upstream": "web"}}, {"web": [o]}, {"OUTRIDER_TRUSTED_PEERS": "127.0.0.1"})
    seen, _, _ = t.exchange(t.client(agent.edge), o, request(host="shop", fields=["X-Envoy-Expected-Rq-Timeout-Ms: 10000"]))
    assert 0 < int(seen.get("x-outrider-deadline-ms")) <= 10000, seen.fields


@rows({"for": ("FORWARD_FOR", "x-forwarded-for"), "proto": ("FORWARD_PROTO", "x-forwarded-proto"),
       "host": ("FORWARD_HOST", "x-forwarded-host"), "request-id": ("FORWARD_REQUEST_ID", "x-request-id"),
       "via": ("FORWARD_VIA", "via")})
def test_forward_options_off(t, option, name):
    """Each of them can be left alone by an option: the field passes as it came."""
    _, c, o = t.inbound({"OUTRIDER_" + option: "off"})
    seen, _, wire = t.exchange(c, o)
    assert seen.get(name) is None
    value = "1.1 other" if name == "via" else "as-it-came"
    seen, _, _ = t.exchange(c, wire, request(fields=["%s: %s" % (name, value)]))
    assert seen.get(name) == value


def test_request_id_is_kept_on_outbound(t):
    """The own service's X-Request-Id is kept, so that one id runs through."""
    _, c, o = t.outbound()
    seen, _, wire = t.exchange(c, o, request(host="quotes", fields=["X-Request-Id: run-through"]))
    assert seen.get("x-request-id") == "run-through"
    seen, _, _ = t.exchange(c, wire, request(host="quotes"))
    assert seen.get("x-request-id")


def test_request_ids_differ(t):
    """Two requests get two ids."""
    _, c, o = t.inbound()
    first, _, wire = t.exchange(c, o)
    second, _, _ = t.exchange(c, wire)
    assert first.get("x-request-id") != second.get("x-request-id")


def test_via_is_extended(t):
    """An earlier Via is kept before ours."""
    _, c, o = t.inbound()
    seen, _, _ = t.exchange(c, o, request(fields=["Via: 1.1 front"]))
    vias = [value.strip() for line in seen.all("via") for value in line.split(",")]
    assert vias[0] == "1.1 front" and len(vias) == 2, vias


def test_via_of_http10(t):
    """Via names the version that was received."""
    _, c, o = t.inbound()
    seen, _, _ = t.exchange(c, o, request(version="HTTP/1.0"))
    assert seen.get("via").startswith("1.0 ")


def test_loop_is_refused(t):
    """An agent's own Via mark coming back to the same listener is a loop: 508."""
    _, c, o = t.inbound()
    seen, _, _ = t.exchange(c, o)
    c.send(request(fields=["Via: 1.1 other, " + seen.get("via")]))
    t.own_answer(c.read_response(), "loop")
    assert o.untouched()


def test_real_loop_ends(t):
    """An upstream whose endpoint is the own outbound listener ends in 508 or a refusal, not in a storm."""
    env, ports = t.wiring()
    pinned = t.port()
    env["OUTRIDER_UPSTREAMS"] = "ring@" + pinned.text
    env["OUTRIDER_UPSTREAM_RING_ENDPOINTS"] = pinned.text
    t.agent(["sidecar"], env, ports)
    c = t.client(pinned)
    c.ask(host="ring")
    t.own_answer(c.read_response(), "loop")


def test_outbound_then_inbound_of_one_agent_is_no_loop(t):
    """A service that calls itself through both of its listeners passes the same agent twice without being a loop."""
    handler = t.origin("handler")
    env, ports = t.wiring(handler)
    pinned = t.port()
    env["OUTRIDER_UPSTREAMS"] = "myself@" + pinned.text
    env["OUTRIDER_UPSTREAM_MYSELF_ENDPOINTS"] = ports["inbound"].text
    t.agent(["sidecar"], env, ports)
    c = t.client(pinned)
    _, reply, _ = t.exchange(c, handler, request(host="myself"))
    assert reply.status == 200


def test_mesh_words_are_removed(t):
    """What agents tell each other reaches no handler and no client, but for the deadline."""
    _, c, o = t.inbound()
    seen, reply, _ = t.exchange(
        c, o, request(fields=["x-outrider-hello: v=1", "x-outrider-attempt: 2", "x-outrider-deadline-ms: 500"]),
        response(200, b"", ["x-outrider-mark: unsent", "x-outrider-hello: v=1"]))
    assert seen.get("x-outrider-hello") is None and seen.get("x-outrider-attempt") is None
    assert reply.get("x-outrider-mark") is None or reply.get("x-outrider-mark") != "unsent"
    assert seen.get("x-outrider-deadline-ms") is not None


def test_reason_of_an_upstream_agent_is_kept(t):
    """A reply of another agent keeps its x-outrider-reason on the way out."""
    _, c, o = t.outbound()
    _, reply, _ = t.exchange(c, o, request(host="quotes"), response(503, b"{}", ["x-outrider-reason: handler-down"]))
    assert reply.status == 503 and reply.get("x-outrider-reason") == "handler-down"
