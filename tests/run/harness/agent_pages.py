"""An admin port whose pages are scripted: what `outrider top` asks, of a node or a swarm, with figures that a test knows."""
import http.server
import json
import threading
import time

NOW = 1796074415628


def point(rate, errors=0.0, p50=1.5, p95=20, p99=300, active=7):
    return {"rate": rate, "errors": errors, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "active": active}


def sidecar(service, rate, node="n1", state="serving", handler="up", **more):
    made = {"name": "shop_%s.1.x" % service, "service": service, "stack": "shop", "slot": "1", "node": node, "version": None, "state": state,
            "handler": handler, "wired": True, "in": point(rate, rate / 50), "out": point(rate / 10),
            "cost": {"cpu_percent": 0.5, "memory_bytes": 200000, "connections": 3}, "config_errors": 0}
    made.update(more)
    return made


def edge(source, target, rate, circuit="closed", healthy=3, endpoints=3, retries=0, instance=None):
    return {"from": source, "instance": instance or "shop_%s.1.x" % source, "from_stack": "shop", "to": target, "rate": rate, "errors": 0, "p50_ms": 1, "p99_ms": 9, "retries": retries,
            "circuit": circuit, "healthy": healthy, "endpoints": endpoints}


def circuit(source, target, state, percent=60, instance=None, action=None):
    return {"from": source, "instance": instance or "shop_%s.1.x" % source, "to": target, "route": None, "key": action, "state": state, "since_ms": NOW - 65000, "why": "60 of 100 failed", "requests": 100,
            "errors": 60, "error_percent": percent, "rejected": 12, "forced": None}


def state(sidecars=(), edges=(), circuits=(), node="n1", scopes=("node", "swarm"), support=()):
    return {"hello": {"agent": "outrider", "version": "0.1.0+test", "command": "node", "node": node, "service": None, "scope": "node",
                      "scopes": list(scopes), "interval_ms": 2000, "writes": "token", "time_ms": NOW},
            "in": point(100, 5), "out": point(50), "sidecars": list(sidecars), "edges": list(edges), "circuits": list(circuits),
            "left_out": {"edges": 0, "sidecars": 0}, "support": list(support),
            "process": {"cpu_percent": 1.5, "memory_bytes": 12582912, "connections": 5, "loop_lag_ms": 0.1, "uptime_ms": 1000}, "config_age_ms": 1}


def change(number, kind, text, node="n1", ago_ms=12000, service="accountservice", upstream=None, subject=None):
    return {"number": number, "time_ms": NOW - ago_ms, "node": node, "kind": kind, "service": service, "upstream": upstream, "subject": subject, "text": text}


def failure(request_id, reason="connect-refused", path="/api"):
    return {"time": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(NOW / 1000 - 7)), "service": "accountservice", "listener": "outbound",
            "upstream": "quotes-service", "endpoint": "10.0.0.7:4143", "attempts": 2, "status": 503, "reason": reason, "duration_ms": 12.3,
            "method": "GET", "path": path, "request_id": request_id}


def swarm(page, answers, silent=()):
    """answers: {address: page}; silent: {address: why}."""
    agents = [{"agent": address, "status": 200, "answer": answer} for address, answer in answers.items()]
    agents += [{"agent": address, "why": why} for address, why in dict(silent).items()]
    return {"page": page, "asked": len(agents), "failed": len(dict(silent)), "left_out": 0, "agents": agents}


class AgentPages:
    """pages: {path: object, bytes, or (status, object)}; may be changed while it serves. `asked` are the paths with their queries.
    gate: replies wait until it is set."""

    def __init__(self, pages=None):
        self.pages, self.asked, self.gate = dict(pages or {}), [], threading.Event()
        self.gate.set()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                owner.asked.append(self.path)
                owner.gate.wait(30)
                page = owner.pages.get(self.path.split("?")[0], (404, {"error": "no-such-page"}))
                status, page = page if isinstance(page, tuple) else (200, page)
                body = page if isinstance(page, bytes) else json.dumps(page).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # who asked has left

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def text(self):
        return "127.0.0.1:%d" % self.server.server_address[1]

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
