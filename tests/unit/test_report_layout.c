/* SPDX-License-Identifier: BSD-2-Clause */
/* Words, sentences and columns fitted to a width; the live screen's layout. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/screen_view.h"
#include "base/text.h"
#include "model/place.h"
#include "report/grid.h"
#include "report_view.h"

/* ---- parts ---- */

static void words_are_fitted(void **state)
{
	static const struct {
		const char *in;
		int columns;
		const char *middle, *end;
	} table[] = {
		{ "abcdef", 6, "abcdef", "abcdef" },
		{ "abcdefgh", 6, "ab…fgh", "…defgh" },
		{ "abc", 0, "", "" },
		{ "abc", 1, "…", "…" },
		{ "", 5, "", "" },
		{ "\xe4\xb8\xad\xe6\x96\x87x", 5, "\xe4\xb8\xad\xe6\x96\x87x",
		  "\xe4\xb8\xad\xe6\x96\x87x" },
		{ "\xe4\xb8\xad\xe6\x96\x87x", 4, "…x", "…\xe6\x96\x87x" },
		{ "a\tb", 9, "a\\x09b", "a\\x09b" },
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		words_fit(table[i].in, table[i].columns, out, sizeof(out));
		assert_true(words_columns(out) <= table[i].columns);
		assert_string_equal(out, table[i].middle);
		words_fit_end(table[i].in, table[i].columns, out, sizeof(out));
		assert_string_equal(out, table[i].end);
	}
	assert_string_equal(words_fit("abcdef", 6, out, 4), "abc");
	assert_string_equal(words_fit("abcdef", INT_MAX, out, sizeof(out)), "abcdef");
	assert_string_equal(words_fit("ab\xe4\xb8\xad", 6, out, 4), "ab");
}

/* A stack loses whole frames; the one that is left is cut like any name. */
static void frames_fit(void **state)
{
	static const struct {
		const char *in;
		int columns;
		const char *begin, *end;
	} table[] = {
		{ "aa.f x.go:1 < bb.g y.go:2", 25, "aa.f x.go:1 < bb.g y.go:2",
		  "aa.f x.go:1 < bb.g y.go:2" },
		{ "aa.f x.go:1 < bb.g y.go:2", 24, "aa.f x.go:1 < …", "bb.g y.go:2" },
		{ "aa.f x.go:1 < bb.g y.go:2 < c.h", 28, "aa.f x.go:1 < …", "bb.g y.go:2 < c.h" },
		{ "aa.f x.go:1 < bb.g y.go:2 < c.h", 29, "aa.f x.go:1 < bb.g y.go:2 < …",
		  "bb.g y.go:2 < c.h" },
		{ "aa.f x.go:1 < bb.g y.go:2", 9, "aa.….go:1", "…g y.go:2" },
		{ "abcdef", 4, "a…ef", "…def" },
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		words_fit_frames(table[i].in, table[i].columns, false, out, sizeof(out));
		assert_string_equal(out, table[i].begin);
		words_fit_frames(table[i].in, table[i].columns, true, out, sizeof(out));
		assert_string_equal(out, table[i].end);
	}
}

static void places_in_words(void **state)
{
	struct place p = { "example.com/a/b.(*T[example.com/x/y.Z]).M", "m.go", NULL, 7 };
	char out[WORDS_PLACE_MAX];

	(void)state;
	assert_string_equal(words_place(&p, out, sizeof(out)),
			    "example.com/a/b.(*T[example.com/x/y.Z]).M (m.go:7)");
	assert_string_equal(words_place_short(&p, out, sizeof(out)),
			    "b.(*T[example.com/x/y.Z]).M m.go:7");
	p.in = "google.golang.org/grpc.newClientStream";
	assert_string_equal(words_place(&p, out, sizeof(out)),
			    "example.com/a/b.(*T[example.com/x/y.Z]).M (m.go:7, in "
			    "grpc.newClientStream)");
	assert_string_equal(words_place_short(&p, out, sizeof(out)),
			    "grpc.newClientStream < b.(*T[example.com/x/y.Z]).M m.go:7");
	p.in = NULL;
	p.line = 0;
	assert_string_equal(words_place(&p, out, sizeof(out)),
			    "example.com/a/b.(*T[example.com/x/y.Z]).M (m.go)");
	p.file = NULL;
	p.function = "main.f";
	assert_string_equal(words_place(&p, out, sizeof(out)), "main.f");
}

static void sentences_are_wrapped(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(wrap_text(&b, "one two three four", 0, 2, 10, 0), 3);
	assert_string_equal(b.data, "one two\n  three\n  four\n");
	buf_reset(&b);
	wrap_text(&b, "one two three four", 0, 2, 10, 2);
	assert_string_equal(b.data, "one two\n  three …\n");
	buf_reset(&b);
	wrap_text(&b, "abcdefghijklmnop", 0, 2, 10, 1);
	assert_string_equal(b.data, "abc…klmnop\n");
	buf_reset(&b);
	wrap_text(&b, "", 0, 2, 10, 1);
	assert_string_equal(b.data, "\n");
	buf_deinit(&b);
}

static void tables_drop_columns_that_do_not_fit(void **state)
{
	static const struct grid_column column[] = {
		{ .head = "name", .min = 4, .keep_end = true },
		{ .head = "n", .right = true },
	};
	struct grid t;
	struct buf b;

	(void)state;
	grid_init(&t, column, 2);
	grid_cell(&t, "abcdefgh");
	grid_cell(&t, "1,204");
	grid_cell(&t, "half a row");
	buf_init(&b, 4096);
	grid_print(&t, 2, 40, &b);
	assert_string_equal(b.data, "  name            n\n  abcdefgh    1,204\n");
	buf_reset(&b);
	grid_print(&t, 2, 13, &b);
	assert_string_equal(b.data, "  name      n\n  …fgh  1,204\n");
	buf_reset(&b);
	grid_print(&t, 0, 5, &b);
	assert_string_equal(b.data, "name\n…fgh\n");
	grid_deinit(&t);
	buf_deinit(&b);
}

/* ---- the live screen's layout ---- */

static void expect_view(struct screen_view *v, struct fixture *x, struct screen_state *st,
			int width, int height)
{
	screen_view_make(v, &x->r, st, width, height);
	assert_int_equal(v->text.err, 0);
	assert_true(v->nline <= height);
	for (int i = 0; i < v->nline; i++)
		expect_tidy(v->text.data + v->line[i].start, width);
	if (width >= 20 && height >= 2)
		assert_int_equal(v->line[v->nline - 1].style, STYLE_KEYS);
}

static void screen_fits_any_terminal(void **state)
{
	static const int size[][2] = { { 1, 1 },   { 8, 2 },    { 20, 5 },   { 40, 10 },
				       { 80, 24 }, { 132, 43 }, { 200, 50 }, { 500, 600 } };

	(void)state;
	for (size_t i = 0; i < sizeof(size) / sizeof(*size); i++) {
		for (int flags = 0; flags < 8; flags++) {
			struct screen_state st = { .details = flags & 1,
						   .help = flags & 2,
						   .paused = flags & 4 };
			struct screen_view v;
			struct fixture x;

			setup_hostile(&x, i % 2 ? HOSTILE : "main.f");
			screen_view_init(&v);
			expect_view(&v, &x, &st, size[i][0], size[i][1]);
			screen_view_deinit(&v);
			tear_down(&x);
			setup_many(&x, 2000, true);
			screen_view_init(&v);
			st.scroll = flags * 1000;
			expect_view(&v, &x, &st, size[i][0], size[i][1]);
			screen_view_deinit(&v);
			tear_down(&x);
		}
	}
}

static bool shows(const struct screen_view *v, const char *what)
{
	for (int i = 0; i < v->nline; i++)
		if (strstr(v->text.data + v->line[i].start, what))
			return true;
	return false;
}

static int line_of(const struct screen_view *v, const char *what)
{
	for (int i = 0; i < v->nline; i++)
		if (strstr(v->text.data + v->line[i].start, what))
			return i;
	return -1;
}

static void screen_sorts_and_scrolls(void **state)
{
	struct screen_state st = { .sort = SORT_LIVE };
	struct screen_view v;
	struct fixture x;

	(void)state;
	setup_full(&x);
	screen_view_init(&v);
	expect_view(&v, &x, &st, 100, 30);
	assert_true(line_of(&v, "notify.go:41 ") < line_of(&v, "server.go:3454"));
	st.sort = SORT_BIRTHS;
	expect_view(&v, &x, &st, 100, 30);
	assert_true(line_of(&v, "server.go:3454") < line_of(&v, "1,204   ~38.0"));
	st.sort = SORT_NAME;
	expect_view(&v, &x, &st, 100, 30);
	assert_true(line_of(&v, "1,204   ~38.0") < line_of(&v, "server.go:3454"));
	st.scroll = 1000;
	expect_view(&v, &x, &st, 100, 30);
	assert_int_equal(st.scroll, 0); /* all rows fit */
	tear_down(&x);

	setup_many(&x, 500, false);
	st = (struct screen_state){ .scroll = 1000 };
	expect_view(&v, &x, &st, 100, 24);
	assert_int_equal(st.scroll, 500 - st.rows_shown);
	assert_true(shows(&v, "f.go:500"));
	st.paused = true;
	expect_view(&v, &x, &st, 100, 24);
	assert_true(shows(&v, "PAUSED"));
	screen_view_deinit(&v);
	tear_down(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_fitted),
		cmocka_unit_test(frames_fit),
		cmocka_unit_test(places_in_words),
		cmocka_unit_test(sentences_are_wrapped),
		cmocka_unit_test(tables_drop_columns_that_do_not_fit),
		cmocka_unit_test(screen_fits_any_terminal),
		cmocka_unit_test(screen_sorts_and_scrolls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
