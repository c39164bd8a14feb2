/* SPDX-License-Identifier: BSD-2-Clause */
#include "goroutines/fill.h"
#include "base/vec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "gort/golabels.h"
#include "gort/gostacks.h"

#define MAX_GROUPS (1u << 20) /* beyond: counted as left out */
#define MAX_STATES 250        /* different words */

/* A dump in the making. */
struct making {
	struct goroutine_dump *d;
	struct sites *s;
	struct goruntime *rt;
	struct gowalk *w;
	struct gostacks own;
	const struct gostacks *stacks; /* own, or such as were there */
	struct golabels *labels;
	uint32_t *own_stack_of, *labels_of;
	const uint32_t *stack_of;
	struct stack_builder builder;
	struct u64map group_at;
	size_t group_cap;
	const char *word[MAX_STATES];
	size_t nword;
};

void dump_free(struct goroutine_dump *d)
{
	if (!d)
		return;
	if (d->store)
		golabels_deinit(d->store);
	free(d->store);
	stack_table_deinit(&d->stacks);
	free(d->label);
	free(d->label_set);
	free(d->group);
	free(d->all);
	free(d);
}

static int fill_stacks(struct making *m)
{
	const struct gostacks *s = m->stacks;
	int err = 0;

	for (size_t i = 0; i < s->n && !err; i++) {
		const struct gostack *k = &s->stack[i];

		err = stack_builder_add(&m->builder, s->pc + k->first, k->n, k->whole, false);
	}
	return err;
}

static int fill_labels(struct making *m)
{
	struct goroutine_dump *d = m->d;
	const struct golabels *l = m->labels;

	d->label = calloc(l->nlabel + 1, sizeof(*d->label));
	d->label_set = calloc(l->nset, sizeof(*d->label_set));
	if (!d->label || !d->label_set)
		return -ENOMEM;
	for (size_t i = 0; i < l->nlabel; i++)
		d->label[i] = (struct dump_label){ l->label[i].key, l->label[i].value };
	for (size_t i = 0; i < l->nset; i++)
		d->label_set[i] = (struct dump_label_set){ l->set[i].first, l->set[i].n };
	d->nlabel = l->nlabel;
	d->nlabel_set = l->nset;
	d->labels_unknown = l->unknown;
	return 0;
}

/* ---- groups ---- */

static const char *state_word(const struct goroutine *g)
{
	switch (g->status) {
	case GO_RUNNING:
		return "running";
	case GO_RUNNABLE:
		return "runnable";
	case GO_SYSCALL:
		return "syscall";
	case GO_WAITING:
	case GO_LEAKED:
		return "waiting";
	case GO_COPYSTACK:
		return "copystack";
	case GO_PREEMPTED:
		return "preempted";
	default:
		return "other";
	}
}

/* A small number for a state's words, which are static. */
static size_t word_of(struct making *m, const char *words)
{
	for (size_t i = 0; i < m->nword; i++)
		if (m->word[i] == words)
			return i;
	if (m->nword == MAX_STATES)
		return MAX_STATES;
	m->word[m->nword] = words;
	return m->nword++;
}

static struct dump_group *group_of(struct making *m, const struct goroutine *g, uint32_t stack,
				   uint32_t labels)
{
	struct goroutine_dump *d = m->d;
	const char *words = goroutine_state(m->rt, g);
	/* three numbers below 2^24, 2^8 and 2^24, and the odd ones of each */
	uint64_t key = (uint64_t)(stack & 0xffffff) | (uint64_t)(stack >= GOSTACK_MAX) << 63 |
		       (uint64_t)word_of(m, words) << 24 | (uint64_t)(labels & 0xffffff) << 32;
	struct dump_group *p;
	uint64_t *at;
	bool made;

	if (array_room(&d->group, d->ngroup, &m->group_cap, sizeof(*d->group)))
		return NULL;
	at = u64map_put(&m->group_at, key, d->ngroup, &made);

	if (!at)
		return NULL;
	if (!made)
		return &d->group[*at];
	p = &d->group[d->ngroup++];
	memset(p, 0, sizeof(*p));
	p->reason = words;
	p->state = state_word(g);
	p->stack = stack < GOSTACK_MAX ? stack : STACK_NONE;
	p->unread = stack == GOSTACK_UNREAD;
	p->labels = labels == GOLABELS_UNKNOWN ? DUMP_LABELS_UNKNOWN : labels;
	p->created = sites_of_g(m->s, g)->place;
	return p;
}

/* The lowest ids, in order. */
static void add_id(struct dump_group *p, uint64_t goid)
{
	int i = p->nid;

	if (i == DUMP_MAX_IDS && goid >= p->id[i - 1])
		return;
	if (i < DUMP_MAX_IDS)
		p->nid++;
	else
		i--;
	for (; i > 0 && p->id[i - 1] > goid; i--)
		p->id[i] = p->id[i - 1];
	p->id[i] = goid;
}

static void add_to_group(struct making *m, struct dump_group *p, const struct goroutine *g)
{
	const struct place *created = &sites_of_g(m->s, g)->place;
	enum age_kind kind;
	double age = sites_age_s(m->s, g, m->w->mono_ns, &kind);

	p->count++;
	add_id(p, g->goid);
	age_max(&p->oldest_s, &p->age, age, kind);
	if (!place_is(&p->created, created))
		memset(&p->created, 0, sizeof(p->created));
}

static void group_all(struct making *m)
{
	const struct gowalk *w = m->w;

	for (size_t i = 0; i < w->n; i++) {
		struct dump_group *p;

		if (w->g[i].system || m->stack_of[i] == GOSTACK_ENDED)
			continue;
		p = group_of(m, &w->g[i], m->stack_of[i], m->labels_of[i]);
		if (!p) {
			m->d->left_out++;
			continue;
		}
		add_to_group(m, p, &w->g[i]);
		m->d->goroutines++;
	}
}

static int by_group_count(const void *x, const void *y)
{
	const struct dump_group *a = x, *b = y;

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return a->nid && b->nid ? (a->id[0] > b->id[0]) - (a->id[0] < b->id[0]) : 0;
}

static int by_goid(const void *x, const void *y)
{
	const struct dump_goroutine *a = x, *b = y;

	return (a->goid > b->goid) - (a->goid < b->goid);
}

static int list_all(struct making *m)
{
	const struct gowalk *w = m->w;
	struct goroutine_dump *d = m->d;

	d->all = calloc(w->n + 1, sizeof(*d->all));
	if (!d->all)
		return -ENOMEM;
	for (size_t i = 0; i < w->n; i++) {
		const struct goroutine *g = &w->g[i];
		const struct site_track *t;
		struct dump_goroutine *out;

		if (g->system || m->stack_of[i] == GOSTACK_ENDED)
			continue;
		t = sites_of_g(m->s, g);
		out = &d->all[d->nall++];
		out->goid = g->goid;
		out->creator = g->parent_goid;
		out->reason = goroutine_state(m->rt, g);
		out->state = state_word(g);
		out->age_s = sites_age_s(m->s, g, w->mono_ns, &out->age);
		out->labels =
			m->labels_of[i] == GOLABELS_UNKNOWN ? DUMP_LABELS_UNKNOWN : m->labels_of[i];
		out->stack = m->stack_of[i] < GOSTACK_MAX ? m->stack_of[i] : STACK_NONE;
		out->created = t->place;
		out->start = site_start(m->s, t, g);
		out->locked = g->lockedm != 0;
	}
	qsort(d->all, d->nall, sizeof(*d->all), by_goid);
	return 0;
}

static int make(struct making *m, bool all)
{
	int err = m->stacks == &m->own ? gostacks_read(&m->own, m->rt, m->w, m->own_stack_of) : 0;

	if (!err)
		err = golabels_read(m->labels, m->rt, m->w, m->labels_of);
	if (!err)
		err = fill_stacks(m);
	if (!err)
		err = fill_labels(m);
	if (!err)
		group_all(m);
	if (!err && all)
		err = list_all(m);
	if (err)
		return err;
	m->d->unread = m->stacks->unread;
	m->d->ended = m->stacks->ended;
	if (m->d->ngroup)
		qsort(m->d->group, m->d->ngroup, sizeof(*m->d->group), by_group_count);
	return 0;
}

/* What is to be read, or has been. */
static int open_stacks(struct making *m, const struct gostacks *stacks, const uint32_t *stack_of)
{
	m->stacks = stacks;
	m->stack_of = stack_of;
	if (stacks)
		return 0;
	m->stacks = &m->own;
	m->stack_of = m->own_stack_of = malloc((m->w->n + 1) * sizeof(*m->own_stack_of));
	return m->stack_of ? gostacks_init(&m->own) : -ENOMEM;
}

int dump_take(struct goroutine_dump **out, struct sites *s, struct gowalk *w,
	      const struct gostacks *stacks, const uint32_t *stack_of, bool all)
{
	struct making m = { .s = s, .rt = s->rt, .w = w };
	uint64_t begin = clock_mono_ns();
	int err;

	m.d = calloc(1, sizeof(*m.d));
	m.labels = calloc(1, sizeof(*m.labels));
	m.labels_of = malloc((w->n + 1) * sizeof(*m.labels_of));
	if (m.d)
		stack_builder_init(&m.builder, &m.d->stacks, s->rt);
	u64map_init(&m.group_at, MAX_GROUPS);
	err = open_stacks(&m, stacks, stack_of);
	if (!err && m.labels)
		err = golabels_init(m.labels);
	if (!m.d || !m.labels || !m.labels_of)
		err = -ENOMEM;
	if (!err)
		err = make(&m, all);
	if (m.d)
		m.d->store = m.labels;
	if (err) {
		dump_free(m.d);
	} else {
		m.d->read_s = (double)(clock_mono_ns() - begin) / 1e9;
		*out = m.d;
	}
	gostacks_deinit(&m.own);
	free(m.own_stack_of);
	free(m.labels_of);
	stack_builder_deinit(&m.builder);
	u64map_deinit(&m.group_at);
	return err;
}
