# SPDX-License-Identifier: BSD-2-Clause
"""The governor: an idle program is counted exactly; a tenfold rise of the load
is held within the budget, and what is sampled stays near the truth."""
import unittest

from harness import Attach, Work, coverage, need_root, site


class Governor(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_idle_stays_exact(self):
        with Work() as w, Attach(w.pid, "--for", "3s", every="1s") as a:
            w.do("births 20")
            for r in a.stop():
                self.assertEqual(coverage(r, "goroutines")["state"], "exact")

    def test_tenfold_load(self):
        with Work() as w, Attach(w.pid, every="4s") as a:
            w.do("loop 3000")
            a.next()	# the rise of the load lies in it
            low = a.next()
            w.do("stoploop")
            a.next()
            w.do("loop 30000")
            a.next()
            high = [a.next() for _ in range(8)]
            w.do("stoploop")
            a.stop()
        # A slice is saved for beforehand and spent at once: the windows together
        # hold the budget, not each.  It is the larger of 1 % of the target's CPU
        # time and 2 ms a second, as promised; of which so much is saved at most.
        for rs in [low], high:
            used = sum(r["cost"]["target_cpu_pct"] / 100 * r["target"]["cpu_cores"] * r["window_s"] for r in rs)
            budget = sum(max(0.01 * r["target"]["cpu_cores"], 0.002) * r["window_s"] for r in rs)
            saved = max(0.01 * max(r["target"]["cpu_cores"] for r in rs), 5 * 0.002)
            self.assertLessEqual(used, budget * 1.05 + saved, [r["cost"]["target_cpu_pct"] for r in rs])
        for r in high:
            self.assertEqual(coverage(r, "goroutines")["state"], "sampled")

    def test_sampled_births_are_near_the_truth(self):
        with Work() as w, Attach(w.pid, every="60s") as a:
            w.do("loop 30000")
            w.do("spin 6000")
            done = w.do("stoploop")
            where = w.do("where")
            r = a.stop()[-1]
        c = coverage(r, "goroutines")
        self.assertEqual(c["state"], "sampled", c)
        self.assertLess(c["rate"], 1)
        truth = done["rounds"]
        row = site(r, where["loop"]["round"])
        self.assertAlmostEqual(row["births"], truth, delta=truth * 0.1)
        self.assertAlmostEqual(row["deaths"], truth, delta=truth * 0.1)
        self.assertAlmostEqual(r["goroutines"]["births"], truth, delta=truth * 0.1)

    def test_exact_counts_all(self):
        with Work() as w, Attach(w.pid, "--exact") as a:
            w.do("loop 30000")
            w.do("spin 2000")
            done = w.do("stoploop")
            where = w.do("where")
            r = a.stop()[-1]
        self.assertEqual(coverage(r, "goroutines")["state"], "exact")
        self.assertEqual(site(r, where["loop"]["round"])["births"], done["rounds"])

    def test_budget_zero_probes_nothing(self):
        with Work() as w, Attach(w.pid, "--budget", "0") as a:
            w.do("births 20 named")
            r = a.stop()[-1]
        self.assertEqual(r["cost"]["probes"]["armed"], 0)
        self.assertEqual(r["goroutines"]["births"], 20)
        self.assertNotEqual(coverage(r, "goroutines")["state"], "exact")
