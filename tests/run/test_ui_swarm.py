"""Scope swarm of /ui/live: what all agents of outrider.agents say, also when some are dead, hang, or talk nonsense."""
import json
import time
from types import SimpleNamespace

from harness import agent_pages as pages
from harness.agent import run
from harness.case import rows
from harness.live import CHANGE, STATE, Live, fits
from harness.service import Service

ROUND = 1.7  # an agent has so long to answer
INTERVAL = 2.0  # from one round to the next, s


def swarm(t, peers, **more):
    """An agent whose swarm are these: agents, or addresses as text."""
    names = [p if isinstance(p, str) else "127.0.0.1:%d" % p.admin[1] for p in peers]
    return t.sidecar(t.service(200), env=dict({"OUTRIDER_AGENTS": ",".join(names)}, **more)), names


def agents_of(t, n):
    return [t.sidecar(t.service(200), endpoints={"quotes": [t.service(200)]}, env={"OUTRIDER_NODE": "n%d" % (i + 1)}) for i in range(n)]


def by_address(agents):
    return {one["address"]: one for one in agents}


def test_three_agents(t):
    """hello names the scope; history and each tick have all three, with their nodes; a tick's states are whole."""
    others = agents_of(t, 3)
    agent, names = swarm(t, others)
    live = Live(t, agent, "?scope=swarm")
    name, hello = live.next()
    assert name == "hello" and hello["scope"] == "swarm" and hello["scopes"] == ["sidecar", "swarm"], hello
    name, history = live.next()
    assert name == "history" and sorted(one["address"] for one in history["agents"]) == sorted(names), history
    assert {one["node"] for one in history["agents"]} == {"n1", "n2", "n3"} and all(one["in"]["rate"] is not None and one["changes"] for one in history["agents"])
    tick = live.tick("all three", lambda agents: len(agents) == 3 and all(one["ok"] for one in agents))
    assert {by_address(tick)[n]["node"] for n in names} == {"n1", "n2", "n3"}, tick
    for one in tick:
        state = one["state"]
        state.pop("hello"), state.pop("changes")
        fits(state, STATE, one["address"])
        assert [s["service"] for s in state["sidecars"]] == ["accountservice"] and state["edges"][0]["to"] == "quotes", state


def test_traffic_of_another_agent(t):
    """Calls that another agent carries are in its element alone."""
    others = agents_of(t, 2)
    agent, names = swarm(t, others)
    live = Live(t, agent, "?scope=swarm")
    c = t.client(others[1].outbound)

    def carried(agents):
        for _ in range(20):
            c.ask("GET", "/", "quotes")
            c.read_response()
        by = by_address(agents)
        return by[names[1]].get("ok") and by[names[1]]["state"]["out"]["rate"] > 0 and by
    by = by_address(live.tick("carried", carried))
    assert by[names[0]]["state"]["out"]["rate"] == 0, by[names[0]]


def test_a_change_of_another_agent(t):
    """What changes elsewhere is an event here within two rounds, once, with the known fields."""
    others = agents_of(t, 2)
    agent, _ = swarm(t, others)
    live = Live(t, agent, "?scope=swarm")
    live.tick("both", lambda agents: all(one["ok"] for one in agents))
    others[0].admin_call("PUT", "/circuits/quotes/open", {"X-Outrider": "1"}, b"")
    change = live.until("change", "the circuit", lambda c: c["kind"] == "circuit")
    fits(change, CHANGE, "change")
    assert change["node"] == "n1" and change["upstream"] == "quotes", change
    seen = [live.next() for _ in range(3)]
    assert not [data for name, data in seen if name == "change" and data["number"] == change["number"]], seen


def test_dead_and_hanging_agents_are_named(t):
    """One that refuses, one that never answers, and a name that nobody has: each is named with the cause, and the others are there within the
    round."""
    mute = t.service(Service.HANG)
    others = agents_of(t, 1)
    agent, names = swarm(t, others + [t.port().text, mute.text, "nowhere.invalid"])
    live = Live(t, agent, "?scope=swarm")
    live.tick("the first")
    began = time.monotonic()
    by = by_address(live.tick("the second", lambda agents: len(agents) == 4))
    assert time.monotonic() - began < 2 * ROUND + 4, "a tick waited for who hangs"
    assert by[names[0]]["ok"] and by[names[0]]["state"]["sidecars"], by[names[0]]
    assert not by[names[1]]["ok"] and "refused" in by[names[1]]["error"], by[names[1]]
    assert not by[names[2]]["ok"] and by[names[2]]["error"], by[names[2]]
    assert not by["nowhere.invalid"]["ok"] and by["nowhere.invalid"]["error"], by


def test_an_agent_that_comes_back(t):
    """It is missing in one tick and there in a later one."""
    others = agents_of(t, 2)
    agent, names = swarm(t, others)
    live = Live(t, agent, "?scope=swarm")
    live.tick("both", lambda agents: all(one["ok"] for one in agents))
    others[1].die()
    live.tick("one is gone", lambda agents: by_address(agents)[names[1]]["ok"] is False)
    host, port = names[1].split(":")
    t.agent(["sidecar"], {"OUTRIDER_ADMIN": names[1], "OUTRIDER_INBOUND": "off", "OUTRIDER_OUTBOUND": "off", "OUTRIDER_SERVICE": "back"},
            {"admin": SimpleNamespace(host=host, port=int(port))})
    live.tick("it is back", lambda agents: by_address(agents)[names[1]]["ok"])


def hostile(body, status=200):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda asked, n: (status, text)


SCRIPT = {"hello": {"node": "<script>alert(1)</script>"}, "sidecars": [{"service": "<script>"}],
          "changes": [{"number": 1, "time_ms": 5, "kind": "config", "text": "<b>"}]}


@rows({"no-json": (b"<html>", None), "cut": (b'{"in":{', None), "array": (b"[1,2]", None), "empty": (b"{}", None), "text": (b'"x"', None),
       "deep": (b"[" * 100 + b"]" * 100, None), "long": (b'{"a":"' + b"x" * 600000 + b'"}', None), "nul": (b'{"a":"\\u0000"}', None),
       "script": (SCRIPT, "<script>alert(1)</script>"), "odd-types": ({"hello": [], "changes": {"number": {}}, "sidecars": 7}, False),
       "lines": (b'{"hello":\n\n{"node":"a"},\n\nevent: change\n', None),
       "breaks": (b'{"hello":{"node":"n9"},\n\n"x":"a\n\nevent: change\ndata: {}\n\n",\r\n"y":1}', "n9")})
def test_a_hostile_agent(t, body, node):
    """What another agent says is bounded and stays data: markup is text, line breaks make no event, nonsense is named, others are shown."""
    liar, other = t.service(hostile(body)), agents_of(t, 1)[0]
    agent, names = swarm(t, [other, liar.text])
    live = Live(t, agent, "?scope=swarm")
    by = by_address(live.tick("both", lambda agents: len(agents) == 2))
    assert by[names[0]]["ok"], by
    if node is None:
        assert not by[names[1]]["ok"] and by[names[1]]["error"], by[names[1]]
    else:
        assert by[names[1]]["ok"] and by[names[1]]["node"] == (node or None), by[names[1]]
        assert by[names[1]]["address"] == names[1]
    assert agent.get("/health")["healthy"] is True


def test_changes_of_a_hostile_agent(t):
    """Of its changes only the known fields are passed on, as text and numbers, cut where they are too long."""
    now = int(time.time() * 1000)
    liar = t.service(lambda asked, n: (200, json.dumps({
        "hello": {"node": "n7"}, "changes": [{"number": n + 1, "time_ms": now + n, "kind": "x" * 5000, "text": {"a": 1}, "node": 5,
                                              "upstream": "<script>\u2028\n\nevent: tick", "evil": "z"}]}).encode()))
    agent, _ = swarm(t, [liar.text])
    live = Live(t, agent, "?scope=swarm")
    change = live.until("change", "passed on")
    fits(change, CHANGE | {"text": type(None)}, "change")
    assert len(change["kind"]) <= 512 and change["upstream"].startswith("<script>"), change


def test_an_older_agent(t):
    """An agent without the page is named as such."""
    old = t.service((404, b'{"error":"no-such-page"}'))
    agent, names = swarm(t, [old.text])
    one, = Live(t, agent, "?scope=swarm").tick()
    assert one["address"] == names[0] and not one["ok"] and "older" in one["error"], one


def test_nobody_is_asked_while_nobody_reads(t):
    """The agents are asked as long as somebody reads, by five readers as often as by one, once they have come (who comes sees figures at once)."""
    asked = []
    answer = hostile({"hello": {"node": "n1"}})

    def peer_says(request, n):
        if "/ui/state" in request.target:
            asked.append(time.monotonic())
        return answer(request, n)
    peer = t.service(peer_says)
    agent, _ = swarm(t, [peer.text])
    readers = [Live(t, agent, "?scope=swarm") for _ in range(5)]
    for reader in readers:
        reader.tick()
    first = len(asked)
    # By the peer's clock: what a reader has yet to read says when a round was, not how many there are.
    agent.until("four rounds more", lambda: len(asked) >= first + 4, 30)
    took = asked[first + 3] - asked[first]
    assert took > 2 * INTERVAL, "four rounds within %.1f s: each reader has them asked" % took
    for reader in readers:
        reader.wire.close()
    agent.until("it hears that they left", lambda: _quiet(peer))


def _quiet(peer):
    before = len(peer.hits)
    time.sleep(2.5)  # longer than a round: what is looked for is that nothing comes
    return len(peer.hits) == before


def test_fifty_agents(t):
    """Fifty agents are asked at once and fit into one event; each may say so much less."""
    state = {"hello": {"node": "n"}, "sidecars": [], "edges": [], "filler": "x" * 9000}
    peers = [t.service(hostile(state)) for _ in range(50)]
    agent, _ = swarm(t, [p.text for p in peers])
    live = Live(t, agent, "?scope=swarm")
    agents = live.tick("all of them", lambda agents: len(agents) == 50 and all(one["ok"] for one in agents), 25)
    assert len({one["address"] for one in agents}) == 50
    live.tick("again", lambda agents: all(one["ok"] for one in agents), 25)
    asked = peers[0].hits[-1].target
    assert "bytes=" in asked and int(asked.split("bytes=")[1].split("&")[0]) < 20000, asked


def _large(size):
    """Peers that say so much of their history and of their state; size(bytes that they were asked for, page)."""
    def answer(asked, _):
        path, _, query = asked.target.partition("?")
        wanted = int(dict(part.split("=") for part in query.split("&"))["bytes"])
        page = {"hello": {"node": "n"}, "filler": ""}
        page["filler"] = "x" * (size(wanted, path) - len(json.dumps(page)))
        return 200, json.dumps(page).encode()
    return answer


@rows({"as-asked": (lambda wanted, path: wanted, True), "too-much": (lambda wanted, path: 100000 if "history" in path else wanted, False)})
def test_large_histories_of_fifty_agents(t, size, whole):
    """Each is asked for its share, and then all are there; of agents that say more those that do not fit are named with the cause, and the reader
    goes on."""
    peers = [t.service(_large(size)) for _ in range(50)]
    agent, names = swarm(t, [p.text for p in peers])
    live = Live(t, agent, "?scope=swarm")
    history = live.until("history", "the history", seconds=25)["agents"]
    assert sorted(one["address"] for one in history) == sorted(names), len(history)
    there = [one for one in history if "filler" in one]
    assert len(there) == 50 if whole else 5 <= len(there) < 12, len(there)
    assert {one["error"] for one in history if one not in there} == (set() if whole else {"left out: what all agents say is too long for one event"})
    live.tick("all of them", lambda agents: len(agents) == 50 and all(one["ok"] for one in agents), 25)
    live.tick("again", lambda agents: len(agents) == 50, 25)


def test_large_states_of_fifty_agents(t):
    """A tick comes whatever they say: who does not fit is named in it."""
    peers = [t.service(_large(lambda wanted, path: 100000)) for _ in range(50)]
    agent, names = swarm(t, [p.text for p in peers])
    tick = Live(t, agent, "?scope=swarm").tick("a tick", lambda agents: len(agents) == 50, 25)
    assert sorted(one["address"] for one in tick) == sorted(names)
    assert 5 <= len([one for one in tick if one["ok"]]) < 12 and {one["error"] for one in tick if not one["ok"]} == {
        "left out: what all agents say is too long for one event"}, [one.get("error") for one in tick]


def test_top_of_fifty_agents(t):
    """`outrider top` asks each for no more than fits beside the others: all are in its answer."""
    def answer(asked, _):
        path, _, query = asked.target.partition("?")
        wanted = int(query.split("bytes=")[1].split("&")[0]) if "bytes=" in query else 200000
        page = dict(pages.state() if path == "/ui/state" else {"changes": []}, filler="")
        page["filler"] = "x" * (wanted - len(json.dumps(page)))
        return 200, json.dumps(page).encode()
    peers = [t.service(answer) for _ in range(50)]
    agent, _ = swarm(t, [p.text for p in peers])
    status, out, err = run(["top", "--once", "--json", "--scope=swarm", "--admin=%s:%d" % agent.admin])
    page = json.loads(out)
    assert status == 0 and (page["agents"], page["agents_silent"]) == (50, 0), (err, page["troubles"][:3])


def test_swarm_pages_of_the_page(t):
    """/swarm/ui/state asks all for their state; the stream and files are not passed on."""
    others = agents_of(t, 2)
    agent, names = swarm(t, others)
    page = agent.get("/swarm/ui/state")
    assert {one["agent"]: one["answer"]["hello"]["node"] for one in page["agents"]} == {names[0]: "n1", names[1]: "n2"}, page
    for path in ("/swarm/ui/live", "/swarm/ui/app.js", "/swarm/"):
        assert agent.admin_call("GET", path)[0] == 404, path
