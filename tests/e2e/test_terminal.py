# SPDX-License-Identifier: BSD-2-Clause
"""`gospect attach` on a terminal, as somebody uses it: keys between the frames,
pauses, resizes down to 20x5, and every way in which it can end.  Afterwards the
exit status is 0, the terminal is as before, and the last report is there.

In `make check` each run goes once through all keys; GOSPECT_TERMINAL_S=60
(`make check-terminal`) says for how many seconds they are pressed.
"""
import os
import signal
import threading
import time
import traceback
import unittest

from harness import GOSPECT, USUAL, Program, binary, need_root, wait_until
from netprogs import Netload
from terminal import Terminal

SECONDS = float(os.environ.get("GOSPECT_TERMINAL_S", "0"))
EVERY = "150ms"
UP, DOWN, PGUP, PGDN, HOME, END = "\x1bOA", "\x1bOB", "\x1b[5~", "\x1b[6~", "\x1bOH", "\x1bOF"
KEYS = ["b", "d", "a", "n", "l", "f", DOWN, DOWN, UP, PGDN, "f", PGDN, PGUP, END, DOWN, HOME, UP, "?", PGDN, "?", "h",
        "h", "z", "\x01", "\t", "\r", "\x1b", "\x1b[15~", "\x1b[200~", "ü", "pp", " ", " ", "lbdan" * 5, DOWN * 50]
SIZES = [(30, 100), (24, 80), (10, 40), (5, 20), (5, 200), (60, 20), (50, 160)]


def quit_key(t, target):
    t.key("q")


def interrupt(t, target):
    t.key("\x03")


def terminate(t, target):
    os.kill(t.pid(), signal.SIGTERM)


def target_ends(t, target):
    target.p.kill()


def terminal_ends(t, target):
    t.hang_up()


ENDS = [interrupt, terminate, terminal_ends]


class Run:
    """One gospect on one terminal; what is wrong is in .bad."""

    def __init__(self, target, end):
        self.target, self.end, self.bad, self.frames = target, end, [], 0
        self.thread = threading.Thread(target=self.guarded)
        self.thread.start()

    def guarded(self):
        try:
            with Terminal([GOSPECT, "attach", self.target.pid, "--every", EVERY]) as t:
                try:
                    self.use(t)
                    self.finish(t)
                except AssertionError:
                    self.bad.append("on the terminal: " + "\n".join(t.shown()) + t.after_screen()[-3000:])
                    raise
        except Exception:
            self.bad.append(traceback.format_exc())

    def check(self, cond, what, seen=""):
        if not cond:
            raise AssertionError(f"{self.end.__name__}: {what}: {seen}")

    def frame(self, t):
        self.frames += 1
        lines = t.frame()
        self.check(lines[0].lstrip("PAUSED ").startswith(f"pid {self.target.pid}"), "no title", lines)
        self.check(all(len(l) <= t.canvas.columns for l in lines), "too wide", lines)
        return lines

    def use(self, t):
        wait_until(lambda: "q quit" in "".join(t.shown()), "the screen")
        begin = time.monotonic()
        while True:
            for i, key in enumerate(KEYS):
                if i % 5 == 0:
                    t.resize(*SIZES[i // 5 % len(SIZES)])
                t.key(key)
                self.frame(t)
            self.pause(t)
            if time.monotonic() - begin >= SECONDS:
                break

    def pause(self, t):
        """A paused screen stands still while reports go on."""
        t.resize(*SIZES[0])
        t.key("p")
        lines = self.frame(t)
        self.check(lines[0].startswith("PAUSED"), "not paused", lines)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            self.check(self.frame(t) == lines, "a paused screen changed", (lines, t.shown()))
        t.key("p")
        wait_until(lambda: self.frame(t)[0] != lines[0][len("PAUSED "):], "the next report after a pause")

    def finish(self, t):
        self.end(t, self.target)
        status = t.status()
        self.check(status == 0, f"exit status {status}", t.all[-3000:])
        if self.end is terminal_ends:
            return
        self.check(not t.restored(), "not restored", t.restored())
        report = t.after_screen().strip()
        self.check(f"pid {self.target.pid}" in report, "no last report", report)
        self.check(report.splitlines()[-1].startswith("\x1b[1mlosses:"), "not the whole report", report)


class Attach(unittest.TestCase):
    def setUp(self):
        need_root()

    def use(self, target):
        """All ways to end, at once, on one target."""
        runs = [Run(target, end) for end in ([quit_key] + ENDS)]
        for r in runs:
            r.thread.join()
        last = Run(target, target_ends)
        last.thread.join()
        bad = [b for r in [*runs, last] for b in r.bad]
        self.assertFalse(bad, "\n".join(bad))
        self.assertGreaterEqual(min(r.frames for r in runs), len(KEYS))

    def program(self, name, *args):
        return Program([binary(f"{name}-{USUAL}-stripped"), *args])

    def test_shop(self):
        """HTTP client and server, leaks, a full SQL pool, deadlocked and contended locks."""
        with self.program("shop", "-bugs", "all") as p:
            self.use(p)

    def test_netload(self):
        """Requests that hang in each phase, bodies left open, a SQL pool with holders and waiters."""
        with Netload() as p:
            p.do("sql do=open max=4")
            p.do("sql do=hold what=tx n=2")
            p.do("sql do=hold what=query n=2")
            p.do("sql do=wait n=20")
            p.do("bodies n=5 how=drop")
            p.do("hang n=6 phase=ttfb")
            p.do("convoy n=8 hold=20 kind=mutex")
            p.do("traffic conc=3 rate=100")
            self.use(p)

    def test_locks(self):
        with self.program("locks", "convoy") as p:
            self.use(p)

    def test_httpload(self):
        with self.program("httpload") as p:
            self.use(p)

    def test_many_goroutines(self):
        with self.program("ghosts", "-n", "10000") as p:
            self.use(p)

    def test_leaks(self):
        with self.program("ghosts", "-n", "1000", "-leak") as p:
            self.use(p)


if __name__ == "__main__":
    unittest.main()
