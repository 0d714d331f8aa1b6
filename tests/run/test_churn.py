"""Instances come and go under load: nobody who calls notices. FULL=1 makes a minute of it."""
import os
import random
import socket
import threading
import time

import test_discovery as discovery
from harness.agent import sanitized
from harness.case import limit, slow
from harness.config import Traffic

SECONDS = 60 if os.environ.get("FULL") else 10
RATE = 500  # requests per second, in equal parts by CLIENTS
CLIENTS = 4
BEAT = 0.2  # a change that often; the registry is polled every 100 ms


class Instance:
    """A service at an address of its own that can be ended and started again; kept connections are cut when it ends."""

    def __init__(self, host, port):
        self.address, self.listener, self.conns = (host, port), None, set()
        self.start()

    def start(self):
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(self.address)
        self.listener.listen(128)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                conn = listener.accept()[0]
            except OSError:
                return
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.conns.add(conn)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        try:
            while self._one(conn):
                pass
        except OSError:
            pass
        self.conns.discard(conn)
        conn.close()

    @staticmethod
    def _one(conn):
        seen = b""
        while b"\r\n\r\n" not in seen:
            more = conn.recv(4096)
            if not more:
                return False
            seen += more
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True

    def end(self):
        """As a process that dies: nothing listens, every connection is cut."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for conn in list(self.conns):
            try:
                conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    close = end


@slow
@limit(180)
def test_instances_come_and_go(t):
    """500 requests a second to five instances; five times in two seconds the set that the registry knows changes, and one of them dies and
    comes back, known or not. No request fails."""
    ips = [discovery._ip() for _ in range(5)]
    port = discovery._free_port(ips)
    instances = [t._keep(Instance(ip, port)) for ip in ips]
    dns = discovery._dns(t, {"tasks.quotes": ips})
    pin = t.port("127.0.4.1")
    env = {"OUTRIDER_REGISTRY": "dns:|" + dns.text, "OUTRIDER_REGISTRY_POLL": "100ms", "OUTRIDER_UPSTREAM_QUOTES_PORT": str(port),
           "OUTRIDER_UPSTREAMS": "quotes@" + pin.text}
    agent = t.sidecar(env=env)
    traffic = Traffic((pin.host, pin.port), CLIENTS, RATE)
    began = time.monotonic()
    end, version = began + SECONDS, agent.get("/upstreams")["version"]
    while time.monotonic() < end:
        dns.names["tasks.quotes"] = random.sample(ips, random.randint(2, 5))
        victim = random.choice(instances)
        victim.end()
        time.sleep(BEAT)  # the pace of the changes is what is tested
        victim.start()
        time.sleep(BEAT)  # with two instances known, one of them lives at any time
    traffic.stop = True
    seconds = time.monotonic() - began
    reasons = {reason: n for reason, n in agent.get("/stats")["reasons"].items() if n}
    assert not reasons, reasons
    done = traffic.end()
    page = agent.get("/upstreams")
    print("churn: %d requests in %.0f s, %.0f a second, %d specs, %d retries" %
          (done, seconds, done / seconds, page["version"] - version, [u for u in page["upstreams"] if u["name"] == "quotes"][0]["retries"]))
    assert page["version"] > version + SECONDS, page["version"]
    assert sanitized() or done > RATE * seconds * 0.8, "only %.0f requests a second" % (done / seconds)
