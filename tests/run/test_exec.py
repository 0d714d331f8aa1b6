"""`outrider exec -- CMD…`: what the child finds, what becomes of its status, and signals."""
import os
import resource
import select
import signal
import subprocess
import sys

from harness.agent import binary, environment, run
from harness.case import Skip, rows

PYTHON = sys.executable
FD_LIST = """import os
found = []
for name in os.listdir("/proc/self/fd"):
    try:
        found.append((int(name), os.readlink("/proc/self/fd/" + name)))
    except FileNotFoundError:
        pass
print(sorted(number for number, _ in found), found)"""


def _run(t, command, env=None, handler=None, **options):
    """Runs a command to its end; (status, stdout, stderr)."""
    made, _ = t.wiring(handler, env=env)
    made.update({"OUTRIDER_LAME_DUCK": "0s", "OUTRIDER_WORKERS": "1"})
    made.update(env or {})
    return run(["exec", "--"] + command, made, **options)


@rows({str(status): (status,) for status in (0, 1, 7, 42, 255)})
def test_exit_status(t, status):
    """The child's exit status is the agent's, also when it ends by itself (jobs finish)."""
    assert _run(t, ["sh", "-c", "exit %d" % status])[0] == status


@rows({signal.Signals(number).name: (number,) for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV)})
def test_exit_by_a_signal(t, number):
    """A child that a signal ended gives 128 + its number."""
    assert _run(t, ["sh", "-c", "kill -%d $$" % number])[0] == 128 + number


def test_command_not_found(t):
    """A command that does not exist: 127, and a line that names it."""
    status, _, err = _run(t, ["no-such-command-here"])
    assert status == 127 and "no-such-command-here" in err, (status, err)


def test_command_not_executable(t):
    """A file that cannot be executed: 126."""
    path = os.path.join(t.tempdir(), "plain")
    with open(path, "w") as file:
        file.write("text")
    assert _run(t, [path])[0] == 126


def test_without_a_command(t):
    """exec without a command is a usage error."""
    status, _, err = run(["exec"], t.wiring()[0])
    assert status == 2 and err


def test_arguments_reach_the_child(t):
    """Arguments pass as they are, flags among them."""
    status, out, _ = _run(t, ["printf", "%s|", "--help", "a b", "", "--timeout.idle=1s"])
    assert status == 0 and out == "--help|a b||--timeout.idle=1s|", out


def test_flags_before_the_dashes_are_the_agents(t):
    """Options before -- are the agent's own."""
    env, _ = t.wiring()
    status, _, err = run(["exec", "--mode=perhaps", "--", "true"], env)
    assert status == 2 and "perhaps" in err


def test_child_starts_when_the_ports_are_open(t):
    """The child may connect to inbound, outbound and admin with its first instruction."""
    env, ports = t.wiring("127.0.0.1:%d" % t.port().port)
    code = "import socket\n" + "".join("socket.create_connection((%r, %d), 2)\n" % (port.host, port.port)
                                       for port in ports.values())
    status, _, err = run(["exec", "--", PYTHON, "-c", code], env)
    assert status == 0, err


def test_child_does_not_start_when_a_port_is_taken(t):
    """When the agent cannot listen the child is never started."""
    taken, mark = t.origin("taken"), os.path.join(t.tempdir(), "started")
    status, _, err = _run(t, ["touch", mark], {"OUTRIDER_OUTBOUND": taken.text})
    assert status == 1 and not os.path.exists(mark) and str(taken.port) in err, (status, err)


def test_signal_mask_and_dispositions(t):
    """The child has the default signal mask and dispositions."""
    status, out, _ = _run(t, ["cat", "/proc/self/status"])
    assert status == 0
    found = dict(line.split(":\t") for line in out.splitlines() if line.startswith(("SigBlk", "SigIgn", "SigCgt")))
    assert all(int(value, 16) == 0 for value in found.values()) and len(found) == 3, found


def test_no_inherited_descriptors(t):
    """The child finds descriptors 0, 1, 2 and no others."""
    spare = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(spare, True)
    status, out, _ = _run(t, [PYTHON, "-c", FD_LIST], pass_fds=(spare,))
    os.close(spare)
    assert status == 0
    assert out.startswith("[0, 1, 2]"), out


def test_limits_are_original(t):
    """The child has the limit of open files with which the agent was started."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (777, hard))
    status, out, _ = _run(t, ["sh", "-c", "ulimit -Sn; ulimit -Hn"])
    wanted = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    assert status == 0 and out.split() == ["777", wanted], out


def test_environment_passes(t):
    """The child's environment is the agent's; no proxy variable unless asked for."""
    status, out, _ = _run(t, ["env"], {"MY_VARIABLE": "as it is"})
    assert status == 0 and "MY_VARIABLE=as it is\n" in out and "http_proxy" not in out


def test_proxy_environment(t):
    """exec.proxy-env=on sets http_proxy and no_proxy, never https_proxy."""
    env, ports = t.wiring(env={"OUTRIDER_EXEC_PROXY_ENV": "on"})
    status, out, _ = run(["exec", "--", "env"], env)
    lines = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    assert status == 0 and lines["http_proxy"] == "http://" + ports["outbound"].text, lines.get("http_proxy")
    assert set("localhost,127.0.0.1,::1".split(",")) <= set(lines["no_proxy"].split(","))
    assert "https_proxy" not in lines and "HTTPS_PROXY" not in lines


def test_standard_streams_pass(t):
    """The child's stdin, stdout and stderr are the agent's."""
    status, out, err = _run(t, ["sh", "-c", "cat; echo to-stderr >&2"], stdin=b"from-stdin")
    assert status == 0 and "from-stdin" in out and "to-stderr" in err


FORWARDED = ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGWINCH")
TRAP = """import signal, sys
def got(number, frame):
    print("got", signal.Signals(number).name, flush=True)
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), got)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
print("up", flush=True)
while True:
    signal.pause()"""


@rows({name: (name,) for name in FORWARDED})
def test_signals_are_forwarded(t, name):
    """Signals that services use for themselves reach the child, and the agent goes on."""
    env, ports = t.wiring()
    agent = t.agent(["exec", "--", PYTHON, "-c", TRAP] + list(FORWARDED), env, ports, expect_status=5)
    agent.until("the child is up", lambda: "up" in agent.stdout())
    agent.signal(getattr(signal, name))
    agent.until("the child got it", lambda: "got " + name in agent.stdout())
    assert agent.ready() == 200


def test_orphans_are_reaped(t):
    """A process whose parent has left is adopted and reaped: no zombie stays."""
    code = """import os, sys, time
r, w = os.pipe()
if os.fork() == 0:
    parent = os.getpid()
    if os.fork() == 0:
        os.write(w, b"%d" % os.getpid())
        while os.getppid() == parent:
            time.sleep(0.002)
        os._exit(0)
    os._exit(0)
pid = int(os.read(r, 20))
os.wait()
limit = time.monotonic() + 5
while os.path.exists("/proc/%d" % pid):
    if time.monotonic() > limit:
        sys.exit(9)
    time.sleep(0.002)
sys.exit(0)"""
    assert _run(t, [PYTHON, "-c", code])[0] == 0


def test_status_is_the_childs_not_an_orphans(t):
    """The end of an orphan is not taken for the end of the child."""
    code = """import os, sys, time
if os.fork() == 0:
    if os.fork() == 0:
        os._exit(77)
    os._exit(0)
os.wait()
time.sleep(0.2)
sys.exit(3)"""
    assert _run(t, [PYTHON, "-c", code])[0] == 3


NAMESPACE = """import fcntl, os, socket, struct, sys
with socket.socket() as s:  # brings lo up in the new network namespace
    fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 0x49))
os.execv(sys.argv[1], sys.argv[1:])"""


def _as_pid_1(args, env, **options):
    """The agent as PID 1 of process and network namespaces of its own."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-pfn", "true"], check=False,
                                           stderr=subprocess.DEVNULL).returncode:
        raise Skip("needs root and the unshare command")
    done = subprocess.run(["unshare", "-pfn", "--mount-proc", PYTHON, "-c", NAMESPACE, binary()] + args,
                          env=environment(env), timeout=20, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, **options)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_as_pid_1(t):
    """As PID 1 the agent reaps everything and returns the child's status."""
    code = """import os, sys, time
assert os.getppid() == 1
for _ in range(20):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
limit = time.monotonic() + 5
while len([name for name in os.listdir("/proc") if name.isdigit()]) > 2:
    if time.monotonic() > limit:
        sys.exit(9)
    time.sleep(0.002)
sys.exit(4)"""
    status, _, err = _as_pid_1(["exec", "--", PYTHON, "-c", code], {})
    assert status == 4, (status, err)


def test_as_pid_1_health_without_an_address(t):
    """As PID 1 the agent holds @outrider: `outrider health` needs no address, whatever ports were configured."""
    status, out, err = _as_pid_1(["exec", "--", binary(), "health"], {"OUTRIDER_ADMIN": "127.0.0.1:5999"})
    assert status == 0 and "healthy" in out, (status, out, err)


def test_two_agents_of_one_namespace(t):
    """A second agent that is PID 1 of the same network namespace leaves, and names the owner."""
    code = ("import subprocess, sys\n"
            "done = subprocess.run(['unshare', '-pf', %r, 'exec', '--', 'true'], stderr=subprocess.PIPE)\n"
            "sys.stderr.write(done.stderr.decode())\nsys.exit(30 + done.returncode)" % binary())
    status, _, err = _as_pid_1(["exec", "--", PYTHON, "-c", code], {})
    assert status == 31 and "@outrider" in err, (status, err)


def test_child_dies_with_the_agent(t):
    """When the agent is killed the child gets SIGTERM: a service never runs on without its agent."""
    env, ports = t.wiring()
    agent = t.agent(["exec", "--", PYTHON, "-c", "import os, signal\nprint(os.getpid(), flush=True)\nsignal.pause()"],
                    env, ports, expect_status=-signal.SIGKILL)
    pid = int(agent.until("the child is up", lambda: agent.stdout().strip()).split()[0])
    handle = os.pidfd_open(pid)
    agent.proc.kill()
    agent.wait()
    assert select.select([handle], [], [], 8)[0], "the child lives on"
    os.close(handle)
