/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel remembers of what is under way, read in one go: whoever looks
 * at memory asks a copy, and no system call is made in the middle of a look.
 */
#ifndef GOSPECT_TRACE_OPENS_H
#define GOSPECT_TRACE_OPENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "gospect/kinds.h"

struct trace;

#define TRACE_CALL_FRAMES 8

/* Something that has begun and, as far as probes saw, not ended: see enum open_kind. */
struct trace_open {
	enum open_kind kind;
	uint32_t state;
	uint64_t addr;
	uint64_t start_ns; /* CLOCK_MONOTONIC; never 0 */
	uint64_t state_ns; /* since when it is in `state`; 0 not known */
	uint64_t goid;     /* of the goroutine that began it; 0 not known */
	uint64_t ptr;
	uint32_t npcs;
	uint64_t pcs[TRACE_CALL_FRAMES]; /* return addresses at its begin, innermost first */
	const char *text; /* GRPC: the method, HANDLER: the route; NULL: not known.  Valid until the
			   * next reading */
};

struct trace_opens {
	struct trace_open *open; /* owned; start_ns 0: it ended while it was read */
	size_t n, cap;
	struct u64map at; /* where each is in `open` */
};

/*
 * All that is open: 0, -ENOMEM, or an errno of the kernel's; then it is empty.
 * One pass over the tables, and a system call for each that is open.  Of an entry that is written meanwhile either the old
 * or the new content is read, never a mixture.
 */
int trace_opens_read(struct trace *t, struct trace_opens *o);
void trace_opens_deinit(struct trace_opens *o);
/* One more: 0 or -ENOMEM. */
int trace_opens_add(struct trace_opens *o, const struct trace_open *open);
/*
 * False when no begin was seen (begun before us, between two slices, or the
 * kernel's table is full); o NULL: never.  The caller checks goid or ptr against
 * what memory says now: an entry whose end was missed stays until the address
 * is used again.
 */
bool trace_opens_find(const struct trace_opens *o, enum open_kind kind, uint64_t addr,
		      struct trace_open *out);

/* Birth times: the kernel keeps the last 65,536 births by goid, good to a jiffy (1 to 10 ms). */
struct trace_birth {
	uint64_t goid, ns;
};

struct trace_births {
	struct trace_birth *slot; /* owned */
	size_t n;                 /* a power of two; 0: none are recorded */
};

/* 0 or -ENOMEM; under 1 ms.  What is in *b is used again: zeroed at first. */
int trace_births_read(const struct trace *t, struct trace_births *b);
void trace_births_deinit(struct trace_births *b);
/*
 * CLOCK_MONOTONIC ns, or 0 when it is not known: born before, between two
 * slices, as a coroutine, beyond the 32nd of its jiffy, or overwritten; b NULL.
 */
uint64_t trace_births_find(const struct trace_births *b, uint64_t goid);

#endif
