/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each place had in use at one collection after the other.  A profile is of
 * the moment when a collection ended marking, so that is a point's time, not when
 * it was read.
 */
#include "memory/priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/vec.h"
#include "gort/heapprof.h"
#include "memory/run.h"

#define SITES_MAX  16384 /* a row has 400 bytes */
#define ROWS_MAX   1000
#define NO_SITE    UINT64_MAX
#define TRIES      3
#define LEAST_ROW  (256.0 * 1024)   /* grown by less, it is of no interest to anybody */
#define SWEPT_NS   (2 * NS_PER_S)   /* the sweep has long ended by then, unless the CPUs are busy */
#define FORCED_NS  (120 * NS_PER_S) /* runtime: forcegcperiod */
#define LEAST_REST 30               /* a reading takes at most that part of the time */

void trend_init(struct trend *t)
{
	memset(t, 0, sizeof(*t));
	u64map_init(&t->site_of, HEAPPROF_MAX_BUCKETS);
	bytesmap_init(&t->places, SITES_MAX);
}

void trend_deinit(struct trend *t)
{
	u64map_deinit(&t->site_of);
	bytesmap_deinit(&t->places);
	free(t->site);
	memset(t, 0, sizeof(*t));
}

/* --- sites --------------------------------------------------------------------- */

/* The first frame that is the program's own, else the first that is not the runtime's. */
static bool place_of_bucket(struct goruntime *rt, const uint64_t *pcs, size_t n, struct place *out)
{
	bool injected = false;
	struct goframe f;

	if (place_of_pcs(rt, pcs, (int)n, false, out))
		return true;
	for (size_t i = 0; i < n; i++)
		if (goruntime_frames_at(rt, pcs[i], &injected, &f, 1) > 0 &&
		    !goframe_is_runtime(&f)) {
			*out = place_of_frame(&f);
			return true;
		}
	return false;
}

static uint64_t find_site(struct trend *t, struct goruntime *rt, const struct heapprof *h,
			  const struct heap_bucket *b)
{
	struct place_key key;
	struct place place;
	uint64_t *at;
	bool made;

	if (!place_of_bucket(rt, h->pc + b->first, b->n, &place))
		return NO_SITE;
	key = place_key(&place);
	if (array_room(&t->site, t->n, &t->cap, sizeof(*t->site)))
		return NO_SITE;
	at = bytesmap_put(&t->places, &key, sizeof(key), t->n, &made);
	if (!at) {
		t->dropped++;
		return NO_SITE;
	}
	if (made)
		t->site[t->n++] = (struct trend_row){ .place = place };
	return *at;
}

/* NULL: nobody's, or there is no room. */
static struct trend_row *site_of(struct trend *t, struct goruntime *rt, const struct heapprof *h,
				 const struct heap_bucket *b)
{
	uint64_t *at = u64map_find(&t->site_of, b->addr), site;

	if (at)
		site = *at;
	else
		u64map_put(&t->site_of, b->addr, site = find_site(t, rt, h, b), NULL);
	return site == NO_SITE ? NULL : &t->site[site];
}

/* --- points -------------------------------------------------------------------- */

/* Of those in the middle every second one goes. */
static void thin(struct trend *t)
{
	int n = 0;

	for (int i = 0; i < t->npoint; i++) {
		if (i % 2 && i != t->npoint - 1)
			continue;
		t->point[n] = t->point[i];
		for (size_t k = 0; k < t->n; k++) {
			t->site[k].in_use[n] = t->site[k].in_use[i];
			t->site[k].allocated[n] = t->site[k].allocated[i];
		}
		n++;
	}
	for (size_t k = 0; k < t->n; k++)
		for (int i = n; i < t->npoint; i++)
			t->site[k].in_use[i] = t->site[k].allocated[i] = 0;
	t->npoint = n;
}

static uint64_t end_of(const struct gototals *now, uint32_t cycle)
{
	return now->numgc - cycle < ARRAY_SIZE(now->pause_end_unix_ns)
		       ? now->pause_end_unix_ns[(cycle + 255) % 256]
		       : 0;
}

/* What was marked in a cycle, if one of the latest looks met it; < 0: not known. */
static double live_of(const struct trend *t, uint32_t cycle)
{
	for (size_t i = 0; i < ARRAY_SIZE(t->marked); i++)
		if (t->marked[i].cycle == cycle)
			return t->marked[i].bytes;
	return -1;
}

/* next: also what that cycle adds to what is published, or -1. */
static void add_point(struct trend *t, struct goruntime *rt, const struct heapprof *h,
		      const struct gototals *now, uint32_t cycle, int next)
{
	struct trend_point *p;
	int i;

	if (!end_of(now, cycle) || (t->npoint && t->point[t->npoint - 1].cycle >= cycle))
		return;
	if (t->npoint == TREND_MAX_POINTS)
		thin(t);
	i = t->npoint++;
	p = &t->point[i];
	*p = (struct trend_point){ .cycle = cycle,
				   .end_ns = end_of(now, cycle),
				   .live = live_of(t, cycle) };
	for (size_t k = 0; k < h->n; k++) {
		const struct heap_bucket *b = &h->bucket[k];
		double in_use = (double)b->in_use_bytes, allocated = (double)b->alloc_bytes;
		struct trend_row *s = site_of(t, rt, h, b);

		if (next >= 0) {
			in_use += (double)b->later_in_use_bytes[next];
			allocated += (double)b->later_alloc_bytes[next];
		}
		p->total += in_use;
		if (!s)
			continue;
		s->in_use[i] += (float)in_use;
		s->allocated[i] += (float)allocated;
	}
}

static bool is_swept(const struct gototals *now)
{
	return now->real_ns > now->last_gc_unix_ns + SWEPT_NS;
}

/* Whether a reading now would say something new. */
static bool is_due(const struct trend *t, const struct gototals *now)
{
	uint32_t last = t->npoint ? t->point[t->npoint - 1].cycle : 0;

	if (!now->numgc || (t->npoint && last == now->numgc))
		return false;
	if (t->npoint && last + 1 == now->numgc && !is_swept(now))
		return false;
	return clock_mono_ns() >= t->read_ns + LEAST_REST * t->took_ns;
}

/* The profile between two collections; 0; -EAGAIN: they come too fast. */
static int read_whole(struct heapprof *h, struct trend *t, struct goruntime *rt,
		      struct gototals *now)
{
	for (int i = 0; i < TRIES; i++) {
		uint32_t numgc = now->numgc;
		int err = heapprof_read(h, rt, t->why, sizeof(t->why));

		if (!err)
			err = goruntime_totals(rt, now);
		if (err || numgc == now->numgc)
			return err;
		heapprof_deinit(h);
	}
	return -EAGAIN;
}

void trend_look(struct trend *t, struct goruntime *rt, const struct gototals *totals)
{
	uint64_t begin = clock_mono_ns();
	struct gototals now = *totals;
	struct heapprof h = { 0 };
	uint32_t published;
	int next, err;

	if (!now.has_gc) {
		snprintf(t->why, sizeof(t->why), "%s", rt->why_off[FACT_GC]);
		return;
	}
	t->last_gc_ns = now.last_gc_unix_ns;
	t->interval_ns = end_of(&now, now.numgc) - end_of(&now, now.numgc - 1);
	t->none = !now.numgc;
	t->never = now.has_heap && now.gogc < 0 && now.memory_limit == INT64_MAX;
	t->marked[now.numgc % ARRAY_SIZE(t->marked)].cycle = now.numgc;
	t->marked[now.numgc % ARRAY_SIZE(t->marked)].bytes =
		now.has_heap ? (double)now.heap_marked : -1;
	if (t->off || (t->known && !is_due(t, &now)))
		return;
	err = read_whole(&h, t, rt, &now);
	t->off = err == -EOPNOTSUPP;
	if (!err || err == -EAGAIN)
		t->known = true;
	if (!err && heapprof_as_of(&h, now.numgc, &published, &next)) {
		t->rate = h.rate;
		add_point(t, rt, &h, &now, published, -1);
		if (next >= 0 && is_swept(&now))
			add_point(t, rt, &h, &now, now.numgc, next);
	}
	heapprof_deinit(&h);
	t->read_ns = clock_mono_ns();
	t->took_ns = t->read_ns - begin;
}

/* --- the window ---------------------------------------------------------------- */

static double most_grown(const struct trend_row *r, int n)
{
	double least = r->in_use[n - 1];

	for (int i = 0; i < n; i++)
		least = r->in_use[i] < least ? r->in_use[i] : least;
	return r->in_use[n - 1] - least;
}

static int by_in_use_now(const void *x, const void *y)
{
	const struct trend_row *a = x, *b = y;

	return a->now < b->now ? 1 : a->now > b->now ? -1 : 0;
}

static int fill_rows(struct trend *t, struct trend_window *w)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += most_grown(&t->site[i], w->n) >= LEAST_ROW;
	w->row = calloc(n + 1, sizeof(*w->row));
	if (!w->row)
		return -ENOMEM;
	for (size_t i = 0; i < t->n; i++) {
		if (most_grown(&t->site[i], w->n) < LEAST_ROW)
			continue;
		w->row[w->nrow] = t->site[i];
		w->row[w->nrow++].now = t->site[i].in_use[w->n - 1];
	}
	qsort(w->row, (size_t)w->nrow, sizeof(*w->row), by_in_use_now);
	w->nrow = w->nrow > ROWS_MAX ? ROWS_MAX : w->nrow;
	return 0;
}

/* As the latest two were apart, or, when that is over, by the runtime's own rule. */
static double next_s(const struct trend *t)
{
	uint64_t real = clock_real_ns(), next = t->last_gc_ns + t->interval_ns;

	if (t->never)
		return -1;
	if (!t->interval_ns || t->interval_ns > FORCED_NS || next <= real)
		next = t->last_gc_ns + FORCED_NS;
	return next > real ? (double)(next - real) / 1e9 : 0;
}

int trend_fill(struct trend *t, struct trend_window *w)
{
	w->known = t->known && !t->off;
	w->rate = t->rate;
	w->dropped = t->dropped != 0;
	snprintf(w->why, sizeof(w->why), "%s", w->known ? "" : t->why);
	w->next_s = next_s(t);
	w->none = t->none;
	w->n = t->npoint;
	for (int i = 0; i < t->npoint; i++) {
		w->t_s[i] = (double)(t->point[i].end_ns - t->point[0].end_ns) / 1e9;
		w->live[i] = t->point[i].live;
		w->total[i] = t->point[i].total;
	}
	return w->known && w->n ? fill_rows(t, w) : 0;
}

void trend_cover(const struct trend_window *t, struct window *w)
{
	char why[WINDOW_MAX_WHY], next[HUMAN_MAX], seen[HUMAN_MAX];
	int moments = run_moments(t->t_s, t->n),
	    needed = t->n >= TREND_LEAST_POINTS && t->t_s[t->n - 1] < TREND_SHORT_S
			     ? TREND_SHORT_POINTS
			     : TREND_LEAST_POINTS;

	if (!t->known) {
		window_cover_named(w, "growth", OFF, t->why);
		return;
	}
	if (moments >= needed) {
		window_cover_named(
			w, "growth",
			t->dropped    ? PARTIAL
			: t->rate > 1 ? ESTIMATED
				      : EXACT,
			t->dropped    ? "the program allocates at more places than are followed"
			: t->rate > 1 ? "the runtime's own sample, scaled up"
				      : "");
		return;
	}
	snprintf(why, sizeof(why), "not judged yet: %s seen%s, %d are needed",
		 human_counted((uint64_t)t->n, "collection", seen),
		 moments < t->n ? " (some at the same moment)" : "", needed);
	if (t->none && t->next_s >= 0) /* runtime: what has never run is not forced either */
		snprintf(why + strlen(why), sizeof(why) - strlen(why),
			 ", and the first comes when the heap has grown to its first goal (4 MiB "
			 "with GOGC=100)");
	else if (t->next_s < 0)
		snprintf(why + strlen(why), sizeof(why) - strlen(why),
			 ", and none is expected (GOGC=off)");
	else if (t->next_s >= 1)
		snprintf(why + strlen(why), sizeof(why) - strlen(why),
			 ", the next is expected within %s", human_seconds(t->next_s, next));
	window_cover_named(w, "growth", OFF, why);
}
