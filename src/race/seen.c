/* SPDX-License-Identifier: BSD-2-Clause */
#include "race/seen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/vec.h"
#include "race/hit_sites.h"
#include "race/locks.h"

/* One word in one slice. */
struct slice_of_word {
	struct race *r;
	struct word_watch *w;
	struct race_event *event; /* their site is the index of the access */
	size_t n;
	bool cut; /* some thread was disarmed, or the table was full */
};

static const char *kind_of(const struct hit_site *s)
{
	if (s->map)
		return s->map & ACCESS_WRITE ? "map write" : "map read";
	return s->does & ACCESS_WRITE ? s->does & ACCESS_READ ? "update" : "write" : "read";
}

static void describe(struct race *r, struct shared_access *a, const struct hit_site *s)
{
	struct goframe f;

	a->nframe = s->nframe;
	memcpy(a->frame, s->frame, sizeof(a->frame));
	a->place = s->frame[0];
	a->kind = kind_of(s);
	a->stores = (s->does | s->map) & ACCESS_WRITE;
	a->is_map = s->map;
	a->atomic = s->does & ACCESS_ATOMIC;
	if (a->gopc && !gobin_go_place(r->rt->gb, a->gopc - r->rt->bias, &f))
		a->created = place_of_frame(&f);
}

/* Index of the access, or -1: there is no room. */
static int access_index(struct race *r, struct word_watch *w, uint32_t site,
			const struct gs_watch_hit *h)
{
	struct shared_access *a;

	for (int i = 0; i < w->naccess; i++)
		if (w->access[i].site == site && w->access[i].gopc == h->gopc)
			return i;
	if (w->naccess == WORD_ACCESSES ||
	    array_room(&w->access, (size_t)w->naccess, &w->access_cap, sizeof(*w->access)))
		return -1;
	a = &w->access[w->naccess];
	*a = (struct shared_access){ .word = w, .site = site, .gopc = h->gopc, .goid = h->goid };
	describe(r, a, &r->sites->site[site]);
	return w->naccess++;
}

static void take_access(struct slice_of_word *s, struct shared_access *a,
			const struct hit_site *site, const struct watch_slice *slice,
			const struct gs_watch_hit *h)
{
	a->count++;
	a->many |= a->goid != h->goid;
	locks_take(a, slice, h);
	locks_learn(s->r, s->w, a, site, h);
}

/* Whether the hit is an access of the program's, and which bytes it touched. */
static bool take_hit(struct slice_of_word *s, const struct gs_watch_hit *h,
		     const struct watch_slice *slice)
{
	const struct watch_word *at = &slice->word[h->word];
	struct race_event *e = &s->event[s->n];
	int index = h->end_ns ? hit_sites_find(s->r->sites, h) : -1, known, access;
	const struct hit_site *site = index < 0 ? NULL : &s->r->sites->site[index];

	if (!site || site->of != HIT_OF_PROGRAM) {
		s->w->is_map |= site && site->of == HIT_OF_MAP;
		s->w->others += site && site->of != HIT_UNKNOWN;
		s->w->unclear += !site || site->of == HIT_UNKNOWN;
		return false;
	}
	known = hit_site_bytes(site, h, s->r->rt->bias, at->addr, at->len, &e->lo, &e->hi);
	if (known < 0 || h->flags & GS_WATCH_NO_G) {
		s->w->unclear++;
		return false;
	}
	access = access_index(s->r, s->w, (uint32_t)index, h);
	s->w->dropped += access < 0;
	if (access < 0)
		return false;
	take_access(s, &s->w->access[access], site, slice, h);
	e->begin_ns = h->begin_ns;
	e->end_ns = h->end_ns;
	e->tid = h->tid;
	e->goid = h->goid;
	e->site = (uint32_t)access;
	e->store = site->does & ACCESS_WRITE && !(site->does & ACCESS_ATOMIC);
	e->known = known;
	e->map = site->map ? h->reg[HIT_MAP_REG] : 0;
	e->map_store = site->map & ACCESS_WRITE;
	s->w->written |= e->store || e->map_store;
	return true;
}

/* An overlap: the first of a word, and the closest, are what is told of it. */
static void overlapped(void *arg, const struct race_pair *p)
{
	struct slice_of_word *s = arg;
	const struct race_event *x = &s->event[p->a], *y = &s->event[p->b];
	bool first = x->store || (x->map_store && !y->store);
	const struct race_event *a = first ? x : y, *b = first ? y : x;
	struct word_watch *w = s->w;

	if (!w->overlaps || p->gap_ns < w->closest_ns)
		w->closest_ns = p->gap_ns;
	if (!w->overlaps) {
		w->pair[0] = (int)a->site;
		w->pair[1] = (int)b->site;
		w->access[a->site].goid = a->goid;
		w->access[b->site].goid = b->goid;
	}
	w->overlaps++;
	w->access[a->site].overlaps++;
	w->access[b->site].overlaps++;
	w->verdict = s->r->comparable ? RACE_PROVEN : RACE_SUSPECTED;
}

/* How long the events may have come from: who was disarmed early came from less. */
static uint64_t span_of(const struct slice_of_word *s, const struct watch_seen *seen)
{
	uint64_t lo = UINT64_MAX, hi = 0;

	if (!s->cut)
		return seen->end_ns - seen->begin_ns;
	for (size_t i = 0; i < s->n; i++) {
		lo = s->event[i].begin_ns < lo ? s->event[i].begin_ns : lo;
		hi = s->event[i].end_ns > hi ? s->event[i].end_ns : hi;
	}
	return hi > lo ? hi - lo : 0;
}

static void take_word(struct slice_of_word *s, int word, const struct watch_slice *slice,
		      const struct watch_seen *seen)
{
	double expected;
	uint64_t span;

	s->n = 0;
	for (size_t i = 0; i < seen->n; i++)
		if (seen->hit[i].word == word && take_hit(s, &seen->hit[i], slice))
			s->n++;
	s->w->hits += s->n;
	s->w->slices++;
	s->w->watched_ns += seen->end_ns - seen->begin_ns;
	s->cut = seen->full || s->n >= slice->most;
	s->r->cut |= s->cut;
	span = span_of(s, seen);
	race_pairs(s->event, s->n, slice->word[word].len, &s->r->clock, overlapped, s);
	expected = race_expected(s->event, s->n, span, &s->r->clock);
	s->w->expected += expected;
	s->r->expected += expected;
}

int race_seen(struct race *r, struct word_watch *const *word, const struct watch_slice *s,
	      const struct watch_seen *seen, uint32_t moved)
{
	struct slice_of_word one = { .r = r };

	r->cut = false;
	one.event = malloc((seen->n + 1) * sizeof(*one.event));
	if (!one.event)
		return -ENOMEM;
	for (int i = 0; i < seen->nword; i++) {
		one.w = word[i];
		one.w->is_map |= seen->stopped >> i & 1;
		if (!(moved >> i & 1))
			take_word(&one, i, s, seen);
	}
	free(one.event);
	return 0;
}

/* ---- the end ---- */

/* Stores before reads, what overlapped before what did not, then by count. */
static int by_weight(const void *a, const void *b)
{
	const struct shared_access *x = a, *y = b;
	int d = (y->overlaps > 0) - (x->overlaps > 0);

	if (!d)
		d = y->stores - x->stores;
	return d ? d : (x->count < y->count) - (x->count > y->count);
}

static const struct shared_access *first_that(const struct word_watch *w, bool stores)
{
	for (int i = 0; i < w->naccess; i++)
		if (w->access[i].stores == stores)
			return &w->access[i];
	return NULL;
}

/* "a global written at main.reload (main.go:31), read at main.handler (main.go:20)" */
static void name_by_accesses(struct word_watch *w)
{
	const struct shared_access *store = first_that(w, true), *load = first_that(w, false);
	char a[WORDS_PLACE_MAX], b[WORDS_PLACE_MAX];
	const char *what = w->word->via ? "what a global points to" : "a global";

	if (store && load)
		snprintf(w->name, sizeof(w->name), "%s, written at %.150s, read at %.150s", what,
			 words_place(&store->place, a, sizeof(a)),
			 words_place(&load->place, b, sizeof(b)));
	else if (store || load)
		snprintf(w->name, sizeof(w->name), "%s, %s at %.200s", what,
			 store ? "written" : "read",
			 words_place(&(store ? store : load)->place, a, sizeof(a)));
	else
		snprintf(w->name, sizeof(w->name), "%s", what);
}

void word_watch_finish(struct word_watch *w)
{
	uint32_t site[2] = { 0 };
	uint64_t gopc[2] = { 0 };
	bool pair;

	locks_judge(w);
	pair = w->verdict != RACE_UNPROVEN;
	for (int k = 0; k < 2 && pair; k++) {
		site[k] = w->access[w->pair[k]].site;
		gopc[k] = w->access[w->pair[k]].gopc;
	}
	qsort(w->access, (size_t)w->naccess, sizeof(*w->access), by_weight);
	for (int k = 0; k < 2 && pair; k++)
		for (int i = 0; i < w->naccess; i++)
			if (w->access[i].site == site[k] && w->access[i].gopc == gopc[k])
				w->pair[k] = i;
	if (w->word->name)
		snprintf(w->name, sizeof(w->name), "%s", w->word->name);
	else
		name_by_accesses(w);
}
