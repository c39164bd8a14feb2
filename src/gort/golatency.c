/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/golatency.h"

#include <errno.h>

#include "base/cursor.h"

/* runtime/histogram.go since 1.20: buckets by the highest bit, four in each, then two for what
 * is below and above. */
#define MIN_BITS  9
#define SUB_BITS  2
#define SUBS      (1u << SUB_BITS)
#define SIZE      (8 * (GOLATENCY_BUCKETS + 2))
#define SANE_MOST (1ull << 48) /* of one bucket */

int golatency_read(struct goruntime *rt, struct golatency *out)
{
	uint64_t sched = rt->gb->global[GLOBAL_SCHED];
	int32_t off = go_off(rt, LAYOUT_SCHED_TIMETORUN);
	uint8_t raw[SIZE];
	int err;

	if (!sched || off < 0 || go_off(rt, LAYOUT_TIMEHISTOGRAM_SIZE) != SIZE)
		return -ENOENT;
	err = mem_read(rt->mem, sched + rt->bias + (uint64_t)off, raw, sizeof(raw));
	if (err)
		return err;
	for (int i = 0; i < GOLATENCY_BUCKETS; i++) {
		out->bucket[i] = load_u64(raw + 8 * i);
		if (out->bucket[i] >= SANE_MOST)
			return -EBADMSG;
	}
	out->over = load_u64(raw + 8 * (GOLATENCY_BUCKETS + 1));
	return out->over < SANE_MOST ? 0 : -EBADMSG;
}

uint64_t golatency_from_ns(unsigned int bucket)
{
	unsigned int octave = bucket / SUBS, sub = bucket % SUBS;

	if (!octave)
		return (uint64_t)sub << (MIN_BITS - 1 - SUB_BITS);
	return (1ull << (MIN_BITS + octave - 2)) | (uint64_t)sub
							   << (MIN_BITS + octave - 2 - SUB_BITS);
}
