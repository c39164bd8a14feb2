# SPDX-License-Identifier: BSD-2-Clause
"""Wrong usage, wrong processes, missing privileges, targets that go away: each
with its exit status, one clear sentence on stderr, and nothing on stdout."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

from harness import (GOSPECT, NEWEST, USUAL, Attach, Work, binary, coverage, gospect, need_root, reports,
                     text_differs, wait_until)
from schema import report


class Usage(unittest.TestCase):
    def refused(self, status, *args, word=None):
        p = gospect(*args)
        self.assertEqual(p.returncode, status, (args, p.stderr))
        self.assertEqual(p.stdout, "", args)
        first = p.stderr.splitlines()[0] if p.stderr else ""
        self.assertTrue(first.startswith("gospect: "), (args, p.stderr))
        if word:
            self.assertIn(word, p.stderr)
        return p

    def test_usage(self):
        for args in (["nosuch"], ["attach"], ["attach", "x"], ["attach", "0"], ["attach", "-1"],
                     ["attach", "+1"], ["attach", "0x10"], ["attach", "1.5"], ["attach", "99999999999999999999"],
                     ["attach", "1", "2"], ["attach", "1", "--nosuch"], ["attach", "1", "--for"],
                     ["attach", "1", "--for", "5"], ["attach", "1", "--for", "-5s"], ["attach", "1", "--for", "0"],
                     ["attach", "1", "--every", "x"], ["attach", "1", "--only", "nosuch"],
                     ["attach", "1", "--only", ""], ["attach", "1", "--budget", "x"],
                     ["attach", "1", "--budget", "101%"], ["attach", "1", "--format", "xml"],
                     ["attach", "1", "--exact=yes"], ["plan"], ["list", "1"], ["doctor", "x"],
                     ["host", "--for", "5s"], ["host", "--fail-on", "high"], ["spool", "ls", "--format", "json"],
                     ["spool", "show", "20200101T000000Z-old-1", "--format", "pprof"]):
            self.refused(2, *args)

    def test_help_and_version(self):
        for args in (["--help"], ["help"], ["attach", "--help"], ["plan", "--help"], ["list", "--help"],
                     ["doctor", "--help"], ["--version"]):
            p = gospect(*args)
            self.assertEqual((p.returncode, p.stderr), (0, ""), args)
            self.assertTrue(p.stdout.strip(), args)
        self.assertEqual(gospect().returncode, 2)

    def test_profiles_that_are_not_to_be_had(self):
        """Whatever else is asked for, why there is none is said."""
        need_root()
        with Work() as w:
            for profile, args in (("heap", ["--only", "goroutines"]), ("allocs", ["--only", "gc"]),
                                  ("cpu", ["--window", "0"])):
                p = self.refused(1, "snapshot", w.pid, "--window", "200ms", "--format", "pprof", "--profile", profile,
                                 *args)
                self.assertRegex(p.stderr, r"no such profile: \S+ \w+")

    def test_output_that_cannot_be_opened(self):
        need_root()
        with Work() as w:
            self.refused(1, "attach", w.pid, "--for", "1s", "-o", "/nosuch/x")
            self.refused(1, "attach", w.pid, "--for", "1s", "-o", "/")

    def test_no_such_process(self):
        need_root()
        p = subprocess.Popen(["true"])
        p.wait()
        self.refused(3, "attach", p.pid)
        self.refused(3, "plan", p.pid)

    def test_kernel_thread_and_zombie(self):
        need_root()
        self.refused(3, "attach", 2)
        p = subprocess.Popen(["true"])
        try:
            wait_until(lambda: open(f"/proc/{p.pid}/stat").read().rsplit(")", 1)[1].split()[0] == "Z", "a zombie")
            self.refused(3, "attach", p.pid, word="zombie")
        finally:
            p.wait()

    def test_not_go(self):
        need_root()
        self.refused(3, "attach", os.getpid())	# this Python
        p = subprocess.Popen([binary("notgo-c-plain")], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        try:
            self.refused(3, "attach", p.pid)
            self.refused(3, "plan", p.pid)
        finally:
            p.kill()
            p.wait()
            p.stdout.close()

    def test_32_bit(self):
        need_root()
        path = binary(f"work-{USUAL}-386")
        self.refused(3, "plan", path, word="32-bit")
        with Work(argv=[path]) as w:
            self.refused(3, "attach", w.pid, word="32-bit")

    def test_plan_of_odd_files(self):
        with tempfile.TemporaryDirectory() as d:
            fifo = os.path.join(d, "fifo")
            os.mkfifo(fifo)
            for f in (fifo, "/dev/null", "/dev/zero", d, "/etc/passwd", os.path.join(d, "nosuch")):
                self.refused(3, "plan", f)

    def test_plan_of_damaged_files(self):
        src = binary(f"work-{USUAL}-stripped")
        with tempfile.TemporaryDirectory() as d:
            whole = open(src, "rb").read()
            at = whole.find(b"\xf1\xff\xff\xff\x00\x00\x01\x08")
            self.assertGreater(at, 0)
            table = at + int.from_bytes(whole[at + 64:at + 72], "little")	# of the functions
            cases = {
                "cut": whole[:len(whole) // 3], "head": whole[:100], "empty": b"",
                "elfonly": whole[:64],
                "nfunc": whole[:at + 8] + b"\xff" * 8 + whole[at + 16:],
                "offsets": whole[:at + 32] + b"\xff" * 40 + whole[at + 72:],
                "table": whole[:table] + b"\xff" * 4096 + whole[table + 4096:],
            }
            for name, data in cases.items():
                path = os.path.join(d, name)
                open(path, "wb").write(data)
                p = gospect("plan", path, "--format", "json")
                with self.subTest(name):
                    self.assertEqual((p.returncode, p.stdout), (3, ""), (name, p.stderr))

    def test_plan_needs_no_root(self):
        src = binary(f"work-{USUAL}-stripped")
        need_root()	# to become somebody else
        with tempfile.TemporaryDirectory() as d:
            os.chmod(d, 0o755)
            tool, prog = shutil.copy(GOSPECT, d), shutil.copy(src, d)
            p = subprocess.run([tool, "plan", prog], user=65534, group=65534, extra_groups=[],
                               capture_output=True, text=True, stdin=subprocess.DEVNULL)
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertIn("runtime.newproc.func1", p.stdout)
            self.assertIn("not measured", p.stdout)
            self.assertEqual(subprocess.run([tool, "doctor"], user=65534, group=65534, extra_groups=[],
                                            capture_output=True, stdin=subprocess.DEVNULL).returncode, 0)


class Privileges(unittest.TestCase):
    def setUp(self):
        need_root()
        if not shutil.which("setpriv"):
            self.skipTest("no setpriv")

    def run_without(self, caps, pid, *args):
        drop = ",".join("-" + c for c in caps)
        return subprocess.run(["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}", GOSPECT, "attach", str(pid),
                               "--for", "600ms", "--format", "json", *args],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def test_without_bpf(self):
        """No probes, but memory: it goes on and says so."""
        with Work() as w:
            for caps in (["bpf", "sys_admin"], ["perfmon", "sys_admin"]):
                p = self.run_without(caps, w.pid)
                self.assertEqual(p.returncode, 0, p.stderr)
                r = reports(p.stdout)[-1]
                self.assertEqual(r["cost"]["probes"]["armed"], 0)
                self.assertNotEqual(coverage(r, "goroutines")["state"], "exact")
                self.assertGreaterEqual(r["goroutines"]["live"], 1)
                self.assertIn("hint:", p.stderr)
                self.assertNotIn("cpu", r)
                off = coverage(r, "cpu")
                self.assertEqual(off["state"], "off")
                self.assertIn("CPU samples are not permitted", off["why"])

    def test_without_ptrace(self):
        """Somebody else's process, and no way to read it: 4, with a hint."""
        with tempfile.TemporaryDirectory() as d:
            os.chmod(d, 0o755)
            path = shutil.copy(binary(f"work-{USUAL}-stripped"), d)
            self.somebody_elses(path)

    def somebody_elses(self, path):
        with Work(argv=[path], user=65534) as w:
            p = self.run_without(["sys_ptrace", "sys_admin"], w.pid)
            self.assertEqual((p.returncode, p.stdout), (4, ""), p.stderr)
            self.assertIn("hint:", p.stderr)

    def test_what_is_kept(self):
        """While it watches: reading other processes, and no way to more."""
        with Work() as w, Attach(w.pid) as a:
            def status(pid):
                with open(f"/proc/{pid}/status") as f:
                    return dict(l.rstrip("\n").split(":\t", 1) for l in f if ":\t" in l)
            with open(f"/proc/{a.p.pid}/task/{a.p.pid}/children") as f:
                keeper = f.read().split()
            own = status(a.p.pid)
            if own["Seccomp"] == "0":
                self.skipTest("built with a sanitizer")
            read = 1 << 19 | 1 << 2	# CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH
            old_bpf = 1 << 39 | 1 << 21	# before Linux 5.19
            self.assertEqual(int(own["CapPrm"], 16) & ~old_bpf, read)
            self.assertEqual(own["NoNewPrivs"], "1")
            self.assertEqual(len(keeper), 1)
            probe = read | old_bpf | 1 << 38
            self.assertEqual(int(status(keeper[0])["CapPrm"], 16) & ~probe, 0)
            w.do("births 7")
            hits = [p["hits"] for p in a.stop()[-1]["cost"]["probes"]["list"] if p["armed"]]
            self.assertGreaterEqual(sum(hits), 7)

    # What /proc/self/status said when the executable $TARGET was first read.
    WITNESS = r"""
    #define _GNU_SOURCE
    #include <fcntl.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    ssize_t pread64(int fd, void *p, size_t n, off_t at) {
        static int done;
        char link[64], file[4096] = "", text[8192];
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        if (!done && readlink(link, file, sizeof(file) - 1) > 0 && !strcmp(file, getenv("TARGET"))) {
            int in = open("/proc/thread-self/status", O_RDONLY), out;
            done = 1;
            out = open(getenv("WITNESS"), O_WRONLY | O_CREAT | O_EXCL, 0600);
            n = write(out, text, read(in, text, sizeof(text))) > 0 ? n : 0;
        }
        return syscall(SYS_pread64, fd, p, n, at);
    }
    ssize_t pread(int fd, void *p, size_t n, off_t at) { return pread64(fd, p, n, at); }
    """

    def test_what_a_file_is_parsed_with(self):
        """Nothing that a hostile one could use but for reading, in every command."""
        read = 1 << 19 | 1 << 2
        with Work() as w, tempfile.TemporaryDirectory() as d:
            lib, target = os.path.join(d, "witness.so"), os.readlink(f"/proc/{w.pid}/exe")
            subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", lib], input=self.WITNESS, text=True, check=True)
            with open("/proc/self/status") as f:
                mine = int(re.search(r"CapEff:\s*(\w+)", f.read())[1], 16)
            for name, args in (("plan", [target]), ("plan", [str(w.pid)]), ("attach", [str(w.pid), "--for", "100ms"]),
                               ("attach", [str(w.pid), "--for", "100ms", "--budget", "0"]),
                               ("snapshot", [str(w.pid), "--window", "0"]), ("leaks", [str(w.pid)])):
                with self.subTest(name, args=args):
                    said = os.path.join(d, "said")
                    env = dict(os.environ, LD_PRELOAD=lib, TARGET=target, WITNESS=said)
                    p = subprocess.run([GOSPECT, name, *args], env=env, capture_output=True, text=True,
                                       stdin=subprocess.DEVNULL)
                    if "ASan runtime" in p.stderr:
                        self.skipTest("built with a sanitizer")
                    self.assertEqual(p.returncode, 0, p.stderr)
                    with open(said) as f:
                        status = dict(l.rstrip("\n").split(":\t", 1) for l in f if ":\t" in l)
                    os.unlink(said)
                    nice = 1 << 23 if name == "leaks" else 0
                    self.assertEqual(int(status["CapEff"], 16) & ~nice, read & mine)
                    self.assertEqual(status["Seccomp"], "2")
                    self.assertEqual(status["NoNewPrivs"], "1")
                    self.assertEqual(int(status["CapPrm"], 16) & 1 << 21, 0)	# CAP_SYS_ADMIN

    def test_as_nobody(self):
        with Work() as w, tempfile.TemporaryDirectory() as d:
            os.chmod(d, 0o755)
            tool = shutil.copy(GOSPECT, d)
            p = subprocess.run([tool, "attach", str(w.pid), "--for", "1s"], user=65534, group=65534,
                               extra_groups=[], capture_output=True, text=True, stdin=subprocess.DEVNULL)
            self.assertEqual((p.returncode, p.stdout), (4, ""), p.stderr)
            self.assertIn("hint:", p.stderr)

    def test_three_capabilities_suffice(self):
        if subprocess.run(["setpriv", "--help"], capture_output=True, text=True).stdout.find("ambient") < 0:
            self.skipTest("setpriv knows no ambient capabilities")
        with Work() as w, tempfile.TemporaryDirectory() as d:
            os.chmod(d, 0o755)
            tool = shutil.copy(GOSPECT, d)
            three = "+bpf,+perfmon,+sys_ptrace"
            p = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={three}",
                                f"--ambient-caps={three}", tool, "attach", str(w.pid), "--for", "600ms",
                                "--format", "json"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
            self.assertEqual(p.returncode, 0, p.stderr)
            r = reports(p.stdout)[-1]
            self.assertEqual(coverage(r, "goroutines")["state"], "exact", p.stderr)
            p = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={three}",
                                f"--ambient-caps={three}", tool, "doctor"], capture_output=True, text=True,
                               stdin=subprocess.DEVNULL, env={**os.environ, "GOSPECT_METHOD": "perf"})
            if "probes are used" not in p.stdout:	# perf events want more since Linux 6.16
                self.assertIn("CAP_SYS_ADMIN too", p.stdout)


class Going(unittest.TestCase):
    def setUp(self):
        need_root()

    def test_target_ends(self):
        with Work() as w, Attach(w.pid) as a:
            w.do("births 5")
            w.p.kill()
            out, err = a.p.communicate(timeout=30)
            self.assertEqual(a.p.returncode, 0, err)
            r = reports(out)
            self.assertEqual(len(r), 1)
            self.assertGreaterEqual(r[0]["goroutines"]["births"], 5)
            self.assertEqual(coverage(r[0], "goroutines")["state"], "partial")

    def test_target_execs(self):
        with Work() as w, Attach(w.pid) as a:
            w.do("births 5")
            w.p.stdin.write(b"exec /bin/sleep 1000\n")
            w.p.stdin.flush()
            out, err = a.p.communicate(timeout=30)
            self.assertEqual(a.p.returncode, 0, err)
            self.assertEqual(len(reports(out)), 1)
            self.assertEqual(text_differs(w.pid), [])

    def test_target_ends_at_once(self):
        """Processes that end while they are opened: 0, 3 or 5, never a hang or a crash."""
        path = binary(f"work-{USUAL}-stripped")
        for delay in (0, 0.01, 0.03, 0.06, 0.1, 0.15):
            p = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            p.stdout.readline()
            t = threading.Timer(delay, p.kill)
            t.start()
            g = gospect("attach", p.pid, "--for", "400ms", "--format", "json")
            t.join()
            p.wait()
            p.stdin.close()
            p.stdout.close()
            self.assertIn(g.returncode, (0, 3, 5), g.stderr)
            if g.returncode:
                self.assertEqual(g.stdout, "")
            else:
                self.assertTrue(reports(g.stdout))

    def test_executable_deleted_and_overwritten(self):
        src = binary(f"work-{USUAL}-stripped")
        with tempfile.TemporaryDirectory() as d:
            path = shutil.copy(src, os.path.join(d, "prog"))
            with Work(argv=[path]) as w:
                os.unlink(path)
                with Attach(w.pid, "--exact") as a:
                    w.do("births 10 named")
                    r = a.stop()[0]
                self.assertGreaterEqual(r["goroutines"]["births"], 10)
            path = shutil.copy(src, os.path.join(d, "prog2"))
            with Work(argv=[path]) as w:
                with Attach(w.pid, "--exact") as a:
                    new = path + ".new"	# as package managers do: a new file under the old name
                    shutil.copy("/bin/true", new)
                    os.rename(new, path)
                    w.do("births 10 named")
                    w.do("check")
                    r = a.stop()[0]
                self.assertGreaterEqual(r["goroutines"]["births"], 10)
                self.assertEqual(text_differs(w.pid), [])

    def test_reader_goes_away(self):
        """`gospect attach | head -1`: it ends, and the target runs on."""
        with Work() as w:
            p = subprocess.Popen([GOSPECT, "attach", str(w.pid), "--every", "200ms", "--format", "json"],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            report(p.stdout.readline())
            p.stdout.close()
            p.wait(timeout=30)
            w.do("births 3")
            w.do("check")

    def test_two_at_once(self):
        """A second gospect on the same process: both count."""
        with Work() as w, Attach(w.pid, "--exact") as a, Attach(w.pid, "--exact") as b:
            w.do("births 20 named")
            ra, rb = a.stop()[0], b.stop()[0]
            self.assertEqual(ra["goroutines"]["births"], 20)
            self.assertEqual(rb["goroutines"]["births"], 20)

    def test_debuggers_breakpoint(self):
        """A function that somebody else patched is left alone."""
        if not shutil.which("gdb"):
            self.skipTest("no gdb")
        with Work(NEWEST, "plain") as w:
            g = subprocess.Popen(["gdb", "-q", "-nx", "-p", str(w.pid), "-batch", "-ex", "set pagination off",
                                  "-ex", "break *(&'runtime.newproc.func1')", "-ex", "echo SET\\n",
                                  "-ex", "continue"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            try:
                for line in g.stdout:
                    if "SET" in line:
                        break
                wait_until(lambda: text_differs(w.pid), "the breakpoint")
                p = gospect("attach", w.pid, "--for", "400ms", "--format", "json", "--exact")
                self.assertEqual(p.returncode, 0, p.stderr)
                r = reports(p.stdout)[-1]
                self.assertNotEqual(coverage(r, "goroutines")["state"], "exact")
            finally:
                g.send_signal(signal.SIGKILL)
                g.wait()
                g.stdin.close()
                g.stdout.close()
