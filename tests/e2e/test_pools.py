# SPDX-License-Identifier: BSD-2-Clause
"""What is wrong in how a program uses a pool of connections, each beside a twin
that is right: tests/progs/dbcases, whose driver needs no server."""
import subprocess
import unittest

from harness import GOSPECT, NEWEST, USUAL, binary, need_root, releases, wait_until
from netprogs import Commands, snapshot
from schema import report

SQL = ("--only", "sql", "--window", "5s")


def function(p):
    return p["function"] if p else None


class Cases:
    """Each case in a process of its own, all at once, and a snapshot of each."""

    def __init__(self, names, release, variant):
        path = binary(f"dbcases-{release}-{variant}")
        self.programs = {}
        try:
            for n in names:
                self.programs[n] = Commands([path, n])
        except BaseException:
            self.close()
            raise

    def look(self, names=None):
        """What the programs, or those of these names, say before and after their reports."""
        before = self.stats()
        runs = {n: subprocess.Popen([GOSPECT, "snapshot", str(p.pid), "--format", "json", *SQL], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                for n, p in self.programs.items() if n in (names or self.programs)}
        out = {}
        for n, p in runs.items():
            text, err = p.communicate(timeout=120)
            if p.returncode:
                raise AssertionError(f"{n}: gospect ended with {p.returncode}: {err}")
            out[n] = report(text)
        return before, out, self.stats()

    def stats(self):
        return {n: p.do("stats") for n, p in self.programs.items()}

    def close(self):
        for p in self.programs.values():
            p.close()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()


NAMES = ("nested1", "nested", "nestedtx", "onebyone", "hung", "hungfull", "deadline", "cancel", "late", "lifetime", "idle",
         "usual", "forget", "keep", "batch")
# How many connections are held, and have been waited for, when nothing moves any more.
STUCK = {"nested1": (1, 1), "nested": (10, 30), "nestedtx": (4, 4), "hung": (8, 0), "hungfull": (5, 7), "forget": (10, 1),
         "keep": (3, 1), "deadline": (5, 0), "cancel": (5, 0)}
CHURNS = ("lifetime", "idle")
TWINS = ("onebyone", "deadline", "cancel", "late", "usual")


class Cause(unittest.TestCase):
    def setUp(self):
        need_root()

    def the(self, r, kind):
        f, = [f for f in r["findings"] if f["kind"] == kind]
        return f

    def deadlocks_itself(self, r, stats, n, what, holds, waits):
        self.assertEqual([f["kind"] for f in r["findings"]], ["pool-exhausted"], (r["sql"], r["losses"], r["coverage"]))
        f, = r["findings"]
        self.assertEqual(f["severity"], "critical")
        self.assertIn("deadlocks itself", f["title"])
        self.assertNotIn("SetMaxOpenConns", f["advice"])
        self.assertEqual(function(f["place"]), holds)
        pool, = r["sql"]["pools"]
        self.assertEqual((pool["in_use"], pool["held_by_waiters"], stats["in_use"]), (n, n, n))
        h, = pool["holders"]
        self.assertEqual((h["count"], h["what"], function(h["place"]), function(h["waits_at"])), (n, what, holds, waits))
        self.assertIn(waits.split(".")[-1], " ".join(f["evidence"]))

    def churns(self, before, r, after, key):
        f, = r["findings"]
        self.assertEqual((f["kind"], f["severity"]), ("connection-churn", "low"))
        pool, = r["sql"]["pools"]
        n = pool[f"closed_{key}"]
        self.assertEqual(f["numbers"][f"closed_{key}"], n)
        # the window is within what the program counted around it
        self.assertTrue(10 <= n <= after[f"{key}_closed"] - before[f"{key}_closed"], (n, before, after))
        self.assertTrue(before[f"{key}_closed"] <= pool[f"{key}_closed_total"] <= after[f"{key}_closed"], (pool, before, after))

    def hangs(self, r, n, waiting):
        fs = [f for f in r["findings"] if f["kind"] == "no-timeout"]
        self.assertEqual({function(f["place"]) for f in fs} - {"main.report", "main.reportBackground"}, set())
        self.assertEqual(sum(f["numbers"]["hanging"] for f in fs), n)
        for f in fs:
            self.assertIn("quer", f["title"])
            # a slow one looks the same for some time
            self.assertEqual((f["severity"], "no answer yet" in f["title"]), ("medium", True))
            self.assertGreater(f["numbers"]["longest_in_flight_s"], 3)
        qs = r["sql"]["queries"]
        self.assertEqual((sum(q["in_flight"] for q in qs), sum(q["waiting"] for q in qs)), (n, waiting))

    def all_of(self, release, variant="stripped"):
        with Cases(NAMES, release, variant) as c:
            for n, (held, waiting) in STUCK.items():
                wait_until(lambda: [c.programs[n].do("stats")[k] for k in ("in_use", "wait_count")] == [held, waiting],
                           f"{held} connections of {n} to be held, and {waiting} to be waited for")
            before, r, after = c.look()
            for _ in range(3):	# on a busy machine connections are used too seldom to be closed
                again = [n for n in CHURNS if not r[n]["findings"]]
                for seen, more in zip((before, r, after), c.look(again) if again else ()):
                    seen.update({n: more[n] for n in again})
        with self.subTest("nested1"):
            self.deadlocks_itself(r["nested1"], after["nested1"], 1, "rows", "main.listOrders", "main.loadItems")
        with self.subTest("nested"):
            self.deadlocks_itself(r["nested"], after["nested"], 10, "rows", "main.listOrders", "main.loadItems")
        with self.subTest("nestedtx"):
            self.deadlocks_itself(r["nestedtx"], after["nestedtx"], 4, "transaction", "main.transfer", "main.audit")
        with self.subTest("hung"):
            self.hangs(r["hung"], 8, 0)
            self.assertEqual({f["kind"] for f in r["hung"]["findings"]}, {"no-timeout"})
        with self.subTest("hungfull"):
            self.hangs(r["hungfull"], 5, 7)
            self.assertEqual({f["kind"] for f in r["hungfull"]["findings"]}, {"no-timeout", "pool-exhausted"})
        with self.subTest("lifetime"):
            self.churns(before["lifetime"], r["lifetime"], after["lifetime"], "max_lifetime")
        with self.subTest("idle"):
            self.churns(before["idle"], r["idle"], after["idle"], "max_idle")
        with self.subTest("forget"):
            # nobody has them any more: not even who runs that line again
            self.assertEqual(r["forget"]["sql"]["pools"][0]["holders"], [])
            f = self.the(r["forget"], "transaction-open")
            self.assertNotIn("place", f)
            self.assertEqual(f["numbers"]["count"], 10)
            self.assertEqual("at hand" in " ".join(f["evidence"]), not release.startswith("1.20."))
            self.assertEqual(self.the(r["forget"], "pool-exhausted")["caused_by"], f["id"])
        with self.subTest("keep"):
            f, = r["keep"]["findings"]
            self.assertEqual(f["kind"], "pool-exhausted")
            self.assertIn("no query running", " ".join(f["evidence"]))
            self.assertNotIn("faster", f["advice"])
        with self.subTest("batch"):
            # slow, and never said to hang; not even slow where one of them was seen to come back
            qs = r["batch"]["sql"]["queries"]
            self.assertLessEqual({function(q["place"]) for q in qs}, {"main.reportBatch"})
            for q, f in zip(qs, r["batch"]["findings"]):
                self.assertEqual((f["kind"], f["severity"]), ("no-timeout", "medium"))
                self.assertNotIn("hang", f["title"])
                self.assertLess(q.get("came_back_s", 0) * 3, f["numbers"]["longest_in_flight_s"] + 0.01)
        for n in TWINS:
            with self.subTest(n):
                self.assertEqual([f["title"] for f in r[n]["findings"]], [])


class Pgx(unittest.TestCase):
    """Pools of pgxpool in a program without database/sql: the numbers of their Stat()."""

    def setUp(self):
        need_root()

    def equal(self, r, stats):
        pools = {str(p["max_open"]): p for p in r["sql"]["pools"]}
        self.assertEqual(set(pools), set(stats["pools"]))
        for most, p in pools.items():
            self.assertEqual({k: p[k] for k in stats["pools"][most]}, stats["pools"][most])
            self.assertEqual(p["library"], "pgxpool")
            self.assertNotIn("wait_count_total", p) # not known is not none
        return pools

    def pools(self, release, variant):
        with Commands([binary(f"pgxcases-{release}-{variant}")]) as p:
            stats = p.do("work")
            r = snapshot(p.pid, "--window", "0", "--only", "sql")
            self.equal(r, stats)
            self.assertEqual(r["findings"], [])
            sql, = [c for c in r["coverage"] if c["sensor"] == "sql"]
            self.assertIn("database/sql is not linked; pools of pgx are seen", sql["why"])
            p.do("hold 3")
            stats = p.do("wait 5")
            r = snapshot(p.pid, *SQL)
            pool = self.equal(r, stats)["3"]
            self.assertEqual(pool["waiters"], 5)
            self.assertEqual(function(pool["waits_at"]), "main.acquire")
            self.assertTrue(3 < pool["longest_wait_s"] < 60, pool)
            f, = r["findings"]
            self.assertEqual((f["kind"], f["severity"], f["numbers"]["waiters"]), ("pool-exhausted", "critical", 5))
            self.assertIn("Release", f["advice"])
            stats = p.do("release")
            r = snapshot(p.pid, "--window", "0", "--only", "sql")
            self.assertEqual((self.equal(r, stats)["3"]["waiters"], r["findings"]), (0, []))

    def test_usual(self):
        self.pools(USUAL, "stripped")

    def test_newest_pie(self):
        self.pools(NEWEST, "pie")


for _release in releases("1.20", "1.22", "1.24", "usual", "newest"):
    def _test(self, release=_release):
        self.all_of(release)
    setattr(Cause, f"test_{_release.replace('.', '_')}", _test)
setattr(Cause, "test_pie", lambda self: self.all_of(USUAL, "pie"))
