"""Eureka: that the peers themselves are well, and that an instance which registers as an agent will is one to Spring. The
agent's own part comes with its registry."""
import json
import time

from harness.config import service
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
