/* SPDX-License-Identifier: BSD-2-Clause */
/* All entries of a BPF hash map, some at a time. */
#include "trace/priv.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

#define CHUNK 512 /* entries a system call; more than any bucket of a table has */

/* Room for a chunk. */
struct chunk {
	uint8_t *keys, *values; /* owned */
	uint32_t key_size, value_size;
};

static int hand_over(const struct chunk *c, uint32_t n, dump_fn fn, void *ctx)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < n; i++)
		err = fn(ctx, c->keys + (size_t)i * c->key_size,
			 c->values + (size_t)i * c->value_size);
	return err;
}

/* Linux 5.6: many entries a call.  -ENOENT is the end of the table; *any: some call worked. */
static int each_batch(const struct chunk *c, int fd, dump_fn fn, void *ctx, bool *any)
{
	/* The kernel's cursor: a bucket number, though it may take key_size bytes. */
	uint8_t in[sizeof(struct gs_host)], out[sizeof(struct gs_host)];
	LIBBPF_OPTS(bpf_map_batch_opts, opts);

	for (*any = false;; *any = true) {
		uint32_t n = CHUNK;
		int end = bpf_map_lookup_batch(fd, *any ? in : NULL, out, c->keys, c->values, &n,
					       &opts);
		int err = end && end != -ENOENT ? end : hand_over(c, n, fn, ctx);

		if (end == -ENOENT)
			*any = true;
		if (end || err)
			return err;
		memcpy(in, out, sizeof(in));
	}
}

static int each_one(const struct chunk *c, int fd, dump_fn fn, void *ctx)
{
	uint8_t *key = c->keys, *next = c->keys + c->key_size;
	int err = bpf_map_get_next_key(fd, NULL, next);

	while (!err) {
		memcpy(key, next, c->key_size);
		/* An entry may go away meanwhile. */
		err = bpf_map_lookup_elem(fd, key, c->values);
		err = err ? (err == -ENOENT ? 0 : err) : fn(ctx, key, c->values);
		if (!err)
			err = bpf_map_get_next_key(fd, key, next);
	}
	return err == -ENOENT ? 0 : err;
}

int dump_each(int fd, uint32_t key_size, uint32_t value_size, dump_fn fn, void *ctx)
{
	struct chunk c = { .keys = malloc((size_t)CHUNK * key_size),
			   .values = malloc((size_t)CHUNK * value_size),
			   .key_size = key_size,
			   .value_size = value_size };
	bool any = false;
	int err = -ENOMEM;

	if (c.keys && c.values)
		err = each_batch(&c, fd, fn, ctx, &any);
	if (err && err != -ENOMEM && !any)
		err = each_one(&c, fd, fn, ctx);
	free(c.keys);
	free(c.values);
	return err;
}

static int keep_entry(void *ctx, const void *key, const void *value)
{
	struct dump *d = ctx;
	int err = array_room(&d->keys, d->n, &d->key_cap, d->key_size);

	if (!err)
		err = array_room(&d->values, d->n, &d->value_cap, d->value_size);
	if (err)
		return err;
	memcpy(d->keys + d->n * d->key_size, key, d->key_size);
	memcpy(d->values + d->n * d->value_size, value, d->value_size);
	d->n++;
	return 0;
}

void dump_deinit(struct dump *d)
{
	free(d->keys);
	free(d->values);
}

/* Nothing is ever removed from these tables, so neither way can miss an entry
 * that was there before the call. */
int dump_map(struct dump *d, int fd, uint32_t key_size, uint32_t value_size)
{
	*d = (struct dump){ .key_size = key_size, .value_size = value_size };
	return dump_each(fd, key_size, value_size, keep_entry, d);
}
