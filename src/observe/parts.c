/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cpu/subject.h"
#include "crash/subject.h"
#include "goroutines/subject.h"
#include "gort/gotypes.h"
#include "locks/subject.h"
#include "memory/subject.h"
#include "net/subject.h"
#include "slices/subject.h"
#include "sql/subject.h"

const struct subject *const subjects[] = {
	&goroutines_subject, &memory_subject, &net_subject,    &sql_subject, &locks_subject,
	&cpu_subject,        &crash_subject,  &slices_subject, NULL,
};

static bool is_gone(int err)
{
	return err == -ESRCH || err == -ESTALE;
}

/* --- life ---------------------------------------------------------------------- */

/* Why what it needs cannot be had of this process; "": it can. */
static const char *cannot(const struct look *l, enum subject_needs needs)
{
	const char *why = "";

	if (needs >= NEEDS_WALK)
		why = l->rt->why_off[FACT_GOROUTINES];
	if (needs >= NEEDS_STACKS && !why[0])
		why = l->rt->why_off[FACT_STACKS];
	return why;
}

static int open_shared(struct parts *p, struct look *l)
{
	int err = gostacks_init(&p->stacks);

	p->stacks_made = !err;
	if (!err)
		err = gotypes_new(&p->types, l->rt);
	l->types = p->types;
	return err;
}

static int open_part(struct parts *p, struct part *part, struct look *l)
{
	const struct subject *s = part->subject;
	int err = 0;

	if (!(s->sensors & l->sensors))
		return 0;
	snprintf(part->why, sizeof(part->why), "%s", cannot(l, s->needs));
	if (part->why[0])
		return 0;
	if (s->needs == NEEDS_STACKS && !p->types)
		err = open_shared(p, l);
	if (!err)
		err = s->open(&part->self, l, part->why);
	part->on = !err;
	if (part->on && s->needs > p->needs)
		p->needs = s->needs;
	return err == -EOPNOTSUPP ? 0 : err;
}

int parts_open(struct parts *p, const struct subject *const *list, struct look *l)
{
	int err = 0;

	memset(p, 0, sizeof(*p));
	for (int i = 0; list[i] && p->n < PARTS_MAX && !err; i++) {
		p->part[p->n].subject = list[i];
		err = open_part(p, &p->part[p->n++], l);
	}
	return err;
}

void parts_close(struct parts *p)
{
	for (int i = 0; i < p->n; i++)
		if (p->part[i].on)
			p->part[i].subject->close(p->part[i].self);
	gotypes_free(p->types);
	if (p->stacks_made)
		gostacks_deinit(&p->stacks);
	free(p->stack_of);
	trace_births_deinit(&p->births);
	trace_opens_deinit(&p->opens);
	memset(p, 0, sizeof(*p));
}

void *parts_self(const struct parts *p, const struct subject *s)
{
	for (int i = 0; i < p->n; i++)
		if (p->part[i].subject == s && p->part[i].on)
			return p->part[i].self;
	return NULL;
}

/* --- looks --------------------------------------------------------------------- */

void parts_count(struct parts *p, struct look *l, const struct trace_reading *r)
{
	for (int i = 0; i < p->n; i++)
		if (p->part[i].on && p->part[i].subject->count)
			p->part[i].subject->count(p->part[i].self, l, r);
}

static int read_stacks(struct parts *p, struct look *l)
{
	int err = 0;

	if (p->stack_cap < l->walk->n + 1) {
		uint32_t *more = realloc(p->stack_of, (l->walk->n + 1) * sizeof(*more));

		if (!more)
			return -ENOMEM;
		p->stack_of = more;
		p->stack_cap = l->walk->n + 1;
	}
	gostacks_renew(&p->stacks);
	for (int i = 0; i < p->n && !err; i++)
		if (p->part[i].on && p->part[i].subject->observe_frames)
			p->part[i].subject->observe_frames(p->part[i].self, &p->stacks);
	if (!err)
		err = gostacks_read(&p->stacks, l->rt, l->walk, p->stack_of);
	l->stacks = &p->stacks;
	l->stack_of = p->stack_of;
	if (!err && l->trace) {
		trace_opens_deinit(&p->opens);
		l->opens_ns = clock_mono_ns();
		if (trace_opens_read(l->trace, &p->opens))
			lose(l->losses, LOSS_OPENS, 1);
		l->opens = &p->opens;
	}
	return err;
}

static void read_births(struct parts *p, struct look *l)
{
	if (!l->trace)
		return;
	if (trace_births_read(l->trace, &p->births))
		lose(l->losses, LOSS_OPENS, 1);
	l->births = &p->births;
}

/* One that fails is not covered at this look; the others continue. */
static int part_look(struct part *part, struct look *l, int stacks_err)
{
	int err = part->subject->needs == NEEDS_STACKS ? stacks_err : 0;

	part->looked = false;
	if (!err && part->subject->look)
		err = part->subject->look(part->self, l);
	part->looked = !err;
	if (!err || is_gone(err))
		return err;
	part->failures++;
	lose(l->losses, LOSS_SUBJECTS, 1);
	return 0;
}

int parts_look(struct parts *p, struct look *l, bool whole)
{
	bool read = false;
	int stacks_err = 0, err = 0;

	read_births(p, l);
	p->walked_cpu_ns = 0;
	for (int i = 0; i < p->n && !err; i++) {
		struct part *part = &p->part[i];

		if (!part->on || (part->subject->needs == NEEDS_STACKS && !whole))
			continue;
		if (part->subject->needs == NEEDS_STACKS && !read) {
			p->walked_cpu_ns = clock_thread_cpu_ns();
			stacks_err = read_stacks(p, l);
			read = true;
		}
		err = part_look(part, l, stacks_err);
	}
	if (!p->walked_cpu_ns)
		p->walked_cpu_ns = clock_thread_cpu_ns();
	return err;
}

void parts_begin_window(struct parts *p, const struct look *l, bool follows)
{
	for (int i = 0; i < p->n; i++) {
		struct part *part = &p->part[i];

		part->failures = 0;
		if (part->on && part->subject->begin_window)
			part->subject->begin_window(part->self, l, follows);
	}
}

/* --- a window's end ------------------------------------------------------------ */

static void cover_all(struct part *part, enum exactness st, const char *why, struct window *w)
{
	for (int s = 0; s < SENSOR_COUNT; s++) {
		const struct coverage *c = window_coverage(w, (enum sensor)s);

		/* those that are off already were not asked for */
		if (part->subject->sensors & SENSOR_BIT(s) && c && c->state != OFF)
			window_cover_add(w, (enum sensor)s, st, "%s", why);
	}
}

static void fill_part(struct part *part, struct look *l, struct window *w)
{
	bool seen = part->looked || part->subject->needs == NEEDS_TOTALS;
	int err = 0;

	if (!part->on) {
		cover_all(part, OFF, part->why, w);
	} else if (!seen || (err = part->subject->fill(part->self, l, w))) {
		l->gone = l->gone || is_gone(err);
		if (err && !is_gone(err))
			lose(l->losses, LOSS_SUBJECTS, 1);
		cover_all(part, OFF,
			  err == -ENOMEM ? "no memory for its tables"
					 : "the process ended, or its memory could not be read",
			  w);
	} else if (part->subject->cover) {
		part->subject->cover(part->self, l, w);
	}
	if (part->on && part->failures)
		cover_all(part, PARTIAL, "not every look at it completed", w);
}

/* The rows, before anybody has something to say of them. */
static void cover_begin(const struct parts *p, const struct look *l, struct window *w)
{
	uint32_t built = 0;

	for (int i = 0; i < p->n; i++)
		built |= p->part[i].subject->sensors;
	for (int s = 0; s < SENSOR_COUNT; s++) {
		const char *why = !look_wants(l, (enum sensor)s) ? "not asked for (--only)"
				  : !(built & SENSOR_BIT(s))     ? "not implemented yet"
								 : "";

		window_cover(w, (enum sensor)s, why[0] ? OFF : EXACT, why);
	}
}

/* Those with stacks first: others bring the walk up to date, which these index. */
void parts_fill(struct parts *p, struct look *l, struct window *w)
{
	cover_begin(p, l, w);
	for (int stacks = 1; stacks >= 0; stacks--)
		for (int i = 0; i < p->n; i++)
			if ((p->part[i].subject->needs == NEEDS_STACKS) == stacks)
				fill_part(&p->part[i], l, w);
}
