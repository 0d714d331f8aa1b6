"""The command line: help, version, check, config, get, health."""
import json

from harness import agent_pages as pages
from harness.agent import run
from harness.case import rows

COMMANDS = ("sidecar", "exec", "edge", "health", "check", "config", "get", "version", "help")


def test_help(t):
    """help names every command, exit status 0."""
    status, out, _ = run(["help"])
    assert status == 0
    for command in COMMANDS:
        assert command in out, command


@rows({command: (command,) for command in COMMANDS})
def test_help_of_a_command(t, command):
    """Each command has a --help of its own that names the command and shows its usage."""
    status, out, _ = run([command, "--help"])
    assert status == 0 and command in out and len(out) > 80, out


def test_version(t):
    """version prints one line."""
    status, out, _ = run(["version"])
    assert status == 0 and out.startswith("outrider ") and out.count("\n") == 1, out


def test_unknown_command(t):
    """An unknown command is status 2 and the nearest one is proposed."""
    status, _, err = run(["sidcar"])
    assert status == 2 and "sidecar" in err, (status, err)


@rows({"env": ({"OUTRIDER_LIMIT_HAED": "1KiB"}, [], "limit.head"), "flag": ({}, ["--timeout.hed=1s"], "timeout.head"),
       "upstream": ({"OUTRIDER_UPSTREAM_QUOTES_ENDPONTS": "127.0.0.1:1"}, [], "endpoints")})
def test_check_misspelt_key(t, env, flags, meant):
    """A misspelt key is status 2; the message names it and the nearest spelling."""
    status, _, err = run(["check"] + flags, env)
    name = list(env)[0] if env else "timeout.hed"
    assert status != 0 and name in err, (status, err)
    assert meant in err.lower().replace("_", ".") or meant.upper().replace(".", "_") in err, err


@rows({"duration": ("OUTRIDER_TIMEOUT_HEAD", "soon"), "range": ("OUTRIDER_TIMEOUT_HEAD", "1us"),
       "size": ("OUTRIDER_LIMIT_HEAD", "-5"), "statuses": ("OUTRIDER_BREAKER_STATUSES", "500,501,502,503,504"),
       "status": ("OUTRIDER_RETRY_STATUSES", "429,6xx"), "fallback": ("OUTRIDER_UPSTREAM_QUOTES_FALLBACK_UPSTREAM", "http://spare:80"), "choice": ("OUTRIDER_MODE", "onn"),
       "bool": ("OUTRIDER_FORWARD_VIA", "maybe"),
       "address": ("OUTRIDER_INBOUND", "nowhere"),
       "endpoints": ("OUTRIDER_UPSTREAM_A_ENDPOINTS", "127.0.0.1:99999"),
       "upstreams": ("OUTRIDER_UPSTREAMS", "tcp://db:5432"),
       "upstreams-default": ("OUTRIDER_UPSTREAMS", "default:9001"),
       "uint": ("OUTRIDER_WORKERS", "lots"), "no-unit": ("OUTRIDER_TIMEOUT_HEAD", "5 parsecs")})
def test_check_bad_value(t, key, value):
    """A bad value is status 2; the message names key, value, origin and what would be accepted."""
    status, _, err = run(["check"], {key: value})
    option = key[len("OUTRIDER_"):].lower()
    assert status == 2, (status, err)
    assert value in err and (key in err or option.replace("_", ".") in err or option.replace("_", "-") in err), err


def test_check_good(t):
    """Good options are status 0."""
    status, out, err = run(["check", "sidecar"], {"OUTRIDER_SERVICE": "a", "OUTRIDER_PORT": "8080"})
    assert status == 0, (out, err)


def test_check_says_all_problems(t):
    """Two problems are told in one run."""
    status, _, err = run(["check"], {"OUTRIDER_TIMEOUT_HEAD": "soon", "OUTRIDER_LIMIT_HEAD": "big"})
    assert status == 2 and "soon" in err and "big" in err, err


def test_bad_options_stop_the_start(t):
    """A sidecar with a bad option does not start, status 2."""
    status, _, err = run(["sidecar"], {"OUTRIDER_MODE": "sometimes", "OUTRIDER_ADMIN": "off",
                                       "OUTRIDER_OUTBOUND": "off"})
    assert status == 2 and "sometimes" in err, (status, err)


def test_port_needs_a_service(t):
    """OUTRIDER_PORT without OUTRIDER_SERVICE is an error that says so."""
    status, _, err = run(["check", "sidecar"], {"OUTRIDER_PORT": "8080"})
    assert status == 2 and "service" in err.lower(), (status, err)


def test_config_json(t):
    """config --json prints JSON with the origin of each value; flags are stronger than env."""
    env = {"OUTRIDER_TIMEOUT_IDLE": "22s", "OUTRIDER_ADMIN_TOKEN": "hide-me-please"}
    status, out, _ = run(["config", "--json", "--timeout.idle=11s"], env)
    assert status == 0 and "hide-me-please" not in out
    json.loads(out)
    assert "11s" in out and "flag" in out


def test_config_text(t):
    """config prints text for people."""
    status, out, _ = run(["config"], {"OUTRIDER_UPSTREAM_QUOTES_TIMEOUT_CONNECT": "3s"})
    assert status == 0 and "3s" in out and "quotes" in out


def test_get(t):
    """get PATH prints a page of the running agent."""
    agent = t.sidecar()
    env = {"OUTRIDER_ADMIN": agent.env["OUTRIDER_ADMIN"]}
    status, out, _ = run(["get", "/stats"], env)
    assert status == 0 and json.loads(out)["counters"]
    status, out, _ = run(["get", "stats?format=text"], env)
    assert status == 0 and out and not out.startswith("{")
    status, _, err = run(["get", "/nothing"], env)
    assert status == 1 and "404" in err


@rows({"get": (["get", "/stats"], "/stats"), "doctor": (["doctor"], "/doctor")})
def test_service_stays_one_name(t, command, page):
    """--service=NAME asks for that name's page; a name that could lead to another page is refused before anybody is asked."""
    agent = t._keep(pages.AgentPages())
    for name in ("quotes", "quotes.shop", "shop_quotes.1.x-y"):
        run([*command, "--service=" + name, "--admin=" + agent.text])
        assert agent.asked[-1] == f"/sidecars/{name}{page}", (name, agent.asked)
    for name in ("a/../b", "b?c", "c#d", "ü", "e f", "%41", "", "/" * 2000):
        status, _, err = run([*command, "--service=" + name, "--admin=" + agent.text])
        assert status in (1, 2) and "--service" in err and len(agent.asked) == 3, (name, status, err, agent.asked)


def test_get_without_an_agent(t):
    """Without an agent get says so, status 1."""
    status, _, err = run(["get", "/stats"], {"OUTRIDER_ADMIN": t.port().text})
    assert status == 1 and err


def test_health(t):
    """health is 0 beside a healthy agent and 1 without one."""
    agent = t.sidecar()
    assert run(["health"], {"OUTRIDER_ADMIN": agent.env["OUTRIDER_ADMIN"]})[0] == 0
    assert run(["health", "--admin=" + agent.env["OUTRIDER_ADMIN"]])[0] == 0
    assert run(["health", "--admin=" + t.port().text])[0] == 1


def test_health_of_a_hanging_agent(t):
    """health does not wait for ever for an agent that accepts and says nothing."""
    hung = t.origin("hung")
    assert run(["health", "--admin=" + hung.text], seconds=15)[0] == 1
