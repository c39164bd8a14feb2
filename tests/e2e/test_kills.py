# SPDX-License-Identifier: BSD-2-Clause
"""SIGKILL at random moments, also while probes are being armed and taken away: the code
of the program is whole soon after, no process of gospect's stays, and the kernel says
nothing of a probe that it could not take away.

GOSPECT_KILLS: how many with each method (make check-kills: 500)."""
import contextlib
import ctypes
import os
import random
import re
import signal
import subprocess
import time
import unittest

from harness import GOSPECT, Attach, Work, coverage, need_root, text_differs, wait_until

KILLS = int(os.environ.get("GOSPECT_KILLS", "25"))
KILLS_PERF = int(os.environ.get("GOSPECT_KILLS", "10"))
MARK = "GOSPECT_TEST_KILLS"


def kernel_log():
    """Lines of the kernel about probes of ours that it could not take away."""
    p = subprocess.run(["dmesg"], capture_output=True, text=True, check=True)
    return {l for l in p.stdout.splitlines() if "uprobe: gospect" in l}


def definitions():
    """Names of gospect's uprobes in tracefs whose owner is gone: none where there is no tracefs."""
    libc = ctypes.CDLL(None, use_errno=True)
    fs = libc.syscall(430, b"tracefs", 1)		# fsopen, fsconfig, fsmount: seen by nobody else
    if fs < 0 or libc.syscall(431, fs, 6, None, None, 0):
        return []
    tracefs = libc.syscall(432, fs, 1, 0)
    os.close(fs)
    with open(os.open("uprobe_events", os.O_RDONLY, dir_fd=tracefs)) as f:
        names = re.findall(r"p:gospect/(n\d+_p(\d+)_t(\d+)_\S+)", f.read())
    os.close(tracefs)
    return [name for name, pid, start in names if began(pid) != start]


def began(pid):
    """When a process that has not ended began."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as f:
        state, *fields = f.read().rsplit(")", 1)[1].split()
        return fields[18] if state not in "ZX" else None


def ours(mark):
    """Processes that are left of runs with this mark: (pid, name), none that has ended."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/environ", "rb") as f:
                if f"{MARK}={mark}".encode() not in f.read().split(b"\0"):
                    continue
            with open(f"/proc/{pid}/stat") as f:
                _, name, rest = f.read().replace("(", ")").split(")", 2)
            if rest.split()[0] != "Z":
                found.append((int(pid), name))
    return found


class Kills(unittest.TestCase):
    def setUp(self):
        need_root()
        self.seed = random.randrange(1 << 32)
        self.random = random.Random(self.seed)
        self.mark = f"{os.getpid()}-{self.seed}"
        self.slow = []
        self.log = kernel_log()

    def env(self, method):
        return {**os.environ, MARK: self.mark, **({"GOSPECT_METHOD": "perf"} if method == "perf" else {})}

    def whole(self, pid, what):
        began = time.monotonic()
        wait_until(lambda: not text_differs(pid), f"the code to be as in the file: {what}, seed {self.seed}")
        self.slow.append(time.monotonic() - began)

    def kill_starting(self, w, env):
        p = subprocess.Popen([GOSPECT, "attach", str(w.pid)], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, env=env)
        time.sleep(self.random.random() * 0.2)
        p.kill()
        p.wait()

    def kill_armed(self, w, env):
        with Attach(w.pid, "--exact", env=env) as a:
            time.sleep(self.random.random() * 0.1)
            a.p.kill()

    def kill_detaching(self, w, env):
        with Attach(w.pid, "--exact", env=env) as a:
            a.p.send_signal(signal.SIGINT)
            time.sleep(self.random.random() * 0.12)
            a.p.kill()

    def kill_keepers(self, w, env):
        """Also who takes them away."""
        with Attach(w.pid, "--exact", env=env) as a:
            a.p.send_signal(signal.SIGINT)
            time.sleep(self.random.random() * 0.12)
            for pid, _ in ours(self.mark):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def kills(self, method, n):
        ways = [self.kill_starting, self.kill_detaching, self.kill_armed, self.kill_detaching, self.kill_keepers]
        with Work() as w:
            w.do("loop 2000")
            for i in range(n):
                way = ways[i % len(ways)]
                way(w, self.env(method))
                self.whole(w.pid, way.__name__)
            self.assertEqual(w.do("stoploop")["wrong"], 0)
            w.do("check")
        wait_until(lambda: not ours(self.mark), "gospect's processes to end")
        self.assertEqual(kernel_log() - self.log, set(), f"seed {self.seed}")

    def test_uprobe_multi(self):
        self.kills("multi", KILLS)
        self.assertLess(sorted(self.slow)[len(self.slow) // 4], 3)	# at once, where there is a CPU for it

    def test_perf_events(self):
        """What the kernel needs 0.1 s a place for is done when the code is whole. What a killed
        keeper has left defined, the next one removes."""
        self.kills("perf", KILLS_PERF)
        self.assertLess(sorted(self.slow)[len(self.slow) // 4], 3)
        with Work() as w, Attach(w.pid, "--exact", env=self.env("perf")) as a:
            a.stop()
            self.whole(w.pid, "ended")
        wait_until(lambda: not ours(self.mark), "gospect's processes to end")
        wait_until(lambda: not definitions(), "its definitions to be gone")

    def test_stopped(self):
        """A gospect that stands still holds no probes; when it goes on, it has them again."""
        with Work() as w, Attach(w.pid, "--exact", every="200ms", env=self.env("multi")) as a:
            self.assertTrue(text_differs(w.pid))
            a.p.send_signal(signal.SIGSTOP)
            self.whole(w.pid, "stopped")
            a.p.send_signal(signal.SIGCONT)
            wait_until(lambda: text_differs(w.pid), "the probes to come back")
            self.assertTrue(a.stop())
            self.whole(w.pid, "ended")
        wait_until(lambda: not ours(self.mark), "gospect's processes to end")

    def test_what_nobody_counted_is_not_exact(self):
        self.not_counted("multi")

    def test_what_nobody_counted_by_events_is_not_exact(self):
        """With answers of the keeper's that nobody has read yet: it takes long to close them."""
        self.not_counted("perf")

    def not_counted(self, method):
        """The keeper is killed, and with it goes every probe: the window's counts have a gap, also where it ends before
        gospect has looked."""
        with Work() as w, Attach(w.pid, "--exact", env=self.env(method)) as a:
            keepers = [(pid, began(pid)) for pid, name in ours(self.mark) if name == "gospect-keeper"]
            self.assertTrue(keepers)
            a.p.send_signal(signal.SIGSTOP)	# it is to see its end first, when it goes on
            for pid, _ in keepers:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not any(began(pid) == start for pid, start in keepers), "the keeper to have ended")
            w.do("large 100 65536")
            a.p.send_signal(signal.SIGINT)
            r = a.stop(signal.SIGCONT)[-1]
            self.assertNotEqual(coverage(r, "alloc")["state"], "exact", r["coverage"])
            self.whole(w.pid, "ended")
        wait_until(lambda: not ours(self.mark), "gospect's processes to end")

    def test_keeper_stopped(self):
        """Who stops the keeper, too, leaves nothing behind either."""
        with Work() as w, Attach(w.pid, "--exact", env=self.env("multi")) as a:
            for pid, _ in ours(self.mark):
                os.kill(pid, signal.SIGSTOP)
            a.p.kill()
            self.whole(w.pid, "all stopped, gospect killed")
        wait_until(lambda: not ours(self.mark), "gospect's processes to end")
