/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/otelctx.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/vec.h"
#include "proc/mem.h"
#include "proc/procfs.h"

#define HEADER_BYTES 32
#define VERSION      2
#define TRIES        3  /* of one that is written meanwhile */
#define MAPPINGS_MAX 16 /* of that name */

/* --- protobuf -------------------------------------------------------------------- */

enum wire { WIRE_VARINT = 0, WIRE_8 = 1, WIRE_BYTES = 2, WIRE_4 = 5 };

struct field {
	uint64_t number;
	enum wire wire;
	uint64_t value;      /* of a number */
	const uint8_t *data; /* of bytes */
	size_t n;
};

/* The next one of a message; false: there is none, or the message is damaged. */
static bool next_field(struct cursor *c, struct field *f)
{
	uint64_t tag, n;

	if (c->bad || !cursor_left(c))
		return false;
	tag = cursor_uvarint64(c);
	*f = (struct field){ .number = tag >> 3, .wire = (enum wire)(tag & 7) };
	switch (f->wire) {
	case WIRE_VARINT:
		f->value = cursor_uvarint64(c);
		break;
	case WIRE_8:
		f->value = cursor_u64(c);
		break;
	case WIRE_4:
		f->value = cursor_u32(c);
		break;
	case WIRE_BYTES:
		n = cursor_uvarint64(c);
		f->n = n > cursor_left(c) ? SIZE_MAX : (size_t)n;
		f->data = cursor_bytes(c, f->n);
		break;
	default: /* a group, which nobody writes any more */
		c->bad = true;
	}
	c->bad = c->bad || !f->number;
	return !c->bad;
}

/* False: too long, or no text. */
static bool text_of(const struct field *f, char out[OTELCTX_MAX_VALUE])
{
	if (f->n >= OTELCTX_MAX_VALUE || (f->n && memchr(f->data, 0, f->n)))
		return false;
	if (f->n)
		memcpy(out, f->data, f->n);
	out[f->n] = '\0';
	return true;
}

/* AnyValue: text, bool, integer or real number; false: another one. */
static bool value_of(struct cursor *c, char out[OTELCTX_MAX_VALUE])
{
	bool known = false;
	struct field f;
	double real;

	while (next_field(c, &f)) {
		if (f.number == 1 && f.wire == WIRE_BYTES) {
			known = text_of(&f, out);
		} else if (f.number == 2 && f.wire == WIRE_VARINT) {
			snprintf(out, OTELCTX_MAX_VALUE, "%s", f.value ? "true" : "false");
			known = true;
		} else if (f.number == 3 && f.wire == WIRE_VARINT) {
			snprintf(out, OTELCTX_MAX_VALUE, "%" PRId64, (int64_t)f.value);
			known = true;
		} else if (f.number == 4 && f.wire == WIRE_8) {
			memcpy(&real, &f.value, sizeof(real));
			snprintf(out, OTELCTX_MAX_VALUE, "%.17g", real);
			known = true;
		} else if (f.number >= 5 && f.number <= 7) {
			known = false; /* a list, a map, bytes */
		}
	}
	return known;
}

/* KeyValue: 0, -EBADMSG. */
static int attribute(struct cursor *c, otelctx_take *take, void *arg)
{
	char key[OTELCTX_MAX_VALUE] = "", value[OTELCTX_MAX_VALUE] = "";
	bool has_key = false, has_value = false;
	struct cursor inner;
	struct field f;

	while (next_field(c, &f)) {
		if (f.wire != WIRE_BYTES)
			continue;
		if (f.number == 1) {
			has_key = text_of(&f, key) && key[0];
		} else if (f.number == 2) {
			cursor_init(&inner, f.data, f.n);
			has_value = value_of(&inner, value);
			if (inner.bad)
				return -EBADMSG;
		}
	}
	if (c->bad)
		return -EBADMSG;
	if (take && has_key && has_value)
		take(arg, key, value);
	return 0;
}

/* An attribute has its value as bytes there, a resource has a number. */
static bool is_attribute(const struct field *whole)
{
	struct cursor c;
	struct field f;

	cursor_init(&c, whole->data, whole->n);
	while (next_field(&c, &f))
		if (f.number == 2)
			return f.wire == WIRE_BYTES;
	return false;
}

static int resource(const struct field *whole, otelctx_take *take, void *arg)
{
	struct cursor c, inner;
	struct field f;

	cursor_init(&c, whole->data, whole->n);
	while (next_field(&c, &f)) {
		if (f.number != 1 || f.wire != WIRE_BYTES)
			continue;
		cursor_init(&inner, f.data, f.n);
		if (attribute(&inner, take, arg))
			return -EBADMSG;
	}
	return c.bad ? -EBADMSG : 0;
}

/* ProcessContext, whose first member is the resource; the first writers of version 2 have the
 * resource itself there, whose first members are attributes. */
static int context(const void *payload, size_t n, otelctx_take *take, void *arg)
{
	struct cursor c, inner;
	struct field f;
	int r = 0;

	cursor_init(&c, payload, n);
	while (!r && next_field(&c, &f)) {
		if (f.number != 1 || f.wire != WIRE_BYTES)
			continue;
		if (is_attribute(&f)) {
			cursor_init(&inner, f.data, f.n);
			r = attribute(&inner, take, arg);
		} else {
			r = resource(&f, take, arg);
		}
	}
	return c.bad ? -EBADMSG : r;
}

int otelctx_parse(const void *payload, size_t n, otelctx_take *take, void *arg)
{
	int r = context(payload, n, NULL, NULL);

	return r ? r : context(payload, n, take, arg);
}

/* --- the mapping ----------------------------------------------------------------- */

struct header {
	uint64_t published, payload;
	uint32_t n;
};

/* 0; -ENOENT: there is none. */
static int read_header(struct memreader *m, uint64_t addr, struct header *h)
{
	uint8_t bytes[HEADER_BYTES];
	const uint8_t *signature;
	struct cursor c;
	uint32_t version;

	if (mem_read(m, addr, bytes, sizeof(bytes)))
		return -ENOENT;
	cursor_init(&c, bytes, sizeof(bytes));
	signature = cursor_bytes(&c, 8);
	version = cursor_u32(&c);
	h->n = cursor_u32(&c);
	h->published = cursor_u64(&c);
	h->payload = cursor_u64(&c);
	return c.bad || memcmp(signature, "OTEL_CTX", 8) || version != VERSION ? -ENOENT : 0;
}

static bool is_named(const struct procfs_mapping *at)
{
	static const char *const name[] = { "[anon_shmem:OTEL_CTX]", "[anon:OTEL_CTX]",
					    "/memfd:OTEL_CTX" };

	for (size_t i = 0; i < ARRAY_SIZE(name); i++)
		if (at->path_len >= strlen(name[i]) && !memcmp(at->path, name[i], strlen(name[i])))
			return true;
	return false;
}

bool otelctx_find(struct otelctx *c, struct memreader *m, const char *maps)
{
	struct procfs_mapping at;
	struct header h;
	int n = 0;

	c->addr = 0;
	while (!c->addr && n < MAPPINGS_MAX && procfs_next_mapping(&maps, &at)) {
		if (!is_named(&at))
			continue;
		n++;
		if (!read_header(m, at.start, &h))
			c->addr = at.start;
	}
	return c->addr != 0;
}

bool otelctx_is_new(struct otelctx *c, struct memreader *m)
{
	struct header h;

	if (!c->addr)
		return false;
	if (read_header(m, c->addr, &h)) {
		c->addr = 0;
		return false;
	}
	return h.published && h.published != c->published;
}

int otelctx_read(struct otelctx *c, struct memreader *m, otelctx_take *take, void *arg)
{
	struct header h, after;
	int r = -EAGAIN;
	char *payload;

	for (int i = 0; i < TRIES && r == -EAGAIN; i++) {
		if (!c->addr || read_header(m, c->addr, &h))
			return -ENOENT;
		if (!h.published)
			continue;
		if (!h.n || h.n > OTELCTX_MAX_BYTES) {
			c->published = h.published;
			return -EBADMSG;
		}
		payload = malloc(h.n);
		if (!payload)
			return -ENOMEM;
		r = mem_read(m, h.payload, payload, h.n) ? -EBADMSG : 0;
		if (read_header(m, c->addr, &after) || after.published != h.published)
			r = -EAGAIN;
		else
			c->published = h.published; /* a damaged one is not read again */
		if (!r)
			r = otelctx_parse(payload, h.n, take, arg);
		free(payload);
	}
	return r;
}
