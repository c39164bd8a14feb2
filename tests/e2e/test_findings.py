# SPDX-License-Identifier: BSD-2-Clause
"""Findings are computed: the shop with all its bugs gives each at its place, the
same shop without them gives none; and the line between a leak, a flood and a
steady population is where the detectors draw it."""
import concurrent.futures
import json
import subprocess
import unittest

from harness import USUAL, Attach, Program, binary, need_root, reports

SHOP = f"shop-{USUAL}-stripped"
CLASSIFY = f"classify-{USUAL}-stripped"


def places(findings):
    return {(f["kind"], f["place"]["function"], f["place"]["file"], f["place"]["line"])
            for f in findings if "place" in f}


class Shop(unittest.TestCase):
    def setUp(self):
        need_root()

    def where(self):
        return json.loads(subprocess.run([binary(SHOP), "-where"], capture_output=True, text=True, check=True).stdout)

    def last(self, *args, seconds="10s"):
        with Program([binary(SHOP), *args]) as p, Attach(p.pid, "--for", seconds, every="5s", armed=False) as a:
            out, err = a.p.communicate(timeout=60)
            self.assertEqual(a.p.returncode, 0, err)
            return reports(out)

    def test_bugs_are_found(self):
        where = self.where()
        r = self.last("-bugs", "all")[-1]
        found = places(r["findings"])
        for bug, t in where.items():
            with self.subTest(bug):
                if t["kind"] in ("deadlock", "shared-memory"):
                    continue  # a snapshot's, and watch's: test_snapshot_findings.py, test_watch_shop.py
                if t["kind"] in ("gc-pressure", "connection-leak"):
                    # of four calls under the budget perhaps none was seen, and then no place is known
                    self.assertIn(t["kind"], {f["kind"] for f in r["findings"]})
                else:
                    self.assertIn((t["kind"], t["function"], t["file"], t["line"]), found)
        truth = {(t["kind"], t["function"], t["file"], t["line"]) for t in where.values()}
        for f in r["findings"]:
            if f["kind"] in ("goroutine-leak", "goroutine-flood"):
                self.assertIn((f["kind"], f["place"]["function"], f["place"]["file"], f["place"]["line"]), truth)
            for key in ("id", "kind", "severity", "title", "numbers", "exactness", "evidence", "advice"):
                self.assertTrue(f[key], (key, f))

    def test_one_bug_gives_one_kind(self):
        for bug, kind in (("leak", "goroutine-leak"), ("flood", "goroutine-flood"), ("ticker", "goroutine-flood"),
                          ("bigbuf", "large-allocation"), ("latereply", "goroutine-leak"),
                          ("waitgroup", "goroutine-leak")):
            with self.subTest(bug):
                kinds = {f["kind"] for f in self.last("-bugs", bug)[-1]["findings"]}
                self.assertEqual(kinds, {kind})

    def test_network_bugs_at_their_places(self):
        """Without customers, so that every call is seen.  An empty pool of connections
        follows from the transactions that nobody ends."""
        where = self.where()
        bugs = ("slowbank", "patient", "openbody", "opentx", "convoy")
        findings = self.last("-bugs", ",".join(bugs), "-rate", "0", seconds="7s")[-1]["findings"]
        self.assertEqual({f["kind"] for f in findings}, {where[b]["kind"] for b in bugs} | {"pool-exhausted"})
        for b in bugs:
            with self.subTest(b):
                self.assertIn((where[b]["kind"], where[b]["function"], where[b]["file"], where[b]["line"]), places(findings))

    def test_healthy_shop_has_none(self):
        for r in self.last(seconds="12s"):
            self.assertEqual(r["findings"], [])


class Line(unittest.TestCase):
    """leak, flood or nothing"""

    def setUp(self):
        need_root()

    def kinds(self, mode, seconds="8s"):
        with Program([binary(CLASSIFY), "-mode", mode]) as p, \
                Attach(p.pid, "--for", seconds, every="4s", armed=False) as a:
            out, err = a.p.communicate(timeout=60)
            self.assertEqual(a.p.returncode, 0, err)
            return {f["kind"] for f in reports(out)[-1]["findings"]
                    if f["kind"].startswith("goroutine")}

    def expect(self, kind, *modes):
        """All at once: each is watched for 8 s, in which it has next to nothing to do."""
        with concurrent.futures.ThreadPoolExecutor(len(modes)) as pool:
            found = {mode: pool.submit(self.kinds, mode) for mode in modes}
            for mode in modes:
                with self.subTest(mode):
                    self.assertEqual(found[mode].result(), {kind} if kind else set())

    def test_leaks(self):
        self.expect("goroutine-leak", "leak", "leak-mutex", "leak-slow", "leak-same")

    def test_floods(self):
        self.expect("goroutine-flood", "ticker", "slowcalls")

    def test_nothing(self):
        self.expect(None, "pool", "ctxwaiters", "burst", "churn", "grown")
