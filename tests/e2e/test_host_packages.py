# SPDX-License-Identifier: BSD-2-Clause
"""What packaging has: the dashboard's queries asked of a real Prometheus, the DaemonSet before
Kubernetes' own schema, the image unpacked and run."""
import json
import os
import subprocess
import sys
import tarfile

from harness import DEADLINE, TOP, USUAL, Program, binary, wait_until
from netprogs import Commands
from prometheus import Prometheus
from runc import Container
from test_host_export import Base, SERVICE, of_prometheus

PACKAGING = os.path.join(TOP, "packaging")


class Dashboard(Base):
    def test_queries(self):
        """Each has data, where there is a program that has what it asks for."""
        names = [SERVICE + "-sql", SERVICE + "-http", SERVICE + "-held"]
        sick = Commands([binary(f"dbcases-{USUAL}-stripped"), "nested1"], env={"OTEL_SERVICE_NAME": names[0]})
        self.stack.callback(sick.close)
        self.stack.enter_context(Program([binary(f"httpload-{USUAL}-stripped")], env={"OTEL_SERVICE_NAME": names[1]}))
        held = self.stack.enter_context(Commands([binary(f"handlers-{USUAL}-pie")], env={"OTEL_SERVICE_NAME": names[2]}))
        held.do("hold")  # a handler that runs whenever it is looked at
        h = self.host("processes:\n" + "".join(f"  - {{service: {n}}}\n" for n in names) + "  - {depth: none}\n")
        p = Prometheus(self.dir, of_prometheus("prometheus"), "%s:%s" % h.address)
        self.stack.callback(p.close)
        with open(os.path.join(PACKAGING, "dashboard.json")) as f:
            panels = json.load(f)["panels"]
        queries = [t["expr"] for p in panels for t in p["targets"]]
        self.assertGreater(len(queries), 10)
        for q in queries:
            q = q.replace("$service", SERVICE + ".*").replace("$__rate_interval", "30s")
            self.assertNotIn("$", q)
            wait_until(lambda: p.ask(q), q)


class Manifest(Base):
    def test_daemonset(self):
        try:
            import kubernetes_validate
            import yaml
        except ImportError:
            self.skipTest("no kubernetes-validate for python3")
        with open(os.path.join(PACKAGING, "daemonset.yaml")) as f:
            documents = list(yaml.safe_load_all(f))
        for d in documents:
            kubernetes_validate.validate(d, kubernetes_validate.latest_version(), strict=True)
        pod = documents[-1]["spec"]["template"]["spec"]
        security = pod["containers"][0]["securityContext"]
        self.assertFalse(security["privileged"] or pod["hostNetwork"] or security["allowPrivilegeEscalation"])
        self.assertTrue(security["readOnlyRootFilesystem"])
        self.check(documents[1]["data"]["host.yaml"])

    def check(self, text):
        path = os.path.join(self.dir, "host.yaml")
        with open(path, "w") as f:
            f.write(text)
        p = subprocess.run([os.path.join(TOP, "build", "gospect-host"), "--check", path], capture_output=True, text=True)
        self.assertEqual((p.returncode, p.stderr), (0, ""))


class Image(Base):
    def test_it_runs(self):
        """Its file system is all that it needs, read-only, with the DaemonSet's three capabilities."""
        tar, root = os.path.join(self.dir, "layer.tar"), os.path.join(self.dir, "root")
        subprocess.run([sys.executable, os.path.join(TOP, "tools", "image"), "0", "--layer", tar], check=True)
        with tarfile.open(tar) as t:
            t.extractall(root)
        w = self.stack.enter_context(Program([binary(f"ghosts-{USUAL}-stripped")], env={"OTEL_SERVICE_NAME": SERVICE}))
        c = Container(self.dir, f"gospect-image-{os.getpid()}", root,
                      ["/usr/bin/gospect-host", "--once", "--for", "1s", "--format", "json"],
                      ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"])
        self.stack.callback(c.close)
        out, err = c.p.communicate(timeout=DEADLINE)
        self.assertEqual(c.p.returncode, 0, err)
        row, = [r for r in json.loads(out)["processes"] if r["pid"] == w.pid]
        self.assertEqual((row["service"]["name"], row["depth"]), (SERVICE, "walk"))
