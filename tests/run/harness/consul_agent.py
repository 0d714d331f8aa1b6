"""A scripted Consul agent as registry: services with TTL checks, blocking health queries, and faults on demand."""
import http.server
import json
import threading
import time
import urllib.parse


class ConsulAgent:
    """services: {id: service}; status: {id: passing|warning|critical}. mode: hang, garbage, huge, object, filtered, 403, 500 of
    health queries; forget(): as after a restart without data; rewind(): the index goes backwards."""

    def __init__(self, token=None):
        self.services, self.status, self.until, self.mode, self.token = {}, {}, {}, "", token
        self.index, self.asked, self.cond, self.over, self.rewound = 10, [], threading.Condition(), False, False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _handle(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                url = urllib.parse.urlsplit(self.path)
                with outer.cond:
                    outer.asked.append((self.command, url.path, dict(urllib.parse.parse_qsl(url.query))))
                status, reply, more = outer.answer(self, self.command, url, body)
                self.send_response(status)
                for key, value in more.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_PUT = _handle

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 128

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        threading.Thread(target=self._expire, daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]

    def close(self):
        self.mode, self.over = "", True
        self.changed()
        self.server.shutdown()
        self.server.server_close()

    def count(self, start):
        with self.cond:
            return sum(1 for _, path, _ in self.asked if path.startswith(start))

    # --- what it knows ---------------------------------------------------------------------------

    def changed(self):
        with self.cond:
            self.index += 1
            self.cond.notify_all()

    def put(self, name, ident, address, status="passing", **more):
        host, port = address.split(":")
        with self.cond:
            self.services[ident] = dict({"ID": ident, "Service": name, "Address": host, "Port": int(port), "Meta": {}, "Tags": [],
                                         "Weights": {"Passing": 1, "Warning": 1}}, **more)
            self.status[ident] = status
        self.changed()

    def remove(self, ident):
        with self.cond:
            self.services.pop(ident, None)
            self.status.pop(ident, None)
            self.until.pop(ident, None)
        self.changed()

    def forget(self):
        with self.cond:
            self.services, self.status, self.until, self.index = {}, {}, {}, 1
            self.cond.notify_all()

    def _expire(self):
        """A TTL that nobody reported within turns critical."""
        while not self.over:
            time.sleep(0.02)
            late = [i for i, (end, _) in list(self.until.items()) if end < time.monotonic() and self.status.get(i) != "critical"]
            for ident in late:
                self.status[ident] = "critical"
                self.changed()

    # --- what it says -------------------------------------------------------------------------------

    def answer(self, request, method, url, body):
        if self.token and request.headers.get("X-Consul-Token") != self.token:
            return 403, b"Permission denied", {}
        parts = url.path.split("/")[2:]
        if parts[:2] == ["health", "service"]:
            return self._health(urllib.parse.unquote(parts[2]), dict(urllib.parse.parse_qsl(url.query)))
        return self._agent(method, [urllib.parse.unquote(p) for p in parts[1:]], body)

    def _health(self, name, query):
        index, wait = int(query.get("index", 0)), query.get("wait", "300s")
        seconds = float(wait.rstrip("ms")) / (1000 if wait.endswith("ms") else 1)
        with self.cond:
            end = time.monotonic() + seconds
            while index >= self.index and index > 0 and not (self.mode or self.over or self.rewound) and time.monotonic() < end:
                self.cond.wait(0.05)
            self.rewound = False
        while self.mode == "hang":
            time.sleep(0.02)
        if self.mode.isdigit():
            return int(self.mode), b"no", {}
        odd = {"garbage": b"[{", "huge": b"[" + b"1," * (9 << 20), "object": b"{}"}.get(self.mode)
        with self.cond:
            listed = [{"Node": {"Node": "c1", "Address": "127.0.0.1", "Meta": {"zone": "z9"}}, "Service": dict(one, ID=ident),
                       "Checks": [{"CheckID": "serfHealth", "Status": "passing"},
                                  {"CheckID": "service:" + ident, "Status": self.status[ident]}]}
                      for ident, one in sorted(self.services.items()) if one["Service"] == name]
            head = {"X-Consul-Index": str(self.index)}
        if self.mode == "filtered":
            listed, head["X-Consul-Results-Filtered-By-ACLs"] = [], "true"
        return 200, odd or json.dumps(listed).encode(), head

    def _agent(self, method, parts, body):
        if parts[:2] == ["service", "register"]:
            one = json.loads(body)
            status = self.status.get(one["ID"], one["Check"]["Status"])  # as Consul: a check that was there keeps its status
            self.put(one["Name"], one["ID"], "%s:%d" % (one["Address"], one["Port"]), status, Meta=one["Meta"])
            ttl = float(one["Check"]["TTL"].rstrip("ms")) / 1000
            self.until[one["ID"]] = (time.monotonic() + ttl, ttl)
            return 200, b"", {}
        ident = parts[-1]
        if parts[:2] == ["check", "update"]:
            ident = ident.split(":", 1)[1]
            if ident not in self.services:
                return 404, b"Unknown check ID", {}
            self.until[ident] = (time.monotonic() + self.until[ident][1], self.until[ident][1])
            status = json.loads(body)["Status"]
            if status != self.status[ident]:
                self.status[ident] = status
                self.changed()
            return 200, b"", {}
        if parts[:2] == ["service", "deregister"]:
            self.remove(ident)
            return 200, b"", {}
        one = self.services.get(ident)
        return (200, json.dumps(one).encode(), {}) if one else (404, b"unknown service ID", {})
