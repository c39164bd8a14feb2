# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the network and of database/sql share: tests/progs/netload,
and what is compared with what it says of itself."""
import json
import os
import subprocess

from harness import DEADLINE, GOSPECT, RELEASES, USUAL, Program, binary, releases
from schema import report

# Every release that the issue names; all of them with `make check-net`.
SOME = releases("1.19", "1.22", "1.24", "usual", "newest")
MORE = [(r, "stripped") for r in RELEASES if r not in SOME] + \
       [(r, v) for r in releases("1.20", "1.24", "newest") for v in ("pie", "cgo")]
VARIANTS = [(r, "stripped") for r in SOME] + (MORE if os.environ.get("GOSPECT_NET_ALL") else [])
SECRET = "topsecret"	# in paths, queries, headers and DSNs: never in an output
SENSORS = ("--only", "net,sql,locks")

RARE = ("pool_wait", "dns", "connect", "tls")
NET_KINDS = {"slow-phase", "failing-phase", "no-timeout", "connection-leak", "connection-churn", "server-no-timeout",
             "pool-exhausted", "dead-connection", "lost-slot", "transaction-open", "rows-open", "lock-contention"}


class Commands(Program):
    """A program that answers every line with a line of JSON."""

    def do(self, command, timeout=DEADLINE):
        self.p.stdin.write(command.encode() + b"\n")
        self.p.stdin.flush()
        a = json.loads(self.line(lambda l: l.startswith("{"), timeout))
        if not a["ok"]:
            raise AssertionError(f"{command}: {a.get('error')}")
        return a


class Netload(Commands):
    def __init__(self, release=USUAL, variant="stripped", **kw):
        super().__init__([binary(f"netload-{release}-{variant}")], **kw)

    def truth(self):
        return self.do("truth")

    def where(self):
        return self.do("where")["places"]


def each_variant(cls, names, one):
    """A test of its own for each release and variant."""
    for r, v in VARIANTS:
        def test(self, r=r, v=v):
            one(self, r, v)
        setattr(cls, f"test_{names}_{r.replace('.', '_')}_{v}", test)


def snapshot(pid, *args, timeout=DEADLINE):
    """One report of a snapshot, and all that was printed."""
    p = subprocess.run([GOSPECT, "snapshot", str(pid), "--format", "json", *map(str, args)], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, timeout=timeout)
    if p.returncode:
        raise AssertionError(f"gospect ended with {p.returncode}: {p.stderr}")
    if SECRET in p.stdout + p.stderr:
        raise AssertionError("a secret of the program is in the output")
    return report(p.stdout)


def rows_of(report, *path):
    """The rows of a list, without the sum of what is beyond its maximum."""
    at = report
    for p in path:
        at = at[p]
    return [r for r in at if not r.get("other")]


def at(o):
    return (o["function"], o["file"], o["line"])


def place(row):
    return at(row["place"]) if "place" in row else None


def found(report, kind=None):
    """Findings of these sensors: kind and place."""
    return {(f["kind"], at(f["place"]) if "place" in f else None) for f in report["findings"]
            if f["kind"] in NET_KINDS and kind in (None, f["kind"])}


def keeps_no_connection(finding):
    """Said of a program that has switched its keep-alives off: true, and a matter of whether a
    connection is open at the last look."""
    return finding["kind"] == "connection-churn" and "keep-alives are off" in finding["advice"]


def kinds(report):
    return {k for k, _ in found(report)}


def is_near(got_ns, want_ns):
    """Within 5 % or 2 ms, as promised."""
    return abs(got_ns - want_ns) <= max(0.05 * want_ns, 2e6)


def is_near_histogram(got_ns, want_ns):
    """The same for what comes from buckets that are 12.5 % wide at most."""
    return abs(got_ns - want_ns) <= max(0.125 * want_ns, 2e6)
