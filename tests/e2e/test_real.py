# SPDX-License-Identifier: BSD-2-Clause
"""A real program that nobody here wrote: Debian's caddy, serving files under
load, and as a proxy.  What gospect counts agrees with what caddy says of itself."""
import http.client
import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from harness import CACHE, Attach, coverage, gospect, listening_port, need_root, text_differs, wait_until
from schema import report

REQUESTS = 3000
THREADS = 4


def caddy():
    path = shutil.which("caddy") or os.path.join(CACHE, "caddy")
    if not os.access(path, os.X_OK):
        raise unittest.SkipTest("caddy is not installed")
    return path


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
        with open(os.path.join(self.dir.name, "Caddyfile"), "w") as f:
            f.write("{\n admin off\n auto_https off\n servers {\n  metrics\n }\n}\n"
                    f"http://:0 {{\n bind 127.0.0.1\n metrics /metrics\n root * {self.dir.name}\n file_server\n}}\n")
        with open(os.path.join(self.dir.name, "page.html"), "w") as f:
            f.write("x" * 100000)
        self.p = subprocess.Popen([caddy(), "run", "--config", f.name.replace("page.html", "Caddyfile"),
                                   "--adapter", "caddyfile"], cwd=self.dir.name,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env={**os.environ, "HOME": self.dir.name, "XDG_DATA_HOME": self.dir.name})
        self.addCleanup(self.stop)
        self.port = wait_until(lambda: listening_port(self.p.pid, "127.0.0.1"), "caddy's port")
        wait_until(self.answers, "caddy to answer")

    def stop(self):
        self.p.kill()
        self.p.wait()

    def answers(self):
        try:
            return get(self.port, "/page.html")[0] == 200 and get(self.port, "/metrics")[0] == 200
        except OSError:
            return False

    def metric(self, name):
        text = get(self.port, "/metrics")[1]
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
        self.assertLessEqual(abs(g["live"] - goroutines), 12)	# the metrics request itself has some, those of the load end
        self.assertTrue(gc1 <= r["gc"]["cycles_total"] <= gc2, (gc1, r["gc"], gc2))
        self.assertLessEqual(gc0, r["gc"]["cycles_total"] - r["gc"]["cycles"])
        if r["gc"]["cycles_total"] == gc1:	# none since: it is the same heap
            self.assertLess(abs(r["gc"]["heap_live_bytes"] - heap) / heap, 0.5)
        self.assertEqual(text_differs(self.p.pid), [])

    def test_default_settings(self):
        """Nothing to report of the goroutines, and of the same load no more is
        probed than with --exact.  (What that costs is measured by make bench.)"""
        hits = []
        for args in (("--exact",), ()):
            with Attach(self.p.pid, *args) as a:
                self.load()
                r = a.stop()[0]
            hits.append({p["name"]: p["hits"] for p in r["cost"]["probes"]["list"] if p["armed"]})
        exact, usual = hits
        self.assertGreater(sum(exact.values()), REQUESTS)
        # ends of goroutines are probed by default only, where the machine is slow enough for all of them
        self.assertLessEqual(sum(n for name, n in usual.items() if name in exact), sum(exact.values()) * 1.1)
        self.assertEqual([f for f in r["findings"] if f["kind"].startswith("goroutine")], [])

    def test_list_names_it(self):
        rows = [l for l in gospect("list").stdout.splitlines() if str(self.p.pid) in l.split()]
        self.assertEqual(len(rows), 1)
        self.assertIn("caddy", rows[0])


class Upstream(http.server.BaseHTTPRequestHandler):
    """What caddy is a proxy for."""
    protocol_version = "HTTP/1.1"
    gate = threading.Event()

    def do_GET(self):
        if self.path.startswith("/topsecretpath/hang"):
            self.gate.wait(60)
        if self.path.startswith("/topsecretpath/slow"):
            time.sleep(0.25)
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)

    def log_message(self, *a):
        pass


class Proxy(unittest.TestCase):
    """caddy as TLS server and reverse proxy: its requests to the upstream, phase by
    phase, against what the upstream and its own clients count."""

    def setUp(self):
        need_root()
        path = caddy()
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        Upstream.gate.clear()
        self.upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
        self.upstream.daemon_threads = True
        threading.Thread(target=self.upstream.serve_forever, daemon=True).start()
        self.addCleanup(self.upstream.server_close)
        self.addCleanup(self.upstream.shutdown)
        self.addCleanup(Upstream.gate.set)
        self.host = f"localhost:{self.upstream.server_port}"
        with open(os.path.join(self.dir.name, "Caddyfile"), "w") as f:
            f.write("{\n admin off\n auto_https disable_redirects\n skip_install_trust\n default_sni localhost\n}\n"
                    f"https://localhost:0 {{\n bind 127.0.0.1\n tls internal\n reverse_proxy {self.host}\n}}\n")
        self.p = subprocess.Popen([path, "run", "--config", f.name, "--adapter", "caddyfile"], cwd=self.dir.name,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env={**os.environ, "HOME": self.dir.name, "XDG_DATA_HOME": self.dir.name})
        self.addCleanup(Caddy.stop, self)
        self.port = wait_until(lambda: listening_port(self.p.pid, "127.0.0.1"), "caddy's port")
        wait_until(lambda: self.get("/ready") == 200, "caddy to answer")

    def get(self, path):
        c = http.client.HTTPSConnection("localhost", self.port, timeout=70, context=ssl._create_unverified_context())
        try:
            c.request("GET", path)
            r = c.getresponse()
            r.read()
            return r.status
        except OSError:
            return 0
        finally:
            c.close()

    def many(self, n, path, threads=4):
        """How long the longest of them took, in seconds."""
        bad, took = [], []

        def run():
            for _ in range(n // threads):
                begin = time.monotonic()
                status = self.get(path)
                took.append(time.monotonic() - begin)
                if status != 200:
                    bad.append(status)
        ts = [threading.Thread(target=run) for _ in range(threads)]
        for t in ts:
            t.start()
        for t in ts:
            t.join()
        self.assertEqual(bad, [])
        return max(took)

    def test_phases(self):
        with Attach(self.p.pid, "--exact", "--only", "net") as a:
            longest_fast = self.many(400, "/topsecretpath/x?a=topsecretquery")
            longest = self.many(16, "/topsecretpath/slow")
            r = a.stop()[0]
        rows = {x["phase"]: x for x in r["net"]["phases"] if x.get("host") == self.host}
        for phase in ("request_write", "ttfb", "body"):
            self.assertEqual((rows[phase]["count"], rows[phase]["errors"]), (416, 0), rows[phase])
        self.assertTrue(250e6 <= rows["ttfb"]["max_ns"] < 1e9 * max(longest, longest_fast), rows["ttfb"])
        self.assertEqual(rows["dns"]["count"], rows["connect"]["count"])
        # it is a TLS server here, not a client
        self.assertNotIn("tls", rows)
        c, = [c for c in r["net"]["connections"] if c.get("host") == self.host]
        self.assertEqual(c["protocol"], "http/1.1")
        self.assertNotIn("topsecret", json.dumps(r))
        self.assertEqual(set(r["losses"].values()), {0})

    def test_in_flight(self):
        ts = [threading.Thread(target=self.get, args=("/topsecretpath/hang",), daemon=True) for _ in range(5)]
        for t in ts:
            t.start()

        def hanging():
            r = report(gospect("snapshot", self.p.pid, "--window", "0", "--only", "net", "--format", "json").stdout)
            rows = [f for f in r["net"]["in_flight"] if f.get("host") == self.host and f.get("phase") == "ttfb"]
            return rows if len(rows) >= 5 else None
        rows = wait_until(hanging, "five requests in flight")
        self.assertEqual(len(rows), 5)
        p = gospect("snapshot", self.p.pid, "--window", "4s", "--only", "net", "--format", "json")
        r = report(p.stdout)
        # each has the context of the client's request, which is cancelled when that goes away
        self.assertEqual([f for f in r["findings"] if f["kind"] == "no-timeout"], [])
        self.assertEqual(sum(s["in_flight"] for s in r["net"]["servers"]), 5)
        Upstream.gate.set()
        for t in ts:
            t.join()
