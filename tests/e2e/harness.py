# SPDX-License-Identifier: BSD-2-Clause
"""What the end-to-end tests share: programs that are started and told what to
do, gospect runs, and what must be true afterwards.  Nothing here waits for a
number of seconds: it waits for READY, for a line, or for a condition."""
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from schema import report
from tree import BIN_DIR, CACHE, GOSPECT, TOP, releases

DEADLINE = 60
RELEASES = releases()
(OLDEST,), (USUAL,), (NEWEST,) = releases("oldest"), releases("usual"), releases("newest")
NEWER = f"1.{int(NEWEST.split('.')[1]) + 1}.".ljust(len(NEWEST), "0")
VARIANTS = [(r, "stripped") for r in RELEASES] + \
           [(r, v) for r in releases("1.20", "1.24", "newest") for v in ("pie", "cgo", "race")]


def newer(name, folder=[]):
    """The program of that name by a release that is not known: one of the newest that says so."""
    if not folder:
        folder.append(tempfile.TemporaryDirectory())
    path = os.path.join(folder[0].name, name)
    if not os.path.exists(path):
        with open(binary(name.replace(NEWER, NEWEST)), "rb") as f:
            text = f.read().replace(b"go" + NEWEST.encode(), b"go" + NEWER.encode())
        with open(path, "wb") as f:
            f.write(text)
        os.chmod(path, 0o755)
    return path


def binary(name):
    if f"-{NEWER}-" in name:
        return newer(name)
    path = os.path.join(BIN_DIR, name)
    if not os.path.exists(path):
        raise unittest.SkipTest(f"{name} was not built")
    return path


def need_root():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root")


def wait_until(cond, what, timeout=DEADLINE):
    end = time.monotonic() + timeout
    while True:
        v = cond()
        if v:
            return v
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout} s for {what}")
        time.sleep(0.01)


class Program:
    """A program that prints READY; ended when the test ends."""

    def __init__(self, argv, env=None, **kw):
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, env={**os.environ, **(env or {})},
                                  **kw)
        self.buffer = b""
        self.ready = self.line(lambda l: l.startswith("READY"))
        self.pid = self.p.pid

    def lines(self, timeout):
        """The next line, or None when there is none in time."""
        end = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.p.stdout], [], [], left)[0]:
                return None
            chunk = os.read(self.p.stdout.fileno(), 1 << 16)
            if not chunk:
                raise AssertionError(f"{self.p.args[0]} ended: status {self.p.wait()}")
            self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode(errors="replace")

    def line(self, cond, timeout=DEADLINE):
        end = time.monotonic() + timeout
        while True:
            l = self.lines(max(0, end - time.monotonic()))
            if l is None:
                raise AssertionError(f"no answer of {self.p.args[0]} in {timeout} s")
            if cond(l):
                return l

    def tell(self, line):
        self.p.stdin.write(line.encode() + b"\n")
        self.p.stdin.flush()

    def close(self):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()
        self.p.stdin.close()
        self.p.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()


class Work(Program):
    """tests/progs/work: does what it is told and tells the truth about it."""

    def __init__(self, release=USUAL, variant="stripped", env=None, argv=None, **kw):
        super().__init__(argv or [binary(f"work-{release}-{variant}")], env, **kw)
        self.release = release

    def do(self, command, timeout=DEADLINE):
        self.p.stdin.write(command.encode() + b"\n")
        self.p.stdin.flush()
        a = json.loads(self.line(lambda l: l.startswith("{"), timeout))
        if not a["ok"]:
            raise AssertionError(f"{command}: {a.get('error')}")
        return a


def gospect(*args, timeout=DEADLINE, **kw):
    """Runs to its end."""
    return subprocess.run([GOSPECT, *map(str, args)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=timeout, **kw)


def reports(text):
    return [report(l) for l in text.splitlines()]


class Attach:
    """gospect attach in the background, its reports as JSON."""

    def __init__(self, pid, *args, every="60s", armed=True, prefix=(), **kw):
        self.p = subprocess.Popen([*prefix, GOSPECT, "attach", str(pid), "--format", "json", "--every", every,
                                   *map(str, args)], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)
        self.stderr = ""
        self.output, self.came = b"", []	# what was read; whole lines of it
        if armed:
            self.wait_armed()

    def wait_armed(self):
        """The line on stderr that says that the window has begun."""
        end = time.monotonic() + DEADLINE
        while "watching process" not in self.stderr:
            if not select.select([self.p.stderr], [], [], max(0, end - time.monotonic()))[0]:
                self.p.kill()
                raise AssertionError("gospect did not begin in time: " + self.stderr)
            chunk = os.read(self.p.stderr.fileno(), 4096).decode()
            if not chunk:
                raise AssertionError(f"gospect ended: {self.p.wait()}: {self.stderr}")
            self.stderr += chunk

    def read(self, timeout):
        """Of its output what is there; False: nothing in time.  communicate() knows no buffer of a file's."""
        if not select.select([self.p.stdout], [], [], timeout)[0]:
            return False
        chunk = os.read(self.p.stdout.fileno(), 1 << 16)
        self.output += chunk
        return bool(chunk)

    def lines(self):
        *whole, self.output = self.output.split(b"\n")
        return [l.decode() for l in whole]

    def next(self, timeout=DEADLINE):
        end = time.monotonic() + timeout
        while not self.came:
            if not self.read(max(0, end - time.monotonic())):
                raise AssertionError("no report in time")
            self.came += self.lines()
        return report(self.came.pop(0))

    def there(self):
        """The reports that need not be waited for."""
        while self.read(0):
            pass
        found, self.came = [report(l) for l in self.came + self.lines()], []
        return found

    def stop(self, sig=signal.SIGINT):
        """The reports that were still to come."""
        self.p.send_signal(sig)
        return self.ended()

    def ended(self):
        """The same, when it ends by itself."""
        out, err = self.p.communicate(timeout=DEADLINE)
        self.stderr += err
        if self.p.returncode:
            raise AssertionError(f"gospect ended with {self.p.returncode}: {self.stderr}")
        came, self.came = self.came, []
        return reports("\n".join(came + [(self.output + out.encode()).decode()]))

    def __enter__(self):
        return self

    def __exit__(self, *a):
        if self.p.poll() is None:
            self.p.kill()
        self.p.communicate()


def window(pid, *args, **kw):
    """A context: what happens inside is in the one report, in .report afterwards."""
    @contextlib.contextmanager
    def run():
        with Attach(pid, *args, **kw) as a:
            yield a
            rs = a.stop()
            if len(rs) != 1:
                raise AssertionError(f"{len(rs)} reports")
            a.report = rs[0]
    return run()


def site(report, truth):
    """The row of a creation site that the program names."""
    rows = [r for r in report["goroutines"]["by_site"]
            if not r.get("other") and (r["function"], r["file"], r["line"]) ==
            (truth["function"], truth["file"], truth["line"])]
    if len(rows) > 1:
        raise AssertionError(f"{len(rows)} rows for one site: {rows}")
    return rows[0] if rows else None


def alloc(report, truth):
    rows = [r for r in report["alloc"]["by_site"]
            if not r.get("other") and (r["function"], r["file"], r["line"]) ==
            (truth["function"], truth["file"], truth["line"])]
    if len(rows) > 1:
        raise AssertionError(f"{len(rows)} rows for one place: {rows}")
    return rows[0] if rows else None


def coverage(report, sensor):
    return next(c for c in report["coverage"] if c["sensor"] == sensor)


def text_differs(pid):
    """The executable mappings of the main program against the file: offsets that differ."""
    bad = []
    with open(f"/proc/{pid}/exe", "rb") as exe, open(f"/proc/{pid}/mem", "rb") as mem, \
            open(f"/proc/{pid}/maps") as maps:
        ino = os.fstat(exe.fileno()).st_ino
        for l in maps:
            f = l.split()
            if len(f) < 6 or int(f[4]) != ino or "x" not in f[1]:
                continue
            lo, hi = (int(x, 16) for x in f[0].split("-"))
            exe.seek(int(f[2], 16))
            mem.seek(lo)
            a, b = exe.read(hi - lo), mem.read(hi - lo)
            n = min(len(a), len(b))
            if a[:n] != b[:n]:
                bad += [lo + i for i in range(n) if a[i] != b[i]]
    return bad


def bpf_objects(pid):
    """What this process has of the kernel's BPF objects: (kind, id) of each."""
    found = set()
    folder = f"/proc/{pid}/fdinfo"
    for fd in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(folder, fd)) as f:
            found |= {(k, int(i)) for k, i in re.findall(r"^(prog|link|map)_id:\s*(\d+)$", f.read(), re.M)}
    return found


def still_loaded(objects):
    """Those of them that the kernel still has."""
    env = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    left = set()
    for kind in {k for k, _ in objects}:
        p = subprocess.run(["bpftool", "-j", kind, "list"], capture_output=True, text=True, env=env, check=True)
        left |= {(kind, x["id"]) for x in json.loads(p.stdout or "[]")} & objects
    return left


def listening_port(pid, address):
    """The TCP port that this process listens at there, or None."""
    sockets = set()
    with contextlib.suppress(FileNotFoundError):	# of a file, or of the process
        for fd in os.listdir(f"/proc/{pid}/fd"):
            sockets.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    where = socket.inet_aton(address)[::-1].hex().upper()
    with open("/proc/net/tcp") as f:
        for l in list(f)[1:]:
            w = l.split()
            host, port = w[1].split(":")
            if w[3] == "0A" and host == where and f"socket:[{w[9]}]" in sockets:
                return int(port, 16)
    return None
