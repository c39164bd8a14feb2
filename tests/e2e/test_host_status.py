# SPDX-License-Identifier: BSD-2-Clause
"""What gospect host says of itself when it is asked, and the runtime's own histograms that it
passes on, beside what the program counts."""
import json
import os
import socket
import subprocess
import threading

import test_host_export as export
from harness import DEADLINE, GOSPECT, OLDEST, USUAL, Work, wait_until

NAME = f"status-{os.getpid()}"	# another lane has its own


def run(*args):
    return subprocess.run([GOSPECT, "host", *args], capture_output=True, text=True, timeout=DEADLINE)


def rules(*more):
    return "processes:\n" + "".join(f"  - {r}\n" for r in (*more, f"{{service: {NAME}*}}", "{depth: none}"))


class Status(export.Base):
    def work(self, release, name):
        return self.stack.enter_context(Work(release, env={"OTEL_SERVICE_NAME": NAME + name}))

    def test_help_has_each_key(self):
        p = run("--help")
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        for word in ("--status", "probes.at_once", "GOSPECT_HOST_SPOOL_DIR"):
            self.assertIn(word, p.stdout)

    def test_each_process_and_why_no_deeper(self):
        w, shallow, none = (self.work(USUAL, n) for n in ("", "-totals", "-none"))
        host = self.host(rules(f"{{service: {NAME}-totals, depth: totals}}", f"{{service: {NAME}-none, depth: none}}"))
        listen = "listen=%s:%s" % host.address

        def rows():
            p = run("--status", "--set", listen)
            self.assertEqual((p.returncode, p.stderr), (0, ""))
            self.assertIn("starts are told", p.stdout.splitlines()[0])
            of = {l.split()[0]: l.split() for l in p.stdout.splitlines()[1:]}
            return of if of.get(str(w.pid), [""])[-1] == "walk" else None
        of = wait_until(rows, "its walk")
        self.assertIn("go" + USUAL, of[str(w.pid)])
        self.assertEqual(of[str(shallow.pid)][-2:], ["totals", "configured"])
        self.assertEqual(of[str(none.pid)][5], "none")
        self.assertIn("configuration", " ".join(of[str(none.pid)]))	# cut to the width
        p = run("--status", "--format", "json", "--set", listen)
        mine, = [r for r in json.loads(p.stdout)["processes"] if r["pid"] == w.pid]
        self.assertEqual((mine["depth"], json.loads(p.stdout)["gospect"]["starts"]), ("walk", "told"))

    def test_nobody_answers(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]

            def garbage():
                c, _ = s.accept()
                with c:
                    c.recv(1000)
                    c.sendall(b'HTTP/1.1 200 OK\r\n\r\n{"processes": 7')
            t = threading.Thread(target=garbage)
            t.start()
            p = run("--status", "--set", f"listen=127.0.0.1:{port}")
            t.join()
            self.assertEqual((p.returncode, p.stdout), (1, ""))
            self.assertIn("is no gospect host", p.stderr)
        p = run("--status", "--set", f"listen=127.0.0.1:{port}")
        self.assertEqual((p.returncode, p.stdout), (1, ""))
        self.assertIn("no gospect host answers", p.stderr)
        self.assertEqual(run("--status", "--set", "listen=").returncode, 1)

    def test_version(self):
        p = run("--version")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertRegex(p.stdout, r"^gospect-host v?\d+\.\d+")

    def test_histograms(self):
        """Two pauses in each collection; none claimed where the runtime keeps none."""
        w, old = self.work(USUAL, ""), self.work(OLDEST, "-old")
        for p in w, old:
            p.do("gc 7")
        host = self.host(rules())
        value = lambda what, name="", **labels: host.value(what, service_name=NAME + name, **labels)
        pauses, waits = "go_memory_gc_pause_duration_seconds", "go_schedule_duration_seconds"
        wait_until(lambda: value("go_goroutines") and value("go_goroutines", "-old"), "both")
        collections = w.do("stat")["num_gc"]
        self.assertGreaterEqual(collections, 7)
        # one that is begun again has a pause more
        n = wait_until(lambda: value(pauses + "_count"), "pauses")
        self.assertTrue(2 * collections <= n <= 2 * collections + 4, (collections, n))
        self.assertEqual(value(pauses + "_bucket", le="+Inf"), n)
        self.assertGreater(value(pauses + "_sum"), 0)
        self.assertGreater(value(waits + "_count"), 0)
        text = host.get("/metrics")[2]
        below = [float(l.rsplit(" ", 1)[1]) for l in text.splitlines()
                 if l.startswith(waits + "_bucket") and f'service_name="{NAME}"' in l]
        self.assertEqual(len(below), 11)
        self.assertEqual(below, sorted(below))
        self.assertIn(f"# TYPE {pauses} histogram\n", text)
        self.assertIsNone(value(pauses + "_count", "-old"))	# 1.18 keeps none of these
