"""How the agents of the demo find each other: DEMO_REGISTRY=static (written into their options), file, redis, dns or eureka.

Only this differs: the option OUTRIDER_REGISTRY, and who tells the registry. Redis and Eureka hear from the agents themselves;
the file and the DNS server are kept by the demo, as swarm would keep its DNS: a killed container leaves them a moment later."""
import json
import os
import sys

import peers

sys.path.insert(0, os.path.join(peers.ROOT, "tests", "run"))

INBOUND = 4143


class Static:
    """No registry: the addresses of the instances are options of their callers."""

    name, told = "static", "endpoints written as options"
    peer = None

    def __init__(self, host, logs):
        self.host, self.logs = host, logs

    def start(self):
        pass

    def stop(self):
        pass

    def env(self):
        """What every agent is told."""
        return {}

    def upstream(self, service, hosts):
        """What a caller of service is told of it."""
        addresses = ",".join(f"{host}:{INBOUND}" for host in hosts)
        return {f"OUTRIDER_UPSTREAM_{service.upper().replace('-', '_')}_ENDPOINTS": addresses}

    def present(self, members):
        """members: {service: [host]} of the containers that exist now."""


class Asked(Static):
    """What the kinds share whose agents ask a registry."""

    def upstream(self, service, hosts):
        return {}


class File(Asked):
    """A watched file in the form of Prometheus' file_sd, written anew when a container comes or goes."""

    name, told = "file", "a watched file"

    def __init__(self, host, logs):
        super().__init__(host, logs)
        self.path = os.path.join(logs, "registry.json")

    def env(self):
        return {"OUTRIDER_REGISTRY": "file:" + self.path}

    def present(self, members):
        rows = [{"targets": [f"{host}:{INBOUND}" for host in hosts], "labels": {"service": service}}
                for service, hosts in members.items()]
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)
        os.rename(self.path + ".new", self.path)


class Dns(Asked):
    """tasks.<service>, as swarm's DNS answers it, from a small scripted server."""

    name, told = "dns", "tasks.<service> of a scripted DNS server"

    def __init__(self, host, logs):
        super().__init__(host, logs)
        from harness.dns import DnsServer
        self.server = DnsServer({})

    def stop(self):
        self.server.close()

    def env(self):
        return {"OUTRIDER_REGISTRY": "dns:|" + self.server.text}

    def present(self, members):
        self.server.names.update({"tasks." + service: hosts for service, hosts in members.items()})


class Redis(Asked):
    """A real redis-server in which the agents register under a lease."""

    name, told = "redis", "a real redis-server"

    def __init__(self, host, logs):
        super().__init__(host, logs)
        self.peer = peers.Redis("redis-registry", host, logs)

    def start(self):
        self.peer.start()

    def env(self):
        return {"OUTRIDER_REGISTRY": "redis:" + self.peer.text}


class Eureka(Asked):
    """The real server where `make interop` has built it, else the scripted one of the tests."""

    name, told = "eureka", "a real Eureka server"

    def __init__(self, host, logs):
        super().__init__(host, logs)
        self.scripted = None
        try:
            self.peer = peers.Spring("eureka-server", host, logs, {
                "eureka.client.register-with-eureka": "false", "eureka.client.fetch-registry": "false",
                "eureka.server.wait-time-in-ms-when-sync-empty": "0",
                "eureka.server.response-cache-update-interval-ms": "500",
                "eureka.server.use-read-only-response-cache": "false"})
        except peers.Missing as why:
            self.script(why)

    def script(self, why):
        try:
            from harness.eureka import EurekaServer
        except ImportError:
            raise why from None
        self.scripted = EurekaServer()
        self.told = f"a scripted Eureka server: {why}"

    def start(self):
        if self.peer:
            self.peer.start()

    def stop(self):
        if self.scripted:
            self.scripted.close()

    def env(self):
        base = self.peer.url + "/eureka" if self.peer else self.scripted.url
        return {"OUTRIDER_REGISTRY": f"eureka:{base}", "OUTRIDER_REGISTRY_POLL": "1s"}


KINDS = {kind.name: kind for kind in (Static, File, Redis, Dns, Eureka)}
