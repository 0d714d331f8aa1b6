"""A scripted Spring Cloud Config Server: it answers as the protocol says, or does one of the things that break clients."""
import json
import os
import socket
import ssl
import subprocess
import threading
import time

FLOOD = 100 << 20


class Asked:
    """One request as it came."""

    def __init__(self, head):
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.path = first.split(" ")[:2]
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


class ConfigServer:
    """sources: [(name, {key: value})], the strongest first. fault: the name of a _fault_ method, or a status.
    labels: {label: sources}; others are unknown then. auth: the Authorization field that is demanded."""

    def __init__(self, sources=(), port=None, tls=None):
        self.sources, self.labels, self.fault, self.auth, self.state = list(sources), None, None, None, None
        self.asked, self.sent, self.accepted = [], 0, 0
        self.port, self.tls, self.lock = port, tls, threading.Lock()
        self.sock, self.open = None, set()
        if port is None:
            self.start()

    # --- life ----------------------------------------------------------------------------------

    def start(self):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.sock.bind(("127.0.0.1", self.port or 0))
        self.sock.listen(64)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.sock,), daemon=True).start()
        return self

    def stop(self):
        """Nobody listens any more, and all connections are closed."""
        if self.sock:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)  # wakes accept()
            except OSError:
                pass
            self.sock.close()
            self.sock = None
        with self.lock:
            for conn in self.open:
                try:
                    conn.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.open.clear()

    close = stop

    @property
    def text(self):
        return "127.0.0.1:%d" % self.port

    @property
    def url(self):
        return "%s://%s" % ("https" if self.tls else "http", self.text)

    def paths(self):
        return [one.path for one in list(self.asked)]

    # --- connections ---------------------------------------------------------------------------

    def _accept(self, listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        with self.lock:
            self.open.add(conn)
        try:
            if self.tls:
                conn = self.tls.wrap_socket(conn, server_side=True)
            while self._one(conn):
                pass
        except (OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.open.discard(conn)
            conn.close()

    def _one(self, conn):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = conn.recv(65536)
            if not piece:
                return False
            head += piece
            if head[:1] == b"\x16":  # a TLS handshake: what Tomcat does
                conn.sendall(b"HTTP/1.1 400 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return False
        asked = Asked(head[:head.index(b"\r\n\r\n")])
        self.asked.append(asked)
        if isinstance(self.fault, int):
            return self._status(conn, self.fault)
        if self.fault:
            return getattr(self, "_fault_" + self.fault)(conn)
        if self.auth and asked.headers.get("authorization") != self.auth:
            return self._status(conn, 401)
        return self._answer(conn, asked)

    def _answer(self, conn, asked):
        parts = asked.path.strip("/").split("/")
        sources = self.sources
        if self.labels is not None:
            label = parts[2] if len(parts) > 2 else None
            if label not in self.labels:
                return self._status(conn, 404)
            sources = self.labels[label]
        body = self.body(sources, parts)
        conn.sendall(b"HTTP/1.1 200 \r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), 8192):
            piece = body[at:at + 8192]
            conn.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        conn.sendall(b"0\r\n\r\n")
        return True

    def body(self, sources, parts=("accountservice", "default")):
        return json.dumps({
            "name": parts[0], "profiles": [parts[1] if len(parts) > 1 else "default"],
            "label": parts[2] if len(parts) > 2 else None, "version": None, "state": self.state,
            "propertySources": [{"name": name, "source": source} for name, source in sources]}).encode()

    def _status(self, conn, status):
        body = json.dumps({"timestamp": "2026-11-22T11:06:41.993+00:00", "status": status, "error": "as scripted"}).encode()
        conn.sendall(b"HTTP/1.1 %d \r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                     % (status, len(body), body))
        return True

    # --- what goes wrong -----------------------------------------------------------------------

    def _fault_hang(self, conn):
        return bool(conn.recv(1))  # until the client gives up

    def _fault_trickle(self, conn):
        conn.sendall(b"HTTP/1.1 200 \r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
        while True:  # until the client gives up
            conn.sendall(b"{")
            time.sleep(0.05)  # the pace is the fault

    def _fault_flood(self, conn):
        conn.sendall(b"HTTP/1.1 200 \r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % FLOOD)
        block = b'{"a":"' + b"x" * 65530
        for _ in range(FLOOD // len(block)):
            conn.sendall(block)
            self.sent += len(block)
        return False

    def _fault_garbage(self, conn):
        conn.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n" + bytes(range(256)))
        return False

    def _fault_broken(self, conn):
        conn.sendall(b"HTTP/1.1 200 \r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"a\": [1,")
        return True

    def _fault_html(self, conn):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>")
        return True

    def _fault_cut(self, conn):
        body = self.body(self.sources)
        conn.sendall(b"HTTP/1.1 200 \r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                     % (len(body), body[:len(body) // 2]))
        return False

    def _fault_cut_chunked(self, conn):
        conn.sendall(b"HTTP/1.1 200 \r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                     b"10\r\n{\"propertySource\r\n")
        return False

    def _fault_reset(self, conn):
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        return False

    def _fault_redirect(self, conn):
        conn.sendall(b"HTTP/1.1 302 \r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
        return True


def authority(folder, names="IP:127.0.0.1"):
    """A CA and a certificate signed by it for `names`: (path of the CA's file, context for ConfigServer)."""
    ca, key, cert = (os.path.join(folder, name) for name in ("ca.pem", "key.pem", "cert.pem"))

    def openssl(*args):
        subprocess.run(["openssl"] + list(args), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    openssl(*new, "-subj", "/CN=Run-CA", "-keyout", ca + ".key", "-out", ca)
    openssl(*new, "-subj", "/CN=server", "-keyout", key, "-out", cert, "-CA", ca, "-CAkey", ca + ".key",
            "-addext", "subjectAltName=" + names, "-addext", "basicConstraints=critical,CA:FALSE")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return ca, context
