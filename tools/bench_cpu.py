# SPDX-License-Identifier: BSD-2-Clause
"""The section `cpu` of tools/bench: what samples of the CPU are worth, and what they cost."""
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "tests", "e2e"))
from profiles import read_profile  # noqa: E402

PROFILE_S = 15	# of a comparison, in slices
MUCH = 0.05	# a function has more than that: it is compared
POINTS = 3


def cpu(bench, a):
    accuracy(bench, a)
    throughput(bench, a)
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


def profiling(bench, *args):
    """A snapshot that samples until it is told to end."""
    def begin(pid):
        g = subprocess.Popen([bench.GOSPECT, "snapshot", str(pid), "--only", "cpu", "--window", "1h", "--format", "json", *args],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             preexec_fn=bench.pinned(bench.OUR_CPU))
        if not any("watching process" in l for l in g.stderr):
            raise SystemExit("bench: gospect did not begin")
        return g

    def end(g):
        g.send_signal(signal.SIGINT)
        out, _ = g.communicate()
        r = json.loads(out)
        end.cost.append(r["cost"].get("target_cpu_pct", 0))
        return r["cost"]["agent_cpu_pct"] / 100
    end.cost = []
    return begin, end


def throughput(bench, a):
    print(f"\nThe same, traced / untraced: requests per CPU second, median of {a.pairs} pairs of {a.seconds} s")
    twins = [bench.Program([os.path.join(bench.BIN_DIR, f"cpuhttp-{bench.RELEASE}-stripped"), "-procs", "1"], bench.TARGET_CPU)
             for _ in range(2)]

    def itself(pid):
        t = next(t for t in twins if t.pid == pid)
        say(t, "profile /dev/null")
        until(t, "BEGUN")
        return t

    def itself_ends(t):
        say(t, "end")
        until(t, "DONE")
        return 0

    modes = [("nothing traced (noise)", (lambda pid: None, lambda h: 0), None),
             ("19 Hz", profiling(bench, "--rate", "19"), 0.999), ("97 Hz", profiling(bench, "--rate", "97"), 0.99),
             ("runtime/pprof, 100 Hz", (itself, itself_ends), None)]
    result = {name: [] for name, _, _ in modes}
    try:
        for i in range(a.pairs):
            for name, (begin, end), _ in modes:	# interleaved
                result[name].append(bench.pair(twins, i % 2, a.seconds, begin, end)[0])
    finally:
        for t in twins:
            t.close()
    noise = result[modes[0][0]]
    spread = (max(noise) - min(noise)) / 2
    for name, (_, end), bound in modes:
        v = result[name]
        m = statistics.median(v)
        # more exactly than nothing differs from nothing it cannot be told
        bench.row(name, f"{m:.3f} ({min(v):.3f}..{max(v):.3f})", f">= {bound}" if bound else "", not bound or m >= bound - spread)
        if getattr(end, "cost", None):
            print(f"      the samples took {statistics.median(end.cost):.3f} % of the program's CPU time, by their own clock")


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
