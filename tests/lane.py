# SPDX-License-Identifier: BSD-2-Clause
"""Runs end-to-end tests for tests/run, in a process of its own that stays: the same
gospect and the same Go releases for all of them (tree.py reads its environment once).

It begins with a list of all jobs: lists of names of tests that share what their class
sets up.  Each line on standard input is a job to do, its names with spaces between.
What came of each test, and the end of each job, is a line of JSON.  These go to what
standard output was at the start; what tests print goes to standard error.
"""
import json
import os
import re
import sys
import time
import unittest

from tree import TOP


def all_tests():
    """The tests of tests/e2e, or of the folder $GOSPECT_TESTS, as a flat list."""
    def walk(s):
        for t in s:
            if isinstance(t, unittest.TestSuite):
                yield from walk(t)
            else:
                yield t

    folder = os.environ.get("GOSPECT_TESTS") or os.path.join(TOP, "tests", "e2e")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return list(walk(unittest.TestLoader().discover(folder, pattern="test_*.py")))


def jobs(tests):
    """Lists of tests that have to run in one process: a class that sets something up for all
    of its tests stays together."""
    together = {}
    for t in tests:
        shared = any("setUpClass" in vars(c) for c in type(t).__mro__ if c is not unittest.TestCase)
        together.setdefault(t.id().rsplit(".", 1)[0] if shared else t.id(), []).append(t)
    return list(together.values())


def sanitizer_reports():
    """What the sanitizers wrote since the last time."""
    folder = os.environ.get("GOSPECT_SAN_REPORTS")
    text = ""
    for f in sorted(os.listdir(folder)) if folder else []:
        with open(os.path.join(folder, f), errors="replace") as r:
            text += r.read()
        os.unlink(os.path.join(folder, f))
    return text


# A crash of gospect, or of the program that it has looked at, by what harness.py says of it.
CRASH = re.compile(r"ended: status 2\b|(?:ended with|ended:|status|AssertionError:) -(?:4|5|6|7|8|11)\b")


class Result(unittest.TestResult):
    def __init__(self, out):
        super().__init__()
        self.out = out
        self.t = time.monotonic()

    def tell(self, what):
        self.out.write(json.dumps(what) + "\n")
        self.out.flush()

    def startTest(self, test):
        super().startTest(test)
        self.t = time.monotonic()

    def line(self, word, test, detail="", text="", proven=False):
        """proven: of a failure that needs no second look."""
        name = str(getattr(test, "id", lambda: test)())
        self.tell({"word": word, "name": name, "seconds": time.monotonic() - self.t, "detail": detail, "text": text,
                   "proven": proven})

    def addSuccess(self, test):
        text = sanitizer_reports()
        self.line("FAIL" if text else "ok", test, text=text, proven=bool(text))

    def failure(self, test, err):
        text, found = self._exc_info_to_string(err, test), sanitizer_reports()
        self.line("FAIL", test, text=text + found, proven=bool(found or CRASH.search(text)))

    def addFailure(self, test, err):
        self.failure(test, err)

    def addError(self, test, err):
        self.failure(test, err)

    def addSkip(self, test, reason):
        self.line("skip", test, reason)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.failure(subtest, err)


def main():
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    tests = all_tests()
    known = {t.id(): t for t in tests}
    result = Result(out)
    result.tell([[t.id() for t in job] for job in jobs(tests)])
    for line in sys.stdin:
        unittest.TestSuite([known[name] for name in line.split()]).run(result)
        result.tell({"done": True})


if __name__ == "__main__":
    main()
