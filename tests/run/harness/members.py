"""What tests of registries share: agents that announce themselves, an agent that calls them, and what it sees."""
from .config import Traffic, service

QUICK = {"OUTRIDER_REGISTRY_LEASE": "2s", "OUTRIDER_HANDLER_CHECK_INTERVAL": "100ms"}


def member(t, registry, name="quotes", handler=None, **more):
    """An agent beside a handler that always answers; it announces itself as an instance of `name`."""
    env = dict(QUICK, OUTRIDER_SERVICE=name, OUTRIDER_REGISTRY=registry)
    env.update({"OUTRIDER_" + key.upper(): value for key, value in more.items()})
    return t.sidecar(handler or service(t), env=env)


def caller(t, registry, name="quotes", **more):
    """An agent without a handler, with a port of its own for the service: `.pin`."""
    pin = t.port("127.0.4.1")
    env = dict(QUICK, OUTRIDER_REGISTRY=registry, OUTRIDER_UPSTREAMS="%s@%s" % (name, pin.text))
    env.update({"OUTRIDER_" + key.upper(): value for key, value in more.items()})
    agent = t.sidecar(env=env)
    agent.pin = (pin.host, pin.port)
    return agent


def traffic(agent, n=2):
    return Traffic(agent.pin, n)


def upstream(agent, name="quotes"):
    found = [u for u in agent.get("/upstreams")["upstreams"] if u["name"] == name]
    return found[0] if found else None


def known(agent, name="quotes"):
    """The addresses that the agent knows of the service."""
    found = upstream(agent, name)
    return sorted(e["address"] for e in found["endpoints"]) if found else []


def until_known(agent, members, seconds=5.0, name="quotes"):
    """Until exactly these agents, or addresses, are known, and the agents take requests: each says first that it is starting."""
    want = sorted(m if isinstance(m, str) else address(m) for m in members)
    agents = [address(m) for m in members if not isinstance(m, str)]

    def seen():
        found = upstream(agent, name)
        states = {e["address"]: e["state"] for e in found["endpoints"]} if found else {}
        return sorted(states) == want and all(states[one] == "up" for one in agents)
    agent.until("known %s" % want, seen, seconds)


def address(agent):
    host, port = agent.inbound
    return "%s:%d" % (host, port)
