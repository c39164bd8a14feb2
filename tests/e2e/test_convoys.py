# SPDX-License-Identifier: BSD-2-Clause
"""Goroutines that queue for a lock, by tests/progs/netload: found at their place, by a lock of the right kind."""
import unittest

from harness import Attach, need_root
from netprogs import SENSORS, Netload, at, found, place


class Convoys(unittest.TestCase):
    WINDOWS = 20	# of a second, in which one is told of at last: a busy machine has few looks in one

    def setUp(self):
        need_root()

    def convoy(self, kind, lock, where):
        """Who waits is as of a look: one may come just as all have had their turn."""
        with Netload() as p:
            p.do(f"convoy kind={kind} n=20 hold=300")
            here = at(p.where()[where])
            with Attach(p.pid, *SENSORS, every="1s") as a:
                told = []
                for _ in range(self.WINDOWS):
                    told += [r for r in [a.next()] if found(r)]
                    if len(told) == 2:
                        break
        self.assertEqual({k for r in told for k in found(r)}, {("lock-contention", here)})
        # some other lock of the program may just have a waiter
        self.assertEqual({l["kind"] for r in told for l in r["locks"] if place(l) == here}, {lock})

    def test_mutex(self):
        self.convoy("mutex", "sync.Mutex", "mutex")

    def test_rw(self):
        self.convoy("rw", "sync.RWMutex", "rlock")
