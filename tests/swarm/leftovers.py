"""What a run that was killed left behind, removed before the next one: engines, their containers, network namespaces, folders.

Each run writes into its own folder (PREFIX…) who it is and how its namespaces are called. Only what belongs to the folder of a run that is
over is touched: processes that have its path in their arguments, and those in its namespaces or in its engines' control groups."""
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time

PREFIX = "outrider-swarm-"


def _started(pid):
    """When the process began, in ticks of the kernel; None: there is none."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None


def mark(folder, prefix):
    """This process owns the folder; its namespaces are called prefix-…"""
    with open(os.path.join(folder, "owner"), "w", encoding="ascii") as file:
        file.write("%d %s %s\n" % (os.getpid(), _started(os.getpid()), prefix))


def _abandoned():
    """(folder, prefix) of runs whose process is gone."""
    for path in glob.glob(os.path.join(tempfile.gettempdir(), PREFIX + "*", "owner")):
        try:
            with open(path, encoding="ascii") as file:
                pid, began, prefix = file.read().split()
        except (OSError, ValueError):
            continue
        if _started(int(pid)) != began:
            yield os.path.dirname(path), prefix


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _processes(folder, prefix):
    """Of that run: {pid}, engines first."""
    containers = {os.path.basename(path) for path in glob.glob(folder + "/lab/n*/containers/*")}
    spaces = set()
    for path in glob.glob("/var/run/netns/%s-*" % prefix):
        spaces.add(os.stat(path).st_ino)
    engines, others = [], []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()):
        group = _read("/proc/%d/cgroup" % pid)
        try:
            space = os.stat("/proc/%d/ns/net" % pid).st_ino
        except OSError:
            continue
        if folder + "/lab/" in _read("/proc/%d/cmdline" % pid):
            engines.append(pid)
        elif space in spaces or any(one in group for one in containers):
            others.append(pid)
    return engines, others


def _end(pids, number, seconds):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
    limit = time.monotonic() + seconds
    while any(_started(pid) for pid in pids) and time.monotonic() < limit:
        time.sleep(0.1)


def sweep(say):
    for folder, prefix in _abandoned():
        say("a run that was killed left engines or files in %s: they are removed" % folder)
        _end(_processes(folder, prefix)[0], signal.SIGCONT, 0)
        _end(_processes(folder, prefix)[0], signal.SIGTERM, 30)  # an engine ends its containers
        _end([pid for group in _processes(folder, prefix) for pid in group], signal.SIGKILL, 10)
        for path in glob.glob("/var/run/netns/%s-*" % prefix):
            subprocess.run(["ip", "netns", "del", os.path.basename(path)], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)
