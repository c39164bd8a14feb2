# SPDX-License-Identifier: BSD-2-Clause
"""A real OpenTelemetry Collector (tests/collector) takes the push: what it prints of it is what the
page of metrics has of the same view, number by number, and findings are records of a log."""
import datetime
import hashlib
import os
import re
import signal
import socket
import subprocess
import unittest

from harness import CACHE, DEADLINE, TOP, Work, wait_until
from test_host_export import ONLY, SERVICE, Base, samples

SOURCE = os.path.join(TOP, "tests", "collector")
CONFIG = """receivers:
  otlp:
    protocols:
      http: {endpoint: 127.0.0.1:%d}
exporters:
  debug: {verbosity: detailed, sampling_initial: 100000}
service:
  telemetry:
    metrics: {level: none}
  pipelines:
    metrics: {receivers: [otlp], exporters: [debug]}
    logs: {receivers: [otlp], exporters: [debug]}
"""
VALUE = re.compile(r"(Str|Int|Double|Bool)\((.*)\)", re.S)


def built():
    """Once for all checkouts with these sources; the modules come from the proxy."""
    digest = hashlib.sha256()
    for name in sorted(os.listdir(SOURCE)):
        with open(os.path.join(SOURCE, name), "rb") as f:
            digest.update(f.read())
    path = os.path.join(CACHE, "collector", "collector-" + digest.hexdigest()[:12])
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        p = subprocess.run(["go", "build", "-trimpath", "-ldflags=-s -w", "-o", f"{path}.{os.getpid()}", "."], cwd=SOURCE,
                           env={**os.environ, "GOFLAGS": "", "GOWORK": "off", "CGO_ENABLED": "0"}, capture_output=True,
                           text=True, timeout=900)
        if p.returncode:
            if re.search(r"dial tcp|proxyconnect|no such host|i/o timeout|Forbidden|reading https?://", p.stderr):
                raise unittest.SkipTest("the module proxy cannot be reached: " + p.stderr.strip().splitlines()[-1])
            raise AssertionError(p.stderr)
        os.rename(f"{path}.{os.getpid()}", path)
    return path


def value_of(text):
    return VALUE.fullmatch(text)[2]


def seconds(time):
    """Since 1970, of "2026-11-30 23:12:09.722821015 +0000 UTC"."""
    whole, fraction = time[:19], re.match(r"\.?\d*", time[19:])[0]
    when = datetime.datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    return when.timestamp() + float("0" + fraction if fraction else 0)


class Printed:
    """What the debug exporter prints, as far as it has come: resources with their points and records."""

    def __init__(self, text):
        self.pushes = []	# of each: {(service, description, kind, labels): value}
        self.times = []		# the latest of each: when its view was taken
        self.names, self.resources, self.records = {}, {}, []
        self.here = self.service = self.description = self.labels = self.record = None
        for line in text.splitlines():
            self.take(line)

    def attribute(self, line):
        key, _, value = line.strip()[3:].partition(": ")
        return key, value

    def take(self, line):
        word = line.strip()
        if word.endswith("ResourceMetrics #0"):	# behind the head of a line of the log
            self.pushes.append({})
            self.times.append("")
            self.record = None
        elif word == "Resource attributes:":
            self.here = self.resource = {}
            self.service = None
        elif word in ("Data point attributes:", "Attributes:"):
            self.here = self.labels if word.startswith("Data") else self.record.setdefault("attributes", {})
        elif word.startswith(("ScopeMetrics #", "ScopeLogs #")):
            self.service = self.resource.get("service.name", "")
            self.resources[self.service] = self.resource
            self.here = None
        elif word == "Descriptor:":
            self.here = self.descriptor = {}
        elif re.match(r"(Number|Histogram)DataPoints #", word):
            self.here, self.labels, self.point = None, {}, {}
        elif word.startswith("LogRecord #"):
            self.here, self.labels, self.record = None, None, {"service": self.service}
            self.records.append(self.record)
        elif line.startswith("     -> ") and self.here is not None:
            key, value = self.attribute(line)
            self.here[key] = value_of(value) if VALUE.fullmatch(value) else value
        elif self.record is not None and re.match(r"(EventName|SeverityNumber|Body|Timestamp): ", word):
            key, _, value = word.partition(": ")
            self.record[key] = value
        elif word.startswith("Timestamp: ") and self.labels is not None:
            self.times[-1] = max(self.times[-1], word[len("Timestamp: "):])
        elif re.match(r"(Value|Count|Sum): ", word) and self.labels is not None:
            self.here = None
            kind, _, value = word.partition(": ")
            labels = frozenset((k.replace(".", "_"), v) for k, v in self.labels.items())
            self.pushes[-1][self.service, self.descriptor["Description"], kind, labels] = float(value)
            self.names[self.descriptor["Name"]] = self.descriptor


class RealCollector(Base):
    def start(self):
        program = built()
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        config = os.path.join(self.dir, "collector.yaml")
        with open(config, "w") as f:
            f.write(CONFIG % port)
        self.output = os.path.join(self.dir, "printed")
        with open(self.output, "w") as f:
            p = subprocess.Popen([program, "--config", config], stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        self.stack.callback(p.wait, DEADLINE)
        self.stack.callback(p.send_signal, signal.SIGTERM)

        def listens():
            self.assertIsNone(p.poll(), self.text())
            with socket.socket() as s:
                return not s.connect_ex(("127.0.0.1", port))

        wait_until(listens, "the collector")
        return f"http://127.0.0.1:{port}"

    def text(self):
        with open(self.output) as f:
            return f.read()

    @unittest.skipUnless(os.environ.get("GOSPECT_HOST_ALL"), "part of make check-host")
    def test_metrics_and_findings(self):
        url = self.start()
        w = self.stack.enter_context(Work(env={"OTEL_SERVICE_NAME": SERVICE, "OTEL_RESOURCE_ATTRIBUTES": "team=blue%2C sky"}))
        h = self.host(ONLY + f"labels: {{env: test}}\notlp: {{endpoint: '{url}', interval: 1s}}\n")
        truth = w.do("where")["parks"]["chanreceive"]

        def opened():
            w.do("park 3 chanreceive")
            found = [r for r in Printed(self.text()).records if r["attributes"].get("gospect.finding.state") == "opened"]
            return found and found[0]

        r = wait_until(opened, "the record of a leak", timeout=2 * DEADLINE)
        self.assertEqual((r["EventName"], r["service"]), ("gospect.finding", SERVICE))
        self.assertEqual((r["attributes"]["code.function.name"], r["attributes"]["code.line.number"]),
                         (truth["function"], str(truth["line"])))
        self.assertIn(r["SeverityNumber"], ("Warn(13)", "Error(17)", "Fatal(21)"))
        self.compare(h)
        resource = Printed(self.text()).resources[SERVICE]
        self.assertEqual((resource["env"], resource["team"], resource["process.runtime.name"]), ("test", "blue, sky", "go"))
        w.do("release")
        wait_until(lambda: any(x["attributes"].get("gospect.finding.state") == "closed" for x in Printed(self.text()).records),
                   "the record of its end", timeout=2 * DEADLINE)
        self.assertEqual(h.value("gospect_export_requests_total", outcome="failed"), 0)
        self.assertEqual(h.value("gospect_export_requests_total", outcome="dropped"), 0)
        self.assertNotRegex(self.text(), r"\t(warn|error)\t")

    def of_page(self, h):
        """When its view was taken, and its series of the program, by description."""
        page = h.get("/metrics")[2]
        helps = dict(re.findall(r"^# HELP (\S+) (.*)$", page, re.M))
        found, at = {}, None
        for (name, labels), value in samples(page).items():
            labels = dict(labels)
            if name == "gospect_view_timestamp_seconds":
                at = value
            family, kind = (name, "Value") if name in helps else (name.rsplit("_", 1)[0], {"count": "Count", "sum": "Sum"}.get(
                name.rsplit("_", 1)[-1]))
            if labels.get("service_name") != SERVICE or not kind or family not in helps:
                continue
            own = frozenset((k, v) for k, v in labels.items()
                            if not k.startswith(("service_", "k8s_")) and k not in ("env",))
            found[helps[family], kind, own] = value
        return at, found

    def compare(self, h):
        """Each number of a view that both have: they are the same."""
        def both():
            at, page = self.of_page(h)
            printed = Printed(self.text())
            for push, time in zip(printed.pushes, printed.times):
                if abs(seconds(time) - at) < 0.02:	# of the page's time ten milliseconds are known
                    mine = {key[1:]: v for key, v in push.items() if key[0] == SERVICE}
                    return len(page.keys() & mine.keys()) > 20 and (page, mine, page.keys() & mine.keys(), printed)

        page, mine, shared, printed = wait_until(both, "a view that both have")
        for key in shared:	# six decimals are printed
            self.assertAlmostEqual(page[key], mine[key], delta=1e-6 + abs(page[key]) * 1e-9, msg=str(key))
        # and what only one of them has is of another shape there, as the conventions want it
        only = {d for d, _, _ in page.keys() - mine.keys()}
        self.assertLess(len(only), 20, only)
        for name in ("go.goroutine.count", "go.memory.used", "go.schedule.duration", "gospect.goroutine.site.live"):
            self.assertIn(name, printed.names)
