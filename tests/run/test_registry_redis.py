"""Registry redis against a real redis-server: leases, messages, crashes of instances and of the server."""
import json
import socket
import time

from harness.case import limit
from harness.members import address, caller, known, member, traffic, until_known, upstream
from harness.redis import RedisServer

COMES_BACK = 12.0  # seconds: the longest pause between two tries, half of it by chance, and the machine's mood
SOON = 1.5  # a message, not the poll of 30 s


def _redis(server):
    return "redis:" + server.text


def _put(server, name, ident, value, seconds=60, says=None):
    """An instance that no agent registered; the message names the service only, as anybody's may."""
    now = server("TIME")
    server("HSET", "outrider:registry:%s:values" % name, ident, value if isinstance(value, str) else json.dumps(value))
    server("ZADD", "outrider:registry:" + name, (int(now[0]) + seconds) * 1000, ident)
    _say(server, says or name)


def _say(server, text):
    server("PUBLISH", "outrider:registry", text)


def _fill(server, n):
    now = server("TIME")
    pairs, scores = [], []
    for i in range(n):
        pairs += ["i%d" % i, json.dumps({"address": "127.1.%d.%d:8080" % (i // 250, i % 250 + 1)})]
        scores += [(int(now[0]) + 60) * 1000, "i%d" % i]
    for at in range(0, len(pairs), 1000):
        server("HSET", "outrider:registry:quotes:values", *pairs[at:at + 1000])
        server("ZADD", "outrider:registry:quotes", *scores[at:at + 1000])


def _count(server, command):
    """How often Redis has done that: a whole reading is one ZRANGEBYSCORE and an HGET each, one for an instance a ZSCORE and an HGET."""
    for line in server("INFO", "commandstats").splitlines():
        if line.startswith("cmdstat_%s:calls=" % command):
            return int(line.split("=")[1].split(",")[0])
    return 0


def _until_quiet(agent, server):
    """Until no reading of all is under way or planned: a message has one instance asked for."""
    before = _count(server, "zscore")

    def asks_for_one():
        _say(server, "quotes + nobody")
        return _count(server, "zscore") > before
    agent.until("quiet", asks_for_one)


def _many(t, server, n):
    """An agent that knows n instances and reads nothing any more, for nobody says anything."""
    _fill(server, n)
    agent = caller(t, _redis(server))
    agent.until("all", lambda: (upstream(agent) or {}).get("endpoints_total") == n, 10)
    _until_quiet(agent, server)
    return agent


def _total(agent):
    return upstream(agent)["endpoints_total"]


def test_instances_come_and_go(t):
    """A new instance is known, called and described at once; one that leaves is gone at once, under traffic."""
    server = RedisServer(t)
    first = member(t, _redis(server), meta="version=2", node="n1", zone="z1")
    agent = caller(t, _redis(server))
    until_known(agent, [first])
    load = traffic(agent)
    second = member(t, _redis(server))
    until_known(agent, [first, second], SOON)
    seen = [e for e in upstream(agent)["endpoints"] if e["address"] == address(first)][0]
    assert seen["node"] == "n1" and seen["zone"] == "z1" and seen["meta"]["version"] == "2", seen
    assert upstream(agent)["source"].startswith("redis:"), upstream(agent)["source"]
    second.leave()
    until_known(agent, [first], SOON)
    load.end()
    first.leave()
    assert server("KEYS", "outrider:registry:*") == [], "the last one takes everything away"


def test_a_crash_leaves_nothing(t):
    """An instance that is killed disappears when its lease ends, and so do the keys."""
    server = RedisServer(t)
    killed, lives = member(t, _redis(server)), member(t, _redis(server))
    agent = caller(t, _redis(server), registry_poll="300ms")
    until_known(agent, [killed, lives])
    load = traffic(agent)
    killed.die()
    until_known(agent, [lives], 8)
    load.end()
    lives.die()
    agent.until("no keys", lambda: server("KEYS", "outrider:registry:*") == [], 8)


def test_a_successor_keeps_its_registration(t):
    """Two agents of one instance, one after the other: the leaving one does not take away what the other renewed."""
    server = RedisServer(t)
    old = member(t, _redis(server), instance="task-1")
    agent = caller(t, _redis(server))
    until_known(agent, [old])
    new = member(t, _redis(server), instance="task-1")
    until_known(agent, [new], SOON)
    old.leave()
    load = traffic(agent)
    agent.until("renewed", lambda: load.done > 200)
    load.end()
    assert known(agent) == [address(new)] and server("ZCARD", "outrider:registry:quotes") == 1


def test_the_handler_goes_down(t):
    """A handler that ends makes its instance unavailable at every caller, before any request finds out."""
    server = RedisServer(t)
    handler = t.origin("handler")
    ill, well = member(t, _redis(server), handler=handler), member(t, _redis(server))
    agent = caller(t, _redis(server))
    until_known(agent, [ill, well])
    handler.close()

    def state():
        return [e["state"] for e in upstream(agent)["endpoints"] if e["address"] == address(ill)]
    agent.until("down", lambda: state() and state()[0] != "healthy", 5)
    load = traffic(agent)
    agent.until("called", lambda: load.done > 100)
    load.end()


@limit(60)
def test_the_server_restarts_without_data(t):
    """Killed and started anew, empty: no request fails, nobody is forgotten meanwhile, and all register again."""
    server = RedisServer(t)
    members = [member(t, _redis(server)) for _ in range(3)]
    agent = caller(t, _redis(server), registry_poll="200ms")
    until_known(agent, members)
    load = traffic(agent)
    server.kill()
    agent.until("trouble", lambda: [r for r in agent.get("/upstreams")["registries"] if r["trouble"]])
    server.start()
    lost = []

    def back():
        lost.extend(m for m in members if address(m) not in known(agent))
        return server("ZCARD", "outrider:registry:quotes") == 3
    agent.until("registered again", back, COMES_BACK)
    agent.until("well", lambda: not [r for r in agent.get("/upstreams")["registries"] if r["trouble"]], COMES_BACK)
    load.end()
    until_known(agent, members)
    assert not lost, lost


@limit(60)
def test_flushall(t):
    """All data vanish beneath living instances: the set does not shrink to whoever registers first."""
    server = RedisServer(t)
    members = [member(t, _redis(server)) for _ in range(4)]
    agent = caller(t, _redis(server), registry_poll="50ms")
    until_known(agent, members)
    load = traffic(agent)
    smallest = []
    server("FLUSHALL")

    def back():
        smallest.append(len(known(agent)))
        return server("ZCARD", "outrider:registry:quotes") == 4
    agent.until("registered again", back)
    load.end()
    assert min(smallest) == 4, smallest
    # Who withdrew in that time is not kept.
    members[0].leave()
    until_known(agent, members[1:], 5)


@limit(60)
def test_a_server_that_hangs(t):
    """SIGSTOP for longer than a lease, under traffic: what was known stays; afterwards all is well."""
    server = RedisServer(t)
    members = [member(t, _redis(server)) for _ in range(2)]
    agent = caller(t, _redis(server), registry_poll="200ms")
    until_known(agent, members)
    load = traffic(agent)
    server.stop()
    agent.until("trouble", lambda: [r for r in agent.get("/upstreams")["registries"] if r["trouble"]], 25)
    assert len(known(agent)) == 2
    server.go_on()
    lost = []

    def back():
        lost.append(len(known(agent)))
        return not [r for r in agent.get("/upstreams")["registries"] if r["trouble"]]
    agent.until("well", back, COMES_BACK)
    load.end()
    until_known(agent, members)
    assert min(lost) == 2, lost


def test_failover(t):
    """The first server is a replica now and refuses to write: the second of the list is asked, and nothing is lost."""
    one, two = RedisServer(t), RedisServer(t)
    both = "redis:%s|%s" % (one.text, two.text)
    instance = member(t, both)
    agent = caller(t, both, registry_poll="200ms")
    until_known(agent, [instance])
    load = traffic(agent)
    one("REPLICAOF", two.host, two.port)
    agent.until("registered at the other", lambda: two("ZCARD", "outrider:registry:quotes") == 1, COMES_BACK)
    load.end()
    until_known(agent, [instance])


def test_nonsense_beside_the_good(t):
    """What others wrote there: an instance without an agent counts, nonsense harms nobody, what expired is not there."""
    server = RedisServer(t)
    for ident, value in {"a": "no json", "b": {"address": "nowhere"}, "c": "[" * 10000, "d": "x" * 50000,
                         "e": {"address": "0.0.0.0:80"}, "f": "", "g": {"address": "127.0.0.1:0"}}.items():
        _put(server, "quotes", ident, value)
    _put(server, "quotes", "late", {"address": "127.0.0.9:80"}, -1)
    _put(server, "quotes", "plain", {"address": "127.0.0.8:8080", "weight": 7, "metadata": {"version": "3"}})
    agent = caller(t, _redis(server))
    until_known(agent, ["127.0.0.8:8080"])
    assert upstream(agent)["endpoints"][0]["meta"] == {"version": "3"}


def test_a_key_of_another_kind(t):
    """The error of Redis is shown with the service's name; when it is put right, all is well."""
    server = RedisServer(t)
    server("SET", "outrider:registry:quotes", "mine")
    agent = caller(t, _redis(server), registry_poll="200ms")
    trouble = agent.until("trouble", lambda: agent.get("/upstreams")["registries"][0]["trouble"])
    assert "quotes" in trouble and "WRONGTYPE" in trouble, trouble
    server("DEL", "outrider:registry:quotes")
    instance = member(t, _redis(server))
    until_known(agent, [instance])
    agent.until("well", lambda: not agent.get("/upstreams")["registries"][0]["trouble"])


def test_least_rights(t):
    """The rights that docs/registry-redis.md names are enough."""
    server = RedisServer(t)
    server("ACL", "SETUSER", "outrider", "on", ">secret", "~outrider:registry", "~outrider:registry:*", "&outrider:registry",
           *"+ping +select +subscribe +eval +time +get +set +hget +hset +hdel +zadd +zrem +zscore +zrangebyscore +pttl +pexpire +publish"
           .split())
    registry = "redis://outrider:secret@" + server.text
    instance = member(t, registry)
    agent = caller(t, registry)
    until_known(agent, [instance])
    shown = json.dumps(agent.get("/upstreams"))
    assert "secret" not in shown
    instance.leave()
    agent.until("withdrawn", lambda: server("ZCARD", "outrider:registry:quotes") == 0)


def test_many_instances(t):
    """Thousands: all are known; one more is known as soon."""
    server = RedisServer(t)
    _fill(server, 5000)
    agent = caller(t, _redis(server))
    agent.until("all", lambda: (upstream(agent) or {}).get("endpoints_total") == 5000, 10)
    _put(server, "quotes", "new", {"address": "127.2.0.1:8080"})
    agent.until("one more", lambda: upstream(agent)["endpoints_total"] == 5001, 5)
    seen, page = [], "/upstreams?service=quotes"
    while page:
        found = agent.get(page)["upstreams"][0]
        seen += [e["address"] for e in found["endpoints"]]
        page = found.get("endpoints_more")
    assert len(seen) == len(set(seen)) == 5001, len(seen)


def test_one_change_among_many(t):
    """A message that names an instance: that one alone is read, whether it comes, changes, moves or leaves."""
    server = RedisServer(t)
    agent = _many(t, server, 3000)
    whole, read = _count(server, "zrangebyscore"), _count(server, "hget")
    _put(server, "quotes", "new", {"address": "127.2.0.1:8080"}, says="quotes + new")
    agent.until("it came", lambda: _total(agent) == 3001)

    def shown(place="127.2.0.1:8080", at=3000):
        page = agent.get("/upstreams?service=quotes&from=%d" % at)["upstreams"][0]["endpoints"]
        return [e for e in page if e["address"] == place]
    assert shown()[0]["state"] == "up", shown()
    _put(server, "quotes", "new", {"address": "127.2.0.1:8080", "state": "down", "metadata": {"version": "2"}}, says="quotes + new")
    agent.until("it changed", lambda: shown()[0]["meta"] == {"version": "2"} and shown()[0]["state"] != "up")
    _put(server, "quotes", "new", {"address": "127.0.2.2:8080"}, says="quotes + new")
    agent.until("it moved", lambda: shown("127.0.2.2:8080", 0) and not shown())
    _put(server, "quotes", "i7", {"address": "nowhere"}, says="quotes + i7")
    agent.until("one is not readable any more", lambda: _total(agent) == 3000)
    server("ZREM", "outrider:registry:quotes", "new")
    server("HDEL", "outrider:registry:quotes:values", "new")
    _say(server, "quotes new")
    agent.until("it left", lambda: _total(agent) == 2999)
    # One whose lease is over is not there, whether it was known or not.
    _put(server, "quotes", "late", {"address": "127.2.0.4:8080"}, -1, says="quotes + late")
    _put(server, "quotes", "i8", {"address": "127.1.0.9:8080"}, -1, says="quotes + i8")
    agent.until("its lease is over", lambda: _total(agent) < 2999)
    assert _total(agent) == 2998
    assert _count(server, "zrangebyscore") == whole, "all was read for a change of one"
    assert _count(server, "hget") - read < 20
    # All, read once more, is what was put together from changes.
    updates = agent.get("/upstreams")["registries"][0]["updates"]
    _say(server, "quotes")
    agent.until("all is read", lambda: _count(server, "zrangebyscore") == whole + 1)
    _put(server, "quotes", "last", {"address": "127.2.0.3:8080"}, says="quotes + last")
    agent.until("it came", lambda: _total(agent) == 2999)
    assert agent.get("/upstreams")["registries"][0]["updates"] == updates + 1, "the whole set was no other than the known one"


def _burst(server, first, last):
    """So many instances come, with a message each, in one turn of the server."""
    ends = (int(server("TIME")[0]) + 60) * 1000
    server("EVAL", """for i = ARGV[1], ARGV[2] do local id = string.format('b%d', i)
        redis.call('HSET', KEYS[2], id, string.format('{"address":"127.3.%d.%d:80"}', math.floor(i / 250), i % 250 + 1))
        redis.call('ZADD', KEYS[1], ARGV[3], id) redis.call('PUBLISH', 'outrider:registry', 'quotes + ' .. id) end""",
           2, "outrider:registry:quotes", "outrider:registry:quotes:values", first, last, ends)


def test_a_burst_of_changes(t):
    """Hundreds of messages at once: all is read a few times, not each of them."""
    server = RedisServer(t)
    agent = _many(t, server, 1000)
    whole, one = _count(server, "zrangebyscore"), _count(server, "zscore")
    _burst(server, 1, 500)
    agent.until("all", lambda: _total(agent) == 1500, 5)
    assert 1 <= _count(server, "zrangebyscore") - whole <= 4, _count(server, "zrangebyscore") - whole
    assert _count(server, "zscore") - one <= 32, _count(server, "zscore") - one
    # A dozen are asked for by name.
    _until_quiet(agent, server)
    whole = _count(server, "zrangebyscore")
    _burst(server, 501, 512)
    agent.until("a dozen", lambda: _total(agent) == 1512)
    assert _count(server, "zrangebyscore") == whole
    # However long it goes on, ten readings in a second and a few more.
    one, began = _count(server, "zscore"), time.monotonic()
    for _ in range(200):
        _say(server, "quotes + nobody")
    assert _count(server, "zscore") - one <= 10 + 10 * (time.monotonic() - began)
    assert "in trouble" not in agent.stderr()


def test_messages_are_hints(t):
    """What a message claims counts for nothing; nonsense harms nobody, and the next honest one arrives as soon."""
    server = RedisServer(t)
    agent = _many(t, server, 3)
    whole = known(agent)
    _put(server, "quotes", "late", {"address": "127.0.0.9:80"}, -1, says="quotes + late")
    for text in ("", " ", "  ", "+", " + i0", "quotes ", "quotes  ", "quotes + ", "quotes  + i0", "quotes + " + "x" * 600,
                 "quotes " + "x" * 60000, "quotes\0 + i0", "quotes + i0\0", "other + i0", "i0", "quotes + i0 i1",
                 "quotes i0", "quotes i1", "quotes + \r\n*1\r\n$8\r\nFLUSHALL\r\n"):
        _say(server, text)
    for i in range(100):
        _say(server, "quotes i%d" % (i % 3))
    server("EVAL", "for i = 1, 99 do redis.call('PUBLISH', 'outrider:registry', 'quotes + ' .. string.rep(i, 250)) end", 0)
    _put(server, "quotes", "i9", {"address": "127.0.0.7:80"}, says="quotes + i9")
    until_known(agent, whole + ["127.0.0.7:80"])
    assert "in trouble" not in agent.stderr(), "no message costs a connection"


def test_what_agents_say(t):
    """Their messages name the instance, and agents before that was so find the service in them."""
    server = RedisServer(t)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(5)
        sock.connect(server.socket)
        sock.sendall(b"SUBSCRIBE outrider:registry\r\n")
        with sock.makefile("rb") as said:
            def message():
                line = said.readline()
                while not line.startswith(b"quotes"):
                    assert line, "the server closed the connection"
                    line = said.readline()
                return line.rstrip().decode()
            one = member(t, _redis(server), instance="task-1")
            assert message() == "quotes + task-1"
            one.until("up", lambda: "up" in server("HGET", "outrider:registry:quotes:values", "task-1"))
            one.leave()
            heard = message()
            while heard == "quotes + task-1":
                heard = message()
            assert heard == "quotes task-1", heard
            server("ZADD", "outrider:registry:quotes", 1, "expired")
            member(t, _redis(server), instance="task-2")
            assert message() == "quotes", "what others swept away may be many: all is to be read"


def test_rights_of_former_versions(t):
    """A user without ZSCORE: all is read for a change, as before, and nobody is troubled."""
    server = RedisServer(t)
    server("ACL", "SETUSER", "outrider", "on", ">secret", "~outrider:registry", "~outrider:registry:*", "&outrider:registry",
           *"+ping +select +subscribe +eval +time +get +set +hget +hset +hdel +zadd +zrem +zrangebyscore +pttl +pexpire +publish"
           .split())
    registry = "redis://outrider:secret@" + server.text
    one = member(t, registry)
    agent = caller(t, registry)
    until_known(agent, [one])
    two = member(t, registry)
    until_known(agent, [one, two], SOON)
    two.leave()
    until_known(agent, [one], SOON)
    assert not agent.get("/upstreams")["registries"][0]["trouble"]
