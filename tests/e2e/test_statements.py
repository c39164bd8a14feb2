# SPDX-License-Identifier: BSD-2-Clause
"""Statements of database/sql and of pgx by the place that calls, beside what a program with a
driver, or a server, of its own has counted: tests/progs/statements and pgxstmts."""
import os
import unittest

from harness import USUAL, Attach, binary, need_root, releases, window
from netprogs import Commands

ONLY = ("--only", "statements")


def rows(r):
    return {s["place"]["function"]: s for s in r["sql"]["statements"]}


def gained(before, after):
    return {k: [b - a for a, b in zip(before["counts"][k], after["counts"][k])] for k in after["counts"]}


def sampled(test, program, k, load, windows):
    """Of so many that only slices are counted: near the truth, by what it says itself."""
    seen = []
    with Commands([binary(f"{program}-{USUAL}-stripped")]) as p:
        p.do(load)
        with Attach(p.pid, *ONLY, every="3s") as a:
            a.next()  # the governor has found its pace
            # the program's own are read some time after each report
            for _ in range(windows):
                before = p.do("counts")
                s = rows(a.next()).get(k, {"count": 0})
                seen.append((s, gained(before, p.do("counts"))[k][0]))
                n = seen[-1][1]
                if abs(s["count"] - n) <= s.get("margin", 0) + n / 10 and s.get("margin", 0) < n:
                    break
            else:
                test.fail(seen)
            a.stop()
        p.do("stop")


class Pgx(unittest.TestCase):
    """Both releases of it, by pools, in each protocol, below database/sql (where each is one
    statement), one while the rows of another are open, refused before anything is sent."""

    def setUp(self):
        need_root()

    def exact(self, release):
        with Commands([binary(f"pgxstmts-{release}-stripped")]) as p:
            before = p.do("run 40")
            with window(p.pid, "--exact", *ONLY) as a:
                after = p.do("run 400")
            truth = gained(before, after)
            self.assertEqual({k: [s["count"], s["errors"]] for k, s in rows(a.report).items()}, truth)
            self.assertEqual(sum(e for _, e in truth.values()), 13 * 200)
            for s in rows(a.report).values():
                self.assertEqual(s["exactness"], "exact")
            slow = rows(a.report)["main.(*database).query5"]
            self.assertTrue(3e6 <= slow["p50_ns"] <= slow["p99_ns"] <= slow["max_ns"] * 1.07, slow)
            self.assertEqual({c["sensor"]: c["state"] for c in a.report["coverage"]}["statements"], "exact")

    def test_exact_1_23(self):
        self.exact(releases("1.23")[0])

    def test_exact_newest(self):
        self.exact(releases("newest")[0])

    def test_sampled(self):
        sampled(self, "pgxstmts", "main.(*database).query", "loop 4", 10)


class Statements(unittest.TestCase):
    def setUp(self):
        need_root()

    def exact(self, release, variant="stripped"):
        with Commands([binary(f"statements-{release}-{variant}")]) as p:
            before = p.do("run 40")
            with window(p.pid, "--exact", *ONLY) as a:
                after = p.do("run 400")
            r = a.report
            truth = gained(before, after)
            self.assertEqual({k: [s["count"], s["errors"]] for k, s in rows(r).items()}, truth)
            self.assertEqual(sum(e for _, e in truth.values()), 6 * 200)
            for s in rows(r).values():
                self.assertEqual(s["exactness"], "exact")
                self.assertNotIn("margin", s)
            # those that sleep for 3 ms, each; and no text of any
            slow = rows(r)["main.(*database).queryDB3"]
            self.assertTrue(3e6 <= slow["p50_ns"] <= slow["p99_ns"] <= slow["max_ns"] * 1.07, slow)
            self.assertEqual({c["sensor"]: c["state"] for c in r["coverage"]}["statements"], "exact")

    def test_sampled(self):
        sampled(self, "statements", "main.(*database).queryDB", "loop 8", 5)

    def test_sampled_in_memory(self):
        """The process writes a line now and then, and nothing for a statement."""
        sampled(self, "statements", "main.(*database).queryDB", "memory 1", 10)

    def test_only_when_named(self):
        """Not one hit more a statement for who does not ask for it."""
        with Commands([binary(f"statements-{USUAL}-stripped")]) as p:
            with window(p.pid, "--only", "sql", "--exact") as a:
                p.do("run 400")
            r = a.report
            self.assertNotIn("statements", r["sql"])
            self.assertEqual({c["sensor"]: c["state"] for c in r["coverage"]}["statements"], "off")


ALL = os.environ.get("GOSPECT_NET_ALL")
for _release in releases() if ALL else releases("1.20", "newest"):
    def _test(self, release=_release):
        self.exact(release)
    setattr(Statements, f"test_exact_{_release.replace('.', '_')}", _test)
setattr(Statements, "test_exact_pie", lambda self: self.exact(USUAL, "pie"))
