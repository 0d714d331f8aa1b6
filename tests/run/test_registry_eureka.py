"""Registry eureka against a scripted server: what real ones do not show on demand (those are in tests/interop)."""
from harness.case import limit, rows
from harness.config import service
from harness.eureka import EurekaServer
from harness.members import address, caller, known, member, traffic, until_known, upstream

POLL = {"registry_poll": "200ms"}


def _server(t, **options):
    return t._keep(EurekaServer(**options))


def _trouble(agent):
    return agent.get("/upstreams")["registries"][0]["trouble"]


def _until_well(agent, seconds=15.0):
    agent.until("well", lambda: not _trouble(agent), seconds)


def test_deltas(t):
    """After one full answer deltas alone: what is added, changed and deleted is followed, repeated items change nothing."""
    one, two = service(t), service(t)
    server = _server(t)
    server.put("QUOTES", "a", one)
    server.put("IMAGES", "z", service(t))
    agent = caller(t, "eureka:" + server.url, **POLL)
    until_known(agent, [one])
    load = traffic(agent)
    server.put("QUOTES", "b", two, metadata={"version": "2", "zone": "z2", "weight": "20"})
    until_known(agent, [one, two])
    seen = [e for e in upstream(agent)["endpoints"] if e["address"] == two][0]
    assert (seen["meta"]["version"], seen["zone"], seen["weight"]) == ("2", "z2", 20), seen
    server.remove("QUOTES", "a")
    until_known(agent, [two])
    server.put("QUOTES", "b", two, "OUT_OF_SERVICE")
    agent.until("down", lambda: upstream(agent)["endpoints"][0]["state"] == "down")
    server.put("QUOTES", "b", two)
    agent.until("up", lambda: upstream(agent)["endpoints"][0]["state"] == "up")
    load.stop = True
    version, asked = agent.get("/upstreams")["version"], server.count("GET", "/apps/delta")
    agent.until("asked on", lambda: server.count("GET", "/apps/delta") > asked + 3)
    assert agent.get("/upstreams")["version"] == version
    full = [p for m, p in server.asked if m == "GET" and p == "/eureka/apps/"]
    assert len(full) == 1, full


def test_a_hash_that_is_wrong(t):
    """A delta that leaves another picture than the server's leads to a full answer, but never to a loop of them."""
    one = service(t)
    server = _server(t)
    server.put("QUOTES", "a", one)
    agent = caller(t, "eureka:" + server.url, **POLL)
    until_known(agent, [one])
    two = service(t)
    with server.lock:  # the delta never tells of it
        server.put("QUOTES", "b", two)
        server.changes = []
    until_known(agent, [one, two])
    server.lie = True
    deltas, asked = server.count("GET", "/apps/delta"), len(server.asked)
    agent.until("asked on", lambda: server.count("GET", "/apps/delta") > deltas + 4)
    full = sum(1 for m, p in server.asked[asked:] if p == "/eureka/apps/")
    assert full <= server.count("GET", "/apps/delta") - deltas + 1 and known(agent) == sorted([one, two]), full


def test_no_deltas(t):
    """A server without deltas is asked for all each time."""
    one, two = service(t), service(t)
    server = _server(t)
    server.no_delta = True
    server.put("QUOTES", "a", one)
    agent = caller(t, "eureka:" + server.url, **POLL)
    until_known(agent, [one])
    server.put("QUOTES", "b", two)
    until_known(agent, [one, two])


def test_old_servers(t):
    """Objects where lists of one were meant, flags and numbers as texts; instances that nobody can call are passed over."""
    one = service(t)
    server = _server(t, quirks=True)
    server.put("QUOTES", "a", one, port={"$": one.split(":")[1], "@enabled": True})
    agent = caller(t, "eureka:" + server.url, **POLL)
    until_known(agent, [one])
    server.put("QUOTES", "b", "127.0.0.1:1", port={"$": 1, "@enabled": "false"})
    server.put("QUOTES", "c", "127.0.0.1:2", ipAddr="no.such.host", hostName="no.such.host")
    server.put("QUOTES", "d", "127.0.0.1:3", port=3)
    asked = server.count("GET", "/apps/delta")
    agent.until("asked", lambda: server.count("GET", "/apps/delta") > asked + 1)
    assert known(agent) == [one] and not _trouble(agent)


def test_a_vip(t):
    """A service is found by the VIP of its instances when no application has that name."""
    one = service(t)
    server = _server(t)
    server.put("QUOTES-V2", "a", one, vipAddress="other,quotes")
    agent = caller(t, "eureka:" + server.url, **POLL)
    until_known(agent, [one])


@limit(60)
@rows({"hang": ("hang", "127.0.0.1"), "garbage": ("garbage", "JSON"), "empty": ("empty", "JSON"), "html": ("html", "JSON"),
       "huge": ("huge", "127.0.0.1"), "deep": ("deep", "levels"), "other": ("other", "Eureka server"), "401": ("401", "eureka.username"),
       "500": ("500", "500"), "301": ("301", "redirect")})
def test_a_lying_server_changes_nothing(t, mode, why):
    """Silence, nonsense and errors: the last instances stay, under traffic; why is said; put right, all is well."""
    one, two = service(t), service(t)
    server = _server(t)
    server.put("QUOTES", "a", one)
    agent = caller(t, "eureka:" + server.url, **POLL)
    until_known(agent, [one])
    load = traffic(agent)
    server.mode = mode
    trouble = agent.until("trouble", lambda: _trouble(agent), 20)
    assert why in trouble, trouble
    assert known(agent) == [one]
    server.mode = ""
    server.put("QUOTES", "b", two)
    until_known(agent, [one, two], 15)
    _until_well(agent)
    load.end()


def test_register_renew_forget_cancel(t):
    """It registers, renews, registers at once when the server forgot it, says a new state, and cancels when it leaves."""
    server = _server(t)
    handler = t.origin("handler")
    agent = member(t, "eureka:" + server.url, handler=handler, registry_lease="1s")
    agent.until("registered", lambda: [i for i in server.instances.get("QUOTES", {}).values() if i["status"] == "UP"])
    ident, one = next(iter(server.instances["QUOTES"].items()))
    assert one["metadata"]["outrider"] == "1" and ident.endswith("quotes:%d" % agent.inbound[1]), one
    agent.until("renewed", lambda: server.count("PUT", "/apps/QUOTES/") > 2)
    server.forget()
    agent.until("registered again", lambda: server.instances.get("QUOTES"))
    handler.close()
    agent.until("says so", lambda: server.instances["QUOTES"][ident]["status"] == "DOWN")
    agent.leave()
    assert not server.instances["QUOTES"] and server.count("DELETE", "/apps/QUOTES/") == 1


@limit(60)
def test_failover(t):
    """Of two servers the second is asked and told when the first fails."""
    one, first, second = service(t), _server(t), _server(t)
    for server in (first, second):
        server.put("QUOTES", "a", one)
    both = "eureka:%s|%s" % (first.url, second.url)
    instance = member(t, both, "images", registry_lease="1s")
    agent = caller(t, both, **POLL)
    until_known(agent, [one])
    load = traffic(agent)
    first.mode = "500"
    agent.until("registered there", lambda: second.instances.get("IMAGES"), 10)
    two = service(t)
    second.put("QUOTES", "b", two)
    until_known(agent, [one, two], 10)
    load.end()
    assert address(instance).split(":")[0] == next(iter(second.instances["IMAGES"].values()))["ipAddr"]


@limit(60)
def test_a_server_that_lost_its_data(t):
    """Most instances vanish at once: they are kept until they had time to register again."""
    places = [service(t) for _ in range(9)]
    server = _server(t)
    for i, place in enumerate(places):
        server.put("QUOTES", "i%d" % i, place)
    agent = caller(t, "eureka:" + server.url, **POLL)
    until_known(agent, places)
    server.no_delta = True
    server.forget()
    server.put("QUOTES", "i0", places[0])
    asked = server.count("GET", "/apps/")
    agent.until("asked", lambda: server.count("GET", "/apps/") > asked + 4)
    assert known(agent) == sorted(places)


def test_a_server_that_refuses_the_own_instance(t):
    """Trouble of the own registration says nothing of what is read: instances of others are believed also after registry-keep"""
    one, server = service(t), _server(t)
    server.put("QUOTES", "a", one)
    server.refuses = True
    agent = caller(t, "eureka:" + server.url, service="accounts", port=service(t).split(":")[1], inbound=t.port().text, registry_lease="1s",
                   registry_keep="1s", **POLL)
    until_known(agent, [one])
    agent.until("trouble", lambda: _trouble(agent))
    load, asked = traffic(agent), server.count("GET", "/apps/delta")
    agent.until("asked on, for longer than keep", lambda: server.count("GET", "/apps/delta") > asked + 15, 20)
    assert known(agent) == [one] and _trouble(agent)
    load.end()


@limit(60)
def test_a_late_answer_of_the_other_server(t):
    """When both the reader and the own instance find that a server is down, they go on at the next one, not back at the first"""
    one, first, second = service(t), _server(t), _server(t)
    for server in (first, second):
        server.put("QUOTES", "a", one)
    both = "eureka:%s|%s" % (first.url, second.url)
    agent = caller(t, both, service="accounts", port=service(t).split(":")[1], inbound=t.port().text, registry_lease="1s", **POLL)
    agent.until("registered", lambda: first.instances.get("ACCOUNTS"))
    until_known(agent, [one])
    first.slow_refusal = 1.5
    agent.until("its renewal waits", lambda: first.late)
    first.deaf = True

    def reads(server):
        return sum(path in ("/eureka/apps/", "/eureka/apps/delta") for _, path in list(server.asked))
    agent.until("the reader is there", lambda: reads(second), 10)
    before = reads(first)
    agent.until("so is the instance", lambda: second.instances.get("ACCOUNTS"), 15)
    assert (reads(first), first.late) == (before, 1), (reads(first), before, first.late)
