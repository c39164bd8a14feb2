# SPDX-License-Identifier: BSD-2-Clause
"""`gospect watch` on the shop: the flag that is changed without a lock is found at its line, and with a
lock nothing is."""
import json
import subprocess
import unittest

from harness import USUAL, Program, binary, need_root
from test_watch import watch

SHOP = f"shop-{USUAL}-stripped"


class Shop(unittest.TestCase):
    def setUp(self):
        need_root()

    def where(self):
        return json.loads(subprocess.run([binary(SHOP), "-where"], capture_output=True, text=True, check=True).stdout)

    def test_config(self):
        """By the line that stores, as `make demo` has it."""
        t = self.where()["config"]
        with Program([binary(SHOP), "-bugs", "config", "-rate", "800"]) as p:
            r = watch(p.pid, f"{t['file']}:{t['line']}", "--prove", "--budget", "30")
            f, = r["findings"]
            self.assertEqual((f["kind"], f["severity"]), (t["kind"], "high"))
            self.assertEqual((f["place"]["function"], f["place"]["line"]), (t["function"], t["line"]))
            met = {a["place"]["function"] for w in r["shared_memory"] for a in w["accesses"] if a["overlaps"]}
            # with who reads it, or with another owner
            self.assertIn("main.(*Shop).changeSettings", met)
            self.assertTrue(met <= {"main.(*Shop).changeSettings", "main.(*Shop).isSale"}, met)
        with Program([binary(SHOP)]) as p:
            r = watch(p.pid, f"{t['file']}:{t['line']}", "--prove", "--budget", "10", "--for", "4s")
            self.assertEqual(r["findings"], [])
            self.assertGreater(r["shared_memory"][0]["hits"], 0)


if __name__ == "__main__":
    unittest.main()
