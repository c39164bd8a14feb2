# SPDX-License-Identifier: BSD-2-Clause
"""What cannot be written is a failure: every command, to a full device, to a
full disk, and to a pipe that nobody reads."""
import os
import shutil
import subprocess
import tempfile
import unittest

from harness import DEADLINE, GOSPECT, USUAL, Program, binary, gospect, need_root

HELP = [["--help"], ["help"], ["--version"], ["--schema"]] + \
       [[c, "--help"] for c in ("attach", "snapshot", "leaks", "diff", "list", "plan", "doctor")]


class Full(unittest.TestCase):
    def setUp(self):
        need_root()
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.target = Program([binary(f"ghosts-{USUAL}-stripped"), "-n", "50", "-leak"])
        self.addCleanup(self.target.close)
        self.snapshot = os.path.join(self.dir.name, "snapshot.json")
        p = gospect("snapshot", self.target.pid, "--window", "0", "--format", "json", "-o", self.snapshot)
        self.assertEqual((p.returncode, p.stdout), (0, ""), p.stderr)

    def commands(self):
        """Everything that prints."""
        yield from HELP
        pid = str(self.target.pid)
        for f in ("text", "json"):
            yield ["list", "--format", f]
            yield ["doctor", "--format", f]
            yield ["plan", binary(f"ghosts-{USUAL}-stripped"), "--format", f]
            yield ["leaks", pid, "--prove", "--format", f]
            yield ["attach", pid, "--for", "200ms", "--budget", "0", "--format", f]
        for f in ("text", "json", "html"):
            yield ["snapshot", pid, "--window", "0", "--format", f]
        yield ["snapshot", pid, "--window", "0", "--format", "pprof"]
        yield ["diff", self.snapshot, self.snapshot]

    def fails(self, args, stdout, word, run=lambda argv: argv):
        p = subprocess.run(run([GOSPECT, *args]), stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                           text=True, timeout=DEADLINE)
        self.assertEqual(p.returncode, 1, p.stderr)
        self.assertIn(word, p.stderr)

    def test_device(self):
        for args in self.commands():
            with self.subTest(args), open("/dev/full", "w") as full:
                self.fails(args, full, "cannot write the output: No space left")

    def test_closed(self):
        """What gospect opens does not take the place of a stream that is closed."""
        def closing(which):
            return lambda argv: ["sh", "-c", f'exec "$@" {which}', "sh", *argv]

        pid = str(self.target.pid)
        for args in (*self.commands(), ["snapshot", pid, "--window", "200ms"]):
            with self.subTest(args):
                self.fails(args, subprocess.DEVNULL, "cannot write the output: Bad file", closing("<&- >&-"))
                self.fails(args, subprocess.DEVNULL, "", closing("<&- >&- 2>&-"))

    def test_pipe_that_nobody_reads(self):
        for args in self.commands():
            if args in HELP:
                continue	# by default SIGPIPE ends those
            with self.subTest(args):
                r, w = os.pipe()
                os.close(r)
                self.fails(args, w, "")
                os.close(w)

    def test_disk(self):
        """-o on a file system of one page, mounted for this command alone."""
        pid = str(self.target.pid)
        script = 'd=$1; shift; mount -t tmpfs -o size=4k none "$d" && exec "$@"'
        for args in (["attach", pid, "--for", "200ms", "--budget", "0", "--format", "json"],
                     ["snapshot", pid, "--window", "0", "--format", "json"],
                     ["snapshot", pid, "--window", "0", "--format", "html"]):
            with self.subTest(args):
                self.fails([*args, "-o", os.path.join(self.dir.name, "report")], subprocess.DEVNULL,
                           "cannot write the output: No space left",
                           lambda argv: ["unshare", "--mount", "sh", "-c", script, "sh", self.dir.name, *argv])

class Kept(unittest.TestCase):
    def test_mistyped_pid(self):
        """What is in the file stays there, for each command that takes one."""
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "report")
            with open(path, "w") as f:
                f.write("yesterday's")
            for args in (["attach", "4194999"], ["snapshot", "4194999"], ["leaks", "4194999"], ["diff", path, path]):
                with self.subTest(args):
                    self.assertIn(gospect(*args, "-o", path).returncode, (1, 3))
                    with open(path) as f:
                        self.assertEqual(f.read(), "yesterday's")
            self.assertEqual(os.listdir(d), ["report"])


class Width(unittest.TestCase):
    def test_nothing_is_cut_in_a_pipe(self):
        """The path and the module of a process, whatever their length."""
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "a" * 100, "b" * 100, "program")
            os.makedirs(os.path.dirname(path))
            shutil.copy(binary(f"ghosts-{USUAL}-stripped"), path)
            with Program([path, "-n", "1"]) as p:
                line, = [l for l in gospect("list").stdout.splitlines() if l.split()[0] == str(p.pid)]
                self.assertEqual(line.split()[-2:], [path, "gospect.test/ghosts"])
        text = gospect("plan", binary(f"netload-{USUAL}-stripped")).stdout
        self.assertIn("net/http.(*persistConn).readLoop.func4 ", text)
        self.assertNotIn("…", text)


if __name__ == "__main__":
    unittest.main()
