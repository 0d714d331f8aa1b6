"""Endpoints of an upstream: round robin, another one when connecting fails, and what /upstreams tells."""
import json
import select

from harness.message import request

ROUND_ROBIN = {"OUTRIDER_BALANCE": "round-robin"}


def _serve(c, wires, origins, path="/"):
    """One request; the index of the origin that got it."""
    c.ask("GET", path, "quotes")
    socks = {o.sock: n for n, o in enumerate(origins)}
    socks.update({wire.sock: n for n, wire in wires.items()})
    ready = select.select(list(socks), [], [], 8)[0]
    assert len(ready) == 1, ready
    n = socks[ready[0]]
    if n not in wires:
        wires[n] = origins[n].accept()
    wires[n].read_request()
    wires[n].answer(200, b"%d" % n)
    assert c.read_response().body == b"%d" % n
    return n


def test_round_robin(t):
    """Requests go to the endpoints in turn."""
    _, c, origins = t.outbound(n=3, env=ROUND_ROBIN)
    wires = {}
    order = [_serve(c, wires, origins) for _ in range(9)]
    assert sorted(order[:3]) == [0, 1, 2] and order[:3] * 3 == order, order


def test_failed_connect_is_tried_elsewhere(t):
    """An endpoint that refuses costs no request anything, whatever its method."""
    o = t.origin()
    agent = t.sidecar(endpoints={"quotes": [t.port(), o, t.port()]})
    c, server = t.client(agent.outbound), o
    for n in range(6):
        method = ("GET", "POST", "DELETE")[n % 3]
        raw = request(method, "/", "quotes", body=b"abc" if method == "POST" else None)
        seen, reply, server = t.exchange(c, server, raw)
        assert reply.status == 200 and seen.method == method


def test_failed_connect_with_a_long_body(t):
    """The body of a request waits for the connection; nothing of it is lost when the first endpoint refuses."""
    o = t.origin()
    agent = t.sidecar(endpoints={"quotes": [t.port(), o]})
    data = bytes(range(256)) * 2000
    for _ in range(2):
        c = t.client(agent.outbound)
        job = t.background(c.send, request("POST", "/", "quotes", body=data))
        wire = o.accept()
        assert wire.read_request().body == data
        job.join()
        wire.answer(200, b"ok", ["Connection: close"])
        assert c.read_response().body == b"ok"


def test_all_endpoints_refuse(t):
    """When all refuse: 502 connect-refused; the last error stands in /upstreams."""
    agent = t.sidecar(endpoints={"quotes": [t.port(), t.port()]})
    c = t.client(agent.outbound)
    c.ask(host="quotes")
    t.own_answer(c.read_response(), "connect-refused")
    page = [u for u in agent.get("/upstreams")["upstreams"] if u["name"] == "quotes"][0]
    assert [e["last_error"] for e in page["endpoints"]] == ["connect-refused"] * 2, page


def test_drained_by_hand(t):
    """An endpoint that is drained gets no more requests until it is put back; each is a line of the log that says which endpoint of which upstream."""
    ends = [t.service((200, b"one")), t.service((200, b"two"))]
    agent = t.sidecar(endpoints={"quotes": ends}, env={"OUTRIDER_LOG_LEVEL": "info"})
    c = t.client(agent.outbound)

    def answers():
        found = set()
        for _ in range(20):
            c.ask(host="quotes")
            found.add(c.read_response().body)
        return found

    def put(state):
        assert agent.admin_call("PUT", "/upstreams/quotes/endpoints/%s?state=%s" % (ends[0].text, state), {"X-Outrider": "1"}, b"")[0] == 200

    assert answers() == {b"one", b"two"}
    put("drained")
    assert answers() == {b"two"}
    put("up")
    agent.until("it takes requests again", lambda: b"one" in answers())

    def told():
        lines = [json.loads(line) for line in agent.lines() if "by hand" in line]
        return [(r["message"], r.get("upstream"), r.get("endpoint")) for r in lines]
    agent.until("both are told", lambda: told() == [("an endpoint is drained by hand", "quotes", ends[0].text),
                                                    ("an endpoint is put back by hand", "quotes", ends[0].text)])


def test_connect_tries_bounds_the_search(t):
    """At most connect-tries endpoints are tried."""
    agent = t.sidecar(endpoints={"quotes": [t.port() for _ in range(6)]}, env={"OUTRIDER_CONNECT_TRIES": "2"})
    c = t.client(agent.outbound)
    c.ask(host="quotes")
    t.own_answer(c.read_response(), "connect-refused")
    page = [u for u in agent.get("/upstreams")["upstreams"] if u["name"] == "quotes"][0]
    assert sum(e["attempts"] for e in page["endpoints"]) == 2, page


def test_repeated_elsewhere(t):
    """A GET whose connection ends before the first byte is repeated on another endpoint."""
    _, c, origins = t.outbound(n=2)
    c.ask("GET", "/again", "quotes")
    first = _first(origins)
    wire = first.accept()
    wire.read_request()
    wire.close()
    other = origins[1] if first is origins[0] else origins[0]
    wire = other.accept()
    assert wire.read_request().target == "/again"
    wire.answer(200, b"ok")
    assert c.read_response().body == b"ok"


def _first(origins):
    ready = select.select([o.sock for o in origins], [], [], 8)[0]
    return next(o for o in origins if o.sock in ready)


def test_slow_endpoint_by_connect_timeout(t):
    """An endpoint that never accepts is passed over after timeout.connect."""
    hole, o = t.origin("hole").never_accept(), t.origin()
    agent = t.sidecar(endpoints={"quotes": [hole, o]}, env={"OUTRIDER_TIMEOUT_CONNECT": "150ms"})
    c, server = t.client(agent.outbound), o
    for _ in range(4):
        _, reply, server = t.exchange(c, server, request("POST", "/", "quotes", body=b"x"))
        assert reply.status == 200


def test_killed_and_restarted_instance(t):
    """An instance that dies and comes back on the same address is used again; no GET fails meanwhile."""
    agent, c, origins = t.outbound(n=2, env=ROUND_ROBIN)
    wires = {}
    for _ in range(4):
        _serve(c, wires, origins)
    port = origins[0].port
    wires.pop(0).close()
    origins[0].refuse()
    for _ in range(4):
        c.ask(host="quotes")
        wire = wires[1]
        wire.read_request()
        wire.answer(200, b"1")
        assert c.read_response().body == b"1"
    assert origins[1].untouched()
    origins[0] = t.origin("back", ("127.0.0.1", port))
    order = [_serve(c, wires, origins) for _ in range(4)]
    assert set(order) == {0, 1}, order
    assert agent.ready() == 200


def test_upstreams_page_counts(t):
    """/upstreams shows endpoints, in flight, counts."""
    agent, c, o = t.outbound()
    c.ask(host="quotes")
    wire = o.accept()
    wire.read_request()
    page = [u for u in agent.get("/upstreams")["upstreams"] if u["name"] == "quotes"][0]
    assert page["active"] == 1 and page["endpoints"][0]["active"] == 1, page
    wire.answer(200, b"x")
    c.read_response()

    def settled():
        now = [u for u in agent.get("/upstreams")["upstreams"] if u["name"] == "quotes"][0]
        end = now["endpoints"][0]
        return now if now["active"] == 0 and end["idle"] == 1 else None

    now = agent.until("settled", settled)
    assert now["requests"] == 1 and now["endpoints"][0]["address"] == o.text, now
