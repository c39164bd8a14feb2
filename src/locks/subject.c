/* SPDX-License-Identifier: BSD-2-Clause */
#include "locks/subject.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "gort/goahead.h"
#include "locks/contention.h"
#include "locks/holders.h"
#include "locks/pool_waits.h"

struct locks {
	struct contention *contention;
	struct pool_waits *pools;
	struct goahead *ahead; /* NULL: the code cannot be followed */
};

static void locks_close(void *self)
{
	struct locks *o = self;

	contention_free(o->contention);
	pool_waits_free(o->pools);
	goahead_free(o->ahead);
	free(o);
}

static int locks_open(void **out, const struct look *l, char *why)
{
	struct locks *o;
	int err;

	if (l->rt->gb->names_hidden) {
		snprintf(why, WINDOW_MAX_WHY, "%s", GOBIN_NAMES_HIDDEN);
		return -EOPNOTSUPP;
	}
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	err = contention_new(&o->contention, l->rt);
	if (err == -EOPNOTSUPP)
		snprintf(why, WINDOW_MAX_WHY, "the layout of locks is not known for this release");
	if (!err)
		err = pool_waits_new(&o->pools, l->rt);
	if (err) {
		locks_close(o);
		return err;
	}
	o->ahead = goahead_new(l->rt);
	*out = o;
	return 0;
}

static int locks_look(void *self, struct look *l)
{
	struct locks *o = self;
	int err = contention_look(o->contention, l);

	return err ? err : pool_waits_look(o->pools, l);
}

/* What the slow path's probe counted, scaled when it was armed in slices. */
static void fill_waits(const struct look *l, struct locks_window *c)
{
	if (!look_armed(l, PROBE_LOCK_BEGIN) || !look_armed(l, PROBE_LOCK_END))
		return;
	contention_fill_waits(l->rbase, l->rnow, l->rates.requests, c);
	if (c->exactness == EXACT)
		c->exactness = look_exactness(l, SENSOR_LOCKS, false);
}

static int locks_fill(void *self, struct look *l, struct window *w)
{
	struct locks *o = self;
	int err = contention_fill(o->contention, w->locks);

	if (!err)
		err = pool_waits_fill(o->pools, w->locks);
	w->locks->known = !err;
	if (!err && !l->gone)
		err = holders_fill(w->locks, o->ahead, l, contention_locks(o->contention), w->pid);
	if (!err)
		fill_waits(l, w->locks);
	return err;
}

static void locks_cover(void *self, const struct look *l, struct window *w)
{
	(void)self;
	look_cover_probes(l, SENSOR_LOCKS, "waits that are over are not counted", w);
}

static const struct detector *const detectors[] = { &lock_contention_detector,
						    &pool_suspected_detector, NULL };

const struct subject locks_subject = {
	.name = "locks",
	.sensors = SENSOR_BIT(SENSOR_LOCKS),
	.needs = NEEDS_STACKS,
	.open = locks_open,
	.close = locks_close,
	.look = locks_look,
	.fill = locks_fill,
	.cover = locks_cover,
	.detectors = detectors,
};
