"""The overload ladder: what the agent gives up, step by step, before it has no descriptor left."""
import resource
import socket
import time

from harness.cage import Cage
from harness.case import Skip, limit
from harness.wire import Ended

FILES = 300
PLAIN = {"OUTRIDER_WORKERS": "1", "OUTRIDER_RETRY_TRIES": "1"}


def scene(t, **env):
    s = t.service(200)
    return t.sidecar(handler=s, endpoints={"quotes": [s]}, env=dict(PLAIN, **env), files=FILES), s


def ask(c, fields=(), host="quotes"):
    c.ask("GET", "/", host, fields)
    return c.read_response()


def overload(agent):
    return agent.get("/stats")["workers"][0]


def fill(t, agent, percent, crowd, one=None, address=None):
    """Holds connections open until so much of the limit is used: each has asked for something lately, so none rests."""
    while overload(agent)["descriptors_percent"] < percent:
        before = agent.get("/stats")["counters"]["outrider_connections_total"]
        crowd.append((one or hold)(t, address or agent.inbound))
        agent.until("it is accepted", lambda: agent.get("/stats")["counters"]["outrider_connections_total"] > before)


def hold(t, address):
    c = t.client(address)
    c.send(b"GET / HTTP/1.1\r\nHost: x\r\n")  # a head that is never complete
    return c


def steps(t, agent, crowd, word):
    fill(t, agent, {"close": 80, "shed-low": 85, "shed": 90}[word], crowd)
    agent.until(word, lambda: overload(agent)["overload"] == word)


@limit(60)
def test_each_step(t):
    """Connections end with their reply, then requests of priority low are shed, then all but those of priority high; all ends when they leave."""
    agent, s = scene(t)
    early, crowd = t.client(agent.outbound), []
    assert ask(early).status == 200
    steps(t, agent, crowd, "close")
    assert ask(t.client(agent.outbound)).get("connection") == "close"
    steps(t, agent, crowd, "shed-low")
    assert ask(t.client(agent.outbound), ("X-Outrider-Priority: low",)).get("x-outrider-reason") == "overload"
    assert ask(t.client(agent.outbound)).status == 200
    steps(t, agent, crowd, "shed")
    hits = len(s.hits)
    t.own_answer(ask(t.client(agent.outbound)), "overload")
    inward = ask(t.client(agent.inbound), host="accountservice")
    assert inward.get("x-outrider-reason") == "overload" and inward.get("x-outrider-mark") == "unsent", inward
    assert len(s.hits) == hits
    assert ask(t.client(agent.outbound), ("X-Outrider-Priority: high",)).status == 200
    for c in crowd:
        c.close()
    agent.until("it is over", lambda: overload(agent)["overload"] == "none")
    reply = ask(t.client(agent.outbound))
    assert reply.status == 200 and reply.get("connection") is None
    agent.counted("outrider_requests_shed_total", 3)
    for word in ('"step":"close"', '"step":"shed"', '"step":"none"'):
        agent.until("the log says " + word, lambda: word in agent.stderr())


@limit(60)
def test_more_connections_than_descriptors(t):
    """It is asked for more connections than it may have descriptors: those beyond wait with the kernel, none is reset, the admin port answers."""
    agent, _ = scene(t)
    crowd = [hold(t, agent.inbound) for _ in range(FILES + 50)]
    agent.until("it stops accepting", lambda: overload(agent)["overload"] == "stop")
    assert agent.get("/health")["healthy"] and overload(agent)["descriptors_percent"] < 100
    late = t.client(agent.inbound)
    late.ask("GET", "/", "accountservice", ("X-Outrider-Priority: high",))
    for c in crowd[:FILES]:
        c.close()
    assert late.read_response().status == 200
    agent.until("it is over", lambda: overload(agent)["overload"] == "none")


@limit(60)
def test_resting_connections_go_first(t):
    """Connections that rest make room: nobody who asks for something is refused for their sake."""
    agent, _ = scene(t)

    def rest(_t, address):
        c = t.client(address)
        assert ask(c, host="accountservice").status == 200
        return c
    fill(t, agent, 80, [], rest)
    agent.until("there is room", lambda: overload(agent)["descriptors_percent"] < 70)
    assert ask(t.client(agent.inbound), host="accountservice").status == 200
    agent.counted("outrider_requests_shed_total", 0)


@limit(60)
def test_old_ones_that_rest_behind_a_crowd(t):
    """Resting connections are closed, however many younger ones there are that are busy: a look goes on where the last one ended."""
    files = 5200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * files:
        raise Skip("not enough descriptors for the test itself")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * files), hard))  # other tests of this process have theirs
    s = t.service(200)
    agent = t.sidecar(handler=s, endpoints={"quotes": [s]}, env=dict(PLAIN, OUTRIDER_TIMEOUT_HEAD="60s", OUTRIDER_LIMIT_BUFFERS="256MiB", OUTRIDER_POOL_MAX_IDLE="0"), files=files)
    old = [t.client(agent.inbound) for _ in range(5)]
    assert all(ask(c, host="accountservice").status == 200 for c in old)
    began, crowd = time.monotonic(), []
    try:
        while len(crowd) < 4120 or overload(agent)["descriptors_percent"] < 80:
            if len(crowd) == 4000:
                agent.until("they rest", lambda: time.monotonic() > began + 1.5)
            for _ in range(20):
                crowd.append(socket.create_connection(agent.inbound))
                crowd[-1].sendall(b"GET / HTTP/1.1\r\n")
        for c in old:
            c.expect_end(seconds=10)
        for one in (crowd[0], crowd[-1]):
            one.setblocking(False)
            try:
                raise AssertionError("the crowd had to go: %r" % one.recv(1))
            except BlockingIOError:
                pass
    finally:
        for one in crowd:
            one.close()


@limit(60)
def test_observe(t):
    """Mode observe sheds nobody, and counts whom it would have shed."""
    agent, _ = scene(t, OUTRIDER_MODE="observe")
    crowd = []
    steps(t, agent, crowd, "shed")
    assert ask(t.client(agent.outbound)).status == 200
    agent.counted("outrider_requests_shed_total", 1)
    agent.counted("outrider_observed_shed_total", 1)
    agent.until("the log says so", lambda: '"shed":1' in agent.stderr())


@limit(60)
def test_strangers_have_no_priority(t):
    """What a client outside says of its priority is not believed at the edge, and not passed on."""
    s = t.service(200)
    agent = t.edge({"all": {"prefix": "/", "upstream": "quotes"}}, endpoints={"quotes": [s]}, env=PLAIN, files=FILES)
    assert ask(t.client(agent.edge), ("X-Outrider-Priority: high",)).status == 200
    assert s.hits[0].get("x-outrider-priority") is None
    crowd = []
    fill(t, agent, 90, crowd, address=agent.edge)
    agent.until("shed", lambda: overload(agent)["overload"] == "shed")
    try:
        assert ask(t.client(agent.edge), ("X-Outrider-Priority: high",)).get("x-outrider-reason") == "overload"
    except Ended:
        raise AssertionError("no answer") from None


@limit(60)
def test_memory_of_a_container(t):
    """In a container with little memory the ladder acts before the kernel kills: what is beyond is refused or waits, all are answered after it,
    and what the crowd had goes back."""
    s = t.service(200)
    agent = t.sidecar(handler=s, env=dict(PLAIN, OUTRIDER_LIMIT_BUFFERS="1GiB"), cage=Cage(28))
    crowd = []
    while overload(agent)["overload"] not in ("shed", "stop"):
        assert len(crowd) < 6000, overload(agent)
        crowd += [hold(t, agent.inbound) for _ in range(50)]
        agent.get("/health")
    crowded = agent.rss()
    for c in crowd:
        c.close()
    agent.until("it is over", lambda: overload(agent)["overload"] == "none")
    assert ask(t.client(agent.inbound), host="accountservice").status == 200
    agent.until("the memory is given back", lambda: agent.rss() < crowded - (5 << 10))
