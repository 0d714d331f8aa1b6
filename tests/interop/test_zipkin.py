"""Zipkin's own server takes what agents send, and shows one trace of it with the right parents."""
import os
import signal
import subprocess
import tempfile
import time

from harness.case import rows
from needs import needs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRACE, SPAN = "463ac35c9f6413ad48485a3953bb61%02x", "a2fb4a1d1a96d3%02x"


def _env(zipkin, **more):
    return dict({"OUTRIDER_TRACE": "zipkin:" + zipkin.url, "OUTRIDER_TRACE_SAMPLE": "always"}, **more)


def _call(t, address, host, fields=(), path="/", status=200):
    c = t.client(address)
    c.ask("GET", path, host, fields)
    assert c.read_response().status == status


def _chain(spans):
    """From the root on, each the only child of the one before."""
    known = {(span["id"], span.get("shared", False)): span for span in spans}
    assert len(known) == len(spans), spans
    (root,) = [span for span in spans if span.get("parentId") not in {s["id"] for s in spans}]
    chain = [root]
    while len(chain) < len(spans):
        (child,) = [span for span in spans if span.get("parentId") == chain[-1]["id"] and span not in chain]
        chain.append(child)
    return chain


@needs("zipkin")
@rows({"plain": ({},), "gzip": ({"OUTRIDER_ZIPKIN_GZIP": "on"},)})
def test_one_trace(t, estate, more):
    """A call through the edge, an account service and its quotes is ONE trace in Zipkin: five spans with the right kinds, parents, services and
    peers; Zipkin derives from it who calls whom."""
    zipkin = estate.get("zipkin")
    stack = "-zip" if more else ""
    quotes = t.sidecar(handler=t.service(200), env=_env(zipkin, OUTRIDER_SERVICE="quotes" + stack, **more))
    account = None

    def handler(message, _n):
        _call(t, account.outbound, "quotes" + stack, ["b3: " + message.get("b3")], "/api/quote")
        return 200
    account = t.sidecar(handler=t.service(handler), env=_env(zipkin, OUTRIDER_SERVICE="account" + stack, **more),
                        endpoints={"quotes" + stack: ["%s:%d" % quotes.inbound]})
    edge = t.edge({"all": {"prefix": "/", "upstream": "account" + stack}}, {"account" + stack: ["%s:%d" % account.inbound]},
                  _env(zipkin, OUTRIDER_TRUSTED_PEERS="private", **more))
    number = 1 if more else 0
    trace = TRACE % number
    _call(t, edge.edge, "shop.example", ["b3: %s-%s-1" % (trace, SPAN % number)], "/account")
    chain = _chain(zipkin.trace(trace, 5))
    assert [span["kind"] for span in chain] == ["SERVER", "CLIENT", "SERVER", "CLIENT", "SERVER"], chain
    assert [span["localEndpoint"]["serviceName"] for span in chain[2:]] == ["account" + stack] * 2 + ["quotes" + stack], chain
    assert chain[0]["parentId"] == SPAN % number and chain[3]["remoteEndpoint"]["serviceName"] == "quotes" + stack, chain
    assert chain[3]["remoteEndpoint"]["port"] == quotes.inbound[1] and chain[4]["tags"]["http.path"] == "/api/quote", chain
    assert all(span["timestamp"] and span["duration"] >= 1 for span in chain), chain
    links = zipkin.json("/api/v2/dependencies?endTs=%d&lookback=3600000" % (time.time() * 1000 + 5000))
    pairs = {(one["parent"], one["child"]): one["callCount"] for one in links}
    assert pairs.get(("account" + stack, "quotes" + stack)) == 1, links
    assert {"account" + stack, "quotes" + stack} <= set(zipkin.json("/api/v2/services"))


@needs("zipkin")
def test_a_joined_span(t, estate):
    """With trace.join the two halves of a call, CLIENT and shared SERVER, have one id, and Zipkin takes them for one call."""
    zipkin, trace = estate.get("zipkin"), TRACE % 2
    far = t.sidecar(handler=t.service(200), env=_env(zipkin, OUTRIDER_SERVICE="far", OUTRIDER_TRACE_JOIN="on"))
    near = t.sidecar(env=_env(zipkin, OUTRIDER_SERVICE="near"), endpoints={"far": ["%s:%d" % far.inbound]})
    _call(t, near.outbound, "far", ["b3: %s-%s-d" % (trace, SPAN % 2)])
    client, server = sorted(zipkin.trace(trace, 2), key=lambda span: span["kind"])
    assert client["id"] == server["id"] and client["parentId"] == server["parentId"] == SPAN % 2, (client, server)
    assert server["shared"] and "shared" not in client and client["debug"] and server["debug"], (client, server)


@needs("zipkin")
def test_failures_and_retries(t, estate):
    """A failed attempt is red, the local span `retry` holds the next one, hostile bytes of a request do not spoil the batch."""
    zipkin, trace = estate.get("zipkin"), TRACE % 3
    agent = t.sidecar(env=_env(zipkin, OUTRIDER_SERVICE="caller"), endpoints={"bad": [t.service(503), t.service(503)]})
    c = t.client(agent.outbound)
    c.send(('GET /\\"<x> HTTP/1.1\r\nHost: bad\r\nX-Request-Id: "]}\\\xff\xc3\xa9\r\nb3: %s-%s-1\r\n\r\n' % (trace, SPAN % 3)).encode("latin-1"))
    assert c.read_response().status == 503
    spans = zipkin.trace(trace, 3)
    (retry,) = [span for span in spans if span["name"] == "retry"]
    tries = [span for span in spans if span.get("kind") == "CLIENT"]
    assert all(span["tags"]["error"] for span in tries) and len(tries) == len(spans) - 1, spans
    assert retry["id"] in {span["parentId"] for span in tries} and "kind" not in retry, spans


@needs("zipkin")
def test_a_killed_instance(t, estate):
    """edge → account → quotes ×3 while one of two instances of quotes is killed: each trace is whole, the attempt at the dead one is red and its
    retry beside it, the caller sees nothing of it; the dependency graph has both edges with the failures on the right one."""
    zipkin = estate.get("zipkin")
    alive, dead = t.sidecar(handler=t.service(200), env=_env(zipkin, OUTRIDER_SERVICE="killed-quotes")), t.port()
    account = None

    def handler(message, _n):
        for _ in range(3):
            _call(t, account.outbound, "killed-quotes", ["b3: " + message.get("b3")], "/api/quote")
        return 200
    account = t.sidecar(handler=t.service(handler), env=_env(zipkin, OUTRIDER_SERVICE="killed-account"),
                        endpoints={"killed-quotes": ["%s:%d" % alive.inbound, dead.text]})
    edge = t.edge({"all": {"prefix": "/", "upstream": "killed-account"}}, {"killed-account": ["%s:%d" % account.inbound]},
                  _env(zipkin, OUTRIDER_SERVICE="killed-edge"))
    calls = 6
    for _ in range(calls):
        _call(t, edge.edge, "shop.example", path="/account")

    def traces():
        found = zipkin.json("/api/v2/traces?serviceName=killed-edge&limit=100&lookback=3600000")
        ends = sum(1 for trace in found for span in trace if span["localEndpoint"]["serviceName"] == "killed-quotes" and span.get("kind") == "SERVER")
        lost = sum(1 for trace in found for span in trace if "parentId" in span and span["parentId"] not in {other["id"] for other in trace})
        return found if len(found) == calls and ends == 3 * calls and not lost else None
    whole = t.agents[-1].until("all traces", traces, 30)
    retries = failures = 0
    for trace in whole:
        (root,) = [span for span in trace if "parentId" not in span]
        assert root["kind"] == "SERVER" and root["localEndpoint"]["serviceName"] == "killed-edge" and "error" not in root["tags"], root
        red = [span for span in trace if span.get("kind") == "CLIENT" and span.get("tags", {}).get("error")]
        assert all(span["tags"]["outrider.reason"] == "connect-refused" and span["remoteEndpoint"]["port"] == dead.port for span in red), red
        failures += len(red)
        retries += sum(1 for span in trace if span.get("name") == "retry")
    assert failures and failures == retries, (failures, retries)
    graph = {(one["parent"], one["child"]): (one["callCount"], one.get("errorCount", 0))
             for one in zipkin.json("/api/v2/dependencies?endTs=%d&lookback=3600000" % (time.time() * 1000 + 5000))}
    assert graph["killed-edge", "killed-account"] == (calls, 0), graph
    assert graph["killed-account", "killed-quotes"] == (3 * calls + failures, failures), graph


LOST = ("connect-refused", "upstream-reset", "upstream-closed", "try-timeout")


def _lost(traces, service):
    """The traces with an attempt at an instance of the service that was not there."""
    return [trace for trace in traces if any(span.get("kind") == "CLIENT" and span["remoteEndpoint"].get("serviceName") == service
                                             and span.get("tags", {}).get("outrider.reason") in LOST for span in trace)]


def _demo_until(zipkin, seen, seconds):
    """Runs the demo, and ends it when Zipkin's traces of it are enough: how soon an act comes, and whom it meets, depends on the machine."""
    began = time.time()
    with tempfile.TemporaryFile("w+") as output:
        demo = subprocess.Popen([os.path.join(ROOT, "deploy", "demo", "demo"), "--rate", "60"], stdout=output, stderr=subprocess.STDOUT,
                                env=dict(os.environ, DEMO_TRACE="zipkin:" + zipkin.url, DEMO_SECONDS="0"))
        try:
            while demo.poll() is None and time.time() - began < seconds:
                traces = zipkin.json("/api/v2/traces?serviceName=accountservice&limit=10000&lookback=%d" % ((time.time() - began + 1) * 1000))
                if seen(traces):
                    break
                time.sleep(0.5)
            demo.send_signal(signal.SIGINT)
            demo.wait(60)
        finally:
            demo.kill()
        output.seek(0)
        said = output.read()[-3000:]
    assert demo.returncode == 0, said
    return traces, said


@needs("zipkin")
def test_the_demo(_t, estate):
    """`make demo` with DEMO_TRACE shows in the real Zipkin: whole traces of edge, accountservice and both services that it calls, though no handler
    forwards a field; the instance that was killed as red attempts, each with its retry; the dependency graph of the landscape."""
    zipkin = estate.get("zipkin")
    names = {"edge", "accountservice", "quotes-service", "imageservice"}

    def whole(traces):
        return [trace for trace in traces if {span["localEndpoint"]["serviceName"] for span in trace} >= names
                and all(span.get("parentId", span["id"]) in {other["id"] for other in trace} for span in trace)]

    def red(traces, retry):
        """Other services fail on purpose, too, and have no other instance to ask."""
        return [trace for trace in _lost(traces, "quotes-service") if any(span.get("name") == "retry" for span in trace) == retry]
    traces, said = _demo_until(zipkin, lambda traces: len(whole(traces)) > 20 and red(traces, True) and not red(traces, False), 90)
    assert len(whole(traces)) > 20, (len(whole(traces)), len(traces), said)
    assert any(span.get("tags", {}).get("outrider.inferred") == "true" for trace in whole(traces) for span in trace), "its handlers forward nothing"
    assert red(traces, True), ("no attempt at a killed instance", said)
    assert not red(traces, False), ("an attempt without its retry", red(traces, False), said)
    graph = {(one["parent"], one["child"]) for one in zipkin.json("/api/v2/dependencies?endTs=%d&lookback=3600000" % (time.time() * 1000 + 5000))}
    assert graph >= {("edge", "accountservice"), ("accountservice", "quotes-service"), ("accountservice", "imageservice")}, graph


test_the_demo.limit = 240


@needs("zipkin")
def test_the_old_path(t, estate):
    """v2 JSON posted to /api/v1/spans is refused by Zipkin, and the agent's log says so in Zipkin's words."""
    zipkin = estate.get("zipkin")
    agent = t.sidecar(env=dict(_env(zipkin), OUTRIDER_TRACE="zipkin:%s/api/v1/spans" % zipkin.url), endpoints={"q": [t.service(200)]})
    _call(t, agent.outbound, "q")
    agent.until("trouble", lambda: "JSON_V1" in agent.stderr(), 15)
