"""A real RabbitMQ, started once for a run of tests, when the first one asks for it, and shared by those after it.

    broker = rabbit.shared(t)       beside others; an exchange of one's own keeps them apart
    broker = rabbit.alone(t)        to kill, stop and restart it

It starts in 13 to 60 s, so it outlives the test: a guardian waits for the end of the runner (the parent of the test's process),
then ends broker and epmd by their ids and removes their folder. Nothing of the system is touched: node name, ports, folders
and epmd are its own, all on 127.0.0.1."""
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from .amqp import Amqp
from .case import Skip

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
CTL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
START = 150  # seconds


def shared(t):
    return _broker(t, fcntl.LOCK_SH)


def alone(t):
    return _broker(t, fcntl.LOCK_EX)


class Lock:
    """Held by a test while it uses the broker."""

    def __init__(self, path, how):
        self.file = open(path, "a+")
        fcntl.flock(self.file, how)

    def close(self):
        self.file.close()


def _broker(t, how):
    if not os.path.exists(SERVER):
        raise Skip("rabbitmq-server is not installed")
    folder = os.path.join(tempfile.gettempdir(), "outrider-rabbit-%d" % os.getppid())
    os.makedirs(folder, mode=0o700, exist_ok=True)
    first = Lock(os.path.join(folder, "lock"), fcntl.LOCK_EX)
    if not os.path.exists(os.path.join(folder, "state.json")):
        _make(folder)
    first.close()
    t._keep(Lock(os.path.join(folder, "lock"), how))
    broker = Broker(folder)
    broker.wait()
    return broker


def _free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _make(folder):
    """Writes the broker's files, and starts it and its guardian."""
    port, tls, dist, epmd = _free_ports(4)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder + "/key.pem",
                    "-out", folder + "/cert.pem"], check=True, stderr=subprocess.DEVNULL)
    with open(folder + "/rabbit.conf", "w") as file:
        file.write("listeners.tcp.1 = 127.0.0.1:%d\nlisteners.ssl.1 = 127.0.0.1:%d\n" % (port, tls)
                   + "".join("ssl_options.%s = %s\n" % (key, value) for key, value in
                             {"cacertfile": folder + "/cert.pem", "certfile": folder + "/cert.pem",
                              "keyfile": folder + "/key.pem", "verify": "verify_none"}.items()))
    with open(folder + "/plugins", "w") as file:
        file.write("[].\n")
    with open(folder + "/state.json", "w") as file:
        json.dump({"port": port, "tls": tls, "dist": dist, "epmd": epmd, "name": "outrider%d@localhost" % port}, file)
    Broker(folder).start()
    _guard(folder, os.getppid())


def _guard(folder, runner):
    """A process of its own that ends what was started when the runner has ended."""
    if os.fork() != 0:
        return
    os.setsid()
    signal.alarm(0)
    devnull = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(devnull, fd)
    os.closerange(3, 4096)  # the test's pipe to the runner above all
    try:
        select.select([os.pidfd_open(runner)], [], [])
    finally:
        Broker(folder).end()
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)


class Broker:
    def __init__(self, folder):
        self.folder = folder
        with open(folder + "/state.json") as file:
            self.__dict__.update(json.load(file))
        self.address = "127.0.0.1:%d" % self.port
        self.ca = folder + "/cert.pem"

    def url(self, credentials="", vhost=""):
        return "amqp://%s%s%s" % (credentials, self.address, vhost)

    def environment(self):
        env = {"PATH": os.environ["PATH"], "HOME": self.folder, "LANG": "C.UTF-8", "RABBITMQ_NODENAME": self.name,
               "RABBITMQ_MNESIA_BASE": self.folder + "/mnesia", "RABBITMQ_LOG_BASE": self.folder + "/log",
               "RABBITMQ_CONFIG_FILE": self.folder + "/rabbit.conf", "RABBITMQ_CONF_ENV_FILE": "/dev/null",
               "RABBITMQ_ENABLED_PLUGINS_FILE": self.folder + "/plugins", "RABBITMQ_DIST_PORT": str(self.dist),
               "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
               "ERL_EPMD_PORT": str(self.epmd), "ERL_EPMD_ADDRESS": "127.0.0.1"}
        return env

    def _spawn(self, role, args):
        with open("%s/%s.out" % (self.folder, role), "ab") as out:
            proc = subprocess.Popen(args, env=self.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                    start_new_session=True, cwd=self.folder)
        with open("%s/%s.pid" % (self.folder, role), "w") as file:
            file.write(str(proc.pid))

    def _pid(self, role):
        try:
            with open("%s/%s.pid" % (self.folder, role)) as file:
                return int(file.read())
        except (OSError, ValueError):
            return None

    def _kill(self, role, number):
        """The process and its group, which is its own since it began a session."""
        pid = self._pid(role)
        try:
            if pid:
                os.killpg(pid, number)
        except ProcessLookupError:
            pass

    # --- what a test does with it --------------------------------------------------------------

    def start(self):
        if not self._pid("epmd"):
            self._spawn("epmd", ["epmd", "-port", str(self.epmd)])
        self._spawn("broker", [SERVER])

    def wait(self, seconds=START):
        end = time.monotonic() + seconds
        while not self.answers():
            if time.monotonic() > end:
                with open(self.folder + "/broker.out", errors="replace") as file:
                    raise AssertionError("RabbitMQ did not start within %d s:\n%s" % (seconds, file.read()[-2000:]))
            time.sleep(0.1)

    def answers(self):
        try:
            Amqp(self.port, timeout=5).close()
            return True
        except (OSError, EOFError):
            return False

    def kill(self):
        self._kill("broker", signal.SIGKILL)
        pid = self._pid("broker")
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:  # another test's process started it
            while os.path.exists("/proc/%d" % pid):
                time.sleep(0.01)

    def pause(self):
        self._kill("broker", signal.SIGSTOP)

    def go_on(self):
        self._kill("broker", signal.SIGCONT)

    def end(self):
        self._kill("broker", signal.SIGKILL)
        self._kill("epmd", signal.SIGKILL)

    def ctl(self, *args):
        """rabbitmqctl's answer, lines of columns."""
        done = subprocess.run([CTL, "-q"] + list(args), env=self.environment(), stdin=subprocess.DEVNULL, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        text = done.stdout.decode("utf-8", "replace")
        assert done.returncode == 0, "rabbitmqctl %s: %s" % (" ".join(args), text[-800:])
        return [line.split("\t") for line in text.splitlines()]

    def client(self, **options):
        return Amqp(self.port, **options)
