# SPDX-License-Identifier: BSD-2-Clause
"""`gospect lint`: the lines of tests/progs/typednil that end in "typed nil", those of tests/progs/noclient that send a
request without a timeout, and nothing else.

By four releases; with GOSPECT_LINT_ALL by all, stripped or not, PIE, without optimization."""
import json
import os
import re
import subprocess
import tempfile
import unittest

from harness import GOSPECT, RELEASES, USUAL, Work, binary, need_root
from schema import validator
from tree import TOP, releases

ALL = os.environ.get("GOSPECT_LINT_ALL")
BUILDS = [(r, v) for r in RELEASES for v in ("plain", "pie", "noopt")] if ALL else \
         [(r, "stripped") for r in releases("oldest", "1.25", "usual", "newest")] + [(USUAL, "pie"), (USUAL, "noopt")]


def wanted():
    """{line: function} of what the source says."""
    lines, function = {}, None
    with open(os.path.join(TOP, "tests", "progs", "typednil", "main.go")) as f:
        for n, line in enumerate(f, 1):
            if m := re.match(r"func (\w+)", line):
                function = "main." + m.group(1)
            if line.rstrip().endswith("// typed nil"):
                lines[n] = function
    return lines


def lint(*args, status=0, **kw):
    p = subprocess.run([GOSPECT, "lint", *args], capture_output=True, text=True, timeout=120, **kw)
    if p.returncode != status:
        raise AssertionError(f"status {p.returncode}: {p.stderr}{p.stdout}")
    return p


def report(*args, **kw):
    r = json.loads(lint("--format", "json", *args, **kw).stdout)
    for e in validator().evolve(schema={**validator().schema, "$ref": "#/$defs/lint"}).iter_errors(r):
        raise AssertionError(f"not as the schema says: {list(e.absolute_path)}: {e.message[:500]}")
    return r


class Lint(unittest.TestCase):
    def test_typed_nils(self):
        want = wanted()
        self.assertEqual(len(want), 4)
        for release, variant in BUILDS:
            with self.subTest(release=release, variant=variant):
                r = report(binary(f"typednil-{release}-{variant}"))
                self.assertEqual({n["place"]["line"]: n["place"]["function"] for n in r["typed_nil"]}, want)
                self.assertEqual({n["place"]["file"] for n in r["typed_nil"]}, {"main.go"})
                self.assertEqual({n["type"] for n in r["typed_nil"]}, {"*main.myError"})
                how = {n["place"]["function"]: n["certainty"] for n in r["typed_nil"]}
                self.assertEqual(how["main.badCallee"], "callee")
                self.assertEqual(how["main.badPath"], "path")
                called = [n["callee"]["function"] for n in r["typed_nil"] if "callee" in n]
                self.assertEqual(called, ["main.notInlined"])
                self.assertEqual((r["state"], r["too_complex"], r["not_reached"]), ("exact", 0, 0))
                self.assertEqual(sorted(f["place"]["line"] for f in r["findings"]), sorted(want))
                self.assertEqual({(f["kind"], f["severity"]) for f in r["findings"]}, {("typed-nil", "medium")})

    def test_requests(self):
        """Eight that nothing bounds, beside twenty that something does or may."""
        everything = {}
        with open(os.path.join(TOP, "tests", "progs", "noclient", "main.go")) as f:
            for n, line in enumerate(f, 1):
                if m := re.search(r"// (no timeout|the default client)$", line):
                    everything[n] = "own" if m.group(1) == "no timeout" else "default"
        self.assertEqual(sorted(everything.values()), ["default"] * 2 + ["own"] * 6)
        methods = {"main.badGet": "Get", "main.badPointer": "Get", "main.badDo": "Do", "main.badBackground": "Do",
                   "main.badPost": "Post", "main.badLoop": "Head", "main.badDefault": "Get", "main.badDefaultDo": "Do"}
        for release, variant in BUILDS:
            with self.subTest(release=release, variant=variant):
                r = report(binary(f"noclient-{release}-{variant}"))
                # there the address of a field that is stored goes through a branch
                hard = variant == "noopt" and int(release.split(".")[1]) <= 20
                hidden = {"main.badPointer", "main.badBackground"} if hard else set()
                found = {n["place"]["function"] for n in r["no_timeout"]}
                self.assertEqual(found, set(methods) - hidden)
                want = {n: c for n, c in everything.items() if n in {x["place"]["line"] for x in r["no_timeout"]}}
                self.assertEqual({n["place"]["line"]: n["client"] for n in r["no_timeout"]}, want)
                self.assertEqual({n["place"]["file"] for n in r["no_timeout"]}, {"main.go"})
                self.assertEqual(len(r["no_timeout"]), len(want))
                by = {n["place"]["function"]: n for n in r["no_timeout"]}
                self.assertEqual({f: n["method"] for f, n in by.items()},
                                 {f: m for f, m in methods.items() if f not in hidden})
                self.assertEqual([f for f, n in by.items() if n.get("transport")], ["main.badPointer"] * (not hard))
                self.assertNotIn("made", by["main.badDefault"])
                self.assertEqual(by["main.badDo"]["made"]["line"], by["main.badDo"]["place"]["line"] - 6)
                self.assertEqual(r["senders_unjudged"], 0)
                self.assertGreater(r["senders"], 20)
                self.assertEqual({(f["kind"], f["severity"]) for f in r["findings"]}, {("no-timeout", "info")})

    def test_default_client_set_up(self):
        """Where the program gives it a timeout, nothing is said of those who use it."""
        for release in releases("oldest", "usual", "newest"):
            with self.subTest(release=release):
                r = report(binary(f"ownclient-{release}-stripped"))
                self.assertEqual((r["no_timeout"], r["findings"]), ([], []))
                self.assertEqual(r["senders"], 1)

    def test_text_and_status(self):
        path = binary(f"typednil-{USUAL}-stripped")
        text = lint(path).stdout
        for line, function in wanted().items():
            self.assertIn(f"{function} (main.go:{line}) returns a nil *main.myError as an error", text)
        self.assertIn("every path through them was followed", text.replace("\n            ", " "))
        lint("--fail-on", "medium", path, status=10)
        lint("--fail-on", "high", path)
        path = binary(f"noclient-{USUAL}-stripped")
        lint("--fail-on", "info", path, status=10)
        text = " ".join(lint("--fail-on", "low", path).stdout.split())
        self.assertIn("main.badGet (main.go:19) sends a request by an http.Client without a timeout", text)
        self.assertIn("main.badDefault (main.go:64) sends a request by http.DefaultClient, which has no timeout", text)
        lint(status=2)
        lint("--fail-on", "awful", path, status=2)
        lint(os.devnull, status=3)
        lint("/bin/true", status=3)

    def test_healthy_program(self):
        """Of this one all is healthy, and something was looked at."""
        r = report(binary(f"httpload-{USUAL}-stripped"))
        self.assertEqual((r["typed_nil"], r["findings"]), ([], []))
        std = report("--std", binary(f"httpload-{USUAL}-stripped"))
        self.assertGreater(std["with_errors"], r["with_errors"])
        self.assertEqual(std["findings"], [])

    def test_process(self):
        need_root()
        with Work() as w:
            r = report(str(w.pid))
            self.assertEqual(r["pid"], w.pid)
            self.assertNotIn("file", r)
            self.assertEqual(r["findings"], [])

    def test_damaged(self):
        """Bytes that are changed in the code (which comes first), and files that are cut off: a status, no crash."""
        with open(binary(f"typednil-{USUAL}-stripped"), "rb") as f:
            whole = f.read()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "damaged")
            statuses = []
            for seed in range(12):
                bad = bytearray(whole)
                for at in range(0x1000 + seed * 37, len(bad) // 4, 211 + seed * 101):
                    bad[at] ^= 1 + (at * 7 + seed) % 255
                with open(path, "wb") as f:
                    f.write(bad[:len(bad) - seed * len(bad) // 16] if seed % 3 == 0 else bad)
                p = subprocess.run([GOSPECT, "lint", path], capture_output=True, text=True, timeout=120)
                statuses.append(p.returncode)
                with self.subTest(seed=seed):
                    self.assertIn(p.returncode, (0, 3), p.stderr)
            self.assertEqual(set(statuses), {0, 3})


if __name__ == "__main__":
    unittest.main()
