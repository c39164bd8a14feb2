# SPDX-License-Identifier: BSD-2-Clause
"""The section `cpu-cost` of tools/bench: what a program loses by samples of its CPU time.

One program on one CPU, which counts its own rounds and CPU time; gospect, on another CPU, keeps running, and its
timers are switched on and off from here by copies of its descriptors (pidfd_getfd).  A pair is two neighbouring
slices, one of each, in turns the one and the other first; compared is work per CPU second, on / off.  What
gospect's looks take is in neither: it is in the rows of own use, of `cpu-shares`.
"""
import ctypes
import fcntl
import json
import os
import statistics
import subprocess
import time

SLICE_S = 0.25
ENABLE, DISABLE, PERIOD = 0x2400, 0x2401, 0x40082404	# PERF_EVENT_IOC_*
PIDFD_GETFD, PERF_EVENT_OPEN = 438, 298	# x86-64
MANY_HZ = 20000	# for one sample's cost, which 19 a second do not show; gospect itself takes at most MOST_HZ
MOST_HZ = 999
COLD = 5	# after 50 ms a sample finds nothing in the caches. kernel.bpf_stats_enabled: its program takes 2.2 to 2.5 us
		# at 19 Hz, 0.5 to 1.0 at 999: up to 4.7 times as much
TIMER_HZ = 8000	# for one interrupt's cost, without a BPF program
libc = ctypes.CDLL(None, use_errno=True)


class Timers:
    """Descriptors of perf events, switched together."""

    def __init__(self, fds, close=None):
        self.fds, self.close_more = fds, close
        self.on(False)

    def on(self, on):
        for fd in self.fds:
            fcntl.ioctl(fd, ENABLE if on else DISABLE, 0)

    def close(self):
        for fd in self.fds:
            os.close(fd)
        if self.close_more:
            self.close_more()


class Itself:
    """runtime/pprof of the program."""

    def __init__(self, t):
        self.t, self.profiling = t, False

    def on(self, on):
        if on != self.profiling:
            tell(self.t, "profile /dev/null" if on else "end")
            while self.t.line(60) != ("BEGUN" if on else "DONE"):
                pass
        self.profiling = on

    def close(self):
        self.on(False)


class Nothing:
    def on(self, on):
        pass

    def close(self):
        pass


def tell(t, word):
    t.p.stdin.write(word.encode() + b"\n")
    t.p.stdin.flush()


def now(t):
    tell(t, "now")
    return json.loads(t.line(60))


def gospect_timers(bench, t, hz):
    g = subprocess.Popen([bench.GOSPECT, "snapshot", str(t.pid), "--only", "cpu", "--rate", str(min(hz, MOST_HZ)),
                          "--window", "1h"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                         preexec_fn=bench.pinned(bench.OUR_CPU))

    def close():
        g.kill()
        g.wait()
        g.stderr.close()
    if not any("watching process" in l for l in g.stderr):
        close()
        raise SystemExit("bench: gospect did not begin")
    pidfd, dir = os.pidfd_open(g.pid), f"/proc/{g.pid}/fd"
    fds = [libc.syscall(PIDFD_GETFD, pidfd, int(fd), 0) for fd in os.listdir(dir)
           if os.readlink(os.path.join(dir, fd)) == "anon_inode:[perf_event]"]
    os.close(pidfd)
    if not fds or min(fds) < 0:
        close()
        raise SystemExit("bench: gospect's timers are not to be had")
    if hz > MOST_HZ:
        for fd in fds:	# the kernel has made a period of ns of the rate
            fcntl.ioctl(fd, PERIOD, (1_000_000_000 // hz).to_bytes(8, "little"))
    return Timers(fds, close)


def bare_timer(cpu):
    """As gospect's (src/trace/sampler.c), at a rate that shows what an interrupt costs."""
    attr = (ctypes.c_uint8 * 128)()
    for at, size, v in ((0, 4, 1), (4, 4, 128), (8, 8, 0), (16, 8, TIMER_HZ), (40, 8, 1 | 1 << 10)):	# disabled, freq
        attr[at:at + size] = v.to_bytes(size, "little")
    fd = libc.syscall(PERF_EVENT_OPEN, ctypes.byref(attr), -1, cpu, -1, 8)
    if fd < 0:
        raise SystemExit(f"bench: perf_event_open: {os.strerror(ctypes.get_errno())}")
    return Timers([fd])


def one_slice(t, mode, on, seconds):
    mode.on(on)
    a = now(t)
    time.sleep(seconds)
    b = now(t)
    mode.on(False)
    return (b["requests"] - a["requests"]) / (b["cpu_seconds"] - a["cpu_seconds"])


def measure(t, modes, pairs, seconds):
    """Mode -> ratios, on / off, of all pairs; the modes take turns."""
    ratios = {name: [] for name in modes}
    for i in range(pairs):
        for name, mode in modes.items():
            v = {on: one_slice(t, mode, on, seconds) for on in ((True, False) if i % 2 else (False, True))}
            ratios[name].append(v[True] / v[False])
    return ratios


def interval(v):
    """Of the median, 19 times of 20, by the order of the values."""
    v, n = sorted(v), len(v)
    k = max(0, int(n / 2 - 0.98 * n ** 0.5))
    return v[k], v[n - 1 - k]


def rows(bench, ratios):
    for name, v in ratios.items():
        lo, hi = interval(v)
        bench.row(name, f"{statistics.median(v):.4f} ({lo:.4f}..{hi:.4f})", "", True)


def each(v, hz):
    """us, median and interval, that one of hz interrupts a second costs."""
    return [(1 - r) / hz * 1e6 for r in (statistics.median(v), *reversed(interval(v)))]


def by_samples(bench, v):
    """Pairs at 19 Hz differ by far more than the bound leaves: judged by what a sample costs where there are many."""
    us = each(v, MANY_HZ)
    bench.row(f"a sample, by {MANY_HZ} Hz", f"{us[0]:.2f} us ({us[1]:.2f}..{us[2]:.2f})", "", True)
    for hz, bound in ((19, 0.999), (97, 0.99)):
        worst = 1 - COLD * us[2] * hz / 1e6
        bench.row(f"{hz} Hz, by that, {COLD} times as dear", f"{1 - COLD * us[0] * hz / 1e6:.5f} (at worst {worst:.5f})",
                  f">= {bound}", worst >= bound)


def run(bench, argv, pairs, seconds, loop):
    t = bench.Program(argv, bench.TARGET_CPU)
    modes = {}
    try:
        modes["nothing (noise)"] = Nothing()
        for hz in (19, 97, MANY_HZ):
            modes[f"{hz} Hz"] = gospect_timers(bench, t, hz)
        if loop:
            modes[f"a timer alone, {TIMER_HZ} Hz"] = bare_timer(bench.TARGET_CPU)
        return measure(t, modes, pairs, seconds), measure(t, {"runtime/pprof, 100 Hz": Itself(t)}, 8, 2 * seconds)
    finally:
        for m in modes.values():
            m.close()
        t.close()


def cost(bench, a):
    prog = os.path.join(bench.BIN_DIR, f"cpuhttp-{bench.RELEASE}-stripped")
    load = os.getloadavg()[0]
    for what, pairs, seconds, args in (("A loop", 36, SLICE_S, ("-loop",)), ("HTTP", 24, 2 * SLICE_S, ())):
        pairs = int(pairs * a.pairs / 3)
        print(f"\n{what}: work per CPU second, samples on / off, median of {pairs} pairs of {seconds} s (19 times of 20), "
              f"load {load:.1f}")
        ratios, itself = run(bench, [prog, "-quiet", "-procs", "2", *args], pairs, seconds, bool(args))
        rows(bench, {**ratios, **itself})
        by_samples(bench, ratios[f"{MANY_HZ} Hz"])
        alone = f"a timer alone, {TIMER_HZ} Hz"
        if alone in ratios:
            us = each(ratios[alone], TIMER_HZ)
            print(f"      an interrupt, of which the governor counts 3.7 us, costs {us[0]:.2f} us ({us[1]:.2f}..{us[2]:.2f})")
