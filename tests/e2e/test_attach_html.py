# SPDX-License-Identifier: BSD-2-Clause
"""`gospect attach --format html`: one page at the end, of the whole time; with what the process died of in it."""
import html
import html.parser
import os
import signal
import subprocess
import tempfile
import unittest

from harness import DEADLINE, GOSPECT, USUAL, Work, need_root
from test_crash import Death, users

VOID = ("meta", "br", "input", "hr")


class Page(html.parser.HTMLParser):
    """Its text, and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.bad, self.words, self.scripts = [], [], [], 0
        self.feed(text)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in ("p", "li") and tag not in self.open[-1:]:
            self.bad.append(tag)
        elif not self.open or self.open.pop() != tag:
            self.bad.append(tag)

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.words.append(data)


class AttachHtml(unittest.TestCase):
    def setUp(self):
        need_root()

    def check(self, text):
        self.assertTrue(text.startswith("<!DOCTYPE html>") and text.endswith("</html>\n"))
        self.assertEqual(text.count("<!DOCTYPE"), 1)
        self.assertNotIn("http:", text.split("</style>")[0])
        page = Page(text)
        self.assertEqual((page.bad, page.open, page.scripts), ([], [], 1))
        return page

    def test_crash(self):
        with tempfile.TemporaryDirectory() as tmp:
            path = os.path.join(tmp, "end.html")
            with Death(USUAL, "error", worker=True, args=("--format", "html", "-o", path)) as d:
                self.assertFalse(os.path.exists(path))
                d.go()
                truth = d.died()
                d.told()
                self.assertEqual(d.g.returncode, 0, d.said)
            with open(path) as f:
                page = self.check(f.read())
            self.assertIn(truth.message.split("\n")[0], page.text)
            self.assertIn(f"goroutine {truth.goroutine}", page.text)
            self.assertIn("exit status 2", page.text)
            mine = users(truth.stack)
            self.assertGreaterEqual(len(mine), 2)
            for function, file, line in mine:
                self.assertIn(f"{function} ({file}:{line})", page.text.replace(" (", " ("))
            self.assertEqual(page.text.count("CRITICAL") + page.text.count("critical"), 1)

    def test_hostile_message(self):
        """What a panic says is text."""
        with Death(USUAL, "markup", args=("--format", "html")) as d:
            d.go()
            self.assertIn("<script>", d.died().message)
            page = self.check(d.told())
        self.assertIn("<script>alert(1)</script>", page.text)

    def test_healthy(self):
        """Of the whole time, and at the end alone; Ctrl-C ends it, too."""
        with Work() as w, tempfile.TemporaryDirectory() as tmp:
            path = os.path.join(tmp, "w.html")
            with open(path, "w") as f:
                f.write("before")
            with subprocess.Popen([GOSPECT, "attach", str(w.pid), "--format", "html", "-o", path, "--for", "1h"],
                                  stderr=subprocess.PIPE, text=True) as g:
                self.assertIn("watching", g.stderr.readline())
                with open(path) as f:
                    self.assertEqual(f.read(), "before")
                g.send_signal(signal.SIGINT)
                self.assertEqual(g.wait(DEADLINE), 0, g.stderr.read())
            with open(path) as f:
                page = self.check(f.read())
            self.assertNotIn("the process ended", page.text)
            self.assertNotIn("critical", page.text)
            self.assertIn("Coverage", page.text)


if __name__ == "__main__":
    unittest.main()
