"""Live configuration from a real Redis: a change is in force within a second, without a failed request; a server that is
away, stopped, flushed or wrong changes nothing for the service."""
import os

from harness.agent import run
from harness.case import limit, rows
from harness.config import WITHIN, Traffic, app, option, service, source, until_value
from harness.redis import RedisServer

EVENTS = ("--notify-keyspace-events", "Khg$")
COMES_BACK = 12.0  # seconds: the longest pause between two tries, half of it by chance, and the machine's mood


def _env(address, **more):
    env = {"OUTRIDER_CONFIG": address if ":" in address[:7] else "redis:" + address}
    env.update({"OUTRIDER_" + key.upper(): value for key, value in more.items()})
    return env


def _agent(t, server, scheme="redis:", **more):
    """A sidecar with the server as its source, and one field that it must have."""
    server.put("accountservice", x="1")
    agent = t.sidecar(service(t), env=_env(scheme + server.text, **more))
    assert app(agent, "/app/config/x")[2] == b"1"
    return agent


def _listens(agent, server):
    agent.until("subscribed", lambda: server.subscribers() >= 1)


def _hears_events(agent, server):
    """Of the keyspace; what was written before is read at once, and would prove nothing."""
    agent.until("subscribed to events", lambda: server("PUBSUB", "NUMPAT") >= 1)


def test_a_message_makes_it_live(t):
    """HSET and PUBLISH are in force within a second, under traffic, without a failed request, and say where they are from."""
    server = RedisServer(t)
    agent = _agent(t, server)
    _listens(agent, server)
    traffic = Traffic(agent.inbound)
    for value, told in (("2000000", "accountservice"), ("3000000", "application"), ("4000000", "*")):
        server.put("accountservice", "outrider.limit.requests", value, tell=told)
        agent.until("live", lambda: option(agent, "limit.requests")[0] == value, WITHIN)
    traffic.end()
    assert option(agent, "limit.requests")[1] == "redis:%s/outrider:config:accountservice" % server.text
    assert agent.get("/config")["rejected"] is None and source(agent)["well"]


def test_messages_for_others(t):
    """A message for another service makes nobody read."""
    server = RedisServer(t)
    agent = _agent(t, server, config_poll="1h")
    _listens(agent, server)
    # What was said while it subscribed is read at once; only then is silence meaningful.
    server.put("accountservice", x="2", tell="accountservice")
    until_value(agent, "x", "2")
    calls = lambda: int([line for line in server("INFO", "commandstats").split() if line.startswith("cmdstat_hgetall:")][0]
                        .split("calls=")[1].split(",")[0])
    before = calls()
    server.put("quotes", x="9", tell="quotes")
    server.put("accountservice", x="3", tell="accountservice")
    until_value(agent, "x", "3")
    assert calls() == before + 2, (before, calls())


def test_keyspace_events_make_it_live(t):
    """Where the server tells of changed keys, HSET alone is enough; also of a hash that comes, goes, or is renamed."""
    server = RedisServer(t, *EVENTS)
    agent = _agent(t, server, config_poll="1h")
    _listens(agent, server)
    server.put("accountservice", x="2")
    until_value(agent, "x", "2")
    server.put("application", x="shared", y="shared")
    until_value(agent, "y", "shared")
    server("DEL", "outrider:config:accountservice")
    until_value(agent, "x", "shared")


def test_poll_alone(t):
    """A user who may not subscribe, and no message: the poll finds the change."""
    server = RedisServer(t)
    server("ACL", "SETUSER", "reader", "on", ">secret", "~outrider:config:*", "+@read", "+ping", "+select")
    server.put("accountservice", x="1")
    agent = t.sidecar(service(t), env=_env("redis://reader:secret@" + server.text, config_poll="300ms"))
    until_value(agent, "x", "1")
    server.put("accountservice", x="2")
    until_value(agent, "x", "2", 0.3 * 1.1 + WITHIN)
    assert source(agent)["well"], source(agent)


def test_order(t):
    """A profile before none, the service before application, the last profile first; env before all of them."""
    server = RedisServer(t)
    for name, keys in {"application": "abcdef", "accountservice": "bcdef", "application:test": "cdef",
                       "accountservice:test": "def", "application:eu": "ef", "quotes": "abcdef"}.items():
        server.put(name, **{key: name for key in keys})
    server.put("application", "outrider.limit.fields", "100", "list[0]", "long", "list[1]", "list")
    server.put("accountservice", "list[0]", "short")
    agent = t.sidecar(service(t), env=_env(server.text, profile="test,eu", limit_fields="77"))
    assert app(agent, "/app/config/list[0]")[2] == b"short" and app(agent, "/app/config/list[1]")[0] == 404, "one hash owns a list"
    for key, name in {"a": "application", "b": "accountservice", "c": "application:test", "d": "accountservice:test",
                      "e": "application:eu", "f": "application:eu"}.items():
        assert app(agent, "/app/config/" + key)[2] == name.encode(), (key, name)
    assert option(agent, "limit.fields") == ("77", "env")


@rows({"address": ("redis:user:pass%40word@{}", {}), "slashes": ("redis://:pass%40word@{}", {}),
       "option": ("redis:{}", {"redis_password": "pass@word"}),
       "both": ("redis:{}", {"redis_username": "user", "redis_password": "pass@word"}),
       "file": ("redis:{}", {"redis_password_file": True})})
def test_auth(t, address, env):
    """The password comes with the address, as an option, or from a file; it is shown nowhere."""
    server = RedisServer(t, password="pass@word")
    server("ACL", "SETUSER", "user", "on", ">pass@word", "~*", "&*", "+@all")
    server.put("accountservice", x="1")
    if env.get("redis_password_file"):
        path = os.path.join(t.tempdir(), "password")
        with open(path, "w") as file:
            file.write("pass@word\n")
        env = {"redis_password_file": path}
    agent = t.sidecar(service(t), env=_env(address.format(server.text), **env))
    until_value(agent, "x", "1")
    shown = agent.admin_call("GET", "/config")[2] + agent.stderr().encode() + agent.stdout().encode()
    assert b"pass@word" not in shown and b"pass%40word" not in shown


def test_least_rights(t):
    """The rights that docs/config-redis.md names are enough, notices included."""
    server = RedisServer(t, *EVENTS)
    server("ACL", "SETUSER", "outrider", "on", ">secret", "~outrider:config:*", "&outrider:config",
           "&__keyspace@0__:outrider:config:*", "+hgetall", "+ping", "+select", "+subscribe", "+psubscribe")
    server.put("accountservice", x="1")
    agent = t.sidecar(service(t), env=_env("redis://outrider:secret@" + server.text, config_poll="1h"))
    until_value(agent, "x", "1")
    _hears_events(agent, server)
    for value in ("2", "3"):  # the first may be read for the subscription's own sake
        server.put("accountservice", x=value)
        until_value(agent, "x", value)
    assert source(agent)["well"]


def test_wrong_password(t):
    """What the server says of a wrong password is on /config, the password is not; put right at the server, all is well."""
    server = RedisServer(t, password="right")
    server.put("accountservice", x="1")
    agent = t.sidecar(service(t), env=_env("redis::wrong@" + server.text, config_wait="100ms"))
    trouble = agent.until("trouble", lambda: source(agent)["trouble"])
    assert server.text in trouble and "WRONGPASS" in trouble and "wrong@" not in trouble, trouble
    server("CONFIG", "SET", "requirepass", "wrong")
    server.password = "wrong"
    until_value(agent, "x", "1", COMES_BACK)
    assert source(agent)["well"]


def test_tls(t):
    """rediss: checks the certificate against the CA of outrider.redis.ca; a change is live over it too."""
    server = RedisServer(t, *EVENTS, tls=True)
    agent = _agent(t, server, "rediss:", redis_ca=server.ca)
    _listens(agent, server)
    server.put("accountservice", x="2")
    until_value(agent, "x", "2")


@rows({"unknown-ca": ("rediss:{}", False, "outrider.redis.ca"), "wrong-name": ("rediss:localtest:{}", True, "localtest"),
       "plain": ("redis:{}", True, "")})
def test_tls_refused(t, address, ca, why):
    """A certificate of nobody trusted, or for another host, or TLS that is not spoken: nothing is read, and why is said."""
    server = RedisServer(t, tls=True)
    server.put("accountservice", x="1")
    if "localtest" in address:
        address = address.format(server.port).replace("localtest", "127.0.0.2")
        server("CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2")
        why = "127.0.0.2"
    else:
        address = address.format(server.text)
    agent = t.sidecar(service(t), env=_env(address, config_wait="100ms", redis_ca=server.ca if ca else None))
    trouble = agent.until("trouble", lambda: source(agent)["trouble"])
    assert why in trouble, trouble
    assert app(agent, "/app/config/x")[0] == 404


@limit(90)
def test_killed_and_restarted(t):
    """A killed server changes nothing; restarted with other values it is read again by itself."""
    server = RedisServer(t, *EVENTS)
    agent = _agent(t, server)
    traffic = Traffic(agent.inbound)
    server.kill()
    agent.until("told", lambda: source(agent)["trouble"])
    assert app(agent, "/app/config/x")[2] == b"1" and not source(agent)["well"]
    server.start()
    server.put("accountservice", x="2")
    until_value(agent, "x", "2", COMES_BACK)
    agent.until("well", lambda: source(agent)["well"])
    _listens(agent, server)
    server.put("accountservice", x="3")
    until_value(agent, "x", "3")
    traffic.end()


@limit(90)
def test_stopped(t):
    """A server that hangs without closing is noticed, and read again when it goes on."""
    server = RedisServer(t, *EVENTS)
    agent = _agent(t, server, config_poll="200ms")
    traffic = Traffic(agent.inbound)
    server.stop()
    trouble = agent.until("noticed", lambda: source(agent)["trouble"], 20)
    assert "in time" in trouble, trouble
    assert app(agent, "/app/config/x")[2] == b"1"
    server.go_on()
    server.put("accountservice", x="2")
    until_value(agent, "x", "2", COMES_BACK)
    traffic.end()


def test_flushed(t):
    """FLUSHALL is more often an accident than a wish: the values stay, it is said, and new ones count at once."""
    server = RedisServer(t, *EVENTS)
    agent = _agent(t, server, config_poll="200ms")
    _listens(agent, server)
    server("FLUSHALL")
    trouble = agent.until("told", lambda: source(agent)["trouble"])
    assert "empty" in trouble, trouble
    assert app(agent, "/app/config/x")[2] == b"1"
    server.put("accountservice", x="2")
    until_value(agent, "x", "2")
    agent.until("well", lambda: source(agent)["well"])


@limit(60)
def test_absent_at_start(t):
    """A server that is not there yet: the agent serves on defaults, and takes the values when they come."""
    server = RedisServer(t, *EVENTS, started=False)
    agent = t.sidecar(service(t), env=_env(server.text, config_wait="200ms"))
    assert "refused" in source(agent)["trouble"] and app(agent, "/app/config/x")[0] == 404
    traffic = Traffic(agent.inbound)
    server.start()
    server.put("accountservice", "outrider.limit.requests", "2000000", x="1")
    until_value(agent, "x", "1", COMES_BACK)
    assert option(agent, "limit.requests")[0] == "2000000"
    traffic.end()


def test_required(t):
    """With config-required an agent whose server is absent ends, and says which server."""
    server = RedisServer(t, started=False)
    env, _ = t.wiring(service(t), env=_env(server.text, config_wait="200ms", config_required="on"))
    status, _, err = run(["sidecar"], env)
    assert status != 0 and server.text in err, (status, err)


@limit(60)
def test_cache(t):
    """What Redis said last is used when it is away at the next start; what it says itself replaces that."""
    server = RedisServer(t, *EVENTS)
    cache = os.path.join(t.tempdir(), "cache")
    first = _agent(t, server, config_cache=cache)
    first.until("written", lambda: os.path.exists(cache))
    first.signal(15)
    first.wait()
    server.kill()
    agent = t.sidecar(service(t), env=_env(server.text, config_wait="200ms", config_cache=cache))
    assert app(agent, "/app/config/x")[2] == b"1"
    server.start()
    server.put("accountservice", x="2")
    until_value(agent, "x", "2", COMES_BACK)


@limit(60)
def test_the_second_server(t):
    """Several addresses are tried in turn; origins name the one that answered."""
    away, server = RedisServer(t, started=False), RedisServer(t)
    server.put("accountservice", "outrider.limit.requests", "2000000", x="1")
    agent = t.sidecar(service(t), env=_env("redis:%s|%s" % (away.text, server.text)))
    until_value(agent, "x", "1", COMES_BACK)
    assert option(agent, "limit.requests")[1] == "redis:%s/outrider:config:accountservice" % server.text
    agent.until("well", lambda: source(agent)["well"])


def test_database(t):
    """The number behind the slash is the database that is read and listened to."""
    server = RedisServer(t, *EVENTS)
    server.put("accountservice", x="0")
    server("EVAL", "redis.call('SELECT', 3) redis.call('HSET', 'outrider:config:accountservice', 'x', '3')", 0)
    agent = t.sidecar(service(t), env=_env(server.text + "/3", config_poll="1h"))
    until_value(agent, "x", "3")
    _listens(agent, server)
    server("EVAL", "redis.call('SELECT', 3) redis.call('HSET', 'outrider:config:accountservice', 'x', '4')", 0)
    until_value(agent, "x", "4")


@rows({"value": ("outrider.timeout.idle", "soon", "duration"), "key": ("outrider.timeout.idel", "5s", "outrider.timeout.idle"),
       "who": ("outrider.workers", "2", "only the agent's own flags")})
def test_a_broken_change_is_refused(t, key, value, why):
    """The whole change is refused: the former values stay, /config shows key, value, origin and reason."""
    server = RedisServer(t, *EVENTS)
    agent = _agent(t, server)
    _listens(agent, server)
    traffic = Traffic(agent.inbound, 1)
    server.put("accountservice", key, value, x="2")
    rejected = agent.until("refused", lambda: agent.get("/config")["rejected"], WITHIN)
    problem = rejected["problems"][0]
    assert problem["key"] == key and problem["value"] == value and why in problem["why"], rejected
    assert problem["origin"] == "redis:%s/outrider:config:accountservice" % server.text, problem
    assert app(agent, "/app/config/x")[2] == b"1"
    server("HDEL", "outrider:config:accountservice", key)
    until_value(agent, "x", "2")
    assert agent.get("/config")["rejected"] is None
    traffic.end()


def test_a_key_that_is_no_hash(t):
    """One key of the wrong type: nothing of that reading is used, the key is named; put right, all is well."""
    server = RedisServer(t, *EVENTS)
    agent = _agent(t, server)
    _listens(agent, server)
    server("SET", "outrider:config:application", "text")
    server.put("accountservice", x="2")
    trouble = agent.until("told", lambda: source(agent)["trouble"], WITHIN)
    assert "outrider:config:application" in trouble and "WRONGTYPE" in trouble, trouble
    assert app(agent, "/app/config/x")[2] == b"1"
    server("DEL", "outrider:config:application")
    until_value(agent, "x", "2")
    agent.until("well", lambda: source(agent)["well"])


@rows({"scheme": ("redys:h:1", "did you mean redis"), "port": ("redis:host:70000", "no port"),
       "database": ("redis:host:1/x", "database"), "nothing": ("redis:", "HOST:PORT")})
def test_an_address_that_makes_no_sense(t, address, why):
    """It ends the start, and says what would be accepted."""
    env, _ = t.wiring(service(t), env={"OUTRIDER_CONFIG": address})
    status, _, err = run(["sidecar"], env)
    assert status != 0 and why in err, (status, err)


def test_many_fields(t):
    """10,000 fields are taken without a long callback on the control thread; 10,001 are refused, and the former stay."""
    server = RedisServer(t)
    agent = _agent(t, server)
    _listens(agent, server)
    pairs = [text for i in range(9999) for text in ("key.%d" % i, "value %d" % i)]
    server.put("accountservice", *pairs, x="2", tell="*")
    until_value(agent, "x", "2", 5)
    server.put("application", "one.more", "1", tell="*")
    trouble = agent.until("told", lambda: source(agent)["trouble"])
    assert "10000" in trouble, trouble
    assert app(agent, "/app/config/key.9998")[2] == b"value 9998" and app(agent, "/app/config/one.more")[0] == 404
