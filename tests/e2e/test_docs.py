# SPDX-License-Identifier: BSD-2-Clause
"""The documents say what is true: links lead somewhere, and the README has every command
and every finding, in at most 150 lines."""
import glob
import os
import re
import subprocess
import unittest

from harness import GOSPECT
from tree import TOP


def text(name):
    with open(os.path.join(TOP, name)) as f:
        return f.read()


def anchors(s):
    """As GitHub makes them of headings."""
    return {re.sub(r"[^\w -]", "", h.lower()).strip().replace(" ", "-") for h in re.findall(r"^#+ (.*)", s, re.M)}


def documents():
    return [os.path.relpath(f, TOP) for f in sorted(glob.glob(os.path.join(TOP, "*.md")) +
                                                    glob.glob(os.path.join(TOP, "docs", "*.md")))]


class Docs(unittest.TestCase):
    def test_links(self):
        links = 0
        for name in documents():
            for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", text(name)):
                if "://" in target:
                    continue
                links += 1
                with self.subTest(document=name, target=target, anchor=anchor):
                    file = os.path.normpath(os.path.join(os.path.dirname(name), target)) if target else name
                    self.assertTrue(os.path.exists(os.path.join(TOP, file)))
                    if anchor:
                        self.assertIn(anchor, anchors(text(file)))
        self.assertGreater(links, 20)

    def test_paths(self):
        """Files and folders named in backquotes exist."""
        for name in documents():
            for path in re.findall(r"`((?:src|bpf|include|tests|tools|docs)/[a-z0-9_./-]+)`", text(name)):
                with self.subTest(document=name, path=path):
                    self.assertTrue(os.path.exists(os.path.join(TOP, path)))

    def test_readme(self):
        readme = text("README.md")
        self.assertLessEqual(len(readme.splitlines()), 150)
        help_text = subprocess.run([GOSPECT, "--help"], capture_output=True, text=True, check=True).stdout
        for command in re.findall(r"^  ([a-z]+)\b", help_text, re.M):
            with self.subTest(command=command):
                self.assertIn(f"gospect {command}", readme)
        source = "".join(text(os.path.relpath(f, TOP)) for f in glob.glob(os.path.join(TOP, "src", "*", "*.c")))
        detectors = re.findall(r'const struct detector \w+ = \{\s*(?:\.name = )?"([a-z-]+)"', source)
        self.assertGreater(len(detectors), 15)
        for kind in detectors:
            with self.subTest(finding=kind):
                self.assertIn(f"| `{kind}` |", readme)


if __name__ == "__main__":
    unittest.main()
