"""The cases about sick upstreams: one of four that hangs, all that hang, all that fail, and twice as much as a handler can do.

Upstreams and client are one Python process beside the agent: rates are low, and latencies are compared with those of the same
process while all is well."""
import asyncio
import contextlib
import json
import time
import urllib.request

import proxies


class Server:
    """mode: "ok", "hang" or a status; `places` at a time, each for `work` seconds (0: no limit)."""

    def __init__(self, places=0, work=0.0):
        self.mode, self.work, self.hits = "ok", work, 0
        self.places = asyncio.Semaphore(places) if places else None

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.address = "127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]
        return self

    async def serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.hits += 1
                if self.places:
                    async with self.places:
                        await asyncio.sleep(self.work)
                while self.mode == "hang":
                    await asyncio.sleep(0.05)
                    if reader.at_eof():
                        return writer.close()
                status = 200 if self.mode == "ok" else self.mode
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok" % status)
        writer.close()

    def close(self):
        self.server.close()


class Load:
    """Requests at fixed times over as many connections as it takes; rows of (due, latency in ms, status; 0: none in time)."""

    def __init__(self, target, host, rate, patience=2.0):
        self.host, self.rate, self.patience = host, rate, patience
        self.at, self.free, self.rows = target.split(":"), [], []

    async def one(self, due):
        status, writer = 0, None
        try:
            async with asyncio.timeout(self.patience):
                reader, writer = self.free.pop() if self.free else await asyncio.open_connection(*self.at)
                writer.write(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % self.host.encode())
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                status = int(head[9:12])
        except (OSError, asyncio.IncompleteReadError, TimeoutError, IndexError):
            pass
        self.rows.append((due, (time.monotonic() - due) * 1000, status))
        if status and b"connection: close" not in head.lower():
            self.free.append((reader, writer))
        elif writer:
            writer.close()

    async def run(self, seconds):
        """Returns the rows of these seconds; what is still under way is waited for."""
        first, tasks, begin = len(self.rows), [], time.monotonic()
        for i in range(int(seconds * self.rate)):
            due = begin + i / self.rate
            if due > time.monotonic():
                await asyncio.sleep(due - time.monotonic())
            tasks.append(asyncio.create_task(self.one(due)))
        await asyncio.gather(*tasks)
        return self.rows[first:]


def p99(rows, status=None):
    times = sorted(ms for _, ms, got in rows if status is None or got == status)
    return times[len(times) * 99 // 100] if times else float("nan")


def share(rows, status=200):
    return sum(got == status for *_, got in rows) / len(rows)


class Caller(proxies.Outrider):
    """A sidecar of whose upstreams `bench` has these endpoints, `other` those."""

    def __init__(self, bench, other=(), **options):
        super().__init__()
        self.name, self.bench, self.other, self.options = "outrider", bench, other, options

    def command(self, folder, listen, origin, workers):
        argv, env = super().command(folder, listen, origin, workers)
        env |= {"OUTRIDER_INBOUND": "off", "OUTRIDER_OUTBOUND": listen, "OUTRIDER_SERVICE": "caller",
                "OUTRIDER_UPSTREAM_BENCH_ENDPOINTS": ",".join(s.address for s in self.bench)}
        del env["OUTRIDER_PORT"]
        if self.other:
            env["OUTRIDER_UPSTREAM_OTHER_ENDPOINTS"] = ",".join(s.address for s in self.other)
        self.admin = env["OUTRIDER_ADMIN"]
        return argv, env | {"OUTRIDER_" + key.upper(): str(value) for key, value in self.options.items()}

    def page(self, path):
        with urllib.request.urlopen("http://%s%s" % (self.admin, path), timeout=5) as reply:
            return json.load(reply)

    def memory(self):
        with open("/proc/%d/smaps_rollup" % self.pid, encoding="ascii") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Private_"))


@contextlib.asynccontextmanager
async def scene(bench, n=4, others=0, places=0, work=0.0, **options):
    servers = [await Server(places, work).start() for _ in range(n)]
    rest = [await Server().start() for _ in range(others)]
    caller = Caller(servers, rest, **options)
    try:
        await asyncio.to_thread(caller.start, "127.0.0.1:1", [bench.proxy_core], 2)
        yield caller, servers
    finally:
        caller.stop()
        for server in servers + rest:
            server.close()


def _case(bench, name, measure, rounds=3):
    bench.alternate(name, lambda _proxy: asyncio.run(measure(bench)), rounds=min(rounds, bench.rounds), proxies=bench.only("outrider"))


async def _hung(bench):
    async with scene(bench, timeout_try="100ms") as (caller, servers):
        load = Load(caller.target, "bench", bench.pick(500, 300))
        await load.run(2)
        well = await load.run(bench.pick(5, 1.5))
        servers[0].mode = "hang"
        first = await load.run(bench.pick(5, 1.5))
        then = await load.run(bench.pick(5, 1.5))
        return {"success": share(first + then), "p99_ratio": p99(then) / p99(well), "well": p99(well), "first": p99(first), "then": p99(then)}


def hung(bench):
    """one of four instances hangs, timeout.try=100ms: success over all, and p99 from the fifth second on against that before"""
    _case(bench, "hung", _hung)


async def _dead(bench):
    async with scene(bench, others=1, timeout_request="200ms", breaker_error_threshold="50%") as (caller, servers):
        load, other = Load(caller.target, "bench", bench.pick(1000, 400)), Load(caller.target, "other", 50)
        await asyncio.gather(load.run(2), other.run(2))
        _, beside = await asyncio.gather(load.run(3), other.run(3))
        for server in servers:
            server.mode = "hang"
        hung_at = time.monotonic()
        while not caller.page("/circuits?service=bench")["circuits"][0]["open"] and time.monotonic() < hung_at + 15:
            await load.run(0.2)
        opened, before = time.monotonic() - hung_at, caller.memory()
        rows, beside_sick = await asyncio.gather(load.run(bench.pick(6, 2)), other.run(bench.pick(6, 2)))
        grown = caller.memory() - before
        refused = [row for row in rows if row[2] == 503]
        for server in servers:
            server.mode = "ok"
        began = time.monotonic()
        while (await load.run(0.1))[-1][2] != 200 and time.monotonic() < began + 10:
            pass
        return {"refused": len(refused) / len(rows), "refused_p99": p99(refused), "other_ratio": p99(beside_sick) / p99(beside),
                "grown": grown, "opened": opened, "closed_after": time.monotonic() - began}


def dead(bench):
    """all instances hang, timeout.request=200ms, breaker.error-threshold=50%: how soon callers are refused, memory, another upstream beside it, and the way back"""
    _case(bench, "dead", _dead)


async def _storm(bench):
    options = {"breaker_force": "closed", "eject_consecutive": "off", "retry_tries": 3, "retry_backoff": "1ms"}
    async with scene(bench, **options) as (caller, servers):
        for server in servers:
            server.mode = 503
        load = Load(caller.target, "bench", bench.pick(1000, 600))
        await load.run(bench.pick(10, 2))  # the floor of the budget is spent, and the window is full
        before = sum(server.hits for server in servers)
        rows = await load.run(bench.pick(10, 2))
        return {"amplified": (sum(server.hits for server in servers) - before) / len(rows)}


def storm(bench):
    """all instances fail, circuit forced closed, three tries: how many requests they see for each that was offered"""
    _case(bench, "storm", _storm)


class Hop(Caller):
    """An agent that calls the agent behind it as its upstream."""

    def __init__(self, behind, **options):
        super().__init__([], **options)
        self.behind = behind

    def command(self, folder, listen, origin, workers):
        argv, env = super().command(folder, listen, origin, workers)
        return argv, env | {"OUTRIDER_UPSTREAM_BENCH_ENDPOINTS": ",".join(self.behind)}


async def _chain(bench):
    """Caller, two inner hops of two agents each, four failing servers: every agent may try three times."""
    options = {"breaker_force": "closed", "eject_consecutive": "off", "retry_tries": 3, "retry_backoff": "1ms"}
    async with scene(bench, **options) as (last, servers):
        hops = [last]
        try:
            # inbound of a hop would lead to its handler: agents are chained by their outbound ports, as callers with http_proxy are
            for _ in range(2):
                twin = Caller(servers, **options) if len(hops) == 1 else Hop([hops[0].target], **options)
                await asyncio.to_thread(twin.start, "127.0.0.1:1", [bench.proxy_core], 1)
                hop = Hop([hops[-1].target, twin.target], **options)
                await asyncio.to_thread(hop.start, "127.0.0.1:1", [bench.proxy_core], 1)
                hops += [twin, hop]
            for server in servers:
                server.mode = 503
            load = Load(hops[-1].target, "bench", bench.pick(1000, 600))
            await load.run(bench.pick(10, 2))
            before = sum(server.hits for server in servers)
            rows = await load.run(bench.pick(10, 2))
            return {"amplified": (sum(server.hits for server in servers) - before) / len(rows)}
        finally:
            for hop in hops[1:]:
                hop.stop()


def chain(bench):
    """the same through a chain of three agents without a handler between, three tries each"""
    _case(bench, "chain", _chain)


async def _overload(bench):
    found = {}
    for name, options in (("with", {"bulkhead_adaptive": "on"}), ("without", {})):
        async with scene(bench, n=1, places=4, work=0.02, retry_tries=1, **options) as (caller, servers):  # capacity: 200 a second
            load = Load(caller.target, "bench", 400, patience=0.5)
            await load.run(bench.pick(4, 2))
            seconds = bench.pick(10, 2)
            rows = await load.run(seconds)
            found[name] = sum(got == 200 for *_, got in rows) / seconds / (4 / 0.0205)
            if name == "with":
                found["limit"] = caller.page("/circuits?service=bench")["circuits"][0]["limit"]
    return found


def overload(bench):
    """a handler that can do 195 requests a second is offered 400, callers wait half a second: replies in time, as a share of 195"""
    _case(bench, "overload", _overload)
