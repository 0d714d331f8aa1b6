#!/usr/bin/env python3
"""Figures of discovery and balancing, each beside its bar: memory per known endpoint, how soon a changed endpoint among 10,000 is in
use, questions to DNS, and the latency that a slow server costs.

    tests/bench/discovery.py [--bin build/outrider]     BENCH_QUICK=1: shorter

Real agents, real sockets, servers of Python: ratios count, single times do not. Ends with 0 whatever the figures are; a bar that is
missed is marked."""
import argparse
import http.client
import http.server
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "run"))
sys.dont_write_bytecode = True

from harness import agent as harness_agent  # noqa: E402
from harness.case import Case  # noqa: E402
from harness.dns import DnsServer  # noqa: E402
from harness.members import caller, upstream  # noqa: E402

QUICK = bool(os.environ.get("BENCH_QUICK"))
MANY = 10000


def say(what, figure, bar, met):
    print("%-58s %18s   %-16s %s" % (what, figure, bar, {True: "met", False: "MISSED", None: ""}[met]), flush=True)


def private_kib(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith(("Private_Clean", "Private_Dirty")))


def write(path, addresses):
    with open(path + "~", "w", encoding="ascii") as file:
        file.write("quotes:\n" + "".join("  - %s\n" % address for address in addresses))
    os.rename(path + "~", path)


def addresses(n):
    return ["127.%d.%d.%d:9" % (1 + i // 62500, i // 250 % 250, i % 250 + 1) for i in range(n)]


def knowing(t, n):
    """An agent that knows n endpoints by a file, and the file."""
    path = os.path.join(t.tempdir(), "services-%d.yml" % n)
    write(path, addresses(n))
    agent = caller(t, "file:" + path)
    agent.until("known", lambda: (upstream(agent) or {}).get("endpoints_total") == n, 30)
    return agent, path


def memory_and_updates(t):
    few, _ = knowing(t, 10)
    many, path = knowing(t, MANY)
    each = (private_kib(many.pid) - private_kib(few.pid)) * 1024 / (MANY - 10)
    say("private memory per known endpoint, one worker", "%.0f B" % each, "<= 1024 B", each <= 1024)
    took = []
    for i in range(3 if QUICK else 10):
        version = many.get("/upstreams?service=none")["version"]
        write(path, addresses(MANY)[:-1] + ["127.9.9.%d:9" % (i + 1)])
        begun = time.monotonic()
        while many.get("/upstreams?service=none")["version"] == version:
            assert time.monotonic() < begun + 10, "it never came"
        took.append((time.monotonic() - begun) * 1000)
    took.sort()
    say("one changed among 10,000 of a file: from rename to workers", "%.1f ms (median)" % took[len(took) // 2], "<= 10 ms",
        took[len(took) // 2] <= 10)


def questions(t):
    """One sidecar that calls ten services; DNS answers at once, with a TTL that nobody minds."""
    names = ["s%d" % i for i in range(10)]
    dns = t._keep(DnsServer({"tasks." + name: ["127.0.0.1"] for name in names}))
    agent = t.sidecar(env={"OUTRIDER_REGISTRY": "dns:|" + dns.text})
    for name in names:
        conn = http.client.HTTPConnection(*agent.outbound, timeout=10)
        conn.request("GET", "http://%s:9/" % name, headers={"Host": name + ":9"})
        conn.getresponse().read()
        conn.close()
    seconds, before = 2 if QUICK else 6, len(dns.asked)
    time.sleep(seconds)  # what is counted is what happens in that time
    rate = (len(dns.asked) - before) / seconds
    say("DNS questions of a sidecar with 10 upstreams", "%.1f /s" % rate, "printed", None)
    say("   of 50 such sidecars, each a process", "%.0f /s" % (50 * rate), "printed", None)


def server(t, seconds):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version, wbufsize = "HTTP/1.1", -1

        def do_GET(self):
            time.sleep(seconds)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads, request_queue_size = True, 128

    made = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    made.close = lambda: (made.shutdown(), made.server_close())
    t._keep(made)
    return "127.0.0.1:%d" % made.server_address[1]


def p99(agent, seconds):
    took, end = [], time.monotonic() + seconds

    def run():
        conn = http.client.HTTPConnection(*agent.pin, timeout=10)
        while time.monotonic() < end:
            begun = time.monotonic()
            conn.request("GET", "/")
            conn.getresponse().read()
            took.append(time.monotonic() - begun)
        conn.close()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(took)[int(len(took) * 0.99)] * 1000


def skewed(t):
    places = ",".join(server(t, seconds) for seconds in (0.005, 0.005, 0.005, 0.05))
    rounds = {"round-robin": [], "peak-ewma": []}
    for _ in range(1 if QUICK else 5):
        for policy, figures in rounds.items():
            agent = caller(t, "static", upstream_quotes_endpoints=places, upstream_quotes_balance=policy)
            figures.append(p99(agent, 2 if QUICK else 4))
    plain, ewma = (sorted(figures)[len(figures) // 2] for figures in rounds.values())
    say("one of four servers 10 x slower, p99: peak-ewma / round-robin", "%.1f / %.1f ms" % (ewma, plain), "<= 0.5",
        ewma <= 0.5 * plain)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default="build/outrider")
    binary = os.path.abspath(parser.parse_args().bin)
    harness_agent.binary = lambda: binary
    for case in (memory_and_updates, questions, skewed):
        t = Case()
        try:
            case(t)
        finally:
            t.finish()


if __name__ == "__main__":
    main()
