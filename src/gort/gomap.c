/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/gomap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

#define FIRST_SWISS_MINOR 24 /* unless built with GOEXPERIMENT=noswissmap: then nothing fits */
#define MAX_TRIES         3
#define SLOTS             8            /* of a group, of a bucket */
#define MAX_SIZE          128          /* larger keys and elements are kept elsewhere */
#define CHUNK_BYTES       (256u << 10) /* read at once */

/* runtime.hmap */
#define HMAP_BYTES     48
#define HMAP_FLAGS     8
#define HMAP_B         9
#define HMAP_BUCKETS   16
#define HMAP_OLD       24
#define HMAP_SAME_SIZE 8 /* flag: grows into as many buckets */
#define MIN_TOP_HASH   5 /* smaller ones are marks: empty, evacuated */
/* maps.Map, maps.table */
#define SWISS_BYTES   32
#define SWISS_DIR     16
#define SWISS_DIR_LEN 24
#define TABLE_BYTES   32
#define TABLE_GROUPS  16
#define TABLE_MASK    24

struct entries {
	struct goruntime *rt;
	uint32_t key_size, elem_size;
	uint8_t *out;
	uint32_t n, want;
};

static int add(struct entries *e, const uint8_t *key, const uint8_t *elem)
{
	uint8_t *to = e->out + (size_t)e->n * (e->key_size + e->elem_size);

	if (e->n == e->want) /* more than it says it has */
		return -EAGAIN;
	memcpy(to, key, e->key_size);
	memcpy(to + e->key_size, elem, e->elem_size);
	e->n++;
	return 0;
}

static uint32_t round8(uint32_t n)
{
	return (n + 7) & ~7u;
}

/* ---- swiss tables ---- */

/* Control bytes, then key and element by turns: a set top bit is an empty slot. */
static int add_group(struct entries *e, const uint8_t *g)
{
	uint32_t elem = round8(e->key_size), slot = elem + e->elem_size;
	int err = 0;

	for (uint32_t i = 0; i < SLOTS && !err; i++)
		if (!(g[i] & 0x80))
			err = add(e, g + 8 + i * slot, g + 8 + i * slot + elem);
	return err;
}

static int add_groups(struct entries *e, uint64_t addr, uint64_t n)
{
	uint32_t size = 8 + SLOTS * (round8(e->key_size) + e->elem_size);
	uint64_t step = CHUNK_BYTES / size;
	uint8_t *buf = malloc((n < step ? n : step) * size);
	int err = buf ? 0 : -ENOMEM;

	for (uint64_t at = 0; at < n && !err; at += step) {
		uint64_t k = n - at < step ? n - at : step;

		err = mem_read(e->rt->mem, addr + at * size, buf, k * size);
		for (uint64_t i = 0; i < k && !err; i++)
			err = add_group(e, buf + i * size);
	}
	free(buf);
	return err;
}

static int add_tables(struct entries *e, uint64_t dir, uint64_t n)
{
	uint64_t before = 0, groups = 0;
	uint8_t t[TABLE_BYTES];
	int err = 0;

	if (n > GOMAP_MAX)
		return -EBADMSG;
	for (uint64_t i = 0; i < n && !err; i++) {
		uint64_t at, count;

		err = mem_read_u64(e->rt->mem, dir + 8 * i, &at);
		if (err || at == before) /* entries of one table are neighbours */
			continue;
		before = at;
		err = mem_read(e->rt->mem, at, t, sizeof(t));
		if (err)
			break;
		count = load_u64(t + TABLE_MASK) + 1;
		groups += count;
		if (!count || count > GOMAP_MAX || groups > GOMAP_MAX)
			return -EBADMSG;
		err = add_groups(e, load_u64(t + TABLE_GROUPS), count);
	}
	return err;
}

static int read_swiss(struct entries *e, uint64_t map)
{
	uint8_t h[SWISS_BYTES];
	int err = mem_read(e->rt->mem, map, h, sizeof(h));
	uint64_t n = load_u64(h + SWISS_DIR_LEN);

	if (err)
		return err;
	return n ? add_tables(e, load_u64(h + SWISS_DIR), n)
		 : add_groups(e, load_u64(h + SWISS_DIR), 1);
}

/* ---- buckets ---- */

static int add_buckets(struct entries *e, uint64_t array, uint64_t n, uint64_t *left)
{
	uint32_t elems = round8(8 + SLOTS * e->key_size), overflow = elems + SLOTS * e->elem_size;
	uint8_t b[8 + 2 * SLOTS * MAX_SIZE + 8];
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++) {
		uint64_t at = array + i * (overflow + 8);

		while (at && !err) {
			if (!(*left)--)
				return -EBADMSG;
			err = mem_read(e->rt->mem, at, b, overflow + 8);
			for (uint32_t k = 0; k < SLOTS && !err; k++)
				if (b[k] >= MIN_TOP_HASH)
					err = add(e, b + 8 + k * e->key_size,
						  b + elems + k * e->elem_size);
			at = err ? 0 : load_u64(b + overflow);
		}
	}
	return err;
}

/* Maybe in the middle of growing: both halves then hold entries. */
static int read_hmap(struct entries *e, uint64_t map)
{
	uint8_t h[HMAP_BYTES];
	int err = mem_read(e->rt->mem, map, h, sizeof(h));
	uint64_t n, old, left;

	if (err)
		return err;
	if (h[HMAP_B] > 20)
		return -EBADMSG;
	n = 1ull << h[HMAP_B];
	left = 4 * n + 16; /* with overflow buckets */
	old = load_u64(h + HMAP_OLD);
	err = add_buckets(e, load_u64(h + HMAP_BUCKETS), load_u64(h + HMAP_BUCKETS) ? n : 0, &left);
	if (!err && old)
		err = add_buckets(e, old, h[HMAP_FLAGS] & HMAP_SAME_SIZE || n == 1 ? n : n / 2,
				  &left);
	return err;
}

/* ---- either ---- */

int gomap_len(struct goruntime *rt, uint64_t map, uint64_t *len)
{
	*len = 0;
	return map ? mem_read_u64(rt->mem, map, len) : 0; /* the first word of both kinds */
}

static int read_once(struct entries *e, uint64_t map, uint32_t max)
{
	uint64_t len, after;
	int err = gomap_len(e->rt, map, &len);

	if (err || !len)
		return err;
	if (len > max || len > GOMAP_MAX)
		return -E2BIG;
	e->n = 0;
	e->want = (uint32_t)len;
	e->out = malloc((size_t)len * (e->key_size + e->elem_size));
	if (!e->out)
		return -ENOMEM;
	err = e->rt->gb->release.minor >= FIRST_SWISS_MINOR ? read_swiss(e, map)
							    : read_hmap(e, map);
	if (!err)
		err = gomap_len(e->rt, map, &after);
	if (!err && (after != len || e->n != len))
		err = -EAGAIN;
	return err;
}

int gomap_read(struct goruntime *rt, uint64_t map, uint32_t key_size, uint32_t elem_size,
	       uint32_t max, uint8_t **out)
{
	struct entries e = { .rt = rt, .key_size = key_size, .elem_size = elem_size };
	int err = -EAGAIN;

	*out = NULL;
	if (!key_size || key_size > MAX_SIZE || elem_size < 8 || elem_size > MAX_SIZE ||
	    elem_size % 8)
		return -EINVAL;
	for (int i = 0; i < MAX_TRIES && err == -EAGAIN; i++) {
		free(e.out);
		e.out = NULL;
		e.n = 0;
		err = read_once(&e, map, max);
	}
	if (err || !e.n) {
		free(e.out);
		return err;
	}
	*out = e.out;
	return (int)e.n;
}
