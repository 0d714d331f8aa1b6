"""Registry file: lists of instances in files, live when they change, kept when they break."""
import json
import os
import socket
import time

from harness.case import rows
from harness.config import service
from harness.members import caller, known, traffic, until_known, upstream
from harness.message import request
from harness.redis import RedisServer
from harness.service import Service

SOON = 2.0


def _write(path, text):
    """As an editor or a deployment does: a new file renamed onto the old one."""
    with open(path + ".new~", "w", encoding="utf-8") as f:
        f.write(text if isinstance(text, str) else json.dumps(text))
    os.rename(path + ".new~", path)


def _path(t, text, name="services.yml"):
    path = os.path.join(t.tempdir(), name)
    _write(path, text)
    return path


def _trouble(agent):
    return agent.get("/upstreams")["registries"][0]["trouble"]


def test_instances_follow_the_file(t):
    """Instances are called as the file says; a new one, and one that left, at once and without a failed request."""
    one, two = service(t), service(t)
    path = _path(t, "quotes:\n  - %s\n" % one)
    agent = caller(t, "file:" + path, registry_poll="1h")
    until_known(agent, [one])
    load = traffic(agent)
    _write(path, "quotes:\n  - %s\n  - address: %s\n    node: n2\n    zone: z\n    weight: 50\n    meta: {version: 2}\n" % (one, two))
    until_known(agent, [one, two], SOON)
    seen = [e for e in upstream(agent)["endpoints"] if e["address"] == two][0]
    assert (seen["node"], seen["zone"], seen["weight"], seen["meta"]) == ("n2", "z", 50, {"version": "2"}), seen
    _write(path, "quotes: [%s]\n" % two)
    until_known(agent, [two], SOON)
    load.end()


def test_an_address_that_never_answers_and_leaves(t):
    """A call that waits for the connection to an instance which the registry withdraws meanwhile goes to another at once, long before timeout.connect."""
    silent, answers = socket.socket(), service(t)
    silent.bind(("127.0.0.1", 0))
    silent.listen(0)
    filled = [socket.socket() for _ in range(3)]
    for one in filled:  # its queue is full: the kernel drops who comes now
        one.setblocking(False)
        one.connect_ex(silent.getsockname())
    path = _path(t, "quotes: ['127.0.0.1:%d']\n" % silent.getsockname()[1])
    agent = caller(t, "file:" + path, registry_poll="1h", timeout_connect="20s")
    c = t.client(agent.outbound)
    agent.until("it is known", lambda: upstream(agent)["endpoints"])
    began = time.monotonic()
    c.ask("GET", "/", "quotes")
    agent.until("it waits for a connection", lambda: upstream(agent)["endpoints"][0]["active"] == 1)
    _write(path, "quotes: [%s]\n" % answers)
    assert c.read_response().status == 200
    assert time.monotonic() - began < 10
    for one in filled + [silent]:
        one.close()


def test_written_in_place(t):
    """A file that is written over, not renamed."""
    one, two = service(t), service(t)
    path = _path(t, "quotes: [%s]\n" % one)
    agent = caller(t, "file:" + path, registry_poll="1h")
    until_known(agent, [one])
    with open(path, "w", encoding="utf-8") as f:
        f.write("quotes: [%s]\n" % two)
    until_known(agent, [two], SOON)


def test_file_sd(t):
    """What tools write for Prometheus: groups with targets and labels."""
    one, two, three = service(t), service(t), service(t)
    path = _path(t, [{"targets": [one], "labels": {"job": "Quotes", "version": "1", "__meta_x": "y", "node": "n7"}},
                     {"targets": [two], "labels": {"service": "quotes", "job": "other"}},
                     {"targets": [three], "labels": {"job": "images"}}], "targets.json")
    agent = caller(t, "file:" + path)
    until_known(agent, [one, two])
    seen = [e for e in upstream(agent)["endpoints"] if e["address"] == one][0]
    assert seen["meta"] == {"version": "1"} and seen["node"] == "n7", seen


def test_a_directory(t):
    """All lists of a directory count together; the name of a file_sd without a label is the file's; others are passed by."""
    one, two = service(t), service(t)
    folder = os.path.join(t.tempdir(), "lists")
    os.mkdir(folder)
    _write(os.path.join(folder, "quotes.json"), [{"targets": [one]}])
    _write(os.path.join(folder, "README.txt"), "quotes: [")
    agent = caller(t, "file:" + folder, registry_poll="1h")
    until_known(agent, [one])
    _write(os.path.join(folder, "more.yml"), "quotes: [%s, %s]\nimages: []\n" % (two, one))
    until_known(agent, [one, two], SOON)


def test_a_swapped_symlink(t):
    """Mounted configs swap a symlink to a directory beneath the file."""
    one, two = service(t), service(t)
    folder = t.tempdir()
    for name, text in (("v1", one), ("v2", two)):
        os.mkdir(os.path.join(folder, name))
        _write(os.path.join(folder, name, "services.yml"), "quotes: [%s]\n" % text)
    os.symlink("v1", os.path.join(folder, "..data"))
    os.symlink("..data/services.yml", os.path.join(folder, "services.yml"))
    agent = caller(t, "file:" + os.path.join(folder, "services.yml"), registry_poll="1h")
    until_known(agent, [one])
    os.symlink("v2", os.path.join(folder, "..new"))
    os.rename(os.path.join(folder, "..new"), os.path.join(folder, "..data"))
    until_known(agent, [two], SOON)


@rows({"yaml": ("quotes: [", ":2"), "name": ("quotes:\n  - host:80\n", ":2: an address is IP:port"),
       "key": ("quotes:\n  - adress: 1.2.3.4:5\n", ":2: expected address"), "weight": ("q: [{address: 1.2.3.4:5, weight: 0}]", ":1"),
       "shape": ("quotes: 7", ":1: a list of instances"), "text": ("hello", ":1"), "no-address": ("q: [{node: x}]", "no address"),
       "long": ("#" + "x" * (5 << 20), "longer than"), "binary": ("\x00\x01\x02", "")})
def test_a_broken_file_changes_nothing(t, text, why):
    """What stood there before stays, under traffic; where it is broken is said; put right, all is well."""
    one, two = service(t), service(t)
    path = _path(t, "quotes: [%s]\n" % one)
    agent = caller(t, "file:" + path, registry_poll="1h")
    until_known(agent, [one])
    load = traffic(agent)
    _write(path, text)
    trouble = agent.until("trouble", lambda: _trouble(agent), SOON)
    assert path in trouble and why in trouble, trouble
    assert known(agent) == [one]
    _write(path, "quotes: [%s]\n" % two)
    until_known(agent, [two], SOON)
    load.end()
    assert not _trouble(agent)


def test_a_file_that_goes_and_comes(t):
    """Absent at the start is trouble and no error; removed later, the instances stay."""
    one = service(t)
    path = os.path.join(t.tempdir(), "services.yml")
    agent = caller(t, "file:" + path, registry_poll="1h")
    assert path in agent.until("trouble", lambda: _trouble(agent))
    _write(path, "quotes: [%s]\n" % one)
    until_known(agent, [one], SOON)
    os.unlink(path)
    agent.until("trouble", lambda: _trouble(agent), SOON)
    assert known(agent) == [one]


def _single_labels(t, path, **more):
    env = dict({"OUTRIDER_REGISTRY": "file:" + path, "OUTRIDER_EGRESS": "deny", "OUTRIDER_ENDPOINT_WAIT": "30s", "OUTRIDER_WORKERS": "2"}, **more)
    return t.sidecar(env=env)


def _asked(t, agent, name):
    """The status of one call through 4140 on a connection of its own: each worker has a memory of what is no service."""
    c = t.client(agent.outbound)
    c.send(request("GET", "/", name, ["Connection: close"]))
    return c.read_response().status


def test_a_name_that_is_known_to_be_none(t):
    """A host that the registry does not list is no service at once, also when it was said before and to another worker; when it is listed
    later it is found, though nobody called it for registry-idle meanwhile."""
    path = _path(t, "images: ['127.0.0.1:1']\n")
    agent = _single_labels(t, path, OUTRIDER_REGISTRY_IDLE="1s")
    began = time.monotonic()
    assert {_asked(t, agent, "quotes") for _ in range(24)} == {403}  # of the rule that comes next
    assert time.monotonic() - began < 6
    agent.until("nobody asks for it", lambda: agent.get("/upstreams")["registries"][0]["services"] == 0)
    _write(path, "quotes: ['%s']\n" % service(t))
    agent.until("it is found", lambda: _asked(t, agent, "quotes") == 200, 15)


def test_a_name_that_is_called_no_more(t):
    """A service that no option names is forgotten four times registry-idle after its last call, with its upstream, and found again by the next
    call; one with a request under way is not."""
    slow = t.service(Service.HANG)
    path = _path(t, "quotes: ['%s']\nslow: ['%s']\n" % (service(t), slow.text))
    agent = _single_labels(t, path, OUTRIDER_REGISTRY_IDLE="1s")

    def upstreams():
        return {u["name"] for u in agent.get("/upstreams")["upstreams"]} & {"quotes", "slow"}
    assert _asked(t, agent, "quotes") == 200
    waiting = t.client(agent.outbound)
    waiting.send(request("GET", "/", "slow"))
    agent.until("both are upstreams", lambda: upstreams() == {"quotes", "slow"})
    agent.until("the one at rest is forgotten", lambda: upstreams() == {"slow"}, 15)
    agent.until("by discovery, too", lambda: agent.get("/upstreams")["registries"][0]["services"] == 1)
    assert agent.get("/upstreams")["registries"][0]["endpoints"] == 1
    assert _asked(t, agent, "quotes") == 200


def test_a_file_that_is_away_for_longer_than_keep(t):
    """registry-keep: a list that cannot be read is believed so long; when it comes back as it was, so are its instances."""
    one = service(t)
    text = "quotes: [%s]\n" % one
    path = _path(t, text)
    agent = caller(t, "file:" + path, registry_poll="200ms", registry_keep="1s")
    until_known(agent, [one])
    os.unlink(path)
    agent.until("not believed any more", lambda: known(agent) == [], 8)
    _write(path, text)
    until_known(agent, [one], 8)
    assert not _trouble(agent)


def test_another_order_of_registries(t):
    """registry of an upstream is live: another order, and a registry that is named no more, count at once."""
    server, folder = RedisServer(t), t.tempdir()
    by_file, by_redis = service(t), service(t)
    now = int(server("TIME")[0])
    server("HSET", "outrider:registry:quotes:values", "a", json.dumps({"address": by_redis}))
    server("ZADD", "outrider:registry:quotes", (now + 600) * 1000, "a")

    def order(text):
        _write(os.path.join(folder, "application.properties"), "outrider.upstream.quotes.registry=%s\n" % text)
    order("file,redis")
    registries = "file:%s,redis:%s" % (_path(t, "quotes: [%s]\n" % by_file, "lists.yml"), server.text)
    agent = caller(t, registries, config="file:" + folder)
    until_known(agent, [by_file])
    for text, expected in (("redis,file", by_redis), ("file", by_file), ("redis", by_redis)):
        order(text)
        until_known(agent, [expected], 8)
