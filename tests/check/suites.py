#!/usr/bin/env python3
"""Runs each suite of the unit tests in a process of its own, as many at once as there are processors.

    suites.py BIN [SUITE …]        SUITE: left out

One process for all of them grows with every test, and a leak checker reads all of it again after each.
Prints what a failing suite printed, and what is slow; ends with `N passed, N failed, N skipped`.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import time

CLOSING = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
LIMIT = 600  # seconds for one suite: CK_DEFAULT_TIMEOUT ends a test long before
SLOW = 5.0


def run(binary, name):
    """Runs one suite; returns (its name, its counts, seconds, what it printed)."""
    began = time.monotonic()
    try:
        done = subprocess.run([binary, name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=LIMIT, check=False)
        text, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as e:
        text, status = f"{e.stdout or ''}\nnot done after {LIMIT} s\n", -1
    match = CLOSING.search(text)
    counts = [int(n) for n in match.groups()] if match else [0, 0, 0]
    if (status != 0 and counts[1] == 0) or sum(counts) == 0:
        counts[1] += 1
        text += f"exit status {status}, no failure counted\n"
    return name, counts, time.monotonic() - began, text


def main():
    binary, without = sys.argv[1], set(sys.argv[2:])
    names = subprocess.run([binary, "--names"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    if without - set(names):
        sys.exit("suites.py: there is no suite " + ", ".join(sorted(without - set(names))))
    names = [name for name in names if name not in without]
    sums = [0, 0, 0]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for done in concurrent.futures.as_completed([pool.submit(run, binary, name) for name in names]):
            name, counts, seconds, text = done.result()
            sums = [a + b for a, b in zip(sums, counts)]
            if counts[1]:
                print(f"suite {name}:\n{text}", flush=True)
            elif seconds > SLOW:
                print(f"{name}: {seconds:.1f} s", flush=True)
    print(f"{sums[0]} passed, {sums[1]} failed, {sums[2]} skipped", flush=True)
    return 1 if sums[1] else 0


if __name__ == "__main__":
    sys.exit(main())
