"""Live configuration from Consul's key-value store (scripted, with its faults): a change is in force within a second, without a
failed request; an agent that is away, hangs, lies or floods changes nothing for the service."""
import os

from harness.agent import run, sanitized
from harness.case import limit, rows
from harness.config import WITHIN, Traffic, app, option, service, source, until_value
from harness.consul import Consul

COMES_BACK = 15.0  # seconds: some pauses between tries (1, 2, 4 s, half of it chance), and a busy machine
SERVICE, SHARED = "config/accountservice/", "config/application/"


def _env(address, **more):
    env = {"OUTRIDER_CONFIG": "consul:" + address}
    env.update({"OUTRIDER_" + key.upper(): value for key, value in more.items()})
    return env


def _agent(t, consul, **more):
    """A sidecar with this source, and one key that it must have."""
    consul.put(SERVICE + "x", "1")
    agent = t.sidecar(service(t), env=_env(consul.url, **more))
    assert app(agent, "/app/config/x")[2] == b"1"
    return agent


def test_a_change_is_live(t):
    """A changed key is in force within a second, under traffic, without a failed request, and says where it is from."""
    consul = Consul(t)
    agent = _agent(t, consul)
    traffic = Traffic(agent.inbound)
    for value in ("2000000", "3000000"):
        consul.put(SERVICE + "outrider/limit/requests", value)
        agent.until("live", lambda: option(agent, "limit.requests")[0] == value, WITHIN)
    traffic.end()
    assert option(agent, "limit.requests")[1] == "consul:%s/%soutrider/limit/requests" % (consul.url, SERVICE)
    assert source(agent)["well"] and agent.get("/config")["rejected"] is None


def test_order(t):
    """Spring Cloud Consul's order: the service before application, a profile before none, the last profile first."""
    consul = Consul(t)
    for name, keys in {"application": "abcde", "application,test": "bcde", "application,eu": "cde", "accountservice": "de",
                       "accountservice,test": "e", "accountservices": "abcde", "accountservice,other": "abcde"}.items():
        consul.put(*[text for key in keys for text in ("config/%s/%s" % (name, key), name)])
    consul.put(SHARED + "outrider/limit/fields", "100", SHARED + "list[0]", "long", SHARED + "list[1]", "list",
               SERVICE + "list[0]", "short")
    agent = t.sidecar(service(t), env=_env(consul.url, profile="test,eu", limit_fields="77"))
    assert app(agent, "/app/config/list[0]")[2] == b"short" and app(agent, "/app/config/list[1]")[0] == 404, "one folder owns a list"
    for key, name in {"a": "application", "b": "application,test", "c": "application,eu", "d": "accountservice",
                      "e": "accountservice,test"}.items():
        assert app(agent, "/app/config/" + key)[2] == name.encode(), (key, name)
    assert option(agent, "limit.fields") == ("77", "env")
    assert len({(one["path"], "index" in one["query"]) for one in consul.asked}) <= 4, consul.asked


def test_values(t):
    """base64, null, folders, '/' as dots, keys that hold dots already, UTF-8; another prefix."""
    consul = Consul(t)
    consul.put("shop/cfg/application/", None, "shop/cfg/application/db/", None, "shop/cfg/application/db/url", "jdbc:ü",
               "shop/cfg/application/a.b", "1", "shop/cfg/application/none", None, "shop/cfg/application/empty", "",
               "config/application/other", "1", "shop/cfg/application", "2")
    agent = t.sidecar(service(t), env=_env(consul.url, consul_prefix="/shop/cfg/"))
    assert {key: app(agent, "/app/config/" + key)[2].decode() for key in ("db.url", "a.b", "none", "empty")} == \
        {"db.url": "jdbc:ü", "a.b": "1", "none": "", "empty": ""}
    assert source(agent)["properties"] == 4, source(agent)


@rows({"right": ("s3cret-token", None), "wrong": ("other-token", "outrider.consul.token"), "none": (None, "outrider.consul.token")})
def test_token(t, token, trouble):
    """X-Consul-Token is sent from the option; without rights the remedy is named and the token is shown nowhere."""
    consul = Consul(t, token="s3cret-token")
    consul.put(SERVICE + "x", "1")
    agent = t.sidecar(service(t), env=_env(consul.url, consul_token=token, config_wait="300ms"))
    if trouble:
        said = agent.until("told", lambda: source(agent)["trouble"])
        assert trouble in said and "403" in said and "Permission denied" in said, said
        assert app(agent, "/app/config/x")[0] == 404
    else:
        until_value(agent, "x", "1")
    shown = agent.admin_call("GET", "/config")[2] + agent.stderr().encode()
    assert not token or token.encode() not in shown


def test_tls(t):
    """https: checks the certificate against the CA of outrider.consul.ca; a change is live over it too."""
    consul = Consul(t, tls=True)
    agent = _agent(t, consul, consul_ca=consul.ca)
    consul.put(SERVICE + "x", "2")
    until_value(agent, "x", "2")


def test_tls_refused(t):
    """A certificate of nobody trusted: nothing is read, and that it is the certificate is said."""
    consul = Consul(t, tls=True)
    consul.put(SERVICE + "x", "1")
    agent = t.sidecar(service(t), env=_env(consul.url, config_wait="300ms"))
    trouble = agent.until("told", lambda: source(agent)["trouble"])
    assert "certificate" in trouble.lower(), trouble
    assert app(agent, "/app/config/x")[0] == 404


def test_blocking(t):
    """It asks with the index it was given and waits: an unchanged store is asked no more than once for each wait."""
    consul = Consul(t)
    agent = _agent(t, consul, config_poll="1s")
    consul.asked.clear()
    agent.until("some rounds", lambda: len(consul.asked) >= 4, 15)
    for one in consul.asked[2:]:
        assert one["query"].get("wait") == "1000ms" and int(one["query"]["index"]) >= 11, one
    by_path = [one["time"] for one in consul.asked if one["path"].endswith("accountservice")]
    assert all(b - a > 0.9 for a, b in zip(by_path[1:], by_path[2:])), by_path


@limit(60)
def test_rate(t):
    """Values that churn are read with a burst of two and then slowly; what stands in the end is taken."""
    consul = Consul(t)
    agent = _agent(t, consul)
    agent.until("blocks", lambda: any("index" in one["query"] and one["path"].endswith("accountservice") for one in consul.asked))
    for i in range(2, 5):  # the query that is open, and two tokens
        consul.put(SERVICE + "x", str(i))
        until_value(agent, "x", str(i))
    before = len(consul.asked)
    for i in range(5, 60):
        consul.put(SERVICE + "x", str(i))
        app(agent, "/app/config/x")
    assert len(consul.asked) - before <= 2, len(consul.asked) - before
    until_value(agent, "x", "59", 20)


def test_index_goes_backwards(t):
    """A cluster restored from a snapshot: a full read at once, and the values of now."""
    consul = Consul(t)
    agent = _agent(t, consul)
    consul.put(SERVICE + "x", "2")
    until_value(agent, "x", "2")
    consul.asked.clear()
    consul.rewind({SERVICE + "x": "restored"})
    until_value(agent, "x", "restored")
    agent.until("full read", lambda: any("index" not in one["query"] for one in consul.asked))
    consul.put(SERVICE + "x", "3")
    until_value(agent, "x", "3")


@limit(90)
@rows({"forbidden": ("forbidden", "403"), "error": ("error", "No cluster leader"), "garbage": ("garbage", "NUL"),
       "cut": ("cut", ""), "not-consul": ("not-consul", "Consul"), "bad-base64": ("bad-base64", "base64"),
       "redirect": ("redirect", "301")})
def test_faults(t, fault, why):
    """A wrong answer of any kind: it is told with the address, the last values stay, and all is well when it is put right."""
    consul = Consul(t)
    agent = _agent(t, consul)
    traffic = Traffic(agent.inbound, 1)
    consul.fail(fault)

    def told():
        trouble = source(agent)["trouble"] or ""
        return why in trouble and consul.url in trouble
    agent.until("told", told, COMES_BACK)  # the first query may be cut off, and is asked again after its pause
    assert app(agent, "/app/config/x")[2] == b"1"
    consul.put(SERVICE + "x", "2")
    consul.fail(None)
    until_value(agent, "x", "2", COMES_BACK)
    agent.until("well", lambda: source(agent)["well"], COMES_BACK)
    traffic.end()


def test_huge(t):
    """100 MB are cut off at the bound: memory stays small, the last values stay."""
    consul = Consul(t)
    agent = _agent(t, consul)
    before = agent.rss()
    consul.fail("huge")
    trouble = agent.until("told", lambda: source(agent)["trouble"], COMES_BACK)
    assert "longer than" in trouble, trouble
    if not sanitized():
        assert agent.rss() - before < 40 * 1024, (before, agent.rss())
    assert app(agent, "/app/config/x")[2] == b"1"


@limit(60)
@rows({"hang": ("hang",), "trickle": ("trickle",)})
def test_slow_peers(t, fault):
    """One that hangs or trickles delays nothing: the agent serves, ends at once, and says so after a bounded time."""
    consul = Consul(t)
    consul.fail(fault)
    agent = t.sidecar(service(t), env=_env(consul.url, config_wait="300ms"))
    traffic = Traffic(agent.inbound)
    trouble = agent.until("told", lambda: source(agent)["trouble"], 30)
    assert "within 20s" in trouble, trouble
    traffic.end()
    consul.put(SERVICE + "x", "1")
    consul.fail(None)
    until_value(agent, "x", "1", COMES_BACK)


@limit(60)
def test_away_and_back(t):
    """Closed in the middle and opened again with other values: the last ones stay, then the new ones count."""
    consul = Consul(t)
    agent = _agent(t, consul)
    traffic = Traffic(agent.inbound)
    consul.close()
    trouble = agent.until("told", lambda: source(agent)["trouble"])
    assert consul.url in trouble and app(agent, "/app/config/x")[2] == b"1"
    consul.put(SERVICE + "x", "2")
    consul.start()
    until_value(agent, "x", "2", COMES_BACK)
    traffic.end()


@limit(60)
def test_absent_at_start(t):
    """Not there yet: defaults, and the values when they come; with a cache those of the last life."""
    consul = Consul(t)
    cache = os.path.join(t.tempdir(), "cache")
    first = _agent(t, consul, config_cache=cache)
    first.until("written", lambda: os.path.exists(cache))
    first.signal(15)
    first.wait()
    consul.close()
    cached = t.sidecar(service(t), env=_env(consul.url, config_wait="200ms", config_cache=cache))
    bare = t.sidecar(service(t), env=_env(consul.url, config_wait="200ms"))
    assert app(cached, "/app/config/x")[2] == b"1" and app(bare, "/app/config/x")[0] == 404
    consul.put(SERVICE + "x", "2")
    consul.start()
    until_value(cached, "x", "2", COMES_BACK)
    until_value(bare, "x", "2", COMES_BACK)


@limit(60)
def test_the_second_server(t):
    """Several addresses are tried in turn; origins name the one that answered."""
    away, consul = Consul(t, started=False), Consul(t)
    consul.put(SERVICE + "x", "1", SHARED + "outrider/limit/requests", "2000000")
    agent = t.sidecar(service(t), env=_env(away.url + "|" + consul.url))
    until_value(agent, "x", "1", COMES_BACK)
    assert option(agent, "limit.requests")[1].startswith("consul:" + consul.url)


def test_nothing_there(t):
    """A store without a key for this service is no trouble, and no reason to wait at the start."""
    consul = Consul(t)
    agent = t.sidecar(service(t), env=_env(consul.url, config_wait="20s", config_required="on"))
    assert source(agent)["well"], source(agent)
    consul.put(SHARED + "x", "1")
    until_value(agent, "x", "1")


def test_all_gone(t):
    """All keys deleted: the values stay for a while, which is said; the next key counts at once."""
    consul = Consul(t)
    agent = _agent(t, consul)
    consul.delete("config/")
    agent.until("told", lambda: "gone" in (source(agent)["trouble"] or ""), WITHIN)
    assert app(agent, "/app/config/x")[2] == b"1"
    consul.put(SERVICE + "y", "2")
    until_value(agent, "y", "2")
    until_value(agent, "x", None)
    agent.until("well", lambda: source(agent)["well"])


def test_no_index(t):
    """A peer that says no index (a gateway that drops fields) is polled, not asked in a circle."""
    consul = Consul(t)
    consul.fail("no-index")
    agent = t.sidecar(service(t), env=_env(consul.url, config_poll="1s"))
    until_value(agent, "polled", "yes")
    consul.asked.clear()
    agent.until("polls", lambda: len(consul.asked) >= 4, 10)
    assert consul.asked[-1]["time"] - consul.asked[0]["time"] > 0.8 and "index" not in consul.asked[-1]["query"]


@rows({"value": ("outrider/timeout/idle", "soon", "duration"), "key": ("outrider/timeout/idel", "5s", "outrider.timeout.idle"),
       "who": ("outrider/workers", "2", "only the agent's own flags")})
def test_a_broken_change_is_refused(t, key, value, why):
    """The whole change is refused: the former values stay, /config shows key, value, origin and reason."""
    consul = Consul(t)
    agent = _agent(t, consul)
    consul.put(SERVICE + key, value, SERVICE + "x", "2")
    rejected = agent.until("refused", lambda: agent.get("/config")["rejected"], WITHIN)
    problem = rejected["problems"][0]
    assert problem["key"] == key.replace("/", ".") and problem["value"] == value and why in problem["why"], rejected
    assert problem["origin"] == "consul:%s/%s%s" % (consul.url, SERVICE, key), problem
    assert app(agent, "/app/config/x")[2] == b"1"
    consul.delete(SERVICE + key)
    until_value(agent, "x", "2")
    assert agent.get("/config")["rejected"] is None


@rows({"nothing": ("", "http://HOST:PORT"), "user": ("http://u:secret@h:1", "outrider.consul.token"),
       "query": ("http://h:1?x", "no '?'"), "many": ("|".join("http://h%d" % i for i in range(5)), "more than 4")})
def test_an_address_that_makes_no_sense(t, address, why):
    """It ends the start, and says what would be accepted; never a credential."""
    env, _ = t.wiring(service(t), env=_env(address))
    status, _, err = run(["sidecar"], env)
    assert status != 0 and why in err and "secret" not in err, (status, err)


def test_many_keys(t):
    """A long answer, which a thread parses: 10,000 keys come whole, and the next change comes as always."""
    consul = Consul(t)
    agent = _agent(t, consul)
    traffic = Traffic(agent.inbound)
    consul.put(*[text for i in range(10000) for text in (SHARED + "group/key%d" % i, "value %d" % i)])
    until_value(agent, "group.key9999", "value 9999", 5)
    consul.put(SERVICE + "x", "2")
    until_value(agent, "x", "2")
    assert agent.get("/stats")["config"]["properties"] == 10001
    traffic.end()
