# SPDX-License-Identifier: BSD-2-Clause
"""What looking at very many goroutines may cost: reports come more seldom, whatever was asked for."""
import unittest

from harness import USUAL, Attach, Program, binary, need_root

MANY = 60000


class Looks(unittest.TestCase):
    def setUp(self):
        need_root()

    def windows(self, p, n):
        with Attach(p.pid, "--only", "goroutines,net,locks", every="200ms", armed=False) as a:
            return [(r["cost"]["agent_cpu_pct"], r["window_s"]) for r in (a.next() for _ in range(n))]

    def test_ends_of_windows(self):
        """Of the first nothing is known before it has ended; then each has the time that its end takes.  CPU time is
        counted, and of that a busy machine gives no more."""
        with Program([binary(f"parked-{USUAL}-stripped")]) as p:
            few = self.windows(p, 4)
            p.tell(f"pool {MANY}")
            p.line(lambda l: l.startswith("pool"))
            many = self.windows(p, 4)[1:]
        self.assertLess(min(s for _, s in few), 0.35)
        self.assertGreater(min(s for _, s in many), 0.35)
        self.assertLess(sum(pct * s for pct, s in many) / sum(s for _, s in many), 6)


if __name__ == "__main__":
    unittest.main()
