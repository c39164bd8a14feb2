# SPDX-License-Identifier: BSD-2-Clause
"""A Go release newer than gospect: programs of the newest one that say they are
of the next.  Everything works as before, once it has been verified in the process."""
import json
import unittest

import test_counts
import test_net
import test_snapshot_findings
import test_sql
from harness import NEWER, Program, Work, binary, gospect, need_root
from netprogs import Netload

VERIFIED = f"go{NEWER} is newer than this gospect: the layout of its runtime was verified in the process"


class Newer(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_plan(self):
        with Netload(NEWER) as p:
            for subject in (str(p.pid), binary(f"netload-{NEWER}-stripped")):
                text = gospect("plan", subject)
                self.assertEqual(text.returncode, 0, text.stderr)
                self.assertIn(f"go{NEWER}", text.stdout)
                self.assertIn("verified in the process", text.stdout)
                probes = json.loads(gospect("plan", subject, "--format", "json").stdout)["probes"]
                for x in probes:
                    if x["site"] == "absent":
                        self.assertRegex(x["why"], "linked into this program|not needed: ")
                    else:
                        self.assertEqual(x["run"], "emulated", x)

    def test_counts(self):
        test_counts.Counts("setUp").one(NEWER, "stripped")

    def test_list_and_words(self):
        with Work(NEWER) as w:
            w.do("park 9 cond")
            p = gospect("snapshot", w.pid, "--window", "0", "--format", "json")
            self.assertIn(VERIFIED, p.stderr)
            self.assertEqual(json.loads(p.stdout)["goroutines"]["by_state"]["sync.Cond.Wait"], 9)
            rows = json.loads(gospect("list", "--format", "json").stdout)["processes"]
            self.assertEqual([r["goroutines"] for r in rows if r["pid"] == w.pid], [10])

    def test_leaks(self):
        """Judged as in test_snapshot_findings, with a proof and without."""
        for args in ((), ("--prove",)):
            with self.subTest(args), Program([binary(f"locks-{NEWER}-stripped"), "groupleak"]) as p:
                r = gospect("leaks", p.pid, "--format", "json", *args)
                self.assertEqual(r.returncode, 0, r.stderr)
                self.assertIn(VERIFIED, r.stderr)
                self.assertTrue(r.stdout.splitlines(), r.stderr)
        findings = test_snapshot_findings.Findings("setUp")
        for mode, size in (("sendlocked", 2), ("group", 2), ("groupglobal", 0), ("pool", 0)):
            with self.subTest(mode):
                found = findings.deadlocks(NEWER, mode, "--prove")
                self.assertEqual([f["numbers"]["count"] for f in found], [size] if size else [])

    def test_net(self):
        test_net.Phases("setUp").every_phase(NEWER, "stripped")

    def test_sql(self):
        test_sql.Pools("setUp").begun_before(NEWER, "stripped")
        test_sql.Pools("setUp").seen_to_begin(NEWER, "stripped")
