# SPDX-License-Identifier: BSD-2-Clause
"""A reader of the output that stalls holds nothing up: no probe stays armed for
it, each command ends when it is told to, and what was written is whole.  And
who is stopped (Ctrl-Z) has no probe armed meanwhile."""
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from jsonschema import Draft202012Validator

from harness import DEADLINE, GOSPECT, USUAL, Attach, Program, Work, binary, coverage, gospect, need_root, report, \
    site, text_differs, wait_until
from schema import schema
from terminal import JOBS, Terminal

PROMPT_S = 15	# a second, on a machine that is busy


def fill(fd):
    """Until it takes no byte more; how many it took."""
    flags, n = fcntl.fcntl(fd, fcntl.F_GETFL), 0
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        while True:
            n += os.write(fd, b"x" * 4096)
    except BlockingIOError:
        pass
    fcntl.fcntl(fd, fcntl.F_SETFL, flags)
    return n


def read(fd, n):
    data = b""
    while len(data) < n:
        data += os.read(fd, n - len(data))
    return data


def drain(fd):
    """All that is there, and what comes, up to the end."""
    data = b""
    while chunk := os.read(fd, 1 << 16):
        data += chunk
    return data


class Pipe:
    """An output that takes nothing: (read end, write end)."""

    def __init__(self, kind):
        if kind == "socket":
            self.pair = socket.socketpair()
            self.r, self.w = (s.fileno() for s in self.pair)
        else:
            self.r, self.w = os.pipe()
        self.filled = fill(self.w)

    def close_writer(self):
        if hasattr(self, "pair"):
            self.pair[1].close()
        else:
            os.close(self.w)

    def close(self):
        if hasattr(self, "pair"):
            for s in self.pair:
                s.close()
        else:
            os.close(self.r)


def state(pid, key):
    """Of /proc/PID/status, "" once it is gone."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return next((l.split(":")[1].strip() for l in f if l.startswith(key + ":")), "")
    except FileNotFoundError:
        return ""


def catches_signals(pid):
    return int(state(pid, "SigBlk") or "0", 16) >> signal.SIGTERM - 1 & 1


def stopped(pid):
    return state(pid, "State").startswith("T")


def wakes(pid):
    """How often it has waited for something."""
    return int(state(pid, "voluntary_ctxt_switches") or 0)


class Case(unittest.TestCase):
    def setUp(self):
        need_root()
        self.target = self.program()
        self.addCleanup(self.target.close)

    def program(self):
        return Work()

    def start(self, *args, stdout=None, stderr=subprocess.PIPE, **kw):
        p = subprocess.Popen([GOSPECT, *map(str, args)], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                             text=True, **kw)
        self.addCleanup(lambda: (p.poll() is None and p.kill(), p.communicate()))
        return p

    def armed(self):
        return bool(text_differs(self.target.pid))

    def begun(self, p):
        """Its window has begun, and its probes are there; what it has said is kept for ends()."""
        p.said = ""
        while "watching process" not in p.said:
            chunk = os.read(p.stderr.fileno(), 4096).decode()	# communicate() knows no buffer of a file's
            self.assertTrue(chunk, p.said)
            p.said += chunk

    def ends(self, p, status, within=PROMPT_S):
        begin = time.monotonic()
        _, err = p.communicate(timeout=DEADLINE)
        err = getattr(p, "said", "") + err
        # on a busy machine SIGTERM may end it the hard way
        hard = p.returncode == -signal.SIGTERM and "ended before it was done" in err
        self.assertTrue(hard or p.returncode == status, (p.returncode, err))
        self.assertLess(time.monotonic() - begin, within, err)
        wait_until(lambda: not self.armed(), "the probes to be gone", PROMPT_S)
        return "" if hard else err


class Stalled(Case):
    def pipe(self, kind="pipe"):
        out = Pipe(kind)
        self.addCleanup(out.close)
        return out

    def test_attach(self):
        """Reports are skipped whole, and it ends by a signal and by --for."""
        for kind in ("pipe", "socket"):
            for how in (signal.SIGINT, signal.SIGTERM, *([None] if kind == "pipe" else [])):
                with self.subTest(kind=kind, how=how):
                    out = self.pipe(kind)
                    p = self.start("attach", self.target.pid, "--every", "200ms", "--format", "json",
                                   *([] if how else ["--for", "1s"]), stdout=out.w)
                    out.close_writer()
                    self.begun(p)
                    if how:
                        self.assertTrue(self.armed())
                        begin = wakes(p.pid)
                        wait_until(lambda: wakes(p.pid) > begin + 10, "some reports to be due")
                        p.send_signal(how)
                    err = self.ends(p, 1, PROMPT_S if how else PROMPT_S + 4)
                    if err:
                        self.assertIn("nobody reads the output", err)
                        self.assertRegex(err, r"[1-9][0-9]* reports? skipped")
                    self.assertEqual(len(drain(out.r)), out.filled)

    def test_disarmed_before_the_last_report(self):
        """Also where its reader is given time."""
        out = self.pipe()
        p = self.start("attach", self.target.pid, "--for", "300ms", "--format", "json", stdout=out.w)
        out.close_writer()
        self.begun(p)
        wait_until(lambda: not self.armed(), "the probes to be gone")
        self.assertIsNone(p.poll())
        read(out.r, out.filled)
        self.assertEqual(len(drain(out.r).splitlines()), 1)
        self.ends(p, 0)

    def test_reader_that_wakes_up(self):
        """The next report has the time of those that were skipped, and says so."""
        out = self.pipe()
        p = self.start("attach", self.target.pid, "--every", "200ms", "--format", "json", stdout=out.w)
        out.close_writer()
        self.begun(p)
        begin = wakes(p.pid)
        wait_until(lambda: wakes(p.pid) > begin + 20, "some reports to be due")
        read(out.r, out.filled)
        first = b""
        while b"\n" not in first:
            first += os.read(out.r, 1 << 16)
        p.send_signal(signal.SIGINT)
        rs = [report(l) for l in (first + drain(out.r)).decode().splitlines()]
        skipped, = re.findall(r"(\d+) reports? skipped", self.ends(p, 0))
        self.assertGreater(rs[0]["losses"]["reports"], 0)
        self.assertGreaterEqual(rs[0]["window_s"], 0.2 * (rs[0]["losses"]["reports"] + 1))
        self.assertEqual(sum(r["losses"].get("reports", 0) for r in rs), int(skipped))

    def test_one_report(self):
        """Nothing is armed while it waits for a reader, and a signal ends that."""
        for args in (["--window", "300ms"], ["--window", "0", "--format", "json"]):
            with self.subTest(args):
                out = self.pipe()
                p = self.start("snapshot", self.target.pid, *args, stdout=out.w)
                out.close_writer()
                if args[1] != "0":
                    self.begun(p)
                    wait_until(lambda: not self.armed(), "the probes to be gone")
                wait_until(lambda: catches_signals(p.pid), "it to catch signals")
                p.send_signal(signal.SIGTERM)
                self.assertIn(self.ends(p, 1).splitlines()[-1:],
                              (["gospect: nobody reads the output: it is not complete"], []))
                self.assertEqual(len(drain(out.r)), out.filled)

    def test_list(self):
        """Where nothing is armed a signal does what it does to everybody."""
        out = self.pipe()
        p = self.start("list", stdout=out.w)
        out.close_writer()
        wait_until(lambda: state(p.pid, "Threads") == "2", "it to write")
        p.send_signal(signal.SIGTERM)
        self.ends(p, -signal.SIGTERM)

    def test_messages(self):
        """Whoever reads the messages, and does not."""
        err = self.pipe()
        p = self.start("attach", self.target.pid, "--for", "500ms", "--format", "json", stdout=subprocess.PIPE,
                       stderr=err.w)
        err.close_writer()
        out, _ = p.communicate(timeout=DEADLINE)
        self.assertEqual(p.returncode, 0)
        self.assertEqual(len(out.splitlines()), 1)
        self.assertFalse(self.armed())

    def test_fifo(self):
        """-o into one whose reader stalls."""
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "fifo")
            os.mkfifo(path)
            r = os.open(path, os.O_RDWR)	# itself a reader: nobody waits for one
            n = fill(r)
            p = self.start("attach", self.target.pid, "--every", "200ms", "--format", "json", "-o", path)
            self.begun(p)
            p.send_signal(signal.SIGINT)
            self.ends(p, 1)
            self.assertEqual(len(read(r, n)), n)
            os.close(r)


class Leaks(Case):
    """A list that is long, and cut."""

    def program(self):
        return Program([binary(f"ghosts-{USUAL}-stripped"), "-n", "12000", "-leak"])

    def test_list_is_cut(self):
        """Some of each go statement are in it, and that it is cut is said."""
        line = Draft202012Validator({**schema(), "$ref": "#/$defs/leaked_goroutine"})
        sites = []
        for args, n in (([], 10000), (["--all"], 12000)):
            p = gospect("leaks", self.target.pid, "--format", "json", *args)
            rows = [json.loads(l) for l in p.stdout.splitlines()]
            self.assertEqual((p.returncode, len(rows)), (0, n), p.stderr)
            self.assertEqual("10,000 of them are listed" in p.stderr, not args, p.stderr)
            self.assertEqual([e.message for e in line.iter_errors(rows[0])], [])
            self.assertEqual(len({r["goid"] for r in rows}), n)
            sites.append({r["created"]["function"] for r in rows})
        self.assertEqual(sites[0], sites[1])
        p = gospect("leaks", self.target.pid)
        self.assertEqual(len(re.findall(r"^LEAK \d+ chan receive \S+ created by main\.\w+ main\.go:\d+ "
                                        r"at main\.wait main\.go:\d+$", p.stdout, re.M)), 10000)

    def test_stalled(self):
        """Interrupted in the middle of the list."""
        r, w = os.pipe()
        p = self.start("leaks", self.target.pid, stdout=w)
        os.close(w)
        read(r, 100)	# it is being written
        p.send_signal(signal.SIGINT)
        self.assertRegex(self.ends(p, 1), "not complete")
        os.close(r)


class OnTerminal(Case):
    def screen(self, *args, **kw):
        t = Terminal([GOSPECT, "attach", self.target.pid, "--every", "150ms", *args], **kw)
        self.addCleanup(t.__exit__)
        wait_until(lambda: "q quit" in "".join(t.shown()), "the screen")
        return t

    def gone(self, t):
        wait_until(lambda: not self.armed(), "the probes to be gone")
        wait_until(lambda: t.pid() is None, "its end")

    def test_stopped(self):
        """Ctrl-S: the screen stands still, and nothing else does."""
        for how in ("Ctrl-Q", signal.SIGTERM, None):
            with self.subTest(how):
                t = self.screen(*([] if how else ["--for", "3s"]))
                t.key("\x13")
                if how == "Ctrl-Q":
                    begin = wakes(t.pid())
                    wait_until(lambda: wakes(t.pid()) > begin + 20, "some frames to be due")
                    t.key("\x11")
                    t.frame()
                    t.key("q")
                    self.assertEqual(t.status(), 0)
                    self.assertEqual(t.restored(), [])
                    continue
                if how:
                    os.kill(t.pid(), how)
                self.gone(t)
                t.key("\x11")
                # whichever comes first: what waits for the terminal, or for all that has to end
                self.assertIn(t.status(), (1, 128 + signal.SIGTERM) if how else (1,))

    def test_suspended(self):
        """Ctrl-Z: nothing is armed, the terminal is as before; `fg` goes on."""
        t = self.screen(shell=JOBS)
        pid = t.pid()
        for _ in range(2):
            wait_until(self.armed, "the probes")
            t.key("\x1a")
            wait_until(lambda: stopped(pid), "it to stop")
            self.assertFalse(self.armed())
            wait_until(lambda: not t.restored(), "the terminal as before")
            t.go_on()
            t.frame()
        wait_until(self.armed, "the probes")
        t.key("q")
        self.assertEqual(t.status(), 0)
        self.assertEqual(t.restored(), [])


class Suspended(Case):
    def suspended(self, p):
        """While it is stopped nothing is armed."""
        p.send_signal(signal.SIGTSTP)
        wait_until(lambda: stopped(p.pid), "it to stop")
        self.assertFalse(self.armed())
        self.target.do("births 100 named")
        p.send_signal(signal.SIGCONT)

    def test_attach(self):
        """What happens while it is stopped is in no report, and is not counted as anything."""
        with Attach(self.target.pid, every="500ms", process_group=0) as a:
            self.target.do("births 10 named")
            self.suspended(a.p)
            rs = [a.next()]
            while "stopped_s" not in rs[-1]["losses"]:
                rs.append(a.next())
            before = len(rs) - 1	# the next window has begun
            truth = self.target.do("births 20 named")["sites"]["named"]
            rs += a.stop()
        births = [(site(r, truth) or {"births": 0})["births"] for r in rs]
        self.assertEqual([sum(births[:before]), sum(births[before:])], [10, 20])
        self.assertEqual([i for i, r in enumerate(rs) if r["losses"].get("stopped_s", 0) > 0], [before])
        for r in rs:
            self.assertEqual(coverage(r, "goroutines")["state"], "exact", coverage(r, "goroutines"))
        wait_until(lambda: not self.armed(), "the probes to be gone")

    def test_snapshot(self):
        """Its window begins anew."""
        p = self.start("snapshot", self.target.pid, "--window", "3s", "--format", "json", stdout=subprocess.PIPE,
                       process_group=0)
        self.begun(p)
        self.assertTrue(self.armed())
        self.suspended(p)
        r = report(p.stdout.read())
        self.ends(p, 0)
        self.assertEqual(r["goroutines"]["births"], 0)


if __name__ == "__main__":
    unittest.main()
