"""outrider doctor: what is well and what is not, each line that is not with its remedy and where to read on."""
from harness.agent import run


def test_peers_that_do_not_answer(t):
    """a source of configuration, a registry and a collector that nobody answers at: a line each, warn, with the remedy and the page"""
    closed = "http://" + t.port().text
    agent = t.sidecar(upstreams="quotes@" + t.port().text, env={
        "OUTRIDER_CONFIG": "spring:" + closed, "OUTRIDER_CONFIG_WAIT": "100ms", "OUTRIDER_REGISTRY": "eureka:%s/eureka" % closed,
        "OUTRIDER_TRACE": "zipkin:" + closed})

    def lines():
        return {line["check"]: line for line in agent.get("/doctor")["lines"]}
    agent.until("two of them are known to be away", lambda: lines()["source"]["state"] == lines()["registry"]["state"] == "warn")
    for check in ("source", "registry"):
        line = lines()[check]
        assert closed[7:] in line["says"] and line["remedy"] and line["docs"].split("#")[0].endswith(".md"), line
    assert lines()["exporter"]["says"].startswith("zipkin:"), lines()["exporter"]
    status, out, _ = run(["doctor", "--admin=%s:%d" % agent.admin])
    assert "warn" in out and closed[7:] in out and status == 0, (status, out)
