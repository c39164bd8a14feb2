# SPDX-License-Identifier: BSD-2-Clause
"""`gospect watch` on a word that is touched as often as a CPU can, millions of times a second: what that costs, by what
the program does per second of CPU, watched and not, in turns. GOSPECT_PAIRS=N: so many pairs (3), and more seconds."""
import os
import statistics
import subprocess
import time
import unittest

from harness import GOSPECT, USUAL, need_root
from test_watch import Races

PAIRS = int(os.environ.get("GOSPECT_PAIRS", 3))
SECONDS = 1.5 if PAIRS <= 3 else 4


class Cost(unittest.TestCase):
    def setUp(self):
        need_root()

    def per_cpu_second(self, watched):
        with Races("atomic", variant="pie") as p:
            w = subprocess.Popen([GOSPECT, "watch", str(p.pid), p.word, "--for", "100s"] if watched else ["sleep", "100"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                time.sleep(SECONDS)		# the measure itself: both runs have as long
                with open(f"/proc/{p.pid}/stat") as f:
                    ticks = f.read().rsplit(")", 1)[1].split()[11:13]
                reads, writes = p.did()
            finally:
                w.kill()
                w.wait()
            cpu = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
            self.assertGreater((reads + writes) / cpu, 1e6)
            return (reads + writes) / cpu, cpu

    def test_hot_word(self):
        ratios, allowed = [], []
        for _ in range(PAIRS):
            (with_, cpu), (without, _) = self.per_cpu_second(True), self.per_cpu_second(False)
            ratios.append(with_ / without)
            allowed.append(max(0.01, 0.01 * SECONDS / cpu))	# --budget 1, and at least 10 ms/s
        allowed = statistics.median(allowed)
        print(f"of {PAIRS} pairs {statistics.median(ratios):.4f} ({min(ratios):.3f} to {max(ratios):.3f}), "
              f"{1 - allowed:.4f} is allowed")
        # two threads on one word do a quarter more or less from run to run, watched or not: what a few pairs can
        # show is that the limit holds (each touch trapped would leave a tenth); GOSPECT_PAIRS=16 shows the hundredth
        self.assertGreater(statistics.median(ratios), 1 - allowed - (0 if PAIRS > 3 else 0.4))


if __name__ == "__main__":
    unittest.main()
