/* SPDX-License-Identifier: BSD-2-Clause */
#include "lint/itabs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/vec.h"
#include "gobin/gobin.h"

enum {
	ITAB_INTER = 0,
	ITAB_TYPE = 8,
	ITAB_BYTES = 24, /* and 8 for each method */
	TYPE_TFLAG = 20,
	TYPE_KIND = 23,
	TYPE_STR = 40, /* an offset from moduledata.types */
	TYPE_BYTES = 48,
	IFACE_NMETHODS = 64,
	TFLAG_EXTRA_STAR = 2,
	KIND_MASK = 31,
	KIND_INTERFACE = 20,
	KIND_POINTER = 22,
	MAX_ITABS = 1 << 20,
	MAX_METHODS = 4096,
	MAX_NAME = 512
};

struct search {
	struct itabs *t;
	struct gobin *gb;
	uint64_t error, other; /* the interface, and the one met last that is not it */
};

static bool word(struct search *s, uint64_t addr, uint64_t *out)
{
	uint8_t raw[8];

	if (image_read_addr(&s->gb->image, addr, raw, sizeof(raw)))
		return false;
	*out = load_u64(raw);
	return true;
}

bool itabs_type(struct gobin *gb, uint64_t type, char *name, size_t size, int *kind)
{
	uint8_t raw[TYPE_BYTES], head[1 + 10];
	size_t len = 0, at = 1;
	uint64_t where;

	if (image_read_addr(&gb->image, type, raw, sizeof(raw)))
		return false;
	*kind = raw[TYPE_KIND] & KIND_MASK;
	where = gb->mod.types + load_u32(raw + TYPE_STR);
	if (where >= gb->mod.etypes || image_read_addr(&gb->image, where, head, 4))
		return false;
	for (int shift = 0; at < 4; shift += 7) { /* a varint, of three bytes at most */
		len |= (size_t)(head[at] & 0x7f) << shift;
		if (!(head[at++] & 0x80))
			break;
	}
	if (!len || len >= size || image_read_addr(&gb->image, where + at, name, len))
		return false;
	name[len] = '\0';
	if (raw[TYPE_TFLAG] & TFLAG_EXTRA_STAR)
		memmove(name, name + 1, len);
	return true;
}

static bool is_error(struct search *s, uint64_t inter)
{
	char name[MAX_NAME];
	int kind;

	if (s->error)
		return inter == s->error;
	if (inter == s->other)
		return false;
	if (itabs_type(s->gb, inter, name, sizeof(name), &kind) && kind == KIND_INTERFACE &&
	    !strcmp(name, "error")) {
		s->error = inter;
		return true;
	}
	s->other = inter;
	return false;
}

static int take(struct search *s, uint64_t addr)
{
	struct itabs *t = s->t;
	char name[MAX_NAME];
	uint64_t inter, type;
	int kind, err;

	t->all++;
	if (!word(s, addr + ITAB_INTER, &inter) || !inter || !word(s, addr + ITAB_TYPE, &type) ||
	    !is_error(s, inter) || !itabs_type(s->gb, type, name, sizeof(name), &kind) ||
	    kind != KIND_POINTER)
		return 0;
	err = array_room(&t->itab, t->n, &t->cap, sizeof(*t->itab));
	if (err)
		return err;
	t->itab[t->n] = (struct itab){ addr, strdup(name) };
	if (!t->itab[t->n].type || !u64map_put(&t->by_addr, addr, t->n, NULL)) {
		free(t->itab[t->n].type);
		return -ENOMEM;
	}
	t->first = t->n && t->first < addr ? t->first : addr;
	t->last = t->last > addr ? t->last : addr;
	t->n++;
	return 0;
}

/* Up to 1.26: a slice of pointers. */
static int each_link(struct search *s)
{
	uint64_t first, n, itab;
	int err = 0;

	if (!word(s, s->gb->mod.itablinks, &first) || !word(s, s->gb->mod.itablinks + 8, &n) ||
	    n > MAX_ITABS)
		return 0;
	for (uint64_t i = 0; i < n && !err; i++)
		if (word(s, first + 8 * i, &itab))
			err = take(s, itab);
	return err;
}

/* Since 1.27: one behind the other, each as large as its interface has methods. */
static int each_in_piece(struct search *s)
{
	uint64_t at = s->gb->mod.itabs, inter, n;
	int err = 0;

	for (int i = 0; i < MAX_ITABS && at < s->gb->mod.itabs_end && !err; i++) {
		if (!word(s, at, &inter) || !word(s, inter + IFACE_NMETHODS, &n) || !n ||
		    n > MAX_METHODS)
			break;
		err = take(s, at);
		at += ITAB_BYTES + 8 * n;
	}
	return err;
}

int itabs_find(struct itabs *t, struct gobin *gb)
{
	struct search s = { .t = t, .gb = gb };

	memset(t, 0, sizeof(*t));
	u64map_init(&t->by_addr, MAX_ITABS);
	return gb->mod.itablinks ? each_link(&s) : each_in_piece(&s);
}

void itabs_deinit(struct itabs *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->itab[i].type);
	free(t->itab);
	u64map_deinit(&t->by_addr);
	memset(t, 0, sizeof(*t));
}

const struct itab *itabs_at(const struct itabs *t, uint64_t addr)
{
	const uint64_t *i =
		t->n && addr >= t->first && addr <= t->last ? u64map_find(&t->by_addr, addr) : NULL;

	return i ? &t->itab[*i] : NULL;
}
