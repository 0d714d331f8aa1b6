"""The peers of one run: made when the first test needs them, started once, at most three JVMs at a time."""
import fcntl
import os
import shutil
import tempfile

from consul import Consul
from dashboard import Browser, HystrixDashboard
from git_repository import GitRepository
from guardian import Guardian
from harness.origin import Port
from harness.serial import Missing
from maven import Maven
from prometheus import Prometheus
from rabbit import Rabbit
from spring import ConfigGit, ConfigNative, Eureka, EurekaClient, SpringClient
from zipkin import Zipkin

# name -> class. The name is also the service's own: spring.application.name.
PEERS = {"git": GitRepository, "rabbitmq": Rabbit, "config-git": ConfigGit, "config-native": ConfigNative,
         "spring-client": SpringClient, "eureka": Eureka, "eureka-client": EurekaClient,
         "hystrix-dashboard": HystrixDashboard, "browser": Browser, "zipkin": Zipkin, "prometheus": Prometheus,
         "consul": Consul}
JVMS = 3


class Estate:
    """What a test gets as its second argument. get("config-git") is the peer, running or not."""

    def __init__(self, build, say):
        self.say, self.maven = say, Maven(build)
        os.makedirs(build, exist_ok=True)
        self.lock = open(os.path.join(build, "lock"), "w")  # two runs at once would be six JVMs, and share the logs
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.logs = os.path.join(build, "logs")
        shutil.rmtree(self.logs, ignore_errors=True)
        os.makedirs(self.logs)
        self.folder = tempfile.mkdtemp(prefix="outrider-interop-")
        self.guardian = Guardian(self.folder)
        self.peers, self.missing, self.ports, self.used = {}, {}, [], []

    def port(self):
        self.ports.append(Port())
        return self.ports[-1]

    def get(self, name):
        if name not in self.peers:
            self.peers[name] = PEERS[name](name, self)
        return self.peers[name]

    def require(self, name):
        """Makes sure that this machine can run the peer and what it uses: builds what is to be built. Raises Missing."""
        if name in self.missing:
            raise Missing(self.missing[name])
        try:
            PEERS[name].require(self)
            for other in PEERS[name].uses:
                self.require(other)
        except Missing as why:
            self.missing[name] = str(why)
            raise

    def start(self, name):
        """The running peer; what it uses runs too. It becomes the one that was used last."""
        peer = self.get(name)
        for other in peer.uses:
            self.start(other)
        if name in self.used:
            self.used.remove(name)
        self.used.append(name)
        return peer.start()

    def make_room(self, comer):
        """Ends the JVMs that were used longest ago, so that with the one to come there are JVMS."""
        running = [self.peers[name] for name in self.used
                   if name in self.peers and self.peers[name].jvm and self.peers[name].running()]
        if comer.jvm:
            for peer in running[:max(0, len(running) - JVMS + 1)]:
                peer.stop()

    def close(self, keep_logs):
        for peer in self.peers.values():
            peer.kill()  # their folders go too: there is nothing to leave in order
        for port in self.ports:
            port.close()
        self.guardian.close()  # removes the folder
        self.lock.close()
        if not keep_logs:
            shutil.rmtree(self.logs, ignore_errors=True)
