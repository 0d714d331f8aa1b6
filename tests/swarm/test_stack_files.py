"""The other files of deploy/: what they say is what runs; where an image cannot be had here, the client and `outrider check` read them."""
import glob
import json
import os
import re
import shutil
import subprocess
import time

from estate import DEPLOY, HERE, ROOT, estate
from swarm import LAB, until

RUNNING = ("swarm",)
LIMIT = 600
AGENT = os.path.join(DEPLOY, "outrider.yml")


def test_files_are_understood(_t, swarm):
    """docker stack config and outrider check take every stack file of deploy/"""
    knows = swarm.docker(1, "stack", "config", "--help", check=False).returncode == 0
    for path in sorted(glob.glob(os.path.join(DEPLOY, "*.yml"))):
        if knows:  # clients of 23 and later
            assert "services:" in swarm.docker(1, "stack", "config", "-c", path), path
        files = [path] if "outrider" in os.path.basename(path) else [AGENT, path]
        done = subprocess.run([swarm.binary, "check", *files], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout
    swarm.say("  by %s" % ("docker stack config and outrider check" if knows else "outrider check; this docker has no stack config"))


def engine_line(e, node):
    lines = json.loads(e.docker(node, "exec", e.agent(node), "/outrider", "get", "/doctor"))["lines"]
    return [line for line in lines if line["check"] == "engine"][0]


def test_through_a_filtering_proxy(_t, swarm):
    """outrider-socketproxy.yml over a running outrider.yml: the agent never sees the engine's socket, the five GETs of the list are all that it
    asks for, new containers get their sidecars, also after an update of the proxy; and back again"""
    e = estate(swarm)
    script = os.path.join(HERE, "programs", "socket_proxy.py")
    swarm.python_image("wollomatic/socket-proxy:1", {"/proxy.py": script}, 'ENTRYPOINT ["/usr/bin/python3", "/proxy.py"]')
    before = {node: e.agent(node) for node in range(1, swarm.n + 1)}
    load = e.load(600, 200)
    try:
        e.deploy(os.path.join(DEPLOY, "outrider-socketproxy.yml"), "outrider")
        until("another agent on every node", lambda: all(e.agent(n) != before[n] for n in before) and e.agents() == swarm.n, 240, show=lambda: e.docker(
            1, "service", "ps", "--no-trunc", "outrider_agent", "outrider_engine"))
        mounts = e.docker(2, "inspect", "-f", "{{range .Mounts}}{{.Destination}} {{end}}", e.agent(2))
        assert "docker.sock" not in mounts and "/run/engine" in mounts, mounts
        until("the engine is seen", lambda: engine_line(e, 2)["state"] == "ok", 120, show=lambda: engine_line(e, 2))
        e.update("outrider_engine", "--force")
        e.docker(2, "run", "-d", "--name", "filtered", "--network", "outrider", "-e", "OUTRIDER_PORT=8080", "handler:1")
        until("its sidecar", lambda: any(s["container"] == "filtered" and s["state"] == "serving" for s in e.sidecars(2) or []), 120,
              show=lambda: engine_line(e, 2))
        until("the engine is seen again", lambda: all(engine_line(e, n)["state"] == "ok" for n in before), 120)
        log = e.docker(2, "logs", e.containers("outrider_engine", 2)[0])
        assert "listens" in log and "refused" not in log, log
    finally:
        e.docker(2, "rm", "-f", "filtered", check=False)
        e.docker(1, "stack", "deploy", "--prune", "--resolve-image", "never", "-c", AGENT, "outrider")
        until("the agents of outrider.yml", lambda: e.agents() == swarm.n and not e.containers("outrider_engine", 2) and "docker.sock" in e.docker(
            2, "inspect", "-f", "{{range .Mounts}}{{.Destination}} {{end}}", e.agent(2)), 240)
        result = load.result(stop=True)
    assert result["failed"] == 0 and result["ok"] > 1000, result


def test_an_image_of_its_own(_t, swarm):
    """deploy/exec/Dockerfile as written: the agent is the image's entry point, finds services on its network, and the node's agent leaves it
    alone"""
    e = estate(swarm)
    swarm.python_image("python:3-alpine")
    folder = os.path.join(swarm.folder, "exec")
    os.makedirs(folder, exist_ok=True)
    shutil.copy(os.path.join(DEPLOY, "exec", "Dockerfile"), folder)
    shutil.copy(os.path.join(ROOT, "deploy", "demo", "services", "accountservice.py"), os.path.join(folder, "app.py"))
    e.docker(1, "build", "-q", "-t", "account-exec:1", folder)
    e.docker(1, "run", "-d", "--name", "own", "--network", "outrider", "-e", "LISTEN=127.0.0.1:6767", "-e", "INSTANCE=own", "account-exec:1")
    try:
        until("it is ready", lambda: e.docker(1, "exec", "own", "/outrider", "health", check=False).returncode == 0, 60, show=lambda: e.docker(
            1, "logs", "own", check=False).stdout)
        done = swarm.inside(1, "own", "curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:4143/health")
        assert done.stdout != "000", done
        name = swarm.inside(1, "own", "curl", "-s", "-m", "10", "-H", "Host: shop_quotes", "http://127.0.0.1:4140/").stdout.strip()
        assert len(name) == 12, name  # of an instance of quotes, found by DNS
        until("the node's agent says why", lambda: "its entry point is outrider itself" in e.said(1), 60)
    finally:
        e.docker(1, "rm", "-f", "own", check=False)


def readme():
    """(lines for a service's stack file, shell commands) of README's first screen, as they stand there."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        screen = file.read().split("## On a swarm", 1)[1].split("\n## ", 1)[0]
    lines = re.search(r"```yaml\n(.*?)```", screen, re.S).group(1)
    return lines, [line.strip() for line in screen.split("\n") if line.startswith("    docker ") and "stack deploy" not in line]


FRIENDS = """
version: "3.8"
services:
  accountservice:
    image: handler:1
    command: [--listen, "127.0.0.1:6767"]
%s    deploy: {endpoint_mode: dnsrr, placement: {constraints: [node.hostname == node1]}}
  quotes-service:
    image: handler:1
    environment: {OUTRIDER_PORT: 8080}
    networks: [outrider]
    deploy: {endpoint_mode: dnsrr}
networks: {outrider: {external: true}}
"""


def test_the_first_screen(_t, swarm):
    """what README's first screen says, literally: its lines in a service's stack file, the log line that it promises, a call, its command"""
    e = estate(swarm)
    lines, commands = readme()
    path = os.path.join(swarm.folder, "friends.yml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(FRIENDS % lines)
    began = time.monotonic()
    e.deploy(path, "friends")
    try:
        def call():
            return e.docker(1, "exec", e.containers("friends_accountservice", 1)[0], "/busybox", "wget", "-qO-", "http://quotes-service:8080/")
        until("its service answers by its plain URL", lambda: e.containers("friends_accountservice", 1) and len(call().strip()) == 12, 120, show=e.logs)
        client = 'docker() { "%s" docker 1 "$@"; }; ' % LAB
        assert len(commands) == 1, commands

        def seen():
            """The command shows the call, and whose instance answered: who was called before its own sidecar served is known by a later one."""
            called = subprocess.run(["bash", "-c", client + commands[0]], env=swarm.env, capture_output=True, text=True, timeout=60,
                                    check=False).stdout.split("quotes-service\n", 1)[-1]
            known = all(re.search(words, called) for words in (r"requests +[1-9]", r"state +up", r"service +quotes-service"))
            return known or (call(), False)[1]
        until("the call is seen", seen, 60)
        until("the log line", lambda: '"message":"a sidecar serves","service":"accountservice"' in e.said(1), 60)
        swarm.say("  from the service's deployment to the sight of a call %.1f s" % (time.monotonic() - began))
    finally:
        e.docker(1, "stack", "rm", "friends")
