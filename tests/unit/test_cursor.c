/* SPDX-License-Identifier: BSD-2-Clause */
/* The bounded cursor, buffers and maps of src/base: their limits above all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/map.h"

static void test_cursor_words(void **state)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	struct cursor c;

	(void)state;
	cursor_init(&c, bytes, sizeof(bytes));
	assert_int_equal(cursor_u8(&c), 1);
	assert_int_equal(cursor_u16(&c), 0x0302);
	assert_int_equal(cursor_u32(&c), 0x07060504);
	assert_int_equal(cursor_u64(&c), 0x0f0e0d0c0b0a0908ull);
	assert_int_equal(cursor_left(&c), 0);
	assert_false(c.bad);
	assert_int_equal(cursor_u8(&c), 0);
	assert_true(c.bad);
}

static void test_cursor_end(void **state)
{
	static const uint8_t bytes[] = { 1, 2, 3 };
	struct cursor c;

	(void)state;
	cursor_init(&c, bytes, sizeof(bytes));
	assert_int_equal(cursor_u32(&c), 0); /* one byte too many: nothing is taken */
	assert_true(c.bad);
	assert_int_equal(c.pos, 0);
	assert_int_equal(cursor_u16(&c), 0x0201);
	assert_true(c.bad); /* and stays so */

	cursor_init(&c, bytes, sizeof(bytes));
	assert_non_null(cursor_bytes(&c, 3));
	assert_non_null(cursor_bytes(&c, 0));
	assert_null(cursor_bytes(&c, 1));
	assert_true(c.bad);

	cursor_init(&c, bytes, sizeof(bytes));
	assert_null(cursor_bytes(&c, SIZE_MAX));
	assert_int_equal(c.pos, 0);
	cursor_init(&c, NULL, 100);
	assert_int_equal(cursor_left(&c), 0);
	assert_int_equal(cursor_u8(&c), 0);
	assert_true(c.bad);
}

static void test_cursor_seek(void **state)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4 };
	struct cursor c;

	(void)state;
	cursor_init(&c, bytes, sizeof(bytes));
	cursor_seek(&c, 3);
	assert_int_equal(cursor_u8(&c), 4);
	cursor_seek(&c, 4);
	assert_false(c.bad);
	cursor_seek(&c, 5);
	assert_true(c.bad);
	assert_int_equal(c.pos, 4);
	cursor_init(&c, bytes, sizeof(bytes));
	cursor_skip(&c, 2);
	assert_int_equal(cursor_u8(&c), 3);
	cursor_skip(&c, 2);
	assert_true(c.bad);
}

static uint64_t uvarint(const char *bytes, size_t n, int bits, bool *bad)
{
	struct cursor c;
	uint64_t v;

	cursor_init(&c, bytes, n);
	v = bits == 32 ? cursor_uvarint32(&c) : cursor_uvarint64(&c);
	*bad = c.bad;
	return v;
}

#define UVARINT(bytes, bits, bad) uvarint(bytes, sizeof(bytes) - 1, bits, bad)

static void test_varints(void **state)
{
	bool bad;

	(void)state;
	assert_int_equal(UVARINT("\x00", 32, &bad), 0);
	assert_false(bad);
	assert_int_equal(UVARINT("\x7f", 32, &bad), 127);
	assert_int_equal(UVARINT("\xac\x02", 32, &bad), 300);
	assert_int_equal(UVARINT("\xff\xff\xff\xff\x0f", 32, &bad), UINT32_MAX);
	assert_false(bad);
	UVARINT("\xff\xff\xff\xff\x1f", 32, &bad); /* 33 bits */
	assert_true(bad);
	UVARINT("\x80\x80\x80\x80\x80\x00", 32, &bad); /* too long */
	assert_true(bad);
	UVARINT("\x80\x80", 32, &bad); /* cut off */
	assert_true(bad);
	UVARINT("", 64, &bad);
	assert_true(bad);
	assert_true(UVARINT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 64, &bad) == UINT64_MAX);
	assert_false(bad);
	UVARINT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 64, &bad);
	assert_true(bad);
	UVARINT("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 64, &bad);
	assert_true(bad);
}

static void test_buf_limit(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_null(b.data);
	buf_puts(&b, "hello");
	buf_printf(&b, " %d", 42);
	assert_string_equal(b.data, "hello 42");
	assert_int_equal(b.len, 8);
	assert_int_equal(b.err, 0);
	buf_puts(&b, "too long");
	assert_int_equal(b.err, -ENOSPC);
	assert_string_equal(b.data, "hello 42"); /* all or nothing */
	buf_puts(&b, "x"); /* nothing more after an error, though it would fit */
	assert_string_equal(b.data, "hello 42");
	buf_reset(&b);
	assert_int_equal(b.err, 0);
	buf_add(&b, "a\0b", 3);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
	buf_deinit(&b);
	assert_null(b.data);
}

static void test_buf_grows(void **state)
{
	struct buf b;
	int i;

	(void)state;
	buf_init(&b, 100000);
	for (i = 0; i < 10000; i++)
		buf_printf(&b, "%04d\n", i);
	assert_int_equal(b.err, 0);
	assert_int_equal(b.len, 50000);
	assert_memory_equal(b.data + 5 * 1234, "1234\n", 5);
	assert_int_equal(b.data[b.len], 0);
	buf_deinit(&b);
}

/* The key whose hash_u64() is h: what a hostile program would choose its keys by. */
static uint64_t key_of_hash(uint64_t h)
{
	h = (h ^ h >> 33) * 0x9cb4b2f8129337dbULL;
	h = (h ^ h >> 33) * 0x4f74430c22a54005ULL;
	return h ^ h >> 33;
}

static uint64_t cpu_to_put(uint64_t (*key)(uint64_t))
{
	uint64_t began = clock_self_cpu_ns();
	struct u64map m;

	u64map_init(&m, 1u << 16);
	for (uint64_t i = 1; i <= 40000; i++)
		assert_non_null(u64map_put(&m, key(i << 32), i, NULL));
	for (uint64_t i = 1; i <= 40000; i++)
		assert_int_equal(*u64map_find(&m, key(i << 32)), i);
	u64map_deinit(&m);
	return clock_self_cpu_ns() - began;
}

/* Chosen keys would meet in one place: each put would pass all that were put before. */
static void test_chosen_keys(void **state)
{
	struct bytesmap m;
	char text[100];

	(void)state;
	assert_int_equal(hash_u64(key_of_hash(7ull << 32)), 7ull << 32);
	assert_true(cpu_to_put(key_of_hash) < 50 * cpu_to_put(hash_u64));
	memset(text, 'a', sizeof(text));
	bytesmap_init(&m, 1000);
	for (size_t i = 0; i < sizeof(text); i++) /* of every length */
		assert_non_null(bytesmap_put(&m, text, i, i, NULL));
	for (size_t i = 0; i < sizeof(text); i++)
		assert_int_equal(*bytesmap_find(&m, text, i), i);
	assert_int_equal(m.len, sizeof(text));
	bytesmap_deinit(&m);
}

static void test_u64map(void **state)
{
	uint64_t i, key, *v, sum = 0;
	struct u64map m;
	size_t pos = 0;
	bool made;

	(void)state;
	u64map_init(&m, 1000);
	assert_null(u64map_find(&m, 0));
	for (i = 0; i < 1000; i++) { /* keys with equal low bits, and 0 */
		assert_non_null(u64map_put(&m, i << 32, i, &made));
		assert_true(made);
	}
	assert_null(u64map_put(&m, 1, 1, &made)); /* full */
	v = u64map_put(&m, 5ull << 32, 77, &made);
	assert_non_null(v); /* what is there is still found */
	assert_false(made);
	assert_int_equal(*v, 5);
	*v = 6;
	assert_int_equal(*u64map_find(&m, 5ull << 32), 6);
	assert_int_equal(m.len, 1000);
	while (u64map_next(&m, &pos, &key, &v))
		sum += *v;
	assert_int_equal(sum, 999 * 1000 / 2 + 1);
	u64map_clear(&m);
	assert_int_equal(m.len, 0);
	assert_null(u64map_find(&m, 0));
	assert_non_null(u64map_put(&m, 1, 1, NULL));
	u64map_deinit(&m);
}

static void test_bytesmap(void **state)
{
	struct bytesmap m;
	char key[32];
	bool made;
	int i;

	(void)state;
	bytesmap_init(&m, 500);
	assert_null(bytesmap_find(&m, "x", 1));
	for (i = 0; i < 500; i++) {
		int n = snprintf(key, sizeof(key), "key-%d", i);

		assert_non_null(bytesmap_put(&m, key, (size_t)n, (uint64_t)i, &made));
		assert_true(made);
	}
	assert_null(bytesmap_put(&m, "one more", 8, 1, NULL));
	memset(key, 'x', sizeof(key)); /* the keys were copied */
	assert_int_equal(*bytesmap_find(&m, "key-123", 7), 123);
	assert_null(bytesmap_find(&m, "key-123", 6 + 2)); /* the length counts, NUL included */
	assert_int_equal(*bytesmap_find(&m, "key-1234", 7), 123);
	assert_null(bytesmap_find(&m, "", 0));
	bytesmap_deinit(&m);
}

static void test_err(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, -ENOENT, "no '%s'", "file"), -ENOENT);
	assert_string_equal(e.what, "no 'file'");
	assert_string_equal(e.hint, "");
	err_hint(&e, "make %d", 1);
	assert_string_equal(e.hint, "make 1");
	assert_int_equal(err_set(&e, -EPERM, "no"), -EPERM);
	assert_string_equal(e.hint, ""); /* of the error before */
	assert_int_equal(err_set(NULL, -EIO, "nobody listens"), -EIO);
	err_hint(NULL, "nor here");
}

static uint64_t boot_ns(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &t), 0);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* However long it takes between the clocks: an instant is what both of them say. */
static void test_clocks(void **state)
{
	const uint64_t slack = NS_PER_MS; /* clocks are trimmed meanwhile */

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t before = clock_real_ns(), mono = clock_mono_ns(), boot = boot_ns();
		uint64_t after = clock_real_ns();

		assert_in_range(clock_mono_to_real_ns(mono), before - slack, after + slack);
		assert_in_range(clock_boot_to_real_ns(boot), before - slack, after + slack);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cursor_words), cmocka_unit_test(test_cursor_end),
		cmocka_unit_test(test_cursor_seek),  cmocka_unit_test(test_varints),
		cmocka_unit_test(test_buf_limit),    cmocka_unit_test(test_buf_grows),
		cmocka_unit_test(test_u64map),       cmocka_unit_test(test_chosen_keys),
		cmocka_unit_test(test_bytesmap),     cmocka_unit_test(test_err),
		cmocka_unit_test(test_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
