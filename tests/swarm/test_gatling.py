"""The table that started this product: a plain Go handler, at rest and at 1,000 requests/s, without and with its sidecar, and with what
the sidecar can do beside."""
import contextlib
import threading

import gatling
from estate import FULL, estate
from harness.case import Skip
from swarm import until

RUNNING = ("swarm",)
LIMIT = 900
SECONDS = 30 if FULL else 8
USERS = 1000
COLLECTOR = "zipkin:http://collector:9411"

# What is switched on, container by container, with limits that refuse nothing; one that is traced by nobody says so, for the agent has
# a collector meanwhile.
CAPABILITIES = {
    "bulkhead, rate limit": {"LIMIT_CONCURRENT": "20000", "LIMIT_CONCURRENT_QUEUE": "20000", "LIMIT_REQUESTS": "50000", "TRACE_SAMPLE": "never"},
    "each request traced to a collector": {"TRACE_SAMPLE": "always"},
    "each request in the access log": {"ACCESS_SAMPLE": "100%", "TRACE_SAMPLE": "never"},
    "metrics read each second": {"TRACE_SAMPLE": "never"},
    "all of these": {"LIMIT_CONCURRENT": "20000", "LIMIT_CONCURRENT_QUEUE": "20000", "LIMIT_REQUESTS": "50000", "TRACE_SAMPLE": "always",
                     "ACCESS_SAMPLE": "100%"},
}


def handler_image(swarm):
    try:
        handler = gatling.go_handler()
        gatling.fetch()
    except gatling.Missing as why:
        raise Skip(str(why)) from None
    swarm.image("account:1", {"/account": handler}, 'ENTRYPOINT ["/account"]')


@contextlib.contextmanager
def account(e, **options):
    """The handler on node 2, with its sidecar; its container's id."""
    words = [word for key, value in options.items() for word in ("-e", "OUTRIDER_%s=%s" % (key, value))]
    container = e.docker(2, "run", "-d", "--name", "account", "--network", "outrider", "-e", "OUTRIDER_PORT=6767", *words, "account:1")
    try:
        until("its sidecar", lambda: any(s["container"] == "account" and s["handler"] == "up" for s in e.sidecars(2) or []), 60)
        yield container
    finally:
        e.docker(2, "rm", "-f", "account", check=False)


@contextlib.contextmanager
def scraped(e):
    """/metrics of node 2's agent is read each second, over its own network, as a Prometheus does."""
    node, inside = e.container("shop_accounts")
    address = e.docker(2, "inspect", "-f", '{{(index .NetworkSettings.Networks "outrider").IPAddress}}', e.agent(2))
    end, pages = threading.Event(), []

    def read():
        while not end.wait(1):
            pages.append(e.swarm.inside(node, inside, "curl", "-s", "-m", "5", "http://%s:4191/metrics" % address).stdout)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield pages
    finally:
        end.set()
        reader.join()


def show(swarm, rows):
    swarm.say("  " + gatling.table(rows, USERS).replace("\n", "\n  "))
    for what, _, _, figures in rows:
        assert not figures or (figures["failed"] == 0 and figures["count"] > 0), (what, figures)


def test_a_go_handler(_t, swarm):
    """Gatling's requests all succeed, plain and through the sidecar; memory by docker stats; its reports are kept in build/gatling"""
    e = estate(swarm)
    handler_image(swarm)
    with account(e) as container:
        rows = gatling.pair(swarm, 2, container, e.agent(2), USERS, SECONDS)
    show(swarm, rows)


def test_capabilities(_t, swarm):
    """the same with each capability on top of it: limits, a trace and a log line for each request, metrics that are read; nothing fails"""
    if not FULL:
        raise Skip("the table of all capabilities is of FULL=1")
    e = estate(swarm)
    handler_image(swarm)
    swarm.docker(2, "run", "-d", "--name", "collector", "--network", "outrider", "handler:1", "--listen", "0.0.0.0:9411")
    rows = []
    try:
        e.update("outrider_agent", "--env-add", "OUTRIDER_TRACE=" + COLLECTOR)
        until("the agents are healthy", lambda: e.agents() == swarm.n, 120)
        for what, options in CAPABILITIES.items():
            with account(e, **options) as container, contextlib.ExitStack() as beside:
                pages = beside.enter_context(scraped(e)) if what in ("metrics read each second", "all of these") else None
                rows.append(gatling.measured(swarm, 2, container, e.agent(2), what, 4143, USERS, SECONDS))
                assert pages is None or 'service="account"' in pages[-1], pages[-1][:300]
    finally:
        swarm.docker(2, "rm", "-f", "collector", check=False)
        e.update("outrider_agent", "--env-rm", "OUTRIDER_TRACE")
        until("the agents are healthy", lambda: e.agents() == swarm.n, 120)
    show(swarm, rows)
