"""/explain: where a request would go, who would be picked, and what stands against the others."""
import os

from harness.case import rows
from harness.members import caller


def _instances(t, *names):
    return {name: t.service(lambda asked, n, name=name: (200, name.encode())) for name in names}


def _agent(t, instances, about=None, **options):
    """A caller of these by a registry file. about: {name: further keys, as YAML}."""
    path = os.path.join(t.tempdir(), "services.yml")
    with open(path, "w", encoding="utf-8") as file:
        file.write("quotes:\n")
        for name, one in instances.items():
            file.write("  - {address: '%s', %s}\n" % (one if isinstance(one, str) else one.text, (about or {}).get(name, "weight: 100")))
    agent = caller(t, "file:" + path, **dict({"balance_slow_start": "off", "upstream_quotes_balance": "random"}, **options))
    agent.until("all are known", lambda: agent.get("/explain?service=quotes").get("candidates_total") == len(instances))
    return agent


def _explain(agent, query="service=quotes"):
    page = agent.get("/explain?" + query)
    return page, {c["address"]: c for c in page.get("candidates", [])}, {p["address"]: p for p in page.get("picked", [])}


def _put(agent, address, state):
    assert agent.admin_call("PUT", "/upstreams/quotes/endpoints/%s?state=%s" % (address, state), {"X-Outrider": "1"})[0] == 200


def _call(t, agent, n=1):
    c = t.client(agent.pin)
    for _ in range(n):
        c.ask("GET", "/", "quotes")
        assert c.read_response().status == 200


@rows({"called": (True,), "not-yet": (False,)})
def test_candidates(t, called):
    """Each endpoint with its state, tier, subset, weight, score, and why it is excluded; also while no worker has called any."""
    instances = _instances(t, "a", "b", "c")
    about = {"a": "node: n1, meta: {version: 2}", "b": "node: n2, weight: 50", "c": "node: n3"}
    agent = _agent(t, instances, about, node="n1", upstream_quotes_subset="version=2:10%")
    if called:
        _call(t, agent)
    _put(agent, instances["c"].text, "drained")
    page, seen, picked = _explain(agent)
    assert page["upstream"] == "quotes" and page["source"].startswith("file:") and page["balance"] == "random", page
    assert page["available"] == 2 and page["panic"] is False and page["candidates_total"] == 3 and page["worker"] == (0 if called else None), page
    a, b, c = (seen[instances[name].text] for name in "abc")
    assert (a["state"], a["excluded"], a["tier"], a["subset"], a["weight"]) == ("up", None, "same-node", 0, 100), a
    assert (b["state"], b["excluded"], b["tier"], b["subset"], b["weight"]) == ("up", None, "elsewhere", 1, 50), b
    assert (c["state"], c["excluded"], c["subset"]) == ("drained", "drained", 1) and "hand" in c["why"], c
    assert all(one["score"] is not None and one["in_flight"] == 0 for one in seen.values())
    assert set(picked) == {instances["a"].text, instances["b"].text} and page["nobody"] is None, page["picked"]
    assert 3 < picked[instances["a"].text]["percent"] < 17 and sum(p["percent"] for p in picked.values()) > 99.9, picked
    assert page["picked"][0]["address"] == instances["b"].text, "the likeliest first"


def test_asking_changes_nothing(t):
    """An ejected instance whose time is over is still due after the question: it took no lease; nobody was called."""
    ill = [True]
    instances = _instances(t, "a", "b")
    instances["b"].answer = lambda asked, n: (503, b"ill") if ill[0] else (200, b"b")
    agent = _agent(t, instances, upstream_quotes_eject_time="50ms", balance_panic="off", upstream_quotes_balance="round-robin")
    b = instances["b"].text
    c = t.client(agent.pin)

    def until_ejected():
        c.ask("GET", "/", "quotes")
        c.read_response()
        return _explain(agent)[1][b]["excluded"] in ("ejected", "probe-due")
    agent.until("ejected", until_ejected)
    agent.until("due", lambda: _explain(agent)[1][b]["excluded"] == "probe-due")
    hits = len(instances["b"].hits)
    for _ in range(3):
        page, seen, picked = _explain(agent)
        assert seen[b]["excluded"] == "probe-due" and picked[b]["by"] == "probe", page
    assert len(instances["b"].hits) == hits


def test_a_key(t):
    """With a ring the key says who: by ?key=, or as a parameter of the path; the agent then does as it was told."""
    instances = _instances(t, "a", "b", "c", "d")
    agent = _agent(t, instances, upstream_quotes_balance="ring-hash", upstream_quotes_balance_hash="query:user")
    c = t.client(agent.pin)
    for user in ("x", "y", "z", "u", "v"):
        said = _explain(agent, "service=quotes&key=" + user)[0]["picked"]
        assert [p["percent"] for p in said] == [100] and said[0]["by"] == "hash", said
        assert _explain(agent, "service=quotes&path=/find%3Fa=b%26user%3D" + user)[0]["picked"] == said
        c.ask("GET", "/find?user=" + user, "quotes")
        assert instances[c.read_response().body.decode()].text == said[0]["address"]
    page = _explain(agent)[0]
    assert page["key"] is None and len(page["picked"]) > 1


def test_nobody(t):
    """Nobody takes requests: that is said, with each reason; and a service that nobody knows."""
    instances = _instances(t, "a", "b")
    agent = _agent(t, instances)
    for one in instances.values():
        _put(agent, one.text, "drained")
    page = _explain(agent)[0]
    assert page["picked"] == [] and page["nobody"] == "none-available" and page["available"] == 0, page
    page = agent.get("/explain?service=images")
    assert page["upstream"] is None and "first call asks the registries" in page["why"], page
    assert "?service=" in agent.get("/explain")["why"]


def test_another_worker(t):
    """The upstream was called on one of four workers: its figures are shown, whichever it is."""
    instances = _instances(t, "a")
    agent = _agent(t, instances, workers="4")
    c = t.client(agent.pin)
    for _ in range(5):
        c.ask("GET", "/", "quotes")
        assert c.read_response().status == 200
    page, seen, _ = _explain(agent)
    assert page["worker"] in range(4) and seen[instances["a"].text]["latency_ms"] > 0.01, page


def test_many_endpoints(t):
    """Ten thousand candidates: a page holds some, and says where the next are; together they are all."""
    addresses = {str(n): "127.9.%d.%d:80" % (n >> 8, n & 255) for n in range(10000)}
    agent = _agent(t, addresses)
    path, seen = "/explain?service=quotes", []
    while path:
        page = agent.get(path)
        assert page["candidates_total"] == 10000 and page["candidates"], path
        seen += [c["address"] for c in page["candidates"]]
        path = page.get("candidates_more")
    assert len(seen) == 10000 and set(seen) == set(addresses.values())
    assert len(page["picked"]) == 20
    assert agent.admin_call("GET", "/explain?service=quotes&from=x")[0] == 400


def test_the_edge(t):
    """An edge: path and host say the route, the route its service; a path that no route takes."""
    api, web = t.service(200), t.service(200)
    agent = t.edge({"api": {"prefix": "/api", "upstream": "quotes"}, "web": {"host": "www.example.org", "upstream": "site"}},
                   endpoints={"quotes": [api], "site": [web]})
    for query, route, upstream, one in (("path=/api/x&host=a.example", "api", "quotes", api), ("path=/x&host=www.example.org", "web", "site", web),
                                        ("path=/api/x&service=quotes", "api", "quotes", api), ("path=/nowhere&service=quotes", None, "quotes", api)):
        page, _, picked = _explain(agent, query)
        assert (page["route"], page["upstream"]) == (route, upstream) and picked[one.text]["percent"] == 100, (query, page)
    page = agent.get("/explain?path=/nowhere")
    assert page["route"] is None and page["upstream"] is None and "no route" in page["why"], page


def test_a_sidecar_by_name(t):
    """?sidecar= names the one that calls; an unknown one is refused with where to look."""
    instances = _instances(t, "a")
    agent = _agent(t, instances, service="accountservice")
    assert _explain(agent, "service=quotes&sidecar=accountservice")[0]["sidecar"] == "accountservice"
    status, _, body = agent.admin_call("GET", "/explain?service=quotes&sidecar=nobody")
    assert status == 404 and b"/sidecars" in body
