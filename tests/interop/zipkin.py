"""Zipkin's own server, with its spans in memory."""
import time

from process import Http, Process
from spring import JAVA


class Zipkin(Http, Process):
    jvm = True

    def __init__(self, name, estate):
        super().__init__(name, estate)
        self.port = estate.port()

    @classmethod
    def require(cls, estate):
        estate.maven.jar("zipkin-server")

    def argv(self):
        return JAVA + ["-Djava.io.tmpdir=" + self.estate.folder, "-jar", self.estate.maven.jar("zipkin-server")]

    def env(self):
        return {"JAVA_TOOL_OPTIONS": "", "QUERY_PORT": str(self.port.port), "STORAGE_TYPE": "mem"}

    def answers(self):
        return self.answers_at("/health")

    def trace(self, ident, n, seconds=20.0):
        """The spans of a trace once there are n: what is collected is stored a little later."""
        end = time.monotonic() + seconds
        while True:
            status, body = self.call("GET", "/api/v2/trace/" + ident)
            spans = self.json("/api/v2/trace/" + ident) if status == 200 else []
            if len(spans) >= n:
                return spans
            assert time.monotonic() < end, "trace %s: %d of %d spans: %s" % (ident, len(spans), n, body[:500])
            time.sleep(0.1)
