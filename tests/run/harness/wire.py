"""One end of a connection, scripted byte by byte. Every verb has a deadline and writes to the transcript."""
import fcntl
import socket
import struct
import termios
import time

from . import diag, message
from . import ready

DEADLINE = 8.0  # seconds for one verb: generous, since sanitizer builds on a loaded machine are slow
SHOWN = 600     # bytes of one transcript entry


class Ended(AssertionError):
    """The peer ended the connection before what was expected had come."""


class Late(AssertionError):
    """What was expected did not come within the deadline."""


class Transcript:
    """Who sent what to whom, in order, for the report of a failed test."""

    def __init__(self):
        self.began = time.monotonic()
        self.entries = []

    def note(self, who, verb, data=b""):
        text = repr(bytes(data[:SHOWN])) if data else ""
        if len(data) > SHOWN:
            text += " … %d bytes" % len(data)
        self.entries.append("%8.3f  %-10s %-10s %s" % (time.monotonic() - self.began, who, verb, text))
        if len(self.entries) > 400:
            del self.entries[100]

    def text(self):
        return "\n".join(self.entries)


class Wire:
    def __init__(self, transcript, name, sock):
        self.transcript, self.name, self.sock = transcript, name, sock
        self.buf = bytearray()
        self.ended = None  # None, "eof" or "reset"
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(DEADLINE)

    def note(self, verb, data=b""):
        self.transcript.note(self.name, verb, data)

    # --- out -------------------------------------------------------------------------------------

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("latin-1")
        self.note("sends", data)
        self.sock.sendall(data)
        return self

    def try_send(self, data):
        """Sends what can be sent; the peer may have closed already. True when all went out."""
        try:
            self.send(data)
            return True
        except OSError as why:
            self.note("send: " + type(why).__name__)
            return False

    def trickle(self, data, n=1):
        """n bytes at a time; waits after each piece until the peer's kernel has handed it over."""
        self.note("trickles/%d" % n, data)
        for at in range(0, len(data), n):
            self.sock.sendall(data[at:at + n])
            self._consumed(0.05)
        return self

    def consumed(self):
        """Returns once the peer has read all that was sent."""
        if not self._consumed(DEADLINE):
            raise Late("%s: the peer does not read what was sent" % self.name)
        self.note("consumed")
        return self

    def fill(self, limit, piece=b"x" * 65536, quiet=0.4):
        """Sends until the peer takes no more for `quiet` seconds; returns how many bytes went out (at most limit)."""
        sent = 0
        self.sock.setblocking(False)
        try:
            while sent < limit:
                if not ready.select([], [self.sock], [], quiet)[1]:
                    break
                sent += self.sock.send(piece[:limit - sent])
        except OSError as why:  # full, or the peer ended it
            self.note("fill: " + type(why).__name__)
        finally:
            self.sock.settimeout(DEADLINE)
        self.note("fills %d" % sent)
        return sent

    def half_close(self):
        self.note("shut")
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def close(self):
        self.note("closes")
        self.sock.close()

    def reset(self):
        """Ends the connection by RST."""
        self.note("resets")
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _unread_at_peer(self):
        """Bytes that wait in the receive queue of the other end (same machine), or None when unknown."""
        if self.sock.family not in (socket.AF_INET, socket.AF_INET6):
            return 0
        pending = struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, b"\0" * 4))[0]
        if pending:
            return pending
        return diag.unread(self.sock.family, self.sock.getpeername(), self.sock.getsockname())

    def _consumed(self, seconds):
        limit = time.monotonic() + seconds
        while True:
            if not self._unread_at_peer():
                return True
            if time.monotonic() > limit:
                return False
            ready.select([], [], [], 0.0005)

    # --- in --------------------------------------------------------------------------------------

    def _more(self, deadline):
        """One read into the buffer; False at the end of the stream."""
        if self.ended:
            return False
        left = deadline - time.monotonic()
        if left <= 0 or not ready.select([self.sock], [], [], left)[0]:
            raise Late("%s: nothing more came; have %r" % (self.name, bytes(self.buf[-SHOWN:])))
        try:
            data = self.sock.recv(262144)
        except (ConnectionResetError, BrokenPipeError):
            self.ended = "reset"
            self.note("is reset")
            return False
        if not data:
            self.ended = "eof"
            self.note("sees end")
            return False
        self.note("gets", data)
        self.buf += data
        return True

    def _take(self, n):
        data = bytes(self.buf[:n])
        del self.buf[:n]
        return data

    def read(self, n, seconds=DEADLINE):
        """Exactly n bytes."""
        deadline = time.monotonic() + seconds
        while len(self.buf) < n:
            if not self._more(deadline):
                raise Ended("%s: %s after %d of %d bytes" % (self.name, self.ended, len(self.buf), n))
        return self._take(n)

    def read_until(self, mark, seconds=DEADLINE):
        """Bytes up to and with the mark."""
        deadline = time.monotonic() + seconds
        while True:
            at = self.buf.find(mark)
            if at >= 0:
                return self._take(at + len(mark))
            if not self._more(deadline):
                raise Ended("%s: %s before %r; have %r" % (self.name, self.ended, mark,
                                                          bytes(self.buf[:SHOWN])))

    def read_all(self, seconds=DEADLINE):
        """Everything up to the clean end of the stream; a reset raises."""
        deadline = time.monotonic() + seconds
        while self._more(deadline):
            pass
        if self.ended == "reset":
            raise Ended("%s: reset after %d bytes" % (self.name, len(self.buf)))
        return self._take(len(self.buf))

    def expect(self, data):
        """Exactly these bytes come next."""
        got = self.read(len(data))
        assert got == data, "%s: expected %r, got %r" % (self.name, data[:SHOWN], got[:SHOWN])
        return self

    def expect_end(self, how=("eof", "reset"), seconds=DEADLINE):
        """The peer ends the connection, and sends nothing before it."""
        deadline = time.monotonic() + seconds
        while self._more(deadline):
            pass
        assert not self.buf, "%s: bytes before the end: %r" % (self.name, bytes(self.buf[:SHOWN]))
        assert self.ended in how, "%s: ended by %s" % (self.name, self.ended)

    def expect_cut(self, seconds=DEADLINE):
        """The peer ends the connection; whatever came before it is dropped and returned."""
        deadline = time.monotonic() + seconds
        while self._more(deadline):
            pass
        return self._take(len(self.buf))

    def is_open(self):
        """Nothing to read and no end seen at this moment."""
        return not self.ended and not ready.select([self.sock], [], [], 0)[0]

    # --- HTTP ------------------------------------------------------------------------------------

    def read_head(self, seconds=DEADLINE):
        return message.Message(self.read_until(b"\r\n\r\n", seconds))

    def read_body(self, head, request_method="GET", seconds=DEADLINE):
        """The body that belongs to the head; a cut one raises Ended."""
        kind, length = head.find_framing(request_method)
        head.framing = kind
        if kind == "length":
            head.body = self.read(length, seconds)
        elif kind == "close":
            head.body = self.read_all(seconds)
        elif kind == "chunked":
            self._read_chunks(head, seconds)
        return head

    def _read_chunks(self, head, seconds):
        pieces = []
        while True:
            line = self.read_until(b"\r\n", seconds)[:-2]
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            pieces.append(self.read(size, seconds))
            end = self.read(2, seconds)
            if end != b"\r\n":
                raise message.Broken("chunk ends with %r" % end)
        head.body = b"".join(pieces)
        while True:
            line = self.read_until(b"\r\n", seconds)[:-2]
            if not line:
                return
            name, _, value = line.decode("latin-1").partition(":")
            head.trailers.append((name.lower(), value.strip()))

    def read_request(self, seconds=DEADLINE):
        head = self.read_head(seconds)
        assert head.method, "a request was expected, got %r" % head.start
        return self.read_body(head, seconds=seconds)

    def read_response(self, method="GET", seconds=DEADLINE):
        """The next reply, interim ones included."""
        head = self.read_head(seconds)
        assert head.status, "a reply was expected, got %r" % head.start
        return self.read_body(head, method, seconds)

    def ask(self, method="GET", path="/", host="handler", fields=(), body=None):
        """Sends a request and leaves the answer to be read."""
        return self.send(message.request(method, path, host, fields, body))

    def answer(self, status=200, body=b"", fields=(), phrase="OK"):
        return self.send(message.response(status, body, fields, phrase))
