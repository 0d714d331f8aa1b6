"""As much of AMQP 0-9-1 as tests need of a client: log in, declare, publish."""
import socket
import struct

PUBLISH, DELETE_OK = (60, 40), (40, 21)


class Refused(EOFError):
    """The broker closed channel or connection; the code of its reply."""

    def __init__(self, code, text):
        super().__init__("%d %s" % (code, text))
        self.code = code


def short(text):
    data = text.encode()
    return struct.pack(">B", len(data)) + data


def long(data):
    return struct.pack(">I", len(data)) + data


class Amqp:
    def __init__(self, port, user="guest", password="guest", vhost="/", timeout=20):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.sendall(b"AMQP\0\0\x09\x01")
        self.expect(10, 10)
        self.method(0, 10, 11, long(b"") + short("PLAIN") + long(b"\0%s\0%s" % (user.encode(), password.encode()))
                    + short("en_US"))
        self.expect(10, 30)
        self.method(0, 10, 31, struct.pack(">HIH", 8, 131072, 0))  # channels, frame, no heartbeat
        self.method(0, 10, 40, short(vhost) + short("") + b"\0")
        self.expect(10, 41)
        self.method(1, 20, 10, short(""))
        self.expect(20, 11)

    # --- frames --------------------------------------------------------------------------------

    def frame(self, kind, channel, payload):
        self.sock.sendall(struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce")

    def method(self, channel, cls, number, arguments):
        self.frame(1, channel, struct.pack(">HH", cls, number) + arguments)

    def exactly(self, n):
        data = b""
        while len(data) < n:
            piece = self.sock.recv(n - len(data))
            if not piece:
                raise EOFError("the broker closed the connection")
            data += piece
        return data

    def expect(self, cls, number):
        """The arguments of the next method, which must be this one."""
        while True:
            kind, _, size = struct.unpack(">BHI", self.exactly(7))
            payload = self.exactly(size + 1)[:-1]
            if kind != 1:
                continue
            got = struct.unpack(">HH", payload[:4])
            if got == (cls, number):
                return payload[4:]
            if got in ((20, 40), (10, 50)):
                code, n = struct.unpack(">HB", payload[4:7])
                raise Refused(code, payload[7:7 + n].decode("utf-8", "replace"))
            raise AssertionError("unexpected method %d.%d" % got)

    # --- calls ---------------------------------------------------------------------------------

    def exchange(self, name, kind="topic", durable=True):
        self.method(1, 40, 10, b"\0\0" + short(name) + short(kind) + bytes([2 if durable else 0]) + long(b""))
        self.expect(40, 11)

    def delete_exchange(self, name):
        self.method(1, 40, 20, b"\0\0" + short(name) + b"\0")
        self.expect(*DELETE_OK)

    def ask_queue(self, name):
        """Passive declare: (messages, consumers); Refused 404 when there is none, 405 when it is another's."""
        self.method(1, 50, 10, b"\0\0" + short(name) + b"\x01" + long(b""))
        reply = self.expect(50, 11)
        return struct.unpack(">II", reply[-8:])

    def publish(self, exchange, body, key="springCloudBus", content_type="application/json"):
        data = body if isinstance(body, bytes) else body.encode()
        self.method(1, *PUBLISH, b"\0\0" + short(exchange) + short(key) + b"\0")
        self.frame(2, 1, struct.pack(">HHQ", 60, 0, len(data)) + (struct.pack(">H", 0x8000) + short(content_type)
                                                                  if content_type else b"\0\0"))
        for at in range(0, len(data), 100000):
            self.frame(3, 1, data[at:at + 100000])

    def close(self):
        self.sock.close()
