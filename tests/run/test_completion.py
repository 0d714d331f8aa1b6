"""Completion of shells and the manual, which the program makes from its own tables."""
import os
import re
import shutil
import subprocess

from harness.agent import run
from harness.case import Skip, rows
from harness.screen import Screen, there_is_tmux

COMMANDS = ("sidecar", "exec", "edge", "node", "health", "check", "config", "get", "doctor", "why", "top", "version", "help")
# bash's own machinery calls the function; -F of `complete` names it.
BASH = r"""
source "$1"; shift
spec=$(complete -p outrider) || exit 3
function=$(sed -n 's/.*-F \([^ ]*\) .*/\1/p' <<<"$spec")
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
"$function" outrider "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}" 2>/dev/null
printf '%s\n' "${COMPREPLY[@]}"
"""


def script(t, shell):
    status, out, err = run(["help", "--completion=" + shell])
    assert status == 0 and not err, err
    path = os.path.join(t.tempdir(), "_outrider" if shell == "zsh" else "outrider." + shell)
    with open(path, "w", encoding="utf-8") as file:
        file.write(out)
    return path


def needs(program):
    if not shutil.which(program):
        raise Skip("%s is not installed" % program)


def complete(path, *words):
    """What bash proposes for the last word."""
    done = subprocess.run(["bash", "--norc", "--noprofile", "-c", BASH, "bash", path, "outrider"] + list(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=20, check=False)
    assert done.returncode == 0 and not done.stderr, done
    return [word for word in done.stdout.decode().split("\n") if word]


@rows({"command": (["to"], ["top"]), "all commands": ([""], sorted(COMMANDS)), "flag": (["top", "--sc"], ["--scope="]), "value": (["top", "--scope", "=", "sw"], ["swarm"]),
       "value, = no break": (["top", "--scope=sw"], ["--scope=swarm"]), "all values": (["top", "--scope", "=", ""], ["node", "sidecar", "swarm"]),
       "behind =": (["sidecar", "--mode", "="], ["observe", "off", "on"]), "switch": (["sidecar", "--faults", "=", ""], ["off", "on"]),
       "option": (["exec", "--stop-t"], ["--stop-timeout="]), "of an upstream": (["sidecar", "--upstream.quotes.timeout.c"], ["--upstream.quotes.timeout.connect="]),
       "value of an upstream": (["sidecar", "--upstream.quotes.mode", "=", "obs"], ["observe"]), "of a route": (["edge", "--route.a.str"], ["--route.a.strip="]),
       "page": (["get", "/upst"], ["/upstreams"]), "help": (["help", "rea"], ["reasons"]), "shell": (["help", "--completion", "=", "f"], ["fish"]),
       "choice with auto": (["sidecar", "--workers", "=", ""], ["auto"]), "open value": (["sidecar", "--service", "=", "a"], []),
       "of a sidecar": (["why", "--ser"], ["--service="]), "of no sidecar": (["health", "--ser"], []),
       "not of this command": (["health", "--work"], []), "of another program": (["exec", "--", "--work"], []), "nothing": (["version", "--j"], [])})
def test_bash(t, words, wanted):
    """bash completes commands, flags, pages and closed lists of values, also where `=` breaks words; open ones are left alone."""
    needs("bash")
    assert sorted(set(complete(script(t, "bash"), *words))) == wanted


def test_bash_typed(t):
    """The Tab key in a real bash."""
    if not there_is_tmux():
        raise Skip("tmux is not installed")
    s = t._keep(Screen(120, 24))
    s.command("outrider() { echo \"called:$*\"; }; source %s; clear" % script(t, "bash"))
    s.until("a clean screen", lambda text: "source" not in text)
    s.type("outrider to")
    s.keys("Tab")
    s.type("--vi")
    s.keys("Tab")
    s.type("ups")
    s.keys("Tab", "Enter")
    s.shows("called:top --view=upstreams")


def test_what_help_says_completes(t):
    """Each flag that a command's help explains completes behind that command."""
    path = script(t, "bash")
    for command in COMMANDS:
        said = set(re.findall(r"^(?:Options: | {2,})(--[a-z.-]+)", run(["help", command])[1].partition("\nExample")[0], re.M))
        known = {word.rstrip("=") for word in complete(path, command, "--")}
        open_names = {flag for flag in said if "NAME" in flag or flag.startswith(("--route.", "--upstream."))}
        assert said - known - open_names == set(), (command, said - known)
        assert command == "version" or "--help" in known


@rows({"zsh": ("zsh",), "fish": ("fish",)})
def test_syntax(t, shell):
    """The scripts for zsh and fish are read by these."""
    path = script(t, shell)
    needs(shell)
    done = subprocess.run([shell, "-n", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False)
    assert done.returncode == 0 and not done.stdout, done.stdout


@rows({"command": ("outrider to", "top"), "flag": ("outrider top --vi", "--view"), "value": ("outrider top --view=ci", "--view=circuits"),
       "page": ("outrider get /upst", "/upstreams"), "switch": ("outrider sidecar --faults=o", "--faults=on")})
def test_fish(t, line, wanted):
    """fish proposes the same."""
    path = script(t, "fish")
    needs("fish")
    done = subprocess.run(["fish", "--no-config", "-c", "source %s; complete -C '%s'" % (path, line)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False,
                          env=dict(os.environ, HOME=t.tempdir()))
    assert wanted in [row.split("\t")[0] for row in done.stdout.decode().splitlines()], done


@rows({"command": ("outrider do", "doctor"), "flag": ("outrider top --sco", "--scope="), "value": ("outrider top --scope=sw", "--scope=swarm"),
       "of an upstream": ("outrider sidecar --upstream.quotes.timeout.conn", "--upstream.quotes.timeout.connect="), "page": ("outrider get /upst", "/upstreams")})
def test_zsh_typed(t, line, wanted):
    """The Tab key in a real zsh."""
    needs("zsh")
    if not there_is_tmux():
        raise Skip("tmux is not installed")
    script(t, "zsh")
    s = t._keep(Screen(120, 24))
    s.command("exec zsh -f")
    s.command("PS1='zsh> '; fpath=(%s $fpath); autoload -Uz compinit; compinit -u -D; clear" % t.tempdir())
    s.until("a clean screen", lambda text: "zsh>" in text and "compinit" not in text)
    s.type(line)
    s.keys("Tab")
    s.shows("zsh> " + line.rsplit(" ", 1)[0] + " " + wanted)


def test_wrong_shell(t):
    """Another shell is status 2, and the three are named."""
    status, out, err = run(["help", "--completion=tcsh"])
    assert status == 2 and "fish" in err and not out, (status, out, err)


def test_manual(t):
    """The manual has every command and option, and no linter has a warning for it."""
    status, out, err = run(["help", "--man"])
    assert status == 0 and not err and out.startswith(".\\\" Made by") and ".TH OUTRIDER 1" in out, err
    for command in COMMANDS:
        assert "\n.SS %s\n" % command in out, command
    for option in re.findall(r"^  outrider\.([a-z.-]+)$", run(["help", "options"])[1], re.M):
        assert option.replace("-", "\\-") + "\\fP=" in out, option
    path = os.path.join(t.tempdir(), "outrider.1")
    with open(path, "w", encoding="utf-8") as file:
        file.write(out)
    needs("mandoc")
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False)
    assert done.returncode == 0, done.stdout.decode()
    text = subprocess.run(["mandoc", "-Tascii", "-Owidth=78", path], stdout=subprocess.PIPE, timeout=20, check=True).stdout.decode()
    plain = re.sub(r".\x08", "", text)
    assert "--upstreams=" in plain and "\\f" not in plain and "outrider - an agent beside each service" in plain, plain[:400]


def test_manual_is_found(t):
    """`lexgrog` of man-db reads its name and sentence, so that `apropos` finds it."""
    needs("lexgrog")
    path = os.path.join(t.tempdir(), "outrider.1")
    with open(path, "w", encoding="utf-8") as file:
        file.write(run(["help", "--man"])[1])
    done = subprocess.run(["lexgrog", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False)
    assert done.returncode == 0 and b"outrider - an agent" in done.stdout, done.stdout
