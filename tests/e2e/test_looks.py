# SPDX-License-Identifier: BSD-2-Clause
"""What looking at very many goroutines may cost: reports come more seldom, whatever was asked for."""
import unittest

from harness import USUAL, Attach, Program, binary, need_root

MANY = 8000


class Looks(unittest.TestCase):
    def setUp(self):
        need_root()

    def windows(self, p, n, between=lambda: None):
        with Attach(p.pid, "--only", "goroutines,net,locks", every="200ms", armed=False) as a:
            for _ in range(n):
                r = a.next()
                between()
                yield r["cost"]["agent_cpu_pct"], r["window_s"]

    def test_what_they_take(self):
        """Of a CPU: CPU time is counted, and looks come as seldom as it takes, so a busy machine changes nothing.  What
        a window's end takes is the next window's, and of the first end nothing is known before."""
        with Program([binary(f"parked-{USUAL}-stripped")]) as p:
            few = list(self.windows(p, 4))
            p.tell(f"pool {MANY}")
            p.line(lambda l: l.startswith("pool"))

            def work():
                p.tell(f"work {MANY}")
                p.line(lambda l: l.startswith("work"))

            for between in (lambda: None, work):	# nobody moves; everybody has, at each end
                many = list(self.windows(p, 4, between))[2:]
                self.assertLess(sum(pct * s for pct, s in many) / sum(s for _, s in many), 2)
        self.assertLess(min(s for _, s in few), 0.35)
        self.assertGreater(min(s for _, s in many), 0.35)


if __name__ == "__main__":
    unittest.main()
