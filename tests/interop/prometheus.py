"""Debian's Prometheus, with deploy/prometheus/ as its configuration: only how it finds its targets is another, for names of a swarm
are known on a swarm alone."""
import json
import os
import re
import shutil
import time
import urllib.parse

from harness.serial import Missing
from process import Http, Process

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEPLOY = os.path.join(ROOT, "deploy")
SCRAPE = re.compile(r"dns_sd_configs: \[\{names: \[[^]]*\], type: A, port: 4191, refresh_interval: 15s\}\]")


def read(*path):
    with open(os.path.join(DEPLOY, *path), encoding="utf-8") as file:
        return file.read()


class Prometheus(Http, Process):
    def __init__(self, name, estate):
        super().__init__(name, estate)
        self.port, self.folder = estate.port(), os.path.join(estate.folder, name)

    @classmethod
    def require(cls, estate):
        if not shutil.which("prometheus") or not shutil.which("promtool"):
            raise Missing("no prometheus or promtool (Debian package prometheus)")

    def argv(self):
        os.makedirs(self.folder, exist_ok=True)
        text, jobs = read("prometheus", "prometheus.yml"), []

        def found_in_file(_match):
            jobs.append(os.path.join(self.folder, "targets-%d.json" % len(jobs)))
            return "scrape_interval: 1s\n    file_sd_configs: [{files: [%s], refresh_interval: 1s}]" % jobs[-1]
        text = SCRAPE.sub(found_in_file, text).replace("evaluation_interval: 15s", "evaluation_interval: 1s")
        assert len(jobs) == 2, "prometheus.yml looks otherwise than this test expects"
        for path, body in ((jobs[0], "[]"), (jobs[1], "[]"), (self.path("prometheus.yml"), text), (self.path("rules.yml"), read("prometheus", "rules.yml"))):
            with open(path, "w", encoding="utf-8") as file:
                file.write(body)
        return ["prometheus", "--config.file=" + self.path("prometheus.yml"), "--storage.tsdb.path=" + self.path("data"),
                "--web.listen-address=127.0.0.1:%d" % self.port.port, "--enable-feature=exemplar-storage"]

    def path(self, name):
        return os.path.join(self.folder, name)

    def answers(self):
        return self.answers_at("/-/ready")

    # --- for tests -------------------------------------------------------------------------------

    def targets(self, agents, edges=()):
        """From now on these are scraped: agents of the harness."""
        for number, some in enumerate((agents, edges)):
            path = self.path("targets-%d.json" % number)
            with open(path + ".new", "w", encoding="utf-8") as file:
                json.dump([{"targets": ["%s:%d" % one.admin for one in some]}], file)
            os.rename(path + ".new", path)

    def ask(self, what, **query):
        status, body = self.call("GET", "/api/v1/%s?%s" % (what, urllib.parse.urlencode(query)))
        answer = json.loads(body)
        assert status == 200 and answer["status"] == "success", (what, query, body[:600])
        return answer["data"]

    def query(self, expression):
        """Samples of an instant query; those that are no number do not count. Raises when Prometheus cannot take the expression."""
        data = self.ask("query", query=expression)
        if data["resultType"] == "scalar":
            return [data["result"]]
        return [one for one in data["result"] if one["value"][1] != "NaN"]

    def value(self, expression):
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def until(self, what, check, seconds=30.0):
        end = time.monotonic() + seconds
        while not (value := check()):
            assert time.monotonic() < end, "%s: not within %.0f s" % (what, seconds)
            time.sleep(0.1)
        return value
