/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptions of tables: that those of the report are sound, and what rows,
 * sums and values become of a description.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "net/tables.h"
#include "report/cells.h"
#include "report/document.h"

#undef PLACE /* the windows have their own */
#include "net_window.h"

/* ---- the report's ---- */

static const struct table *seen[96];
static int nseen;

static void names_once(const struct table *t, bool has_rest, void *arg)
{
	(void)has_rest;
	(void)arg;
	assert_true(nseen < 92); /* json_schema.c has room for 96 */
	for (int i = 0; i < nseen; i++)
		if (!strcmp(seen[i]->name, t->name))
			fail_msg("two tables are called '%s'", t->name);
	seen[nseen++] = t;
}

static void has_heads_in_order(const struct table *t)
{
	int shown = 0, at[GRID_MAX_COLUMNS + 1] = { 0 };

	for (int i = 0; i < t->ncolumn; i++) {
		const struct column *c = &t->column[i];

		assert_true(c->pos >= 0 && c->pos <= GRID_MAX_COLUMNS);
		assert_int_equal(c->head != NULL, c->pos > 0);
		shown += c->pos > 0;
		at[c->pos]++;
	}
	for (int pos = 1; pos <= shown; pos++)
		if (at[pos] != 1)
			fail_msg("'%s' has %d columns at %d", t->name, at[pos], pos);
}

static void has_members_once(const struct table *t)
{
	for (int i = 0; i < t->ncolumn; i++) {
		const struct column *c = &t->column[i];

		if (!c->key) {
			assert_non_null(c->cell);
			continue;
		}
		assert_non_null(c->what);
		assert_true(!c->sub == (c->type != COLUMN_ROWS && c->type != COLUMN_OBJECT));
		for (int k = 0; k < i; k++)
			if (t->column[k].key && !strcmp(t->column[k].key, c->key))
				fail_msg("'%s' has '%s' twice", t->name, c->key);
	}
}

static void descriptions_are_sound(void **state)
{
	(void)state;
	nseen = 0;
	schema_tables(names_once, NULL);
	assert_true(nseen > 25);
	for (int i = 0; i < nseen; i++) {
		assert_non_null(seen[i]->what);
		has_heads_in_order(seen[i]);
		has_members_once(seen[i]);
	}
}

/*
 * What happened in a window is seen by a probe, or read from a table that may not be
 * known: without it the number is absent.  Some tables have rows, or are there, only
 * where it is known.
 */
static void zero_is_not_unknown(void **state)
{
	static const char *const there_if_known[] = { "phase",  "failure",   "lifetime",
						      "probes", "statement", "slice_site" };

	(void)state;
	for (int i = 0; i < nseen; i++) {
		const struct table *t = seen[i];
		bool known = t->part != NULL;

		for (size_t k = 0; k < ARRAY_SIZE(there_if_known); k++)
			known |= !strcmp(t->name, there_if_known[k]);
		for (int k = 0; !known && k < t->ncolumn; k++) {
			const struct column *c = &t->column[k];

			if (c->type == COLUMN_COUNT && c->what &&
			    strstr(c->what, "n this window") && !c->known && !c->known_at)
				fail_msg("'%s' of '%s' is 0 where it is not known", c->key,
					 t->name);
		}
	}
}

static const struct column *column_of(const struct table *t, const char *key)
{
	for (int i = 0; i < t->ncolumn; i++)
		if (t->column[i].key && !strcmp(t->column[i].key, key))
			return &t->column[i];
	return NULL;
}

static bool is_member(const struct table *object, const struct table *t)
{
	for (int i = 0; i < object->ncolumn; i++)
		if (object->column[i].sub == t)
			return true;
	return false;
}

/* What people see is in the JSON, and what is compared has a number and a name. */
static void people_see_what_json_has(void **state)
{
	(void)state;
	for (int i = 0; i < report_nparts; i++) {
		const struct table *t = report_parts[i];

		assert_true(t->label && t->title && t->sentence);
		if (t->ncolumn)
			assert_true(is_member(t->of, t));
		if (!t->diff_title)
			continue;
		assert_non_null(column_of(t, t->diff_key));
		assert_true(is_member(&report_document, t->of) || is_member(&report_document, t));
		bool named = false;
		for (int k = 0; k < t->ncolumn; k++)
			named |= t->column[k].id == 1;
		assert_true(named);
	}
}

static void count_host(char *host, const void *arg)
{
	(void)arg;
	assert_true(strlen(host) <= WINDOW_MAX_HOST);
	host[0] = 'X';
}

static void every_host_is_redacted(void **state)
{
	struct window w;

	(void)state;
	net_window_faulty(&w);
	schema_hosts(&net_object, w.net, count_host, NULL);
	assert_true(w.net->nphase && w.net->nin_flight && w.net->nunclosed && w.net->nconnection);
	for (int i = 0; i < w.net->nphase; i++)
		assert_int_equal(w.net->phase[i].host[0], 'X');
	for (int i = 0; i < w.net->nin_flight; i++)
		assert_int_equal(w.net->in_flight[i].host[0], 'X');
	for (int i = 0; i < w.net->nunclosed; i++)
		assert_int_equal(w.net->unclosed[i].host[0], 'X');
	for (int i = 0; i < w.net->nconnection; i++)
		assert_int_equal(w.net->connection[i].host[0], 'X');
	window_deinit(&w);
}

/* ---- one of our own ---- */

struct thing {
	bool other, counted;
	char name[8];
	uint64_t n, max;
	int64_t grown;
	double oldest_s;
	enum age_kind age;
	enum exactness exactness;
	double rate;
};

static const struct column thing_column[] = {
	CHARS(struct thing, name, "name", "a name", SHOWN(1, "name"),
	      .flags = COLUMN_NO_REST | COLUMN_NAME_REST),
	COUNT(struct thing, n, "n", "summed", SHOWN(2, "n"), .flags = COLUMN_MARK,
	      .known_at = OFFSET(struct thing, counted, bool)),
	COUNT(struct thing, max, "max", "the largest", .flags = COLUMN_MAX_REST),
	INTEGER(struct thing, grown, "grown", "summed, signed"),
	AGE(struct thing, oldest_s, age, "oldest_s", "the oldest",
	    .of_at = OFFSET(struct thing, n, uint64_t), SHOWN(3, "oldest")),
	EXACTNESS(struct thing, exactness, RATE(struct thing, rate)),
};

static const struct table things = {
	.name = "thing",
	TABLE_ROWS(struct thing, thing_column),
	.other_at = OFFSET(struct thing, other, bool),
	.exactness_at = OFFSET(struct thing, exactness, enum exactness),
};

static const struct thing some[] = {
	{ .name = "a",
	  .counted = true,
	  .n = 5,
	  .max = 2,
	  .grown = -7,
	  .oldest_s = 3,
	  .age = AGE_EXACT },
	{ .name = "b", .n = 1, .max = 9, .grown = 2, .oldest_s = 8, .age = AGE_AT_LEAST },
	{ .name = "c", .counted = true, .n = 2, .max = 4, .exactness = SAMPLED, .rate = 0.5 },
	{ .name = "d", .n = 3, .max = 1, .exactness = SAMPLED, .rate = 0.25 },
};

static void cut(struct rows *rows, const struct thing *t, size_t n, size_t max)
{
	struct value v = { .rows = { t, n } };

	assert_int_equal(rows_init(rows, &things, NULL, NULL, &v, max), 0);
}

static void as_many_as_fit_have_no_sum(void **state)
{
	struct rows rows;

	(void)state;
	cut(&rows, some, 4, 4);
	assert_int_equal(rows.n, 4);
	for (int i = 0; i < 4; i++)
		assert_true(rows.row[i].row == &some[i] && !rows.row[i].nrest);
	rows_deinit(&rows);
	cut(&rows, some, 0, 4);
	assert_int_equal(rows.n, 0);
	rows_deinit(&rows);
}

static void sum_has_the_worst_and_the_most(void **state)
{
	const struct thing *sum;
	struct rows rows;

	(void)state;
	cut(&rows, some, 4, 2);
	assert_int_equal(rows.n, 2);
	assert_int_equal(rows.row[1].nrest, 3);
	sum = rows.row[1].row;
	assert_int_equal(sum->n, 6);
	assert_int_equal(sum->max, 9);
	assert_int_equal(sum->grown, 2);
	assert_true(sum->oldest_s == 8 && sum->age == AGE_AT_LEAST);
	assert_true(sum->exactness == SAMPLED && sum->rate == 0.25);
	assert_true(sum->counted);
	assert_string_equal(sum->name, "");
	rows_deinit(&rows);
}

static void a_sum_in_the_window_is_in_the_sum(void **state)
{
	struct thing t[4];
	struct rows rows;

	(void)state;
	memcpy(t, some, sizeof(t));
	t[1].other = true;
	cut(&rows, t, 4, 4);
	assert_int_equal(rows.n, 4);
	assert_true(rows.row[1].row == &t[2] && rows.row[3].nrest == 1);
	assert_int_equal(((const struct thing *)rows.row[3].row)->n, 1);
	rows_deinit(&rows);
	cut(&rows, t, 4, 3);
	assert_int_equal(rows.n, 3);
	assert_int_equal(rows.row[2].nrest, 2);
	rows_deinit(&rows);
}

static struct value value_of(const char *key, const struct row *r)
{
	struct value v;

	schema_value(column_of(&things, key), r, &v);
	return v;
}

static void values_say_what_is_known(void **state)
{
	struct row a = { .row = &some[0] }, b = { .row = &some[1] }, c = { .row = &some[2] };
	struct thing none = { .counted = true };
	struct row rest = { .row = &some[0], .nrest = 2 }, zero = { .row = &none };

	(void)state;
	assert_int_equal(value_of("n", &a).count, 5);
	assert_int_equal(value_of("n", &b).is, VALUE_ABSENT); /* not counted */
	assert_int_equal(value_of("name", &rest).is, VALUE_ABSENT);
	assert_true(value_of("oldest_s", &b).age == AGE_AT_LEAST);
	assert_int_equal(value_of("oldest_s", &c).is, VALUE_ABSENT);   /* two, of no known age */
	assert_int_equal(value_of("oldest_s", &zero).is, VALUE_THERE); /* none: of an age of 0 */
	assert_true(value_of("oldest_s", &zero).age == AGE_EXACT);
	assert_true(value_of("exactness", &c).rate == 0.5);
	assert_true(value_of("exactness", &a).rate == 0);
}

static void cells_are_as_people_read_them(void **state)
{
	struct cells cells;
	struct rows rows;
	struct buf out;

	(void)state;
	cut(&rows, some, 4, 3);
	cells_init(&cells, &things, NULL);
	cells_rows(&cells, &things, rows.row, rows.n);
	buf_init(&out, 4096);
	grid_print(&cells.grid, 0, 100, &out);
	assert_string_equal(out.data, "name     n  oldest\n"
				      "a        5    3.0s\n"
				      "b        -   >8.0s\n"
				      "2 more  ~5       -\n");
	buf_deinit(&out);
	cells_deinit(&cells);
	rows_deinit(&rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptions_are_sound),
		cmocka_unit_test(zero_is_not_unknown),
		cmocka_unit_test(people_see_what_json_has),
		cmocka_unit_test(every_host_is_redacted),
		cmocka_unit_test(as_many_as_fit_have_no_sum),
		cmocka_unit_test(sum_has_the_worst_and_the_most),
		cmocka_unit_test(a_sum_in_the_window_is_in_the_sum),
		cmocka_unit_test(values_say_what_is_known),
		cmocka_unit_test(cells_are_as_people_read_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
