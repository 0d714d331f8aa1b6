"""The cases of the bench. Each is a function of the bench (run) that fills bench.results[case]; see CASES at the end.

A case measures the proxies in turn, round after round (A B C D, A B C D …), so that what the machine does beside it falls on
all of them; medians and ratios within a round come later (report.py)."""

import contextlib
import mmap
import os
import struct
import tempfile
import threading
import time

import fleet
import loops
import sick
import machine
import proxies
import stuck
import tools
import watched

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class Bench:
    """What a run was asked for, and what it found: results[case][proxy] = [one dict per round], failed[case][proxy] = why."""

    def __init__(self, proxies, origins, rounds, quick, cores):
        self.proxies, self.origins, self.rounds, self.quick = proxies, origins, rounds, quick
        self.proxy_core, self.load_cores, self.usable = cores
        self.results, self.failed, self.notes = {}, {}, {}

    @property
    def origin(self):
        return self.origins.target

    @property
    def load_core(self):
        return self.load_cores[0]

    def pick(self, full, quick):
        return quick if self.quick else full

    def start(self, proxy, workers=1, env=None):
        proxy.start(self.origin, [self.proxy_core], workers, env)

    def load(self, proxy, milliseconds, **options):
        return tools.measure(proxy, self.load_core, milliseconds, **options)

    def fail(self, case, proxy, why):
        self.failed.setdefault(case, {})[proxy.name] = str(why)
        print(f"  {proxy.name}: FAILED: {why}", flush=True)

    def disturbed(self, case, proxy, disturb, **options):
        disturbed(self, case, proxy, disturb, **options)

    watch_memory = staticmethod(lambda pids, client, seconds: watch_memory(pids, client, seconds))

    def only(self, *names):
        return [p for p in self.proxies if p.name in names]

    def alternate(self, case, measure, rounds=None, proxies=None, setup=None):
        """measure(proxy) once per round for each; one that fails takes no further part in this case."""
        taking_part = list(self.proxies if proxies is None else proxies)
        try:
            for step in [setup] * bool(setup) + [measure] * (rounds or self.rounds):
                for proxy in list(taking_part):
                    try:
                        figures = step(proxy)
                    except (tools.Failed, OSError) as why:
                        self.fail(case, proxy, why)
                        taking_part.remove(proxy)
                        continue
                    if step is measure:
                        self.results.setdefault(case, {}).setdefault(proxy.name, []).append(figures)
        finally:
            for proxy in self.proxies:
                proxy.stop()

    def alternate_running(self, case, milliseconds, rounds=None, **options):
        """The same load on proxies that run through all rounds, after a short one that does not count."""
        def warm(proxy):
            self.start(proxy)
            self.load(proxy, self.pick(700, 200), **options)

        self.alternate(case, lambda p: self.load(p, milliseconds, **options), rounds, setup=warm)


def keepalive(bench):
    """64 connections, keep-alive, 128 B replies, closed loop"""
    bench.alternate_running("keepalive", bench.pick(3000, 600), connections=64)


def newconn(bench):
    """a new connection per request, 64 at a time, 128 B replies"""
    bench.alternate_running("newconn", bench.pick(2000, 500), connections=64, close=True)


def latency(bench):
    """a fixed rate over 64 connections, latency counted from when a request was due"""
    rate = int(os.environ.get("BENCH_RATE", "10000"))
    bench.notes["latency"] = f"{rate} requests a second"
    bench.alternate_running("latency", bench.pick(3000, 600), connections=64, rate=rate)


def large(bench):
    """1 MiB replies over 16 connections"""
    bench.alternate_running("large", bench.pick(2000, 500), connections=16, size=MIB)


def watch_memory(pids, client, seconds):
    """Private memory every 50 ms while the client runs."""
    samples, deadline = [], time.monotonic() + seconds
    while client.process.poll() is None and time.monotonic() < deadline:
        samples.append(machine.memory(pids)["private"])
        time.sleep(0.05)
    return samples


def stream(bench):
    """one long reply through one connection, memory watched"""
    size = bench.pick(10 * GIB, 256 * MIB)
    limit = 180
    bench.notes["stream"] = f"{size // MIB} MiB"

    def measure(proxy):
        bench.start(proxy)
        bench.load(proxy, 200, connections=4, size=MIB)
        pids = machine.family(proxy.pid)
        cpu = machine.cpu_ns(pids)
        with tools.Client(proxy.target, bench.load_core, milliseconds=limit * 1000, connections=1, count=1,
                          size=size) as client:
            samples = watch_memory(pids, client, limit)
            result = client.end(10)
        result["cpu_ns"] = machine.cpu_ns(pids) - cpu
        proxy.stop()
        half = max(1, len(samples) // 2)
        result["memory_max"] = max(samples)
        result["growth"] = max(samples[half:] or samples) - max(samples[:half])
        return result

    bench.alternate("stream", measure, rounds=1)


def idle(bench):
    """connections held open after one request each; memory before and with them"""
    count = bench.pick(5000, 500)
    bench.notes["idle"] = f"{count} connections"

    def measure(proxy):
        bench.start(proxy)
        pids = machine.family(proxy.pid)
        after_start = machine.memory(pids)
        bench.load(proxy, bench.pick(500, 200), connections=64)
        before = machine.memory(pids)
        with tools.Client(proxy.target, bench.load_core, milliseconds=30000, connections=count, hold=True) as client:
            client.wait_held()
            held = machine.memory(pids)
            client.end(10)
        proxy.stop()
        return {
            "rss_start": after_start["rss"], "private_start": after_start["private"],
            "rss_loaded": before["rss"], "private_loaded": before["private"],
            "rss_held": held["rss"], "private_held": held["private"],
            "per_connection": (held["private"] - before["private"]) / count,
        }

    bench.alternate("idle", measure)


def start(bench):
    """from exec to the first answered byte"""
    def measure(proxy):
        argv, env = proxy.prepare(bench.origin)
        try:
            return {"us": tools.first_answer(argv, env, proxy.target, bench.proxy_core, bench.load_core)}
        finally:
            proxy.forget()

    bench.alternate("start", measure)


def memory(bench):
    """memory after start with two workers, nothing served but one request"""
    def measure(proxy):
        bench.start(proxy, workers=2)
        figures = machine.memory(machine.family(proxy.pid))
        proxy.stop()
        return figures

    bench.alternate("memory", measure, rounds=min(3, bench.rounds))


def scale_load(bench, proxy, cores, milliseconds):
    """One client per load core at once; sums."""
    pids = machine.family(proxy.pid)
    cpu = machine.cpu_ns(pids)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(tools.Client(proxy.target, c, milliseconds=milliseconds, connections=64))
                   for c in cores]
        results = [c.end(milliseconds / 1000 + 15) for c in clients]
    requests = sum(r["requests"] for r in results)
    return {"rps": sum(r["rps"] for r in results), "cpu_us": (machine.cpu_ns(pids) - cpu) / 1000 / requests}


def scale(bench):
    """two workers against one"""
    free = len(bench.usable) >= 4
    proxy_cores = bench.usable[:2]
    load_cores = bench.usable[2:] if free else bench.usable[:2]
    bench.notes["scale"] = "measured" if free else f"not measurable here: {len(bench.usable)} cores for workers, client, origin"
    origins = type(bench.origins)(tempfile.gettempdir(), load_cores) if free else bench.origins

    def measure(proxy):
        figures = {}
        for workers in (1, 2):
            proxy.start(origins.target, proxy_cores[:workers] if free else proxy_cores, workers)
            scale_load(bench, proxy, load_cores, 300)
            for key, value in scale_load(bench, proxy, load_cores, bench.pick(1500, 400)).items():
                figures[f"{key}_{workers}"] = value
            proxy.stop()
        return figures

    try:
        bench.alternate("scale", measure, proxies=bench.only("outrider", "nginx"))
    finally:
        if free:
            origins.stop()


def steady(bench):
    """allocations and locks per request in the steady state (counted by a preloaded library)"""
    names = ["allocations", "frees", "locks", "waits"]

    def measure(proxy):
        with tempfile.NamedTemporaryFile(prefix="bench-counts-") as f:
            f.truncate(4096)
            with mmap.mmap(f.fileno(), 4096) as page:
                bench.start(proxy, workers=2, env={"LD_PRELOAD": tools.program("counts.so"), "BENCH_COUNTS": f.name})
                span = bench.pick(1500, 400) / 1000
                with tools.Client(proxy.target, bench.load_core, milliseconds=int(span * 1000) + 1000,
                                  connections=64) as client:
                    time.sleep(0.6)  # past the opening of connections, which may allocate
                    before, began = struct.unpack_from("4Q", page), time.monotonic()
                    time.sleep(span)
                    after, took = struct.unpack_from("4Q", page), time.monotonic() - began
                    requests = client.end(15)["rps"] * took
                proxy.stop()
        if not after[0]:
            raise tools.Failed("nothing was counted (a static program?)")
        return {n: (b - a) / requests for n, a, b in zip(names, before, after)}

    bench.alternate("steady", measure, rounds=1, proxies=bench.only("outrider"))


def disturbed(bench, case, proxy, disturb, **options):
    """Rounds of the same load (full, unless options say otherwise) with and without disturb(), a context; which comes first
    alternates, too."""
    span, turn = bench.pick(3000, 600), [0]
    options = {"connections": 64, **options}

    def measure(running):
        figures = {}
        for with_it in (turn[0] % 2 == 0, turn[0] % 2 == 1):
            with disturb() if with_it else contextlib.nullcontext():
                result = bench.load(running, span, **options)
            figures |= {("with_" if with_it else "without_") + k: result[k] for k in ("p50_us", "p99_us", "rps", "cpu_us", "late_max_us")}
        turn[0] += 1
        figures["p99_ratio"] = figures["with_p99_us"] / figures["without_p99_us"]
        return figures

    def warm(running):
        bench.start(running)
        bench.load(running, bench.pick(700, 200), **options)

    try:
        bench.alternate(case, measure, proxies=[proxy], setup=warm)
    finally:
        proxy.stop()


def reload(bench):
    """full load while the options of the upstreams change ten times a second, against the same load without"""
    if not bench.only("outrider"):
        return
    proxy, counted = proxies.Live(), [0, 0.0]

    @contextlib.contextmanager
    def changing():
        done, began, before = threading.Event(), time.monotonic(), proxy.applied()

        def change():
            while not done.wait(0.1):
                proxy.change()

        thread = threading.Thread(target=change)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        counted[0] += proxy.applied() - before
        counted[1] += time.monotonic() - began
        if counted[0] < 5 * counted[1]:
            raise tools.Failed(f"only {counted[0]} changes in {counted[1]:.1f} s were put in force")

    disturbed(bench, "reload", proxy, changing)
    if counted[1]:
        bench.notes["reload"] = f"{counted[0] / counted[1]:.1f} changes a second in force"


def fifty(bench):
    """fifty sidecars of one process whose specs are all replaced ten times a second, against the same load without"""
    if not bench.only("outrider"):
        return
    try:
        proxy = proxies.Sidecars()
    except tools.Failed as why:
        print(f"skipped: fifty: {why}")
        return

    @contextlib.contextmanager
    def replacing():
        proxy.toggle()
        try:
            yield
        finally:
            proxy.toggle()

    disturbed(bench, "fifty", proxy, replacing)


def update(bench):
    """a fixed rate on one of 10,000 known instances while a new services.yml exchanges it, against the same load without"""
    fleet.update(bench, disturbed)


CASES = {f.__name__: f for f in (keepalive, newconn, latency, large, stream, idle, memory, start, scale, steady, reload, fifty,
                                 fleet.reach, fleet.reach_redis, update, fleet.known, fleet.questions, fleet.fifty_ask, fleet.skewed, loops.pick, loops.guards,
                                 sick.hung, sick.dead, sick.storm, sick.chain, watched.telemetry, stuck.stuck, stuck.scrape,
                                 sick.overload)}
OF_AGENT_ONLY = ("steady", "reload", "fifty", "reach", "reach_redis", "update", "known", "questions", "fifty_ask", "skewed", "pick", "guards",
                 "hung", "dead", "storm", "chain", "overload", "telemetry", "stuck", "scrape")
