# SPDX-License-Identifier: BSD-2-Clause
"""Do no harm: under load, GC stress and deep recursion, ended by Ctrl-C and by
SIGKILL, every answer of the program stays right and its code is as in the file."""
import os
import signal
import time
import unittest

from harness import (NEWEST, OLDEST, USUAL, Attach, Work, bpf_objects, need_root, releases, still_loaded,
                     text_differs, wait_until)

ROUNDS = 6


class Harm(unittest.TestCase):
    def setUp(self):
        need_root()

    def ends(self, release, variant, env, sig):
        loaded = set()
        with Work(release, variant, env=env) as w:
            w.do("loop 2000")
            for i in range(ROUNDS):
                args = ["--exact"] if i % 2 else []
                with Attach(w.pid, *args, every="200ms") as a:
                    a.next()
                    loaded |= bpf_objects(a.p.pid)
                    if sig == signal.SIGINT:
                        a.stop()
                    else:
                        a.p.kill()
                        a.p.wait()
                wait_until(lambda: not text_differs(w.pid), "the code to be as in the file")
            done = w.do("stoploop")
            self.assertEqual(done["wrong"], 0)
            self.assertGreater(done["rounds"], 0)
            w.do("deep 20000")
            w.do("check")
        self.assertEqual({k for k, _ in loaded} & {"prog", "map"}, {"prog", "map"})
        wait_until(lambda: not still_loaded(loaded), "the programs to be unloaded")

    def test_interrupt(self):
        for release, variant in ((OLDEST, "stripped"), (USUAL, "stripped"), (NEWEST, "pie")):
            with self.subTest(release):
                self.ends(release, variant, {}, signal.SIGINT)

    def test_kill(self):
        for release, variant in ((*releases("1.20"), "stripped"), (USUAL, "stripped"), (NEWEST, "cgo")):
            with self.subTest(release):
                self.ends(release, variant, {}, signal.SIGKILL)

    def test_gc_stress(self):
        self.ends(USUAL, "stripped", {"GOGC": "5", "GODEBUG": "gcstoptheworld=0"}, signal.SIGINT)
        self.ends(*releases("1.22"), "stripped", {"GOGC": "5"}, signal.SIGKILL)

    def test_deep_recursion(self):
        """Stacks that grow and move while their functions carry probes."""
        with Work(USUAL, env={"GOGC": "20"}) as w, Attach(w.pid, "--exact", every="200ms") as a:
            for depth in (100, 10000, 100000, 1000, 200000):
                w.do(f"deep {depth}")
                w.do("births 20")
            w.do("check")
            a.stop()
            self.assertEqual(text_differs(w.pid), [])

    def test_detach_is_fast(self):
        """From Ctrl-C to the end, the last report included: not much more than to begin
        takes.  (How long it takes is measured by make bench.)"""
        with Work() as w:
            starts, stops = [], []
            for _ in range(5):
                began = time.monotonic()
                with Attach(w.pid) as a:
                    armed = time.monotonic()
                    a.stop()
                    starts.append(armed - began)
                    stops.append(time.monotonic() - armed)
            self.assertLess(min(stops), 2 * min(starts), (starts, stops))
