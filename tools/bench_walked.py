# SPDX-License-Identifier: BSD-2-Clause
"""A row of the section `walking` of tools/bench: what a program loses that is walked over and over."""
import os
import statistics
import subprocess

PAIRS = 8	# at least: one differs from the next by some percent


def walked(bench, a):
    """An HTTP program on its CPU against its twin there, with a walker of one of them on another CPU, and without."""
    def begin(pid):
        return subprocess.Popen([os.path.join(bench.TOP, "build", "bench-walk"), str(pid), str(a.seconds + 60)],
                                stdout=subprocess.DEVNULL, preexec_fn=bench.pinned(bench.OUR_CPU))

    def end(walker):
        walker.kill()
        walker.wait()
        return 0	# what walking takes is not the program's

    def slice_of(i, how):
        return bench.pair(twins, i % 2, a.seconds, how, end)[0]

    prog = [os.path.join(bench.BIN_DIR, f"httpload-{bench.RELEASE}-stripped"), "-conns", "8", "-procs", "1"]
    twins = [bench.Program(prog, bench.TARGET_CPU) for _ in range(2)]
    try:
        both = [(slice_of(i, lambda pid: None), slice_of(i, begin)) for i in range(max(a.pairs, PAIRS))]
    finally:
        for t in twins:
            t.close()
    noise, ours = ([v[k] for v in both] for k in (0, 1))
    m = statistics.median(ours)
    bench.row("requests per CPU second: untouched (noise), walked over and over",
              f"{statistics.median(noise):.3f} / {m:.3f} ({min(ours):.3f}..{max(ours):.3f})", ">= 0.99", m >= 0.99)
