/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/goholders.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "gort/golocks.h"

#define MOST_MS 200
#define TRIES   3 /* a CPU is taken away every 10 ms (sysmon, forcePreemptNS) */

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
	uint8_t kind[256]; /* of each wait reason */
	uint8_t *shape;    /* owned: of each distinct stack */
	size_t *again;     /* owned: those that run */
	size_t nagain;
};

/* What it waits for, if that is a lock; false: not known. */
static bool find_lock(struct pass *p, const struct goroutine *g, uint64_t *lock)
{
	return *lock || golocks_reason_of(p->kind, g) != GOREASON_LOCK ||
	       golocks_waits_for(p->rt, g, lock);
}

/* Of goroutines that stand in the same place, which has no lock to give back, one is enough. */
static bool is_idle(struct pass *p, size_t i)
{
	uint8_t *shape = p->stack_of[i] < p->gs->n ? &p->shape[p->stack_of[i]] : NULL;
	uint64_t lock = p->lock_of[i];

	if (shape && *shape == SHAPE_NEW && find_lock(p, &p->w->g[i], &lock))
		*shape = goahead_gives_back(p->a, &p->w->g[i], lock) ? SHAPE_BUSY : SHAPE_IDLE;
	return shape && *shape == SHAPE_IDLE;
}

/* lock: what it waits for, 0: none, or not known yet. */
static int look(struct pass *p, size_t i, const struct goroutine *g, uint64_t lock)
{
	const struct goahead_act *act = NULL;
	int n = -EAGAIN;

	/* one that does not have the lock it waits for would seem to give it back */
	if (find_lock(p, g, &lock))
		n = goahead_look(p->a, g, lock, &act);
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
	return look(p, i, &now, 0);
}

static int look_at_running(struct pass *p, uint64_t wait_ns)
{
	uint64_t end = clock_mono_ns() + wait_ns;
	unsigned int step_ms = GOHOLDERS_WAIT_NS / TRIES / NS_PER_MS;
	int err = 0;

	for (int try = 0; p->nagain && !err; try++) {
		size_t n = p->nagain;

		if (try && try >= (wait_ns ? TRIES : 1) && clock_mono_ns() >= end)
			break;
		if (wait_ns)
			clock_nap_ms(step_ms);
		if (try >= TRIES && step_ms < MOST_MS)
			step_ms *= 2;
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
		   uint64_t wait_ns, goholders_fn fn, void *arg)
{
	struct pass p = { a, rt, w, gs, stack_of, lock_of, fn, arg, { 0 }, NULL, NULL, 0 };
	int err;

	golocks_reasons(rt, p.kind);
	p.shape = calloc(gs->n + 1, 1);
	p.again = malloc((w->n + 1) * sizeof(*p.again));
	err = p.shape && p.again ? 0 : -ENOMEM;
	for (size_t i = 0; i < w->n && !err; i++) {
		if (w->g[i].system || lock_of[i] == GOHOLDERS_SKIP ||
		    stack_of[i] == GOSTACK_ENDED || is_idle(&p, i))
			continue;
		if (stack_of[i] < GOSTACK_MAX)
			err = look(&p, i, &w->g[i], lock_of[i]);
		else
			p.again[p.nagain++] = i;
	}
	if (!err)
		err = look_at_running(&p, wait_ns);
	free(p.shape);
	free(p.again);
	return err;
}
