/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cycles among those who wait: each waits for something that the next one would do.
 * Knows numbers only.
 */
#ifndef GOSPECT_GOROUTINES_CYCLES_H
#define GOSPECT_GOROUTINES_CYCLES_H

#include <stddef.h>
#include <stdint.h>

enum cycle_kind {
	CYCLE_LOCK,        /* a lock released; the only kind that one may want of itself */
	CYCLE_WRITER_GONE, /* a lock that no writer waits for now */
	CYCLE_TO_RECEIVER, /* a value in a channel, or its end */
	CYCLE_TO_SENDER,   /* a value taken out of a channel */
	CYCLE_GROUP,
	CYCLE_KINDS
};

struct cycle_key {
	uint64_t object;
	enum cycle_kind kind;
};

#define CYCLE_MAX_WANTS  9
#define CYCLE_MAX_LENGTH 64 /* longer ones are not looked for */

struct cycle_node {
	struct cycle_key want[CYCLE_MAX_WANTS];
	int nwant;
};

struct cycle_wakeup {
	uint32_t node;
	struct cycle_key key;
};

struct cycle_graph {
	const struct cycle_node *node;
	size_t n;
	const struct cycle_wakeup *wakes;
	size_t nwakes;
};

/* One of a cycle: the node, and the wait of it that the next one would end. */
struct cycle_step {
	uint32_t node;
	struct cycle_key want;
};

/* Called for each cycle; steps in the order of who waits for whom.  Non-zero ends the search and is returned. */
typedef int (*cycle_fn)(void *arg, const struct cycle_step *step, size_t n);

/*
 * The shortest cycle of each node, each node in one at most.  Who wants
 * something of an object wakes nobody by it: it would come after, as for all
 * others who wait there (but for CYCLE_LOCK and CYCLE_WRITER_GONE).
 * 0, -ENOMEM, or what fn returned.
 */
int cycles_find(const struct cycle_graph *g, cycle_fn fn, void *arg);

/*
 * Who waits for whom: once for each want of a node and each that would end
 * that wait.  0, -ENOMEM, or what fn returned.
 */
typedef int (*cycle_edge_fn)(void *arg, uint32_t node, const struct cycle_key *want,
			     uint32_t waker);
int cycles_edges(const struct cycle_graph *g, cycle_edge_fn fn, void *arg);

#endif
