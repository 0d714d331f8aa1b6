"""The cases about telemetry that is in trouble, or much: everybody who is told hangs; a page of a thousand series."""
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time

import machine
import proxies
import tools
import watched

RATE = 5000
ANSWERED = re.compile(rb'"traceId"')


class Collector(watched.Collector):
    """Counts the spans that it said yes to; while `hangs`, it reads a request and never answers."""

    def __init__(self):
        self.hangs, self.spans = False, 0
        super().__init__()

    def serve(self, sock):
        data = b""
        with sock:
            while True:
                while b"\r\n\r\n" not in data:
                    got = sock.recv(1 << 16)
                    if not got:
                        return
                    data += got
                head, data = data.split(b"\r\n\r\n", 1)
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                if b"100-continue" in head.lower():
                    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                while len(data) < length:
                    got = sock.recv(1 << 20)
                    if not got:
                        return
                    data += got
                body, data = data[:length], data[length:]
                self.bytes += length
                if self.hangs:  # until the agent gives it up
                    while sock.recv(1 << 16):
                        pass
                    return
                self.spans += len(ANSWERED.findall(body))
                sock.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


class Receiver:
    """Takes TCP connections and throws away what comes, or while it `hangs` reads nothing: where GELF over TCP goes."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.address, self.hangs, self.over = "127.0.0.1:%d" % self.listener.getsockname()[1], False, False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.drain, args=(sock,), daemon=True).start()

    def drain(self, sock):
        with sock, contextlib.suppress(OSError):
            while not self.over:
                if self.hangs:
                    time.sleep(0.005)
                elif not sock.recv(1 << 16):
                    return

    def close(self):
        self.over = True
        self.listener.close()


class Reader:
    """The end of a pipe that is the agent's stdout and stderr: read while `reads`, its lines of the access log counted."""

    def __init__(self):
        self.end, self.writer = os.pipe()
        os.set_blocking(self.end, False)
        self.reads, self.over, self.lines, self.rest = True, False, 0, b""
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over:
            if not self.reads or not self.take():
                time.sleep(0.005)

    def take(self):
        try:
            data = self.rest + os.read(self.end, 1 << 16)
        except BlockingIOError:
            return False
        *whole, self.rest = data.split(b"\n")
        self.lines += sum(b'"type":"access"' in line for line in whole)
        return True

    def close(self):
        self.over = True
        self.thread.join()
        os.close(self.end)
        os.close(self.writer)


class Told(watched.Told):
    """All told of every request, to a pipe that somebody may stop reading."""

    def __init__(self, name, **env):
        super().__init__(name, **env)
        self.reader = None

    def knows_sinks(self):
        done = subprocess.run([self.path, "help", "options", "--markdown"], stdout=subprocess.PIPE, timeout=10, check=False)
        return b"gelf:tcp:" in done.stdout

    def start(self, origin, cores, workers=1, env=None):
        argv, own = self.prepare(origin, workers)
        self.reader = Reader()
        self.running = proxies.Running(argv, {**own, **(env or {})}, cores, os.path.join(self.folder, "log"), self.reader.writer)
        self.pid = self.running.pid
        self.running.wait_for(self.target, self.name)

    def stop(self):
        super().stop()
        if self.reader:
            self.reader.close()
            self.reader = None


def settled(proxy, seconds=20):
    """The page of the metrics, once it has nothing more to say of the exporter: what was under way has ended one way or the other."""
    end, before = time.monotonic() + seconds, None
    while time.monotonic() < end:
        page = proxy.metrics()
        now = {key: value for key, value in page.items() if key.startswith(("outrider_exporter_", "outrider_records"))}
        if now == before and not sum(v for k, v in now.items() if "queued" in k):
            return page
        before = now
        time.sleep(1.2)
    return proxy.metrics()


def accounts(proxy, collector):
    """What is missing in the sums; empty: sent + dropped = produced, for records, spans and lines."""
    page, log, wrong = settled(proxy), json.loads(proxy.admin_page("/log")), []
    total = lambda name: sum(value for key, value in page.items() if key.split("{")[0] == name)  # noqa: E731
    requests, written, lost = (total("outrider_" + name) for name in ("requests_total", "records_total", "records_dropped_total"))
    spans = {word: total_of(page, "outrider_exporter_spans_total", word) for word in ("sent", "full", "refused", "failed")}
    queued = total("outrider_exporter_queued_spans")
    if written + lost != requests:
        wrong.append(f"records {written:.0f} + {lost:.0f} of {requests:.0f} requests")
    if sum(spans.values()) + queued != written:
        wrong.append(f"spans {spans} + {queued:.0f} of {written:.0f} records")
    if spans["sent"] != collector.spans:
        wrong.append(f"spans sent {spans['sent']:.0f}, taken {collector.spans}")
    if "sinks" in log:
        for sink in log["sinks"]:
            if sink["produced"] != sink["sent"] + sink["queued"] + sum(sink["dropped"].values()) or sink["produced"] < written:
                wrong.append(f"{sink['sink']}: {sink}")
    elif proxy.reader.lines + log["access_lost"] != written:
        wrong.append(f"lines read {proxy.reader.lines} + lost {log['access_lost']} of {written:.0f} records")
    return wrong, sum(spans.values()) - spans["sent"] + lost


def total_of(page, name, word):
    return sum(value for key, value in page.items() if key.startswith(name) and f'outcome="{word}"' in key)


def stuck(bench):
    """5,000 requests a second, every one traced and logged, while Zipkin, stdout and GELF over TCP (where this agent has it) hang, beside the same while all are well"""
    if not bench.only("outrider"):
        return
    collector, receiver, seconds = Collector(), Receiver(), bench.pick(60, 4)
    proxy = Told("outrider", TRACE="zipkin:" + collector.url, TRACE_SAMPLE="always", ACCESS_LOG="on", ACCESS_SAMPLE="100%")
    gelf = proxy.knows_sinks()
    if gelf:
        proxy.more["OUTRIDER_LOG"] = "json:stdout,gelf:tcp://" + receiver.address
    bench.notes["stuck"] = f"{RATE} requests a second, {seconds} s each; " + ("with GELF" if gelf else "without GELF, which this agent does not have")

    def measure(running):
        bench.start(running)
        bench.load(running, 1000, connections=64, rate=RATE)
        collector.hangs = receiver.hangs = False
        well = bench.load(running, seconds * 1000, connections=64, rate=RATE)
        collector.hangs = receiver.hangs = True
        running.reader.reads = False
        pids = machine.family(running.pid)
        with tools.Client(running.target, bench.load_core, milliseconds=seconds * 1000, connections=64, rate=RATE) as client:
            samples = bench.watch_memory(pids, client, seconds + 15)
            hung = client.end(15)
        collector.hangs = receiver.hangs = False
        running.reader.reads = True
        wrong, lost = accounts(running, collector)
        if wrong:
            raise tools.Failed("counted wrongly: " + "; ".join(wrong))
        third = max(1, len(samples) // 3)  # the first third fills what is bounded
        return {"well_p99_us": well["p99_us"], "hung_p99_us": hung["p99_us"], "p99_ratio": hung["p99_us"] / well["p99_us"],
                "late_max_us": max(well["late_max_us"], hung["late_max_us"]), "grown": max(samples[2 * third:] or samples) - max(samples[third:2 * third] or samples),
                "memory": max(samples), "lost": lost, "cpu_us_well": well["cpu_us"]}

    try:
        bench.alternate("stuck", measure, rounds=1, proxies=[proxy])
    finally:
        proxy.stop()
        collector.close()
        receiver.close()


def scrape(bench):
    """/metrics of 1,000 series, asked ten times a second beside 5,000 requests a second, against the same load without"""
    if not bench.only("outrider"):
        return
    names = {f"UPSTREAM_S{i:02}_ENDPOINTS": "127.0.0.1:9" for i in range(26)}
    proxy, took, series = Told("outrider", **names), [], [0, 0.0]

    class Asking:
        """For as long as it is entered: a scrape every 100 ms on one connection, as Prometheus keeps it."""

        def __enter__(self):
            self.over = threading.Event()
            self.thread = threading.Thread(target=self.run)
            self.thread.start()

        def run(self):
            conn = http.client.HTTPConnection(proxy.admin, timeout=5)
            while not self.over.wait(0.1):
                began = time.monotonic()
                conn.request("GET", "/metrics")
                conn.getresponse().read()
                took.append((time.monotonic() - began) * 1000)
            conn.close()

        def __exit__(self, *_):
            self.over.set()
            self.thread.join()
            page = proxy.metrics()
            series[:] = page["outrider_metrics_series"], page["outrider_metrics_last_scrape_duration_seconds"] * 1000

    try:
        bench.disturbed("scrape", proxy, Asking, rate=RATE)
    finally:
        proxy.stop()
    for row in bench.results.get("scrape", {}).get("outrider", ()):
        row |= {"series": series[0], "made_ms": series[1], "ms": sorted(took)[len(took) // 2], "ms_p99": sorted(took)[int(len(took) * 0.99)]}
