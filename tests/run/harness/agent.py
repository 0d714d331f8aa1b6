"""The process under test."""
import ctypes
import http.client
import json
import os
import re
import resource
import signal
import subprocess
import tempfile
import time

from .wire import DEADLINE

REPORTS = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer"
                     r"|runtime error:|Assertion .* failed|stack smashing|double free|corrupted size)")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
BINARY = os.environ.get("OUTRIDER_BIN", "build/outrider")


def binary():
    return os.path.abspath(os.environ.get("OUTRIDER_BIN", BINARY))


def sanitized():
    """Is the binary under test built with a sanitizer? Memory figures mean nothing then."""
    with open(binary(), "rb") as image:
        data = image.read()
    return b"__asan_init" in data or b"__tsan_init" in data


def environment(extra):
    """Nothing of the caller's OUTRIDER_* or proxy variables may leak into a test."""
    env = {key: value for key, value in os.environ.items()
           if not key.startswith("OUTRIDER_") and not key.lower().endswith("_proxy")}
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    env.setdefault("TSAN_OPTIONS", "exitcode=99")
    env.update({key: str(value) for key, value in extra.items() if value is not None})
    return env


def run(args, env=None, seconds=20, stdin=None, pass_fds=()):
    """A command that ends by itself: (status, stdout, stderr)."""
    done = subprocess.run([binary()] + list(args), env=environment(env or {}), timeout=seconds, input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=pass_fds, check=False)
    err = done.stderr.decode("utf-8", "replace")
    assert not REPORTS.search(err), "sanitizer report:\n" + err[-4000:]
    return done.returncode, done.stdout.decode("utf-8", "replace"), err


class Agent:
    """A running agent. `addresses` names its listeners: inbound, outbound, admin, edge … as (host, port)."""

    def __init__(self, transcript, args, env, addresses=None, expect_status=0, files=None, cage=None):
        """files: the most descriptors that it may have open; a pair: the soft and the hard limit. cage: a Cage that it runs in."""
        self.transcript, self.args, self.env = transcript, list(args), dict(env)
        self.addresses = addresses or {}
        self.expect_status, self.cage = expect_status, cage
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.status = None
        self.proc = subprocess.Popen((cage.words() if cage else []) + [binary()] + self.args, env=environment(self.env), stdin=subprocess.DEVNULL,
                                     stdout=self.out, stderr=self.err, preexec_fn=lambda: _prepare(files))
        transcript.note("agent", "starts", " ".join(self.args).encode())

    def __getattr__(self, name):
        addresses = self.__dict__.get("addresses", {})
        if name in addresses:
            return addresses[name]
        raise AttributeError(name)

    @property
    def pid(self):
        return self.proc.pid

    def stderr(self):
        return _slurp(self.err)

    def stdout(self):
        return _slurp(self.out)

    def lines(self):
        """The whole lines of its stderr. A line that is still being written is none yet: a log of thousands of lines comes in pieces."""
        return self.stderr().rpartition("\n")[0].splitlines()

    # --- states --------------------------------------------------------------------------------

    def counted(self, name, value, seconds=DEADLINE):
        """Until the counter has this value: what a reply caused is counted after the reply has left."""
        self.until("%s is %d" % (name, value), lambda: self.get("/stats")["counters"][name] == value, seconds)

    patience = DEADLINE  # of until(); node tests, whose containers are many processes, take more

    def until(self, what, check, seconds=None):
        """Polls check() until it is true; its last value is returned."""
        seconds = seconds or self.patience
        limit = time.monotonic() + seconds
        while True:
            value = check()
            if value:
                return value
            if time.monotonic() > limit:
                raise AssertionError("%s: not within %.1f s; last value %r" % (what, seconds, value))
            if self.proc.poll() is not None:
                raise AssertionError("%s: the agent has ended with status %d\n%s"
                                     % (what, self.proc.returncode, self.stderr()[-2000:]))
            time.sleep(0.005)

    def wait_ready(self, seconds=DEADLINE):
        self.until("ready", self._serves, seconds)
        self.transcript.note("agent", "is ready")
        return self

    def _serves(self):
        """It serves; its handler may still be away, which is what some tests are about."""
        try:
            status, _, body = self.admin_call("GET", "/ready")
        except OSError:
            return False
        return status == 200 or (b'"phase":"ready"' in body and b'"why":' in body)

    def ready(self):
        """Status of /ready; 0 while nobody listens."""
        try:
            return self.admin_call("GET", "/ready")[0]
        except OSError:
            return 0

    def admin_call(self, method, path, headers=None, body=None, host=None):
        """(status, headers, body) of a call to the admin port."""
        address = self.addresses["admin"]
        conn = http.client.HTTPConnection(address[0], address[1], timeout=DEADLINE)
        try:
            conn.putrequest(method, path, skip_host=host is not None, skip_accept_encoding=True)
            if host:
                conn.putheader("Host", host)
            for key, value in (headers or {}).items():
                conn.putheader(key, value)
            if body is not None:
                conn.putheader("Content-Length", str(len(body)))
            conn.endheaders(body)
            reply = conn.getresponse()
            return reply.status, dict((k.lower(), v) for k, v in reply.getheaders()), reply.read()
        except http.client.HTTPException as why:
            raise ConnectionError(str(why)) from why
        finally:
            conn.close()

    def get(self, path):
        """The JSON of an admin page."""
        status, _, body = self.admin_call("GET", path)
        assert status == 200, "%s: %d %r" % (path, status, body[:400])
        return json.loads(body)

    def rss(self):
        """Resident memory in KiB."""
        with open("/proc/%d/status" % self.pid) as text:
            return int(re.search(r"VmRSS:\s+(\d+)", text.read()).group(1))

    def cpu(self):
        """Seconds that all of its threads ran on a core so far, as the scheduler counts them."""
        folder, sum_ns = "/proc/%d/task" % self.pid, 0
        for thread in os.listdir(folder):
            with open("%s/%s/schedstat" % (folder, thread), encoding="ascii") as text:
                sum_ns += int(text.read().split()[0])
        return sum_ns / 1e9

    # --- the end -------------------------------------------------------------------------------

    def signal(self, number):
        self.transcript.note("agent", "gets " + signal.Signals(number).name)
        self.proc.send_signal(number)

    def wait(self, seconds=DEADLINE):
        """The exit status; negative when a signal ended it."""
        try:
            self.status = self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("the agent did not end within %.1f s" % seconds) from None
        self.transcript.note("agent", "ended %d" % self.status)
        return self.status

    def leave(self):
        """SIGTERM, and the wait until it has drained and left."""
        self.signal(signal.SIGTERM)
        assert self.wait() == 0, self.status

    def die(self):
        """SIGKILL: nothing is said to anybody."""
        self.expect_status = -signal.SIGKILL
        self.signal(signal.SIGKILL)
        self.wait()

    def finish(self):
        """Ends it if it runs, and returns a complaint or None."""
        ended_by_itself = self.proc.poll() is not None
        if not ended_by_itself:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.proc.send_signal(signal.SIGABRT)
                self.proc.wait()
                return "the agent did not end after SIGTERM"
        status = self.proc.returncode
        report = REPORTS.search(self.stderr())
        if report:
            return "sanitizer report or crash on stderr: " + report.group(1)
        if ended_by_itself and self.status is None:
            return "the agent ended by itself with status %d" % status
        if status != self.expect_status and self.expect_status is not None:
            return "the agent's exit status is %d, not %d" % (status, self.expect_status)
        return None

    def close(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        if self.cage:
            self.cage.close()
        self.out.close()
        self.err.close()


def _die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _prepare(files):
    _die_with_parent()
    if files:
        resource.setrlimit(resource.RLIMIT_NOFILE, files if isinstance(files, tuple) else (files, files))



def _slurp(file):
    file.flush()
    return os.pread(file.fileno(), 1 << 20, 0).decode("utf-8", "replace")
