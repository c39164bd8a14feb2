# SPDX-License-Identifier: BSD-2-Clause
"""How a process dies, from outside, against what the program itself printed: message, goroutine, stack with
lines, status; and those that end in good order, of which nothing is to be found.

GOSPECT_CRASH_ALL=1: every kind on every release (make check-crash)."""
import concurrent.futures
import contextlib
import os
import re
import signal
import subprocess
import unittest

from cgroups import control_group
from harness import GOSPECT, DEADLINE, OLDEST, RELEASES, USUAL, binary, need_root, wait_until
from schema import report

ALL = os.environ.get("GOSPECT_CRASH_ALL")
PANICS = ("string", "error", "custom", "int", "float", "bool", "named", "namedtext", "struct", "nil", "lines", "long",
          "deref", "typednil", "index",
          "nilmap", "closed", "assertion", "divide", "again", "nested", "inlined", "deep")
FATAL = ("overflow", "unlock", "maps", "deadlock", "goexit", "memory", "pointer")
FEW = ("error", "deref", "nested", "unlock", "deadlock")
ENDS = {"return": 0, "exit0": 0, "exit": 3, "fatal": 1}
# (the kind, on a goroutine of its own)
DEATHS = [(k, k != "deep") for k in PANICS] + [(k, k in ("overflow", "unlock")) for k in FATAL]


class Truth:
    """What the runtime printed."""

    def __init__(self, text, status):
        self.text, self.status = text, status
        self.panics = self.message = self.goroutine = self.created = None
        head = re.split(r"\n\n|\n\[signal ", text)[0]
        at = re.search(r"^(panic|fatal error): ", text, re.M)
        if at and at[1] == "panic":
            said = re.split(r"^\t?panic: ", head[at.start():], flags=re.M)[1:]
            said = [re.sub(r" \[recovered(, repanicked)?\]$", "", s.rstrip("\n")) for s in said]
            self.panics = [s.replace("\n\t", "\n") for s in said]
            self.message = self.panics[-1]
        elif at:
            self.message = text[at.end():].split("\n", 1)[0]
        dump = re.search(r"^goroutine (\d+) (?:gp=\S+ m=\S+ (?:mp=\S+ )?)?\[.*\]:\n((?:.+\n)*)", text, re.M)
        if dump:
            self.goroutine = int(dump[1])
            frames = re.findall(r"^(\S.*)\n\t(\S+?):(\d+)", dump[2], re.M)
            self.cut = "elided" in dump[2]
            self.stack = [(re.sub(r"\([^()]*(\([^()]*\))*[^()]*\)$", "", f), os.path.basename(p), int(n))
                          for f, p, n in frames if not f.startswith("created by ")]
            made = [(f[len("created by "):].split(" in goroutine ")[0], os.path.basename(p), int(n))
                    for f, p, n in frames if f.startswith("created by ")]
            self.created = made[0] if made else None


def users(stack):
    return [s for s in stack if not s[0].startswith("runtime.") and s[0] != "panic"
            and not re.fullmatch(r"main\.main\.(func|gowrap)\d+", s[0])]	# made by the compiler for `go worker(…)`


def frames(stack):
    return [(f["function"], f["file"], f["line"]) for f in stack]


@contextlib.contextmanager
def memory_group(most):
    """A control group with so many bytes and no swap."""
    with control_group(("memory", {"memory.limit_in_bytes": most}), ("", {"memory.max": most})) as g:
        for name, value in (("memory.memsw.limit_in_bytes", most), ("memory.swap.max", 0)):
            if g.has(name):
                g.write(name, value)
        yield g


class Death:
    """A program that dies under gospect's eyes."""

    def __init__(self, release, kind, worker=False, args=("--format", "json"), variant="stripped", env=None):
        self.name = f"{release} {kind}"
        self.p = subprocess.Popen([binary(f"deaths-{release}-{variant}"), kind] + ["worker"] * worker,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env={**os.environ, "GOTRACEBACK": "single", **(env or {})})
        self.p.stdout.readline()
        self.pid = self.p.pid
        self.g = subprocess.Popen([GOSPECT, "attach", str(self.pid), "--every", "1h", *args], text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.said = []
        for line in self.g.stderr:
            self.said.append(line)
            if "watching" in line:
                break

    def go(self):
        self.p.stdin.write(b"go\n")
        self.p.stdin.flush()

    def died(self):
        text = self.p.stderr.read().decode(errors="replace")
        self.p.stdout.close()
        self.truth = Truth(text, self.p.wait(DEADLINE))
        return self.truth

    def told(self):
        self.out, rest = self.g.communicate(timeout=DEADLINE)
        self.said.append(rest)
        return self.out

    def report(self):
        self.r = report(self.told().splitlines()[-1])
        self.crash = self.r.get("crash")
        self.findings = [f for f in self.r["findings"] if f["kind"] == "crash"]
        return self

    def close(self):
        for p in (self.p, self.g):
            if p.poll() is None:
                p.kill()
            p.wait()
        for f in (self.p.stdin, self.p.stdout, self.p.stderr, self.g.stdout, self.g.stderr):
            try:
                f.close()
            except OSError:	# what was not written yet
                pass

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()


def of_own_doing(job):
    release, kind, worker = job
    with Death(release, kind, worker) as d:
        d.go()
        d.died()
        return d.report()


def at_once(jobs):
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        return list(pool.map(of_own_doing, jobs))


class Crash(unittest.TestCase):
    def setUp(self):
        need_root()

    def check_stack(self, d):
        ours, theirs = users(frames(d.crash["stack"])), users(d.truth.stack)
        if d.truth.cut:	# the runtime prints fifty of each end
            n = 40
            self.assertEqual(ours[:n], theirs[:n])
            return
        self.assertEqual(ours, theirs, d.truth.text)
        self.assertTrue(d.crash["stack_whole"])

    def check(self, d):
        t, c = d.truth, d.crash
        self.assertEqual(d.g.returncode, 0, d.said)
        self.assertIsNotNone(c, d.r["coverage"])
        self.assertEqual(c["exit_code"], t.status)
        self.assertEqual(c["cause"], "panic" if t.panics else "fatal")
        if d.truth.message.startswith("0000"):	# longer than what is kept
            self.assertTrue(c["message_cut"])
            self.assertTrue(t.message.startswith(c["message"]) and len(c["message"]) == 1024)
        else:
            self.assertEqual(c["message"].replace("\n\t", "\n"), t.message)
        if t.panics and len(t.panics) > 1:
            self.assertEqual([p["message"] for p in c["chain"]], t.panics)
        if d.name.split()[1] == "maps":	# several goroutines die at once, and only one of them prints its stack
            self.assertIn("main.writeMaps.func1", [f for f, _, _ in frames(c["stack"])])
        elif t.goroutine:
            self.assertEqual(c["goroutine"], t.goroutine)
            self.check_stack(d)
            made = c.get("created")
            self.assertEqual((made["function"], made["file"], made["line"]) if made else None, t.created)
        self.assertEqual([f["severity"] for f in d.findings], ["critical"])
        self.assertIn("process ended: ", d.r["end_reason"])

    def test_of_own_doing(self):
        jobs = [(USUAL, k, w) for k, w in DEATHS] + [(OLDEST, k, w) for k, w in DEATHS if k in FEW]
        if ALL:
            jobs = [(r, k, w) for r in RELEASES for k, w in DEATHS]
        for d in at_once(jobs):
            with self.subTest(d.name):
                self.check(d)

    def test_types(self):
        want = {"error": "*fmt.wrapError", "custom": "*main.failure", "struct": "main.pair", "string": "string",
                "index": "runtime.boundsError"}
        for d in at_once([(USUAL, k, True) for k in want]):
            with self.subTest(d.name):
                self.assertEqual(d.crash["type"], want[d.name.split()[1]])

    def test_typed_nil(self):
        """Named where Error was called on one; another nil dereference is just that."""
        typed, other = at_once([(USUAL, "typednil", True), (USUAL, "deref", True)])
        self.assertEqual(typed.crash["typed_nil"], "*main.failure")
        self.assertIn("nil *main.failure", " ".join(typed.findings[0]["evidence"]))
        self.assertNotIn("typed_nil", other.crash)

    def test_exits(self):
        """With a status: said; with none: nothing is found."""
        for d in at_once([(r, k, False) for r in (RELEASES if ALL else (USUAL,)) for k in ENDS]):
            with self.subTest(d.name):
                status = ENDS[d.name.split()[1]]
                self.assertEqual((d.g.returncode, d.truth.status), (0, status))
                self.assertEqual((d.crash["cause"], d.crash["exit_code"]), ("exit", status))
                self.assertEqual([f["severity"] for f in d.findings], ["critical"] if status else [])
                if status:
                    names = [f for f, _, _ in users(frames(d.crash["stack"]))]
                    self.assertEqual((names[0], names.count("main.deep")), ("os.Exit", 4 if status == 3 else 0))
                    self.assertEqual(names[-1], "main.main")

    def test_signals(self):
        """Who sent it; one that asks it to end is no fault of the program's."""
        with open("/proc/thread-self/comm") as f:
            me = f.read().strip()
        for release in RELEASES if ALL else (USUAL,):
            for sig in (signal.SIGTERM, signal.SIGKILL, signal.SIGQUIT, signal.SIGSEGV):
                with self.subTest(sig.name, release=release), Death(release, "wait") as d:
                    os.kill(d.pid, sig)
                    status = d.died().status
                    c = d.report().crash
                    self.assertEqual((c["cause"], c["signal"]), ("signal", sig.name))
                    self.assertEqual(c["sender"], {"pid": os.getpid(), "name": me})
                    self.assertEqual(c.get("exit_code"), status if status >= 0 else None)
                    self.assertEqual([f["severity"] for f in d.findings],
                                     ["info" if sig == signal.SIGTERM else "critical"])

    def test_out_of_memory(self):
        """The kernel's OOM killer, in a control group of the program's own."""
        with memory_group(64 << 20) as group, Death(USUAL, "fill") as d:
            group.take(d.pid)
            d.go()
            self.assertEqual(d.died().status, -signal.SIGKILL)
            c = d.report().crash
            self.assertEqual((c["cause"], c["signal"]), ("oom", "SIGKILL"))
            self.assertGreater(c["oom"]["anon_bytes"], 16 << 20)	# most of its limit, as the kernel counts
            self.assertLess(c["oom"]["anon_bytes"], 128 << 20)
            self.assertEqual([f["severity"] for f in d.findings], ["critical"])
            self.assertIn("OOM killer", d.r["end_reason"])

    def test_late(self):
        """gospect itself is stopped while the process dies."""
        with Death(USUAL, "error", True) as d:
            os.kill(d.g.pid, signal.SIGSTOP)
            wait_until(lambda: open(f"/proc/{d.g.pid}/stat").read().rsplit(")", 1)[1].split()[0] == "T", "a stop")
            d.go()
            d.died()
            os.kill(d.g.pid, signal.SIGCONT)
            d.report()
            self.check(d)

    def test_text(self):
        """The first line names the cause; foreign bytes are harmless; types only where that is asked for."""
        with Death(USUAL, "lines", True, args=()) as d:
            d.go()
            d.died()
            text = d.told()
            self.assertIn("panic: one\\x0atwo\\x1b[31mred", text.split("\n\n")[0])
            self.assertTrue(text.startswith("the process ended: panic: "))
            self.assertNotIn("\x1b", text)
            self.assertIn("main.worker (main.go:", text)
        with Death(USUAL, "error", True, args=("--format", "json", "--redact-messages")) as d:
            d.go()
            d.died()
            out = d.told()
            self.assertNotIn("refused", out)
            self.assertEqual(report(out.splitlines()[-1])["crash"]["type"], "*fmt.wrapError")
