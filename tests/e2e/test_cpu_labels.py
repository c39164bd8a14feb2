# SPDX-License-Identifier: BSD-2-Clause
"""Whose a CPU sample is: its goroutine's labels and creation site, its thread; C and the kernel with
the Go code that called them; on every kind of release."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import NEWEST, OLDEST, USUAL, Program, binary, gospect, need_root, releases
from profiles import read_mapping, read_profile

MAPS = [f"cpu-{r}-stripped" for r in releases("oldest", "1.20", "1.22")]	# up to 1.23
LISTS = [f"cpu-{r}-stripped" for r in releases("1.24", "usual", "newest")] + \
        [f"cpu-{USUAL}-{variant}" for variant in ("pie", "race")]
IN_C = ["[C]", "runtime.cgocall", "main._Cfunc_c_loop", "main.burnC", "main.three"]
CALLS_IN_C = ["[kernel] pread64", "[C]", "runtime.cgocall", "main._Cfunc_c_calls", "main.callsInC"]


def profile(p, path, *args):
    r = gospect("snapshot", p.pid, "--profile", "cpu", "--window", "2s", "--rate", "499", "--format", "pprof", "-o", path,
                *args)
    assert r.returncode == 0, r.stderr
    types, samples = read_profile(path)
    assert types == ["samples", "cpu"]
    return [([f for f, _ in stack], values[0], labels) for stack, values, labels in samples]


def code_of(pid):
    """Start, end and offset of the executable's code, as the kernel has mapped it."""
    exe = os.readlink(f"/proc/{pid}/exe")
    with open(f"/proc/{pid}/maps") as f:
        span, _, offset, *_ = next(l for l in f if " r-xp " in l and exe in l).split()
    return *(int(x, 16) for x in span.split("-")), int(offset, 16)


class Labels(unittest.TestCase):
    def setUp(self):
        need_root()
        self.tmp = tempfile.TemporaryDirectory()
        self.addCleanup(self.tmp.cleanup)
        self.path = os.path.join(self.tmp.name, "cpu")

    def test_lists(self):
        self.look_at(LISTS, 1)

    def test_maps(self):
        self.look_at(MAPS, 0)	# which of the seven are kept is chance

    def look_at(self, programs, many_least):
        """Those of each goroutine, whatever release; none of a goroutine that has none."""
        for name in programs:
            with self.subTest(name), Program(argv=[binary(name), "-labels"]) as p:
                seen = {"main.one": 0, "main.two": 0}
                threads = {int(t) for t in os.listdir(f"/proc/{p.pid}/task")}
                many = unknown = 0
                for stack, n, labels in profile(p, self.path):
                    for f in seen.keys() & set(stack):
                        seen[f] += n
                        if "created" not in labels:	# on the signals' stack: no goroutine is claimed
                            self.assertNotIn("job", labels)
                            unknown += n
                            continue
                        self.assertEqual(labels.get("job"), "one" if f == "main.one" else None, (stack, labels))
                    if "a" in labels:
                        many += n
                        self.assertEqual(labels["a"], "é" * 31)	# cut, and no character in two
                        self.assertTrue({k: v for k, v in labels.items() if k in "bcdefg"}.items() <=
                                        dict(zip("bcdefg", "234567")).items())
                        self.assertEqual(len(labels.keys() & set("abcdefg")), 6)
                    self.assertIn(labels["thread"], threads | {int(t) for t in os.listdir(f"/proc/{p.pid}/task")})
                self.assertGreater(min(seen.values()), 0, seen)	# how much CPU it gets here is not known
                self.assertLessEqual(unknown, max(2, sum(seen.values()) / 50))
                self.assertGreaterEqual(many, many_least)

    def test_c(self):
        """What is in C, and in the kernel from there, has its goroutine, and its Go callers."""
        for release in (OLDEST, USUAL, NEWEST):
            with self.subTest(release), Program(argv=[binary(f"cpu-{release}-cgo"), "-c"]) as p:
                c = whole = 0
                calls = []
                for stack, n, labels in profile(p, self.path):
                    if stack[:1] == ["[C]"]:
                        c += n
                        ours = stack[:5] == IN_C and labels.get("job") == "three"
                        whole += n if ours and labels["created"].startswith("main.main ") else 0
                        self.assertEqual(labels["kind"], "c")
                    calls += [stack[:5]] if stack[:2] == CALLS_IN_C[:2] else []
                self.assertGreater(whole, 0)
                self.assertLessEqual(c - whole, max(2, c / 4))	# these: between a call and what the runtime keeps of it
                self.assertIn(CALLS_IN_C, calls)

    def test_pprof_shows_and_merges_them(self):
        if not shutil.which("go"):
            self.skipTest("no go command")
        other, merged = (os.path.join(self.tmp.name, n) for n in ("other", "merged"))
        name = binary(f"cpu-{USUAL}-pie")	# at another address each time
        with Program(argv=[name]) as p, Program(argv=[name]) as q:
            for pid, path in ((p, self.path), (q, other)):
                profile(pid, path)
                self.assertEqual(read_mapping(path)[:3], code_of(pid.pid))
        self.assertEqual(read_mapping(self.path)[2:], read_mapping(other)[2:])
        self.assertTrue(read_mapping(other)[4])
        env = {**os.environ, "PPROF_TMPDIR": self.tmp.name}
        r = subprocess.run(["go", "tool", "pprof", "-proto", "-output", merged, self.path, other], capture_output=True,
                           text=True, stdin=subprocess.DEVNULL, env=env)
        self.assertEqual(r.returncode, 0, r.stderr)
        read_mapping(merged)	# one, of both
        r = subprocess.run(["go", "tool", "pprof", "-tags", self.path], capture_output=True, text=True,
                           stdin=subprocess.DEVNULL, env=env)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertRegex(r.stdout, r"(?s) job: .*\): one\n")
        self.assertRegex(r.stdout, r" created: ")
        self.assertTrue(re.search(r"thread: Total.*\n.*: \d+\n", r.stdout), r.stdout)

    def test_diff(self):
        """Of two profiles by function: what one has more of, in shares."""
        paths = [os.path.join(self.tmp.name, n) for n in ("a", "b")]
        for path, more in zip(paths, ([], ["-syscalls"])):
            with Program(argv=[binary(LISTS[1]), *more]) as p:
                r = gospect("snapshot", p.pid, "--profile", "cpu", "--window", "3s", "--rate", "999", "--format", "json",
                            "-o", path)
                self.assertEqual(r.returncode, 0, r.stderr)
        r = gospect("diff", *paths)
        self.assertEqual(r.returncode, 0, r.stderr)
        cpu = r.stdout[r.stdout.index("CPU time by function, in itself (shares of"):]
        self.assertRegex(cpu, r"(appeared|grew) .*%  \+[1-9].*%  \[kernel\] pread64")
