"""The agent and Spring Cloud Bus: refresh events of a real config server over a real RabbitMQ. The agents here poll once an
hour, so that whatever arrives was brought by an event."""
import http.client
import json

from agents import LIVE, spring_agent, traffic, until_live, value
from harness.case import limit, rows
from needs import needs


def _heard(agent):
    """How many times the bus made the agent read again; once of itself when the connection stands."""
    bus = next(one for one in agent.get("/config")["sources"] if one["source"].startswith("spring-bus:"))
    return bus["times"] if bus["well"] else 0


def _bus_agent(t, estate, name, server="config-git"):
    agent = spring_agent(t, estate.get(server), name, bus=estate.get("rabbitmq"))
    agent.until("it hears the bus", lambda: _heard(agent) == 1, LIVE)
    return agent


@rows({"all": ("",), "service": ("bussed",), "pattern": ("bussed:**",), "star": ("*",), "question": ("buss??:**",)})
@needs("config-git")
def test_busrefresh(t, estate, destination):
    """POST /actuator/busrefresh on the config server, for all or for the service: the commit is live, no request fails."""
    git, server = estate.get("git"), estate.get("config-git")
    git.put({"bussed.yml": "x: old\n"})
    agent = _bus_agent(t, estate, "bussed")
    with traffic(agent):
        for n, wanted in enumerate(("new", "newer"), 2):
            git.put({"bussed.yml": "x: %s\n" % wanted})
            server.busrefresh(destination.replace("?", "%3F"))
            agent.until("it obeys", lambda: _heard(agent) == n, LIVE)
            until_live(agent, "x", wanted)


@needs("config-git")
def test_another_service(t, estate):
    """An event for one service refreshes that one, not one whose name it begins or ends with."""
    git, server = estate.get("git"), estate.get("config-git")
    names = ("quote", "quotes", "myquotes")
    git.put({name + ".yml": "x: old\n" for name in names})
    agents = {name: _bus_agent(t, estate, name) for name in names}
    git.put({name + ".yml": "x: new\n" for name in names})
    server.busrefresh("quotes:**")
    until_live(agents["quotes"], "x", "new")
    server.busrefresh()  # comes after the other on each queue: who obeyed both has counted two
    for name, agent in agents.items():
        until_live(agent, "x", "new")
        wanted = 3 if name == "quotes" else 2
        agent.until("%s obeys" % name, lambda: _heard(agent) >= wanted, LIVE)
        assert _heard(agent) == wanted, (name, _heard(agent))


@needs("config-git", "config-native")
def test_strange_events(t, estate):
    """Webhook calls with odd paths, odd destinations, and the bursts of a server that watches its folder while an editor
    works there: the agents serve on and hear the next proper event."""
    git, native = estate.get("git"), estate.get("config-native")
    server = estate.get("config-git")
    git.put({"steady.yml": "x: 1\n"})
    native.put("watched.yml", "x: 1\n")
    agent, watched = _bus_agent(t, estate, "steady"), _bus_agent(t, estate, "watched", "config-native")
    with traffic(agent):
        for path in ("orders", "*", "**", "a:b:c", "steady:::", "%F0%9F%90%87", "..%2F..%2Fetc", "x" * 3000):
            try:
                server.call("POST", "/monitor", "path=" + path, {"Content-Type": "application/x-www-form-urlencoded"})
                server.call("POST", "/actuator/busrefresh/" + path.replace("..%2F", ".."), b"")
            except (OSError, http.client.HTTPException):
                pass  # what the server thinks of it is its own matter
        server.call("POST", "/monitor", json.dumps({"commits": [{"modified": ["steady-test.yml", ".x.swp", "#a#", ""]}]}),
                    {"Content-Type": "application/json", "X-Github-Event": "push"})
        for n in range(30):
            native.put("sedo%d" % n, "junk")
            native.put("watched.yml", "x: %d\n" % n)
        native.put("watched.yml", "x: last\n")
        until_live(watched, "x", "last")
        git.put({"steady.yml": "x: 2\n"})
        server.busrefresh("steady")
        until_live(agent, "x", "2")


@needs("config-git", "spring-client")
@limit(90)
def test_side_by_side(t, estate):
    """A Spring service and an agent of the same service obey the same events; the acknowledgements that Spring sends on the
    same exchange refresh nobody."""
    git, server, spring = estate.get("git"), estate.get("config-git"), estate.get("spring-client")
    agent = _bus_agent(t, estate, "spring-client")
    for n, wanted in enumerate(("first", "second", "third"), 2):
        git.put({"spring-client.yml": "greeting: %s\n" % wanted})
        server.busrefresh("spring-client:**")
        until_live(agent, "greeting", wanted)
        agent.until("Spring has it too", lambda: spring.call("GET", "/value") == (200, wanted), 30)
        assert _heard(agent) == n, "it took Spring's acknowledgement for an event: %d, not %d" % (_heard(agent), n)
