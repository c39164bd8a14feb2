/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/goholders.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

#define LATER_NS (25 * NS_PER_MS) /* a CPU is taken away every 10 ms (sysmon, forcePreemptNS) */
#define TRIES    3

enum shape { SHAPE_NEW, SHAPE_IDLE, SHAPE_BUSY };

struct pass {
	struct goahead *a;
	struct goruntime *rt;
	const struct gowalk *w;
	const struct gostacks *gs;
	const uint32_t *stack_of;
	const uint64_t *lock_of;
	goholders_fn fn;
	void *arg;
	uint8_t *shape; /* owned: of each distinct stack */
	size_t *again;  /* owned: those that run */
	size_t nagain;
};

/* Of goroutines that stand in the same place, which has no lock to give back, one is enough. */
static bool is_idle(struct pass *p, size_t i)
{
	uint8_t *shape = p->stack_of[i] < p->gs->n ? &p->shape[p->stack_of[i]] : NULL;

	if (shape && *shape == SHAPE_NEW)
		*shape = goahead_gives_back(p->a, &p->w->g[i], p->lock_of[i]) ? SHAPE_BUSY
									      : SHAPE_IDLE;
	return shape && *shape == SHAPE_IDLE;
}

static int look(struct pass *p, size_t i, const struct goroutine *g)
{
	const struct goahead_act *act = NULL;
	int n = goahead_look(p->a, g, p->lock_of[i], &act);

	if (n == -EAGAIN) {
		p->again[p->nagain++] = i;
		return 0;
	}
	return p->fn(p->arg, i, g, act, n);
}

/* Once more; whoever has ended, or is another one, holds nothing. */
static int look_again(struct pass *p, size_t i)
{
	struct goroutine now;

	if (goruntime_read_g(p->rt, p->w->g[i].addr, &now) || now.goid != p->w->g[i].goid ||
	    now.status == GO_DEAD)
		return 0;
	return look(p, i, &now);
}

static int look_at_running(struct pass *p)
{
	const struct timespec later = { .tv_nsec = LATER_NS };
	int err = 0;

	for (int try = 0; try < TRIES && p->nagain && !err; try++) {
		size_t n = p->nagain;

		nanosleep(&later, NULL);
		p->nagain = 0;
		for (size_t k = 0; k < n && !err; k++)
			err = look_again(p, p->again[k]);
	}
	for (size_t k = 0; k < p->nagain && !err; k++)
		err = p->fn(p->arg, p->again[k], &p->w->g[p->again[k]], NULL, -EAGAIN);
	return err;
}

int goholders_each(struct goahead *a, struct goruntime *rt, const struct gowalk *w,
		   const struct gostacks *gs, const uint32_t *stack_of, const uint64_t *lock_of,
		   goholders_fn fn, void *arg)
{
	struct pass p = { a, rt, w, gs, stack_of, lock_of, fn, arg, NULL, NULL, 0 };
	int err;

	p.shape = calloc(gs->n + 1, 1);
	p.again = malloc((w->n + 1) * sizeof(*p.again));
	err = p.shape && p.again ? 0 : -ENOMEM;
	for (size_t i = 0; i < w->n && !err; i++) {
		if (w->g[i].system || lock_of[i] == GOHOLDERS_SKIP ||
		    stack_of[i] == GOSTACK_ENDED || is_idle(&p, i))
			continue;
		if (stack_of[i] < GOSTACK_MAX)
			err = look(&p, i, &w->g[i]);
		else
			p.again[p.nagain++] = i;
	}
	if (!err)
		err = look_at_running(&p);
	free(p.shape);
	free(p.again);
	return err;
}
