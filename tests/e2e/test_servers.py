# SPDX-License-Identifier: BSD-2-Clause
"""Who serves and who asks, against tests/progs/proxies: calls that no http.Client makes are counted,
each once, at the line that a user wrote."""
import re
import subprocess
import threading
import unittest

from harness import DEADLINE, GOSPECT, USUAL, binary, need_root, releases, wait_until, window
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


class Spends(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_share(self):
        """400 of 500 ms in a call, more or less on a busy machine, by some 140 sightings that come 20 at a time."""
        with Commands([binary(f"proxies-{USUAL}-stripped")]) as p:
            p.do("shop")
            for _ in range(4):	# a busy machine may leave a window few looks
                r = snapshot(p.pid, "--window", "6s", "--only", "net")
                rows = {s["place"]["function"]: s for s in rows_of(r, "net", "servers") if s.get("place")}
                shop, backend = rows["main.checkout.ServeHTTP"], rows["main.backend"]
                if shop["sightings"] > 60:
                    break
        self.assertGreater(shop["sightings"], 60)
        spent = {s["phase"]: s for s in shop["spends"]}
        self.assertAlmostEqual(spent["ttfb"]["share"], 0.8, delta=0.25)
        self.assertLessEqual(sum(s["sightings"] for s in shop["spends"]), shop["sightings"])
        self.assertNotIn("spends", backend)	# it calls nobody


class Stubborn(unittest.TestCase):
    """Requests whose clients have gone, in a handler that does not look at its context."""

    def setUp(self):
        need_root()

    def leaks(self, command):
        with Commands([binary(f"proxies-{USUAL}-stripped")]) as p:
            over = threading.Event()

            def send():
                while not over.is_set():
                    p.do(command)
            t = threading.Thread(target=send)
            t.start()
            try:
                r = snapshot(p.pid, "--window", "6s", "--only", "goroutines")
            finally:
                over.set()
                t.join()
        return [f for f in r["findings"] if f["kind"] == "goroutine-leak"]

    def test_handler_is_named(self):
        found, = self.leaks("leave")
        self.assertEqual(found["place"]["function"], "main.ignores")
        self.assertRegex(found["title"], r"\d+ requests in handler main\.ignores \(main\.go:\d+\) look leaked")

    def test_none(self):
        self.assertEqual(self.leaks("part"), [])


def seconds(text, what):
    """"1.2s" or "802ms" behind a phase's name."""
    m = re.search(what + r" ?([\d.]+)(m?)s", text)
    return float(m[1]) / (1000 if m[2] else 1) if m else 0


class Slow(unittest.TestCase):
    """A request that takes 1.5 s to connect and 2 s to be answered has a line with what was seen of it."""
    LINE = re.compile(r"^>[\d.]+s  \S+  main\.slow .*\(goroutine \d+\)$", re.M)

    def setUp(self):
        need_root()

    def lines(self, least):
        with Commands([binary(f"proxies-{USUAL}-stripped")]) as p:
            a = subprocess.Popen([GOSPECT, "attach", str(p.pid), "--slow", least, "--every", "1s", "--only", "net"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                while "between two looks" not in a.stderr.readline():
                    self.assertIsNone(a.poll())
                for _ in range(2):
                    p.do("slow")
            finally:	# the process ends, and so does what watches it
                p.p.kill()
                out = a.communicate(timeout=DEADLINE)[0]
        return self.LINE.findall(out)

    def test_lines(self):
        lines = self.lines("1s")
        self.assertTrue(lines)	# the second may be under way for the last look
        for line in lines:
            took, connect, ttfb = seconds(line, "^>"), seconds(line, "connect"), seconds(line, "ttfb")
            self.assertTrue(1 <= took, line)
            self.assertTrue(connect and connect < 10 and ttfb < 10, line)
            self.assertAlmostEqual(connect + ttfb + seconds(re.sub(r"([\d.]+m?s) not seen", r"unseen \1", line), "unseen"),
                                   took, delta=0.11, msg=line)

    def test_none(self):
        self.assertEqual(self.lines("1m"), [])


if __name__ == "__main__":
    unittest.main()
