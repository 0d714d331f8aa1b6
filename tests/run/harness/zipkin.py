"""A scripted collector of spans, Zipkin's and OTLP's: it keeps the batches that it takes, and misbehaves on demand."""
import gzip
import http.server
import json
import os
import ssl
import threading
import time

from .certs import make_certificates

HEX = set("0123456789abcdef")


class Collector:
    """mode: "" = 202 to Zipkin's and 200 to OTLP's path, a number = that status with `words`, or hang, cut, garbage. `posts` are all
    requests: {path, fields, body (unpacked), mode}; spans(): those taken, each checked as Zipkin would."""

    def __init__(self, t, started=True, tls=False):
        self.t, self.reserved = t, t.port()
        self.host, self.port = self.reserved.host, self.reserved.port
        self.url = "%s://%s:%d" % ("https" if tls else "http", self.host, self.port)
        self.mode, self.words, self.posts = "", "no thanks", []
        self.lock, self.over, self.server, self.folder = threading.Lock(), threading.Event(), None, None
        if tls:
            self.folder = os.path.join(t.tempdir(), "collector-%d" % self.port)
            os.mkdir(self.folder)
            make_certificates(self.folder)
            self.ca = os.path.join(self.folder, "ca.pem")
        t._keep(self)
        if started:
            self.start()

    def start(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                try:
                    outer._answer(self)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                """A client that went away."""

        self.server = Server((self.host, self.port), Handler)
        if self.folder:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.folder + "/server.pem", self.folder + "/server.key")
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def close(self):
        self.over.set()
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def _answer(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        packed = request.headers.get("Content-Encoding") == "gzip"
        mode = self.mode
        with self.lock:
            self.posts.append({"path": request.path, "fields": dict(request.headers), "size": len(body), "mode": mode,
                               "body": gzip.decompress(body) if packed else body})
        if mode == "hang":
            self.over.wait(60)
        if mode in ("hang", "cut", "garbage"):
            if mode == "garbage":
                request.wfile.write(b"\x00\xff no http at all\r\n\r\n")
            request.close_connection = True
            return
        otlp = request.path.endswith("/v1/traces")
        status, reply = (mode, self.words) if mode else (200, "{}") if otlp else (202, "")
        request.send_response(status)
        request.send_header("Content-Type", "application/json" if otlp and not mode else "text/plain")
        request.send_header("Content-Length", str(len(reply.encode())))
        request.end_headers()
        request.wfile.write(reply.encode())

    # --- what it got -----------------------------------------------------------------------------

    def taken(self):
        with self.lock:
            return [json.loads(post["body"]) for post in self.posts if post["mode"] == ""]

    def spans(self):
        """Zipkin's, of all batches."""
        return [_sound(span) for batch in self.taken() for span in batch]

    def until(self, what, check, seconds=10.0):
        """The value of check() once it is true."""
        end = time.monotonic() + seconds
        while not (value := check()):
            assert time.monotonic() < end, "%s: not within %.0f s; %d posts, last %s" % (what, seconds, len(self.posts), self.posts[-1:])
            time.sleep(0.02)
        return value


def _sound(span):
    """What Zipkin refuses a batch for (ZipkinHttpCollector, SpanBytesDecoder)."""
    assert len(span["traceId"]) in (16, 32) and set(span["traceId"]) <= HEX and span["traceId"].strip("0"), span
    assert len(span["id"]) == 16 and set(span["id"]) <= HEX and len(span.get("parentId", "0" * 16)) == 16, span
    assert isinstance(span["timestamp"], int) and isinstance(span["duration"], int) and span["duration"] >= 1, span
    assert span.get("kind") in (None, "CLIENT", "SERVER") and span["name"] == span["name"].lower(), span
    assert all(isinstance(value, str) for value in span.get("tags", {}).values()), span
    assert all(span[end].get("port", 1) > 0 for end in ("localEndpoint", "remoteEndpoint") if end in span), span
    return span
