"""Where the agent listens and what stands behind it: pinned upstreams, IPv6, Unix sockets, mode off."""
import os
import select
import time

from harness import diag
from harness.case import rows
from harness.message import request, response


def _pinned(t, spelling, port, **options):
    o = t.origin("quotes")
    agent = t.sidecar(upstreams=spelling, endpoints={"quotes": [o]}, **options)
    return agent, t.client(port), o


def test_pinned_address(t):
    """service@address:port: this address is that upstream, whatever Host says."""
    port = t.port("127.0.4.1")
    _, c, o = _pinned(t, "quotes@" + port.text, port)
    for host in ("quotes", "something.else:81"):
        c.ask("GET", "/a", host)
        wire = o.accept() if o.count == 0 else wire
        seen = wire.read_request()
        assert seen.get("host") == host
        wire.answer(200, b"ok")
        assert c.read_response().status == 200


def test_pinned_address_with_upstream_port(t):
    """service:port@address:port carries the port of the upstream."""
    port = t.port("127.0.4.1")
    _, c, o = _pinned(t, "quotes:8080@" + port.text, port)
    assert t.exchange(c, o, request(host="quotes:8080"))[1].status == 200


def test_pinned_short(t):
    """service:port is short for service@127.0.0.1:port."""
    port = t.port()
    _, c, o = _pinned(t, "quotes:%d" % port.port, port)
    assert t.exchange(c, o, request(host="127.0.0.1:%d" % port.port))[1].status == 200


def test_pinned_ipv6(t):
    """A pinned address may be IPv6."""
    port = t.port("::1")
    _, c, o = _pinned(t, "quotes@" + port.text, port)
    assert t.exchange(c, o, request(host="quotes"))[1].status == 200


def test_pinned_several(t):
    """Several upstreams in one list, tcp among them."""
    ports = [t.port() for _ in range(3)]
    origins = [t.origin(name) for name in ("one", "two", "db")]
    t.sidecar(upstreams="one@%s,two:%d,tcp://db@%s" % (ports[0].text, ports[1].port, ports[2].text),
              endpoints=dict(zip(("one", "two", "db"), ([o] for o in origins))))
    t.exchange(t.client(ports[0]), origins[0])
    t.exchange(t.client(ports[1]), origins[1])
    c = t.client(ports[2])
    c.send(b"\x00raw")
    origins[2].accept().expect(b"\x00raw")


def test_pinned_absolute_form(t):
    """Absolute form on a pinned address goes to that upstream, not where it says."""
    port, other = t.port(), t.origin("other")
    _, c, o = _pinned(t, "quotes:%d" % port.port, port, env={"OUTRIDER_UPSTREAM_OTHER_ENDPOINTS": other.text})
    t.exchange(c, o, request("GET", "http://other/x", "other"))
    assert other.untouched()


def test_pinned_port_equal_to_the_handlers(t):
    """A pinned port equal to OUTRIDER_PORT is an error that names the other wirings."""
    handler = t.origin("handler")
    env, ports = t.wiring(str(handler.port), "quotes@127.0.4.1:%d" % handler.port, {"quotes": [handler]})
    agent = t.agent(["sidecar"], env, ports, expect_status=2, ready=False)
    agent.wait()
    text = agent.stderr()
    assert str(handler.port) in text and "http_proxy" in text, text


def test_ipv6_listeners(t):
    """All listeners work on ::1."""
    o = t.origin("handler", ("::1", 0))
    up = t.origin("up", ("::1", 0))
    agent = t.sidecar(o, endpoints={"quotes": [up]}, listen="::1")
    t.exchange(t.client(agent.inbound), o)
    t.exchange(t.client(agent.outbound), up, request(host="quotes"))


def test_two_addresses_of_one_listener(t):
    """A listener may have several addresses."""
    o, extra = t.origin("handler"), t.port("::1")
    env, ports = t.wiring(o)
    env["OUTRIDER_INBOUND"] += "," + extra.text
    agent = t.agent(["sidecar"], env, ports)
    _, _, wire = t.exchange(t.client(agent.inbound), o)
    t.exchange(t.client(extra), wire)


@rows({"path": (False,), "abstract": (True,)})
def test_handler_on_a_unix_socket(t, abstract):
    """The handler may listen on a Unix socket, by path or by abstract name."""
    name = "@outrider-run-%d" % os.getpid() if abstract else os.path.join(t.tempdir(), "handler.sock")
    o = t.origin("handler", name)
    agent = t.sidecar("unix:" + name)
    c = t.client(agent.inbound)
    _, reply, wire = t.exchange(c, o)
    assert reply.status == 200
    t.exchange(c, wire)


def test_handler_by_port_alone(t):
    """OUTRIDER_PORT as a mere number reaches the handler at 127.0.0.1."""
    o = t.origin("handler")
    agent = t.sidecar(str(o.port))
    assert t.exchange(t.client(agent.inbound), o)[1].status == 200


def _sidecar_everywhere(t, handler_port):
    """A sidecar on all addresses, its handler given by port alone."""
    agent = t.sidecar(str(handler_port), listen="0.0.0.0", ready=False)
    agent.addresses = {name: ("127.0.0.1", address[1]) for name, address in agent.addresses.items()}
    return agent.wait_ready()


def test_handler_at_the_called_address(t):
    """With a mere number the handler is reached at the address that the caller used, when it listens there (so that
    pages for localhost alone stay guarded), at 127.0.0.1 when it listens nowhere else."""
    own = t.own_address()
    o = t.origin("handler", (own, 0))
    agent = _sidecar_everywhere(t, o.port)
    assert t.exchange(t.client((own, agent.inbound[1])), o)[1].status == 200


def test_handler_on_loopback_called_from_outside(t):
    """A handler that listens on 127.0.0.1 alone is reached for a caller from elsewhere."""
    own = t.own_address()
    o = t.origin("handler")
    agent = _sidecar_everywhere(t, o.port)
    assert t.exchange(t.client((own, agent.inbound[1])), o)[1].status == 200


def test_handler_on_ipv6_loopback(t):
    """A handler that listens on ::1 alone is found."""
    o = t.origin("handler", ("::1", 0))
    agent = t.sidecar(str(o.port))
    assert t.exchange(t.client(agent.inbound), o)[1].status == 200


def test_outbound_off(t):
    """A listener that is off is not there."""
    o = t.origin("handler")
    env, ports = t.wiring(o)
    env["OUTRIDER_OUTBOUND"] = "off"
    agent = t.agent(["sidecar"], env, ports)
    try:
        t.client(agent.outbound)
    except ConnectionRefusedError:
        t.exchange(t.client(agent.inbound), o)
        return
    raise AssertionError("somebody listens on the outbound port")


def test_port_taken(t):
    """A port that is taken ends the start with a line that names it."""
    taken = t.origin("taken")
    env, ports = t.wiring()
    env["OUTRIDER_OUTBOUND"] = taken.text
    agent = t.agent(["sidecar"], env, ports, expect_status=1, ready=False)
    agent.wait()
    assert str(taken.port) in agent.stderr(), agent.stderr()


def test_two_workers_share_the_listeners(t):
    """With two workers every connection is served, whichever accepts it."""
    o = t.origin("handler")
    agent = t.sidecar(o, env={"OUTRIDER_WORKERS": "2"})
    job = t.background(_serve, o, 24)
    for n in range(24):
        c = t.client(agent.inbound)
        c.ask("GET", "/%d" % n)
        assert c.read_response().body == b"ok"
        c.close()
    job.join()


def _serve(origin, count):
    """Answers that many requests, on however many connections they come."""
    wires, done = [], 0
    while done < count:
        ready = select.select([origin.sock] + [w.sock for w in wires], [], [], 8)[0]
        assert ready, "no request came; %d of %d are done" % (done, count)
        for sock in ready:
            if sock is origin.sock:
                wires.append(origin.accept())
                continue
            wire = next(w for w in wires if w.sock is sock)
            if not wire._more(time.monotonic() + 8):
                wires.remove(wire)
                continue
            while b"\r\n\r\n" in wire.buf:
                wire.read_request()
                wire.answer(200, b"ok")
                done += 1


def test_mode_off_is_a_plain_relay(t):
    """OUTRIDER_MODE=off: requests pass without added fields, and nothing is repeated."""
    handler = t.origin("handler")
    agent = t.sidecar(handler, env={"OUTRIDER_MODE": "off"})
    c = t.client(agent.inbound)
    seen, reply, wire = t.exchange(c, handler, request("GET", "/a", fields=["X-A: 1"]), response(200, b"x", ["X-B: 2"]))
    added = [name for name in seen.names() if name not in ("host", "x-a", "via")]
    assert not added, added
    assert reply.get("x-b") == "2"
    c.ask("GET", "/dies")
    wire.read_request()
    wire.close()
    again = None
    if not handler.untouched():
        again = handler.accept()
    assert c.read_response().status == 502 and again is None, "a request was repeated in mode off"


def test_mode_off_still_refuses_ambiguity(t):
    """Mode off does not open a door for smuggling."""
    _, c, o = t.inbound({"OUTRIDER_MODE": "off"})
    c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    t.own_answer(c.read_response(), "bad-length")
    c.expect_end()
    assert o.untouched()


def test_mode_observe_passes_traffic(t):
    """observe is like on as long as nothing is to be broken."""
    _, c, o = t.inbound({"OUTRIDER_MODE": "observe"})
    assert t.exchange(c, o)[1].status == 200


def test_tcp_keepalive_on_both_sides(t):
    """Both sides have TCP keepalive, first probe below 900 s (swarm's load balancer forgets idle connections then)."""
    _, c, o = t.inbound()
    _, _, wire = t.exchange(c, o)
    wire.consumed()
    family = c.sock.family
    shown = [diag.timer(family, c.sock.getpeername(), c.sock.getsockname()),
             diag.timer(family, wire.sock.getpeername(), wire.sock.getsockname())]
    for kind, left in shown:
        assert kind == 2 and left < 900000, "timer %s, %d ms (2 is keepalive)" % (kind, left)
