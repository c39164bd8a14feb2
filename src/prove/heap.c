/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding objects, and marking. */
#include "prove/heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cursor.h"
#include "prove/heap_priv.h"

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

void heap_deinit(struct heap *h)
{
	if (h->block)
		munmap(h->block, BLOCK_TABLE_BYTES);
	if (h->mem)
		munmap(h->mem, h->mem_cap);
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
	free(h->watch);
	free(h->queue);
	memset(h, 0, sizeof(*h));
}

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
	uint64_t off = addr - s->start;

	if (s->nelems == 1)
		return off < s->elem_size ? 0 : 1;
	return (uint32_t)(off * s->inverse >> 32);
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

static void enqueue(struct heap *h, struct pspan *s)
{
	if (s->queued)
		return;
	s->queued = true;
	h->queue[h->nqueue++] = (uint32_t)(s - h->span);	/* once each: cannot overflow */
}

void heap_mark_word(struct heap *h, uint64_t word)
{
	struct pspan *s = span_of(h, word);
	uint64_t bit;
	uint32_t i;

	if (!s)
		return;
	i = object_index(s, word);
	bit = s->bit0 + i;
	if (i >= s->nelems || test_bit(h->mark, bit))
		return;
	set_bit(h->mark, bit);
	if (test_bit(h->watch, bit))
		h->on_watched(h->arg, bit);
	if (!s->noscan && !test_bit(h->done, bit))
		enqueue(h, s);
}

void heap_mark_words(struct heap *h, const uint8_t *words, size_t bytes)
{
	for (size_t i = 0; i + 8 <= bytes; i += 8) {
		uint64_t w = heap_word(words + i);

		if (w >= h->lo && w < h->hi)
			heap_mark_word(h, w);
	}
}

static void scan_object(struct heap *h, const struct pspan *s, uint32_t i)
{
	if (s->noscan)
		return;
	if (s->unreadable || s->data == HEAP_NO_DATA) {
		h->reached_unknown = true;
		return;
	}
	heap_mark_words(h, h->mem + s->data + i * s->elem_size, s->elem_size);
}

void heap_mark_contents(struct heap *h, uint64_t addr)
{
	const struct pspan *s;
	uint64_t bit;

	if (heap_find(h, addr, &bit, &s))
		scan_object(h, s, (uint32_t)(bit - s->bit0));
}

void heap_set_opaque(struct heap *h, uint64_t addr)
{
	uint64_t bit;

	if (heap_find(h, addr, &bit, NULL))
		set_bit(h->done, bit);
}

static void scan_span(struct heap *h, struct pspan *s)
{
	uint64_t first = s->bit0 / 64, last = (s->bit0 + s->nelems - 1) / 64;

	for (uint64_t k = first; k <= last; k++) {
		uint64_t todo;

		/* marking may add to this word: look again until nothing is left */
		while ((todo = h->mark[k] & ~h->done[k])) {
			h->done[k] |= todo;
			for (; todo; todo &= todo - 1)
				scan_object(h, s, (uint32_t)(k * 64 + (unsigned int)__builtin_ctzll(todo) - s->bit0));
		}
	}
}

void heap_drain(struct heap *h)
{
	while (h->nqueue) {
		struct pspan *s = &h->span[h->queue[--h->nqueue]];

		s->queued = false;
		scan_span(h, s);
	}
}

/* ---- memory outside the heap ---- */

static int cache_grow(struct pagecache *c)
{
	size_t cap = c->cap ? c->cap * 2 : 64;
	uint8_t *grown;

	if (c->n < c->cap)
		return 0;
	grown = realloc(c->mem, cap * OFF_PAGE);
	if (!grown)
		return -ENOMEM;
	c->mem = grown;
	c->cap = cap;
	return 0;
}

/* The page's bytes; NULL when it cannot be read. */
static const uint8_t *off_page(struct heap *h, uint64_t number)
{
	struct pagecache *c = &h->off;
	uint64_t *index = u64map_find(&c->page, number);

	if (!index && !h->sealed) {
		index = u64map_put(&c->page, number, 0, NULL);
		if (!index || cache_grow(c))
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

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Reads pages that are not there yet, neighbours together. */
int heap_prefetch(struct heap *h, uint64_t *number, size_t n)
{
	struct pagecache *c = &h->off;
	size_t at = 0, i;

	qsort(number, n, sizeof(*number), by_number);
	for (i = 0; i < n; i++)		/* those that are new, once */
		if ((!at || number[at - 1] != number[i]) && !u64map_find(&c->page, number[i]))
			number[at++] = number[i];
	while (c->cap < c->n + at) {
		size_t cap = c->cap ? c->cap * 2 : 64;
		uint8_t *grown = realloc(c->mem, cap * OFF_PAGE);

		if (!grown)
			return -ENOMEM;
		c->mem = grown;
		c->cap = cap;
	}
	for (i = 0; i < at; ) {
		size_t run = 1;

		while (i + run < at && run < OFF_RUN && number[i + run] == number[i] + run)
			run++;
		if (!mem_read(h->rt->mem, number[i] * OFF_PAGE, c->mem + c->n * OFF_PAGE, run * OFF_PAGE))
			for (size_t k = 0; k < run; k++)
				u64map_put(&c->page, number[i] + k, ++c->n, NULL);
		i += run;	/* what failed is tried again page by page when it is needed */
	}
	return 0;
}

void heap_forget_pages(struct heap *h)
{
	u64map_clear(&h->off.page);
	h->off.n = 0;
}
