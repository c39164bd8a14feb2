/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/cursor.h"

void cursor_init(struct cursor *c, const void *data, size_t size)
{
	c->data = data;
	c->size = data ? size : 0;
	c->pos = 0;
	c->bad = false;
}

void cursor_seek(struct cursor *c, size_t pos)
{
	if (pos > c->size) {
		c->bad = true;
		return;
	}
	c->pos = pos;
}

size_t cursor_left(const struct cursor *c)
{
	return c->size - c->pos;
}

const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
	const uint8_t *p;

	if (n > cursor_left(c)) {
		c->bad = true;
		return NULL;
	}
	p = c->data + c->pos;
	c->pos += n;
	return p;
}

void cursor_skip(struct cursor *c, size_t n)
{
	(void)cursor_bytes(c, n);
}

uint8_t cursor_u8(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 1);

	return p ? *p : 0;
}

uint16_t cursor_u16(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 2);

	return p ? load_u16(p) : 0;
}

uint32_t cursor_u32(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 4);

	return p ? load_u32(p) : 0;
}

uint64_t cursor_u64(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 8);

	return p ? load_u64(p) : 0;
}

/* At most `max_bits` of value; a byte that would shift beyond them is bad. */
static uint64_t uvarint(struct cursor *c, unsigned int max_bits)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; shift < max_bits; shift += 7) {
		uint8_t b = cursor_u8(c);
		unsigned int left = max_bits - shift;

		if (c->bad)
			return 0;
		if (left < 7 && (b & 0x7f) >> left)
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	c->bad = true;
	return 0;
}

uint32_t cursor_uvarint32(struct cursor *c)
{
	return (uint32_t)uvarint(c, 32);
}

uint64_t cursor_uvarint64(struct cursor *c)
{
	return uvarint(c, 64);
}
