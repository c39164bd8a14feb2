# SPDX-License-Identifier: BSD-2-Clause
"""This checkout, for the tests and for the tools that run their programs: where
things are, and which Go releases there are."""
import os
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOSPECT = os.path.abspath(os.environ.get("GOSPECT") or os.path.join(TOP, "build", "gospect"))


def tool(name, *args):
    return subprocess.check_output([os.path.join(TOP, "tools", name), *args], text=True).split("\n")[:-1]


def releases(*names):
    """The Go releases, or those of that name: oldest, usual, newest, 1.24.

    Where $GOSPECT_TEST_RELEASE names one, it stands for all of them, once.
    """
    one = os.environ.get("GOSPECT_TEST_RELEASE")
    return tool("releases", one) if one else tool("releases", *names)


# What is built or fetched once, shared by all checkouts.
CACHE, = tool("cache-dir")
# The Go programs of this checkout, as tests/gobuild links them.
BIN_DIR = os.environ.setdefault("GOSPECT_BIN_DIR", os.path.join(TOP, "build", "progs"))
