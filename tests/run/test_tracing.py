"""Traces: which fields go on, with which ids; what is sampled; what is inferred."""
import re

from harness.case import rows

TRACE = "463ac35c9f6413ad48485a3953bb6124"
SPAN, PARENT = "a2fb4a1d1a96d312", "0020000000000001"
ALWAYS = {"OUTRIDER_TRACE": "", "OUTRIDER_TRACE_SAMPLE": "always"}
NEVER = {"OUTRIDER_TRACE": "", "OUTRIDER_TRACE_SAMPLE": "never"}
B3 = re.compile(r"^([0-9a-f]{16,32})-([0-9a-f]{16})(?:-([01d]))?(?:-([0-9a-f]{16}))?$")
MULTI = "X-B3-TraceId: %s|X-B3-SpanId: %s|X-B3-ParentSpanId: %s|X-B3-Sampled: 1" % (TRACE, SPAN, PARENT)
W3C = "traceparent: 00-%s-%s-01" % (TRACE, SPAN)


def seen(hit):
    """What a service got: (trace, span, state, parent) of b3, after a look whether the other forms say the same."""
    trace, span, state, parent = B3.match(hit.get("b3")).groups()
    assert hit.get("x-b3-traceid") == trace and hit.get("x-b3-spanid") == span and hit.get("x-b3-parentspanid") == parent, hit
    assert hit.get("traceparent") == "00-%s-%s-0%d" % (trace.rjust(32, "0"), span, state in "1d"), hit.get("traceparent")
    return trace, span, state, parent


def call(t, address, fields=(), host="quotes", path="/"):
    c = t.client(address)
    c.ask("GET", path, host, fields)
    return c.read_response()


@rows({"b3": ("b3: %s-%s-1-%s" % (TRACE, SPAN, PARENT),), "multi": (MULTI,), "w3c": (W3C,)})
def test_outbound_is_a_child(t, fields):
    """A call goes on with the trace that came, under a new id, child of the one that came, in all three forms."""
    s = t.service(200)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=NEVER)
    assert call(t, agent.outbound, fields.split("|")).status == 200
    trace, span, state, parent = seen(s.hits[0])
    assert (trace, state, parent) == (TRACE, "1", SPAN) and span not in (SPAN, PARENT), s.hits[0]


@rows({"child": ("off", False), "join": ("on", True)})
def test_inbound(t, join, same):
    """The service gets the id of our SERVER span: a child of the caller's, or where trace.join is on the caller's own."""
    s = t.service(200)
    agent = t.sidecar(handler=s, env=dict(NEVER, OUTRIDER_TRACE_JOIN=join))
    call(t, agent.inbound, ["b3: %s-%s-1-%s" % (TRACE, SPAN, PARENT)], "accountservice")
    trace, span, state, parent = seen(s.hits[0])
    assert trace == TRACE and state == "1" and (span == SPAN) == same and parent == (PARENT if same else SPAN), s.hits[0]


@rows({"always": (ALWAYS, True), "never": (NEVER, False), "off": ({"OUTRIDER_TRACE": "off"}, False)})
def test_a_new_trace(t, env, begins):
    """A request without fields begins a trace of 128 bits where the sampler says so; else nothing is added to it."""
    s = t.service(200)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=env)
    call(t, agent.outbound)
    if begins:
        trace, span, state, parent = seen(s.hits[0])
        assert len(trace) == 32 and trace.endswith(span) and state == "1" and parent is None, s.hits[0]
    else:
        assert not [f for f in ("b3", "x-b3-sampled", "traceparent") if s.hits[0].get(f)], s.hits[0]


@rows({"deny": ("b3: 0",), "deny with ids": ("b3: %s-%s-0" % (TRACE, SPAN),), "w3c": ("traceparent: 00-%s-%s-00" % (TRACE, SPAN),),
       "sampled 0": ("X-B3-Sampled: 0",)})
def test_a_denial_goes_on(t, field):
    """What was decided against is passed on as it came."""
    s = t.service(200)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=ALWAYS)
    call(t, agent.outbound, [field])
    name, value = field.split(": ")
    assert s.hits[0].get(name.lower()) == value, s.hits[0]


def test_debug_goes_on(t):
    """Debug is obeyed whatever the sampler says, and goes on as debug."""
    s = t.service(200)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=NEVER)
    call(t, agent.outbound, ["b3: %s-%s-d" % (TRACE, SPAN)])
    assert seen(s.hits[0])[2] == "d" and s.hits[0].get("x-b3-flags") == "1"


def test_each_attempt_has_an_id(t):
    """A retry has another span's id, under the local span `retry`, of the same trace."""
    bad, good = t.service(503), t.service(200)
    agent = t.sidecar(endpoints={"quotes": [bad, good]}, env=NEVER)
    while not bad.hits:
        good.hits.clear()
        assert call(t, agent.outbound, ["b3: %s-%s-1" % (TRACE, SPAN)]).status == 200
    first, second = seen(bad.hits[0]), seen(good.hits[-1])
    assert first[0] == second[0] == TRACE and first[1] != second[1] and first[3] == SPAN and second[3] not in (SPAN, first[1]), (first, second)


@rows({"b3 first": ("b3,b3-multi,w3c", 0), "w3c first": ("w3c,b3,b3-multi", 1), "multi alone": ("b3-multi", 2)})
def test_which_fields_are_read(t, order, counts):
    """Of several forms the first of trace.read counts; forms that it does not name are as if they were not there."""
    s, traces = t.service(200), [TRACE[:-1] + digit for digit in "abc"]
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(NEVER, OUTRIDER_TRACE_READ=order))
    fields = ["b3: %s-%s-1" % (traces[0], SPAN), "traceparent: 00-%s-%s-01" % (traces[1], SPAN), "X-B3-TraceId: " + traces[2], "X-B3-SpanId: " + SPAN,
              "X-B3-Sampled: 1"]
    call(t, agent.outbound, fields)
    assert seen(s.hits[0])[0] == traces[counts], s.hits[0]


def test_a_route_samples_by_itself(t):
    """trace.sample of a route stands before the edge's for traces that begin with its requests; what no route takes is the edge's."""
    s = t.service(200)
    routes = {name: dict(prefix="/" + name, upstream="quotes", **more) for name, more in (
        ("loud", {"trace_sample": "always"}), ("quiet", {"trace_sample": "never"}), ("some", {"trace_sample": "2/s"}), ("usual", {}))}
    agent = t.edge(routes, endpoints={"quotes": [s]}, env=dict(ALWAYS, OUTRIDER_FLIGHT_SIZE="256KiB"))

    def states(path, n=1):
        s.hits.clear()
        for _ in range(n):
            c = t.client(agent.edge)
            c.ask("GET", path, "quotes")
            assert c.read_response().status == 200
        return [hit.get("b3") and hit.get("b3").split("-")[2] for hit in s.hits]
    assert (states("/loud"), states("/quiet"), states("/usual")) == (["1"], [None], ["1"])
    told = states("/some", 20)
    assert 2 <= told.count("1") <= 8 and told.count(None) == 20 - told.count("1"), told
    lost = t.client(agent.edge)
    lost.ask("GET", "/nowhere", "quotes")
    assert lost.read_response().status == 404
    agent.until("its trace", lambda: [trace for trace in agent.get("/traces?limit=100")["traces"] if trace["path"] == "/nowhere"])


def test_tracestate(t):
    """tracestate goes on with its traceparent, and not without it."""
    s = t.service(200)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=NEVER)
    call(t, agent.outbound, [W3C, "tracestate: a=1,b=2"])
    call(t, agent.outbound, ["b3: %s-%s-1" % (TRACE, SPAN), "traceparent: 00-nonsense", "tracestate: a=1"])
    assert s.hits[0].get("tracestate") == "a=1,b=2" and s.hits[1].get("tracestate") is None


def test_the_edge_believes_no_stranger(t):
    """At the edge a stranger's trace, and his debug flag, count for nothing; whom trusted-peers names is believed."""
    s = t.service(200)
    for trusted in ("none", "private"):
        agent = t.edge({"all": {"prefix": "/", "upstream": "quotes"}}, endpoints={"quotes": [s]}, env=dict(ALWAYS, OUTRIDER_TRUSTED_PEERS=trusted))
        call(t, agent.edge, ["b3: %s-%s-d" % (TRACE, SPAN)])
        trace, _, state, _ = seen(s.hits[-1])
        assert (trace == TRACE, state) == ((True, "d") if trusted == "private" else (False, "1")), s.hits[-1]


@rows({"request id": (True,), "the only one": (False,)})
def test_a_call_is_linked_by_inference(t, with_id):
    """A service that forwards no fields: its call is linked to the request it is busy with, by X-Request-Id or because there is no other."""
    quotes = t.service(200)
    agent = None

    def handler(message, _n):
        call(t, agent.outbound, ["X-Request-Id: " + message.get("x-request-id")] if with_id else [])
        return 200
    s = t.service(handler)
    agent = t.sidecar(handler=s, endpoints={"quotes": [quotes]}, env=NEVER)
    call(t, agent.inbound, ["b3: %s-%s-1" % (TRACE, SPAN)], "accountservice")
    trace, _, state, parent = seen(quotes.hits[0])
    assert trace == TRACE and state == "1" and parent == seen(s.hits[0])[1], (s.hits[0], quotes.hits[0])
    call(t, agent.outbound)
    assert quotes.hits[1].get("b3") is None, "nothing is in flight any more"


def plain(t, env, forward_id=False, fields=()):
    """A sidecar whose handler forwards no fields of traces in its call, but with forward_id the request's id: (agent, handler, the service called)."""
    quotes = t.service(200)

    def handler(message, _n):
        call(t, agent.outbound, list(fields) + (["X-Request-Id: " + message.get("x-request-id")] if forward_id else []))
        return 200
    s = t.service(handler)
    agent = t.sidecar(handler=s, endpoints={"quotes": [quotes]}, env=env)
    return agent, s, quotes


@rows({"by the request's id": ("b3: 0", True), "the only one": ("b3: 0", False), "with ids": ("b3: %s-%s-0" % (TRACE, SPAN), False),
       "w3c": ("traceparent: 00-%s-%s-00" % (TRACE, SPAN), False)})
def test_a_denial_reaches_a_plain_handlers_call(t, field, forward_id):
    """What was denied inbound is denied in the call that it causes, whatever the sampler says, in so many words: no trace begins in the middle."""
    agent, s, quotes = plain(t, ALWAYS, forward_id)
    other = t.background(call, t, agent.inbound, ["b3: 0"], "accountservice") if forward_id else None
    call(t, agent.inbound, [field], "accountservice")
    if other:
        other.join()
    assert s.hits[0].get(field.split(":")[0]) == field.split(": ")[1], s.hits[0]
    for hit in quotes.hits:
        assert hit.get("b3") == ("0" if field == "b3: 0" else "%s-%s-0" % (TRACE, SPAN)) and hit.get("x-b3-sampled") == "0", hit
        assert re.match(r"^00-[0-9a-f]{32}-[0-9a-f]{16}-00$", hit.get("traceparent")), hit
    assert agent.get("/traces")["traces"] == []
    call(t, agent.outbound)
    assert seen(quotes.hits[-1])[2] == "1", "nothing is in flight any more"


def test_a_plain_handlers_call_is_sampled_with_its_cause(t):
    """Where the sampler decides, a request and the call that it causes are both of the same trace, or both of none."""
    agent, s, quotes = plain(t, {"OUTRIDER_TRACE": "log:", "OUTRIDER_TRACE_SAMPLE": "50%"})
    for _ in range(30):
        call(t, agent.inbound, host="accountservice")
        inward, outward = s.hits[-1].get("b3"), quotes.hits[-1].get("b3")
        assert inward.split("-")[0] == outward.split("-")[0], (inward, outward)


def test_a_call_has_its_own_word(t):
    """Debug that a plain handler asks for stays debug under the trace that is inferred; and counts though the request was denied."""
    for field, joined in (("b3: %s-%s-1" % (TRACE, SPAN), True), ("b3: 0", False)):
        agent, _, quotes = plain(t, NEVER, fields=["b3: d"])
        call(t, agent.inbound, [field], "accountservice")
        trace, _, state, _ = seen(quotes.hits[0])
        assert (trace == TRACE, state) == (joined, "d"), quotes.hits[0]


@rows({"w3c": ("w3c", None), "all": ("b3,b3-multi,w3c", "0")})
def test_what_is_not_sampled_says_so(t, write, b3):
    """With an exporter a request that is not sampled is denied in each form that is written, W3C's with an id that nobody else has."""
    s = t.service(200)
    agent = t.sidecar(endpoints={"quotes": [s]}, env={"OUTRIDER_TRACE": "log:", "OUTRIDER_TRACE_SAMPLE": "never", "OUTRIDER_TRACE_WRITE": write})
    call(t, agent.outbound)
    call(t, agent.outbound)
    told = [re.match(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-00$", hit.get("traceparent") or "").group(1) for hit in s.hits]
    assert len(set(told)) == 2 and [hit.get("b3") for hit in s.hits] == [b3] * 2, s.hits


def test_inference_off(t):
    """trace.infer=off links nothing."""
    quotes = t.service(200)
    agent = None

    def handler(_m, _n):
        call(t, agent.outbound)
        return 200
    agent = t.sidecar(handler=t.service(handler), endpoints={"quotes": [quotes]}, env=dict(NEVER, OUTRIDER_TRACE_INFER="off"))
    call(t, agent.inbound, ["b3: %s-%s-1" % (TRACE, SPAN)], "accountservice")
    assert quotes.hits[0].get("b3") is None


def test_which_fields_go_out(t):
    """trace.write names the forms that go out."""
    s = t.service(200)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(ALWAYS, OUTRIDER_TRACE_WRITE="w3c"))
    call(t, agent.outbound, ["b3: %s-%s-1" % (TRACE, SPAN)])
    assert s.hits[0].get("b3") is None and s.hits[0].get("x-b3-traceid") is None and TRACE in s.hits[0].get("traceparent")


def test_which_agent(t):
    """x-outrider-agent of a reply names the agent beside the service that answered; an edge removes it, and the reason of inner agents, from what
    it relays, and leaves the request's id; the edge's own answers keep the reason."""
    s = t.service((503, b"", "X-Outrider-Agent: forged/handler"))
    inner = t.sidecar(handler=s, env={"OUTRIDER_FORWARD_AGENT": "auto", "OUTRIDER_NODE": "node one"})
    assert call(t, inner.inbound, host="accountservice").get("x-outrider-agent") == "node_one/accountservice"
    gone = t.port()
    idle = t.sidecar(handler=gone, env={"OUTRIDER_FORWARD_AGENT": "auto", "OUTRIDER_NODE": "n"})
    own = call(t, idle.inbound, host="accountservice")
    assert own.get("x-outrider-agent") == "n/accountservice" and own.get("x-outrider-reason") == "handler-down", own
    for mode, kept in (("auto", (None, None)), ("on", ("n/accountservice", "handler-down"))):
        edge = t.edge({"all": {"prefix": "/in", "upstream": "quotes"}}, endpoints={"quotes": ["%s:%d" % idle.inbound]},
                      env={"OUTRIDER_FORWARD_AGENT": mode, "OUTRIDER_RETRY_TRIES": "1", "OUTRIDER_NODE": "e"})
        relayed, answered = call(t, edge.edge, ["X-Request-Id: r-1"], path="/in"), call(t, edge.edge, path="/out")
        assert (relayed.get("x-outrider-agent"), relayed.get("x-outrider-reason")) == kept, relayed.fields
        assert relayed.status == 503 and relayed.get("x-request-id"), relayed.fields
        assert answered.status == 404 and answered.get("x-outrider-reason") == "no-route" and answered.get("x-request-id"), answered.fields
