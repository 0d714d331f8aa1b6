"""A repository of configuration and the git daemon that hands it out, as a team's git server does: the config server
clones it and fetches at every request."""
import os
import shutil
import socket
import subprocess

from harness.serial import Missing
from process import Process

# Nothing of the caller's own git settings may matter.
ENV = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "tests",
       "GIT_AUTHOR_EMAIL": "tests@localhost", "GIT_COMMITTER_NAME": "tests", "GIT_COMMITTER_EMAIL": "tests@localhost"}


class GitRepository(Process):
    def __init__(self, name, estate):
        super().__init__(name, estate)
        self.port = estate.port()
        self.folder = os.path.join(estate.folder, "git", "config")
        os.makedirs(self.folder)
        self.git("init", "-q", "-b", "main")
        self.put({"application.yml": "shared: all\n"})

    @classmethod
    def require(cls, estate):
        if not shutil.which("git"):
            raise Missing("there is no git; `make deps` installs it")

    def argv(self):
        return ["git", "daemon", "--listen=127.0.0.1", "--port=%d" % self.port.port, "--reuseaddr", "--export-all",
                "--base-path=" + os.path.dirname(self.folder), self.folder]

    def env(self):
        return ENV

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port.port), 2).close()
            return True
        except OSError:
            return False

    @property
    def url(self):
        return "git://127.0.0.1:%d/config" % self.port.port

    def git(self, *args):
        done = subprocess.run(["git", "-C", self.folder] + list(args), env=dict(os.environ, **ENV), check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, "git %s: %s" % (" ".join(args), done.stdout.decode("utf-8", "replace"))
        return done.stdout.decode().strip()

    def put(self, files, branch="main"):
        """Commits {path: text} to a branch, which is made from main if it is new; returns the commit's id."""
        if branch != "main":
            known = self.git("branch", "--list", branch)
            self.git("checkout", "-q", *([branch] if known else ["-b", branch, "main"]))
        for path, text in files.items():
            with open(os.path.join(self.folder, path), "w", encoding="utf-8") as file:
                file.write(text)
            self.git("add", path)
        self.git("commit", "-q", "-m", "tests")
        commit = self.git("rev-parse", "HEAD")
        if branch != "main":
            self.git("checkout", "-q", "main")
        return commit
