/* SPDX-License-Identifier: BSD-2-Clause */
/* slice-growth on windows made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/vec.h"
#include "observe/detect.h"
#include "parts.h"

#define MIB (1024ull * 1024)

struct made {
	struct window w;
	struct parts_by_hand parts;
	struct slice_row row;
	struct findings fs;
};

/* Ten seconds of so many moves, of slices that begin, and of bytes copied and allocated. */
static void make(struct made *m, uint64_t growths, uint64_t begun, uint64_t bytes, uint64_t all)
{
	memset(&m->fs, 0, sizeof(m->fs));
	parts_use(&m->parts, &m->w);
	m->row = (struct slice_row){ .place = { "main.load", "load.go", NULL, 31 },
				     .element = "main.row",
				     .growths = growths,
				     .begun = begun,
				     .bytes = bytes,
				     .max_length = 849,
				     .capacity = 1252,
				     .rate = 1 };
	*m->w.slices = (struct slices_window){ .known = true,
					       .row = &m->row,
					       .nrow = 1,
					       .growths = growths,
					       .bytes = bytes,
					       .alloc_bytes = all };
	m->w.window_s = 10;
	window_cover(&m->w, SENSOR_SLICES, EXACT, "");
}

static int judged(struct made *m)
{
	int n;

	detect_all(&m->w, &m->fs);
	n = (int)m->fs.n;
	findings_deinit(&m->fs);
	return n;
}

static void thresholds(void **state)
{
	static const struct {
		uint64_t growths, begun, bytes, all;
		int found;
	} table[] = {
		{ 15000, 1000, 150 * MIB, 1000 * MIB, 1 },
		{ 15000, 1000, 149 * MIB, 1000 * MIB, 0 }, /* less than 15 % */
		{ 15000, 3750, 200 * MIB, 1000 * MIB, 1 }, /* four times each */
		{ 15000, 3800, 200 * MIB, 1000 * MIB, 0 },
		{ 15000, 3800, 250 * MIB, 1000 * MIB, 1 }, /* a quarter, whatever it is */
		{ 15000, 0, 249 * MIB, 1000 * MIB, 0 },    /* none has begun */
		{ 15000, 1000, 10 * MIB, 11 * MIB, 1 },
		{ 15000, 1000, 9 * MIB, 10 * MIB, 0 }, /* not much a second */
		{ 999, 10, 900 * MIB, 1000 * MIB, 0 }, /* rare */
		{ 15000, 1000, 900 * MIB, 0, 0 },      /* a share of nobody knows what */
		{ 0, 0, 0, 1000 * MIB, 0 },
	};
	struct made m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		make(&m, table[i].growths, table[i].begun, table[i].bytes, table[i].all);
		if (judged(&m) != table[i].found)
			fail_msg("row %zu", i);
	}
}

static void no_finding_of(void **state)
{
	struct made m;

	(void)state;
	make(&m, 15000, 1000, 200 * MIB, 1000 * MIB);
	m.row.max_length = 31; /* the fields of a line */
	assert_int_equal(judged(&m), 0);
	make(&m, 15000, 1000, 900 * MIB, 1000 * MIB);
	m.row.other = true; /* the standard library's */
	assert_int_equal(judged(&m), 0);
	make(&m, 15000, 1000, 900 * MIB, 1000 * MIB);
	m.w.slices->known = false;
	assert_int_equal(judged(&m), 0);
	make(&m, 15000, 1000, 900 * MIB, 1000 * MIB);
	m.w.window_s = 0.4;
	assert_int_equal(judged(&m), 0);
}

static void says_what_is_missing(void **state)
{
	struct made m;

	(void)state;
	make(&m, 15000, 1000, 200 * MIB, 1000 * MIB);
	detect_all(&m.w, &m.fs);
	assert_int_equal(m.fs.n, 1);
	assert_string_equal(m.fs.f[0].id, "slice-growth:main.load:load.go:31");
	assert_int_equal(m.fs.f[0].severity, SEVERITY_LOW);
	assert_string_equal(m.fs.f[0].title,
			    "main.load (load.go:31) moves each []main.row 15 times as it grows: "
			    "20.0 MiB/s copied, 20% of what the program allocates");
	assert_non_null(strstr(m.fs.f[0].advice, "make([]main.row, 0, n)"));
	assert_non_null(strstr(m.fs.f[0].advice, "1,252"));
	findings_deinit(&m.fs);

	make(&m, 15000, 10000, 300 * MIB, 1000 * MIB);
	m.row.exactness = SAMPLED;
	detect_all(&m.w, &m.fs);
	assert_string_equal(m.fs.f[0].title,
			    "main.load (load.go:31) copies about 30.0 MiB/s because a []main.row "
			    "has no room: 30% of what the program allocates");
	findings_deinit(&m.fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thresholds),
		cmocka_unit_test(no_finding_of),
		cmocka_unit_test(says_what_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
