"""Configuration from a Spring Cloud Config Server: what it says is live within the poll interval or on a refresh; whatever it
does instead costs no request and little memory, the last values stay, and /config says what is wrong."""
import base64
import http.client
import json
import os
import re
import threading

from harness.agent import run, sanitized
from harness.case import limit, rows
from harness.config_server import ConfigServer, authority

PATIENT = 20.0  # seconds for what takes a poll or a retry: generous, for loaded machines


def _server(t, sources=(("one.yml", {"x": 1}),), **more):
    return t._keep(ConfigServer(sources, **more))


def _env(config, **more):
    env = {"OUTRIDER_CONFIG": "spring:" + config, "OUTRIDER_CONFIG_POLL": "200ms", "OUTRIDER_SPRING_TIMEOUT": "500ms",
           "OUTRIDER_CONFIG_WAIT": "10s"}
    env.update({"OUTRIDER_" + key.upper(): value for key, value in more.items()})
    return env


def _agent(t, config, handler=None, expect_status=0, **more):
    if not isinstance(config, str):
        config = config.url
    return t.sidecar(handler, env=_env(config, **more), expect_status=expect_status)


def _app(agent, key=""):
    status, _, body = agent.admin_call("GET", "/app/config" + ("/" + key if key else ""), {"X-Outrider": "1"})
    if not key:
        return json.loads(body)
    return body.decode() if status == 200 else None


def _source(agent):
    return agent.get("/config")["sources"][0]


def _trouble(agent, part):
    """Waits for a trouble that holds `part`; returns it."""
    return agent.until("trouble with %r" % part, lambda: _in(_source(agent)["trouble"], part), PATIENT)


def _in(text, part):
    return text if text and part in text else None


def _live(agent, key, value):
    agent.until("%s=%s" % (key, value), lambda: _app(agent, key) == value, PATIENT)


class Traffic:
    """Requests through the inbound listener, one after the other, until it is stopped; failed ones are remembered."""

    def __init__(self, t, agent, handler):
        self.agent, self.done, self.failed, self.stop = agent, 0, [], False
        self.handler = threading.Thread(target=self._answer, args=(handler,), daemon=True)
        self.handler.start()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @staticmethod
    def _answer(handler):
        handler.sock.settimeout(None)

        def serve(conn):
            with conn:
                data = b""
                while True:
                    piece = conn.recv(65536)
                    if not piece:
                        return
                    data += piece
                    while b"\r\n\r\n" in data:
                        data = data[data.index(b"\r\n\r\n") + 4:]
                        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        while True:
            try:
                conn, _ = handler.sock.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(conn,), daemon=True).start()

    def _run(self):
        conn = http.client.HTTPConnection(*self.agent.inbound, timeout=10)
        while not self.stop:
            try:
                conn.request("GET", "/", headers={"Host": "handler"})
                reply = conn.getresponse()
                if reply.status != 200 or reply.read() != b"ok":
                    self.failed.append(reply.status)
            except (OSError, http.client.HTTPException) as why:
                self.failed.append(repr(why))
                conn.close()
            self.done += 1
        conn.close()

    def end(self):
        self.stop = True
        self.thread.join(15)
        assert self.done > 0 and not self.failed, (self.done, self.failed[:5])


# --- what goes well ------------------------------------------------------------------------------------------------------

def test_values_are_live(t):
    """Values are there at the start and change within the poll interval; only a change makes a new snapshot."""
    server = _server(t, [("https://git/cfg/accountservice.yml", {"outrider.limit.requests": 1000000, "x": "a"})])
    agent = _agent(t, server)
    option = [o for o in agent.get("/config")["options"] if o["key"] == "outrider.limit.requests"][0]
    assert (option["value"], option["origin"]) == ("1000000", "spring:https://git/cfg/accountservice.yml"), option
    asked = server.asked[0]
    assert asked.method == "GET" and asked.path == "/accountservice/default"
    assert asked.headers["accept"] == "application/json" and "authorization" not in asked.headers
    server.sources = [("https://git/cfg/accountservice.yml", {"outrider.limit.requests": 2000000, "x": "b"})]
    _live(agent, "x", "b")
    n = len(server.asked)
    agent.until("asked on", lambda: len(server.asked) > n + 2, PATIENT)
    stats = agent.get("/stats")["config"]
    assert stats["reloads_applied_total"] == 1 and stats["reloads_unchanged_total"] == 0, stats
    assert server.accepted == 1, "one connection serves all questions"


def test_refresh(t):
    """POST /refresh asks at once, however long the poll interval is."""
    server = _server(t)
    agent = _agent(t, server, config_poll="1h")
    server.sources = [("one.yml", {"x": 2})]
    n = len(server.asked)
    for _ in range(20):
        assert agent.admin_call("POST", "/refresh", {"X-Outrider": "1"}, b"")[0] == 202
    _live(agent, "x", "2")
    assert len(server.asked) <= n + 20


def test_merge(t):
    """The first source that has a key counts; a list belongs to one source; null is empty; placeholders are resolved."""
    server = _server(t, [
        ("top", {"a": 1, "list[0]": "only", "url": "http://${host:localhost}:${port}/"}),
        ("low", {"a": 2, "b": True, "n": None, "f": 1.50, "list[0]": "x", "list[1]": "y", "port": 8080})])
    assert _app(_agent(t, server)) == {"a": "1", "b": "true", "n": "", "f": "1.5", "list[0]": "only", "port": "8080",
                                       "url": "http://localhost:8080/"}


@rows({
    "profiles": ({"profile": "test,eu"}, "/accountservice/test,eu"),
    "label": ({"spring_label": "v1"}, "/accountservice/default/v1"),
    "slash": ({"spring_label": "feature/x", "profile": "a b"}, "/accountservice/a%20b/feature(_)x"),
    "prefix": ({"path": "/cfg/"}, "/cfg/accountservice/default"),
})
def test_path(t, options, path):
    """Application, profiles, label and the server's prefix make the path."""
    server = _server(t)
    options = dict(options)
    _agent(t, server.url + options.pop("path", ""), **options)
    assert server.paths()[0] == path, server.paths()


def test_labels(t):
    """Of several labels the first that the server knows counts, asked in order."""
    server = _server(t)
    server.labels = {"main": [("m", {"x": "main"})]}
    agent = _agent(t, server, spring_label="feature/y, main")
    assert server.paths()[:2] == ["/accountservice/default/feature(_)y", "/accountservice/default/main"]
    assert _app(agent, "x") == "main"
    server.labels["feature(_)y"] = [("f", {"x": "feature"})]
    _live(agent, "x", "feature")


def _basic(user, password):
    return "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()


@rows({"url": ("http://us%%65r:p%%40ss@%s", {}, ("user", "p@ss")),
       "options": ("http://%s", {"spring_username": "u2", "spring_password": "pw2"}, ("u2", "pw2")),
       "url-first": ("http://u3:pw3@%s", {"spring_username": "u2", "spring_password": "pw2"}, ("u3", "pw3"))})
def test_basic_auth(t, url, options, credentials):
    """Basic authentication from the URL or the options; neither shows on any page or in the log."""
    server = _server(t)
    server.auth = _basic(*credentials)
    agent = _agent(t, url % server.text, **options)
    assert _app(agent, "x") == "1"
    shown = json.dumps(agent.get("/config")) + agent.stderr()
    assert credentials[1] not in shown and "p%40ss" not in shown, shown
    status, out, err = run(["config"], agent.env)
    assert status == 0 and credentials[1] not in out + err and "p%40ss" not in out + err, out


def test_token_and_state(t):
    """The token goes along as X-Config-Token, and the state that the server said comes back to it."""
    server = _server(t)
    server.state = "lease-7"
    agent = _agent(t, server, spring_token="hvs.topsecret")
    agent.until("asked twice", lambda: len(server.asked) > 1, PATIENT)
    assert server.asked[0].headers["x-config-token"] == "hvs.topsecret"
    assert "x-config-state" not in server.asked[0].headers
    assert server.asked[1].headers["x-config-state"] == "lease-7"
    assert "topsecret" not in json.dumps(agent.get("/config")) + agent.stderr()


def test_large_answer(t):
    """An answer above 256 KiB is read aside: the control thread is not held up, and values are whole."""
    values = {"group%d.key%d" % (g, k): "value %d" % k for g in range(100) for k in range(100)}
    server = _server(t, [("big.yml", values)])
    agent = _agent(t, server, spring_timeout="10s")
    assert len(server.body(server.sources)) > 256 * 1024
    assert _app(agent, "group99.key99") == "value 99" and len(_app(agent)) == 10000
    server.sources = [("big.yml", dict(values, **{"group0.key0": "new"}))]
    _live(agent, "group0.key0", "new")


# --- several servers, and none ---------------------------------------------------------------------------------------------

def test_failover(t):
    """Whatever goes wrong at one address, the next one is asked; the one that answered stays the first to be asked."""
    a, b = _server(t, [("a", {"x": "a"})]), _server(t, [("b", {"x": "b"})])
    a.fault = 500
    agent = _agent(t, a.url + "|" + b.url)
    assert _app(agent, "x") == "b" and _source(agent)["well"]
    a.fault = None
    n = len(b.asked)
    agent.until("stays", lambda: len(b.asked) > n + 1, PATIENT)
    assert len(a.asked) == 1
    b.stop()
    _live(agent, "x", "a")
    assert _source(agent)["well"]
    a.fault = 404
    trouble = _trouble(agent, "404")
    assert a.text in trouble and b.text in trouble and "Connection refused" in trouble, trouble
    assert _app(agent, "x") == "a"


def test_down_at_start(t):
    """A server that is away at the start: the agent starts without it, says so, and takes the values later."""
    port = t.port()
    agent = _agent(t, "http://" + port.text, config_wait="100ms")
    trouble = _trouble(agent, "Connection refused")
    assert port.text in trouble and _app(agent) == {}
    _server(t, port=port.port).start()
    _live(agent, "x", "1")
    agent.until("well", lambda: _source(agent)["well"], PATIENT)


@rows({"refused": (None, "Connection refused"), "auth": (401, "outrider.spring.username"),
       "hang": ("hang", "no answer within")})
def test_required(t, fault, why):
    """With config-required the agent ends with status 1 and the reason."""
    server = _server(t)
    server.fault = fault
    if fault is None:
        server.stop()
    made, _ = t.wiring(env=_env(server.url, config_required="on", config_wait="2s"))
    status, _, err = run(["sidecar"], made)
    assert status == 1 and why in err and server.text in err, (status, err)


@rows({"scheme": ("spring:configserver:8888", "http://"), "empty": ("spring:", "spring:http://configserver:8888"),
       "host": ("spring:http://:8888", "no host"), "port": ("spring:http://h:88888", "port"),
       "query": ("spring:http://h/?a=b", "?"), "second": ("spring:http://h|ftp://i", "address 2")})
def test_wrong_address(t, config, why):
    """An address that makes no sense ends the program, with an example of one that does."""
    made, _ = t.wiring(env={"OUTRIDER_CONFIG": config})
    status, _, err = run(["sidecar"], made)
    assert status in (1, 2) and why in err and "http://configserver:8888" in err, (status, err)


def test_cache(t):
    """What the server said last is used when the agent starts while it is down, without passwords, marked as cached."""
    server = _server(t, [("one.yml", {"x": 1, "db.password": "geheim"})])
    cache = os.path.join(t.tempdir(), "cache")
    first = _agent(t, server, config_cache=cache)
    first.until("written", lambda: os.path.exists(cache), PATIENT)
    server.stop()
    with open(cache) as file:
        text = file.read()
    assert "geheim" not in text and '"x"' in text, text
    second = _agent(t, "http://" + server.text, config_cache=cache)
    assert _app(second) == {"x": "1"} and _source(second)["cached"]
    server.sources = [("one.yml", {"x": 2})]
    server.start()
    _live(second, "x", "2")
    assert not _source(second)["cached"]


# --- what goes wrong ---------------------------------------------------------------------------------------------------------

@limit(90)
@rows({
    "hang": ("hang", "no answer within"), "trickle": ("trickle", "did not complete its answer within"),
    "flood": ("flood", "longer than 4194304 bytes"), "garbage": ("garbage", "no HTTP"),
    "broken": ("broken", "cannot be used"), "html": ("html", "HTML"), "cut": ("cut", "in the middle of its answer"),
    "cut-chunked": ("cut_chunked", "in the middle of its answer"), "reset": ("reset", "reset"),
    "redirect": ("redirect", "redirects are not followed"),
    "400": (400, "answers 400"), "401": (401, "set outrider.spring.username and outrider.spring.password"),
    "403": (403, "outrider.spring.token"), "404": (404, "it knows no such application"),
    "500": (500, "its log says more"), "503": (503, "it is not ready"),
})
def test_faults(t, fault, why):
    """Under traffic no request fails, memory is bounded, the last values stay, /config names address, cause and remedy."""
    server, handler = _server(t, [("one.yml", {"x": "good"})]), t.origin("handler")
    agent = _agent(t, server, handler)
    traffic = Traffic(t, agent, handler)
    agent.until("traffic", lambda: traffic.done > 20, PATIENT)
    before = agent.rss()
    server.fault = fault
    server.sources = [("one.yml", {"x": "new"})]
    trouble = _trouble(agent, why)
    n = len(server.asked)
    agent.until("goes on asking", lambda: len(server.asked) > n + 1, PATIENT)
    assert server.text in trouble and "\n" not in trouble, trouble
    assert _app(agent, "x") == "good"
    grown = agent.rss() - before
    if not sanitized():
        assert grown < 12 * 1024, "%d KiB more" % grown
    assert server.sent < 60 << 20
    server.fault = None
    _live(agent, "x", "new")
    agent.until("well", lambda: _source(agent)["well"], PATIENT)
    lines = [line for line in agent.lines() if "in trouble" in line]
    assert len(lines) == 1, lines
    traffic.end()


def test_unknown_name(t):
    """A host that does not resolve is trouble that names it, not an end."""
    agent = _agent(t, "http://no-such-host.invalid:8888", config_wait="100ms")
    assert "no-such-host.invalid" in _trouble(agent, "no-such-host")


@rows({"cipher": ({"db.password": "{cipher}AB12"}, "db.password", "decrypt"),
       "invalid": ({"invalid.db.password": "<n/a>"}, "invalid.db.password", "decrypt")})
def test_undecrypted(t, values, key, why):
    """What the server did not decrypt is refused with key and property source; the value shows nowhere."""
    server = _server(t)
    agent = _agent(t, server)
    server.sources = [("https://me:pw77@git/one.yml", dict(values, x=2))]
    rejected = agent.until("refused", lambda: agent.get("/config")["rejected"], PATIENT)
    problem = rejected["problems"][0]
    assert problem["key"] == key and why in problem["why"], problem
    assert problem["origin"] == "spring:https://***@git/one.yml", problem
    assert "AB12" not in json.dumps(rejected) and _app(agent, "x") == "1"


def test_suddenly_empty(t):
    """An answer without any property, after there were some, is not believed at once."""
    server = _server(t)
    agent = _agent(t, server)
    server.sources = []
    _trouble(agent, "without any property")
    assert _app(agent, "x") == "1"
    server.sources = [("one.yml", {"x": 3})]
    _live(agent, "x", "3")


# --- TLS ---------------------------------------------------------------------------------------------------------------------

def test_tls(t):
    """https with a CA of one's own."""
    ca, context = authority(t.tempdir())
    server = _server(t, tls=context)
    agent = _agent(t, server, spring_ca=ca)
    assert _app(agent, "x") == "1"
    server.sources = [("one.yml", {"x": 2})]
    _live(agent, "x", "2")


@rows({"unknown-ca": ("IP:127.0.0.1", False, "signed by Run-CA, which is not trusted here: name that CA by outrider.spring.ca"),
       "other-host": ("DNS:configserver", True, "is for configserver, not for 127.0.0.1"),
       "no-file": ("IP:127.0.0.1", "/no/such/ca.pem", "/no/such/ca.pem")})
def test_tls_refused(t, names, trust, why):
    """A server that cannot prove who it is gets no question; the trouble says what is wrong with its certificate."""
    ca, context = authority(t.tempdir(), names)
    server = _server(t, tls=context)
    options = {"spring_ca": trust if isinstance(trust, str) else ca} if trust else {}
    agent = _agent(t, server, config_wait="100ms", **options)
    trouble = _trouble(agent, why)
    assert re.search(r"\b%d\b" % server.port, trouble) or isinstance(trust, str), trouble
    assert not server.asked and _app(agent) == {}


def test_tls_of_plain_server(t):
    """https to a server that speaks plain HTTP is told as that."""
    server = _server(t)
    agent = _agent(t, "https://" + server.text, config_wait="100ms")
    assert server.text in _trouble(agent, "does not speak TLS at this port")
