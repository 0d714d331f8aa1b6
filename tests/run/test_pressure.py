"""Back-pressure and flat memory, whatever passes."""
import os

from harness.agent import sanitized
from harness.case import limit, slow
from harness.message import request
from harness.wire import DEADLINE

MIB = 1 << 20
GROWTH = 8 * 1024  # KiB of resident memory that a single exchange may cost


def _flat(agent, before, what):
    grown = agent.rss() - before
    if not sanitized():
        assert grown < GROWTH, "%s: %d KiB of resident memory more" % (what, grown)


def _warm(t, agent, o):
    """A first exchange, so that what is measured is growth and not the first touch."""
    _, _, wire = t.exchange(t.client(agent.inbound), o, request(fields=["Connection: close"]))
    wire.sock.close()
    return agent.rss()


def _drain(sock, total):
    """Reads and drops; returns how many bytes came."""
    got, room = 0, bytearray(1 << 20)
    sock.settimeout(DEADLINE)
    while got < total:
        n = sock.recv_into(room)
        if not n:
            break
        got += n
    return got


@limit(90)
def test_slow_reader_of_a_large_reply(t):
    """A reader that stops stalls the origin within some MiB and costs the agent nothing; then all 200 MiB arrive."""
    handler = t.origin("handler")
    agent = t.sidecar(handler)
    before = _warm(t, agent, handler)
    c = t.client(agent.inbound, rcvbuf=65536)
    c.ask("GET", "/large")
    wire = handler.accept()
    wire.read_request()
    total = 200 * MIB
    wire.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
    sent = wire.fill(total)
    assert sent < 32 * MIB, "%d bytes went out while nobody reads" % sent
    _flat(agent, before, "stalled")
    job = t.background(_pour, wire.sock, total - sent)
    c.read_head()
    rest = len(c.buf)
    assert rest + _drain(c.sock, total - rest) == total
    job.join(30)
    _flat(agent, before, "after 200 MiB")


def _pour(sock, total):
    piece = b"x" * (256 * 1024)
    sock.settimeout(DEADLINE)
    while total > 0:
        sock.sendall(piece[:total])
        total -= len(piece)


@limit(90)
def test_slow_reader_of_a_chunked_reply(t):
    """The same for chunks."""
    handler = t.origin("handler")
    agent = t.sidecar(handler)
    before = _warm(t, agent, handler)
    c = t.client(agent.inbound, rcvbuf=65536)
    c.ask("GET", "/large")
    wire = handler.accept()
    wire.read_request()
    wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"%x\r\n" % 65536 + b"x" * 65536 + b"\r\n"
    sent = wire.fill(200 * MIB, piece * 16)
    assert sent < 32 * MIB, "%d bytes went out while nobody reads" % sent
    _flat(agent, before, "stalled")
    c.close()
    wire.expect_cut()


@limit(90)
def test_slow_handler_of_a_large_upload(t):
    """A handler that does not read stalls the client."""
    handler = t.origin("handler", rcvbuf=65536)
    agent = t.sidecar(handler)
    before = _warm(t, agent, handler)
    c = t.client(agent.inbound)
    c.send(request("POST", fields=["Content-Length: %d" % (200 * MIB)]))
    wire = handler.accept()
    sent = c.fill(200 * MIB)
    assert sent < 32 * MIB, "%d bytes went in while nobody reads" % sent
    _flat(agent, before, "stalled")
    wire.read_head()


def test_slow_pipeliner(t):
    """A client that sends requests without reading replies is stopped; the agent does not gather replies."""
    handler = t.origin("handler")
    agent = t.sidecar(handler)
    before = _warm(t, agent, handler)
    c = t.client(agent.inbound, rcvbuf=4096)
    job = t.background(_answer_all, handler)
    c.fill(4 * MIB, request() * 500)
    _flat(agent, before, "unread replies")
    c.reset()
    job.thread.join(0.1)


def _answer_all(handler):
    wire = handler.accept()
    wire.sock.settimeout(3)
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + b"y" * 65536
    data = b""
    while True:
        data += wire.sock.recv(65536)
        count = data.count(b"\r\n\r\n")
        data = data.rpartition(b"\r\n\r\n")[2]
        for _ in range(count):
            wire.sock.sendall(body)


@slow
@limit(180)
def test_two_gib_upload(t):
    """A 2 GiB upload passes with flat memory."""
    handler = t.origin("handler")
    agent = t.sidecar(handler)
    before = _warm(t, agent, handler)
    c, total = t.client(agent.inbound), 2 << 30
    path = os.path.join(t.tempdir(), "sparse")
    with open(path, "wb") as sparse:
        sparse.truncate(total)
    c.send(request("PUT", "/upload", fields=["Content-Length: %d" % total]))
    job = t.background(_sendfile, c.sock, path, total)
    wire = handler.accept()
    wire.read_head()
    rest = len(wire.buf)
    wire.buf.clear()
    assert rest + _drain(wire.sock, total - rest) == total
    job.join(60)
    _flat(agent, before, "after 2 GiB")
    wire.answer(201, b"stored")
    assert c.read_response().body == b"stored"


def _sendfile(sock, path, total):
    sock.settimeout(None)
    with open(path, "rb") as file:
        at = 0
        while at < total:
            at += os.sendfile(sock.fileno(), file.fileno(), at, min(total - at, 64 * MIB))


@slow
@limit(120)
def test_one_gib_download(t):
    """A 1 GiB reply passes with flat memory, and the connections are used again."""
    handler = t.origin("handler")
    agent = t.sidecar(handler)
    before = _warm(t, agent, handler)
    c, total = t.client(agent.inbound), 1 << 30
    c.ask()
    wire = handler.accept()
    wire.read_request()
    wire.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
    job = t.background(_pour, wire.sock, total)
    c.read_head()
    rest = len(c.buf)
    c.buf.clear()
    assert rest + _drain(c.sock, total - rest) == total
    job.join(60)
    _flat(agent, before, "after 1 GiB")
    t.exchange(c, wire)


def test_memory_does_not_grow_by_requests(t):
    """Five thousand exchanges leave the memory where it was after the first hundred."""
    agent, c, o = t.inbound()
    _, _, wire = t.exchange(c, o)
    raw = request() * 100
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    def hundred():
        c.sock.sendall(raw)
        for _ in range(100):
            wire.read_until(b"\r\n\r\n")
            wire.sock.sendall(reply)
        for _ in range(100):
            c.read_until(b"\r\n\r\n")

    hundred()
    before = agent.rss()
    for _ in range(50):
        hundred()
    _flat(agent, before, "after 5,000 requests")


def test_memory_limit_is_answered(t):
    """Beyond limit.buffers new work is answered 503 no-memory or stalled; the agent lives."""
    handler = t.origin("handler", rcvbuf=4096)
    agent = t.sidecar(handler, env={"OUTRIDER_LIMIT_BUFFERS": "1MiB"})
    clients = [t.client(agent.inbound) for _ in range(60)]
    for c in clients:
        c.send(request("POST", fields=["Content-Length: 1000000"]))
    for c in clients:
        c.fill(1000000, quiet=0.02)
    assert agent.ready() == 200
    for c in clients:
        c.reset()
    agent.until("settled", lambda: agent.get("/stats")["counters"]["outrider_requests_active"] == 0)
    handler.close()
    fresh = t.origin("handler", ("127.0.0.1", int(agent.env["OUTRIDER_PORT"].rpartition(":")[2])))
    t.exchange(t.client(agent.inbound), fresh)
