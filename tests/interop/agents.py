"""How the tests start an agent that takes its configuration from a Spring config server, and what they read of it."""
import contextlib

from harness.config import Traffic, app, service

LIVE = 15.0  # seconds for a change to arrive: the config server fetches from git first, on a machine that may be busy
NEVER = "3600s"  # a poll that does not come


def spring_agent(t, server, name, bus=None, handler=None, **options):
    """A sidecar of service `name` with source spring:SERVER, and with bus also the trigger; options are OUTRIDER_<KEY>."""
    chain = "spring:" + server.url + (",spring-bus:" + bus.url if bus else "")
    env = {"OUTRIDER_SERVICE": name, "OUTRIDER_CONFIG": chain, "OUTRIDER_CONFIG_POLL": NEVER, "OUTRIDER_CONFIG_WAIT": "20s"}
    env.update({"OUTRIDER_" + key.upper(): value for key, value in options.items()})
    agent = t.sidecar(handler or service(t), env=env, ready=False)
    return agent.wait_ready(30)


def value(agent, key):
    """The service's own property as text; None when there is none."""
    status, _, body = app(agent, "/app/config/" + key)
    return body.decode() if status == 200 else None


def until_live(agent, key, wanted, seconds=LIVE):
    agent.until("%s is %r" % (key, wanted), lambda: value(agent, key) == wanted, seconds)


def spring_source(agent):
    return next(one for one in agent.get("/config")["sources"] if one["source"].startswith("spring:"))


def until_trouble(agent, seconds=LIVE):
    return agent.until("the source is in trouble", lambda: spring_source(agent)["trouble"], seconds)


def until_well(agent, seconds=LIVE):
    agent.until("the source is well", lambda: spring_source(agent)["well"], seconds)


def refresh(agent):
    status, _, body = agent.admin_call("POST", "/refresh", {"X-Outrider": "1"}, b"")
    assert status == 202, (status, body)


@contextlib.contextmanager
def traffic(agent):
    """Requests during the block; each of them must succeed."""
    running = Traffic(agent.inbound)
    try:
        yield running
    finally:
        running.stop = True
    running.end()
