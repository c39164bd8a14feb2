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

#define FOLD_BITS 14 /* the first one ends at 16 microseconds, the tenth at 4.3 s */

static int parse(const uint8_t *raw, struct golatency *out)
{
	for (int i = 0; i < GOLATENCY_BUCKETS; i++) {
		out->bucket[i] = load_u64(raw + 8 * i);
		if (out->bucket[i] >= SANE_MOST)
			return -EBADMSG;
	}
	out->over = load_u64(raw + 8 * (GOLATENCY_BUCKETS + 1));
	return out->over < SANE_MOST ? 0 : -EBADMSG;
}

/* Where sched.timeToRun is, run-time; 0: the release has none of that shape. */
static uint64_t time_to_run(struct goruntime *rt)
{
	uint64_t sched = rt->gb->global[GLOBAL_SCHED];
	int32_t off = go_off(rt, LAYOUT_SCHED_TIMETORUN);

	if (!sched || off < 0 || go_off(rt, LAYOUT_TIMEHISTOGRAM_SIZE) != SIZE)
		return 0;
	return sched + rt->bias + (uint64_t)off;
}

int golatency_read(struct goruntime *rt, struct golatency *out)
{
	uint64_t addr = time_to_run(rt);
	uint8_t raw[SIZE];
	int err = addr ? mem_read(rt->mem, addr, raw, sizeof(raw)) : -ENOENT;

	return err ? err : parse(raw, out);
}

static uint64_t sum(const struct golatency *l)
{
	uint64_t n = l->over;

	for (int i = 0; i < GOLATENCY_BUCKETS; i++)
		n += l->bucket[i];
	return n;
}

/*
 * Behind timeToRun are idleTime and totalMutexWaitTime, of 8 bytes, and the histograms
 * stwStoppingTimeGC, stwStoppingTimeOther and stwTotalTimeGC, in all releases from 1.22 to
 * 1.27.  The first and the third count the same pauses, two in each collection or more: what
 * does not is none of these.
 */
int golatency_pauses(struct goruntime *rt, uint32_t numgc, struct golatency *out)
{
	uint64_t addr = time_to_run(rt), stops, pauses;
	struct golatency stopping;
	uint8_t raw[3 * SIZE];
	int err;

	if (!addr || rt->gb->release.minor < 22)
		return -ENOENT;
	err = mem_read(rt->mem, addr + SIZE + 16, raw, sizeof(raw));
	if (!err)
		err = parse(raw, &stopping);
	if (!err)
		err = parse(raw + 2 * SIZE, out);
	if (err)
		return err;
	stops = sum(&stopping);
	pauses = sum(out);
	if (pauses > stops || stops - pauses > 1 || pauses + 1 < 2 * (uint64_t)numgc ||
	    pauses > 4 * (uint64_t)numgc + 4)
		return -EBADMSG;
	return 0;
}

uint64_t golatency_fold_ns(unsigned int bucket)
{
	return 1ull << (FOLD_BITS + 2 * bucket);
}

void golatency_fold(const struct golatency *l, struct golatency_folded *out)
{
	unsigned int to = 0;

	*out = (struct golatency_folded){ 0 };
	for (unsigned int i = 0; i < GOLATENCY_BUCKETS; i++) {
		while (to < GOLATENCY_FOLDS && golatency_from_ns(i + 1) > golatency_fold_ns(to))
			to++;
		out->count[to] += l->bucket[i];
		out->least_s += (double)l->bucket[i] * (double)golatency_from_ns(i) / 1e9;
	}
	out->count[GOLATENCY_FOLDS] += l->over;
	out->least_s += (double)l->over * (double)golatency_from_ns(GOLATENCY_BUCKETS) / 1e9;
}

uint64_t golatency_from_ns(unsigned int bucket)
{
	unsigned int octave = bucket / SUBS, sub = bucket % SUBS;

	if (!octave)
		return (uint64_t)sub << (MIN_BITS - 1 - SUB_BITS);
	return (1ull << (MIN_BITS + octave - 2)) | (uint64_t)sub
							   << (MIN_BITS + octave - 2 - SUB_BITS);
}
