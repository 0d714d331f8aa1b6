"""The admin port: pages, formats, and who may ask."""
import json
import os
import shutil
import subprocess
import sys

from harness.agent import binary, environment
from harness.case import Skip, rows
from harness.message import request
from harness.node import LOOPBACK_UP

PAGES = ("/health", "/ready", "/config", "/upstreams", "/connections", "/stats")


@rows({page[1:]: (page,) for page in PAGES})
def test_pages_are_json(t, page):
    """Every page is JSON by default."""
    agent = t.sidecar(t.origin(), endpoints={"quotes": [t.port()]})
    status, fields, body = agent.admin_call("GET", page)
    assert status == 200 and fields["content-type"].startswith("application/json"), (status, fields)
    json.loads(body)


@rows({page[1:]: (page,) for page in PAGES})
def test_pages_as_text(t, page):
    """?format=text is readable text."""
    agent = t.sidecar(t.origin(), endpoints={"quotes": [t.port()]})
    status, fields, body = agent.admin_call("GET", page + "?format=text")
    assert status == 200 and fields["content-type"].startswith("text/plain"), fields
    assert body and not body.lstrip().startswith((b"{", b"["))


def test_ready_follows_the_handler(t):
    """Nobody listens on outrider.port: /ready says so, and where somebody does; it is ready as soon as the handler is."""
    port = t.port()
    agent = t.sidecar(port)
    status, _, body = agent.admin_call("GET", "/ready")
    page = json.loads(body)
    assert status == 503 and page["handler"] == "starting" and "nothing listens on %d" % port.port in page["why"], page
    handler = t.origin("handler", (port.host, port.port))
    agent.until("ready", lambda: agent.ready() == 200)
    assert handler.untouched(), "the check must not disturb the handler"
    handler.refuse()
    agent.until("not ready", lambda: agent.ready() == 503)


# In a network of its own: services on the ports of argv[2], an agent (argv[1]) whose handler should be on 8080; prints what /ready says.
MISPLACED = LOOPBACK_UP + """
import http.client, subprocess, sys, time
held = []
for port in sys.argv[2].split():
    s = socket.socket()
    s.bind(("127.0.0.1", int(port)))
    s.listen(8)
    held.append(s)
agent = subprocess.Popen([sys.argv[1], "sidecar"], stderr=subprocess.DEVNULL)
limit = time.monotonic() + 15
page = b""
while b"8080" not in page and time.monotonic() < limit and agent.poll() is None:
    try:
        c = http.client.HTTPConnection("127.0.0.1", 4191, timeout=5)
        c.request("GET", "/ready")
        page = c.getresponse().read()
    except OSError:
        time.sleep(0.01)
agent.terminate()
agent.wait(10)
print(page.decode())
"""


@rows({"one": ("3000", "nothing listens on 8080, but 3000 does; is outrider.port right?"),
       "two": ("3000 5000", "nothing listens on 8080, but {} do; is outrider.port right?"), "none": ("40000", "nothing listens on 8080")})
def test_a_handler_on_another_port(t, ports, why):
    """The handler listens on 3000 and outrider.port says 8080: in so many words. The agent's own ports, and ephemeral ones, are not named."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rn", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        raise Skip("network namespaces cannot be made here")
    env = environment({"OUTRIDER_SERVICE": "a", "OUTRIDER_PORT": "8080", "OUTRIDER_LAME_DUCK": "0s"})
    done = subprocess.run(["unshare", "-rn", sys.executable, "-c", MISPLACED, binary(), ports], env=env, stdout=subprocess.PIPE, timeout=35, check=True)
    said = json.loads(done.stdout)["why"]
    assert said in [why.format(", ".join(order)) for order in (ports.split(), ports.split()[::-1])], said


def test_health_never_depends_on_peers(t):
    """/health is 200 with handler and upstreams dead."""
    agent = t.sidecar(t.port(), endpoints={"quotes": [t.port()]})
    c = t.client(agent.inbound)
    c.ask()
    c.read_response()
    assert agent.admin_call("GET", "/health")[0] == 200


def test_unknown_page(t):
    """An unknown page is 404, another method 405."""
    agent = t.sidecar()
    assert agent.admin_call("GET", "/nothing")[0] == 404
    assert agent.admin_call("POST", "/stats", {"X-Outrider": "1"})[0] in (404, 405)


def test_config_shows_origin_and_masks_secrets(t):
    """/config tells where each value comes from; a secret is ***."""
    agent = t.sidecar(env={"OUTRIDER_ADMIN_TOKEN": "very-secret-token", "OUTRIDER_TIMEOUT_IDLE": "77s"})
    status, _, body = agent.admin_call("GET", "/config")
    text = body.decode()
    assert status == 200 and "very-secret-token" not in text and "***" in text
    assert "77s" in text and "OUTRIDER_TIMEOUT_IDLE" in text or "env" in text
    assert "default" in text


def test_connections_page(t):
    """/connections lists open client connections."""
    agent, c, o = t.inbound()
    c.ask("GET", "/waiting")
    wire = o.accept()
    wire.read_request()
    port = c.sock.getsockname()[1]
    listed = agent.get("/connections")["connections"]
    assert [one for one in listed if str(port) in json.dumps(one)], listed
    wire.answer()
    c.read_response()


def test_stats_count(t):
    """/stats counts requests, connections and statuses."""
    agent, c, o = t.inbound()
    _, _, wire = t.exchange(c, o)
    t.exchange(c, wire, request("GET", "/"), b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")

    def settled():
        counters = agent.get("/stats")["counters"]
        return counters if counters["outrider_responses_4xx_total"] == 1 else None

    counters = agent.until("counted", settled)
    assert counters["outrider_requests_total"] == 2 and counters["outrider_responses_2xx_total"] == 1
    assert counters["outrider_connections_total"] == 1 and counters["outrider_upstream_connects_total"] == 1
    assert counters["outrider_upstream_reuses_total"] == 1


@rows({"name": ("evil.example",), "name-with-port": ("evil.example:%d",), "rebound": ("127.0.0.1.evil.example:%d",),
       "userinfo": ("localhost@evil:%d",)})
def test_foreign_host_is_refused(t, host):
    """A Host that is no loopback name is refused: a web page cannot rebind a name to read the admin port."""
    agent = t.sidecar()
    host = host % agent.admin[1] if "%d" in host else host
    status, _, body = agent.admin_call("GET", "/config", host=host)
    assert 400 <= status < 500 and b"timeout.idle" not in body, body


@rows({"loopback": ("127.0.0.1:%d",), "localhost": ("localhost:%d",), "v6": ("[::1]:%d",), "no-port": ("localhost",)})
def test_own_host_is_served(t, host):
    """Loopback names are served."""
    agent = t.sidecar()
    host = host % agent.admin[1] if "%d" in host else host
    assert agent.admin_call("GET", "/ready", host=host)[0] == 200


@rows({"foreign": ("http://evil.example",), "null": ("null",)})
def test_origin_is_refused(t, origin):
    """A request of a web page (Origin) is refused."""
    agent = t.sidecar()
    assert 400 <= agent.admin_call("GET", "/config", {"Origin": origin})[0] < 500
    assert 400 <= agent.admin_call("PUT", "/log?level=debug", {"Origin": origin, "X-Outrider": "1"})[0] < 500


def test_two_hosts_are_refused(t):
    """Two Host fields are refused."""
    agent = t.sidecar()
    c = t.client(agent.admin)
    c.send("GET /config HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n")
    assert b" 200 " not in c.expect_cut()[:20]


def test_state_changes_need_the_mark(t):
    """What changes state needs X-Outrider: 1 on loopback."""
    agent = t.sidecar()
    assert agent.admin_call("PUT", "/log?level=debug")[0] in (401, 403)
    assert agent.get("/log")["level"] == "info"
    assert agent.admin_call("PUT", "/log?level=debug", {"X-Outrider": "1"})[0] == 200
    assert agent.get("/log")["level"] == "debug"
    assert agent.admin_call("GET", "/log?level=error")[0] == 200
    assert agent.get("/log")["level"] == "debug", "a GET changed state"


@rows({"unset": (None, None, False), "none": ("right-token-1", None, False),
       "wrong": ("right-token-1", "wrong-token-1", False), "prefix": ("right-token-1", "right-token", False),
       "right": ("right-token-1", "right-token-1", True)})
def test_token_from_elsewhere(t, token, given, allowed):
    """Not over loopback a state change also needs the bearer token; without one set it is refused."""
    own = t.own_address()
    agent = t.sidecar(listen="0.0.0.0", env={"OUTRIDER_ADMIN_TOKEN": token}, ready=False)
    port = agent.admin[1]
    agent.addresses["admin"] = ("127.0.0.1", port)
    agent.wait_ready()
    agent.addresses["admin"] = (own, port)
    fields = {"X-Outrider": "1"}
    if given:
        fields["Authorization"] = "Bearer " + given
    status = agent.admin_call("PUT", "/log?level=debug", fields)[0]
    assert status == 200 if allowed else status in (401, 403), status


def test_token_from_a_file(t):
    """OUTRIDER_ADMIN_TOKEN_FILE reads a secret."""
    own, path = t.own_address(), os.path.join(t.tempdir(), "token")
    with open(path, "w") as file:
        file.write("token-of-a-file\n")
    agent = t.sidecar(listen="0.0.0.0", env={"OUTRIDER_ADMIN_TOKEN_FILE": path}, ready=False)
    port = agent.admin[1]
    agent.addresses["admin"] = ("127.0.0.1", port)
    agent.wait_ready()
    agent.addresses["admin"] = (own, port)
    status = agent.admin_call("PUT", "/log?level=debug", {"X-Outrider": "1",
                                                          "Authorization": "Bearer token-of-a-file"})[0]
    assert status == 200, status


def test_hostile_bytes(t):
    """Garbage, huge heads and half requests do not hurt the agent."""
    agent = t.sidecar()
    for raw in (b"\0" * 100, b"GET /" + b"x" * 100000, b"GET /ready HTTP/1.1\r\n" + b"X: y\r\n" * 20000,
                b"POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n",
                b"GET /%00 HTTP/1.1\r\n\r\n"):
        c = t.client(agent.admin)
        c.try_send(raw)
        c.try_send(b"\r\n\r\n")
        c.close()
    assert agent.ready() == 200


def test_many_askers(t):
    """More connections than the admin port holds leave it answering afterwards."""
    agent = t.sidecar()
    held = [t.client(agent.admin) for _ in range(100)]
    for c in held:
        c.close()
    agent.until("answers again", lambda: agent.ready() == 200)


def test_admin_off(t):
    """OUTRIDER_ADMIN=off: nobody listens there; traffic passes."""
    handler = t.origin("handler")
    env, ports = t.wiring(handler)
    env["OUTRIDER_ADMIN"] = "off"
    agent = t.agent(["sidecar"], env, ports, ready=False)

    def connected():
        try:
            return t.client(agent.inbound)
        except ConnectionRefusedError:
            return None

    t.exchange(agent.until("inbound listens", connected), handler)
    assert agent.ready() == 0


def test_pages_of_several_agents(t):
    """/swarm/PAGE asks every agent of outrider.agents; who does not answer, or talks nonsense, is named with the cause."""
    others = [t.sidecar(t.origin(), endpoints={"quotes": [t.port()]}) for _ in range(2)]
    mute, odd = t.port(), t.service((200, b"{\"half\":"))
    names = ["127.0.0.1:%d" % a.admin[1] for a in others] + [mute.text, odd.text, "nowhere.invalid"]
    agent = t.sidecar(t.origin(), env={"OUTRIDER_AGENTS": ",".join(names + names[:1])})
    page = agent.get("/swarm/circuits?service=quotes")
    assert page["page"] == "/circuits?service=quotes" and page["asked"] == 4 and page["failed"] == 3, page
    by = {one["agent"]: one for one in page["agents"]}
    for name in names[:2]:
        assert by[name]["status"] == 200 and by[name]["answer"]["circuits"][0]["upstream"] == "quotes", by[name]
    assert "refused" in by[names[2]]["why"] and "no page" in by[names[3]]["why"] and by["nowhere.invalid"]["why"], by


def test_filters_of_several_agents(t):
    """Filters of a page go to every agent as they came: what was retried, a reason, a text with blanks and percent signs, how many rows."""
    other = t.sidecar(endpoints={"quotes": [t.port(), t.service(200)], "gone": [t.port()]}, env={"OUTRIDER_BALANCE": "round-robin", "OUTRIDER_ACCESS_LOG": "on"})
    c = t.client(other.outbound)
    for host in ("gone", "quotes", "quotes"):
        c.ask("GET", "/a%20b%26c", host)
        c.read_response()
    agent = t.sidecar(t.origin(), env={"OUTRIDER_AGENTS": "127.0.0.1:%d" % other.admin[1]})

    def asked(page):
        return agent.get("/swarm" + page)["agents"][0]["answer"]
    agent.until("all are kept", lambda: other.get("/failures?retried=true")["failures"] and other.get("/failures")["failures"])
    for page in ("/failures?retried=true", "/failures?reason=connect-refused", "/failures?reason=loop", "/failures?path=/a%2520b", "/failures?limit=1&slow=1us"):
        mine, its = other.get(page)["failures"], asked(page)["failures"]
        assert mine == its, (page, mine, its)
    assert {row["attempts"] for row in asked("/failures?retried=true")["failures"]} == {2} and len(asked("/failures?limit=1&slow=1us")["failures"]) == 1
    found = asked("/log/recent?kind=access&q=GET+%2Fa%2520b%2526c+502")["records"]
    assert len(found) == 1 and found[0]["upstream"] == "gone", found
    assert agent.admin_call("GET", "/swarm/failures?path=" + "x" * 1100)[0] == 400


def test_a_swarm_that_says_too_much(t):
    """What does not fit into one reply is left out, by name and with the cause; the others are there."""
    peers = [t.service((200, json.dumps({"filler": "x" * 400000}).encode())) for _ in range(12)]
    agent = t.sidecar(t.service(200), env={"OUTRIDER_AGENTS": ",".join(p.text for p in peers)})
    page = agent.get("/swarm/circuits")
    there, named = [one for one in page["agents"] if "answer" in one], [one for one in page["agents"] if "why" in one]
    assert sorted(one["agent"] for one in page["agents"]) == sorted(p.text for p in peers)
    assert len(there) == 10 and page["failed"] == 2 and {one["why"] for one in named} == {"left out: the reply would be too long"}, (len(there), named)


@rows({"stream": ("/swarm/tap", 404), "log": ("/swarm/log/tail", 404), "itself": ("/swarm/swarm/stats", 404), "secret": ("/swarm/app/config", 404),
       "nothing": ("/swarm/", 404), "odd": ("/swarm/circuits?service=a%20b", 400), "put": ("/swarm/refresh", 404)})
def test_what_is_not_asked_of_others(t, path, status):
    """Streams, secrets, and what changes state are not passed on."""
    agent = t.sidecar(t.origin(), env={"OUTRIDER_AGENTS": t.port().text})
    assert agent.admin_call("GET", path)[0] == status


def test_an_asker_that_leaves(t):
    """Whoever leaves while the others are asked leaves nothing behind."""
    mute = t.origin("mute")
    agent = t.sidecar(t.origin(), env={"OUTRIDER_AGENTS": mute.text})
    for _ in range(12):
        c = t.client(agent.admin)
        c.ask("GET", "/swarm/stats", "localhost")
        c.close()
    agent.until("it answers", lambda: agent.admin_call("GET", "/swarm/stats")[0] == 200, 15)
