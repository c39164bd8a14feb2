# SPDX-License-Identifier: BSD-2-Clause
"""Slices that grow, by the append, beside what tests/progs/appends has counted of itself."""
import os
import unittest

from harness import USUAL, Attach, binary, coverage, need_root, releases, window
from netprogs import Commands

ONLY = ("--only", "slices")
# What main.onward appends is in a function that is inlined there.
PLACE = {"main.push": "main.onward"}


def rows(r):
    return {PLACE.get(s["place"]["function"], s["place"]["function"]): s
            for s in r["slices"]["by_site"] if not s.get("other") and s["place"]["function"].startswith("main.")}


def gained(before, after):
    return {k: {f: v[f] - before["counts"][k][f] for f in v} for k, v in after["counts"].items()}


class Slices(unittest.TestCase):
    def setUp(self):
        need_root()

    def exact(self, release, variant="stripped"):
        with Commands([binary(f"appends-{release}-{variant}")]) as p:
            before = p.do("run 4")
            with window(p.pid, "--exact", *ONLY) as a:
                after = p.do("run 400")
            r, truth = a.report, gained(before, after)
            seen = rows(r)
            buffers = int(release.split(".")[1]) >= 25
            self.assertNotIn("main.hinted", seen)
            self.assertEqual(truth["main.hinted"], {"First": 0, "Later": 0, "Bytes": 0})
            for name in ("main.nohint", "main.chunks", "main.onward", "main.deep"):
                t, s = truth[name], seen[name]
                self.assertEqual(s["bytes_copied"], t["Bytes"], name)
                # a first growth may be into a buffer on the stack
                whole = t["First"] + t["Later"]
                self.assertIn(s["growths"], (whole, t["Later"]) if buffers else (whole,), name)
                self.assertEqual(s["begun"], 400, (name, s))
                self.assertEqual(s["exactness"], "exact")
            self.assertEqual({k: s["element"] for k, s in seen.items() if k != "main.parse"},
                             {"main.nohint": "main.row", "main.chunks": "uint8", "main.onward": "*main.row",
                              "main.deep": "int"})
            # as much as the longest was given room for is enough for all
            self.assertTrue(500 < seen["main.nohint"]["max_length"] <= 1000 <= seen["main.nohint"]["capacity"] < 2000)
            self.assertTrue(150 < seen["main.deep"]["max_length"] <= 300 <= seen["main.deep"]["capacity"] < 800)
            # what bytes.Buffer and strings append is the standard library's
            [rest] = [s for s in r["slices"]["by_site"] if s.get("other")]
            self.assertGreater(rest["growths"], 0)
            self.assertEqual(sum(s["growths"] for s in r["slices"]["by_site"]), r["slices"]["growths"])
            self.assertEqual(coverage(r, "slices")["state"], "exact")
            self.assertEqual(r["losses"], {k: 0 for k in r["losses"]})

    def findings(self, function):
        with Commands([binary(f"appends-{USUAL}-stripped")]) as p:
            p.do(f"loop {function} 100")
            with Attach(p.pid, *ONLY, every="2s") as a:
                a.next()
                r = next(r for r in iter(a.next, None) if "slices" in r)
                a.stop()
            p.do("stop")
        return r, [f for f in r["findings"] if f["kind"] == "slice-growth"]

    def test_finding(self):
        r, [f] = self.findings("nohint")
        self.assertEqual((f["severity"], f["place"]["function"]), ("low", "main.nohint"))
        self.assertGreaterEqual(f["numbers"]["per_slice"], 4)
        self.assertGreaterEqual(f["numbers"]["share_pct"], 15)
        self.assertTrue(1000 <= f["numbers"]["capacity"] < 2000, f)
        self.assertIn("make([]main.row, 0, n)", f["advice"])

    def test_no_finding(self):
        for function in ("hinted", "buffer", "parse"):
            r, found = self.findings(function)
            self.assertEqual(found, [], function)

    def test_sampled(self):
        """100,000 a second: within the budget (of so idle a program 2 ms a second), and near the
        truth, by what it says itself."""
        seen, cost, span = [], 0, 0
        with Commands([binary(f"appends-{USUAL}-stripped")]) as p:
            p.do("loop onward 15")
            with Attach(p.pid, *ONLY, every="2s") as a:
                a.next()  # the governor has found its pace
                while len(seen) < 3 and span < 30:
                    before = p.do("counts")
                    r = a.next()
                    n = gained(before, p.do("counts"))["main.onward"]
                    cost += r["cost"]["target_cpu_pct"] / 100 * r["target"]["cpu_cores"] * r["window_s"]
                    span += r["window_s"]
                    self.assertEqual(coverage(r, "slices")["state"], "sampled")
                    if "slices" in r:  # else: no slice of the budget's in this window
                        s = rows(r)["main.onward"]
                        self.assertEqual(s["exactness"], "sampled")
                        seen.append((s["growths"], n["First"] + n["Later"]))
                a.stop()
            p.do("stop")
        self.assertTrue(seen)
        told, truth = map(sum, zip(*seen))
        self.assertTrue(truth / 2 < told < 2 * truth, seen)
        self.assertLess(cost / span, max(0.005, 0.02 * r["target"]["cpu_cores"]))

    def test_only_when_named(self):
        with Commands([binary(f"appends-{USUAL}-stripped")]) as p:
            with window(p.pid) as a:
                p.do("run 40")
            self.assertNotIn("slices", a.report)
            self.assertEqual(coverage(a.report, "slices")["state"], "off")


ALL = os.environ.get("GOSPECT_NET_ALL")
for _release in releases() if ALL else releases("oldest", "1.20", "1.24", "newest"):
    def _test(self, release=_release):
        self.exact(release)
    setattr(Slices, f"test_exact_{_release.replace('.', '_')}", _test)
setattr(Slices, "test_exact_pie", lambda self: self.exact(USUAL, "pie"))
