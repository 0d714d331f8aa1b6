"""Steady traffic: so many requests a second over a few kept connections, every reply checked to the last value.

Nothing is repeated here: a request that fails once is a failed request, and the demo says so."""
import collections
import http.client
import json
import random
import re
import socket
import threading
import time

QUOTES = ["To be or not to be", "You, too, Brutus?", "Champagne should be cold, dry and free",
          "I think, therefore I am", "In vino veritas", "Less is more"]
RECENT = 2000      # percentiles are those of so many last requests
TIMEOUT = 30       # seconds; far above what any request here may take


class Wrong(Exception):
    """The reply came and is not what the service should have answered."""


def check_account(number, status, headers, body):
    """Name of the quotes instance that answered, or Wrong."""
    if status != 200:
        reason = headers.get("x-outrider-reason")
        raise Wrong(f"status {status}" + (f", x-outrider-reason: {reason}" if reason else "") + f", body {body[:400]!r}")
    try:
        reply = json.loads(body)
        expected = {"id": str(number), "name": f"Person {number}", "quote": QUOTES[number % len(QUOTES)],
                    "image": f"/images/{number}.svg"}
        if {key: reply[key] for key in expected} != expected:
            raise Wrong(f"not the account that was asked for: {body[:400]!r}")
        return reply["quotedBy"]
    except (ValueError, KeyError, TypeError) as error:
        raise Wrong(f"no account ({error!r}): {body[:400]!r}") from error


def check_image(number, status, headers, body):
    """The picture bears its number, or Wrong."""
    text = body.decode(errors="replace")
    if status != 200:
        check_account(number, status, headers, body)
    if not text.startswith("<svg ") or not text.endswith(f">{number}</text></svg>"):
        raise Wrong(f"not the picture that was asked for: {body[:400]!r}")
    return None


def kind(status, wrong):
    """What failures have in common: the status, and the agents' reasons in header or body; else the first words."""
    reasons = re.findall(r'"reason":"([a-z0-9-]+)"', wrong) or re.findall(r"x-outrider-reason: ([a-z0-9-]+)", wrong)
    return f"status {status}, " + (f"x-outrider-reason: {', '.join(reasons)}" if reasons else wrong.split(":")[0][:60])


class Numbers:
    """Counts and latencies of one row of the table."""

    def __init__(self):
        self.right = self.failed = 0
        self.recent = collections.deque(maxlen=RECENT)

    def percentile(self, part):
        """Milliseconds, or None before the first reply."""
        values = sorted(self.recent)
        return values[min(len(values) - 1, int(len(values) * part))] * 1000 if values else None


class Traffic:
    def __init__(self, entry, rate=80, connections=8, images=True):
        self.entry, self.rate, self.images = entry, rate, images
        self.lock = threading.Lock()
        self.total = Numbers()
        self.rows = collections.defaultdict(Numbers)      # by route and by quotes instance
        self.statuses = collections.Counter()
        self.failures = {}                                # by kind: [count, the first of them in words]
        self.started = self.turn = 0.0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(connections)]

    def start(self):
        self.started = self.turn = time.monotonic()
        for thread in self.threads:
            thread.start()

    def stop(self):
        """Lets what is under way finish, and returns then."""
        self.stopping.set()
        for thread in self.threads:
            if thread.is_alive():
                thread.join()

    def next_turn(self):
        """When the next request is due. After a stall the lost turns are not made up for."""
        with self.lock:
            self.turn = max(self.turn + 1 / self.rate, time.monotonic() - 0.5)
            return self.turn

    def run(self):
        connection = http.client.HTTPConnection(*self.entry, timeout=TIMEOUT)
        while not self.stopping.wait(max(0.0, self.next_turn() - time.monotonic())):
            self.one(connection)
        connection.close()

    def one(self, connection):
        number = random.randrange(1, 10000)
        image = self.images and random.random() < 0.2
        path, check = (f"/images/{number}.svg", check_image) if image else (f"/accounts/{number}", check_account)
        begin, status, instance, wrong = time.monotonic(), "none", None, ""
        try:
            if connection.sock is None:
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.request("GET", path)
            reply = connection.getresponse()
            status, body = reply.status, reply.read()
            instance = check(number, reply.status, reply.headers, body)
        except (OSError, http.client.HTTPException, Wrong) as error:
            wrong = str(error) if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
            connection.close()
        self.count(path, status, instance, time.monotonic() - begin, wrong)

    def count(self, path, status, instance, seconds, wrong):
        with self.lock:
            self.statuses[status] += 1
            names = [path[:path.rindex("/")]] + ([instance] if instance else [])
            for numbers in [self.total] + [self.rows[name] for name in names]:
                if wrong:
                    numbers.failed += 1
                else:
                    numbers.right += 1
                numbers.recent.append(seconds)
            if wrong:
                at = f"{time.monotonic() - self.started:.2f} s"
                first = f"GET {path} at {at}, after {seconds * 1000:.0f} ms: {wrong}"
                self.failures.setdefault(kind(status, wrong), [0, first])[0] += 1

    def elapsed(self):
        return time.monotonic() - self.started
