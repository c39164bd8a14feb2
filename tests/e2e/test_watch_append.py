# SPDX-License-Identifier: BSD-2-Clause
"""`gospect watch PID FILE.go:LINE` on an append: who else stores to the place behind the slice's length."""
import unittest

from harness import NEWEST, OLDEST, USUAL, need_root
from test_watch import ALL, BUILDS, Races, watch


class Append(unittest.TestCase):
    def setUp(self):
        need_root()

    def element(self, r):
        word, = [w for w in r["shared_memory"] if "what is appended" in w["variable"]["name"]]
        return word

    def test_two_lines(self):
        """Never at the same time, each with a slice of its own, over one array: both are named."""
        for release, variant in BUILDS if ALL else [(OLDEST, "stripped"), (USUAL, "pie"), (NEWEST, "stripped")]:
            with self.subTest(release=release), Races("apart-appends", 500, 100, release, variant) as p:
                r = watch(p.pid, "appends.go:100", "--budget", "20", "--for", "2s")
                word = self.element(r)
                self.assertEqual(word["variable"]["address"], p.word.split(":")[0])
                self.assertEqual({(a["kind"], a["place"]["function"], a["place"]["line"]) for a in word["accesses"]},
                                 {("write", "main.appendLeft", 100), ("write", "main.appendRight", 200)})
                f, = [f for f in r["findings"] if "append" in f["title"]]
                self.assertEqual((f["kind"], f["severity"]), ("shared-memory", "info"))

    def test_clipped(self):
        """The capacity of what is handed out ends at its length: each append has an array of its own."""
        for release, variant in [(OLDEST, "stripped"), (NEWEST, "stripped")]:
            with self.subTest(release=release), Races("appends-clipped", 500, 100, release, variant) as p:
                r = watch(p.pid, "appends.go:300", "--budget", "20", "--for", "1s")
                self.assertEqual(r["findings"], [])
                self.assertEqual(self.element(r)["accesses"] if any(
                    "appended" in w["variable"]["name"] for w in r["shared_memory"]) else [], [])


if __name__ == "__main__":
    unittest.main()
