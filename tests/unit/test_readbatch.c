/* SPDX-License-Identifier: BSD-2-Clause */
/* Pieces of our own memory, some of it not there: read as neighbours and in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proc/readbatch.h"

#define PAGES  256
#define PIECES 6000

struct area {
	struct memreader *m;
	uint8_t *bytes;
	size_t page, len;
};

/* Every eighth page is not there. */
static bool is_there(const struct area *a, size_t from, size_t len)
{
	for (size_t at = from / a->page; at <= (from + len - 1) / a->page; at++)
		if (at % 8 == 5)
			return false;
	return true;
}

static void open_area(struct area *a)
{
	a->page = (size_t)sysconf(_SC_PAGESIZE);
	a->len = PAGES * a->page;
	a->bytes = mmap(NULL, a->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(a->bytes != MAP_FAILED);
	for (size_t i = 0; i < a->len; i++)
		a->bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	for (size_t p = 5; p < PAGES; p += 8)
		assert_int_equal(mprotect(a->bytes + p * a->page, a->page, PROT_NONE), 0);
	assert_int_equal(mem_open_pid(&a->m, getpid(), NULL), 0);
}

static void close_area(struct area *a)
{
	mem_free(a->m);
	munmap(a->bytes, a->len);
}

static uint32_t add(struct readbatch *b, const struct area *a, size_t from, size_t len)
{
	return readbatch_add(b, (uint64_t)(uintptr_t)(a->bytes + from), (uint32_t)len);
}

static void check(const struct readbatch *b, const struct area *a, uint32_t piece, size_t from,
		  size_t len)
{
	const uint8_t *got = readbatch_get(b, piece);

	assert_int_equal(got != NULL, is_there(a, from, len));
	if (got)
		assert_memory_equal(got, a->bytes + from, len);
}

static void random_pieces(int (*read)(struct readbatch *, struct memreader *))
{
	static size_t from[PIECES], len[PIECES];
	struct readbatch b = { 0 };
	struct area a;

	open_area(&a);
	srand(7);
	for (int round = 0; round < 3; round++) { /* a batch is used again */
		readbatch_reset(&b);
		for (uint32_t i = 0; i < PIECES; i++) {
			/* short ones, some across pages, and the same again */
			len[i] = i % 100 == 99 ? 1 + (size_t)rand() % 60000
					       : 1 + (size_t)rand() % 300;
			from[i] = (size_t)rand() % (a.len - len[i]);
			if (i % 7 == 6) {
				from[i] = from[i - 3];
				len[i] = len[i - 3] > 8 && i % 2 ? len[i - 3] - 8 : len[i - 3];
			}
			assert_int_equal(add(&b, &a, from[i], len[i]), i);
		}
		assert_int_equal(read(&b, a.m), 0);
		for (uint32_t i = 0; i < PIECES; i++)
			check(&b, &a, i, from[i], len[i]);
	}
	readbatch_deinit(&b);
	close_area(&a);
}

static void each_piece_has_its_bytes(void **state)
{
	(void)state;
	random_pieces(readbatch_read);
}

static void in_order_too(void **state)
{
	(void)state;
	random_pieces(readbatch_read_in_order);
}

/* What costs is what is asked of the kernel. */
static void neighbours_are_one(void **state)
{
	struct readbatch b = { 0 };
	struct area a;
	uint64_t bytes;

	(void)state;
	open_area(&a);
	for (size_t i = 0; i < 100; i++) { /* backwards, and each twice */
		add(&b, &a, (99 - i) * 160, 32);
		add(&b, &a, (99 - i) * 160, 16);
	}
	bytes = a.m->bytes;
	assert_int_equal(readbatch_read(&b, a.m), 0);
	assert_int_equal(a.m->calls, 1);
	assert_int_equal(a.m->bytes - bytes, 99 * 160 + 32);
	for (uint32_t i = 0; i < 200; i++)
		check(&b, &a, i, (99 - i / 2) * 160, i % 2 ? 16 : 32);
	readbatch_deinit(&b);
	close_area(&a);
}

static void what_is_no_piece_is_refused(void **state)
{
	struct readbatch b = { 0 };
	struct area a;

	(void)state;
	open_area(&a);
	assert_int_equal(readbatch_add(&b, 0, 8), READBATCH_NONE);
	assert_int_equal(readbatch_add(&b, 4095, 8), READBATCH_NONE);
	assert_int_equal(readbatch_add(&b, 1ull << 47, 8), READBATCH_NONE);
	assert_int_equal(readbatch_add(&b, UINT64_MAX - 8, 8), READBATCH_NONE);
	assert_int_equal(add(&b, &a, 0, 0), READBATCH_NONE);
	assert_int_equal(add(&b, &a, 0, READBATCH_MAX_PIECE + 1), READBATCH_NONE);
	assert_int_equal(readbatch_read(&b, a.m), 0); /* of none */
	assert_int_equal(a.m->calls, 0);
	assert_null(readbatch_get(&b, READBATCH_NONE));
	/* pages that are not there are in the longest one */
	assert_int_equal(add(&b, &a, 0, READBATCH_MAX_PIECE), 0);
	assert_int_equal(add(&b, &a, 8, 8), 1);
	assert_int_equal(readbatch_read(&b, a.m), 0);
	assert_null(readbatch_get(&b, 0));
	assert_memory_equal(readbatch_get(&b, 1), a.bytes + 8, 8);
	readbatch_deinit(&b);
	close_area(&a);
}

/* ---- stages ---- */

struct staged {
	const struct area *a;
	size_t from[2], len[2]; /* len 0: not asked for */
	int taken;
	bool got[2], right[2];
};

static void ask_staged(void *owner, void *item, struct readpiece *piece)
{
	const struct staged *s = item;

	++*(int *)owner;
	for (int k = 0; k < 2; k++)
		piece[2 * k] = (struct readpiece){ (uint64_t)(uintptr_t)(s->a->bytes + s->from[k]),
						   (uint32_t)s->len[k] };
}

static void take_staged(void *owner, void *item, const uint8_t *const *bytes)
{
	struct staged *s = item;

	(void)owner;
	s->taken++;
	assert_null(bytes[1]);
	assert_null(bytes[3]);
	for (int k = 0; k < 2; k++) {
		s->got[k] = bytes[2 * k];
		s->right[k] =
			s->got[k] && !memcmp(bytes[2 * k], s->a->bytes + s->from[k], s->len[k]);
	}
}

static void check_staged(const struct staged *s)
{
	assert_int_equal(s->taken, s->len[0] || s->len[1]);
	for (int k = 0; k < 2; k++) {
		bool want = s->len[k] && is_there(s->a, s->from[k], s->len[k]);

		assert_int_equal(s->got[k], want);
		assert_int_equal(s->right[k], want);
	}
}

static void a_stage_gives_each_item_its_bytes(void **state)
{
	static struct staged v[PIECES];
	struct readbatch b = { 0 };
	struct area a;

	(void)state;
	open_area(&a);
	srand(11);
	for (int in_order = 0; in_order < 2; in_order++) {
		int asked = 0;
		struct readstage s = { &asked,     v,           PIECES,  sizeof(*v),
				       ask_staged, take_staged, in_order };

		memset(v, 0, sizeof(v));
		for (size_t i = 0; i < PIECES; i++) {
			v[i].a = &a;
			for (int k = 0; k < 2; k++) {
				v[i].len[k] = (size_t)rand() % 3 * 40;
				v[i].from[k] = (size_t)rand() % (a.len - 100);
			}
		}
		assert_int_equal(readbatch_stage(&b, a.m, &s), 0);
		assert_int_equal(asked, PIECES);
		for (size_t i = 0; i < PIECES; i++)
			check_staged(&v[i]);
		/* of none, and of those that ask for nothing */
		s.n = 0;
		assert_int_equal(readbatch_stage(&b, a.m, &s), 0);
		assert_int_equal(b.n, 0);
	}
	readbatch_deinit(&b);
	close_area(&a);
}

/* An item that has an address nobody can have is taken, without bytes. */
static void a_bad_address_is_taken_without_bytes(void **state)
{
	struct area nowhere = { .bytes = (uint8_t *)16 };
	struct staged v = { .a = &nowhere, .len = { 8, 0 } };
	struct readbatch b = { 0 };
	struct area a;
	int asked = 0;
	struct readstage s = { &asked, &v, 1, sizeof(v), ask_staged, take_staged, false };

	(void)state;
	open_area(&a);
	assert_int_equal(readbatch_stage(&b, a.m, &s), 0);
	assert_int_equal(v.taken, 1);
	assert_false(v.got[0]);
	readbatch_deinit(&b);
	close_area(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_piece_has_its_bytes),
		cmocka_unit_test(in_order_too),
		cmocka_unit_test(neighbours_are_one),
		cmocka_unit_test(what_is_no_piece_is_refused),
		cmocka_unit_test(a_stage_gives_each_item_its_bytes),
		cmocka_unit_test(a_bad_address_is_taken_without_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
