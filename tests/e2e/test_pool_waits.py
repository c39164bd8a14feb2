# SPDX-License-Identifier: BSD-2-Clause
"""Waits in what looks like a pool (a channel, a list with a condition, x/sync/semaphore): tests/progs/poolwaits.
A suspicion where nobody comes through; a busy pool has a queue, too, and workers wait for work."""
import unittest

from harness import Program, binary, need_root, releases
from netprogs import kinds, snapshot

PLACES = {"main.useChan", "main.useList", "main.useSemaphore"}


class PoolWaits(unittest.TestCase):
    def setUp(self):
        need_root()

    def report(self, release, mode):
        with Program([binary(f"poolwaits-{release}-stripped"), mode]) as p:
            return snapshot(p.pid, "--window", "5s")

    def used_up(self, release):
        r = self.report(release, "sick")
        found = [f for f in r["findings"] if f["kind"] == "pool-exhausted"]
        self.assertEqual({f["place"]["function"] for f in found}, PLACES)
        self.assertEqual({f["severity"] for f in found} - {"info", "low"}, set())
        for f in found:
            self.assertEqual((f["numbers"]["waiters"], f["exactness"]), (3, "estimated"))
            self.assertTrue(3 <= f["numbers"]["quiet_s"] <= f["numbers"]["longest_wait_s"] + 1, f)
        self.assertEqual({w["place"]["function"]: w["waiting"] for w in r["pool_waits"]}, dict.fromkeys(PLACES, 3))
        self.assertEqual({w["function"].rsplit(".")[-1] for w in r["pool_waits"]}, {"get", "Borrow", "Acquire"})

    def test_1_20(self):
        self.used_up(*releases("1.20"))

    def test_newest(self):
        self.used_up(*releases("newest"))

    def test_busy(self):
        """Each waits for 3 s, and the queue moves."""
        r = self.report(*releases("usual"), "busy")
        self.assertEqual(kinds(r), set())
        self.assertEqual({w["place"]["function"] for w in r["pool_waits"]}, PLACES)

    def test_idle_workers(self):
        r = self.report(*releases("usual"), "idle")
        self.assertEqual((kinds(r), r["pool_waits"]), (set(), []))


if __name__ == "__main__":
    unittest.main()
