/* SPDX-License-Identifier: BSD-2-Clause */
/* Reports of hostile and very long names, and of more rows than a table has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "report_view.h"

/* ---- hostile names ---- */

static void hostile_names_do_no_harm(void **state)
{
	static const char *const name[] = {
		HOSTILE,
		"",
		" ",
		"\x1b]0;title\x07",
		"\xff\xfe\xfd",
		"\xc0\x80",
		"\xed\xa0\x80",
		"\xf4\x90\x80\x80",
		"\xe2\x80",
		"\xe4\xb8\xad\xe6\x96\x87\xe5\x87\xbd\xe6\x95\xb0."
		"\xe4\xb8\xad\xe6\x96\x87\xe5\x87\xbd\xe6\x95\xb0",
		"e\xcc\x81\xcc\x81\xcc\x81",
		"%s%n%d",
		"main.Map[go.shape.struct { a/b.c int }]",
		"\xef\xbb\xbf\xe2\x80\x8b",
		"a\nb\r\nc",
		"\"quoted\\\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
		struct fixture x;

		setup_hostile(&x, name[i]);
		for (int columns = 40; columns <= 120; columns += 20)
			expect_tidy(text(&x, false, columns), columns);
		json_decref(parsed(&x));
		/* pure ASCII: a terminal that shows it sees no control character */
		for (size_t k = 0; k + 1 < x.out.len; k++)
			assert_true(x.out.data[k] >= 0x20 && x.out.data[k] < 0x7f);
		tear_down(&x);
	}
}

static void broken_bytes_become_replacement_characters(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	setup_hostile(&x, "a\xff\x1b");
	o = parsed(&x);
	assert_string_equal(json_string_value(at(o, "goroutines.by_site.0.function")),
			    "a\xef\xbf\xbd\x1b");
	json_decref(o);
	assert_non_null(strstr(text(&x, false, 100), "a\xef\xbf\xbd\\x1b"));
	tear_down(&x);
}

static void very_long_names(void **state)
{
	static char plain[10001], wide[30001], broken[10001], huge[200001];
	static char *const name[] = { plain, wide, broken, huge };

	(void)state;
	memset(plain, 'n', sizeof(plain) - 1);
	memset(huge, 'h', sizeof(huge) - 1);
	memset(broken, '\xff', sizeof(broken) - 1);
	for (int i = 0; i < 10000; i++)
		memcpy(wide + 3 * i, "\xe4\xb8\xad", 3);
	for (int i = 0; i < 4; i++) {
		struct fixture x;

		setup_hostile(&x, name[i]);
		expect_tidy(text(&x, false, 100), 100);
		json_decref(parsed(&x));
		tear_down(&x);
	}
}

/* ---- many rows ---- */

static void sum(json_t *rows, const char *key, json_int_t *total)
{
	size_t i;
	json_t *row;

	*total = 0;
	json_array_foreach(rows, i, row) *total += json_integer_value(json_object_get(row, key));
}

static void tables_have_a_maximum_and_add_up(void **state)
{
	static const int rows[] = { 1, 999, 1000, 1001, 1002, 5000 };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(*rows); i++) {
		int n = rows[i / 2];
		bool other = i % 2;
		json_t *o, *sites, *allocs, *last;
		json_int_t total;
		struct fixture x;

		setup_many(&x, n, other);
		o = parsed(&x);
		sites = at(o, "goroutines.by_site");
		allocs = at(o, "alloc.by_site");
		assert_int_equal(json_array_size(sites), n < REPORT_MAX_ROWS ? n : REPORT_MAX_ROWS);
		assert_int_equal(json_array_size(allocs),
				 n < REPORT_MAX_ROWS ? n : REPORT_MAX_ROWS);
		sum(sites, "live", &total);
		assert_int_equal(total, 2 * n);
		sum(sites, "births", &total);
		assert_int_equal(total, 3 * n);
		sum(allocs, "bytes", &total);
		assert_int_equal(total, 40000ll * n);
		last = json_array_get(sites, json_array_size(sites) - 1);
		assert_int_equal(json_is_true(json_object_get(last, "other")),
				 other || n > REPORT_MAX_ROWS);
		/* a row's waits add up to its live */
		sum(json_object_get(last, "waits"), "count", &total);
		assert_int_equal(total, json_integer_value(json_object_get(last, "live")));
		json_decref(o);
		expect_tidy(text(&x, false, 100), 100);
		tear_down(&x);
	}
}

static void text_sums_what_it_does_not_show(void **state)
{
	struct fixture x;

	(void)state;
	setup_many(&x, 100, false);
	text(&x, false, 100);
	assert_non_null(strstr(x.out.data, "\n  81 more "));
	tear_down(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_names_do_no_harm),
		cmocka_unit_test(broken_bytes_become_replacement_characters),
		cmocka_unit_test(very_long_names),
		cmocka_unit_test(tables_have_a_maximum_and_add_up),
		cmocka_unit_test(text_sums_what_it_does_not_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
