# SPDX-License-Identifier: BSD-2-Clause
"""The unit under systemd, which is process 1 of a container: start, snapshots, reload, watchdog, stop.
For `make check-host`: GOSPECT_HOST_ALL=1."""
import json
import os
import re
import shutil
import subprocess
import time
import unittest
import urllib.request

from harness import CACHE, DEADLINE, TOP, USUAL, binary, wait_until
from runc import ALL_CAPS, CGROUPS, Container, tmpfs
from test_host_export import Base, HOST

ROOT = os.path.join(CACHE, "systemd")
PACKAGES = "systemd,systemd-sysv,dbus,procps"
SICK = """[Service]
User=games
ExecStart=/bin/sh -c 'sleep infinity | /usr/bin/dbcases nested1'
"""
EXPOSURE = 2.4	# of 10, as systemd-analyze security has it


def root_of_systemd():
    if not os.path.exists(os.path.join(ROOT, "usr", "bin", "systemctl")):
        shutil.rmtree(ROOT, ignore_errors=True)
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", ROOT], check=True,
                       stdout=subprocess.DEVNULL)
    return ROOT


class Systemd(Base):
    def setUp(self):
        super().setUp()
        if not os.environ.get("GOSPECT_HOST_ALL"):
            self.skipTest("make check-host")
        self.root = os.path.join(self.dir, "root")
        for d in ("root", "upper", "work"):
            os.mkdir(os.path.join(self.dir, d))
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={root_of_systemd()},"
                        f"upperdir={self.dir}/upper,workdir={self.dir}/work", self.root], check=True)
        self.stack.callback(subprocess.run, ["umount", self.root], check=True)
        self.install()
        self.c = Container(self.dir, f"gospect-systemd-{os.getpid()}", self.root, ["/lib/systemd/systemd"], ALL_CAPS,
                           namespaces=("pid", "ipc", "uts", "mount", "cgroup"), mounts=(CGROUPS, tmpfs("/run"), tmpfs("/tmp")),
                           readonly=False, env=["container=oci"], stdout=subprocess.DEVNULL)
        self.stack.callback(self.c.close)
        wait_until(lambda: re.match("running|degraded", self.c.run("systemctl", "is-system-running", check=False)), "systemd",
                   timeout=2 * DEADLINE)

    def install(self):
        def put(source, at):
            at = self.root + at
            os.makedirs(os.path.dirname(at), exist_ok=True)
            shutil.copy(source, at)

        put(HOST, "/usr/bin/gospect-host")
        put(binary(f"dbcases-{USUAL}-stripped"), "/usr/bin/dbcases")
        for path in re.findall(r"=> (/\S+)", subprocess.check_output(["ldd", HOST], text=True)):
            if not os.path.exists(self.root + path):
                put(os.path.realpath(path), path)
        with open(os.path.join(TOP, "packaging", "gospect-host.service")) as f:
            self.write("/etc/systemd/system/gospect-host.service", f.read().replace("/usr/local/bin", "/usr/bin"))
        self.write("/etc/systemd/system/sick.service", SICK)
        self.configure("interval: 1s\nwalk_interval: 1s\n")

    def write(self, at, text):
        path = self.root + at
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)

    def configure(self, text):
        self.write("/etc/gospect/host.yaml", "listen: 127.0.0.1:0\n" + text)

    def show(self, name):
        return self.c.run("systemctl", "show", "-P", name, "gospect-host").strip()

    def log(self):
        return self.c.run("journalctl", "-u", "gospect-host", "-o", "cat", "--no-pager")

    def test_life(self):
        ctl = lambda *a, **kw: self.c.run("systemctl", *a, **kw)
        ctl("start", "sick")
        ctl("start", "gospect-host")
        self.assertEqual(self.show("ActiveState"), "active")
        self.assertRegex(self.show("StatusText"), r"\d+ Go process.*starts are told")
        self.assertNotEqual(self.c.run("ps", "-o", "uid=", "-p", self.show("MainPID")).strip(), "0")

        # another user's process has a severe finding, whose snapshot is kept in StateDirectory
        wait_until(lambda: re.search(r"[1-9]\d* high or critical", self.show("StatusText")), "a finding")
        wait_until(lambda: re.search(r"-dbcases-\d+\.json|-sick-\d+\.json",
                                     self.c.run("ls", "/var/lib/private/gospect", check=False)), "its snapshot")

        # and it is probed for that, with no more than the unit's capabilities, under its filter
        url = wait_until(lambda: re.search(r"http://127\.0\.0\.1:\d+/", self.log()), "its address")[0]

        def armed():
            with urllib.request.urlopen(url + "api/v1/processes", timeout=DEADLINE) as r:
                return sum(p.get("probes", {}).get("armed", 0) for p in json.load(r)["processes"])
        wait_until(armed, "probes")

        pid = self.show("MainPID")
        self.configure("interval: 2s\nwalk_interval: 2s\n")
        ctl("reload", "gospect-host")
        wait_until(lambda: "the configuration was read again" in self.log(), "its being read")
        self.configure("nonsense: 1\n")
        ctl("reload", "gospect-host")
        wait_until(lambda: "the configuration stays as it was" in self.log(), "its being refused")
        self.assertEqual((self.show("ActiveState"), self.show("MainPID")), ("active", pid))

        # who does not live is started again
        self.configure("interval: 1s\n")
        self.write("/etc/systemd/system/gospect-host.service.d/test.conf", "[Service]\nWatchdogSec=4\nRestartSec=0\n")
        ctl("daemon-reload")
        ctl("restart", "gospect-host")
        pid = self.show("MainPID")
        self.c.run("kill", "-STOP", pid)
        wait_until(lambda: self.show("NRestarts") == "1" and self.show("ActiveState") == "active", "another one")
        self.assertNotEqual(self.show("MainPID"), pid)
        self.assertIn("watchdog", self.c.run("journalctl", "--no-pager", "-o", "cat", "-u", "gospect-host", "-g", "[Ww]atchdog"))

        begin = time.monotonic()
        ctl("stop", "gospect-host")
        self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual((self.show("ActiveState"), self.show("Result")), ("inactive", "success"))

    def test_exposure(self):
        out = self.c.run("systemd-analyze", "security", "--no-pager", "--offline=true",
                         "/etc/systemd/system/gospect-host.service", check=False)
        level = float(re.search(r"exposure level .*: ([\d.]+)", out)[1])
        self.assertLessEqual(level, EXPOSURE, out)


if __name__ == "__main__":
    unittest.main()
