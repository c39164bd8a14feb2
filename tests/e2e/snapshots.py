# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots as tests take them, and the programs that they are taken of."""
from harness import USUAL, Program, binary, gospect
from schema import report


class Profile(Program):
    """tests/progs/profile: memory and goroutines whose profiles it writes itself."""

    def __init__(self, release=USUAL, env=None):
        super().__init__([binary(f"profile-{release}-stripped")], env)

    def do(self, command):
        self.p.stdin.write(command.encode() + b"\n")
        self.p.stdin.flush()
        answer = self.line(lambda l: True)
        if answer != "ok":
            raise AssertionError(f"{command}: {answer}")


def snapshot(pid, *args):
    p = gospect("snapshot", pid, "--format", "json", *args)
    if p.returncode:
        raise AssertionError(f"snapshot: {p.returncode}: {p.stderr}")
    return report(p.stdout)


def once(pid, *args):
    return snapshot(pid, "--window", "0", *args)


def place(o):
    return (o["function"], o["file"], o["line"])
