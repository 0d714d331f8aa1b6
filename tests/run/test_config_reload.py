"""Live configuration from a directory: a change is in force within a second, without a failed request; a broken one is
refused as a whole and shown."""
import http.client
import json
import os
import time

from harness.agent import run, sanitized
from harness.case import limit, rows, slow
from harness.config import WITHIN, Traffic, app, option, service


def _put(t, name, text, folder="config"):
    """Writes a file as careful programs do: beside it, then renamed."""
    directory = os.path.join(t.tempdir(), folder)
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, name)
    with open(path + ".tmp", "w") as file:
        file.write(text)
    os.rename(path + ".tmp", path)
    return directory


def _env(directory, **more):
    env = {"OUTRIDER_CONFIG": "file:" + directory}
    env.update({"OUTRIDER_" + key.upper(): value for key, value in more.items()})
    return env


def test_a_change_is_live(t):
    """A changed value is in force within a second, under traffic, without a failed request, and says where it is from."""
    d = _put(t, "application.yml", "outrider:\n  limit:\n    requests: 1000000\n")
    agent = t.sidecar(service(t), env=_env(d))
    assert option(agent, "limit.requests") == ("1000000", "file:%s/application.yml:3" % d)
    traffic = Traffic(agent.inbound)
    for value in ("2000000", "3000000"):
        _put(t, "application.yml", "outrider:\n  limit:\n    requests: %s\n" % value)
        agent.until("live", lambda: option(agent, "limit.requests")[0] == value, WITHIN)
    traffic.end()
    snapshot = agent.get("/config")["snapshot"]
    assert snapshot["version"] == 3 and len(snapshot["hash"]) == 16, snapshot
    assert agent.get("/stats")["config"]["reloads_applied_total"] == 2


def test_it_acts(t):
    """What is changed is what is done: a smaller limit refuses the next request."""
    d = _put(t, "accountservice.properties", "outrider.limit.body=100\n")
    agent = t.sidecar(service(t), env=_env(d))

    def post(size):
        conn = http.client.HTTPConnection(*agent.inbound, timeout=10)
        conn.request("GET", "/", body=b"x" * size, headers={"Host": "handler"})
        status = conn.getresponse().status
        conn.close()
        return status
    assert post(50) == 200
    _put(t, "accountservice.properties", "outrider.limit.body=10\n")
    agent.until("refuses", lambda: post(50) == 413, WITHIN)


@rows({
    "value": ("outrider.timeout.idle=soon\n", "outrider.timeout.idle", "soon", "duration"),
    "key": ("outrider.timeout.idel=5s\n", "outrider.timeout.idel", "5s", "outrider.timeout.idle"),
    "who": ("outrider.workers=2\n", "outrider.workers", "2", "only the agent's own flags"),
    "subset": ("outrider.upstream.q.subset=version=2:150%\n", "outrider.upstream.q.subset", "version=2:150%", "from 0 to 100%"),
    "hash": ("outrider.upstream.q.balance.hash=heder:X\n", "outrider.upstream.q.balance.hash", "heder:X", "header:NAME"),
    "registry": ("outrider.upstream.q.registry=reddis\n", "outrider.upstream.q.registry", "reddis", "did you mean redis?"),
    "cipher": ("db.password={cipher}AB12\n", "db.password", "***", "encrypted"),
    "circle": ("a=${b}\nb=${a}\n", "a", "***", "circle"),
})
def test_a_broken_change_is_refused(t, text, key, value, why):
    """The whole change is refused: the former options stay, /config shows key, value, origin and reason, a counter rises."""
    d = _put(t, "application.properties", "outrider.timeout.idle=60s\nx=1\n")
    agent = t.sidecar(service(t), env=_env(d))
    traffic = Traffic(agent.inbound, 1)
    _put(t, "application.properties", "x=2\n" + text)
    rejected = agent.until("refused", lambda: agent.get("/config")["rejected"], WITHIN)
    problem = rejected["problems"][0]
    assert problem["key"] == key and problem["value"] == value and why in problem["why"], rejected
    assert problem["origin"] == "file:%s/application.properties:2" % d, problem
    assert option(agent, "timeout.idle")[0] == "60s" and app(agent, "/app/config/x")[2] == b"1"
    assert agent.get("/stats")["config"]["reloads_rejected_total"] == 1
    _put(t, "application.properties", "x=3\n")
    agent.until("well again", lambda: agent.get("/config")["rejected"] is None, WITHIN)
    assert app(agent, "/app/config/x")[2] == b"3"
    traffic.end()


def test_a_broken_file_keeps_the_last_values(t):
    """A file that does not parse is told with its line, and nothing changes."""
    d = _put(t, "application.yml", "x: 1\n")
    agent = t.sidecar(service(t), env=_env(d))
    _put(t, "application.yml", "x: 2\ny: [1,\n")
    source = agent.until("trouble", lambda: [s for s in agent.get("/config")["sources"] if s["trouble"]], WITHIN)[0]
    assert "application.yml:3" in source["trouble"] and not source["well"], source
    assert app(agent, "/app/config/x")[2] == b"1"
    _put(t, "application.yml", "x: 3\n")
    agent.until("well", lambda: app(agent, "/app/config/x")[2] == b"3", WITHIN)
    assert agent.get("/config")["sources"][0]["well"]


@rows({"value": ("outrider.timeout.idle: soon\n", "expected a duration"), "yaml": ("a: [\n", "application.yml:2"),
       "missing": (None, "No such file")})
def test_a_broken_start_ends(t, text, why):
    """At the start a wrong value, a broken file, a missing directory ends the program with the reason."""
    d = _put(t, "application.yml", text or "")
    env, _ = t.wiring(service(t), env=_env(d if text else d + "/none"))
    status, _, err = run(["sidecar"], env)
    assert status in (1, 2) and why in err, (status, err)


def test_listeners_come_and_go(t):
    """A pinned upstream that appears is listened on at once, one that is gone refuses; the others are not touched."""
    o = service(t)
    a, b = t.port("127.0.4.1"), t.port("127.0.4.1")
    text = "outrider.upstreams=%s\noutrider.upstream.quotes.endpoints=" + o + "\n"
    d = _put(t, "application.properties", text % ("quotes@" + a.text))
    agent = t.sidecar(service(t), env=_env(d))
    traffic = Traffic(agent.inbound)

    def status(port):
        conn = http.client.HTTPConnection(port.host, port.port, timeout=10)
        try:
            conn.request("GET", "/")
            return conn.getresponse().status
        except ConnectionError:
            return 0
        finally:
            conn.close()
    assert (status(a), status(b)) == (200, 0)
    _put(t, "application.properties", text % ("quotes@%s,quotes@%s" % (a.text, b.text)))
    agent.until("opened", lambda: status(b) == 200, WITHIN)
    assert status(a) == 200
    _put(t, "application.properties", text % ("quotes@" + b.text))
    agent.until("closed", lambda: status(a) == 0, WITHIN)
    assert status(b) == 200
    traffic.end()


def test_a_taken_port_is_refused(t):
    """A new listener whose address somebody else has: the change is refused, what runs goes on."""
    taken = t.origin("taken", ("127.0.4.1", 0))
    d = _put(t, "application.properties", "x=1\n")
    agent = t.sidecar(service(t), env=_env(d))
    _put(t, "application.properties", "x=2\noutrider.upstreams=quotes@%s\n" % taken.text)
    rejected = agent.until("refused", lambda: agent.get("/config")["rejected"], WITHIN)
    assert taken.text in rejected["problems"][0]["why"], rejected
    assert app(agent, "/app/config/x")[2] == b"1"


def test_profiles_and_layers(t):
    """Spring's order: profile before none, service before application, the last profile first; env before all files."""
    for name, keys in {"application.yml": "abcdef", "accountservice.yml": "bcdef", "application-test.yml": "cdef",
                       "accountservice-test.yml": "def", "application-eu.yml": "ef"}.items():
        d = _put(t, name, "".join("%s: %s\n" % (key, name) for key in keys) + "outrider.limit.fields: 100\n")
    env = _env(d, profile="test,eu", limit_fields="77")
    agent = t.sidecar(service(t), env=env)
    values = json.loads(app(agent)[2])
    assert values == {"a": "application.yml", "b": "accountservice.yml", "c": "application-test.yml",
                      "d": "accountservice-test.yml", "e": "application-eu.yml", "f": "application-eu.yml"}, values
    assert option(agent, "limit.fields") == ("77", "env")


def test_symlink_swap(t):
    """A mounted config map changes by swapping the symlink `..data`; so may the whole directory."""
    one, two = _put(t, "application.yml", "x: 1\n", "..one"), _put(t, "application.yml", "x: 2\n", "..two")
    d = os.path.join(t.tempdir(), "map")
    os.mkdir(d)
    os.symlink(one, d + "/..data")
    os.symlink("..data/application.yml", d + "/application.yml")
    agent = t.sidecar(service(t), env=_env(d))
    assert app(agent, "/app/config/x")[2] == b"1"
    os.symlink(two, d + "/..tmp")
    os.rename(d + "/..tmp", d + "/..data")
    agent.until("swapped", lambda: app(agent, "/app/config/x")[2] == b"2", WITHIN)
    three = _put(t, "application.yml", "x: 3\n", "three")
    os.rename(d, d + ".old")
    os.symlink(three, d)
    agent.until("moved", lambda: app(agent, "/app/config/x")[2] == b"3", WITHIN)


def test_restart_options_wait(t):
    """An option that needs a restart keeps its running value, and /config says so."""
    d = _put(t, "application.yml", "x: 1\n")
    agent = t.sidecar(service(t), env=_env(d))
    _put(t, "application.yml", "x: 2\noutrider.service: other\n")
    agent.until("live", lambda: app(agent, "/app/config/x")[2] == b"2", WITHIN)
    assert option(agent, "service") == ("accountservice", "env")


def test_refresh(t):
    """POST /refresh reads again; it needs the mark of those who mean it."""
    d = _put(t, "application.yml", "x: 1\n")
    agent = t.sidecar(service(t), env=_env(d))
    assert agent.admin_call("POST", "/refresh", {}, b"")[0] == 403
    assert agent.admin_call("POST", "/refresh", {"X-Outrider": "1"}, b"")[0] == 202



@slow
@limit(60)
def test_fifty_reloads_a_second(t):
    """Fifty changes a second for some seconds: no failed request, no growth of memory or descriptors."""
    d = _put(t, "application.yml", "x: 0\n")
    o = service(t)
    env = _env(d, upstream_quotes_endpoints=o)
    agent = t.sidecar(service(t), env=env)
    traffic = Traffic(agent.inbound, 4)

    def storm(seconds, start):
        end, i = time.monotonic() + seconds, start
        while time.monotonic() < end:
            i += 1
            _put(t, "application.yml", "x: %d\noutrider.limit.requests: %d\n" % (i, 1000000 + i))
            agent.admin_call("POST", "/refresh", {"X-Outrider": "1"}, b"")
            time.sleep(0.02)  # the pace of the changes is what is tested
        agent.until("last", lambda: app(agent, "/app/config/x")[2] == b"%d" % i)
        return i
    last = storm(2, 0)
    before, fds = agent.rss(), len(os.listdir("/proc/%d/fd" % agent.pid))
    storm(4, last)
    applied = agent.get("/stats")["config"]["reloads_applied_total"]
    grown = agent.rss() - before
    traffic.end()
    assert applied > 100, applied
    assert len(os.listdir("/proc/%d/fd" % agent.pid)) <= fds + 16
    if not sanitized():
        assert grown < 2048, "%d KiB more after %d reloads" % (grown, applied)


@slow
@limit(60)
def test_ten_thousand_properties(t):
    """10,000 properties are parsed, validated and swapped within 20 ms, and no callback takes 10."""
    def text(n):
        return "shared: all\n" + "".join("group%d:\n%s" % (g, "".join("  key%d: value %d of ${shared:x}\n" % (k, n)
                                                                 for k in range(100))) for g in range(100))
    d = _put(t, "application.yml", text(0))
    agent = t.sidecar(service(t), env=_env(d))
    best = None
    for n in range(1, 6):
        _put(t, "application.yml", text(n))
        agent.until("live", lambda: app(agent, "/app/config/group99.key99")[2].startswith(b"value %d " % n))
        config = agent.get("/stats")["config"]
        took = (config["last_reload_us"], config["last_reload_longest_callback_us"])
        best = min(best or took, took)
    print("10,000 properties: %.1f ms, longest callback %.1f ms" % (best[0] / 1000, best[1] / 1000))
    assert config["properties"] == 10001, config
    if not sanitized():
        assert best[0] <= 20000 and best[1] <= 10000, best


# --- the service's own view ----------------------------------------------------------------------------------------------

def test_app_config_forms(t):
    """JSON, .properties and variables of the service's own properties; the agent's options are not among them."""
    d = _put(t, "application.yml", "my.service-name: it's\nlist: [a, b]\nurl: http://${host:h}/\noutrider.mode: 'on'\n")
    agent = t.sidecar(service(t), env=_env(d))
    status, fields, body = app(agent)
    assert status == 200 and fields["content-type"].startswith("application/json")
    assert json.loads(body) == {"my.service-name": "it's", "list[0]": "a", "list[1]": "b", "url": "http://h/"}
    assert app(agent, "/app/config?format=env")[2].decode() == \
        "MY_SERVICENAME='it'\\''s'\nLIST_0='a'\nLIST_1='b'\nURL='http://h/'\n"
    assert b"list[1]=b\n" in app(agent, "/app/config.properties")[2]
    assert app(agent, "/app/config/url")[2] == b"http://h/"
    assert app(agent, "/app/config/none")[0] == 404 and app(agent, "/app/config/outrider.mode")[0] == 404


@rows({"no-mark": ({},), "forwarded": ({"X-Outrider": "1", "Forwarded": "for=1.2.3.4"},),
       "via": ({"X-Outrider": "1", "Via": "1.1 x"},), "xff": ({"X-Outrider": "1", "X-Forwarded-For": "1.2.3.4"},),
       "rebinding": ({"X-Outrider": "1", "Host": "evil.example"},)})
def test_app_config_guards(t, headers):
    """A service that is tricked into fetching the page, or a proxy, gets nothing."""
    d = _put(t, "application.yml", "secret: hidden\n")
    agent = t.sidecar(service(t), env=_env(d))
    host = headers.get("Host")
    status, _, body = agent.admin_call("GET", "/app/config",
                                       {k: v for k, v in headers.items() if k != "Host"}, host=host)
    assert status in (403, 421) and b"hidden" not in body, (status, body)


def test_app_config_long_poll(t):
    """?wait= holds the request until something changes, else ends it with 304."""
    d = _put(t, "application.yml", "x: 1\n")
    agent = t.sidecar(service(t), env=_env(d))
    tag = app(agent)[1]["etag"]
    assert app(agent, headers={"If-None-Match": tag})[0] == 304
    assert app(agent, "/app/config?wait=100ms", {"If-None-Match": tag})[0] == 304
    job = t.background(lambda: app(agent, "/app/config?wait=20s", {"If-None-Match": tag}))
    time.sleep(0.2)  # so that it waits in most runs; the test holds without
    _put(t, "application.yml", "x: 2\n")
    status, fields, body = job.join()
    assert status == 200 and json.loads(body) == {"x": "2"} and fields["etag"] != tag


# --- exec ------------------------------------------------------------------------------------------------------------------

def _exec(t, env, script, flags=()):
    made, ports = t.wiring(None, env=env)
    return t.agent(["exec"] + list(flags) + ["--", "sh", "-c", script], made, ports, expect_status=None)


def _lines(path):
    try:
        with open(path) as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def test_exec_env_and_profile(t):
    """`outrider exec --profile=test`: properties become variables; what the environment has stays; loaders are safe."""
    d = _put(t, "application.yml", "app:\n  greeting: hello\n  mine: file\nld.preload: /x\nother: 1\n")
    _put(t, "application-test.yml", "app.greeting: hello test\n")
    env = _env(d, app_env="prefix:app.")
    env.update({"MINE": "env", "GREETING": None})
    made, _ = t.wiring(None, env=env)
    status, out, err = run(["exec", "--profile=test", "--lame-duck=0s", "--", "sh", "-c",
                            'echo "$GREETING|$MINE|$OTHER|$LD_PRELOAD"'], made)
    assert (status, out) == (0, "hello test|env||\n"), (status, out, err)


@rows({"signal": ("signal:USR1", ["start:1", "usr1"]), "restart": ("restart", ["start:1", "start:2"]),
       "nothing": ("nothing", ["start:1"])})
def test_exec_on_change(t, what, expected):
    """On a change the child gets a signal, or is started again with the new values, or is left alone."""
    d = _put(t, "application.yml", "x: 1\n")
    log, target = os.path.join(t.tempdir(), "log"), os.path.join(t.tempdir(), "made.conf")
    with open(os.path.join(t.tempdir(), "template"), "w") as file:
        file.write("x is ${x}, y is ${y:none}\n")
    env = _env(d, app_env="all", on_change=what, app_template=os.path.join(t.tempdir(), "template") + ":" + target)
    agent = _exec(t, env, 'trap "echo usr1 >>%s" USR1; trap "exit 0" TERM; echo start:$X >>%s; '
                          'while :; do sleep 0.02; done' % (log, log))
    agent.until("started", lambda: _lines(log) == ["start:1"])
    with open(target) as file:
        assert file.read() == "x is 1, y is none\n"
    assert os.stat(target).st_mode & 0o777 == 0o600
    _put(t, "application.yml", "x: 2\n")
    agent.until("live", lambda: app(agent, "/app/config/x")[2] == b"2", WITHIN)
    agent.until("told", lambda: _lines(log) == expected)
    with open(target) as file:
        assert file.read() == "x is 2, y is none\n"
