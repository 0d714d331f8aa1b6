"""Where the agents of the demo take their configuration from: DEMO_CONFIG=file (a directory, no server), redis or spring.

put(values) replaces the settings of all services; the agents are told nothing else."""
import os

import peers

FIRST = {"outrider.timeout.head": "40s", "demo.greeting": "good morning"}


class Files:
    """The embedded default: a directory laid out as a Spring config repository, which the agents watch."""

    name, promise = "file", "watched"

    def __init__(self, _host, logs):
        self.folder = os.path.join(logs, "config")
        os.makedirs(self.folder)
        self.source = "file:" + self.folder
        self.where = os.path.join(self.folder, "application.yml")
        self.peer = None
        self.put(FIRST)

    def start(self):
        pass

    def env(self):
        return {"OUTRIDER_CONFIG": self.source}

    def put(self, values):
        """Beside it, then renamed: nobody reads half a file."""
        with open(self.where + ".new", "w", encoding="utf-8") as file:
            file.writelines(f"{key}: {value}\n" for key, value in values.items())
        os.rename(self.where + ".new", self.where)


class Redis:
    """Hash outrider:config:application of a real redis-server; a message on channel outrider:config makes it live."""

    name, promise = "redis", "told by pub/sub"
    where = "hash outrider:config:application"

    def __init__(self, host, logs):
        self.peer = peers.Redis("redis-config", host, logs)
        self.source = "redis:" + self.peer.text

    def start(self):
        self.peer.start()
        self.put(FIRST)

    def env(self):
        return {"OUTRIDER_CONFIG": self.source}

    def put(self, values):
        pairs = [word for pair in values.items() for word in pair]
        self.peer.command("HSET", "outrider:config:application", *pairs)
        self.peer.command("PUBLISH", "outrider:config", "*")


class Spring(Files):
    """A real Spring Cloud Config Server over the same directory. It tells nobody of changes (that takes a bus): the agents ask."""

    name, promise = "spring", "asked every 250 ms"

    def __init__(self, host, logs):
        super().__init__(host, logs)
        self.peer = peers.Spring("config-server", host, logs, {
            "spring.profiles.active": "native", "spring.cloud.bus.enabled": "false",
            "spring.cloud.stream.enabled": "false", "management.health.rabbit.enabled": "false",
            "spring.cloud.config.server.native.search-locations": f"file:{self.folder}/",
            "spring.cloud.config.server.encrypt.enabled": "false"})
        self.source = "spring:" + self.peer.url

    def start(self):
        self.peer.start()

    def env(self):
        return {"OUTRIDER_CONFIG": self.source, "OUTRIDER_CONFIG_POLL": "250ms"}


KINDS = {kind.name: kind for kind in (Files, Redis, Spring)}
