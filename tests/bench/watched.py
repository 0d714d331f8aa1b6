"""The case about telemetry: what it costs to be told of every request, beside the same programs that say nothing."""
import os
import contextlib
import socket
import threading
import urllib.request

import proxies
import tools


class Collector:
    """Takes POSTs on any number of connections, answers 202, and counts the bytes."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.bytes = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        room, data = bytearray(1 << 20), b""
        with sock:
            while True:
                while b"\r\n\r\n" not in data:
                    got = sock.recv(1 << 16)
                    if not got:
                        return
                    data += got
                head, data = data.split(b"\r\n\r\n", 1)
                left = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) - len(data)
                if b"100-continue" in head.lower():
                    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                while left > 0:
                    got = sock.recv_into(room, min(left, len(room)))
                    if not got:
                        return
                    left -= got
                    self.bytes += got
                data = b""
                sock.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    def close(self):
        self.listener.close()


class Told(proxies.Outrider):
    """The agent with more of what it can tell."""

    def __init__(self, name, **env):
        super().__init__()
        self.name, self.more = name, {"OUTRIDER_" + key: value for key, value in env.items()}

    def command(self, folder, listen, origin, workers):
        argv, env = super().command(folder, listen, origin, workers)
        self.admin = env["OUTRIDER_ADMIN"]
        return argv, env | self.more

    def admin_page(self, path):
        with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=5) as reply:
            return reply.read()

    def metrics(self):
        """{name{labels}: value}"""
        lines = [line.rsplit(" ", 1) for line in self.admin_page("/metrics").decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}


class LoggingNginx(proxies.Nginx):
    """nginx with its access log, in its usual format, to a file."""
    name = "nginx-log"

    def command(self, folder, listen, origin, workers):
        argv, env = super().command(folder, listen, origin, workers)
        path = os.path.join(folder, "nginx.conf")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("access_log off;", f"access_log {folder}/access.log combined;"))
        return argv, env


class LoggingHaproxy(proxies.Haproxy):
    """HAProxy with its http log to a UDP socket that nobody reads."""
    name = "haproxy-log"

    def command(self, folder, listen, origin, workers):
        argv, env = super().command(folder, listen, origin, workers)
        path = argv[-1]
        with open(path, encoding="utf-8") as f:
            text = f.read()
        sink = f"127.0.0.1:{proxies.free_port()}"
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("global\n", f"global\n\tlog {sink} local0\n", 1).replace("\tmode http\n", "\tmode http\n\tlog global\n\toption httplog\n", 1))
        return argv, env


def scraped(load):
    """The same load, with a scrape of the agent's metrics each second where the agent tells all."""
    def run(proxy, milliseconds, **options):
        over = threading.Event()

        def ask():
            while not over.wait(1):
                with contextlib.suppress(OSError):
                    proxy.metrics()
        thread = threading.Thread(target=ask)
        if "OUTRIDER_ACCESS_SAMPLE" in getattr(proxy, "more", ()):
            thread.start()
        try:
            return load(proxy, milliseconds, **options)
        finally:
            over.set()
            if thread.ident:
                thread.join()
    return run


def telemetry(bench):
    """64 connections, keep-alive, 128 B replies; every request traced to a live collector and in a JSON access log, metrics scraped each second, beside none of that"""
    if not bench.only("outrider"):
        return
    collector = Collector()
    full = {"TRACE": "zipkin:" + collector.url, "TRACE_SAMPLE": "always"}
    rivals = [p for p in (LoggingNginx(), LoggingHaproxy()) if not p.missing]
    kinds = [Told("outrider"), Told("outrider, as it comes", TRACE="", ACCESS_LOG="on"), Told("traced", **full),
             Told("traced and logged", ACCESS_LOG="on", ACCESS_SAMPLE="100%", **full),
             Told("the same, gzip", ACCESS_LOG="on", ACCESS_SAMPLE="100%", ZIPKIN_GZIP="on", **full), *rivals]
    own = bench.proxies
    try:
        bench.proxies = kinds
        bench.load = scraped(bench.load)
        bench.alternate_running("telemetry", bench.pick(3000, 600), connections=64)
        bench.notes["telemetry"] = f"{collector.bytes / (1 << 20):.0f} MiB of spans reached the collector"
    except tools.Failed as why:
        print(f"skipped: telemetry: {why}")
    finally:
        bench.proxies = own
        del bench.load
        collector.close()
