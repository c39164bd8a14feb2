# SPDX-License-Identifier: BSD-2-Clause
"""Counts that are sampled, beside the program's own over the same instants: steady
loads, loads in waves, loops that have no time to lose.  And the ages of requests that
began before gospect."""
import bisect
import datetime
import json
import math
import subprocess
import time
import unittest

from harness import USUAL, Program, binary, gospect, need_root, reports, wait_until
from tree import GOSPECT

WINDOWS, EVERY_S = 8, 3
LOADS = {
    "steady": ["-rate", "1500", "-takes", "10ms"],
    "waves": ["-rate", "1000", "-period", "300ms"],
    "long waves": ["-rate", "1500", "-period", "1700ms"],
    "loop": ["-workers", "4"],
}
BEGUN, SERVED, FAILED = 1, 2, 3


class Load(Program):
    def __init__(self, args):
        super().__init__([binary(f"loads-{USUAL}-stripped"), *args], {"GOMAXPROCS": "1"})
        self.args = args

    def samples(self):
        self.p.stdin.write(b"since\n")
        self.p.stdin.flush()
        return json.loads(self.line(lambda l: l.startswith("[")))


def count_at(samples, ms, which):
    i = bisect.bisect([s[0] for s in samples], ms)
    if not 0 < i < len(samples):
        raise AssertionError("the program has no sample of that instant")
    a, b = samples[i - 1], samples[i]
    return a[which] + (b[which] - a[which]) * (ms - a[0]) / max(b[0] - a[0], 1e-3)


def rows_of(report):
    """The counts of a report: what it says, how far it may be off, and which is the truth."""
    net = report["net"]
    ttfb = [p for p in net.get("phases", []) if p["phase"] == "ttfb"]
    for key, rows, which in (("requests", net.get("clients", []), BEGUN),
                             ("requests", net.get("servers", []), SERVED),
                             ("count", ttfb, SERVED)):
        yield (sum(r.get(key, 0) for r in rows), sum(r.get("margin", 0) for r in rows), which,
               any(r["exactness"] in ("sampled", "estimated") for r in rows))


def errors_of(report):
    """Likewise of answers that were cut off."""
    body = [p for p in report["net"].get("phases", []) if p["phase"] == "body"]
    yield (sum(r["errors"] for r in body), sum(r.get("errors_margin", 0) for r in body), FAILED,
           any(r["exactness"] in ("sampled", "estimated") for r in body))


def measure(wanted=LOADS, numbers=rows_of, windows=WINDOWS):
    """By load: the numbers of its windows as (said, margin, truth, sampled)."""
    loads = {name: Load(args) for name, args in wanted.items()}
    seen = {}
    try:
        runs = {name: subprocess.Popen(
            [GOSPECT, "attach", str(l.pid), "--for", f"{windows * EVERY_S}s", "--every",
             f"{EVERY_S}s", "--format", "json", "--only", "net"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            for name, l in loads.items()}
        for name, run in runs.items():
            out, samples = reports(run.communicate(timeout=120)[0]), loads[name].samples()
            seen[name] = []
            for r in out:
                end = datetime.datetime.fromisoformat(r["time"].replace("Z", "+00:00"))
                end = end.timestamp() * 1000
                begin = end - r["window_s"] * 1000
                for said, margin, which, sampled in numbers(r):
                    truth = count_at(samples, end, which) - count_at(samples, begin, which)
                    seen[name].append((said, margin, truth, sampled))
    finally:
        for l in loads.values():
            l.close()
    return seen


def faults(seen, kinds=3, least=0.9):
    wrong = []
    for name, rows in seen.items():
        for which in range(kinds):
            said = sum(r[0] for r in rows[which::kinds])
            truth = sum(r[2] for r in rows[which::kinds])
            # a machine that is busy leaves few slices, and the first windows wide intervals
            margin = math.hypot(*(r[1] for r in rows[which::kinds]))
            if abs(said - truth) > max(0.05 * truth, margin):
                wrong.append(f"{name}, number {which}: {said} of {truth:.0f}")
    rows = [r for all_rows in seen.values() for r in all_rows]
    # a request or two at the borders, and a millisecond of the clock
    held = sum(abs(said - truth) <= margin + 2 + truth / 1000 for said, margin, truth, _ in rows)
    if held < least * len(rows):
        wrong.append(f"the intervals hold in {held} of {len(rows)}")
    return wrong


class OlderRequests(unittest.TestCase):
    """Begun before gospect, without a deadline: the socket knows since when."""

    def setUp(self):
        need_root()

    @staticmethod
    def look(pid, window="2s"):
        out = gospect("snapshot", pid, "--window", window, "--format", "json")
        r = reports(out.stdout)[0]
        return r, [q["since_s"] for q in r["net"]["in_flight"]]

    def test_hanging(self):
        started = time.monotonic()
        with Load(["-hang"]) as p:
            ready = time.monotonic()
            wait_until(lambda: time.monotonic() > ready + 3, "the request to be old")
            before = time.monotonic()
            r, ages = self.look(p.pid)
            after = time.monotonic()
            self.assertEqual(len(ages), 1)
            self.assertGreater(ages[0], before - ready)
            self.assertLess(ages[0], after - started)
            self.assertEqual(r["net"]["in_flight"][0]["age"], "at_least")
            self.assertEqual([f["kind"] for f in r["findings"] if f["severity"] == "high"],
                             ["no-timeout"])

    def test_idle_connection(self):
        """Healthy: the connection is old, the request is not."""
        seen = 0
        with Load(["-idle", "3s"]) as p:
            for i in range(30):
                r, ages = self.look(p.pid, f"{900 + 100 * (i % 7)}ms")	# never in step with the requests
                seen += len(ages)
                self.assertTrue(all(a < 3 for a in ages), ages)	# it takes 1.5 s, and the connection is older
                self.assertNotIn("no-timeout", [f["kind"] for f in r["findings"]])
                if seen >= 2:
                    return
        self.fail("no request was under way at any look")


    def test_ends(self):
        """What ends without its begin having been seen is in no count: not called exact."""
        with Load(["-idle", "200ms"]) as p:
            for _ in range(8):
                out = gospect("attach", p.pid, "--for", "4s", "--every", "2s", "--format", "json")
                said = [{h["exactness"] for h in r["net"]["phases"]}
                        for r in reports(out.stdout) if r["net"]["phases"]]
                self.assertLessEqual(set().union(*said[1:]), {"exact"})
                if said[0] == {"partial"}:
                    return
                self.assertEqual(said[0], {"exact"})  # it was between two requests
        self.fail("no request was under way at the start")


class SampledCounts(unittest.TestCase):
    def test_errors(self):
        """Errors of a phase are scaled as its count is, and say how far they may be off."""
        need_root()
        for _ in range(3):  # as below
            seen = measure({"cut off": ["-rate", "2500", "-fails", "10"]}, errors_of, 4)
            self.assertTrue(any(r[3] for r in seen["cut off"]), "nothing was sampled")
            wrong = faults(seen, 1, 0.5)	# of four windows
            if not wrong:
                return
        self.fail("; ".join(wrong))

    def test_loads(self):
        need_root()
        for _ in range(3):  # another measure: the machine may have stood still
            seen = measure()
            self.assertTrue(any(r[3] for r in seen["waves"]), "nothing was sampled")
            self.assertTrue(any(r[3] for r in seen["loop"]), "nothing was sampled")
            wrong = faults(seen)
            if not wrong:
                return
        self.fail("; ".join(wrong))


if __name__ == "__main__":
    unittest.main()
