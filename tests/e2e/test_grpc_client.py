# SPDX-License-Identifier: BSD-2-Clause
"""gRPC clients: with which codes their calls end, and streams and connections that are stuck."""
import unittest

from harness import USUAL, binary, need_root, wait_until, window
from netprogs import Commands, kinds, rows_of, snapshot

UNAVAILABLE, NOT_FOUND, INTERNAL = 14, 5, 13


def grpc_findings(report):
    return [f for f in report["findings"] if f["kind"] == "failing-phase" and f["title"].startswith("gRPC calls of ")]


class Codes(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_codes(self):
        """As the program itself counts them, in two windows; what is an answer is no finding."""
        truth = []
        with Commands([binary(f"grpcload-{USUAL}-stripped")]) as p:
            for n in (1, 2):  # the second window counts only its own
                with window(p.pid, "--exact", "--only", "net") as a:
                    t = {"Get": p.do(f"code Get {3 * n} {UNAVAILABLE}"), "Put": p.do(f"code Put {4 * n} {INTERNAL}"),
                         "Find": p.do(f"code Find {7 * n} {NOT_FOUND}")}
                    p.do("call Well 9 70")	# what is over in half a second is no finding
                truth.append((t, a.report))
        for t, report in truth:
            rows = {r["method"].rsplit("/")[-1]: r for r in rows_of(report, "net", "grpc")}
            self.assertEqual({m: rows[m].get("codes") for m in t}, {m: a["codes"] for m, a in t.items()})
            self.assertEqual((rows["Well"]["calls"], rows["Well"]["errors"]), (9, 0))
            self.assertNotIn("codes", rows["Well"])
            self.assertEqual({f["title"].split()[3].rsplit("/")[-1] for f in grpc_findings(report)}, {"Get", "Put"})
            self.assertTrue(all("Unavailable" in f["title"] for f in grpc_findings(report) if "/Get" in f["title"]))

    def test_no_more_hits(self):
        """A call pays for three hits, its code read or not."""
        with Commands([binary(f"grpcload-{USUAL}-stripped")]) as p:
            with window(p.pid, "--exact", "--only", "net") as a:
                p.do("call Get 200 0")
                p.do(f"code Put 50 {UNAVAILABLE}")
        hits = {r["name"]: r["hits"] for r in a.report["cost"]["probes"]["list"]
                if r["name"] in ("grpc-begin", "grpc-end", "grpc-failed")}
        self.assertEqual(sum(hits.values()), 3 * 250, hits)


class Streams(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_stuck(self):
        """A subscription is quiet; a stream that nobody reads is stuck; an end that is gone is proven."""
        with Commands([binary(f"grpcload-{USUAL}-stripped")]) as p:
            p.do("call Get 3 1")
            p.do("watch Watch 2")
            quiet = snapshot(p.pid, "--window", "4s", "--only", "net")
            self.assertEqual(kinds(quiet), set())
            row, = [r for r in rows_of(quiet, "net", "grpc") if r["method"].endswith("/Watch")]
            self.assertEqual((row["receiving"], row["in_flight"], row["place"]["function"]), (2, 0, "main.watch"))
            p.do("send Feed 2")
            p.do("deafen")
            p.p.stdin.write(b"call Get 1 1\n")  # which is the first that is not acknowledged
            p.p.stdin.flush()

            def both():  # over 3 s each
                report = snapshot(p.pid, "--window", "4s", "--only", "net")
                return report if {"no-timeout", "dead-connection"} <= kinds(report) else None
            report = wait_until(both, "the connection is dead")
        one, = [f for f in report["findings"] if f["kind"] == "no-timeout" and "/Feed" in f["title"]]
        self.assertIn("2 gRPC calls of /gospect.test.Stock/Feed", one["title"])
        self.assertIn("does not read", "".join(one["evidence"]))
        watch, = [f for f in report["findings"] if f["kind"] == "no-timeout" and "/Watch" in f["title"]]
        self.assertIn("2 gRPC calls of /gospect.test.Stock/Watch", watch["title"])
        self.assertEqual(watch["place"]["function"], "main.watch")	# not gRPC, which waits
        gone, = [f for f in report["findings"] if f["kind"] == "dead-connection"]
        self.assertEqual((one["caused_by"], watch["caused_by"]), (gone["id"], gone["id"]))
        self.assertEqual({r["method"].rsplit("/")[-1]: r["on_dead"] for r in rows_of(report, "net", "grpc")
                          if "on_dead" in r and not r["method"].endswith("/Get")}, {"Watch": 2, "Feed": 2})
        dead, = rows_of(report, "net", "dead_connections")
        self.assertEqual((dead["protocol"], dead["count"], dead["streams"], dead["pings"]), ("grpc", 1, 5, False))
