/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of findings: its order, its maximum, ids and titles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "simulation.h"
#include "parts.h"
#include "base/text.h"

static void findings_are_sorted_worst_first(void **state)
{
	struct place p = { "main.f", "f.go", NULL, 1 };
	struct findings fs;

	(void)state;
	fs = (struct findings){ 0 };
	findings_add(&fs, "a", "a", SEVERITY_LOW, &p)->weight = 100;
	findings_add(&fs, "b", "b", SEVERITY_MEDIUM, &p)->weight = 1;
	findings_add(&fs, "c", "c", SEVERITY_MEDIUM, &p)->weight = 2;
	findings_add(&fs, "d", "d", SEVERITY_CRITICAL, &p)->weight = 0;
	findings_sort(&fs);
	assert_string_equal(fs.f[0].kind, "d");
	assert_string_equal(fs.f[1].kind, "c");
	assert_string_equal(fs.f[2].kind, "b");
	assert_string_equal(fs.f[3].kind, "a");
	findings_deinit(&fs);
}

static void findings_beyond_the_maximum_are_counted(void **state)
{
	struct place p = { "main.f", "f.go", NULL, 1 };
	struct findings fs;

	(void)state;
	fs = (struct findings){ 0 };
	for (int i = 0; i < FINDINGS_MAX + 7; i++)
		findings_add(&fs, "a", "a", SEVERITY_LOW, &p);
	assert_int_equal(fs.n, FINDINGS_MAX);
	assert_int_equal(fs.dropped, 7);
	findings_deinit(&fs);
}

static void ids_of_long_names_differ(void **state)
{
	char a[10001], b[10001];
	struct place pa = { a, "f.go", NULL, 1 }, pb = { b, "f.go", NULL, 1 };
	struct finding *fa, *fb;
	struct findings fs;

	(void)state;
	memset(a, 'a', sizeof(a) - 1);
	a[sizeof(a) - 1] = '\0';
	memcpy(b, a, sizeof(a));
	b[9000] = 'b';
	fs = (struct findings){ 0 };
	fa = findings_add(&fs, "a", "a", SEVERITY_LOW, &pa);
	fb = findings_add(&fs, "a", "a", SEVERITY_LOW, &pb);
	assert_string_not_equal(fa->id, fb->id);
	finding_title(fa, "%s", a);
	assert_true(strlen(fa->title) < sizeof(fa->title));
	assert_non_null(strstr(fa->title, "…"));
	findings_deinit(&fs);
}

static void a_title_is_never_cut_inside_a_character(void **state)
{
	struct place p = { "main.f", "f.go", NULL, 1 };
	struct findings fs;
	char name[1000];

	(void)state;
	for (int shift = 0; shift < 4; shift++) {
		struct finding *f;
		int32_t code;

		memset(name, 'x', (size_t)shift);
		for (int i = 0; i < 240; i++)
			memcpy(name + shift + 4 * i, "\xf0\x90\x80\x80", 4);
		name[shift + 960] = '\0';
		fs = (struct findings){ 0 };
		f = findings_add(&fs, "a", "a", SEVERITY_LOW, &p);
		finding_title(f, "%s", name);
		for (const char *q = f->title; *q; q += utf8_next(q, &code))
			;
		for (const char *q = f->title; *q;) {
			q += utf8_next(q, &code);
			assert_true(code >= 0);
		}
		findings_deinit(&fs);
	}
}

static void severities_by_name(void **state)
{
	enum severity s;

	(void)state;
	for (int i = SEVERITY_INFO; i <= SEVERITY_CRITICAL; i++) {
		assert_int_equal(severity_parse(severity_word[i], &s), 0);
		assert_int_equal(s, i);
	}
	assert_int_not_equal(severity_parse("bad", &s), 0);
	assert_int_not_equal(severity_parse("", &s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(findings_are_sorted_worst_first),
		cmocka_unit_test(findings_beyond_the_maximum_are_counted),
		cmocka_unit_test(ids_of_long_names_differ),
		cmocka_unit_test(a_title_is_never_cut_inside_a_character),
		cmocka_unit_test(severities_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
