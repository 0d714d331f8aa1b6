"""Registry consul against a scripted Consul agent: registering with a TTL, blocking queries and their index, faults."""
import time

from harness.case import limit, rows
from harness.config import service
from harness.consul_agent import ConsulAgent
from harness.members import address, caller, known, member, traffic, until_known, upstream

SOON = 2.0


def _consul(t, **options):
    return t._keep(ConsulAgent(**options))


def _trouble(agent):
    return agent.get("/upstreams")["registries"][0]["trouble"]


def _state(agent, place):
    return [e["state"] for e in upstream(agent)["endpoints"] if e["address"] == place]


@limit(60)
def test_instances_come_and_go(t):
    """Agents register, are known at once by those who call, are taken back when they leave, and turn critical when they die."""
    consul = _consul(t)
    registry = "consul:" + consul.url
    first = member(t, registry, meta="version=2,a.b=c", node="n1", zone="z1")
    agent = caller(t, registry)
    until_known(agent, [first])
    seen = upstream(agent)["endpoints"][0]
    assert (seen["node"], seen["zone"], seen["meta"]["version"], seen["meta"]["a_b"]) == ("n1", "z1", "2", "c"), seen
    load = traffic(agent)
    second = member(t, registry)
    until_known(agent, [first, second], SOON)
    first.leave()
    until_known(agent, [second], SOON)
    third = member(t, registry)
    until_known(agent, [second, third], SOON)
    agent.until("up", lambda: _state(agent, address(third)) == ["up"], SOON)
    second.die()
    agent.until("critical", lambda: _state(agent, address(second)) == ["down"], 8)
    load.end()


def test_a_successor_keeps_its_registration(t):
    """The agent that leaves does not deregister what its successor registered; a Consul that forgot all is told again."""
    consul = _consul(t)
    old = member(t, "consul:" + consul.url, instance="task-1", registry_lease="1s")
    old.until("registered", lambda: "task-1" in consul.services)
    new = member(t, "consul:" + consul.url, instance="task-1", registry_lease="1s")
    new.until("registered", lambda: consul.services["task-1"]["Port"] == new.inbound[1])
    old.leave()
    assert consul.services["task-1"]["Port"] == new.inbound[1]
    consul.forget()
    new.until("registered again", lambda: "task-1" in consul.services)
    new.leave()
    assert not consul.services


def test_a_new_state_is_said_at_once(t):
    """Consul keeps the status of a check when its service registers anew: what changed does not wait for the next renewal."""
    consul = _consul(t)
    handler = t.origin("handler")
    agent = member(t, "consul:" + consul.url, handler=handler, instance="task-1", registry_lease="60s")
    agent.until("passing", lambda: consul.status.get("task-1") == "passing", SOON)
    handler.close()
    agent.until("critical", lambda: consul.status["task-1"] == "critical", 5)


def test_checks_and_weights(t):
    """Critical is down, warning has its own weight, an address may be the node's."""
    one, two = service(t), service(t)
    consul = _consul(t)
    weights = {"Passing": 5, "Warning": 2}
    consul.put("quotes", "a", one, Weights=weights, Tags=["canary"])
    consul.put("quotes", "b", two, "critical", Address="")
    agent = caller(t, "consul:" + consul.url)
    until_known(agent, [one, two])
    assert _state(agent, two) == ["down"] and _state(agent, one) == ["up"]
    seen = [e for e in upstream(agent)["endpoints"] if e["address"] == one][0]
    assert (seen["weight"], seen["zone"], seen["node"], seen["meta"]) == (500, "z9", "c1", {"tag.canary": "1"}), seen
    consul.put("quotes", "a", one, "warning", Weights=weights)
    agent.until("warning", lambda: [e["weight"] for e in upstream(agent)["endpoints"] if e["address"] == one] == [200])


def test_the_index(t):
    """It blocks on the index; one that goes backwards leads to a full read, and nothing is asked in a busy loop."""
    one, two = service(t), service(t)
    consul = _consul(t)
    consul.put("quotes", "a", one)
    agent = caller(t, "consul:" + consul.url)
    until_known(agent, [one])
    agent.until("blocks", lambda: [q for _, p, q in consul.asked if p.startswith("/v1/health") and int(q.get("index", 0)) > 1])
    with consul.cond:  # restored from a backup: another set under a lower index
        consul.services = {"b": dict(consul.services["a"], Port=int(two.split(":")[1]))}
        consul.status = {"b": "passing"}
        consul.index = 3
        consul.rewound = True
        consul.cond.notify_all()
    until_known(agent, [two], 8)
    assert consul.count("/v1/health") < 30


@limit(60)
@rows({"garbage": ("garbage", "JSON"), "huge": ("huge", "127.0.0.1"), "object": ("object", "Consul"), "filtered": ("filtered", "node:read"),
       "403": ("403", "403"), "500": ("500", "500")})
def test_a_lying_consul_changes_nothing(t, mode, why):
    """Nonsense, errors and answers filtered by ACLs: the last instances stay, under traffic; put right, all is well."""
    one, two = service(t), service(t)
    consul = _consul(t)
    consul.put("quotes", "a", one)
    agent = caller(t, "consul:" + consul.url)
    until_known(agent, [one])
    load = traffic(agent)
    consul.mode = mode
    consul.changed()
    trouble = agent.until("trouble", lambda: _trouble(agent), 25)
    assert why in trouble, trouble
    assert known(agent) == [one]
    consul.mode = ""
    consul.put("quotes", "b", two)
    until_known(agent, [one, two], 30)
    agent.until("well", lambda: not _trouble(agent))
    load.end()


@limit(60)
@limit(150)
def test_more_services_than_connections(t):
    """Of 160 services Consul holds a connection for 144; the others are read in turns, and all of them are known and followed."""
    one, two = service(t), service(t)
    consul = _consul(t)
    names = ["s%03d" % i for i in range(160)]
    for name in names:
        consul.put(name, name + "-a", one)
    agent = caller(t, "consul:" + consul.url, name="quotes", registry_poll="1s",
                   **{"upstream_%s_registry" % name: "consul" for name in names})

    def all_know(addresses):
        found = {u["name"]: sorted(e["address"] for e in u["endpoints"]) for u in agent.get("/upstreams")["upstreams"]}
        return all(found.get(name) == sorted(addresses) for name in names)
    agent.until("all known", lambda: all_know([one]), 60)
    for name in names:
        consul.put(name, name + "-b", two)
    agent.until("all followed", lambda: all_know([one, two]), 60)
    assert not _trouble(agent)
    with consul.cond:
        blocked = {p for _, p, q in consul.asked if p.startswith("/v1/health") and "index" in q}
        asked = {p for _, p, _ in consul.asked if p.startswith("/v1/health")}
    assert len(blocked) == 144 and len(asked) == 161, (len(blocked), len(asked))
    polled = min(asked - blocked)
    first, start = consul.count(polled), time.monotonic()
    agent.until("read again, without being told", lambda: consul.count(polled) >= first + 3, 30)
    assert time.monotonic() - start > 1.5, "it is not read once a second, but all the time"


def test_a_token(t):
    """The token is sent and never shown; without it the trouble says what it lacks."""
    consul = _consul(t, token="se-cret")
    good = member(t, "consul:" + consul.url, consul_token="se-cret")
    good.until("registered", lambda: consul.services)
    bad = caller(t, "consul:" + consul.url, consul_token="wr-ong")
    assert "403" in bad.until("trouble", lambda: _trouble(bad))
    assert "wr-ong" not in str(bad.get("/upstreams")) + bad.stderr()
