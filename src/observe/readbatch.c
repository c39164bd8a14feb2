/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/readbatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "observe/stacktable.h"

#define LEAST_ADDR 4096
#define ADDR_END (1ull << 47)	/* user space */

void readbatch_deinit(struct readbatch *b)
{
	free(b->piece);
	free(b->at);
	free(b->bytes);
	memset(b, 0, sizeof(*b));
}

void readbatch_reset(struct readbatch *b)
{
	b->n = b->used = 0;
}

uint32_t readbatch_add(struct readbatch *b, uint64_t addr, uint32_t len)
{
	if (addr < LEAST_ADDR || addr >= ADDR_END - len || !len || b->used + len > READBATCH_MAX_BYTES ||
	    b->n >= READBATCH_NONE - 1)
		return READBATCH_NONE;
	if (array_room(&b->piece, b->n, &b->cap, sizeof(*b->piece)) ||
	    array_room(&b->at, b->n, &b->at_cap, sizeof(*b->at)))
		return READBATCH_NONE;
	b->piece[b->n] = (struct mem_piece){ .addr = addr, .len = len };
	b->at[b->n] = b->used;
	b->used += (len + 7u) & ~7u;
	return (uint32_t)b->n++;
}

int readbatch_read(struct readbatch *b, struct memreader *mem)
{
	int err;

	if (!b->n)
		return 0;
	if (b->used > b->bytes_cap) {
		free(b->bytes);
		b->bytes_cap = b->used * 2;
		b->bytes = malloc(b->bytes_cap);
		if (!b->bytes) {
			b->bytes_cap = 0;
			return -ENOMEM;
		}
	}
	for (size_t i = 0; i < b->n; i++) {
		b->piece[i].dst = b->bytes + b->at[i];
		b->piece[i].status = -EFAULT;
	}
	err = mem_read_many(mem, b->piece, b->n);
	return err < 0 ? err : 0;
}

const uint8_t *readbatch_get(const struct readbatch *b, uint32_t piece)
{
	if (piece >= b->n || b->piece[piece].status)
		return NULL;
	return b->piece[piece].dst;
}
