# SPDX-License-Identifier: BSD-2-Clause
"""Advice that fits, by tests/progs/advice: who keeps a request from being written, many Transports,
two clients in one row, a dead connection.  All kinds run in one program, each with a host and a place of its own."""
import os
import unittest

from harness import Program, binary, need_root, releases
from netprogs import found, snapshot
from tree import TOP

SOME = releases("1.20", "newest")
KINDS = "continue,pipe,producer,unread,transports,limits,dead,lookup"
SOURCE = os.path.join(TOP, "tests", "progs", "advice", "main.go")

# kind of the finding, what one of its lines says, what its advice says
RIGHT = {
    "continue": ("slow-phase", "wait for the server's 100 Continue", "ExpectContinueTimeout"),
    "pipe": ("no-timeout", "wait for their own Body", "io.Pipe"),
    "producer": ("no-timeout", "wait for their own Body: its Read is at main.(*slowBody).Read (main.go:{read})",
                 "see who produces it"),
    "unread": ("no-timeout", "wait for the server to read what is sent", "does not read"),
    "transports": ("connection-churn", "http.Transports, which share nothing", "make one http.Client"),
    "dead": ("no-timeout", "because of the dead-connection above", "http.Client.Timeout"),
    "lookup": ("slow-phase", "asks for names itself", "/etc/resolv.conf"),
    "limits": ("no-timeout", "5 more from this call site end by themselves", "http.Client.Timeout"),
}


def lines():
    """Where the program's places are."""
    with open(SOURCE) as f:
        return {l.rsplit("// PLACE ", 1)[1].strip(): n for n, l in enumerate(f, 1) if "// PLACE " in l}


def matching(report, at, name):
    """Findings of that kind and place; who dials often may have been seen by no look, and then has none."""
    kind = RIGHT[name][0]
    return [f for f in report["findings"] if f["kind"] == kind and
            f.get("place", {}).get("line", at[name] if kind == "connection-churn" else None) == at[name]]


class Advice(unittest.TestCase):
    def setUp(self):
        need_root()

    def one(self, release):
        at = lines()
        with Program([binary(f"advice-{release}-stripped"), KINDS]) as p:
            for _ in range(3):  # seen for over 3 s, on a busy machine too
                report = snapshot(p.pid, "--window", "5s", "--only", "net")
                if all(matching(report, at, name) for name in RIGHT):
                    break
        for name, (_, says, advice) in RIGHT.items():
            f = matching(report, at, name)
            self.assertEqual(len(f), 1, (name, report["findings"]))
            self.assertIn(says.format(**at), "\n".join(f[0]["evidence"]), name)
            self.assertIn(advice, f[0]["advice"], name)

    def twin(self, release):
        """What is answered is no finding; of `limits` the server does not answer here either.  An upload
        that moves is none, however long it takes."""
        with Program([binary(f"advice-{release}-stripped"), KINDS + ",upload", "twin"]) as p:
            report = snapshot(p.pid, "--window", "5s", "--only", "net")
        uploads = [r for r in report["net"]["in_flight"] if r["place"]["line"] == lines()["upload"]]
        self.assertEqual([r["phase"] for r in uploads if r["since_s"] > 3], ["request_write"] * 3)
        kinds = {(k, p[2] if p else None) for k, p in found(report)}
        self.assertEqual(kinds - {("slow-phase", lines()["limits"])}, set())


for r in SOME:
    if r == SOME[-1] or os.environ.get("GOSPECT_NET_ALL"):
        setattr(Advice, f"test_{r.replace('.', '_')}", lambda self, r=r: self.one(r))
        setattr(Advice, f"test_twin_{r.replace('.', '_')}", lambda self, r=r: self.twin(r))
