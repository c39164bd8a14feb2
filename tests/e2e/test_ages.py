# SPDX-License-Identifier: BSD-2-Clause
"""No age is above the truth, whatever the collections, and what is proven is said."""
import os
import signal
import time
import unittest

from harness import need_root, wait_until, window
from netprogs import RELEASES, Netload, kinds, releases, rows_of, snapshot

SOME = RELEASES if os.environ.get("GOSPECT_NET_ALL") else releases("oldest", "newest")
GAP_S = 3.2		# between two collections: longer than findings need
PROVEN_S = 1.2		# between the last collection and the report: bodies count after a second


def passes(since, seconds):
    wait_until(lambda: time.monotonic() > since + seconds, "time to pass")


def ages(r):
    """What began after the gap: name and age, None where none is said."""
    for f in rows_of(r, "net", "in_flight"):
        yield "request in " + f.get("phase", "?"), f.get("since_s")
    for c in rows_of(r, "net", "clients"):
        if c["in_flight"]:
            yield "client", c.get("longest_in_flight_s")
    for b in rows_of(r, "net", "unclosed_bodies"):
        yield "body", b.get("oldest_s")
    for s in rows_of(r, "net", "servers"):
        if s["in_flight"]:
            yield "handler", s.get("longest_in_flight_s")
    for p in r["sql"]["pools"]:
        yield "pool wait", p.get("longest_wait_s")
        yield "transaction", p.get("oldest_transaction_s")
        for h in p["holders"]:
            yield "holder", h.get("held_s")
    for l in rows_of(r, "locks"):
        yield "lock", l.get("longest_wait_s")
    for s in rows_of(r, "goroutines", "by_site"):
        if s["function"] in ("main.hang", "main.cmdConvoy", "main.sqlHold", "main.sqlWait",
                             "net/http.(*Transport).dialConn"):
            yield s["function"], s.get("oldest_s")


def setUpModule():
    need_root()


class Ages(unittest.TestCase):
    def collected(self, release):
        """Two collections far apart; what waits began just before the second of them."""
        with Netload(release) as p:
            p.do("sql do=open max=3")
            p.do("gc")
            p.do("gc")
            passes(time.monotonic(), GAP_S)
            begin = time.monotonic()
            p.do("hang n=2 phase=ttfb limit=none")
            p.do("hang n=2 phase=pool_wait limit=none")
            p.do("bodies n=2 how=drop")
            p.do("sql do=hold what=tx n=2")
            p.do("sql do=hold what=rows n=1")
            p.do("sql do=wait n=2")
            p.do("convoy n=4 hold=60000")
            p.do("gc")
            passes(time.monotonic(), PROVEN_S + 0.1)
            r = snapshot(p.pid, "--window", 0)
            most = time.monotonic() - begin
        said = list(ages(r))
        self.assertEqual([], [(what, age) for what, age in said if age is not None and age > most], f"of {most:.2f} s")
        proven = {what for what, age in said if age is not None and age >= PROVEN_S}
        for what in ("request in ttfb", "request in pool_wait", "client", "body", "handler", "pool wait", "transaction",
                     "lock", "main.hang", "main.cmdConvoy", "net/http.(*Transport).dialConn"):
            self.assertIn(what, proven, said)
        if most < 3:
            self.assertFalse(kinds(r) & {"no-timeout", "transaction-open", "slow-phase"}, r["findings"])

    def test_same_request_again(self):
        """Calls that come back, by goroutines that send one *Request again and again."""
        with Netload() as p:
            p.do("repeat n=10 ttfb=300")
            with window(p.pid, "--budget", 0, "--only", "net") as w:
                begin = time.monotonic()
                while time.monotonic() < begin + GAP_S + 1:
                    p.do("gc")
                    passes(time.monotonic(), 0.1)
            longest = p.do("stop")["longest_s"]
        r = w.report
        self.assertIn(len(r["net"]["in_flight"]), range(1, 11))	# one may be between two calls
        self.assertEqual([], [f for f in r["net"]["in_flight"] if f.get("since_s", 0) > longest + 0.05])
        self.assertFalse(kinds(r))

    def test_stopped(self):
        """Nothing goes on in a process that is stopped: it is said, and no call hangs for it."""
        with Netload() as p:
            p.do("repeat n=10 ttfb=300")
            try:
                with window(p.pid, "--only", "net") as w:
                    begin = time.monotonic()
                    os.kill(p.pid, signal.SIGSTOP)
                    passes(begin, GAP_S)
            finally:
                os.kill(p.pid, signal.SIGCONT)
            p.do("stop")
        r = w.report
        self.assertEqual(r["process"]["state"], "stopped")
        self.assertGreater(r["process"]["stopped_s"], GAP_S / 2)
        self.assertGreater(max(f["since_s"] for f in r["net"]["in_flight"]), GAP_S / 2)
        self.assertFalse(kinds(r))


for r in SOME:
    def test(self, r=r):
        self.collected(r)
    setattr(Ages, f"test_collected_{r.replace('.', '_')}", test)
