"""An upstream that answers by itself, on threads: for tests that send many requests and look at what came of them."""
import socket
import threading

from .message import response
from .wire import Transcript, Wire


class Service:
    """answer(message, n) -> status, (status, body), (status, body, fields), or one of HANG, RESET, CLOSE.
    n counts the requests from 0. `hits` are the messages, in order of arrival; `now` may be set to change what answers."""

    HANG, RESET, CLOSE = object(), object(), object()

    def __init__(self, answer=200):
        self.answer = answer
        self.hits, self.lock, self.over = [], threading.Lock(), threading.Event()
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(512)
        self.conns = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def text(self):
        return "%s:%d" % self.sock.getsockname()[:2]

    def _accept(self):
        while not self.over.is_set():
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            self.conns.append(conn)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        wire = Wire(Transcript(), "service", conn)
        conn.settimeout(60)
        try:
            while not self.over.is_set():
                asked = wire.read_request(60)
                with self.lock:
                    n = len(self.hits)
                    self.hits.append(asked)
                what = self.answer(asked, n) if callable(self.answer) else self.answer
                if what is self.HANG:
                    self.over.wait(60)
                    return
                if what is self.RESET:
                    wire.reset()
                    return
                if what is self.CLOSE:
                    return
                status, body, fields = (what if isinstance(what, tuple) else (what,)) + (b"", ())[len(what) - 1 if isinstance(what, tuple) else 0:]
                wire.send(response(status, body, fields))
        except Exception:  # its peer left: the test looks at the agent's side
            pass
        finally:
            conn.close()

    def close(self):
        self.over.set()
        for sock in (self.sock, *self.conns):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
