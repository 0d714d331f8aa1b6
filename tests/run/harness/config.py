"""What tests of live configuration share: a service that always answers, traffic that notices a failed request, and the
pages that show what is in force."""
import http.client
import http.server
import os
import threading
import time

from .agent import sanitized

# A second is the promise; a sanitized binary on a shared machine gets more.
WITHIN = 5.0 if sanitized() or os.environ.get("SLOW_MACHINE") else 1.0


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        """A peer that went away in the middle is what these tests are about."""


def service(t):
    """A service that answers every request; its address as text."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # a response is one packet: between two a killed agent would cut it, which nobody can help

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.close = lambda: (server.shutdown(), server.server_close())
    t._keep(server)
    return "127.0.0.1:%d" % server.server_address[1]


class Traffic:
    """Requests one after the other on n kept connections, until it is stopped; failed ones are remembered. rate: so many a second, all
    together, by a timetable (who is late catches up); 0: as fast as answers come."""

    def __init__(self, address, n=2, rate=0):
        self.pause = n / rate if rate else 0
        self.address, self.stop, self.done, self.failed = address, False, 0, []
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(n)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        conn = http.client.HTTPConnection(*self.address, timeout=10)
        begun, sent = time.monotonic(), 0
        while not self.stop:
            time.sleep(max(0, begun + sent * self.pause - time.monotonic()))  # the pace is what a test with a rate wants
            sent += 1
            try:
                conn.request("GET", "/", headers={"Host": "handler"})
                reply = conn.getresponse()
                if reply.status != 200 or reply.read() != b"ok":
                    self.failed.append(reply.status)
            except (OSError, http.client.HTTPException) as why:
                self.failed.append(repr(why))
                conn.close()
            self.done += 1
        conn.close()

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join(15)
        assert self.done > 0 and not self.failed, (self.done, self.failed[:5])
        return self.done


def option(agent, key):
    found = [o for o in agent.get("/config")["options"] if o["key"] == "outrider." + key]
    return (found[0]["value"], found[0]["origin"]) if found else (None, None)


def app(agent, path="/app/config", headers=None):
    return agent.admin_call("GET", path, dict({"X-Outrider": "1"}, **(headers or {})))


def source(agent, i=0):
    """What /config says of the i-th source of the chain."""
    return agent.get("/config")["sources"][i]


def until_value(agent, key, value, seconds=WITHIN):
    """Waits until the service's own property has the value (None: until there is none)."""
    def seen():
        status, _, body = app(agent, "/app/config/" + key)
        return (status == 404) if value is None else (status, body) == (200, value.encode())
    agent.until("%s is %s" % (key, value), seen, seconds)
