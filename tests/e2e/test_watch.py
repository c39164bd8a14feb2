# SPDX-License-Identifier: BSD-2-Clause
"""`gospect watch`: races on tests/progs/races are proven, and their healthy twins give nothing.

By two releases; with GOSPECT_WATCH_ALL by all since 1.22, and every kind."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from harness import GOSPECT, NEWEST, OLDEST, RELEASES, TOP, USUAL, Program, binary, gospect, need_root, wait_until
from schema import validator

ALL = os.environ.get("GOSPECT_WATCH_ALL")
BUILDS = [(r, "stripped") for r in RELEASES if int(r.split(".")[1]) >= 22] if ALL else \
         [(OLDEST, "stripped"), (USUAL, "pie"), (NEWEST, "stripped")]
# What is racy: the kinds of its two accesses.
RACY = {"seed": {"write", "read"}, "pointer": {"write", "read"}, "forgot": {"write", "read"},
        "counter": {"update"}, "map": {"map write", "map read"}}
HEALTHY = ["mutex", "global-mutex", "rwmutex", "locked", "map-mutex", "atomic-value", "atomic-ptr", "atomic",
           "atomic-add", "once", "channel",
           "nil-check", "neighbour"]


class Races(Program):
    def __init__(self, kind, reads=0, writes=0, release=USUAL, variant="pie"):
        self.word = None
        super().__init__([binary(f"races-{release}-{variant}"), kind, str(reads), str(writes)])

    def line(self, cond, **kw):
        def seen(l):
            if l.startswith("word "):
                self.word = l.split()[1]
            return cond(l)
        return super().line(seen, **kw)

    def did(self):
        """How many reads and writes there were, once it has ended."""
        self.p.stdin.close()
        last = [l for l in (self.buffer + self.p.stdout.read()).decode().splitlines() if l.startswith("did")]
        self.p.wait()
        return [int(n) for n in last[0].split()[1:]]


def watch(*args, status=0):
    p = gospect("watch", "--format", "json", *args, timeout=120)
    if p.returncode != status:
        raise AssertionError(f"status {p.returncode}: {p.stderr}{p.stdout}")
    r = json.loads(p.stdout)
    for e in validator().evolve(schema={**validator().schema, "$ref": "#/$defs/watch"}).iter_errors(r):
        raise AssertionError(f"not as the schema says: {list(e.absolute_path)}: {e.message[:500]}")
    return r


def events_of(pid):
    """Descriptors of watchpoints."""
    folder = f"/proc/{pid}/fd"
    n = 0
    for f in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            n += "perf_event" in os.readlink(os.path.join(folder, f))
    return n


class Watch(unittest.TestCase):
    def setUp(self):
        need_root()

    def check_proven(self, kind, r):
        word, = r["shared_memory"]
        self.assertEqual(word["verdict"], "proven", word)
        self.assertGreater(word["overlaps"], 0)
        finding, = r["findings"]
        self.assertEqual((finding["kind"], finding["severity"]), ("shared-memory", "high"))
        met = [a for a in word["accesses"] if a["overlaps"]]
        self.assertTrue(RACY[kind] & {a["kind"] for a in met}, met)
        self.assertTrue({a["kind"] for a in met} <= RACY[kind] | {"read"}, met)
        for a in met:
            self.assertTrue(a["place"]["function"].startswith("main."), a)
            self.assertEqual((a["place"]["file"], a["created"]["function"]), ("main.go", "main.main"))
            self.assertFalse(a["atomic"])
            self.assertGreater(a["goroutine"], 0)

    def until_it_lives(self, kind, release, variant):
        """A race on a map ends the program, sooner or later, whoever watches it."""
        for _ in range(10):
            with Races(kind, 2000, 50 if kind == "map" else 200, release, variant) as p:
                r = watch(p.pid, p.word, "--for", "100s")
            if kind != "map" or r.get("end_reason") != "the process ended":
                return r
        return r

    def check_silent(self, r, hits):
        word, = r["shared_memory"]
        self.assertEqual((word["verdict"], word["overlaps"], r["findings"]), ("unproven", 0, []))
        self.assertGreaterEqual(word["hits"], hits)

    def test_counter_and_its_twins(self):
        """counter++ by two goroutines, as often as they can: proven at once; under a lock, or atomic: nothing."""
        for release, variant in BUILDS:
            with self.subTest(release=release, variant=variant):
                with Races("counter", release=release, variant=variant) as p:
                    self.check_proven("counter", watch(p.pid, p.word, "--budget", "20"))
                for twin in ("locked", "atomic-add"):
                    with Races(twin, release=release, variant=variant) as p:
                        self.check_silent(watch(p.pid, p.word, "--for", "1s"), 100)

    def test_bytes_nobody_asks_for(self):
        """A check for nil reads the first byte; a comparison, what is behind: these are no accesses of the program."""
        for release, variant in BUILDS:
            for kind in ("nil-check", "neighbour"):
                with self.subTest(release=release, kind=kind), Races(kind, 20000, 20000, release, variant) as p:
                    r = watch(p.pid, p.word, "--budget", "20", "--prove", "--for", "1s")
                    self.check_silent(r, 20)
                    self.assertGreater(r["shared_memory"][0]["unclear"], 20)
                    self.assertEqual({a["kind"] for a in r["shared_memory"][0]["accesses"]}, {"write"})

    @unittest.skipUnless(ALL, "the whole matrix: make check-watch")
    def test_matrix(self):
        for release, variant in BUILDS:
            for kind in RACY:
                with self.subTest(release=release, kind=kind):
                    self.check_proven(kind, self.until_it_lives(kind, release, variant))
            for kind in HEALTHY:
                with self.subTest(release=release, kind=kind), Races(kind, 2000, 500, release, variant) as p:
                    r = watch(p.pid, p.word, "--for", "10s")
                    self.check_silent(r, 0 if kind == "once" else 100)

    def test_map(self):
        """A map's own memory is let go at the first touch; that is said, and the program lives."""
        with Races("map-inside", 2000, 200) as p:
            r = watch(p.pid, p.word, "--for", "2s")
            word, = r["shared_memory"]
            self.assertTrue(word["is_map"])
            self.assertLessEqual(word["hits"] + word["others"] + word["unclear"], 8)
            self.assertEqual(r["findings"], [])
            reads, writes = p.did()
            self.assertGreater(min(reads, writes), 0)

    def test_sweep(self):
        """Without a word: of a stripped program, by what its code shares; and of a healthy one."""
        with Races("seed", 2000, 1000, NEWEST, "stripped") as p:
            r = watch(p.pid, "--budget", "20", "--for", "60s")
            self.assertGreaterEqual(r["watched"]["swept"], r["watched"]["words"] - 1)	# one pointer is nil
            proven = [w for w in r["shared_memory"] if w["verdict"] == "proven"]
            self.assertEqual([(w["variable"]["how"], w["variable"]["address"]) for w in proven],
                             [("code", p.word.split(":")[0])])
            self.assertEqual({a["place"]["function"] for a in proven[0]["accesses"]}, {"main.setSeed", "main.getSeed"})
            self.assertEqual([f["kind"] for f in r["findings"]], ["shared-memory"])
        with Races("mutex", 2000, 200, NEWEST, "stripped") as p:
            r = watch(p.pid, "--budget", "20", "--for", "2s")
            self.assertGreaterEqual(r["watched"]["swept"], r["watched"]["words"] - 1)
            self.assertTrue(any(w["hits"] for w in r["shared_memory"]), r["shared_memory"])
            self.assertEqual(r["findings"], [])

    def test_exec(self):
        """What a process becomes is another program: nothing more is watched, and that is said."""
        for seconds in (0, 0.5, 3, 20):
            with Program([binary(f"frail-{USUAL}-stripped"), "clean"]) as p:
                w = subprocess.Popen([GOSPECT, "watch", str(p.pid), "--for", "100s", "--format", "json"],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.assertIn(b"hardware watchpoints", w.stderr.readline())
                begin = time.monotonic()
                wait_until(lambda: events_of(w.pid) and time.monotonic() > begin + seconds, "watchpoints")
                p.p.stdin.write(b"exec\n")
                p.p.stdin.flush()
                out, err = w.communicate(timeout=100)
                if w.returncode == 0:
                    break
                # before the end of the first slice
                self.assertEqual((w.returncode, out), (5, b""))
                self.assertIn(b"the process called exec", err)
        r = json.loads(out)
        self.assertEqual((w.returncode, r["end_reason"], r["findings"]), (0, "the process called exec", []))

    def test_prove(self):
        """Threads are held behind stores, within the budget, and nobody else's: the verdicts are the same."""
        with Races("seed", 2000, 200) as p:
            r = watch(p.pid, p.word, "--budget", "20", "--prove")
            self.check_proven("seed", r)
        with Races("mutex", 2000, 200) as p:
            r = watch(p.pid, p.word, "--budget", "5", "--prove", "--for", "2s")
            self.check_silent(r, 10)
            self.assertGreater(r["watched"]["held"], 0)
            self.assertGreaterEqual(r["watched"]["cost_ns"], r["watched"]["held"] * 200e3)
            self.assertLessEqual(r["watched"]["cost_ns"], 0.1 * r["watched"]["for_s"] * 1e9 + 10e6 + 50e6)
        with Races("mutex", 2000, 200) as p:
            self.assertNotIn("held", watch(p.pid, p.word, "--for", "200ms")["watched"])

    def test_privileges(self):
        """Three capabilities are enough, and each is needed."""
        if not shutil.which("setpriv"):
            self.skipTest("no setpriv")
        every = ("bpf", "perfmon", "sys_ptrace")
        with Races("locked") as p, tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            program = shutil.copy(GOSPECT, folder)
            for caps in [every] + [every[:i] + every[i + 1:] for i in range(3)]:
                these = ",".join(["-all"] + ["+" + c for c in caps])
                q = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                                    f"--bounding-set={these}", f"--inh-caps={these}",
                                    "--ambient-caps=" + ",".join("+" + c for c in caps),
                                    program, "watch", str(p.pid), p.word, "--for", "200ms"],
                                   stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
                with self.subTest(caps=caps):
                    if "nrecognized option" in q.stderr:
                        self.skipTest("setpriv knows no ambient capabilities")
                    self.assertEqual(q.returncode, 0 if caps == every else 4, q.stderr)
                    self.assertEqual("hint:" in q.stderr, caps != every)

    def test_cost(self):
        """A word touched as often as a CPU can: what is taken is bounded, by the program's own count."""
        with Races("locked") as p:
            r = watch(p.pid, p.word, "--for", "3s")
            seen = r["shared_memory"][0]
            reads, writes = p.did()
            self.assertLess(seen["hits"], (reads + writes) / 100)
            self.assertLessEqual(r["watched"]["cost_ns"], 0.03 * 3e9 + 10e6)

    def test_nothing_stays(self):
        """After SIGKILL no watchpoint is armed: all four registers are there for the next one."""
        with Races("locked") as p:
            q = subprocess.Popen([GOSPECT, "watch", str(p.pid), p.word, "--for", "60s"], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until(lambda: events_of(q.pid), "watchpoints")
            q.send_signal(signal.SIGKILL)
            q.wait()
            base = int(p.word.split(":")[0], 16) & ~7
            r = watch(p.pid, *(f"{base + 8 * i:#x}:8" for i in range(4)), "--for", "300ms")
            self.assertEqual(r["watched"]["registers"], 4)

    def test_registers_in_use(self):
        """Somebody else has some of the four: fewer words at a time, and that is said; all: no watching."""
        with Races("locked") as p:
            base = int(p.word.split(":")[0], 16) & ~7
            words = [f"{base + 8 * i:#x}:8" for i in range(4)]
            q = subprocess.Popen([GOSPECT, "watch", str(p.pid), *words, "--for", "60s", "--budget", "100"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_until(lambda: events_of(q.pid) >= 8, "watchpoints")
                said = None
                for _ in range(20):
                    r = gospect("watch", p.pid, *words, "--for", "200ms", "--budget", "100")
                    if "a debugger has the other registers" in r.stdout.replace("\n            ", " ") or \
                            "all hardware watchpoints" in r.stderr:
                        said = r
                        break
                self.assertIsNotNone(said)
            finally:
                q.kill()
                q.wait()

    def test_forms_and_statuses(self):
        with Races("counter") as p:
            text = gospect("watch", p.pid, p.word, "--budget", "20").stdout
            self.assertIn("data race on", text)
            self.assertIn("main.count (main.go:", text)
            page = gospect("watch", p.pid, p.word, "--format", "html", "--budget", "20").stdout
            self.assertIn("data race on", page)
            self.assertIn("main.count main.go:", page)
            self.assertTrue(page.startswith("<!DOCTYPE html>") and page.endswith("</html>\n"))
            watch(p.pid, p.word, "--fail-on", "high", "--budget", "20", status=10)
            with open(os.path.join(TOP, "tests/progs/races/main.go")) as f:
                line = next(n for n, l in enumerate(f, 1) if "counter++ }" in l)
            r = watch(p.pid, f"main.go:{line}", "--budget", "20")
            self.check_proven("counter", r)
            self.assertEqual(r["shared_memory"][0]["variable"]["address"], p.word.split(":")[0])
            for wrong in ("main.nope", "main.go:999999", "0x10", "0xg", ""):
                self.assertEqual(gospect("watch", p.pid, wrong).returncode, 2, wrong)
            self.assertEqual(gospect("watch", p.pid, p.word, "--budget", "0").returncode, 2)
            self.assertEqual(gospect("watch", p.pid, *[p.word] * 5).returncode, 2)
            self.assertEqual(gospect("watch").returncode, 2)
            self.assertEqual(gospect("watch", os.getpid(), "0x1000").returncode, 3)
            p.close()
            self.assertEqual(gospect("watch", p.pid, p.word).returncode, 3)


if __name__ == "__main__":
    unittest.main()
