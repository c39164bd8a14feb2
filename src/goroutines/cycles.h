/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Circles among those who wait: each wants something that the next would give.
 * Knows numbers only.
 */
#ifndef GOSPECT_GOROUTINES_CYCLES_H
#define GOSPECT_GOROUTINES_CYCLES_H

#include <stddef.h>
#include <stdint.h>

enum circle_kind {
	CIRCLE_LOCK,        /* a lock given back; the only kind that one may want of itself */
	CIRCLE_WRITER_GONE, /* a lock that no writer waits for any more */
	CIRCLE_TO_RECEIVER, /* a value in a channel, or its end */
	CIRCLE_TO_SENDER,   /* a value taken out of a channel */
	CIRCLE_GROUP,
	CIRCLE_KINDS
};

struct circle_key {
	uint64_t object;
	enum circle_kind kind;
};

#define CIRCLE_MAX_WANTS  9
#define CIRCLE_MAX_LENGTH 64 /* longer ones are not looked for */

struct circle_node {
	struct circle_key want[CIRCLE_MAX_WANTS];
	int nwant;
};

struct circle_give {
	uint32_t node;
	struct circle_key key;
};

struct circle_graph {
	const struct circle_node *node;
	size_t n;
	const struct circle_give *give;
	size_t ngive;
};

/* One of a circle: the node, and the want of it that the next one would still. */
struct circle_step {
	uint32_t node;
	struct circle_key want;
};

/* Called for each circle; steps in the order of who waits for whom.  Non-zero ends the search and is returned. */
typedef int (*circle_fn)(void *arg, const struct circle_step *step, size_t n);

/*
 * The shortest circle of each node, each node in one at most.  Who wants
 * something of an object gives nothing of it: it would come after, as for all
 * others who wait there (but for CIRCLE_LOCK and CIRCLE_WRITER_GONE).
 * 0, -ENOMEM, or what fn returned.
 */
int circles_find(const struct circle_graph *g, circle_fn fn, void *arg);

/*
 * All that is wanted of whom: once for each want of a node and each that would
 * still it.  0, -ENOMEM, or what fn returned.
 */
typedef int (*circle_edge_fn)(void *arg, uint32_t node, const struct circle_key *want,
			      uint32_t giver);
int circles_edges(const struct circle_graph *g, circle_edge_fn fn, void *arg);

#endif
