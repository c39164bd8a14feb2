# SPDX-License-Identifier: BSD-2-Clause
"""Places that people can use: what a goroutine was given instead of who started it,
the user's function instead of the library's, and a main that waits on purpose."""
import json
import os
import sys
import unittest

from harness import NEWEST, OLDEST, USUAL, Program, binary, gospect, need_root
from schema import report

# main waits on purpose
IDIOMS = ("chan", "select", "cases", "group", "background", "signal", "goexit")


def places(release, *args):
    return Program([binary(f"places-{release}-stripped"), *args])


def snapshot(pid, *args):
    p = gospect("snapshot", pid, "--format", "json", "--window", "0", *args)
    if p.returncode:
        raise AssertionError(f"snapshot: {p.returncode}: {p.stderr}")
    return report(p.stdout)


def at_line(release, text):
    """Where this text is in the program: places know lines, tests should not."""
    folder = os.path.join(os.path.dirname(__file__), "..", "progs", "places")
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            for n, line in enumerate(open(path), 1):
                if text in line:
                    return name, n
    raise AssertionError(f"no '{text}' in the program")


class Given(unittest.TestCase):
    """One Go method starts all of them: they are told apart by what it was given."""

    def setUp(self):
        need_root()

    def check(self, release, groups):
        with places(release, "spawn") as p:
            r = snapshot(p.pid)
        rows = {(x["file"], x["line"]): x for x in r["goroutines"]["by_site"]}
        for text, n, spawner in groups:
            row = rows[at_line(release, text)]
            self.assertEqual((row["live"], row["in"].rsplit("/", 1)[-1]), (n, spawner), (release, row))
        self.assertEqual(sum(x["live"] for x in r["goroutines"]["by_site"]), r["goroutines"]["live"])
        spawners = {x["function"] for x in rows.values() if x["function"].endswith(".Go")}
        self.assertEqual(spawners, set(), release)
        groups = {x["created"]["line"]: x["count"] for x in r["goroutines"]["groups"] if "created" in x}
        self.assertEqual(groups[at_line(release, "func (s *server) poll")[1]], 5)

    GROUP = (("g.Go(func() error {", 3, "errgroup.(*Group).Go"), ("func (s *server) poll", 5, "errgroup.(*Group).Go"),
             ("return func() error { // given", 7, "errgroup.(*Group).Go"), ("time.AfterFunc(0,", 11, "time.goFunc"))

    def test_errgroup(self):
        for release in (OLDEST, "1.20.14"):
            self.check(release, self.GROUP)

    def test_wait_group(self):
        self.check(NEWEST, self.GROUP + (("wg.Go(func() { <-never })", 13, "sync.(*WaitGroup).Go"),
                                         ("wg.Go(func() {\n", 17, "sync.(*WaitGroup).Go")))

    def test_births_are_of_all(self):
        """Nobody counts births by what was given: there they are not known."""
        with places(USUAL, "spawn") as p:
            q = gospect("snapshot", p.pid, "--format", "json", "--window", "1s")
        self.assertEqual(q.returncode, 0, q.stderr)
        for row in report(q.stdout)["goroutines"]["by_site"]:
            self.assertEqual("births" in row, not row.get("in", "").endswith(".Go"), row)


class Inside(unittest.TestCase):
    """The user's line, and the library's function that it has called."""

    def test_heap(self):
        need_root()
        for release in ("1.20.14", NEWEST):
            with places(release, "heap") as p:
                rows = snapshot(p.pid)["heap"]["by_site"]
            at = {x["function"]: x for x in rows if x["in_use_bytes"] > 8 << 20}
            self.assertEqual(at["main.buffers"]["in"], "bytes.growSlice")
            self.assertEqual((at["main.buffers"]["file"], at["main.buffers"]["line"]),
                             at_line(release, "b.Grow(8 << 20)"))
            self.assertNotIn("in", at["main.grow[...]"])    # type arguments as Go prints them
            self.assertNotIn("bytes.growSlice", at)


class MainWaits(unittest.TestCase):
    def setUp(self):
        need_root()

    def judged(self, release, *args):
        with places(release, "wait", *args) as p:
            r = snapshot(p.pid, "--prove")
        found = [(f["kind"], f.get("place", {}).get("function")) for f in r["findings"]]
        return found, [x["stack"][-2]["function"] for x in r["leaks"]["by_site"] if x.get("by_design")]

    def test_on_purpose(self):
        for idiom in IDIOMS:
            self.assertEqual(self.judged(NEWEST, idiom)[0], [], idiom)

    def test_listed_apart(self):
        found, design = self.judged(USUAL, "group")
        self.assertEqual(found, [])
        self.assertIn("main.main", design)

    def test_others_are_found(self):
        for idiom in ("chan", "group"):
            self.assertEqual(self.judged(NEWEST, idiom, "leak")[0], [("goroutine-leak", "main.main")], idiom)

    def test_not_on_purpose(self):
        """A receiver that never comes, and a deadlock."""
        self.assertEqual(self.judged(NEWEST, "send")[0], [("goroutine-leak", "runtime.main")])
        self.assertIn("deadlock", [kind for kind, _ in self.judged(NEWEST, "cycle")[0]])


class InALibrary(unittest.TestCase):
    """Go inside of another program is said to be there, and where."""

    def test_said(self):
        need_root()
        lib = os.path.realpath(binary(f"inlib-{USUAL}-cshared"))
        code = f"import ctypes; ctypes.CDLL({lib!r}).Start(); print('READY', flush=True); input()"
        with Program([sys.executable, "-c", code]) as p:
            q = gospect("snapshot", p.pid)
            self.assertEqual(q.returncode, 3)
            self.assertIn(f"Go is in its shared library '{lib}'", q.stderr)
            rows = [x for x in json.loads(gospect("list", "--format", "json").stdout)["processes"] if x["pid"] == p.pid]
            self.assertEqual([(x["library"], x["go"]) for x in rows], [(lib, "go" + USUAL)])
            self.assertNotIn("goroutines", rows[0])
            self.assertIn("shared library", rows[0]["why"])
        self.assertEqual(gospect("plan", lib).returncode, 0)


if __name__ == "__main__":
    unittest.main()
