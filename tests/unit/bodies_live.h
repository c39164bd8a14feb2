/* SPDX-License-Identifier: BSD-2-Clause */
/* tests/progs/bodies, whose every request and body is in a known state, looked at. */
#ifndef GOSPECT_TESTS_BODIES_LIVE_H
#define GOSPECT_TESTS_BODIES_LIVE_H

#include "go_live.h"
#include "net/priv.h"
#include "net/watch.h"
#include "gort/gostacks.h"
#include "gort/gotypes.h"

/* ---- a live program ---- */

struct watched {
	struct go_live prog;
	struct gotypes *types;
	struct netwatch *nw;
	struct gostacks stacks;
	uint32_t *stack_of;
	struct net_window w;
	struct losses losses;
	struct look look; /* at all of it */
};

static inline void read_stacks(struct watched *v)
{
	struct go_live *p = &v->prog;

	assert_int_equal(goruntime_walk(&p->rt, &p->walk, NULL), 0);
	v->stack_of = realloc(v->stack_of, (p->walk.n + 1) * sizeof(*v->stack_of));
	gostacks_deinit(&v->stacks);
	assert_int_equal(gostacks_init(&v->stacks), 0);
	netwatch_observe_frames(v->nw, &v->stacks);
	assert_int_equal(gostacks_read(&v->stacks, &p->rt, &p->walk, v->stack_of), 0);
}

static inline void look_at_them(struct watched *v)
{
	v->look = (struct look){ .walk = &v->prog.walk,
				 .stacks = &v->stacks,
				 .stack_of = v->stack_of,
				 .losses = &v->losses,
				 .now_ns = clock_mono_ns() };
	assert_int_equal(netwatch_look(v->nw, &v->look), 0);
}

static inline void look(struct watched *v)
{
	read_stacks(v);
	look_at_them(v);
}

static inline void fill(struct watched *v)
{
	assert_int_equal(netwatch_fill(v->nw, &v->look, NULL, &v->w), 0);
}

/* One more look, and what it saw instead of what was seen before. */
static inline void look_anew(struct watched *v)
{
	net_window_deinit(&v->w);
	look(v);
	fill(v);
}

static inline bool has_places(const struct watched *v)
{
	for (int i = 0; i < v->w.nin_flight; i++)
		if (!v->w.in_flight[i].place.function)
			return false;
	return true;
}

/* Looks for as long as nothing may have been read of a body that is left alone, and a little. */
static inline void watch(struct watched *v, const char *name, const char *const *args,
			 double seconds)
{
	uint64_t begin;

	memset(v, 0, sizeof(*v));
	go_live_start_args(&v->prog, name, args);
	assert_int_equal(gotypes_new(&v->types, &v->prog.rt), 0);
	assert_int_equal(netwatch_new(&v->nw, &v->prog.rt, v->types), 0);
	assert_int_equal(gostacks_init(&v->stacks), 0);
	begin = clock_mono_ns();
	look(v);
	netwatch_begin_window(v->nw);
	while (clock_mono_ns() - begin < (uint64_t)(seconds * 1e9)) {
		usleep(100000);
		look(v);
	}
	fill(v);
	/* on a busy machine somebody may be about to run, whose stack cannot be read */
	for (int tries = 0; tries < 500 && !has_places(v); tries++) {
		usleep(20000);
		look_anew(v);
	}
	assert_true(v->w.known);
	assert_int_equal(v->losses.n[LOSS_NET_UNREAD], 0);
	assert_int_equal(v->losses.n[LOSS_NET_ROOM], 0);
}

/* Looks until n requests wait for their answer: READY says only that they have set out. */
static inline void watch_until_sent(struct watched *v, const char *const *args, int n)
{
	int sent = 0;

	watch(v, "bodies-usual-stripped", args, 0);
	for (int tries = 0; tries < 500; tries++) {
		sent = 0;
		for (int i = 0; i < v->w.nin_flight; i++)
			sent += v->w.in_flight[i].phase == NET_TTFB;
		if (sent == n)
			return;
		usleep(20000);
		look_anew(v);
	}
	fail_msg("%d of %d requests were sent", sent, n);
}

static inline void unwatch(struct watched *v)
{
	net_window_deinit(&v->w);
	gostacks_deinit(&v->stacks);
	free(v->stack_of);
	netwatch_free(v->nw);
	gotypes_free(v->types);
	go_live_stop(&v->prog);
}

/* A mode's host, as reports have it. */
static inline const char *host_of(const struct watched *v, const char *mode)
{
	return go_live_text(&v->prog, mode);
}

/* Requests to a mode's host in a phase, which a function has made. */
static inline int in_flight(const struct watched *v, const char *mode, enum net_phase phase,
			    const char *function)
{
	int n = 0;

	for (int i = 0; i < v->w.nin_flight; i++) {
		const struct net_request *r = &v->w.in_flight[i];

		if (strcmp(r->host, host_of(v, mode)))
			continue;
		assert_int_equal(r->phase, phase);
		assert_non_null(r->place.function);
		if (function)
			assert_string_equal(r->place.function, function);
		assert_int_not_equal(r->goroutine, 0);
		n++;
	}
	return n;
}

#endif
