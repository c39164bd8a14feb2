/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The heap of a process, copied: which spans there are, the contents of those
 * that hold pointers, and a mark bit for every object.
 *
 * Conservative: any word that points into an object in use keeps it.  Knows
 * nothing of goroutines.
 */
#ifndef GOSPECT_PROVE_HEAP_H
#define GOSPECT_PROVE_HEAP_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/addr.h"
#include "base/map.h"
#include "gort/goruntime.h"

#define HEAP_PAGE_SHIFT  13 /* runtime/sizeclasses.go, _PageSize */
#define HEAP_BLOCK_SHIFT 26 /* of the page table here; happens to be an arena of linux/amd64 */
#define HEAP_BLOCK_PAGES (1u << (HEAP_BLOCK_SHIFT - HEAP_PAGE_SHIFT))
#define HEAP_ADDR_BITS   ADDR_BITS
#define HEAP_NO_DATA     UINT64_MAX

/* load_u64() without the call: this is the innermost of everything here. */
static inline uint64_t heap_word(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* 64 bytes: there are 131,072 of them in a GiB of small objects. */
struct pspan {
	uint64_t start; /* run-time address */
	uint64_t data;  /* in heap.mem; HEAP_NO_DATA: not copied (no pointers) */
	uint64_t bit0;  /* of the first object in the bitmaps */
	uint64_t elem_size, specials;
	uint64_t alloc_bits : 48; /* address; 0: not known */
	uint64_t noscan : 1, unreadable : 1;
	uint64_t queued : 1;  /* in heap.queue */
	uint64_t watched : 1; /* objects of it are, heap_watch() */
	uint32_t npages, nelems, free_index;
	uint32_t inverse; /* ceil(2^32 / elem_size); 0: it is one object */
};

/* Memory outside the heap that is read piece by piece: whole pages, kept. */
struct pagecache {
	struct u64map page; /* number -> index + 1 in mem, 0: not readable */
	uint8_t *mem;       /* owned */
	size_t n, cap;      /* pages */
};

struct heap {
	struct goruntime *rt; /* borrowed */
	/* runtime.mspan structures: addresses as allspans has them, sorted */
	uint64_t *mspan;
	size_t nmspan, mspan_cap, list_seen;
	struct mem_piece *mspan_piece; /* one batch */
	uint8_t *mspan_raw;
	/* spans in use */
	struct pspan *span; /* [0] is not used */
	size_t nspan, span_cap;
	uint32_t *block;      /* address >> HEAP_BLOCK_SHIFT -> table + 1 */
	uint32_t *pages;      /* tables of HEAP_BLOCK_PAGES: index of span, 0 none */
	uint64_t *block_addr; /* of each table */
	size_t nblock, pages_cap, block_cap;
	/* contents */
	uint8_t *mem;
	uint64_t mem_len, mem_cap;
	struct mem_piece *piece;
	size_t npiece, piece_cap;
	struct pagecache off; /* allocation bits, specials, queues */
	/* bitmaps over all objects; bits of a span start at a multiple of 64 */
	uint64_t *mark, *done;
	uint64_t nbits, bits_cap;
	uint64_t lo, hi; /* all spans are in between */
	bool displaced; /* a new span has pages of one that was read before: only the table tells whose */
	/* spans with objects that are marked and not yet scanned */
	uint32_t *queue;
	size_t nqueue, queue_cap;
	uint64_t fresh_ns;     /* of the last reading: spent on memory of our own that was new */
	int threads;           /* that copy; 0 is 1 */
	uint64_t deadline_ns;  /* monotonic; heap_read() ends with -ETIME behind it; 0: none */
	bool sealed;           /* the copy is complete: nothing more is read */
	bool frozen;           /* the process stands still: what contradicts is an error */
	bool trust_alloc_bits; /* objects that are free keep nothing */
	uint64_t unknown_bytes;
	bool reached_unknown; /* an object whose contents could not be read is reachable */
	/* Asked often, also with what is being done: false ends it with -EINTR.  May be NULL. */
	bool (*go_on)(void *arg, const char *doing, double share);
	void *go_on_arg;
	bool ended; /* it said so: what was being marked is incomplete */
	/* An object of a watched span was marked: maybe one that is watched. */
	void (*on_watched)(void *arg, uint64_t bit);
	void *arg;
	char why[160]; /* what did not fit, "" */
};

int heap_init(struct heap *h, struct goruntime *rt);
void heap_deinit(struct heap *h);

/*
 * Reads span table and contents anew; marks are cleared.  -EBADMSG: the
 * runtime's structures do not fit (h->why says which); -ENOSPC: more than
 * max_bytes is needed; -ETIME, -EFAULT, -ESRCH, -ENOMEM, -EINTR.
 */
int heap_read(struct heap *h, uint64_t max_bytes);
/* Of our own memory, for what was read and the bitmaps. */
uint64_t heap_bytes_needed(const struct heap *h);
/* The span table alone, without contents or bitmaps: enough for heap_object(). */
int heap_read_spans(struct heap *h);
/* Gives the memory of the contents back; nothing can be marked then. */
void heap_drop_contents(struct heap *h);
/* Memory that is there, not just promised: [from, to) of a private mapping.  0 or -EINTR. */
int heap_touch(struct heap *h, uint8_t *from, uint8_t *to);
/* Clears the bitmaps; objects that are free count as marked and done. */
void heap_clear_marks(struct heap *h);

/* Object that holds addr: its bit, and span; false: no object there. */
bool heap_find(const struct heap *h, uint64_t addr, uint64_t *bit, const struct pspan **span);
/* The same as addresses: where the object begins and its size, and whether it has no pointers. */
bool heap_object(const struct heap *h, uint64_t addr, uint64_t *base, uint64_t *size, bool *noscan);
/* Copied bytes [addr, addr+len), inside one span; NULL when not copied. */
const uint8_t *heap_bytes(const struct heap *h, uint64_t addr, uint64_t len);
/* The same of memory outside the heap, read when needed; NULL when not readable. */
int heap_copy(struct heap *h, uint64_t addr, void *dst, size_t len);

static inline bool heap_go_on(struct heap *h, const char *doing, uint64_t done, uint64_t of)
{
	if (!h->ended && h->go_on)
		h->ended =
			!h->go_on(h->go_on_arg, doing, done < of ? (double)done / (double)of : 1);
	return !h->ended;
}

void heap_mark_word(struct heap *h, uint64_t word);
void heap_mark_words(struct heap *h, const uint8_t *words, size_t bytes);
/* Contents of the object at addr, as roots (the object itself is not marked). */
void heap_mark_contents(struct heap *h, uint64_t addr);
/* Never to be looked into: what it leads to does not count. */
void heap_set_opaque(struct heap *h, uint64_t addr);
/* Asks for a call, once, when the object at addr is marked; it has to be one (heap_find()). */
void heap_watch(struct heap *h, uint64_t addr);
/* Marks everything that is reachable from what was marked; less when it has to end. */
void heap_drain(struct heap *h);

static inline bool heap_is_marked(const struct heap *h, uint64_t bit)
{
	return h->mark[bit / 64] >> bit % 64 & 1;
}

#endif
