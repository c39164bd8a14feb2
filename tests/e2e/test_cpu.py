# SPDX-License-Identifier: BSD-2-Clause
"""CPU samples: shares of functions against the program's own profile of the same seconds, and
stacks that are whole, also of functions that have no frame; on every kind of release."""
import os
import subprocess
import tempfile
import unittest

from harness import (DEADLINE, GOSPECT, OLDEST, USUAL, Program, Work, binary, bpf_objects, coverage, gospect, need_root,
                     releases, still_loaded, wait_until)
from profiles import read_profile
from schema import report

CPU = f"cpu-{USUAL}-stripped"
CPUS = [f"cpu-{r}-stripped" for r in releases("oldest", "1.20", "1.24", "usual", "newest")] + [f"cpu-{USUAL}-pie"]
# Who calls whom, as the source says: the innermost function's caller is the one that frame pointers lose.
CALLERS = {"main.leaf": {"main.burnLeaf"}, "main.small": {"main.caller"}, "main.inlined": {"main.inlines"},
           "main.caller": {"main.burnCaller"}, "main.inlines": {"main.burnInlines"}}
WORK = ("main.burnLeaf", "main.burnCaller", "main.burnInlines")


def profile(p, window, *args):
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "cpu")
        r = gospect("snapshot", p.pid, "--profile", "cpu", "--window", window, "--format", "pprof", "-o", path, *args)
        assert r.returncode == 0, r.stderr
        return read_profile(path)


def shares(samples, names):
    """Of all samples, those with the function anywhere in the stack: function -> share; and how many."""
    total = sum(v[0] for _, v, _ in samples)
    return {n: sum(v[0] for stack, v, _ in samples if any(f == n for f, _ in stack)) / total for n in names}, total


class Stacks(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_callers_and_roots(self):
        """Every stack of user code has its caller, its root, and the go statement that made the goroutine."""
        for name in CPUS:
            with self.subTest(name), Program(argv=[binary(name), "-garbage", "-syscalls"]) as p:
                types, samples = profile(p, "3s", "--rate", "499")
                self.assertEqual(types, ["samples", "cpu"])
                self.assertTrue(samples)
                user = lost = 0
                leaves = set()
                for stack, values, labels in samples:
                    names = [f for f, _ in stack]
                    leaf = next((i for i, f in enumerate(names) if not f.startswith(("runtime.", "[kernel]"))), None)
                    if leaf is None or names[leaf] not in CALLERS:
                        continue
                    user += values[0]
                    leaves.add(names[leaf])
                    ok = names[leaf + 1] in CALLERS[names[leaf]] if leaf + 1 < len(names) else False
                    lost += 0 if ok and any(f in ("main.one", "main.two") for f in names) else values[0]
                    self.assertTrue(labels.get("created", "").startswith("main.main "), (stack, labels))
                self.assertGreater(user, 50)
                # the loop around what is inlined has instructions of its own
                self.assertLessEqual({"main.inlined", "main.inlines"}, leaves)
                # one instruction of a prologue up to 1.20 has no caller to be found
                self.assertLessEqual(lost, max(2, user / 100), f"{lost} of {user}")
                kernel = [[f for f, _ in s] for s, _, _ in samples if s and s[0][0] == "[kernel] pread64"]
                self.assertTrue(any("main.calls" in k for k in kernel), kernel[:3])
                self.assertTrue(any(l["kind"] == "gc" for _, _, l in samples))


    def test_whole(self):
        """Down to where the goroutine began: stacks of system calls, of the vDSO, of stacks that grow, of C that is
        linked into Go's code or is not (the race detector's, at the goroutine that called it), of cgo."""
        for name, bound, *args in ((f"cpuhttp-{USUAL}-stripped", 0.99), (f"cpuhttp-{OLDEST}-stripped", 0.99),
                                   (f"cpuhttp-{USUAL}-race", 0.97), (f"cpu-{USUAL}-race", 0.99, "-garbage"),
                                   (f"cpu-{USUAL}-cgo", 0.99, "-c", "-garbage")):
            with self.subTest(name), Program(argv=[binary(name), *args]) as p:
                got = dict.fromkeys(("with_stack", "whole_stacks", "c"), 0)
                while got["with_stack"] < 200:	# on a busy machine it gets little of the CPUs
                    r = gospect("snapshot", p.pid, "--profile", "cpu", "--window", "2s", "--rate", "499", "--format", "json")
                    self.assertEqual(r.returncode, 0, r.stderr)
                    c = report(r.stdout)["cpu"]
                    got = {k: v + c[k] for k, v in got.items()}
                # one or two are in a signal's return
                self.assertGreaterEqual(got["whole_stacks"] + 2, bound * got["with_stack"])
                if name.endswith("race"):
                    self.assertGreater(got["c"], 0)

    def test_who_called_the_race_detector(self):
        n = known = 0
        with Program(argv=[binary(f"cpu-{USUAL}-race"), "-garbage"]) as p:
            while n < 30:
                for stack, values, labels in profile(p, "2s", "--rate", "499")[1]:
                    names = [f for f, _ in stack if not f.startswith("[kernel]")]
                    if not names or names[0] != "[C]" or "main.garbage" not in names[:8]:
                        continue
                    n += values[0]
                    known += values[0] if labels.get("created", "").startswith("main.main ") else 0
                    # racecall() is no frame: who called it comes next
                    self.assertRegex(names[1], r"^(main\.garbage|runtime\.(race|growslice|makeslice|mallocgc))", names)
        self.assertGreaterEqual(known, 0.9 * n)


class Shares(unittest.TestCase):
    def setUp(self):
        need_root()

    def compare(self, name):
        with tempfile.TemporaryDirectory() as tmp:
            own = os.path.join(tmp, "own")
            ours = os.path.join(tmp, "ours")
            with Program(argv=[binary(name), "-profile", own]) as p:
                g = subprocess.Popen([GOSPECT, "snapshot", str(p.pid), "--profile", "cpu", "--window", "7s", "--format",
                                      "pprof", "--rate", "199", "-o", ours], stdin=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, text=True)
                try:	# both begin and end together: on a busy machine who gets the CPUs changes all the time
                    self.assertIn("watching process", g.stderr.readline())
                    p.tell("begin")
                    p.line(lambda l: l == "BEGUN")
                    err = g.stderr.read()
                    p.tell("end")
                    self.assertEqual(g.wait(DEADLINE), 0, err)
                finally:
                    g.kill()
                    g.wait()
                    g.stderr.close()
                p.line(lambda l: l == "DONE")
            (_, theirs), (_, ours) = read_profile(own), read_profile(ours)
        mine, n = shares(ours, WORK)
        its, m = shares(theirs, WORK)
        # four standard deviations of both samples, and a point for what is not common
        return {w: (abs(mine[w] - its[w]), 4 * (its[w] * (1 - its[w]) * (1 / n + 1 / m)) ** 0.5 + 0.01, mine, its)
                for w in WORK}

    def test_as_the_program_says(self):
        for name in (f"cpu-{USUAL}-stripped", f"cpu-{OLDEST}-stripped"):
            with self.subTest(name):
                for w, (off, bound, mine, its) in self.compare(name).items():
                    self.assertLess(off, bound, (w, mine, its))

    def test_the_report(self):
        """JSON and text have the same, the CPU time fits what the kernel accounts, and nothing stays."""
        with Program(argv=[binary(CPU)]) as p:
            r = gospect("snapshot", p.pid, "--only", "cpu", "--profile", "cpu", "--window", "3s", "--format", "json")
            self.assertEqual(r.returncode, 0, r.stderr)
            j = report(r.stdout)
            c = j["cpu"]
            self.assertEqual(c["hz"], 97)
            self.assertEqual(coverage(j, "cpu")["state"], "sampled")
            self.assertGreaterEqual(c["whole_stacks"], 0.98 * c["with_stack"])
            self.assertEqual(sum(c[k] for k in ("go", "gc", "scheduler", "kernel", "c")), c["with_stack"])
            used = j["target"]["cpu_cores"] * j["window_s"] if "cpu_cores" in j["target"] else None
            if used:
                self.assertAlmostEqual(c["samples"] / 97, used, delta=0.25 * used + 0.1)
            names = {f["function"]: f for f in c["functions"]}
            self.assertGreater(names["main.burnLeaf"]["cum_pct"] + names["main.burnCaller"]["cum_pct"], 20)
            t = gospect("snapshot", p.pid, "--profile", "cpu", "--window", "1s")
            self.assertIn("samples at 97 Hz", t.stdout)
            self.assertIn("main.main main.go", t.stdout)

    def test_tables(self):
        """At 19 Hz, the functions with most samples and one row for the others; its cost is counted."""
        with Program(argv=[binary(CPU), "-garbage", "-syscalls"]) as p:
            r = gospect("snapshot", p.pid, "--only", "cpu,gc", "--window", "5s", "--format", "json")
            self.assertEqual(r.returncode, 0, r.stderr)
            j = report(r.stdout)
            c = j["cpu"]
            self.assertEqual(c["hz"], 19)
            self.assertEqual(coverage(j, "cpu")["state"], "sampled")
            self.assertGreater(c["with_stack"], 0)
            self.assertEqual(sum(f["flat"] for f in c["functions"]), c["with_stack"])
            self.assertAlmostEqual(sum(f["flat_pct"] for f in c["functions"]), 100, delta=0.5)
            self.assertEqual(sum(s["samples"] for s in c["by_site"]), c["with_stack"])
            self.assertEqual([f.get("other", False) for f in c["functions"]], [False] * 10 + [True])
            text = gospect("attach", p.pid, "--only", "cpu", "--for", "2s").stdout
            self.assertIn("samples at 19 Hz", text)
            j = report(gospect("snapshot", p.pid, "--only", "gc", "--window", "1s", "--format", "json").stdout)
            self.assertNotIn("cpu", j)
            self.assertEqual(coverage(j, "cpu")["state"], "off")
            # no probe of this sensor: what it costs the program is the samples
            j = report(gospect("snapshot", p.pid, "--only", "cpu", "--rate", "499", "--window", "2s", "--format",
                               "json").stdout)
            self.assertEqual(j["cost"]["probes"]["armed"], 0)
            self.assertGreater(j["cost"]["target_cpu_pct"], 0)

    def test_a_namespace_below(self):
        """gospect in a pid namespace, the program in one below it."""
        script = (f"unshare --pid --fork --kill-child {binary(CPU)} >$O & u=$!; "
                  "until grep -q READY $O; do sleep 0.05; done; read p </proc/$u/task/$u/children; "
                  f"{GOSPECT} snapshot $p --only cpu --rate 97 --window 2s --format json; s=$?; kill -9 $p; exit $s")
        with tempfile.NamedTemporaryFile() as out:
            r = subprocess.run(["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
                                script], capture_output=True, text=True, env={**os.environ, "O": out.name}, timeout=60)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertGreater(report(r.stdout)["cpu"]["samples"], 10)

    def test_idle_and_refusals(self):
        with Work() as p:
            r = gospect("snapshot", p.pid, "--only", "cpu", "--window", "1s", "--format", "json")
            self.assertLessEqual(report(r.stdout)["cpu"]["samples"], 3)
            r = gospect("snapshot", p.pid, "--profile", "cpu", "--window", "0", "--format", "pprof", "-o", "/dev/null")
            self.assertEqual(r.returncode, 1)
            self.assertIn("--window 0", r.stderr)
            for bad in ("0", "1000", "x", "-1", "9x"):
                self.assertEqual(gospect("snapshot", p.pid, "--rate", bad).returncode, 2, bad)

    def test_nothing_stays(self):
        with Program(argv=[binary(CPU)]) as p:
            g = subprocess.Popen([GOSPECT, "snapshot", str(p.pid), "--profile", "cpu", "--window", "60s"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                objects = wait_until(lambda: bpf_objects(g.pid), "programs to be loaded")
            finally:
                g.kill()
                g.wait()
            wait_until(lambda: not still_loaded(objects), "its programs to be gone")
