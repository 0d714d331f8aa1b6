"""A peer's process: started with its log in a file, waited for, ended by its pid."""
import http.client
import json
import os
import signal
import subprocess
import time

START = 120.0  # seconds that a peer may take to answer: a JVM takes 15 on an idle machine, 50 on a busy one
STOP = 20.0


class Process:
    """One peer. A subclass says argv(), env() and answers(); start() and stop() may follow each other any number of times."""

    jvm = False  # counts among the estate's JVMs
    uses = ()    # names of peers that must run before it starts

    def __init__(self, name, estate):
        self.name, self.estate, self.proc = name, estate, None
        self.log = os.path.join(estate.logs, name + ".log")

    @classmethod
    def require(cls, estate):
        """Makes ready what it takes to start one; raises Missing when this machine does not have it."""

    def argv(self):
        raise NotImplementedError

    def env(self):
        """Variables beside those of the caller."""
        return {}

    def answers(self):
        """Is it ready for the tests?"""
        raise NotImplementedError

    # --- life ------------------------------------------------------------------------------------

    def running(self):
        return self.proc is not None and self.proc.poll() is None

    def start(self):
        """Starts it unless it runs, and waits until it answers."""
        self.launch()
        return self.wait()

    def launch(self):
        """Starts it unless it runs; does not wait."""
        if self.running():
            return
        if self.proc is not None:  # it ended by itself
            self.estate.guardian.ended(self.proc.pid)
        self.estate.make_room(self)
        self.began, self.told = time.monotonic(), False
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen(self.argv(), env=dict(os.environ, **self.env()), stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                                         cwd=self.estate.folder)
        self.estate.guardian.began(self.proc.pid)

    def wait(self):
        limit = self.began + START
        while not self.answers():
            if self.proc.poll() is not None:
                raise AssertionError("%s ended by itself with %d, see %s" % (self.name, self.proc.returncode, self.log))
            if time.monotonic() > limit:
                raise AssertionError("%s did not answer within %d s, see %s" % (self.name, START, self.log))
            time.sleep(0.05)
        if not self.told:
            self.told = True
            self.estate.say("     %s answers after %.1f s" % (self.name, time.monotonic() - self.began))
        return self

    def stop(self, number=signal.SIGTERM):
        """Ends it by SIGTERM, then by SIGKILL, with what it started (its own process group)."""
        if self.proc is None:
            return
        for sign in (number, signal.SIGKILL):
            if self.proc.poll() is None:
                os.killpg(self.proc.pid, sign)
                try:
                    self.proc.wait(STOP)
                except subprocess.TimeoutExpired:
                    pass
        self.estate.guardian.ended(self.proc.pid)
        self.proc = None

    def kill(self):
        self.stop(signal.SIGKILL)


class Http:
    """Calls to a peer that speaks HTTP on self.port."""

    def call(self, method, path, body=None, fields=None, seconds=30.0):
        """(status, body as text)"""
        conn = http.client.HTTPConnection("127.0.0.1", self.port.port, timeout=seconds)
        try:
            conn.request(method, path, body, fields or {})
            reply = conn.getresponse()
            return reply.status, reply.read().decode("utf-8", "replace")
        finally:
            conn.close()

    def json(self, path):
        status, body = self.call("GET", path, fields={"Accept": "application/json"})
        assert status == 200, "%s: %s answered %d %s" % (self.name, path, status, body[:300])
        return json.loads(body)

    def answers_at(self, path):
        try:
            return self.call("GET", path, seconds=5.0)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.port.port
