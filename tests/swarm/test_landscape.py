"""The stack files of deploy/ as written, with images of this machine under the names that they have."""
import json
import os
import shutil

from estate import DEPLOY, estate
from swarm import until

RUNNING = ("swarm",)
LIMIT = 400


def test_landscape(_t, swarm):
    """docker stack deploy -c landscape.yml shop: a request to the edge's public port passes the edge, and the sidecars of three
    services whose handlers listen on loopback only"""
    e = estate(swarm)
    swarm.python_image("python:3-alpine")
    swarm.image("redis:7-alpine", swarm.linked("redis-server"), 'CMD ["%s"]' % shutil.which("redis-server"))
    e.deploy(os.path.join(DEPLOY, "landscape.yml"), "land")
    try:
        def call(path="/accounts/7"):
            done = swarm.at(1, "curl", "-s", "-m", "5", "http://127.0.0.1:8080" + path)
            return done.stdout if done.returncode == 0 else ""
        reply = until("an account", lambda: (lambda text: text if "quotedBy" in text else None)(call()), 240,
                      show=lambda: (call(), swarm.docker(1, "service", "ls"), e.logs()[-2000:]))
        account = json.loads(reply)
        swarm.say("  " + reply)
        assert account["id"] == "7" and account["quote"] and account["servedBy"].startswith("land_accountservice")
        assert call(account["image"]).startswith("<svg")
        services = {json.loads(call())["quotedBy"] for _ in range(20)}
        assert len(services) >= 1, services
        seen = [s for s in (e.sidecars(1) or []) if s["stack"] == "land"]
        assert seen and all(s["state"] == "serving" for s in seen), seen
        swarm.docker(1, "exec", e.agent(1), "/outrider", "doctor", check=False)
    finally:
        swarm.docker(1, "stack", "rm", "land")
