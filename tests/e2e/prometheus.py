# SPDX-License-Identifier: BSD-2-Clause
"""Debian's Prometheus and alertmanager, installed or unpacked by tools/setup --tests."""
import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from harness import CACHE, DEADLINE, wait_until


class Listening:
    """A program of Go's kind of log, which says on what port it listens."""

    def __init__(self, folder, argv):
        self.log = os.path.join(folder, os.path.basename(argv[0]) + ".log")
        with open(self.log, "w") as f:
            self.p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=f)

        def address():
            with open(self.log) as f:
                text = f.read()
            if self.p.poll() is not None:
                raise AssertionError(text)
            return re.search(r"(?:address|Address)=\"?(127\.0\.0\.1:[1-9]\d*)", text)

        self.address = wait_until(address, "its address", timeout=2 * DEADLINE)[1]

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=DEADLINE) as r:
                return json.load(r)
        except urllib.error.HTTPError as e:
            if e.code == 503:	# it starts
                return None
            raise AssertionError(f"{path}: {e.read()}") from None

    def close(self):
        self.p.kill()
        self.p.wait(DEADLINE)


class Prometheus(Listening):
    def __init__(self, folder, program, target, interval="1s", more=""):
        path = os.path.join(folder, "prometheus.yml")
        with open(path, "w") as f:
            f.write(f"global: {{scrape_interval: {interval}, evaluation_interval: {interval}}}\n"
                    f"scrape_configs:\n  - job_name: gospect\n    static_configs: [{{targets: ['{target}']}}]\n{more}")
        super().__init__(folder, [program, f"--config.file={path}", "--web.listen-address=127.0.0.1:0",
                                  f"--storage.tsdb.path={folder}/data"])

    def ask(self, query):
        r = self.get("/api/v1/query?" + urllib.parse.urlencode({"query": query}))
        return r and r["data"]["result"]


def of_alertmanager():
    for path in ("/usr/bin/prometheus-alertmanager",
                 os.path.join(CACHE, "prometheus", "usr", "bin", "prometheus-alertmanager")):
        if os.path.exists(path):
            return path
    return None
