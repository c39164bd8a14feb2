/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Go runtime inside a live process: an executable's facts bound to its
 * memory, verified, then read.  Nothing is used before its verification
 * passed; what failed is off, with a sentence.
 */
#ifndef GOSPECT_GORT_GORUNTIME_H
#define GOSPECT_GORT_GORUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "gobin/gobin.h"
#include "proc/mem.h"
#include "proc/readbatch.h"

/* Facts that are verified, and can be off, one by one. */
enum gofact {
	FACT_GOROUTINES, /* walk of allgs: ids, states, creation, wait reasons */
	FACT_LIVE,       /* the runtime's own count of live goroutines */
	FACT_CREATED,    /* goroutines created since the start */
	FACT_GC,         /* memstats: cycles and pauses */
	FACT_HEAP,       /* gcController: live heap, goal */
	FACT_STACKS,     /* unwinding by pcsp */
	FACT_REASONS,    /* what g.waitreason means */
	FACT_COUNT
};

struct goruntime {
	struct gobin *gb;              /* borrowed */
	struct memreader *mem;         /* borrowed */
	uint64_t bias;                 /* run-time pc − link-time address */
	int64_t mono_offset_ns;        /* target's monotonic clock − ours */
	char why_off[FACT_COUNT][160]; /* "" when the fact is verified */
	uint64_t
		read_failures; /* g's and counters that were lost, total; a repeated read does not count */
	struct gowalk_cache *cache; /* owned: buffers kept between walks */
};

/*
 * Whether g.waitsince tells that a goroutine has not run: execute() (runtime/proc.go) sets it to 0,
 * and only a collection sets it again, to the time at which it began itself (mgcmark.go, markroot).
 * So one that waits with the same word, not 0, has not run in between.  (Not so of coroutines:
 * coroswitch() starts them by itself.)  True of Go 1.20 to 1.27, read in their sources.
 */
bool goruntime_waitsince_tells(const struct goruntime *rt);

/* Go's g status values (runtime2.go), Gscan masked off. */
enum gostatus {
	GO_IDLE,
	GO_RUNNABLE,
	GO_RUNNING,
	GO_SYSCALL,
	GO_WAITING,
	GO_DEAD = 6,
	GO_COPYSTACK = 8,
	GO_PREEMPTED = 9,
	GO_LEAKED = 10,
	GO_DEADEXTRA = 11
};

struct goroutine {
	uint64_t addr;                         /* of the g */
	uint64_t goid, parent_goid;            /* parent 0 when the release has none (< 1.21) */
	uint64_t gopc, startpc;                /* run-time */
	uint64_t sched_pc, sched_sp, sched_bp; /* where it stands when it does not run */
	uint64_t syscall_pc, syscall_sp;
	uint64_t stack_lo, stack_hi;
	uint64_t m; /* the M it runs on, or 0 */
	uint64_t labels, waiting, lockedm;
	uint64_t parked_ns;   /* our monotonic clock: blocked since then at least, as a collection
			       * proves; 0: none does */
	int64_t waitsince;    /* as the runtime has it: what parked_ns is from */
	uint32_t moved;       /* the number of the walk that found it other than it was before */
	uint8_t status;       /* enum gostatus */
	uint8_t wait_reason;  /* index into layout's table, when GO_WAITING */
	uint8_t tracking_seq; /* bumped by casgstatus each time it stops running (mod 256) */
	bool system;          /* the runtime's own, as isSystemGoroutine says */
};

struct gowalk {
	struct goroutine *g; /* owned; live ones (not idle, not dead), user and system */
	size_t n, cap;
	uint32_t number, before; /* this one's, and that of the one before it; from 1 on */
	size_t next, end;        /* of g, during a walk: those of the walk before still to come */
	bool proves;             /* a collection has ended since */
	uint64_t user, system;   /* of them */
	uint64_t mono_ns;        /* our monotonic clock, at the middle of the reading */
	uint64_t read_ns;        /* how long it took */
	uint64_t failures; /* g's that could not be read whole, or beyond the first 4 million */
	bool has_cycles;
	uint32_t cycles; /* collections that had ended before it */
};

struct gototals {
	uint64_t mono_ns, real_ns;
	bool has_created, has_live, has_gc, has_heap;
	uint64_t
		created; /* since the start, system and coroutines included (<= 1.25: and one per extra M of cgo) */
	uint64_t live, system; /* NumGoroutine, and the runtime's own */
	/* memstats */
	uint32_t numgc, numforcedgc;
	uint64_t pause_total_ns, last_gc_unix_ns;
	uint64_t pause_ns[256], pause_end_unix_ns[256]; /* ring: cycle n at (n+255)%256 */
	double gc_cpu_fraction;                         /* 0..1 since the start */
	/* pacer */
	uint64_t heap_live,
		heap_marked; /* bytes; live = marked + allocated since, rounded up to spans */
	uint64_t
		heap_goal; /* as MemStats.NextGC, memory limit included; 0: none (GOGC off, no limit) */
	uint64_t total_alloc, total_free; /* bytes since the start; 0 when the release has none */
	bool has_total_alloc;
	/* Bytes that the runtime has from the system: of spans in use; of free ones that are
	 * not given back, and that are; and of everything that it has and has not given back
	 * (these, stacks, its own tables).  Since 1.19. */
	bool has_mapped;
	uint64_t heap_in_use, heap_free, heap_released, mapped_ready;
	uint32_t procs;       /* GOMAXPROCS; 0 not known */
	uint32_t max_threads; /* debug.SetMaxThreads; 0 not known */
	int32_t gogc;         /* GOGC percent, -1 off */
	int64_t memory_limit; /* bytes, INT64_MAX none; -1 the release has none (< 1.19) */
};

/*
 * Binds and verifies.  -ENOEXEC when not even the goroutine list nor the
 * totals can be trusted (then err says what did not fit); individual facts may be off.
 */
int goruntime_init(struct goruntime *rt, struct gobin *gb, struct memreader *mem, uint64_t bias,
		   int64_t mono_offset_ns, struct err *err);
void goruntime_deinit(struct goruntime *rt);
static inline bool goruntime_has(const struct goruntime *rt, enum gofact f)
{
	return rt->why_off[f][0] == '\0';
}

/* Run-time address of the word that counts the bytes allocated since the start (a span's when
 * it is full); 0: not known. */
uint64_t goruntime_total_alloc_at(const struct goruntime *rt);

/* The list of goroutines.  -EFAULT when the list itself cannot be read, -ESRCH. */
int goruntime_walk(struct goruntime *rt, struct gowalk *w, struct err *err);
void gowalk_deinit(struct gowalk *w);
/* One g as it is now, in whatever status: 0, -EFAULT, -ESRCH. */
int goruntime_read_g(struct goruntime *rt, uint64_t addr, struct goroutine *out);
/* The same of n at once: read[i] says of which.  0, -ESRCH, -EPERM, -ENOMEM. */
int goruntime_read_gs(struct goruntime *rt, struct readbatch *b, const uint64_t *addr, size_t n,
		      struct goroutine *out, bool *read);
/*
 * Whether the runtime counts a goroutine started there (run-time pc) as its
 * own: not in NumGoroutine.  The goroutines of finalizers and cleanups too:
 * NumGoroutine never counts them (sched.ngsys).
 */
bool goruntime_is_system(struct goruntime *rt, uint64_t startpc);
/* Counters; what the process does not have verified is left out (has_… false). */
int goruntime_totals(struct goruntime *rt, struct gototals *t);
/* Only the goroutines created since the start: three small reads, for who asks
 * many times a second.  -ENOENT when FACT_CREATED is off, -EFAULT, -ESRCH. */
int goruntime_created(struct goruntime *rt, uint64_t *created);
/*
 * Words for its state, as the release's own goroutine dump has them: the wait
 * reason, else "running", "runnable", "syscall", …  Static or of the layout.
 */
const char *goroutine_state(const struct goruntime *rt, const struct goroutine *g);
/*
 * Run-time pcs of the goroutine's stack, innermost first: pcs[0] is where it
 * stands, the others are return addresses.  By pcsp; stops at goexit, at the
 * stack's bounds, at assembly that switches stacks or at what does not decode;
 * goexit itself is not listed.  Returns the count; 0: it runs, or has run or
 * ended since g was read.
 */
int goruntime_stack(struct goruntime *rt, const struct goroutine *g, uint64_t *pcs, int max);
/*
 * Frames of such a stack, inlined included, runtime's parking frames on top
 * kept.  Returns the count, at most max.
 */
int goruntime_frames(struct goruntime *rt, const uint64_t *pcs, int npcs, struct goframe *out,
		     int max);
/*
 * The same for one pc of a stack.  *injected is about the pc before it (false
 * for the innermost) and is set for the one after it: above a frame that a
 * signal put there is no return address.  Returns the count, <= 0: none.
 */
int goruntime_frames_at(struct goruntime *rt, uint64_t pc, bool *injected, struct goframe *out,
			int max);
/* Layout offset, -1 when absent. */
static inline int32_t go_off(const struct goruntime *rt, enum layout_field f)
{
	return layout_off(rt->gb->layout, f);
}

#endif
