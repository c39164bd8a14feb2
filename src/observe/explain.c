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
static void explain_leaks(struct window *w)
{
	bool bodies = connection_leak_found(w);

	for (int i = 0; i < w->goroutines->leaks.nrow; i++) {
		struct leak_row *r = &w->goroutines->leaks.row[i];

		r->explained = bodies && r->place.function &&
			       !strcmp(r->place.function, "net/http.(*Transport).dialConn");
	}
}

void explain_rows(struct window *w)
{
	explain_lock_waits(w);
	explain_leaks(w);
}
