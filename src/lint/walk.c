/* SPDX-License-Identifier: BSD-2-Clause */
#include "lint/walk.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/vec.h"
#include "gobin/gobin.h"
#include "lint/callees.h"
#include "lint/merge.h"

enum {
	MAX_PENDING = 2048,
	MAX_SEEN = 1 << 17,
	CLOCK_STEPS = 1024 /* between two looks at the clock */
};

struct pending {
	size_t at;
	struct state *s; /* owned; used again for the next that waits at this place */
};

struct state *walk_fork(struct walk *w, const struct state *s, size_t at)
{
	struct pending *p;

	if (at >= w->code->n)
		return NULL;
	if (w->npending == MAX_PENDING) {
		w->complex = true;
		return NULL;
	}
	w->err =
		w->err ? w->err : array_room(&w->pending, w->npending, &w->pending_cap, sizeof(*p));
	if (w->err)
		return NULL;
	p = &w->pending[w->npending];
	if (w->npending == w->nmade) {
		p->s = malloc(sizeof(*p->s));
		if (!p->s) {
			w->err = -ENOMEM;
			return NULL;
		}
		w->nmade++;
	}
	p->at = at;
	state_copy(p->s, s);
	w->npending++;
	return p->s;
}

/* Whether an itab may still be returned on this path. */
static bool is_hopeful(const struct walk *w, const struct state *s, size_t at)
{
	if (!w->itabs || w->code->line[at].hopeful)
		return true;
	for (int r = 0; r < EFFECT_REGS; r++)
		if (s->from[r])
			return true;
	for (int i = 0; i < s->nslot; i++)
		if (s->slot[i].v.kind == VALUE_NUMBER &&
		    itabs_at(w->itabs, (uint64_t)s->slot[i].v.n))
			return true;
	return false;
}

/* Whether the path goes on where paths meet. */
static bool meets(struct walk *w, struct state *s, size_t at)
{
	bool is_new;

	state_trim(s, w->code, at, !w->itabs);
	if (!is_hopeful(w, s, at))
		return false;
	if (w->merged)
		return merge_meets(w, s, at);
	if (w->met[at] >= w->max_states)
		state_widen(s, w->met[at] >= 2 * w->max_states);
	if (!u64map_put(&w->seen, state_hash(s, w->code->line[at].live, at), 1, &is_new)) {
		w->complex = true;
		return false;
	}
	w->met[at] += is_new && w->met[at] < UINT16_MAX;
	return is_new;
}

static void follow(struct walk *w, struct state *s, size_t first)
{
	long at = (long)first;

	while (at >= 0 && (size_t)at < w->code->n && !w->complex && !w->mixed && !w->err) {
		if (w->code->line[at].leads && !meets(w, s, (size_t)at))
			return;
		if (++w->steps > w->max_steps ||
		    (w->steps % CLOCK_STEPS == 0 && clock_mono_ns() > w->end_ns)) {
			w->complex = true;
			return;
		}
		s->again = w->merged || (size_t)at < s->far;
		if (!s->again)
			s->far = (uint32_t)at + 1;
		at = walk_step(w, s, (size_t)at);
	}
}

int walk_run(struct walk *w)
{
	struct state *s = malloc(sizeof(*s));

	w->used = calloc(w->code->n, sizeof(*w->used));
	w->args = calloc(w->code->n, sizeof(*w->args));
	w->met = calloc(w->code->n, sizeof(*w->met));
	u64map_init(&w->seen, MAX_SEEN);
	if (!s || !w->used || !w->args || !w->met) {
		w->err = -ENOMEM;
	} else {
		state_begin(s);
		follow(w, s, 0);
	}
	while (w->npending) {
		struct pending p = w->pending[--w->npending];

		if (!w->err && !w->complex && !w->mixed) {
			state_copy(s, p.s);
			follow(w, s, p.at);
		}
	}
	for (size_t i = 0; i < w->nmade; i++)
		free(w->pending[i].s);
	w->nmade = 0;
	free(s);
	free(w->pending);
	free(w->met);
	w->met = NULL;
	w->pending = NULL;
	w->pending_cap = 0;
	u64map_deinit(&w->seen);
	return w->err;
}

void walk_deinit(struct walk *w)
{
	for (size_t i = 0; w->args && i < w->code->n; i++)
		free(w->args[i]);
	free(w->args);
	free(w->used);
	w->args = NULL;
	w->used = NULL;
}

uint8_t walk_compare_zero(struct walk *w, struct state *s, struct value v)
{
	uint8_t when = state_compare(s, v, value_number(0), 8);

	if (w->merged || v.kind != VALUE_THING || THING_AT(v.n) >= w->code->n ||
	    THING_W(v.n) >= WORD_LOAD || !(when & WHEN_EQUAL) || when == WHEN_EQUAL)
		return when;
	if (w->code->line[THING_AT(v.n)].e.flow == FLOW_CALL &&
	    callees_never_nil(w->callees, w->code->line[THING_AT(v.n)].e.target, THING_W(v.n))) {
		state_assume(s, v, value_number(0), 8, WHEN_ALL & ~WHEN_EQUAL);
		when &= WHEN_ALL & ~WHEN_EQUAL;
	}
	return when;
}
