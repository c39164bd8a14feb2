/* SPDX-License-Identifier: BSD-2-Clause */
/* Goroutines that wait for a CPU, as looks see them: by where they were created. */
#include <errno.h>
#include <stdlib.h>

#include "base/vec.h"
#include "cpu/fill.h"

#define MAX_QUEUED 65536
#define MAX_PLACES 256 /* of a look; the others are one, of no place */

struct cpu_queued {
	uint64_t gopc;
	int look;
	uint32_t n;
};

static int add(struct cpu_queue *q, uint64_t gopc, size_t first)
{
	for (size_t i = first; i < q->n; i++)
		if (q->at[i].gopc == gopc) {
			q->at[i].n++;
			return 0;
		}
	if (q->n - first >= MAX_PLACES && gopc)
		return add(q, 0, first);
	if (q->n >= MAX_QUEUED)
		return 0;
	if (array_room(&q->at, q->n, &q->cap, sizeof(*q->at)))
		return -ENOMEM;
	q->at[q->n++] = (struct cpu_queued){ gopc, q->looks, 1 };
	return 0;
}

int cpu_queue_look(struct cpu_queue *q, const struct gowalk *walk)
{
	size_t first = q->n;
	int err = 0;

	for (size_t i = 0; i < walk->n && !err; i++)
		if (walk->g[i].status == GO_RUNNABLE && !walk->g[i].system)
			err = add(q, walk->g[i].gopc, first);
	q->looks++;
	return err;
}

void cpu_queue_clear(struct cpu_queue *q)
{
	q->n = 0;
	q->looks = 0;
}

void cpu_queue_deinit(struct cpu_queue *q)
{
	free(q->at);
	*q = (struct cpu_queue){ 0 };
}

static bool is_of(uint64_t gopc, const uint64_t *list, int n)
{
	for (int i = 0; i < n; i++)
		if (list[i] == gopc)
			return true;
	return false;
}

uint64_t cpu_queue_at(const struct cpu_queue *q, int look, const uint64_t *not_gopc, int n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < q->n; i++)
		if (q->at[i].look == look && !is_of(q->at[i].gopc, not_gopc, n))
			sum += q->at[i].n;
	return sum;
}
