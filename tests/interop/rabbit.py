"""A RabbitMQ of Debian's package, run by hand in a folder of its own and with an epmd of its own, since the usual one
outlives its brokers."""
import os
import shutil
import socket

from maven import Missing
from process import Process

PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # the one in sbin changes the user
CONFIG = """listeners.tcp.1 = 127.0.0.1:%d
loopback_users.guest = true
log.console = true
log.file = false
"""


class Epmd(Process):
    def __init__(self, name, estate):
        super().__init__(name, estate)
        self.port = estate.port()

    def argv(self):
        return ["epmd", "-port", str(self.port.port), "-address", "127.0.0.1"]

    def answers(self):
        return _opens(self.port)


class Rabbit(Process):
    def __init__(self, name, estate):
        super().__init__(name, estate)
        self.port, self.distribution = estate.port(), estate.port()
        self.epmd = Epmd(name + "-epmd", estate)
        self.folder = os.path.join(estate.folder, name)

    @classmethod
    def require(cls, estate):
        if not os.path.exists(PROGRAM) or not shutil.which("epmd"):
            raise Missing("there is no rabbitmq-server; `make deps` installs it")

    def launch(self):
        if not self.running():
            self.epmd.start()
            os.makedirs(self.folder, exist_ok=True)
            self._write("rabbitmq.conf", CONFIG % self.port.port)
            self._write("enabled_plugins", "[].\n")
            self._write("advanced.config", "[{kernel,[{inet_dist_use_interface,{127,0,0,1}}]}].\n")
        super().launch()

    def argv(self):
        return [PROGRAM]

    def env(self):
        at = self.folder
        # Few schedulers and async threads: it has little to do and shares two cores with JVMs.
        return {"HOME": at, "ERL_EPMD_PORT": str(self.epmd.port.port), "RABBITMQ_NODENAME": "interop@localhost",
                "RABBITMQ_MNESIA_BASE": at + "/mnesia", "RABBITMQ_LOG_BASE": at + "/log",
                "RABBITMQ_CONFIG_FILE": at + "/rabbitmq.conf", "RABBITMQ_ADVANCED_CONFIG_FILE": at + "/advanced.config",
                "RABBITMQ_ENABLED_PLUGINS_FILE": at + "/enabled_plugins", "RABBITMQ_CONF_ENV_FILE": os.devnull,
                "RABBITMQ_DIST_PORT": str(self.distribution.port), "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1"}

    def answers(self):
        return _opens(self.port, b"AMQP\0\0\x09\x01")

    def stop(self, *how):
        super().stop(*how)
        self.epmd.stop()

    @property
    def url(self):
        return "amqp://127.0.0.1:%d" % self.port.port

    def _write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="ascii") as file:
            file.write(text)


def _opens(port, hello=b""):
    """Does it accept a connection, and say something to the hello?"""
    try:
        with socket.create_connection(("127.0.0.1", port.port), 2) as sock:
            if hello:
                sock.settimeout(2)
                sock.sendall(hello)
                return bool(sock.recv(1))
            return True
    except OSError:
        return False
