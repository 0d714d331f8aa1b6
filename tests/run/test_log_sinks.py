"""Sinks of log records: what arrives is whole and as its receiver wants it; one that is away, hangs or breaks delays nobody, and every record is accounted for."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from harness.agent import binary, environment, run, sanitized
from harness.case import rows
from harness.receiver import Datagrams, Rsyslog, Stream

ALL = {"OUTRIDER_ACCESS_LOG": "on", "OUTRIDER_ACCESS_SAMPLE": "100%", "OUTRIDER_TRACE": "", "OUTRIDER_NODE": "node-1"}
TRACE = "463ac35c9f6413ad48485a3953bb6124"
DROPS = ("full", "failed", "long")


def caller(t, sinks, **more):
    env = dict(ALL, OUTRIDER_LOG=sinks, **{"OUTRIDER_" + key.upper(): value for key, value in more.items()})
    return t.sidecar(endpoints={"quotes": [t.service(200)], "gone": [t.port()]}, env=env)


def call(t, agent, n=1, path="/api/quote", host="quotes", fields=()):
    c = t.client(agent.outbound)
    slowest = 0
    for _ in range(n):
        began = time.monotonic()
        c.ask("GET", path, host, fields)
        assert c.read_response().status == (200 if host == "quotes" else 502)
        slowest = max(slowest, time.monotonic() - began)
    c.sock.close()
    return slowest


def sink(agent, begin):
    """What /log says of the sink whose name begins so; its account must be right at every moment."""
    page = agent.get("/log")
    (one,) = [one for one in page["sinks"] if one["sink"].startswith(begin)]
    assert one["produced"] == one["sent"] + one["queued"] + sum(one["dropped"].values()), one
    assert one["produced"] <= sum(page["records"].values()), page
    return one


def lost(agent):
    """Records that no sink ever saw: the worker's ring was full."""
    return int(re.search(r"^outrider_records_dropped_total (\d+)$", agent.admin_call("GET", "/metrics")[2].decode(), re.M)[1])


def settled(agent, begin, least):
    return agent.until("all of %s is sent or dropped" % begin, lambda: (one := sink(agent, begin))["produced"] >= least and not one["queued"] and one, 20)


# --- what arrives -----------------------------------------------------------------------------------------------------------------


@rows({"udp": ("udp",), "tcp": ("tcp",)})
def test_gelf(t, way):
    """A record is a strict message of GELF 1.1 with ids, host, level and members as fields; numbers stay numbers."""
    to = Datagrams(t) if way == "udp" else Stream(t)
    agent = caller(t, "json:stderr,gelf:%s://%s" % (way, to.at))
    call(t, agent, path="/api/quote?secret=1", fields=["traceparent: 00-%s-a2fb4a1d1a96d312-01" % TRACE, "User-Agent: te\"st"])
    call(t, agent, host="gone")
    got = agent.until("both are there", lambda: len(them := [one for one in to.gelf() if one["_kind"] == "access" and "_status" in one]) == 2 and them)
    good, bad = got
    assert (good["short_message"], good["level"], good["host"]) == ("GET /api/quote 200", 6, "node-1"), good
    assert (good["_service"], good["_trace_id"], good["_status"], good["_user_agent"]) == ("accountservice", TRACE, 200, 'te"st'), good
    assert isinstance(good["_duration_ms"], float) and "secret" not in str(to.gelf()), good
    assert bad["level"] == 4 and bad["_reason"] == "connect-refused" and bad["short_message"] == "GET /api/quote 502 connect-refused", bad
    serving = [one for one in to.gelf() if one["_kind"] == "agent"]
    assert serving[0]["short_message"] == "serving" and serving[0]["_subsystem"] == "process" and serving[0]["_workers"] == 1, serving
    one = settled(agent, "gelf:" + way, 3)
    assert one["sent"] == one["produced"] == len(to.gelf()) and one["state"] == "ok", one


@rows({"plain": ("off",), "gzip": ("on",)})
def test_gelf_chunks(t, packed):
    """What is longer than a datagram comes in chunks, packed or not; every one within its bound."""
    to = Datagrams(t)
    agent = caller(t, "gelf:udp://" + to.at, gelf_chunk="508", gelf_gzip=packed)
    path = "/" + "".join(chr(97 + i * i % 26) for i in range(480))
    call(t, agent, n=20, path=path)
    agent.until("all are there", lambda: len([one for one in to.gelf() if one.get("_path") == path]) == 20)
    chunks = [one for one in to.raw if one[:2] == b"\x1e\x0f"]
    assert max(map(len, to.raw)) <= 508 and (len(chunks) >= 40 if packed == "off" else not any(one[:1] == b"{" for one in to.raw)), len(chunks)
    one = settled(agent, "gelf", 20)
    assert one["sent"] == one["produced"] and not any(one["dropped"].values()), one


@rows({"udp": ("udp",), "tcp": ("tcp",), "unix": ("unix",)})
def test_syslog(t, way):
    """A record is a strict message of RFC 5424, ids and members as structured data; on tcp octets are counted."""
    to = Stream(t) if way == "tcp" else Datagrams(t, t.tempdir() + "/log" if way == "unix" else None)
    agent = caller(t, "syslog:%s" % ("unix:" if way == "unix" else way + "://") + to.at, syslog_facility="local3")
    call(t, agent, fields=["traceparent: 00-%s-a2fb4a1d1a96d312-01" % TRACE, "User-Agent: a]b\"c\\d"])
    (one,) = agent.until("it is there", lambda: [one for one in to.syslog() if one["id"] == "access" and "status" in one["data"]])
    assert (one["pri"], one["host"], one["app"], one["message"]) == (str(19 * 8 + 6), "node-1", "accountservice", "GET /api/quote 200"), one
    assert one["data"]["trace_id"] == TRACE and one["data"]["status"] == "200" and one["data"]["user_agent"] == "a]b\"c\\d", one
    assert to.syslog()[0]["message"] == "serving" and to.syslog()[0]["app"] == "outrider", to.syslog()[0]


def test_a_real_rsyslog(t):
    """rsyslogd understands every part, over udp, tcp and its Unix socket."""
    daemon = Rsyslog(t)
    agent = caller(t, "syslog:udp://%s,syslog:tcp://%s,syslog:unix:%s" % (daemon.udp, daemon.tcp, daemon.unix))
    call(t, agent, n=50, fields=["User-Agent: a]b"])
    def access():
        return [one for one in daemon.lines() if one["id"] == "access" and one["message"].endswith("GET /api/quote 200")]
    agent.until("all are there", lambda: len(access()) == 150, 20)
    assert {one["by"] for one in access()} == {"imudp", "imtcp", "imuxsock"}, {one["by"] for one in access()}
    for one in access():
        assert (one["host"], one["app"], one["severity"], one["facility"]) == ("node-1", "accountservice", "6", "local0"), one
        assert 'user_agent="a\\]b"' in one["data"] and one["data"].startswith("[outrider@32473 "), one


def test_file(t):
    """file: has lines of JSON, whatever access.format says; after a rename PUT /log?reopen or SIGUSR1 begins a new one, no line is lost."""
    path = t.tempdir() + "/agent.log"
    agent = caller(t, "text:stdout,file:" + path, access_format="%{method} %{path} %{status}")

    def paths(name):
        if not os.path.exists(name):
            return []
        with open(name) as text:
            return [json.loads(line).get("path") for line in text if line.endswith("\n") and '"access"' in line]
    for n, how in enumerate(("begin", "PUT", "SIGUSR1")):
        if how != "begin":
            os.rename(path, path + ".%d" % n)
        if how == "PUT":
            assert agent.admin_call("PUT", "/log?reopen", {"X-Outrider": "1"})[0] == 202
        elif how == "SIGUSR1":
            agent.signal(signal.SIGUSR1)
        agent.until("it is there", lambda: how == "begin" or os.path.exists(path))
        call(t, agent, path="/%d" % n)
        agent.until("the line is there", lambda: "/%d" % n in paths(path))
    assert paths(path) == ["/2"] and paths(path + ".2") == ["/1"] and paths(path + ".1") == ["/0"]
    assert os.stat(path).st_mode & 0o777 == 0o640
    agent.until("the line of its form is there", lambda: "GET /2 200\n" in agent.stdout())
    assert "info  process: serving" in agent.stdout() and not agent.stderr(), agent.stdout()


def test_a_file_that_cannot_be_written(t):
    """Its folder is missing: /log, /doctor and the metric say so, each record is counted; the folder comes, and it is well again."""
    folder = t.tempdir() + "/later"
    agent = caller(t, "json:stderr,file:%s/agent.log" % folder)
    call(t, agent)
    one = agent.until("trouble", lambda: (one := sink(agent, "file"))["state"] == "trouble" and one)
    assert "No such file" in one["why"], one
    assert any(line["check"] == "log" and line["state"] == "warn" and "No such file" in line["says"] for line in agent.get("/doctor")["lines"])
    assert 'outrider_log_sink_up{sink="file:%s/agent.log"} 0' % folder in agent.admin_call("GET", "/metrics")[2].decode()
    agent.until("it is said on the other sink", lambda: "log records cannot be delivered" in agent.stderr())
    os.mkdir(folder)
    call(t, agent)
    agent.until("well again", lambda: sink(agent, "file")["state"] == "ok")
    one = settled(agent, "file", 3)
    assert one["dropped"]["failed"] and one["sent"], one
    with open(folder + "/agent.log") as text:
        assert len(text.readlines()) == sink(agent, "file")["sent"]


# --- receivers that do not behave ----------------------------------------------------------------------------------------------------


def test_all_hang(t):
    """GELF and syslog over tcp and stdout all hang: calls go on as before, memory stays, every record is sent, queued or dropped. When they read again
    what was sent is what they get."""
    gelf, syslog = Stream(t, hang=True), Stream(t, hang=True)
    sinks = "json:stdout,gelf:tcp://%s,syslog:tcp://%s" % (gelf.at, syslog.at)
    env, ports = t.wiring(endpoints={"quotes": [t.service(200)]}, env=dict(ALL, OUTRIDER_LOG=sinks, OUTRIDER_LOG_QUEUE="64KiB"))
    read, write = os.pipe()
    agent = t.agent(["sidecar"], env, ports, ready=False)
    agent.close()  # the harness gives no pipe as stdout: this one is started by hand
    t.agents.remove(agent)
    proc = subprocess.Popen([binary(), "sidecar"], env=environment(dict(agent.env, **env)), stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    agent.proc = proc
    out = bytearray()

    def slurp():
        while piece := os.read(read, 1 << 16):
            out.extend(piece)
    try:
        agent.until("it serves", lambda: agent.ready() == 200)
        call(t, agent, n=1000)
        before = agent.rss()
        assert call(t, agent, n=4000) < 1
        names = ("json:stdout", "gelf:tcp", "syslog:tcp")
        came = 5000 - lost(agent)  # a slow control thread may find the worker's ring full meanwhile, which is counted, too
        agent.until("all know of all", lambda: all(sink(agent, name)["produced"] >= came for name in names))
        assert all(sink(agent, name)["dropped"]["full"] > 500 for name in names), agent.get("/log")
        assert sanitized() or agent.rss() - before < 4096, (before, agent.rss())
        agent.until("a hanging one is named", lambda: sink(agent, "gelf")["why"].endswith("it takes nothing at the moment") if "why" in sink(agent, "gelf") else None)
        threading.Thread(target=slurp, daemon=True).start()
        gelf.hang = syslog.hang = False
        ends = {name: settled(agent, name, came) for name in names}
        agent.until("gelf has it", lambda: gelf.zeros() == sink(agent, "gelf")["sent"])
        agent.until("syslog has it", lambda: len(syslog.frames()) == sink(agent, "syslog")["sent"])
        agent.until("stdout has it", lambda: out.count(b"\n") == sink(agent, "json")["sent"])
        assert all(json.loads(line) for line in bytes(out).splitlines()) and ends and gelf.gelf() and syslog.syslog()
    finally:
        proc.send_signal(signal.SIGTERM)
        assert proc.wait(10) == 0, proc.stderr.read()
        proc.stderr.close()


def test_reconnect(t):
    """A receiver that resets, goes away and comes back gets the records of meanwhile; what was not sent is dropped or waits, and is counted."""
    to = Stream(t)
    agent = caller(t, "json:stderr,gelf:tcp://" + to.at)
    call(t, agent, n=10)
    settled(agent, "gelf", 11)
    to.stop()
    call(t, agent, n=10, path="/meanwhile")
    one = agent.until("trouble", lambda: (one := sink(agent, "gelf"))["state"] == "trouble" and one)
    assert "127.0.0.1" in one["why"], one
    to.start()
    call(t, agent, n=10, path="/after")
    one = settled(agent, "gelf", 31)
    agent.until("well", lambda: sink(agent, "gelf")["state"] == "ok")
    assert not any(one["dropped"].values()), one
    agent.until("all after it came back", lambda: sum(m.get("_path") == "/after" for m in to.gelf()) == 10)
    assert len(to.gelf()) <= one["sent"]  # a reset takes with it what the kernel had


def test_nobody_is_there(t):
    """udp to a port where nobody listens, a name that nobody knows, a socket that is not there: said once, and calls go on."""
    agent = caller(t, "json:stderr,gelf:udp://%s,gelf:tcp://no-such-host.invalid:12201,syslog:unix:%s/none" % (t.port().text, t.tempdir()))
    call(t, agent, n=20)
    for name in ("gelf:udp", "gelf:tcp", "syslog:unix"):
        agent.until(name + " is in trouble", lambda: sink(agent, name)["state"] == "trouble", 10)
    agent.until("udp has them", lambda: sink(agent, "gelf:udp")["sent"] >= 20)
    assert sink(agent, "gelf:tcp")["queued"] >= 20 and sink(agent, "syslog:unix")["queued"] >= 20
    said = agent.until("all three are said", lambda: len(them := [json.loads(line)["sink"] for line in agent.lines() if "cannot be delivered" in line]) >= 3 and them)
    assert len(said) == 3, said


# --- options, levels -------------------------------------------------------------------------------------------------------------------


@rows({
    "unknown": ("jsn:stdout", "did you mean json?"),
    "no-stream": ("json:nowhere", "stdout or stderr"),
    "relative": ("file:agent.log", "absolute path"),
    "no-way": ("gelf:graylog:12201", "udp:// or tcp://"),
    "port": ("gelf:udp://graylog:99999", "its port is a number"),
    "path": ("syslog:tcp://host:601/x", "its port is a number"),
    "unix": ("syslog:unix:log", "absolute path"),
})
def test_wrong_sinks(t, value, says):
    """A sink that makes no sense ends the start with status 2, and says what would."""
    env, _ = t.wiring(endpoints={"quotes": ["127.0.0.1:1"]}, env={"OUTRIDER_LOG": value})
    status, _, err = run(["sidecar"], env)
    assert status == 2 and says in err and ("outrider.log" in err or "OUTRIDER_LOG" in err), (status, err)


def test_levels(t):
    """log.levels and PUT /log set the level of one part; default takes it back; a misspelt part is refused."""
    agent = t.sidecar(endpoints={"quotes": ["127.0.0.1:1"]}, env={"OUTRIDER_LOG_LEVELS": "config=error, discovery=debug"})
    assert agent.get("/log")["levels"] == {"config": "error", "discovery": "debug"} and agent.get("/log")["level"] == "info"

    def put(query):
        return agent.admin_call("PUT", "/log?" + query, {"X-Outrider": "1"})[0]
    assert put("level=warn&subsystem=discovery") == 200 and put("level=error") == 200
    assert agent.get("/log")["levels"]["discovery"] == "warn" and agent.get("/log")["level"] == "error"
    assert put("level=default&subsystem=discovery") == 200 and put("level=default") == 200
    assert agent.get("/log")["levels"]["discovery"] == "debug" and agent.get("/log")["level"] == "info"
    assert put("level=debug&subsystem=discovry") == 400 and put("level=loud") == 400
    assert agent.admin_call("PUT", "/log?level=debug")[0] == 403
    status, _, err = run(["sidecar"], dict(agent.env, OUTRIDER_LOG_LEVELS="discovry=debug"))
    assert status == 2 and "did you mean discovery?" in err, err


def test_repeated(t):
    """Of equal lines of the agent's own log three pass, then one says how many more there were."""
    agent = t.sidecar(endpoints={"quotes": ["127.0.0.1:1"]}, env={"OUTRIDER_LOG": "json:stderr,text:stdout"})
    for _ in range(20):
        assert agent.admin_call("PUT", "/log?level=info", {"X-Outrider": "1"})[0] == 200
    assert agent.get("/log")["repeated"] == 17
    agent.leave()
    lines = [line for line in map(json.loads, agent.lines()) if line["message"] == "the log level was changed"]
    assert [line.get("repeated") for line in lines] == [None, None, None, 17], lines
    assert "(repeated 17 times)" in agent.stdout()


# --- /log/recent, /log/tail ------------------------------------------------------------------------------------------------------------


def test_recent(t):
    """The last records, newest first, by kind, level, service, text; a flood of one kind leaves the others there."""
    agent = caller(t, "off")
    call(t, agent, fields=["traceparent: 00-%s-a2fb4a1d1a96d312-01" % TRACE])
    call(t, agent, host="gone", path="/lost")

    def recent(query=""):
        return agent.get("/log/recent?" + query)["records"]
    agent.until("both are there", lambda: len(recent("kind=access&q=GET")) == 2)
    lost, found = recent("kind=access&q=get+/")
    assert (lost["level"], lost["path"], lost["message"]) == ("warn", "/lost", "GET /lost 502 connect-refused"), lost
    assert (found["level"], found["kind"], found["service"], found["trace_id"], found["node"]) == ("info", "access", "accountservice", TRACE, "node-1"), found
    assert recent("level=warn") == [lost] and recent("q=" + TRACE.upper()) == [found] and recent("service=other") == []
    assert [one["message"] for one in recent("kind=agent&subsystem=process")] == ["serving"] and recent("limit=1") == [lost]
    call(t, agent, n=500)
    agent.until("the flood is there", lambda: len(recent("kind=access&limit=1000")) < agent.get("/log")["records"]["access"] > 500)
    assert [one["message"] for one in recent("kind=agent&subsystem=process")] == ["serving"]
    times = [one["time"] for one in recent("limit=1000")]
    assert times == sorted(times, reverse=True) and len(times) > 100
    for bad in ("level=loud", "kind=other", "limit=0", "limit=2000", "q=" + "x" * 300):
        assert agent.admin_call("GET", "/log/recent?" + bad)[0] == 400, bad


def events(raw):
    return [json.loads(line[6:]) for line in raw.split("\n") if line.startswith("data: {\"time\"")]


def test_tail(t):
    """Records as they come, those that fit; ten readers may be there."""
    agent = caller(t, "off")
    c, bad = t.client(agent.admin), t.client(agent.admin)
    for one, query in ((c, "kind=access&q=/wanted"), (bad, "kind=access")):
        one.ask("GET", "/log/tail?" + query, "localhost")
    agent.until("both read", lambda: agent.admin_call("GET", "/log/recent")[0] == 200)
    call(t, agent, path="/other")
    call(t, agent, n=3, path="/wanted")
    got = b""
    limit = time.monotonic() + 10
    while len(events(got.decode("utf-8", "ignore"))) < 3:
        assert time.monotonic() < limit, got
        got += c.sock.recv(65536)
    assert all(one["path"] == "/wanted" and one["kind"] == "access" for one in events(got.decode())), got
    others = [t.client(agent.admin) for _ in range(9)]
    for one in others:
        one.ask("GET", "/log/tail", "localhost")
    answers = sorted(one.sock.recv(64).split(b"\r\n")[0] for one in others)
    assert answers == [b"HTTP/1.1 200 OK"] * 8 + [b"HTTP/1.1 503 Service Unavailable"], answers


def test_a_tail_that_nobody_reads(t):
    """A reader that never reads is let go when its bounded queue is full; meanwhile calls, memory and another reader are as before, and that one
    has each record or is told how many it has not."""
    agent = caller(t, "off")
    memory = agent.rss()
    stuck = socket.socket()
    t._keep(stuck)
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect(agent.admin)
    stuck.sendall(b"GET /log/tail?q=/long HTTP/1.1\r\nHost: localhost\r\n\r\n")
    readers = [t.client(agent.admin) for _ in range(9)]
    for one in readers:
        one.ask("GET", "/log/tail?q=/long", "localhost")
    got, ended = bytearray(readers[0].sock.recv(65536)), threading.Event()

    def read():
        readers[0].sock.settimeout(0.2)
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                got.extend(readers[0].sock.recv(1 << 20))
    reading = threading.Thread(target=read)
    reading.start()
    try:
        made, slowest, limit = 0, 0, time.monotonic() + 40

        def let_go():
            one = t.client(agent.admin)
            one.ask("GET", "/log/tail?q=nothing", "localhost")
            status = one.sock.recv(64).split(b" ")[1]
            one.sock.close()
            return status == b"200"
        while not let_go():
            assert time.monotonic() < limit, "it is still there after %d records" % made
            slowest = max(slowest, call(t, agent, n=100, path="/long/" + "x" * 4000))
            made += 100

        def heard():
            text = got.decode("utf-8", "ignore")
            return len(events(text)), sum(int(n) for n in re.findall(r'{"dropped":(\d+)}', text))
        agent.until("the other has them all, or is told", lambda: sum(heard()) == made or None, 5)
        assert heard()[0] > 0 and slowest < 0.5, (heard(), slowest)
        assert sanitized() or agent.rss() - memory < 24 << 10, (memory, agent.rss())
    finally:
        ended.set()
        reading.join()
