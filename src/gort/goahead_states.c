/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Branches and the states in which paths come to them.  A path that comes where
 * another one has been, with the same locks taken and given back, and knows
 * nothing else, has joined it.  When VARIANTS have been there and knew each
 * something else, it goes on with what it and the last of them know both.  So
 * all paths are followed, loops included, in finite time.
 */
#include "gort/goahead_priv.h"

#include <string.h>

#include "base/vec.h"

#define VARIANTS 4

void goahead_clear(struct goahead *a)
{
	u64map_clear(&a->node_at);
	a->nnode = a->nedge = a->ntaken = 0;
	a->nstate = a->nact = 0;
	a->npath = a->steps = a->reads = 0;
	a->full = false;
}

/* What must be the same for two paths to join: all but values. */
static uint64_t key_of(const struct path *p)
{
	uint64_t key = hash_u64(p->pc) ^ p->reg[EFFECT_SP], counts = 0;

	key = hash_u64(key) ^ p->next_defer;
	key = hash_u64(key) ^ p->released;
	key = hash_u64(key) ^ p->gone;
	key = hash_u64(key) + (uint64_t)p->unknown * 2 + p->muddy;
	for (int i = 0; i < p->depth; i++)
		key = hash_u64(key) ^ p->back[i];
	for (int i = 0; i < p->ncount; i++) /* in whatever order */
		if (p->count[i].n || p->count[i].released)
			counts += hash_u64(p->count[i].object +
					   (uint64_t)(p->count[i].n * 2 + p->count[i].released));
	return hash_u64(key) ^ counts;
}

static void add_edge(struct goahead *a, const struct path *p, int to)
{
	if (a->nedge == MAX_EDGES)
		a->full = true;
	else
		a->edge[a->nedge++] = (struct edge){ (uint16_t)p->node, (uint16_t)to };
}

static struct node *add_node(struct goahead *a, const struct path *p, enum path_end end)
{
	struct node *n = &a->node[a->nnode];

	if (a->nnode == MAX_NODES) {
		a->full = true;
		return NULL;
	}
	*n = (struct node){ p->released, p->gone, end, -1 };
	if (a->nnode++)
		add_edge(a, p, a->nnode - 1);
	return n;
}

/* Of one value: what both know. */
static bool join_value(bool *known, bool *firm, uint64_t *value, bool k, bool f, uint64_t v)
{
	bool was_known = *known, was_firm = *firm;

	*known = was_known && k && *value == v;
	*firm = *known && was_firm && f;
	if (!*known)
		*value = 0;
	return *known != was_known || *firm != was_firm;
}

static bool join_registers(struct path *s, const struct path *p)
{
	bool changed = false;

	for (uint8_t r = 0; r < EFFECT_REGS; r++) {
		bool known = s->known >> r & 1, firm = s->firm >> r & 1;
		uint64_t value = s->reg[r];

		changed |= join_value(&known, &firm, &value, p->known >> r & 1, p->firm >> r & 1,
				      p->reg[r]);
		path_set(s, r, known, firm, value);
	}
	return changed;
}

static const struct word *word_at(const struct path *p, uint64_t addr)
{
	for (int i = 0; i < p->nword; i++)
		if (p->word[i].addr == addr)
			return &p->word[i];
	return NULL;
}

/* Words that only one of them has written are not known; false: no room. */
static bool join_words(struct path *s, const struct path *p, bool *changed)
{
	for (int i = 0; i < s->nword; i++) {
		struct word *w = &s->word[i];
		const struct word *o = word_at(p, w->addr);

		*changed |= join_value(&w->known, &w->firm, &w->value, o && o->known, o && o->firm,
				       o ? o->value : 0);
	}
	for (int i = 0; i < p->nword; i++) {
		if (word_at(s, p->word[i].addr))
			continue;
		*changed = true;
		if (!path_store_word(s, p->word[i].addr, false, false, 0))
			return false;
	}
	return true;
}

/* What is known at both; false: no room. */
static bool join(struct path *s, const struct path *p, bool *changed)
{
	bool flag = s->flag_known, firm = s->flag_firm, soft = s->soft_stack;
	uint64_t equal = s->equal;

	*changed = join_registers(s, p);
	*changed |= join_value(&flag, &firm, &equal, p->flag_known, p->flag_firm, p->equal);
	s->flag_known = flag;
	s->flag_firm = firm;
	s->equal = equal;
	s->soft_stack = soft || p->soft_stack;
	*changed |= soft != s->soft_stack;
	return join_words(s, p, changed);
}

static bool arrive_first(struct goahead *a, struct path *p)
{
	struct node *n;

	if (array_room(&a->state, a->nstate, &a->state_cap, sizeof(*a->state))) {
		a->full = true;
		return false;
	}
	n = add_node(a, p, PATH_GOES_ON);
	if (!n)
		return false;
	n->state = (int)a->nstate;
	p->node = a->nnode - 1;
	a->state[a->nstate++] = *p;
	return true;
}

/* Whether what is known in state s is known on path p too: s has been followed for p. */
static bool covers(const struct path *s, const struct path *p)
{
	if ((s->known & p->known) != s->known || (s->firm & p->firm) != s->firm ||
	    p->soft_stack > s->soft_stack)
		return false;
	if (s->flag_known &&
	    (!p->flag_known || s->equal != p->equal || s->flag_firm > p->flag_firm))
		return false;
	for (uint8_t r = 0; r < EFFECT_REGS; r++)
		if (s->known >> r & 1 && s->reg[r] != p->reg[r])
			return false;
	for (int i = 0; i < s->nword; i++) {
		const struct word *w = &s->word[i], *o = w->known ? word_at(p, w->addr) : NULL;

		if (w->known && (!o || !o->known || o->value != w->value || w->firm > o->firm))
			return false;
	}
	for (int i = 0; i < p->nword; i++)
		if (!word_at(s, p->word[i].addr))
			return false;
	return true;
}

/* Goes on with what the state of a node knows, too. */
static bool goes_on(struct goahead *a, struct path *p, int node)
{
	struct path *s = &a->state[a->node[node].state];
	bool changed;

	add_edge(a, p, node);
	if (!join(s, p, &changed)) {
		p->end = PATH_ENDS;
		return false;
	}
	if (!changed)
		return false;
	*p = *s;
	p->node = node;
	return true;
}

bool goahead_arrive(struct goahead *a, struct path *p)
{
	uint64_t key = key_of(p);
	int last = -1;

	p->end = PATH_JOINS;
	for (uint64_t v = 0; v < VARIANTS; v++) {
		bool made = false;
		uint64_t *at =
			u64map_put(&a->node_at, hash_u64(key + v), (uint64_t)a->nnode, &made);

		if (at && made)
			return arrive_first(a, p);
		/* else there was no room for it */
		if (!at || *at >= (uint64_t)a->nnode || a->node[*at].state < 0) {
			a->full = true;
			return false;
		}
		last = (int)*at;
		if (covers(&a->state[a->node[last].state], p)) {
			add_edge(a, p, last);
			return false;
		}
	}
	return goes_on(a, p, last);
}

void goahead_ends(struct goahead *a, const struct path *p)
{
	if (p->end != PATH_JOINS)
		add_node(a, p, p->end);
}

/* ---- what is sure ---- */

enum mark {
	MARK_OPEN,
	MARK_DOOMED, /* it can only panic */
	MARK_REACHES /* it has released it, or may come to where it has */
};

/* Nodes from which every way on is to a panic. */
static bool is_doomed(const struct goahead *a, const uint8_t *mark, int node)
{
	for (int i = 0; i < a->nedge; i++)
		if (a->edge[i].from == node && mark[a->edge[i].to] != MARK_DOOMED)
			return false;
	return a->node[node].end != PATH_ENDS;
}

static bool has(const struct node *n, uint64_t bit, bool likely)
{
	return (likely ? n->gone : n->released) & bit;
}

static void mark_reaching(const struct goahead *a, uint64_t bit, bool likely, uint8_t *mark)
{
	bool again = true;

	for (int i = 0; i < a->nnode; i++)
		mark[i] = has(&a->node[i], bit, likely)   ? MARK_REACHES
			  : a->node[i].end == PATH_PANICS ? MARK_DOOMED
							  : MARK_OPEN;
	while (again) {
		again = false;
		for (int i = a->nedge - 1; i >= 0; i--)
			if (mark[a->edge[i].to] == MARK_REACHES &&
			    mark[a->edge[i].from] == MARK_OPEN) {
				mark[a->edge[i].from] = MARK_REACHES;
				again = true;
			}
	}
}

static bool only_panics(const struct goahead *a, uint8_t *mark)
{
	bool again = true, open = true;

	while (again) {
		again = open = false;
		for (int i = a->nnode - 1; i >= 0; i--) {
			if (mark[i] != MARK_OPEN)
				continue;
			open = true;
			if (is_doomed(a, mark, i)) {
				mark[i] = MARK_DOOMED;
				again = true;
			}
		}
	}
	return !open;
}

/* On every path, sooner or later: no path ends without, or loops for ever. */
static bool is_certain(const struct goahead *a, size_t act, bool likely)
{
	uint64_t bit = 1ull << act;
	uint8_t mark[MAX_NODES];

	mark_reaching(a, bit, likely, mark);
	if (!a->nnode || mark[0] != MARK_REACHES)
		return false;
	for (int i = 0; i < a->nnode; i++)
		if (a->node[i].end == PATH_ENDS && !has(&a->node[i], bit, likely))
			return false;
	return only_panics(a, mark);
}

void goahead_judge(struct goahead *a)
{
	for (size_t i = 0; i < a->nact && !a->full; i++) {
		struct goahead_act *act = &a->act[i];
		bool taken = act->act != GOACT_UNLOCK;

		for (int k = 0; k < a->ntaken; k++)
			taken = taken || a->taken[k] == act->object;
		act->sure = !taken && is_certain(a, i, false);
		act->likely = act->sure || (!taken && is_certain(a, i, true));
	}
}
