"""A reader of /ui/live, as strict as a browser's EventSource, and the shape of what it reads."""
import json
import time

LATE = 8.0  # seconds between two events on a busy machine; an interval is two
NUMBER, TEXT = (int, float), str
NONE = type(None)

POINT = {"rate": NUMBER, "errors": NUMBER, "p50_ms": NUMBER + (NONE,), "p95_ms": NUMBER + (NONE,), "p99_ms": NUMBER + (NONE,), "active": int}
CHANGE = {"number": int, "time_ms": int, "node": (str, NONE), "kind": TEXT, "service": (str, NONE), "upstream": (str, NONE), "subject": (str, NONE),
          "text": TEXT}
KINDS = ("rollout", "config", "config-refused", "ejected", "readmitted", "circuit", "sidecar-up", "sidecar-down", "handler", "registry", "drain")
HELLO = {"agent": TEXT, "version": TEXT, "command": TEXT, "node": TEXT, "service": (str, NONE), "scope": TEXT, "scopes": list, "interval_ms": int,
         "writes": TEXT, "time_ms": int}
SIDECAR = {"name": TEXT, "service": TEXT, "stack": TEXT, "slot": TEXT, "node": TEXT, "version": (str, NONE), "state": TEXT, "why": TEXT, "handler": TEXT,
           "handler_why": TEXT, "wired": (bool, str, NONE), "in": POINT, "out": POINT,
           "cost": {"cpu_percent": NUMBER, "memory_bytes": int, "connections": int}, "config_errors": int}
EDGE = {"from": TEXT, "instance": TEXT, "from_stack": TEXT, "to": TEXT, "rate": NUMBER, "errors": NUMBER, "p50_ms": NUMBER + (NONE,), "p99_ms": NUMBER + (NONE,),
        "retries": NUMBER, "circuit": TEXT, "healthy": int, "endpoints": int}
CIRCUIT = {"from": TEXT, "instance": TEXT, "to": TEXT, "route": (str, NONE), "key": (str, NONE), "state": TEXT, "since_ms": (int, NONE), "why": TEXT,
           "requests": int, "errors": int, "error_percent": int, "rejected": int, "forced": (str, NONE), "faults": (str, NONE)}
STATE = {"in": POINT, "out": POINT, "sidecars": [SIDECAR], "edges": [EDGE], "circuits": [CIRCUIT],
         "support": [{"kind": TEXT, "name": TEXT, "state": TEXT, "why": TEXT, "detail": TEXT}],
         "process": {"cpu_percent": NUMBER, "memory_bytes": int, "connections": int, "loop_lag_ms": NUMBER, "uptime_ms": int},
         "config_age_ms": (int, NONE), "left_out": {"edges": int, "sidecars": int, "circuits": int}}
SERIES = ("rate", "errors", "p50_ms", "p95_ms", "p99_ms")


def fits(value, shape, at="state"):
    """Has it all of these keys, and no other, each of its type?"""
    if isinstance(shape, dict):
        assert isinstance(value, dict) and set(value) == set(shape), "%s: %s" % (at, set(value) ^ set(shape))
        for key, inner in shape.items():
            fits(value[key], inner, at + "." + key)
    elif isinstance(shape, list):
        assert isinstance(value, list), at
        for i, one in enumerate(value):
            fits(one, shape[0], "%s[%d]" % (at, i))
    else:
        assert isinstance(value, shape) and not (isinstance(value, bool) and bool not in (shape if isinstance(shape, tuple) else (shape,))), \
            "%s is %r" % (at, value)


def state_of(agent, path="/ui/state"):
    page = agent.get(path)
    fits(page.pop("hello"), HELLO, "hello")
    fits(page, STATE)
    return page


def changes_of(agent, kind=None, since=0):
    found = agent.get("/ui/changes?since=%d" % since)["changes"]
    for one in found:
        fits(one, CHANGE, "change")
        assert one["kind"] in KINDS and abs(one["time_ms"] / 1000 - time.time()) < 600, one
    return [one for one in found if kind in (None, one["kind"])]


class Live:
    """One reader. next() is (name, data) of the next event, judged by its framing."""

    def __init__(self, t, agent, query="", prefix="", rcvbuf=0, address=None):
        self.wire = t.client(address or agent.admin, rcvbuf=rcvbuf)
        self.wire.send("GET %s/ui/live%s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n" % (prefix, query))
        self.head = self.wire.read_head()
        self.text = b""

    def _more(self, seconds):
        size = int(self.wire.read_until(b"\r\n", seconds), 16)
        if not size:
            raise EOFError("the stream was ended")
        self.text += self.wire.read(size, seconds)
        self.wire.expect(b"\r\n")

    def next(self, seconds=LATE):
        while True:
            while b"\n\n" not in self.text:
                self._more(seconds)
            event, _, self.text = self.text.partition(b"\n\n")
            if event.startswith(b":"):
                continue
            lines = event.decode("utf-8", "strict").split("\n")
            assert len(lines) == 2 and lines[0].startswith("event: ") and lines[1].startswith("data: "), "%r" % event[:200]
            return lines[0][7:], json.loads(lines[1][6:])

    def until(self, name, what, check=lambda data: True, seconds=15.0):
        """The data of the first event of that name for which check() holds, and what that is."""
        limit = time.monotonic() + seconds
        seen = None
        while time.monotonic() < limit:
            kind, data = self.next()
            if kind != name:
                continue
            seen = data
            if check(data):
                return data
        raise AssertionError("%s: no such %s within %.0f s; the last: %s" % (what, name, seconds, json.dumps(seen)[:3000]))

    def tick(self, what="a tick", check=lambda agents: True, seconds=15.0):
        """The elements of the first tick for which check() holds."""
        return self.until("tick", what, lambda data: check(data["agents"]), seconds)["agents"]
