"""A scripted Consul agent: the key-value store with blocking queries as its HTTP API describes them, and the faults that a
test asks for. Keys and indexes are kept while it is closed, as a cluster keeps them."""
import base64
import http.server
import json
import os
import ssl
import threading
import time
import urllib.parse

from .certs import make_certificates

FAULTS = ("forbidden", "error", "garbage", "hang", "trickle", "huge", "cut", "no-index", "not-consul", "bad-base64", "redirect")


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """A client that leaves, or refuses the certificate, is part of the tests."""


class Consul:
    """put(), delete(), rewind() change the store; `fault` is one of FAULTS or None; `asked` are the requests so far."""

    def __init__(self, t, token=None, started=True, tls=False):
        self.reserved = t.port()
        self.host, self.port = self.reserved.host, self.reserved.port
        self.url = "%s://%s:%d" % ("https" if tls else "http", self.host, self.port)
        self.folder = None
        if tls:
            self.folder = os.path.join(t.tempdir(), "consul-%d" % self.port)
            os.mkdir(self.folder)
            make_certificates(self.folder)
            self.ca = os.path.join(self.folder, "ca.pem")
        self.token, self.fault, self.asked = token, None, []
        self.changed = threading.Condition()
        self.keys, self.index, self.gone = {}, 10, {}
        self.server, self.closing = None, False
        t._keep(self)
        if started:
            self.start()

    # --- life ----------------------------------------------------------------------------------

    def start(self):
        consul = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                try:
                    consul._answer(self)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.closing = False
        self.server = _Server((self.host, self.port), Handler)
        if self.folder:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.folder + "/server.pem", self.folder + "/server.key")
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def close(self):
        """The port closes; open requests end without an answer."""
        if self.server:
            with self.changed:
                self.closing = True
                self.changed.notify_all()
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    # --- the store -----------------------------------------------------------------------------

    def put(self, *pairs, **more):
        """Keys and values in turn, as one transaction; value None is null."""
        with self.changed:
            self.index += 1
            for key, value in list(zip(pairs[::2], pairs[1::2])) + list(more.items()):
                self.keys[key] = (value, self.index)
            self.changed.notify_all()

    def delete(self, prefix):
        with self.changed:
            self.index += 1
            for key in [key for key in self.keys if key.startswith(prefix)]:
                del self.keys[key]
                self.gone[key] = self.index
            self.changed.notify_all()

    def rewind(self, keys):
        """The cluster was restored from an old snapshot: other keys, and indexes that begin anew."""
        with self.changed:
            self.index = 3
            self.keys, self.gone = {key: (value, 3) for key, value in keys.items()}, {}
            self.changed.notify_all()

    def fail(self, fault):
        """From now on every answer is this fault (None: well again); requests that wait get it at once."""
        assert fault is None or fault in FAULTS, fault
        with self.changed:
            self.fault = fault
            self.changed.notify_all()

    def index_of(self, prefix):
        own = [at for key, (_, at) in self.keys.items() if key.startswith(prefix)] + \
            [at for key, at in self.gone.items() if key.startswith(prefix)]
        return max(own) if own else self.index

    # --- answers -------------------------------------------------------------------------------

    def _answer(self, request):
        url = urllib.parse.urlsplit(request.path)
        query = {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}
        prefix = urllib.parse.unquote(url.path)[len("/v1/kv/"):]
        token = request.headers.get("X-Consul-Token")
        with self.changed:
            self.asked.append({"time": time.monotonic(), "path": url.path, "query": query, "token": token})
            if query.get("index") and not self.fault:
                self._wait(prefix, int(query["index"]), int(query["wait"][:-2]) / 1000)
            if self.closing:
                raise ConnectionError
            fault, index = self.fault, self.index_of(prefix)
            found = sorted((key, value) for key, value in self.keys.items() if key.startswith(prefix))
        if self.token and token != self.token:
            fault = "forbidden"
        if fault:
            getattr(self, "_" + fault.replace("-", "_"))(request)
            return
        body = json.dumps([{"LockIndex": 0, "Key": key, "Flags": 0, "CreateIndex": 1, "ModifyIndex": at,
                            "Value": None if value is None else
                            base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()}
                           for key, (value, at) in found])
        assert "recurse" in query, request.path
        if found:
            _say(request, 200, body.encode(), index)
        else:
            _say(request, 404, b"", index)

    def _wait(self, prefix, index, seconds):
        """As Consul does: until the index of what was asked for has passed, or the wait is over."""
        limit = time.monotonic() + seconds
        while self.index_of(prefix) == index and not self.fault and not self.closing:
            if not self.changed.wait(limit - time.monotonic()) and time.monotonic() >= limit:
                return

    # --- faults ----------------------------------------------------------------------------------

    def _forbidden(self, request):
        _say(request, 403, b"Permission denied: token with AccessorID 'x' lacks permission 'key:read'\n", 1, "text/plain")

    def _error(self, request):
        _say(request, 500, b"No cluster leader\n", 1, "text/plain")

    def _garbage(self, request):
        _say(request, 200, b'[{"Key": "config/application/x", "Val\x00', self.index)

    def _no_index(self, request):
        _say(request, 200, b'[{"Key": "config/application/polled", "Value": "eWVz"}]', None)

    def _not_consul(self, request):
        _say(request, 404, b"<html>not found</html>", None, "text/html")

    def _bad_base64(self, request):
        _say(request, 200, b'[{"Key": "config/application/x", "Value": "%%%"}]', self.index)

    def _redirect(self, request):
        _say(request, 301, b"", None)

    def _hang(self, request):
        with self.changed:
            self.changed.wait_for(lambda: self.closing or self.fault != "hang", 60)
        request.close_connection = True

    def _head(self, request, length):
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("X-Consul-Index", str(self.index))
        request.send_header("Content-Length", str(length))
        request.end_headers()
        request.close_connection = True

    def _trickle(self, request):
        self._head(request, 1 << 20)
        while self.fault == "trickle" and not self.closing:
            request.wfile.write(b" ")
            time.sleep(0.05)  # its pace

    def _huge(self, request):
        self._head(request, 100 << 20)
        for _ in range(100 << 4):
            request.wfile.write(b"[" + b" " * 65535)

    def _cut(self, request):
        self._head(request, 1000)
        request.wfile.write(b'[{"Key": "config/application/x",')


def _say(request, status, body, index, kind="application/json"):
    request.send_response(status)
    request.send_header("Content-Type", kind)
    if index is not None:
        request.send_header("X-Consul-Index", str(index))
        request.send_header("X-Consul-KnownLeader", "true")
        request.send_header("X-Consul-LastContact", "0")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
