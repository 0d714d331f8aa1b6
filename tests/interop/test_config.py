"""The agent and a real Spring Cloud Config Server, over git and over a folder."""
import json

from agents import (LIVE, refresh, spring_agent, spring_source, traffic, until_live, until_trouble, until_well, value)
from harness.case import limit, rows
from harness.config import app
from needs import needs

START = 150  # seconds for a test that starts a config server itself
GARBAGE = "00112233445566778899aabbccddeeff" * 2  # two blocks, so that decrypting ends in a wrong padding


@needs("git", down=("config-git",))
@limit(START)
def test_server_comes_later(t, estate):
    """No config server when the agent starts: it serves with what it has, names the server, and takes over what the server
    says once it is there."""
    estate.get("git").put({"later.yml": "x: from git\n"})
    server = estate.get("config-git")
    server.stop()
    agent = spring_agent(t, server, "later", config_wait="200ms", config_poll="500ms")
    assert "127.0.0.1:%d" % server.port.port in until_trouble(agent) and value(agent, "x") is None
    with traffic(agent):
        estate.start("config-git")
        until_live(agent, "x", "from git")
    until_well(agent)


@needs("git", down=("config-git",))
@limit(START)
def test_server_killed_under_traffic(t, estate):
    """The server is killed and comes back: no request fails, the last values stand, and the next change arrives."""
    git, server = estate.get("git"), estate.start("config-git")
    git.put({"killed.yml": "x: before\n"})
    agent = spring_agent(t, server, "killed", config_poll="500ms")
    assert value(agent, "x") == "before"
    with traffic(agent):
        server.kill()
        until_trouble(agent)
        git.put({"killed.yml": "x: after\n"})
        assert value(agent, "x") == "before"
        estate.start("config-git")
        until_live(agent, "x", "after")
    until_well(agent)


@needs("config-git")
def test_files_and_profiles(t, estate):
    """Shared, own and profile files in Spring's order, the last profile first; a list belongs to one file; placeholders see
    all of it; a value says where it is from."""
    estate.get("git").put({
        "application.yml": "shared: all\n",
        "layers.yml": "a: plain\nb: plain\nc: plain\nlist: [1, 2, 3]\nurl: http://${host:localhost}/${b}\n",
        "layers-test.yml": "b: test\nc: test\nlist: [7]\noutrider:\n  limit:\n    fields: 77\n",
        "layers-eu.properties": "c=eu\nnumber=8.50\nempty=\n"})
    agent = spring_agent(t, estate.get("config-git"), "layers", profile="test,eu")
    assert json.loads(app(agent)[2]) == {
        "a": "plain", "b": "test", "c": "eu", "list[0]": "7", "url": "http://localhost/test", "shared": "all",
        "number": "8.50", "empty": ""}
    option = next(o for o in agent.get("/config")["options"] if o["key"] == "outrider.limit.fields")
    assert option["value"] == "77" and option["origin"].startswith("spring:"), option
    assert "layers-test.yml" in option["origin"], option


@needs("config-git")
def test_an_unknown_service_has_the_shared_values(t, estate):
    """The server answers for every name; what all share is there, and nothing is wrong."""
    agent = spring_agent(t, estate.get("config-git"), "nobody-knows-it")
    assert json.loads(app(agent)[2]) == {"shared": "all"} and spring_source(agent)["well"]


@rows({"branch": ("release", "release"), "slash": ("feature/x", "feature"), "tag": ("v1", "main"),
       "next": ("nowhere,feature/x,release", "feature"), "none": ("", "main")})
@needs("config-git")
def test_labels(t, estate, label, wanted):
    """A branch, one with a slash, a tag; of several the first that the server knows; none means the server's default."""
    git = estate.get("git")
    if not git.git("tag", "--list", "v1"):
        git.put({"labels.yml": "x: main\n"})
        git.git("tag", "v1")
        git.put({"labels.yml": "x: release\n"}, "release")
        git.put({"labels.yml": "x: feature\n"}, "feature/x")
    agent = spring_agent(t, estate.get("config-git"), "labels", **({"spring_label": label} if label else {}))
    assert (value(agent, "x"), spring_source(agent)["well"]) == (wanted, True), spring_source(agent)


@needs("config-git")
def test_no_label_is_known(t, estate):
    """When the server knows none of the labels, the agent serves without values and names the option to look at."""
    agent = spring_agent(t, estate.get("config-git"), "labels", spring_label="nowhere,never", config_wait="5s")
    assert "outrider.spring.label" in until_trouble(agent), spring_source(agent)
    assert value(agent, "x") is None


@rows({"yaml": ("x: 2\ny: [1,\n",), "duplicate": ("x: 2\nx: 3\n",)})
@needs("config-git")
def test_a_broken_file_in_git(t, estate, text):
    """A file that the server cannot read. Having failed with branch main it tries master, which is not there, and so answers
    404. The last values stand, the trouble is named, and the repaired file counts again."""
    git = estate.get("git")
    _breaks(t, estate.get("config-git"), "404", lambda text: git.put({"broken.yml": text}), text)


@needs("config-native")
def test_a_broken_file_in_a_folder(t, estate):
    """The same over a folder, where the server answers 500."""
    server = estate.get("config-native")
    _breaks(t, server, "500", lambda text: server.put("broken.yml", text), "x: 2\ny: [1,\n")


def _breaks(t, server, status, put, text):
    put("x: 1\n")
    agent = spring_agent(t, server, "broken")
    with traffic(agent):
        put(text)
        refresh(agent)
        trouble = until_trouble(agent)
        assert "answers " + status in trouble, trouble
        assert value(agent, "x") == "1"
        put("x: 4\n")
        refresh(agent)
        until_live(agent, "x", "4")
    until_well(agent)


@needs("config-git")
def test_cipher(t, estate):
    """What the server can decrypt arrives as plain text; what it cannot decrypt is refused with its key, the last values
    stand, and nothing of it is shown."""
    git, server = estate.get("git"), estate.get("config-git")
    status, secret = server.call("POST", "/encrypt", "open sesame", {"Content-Type": "text/plain"})
    assert status == 200, secret
    git.put({"cipher.yml": "db.password: '{cipher}%s'\nx: 1\n" % secret})
    agent = spring_agent(t, server, "cipher")
    assert value(agent, "db.password") == "open sesame"
    git.put({"cipher.yml": "db.password: '{cipher}%s'\nx: 2\n" % GARBAGE})
    refresh(agent)
    _refused(agent, "db.password")
    assert (value(agent, "db.password"), value(agent, "x")) == ("open sesame", "1")


@needs("config-native")
def test_raw_cipher(t, estate):
    """A server that does not decrypt sends {cipher} as it is: refused in the same way, never used as a password."""
    server = estate.get("config-native")
    server.put("raw.yml", "db.password: plain\nx: 1\n")
    agent = spring_agent(t, server, "raw")
    assert value(agent, "db.password") == "plain"
    server.put("raw.yml", "db.password: '{cipher}%s'\nx: 2\n" % GARBAGE)
    refresh(agent)
    _refused(agent, "db.password")
    assert (value(agent, "db.password"), value(agent, "x")) == ("plain", "1")


def _refused(agent, key):
    """The change was refused because of the key, and /config says so without the value."""
    page = agent.until("refused", lambda: (lambda c: c if c["rejected"] else None)(agent.get("/config")), LIVE)
    problem = page["rejected"]["problems"][0]
    assert problem["key"].endswith(key) and problem["value"] == "***" and problem["origin"].startswith("spring:"), problem
    assert "00112233" not in json.dumps(page) and "n/a" not in problem["value"], page


@rows({"refresh": ("3600s", True), "poll": ("300ms", False)})
@needs("config-git")
def test_a_commit_is_live(t, estate, poll, asks):
    """A commit is in force after POST /refresh, or with the next poll, without a failed request; options act at once."""
    git, name = estate.get("git"), "commit-" + ("asked" if asks else "polled")
    git.put({name + ".yml": "x: 1\noutrider.limit.requests: 1000\n"})
    agent = spring_agent(t, estate.get("config-git"), name, config_poll=poll)
    with traffic(agent):
        for n in ("2", "3"):
            git.put({name + ".yml": "x: %s\noutrider.limit.requests: %s000\n" % (n, n)})
            if asks:
                refresh(agent)
            until_live(agent, "x", n)
    option = next(o for o in agent.get("/config")["options"] if o["key"] == "outrider.limit.requests")
    assert option["value"] == "3000", option


@needs("config-native")
def test_native(t, estate):
    """Over a folder, with profiles; the server has no versions there, so that only the values say what changed."""
    server = estate.get("config-native")
    server.put("folder.yml", "x: 1\ny: plain\n")
    server.put("folder-test.yml", "y: test\n")
    agent = spring_agent(t, server, "folder", profile="test", config_poll="300ms")
    assert (value(agent, "x"), value(agent, "y")) == ("1", "test")
    server.put("folder.yml", "x: 2\ny: plain\n")
    until_live(agent, "x", "2")
    assert value(agent, "y") == "test"
