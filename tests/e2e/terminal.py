# SPDX-License-Identifier: BSD-2-Clause
"""A terminal for the tests: a pseudo-terminal, what a program has drawn on it
as lines of text, and a shell in between, so that the terminal outlives the
program as it does at a prompt."""
import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading

from harness import DEADLINE, wait_until

# Says how the program ended, and keeps the terminal open until it is told.
SHELL = 'trap : INT HUP TERM QUIT; "$@"; echo $? >&"$SAY"; until read -r x <&"$ASK" || [ $? -le 128 ]; do :; done'
# The same with job control, for a program that is stopped twice and brought back by
# go_on() (in a loop bash would leave it after the first time).
BACK = 'read -r x <&"$ASK"; fg > /dev/null; s=$?; '
JOBS = 'set -m; trap : INT HUP TERM QUIT; "$@"; ' + 2 * BACK + \
       'echo $s >&"$SAY"; until read -r x <&"$ASK" || [ $? -le 128 ]; do :; done'
END = "[end of output]"
CONTROL = re.compile("\x1b\\[([?>]?)([0-9;]*)([@-~])|\x1b[()].|\x1b[^\\[()]|[\x00-\x1a\x1c-\x1f]|[^\x00-\x1f\x1b]+")


class Canvas:
    """What xterm would show: the controls that ncurses uses for it."""

    def __init__(self, rows, columns):
        self.modes, self.inserts = {}, False
        self.clears = 0
        self.resize(rows, columns)

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.y = self.x = 0
        self.top, self.bottom = 0, rows - 1	# of what scrolls
        self.cell = [[" "] * columns for _ in range(rows)]

    def lines(self):
        return ["".join(r).rstrip() for r in self.cell]

    def feed(self, text):
        """Draws, and returns what is an unfinished control."""
        at = 0
        for m in CONTROL.finditer(text):
            if m.start() != at:
                break
            at = m.end()
            if m.group(3):
                self.control(m.group(1), [int(n) if n else 0 for n in m.group(2).split(";")], m.group(3))
            elif m.group() < " " or m.group() == "\x1bM":
                self.move(m.group())
            elif m.group()[0] == "\x1b":
                pass	# character sets, the keypad
            else:
                for c in m.group():
                    self.put(c)
        return text[at:]

    def put(self, c):
        if self.x >= self.columns:
            self.y, self.x = min(self.y + 1, self.rows - 1), 0
        row = self.cell[self.y]
        if self.inserts:
            row.insert(self.x, c)
            row.pop()
        row[self.x] = self.last = c
        self.x += 1

    def move(self, c):
        if c == "\r":
            self.x = 0
        elif c == "\n":
            if self.y == self.bottom:
                self.scroll(self.top, 1)
            else:
                self.y = min(self.y + 1, self.rows - 1)
        elif c == "\x1bM":
            if self.y == self.top:
                self.scroll(self.top, -1)
            else:
                self.y = max(self.y - 1, 0)
        elif c == "\b":
            self.x = max(self.x - 1, 0)
        elif c == "\t":
            self.x = min((self.x | 7) + 1, self.columns - 1)

    def scroll(self, top, n):
        """The lines from `top` on go up, or down where n is negative."""
        part, gone = self.cell[top:self.bottom + 1], [[" "] * self.columns for _ in range(abs(n))]
        part = (part + gone)[n:] if n > 0 else (gone + part)[:n]
        self.cell[top:self.bottom + 1] = part

    def control(self, private, args, c):
        n = max(args[0], 1)
        if c in "hl":
            for a in args:
                self.modes[private + str(a)] = c == "h"
            self.inserts = self.modes.get("4", False)
        elif c == "H":
            self.y, self.x = n - 1, (max(args[1], 1) if len(args) > 1 else 1) - 1
        elif c == "d":
            self.y = n - 1
        elif c == "G":
            self.x = n - 1
        elif c in "AB":
            self.y += n if c == "B" else -n
        elif c in "CD":
            self.x += n if c == "C" else -n
        elif c == "b":
            for _ in range(n):
                self.put(self.last)
        elif c in "JK":
            self.erase(c, args[0])
        elif c in "XP@":
            row = self.cell[self.y]
            if c == "X":
                row[self.x:self.x + n] = [" "] * n
            elif c == "P":
                row[self.x:self.x + n] = []
            else:
                row[self.x:self.x] = [" "] * n
            row[self.columns:] = []
            row += [" "] * (self.columns - len(row))
        elif c in "LM":
            self.scroll(self.y, n if c == "M" else -n)
        elif c in "ST":
            self.scroll(self.top, n if c == "S" else -n)
        elif c == "r":
            self.top, self.bottom = (n - 1, args[1] - 1) if len(args) > 1 and args[1] else (0, self.rows - 1)
            self.y = self.x = 0
        elif c not in "mt":
            raise AssertionError(f"a control that the tests' terminal does not know: {private}{args}{c}")
        self.y = min(max(self.y, 0), self.rows - 1)
        self.x = min(max(self.x, 0), self.columns)

    def erase(self, c, how):
        row = self.cell[self.y]
        lo, hi = (self.x, self.columns) if how == 0 else (0, self.x + 1) if how == 1 else (0, self.columns)
        row[lo:hi] = [" "] * (min(hi, self.columns) - lo)
        if c == "J":
            first, last = (self.y + 1, self.rows) if how == 0 else (0, self.y) if how == 1 else (0, self.rows)
            for y in range(first, last):
                self.cell[y] = [" "] * self.columns
            self.clears += how == 2


class Terminal:
    """A program that runs in the foreground of a terminal of its own."""

    def __init__(self, argv, rows=30, columns=100, env=None, shell=SHELL):
        self.master, self.slave = pty.openpty()
        self.canvas, self.all, self.lock = Canvas(rows, columns), "", threading.Lock()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        say_r, say_w = os.pipe()
        ask_r, self.ask = os.pipe()
        self.said = os.fdopen(say_r)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.shell = subprocess.Popen(
            ["bash", "-c", shell, "bash", *map(str, argv)], stdin=self.slave, stdout=self.slave, stderr=self.slave,
            pass_fds=(say_w, ask_r), preexec_fn=own_terminal,
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "SAY": str(say_w), "ASK": str(ask_r),
                 **(env or {})})
        os.close(say_w)
        os.close(ask_r)
        stop_r, self.stop = os.pipe()
        self.reader = threading.Thread(target=self.read, args=(stop_r,), daemon=True)
        self.reader.start()

    def read(self, stop):
        """Until it is told to stop: a read under way would keep the terminal open."""
        decode, rest = codecs.getincrementaldecoder("utf-8")("replace").decode, ""
        while stop not in select.select([self.master, stop], [], [])[0]:
            chunk = os.read(self.master, 1 << 16)
            with self.lock:
                text = decode(chunk)
                self.all += text
                rest = self.canvas.feed(rest + text)
        os.close(stop)

    def resize(self, rows, columns):
        with self.lock:
            self.canvas.resize(rows, columns)
        self.resized = True
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def key(self, keys):
        os.write(self.master, keys.encode())

    def shown(self):
        with self.lock:
            return self.canvas.lines()

    def frame(self):
        """The screen, drawn anew: by Ctrl-L, once the keys before it were seen.

        A resize clears the screen too, some time: after one it takes two.
        """
        for _ in range(2 if self.resized else 1):
            n = self.canvas.clears
            self.key("\f")
            wait_until(lambda: self.canvas.clears > n and self.shown()[-1].startswith("q quit"),
                       "the screen to be drawn anew")
        self.resized = False
        return self.shown()

    def pid(self):
        """Of the program, which is the shell's only child."""
        with open(f"/proc/{self.shell.pid}/task/{self.shell.pid}/children") as f:
            pids = f.read().split()
        return int(pids[0]) if pids else None

    def go_on(self):
        os.write(self.ask, b"\n")

    def status(self, timeout=DEADLINE):
        """How the program ended; what it printed is read by then."""
        timer = threading.Timer(timeout, self.shell.kill)
        timer.start()
        try:
            said = self.said.readline()
        finally:
            timer.cancel()
        if not said:
            raise AssertionError("the program on the terminal did not end in time")
        if self.master >= 0:
            os.write(self.slave, END.encode())	# behind all that it wrote
            wait_until(lambda: END in self.all, "all of its output")
        return int(said)

    def after_screen(self):
        """What was printed when the screen was left."""
        return self.all.rpartition("\x1b[?1049l")[2].replace("\r\n", "\n").split(END)[0]

    def hang_up(self):
        """The terminal is closed, as by its window's button."""
        os.close(self.stop)
        self.reader.join()
        master, self.master = self.master, -1
        os.close(master)

    def close(self):
        if self.master >= 0:
            self.hang_up()
        os.close(self.ask)
        os.close(self.slave)
        self.shell.kill()
        self.shell.wait()
        self.said.close()

    def restored(self):
        """What is not as it was before."""
        bad = [] if termios.tcgetattr(self.slave) == self.before else ["the line's modes"]
        for mode, name, want in (("?1049", "the alternate screen", False), ("?25", "the cursor", True),
                                 ("?1", "the keypad", False), ("4", "insert mode", False)):
            if self.canvas.modes.get(mode, want) != want:
                bad.append(name)
        return bad

    def __enter__(self):
        return self

    def __exit__(self, *a):
        pid = self.shell.poll() is None and self.pid()
        if pid:
            os.kill(pid, 9)
        self.close()
