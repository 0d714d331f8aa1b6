"""Discovery by DNS against a scripted server: lazy, polled whatever the TTL, kept when it fails; agents greet each other."""
import json
import itertools
import os
import random
import socket

from harness.case import rows
from harness.dns import A, AAAA, DnsServer
from harness.message import request

_hosts = itertools.count(1)


def _ip():
    """A loopback address of this test's own."""
    n = next(_hosts) + (os.getpid() % 200) * 250
    return "127.%d.%d.%d" % (random.randint(20, 250), n >> 8 & 255, n % 254 + 1)


def _dns(t, names=None, **options):
    return t._keep(DnsServer(names, **options))


def _env(server, **more):
    env = {"OUTRIDER_REGISTRY": "dns:|" + server.text, "OUTRIDER_REGISTRY_POLL": "100ms", "OUTRIDER_BALANCE": "round-robin"}
    env.update({"OUTRIDER_" + key.upper(): value for key, value in more.items()})
    return env


def _free_port(ips):
    """A port that is free on all of these addresses."""
    while True:
        with socket.socket() as first:
            first.bind((ips[0], 0))
            port = first.getsockname()[1]
            try:
                for ip in ips[1:]:
                    with socket.socket() as other:
                        other.bind((ip, port))
                return port
            except OSError:
                continue


def _origins(t, n):
    """n origins on addresses of their own, one port."""
    ips = [_ip() for _ in range(n)]
    port = _free_port(ips)
    return ips, port, [t.origin(None, (ip, port)) for ip in ips]


def _call(t, agent, origins, host="quotes", path="/"):
    """One request on a new connection; which of the origins got it."""
    import select
    c = t.client(agent.outbound)
    c.send(request("GET", path, host))
    ready = select.select([o.sock for o in origins], [], [], 8)[0]
    assert ready, "nobody was asked"
    o = next(o for o in origins if o.sock in ready)
    wire = o.accept()
    wire.read_request()
    wire.answer(200, b"ok", ["Connection: close"])
    assert c.read_response().body == b"ok"
    return origins.index(o)


def _upstream(agent, name="quotes"):
    found = [u for u in agent.get("/upstreams")["upstreams"] if u["name"] == name]
    return found[0] if found else None


def _addresses(agent, name="quotes"):
    u = _upstream(agent, name)
    return sorted(e["address"] for e in u["endpoints"]) if u else []


def test_a_called_name_is_found(t):
    """A name that nobody configured: the request waits for the answer, then goes to an instance; nobody was asked before."""
    ips, port, origins = _origins(t, 2)
    dns = _dns(t, {"tasks.quotes": ips})
    agent = t.sidecar(env=_env(dns))
    assert dns.asked == []
    assert {_call(t, agent, origins, "quotes:%d" % port) for _ in range(4)} == {0, 1}
    u = _upstream(agent)
    assert u["source"].startswith("dns:") and _addresses(agent) == sorted(ips), u


def test_sets_follow_the_poll(t):
    """The TTL of 600 s says nothing: what comes and goes is seen at the next poll."""
    ips, port, origins = _origins(t, 2)
    dns = _dns(t, {"tasks.quotes": ips[:1]})
    agent = t.sidecar(env=_env(dns, upstream_quotes_port=str(port)))
    assert _call(t, agent, origins) == 0
    dns.names["tasks.quotes"] = ips[1:]
    agent.until("changed", lambda: _addresses(agent) == ips[1:])
    assert _call(t, agent, origins) == 1


@rows({"nxdomain": ("gone",), "empty": ("empty",), "servfail": ("servfail",), "silent": ("silent",), "garbage": ("garbage",)})
def test_a_dead_registry_changes_nothing(t, what):
    """NXDOMAIN, SERVFAIL, silence, empty and senseless answers: the last instances stay."""
    ips, port, origins = _origins(t, 1)
    dns = _dns(t, {"tasks.quotes": ips})
    agent = t.sidecar(env=_env(dns, upstream_quotes_port=str(port)))
    assert _call(t, agent, origins) == 0
    if what == "gone":
        del dns.names["tasks.quotes"]
    elif what == "empty":
        dns.names["tasks.quotes"] = []
    else:
        dns.mode = what
    before = dns.count("tasks.quotes")
    agent.until("asked again", lambda: dns.count("tasks.quotes") > before + 1, 20)
    assert _call(t, agent, origins) == 0 and _addresses(agent) == ips


@rows({"%s-%s" % (name, how): (kind, how) for name, kind in (("A", A), ("AAAA", AAAA)) for how in ("servfail", "silent", "garbage")})
def test_one_family_fails(t, kind, how):
    """A name with IPv4 and IPv6 instances: while questions for one family fail, its former instances stay, and the other family follows the answers."""
    lost, kept, new = ("127.77.0.1", "fd00::1", "fd00::2") if kind == A else ("fd00::1", "127.77.0.1", "127.77.0.2")
    dns = _dns(t, {"tasks.quotes": [lost, kept]})
    agent = t.sidecar(env=_env(dns, upstream_quotes_port="1", timeout_connect="1s"))
    c = t.client(agent.outbound)
    c.send(request("GET", "/", "quotes"))
    c.read_response()
    assert _addresses(agent) == sorted([lost, kept])
    dns.ill[kind] = how
    dns.names["tasks.quotes"] = [kept, new]
    agent.until("the other family follows", lambda: new in _addresses(agent), 20)
    assert _addresses(agent) == sorted([lost, kept, new])
    before = dns.count("tasks.quotes")
    agent.until("asked again", lambda: dns.count("tasks.quotes") > before + 2, 30)
    assert _addresses(agent) == sorted([lost, kept, new])
    dns.ill.clear()
    agent.until("what is gone is gone", lambda: _addresses(agent) == sorted([kept, new]), 20)


def test_hold_ends(t):
    """When the registry goes on saying that there is none, the instances are dropped after registry-hold."""
    ips, port, origins = _origins(t, 1)
    dns = _dns(t, {"tasks.quotes": ips})
    agent = t.sidecar(env=_env(dns, upstream_quotes_port=str(port), registry_hold="500ms", endpoint_wait="100ms"))
    assert _call(t, agent, origins) == 0
    del dns.names["tasks.quotes"]
    agent.until("dropped", lambda: _addresses(agent) == [])
    c = t.client(agent.outbound)
    c.send(request("GET", "/", "quotes"))
    reply = c.read_response()
    assert reply.status in (502, 503), reply.status


@rows({"servfail": ("servfail",), "silent": ("silent",)})
def test_silence_is_believed_for_a_bounded_time(t, what):
    """registry-keep: a registry that goes on saying nothing is believed so long; a service that it still answers for stays."""
    ips, port, origins = _origins(t, 1)
    dns = _dns(t, {"tasks.quotes": ips})
    agent = t.sidecar(env=_env(dns, upstream_quotes_port=str(port), registry_keep="1s", endpoint_wait="100ms"))
    assert _call(t, agent, origins) == 0
    dns.mode = what
    agent.until("dropped", lambda: _addresses(agent) == [], 30)
    dns.mode = "answer"
    agent.until("back again", lambda: _addresses(agent) == ips, 30)
    assert _call(t, agent, origins) == 0


def test_a_request_waits_for_the_first_instance(t):
    """An empty upstream parks requests; the first instance gets them."""
    ips, port, origins = _origins(t, 1)
    dns = _dns(t)
    agent = t.sidecar(env=_env(dns, upstream_quotes_port=str(port), endpoint_wait="8s"))
    c = t.client(agent.outbound)
    c.send(request("GET", "/", "quotes"))
    agent.until("asked", lambda: dns.count("tasks.quotes") > 1)
    dns.names["tasks.quotes"] = ips
    wire = origins[0].accept()
    wire.read_request()
    wire.answer(200, b"late")
    assert c.read_response().body == b"late"
    assert agent.get("/stats")["counters"]["outrider_requests_parked_total"] == 1


def test_a_service_of_port_4143(t):
    """the service's own port is the agents', and nobody is there: an answer comes, no search without end"""
    dns = _dns(t, {"tasks.quotes": [_ip()]})
    agent = t.sidecar(env=_env(dns, upstream_quotes_port="4143"))
    c = t.client(agent.outbound)
    c.send(request("GET", "/", "quotes"))
    assert c.read_response().status in (502, 503)


def test_waiting_ends(t):
    """After endpoint-wait: 503 no-endpoint, and a client that leaves meanwhile does no harm."""
    dns = _dns(t)
    agent = t.sidecar(env=_env(dns, upstream_quotes_port="80", endpoint_wait="300ms"))
    gone = t.client(agent.outbound)
    gone.send(request("GET", "/", "quotes"))
    gone.close()
    c = t.client(agent.outbound)
    c.send(request("GET", "/", "quotes"))
    t.own_answer(c.read_response(), "no-endpoint")
    assert agent.ready() == 200


def test_a_name_that_is_no_service_goes_out(t):
    """A host that no registry knows is egress, as without the agent."""
    dns = _dns(t)
    agent = t.sidecar(env=_env(dns))
    c = t.client(agent.outbound)
    c.send(request("GET", "/", "nosuchhost-%d" % random.randint(0, 10**9)))
    t.own_answer(c.read_response(), "name-unknown")


def test_truncated_answers_come_by_tcp(t):
    """A truncated answer is asked for again over TCP: all instances are known."""
    ips = [_ip() for _ in range(40)]
    dns = _dns(t, {"tasks.quotes": ips})
    dns.truncate = True
    agent = t.sidecar(env=_env(dns, upstream_quotes_port="1"))
    c = t.client(agent.outbound)
    c.send(request("GET", "/", "quotes"))
    c.read_response()
    assert _addresses(agent) == sorted(ips) and dns.tcp_asked > 0


def test_duplicates_and_order(t):
    """The same addresses in another order, or twice, are no change."""
    ips, port, origins = _origins(t, 2)
    dns = _dns(t, {"tasks.quotes": lambda: random.sample(ips * 2, 4)})
    agent = t.sidecar(env=_env(dns, upstream_quotes_port=str(port)))
    _call(t, agent, origins)
    version = agent.get("/upstreams")["version"]
    before = dns.count("tasks.quotes")
    agent.until("asked again", lambda: dns.count("tasks.quotes") > before + 3)
    assert agent.get("/upstreams")["version"] == version and len(_addresses(agent)) == 2


# --- hello -----------------------------------------------------------------------------------------------------------------


def _peer(t, ip, service, handler, **more):
    """An agent that stands at 4143 of an address, beside `handler`."""
    env, ports = t.wiring(handler, listen=ip)
    env.update({"OUTRIDER_SERVICE": service, "OUTRIDER_INBOUND": ip + ":4143"})
    env.update({"OUTRIDER_" + key.upper(): value for key, value in more.items()})
    ports["inbound"].host, ports["inbound"].port = ip, 4143
    return t.agent(["sidecar"], env, ports)


def _ask_peer(t, agent, handler, host="quotes"):
    c = t.client(agent.outbound)
    c.send(request("GET", "/", host))
    wire = handler.accept()
    seen = wire.read_request()
    wire.answer(200, b"ok", ["Connection: close"])
    reply = c.read_response()
    assert reply.body == b"ok"
    return seen, reply


def test_agents_greet_each_other(t):
    """Where an agent stands at 4143 it is called there; each learns who the other is; the handler sees nothing of it."""
    ip, handler = _ip(), t.origin("handler")
    _peer(t, ip, "quotes", handler, node="n2", meta="version=2")
    agent = t.sidecar(env=_env(_dns(t, {"tasks.quotes": [ip]})))
    seen, reply = _ask_peer(t, agent, handler)
    assert b"hello" not in seen.raw.lower() and b"hello" not in reply.raw.lower()
    said = agent.until("met", lambda: _upstream(agent)["endpoints"][0]["agent"])
    assert said["service"] == "quotes" and said["node"] == "n2" and said["version"] == "2", said


def test_metadata_that_do_not_fit(t):
    """Metadata beyond what a hello holds are left out, and the log says so once; who the agent is, and what fits, is told."""
    ip, handler = _ip(), t.origin("handler")
    told = _peer(t, ip, "quotes", handler, node="n2", meta="version=2,rack=%s,colour=%s" % ("r" * 300, "c" * 300))
    agent = t.sidecar(env=_env(_dns(t, {"tasks.quotes": [ip]})))
    _ask_peer(t, agent, handler)
    said = agent.until("met", lambda: _upstream(agent)["endpoints"][0]["agent"])
    assert said["service"] == "quotes" and said["version"] == "2" and len(said["rack"]) == 300 and "colour" not in said, said
    lines = [line for line in map(json.loads, told.lines()) if "find no room" in line["message"]]
    assert len(lines) == 1 and lines[0]["left_out"] == 1 and lines[0]["level"] == "warn", lines


def test_another_service_at_the_address(t):
    """An address that changed its owner answers 421; the request goes elsewhere, whatever its method; nobody goes there again."""
    wrong, right = _ip(), _ip()
    other, handler = t.origin("other"), t.origin("handler")
    _peer(t, wrong, "images", other)
    _peer(t, right, "quotes", handler)
    agent = t.sidecar(env=_env(_dns(t, {"tasks.quotes": [wrong, right]}), balance_locality="off"))
    for _ in range(4):
        c = t.client(agent.outbound)
        c.send(request("DELETE", "/x", "quotes"))
        wire = handler.accept()
        wire.read_request()
        wire.answer(200, b"ok", ["Connection: close"])
        assert c.read_response().status == 200
    assert other.untouched()
    counters = agent.get("/stats")["counters"]
    assert counters["outrider_wrong_services_total"] == 1, counters


def test_all_addresses_have_another_owner(t):
    """When nobody is left, the caller is told."""
    ip, other = _ip(), t.origin("other")
    _peer(t, ip, "images", other)
    agent = t.sidecar(env=_env(_dns(t, {"tasks.quotes": [ip]}), endpoint_wait="100ms"))
    c = t.client(agent.outbound)
    c.send(request("GET", "/", "quotes"))
    assert c.read_response().status in (421, 503)
    assert other.untouched()


def test_no_agent_at_the_address(t):
    """Where nothing listens on 4143 the service itself is called, at the port of the URL, without a hello."""
    ips, port, origins = _origins(t, 1)
    agent = t.sidecar(env=_env(_dns(t, {"tasks.quotes": ips})))
    c = t.client(agent.outbound)
    c.send(request("GET", "/", "quotes:%d" % port))
    wire = origins[0].accept()
    assert b"hello" not in wire.read_request().raw.lower()
    wire.answer(200, b"ok")
    assert c.read_response().body == b"ok"
    assert _upstream(agent)["failures"] == 0 and json.dumps(agent.get("/upstreams"))
