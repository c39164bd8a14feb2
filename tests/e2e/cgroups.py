# SPDX-License-Identifier: BSD-2-Clause
"""Control groups of a test's own, of either version."""
import contextlib
import os
import unittest

from harness import wait_until

ROOT = "/sys/fs/cgroup"


class Group:
    def __init__(self, folder):
        self.path = os.path.join(ROOT, folder, f"gospect-test-{os.getpid()}")

    def has(self, name):
        return os.path.exists(os.path.join(self.path, name))

    def write(self, name, value):
        with open(os.path.join(self.path, name), "w") as f:
            f.write(str(value))

    def take(self, pid):
        self.write("cgroup.procs", pid)

    def removed(self):
        with contextlib.suppress(OSError):	# what was in it is on its way out
            os.rmdir(self.path)
            return True


def first_of(choices):
    for folder, files in choices:
        g = Group(folder)
        try:
            os.mkdir(g.path)
        except OSError:
            continue
        try:
            for name, value in files.items():
                g.write(name, value)
            return g
        except OSError:
            os.rmdir(g.path)
    raise unittest.SkipTest(f"no control group with {' or '.join(n for _, f in choices for n in f)} can be made here")


@contextlib.contextmanager
def control_group(*choices):
    """The first that can be made of (the controller's folder, what is written into which file); removed afterwards."""
    g = first_of(choices)
    try:
        yield g
    finally:
        wait_until(g.removed, "the control group to be empty")
