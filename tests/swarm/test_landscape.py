"""The stack files of deploy/ as written, with images of this machine under the names that they have."""
import json
import os
import shutil
import urllib.parse

from estate import DEPLOY, estate
from swarm import until

RUNNING = ("swarm",)
LIMIT = 400
EDGE = "http://127.0.0.1:8080"


def images(swarm):
    swarm.python_image("python:3-alpine")
    swarm.image("redis:7-alpine", swarm.linked("redis-server"), 'CMD ["%s"]' % shutil.which("redis-server"))
    swarm.telemetry_images()


def fetch(swarm, url):
    """Of a server at node 1; empty when it does not answer."""
    done = swarm.at(1, "curl", "-s", "-m", "5", url)
    return done.stdout if done.returncode == 0 else ""


def test_landscape(_t, swarm):
    """docker stack deploy -c landscape.yml shop: a request to the edge's public port passes the edge, and the sidecars of three
    services whose handlers listen on loopback only"""
    e = estate(swarm)
    images(swarm)
    e.deploy(os.path.join(DEPLOY, "landscape.yml"), "land")
    try:
        def call(path="/accounts/7"):
            return fetch(swarm, EDGE + path)
        reply = until("an account", lambda: (lambda text: text if "quotedBy" in text else None)(call()), 240,
                      show=lambda: (call(), swarm.docker(1, "service", "ls"), e.logs()[-2000:]))
        account = json.loads(reply)
        swarm.say("  " + reply)
        assert account["id"] == "7" and account["quote"] and account["servedBy"].startswith("land_accountservice")
        assert call(account["image"]).startswith("<svg")
        def seen():
            return [s for node in range(1, swarm.n + 1) for s in e.sidecars(node) or [] if s["stack"] == "land"]
        until("five sidecars serve", lambda: sum(s["state"] == "serving" for s in seen()) == 5, 120, show=seen)
        swarm.docker(1, "exec", e.agent(1), "/outrider", "doctor", check=False)
    finally:
        swarm.docker(1, "stack", "rm", "land")


test_landscape.limit = 500  # making images takes its time on a machine that does other things, too


def test_telemetry(_t, swarm):
    """the same landscape, with agents that export: one trace has spans of several nodes; Prometheus, configured by deploy/prometheus, finds every agent
    and every edge by name and has the metrics of all nodes; Grafana's dashboard lies where it looks"""
    e = estate(swarm)
    images(swarm)
    added = ["OUTRIDER_TRACE=zipkin:http://zipkin:9411"]
    if "gelf:tcp:" in swarm.docker(1, "exec", e.agent(1), "/outrider", "help", "options", "--markdown"):
        added.append("OUTRIDER_LOG=json:stdout,gelf:tcp://zipkin:12201")
    e.deploy(os.path.join(DEPLOY, "landscape.yml"), "tele")
    try:
        e.update("outrider_agent", *[word for one in added for word in ("--env-add", one)])
        until("an account", lambda: "quotedBy" in fetch(swarm, EDGE + "/accounts/7"), 240, show=lambda: (swarm.docker(1, "service", "ls"), e.logs()[-2000:]))
        swarm.say("  a trace of " + " ".join(sorted(_nodes(until("a trace of several nodes", lambda: _trace(swarm), 120, pause=0.5, show=lambda: (
            fetch(swarm, "http://127.0.0.1:9411/api/v2/traces")[-2000:], e.logs()[-2000:]))))))
        _metrics(swarm)
        if len(added) > 1:
            until("GELF of every node", lambda: len(json.loads(fetch(swarm, "http://127.0.0.1:9411/gelf") or "{}")) >= swarm.n, 60)
        assert json.loads(fetch(swarm, "http://127.0.0.1:3000/outrider.json"))["uid"] == "outrider"
    finally:
        swarm.docker(1, "stack", "rm", "tele")
        e.update("outrider_agent", *[word for one in added for word in ("--env-rm", one.split("=")[0])])


test_telemetry.limit = 700


def _nodes(trace):
    return {span["tags"]["outrider.node"] for span in trace if "outrider.node" in span.get("tags", {})}


def _trace(swarm):
    """A trace from the edge to quotes, whole, of which several nodes have spans; after one more request."""
    fetch(swarm, EDGE + "/accounts/7")
    for trace in json.loads(fetch(swarm, "http://127.0.0.1:9411/api/v2/traces") or "[]"):
        ids = {span["id"] for span in trace}
        services = {span["localEndpoint"]["serviceName"] for span in trace}
        if services >= {"edge", "accountservice", "quotes-service"} and len(_nodes(trace)) > 1 and all(span.get("parentId", span["id"]) in ids for span in trace):
            return trace
    return None


def _metrics(swarm):
    """Prometheus scrapes every 15 s, so this takes its time."""
    def value(query):
        found = json.loads(fetch(swarm, "http://127.0.0.1:9090/api/v1/query?query=" + urllib.parse.quote(query)) or "{}")
        result = found.get("data", {}).get("result")
        return float(result[0]["value"][1]) if result else None
    for what, query, wanted in (("agents", 'sum(up{job="outrider"})', swarm.n), ("edges", 'sum(up{job="outrider-edge"})', swarm.n),
                                ("nodes", 'count(count by (node) (outrider_requests_total{node!=""}))', swarm.n),
                                ("tasks, one series each", 'count(outrider_requests_total{service="accountservice",stack="tele"})', 2)):
        until("metrics of %d %s" % (wanted, what), lambda: value(query) == wanted, 90, pause=1,  # noqa: B023
              show=lambda: (fetch(swarm, "http://127.0.0.1:9090/api/v1/query?query=up"), swarm.docker(1, "service", "ps", "outrider_agent"), fetch(swarm, "http://127.0.0.1:9090/api/v1/targets")[:3000]))
    until("answers of the edge's route", lambda: (value('sum(outrider_route_responses_total{class="2xx",route="accounts"})') or 0) > 0, 60, pause=1)
