# SPDX-License-Identifier: BSD-2-Clause
"""Shell completions are made of the table of options: they parse, know every command and
option that --help knows, and complete what somebody typed."""
import os
import re
import shutil
import subprocess
import unittest

from harness import GOSPECT

DIR = os.path.join(os.path.dirname(GOSPECT), "completions")


def path(shell):
    return os.path.join(DIR, shell)


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def commands():
    """{command: its options}, of --help."""
    names = re.findall(r"^  ([a-z]+)\b", run(GOSPECT, "--help").stdout, re.M)
    return {c: re.findall(r"^  (-[-a-z]+)", run(GOSPECT, c, "--help").stdout, re.M) for c in names}


class Completion(unittest.TestCase):
    def test_parses(self):
        for shell in ("bash", "zsh", "fish"):
            with self.subTest(shell):
                if not shutil.which(shell):
                    self.skipTest(f"{shell} is not installed")
                p = run(shell, "-n", path(shell))
                self.assertEqual((p.returncode, p.stderr), (0, ""))

    def test_knows_every_command_and_option(self):
        known = commands()
        self.assertGreater(len(known), 6)
        for shell in ("bash", "zsh", "fish"):
            with open(path(shell)) as f:
                text = f.read()
            for o in re.findall(r"^  --([a-z]+)", run(GOSPECT, "--help").stdout, re.M):
                with self.subTest(shell=shell, option=o):
                    self.assertIn(f"-l {o} " if shell == "fish" else "--" + o, text)
            for c, options in known.items():
                self.assertRegex(text, rf"\b{c}\b")
                self.assertIn("--help", options)
                if shell == "fish":
                    part = "\n".join(l for l in text.splitlines() if f"from {c}'" in l)
                    options = [o.replace("--", "-l ") if o.startswith("--") else "-s " + o[1:] for o in options]
                else:
                    part = re.search(rf"^\t+{c}\)\n(.*?)^\t+;;\n(?=\t+[a-z]+\)|\t+esac)", text, re.M | re.S).group(1)
                for o in options:
                    with self.subTest(shell=shell, command=c, option=o):
                        self.assertRegex(part, rf"(^|[ '\n]){o}\b")

    def bash(self, *words):
        script = ('. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); '
                  '_gospect "$1"; printf "%s\\n" "${COMPREPLY[@]}"')
        return run("bash", "-c", script, "bash", path("bash"), *words).stdout.split()

    def test_bash(self):
        self.assertEqual(self.bash("gospect", "sna"), ["snapshot"])
        self.assertEqual(self.bash("gospect", "attach", "--ex"), ["--exact"])
        self.assertEqual(self.bash("gospect", "attach", "--pro"), [])
        self.assertEqual(self.bash("gospect", "snapshot", "--format", "=", "h"), ["html"])
        self.assertEqual(self.bash("gospect", "snapshot", "--format", "="), ["text", "json", "html", "pprof"])
        self.assertEqual(self.bash("gospect", "attach", "--only", "net,s"), ["net,sql", "net,statements", "net,slices"])
        self.assertEqual(self.bash("gospect", "snapshot", "--fail-on", "c"), ["critical"])
        self.assertEqual(self.bash("gospect", "attach", "--for", ""), [])

    def test_bash_completes_go_processes(self):
        """As `gospect list` shows them: here a program of the same name that lists two."""
        os.makedirs(os.path.join(DIR, "try"), exist_ok=True)
        fake = os.path.join(DIR, "try", "gospect")
        with open(fake, "w") as f:
            f.write("#!/bin/sh\n[ \"$*\" = list ] && printf '  PID   AGE\\n 4711   1s\\n  815   2s\\n'\n")
        os.chmod(fake, 0o755)
        self.addCleanup(shutil.rmtree, os.path.dirname(fake))
        self.assertEqual(self.bash(fake, "attach", ""), ["4711", "815"])
        self.assertEqual(self.bash(fake, "leaks", "8"), ["815"])
        self.assertEqual(self.bash(fake, "list", ""), [])

    def test_fish(self):
        if not shutil.which("fish"):
            self.skipTest("fish is not installed")
        for line, want in (("gospect sna", ["snapshot"]), ("gospect attach --ex", ["--exact"]),
                           ("gospect snapshot --format h", ["html"]), ("gospect attach --pro", [])):
            with self.subTest(line):
                p = run("fish", "--no-config", "-c", f"source {path('fish')}; complete -C '{line}'")
                self.assertEqual([l.split("\t")[0] for l in p.stdout.splitlines()], want, p.stderr)


if __name__ == "__main__":
    unittest.main()
