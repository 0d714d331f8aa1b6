"""How get, doctor and why look: on a terminal readable, coloured and within its width; for programs as the agent says it."""
import http.client
import json

from harness import agent_pages as pages
from harness.agent import binary, run
from harness.case import Skip, rows
from harness.screen import Screen, there_is_tmux

HOSTILE = "\x1b[2J\x9b31m"
DOCTOR = {"lines": [{"state": "ok", "check": "kernel", "of": "agent", "says": "Linux"},
                    {"state": "warn", "check": "registry", "of": "shop_quotes.1", "says": HOSTILE + "redis: no answer", "remedy": "is it up? " * 12, "docs": "discovery.md"},
                    {"state": "fail", "check": "handler", "of": "shop_image.1", "says": "nobody listens"}], "ok": 1, "warn": 1, "fail": 1}
WIDE = [{"state": "open" if n else "closed", "number": 10 ** n, "text": "word " * 30 + HOSTILE} for n in range(2)]


def screen(t, columns=80):
    if not there_is_tmux():
        raise Skip("tmux is not installed")
    return t._keep(Screen(columns, 50))


def agent(t, **more):
    return t._keep(pages.AgentPages(dict({"/doctor": DOCTOR, "/wide": WIDE, "/metrics": b"# HELP x y\nx 1\n\x1b[2Jevil\n"}, **more)))


def test_doctor(t):
    """Aligned lines with remedies and counts; status 1 when a line says fail; --json is the page itself."""
    a = agent(t)
    status, out, err = run(["doctor", "--admin=" + a.text], {"LC_ALL": "C.UTF-8"})
    assert status == 1 and not err, err
    lines = out.splitlines()
    assert lines[0].split() == ["ok", "kernel", "agent", "Linux"] and lines[0].index("Linux") == lines[1].index("?[2J?31mredis"), out
    assert lines[2].strip().startswith("-> is it up?") and lines[2].endswith("; docs/discovery.md") and lines[-1] == "1 ok, 1 warn, 1 fail", out
    status, out, _ = run(["doctor", "--json", "--admin=" + a.text])
    assert status == 1 and json.loads(out) == DOCTOR
    a.pages["/doctor"] = dict(DOCTOR, lines=DOCTOR["lines"][:2])
    assert run(["doctor", "--admin=" + a.text])[0] == 0
    a.pages["/doctor"] = b"no json"
    status, out, err = run(["doctor", "--admin=" + a.text])
    assert status == 1 and "no diagnosis" in err and not out


@rows({"doctor": ("doctor", ("fail  handler", "-> is it up?", "1 ok, 1 warn, 1 fail")), "get": ("get /wide", ("closed", "number  10"))})
def test_on_a_terminal(t, command, words):
    """Colours for states, nothing wider than the terminal, no byte that it obeys; none with NO_COLOR."""
    a, s = agent(t), screen(t)
    s.command("clear; %s %s --admin=%s" % (binary(), command, a.text))
    text = s.shows(*words)
    assert "?[2J?31m" in text, text
    assert {"32", "31"} <= s.colours(), s.colours()
    # Nothing was wrapped by the terminal: joined lines are the same lines.
    assert s.everything().split() == text.split()
    s.command("clear; NO_COLOR=1 %s %s --admin=%s" % (binary(), command, a.text))
    s.until("no colour", lambda text: all(word in text for word in words) and not s.colours())


def test_get_on_a_terminal(t):
    """A page that is no JSON is shown line by line, cleaned; --json shows JSON as it is, cleaned too."""
    a, s = agent(t), screen(t)
    s.command("clear; %s get /metrics --admin=%s" % (binary(), a.text))
    s.shows("# HELP x y", "x 1", "?[2Jevil")
    s.command("clear; %s get /doctor --json --admin=%s" % (binary(), a.text))
    s.shows('{"lines": [{"state": "ok"')


def test_get_for_programs(t):
    """Without a terminal get prints each byte as it came."""
    a = agent(t)
    assert run(["get", "/metrics", "--admin=" + a.text])[1] == "# HELP x y\nx 1\n\x1b[2Jevil\n"
    assert json.loads(run(["get", "wide", "--admin=" + a.text])[1]) == WIDE


def test_with_a_real_agent(t):
    """Each page of the admin port that ends can be read on a terminal of 80 columns."""
    real = t.sidecar(t.service().text, endpoints={"quotes": [t.port()]})
    conn = http.client.HTTPConnection(*real.outbound, timeout=10)
    conn.request("GET", "/", headers={"Host": "quotes", "X-Request-Id": "id-1"})
    conn.getresponse().read()
    conn.close()
    s = screen(t)
    for command, words in (("get /upstreams", ("quotes",)), ("get /circuits", ("closed",)), ("doctor", ("handler",)), ("why id-1", ("connect-refused",))):
        s.command("clear; tmux -S %s clear-history; %s %s --admin=%s:%d; echo end-of-it" % ((s.socket, binary(), command) + real.admin))
        s.until(command, lambda text: "\nend-of-it" in text)
        joined = s.everything()
        assert all(word in joined for word in words), joined
        # What the terminal broke would be joined here; a single long word may be.
        assert not [line for line in joined.splitlines()[1:] if len(line) > 80 and len(line.split()[-1]) < 40], joined
