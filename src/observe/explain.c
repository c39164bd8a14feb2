/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which finding explains which: the one place that knows several subjects.
 * Rows that a worse finding accounts for are marked, so that their own
 * detectors leave them out.
 */
#include "observe/detect.h"

#include <string.h>

#include "net/subject.h"

static bool in_deadlock(const struct deadlocks_window *l, uint64_t lock)
{
	for (size_t i = 0; i < l->nmember; i++)
		if (l->member[i].lock == lock)
			return true;
	return false;
}

static bool leaked_at(const struct leaks_window *l, const struct place *p)
{
	for (int i = 0; l->verdict != LEAKS_VERDICT_OFF && i < l->nrow; i++)
		if (place_equal(&l->row[i].at, p))
			return true;
	return false;
}

/* Who waits for a lock in a deadlock, or can never run again, is no contention. */
static void explain_lock_waits(struct window *w)
{
	for (int i = 0; i < w->locks->nrow; i++) {
		struct lock_wait_row *r = &w->locks->row[i];

		r->explained = in_deadlock(&w->goroutines->deadlocks, r->lock) ||
			       leaked_at(&w->goroutines->leaks, &r->place);
	}
}

/* The goroutines of a connection wait until its response body is closed. */
static bool serves_connection(const struct place *created)
{
	return created->function && !strcmp(created->function, "net/http.(*Transport).dialConn");
}

static void explain_connections(struct window *w)
{
	struct goroutines_window *g = w->goroutines;
	bool bodies = connection_leak_found(w);

	for (int i = 0; i < g->leaks.nrow; i++)
		g->leaks.row[i].explained = bodies && serves_connection(&g->leaks.row[i].place);
	for (int i = 0; i < g->nsite; i++)
		g->site[i].explained = bodies && serves_connection(&g->site[i].place);
}

void explain_rows(struct window *w)
{
	explain_lock_waits(w);
	explain_connections(w);
}
