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

    def __init__(self, test, release, *args):
        super().__init__([binary(f"h2cases-{release}-stripped"), *args])
        test.addCleanup(self.close)
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
        wanted = [(*a.split(), *package) for a in args for package in ((), ("x",))
                  # net/http has no such setting before 1.24
                  if package or "idle=" not in a or int(release.split(".")[1]) >= 24]
        with ThreadPoolExecutor(len(wanted)) as pool:
            all_cases = list(pool.map(lambda a: Case(self, release, *a), wanted))
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

    def check_dead(self, proof, *both):
        """Proven: by what, since when; and it is the cause of what its requests do."""
        for c in both:
            f = c.finding("dead-connection")
            self.assertIn(c.truth["host"], f["title"])
            self.assertIn(proof, said(f))
            self.assertIn("ReadIdleTimeout", f["advice"])
            self.assertGreaterEqual(f["numbers"]["silent_s"], 3)
            for other in c.report["findings"]:
                if other is not f:
                    self.assertEqual(other.get("caused_by"), f["id"], other["title"])

    def check_silent(self, *both):
        """Nothing comes, but everything is acknowledged: that may be a slow server."""
        for c in both:
            f = c.finding("no-timeout", "hang")
            self.assertIn("the server is slow, or the connection is dead", said(f))
            self.assertIn("set http2.Transport.ReadIdleTimeout", f["advice"])
            self.assertNotIn("dead-connection", {k for k, _ in found(c.report)})

    def check_not_dead(self, *cases):
        for c in cases:
            self.assertNotIn("dead-connection", {k for k, _ in found(c.report)}, c.truth)

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

    def dead(self):
        c = self.cases(r, "gone", "silent", "silent timeout=700", "slow", "slow timeout=700", "gone idle=60000")
        self.check_dead("nothing sent was acknowledged for over", *c[0:2])
        self.check_silent(*c[2:4])
        # who gives up sends a PING, by net/http from 1.24 on
        self.check_dead("a PING is unanswered for", *c[4 if int(r.split(".")[1]) >= 24 else 5:6])
        self.check_not_dead(*c[6:])
    setattr(HTTP2, f"test_waits_{r.replace('.', '_')}", test)
    setattr(HTTP2, f"test_dead_{r.replace('.', '_')}", dead)


for release in RELEASES:
    each_release(release)


if __name__ == "__main__":
    unittest.main()
