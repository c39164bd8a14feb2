# SPDX-License-Identifier: BSD-2-Clause
"""The sections `copying` and `proofs` of tools/bench: how long a proof stops a program, beside what the machine can."""
import json
import os
import statistics

LIMIT = {}	# of this machine, as bench-copy prints it


def limit(bench):
    if not LIMIT:
        LIMIT.update(bench.c_bench("copy", pin=False))
    return LIMIT


def copying(bench, a):
    print("\nCopying another process's memory: what this machine can (process_vm_readv, the fastest of five)")
    v = limit(bench)
    bench.row("pieces of 4 MiB, one thread / two", f"{v['one']:.1f} / {v['two']:.1f} GB/s", "", True)
    bench.row("  into fresh pages", f"{v['one_fresh']:.1f} / {v['two_fresh']:.1f} GB/s", "", True)
    bench.row("256 bytes of each 2 KiB, a piece", f"{v['small_ns']:.0f} / {v['small_two_ns']:.0f} ns", "", True)


def times_limit(bench, ms, heap_bytes):
    """A proof's stop over the time in which two threads copy as many bytes."""
    return ms / (heap_bytes / limit(bench)["two"] / 1e6)


def one(bench, a, n, heap, frozen, whole):
    t = bench.Program([os.path.join(bench.BIN_DIR, f"ghosts-{bench.RELEASE}-stripped"), "-n", str(n), "-leak",
                       "-heap", str(heap)], bench.TARGET_CPU)
    stop, took, rss = [], [], []
    try:
        for _ in range(a.runs if n < 1000000 else min(a.runs, 3)):
            dt, m, out = bench.measured([bench.GOSPECT, "snapshot", str(t.pid), "--window", "0", "--prove",
                                         "--max-stop", "5s", "--format", "json"], pin=False)
            r = json.loads(out)
            if r["leaks"]["verdict"] != "proven":
                raise SystemExit("bench: not proven: " + json.dumps(r["leaks"])[:300])
            stop.append(r["leaks"]["stop_ms"])
            took.append(dt)
            rss.append(m)
    finally:
        t.close()
    what = f"{n:,} goroutines" + (f", {heap} MiB of heap with pointers" if heap else "")
    s, w, m = statistics.median(stop), statistics.median(took), max(rss) / 1e6
    live = heap << 20 if heap else r["gc"]["heap_live_bytes"]	# its heap is all pointers
    over = times_limit(bench, s, live)
    bench.row(f"{what}: frozen", f"{s:.1f} ms ({min(stop):.1f}..{max(stop):.1f})", f"<= {frozen} ms" if frozen else "",
              not frozen or s <= frozen)
    bench.row("  of the time to copy its heap", f"{over:.2f}", "<= 1.3" if heap else "", not heap or over <= 1.3)
    bench.row("  whole command", f"{w:.2f} s", f"<= {whole} s" if whole else "", not whole or w <= whole)
    bench.row("  its memory", f"{m:.0f} MB", f"<= {live / 1e6 + 100:.0f} MB", m <= live / 1e6 + 100)


def proofs(bench, a):
    print("\nProof of leaks: the process is frozen for a copy, judged afterwards (snapshot --window 0 --prove)")
    for n, heap, frozen, whole in ((10000, 0, 5, None), (100000, 0, 50, None), (1000000, 0, 400, 3),
                                   (1000, 1024, None, 0.6)):
        one(bench, a, n, heap, frozen, whole)
