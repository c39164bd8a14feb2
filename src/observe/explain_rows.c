/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows of one subject that another one accounts for, or has something to say of: they are
 * marked, so that their own detectors leave them out, or know it.
 */
#include "observe/detect.h"

#include <math.h>
#include <string.h>

#include "goroutines/growth.h"
#include "model/place.h"
#include "net/subject.h"

#define LOCK_BYTES 24  /* a semaphore is that far into its lock at most: sync.RWMutex */
#define MAX_ROWS   100 /* of locks, those with most waiters, that are compared with sites */

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

static bool waits_at(const struct site_row *s, const struct place *p)
{
	for (int i = 0; i < s->nwait; i++) {
		const struct wait_row *wait = &s->wait[i];

		if (wait->klass == WAIT_BLOCKED && wait->user >= 0 && wait->user < wait->nstack &&
		    place_equal(&wait->stack[wait->user], p))
			return true;
	}
	return false;
}

/* What a site's goroutines wait for, where it is this lock; true: and they become more and more. */
static bool site_waits(const struct window *w, struct site_row *s, const struct lock_wait_row *r)
{
	struct leak_signs signs;

	if (!waits_at(s, &r->place))
		return false;
	if (!s->lock.known || !s->lock.holder)
		s->lock = (struct site_lock){ .known = true,
					      .rw = r->rw,
					      .holder = r->holder,
					      .does = r->holder_does,
					      .at = r->holder_at,
					      .is_sought = w->goroutines->deadlocks.known };
	return goroutine_leak_suspected(w, s, &signs);
}

/* Who waits for a lock in a deadlock, can never run again, or piles up, is no contention. */
static void explain_lock_waits(struct window *w)
{
	struct goroutines_window *g = w->goroutines;
	bool pile_up[MAX_ROWS] = { false };

	w->locks->is_sought = g->deadlocks.known;
	for (int i = 0; i < w->locks->nrow; i++) {
		struct lock_wait_row *r = &w->locks->row[i];
		bool dead = in_deadlock(&g->deadlocks, r->lock);

		r->explained = dead || leaked_at(&g->leaks, &r->place);
		for (int k = 0; k < g->nsite && i < MAX_ROWS && !r->other; k++) {
			pile_up[i] |= site_waits(w, &g->site[k], r);
			g->site[k].explained |= dead && waits_at(&g->site[k], &r->place);
		}
		/* many locks, one place */
		for (int k = 0; k < MAX_ROWS && k <= i; k++)
			r->explained |= pile_up[k] &&
					(k == i || place_equal(&w->locks->row[k].place, &r->place));
	}
}

/* It is in a deadlock, or waits for what somebody in it waits for. */
static bool is_in(const struct deadlocks_window *d, const struct leaked_goroutine *g)
{
	for (size_t i = 0; i < d->nmember; i++)
		if (d->member[i].goid == g->goid || (g->primitive >= d->member[i].lock &&
						     g->primitive - d->member[i].lock < LOCK_BYTES))
			return true;
	return false;
}

/* Those in a deadlock, and behind it, are no leak besides. */
static void explain_deadlocked(struct window *w)
{
	struct leaks_window *l = &w->goroutines->leaks;
	const struct deadlocks_window *d = &w->goroutines->deadlocks;

	for (int i = 0; d->nmember && i < l->nrow; i++)
		l->row[i].explained = !l->row[i].by_design && !l->row[i].other;
	for (size_t i = 0; d->nmember && i < l->ngoroutine; i++)
		if (!is_in(d, &l->goroutine[i]))
			l->row[l->goroutine[i].row].explained = false;
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
		g->leaks.row[i].explained |= bodies && serves_connection(&g->leaks.row[i].place);
	for (int i = 0; i < g->nsite; i++)
		g->site[i].explained |= bodies && serves_connection(&g->site[i].place);
}

/* The dials under way are listed by host, and those that are stuck are found there. */
static void explain_dials(struct window *w)
{
	bool stuck = false;

	for (int i = 0; w->net->known && i < w->net->ndial; i++)
		stuck |= w->net->dial[i].several > 0;
	for (int i = 0; stuck && i < w->goroutines->nsite; i++)
		w->goroutines->site[i].explained |= goroutine_site_dials(&w->goroutines->site[i]);
}

/* What waits behind one that never waits: for the locks that it is seen to hold. */
static void explain_loops(struct window *w)
{
	const struct locks_window *l = w->locks;

	for (int i = 0; i < w->cpu->ngoroutine; i++) {
		w->cpu->goroutine[i].lock_waiters = 0;
		for (int k = 0; l->known && k < l->nrow; k++)
			if (!l->row[k].explained && l->row[k].holder == w->cpu->goroutine[i].goid)
				w->cpu->goroutine[i].lock_waiters += l->row[k].waiters;
	}
}

#define SAMPLES_LEAST 38 /* for a share of them: two seconds of a CPU at 19 Hz */

/* The collector's share of the CPU in this window, and what it is in 19 of 20 such. */
static void explain_gc(struct window *w)
{
	const struct cpu_window *c = w->cpu;
	struct gc_window *g = &w->memory->gc;
	double p, margin;

	if (!c->known || c->placed < SAMPLES_LEAST)
		return;
	p = (double)c->kind[CPU_GC] / (double)c->placed;
	margin = 2 * sqrt(p * (1 - p) / (double)c->placed);
	g->window_cpu_known = true;
	g->window_cpu_pct = 100 * p;
	g->window_cpu_least_pct = 100 * (p - margin);
	g->window_cpu_most_pct = 100 * (p + margin);
}

void explain_rows(struct window *w)
{
	explain_deadlocked(w);
	explain_lock_waits(w);
	explain_loops(w);
	explain_gc(w);
	explain_connections(w);
	explain_dials(w);
}
