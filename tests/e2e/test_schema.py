# SPDX-License-Identifier: BSD-2-Clause
"""gospect --schema: a valid schema, which takes the reports that there are and
no others.  Those of live programs are validated where each test reads them."""
import copy
import os
import subprocess
import tempfile
import unittest

from jsonschema import Draft202012Validator

from schema import report, schema, validator
from tree import GOSPECT, TOP


class Schema(unittest.TestCase):
    def test_is_a_schema(self):
        s = schema()
        self.assertEqual(s["$schema"], Draft202012Validator.META_SCHEMA["$schema"])
        Draft202012Validator.check_schema(s)

    def test_each_reference_leads_somewhere(self):
        s = schema()

        def refs(node):
            if isinstance(node, dict):
                for k, v in node.items():
                    if k == "$ref":
                        yield v
                    else:
                        yield from refs(v)
            elif isinstance(node, list):
                for v in node:
                    yield from refs(v)
        all_refs = set(refs(s))
        self.assertGreater(len(all_refs), 20)
        # what `gospect leaks` prints is an object of its own
        self.assertEqual(all_refs | {"#/$defs/leaked_goroutine", "#/$defs/lint", "#/$defs/watch"}, {f"#/$defs/{name}" for name in s["$defs"]})

    def test_full_disk(self):
        with open("/dev/full", "w") as full:
            p = subprocess.run([GOSPECT, "--schema"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(p.returncode, 1)
        self.assertIn("No space left", p.stderr)

    def unit_reports(self, name):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "reports")
            p = subprocess.run([os.path.join(TOP, "build", "unit", name)], capture_output=True, cwd=TOP,
                               env={**os.environ, "GOSPECT_REPORTS": path})
            self.assertEqual(p.returncode, 0, p.stderr[-2000:])
            with open(path) as f:
                return f.readlines()

    def test_windows_of_the_unit_tests(self):
        """Everything that can be wrong, every member, sums of the rest, hostile names."""
        lines = [l for name in ("test_report_json", "test_report_bounds", "test_report_net", "test_report_net_bounds",
                                "test_report_net_views", "test_snapshot", "test_diff") for l in self.unit_reports(name)]
        rs = [report(l) for l in lines]
        self.assertGreater(len(rs), 40)

        def rest(o):
            if isinstance(o, dict):
                return o.get("other") is True or any(map(rest, o.values()))
            return isinstance(o, list) and any(map(rest, o))
        self.assertTrue(any(map(rest, rs)))
        # each subject was there
        members = {m for r in rs for m in r}
        self.assertLessEqual({"goroutines", "alloc", "gc", "net", "sql", "locks", "lock_waits", "heap", "leaks"},
                             members)

    def test_refuses_what_is_not_so(self):
        r = report(next(l for l in self.unit_reports("test_report_net") if '"clients":[{' in l))
        v = validator()
        self.assertTrue(v.is_valid(r))
        for spoil in (lambda r: r.pop("losses"),
                      lambda r: r.update(new=1),
                      lambda r: r["losses"].update(events=-1),
                      lambda r: r["net"]["clients"][0].update(exactness="perhaps"),
                      lambda r: r["net"]["clients"][0].pop("exactness"),
                      lambda r: r["net"]["clients"][0].update(place="main.main")):
            bad = copy.deepcopy(r)
            spoil(bad)
            self.assertFalse(v.is_valid(bad))


if __name__ == "__main__":
    unittest.main()
