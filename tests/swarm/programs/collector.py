"""Stands in for Zipkin where no registry has its image: takes spans at POST /api/v2/spans, answers /health, /api/v2/trace/ID and /api/v2/traces
(all of them). On TCP port 12201 it takes GELF, and /gelf says from which hosts how many records came."""
import collections
import http.server
import json
import socketserver
import threading

traces, hosts, lock = collections.OrderedDict(), collections.Counter(), threading.Lock()
MOST = 5000


class Zipkin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        spans = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            for span in spans:
                traces.setdefault(span["traceId"], []).append(span)
            while len(traces) > MOST:
                traces.popitem(last=False)
        self.answer(202, b"")

    def do_GET(self):
        with lock:
            found = ({"status": "UP"} if self.path == "/health" else dict(hosts) if self.path == "/gelf" else list(traces.values())
                     if self.path.startswith("/api/v2/traces") else traces.get(self.path.rsplit("/", 1)[1]))
            body = json.dumps(found).encode()
        self.answer(404 if found is None else 200, body)

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Gelf(socketserver.BaseRequestHandler):
    """Messages end with a NUL."""

    def handle(self):
        data = b""
        while got := self.request.recv(65536):
            *whole, data = (data + got).split(b"\0")
            with lock:
                hosts.update(json.loads(one)["host"] for one in whole if one)


class Threads(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True


threading.Thread(target=Threads(("", 12201), Gelf).serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("", 9411), Zipkin).serve_forever()
