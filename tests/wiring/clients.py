"""The clients, how each is made runnable, and what docs/wiring.md says of it: one row per client, one word per wiring."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
WIRINGS = ["1 pinned address", "2 pinned port", "3 http_proxy", "3 with its own setting", "no_proxy"]
WORKS, DOES_NOT, GETS_ONLY, NONE = "works", "does not", "GETs only", "-"


class Missing(Exception):
    """The client is not on this machine; the text says what would bring it."""


class Client:
    def __init__(self, name, prepare, words, setting=None, needs=None):
        self.name, self.prepare = name, prepare
        self.words = dict(zip(WIRINGS, words))
        self.setting = setting or (lambda host, port: {})  # environment for "3 with its own setting"
        self.needs = needs                                 # version that the setting needs, or None


def program(name):
    return os.path.join(HERE, "clients", name)


def need(command, package):
    if not shutil.which(command):
        raise Missing(f"{command} is not installed (Debian: {package})")


def built(build, target, argv, made_from, env=None):
    """Compiles once; the result is moved into place whole, so that two runs may build at the same time."""
    path = os.path.join(build, target)
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(made_from):
        with tempfile.TemporaryDirectory(dir=build) as out:
            done = subprocess.run(argv + [out, made_from], capture_output=True, text=True, env={**os.environ, **(env or {})})
            if done.returncode:
                raise OSError(done.stderr)
            for name in os.listdir(out):
                os.replace(os.path.join(out, name), os.path.join(build, name))
        os.utime(path)
    return path


def go(build):
    need("go", "golang-go")
    env = {"GO111MODULE": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "HOME": os.environ.get("HOME", build)}
    return [built(build, "go_net_http", ["go", "build", "-o"], program("go_net_http.go"), env)]


def java(which):
    def prepare(build):
        need("javac", "default-jdk-headless")
        built(build, "JavaClients.class", ["javac", "-d"], program("JavaClients.java"))
        return ["java", "-XX:TieredStopAtLevel=1", "-cp", build, "JavaClients", which]
    return prepare


def java_setting(host, port):
    return {"JAVA_TOOL_OPTIONS": f"-Dhttp.proxyHost={host} -Dhttp.proxyPort={port}"}


def requests(build):
    """The system's module, else one that pip brings into the build folder."""
    own = os.path.join(build, "requests")
    for path in ("", own):
        if subprocess.run([sys.executable, "-c", "import requests"], capture_output=True,
                          env={**os.environ, "PYTHONPATH": path}).returncode == 0:
            return ["env", "PYTHONPATH=" + path, sys.executable, program("py_requests.py")]
    with tempfile.TemporaryDirectory(dir=build) as work:
        venv, target = os.path.join(work, "venv"), os.path.join(work, "requests")
        pip = [os.path.join(venv, "bin", "pip"), "install", "-q", "--retries", "0", "--timeout", "10"]
        for command in ([sys.executable, "-m", "venv", venv], pip + ["--target", target, "requests"]):
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            except (OSError, subprocess.TimeoutExpired):
                done = None
            if done is None or done.returncode:
                raise Missing("the requests module is not installed (Debian: python3-requests), nor did pip bring it")
        if not os.path.exists(own):
            os.replace(target, own)
    return ["env", "PYTHONPATH=" + own, sys.executable, program("py_requests.py")]


def urllib(_build):
    return [sys.executable, program("py_urllib.py")]


def node(file):
    def prepare(_build):
        need("node", "nodejs, 18 or later")
        return ["node", program(file)]
    return prepare


def node_version():
    text = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    return tuple(map(int, re.findall(r"\d+", text)))


def node_setting(host, port):
    return {"NODE_USE_ENV_PROXY": "1", "http_proxy": f"http://{host}:{port}"}


def node_needs(version, words):
    return lambda: None if node_version() >= version else f"node is older than {words}"


def php(_build):
    need("php", "php-cli php-curl")
    if subprocess.run(["php", "-r", "exit(extension_loaded('curl') ? 0 : 1);"]).returncode:
        raise Missing("php has no curl extension (Debian: php-curl)")
    return ["php", program("php_curl.php")]


def shell(file, command, package):
    def prepare(_build):
        need(command, package)
        return ["sh", program(file)]
    return prepare


DIRECT, THROUGH = "stays direct", "goes through"
CLIENTS = [
    Client("Go net/http", go, [WORKS, WORKS, WORKS, NONE, DIRECT]),
    Client("Java HttpURLConnection", java("HttpURLConnection"), [WORKS, WORKS, DOES_NOT, WORKS, NONE], java_setting),
    Client("Java java.net.http", java("HttpClient"), [WORKS, WORKS, DOES_NOT, WORKS, NONE], java_setting),
    Client("Python requests", requests, [WORKS, WORKS, WORKS, NONE, DIRECT]),
    Client("Python urllib", urllib, [WORKS, WORKS, WORKS, NONE, DIRECT]),
    Client("Node fetch", node("node_fetch.mjs"), [WORKS, WORKS, DOES_NOT, WORKS, NONE], node_setting,
           node_needs((24, 0), "24.0, the first with NODE_USE_ENV_PROXY")),
    Client("Node http", node("node_http.mjs"), [WORKS, WORKS, DOES_NOT, WORKS, NONE], node_setting,
           node_needs((24, 5), "24.5, the first with NODE_USE_ENV_PROXY for http")),
    Client("PHP curl", php, [WORKS, WORKS, WORKS, NONE, DIRECT]),
    Client("curl", shell("curl.sh", "curl", "curl"), [WORKS, WORKS, WORKS, NONE, DIRECT]),
    Client("BusyBox wget", shell("busybox_wget.sh", "busybox", "busybox"), [WORKS, WORKS, GETS_ONLY, NONE, THROUGH]),
]
