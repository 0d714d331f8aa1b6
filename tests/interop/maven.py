"""Builds the projects of peers/ with the Maven of this machine, as its own settings say, once: the jar is kept under the
checksum of the project's files. Nothing but Maven's own repository folder and build/interop is written to."""
import hashlib
import os
import re
import shutil
import subprocess

from harness.serial import Missing

PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")
SECONDS = 240  # for one project, its downloads included
# One compiler level and a small heap: a build is short, and other things run beside it. Timeouts of Maven's HTTP client
# are minutes by default; a machine without a way out shall be skipped in seconds.
OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx512m"
ARGUMENTS = ["-B", "-ntp", "-DskipTests", "-Daether.connector.connectTimeout=15000",
             "-Daether.connector.requestTimeout=60000", "package"]
# What Maven says when an artifact is not to be had, as against when the project is wrong.
OUT_OF_REACH = re.compile(r"Could not (?:transfer|resolve|find)|Non-resolvable|could not be resolved|Cannot access"
                          r"|Unknown host|UnresolvableModel|offline mode")


class Maven:
    def __init__(self, build):
        self.build = build
        self.out_of_reach = None  # the first reason: the others would meet the same
        self.broken = {}  # project: what Maven said

    def jar(self, project):
        """The path of the project's jar. Raises Missing; AssertionError when the project itself is wrong."""
        folder = os.path.join(self.build, "peers", project)
        jar = os.path.join(folder, _checksum(os.path.join(PEERS, project)) + ".jar")
        for tool in ("java", "mvn"):
            if not shutil.which(tool) and not (tool == "mvn" and os.path.exists(jar)):
                raise Missing("there is no %s; `make deps` installs it" % tool)
        os.makedirs(folder, exist_ok=True)
        if not os.path.exists(jar):
            if self.out_of_reach:
                raise Missing(self.out_of_reach)
            if project not in self.broken:
                self._make(project, folder, jar)
            assert project not in self.broken, "peers/%s does not build:\n%s" % (project, self.broken[project])
        return jar

    def _make(self, project, folder, jar):
        work = os.path.join(folder, "work")
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(os.path.join(PEERS, project), work)
        env = dict(os.environ, MAVEN_OPTS=(OPTIONS + " " + os.environ.get("MAVEN_OPTS", "")).strip())
        try:
            done = subprocess.run(["mvn"] + ARGUMENTS, cwd=work, env=env, stdin=subprocess.DEVNULL, timeout=SECONDS,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            said = done.stdout.decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            self.out_of_reach = "Maven was not done within %d s" % SECONDS
            raise Missing(self.out_of_reach) from None
        errors = [line for line in said.splitlines() if "[ERROR]" in line or "[FATAL]" in line]
        if done.returncode != 0 and OUT_OF_REACH.search("\n".join(errors)):
            self.out_of_reach = "Maven cannot get what it needs: " + _shortened(errors)
            raise Missing(self.out_of_reach)
        if done.returncode != 0:
            self.broken[project] = "\n".join(errors[:12]) or said[-2000:]
            return
        for old in os.listdir(folder):
            if old.endswith(".jar"):
                os.unlink(os.path.join(folder, old))
        os.rename(os.path.join(work, "target", "peer.jar"), jar)
        shutil.rmtree(work, ignore_errors=True)


def _checksum(folder):
    total = hashlib.sha256()
    for where, names, files in sorted(os.walk(folder)):
        names.sort()
        for name in sorted(files):
            with open(os.path.join(where, name), "rb") as file:
                total.update(os.path.relpath(os.path.join(where, name), folder).encode() + b"\0" + file.read() + b"\0")
    return total.hexdigest()[:16]


def _shortened(errors):
    """What could not be had and why, out of Maven's long line, without addresses."""
    line = re.sub(r"\s+", " ", max((line for line in errors if OUT_OF_REACH.search(line)), key=len)).strip()
    match = re.search(r"(Could not transfer artifact \S+) from/to (\S+) \([^)]*\): (.+?)(?: -> |$)", line)
    if match:
        line = "%s from %s: %s" % (match[1], match[2], match[3].split(": ")[-1])
    return re.sub(r"\w+://\S+", "…", re.sub(r"^\[\w+\] ", "", line))[:300]
