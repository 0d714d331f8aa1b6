"""/metrics: what Prometheus reads."""
import re
import shutil
import subprocess

from harness.case import Skip, rows

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
    """promtool check metrics has no remark."""
    if not shutil.which("promtool"):
        raise Skip("no promtool (Debian package prometheus)")
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]})
    call(t, agent)
    body = agent.admin_call("GET", "/metrics")[2]
    done = subprocess.run(["promtool", "check", "metrics"], input=body, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode()
