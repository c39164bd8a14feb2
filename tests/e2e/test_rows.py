# SPDX-License-Identifier: BSD-2-Clause
"""A program that calls ever other hosts (tests/progs/manyhosts), more than any table has
rows for: each window has rows for its own, and nothing is missing."""
import collections
import unittest

from harness import Attach, Program, binary, need_root, releases
from netprogs import rows_of

BATCH, TIMES, BATCHES = 250, 2, 12	# 3,000 hosts
PHASES = ("connect", "ttfb")


class ManyHosts(Program):
    def __init__(self, release):
        super().__init__([binary(f"manyhosts-{release}-stripped")])
        self.port = self.ready.split()[1]

    def do(self, command):
        self.p.stdin.write(command.encode() + b"\n")
        self.p.stdin.flush()
        self.line(lambda l: l == "DONE")

    def host(self, i):
        return f"127.1.{i // 200}.{i % 200 + 1}:{self.port}"


class Rows(unittest.TestCase):
    def setUp(self):
        need_root()

    def counted(self, a, n):
        """By host and phase, over as many reports as it takes until n calls are in them."""
        sums = collections.Counter()
        while min(sum(c for (_, p), c in sums.items() if p == phase) for phase in PHASES) < n:
            r = a.next()
            self.assertEqual(r["losses"]["map_full"], 0)
            for row in rows_of(r, "net", "phases"):
                self.assertFalse(row.get("other"), row)
                if row["phase"] in PHASES:
                    self.assertEqual(row["exactness"], "exact")
                    sums[row["host"], row["phase"]] += row["count"]
        return sums

    def test_hosts_come_and_go(self):
        for release in releases("usual"):
            with ManyHosts(release) as p, Attach(p.pid, "--only", "net", "--exact", every="1s") as a:
                for k in range(BATCHES):
                    p.do(f"hosts {k * BATCH} {BATCH} {TIMES}")
                    want = {(p.host(i), phase): TIMES
                            for i in range(k * BATCH, (k + 1) * BATCH) for phase in PHASES}
                    self.assertEqual(self.counted(a, BATCH * TIMES), want)


if __name__ == "__main__":
    unittest.main()
