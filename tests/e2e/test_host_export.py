# SPDX-License-Identifier: BSD-2-Clause
"""`gospect host` as others see it: the page of metrics before promtool and a real Prometheus,
scrapers that misbehave, JSON, a collector that answers well, badly or not at all, the configuration."""
import contextlib
import gzip
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

from harness import CACHE, DEADLINE, GOSPECT, TOP, USUAL, Program, Work, binary, gospect, need_root, wait_until
from schema import report

HOST = os.path.join(os.path.dirname(GOSPECT), "gospect-host")
LISTENS = re.compile(r"http://(127\.0\.0\.1):(\d+)/")
GHOSTS = 50
QUICK = "interval: 1s\nwalk_interval: 1s\nyoung: 0\nlisten: 127.0.0.1:0\n"
SERVICE = f"ghosts-{os.getpid()}"	# another lane has its own


def of_prometheus(name):
    """Debian's, installed or unpacked by tools/setup --tests."""
    path = shutil.which(name) or os.path.join(CACHE, "prometheus", "usr", "bin", name)
    if not os.path.exists(path):
        raise unittest.SkipTest(f"no {name}")
    return path


class Host:
    """gospect host in the background, by a configuration of these lines."""

    def __init__(self, folder, text="", env=None, quick=QUICK, prefix=()):
        self.config, self.quick = os.path.join(folder, "host.yaml"), quick
        self.write(text)
        self.log = open(os.path.join(folder, "log"), "w+")
        self.p = subprocess.Popen([*prefix, GOSPECT, "host", "--config", self.config], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=self.log,
                                  env={**os.environ, "GOSPECT_HOST_SPOOL_DIR": "", "GOSPECT_HOST_PROBES_AT_ONCE": "0", **(env or {})})
        self.address = wait_until(lambda: LISTENS.search(self.said()) or self.ended(), "its address").groups()
        self.url = "http://%s:%s" % self.address
        wait_until(lambda: self.get("/-/ready")[0] == 200, "a first view")

    def write(self, text):
        with open(self.config, "w") as f:
            f.write(self.quick + text)

    def ended(self):
        if self.p.poll() is not None:
            raise AssertionError(f"it ended: {self.p.returncode}: {self.said()}")

    def said(self):
        with open(self.log.name) as f:
            return f.read()

    def get(self, path, **headers):
        """Status, type, text."""
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers), timeout=DEADLINE) as r:
                return r.status, r.headers["Content-Type"], r.read().decode()
        except urllib.error.HTTPError as e:
            with e:
                return e.code, e.headers["Content-Type"], e.read().decode()

    def metrics(self):
        status, _, text = self.get("/metrics")
        if status != 200:
            raise AssertionError(f"/metrics: {status}: {text}")
        return samples(text)

    def value(self, name, **labels):
        """Of the one series that has these labels; None: there is none."""
        found = [v for (n, ls), v in self.metrics().items() if n == name and labels.items() <= dict(ls).items()]
        if len(found) > 1:
            raise AssertionError(f"{name}{labels}: {found}")
        return found[0] if found else None

    def close(self):
        if self.p.poll() is None:
            self.p.terminate()
        self.p.wait(DEADLINE)
        self.log.close()


SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-z0-9_]+)="((?:[^"\\]|\\.)*)"(?:,|$)')


def samples(text):
    """{(name, labels): value}; none is there twice, and every line is one."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        m = SAMPLE.fullmatch(line)
        labels = tuple(LABEL.findall(m[2] or ""))
        if LABEL.sub("", m[2] or "") or (m[1], labels) in found:
            raise AssertionError(line)
        found[m[1], labels] = float(m[3])
    return found


class Base(unittest.TestCase):
    def setUp(self):
        need_root()
        if not os.path.exists(HOST):
            raise unittest.SkipTest("gospect-host was not built")
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.dir = self.stack.enter_context(tempfile.TemporaryDirectory())

    def ghosts(self, **env):
        return self.stack.enter_context(
            Program([binary(f"ghosts-{USUAL}-stripped"), "-n", str(GHOSTS)], env={"OTEL_SERVICE_NAME": SERVICE, **env}))

    def host(self, text="", **kw):
        h = Host(self.dir, text, **kw)
        self.stack.callback(h.close)
        return h


# Only our own program: whatever else runs on the machine is left alone.
ONLY = f"processes:\n  - {{service: {SERVICE}}}\n  - {{depth: none}}\n"


class Pages(Base):
    def test_metrics(self):
        p = self.ghosts()
        h = self.host(ONLY)
        # they are made at several places, in all so many
        wait_until(lambda: sum(v for (n, ls), v in h.metrics().items() if n == "gospect_goroutine_site_live"
                               and dict(ls)["code_function_name"].startswith("main.")) == GHOSTS, "a walk")
        self.assertGreaterEqual(h.value("go_goroutines", service_name=SERVICE), GHOSTS)
        self.assertGreaterEqual(h.value("gospect_goroutines_created_total", service_name=SERVICE), GHOSTS)
        self.assertEqual(h.value("go_gc_gogc_percent", service_name=SERVICE), 100)
        self.assertIsNone(h.value("go_gc_gomemlimit_bytes", service_name=SERVICE))
        self.assertEqual(h.value("gospect_target_info", service_name=SERVICE), 1)
        self.assertGreaterEqual(h.value("gospect_targets", depth="walk"), 1)
        self.assertGreater(h.value("process_resident_memory_bytes"), 0)
        # no series has a pid
        for name, labels in h.metrics():
            self.assertNotIn("pid", " ".join(k for k, _ in labels), name)
            self.assertNotIn(str(p.pid), [v for _, v in labels], name)
        # once it has ended, so have its series
        p.close()
        wait_until(lambda: h.value("go_goroutines", service_name=SERVICE) is None, "the end of its series")

    def test_formats(self):
        self.ghosts()
        h = self.host(ONLY)
        wait_until(lambda: h.value("go_goroutines", service_name=SERVICE), "its goroutines")
        status, kind, text = h.get("/metrics", Accept="text/plain")
        self.assertEqual((status, kind), (200, "text/plain; version=0.0.4; charset=utf-8"))
        self.assertNotIn("# EOF", text)
        status, kind, om = h.get("/metrics", Accept="application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1")
        self.assertEqual((status, kind), (200, "application/openmetrics-text; version=1.0.0; charset=utf-8"))
        self.assertTrue(om.endswith("# EOF\n"))
        self.assertIn("# TYPE gospect_goroutines_created counter\n", om)
        p = subprocess.run([of_prometheus("promtool"), "check", "metrics"], input=text, capture_output=True, text=True)
        self.assertEqual((p.returncode, p.stdout, p.stderr), (0, "", ""))

    def test_prometheus(self):
        """A real one asks, and finds the series of the page."""
        prometheus = of_prometheus("prometheus")
        self.ghosts()
        h = self.host(ONLY)
        wait_until(lambda: h.value("go_goroutines", service_name=SERVICE), "its goroutines")
        with open(os.path.join(self.dir, "prometheus.yml"), "w") as f:
            f.write("scrape_configs:\n  - job_name: gospect\n    scrape_interval: 1s\n    static_configs:\n"
                    "      - targets: ['%s:%s']\n" % h.address)
        with socket.create_server(("127.0.0.1", 0)) as s:
            address = "127.0.0.1:%d" % s.getsockname()[1]
        p = subprocess.Popen([prometheus, f"--config.file={self.dir}/prometheus.yml", f"--web.listen-address={address}",
                              f"--storage.tsdb.path={self.dir}/data"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stack.callback(p.wait, DEADLINE)
        self.stack.callback(p.kill)

        def ask(query):
            with contextlib.suppress(OSError), urllib.request.urlopen(
                    f"http://{address}/api/v1/query?query={query}", timeout=DEADLINE) as r:
                return json.load(r)["data"]["result"]

        def value(query):
            r = ask(query)
            return float(r[0]["value"][1]) if r else None

        wait_until(lambda: value(f"go_goroutines%7Bservice_name=%22{SERVICE}%22%7D"), "a scrape")
        self.assertEqual(value("up"), 1)
        # of as many series as the page has; it adds some of its own
        self.assertGreaterEqual(value(f"count(%7Bjob=%22gospect%22,service_name=%22{SERVICE}%22%7D)"),
                                len([n for n, ls in h.metrics() if dict(ls).get("service_name") == SERVICE]))
        self.assertGreaterEqual(value(f"go_goroutines%7Bservice_name=%22{SERVICE}%22%7D"), GHOSTS)

    def test_json_and_page(self):
        p = self.ghosts()
        h = self.host(ONLY)

        def process():
            found = [o for o in json.loads(h.get("/api/v1/processes")[2])["processes"] if o["pid"] == p.pid]
            return found and found[0].get("walked") and found[0]

        o = wait_until(process, "a walk")
        self.assertEqual((o["service"]["name"], o["depth"]), (SERVICE, "walk"))
        self.assertGreaterEqual(o["totals"]["goroutines"], GHOSTS)
        status, kind, text = h.get(f"/api/v1/processes/{o['id']}")
        self.assertEqual((status, kind), (200, "application/json"))
        self.assertEqual(report(text)["target"]["pid"], p.pid)
        self.assertIsInstance(json.loads(h.get("/api/v1/findings")[2])["findings"], list)
        status, kind, text = h.get("/")
        self.assertEqual((status, kind), (200, "text/html; charset=utf-8"))
        self.assertIn(f"pid {p.pid}", text)
        self.assertNotRegex(text, r"<script|src=|https?://|@import|url\(")
        self.assertEqual(h.get("/-/healthy")[0], 200)
        for path in ("/nothing", "/api/v1/processes/0", "/api/v1/processes/x", "/metrics/", "/../etc/passwd"):
            self.assertEqual(h.get(path)[0], 404, path)


class Hostile(Base):
    def test_scrapers(self):
        """Who asks wrongly is refused, who stalls is cut off, and nobody else notices."""
        self.ghosts()
        h = self.host(ONLY)
        wait_until(lambda: h.value("go_goroutines", service_name=SERVICE), "its goroutines")
        address = (h.address[0], int(h.address[1]))

        def answer(request):
            with socket.create_connection(address, timeout=DEADLINE) as s:
                s.sendall(request)
                with contextlib.suppress(ConnectionResetError):
                    return s.recv(4096).split(b"\r\n")[0]

        fds = len(os.listdir(f"/proc/{h.p.pid}/fd"))
        with contextlib.ExitStack() as held:
            stalled = [held.enter_context(socket.create_connection(address, timeout=DEADLINE)) for _ in range(50)]
            for i, s in enumerate(stalled):
                # half a request; nothing at all; a whole one whose answer is never read
                s.sendall((b"GET /metrics HTTP/1.1\r\nHost:", b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50)[i % 3])
            self.assertGreaterEqual(h.value("go_goroutines", service_name=SERVICE), GHOSTS)
            self.assertRegex(answer(b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n") or b"", rb"^(HTTP/1.1 4\d\d.*)?$")
            self.assertRegex(answer(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"), rb" 405 ")
            self.assertRegex(answer(b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n") or b" 400 ", rb" 4\d\d ")
            self.assertRegex(answer(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 60000 + b"\r\n\r\n") or b" 4", rb" 4")
            for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600), b"\r\n" * 5000, b"\xff" * 30000):
                with socket.create_connection(address, timeout=DEADLINE) as s:
                    with contextlib.suppress(OSError):  # refused, or no longer connected
                        s.sendall(garbage)
                        s.shutdown(socket.SHUT_WR)
                        while s.recv(65536):
                            pass
            self.assertRegex(answer(b"GET /%00%2e%2e/\xc3\x28 HTTP/1.1\r\nHost: x\r\n\r\n") or b" 4", rb" 4")
            # the stalled ones are cut off
            for s in stalled:
                with contextlib.suppress(ConnectionResetError):
                    while s.recv(1 << 20):
                        pass
        self.assertGreaterEqual(h.value("go_goroutines", service_name=SERVICE), GHOSTS)
        wait_until(lambda: len(os.listdir(f"/proc/{h.p.pid}/fd")) <= fds + 2, "their descriptors to be closed")


class Collector:
    """Takes OTLP, and answers as the list says: the last for ever.  A status, with Retry-After where
    it is a pair; None: nothing; bytes: these."""

    def __init__(self, *answers):
        self.answers, self.got, self.tries = list(answers), [], 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.tries += 1
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                if answer == 200:
                    outer.got.append((self.path, dict(self.headers), json.loads(gzip.decompress(body))))
                if answer is None:
                    self.close_connection = True
                    return
                if isinstance(answer, bytes):
                    self.wfile.write(answer)
                    self.close_connection = True
                    return
                status, *wait = answer if isinstance(answer, tuple) else (answer,)
                self.send_response(status)
                for w in wait:
                    self.send_header("Retry-After", w)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *a):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def resources(self, path, kind):
        """{service: [resource, …]} of all that was taken."""
        found = {}
        for p, _, o in list(self.got):
            if p == path:
                for r in o[kind]:
                    found.setdefault(attributes(r["resource"]).get("service.name"), []).append(r)
        return found

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def attributes(of):
    return {a["key"]: next(iter(a["value"].values())) for a in of["attributes"]}


class Push(Base):
    def collector(self, *answers):
        c = Collector(*answers)
        self.stack.callback(c.close)
        return c

    def pushing(self, c, **kw):
        return self.host(ONLY + f"labels: {{env: test}}\notlp:\n  endpoint: {c.url}\n  interval: 1s\n"
                         "  headers: {X-Key: secret}\n", **kw)

    def test_metrics(self):
        self.ghosts()
        c = self.collector(200)
        h = self.pushing(c)
        found = wait_until(lambda: c.resources("/v1/metrics", "resourceMetrics").get(SERVICE), "metrics")
        self.assertEqual(attributes(found[-1]["resource"])["env"], "test")
        metrics = {m["name"]: m for m in found[-1]["scopeMetrics"][0]["metrics"]}
        self.assertGreaterEqual(int(metrics["go.goroutine.count"]["sum"]["dataPoints"][0]["asInt"]), GHOSTS)
        self.assertTrue(metrics["gospect.goroutine.created"]["sum"]["isMonotonic"])
        _, headers, _ = c.got[0]
        self.assertEqual((headers["X-Key"], headers["Content-Encoding"], headers["Content-Type"]),
                         ("secret", "gzip", "application/json"))
        wait_until(lambda: h.value("gospect_export_requests_total", outcome="accepted"), "its being counted")
        self.assertEqual(h.value("gospect_export_requests_total", outcome="failed"), 0)

    def test_tried_again(self):
        """Busy, broken, silent and senseless answers: each is tried again, and nothing is lost."""
        self.ghosts()
        c = self.collector(503, None, b"\x00\x01garbage\r\n\r\n", (429, "1"), 200)
        h = self.pushing(c)
        wait_until(lambda: c.resources("/v1/metrics", "resourceMetrics").get(SERVICE), "metrics")
        self.assertGreaterEqual(c.tries, 5)
        wait_until(lambda: h.value("gospect_export_requests_total", outcome="accepted"), "its being counted")
        # of these, libcurl tries itself where a connection that was kept is closed
        self.assertGreaterEqual(h.value("gospect_export_requests_total", outcome="retried"), 2)
        self.assertEqual(h.value("gospect_export_requests_total", outcome="failed"), 0)
        self.assertEqual(h.value("gospect_export_requests_total", outcome="dropped"), 0)

    def test_refused(self):
        """What is refused for good is not tried again; the next one is sent."""
        self.ghosts()
        c = self.collector(400, 200)
        h = self.pushing(c)
        wait_until(lambda: c.got, "metrics")
        wait_until(lambda: h.value("gospect_export_requests_total", outcome="failed") == 1, "its being counted")
        self.assertEqual(h.value("gospect_export_requests_total", outcome="retried"), 0)

    def test_finding(self):
        """One that opens and closes, with its line: in metrics, JSON, the page, and pushed."""
        w = self.stack.enter_context(Work(env={"OTEL_SERVICE_NAME": SERVICE}))
        truth = w.do("where")["parks"]["chanreceive"]
        c = self.collector(200)
        h = self.pushing(c)

        def leaks():
            w.do("park 3 chanreceive")
            return h.value("gospect_finding", kind="goroutine-leak")

        wait_until(leaks, "the leak", timeout=2 * DEADLINE)
        self.assertEqual(h.value("gospect_finding", kind="goroutine-leak", code_function_name=truth["function"],
                                 code_file_path=truth["file"], code_line_number=str(truth["line"])), 1)
        self.assertEqual(sum(v for (n, ls), v in h.metrics().items()
                             if n == "gospect_findings" and dict(ls)["kind"] == "goroutine-leak"), 1)

        def listed(state):
            return [f for f in json.loads(h.get("/api/v1/findings")[2])["findings"]
                    if f["state"] == state and f["finding"]["kind"] == "goroutine-leak"]

        f, = listed("open")
        self.assertEqual((f["pid"], f["finding"]["place"]["line"]), (w.pid, truth["line"]))
        self.assertIn(f"{truth['file']}:{truth['line']}", h.get("/")[2])

        def pushed(state):
            for r in c.resources("/v1/logs", "resourceLogs").get(SERVICE, []):
                for l in r["scopeLogs"][0]["logRecords"]:
                    a = attributes(l)
                    if (a["gospect.finding.state"], a["gospect.finding.id"]) == (state, f["id"]):
                        return l

        l = wait_until(lambda: pushed("opened"), "its record")
        self.assertEqual((l["eventName"], attributes(l)["code.line.number"]), ("gospect.finding", str(truth["line"])))
        self.assertIn(l["severityNumber"], (13, 17, 21))
        w.close()
        wait_until(lambda: pushed("closed"), "the record of its end")
        closed = wait_until(lambda: [o for o in listed("closed") if o["id"] == f["id"]], "its end in the list")
        self.assertEqual([o["reason"] for o in closed], ["ended"])
        self.assertEqual(listed("open"), [])
        self.assertIsNone(h.value("gospect_finding", kind="goroutine-leak"))

    def test_ends_though_nobody_answers(self):
        self.ghosts()
        with socket.create_server(("127.0.0.1", 0)) as s:	# takes connections, and is silent
            h = self.host(ONLY + "otlp: {endpoint: 'http://127.0.0.1:%d', interval: 1s, timeout: 60s}\n"
                          % s.getsockname()[1])
            wait_until(lambda: h.value("gospect_export_queue_bytes"), "something to wait")
            h.p.terminate()
            self.assertEqual(h.p.wait(20), 0)


class Configured(Base):
    def check(self, text):
        path = os.path.join(self.dir, "check.yaml")
        with open(path, "w") as f:
            f.write(text)
        return gospect("host", "--check", path)

    def test_check(self):
        p = self.check("interval: 5s\notlp:\n  endpoint: http://collector:4318\n")
        self.assertEqual((p.returncode, p.stderr), (0, ""), p.stderr)
        p = self.check("interval: 5s\nintervals: 5s\n")
        self.assertEqual(p.returncode, 1)
        self.assertIn("line 2: unknown key 'intervals'", p.stderr)
        self.assertIn("hint: keys: interval", p.stderr)
        self.assertNotEqual(gospect("host", "--check", "/nonexistent").returncode, 0)

    def test_reload(self):
        """SIGHUP: a good configuration is taken, with a bad one all stays as it was."""
        self.ghosts()
        h = self.host(ONLY, env={"GOSPECT_HOST_MAX_SITES": "3"})
        wait_until(lambda: h.value("go_goroutines", service_name=SERVICE), "its goroutines")
        self.assertEqual(h.value("gospect_config_last_reload_successful"), 1)
        h.write(ONLY + "nonsense: 1\n")
        h.p.send_signal(signal.SIGHUP)
        wait_until(lambda: h.value("gospect_config_last_reload_successful") == 0, "its being refused")
        self.assertIn("unknown key 'nonsense'", h.said())
        self.assertGreaterEqual(h.value("go_goroutines", service_name=SERVICE), GHOSTS)
        h.write(ONLY + "labels: {env: prod}\n")
        h.p.send_signal(signal.SIGHUP)
        wait_until(lambda: h.value("go_goroutines", service_name=SERVICE, env="prod"), "the label")
        self.assertEqual(h.value("gospect_config_last_reload_successful"), 1)


class Packaged(unittest.TestCase):
    def test_alerts(self):
        """The rules fire and do not as their test says."""
        promtool = of_prometheus("promtool")
        for args in (("check", "rules", "alerts.yaml"), ("test", "rules", "alerts-test.yaml")):
            p = subprocess.run([promtool, *args], cwd=os.path.join(TOP, "packaging"), capture_output=True, text=True)
            self.assertEqual(p.returncode, 0, p.stdout + p.stderr)

    def test_names(self):
        """The rules ask for metrics that there are."""
        with open(os.path.join(TOP, "packaging", "alerts.yaml")) as f:
            asked = set(re.findall(r"\b(?:gospect|go)_[a-z_]+\b", f.read()))
        known = set()
        for name in ("self", "process", "walk"):
            with open(os.path.join(TOP, "src", "export", f"metric_{name}.c")) as f:
                known |= set(re.findall(r'\{\s*"([a-z_]+)"', f.read()))
        self.assertLessEqual(asked, known | {n + "_total" for n in known})


if __name__ == "__main__":
    unittest.main()
