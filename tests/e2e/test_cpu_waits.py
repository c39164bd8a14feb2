# SPDX-License-Identifier: BSD-2-Clause
"""Goroutines that run on while others wait, and programs whose quota is used up: each finding at its
lines, and nothing for the healthy twin.  How much CPU a program gets here is not known: the tests read
reports until it has used enough."""
import contextlib
import os
import re
import subprocess
import time
import unittest

from cgroups import control_group
from harness import GOSPECT, OLDEST, USUAL, Program, binary, need_root
from schema import report

NAME = "spin-{}-stripped"
PATIENCE_S = 120
ENOUGH_S = 1.5  # of CPU time: a goroutine that never waits is found after one second
SOURCE = os.path.join(os.path.dirname(__file__), "..", "progs", "spin", "main.go")


def lines_of(function):
    """First and last line of a function in the source."""
    with open(SOURCE) as f:
        text = f.read().split("\n")
    first = next(i for i, l in enumerate(text, 1) if re.match(rf"func {function}\(", l))
    return first, next(i for i, l in enumerate(text, 1) if i > first and l == "}")


@contextlib.contextmanager
def reports(p, *args):
    """Of attach, one after the other, until the time is up."""
    g = subprocess.Popen([GOSPECT, "attach", str(p.pid), "--format", "json", "--every", "2s", *args],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    end = time.monotonic() + PATIENCE_S

    def each():
        for line in g.stdout:
            yield report(line)
            if time.monotonic() > end:
                raise AssertionError(f"not in {PATIENCE_S} s")
    try:
        yield each()
    finally:
        g.kill()
        g.wait()
        g.stdout.close()


def findings(r, kind):
    return [f for f in r["findings"] if f["kind"] == kind]


class Loops(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_found(self):
        for release, mode, function in ((USUAL, "loop", "spin"), (OLDEST, "calls", "callsOthers")):
            with self.subTest(mode), Program([binary(NAME.format(release)), mode]) as p, \
                    reports(p, "--only", "cpu,locks") as each:
                f = next(f for r in each for f in findings(r, "endless-loop"))
                first, last = lines_of(function)
                self.assertEqual(f["severity"], "medium")
                self.assertEqual(f["exactness"], "sampled")
                self.assertEqual(f["place"]["function"], "main." + function)
                self.assertTrue(first <= f["place"]["line"] <= f["numbers"]["last_line"] < last, f)
                self.assertGreaterEqual(f["numbers"]["cpu_s"], 1)
                self.assertIn("others waited for a CPU", f["title"])

    def test_under_a_lock(self):
        """It runs with a mutex: the loop's lines, how many wait for it, and that the lock's finding has it for its cause."""
        first, last = lines_of("search")
        for release in (USUAL, OLDEST):
            with self.subTest(release), Program([binary(NAME.format(release)), "locked"]) as p, reports(p) as each:
                r, f = next((r, f) for r in each for f in findings(r, "endless-loop") if "lock_waiters" in f["numbers"])
                self.assertEqual(f["numbers"]["lock_waiters"], 5)
                self.assertEqual(f["place"]["function"], "main.search")
                self.assertTrue(first <= f["place"]["line"] <= f["numbers"]["last_line"] < last, f)
                self.assertIn("5 goroutines wait for a lock that it appears to hold", f["title"])
                lock, = findings(r, "lock-contention")
                self.assertEqual(lock["caused_by"], f["id"])

    def test_healthy_under_a_lock(self):
        self.look_at_healthy("lockpause")

    def test_healthy(self):
        self.look_at_healthy("pause", "alone", "pool")

    def look_at_healthy(self, *modes):
        """It waits now and then; nobody waits behind it; only its own kind does: no finding."""
        for mode in modes:
            with self.subTest(mode), Program([binary(NAME.format(USUAL)), mode]) as p, \
                    reports(p, "--only", "cpu,locks") as each:
                used = 0
                for r in each:
                    self.assertEqual(findings(r, "endless-loop"), [])
                    self.assertEqual(findings(r, "cpu-starved"), [])
                    used += max((g["samples"] for g in r["cpu"]["by_goroutine"]), default=0) / r["cpu"]["hz"]
                    if used > ENOUGH_S:
                        break
                if mode != "pool":	# of these each is sampled now and then only
                    never = any(g["never_waits"] for g in r["cpu"]["by_goroutine"])
                    self.assertEqual(never, mode == "alone", r["cpu"]["by_goroutine"])


def quota():
    """A control group with a fifth of a CPU."""
    old = {"cpu.cfs_period_us": 50000, "cpu.cfs_quota_us": 10000}
    return control_group(("cpu", old), ("cpu,cpuacct", old), ("", {"cpu.max": "10000 50000"}))


class Starved(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_quota(self):
        """Threads of a program that has work for many CPUs, and a quota of a fifth of one."""
        with quota() as q, Program([binary(NAME.format(USUAL)), "starve"]) as p:
            q.take(p.pid)
            with reports(p, "--only", "cpu") as each:
                for r in each:
                    found = findings(r, "cpu-starved")
                    if found:
                        break
            t = r["cpu"]["throttle"]
            self.assertGreater(t["throttled"], 0)
            self.assertLessEqual(t["throttled"], t["periods"])
            self.assertGreater(t["throttled_ns"], 0)
            f = found[0]
            self.assertEqual((f["severity"], f["id"]), ("medium", "cpu-starved:quota"))
            self.assertAlmostEqual(f["numbers"]["cpus"], 0.2, delta=0.001)
            self.assertGreaterEqual(f["numbers"]["slow"], 5)
            self.assertGreater(r["cpu"]["run_wait"]["timed"], 0)

    def test_without(self):
        """The same without a quota: the machine may be busy, but that is nothing of the program's."""
        for release in (USUAL, OLDEST):
            with self.subTest(release), Program([binary(NAME.format(release)), "starve"]) as p, \
                    reports(p, "--only", "cpu") as each:
                r = next(each)
                self.assertEqual(findings(r, "cpu-starved"), [])
                self.assertNotIn("throttle", r["cpu"])
                self.assertEqual("run_wait" in r["cpu"], release != OLDEST)	# since 1.20
