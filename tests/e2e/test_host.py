# SPDX-License-Identifier: BSD-2-Clause
"""gospect host: who comes and goes is noticed, a leak is found at its line and
closes when it is over; programs that call exec, that are replaced and that end
at once do no harm; the table of --once."""
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from harness import DEADLINE, NEWEST, USUAL, Work, binary, need_root, wait_until
from tree import GOSPECT

GOSPECT_HOST = GOSPECT + "-host"


def need_host():
    need_root()
    if not os.path.exists(GOSPECT_HOST):
        raise unittest.SkipTest("gospect-host was not built")


class Host:
    """gospect host, its findings as JSON lines, and what it tells a service manager."""

    def __init__(self, *args, config=None, stdout=subprocess.PIPE, prefix=()):
        self.tmp = tempfile.TemporaryDirectory()
        path = os.path.join(self.tmp.name, "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        more = ["--config", config] if config else \
            ["--set", "interval=1s", "--set", "walk_interval=1s", "--set", "listen="]
        self.p = subprocess.Popen([*prefix, GOSPECT, "host", "--format", "json", *more, *args],
                                  stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                                  env={**os.environ, "GOSPECT_HOST_SPOOL_DIR": "", "GOSPECT_HOST_PROBES_AT_ONCE": "0", "NOTIFY_SOCKET": path,
                                       "WATCHDOG_USEC": "4000000"})
        self.buffer, self.events = b"", []
        self.told("READY=1")

    def told(self, what, timeout=DEADLINE):
        """The next message to the manager that has it."""
        end = time.monotonic() + timeout
        while select.select([self.notify], [], [], max(0, end - time.monotonic()))[0]:
            text = self.notify.recv(4096).decode()
            if what in text:
                return text
        self.p.kill()
        raise AssertionError(f"'{what}' was not told in {timeout} s: {self.p.communicate()[1]}")

    def read(self, timeout):
        if not select.select([self.p.stdout], [], [], timeout)[0]:
            return
        chunk = os.read(self.p.stdout.fileno(), 1 << 16)
        if not chunk:
            raise AssertionError(f"gospect host ended: {self.p.wait()}: {self.p.stderr.read()}")
        self.buffer += chunk
        *lines, self.buffer = self.buffer.split(b"\n")
        self.events += [json.loads(l) for l in lines]

    def event(self, cond, what):
        """The first that fits, which may have come already."""
        def look():
            self.read(0.05)
            return next((e for e in self.events if cond(e)), None)
        return wait_until(look, what)

    def stop(self):
        begin = time.monotonic()
        self.p.terminate()
        out, err = self.p.communicate(timeout=DEADLINE)
        if self.p.returncode:
            raise AssertionError(f"gospect host ended with {self.p.returncode}: {err}")
        self.events += [json.loads(l) for l in (self.buffer + (out or b"")).split(b"\n") if l]
        return time.monotonic() - begin, err.decode()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        if self.p.poll() is None:
            self.p.kill()
        self.p.communicate()
        self.notify.close()
        self.tmp.cleanup()


def leak_until(w, host, cond, what):
    """More and more goroutines that are stuck at one place, until that happens."""
    end, due = time.monotonic() + DEADLINE, 0
    while True:
        if time.monotonic() >= due:
            w.do("park 3 chanreceive")
            due = time.monotonic() + 0.3
        host.read(0.05)
        found = next((e for e in host.events if cond(e)), None)
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {DEADLINE} s for {what}: {host.events}")


class Findings(unittest.TestCase):
    def setUp(self):
        need_host()

    def test_a_leak_opens_at_its_line_and_closes(self):
        with Host() as host, Work(USUAL) as w, Work(USUAL) as healthy:
            healthy.do("park 50 chanreceive")
            truth = w.do("where")["parks"]["chanreceive"]
            leak = lambda e: e["pid"] == w.pid and e["finding"]["kind"] == "goroutine-leak"
            opened = leak_until(w, host, lambda e: leak(e) and e["event"] == "opened", "the leak")
            f = opened["finding"]
            at = f["place"]
            self.assertEqual((at["function"], at["file"], at["line"]),
                             (truth["function"], truth["file"], truth["line"]))
            self.assertGreaterEqual(f["numbers"]["count"], 3)
            w.do("release")
            closed = host.event(lambda e: leak(e) and e["event"] == "closed", "the leak's end")
            self.assertEqual((closed["id"], closed["reason"]), (opened["id"], "gone"))
            self.assertGreater(closed["time"], opened["time"])
            self.assertFalse([e for e in host.events if e["pid"] == healthy.pid])
            took, _ = host.stop()
            self.assertLess(took, 10)

    def test_it_closes_when_its_process_ends(self):
        with Host() as host, Work(NEWEST) as w:
            leak = lambda e: e["pid"] == w.pid and e["finding"]["kind"] == "goroutine-leak"
            opened = leak_until(w, host, lambda e: leak(e) and e["event"] == "opened", "the leak")
            w.close()
            closed = host.event(lambda e: leak(e) and e["event"] == "closed", "the leak's end")
            self.assertEqual((closed["id"], closed["reason"]), (opened["id"], "ended"))


class Processes(unittest.TestCase):
    def setUp(self):
        need_host()

    def test_starts_replacements_and_ends(self):
        with tempfile.TemporaryDirectory() as tmp, Host() as host:
            fds = f"/proc/{host.p.pid}/fd"
            path = os.path.join(tmp, "service")
            shutil.copy(binary(f"work-{USUAL}-stripped"), path)
            with Work(argv=[path]) as first:
                wait_until(lambda: any(f"/proc/{first.pid}" in n for n in self.names(fds)), "the first")
                # another program in its place, which the first still runs
                shutil.copy(binary(f"work-{NEWEST}-stripped"), path + ".new")
                os.rename(path + ".new", path)
                with Work(argv=[path]) as second:
                    wait_until(lambda: any(f"/proc/{second.pid}" in n for n in self.names(fds)), "the second")
                    # exec in place: the pid stays, the program is another one
                    first.p.stdin.write(f"exec {path}\n".encode())
                    first.p.stdin.flush()
                    first.line(lambda l: l.startswith("READY"))
                    wait_until(lambda: any(f"/proc/{first.pid}" in n for n in self.names(fds)), "the first again")
                    # over and over, and gone before anybody has looked
                    for _ in range(20):
                        subprocess.run([path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            wait_until(lambda: not any(tmp in n or f"/proc/{first.pid}" in n or f"/proc/{second.pid}" in n
                                       for n in self.names(fds)), "what it had open of them")
            self.assertIsNone(host.p.poll())
            host.told("WATCHDOG=1")
            host.stop()

    @staticmethod
    def names(fds):
        found = []
        for f in os.listdir(fds):
            try:
                found.append(os.readlink(os.path.join(fds, f)))
            except FileNotFoundError:
                pass
        return found


class Service(unittest.TestCase):
    def setUp(self):
        need_host()

    def test_reload(self):
        with tempfile.TemporaryDirectory() as tmp:
            path = os.path.join(tmp, "host.yaml")
            def write(text):
                with open(path, "w") as f:
                    f.write(text)
            write("interval: 1s\nlisten: ''\n")
            with Host(config=path) as host:
                write("interval: 2s\nlisten: ''\n")
                host.p.send_signal(signal.SIGHUP)
                host.told("RELOADING=1")
                host.told("READY=1")
                write("intervall: 2s\n")
                host.p.send_signal(signal.SIGHUP)
                host.told("RELOADING=1")
                host.told("READY=1")
                host.told("STATUS=")
                _, err = host.stop()
                self.assertIn("was read again", err)
                self.assertIn("the configuration stays as it was", err)
                self.assertIn("intervall", err)

    def test_nobody_reads(self):
        """A pipe that is full holds up nothing: it ends when it is told to."""
        read, write = os.pipe()
        try:
            with Host(stdout=write) as host:
                self.assertIsNone(host.p.poll())
                host.told("WATCHDOG=1")
                took, _ = host.stop()
                self.assertLess(took, 10)
        finally:
            os.close(read)
            os.close(write)

    def test_without_bpf(self):
        """Starts are polled, and that is said."""
        with Host(prefix=["setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin",
                          "--inh-caps=-bpf,-perfmon,-sys_admin"]) as host:
            _, err = host.stop()
            self.assertIn("/proc is polled", err)


class Once(unittest.TestCase):
    def setUp(self):
        need_host()

    def test_table_and_json(self):
        run = lambda *a: subprocess.run([GOSPECT, "host", "--once", "--for", "1s", *a], capture_output=True,
                                        text=True, timeout=DEADLINE)
        with Work(USUAL, env={"OTEL_SERVICE_NAME": "shop-42"}) as w:
            p = run("--format", "json")
            self.assertEqual(p.returncode, 0, p.stderr)
            row, = [r for r in json.loads(p.stdout)["processes"] if r["pid"] == w.pid]
            self.assertEqual((row["service"]["name"], row["depth"]), ("shop-42", "walk"))
            self.assertNotIn("guessed", row["service"])
            self.assertGreaterEqual(row["totals"]["goroutines"], 1)
            p = run()
            self.assertEqual(p.returncode, 0, p.stderr)
            line, = [l for l in p.stdout.splitlines() if l.split()[:1] == [str(w.pid)]]
            self.assertIn("shop-42", line)
            self.assertIn("go" + USUAL, line)

    def test_wrong_usage(self):
        run = lambda *a: subprocess.run([GOSPECT, "host", *a], capture_output=True, text=True, timeout=DEADLINE)
        for args, status, words in ((["--for", "1s"], 2, "--once"), (["--set", "x"], 2, "KEY=VALUE"),
                                    (["--set", "nonsense=1", "--once"], 1, "nonsense"),
                                    (["--config", "/nonexistent", "--once"], 1, "/nonexistent")):
            p = run(*args)
            self.assertEqual((p.returncode, p.stdout), (status, ""), p.stderr)
            self.assertIn(words, p.stderr)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write("interval: 1s\n")
            f.flush()
            self.assertEqual(run("--check", f.name).stdout, f"{f.name}: ok\n")
            f.write("interval: soon\n")
            f.flush()
            self.assertEqual(run("--check", f.name).returncode, 1)
