"""outrider check over files: directories, stack files, exit statuses, --json, what must not hurt it."""
import json
import os
import socket
import tempfile
import time

from harness.agent import run
from harness.case import rows

STACK = """services:
  shop:
    image: shop
    stop_grace_period: 20s
    environment:
      OUTRIDER_PORT: %s
    networks: [outrider]
networks:
  outrider: {external: true}
"""


class Folder:
    """Files in a directory of their own, gone with the test."""

    def __init__(self, t, files):
        self.temp = tempfile.TemporaryDirectory()
        self.path = self.temp.name
        t._keep(self)
        for name, text in files.items():
            with open(self[name], "wb") as f:
                f.write(text if isinstance(text, bytes) else text.encode())

    def __getitem__(self, name):
        return os.path.join(self.path, name)

    def close(self):
        self.temp.cleanup()


CONFIG = {
    "application.yml": "outrider:\n  timeout:\n    idle: 5s\n",
    "application-prod.properties": "outrider.retry-safe=off\n",
    "quotes.yml": "outrider:\n  port: 8080\n  upstreams: [image@127.0.4.1:7777]\n",
    "quotes-test.json": '{"outrider": {"mode": "observe"}}',
    "image.properties": "greeting=hello ${nobody:there}\n",
}


def test_good_directory(t):
    """Every service and profile of a directory is judged, and counted."""
    status, out, err = run(["check", Folder(t, CONFIG).path])
    assert (status, err) == (0, "") and "2 services, 2 profiles, 0 problems" in out, (status, out, err)


@rows({"registry": ("OUTRIDER_REGISTRY", "file:/etc/hosts,dsn:", "did you mean dns?"), "exporter": ("OUTRIDER_TRACE", "jaeger:x", "there are: zipkin"),
       "source": ("OUTRIDER_CONFIG", "sprnig:http://x", "spring"), "of-an-upstream": ("OUTRIDER_UPSTREAM_QUOTES_REGISTRY", "reddis", "did you mean redis?")})
def test_a_plugin_that_is_none(t, key, value, remedy):
    """A misspelt plug-in is found before the start, with what there is; that the good ones stand beside it does not matter."""
    status, out, err = run(["check"], {key: value})
    assert status != 0 and key in (out + err) + key and remedy in out + err, (status, out, err)


@rows({
    "in what all have": ("application.yml", "outrider:\n  timeout:\n    head: soon\n", 3, "duration"),
    "of one profile": ("quotes-test.json", '{\n"outrider.mode": "of"}', 2, "observe"),
    "of a profile of all": ("application-prod.properties", "# none\n\noutrider.timeout.hed=5s\n", 3, "timeout.head"),
    "of two files together": ("quotes-prod.yml", "outrider:\n  upstreams: image@127.0.4.1:8080\n", 2, "Wiring 2"),
    "encrypted": ("image.properties", "a=1\npassword={cipher}c0ffee\n", 2, "encrypted"),
    "a circle": ("image.properties", "a=${b}\nb=${a}\n", 1, "circle"),
    "broken YAML": ("image.yml", "a: 1\nb: [\n", 3, "image.yml"),
})
def test_problem_in_a_directory(t, name, text, line, word):
    """A problem is told once, with file, line and remedy; status 1."""
    folder = Folder(t, dict(CONFIG, **{name: text}))
    status, out, err = run(["check", folder.path + "/"])
    hits = [one for one in out.splitlines() if one.startswith("%s:%d: error: " % (folder[name], line))]
    assert status == 1 and len(hits) == 1 and word in hits[0], (status, out, err)
    assert "c0ffee" not in out + err


@rows({"share": ("SUBSET", "version=2:150%", "from 0 to 100%"), "no-share": ("SUBSET", "version=2", "such as :5%"),
       "sum": ("SUBSET", "version=2:60%,version=3:60%", "more than 100%"), "twice": ("SUBSET", "version=2:6%,version=2:5%", "twice"),
       "eight": ("SUBSET", ",".join("v=%d:1%%" % n for n in range(8)), "more than 7 subsets"),
       "key": ("BALANCE_HASH", "heder:X-User", "header:NAME"), "no-name": ("BALANCE_HASH", "query:", "behind query: stands no name"),
       "cookie": ("BALANCE_COOKIE", "a; b", "a cookie's name"), "registry": ("REGISTRY", "dns,reddis", "did you mean redis?"),
       "not-asked": ("REGISTRY", "redis", "outrider.registry does not list redis"), "address": ("REGISTRY", "redis:r:6379", "only the name stands here")})
def test_balancing_that_makes_no_sense(t, name, value, remedy):
    """Shares, keys and registries of an upstream that cannot work are told before the start, with what would, and end the start."""
    env = {"OUTRIDER_UPSTREAM_QUOTES_" + name: value, "OUTRIDER_REGISTRY": "dns:"}
    for command in (["check"], ["sidecar"]):
        status, out, err = run(command, env)
        assert status == 2 and remedy in out + err and "OUTRIDER_UPSTREAM_QUOTES_" + name in out + err, (status, out, err)


def test_sources_of_the_environment(t):
    """Without a path the local sources of outrider.config are judged for the service and profile named there; remote ones are
    not asked."""
    folder = Folder(t, dict(CONFIG, **{"quotes-test.json": '{"outrider.mode": "of"}'}))
    env = {"OUTRIDER_CONFIG": "file:" + folder.path, "OUTRIDER_SERVICE": "quotes"}
    status, out, err = run(["check", "sidecar"], env)
    assert status == 0 and "good" in out, (status, out, err)
    status, out, err = run(["check", "sidecar", "--profile=test"], env)
    assert status == 1 and folder["quotes-test.json"] + ":1: error: " in out, (status, out, err)


def test_network_only_when_asked(t):
    """A remote source is left alone without --online; with it the source is asked, and one that does not listen is an error."""
    silent = socket.create_server(("127.0.0.1", 0))
    t._keep(silent)
    silent.settimeout(0.3)
    env = {"OUTRIDER_CONFIG": "spring-bus:amqp://guest:hush@127.0.0.1:%d" % silent.getsockname()[1],
           "OUTRIDER_CONFIG_WAIT": "500ms"}
    status, out, err = run(["check"], env)
    assert status == 0 and "--online" in out and "hush" not in out + err, (status, out, err)
    try:
        silent.accept()
        raise AssertionError("it was asked")
    except socket.timeout:
        pass
    run(["check", "--online"], env)
    silent.accept()[0].close()
    silent.close()
    began = time.monotonic()
    status, out, err = run(["check", "--online"], env)
    assert status == 1 and "refused" in out and "hush" not in out + err, (status, out, err)
    assert time.monotonic() - began < 10


def test_environment_with_a_directory(t):
    """Flags and environment are judged with the directory; wrong ones are status 2, and told once."""
    folder = Folder(t, CONFIG)
    status, out, err = run(["check", folder.path, "--timeout.idle=never"], {"OUTRIDER_MODUS": "on"})
    assert status == 2 and err.count("never") == 1 and err.count("OUTRIDER_MODUS") == 1, (status, out, err)
    assert "0 problems" in out, out


def test_stack(t):
    """A stack file: one line per finding in order, a summary, status 1 for an error."""
    folder = Folder(t, {"shop.yml": STACK % "many"})
    status, out, err = run(["check", folder["shop.yml"]])
    assert status == 1 and folder["shop.yml"] + ":6: error: OUTRIDER_PORT=many" in out, (status, out, err)
    assert "1 service, 0 profiles, 1 problem" in out.splitlines()[-1], out
    lines = [int(one.split(":")[1]) for one in out.splitlines()[:-1]]
    assert lines == sorted(lines), out


def test_our_own_stack_files(t):
    """The files of deploy/ have no problem, not even a warning."""
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy")
    for names in (["outrider", "landscape"], ["outrider", "beside-traefik"], ["outrider", "ui"], ["outrider-socketproxy"], ["landscape-spring"]):
        status, out, err = run(["check", "--strict", *[os.path.join(here, name + ".yml") for name in names]])
        assert status == 0, (status, out, err)


def test_stack_variables(t):
    """${NAME} is what the environment of the check says, which else is no matter of a stack file."""
    folder = Folder(t, {"shop.yml": STACK % "${SHOP_PORT:?say where shop listens}"})
    assert run(["check", folder["shop.yml"]], {"SHOP_PORT": "6767", "OUTRIDER_WORKERS": "many"})[0] == 0
    status, out, _ = run(["check", folder["shop.yml"]])
    assert status == 1 and ":6: error: " in out and "say where shop listens" in out, out


def test_stack_on_stdin(t):
    """`-` is standard input."""
    status, out, err = run(["check", "-"], stdin=(STACK % "many").encode())
    assert status == 1 and out.startswith("stdin:"), (status, out, err)


def test_strict(t):
    """A warning is status 0, and 1 with --strict."""
    folder = Folder(t, {"shop.yml": STACK % "6767\n      OUTRIDER_UPSTREAMS: shap:9001"})
    status, out, _ = run(["check", folder["shop.yml"]])
    assert status == 0 and ":7: warn: " in out and "did you mean shop?" in out, (status, out)
    assert run(["check", "--strict", folder["shop.yml"]])[0] == 1


def test_json(t):
    """--json is one object on stdout with all findings, those of the environment too."""
    folder = Folder(t, {"shop.yml": STACK % "many", "quotes.yml": "outrider.mode: of\n"})
    status, out, err = run(["check", "--json", folder["shop.yml"]])
    page = json.loads(out)
    assert (status, err, page["errors"], page["services"]) == (1, "", 1, 1), (status, out, err)
    first = next(one for one in page["findings"] if one["severity"] == "error")
    assert first["line"] == 6 and first["id"] == "option" and first["service"] == "shop" and "many" in first["text"]
    status, out, err = run(["check", folder.path, "--json"], {"OUTRIDER_WORKERS": "many"})
    page = json.loads(out)
    assert status == 2 and err == "" and page["errors"] == 2, (status, out, err)
    assert {one["file"] for one in page["findings"]} >= {"env", folder["quotes.yml"]}, out


@rows({
    "no such path": (["no-such-path.yml"],),
    "a device": (["/dev/null"],),
    "a command without exec": (["--", "true"],),
})
def test_usage(t, args):
    """What cannot be a question is status 2, with its reason on stderr."""
    status, out, err = run(["check"] + args)
    assert status == 2 and "outrider check" in err and out == "", (status, out, err)


def test_exec_takes_its_command(t):
    """What stands behind `--` is exec's, no path."""
    status, out, err = run(["check", "exec", "--service=a", "--port=80", "--", "/no/such", "--json"])
    assert status == 0 and "good" in out, (status, out, err)


def test_empty_directory(t):
    """A directory without configuration is an error: in CI it is mostly the wrong path."""
    status, out, err = run(["check", Folder(t, {"README.md": "none"}).path])
    assert status == 1 and "application.yml" in out, (status, out, err)


LAUGHS = "a0: &a0 [x]\n" + "".join("a%d: &a%d [%s]\n" % (i, i, ", ".join(["*a%d" % (i - 1)] * 9)) for i in range(1, 30))


@rows({
    "nothing": (b"",),
    "bytes": (bytes(range(256)) * 64,),
    "laughs": (LAUGHS.encode() + b"services: *a29\n",),
    "deep": (b"services: " + b"[" * 100000,),
    "deep maps": (b"services: " + b"{a: " * 100000,),
    "long": (b"services: {a: {image: '" + b"x" * 3000000 + b"'}}",),
    "wide": (b"services:\n" + b"".join(b"  s%d: {environment: {OUTRIDER_PORT: 1}}\n" % i for i in range(20000)),),
    "a circle": (b"services: &a\n  x: *a\n",),
    "control bytes": (b"services:\n  a:\n    environment: {OUTRIDER_PORT: \"\\e[31m\\0\"}\n",),
    "numbers": (b"services:\n  a:\n    x-outrider: exec\n    ports: ['99999999999:1', '1-70000:1', ':', '::::']\n"
                b"    stop_grace_period: 99999999999999999h\n    environment: [=, '', OUTRIDER_, OUTRIDER_UPSTREAM_]\n",),
})
def test_hostile_stack(t, text):
    """Whatever a file holds, the answer comes soon, is printable, and is status 1."""
    folder = Folder(t, {"x.yml": text})
    began = time.monotonic()
    status, out, err = run(["check", folder["x.yml"]])
    assert status == 1 and ": error: " in out, (status, out[:2000], err)
    assert all(c == "\n" or c >= " " for c in out), out[:2000]
    assert time.monotonic() - began < 10
    json.loads(run(["check", "--json", folder["x.yml"]])[1])
