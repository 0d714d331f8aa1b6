"""outrider node follows the engine's logs of containers that ask for it: framed streams of a scripted engine, in real network namespaces."""
import json
import os
import re
import signal
import struct
import threading
import time

from harness.case import rows
from harness.node import Engine
from test_node import _node, _serving

NS = 1000000000
TRACE = "463ac35c9f6413ad48485a3953bb6124"


def _stamp(ns):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // NS)) + ".%09dZ" % (ns % NS)


class LogEngine(Engine):
    """An engine with logs: write() is what a container wrote; each follower gets what is not older than its `since`."""

    def __init__(self, t, **more):
        self.logs, self.followers, self.asked_logs, self.refused, self.lock = {}, [], [], {}, threading.Lock()
        super().__init__(t, **more)

    def write(self, ident, text, stream=1, at=None):
        """One message. at: ns since 1970."""
        at = at or time.time_ns()
        with self.lock:
            self.logs.setdefault(ident, []).append((at, stream, text.encode() if isinstance(text, str) else text))
        return at

    def _message(self, ident, message):
        at, stream, text = message
        body = (_stamp(at) + " ").encode() + text
        return body if self.containers[ident]["Config"].get("Tty") else bytes([stream, 0, 0, 0]) + struct.pack(">I", len(body)) + body

    def drop_followers(self):
        """As an engine that is started anew."""
        with self.lock:
            dropped, self.followers = self.followers, []
        return len(dropped)

    def answer(self, h):
        if not h.path.split("?")[0].endswith("/logs"):
            super().answer(h)
            return
        ident = h.path.split("/")[-2]
        query = dict(word.split("=") for word in h.path.split("?")[1].split("&"))
        self.asked_logs.append((ident, query))
        if ident in self.refused:
            body = json.dumps({"message": self.refused[ident][1]}).encode()
            h.wfile.write(b"HTTP/1.0 %d Error\r\nContent-Type: application/json\r\n\r\n" % self.refused[ident][0] + body)
            return
        second, nano = query["since"].split(".")
        since, at, mark = int(second) * NS + int(nano), 0, object()
        h.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\r\n")
        self.followers.append(mark)
        while True:
            with self.lock:
                due = self.logs.get(ident, [])[at:]
                if not due and (mark not in self.followers or self.containers[ident]["State"]["Status"] != "running"):
                    return
            at += len(due)
            h.wfile.write(b"".join(self._message(ident, m) for m in due if m[0] >= since))
            time.sleep(0.005)


def _records(agent, container=None):
    """App records in the agent's own log (json:stderr)."""
    found = [json.loads(line) for line in agent.lines() if line.startswith('{"time":')]
    return [one for one in found if one.get("type") == "app" and container in (None, one.get("task"))]


def _messages(agent, container=None):
    return [one["message"] for one in _records(agent, container)]


def _output(agent, name):
    return {s["container"]: s["output"] for s in agent.get("/sidecars")["sidecars"]}.get(name, {})


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as text:
        return [int(word) for word in text.read().split()]


ON = ["OUTRIDER_PORT=8080", "OUTRIDER_APP_LOG=on"]


def test_lines_of_a_container(t):
    """Lines of one that asks for it are records with service, task, node, trace and the engine's time; others are not even asked for."""
    engine = LogEngine(t)
    agent = _node(t, engine)
    one, _ = engine.container(t, 31, ON, labels={"com.docker.swarm.service.name": "shop_quotes", "com.docker.stack.namespace": "shop",
                                                 "com.docker.swarm.task.name": "shop_quotes.2.x7"})
    other, _ = engine.container(t, 32, ["OUTRIDER_PORT=8080"])
    agent.until("both serve", lambda: len(_serving(agent)) == 2)
    at = engine.write(one, "first traceId=%s\n" % TRACE)
    engine.write(one, '{"level":"warn","msg":"late"}\n', stream=2)
    engine.write(one, "a line in ")  # as engines do with more than 16 KiB
    engine.write(one, "two messages\n")
    engine.write(other, "nobody reads this\n")
    found = agent.until("three", lambda: len(_records(agent)) == 3 and _records(agent))
    first, late, joined = found
    assert (first["service"], first["stack"], first["slot"], first["task"], first["node"]) == ("quotes", "shop", "2", "shop_quotes.2.x7", "node-1"), first
    assert first["time"] == _stamp(at)[:23] + "Z" and first["trace_id"] == TRACE and first["stream"] == "stdout", first
    assert (late["message"], late["level"], late["stream"]) == ("late", "warn", "stderr"), late
    assert joined["message"] == "a line in two messages"
    assert {ident for ident, _ in engine.asked_logs} == {one}, engine.asked_logs
    assert _output(agent, "c31")["state"] == "followed" and _output(agent, "c31")["lines"] == 3 and _output(agent, "c32")["state"] == "off"
    page = agent.admin_call("GET", "/metrics")[2].decode()
    assert re.search(r'outrider_app_lines_total\{service="quotes",.*stream="stderr"\} 1', page), page


@rows({"label": ([], {"outrider.app.log": "on"}, {}, True), "the agent's word": ([], {}, {"app_log": "on"}, True),
       "not this one": (["OUTRIDER_APP_LOG=off"], {}, {"app_log": "on"}, False), "the operator's no": (["OUTRIDER_APP_LOG=on"], {}, {"app_log": "off"}, False),
       "by default": ([], {}, {}, False)})
def test_who_is_followed(t, variables, labels, options, followed):
    """The container's variable or label, then the agent's own option; the agent's off is the last word."""
    engine = LogEngine(t)
    agent = _node(t, engine, **options)
    one, _ = engine.container(t, 33, ["OUTRIDER_PORT=8080"] + variables, labels=labels)
    two, _ = engine.container(t, 34, ["OUTRIDER_PORT=8080", "OUTRIDER_APP_LOG=" + ("off" if options.get("app_log") == "off" else "on")])
    agent.until("both serve", lambda: len(_serving(agent)) == 2)
    engine.write(one, "said\n")
    engine.write(two, "the other\n")
    if options.get("app_log") != "off":
        agent.until("the other", lambda: "the other" in _messages(agent))
    if followed:
        agent.until("it is there", lambda: "said" in _messages(agent))
    assert {ident for ident, _ in engine.asked_logs} == ({one} if followed else set()) | ({two} if options.get("app_log") != "off" else set())


@rows({"service": ({"com.docker.swarm.service.name": "logs_graylog", "com.docker.stack.namespace": "logs"}, "gelf:udp://graylog:12201"),
       "tasks": ({"com.docker.swarm.service.name": "logs_graylog", "com.docker.stack.namespace": "logs"}, "gelf:udp://tasks.logs_graylog:12201"),
       "address": ({}, "gelf:udp://10.0.0.35:12201"), "container": ({}, "gelf:udp://c35:12201")})
def test_never_a_sink(t, labels, sink):
    """A container that outrider.log names is not followed, and /sidecars says why."""
    engine = LogEngine(t)
    agent = _node(t, engine, log="json:stderr," + sink, app_log="on")
    engine.container(t, 35, ["OUTRIDER_PORT=8080"], labels=labels)
    two, _ = engine.container(t, 36, ["OUTRIDER_PORT=8080"])
    agent.until("it is said", lambda: "names it as a sink" in _output(agent, "c35").get("why", ""))
    agent.until("the other is", lambda: _output(agent, "c36").get("state") == "followed")
    assert {ident for ident, _ in engine.asked_logs} == {two}


def test_a_driver_that_cannot_be_read(t):
    """It is named with the remedy by /sidecars, /doctor and the log, and asked for once."""
    engine = LogEngine(t)
    ident = "%064x" % 37
    engine.refused[ident] = (501, "configured logging driver does not support reading")
    agent = _node(t, engine)
    engine.container(t, 37, ON)
    engine.containers[ident]["HostConfig"]["LogConfig"] = {"Type": "syslog"}
    engine.event("update", ident)
    agent.until("it is said", lambda: "log driver" in _output(agent, "c37").get("why", ""))
    assert _output(agent, "c37")["state"] == "not followed"
    lines = [line for line in agent.get("/doctor")["lines"] if line["check"] == "output"]
    assert len(lines) == 1 and lines[0]["state"] == "warn" and "json-file" in lines[0]["says"], lines
    time.sleep(0.5)
    assert len(engine.asked_logs) == 1, engine.asked_logs


def test_a_terminal(t):
    """Of a container with a terminal the stream has no frames."""
    engine = LogEngine(t)
    agent = _node(t, engine)
    ident = "%064x" % 38
    made = engine.container(t, 38, [])  # not yet ours
    engine.containers[ident]["Config"].update({"Tty": True, "Env": ON})
    engine.write(made[0], "\x1b[1mbold\x1b[0m\r\n")
    engine.write(made[0], "two\r\nthree\r\n")
    engine.event("update", ident)
    agent.until("three", lambda: _messages(agent) == ["two", "three"] or _messages(agent) == ["bold", "two", "three"])


def test_the_engine_is_started_anew(t):
    """The stream is opened again behind the last line: none twice, none missing."""
    engine = LogEngine(t)
    agent = _node(t, engine)
    one, _ = engine.container(t, 39, ON)
    agent.until("it is followed", lambda: _output(agent, "c39").get("state") == "followed")
    for n in range(30):
        engine.write(one, "line %d\n" % n)
        if n % 10 == 5:
            agent.until("some", lambda: len(_messages(agent)) > n - 3 and len(engine.followers) == 1)
            assert engine.drop_followers() == 1
    agent.until("all", lambda: len(_messages(agent)) >= 30)
    assert _messages(agent) == ["line %d" % n for n in range(30)], _messages(agent)
    assert len(engine.asked_logs) >= 3


def test_the_proxy_is_killed(t):
    """Another reads on; what the former had not yet told is read twice at most, and nothing is missing."""
    engine = LogEngine(t)
    agent = _node(t, engine)
    one, _ = engine.container(t, 40, ON)
    agent.until("it is followed", lambda: _output(agent, "c40").get("state") == "followed")
    engine.write(one, "before\n")
    agent.until("it came", lambda: _messages(agent) == ["before"])
    time.sleep(1.5)  # the keeper is told every second
    os.kill(children(agent.pid)[0], signal.SIGKILL)
    engine.write(one, "after\n")
    agent.until("it came", lambda: "after" in _messages(agent))
    assert _messages(agent) == ["before", "after"], _messages(agent)


def test_a_successor_reads_on(t):
    """At a hand-over each line is one's alone, by the engine's time: none twice, none missing."""
    engine = LogEngine(t)
    first = _node(t, engine)
    one, _ = engine.container(t, 41, ON)
    first.until("it is followed", lambda: _output(first, "c41").get("state") == "followed")
    going = threading.Event()

    def write():
        n = 0
        while not going.wait(0.002):
            engine.write(one, "line %d\n" % n)
            n += 1
        return n
    writer = t.background(write)
    first.until("some", lambda: len(_messages(first)) > 20)
    second = _node(t, engine)
    second.until("it is followed", lambda: _output(second, "c41").get("state") == "followed")
    second.until("some", lambda: len(_messages(second)) > 50)
    going.set()
    n = writer.join()
    second.until("the last", lambda: "line %d" % (n - 1) in _messages(second))
    both = _messages(first) + _messages(second)
    assert both == ["line %d" % i for i in range(n)], (n, len(_messages(first)), len(_messages(second)))
    first.leave()


def test_the_last_words_of_a_container(t):
    """What it wrote before it ended is read, also when its sidecar is gone already."""
    engine = LogEngine(t)
    agent = _node(t, engine)
    one, _ = engine.container(t, 42, ON)
    agent.until("it is followed", lambda: _output(agent, "c42").get("state") == "followed")
    for n in range(2000):
        engine.write(one, "line %d\n" % n)
    engine.write(one, "last words")
    engine.gone(one)
    agent.until("they came", lambda: "last words" in _messages(agent))
    assert len(_messages(agent)) == 2001
    agent.until("its sidecar is gone", lambda: not agent.get("/sidecars")["sidecars"])


def test_a_flooded_one_leaves_the_others_alone(t):
    """One that writes without end is read at its rate; another's lines come at once, and the agent answers."""
    engine = LogEngine(t)
    agent = _node(t, engine, log="file:" + os.path.join(engine.folder, "log"))
    flood, _ = engine.container(t, 43, ON)
    quiet, _ = engine.container(t, 44, ON)
    agent.until("both", lambda: {_output(agent, "c%d" % n).get("state") for n in (43, 44)} == {"followed"})
    for n in range(60000):
        engine.write(flood, "flood %d\n" % n)
    agent.until("it flows", lambda: _output(agent, "c43")["lines"] > 5000)
    engine.write(quiet, "quiet\n")
    began = time.monotonic()
    agent.until("it came", lambda: _output(agent, "c44")["lines"] == 1)
    took = time.monotonic() - began
    assert took < 1 and _output(agent, "c43")["lines"] < 60000, (took, _output(agent, "c43"))


def test_garbage_for_a_stream(t):
    """A stream that has no frames where some are due is dropped, said, and opened anew."""
    engine = LogEngine(t)
    agent = _node(t, engine)
    one, _ = engine.container(t, 45, ON)
    agent.until("it is followed", lambda: _output(agent, "c45").get("state") == "followed")
    message = engine._message
    engine._message = lambda ident, m: b"\xffgarbage" + message(ident, m)
    engine.write(one, "x\n")
    agent.until("it is said", lambda: "is no such stream" in agent.stderr())
    engine._message = message
    engine.write(one, "well again\n")
    agent.until("it came", lambda: "well again" in _messages(agent))


def test_what_a_container_may_read(t):
    """/log/recent and /log inside a container's namespace have its own records alone, whatever the filter says; the node's page has those of all."""
    engine = LogEngine(t)
    agent = _node(t, engine)
    spaces = {}
    for number, service in ((51, "quotes"), (52, "payments")):
        ident, spaces[service] = engine.container(t, number, ON, labels={"com.docker.swarm.service.name": service})
        engine.write(ident, "a secret of %s\n" % service)
    agent.until("both were read", lambda: len(_records(agent)) == 2)

    def inside(service, query=""):
        return json.loads(spaces[service].fetch("http://127.0.0.1:4191/log/recent?limit=1000" + query))["records"]
    for own, other in (("quotes", "payments"), ("payments", "quotes")):
        seen = inside(own)
        assert [one["message"] for one in seen if one["kind"] == "app"] == ["a secret of " + own], seen
        assert {one.get("service") for one in seen} == {own} and other not in json.dumps(seen), seen
        assert inside(own, "&service=" + other) == [] and inside(own, "&q=secret+of+" + other) == []
    assert {one["message"] for one in agent.get("/log/recent?kind=app")["records"]} == {"a secret of quotes", "a secret of payments"}


def test_a_file_is_reopened(t):
    """SIGUSR1 to the agent of a node begins its log file anew after a rename; the keeper passes it to the proxy, which writes, and both live on."""
    engine = LogEngine(t)
    folder = t.tempdir()
    os.chmod(folder, 0o777)  # the proxy is nobody
    path = folder + "/agent.log"
    agent = _node(t, engine, log="json:stderr,file:" + path)
    one, _ = engine.container(t, 53, ON)
    agent.until("it serves", lambda: len(_serving(agent)) == 1)

    def messages(name):
        if not os.path.exists(name):
            return []
        with open(name) as text:
            return [json.loads(line).get("message") for line in text if line.endswith("\n")]
    engine.write(one, "before\n")
    agent.until("it is in the file", lambda: "before" in messages(path))
    proxies = children(agent.pid)
    os.rename(path, path + ".1")
    agent.signal(signal.SIGUSR1)
    agent.until("a new one is begun", lambda: os.path.exists(path))
    engine.write(one, "after\n")
    agent.until("it is in the new file", lambda: "after" in messages(path))
    assert "after" not in messages(path + ".1") and "before" in messages(path + ".1")
    assert children(agent.pid) == proxies, "the proxy was started anew"
