"""A scripted container engine for `outrider node`, and network namespaces that stand in for containers."""
import http.server
import json
import os
import re
import shutil
import socketserver
import subprocess
import threading
import time

from .case import Skip

HANDLER = ("import http.server, sys\n"
           "class H(http.server.BaseHTTPRequestHandler):\n"
           "    protocol_version = 'HTTP/1.1'\n"
           "    def do_GET(self):\n"
           "        if self.headers.get('Upgrade') == 'websocket':\n"
           "            self.send_response(101); self.send_header('Upgrade', 'websocket'); self.send_header('Connection', 'Upgrade'); self.end_headers()\n"
           "            self.close_connection = True\n"
           "            while True:\n"
           "                data = self.connection.recv(4096)\n"
           "                if not data: return\n"
           "                self.connection.sendall(data)\n"
           "        if self.path == '/events':\n"
           "            self.send_response(200); self.send_header('Connection', 'close'); self.end_headers()\n"
           "            import time\n"
           "            while True: self.wfile.write(b'data: x\\n\\n'); self.wfile.flush(); time.sleep(0.02)\n"
           "        body = sys.argv[1].encode()\n"
           "        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)\n"
           "    def log_message(self, *_): pass\n"
           "http.server.ThreadingHTTPServer(('127.0.0.1', 8080), H).serve_forever()\n")
LOOPBACK_UP = ("import fcntl, socket, struct\n"
               "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
               "fcntl.ioctl(s, 0x8914, struct.pack('16sH14s', b'lo', 0x41, b''))\n")  # SIOCSIFFLAGS: UP, RUNNING




def _allowed():
    """The list of deploy/outrider-socketproxy.yml."""
    deploy = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "deploy", "outrider-socketproxy.yml")
    with open(deploy, encoding="utf-8") as file:
        return re.compile(re.search(r"-allowGET=(\S+?)\$\$\"", file.read()).group(1).replace("\\\\", "\\") + "$")


ALLOWED = _allowed()


class Namespace:
    """A network namespace with a name in `folder`, and a handler on its 127.0.0.1:8080 that answers `text`."""

    def __init__(self, folder, name, text=None):
        self.path = os.path.join(folder, name)
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "300"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.handler = None
        limit = time.monotonic() + 30
        while self._inode(self.holder.pid) in (None, self._inode("self")):
            if self.holder.poll() is not None or time.monotonic() > limit:
                raise Skip("network namespaces cannot be made here")
            time.sleep(0.01)
        with open(self.path, "w", encoding="ascii"):
            pass
        done = subprocess.run(["mount", "--bind", "/proc/%d/ns/net" % self.holder.pid, self.path], capture_output=True, check=False)
        if done.returncode != 0:
            self.close()
            raise Skip("nothing can be mounted here")
        self.run("python3", "-c", LOOPBACK_UP)
        if text:
            self.handler = subprocess.Popen(["nsenter", "--net=" + self.path, "python3", "-c", HANDLER, text], stdin=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL)

    @staticmethod
    def _inode(pid):
        try:
            return os.readlink("/proc/%s/ns/net" % pid)
        except OSError:
            return None

    def run(self, *words):
        return subprocess.run(["nsenter", "--net=" + self.path, *words], capture_output=True, text=True, timeout=80, check=False)

    def fetch(self, url):
        """The body of a GET from inside, or what went wrong."""
        code = "import sys, urllib.request\nprint(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode(), end='')"
        done = self.run("python3", "-c", code, url)
        return done.stdout if done.returncode == 0 else "failed: " + done.stderr.strip().split("\n")[-1]

    def listeners(self):
        """{port: inodes} of what listens inside."""
        found = {}
        for line in self.run("cat", "/proc/net/tcp").stdout.split("\n")[1:]:
            words = line.split()
            if words and words[3] == "0A":
                found.setdefault(int(words[1].split(":")[1], 16), set()).add(words[9])
        return found

    def close(self):
        for one in (self.handler, self.holder):
            if one:
                one.kill()
                one.wait()
        subprocess.run(["umount", self.path], capture_output=True, check=False)


class Engine:
    """What a keeper asks an engine for. containers: {id: record}; event() tells whoever listens."""

    def __init__(self, t, api="1.44"):
        if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("nsenter"):
            raise Skip("namespaces need root, unshare and nsenter")
        self.api, self.containers, self.listeners, self.asked, self.beyond = api, {}, [], [], []
        self.forbidden = lambda path: False  # a filter of a test's own
        self.late = lambda path: 0  # seconds that it takes to answer
        self.folder = t.tempdir()
        self.netns = os.path.join(self.folder, "netns")
        self.run = os.path.join(self.folder, "run")
        os.makedirs(self.netns, exist_ok=True)
        os.makedirs(self.run, exist_ok=True)
        self.path = os.path.join(self.folder, "engine.sock")
        self.mute = lambda path: False  # the connection is closed instead of an answer
        self.listed = lambda record: {"Id": record["Id"]}  # what the list says of a container
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def address_string(self):
                return "agent"

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.asked.append(self.path)
                outer.answer(self)

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(self.path, Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        t._keep(self)

    def close(self):
        self.listeners.clear()
        self.server.shutdown()
        self.server.server_close()
        assert not self.beyond, "asked beyond the list that deploy/outrider-socketproxy.yml lets through: %s" % self.beyond

    def container(self, t, number, env=(), text=None, **more):
        """A running container with a namespace of its own; before(namespace) is called before it is known."""
        ident, sandbox = "%064x" % number, more.get("sandbox", "%012x" % number)
        space = t._keep(Namespace(self.netns, sandbox, text))
        more.get("before", lambda _: None)(space)
        self.containers[ident] = {
            "Id": ident, "Name": "/c%d" % number, "Path": "/app", "State": {"Status": "running"},
            "Config": {"Image": "app:1", "Env": list(env), "Labels": more.get("labels", {})},
            "HostConfig": {"NetworkMode": more.get("mode", "shop")},
            "NetworkSettings": {"SandboxKey": self.netns + "/" + sandbox, "Networks": {"shop": {"IPAddress": "10.0.0.%d" % (number % 250)}}}}
        if self._minor() < 52:  # the default bridge's, once more; GraphDriver gave way to Storage in 1.52
            self.containers[ident]["NetworkSettings"].update(Bridge="", IPAddress="", Gateway="", MacAddress="", Ports={})
            self.containers[ident]["GraphDriver"] = {"Name": "overlay2", "Data": None}
        if self._minor() >= 48:
            self.containers[ident]["ImageManifestDescriptor"] = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 424}
        if more.get("told", True):
            self.event("start", ident)
        return ident, space

    def made(self, t, number, env=(), text=None):
        """A container that was created and not started: its namespace has no name yet; joins(), appear() and started() go on from there."""
        ident, sandbox = self.container(t, number, env, text, told=False)
        subprocess.run(["umount", sandbox.path], check=True)
        os.unlink(sandbox.path)
        self.containers[ident]["NetworkSettings"]["SandboxKey"] = ""
        self.containers[ident]["State"]["Status"] = "created"
        self.event("create", ident)
        return ident, sandbox

    @staticmethod
    def appear(sandbox):
        """Its namespace has a name."""
        with open(sandbox.path, "w", encoding="ascii"):
            pass
        subprocess.run(["mount", "--bind", "/proc/%d/ns/net" % sandbox.holder.pid, sandbox.path], check=True)

    def started(self, ident, sandbox):
        self.containers[ident]["NetworkSettings"]["SandboxKey"] = sandbox.path
        self.state(ident, "running", "start")

    def joins(self, ident):
        self.tell({"Type": "network", "Action": "connect", "Actor": {"ID": "f" * 64, "Attributes": {"container": ident, "name": "shop"}}, "scope": "swarm"})

    def _minor(self):
        return int(self.api.split(".")[1])

    def event(self, action, ident, **attributes):
        record = {"Type": "container", "Action": action, "Actor": {"ID": ident, "Attributes": attributes}, "scope": "local"}
        if self._minor() < 52:  # later ones have dropped these
            record.update(status=action, id=ident, **{"from": "app:1"})
        self.tell(record)

    def tell(self, record):
        line = json.dumps(record).encode() + b"\n"
        for one in list(self.listeners):
            try:
                one.write(line)
            except OSError:  # its agent has left
                self.listeners.remove(one)

    def state(self, ident, status, event):
        self.containers[ident]["State"]["Status"] = status
        self.event(event, ident)

    def restarted(self, t, ident, sandbox, text, told=True):
        """The same container, ended and started again: the engine gives it another namespace. told: of its end, too."""
        if told:
            self.state(ident, "exited", "die")
        space = t._keep(Namespace(self.netns, sandbox, text))
        self.containers[ident]["NetworkSettings"]["SandboxKey"] = self.netns + "/" + sandbox
        self.state(ident, "running", "start")
        return space

    def gone(self, ident):
        self.containers[ident]["State"]["Status"] = "exited"
        self.event("die", ident)

    def answer(self, h):
        path = h.path.split("?")[0]
        if not ALLOWED.match(path):
            self.beyond.append(path)
        time.sleep(self.late(path))
        if not ALLOWED.match(path) or self.forbidden(path):
            h.send_error(403)
            return
        if self.mute(path):
            return
        if path.endswith("/events"):
            h.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n")
            self.listeners.append(h.wfile)
            while h.wfile in self.listeners:
                time.sleep(0.02)
            return
        status, body = 200, b"OK"
        if not path.endswith("/_ping") and path.startswith("/v1.") and int(path.split("/")[1].split(".")[1]) > self._minor():
            status, body = 400, {"message": "client version %s is too new. Maximum supported API version is %s" % (path.split("/")[1], self.api)}
        elif path.endswith("/info"):
            body = {"Name": "node-1", "ServerVersion": "27.0", "Swarm": {"LocalNodeState": "active", "NodeID": "n1"}}
        elif path.endswith("/containers/json"):
            body = [self.listed(c) for c in self.containers.values() if c["State"]["Status"] in ("running", "paused")]
        elif "/containers/" in path:
            body = self.containers.get(path.split("/")[-2])
            status = 200 if body else 404
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        h.send_response(status)
        h.send_header("Api-Version", self.api)
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)


def halves(agent):
    """The processes of keeper and proxy."""
    return agent.pid, int(subprocess.run(["pgrep", "-P", str(agent.pid)], capture_output=True, text=True, check=False).stdout.split()[0])


def node(t, engine, files=None, cage=None, expect_status=0, ready=True, **env):
    """An agent of that engine's node."""
    port = t.port()
    made = {"OUTRIDER_ENGINE": engine.path, "OUTRIDER_NETNS": engine.netns, "OUTRIDER_RUN": engine.run, "OUTRIDER_ADMIN": port.text,
            "OUTRIDER_SERVICE": None, "OUTRIDER_STOP_TIMEOUT": "2s"}
    made.update({"OUTRIDER_" + key.upper(): value for key, value in env.items()})
    agent = t.agent(["node"], made, {"admin": port}, expect_status, ready, files, cage)
    agent.patience = 40.0
    return agent


def serving(agent):
    """{container's name: its sidecar} of those that serve."""
    return {s["container"]: s for s in agent.get("/sidecars")["sidecars"] if s["state"] == "serving"}
