"""Spring Cloud Bus over a real RabbitMQ: an event makes the other sources read again at once. The other source here is a
directory with a file behind a symlink, of which no watch hears, and a poll of an hour."""
import json
import os
import signal
import socket
import struct
import threading
import time
import uuid

from harness import rabbit
from harness.agent import sanitized
from harness.amqp import Refused
from harness.case import limit, rows, slow

PATIENCE = 30.0
SECRET = "geheim-99"


def _event(destination="accountservice:**", kind="RefreshRemoteApplicationEvent", **more):
    return json.dumps(dict({"type": kind, "timestamp": 1795345832572, "originService": "config-server:8888:9a86",
                            "destinationService": destination, "id": str(uuid.uuid4())}, **more))


class Scene:
    """An agent on a bus of its own (its exchange), and a value that only a refresh brings."""

    def __init__(self, t, broker, config=None, env=None, ready=True):
        self.t, self.broker = t, broker
        self.exchange = "bus-" + uuid.uuid4().hex[:12]
        self.value = 0
        for name in ("config", "real"):
            os.makedirs(os.path.join(t.tempdir(), name), exist_ok=True)
        self.real = os.path.join(t.tempdir(), "real", "application.properties")
        self.write()
        directory = os.path.join(t.tempdir(), "config")
        os.symlink(self.real, os.path.join(directory, "application.properties"))
        made = {"OUTRIDER_CONFIG": "spring-bus:%s,file:%s" % (config or broker.url(), directory),
                "OUTRIDER_CONFIG_POLL": "3600s", "OUTRIDER_SPRING_BUS_EXCHANGE": self.exchange}
        made.update(env or {})
        self.env = made
        self.agent = t.sidecar(t.origin("handler"), env=made)
        if ready:
            self.listening()

    def write(self):
        """The file says another value, in a place where nobody watches."""
        self.value += 1
        with open(self.real, "w") as file:
            file.write("answer=%d\n" % self.value)

    def bus(self):
        return [s for s in self.agent.get("/config")["sources"] if s["source"].startswith("spring-bus:")][0]

    def listening(self, at_least=1, seconds=PATIENCE):
        """Until it hears events, and the refresh that follows on that is over; how often it has asked for one."""
        self.agent.until("listens", lambda: self.bus()["times"] >= at_least and not self.bus()["trouble"], seconds)
        return self.bus()["times"]

    def answer(self):
        status, _, body = self.agent.admin_call("GET", "/app/config/answer", {"X-Outrider": "1"})
        return int(body) if status == 200 else None

    def live(self, seconds=PATIENCE):
        self.agent.until("the new value is live", lambda: self.answer() == self.value, seconds)

    def publish(self, *bodies, **options):
        client = self.broker.client()
        for body in bodies:
            client.publish(self.exchange, body, **options)
        client.exchange(self.exchange)  # answered after what was sent before it
        client.close()

    def trouble(self, part, seconds=PATIENCE):
        return self.agent.until("says " + part, lambda: part in (self.bus()["trouble"] or "") and self.bus()["trouble"], seconds)


@rows({
    "service": (_event("accountservice:**"), {}),
    "everyone": (_event("*:**"), {}),
    "all": (_event("**"), {}),
    "no-colon": (_event("accountservice"), {}),
    "null": (_event(None), {}),
    "by-hand": (json.dumps({"type": "RefreshRemoteApplicationEvent", "destinationService": "account*:**"}),
                {"key": "elsewhere", "content_type": None}),
})
@slow
@limit(200)
def test_an_event_for_us_is_live_at_once(t, body, how):
    """A change that no watch sees and no poll finds for an hour is in force within a second of the event."""
    s = Scene(t, rabbit.shared(t))
    s.write()
    before = time.monotonic()
    s.publish(body, **how)
    s.live()
    took = time.monotonic() - before
    assert took < (2.0 if not os.environ.get("SLOW_MACHINE") else 10.0), took


@slow
@limit(200)
def test_other_events_do_nothing(t):
    """Events for others, of other types, and what is no event refresh nothing; the bus goes on hearing."""
    s = Scene(t, rabbit.shared(t))
    times = s.listening()
    s.write()
    s.publish(_event("orders:**"), _event("account:**"), _event("accountservices:**"), _event("*:other:**"),
              _event("**", "AckRemoteApplicationEvent", ackId="1", ackDestinationService="**", event="x"),
              _event("**", "EnvironmentChangeRemoteApplicationEvent", values={"k": "v"}), _event("**", "Unheard"),
              "no JSON", "", "[1,2", "[" * 5000, _event("**", pad="x" * 300000), b"\xff\x00" * 400000)
    # What follows is heard, so all of that was: exactly one refresh came of it.
    s.publish(_event())
    s.live()
    assert s.bus()["times"] == times + 1, (times, s.bus())


@slow
@limit(200)
def test_a_burst_is_one_refresh(t):
    """A config server that watches files sends bursts: they become few refreshes, and the last change is in them."""
    s = Scene(t, rabbit.shared(t))
    times = s.listening()
    s.write()
    s.publish(*[_event("*:**") for _ in range(300)])
    s.live()
    assert 1 <= s.bus()["times"] - times <= 10, (times, s.bus())


@slow
@limit(200)
def test_the_queue_is_its_own(t):
    """Each instance has an exclusive queue that ends with it, also when the agent is killed; two agents both hear an event."""
    broker = rabbit.shared(t)
    s = Scene(t, broker)

    def queues():
        return {row[0]: row[1:] for row in broker.ctl("list_queues", "name", "exclusive", "auto_delete", "durable")
                if row[0].startswith(s.exchange)}
    found = queues()
    assert len(found) == 1, found
    name = list(found)[0]
    assert name.startswith(s.exchange + ".anonymous.") and len(name) == len(s.exchange) + 11 + 22, name
    assert found[name] == ["true", "true", "false"], found
    try:
        broker.client().ask_queue(name)
        raise AssertionError("another connection may use the queue")
    except Refused as why:
        assert why.code == 405, why
    other = Scene.__new__(Scene)
    other.t, other.broker, other.exchange = t, broker, s.exchange
    other.agent = t.sidecar(t.origin("second"), env=s.env, expect_status=None)
    other.listening()
    times = s.listening(), other.listening()
    s.publish(_event())
    for one, before in ((s, times[0]), (other, times[1])):
        one.agent.until("heard", lambda: one.bus()["times"] == before + 1)
    other.agent.signal(signal.SIGKILL)
    other.agent.wait()
    s.agent.signal(signal.SIGTERM)
    assert s.agent.wait() == 0
    end = time.monotonic() + PATIENCE
    while queues():
        assert time.monotonic() < end, "a queue is left"


def _closed_port(t, broker):
    return "amqp://" + t.port().text


def _web(t):
    """A server of something else, which speaks first."""
    def serve():
        while True:
            origin.accept().send("220 mail.example ESMTP\r\n")
    origin = t.origin("mail")
    t.background(serve)
    return origin.text


@rows({
    "password": (lambda t, b: b.url("guest:%s@" % SECRET), {}, ("refuses user and password", "outrider.spring-bus.username")),
    "option": (lambda t, b: b.url(), {"OUTRIDER_SPRING_BUS_PASSWORD": SECRET}, ("refuses user and password",)),
    "vhost": (lambda t, b: b.url(vhost="/nowhere"), {}, ("no virtual host nowhere",)),
    "closed": (_closed_port, {}, ("Connection refused",)),
    "plain": (lambda t, b: "amqp://127.0.0.1:%d" % b.tls, {}, ("TLS",)),
    "tls": (lambda t, b: "amqps://%s" % b.address, {}, ("TLS",)),
    "ca": (lambda t, b: "amqps://127.0.0.1:%d" % b.tls, {}, ("certificate",)),
    "mail": (lambda t, b: "amqp://" + _web(t), {}, ("AMQP", "5672")),
})
@slow
@limit(200)
def test_what_is_wrong_is_named(t, url, env, parts):
    """Place, cause and remedy stand on /config, without credentials; the agent serves meanwhile."""
    broker = rabbit.shared(t)
    s = Scene(t, broker, url(t, broker), env, ready=False)
    text = s.trouble("RabbitMQ at 127.0.0.1:")
    for part in parts:
        assert part in text, text
    t.transcript.note("agent", text)
    page = json.dumps(s.agent.get("/config")) + s.agent.stderr() + s.agent.stdout()
    assert SECRET not in page, "a password is shown"
    assert s.agent.ready() == 200 and s.answer() == s.value


@slow
@limit(200)
def test_an_exchange_of_another_kind_is_named(t):
    """An exchange of that name which is no durable topic exchange: its name, and both remedies; put right, it listens."""
    broker = rabbit.shared(t)
    name = "bus-" + uuid.uuid4().hex[:12]
    client = broker.client()
    client.exchange(name, "fanout", durable=False)
    s = Scene(t, broker, env={"OUTRIDER_SPRING_BUS_EXCHANGE": name}, ready=False)
    text = s.trouble(name)
    assert "topic, durable" in text and "outrider.spring-bus.exchange" in text, text
    client.delete_exchange(name)
    client.close()
    s.listening()


@slow
@limit(200)
def test_with_least_rights(t):
    """A user who may not make the exchange, but its own queues, listens to one that is there; credentials come from a file."""
    broker = rabbit.shared(t)
    user, name = "u" + uuid.uuid4().hex[:8], "bus-" + uuid.uuid4().hex[:12]
    client = broker.client()
    client.exchange(name)
    client.close()
    broker.ctl("add_user", user, SECRET)
    broker.ctl("set_permissions", user, r"^%s\.anonymous\..*" % name, r"^%s\.anonymous\..*" % name, "^%s.*" % name)
    path = os.path.join(t.tempdir(), "password")
    with open(path, "w") as file:
        file.write(SECRET + "\n")
    s = Scene(t, broker, broker.url(user + "@"), {"OUTRIDER_SPRING_BUS_EXCHANGE": name,
                                                  "OUTRIDER_SPRING_BUS_PASSWORD_FILE": path})
    s.exchange = name
    s.write()
    s.publish(_event())
    s.live()


@slow
@limit(200)
def test_over_tls(t):
    """amqps with the CA of the option, and a second broker behind one that is not there."""
    broker = rabbit.shared(t)
    url = "%s|amqps://localhost:%d/%%2F" % (_closed_port(t, broker), broker.tls)
    s = Scene(t, broker, url, {"OUTRIDER_SPRING_BUS_CA": broker.ca})
    s.write()
    s.publish(_event())
    s.live()


@slow
@limit(400)
def test_a_broker_killed_and_restarted(t):
    """A killed broker is named and changes no value; when it is back, one refresh brings what was missed, then events do."""
    broker = rabbit.alone(t)
    s = Scene(t, broker)
    times = s.listening()
    broker.kill()
    try:
        s.trouble("RabbitMQ at %s" % broker.address)
        s.write()
        assert s.agent.ready() == 200 and s.answer() == s.value - 1
    finally:
        broker.start()
        broker.wait()
    s.listening(times + 1, 60)
    s.live()
    s.write()
    s.publish(_event())
    s.live()


@slow
@limit(400)
def test_a_broker_that_hangs(t):
    """A stopped broker disturbs nothing, is noticed by its silence, and does not delay the agent's end, neither while it is
    listened to nor in the middle of the handshake."""
    broker = rabbit.alone(t)
    s = Scene(t, broker)
    times = s.listening()
    broker.pause()
    try:
        second = t.sidecar(t.origin("second"), env=s.env)
        handler = t.origin("third")
        third = t.sidecar(handler, env=s.env)
        wire = t.client(third.inbound)
        assert t.exchange(wire, handler)[1].status == 200
        began = time.monotonic()
        for one in (second, third):
            one.signal(signal.SIGTERM)
        assert second.wait() == 0 and third.wait() == 0
        assert time.monotonic() - began < 3.0, "its end was delayed"
        s.trouble("not a word for 20 s", 60)
    finally:
        broker.go_on()
    s.listening(times + 1, 60)
    s.write()
    s.publish(_event())
    s.live()


@slow
@limit(400)
def test_the_end_is_swift_while_it_listens(t):
    """SIGTERM ends an agent that listens to a broker which has just stopped within its usual time."""
    broker = rabbit.alone(t)
    s = Scene(t, broker)
    broker.pause()
    try:
        began = time.monotonic()
        s.agent.signal(signal.SIGTERM)
        assert s.agent.wait() == 0
        assert time.monotonic() - began < 3.0, "its end was delayed"
    finally:
        broker.go_on()


# --- brokers that lie ----------------------------------------------------------------------------------------------------


def _frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def _method(channel, cls, number, arguments=b""):
    return _frame(1, channel, struct.pack(">HH", cls, number) + arguments)


def _start(properties=b""):
    return _method(0, 10, 10, b"\0\x09" + struct.pack(">I", len(properties)) + properties
                   + b"\0\0\0\5PLAIN" + b"\0\0\0\5en_US")


def _deep(n):
    """A table that holds an array in an array in an array …"""
    value = b""
    for _ in range(n):
        value = b"A" + struct.pack(">I", len(value)) + value
    return b"\1a" + value


LOGIN = (_start() + _method(0, 10, 30, struct.pack(">HIH", 2047, 131072, 60)) + _method(0, 10, 41, b"\0")
         + _method(1, 20, 11, b"\0\0\0\0"))
LISTENING = (LOGIN + _method(1, 40, 11) + _method(1, 50, 11, b"\1q" + b"\0" * 8) + _method(1, 50, 21)
             + _method(1, 60, 21, b"\1c"))
DELIVER = _method(1, 60, 60, b"\1c" + b"\0" * 8 + b"\0" + b"\1e" + b"\1k")
BODY = _frame(3, 1, b"x" * 16000)


class Liar:
    """Says `first` to everybody who connects, then `again` for ever (or nothing more)."""

    def __init__(self, first, again=b""):
        self.first, self.again, self.sent, self.open = first, again, 0, []
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.url = "amqp://127.0.0.1:%d" % self.sock.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                conn = self.sock.accept()[0]
                self.open.append(conn)
                conn.recv(8)
                conn.sendall(self.first)
                while self.again:
                    conn.sendall(self.again)
                    self.sent += len(self.again)
            except OSError:
                if self.sock.fileno() < 0:
                    return

    def close(self):
        self.sock.close()
        for conn in self.open:
            conn.close()


def _against(t, liar):
    t._keep(liar)
    directory = os.path.join(t.tempdir(), "config")
    os.makedirs(directory)
    with open(directory + "/application.properties", "w") as file:
        file.write("answer=1\n")
    s = Scene.__new__(Scene)
    s.t, s.agent = t, t.sidecar(t.origin("handler"), env={"OUTRIDER_CONFIG": "spring-bus:%s,file:%s" % (liar.url, directory)})
    return s


@rows({
    "no-payload": (_frame(1, 0, b""), b"", "frame that makes no sense (type 1, channel 0, 0 bytes)"),
    "short-head": (LISTENING + DELIVER + _frame(2, 1, b"\0" * 5), b"", "frame that makes no sense (type 2"),
    "long": (LISTENING + struct.pack(">BHI", 3, 1, 1 << 30), b"x" * 65536, "1073741824 bytes"),
    "channel": (LISTENING + _frame(3, 777, b"x"), b"", "channel 777"),
    "no-end": (_start()[:-1] + b"\0", b"", "end as it must"),
    "deep": (_start(_deep(3000)) + _start(), b"", ""),
    "flood": (LOGIN, BODY, "more than was asked for"),
    "wrong-order": (_start() + _start(), b"", ""),
    "body-alone": (LISTENING + BODY, b"", "makes no sense"),
    "cancel": (LISTENING + _method(1, 60, 30, b"\1c\0"), b"", "its queue was deleted"),
    "forced": (LISTENING + _method(0, 10, 50, struct.pack(">H", 320) + b"\4by\x1be" + b"\0" * 4), b"", "320 by?e"),
})
def test_a_lying_broker(t, first, again, part):
    """Whatever a broker sends, the agent lives, says what is wrong, and ends as swiftly as ever."""
    s = _against(t, Liar(first, again))
    text = s.trouble(part or "RabbitMQ at 127.0.0.1:")
    t.transcript.note("agent", text)
    assert s.answer() == 1
    began = time.monotonic()
    s.agent.signal(signal.SIGTERM)
    assert s.agent.wait() == 0 and time.monotonic() - began < 3.0


def test_an_endless_event(t):
    """An event of 2^40 bytes is passed over as it comes: memory stays, a request is answered meanwhile, the end is swift."""
    liar = Liar(LISTENING + DELIVER + _frame(2, 1, struct.pack(">HHQH", 60, 0, 1 << 40, 0)), BODY)
    s = _against(t, liar)
    s.listening()
    rss = s.agent.rss()
    s.agent.until("64 MiB came", lambda: liar.sent > 64 << 20, PATIENCE)
    assert s.agent.rss() - rss < 8192 or sanitized(), (rss, s.agent.rss())
    began = time.monotonic()
    s.agent.signal(signal.SIGTERM)
    assert s.agent.wait() == 0 and time.monotonic() - began < 3.0


@slow
def test_a_silent_broker(t):
    """One that accepts and says nothing is named after ten seconds."""
    s = _against(t, Liar(b""))
    s.trouble("no answer within 10 s (the login)", 25)
