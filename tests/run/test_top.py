"""`outrider top`: once, as plain pages, and on a terminal (tmux) that is looked at."""
import http.client
import json
import os
import signal
import subprocess

from harness import agent_pages as pages
from harness.agent import binary, environment, run
from harness.case import Skip, limit, rows
from harness.screen import PROMPT, Screen, there_is_tmux

HOSTILE = "\x1b[2J\x1b]0;evil\x07"
SHOP = pages.state(
    sidecars=[pages.sidecar("accountservice", 40), pages.sidecar("quotes-service", 30, state="draining"), pages.sidecar(HOSTILE, 20),
              pages.sidecar("n" * 90, 10), pages.sidecar("imageservice", 5, handler="down")],
    edges=[pages.edge("accountservice", "quotes-service", 39, healthy=2, retries=0.5), pages.edge("accountservice", "imageservice", 4, "open", 0)],
    circuits=[pages.circuit("accountservice", "imageservice", "open")],
    support=[{"kind": "trace", "name": "zipkin:http://zipkin:9411", "state": "trouble", "why": "connect refused", "detail": ""}])
OTHER = pages.state(sidecars=[pages.sidecar("accountservice", 60, "n2"), pages.sidecar("vipservice", 1, "n2")], node="n2",
                    edges=[pages.edge("accountservice", "quotes-service", 59, "open", 1)])
EJECTED = "10.0.5.7:4143 of quotes-service is ejected: outrider.eject.consecutive failures in a row"  # as the agent says it
OPENED = "the circuit of an upstream opened: its calls fail, and are refused for a while"
CHANGES = {"changes": [pages.change(1, "ejected", EJECTED, upstream="quotes-service", subject="10.0.5.7:4143"),
                       pages.change(2, "circuit", OPENED, ago_ms=3000, service=HOSTILE, upstream="imageservice")]}
FAILURES = {"failures": [pages.failure("id-%d" % i, path="/api/" + HOSTILE) for i in range(40)], "next_before": None}
PAGES = {
    "/ui/state": SHOP, "/ui/changes": CHANGES, "/failures": FAILURES,
    "/ui/history": {"in": {"rate": [None, 0, 50, 100] * 10}, "out": {"rate": []}},
    "/swarm/ui/state": pages.swarm("/ui/state", {"10.0.5.2:4191": SHOP, "10.0.5.3:4191": OTHER}, {"10.0.5.4:4191": "connect timeout"}),
    "/swarm/ui/changes": pages.swarm("/ui/changes", {"10.0.5.2:4191": CHANGES}),
    "/sidecars/shop_accountservice.1.x/ui/state": pages.state(sidecars=[pages.sidecar("accountservice", 40)], edges=SHOP["edges"],
                                                              scopes=("sidecar",)),
}


def scripted(t, **changed):
    return t._keep(pages.AgentPages(dict(PAGES, **changed)))


def once(agent, *args, env=None):
    return run(["top", "--once", "--admin=" + agent.text] + list(args), dict({"LC_ALL": "C.UTF-8", "TERM": "xterm"}, **(env or {})))


# --- once ------------------------------------------------------------------------------------------


def test_once(t):
    """--once prints the whole page: totals, troubles, changes, a row for each sidecar; no name moves the cursor."""
    status, out, err = once(scripted(t))
    assert status == 0 and not err, err
    for word in ("on n1", "0.1.0+test", "scope node", "in     100/s", "5.00% failed", "2/6 endpoints", "1 circuit open", "2 not serving",
                 "zipkin:http://zipkin:9411: connect refused", "accountservice -> quotes-service: " + EJECTED, "?[2J?]0;evil? -> imageservice: " + OPENED, "accountservice", "draining", "down", "?[2J?]0;evil?", "n" * 90):
        assert word in out, (word, out)
    assert not [c for c in out if ord(c) < 32 and c != "\n"], out
    lines = out.splitlines()
    head = next(line for line in lines if line.startswith("SERVICE"))
    row = next(line for line in lines if line.startswith("accountservice"))
    for column, value in (("RATE", "40.0"), ("ERR%", "2.00"), ("P99", "300"), ("ENDP", "2/6"), ("OPEN", "1")):
        end = head.index(column) + len(column) + (column == "RATE")  # with the arrow
        assert row[:end].split()[-1] == value, (column, value, head, row)


def test_once_json(t):
    """--json has the same for programs, names as they are."""
    status, out, err = once(scripted(t), "--json", "--view=failures")
    assert status == 0 and not err, err
    page = json.loads(out)
    assert page["scope"] == "node" and page["node"] == "n1" and page["in"]["rate"] == 100
    assert page["services"][0]["service"] == "accountservice" and page["services"][0]["retries"] == 0.5
    assert HOSTILE in [row["service"] for row in page["services"]]
    assert page["upstreams"][0] == {"from": "accountservice", "to": "quotes-service", "node": "n1", "circuit": "closed", "rate": 39, "errors": 0,
                                    "instance": "shop_accountservice.1.x", "p50_ms": 1, "p95_ms": None, "p99_ms": 9, "active": None, "retries": 0.5, "healthy": 2, "endpoints": 3}
    assert page["circuits"][0]["age_ms"] == 65000 and page["failures"][0]["request_id"] == "id-0"
    assert page["changes"][1] == {"time_ms": pages.NOW - 12000, "node": "n1", "kind": "ejected", "service": "accountservice", "upstream": "quotes-service",
                                  "subject": "10.0.5.7:4143", "text": EJECTED}, page["changes"]
    assert page["changes"][0]["kind"] == "circuit" and page["troubles"][0]["why"] == "connect refused"


def test_instances_of_a_service(t):
    """Two of one service on a node: each row has what its own calls say; a circuit names the instance and the SOAP action that it is of."""
    names = ["shop_accountservice.%d.x" % n for n in (1, 2)]
    shop = pages.state(sidecars=[pages.sidecar("accountservice", 40, name=names[0]), pages.sidecar("accountservice", 50, name=names[1], slot="2")],
                       edges=[pages.edge("accountservice", "quotes-service", 20, "open", 2, retries=1, instance=names[0]),
                              pages.edge("accountservice", "quotes-service", 30, instance=names[1])],
                       circuits=[pages.circuit("accountservice", "quotes-service", "open", instance=names[0]),
                                 pages.circuit("accountservice", "quotes-service", "closed", instance=names[1], action="urn:Buy")])
    status, out, err = once(scripted(t, **{"/ui/state": shop}), "--json")
    page = json.loads(out)
    assert status == 0 and {r["name"]: (r["circuits_open"], r["healthy"], r["endpoints"], r["retries"]) for r in page["services"]} == {
        names[0]: (1, 2, 3, 1), names[1]: (0, 3, 3, 0)}, (page, err)
    assert {(r["instance"], r["circuit"], r["rate"]) for r in page["upstreams"]} == {(names[0], "open", 20), (names[1], "closed", 30)}, page["upstreams"]
    assert {(r["instance"], r["to"]) for r in page["circuits"]} == {(names[0], "quotes-service"), (names[1], "quotes-service urn:Buy")}, page["circuits"]
    out = once(scripted(t, **{"/ui/state": shop}), "--view=circuits")[1]
    assert names[0] in out and "quotes-service urn:Buy" in out, out


def test_once_of_the_swarm(t):
    """--scope=swarm puts sidecars of one service together and names the agent that does not answer."""
    status, out, err = once(scripted(t), "--scope=swarm", "--json")
    page = json.loads(out)
    assert status == 0 and (page["agents"], page["agents_silent"]) == (2, 1), (page, err)
    found = next(row for row in page["services"] if row["service"] == "accountservice")
    assert (found["rate"], found["instances"]) == (100, 2), found
    found = next(row for row in page["upstreams"] if row["to"] == "quotes-service")
    assert (found["circuit"], found["healthy"], found["rate"]) == ("open", 1, 98), found
    out = once(scripted(t), "--scope=swarm")[1]
    assert "10.0.5.4:4191: connect timeout" in out and "swarm of 3 agents" in out, out


def test_once_of_a_sidecar(t):
    """--service=NAME asks for that sidecar."""
    agent = scripted(t)
    status, out, err = once(agent, "--service=shop_accountservice.1.x")
    assert status == 0 and "scope sidecar" in out and "quotes-service" not in out.split("SERVICE")[1], (out, err)
    assert "/sidecars/shop_accountservice.1.x/ui/state" in agent.asked
    status, _, err = once(agent, "--service=nobody")
    assert status == 1 and "/sidecars/nobody/ui/state" in err, err


@rows({"by p99, of upstreams": (["--view=upstreams", "--sort=retries"], "quotes-service"), "by name": (["--sort=name"], HOSTILE.replace("\x1b", "?").replace("\x07", "?")),
       "by rate": (["--sort", "rate"], "accountservice")})
def test_sort(t, flags, first):
    """--sort: the first row is the one with most; by name the least."""
    status, out, err = once(scripted(t), *flags)
    lines = out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(("SERVICE", "FROM")))
    assert status == 0 and first in lines[at + 1], (out, err)


@rows({"scope": (["--scope=world"], "sidecar, node or swarm"), "view": (["--view=x"], "circuits"), "sort": (["--sort=colour"], "p99"),
       "sort of another view": (["--view=circuits", "--sort=p99"], "rejected"), "interval": (["--interval=1ms"], "200ms"),
       "argument": (["x"], "unexpected"), "flag": (["--wrong=1"], "wrong"), "both": (["--service=a", "--scope=node"], "--service")})
def test_wrong_flags(t, flags, says):
    """What cannot be is status 2, and says what can."""
    status, out, err = run(["top", "--once"] + flags)
    assert status == 2 and says in err and not out, (status, out, err)


def test_no_agent(t):
    """Nobody answers, or an older agent does: status 1, said on stderr."""
    status, out, err = run(["top", "--admin=" + t.port().text], {"TERM": "xterm"})
    assert status == 1 and "no agent answers" in err and not out, (status, out, err)
    agent = t._keep(pages.AgentPages({}))
    status, out, err = once(agent)
    assert status == 1 and "older" in err, err
    for page in (b"{", b"[]", b'{"in":1}', b"x" * 100000, b'{"a":' * 100):
        agent.pages["/ui/state"] = page
        status, out, err = once(agent)
        assert status == 1 and err and not out, (page[:20], out, err)


# --- without a terminal -------------------------------------------------------------------------------


def test_plain(t):
    """Without a terminal: one page after the other, no sequence of a terminal in them, until a signal ends it."""
    agent = scripted(t)
    proc = subprocess.Popen([binary(), "top", "--interval=200ms", "--admin=" + agent.text], env=environment({"TERM": "xterm", "LC_ALL": "C"}),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        seen = b""
        while seen.count(b"outrider top") < 3:
            piece = os.read(proc.stdout.fileno(), 65536)
            assert piece, proc.stderr.read()
            seen += piece
        proc.send_signal(signal.SIGTERM)
        assert proc.wait(10) == 128 + signal.SIGTERM
    finally:
        proc.kill()
        proc.wait()
        proc.stdout.close()
        proc.stderr.close()
    assert not [c for c in seen if (c < 32 and c != 10) or c > 126], seen


# --- on a terminal ------------------------------------------------------------------------------------


def screen(t, columns=80, lines=24, env=None):
    if not there_is_tmux():
        raise Skip("tmux is not installed")
    return t._keep(Screen(columns, lines, env))


def start(s, agent, *flags, until="q quit"):
    s.command("stty -g >%s/stty; clear; %s top --interval=300ms --admin=%s %s" % (s.folder, binary(), agent.text, " ".join(flags)))
    return s.shows("outrider top", until)


def is_back(s):
    """The shell's screen is there again, with a cursor, and the terminal is as it was."""
    s.until("the shell", lambda text: PROMPT.strip() in text.rstrip().splitlines()[-1] if text.strip() else False)
    assert s.is_other() == (False, True)
    s.command("clear; [ \"$(stty -g)\" = \"$(cat %s/stty)\" ] && echo as-it-was" % s.folder)
    s.shows("as-it-was")


@rows({"80x24": (80, 24, ("CPU%",)), "200x50": (200, 50, ())})
def test_screen(t, columns, lines, absent):
    """All views fit the screen: head, table, keys; nothing is wrapped, cut within a number, or moved by a name."""
    s = screen(t, columns, lines)
    start(s, scripted(t))
    text = s.shows("accountservice", "?[2J?]0;evil?" if columns > 100 else "?[2J?]0;evil?"[:10], "draining", ">accountservice")
    shown = text.splitlines()
    assert len(shown) == lines and shown[0].startswith("outrider top  on n1  scope node  every 0.3s  0.1.0+test") and shown[-1].startswith("q quit"), text
    assert shown[1] == "! trace zipkin:http://zipkin:9411: connect refused" and "P99" in text and "TREND" in text, text
    assert ("accountservice -> quotes-service: " + EJECTED)[:columns - 30] in text and "12s ago" in text, text
    assert not [word for word in absent if word in text], text
    row = next(line for line in shown if line.startswith(">accountservice"))
    for value in ("serving", " 40.0", " 2.00", " 1.50", " 300", " 2/6"):
        assert value in row, (value, row)
    assert ("n" * 60 in text) == (columns > 190), text
    if columns == 80:  # what is cut says so, in the last column
        assert [line for line in shown if len(line) == 80 and line.endswith("…")], text
    for key, words in (("2", ("[2 upstreams]", "quotes-service", "2/3", "open", "CIRCUIT")), ("3", ("[3 circuits]", "60 of 100 fail", "65s", "60.0")),
                       ("4", ("[4 failures]", "connect-refused", "503", "7s", "GET /api")), ("?", ("Columns of failures", "pause", "outrider why"))):
        s.keys(key)
        text = s.shows(*words)
        assert len(text.splitlines()) == lines and all(len(line) <= columns for line in text.splitlines()), text


def test_keys(t):
    """Keys change scope, sort, order and grouping; the cursor moves; Enter goes into a sidecar and Escape back."""
    agent, s = scripted(t), screen(t)
    start(s, agent)
    s.shows("RATE↓")
    s.keys("Right")
    s.shows("ERR%↓")
    s.keys("r")
    s.shows("ERR%↑")
    s.keys("<", "<")
    s.until("sorted by name", lambda text: "SERVICE↑" in text and text.index("\n accountservice") < text.index("\n imageservice") < text.index("\n quotes-service"))
    s.keys("End")
    s.shows(">quotes-service")
    s.keys("Home", "Down")
    s.shows(">accountservice")
    s.keys("Enter")
    s.shows("shop_accountservice.1.x", "scope sidecar")
    s.keys("Escape")
    s.shows("scope node", "draining")
    s.keys("s")
    text = s.shows("swarm of 3 agents", "vipservice")
    assert len([line for line in text.splitlines() if line[1:].startswith("accountservice")]) == 1, text
    s.keys("g")
    s.until("each by itself", lambda text: len([line for line in text.splitlines() if line[1:].startswith("accountservice")]) == 2)
    s.keys("s")
    s.shows("scope node")
    s.keys("p")
    s.shows("PAUSED")
    asked = len(agent.asked)
    s.keys("Down", "Up")
    s.shows("PAUSED")
    assert len(agent.asked) <= asked + 2  # a look that was under way
    s.keys("p")
    s.until("going on", lambda text: "PAUSED" not in text and len(agent.asked) > asked + 2)


@rows({"q": ("q",), "Ctrl-C": ("C-c",), "SIGTERM": (signal.SIGTERM,), "SIGHUP": (signal.SIGHUP,), "SIGQUIT": (signal.SIGQUIT,), "SIGSEGV": (signal.SIGSEGV,),
       "SIGABRT": (signal.SIGABRT,)})
def test_the_terminal_is_given_back(t, how):
    """However it ends, the shell has its screen, cursor and settings again."""
    s = screen(t)
    s.command("ulimit -c 0")
    start(s, scripted(t))
    assert s.is_other() == (True, False)
    if isinstance(how, str):
        s.keys(how)
    else:
        os.kill(s.children()[0], how)
    is_back(s)


def test_stopped_and_gone_on(t):
    """Ctrl-Z gives the terminal back, fg takes it again."""
    s = screen(t)
    start(s, scripted(t))
    s.keys("C-z")
    s.shows("Stopped")
    assert s.is_other() == (False, True)
    s.command("fg")
    s.shows("q quit", "accountservice")
    assert s.is_other() == (True, False)
    s.keys("q")
    is_back(s)


def test_another_size(t):
    """A new size is filled at once, wider or smaller, down to almost nothing."""
    s = screen(t)
    start(s, scripted(t))
    for columns, lines, words in ((200, 50, ("n" * 60, "CPU%", "OUT")), (60, 15, ("accountservice", "RATE")), (30, 7, ("accountservice",)), (80, 24, ("q quit", "P95"))):
        s.resize(columns, lines)
        text = s.shows(*words)
        assert len(text.splitlines()) <= lines and text.splitlines()[0].startswith("outrider top"), text


def test_colours(t):
    """Colours on a terminal that has them; with NO_COLOR none; with TERM=dumb not even another screen."""
    agent = scripted(t)
    s = screen(t)
    start(s, agent)
    s.shows("draining")
    assert {"31", "33", "32"} <= s.colours(), s.colours()
    s = screen(t, env={"NO_COLOR": "1"})
    start(s, agent)
    s.shows("draining")
    assert not s.colours(), s.colours()
    s = screen(t, columns=100, env={"TERM": "dumb"})
    s.command("%s top --interval=300ms --admin=%s" % (binary(), agent.text))
    s.until("pages", lambda text: text.count("outrider top  on") >= 1 and "imageservice" in text)
    assert s.is_other() == (False, True) and not s.colours()
    s.keys("C-c")


def test_ascii(t):
    """A locale that is not UTF-8 gets ASCII, sparklines too."""
    s = screen(t, env={"LC_ALL": "C"})
    s.command("export LC_ALL=C")
    start(s, scripted(t))
    text = s.until("a line of rates", lambda text: "##" in text)
    assert text.isascii() and "RATEv" in text, text


def test_an_agent_that_restarts(t):
    """While nobody answers the last figures stay, with their age and why; then it goes on."""
    agent, s = scripted(t), screen(t)
    start(s, agent)
    s.shows("accountservice")
    kept = agent.pages.pop("/ui/state")
    s.shows("! ", "figures are", "accountservice")
    agent.pages["/ui/state"] = kept
    s.until("well again", lambda text: "figures are" not in text)


def test_a_slow_agent(t):
    """Keys are obeyed while an agent does not answer."""
    agent, s = scripted(t), screen(t)
    start(s, agent)
    s.shows("accountservice")
    agent.gate.clear()
    s.keys("?")
    s.shows("sort by the next column")
    s.keys("?", "Right")
    s.shows("ERR%↓")
    s.keys("q")
    is_back(s)


# --- with a real agent --------------------------------------------------------------------------------


@limit(60)
def test_a_real_agent(t):
    """Figures of a sidecar that carries requests: its rate, an upstream with one endpoint of two that answers, a failure."""
    quotes = t.service(lambda asked, n: 503 if asked.target == "/bad" else 200)
    agent = t.sidecar(quotes.text, endpoints={"quotes": [quotes, t.port()]}, env={"OUTRIDER_TRACE": None})
    admin = "--admin=%s:%d" % agent.admin

    def look():
        for n in range(4):
            call(agent.inbound, "handler", "/bad" if n == 0 else "/")
            call(agent.outbound, "quotes", "/bad" if n == 0 else "/")
        status, out, err = run(["top", "--once", "--json", "--view=failures", admin])
        assert status == 0, err
        page = json.loads(out)
        edge = next((row for row in page["upstreams"] if row["to"] == "quotes"), {})
        return page if edge.get("rate") and page["services"][0]["rate"] and page["failures"] else None

    page = agent.until("figures", look, 30)
    assert page["scope"] == "sidecar" and page["services"][0]["service"] == "accountservice" and page["version"], page
    edge = next(row for row in page["upstreams"] if row["to"] == "quotes")
    assert edge["from"] == "accountservice" and edge["endpoints"] == 2 and edge["p99_ms"] > 0, edge
    assert page["in"]["rate"] > 0 and page["out"]["rate"] > 0 and 503 in [row["status"] for row in page["failures"]], page
    s = screen(t)
    s.command("clear; %s top --interval=300ms %s" % (binary(), admin))
    text = s.shows("scope sidecar", ">accountservice", "1 sidecar ")
    s.keys("2")
    text = s.shows("quotes", "[2 upstreams]")
    s.keys("s")
    s.shows("no other scope")
    assert all(len(line) <= 80 for line in text.splitlines()), text


@limit(60)
def test_changes_of_a_real_agent(t):
    """Circuits of two upstreams that open in one moment are two changes, with whose calls to whom: as a page and as JSON."""
    bad = t.service(503)
    agent = t.sidecar(endpoints={"quotes": [bad], "images": [bad]}, env={"OUTRIDER_BREAKER_VOLUME": "5", "OUTRIDER_EJECT_CONSECUTIVE": "off",
                                                                         "OUTRIDER_RETRY_TRIES": "1"})
    admin = "--admin=%s:%d" % agent.admin
    opened = lambda: {c["upstream"] for c in agent.get("/circuits")["circuits"] if c["open"]}
    while opened() != {"quotes", "images"}:
        call(agent.outbound, "quotes", "/")
        call(agent.outbound, "images", "/")

    def look():
        page = json.loads(run(["top", "--once", "--json", admin])[1])
        found = [c for c in page["changes"] if c["kind"] == "circuit" and c["text"] == OPENED]
        return {(c["service"], c["upstream"]) for c in found} == {("accountservice", "quotes"), ("accountservice", "images")} and len(found) == 2
    agent.until("both are told", look)
    out = run(["top", "--once", admin])[1]
    for name in ("quotes", "images"):
        assert "  circuit     accountservice -> %s: %s" % (name, OPENED) in out, out
    assert "  accountservice: sidecar serves, version " in out, out
    assert agent.admin_call("PUT", "/circuits/quotes/close", {"X-Outrider": "1"}, b"")[0] == 200
    assert "accountservice -> quotes: the circuit was set by hand: closed" in run(["top", "--once", admin])[1]


def call(address, host, path):
    wire = http.client.HTTPConnection(address[0], address[1], timeout=10)
    try:
        wire.request("GET", path, headers={"Host": host})
        return wire.getresponse().read()
    finally:
        wire.close()


@limit(60)
def test_a_real_swarm(t):
    """--scope=swarm of three addresses: two agents with their services, and one where nobody is."""
    first = t.sidecar(t.service().text)
    gone = t.port()
    agents = "%s:%d,%s" % (first.admin + (gone.text,))
    second = t.sidecar(t.service().text, env={"OUTRIDER_SERVICE": "quotes-service", "OUTRIDER_AGENTS": agents})
    admin = "--admin=%s:%d" % second.admin
    status, out, err = run(["top", "--once", "--json", "--scope=swarm", admin])
    page = json.loads(out)
    assert status == 0 and (page["agents"], page["agents_silent"]) == (1, 1), (page, err)
    assert [row["service"] for row in page["services"]] == ["accountservice"] and gone.text in page["troubles"][0]["name"], page
    s = screen(t)
    s.command("clear; %s top --interval=300ms %s" % (binary(), admin))
    s.shows("scope sidecar", ">quotes-service")
    s.keys("s")
    s.shows("swarm of 2 agents", ">accountservice", "! " + gone.text)
    s.keys("s")
    s.shows("scope sidecar", ">quotes-service")
