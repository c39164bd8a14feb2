/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding objects, and marking. */
#include "prove/heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/vec.h"
#include "prove/heap_priv.h"

#define SPANS_AT_ONCE 4096 /* marked without asking whether to go on */

int heap_init(struct heap *h, struct goruntime *rt)
{
	memset(h, 0, sizeof(*h));
	h->rt = rt;
	u64map_init(&h->off.page, OFF_MAX_PAGES);
	/* touched only where there is heap */
	h->block = mmap(NULL, BLOCK_TABLE_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (h->block == MAP_FAILED) {
		h->block = NULL;
		return -ENOMEM;
	}
	return 0;
}

void heap_drop_contents(struct heap *h)
{
	if (h->mem)
		munmap(h->mem, h->mem_cap);
	h->mem = NULL;
	h->mem_len = h->mem_cap = 0;
}

void heap_deinit(struct heap *h)
{
	if (h->block)
		munmap(h->block, BLOCK_TABLE_BYTES);
	heap_drop_contents(h);
	u64map_deinit(&h->off.page);
	free(h->off.mem);
	free(h->mspan);
	free(h->mspan_piece);
	free(h->mspan_raw);
	free(h->span);
	free(h->pages);
	free(h->block_addr);
	free(h->piece);
	free(h->mark);
	free(h->done);
	free(h->queue);
	memset(h, 0, sizeof(*h));
}

#define NONE UINT32_MAX

static inline struct pspan *span_of(const struct heap *h, uint64_t addr)
{
	uint32_t table, i;

	if (addr >> HEAP_ADDR_BITS)
		return NULL;
	table = h->block[addr >> HEAP_BLOCK_SHIFT];
	if (!table)
		return NULL;
	i = h->pages[(size_t)(table - 1) * HEAP_BLOCK_PAGES +
		     (addr >> HEAP_PAGE_SHIFT) % HEAP_BLOCK_PAGES];
	return i ? &h->span[i] : NULL;
}

/* As runtime.(*mspan).objIndex: offset times the inverse. */
static inline uint32_t object_index(const struct pspan *s, uint64_t addr)
{
	return (uint32_t)((addr - s->start) * s->inverse >> 32);
}

bool heap_find(const struct heap *h, uint64_t addr, uint64_t *bit, const struct pspan **span)
{
	const struct pspan *s = span_of(h, addr);
	uint32_t i;

	if (!s)
		return false;
	i = object_index(s, addr);
	if (i >= s->nelems)
		return false;
	*bit = s->bit0 + i;
	if (span)
		*span = s;
	return true;
}

bool heap_object(const struct heap *h, uint64_t addr, uint64_t *base, uint64_t *size, bool *noscan)
{
	const struct pspan *s;
	uint64_t bit;

	if (!heap_find(h, addr, &bit, &s))
		return false;
	*base = s->start + (bit - s->bit0) * s->elem_size;
	*size = s->elem_size;
	*noscan = s->noscan;
	return true;
}

const uint8_t *heap_bytes(const struct heap *h, uint64_t addr, uint64_t len)
{
	const struct pspan *s = span_of(h, addr);
	uint64_t size;

	if (!s || s->data == HEAP_NO_DATA || s->unreadable)
		return NULL;
	size = (uint64_t)s->npages << HEAP_PAGE_SHIFT;
	if (len > size || addr - s->start > size - len)
		return NULL;
	return h->mem + s->data + (addr - s->start);
}

static inline bool test_bit(const uint64_t *map, uint64_t bit)
{
	return map[bit / 64] >> bit % 64 & 1;
}

static inline void set_bit(uint64_t *map, uint64_t bit)
{
	map[bit / 64] |= 1ull << bit % 64;
}

/*
 * What the innermost loop needs of a heap, in registers: the compiler cannot
 * know that a store to the bitmaps leaves the heap's own fields as they are.
 */
struct marker {
	struct heap *h;
	uint64_t lo, range; /* of all spans */
	struct pspan *here; /* the span that is looked through: most pointers stay in it */
	uint64_t here_start, here_bytes; /* bytes 0: none */
	uint64_t *mark;
	uint32_t fresh; /* object of `here` that was marked last, to be looked into next; or NONE */
};

static inline struct marker marker_of(struct heap *h, struct pspan *here)
{
	return (struct marker){
		.h = h,
		.lo = h->lo,
		.range = h->hi > h->lo ? h->hi - h->lo : 0,
		.here = here,
		.here_start = here ? here->start : 0,
		.here_bytes = here ? (uint64_t)here->npages << HEAP_PAGE_SHIFT : 0,
		.mark = h->mark,
		.fresh = NONE,
	};
}

static void note_new(struct heap *h, struct pspan *s, uint64_t bit)
{
	if (s->watched)
		h->on_watched(h->arg, bit);
	if (s->noscan || s->queued || test_bit(h->done, bit))
		return;
	s->queued = true;
	h->queue[h->nqueue++] = (uint32_t)(s - h->span); /* once each: cannot overflow */
}

static inline void mark_word(struct marker *m, uint64_t word)
{
	struct pspan *s = m->here;
	bool inside = word - m->here_start < m->here_bytes;
	uint64_t bit;
	uint32_t i;

	if (word - m->lo >= m->range) /* first: most words are 0, or no pointers */
		return;
	if (!inside) {
		s = span_of(m->h, word);
		if (!s)
			return;
	}
	i = object_index(s, word);
	bit = s->bit0 + i;
	if (i >= s->nelems || test_bit(m->mark, bit))
		return;
	set_bit(m->mark, bit);
	if (inside)
		m->fresh = i;
	if (s->watched || (!s->queued && !s->noscan))
		note_new(m->h, s, bit);
}

static inline void mark_words(struct marker *m, const uint8_t *words, size_t bytes)
{
	for (size_t i = 0; i + 8 <= bytes; i += 8)
		mark_word(m, heap_word(words + i));
}

void heap_mark_word(struct heap *h, uint64_t word)
{
	struct marker m = marker_of(h, NULL);

	mark_word(&m, word);
}

void heap_mark_words(struct heap *h, const uint8_t *words, size_t bytes)
{
	struct marker m = marker_of(h, NULL);

	mark_words(&m, words, bytes);
}

/* The words of n objects in a row. */
static inline void scan_objects(struct heap *h, struct marker *m, const struct pspan *s, uint64_t i,
				uint64_t n)
{
	if (s->unreadable || s->data == HEAP_NO_DATA)
		h->reached_unknown = true;
	else
		mark_words(m, h->mem + s->data + i * s->elem_size, n * s->elem_size);
}

void heap_mark_contents(struct heap *h, uint64_t addr)
{
	struct marker m = marker_of(h, NULL);
	const struct pspan *s;
	uint64_t bit;

	if (heap_find(h, addr, &bit, &s) && !s->noscan)
		scan_objects(h, &m, s, bit - s->bit0, 1);
}

void heap_watch(struct heap *h, uint64_t addr)
{
	struct pspan *s = span_of(h, addr);

	if (s)
		s->watched = true;
}

void heap_set_opaque(struct heap *h, uint64_t addr)
{
	uint64_t bit;

	if (heap_find(h, addr, &bit, NULL))
		set_bit(h->done, bit);
}

/* Lists run through neighbours: one object after the other, without a search for the next. */
static inline void follow(struct heap *h, struct marker *m, const struct pspan *s)
{
	while (m->fresh != NONE) {
		uint32_t i = m->fresh;

		m->fresh = NONE;
		if (test_bit(h->done, s->bit0 + i))
			return;
		set_bit(h->done, s->bit0 + i);
		scan_objects(h, m, s, i, 1);
	}
}

/* The marked objects of one word of the bitmap; marking may add to it: until nothing is left. */
static bool scan_word(struct heap *h, struct marker *m, const struct pspan *s, uint64_t k)
{
	uint64_t todo;
	bool any = false;

	while ((todo = h->mark[k] & ~h->done[k])) {
		any = true;
		h->done[k] |= todo;
		while (todo) {
			unsigned int at = (unsigned int)__builtin_ctzll(todo);
			uint64_t gap = ~(todo >> at);
			unsigned int n = gap ? (unsigned int)__builtin_ctzll(gap) : 64;

			scan_objects(h, m, s, k * 64 + at - s->bit0, n);
			follow(h, m, s);
			todo = at + n < 64 ? todo >> (at + n) << (at + n) : 0;
		}
	}
	return any;
}

static void scan_span(struct heap *h, struct pspan *s)
{
	uint64_t first = s->bit0 / 64, last = (s->bit0 + s->nelems - 1) / 64;
	struct marker m = marker_of(h, h->displaced ? NULL : s);
	bool any = true;

	while (any) {
		any = false;
		for (uint64_t k = first; k <= last; k++)
			any |= scan_word(h, &m, s, k);
	}
}

void heap_drain(struct heap *h)
{
	for (size_t n = 1; h->nqueue; n++) {
		if (n % SPANS_AT_ONCE == 0 && !heap_go_on(h, "marking", n, h->nspan))
			return;
		struct pspan *s = &h->span[h->queue[--h->nqueue]];

		scan_span(h, s); /* what it marks in itself is done there */
		s->queued = false;
	}
}

/* ---- memory outside the heap ---- */

/* The page's bytes; NULL when it cannot be read. */
static const uint8_t *off_page(struct heap *h, uint64_t number)
{
	struct pagecache *c = &h->off;
	uint64_t *index = u64map_find(&c->page, number);

	if (!index && !h->sealed) {
		index = u64map_put(&c->page, number, 0, NULL);
		if (!index || array_room(&c->mem, c->n, &c->cap, OFF_PAGE))
			return NULL;
		if (!mem_read(h->rt->mem, number * OFF_PAGE, c->mem + c->n * OFF_PAGE, OFF_PAGE))
			*index = ++c->n;
	}
	return index && *index ? c->mem + (*index - 1) * OFF_PAGE : NULL;
}

int heap_copy(struct heap *h, uint64_t addr, void *dst, size_t len)
{
	const uint8_t *in_heap = heap_bytes(h, addr, len);
	uint8_t *to = dst;

	if (in_heap) {
		memcpy(dst, in_heap, len);
		return 0;
	}
	if (addr >> HEAP_ADDR_BITS || len > OFF_MAX_COPY)
		return -EFAULT;
	while (len) {
		uint64_t in_page = addr % OFF_PAGE;
		size_t n = OFF_PAGE - in_page < len ? OFF_PAGE - in_page : len;
		const uint8_t *page = off_page(h, addr / OFF_PAGE);

		if (!page)
			return -EFAULT;
		memcpy(to, page + in_page, n);
		to += n;
		addr += n;
		len -= n;
	}
	return 0;
}

/* Reads pages that are not there yet, neighbours together. */
int heap_prefetch(struct heap *h, uint64_t *number, size_t n)
{
	struct pagecache *c = &h->off;
	size_t at = 0;

	qsort(number, n, sizeof(*number), by_u64);
	for (size_t i = 0; i < n; i++) /* those that are new, once */
		if ((!at || number[at - 1] != number[i]) && !u64map_find(&c->page, number[i]))
			number[at++] = number[i];
	if (array_grow(&c->mem, c->n + at, &c->cap, OFF_PAGE))
		return -ENOMEM;
	for (size_t i = 0; i < at;) {
		size_t run = 1;

		while (i + run < at && run < OFF_RUN && number[i + run] == number[i] + run)
			run++;
		if (!mem_read(h->rt->mem, number[i] * OFF_PAGE, c->mem + c->n * OFF_PAGE,
			      run * OFF_PAGE))
			for (size_t k = 0; k < run; k++)
				u64map_put(&c->page, number[i] + k, ++c->n, NULL);
		i += run; /* what failed is tried again page by page when it is needed */
	}
	return 0;
}

void heap_forget_pages(struct heap *h)
{
	u64map_clear(&h->off.page);
	h->off.n = 0;
}
