"""Runs tests that share real peers: one after another, in the order in which they are written. `tests/interop/run` and
`tests/swarm/run` use it.

A test is a function test_* of a file test_*.py; it gets a Case and the estate, and may carry `running` and `down` (peers that it
needs, or must find stopped; RUNNING of its module is the default), `limit` (seconds; LIMIT of its module, else 60) and `rows`. An estate has start(peer) and require(peer), which raises Missing.

AGAIN=N (as for tests/run/run.py) runs what failed, N tests at most, once more at the end, and names what passes then as unsteady."""
import fnmatch
import importlib
import os
import signal
import sys
import time
import traceback

from .case import Case, Skip


class Missing(Exception):
    """This machine does not have the peer and cannot get it; the text says why, in one line."""


class Timeout(BaseException):
    pass


class Test:
    def __init__(self, tier, name, function, arguments=()):
        self.tier, self.name, self.function, self.arguments = tier, tier + "." + name, function, arguments
        self.running = getattr(function, "running", getattr(sys.modules[function.__module__], "RUNNING", ()))
        self.peers = self.running + getattr(function, "down", ())
        self.limit = getattr(function, "limit", getattr(sys.modules[function.__module__], "LIMIT", 60))


def discover(folder):
    """All tests of a folder, in the order in which they are written: the first ones want peers that nobody started yet."""
    tests = []
    for file in sorted(os.listdir(folder)):
        if not (file.startswith("test_") and file.endswith(".py")):
            continue
        module = importlib.import_module(file[:-3])
        for key, function in list(vars(module).items()):
            if key.startswith("test_") and callable(function):
                assert function.__doc__, "%s.%s has no docstring that says its promise" % (file, key)
                table = getattr(function, "rows", {"": ()})
                tests += [Test(file[5:-3], key[5:] + ("[%s]" % row if row else ""), function, arguments)
                          for row, arguments in table.items()]
    return tests


def chosen(name, pattern):
    return any(part in name or fnmatch.fnmatch(name, part) for part in pattern.split(","))


def say(text):
    print(text, flush=True)


def indent(text, mark):
    return "\n".join(mark + line for line in text.rstrip().split("\n"))


class Runner:
    def __init__(self, estate):
        self.estate, self.passed, self.failed, self.skipped = estate, 0, [], 0
        self.named = set()  # peers whose absence was said

    def run(self, tests):
        for tier in dict.fromkeys(test.tier for test in tests):
            began, before = time.monotonic(), (self.passed, len(self.failed), self.skipped)
            say("--- " + tier)
            for test in tests:
                if test.tier == tier:
                    self.one(test)
            counts = (now - then for now, then in zip((self.passed, len(self.failed), self.skipped), before))
            say("--- %s: %.1f s, %d ok, %d failed, %d skipped" % (tier, time.monotonic() - began, *counts))
        self.once_more(tests, int(os.environ.get("AGAIN") or 0))

    def once_more(self, tests, most):
        """Many failures are no accident: then none is run again."""
        failed = [test for test in tests if test.name in self.failed]
        for test in failed if len(failed) <= most else ():
            say("once more: " + test.name)
            self.failed.remove(test.name)
            self.one(test)
            if test.name not in self.failed:
                say("unsteady: %s failed, and passed when it was run again" % test.name)

    def one(self, test):
        if not self.available(test):
            self.skipped += 1
            return
        began, case = time.monotonic(), Case()
        case.stderr = ""
        try:
            for peer in test.running:
                self.estate.start(peer)
            began = time.monotonic()
            self.perform(test, case)
            problem = None
        except Skip as why:
            self.finish(case)
            self.skipped += 1
            return say("skip %s: %s" % (test.name, why))
        except Timeout:
            problem = "not finished within %d s\n%s" % (test.limit, traceback.format_exc(limit=-4))
        except Exception:
            problem = traceback.format_exc(limit=-4)
        problem = "\n".join(filter(None, [problem] + self.finish(case)))
        if not problem:
            self.passed += 1
            return say("ok   %s (%.1f s)" % (test.name, time.monotonic() - began))
        self.failed.append(test.name)
        say("FAIL %s (%.1f s)\n  promise: %s" % (test.name, time.monotonic() - began, " ".join(test.function.__doc__.split())))
        say(indent(problem, "  ") + "\n" + indent(case.transcript.text(), "  | "))
        if case.stderr.strip():
            say(indent("agent's stderr:\n" + case.stderr[-3000:], "  ! "))

    def available(self, test):
        """False when a peer of the test cannot be had; says so once for each peer."""
        for peer in test.peers:
            try:
                self.estate.require(peer)
            except Missing as why:
                if peer not in self.named:
                    self.named.add(peer)
                    say("skip %s and the tests that need it: %s" % (peer, why))
                return False
            except AssertionError:  # it does not build: start() says so again, as this test's failure
                pass
        return True

    def perform(self, test, case):
        def alarm(_number, _frame):
            raise Timeout()
        signal.signal(signal.SIGALRM, alarm)
        signal.alarm(test.limit)
        try:
            test.function(case, self.estate, *test.arguments)
        finally:
            signal.alarm(0)

    @staticmethod
    def finish(case):
        try:
            return case.finish()
        except Exception:
            return ["the end of the test failed:\n" + traceback.format_exc(limit=-3)]
