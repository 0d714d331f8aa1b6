"""What happens to the landscape while the traffic runs. An act is a generator: each `yield seconds` gives the turn back
for so long; `yield condition` until the condition holds. Acts run one after another in the main thread, round and round.

Acts of configuration are in changes.py, those of chaos in chaos.py. To add one: write a method that tells (self.tell) what it is about to do, does it, and undoes it; name it in ROUND."""
import time

import changes
import chaos

PAUSE = 2.0      # between acts
DOWN = 2.0       # how long a killed instance stays away
PATIENCE = 60.0  # until an instance must be up again


class Acts:
    # (act, quotes instance): whole containers and handlers alone, beside an agent of each kind
    ROUND = [("configure", None), ("kill_instance", 0), ("absent", None), ("hang", None), ("fail", None), ("kill_handler", 2), ("flap", None), ("slow", None), ("kill_handler", 1), ("kill_instance", 2)]
    ROUND_WITHOUT_AGENTS = [("kill_handler", 0)]  # then only the first one is called at all

    def __init__(self, landscape, traffic, tell):
        self.landscape, self.traffic, self.tell = landscape, traffic, tell
        self.done = 0
        self.problem = ""
        self.play = self.run()
        self.wait_for, self.due = None, time.monotonic()

    def tick(self):
        """To be called often; does at most one short step."""
        now = time.monotonic()
        if self.wait_for and now < self.due and not self.wait_for():
            return
        if not self.wait_for and now < self.due:
            return
        step = next(self.play)
        self.wait_for = step if callable(step) else None
        self.due = now + (PATIENCE if self.wait_for else step)

    def end(self):
        """Undoes what the act under way did."""
        self.play.close()

    def run(self):
        yield PAUSE
        while True:
            for name, index in self.ROUND if self.landscape.edge else self.ROUND_WITHOUT_AGENTS:
                if index is None:
                    yield from getattr(self, name)()
                else:
                    yield from getattr(self, name)(self.landscape.quotes[index])
                self.done += 1
                yield PAUSE

    def configure(self):
        change = changes.Change(self.landscape, self.traffic, self.tell, self.done)
        yield from change.run()
        self.problem = change.problem

    def hang(self):
        yield from chaos.Chaos(self.landscape, self.traffic, self.tell).hang()

    def absent(self):
        yield from chaos.Chaos(self.landscape, self.traffic, self.tell).absent()

    def slow(self):
        yield from chaos.Chaos(self.landscape, self.traffic, self.tell).slow()

    def fail(self):
        yield from chaos.Chaos(self.landscape, self.traffic, self.tell).fail()

    def flap(self):
        yield from chaos.Chaos(self.landscape, self.traffic, self.tell).flap()

    def kill_instance(self, instance):
        what = "handler" if instance.how == "none" else "handler and agent at once"
        self.tell(f"kill -9 {instance.name}: {what} ({', '.join(map(str, instance.pids()))})")
        instance.kill_all()
        yield from self.bring_back(instance)

    def kill_handler(self, instance):
        after = {"exec": "; its agent ends with it", "sidecar": "; its agent stays"}.get(instance.how, "")
        self.tell(f"kill -9 {instance.name}: the handler alone{after}")
        instance.kill_handler()
        yield from self.bring_back(instance)

    def bring_back(self, instance):
        yield DOWN / 2
        instance.gone = not instance.pids()  # the container ended: swarm's DNS forgets it
        self.landscape.tell_registry()
        yield DOWN / 2
        if instance.how == "exec":
            yield lambda: not instance.pids()
            if instance.pids():
                self.problem = f"{instance.name}: outrider exec did not end within {PATIENCE:.0f} s of its child's end"
        self.tell(f"start {instance.name} again")
        before = self.traffic.rows[instance.name].right
        instance.start()
        yield lambda: instance.state == "up"
        instance.gone = False
        self.landscape.tell_registry()
        yield lambda: self.traffic.rows[instance.name].right > before
        if self.traffic.rows[instance.name].right > before:
            self.tell(f"{instance.name} serves again")
        else:
            self.problem = f"{instance.name} was started again and got no request for {PATIENCE:.0f} s"
