# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots on a disk that hangs: who asks for one is told so, and nobody else waits."""
import concurrent.futures
import ctypes
import os
import select
import struct
import time

from harness import wait_until
from test_host_export import ONLY, Base

INIT, READERS = 26, 4
LIBC = ctypes.CDLL(None, use_errno=True)


class Hanging:
    """A file system in user space that says that it is there, and then takes nothing more: who waits
    for it can be killed."""

    def __init__(self, case, folder):
        try:
            self.fd = os.open("/dev/fuse", os.O_RDWR)
        except OSError as e:
            case.skipTest(f"/dev/fuse: {e.strerror}")
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0".encode()
        if LIBC.mount(b"hanging", folder.encode(), b"fuse", 0, options):
            os.close(self.fd)
            case.skipTest(f"cannot mount: {os.strerror(ctypes.get_errno())}")
        self.folder = folder
        _, opcode, unique = struct.unpack_from("<IIQ", os.read(self.fd, 1 << 20))
        assert opcode == INIT, opcode
        body = struct.pack("<IIIIHHIIHHI", 7, 31, 0, 0, 0, 0, 1 << 17, 1, 0, 0, 0).ljust(64, b"\0")
        os.write(self.fd, struct.pack("<IiQ", 16 + len(body), 0, unique) + body)

    def asked(self):
        return select.select([self.fd], [], [], 0)[0]

    def close(self):
        LIBC.umount2(self.folder.encode(), 1)	# MNT_FORCE: what waits there is ended
        LIBC.umount2(self.folder.encode(), 2)	# MNT_DETACH
        os.close(self.fd)


class Hang(Base):
    def test_pages_go_on(self):
        folder = os.path.join(self.dir, "spool")
        os.mkdir(folder)
        disk = Hanging(self, folder)
        self.stack.callback(disk.close)
        h = self.host(ONLY, env={"GOSPECT_HOST_SPOOL_DIR": folder})
        with concurrent.futures.ThreadPoolExecutor(3 * READERS) as pool:
            waits = [pool.submit(h.get, f"/snapshots/20261130T161500Z-shop-{i}") for i in range(READERS)]
            wait_until(disk.asked, "a reader that hangs")
            begin = time.monotonic()
            for path in ("/metrics", "/", "/api/v1/findings", "/-/healthy"):
                self.assertEqual(h.get(path)[0], 200)
            self.assertFalse(any(w.done() for w in waits) and time.monotonic() - begin > 3, "the pages waited")
            for w in waits:
                self.assertEqual(w.result()[0], 503)
                self.assertIn("does not answer", w.result()[2])
        # they still hang, so there is no other
        begin = time.monotonic()
        self.assertEqual(h.get("/snapshots/20261130T161500Z-shop-99")[0], 503)
        self.assertLess(time.monotonic() - begin, 2)
        # one that waits does not hold up the end, nor do those that hang
        self.assertEqual(h.get("/snapshots/nothing")[0], 404)
        h.p.terminate()
        self.assertEqual(h.p.wait(20), 0)
