#!/usr/bin/env python3
"""Runs the dialogue tests against a binary of the agent.

    python3 tests/run/run.py --bin build/outrider [-j N] [-k PATTERN] [--list] [--skip PATTERN]

A test is a function test_* of a file test_*.py here; its first argument is a Case. Each test runs in a process of
its own (a crash of one takes no other with it), N at a time. A failed test prints the transcript of its dialogue and
the agent's stderr. QUICK=1 leaves out the slow ones. Exit status 1 on any failure.

AGAIN=N (for CI, whose machines are shared) runs what failed, N tests at most, once more with nothing beside it: what passes then
is named as unsteady. A report of a sanitizer is never tried again."""
import argparse
import fnmatch
import importlib
import os
import pickle
import select
import signal
import sys
import time
import traceback

JOBS = min(12, 3 * (os.cpu_count() or 1))  # most tests wait more than they compute
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


class Test:
    def __init__(self, name, function, arguments):
        self.name, self.function, self.arguments = name, function, arguments
        self.limit = getattr(function, "limit", 40)
        self.slow = getattr(function, "slow", False)


def discover():
    tests = []
    for file in sorted(os.listdir(HERE)):
        if not (file.startswith("test_") and file.endswith(".py")):
            continue
        module = importlib.import_module(file[:-3])
        theme = file[5:-3]
        for key, function in list(vars(module).items()):
            if not key.startswith("test_") or not callable(function):
                continue
            assert function.__doc__, "%s.%s has no docstring that says its promise" % (theme, key)
            table = getattr(function, "rows", None)
            if table is None:
                tests.append(Test("%s.%s" % (theme, key[5:]), function, ()))
            else:
                tests += [Test("%s.%s[%s]" % (theme, key[5:], row), function, arguments)
                          for row, arguments in table.items()]
    return tests


def chosen(name, pattern):
    """Substring, or a glob when it has one's signs."""
    return any(part in name or fnmatch.fnmatch(name, part) for part in pattern.split(","))


class Timeout(BaseException):
    pass


def _alarm(_number, _frame):
    raise Timeout()


def perform(test):
    """In the child: (outcome, text, transcript, stderr)."""
    from harness.case import Case, Skip
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(test.limit)
    case, outcome, text = Case(), "passed", ""
    case.stderr = ""
    try:
        test.function(case, *test.arguments)
    except Skip as why:
        outcome, text = "skipped", str(why)
    except Timeout:
        outcome, text = "failed", "not finished within %d s\n%s" % (test.limit, traceback.format_exc(limit=-4))
    except BaseException:
        outcome, text = "failed", traceback.format_exc(limit=-4)
    signal.alarm(30)
    try:
        complaints = case.finish()
    except BaseException:
        complaints = ["the end of the test failed:\n" + traceback.format_exc(limit=-3)]
    signal.alarm(0)
    if complaints:
        outcome, text = "failed", (text + "\n" + "\n".join(complaints)).strip()
    return outcome, text, case.transcript.text(), case.stderr


class Running:
    """A test in its own process, which reports through a pipe."""

    def __init__(self, test):
        self.test, self.began, self.data = test, time.monotonic(), b""
        self.read_end, write_end = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.read_end)
            report = pickle.dumps(perform(test))
            with os.fdopen(write_end, "wb") as pipe:
                pipe.write(report)
            os._exit(0)
        os.close(write_end)

    def overdue(self):
        return time.monotonic() - self.began > self.test.limit + 35

    def pump(self):
        """True when the child has reported or is gone."""
        piece = os.read(self.read_end, 1 << 20)
        self.data += piece
        return not piece

    def result(self):
        os.close(self.read_end)
        if self.overdue():
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        seconds = time.monotonic() - self.began
        try:
            return (self.test, seconds) + pickle.loads(self.data)
        except Exception:
            return self.test, seconds, "failed", "the test's process ended with %d" % status, "", ""


def run_all(tests, jobs, report):
    waiting, running, results = list(tests), [], []
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(Running(waiting.pop(0)))
        ready = select.select([one.read_end for one in running], [], [], 1.0)[0]
        for one in list(running):
            if (one.read_end in ready and one.pump()) or one.overdue():
                running.remove(one)
                results.append(one.result())
                report(results[-1])
    return results


def once_more(results, most, report):
    """The results, with those of a second try, alone, in place of failures; names of what passed then."""
    from harness.agent import REPORTS
    failed = [result for result in results if result[2] == "failed"]
    if len(failed) > most or any(REPORTS.search(result[3] + result[5]) for result in failed):
        return results, []
    second = run_all([result[0] for result in failed], 1, report)
    kept = [result for result in results if result[2] != "failed"]
    return kept + second, sorted(result[0].name for result in second if result[2] != "failed")


def report_one(result, verbose):
    test, seconds, outcome, text, transcript, stderr = result
    if outcome == "failed":
        print("FAIL %s (%.2f s)\n  promise: %s" % (test.name, seconds, test.function.__doc__.strip()))
        print(_indent(text, "  "))
        print(_indent(transcript, "  | "))
        if stderr.strip():
            print(_indent("agent's stderr:\n" + stderr[-3000:], "  ! "))
    elif outcome == "skipped":
        print("skip %s: %s" % (test.name, text))
    elif verbose:
        print("ok   %s (%.2f s)" % (test.name, seconds))
    sys.stdout.flush()


def _indent(text, mark):
    return "\n".join(mark + line for line in text.rstrip().split("\n"))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.environ.get("OUTRIDER_BIN", "build/outrider"))
    parser.add_argument("-j", type=int, default=JOBS, metavar="N", help="tests at a time (default: three per CPU, at most 12)")
    parser.add_argument("-k", metavar="PATTERN", help="only names that contain or match it; several by comma")
    parser.add_argument("--skip", metavar="PATTERN", help="leave these out")
    parser.add_argument("--list", action="store_true", help="names and promises, runs nothing")
    parser.add_argument("-v", action="store_true", help="also name what passed")
    return parser.parse_args()


def main():
    args = arguments()
    os.environ["OUTRIDER_BIN"] = os.path.abspath(args.bin)
    tests = [test for test in discover() if (not args.k or chosen(test.name, args.k))
             and not (args.skip and chosen(test.name, args.skip))]
    if args.list:
        for test in tests:
            print("%-60s %s" % (test.name, " ".join(test.function.__doc__.split())))
        return 0
    if not os.access(args.bin, os.X_OK):
        print("no binary at %s: build it, or name it by --bin or OUTRIDER_BIN" % args.bin, file=sys.stderr)
        return 2
    if os.environ.get("QUICK"):
        tests = [test for test in tests if not test.slow]
    tests.sort(key=lambda test: -test.slow)  # long ones first: they would be the tail
    began = time.monotonic()
    report = lambda result: report_one(result, args.v)  # noqa: E731
    results = run_all(tests, max(1, args.j), report)
    results, unsteady = once_more(results, int(os.environ.get("AGAIN") or 0), report)
    for name in unsteady:
        print("unsteady: %s failed beside others and passed alone" % name)
    print("slowest: " + ", ".join("%s %.1f s" % (result[0].name, result[1])
                                  for result in sorted(results, key=lambda result: -result[1])[:5]))
    themes = {}
    for test, seconds, *_ in results:
        theme = test.name.split(".")[0]
        themes[theme] = themes.get(theme, 0) + seconds
    print("by theme: " + ", ".join("%s %.0f s" % one for one in sorted(themes.items(), key=lambda one: -one[1])[:12]))
    count = {outcome: sum(1 for result in results if result[2] == outcome)
             for outcome in ("passed", "failed", "skipped")}
    failed = sorted(result[0].name for result in results if result[2] == "failed")
    if failed:
        print("failed: " + "\n        ".join(failed))
    print("%.1f s" % (time.monotonic() - began))
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % count)
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
