"""Peers that listen: well-behaved ones and those that refuse, stall or never accept."""
import os
import socket

from .wire import DEADLINE, Late, Wire
from . import ready


class Port:
    """A port that no other test gets. It is bound and not listening: connecting to it is refused, and the agent, which
    sets SO_REUSEADDR or SO_REUSEPORT, can still listen on it. bind(0) and connect() never hand it out a second time."""

    def __init__(self, host="127.0.0.1"):
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(self.family, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.sock.bind((host, 0))
        self.host, self.port = host, self.sock.getsockname()[1]

    @property
    def text(self):
        return ("[%s]:%d" if ":" in self.host else "%s:%d") % (self.host, self.port)

    def close(self):
        self.sock.close()


class Origin:
    """A listener. address: (host, port), a path, or "@name" in the abstract space."""

    def __init__(self, transcript, name, address=("127.0.0.1", 0), backlog=64, rcvbuf=0):
        self.transcript, self.name, self.count = transcript, name, 0
        self.path = None
        if isinstance(address, tuple):
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        else:
            family = socket.AF_UNIX
            if address.startswith("@"):
                address = "\0" + address[1:]
            else:
                self.path = address
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if family != socket.AF_UNIX:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.bind(address)
        self.sock.listen(backlog)
        self.sock.settimeout(DEADLINE)
        self.fillers = []

    @property
    def port(self):
        return self.sock.getsockname()[1]

    @property
    def text(self):
        host, port = self.sock.getsockname()[:2]
        return ("[%s]:%d" if ":" in host else "%s:%d") % (host, port)

    def accept(self, seconds=DEADLINE):
        if not ready.select([self.sock], [], [], seconds)[0]:
            raise Late("%s: nobody connected" % self.name)
        sock, _ = self.sock.accept()
        self.count += 1
        wire = Wire(self.transcript, "%s.%d" % (self.name, self.count), sock)
        wire.note("accepts")
        return wire

    def accept_and_close(self):
        self.accept().close()

    def accept_and_reset(self):
        self.accept().reset()

    def untouched(self):
        """Nobody has connected since the last accept."""
        return not ready.select([self.sock], [], [], 0)[0]

    def never_accept(self):
        """From now on a connect gets no answer: the accept queue is full and stays so."""
        self.sock.listen(0)
        for _ in range(8):
            filler = socket.socket(self.sock.family, socket.SOCK_STREAM)
            filler.setblocking(False)
            filler.connect_ex(self.sock.getsockname())
            self.fillers.append(filler)
            if not ready.select([], [filler], [], 0.2)[1]:
                return self
        return self

    def refuse(self):
        """Nobody listens any more."""
        self.transcript.note(self.name, "refuses")
        self.close()

    def close(self):
        self.sock.close()
        for filler in self.fillers:
            filler.close()
        if self.path and os.path.exists(self.path):
            os.unlink(self.path)
