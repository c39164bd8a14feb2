# SPDX-License-Identifier: BSD-2-Clause
"""gRPC calls: how they end, and those that do not."""
import unittest

from harness import USUAL, Attach, binary, need_root, wait_until, window
from netprogs import Commands, rows_of, snapshot


def of_kind(report, kind):
    return [f for f in report["findings"] if f["kind"] == kind]


class Calls(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_end(self):
        """Since grpc-go 1.84 what went well ends with io.EOF, too; what failed does not."""
        with Commands([binary(f"grpcload-{USUAL}-stripped")]) as p:
            with window(p.pid, "--exact", "--only", "net") as a:
                p.do("call Get 20 1")
                p.do("fail Put 5")
        g = {r["method"].rsplit("/")[-1]: (r["calls"], r["errors"]) for r in rows_of(a.report, "net", "grpc")}
        self.assertEqual(g, {"Get": (20, 0), "Put": (5, 5)})

    def test_hang(self):
        """No deadline, no cancellation; those that have one, and an idle subscription, are none."""
        with Commands([binary(f"grpcload-{USUAL}-stripped")]) as p:
            held = p.do("hang Get 3")
            p.do("bound Put 2")
            p.do("timed Move 2")
            p.do("watch Watch 2")
            for _ in range(3):  # seen for over 3 s, on a busy machine too
                report = snapshot(p.pid, "--window", "5s", "--only", "net")
                if of_kind(report, "no-timeout"):
                    break
            p.do("release")
        found = of_kind(report, "no-timeout")
        self.assertEqual(len(found), 1, found)
        self.assertEqual(found[0]["numbers"]["hanging"], 3, found)
        self.assertGreater(found[0]["numbers"]["longest_in_flight_s"], 3)
        at = found[0]["place"]
        self.assertEqual((at["function"], at["line"]), (held["place"]["function"], held["place"]["line"]))
        self.assertIn("/gospect.test.Stock/Get", found[0]["title"])

    def test_stuck_handlers(self):
        """gRPC's server has started them: the finding names the handler, not the server."""
        with Commands([binary(f"grpcload-{USUAL}-stripped")]) as p:
            with Attach(p.pid, "--only", "net,goroutines", every="2s") as a:
                def leak():
                    p.do("timed Move 1")
                    return [f for r in a.there() for f in of_kind(r, "goroutine-leak")
                            if f["place"]["function"] == "main.serve"]
                f = wait_until(leak, "the handler")[0]
            p.do("release")
        self.assertIn("requests in handler main.serve (main.go:", f["title"])
