# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2 clients that wait (tests/progs/h2cases), by net/http and by golang.org/x/net:
what for, who holds it, and nothing of those that do well."""
import json
import os
import unittest
from concurrent.futures import ThreadPoolExecutor

from harness import Program, binary, need_root, releases
from netprogs import found, rows_of, snapshot

RELEASES = releases("1.20", "1.22", "1.24", "usual", "newest") if os.environ.get("GOSPECT_NET_ALL") else \
    releases("newest")
WINDOW = "4s"	# requests in flight for over 3 s are found


class Case(Program):
    """One case, in its state; its report as soon as that is asked for."""

    def __init__(self, release, *args):
        super().__init__([binary(f"h2cases-{release}-stripped"), *args])
        self.truth = json.loads(self.ready.split(" ", 1)[1])
        self.report = None

    def place(self, name):
        return (self.truth[name]["function"], "main.go", self.truth[name]["line"])

    def connections(self):
        return next(r for r in rows_of(self.report, "net", "connections")
                    if r["host"] == self.truth["host"] and r["protocol"] == "h2")

    def in_flight(self):
        return [(r.get("phase"), r.get("waits_for")) for r in self.report["net"]["in_flight"]]

    def finding(self, kind, place=None):
        """The only one of that kind and place."""
        f, = [f for f in self.report["findings"] if f["kind"] == kind and
              (not place or f["place"]["function"] == self.truth[place]["function"])]
        return f


def said(finding):
    return "\n".join([finding["title"], *finding["evidence"], finding["advice"]])


class HTTP2(unittest.TestCase):
    def setUp(self):
        need_root()

    def cases(self, release, *args):
        """Programs in those cases, by both packages, each with its report."""
        all_cases = []
        for a in args:
            for package in ((), ("x",)):
                c = Case(release, *a.split(), *package)
                self.addCleanup(c.close)
                all_cases.append(c)
        with ThreadPoolExecutor(len(all_cases)) as pool:
            for c, r in zip(all_cases, pool.map(lambda c: snapshot(c.pid, "--only", "net", "--window", WINDOW),
                                                all_cases)):
                c.report = r
        return all_cases

    def check_streams(self, std, x):
        """What the server allows is in use: by whom, and that others wait for it."""
        n, t = x.connections(), x.truth
        self.assertEqual((n["open"], n["streams"], n["max_streams"], n["waiting"]),
                         (1, t["streams"], t["max_streams"], t["waiting"]), n)
        holder, = n["holders"]
        self.assertEqual((holder["count"], holder["place"]["function"], holder["place"]["line"]),
                         (t["streams"], t["hold"]["function"], t["hold"]["line"]))
        self.assertCountEqual(x.in_flight(), [("pool_wait", "stream")] * t["waiting"] + [("ttfb", None)] * t["streams"])
        f = x.finding("no-timeout", "wait")
        self.assertIn("2 by main.hold", said(f))
        self.assertIn("raise the server's MaxConcurrentStreams", f["advice"])
        # net/http opens another connection instead, now and then more than MaxConnsPerHost
        n = std.connections()
        self.assertEqual(n["max_streams"], 2, n)
        self.assertEqual(sum(h["count"] for h in n["holders"]), n["streams"], n)

    def check_used(self, *both):
        for c in both:
            n = c.connections()
            self.assertEqual((n["streams"], n["max_streams"], n["waiting"]), (3, 10, 0), n)
            self.assertNotIn("MaxConcurrentStreams", json.dumps(c.report["findings"]))

    def check_held_up(self, case, waits_for, advice, *both):
        """A request that is not written: by what, and not that the server does not answer."""
        for c in both:
            self.assertEqual(set(c.in_flight()), {("request_write", waits_for)}, case)
            self.assertEqual({k for k, _ in found(c.report)}, {"no-timeout"})
            self.assertIn(advice, c.finding("no-timeout", "send")["advice"])

    def check_writes(self, *both):
        """Time that is up while the request is written is no answer that came too late."""
        for c in both:
            failed = [(r["phase"], r["kind"]) for r in rows_of(c.report, "net", "failures")]
            self.assertEqual(set(failed), {("request_write", "timeout")})
            self.assertIn("writing the request", c.finding("failing-phase")["title"])

    def check_unclosed(self, *both):
        for c in both:
            row, = rows_of(c.report, "net", "unclosed_bodies")
            self.assertEqual((row["host"], row["count"]), (c.truth["host"], c.truth["count"]))
            self.assertEqual(c.connections()["streams"], c.truth["count"])
            c.finding("connection-leak")

    def check_healthy(self, *cases):
        for c in cases:
            self.assertEqual(found(c.report), set(), c.truth)


def each_release(r):
    def test(self):
        c = self.cases(r, "streams", "used", "flow", "write", "writes", "writes timeout=400", "unclosed",
                       "reading", "read")
        self.check_streams(*c[0:2])
        self.check_used(*c[2:4])
        self.check_held_up("flow", "flow_control", "handler does not read the request's body", *c[4:6])
        self.check_held_up("write", "connection", "nothing is read there", *c[6:8])
        self.check_held_up("writes", "body", "who produces the request's Body", *c[8:10])
        self.check_writes(*c[10:12])
        self.check_unclosed(*c[12:14])
        self.check_healthy(*c[14:18])
    setattr(HTTP2, f"test_waits_{r.replace('.', '_')}", test)


for release in RELEASES:
    each_release(release)


if __name__ == "__main__":
    unittest.main()
