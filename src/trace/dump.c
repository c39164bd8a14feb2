/* SPDX-License-Identifier: BSD-2-Clause */
/* All entries of a BPF hash map. */
#include "trace/priv.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int dump_init(struct dump *d, uint32_t key_size, uint32_t value_size, size_t max)
{
	*d = (struct dump){ .key_size = key_size, .value_size = value_size, .cap = max };
	d->keys = malloc(max * key_size);
	d->values = malloc(max * value_size);
	return d->keys && d->values ? 0 : -ENOMEM;
}

void dump_deinit(struct dump *d)
{
	free(d->keys);
	free(d->values);
}

/* Linux 5.6: many entries a call.  -ENOENT is the end of the table. */
static int dump_batch(struct dump *d, int fd)
{
	/* The kernel's cursor: a bucket number, though it may take key_size bytes. */
	uint8_t in[sizeof(struct gs_host)], out[sizeof(struct gs_host)];
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	bool first = true;
	int e;

	for (;;) {
		uint32_t n = (uint32_t)(d->cap - d->n);

		e = bpf_map_lookup_batch(fd, first ? NULL : in, out, d->keys + d->n * d->key_size,
					 d->values + d->n * d->value_size, &n, &opts);
		if (e && e != -ENOENT)
			return e;
		d->n += n;
		if (e || d->n >= d->cap)
			return 0;
		memcpy(in, out, sizeof(in));
		first = false;
	}
}

static int dump_one_by_one(struct dump *d, int fd)
{
	const void *prev = NULL;

	for (d->n = 0; d->n < d->cap; d->n++) {
		uint8_t *key = d->keys + d->n * d->key_size;
		int e = bpf_map_get_next_key(fd, prev, key);

		if (e)
			return e == -ENOENT ? 0 : e;
		prev = key;
		e = bpf_map_lookup_elem(fd, key, d->values + d->n * d->value_size);
		if (e)
			return e;
	}
	return 0;
}

/* Nothing is ever removed from these tables, so neither way can miss an entry
 * that was there before the call. */
int dump_map(struct dump *d, int fd, uint32_t key_size, uint32_t value_size, size_t max)
{
	int e = dump_init(d, key_size, value_size, max);

	if (e)
		return e;
	e = dump_batch(d, fd);
	if (!e)
		return 0;
	d->n = 0;
	return dump_one_by_one(d, fd);
}
