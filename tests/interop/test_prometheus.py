"""A real Prometheus with the configuration of deploy/ scrapes agents under traffic: every query of the dashboard, of the alerts and of the
documentation has an answer."""
import json
import os
import re
import shutil
import subprocess
import threading
import time

from needs import needs
from prometheus import DEPLOY, ROOT, read

NAME = re.compile(r"\b((?:outrider|process)_\w+|up)\b(\{[^}]*\})?")
# What a healthy agent does not have, and why.
EMPTY = {
    "outrider_circuit_calls_limit": "there only where a bulkhead has a limit",
}
VARIABLES = {"$__rate_interval": "10s", "$__interval": "10s", "$stack": ".*", "$service": ".*", "$upstream": ".*"}


def filled(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def dashboard():
    """[(title, expression)] of all panels."""
    page = json.loads(read("grafana", "outrider.json"))
    return [(panel["title"], filled(target["expr"])) for panel in page["panels"] for target in panel.get("targets", ())]


def variables():
    page = json.loads(read("grafana", "outrider.json"))
    return [re.fullmatch(r"label_values\((.*), (\w+)\)", filled(one["query"]["query"])).groups()
            for one in page["templating"]["list"] if one["type"] == "query"]


def alerts(prometheus):
    """[(name, expression)] as Prometheus has read them."""
    return [(rule["name"], rule["query"]) for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]


def documented():
    """[(page, expression)] of the tables and blocks in docs/ that ask Prometheus."""
    found = []
    for name in sorted(os.listdir(os.path.join(ROOT, "docs"))):
        if not name.endswith(".md"):
            continue
        with open(os.path.join(ROOT, "docs", name), encoding="utf-8") as file:
            text = file.read()
        found += [(name, one.replace("\\|", "|").replace("[5m]", "[10s]")) for one in re.findall(r"`((?:sum|max|min|avg|count|rate|increase|histogram_quantile)\b[^`\n]*\([^`\n]*)`", text)
                  if "outrider_" in one or "process_" in one]
    return found


class Landscape:
    """An edge, accounts that calls quotes and a service that is gone, each behind its agent, and traffic on them until close()."""

    def __init__(self, t, registry):
        self.t, self.over = t, threading.Event()
        env = {"OUTRIDER_TRACE": "log:", "OUTRIDER_TRACE_SAMPLE": "always"}
        self.quotes = t.sidecar(handler=t.service(lambda _m, n: 503 if n % 9 == 0 else 200), env=dict(env, OUTRIDER_SERVICE="quotes"))
        self.accounts = t.sidecar(handler=t.service(self.handle), endpoints={"gone": [t.port()]}, env=dict(
            env, OUTRIDER_SERVICE="accounts", OUTRIDER_REGISTRY="file:" + registry("quotes", self.quotes.inbound), OUTRIDER_UPSTREAM_QUOTES_BULKHEAD_MAX="50",
            OUTRIDER_UPSTREAM_QUOTES_PORT="80"))
        self.edge = t.edge({"accounts": {"prefix": "/", "upstream": "accounts"}}, {"accounts": ["%s:%d" % self.accounts.inbound]}, env)
        self.thread = threading.Thread(target=self.drive, daemon=True)
        self.thread.start()

    def call(self, address, host, path="/", fields=()):
        c = self.t.client(address)
        c.ask("GET", path, host, fields)
        reply = c.read_response()
        c.sock.close()
        return reply

    def handle(self, message, n):
        fields = ["b3: " + message.get("b3")]
        if n % 5 == 0:
            self.call(self.accounts.outbound, "gone", fields=fields)
        return 200 if self.call(self.accounts.outbound, "quotes", fields=fields).status == 200 else 500

    def drive(self):
        while not self.over.wait(0.03):
            self.call(self.edge.edge, "shop.example", "/accounts/7")

    def close(self):
        self.over.set()
        self.thread.join(10)


def _registry(t):
    def write(service, address):
        path = os.path.join(t.tempdir(), "services.yml")
        with open(path, "w", encoding="ascii") as file:
            file.write("%s: [\"%s:%d\"]\n" % ((service,) + address))
        return path
    return write


def _unanswered(prometheus, expression):
    """What of an expression has no series at all: for each selector in it, alone."""
    return [name + (labels or "") for name, labels in NAME.findall(expression) if not prometheus.query(name + (labels or "")) and name not in EMPTY]


@needs("prometheus")
def test_every_query(t, estate):
    """Each panel of the Grafana dashboard, each of its variables, and each query of the documentation has data under traffic; each alert is
    about series that exist; nothing of a healthy landscape fires an alert about the agents themselves."""
    prometheus, land = estate.get("prometheus"), Landscape(t, _registry(t))
    try:
        prometheus.targets([land.quotes, land.accounts], [land.edge])
        prometheus.until("three agents are up", lambda: prometheus.value('sum(up{job=~"outrider.*"})') == 3)
        prometheus.until("rates of an edge", lambda: prometheus.query('rate(outrider_route_responses_total{class="5xx"}[10s]) > 0'))
        prometheus.until("a failure's reason", lambda: prometheus.query("rate(outrider_errors_total[10s]) > 0"))
        asked = dashboard() + documented()
        assert len(asked) > 50, len(asked)
        silent = [(where, one) for where, one in asked if not prometheus.query(one) and not any(name in one for name in EMPTY)]
        assert not silent, "no data:\n" + "\n".join("%s: %s" % pair for pair in silent)
        for metric, label in variables():
            values = {one.get(label) for one in prometheus.ask("series", **{"match[]": metric})}
            assert values - {None} or label == "stack", (metric, label)
        rules = alerts(prometheus)
        assert len(rules) >= 20, rules
        lost = {name: missing for name, one in rules if (missing := _unanswered(prometheus, one))}
        assert not lost, lost
        for name, one in rules:
            prometheus.query(one)  # it is one that Prometheus can evaluate on real series
        firing = {one["labels"]["alertname"] for one in prometheus.ask("alerts")["alerts"] if one["state"] == "firing"}
        assert not firing & {"OutriderAgentDown", "OutriderAgentsMissing", "OutriderOverloaded"}, firing
    finally:
        land.close()


test_every_query.limit = 120


@needs("prometheus")
def test_what_it_keeps(t, estate):
    """Prometheus counts what was sent, keeps the labels of a sidecar beside its own, and the exemplar's trace is one that the agent knows."""
    prometheus = estate.get("prometheus")
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]}, env={"OUTRIDER_SERVICE": "exemplary", "OUTRIDER_NODE": "n1", "OUTRIDER_TRACE": "",
                                                                  "OUTRIDER_TRACE_SAMPLE": "always"})
    prometheus.targets([agent])
    began = time.time()
    for _ in range(7):
        c = t.client(agent.outbound)
        c.ask("GET", "/", "quotes")
        assert c.read_response().status == 200
    series = 'outrider_upstream_responses_total{service="exemplary",node="n1",upstream="quotes",class="2xx",job="outrider",instance="%s:%d"}' % agent.admin
    prometheus.until("seven", lambda: prometheus.value(series) == 7)
    found = prometheus.until("exemplars", lambda: prometheus.ask("query_exemplars", query='outrider_upstream_duration_seconds_bucket{service="exemplary"}',
                                                                 start=began - 10, end=time.time() + 10))
    trace = found[0]["exemplars"][0]["labels"]["trace_id"]
    assert agent.get("/traces/" + trace)[0]["localEndpoint"]["serviceName"] == "exemplary"
    target = next(one for one in prometheus.ask("targets")["activeTargets"] if one["labels"]["instance"] == "%s:%d" % agent.admin)
    assert target["health"] == "up" and target["lastError"] == "", target


@needs("prometheus")
def test_the_rules(_t, _estate):
    """promtool finds nothing wrong with the configuration, the alerts, and their tests; each alert has one where it fires and one where it is silent."""
    for words in (["check", "config", "prometheus.yml"], ["test", "rules", "rules.test.yml"]):
        done = subprocess.run([shutil.which("promtool"), *words], cwd=os.path.join(DEPLOY, "prometheus"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        assert done.returncode == 0, done.stdout
    names, tests = re.findall(r"- alert: (\w+)", read("prometheus", "rules.yml")), read("prometheus", "rules.test.yml")
    silent = set(re.findall(r"alertname: (\w+), exp_alerts: \[\]", tests))
    firing = set(re.findall(r"alertname: (\w+)\n +exp_alerts:(?! \[\])", tests))
    assert silent == firing == set(names), (set(names) - silent, set(names) - firing)
