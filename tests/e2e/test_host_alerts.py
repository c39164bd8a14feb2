# SPDX-License-Identifier: BSD-2-Clause
"""From a leak to an alert, by a real Prometheus and alertmanager, with the configuration as it is:
within two minutes at its file:line, and gone when the leak is.  For `make check-host`."""
import os
import re
import time

from harness import TOP, USUAL, Work, binary, wait_until
from netprogs import Commands
from prometheus import Listening, Prometheus, of_alertmanager
from test_host_export import Base, SERVICE, of_prometheus

MINUTES_2 = 120
RULES = os.path.join(TOP, "packaging", "alerts.yaml")


class Alerts(Base):
    def setUp(self):
        super().setUp()
        if not os.environ.get("GOSPECT_HOST_ALL"):
            self.skipTest("make check-host")

    def test_a_leak_within_two_minutes(self):
        h = self.host("listen: 127.0.0.1:0\n"
                      f"processes:\n  - {{service: {SERVICE}}}\n  - {{depth: none}}\n", quick="")
        p = Prometheus(self.dir, of_prometheus("prometheus"), "%s:%s" % h.address, interval="15s")
        self.stack.callback(p.close)
        w = self.stack.enter_context(Work(env={"OTEL_SERVICE_NAME": SERVICE}))
        truth = w.do("where")["parks"]["chanreceive"]
        query = 'gospect_finding{kind="goroutine-leak",code_file_path="%s",code_line_number="%d"}' % (truth["file"], truth["line"])
        begin, due = time.monotonic(), 0

        def leaks():
            nonlocal due
            if time.monotonic() >= due:
                w.do("park 3 chanreceive")
                due = time.monotonic() + 2
            return p.ask(query)

        wait_until(leaks, "the leak", timeout=MINUTES_2)
        print(f"\nopen in Prometheus after {time.monotonic() - begin:.0f} s")
        w.do("release")
        wait_until(lambda: not p.ask(query), "its end", timeout=6 * MINUTES_2)

    def test_alertmanager(self):
        manager = of_alertmanager()
        if not manager:
            self.skipTest("no alertmanager")
        path = os.path.join(self.dir, "alertmanager.yml")
        with open(path, "w") as f:
            f.write("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
        share = os.path.join(os.path.dirname(os.path.dirname(manager)), "share", "prometheus")
        # its templates are looked for in one place alone
        script = 'mount -t tmpfs none /usr/share && mkdir /usr/share/prometheus && mount --bind "$0" /usr/share/prometheus && exec "$@"'
        m = Listening(self.dir, ["unshare", "--mount", "sh", "-c", script, share, manager, f"--config.file={path}", "--web.listen-address=127.0.0.1:0", "--cluster.listen-address=",
                                 f"--storage.path={self.dir}/alerts"])
        self.stack.callback(m.close)
        with open(RULES) as f, open(os.path.join(self.dir, "rules.yaml"), "w") as g:
            g.write(re.sub(r"for: \d+m", "for: 2s", f.read()))
        sick = Commands([binary(f"dbcases-{USUAL}-stripped"), "nested1"], env={"OTEL_SERVICE_NAME": SERVICE})
        self.stack.callback(sick.close)
        h = self.host(f"processes:\n  - {{service: {SERVICE}}}\n  - {{depth: none}}\n")
        p = Prometheus(self.dir, of_prometheus("prometheus"), "%s:%s" % h.address,
                       more=f"rule_files: ['{self.dir}/rules.yaml']\nalerting: {{alertmanagers: [{{static_configs: "
                            f"[{{targets: ['{m.address}']}}]}}]}}\n")
        self.stack.callback(p.close)

        def alerts():
            return [a for a in m.get("/api/v2/alerts") or []
                    if a["labels"]["alertname"] == "GoFinding" and a["labels"]["service_name"] == SERVICE]

        a = wait_until(alerts, "the alert", timeout=MINUTES_2)[0]
        self.assertRegex(a["labels"]["code_file_path"], r"\.go$")
        self.assertRegex(a["annotations"]["summary"], rf"^{SERVICE}: \S+ at \S+ \S+\.go:\d+$")
        sick.close()
        wait_until(lambda: not p.ask('ALERTS{alertname="GoFinding"}'), "its end", timeout=MINUTES_2)
