"""What the child of `outrider exec` writes: records for the sinks, or as it was."""
import json
import os
import pty
import signal
import subprocess
import sys
import time

from harness.agent import binary, environment, run
from harness.case import rows

PYTHON = sys.executable
TRACE = "463ac35c9f6413ad48485a3953bb6124"


def _env(t, **env):
    made, ports = t.wiring()
    made.update({"OUTRIDER_LAME_DUCK": "0s", "OUTRIDER_WORKERS": "1", "OUTRIDER_LOG": "json:stdout"})
    made.update({"OUTRIDER_" + key.upper(): value for key, value in env.items()})
    return made, ports


def _records(text, stream=None):
    """The app records of an output."""
    found = [json.loads(line) for line in text.splitlines() if line.startswith('{"time":')]
    return [one for one in found if one.get("type") == "app" and stream in (None, one["stream"])]


def _exec(t, command, **env):
    """(status, app records) of a child that ends by itself."""
    status, out, _ = run(["exec", "--"] + command, _env(t, **env)[0])
    return status, _records(out)


def test_lines_become_records(t):
    """Each line is a record with its stream, service and level; stderr alone is no error; the status stays the child's."""
    status, found = _exec(t, ["sh", "-c", "echo one; echo two >&2; echo 'WARN three' >&2; exit 7"])
    assert status == 7
    assert {(r["message"], r["stream"], r["level"]) for r in found} == {
        ("one", "stdout", "info"), ("two", "stderr", "info"), ("WARN three", "stderr", "warn")}, found
    assert all(r["service"] == "accountservice" and r["time"].endswith("Z") for r in found), found


def test_objects_are_merged(t):
    """A JSON line keeps its members, digits and all; time, level and trace are taken from it; no stamp of ours is overwritten."""
    line = ('{"ts":1795406706.789,"level":"ERROR","msg":"late","big":12345678901234567890,"mdc":{"traceId":"%s"},"service":"somebody"}' % TRACE)
    _, (record,) = _exec(t, ["printf", "%s\n", line])
    assert (record["time"], record["level"], record["message"]) == ("2026-11-23T04:05:06.789Z", "error", "late"), record
    assert record["big"] == 12345678901234567890 and record["mdc"] == {"traceId": TRACE} and record["trace_id"] == TRACE, record
    assert record["service"] == "accountservice" and record["app_service"] == "somebody" and "app_level" not in record, record


def test_a_line_of_spring(t):
    """The trace id of a text line is a member of its record."""
    _, (record,) = _exec(t, ["echo", "2026-11-23 04:05:06.789  WARN [bank,%s,a2fb4a1d1a96d312,true] 1 --- [main] x : y" % TRACE])
    assert (record["trace_id"], record["span_id"], record["level"]) == (TRACE, "a2fb4a1d1a96d312", "warn"), record


def test_hostile_output(t):
    """Colours go, control characters and broken UTF-8 are made visible, a line end is a line end only where there is one."""
    _, found = _exec(t, ["printf", r"\033[31mred\033[0m\r\n\000\377\033]0;title\007x\n\n" + r'{"a":1,"a":2}\n{"\\u0073ervice":"x"}' + r"\n"])
    assert [r["message"] for r in found] == ["red", "\ufffd\ufffdx", '{"a":1,"a":2}', '{"\\u0073ervice":"x"}'], found


def test_a_line_of_a_mebibyte(t):
    """It comes in pieces that say so, whole and in order, and a line after it is a line; nothing is lost."""
    code = "import sys\nsys.stdout.write(''.join('%07d ' % i for i in range(131072)) + '\\nnext\\n')"
    _, found = _exec(t, [PYTHON, "-c", code], log_queue="16MiB")
    assert [r.get("partial") for r in found] == ["first"] + ["middle"] * 14 + ["last", None], [r.get("partial") for r in found]
    assert "".join(r["message"] for r in found[:-1]) == "".join("%07d " % i for i in range(131072)) and found[-1]["message"] == "next"


def test_longer_lines_by_option(t):
    """app.log.line-max lets a long line be one record."""
    _, found = _exec(t, [PYTHON, "-c", "print('x' * 1048576)"], log_queue="16MiB", app_log_line_max="1MiB")
    assert len(found) == 1 and found[0]["message"] == "x" * 1048576 and "partial" not in found[0]


def test_the_last_words(t):
    """A last line without its end is a record, also of a child that is killed."""
    status, found = _exec(t, ["sh", "-c", "printf 'half a line'; kill -9 $$"])
    assert status == 137 and [(r["message"], r.get("partial")) for r in found] == [("half a line", None)], found


def test_a_prompt_is_seen_in_time(t):
    """What has no end for a second is a record that says so; what comes later is its rest."""
    env, ports = _env(t)
    code = "import time\nprint('Name? ', end='', flush=True)\ntime.sleep(30)"
    agent = t.agent(["exec", "--", PYTHON, "-c", code], env, ports, expect_status=143)
    (record,) = agent.until("the prompt", lambda: _records(agent.stdout()))
    assert (record["message"], record["partial"]) == ("Name? ", "first"), record
    agent.signal(signal.SIGTERM)
    agent.wait()


def test_a_grandchild_holds_nothing_up(t):
    """Somebody who stays and holds the pipe open does not delay the end, nor hides what was written."""
    began = time.monotonic()
    status, found = _exec(t, ["sh", "-c", "sleep 30 >&1 & echo $!; echo done"])
    assert status == 0 and found[-1]["message"] == "done" and time.monotonic() - began < 10, found
    os.kill(int(found[0]["message"]), signal.SIGKILL)


@rows({"unset": ({"OUTRIDER_LOG": None},), "off": ({"OUTRIDER_APP_LOG": "off"},), "log off": ({"OUTRIDER_LOG": "off"},)})
def test_left_as_it_is(t, env):
    """Where nobody chose a place for log records, or said off, the child's output passes byte for byte."""
    made = _env(t)[0]
    made.update(env)
    status, out, err = run(["exec", "--", "printf", r"\033[31mred\n{""a"":1}\nno end"], made)
    assert status == 0 and "\033[31mred\n{a:1}\nno end" in out and not _records(out + err), (out, err)


def test_on_without_a_sink_of_ones_own(t):
    """app.log=on writes them where the agent's own log goes."""
    made = _env(t, app_log="on")[0]
    del made["OUTRIDER_LOG"]
    _, out, err = run(["exec", "--", "echo", "one"], made)
    assert out == "" and [r["message"] for r in _records(err)] == ["one"], (out, err)


def test_a_terminal_stays_a_terminal(t):
    """On a terminal the child has the terminal, whatever outrider.log says."""
    leader, follower = pty.openpty()
    proc = subprocess.Popen([binary(), "exec", "--", "sh", "-c", "test -t 1 && echo a terminal"], env=environment(_env(t)[0]),
                            stdin=subprocess.DEVNULL, stdout=follower, stderr=subprocess.DEVNULL, start_new_session=True)
    os.close(follower)
    said, limit = b"", time.monotonic() + 10
    while b"a terminal\r\n" not in said and time.monotonic() < limit:
        try:
            said += os.read(leader, 4096)
        except OSError:
            break
    assert b"\na terminal\r\n" in b"\n" + said and proc.wait() == 0, said
    os.close(leader)


def test_nobody_waits_for_a_sink(t):
    """A sink that takes nothing delays neither the child nor the end: what it has no room for is dropped, and counted to the line."""
    env, ports = _env(t, app_log_rate="off", log_queue="64KiB")
    read_end, write_end = os.pipe()
    code = "for i in range(50000): print('line %06d' % i)\nprint('all', flush=True)\nimport time; time.sleep(30)"
    proc = subprocess.Popen([binary(), "exec", "--", PYTHON, "-c", code], env=environment(env), stdin=subprocess.DEVNULL, stdout=write_end,
                            stderr=subprocess.DEVNULL)
    os.close(write_end)
    try:
        def page():
            status, out, _ = run(["get", "/log", "--admin=" + ports["admin"].text])
            return json.loads(out) if status == 0 else {"output": {"lines": 0}}
        limit = time.monotonic() + 20
        while page()["output"]["lines"] < 50001 and time.monotonic() < limit:
            time.sleep(0.05)
        log = page()
        (sink,) = log["sinks"]
        assert log["output"]["lines"] == 50001 and log["records"]["app"] == 50001, log
        assert sink["produced"] == sink["sent"] + sink["queued"] + sum(sink["dropped"].values()) and sink["dropped"]["full"] > 10000, log
    finally:
        proc.terminate()
        status = proc.wait(15)
        os.close(read_end)
    assert status == 143, status


def test_a_flood_is_slowed(t):
    """app.log.rate: a child that writes faster is read slower, and no line is lost."""
    began = time.monotonic()
    _, found = _exec(t, ["seq", "-f", "%0100.0f", "1", "3000"], app_log_rate="1000")  # of 300 kB a pipe holds 64, and a second is let through
    assert [int(r["message"]) for r in found] == list(range(1, 3001))
    assert time.monotonic() - began > 0.8


def test_counted(t):
    """/metrics and /log say what was read of each stream."""
    env, ports = _env(t)
    agent = t.agent(["exec", "--", "sh", "-c", "echo one; echo two; echo three >&2; exec sleep 30"], env, ports, expect_status=143)
    agent.until("three", lambda: agent.get("/log")["output"]["lines"] == 3)
    page = agent.admin_call("GET", "/metrics")[2].decode()
    assert 'outrider_app_lines_total{service="accountservice",stream="stdout"} 2' in page, page
    assert 'outrider_app_lines_total{service="accountservice",stream="stderr"} 1' in page
    assert 'outrider_app_read_bytes_total{service="accountservice",stream="stdout"} 8' in page
    agent.signal(signal.SIGTERM)
    agent.wait()


def test_again_for_a_child_that_is_started_again(t):
    """A child that is started anew (on-change=restart) is read as well."""
    folder = t.tempdir()
    path = os.path.join(folder, "accountservice.properties")
    with open(path, "w", encoding="ascii") as file:
        file.write("my.key=one\n")
    env, ports = _env(t, config="file:" + folder, app_env="all", on_change="restart")
    agent = t.agent(["exec", "--", "sh", "-c", "echo key $MY_KEY; exec sleep 30"], env, ports, expect_status=143)
    agent.until("the first", lambda: "key one" in [r["message"] for r in _records(agent.stdout())])
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write("my.key=two\n")
    os.rename(path + ".new", path)
    agent.until("the second", lambda: "key two" in [r["message"] for r in _records(agent.stdout())])
    agent.signal(signal.SIGTERM)
    agent.wait()
