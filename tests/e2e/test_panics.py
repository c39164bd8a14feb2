# SPDX-License-Identifier: BSD-2-Clause
"""Panics that are recovered, by the place that panicked, beside what tests/progs/recovers has
counted of itself."""
import json
import os
import tempfile
import unittest

from harness import USUAL, Attach, binary, gospect, need_root, releases, window
from netprogs import Commands

ONLY = ("--only", "crash")
# As the runtime prints the value; None: its text is made by code of the program's.
SAYS = {
    "main.panicString": ("string", "a string\x1b[31m of the program's"),
    "main.panicError": ("*errors.errorString", "bad line"),
    "main.panicWrapped": ("*fmt.wrapError", "line 7: bad line"),
    "main.panicCustom": ("*main.custom", None),
    "main.panicNumber": ("main.state", "main.state(12)"),
    "main.panicIndex": ("runtime.boundsError", "runtime error: index out of range [9] with length 3"),
    "main.panicBelow": ("runtime.boundsError", "runtime error: index out of range [-1]"),
    "main.panicSlice": ("runtime.boundsError", "runtime error: slice bounds out of range [9:3]"),
    "main.panicMap": ("runtime.plainError", "assignment to entry in nil map"),
    "main.panicClosed": ("runtime.plainError", "close of closed channel"),
    "main.panicDeref": ("runtime.errorString", "runtime error: invalid memory address or nil pointer dereference"),
    "main.panicAgain.func1": ("string", "the second"),
    "main.panicInner": ("string", "inner"),
    "main.panicOuter": ("string", "outer"),
}


def gained(before, after):
    return {k: v - before["counts"][k] for k, v in after["counts"].items() if v > before["counts"][k]}


def seen(r):
    return {p["place"]["function"]: p["recovered"] for p in r["panics"] if not p.get("other")}


class Panics(unittest.TestCase):
    def setUp(self):
        need_root()

    def exact(self, release):
        with Commands([binary(f"recovers-{release}-stripped")]) as p:
            before = p.do("run 4")
            with window(p.pid, "--exact", *ONLY) as a:
                p.do("run 200")
                after = p.do("http 20")
            r, truth = a.report, gained(before, after)
            self.assertEqual(seen(r), truth)
            self.assertEqual(truth["main.handler"], 20)
            self.assertEqual(len(truth), 17)
            self.assertEqual({x["exactness"] for x in r["panics"]}, {"exact"})
            said = {x["place"]["function"]: (x["type"], x.get("message")) for x in r["panics"]}
            for name, (kind, text) in SAYS.items():
                self.assertEqual(said[name][0], kind, name)
                self.assertEqual(said[name][1], text, name)

    def test_none(self):
        """Functions that defer a recover() and do not panic."""
        with Commands([binary(f"recovers-{USUAL}-stripped")]) as p:
            with window(p.pid, "--exact", *ONLY) as a:
                p.do("calm 400")
            self.assertEqual(a.report["panics"], [])
            hits = {x["name"]: x.get("hits") for x in a.report["cost"]["probes"]["list"]}
            self.assertEqual((hits["panic"], hits["panic-recovered"]), (0, 0))
            self.assertEqual(a.report["findings"], [])

    def test_many(self):
        """As fast as it can, with --exact: every one."""
        with Commands([binary(f"recovers-{USUAL}-stripped")]) as p:
            with window(p.pid, "--exact", *ONLY) as a:
                after = p.do("burst 50000")
            self.assertEqual(seen(a.report), {"main.panicError": 50000})
            self.assertEqual(after["counts"]["main.panicError"], 50000)

    def test_storm(self):
        """Without --exact: near the truth, within the budget, and nothing else is counted in slices for it."""
        with Commands([binary(f"recovers-{USUAL}-stripped")]) as p:
            with window(p.pid) as a:
                truth = p.do("storm 20000 100000")["counts"]["main.panicError"]
        r = a.report
        [row] = [x for x in r["panics"] if not x.get("other")]  # other: began before a slice
        self.assertEqual((row["place"]["function"], row["exactness"]), ("main.panicError", "sampled"))
        self.assertTrue(truth / 2 < row["recovered"] < 2 * truth, row)
        said = {c["sensor"]: c["state"] for c in r["coverage"]}
        self.assertEqual({s: said[s] for s in ("goroutines", "alloc", "gc", "net", "locks", "crash")},
                         {"goroutines": "exact", "alloc": "exact", "gc": "exact", "net": "exact", "locks": "exact",
                          "crash": "sampled"})
        cost = sum(x.get("hits", 0) * x.get("cost_ns", 0) for x in r["cost"]["probes"]["list"]) / 1e9 / r["window_s"]
        self.assertLess(cost, max(0.005, 0.02 * r["target"]["cpu_cores"]))

    def test_redacted(self):
        with Commands([binary(f"recovers-{USUAL}-stripped")]) as p:
            with window(p.pid, "--redact-messages", *ONLY) as a:
                p.do("run 4")
            self.assertEqual([x for x in a.report["panics"] if "message" in x], [])
            self.assertIn("*errors.errorString", {x["type"] for x in a.report["panics"]})

    def test_diff(self):
        """Two windows, by what was recovered per second."""
        files = []
        with tempfile.TemporaryDirectory() as tmp, Commands([binary(f"recovers-{USUAL}-stripped")]) as p:
            for n in (500, 10000):
                with window(p.pid, "--exact", *ONLY) as a:
                    p.do(f"burst {n}")
                files.append(f"{tmp}/{n}")
                a.report["window_s"] = 2  # the same of both: twenty times as many a second
                with open(files[-1], "w") as f:
                    json.dump(a.report, f)
            d = gospect("diff", *files)
        self.assertEqual(d.returncode, 0, d.stderr)
        self.assertIn("recovered panics per second by place", d.stdout)
        [line] = [l for l in d.stdout.splitlines() if "main.panicError" in l]
        self.assertRegex(line, r"\b250\b.*\b5,000\b")

    def test_text(self):
        """People see them, and no byte that moves their cursor."""
        with Commands([binary(f"recovers-{USUAL}-stripped")]) as p:
            with Attach(p.pid, *ONLY, "--format", "text") as a:
                p.do("run 4")
                p.do("burst 50")
                a.p.send_signal(2)
                text = a.p.communicate(timeout=60)[0]
        self.assertRegex(text, r"main.panicError main.go:\d+ +54  \*errors.errorString +bad line")
        self.assertNotIn("\x1b", text)


ALL = os.environ.get("GOSPECT_CRASH_ALL")
for _release in releases() if ALL else releases("oldest", "1.20", "1.22", "newest"):
    def _test(self, release=_release):
        self.exact(release)
    setattr(Panics, f"test_exact_{_release.replace('.', '_')}", _test)
