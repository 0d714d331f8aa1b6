"""The Spring peers: the jars of peers/, and what each is told on its command line."""
import os

from process import Http, Process

# A JVM of these needs no more, and starts twice as fast without the second compiler.
JAVA = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]
QUIET = ["--spring.main.banner-mode=off", "--management.endpoints.web.exposure.include=*", "--server.address=127.0.0.1"]
NO_BUS = {"spring.cloud.bus.enabled": "false", "spring.cloud.stream.enabled": "false"}


class Spring(Http, Process):
    """project: the folder below peers/."""

    jvm = True
    project = None

    def __init__(self, name, estate):
        super().__init__(name, estate)
        self.port = estate.port()
        self.temp = os.path.join(estate.folder, name + ".tmp")
        os.makedirs(self.temp)

    @classmethod
    def require(cls, estate):
        estate.maven.jar(cls.project)

    def properties(self):
        """What this peer is told beside its name and port."""
        raise NotImplementedError

    def argv(self):
        told = dict({"spring.application.name": self.name, "server.port": self.port.port}, **self.properties())
        return JAVA + ["-Djava.io.tmpdir=" + self.temp, "-jar", self.estate.maven.jar(self.project)] + QUIET + \
            ["--%s=%s" % pair for pair in told.items()]

    def env(self):
        return {"JAVA_TOOL_OPTIONS": ""}

    def answers(self):
        return self.answers_at("/actuator/info")

    def bus(self):
        return {"spring.rabbitmq.host": "127.0.0.1", "spring.rabbitmq.port": self.estate.get("rabbitmq").port.port}


class ConfigGit(Spring):
    """A config server in front of a git server: decrypts, and sends refresh events."""

    project, uses = "config-server", ("rabbitmq", "git")

    def properties(self):
        git = "spring.cloud.config.server.git."
        return dict(self.bus(), **{git + "uri": self.estate.get("git").url, git + "default-label": "main",
                                   git + "force-pull": "true", git + "basedir": self.temp + "/clone",
                                   "encrypt.key": "a key of the tests"})

    def busrefresh(self, destination=""):
        status, body = self.call("POST", "/actuator/busrefresh" + ("/" + destination if destination else ""), b"")
        assert status == 204, (status, body)


class ConfigNative(ConfigGit):
    """A config server over a folder, which it watches: each file that is touched there becomes refresh events. It leaves
    {cipher} values as they are."""

    uses = ("rabbitmq",)

    def __init__(self, name, estate):
        super().__init__(name, estate)
        self.folder = os.path.join(estate.folder, "native")
        os.makedirs(self.folder)

    def properties(self):
        return dict(self.bus(), **{"spring.profiles.active": "native",
                                   "spring.cloud.config.server.native.search-locations": "file:%s/" % self.folder,
                                   "spring.cloud.config.server.encrypt.enabled": "false"})

    def put(self, name, text):
        """Writes a file as careful programs do: beside it, then renamed."""
        path = os.path.join(self.folder, name)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".new", path)


class SpringClient(Spring):
    """A Spring service that takes `greeting` from the git config server, obeys the bus and acknowledges its events."""

    project, uses = "spring-client", ("config-git",)

    def properties(self):
        return dict(self.bus(), **{"spring.config.import": "optional:configserver:" + self.estate.get("config-git").url,
                                   "spring.cloud.bus.ack.enabled": "true", "eureka.client.enabled": "false"})


class Eureka(Spring):
    """A Eureka server that stands alone and shows a change within a second instead of half a minute."""

    project = "eureka-server"

    def properties(self):
        return {"eureka.client.register-with-eureka": "false", "eureka.client.fetch-registry": "false",
                "eureka.server.wait-time-in-ms-when-sync-empty": "0",
                "eureka.server.response-cache-update-interval-ms": "500",
                "eureka.server.use-read-only-response-cache": "false"}

    @property
    def registry(self):
        return self.url + "/eureka/"


class EurekaClient(Spring):
    """A Spring service that registers at Eureka and calls others by it."""

    project, uses = "spring-client", ("eureka",)

    def properties(self):
        client, instance = "eureka.client.", "eureka.instance."
        return dict(NO_BUS, **{"spring.cloud.config.enabled": "false", "greeting": "hello from Spring",
                               client + "service-url.defaultZone": self.estate.get("eureka").registry,
                               client + "registry-fetch-interval-seconds": 1,
                               client + "initial-instance-info-replication-interval-seconds": 0,
                               instance + "prefer-ip-address": "true", instance + "ip-address": "127.0.0.1",
                               instance + "lease-renewal-interval-in-seconds": 1,
                               "spring.cloud.loadbalancer.cache.enabled": "false"})

    def seen(self, service):
        """What its registry client tells of a service: [{id, host, port, metadata}]."""
        return self.json("/seen?service=" + service)
