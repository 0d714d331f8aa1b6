"""What the bench reads from the machine: cores, processor time and memory of processes (all from /proc)."""

import os
import platform
import re
import time

TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")


def cores():
    """(core of the proxy, cores of client and origin, all usable cores)."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[1:2] or usable[:1], usable


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def stat_fields(pid):
    """Fields of /proc/PID/stat from the state on (its third), so that a name with blanks does no harm."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def family(pid):
    """The process and all its descendants."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat_fields(name)
            if fields:
                parents.setdefault(int(fields[1]), []).append(int(name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += parents.get(one, [])
    return found


def cpu_ticks_ns(pids):
    """utime + stime of the processes, all threads, in steps of one tick (10 ms mostly)."""
    total = 0
    for pid in pids:
        fields = stat_fields(pid)
        if fields:
            total += int(fields[11]) + int(fields[12])
    return total * TICK_NS


def cpu_ns(pids):
    """The same time by the processes' own clocks, in nanoseconds, threads that ended meanwhile included (schedstat forgets those)."""
    total = 0
    for pid in pids:
        try:
            total += time.clock_gettime_ns(~pid << 3 | 2)  # clock_getcpuclockid(3) of another process
        except OSError:
            continue
    return total


def memory(pids):
    """{"rss": bytes, "private": bytes} of the processes together (smaps_rollup)."""
    sums = {"rss": 0, "private": 0}
    for pid in pids:
        for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
            m = re.match(r"(Rss|Private_Clean|Private_Dirty):\s+(\d+) kB", line)
            if m:
                sums["rss" if m[1] == "Rss" else "private"] += int(m[2]) * 1024
    return sums


def describe():
    """The machine in words for the record: {"cpu", "cores", "memory_mib", "kernel", "system"}."""
    info = read("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.*)", info)
    mem = re.search(r"MemTotal:\s+(\d+)", read("/proc/meminfo"))
    system = re.search(r'PRETTY_NAME="(.*)"', read("/etc/os-release"))
    return {
        "cpu": model[1].strip() if model else platform.machine(),
        "virtual": "hypervisor" in info,
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": int(mem[1]) // 1024 if mem else 0,
        "kernel": platform.release(),
        "system": system[1] if system else platform.system(),
        "load_at_start": round(os.getloadavg()[0], 2),
    }
