# SPDX-License-Identifier: BSD-2-Clause
"""A process that is asked to end: what keeps it alive, from outside; and those that end as they should."""
import concurrent.futures
import os
import signal
import subprocess
import unittest

from harness import DEADLINE, NEWEST, OLDEST, USUAL, GOSPECT, Attach, Program, binary, gospect, need_root

SLOW = ((OLDEST, "requests"), (NEWEST, "requests"), (USUAL, "worker"))
QUICK = ((USUAL, "idle"), (USUAL, "pause"))


def program(release, mode):
    return Program([binary(f"shutdown-{release}-stripped"), mode])


def found(r):
    return [f for f in r["findings"] if f["kind"] == "slow-shutdown"]


def rows(r, what):
    return [w for w in r["shutdown"]["waits"] if w["what"] == what]


def slow(job):
    """The report while it does not end, and that when it has."""
    with program(*job) as p, Attach(p.pid, "--until-exit", every="5500ms") as a:
        p.p.send_signal(signal.SIGTERM)
        during = a.next()
        while during["shutdown"]["lasted_s"] <= 5:	# the signal may come some time after the window's begin
            during = a.next()
        p.tell("go")
        p.p.wait(DEADLINE)
        return job, during, a.ended()[-1]


def quick(job):
    with program(*job) as p, Attach(p.pid, "--until-exit", every="1s") as a:
        p.p.send_signal(signal.SIGTERM)
        p.p.wait(DEADLINE)
        return job, a.ended()


def at_once(do, jobs):
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(do, jobs))


class Shutdown(unittest.TestCase):
    def setUp(self):
        need_root()

    def check_requests(self, r):
        main, = rows(r, "main")
        self.assertTrue(main["stops_server"])
        self.assertEqual(main["place"]["in"], "net/http.(*Server).Shutdown")
        handled, = rows(r, "handles_request")
        self.assertEqual((handled["count"], handled["reason"]), (3, "chan receive"))
        self.assertEqual(handled["handler"]["function"], "main.report")
        self.assertIn("main.ask", [w.get("place", {}).get("function") for w in rows(r, "other")])

    def check_worker(self, r):
        main, = rows(r, "main")
        self.assertNotIn("stops_server", main)
        self.assertEqual(rows(r, "handles_request"), [])
        worker, = [w for w in rows(r, "other") if w.get("place", {}).get("function") == "main.worker"]
        self.assertEqual((worker["count"], worker["reason"]), (1, "chan receive"))

    def test_what_keeps_it_alive(self):
        """While it does not end, and afterwards."""
        for job, during, after in at_once(slow, SLOW):
            with self.subTest(job):
                for r in during, after:
                    s = r["shutdown"]
                    self.assertEqual((s["signal"], s["times"], s["sender"]["pid"]), ("SIGTERM", 1, os.getpid()))
                    self.assertGreater(s["lasted_s"], 5)
                    self.assertEqual([f["severity"] for f in found(r)], ["medium"])
                    self.assertEqual(found(r)[0]["place"]["function"], "main.main")
                    (self.check_worker if job[1] == "worker" else self.check_requests)(r)
                self.assertFalse(during["shutdown"]["ended"])
                self.assertTrue(after["shutdown"]["ended"])
                self.assertEqual((after["crash"]["cause"], after["crash"]["exit_code"]), ("exit", 0))
                n = 0 if job[1] == "worker" else 3
                self.assertEqual((during["shutdown"]["calls"], during["shutdown"]["transactions"]), (n, n))

    def test_those_that_end(self):
        """At once, and after a request of two seconds."""
        for job, came in at_once(quick, QUICK):
            with self.subTest(job):
                s = came[-1]["shutdown"]
                self.assertTrue(s["ended"])
                if job[1] == "pause":
                    self.assertGreater(s["lasted_s"], 1.9)
                if s["lasted_s"] <= 5:	# on a machine that has other things to do it may take as long as it likes
                    self.assertEqual([found(r) for r in came], [[] for _ in came])

    def test_nothing_is_reported_before(self):
        """Nobody has asked: the last report alone, and no shutdown."""
        with program(USUAL, "idle") as p, Attach(p.pid, "--until-exit", "INT", "--only", "crash", every="100ms") as a:
            os.kill(p.pid, signal.SIGURG)
            self.assertEqual(a.there(), [])
            p.p.send_signal(signal.SIGTERM)	# not the one that it waits for
            p.p.wait(DEADLINE)
            r, = a.ended()
            self.assertNotIn("shutdown", r)
            self.assertEqual(found(r), [])

    def test_usage(self):
        for args in (["--only", "net"], ["--slow", "1s"]):
            with self.subTest(args):
                self.assertEqual(gospect("attach", os.getpid(), "--until-exit", *args).returncode, 2)
        with program(USUAL, "idle") as p:
            r = subprocess.run([GOSPECT, "attach", str(p.pid), "--until-exit", "--budget", "0"], text=True,
                               stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE)
            self.assertEqual(r.returncode, 1, r.stderr)
            self.assertIn("signals are not seen", r.stderr)


if __name__ == "__main__":
    unittest.main()
