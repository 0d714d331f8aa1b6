"""A DNS server that answers as a test says: A and AAAA over UDP and TCP, and every way to be of no use."""
import ipaddress
import socket
import struct
import threading

A, AAAA = 1, 28
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


def _read_name(data, at):
    labels = []
    while data[at]:
        n = data[at]
        labels.append(data[at + 1:at + 1 + n].decode("ascii").lower())
        at += 1 + n
    return ".".join(labels), at + 1


class DnsServer:
    """names: {"tasks.quotes": ["127.0.5.1", …]}; a name that is not there is NXDOMAIN. Modes: answer, silent, servfail, garbage."""

    def __init__(self, names=None, ttl=600):
        self.ill = {}  # {A or AAAA: mode}, while other questions are answered as self.mode says
        self.names, self.ttl, self.mode, self.truncate, self.asked = dict(names or {}), ttl, "answer", False, []
        self.tcp_asked = 0
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            self.udp.bind(("127.0.0.1", 0))
            self.port = self.udp.getsockname()[1]
            self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.tcp.bind(("127.0.0.1", self.port))
                break
            except OSError:
                self.udp.close()
                self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp.listen(16)
        for loop in (self._udp_loop, self._tcp_loop):
            threading.Thread(target=loop, daemon=True).start()

    @property
    def text(self):
        return "127.0.0.1:%d" % self.port

    def count(self, name):
        return sum(1 for n, kind in self.asked if n == name and kind == A)

    def close(self):
        for sock in (self.udp, self.tcp):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _udp_loop(self):
        while True:
            try:
                data, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            reply = self._reply(data, udp=True)
            if reply:
                try:
                    self.udp.sendto(reply, peer)
                except OSError:
                    return

    def _tcp_loop(self):
        while True:
            try:
                conn = self.tcp.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve_tcp, args=(conn,), daemon=True).start()

    def _serve_tcp(self, conn):
        with conn:
            while True:
                head = conn.recv(2)
                if len(head) < 2:
                    return
                data = conn.recv(struct.unpack(">H", head)[0])
                self.tcp_asked += 1
                reply = self._reply(data, udp=False)
                if reply:
                    conn.sendall(struct.pack(">H", len(reply)) + reply)

    def _reply(self, data, udp):
        try:
            name, end = _read_name(data, 12)
            kind = struct.unpack(">H", data[end:end + 2])[0]
        except (IndexError, struct.error, UnicodeDecodeError):
            return None
        question = data[12:end + 4]
        self.asked.append((name, kind))
        mode = self.ill.get(kind, self.mode)
        if mode == "silent":
            return None
        if mode == "garbage":
            return data[:2] + b"\xff" * 30
        addresses = self.names.get(name)
        code = SERVFAIL if mode == "servfail" else NXDOMAIN if addresses is None else NOERROR
        if callable(addresses):
            addresses = addresses()
        answers = [ipaddress.ip_address(a).packed for a in addresses or []] if code == NOERROR else []
        answers = [a for a in answers if len(a) == (4 if kind == A else 16)]
        cut = udp and self.truncate
        flags = 0x8180 | code | (0x0200 if cut else 0)
        if cut:
            answers = answers[:1]
        out = data[:2] + struct.pack(">HHHHH", flags, 1, len(answers), 0, 0) + question
        for packed in answers:
            out += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, self.ttl, len(packed)) + packed
        return out
