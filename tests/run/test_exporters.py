"""Exporters: spans arrive whole and are those of one trace; a collector that is away, slow or broken harms no request."""
import itertools
import json
import time

from harness.case import rows
from harness.zipkin import Collector

TRACE, SPAN = "463ac35c9f6413ad48485a3953bb6124", "a2fb4a1d1a96d312"
ALWAYS = {"OUTRIDER_TRACE_SAMPLE": "always"}


def env(trace, **more):
    return dict(ALWAYS, OUTRIDER_TRACE=trace, **{"OUTRIDER_" + key.upper(): value for key, value in more.items()})


def call(t, address, host="quotes", fields=(), path="/", status=200):
    c = t.client(address)
    c.ask("GET", path, host, fields)
    assert c.read_response().status == status
    c.sock.close()


def caller(t, trace, status=200, **more):
    """A sidecar that calls a service of its own."""
    return t.sidecar(endpoints={"quotes": [t.service(status)]}, env=env(trace, **more))


def landscape(t, trace):
    """edge → account → quotes, each behind its agent; account forwards b3. (edge, its path)"""
    quotes = t.sidecar(handler=t.service(200), env=env(trace, service="quotes-service"))
    account = None

    def handler(message, _n):
        call(t, account.outbound, "quotes-service", ["b3: " + message.get("b3")], "/api/quote")
        return 200
    account = t.sidecar(handler=t.service(handler), env=env(trace, service="accountservice"),
                        endpoints={"quotes-service": ["%s:%d" % quotes.inbound]})
    return t.edge({"all": {"prefix": "/", "upstream": "accountservice"}}, {"accountservice": ["%s:%d" % account.inbound]}, env(trace))


def whole(spans):
    """The five spans of landscape(), in order of the call, after a look at parents and kinds."""
    by_parent = {span.get("parentId"): span for span in spans}
    chain = [by_parent[None]]
    while chain[-1]["id"] in by_parent:
        chain.append(by_parent[chain[-1]["id"]])
    assert [span["kind"] for span in chain] == ["SERVER", "CLIENT", "SERVER", "CLIENT", "SERVER"], chain
    assert len(chain) == len(spans) == 5 and len({span["traceId"] for span in spans}) == 1, spans
    assert [span["localEndpoint"]["serviceName"] for span in chain[2:]] == ["accountservice", "accountservice", "quotes-service"], chain
    return chain


def test_one_trace(t):
    """A call edge, account, quotes is one trace of five spans, each the child of the one before; the reports are not traced themselves."""
    zipkin = Collector(t)
    edge = landscape(t, "zipkin:" + zipkin.url)
    call(t, edge.edge, path="/account?secret=1")
    chain = whole(zipkin.until("five spans", lambda: len(zipkin.spans()) >= 5 and zipkin.spans()))
    assert chain[0]["tags"]["http.path"] == "/account" and chain[3]["tags"]["http.path"] == "/api/quote", chain
    assert chain[1]["remoteEndpoint"]["serviceName"] == "accountservice" and "127.0.0.1" == chain[1]["remoteEndpoint"]["ipv4"], chain[1]
    for post in zipkin.posts:
        assert post["path"] == "/api/v2/spans" and post["fields"]["b3"] == "0", post
        assert post["fields"]["Content-Type"] == "application/json" and "traceparent" not in post["fields"], post


def tree(t, trace, join):
    """edge → account → quotes three times, of which one call is tried at both instances of quotes. (edge, its path)"""
    more = {"trace_join": join, "node": "n1"}
    turn = itertools.count()

    def quotes(_message, _n):
        time.sleep(0.01)  # what the service takes
        return 503 if next(turn) == 1 else 200
    ends = [t.sidecar(handler=t.service(quotes), env=env(trace, service="quotes-service", **more)) for _ in range(2)]
    account = None

    def handler(message, _n):
        for _ in range(3):
            call(t, account.outbound, "quotes-service", ["b3: " + message.get("b3")], "/api/quote")
        return 200
    account = t.sidecar(handler=t.service(handler), env=env(trace, service="accountservice", **more),
                        endpoints={"quotes-service": ["%s:%d" % one.inbound for one in ends]})
    return t.edge({"accounts": {"prefix": "/", "upstream": "accountservice"}}, {"accountservice": ["%s:%d" % account.inbound]}, env(trace, **more))


@rows({"children": ("off",), "joined": ("on",)})
def test_a_call_tree(t, join):
    """edge → account → quotes ×3 with one retry is one trace: whose child each span is, kinds, shared flags, the local span `retry`, failures, and
    durations that lie within each other."""
    zipkin = Collector(t)
    call(t, tree(t, "zipkin:" + zipkin.url, join).edge, path="/account")
    spans = zipkin.until("twelve spans", lambda: len(zipkin.spans()) >= 12 and zipkin.spans())
    assert len(spans) == 12 and len({span["traceId"] for span in spans}) == 1, spans
    kinds = {kind: [s for s in spans if s.get("kind") == kind] for kind in ("SERVER", "CLIENT", None)}
    assert {kind: len(some) for kind, some in kinds.items()} == {"SERVER": 6, "CLIENT": 5, None: 1}
    (retry,) = kinds[None]
    clients = {span["id"]: span for span in kinds["CLIENT"]}
    (root,) = [span for span in kinds["SERVER"] if "parentId" not in span]
    assert root["localEndpoint"]["serviceName"] == "edge" and root["id"] == root["traceId"][16:] and "shared" not in root, root

    def server_of(client):
        """The span of the agent that was called."""
        (found,) = [s for s in kinds["SERVER"] if s is not root and (s["id"] if join == "on" else s["parentId"]) == client["id"]]
        assert found.get("shared", False) == (join == "on") and (join == "off" or found["parentId"] == client["parentId"]), found
        assert client["remoteEndpoint"]["serviceName"] == found["localEndpoint"]["serviceName"] and not client.get("shared"), (client, found)
        within(found, client)
        return found

    def within(inner, outer, slack=20000):  # µs: spans are stamped when they end, on a machine that may be busy
        begin, end = (one["timestamp"] - outer["timestamp"] for one in (inner, outer))
        assert -slack <= begin and begin + inner["duration"] <= outer["duration"] + slack, (inner, outer)
    (to_account,) = [span for span in clients.values() if span["parentId"] == root["id"]]
    within(to_account, root)
    account = server_of(to_account)
    assert account["localEndpoint"]["serviceName"] == "accountservice" and account["duration"] >= 40000, account
    calls = sorted((s for s in clients.values() if s is not to_account), key=lambda s: s["timestamp"])
    assert [s["parentId"] for s in calls] == [account["id"], account["id"], retry["id"], account["id"]] and retry["parentId"] == account["id"], calls
    assert [s["tags"].get("error", "") for s in calls] == ["", "503", "", ""] and retry["name"] == "retry" and "shared" not in retry, calls
    assert calls[1]["remoteEndpoint"]["port"] != calls[2]["remoteEndpoint"]["port"], "the retry went elsewhere"
    for one in calls:
        quotes = server_of(one)
        assert quotes["localEndpoint"]["serviceName"] == "quotes-service" and quotes["duration"] >= 10000 and one["tags"]["http.path"] == "/api/quote", quotes
        assert quotes["tags"]["outrider.node"] == "n1" and bool(quotes["tags"].get("error")) == (one is calls[1]), quotes
        within(one, account)
    within(calls[2], retry)


def test_gzip(t):
    """zipkin.gzip=on sends the same spans in a fraction of the bytes."""
    zipkin = Collector(t)
    agent = caller(t, "zipkin:" + zipkin.url, zipkin_gzip="on")
    for _ in range(30):
        call(t, agent.outbound)
    zipkin.until("all spans", lambda: len(zipkin.spans()) == 30)
    assert all(post["fields"]["Content-Encoding"] == "gzip" and post["size"] < len(post["body"]) for post in zipkin.posts), zipkin.posts


def test_otlp(t):
    """otlp: groups spans by service, with ids of full length and numbers as texts."""
    collector = Collector(t)
    agent = caller(t, "otlp:" + collector.url, 503)
    call(t, agent.outbound, fields=["b3: 48485a3953bb6124-%s-1" % SPAN], status=503)
    (batch,) = collector.until("a batch", collector.taken)
    (resource,) = batch["resourceSpans"]
    assert resource["resource"]["attributes"] == [{"key": "service.name", "value": {"stringValue": "accountservice"}}], batch
    span = resource["scopeSpans"][0]["spans"][0]
    assert span["traceId"] == "000000000000000048485a3953bb6124" and span["parentSpanId"] == SPAN and span["kind"] == 3, span
    assert {"key": "http.response.status_code", "value": {"intValue": "503"}} in span["attributes"] and span["status"]["code"] == 2, span
    assert int(span["endTimeUnixNano"]) > int(span["startTimeUnixNano"]) > 1e18, span
    assert collector.posts[0]["path"] == "/v1/traces"


def test_log(t):
    """log: writes each span as a line of JSON beside the agent's own log; with another exporter both get all."""
    zipkin = Collector(t)
    agent = caller(t, "log:,zipkin:" + zipkin.url)
    call(t, agent.outbound, fields=["b3: %s-%s-1" % (TRACE, SPAN)])
    (span,) = zipkin.until("a span", zipkin.spans)
    lines = agent.until("the line", lambda: [json.loads(line) for line in agent.lines() if '"traceId"' in line])
    assert lines == [span] and span["traceId"] == TRACE and span["parentId"] == SPAN, lines


@rows({"400": (400, "answers 400: it refuses the spans: \\\"no thanks\\\""), "404": (404, "is this the address and path"), "500": (500, "answers 500"),
       "hang": ("hang", "fell silent"), "cut": ("cut", "closed the connection"), "garbage": ("garbage", "zipkin|HTTP"),
       "closed": ("closed", "refused")})
def test_a_collector_that_fails(t, mode, trouble):
    """Whatever the collector does, requests succeed; the log says once why, without credentials; when it is well again, spans arrive and the
    log says so."""
    zipkin = Collector(t, started=mode != "closed")
    zipkin.mode = "" if mode == "closed" else mode
    agent = caller(t, "zipkin:http://joe:s3cret@%s:%d" % (zipkin.host, zipkin.port))
    for _ in range(20):
        call(t, agent.outbound)
    (line, *_) = agent.until("trouble", lambda: [line for line in agent.lines() if "spans cannot be delivered" in line], 15)
    assert any(word in line.replace("\\\\", "") for word in trouble.split("|")), line
    (told,) = agent.get("/stats")["exporters"]
    assert told["state"] == "trouble" and told["why"] and sum(told["dropped"].values()) + told["queued"] + told["sent"] > 0 and "s3cret" not in str(told), told
    if mode == "closed":
        zipkin.start()
    zipkin.mode = ""
    call(t, agent.outbound, fields=["b3: %s-%s-1" % (TRACE, SPAN)])
    zipkin.until("the last span", lambda: [s for s in zipkin.spans() if s["traceId"] == TRACE], 20)
    agent.until("well", lambda: "spans are delivered again" in agent.stderr())
    assert "s3cret" not in agent.stderr()


def test_failover(t):
    """Of two addresses the second gets what the first does not take, at once and for good."""
    first, second = Collector(t, started=False), Collector(t)
    agent = caller(t, "zipkin:%s|%s" % (first.url, second.url))
    call(t, agent.outbound)
    second.until("a span", second.spans)
    first.start()
    call(t, agent.outbound)
    second.until("the second span", lambda: len(second.spans()) == 2)
    assert not first.posts


def test_the_last_spans(t):
    """An agent that leaves sends what it still has, within a second or so."""
    zipkin = Collector(t)
    agent = caller(t, "zipkin:" + zipkin.url)
    call(t, agent.outbound)
    agent.leave()
    assert len(zipkin.spans()) == 1, zipkin.posts


def test_https(t):
    """An https collector is trusted by its CA, asked with the credentials of the options; without the CA nothing is sent."""
    zipkin = Collector(t, tls=True)
    agent = caller(t, "zipkin:" + zipkin.url, zipkin_ca=zipkin.ca, zipkin_token="t0ken")
    stranger = caller(t, "zipkin:" + zipkin.url, zipkin_token="t0ken")
    for one in (agent, stranger):
        call(t, one.outbound)
    zipkin.until("a span", zipkin.spans)
    assert zipkin.posts[0]["fields"]["Authorization"] == "Bearer t0ken"
    stranger.until("trouble", lambda: "outrider.zipkin.ca" in stranger.stderr(), 10)
    assert len(zipkin.posts) == 1 and "t0ken" not in agent.stderr() + stranger.stderr()


def test_hostile_texts(t):
    """Quotes, backslashes and bytes that are no UTF-8 in a request stand in its span as JSON allows, and spoil nothing."""
    zipkin = Collector(t)
    agent = caller(t, "zipkin:" + zipkin.url)
    hostile = 'a"}],\\\xff\xc3\xa9'
    c = t.client(agent.outbound)
    c.send(('GET /<b>%22 HTTP/1.1\r\nHost: quotes\r\nX-Request-Id: ' + hostile + '\r\n\r\n').encode("latin-1"))
    assert c.read_response().status == 200
    (span,) = zipkin.until("a span", zipkin.spans)
    assert span["tags"]["http.path"] == "/<b>%22" and span["tags"]["request.id"] == 'a"}],\\\ufffd\u00e9', span
