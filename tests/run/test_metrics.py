"""/metrics: what Prometheus reads."""
import os
import re
import shutil
import subprocess

from harness.case import Skip, rows
from harness.dns import DnsServer
from harness.zipkin import Collector

SAMPLE = re.compile(r'^(outrider_\w+|process_\w+)(?:\{([^}]*)\})? (\S+)')


def samples(agent):
    """{(name, labels): value} of the page."""
    status, fields, body = agent.admin_call("GET", "/metrics")
    assert status == 200 and fields["content-type"] == "text/plain; version=0.0.4; charset=utf-8", fields
    assert body.endswith(b"\n")
    found = {}
    for line in body.decode().splitlines():
        if not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            assert (name, labels) not in found, line
            found[name, labels or ""] = float(value)
    return found


def total(agent, name, *labels):
    return sum(v for (n, own), v in samples(agent).items() if n == name and all(one in own for one in labels))


def call(t, agent, host="quotes"):
    c = t.client(agent.outbound)
    c.ask("GET", "/", host)
    return c.read_response()


def ask(t, address, path, fields=()):
    c = t.client(address)
    c.ask("GET", path, "quotes", fields)
    return c.read_response()


def test_calls_are_counted(t):
    """Calls, failures by reason, and their durations are there after they were made; a histogram's last bucket is its count."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)], "gone": [t.port()]})
    for _ in range(3):
        call(t, agent)
    assert call(t, agent, "gone").status == 502
    agent.until("four requests", lambda: total(agent, "outrider_requests_total") == 4)
    agent.until("one failed", lambda: total(agent, "outrider_errors_total", 'reason="connect-refused"') == 1)
    name = "outrider_upstream_duration_seconds"
    count, last = (total(agent, name + end, 'upstream="quotes"', *more) for end, more in (("_count", ()), ("_bucket", ('le="+Inf"',))))
    assert count == last == 3, sorted(key for key in samples(agent) if "duration" in key[0])[:20]


def test_a_hostile_name(t):
    """A service's name is escaped as the format asks."""
    agent = t.sidecar(endpoints={"quotes": [t.port()]}, env={"OUTRIDER_NODE": 'a"b\\c'})
    status, _, body = agent.admin_call("GET", "/metrics")
    assert status == 200 and b'a"b' not in body.replace(b'\\"', b""), body[:300]


@rows({"openmetrics": ("application/openmetrics-text; version=1.0.0", True), "text": ("text/plain", False), "prometheus 3": (
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", True)})
def test_formats(t, accept, openmetrics):
    """OpenMetrics for whoever prefers it, the text format for all others."""
    agent = t.sidecar(endpoints={"quotes": [t.port()]})
    _, fields, body = agent.admin_call("GET", "/metrics", {"Accept": accept})
    assert fields["content-type"].startswith("application/openmetrics-text") == openmetrics and body.endswith(b"# EOF\n") == openmetrics


def test_promtool_finds_nothing(t):
    """promtool check metrics has no remark, whatever has happened so far: an edge with routes, circuits, exporters, failures."""
    if not shutil.which("promtool"):
        raise Skip("no promtool (Debian package prometheus)")
    agent = t.edge({"all": {"prefix": "/", "upstream": "quotes"}}, endpoints={"quotes": [t.service(200)]},
                   env={"OUTRIDER_TRACE": "log:,zipkin:http://%s" % t.port().text, "OUTRIDER_BULKHEAD_MAX": "9"})
    ask(t, agent.edge, "/")
    sidecar = t.sidecar(handler=t.service(503), endpoints={"gone": [t.port()]})
    call(t, sidecar, "gone")
    for one in (agent, sidecar):
        body = one.admin_call("GET", "/metrics")[2]
        done = subprocess.run(["promtool", "check", "metrics"], input=body, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        assert done.returncode == 0, done.stdout.decode()


TRACE = "463ac35c9f6413ad48485a3953bb6124"


def test_exemplars(t):
    """In OpenMetrics a bucket carries the trace of the last sampled request in it, with what it took and when; in the text format none does."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]}, env={"OUTRIDER_TRACE": "", "OUTRIDER_TRACE_SAMPLE": "never"})
    ask(t, agent.outbound, "/")
    ask(t, agent.outbound, "/", ["b3: %s-a2fb4a1d1a96d312-1" % TRACE])

    def exemplars(accept):
        page = agent.admin_call("GET", "/metrics", {"Accept": accept})[2].decode()
        return [line for line in page.splitlines() if "trace_id" in line]
    told = agent.until("exemplars", lambda: exemplars("application/openmetrics-text"))
    pattern = r'outrider_(request|upstream)_duration_seconds_bucket\{.*le=".*"\} [12] # \{trace_id="%s"\} 0\.\d+ 1\d{9}\.\d+$' % TRACE
    assert len(told) == 2 and all(re.match(pattern, line) for line in told), told
    assert not exemplars("text/plain")


def test_routes(t):
    """An edge counts by route, from the start on, and each name once, whatever path a client asks for."""
    agent = t.edge({"all": {"prefix": "/", "upstream": "quotes"}, "img": {"prefix": "/images", "upstream": "images", "timeout_request": "5s"}},
                   endpoints={"quotes": [t.service(503)], "images": [t.service(200)]}, env={"OUTRIDER_RETRY_METHODS": "none"})
    name = "outrider_route_responses_total"
    assert total(agent, name, 'route="img"', 'upstream="images"', 'class="2xx"') == 0 and total(agent, name) == 0
    for path in ("/images/1", "/images/2", "/a", "/b/%41"):
        ask(t, agent.edge, path)
    agent.until("four", lambda: total(agent, name) == 4)
    assert total(agent, name, 'route="img"', 'class="2xx"') == total(agent, name, 'route="all"', 'class="5xx"') == 2
    assert total(agent, "outrider_route_duration_seconds_count", 'route="img"') == 2
    assert not [labels for _, labels in samples(agent) if "images/" in labels or "%41" in labels]


def test_buckets(t):
    """metrics.buckets are the bounds of all histograms, and are cumulative."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]}, env={"OUTRIDER_METRICS_BUCKETS": "7ms,3s"})
    call(t, agent)
    agent.until("counted", lambda: total(agent, "outrider_upstream_duration_seconds_count") == 1)
    bounds = {re.search(r'le="([^"]*)"', labels).group(1) for name, labels in samples(agent) if name.endswith("_seconds_bucket")}
    assert bounds == {"0.007", "3.0", "+Inf"}, bounds
    assert total(agent, "outrider_upstream_duration_seconds_bucket", 'le="3.0"') == 1


def test_a_cap_on_series(t):
    """What is beyond metrics.series-max is added up under _overflow and counted; requests are lost from no sum."""
    most, names = 1000, ["s%03d" % i for i in range(60)]
    quotes = t.service(200)
    agent = t.sidecar(endpoints={name: [quotes] for name in names}, env={"OUTRIDER_METRICS_SERIES_MAX": str(most)})
    for name in names[:3] + names[-3:]:
        call(t, agent, name)
    agent.until("all six", lambda: total(agent, "outrider_upstream_requests_total") == 6)
    page = samples(agent)
    assert len(page) <= most and page["outrider_metrics_series", ""] <= most, len(page)
    assert page["outrider_metrics_series_dropped_total", ""] > 0
    assert [labels for _, labels in page if 'service="_overflow"' in labels]
    agent.until("their ends, too", lambda: total(agent, "outrider_upstream_duration_seconds_count") == 6)


def test_idle_series(t):
    """Series of a service that only calls made known go when nobody calls it any more, and come back with what they had; one that options name stays."""
    port = t.service(200).text.split(":")[1]
    dns = DnsServer({"tasks.quotes": ["127.0.0.1"], "tasks.named": ["127.0.0.1"]})
    t._keep(dns)
    agent = t.sidecar(env={"OUTRIDER_REGISTRY": "dns:|" + dns.text, "OUTRIDER_REGISTRY_POLL": "100ms", "OUTRIDER_METRICS_IDLE": "1s",
                           "OUTRIDER_UPSTREAM_DEFAULT_PORT": port, "OUTRIDER_UPSTREAM_NAMED_BALANCE": "random"})
    assert call(t, agent).status == 200

    def calls(service):
        return [v for (name, labels), v in samples(agent).items() if name == "outrider_upstream_requests_total" and 'upstream="%s"' % service in labels]
    agent.until("it is there", lambda: calls("quotes") == [1])
    agent.until("it is gone", lambda: calls("quotes") == [])
    assert calls("named") == [0]
    assert call(t, agent).status == 200
    agent.until("both calls", lambda: calls("quotes") == [2])
    assert total(agent, "outrider_dns_questions_total", 'outcome="found"') >= 1, "the server was asked"


def test_tls_of_the_control_plane(t):
    """TLS handshakes are counted by their end: well, and refused because nobody vouches for the certificate."""
    collector = Collector(t, tls=True)
    env = {"OUTRIDER_TRACE": "zipkin:" + collector.url, "OUTRIDER_TRACE_SAMPLE": "always"}
    for ca, outcome in ((collector.ca, "ok"), (None, "failed")):
        agent = t.sidecar(endpoints={"quotes": [t.service(200)]}, env=dict(env, OUTRIDER_ZIPKIN_CA=ca))
        assert call(t, agent).status == 200
        agent.until(outcome, lambda: total(agent, "outrider_tls_handshakes_total", 'outcome="%s"' % outcome) >= 1, 10)
        other = "failed" if outcome == "ok" else "ok"
        assert total(agent, "outrider_tls_handshakes_total", 'outcome="%s"' % other) == 0


# What operators were promised, and the family that has it.
PROMISED = {
    "requests": "outrider_requests_total", "errors by reason": "outrider_errors_total", "durations": "outrider_request_duration_seconds_bucket",
    "in flight": "outrider_requests_active", "retries": "outrider_upstream_retries_total", "breaker": "outrider_circuit_state",
    "endpoints": "outrider_upstream_endpoints", "pool": "outrider_upstream_connections", "tls": "outrider_tls_handshakes_total",
    "dns": "outrider_dns_questions_total", "config age": "outrider_config_last_success_timestamp_seconds",
    "exporter drops": "outrider_exporter_spans_total", "record drops": "outrider_records_dropped_total", "log drops": "outrider_log_sink_records_total",
    "loop lag": "outrider_loop_lag_seconds", "memory": "process_resident_memory_bytes", "descriptors": "process_open_fds",
    "cost": "outrider_sidecar_load_ratio", "memory of a sidecar": "outrider_sidecar_memory_bytes"}


def test_what_is_promised(t):
    """Every kind of figure that operators were promised is on the page; labels have neither host nor path."""
    agent = t.sidecar(handler=t.service(200), endpoints={"quotes": [t.service(200)], "gone": [t.port()]}, env={"OUTRIDER_TRACE": "log:"})
    ask(t, agent.outbound, "/a-path?and=query")
    call(t, agent, "gone")
    agent.until("the failure", lambda: total(agent, "outrider_errors_total") == 1)
    page = samples(agent)
    missing = {what: name for what, name in PROMISED.items() if not [1 for found, _ in page if found == name]}
    assert not missing, missing
    assert not [labels for _, labels in page if "a-path" in labels or "127.0.0.1" in labels or str(os.getpid()) in labels]


def test_the_agents_own_calls(t):
    """What the agent itself asks of others (collector, health checks, admin port) is neither counted, traced nor logged as traffic."""
    collector, checked = Collector(t), t.service(200)
    agent = t.sidecar(handler=t.service(200), endpoints={"quotes": [checked]}, env={
        "OUTRIDER_TRACE": "zipkin:" + collector.url, "OUTRIDER_TRACE_SAMPLE": "always", "OUTRIDER_ACCESS_LOG": "on", "OUTRIDER_ACCESS_SAMPLE": "100%",
        "OUTRIDER_UPSTREAM_QUOTES_CHECK": "/health", "OUTRIDER_UPSTREAM_QUOTES_CHECK_INTERVAL": "50ms"})
    agent.until("checks", lambda: len(checked.hits) >= 3)
    assert call(t, agent).status == 200
    collector.until("the span", lambda: len(collector.spans()) == 1)
    agent.until("the line", lambda: '"type":"access"' in agent.stderr())
    n = len(checked.hits)
    agent.until("more checks", lambda: len(checked.hits) > n + 3)
    for page in ("/metrics", "/stats", "/traces"):
        assert agent.admin_call("GET", page)[0] == 200
    assert total(agent, "outrider_requests_total") == 1 and agent.stderr().count('"type":"access"') == 1, agent.stderr()
    assert len(collector.spans()) == 1 and [hit.get("b3") for hit in checked.hits if hit.get("b3")][1:] == [], "checks have no trace"
    assert all(post["fields"].get("b3") == "0" for post in collector.posts)
