"""Eureka: that the peers themselves are well. The agent's part comes with its registry."""
import time

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
    eureka, service = estate.get("eureka"), estate.get("eureka-client")
    seen = _until("the service sees itself", lambda: service.seen("eureka-client"))
    assert [(one["host"], one["port"]) for one in seen] == [("127.0.0.1", service.port.port)], seen
    apps = eureka.json("/eureka/apps")["applications"]
    assert [app["name"] for app in apps["application"]] == ["EUREKA-CLIENT"], apps
    assert apps["application"][0]["instance"][0]["status"] == "UP", apps
    assert service.call("GET", "/call/eureka-client/value") == (200, "hello from Spring")
