"""Registry docker against a scripted engine on a Unix socket: what the lists say, events, and an engine that fails."""
import http.server
import json
import os
import socketserver
import threading
import time

from harness.case import rows
from harness.members import caller, known, upstream


class Engine:
    """A swarm manager's API. services: {name: (labels, [(task id, address, node)])}; event() tells whoever listens."""

    def __init__(self, t):
        self.services, self.status, self.mode, self.asked, self.listeners, self.api = {}, 200, "", [], [], "1.44"
        self.path = os.path.join(t.tempdir(), "docker.sock")
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

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
        self.mode = ""
        self.server.shutdown()
        self.server.server_close()

    def event(self):
        for one in list(self.listeners):
            one.write(b'{"Type":"service","Action":"update"}\n')

    def answer(self, h):
        if self.mode == "hang":
            while self.mode == "hang":
                time.sleep(0.02)
        path = h.path.split("?")[0]
        if path == "/events":
            h.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n")
            self.listeners.append(h.wfile)
            while h.wfile in self.listeners:
                time.sleep(0.02)
            return
        body = {"garbage": b"[{", "huge": b"[" + b"1," * (20 << 20), "object": b"{}"}.get(self.mode)
        if path != "/_ping" and self.status != 200:
            body = b'{"message":"no"}'
        elif path == "/_ping":
            body = b"OK"
        elif body is None:
            assert path.startswith("/v%s/" % self.api), path
            lists = {"nodes": self.nodes, "services": self.list_services, "tasks": self.tasks}
            body = json.dumps(lists[path.split("/")[2]]()).encode()
        h.send_response(200 if path == "/_ping" else self.status)
        h.send_header("Api-Version", self.api)
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    def nodes(self):
        return [{"ID": "n1", "Description": {"Hostname": "host-1"}}, {"ID": "n2", "Description": {}}]

    def list_services(self):
        return [{"ID": "s-" + name, "Spec": {"Name": name, "Labels": labels}, "UpdateStatus": {"State": "completed"}}
                for name, (labels, _) in self.services.items()]

    def tasks(self):
        def one(name, i, ident, ip, node, state="running"):
            return {"ID": ident, "ServiceID": "s-" + name, "Slot": i + 1, "NodeID": node, "DesiredState": "running",
                    "Status": {"State": state},
                    "NetworksAttachments": [
                        {"Network": {"ID": "i", "Spec": {"Name": "ingress", "Ingress": True}}, "Addresses": ["10.255.0.9/16"]},
                        {"Network": {"ID": "o", "Spec": {"Name": "shop"}}, "Addresses": [ip + "/24"]}]}
        all_of = [one(name, i, *task) for name, (_, tasks) in self.services.items() for i, task in enumerate(tasks)]
        return all_of + [one("shop_quotes", 8, "dead", "127.0.9.9", "n1", "failed")]


STACK = {"com.docker.stack.namespace": "shop", "version": "2"}


def _agent(t, engine, name="quotes", poll="200ms", **more):
    return caller(t, "docker:unix:" + engine.path, name, registry_poll=poll, upstream_quotes_port="8080", **more)


def _trouble(agent):
    return agent.get("/upstreams")["registries"][0]["trouble"]


def test_tasks_of_a_stack(t):
    """Running tasks, at their overlay's address, by the name of the stack file and by the full one, with what is known of them."""
    engine = Engine(t)
    engine.services = {"shop_quotes": (STACK, [("t1", "127.0.9.1", "n1"), ("t2", "127.0.9.2", "n2")]),
                       "shop_images": (STACK, [("t3", "127.0.9.3", "n1")])}
    agent = _agent(t, engine)
    agent.until("known", lambda: len(known(agent)) == 2)
    one = [e for e in upstream(agent)["endpoints"] if e["address"].startswith("127.0.9.1")][0]
    assert one["node"] == "host-1" and one["instance"] == "t1", one
    assert one["meta"] == {"stack": "shop", "version": "2", "slot": "1", "update": "completed"}, one
    two = [e for e in upstream(agent)["endpoints"] if e["address"].startswith("127.0.9.2")][0]
    assert two["node"] == "n2", two
    full = _agent(t, engine, "shop_quotes")
    full.until("known", lambda: len(known(full, "shop_quotes")) == 2)


def test_a_short_name_of_two_stacks(t):
    """A name that two stacks have is nobody's; the full names are."""
    engine = Engine(t)
    other = {"com.docker.stack.namespace": "test"}
    engine.services = {"shop_quotes": (STACK, [("t1", "127.0.9.1", "n1")]), "test_quotes": (other, [("t2", "127.0.9.2", "n1")])}
    agent = _agent(t, engine, "test_quotes")
    agent.until("known", lambda: len(known(agent, "test_quotes")) == 1)
    short = _agent(t, engine)
    asked = len(engine.asked)
    short.until("asked", lambda: len(engine.asked) > asked + 6)
    assert known(short) == []


def test_events(t):
    """An event is followed at once, though the next poll is an hour away."""
    engine = Engine(t)
    engine.services = {"quotes": ({}, [("t1", "127.0.9.1", "n1")])}
    agent = _agent(t, engine, poll="1h")
    agent.until("known", lambda: len(known(agent)) == 1)
    agent.until("listens", lambda: engine.listeners)
    engine.services = {"quotes": ({}, [("t1", "127.0.9.1", "n1"), ("t2", "127.0.9.2", "n1")])}
    engine.event()
    agent.until("known", lambda: len(known(agent)) == 2, 3)
    # Its tasks follow a moment later, and tell nothing.
    engine.services = {"quotes": ({}, [("t2", "127.0.9.2", "n1")])}
    agent.until("known", lambda: len(known(agent)) == 1, 3)


@rows({"worker": ("", 503, "no swarm manager"), "error": ("", 500, "500"), "garbage": ("garbage", 200, "JSON"),
       "huge": ("huge", 200, "docker"), "object": ("object", 200, "list"), "hang": ("hang", 200, "docker.sock")})
def test_an_engine_that_fails_changes_nothing(t, mode, status, why):
    """A worker, errors, nonsense and silence: the last tasks stay, why is said; put right, all is well."""
    engine = Engine(t)
    engine.services = {"quotes": ({}, [("t1", "127.0.9.1", "n1")])}
    agent = _agent(t, engine)
    agent.until("known", lambda: len(known(agent)) == 1)
    engine.mode, engine.status = mode, status
    trouble = agent.until("trouble", lambda: _trouble(agent), 20)
    assert why in trouble, trouble
    assert len(known(agent)) == 1
    engine.mode, engine.status = "", 200
    engine.services = {"quotes": ({}, [("t1", "127.0.9.1", "n1"), ("t2", "127.0.9.2", "n1")])}
    agent.until("well", lambda: not _trouble(agent) and len(known(agent)) == 2, 20)


def test_no_socket(t):
    """No socket is trouble with the remedy, no error at the start."""
    agent = caller(t, "docker:unix:/nonexistent/docker.sock", registry_poll="200ms")
    trouble = agent.until("trouble", lambda: _trouble(agent))
    assert "/nonexistent/docker.sock" in trouble and "mounted" in trouble, trouble
