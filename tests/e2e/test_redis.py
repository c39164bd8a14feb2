# SPDX-License-Identifier: BSD-2-Clause
"""Pools of go-redis: tests/progs/rediscases (turns are a queue) and redisnew (a
semaphore), which have a server of their own, beside their PoolStats()."""
import os
import unittest

from harness import USUAL, binary, need_root, releases
from netprogs import Commands, snapshot

SQL = ("--only", "sql")


def function(p):
    return p["function"] if p else None


class Redis(unittest.TestCase):
    def setUp(self):
        need_root()

    def pool(self, r, stats, most="3"):
        """The row of the pool with so many connections, which is as the program has it."""
        pool, = [p for p in r["sql"]["pools"] if p["max_open"] == int(most)]
        self.assertEqual({k: pool[k] for k in stats["pools"][most]}, stats["pools"][most])
        self.assertEqual((pool["library"], pool["driver"]), ("go-redis", "go-redis"))
        self.assertNotIn("wait_count_total", pool)  # not known is not none
        self.assertNotIn("transactions_open", pool)
        return pool

    def coverage(self, r):
        sql, = [c for c in r["coverage"] if c["sensor"] == "sql"]
        return sql["why"]

    def all_of(self, prog, release, variant="stripped"):
        with Commands([binary(f"{prog}-{release}-{variant}")]) as p:
            # a pool that nobody is in cannot be seen: said, not taken for none
            stats = p.do("work")
            r = snapshot(p.pid, "--window", "0", *SQL)
            self.assertEqual((r["sql"]["pools"], r["findings"]), ([], []))
            self.assertIn("database/sql is not linked; pools of go-redis are seen", self.coverage(r))
            self.assertIn("none was yet", self.coverage(r))
            # all connections in use, and nobody waits: workers on a queue
            stats = p.do("block 3")
            r = snapshot(p.pid, "--window", "0", *SQL)
            pool = self.pool(r, stats)
            self.assertEqual((pool["in_use"], pool["waiters"], r["findings"]), (3, 0, []))
            h, = pool["holders"]
            self.assertEqual((function(h["place"]), h["count"]), ("main.pop", 3))
            self.assertTrue(h["place"]["in"].endswith("cmdable.BLPop"), h)
            p.do("release")
            # two by a Conn that nobody closes, one by a command that blocks
            p.do("hold 2")
            p.do("block 1")
            stats = p.do("wait 5")
            r = snapshot(p.pid, "--window", "5s", *SQL)
            pool = self.pool(r, stats)
            self.assertEqual((pool["waiters"], function(pool["waits_at"])), (5, "main.get"))
            self.assertTrue(1 < pool["longest_wait_s"] < 120, pool)
            self.assertEqual([(function(h["place"]), h["count"]) for h in pool["holders"]], [("main.pop", 1)])
            f, = r["findings"]
            self.assertEqual((f["kind"], f["severity"], f["numbers"]["waiters"]), ("pool-exhausted", "critical", 5))
            self.assertIn("go-redis", f["title"])
            self.assertIn("2 held with no command seen under way", " ".join(f["evidence"]))
            self.assertIn("main.pop", " ".join(f["evidence"]))
            self.assertIn("client.Conn()", f["advice"])
            p.do("release")
            # busy: they wait for one another, for less than a millisecond each time
            p.do("busy 12")
            r = snapshot(p.pid, "--window", "2s", *SQL)
            self.assertEqual(r["findings"], [])
            p.do("release")


ALL = os.environ.get("GOSPECT_NET_ALL")
for _prog, _releases in (("rediscases", ("1.20", "1.22", "1.24", "usual", "newest") if ALL else ("1.22",)),
                         ("redisnew", ("1.22", "1.24", "newest") if ALL else ())):
    for _release in releases(*_releases) if _releases else ():
        def _test(self, prog=_prog, release=_release):
            self.all_of(prog, release)
        setattr(Redis, f"test_{_prog}_{_release.replace('.', '_')}", _test)
setattr(Redis, "test_redisnew_pie", lambda self: self.all_of("redisnew", USUAL, "pie"))
