"""The acts of chaos: an instance that is slow, one that fails, one that hangs, and one that comes and goes; a service that has none. Its callers' agent gives each attempt TRY, then asks another
instance; one that keeps failing is put aside, and comes back by one call."""
import json
import os
import signal

import changes

ABSENT = "reports-service"  # accountservice's agent knows it, and nobody listens there
CALLS = 45                  # enough for its circuit: breaker.volume is 20
TRY = "250ms"  # outrider.upstream.quotes-service.timeout.try of accountservice's agent


def counters(admin):
    """(attempts that were made again, instances put aside, instances that came back) of an agent."""
    said = json.loads(changes.ask(admin, "/stats")[1])["counters"]
    return [said["outrider_" + name + "_total"] for name in ("retries", "ejections", "readmissions")]


class Chaos:
    def __init__(self, landscape, traffic, tell):
        self.landscape, self.traffic, self.tell = landscape, traffic, tell
        self.admin = landscape.admins()["accounts-1"]

    def begin(self):
        self.before = counters(self.admin)
        with self.traffic.lock:
            self.failed, self.done = self.traffic.total.failed, self.traffic.total.right

    def result(self):
        retries, ejected, back = (now - then for now, then in zip(counters(self.admin), self.before))
        with self.traffic.lock:
            failed, done = self.traffic.total.failed - self.failed, self.traffic.total.right - self.done
        self.tell(f"  {retries} calls were answered by another instance; put aside {ejected} times, back {back} times; "
                  f"{done} requests answered, {failed} failed")

    def busiest(self):
        """Of the last half second: an illness that nobody meets shows nothing."""
        rows = self.traffic.rows
        before = {instance.name: rows[instance.name].right for instance in self.landscape.quotes}
        yield 0.5
        return max(self.landscape.quotes, key=lambda instance: rows[instance.name].right - before[instance.name])

    def slow(self):
        """It answers all, ten times later than the others: calls go where they are answered sooner."""
        yield from self.sicken("slow", "is slow: 150 ms for each answer")

    def fail(self):
        """It answers 503 to all: calls are made again elsewhere, and it is put aside."""
        yield from self.sicken("fail", "answers 503 to everything")

    def sicken(self, how, words, seconds=3.0):
        instance = yield from self.busiest()
        self.tell(f"{instance.name} {words}, for {seconds:g} s")
        self.begin()
        before = {row: self.traffic.rows[row].right for row in (i.name for i in self.landscape.quotes)}
        with open(instance.sick, "w", encoding="ascii") as file:
            file.write(how)
        yield seconds
        os.unlink(instance.sick)
        served = {name: self.traffic.rows[name].right - n for name, n in before.items()}
        yield 0.5
        self.result()
        self.tell(f"  it answered {served[instance.name]} of {sum(served.values())}")

    def hang(self, seconds=3.0):
        """SIGSTOP: it accepts, and never answers."""
        instance = yield from self.busiest()
        self.tell(f"{instance.name} hangs (SIGSTOP of its handler) for {seconds:g} s; an attempt may take {TRY}")
        self.begin()
        pids = instance.handler_pids()
        yield from away(pids, seconds)
        yield 0.5
        self.result()

    def absent(self):
        """The only calls that fail in the demo, and they are the demo's own: nothing else depends on that service."""
        self.tell(f"{CALLS} calls of {ABSENT}, which has no instance")
        refused = 0
        for _ in range(CALLS):
            status, body = changes.ask(self.landscape.absent(), "/report")
            refused += status == 503 and "circuit-open" in body
            yield 0.02
        self.tell(f"  {CALLS - refused} failed, then its circuit opened: {refused} were refused at once")

    def flap(self, times=4):
        """Half a second there, half a second away."""
        instance = yield from self.busiest()
        self.tell(f"{instance.name} flaps: {times} times half a second away, half a second there")
        self.begin()
        pids = instance.handler_pids()
        for _ in range(times):
            yield from away(pids, 0.5)
            yield 0.5
        self.result()


def away(pids, seconds):
    """Stopped for so long, or until the demo ends meanwhile: who is stopped cannot be told to end."""
    send(pids, signal.SIGSTOP)
    try:
        yield seconds
    finally:
        send(pids, signal.SIGCONT)


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
