/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/golabels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/vec.h"
#include "gort/gomap.h"
#include "gort/goruntime_priv.h"

#define FIRST_LIST_MINOR 24          /* runtime/pprof/label.go: labelMap became a struct */
#define MAX_STRING       1024        /* of a key or value; what is longer is cut */
#define MAX_TEXT         (64u << 20) /* of all; beyond: unknown */
#define CHUNK            (64u << 10)
#define HMAP_B           9 /* runtime.hmap of a map[string]string, 1.18 to 1.23: log2 of its buckets */
#define HMAP_MAX_B       8

struct golabels_text {
	struct golabels_text *next;
	size_t used, size;
	char bytes[];
};

/* A string of the target, not yet read. */
struct string_at {
	uint64_t addr, len;
};

struct pairs {
	struct string_at key[GOLABELS_MAX], value[GOLABELS_MAX];
	size_t n;
};

int golabels_init(struct golabels *l)
{
	memset(l, 0, sizeof(*l));
	u64map_init(&l->by_pointer, GOLABELS_MAX_SETS);
	bytesmap_init(&l->by_text, 4 * GOLABELS_MAX_SETS);
	l->set_cap = 64;
	l->set = calloc(l->set_cap, sizeof(*l->set));
	l->nset = 1;
	return l->set ? 0 : -ENOMEM;
}

void golabels_deinit(struct golabels *l)
{
	while (l->text) {
		struct golabels_text *next = l->text->next;

		free(l->text);
		l->text = next;
	}
	u64map_deinit(&l->by_pointer);
	bytesmap_deinit(&l->by_text);
	free(l->label);
	free(l->set);
	memset(l, 0, sizeof(*l));
}

/* ---- strings kept once ---- */

static char *text_room(struct golabels *l, size_t n)
{
	struct golabels_text *t = l->text;

	if (!t || t->size - t->used < n) {
		size_t size = n > CHUNK ? n : CHUNK;

		if (l->text_bytes + size > MAX_TEXT)
			return NULL;
		t = malloc(sizeof(*t) + size);
		if (!t)
			return NULL;
		*t = (struct golabels_text){ .next = l->text, .size = size };
		l->text = t;
		l->text_bytes += size;
	}
	t->used += n;
	return t->bytes + t->used - n;
}

/* A NUL inside ends it: labels are for people. */
static const char *intern(struct golabels *l, const char *s, size_t n)
{
	char key[MAX_STRING + 1] = "s";
	uint64_t *at;
	bool made;

	n = strnlen(s, n);
	memcpy(key + 1, s, n);
	at = bytesmap_put(&l->by_text, key, n + 1, 0, &made);
	if (!at)
		return NULL;
	if (!*at) {
		char *copy = text_room(l, n + 1);

		if (!copy)
			return NULL;
		memcpy(copy, s, n);
		copy[n] = '\0';
		*at = (uint64_t)(uintptr_t)copy;
	}
	return (const char *)(uintptr_t)*at;
}

/* ---- where the strings of one set are ---- */

static void string_at(const uint8_t *p, struct string_at *s)
{
	s->addr = load_u64(p);
	s->len = load_u64(p + 8);
}

static void take_pairs(const uint8_t *raw, size_t n, struct pairs *p)
{
	for (size_t i = 0; i < n; i++) {
		string_at(raw + 32 * i, &p->key[i]);
		string_at(raw + 32 * i + 16, &p->value[i]);
	}
	p->n = n;
}

/* Since 1.24: a slice of two strings each. */
static int find_in_list(struct goruntime *rt, uint64_t addr, struct pairs *p)
{
	uint8_t head[24], raw[GOLABELS_MAX * 32];
	uint64_t array, n, cap;
	int err = mem_read(rt->mem, addr, head, sizeof(head));

	if (err)
		return err;
	array = load_u64(head);
	n = load_u64(head + 8);
	cap = load_u64(head + 16);
	if (n > GOLABELS_MAX || n > cap || cap > (1u << 20))
		return -EBADMSG;
	err = n ? mem_read(rt->mem, array, raw, n * 32) : 0;
	if (!err)
		take_pairs(raw, n, p);
	return err;
}

/* Up to 1.23: a map. */
static int find_in_map(struct goruntime *rt, uint64_t addr, struct pairs *p)
{
	uint8_t *raw = NULL, b = 0;
	uint64_t map;
	int n = mem_read_u64(rt->mem, addr, &map);

	if (!n && map)
		n = mem_read(rt->mem, map + HMAP_B, &b, 1);
	if (!n && b > HMAP_MAX_B) /* labels are few: something else */
		n = -EBADMSG;
	if (!n)
		n = gomap_read(rt, map, 16, 16, GOLABELS_MAX, &raw);
	if (n > 0)
		take_pairs(raw, (size_t)n, p);
	free(raw);
	return n < 0 ? n : 0;
}

/* ---- one set ---- */

static int by_key(const void *x, const void *y)
{
	const struct golabel *a = x, *b = y;

	return strcmp(a->key, b->key);
}

static int read_pairs(struct golabels *l, struct goruntime *rt, const struct pairs *p,
		      struct golabel *out)
{
	static const char empty[1];
	char raw[MAX_STRING];

	for (size_t i = 0; i < 2 * p->n; i++) {
		const struct string_at *s = i % 2 ? &p->value[i / 2] : &p->key[i / 2];
		size_t len = s->len < MAX_STRING ? (size_t)s->len : MAX_STRING - 1;
		const char *text = empty;

		if (s->len > (1u << 24)) /* no text for people: something else */
			return -EBADMSG;
		if (len) {
			int err = mem_read(rt->mem, s->addr, raw, len);

			if (err)
				return err;
			text = intern(l, raw, len);
		}
		if (!text)
			return -ENOSPC;
		if (i % 2)
			out[i / 2].value = text;
		else
			out[i / 2].key = text;
	}
	return 0;
}

static int add_label(struct golabels *l, const struct golabel *one)
{
	if (array_room(&l->label, l->nlabel, &l->label_cap, sizeof(*l->label)))
		return -ENOMEM;
	l->label[l->nlabel++] = *one;
	return 0;
}

static int add_set(struct golabels *l, const struct golabel *v, size_t n, uint32_t *out)
{
	/* strings are kept once: the same pointers are the same set */
	struct {
		char kind;
		struct golabel v[GOLABELS_MAX];
	} key;
	uint64_t *at;
	int err = 0;

	memset(&key, 0, sizeof(key));
	key.kind = 'l';
	memcpy(key.v, v, n * sizeof(*v));
	at = bytesmap_put(&l->by_text, &key, offsetof(typeof(key), v) + n * sizeof(*v), 0, NULL);
	if (!at)
		return -ENOSPC;
	if (*at) {
		*out = (uint32_t)*at;
		return 0;
	}
	if (array_room(&l->set, l->nset, &l->set_cap, sizeof(*l->set)))
		return -ENOMEM;
	l->set[l->nset] = (struct golabel_set){ .first = (uint32_t)l->nlabel, .n = (uint32_t)n };
	for (size_t i = 0; i < n && !err; i++)
		err = add_label(l, &v[i]);
	if (!err)
		*out = (uint32_t)(*at = l->nset++);
	return err;
}

static bool still_has(struct goruntime *rt, const struct goroutine *g)
{
	struct goroutine now;

	return !goread_one(rt, g->addr, &now) && now.goid == g->goid && now.labels == g->labels;
}

static int read_set(struct golabels *l, struct goruntime *rt, const struct goroutine *g,
		    uint32_t *out)
{
	struct golabel v[GOLABELS_MAX];
	struct pairs p = { .n = 0 };
	int err = rt->gb->release.minor >= FIRST_LIST_MINOR ? find_in_list(rt, g->labels, &p)
							    : find_in_map(rt, g->labels, &p);

	if (!err)
		err = read_pairs(l, rt, &p, v);
	if (err)
		return err;
	qsort(v, p.n, sizeof(*v), by_key);
	for (size_t i = 0; i < p.n; i++)
		if (!v[i].key || (i && !strcmp(v[i - 1].key, v[i].key)))
			return -EBADMSG;
	if (!still_has(rt, g))
		return -EAGAIN;
	if (!p.n) {
		*out = GOLABELS_NONE;
		return 0;
	}
	return add_set(l, v, p.n, out);
}

int golabels_read(struct golabels *l, struct goruntime *rt, const struct gowalk *w, uint32_t *set)
{
	for (size_t i = 0; i < w->n; i++) {
		uint64_t *at;
		bool made;

		set[i] = GOLABELS_NONE;
		if (!w->g[i].labels)
			continue;
		at = u64map_put(&l->by_pointer, w->g[i].labels, GOLABELS_UNKNOWN, &made);
		if (at && made) {
			uint32_t got = GOLABELS_UNKNOWN;
			int err = read_set(l, rt, &w->g[i], &got);

			if (err == -ESRCH || err == -EPERM || err == -ENOMEM)
				return err;
			*at = err ? GOLABELS_UNKNOWN : got;
		}
		set[i] = at ? (uint32_t)*at : GOLABELS_UNKNOWN;
		l->unknown += set[i] == GOLABELS_UNKNOWN;
	}
	return 0;
}
