"""The access log: what is in it, how it looks, and that nobody waits for it."""
import json
import os
import signal
import subprocess
import time

from harness.agent import binary, environment
from harness.case import rows

ON = {"OUTRIDER_ACCESS_LOG": "on", "OUTRIDER_RETRY_METHODS": "none", "OUTRIDER_BREAKER": "off", "OUTRIDER_EJECT_CONSECUTIVE": "off"}


def ask(c, path="/", fields=(), host="quotes", n=1):
    for _ in range(n):
        c.ask("GET", path, host, fields)
        reply = c.read_response()
    return reply


def lines(agent, kind="access"):
    """Objects of the log on stderr, of one type."""
    found = []
    for line in agent.lines():
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if one.get("type") == kind:
            found.append(one)
    return found


def test_a_failure_is_there(t):
    """A failure has its line with ids, way, outcome and phases; the path has no query; the first line says what is logged."""
    agent = t.sidecar(endpoints={"gone": [t.port()]}, env=ON)
    ask(t.client(agent.outbound), "/a?password=secret", ["X-Request-Id: r-1", "User-Agent: te\"st", "Authorization: Bearer secret"], "gone")
    (line,) = agent.until("it is written", lambda: lines(agent))
    assert (line["request_id"], line["status"], line["reason"], line["upstream"], line["service"], line["path"], line["attempts"], line["listener"]) == (
        "r-1", 502, "connect-refused", "gone", "accountservice", "/a", 1, "outbound"), line
    assert line["endpoint"] == agent.env["OUTRIDER_UPSTREAM_GONE_ENDPOINTS"] and line["user_agent"] == 'te"st' and line["client"] == "127.0.0.1", line
    assert line["duration_ms"] > 0 and "secret" not in agent.stderr(), line
    (first,) = lines(agent, "access-log")
    assert first["message"].startswith("every failure, everything slower than 1s, 1 % of the rest"), first
    assert agent.stderr().index('"access-log"') < agent.stderr().index('"access"')
    assert agent.get("/log")["access_lines"] == 2 and agent.get("/log")["access_lost"] == 0


@rows({"1%": ("1%", 1, 60), "off": ("off", 0, 0), "100%": ("100%", 1000, 1000)})
def test_the_share_of_good_ones(t, share, least, most):
    """access.sample of the good and quick ones are logged, and every slow or failed one."""
    agent = t.sidecar(endpoints={"quotes": [t.service(200)], "gone": [t.port()]}, env=dict(ON, OUTRIDER_ACCESS_SAMPLE=share))
    ask(t.client(agent.outbound), n=1000)
    ask(t.client(agent.outbound), host="gone", fields=["X-Request-Id: last"])
    agent.until("the last one is there", lambda: any(one["request_id"] == "last" for one in lines(agent)))
    good = sum(one["status"] == 200 for one in lines(agent))
    assert least <= good <= most, good


def test_slow_ones(t):
    """What takes longer than access.slow is logged though it is good, with what the time went on."""
    def slow(_m, n):
        time.sleep(0.06 if n else 0)
        return 200
    agent = t.sidecar(endpoints={"quotes": [t.service(slow)]}, env=dict(ON, OUTRIDER_ACCESS_SAMPLE="off", OUTRIDER_ACCESS_SLOW="50ms"))
    ask(t.client(agent.outbound), n=2)
    (line,) = agent.until("it is written", lambda: lines(agent))
    assert line["status"] == 200 and line["first_byte_ms"] > 50 and line["duration_ms"] >= line["first_byte_ms"], line


def test_a_slow_beginning(t):
    """What a client waits between its connection and its first request is told, once for a connection, and is no part of the duration."""
    s = t.service(200)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(ON, OUTRIDER_ACCESS_SAMPLE="100%"))
    c = t.client(agent.outbound)
    time.sleep(0.4)  # a slow client, and time enough for an agent that is late with its accept
    for _ in range(2):
        c.send(b"GET / HTTP/1.1\r\nHost: quotes\r\n\r\n")
        assert c.read_response().status == 200
    first, second = agent.until("both are written", lambda: (lambda seen: len(seen) == 2 and seen)(lines(agent)))
    assert first["accept_ms"] >= 100 and first["duration_ms"] < first["accept_ms"] and "accept_ms" not in second, (first, second)


def test_a_slow_head(t):
    """What a client takes to send the head of its request counts, as a phase of its own, and is not the service's."""
    s = t.service(200)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(ON, OUTRIDER_ACCESS_SAMPLE="off", OUTRIDER_ACCESS_SLOW="50ms"))
    c = t.client(agent.outbound)
    c.send(b"GET / HTTP/1.1\r\n")
    time.sleep(0.4)  # a slow client, and time enough for an agent that is late with its accept
    assert not s.hits
    c.send(b"Host: quotes\r\n\r\n")
    assert c.read_response().status == 200
    (line,) = agent.until("it is written", lambda: lines(agent))
    assert line["head_ms"] >= 75 and line["duration_ms"] >= line["head_ms"] and line.get("first_byte_ms", 0) < line["head_ms"], line


def test_text_and_template(t):
    """access.format: text for people, or a template of one's own; values cannot end a quote or a line."""
    for form, told in (("text", '"GET gone /x" 502 connect-refused'), ("%{status}|%{reason}|%{user_agent}|%{route}|100%%", '502|connect-refused|a\\"b|-|100%')):
        agent = t.sidecar(endpoints={"gone": [t.port()]}, env=dict(ON, OUTRIDER_ACCESS_FORMAT=form))
        ask(t.client(agent.outbound), "/x", ['User-Agent: a"b'], "gone")
        agent.until("it is written", lambda: told in agent.stderr())
        assert "# " in agent.stderr() and "every failure" in agent.stderr()


@rows({"name": ("%{statu}", "did you mean status"), "open": ("%{status", "behind a %"), "none": ("combined", "names fields")})
def test_a_wrong_template(t, form, says):
    """A template that makes no sense is refused by the agent and by `outrider check`, with what would be accepted."""
    for args in (["check", "sidecar"], ["sidecar"]):
        done = subprocess.run([binary()] + args, env=environment({"OUTRIDER_ACCESS_FORMAT": form}), capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 2 and says in done.stdout + done.stderr, (done.returncode, done.stdout, done.stderr)


@rows({"trusted": ("private", "203.0.113.9, 10.1.1.1", "203.0.113.9"), "claimed": ("private", "1.2.3.4, 203.0.113.9, 10.1.1.1", "203.0.113.9"),
       "nobody": ("none", "203.0.113.9", "127.0.0.1"), "garbage": ("private", "unknown, 10.1.1.1", "10.1.1.1")})
def test_the_client_from_trusted_hops(t, trusted, forwarded, client):
    """The client is the nearest address that no trusted hop has; what stands farther away is only claimed."""
    agent = t.sidecar(handler=t.service(503), env=dict(ON, OUTRIDER_TRUSTED_PEERS=trusted))
    ask(t.client(agent.inbound), fields=["X-Forwarded-For: " + forwarded], host="accountservice")
    (line,) = agent.until("it is written", lambda: lines(agent))
    assert line["client"] == client, line


def test_nobody_waits_for_the_reader(t):
    """A reader of stderr that stops reading holds up neither requests nor the admin port; lines that find no room are counted."""
    env, ports = t.wiring(endpoints={"gone": [t.port()]}, env=dict(ON, OUTRIDER_WORKERS="1", OUTRIDER_LAME_DUCK="0s", OUTRIDER_STOP_TIMEOUT="5s", OUTRIDER_LOG_QUEUE="256KiB"))
    read, write = os.pipe()
    proc = subprocess.Popen([binary(), "sidecar"], env=environment(env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=write)
    os.close(write)
    try:
        limit = time.monotonic() + 20
        while True:  # ready
            try:
                c = t.client(ports["outbound"])
                break
            except OSError:
                assert time.monotonic() < limit
                time.sleep(0.01)
        for _ in range(1500):  # 64 KiB of the pipe, 256 KiB that wait, and 256 KiB on their way are some 1,000 lines
            c.ask("GET", "/" + "x" * 200, "gone")
            assert c.read_response().status == 502
        lost = 0
        while not lost:
            assert time.monotonic() < limit
            a = t.client(ports["admin"])
            a.ask("GET", "/log", "localhost")
            lost = json.loads(a.read_response().body)["sinks"][0]["dropped"]["full"]
    finally:
        os.close(read)
        proc.send_signal(signal.SIGTERM)
        assert proc.wait(10) == 0
