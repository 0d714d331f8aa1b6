"""Towards replies: what is ambiguous becomes 502, what is odd but clear is repaired and counted."""
from harness.case import rows
from harness.message import request


def reply(*lines, first=b"HTTP/1.1 200 OK", body=b""):
    return first + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


BAD = {
    "no-http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "garbage": b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
    "status-short": reply(first=b"HTTP/1.1 20 OK"),
    "status-long": reply(first=b"HTTP/1.1 2000 OK"),
    "status-letters": reply(first=b"HTTP/1.1 2xx OK"),
    "status-too-low": reply(first=b"HTTP/1.1 099 Low"),
    "version-2": reply(first=b"HTTP/2.0 200 OK"),
    "version-letters": reply(first=b"HTTP/x.y 200 OK"),
    "lengths-differ": reply(b"Content-Length: 3", b"Content-Length: 4", body=b"abcd"),
    "lengths-differ-list": reply(b"Content-Length: 3, 4", body=b"abcd"),
    "length-and-chunked": reply(b"Content-Length: 3", b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
    "length-bad": reply(b"Content-Length: abc", body=b"abc"),
    "length-minus": reply(b"Content-Length: -1", body=b"abc"),
    "length-overflow": reply(b"Content-Length: 99999999999999999999", body=b"abc"),
    "coding-gzip": reply(b"Transfer-Encoding: gzip", body=b"abc"),
    "coding-chunked-gzip": reply(b"Transfer-Encoding: chunked, gzip", body=b"abc"),
    "coding-chunked-twice": reply(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "coding-http10": reply(b"Transfer-Encoding: chunked", first=b"HTTP/1.0 200 OK", body=b"0\r\n\r\n"),
    "field-no-colon": reply(b"X-A"),
    "field-empty-name": reply(b": 1"),
    "field-nul": reply(b"X-A: \0"),
    "field-bare-cr": reply(b"X-A: 1\rX-B: 2"),
}


@rows({name: (raw,) for name, raw in BAD.items()})
def test_ambiguous_reply(t, raw):
    """502 bad-response; no byte of the reply reaches the client and its connection is not used again."""
    _, c, o = t.inbound()
    c.send(request("POST", body=b"x"))
    wire = o.accept()
    wire.read_request()
    wire.send(raw)
    t.own_answer(c.read_response(), "bad-response")
    wire.expect_end()
    t.exchange(c, o)


@rows({"equal-lengths": (reply(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"),),
       "equal-length-list": (reply(b"Content-Length: 3, 3", body=b"abc"),),
       "fold": (reply(b"X-Folded: one", b"  two", b"Content-Length: 3", body=b"abc"),),
       "blank-before-colon": (reply(b"Content-Length : 3", body=b"abc"),),
       "no-blank-behind-status": (b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc",),
       "bare-lf": (b"HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 3\n\nabc",)})
def test_odd_reply_is_repaired_and_counted(t, raw):
    """Odd but clear: the client sees a clean reply, /stats counts it."""
    agent, c, o = t.inbound()
    _, got, wire = t.exchange(c, o, None, raw)
    assert got.status == 200 and got.body == b"abc" and got.all("content-length") == ["3"]
    if b"Folded" in raw:
        assert got.get("x-folded").split() == ["one", "two"]
    agent.until("counted", lambda: agent.get("/stats")["counters"]["outrider_responses_odd_total"] >= 1)
    t.exchange(c, wire)


@rows({"no-phrase": (b"HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nabc",),
       "phrase-8bit": (b"HTTP/1.1 200 J\xc3\xa4\r\nContent-Length: 3\r\n\r\nabc",),
       "status-unknown": (b"HTTP/1.1 599 What\r\nContent-Length: 3\r\n\r\nabc",),
       "lower-case-coding": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",)})
def test_legal_oddities_of_replies(t, raw):
    """Legal spellings pass and are not counted as odd."""
    agent, c, o = t.inbound()
    _, got, _ = t.exchange(c, o, None, raw)
    assert got.body == b"abc"
    assert agent.get("/stats")["counters"]["outrider_responses_odd_total"] == 0


def test_head_too_large(t):
    """A reply whose head is larger than limit.head: 502 response-head-too-large."""
    _, c, o = t.inbound({"OUTRIDER_LIMIT_HEAD": "4KiB"})
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.try_send(reply(b"X-A: " + b"x" * 8000, b"Content-Length: 0"))
    t.own_answer(c.read_response(), "response-head-too-large")


def test_endless_head(t):
    """A head that never ends is bounded."""
    _, c, o = t.inbound()
    c.ask()
    wire = o.accept()
    wire.read_request()
    wire.send(b"HTTP/1.1 200 OK\r\n")
    for _ in range(200):
        if not wire.try_send(b"X-A: " + b"x" * 1000 + b"\r\n"):
            break
    t.own_answer(c.read_response(), "response-head-too-large")


def test_endless_interim_replies(t):
    """Interim replies without end do not hold memory; the client gets them or a 502."""
    agent, c, o = t.inbound()
    c.ask()
    wire = o.accept()
    wire.read_request()
    before = agent.rss()
    job = t.background(lambda: [wire.try_send(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000) for _ in range(100)])
    try:
        job.join(3)
    except AssertionError:
        pass  # nobody reads: the sender is stopped
    assert agent.rss() - before < 16 * 1024
    c.close()
    job.thread.join(5)
