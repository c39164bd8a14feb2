# SPDX-License-Identifier: BSD-2-Clause
"""A real program that nobody here wrote: Debian's caddy, serving files under
load.  What gospect counts agrees with what caddy says of itself."""
import http.client
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

from harness import BIN_DIR, Attach, coverage, gospect, need_root, text_differs, wait_until

REQUESTS = 3000
THREADS = 4


def caddy():
    path = shutil.which("caddy") or os.path.join(os.path.dirname(BIN_DIR), "caddy")
    if not os.access(path, os.X_OK):
        raise unittest.SkipTest("caddy is not installed")
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(port, path):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        c.request("GET", path)
        r = c.getresponse()
        return r.status, r.read().decode(errors="replace")
    finally:
        c.close()


class Caddy(unittest.TestCase):
    def setUp(self):
        need_root()
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.port, self.admin = free_port(), free_port()
        with open(os.path.join(self.dir.name, "Caddyfile"), "w") as f:
            f.write(f"{{\n admin 127.0.0.1:{self.admin}\n auto_https off\n servers {{\n  metrics\n }}\n}}\n"
                    f":{self.port} {{\n bind 127.0.0.1\n root * {self.dir.name}\n file_server\n}}\n")
        with open(os.path.join(self.dir.name, "page.html"), "w") as f:
            f.write("x" * 100000)
        self.p = subprocess.Popen([caddy(), "run", "--config", f.name.replace("page.html", "Caddyfile"),
                                   "--adapter", "caddyfile"], cwd=self.dir.name,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env={**os.environ, "HOME": self.dir.name, "XDG_DATA_HOME": self.dir.name})
        self.addCleanup(self.stop)
        wait_until(self.answers, "caddy to answer")

    def stop(self):
        self.p.kill()
        self.p.wait()

    def answers(self):
        try:
            return get(self.port, "/page.html")[0] == 200 and get(self.admin, "/metrics")[0] == 200
        except OSError:
            return False

    def metric(self, name):
        text = get(self.admin, "/metrics")[1]
        return float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))

    def load(self):
        bad = []

        def run():
            for _ in range(REQUESTS // THREADS):	# a connection each: a goroutine each
                status, body = get(self.port, "/page.html")
                if status != 200 or len(body) != 100000:
                    bad.append(status)
        ts = [threading.Thread(target=run) for _ in range(THREADS)]
        for t in ts:
            t.start()
        for t in ts:
            t.join()
        self.assertEqual(bad, [])

    def test_counts_agree(self):
        gc0 = self.metric("go_gc_duration_seconds_count")
        with Attach(self.p.pid, "--exact") as a:
            self.load()
            gc1 = self.metric("go_gc_duration_seconds_count")
            goroutines = self.metric("go_goroutines")
            heap = self.metric("go_memstats_heap_alloc_bytes")
            r = a.stop()[0]
            gc2 = self.metric("go_gc_duration_seconds_count")
        for s in ("goroutines", "alloc", "gc"):
            self.assertEqual(coverage(r, s)["state"], "exact")
        self.assertEqual(set(r["losses"].values()), {0})
        g = r["goroutines"]
        # every connection has a goroutine of its own, started by the one that accepts
        serve = [x for x in g["by_site"] if x["function"] == "net/http.(*Server).Serve"]
        self.assertGreaterEqual(sum(x["births"] for x in serve), REQUESTS)
        # quiet but for the goroutines of the last requests, which end while it is read
        self.assertLessEqual(abs(g["live_at_start"] + g["births"] - g["deaths"] - g["live"]), 6)
        self.assertEqual(sum(g["by_state"].values()), g["live"])
        self.assertLessEqual(abs(g["live"] - goroutines), 6)	# the metrics request itself has some
        self.assertTrue(gc1 <= r["gc"]["cycles_total"] <= gc2, (gc1, r["gc"], gc2))
        self.assertLessEqual(gc0, r["gc"]["cycles_total"] - r["gc"]["cycles"])
        self.assertLess(abs(r["gc"]["heap_live_bytes"] - heap) / heap, 0.5)
        self.assertEqual(text_differs(self.p.pid), [])

    def test_default_settings(self):
        with Attach(self.p.pid) as a:
            self.load()
            r = a.stop()[0]
        used = r["cost"]["target_cpu_pct"] / 100 * r["target"]["cpu_cores"]
        self.assertLessEqual(used, max(0.01 * r["target"]["cpu_cores"], 0.002) * 1.15)
        self.assertEqual([f for f in r["findings"] if f["kind"].startswith("goroutine")], [])

    def test_list_names_it(self):
        rows = [l for l in gospect("list").stdout.splitlines() if str(self.p.pid) in l.split()]
        self.assertEqual(len(rows), 1)
        self.assertIn("caddy", rows[0])
