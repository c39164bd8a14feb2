/* SPDX-License-Identifier: BSD-2-Clause */
#include "proc/readbatch.h"
#include "base/addr.h"
#include "base/vec.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_ADDR 4096
#define GAP        2048 /* between neighbours that are read as one: never a whole page */
#define BLOCKS     512  /* read at once */
#define BLOCK_BYTES \
	READBATCH_MAX_PIECE /* of them together: the cache holds that while pieces are taken out */
#define DIGIT_BITS 12
#define DIGITS     4 /* they are all of an address below ADDR_END */

/* A piece in the order of addresses. */
struct spot {
	uint64_t addr;
	uint32_t piece;
};

struct readbatch_work {
	struct spot *spot, *other; /* owned, cap of each */
	size_t cap;
	struct mem_piece block[BLOCKS];
	size_t first[BLOCKS + 1]; /* block k is of spot[first[k]] … */
	uint8_t bytes[BLOCK_BYTES];
};

void readbatch_deinit(struct readbatch *b)
{
	if (b->work) {
		free(b->work->spot);
		free(b->work->other);
	}
	free(b->work);
	free(b->asked);
	free(b->piece);
	free(b->bytes);
	memset(b, 0, sizeof(*b));
}

void readbatch_reset(struct readbatch *b)
{
	b->n = b->used = 0;
}

static size_t room_of(const struct mem_piece *p)
{
	return (p->len + 7u) & ~7u;
}

uint32_t readbatch_add(struct readbatch *b, uint64_t addr, uint32_t len)
{
	if (addr < LEAST_ADDR || addr >= ADDR_END - len || !len || len > READBATCH_MAX_PIECE ||
	    b->used + len > READBATCH_MAX_BYTES || b->n >= READBATCH_NONE - 1)
		return READBATCH_NONE;
	if (array_room(&b->piece, b->n, &b->cap, sizeof(*b->piece)))
		return READBATCH_NONE;
	b->piece[b->n] = (struct mem_piece){ .addr = addr, .len = len, .status = -EFAULT };
	b->used += room_of(&b->piece[b->n]);
	return (uint32_t)b->n++;
}

/* Room for the bytes of all pieces.  What was there is of the batch before. */
static int make_room(struct readbatch *b)
{
	if (b->used <= b->bytes_cap)
		return 0;
	free(b->bytes);
	b->bytes_cap = b->used * 2;
	b->bytes = malloc(b->bytes_cap);
	if (!b->bytes)
		b->bytes_cap = 0;
	return b->bytes ? 0 : -ENOMEM;
}

int readbatch_read_in_order(struct readbatch *b, struct memreader *mem)
{
	uint8_t *at;
	int err = b->n ? make_room(b) : 0;

	if (err || !b->n)
		return err;
	at = b->bytes;
	for (size_t i = 0; i < b->n; at += room_of(&b->piece[i++]))
		b->piece[i].dst = at;
	err = mem_read_many(mem, b->piece, b->n);
	return err < 0 ? err : 0;
}

/* ---- neighbours as one ---- */

static int make_work(struct readbatch *b)
{
	struct readbatch_work *w = b->work;

	if (!w)
		w = b->work = calloc(1, sizeof(*w));
	if (!w || b->n <= w->cap)
		return w ? 0 : -ENOMEM;
	free(w->spot);
	free(w->other);
	w->cap = b->cap;
	w->spot = malloc(w->cap * sizeof(*w->spot));
	w->other = malloc(w->cap * sizeof(*w->other));
	if (w->spot && w->other)
		return 0;
	w->cap = 0;
	return -ENOMEM;
}

/* By one digit of the address into `other`, those with the same one as they were. */
static void sort_digit(struct readbatch_work *w, size_t n, unsigned int shift)
{
	uint32_t count[1u << DIGIT_BITS] = { 0 }, at = 0, mask = (1u << DIGIT_BITS) - 1;
	struct spot *t = w->spot;

	for (size_t i = 0; i < n; i++)
		count[t[i].addr >> shift & mask]++;
	if (count[t[0].addr >> shift & mask] == n) /* all have the same */
		return;
	for (uint32_t d = 0; d <= mask; d++) {
		uint32_t c = count[d];

		count[d] = at;
		at += c;
	}
	for (size_t i = 0; i < n; i++)
		w->other[count[t[i].addr >> shift & mask]++] = t[i];
	w->spot = w->other;
	w->other = t;
}

static void sort(struct readbatch *b)
{
	struct readbatch_work *w = b->work;
	bool sorted = true;

	for (size_t i = 0; i < b->n; i++) {
		w->spot[i] = (struct spot){ b->piece[i].addr, (uint32_t)i };
		sorted = sorted && (!i || w->spot[i - 1].addr <= w->spot[i].addr);
	}
	for (unsigned int d = 0; d < DIGITS && !sorted; d++)
		sort_digit(w, b->n, d * DIGIT_BITS);
}

/* Blocks for the spots from *pos on; returns how many, *pos moves behind them. */
static size_t gather_blocks(const struct readbatch *b, size_t *pos)
{
	struct readbatch_work *w = b->work;
	size_t n = 0, used = 0, i = *pos;

	while (i < b->n && n < BLOCKS) {
		uint64_t from = w->spot[i].addr, to = from + b->piece[w->spot[i].piece].len;

		if (n && to - from > BLOCK_BYTES - used)
			break;
		w->first[n] = i;
		for (i++; i < b->n; i++) {
			uint64_t next = w->spot[i].addr,
				 end = next + b->piece[w->spot[i].piece].len;

			if (next > to + GAP || (end > to && end - from > BLOCK_BYTES - used))
				break;
			to = end > to ? end : to;
		}
		w->block[n++] = (struct mem_piece){ .addr = from,
						    .dst = w->bytes + used,
						    .len = (uint32_t)(to - from) };
		used += to - from;
	}
	w->first[n] = i;
	*pos = i;
	return n;
}

/* The pieces of a block into their places; what is there twice has one place. */
static void take_block(struct readbatch *b, const struct mem_piece *block, size_t from, size_t to,
		       uint8_t **at)
{
	const struct mem_piece *last = NULL;

	for (size_t i = from; i < to; i++) {
		struct mem_piece *p = &b->piece[b->work->spot[i].piece];

		if (last && last->addr == p->addr && last->len >= p->len) {
			p->dst = last->dst;
		} else {
			memcpy(*at, (uint8_t *)block->dst + (p->addr - block->addr), p->len);
			p->dst = *at;
			*at += room_of(p);
			last = p;
		}
		p->status = 0;
	}
}

/* A block that could not be read: each of its pieces alone. */
static int take_alone(struct readbatch *b, struct memreader *mem, size_t from, size_t to,
		      uint8_t **at)
{
	for (size_t i = from; i < to; i++) {
		struct mem_piece *p = &b->piece[b->work->spot[i].piece];
		int err;

		p->dst = *at;
		*at += room_of(p);
		err = mem_read_many(mem, p, 1);
		if (err < 0)
			return err;
	}
	return 0;
}

int readbatch_read(struct readbatch *b, struct memreader *mem)
{
	int err = b->n ? make_room(b) : 0;
	uint8_t *at = b->bytes;
	size_t pos = 0;

	if (!err && b->n)
		err = make_work(b);
	if (err || !b->n)
		return err;
	sort(b);
	while (pos < b->n && err >= 0) {
		size_t n = gather_blocks(b, &pos);

		err = mem_read_many(mem, b->work->block, n);
		for (size_t k = 0; k < n && err >= 0; k++) {
			size_t from = b->work->first[k], to = b->work->first[k + 1];

			if (b->work->block[k].status)
				err = take_alone(b, mem, from, to, &at);
			else
				take_block(b, &b->work->block[k], from, to, &at);
		}
	}
	return err < 0 ? err : 0;
}

const uint8_t *readbatch_get(const struct readbatch *b, uint32_t piece)
{
	if (piece >= b->n || b->piece[piece].status)
		return NULL;
	return b->piece[piece].dst;
}

/* ---- stages ---- */

#define ASKED_NOTHING (READBATCH_NONE - 1)

/* The numbers of an item's pieces into asked[]. */
static void ask_item(struct readbatch *b, const struct readstage *s, size_t i, uint32_t *asked)
{
	struct readpiece piece[READSTAGE_PIECES] = { 0 };
	bool any = false;

	s->ask(s->owner, (char *)s->item + i * s->size, piece);
	for (int k = 0; k < READSTAGE_PIECES; k++) {
		any = any || piece[k].len;
		asked[k] = piece[k].len ? readbatch_add(b, piece[k].addr, piece[k].len)
					: READBATCH_NONE;
	}
	if (!any)
		asked[0] = ASKED_NOTHING;
}

int readbatch_stage(struct readbatch *b, struct memreader *mem, const struct readstage *s)
{
	int err = array_grow(&b->asked, s->n * READSTAGE_PIECES, &b->asked_cap, sizeof(*b->asked));

	readbatch_reset(b);
	for (size_t i = 0; i < s->n && !err; i++)
		ask_item(b, s, i, b->asked + i * READSTAGE_PIECES);
	if (!err)
		err = s->in_order ? readbatch_read_in_order(b, mem) : readbatch_read(b, mem);
	for (size_t i = 0; i < s->n && !err; i++) {
		const uint32_t *asked = b->asked + i * READSTAGE_PIECES;
		const uint8_t *bytes[READSTAGE_PIECES];

		if (asked[0] == ASKED_NOTHING)
			continue;
		for (int k = 0; k < READSTAGE_PIECES; k++)
			bytes[k] = readbatch_get(b, asked[k]);
		s->take(s->owner, (char *)s->item + i * s->size, bytes);
	}
	return err;
}
