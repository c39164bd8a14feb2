/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bounded, little-endian cursor over bytes nobody vouches for.
 *
 * A read past the end returns 0, moves nothing and sets `bad`, which stays
 * set: a parser reads a whole record and checks once.  Every foreign byte
 * (ELF, pclntab, target memory, /proc) is read through this.
 */
#ifndef GOSPECT_BASE_CURSOR_H
#define GOSPECT_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
	const uint8_t *data; /* borrowed from the caller for the cursor's life */
	size_t size;         /* bytes in data */
	size_t pos;          /* next byte, always <= size */
	bool bad;            /* something was read that is not there */
};

void cursor_init(struct cursor *c, const void *data, size_t size);
/* Moves to an absolute position; beyond the end sets bad. */
void cursor_seek(struct cursor *c, size_t pos);
void cursor_skip(struct cursor *c, size_t n);
size_t cursor_left(const struct cursor *c);

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
/* Go's varint, at most 32 bits (5 bytes); longer sets bad. */
uint32_t cursor_uvarint32(struct cursor *c);
/* Go's varint, at most 64 bits (10 bytes); longer sets bad. */
uint64_t cursor_uvarint64(struct cursor *c);
/* n bytes in place (borrowed from data), or NULL with bad set. */
const uint8_t *cursor_bytes(struct cursor *c, size_t n);

/* One little-endian word at p, unaligned; the caller knows that it is there.  One instruction each. */
static inline uint16_t load_u16(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t load_u32(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t load_u64(const void *p)
{
	const uint8_t *b = p;

	return (uint64_t)b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24 |
	       (uint64_t)b[4] << 32 | (uint64_t)b[5] << 40 | (uint64_t)b[6] << 48 |
	       (uint64_t)b[7] << 56;
}

#endif
