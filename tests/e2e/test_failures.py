# SPDX-License-Identifier: BSD-2-Clause
"""Calls of HTTP clients that fail (tests/progs/netfail): with what, in which phase, how
often; each beside the same with few failures, or with calls that their callers cancel."""
import unittest

from harness import binary, need_root, releases, wait_until, window
from netprogs import Commands, NET_KINDS, keeps_no_connection, rows_of

HOST = "api.example.com"
VARIANTS = [(r, "stripped") for r in releases("1.20", "newest")]
ENOUGH = 200	# calls in a window
WARM = 40	# calls before: what is kept open is there

# way: (percent, phases it may end in, kind, what the advice says)
FAULTS = {
    "refused": (100, {"connect"}, "refused", "nobody does"),
    "notfound": (30, {"dns"}, "not_found", "getent"),
    "eof": (8, {"ttfb"}, "eof", "check its log"),
    "reset": (20, {"ttfb", "request_write"}, "reset", "check its log"),
    "timeout": (30, {"ttfb"}, "timeout", "too late"),
    "deadline": (30, {"ttfb"}, "timeout", "too late"),
    "certificate": (100, {"tls"}, "certificate", "openssl"),
    "nottls": (20, {"tls"}, "tls", "speaks TLS"),
    "reused": (30, {"ttfb", "request_write"}, "eof", "IdleConnTimeout"),
    "h2cut": (20, {"ttfb"}, "http2", "check the server's log"),
}
TWINS = {"eof": 1, "reset": 1, "timeout": 1, "cancel": 60, "h2cut": 1}


class Netfail(Commands):
    def __init__(self, release, variant, *args):
        super().__init__([binary(f"netfail-{release}-{variant}"), *map(str, args)])

    def truth(self):
        return self.do("truth")

    def calls(self, n):
        """Calls n times at least, with none under way before and after; what was called and failed meanwhile."""
        self.do("halt")
        before = self.truth()
        self.do("go")
        wait_until(lambda: self.truth()["calls"] >= before["calls"] + n, f"{n} calls")
        self.do("halt")
        after = self.truth()
        return after["calls"] - before["calls"], after["failed"] - before["failed"]


def all_failed(report, kind=None):
    return sum(r["count"] for r in rows_of(report, "net", "failures") if kind in (None, r["kind"]))


def found(report):
    return [f for f in report["findings"] if f["kind"] in NET_KINDS and not keeps_no_connection(f)]


class Failures(unittest.TestCase):
    def setUp(self):
        need_root()

    def measure(self, p):
        """A report of a window in which every call is seen whole; what was called, and failed."""
        p.calls(WARM)
        with window(p.pid, "--only", "net", "--exact") as w:
            calls, failed = p.calls(ENOUGH)
        return w.report, calls, failed

    def is_named(self, release, variant, way):
        percent, phases, kind, advice = FAULTS[way]
        with Netfail(release, variant, way, percent) as p:
            r, calls, failed = self.measure(p)
        rows = rows_of(r, "net", "failures")
        n = all_failed(r)
        self.assertEqual(n, failed, rows)	# every call that failed has a kind, and counts once
        clients = rows_of(r, "net", "clients")
        self.assertEqual([sum(c["errors"] for c in clients), sum(c["requests"] for c in clients)], [failed, calls])
        if way == "reused":	# who writes just as the server closes may see its reset, or that the connection broke
            self.assertGreaterEqual(all_failed(r, kind) + all_failed(r, "reset"), 2 / 3 * n, rows)
            self.assertGreater(all_failed(r, kind), all_failed(r, "reset"), rows)
        else:
            self.assertGreaterEqual(all_failed(r, kind), 0.8 * n, rows)
        self.assertLessEqual({x.get("phase") for x in rows if x["kind"] == kind}, phases, rows)
        f = found(r)
        self.assertEqual([x["kind"] for x in f], ["failing-phase"], [x["title"] for x in f])
        self.assertIn(advice, f[0]["advice"])
        self.assertIn(f[0]["id"].split(":")[3], phases)	# kind:host:port:phase
        self.assertIn("example.com:", f[0]["title"])
        self.assertEqual(f[0]["place"]["function"], "main.call")

    def is_silent(self, release, variant, way):
        with Netfail(release, variant, way, TWINS[way]) as p:
            r, _, failed = self.measure(p)
        self.assertEqual([x["title"] for x in found(r)], [])
        self.assertLessEqual(all_failed(r), failed)

    def test_sampled(self):
        """Failures stand for as many as the errors of their calls do."""
        with Netfail(releases("newest")[0], "stripped", "reused", 30) as p:
            p.do("halt")
            with window(p.pid, "--only", "net", "--budget", "0.05") as w:
                p.calls(3 * ENOUGH)
        r = w.report
        rows = rows_of(r, "net", "failures")
        errors = sum(c["errors"] for c in rows_of(r, "net", "clients"))
        self.assertGreater(errors, 0)
        self.assertLessEqual(abs(all_failed(r) - errors), len(rows), rows)	# each is rounded

    def test_retried_on_a_new_connection(self):
        """Requests that net/http repeats by itself have not failed."""
        with Netfail(releases("newest")[0], "stripped", "retried") as p:
            r, _, failed = self.measure(p)
        self.assertEqual(failed, 0)
        self.assertEqual(all_failed(r), 0)
        self.assertNotIn("failing-phase", [x["kind"] for x in found(r)])


def add(name, method, release, variant, way):
    def test(self):
        getattr(self, method)(release, variant, way)
    setattr(Failures, f"test_{name}_{way}_{release.replace('.', '_')}", test)


OLDER = ("refused", "notfound", "eof", "timeout", "certificate", "reused")
for release, variant in VARIANTS:
    for way in FAULTS if release == VARIANTS[-1][0] else OLDER:
        add("fault", "is_named", release, variant, way)
for way in TWINS:
    add("twin", "is_silent", *VARIANTS[-1], way)
