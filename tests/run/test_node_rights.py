"""outrider node and its rights: what is missing is named with the remedy, what it asks the engine for is the list that deploy/ lets through,
neither half outlives the other's end by much."""
import os
import shutil
import signal
import subprocess

from harness.agent import binary, run, sanitized
from harness.case import Skip, limit, rows
from harness.node import Engine, halves, node as _node, serving as _serving


class Without:
    """A prefix of the agent's command: root as a container of the engine has it, less a capability."""

    def __init__(self, capability):
        self.capability = capability

    def words(self):
        return ["setpriv", "--bounding-set", "-" + self.capability]

    def close(self):
        pass


@rows({"sys_admin": ("sys_admin", "namespaces cannot be entered"), "setuid": ("setuid", "cannot give up root"),
       "setgid": ("setgid", "cannot give up root's groups")})
@limit(60)
def test_a_capability_is_missing(t, capability, lost):
    """the agent does not start, and says which capability is missing, what is lost without it, and what to write into the stack file"""
    agent = _node(t, Engine(t), cage=Without(capability), expect_status=1, ready=False)
    assert agent.wait() == 1
    for words in ("capability %s is missing" % capability.upper(), lost, "cap_add: [SYS_ADMIN, SETUID, SETGID]"):
        assert words in agent.stderr(), agent.stderr()


@limit(150)
def test_an_engine_that_comes_later(t):
    """without the engine's socket the agent runs, names it and the remedy, and serves the containers when the engine is there"""
    engine = Engine(t)
    elsewhere = engine.path + ".away"
    os.rename(engine.path, elsewhere)
    agent = _node(t, engine)
    agent.until("it is said", lambda: engine.path in agent.stderr())
    line = [one for one in agent.get("/doctor")["lines"] if one["check"] == "engine"][0]
    assert line["state"] == "fail" and "mount the engine's socket" in line["remedy"], line
    engine.container(t, 81, ["OUTRIDER_PORT=8080"], "x")
    os.rename(elsewhere, engine.path)
    agent.until("it serves", lambda: "c81" in _serving(agent))


@rows({path: (path, state) for path, state in (("/info", "warn"), ("/events", "fail"), ("/containers/json", "fail"), ("/json", "fail"))})
@limit(150)
def test_a_filter_that_lets_too_little_through(t, path, state):
    """a filtering proxy before the engine that refuses one of the GETs: that one is named, in the log and by doctor, once and as long as it lasts"""
    engine = Engine(t)
    engine.forbidden = lambda asked: asked.endswith(path) and not (path == "/json" and asked.endswith("/containers/json"))
    # A refusal that comes before the list is there, then one that comes after it: neither is a sign that all is well again.
    engine.late = lambda asked: 0.05 if asked.endswith("/containers/json") else 0.2 if asked.endswith("/events") and len(engine.asked) > 5 else 0
    engine.container(t, 82, ["OUTRIDER_PORT=8080"], "x")
    agent = _node(t, engine)

    def line():
        return [one for one in agent.get("/doctor")["lines"] if one["check"] == "engine"][0]
    named = "containers/ID/json" if path == "/json" else path
    agent.until("it is said", lambda: line()["state"] == state and named in line()["says"] and named in agent.stderr()
                and len(engine.asked) > (14 if state == "fail" else 3))
    assert "well again" not in agent.stderr(), (line(), agent.stderr())
    if path == "/events":  # then the list is asked for the more often
        engine.container(t, 85, ["OUTRIDER_PORT=8080"], "x")
        agent.until("it serves", lambda: "c85" in _serving(agent))
        engine.forbidden = lambda asked: False
        agent.until("it is well again", lambda: line()["state"] == "ok" and "well again" in agent.stderr())


@rows({"absent": ("absent", "warn"), "there": ("run", "ok")})
@limit(150)
def test_a_folder_for_a_successor(t, name, state):
    """doctor says whether a successor will find the listeners: not where outrider.run cannot be used, with the remedy"""
    engine = Engine(t)
    engine.container(t, 87, ["OUTRIDER_PORT=8080"], "x")  # it is tried when those that run are served
    agent = _node(t, engine, run=os.path.join(engine.folder, name))
    agent.until("it serves", lambda: "c87" in _serving(agent))
    agent.until("it is told", lambda: [(one["state"], bool(one.get("remedy"))) for one in agent.get("/doctor")["lines"]
                                       if one["check"] == "hand-over"] == [(state, state != "ok")])
    assert ("a successor will find nobody" in agent.stderr()) == (state != "ok")


@limit(150)
def test_what_holds(t):
    """/health?verbose and doctor say what each half holds: the keeper three capabilities, the proxy none; both without new privileges, filtered"""
    agent = _node(t, Engine(t))
    agent.until("the keeper has told", lambda: len([one for one in agent.get("/health?verbose")["rights"] if one]) == 2)
    keeper, proxy = agent.get("/health?verbose")["rights"]
    assert keeper.startswith("keeper: user 0,") and proxy.startswith("proxy: user 65534, capabilities 0,"), (keeper, proxy)
    for half in (keeper, proxy):
        assert "no_new_privs on, seccomp " + ("off" if sanitized() else "on") in half, half
    status, out, err = run(["doctor", "--admin=%s:%d" % agent.admin])
    assert "proxy: user 65534" in out, (status, out, err)


CLOCK = """
#include <fcntl.h>
#include <stdlib.h>
#include <sys/timex.h>
#include <unistd.h>
/* What the kernel says of the clock stands in a file. */
int adjtimex(struct timex *t)
{
	char state = '0';
	int fd = open(getenv("CLOCK_STATE"), O_RDONLY | O_CLOEXEC);
	(void)t;
	if (fd >= 0) {
		(void)!read(fd, &state, 1);
		close(fd);
	}
	return state - '0';
}
"""


@limit(150)
def test_the_clock(t):
    """doctor follows the state of the node's clock: synchronized or not as it is by now, not as it was when the agent began"""
    with open(binary(), "rb") as image:
        if sanitized() or not shutil.which("gcc") or b"ld-linux" not in image.read(65536):
            raise Skip("it needs gcc, and an agent that loads libraries")
    folder, port, engine = t.tempdir(), t.port(), Engine(t)
    library, state = os.path.join(folder, "clock.so"), os.path.join(folder, "state")
    subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=CLOCK, text=True, check=True)

    def clock(number):
        with open(state + ".new", "w", encoding="ascii") as file:
            file.write(number)
        os.rename(state + ".new", state)
    clock("5")  # TIME_ERROR
    agent = t.agent(["node"], {"OUTRIDER_ENGINE": engine.path, "OUTRIDER_NETNS": engine.netns, "OUTRIDER_RUN": engine.run, "OUTRIDER_ADMIN": port.text,
                               "LD_PRELOAD": library, "CLOCK_STATE": state}, {"admin": port})

    def says(word):
        return any(one["check"] == "clock" and word in (one["state"], one["says"]) for one in agent.get("/doctor")["lines"])
    agent.until("it is not synchronized", lambda: says("warn"))
    clock("0")
    agent.until("it is", lambda: says("the node's clock is synchronized"), 60)
    clock("5")
    agent.until("it is not any more", lambda: says("warn"), 60)


@limit(150)
def test_the_proxy_is_killed(t):
    """another proxy serves on the same listeners; who calls meanwhile waits in the queue of the listener and is answered"""
    engine = Engine(t)
    agent = _node(t, engine)
    _, space = engine.container(t, 83, ["OUTRIDER_PORT=8080"], "x")
    agent.until("it serves", lambda: _serving(agent).get("c83", {}).get("handler") == "up")
    listeners = space.listeners()
    _, proxy = halves(agent)
    os.kill(proxy, signal.SIGKILL)
    assert space.fetch("http://127.0.0.1:4143/") == "x"
    agent.until("another one runs", lambda: halves(agent)[1] != proxy)
    assert space.listeners() == listeners
    agent.until("it is said", lambda: "the proxy ended and is started anew" in agent.stderr())


@limit(150)
def test_the_proxy_is_killed_during_a_stop(t):
    """an agent without a successor that waits for its containers starts another proxy: they are served until they have ended, then it leaves"""
    engine = Engine(t)
    agent = _node(t, engine, stop_timeout="60s")
    ident, space = engine.container(t, 86, ["OUTRIDER_PORT=8080"], "x")
    agent.until("it serves", lambda: _serving(agent).get("c86", {}).get("handler") == "up")
    _, proxy = halves(agent)
    agent.signal(signal.SIGTERM)
    agent.until("it stops", lambda: '"message":"stopping"' in agent.stderr())
    os.kill(proxy, signal.SIGKILL)
    assert space.fetch("http://127.0.0.1:4143/") == "x"
    agent.until("another one runs", lambda: halves(agent)[1] != proxy)
    engine.gone(ident)
    assert agent.wait() == 0, agent.stderr()


@limit(150)
def test_the_keeper_is_killed(t):
    """the proxy ends with its keeper: nobody serves whom nobody minds"""
    engine = Engine(t)
    agent = _node(t, engine, expect_status=-signal.SIGKILL)
    _, space = engine.container(t, 84, ["OUTRIDER_PORT=8080"], "x")
    agent.until("it serves", lambda: "c84" in _serving(agent))
    keeper, proxy = halves(agent)
    os.kill(keeper, signal.SIGKILL)
    agent.wait()
    second = _node(t, engine)
    second.until("the proxy is gone", lambda: not os.path.exists("/proc/%d" % proxy))
    second.until("a new agent serves", lambda: "c84" in _serving(second) and 4143 in space.listeners())
