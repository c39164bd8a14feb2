/* SPDX-License-Identifier: BSD-2-Clause */
#include "race/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "proc/mem.h"

void race_words_deinit(struct race_words *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->w[i].name);
	free(l->w);
	memset(l, 0, sizeof(*l));
}

/* The element behind the length, where the capacity has room for one. */
static int behind_length(const struct race_word *w, struct memreader *mem, uint64_t *addr)
{
	uint64_t len, cap;
	int err = mem_read_u64(mem, w->base + 8, &len);

	if (!err)
		err = mem_read_u64(mem, w->base + 16, &cap);
	if (!err && (len >= cap || len > UINT32_MAX))
		err = -ENOENT;
	if (!err)
		*addr += len * w->element;
	return err;
}

int race_word_addr(const struct race_word *w, struct memreader *mem, uint64_t *addr)
{
	int err = 0;

	*addr = w->base;
	if (w->via)
		err = mem_read_u64(mem, w->base, addr);
	if (err || !w->via)
		return err;
	if (!addr_is_plausible(*addr, 1))
		return -ENOENT;
	*addr += w->off;
	if (w->element)
		err = behind_length(w, mem, addr);
	if (err)
		return err;
	return *addr % w->size ? -ENOENT : 0;
}

/* ---- what changes ---- */

static void see(struct race_word *w, uint64_t value)
{
	w->changed |= w->seen && value != w->value;
	w->value = value;
	w->seen = true;
}

/* Where they all are now: first the pointers, then the words behind them. */
static int read_pointers(struct race_words *l, struct memreader *mem, struct mem_piece *p,
			 uint64_t *to)
{
	size_t n = 0;
	int err;

	for (size_t i = 0; i < l->n; i++)
		if (l->w[i].via)
			p[n++] =
				(struct mem_piece){ .addr = l->w[i].base, .dst = &to[i], .len = 8 };
		else
			to[i] = l->w[i].base;
	err = n ? mem_read_many(mem, p, n) : 0;
	n = 0;
	for (size_t i = 0; i < l->n; i++)
		if (l->w[i].via)
			to[i] = p[n++].status || !addr_is_plausible(to[i], 1) ? 0
									      : to[i] + l->w[i].off;
	return err < 0 ? err : 0;
}

static int read_values(struct race_words *l, struct memreader *mem, struct mem_piece *p,
		       const uint64_t *to)
{
	uint64_t *value = calloc(l->n, sizeof(*value));
	int err, seen = 0;

	if (!value)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++)
		p[i] = (struct mem_piece){ .addr = to[i], .dst = &value[i], .len = l->w[i].size };
	err = mem_read_many(mem, p, l->n);
	for (size_t i = 0; i < l->n && err >= 0; i++)
		if (!p[i].status) {
			see(&l->w[i], value[i]);
			seen++;
		}
	free(value);
	return err < 0 ? err : seen;
}

int race_words_look(struct race_words *l, struct memreader *mem)
{
	struct mem_piece *p = calloc(l->n + 1, sizeof(*p));
	uint64_t *to = calloc(l->n + 1, sizeof(*to));
	int ret = p && to ? read_pointers(l, mem, p, to) : -ENOMEM;

	if (!ret && l->n)
		ret = read_values(l, mem, p, to);
	free(p);
	free(to);
	return ret;
}

/* ---- the order ---- */

static int rank(const struct race_word *w)
{
	return (w->changed ? 0 : 2) + w->std;
}

/* Stable: by rank, four passes over the list. */
void race_words_order(struct race_words *l)
{
	struct race_word *sorted = calloc(l->n + 1, sizeof(*sorted));
	size_t n = 0;

	if (!sorted)
		return;
	for (int r = 0; r < 4; r++)
		for (size_t i = 0; i < l->n; i++)
			if (rank(&l->w[i]) == r)
				sorted[n++] = l->w[i];
	free(l->w);
	l->w = sorted;
	l->cap = l->n + 1;
}
