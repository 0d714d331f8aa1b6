"""Eureka: that the peers themselves are well, and that agents and Spring services find and call each other, both ways, through
one real Eureka server."""
import http.client
import json
import time

from harness.case import limit
from harness.config import service
from harness.members import address, caller, known, member, traffic, until_known, upstream
from needs import needs


def _until(what, check, seconds=30):
    limit = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < limit, "%s: not within %d s" % (what, seconds)
        time.sleep(0.1)
    return value


@needs("eureka", "eureka-client")
def test_spring_with_spring(t, estate):
    """A Spring service registers at Eureka, sees itself there, and calls itself by its name."""
    eureka, spring = estate.get("eureka"), estate.get("eureka-client")
    seen = _until("the service sees itself", lambda: spring.seen("eureka-client"))
    assert [(one["host"], one["port"]) for one in seen] == [("127.0.0.1", spring.port.port)], seen
    told = eureka.json("/eureka/apps/EUREKA-CLIENT")["application"]
    assert [one["status"] for one in told["instance"]] == ["UP"], told
    assert spring.call("GET", "/call/eureka-client/value") == (200, "hello from Spring")


@needs("eureka", "eureka-client")
def test_spring_calls_a_stranger(t, estate):
    """An instance that registers with the fewest fields that Eureka takes is seen and called by Spring, and gone after DELETE."""
    eureka, spring = estate.get("eureka"), estate.get("eureka-client")
    host, port = service(t).split(":")
    instance = {"instanceId": "stranger-1", "app": "STRANGER", "hostName": host, "ipAddr": host, "status": "UP",
                "port": {"$": int(port), "@enabled": "true"}, "vipAddress": "stranger",
                "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"}}
    status, said = eureka.call("POST", "/eureka/apps/STRANGER", json.dumps({"instance": instance}),
                               {"Content-Type": "application/json"})
    assert status == 204, (status, said)
    seen = _until("Spring sees it", lambda: spring.seen("stranger"))
    assert [(one["id"], one["host"], one["port"]) for one in seen] == [("stranger-1", host, int(port))], seen
    assert spring.call("GET", "/call/stranger/x") == (200, "ok")
    assert eureka.call("DELETE", "/eureka/apps/STRANGER/stranger-1")[0] == 200
    _until("it is gone", lambda: not spring.seen("stranger"))


# --- agents ------------------------------------------------------------------------------------------------------------------


def _registry(eureka):
    return "eureka:" + eureka.registry


def _instances(eureka, app):
    status, body = eureka.call("GET", "/eureka/apps/" + app, None, {"Accept": "application/json"})
    return json.loads(body)["application"]["instance"] if status == 200 else []


def _get(agent, path):
    conn = http.client.HTTPConnection(*agent.pin, timeout=20)
    conn.request("GET", path)
    reply = conn.getresponse()
    return reply.status, reply.read().decode()


@needs("eureka", "eureka-client")
def test_spring_calls_an_agent(t, estate):
    """An agent registers its service: Spring sees it with what it says of itself, calls it by name through the agent, hears that its
    handler is down, and sees it gone when it leaves."""
    eureka, spring = estate.get("eureka"), estate.get("eureka-client")
    handler = service(t)
    agent = member(t, _registry(eureka), "plain-quotes", handler=handler, meta="version=2", zone="z1")
    seen = _until("Spring sees it", lambda: spring.seen("plain-quotes"))
    assert ["%s:%d" % (one["host"], one["port"]) for one in seen] == [address(agent)], seen
    told = _instances(eureka, "PLAIN-QUOTES")[0]
    assert told["metadata"]["version"] == "2" and told["metadata"]["zone"] == "z1" and told["status"] == "UP", told
    assert told["leaseInfo"]["durationInSecs"] == 2, told["leaseInfo"]
    assert spring.call("GET", "/call/plain-quotes/x") == (200, "ok")
    agent.leave()
    _until("it is gone", lambda: not _instances(eureka, "PLAIN-QUOTES") and not spring.seen("plain-quotes"))


@needs("eureka", "eureka-client")
def test_an_agent_calls_spring(t, estate):
    """A service behind an agent calls a Spring service by its name, found through Eureka, and another agent's; a new instance comes,
    one that leaves goes, by deltas, without a failed request."""
    eureka = estate.get("eureka")
    agent = caller(t, _registry(eureka), "eureka-client", registry_poll="500ms")
    agent.until("Spring is known", lambda: (upstream(agent, "eureka-client") or {}).get("endpoints"), 30)
    assert _get(agent, "/value") == (200, "hello from Spring")
    first = member(t, _registry(eureka), "far-quotes")
    other = caller(t, _registry(eureka), "far-quotes", registry_poll="500ms")
    until_known(other, [first], 60, "far-quotes")
    load = traffic(other)
    second = member(t, _registry(eureka), "far-quotes")
    until_known(other, [first, second], 60, "far-quotes")
    first.leave()
    until_known(other, [second], 60, "far-quotes")
    load.end()


@needs("eureka")
def test_a_successor_keeps_its_registration(t, estate):
    """The agent that leaves does not cancel what its successor renewed."""
    eureka = estate.get("eureka")
    old = member(t, _registry(eureka), "shared-quotes", instance="task-7")
    _until("registered", lambda: _instances(eureka, "SHARED-QUOTES"))
    new = member(t, _registry(eureka), "shared-quotes", instance="task-7")
    port = new.inbound[1]
    _until("renewed", lambda: [i["port"]["$"] for i in _instances(eureka, "SHARED-QUOTES")] == [port])
    old.leave()
    assert [i["port"]["$"] for i in _instances(eureka, "SHARED-QUOTES")] == [port]


@needs("eureka")
@limit(150)
def test_the_server_restarts(t, estate):
    """Eureka is killed under traffic and comes back empty: no request fails, nobody is forgotten, all register again."""
    eureka = estate.get("eureka")
    members = [member(t, _registry(eureka), "safe-quotes") for _ in range(3)]
    agent = caller(t, _registry(eureka), "safe-quotes", registry_poll="500ms")
    until_known(agent, members, 60, "safe-quotes")
    load = traffic(agent)
    eureka.kill()
    agent.until("trouble", lambda: [r for r in agent.get("/upstreams")["registries"] if r["trouble"]], 20)
    eureka.start()
    _until("registered again", lambda: len(_instances(eureka, "SAFE-QUOTES")) == 3, 60)
    agent.until("well", lambda: not [r for r in agent.get("/upstreams")["registries"] if r["trouble"]], 30)
    assert len(known(agent, "safe-quotes")) == 3
    load.end()
