# SPDX-License-Identifier: BSD-2-Clause
"""Requests of HTTP servers, against tests/progs/handlers: each is counted once, at the
outermost handler that is not a mux, whatever kind of handler that is."""
import collections
import re
import unittest

from harness import binary, coverage, need_root, releases, wait_until, window
from netprogs import Commands, at, rows_of, snapshot

MUX = "net/http.(*ServeMux).ServeHTTP"


def key(row):
    return re.sub(r"\[.*\]", "[…]", row["place"]["function"]), row.get("pattern")


class Handlers(unittest.TestCase):
    maxDiff = 3000

    def setUp(self):
        need_root()

    @staticmethod
    def expected(answer, routes, patterns):
        want = collections.Counter()
        for t in answer["targets"]:
            below = t["UnderMux"]
            known = not below or routes or t["IsHandleFunc"]	# up to Go 1.21 a mux tells of no other
            want[t["Handler"] if known else MUX, patterns and t["Pattern"] or None] += t["Requests"]
        want["main.plain", "/" if patterns else None] += answer["proxied"]
        return want

    def counted(self, release, variant, routes=True, patterns=True):
        with Commands([binary(f"handlers-{release}-{variant}")],
                      env={"GODEBUG": "httpmuxgo121=0" if patterns else ""}) as p:
            with window(p.pid, "--exact", "--only", "net") as a:
                answer = p.do("send 7")
                p.do("hold")
                def in_flight():
                    rows = [r for r in rows_of(snapshot(p.pid, "--window", "0"), "net", "servers") if r["in_flight"]]
                    return rows if len(rows) == 2 else None
                held = wait_until(in_flight, "the requests that are held")
            rows = rows_of(a.report, "net", "servers")
        self.assertNotIn("requests", held[0])	# no probes: not known
        want = self.expected(answer, routes, patterns)
        hold = {(f, "/hold" if patterns else None) for f in ("main.wrap.func1", "main.copies.ServeHTTP")}
        for k in hold:
            want[k] += 1
        got = collections.Counter()
        for r in rows:	# of a generic type there is one for each instance
            got[key(r)] += r["requests"]
        self.assertEqual((got - want, want - got), (collections.Counter(), collections.Counter()))
        self.assertEqual({r["exactness"] for r in rows}, {"exact"})
        self.assertEqual({key(r): r["in_flight"] for r in rows if r["in_flight"]}, dict.fromkeys(hold, 1))
        self.assertEqual({(at(r["place"]), r.get("pattern")) for r in held},
                         {(at(r["place"]), r.get("pattern")) for r in rows if r["in_flight"]})
        self.assertEqual(coverage(a.report, "net")["state"], "exact")

    def test_1_20(self):
        """A mux of before 1.22 tells of functions only; the others are counted at the mux."""
        self.counted(*releases("1.20"), "stripped", routes=False, patterns=False)

    def test_1_22(self):
        """The mux of 1.21, as modules of before 1.22 have it."""
        self.counted(*releases("1.22"), "stripped", patterns=False)

    def test_usual_pie(self):
        self.counted(*releases("usual"), "pie")

    def test_newest(self):
        self.counted(*releases("newest"), "stripped")


if __name__ == "__main__":
    unittest.main()
