"""A real Consul, built from its sources as the Go module proxy has them, once: the last line of versions under a free licence (MPL 2.0)."""
import json
import os
import re
import shutil
import subprocess

from maven import Missing, PEERS
from process import Http, Process

MODULE = os.path.join(PEERS, "consul")
SECONDS = int(os.environ.get("CONSUL_SECONDS", "300"))  # for its download and build; what was compiled is kept by Go, so the next run goes on from there
TOKEN = "5c1c9d4e-0000-4000-8000-000000000001"


class Consul(Http, Process):
    """`consul agent -dev` on ports of its own, with ACLs: what a token may not do is denied."""

    def __init__(self, name, estate):
        super().__init__(name, estate)
        self.port, self.rest = estate.port(), [estate.port() for _ in range(4)]

    @classmethod
    def require(cls, estate):
        program = _program(estate)
        if os.path.exists(program):
            return
        if not shutil.which("go"):
            raise Missing("there is no go to build Consul with")
        os.makedirs(os.path.dirname(program), exist_ok=True)
        argv = ["nice", "go", "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", program + ".new", "github.com/hashicorp/consul"]
        try:
            done = subprocess.run(argv, cwd=MODULE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise Missing("Consul was not built within %d s; the next run goes on from there" % SECONDS) from None
        if done.returncode:
            said = re.sub(r"\w+://\S+", "…", done.stdout.decode("utf-8", "replace").strip().splitlines()[-1])
            raise Missing("Consul cannot be built: " + said[:200])
        os.rename(program + ".new", program)

    def argv(self):
        dns, grpc, lan, wan = ("-%s-port=%d" % (key, one.port) for key, one in
                               zip(("dns", "grpc", "serf-lan", "serf-wan"), self.rest))
        acl = ('acl { enabled = true default_policy = "deny" tokens { initial_management = "%s" agent = "%s" } } '
               'ports { server = %d } disable_update_check = true' % (TOKEN, TOKEN, self.estate.port().port))
        return [_program(self.estate), "agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-node=interop", "-http-port=%d" % self.port.port,
                dns, grpc, lan, wan, "-hcl=" + acl]

    def answers(self):
        return self.answers_at("/v1/status/leader") and len(self.call("GET", "/v1/status/leader")[1]) > 4

    def asked(self, path):
        """JSON of a page, with the token of the operator."""
        status, body = self.call("GET", path, fields={"X-Consul-Token": TOKEN})
        assert status == 200, (status, body[:200])
        return json.loads(body)

    def token(self, rules):
        """A token that may do what the rules say."""
        name = "p%d" % len(self.asked("/v1/acl/policies"))
        fields = {"X-Consul-Token": TOKEN}
        status, body = self.call("PUT", "/v1/acl/policy", json.dumps({"Name": name, "Rules": rules}), fields)
        assert status == 200, (status, body)
        status, body = self.call("PUT", "/v1/acl/token", json.dumps({"Policies": [{"Name": name}]}), fields)
        assert status == 200, (status, body)
        return json.loads(body)["SecretID"]

    @property
    def registry(self):
        return "consul:" + self.url


def _program(estate):
    with open(os.path.join(MODULE, "go.mod"), encoding="ascii") as file:
        version = re.search(r"hashicorp/consul (v\S+)", file.read())[1]
    return os.path.join(estate.maven.build, "peers", "consul", "consul-" + version)
