"""Options of an upstream that are said of one route: limits, retries, breaker, fallback, faults of that route alone."""
import time

from harness.agent import run
from harness.service import Service

ROUTES = {"api": {"prefix": "/", "upstream": "quotes"}, "batch": {"prefix": "/batch", "upstream": "quotes"}}
PLAIN = {"OUTRIDER_RETRY_TRIES": "1", "OUTRIDER_RETRY_SAFE": "off", "OUTRIDER_EJECT_CONSECUTIVE": "off"}


def scene(t, answer, **env):
    s = t.service(answer)
    agent = t.edge(ROUTES, endpoints={"quotes": [s]}, env=dict(PLAIN, **env))
    return agent, s


def ask(t, agent, path):
    c = t.client(agent.edge)
    c.ask("GET", path, "x")
    return c.read_response()


def test_a_time_limit_of_one_route(t):
    """timeout.request of a route holds there; elsewhere what the upstream says, or the default."""
    agent, _ = scene(t, lambda _m, _n: time.sleep(0.3) or 200, OUTRIDER_ROUTE_API_TIMEOUT_REQUEST="50ms")
    t.own_answer(ask(t, agent, "/now"), "request-timeout")
    assert ask(t, agent, "/batch/all").status == 200


def test_a_fallback_of_one_route(t):
    """What a route does not say is as its upstream says it."""
    agent, _ = scene(t, 503, OUTRIDER_UPSTREAM_QUOTES_FALLBACK_BODY="later", OUTRIDER_ROUTE_API_FALLBACK_STATUS="200")
    reply = ask(t, agent, "/")
    assert reply.status == 200 and reply.body == b"later" and reply.get("x-outrider-fallback") == "static", reply
    assert ask(t, agent, "/batch").status == 503


def test_a_circuit_of_its_own(t):
    """A route with options of its own has a circuit of its own: it opens alone, and is set by hand as upstream@route."""
    agent, s = scene(t, lambda m, _n: 200 if m.target.startswith("/batch") else Service.RESET, OUTRIDER_ROUTE_API_BREAKER_VOLUME="5",
                     OUTRIDER_ROUTE_API_BREAKER_SLEEP_WINDOW="60s")
    deadline = time.monotonic() + 10
    while ask(t, agent, "/").get("x-outrider-reason") != "circuit-open":
        assert time.monotonic() < deadline
    assert ask(t, agent, "/batch").status == 200
    found = {c.get("route"): c for c in agent.get("/circuits?service=quotes")["circuits"]}
    assert found["api"]["state"] == "open" and found[None]["state"] == "closed", found
    assert agent.admin_call("PUT", "/circuits/quotes@api/close", {"X-Outrider": "1"})[0] == 200
    assert ask(t, agent, "/").status == 502
    assert agent.admin_call("PUT", "/circuits/quotes@nothing/close", {"X-Outrider": "1"})[0] == 404


def test_faults_of_one_route(t):
    """A game day on one route leaves the others alone."""
    agent, _ = scene(t, 200, OUTRIDER_FAULTS="on", OUTRIDER_ROUTE_API_FAULT_ABORT="418")
    assert ask(t, agent, "/").status == 418 and ask(t, agent, "/batch").status == 200


def test_shown_with_their_origin(t):
    """/config shows what was said of a route, under its own key; a nonsense value names that key."""
    agent, _ = scene(t, 200, OUTRIDER_ROUTE_API_RETRY_TRIES="3")
    rows = {row["key"]: row for row in agent.get("/config")["options"]}
    assert rows["outrider.route.api.retry.tries"]["value"] == "3" and rows["outrider.route.api.retry.tries"]["origin"] == "env", rows
    status, _, err = run(["edge"], {"OUTRIDER_LISTEN": "127.0.0.1:1", "OUTRIDER_ROUTE_API_UPSTREAM": "quotes", "OUTRIDER_ROUTE_API_RETRY_TRIES": "many"})
    assert status == 2 and "OUTRIDER_ROUTE_API_RETRY_TRIES" in err, err


def test_a_stall_of_one_route(t):
    """timeout.stall of a route holds there alone: a body that stops arriving is ended."""
    agent, _ = scene(t, 200, OUTRIDER_ROUTE_API_TIMEOUT_STALL="150ms")
    c = t.client(agent.edge)
    c.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
    t.own_answer(c.read_response("POST"), "body-timeout")
    patient = t.client(agent.edge)
    patient.send(b"POST /batch HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
    time.sleep(0.4)
    patient.send(b"67890")
    assert patient.read_response("POST").status == 200


def test_a_mode_of_one_route(t):
    """mode of a route: its fallback is not used in observe, elsewhere it is."""
    agent, _ = scene(t, 503, OUTRIDER_UPSTREAM_QUOTES_FALLBACK_STATUS="200", OUTRIDER_ROUTE_API_MODE="observe")
    assert ask(t, agent, "/").status == 503 and ask(t, agent, "/batch").status == 200


def test_circuits_by_soapaction_of_one_route(t):
    """breaker.by of a route; a route that says something else inherits it from its upstream."""
    env = {"OUTRIDER_BREAKER_VOLUME": "5", "OUTRIDER_BREAKER_SLEEP_WINDOW": "60s"}

    def answer(m, _n):
        return Service.RESET if m.get("soapaction") == "urn:order" else 200
    for more in ({"OUTRIDER_ROUTE_API_BREAKER_BY": "soapaction"},
                 {"OUTRIDER_UPSTREAM_QUOTES_BREAKER_BY": "soapaction", "OUTRIDER_ROUTE_API_RETRY_TRIES": "1"}):
        agent, _ = scene(t, answer, **env, **more)

        def action(name):
            c = t.client(agent.edge)
            c.ask("POST", "/", "x", ("SOAPAction: " + name,), b"1")
            return c.read_response("POST")
        agent.until("the bad one is open", lambda: action("urn:order").get("x-outrider-reason") == "circuit-open")
        assert action("urn:list").status == 200
