# SPDX-License-Identifier: BSD-2-Clause
"""What is too rare for a window of a second, as the screen has them, is judged by the last minute."""
import unittest

from harness import Attach, need_root, releases
from test_failures import Netfail, all_failed, found

NEWEST = releases("newest")[0]
PAUSE = "700ms"


class Rare(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_calls_that_fail(self):
        """No window has the three errors that it takes: found all the same, once, with no more than there were."""
        with Netfail(NEWEST, "stripped", "refused", 100, PAUSE) as p, \
                Attach(p.pid, "--only", "net", every="1s") as a:
            f = []
            while not f:
                r = a.next()
                f = found(r)
            truth = p.truth()
            last = a.stop()[-1]
        self.assertEqual([x["kind"] for x in f], ["failing-phase"])
        self.assertGreaterEqual(f[0]["numbers"]["errors"], 3, f)
        self.assertLessEqual(f[0]["numbers"]["errors"], truth["failed"], f)
        self.assertEqual(f[0]["numbers"]["errors"], f[0]["numbers"]["count"], f)
        self.assertGreater(f[0]["numbers"]["errors"], all_failed(r), f)
        again = found(last)
        self.assertEqual([x["id"] for x in again], [f[0]["id"]])
        self.assertGreaterEqual(again[0]["numbers"]["errors"], f[0]["numbers"]["errors"])

    def test_calls_that_are_cancelled(self):
        """The twin: callers give up on three of five, and nobody's call fails."""
        with Netfail(NEWEST, "stripped", "cancel", 60, PAUSE) as p, \
                Attach(p.pid, "--only", "net", every="1s") as a:
            titles = [f["title"] for _ in range(8) for f in found(a.next())]
            self.assertGreater(p.truth()["calls"], 5)
        self.assertEqual(titles, [])


if __name__ == "__main__":
    unittest.main()
