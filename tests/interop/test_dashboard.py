"""/hystrix.stream as the Hystrix Dashboard itself shows it, in a browser."""
import http.client
import os
import threading
import time
import urllib.parse

from harness.case import limit
from needs import needs

BREAKER = {"OUTRIDER_BREAKER_VOLUME": "10", "OUTRIDER_BREAKER_WINDOW": "5s", "OUTRIDER_RETRY_TRIES": "1", "OUTRIDER_EJECT_CONSECUTIVE": "off"}
PROXY_TIMEOUT = 10.0  # seconds of silence after which the dashboard's proxy ends a stream

# What stands in the tiles, by the classes of the dashboard's templates.
TILES = """(() => {
    const tile = document.getElementById('CIRCUIT_%s_0'), pool = document.getElementById('THREAD_POOL_%s_0');
    const text = (of, where) => of.querySelector(where).textContent.trim();
    if (!tile || !pool || !tile.querySelector('.circuitStatus'))
        return null;
    const count = name => parseInt(text(tile, 'a.' + name).replace(/,/g, ''));
    return {name: text(tile, 'p.name'), status: text(tile, '.circuitStatus').replace(/\\s+/g, ' '),
        rate: parseFloat(text(tile, 'span.ratePerSecond')), each: parseFloat(text(tile, 'span.ratePerSecondPerHost')),
        hosts: text(tile, '.cell.header') === 'Hosts' ? text(tile, '.cell.data') : '', errors: parseFloat(text(tile, 'a.errorPercentage .value')),
        success: count('success'), failure: count('failure'), shorted: count('shortCircuited'), rejected: count('rejected'),
        timeout: count('timeout'), bad: count('badRequest'), median: text(tile, '.latencyMedian .value'),
        slowest: text(tile, '.latency995 .value'), pool: text(pool, 'p.name'), all: tile.textContent + pool.textContent,
        loading: document.querySelectorAll('span.loading').length};
})()"""


class Load:
    """Some forty calls a second to quotes, until it is stopped."""

    def __init__(self, address):
        self.address, self.over = address, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        conn = http.client.HTTPConnection(*self.address, timeout=10)
        while not self.over.wait(0.025):
            try:
                conn.request("GET", "/", headers={"Host": "quotes"})
                conn.getresponse().read()
            except (OSError, http.client.HTTPException):
                conn.close()
        conn.close()

    def close(self):
        self.over.set()
        self.thread.join(15)


def stream(agent):
    return "http://%s:%d/hystrix.stream" % agent.admin


def shown(agent, page, what, check, seconds=30, name="quotes"):
    """The tiles of this circuit, once they say this."""
    def look():
        tiles = page.value(TILES % (name, name))
        if tiles and check(tiles):
            return tiles
        return time.sleep(0.1)  # the stream has news twice a second
    try:
        return agent.until(what, look, seconds)
    except AssertionError as why:
        raise AssertionError("%s; the page: %r" % (why, page.value("document.body.innerText"))) from why


def read_idle(port, agent):
    """Reads a stream without circuits through the dashboard's proxy for longer than that waits for a byte; how many pings came."""
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=PROXY_TIMEOUT)
    conn.request("GET", "/proxy.stream?origin=" + urllib.parse.quote(stream(agent), safe=""))
    reply = conn.getresponse()
    assert reply.status == 200 and reply.getheader("Content-Type", "").startswith("text/event-stream"), reply.getheaders()
    began, pings = time.monotonic(), 0
    while time.monotonic() < began + PROXY_TIMEOUT + 1:
        line = reply.readline()
        assert line, "the proxy ended the stream after %.1f s, %d pings" % (time.monotonic() - began, pings)
        assert line.strip() in (b"ping:", b""), line
        pings += line.startswith(b"ping:")
    conn.close()
    return pings


@needs("browser", "hystrix-dashboard")
@limit(120)
def test_the_dashboard_shows_circuits(t, estate):
    """The real dashboard draws a tile for the circuit of quotes and one for its pool: closed, with rates and counts, then open, with
    failures and refused calls, then closed again; beside it its proxy keeps a stream alive that has nothing but pings."""
    dashboard = estate.get("hystrix-dashboard")
    service = t.service(200)
    agent = t.sidecar(endpoints={"quotes": [service]}, env=BREAKER)
    idle = t.background(read_idle, dashboard.port.port, t.sidecar())
    t._keep(Load(agent.outbound))
    page = t._keep(estate.get("browser").open(dashboard.page(stream(agent), "accountservice"), dashboard.underscore()))
    tiles = shown(agent, page, "closed", lambda it: it["status"] == "Circuit Closed" and it["rate"] > 5 and it["success"] > 100)
    assert tiles["name"] == tiles["pool"] == "quotes" and tiles["loading"] == 0, tiles
    assert tiles["errors"] == 0 and tiles["failure"] == tiles["shorted"] == tiles["rejected"] == tiles["timeout"] == tiles["bad"] == 0, tiles
    assert float(tiles["median"]) <= float(tiles["slowest"]) and "NaN" not in tiles["all"] and "undefined" not in tiles["all"], tiles
    picture(estate, page, "closed")
    service.answer = 503
    tiles = shown(agent, page, "open", lambda it: it["status"] == "Circuit Open" and it["shorted"] > 10)
    assert tiles["failure"] >= 10 and tiles["errors"] > 0, tiles
    picture(estate, page, "open")
    service.answer = 200
    shown(agent, page, "closed again", lambda it: it["status"] == "Circuit Closed" and it["errors"] == 0 and it["success"] > 10)
    assert idle.join(30) >= 10


@needs("browser", "hystrix-dashboard")
@limit(120)
def test_the_dashboard_shows_a_swarm(t, estate):
    """The real dashboard shows /swarm/hystrix.stream of three agents, without a Turbine: one tile of three hosts with the calls of all of
    them; one circuit of three open in orange, with the share; all of them open; and closed again."""
    dashboard = estate.get("hystrix-dashboard")
    service = t.service(200)
    agents = [t.sidecar(endpoints={"quotes": [service]}, env=BREAKER) for _ in range(3)]
    watch = t.sidecar(env={"OUTRIDER_AGENTS": ",".join("127.0.0.1:%d" % agent.admin[1] for agent in agents)})
    for agent in agents:
        t._keep(Load(agent.outbound))
    url = "http://%s:%d/swarm/hystrix.stream" % watch.admin
    page = t._keep(estate.get("browser").open(dashboard.page(url, "swarm"), dashboard.underscore()))
    tiles = shown(watch, page, "closed", lambda it: it["status"] == "Circuit Closed" and it["success"] > 300 and it["rate"] > 20, name="accountservice.quotes")
    assert tiles["name"] == tiles["pool"] == "accountservice.quotes" and tiles["hosts"] == "3" and tiles["errors"] == 0, tiles
    assert tiles["rate"] > 2 * tiles["each"] > 0 and float(tiles["median"]) <= float(tiles["slowest"]), tiles
    assert "NaN" not in tiles["all"] and "undefined" not in tiles["all"], tiles
    assert agents[0].admin_call("PUT", "/circuits/quotes/open", {"X-Outrider": "1"}, b"")[0] == 200
    shown(watch, page, "one of three", lambda it: it["status"] == 'Circuit {"Open":1,"Closed":2}' and it["shorted"] > 5, name="accountservice.quotes")
    picture(estate, page, "swarm-one-open")
    service.answer = 503
    shown(watch, page, "open", lambda it: it["status"] == "Circuit Open" and it["failure"] >= 10, name="accountservice.quotes")
    service.answer = 200
    assert agents[0].admin_call("PUT", "/circuits/quotes/auto", {"X-Outrider": "1"}, b"")[0] == 200
    shown(watch, page, "closed again", lambda it: it["status"] == "Circuit Closed" and it["errors"] == 0, name="accountservice.quotes")


def picture(estate, page, name):
    page.picture(os.path.join(estate.maven.build, "dashboard-%s.png" % name))
