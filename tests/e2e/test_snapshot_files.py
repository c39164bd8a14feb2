# SPDX-License-Identifier: BSD-2-Clause
"""The files of snapshots: profiles against the ones that the program writes, in `go tool pprof`
and its web interface; the HTML file in a browser."""
import contextlib
import glob
import html
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest
import urllib.request

from harness import DEADLINE, RELEASES, Work, coverage, gospect, listening_port, need_root, wait_until
from profiles import read_profile
from snapshots import Profile, once, snapshot


@contextlib.contextmanager
def pprof_server(path):
    """go tool pprof's web interface on a profile: a function from a page's name to its text."""
    p = subprocess.Popen(["go", "tool", "pprof", "-http=127.0.0.1:0", "-no_browser", path],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                         start_new_session=True)

    def listens():
        if p.poll() is not None:
            raise AssertionError("go tool pprof ended: " + p.stderr.read())
        for l in glob.glob(f"/proc/{p.pid}/task/*/children"):
            with contextlib.suppress(FileNotFoundError), open(l) as f:
                ports = [listening_port(int(child), "127.0.0.1") for child in f.read().split()]
                if any(ports):
                    return next(filter(None, ports))

    try:
        port = wait_until(listens, "go tool pprof to listen")

        def page(name):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ui/{name}", timeout=DEADLINE) as f:
                return f.read().decode()
        yield page
    finally:
        os.killpg(p.pid, signal.SIGTERM)  # go, and pprof that it started
        p.communicate()


class Heap(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_as_the_program_writes_it(self):
        """Every stack's four numbers, on every release, equal the program's own profile."""
        for release in RELEASES:
            with self.subTest(release), Profile(release) as p, tempfile.TemporaryDirectory() as tmp:
                p.do("keep 2000 40000")
                p.do("tree 16")
                p.do("churn 10000 10000")
                p.do("gc")
                own, ours = os.path.join(tmp, "own"), os.path.join(tmp, "ours")
                p.do(f"heap {own}")
                r = gospect("snapshot", p.pid, "--window", "0", "--format", "pprof", "--profile", "heap", "-o", ours)
                self.assertEqual(r.returncode, 0, r.stderr)
                self.assertEqual(self.sums(own), self.sums(ours))

    @staticmethod
    def sums(path):
        types, samples = read_profile(path)
        assert types == ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"], types
        out = {}
        for stack, values, labels in samples:
            key = (tuple(stack), labels.get("bytes"))
            out[key] = [a + b for a, b in zip(out.get(key, [0] * 4), values)]
        # what the writing of the profile itself allocates comes later; the program also writes
        # stacks whose allocations are all newer than the last collection, as zeros
        return {k: v for k, v in out.items() if any(v) and any(f.startswith("main.") for f, _ in k[0])
                and not any("pprof" in f for f, _ in k[0])}

    def test_json_and_growth(self):
        with Profile() as p:
            p.do("keep 500 40000")
            p.do("gc")
            stop = threading.Event()

            def grow():
                while not stop.is_set():
                    p.do("keep 20 40000")
                    p.do("gc")
                    stop.wait(0.05)

            t = threading.Thread(target=grow)
            t.start()
            try:
                for _ in range(4):	# a busy machine collects seldom
                    r = snapshot(p.pid, "--window", "2s")
                    found = [f for f in r["findings"] if f["kind"] == "memory-growth"]
                    if found:
                        break
            finally:
                stop.set()
                t.join()
            top = r["heap"]["by_site"][0]
            self.assertEqual(top["function"], "main.keep")
            self.assertEqual(top["place"]["function"], "main.keep")
            self.assertGreater(top["grown_bytes"], 0)
            self.assertEqual(r["heap"]["rate"], 524288)
            self.assertEqual([f["place"]["function"] for f in found], ["main.keep"])

    def test_off_with_a_reason(self):
        with Work() as w:	# uses no runtime/pprof: the linker leaves the profile out
            r = once(w.pid)
            self.assertNotIn("heap", r)
            self.assertIn("linker", coverage(r, "heap")["why"])
        with Profile(env={"GODEBUG": "memprofilerate=0"}) as p:
            r = once(p.pid)
            self.assertNotIn("heap", r)
            self.assertIn("MemProfileRate", coverage(r, "heap")["why"])
            q = gospect("snapshot", p.pid, "--window", "0", "--format", "pprof", "--profile", "heap")
            self.assertEqual(q.returncode, 1)

    def test_every_allocation(self):
        with Profile(env={"GODEBUG": "memprofilerate=1"}) as p:
            p.do("keep 1000 2048")
            p.do("gc")
            r = once(p.pid)
            self.assertEqual(r["heap"]["exactness"], "exact")
            row = next(x for x in r["heap"]["by_site"] if x["function"] == "main.keep" and x["in_use_count"] >= 1000)
            self.assertGreaterEqual(row["in_use_bytes"], 1000 * 2048)


class Pprof(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_goroutines(self):
        with Profile() as p, tempfile.TemporaryDirectory() as tmp:
            p.do("label 7 user=alice")
            p.do("lock 3")
            path = os.path.join(tmp, "g.pb.gz")
            r = gospect("snapshot", p.pid, "--window", "0", "--format", "pprof", "-o", path)
            self.assertEqual(r.returncode, 0, r.stderr)
            types, samples = read_profile(path)
            self.assertEqual(types, ["goroutine"])
            self.assertEqual(sum(v[0] for _, v, _ in samples), 11)
            labelled = [s for s in samples if s[2].get("user") == "alice"]
            self.assertEqual([s[1] for s in labelled], [[7]])
            self.assertEqual(labelled[0][2], {"user": "alice", "state": "waiting", "wait_reason": "chan receive"})
            if not shutil.which("go"):
                self.skipTest("no go command: 'go tool pprof' was not tried")
            for args in (["-top"], ["-traces"], ["-tags"]):
                q = subprocess.run(["go", "tool", "pprof", *args, path], capture_output=True, text=True, timeout=DEADLINE)
                self.assertEqual(q.returncode, 0, q.stderr)
                self.assertIn({"-tags": "wait_reason"}.get(args[0], "main.waitLabelled"), q.stdout)

    def test_in_the_web_interface(self):
        """go tool pprof -http: its pages show the functions of both profiles."""
        if not shutil.which("go"):
            self.skipTest("no go command: 'go tool pprof -http' was not tried")
        with Profile() as p, tempfile.TemporaryDirectory() as tmp:
            p.do("label 7 user=alice")
            p.do("keep 500 40000")
            p.do("gc")
            for kind, function in (("goroutine", "main.waitLabelled"), ("heap", "main.keep")):
                path = os.path.join(tmp, kind)
                r = gospect("snapshot", p.pid, "--window", "0", "--format", "pprof", "--profile", kind, "-o", path)
                self.assertEqual(r.returncode, 0, r.stderr)
                with self.subTest(kind), pprof_server(path) as page:
                    for name in ("flamegraph", "top", "peek?f=" + function):
                        self.assertIn(function, page(name), name)
                    if kind == "goroutine":
                        self.assertNotIn(function, page("top?tf=user%3Dbob"))  # its labels select
                        self.assertIn(function, page("top?tf=user%3Dalice"))
                    # lines of a stripped executable are not listed, as with its own profiles
                    page("source?f=" + function)


class Html(unittest.TestCase):
    def setUp(self):
        need_root()

    def page(self, tmp):
        with Profile() as p:
            p.do("label 40 user=<b>&\"alice\"</script>")
            p.do("lock 9")
            path = os.path.join(tmp, "s.html")
            r = gospect("snapshot", p.pid, "--window", "0", "--format", "html", "-o", path)
            self.assertEqual(r.returncode, 0, r.stderr)
            return path

    def test_self_contained_and_escaped(self):
        with tempfile.TemporaryDirectory() as tmp:
            with open(self.page(tmp)) as f:
                text = f.read()
        self.assertNotIn("<b>&\"alice\"", text)
        self.assertEqual(text.count("</script>"), 1)
        self.assertIsNone(re.search(r"(src|href)\s*=|@import|url\(|https?:", text))
        self.assertIn("main.waitLocked", text)
        self.assertIn("alice", html.unescape(text))

    def test_in_a_browser(self):
        chrome = next((c for c in ("chromium", "chromium-browser", "google-chrome") if shutil.which(c)), None)
        if not chrome:
            self.skipTest("no chromium")
        with tempfile.TemporaryDirectory() as tmp:
            path = self.page(tmp)
            probe = path.replace(".html", "-probe.html")
            with open(path) as f, open(probe, "w") as out:
                # zooms and searches, and leaves what came of it in the title
                out.write(f.read().replace("</body>", """<script>
var boxes=document.querySelectorAll('.box'),q=document.querySelector('.find');
var widest=[].filter.call(boxes,function(b){return /waitLocked/.test(b.firstElementChild.title)})[0];
var before=widest.getBoundingClientRect().width;
widest.firstElementChild.click();
var after=widest.getBoundingClientRect().width;
q.value='waitlocked';q.dispatchEvent(new Event('input'));
document.title=JSON.stringify({boxes:boxes.length,before:before,after:after,
 hits:document.querySelector('.hits').textContent});
</script></body>"""))
            q = subprocess.run([chrome, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900",
                                f"--user-data-dir={tmp}/profile", "--dump-dom", "file://" + probe],
                               capture_output=True, text=True, timeout=DEADLINE)
            m = re.search(r"<title>(\{.*?\})</title>", html.unescape(q.stdout))
            self.assertTrue(m, q.stderr[-2000:])
            got = json.loads(m.group(1))
            self.assertGreater(got["boxes"], 5)
            self.assertGreater(got["before"], 100)
            self.assertGreater(got["after"], 2 * got["before"])
            self.assertEqual(got["hits"], "1 boxes, 9 goroutines")


if __name__ == "__main__":
    unittest.main()
