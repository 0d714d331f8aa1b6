"""One started program of the demo: its log, its descendants, its end."""
import os
import shutil
import signal
import subprocess

# A demo that is itself killed with -9 leaves nothing behind: the kernel tells its children.
PARENT_DEATH = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def descendants(pid):
    """Process ids below pid, nearest first; those that vanish meanwhile are left out."""
    found, todo = [], [pid]
    while todo:
        parent = todo.pop(0)
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children") as children:
                    todo += [int(child) for child in children.read().split()]
        except OSError:
            pass
        if parent != pid:
            found.append(parent)
    return found


def plain_environment():
    """Ours without what would change the meaning of an agent's or a handler's own settings."""
    return {k: v for k, v in os.environ.items()
            if not k.startswith("OUTRIDER_") and not k.lower().endswith("_proxy") and k != "JAVA_TOOL_OPTIONS"}


class Process:
    def __init__(self, name, argv, env, log_folder):
        self.name = name
        self.argv = argv
        self.env = env
        self.log_path = os.path.join(log_folder, name + ".log")
        self.popen = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(PARENT_DEATH + self.argv, env={**plain_environment(), **self.env}, stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log, start_new_session=True)

    @property
    def pid(self):
        return self.popen.pid if self.popen else 0

    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def ended(self):
        """How it ended, in words; empty while it runs."""
        status = self.popen.poll() if self.popen else None
        if status is None:
            return ""
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def children(self):
        return descendants(self.pid) if self.running() else []

    def kill_with(self, pids):
        """kill -9 of pids, which belong to this process's own tree."""
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def kill(self):
        """kill -9 of the program and all below it at once, as when a container is killed."""
        if self.running():
            self.kill_with([self.pid] + self.children())
            self.popen.wait()

    def terminate(self):
        if self.running():
            self.popen.terminate()

    def wait(self, seconds):
        """False when it still runs after so many seconds."""
        try:
            self.popen.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def last_lines(self, count=5):
        try:
            with open(self.log_path, errors="replace") as log:
                return log.read().splitlines()[-count:]
        except OSError:
            return []
