# SPDX-License-Identifier: BSD-2-Clause
"""Probes of gospect host: what only they can see opens and closes as a finding and is counted beside
the time for which it was; in turn, never more at a time than configured, never two of one file; and
however gospect host, or the program, ends: nothing is left."""
import json
import os
import shutil
import signal
import subprocess
import time

from harness import CACHE, DEADLINE, GOSPECT, NEWEST, USUAL, Work, binary, text_differs, wait_until
from netprogs import Commands
from test_host_export import Base

NAME = f"probed-{os.getpid()}"
ONLY = f"processes:\n  - {{service: {NAME}-*, depth: probes}}\n  - {{depth: none}}\n"
SHORT = "probes: {at_once: 1, time: 2s, rest: 2s}\n"


class Watching(Base):
    def work(self, name, variant="stripped"):
        return self.stack.enter_context(Work(USUAL, variant, env={"OTEL_SERVICE_NAME": f"{NAME}-{name}"}))

    def watch(self, text=SHORT + ONLY):
        env = {k: v for k, v in os.environ.items() if k != "GOSPECT_HOST_PROBES_AT_ONCE"}
        env["GOSPECT_HOST_PROBES_AT_ONCE"] = str(self.at_once)
        return self.host(text, env=env)

    at_once = 1

    def rows(self, h):
        return {r["pid"]: r for r in json.loads(h.get("/api/v1/processes")[2])["processes"]
                if r["service"]["name"].startswith(NAME)}

    def open(self, h, pid, kind="large-allocation"):
        return [f for f in json.loads(h.get("/api/v1/findings")[2])["findings"]
                if f["pid"] == pid and f["finding"]["kind"] == kind]	# of garbage walks tell, too

    def until(self, cond, what, *work):
        """While those who work do."""
        def turn():
            for w, line in work:
                w.do(line)
            return cond()
        return wait_until(turn, what)

    def lint(self, h):
        promtool = shutil.which("promtool") or os.path.join(CACHE, "prometheus", "usr", "bin", "promtool")
        if os.path.exists(promtool):
            p = subprocess.run([promtool, "check", "metrics"], input=h.get("/metrics")[2], capture_output=True, text=True)
            self.assertEqual((p.returncode, p.stdout), (0, ""), p.stderr)

    def armed(self, w):
        return wait_until(lambda: text_differs(w.pid), "probes")

    def gone(self, pids, limit):
        """How long until no byte of them differs."""
        begin = time.monotonic()
        wait_until(lambda: not any(text_differs(p) for p in pids), "the text as it was")
        took = time.monotonic() - begin
        self.assertLess(took, limit)


class Probes(Watching):
    def test_large_allocations(self):
        """Seen by probes alone: opens at its line, is counted, and closes when a window has none;
        its twin, that allocates nothing large, has no finding."""
        w, twin = self.work("sick"), self.work("well", "trimpath")
        truth = w.do("where")["large"]["bytes"]
        h = self.watch()
        load = ((w, "large 40 1000000 bytes"), (twin, "births 20"))
        f, = self.until(lambda: self.open(h, w.pid), "the finding", *load)
        self.assertEqual(f["state"], "open")
        place = f["finding"]["place"]
        self.assertEqual((place["function"], place["file"], place["line"]),
                         (truth["function"], truth["file"], truth["line"]))
        row = self.rows(h)[w.pid]
        self.assertGreaterEqual(row["probes"]["windows"], 1)
        of = {"service_name": f"{NAME}-sick"}
        seconds = h.value("gospect_probed_seconds_total", counted="large_allocations", **of)
        self.assertGreater(seconds, 1.5)
        m = h.metrics()
        n = sum(v for (name, ls), v in m.items() if name == "gospect_probed_large_allocations_total"
                and dict(ls)["service_name"] == f"{NAME}-sick")
        size = sum(v for (name, ls), v in m.items() if name == "gospect_probed_large_allocation_bytes_total"
                   and dict(ls)["service_name"] == f"{NAME}-sick")
        self.assertGreater(n, 40)
        self.assertGreater(size / n, 900000)
        self.assertGreater(h.value("gospect_target_cost_cpu_seconds_total", **of), 0)
        self.assertEqual(h.value("gospect_findings", kind="large-allocation", **of), 1)
        self.lint(h)
        # the twin was looked at by probes, too
        self.until(lambda: self.rows(h)[twin.pid]["probes"]["windows"], "a window of the twin", *load)
        births = [v for (name, ls), v in h.metrics().items() if name == "gospect_probed_goroutine_births_total"
                  and dict(ls)["service_name"] == f"{NAME}-well"]
        self.assertGreater(sum(births), 0)
        # no walk closes it: only that a later window has none
        windows = self.rows(h)[w.pid]["probes"]["windows"]
        closed = lambda: [f for f in self.open(h, w.pid) if f["state"] == "closed"]
        f = wait_until(closed, "its end")[0]
        self.assertEqual(f["reason"], "gone")
        self.assertGreater(self.rows(h)[w.pid]["probes"]["windows"], windows)
        self.assertEqual(self.open(h, twin.pid), [])
        self.assertIsNone(h.value("gospect_findings", kind="large-allocation", **of))

    def test_killed_and_asked_to_end(self):
        w = self.work("a")
        h = self.watch("probes: {time: 60s}\n" + ONLY)
        self.armed(w)
        h.p.kill()
        self.gone([w.pid], 1)
        h.p.wait()
        h = self.watch("probes: {time: 60s}\n" + ONLY)
        self.armed(w)
        wait_until(lambda: self.rows(h)[w.pid]["depth"] == "probes", "a view of it")
        row = self.rows(h)[w.pid]["probes"]
        self.assertGreater(row["armed"], 0)
        self.assertEqual(row["why"], "configured")
        self.assertIn("since", row)
        self.assertEqual(h.value("gospect_target_probes", service_name=f"{NAME}-a"), row["armed"])
        self.assertEqual(h.value("gospect_targets", depth="probes"), 1)
        self.assertGreater(h.value("gospect_bpf_memory_bytes"), 1 << 20)
        status = subprocess.run([GOSPECT, "host", "--status", "--set", "listen=%s:%s" % h.address],
                                capture_output=True, text=True)
        line, = [l for l in status.stdout.splitlines() if l.split()[:1] == [str(w.pid)]]
        self.assertIn(" probes ", line)
        self.assertIn("since 20", line)
        begin = time.monotonic()
        h.p.terminate()
        self.assertEqual(h.p.wait(DEADLINE), 0)
        self.assertLess(time.monotonic() - begin, 2)
        self.assertEqual(text_differs(w.pid), [])	# before it ended
        self.assertTrue(w.do("check")["ok"])

    def test_reload_turns_them_off(self):
        w = self.work("a")
        h = self.watch("probes: {time: 60s}\n" + ONLY)
        self.armed(w)
        h.write(ONLY.replace("depth: probes", "depth: walk"))
        h.p.send_signal(signal.SIGHUP)
        self.gone([w.pid], 5)
        never = {"armed": 0, "why": "configured", "windows": 0}
        wait_until(lambda: self.rows(h)[w.pid]["probes"] == never, "walks alone")

    def test_the_process_ends(self):
        """In the middle of a window: it is forgotten, and the next one has its turn."""
        w, other = self.work("a"), self.work("b", "noopt")
        h = self.watch("probes: {time: 60s}\n" + ONLY)
        first = wait_until(lambda: next((p for p in (w, other) if text_differs(p.pid)), None), "probes")
        second = other if first is w else w
        first.close()
        self.armed(second)
        wait_until(lambda: self.rows(h).keys() == {second.pid}, "that one alone")
        self.assertEqual(h.get("/-/healthy")[0], 200)


class Failing(Watching):
    def netfail(self, name, percent):
        p = Commands([binary(f"netfail-{NEWEST}-stripped"), "reset", str(percent)],
                     env={"OTEL_SERVICE_NAME": f"{NAME}-{name}"})
        self.stack.callback(p.close)
        return p

    def sum(self, h, name, of):
        """Without a series: None."""
        found = [v for (n, ls), v in h.metrics().items() if n == f"gospect_probed_http_client_{name}_total"
                 and dict(ls)["service_name"] == f"{NAME}-{of}"]
        return sum(found) if found else None

    def test_host_that_fails(self):
        """Half of all calls fail: found by its host, counted as often as it was and no more, and over once a
        window has none.  Its twin of the same executable, which calls a host that is well, has no finding."""
        sick, well = self.netfail("sick", 50), self.netfail("well", 0)
        h = self.watch()
        self.assertIsNone(self.sum(h, "errors", "sick"))
        f, = wait_until(lambda: self.open(h, sick.pid, "failing-phase"), "the finding")
        self.assertEqual(f["state"], "open")
        wait_until(lambda: self.rows(h)[well.pid]["probes"]["windows"], "a window of the other")
        errors, requests, truth = self.sum(h, "errors", "sick"), self.sum(h, "requests", "sick"), sick.do("truth")
        self.assertLessEqual(errors, truth["failed"])
        self.assertLessEqual(requests, truth["calls"])
        self.assertGreater(errors, 10)
        self.assertAlmostEqual(errors / requests, 0.5, delta=0.1)
        self.assertGreater(self.sum(h, "requests", "well"), 10)
        self.assertEqual(self.sum(h, "errors", "well"), 0)
        sick.do("halt")
        f, = wait_until(lambda: [f for f in self.open(h, sick.pid, "failing-phase") if f["state"] == "closed"], "its end")
        self.assertEqual(f["reason"], "gone")
        self.assertEqual(self.open(h, well.pid, "failing-phase"), [])


class Turns(Watching):
    at_once = 2

    def test_in_turn(self):
        """Two at a time of four, two of which are of one file: never more, never both of these."""
        twins = [self.work(f"t{i}") for i in range(2)]
        others = [self.work("n", "noopt"), self.work("p", "trimpath")]
        h = self.watch("probes: {time: 1s, rest: 1s}\n" + ONLY)
        most = set()

        def all_had_one():
            rows = self.rows(h)
            now = {p for p, r in rows.items() if r["depth"] == "probes"}
            self.assertLessEqual(len(now), 2, rows)
            self.assertLess(len(now & {w.pid for w in twins}), 2, rows)
            # and as the programs themselves have it: the first still has them when the second is seen to
            a, b = (w.pid for w in twins)
            self.assertFalse(text_differs(a) and text_differs(b) and text_differs(a))
            most.add(len(now))
            return len(rows) == 4 and all(r["probes"]["windows"] >= 2 for r in rows.values())
        wait_until(all_had_one, "two windows of each")
        self.assertIn(2, most)
        for reason in ("ended", "not-permitted", "kernel", "executable", "failed"):
            self.assertEqual(h.value("gospect_attach_failures_total", reason=reason), 0, reason)

    def test_nothing_suspicious(self):
        """Idle, and not named: never; a rule for walks: never, however suspicious."""
        idle, named, busy = self.work("idle"), self.work("walked", "noopt"), self.work("busy", "trimpath")
        rules = f"processes:\n  - {{service: {NAME}-walked, depth: walk}}\n  - {{service: {NAME}-*}}\n  - {{depth: none}}\n"
        h = self.watch("probes: {time: 1s, rest: 1s}\n" + rules)
        self.until(lambda: self.rows(h)[busy.pid]["probes"]["windows"] >= 2, "two windows of the busy one",
                   (busy, "spin 100"), (named, "spin 100"))
        rows = self.rows(h)
        self.assertEqual(rows[idle.pid]["probes"], {"armed": 0, "why": "nothing is suspicious", "windows": 0})
        self.assertEqual(rows[named.pid]["probes"], {"armed": 0, "why": "configured", "windows": 0})


class NotPermitted(Watching):
    def test_says_why(self):
        """Without CAP_BPF and CAP_PERFMON it goes on by memory alone."""
        w = self.work("a")
        drop = "-bpf,-perfmon,-sys_admin"
        h = self.host(SHORT + ONLY, env={"GOSPECT_HOST_PROBES_AT_ONCE": "1"},
                      prefix=["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}"])
        wait_until(lambda: self.rows(h)[w.pid]["depth"] == "walk", "a walk")
        d = json.loads(h.get("/api/v1/processes")[2])
        self.assertIn("CAP_BPF", d["gospect"]["probes_off"])
        self.assertIn("no probes, memory is read alone: CAP_BPF", h.said())
        self.assertEqual(h.value("gospect_target_probes", service_name=f"{NAME}-a"), 0)
        self.assertIsNone(h.value("gospect_probed_seconds_total", service_name=f"{NAME}-a"))
        status = subprocess.run([GOSPECT, "host", "--status", "--set", "listen=%s:%s" % h.address],
                                capture_output=True, text=True)
        self.assertIn("no probes: CAP_BPF and CAP_PERFMON are missing", status.stdout)
