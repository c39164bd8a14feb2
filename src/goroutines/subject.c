/* SPDX-License-Identifier: BSD-2-Clause */
#include "goroutines/subject.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "goroutines/fill.h"
#include "gort/gostacks.h"
#include "prove/prove.h"
#include "trace/trace.h"

/* Births that no probe saw, tolerated before they are called lost: what happens
 * between two readings of a busy process, and the M's of cgo that take an id. */
#define BIRTHS_SLACK 64

struct goroutines {
	struct sites sites;
	uint64_t live, live_base; /* of the latest walk; at the start of the window */
	uint64_t created_begin;   /* created when the probes were armed */
	uint64_t births_begin;    /* births counted by then, system included */
	uint64_t births_lost;     /* reported so far */
	bool sliced;              /* births were sampled at any time of this run */
};

static int goroutines_open(void **out, const struct look *l, char *why)
{
	struct goroutines *o = calloc(1, sizeof(*o));
	int err;

	(void)why;
	if (!o)
		return -ENOMEM;
	err = sites_init(&o->sites, l->rt);
	if (err)
		free(o);
	else
		*out = o;
	return err;
}

static void goroutines_close(void *self)
{
	struct goroutines *o = self;

	sites_deinit(&o->sites);
	free(o);
}

/* They can be read when the process has ended. */
static void goroutines_count(void *self, struct look *l, const struct trace_reading *r)
{
	struct goroutines *o = self;
	struct trace_reading births;

	if (r) {
		sites_count(&o->sites, r);
	} else if (look_armed(l, PROBE_GO_BIRTH) && !trace_read_births(l->trace, &births)) {
		sites_count(&o->sites, &births);
		trace_reading_deinit(&births);
	}
}

static int goroutines_look(void *self, struct look *l)
{
	struct goroutines *o = self;
	uint64_t dropped = o->sites.dropped;
	int err;

	o->sites.paused_ns = l->paused_ns;
	/* while it is kept from running nothing can be learned of who runs */
	err = sites_look(&o->sites, l->walk, l->births, l->record && !l->pause);

	o->live = l->walk->user;
	lose(l->losses, LOSS_HISTORY, o->sites.dropped - dropped);
	return err;
}

static uint64_t births_counted(const struct trace_reading *r)
{
	uint64_t n = r->births_other + r->births_gone;

	for (size_t i = 0; i < r->nsite; i++)
		n += r->site[i].births;
	return n;
}

static void goroutines_begin(void *self, const struct look *l, bool follows)
{
	struct goroutines *o = self;

	sites_begin_window(&o->sites, follows && !l->rnow->governed_sliced);
	o->live_base = o->live;
	if (follows)
		return;
	o->created_begin = l->totals->created;
	o->births_begin = births_counted(l->rnow);
}

/* --- a window's end ------------------------------------------------------------ */

/* Those of the latest look, if it has read them all. */
static const struct gostacks *just_read(const struct look *l)
{
	return l->stacks && !l->stacks->known ? l->stacks : NULL;
}

static void take_stacks(struct goroutines *o, struct look *l, const struct gostacks *read,
			struct window *w)
{
	int err =
		dump_take(&w->goroutines->dump, &o->sites, l->walk, read, l->stack_of, l->dump_all);

	if (err == -EOPNOTSUPP) {
		window_cover_named(w, "stacks", OFF, l->rt->why_off[FACT_STACKS]);
	} else if (err) {
		l->gone = l->gone || err == -ESRCH;
		window_cover_named(w, "stacks", OFF,
				   err == -ESRCH ? "the process ended while its stacks were read"
						 : "the stacks could not be read");
		lose(l->losses, LOSS_STACKS, 1);
	}
	if (w->goroutines->dump) {
		lose(l->losses, LOSS_STACKS, w->goroutines->dump->unread);
		lose(l->losses, LOSS_LABELS, w->goroutines->dump->labels_unknown);
		lose(l->losses, LOSS_GROUPS, w->goroutines->dump->left_out);
	}
}

static void take_dump(struct goroutines *o, struct look *l, struct window *w)
{
	if (!l->dump || l->gone)
		return;
	take_stacks(o, l, just_read(l), w);
	if (deadlocks_find(w, &o->sites, l->walk, NULL, l->losses) == -ESRCH)
		l->gone = true;
}

/* Of all sites, as far as the looks have come. */
static uint64_t births_seen(const struct sites *s)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < s->n; i++)
		if (!s->track[i].system && s->track[i].births_looked > s->track[i].births_base)
			seen += s->track[i].births_looked - s->track[i].births_base;
	return seen;
}

/*
 * The runtime's own total, where not every birth was probed.  System goroutines
 * are not told apart in it: those that appeared are subtracted.
 */
static void births_from_totals(const struct look *l, bool probed, struct goroutines_window *g)
{
	const struct gototals *b = l->base, *n = l->totals;
	uint64_t grown = n->created - b->created;
	uint64_t sys = n->system > b->system ? n->system - b->system : 0;

	g->births = grown > sys ? grown - sys : 0;
	g->births_exactness = probed ? SAMPLED : ESTIMATED;
}

/* Ends follow: who was there or was born, and is not there now. */
static void ends_from_totals(struct goroutines_window *g)
{
	if (g->births + g->live_at_start > g->live)
		g->deaths = g->births + g->live_at_start - g->live;
}

static void sum_sites(struct goroutines_window *g)
{
	for (int i = 0; i < g->nsite; i++) {
		g->births += g->site[i].births;
		g->deaths += g->site[i].deaths;
	}
}

/* The runtime's own count is the check: what it made and no probe saw is lost. */
static bool births_missed(struct goroutines *o, const struct look *l, struct window *w)
{
	uint64_t created = l->totals->created - o->created_begin;
	uint64_t counted = births_counted(l->rnow) - o->births_begin;
	uint64_t lost = created > counted ? created - counted : 0;

	if (!w->goroutines->created_known || o->sliced || lost <= BIRTHS_SLACK + created / 1000)
		return false;
	window_cover_add(w, SENSOR_GOROUTINES, PARTIAL,
			 "the runtime started %llu goroutines, the probes saw %llu",
			 (unsigned long long)created, (unsigned long long)counted);
	if (lost > o->births_lost)
		lose(l->losses, LOSS_BIRTHS, lost - o->births_lost);
	o->births_lost = lost;
	return true;
}

/*
 * Births and deaths of the window.  Exact: births are summed by the probes.
 * Sampled: the total is the runtime's own, spread over the sites as the sample
 * says.
 */
static int fill_births(struct goroutines *o, struct look *l, struct window *w)
{
	struct goroutines_window *g = w->goroutines;
	bool probed = look_armed(l, PROBE_GO_BIRTH), sliced = probed && l->rates.births_sliced;
	bool by_totals = g->created_known && (!probed || sliced);
	uint64_t seen = births_seen(&o->sites);
	bool without_site = l->rnow->births_other != l->rbase->births_other;
	enum exactness exactness;
	double scale = 1;
	int err;

	exactness = look_exactness(l, SENSOR_GOROUTINES, sliced);
	if (probed && !sliced && births_missed(o, l, w))
		exactness = PARTIAL;

	g->births_known = g->created_known || (probed && !sliced);
	if (by_totals)
		births_from_totals(l, probed, g);
	if (by_totals && probed && seen)
		scale = (double)g->births / (double)seen;
	err = rows_fill(&o->sites, l->walk, scale, probed && g->births_known, l->gone, w);
	for (int i = 0; i < g->nsite; i++)
		g->site[i].exactness = exactness == EXACT && without_site && !g->site[i].other
					       ? PARTIAL
					       : exactness;
	if (!probed || sliced) {
		ends_from_totals(g);
	} else {
		sum_sites(g);
		g->births_exactness = exactness;
	}
	return err;
}

static int goroutines_fill(void *self, struct look *l, struct window *w)
{
	struct goroutines *o = self;
	struct goroutines_window *g = w->goroutines;
	int err;

	take_dump(o, l, w); /* before the rest: it brings the walk up to date */
	g->created_known = l->totals->has_created && l->base->has_created;
	g->created_total = l->totals->created;
	g->live = o->live;
	g->system = l->walk->system;
	g->live_at_start = o->live_base;
	lose(l->losses, LOSS_SITES, o->sites.track[SITES_OVERFLOW].live);
	err = fill_births(o, l, w);
	if (!err)
		err = lifetimes_fill(&o->sites, l, w);
	g->known = !err;
	return err;
}

static void goroutines_cover(void *self, const struct look *l, struct window *w)
{
	struct goroutines *o = self;

	if (look_wants(l, SENSOR_LIFETIMES))
		lifetimes_cover(l, w);
	if (!look_armed(l, PROBE_GO_BIRTH)) {
		window_cover_add(w, SENSOR_GOROUTINES, PARTIAL,
				 "from memory alone: no births and deaths by site (%.140s)",
				 look_why_not(l, PROBE_GO_BIRTH));
	} else if (l->rates.births_sliced) {
		o->sliced = true;
		window_cover_add(w, SENSOR_GOROUTINES, SAMPLED,
				 "budget: births and deaths by site are extrapolated from sampled "
				 "slices; totals are exact")
			->rate = l->rates.births;
	}
}

void goroutines_add_dump(void *self, struct look *l, struct window *w)
{
	if (!w->goroutines->dump && !l->gone)
		take_stacks(self, l, NULL, w);
}

void goroutines_add_leaks(void *self, struct look *l, struct window *w,
			  const struct prove_result *r)
{
	struct goroutines *o = self;

	/* ages as of the report's time, which was before the passes */
	if (leaks_fill(&w->goroutines->leaks, &o->sites, r, just_read(l), l->end_ns,
		       l->once ? 0 : l->begin_ns)) {
		leaks_window_deinit(&w->goroutines->leaks);
		window_cover_named(w, "leaks", OFF, "no memory for the verdicts");
		lose(l->losses, LOSS_PROOF, 1);
		return;
	}
	lose(l->losses, LOSS_PROOF, r->losses);
	if (r->n + r->nstuck && !l->gone &&
	    deadlocks_find(w, &o->sites, NULL, r, l->losses) == -ESRCH)
		l->gone = true;
	deadlocks_mark_leaked(w);
	leaks_cover(r, w);
}

static const struct detector *const detectors[] = {
	&deadlock_detector,
	&goroutine_leak_detector,
	&goroutine_flood_detector,
	NULL,
};

const struct subject goroutines_subject = {
	.name = "goroutines",
	.sensors = SENSOR_BIT(SENSOR_GOROUTINES) | SENSOR_BIT(SENSOR_LIFETIMES),
	.needs = NEEDS_WALK,
	.open = goroutines_open,
	.close = goroutines_close,
	.count = goroutines_count,
	.look = goroutines_look,
	.begin_window = goroutines_begin,
	.fill = goroutines_fill,
	.cover = goroutines_cover,
	.detectors = detectors,
};
