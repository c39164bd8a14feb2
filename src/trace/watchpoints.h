/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hardware watchpoints on words of a process, one slice at a time: who touches them, and
 * when.  They are events of perf, for each of its threads, and descriptors: nothing stays
 * when this process ends, however it does.  Knows nothing of what the words are.
 *
 * A thread that touches a word stands in a trap for about 10 µs, and after so many hits its
 * watchpoint is off for the rest of the slice, by itself: a slice has a most that it costs.
 */
#ifndef GOSPECT_TRACE_WATCHPOINTS_H
#define GOSPECT_TRACE_WATCHPOINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "gospect/watchpoints.h"

struct gobin;
struct watchpoints;

/* What a trap is on this machine, measured on a word of our own. */
struct watch_costs {
	uint64_t
		around_ns; /* least time of a trap outside of the program: from the access to it, and
			     * from it to the next instruction */
	uint64_t hit_ns;   /* a whole trap, usually */
};

struct watch_word {
	uint64_t addr; /* run-time, aligned to len */
	uint32_t len;  /* 1, 2, 4 or 8 */
};

/* A lock that is read when the word is touched. */
struct watch_lock {
	uint64_t addr;
	int word; /* of the slice */
	int of;   /* the caller's number */
	bool rw;
};

struct watch_slice {
	struct watch_word word[GS_WATCH_WORDS];
	int nword;
	struct watch_lock lock[GS_WATCH_LOCKS];
	int nlock;
	bool writes;                   /* only these; reads cost nothing then */
	uint32_t most;                 /* hits of a thread on a word, at most */
	uint32_t most_all;             /* in all; at most GS_WATCH_HITS */
	uint64_t ns;                   /* how long */
	uint64_t hold[GS_WATCH_HOLDS]; /* pcs behind stores where a thread is held; 0 at the end */
	uint32_t most_held;            /* times that one is, at most */
	int wake_fd; /* a slice ends when something is to be read there; -1: nothing is */
};

struct watch_seen {
	const struct gs_watch_hit *hit; /* until the next slice; by no order */
	size_t n;
	uint32_t
		stopped; /* mask of words that code of the ranges touched: they must not be watched */
	bool full;       /* there were more than most_all hits */
	uint32_t held;   /* times that a thread was held */
	int nword;   /* words watched: the first ones; fewer where somebody else has registers */
	int threads; /* watched; 0: the process has ended */
	int missed;  /* threads that could not be watched: no descriptors */
	uint64_t begin_ns,
		end_ns;    /* all threads that there were at first were watched in between */
	uint64_t switches; /* context switches of these threads meanwhile */
	uint64_t cost_ns;  /* what it took of the process's time, as estimated */
};

/*
 * hold_ns: for how long a thread may be held, at most WATCH_HOLD_MOST; 0: nobody ever is.
 * Loads the program and measures a trap, some 10 ms.  -EPERM; -EOPNOTSUPP: no watchpoints on this
 * machine; -ENOSPC: all are in use; err has a sentence and a hint.
 */
#define WATCH_HOLD_MOST 200000 /* ns: interrupts are off meanwhile */
int watchpoints_open(struct watchpoints **out, uint64_t hold_ns, struct err *err);
/* NULL is fine. */
void watchpoints_close(struct watchpoints *w);
/* How many a thread of ours could have now: less than GS_WATCH_WORDS where somebody else has some
 * of every thread's. */
int watchpoints_registers(void);
const struct watch_costs *watchpoints_costs(const struct watchpoints *w);
/* The process, before its slices; `stop`: code that must not be held up in a trap, at most
 * GS_WATCH_RANGES.  -EOPNOTSUPP: the runtime's layout is not known. */
int watchpoints_target(struct watchpoints *w, pid_t pid, const struct gobin *gb,
		       const struct gs_watch_range *stop, size_t nstop, struct err *err);
/* One slice.  0; -ESRCH; -ENOSPC: not one register is free; -EPERM; err has the sentence. */
int watchpoints_slice(struct watchpoints *w, const struct watch_slice *s, struct watch_seen *out,
		      struct err *err);

#endif
