# SPDX-License-Identifier: BSD-2-Clause
"""What the other goroutines waited for when one died, beside the dump that the runtime printed of all."""
import collections
import re
import unittest

from harness import need_root, releases
from test_crash import Death


def truth(text):
    """{(what it waits for, where created): goroutines}, of all but the one that died."""
    found = collections.Counter()
    for state, rest in re.findall(r"^goroutine \d+ (?:gp=\S+ m=\S+ (?:mp=\S+ )?)?\[([^\],]*).*\]:\n((?:.+\n)*)", text, re.M):
        made = re.search(r"^created by (\S+).*\n\t\S*/(\S+?):(\d+)", rest, re.M)
        if state != "running":
            found[state, (made[1], made[2], int(made[3])) if made else None] += 1
    return found


class Others(unittest.TestCase):
    def setUp(self):
        need_root()

    def died(self, release, kind, **kw):
        with Death(release, kind, True, env={"GOTRACEBACK": "all"}, **kw) as d:
            d.go()
            d.died()
            return d, d.told() if kw else d.report()

    def test_waits(self):
        for release in releases("oldest", "1.22", "usual", "newest"):
            with self.subTest(release):
                d, _ = self.died(release, "others")
                want = truth(d.truth.text)
                self.assertEqual(sum(want.values()), 9, d.truth.text)
                told = {(o["reason"], (o["created"]["function"], o["created"]["file"], o["created"]["line"])
                         if "created" in o else None): o["count"] for o in d.crash["others"]}
                self.assertEqual(told, want)
                self.assertEqual((d.crash["others_read"], d.crash["others_total"]), (9, 9))
                self.assertEqual(len(d.crash["others"]), len(told))

    def test_alone(self):
        """No others but the main goroutine."""
        d, _ = self.died(releases("usual")[0], "string")
        self.assertEqual([(o["count"], o["goroutine"]) for o in d.crash["others"]], [(1, 1)])
        # it may not have got there yet
        self.assertIn(d.crash["others"][0]["reason"], ("chan receive", "runnable", "running"))

    def test_many(self):
        """More than are looked at: it says of how many."""
        d, _ = self.died(releases("usual")[0], "thousand")
        c = d.crash
        self.assertEqual(sum(o["count"] for o in c["others"]), c["others_read"])
        self.assertTrue(70 < c["others_read"] <= 96, c["others_read"])
        self.assertGreaterEqual(c["others_total"], 1001)

    def test_text(self):
        _, text = self.died(releases("usual")[0], "others", args=())
        self.assertIn("  others: 9\n", text)
        self.assertRegex(text, r"\n +3  sync.Mutex.Lock, created at main.others.func1 \(main.go:\d+\)\n")


if __name__ == "__main__":
    unittest.main()
