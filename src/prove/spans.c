/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The spans of the heap: mheap_.allspans and the structures behind it
 * (runtime/mheap.go).
 *
 * allspans only grows and its structures are never given back (fixalloc), so
 * the addresses are kept from one reading to the next.
 */
#include "prove/heap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/vec.h"
#include "prove/heap_priv.h"

#define MAX_SPANS   (1u << 25) /* 256 GiB of the smallest; beyond: refused */
#define MAX_MSPAN   512        /* bytes of a runtime.mspan */
#define MSPAN_PIECE (128u << 10)
#define MSPAN_BATCH 8192 /* structures read at once: about a MiB */
#define SPAN_IN_USE 1    /* mSpanInUse */

static int refuse(struct heap *h, const char *why)
{
	snprintf(h->why, sizeof(h->why), "%s", why);
	return -EBADMSG;
}

/* ---- the list of span structures ---- */

static int take_addresses(struct heap *h, const uint8_t *raw, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t a = heap_word(raw + 8 * i);

		if (a % 8 || a < ADDR_PAGE || a >= ADDR_END)
			return refuse(h, "the list of spans holds something else");
		h->mspan[h->nmspan++] = a;
	}
	return 0;
}

static int read_tail(struct heap *h, uint64_t array, uint64_t len)
{
	size_t n = (size_t)(len - h->list_seen);
	uint8_t *raw;
	int err = array_grow(&h->mspan, h->nmspan + n, &h->mspan_cap, sizeof(*h->mspan));

	if (err || !n)
		return err;
	raw = malloc(n * 8);
	if (!raw)
		return -ENOMEM;
	err = mem_read(h->rt->mem, array + 8 * h->list_seen, raw, n * 8);
	if (!err)
		err = take_addresses(h, raw, n);
	if (!err)
		h->list_seen = (size_t)len;
	free(raw);
	return err;
}

static int read_list(struct heap *h)
{
	uint64_t at = h->rt->gb->global[GLOBAL_MHEAP] + h->rt->bias +
		      (uint64_t)go_off(h->rt, LAYOUT_MHEAP_ALLSPANS);
	uint8_t slice[24];
	uint64_t array, len;
	int err = mem_read(h->rt->mem, at, slice, sizeof(slice));

	if (err)
		return err;
	array = heap_word(slice);
	len = heap_word(slice + 8);
	if (!len || len > MAX_SPANS || len > heap_word(slice + 16) || array % 8)
		return refuse(h, "the list of spans has an impossible length");
	if (len < h->list_seen)
		h->nmspan = h->list_seen = 0;
	return read_tail(h, array, len);
}

/* Room for a batch of structures, touched now, not while frozen. */
static int make_batch(struct heap *h, uint32_t size)
{
	if (h->mspan_raw)
		return 0;
	h->mspan_piece = calloc(MSPAN_BATCH, sizeof(*h->mspan_piece));
	h->mspan_raw = malloc((size_t)MSPAN_BATCH * size);
	if (!h->mspan_piece || !h->mspan_raw)
		return -ENOMEM;
	memset(h->mspan_raw, 0, (size_t)MSPAN_BATCH * size);
	return 0;
}

/* Reads the structures first .. first + n: neighbours together. */
static int read_batch(struct heap *h, uint32_t size, size_t first, size_t n)
{
	struct mem_piece *p = h->mspan_piece;
	size_t np = 0;
	int failed;

	for (size_t i = 0; i < n; i++) {
		uint64_t addr = h->mspan[first + i];

		if (np && p[np - 1].addr + p[np - 1].len == addr && p[np - 1].len < MSPAN_PIECE)
			p[np - 1].len += size;
		else
			p[np++] = (struct mem_piece){ .addr = addr,
						      .dst = h->mspan_raw + i * size,
						      .len = size };
	}
	failed = mem_read_many(h->rt->mem, p, np);
	return failed > 0 ? -EFAULT : failed;
}

/* ---- spans in use ---- */

static uint32_t *table_of(struct heap *h, uint64_t addr)
{
	uint32_t *slot = &h->block[addr >> HEAP_BLOCK_SHIFT];

	if (!*slot) {
		if (array_room(&h->pages, h->nblock, &h->pages_cap,
			       HEAP_BLOCK_PAGES * sizeof(*h->pages)) ||
		    array_room(&h->block_addr, h->nblock, &h->block_cap, sizeof(*h->block_addr)))
			return NULL;
		memset(h->pages + h->nblock * HEAP_BLOCK_PAGES, 0,
		       HEAP_BLOCK_PAGES * sizeof(uint32_t));
		h->block_addr[h->nblock] = addr >> HEAP_BLOCK_SHIFT << HEAP_BLOCK_SHIFT;
		*slot = (uint32_t)++h->nblock;
	}
	return h->pages + (size_t)(*slot - 1) * HEAP_BLOCK_PAGES;
}

/* Enters the span's pages: 0, -EEXIST when one is taken (unless it may be replaced), -ENOMEM. */
static int enter_pages(struct heap *h, const struct pspan *s, uint32_t index, bool replace)
{
	for (int enter = replace; enter < 2; enter++) {
		for (uint64_t p = 0; p < s->npages;) {
			uint64_t addr = s->start + (p << HEAP_PAGE_SHIFT);
			uint64_t from = (addr >> HEAP_PAGE_SHIFT) % HEAP_BLOCK_PAGES;
			uint32_t *table = table_of(h, addr);

			if (!table)
				return -ENOMEM;
			for (; from < HEAP_BLOCK_PAGES && p < s->npages; from++, p++) {
				if (enter) {
					h->displaced = h->displaced || table[from];
					table[from] = index;
				} else if (table[from]) {
					return -EEXIST;
				}
			}
		}
	}
	return 0;
}

struct mspan_offsets {
	int32_t start, npages, free_index, nelems, alloc_bits, class, state, elem_size, specials;
	bool narrow; /* counts of 16 bits, since 1.22 */
};

/* One structure: 1 when it is a span in use, 0 when not, -EBADMSG when it makes no sense. */
static int decode_span(const uint8_t *raw, const struct mspan_offsets *o, struct pspan *s)
{
	uint64_t npages, nelems, free_index, alloc_bits, bytes;

	if (raw[o->state] != SPAN_IN_USE)
		return 0;
	memset(s, 0, sizeof(*s));
	s->start = heap_word(raw + o->start);
	npages = heap_word(raw + o->npages);
	nelems = o->narrow ? load_u16(raw + o->nelems) : heap_word(raw + o->nelems);
	free_index = o->narrow ? load_u16(raw + o->free_index) : heap_word(raw + o->free_index);
	s->elem_size = heap_word(raw + o->elem_size);
	alloc_bits = heap_word(raw + o->alloc_bits);
	s->alloc_bits = alloc_bits >> HEAP_ADDR_BITS ? 0 : alloc_bits;
	s->specials = heap_word(raw + o->specials);
	s->noscan = raw[o->class] & 1;
	s->data = HEAP_NO_DATA;
	if (s->start % (1u << HEAP_PAGE_SHIFT) || s->start < ADDR_PAGE || s->start >= ADDR_END ||
	    !npages || npages > ((1ull << HEAP_ADDR_BITS) - s->start) >> HEAP_PAGE_SHIFT ||
	    npages > UINT32_MAX)
		return -EBADMSG;
	bytes = npages << HEAP_PAGE_SHIFT;
	if (!nelems || nelems > bytes / 8 || !s->elem_size || s->elem_size % 8 ||
	    s->elem_size > bytes / nelems || free_index > nelems)
		return -EBADMSG;
	s->npages = (uint32_t)npages;
	s->nelems = (uint32_t)nelems;
	s->free_index = (uint32_t)free_index;
	s->inverse = nelems > 1 ? (uint32_t)((1ull << 32) / s->elem_size) +
					  ((1ull << 32) % s->elem_size != 0)
				: 0;
	return 1;
}

static int add_span(struct heap *h, const struct pspan *s, bool replace)
{
	int err;

	if (array_room(&h->span, h->nspan, &h->span_cap, sizeof(*h->span)))
		return -ENOMEM;
	err = enter_pages(h, s, (uint32_t)h->nspan, replace);
	if (err)
		return err;
	h->span[h->nspan] = *s;
	h->span[h->nspan].bit0 = h->nbits;
	h->nspan++;
	h->nbits += (s->nelems + 63ull) / 64 * 64;
	if (s->start < h->lo)
		h->lo = s->start;
	if (s->start + ((uint64_t)s->npages << HEAP_PAGE_SHIFT) > h->hi)
		h->hi = s->start + ((uint64_t)s->npages << HEAP_PAGE_SHIFT);
	return 0;
}

static void clear_spans(struct heap *h)
{
	for (size_t i = 0; i < h->nblock; i++)
		h->block[h->block_addr[i] >> HEAP_BLOCK_SHIFT] = 0;
	h->nblock = 0;
	h->nbits = 0;
	h->nqueue = 0;
	h->lo = UINT64_MAX;
	h->hi = 0;
	h->nspan = 1;
	h->displaced = false;
	h->mem_len = 0;
	h->npiece = 0;
}

static int find_offsets(struct heap *h, struct mspan_offsets *o)
{
	*o = (struct mspan_offsets){
		.start = go_off(h->rt, LAYOUT_MSPAN_STARTADDR),
		.npages = go_off(h->rt, LAYOUT_MSPAN_NPAGES),
		.free_index = go_off(h->rt, LAYOUT_MSPAN_FREEINDEX),
		.nelems = go_off(h->rt, LAYOUT_MSPAN_NELEMS),
		.alloc_bits = go_off(h->rt, LAYOUT_MSPAN_ALLOCBITS),
		.class = go_off(h->rt, LAYOUT_MSPAN_SPANCLASS),
		.state = go_off(h->rt, LAYOUT_MSPAN_STATE),
		.elem_size = go_off(h->rt, LAYOUT_MSPAN_ELEMSIZE),
		.specials = go_off(h->rt, LAYOUT_MSPAN_SPECIALS),
	};
	o->narrow = o->nelems - o->free_index == 2;
	if (go_off(h->rt, LAYOUT_MHEAP_ALLSPANS) < 0 || o->start < 0 || o->npages < 0 ||
	    o->free_index < 0 || o->nelems < 0 || o->alloc_bits < 0 || o->class < 0 ||
	    o->state < 0 || o->elem_size < 0 || o->specials < 0)
		return refuse(h, "where spans have their fields is not known for this release");
	return 0;
}

/* The span as it was read before, at the same place. */
static bool is_known(const struct heap *h, const struct pspan *s)
{
	uint32_t table = h->block[s->start >> HEAP_BLOCK_SHIFT], i;
	const struct pspan *k;

	if (!table)
		return false;
	i = h->pages[(size_t)(table - 1) * HEAP_BLOCK_PAGES +
		     (s->start >> HEAP_PAGE_SHIFT) % HEAP_BLOCK_PAGES];
	k = &h->span[i];
	return i && k->start == s->start && k->npages == s->npages &&
	       k->elem_size == s->elem_size && k->nelems == s->nelems && k->noscan == s->noscan;
}

static int make_spans(struct heap *h)
{
	if (h->span_cap)
		return 0;
	h->span = calloc(4096, sizeof(*h->span));
	h->span_cap = h->span ? 4096 : 0;
	return h->span ? 0 : -ENOMEM;
}

static int take_batch(struct heap *h, uint32_t size, size_t n, const struct mspan_offsets *o,
		      bool only_new)
{
	for (size_t i = 0; i < n; i++) {
		struct pspan s;
		int is = decode_span(h->mspan_raw + i * size, o, &s);

		if (is > 0 && !(only_new && is_known(h, &s))) {
			is = add_span(h, &s, only_new);
			if (is == -ENOMEM)
				return is;
		}
		if (is < 0 && h->frozen)
			return refuse(h, is == -EEXIST
						 ? "two spans of the heap overlap"
						 : "a span of the heap has impossible fields");
	}
	return 0;
}

int heap_take_spans(struct heap *h, bool only_new)
{
	int32_t size = go_off(h->rt, LAYOUT_MSPAN_SIZE);
	struct mspan_offsets o;
	int err = find_offsets(h, &o);

	if (err)
		return err;
	if (size <= 0 || size > MAX_MSPAN)
		return refuse(h, "the size of a span is not known for this release");
	err = read_list(h);
	if (!err)
		err = make_batch(h, (uint32_t)size);
	if (!err)
		err = make_spans(h);
	if (err)
		return err;
	if (!only_new)
		clear_spans(h);
	for (size_t i = 0; i < h->nmspan && !err; i += MSPAN_BATCH) {
		size_t n = h->nmspan - i < MSPAN_BATCH ? h->nmspan - i : MSPAN_BATCH;

		err = heap_go_on(h, "reading the list of spans", i, h->nmspan) ? 0 : -EINTR;
		if (!err)
			err = read_batch(h, (uint32_t)size, i, n);
		if (!err)
			err = take_batch(h, (uint32_t)size, n, &o, only_new);
	}
	if (!err && h->nspan == 1)
		return refuse(h, "no span of the heap is in use");
	return err;
}

int heap_read_spans(struct heap *h)
{
	return heap_take_spans(h, false);
}
