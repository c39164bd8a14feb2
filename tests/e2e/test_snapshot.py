# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots: every goroutine with its stack and labels on every release against the
program's own dump."""
import json
import os
import re
import tempfile
import unittest

from harness import RELEASES, USUAL, Program, Work, binary, gospect, need_root, releases
from snapshots import Profile, once, place, snapshot

PARKED = {"chanreceive": 7, "chansend": 11, "select": 13, "mutex": 17, "rwmutex": 19, "waitgroup": 23,
          "cond": 29, "sleep": 31, "io": 5}


class Dump(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_parked_in_every_way(self):
        """Counts, words, creation sites and starts, on every release."""
        for release in RELEASES:
            with self.subTest(release), Work(release) as w:
                for name, n in PARKED.items():
                    w.do(f"park {n} {name}")
                where = w.do("where")["parks"]
                dump = w.do("dump")
                r = once(w.pid)
                g = r["goroutines"]
                self.assertEqual(sum(x["count"] for x in g["groups"]), g["live"])
                self.assertEqual(g["live"], dump["goroutines"])
                self.assertEqual(r["losses"], {"events": 0, "map_full": 0, "read_failures": 0})
                for name, n in PARKED.items():
                    rows = [x for x in g["groups"] if x.get("created") and place(x["created"]) == place(where[name])]
                    self.assertEqual(sum(x["count"] for x in rows), n, name)
                    reasons = {x["reason"] for x in rows}
                    self.assertEqual(len(reasons), 1, name)
                    self.assertIn(reasons.pop(), dump["states"], name)
                    for x in rows:
                        self.assertIn(where[name]["start"], [f["function"] for f in x["stack"]], name)
                        self.assertNotIn("stack_cut", x)
                        self.assertEqual(len(x["ids"]), min(10, x["count"]))

    def test_each_goroutine(self):
        """Labels and locked threads of each, against the program's own dump."""
        for release in releases("oldest", "1.21", "1.23", "1.24", "newest"):
            with self.subTest(release), Profile(release) as p, tempfile.TemporaryDirectory() as tmp:
                p.do("label 7 user=alice,request=r-12")
                p.do("label 5 user=bob")
                p.do("lock 3")
                path = os.path.join(tmp, "dump")
                p.do(f"text {path}")
                with open(path) as f:
                    own = self.parse(f.read())
                g = {x["id"]: x for x in once(p.pid, "--goroutines")["goroutines"]["all"]}
                self.assertEqual(set(g), set(own))
                for goid, (state, frames, creator) in own.items():
                    x = g[goid]
                    if goid == 1:
                        continue  # it was writing the dump
                    self.assertEqual(x["reason"], state)
                    self.assertEqual([f for f in self.user(x["stack"])], frames, goid)
                    if creator:
                        self.assertEqual(x.get("creator"), creator)
                    self.assertEqual(x["locked"], "waitLocked" in str(frames))
                labels = sorted(json.dumps(x["labels"], sort_keys=True) for x in g.values() if x["labels"])
                self.assertEqual(labels, sorted(['{"request": "r-12", "user": "alice"}'] * 7 + ['{"user": "bob"}'] * 5))

    @staticmethod
    def user(stack):
        """As the runtime shows it: its own frames are left out."""
        return [(f["function"], f["line"]) for f in stack if not f["function"].startswith("runtime.")]

    @staticmethod
    def parse(text):
        """goroutine?debug=2: goid -> state, [(function, line)], creator."""
        out = {}
        for block in text.strip().split("\n\n"):
            lines = block.split("\n")
            m = re.match(r"goroutine (\d+) \[([^,\]]*)", lines[0])
            frames, creator = [], 0
            for fn, at in zip(lines[1::2], lines[2::2]):
                line = int(re.match(r"\s.*:(\d+)", at).group(1))
                if fn.startswith("created by "):
                    c = re.search(r" in goroutine (\d+)", fn)
                    creator = int(c.group(1)) if c else 0
                elif not fn.startswith("runtime."):
                    frames.append((re.sub(r"\([^()]*\)$", "", fn), line))
            out[int(m.group(1))] = (m.group(2), frames, creator)
        return out

    def test_busy_process_adds_up(self):
        """Goroutines that are born and end while they are read: no mixed picture."""
        with Work() as w:
            w.do("park 101 chanreceive")
            where = w.do("where")["parks"]["chanreceive"]
            w.do("loop 20000")
            for _ in range(20):
                r = once(w.pid)
                for g in r["goroutines"]["groups"]:
                    if g.get("created") and place(g["created"]) == place(where):
                        self.assertEqual((g["count"], g["reason"]), (101, "chan receive"))
                    if g["state"] == "waiting":
                        top = g["stack"][0]["function"]
                        self.assertTrue(top.startswith(("runtime.", "time.", "sync.", "internal/", "syscall.")), g)
            self.assertEqual(w.do("stoploop")["wrong"], 0)

    def test_nothing_of_it_touches_the_program(self):
        with Work() as w:
            w.do("loop 1000")
            p = gospect("snapshot", w.pid, "--window", "0")
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertIn("no probes", p.stdout)
            self.assertEqual(w.do("stoploop")["wrong"], 0)


class Parked(Program):
    """tests/progs/parked: prime numbers of goroutines in every way to wait."""

    def __init__(self, release=USUAL):
        super().__init__([binary(f"parked-{release}-stripped")])

    def do(self, command):
        self.p.stdin.write(command.encode() + b"\n")
        self.p.stdin.flush()
        return self.line(lambda l: True)

    def dump(self):
        """Its own goroutine?debug=2, as Dump.parse(), and the places of the go statements."""
        with tempfile.NamedTemporaryFile("r") as f:
            if self.do(f"text {f.name}") != "text: <nil>":
                raise AssertionError("no dump")
            text = f.read()
        created = {int(m.group(1)): (m.group(2), int(m.group(3))) for m in re.finditer(
            r"^goroutine (\d+) (?:.+\n)*?created by (\S+).*\n\t.*:(\d+)", text, re.M)}
        return Dump.parse(text), created


class EveryWay(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_each_goroutine(self):
        """Reason, frames with their lines, creator, creation and labels of each, on every release."""
        for release in RELEASES:
            with self.subTest(release), Parked(release) as p:
                ways = json.loads(p.do("ways"))
                own, created = p.dump()
                r = once(p.pid, "--goroutines")
                got = {g["id"]: g for g in r["goroutines"]["all"]}
                self.assertEqual(r["losses"], {"events": 0, "map_full": 0, "read_failures": 0})
                self.assertEqual(set(got), set(own))
                self.assertEqual(r["goroutines"]["live"], len(own))
                for goid, (state, frames, creator) in own.items():
                    if goid == 1:
                        continue  # it was writing the dump
                    g = got[goid]
                    self.assertEqual(g["reason"], state, g)
                    self.assertEqual(Dump.user(g["stack"]), frames)
                    self.assertEqual((g["created"]["function"], g["created"]["line"]), created[goid])
                    self.assertEqual(g.get("creator", 0), creator)
                    self.assertEqual(g["labels"], {"way": "labelled"} if g["start"] == "main.labelled" else {})
                    self.assertEqual(g["locked"], g["start"] == "main.lockedToThread")
                starts = [g.get("start") for g in got.values()]
                for start, n in ways.items():
                    self.assertEqual(starts.count(start), n, start)
                groups = sum(g["count"] for g in r["goroutines"]["groups"] if g["stack"] and
                             any(f["function"] == "main.recurses" for f in g["stack"]))
                self.assertEqual(groups, ways["main.recurses"])

    def test_a_pool_is_never_reported(self):
        """500 workers that wait for a job, on every release, in every way to ask."""
        for release in RELEASES:
            with self.subTest(release), Parked(release) as p:
                own = {g for g in p.dump()[0]}
                p.do("pool 500")
                p.do("work 2000")
                pool = set(p.dump()[0]) - own
                self.assertEqual(len(pool), 500)
                for args in ((), ("--prove",)):
                    r = gospect("leaks", p.pid, "--format", "json", *args)
                    if release < "1.20":
                        self.assertEqual(r.returncode, 3)
                        continue
                    self.assertEqual(r.returncode, 0, r.stderr)
                    leaked = {json.loads(l)["goid"] for l in r.stdout.splitlines()}
                    self.assertEqual(leaked & pool, set())
                    self.assertEqual(leaked - pool, self.leaked(p))
                r = once(p.pid)
                if release >= "1.20":	# of one go statement, and each where it waits
                    ways = json.loads(p.do("ways"))
                    self.assertEqual({x["start"]: x["count"] for x in r["leaks"]["by_site"]},
                                     {w: ways[w] for w in self.FOR_EVER})
                for f in r["findings"]:
                    self.assertFalse(any("main.(*pool)" in json.dumps(f[k]) for k in ("place", "evidence", "id")), f)

    # for nothing that there is; all else waits for variables, timers or files
    FOR_EVER = ("main.nilReceive", "main.nilSend", "main.noCases")

    def leaked(self, p):
        return {goid for goid, (_, frames, _) in p.dump()[0].items() if frames and frames[-1][0] in self.FOR_EVER}

    def test_a_pool_that_has_just_grown(self):
        """Started within a second before: over a window, with a proof and without."""
        for args in ((), ("--prove",)):
            with self.subTest(args), Program([binary(f"classify-{USUAL}-stripped"), "-mode", "grown"]) as p:
                r = snapshot(p.pid, "--window", "3s", *args)
                self.assertEqual([f for f in r["findings"] if f["kind"].startswith("goroutine")], [])
                self.assertEqual(r["leaks"]["by_site"], [])


if __name__ == "__main__":
    unittest.main()
