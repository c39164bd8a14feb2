# SPDX-License-Identifier: BSD-2-Clause
"""Containers by runc, without a daemon: a bundle of a root file system, and what is run in it."""
import json
import os
import shutil
import subprocess
import unittest

from harness import CACHE, DEADLINE

ALL_CAPS = ["CAP_" + c for c in (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST "
    "NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
    "SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM "
    "BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE").split()]
CGROUPS = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
           "options": ["rw", "nosuid", "noexec", "nodev"]}


def tmpfs(at):
    return {"destination": at, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=755"]}


def runc():
    """Debian's, installed or unpacked by tools/setup --tests."""
    path = shutil.which("runc") or os.path.join(CACHE, "runc", "usr", "sbin", "runc")
    if not os.path.exists(path):
        raise unittest.SkipTest("no runc")
    return path


class Container:
    """args run in root; the pid namespace is the machine's unless namespaces has it."""

    def __init__(self, folder, name, root, args, caps, namespaces=("mount", "ipc", "uts"), mounts=(), readonly=True,
                 env=(), stdout=subprocess.PIPE):
        self.name, self.state = name, os.path.join(folder, "state")
        bundle = os.path.join(folder, "bundle")
        os.makedirs(bundle)
        subprocess.run([runc(), "spec"], cwd=bundle, check=True)
        with open(os.path.join(bundle, "config.json")) as f:
            c = json.load(f)
        c["process"].update(args=list(args), terminal=False, noNewPrivileges=readonly, env=["PATH=/usr/sbin:/usr/bin:/sbin:/bin", *env])
        c["process"]["capabilities"] = {"bounding": caps, "effective": caps, "permitted": caps, "inheritable": [], "ambient": []}
        c["process"]["rlimits"] = []
        c["root"] = {"path": root, "readonly": readonly}
        at = {m["destination"] for m in mounts}
        c["mounts"] = [m for m in c["mounts"] if m["destination"] not in at | {"/sys/fs/cgroup"}] + list(mounts)
        c["linux"].update(namespaces=[{"type": n} for n in namespaces], maskedPaths=[], readonlyPaths=[],
                          cgroupsPath="/" + name)
        c["linux"].pop("resources", None)
        with open(os.path.join(bundle, "config.json"), "w") as f:
            json.dump(c, f)
        self.p = subprocess.Popen([runc(), "--root", self.state, "run", "-b", bundle, name], stdin=subprocess.DEVNULL,
                                  stdout=stdout, stderr=subprocess.STDOUT if stdout != subprocess.PIPE else subprocess.PIPE, text=True)

    def run(self, *args, check=True):
        p = subprocess.run([runc(), "--root", self.state, "exec", self.name, *args], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=DEADLINE)
        if check and p.returncode:
            raise AssertionError(f"{args}: {p.returncode}: {p.stdout}{p.stderr}")
        return p.stdout

    def close(self):
        subprocess.run([runc(), "--root", self.state, "delete", "--force", self.name], capture_output=True)
        self.p.wait(DEADLINE)
