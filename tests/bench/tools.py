"""Builds the bench's C programs when they are stale and runs its load client."""

import glob
import json
import os
import re
import shlex
import subprocess

import machine

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUT = os.path.join(ROOT, "build", "bench")

FLAGS = ["-std=c17", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-Wshadow", "-Wconversion",
         "-Wstrict-prototypes", "-Werror"]
PROGRAMS = {
    "load": (["load.c", "origin.c", "client.c", "first.c"], []),
    "relay": (["relay.c"], []),
    "counts.so": (["counts.c"], ["-shared", "-fPIC", "-ldl"]),
}
HEADERS = ["bench.h", "hist.h"]


# Programs made of the agent's own objects, as `make` left them.
OF_AGENT = {"sidecars": "sidecars.c", "balance": "balance.c", "circuit": "circuit.c", "questions": "questions.c"}


class Failed(Exception):
    """A measurement that cannot be used; says why in one sentence."""


def program(name):
    return os.path.join(OUT, name)


def compiler():
    """CC may hold words of its own ("ccache gcc"), as make allows."""
    return shlex.split(os.environ.get("CC", "cc"))


def build():
    os.makedirs(OUT, exist_ok=True)
    for name, (sources, more) in PROGRAMS.items():
        inputs = [os.path.join(HERE, s) for s in sources + HEADERS]
        target = program(name)
        if os.path.exists(target) and os.path.getmtime(target) > max(map(os.path.getmtime, inputs)):
            continue
        subprocess.run([*compiler(), *FLAGS, "-o", target + ".new", *inputs[:len(sources)], *more],
                       check=True)
        os.replace(target + ".new", target)


def of_agent(name):
    """Builds a program of OF_AGENT and returns its path; Failed when the agent was not built here."""
    sources = [s for pattern in ("agent/*/*.c", "agent/*/*/*.c", "plugins/*.c") for s in glob.glob(pattern, root_dir=ROOT)]  # objects of others are stale
    objects = [os.path.join(ROOT, "build", "obj", s[:-1] + "o") for s in sources + ["page_assets.c"]]
    libs = os.path.join(ROOT, "build", "libs.mk")
    if not all(map(os.path.exists, [libs, *objects])):
        raise Failed("the agent's objects are not there; run make first")
    words = {k: shlex.split(v) for k, v in re.findall(r"^(\w+) := (.*)$", machine.read(libs), re.M)}
    source, target = os.path.join(HERE, OF_AGENT[name]), program(name)
    if not os.path.exists(target) or os.path.getmtime(target) < max(map(os.path.getmtime, [source, *objects])):
        command = [*compiler(), *FLAGS, "-I" + os.path.join(ROOT, "agent"), *words["AGENT_CFLAGS"],
                   "-o", target + ".new", source, *objects, *words["AGENT_LIBS"], "-pthread"]
        if subprocess.run(command, check=False).returncode:
            raise Failed(f"{OF_AGENT[name]} does not link with the objects in build/obj")
        os.replace(target + ".new", target)
    return target


def pin(*on):
    """For preexec_fn: only these cores."""
    return lambda: os.sched_setaffinity(0, on)


class Client:
    """A load client; options are its own (connections=64, close=True …). `with` it, so that none outlives an interruption."""

    def __init__(self, target, core, **options):
        words = []
        for key, value in options.items():
            if value is True:
                words.append("--" + key)
            elif value:
                words += ["--" + key, str(value)]
        self.process = subprocess.Popen([program("load"), "client", "--target", target, *words], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        preexec_fn=pin(core))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def wait_held(self):
        """With hold=True: until all connections are open, or it gave up (end() says why)."""
        self.process.stdout.readline()

    def end(self, seconds):
        """Its last line of JSON; Failed when it found a fault or took longer than `seconds`."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"the load client did not end within {seconds:.0f} s") from None
        lines = out.strip().splitlines()
        result = json.loads(lines[-1]) if lines else {"errors": 1, "requests": 0}
        if self.process.returncode != 0 or result["errors"]:
            why = err.strip().splitlines()[:1] or ["load: no reason given"]
            raise Failed(f"{result['errors']} wrong replies of {result['requests']}: {why[0]}")
        if not result["requests"]:
            raise Failed("no request was answered")
        return result


def measure(proxy, core, milliseconds, **options):
    """One load run against a proxy, with the processor time that the proxy spent meanwhile."""
    pids = machine.family(proxy.pid)
    before, ticks = machine.cpu_ns(pids), machine.cpu_ticks_ns(pids)
    with Client(proxy.target, core, milliseconds=milliseconds, **options) as client:
        result = client.end(milliseconds / 1000 + 15)
    result["cpu_ns"] = machine.cpu_ns(pids) - before
    result["cpu_ticks_ns"] = machine.cpu_ticks_ns(pids) - ticks
    result["cpu_us"] = result["cpu_ns"] / 1000 / result["requests"]
    result["busy"] = result["cpu_ns"] / 1e9 / result["seconds"]
    return result


def first_answer(command, env, target, proxy_core, core):
    """Microseconds from exec to the first answered byte."""
    done = subprocess.run([program("load"), "first", "--target", target, "--core", str(proxy_core), "--", *command],
                          env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, timeout=40, preexec_fn=pin(core), check=False)
    if done.returncode != 0:
        raise Failed("it did not answer within 10 s")
    return json.loads(done.stdout)["us"]
