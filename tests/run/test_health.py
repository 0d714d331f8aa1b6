"""Active checks and the comparison of success rates: who is ill is called no more, who is well again comes back, and the log says why."""
import http.server
import json
import threading
import time

import test_discovery as discovery
from harness.case import limit, rows
from harness.members import caller, traffic, upstream


class Instance:
    """A service with a health page. health: status, body, seconds that the page takes; status: of all other requests."""

    def __init__(self, t, address=("127.0.0.1", 0)):
        self.health, self.body, self.delay, self.status, self.checked, self.called = 200, b"all is well", 0, 200, 0, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                checked = self.path == "/health"
                status, body = (outer.health, outer.body) if checked else (outer.status, b"ok")
                if checked:
                    outer.checked += 1
                    outer.host = self.headers["Host"]
                    time.sleep(outer.delay)
                else:
                    outer.called += 1
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 128

            def handle_error(self, *_):
                pass

        self.server = Server(address, Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.text = "127.0.0.1:%d" % self.server.server_address[1]
        t._keep(self)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def _agent(t, instances, check="/health", **more):
    options = dict(upstream_quotes_endpoints=",".join(i.text for i in instances), upstream_quotes_check=check,
                   upstream_quotes_check_interval="100ms", upstream_quotes_check_timeout="300ms", upstream_quotes_balance="round-robin",
                   upstream_quotes_check_fall="2")
    options.update(more)
    return caller(t, "static", **options)


def _endpoint(agent, instance):
    return [e for e in upstream(agent)["endpoints"] if e["address"] == instance.text][0]


def _until_state(agent, instance, state, seconds=8.0):
    agent.until("%s is %s" % (instance.text, state), lambda: _endpoint(agent, instance)["state"] == state, seconds)
    return _endpoint(agent, instance)


def _logged(agent, **fields):
    lines = [json.loads(line) for line in agent.lines() if line.startswith("{")]
    return [line for line in lines if all(line.get(key) == value for key, value in fields.items())]


@rows({"status": (dict(health=500), "answered 500"), "body": (dict(body=b"so so"), "check.body"), "slow": (dict(delay=2), "/health"),
       "redirect": (dict(health=404), "404")})
def test_an_ill_instance_is_called_no_more(t, illness, why):
    """A health page that fails takes an instance out before any request fails; put right, it comes back; the log says both."""
    ill, well = Instance(t), Instance(t)
    agent = _agent(t, [ill, well], upstream_quotes_check_body="all is well")
    for one in (ill, well):
        _until_state(agent, one, "up")
    load = traffic(agent)
    for key, value in illness.items():
        setattr(ill, key, value)
    seen = _until_state(agent, ill, "unhealthy")
    assert why in seen["check"] and seen["since"], seen
    before = ill.called
    agent.until("others are called", lambda: well.called > 200 + before)
    assert ill.called <= before + 2, "it is still called"
    ill.health, ill.body, ill.delay = 200, b"all is well", 0
    _until_state(agent, ill, "up")
    agent.until("called again", lambda: ill.called > before + 5)
    load.end()
    assert ill.host == "quotes", ill.host
    said = agent.until("logged", lambda: _logged(agent, endpoint=ill.text, state="unhealthy"))
    assert why in said[-1]["why"] and said[-1]["upstream"] == "quotes" and said[-1]["level"] == "warn", said
    assert agent.until("logged", lambda: _logged(agent, endpoint=ill.text, state="up"))[-1]["was"] == "unhealthy"


def test_tcp(t):
    """check=tcp: nobody listens any more, and that is noticed without a request."""
    gone, stays = Instance(t), Instance(t)
    agent = _agent(t, [gone, stays], "tcp")
    _until_state(agent, gone, "up")
    gone.server.shutdown()
    gone.server.server_close()
    gone.close = lambda: None
    assert "refused" in _until_state(agent, gone, "unhealthy")["check"]
    assert gone.checked == 0


def test_its_own_port(t):
    """check.port: the page of another port decides."""
    one, page = Instance(t), Instance(t)
    agent = _agent(t, [one], upstream_quotes_check_port=page.text.split(":")[1])
    _until_state(agent, one, "up")
    page.health = 503
    _until_state(agent, one, "unhealthy")
    assert one.checked == 0 and page.checked > 2


# --- instances whose addresses came without a port -----------------------------------------------------------------------------


def _by_dns(t, n, **more):
    """n instances that DNS knows, at one port; a caller that checks them."""
    ips = [discovery._ip() for _ in range(n)]
    port = discovery._free_port(ips)
    instances = [Instance(t, (ip, port)) for ip in ips]
    for ip, one in zip(ips, instances):
        one.text = ip
    dns = discovery._dns(t, {"tasks.quotes": ips})
    options = dict(registry_poll="100ms", upstream_quotes_check_interval="100ms", upstream_quotes_check_timeout="300ms",
                   upstream_quotes_balance="round-robin", upstream_quotes_check_fall="2", balance_locality="off")
    options.update(more)
    return instances, port, lambda **own: caller(t, "dns:|" + dns.text, **dict(options, **own))


def _call(t, agent, port):
    """Names are only asked for when they are called."""
    c = t.client(agent.outbound)
    c.ask("GET", "/", "quotes:%d" % port)
    assert c.read_response().status == 200


@rows({"path": ("/health",), "tcp": ("tcp",)})
def test_addresses_of_dns_are_checked(t, check):
    """DNS tells no ports: the check goes to upstream.<s>.port, as calls do. Who is ill there is called no more."""
    (ill, well), port, start = _by_dns(t, 2)
    agent = start(upstream_quotes_port=str(port), upstream_quotes_check=check)
    _call(t, agent, port)
    for one in (ill, well):
        _until_state(agent, one, "up")
    load = traffic(agent)
    if check == "tcp":
        ill.server.shutdown()
        ill.server.server_close()
        ill.close = lambda: None
    ill.health = 500
    seen = _until_state(agent, ill, "unhealthy")
    assert ("refused" if check == "tcp" else "500") in seen["check"], seen
    before = ill.called
    agent.until("others are called", lambda: well.called > 200 + before)
    load.end()
    assert ill.called <= before + 2 and _endpoint(agent, well)["check"] == "passes"


def test_a_pinned_address_says_the_port(t):
    """127.0.4.x:PORT pinned to a service stands for its own URL: checks go to that port, too."""
    (one,), port, start = _by_dns(t, 1)
    agent = start(upstreams="quotes@127.0.4.%d:%d" % (port % 200 + 2, port), upstream_quotes_check="/health")
    _call(t, agent, port)
    _until_state(agent, one, "up")
    one.health = 500
    assert "500" in _until_state(agent, one, "unhealthy")["check"]


def test_the_agent_at_an_address_is_checked(t):
    """A handler that only its agent reaches (4143): the check goes there, as calls do, whatever the service's own port is."""
    handler, ip = Instance(t), discovery._ip()
    discovery._peer(t, ip, "quotes", handler.text)
    dns = discovery._dns(t, {"tasks.quotes": [ip]})
    agent = caller(t, "dns:|" + dns.text, registry_poll="100ms", upstream_quotes_port="1", upstream_quotes_check="/health",
                   upstream_quotes_check_interval="100ms", upstream_quotes_check_fall="2")
    handler.text = ip
    _call(t, agent, 1)
    assert _until_state(agent, handler, "up")["check"] == "passes" and handler.checked
    handler.health = 503
    _until_state(agent, handler, "unhealthy")
    handler.health = 200
    _until_state(agent, handler, "up")


def test_no_port_is_known(t):
    """Where nobody says the port, nothing is checked, every instance is called, and the log says once what to set."""
    (one,), port, start = _by_dns(t, 1)
    pin = t.port()
    agent = start(upstreams="quotes@" + pin.text, upstream_quotes_check="/health")
    _call(t, agent, port)
    said = agent.until("logged", lambda: _logged(agent, message="instances are not checked"))
    assert len(said) == 1 and said[0]["upstream"] == "quotes" and "check.port" in said[0]["why"] and said[0]["level"] == "warn", said
    seen = _endpoint(agent, one)
    assert seen["state"] == "up" and seen["check"] is None, seen


def test_a_new_instance_starts_down(t):
    """An instance that never passed is not called, unless none other is left."""
    ill, well = Instance(t), Instance(t)
    ill.health = 500
    agent = _agent(t, [ill, well], upstream_quotes_balance_panic="10%")
    _until_state(agent, well, "up")
    load = traffic(agent)
    agent.until("called", lambda: well.called > 100)
    assert ill.called == 0
    well.health = 500
    _until_state(agent, well, "unhealthy")
    agent.until("all are called", lambda: ill.called > 20)
    load.end()


@limit(60)
def test_a_low_success_rate(t):
    """One of six fails, and failures in a row are not counted: its success rate gives it away."""
    instances = [Instance(t) for _ in range(6)]
    agent = _agent(t, instances, "off", upstream_quotes_eject_interval="1s", upstream_quotes_eject_min_volume="5",
                   upstream_quotes_eject_consecutive="off", upstream_quotes_eject_time="60s")
    bad = instances[2]
    bad.status = 500
    load = traffic(agent, 4)
    seen = _until_state(agent, bad, "ejected", 20)
    load.stop = True
    assert "success rate" in seen["why"], seen
    assert all(_endpoint(agent, one)["state"] == "up" for one in instances if one is not bad)
    said = agent.until("logged", lambda: _logged(agent, endpoint=bad.text, state="ejected"))
    assert "success rate" in said[0]["why"] and said[0]["ejected_times"] == 1, said


def test_failures_in_a_row_are_logged(t):
    """An instance that fails every request is put aside, and the log says so once."""
    gone, stays = Instance(t), Instance(t)
    agent = _agent(t, [gone, stays], "off", upstream_quotes_eject_time="60s")
    load = traffic(agent)
    agent.until("both are called", lambda: gone.called and stays.called)
    gone.status = 503
    said = agent.until("logged", lambda: _logged(agent, endpoint=gone.text, state="ejected"))
    load.stop = True
    assert len(said) == 1 and "in a row" in said[0]["why"], said


@rows({"scheme": ("check", "http://x/", "a path such as /health"), "status": ("check.status", "20x", "200-399"),
       "range": ("check.status", "400-200", "200-399"), "start": ("check.start", "maybe", "down")})
def test_nonsense_is_refused(t, key, value, remedy):
    """Options that make no sense end the start with the remedy."""
    from harness.agent import run
    status, _, said = run(["sidecar"], {"OUTRIDER_SERVICE": "a", "OUTRIDER_UPSTREAM_QUOTES_" + key.upper().replace(".", "_"): value})
    assert status == 2 and remedy in str(said), (status, said)
