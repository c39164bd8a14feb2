# SPDX-License-Identifier: BSD-2-Clause
"""What goes wrong during a proof: gospect is interrupted or killed, the
process ends, becomes another program, is stopped, or makes processes and
threads all the time.  Whatever happens, nobody is left standing."""
import contextlib
import json
import os
import re
import signal
import subprocess
import time
import unittest

from cgroups import control_group
from harness import DEADLINE, GOSPECT, USUAL, Program, binary, gospect, need_root, wait_until

STEPS = 10	# moments of a proof, from its begin to its end
FROZEN = 5	# and how often when it has just said that the process will stand still


class Frail(Program):
    def __init__(self, **kw):
        super().__init__([binary(f"frail-{USUAL}-stripped")], **kw)

    def ask(self, word):
        self.p.stdin.write(word.encode() + b"\n")
        self.p.stdin.flush()
        return json.loads(self.line(lambda l: l.startswith("{")))


def status_of(pid, tid):
    with open(f"/proc/{pid}/task/{tid}/status") as f:
        return dict(l.split(":\t", 1) for l in f if ":\t" in l)


def runs_on(pid):
    """No thread is traced or stopped."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            fields = status_of(pid, tid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields["TracerPid"].strip() != "0" or fields["State"][0] in "tT":
            return False
    return True


def proof(pid):
    return subprocess.Popen([GOSPECT, "leaks", str(pid), "--prove", "--max-stop", "5s"], text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_moment(g, i, seconds):
    if i < STEPS:
        time.sleep(seconds * i / STEPS)
    else:
        g.stderr.readline()


def program_of(pid):
    with open(f"/proc/{pid}/comm") as f:
        return f.read().strip()


def lines_of(out):
    return sum(l.startswith("LEAK ") for l in out.splitlines())


def leaked(err):
    """How many may be found: all; or, where the process was let go before the end, as it may be on a busy
    machine, those that no old word hides."""
    return range(1980, 2001) if "let go before the end" in err else (2000,)


class Proof(unittest.TestCase):
    def setUp(self):
        need_root()

    def duration(self, pid):
        began = time.monotonic()
        r = gospect("leaks", pid, "--prove", "--max-stop", "5s")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn(lines_of(r.stdout), leaked(r.stderr), r.stderr)
        self.assertIn("proven", r.stderr)
        return time.monotonic() - began

    def test_interrupted(self):
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with Frail() as p:
                seconds = self.duration(p.pid)
                for i in range(STEPS + FROZEN):
                    g = proof(p.pid)
                    wait_for_moment(g, i, seconds)
                    g.send_signal(sig)
                    out, err = g.communicate(timeout=DEADLINE)
                    if sig != signal.SIGKILL:
                        self.assertIn(g.returncode, (0, -sig), err)
                        if g.returncode or "stopped before" in err:
                            self.assertEqual(out, "")
                    wait_until(lambda: runs_on(p.pid), "the process to run on")
                    self.assertEqual(p.ask("count")["wrong"], 0)
                self.duration(p.pid)

    def goes_away(self, how):
        """Its end at any moment of the proof: a verdict, or the status for it; never a hang."""
        with Frail() as p:
            seconds = self.duration(p.pid)
        for i in range(STEPS + FROZEN):
            with Frail() as p:
                g = proof(p.pid)
                wait_for_moment(g, i, seconds)
                how(p)
                out, err = g.communicate(timeout=DEADLINE)
                self.assertIn(g.returncode, (0, 3, 5), err)
                self.assertIn(lines_of(out), (0, *leaked(err)) if g.returncode == 0 else (0,), err)
                yield p

    def test_process_ends(self):
        for p in self.goes_away(lambda p: p.p.kill()):
            self.assertEqual(p.p.wait(), -signal.SIGKILL)

    def test_process_execs(self):
        def become(p):
            p.p.stdin.write(b"exec\n")
            p.p.stdin.flush()

        for p in self.goes_away(become):
            wait_until(lambda: program_of(p.pid) == "sleep", "the other program")
            wait_until(lambda: runs_on(p.pid), "the process to run on")

    def test_stopped_process_stays_stopped(self):
        def states():
            return {status_of(p.pid, tid)["State"][0] for tid in os.listdir(f"/proc/{p.pid}/task")}

        with Frail() as p:
            os.kill(p.pid, signal.SIGSTOP)
            wait_until(lambda: states() == {"T"}, "the process to stop")
            self.duration(p.pid)
            wait_until(lambda: states() == {"T"}, "the process to be as it was")
            os.kill(p.pid, signal.SIGCONT)
            self.assertEqual(p.ask("count")["wrong"], 0)

    def test_forks_all_the_time(self):
        with Frail() as p:
            p.ask("fork")
            for _ in range(STEPS):
                before = p.ask("count")
                r = gospect("leaks", p.pid, "--prove", "--max-stop", "5s")
                self.assertEqual(r.returncode, 0, r.stderr)
                # an old word in a register or in a frame that runs can hide one
                self.assertIn(lines_of(r.stdout), range(1980, 2001), r.stderr)
                wait_until(lambda: runs_on(p.pid), "the process to run on")
                wait_until(lambda: p.ask("count")["children"] > before["children"], "another child")
                wait_until(lambda: p.ask("count")["threads"] > before["threads"], "another thread")
            self.assertEqual(p.ask("count")["wrong"], 0)

    def test_always_stops_once(self):
        """Also where nothing is leaked: what is said of goroutines that run is exact then."""
        with Program([binary(f"frail-{USUAL}-stripped"), "clean"]) as p:
            r = gospect("leaks", p.pid, "--prove", "--max-stop", "5s")
            self.assertEqual((r.returncode, lines_of(r.stdout)), (0, 0), r.stderr)
            self.assertIn("the process was stopped for", r.stderr)


def milliseconds(text):
    """As human_seconds() prints them."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


@contextlib.contextmanager
def freezer():
    """A control group that can be frozen: a function that freezes it, and one for a process to enter."""
    with control_group(("freezer", {"freezer.state": "THAWED"}), ("", {"cgroup.freeze": 0}),
                       ("unified", {"cgroup.freeze": 0})) as g:
        file, freeze, thaw = ("cgroup.freeze", 1, 0) if g.has("cgroup.freeze") else ("freezer.state", "FROZEN", "THAWED")
        try:
            yield lambda on: g.write(file, freeze if on else thaw), lambda: g.take(0)
        finally:
            g.write(file, thaw)


def before_all_others():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))


@contextlib.contextmanager
def spinning():
    """Twice as many processes as there are CPUs want one each."""
    spin = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2 * os.cpu_count())]
    try:
        yield
    finally:
        for p in spin:
            p.kill()
            p.wait()


class HeldUp(unittest.TestCase):
    """gospect cannot go on while the process stands still; the process does."""

    @classmethod
    def setUpClass(cls):
        need_root()
        cls.p = Frail()
        cls.p.ask("hold")

    @classmethod
    def tearDownClass(cls):
        cls.p.close()

    def stands_still(self):
        return status_of(self.p.pid, self.p.pid)["State"][0] == "t"

    def frozen(self, stop, resume, **kw):
        """A proof that is held up by stop(gospect, holder) while the process stands still."""
        for _ in range(30):
            g = subprocess.Popen([GOSPECT, "leaks", str(self.p.pid), "--prove", "--max-stop", "5s"], text=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 pipesize=1 << 20, **kw)	# what it prints fits: nobody reads it yet
            self.addCleanup(g.kill)
            while g.poll() is None:
                fields = status_of(self.p.pid, self.p.pid)
                if fields["State"][0] != "t":
                    continue
                with contextlib.suppress(ProcessLookupError):
                    stop(g, int(fields["TracerPid"]))
                    if self.stands_still():
                        return g
                resume(g)	# too late
            g.communicate()
        self.fail("the process was never seen to stand still")

    def goes_on(self, stop, resume, still, **kw):
        """It runs on within twice what was announced, while gospect does not."""
        g = self.frozen(stop, resume, **kw)
        began = time.monotonic()
        wait_until(lambda: runs_on(self.p.pid), "the process to run on")
        took = (time.monotonic() - began) * 1000
        self.assertTrue(still(g), "gospect was not held up")
        announced = milliseconds(re.search(r"for about (\S+)", g.stderr.readline()).group(1))
        self.assertLess(took, 2 * announced + 3000)	# what it takes to see it on a busy machine
        resume(g)
        self.ends(g)

    def ends(self, g):
        out, err = g.communicate(timeout=DEADLINE)
        self.assertEqual(g.returncode, 0, err)
        self.assertIn(lines_of(out), leaked(err), err)
        self.assertTrue(runs_on(self.p.pid))
        return err

    def is_stopped(self, pid):
        return status_of(pid, pid)["State"][0] == "T"

    def test_gospect_is_stopped(self):
        self.goes_on(lambda g, _: g.send_signal(signal.SIGSTOP), lambda g: g.send_signal(signal.SIGCONT),
                     lambda g: self.is_stopped(g.pid))

    def test_who_holds_it_is_stopped(self):
        def stop(g, holder):
            self.assertNotEqual(holder, g.pid)
            os.kill(holder, signal.SIGSTOP)

        self.ends(self.frozen(stop, lambda g: None))

    def test_terminal_stops_it(self):
        g = self.frozen(lambda g, _: g.send_signal(signal.SIGTSTP), lambda g: g.send_signal(signal.SIGCONT),
                        preexec_fn=os.setpgrp)
        wait_until(lambda: self.is_stopped(g.pid), "gospect to stop")
        self.assertTrue(runs_on(self.p.pid))
        g.send_signal(signal.SIGCONT)
        self.assertIn(": proven", self.ends(g))

    def test_its_group_is_frozen(self):
        with freezer() as (freeze, enter):
            self.goes_on(lambda g, _: freeze(True), lambda g: freeze(False), lambda g: g.poll() is None,
                         preexec_fn=enter)

    def test_it_gets_little_cpu(self):
        with spinning():
            r = gospect("leaks", self.p.pid, "--prove", "--max-stop", "5s", preexec_fn=lambda: os.nice(3))
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn(lines_of(r.stdout), leaked(r.stderr), r.stderr)
        announced = [milliseconds(m) for m in re.findall(r"will be stopped for about (\S+)", r.stderr)]
        stops = self.stops(r.stderr)
        self.assertEqual(len(stops), len(announced), r.stderr)
        for took, said in zip(stops, announced):
            self.assertLess(took, 2 * said + 10, r.stderr)	# and what it takes to be given a CPU

    def test_it_gets_no_cpu(self):
        """Not even what it has taken care of: as when its group's time is used up."""
        with spinning():
            self.goes_on(lambda g, _: os.sched_setscheduler(g.pid, os.SCHED_IDLE, os.sched_param(0)),
                         lambda g: os.sched_setscheduler(g.pid, os.SCHED_OTHER, os.sched_param(0)),
                         lambda g: g.poll() is None)

    def stops(self, err):
        """Of each proof's stops how long they are said to have taken, in ms."""
        stops = [milliseconds(m) for m in re.findall(r"let go after (\S+),", err)]
        total = re.search(r"the process was stopped for (\S+)", err)
        return stops + ([milliseconds(total.group(1)) - sum(stops)] if total else [])

    def as_said(self, p, err):
        said, gap = max(self.stops(err)), p.ask("gap")["gap"] / 1000
        self.assertAlmostEqual(said, gap, delta=20 + gap / 20, msg=err)	# two digits of seconds
        return gap

    def test_what_is_said_of_a_stop_is_true(self):
        """By the process's own clock."""
        with Frail(preexec_fn=before_all_others) as p, spinning():
            p.ask("hold")
            p.ask("watch")
            for _ in range(3):
                p.ask("gap")
                self.as_said(p, proof(p.pid).communicate(timeout=DEADLINE)[1])

    def test_gospect_hears_late_that_it_went_on(self):
        """Whoever holds it is killed, and gospect gets no CPU to see it: that is no time of the process's."""
        def stop(g, holder):
            g.send_signal(signal.SIGSTOP)
            os.kill(holder, signal.SIGSTOP)

        with Frail(preexec_fn=before_all_others) as p:
            p.ask("hold")
            p.ask("watch")
            p.ask("gap")
            self.p, shared = p, self.p
            self.addCleanup(setattr, self, "p", shared)
            g = self.frozen(stop, lambda g: g.send_signal(signal.SIGCONT))
            began = time.monotonic()
            wait_until(lambda: runs_on(p.pid), "the process to run on")
            late = 1 + 3 * (time.monotonic() - began)
            wait_until(lambda: time.monotonic() > began + late, "gospect to be late")
            g.send_signal(signal.SIGCONT)
            err = self.ends(g)
            self.assertIn("was ended", err)
            self.assertLess(self.as_said(p, err), late * 1000 / 2)


if __name__ == "__main__":
    unittest.main()
