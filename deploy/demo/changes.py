"""The act of configuration: a value is changed while the traffic runs, a broken one is refused, and put right again."""
import http.client
import json
import time

OPTION = "outrider.timeout.head"    # of the agents
PROPERTY = "demo.greeting"          # of the services themselves, served on /app/config
LIMIT = 1.0                         # seconds until a change is live everywhere
PATIENCE = 10.0                     # until this act gives up
ASK_EVERY = 0.01
AFTER = 0.5                         # how long the traffic is watched after a change
PROFILES = [("30s", "good day"), ("20s", "good evening")]
BROKEN = {OPTION: "soon", PROPERTY: "good grief"}


def ask(admin, path):
    """(status, body) of an admin page of an agent."""
    connection = http.client.HTTPConnection(*admin, timeout=2)
    try:
        connection.request("GET", path, headers={"X-Outrider": "1"})
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def config(admin):
    return json.loads(ask(admin, "/config")[1])


def holds(admin, values):
    """True when this agent and its service have these values, and nothing is refused."""
    page = config(admin)
    option = next(option["value"] for option in page["options"] if option["key"] == OPTION)
    status, greeting = ask(admin, "/app/config/" + PROPERTY)
    return option == values[OPTION] and status == 200 and greeting == values[PROPERTY] and not page["rejected"]


class Change:
    def __init__(self, landscape, traffic, tell, turn):
        self.landscape, self.traffic, self.tell = landscape, traffic, tell
        self.settings = landscape.settings
        timeout, greeting = PROFILES[turn % 2]
        self.good = {OPTION: timeout, PROPERTY: greeting}
        self.right = {OPTION: "45s", PROPERTY: greeting + " again"}
        self.problem, self.took, self.failed, self.done = "", 0.0, 0, 0

    def run(self):
        self.tell(f"config: {self.settings.source} ({self.settings.promise})")
        yield from self.change("change", self.good)
        if not self.problem:
            yield from self.refuse()
        if not self.problem:
            yield from self.change("put right", self.right)

    def begin(self, what, values):
        self.tell(f"{what}: {OPTION}={values[OPTION]}, {PROPERTY}={values[PROPERTY]}")
        with self.traffic.lock:
            self.failed, self.done = self.traffic.total.failed, self.traffic.total.right
        self.began = time.monotonic()
        self.settings.put(values)

    def everywhere(self, condition, what):
        """Gives turns until the condition held once at every agent; the time that took is self.took."""
        waiting = self.landscape.admins()
        while waiting:
            waiting = {name: admin for name, admin in waiting.items() if not self.seen(condition, admin)}
            self.took = time.monotonic() - self.began
            if self.took > PATIENCE:
                self.problem = f"a config change was not {what} within {PATIENCE:.0f} s by {', '.join(waiting)}"
                return
            if waiting:
                yield ASK_EVERY
        if self.took > LIMIT:
            self.problem = f"a config change took {self.took:.2f} s to be {what}, more than {LIMIT:g} s"

    @staticmethod
    def seen(condition, admin):
        try:
            return condition(admin)
        except (OSError, http.client.HTTPException):
            return False

    def result(self, what):
        with self.traffic.lock:
            failed, done = self.traffic.total.failed - self.failed, self.traffic.total.right - self.done
        self.tell(f"  {what} all {len(self.landscape.admins())} agents after {self.took * 1000:.0f} ms; "
                  f"meanwhile {done} requests answered, {failed} failed")

    def change(self, what, values):
        self.begin(what, values)
        yield from self.everywhere(lambda admin: holds(admin, values), "live")
        yield AFTER
        self.result("live in")

    def refuse(self):
        self.begin("a broken value", BROKEN)
        yield from self.everywhere(lambda admin: config(admin)["rejected"], "refused")
        yield AFTER
        self.result("refused by")
        if self.problem:
            return
        for name, admin in self.landscape.admins().items():
            if ask(admin, "/app/config/" + PROPERTY)[1] != self.good[PROPERTY]:
                self.problem = f"{name} took half of a refused change"
        admin = self.landscape.admins()["accounts-1"]
        for problem in config(admin)["rejected"]["problems"]:
            self.tell(f"  http://{admin[0]}:{admin[1]}/config says:")
            for part in ("key", "value", "origin", "why"):
                self.tell(f"    {part:<7}{problem[part]}")
            self.tell(f"  the last good values stay: {PROPERTY}={self.good[PROPERTY]}")
