"""What the options of balancing do to requests that pass an agent: subsets, sticky sessions, keys of the ring, nearness, draining by hand.

Shares are drawn at random: the bounds are six standard deviations away, so that one run in some hundred millions fails by chance."""
import collections
import json
import math
import os
import socket

from harness.case import rows
from harness.members import caller

N = 400  # requests of a statistical test


def _instances(t, *names):
    """Services that answer their name."""
    return {name: t.service(lambda asked, n, name=name: (200, name.encode())) for name in names}


def _registry(t, instances, **about):
    """A registry file. about: {name of an instance: further keys of it, as YAML}."""
    path = os.path.join(t.tempdir(), "services.yml")
    with open(path + ".new~", "w", encoding="utf-8") as file:
        file.write("quotes:\n")
        for name, one in instances.items():
            file.write("  - {address: '%s'%s}\n" % (one.text, "".join(", " + more for more in (about.get(name),) if more)))
    os.rename(path + ".new~", path)
    return "file:" + path


def _agent(t, instances, about=None, **options):
    given = {"balance_slow_start": "off", "upstream_quotes_balance": "random"}
    given.update(options)
    agent = caller(t, _registry(t, instances, **(about or {})), **given)
    agent.until("all are known", lambda: len(_endpoints(agent)) == len(instances))
    return agent


def _endpoints(agent):
    return {e["address"]: e for e in agent.get("/upstreams?service=quotes")["upstreams"][0]["endpoints"]}


def _ask(c, path="/", fields=()):
    """(who answered, the reply)"""
    c.ask("GET", path, "quotes", fields)
    reply = c.read_response()
    assert reply.status == 200, reply.status
    return reply.body.decode(), reply


def _spread(c, n=N, path="/", fields=()):
    """How often who answered n equal requests."""
    return collections.Counter(_ask(c, path, fields)[0] for _ in range(n))


def _is_share(got, share, n=N):
    off = 6 * math.sqrt(n * share * (1 - share))
    assert n * share - off <= got <= n * share + off, "%d of %d, expected %.0f, give or take %.0f" % (got, n, n * share, off)


# --- subset --------------------------------------------------------------------------------------------------------------------


CANARY = {"new": "meta: {version: 2}", "older": "meta: {version: 1}"}


@rows({"percent": ("version=2:20%", 0.2), "bare": ("version=2:20", 0.2), "none": ("version=2:0%", 0.0), "all": ("version=2:100%", 1.0),
       "absent": ("version=3:50%", 1 / 3), "unset": ("", 1 / 3)})
def test_a_canary_gets_its_share(t, subset, share):
    """subset=version=2:20%: one request in five to the instance that says version=2, the others to all others, whatever these say."""
    agent = _agent(t, _instances(t, "new", "older", "plain"), CANARY, upstream_quotes_subset=subset)
    seen = _spread(t.client(agent.pin))
    _is_share(seen["new"], share)
    _is_share(seen["older"], (1 - share) / 2)


def test_several_subsets(t):
    """Each subset gets its own share, and what belongs to none the rest; an instance belongs to the first that fits."""
    about = {"a": "meta: {version: 2, tier: gold}", "b": "meta: {tier: gold}", "c": "meta: {version: 1}"}
    agent = _agent(t, _instances(t, "a", "b", "c"), about, upstream_quotes_subset="version=2:10%,tier=gold:30%")
    seen = _spread(t.client(agent.pin))
    for name, share in (("a", 0.1), ("b", 0.3), ("c", 0.6)):
        _is_share(seen[name], share)


def test_a_key_stays_in_its_subset(t):
    """With a ring, a key always meets the same subset, and the keys spread by its share."""
    agent = _agent(t, _instances(t, "new", "older", "plain"), CANARY, upstream_quotes_subset="version=2:20%", upstream_quotes_balance="ring-hash",
                   upstream_quotes_balance_hash="header:X-User")
    c = t.client(agent.pin)
    first = [_ask(c, fields=["X-User: user-%d" % key])[0] for key in range(N)]
    again = [_ask(c, fields=["X-User: user-%d" % key])[0] for key in range(N)]
    assert first == again
    _is_share(first.count("new"), 0.2)


def test_a_canary_that_is_gone_leaves_its_share(t):
    """Nobody of the subset takes requests: the others get them, and none fails."""
    instances = _instances(t, "new", "older")
    agent = _agent(t, instances, CANARY, upstream_quotes_subset="version=2:50%")
    _put(agent, instances["new"].text, "drained")
    assert _spread(t.client(agent.pin), 50) == {"older": 50}


# --- sticky sessions -----------------------------------------------------------------------------------------------------------


STICKY = {"upstream_quotes_balance_cookie": "AT"}


def _cookie(reply):
    """The pair of a Set-Cookie of ours; None: there was none."""
    said = [value for value in reply.all("set-cookie") if value.startswith("AT=")]
    assert len(said) < 2, said
    if not said:
        return None
    pair, _, attributes = said[0].partition("; ")
    assert attributes == "Path=/; HttpOnly; SameSite=Lax", said
    return pair


def test_a_session_stays_at_its_instance(t):
    """A client without the cookie is given one; with it, it comes back to the same instance, on any connection, and is given no other."""
    agent = _agent(t, _instances(t, "a", "b", "c", "d"), **STICKY)
    homes = {}
    for _ in range(40):
        who, reply = _ask(t.client(agent.pin))
        homes.setdefault(who, _cookie(reply))
        assert homes[who] == _cookie(reply), "an instance has one cookie"
    assert len(homes) == 4 and len(set(homes.values())) == 4, homes  # that one of four is missed 40 times: once in 25,000 runs
    for who, pair in homes.items():
        c = t.client(agent.pin)
        for fields in (["Cookie: " + pair], ["Cookie: x=1; %s; y=2" % pair], ["Cookie: x=1", "Cookie: " + pair]):
            for _ in range(10):
                got, reply = _ask(c, fields=fields)
                assert got == who and _cookie(reply) is None, (got, who, fields)
        assert _cookie(_ask(c)[1]), "the next client of the connection has none"


@rows({"foreign": ("AT=hello",), "short": ("AT=12ab",), "unknown": ("AT=0123456789abcdef",), "zero": ("AT=0000000000000000",), "empty": ("AT=",),
       "prefix": ("ATX=0123456789abcdef",)})
def test_a_cookie_of_nobody(t, pair):
    """A cookie that names no instance: balanced as any other request, and given a good one."""
    agent = _agent(t, _instances(t, "a", "b"), **STICKY)
    who, reply = _ask(t.client(agent.pin), fields=["Cookie: " + pair])
    good = _cookie(reply)
    assert good and good != pair
    assert _spread(t.client(agent.pin), 20, fields=["Cookie: " + good]) == {who: 20}


def test_a_session_moves_when_its_instance_leaves(t):
    """Drained: the session goes to another instance and is told so; its own one being back, new cookie and old lead to where they say."""
    instances = _instances(t, "a", "b")
    agent = _agent(t, instances, **STICKY)
    c = t.client(agent.pin)
    who, reply = _ask(c)
    pair = _cookie(reply)
    other = {"a": "b", "b": "a"}[who]
    _put(agent, instances[who].text, "drained")
    got, reply = _ask(c, fields=["Cookie: " + pair])
    moved = _cookie(reply)
    assert got == other and moved and moved != pair
    assert _spread(c, 20, fields=["Cookie: " + moved]) == {other: 20}
    _put(agent, instances[who].text, "up")
    assert _spread(c, 20, fields=["Cookie: " + pair]) == {who: 20}


def test_the_instance_sees_its_cookie(t):
    """The agent hides nothing: what a client sends of cookies arrives, and the instance's own Set-Cookie goes down beside ours."""
    one = t.service(lambda asked, n: (200, b"one", ["Set-Cookie: session=7"]))
    agent = _agent(t, {"one": one}, **STICKY)
    _, reply = _ask(t.client(agent.pin), fields=["Cookie: session=6"])
    assert _cookie(reply) and "session=7" in reply.all("set-cookie"), reply.all("set-cookie")
    assert one.hits[0].get("cookie") == "session=6"


# --- the ring ------------------------------------------------------------------------------------------------------------------


KEYED = {  # value of balance.hash: a request's path and fields for a key
    "header:X-User": lambda key: ("/", ["X-User: " + key]),
    "cookie:user": lambda key: ("/", ["Cookie: a=b; user=%s; c=d" % key]),
    "query:user": lambda key: ("/find?a=b&user=%s&c=d" % key, []),
}


@rows({kind.split(":", maxsplit=1)[0]: (kind,) for kind in KEYED})
def test_a_key_has_its_instance(t, kind):
    """Equal keys go to the same instance whoever sends them, different ones spread; whatever else is in the request does not count."""
    agent = _agent(t, _instances(t, "a", "b", "c", "d"), upstream_quotes_balance="ring-hash", upstream_quotes_balance_hash=kind)
    one, other = t.client(agent.pin), t.client(agent.pin, source="127.0.0.77")
    homes = {}
    for key in ("key-%d" % n for n in range(100)):
        path, fields = KEYED[kind](key)
        homes[key] = _ask(one, path, fields)[0]
        path = path + "&z=9" if "?" in path else path
        assert _ask(other, path, fields + ["X-Other: " + key])[0] == homes[key], key
    spread = collections.Counter(homes.values())
    assert len(spread) == 4 and max(spread.values()) < 70, spread
    assert len(_spread(one, 60)) > 1, "a request without a key is balanced as any"


@rows({"set": ("client",), "default": ("",)})
def test_a_client_has_its_instance(t, kind):
    """By the client's address: all of its connections and requests go to one instance, and addresses spread."""
    agent = _agent(t, _instances(t, "a", "b", "c", "d"), upstream_quotes_balance="ring-hash", upstream_quotes_balance_hash=kind or "client")
    homes = {}
    for n in range(40):
        ip = "127.0.7.%d" % (n + 1)
        seen = _spread(t.client(agent.pin, source=ip), 3, "/%d" % n) + _spread(t.client(agent.pin, source=ip), 3, fields=["Cookie: a=%d" % n])
        assert len(seen) == 1, (ip, seen)
        homes[ip] = list(seen)[0]
    assert len(set(homes.values())) > 1, homes


def test_two_agents_agree(t):
    """The ring is the same on every agent: a key leads to the same instance whichever is asked."""
    instances = _instances(t, "a", "b", "c", "d")
    options = dict(upstream_quotes_balance="ring-hash", upstream_quotes_balance_hash="query:user")
    one, other = (t.client(_agent(t, instances, **options).pin) for _ in range(2))
    for n in range(60):
        assert _ask(one, "/?user=%d" % n)[0] == _ask(other, "/?user=%d" % n)[0], n


def test_only_the_lost_keys_move(t):
    """An instance that leaves: its keys spread over the others, all other keys stay."""
    instances = _instances(t, "a", "b", "c", "d")
    agent = _agent(t, instances, upstream_quotes_balance="ring-hash", upstream_quotes_balance_hash="query:user")
    c = t.client(agent.pin)
    before = {n: _ask(c, "/?user=%d" % n)[0] for n in range(120)}
    _put(agent, instances["b"].text, "drained")
    after = {n: _ask(c, "/?user=%d" % n)[0] for n in range(120)}
    assert all(after[n] == before[n] for n in before if before[n] != "b")
    assert "b" not in after.values() and len({after[n] for n in before if before[n] == "b"}) > 1


# --- nearness ------------------------------------------------------------------------------------------------------------------


PLACES = {"here": "node: n1, zone: z1", "near": "node: n2, zone: z1", "far": "node: n3, zone: z2"}


def test_the_nearest_first(t):
    """The own node, when nobody takes requests there the own zone, then elsewhere; and back again at once."""
    instances = _instances(t, "here", "near", "far")
    agent = _agent(t, instances, PLACES, node="n1", zone="z1")
    c = t.client(agent.pin)
    for gone, home in ((None, "here"), ("here", "near"), ("near", "far")):
        if gone:
            _put(agent, instances[gone].text, "drained")
        assert _spread(c, 60) == {home: 60}, home
    for back in ("near", "here"):
        _put(agent, instances[back].text, "up")
        assert _spread(c, 60) == {back: 60}, back


@rows({"off": (dict(node="n1", zone="z1", upstream_quotes_balance_locality="off"), {"here", "near", "far"}),
       "zone-only": (dict(node="n9", zone="z1"), {"here", "near"}), "strange": (dict(node="n9", zone="z9"), {"here", "near", "far"}),
       "no-zone": (dict(node="n9"), {"here", "near", "far"})})
def test_who_is_near(t, options, homes):
    """Instances of one tier share its requests evenly; with locality off there is one tier."""
    agent = _agent(t, _instances(t, "here", "near", "far"), PLACES, **options)
    seen = _spread(t.client(agent.pin))
    assert set(seen) == homes, seen
    for name in homes:
        _is_share(seen[name], 1 / len(homes))


def test_the_host_name_is_the_node(t):
    """Without outrider.node the machine's name is the node."""
    agent = _agent(t, _instances(t, "here", "far"), {"here": "node: %s" % socket.gethostname(), "far": "node: n3"})
    assert _spread(t.client(agent.pin), 60) == {"here": 60}


# --- by hand -------------------------------------------------------------------------------------------------------------------


def _put(agent, address, state, service="quotes", expected=200, fields=None):
    status, _, body = agent.admin_call("PUT", "/upstreams/%s/endpoints/%s?state=%s" % (service, address, state), {"X-Outrider": "1"} if fields is None else fields)
    assert status == expected, (status, body)
    return body.decode()


def test_drain_by_hand(t):
    """A drained instance gets no new request, though its kept connection is at hand; what it is busy with ends well; put back it is called again.
    Page and log say so."""
    instances = _instances(t, "a", "b")
    slow = t.origin("slow")
    agent = _agent(t, dict(instances, slow=slow), upstream_quotes_balance="round-robin")
    busy = t.client(agent.pin)
    job = t.background(lambda: [busy.ask("GET", "/", "quotes") and busy.read_response() for _ in range(3)])
    wire = slow.accept()
    wire.read_request()
    said = json.loads(_put(agent, slow.text, "drained"))
    assert said == {"upstream": "quotes", "endpoint": slow.text, "state": "drained"}, said
    seen = _endpoints(agent)[slow.text]
    assert seen["state"] == "drained" and seen["since"] and "hand" in seen["why"], seen
    c = t.client(agent.pin)
    assert set(_spread(c, 30)) == {"a", "b"} and slow.untouched()
    wire.answer(200, b"slow")
    assert b"slow" in [reply.body for reply in job.join()], "what was under way was cut"
    _put(agent, slow.text, "up")
    assert _endpoints(agent)[slow.text]["state"] == "up"
    job = t.background(_spread, c, 3)
    wire.read_request()
    wire.answer(200, b"slow")
    assert job.join()["slow"] == 1
    for words in ("drained by hand", "put back by hand"):
        agent.until("logged", lambda: any(words in line for line in agent.lines()))


def test_drained_stays_drained(t):
    """A new set from the registry, and another spec, forget no hand."""
    instances = _instances(t, "a", "b")
    agent = _agent(t, instances)
    _put(agent, instances["a"].text, "drained")
    _registry(t, dict(instances, **_instances(t, "c")))
    agent.until("known", lambda: len(_endpoints(agent)) == 3)
    assert _endpoints(agent)[instances["a"].text]["state"] == "drained"
    assert set(_spread(t.client(agent.pin), 60)) == {"b", "c"}


def test_all_drained(t):
    """Nobody is left: the request waits endpoint-wait, then it is told; drained is stronger than panic."""
    instances = _instances(t, "a", "b")
    agent = _agent(t, instances, endpoint_wait="100ms")
    for one in instances.values():
        _put(agent, one.text, "drained")
    c = t.client(agent.pin)
    c.ask("GET", "/", "quotes")
    t.own_answer(c.read_response(), "none-available")
    assert not any(one.hits for one in instances.values())


def test_an_ejected_one_is_put_back(t):
    """state=up ends a penalty: the instance is called at once, long before its time is over."""
    ill = [True]
    instances = _instances(t, "a", "b")
    instances["b"].answer = lambda asked, n: (503, b"ill") if ill[0] else (200, b"b")
    agent = _agent(t, instances, upstream_quotes_eject_time="300s", upstream_quotes_balance="round-robin", balance_panic="off")
    c = t.client(agent.pin)

    def ejected():
        c.ask("GET", "/", "quotes")
        c.read_response()
        return _endpoints(agent)[instances["b"].text]["state"] == "ejected"
    agent.until("ejected", ejected)
    ill[0] = False
    assert _spread(c, 20) == {"a": 20}
    _put(agent, instances["b"].text, "up")
    assert _spread(c, 20) == {"a": 10, "b": 10}


@rows({"no-endpoint": ("quotes", "127.0.0.1:1", "drained", 404, "no-such-endpoint"), "no-service": ("images", None, "drained", 404, "no-such-endpoint"),
       "no-state": ("quotes", None, "asleep", 400, "state=drained"), "empty-state": ("quotes", None, "", 400, "state=drained"),
       "no-address": ("quotes", "", "up", 400, "state=drained")})
def test_what_cannot_be_drained(t, service, address, state, status, word):
    """An unknown service, endpoint or state is told what there is; nothing changes."""
    instances = _instances(t, "a")
    agent = _agent(t, instances)
    assert word in _put(agent, instances["a"].text if address is None else address, state, service, status)
    assert _endpoints(agent)[instances["a"].text]["state"] == "up"


def test_a_page_may_not_drain(t):
    """Without X-Outrider, which no page of a browser can send elsewhere, nothing is drained."""
    instances = _instances(t, "a")
    agent = _agent(t, instances)
    _put(agent, instances["a"].text, "drained", expected=403, fields={})
    assert _endpoints(agent)[instances["a"].text]["state"] == "up"
