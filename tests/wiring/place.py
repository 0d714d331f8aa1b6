"""Where the wiring tests happen: an origin, a trap, an agent, and clients with a hosts entry of their own.

    origin  127.A.B.20:8080  is quotes-service; answers with what it saw, as one line of JSON
    trap    127.A.B.51:8080  what the client's hosts file says quotes-service is where the agent is meant to be asked by
                             http_proxy: a client that goes there did not ask the agent
    local   127.0.0.1:PORT2  a server that no_proxy names: a client should go there directly
    agent   127.A.B.10:4140 outbound, 127.A.B.41:8080 pinned address (wiring 1), 127.0.0.1:PORT pinned port (wiring 2)

A.B is random; the open listeners are the lease on it."""
import json
import os
import random
import socket
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Origin(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding"):
            body = self.chunks()
        text = json.dumps({"by": self.server.name, "method": self.command, "path": self.path, "bytes": len(body),
                           "via": self.headers.get("Via", ""), "upgrade": self.headers.get("Upgrade", "")}) + "\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = answer

    def chunks(self):
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, name, address):
        self.name = name
        super().__init__(address, Origin)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


def plain_environment():
    """Ours without what would change the meaning of a client's or the agent's own settings."""
    return {k: v for k, v in os.environ.items() if not k.startswith("OUTRIDER_") and not k.lower().endswith("_proxy")
            and k not in ("JAVA_TOOL_OPTIONS", "NODE_USE_ENV_PROXY")}


def free_port():
    """A port of 127.0.0.1 outside the range that outgoing connections use."""
    while True:
        port = random.randrange(12000, 20000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def accepts(address):
    try:
        socket.create_connection(address, 1).close()
        return True
    except OSError:
        return False


class Place:
    def __init__(self, outrider):
        while True:
            self.net = f"127.{random.randrange(128, 250)}.{random.randrange(256)}"
            try:
                self.origin = Server("quotes-service", (f"{self.net}.20", 8080))
                self.trap = Server("trap", (f"{self.net}.51", 8080))
                break
            except OSError:
                continue
        self.folder = tempfile.TemporaryDirectory(prefix="outrider-wiring-")
        self.port = free_port()
        self.local = Server("local", ("127.0.0.1", free_port()))
        self.pinned = f"{self.net}.41"
        self.proxy = f"{self.net}.10:4140"
        self.unshare = self.can_unshare()
        self.start_agent(outrider)

    def start_agent(self, outrider):
        env = {"OUTRIDER_SERVICE": "client-under-test", "OUTRIDER_INBOUND": "off", "OUTRIDER_OUTBOUND": self.proxy,
               "OUTRIDER_ADMIN": f"{self.net}.10:4191", "OUTRIDER_LAME_DUCK": "0s",
               "OUTRIDER_UPSTREAMS": f"quotes-service@{self.pinned}:8080,quotes-service:{self.port}",
               "OUTRIDER_UPSTREAM_QUOTES_SERVICE_ENDPOINTS": f"{self.net}.20:8080"}
        self.log = os.path.join(self.folder.name, "agent.log")
        with open(self.log, "wb") as log:
            self.agent = subprocess.Popen([outrider, "sidecar"], env={**plain_environment(), **env}, stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not all(map(accepts, ((f"{self.net}.10", 4140), (self.pinned, 8080), ("127.0.0.1", self.port)))):
            if self.agent.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise OSError("the agent does not come up")
            time.sleep(0.05)

    def can_unshare(self):
        """The command that gives a client its own /etc/hosts, or None where this user may not."""
        hosts = os.path.join(self.folder.name, "hosts")
        for flags in (["-m"],) if os.geteuid() == 0 else (["-r", "-m"],):
            self.hosts_entry(self.pinned)
            command = ["unshare", *flags, "--propagation", "private", "sh", "-c",
                       f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]
            try:
                if subprocess.run(command + ["true"], capture_output=True, timeout=10).returncode == 0:
                    return command
            except (OSError, subprocess.TimeoutExpired):
                pass
        return None

    def hosts_entry(self, address):
        with open(os.path.join(self.folder.name, "hosts"), "w") as hosts:
            hosts.write(f"127.0.0.1 localhost\n{address} quotes-service\n")

    def run(self, argv, env, address=None):
        """(exit status, stdout, stderr) of a client; with address, quotes-service stands for it in the client's hosts file."""
        command = argv
        if address and self.unshare:
            self.hosts_entry(address)
            command = self.unshare + argv
        try:
            done = subprocess.run(command, env={**plain_environment(), **env}, capture_output=True, text=True, timeout=60,
                                  stdin=subprocess.DEVNULL)
            return done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as late:
            return 124, (late.stdout or b"").decode(), "no end within 60 s"

    def close(self):
        if self.agent.poll() is None:
            self.agent.terminate()
            try:
                self.agent.wait(15)
            except subprocess.TimeoutExpired:
                self.agent.kill()
                self.agent.wait()
        with open(self.log, errors="replace") as log:
            self.agent_said = log.read()
        for server in (self.origin, self.trap, self.local):
            server.shutdown()
            server.server_close()
        self.folder.cleanup()
