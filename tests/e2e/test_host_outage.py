# SPDX-License-Identifier: BSD-2-Clause
"""A back end that is gone for long: refused, then a hole that answers nothing, then busy, then
senseless.  What waits stays within its bound, the oldest gives way, and gospect host stays as it
was; when the back end is there again, it gets all that waits.

GOSPECT_OUTAGE_S=3600 makes an hour of it, with a line each 30 s."""
import contextlib
import os
import secrets
import socket
import statistics
import threading
import time
import unittest

from harness import DEADLINE, Work, wait_until
from test_host_export import SERVICE, Base

LONG = float(os.environ.get("GOSPECT_OUTAGE_S", "220"))
QUEUE = 1 << 20
SHOPS = 16
SHARE, ROOM_KIB = 0.02, 1024	# by which memory may grow while the queue is full
ANSWERS = {
    "hole": None,	# taken, and never answered
    "busy": b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}",
    "senseless": b"\x00\x01garbage\r\n\r\n",
    "well": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
}


def request(s):
    """Takes one; False: there is none any more."""
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = s.recv(65536)
        if not chunk:
            return False
        head += chunk
    head, body = head.split(b"\r\n\r\n", 1)
    left = int(next(l for l in head.lower().split(b"\r\n") if l.startswith(b"content-length:")).split(b":")[1]) - len(body)
    while left > 0:
        chunk = s.recv(65536)
        if not chunk:
            return False
        left -= len(chunk)
    return True


class BackEnd:
    """One port that is ours from the start: nobody listens at it until it is told to."""

    def __init__(self):
        self.s = socket.socket()
        self.s.bind(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.s.getsockname()[1]
        self.state, self.taken, self.threads, self.held = "refused", 0, [], []

    def become(self, state):
        first, self.state = self.state == "refused", state
        for s in self.held:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        if first:
            self.s.listen(64)
            self.threads.append(threading.Thread(target=self.accept))
            self.threads[0].start()

    def accept(self):
        while True:
            try:
                s, _ = self.s.accept()
            except OSError:
                return
            self.held = [h for h in self.held if h.fileno() >= 0] + [s]
            self.threads = [t for t in self.threads if t.is_alive()]
            self.threads.append(threading.Thread(target=self.serve, args=(s,)))
            self.threads[-1].start()

    def serve(self, s):
        with s, contextlib.suppress(OSError):
            while request(s):
                answer = ANSWERS[self.state]
                if not answer:	# until it has had enough of it
                    s.recv(1)
                    return
                self.taken += self.state == "well"
                s.sendall(answer)
                if self.state == "senseless":
                    return

    def close(self):
        with contextlib.suppress(OSError):
            self.s.shutdown(socket.SHUT_RDWR)
        self.s.close()
        for s in self.held:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        for t in self.threads:
            t.join(DEADLINE)


class Outage(Base):
    def sample(self, h):
        m = {n + "".join(v for _, v in ls): v for (n, ls), v in h.metrics().items() if n.startswith(("process_", "gospect_export"))}
        return (m["process_resident_memory_bytes"] / 1024, m["process_open_fds"], m["gospect_export_queue_bytes"],
                *(m["gospect_export_requests_total" + w] for w in ("accepted", "retried", "failed", "dropped")))

    @unittest.skipUnless(os.environ.get("GOSPECT_HOST_ALL"), "part of make check-host")
    def test_nothing_grows_while_it_is_gone(self):
        back = BackEnd()
        self.stack.callback(back.close)
        # what cannot be compressed fills the queue sooner
        works = [self.stack.enter_context(Work(env={"OTEL_SERVICE_NAME": SERVICE, "OTEL_RESOURCE_ATTRIBUTES":
                                                    "filler=" + secrets.token_urlsafe(1400)})) for _ in range(SHOPS)]
        self.ghosts()
        h = self.host(f"processes:\n  - {{service: {SERVICE}}}\n  - {{depth: none}}\notlp:\n  endpoint: {back.url}\n"
                      f"  interval: 1s\n  queue: 1M\n  timeout: 2s\n")
        samples, begin, turn = [], time.monotonic(), 0
        states = ["hole", "busy", "senseless"]
        while (at := time.monotonic() - begin) < LONG:
            if states and at > LONG * (4 - len(states)) / 4:
                back.become(states.pop(0))
            works[turn % SHOPS].do(("park 5 chanreceive", "release")[turn // SHOPS % 2])	# findings come and go
            turn += 1
            samples.append((back.state, *self.sample(h)))
            if LONG >= 600 and turn % 30 == 1:
                print(f"{at:.0f} s, {back.state}: %.0f KiB, %d descriptors, %d bytes wait; "
                      "%d accepted, %d retried, %d failed, %d dropped" % samples[-1][1:], flush=True)
            h.p.poll() is None or h.ended()
            with contextlib.suppress(Exception):
                h.p.wait(1)
        self.check(samples, h)
        waits = self.sample(h)
        back.become("well")
        wait_until(lambda: self.sample(h)[2] < QUEUE / 10, "what waited to be sent", timeout=2 * DEADLINE)
        self.assertGreater(back.taken, 10)
        after = self.sample(h)
        self.assertEqual(after[5], waits[5], "what was only late was given up")

    def check(self, samples, h):
        self.assertLessEqual(max(s[3] for s in samples), QUEUE)
        self.assertGreater(samples[-1][7], 0, "the queue was never full")
        self.assertEqual([s for s in samples if s[4] or s[6]], [], "accepted, or given up")
        self.assertGreater(samples[-1][5], 3, "not tried again")
        full = [s for s in samples if s[7]]
        n = max(1, len(full) // 4)
        before, after = (statistics.median(s[1] for s in part) for part in (full[:n], full[-n:]))
        self.assertLess(after, before * (1 + SHARE) + ROOM_KIB, f"memory grew: {before} to {after} KiB")
        self.assertLessEqual(max(s[2] for s in full[-n:]), max(s[2] for s in full[:n]) + 1, "descriptors")
