# SPDX-License-Identifier: BSD-2-Clause
"""A server without read timeouts: clients that never end their request hang, or never begin one
where they are the most; those that take half a second for each, all the time, do not (a look nearly
always finds them reading one), nor a few connections that a client has made to spare."""
import contextlib
import socket
import threading
import unittest

from harness import USUAL, Attach, Program, binary, need_root

CLIENTS = 6
FIRST, REST = b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\n"


class SlowHeaders(unittest.TestCase):
    def setUp(self):
        need_root()

    @contextlib.contextmanager
    def clients(self, each):
        """Where each connection of so many is used by a thread of its own."""
        over = threading.Event()
        with Program([binary(f"httpload-{USUAL}-stripped"), "-conns", "1"]) as p:
            host, port = p.ready.rsplit("addr=", 1)[1].split(":")
            sockets = [socket.create_connection((host, int(port))) for _ in range(CLIENTS)]
            threads = [threading.Thread(target=each, args=(s, over)) for s in sockets]
            for t in threads:
                t.start()
            try:
                with Attach(p.pid, "--only", "net", every="5s") as a:
                    yield a
                    a.stop()
            finally:
                over.set()
                for t in threads:
                    t.join()
                for s in sockets:
                    s.close()

    def never(self, s, over):
        s.sendall(FIRST)
        over.wait()

    def silent(self, s, over):
        over.wait()

    def spare(self, s, over):
        """Every other one, as of net/http's client, whose request got another connection meanwhile."""
        with self.turn:
            self.asked += 1
            asks = self.asked % 2
        if asks:
            s.sendall(FIRST + REST)
            got = s.recv(4096)
            with self.turn:
                self.answered += bool(got)
        over.wait()

    def slowly(self, s, over):
        while not over.is_set():
            s.sendall(FIRST)
            over.wait(0.5)
            s.sendall(REST)
            self.answered += bool(s.recv(4096))

    def hang(self, each):
        with self.clients(each) as a:
            for _ in range(3):
                found = {f["kind"]: f for f in a.next()["findings"]}
                if "server-no-timeout" in found:
                    break
            f = found["server-no-timeout"]
            self.assertEqual((f["severity"], f["numbers"]["hanging"]), ("low", CLIENTS))

    def test_never(self):
        self.hang(self.never)

    def test_silent(self):
        self.hang(self.silent)

    def healthy(self, each):
        """Twice as long as what hangs takes to be found."""
        self.answered = self.asked = 0
        self.turn = threading.Lock()
        with self.clients(each) as a:
            for _ in range(2):
                r = a.next()
                self.assertEqual([f["title"] for f in r["findings"] if f["kind"] == "server-no-timeout"], [])
                self.assertEqual(sum(s.get("hanging", 0) for s in r["net"]["servers"]), 0)

    def test_slowly(self):
        self.healthy(self.slowly)
        self.assertGreater(self.answered, 5 * CLIENTS)

    def test_spare(self):
        self.healthy(self.spare)
        self.assertEqual(self.answered, CLIENTS / 2)
