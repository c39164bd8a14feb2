/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large allocations: a site whose objects of more than 32 KiB make up much of
 * the bytes that drive the garbage collector.
 *
 * The share is of all bytes that the program allocated in the window; where
 * these are not known, of the bytes in large objects, and the finding says so.
 * A site is reported from MIN_COUNT allocations in the window on (a table that
 * grows once is no finding) when it allocates
 *
 * - MIN_SHARE of all and MIN_BYTES_PER_S: with the least heap that Go collects
 *   at (4 MiB) that is a collection per second of its own,
 * - or HIGH_BYTES_PER_S, whatever its share.
 *
 * One cause, one finding: sites in one function, or in functions that one
 * function calls, are judged and reported together, unless one of them makes
 * most of the bytes.
 */
#include "memory/subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "memory/window.h"
#include "model/sentence.h"

#define MIN_COUNT        3
#define MIN_SHARE        0.10
#define MIN_BYTES_PER_S  (4.0 * 1024 * 1024)
#define HIGH_BYTES_PER_S (64.0 * 1024 * 1024)
#define MOST             0.8 /* of a cause: the finding is about that site alone */
#define PLACES_SHOWN     3

/* Sites with a user's function in common: the one that allocates, or its caller. */
struct cause {
	struct place place; /* in that function; of a single site its own */
	const struct alloc_row *top;
	int sites;
	uint64_t count, bytes, max_bytes;
	double per_s; /* bytes */
	double share; /* 0..1 */
	bool of_all;  /* the share is of all allocation, else of the large bytes */
};

static void weigh(const struct window *w, struct cause *c)
{
	uint64_t whole = w->memory->total_alloc_bytes;

	c->per_s = window_per_s(w, c->bytes);
	/* sampled and exact numbers may contradict each other a little */
	c->of_all = whole != 0;
	if (!whole)
		whole = w->memory->large_bytes;
	if (whole < c->bytes)
		whole = c->bytes;
	c->share = whole ? (double)c->bytes / (double)whole : 0;
}

static bool is_heavy(const struct cause *c)
{
	if (c->count < MIN_COUNT)
		return false;
	return (c->share >= MIN_SHARE && c->per_s >= MIN_BYTES_PER_S) ||
	       c->per_s >= HIGH_BYTES_PER_S;
}

static void take(struct cause *c, const struct alloc_row *a)
{
	c->sites++;
	c->count += a->count;
	c->bytes += a->bytes;
	c->max_bytes = a->max_bytes > c->max_bytes ? a->max_bytes : c->max_bytes;
}

/* The innermost user's frame of a stack, or the one behind it (nth 1); NULL: none. */
static const struct place *user_frame(const struct alloc_row *a, int nth)
{
	const char *inner = NULL;

	for (int i = 0; i < a->nstack; i++) {
		const struct place *p = &a->stack[i];
		const struct goframe f = { .function = p->function };

		if (!p->function || goframe_is_std(&f))
			continue;
		if (!nth || (inner && strcmp(inner, p->function) != 0))
			return p;
		inner = p->function;
	}
	return NULL;
}

/* Where the two innermost functions of the site's own program have this name, or NULL. */
static const struct place *frame_in(const struct alloc_row *a, const char *function)
{
	for (int nth = 0; nth < 2; nth++) {
		const struct place *p = user_frame(a, nth);

		if (p && !strcmp(p->function, function))
			return p;
	}
	return NULL;
}

/* All sites not done yet that have a function in common with the first of them: the
 * caller, when it calls others that allocate, too. */
static struct cause gather(const struct memory_window *m, int first, const bool *done, int nth,
			   bool *mine)
{
	const struct alloc_row *top = &m->alloc[first];
	const struct place *common = user_frame(top, nth), *at;
	struct cause c = { .place = common ? *common : top->place, .top = top };

	memset(mine, 0, (size_t)m->nalloc * sizeof(*mine));
	for (int i = first; i < m->nalloc; i++) {
		const struct alloc_row *a = &m->alloc[i];

		if (done[i] || a->other)
			continue;
		at = i == first ? common : common ? frame_in(a, common->function) : NULL;
		if (i != first && !at)
			continue;
		take(&c, a);
		mine[i] = true;
		/* the first line of the function: the same in each report */
		if (at && at->line && at->line < c.place.line)
			c.place = *at;
	}
	return c;
}

static struct cause alone(const struct alloc_row *a)
{
	struct cause c = { .place = a->place, .top = a };

	take(&c, a);
	return c;
}

/* Worth one finding for all of them. */
static bool is_shared(const struct cause *c)
{
	return c->sites > 1 && (double)c->top->bytes < MOST * (double)c->bytes;
}

static struct cause cause_of(const struct memory_window *m, int first, const bool *done, bool *mine)
{
	struct cause outer = gather(m, first, done, 1, mine);
	struct cause inner = gather(m, first, done, 0, mine);

	if (is_shared(&inner) && (inner.sites == outer.sites || !is_shared(&outer)))
		return inner;
	if (is_shared(&outer))
		return gather(m, first, done, 1, mine);
	memset(mine, 0, (size_t)m->nalloc * sizeof(*mine));
	mine[first] = true;
	return alone(&m->alloc[first]);
}

static void evidence_sites(struct finding *f, const struct window *w, const bool *mine)
{
	char rate[HUMAN_MAX], place[WORDS_PLACE_MAX];
	int shown = 0, more = 0;

	for (int i = 0; i < w->memory->nalloc; i++) {
		const struct alloc_row *a = &w->memory->alloc[i];

		if (!mine[i])
			continue;
		if (shown++ < PLACES_SHOWN)
			finding_evidence(f, "%s/s at %s",
					 human_bytes(window_per_s(w, a->bytes), rate),
					 words_place(&a->place, place, sizeof(place)));
		else
			more++;
	}
	if (more)
		finding_evidence(f, "and at %s", human_counted((uint64_t)more, "more place", rate));
}

static void evidence(struct finding *f, const struct window *w, const struct cause *c,
		     const bool *mine, const char *mark)
{
	char count[HUMAN_MAX], mean[HUMAN_MAX], most[HUMAN_MAX], span[HUMAN_MAX],
		place[WORDS_PLACE_MAX];
	const struct place *from = c->sites == 1 ? alloc_caller(c->top) : NULL;
	double average = (double)c->bytes / (double)c->count;

	if (average > (double)c->max_bytes) /* count and bytes were scaled apart */
		average = (double)c->max_bytes;
	finding_evidence(f, "%s%s of %s on average in %s, the largest %s", mark,
			 human_counted(c->count, "allocation", count), human_bytes(average, mean),
			 human_seconds(w->window_s, span), human_bytes((double)c->max_bytes, most));
	if (from && from->function)
		finding_evidence(f, "called from %s", words_place(from, place, sizeof(place)));
	if (c->sites > 1)
		evidence_sites(f, w, mine);
	if (w->memory->gc.known && w->memory->gc.cycles)
		finding_evidence(f, "the garbage collector ran %s meanwhile",
				 human_counted(w->memory->gc.cycles, "time", count));
}

static void add_finding(const struct window *w, const struct cause *c, const bool *mine,
			struct findings *out)
{
	enum exactness exactness = w->memory->alloc_exactness;
	const char *mark = exactness == EXACT ? "" : exactness == PARTIAL ? "at least " : "about ";
	char place[WORDS_PLACE_MAX], rate[HUMAN_MAX], sites[64] = "";
	struct finding *f = findings_add(out, "large-allocation", "alloc", SEVERITY_LOW, &c->place);

	if (!f)
		return;
	if (c->sites > 1)
		snprintf(sites, sizeof(sites), " at %d places", c->sites);
	finding_title(f, "%s%s %s%s/s in large objects%s: %.0f%% of %s",
		      words_place(&c->place, place, sizeof(place)),
		      c->sites > 1 ? " and what it calls allocate" : " allocates", mark,
		      human_bytes(c->per_s, rate), sites, c->share * 100,
		      c->of_all ? "what drives the GC" : "the bytes in large objects");
	finding_count(f, "count", c->count);
	finding_count(f, "bytes", c->bytes);
	finding_number(f, "bytes_per_s", c->per_s);
	finding_count(f, "max_bytes", c->max_bytes);
	finding_number(f, c->of_all ? "share_pct" : "share_of_large_pct", c->share * 100);
	if (c->sites > 1)
		finding_count(f, "places", (uint64_t)c->sites);
	evidence(f, w, c, mine, mark);
	finding_advice(
		f,
		"reuse the buffer (sync.Pool, one per worker), or work in chunks (io.Copy, bufio)");
	f->exactness = exactness;
	f->since_s = w->window_s;
	f->weight = c->per_s;
}

static void judge(const struct window *w, struct findings *out)
{
	const struct memory_window *m = w->memory;
	bool *done, *mine;

	if (!m->alloc_known)
		return;
	done = calloc((size_t)m->nalloc + 1, sizeof(*done));
	mine = calloc((size_t)m->nalloc + 1, sizeof(*mine));
	for (int i = 0; done && mine && i < m->nalloc; i++) {
		struct cause c;

		if (done[i] || m->alloc[i].other)
			continue;
		c = cause_of(m, i, done, mine);
		for (int k = i; k < m->nalloc; k++)
			done[k] |= mine[k];
		weigh(w, &c);
		if (is_heavy(&c))
			add_finding(w, &c, mine, out);
	}
	free(done);
	free(mine);
}

const struct detector large_allocation_detector = {
	.name = "large-allocation",
	.sensors = SENSOR_BIT(SENSOR_ALLOC),
	.of_rates = true,
	.judge = judge,
};
