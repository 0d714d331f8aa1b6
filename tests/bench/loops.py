"""The cases that measure the product's own code in a loop, without sockets, and what of it is felt in the whole process."""
import json
import subprocess

import fleet
import tools


def looped(bench, name):
    """The JSON that the program says of itself, on a core of its own."""
    try:
        path = tools.of_agent(name)
    except tools.Failed as why:
        print(f"skipped: {name}: {why}")
        return None

    def measure(_):
        done = subprocess.run([path, "json"], stdout=subprocess.PIPE, text=True, timeout=120, check=False, preexec_fn=tools.pin(bench.proxy_core))
        if done.returncode:
            raise tools.Failed(f"{name} ended with {done.returncode}")
        return json.loads(done.stdout)
    return measure


def pick(bench):
    """one pick of peak-ewma among 1,000 endpoints, and with the start and end of its attempt, in a loop of one thread"""
    measure = looped(bench, "balance")
    if measure:
        bench.alternate("pick", measure, rounds=min(3, bench.rounds), proxies=bench.only("outrider"))


class Guarded(fleet.Fleet):
    """The agent as a caller, with or without what guards calls."""

    def __init__(self, name, port, **more):
        super().__init__(port, known=4, up=4, **more)
        self.name = name


GUARDS = {"OUTRIDER_BREAKER": "on", "OUTRIDER_BULKHEAD_MAX": "1000"}
BARE = {"OUTRIDER_BREAKER": "off", "OUTRIDER_RETRY_BUDGET": "off", "OUTRIDER_RETRY_TRIES": "1"}


def guards(bench):
    """breaker, retry budget and bulkhead of a call in a loop of one thread and of two on one circuit; then the whole process with and without them"""
    measure = looped(bench, "circuit")
    if measure:
        bench.alternate("guards", measure, rounds=min(3, bench.rounds), proxies=bench.only("outrider"))
    with fleet.origin(bench) as port:
        kinds = [Guarded("guarded", port, **GUARDS), Guarded("bare", port, **BARE)]
        options = {"connections": 64, "host": "bench"}

        def warm(proxy):
            bench.start(proxy)
            bench.load(proxy, bench.pick(700, 200), **options)
        try:
            bench.alternate("guarded", lambda p: bench.load(p, bench.pick(3000, 600), **options), proxies=kinds, setup=warm)
        finally:
            for kind in kinds:
                kind.stop()
    rows = bench.results.get("guarded", {})
    if rows.get("guarded") and rows.get("bare"):
        for row, a, b in zip(bench.results.get("guards", {}).get("outrider", []), rows["guarded"], rows["bare"]):
            row |= {"process_us": a["cpu_us"] - b["cpu_us"], "guarded_us": a["cpu_us"], "bare_us": b["cpu_us"]}
