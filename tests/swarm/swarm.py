"""A real swarm of some nodes on this machine (see `lab`), and what tests do with it."""
import glob
import os
import shutil
import subprocess
import tempfile
import time

import leftovers
from harness.serial import Missing

HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.join(HERE, "lab")
NEEDED = ("dockerd", "docker", "ip", "iptables", "nsenter", "unshare", "busybox")


class Swarm:
    """The estate of tests/swarm/run: its one peer is `swarm`, which starts with the first test and lives until close()."""

    def __init__(self, binary, nodes, say):
        self.binary, self.n, self.say = binary, nodes, say
        self.folder = tempfile.mkdtemp(prefix=leftovers.PREFIX)
        prefix = "or%d" % (os.getpid() % 10000)  # names of network devices are short
        self.prefix, self.env = prefix, {**os.environ, "SWARM_LAB_DIR": os.path.join(self.folder, "lab"), "SWARM_LAB_PREFIX": prefix}
        self.up, self.missing = False, self._why_not()
        self.loads = []  # that run: estate.Load

    @staticmethod
    def _why_not():
        if os.geteuid() != 0:
            return "namespaces and an engine need root"
        lacks = [tool for tool in NEEDED if not shutil.which(tool)]
        if lacks:
            return "there is no %s; `make deps` installs it" % " ".join(lacks)
        with open("/proc/filesystems", encoding="ascii") as systems:
            if "overlay" not in systems.read():
                return "this kernel has no overlayfs"
        return None

    # --- what serial.Runner wants

    def require(self, _peer):
        if self.missing:
            raise Missing(self.missing)

    def start(self, _peer):
        while self.loads:  # of a test that failed before it took what came of them
            self.loads.pop().end()
        if self.up:
            return
        leftovers.sweep(self.say)
        leftovers.mark(self.folder, self.prefix)
        began = time.monotonic()
        done = subprocess.run([LAB, "up", str(self.n)], env=self.env, capture_output=True, text=True, timeout=420, check=False)
        if done.returncode != 0:
            self._down()
            self.missing = "a swarm cannot be made here: " + (done.stderr.strip().split("\n")[-1:] or ["no word why"])[0]
            raise AssertionError(self.missing)
        self.up = True
        self.say("a swarm of %d nodes, %.1f s" % (self.n, time.monotonic() - began))

    def _down(self):
        subprocess.run([LAB, "down"], env=self.env, capture_output=True, timeout=240, check=False)

    def close(self):
        while self.loads:
            self.loads.pop().end()
        self._down()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- for tests

    def docker(self, node, *words, check=True, timeout=180, **more):
        try:
            done = subprocess.run([LAB, "docker", str(node), *words], env=self.env, capture_output=True, text=True, timeout=timeout,
                                  check=False, **more)
        except subprocess.TimeoutExpired:
            raise AssertionError("docker %s: no answer within %g s" % (" ".join(words), timeout)) from None
        assert not check or done.returncode == 0, "docker %s: %s" % (" ".join(words), done.stderr.strip())
        return done.stdout.strip() if check else done

    def begin(self, node, *words):
        """docker, running; the caller reads its standard output and waits for it."""
        return subprocess.Popen([LAB, "docker", str(node), *words], env=self.env, stdout=subprocess.PIPE, text=True)

    def lab(self, *words):
        subprocess.run([LAB, *words], env=self.env, capture_output=True, timeout=240, check=True)

    def image(self, tag, tree, *changes, nodes=None):
        """An image of the files {path in it: path here} on every node, or on those, made without a registry; its layer is a tar,
        changes are lines of a Dockerfile."""
        root = tempfile.mkdtemp(dir=self.folder)
        for inside, here in tree.items():
            at = os.path.join(root, inside.lstrip("/"))
            os.makedirs(os.path.dirname(at), exist_ok=True)
            shutil.copy(here, at)
        os.makedirs(os.path.join(root, "tmp"), exist_ok=True)
        tar = os.path.join(self.folder, "layer.tar")
        subprocess.run(["tar", "-C", root, "-cf", tar, "."], check=True)
        shutil.rmtree(root)
        for node in nodes or range(1, self.n + 1):
            self.docker(node, "import", *[word for line in changes for word in ("--change", line)], tar, tag)
        os.unlink(tar)

    def telemetry_images(self):
        """On the manager, under the names of landscape.yml: Debian's Prometheus; in place of Zipkin a collector (programs/collector.py), for there is
        no image of it here, and of Grafana a server of its dashboards' folder, for no package has it."""
        self.image("prom/prometheus:v2.53.0", self.linked("prometheus"), 'ENTRYPOINT ["%s"]' % shutil.which("prometheus"), nodes=[1])
        self.python_image("openzipkin/zipkin-slim:3", {"/collector.py": os.path.join(HERE, "programs", "collector.py")},
                          'CMD ["/usr/bin/python3", "/collector.py"]', nodes=[1])
        self.image("grafana/grafana-oss:11.1.0", {"/busybox": "/bin/busybox"},
                   'CMD ["/busybox", "httpd", "-f", "-p", "3000", "-h", "/var/lib/grafana/dashboards"]', nodes=[1])

    def linked(self, program):
        """{path: path} of a program of this machine and the libraries that it is linked with."""
        binary = os.path.realpath(shutil.which(program) or program)
        words = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout.split()
        return {shutil.which(program) or binary: binary, **{path: os.path.realpath(path) for path in words if path.startswith("/")}}

    def program(self):
        """The same of the agent, as /outrider."""
        files = self.linked(self.binary)
        return {"/outrider": files.pop(shutil.which(self.binary)), **files}

    def at(self, node, *words, timeout=60):
        """Runs a program of this machine in the node's own network namespace."""
        return subprocess.run([LAB, "netns", str(node), *words], env=self.env, capture_output=True, text=True, timeout=timeout, check=False)

    def python_image(self, tag, tree=(), *changes, nodes=None):
        """An image on every node, or on those, with this machine's Python under the name of a public one, and with the files {path in it: path here}."""
        python = os.path.realpath("/usr/bin/python3")
        root = tempfile.mkdtemp(dir=self.folder)
        linked = subprocess.run(["ldd", python, *_modules()], capture_output=True, text=True, check=False).stdout
        files = {word for word in linked.split() if word.startswith("/") and not word.endswith(":")} | {python}
        for path in files:
            at = root + path
            os.makedirs(os.path.dirname(at), exist_ok=True)
            shutil.copy(os.path.realpath(path), at)
        os.makedirs(root + "/usr/bin", exist_ok=True)
        os.symlink(python, root + "/usr/bin/python3") if python != "/usr/bin/python3" else None
        library = os.path.dirname(os.path.dirname(_modules()[0]))
        shutil.copytree(library, root + library, ignore=shutil.ignore_patterns("__pycache__", "test", "tests", "idlelib", "tkinter", "lib2to3",
                        "ensurepip", "config-*", "dist-packages", "site-packages"))
        os.makedirs(root + "/tmp", exist_ok=True)
        for inside, here in dict(tree).items():
            shutil.copy(here, root + inside)
        tar = os.path.join(self.folder, "python.tar")
        subprocess.run(["tar", "-C", root, "-cf", tar, "."], check=True)
        shutil.rmtree(root)
        for node in nodes or range(1, self.n + 1):
            self.docker(node, "import", *[word for line in changes for word in ("--change", line)], tar, tag)
        os.unlink(tar)

    def agent_image(self):
        """outrider:latest on every node, by `make image`."""
        for node in range(1, self.n + 1):
            subprocess.run(["make", "-s", "image", "DOCKER=%s docker %d" % (LAB, node)], cwd=os.path.dirname(os.path.dirname(HERE)),
                           env=self.env, check=True, capture_output=True)

    def inside(self, node, container, *words, timeout=60):
        """Runs a program of this machine in the container's network namespace; returns what subprocess.run() does."""
        pid = self.docker(node, "inspect", "-f", "{{.State.Pid}}", container)
        return subprocess.run(["nsenter", "-t", pid, "-n", *words], capture_output=True, text=True, timeout=timeout, check=False)

    def service(self, name, *words, replicas=1, network, image="web:1"):
        """A service of the stack `shop` whose tasks are found by DNS, for this kernel may lack IPVS."""
        self.docker(1, "service", "create", "--detach", "--name", "shop_" + name, "--label", "com.docker.stack.namespace=shop",
                    "--network", network, "--endpoint-mode", "dnsrr", "--replicas", str(replicas), "--no-resolve-image",
                    "--stop-grace-period", "2s", *words, image,
                    "/busybox", "httpd", "-f", "-p", "8080", "-h", "/www")
        return "shop_" + name


def _modules():
    """The shared objects of Debian's Python."""
    return glob.glob("/usr/lib/python3.*/lib-dynload/*.so")


def until(what, ask, seconds=60, pause=0.1, show=None):
    """The first true answer of ask(); AssertionError when there is none in time, with what show() says then. An agent or an engine that does
    not answer just now (AssertionError of ask) is no answer yet. The time is only for what never comes: a slow machine has it."""
    deadline, trouble = time.monotonic() + seconds, ""
    while True:
        try:
            answer, trouble = ask(), ""
        except AssertionError as why:
            answer, trouble = None, "\n" + str(why)
        if answer:
            return answer
        assert time.monotonic() < deadline, "not within %g s: %s%s%s" % (seconds, what, trouble, "\n" + str(show()) if show else "")
        time.sleep(pause)
