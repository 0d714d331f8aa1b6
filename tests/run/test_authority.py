"""The authority rules of the outbound port, and what is never reached through it."""
import socket

from harness.case import Skip, rows
from harness.message import request


def _absolute(authority, path="/x", host=None):
    return request("GET", "http://%s%s" % (authority, path), host or authority)


@rows({"plain": ("quotes",), "any-port": ("quotes:9999",), "upper-case": ("QUOTES",), "final-dot": ("quotes.",)})
def test_service_name_by_absolute_form(t, authority):
    """A service's name, with any port, is that service; the origin gets origin form and the right Host."""
    _, c, o = t.outbound()
    seen, reply, _ = t.exchange(c, o, _absolute(authority, "/a?b=c"))
    assert seen.target == "/a?b=c" and seen.get("host") == authority and reply.status == 200


@rows({"plain": ("quotes",), "any-port": ("quotes:80",)})
def test_service_name_by_host(t, authority):
    """Origin form with Host works as well (a client that was pointed at 4140 by name)."""
    _, c, o = t.outbound()
    seen, _, _ = t.exchange(c, o, request("GET", "/a", authority))
    assert seen.target == "/a" and seen.get("host") == authority


def test_absolute_form_wins_over_host(t):
    """Where both differ the absolute form counts, and Host is rewritten to it (RFC 9112 section 3.2.2)."""
    first, second = t.origin("first"), t.origin("second")
    agent = t.sidecar(endpoints={"first": [first], "second": [second]})
    c = t.client(agent.outbound)
    seen, _, _ = t.exchange(c, first, _absolute("first", host="second"))
    assert seen.get("host") == "first" and second.untouched()


@rows({"with-underscore": ("my_quotes",), "with-dash": ("my-quotes",), "with-dot": ("my.quotes",)})
def test_service_names_with_signs(t, name):
    """Names with -, _ and . are found; in an env name all are _ (the list of upstreams says which is meant)."""
    _, c, o = t.outbound(service=name, env={"OUTRIDER_UPSTREAMS": "%s@%s" % (name, t.port().text)})
    seen, reply, _ = t.exchange(c, o, _absolute(name))
    assert reply.status == 200 and seen.get("host") == name


def test_endpoint_address(t):
    """IP:port of a known endpoint is that upstream and that endpoint, always."""
    agent, c, origins = t.outbound(n=3)
    server = origins[1]
    for _ in range(3):
        seen, _, server = t.exchange(c, server, _absolute(origins[1].text))
        assert seen.get("host") == origins[1].text
    assert origins[0].untouched() and origins[2].untouched()
    page = agent.get("/upstreams")["upstreams"]
    assert [u["requests"] for u in page if u["name"] == "quotes"] == [3]


@rows({"localhost": ("localhost",), "127.0.0.1": ("127.0.0.1",), "upper-case": ("LOCALHOST",)})
def test_localhost_port(t, host):
    """localhost:port is that port of this namespace."""
    o = t.origin()
    agent = t.sidecar()
    c = t.client(agent.outbound)
    _, reply, _ = t.exchange(c, o, _absolute("%s:%d" % (host, o.port)))
    assert reply.status == 200


def test_localhost_ipv6(t):
    """[::1]:port is a local port too."""
    o = t.origin(address=("::1", 0))
    c = t.client(t.sidecar().outbound)
    _, reply, _ = t.exchange(c, o, _absolute(o.text))
    assert reply.status == 200


def test_localhost_without_a_listener(t):
    """A local port on which nobody listens is a 502 of blame upstream."""
    c = t.client(t.sidecar().outbound)
    c.send(_absolute(t.port().text))
    t.own_answer(c.read_response(), "connect-refused")


OWN = {"127.0.0.1": "127.0.0.1:%d", "localhost": "localhost:%d", "localhost-dot": "localhost.:%d",
       "LOCALHOST": "LocalHost:%d", "v6": "[::1]:%d", "v6-long": "[0:0:0:0:0:0:0:1]:%d", "any": "0.0.0.0:%d",
       "any-v6": "[::]:%d", "other-loopback": "127.9.8.7:%d", "mapped": "[::ffff:127.0.0.1]:%d",
       "mapped-hex": "[::ffff:7f00:1]:%d", "short": "127.1:%d", "number": "2130706433:%d", "hex": "0x7f000001:%d",
       "octal": "0177.0.0.1:%d", "sub-of-localhost": "x.localhost:%d", "v6-name": "ip6-localhost:%d"}


def _not_reached(t, agent, c, raw, connect=False):
    c.send(raw)
    reply = c.read_response("CONNECT" if connect else "GET")
    assert reply.status >= 400, "reached: %d %r" % (reply.status, reply.body[:200])
    assert b"phase" not in reply.body and b'"ready"' not in reply.body
    return reply


@rows({"%s-%s" % (name, port): (spelling, port) for name, spelling in OWN.items()
       for port in ("admin", "outbound", "inbound")})
def test_own_ports_are_not_reached(t, spelling, port):
    """No spelling of an own address leads through 4140 to the agent's admin, outbound or inbound port."""
    handler = t.origin("handler")
    agent = t.sidecar(handler)
    authority = spelling % agent.addresses[port][1]
    c = t.client(agent.outbound)
    reply = _not_reached(t, agent, c, _absolute(authority, "/ready"))
    if spelling.split(":%d")[0] in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.9.8.7"):
        t.own_answer(reply, "own-port")
    c = t.client(agent.outbound)
    _not_reached(t, agent, c, ("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (authority, authority)).encode(), True)
    assert handler.untouched()


def test_own_address_of_the_machine(t):
    """The machine's own address counts as own, with the agent listening on all addresses."""
    own = t.own_address()
    agent = t.sidecar(listen="0.0.0.0", handler=t.origin("handler"), ready=False)
    agent.addresses = {name: ("127.0.0.1", address[1]) for name, address in agent.addresses.items()}
    agent.wait_ready()
    c = t.client(agent.outbound)
    t.own_answer(_not_reached(t, agent, c, _absolute("%s:%d" % (own, agent.admin[1]), "/ready")), "own-port")


def test_own_name_of_the_machine(t):
    """A host name that resolves to an own address does not lead to the admin port."""
    agent = t.sidecar()
    c = t.client(agent.outbound)
    _not_reached(t, agent, c, _absolute("%s:%d" % (socket.gethostname(), agent.admin[1]), "/ready"))


def test_admin_port_is_not_reached_through_inbound(t):
    """4143 goes to the own handler whatever Host or absolute form says."""
    agent, c, o = t.inbound()
    seen, reply, wire = t.exchange(c, o, _absolute("127.0.0.1:%d" % agent.admin[1], "/ready"))
    assert reply.body == b"fine" and seen.target == "/ready"
    t.exchange(c, wire, request("GET", "/ready", "127.0.0.1:%d" % agent.admin[1]))


def test_admin_port_as_endpoint(t):
    """An upstream whose endpoint is the own admin port is refused at start or when called."""
    env, ports = t.wiring()
    env["OUTRIDER_UPSTREAM_SELF_ENDPOINTS"] = ports["admin"].text
    agent = t.agent(["sidecar"], env, ports, expect_status=None, ready=False)
    try:
        agent.wait_ready()
    except AssertionError:
        assert agent.proc.poll() is not None
        return
    c = t.client(agent.outbound)
    _not_reached(t, agent, c, _absolute("self", "/ready"))


def _outside(t):
    """An origin that is egress although it runs here: reached by a name of the hosts file that is not localhost."""
    for name in (socket.gethostname(), "ip6-localhost", "ip6-loopback"):
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except OSError:
            continue
        o = t.origin("outside", (found[0][4][0], 0))
        return o, "%s:%d" % (name, o.port)
    raise Skip("the hosts file has no name but localhost")


def test_egress_allow(t):
    """By default anything else is reached; it is counted as upstream external."""
    o, authority = _outside(t)
    agent = t.sidecar()
    c = t.client(agent.outbound)
    _, reply, _ = t.exchange(c, o, _absolute(authority))
    assert reply.status == 200
    page = agent.get("/upstreams")["upstreams"]
    assert [u["requests"] for u in page if u["kind"] == "external"] == [1], page


def test_egress_deny(t):
    """egress=deny: 403 egress-denied, and nothing is connected."""
    agent, c, o = t.outbound({"OUTRIDER_EGRESS": "deny"})
    for authority in ("example.org", "203.0.113.7:80", "[2001:db8::1]:80"):
        c.send(_absolute(authority))
        t.own_answer(c.read_response(), "egress-denied")
    _, reply, _ = t.exchange(c, o, _absolute("quotes"))
    assert reply.status == 200, "services are no egress"


def test_egress_list(t):
    """egress=list lets through what is listed, and *.suffix."""
    _, c, _ = t.outbound({"OUTRIDER_EGRESS": "list", "OUTRIDER_EGRESS_LIST": "*.allowed.invalid,one.invalid"})
    for authority, allowed in (("other.invalid", False), ("allowed.invalid.evil.invalid", False),
                               ("notallowed.invalid", False), ("a.allowed.invalid", True), ("one.invalid", True),
                               ("ONE.invalid.", True)):
        c.send(_absolute(authority))
        reply = c.read_response(seconds=20)
        if allowed:  # .invalid names never resolve (RFC 6761)
            assert reply.get("x-outrider-reason") in ("name-unknown", "connect-failed"), (authority, reply.body)
        else:
            t.own_answer(reply, "egress-denied")


@rows({"v4": ("169.254.169.254",), "v4-other": ("169.254.1.1:8080",), "v6": ("[fe80::1]",),
       "mapped": ("[::ffff:169.254.169.254]",)})
def test_egress_never_link_local(t, authority):
    """Link-local addresses (cloud metadata) are never reached, whatever egress says."""
    agent = t.sidecar(env={"OUTRIDER_TIMEOUT_CONNECT": "1s"})
    c = t.client(agent.outbound)
    c.send(_absolute(authority))
    t.own_answer(c.read_response(), "egress-denied")
    c = t.client(agent.outbound)
    c.send("CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n" % (authority if authority.count(":") == 1 or "]:" in authority
                                                     else authority + ":80"))
    t.own_answer(c.read_response("CONNECT"), "egress-denied")


def test_egress_name_unknown(t):
    """A name that does not resolve: 502 name-unknown."""
    c = t.client(t.sidecar().outbound)
    c.send(_absolute("no-such-host.invalid"))
    reply = c.read_response(seconds=20)
    if reply.get("x-outrider-reason") != "name-unknown":
        raise Skip("no resolver here: %s" % reply.get("x-outrider-reason"))
    t.own_answer(reply, "name-unknown")


def test_egress_is_not_repeated(t):
    """Egress has no retries: a GET whose fresh connection ends at once is told to the client."""
    o, authority = _outside(t)
    agent = t.sidecar()
    c = t.client(agent.outbound)
    c.send(_absolute(authority))
    first = o.accept()
    first.read_request()
    first.close()
    t.own_answer(t.answered_once(c, o), "upstream-closed")


@rows({"https": ("https://quotes/",), "ftp": ("ftp://quotes/",), "userinfo": ("http://user:pass@quotes/",),
       "bad-port": ("http://quotes:99999/",), "empty-host": ("http:///x",), "no-scheme": ("quotes/x",)})
def test_absolute_forms_that_are_refused(t, target):
    """Targets of other schemes, with user data or bad authorities are refused; nothing reaches the service."""
    _, c, o = t.outbound()
    c.send(request("GET", target, "quotes"))
    reply = c.read_response()
    assert reply.status == 400 and reply.get("x-outrider-reason") in ("bad-target", "bad-host"), reply.fields
    assert o.untouched()


def test_options_asterisk(t):
    """OPTIONS * is passed on."""
    _, c, o = t.outbound()
    seen, _, _ = t.exchange(c, o, request("OPTIONS", "*", "quotes"))
    assert seen.target == "*"


def test_one_connection_many_authorities(t):
    """Each request of one proxy connection goes where it says."""
    origins = {name: t.origin(name) for name in ("a", "b", "c")}
    agent = t.sidecar(endpoints={name: [o] for name, o in origins.items()})
    c = t.client(agent.outbound)
    for name in "abcabc":
        c.send(_absolute(name))
        o = origins[name]
        wire = o.wire if hasattr(o, "wire") else o.accept()
        o.wire = wire
        wire.read_request()
        wire.answer(200, name.encode())
        assert c.read_response().body == name.encode()


def test_no_endpoint(t):
    """A known service without endpoints: 503 no-endpoint."""
    port = t.port()
    t.sidecar(upstreams="ghost@" + port.text)
    c = t.client(port)
    c.ask(host="ghost")
    t.own_answer(c.read_response(seconds=12), "no-endpoint")
