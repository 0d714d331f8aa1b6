"""A terminal that is looked at: tmux, with a server of its own for each test."""
import os
import re
import shutil
import subprocess
import tempfile
import time

from .agent import environment
from .wire import DEADLINE

PROMPT = "ready$ "
SGR = re.compile(r"\x1b\[([0-9;:]*)m")


def there_is_tmux():
    return shutil.which("tmux") is not None


class Screen:
    """bash in `columns` x `lines`; env is added to a clean environment."""

    def __init__(self, columns=80, lines=24, env=None):
        self.columns, self.lines = columns, lines
        self.folder = tempfile.mkdtemp(prefix="outrider-tmux-")
        self.socket = os.path.join(self.folder, "s")
        self.env = environment({"LC_ALL": "C.UTF-8", "PS1": PROMPT, "TERM": "xterm-256color", "HISTFILE": "/dev/null", "NO_COLOR": None, **(env or {})})
        self.env.pop("TMUX", None)
        if (env or {}).get("NO_COLOR") is None:
            self.env.pop("NO_COLOR", None)
        self._tmux("new-session", "-d", "-x", str(columns), "-y", str(lines), "-s", "t",
                   "exec env TERM=%s PS1='%s' bash --norc --noprofile" % (self.env["TERM"], PROMPT))
        self.until("a prompt", lambda text: PROMPT.strip() in text)

    def _tmux(self, *args):
        done = subprocess.run(["tmux", "-u", "-S", self.socket, "-f", "/dev/null"] + list(args), env=self.env, timeout=20,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 0, (args, done.stderr.decode("utf-8", "replace"))
        return done.stdout.decode("utf-8", "replace")

    def text(self):
        """What is on the screen, line by line, without trailing blanks."""
        return self._tmux("capture-pane", "-p", "-t", "t")

    def everything(self):
        """The screen and what was scrolled away, lines that the terminal broke joined again."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-", "-t", "t")

    def coloured(self):
        """The same with the sequences of its colours."""
        return self._tmux("capture-pane", "-p", "-e", "-t", "t")

    def colours(self):
        """Numbers of all SGR sequences on the screen."""
        return {part for found in SGR.findall(self.coloured()) for part in re.split("[;:]", found) if part not in ("", "0")}

    def type(self, text):
        self._tmux("send-keys", "-t", "t", "-l", "--", text)

    def keys(self, *names):
        """As tmux calls them: Enter, Up, C-c, or a letter."""
        self._tmux("send-keys", "-t", "t", *names)

    def command(self, line):
        self.type(line)
        self.keys("Enter")

    def resize(self, columns, lines):
        self.columns, self.lines = columns, lines
        self._tmux("resize-window", "-t", "t", "-x", str(columns), "-y", str(lines))

    def is_other(self):
        """(another screen is shown, the cursor is seen)"""
        said = self._tmux("display-message", "-p", "-t", "t", "#{alternate_on} #{cursor_flag}").split()
        return said[0] == "1", said[1] == "1"

    def children(self):
        """Processes that the shell started."""
        pid = self._tmux("display-message", "-p", "-t", "t", "#{pane_pid}").strip()
        with open("/proc/%s/task/%s/children" % (pid, pid), encoding="ascii") as file:
            return [int(child) for child in file.read().split()]

    def until(self, what, check, seconds=DEADLINE):
        """Polls check(text of the screen); returns that text."""
        limit = time.monotonic() + seconds
        while True:
            text = self.text()
            if check(text):
                return text
            assert time.monotonic() < limit, "%s: not within %.0f s; the screen:\n%s" % (what, seconds, text)
            time.sleep(0.02)

    def shows(self, *words):
        """Until all of these are on the screen."""
        return self.until(repr(words), lambda text: all(word in text for word in words))

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], env=self.env, timeout=20, check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)
