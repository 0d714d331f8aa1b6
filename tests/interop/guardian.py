"""Ends the peers when the run cannot do so itself, because it was killed: a process beside it that learns of its end by the
end of a pipe. Peers have children of their own (RabbitMQ's virtual machine, the git daemon), so whole groups are ended."""
import os
import shutil
import signal


class Guardian:
    def __init__(self, folder):
        """folder: goes with the run."""
        read_end, self.pipe = os.pipe()  # not inherited by the peers, else it would never end
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.pipe)
                os.setsid()  # what ends the run's group shall not end this one
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                _watch(read_end, folder)
            finally:
                os._exit(0)
        os.close(read_end)

    def began(self, pid):
        """The leader of a group was started."""
        os.write(self.pipe, b"+%d\n" % pid)

    def ended(self, pid):
        os.write(self.pipe, b"-%d\n" % pid)

    def close(self):
        os.close(self.pipe)
        os.waitpid(self.pid, 0)


def _watch(read_end, folder):
    groups = set()
    with os.fdopen(read_end) as lines:
        for line in lines:
            (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass
    shutil.rmtree(folder, ignore_errors=True)
