# SPDX-License-Identifier: BSD-2-Clause
"""The section `cpu-shares` of tools/bench: what samples of the CPU are worth, and what gospect uses for them."""
import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "tests", "e2e"))
from profiles import read_profile  # noqa: E402

PROFILE_S = 11	# of a comparison, in slices
MUCH = 0.05	# a function has more than that: it is compared
POINTS = 3


def shares(bench, a):
    accuracy(bench, a)
    own(bench, a)


def say(t, word):
    t.p.stdin.write(word.encode() + b"\n")
    t.p.stdin.flush()


def until(t, word):
    while t.line(60) != word:
        pass


def cumulative(path):
    """Function -> its share of the samples, callees included; the runtime's and the kernel's stand-ins left out.

    On a busy machine many of the program's own samples are in asyncPreempt, where a preemption's signal has just
    put it: both signals come when it gets a CPU again.  That frame is left out; what was inlined below it is lost."""
    _, samples = read_profile(path)
    total, of = sum(v[0] for _, v, _ in samples), {}
    for stack, values, _ in samples:
        for f in {f for f, _ in stack if not f.startswith(("[", "runtime._", "runtime.asyncPreempt"))}:
            of[f] = of.get(f, 0) + values[0] / total
    return of, total


def both(bench, t, begin, seconds, tmp):
    """A profile of ours and the program's own of the same seconds; and how many of our stacks are whole."""
    ours, its = os.path.join(tmp, "ours"), os.path.join(tmp, "its")
    g = subprocess.Popen([bench.GOSPECT, "snapshot", str(t.pid), "--profile", "cpu", "--window", f"{seconds:g}s", "--format",
                          "pprof", "-o", ours], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while "watching process" not in g.stderr.readline():
        pass
    say(t, begin.format(its))
    until(t, "BEGUN")
    g.stderr.read()
    say(t, "end")
    until(t, "DONE")
    if g.wait():
        raise SystemExit("bench: gospect failed")
    out = subprocess.run([bench.GOSPECT, "snapshot", str(t.pid), "--profile", "cpu", "--window", f"{seconds / 3:g}s", "--format",
                          "json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    c = json.loads(out)["cpu"]
    return cumulative(ours), cumulative(its), c["whole_stacks"] / c["with_stack"]


def accuracy(bench, a):
    seconds = PROFILE_S * a.seconds
    print(f"\nCPU samples at 97 Hz against runtime/pprof at 100 Hz, the same {seconds:g} s: functions over {MUCH:.0%} of either")
    for what, variant, *args in (("loops", "stripped"), ("garbage", "stripped", "-garbage"), ("C", "cgo", "-c"),
                                 ("HTTP", "stripped")):
        prog = os.path.join(bench.BIN_DIR, f"cpu{'http' if what == 'HTTP' else ''}-{bench.RELEASE}-{variant}")
        with tempfile.TemporaryDirectory() as tmp:
            argv = [prog, *args] if what == "HTTP" else [prog, "-profile", os.path.join(tmp, "its"), *args]
            t = bench.Program(argv, None)
            try:
                begin = "profile {}" if what == "HTTP" else "begin"
                (ours, n), (its, m), whole = both(bench, t, begin, seconds, tmp)
            finally:
                t.close()
        off = sorted((abs(ours.get(f, 0) - its.get(f, 0)), f) for f in ours.keys() | its.keys()
                     if max(ours.get(f, 0), its.get(f, 0)) > MUCH)
        points = 100 * off[-1][0]
        sd = 100 * (0.25 * (1 / n + 1 / m)) ** 0.5
        bench.row(f"{what}: {len(off)} functions, {n} and {m} samples: farthest off", f"{points:.1f} points ({off[-1][1][-24:]})",
                  f"<= {POINTS}", points <= POINTS)
        print(f"      of ours and its own: {', '.join(f'{f[-24:]} {100 * ours.get(f, 0):.1f} {100 * its.get(f, 0):.1f}' for _, f in off[:-4:-1])}")
        print(f"      median {100 * statistics.median(o for o, _ in off):.1f}; two profiles of so many samples differ by up to "
              f"{2 * sd:.1f} for no reason (19 of 20)")
        bench.row("  stacks that are whole", f"{100 * whole:.1f} %", ">= 99 %", whole >= 0.99)


def own(bench, a):
    print("\nOwn use, on all CPUs")
    for what, name, args in (("a program that uses the CPUs", "cpu", ()), ("an idle one", "ghosts", ("-n", "1000"))):
        t = bench.Program([os.path.join(bench.BIN_DIR, f"{name}-{bench.RELEASE}-stripped"), *args], None)
        try:
            out = subprocess.run([bench.GOSPECT, "snapshot", str(t.pid), "--profile", "cpu", "--window", "10s", "--format", "json"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
        finally:
            t.close()
        r = json.loads(out)
        pct = r["cost"]["agent_cpu_pct"]
        bench.row(f"{what}, 10 s at 97 Hz: own CPU, of one CPU", f"{pct:.2f} %", "<= 1 %", pct <= 1)
        print(f"      {r['cpu']['samples']} samples, {r['target']['cpu_cores']:.2f} CPUs used, tables "
              f"{r['cost']['agent_bpf_bytes'] / (1 << 20):.1f} MiB")
