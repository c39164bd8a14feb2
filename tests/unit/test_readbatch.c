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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_piece_has_its_bytes),
		cmocka_unit_test(in_order_too),
		cmocka_unit_test(neighbours_are_one),
		cmocka_unit_test(what_is_no_piece_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
