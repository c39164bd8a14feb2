/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Heap profile buckets and pprof labels out of memory made by hand, in the
 * shapes of several releases: right ones, and damaged ones, which must end and
 * must be told apart.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gort/golabels.h"
#include "gort/goruntime_priv.h"
#include "gort/heapprof.h"
#include "releases.h"

#define HEAP       0xc000000000ull
#define HEAP_BYTES (256u << 10)
#define RATE       524288

struct fake {
	struct memreader mem; /* first */
	uint8_t heap[HEAP_BYTES];
	uint64_t mbuckets, rate; /* the two globals */
	const struct gobin *gb;
	uint64_t unmapped; /* reads that touch this address fail */
};

static int fake_read(struct memreader *m, struct mem_piece *p, size_t n)
{
	struct fake *f = (struct fake *)m;
	int failed = 0;

	for (size_t i = 0; i < n; i++) {
		p[i].status = 0;
		if (p[i].addr >= HEAP && p[i].addr + p[i].len <= HEAP + HEAP_BYTES &&
		    !(f->unmapped >= p[i].addr && f->unmapped < p[i].addr + p[i].len))
			memcpy(p[i].dst, f->heap + (p[i].addr - HEAP), p[i].len);
		else if (p[i].addr == f->gb->global[GLOBAL_MBUCKETS] && p[i].len == 8)
			memcpy(p[i].dst, &f->mbuckets, 8);
		else if (p[i].addr == f->gb->global[GLOBAL_MEMPROFILERATE] && p[i].len == 8)
			memcpy(p[i].dst, &f->rate, 8);
		else
			p[i].status = -EFAULT;
		failed += p[i].status != 0;
	}
	return failed;
}

static const struct memreader_ops fake_ops = { fake_read, NULL };

struct bench {
	struct gobin *gb;
	struct goruntime rt;
	struct fake *f;
	uint64_t pc;
};

static void open_release(struct bench *b, const char *release)
{
	char path[512];
	struct gofunc fn;

	memset(b, 0, sizeof(*b));
	if (!program_path(path, sizeof(path), "profile-%s-stripped", release))
		skip();
	assert_int_equal(gobin_open(&b->gb, path, NULL), 0);
	b->f = calloc(1, sizeof(*b->f));
	b->f->mem.ops = &fake_ops;
	b->f->gb = b->gb;
	b->f->rate = RATE;
	b->rt.gb = b->gb;
	b->rt.mem = &b->f->mem;
	b->rt.cache = calloc(1, sizeof(*b->rt.cache));
	b->rt.cache->g_len = 512;
	assert_int_equal(pclntab_find_name(b->gb->pcln, "main.keep", &fn), 0);
	b->pc = fn.entry + 8;
}

static void close_release(struct bench *b)
{
	free(b->rt.cache);
	free(b->f);
	gobin_free(b->gb);
}

static void put(struct bench *b, uint64_t addr, uint64_t v)
{
	assert_true(addr >= HEAP && addr + 8 <= HEAP + HEAP_BYTES);
	memcpy(b->f->heap + (addr - HEAP), &v, 8);
}

/* ---- heap profile ---- */

static int32_t off(struct bench *b, enum layout_field f)
{
	return layout_off(b->gb->layout, f);
}

/* A bucket with a stack of two pcs. */
static void put_bucket(struct bench *b, uint64_t addr, uint64_t next, uint64_t size,
		       uint64_t allocs, uint64_t frees)
{
	uint64_t record = addr + (uint64_t)off(b, LAYOUT_BUCKET_SIZE) + 16;

	put(b, addr + (uint64_t)off(b, LAYOUT_BUCKET_ALLNEXT), next);
	put(b, addr + (uint64_t)off(b, LAYOUT_BUCKET_TYP), 1);
	put(b, addr + (uint64_t)off(b, LAYOUT_BUCKET_BYTES), size);
	put(b, addr + (uint64_t)off(b, LAYOUT_BUCKET_NSTK), 2);
	put(b, addr + (uint64_t)off(b, LAYOUT_BUCKET_SIZE), b->pc);
	put(b, addr + (uint64_t)off(b, LAYOUT_BUCKET_SIZE) + 8, b->pc + 1);
	put(b, record + (uint64_t)off(b, LAYOUT_MEMRECORDCYCLE_ALLOCS), allocs);
	put(b, record + (uint64_t)off(b, LAYOUT_MEMRECORDCYCLE_FREES), frees);
	if (off(b, LAYOUT_MEMRECORDCYCLE_ALLOC_BYTES) < 0)
		return;
	put(b, record + (uint64_t)off(b, LAYOUT_MEMRECORDCYCLE_ALLOC_BYTES), allocs * size);
	put(b, record + (uint64_t)off(b, LAYOUT_MEMRECORDCYCLE_FREE_BYTES), frees * size);
}

static int read_heap(struct bench *b, struct heapprof *h)
{
	char why[200];

	return heapprof_read(h, &b->rt, why, sizeof(why));
}

static void buckets_are_read_and_scaled(void **state)
{
	struct heapprof h;
	struct bench b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(releases); i++) {
		open_release(&b, releases[i]);
		put_bucket(&b, HEAP + 0x8000, HEAP + 0x4000, 8 << 20, 10,
			   4); /* every one is sampled */
		put_bucket(&b, HEAP + 0x4000, 0, RATE, 100, 50);
		b.f->mbuckets = HEAP + 0x8000;
		assert_int_equal(read_heap(&b, &h), 0);
		assert_int_equal(h.n, 2);
		assert_int_equal(h.rate, RATE);
		assert_int_equal(h.bucket[0].in_use_count, 6);
		assert_in_range(h.bucket[0].in_use_bytes, 48 << 20, (48 << 20) + 100);
		/* 1 / (1 - 1/e) */
		assert_int_equal(h.bucket[1].alloc_count, 158);
		assert_int_equal(h.bucket[1].in_use_count, 79);
		assert_false(h.cut);
		heapprof_deinit(&h);
		close_release(&b);
	}
}

static void damaged_lists_end(void **state)
{
	struct heapprof h;
	struct bench b;

	(void)state;
	open_release(&b, "usual");
	/* a cycle of three */
	for (uint64_t i = 0; i < 3; i++)
		put_bucket(&b, HEAP + 0x4000 + i * 0x1000, HEAP + 0x4000 + (i + 1) % 3 * 0x1000,
			   100, 1, 0);
	b.f->mbuckets = HEAP + 0x4000;
	assert_int_equal(read_heap(&b, &h), 0);
	assert_true(h.cut);
	assert_true(h.n < 16);
	heapprof_deinit(&h);
	/* a bucket that points to itself */
	put_bucket(&b, HEAP + 0x4000, HEAP + 0x4000, 100, 1, 0);
	assert_int_equal(read_heap(&b, &h), 0);
	assert_true(h.cut);
	heapprof_deinit(&h);
	/* a pointer to nowhere: what came before counts */
	put_bucket(&b, HEAP + 0x4000, 0x10, 100, 1, 0);
	assert_int_equal(read_heap(&b, &h), 0);
	assert_true(h.cut);
	assert_int_equal(h.n, 1);
	heapprof_deinit(&h);
	put_bucket(&b, HEAP + 0x4000, UINT64_MAX - 7, 100, 1, 0);
	assert_int_equal(read_heap(&b, &h), 0);
	assert_true(h.cut);
	heapprof_deinit(&h);
	/* a length of 2^62 */
	put(&b, HEAP + 0x4000 + (uint64_t)off(&b, LAYOUT_BUCKET_NSTK), 1ull << 62);
	assert_int_equal(read_heap(&b, &h), 0);
	assert_int_equal(h.n, 0);
	assert_true(h.cut);
	heapprof_deinit(&h);
	/* more freed than allocated */
	put_bucket(&b, HEAP + 0x4000, 0, 100, 1, 5);
	assert_int_equal(read_heap(&b, &h), 0);
	assert_int_equal(h.bad, 1);
	heapprof_deinit(&h);
	/* its page is gone */
	put_bucket(&b, HEAP + 0x4000, 0, 100, 1, 0);
	b.f->unmapped = HEAP + 0x4010;
	assert_int_equal(read_heap(&b, &h), 0);
	assert_true(h.cut);
	heapprof_deinit(&h);
	close_release(&b);
}

static void no_profile_is_said(void **state)
{
	struct heapprof h;
	struct bench b;
	char why[200];

	(void)state;
	open_release(&b, "usual");
	b.f->rate = 0;
	assert_int_equal(heapprof_read(&h, &b.rt, why, sizeof(why)), -EOPNOTSUPP);
	assert_non_null(strstr(why, "MemProfileRate"));
	heapprof_deinit(&h);
	b.f->rate = 1ull << 62;
	assert_int_equal(heapprof_read(&h, &b.rt, why, sizeof(why)), -EBADMSG);
	heapprof_deinit(&h);
	close_release(&b);
}

/* ---- labels ---- */

static void put_string(struct bench *b, uint64_t at, uint64_t text_at, const char *s)
{
	put(b, at, text_at);
	put(b, at + 8, strlen(s));
	memcpy(b->f->heap + (text_at - HEAP), s, strlen(s));
}

/* A g at HEAP whose labels point to HEAP + 0x1000. */
static void put_g(struct bench *b, struct goroutine *g)
{
	uint8_t *raw = b->f->heap;

	memset(raw, 0, 0x1000);
	put(b, HEAP + (uint64_t)off(b, LAYOUT_G_GOID), 7);
	put(b, HEAP + (uint64_t)off(b, LAYOUT_G_LABELS), HEAP + 0x1000);
	goread_decode(&b->rt, HEAP, raw, g);
	assert_int_equal(g->labels, HEAP + 0x1000);
}

static uint32_t read_labels(struct bench *b, struct golabels *l, struct goroutine *g)
{
	struct gowalk w = { .g = g, .n = 1 };
	uint32_t set = 99;

	assert_int_equal(golabels_init(l), 0);
	assert_int_equal(golabels_read(l, &b->rt, &w, &set), 0);
	return set;
}

static void put_list(struct bench *b)
{
	put(b, HEAP + 0x1000, HEAP + 0x2000);
	put(b, HEAP + 0x1008, 2);
	put(b, HEAP + 0x1010, 4);
	put_string(b, HEAP + 0x2000, HEAP + 0x3000, "request");
	put_string(b, HEAP + 0x2010, HEAP + 0x3010, "r-12");
	put_string(b, HEAP + 0x2020, HEAP + 0x3020, "user");
	put_string(b, HEAP + 0x2030, HEAP + 0x3030, "alice");
}

static void labels_of_a_list(void **state)
{
	struct golabels l;
	struct goroutine g;
	struct bench b;
	uint32_t set;

	(void)state;
	open_release(&b, "1.24");
	put_g(&b, &g);
	put_list(&b);
	set = read_labels(&b, &l, &g);
	assert_int_equal(l.set[set].n, 2);
	assert_string_equal(l.label[l.set[set].first].key, "request");
	assert_string_equal(l.label[l.set[set].first + 1].value, "alice");
	golabels_deinit(&l);
	/* longer than its room; a length of 2^62; the same key twice; a page that is gone */
	put(&b, HEAP + 0x1008, 5);
	assert_int_equal(read_labels(&b, &l, &g), GOLABELS_UNKNOWN);
	golabels_deinit(&l);
	put_list(&b);
	put(&b, HEAP + 0x2008, 1ull << 62);
	assert_int_equal(read_labels(&b, &l, &g), GOLABELS_UNKNOWN);
	assert_int_equal(l.unknown, 1);
	golabels_deinit(&l);
	put_list(&b);
	put_string(&b, HEAP + 0x2020, HEAP + 0x3020, "request");
	assert_int_equal(read_labels(&b, &l, &g), GOLABELS_UNKNOWN);
	golabels_deinit(&l);
	put_list(&b);
	b.f->unmapped = HEAP + 0x3031;
	assert_int_equal(read_labels(&b, &l, &g), GOLABELS_UNKNOWN);
	golabels_deinit(&l);
	b.f->unmapped = 0;
	/* none at all */
	put(&b, HEAP + 0x1008, 0);
	assert_int_equal(read_labels(&b, &l, &g), GOLABELS_NONE);
	golabels_deinit(&l);
	close_release(&b);
}

/* runtime.hmap with one bucket of 8. */
static void put_map(struct bench *b, uint64_t count)
{
	put(b, HEAP + 0x1000, HEAP + 0x1100);
	put(b, HEAP + 0x1100, count);
	put(b, HEAP + 0x1108, 0); /* flags, B = 0 */
	put(b, HEAP + 0x1110, HEAP + 0x2000);
	put(b, HEAP + 0x1118, 0); /* oldbuckets */
	memset(b->f->heap + 0x2000, 0, 272);
	b->f->heap[0x2000 + 3] = 200; /* tophash of slot 3 */
	put_string(b, HEAP + 0x2008 + 3 * 16, HEAP + 0x3000, "user");
	put_string(b, HEAP + 0x2008 + 128 + 3 * 16, HEAP + 0x3010, "bob");
}

static void labels_of_a_map(void **state)
{
	struct golabels l;
	struct goroutine g;
	struct bench b;
	uint32_t set;

	(void)state;
	open_release(&b, "1.23");
	put_g(&b, &g);
	put_map(&b, 1);
	set = read_labels(&b, &l, &g);
	assert_int_equal(l.set[set].n, 1);
	assert_string_equal(l.label[l.set[set].first].key, "user");
	assert_string_equal(l.label[l.set[set].first].value, "bob");
	golabels_deinit(&l);
	put_map(&b, 2); /* says two, has one */
	assert_int_equal(read_labels(&b, &l, &g), GOLABELS_UNKNOWN);
	golabels_deinit(&l);
	put_map(&b, 1); /* an overflow chain that bites its tail */
	put(&b, HEAP + 0x2000 + 264, HEAP + 0x2000);
	assert_int_equal(read_labels(&b, &l, &g), GOLABELS_UNKNOWN);
	golabels_deinit(&l);
	put_map(&b, 1);
	b.f->heap[0x1109] = 60; /* 2^60 buckets */
	assert_int_equal(read_labels(&b, &l, &g), GOLABELS_UNKNOWN);
	golabels_deinit(&l);
	close_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_are_read_and_scaled),
		cmocka_unit_test(damaged_lists_end),
		cmocka_unit_test(no_profile_is_said),
		cmocka_unit_test(labels_of_a_list),
		cmocka_unit_test(labels_of_a_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
