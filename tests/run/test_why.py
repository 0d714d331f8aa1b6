"""The flight recorder: /why, /failures, /traces, /tap and the command `outrider why`."""
import json
import socket
import subprocess
import time

from harness.agent import run, sanitized
from harness.case import Skip, rows
from harness.node import Engine

PLAIN = {"OUTRIDER_EJECT_CONSECUTIVE": "off", "OUTRIDER_BREAKER": "off", "OUTRIDER_RETRY_BACKOFF": "1ms", "OUTRIDER_BALANCE": "round-robin",
         "OUTRIDER_TRACE": "", "OUTRIDER_TRACE_SAMPLE": "never"}
TRACED = dict(PLAIN, OUTRIDER_TRACE_SAMPLE="always")


def ask(t, address, request_id=None, method="GET", path="/", host="quotes", fields=()):
    c = t.client(address)
    c.ask(method, path, host, (["X-Request-Id: " + request_id] if request_id else []) + list(fields))
    return c.read_response(method)


def page(agent, path):
    status, _, body = agent.admin_call("GET", path)
    return status, json.loads(body)


def why(agent, request_id):
    """The exchanges of that id, once they are recorded."""
    return agent.until("%s is recorded" % request_id, lambda: page(agent, "/why/" + request_id)[1].get("exchanges"))


def test_a_refused_connection(t):
    """A failed request is found by its X-Request-Id: upstream, endpoint, reason, whose fault it is and the knob."""
    agent = t.sidecar(endpoints={"quotes": [t.port()]}, env=PLAIN)
    port = agent.env["OUTRIDER_UPSTREAM_QUOTES_ENDPOINTS"]
    assert ask(t, agent.outbound, "r-1", path="/a/b?secret=1").status == 502
    (x,) = why(agent, "r-1")
    assert (x["status"], x["reason"], x["blame"], x["stage"], x["upstream"], x["path"]) == (502, "connect-refused", "upstream", "connect", "quotes", "/a/b"), x
    assert x["outcome"].startswith("502 by the agent itself: connect-refused") and "port" in x["remedy"], x
    assert [(a["endpoint"], a["reason"], a["status"]) for a in x["attempts"]] == [(port, "connect-refused", None)], x
    assert x["retries"] == "One attempt; no more, since there was no other endpoint.", x["retries"]
    assert [c["endpoint"] for c in x["candidates_now"]] == [port] and sum(x["phases"].values()) - 2 * x["phases"]["all_ms"] < 0.01, x


def test_two_attempts(t):
    """A request that was tried twice shows both endpoints, and that the second was good; an idle recorder says how far back it reaches."""
    bad, good = t.service(503), t.service(200)
    agent = t.sidecar(endpoints={"quotes": [bad, good]}, env=TRACED)
    for n in range(4):
        assert ask(t, agent.outbound, "id-%d" % n).status == 200
        (x,) = why(agent, "id-%d" % n)
        if len(x["attempts"]) == 2:
            break
    assert [(a["endpoint"], a["status"]) for a in x["attempts"]] == [(bad.text, 503), (good.text, 200)], x
    assert x["retries"] == "2 attempts: the last one was good." and "after 2 attempts" in x["outcome"], x
    status, told = page(agent, "/why/nobody")
    assert status == 404 and told["found"] == 0 and told["reaches_back"]["failures_and_slow_s"] >= 0, told


@rows({"method": ("POST", {"OUTRIDER_RETRY_METHODS": "safe"}, 503, "retry.methods does not allow"),
       "status": ("GET", {}, 500, "none of retry.statuses"), "none": ("GET", {"OUTRIDER_RETRY_METHODS": "none"}, 503, "retry.methods is none"),
       "tries": ("GET", {}, 503, "2 attempts; no more, since retry.tries")})
def test_why_no_more(t, method, env, status, says):
    """Of a failure it says why it was not tried again; a failure of the service itself names the instance."""
    agent = t.sidecar(endpoints={"quotes": [t.service(status), t.service(status)]}, env=dict(PLAIN, **env))
    assert ask(t, agent.outbound, "r", method).status == status
    (x,) = why(agent, "r")
    assert says in x["retries"] and x["blame"] == "upstream" and x["reason"] is None, x


def test_in_and_out_share_an_id(t):
    """A service that passes the id on: both its exchanges stand there, in the order in which they began, and /traces joins them."""
    agent, quotes = None, t.service(503)

    def handler(message, _n):
        return ask(t, agent.outbound, message.get("x-request-id"), fields=["b3: " + message.get("b3")]).status
    agent = t.sidecar(handler=t.service(handler), endpoints={"quotes": [quotes]}, env=dict(TRACED, OUTRIDER_RETRY_METHODS="none", OUTRIDER_NODE="n9"))
    assert ask(t, agent.inbound, "both", host="accountservice").status == 503
    agent.until("both are there", lambda: len(why(agent, "both")) == 2)
    inward, outward = why(agent, "both")
    assert (inward["listener"], inward["blame"], outward["listener"], outward["blame"]) == ("inbound", "service", "outbound", "upstream"), (inward, outward)
    assert inward["node"] == outward["node"] == "n9", inward
    trace = inward["trace_id"]
    assert trace == outward["trace_id"] and len(page(agent, "/why/" + trace)[1]["exchanges"]) == 2
    (row,) = page(agent, "/traces?failed=true&service=accountservice")[1]["traces"]
    assert (row["trace_id"], row["spans"], row["exchanges"], row["failed"]) == (trace, 2, 2, True), row
    spans = page(agent, "/traces/" + trace)[1]
    assert [s["kind"] for s in spans] == ["SERVER", "CLIENT"] and spans[1]["parentId"] == spans[0]["id"], spans
    assert spans[1]["remoteEndpoint"]["serviceName"] == "quotes" and spans[0]["tags"]["http.status_code"] == "503", spans
    assert [s["tags"].get("outrider.node") for s in spans] == ["n9", "n9"], spans
    assert page(agent, "/traces?slow=1h")[1]["traces"] == [] and page(agent, "/traces/" + "0" * 31 + "1")[0] == 404


def test_denied_and_failed(t):
    """A request that was denied with ids and failed is found by its trace's id, on /why and in the access log; there are no spans of it."""
    agent = t.sidecar(endpoints={"quotes": [t.port()]}, env=dict(TRACED, OUTRIDER_ACCESS_LOG="on"))
    trace = "463ac35c9f6413ad48485a3953bb6124"
    assert ask(t, agent.outbound, "r", fields=["b3: %s-a2fb4a1d1a96d312-0" % trace]).status == 502
    (x,) = why(agent, trace)
    assert (x["request_id"], x["trace_id"], x["reason"]) == ("r", trace, "connect-refused"), x
    agent.until("its line", lambda: [line for line in agent.lines() if '"type":"access"' in line and trace in line])
    assert page(agent, "/traces")[1]["traces"] == [] and page(agent, "/traces/" + trace)[0] == 404
    assert not page(agent, "/why/" + trace)[1].get("trace"), "there is nothing to look at"


def test_slow_ones(t):
    """A good request that was slow is kept, with what its time went on."""
    def slow(_m, _n):
        time.sleep(0.05)
        return 200
    agent = t.sidecar(endpoints={"quotes": [t.service(slow)]}, env=dict(PLAIN, OUTRIDER_ACCESS_SLOW="20ms", OUTRIDER_ACCESS_SAMPLE="off"))
    assert ask(t, agent.outbound, "slow").status == 200
    (x,) = why(agent, "slow")
    assert "waiting for the first byte" in x["slow"] and x["phases"]["first_byte_ms"] >= 49, x
    assert page(agent, "/failures")[1]["failures"] == [] and len(page(agent, "/failures?slow=20ms")[1]["failures"]) == 1


def test_failures(t):
    """/failures: newest first, by page, filtered by what is asked; a filter that makes no sense is refused."""
    answers = {"/500": 500, "/503": 503}
    agent = t.sidecar(endpoints={"quotes": [t.service(lambda m, n: answers[m.target.split("?")[0]])], "gone": [t.port()]},
                      env=dict(PLAIN, OUTRIDER_RETRY_METHODS="none"))
    for n in range(6):
        ask(t, agent.outbound, "q%d" % n, path="/%d" % (500 if n % 2 else 503))
    ask(t, agent.outbound, "g", host="gone")
    agent.until("all are there", lambda: len(page(agent, "/failures")[1]["failures"]) == 7)

    def ids(query):
        return [f["request_id"] for f in page(agent, "/failures?" + query)[1]["failures"]]
    assert ids("") == ["g", "q5", "q4", "q3", "q2", "q1", "q0"]
    assert ids("status=503") == ids("path=/503") == ["q4", "q2", "q0"] and ids("reason=connect-refused") == ids("upstream=gone") == ["g"]
    assert ids("status=500-502&upstream=quotes") == ["q5", "q3", "q1"] and ids("service=other") == []
    first = page(agent, "/failures?limit=3")[1]
    second = page(agent, "/failures?limit=10&before=%d" % first["next_before"])[1]
    assert [f["request_id"] for f in first["failures"] + second["failures"]] == ids("") and second["next_before"] is None
    for bad in ("status=9xx", "reason=nonsense", "limit=0", "before=x", "slow=fast"):
        assert page(agent, "/failures?" + bad)[0] == 400, bad


def test_retried_ones(t):
    """A good request that was tried again is kept, with the reason of its first attempt."""
    agent = t.sidecar(endpoints={"quotes": [t.port(), t.service(200)]}, env=dict(PLAIN, OUTRIDER_ACCESS_SAMPLE="off", OUTRIDER_ACCESS_SLOW="off"))

    def retried():
        assert ask(t, agent.outbound, "r").status == 200
        return page(agent, "/failures?retried=true")[1]["failures"]
    agent.until("one was tried again", retried)
    row = retried()[0]
    assert (row["retried_for"], row["attempts"], row["status"], row["reason"]) == ("connect-refused", 2, 200, None), row
    assert page(agent, "/failures")[1]["failures"] == [] and page(agent, "/failures?retried=maybe")[0] == 400


def test_a_flood_of_good_ones(t):
    """Good exchanges that are recorded never push out a failure."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)], "gone": [t.port()]},
                      env=dict(TRACED, OUTRIDER_FLIGHT_SIZE="64KiB"))
    ask(t, agent.outbound, "bad", host="gone")
    c = t.client(agent.outbound)
    for n in range(300):
        c.ask("GET", "/", "quotes", ["X-Request-Id: good-%d" % n])
        assert c.read_response().status == 200
    agent.until("the flood is there", lambda: page(agent, "/why/good-299")[0] == 200)
    assert page(agent, "/why/good-0")[0] == 404 and page(agent, "/why/bad")[0] == 200
    reach = page(agent, "/traces?limit=1")[1]["reaches_back"]
    assert reach["bytes"] == 64 * 1024 and reach["others_s"] <= reach["failures_and_slow_s"], reach


def test_no_recorder(t):
    """flight.size=off: the pages say so, requests are served."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]}, env=dict(PLAIN, OUTRIDER_FLIGHT_SIZE="off"))
    assert ask(t, agent.outbound, "r").status == 200
    assert [page(agent, p)[0] for p in ("/why/r", "/failures", "/traces", "/traces/" + "1" * 16)] == [404] * 4


class Tap:
    """A reader of /tap."""

    def __init__(self, agent, query=""):
        self.sock = socket.create_connection(agent.admin, 10)
        self.sock.sendall(("GET /tap%s HTTP/1.0\r\nHost: localhost\r\n\r\n" % query).encode())
        self.data = b""
        while b"\r\n\r\n" not in self.data:
            self.data += self.sock.recv(65536)
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])

    def event(self):
        while b"\n\n" not in self.data:
            more = self.sock.recv(65536)
            assert more, "the stream ended"
            self.data += more
        one, self.data = self.data.split(b"\n\n", 1)
        return one.decode()

    def record(self):
        one = self.event()
        assert one.startswith("data: "), one
        return json.loads(one[6:])

    def close(self):
        self.sock.close()


def test_tap(t):
    """A reader sees every exchange that fits its filter, also those that nobody else records; a fifth reader is refused; a place is free again when one leaves."""
    answers = {"/a": 200, "/b": 503}
    agent = t.sidecar(endpoints={"quotes": [t.service(lambda m, n: answers[m.target])]}, env=dict(PLAIN, OUTRIDER_RETRY_METHODS="none", OUTRIDER_ACCESS_LOG="off"))
    everything, failures, others = Tap(agent), Tap(agent, "?status=5xx&upstream=quotes"), Tap(agent, "?path=/z")
    for n, path in enumerate(("/a", "/b", "/a")):
        ask(t, agent.outbound, "t%d" % n, path=path)
    assert [everything.record()["request_id"] for _ in range(3)] == ["t0", "t1", "t2"]
    got = failures.record()
    assert (got["request_id"], got["status"], got["attempts"], got["upstream"]) == ("t1", 503, 1, "quotes"), got
    fourth = Tap(agent)
    assert fourth.status == 200 and Tap(agent).status == 503 and Tap(agent, "?status=x").status == 400
    assert page(agent, "/why/t0")[0] == 404  # it was recorded for the readers alone
    fourth.close()
    agent.until("a place is free", lambda: Tap(agent).status == 200)
    others.close()


@rows({"absolute": ("GET http://user:geheim@quotes/x HTTP/1.1|Host: quotes", "bad-target"), "scheme": ("GET ftp://user:geheim@quotes/x HTTP/1.1|Host: quotes", "bad-target"),
       "connect": ("CONNECT user:geheim@quotes:443 HTTP/1.1|Host: quotes:443", "bad-target"), "host": ("GET /x HTTP/1.1|Host: user:geheim@quotes", "bad-host"),
       "both": ("GET http://user:geheim@quotes/x HTTP/1.1|Host: user:geheim@quotes", "bad-target"), "slashes": ("GET http:user:geheim@quotes HTTP/1.1|Host: quotes", "bad-target")})
def test_no_password_of_a_url(t, head, reason):
    """A user and a password in what a request asks for are refused, and stand in no log, on no page, in no span."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]}, env=dict(PLAIN, OUTRIDER_TRACE="log:", OUTRIDER_TRACE_SAMPLE="always", OUTRIDER_ACCESS_LOG="on",
                                                                      OUTRIDER_LOG_LEVEL="debug"))
    tap = Tap(agent)
    c = t.client(agent.outbound)
    c.send(("\r\n".join(head.split("|") + ["X-Request-Id: r", "", ""])).encode())
    reply = c.read_response()
    assert (reply.status, reply.get("x-outrider-reason")) == (400, reason), reply.fields
    shown = [json.dumps(tap.record()), str(reply.fields) + str(reply.body)]
    assert reason in shown[0], shown
    agent.until("it is in the access log", lambda: [line for line in agent.lines() if reason in line])
    (row,) = agent.until("it is kept", lambda: page(agent, "/failures")[1]["failures"])
    assert row["reason"] == reason, row
    for path in ("/failures", "/traces", "/connections", "/log/recent", "/why/" + (row["request_id"] or "none")):
        shown.append(json.dumps(page(agent, path)[1]))
    agent.leave()
    shown.append(agent.stderr())
    for what in shown:
        assert "geheim" not in what and "user:" not in what, what


def test_tap_is_limited(t):
    """At most a hundred a second go to a reader; how many were left out is said."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)]}, env=PLAIN)
    tap = Tap(agent)
    c = t.client(agent.outbound)
    for _ in range(400):
        c.ask("GET", "/", "quotes")
        c.read_response()
    seen = dropped = 0
    while seen + dropped < 400:
        one = tap.event()
        if one.startswith("event: dropped"):
            dropped += json.loads(one.split("data: ")[1])["dropped"]
        elif one.startswith("data: "):
            seen += 1
    assert seen + dropped == 400 and dropped > 0 and seen >= 100, (seen, dropped)


def test_the_command(t):
    """`outrider why`: 0 and readable text when it is found, 1 with how far back the recorder reaches when not, 2 for a wrong question; --swarm asks all."""
    agent = t.sidecar(endpoints={"quotes": [t.port()]}, env=PLAIN)
    other = t.sidecar(endpoints={"quotes": [t.port()]}, env=dict(PLAIN, OUTRIDER_AGENTS="%s:%d,%s:%d" % (agent.admin + agent.admin)))
    ask(t, agent.outbound, "x:1+2")
    why(agent, "x:1+2")
    admin, last = "--admin=%s:%d" % agent.admin, "--admin=%s:%d" % other.admin
    status, out, err = run(["why", "x:1+2", admin])
    assert status == 0 and "connect-refused" in out and "remedy" in out, (out, err)
    status, out, _ = run(["why", "--json", "x:1+2", "--agent", "%s:%d" % agent.admin])
    assert status == 0 and json.loads(out)["found"] == 1
    status, out, _ = run(["why", "nobody", admin])
    assert status == 1 and "reaches_back" in out, out
    assert [run(args)[0] for args in (["why"], ["why", "a", "b"], ["why", "a", "--nonsense=1"], ["why", "a b", admin])] == [2, 2, 2, 2]
    status, out, err = run(["why", "x:1+2", last, "--swarm"])
    assert status == 0 and "connect-refused" in out and "%s:%d" % agent.admin in out, (out, err)
    assert run(["why", "x:1+2", last])[0] == 1 and run(["why", "nobody", last, "--swarm"])[0] == 1


READ = """
import socket, sys
kept = []
for _ in range(4):
    one = socket.create_connection(("127.0.0.1", 4191), 20)
    one.sendall(("GET %s HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n" % sys.argv[1]).encode())
    kept.append(one)
print([one.recv(12)[-3:].decode() for one in kept].count("200"), flush=True)
sys.stdin.read()
"""


class Readers:
    """Four readers of a page in a container's namespace, as many as may be; they stay until close()."""

    def __init__(self, space, path):
        self.proc = subprocess.Popen(["nsenter", "--net=" + space.path, "python3", "-c", READ, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.n = int(self.proc.stdout.readline())

    def close(self):
        self.proc.communicate()


CALL = """
import sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:4143/", headers={"X-Request-Id": sys.argv[1]}), timeout=5)
except urllib.error.HTTPError as why:
    print(why.code)
"""


def test_a_container_sees_its_own(t):
    """In a container's namespace the admin port shows that sidecar's exchanges alone, and nothing of where the node's spans go; the node's shows all, also of one
    that has ended, whose place another has."""
    if sanitized():
        raise Skip("sanitizers need system calls that the agent's own filter refuses")
    engine = Engine(t)
    port, collector = t.port(), t.port()
    agent = t.agent(["node"], {"OUTRIDER_ENGINE": engine.path, "OUTRIDER_NETNS": engine.netns, "OUTRIDER_RUN": engine.run, "OUTRIDER_ADMIN": port.text,
                               "OUTRIDER_STOP_TIMEOUT": "2s", "OUTRIDER_TRACE": "zipkin:http://" + collector.text}, {"admin": port})

    def serving():
        return {s["container"] for s in agent.get("/sidecars")["sidecars"] if s["state"] == "serving"}

    def seen(space):
        return [f["request_id"] for f in json.loads(space.fetch("http://127.0.0.1:4191/failures"))["failures"]]

    def all_ids():
        return sorted(f["request_id"] for f in page(agent, "/failures")[1]["failures"])
    one, first = engine.container(t, 1, ["OUTRIDER_PORT=8080"])
    _, second = engine.container(t, 2, ["OUTRIDER_PORT=8080"])
    agent.until("both serve", lambda: serving() == {"c1", "c2"})
    for space, name in ((first, "of-one"), (second, "of-two")):
        assert space.run("python3", "-c", CALL, name).stdout == "503\n"
    agent.until("both are recorded", lambda: all_ids() == ["of-one", "of-two"])
    assert seen(first) == ["of-one"] and seen(second) == ["of-two"]
    assert json.loads(second.fetch("http://127.0.0.1:4191/why/of-two"))["found"] == 1
    assert "404" in second.fetch("http://127.0.0.1:4191/why/of-one")
    of_all = (collector.text, "exporter:zipkin", "outrider_exporter", "outrider_records", "outrider_dns", "outrider_log_records", "outrider_log_sink", "series_dropped")
    for path in ("/metrics", "/stats", "/doctor", "/ui/state"):
        told = first.fetch("http://127.0.0.1:4191" + path)
        assert len(told) > 200 and not [word for word in of_all if word in told], told
        assert collector.text in agent.admin_call("GET", path)[2].decode(), path
    for path, most, others in (("/tap", 1, 1), ("/log/tail", 3, 0)):
        readers = [t._keep(Readers(space, path)) for space in (first, second)]
        assert (readers[0].n, min(readers[1].n, others)) == (most, others), (path, [r.n for r in readers])
        c = t.client(agent.admin)
        c.ask("GET", path, "localhost")
        assert c.sock.recv(12) == b"HTTP/1.1 200", path
    assert page(agent, "/sidecars/c1/why/of-two")[0] == 404 and page(agent, "/sidecars/c1/why/of-one")[0] == 200
    admin = "--admin=%s:%d" % agent.admin
    asked = {name: [run(["why", "of-two", "--service=" + name, admin])[0], run(["why", "--service", name, "of-one", admin])[0]] for name in ("c1", "c2")}
    assert asked == {"c1": [1, 0], "c2": [0, 1]} and run(["why", "of-two", admin])[0] == 0, asked
    assert "no-such-sidecar" in run(["why", "of-two", "--service=nobody", "--json", admin])[1]
    status, _, err = run(["why", "of-two", "--service=c1", "--swarm", admin])
    assert status == 2 and "--swarm" in err and "--service" in err, (status, err)
    engine.gone(one)
    agent.until("it has ended", lambda: serving() == {"c2"})
    _, third = engine.container(t, 3, ["OUTRIDER_PORT=8080"])
    agent.until("the third serves", lambda: serving() == {"c2", "c3"})
    assert seen(third) == [] and all_ids() == ["of-one", "of-two"]
