"""Scripted receivers of log records: GELF and RFC 5424, over udp, tcp and Unix datagrams; and a real rsyslogd."""
import gzip
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time

from .agent import _die_with_parent
from .case import Skip
from .wire import DEADLINE

SYSLOG = re.compile(r"<(?P<pri>\d{1,3})>1 (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<proc>[!-~]{1,128}) "
                    r"(?P<id>[!-~]{1,32}) (?P<data>-|(?:\[.*?(?<!\\)\])+)(?: (?P<message>.*))?", re.S)
COUNT = re.compile(rb"([1-9]\d*) ")
PARAM = re.compile(r' ([!#-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"')


def strict_gelf(raw):
    """The object of one GELF message, after a look as Graylog's."""
    one = json.loads(raw.decode("utf-8"))
    assert one["version"] == "1.1" and one["host"] and one["short_message"].strip(), one
    assert isinstance(one["timestamp"], float) and abs(one["timestamp"] - time.time()) < 600 and one["level"] in range(8), one
    for name, value in one.items():
        known = name in ("version", "host", "short_message", "full_message", "timestamp", "level")
        assert known or (re.fullmatch(r"_[\w.\-]+", name) and name != "_id"), name
        assert isinstance(value, (str, int, float)) and not isinstance(value, bool), (name, value)
    assert len(json.loads(raw, object_pairs_hook=list)) == len(one), raw
    return one


def strict_syslog(raw):
    """Fields of one RFC 5424 message; `data` are the parameters of its one element."""
    found = SYSLOG.fullmatch(raw.decode("utf-8"))
    assert found, raw
    one = found.groupdict()
    inner = one["data"][len("[outrider@32473"):-1]
    assert one["data"].startswith("[outrider@32473") and "".join(m.group() for m in PARAM.finditer(inner)) == inner, one["data"]
    one["data"] = {key: re.sub(r"\\(.)", r"\1", value) for key, value in PARAM.findall(inner)}
    return one


class Datagrams:
    """raw: what came. gelf(): messages, chunks put together as a receiver does; syslog()."""

    def __init__(self, t, path=None):
        self.sock = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.bind(path or ("127.0.0.1", 0))
        self.at = path or "127.0.0.1:%d" % self.sock.getsockname()[1]
        self.raw, self.alive = [], True
        t._keep(self)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while self.alive:
            try:
                self.raw.append(self.sock.recv(1 << 17))
            except OSError:
                return

    def gelf(self):
        parts, whole = {}, []
        for one in list(self.raw):
            if one[:2] == b"\x1e\x0f":
                number, count = one[10], one[11]
                assert 2 <= count <= 128 and number < count and len(one) > 12, one[:12]
                got = parts.setdefault(one[2:10], {})
                got[number] = one[12:]
                if len(got) < count:
                    continue
                one = b"".join(got[i] for i in range(count))
            whole.append(strict_gelf(gzip.decompress(one) if one[:2] == b"\x1f\x8b" else one))
        return whole

    def syslog(self):
        return [strict_syslog(one) for one in list(self.raw)]

    def close(self):
        self.alive = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


class Stream:
    """A tcp receiver. hang: accepts and reads nothing until it is False. reset(): all connections, at once. received: bytes of each connection."""

    def __init__(self, t, hang=False, port=None, started=True):
        self.reserved = port or t.port()
        self.at, self.hang, self.received, self.conns, self.sock = self.reserved.text, hang, [], [], None
        self.lock = threading.Lock()
        t._keep(self)
        if started:
            self.start()

    def start(self):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.hang:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.sock.bind((self.reserved.host, self.reserved.port))
        self.sock.listen(16)
        threading.Thread(target=self._accept, args=(self.sock,), daemon=True).start()
        return self

    def _accept(self, listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.conns.append(conn)
                self.received.append(bytearray())
                into = self.received[-1]
            threading.Thread(target=self._read, args=(conn, into), daemon=True).start()

    def _read(self, conn, into):
        while True:
            while self.hang:
                time.sleep(0.01)
            try:
                piece = conn.recv(1 << 16)
            except OSError:
                return
            if not piece:
                return
            into += piece

    def reset(self):
        with self.lock:
            for conn in self.conns:
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                try:
                    conn.shutdown(socket.SHUT_RD)
                except OSError:
                    pass
                conn.close()
            self.conns.clear()

    def gelf(self):
        """Of all connections the whole messages; a last one without its end is none."""
        return [strict_gelf(one) for data in list(self.received) for one in bytes(data).split(b"\0")[:-1]]

    def zeros(self):
        """How many messages of GELF are whole; quickly."""
        return sum(bytes(data).count(b"\0") for data in list(self.received))

    def frames(self):
        """Whole messages by their counted octets, as they came."""
        whole = []
        for data in list(self.received):
            data, at = bytes(data), 0
            while (found := COUNT.match(data, at)) and len(data) >= found.end() + int(found.group(1)):
                at = found.end() + int(found.group(1))
                whole.append(data[found.end():at])
            assert at == len(data) or re.match(rb"\d+( |$)", data[at:at + 12]), data[at:at + 80]
        return whole

    def syslog(self):
        return [strict_syslog(one) for one in self.frames()]

    def stop(self):
        if self.sock:
            self.sock.shutdown(socket.SHUT_RDWR)
            self.sock.close()
            self.sock = None
        self.reset()

    def close(self):
        self.hang = False
        try:
            self.stop()
        except OSError:
            pass


class Rsyslog:
    """A real rsyslogd that takes udp, tcp and a Unix socket, and writes each message as one object of JSON. lines(): those."""

    CONF = """
module(load="imudp") module(load="imtcp") module(load="imuxsock" SysSock.Use="off")
input(type="imudp" address="127.0.0.1" port="%(udp)d")
input(type="imtcp" address="127.0.0.1" port="%(tcp)d")
input(type="imuxsock" socket="%(folder)s/log" createpath="on" usespecialparser="off" parseHostname="on" ratelimit.interval="0")
template(name="all" type="list" option.jsonf="on") {
 property(outname="app" name="app-name" format="jsonf") property(outname="proc" name="procid" format="jsonf") property(outname="id" name="msgid" format="jsonf")
 property(outname="host" name="hostname" format="jsonf") property(outname="time" name="timereported" dateformat="rfc3339" format="jsonf")
 property(outname="severity" name="syslogseverity" format="jsonf") property(outname="facility" name="syslogfacility-text" format="jsonf")
 property(outname="data" name="structured-data" format="jsonf") property(outname="message" name="msg" format="jsonf") property(outname="by" name="inputname" format="jsonf") }
action(type="omfile" file="%(folder)s/out" template="all")
"""

    def __init__(self, t):
        path = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")
        if not path:
            raise Skip("there is no rsyslogd")
        self.folder = os.path.join(t.tempdir(), "rsyslog")
        os.mkdir(self.folder)
        udp, tcp = t.port(), t.port()
        self.udp, self.tcp, self.unix = udp.text, tcp.text, self.folder + "/log"
        with open(self.folder + "/conf", "w") as conf:
            conf.write(self.CONF % {"udp": udp.port, "tcp": tcp.port, "folder": self.folder})
        self.said = open(self.folder + "/said", "w+")
        self.proc = subprocess.Popen([path, "-n", "-f", self.folder + "/conf", "-i", self.folder + "/pid"], stdin=subprocess.DEVNULL, stdout=self.said,
                                     stderr=self.said, preexec_fn=_die_with_parent)
        t._keep(self)
        limit = time.monotonic() + DEADLINE
        while not self._listens(tcp):
            if self.proc.poll() is not None or time.monotonic() > limit:
                self.said.seek(0)
                raise AssertionError("rsyslogd does not serve: " + self.said.read()[-2000:])
            time.sleep(0.01)

    def _listens(self, port):
        try:
            socket.create_connection((port.host, port.port), 1).close()
            return os.path.exists(self.unix)
        except OSError:
            return False

    def lines(self):
        try:
            with open(self.folder + "/out") as out:
                return [json.loads(line) for line in out if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def close(self):
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(5)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        self.said.close()
