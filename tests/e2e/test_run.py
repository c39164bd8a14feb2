# SPDX-License-Identifier: BSD-2-Clause
"""tests/run itself, on tests that are made up: which failures of a busy machine it passes
over, and how often each of them failed."""
import os
import subprocess
import sys
import tempfile
import unittest

from tree import TOP

# Each counts its runs in a file, and fails in those that it is told.
TESTS = '''
import os, unittest

def run(name, fails, error="no"):
    path = os.path.join(os.path.dirname(__file__), name)
    with open(path, "a+") as f:
        f.write("x")
        f.seek(0)
        n = len(f.read())
    if n in fails:
        raise AssertionError(error + f" in run {n}")

class Made(unittest.TestCase):
    pass
'''


class Again(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        os.mkdir(os.path.join(self.folder.name, "reports"))	# of sanitizers

    def run_tests(self, bodies, *args):
        """The exit status, and the lines of a run of tests by name."""
        with open(os.path.join(self.folder.name, "test_made_up.py"), "w") as f:
            f.write(TESTS + "".join(f"    def test_{name}(self):\n        {body}\n" for name, body in bodies.items()))
        p = subprocess.run([sys.executable, os.path.join(TOP, "tests", "run"), "--no-build", "--only", "test_made_up.",
                            *args], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                           env={**os.environ, "GOSPECT_TESTS": self.folder.name,
                                "GOSPECT_SAN_REPORTS": os.path.join(self.folder.name, "reports")})
        self.assertEqual(p.stderr, "")
        return p.returncode, p.stdout.splitlines()

    def runs_of(self, name):
        return os.path.getsize(os.path.join(self.folder.name, name))

    @staticmethod
    def failing(*names, fails=(1,), error="no"):
        return {n: f"run('{n}', {tuple(fails)}, '{error}')" for n in names}

    def unsteady(self, lines):
        return [l.split(": ")[1].rsplit("_")[-1] for l in lines if l.startswith("unsteady: ")]

    def failed(self, lines):
        return [l.split("test_")[-1] for l in lines if l.startswith("failed: ")]

    def test_unsteady(self):
        status, lines = self.run_tests(self.failing("a", "b") | self.failing("good", fails=()), "--again")
        self.assertEqual((status, lines[-1]), (0, "3 passed, 0 failed"))
        of = "unsteady: test_made_up.Made.test_{}: failed once beside others, passed 3 of 3 alone"
        self.assertEqual(sorted(lines[-3:-1]), [of.format("a"), of.format("b")])
        self.assertEqual([self.runs_of(n) for n in ("a", "b", "good")], [4, 4, 1])
        self.assertEqual(len([l for l in lines if l == "AssertionError: no in run 1"]), 4)	# at once, and at the end

    def test_three_are_too_many(self):
        status, lines = self.run_tests(self.failing("a", "b", "c", "d") | self.failing("good", fails=()), "--again")
        self.assertEqual((status, lines[-1], self.unsteady(lines)), (1, "1 passed, 4 failed", []))
        self.assertEqual(sorted(self.failed(lines)), ["a", "b", "c", "d"])

    def test_fails_again(self):
        """In any of the three runs alone: it fails the run, and what is unsteady is named still."""
        status, lines = self.run_tests(self.failing("a") | self.failing("first", fails=(1, 2)) |
                                       self.failing("last", fails=(1, 4)), "--again")
        self.assertEqual((status, lines[-1], self.unsteady(lines)), (1, "1 passed, 2 failed", ["a"]))
        self.assertEqual(sorted(self.failed(lines)), ["first", "last"])
        self.assertEqual([self.runs_of(n) for n in ("first", "last")], [2, 4])

    def test_off(self):
        status, lines = self.run_tests(self.failing("a") | self.failing("good", fails=()))
        self.assertEqual((status, lines[-1], self.unsteady(lines)), (1, "1 passed, 1 failed", []))
        self.assertEqual(self.runs_of("a"), 1)

    def test_proven(self):
        """What failing once proves: a sanitizer has reported, gospect or its target has crashed."""
        report = os.path.join(self.folder.name, "reports", "report.1")
        bodies = self.failing("crash", error="gospect ended with -11: ") | \
            self.failing("target", error="work ended: status 2") | self.failing("compared", error="-6 != 0") | \
            {"asan": f"open({report!r}, 'w').write('ERROR: AddressSanitizer'); run('asan', ())",
             "part": f"with self.subTest(x=1): run('part', (1,))\n        open({report!r}, 'w').write('x'); run('part', (2,))"}
        status, lines = self.run_tests(bodies, "--again", "--lanes", "1")
        self.assertEqual((status, lines[-1], self.unsteady(lines)), (1, "0 passed, 5 failed", []))
        self.assertEqual([self.runs_of(n) for n in ("crash", "target", "compared", "asan", "part")], [1, 1, 1, 1, 2])

    def test_parts(self):
        """A subTest is run again with all of its test, once however many of them fail."""
        body = "for i in (1, 2, 3):\n            with self.subTest(i=i): run('parts', (1, 3))"
        status, lines = self.run_tests({"parts": body}, "--again")
        self.assertEqual((status, lines[-1], self.unsteady(lines)), (0, "1 passed, 0 failed", ["parts"]))
        self.assertEqual(self.runs_of("parts"), 12)

    def test_skipped_alone(self):
        """A skip is no pass."""
        status, lines = self.run_tests({"skips": "run('skips', (1,)); self.skipTest('now')"}, "--again")
        self.assertEqual((status, lines[-1], self.unsteady(lines)), (1, "0 passed, 1 failed", []))

    def test_repeat(self):
        status, lines = self.run_tests(self.failing("a", fails=(2, 5)) | self.failing("good", fails=()), "--repeat", "6",
                                       "--lanes", "1")
        self.assertEqual((status, lines[-1]), (1, "10 passed, 2 failed"))
        self.assertEqual(self.failed(lines), ["a (2 of 6 runs)"])
        self.assertEqual([self.runs_of(n) for n in ("a", "good")], [6, 6])
