# SPDX-License-Identifier: BSD-2-Clause
"""Who serves and who asks, against tests/progs/proxies: calls that no http.Client makes are counted,
each once, at the line that a user wrote."""
import unittest

from harness import binary, need_root, releases, wait_until, window
from netprogs import Commands, rows_of, snapshot

PROXY = "net/http/httputil.(*ReverseProxy).ServeHTTP"
BY = {PROXY: "alone", "main.around.func1": "below", "main.direct": "direct"}


class RoundTrips(unittest.TestCase):
    def setUp(self):
        need_root()

    def counted(self, release, variant="stripped"):
        with Commands([binary(f"proxies-{release}-{variant}")]) as p:
            p.do("send 2")	# connections are there, goroutines have called before
            with window(p.pid, "--exact", "--only", "net") as a:
                p.do("send 30")
                had = p.do("fail 5")["had"]
                p.do("hold")
                wait_until(lambda: sum(r["in_flight"] for r in rows_of(snapshot(p.pid, "--window", "0"), "net", "clients")
                                       if r.get("place", {}).get("function") in BY) == 2, "what is held")
            p.do("release")
        rows = {r["place"]["function"]: r for r in rows_of(a.report, "net", "clients") if r.get("place")}
        self.assertEqual(had, {"alone": 32, "below": 32, "redirect": 32, "direct": 37})
        want = {PROXY: (31, 0, 1), "main.around.func1": (31, 0, 1), "main.direct": (35, 5, 0)}
        self.assertEqual({f: (rows[f]["requests"], rows[f]["errors"], rows[f]["in_flight"]) for f in BY}, want)
        self.assertEqual(rows["main.get"]["requests"], 92)	# a redirect is no second call
        self.assertEqual({r["exactness"] for r in rows.values()}, {"exact"})

    def test_1_20(self):
        self.counted(*releases("1.20"))

    def test_1_24(self):
        self.counted(*releases("1.24"))

    def test_newest(self):
        self.counted(*releases("newest"))


if __name__ == "__main__":
    unittest.main()
