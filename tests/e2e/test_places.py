# SPDX-License-Identifier: BSD-2-Clause
"""Containers and the commands around attach: a process in namespaces of its
own, list, doctor, plan, and the screen."""
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from harness import (DEADLINE, GOSPECT, NEWEST, OLDEST, RELEASES, USUAL, Attach, Program, Work, binary, coverage,
                     gospect, need_root, reports, site, wait_until)
from schema import report


class Namespaces(unittest.TestCase):
    def setUp(self):
        need_root()
        if not shutil.which("unshare"):
            self.skipTest("no unshare")

    def test_pid_and_mount_namespace(self):
        """The program sees itself as pid 1, and its executable is not in our tree."""
        with tempfile.TemporaryDirectory() as d:
            src = binary(f"work-{USUAL}-stripped")
            script = f"mount -t tmpfs none {d} && cp {src} {d}/prog && exec {d}/prog"
            with Work(argv=["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc",
                            "sh", "-c", script]) as w:
                self.assertEqual(w.ready.strip(), "READY pid=1")
                self.assertFalse(os.path.exists(os.path.join(d, "prog")))
                kids = open(f"/proc/{w.p.pid}/task/{w.p.pid}/children").read().split()
                pid = int(kids[0])
                before = w.do("where")
                with Attach(pid, "--exact") as a:
                    w.do("births 10")
                    w.do("large 5 100000 bytes")
                    r = a.stop()[0]
                after = w.do("where")
            for name, t in after["births"].items():
                self.assertEqual(site(r, t)["births"], t["births"] - before["births"][name]["births"], name)
            self.assertEqual(r["alloc"]["large_count"], 5)
            self.assertEqual(coverage(r, "goroutines")["state"], "exact")

    def test_gospect_in_a_pid_namespace(self):
        """gospect itself inside: pids are those that it sees."""
        self.inside(f"{binary(f'work-{USUAL}-stripped')} <&3 >$O & p=$!; until_has READY $O; ")

    def test_a_namespace_below(self):
        """And the program in one below it, as a container's in a container's."""
        self.inside(f"unshare --pid --fork --kill-child {binary(f'work-{USUAL}-stripped')} <&3 >$O & u=$!; "
                    "until_has READY $O; read p </proc/$u/task/$u/children; ")

    def inside(self, start):
        script = (f"exec 3<>$F; until_has() {{ until grep -q $1 $2; do sleep 0.05; done; }}; {start}"
                  f"{GOSPECT} attach $p --format json --exact 2>$E & g=$!; until_has watching $E; "
                  f"echo births 10 named >&3; until_has ok $O; kill -TERM $g; wait $g; s=$?; kill $p; exit $s")
        with tempfile.TemporaryDirectory() as d:
            os.mkfifo(os.path.join(d, "in"))
            p = subprocess.run(["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc",
                                "sh", "-c", script], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                               env={**os.environ, "F": os.path.join(d, "in"), "O": os.path.join(d, "out"),
                                    "E": os.path.join(d, "err")}, timeout=DEADLINE)
        self.assertEqual(p.returncode, 0, p.stderr)
        r = reports(p.stdout)[-1]
        self.assertEqual(r["goroutines"]["births"], 10, p.stderr)


class Commands(unittest.TestCase):
    def test_list(self):
        need_root()
        with Work(OLDEST) as a, Work(NEWEST, "pie") as b:
            a.do("park 25 chanreceive")
            p = gospect("list", "--format", "json")
            self.assertEqual(p.returncode, 0)
            rows = {x["pid"]: x for x in json.loads(p.stdout)["processes"]}
            self.assertEqual(rows[a.pid]["go"], "go" + OLDEST)
            self.assertEqual(rows[a.pid]["goroutines"], 26)
            self.assertEqual(rows[b.pid]["go"], "go" + NEWEST)
            self.assertEqual(rows[b.pid]["goroutines"], 1)
            self.assertNotIn(os.getpid(), rows)
            text = gospect("list").stdout
            self.assertIn(str(a.pid), text)

    def test_doctor(self):
        p = gospect("doctor", "--format", "json")
        self.assertEqual(p.returncode, 0)
        rows = json.loads(p.stdout)["features"]
        self.assertGreater(len(rows), 8)
        for r in rows:
            self.assertIn(r["state"], ("full", "limited", "none"))
            self.assertTrue(r["why"], r)
        self.assertEqual(len(gospect("doctor").stdout.splitlines()),
                         len(rows) + sum(1 for r in rows if r.get("hint")))

    def test_plan_of_every_release(self):
        for release in RELEASES:
            minor = int(release.split(".")[1])
            with self.subTest(release):
                p = gospect("plan", binary(f"work-{release}-stripped"), "--format", "json")
                self.assertEqual(p.returncode, 0, p.stderr)
                for x in json.loads(p.stdout)["probes"]:
                    if x["site"] == "absent" and x["sensor"] in ("net", "sql", "locks"):
                        self.assertIn("linked", x["why"])
                        continue
                    if x["site"] == "absent":
                        since = {"coroutine-birth": 23, "fatal-error": 21, "fatal-signal": 21}
                        until = {"fatal-error-old": 20, "fatal-signal-old": 20}
                        self.assertTrue(since.get(x["probe"], 0) > minor or until.get(x["probe"], 99) < minor, x)
                        continue
                    self.assertEqual(x["run"], "emulated", x)
                    self.assertIn(x["class"], ("push", "jcc", "call", "jmp", "nop"), x)

    def test_measured_cost(self):
        """A single-stepped cmp costs many times an emulated push."""
        need_root()
        with Work() as w:
            m = json.loads(gospect("plan", w.pid, "--format", "json").stdout)["measured_ns"]
        self.assertGreater(m["push"], 50)
        self.assertGreater(m["stepped"], 2 * m["push"], m)
        self.assertLess(m["call"], m["stepped"], m)

    def test_only(self):
        need_root()
        with Work() as w:
            r = report(gospect("attach", w.pid, "--for", "500ms", "--only", "gc,net", "--format", "json").stdout)
            self.assertEqual(coverage(r, "gc")["state"], "exact")
            self.assertEqual(coverage(r, "net")["state"], "off")
            self.assertEqual(coverage(r, "goroutines")["state"], "off")
            names = {x["name"] for x in r["cost"]["probes"].get("list", [])}
            self.assertFalse(names & {"goroutine-birth", "large-allocation"}, names)

    def test_windows_are_consecutive(self):
        need_root()
        with Work() as w:
            began = time.monotonic()
            p = gospect("attach", w.pid, "--for", "2500ms", "--every", "1s", "--format", "json")
            took = time.monotonic() - began
            rs = reports(p.stdout)
            self.assertIn(len(rs), (2, 3))	# one that is late by a second has the time of the next
            windows = [r["window_s"] for r in rs]
            self.assertTrue(2.49 <= sum(windows) <= took, (windows, took))
            for i in range(len(rs) - 1):	# none comes before it is due
                self.assertGreaterEqual(sum(windows[:i + 1]), i + 0.99, windows)
            for a, b in zip(rs, rs[1:]):
                self.assertEqual(a["goroutines"]["live"], b["goroutines"]["live_at_start"])

    def test_text(self):
        need_root()
        with Work() as w, tempfile.TemporaryDirectory() as d:
            w.do("park 1500 chanreceive")
            out = os.path.join(d, "report")
            p = gospect("attach", w.pid, "--for", "700ms", "-o", out)
            self.assertEqual((p.returncode, p.stdout), (0, ""), p.stderr)
            text = open(out).read()
        self.assertIn("1,501 live", text)
        self.assertNotIn("\x1b", text)
        self.assertLessEqual(max(len(l) for l in text.splitlines()), 100)

    def test_noopt_goes_on_with_less(self):
        """A runtime built without optimisation: what cannot be trusted is off, the rest works."""
        need_root()
        with Work(USUAL, "noopt") as w:
            w.do("park 12 chanreceive")
            p = gospect("attach", w.pid, "--for", "500ms", "--format", "json")
            self.assertEqual(p.returncode, 0, p.stderr)
            r = report(p.stdout)
            self.assertEqual(r["goroutines"]["live"], 13)


class Screen(unittest.TestCase):
    def setUp(self):
        need_root()
        if not shutil.which("tmux"):
            self.skipTest("no tmux")
        self.name = f"gospect-test-{os.getpid()}"

    def tmux(self, *args):
        return subprocess.run(["tmux", "-L", self.name, *args], capture_output=True, text=True)

    def shown(self):
        return self.tmux("capture-pane", "-p").stdout

    def test_screen(self):
        with Work() as w:
            w.do("park 777 chanreceive")
            w.do("park 55 mutex")
            try:
                self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", "sh")
                self.tmux("send-keys", f"{GOSPECT} attach {w.pid}", "Enter")
                wait_until(lambda: "777" in self.shown(), "the screen")
                s = self.shown()
                self.assertIn(str(w.pid), s)
                self.assertIn("parks.go", s)
                self.tmux("resize-window", "-x", "80", "-y", "24")
                wait_until(lambda: "777" in self.shown() and max(map(len, self.shown().splitlines())) <= 80, "80x24")
                self.tmux("send-keys", "n")
                self.tmux("send-keys", "q")
                wait_until(lambda: "losses:" in self.shown(), "the last report after q")
            finally:
                self.tmux("kill-server")
            w.do("check")
