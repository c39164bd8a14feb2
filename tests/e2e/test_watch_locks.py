# SPDX-License-Identifier: BSD-2-Clause
"""`gospect watch`: which locks were held at each access.  Where one is at every store and not at a read, that is a
suspicion (info); of what is ordered by other means nothing is said."""
import unittest

from harness import NEWEST, OLDEST, USUAL, need_root
from test_watch import ALL, BUILDS, Races, watch

KINDS = {"forgot": "mutex", "forgot-embedded": "mutex", "forgot-rwmutex": "rwmutex", "forgot-pointer-lock": "mutex"}
# a lock that can be named, and those of which none can be, or there is none
LOCKED = ["mutex", "global-mutex", "rwmutex", "embedded", "rwmutex-embedded", "pointer-lock", "by-caller"]
OTHERS = ["passed-lock", "channel", "before-go", "once", "atomic-ptr", "atomic"]
SOME = [(OLDEST, "stripped"), (USUAL, "pie"), (NEWEST, "stripped")]


class Locks(unittest.TestCase):
    def setUp(self):
        need_root()

    def locks(self, access):
        return {l["address"]: l for l in access.get("locks_held", [])}

    def test_forgotten(self):
        """Writer and reader come at different times, so that nothing overlaps: the one without the lock is named."""
        for release, variant in BUILDS if ALL else SOME[1:]:
            for kind, lock in KINDS.items():
                with self.subTest(release=release, kind=kind), Races("apart-" + kind, 500, 100, release, variant) as p:
                    word, = watch(p.pid, p.word, "--for", "1500ms")["shared_memory"]
                    self.assertEqual((word["verdict"], word["overlaps"]), ("no common lock seen", 0))
                    store, = [a for a in word["accesses"] if a["kind"] in ("write", "update")]
                    read, = [a for a in word["accesses"] if a["kind"] == "read"]
                    one, = store["locks_held"]
                    self.assertEqual(one["kind"], lock)
                    self.assertEqual(one["taken"]["function"], store["place"]["function"])
                    self.assertGreaterEqual(one["sampled"], 8)
                    self.assertEqual(one["held"], one["sampled"])
                    self.assertEqual(self.locks(read)[one["address"]]["held"], 0)

    def test_finding(self):
        with Races("apart-forgot", 500, 100) as p:
            r = watch(p.pid, p.word, "--for", "1s", "--fail-on", "low")
            f, = r["findings"]
            self.assertEqual((f["kind"], f["severity"], f["place"]["function"]), ("shared-memory", "info", "main.getSeed"))

    def test_healthy(self):
        """Of who takes the lock it is seen to be held, each time; and nothing is suspected of anybody."""
        for release, variant in BUILDS if ALL else SOME[::2]:
            for kind in LOCKED + OTHERS:
                with self.subTest(release=release, kind=kind), Races(kind, 1000, 200, release, variant) as p:
                    r = watch(p.pid, p.word, "--for", "400ms")
                    self.assertEqual(r["findings"], [])
                    word, = r["shared_memory"]
                    self.assertEqual(word["verdict"], "unproven")
                    held = [l for a in word["accesses"] for l in a.get("locks_held", [])]
                    if kind in LOCKED:
                        common = set.intersection(*({k for k, l in self.locks(a).items() if l["held"] == l["sampled"]}
                                                    for a in word["accesses"]))
                        self.assertTrue(common, word["accesses"])
                    elif kind != "passed-lock":
                        self.assertEqual(held, [])


if __name__ == "__main__":
    unittest.main()
