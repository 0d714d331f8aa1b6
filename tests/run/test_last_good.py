"""The fallback that gives the last good reply: what may be kept, for whom, and for how long."""
from harness.case import rows
from harness.message import chunked
from harness.service import Service

PLAIN = {"OUTRIDER_RETRY_TRIES": "1", "OUTRIDER_RETRY_SAFE": "off", "OUTRIDER_EJECT_CONSECUTIVE": "off", "OUTRIDER_BREAKER": "off",
         "OUTRIDER_FALLBACK_LAST_GOOD": "60s"}


def ask(c, path="/", fields=(), method="GET", body=None):
    c.ask(method, path, "quotes", fields, body)
    return c.read_response(method)


def scene(t, answer, **env):
    s = t.service(answer)
    agent = t.sidecar(endpoints={"quotes": [s]}, env=dict(PLAIN, **env))
    return agent, s


def again(t, agent, s, failure=503, path="/", fields=()):
    """The same request while the service fails, on a connection of its own: any worker may get it."""
    s.answer = failure
    return ask(t.client(agent.outbound), path, fields)


@rows({"503": (503, {}), "reset": (Service.RESET, {}), "late": (Service.HANG, {"OUTRIDER_TIMEOUT_REQUEST": "300ms"})})
def test_the_same_get(t, failure, env):
    """A GET that fails, whatever way, is answered with what it was answered last; its age and its cause are said."""
    agent, s = scene(t, (200, b"x" * 70000, ("ETag: \"7\"", "Content-Type: text/plain", "X-Request-Id: 1", "Age: 5")), **env)
    assert len(ask(t.client(agent.outbound)).body) == 70000
    for _ in range(4):
        reply = again(t, agent, s, failure)
        assert reply.status == 200 and reply.body == b"x" * 70000, reply
        assert reply.get("etag") == '"7"' and reply.get("content-type") == "text/plain" and int(reply.get("age")) >= 5
        assert reply.get("x-outrider-fallback") == "last-good" and reply.get("x-outrider-reason"), reply
    assert again(t, agent, s, failure, "/other").status in (502, 503, 504)
    agent.counted("outrider_fallbacks_total", 4)


@rows({"queued": ({"OUTRIDER_BULKHEAD_MAX": "1", "OUTRIDER_BULKHEAD_QUEUE": "5", "OUTRIDER_BULKHEAD_QUEUE_TIME": "20s"},),
       "delayed": ({"OUTRIDER_FAULTS": "on", "OUTRIDER_FAULT_DELAY": "700ms", "OUTRIDER_FAULT_HEADER": "x-late"},)})
def test_a_deadline_ends_the_waiting(t, env):
    """A call whose deadline ends while it waits is answered, and not sent afterwards, however slowly its client takes the answer."""
    agent, s = scene(t, lambda m, n: Service.HANG if m.target == "/hold" else (200, b"x" * 250000 if m.target == "/" else b"small"), **env)
    assert len(ask(t.client(agent.outbound)).body) == 250000
    holder, reader = t.client(agent.outbound), t.client(agent.outbound, rcvbuf=2048, mss=256)
    holder.ask("GET", "/hold", "quotes")
    agent.until("one holds the place", lambda: len(s.hits) == 2)
    reader.ask("GET", "/", "quotes", ("x-outrider-deadline-ms: 200", "x-late: yes"))
    agent.until("its deadline ended", lambda: agent.get("/circuits?service=quotes")["circuits"][0]["window"]["fallback"] == 1)
    holder.close()
    assert ask(t.client(agent.outbound), "/after", ("x-late: yes",)).body == b"small"
    assert [hit.target for hit in s.hits] == ["/", "/hold", "/after"], [hit.target for hit in s.hits]
    answer = reader.read_response()
    assert len(answer.body) == 250000 and answer.get("x-outrider-fallback") == "last-good", answer
    assert ask(reader, "/next").body == b"small"


def test_the_newest_counts(t):
    """Each good reply takes the place of the one before."""
    agent, s = scene(t, (200, b"first"))
    ask(t.client(agent.outbound))
    s.answer = (200, b"second")
    assert ask(t.client(agent.outbound)).body == b"second"
    assert again(t, agent, s).body == b"second"


def test_chunks(t):
    """A chunked reply is kept whole; one that is cut, or ends with its connection, is not kept."""
    o = t.origin()
    agent = t.sidecar(endpoints={"quotes": [o]}, env=PLAIN)

    def exchange(answer, path):
        c = t.client(agent.outbound)
        c.ask("GET", path, "quotes")
        wire = o.accept()
        wire.read_request()
        wire.send(answer)
        wire.close()
        return c
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"whole", b" body")
    assert exchange(whole, "/").read_response().body == b"whole body"
    reply = exchange(b"", "/").read_response()
    assert reply.body == b"whole body" and reply.get("x-outrider-fallback") == "last-good" and reply.get("transfer-encoding") is None, reply
    exchange(b"HTTP/1.1 200 OK\r\n\r\nto the end", "/end").read_response()
    assert exchange(b"", "/end").read_response().status == 502
    exchange(whole[:-9], "/cut")
    assert exchange(b"", "/cut").read_response().status == 502


@rows({
    "no-store": (("Cache-Control: no-store",), ()), "private": (("Cache-Control: max-age=9, private",), ()), "no-cache": (("Cache-Control: no-cache",), ()),
    "set-cookie": (("Set-Cookie: a=b",), ()), "vary-all": (("Vary: *",), ()), "stale-by-demand": (("Cache-Control: must-revalidate",), ()),
    "authorization": ((), ("Authorization: Basic YTpi",)), "cookie": ((), ("Cookie: a=b",)), "asked-no-store": ((), ("Cache-Control: no-store",)),
})
def test_what_is_not_kept(t, said, asked):
    """What no shared cache may store passes, and is forgotten; the failure is then passed on as it came."""
    agent, s = scene(t, (200, b"mine", said))
    assert ask(t.client(agent.outbound), fields=asked).body == b"mine"
    reply = again(t, agent, s, (503, b"sorry"), fields=asked)
    assert reply.status == 503 and reply.body == b"sorry" and reply.get("x-outrider-fallback") is None, reply


def test_public_for_those_with_cookies(t):
    """Cache-Control: public lets a reply be kept and given although the request has Cookie or Authorization."""
    agent, s = scene(t, (200, b"all", ("Cache-Control: public",)))
    ask(t.client(agent.outbound), fields=("Cookie: a=b",))
    assert again(t, agent, s, fields=("Authorization: Basic YTpi",)).body == b"all"


def test_a_reply_of_strangers_is_not_for_those_with_cookies(t):
    """What was answered to nobody in particular is not given to somebody."""
    agent, s = scene(t, (200, b"anonymous"))
    ask(t.client(agent.outbound))
    assert again(t, agent, s, fields=("Cookie: a=b",)).status == 503
    assert again(t, agent, s).body == b"anonymous"


def test_vary(t):
    """A reply that varies by a field is given to requests that have the same in it."""
    agent, s = scene(t, lambda m, _n: (200, m.get("accept-language").encode(), ("Vary: Accept-Language",)))
    for language in ("de", "en"):
        ask(t.client(agent.outbound), fields=("Accept-Language: " + language,))
    assert again(t, agent, s, fields=("Accept-Language: de",)).body == b"de"
    assert again(t, agent, s, fields=("accept-language: en",)).body == b"en"
    assert again(t, agent, s, fields=("Accept-Language: fr",)).status == 503


def test_who_wants_the_truth(t):
    """A request with no-cache gets no old reply, nor does another method."""
    agent, s = scene(t, (200, b"old"))
    ask(t.client(agent.outbound))
    assert again(t, agent, s, fields=("Cache-Control: no-cache",)).status == 503
    assert ask(t.client(agent.outbound), method="POST", body=b"x").status == 503


def test_a_maximum_age(t):
    """What is older than fallback.last-good, the age that came with it included, is not given."""
    agent, s = scene(t, (200, b"old", ("Age: 3600",)))
    ask(t.client(agent.outbound))
    assert again(t, agent, s).status == 503


def test_bounded(t):
    """limit.last-good holds; those used least recently go first."""
    agent, s = scene(t, lambda m, _n: (200, m.target.encode() * 4000), OUTRIDER_LIMIT_LAST_GOOD="64KiB")
    for path in ("/one", "/two", "/six", "/ten", "/odd"):
        ask(t.client(agent.outbound), path)
    assert again(t, agent, s, path="/one").status == 503
    assert again(t, agent, s, path="/odd").body == b"/odd" * 4000


def test_behind_an_upstream_and_before_words(t):
    """An open circuit gives the last good reply where there is one, else the static one."""
    agent, s = scene(t, (200, b"good"), OUTRIDER_FALLBACK_STATUS="200", OUTRIDER_FALLBACK_BODY="words",
                     OUTRIDER_FALLBACK_FIELDS="Cache-Control: no-store, max-age=0 | X-By: nobody", OUTRIDER_BREAKER="on")
    ask(t.client(agent.outbound))
    assert agent.admin_call("PUT", "/circuits/quotes/open", {"X-Outrider": "1"})[0] == 200
    reply = ask(t.client(agent.outbound))
    assert reply.body == b"good" and reply.get("x-outrider-reason") == "circuit-open" and reply.get("x-by") is None, reply
    reply = ask(t.client(agent.outbound), "/other")
    assert reply.body == b"words" and reply.get("x-by") == "nobody" and reply.get("cache-control") == "no-store, max-age=0", reply


def test_off_by_default(t):
    """Without the option nothing is kept; in mode observe nothing is given."""
    for env in ({"OUTRIDER_FALLBACK_LAST_GOOD": "off"}, {"OUTRIDER_MODE": "observe"}):
        agent, s = scene(t, (200, b"good"), **env)
        ask(t.client(agent.outbound))
        assert again(t, agent, s).status == 503
