#!/usr/bin/env python3
"""Runs test tiers one after another and adds up what they count.

    tiers.py "unit=build/unit" "run=python3 tests/run/run.py" ...

Each argument is name=shell command. A tier either ends with a line `N passed, N failed[, N skipped]`, or prints
a line that begins with `ok`, `FAIL` or `skip` for each of its checks. A tier that exits non-zero without counting
a failure, or counts nothing at all, has failed once. The last line printed is the sum; the exit status is 1 when
anything failed.
"""
import re
import subprocess
import sys
import time

CLOSING = re.compile(r"^\s*(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$")
WORDS = {"ok": 0, "FAIL": 1, "skip": 2}


def run(command):
    """Runs a command, shows its output as it comes; returns (counts, exit status)."""
    closing, words = None, [0, 0, 0]
    child = subprocess.Popen(command, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace")
    for line in child.stdout:
        match = CLOSING.match(line)
        if match:
            closing = [int(n or 0) for n in match.groups()]
            continue
        word = line.split(" ", 1)[0].rstrip(":\n")
        if word in WORDS:
            words[WORDS[word]] += 1
        sys.stdout.write(line)
        sys.stdout.flush()
    return closing or words, child.wait()


def main():
    sums = [0, 0, 0]
    times = []
    for tier in sys.argv[1:]:
        name, _, command = tier.partition("=")
        print(f"--- {name}", flush=True)
        began = time.monotonic()
        counts, status = run(command)
        if (status != 0 and counts[1] == 0) or sum(counts) == 0:
            print(f"FAIL {name}: exit status {status}, no failure counted")
            counts[1] += 1
        sums = [a + b for a, b in zip(sums, counts)]
        times.append((name, time.monotonic() - began, counts))
    print("---")
    for name, seconds, counts in times:
        print(f"{name:16s} {seconds:7.1f} s  {counts[0]:5d} passed {counts[1]:3d} failed {counts[2]:3d} skipped")
    print(f"{sums[0]} passed, {sums[1]} failed, {sums[2]} skipped", flush=True)
    return 1 if sums[1] else 0


if __name__ == "__main__":
    sys.exit(main())
