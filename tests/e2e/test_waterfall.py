# SPDX-License-Identifier: BSD-2-Clause
"""The waterfall of the HTML report, against tests/progs/proxies: a request that takes 1.5 s to connect and 2 s
to be answered, as a browser draws it."""
import html
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

from harness import DEADLINE, USUAL, binary, gospect, need_root
from netprogs import Commands

SCRIPT = """<script>
document.title=JSON.stringify([].map.call(document.querySelectorAll('.wf'),function(w){
 return {host:w.previousElementSibling.textContent,rows:[].map.call(w.querySelectorAll('.bar'),function(b){
  return {label:b.previousElementSibling.textContent,width:b.getBoundingClientRect().width,
   parts:[].map.call(b.children,function(i){
    return [i.title.split(' ')[0],i.getBoundingClientRect().width,getComputedStyle(i).backgroundColor]})}})}}));
</script></body>"""


class Waterfall(unittest.TestCase):
    def setUp(self):
        need_root()

    def page(self, path):
        with Commands([binary(f"proxies-{USUAL}-stripped")]) as p:
            over = threading.Event()

            def send():
                while not over.is_set():
                    p.do("slow")
            t = threading.Thread(target=send)
            t.start()
            try:
                r = gospect("snapshot", p.pid, "--window", "6s", "--only", "net", "--format", "html", "-o", path)
            finally:
                over.set()
                t.join()
        self.assertEqual(r.returncode, 0, r.stderr)
        with open(path) as f:
            return f.read()

    def test_in_a_browser(self):
        with tempfile.TemporaryDirectory() as tmp:
            path = os.path.join(tmp, "w.html")
            text = self.page(path)
            self.assertIn("Where requests spend their time", text)
            self.assertRegex(text, r"slowest seen[^<]*</span><span class=\"bar\">")
            chrome = next((c for c in ("chromium", "chromium-browser", "google-chrome") if shutil.which(c)), None)
            if not chrome:
                self.skipTest("no chromium")
            with open(path, "w") as f:
                f.write(text.replace("</body>", SCRIPT))
            q = subprocess.run([chrome, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900",
                                f"--user-data-dir={tmp}/profile", "--dump-dom", "file://" + path],
                               capture_output=True, text=True, timeout=DEADLINE)
        m = re.search(r"<title>(\[.*?\])</title>", html.unescape(q.stdout))
        self.assertTrue(m, q.stderr[-2000:])
        host = json.loads(m.group(1))[0]	# the slowest comes first
        slowest = host["rows"][0]
        self.assertTrue(slowest["label"].startswith("slowest seen"), host)
        parts = {p[0]: p for p in slowest["parts"]}
        self.assertTrue({"connect", "ttfb"} & set(parts), host)
        self.assertLessEqual(sum(p[1] for p in slowest["parts"]), slowest["width"] + len(parts))
        self.assertGreater(max(p[1] for p in slowest["parts"]), slowest["width"] / 5)
        colors = [p[2] for p in slowest["parts"] if p[0] != "not"]
        self.assertEqual(len(set(colors)), len(colors), host)
        self.assertTrue(all("estimated" in r["label"] for r in host["rows"][1:]), host)


if __name__ == "__main__":
    unittest.main()
