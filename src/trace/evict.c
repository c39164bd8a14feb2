/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows that nothing was added to for some readings make room for new ones, once a
 * table is nearly full, so that a long run never goes blind.
 *
 * The programs add to a row without a lock, and a row that is taken out of the table
 * may be handed to another key at once: an addition under way would be another's.
 * So while rows are taken out the programs add no new ones (what would need one is
 * counted without), and before that is allowed again all programs that may still
 * hold one have ended: membarrier(2) waits for that, in the grace period of RCU
 * which they run in.
 */
#include "trace/priv.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gospect.skel.h"

#define FULL_SHARE 0.75 /* of the table's rows: there is need */
#define STILL      3    /* readings without an addition */
#define MAX_VALUE  256
#define MAX_KEY    64
#define STILL_BITS 8

/* Until no program is under way that was when this was called. */
static bool wait_for_programs(void)
{
	return !syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

/*
 * How many readings each row has stood still, the latest one included: rebuilt from
 * the one before, so that it has no more entries than the table.
 */
static int note(const struct evict_table *e, const struct dump *d, uint8_t *still)
{
	struct bytesmap now;
	int err = 0;

	bytesmap_init(&now, d->n + 1);
	for (size_t i = 0; i < d->n && !err; i++) {
		const uint8_t *key = d->keys + i * d->key_size;
		uint64_t n = e->count(d->values + i * d->value_size);
		uint64_t *was = bytesmap_find(e->seen, key, d->key_size);

		if (was && n != EVICT_NEVER && *was >> STILL_BITS == (n & UINT64_MAX >> STILL_BITS))
			still[i] = (uint8_t)((*was & 0xff) < STILL ? (*was & 0xff) + 1 : STILL);
		if (!bytesmap_put(&now, key, d->key_size, n << STILL_BITS | still[i], NULL))
			err = -ENOMEM;
	}
	bytesmap_deinit(e->seen);
	*e->seen = now;
	return err;
}

/* What it had when it went is in *value. */
static int take_out(int fd, const void *key, void *value)
{
	int err = bpf_map_lookup_and_delete_elem(fd, key, value);

	if (err != -EINVAL && err != -ENOTSUP && err != -524 /* ENOTSUPP */)
		return err;
	err = bpf_map_lookup_elem(fd, key, value); /* before Linux 5.14 */
	return err ? err : bpf_map_delete_elem(fd, key);
}

void evict_idle(struct trace *t, const struct evict_table *e, const struct dump *d, bool *gone)
{
	uint8_t *still = calloc(d->n + 1, 1), value[MAX_VALUE], key[MAX_KEY];

	if (!still || d->n < FULL_SHARE * e->rows || d->key_size > MAX_KEY ||
	    d->value_size > MAX_VALUE || note(e, d, still) || !memchr(still, STILL, d->n)) {
		free(still);
		return;
	}
	t->skel->bss->gs_no_new = 1;
	if (wait_for_programs()) {
		for (size_t i = 0; i < d->n; i++) {
			if (still[i] < STILL)
				continue;
			memcpy(key, d->keys + i * d->key_size, d->key_size);
			gone[i] = !take_out(e->fd, key, value);
			/* it was hit since it was read */
			if (gone[i])
				e->late(t, d->values + i * d->value_size, value);
		}
		wait_for_programs();
	}
	t->skel->bss->gs_no_new = 0;
	free(still);
}
