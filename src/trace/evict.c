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
 * which they run in.  Rows of `sums` have a way of their own (rows.c).
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

#define SPARE      0.0625 /* of the table's rows: free beyond what the next reading may need */
#define NEXT_FRESH 1.25   /* of as many new rows as this one had */
#define NOTED      0.25   /* … that are in use: it is noted which of them are idle */
#define MAX_VALUE  256
#define MAX_KEY    128
#define STILL_BITS 8

bool evict_can_wait(void)
{
	long can = syscall(__NR_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	return can > 0 && can & MEMBARRIER_CMD_GLOBAL;
}

void evict_wait(void)
{
	syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

uint8_t evict_least(const struct evict_need *e)
{
	double enough = (1 - SPARE) * e->room - NEXT_FRESH * (double)e->fresh;
	size_t of[EVICT_STILL + 1] = { 0 }, left = e->used;
	uint8_t least = EVICT_STILL;

	if ((double)left < EVICT_NEARLY_FULL * e->room && (double)left <= enough)
		return 0;
	for (size_t i = 0; i < e->n; i++)
		of[e->still[i]]++;
	for (left -= of[least]; least > 1 && (double)left > enough; left -= of[least])
		least--;
	return left < e->used ? least : 0;
}

/*
 * How many readings each row has stood still, the latest one included: rebuilt from
 * the one before, so that it has no more entries than the table.
 */
static int note(const struct evict_table *e, const struct dump *d, uint8_t *still, size_t *fresh)
{
	struct bytesmap now;
	int err = 0;

	bytesmap_init(&now, d->n + 1);
	for (size_t i = 0; i < d->n && !err; i++) {
		const uint8_t *key = d->keys + i * d->key_size;
		uint64_t n = e->count(d->values + i * d->value_size);
		uint64_t *was = bytesmap_find(e->seen, key, d->key_size);

		*fresh += !was;
		if (was && *was >> STILL_BITS == (n & UINT64_MAX >> STILL_BITS))
			still[i] = (uint8_t)(*was & 0xff) + ((*was & 0xff) < EVICT_STILL);
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

/* Those that have been still for so long; what they have last is in *d. */
static void take_out_still(const struct evict_table *e, struct dump *d, const uint8_t *still,
			   uint8_t least, bool *gone)
{
	uint8_t value[MAX_VALUE], key[MAX_KEY];

	for (size_t i = 0; i < d->n; i++) {
		if (still[i] < least)
			continue;
		memcpy(key, d->keys + i * d->key_size, d->key_size);
		gone[i] = !take_out(e->fd, key, value);
		/* it may have been hit since it was read */
		if (gone[i])
			memcpy(d->values + i * d->value_size, value, d->value_size);
	}
}

void evict_idle(struct trace *t, const struct evict_table *e, struct dump *d, bool *gone)
{
	uint8_t *still = calloc(d->n + 1, 1), least = 0;
	struct evict_need need = { still, d->n, d->n, 0, e->rows };

	if (still && d->n >= NOTED * e->rows && d->key_size <= MAX_KEY &&
	    d->value_size <= MAX_VALUE && evict_can_wait() && !note(e, d, still, &need.fresh))
		least = evict_least(&need);
	if (least) {
		t->skel->bss->gs_no_new = 1;
		evict_wait();
		take_out_still(e, d, still, least, gone);
		evict_wait();
		t->skel->bss->gs_no_new = 0;
	}
	free(still);
}
