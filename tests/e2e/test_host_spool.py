# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots that gospect host keeps of what has a severe finding, and `gospect spool`."""
import json
import os
import subprocess
import time

from harness import USUAL, binary, gospect, wait_until
from netprogs import Commands
from schema import report
from test_host_export import Base

RULES = "processes:\n  - {exe: '*/dbcases-*'}\n  - {depth: none}\n"
OLD = "20200101T000000Z-old-1"


class Spool(Base):
    def setUp(self):
        super().setUp()
        self.spool = os.path.join(self.dir, "spool")

    def case(self, name):
        p = Commands([binary(f"dbcases-{USUAL}-stripped"), name])
        self.stack.callback(p.close)
        return p

    def watch(self, text=""):
        return self.host(RULES + text, env={"GOSPECT_HOST_SPOOL_DIR": self.spool})

    def found(self, h, pid):
        return [f for f in json.loads(h.get("/api/v1/findings")[2])["findings"]
                if f["pid"] == pid and f["worst"] in ("high", "critical")]

    def kept(self, h, pid):
        f = wait_until(lambda: self.found(h, pid), "a severe finding")[0]
        return f["snapshot"], f

    def run_spool(self, *args, status=0):
        p = gospect("spool", *args, "--dir", self.spool)
        self.assertEqual(p.returncode, status, p.stderr)
        return p.stdout

    def test_kept_and_shown(self):
        """A pool that deadlocks itself is kept once, with every goroutine by stack; its healthy twin is not."""
        sick, healthy = self.case("nested1"), self.case("onebyone")
        h = self.watch()
        id, f = self.kept(h, sick.pid)
        status, kind, text = h.get(f"/snapshots/{id}.json")
        self.assertEqual((status, kind), (200, "application/json"))
        r = report(text)
        self.assertEqual(r["target"]["pid"], sick.pid)
        self.assertIn(f["finding"]["title"], [g["title"] for g in r["findings"]])
        groups = r["goroutines"]["groups"]
        self.assertGreaterEqual(sum(g["count"] for g in groups), r["goroutines"]["live"])
        self.assertIn("main.loadItems", {p["function"] for g in groups for p in g["stack"]})
        status, kind, text = h.get(f"/snapshots/{id}")
        self.assertEqual((status, kind), (200, "text/html; charset=utf-8"))
        self.assertIn("main.loadItems", text)
        self.assertIn(f'href="/snapshots/{id}"', h.get("/")[2])
        for path in ("..", "../host.yaml", id + ".yaml", OLD, "%2e%2e/host.yaml"):
            self.assertEqual(h.get("/snapshots/" + path)[0], 404, path)

        title = f["finding"]["title"]
        rows = self.run_spool("ls", "-o", "/dev/stdout").splitlines()
        row, = [r for r in rows if r.startswith(id + " ")]
        self.assertIn(title[:40], row)
        self.assertIn("main.loadItems", self.run_spool("show", id))
        self.assertEqual(report(self.run_spool("show", id, "--format", "json")), r)
        self.run_spool("diff", id, id)
        self.run_spool("show", OLD, status=1)
        for wrong in ((), ("show",), ("show", "../x"), ("ls", id), ("diff", id), ("keep",), ("show", id, "--format", "pprof")):
            self.run_spool(*wrong, status=2)

        seen = h.value("gospect_looks_total", depth="walk")
        wait_until(lambda: h.value("gospect_looks_total", depth="walk") > seen + 4, "more walks")
        names = os.listdir(self.spool)
        self.assertEqual(len([n for n in names if n.endswith(f"-{sick.pid}.json")]), 1, names)
        self.assertFalse([n for n in names if n.endswith(f"-{healthy.pid}.json")], names)
        self.assertFalse([n for n in names if n.startswith(".")], names)
        for n in names:
            self.assertEqual(os.stat(os.path.join(self.spool, n)).st_mode & 0o777, 0o600, n)
        self.assertEqual(h.value("gospect_snapshots_total", outcome="failed"), 0)

    def test_the_oldest_make_room(self):
        os.mkdir(self.spool)
        files = [f"{OLD}.json", f"{OLD}.html", "20200102T000000Z-old-2.json", "notes", ".new-1-x", ".new-2-y"]
        for n in files:
            with open(os.path.join(self.spool, n), "w") as f:
                f.truncate(700 << 10 if "old" in n or n == "notes" else 1)
        long_ago = time.time() - 3600
        os.utime(os.path.join(self.spool, ".new-1-x"), (long_ago, long_ago))
        sick = self.case("nested1")
        h = self.watch("spool: {size: 1M}\n")
        id, _ = self.kept(h, sick.pid)
        names = set(os.listdir(self.spool))
        # the second one and this one may fit; what is nobody's goes, what somebody may be writing stays
        self.assertLessEqual({f"{id}.json", f"{id}.html", f"{id}.txt", "notes", ".new-2-y"}, names)
        self.assertFalse({f"{OLD}.json", f"{OLD}.html", ".new-1-x"} & names, names)
        self.assertLessEqual(sum(os.stat(os.path.join(self.spool, n)).st_size for n in names - {"notes"}), 1 << 20)

    def test_a_full_disk(self):
        """Said once, counted, without a link; nothing is left in part, and it goes on."""
        os.mkdir(self.spool)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", self.spool], check=True)
        self.stack.callback(subprocess.run, ["umount", self.spool], check=True)
        sick = self.case("nested1")
        h = self.watch("spool: {interval: 1s}\n")
        wait_until(lambda: (h.value("gospect_snapshots_total", outcome="failed") or 0) >= 2, "two that failed")
        self.assertTrue(self.found(h, sick.pid))
        self.assertFalse([f for f in self.found(h, sick.pid) if "snapshot" in f])
        self.assertEqual(os.listdir(self.spool), [])
        self.assertEqual(h.said().count("No space left on device"), 1, h.said())
        self.assertEqual(h.get("/-/healthy")[0], 200)

    def test_a_stalled_disk(self):
        """A file system that takes nothing holds up neither looks nor pages; what waited is kept
        when it goes on."""
        image = os.path.join(self.dir, "image")
        with open(image, "w") as f:
            f.truncate(8 << 20)
        os.mkdir(self.spool)
        for command in (["mkfs.ext4", "-q", image], ["mount", "-o", "loop", image, self.spool]):
            p = subprocess.run(command, capture_output=True, text=True)
            if p.returncode:
                self.skipTest(p.stderr)
        self.stack.callback(subprocess.run, ["umount", self.spool], check=True)
        freeze = lambda how: subprocess.run(["fsfreeze", how, self.spool], capture_output=True, text=True)
        p = freeze("--freeze")
        if p.returncode:
            self.skipTest(p.stderr)
        self.stack.callback(freeze, "--unfreeze")	# before it is unmounted; an error where it was done
        sick = self.case("nested1")
        h = self.watch()
        self.stack.callback(freeze, "--unfreeze")	# before gospect host has to end
        wait_until(lambda: self.found(h, sick.pid), "a severe finding")
        seen = h.value("gospect_looks_total", depth="walk")
        wait_until(lambda: h.value("gospect_looks_total", depth="walk") > seen + 5, "more walks")
        self.assertEqual(h.get("/-/healthy")[0], 200)
        f, = self.found(h, sick.pid)
        self.assertNotIn("snapshot", f)
        self.assertEqual(h.value("gospect_snapshots_total", outcome="kept"), 0)
        self.assertEqual(h.value("gospect_snapshots_total", outcome="failed"), 0)
        self.assertEqual(freeze("--unfreeze").returncode, 0)
        id = wait_until(lambda: self.found(h, sick.pid)[0].get("snapshot"), "the snapshot")
        self.assertEqual(h.get(f"/snapshots/{id}.json")[0], 200)
        self.assertEqual(h.value("gospect_snapshots_total", outcome="kept"), 1)
