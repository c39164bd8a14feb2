# SPDX-License-Identifier: BSD-2-Clause
"""The BPF programs as other releases of clang compile them, before the kernel's
verifier: what one makes of them, another's verifier path may refuse."""
import glob
import os
import re
import subprocess
import tempfile
import unittest

from harness import TOP, need_root

CLANG = os.environ.get("CLANG", "clang")
OBJECTS = ("gospect", "death", "sample", "execs", "watchpoints")


def release(clang):
    return subprocess.run([clang, "-dumpversion"], capture_output=True, text=True).stdout.split(".")[0]


def others():
    found = [p for p in glob.glob("/usr/bin/clang-*") if re.fullmatch(r"clang-\d+", os.path.basename(p))]
    return sorted(p for p in found if release(p) != release(CLANG))


class Compilers(unittest.TestCase):
    def test_programs_pass_the_verifier(self):
        need_root()
        if not others():
            raise unittest.SkipTest("one release of clang only")
        for clang in others():
            with self.subTest(os.path.basename(clang)), tempfile.TemporaryDirectory() as tmp:
                run = lambda *argv: subprocess.run(argv, cwd=TOP, capture_output=True, text=True)
                p = run("make", f"CLANG={clang}", f"B={tmp}", *(f"{tmp}/{o}.skel.h" for o in OBJECTS))
                self.assertEqual(p.returncode, 0, p.stderr)
                p = run("cc", "-D_GNU_SOURCE", "-Iinclude", f"-I{tmp}", "tests/unit/test_programs.c",
                        "-o", f"{tmp}/test_programs", "-lcmocka", "-lbpf")
                self.assertEqual(p.returncode, 0, p.stderr)
                p = run(f"{tmp}/test_programs")
                self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
