# SPDX-License-Identifier: BSD-2-Clause
"""Memory that grows, by kind, with the rate that the program itself knows; and more places
than there is room for: the totals are exact, and say what has no place."""
import bisect
import datetime
import time
import unittest

from harness import USUAL, Attach, Program, binary, coverage, need_root, reports


class Grow(Program):
    """tests/progs/grow"""

    def __init__(self, kind, *more, release=USUAL):
        super().__init__([binary(f"grow-{release}-cgo"), kind, *more])

    def ask(self, command):
        self.p.stdin.write(command.encode() + b"\n")
        self.p.stdin.flush()
        return int(self.line(lambda l: True))


def at(samples, t):
    """Of (time, value), in between as if it grew evenly; the first and the last value beyond them."""
    i = bisect.bisect([s[0] for s in samples], t)
    if not 0 < i < len(samples):
        return samples[0 if i == 0 else -1][1]
    (t0, a), (t1, b) = samples[i - 1:i + 1]
    return a + (b - a) * (t - t0) / (t1 - t0)


class Growing(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_by_kind(self):
        """All kinds at a time: what grows is found with its rate, what does not is not."""
        kinds = {"malloc": None, "mmap": None, "heap": "main.keep", "free": False, "touch": False, "ballast": False,
                 "file": False, "shared": False, "garbage": False, "stacks": False}
        programs, watched, found = {}, {}, {}
        try:
            for kind in kinds:
                programs[kind] = Grow(kind, "profile")
            begin = time.monotonic()
            taken = {kind: [(time.time(), p.ask("bytes"))] for kind, p in programs.items()}
            for kind, p in programs.items():
                watched[kind] = Attach(p.pid, "--only", "alloc,goroutines,gc", every="1s", armed=False)
            # the sick ones until each is reported, and no less than a few reports of the others
            while set(found) != {k for k in kinds if kinds[k] is not False}:
                self.assertLess(time.monotonic(), begin + 60, found.keys())
                for kind, a in watched.items():
                    taken[kind].append((time.time(), programs[kind].ask("bytes")))
                    r = a.next()
                    mine = [f for f in r["findings"] if f["kind"] == "memory-growth"]
                    if kinds[kind] is False:
                        self.assertEqual(mine, [], kind)
                    elif mine and mine[0]["since_s"] >= 3:
                        end = datetime.datetime.fromisoformat(r["time"].replace("Z", "+00:00")).timestamp()
                        found[kind] = mine, end - mine[0]["since_s"], end
            for kind, p in programs.items():
                taken[kind].append((time.time(), p.ask("bytes")))
        finally:
            for a in watched.values():
                a.__exit__(None, None, None)
            for p in programs.values():
                p.close()
        for kind, ((f,), begin, end) in found.items():
            with self.subTest(kind):
                # of the same seconds: on a busy machine it does not take the same in each
                rate = (at(taken[kind], end) - at(taken[kind], begin)) / (end - begin) * 60
                self.assertAlmostEqual(f["numbers"]["bytes_per_minute"] / rate, 1, delta=0.2)
                if kinds[kind]:
                    self.assertEqual(f["place"]["function"], kinds[kind])
                else:
                    self.assertIn("not the Go heap", f["title"])
                    self.assertNotIn("place", f)


class Rare(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_rate(self):
        """Collections come in a bunch at the start, and then seldom: what filled up at the start is no growth, and what
        grows has its rate; until then it is said that nothing is judged, and why."""
        with Grow("rare", "profile") as p:
            taken = [(time.time(), p.ask("bytes"))]
            with Attach(p.pid, "--only", "alloc,gc", every="1s", armed=False) as a:
                for _ in range(60):
                    r = a.next()
                    taken.append((time.time(), p.ask("bytes")))
                    found = [f for f in r["findings"] if f["kind"] == "memory-growth"]
                    self.assertEqual([f["place"]["function"] for f in found], ["main.keep"] * len(found))
                    if found:
                        break
                    if coverage(r, "growth")["state"] == "off":
                        self.assertRegex(coverage(r, "growth")["why"], "not judged yet: .* needed")
            f, = found
            (begin, a), (end, b) = taken[0], taken[-1]
            rate = (b - a) / (end - begin) * 60
            self.assertAlmostEqual(f["numbers"]["bytes_per_minute"] / rate, 1, delta=0.2, msg=f)
            self.assertGreaterEqual(f["since_s"], 10)


class Full(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_totals_are_exact(self):
        with Grow("none") as p, Attach(p.pid, "--exact", "--only", "goroutines,alloc") as a:
            self.assertEqual(p.ask("births 20000"), 20000)
            size = p.ask("stacks 10000")
            r = a.stop()[-1]
            g, large = r["goroutines"], r["alloc"]
            self.assertEqual(g["births"], 20000)
            self.assertEqual(g["exactness"], "exact")
            self.assertEqual(sum(s["births"] for s in g["by_site"]), 20000)
            self.assertEqual(g["live_at_start"] + g["births"] - g["deaths"], g["live"])
            self.assertEqual(large["large_count"], 10000)
            self.assertEqual(large["large_bytes"], size)
            self.assertEqual(sum(s["count"] for s in large["by_site"]), 10000)
            for rows, count in ((g["by_site"], "births"), (large["by_site"], "count")):
                other = [s for s in rows if s.get("other")]
                self.assertEqual(len(other), 1)
                self.assertGreater(other[0][count], 1000)
                self.assertEqual({s["exactness"] for s in rows if not s.get("other")}, {"partial"})
            for sensor in ("goroutines", "alloc"):
                self.assertIn("places of", coverage(r, sensor)["why"])
            self.assertGreater(r["losses"]["map_full"], 0)
