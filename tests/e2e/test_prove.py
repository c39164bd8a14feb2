# SPDX-License-Identifier: BSD-2-Clause
"""What goes wrong during a proof: gospect is interrupted or killed, the
process ends, becomes another program, is stopped, or makes processes and
threads all the time.  Whatever happens, nobody is left standing."""
import json
import os
import signal
import subprocess
import time
import unittest

from harness import DEADLINE, GOSPECT, USUAL, Program, binary, gospect, need_root, wait_until

STEPS = 10	# moments of a proof, from its begin to its end
FROZEN = 5	# and how often when it has just said that the process will stand still


class Frail(Program):
    def __init__(self):
        super().__init__([binary(f"frail-{USUAL}-stripped")])

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


class Proof(unittest.TestCase):
    def setUp(self):
        need_root()

    def duration(self, pid):
        began = time.monotonic()
        r = gospect("leaks", pid, "--prove", "--max-stop", "5s")
        self.assertEqual((r.returncode, lines_of(r.stdout)), (0, 2000), r.stderr)
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
                self.assertIn(lines_of(out), (0, 2000) if g.returncode == 0 else (0,), err)
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


if __name__ == "__main__":
    unittest.main()
