/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pieces of memory gathered first and then read in few system calls.  It is
 * pieces that cost, not bytes: neighbours are read as one, and what is asked
 * for several times is read once.
 */
#ifndef GOSPECT_PROC_READBATCH_H
#define GOSPECT_PROC_READBATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proc/mem.h"

#define READBATCH_MAX_BYTES (64u << 20)  /* of one batch; beyond: the piece is as if not readable */
#define READBATCH_MAX_PIECE (256u << 10) /* a longer one: the same */
#define READBATCH_NONE      UINT32_MAX

struct readbatch {
	struct mem_piece *piece; /* owned */
	size_t n, cap;
	uint8_t *bytes; /* owned */
	size_t used, bytes_cap;
	struct readbatch_work *work; /* owned: of readbatch_read() */
	uint32_t *asked;             /* owned: of readbatch_stage(), the pieces of each item */
	size_t asked_cap;
};

void readbatch_deinit(struct readbatch *b); /* a zeroed one is ready for use */
/* Forgets the pieces. */
void readbatch_reset(struct readbatch *b);
/* The piece's number, or READBATCH_NONE: addr is no pointer, or there is no room. */
uint32_t readbatch_add(struct readbatch *b, uint64_t addr, uint32_t len);
/* In any order.  0, -ENOMEM, -ESRCH, -EPERM.  A piece that cannot be read fails no other. */
int readbatch_read(struct readbatch *b, struct memreader *mem);
/* In the order of the pieces, each as it was added: a later one checks an earlier one. */
int readbatch_read_in_order(struct readbatch *b, struct memreader *mem);
/* The bytes of a piece, valid until the next reset; NULL when it was not read. */
const uint8_t *readbatch_get(const struct readbatch *b, uint32_t piece);

/* ---- stages ---- */

#define READSTAGE_PIECES 4 /* of one item */

/* What to read; len 0: nothing. */
struct readpiece {
	uint64_t addr;
	uint32_t len;
};

/*
 * Something of each of n items, which the stage before has named, read at once.
 * ask() fills up to READSTAGE_PIECES pieces, which are zeroed; an item that asks
 * for nothing is not taken.  take() gets the bytes of each piece, good until the
 * next stage; NULL: not asked for, or not readable.
 */
struct readstage {
	void *owner; /* passed to both */
	void *item;  /* array of n, of size bytes each */
	size_t n, size;
	void (*ask)(void *owner, void *item, struct readpiece *piece);
	void (*take)(void *owner, void *item, const uint8_t *const *bytes);
	bool in_order; /* readbatch_read_in_order() */
};

/* 0, -ENOMEM, -ESRCH, -EPERM: then nothing is taken.  b->n is 0 when nothing could be asked for. */
int readbatch_stage(struct readbatch *b, struct memreader *mem, const struct readstage *s);

#endif
