#!/usr/bin/env python3
"""Runs test tiers one after another and adds up what they count.

    tiers.py [--jobs N] "unit=build/unit" "run=python3 tests/run/run.py" ...

With --jobs that many run at a time, and what one prints is shown when it has ended.

Each argument is name=shell command. A tier either ends with a line `N passed, N failed[, N skipped]`, or prints
a line that begins with `ok`, `FAIL` or `skip` for each of its checks. A tier that exits non-zero without counting
a failure, or counts nothing at all, has failed once. The last line printed is the sum; the exit status is 1 when
anything failed.
"""
import argparse
import concurrent.futures
import re
import subprocess
import sys
import time

CLOSING = re.compile(r"^\s*(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$")
WORDS = {"ok": 0, "FAIL": 1, "skip": 2}


def run(command, show):
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
        show(line)
    return closing or words, child.wait()


def perform(tier, show):
    """Runs a tier; returns its name, its seconds and its counts."""
    name, _, command = tier.partition("=")
    show(f"--- {name}\n")
    began = time.monotonic()
    counts, status = run(command, show)
    if (status != 0 and counts[1] == 0) or sum(counts) == 0:
        show(f"FAIL {name}: exit status {status}, no failure counted\n")
        counts[1] += 1
    return name, time.monotonic() - began, counts


def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def at_once(tier):
    lines = []
    done = perform(tier, lines.append)
    say("".join(lines))
    return done


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("tiers", nargs="*", metavar="name=command")
    return parser.parse_args()


def main():
    args = arguments()
    if args.jobs > 1:
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            times = list(pool.map(at_once, args.tiers))
    else:
        times = [perform(tier, say) for tier in args.tiers]
    sums = [sum(column) for column in zip([0, 0, 0], *(counts for _, _, counts in times))]
    print("---")
    for name, seconds, counts in times:
        print(f"{name:16s} {seconds:7.1f} s  {counts[0]:5d} passed {counts[1]:3d} failed {counts[2]:3d} skipped")
    print(f"{sums[0]} passed, {sums[1]} failed, {sums[2]} skipped", flush=True)
    return 1 if sums[1] else 0


if __name__ == "__main__":
    sys.exit(main())
