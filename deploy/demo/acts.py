"""What happens to the landscape while the traffic runs. An act is a generator: each `yield seconds` gives the turn back
for so long; `yield condition` until the condition holds. Acts run one after another in the main thread, round and round.

To add one: write a method that tells (self.tell) what it is about to do, does it, and undoes it; name it in ROUND."""
import time

import config

PAUSE = 3.0      # between acts
DOWN = 2.0       # how long a killed instance stays away
PATIENCE = 60.0  # until an instance must be up again


class Acts:
    # (act, quotes instance): whole containers and handlers alone, beside an agent of each kind
    ROUND = [("change_config", None), ("kill_instance", 0), ("kill_handler", 2), ("kill_handler", 1), ("kill_instance", 2)]
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

    def run(self):
        yield PAUSE
        while True:
            for name, index in self.ROUND if self.landscape.edge else self.ROUND_WITHOUT_AGENTS:
                yield from getattr(self, name)(*([] if index is None else [self.landscape.quotes[index]]))
                self.done += 1
                yield PAUSE

    def change_config(self):
        """A good change, a broken one, and the way back."""
        place, option = self.landscape.config, "outrider.limit.fields"
        self.tell(f"{option}=200 and demo.greeting=salut into {place.words()}")
        yield from self.put({option: "200", "demo.greeting": "salut"}, lambda page: config.value(page, option) == "200",
                            "live in all {n} agents after {ms:.0f} ms, {failed} requests failed meanwhile")
        yield PAUSE
        self.tell(f"{option}=many: a broken value")
        yield from self.put({option: "many", "demo.greeting": "broken"}, lambda page: page["rejected"],
                            "refused by all {n} agents after {ms:.0f} ms; they go on with 200")
        problem = (config.page(self.landscape.account.host) or {}).get("rejected")
        if problem:
            first = problem["problems"][0]
            self.tell(f"  /config of accounts-1: {first['key']}={first['value']} ({first['origin']})")
            self.tell(f"  {first['why']}")
        yield PAUSE
        self.tell(f"{option}=256: put right")
        yield from self.put(config.GOOD, lambda page: config.value(page, option) == "256" and not page["rejected"],
                            "live in all {n} agents after {ms:.0f} ms, {failed} requests failed meanwhile")

    def put(self, values, live, words):
        """Puts the values and waits until `live` holds for the /config page of every agent."""
        began, failed = time.monotonic(), self.traffic.total.failed
        waiting = list(self.landscape.agents())
        self.landscape.config.put(values)

        def everywhere():
            while waiting:
                page = config.page(waiting[0])
                if not page or not live(page):
                    return False
                waiting.pop(0)
            return True
        yield everywhere
        if waiting:
            self.problem = f"the agent at {waiting[0]} did not take the change within {PATIENCE:.0f} s"
        self.tell(words.format(n=len(self.landscape.agents()), ms=(time.monotonic() - began) * 1000,
                               failed=self.traffic.total.failed - failed))

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
        yield DOWN
        if instance.how == "exec":
            yield lambda: not instance.pids()
            if instance.pids():
                self.problem = f"{instance.name}: outrider exec did not end within {PATIENCE:.0f} s of its child's end"
        self.tell(f"start {instance.name} again")
        before = self.traffic.rows[instance.name].right
        instance.start()
        yield lambda: instance.state == "up"
        yield lambda: self.traffic.rows[instance.name].right > before
        if self.traffic.rows[instance.name].right > before:
            self.tell(f"{instance.name} serves again")
        else:
            self.problem = f"{instance.name} was started again and got no request for {PATIENCE:.0f} s"
