/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contents of the spans that hold pointers, and which of their objects are
 * in use (the allocation bits of runtime/mheap.go).
 */
#include "prove/heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/parallel.h"
#include "base/vec.h"
#include "prove/heap_priv.h"

#define HEAP_PIECE      (4u << 20)
#define PIECES_AT_ONCE  32         /* 128 MiB: 30 ms or so, of one thread */
#define ROOM            (4u << 20) /* of the copy: for what is allocated from one reading to the next */
#define TOUCH_TOGETHER  (64 << 20)
#define TOUCH_AT_ONCE   (128u << 20)
#define RETRY_BYTES     (64u << 10) /* a piece that failed is read again in such parts */
#define NEW_SPAN_ROUNDS 2           /* of a process that runs: for what comes into use meanwhile */

static bool late(const struct heap *h)
{
	return h->deadline_ns && clock_mono_ns() > h->deadline_ns;
}

/* ---- contents ---- */

static int add_piece(struct heap *h, uint64_t addr, uint64_t len)
{
	while (len) {
		struct mem_piece *last = h->npiece ? &h->piece[h->npiece - 1] : NULL;
		uint64_t n = len < HEAP_PIECE ? len : HEAP_PIECE;

		if (last && last->addr + last->len == addr && last->len + n <= HEAP_PIECE) {
			last->len += (uint32_t)n;
		} else {
			if (array_room(&h->piece, h->npiece, &h->piece_cap, sizeof(*h->piece)))
				return -ENOMEM;
			h->piece[h->npiece++] =
				(struct mem_piece){ .addr = addr, .len = (uint32_t)n };
		}
		addr += n;
		len -= n;
	}
	return 0;
}

/* Places for the contents, in the order of addresses, so that neighbours are read together. */
static int plan_contents(struct heap *h)
{
	uint64_t *order = malloc((h->nblock + 1) * sizeof(*order));
	int err = order ? 0 : -ENOMEM;

	if (order) {
		memcpy(order, h->block_addr, h->nblock * sizeof(*order));
		qsort(order, h->nblock, sizeof(*order), by_u64);
	}
	for (size_t b = 0; b < h->nblock && !err; b++) {
		const uint32_t *table =
			h->pages +
			(size_t)(h->block[order[b] >> HEAP_BLOCK_SHIFT] - 1) * HEAP_BLOCK_PAGES;

		for (uint64_t p = 0; p < HEAP_BLOCK_PAGES && !err; p++) {
			uint64_t addr = order[b] + (p << HEAP_PAGE_SHIFT), size;
			struct pspan *s = &h->span[table[p]];

			if (!table[p] || s->start != addr || s->noscan)
				continue;
			size = (uint64_t)s->npages << HEAP_PAGE_SHIFT;
			s->data = h->mem_len;
			h->mem_len += size;
			err = add_piece(h, addr, size);
		}
	}
	free(order);
	return err;
}

struct range {
	uint8_t *from, *to;
};

static void touch(void *arg)
{
	const struct range *r = arg;

	for (uint8_t *p = r->from; p < r->to; p += OFF_PAGE)
		*(volatile uint8_t *)p = 0;
}

static void touch_part(const struct heap *h, uint8_t *from, uint8_t *to)
{
	struct range part[PARALLEL_MAX];
	int n = to - from < TOUCH_TOGETHER || h->threads < 1 ? 1 : h->threads;
	uint64_t each = (uint64_t)(to - from) / (uint64_t)n / OFF_PAGE * OFF_PAGE;

	for (int i = 0; i < n; i++)
		part[i] = (struct range){ from + (uint64_t)i * each,
					  i == n - 1 ? to : from + (uint64_t)(i + 1) * each };
	parallel_run(touch, part, sizeof(part[0]), n);
}

/*
 * On a virtual machine a page that is used for the first time can cost more
 * than all the rest of a proof: seconds for a GiB.  All CPUs share it.
 */
int heap_touch(struct heap *h, uint8_t *from, uint8_t *to)
{
	uint64_t all = (uint64_t)(to - from);

	for (uint64_t at = 0; at < all; at += TOUCH_AT_ONCE) {
		if (!heap_go_on(h, "making room", at, all))
			return -EINTR;
		touch_part(h, from + at, all - at > TOUCH_AT_ONCE ? from + at + TOUCH_AT_ONCE : to);
	}
	return 0;
}

/*
 * Room for `want` bytes of contents, in memory that is there.  A frozen reading
 * that needs more than the ones before meets fresh pages for the difference only.
 */
static int make_mem(struct heap *h, uint64_t want)
{
	uint64_t cap = (want + want / 64 + ROOM) & ~4095ull, began = clock_mono_ns();
	uint8_t *from;
	void *grown;
	int err = 0;

	if (want <= h->mem_cap)
		return 0;
	if (h->mem)
		grown = mremap(h->mem, h->mem_cap, cap, MREMAP_MAYMOVE);
	else
		grown = mmap(NULL, cap, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (grown == MAP_FAILED)
		return -ENOMEM;
	h->mem = grown;
	madvise(h->mem, cap, MADV_HUGEPAGE);
	from = h->mem + h->mem_cap;
	h->mem_cap = cap;
	if (!h->frozen)
		err = heap_touch(h, from, h->mem + cap);
	h->fresh_ns += clock_mono_ns() - began;
	return err;
}

static void lose_range(struct heap *h, uint64_t addr, uint64_t len)
{
	h->unknown_bytes += len;
	for (uint64_t a = addr; a < addr + len; a += 1u << HEAP_PAGE_SHIFT) {
		uint32_t table = h->block[a >> HEAP_BLOCK_SHIFT];

		h->span[h->pages[(size_t)(table - 1) * HEAP_BLOCK_PAGES +
				 (a >> HEAP_PAGE_SHIFT) % HEAP_BLOCK_PAGES]]
			.unreadable = true;
	}
}

/* A piece that was not read whole: in parts, so that only what is missing is unknown. */
static int read_in_parts(struct heap *h, const struct mem_piece *p)
{
	for (uint32_t at = 0; at < p->len; at += RETRY_BYTES) {
		uint32_t n = p->len - at < RETRY_BYTES ? p->len - at : RETRY_BYTES;
		int err = mem_read(h->rt->mem, p->addr + at, (uint8_t *)p->dst + at, n);

		if (err == -ESRCH || err == -EPERM)
			return err;
		if (err)
			lose_range(h, p->addr + at, n);
	}
	return 0;
}

static int read_pieces(struct heap *h, uint64_t at)
{
	int err = 0;

	for (size_t i = 0; i < h->npiece && !err; i++) {
		h->piece[i].dst = h->mem + at;
		at += h->piece[i].len;
	}
	for (size_t i = 0; i < h->npiece && !err; i += PIECES_AT_ONCE) {
		size_t n = h->npiece - i < PIECES_AT_ONCE ? h->npiece - i : PIECES_AT_ONCE;
		int failed = late(h) ? -ETIME : 0;

		if (!failed && !heap_go_on(h, "copying memory with pointers", i, h->npiece))
			failed = -EINTR;
		if (!failed)
			failed = mem_read_many_by(h->rt->mem, h->piece + i, n, h->threads);
		if (failed < 0)
			err = failed;
		for (size_t k = i; failed > 0 && k < i + n && !err; k++)
			if (h->piece[k].status)
				err = read_in_parts(h, &h->piece[k]);
	}
	return err;
}

uint64_t heap_bytes_needed(const struct heap *h)
{
	return h->mem_len + h->nbits / 64 * 8 * 2 + h->nspan * sizeof(*h->span) +
	       h->nmspan * sizeof(*h->mspan) + h->nblock * HEAP_BLOCK_PAGES * sizeof(*h->pages);
}

static int read_contents(struct heap *h, uint64_t max_bytes)
{
	int err = plan_contents(h);

	if (!err && heap_bytes_needed(h) > max_bytes)
		err = -ENOSPC;
	if (!err)
		err = make_mem(h, h->mem_len);
	return err ? err : read_pieces(h, 0);
}

/* The process went on meanwhile: spans that came into use since. */
static int read_new_spans(struct heap *h, uint64_t max_bytes)
{
	size_t first = h->nspan;
	uint64_t at = h->mem_len;
	int err = heap_take_spans(h, true);

	h->npiece = 0;
	for (size_t i = first; i < h->nspan && !err; i++) {
		struct pspan *s = &h->span[i];
		uint64_t size = (uint64_t)s->npages << HEAP_PAGE_SHIFT;

		if (s->noscan)
			continue;
		s->data = h->mem_len;
		h->mem_len += size;
		err = add_piece(h, s->start, size);
	}
	if (!err && heap_bytes_needed(h) > max_bytes)
		err = -ENOSPC;
	if (!err)
		err = make_mem(h, h->mem_len);
	return err ? err : read_pieces(h, at);
}

/* ---- objects in use, and the bitmaps ---- */

static int read_alloc_bits(struct heap *h)
{
	uint64_t *number;
	size_t n = 0;
	int err;

	if (!h->trust_alloc_bits)
		return 0;
	number = malloc((2 * h->nspan + 1) * sizeof(*number));
	if (!number)
		return -ENOMEM;
	for (size_t i = 1; i < h->nspan; i++) {
		const struct pspan *s = &h->span[i];

		if (s->free_index >= s->nelems || !s->alloc_bits)
			continue;
		for (uint64_t a = s->alloc_bits / OFF_PAGE;
		     a <= (s->alloc_bits + (s->nelems - 1) / 8) / OFF_PAGE && n < 2 * h->nspan; a++)
			if (!n || number[n - 1] != a)
				number[n++] = a;
	}
	err = heap_prefetch(h, number, n);
	free(number);
	return err;
}

static int make_bitmaps(struct heap *h)
{
	uint64_t words = h->nbits / 64 + 1, cap = words + words / 8 + 1024;

	if (h->queue_cap < h->nspan) {
		free(h->queue);
		h->queue_cap = h->nspan + h->nspan / 8 + 64;
		h->queue = calloc(h->queue_cap, sizeof(*h->queue));
	}
	if (h->bits_cap < words) {
		free(h->mark);
		free(h->done);
		h->mark = malloc(cap * 8);
		h->done = malloc(cap * 8);
		h->bits_cap = cap;
	}
	if (!h->queue || !h->mark || !h->done) {
		h->queue_cap = h->bits_cap = 0;
		return -ENOMEM;
	}
	return 0;
}

/* Objects of a span that are free, 64 at a time; what is not known is in use. */
static void mark_free(struct heap *h, const struct pspan *s)
{
	uint8_t bits[8];

	for (uint32_t i = s->free_index / 64 * 64; i < s->nelems; i += 64) {
		uint32_t bytes = s->nelems - i >= 64 ? 8 : (s->nelems - i + 7) / 8;
		uint64_t used = 0;

		memset(bits, 0, sizeof(bits));
		if (heap_copy(h, s->alloc_bits + i / 8, bits, bytes))
			return;
		used = heap_word(bits);
		if (s->free_index > i)
			used |= s->free_index - i >= 64 ? ~0ull : (1ull << (s->free_index - i)) - 1;
		h->mark[(s->bit0 + i) / 64] |= ~used;
		h->done[(s->bit0 + i) / 64] |= ~used;
	}
}

void heap_clear_marks(struct heap *h)
{
	size_t bytes = (size_t)(h->nbits / 64 + 1) * 8;

	memset(h->mark, 0, bytes);
	memset(h->done, 0, bytes);
	h->nqueue = 0;
	h->reached_unknown = false;
	for (size_t i = 1; i < h->nspan; i++) {
		h->span[i].queued = h->span[i].watched = false;
		if (h->trust_alloc_bits && h->span[i].free_index < h->span[i].nelems)
			mark_free(h, &h->span[i]);
	}
}

int heap_read(struct heap *h, uint64_t max_bytes)
{
	uint64_t began;
	int err;

	h->sealed = false;
	h->why[0] = '\0';
	h->unknown_bytes = h->fresh_ns = 0;
	heap_forget_pages(h);
	err = heap_take_spans(h, false);
	if (!err)
		err = read_contents(h, max_bytes);
	began = clock_mono_ns();
	for (int i = 0; i < NEW_SPAN_ROUNDS && !err && !h->frozen; i++)
		err = read_new_spans(h, max_bytes);
	h->fresh_ns += clock_mono_ns() - began; /* a frozen reading has none of that */
	if (!err)
		err = read_alloc_bits(h);
	if (!err)
		err = make_bitmaps(h);
	return err;
}
