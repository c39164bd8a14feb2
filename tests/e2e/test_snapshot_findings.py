# SPDX-License-Identifier: BSD-2-Clause
"""Findings that only a snapshot has, exit status, and `diff` of two."""
import json
import os
import re
import subprocess
import tempfile
import unittest
from datetime import datetime

from harness import RELEASES, USUAL, Program, Work, binary, coverage, gospect, need_root, releases, wait_until
from snapshots import once, place, snapshot

SHOP = f"shop-{USUAL}-stripped"


class Findings(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_deadlocks(self):
        """On every release; and the twins that only look alike give none."""
        for release in RELEASES:
            for mode, size in (("locals", 2), ("fields", 2), ("globals", 2), ("readers", 2), ("three", 3),
                               ("slow", 0), ("handover", 0), ("convoy", 0)):
                with self.subTest(release=release, mode=mode), \
                        Program([binary(f"locks-{release}-stripped"), mode]) as p:
                    found = [f for f in once(p.pid)["findings"] if f["kind"] == "deadlock"]
                    self.assertEqual([f["numbers"]["count"] for f in found], [size] if size else [])
                    for f in found:
                        self.assertEqual(f["severity"], "critical")
                        self.assertTrue(any("inferred" in e for e in f["evidence"]))

    def deadlocks(self, release, mode, *args):
        with Program([binary(f"locks-{release}-stripped"), mode]) as p:
            return [f for f in snapshot(p.pid, "--window", "0", *args)["findings"] if f["kind"] == "deadlock"]

    def test_no_false_deadlock(self):
        """Locks in all the ways that people take them, under contention for ever: whoever looks, and when."""
        for release in releases("1.20", "usual"):
            for mode in ("idorder", "trylock", "underflag", "memoryflag", "handoverhand", "unlockfunc", "slots",
                         "condition", "readwrite", "lockers", "gate", "handoff", "elsewhere"):
                with self.subTest(release=release, mode=mode), \
                        Program([binary(f"locks-{release}-stripped"), mode]) as p:
                    for _ in range(4):
                        found = snapshot(p.pid, "--window", "0", "--only", "goroutines,locks")["findings"]
                        self.assertEqual([f for f in found if f["severity"] != "info"], [])

    def test_deadlocks_of_all_kinds(self):
        for release in releases("1.20", "usual"):
            for mode, size in (("triedlock", 2), ("flagged", 2), ("underlock", 2), ("deferred", 2),
                               ("twolockers", 2), ("onceinonce", 1)):
                with self.subTest(release=release, mode=mode):
                    found = self.deadlocks(release, mode)
                    self.assertEqual([f["numbers"]["count"] for f in found], [size])
                    self.assertEqual(len(found[0]["evidence"]), size + 1)	# a line an edge, and the caveat

    def test_everyday_locks(self):
        """As programs of every day have them (everyday.go), and each with a circle."""
        for mode in ("errgroup", "broadcast", "tryrlock", "striped", "rescue", "mapped", "flight", "onces",
                     "releaser", "chanlock", "generic"):
            with self.subTest(mode=mode), Program([binary(f"locks-{USUAL}-stripped"), mode]) as p:
                for _ in range(3):
                    found = snapshot(p.pid, "--window", "0", "--only", "goroutines,locks")["findings"]
                    self.assertEqual([f for f in found if f["severity"] != "info"], [])
            with self.subTest(mode=mode + "-sick"):
                found = self.deadlocks(USUAL, mode + "-sick")
                # in a function that a panic has deferred: only two leaks
                self.assertEqual([f["numbers"]["count"] for f in found], [] if mode == "rescue" else [2])

    def test_a_deadlock_amid_contention(self):
        """Somebody may be in doubt at one look: at one of several it is found."""
        with Program([binary(f"locks-{USUAL}-stripped"), "busycircle"]) as p:
            for _ in range(20):
                found = [f for f in snapshot(p.pid, "--window", "0")["findings"] if f["severity"] != "info"]
                if found:
                    break
        # those in it are no leaks besides
        self.assertEqual([(f["kind"], f["numbers"]["count"]) for f in found], [("deadlock", 2)])

    def test_whoever_holds_a_lock(self):
        for mode, does, function in (("holdsleep", "sleeps", "main.init.func"),
                                     ("holdnet", "waits for the network", "main.init.func"),
                                     ("holdpipe", "writes to a pipe", "main.init.func"),
                                     ("holdchan", "waits to receive from a channel", "main.init.func")):
            with self.subTest(mode), Program([binary(f"locks-{USUAL}-stripped"), mode]) as p:
                row, = snapshot(p.pid, "--window", "0")["locks"]
                self.assertEqual((row["waiters"], row.get("holder_does")), (20, does))
                self.assertTrue(row["holder_at"]["function"].startswith(function), row)
        with Program([binary(f"locks-{USUAL}-stripped"), "holdelse"]) as p:
            row, = snapshot(p.pid, "--window", "0")["locks"]
            self.assertEqual((row["waiters"], row.get("holder")), (20, None))

    def test_of_one_goroutine(self):
        """No verdict on leaks is needed, so on older releases too; also where the lock is a variable."""
        for release in releases("oldest", "1.19", "1.21", "1.24", "usual", "newest"):
            for mode, size, where in (("again", 1, "main.(*store).size"), ("againloop", 1, "main.(*store).size"),
                                      ("againglobal", 1, "main.(*store).size"),
                                      ("upgrade", 1, "main.upgrade.func1"), ("downgrade", 1, "main.downgrade.func1"),
                                      ("reread", 2, "main.readInner"), ("relock", 0, ""), ("rewrite", 0, "")):
                with self.subTest(release=release, mode=mode):
                    found = self.deadlocks(release, mode)
                    self.assertEqual([(f["numbers"]["count"], f["place"]["function"]) for f in found],
                                     [(size, where)] if size else [])
                    for f in found:
                        self.assertEqual(f["severity"], "critical")
                        self.assertTrue(any("inferred" in e for e in f["evidence"]), f)
                        if size == 1:
                            self.assertIn("holds itself", f["title"])

    def test_with_channels(self):
        """Circles over channels that nobody else has; leaks without a circle are only leaks."""
        for release in releases("1.20", "1.22", "1.24", "1.25", "usual", "newest"):
            for mode, size, words in (("sendlocked", 2, "would receive from at circles.go"),
                                      ("lockchan", 2, "for a lock that goroutine"), ("twochans", 2, "would send to at circles.go"),
                                      ("closers", 2, "would close at circles.go"),
                                      ("mixed", 3, "for a wait group that goroutine"),
                                      ("group", 2, "would call Done on at circles.go"),
                                      ("groupglobal", 0, ""), ("groupslow", 0, ""), ("quiesce", 0, ""),
                                      ("sendslow", 0, ""), ("lockchanslow", 0, ""), ("pool", 0, ""), ("semaphore", 0, ""),
                                      ("groupleak", 0, "")):
                with self.subTest(release=release, mode=mode):
                    found = self.deadlocks(release, mode, "--prove")
                    self.assertEqual([f["numbers"]["count"] for f in found], [size] if size else [])
                    if size:
                        self.assertTrue(any(words in e for e in found[0]["evidence"]), found[0])
                        self.assertTrue(any("nobody else who can run reaches" in e for e in found[0]["evidence"]), found[0])

    def test_running_goroutines(self):
        """Their stacks are had from the registers when the process is frozen; without that there are none."""
        for release in releases("1.20", "1.23", "1.24", "newest"):
            with self.subTest(release=release), Program([binary(f"locks-{release}-stripped"), "spin"]) as p:
                def burning():
                    r = snapshot(p.pid, "--window", "0", "--prove", "--goroutines")
                    if r["leaks"]["verdict"] != "proven":	# given up: it may, on a busy machine, and says so
                        self.assertIn("let go before the end", coverage(r, "leaks")["why"])
                        return None
                    names = [[f["function"] for f in g["stack"]] for g in r["leaks"].get("running", [])]
                    return r if ["main.burn", "main.burner"] in [n[-2:] for n in names] else None

                r = wait_until(burning, "the goroutine that runs to be seen with its stack")
                burner = next(g for g in r["leaks"]["running"] if g["stack"][-1]["function"] == "main.burner")
                self.assertIn(burner["id"], [g["id"] for g in r["goroutines"]["all"] if g["start"] == "main.burner"])
                ran = rf"goroutine {burner['id']} ran at main\.burn circles\.go:\d+ when it was frozen"
                # not where its thread was within the runtime just then: often so on a busy machine
                wait_until(lambda: re.search(ran, gospect("snapshot", p.pid, "--window", "0", "--prove").stdout),
                           "the text to say where it ran")
                self.assertNotIn("running", snapshot(p.pid, "--window", "0")["leaks"])

    def test_with_channels_not_stopped(self):
        for mode, size in (("sendlocked", 2), ("lockchan", 2), ("pool", 0)):
            with self.subTest(mode):
                self.assertEqual([f["numbers"]["count"] for f in self.deadlocks(USUAL, mode)], [size] if size else [])

    def test_the_shop(self):
        """All bugs at their places; without bugs nothing."""
        where = json.loads(subprocess.run([binary(SHOP), "-where"], capture_output=True, text=True, check=True).stdout)
        where.pop("config")	# of watch: test_watch_shop.py
        at_place = {(t["kind"], t["function"], t["file"], t["line"]) for t in where.values()
                    if t["kind"] not in ("gc-pressure", "connection-leak")}
        found = {}
        # on a busy machine some grow too slowly to be judged in one window, or transactions were begun
        # before the probes came
        for _ in range(3):
            with Program([binary(SHOP), "-bugs", "all"]) as p:
                r = snapshot(p.pid, "--window", "6s", "--prove")
            found.update({(f["kind"], *place(f["place"])): f for f in r["findings"] if "place" in f})
            if not at_place - set(found):
                break
        for bug, t in where.items():
            with self.subTest(bug):
                if t["kind"] in ("gc-pressure", "connection-leak"):	# see test_findings.py
                    self.assertIn(t["kind"], {f["kind"] for f in r["findings"]})
                    continue
                self.assertIn((t["kind"], t["function"], t["file"], t["line"]), found)
        if r["leaks"]["verdict"] == "proven":
            for bug in ("leak", "latereply", "waitgroup"):
                t = where[bug]
                f = found[t["kind"], t["function"], t["file"], t["line"]]
                self.assertEqual(f["severity"], "critical", f)	# proven, and growing
        when, started = (datetime.fromisoformat(t.replace("Z", "+00:00")) for t in (r["time"], r["target"]["started"]))
        for row in r["leaks"]["by_site"]:	# as of the report's time, as everything in it
            self.assertLessEqual(row["oldest_s"], (when - started).total_seconds() + 1, row)
        severities = ["critical", "high", "medium", "low", "info"]
        ranks = [severities.index(f["severity"]) for f in r["findings"]]
        causes = [f.get("caused_by") for f in r["findings"]]
        for i, f in enumerate(r["findings"]):	# worst first, and what causes something before it
            self.assertTrue(f["id"] in causes[i + 1:] or ranks[i] <= min(ranks[i:]), (ranks, causes, f["id"]))
        with Program([binary(SHOP)]) as p:
            r = snapshot(p.pid, "--window", "6s")
        self.assertEqual(r["findings"], [])

    def test_exit_status(self):
        with Program([binary(f"locks-{USUAL}-stripped"), "globals"]) as p:
            for args, status in ((["--fail-on", "critical"], 10), (["--fail-on", "low"], 10), ([], 0)):
                r = gospect("snapshot", p.pid, "--window", "0", *args)
                self.assertEqual(r.returncode, status, r.stderr)
        with Program([binary(f"locks-{USUAL}-stripped"), "slow"]) as p:
            r = gospect("snapshot", p.pid, "--window", "0", "--fail-on", "critical")
            self.assertEqual(r.returncode, 0, r.stdout)
        for args in (["--fail-on", "awful"], ["--window", "5"], ["--profile", "mutex"], ["--format", "xml"],
                     ["--max-stop", "x"]):
            self.assertEqual(gospect("snapshot", 1, *args).returncode, 2, args)
        self.assertEqual(gospect("snapshot", 2 ** 30).returncode, 3)


class Diff(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_two_snapshots(self):
        with Work() as w, tempfile.TemporaryDirectory() as tmp:
            a, b = os.path.join(tmp, "a.json"), os.path.join(tmp, "b.json")
            w.do("park 11 chanreceive")
            w.do("park 5 select")
            gospect("snapshot", w.pid, "--window", "0", "--format", "json", "-o", a)
            w.do("release")
            w.do("park 17 chanreceive")
            w.do("park 3 mutex")
            gospect("snapshot", w.pid, "--window", "0", "--format", "json", "-o", b)
            r = gospect("diff", a, b)
            self.assertEqual(r.returncode, 0, r.stderr)
            for word, site in (("grew", "parkReceive"), ("appeared", "parkMutex"), ("went away", "parkSelect")):
                self.assertTrue(any(l.strip().startswith(word) and site in l for l in r.stdout.splitlines()),
                                (word, site, r.stdout))
            same = gospect("diff", b, b)
            self.assertEqual(same.returncode, 0)
            self.assertNotIn("grew", same.stdout)
            self.assertTrue(all(len(l) <= 100 for l in r.stdout.splitlines()))
            with open(a, "r+") as f:
                f.truncate(1000)
            for args, status in (((a, b), 1), ((b,), 2), ((b, b, b), 2), ((b, "/nonexistent"), 1), ((b, tmp), 1)):
                self.assertEqual(gospect("diff", *args).returncode, status, args)


if __name__ == "__main__":
    unittest.main()
