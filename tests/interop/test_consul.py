"""A real Consul between agents: registering with a TTL check, blocking queries, ACLs, a Consul that dies under traffic, and its key-value store."""
from agents import until_live
from consul import TOKEN
from harness.case import limit
from harness.members import address, caller, member, traffic, until_known, upstream
from needs import needs

OWN = 'service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }'


def _state(agent, place):
    return [e["state"] for e in upstream(agent)["endpoints"] if e["address"] == place]


def _registered(consul, service):
    return consul.asked("/v1/health/service/" + service)


@limit(120)
@needs("consul")
def test_instances_come_and_go(t, estate):
    """Agents register with what they say of themselves, are known at once, leave without a lost request, and are critical when they die."""
    consul = estate.get("consul")
    token = consul.token(OWN)
    first = member(t, consul.registry, consul_token=token, meta="version=2", node="n1", zone="z1", registry_lease="1s")
    agent = caller(t, consul.registry, consul_token=token)
    until_known(agent, [first], 20)
    seen = upstream(agent)["endpoints"][0]
    assert (seen["node"], seen["zone"], seen["meta"]["version"]) == ("n1", "z1", "2"), seen
    told = _registered(consul, "quotes")
    assert [one["Service"]["Port"] for one in told] == [first.inbound[1]], told
    first.until("passing", lambda: {c["Status"] for c in _registered(consul, "quotes")[0]["Checks"]} == {"passing"}, 20)
    load = traffic(agent)
    second = member(t, consul.registry, consul_token=token, registry_lease="1s")
    until_known(agent, [first, second], 10)
    first.leave()
    until_known(agent, [second], 10)
    third = member(t, consul.registry, consul_token=token, registry_lease="1s")
    until_known(agent, [second, third], 10)
    agent.until("up", lambda: _state(agent, address(third)) == ["up"], 10)
    second.die()
    agent.until("critical", lambda: _state(agent, address(second)) == ["down"], 20)
    load.end()
    third.leave()
    assert [one["Service"]["Port"] for one in _registered(consul, "quotes")] == [second.inbound[1]]


@limit(120)
@needs(down=("consul",))
def test_consul_dies_under_traffic(t, estate):
    """Consul killed and started without its data: no request is lost, and the instance is registered again."""
    consul = estate.get("consul")
    consul.start()
    one = member(t, consul.registry, "orders", consul_token=TOKEN, registry_lease="1s")
    agent = caller(t, consul.registry, "orders", consul_token=TOKEN)
    until_known(agent, [one], 20, "orders")
    load = traffic(agent)
    consul.kill()
    agent.until("it is said", lambda: agent.get("/upstreams")["registries"][0]["trouble"], 30)
    consul.start()
    one.until("registered again", lambda: [x["Service"]["Port"] for x in _registered(consul, "orders")] == [one.inbound[1]], 40)
    agent.until("well again", lambda: not agent.get("/upstreams")["registries"][0]["trouble"], 40)
    load.end()


@limit(90)
@needs("consul")
def test_a_token_that_may_not(t, estate):
    """Without the right to read, an answer that ACLs emptied is trouble and no empty set; without the right to write, nothing is registered and it is said."""
    consul = estate.get("consul")
    blind = consul.token('node_prefix "" { policy = "read" }')
    stranger = member(t, consul.registry, consul_token=blind, registry_lease="1s")
    stranger.until("it is said", lambda: stranger.get("/upstreams")["registries"][0]["trouble"], 30)


@limit(90)
@needs("consul")
def test_properties(t, estate):
    """The source consul reads the key-value store, and a change there is live at once."""
    consul = estate.get("consul")

    def put(key, value):
        assert consul.call("PUT", "/v1/kv/config/shop/" + key, value, {"X-Consul-Token": TOKEN})[0] == 200
    put("greeting", "hello")
    agent = t.sidecar(t.service(200), env={"OUTRIDER_SERVICE": "shop", "OUTRIDER_CONFIG": "consul:" + consul.url, "OUTRIDER_CONSUL_TOKEN": TOKEN}, ready=False)
    agent.wait_ready(30)
    until_live(agent, "greeting", "hello")
    put("greeting", "good morning")
    until_live(agent, "greeting", "good morning")
