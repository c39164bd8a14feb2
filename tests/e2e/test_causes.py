# SPDX-License-Identifier: BSD-2-Clause
"""One cause, one finding, the cause first: a resolver that is slow or does not
answer, on every release and by both of Go's resolvers, and findings of which
one explains the other; each beside its healthy twin."""
import concurrent.futures
import os
import re
import tempfile
import unittest

from harness import GOSPECT, USUAL, Program, binary, need_root, releases, wait_until
from netprogs import Commands, Netload, keeps_no_connection, snapshot
from terminal import Terminal

SOME = releases("1.20", "1.22", "1.23", "1.24", "1.25", "usual", "newest")
TWO = releases("1.22", "usual")
AT_ONCE = 4
WINDOW = ("--window", "3s", "--only", "goroutines,net")


class Dnsnet(Commands):
    """Asks its own net.Resolver, or as /etc/resolv.conf says: one that names an address of its own."""
    number = 0

    def __init__(self, release, mode, hosts, how="http", resolver="inner"):
        argv = [binary(f"dnsnet-{release}-cgo"), mode, str(hosts), how]
        if resolver == "inner":
            super().__init__(argv)
            return
        Dnsnet.number += 1
        ns = f"127.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250 + 1}.{Dnsnet.number}"
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write(f"nameserver {ns}\nsearch a.local b.local c.local\noptions ndots:5\n")
            f.flush()
            super().__init__(["unshare", "-m", "--propagation", "private", "sh", "-c",
                              'mount --bind "$0" /etc/resolv.conf && exec "$@"', f.name, *argv, ns],
                             {"GODEBUG": "netdns=" + resolver})


def look(case):
    """The first report on a program that has just begun."""
    with Dnsnet(*case) as p:
        r = snapshot(p.pid, *WINDOW)
        return r, p.do("truth")


class Resolver(unittest.TestCase):
    BOTH = ([(r, "drop", 1) for r in SOME] + [(r, "slow", 30, "http", "cgo") for r in SOME] +
            [(r, "drop", 30) for r in TWO] + [(r, "aaaa", 1) for r in TWO] +
            [(r, "ndots", 1, "http", way) for r, way in zip(TWO, ("go", "cgo"))] +
            [(USUAL, "slow", 30, "dial", "cgo"), (USUAL, "one", 20)] + [(r, "ok", 20) for r in TWO])

    @classmethod
    def setUpClass(cls):
        need_root()
        cls.pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
        cls.seen = {case: cls.pool.submit(look, case) for case in cls.BOTH}

    @classmethod
    def tearDownClass(cls):
        cls.pool.shutdown(cancel_futures=True)

    def findings(self, case):
        r, _ = self.seen[case].result()
        leaks = [f for f in r["findings"] if f["kind"] in ("goroutine-leak", "goroutine-flood")]
        self.assertEqual(leaks, [], "goroutines in a look-up are no leak")
        return [f for f in r["findings"] if not keeps_no_connection(f)]

    def of(self, mode, hosts):
        return [c for c in self.BOTH if c[1] == mode and (c[2] > 1) == (hosts > 1)]

    def test_one_host(self):
        for case in self.of("drop", 1) + self.of("aaaa", 1) + self.of("ndots", 1) + self.of("one", 20):
            with self.subTest(case=case):
                f, *more = self.findings(case)
                self.assertEqual(more, [])
                self.assertIn(f["kind"], ("slow-phase", "failing-phase"))
                self.assertRegex(f["id"], r":h0\.example\.com:\d+:dns")
                self.assertIn("DNS look-up", f["title"])

    def test_many_hosts_are_one_finding(self):
        for case in self.of("slow", 30) + self.of("drop", 30):
            with self.subTest(case=case):
                f, *more = self.findings(case)
                self.assertEqual(more, [])
                self.assertIn(f["id"], ("slow-phase:resolver:dns", "failing-phase:resolver:dns"))
                self.assertIn("resolver", f["title"])
                self.assertGreater(f["numbers"]["hosts"], 15)
                self.assertLessEqual(f["numbers"]["hosts"], 30)
                if case[1] == "slow" and "p50_ms" in f["numbers"]:
                    self.assertGreater(f["numbers"]["p50_ms"], 1300)

    def test_healthy(self):
        for case in self.of("ok", 20):
            with self.subTest(case=case):
                self.assertEqual([f["title"] for f in self.findings(case)], [])
                self.assertEqual(self.seen[case].result()[1]["failed"], 0)


class Links(unittest.TestCase):
    def setUp(self):
        need_root()

    def pool(self, what):
        """All four connections are held for longer than it takes, and others wait."""
        with Netload() as p:
            p.do("sql do=open max=4")
            p.do(f"sql do=hold what={what} n=4")
            p.do("sql do=wait n=9")
            return snapshot(p.pid, "--window", "4s", "--only", "sql,goroutines")["findings"]

    def test_transactions_exhaust_the_pool(self):
        found = self.pool("tx")
        self.assertEqual([f["kind"] for f in found][:2], ["transaction-open", "pool-exhausted"])
        self.assertEqual(found[1]["caused_by"], found[0]["id"])
        self.assertIn("because of the transaction-open above", found[1]["evidence"][0])
        self.assertNotIn("caused_by", found[0])
        self.assertEqual(found[1]["severity"], "critical")

    def test_other_holders_do_too(self):
        """Rows that are open for four seconds are no finding yet, and nothing else is the cause."""
        found = self.pool("rows")
        self.assertEqual([f["kind"] for f in found], ["pool-exhausted"])
        self.assertNotIn("caused_by", found[0])


class Deadlocks(unittest.TestCase):
    """Where it is: in the program, not in what the compiler makes."""

    def title(self, release, mode):
        need_root()
        with Program([binary(f"locks-{release}-stripped"), mode]) as p:
            f, = [f for f in snapshot(p.pid, "--window", "0")["findings"] if f["kind"] == "deadlock"]
            return f["title"], str(f)

    def test_methods_of_embedded_locks(self):
        for release in TWO:
            with self.subTest(release=release):
                title, whole = self.title(release, "twolockers")
                self.assertRegex(title, r"at main\.with \(kinds\.go:\d+\)")
                self.assertNotIn("autogenerated", whole)

    def test_the_first_of_two_read_locks(self):
        for release in releases("1.20", "1.22", "usual"):
            with self.subTest(release=release):
                title, _ = self.title(release, "reread")
                self.assertRegex(title, r"read-locks at main\.readInner \(circles\.go:\d+\) what it has read-locked "
                                        r"before, in main\.reread\.func1 \(circles\.go:\d+\)")


class LastReport(unittest.TestCase):
    """On a terminal: not of the blink since the screen was drawn."""

    def test_is_of_a_whole_window(self):
        need_root()
        with Dnsnet(USUAL, "ok", 1) as p, Terminal([GOSPECT, "attach", p.pid, "--every", "2s"]) as t:
            wait_until(lambda: "q quit" in "".join(t.shown()), "the screen")
            for _ in range(2):	# the first is of no time at all
                before = t.frame()[0]
                wait_until(lambda: t.frame()[0] != before, "the next report")
            t.key("q")
            self.assertEqual(t.status(), 0)
            text = " ".join(t.after_screen().split())
        seconds, = re.findall(r", (\d+\.\d)s to \d\d:", text)
        self.assertGreaterEqual(float(seconds), 1.0, text[:300])
        if "of the last whole window" in text:
            self.assertGreater(float(seconds), 1.4)	# longer on a busy machine


if __name__ == "__main__":
    unittest.main()
