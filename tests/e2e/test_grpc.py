# SPDX-License-Identifier: BSD-2-Clause
"""gRPC calls: how they end."""
import unittest

from harness import USUAL, binary, need_root, window
from netprogs import Commands, rows_of


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
