/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/rows.h"

#include <string.h>

static void rest_add_wait(struct site_rest *rest, const struct wait_row *wait)
{
	int i;

	for (i = 0; i < rest->nwait; i++)
		if (!strcmp(rest->wait[i].state, wait->reason))
			break;
	if (i == ROWS_MAX_REASONS)
		rest->wait[--i].state = "other";
	else if (i == rest->nwait)
		rest->wait[rest->nwait++] = (struct state_count){ .state = wait->reason };
	rest->wait[i].count += wait->count;
}

static void rest_add_site(struct site_rest *rest, const struct site_row *s)
{
	rest->births_known = s->births_known && (rest->births_known || !rest->nrow);
	rest->nrow++;
	rest->births += s->births;
	rest->deaths += s->deaths;
	rest->live += s->live;
	rest->live_at_start += s->live_at_start;
	rest->stuck_window += s->stuck_window;
	if (s->exactness > rest->exactness)
		rest->exactness = s->exactness;
	if (s->age != AGE_UNKNOWN && (rest->age == AGE_UNKNOWN || s->oldest_s > rest->oldest_s)) {
		rest->age = s->age;
		rest->oldest_s = s->oldest_s;
	}
	for (int i = 0; i < s->nwait; i++)
		if (s->wait[i].reason)
			rest_add_wait(rest, &s->wait[i]);
}

/* How many of n rows fit one by one when at most max may be shown in all. */
static int room(int n, int nother, int max)
{
	if (n - nother <= max && !nother)
		return n;
	return n - nother < max - 1 ? n - nother : max - 1;
}

int rows_sites(const struct window *w, int max, int *show, struct site_rest *rest)
{
	int nother = 0, nshow = 0, fit;

	memset(rest, 0, sizeof(*rest));
	for (int i = 0; i < w->goroutines->nsite; i++)
		nother += w->goroutines->site[i].other;
	fit = room(w->goroutines->nsite, nother, max);
	for (int i = 0; i < w->goroutines->nsite; i++) {
		if (!w->goroutines->site[i].other && nshow < fit)
			show[nshow++] = i;
		else
			rest_add_site(rest, &w->goroutines->site[i]);
	}
	return nshow;
}

int rows_allocs(const struct window *w, int max, int *show, struct alloc_rest *rest)
{
	int nother = 0, nshow = 0, fit;

	memset(rest, 0, sizeof(*rest));
	for (int i = 0; i < w->memory->nalloc; i++)
		nother += w->memory->alloc[i].other;
	fit = room(w->memory->nalloc, nother, max);
	for (int i = 0; i < w->memory->nalloc; i++) {
		const struct alloc_row *a = &w->memory->alloc[i];

		if (!a->other && nshow < fit) {
			show[nshow++] = i;
			continue;
		}
		rest->nrow++;
		rest->count += a->count;
		rest->bytes += a->bytes;
		if (a->max_bytes > rest->max_bytes)
			rest->max_bytes = a->max_bytes;
	}
	return nshow;
}
