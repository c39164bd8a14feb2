/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A memory reader in front of another that lets reads fail: the n-th piece, so
 * many of a thousand, whatever touches a page, everything from the n-th call on
 * because the process has ended; or that returns something else than what is
 * there.
 */
#ifndef GOSPECT_TESTS_FAULTY_H
#define GOSPECT_TESTS_FAULTY_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "proc/mem.h"

struct faulty {
	struct memreader base;
	struct memreader *inner; /* borrowed */
	uint64_t pieces, calls;  /* asked for so far */
	/* what is to go wrong; 0: nothing */
	uint64_t fail_at, fail_per_mille, gone_at_call, spoil_at;
	uint64_t missing_page; /* its address */
	uint64_t random;       /* state; not 0 */
	uint64_t faults;       /* made so far */
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A short read: the first half is there, and behind it what nobody may believe. */
static void cut_short(struct mem_piece *p)
{
	memset((uint8_t *)p->dst + p->len / 2, 0xa5, p->len - p->len / 2);
	p->status = -EFAULT;
}

/* A word of what was read becomes another: one that looks like something. */
static void spoil(struct faulty *f, struct mem_piece *p)
{
	static const uint64_t values[] = {
		0,
		1,
		7,
		UINT64_MAX,
		1ull << 62,
		1ull << 63,
		4096,
		0xc000000000,
		0xc000000008,
		0x10000000000,
		0x7fffffff,
	};
	uint64_t v = next_random(&f->random) % 4
			     ? values[next_random(&f->random) % (sizeof(values) / sizeof(*values))]
			     : next_random(&f->random);
	uint32_t n = p->len < 8 ? p->len : 8;

	if (n)
		memcpy((uint8_t *)p->dst + next_random(&f->random) % (p->len / n) * n, &v, n);
}

static bool must_fail(struct faulty *f, const struct mem_piece *p)
{
	bool missing = f->missing_page && p->addr < f->missing_page + 4096 &&
		       p->addr + p->len > f->missing_page;

	/* drawn in any case: the order of draws is not to depend on the faults */
	return (next_random(&f->random) % 1000 < f->fail_per_mille) | (f->pieces == f->fail_at) |
	       missing;
}

static int faulty_read_many(struct memreader *m, struct mem_piece *p, size_t n)
{
	struct faulty *f = (struct faulty *)m;
	int failed = 0;

	m->calls++;
	if (f->gone_at_call && f->calls + 1 >= f->gone_at_call) {
		f->calls++;
		f->faults++;
		return -ESRCH;
	}
	f->calls++;
	if (mem_read_many(f->inner, p, n) < 0)
		return -EIO;
	for (size_t i = 0; i < n; i++) {
		bool fail;

		f->pieces++;
		fail = must_fail(f, &p[i]);
		f->faults += fail;
		if (fail && !p[i].status) {
			cut_short(&p[i]);
		} else if (f->pieces == f->spoil_at && !p[i].status) {
			spoil(f, &p[i]);
			f->faults++;
		}
		failed += p[i].status != 0;
	}
	return failed;
}

static const struct memreader_ops faulty_ops = { faulty_read_many, NULL };

static void faulty_init(struct faulty *f, struct memreader *inner, uint64_t seed)
{
	*f = (struct faulty){ .base.ops = &faulty_ops,
			      .inner = inner,
			      .random = seed * 2654435769u + 1 };
}

#endif
