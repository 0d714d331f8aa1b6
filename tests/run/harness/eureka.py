"""A scripted Eureka server: it keeps what it is told, and misbehaves on demand."""
import http.server
import json
import threading
import time


class EurekaServer:
    """instances: {app: {id: instance}}. mode: what happens to reads ("" = answered): hang, garbage, empty, huge, 401, 500, …;
    refuses: no registrations; deaf: it fails when it is read; slow_refusal: what is written fails after so long, `late` counts; forget(): as after a restart; lie: a hash that is never right; no_delta: 403 for deltas; quirks: the JSON of old servers."""

    def __init__(self, quirks=False):
        self.refuses, self.deaf, self.slow_refusal, self.late = False, False, 0.0, 0
        self.instances, self.mode, self.lie, self.no_delta, self.quirks = {}, "", False, False, quirks
        self.asked, self.lock, self.changes = [], threading.RLock(), []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _handle(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                with outer.lock:
                    outer.asked.append((self.command, self.path))
                status, reply = outer.answer(self.command, self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                try:
                    self.wfile.write(reply)
                except OSError:
                    pass

            do_GET = do_POST = do_PUT = do_DELETE = _handle

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A client that went away."""

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d/eureka" % self.server.server_address[1]

    def close(self):
        self.mode = ""
        self.server.shutdown()
        self.server.server_close()

    def count(self, method, start):
        with self.lock:
            return sum(1 for m, p in self.asked if m == method and p.startswith("/eureka" + start))

    # --- what it knows ---------------------------------------------------------------------------

    def put(self, app, ident, address, status="UP", **more):
        host, port = address.split(":")
        one = {"instanceId": ident, "app": app, "ipAddr": host, "hostName": host, "status": status, "vipAddress": app.lower(),
               "port": {"$": int(port), "@enabled": "true"}, "metadata": {"@class": "java.util.Collections$EmptyMap"}}
        one.update(more)
        with self.lock:
            self.instances.setdefault(app, {})[ident] = one
            self.changes.append(dict(one, actionType="ADDED"))

    def remove(self, app, ident):
        with self.lock:
            one = self.instances.get(app, {}).pop(ident, None)
            if one:
                self.changes.append(dict(one, actionType="DELETED"))
            return one

    def forget(self):
        with self.lock:
            self.instances, self.changes = {}, []

    def hash(self):
        counts = {}
        for app in self.instances.values():
            for one in app.values():
                counts[one["status"]] = counts.get(one["status"], 0) + 1
        return "".join("%s_%d_" % (status, counts[status]) for status in sorted(counts))

    # --- what it says -------------------------------------------------------------------------------

    def answer(self, method, path, body):
        parts = path.split("?")[0].split("/")[3:]
        if self.mode == "hang":
            while self.mode == "hang":
                time.sleep(0.02)
            return 500, b""
        if self.mode.isdigit():
            return int(self.mode), b"no"
        reads = method == "GET" and len(parts) <= 1 or parts[:1] == ["delta"]
        if self.slow_refusal and not reads:
            self.late += 1
            time.sleep(self.slow_refusal)
            return 500, b""
        if self.deaf and reads:
            return 500, b""
        if self.refuses and not reads:
            return 400, b""
        with self.lock:
            if method == "GET" and len(parts) <= 1 or parts[:1] == ["delta"]:
                return self._read(parts)
            return self._own(method, path, parts, body)

    def _read(self, parts):
        odd = {"garbage": b"{\"applications\":[[[", "empty": b"", "html": b"<html>", "huge": b"[" + b"1," * (9 << 20),
               "deep": b"[" * 100000, "other": b"{\"a\":1}"}
        if self.mode in odd:
            return 200, odd[self.mode]
        if parts == ["delta"]:
            if self.no_delta:
                return 403, b""
            listed = self._grouped(self.changes)
        else:
            listed = [{"name": app, "instance": list(all_of.values())} for app, all_of in self.instances.items() if all_of]
        if self.quirks:  # a list of one is no list
            for app in listed:
                app["instance"] = app["instance"][0] if len(app["instance"]) == 1 else app["instance"]
            listed = listed[0] if len(listed) == 1 else listed
        return 200, json.dumps({"applications": {"versions__delta": "1", "application": listed,
                                                 "apps__hashcode": "UP_99_" if self.lie else self.hash()}}).encode()

    @staticmethod
    def _grouped(changes):
        apps = {}
        for one in changes:
            apps.setdefault(one["app"], []).append(one)
        return [{"name": app, "instance": all_of} for app, all_of in apps.items()]

    def _own(self, method, path, parts, body):
        app, ident = parts[0], parts[1] if len(parts) > 1 else None
        if method == "POST":
            one = json.loads(body)["instance"]
            self.put(app, one["instanceId"], "%s:%d" % (one["ipAddr"], one["port"]["$"]), one["status"], metadata=one["metadata"],
                     leaseInfo=one["leaseInfo"])
            return 204, b""
        one = self.instances.get(app, {}).get(ident)
        if not one:
            return 404, b"{\"status\":404}"
        if method == "DELETE":
            self.remove(app, ident)
        return 200, json.dumps({"instance": one}).encode() if method == "GET" else b""
