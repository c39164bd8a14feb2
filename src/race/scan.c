/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Of all that the code touches, what may be shared without a lock: stored to plainly, outside
 * of initialisation, and touched by a second function, or read and stored by one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/effect.h"
#include "base/vec.h"
#include "gort/goruntime.h"
#include "race/accesses.h"
#include "race/named.h"

enum { WORD = 8 };

/* ---- what is touched together ---- */

/* A part of an aligned word that every access touches whole or not at all. */
struct part {
	uint8_t from, to; /* bytes in the word */
	const struct access *a;
	size_t n; /* all accesses to the word */
};

static uint64_t key(const struct access *a)
{
	return a->via ? a->addr : a->addr / WORD;
}

static int by_word(const void *x, const void *y)
{
	const struct access *a = x, *b = y;

	if (a->via != b->via)
		return a->via - b->via;
	if (key(a) != key(b))
		return key(a) < key(b) ? -1 : 1;
	if (a->off / WORD != b->off / WORD)
		return a->off < b->off ? -1 : 1;
	return a->text_addr < b->text_addr ? -1 : a->text_addr > b->text_addr;
}

static bool is_same_word(const struct access *a, const struct access *b)
{
	return a->via == b->via && key(a) == key(b) && a->off / WORD == b->off / WORD;
}

static unsigned int first_byte(const struct access *a)
{
	return (unsigned int)((a->via ? a->off : a->addr) % WORD);
}

static bool touches(const struct access *a, const struct part *p)
{
	return !a->barrier && first_byte(a) < p->to && first_byte(a) + a->size > p->from;
}

/* The next part of the word behind byte `from`; false at its end. */
static bool next_part(struct part *p, unsigned int from)
{
	unsigned int to = WORD;

	if (from >= WORD)
		return false;
	for (size_t i = 0; i < p->n; i++) {
		unsigned int first = first_byte(&p->a[i]), end = first + p->a[i].size;

		if (first > from && first < to)
			to = first;
		if (end > from && end < to)
			to = end;
	}
	p->from = (uint8_t)from;
	p->to = (uint8_t)to;
	return true;
}

/* Whether every access to p is one to q, too, and q is touched by others besides. */
static bool is_within(const struct part *p, const struct part *q)
{
	bool more = false;

	for (size_t i = 0; i < p->n; i++) {
		if (touches(&p->a[i], p) && !touches(&p->a[i], q))
			return false;
		more |= touches(&p->a[i], q) && !touches(&p->a[i], p);
	}
	return more;
}

/* ---- which of them ---- */

struct pick {
	struct race_words *l;
	struct goruntime *rt;
	const struct accesses *all;
	const char *path; /* only what this line stores to; NULL: candidates */
	int line;
	struct ranked {
		struct race_word w;
		int of; /* enum frame_of */
	} * found;      /* owned */
	size_t n, cap;
};

/* Code of sync or reflect, inlined into the user's: it knows what it does. */
static bool is_sync(struct pick *p, uint64_t text_addr)
{
	struct goframe f;

	return pclntab_frames(p->rt->gb->pcln, text_addr, false, &f, 1) > 0 &&
	       accesses_leave_out(f.function);
}

static bool stores_plainly(const struct access *a)
{
	return a->does & ACCESS_WRITE && !(a->does & ACCESS_ATOMIC);
}

/* A store that may be one half of a race, and by whom. */
struct shared {
	const struct access *writer;
	bool second; /* another function touches it */
	bool reads;  /* the function that stores reads it */
};

static struct shared look(struct pick *p, const struct part *part)
{
	struct shared s = { NULL, false, false };

	for (size_t i = 0; i < part->n && !s.writer; i++)
		if (touches(&part->a[i], part) && stores_plainly(&part->a[i]) && !part->a[i].init &&
		    !is_sync(p, part->a[i].text_addr))
			s.writer = &part->a[i];
	for (size_t i = 0; i < part->n && s.writer; i++) {
		const struct access *a = &part->a[i];

		if (!touches(a, part) || a->init)
			continue;
		s.second |= a->func != s.writer->func;
		s.reads |= a->does & ACCESS_READ && a->func == s.writer->func;
	}
	return s;
}

static void add_site(const struct pick *p, const struct access *a, struct race_word *w)
{
	bool write = a->does & ACCESS_WRITE;
	uint32_t *n = write ? &w->nwriter : &w->nreader;
	struct race_site *site = write ? w->writer : w->reader;

	if (*n < RACE_SITES)
		site[*n] = (struct race_site){ .pc = a->text_addr + p->rt->bias,
					       .write = write,
					       .atomic = a->does & ACCESS_ATOMIC,
					       .updates = write && a->does & ACCESS_READ };
	(*n)++;
}

static int size_of(const struct part *p)
{
	int size = WORD;

	while (p->from % size || size > p->to - p->from)
		size /= 2;
	return size;
}

static struct race_word word_of(const struct pick *p, const struct part *part)
{
	const struct access *first = part->a;
	struct race_word w = { .via = first->via, .size = (uint8_t)size_of(part) };

	w.base = p->rt->bias + (first->via ? first->addr : first->addr / WORD * WORD + part->from);
	w.off = first->via ? first->off / WORD * WORD + part->from : 0;
	for (size_t i = 0; i < part->n; i++)
		if (touches(&part->a[i], part) && !part->a[i].init)
			add_site(p, &part->a[i], &w);
	return w;
}

static enum frame_of owner_of(struct pick *p, const struct access *a)
{
	struct goframe f;

	if (pclntab_frames(p->rt->gb->pcln, a->text_addr, false, &f, 1) < 1)
		return FRAME_UNKNOWN;
	return (enum frame_of)f.of;
}

static int take(struct pick *p, const struct part *part, const struct shared *s)
{
	int err = array_room(&p->found, p->n, &p->cap, sizeof(*p->found));

	if (err)
		return err;
	p->found[p->n].w = word_of(p, part);
	p->found[p->n].of = owner_of(p, s->writer);
	p->found[p->n].w.std = p->found[p->n].of < FRAME_PLUMBING;
	p->n++;
	return 0;
}

/* As look(), of the line alone. */
static const struct access *look_for_line(struct pick *p, const struct part *part)
{
	for (size_t i = 0; i < part->n; i++)
		if (touches(&part->a[i], part) && part->a[i].does & ACCESS_WRITE &&
		    line_has(p->rt, part->a[i].text_addr, p->path, p->line))
			return &part->a[i];
	return NULL;
}

static int pick_line(struct pick *p, const struct access *a, size_t n)
{
	int err = 0;

	for (struct part part = { .a = a, .n = n }; next_part(&part, part.to) && !err;) {
		struct shared s = { .writer = look_for_line(p, &part) };

		if (s.writer)
			err = take(p, &part, &s);
	}
	return err;
}

static int pick_word(struct pick *p, const struct access *a, size_t n)
{
	struct part part[WORD];
	struct shared s[WORD];
	int nparts = 0, err = 0;

	if (a->via && accesses_is_owned(p->all, a->addr))
		return 0;
	if (p->path)
		return pick_line(p, a, n);
	for (struct part next = { .a = a, .n = n }; nparts < WORD && next_part(&next, next.to);
	     nparts++) {
		part[nparts] = next;
		s[nparts] = look(p, &next);
	}
	for (int i = 0; i < nparts && !err; i++) {
		bool needed = s[i].writer && (s[i].second || s[i].reads);

		for (int k = 0; k < nparts && needed; k++)
			needed = !s[k].writer || !is_within(&part[i], &part[k]);
		if (needed)
			err = take(p, &part[i], &s[i]);
	}
	return err;
}

static int by_owner(const void *x, const void *y)
{
	const struct ranked *a = x, *b = y;

	if (a->of != b->of)
		return b->of - a->of;
	if (a->w.base != b->w.base)
		return a->w.base < b->w.base ? -1 : 1;
	return a->w.off < b->w.off ? -1 : a->w.off > b->w.off;
}

static int hand_over(struct pick *p)
{
	size_t n = p->n < RACE_CANDIDATES ? p->n : RACE_CANDIDATES;
	int err = array_grow(&p->l->w, p->l->n + n, &p->l->cap, sizeof(*p->l->w));

	if (p->n)
		qsort(p->found, p->n, sizeof(*p->found), by_owner);
	for (size_t i = 0; i < n && !err; i++)
		p->l->w[p->l->n++] = p->found[i].w;
	p->l->dropped += p->all->dropped + (p->n - n);
	p->l->functions = p->all->functions;
	p->l->instructions = p->all->instructions;
	return err;
}

static int pick_all(struct pick *p, struct accesses *all)
{
	int err = 0;

	if (all->n)
		qsort(all->a, all->n, sizeof(*all->a), by_word);
	for (size_t i = 0, end; i < all->n && !err; i = end) {
		for (end = i + 1; end < all->n && is_same_word(&all->a[i], &all->a[end]);)
			end++;
		err = pick_word(p, &all->a[i], end - i);
	}
	if (!err)
		err = hand_over(p);
	free(p->found);
	return err;
}

int race_words_of_line(struct race_words *l, struct goruntime *rt, const char *path, int line)
{
	struct accesses all;
	struct pick p = { .l = l, .rt = rt, .all = &all, .path = path, .line = line };
	int err = accesses_find(&all, rt->gb);

	if (!err)
		err = pick_all(&p, &all);
	accesses_deinit(&all);
	return err;
}

int race_words_owned(struct goruntime *rt, uint64_t variable, bool *owned)
{
	struct accesses all;
	int err = accesses_find(&all, rt->gb);

	*owned = !err && accesses_is_owned(&all, variable - rt->bias);
	accesses_deinit(&all);
	return err;
}

int race_words_scan(struct race_words *l, struct goruntime *rt, struct err *err)
{
	struct accesses all;
	struct pick p = { .l = l, .rt = rt, .all = &all };
	int ret = accesses_find(&all, rt->gb);

	if (!ret)
		ret = pick_all(&p, &all);
	accesses_deinit(&all);
	if (!ret && symbols_name(&rt->gb->image, rt->bias, l) == -ENOMEM)
		ret = -ENOMEM;
	if (ret == -EOPNOTSUPP)
		return err_set(err, ret, "the code of this architecture is not understood");
	return ret ? err_set(err, ret, "no memory") : 0;
}
