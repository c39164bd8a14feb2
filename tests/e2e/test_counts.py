# SPDX-License-Identifier: BSD-2-Clause
"""With --exact every number equals what the program knows of itself, for every
release and variant: births and ends by go statement, large allocations by
line, forced collections, states, the runtime's own totals."""
import os
import unittest

from harness import VARIANTS, Attach, Work, alloc, coverage, need_root, releases, site, window

BIRTHS = 50
LARGES = 20
SIZE = 100 << 10
GCS = 7


def minor(release):
    return int(release.split(".")[1])


class Counts(unittest.TestCase):
    def setUp(self):
        need_root()

    def check_losses(self, r):
        self.assertEqual(set(r["losses"].values()), {0}, r["losses"])
        for s in ("goroutines", "alloc", "gc"):
            self.assertEqual(coverage(r, s)["state"], "exact", coverage(r, s))
        self.assertLessEqual(r["cost"]["agent_bpf_bytes"], 8 << 20)
        self.assertGreater(r["cost"]["agent_bpf_bytes"], 1 << 20)
        self.assertEqual(r["cost"]["probes"]["stepped"], 0)
        self.assertEqual(r["cost"]["probes"]["armed"], r["cost"]["probes"]["emulated"])

    def check_sites(self, r, before, after, kind):
        for name, truth in after[kind].items():
            births = truth["births"] - before[kind][name]["births"]
            deaths = truth["deaths"] - before[kind][name]["deaths"]
            row = site(r, truth) or {"births": 0, "deaths": 0, "live": 0}
            self.assertEqual((row["births"], row["deaths"]), (births, deaths), (kind, name))
            # a method of an interface is called through a pointer: the file does not tell whose
            if births and truth.get("start") and name != "iface":
                self.assertEqual(row["start"], truth["start"], (kind, name))

    def test_perf_events(self):
        """As on a kernel without uprobe_multi: the same counts."""
        for release in releases("1.20", "usual"):
            with self.subTest(release):
                self.one(release, "stripped", env={**os.environ, "GOSPECT_METHOD": "perf"})

    def check_flow(self, r):
        """Who was there or was born, and has not ended, is there."""
        for row in [r["goroutines"], *r["goroutines"]["by_site"]]:
            self.assertEqual(row["live_at_start"] + row["births"] - row["deaths"], row["live"], row)
            self.assertGreaterEqual(row["deaths"], 0)
        for what in ("births", "deaths", "live"):
            self.assertEqual(r["goroutines"][what], sum(s[what] for s in r["goroutines"]["by_site"]), what)

    def test_read_while_busy(self):
        """Ends follow from births and from who is alive, read one after the
        other: while both go on every window adds up, nothing that stays is said
        to have ended, and the windows together are the truth."""
        with Work() as w, Attach(w.pid, "--exact", every="200ms") as a:
            w.do("loop 10000")
            rs = []
            for _ in range(60):
                w.do("park 10 chanreceive")
                w.do("spin 30")
                rs += a.there()	# a pipe that is full would have the next reports skipped
            done = w.do("stoploop")
            where = w.do("where")
            rs += a.stop()
        self.assertGreater(len(rs), 5)
        sums = {"loop": [0, 0], "park": [0, 0]}
        for r in rs:
            self.check_flow(r)
            for name, truth in (("loop", where["loop"]["round"]), ("park", where["parks"]["chanreceive"])):
                row = site(r, truth) or {"births": 0, "deaths": 0}
                sums[name][0] += row["births"]
                sums[name][1] += row["deaths"]
        self.assertEqual(sums["loop"], [done["rounds"]] * 2)
        self.assertEqual(sums["park"], [600, 0])

    def test_target_ends(self):
        """Births are counted to the end, ends up to the last look: who was alive
        then is not said to have ended."""
        with Work() as w, Attach(w.pid, "--exact", every="1s") as a:
            w.do("births 50 named")
            w.do("park 30 chanreceive")
            rs = [a.next(), a.next()]	# each with a look at its end
            w.do("births 20 named")
            w.do("park 10 chanreceive")
            where = w.do("where")
            w.p.kill()
            rs += a.ended()
        self.assertEqual(coverage(rs[-1], "goroutines")["state"], "partial")

        def sums(truth):
            rows = [site(r, truth) or {"births": 0, "deaths": 0} for r in rs]
            return sum(x["births"] for x in rows), sum(x["deaths"] for x in rows)
        births, deaths = sums(where["births"]["named"])
        self.assertEqual(births, 70)
        self.assertIn(deaths, range(50, 71))
        self.assertEqual(sums(where["parks"]["chanreceive"]), (40, 0))
        self.assertIn(site(rs[-1], where["parks"]["chanreceive"])["live"], range(30, 41))

    def lifetimes(self, release):
        """The end of goroutines is probed: as many of each go statement as ended
        have a lifetime, and none that lives has."""
        with Work(release, "stripped") as w:
            before = w.do("where")
            with window(w.pid, "--exact", "--only", "goroutines,lifetimes") as a:
                w.do(f"births {BIRTHS}")
                w.do("park 30 chanreceive")
                if minor(release) >= 23:
                    w.do("iter 40")
            r, after = a.report, w.do("where")
        self.assertEqual(set(r["losses"].values()), {0}, r["losses"])
        self.assertEqual([(c["sensor"], c["state"]) for c in r["coverage"] if c["state"] != "off"],
                         [("goroutines", "exact"), ("lifetimes", "exact")])
        self.assertLessEqual(r["cost"]["agent_bpf_bytes"], 8 << 20)
        self.check_sites(r, before, after, "births")
        self.check_sites(r, before, after, "parks")
        ended = 0
        for name, truth in after["births"].items():
            deaths = truth["deaths"] - before["births"][name]["deaths"]
            if not deaths:
                continue
            life = site(r, truth)["lifetime"]
            self.assertEqual((life["count"], life["exactness"]), (deaths, "exact"), name)
            some = [life[k] for k, least in (("p50_ns", 3), ("p99_ns", 100)) if life["count"] >= least]
            self.assertEqual([k in life for k in ("p50_ns", "p99_ns")], [life["count"] >= n for n in (3, 100)], life)
            self.assertTrue(0 < min(some + [1]) and some == sorted(some), (name, life))
            self.assertLessEqual(max(some + [0]), life["max_ns"] * 1.04, (name, life))
            self.assertLess(life["max_ns"], (r["window_s"] + 1) * 1e9, name)
            ended += deaths
        self.assertGreaterEqual(ended, BIRTHS)
        self.assertNotIn("lifetime", site(r, after["parks"]["chanreceive"]))

    def test_lifetimes_only_when_named(self):
        """With --exact an end costs what a birth does: not unless it is asked for."""
        with Work() as w, window(w.pid, "--exact", "--only", "goroutines") as a:
            w.do(f"births {BIRTHS}")
        self.assertFalse(any("lifetime" in s for s in a.report["goroutines"]["by_site"]))
        with Work() as w, window(w.pid, "--exact") as a:
            w.do(f"births {BIRTHS}")
        self.assertEqual(coverage(a.report, "lifetimes")["state"], "off")

    def one(self, release, variant, **kw):
        with Work(release, variant) as w:
            before, stat0 = w.do("where"), w.do("stat")
            with window(w.pid, "--exact", **kw) as a:
                w.do(f"births {BIRTHS}")
                w.do(f"large {LARGES} {SIZE} bytes pointers grow string inlined")
                w.do(f"gc {GCS}")
                w.do("park 30 chanreceive")
                w.do("park 20 mutex")
                if minor(release) >= 23:
                    w.do("iter 40")
            r = a.report
            after, stat1 = w.do("where"), w.do("stat")
            self.check_losses(r)
            g = r["goroutines"]
            self.check_sites(r, before, after, "births")
            self.check_sites(r, before, after, "parks")
            born = sum(t["births"] - before[k][n]["births"] for k in ("births", "parks", "inner", "other")
                       for n, t in after.get(k, {}).items())
            self.assertEqual(g["births"], born)
            self.check_flow(r)
            self.assertEqual(g["live"], stat1["num_goroutine"])
            self.assertEqual(sum(g["by_state"].values()), g["live"])
            for s in g["by_site"]:
                self.assertEqual(sum(x["count"] for x in s["waits"]), s["live"], s)
            if "goroutines_created" in stat1:
                self.assertEqual(g["created_total"], stat1["goroutines_created"])
            park = site(r, after["parks"]["chanreceive"])
            self.assertEqual(park["live"], 30)
            self.assertEqual([x["reason"] for x in park["waits"]], ["chan receive"])
            self.assertTrue(any(f["function"] == "main.waitReceive" for f in park["waits"][0]["stack"]))
            self.assertNotIn("age", {k: v for k, v in park.items() if v == "at_least"})
            self.assertLess(park["oldest_s"], r["window_s"])
            for name, truth in after["large"].items():
                row = alloc(r, truth)
                self.assertIsNotNone(row, (name, truth, r["alloc"]["by_site"]))
                self.assertEqual(row["count"], LARGES, name)
                asked = truth["bytes"] - before["large"][name]["bytes"]
                # what the runtime allocates: with a type header, or rounded up to a size class
                self.assertGreaterEqual(row["bytes"], asked, name)
                self.assertLess(row["bytes"], asked * 1.3, name)
            self.assertEqual(r["alloc"]["large_count"], 5 * LARGES)
            gc = r["gc"]
            self.assertEqual(gc["cycles_total"], stat1["num_gc"])
            self.assertGreaterEqual(gc["cycles"], GCS)
            self.assertLessEqual(gc["cycles"], stat1["num_gc"] - stat0["num_gc"])
            self.assertGreaterEqual(gc["pauses"]["count"], 2 * GCS)
            self.assertNotIn("source", gc["pauses"])
            self.assertTrue(r["target"]["stripped"])
            self.assertEqual(r["target"]["go"], "go" + release)


def make(release, variant):
    def test(self):
        self.one(release, variant)
    return test


def make_lifetimes(release):
    def test(self):
        self.lifetimes(release)
    return test


for _r in releases():
    setattr(Counts, f"test_lifetimes_{_r.replace('.', '_')}", make_lifetimes(_r))
for _r, _v in VARIANTS:
    setattr(Counts, f"test_{_r.replace('.', '_')}_{_v}", make(_r, _v))
