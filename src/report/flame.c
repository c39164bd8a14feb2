/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/flame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

#define MAX_LINES 512

struct key {
	uint64_t parent, line;
	const char *name;
};

static int find_reason(const struct flame *f, const char *words)
{
	for (int i = 0; i < f->nreason; i++)
		if (!strcmp(f->reason[i], words))
			return i;
	return f->nreason == FLAME_MAX_REASONS ? FLAME_MAX_REASONS - 1 : -1;
}

/* The reasons, most goroutines first; those beyond the table are summed in its last place. */
static void rank_reasons(struct flame *f, const struct flame_source *from)
{
	for (size_t i = 0; i < from->n; i++) {
		struct flame_item item = from->item(from, i);
		int k = find_reason(f, item.reason);

		if (k < 0) {
			k = f->nreason++;
			f->reason[k] = item.reason;
		}
		f->reason_count[k] += item.count;
	}
	for (int i = 1; i < f->nreason; i++)
		for (int k = i; k > 0 && f->reason_count[k] > f->reason_count[k - 1]; k--) {
			uint64_t n = f->reason_count[k];
			const char *r = f->reason[k];

			f->reason_count[k] = f->reason_count[k - 1];
			f->reason[k] = f->reason[k - 1];
			f->reason_count[k - 1] = n;
			f->reason[k - 1] = r;
		}
}

/* The node's child, made when it is not there; -1 when there is no room. */
static int child_of(struct flame *f, struct bytesmap *at, int parent, const struct place *place,
		    const char *reason)
{
	struct key key = { (uint64_t)parent, place ? (uint64_t)place->line : 0,
			   place ? place->function : reason };
	struct flame_node *n;
	bool made;
	uint64_t *k;

	if (f->n == FLAME_MAX_NODES && !bytesmap_find(at, &key, sizeof(key)))
		return -1;
	k = bytesmap_put(at, &key, sizeof(key), (uint64_t)f->n, &made);
	if (!k)
		return -1;
	if (!made)
		return (int)*k;
	n = &f->node[f->n];
	memset(n, 0, sizeof(*n));
	n->place = place;
	n->reason = place ? NULL : reason;
	n->child = -1;
	n->next = f->node[parent].child;
	f->node[parent].child = f->n;
	return f->n++;
}

static void add_item(struct flame *f, struct bytesmap *at, const struct flame_source *from,
		     const struct flame_item *g)
{
	const struct place *line[MAX_LINES];
	int n = stack_lines(from->stacks, g->stack, line, MAX_LINES), top = 0, node = 0;
	int reason = find_reason(f, g->reason), last;

	/* how the runtime parks is the same everywhere */
	while (from->waits && top < n - 1 && stack_line_is_runtime(line[top]))
		top++;
	last = from->waits || !n ? top - 1 : top;
	f->node[0].count += g->count;
	f->node[0].by_reason[reason] += g->count;
	for (int i = n - 1, depth = 0; i >= last; i--, depth++) {
		bool is_reason = i == top - 1 || !n || depth == FLAME_MAX_DEPTH;
		int child = child_of(f, at, node, is_reason ? NULL : line[i], g->reason);

		if (child < 0) {
			f->cut = true;
			return;
		}
		f->node[child].count += g->count;
		f->node[child].by_reason[reason] += g->count;
		node = child;
		if (is_reason)
			break;
	}
}

struct ranked {
	uint64_t count;
	int node;
};

static int by_count(const void *x, const void *y)
{
	const struct ranked *a = x, *b = y;

	return a->count < b->count ? 1 : a->count > b->count ? -1 : a->node - b->node;
}

static void sort_children(struct flame *f, int parent, struct ranked *list)
{
	int n = 0;

	for (int c = f->node[parent].child; c >= 0; c = f->node[c].next)
		list[n++] = (struct ranked){ f->node[c].count, c };
	if (n < 2)
		return;
	qsort(list, (size_t)n, sizeof(*list), by_count);
	f->node[parent].child = list[0].node;
	for (int i = 0; i < n; i++)
		f->node[list[i].node].next = i + 1 < n ? list[i + 1].node : -1;
}

int flame_make(struct flame *f, const struct flame_source *from)
{
	struct bytesmap at;
	struct ranked *list = malloc(FLAME_MAX_NODES * sizeof(*list));

	memset(f, 0, sizeof(*f));
	f->node = malloc(FLAME_MAX_NODES * sizeof(*f->node));
	if (!f->node || !list) {
		free(list);
		return -ENOMEM;
	}
	memset(&f->node[0], 0, sizeof(f->node[0]));
	f->node[0].child = f->node[0].next = -1;
	f->n = 1;
	rank_reasons(f, from);
	bytesmap_init(&at, FLAME_MAX_NODES);
	for (size_t i = 0; i < from->n; i++) {
		struct flame_item item = from->item(from, i);

		add_item(f, &at, from, &item);
	}
	bytesmap_deinit(&at);
	for (int i = 0; i < f->n; i++)
		sort_children(f, i, list);
	free(list);
	return 0;
}

void flame_deinit(struct flame *f)
{
	free(f->node);
	memset(f, 0, sizeof(*f));
}

int flame_reason(const struct flame *f, const struct flame_node *n)
{
	int best = 0;

	for (int i = 1; i < f->nreason; i++)
		if (n->by_reason[i] > n->by_reason[best])
			best = i;
	return best;
}
