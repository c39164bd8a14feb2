# SPDX-License-Identifier: BSD-2-Clause
"""Routers that are one http.Handler, against tests/progs/routes: each request is counted once, at its
route where the router's context tells it, else at the router."""
import collections
import unittest

from harness import USUAL, binary, coverage, need_root, releases, window
from netprogs import Commands, rows_of

LIBRARY = {"gin": "github.com/gin-gonic/gin.(*Engine).ServeHTTP", "echo": "github.com/labstack/echo/v4.(*Echo).ServeHTTP",
           "chi": "github.com/go-chi/chi/v5.(*Mux).ServeHTTP", "gorilla": "github.com/gorilla/mux.(*Router).ServeHTTP",
           "around h2c": "main.aroundH2c.ServeHTTP"}
ROUTER = {f: r for r, f in LIBRARY.items()}
OFTEN = 40


class Routes(unittest.TestCase):
    maxDiff = 3000

    def setUp(self):
        need_root()

    def counted(self, release, variant="stripped"):
        with Commands([binary(f"routes-{release}-{variant}")], env={"GODEBUG": "httpmuxgo121=0"}) as p:
            before = p.do("send 3")["routes"]	# connections are there, goroutines have served before
            with window(p.pid, "--exact", "--only", "net") as a:
                p.do(f"send {OFTEN}")
                after = p.do("hold")["routes"]
            p.do("release")
        want, totals = collections.Counter(), collections.Counter()
        for b, t in zip(before, after):
            slow = 1 if t["Pattern"] == "/slow" or (t["Router"], t["Requests"]) == ("gorilla", 0) else 0
            function = LIBRARY[t["Router"]] if slow else t["Function"]	# under way: not at its end
            if slow and t["Router"] == "around h2c":	# may go on as HTTP/2: counted at its end
                t["Requests"] -= 1
            want[function, "" if slow else t["Pattern"]] += t["Requests"] - b["Requests"] + slow
            totals[t["Router"]] += t["Requests"] - b["Requests"] + slow
        rows = rows_of(a.report, "net", "servers")
        got = {(r["place"]["function"], r.get("pattern", "")): r for r in rows}
        self.assertEqual(len(got), len(rows), rows)
        self.assertLessEqual(set(got), set(want))
        of = {(t["Function"], t["Pattern"]): t["Router"] for t in after}
        sums = collections.Counter()
        for k, r in got.items():
            sums[ROUTER.get(k[0]) or of[k]] += r["requests"]
            if k[1]:	# a context that somebody else has taken is not known any more: rare, and counted at the router
                self.assertLessEqual(r["requests"], want[k], k)
                self.assertGreaterEqual(r["requests"], want[k] * 0.9, k)
                self.assertEqual(r["exactness"], "exact")
        self.assertEqual(sums, totals)
        self.assertEqual({ROUTER[k[0]]: r["in_flight"] for k, r in got.items() if r["in_flight"]},
                         dict.fromkeys(LIBRARY, 1))
        self.assertEqual(coverage(a.report, "net")["state"], "exact")

    def test_1_22(self):
        self.counted(*releases("1.22"))

    def test_newest(self):
        self.counted(*releases("newest"))


class Streams(unittest.TestCase):
    """gRPC servers by method, against tests/progs/grpcload."""

    def setUp(self):
        need_root()

    def test_methods(self):
        with Commands([binary(f"grpcload-{USUAL}-stripped")]) as p:
            p.do("call Get 3")	# the connection is there
            with window(p.pid, "--exact", "--only", "net") as a:
                p.do("call Get 20 1")
                p.do("fail Put 5")
                p.do("watch Watch 2")
            p.do("release")
        rows = {r["pattern"].rsplit("/")[-1]: r for r in rows_of(a.report, "net", "servers")}
        self.assertEqual({m: (r["requests"], r["errors"], r["in_flight"], r["exactness"]) for m, r in rows.items()},
                         {"Get": (20, 0, 0, "exact"), "Put": (5, 5, 0, "exact"), "Watch": (2, 0, 2, "exact")})
        self.assertEqual({r["pattern"].rsplit("/", 1)[0] for r in rows.values()}, {"/gospect.test.Stock"})
        self.assertGreaterEqual(rows["Get"]["p50_ns"], 1_000_000)	# the server takes a millisecond


if __name__ == "__main__":
    unittest.main()
