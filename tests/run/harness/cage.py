"""A memory cgroup of a test's own: an agent in there sees it as one in a container does, and removes it when it has ended."""
import os
import shutil
import subprocess
import time

from .agent import sanitized
from .case import Skip

ROOT = "/sys/fs/cgroup"
# the hierarchy in which groups are made, the file of its limit, and where a container has it: version 1, version 2
VERSIONS = ((ROOT + "/memory", "memory.limit_in_bytes"), (ROOT, "memory.max"))
ENTER = 'echo $$ >"$1/cgroup.procs" && mount --bind "$1" "$2" && shift 2 && exec "$@"'


class Cage:
    def __init__(self, mib):
        if sanitized():
            raise Skip("memory figures mean nothing under a sanitizer")
        if os.geteuid() != 0 or not shutil.which("unshare"):
            raise Skip("cgroups need root and unshare")
        self.seen, limit = next((one for one in VERSIONS if os.path.isdir(one[0])), VERSIONS[1])
        self.path = os.path.join(self.seen, "outrider-test-%d" % os.getpid())
        try:
            os.mkdir(self.path)
            with open(os.path.join(self.path, limit), "w", encoding="ascii") as file:
                file.write("%d\n" % (mib << 20))
        except OSError as why:
            self.close()
            raise Skip("no memory cgroup can be made here: %s" % why) from None
        words = self.words() + ["true"]
        if subprocess.run(words, capture_output=True, check=False).returncode != 0:
            self.close()
            raise Skip("nothing can be mounted here")

    def words(self):
        """What stands before a command that is to run inside."""
        return ["unshare", "--mount", "sh", "-c", ENTER, "sh", self.path, self.seen]

    def close(self):
        limit = time.monotonic() + 5
        while os.path.isdir(self.path) and time.monotonic() < limit:
            try:
                os.rmdir(self.path)
            except OSError:
                time.sleep(0.02)  # who was in there is ending
