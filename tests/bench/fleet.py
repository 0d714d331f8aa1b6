"""The cases about many instances: how soon a change of one reaches the traffic, what it costs, what each known one takes in
memory, what DNS is asked, and how far a slow instance is felt.

The instances stand in a services.yml at addresses of 127/8, all answered by one origin that listens at 0.0.0.0. Their service is
called `bench`."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

import machine
import proxies
import tools

sys.path.insert(0, os.path.join(tools.ROOT, "tests", "run"))
from harness.dns import AAAA, DnsServer  # noqa: E402

KNOWN = 10000
ROOM = 100  # addresses at the end of the list that changes use in turn


def address(i, port):
    return f"127.{10 + i // 62500}.{i // 250 % 250}.{i % 250 + 1}:{port}"


class Instances:
    """A services.yml of `known` instances, all but the last `up` of which are down, on a port."""

    apart = 0  # seconds between two measured changes

    def __init__(self, path, known, port, up):
        self.path, self.known, self.port, self.up, self.turn = path, known, port, up, 0
        state = ", state: down" if up < known else ""
        self.fixed = "bench:\n" + "".join(f"  - {{address: {address(i, port)}{state}}}\n" for i in range(known - up))
        self.write()

    def write(self, more=""):
        """Whole, beside it, then renamed, as careful programs do; returns when that was."""
        first = self.known - self.up
        lines = [f"  - {{address: {address(first + i, self.port)}}}\n" for i in range(self.up - bool(more))]
        with open(self.path + ".tmp", "w", encoding="utf-8") as f:
            f.write(self.fixed + "".join(lines) + more)
        now = time.monotonic()
        os.rename(self.path + ".tmp", self.path)
        return now

    def exchange(self, port=None):
        """The last instance is another one from now on; returns (its address, when)."""
        self.turn += 1
        at = address(self.known + self.turn % ROOM, port or self.port)
        return at, self.write(f"  - {{address: {at}}}\n")


class Fleet(proxies.Outrider):
    """The agent with an outbound listener and a file of instances."""

    def __init__(self, port, known=KNOWN, up=4, **more):
        super().__init__()
        self.port, self.known, self.up, self.more = port, known, up, more

    def command(self, folder, listen, origin, workers):
        argv, env = super().command(folder, listen, origin, workers)
        self.instances = Instances(os.path.join(folder, "services.yml"), self.known, self.port, self.up)
        self.admin = env["OUTRIDER_ADMIN"]
        return argv, env | {
            "OUTRIDER_SERVICE": "caller",
            "OUTRIDER_INBOUND": "off",
            "OUTRIDER_OUTBOUND": listen,
            "OUTRIDER_REGISTRY": "file:" + self.instances.path,
            "OUTRIDER_BALANCE_SLOW_START": "off",
        } | self.more


    def endpoints(self):
        """{address: attempts so far} of the service, as /upstreams shows them."""
        with urllib.request.urlopen(f"http://{self.admin}/upstreams", timeout=5) as reply:
            shown = json.load(reply)["upstreams"]
        return {e["address"]: e["attempts"] for u in shown if u["name"] == "bench" for e in u["endpoints"]}


@contextlib.contextmanager
def origin(bench, listen=None, **options):
    """One more origin; listens everywhere unless told where. Gives its port."""
    port = (listen or f"0.0.0.0:{proxies.free_port()}").split(":")[1]
    words = [w for k, v in options.items() if v for w in ("--" + k, str(v))]
    one = proxies.Running([tools.program("load"), "origin", "--listen", listen or f"0.0.0.0:{port}", *words], None,
                          [bench.load_core], os.path.join(bench.origins.folder, f"origin-{port}.log"))
    try:
        one.wait_for(f"127.0.0.1:{port}", "an origin")
        yield int(port)
    finally:
        one.stop()


# --- how soon ------------------------------------------------------------------------------------------------------------

class Probe:
    """A server at all addresses of one port that notes when each of them was called first."""

    def __init__(self):
        self.first = {}
        self.sock = socket.create_server(("0.0.0.0", 0), backlog=64)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            self.first.setdefault(conn.getsockname()[0], time.monotonic())
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    @staticmethod
    def _serve(conn):
        with conn, contextlib.suppress(OSError):
            while conn.recv(4096):
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class Caller:
    """One HTTP connection that asks again and again."""

    def __init__(self, target, host, path):
        self.http, self.host, self.path = http.client.HTTPConnection(target, timeout=5), host, path

    def ask(self):
        began = time.monotonic()
        self.http.request("GET", self.path, headers={"Host": self.host})
        reply = self.http.getresponse()
        reply.read()
        if reply.status != 200:
            raise tools.Failed(f"{self.path} of {self.host} was answered with {reply.status}")
        return time.monotonic() - began


@contextlib.contextmanager
def control_watched(admin, times):
    """Asks the admin listener, which control's loop serves, without a pause: a long callback makes an answer late."""
    done = threading.Event()

    def ask():
        caller = Caller(admin, admin, "/ready")
        with contextlib.suppress(tools.Failed, OSError):  # without any time the measurement fails, too
            while not done.wait(0.0005):
                times.append(caller.ask())

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def reach_once(caller, probe, instances):
    """Milliseconds from the exchange until the new instance is called."""
    probe.first.clear()
    at, began = instances.exchange(probe.port)
    ip = at.split(":")[0]
    while ip not in probe.first:
        caller.ask()
        if time.monotonic() > began + 10:
            raise tools.Failed("an exchanged instance was not called within 10 s")
    return 1000 * (probe.first[ip] - began)


def measure_reach(bench, case, proxy, probe):
    bench.notes[case] = "every other instance down; control: how long the admin listener took to answer meanwhile"

    def measure(running):
        bench.start(running)
        caller, quiet, busy = Caller(running.target, "bench", "/"), [], []
        reach_once(caller, probe, running.instances)
        with control_watched(running.admin, quiet):
            time.sleep(bench.pick(2.0, 0.4))
        with control_watched(running.admin, busy):
            took = []
            for _ in range(bench.pick(20, 4)):
                time.sleep(running.instances.apart)
                took.append(reach_once(caller, probe, running.instances))
        running.stop()
        if not quiet or not busy:
            raise tools.Failed("the admin listener did not answer")
        return {"ms": statistics.median(took), "ms_min": min(took), "ms_max": max(took),
                "control_quiet_ms": 1000 * max(quiet), "control_ms": 1000 * max(busy)}

    bench.alternate(case, measure, rounds=min(3, bench.rounds), proxies=[proxy])


def reach(bench):
    """from the rename of a services.yml with 10,000 instances, one of them exchanged, to the first request at the new one"""
    probe = Probe()
    proxy = Fleet(probe.port, up=1)
    try:
        measure_reach(bench, "reach", proxy, probe)
    finally:
        proxy.stop()
        probe.close()


class InRedis:
    """The same instances in a redis-server of this case, as agents register them (docs/registry-redis.md)."""

    apart = 0.25  # what is measured is a change after quiet: an agent collects those of a storm (plugins/redis_watch.h)

    def __init__(self, port, known):
        self.port, self.known, self.turn, self.last = port, known, 0, None
        self.server_port = proxies.free_port()
        self.proc = subprocess.Popen(["redis-server", "--bind", "127.0.0.1", "--port", str(self.server_port), "--save", "", "--loglevel", "warning"],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.sock = self._connect()
        self.ends = str(int((time.time() + 86400) * 1000))
        for i in range(0, known - 1, 1000):
            self._put([(f"i{k}", address(k, port), "down") for k in range(i, min(i + 1000, known - 1))])
        self.last = f"i{known - 1}"
        self._put([(self.last, address(known - 1, port), "up")])

    def _connect(self):
        deadline = time.monotonic() + 10
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.server_port), 5)
            except OSError:
                if time.monotonic() > deadline:
                    raise tools.Failed("redis-server does not answer") from None
                time.sleep(0.02)

    def _send(self, *commands):
        out = b""
        for words in commands:
            out += b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in (x.encode() for x in words))
        self.sock.sendall(out)
        got = 0
        while got < len(commands):  # every reply here is one line
            got += self.sock.recv(65536).count(b"\r\n")

    def _put(self, rows):
        scores = [w for i, _, _ in rows for w in (self.ends, i)]
        values = [w for i, at, state in rows for w in (i, json.dumps({"address": at, "state": state}))]
        self._send(["ZADD", "outrider:registry:bench", *scores], ["HSET", "outrider:registry:bench:values", *values])

    def exchange(self, port=None):
        self.turn += 1
        at, name, old = address(self.known + self.turn % ROOM, port or self.port), f"x{self.turn}", self.last
        self._put([(name, at, "up")])
        self.last = name
        now = time.monotonic()
        self._send(["PUBLISH", "outrider:registry", "bench + " + name], ["ZREM", "outrider:registry:bench", old],
                   ["HDEL", "outrider:registry:bench:values", old], ["PUBLISH", "outrider:registry", "bench " + old])
        return at, now

    def close(self):
        self.sock.close()
        self.proc.kill()
        self.proc.wait()


class RedisFleet(Fleet):
    def __init__(self, port):
        super().__init__(port, known=1, up=1)
        self.in_redis = InRedis(port, KNOWN)

    def command(self, folder, listen, origin, workers):
        argv, env = super().command(folder, listen, origin, workers)
        self.instances = self.in_redis
        return argv, env | {"OUTRIDER_REGISTRY": f"redis:127.0.0.1:{self.in_redis.server_port}", "OUTRIDER_UPSTREAM_BENCH_REGISTRY": "redis"}


def reach_redis(bench):
    """from the PUBLISH of a change among 10,000 instances in Redis, one of them exchanged, to the first request at the new one"""
    if not shutil.which("redis-server"):
        print("skipped: reach_redis: there is no redis-server")
        return
    probe = Probe()
    proxy = RedisFleet(probe.port)
    try:
        measure_reach(bench, "reach_redis", proxy, probe)
    finally:
        proxy.stop()
        proxy.in_redis.close()
        probe.close()


def await_call(proxy, at):
    """Until the agent has a connection to the instance `at`: /upstreams does not list all of so many."""
    host, port = at.split(":")
    wanted = f" {socket.inet_aton(host)[::-1].hex()}:{int(port):04x} ".upper()
    caller, deadline = Caller(proxy.target, "bench", "/128/00000000"), time.monotonic() + 5
    while wanted not in machine.read("/proc/net/tcp"):
        if time.monotonic() > deadline:
            raise tools.Failed(f"the last exchange is not in force: {at} is not called")
        caller.ask()


def update(bench, disturbed):
    rate, every = int(os.environ.get("BENCH_UPDATE_RATE") or 5000), float(os.environ.get("BENCH_UPDATE_EVERY") or 0.5)
    bench.notes["update"] = f"{rate} requests a second, an update each {every:g} s"
    with origin(bench) as port:
        proxy = Fleet(port, OUTRIDER_BALANCE="round-robin")  # the new one is called whatever its score

        @contextlib.contextmanager
        def exchanging():
            done, last = threading.Event(), [None]

            def exchange():
                while not done.wait(every):
                    last[0] = proxy.instances.exchange()[0]

            thread = threading.Thread(target=exchange)
            thread.start()
            try:
                yield
            finally:
                done.set()
                thread.join()
            await_call(proxy, last[0])

        disturbed(bench, "update", proxy, exchanging, rate=rate, host="bench")


# --- how much ------------------------------------------------------------------------------------------------------------

def private_memory(bench, port, known):
    """Of an agent that knows so many instances and has called one, once it stays the same."""
    proxy = Fleet(port, known=known, up=known)
    try:
        bench.start(proxy)
        pids, last, same, deadline = machine.family(proxy.pid), 0, 0, time.monotonic() + 10
        while same < 5 and time.monotonic() < deadline:
            time.sleep(0.1)
            now = machine.memory(pids)["private"]
            same, last = (same + 1 if now == last else 0), now
        return last
    finally:
        proxy.stop()


def known(bench):
    """private memory of an agent that knows 10,000 instances by a file, less that of one that knows 10"""
    with origin(bench) as port:
        def measure(_):
            few, many = private_memory(bench, port, 10), private_memory(bench, port, KNOWN)
            return {"few": few, "many": many, "per_endpoint": (many - few) / (KNOWN - 10)}

        bench.alternate("known", measure, rounds=min(3, bench.rounds), proxies=bench.only("outrider"))


# --- DNS ------------------------------------------------------------------------------------------------------------------

class Asking(Fleet):
    """The agent that knows `bench` by its file and asks DNS for all else."""

    def __init__(self, port, server):
        super().__init__(port, known=1, up=1)
        self.server = server

    def command(self, folder, listen, origin, workers):
        argv, env = super().command(folder, listen, origin, workers)
        return argv, env | {"OUTRIDER_REGISTRY": env["OUTRIDER_REGISTRY"] + ",dns:|" + self.server.text,
                            "OUTRIDER_UPSTREAM_DEFAULT_REGISTRY": "dns", "OUTRIDER_UPSTREAM_BENCH_REGISTRY": "file"}


def call_all(target, services):
    """Whether any of them answers does not matter here: each is asked for from now on."""
    for service in services:
        with contextlib.suppress(tools.Failed, OSError, http.client.HTTPException):
            Caller(target, service, "/128/00000000").ask()


def questions(bench):
    """what one sidecar with 10 called upstreams asks DNS"""
    services, seconds = [f"u{i}" for i in range(10)], bench.pick(10, 3)

    def measure(_):
        server = DnsServer({"tasks." + s: ["127.0.0.1", "127.0.0.2", "127.0.0.3"] for s in services})
        with origin(bench) as port:
            proxy = Asking(port, server)
            try:
                bench.start(proxy)
                call_all(proxy.target, services)
                before = len(server.asked)
                time.sleep(seconds)  # what is measured is questions by time
                asked = server.asked[before:]
            finally:
                proxy.stop()
                server.close()
        return {"per_second": len(asked) / seconds, "aaaa": sum(k == AAAA for _, k in asked) / seconds,
                "names": len({n for n, _ in asked})}

    bench.alternate("questions", measure, rounds=min(2, bench.rounds), proxies=bench.only("outrider"))


def fifty_ask(bench):
    """what fifty sidecars of one process ask DNS, on equal networks and with 10 upstreams each: A and AAAA of each name once a second, as one sidecar does"""
    try:
        path = tools.of_agent("questions")
    except tools.Failed as why:
        print(f"skipped: fifty_ask: {why}")
        return
    milliseconds = bench.pick(12000, 4000)

    def measure(_):
        server = DnsServer({f"tasks.u{i}": ["127.0.0.1", "127.0.0.2", "127.0.0.3"] for i in range(10)})
        try:
            done = subprocess.run([path, "json", server.text, str(milliseconds)], stdout=subprocess.PIPE, text=True, check=False,
                                  timeout=60, preexec_fn=tools.pin(bench.proxy_core))
        finally:
            server.close()
        if done.returncode:
            raise tools.Failed(f"questions ended with {done.returncode}")
        asked = server.asked
        return json.loads(done.stdout) | {"per_second": 1000 * len(asked) / milliseconds, "names": len({n for n, _ in asked}),
                                          "aaaa": 1000 * sum(k == AAAA for _, k in asked) / milliseconds}

    bench.alternate("fifty_ask", measure, rounds=min(2, bench.rounds), proxies=bench.only("outrider"))


# --- a slow one among four -----------------------------------------------------------------------------------------------

BALANCERS = ("round-robin", "peak-ewma", "least-request", "random")
QUICK_US, SLOW_US = 10000, 100000  # far above what a busy machine adds


class Skewed(Fleet):
    def __init__(self, ports, balance):
        super().__init__(0, known=1, up=1, OUTRIDER_BALANCE=balance)
        self.name, self.ports = balance, ports

    def command(self, folder, listen, origin, workers):
        argv, env = super().command(folder, listen, origin, workers)
        with open(self.instances.path, "w", encoding="utf-8") as f:
            f.write("bench:\n" + "".join(f"  - 127.0.0.1:{p}\n" for p in self.ports))
        return argv, env


def skewed(bench):
    """four instances of which one is 10 × slower, at a fixed rate, by balancer"""
    rate = int(os.environ.get("BENCH_SKEW_RATE") or 300)
    bench.notes["skewed"] = f"{QUICK_US / 1000:g} ms and {SLOW_US / 1000:g} ms, {rate} requests a second"
    options = {"connections": 64, "rate": rate, "host": "bench"}
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(origin(bench, delay=d)) for d in [SLOW_US] + 3 * [QUICK_US]]
        kinds = [Skewed(ports, b) for b in BALANCERS]
        stack.callback(lambda: [k.stop() for k in kinds])

        def warm(proxy):
            bench.start(proxy)
            bench.load(proxy, bench.pick(2000, 500), **options)

        def measure(proxy):
            before = proxy.endpoints()
            result = bench.load(proxy, bench.pick(6000, 1000), **options)
            calls = {at: n - before[at] for at, n in proxy.endpoints().items()}
            return result | {"slow_share": 100 * calls[f"127.0.0.1:{ports[0]}"] / sum(calls.values())}

        bench.alternate("skewed", measure, proxies=kinds, setup=warm)
