"""A real redis-server, one for each test that wants it: on a free port, in the test's own directory, without persistence."""
import os
import shutil
import signal
import socket
import subprocess
import time

from .agent import _die_with_parent
from .case import Skip
from .certs import make_certificates
from .wire import DEADLINE


class RedisError(Exception):
    """The server answered with an error."""


class RedisServer:
    """start() and kill() as often as wanted: the port stays, the data go. Ended with the test. space: (harness.node.Namespace, its
    address there) where it runs."""

    def __init__(self, t, *options, password=None, tls=False, started=True, space=None):
        self.path = shutil.which("redis-server")
        if not self.path:
            raise Skip("there is no redis-server")
        self.reserved = t.port()
        self.host, self.port, self.text = self.reserved.host, self.reserved.port, self.reserved.text
        self.prefix = []
        if space:
            self.prefix, self.host = ["nsenter", "--net=" + space[0].path], space[1]
            self.text = "%s:%d" % (self.host, self.port)
        self.folder = os.path.join(t.tempdir(), "redis-%d" % self.port)
        os.mkdir(self.folder)
        self.options, self.password, self.tls, self.proc = list(options), password, tls, None
        # Commands of the test itself go through a Unix socket: no TLS in the way.
        self.socket = os.path.join(self.folder, "socket")
        if tls:
            make_certificates(self.folder)
        t._keep(self)
        if started:
            self.start()

    # --- life ----------------------------------------------------------------------------------

    def start(self):
        """Starts it and waits until it answers."""
        args = self.prefix + [self.path, "--bind", self.host, "--save", "", "--appendonly", "no", "--dir", self.folder,
                "--unixsocket", self.socket, "--port", "0" if self.tls else str(self.port)]
        if self.tls:
            args += ["--tls-port", str(self.port), "--tls-auth-clients", "no", "--tls-cert-file", self.file("server.pem"),
                     "--tls-key-file", self.file("server.key"), "--tls-ca-cert-file", self.ca]
        if self.password:
            args += ["--requirepass", self.password]
        self.proc = subprocess.Popen(args + self.options, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     preexec_fn=_die_with_parent)
        self._until_it_answers()
        return self

    def _until_it_answers(self):
        limit = time.monotonic() + DEADLINE
        while True:
            try:
                if self("PING") == "PONG":
                    return
            except (OSError, RedisError):
                pass
            assert self.proc.poll() is None, "redis-server ended with status %d" % self.proc.returncode
            assert time.monotonic() < limit, "redis-server does not answer"
            time.sleep(0.005)

    def kill(self):
        """SIGKILL: nothing is written, no connection is closed by the program."""
        if self.proc:
            self.proc.kill()
            self.proc.wait()
            self.proc = None

    def stop(self):
        """SIGSTOP: the port answers, the server does not."""
        self.proc.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.proc.send_signal(signal.SIGCONT)

    close = kill

    # --- commands ------------------------------------------------------------------------------

    def __call__(self, *words):
        """One command: text, number, None or a list. RedisError when the server says no."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(self.socket)
            with sock.makefile("rb") as replies:
                if self.password:
                    sock.sendall(_command("AUTH", self.password))
                    _reply(replies)
                sock.sendall(_command(*words))
                return _reply(replies)

    def put(self, name, *pairs, tell=None, **fields):
        """Fields of hash outrider:config:<name>, in one transaction with the message, when there is one."""
        for key, value in fields.items():
            pairs += (key, value)
        self("HSET", "outrider:config:" + name, *pairs)
        if tell is not None:
            self("PUBLISH", "outrider:config", tell)

    def subscribers(self):
        """How many connections hear of channel outrider:config."""
        return self("PUBSUB", "NUMSUB", "outrider:config")[1]

    def file(self, name):
        return os.path.join(self.folder, name)

    @property
    def ca(self):
        return self.file("ca.pem")


def _command(*words):
    out = b"*%d\r\n" % len(words)
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out += b"$%d\r\n%s\r\n" % (len(word), word)
    return out


def _reply(replies):
    line = replies.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the server closed the connection")
    kind, rest = line[:1], line[1:-2]
    if kind == b"-":
        raise RedisError(rest.decode())
    if kind == b"+":
        return rest.decode()
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if int(rest) < 0 else replies.read(int(rest) + 2)[:-2].decode("utf-8", "replace")
    return None if int(rest) < 0 else [_reply(replies) for _ in range(int(rest))]
