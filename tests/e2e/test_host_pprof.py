# SPDX-License-Identifier: BSD-2-Clause
"""Profiles that gospect host serves: `go tool pprof URL` reads them; who may not ask gets none,
one is taken at a time, and neither the host nor a scraper waits for it."""
import base64
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

from harness import DEADLINE, USUAL, Program, binary, wait_until
from test_host_export import GHOSTS, SERVICE, Base

PPROF = "/debug/pprof"
NAMES = ("ghosts", "profile", "cpu")
RULES = "processes:\n" + "".join(f"  - {{service: {SERVICE}-{n}}}\n" for n in NAMES) + "  - {depth: none}\n"
LIMIT = 20	# seconds, for what takes tenths of one


class Profiles(Base):
    def program(self, name, *args):
        return self.stack.enter_context(Program([binary(f"{name}-{USUAL}-stripped"), *args],
                                                env={"OTEL_SERVICE_NAME": f"{SERVICE}-{name}"}))

    def serving(self, text="pprof: true\n", n=1, **kw):
        h = self.host(RULES + text, **kw)
        wait_until(lambda: len([p for p in json.loads(h.get("/api/v1/processes")[2])["processes"]
                                if p["service"]["name"].startswith(SERVICE) and "totals" in p]) >= n, "totals")
        return h

    def top(self, url, *args):
        p = subprocess.run(["go", "tool", "pprof", "-top", *args, url], capture_output=True, text=True, timeout=DEADLINE,
                           env={**os.environ, "PPROF_TMPDIR": self.dir, "GOTOOLCHAIN": "local"})
        self.assertEqual(p.returncode, 0, p.stderr)
        return p.stdout

    def top_once_free(self, url):
        """What is asked meanwhile may have been there first."""
        while True:
            try:
                return self.top(url)
            except AssertionError as e:
                if "429" not in str(e):
                    raise

    def test_goroutines(self):
        self.program("ghosts", "-n", str(GHOSTS))
        h = self.serving()
        out = self.top(f"{h.url}{PPROF}/goroutine?service={SERVICE}-ghosts")
        self.assertIn("Type: goroutine", out)
        total = int(re.search(r"of (\d+) total", out)[1])
        self.assertIn(total - GHOSTS, range(1, 10))

    def test_heap(self):
        """What the program itself writes, and what is read of it, agree."""
        p = self.program("profile")
        path = os.path.join(self.dir, "own")
        for line in ("rate 1", "keep 200 10000", "churn 100 5000", "gc", f"heap {path}"):
            p.tell(line)
            self.assertEqual(p.line(lambda _: True), "ok", line)
        h = self.serving()
        rows = lambda out: sorted(l.split()[:2] + l.split()[5:] for l in out.splitlines() if " main." in l)
        for kind, shown in (("heap", "inuse_space"), ("allocs", "alloc_space")):
            out = self.top(f"{h.url}{PPROF}/{kind}?pid={p.pid}", "-unit=B")
            self.assertIn(f"Type: {shown}", out)
            own = self.top(path, "-unit=B", f"-sample_index={shown}")
            self.assertGreaterEqual(len(rows(own)), 1, own)
            self.assertEqual(rows(out), rows(own))

    def test_no_heap_profile(self):
        """The linker left it out: that is said, as it is by gospect snapshot."""
        p = self.program("ghosts")
        status, _, text = self.serving().get(f"{PPROF}/heap?pid={p.pid}")
        self.assertEqual(status, 404)
        self.assertIn("runtime.MemProfile", text)

    def test_cpu_and_one_at_a_time(self):
        p = self.program("cpu")
        h = self.serving()
        got = []
        url = f"{h.url}{PPROF}/profile?pid={p.pid}&seconds=3"
        t = threading.Thread(target=lambda: got.append(self.top_once_free(url)))
        t.start()
        # refused meanwhile, at once; pages and views go on
        wait_until(lambda: self.status(h, f"{PPROF}/goroutine?pid={p.pid}") == 429 or not t.is_alive(), "its beginning")
        self.assertTrue(t.is_alive(), got)
        seen = h.value("gospect_looks_total", depth="totals")
        wait_until(lambda: h.value("gospect_looks_total", depth="totals") > seen, "another look")
        self.assertTrue(t.is_alive(), got)
        t.join()
        self.assertIn("Type: cpu", got[0])
        self.assertIn("Duration: ", got[0])
        self.assertEqual(self.status(h, f"{PPROF}/goroutine?pid={p.pid}"), 200)

    def test_who_asks_goes(self):
        """The one under way ends with who asked for it, and with gospect host."""
        p = self.program("ghosts")
        h = self.serving()
        address = (h.address[0], int(h.address[1]))
        ask = f"GET {PPROF}/profile?pid={p.pid}&seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        busy = lambda: self.status(h, f"{PPROF}/goroutine?pid={p.pid}") == 429
        with socket.create_connection(address) as s:
            s.sendall(ask)
            wait_until(busy, "its beginning")
        begin = time.monotonic()
        wait_until(lambda: not busy(), "its end")
        self.assertLess(time.monotonic() - begin, LIMIT)
        with socket.create_connection(address) as s:
            s.sendall(ask)
            wait_until(busy, "its beginning")
            begin = time.monotonic()
            h.p.terminate()
            self.assertEqual(h.p.wait(DEADLINE), 0)
            self.assertLess(time.monotonic() - begin, LIMIT)

    def test_who_may_ask(self):
        p = self.program("ghosts")
        path = f"{PPROF}/goroutine?pid={p.pid}"
        h = self.serving("", n=1)
        self.assertEqual(h.get(path)[0], 404)
        h.close()
        h = self.serving()
        self.assertEqual(self.status(h, path), 200)
        self.assertEqual(h.get(path, Host="example.com")[0], 403)
        h.close()
        h = self.serving("pprof: true\npprof_token: s3cret\n")
        basic = base64.b64encode(b"x:s3cret").decode()
        for value, status in ((None, 401), ("Bearer s3cre", 401), ("Bearer s3crett", 401), ("Bearer ", 401),
                              ("Basic Og==", 401), ("Bearer s3cret", 200), ("Basic " + basic, 200)):
            headers = {"Authorization": value} if value else {}
            self.assertEqual(self.status(h, path, Host="example.com", **headers), status, value)
        # nothing else needs it
        self.assertEqual(h.get("/metrics")[0], 200)

    @staticmethod
    def status(h, path, **headers):
        c = http.client.HTTPConnection(*h.address, timeout=DEADLINE)
        with contextlib.closing(c):
            c.request("GET", path, headers=headers)
            return c.getresponse().status

    def test_wrong_questions(self):
        a, b = self.program("ghosts"), self.program("ghosts")
        h = self.serving(n=2)
        for path, status, words in (("/heap", 409, f"pid={a.pid} "), (f"/heap?service={SERVICE}-ghosts", 409, f"pid={b.pid} "),
                                    ("/heap?pid=1", 404, "no such process"), ("/heap?pid=x", 400, ""),
                                    ("/heap?service=%zz", 400, ""), (f"/trace?pid={a.pid}", 404, "there are"),
                                    (f"/heap?pid={a.pid}&seconds=3", 400, ""), (f"/profile?pid={a.pid}&seconds=61", 400, ""),
                                    (f"/profile?pid={a.pid}&seconds=0", 400, ""), (f"/heap?pid={a.pid}&debug=1", 400, ""),
                                    (f"/heap?pid={a.pid}&gc=1", 400, ""), ("", 200, f"pid={a.pid} "), ("/", 200, "goroutine")):
            got = h.get(PPROF + path)
            self.assertEqual(got[0], status, (path, got))
            self.assertIn(words, got[2], path)
        self.assertEqual(h.get(f"{PPROF}ology")[0], 404)
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(h.url + f"{PPROF}/heap?pid={a.pid}", method="HEAD"))
            self.fail("HEAD takes no profile")
        # one that ended meanwhile, though the view still has it
        b.close()
        self.assertEqual(h.get(f"{PPROF}/goroutine?pid={b.pid}")[0], 404)
