/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of layouts: every row is one that could be, and the releases find
 * theirs.  Whether the offsets are true is for the live process to show; here
 * a few that changed between releases stand as they are in Go's source.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gobin/buildinfo.h"
#include "gobin/layout.h"
#include "gobin/layout_table.h"

static const struct layout *find(const char *arch, int minor, int patch)
{
	struct go_release r = { minor, patch };
	bool newer = true;
	const struct layout *l = layout_find(arch, &r, &newer);

	assert_false(newer);
	assert_non_null(l);
	return l;
}

static void assert_row(const char *arch, int minor, int patch, int row_minor, int row_patch)
{
	const struct layout *l = find(arch, minor, patch);

	assert_string_equal(l->arch, arch);
	assert_int_equal(l->minor, row_minor);
	assert_int_equal(l->patch, row_patch);
}

static void finds_row_not_newer_than_release(void **state)
{
	static const char *const arches[] = { "amd64", "arm64" };

	(void)state;
	for (size_t i = 0; i < sizeof(arches) / sizeof(arches[0]); i++) {
		assert_row(arches[i], 18, 9, 18, 0);
		assert_row(arches[i], 19, 12, 19, 0);
		assert_row(arches[i], 22, 12, 22, 0);
		/* 1.23.4 moved work.cycles, 1.23.12 and 1.24.6 m.alllink. */
		assert_row(arches[i], 23, 3, 23, 0);
		assert_row(arches[i], 23, 4, 23, 4);
		assert_row(arches[i], 23, 11, 23, 4);
		assert_row(arches[i], 23, 12, 23, 12);
		assert_row(arches[i], 23, 99, 23, 12);
		assert_row(arches[i], 24, 5, 24, 0);
		assert_row(arches[i], 24, 6, 24, 6);
	}
}

static void finds_first_row_of_minor_without_patch(void **state)
{
	(void)state;
	assert_row("amd64", 23, -1, 23, 0);
	assert_row("amd64", 27, -1, 27, 0);
}

static void beyond_the_table_is_the_newest_row(void **state)
{
	const int minor = layout_newest.minor, patch = layout_newest.patch;
	const struct go_release at_end = { minor, patch };
	const struct go_release beyond[] = {
		{ minor, patch + 1 },
		{ minor + 1, 0 },
		{ minor + 1, -1 },
		{ minor + 70, 3 },
	};
	bool newer = true;
	const struct layout *newest = layout_find("amd64", &at_end, &newer);

	(void)state;
	assert_non_null(newest);
	assert_false(newer);
	for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		newer = false;
		assert_ptr_equal(layout_find("amd64", &beyond[i], &newer), newest);
		assert_true(newer);
	}
}

static void nothing_before_1_18_or_for_other_machines(void **state)
{
	const struct go_release old = { 17, 13 }, unknown = { 0, -1 }, now = { 26, 8 };
	bool newer = true;

	(void)state;
	assert_null(layout_find("amd64", &old, &newer));
	assert_false(newer);
	assert_null(layout_find("amd64", &unknown, &newer));
	assert_null(layout_find("386", &now, &newer));
	assert_null(layout_find("", &now, &newer));
}

/* Each offset lies within its type and is aligned as its width asks for. */
static void assert_plausible(const struct layout *l)
{
	static const struct {
		enum layout_field size;
		const char *type;
	} types[] = {
		{ LAYOUT_G_SIZE, "runtime.g." },
		{ LAYOUT_M_SIZE, "runtime.m." },
		{ LAYOUT_P_SIZE, "runtime.p." },
		{ LAYOUT_SCHED_SIZE, "runtime.schedt." },
		{ LAYOUT_MODULEDATA_SIZE, "runtime.moduledata." },
	};

	for (int f = 0; f < LAYOUT_COUNT; f++) {
		const char *name = layout_field_name(f);
		int32_t off = layout_off(l, f);

		if (off < LAYOUT_ABSENT || off > 1 << 20)
			fail_msg("%s 1.%d.%d: %s at %d", l->arch, l->minor, l->patch, name, off);
		for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
			if (!strncmp(name, types[t].type, strlen(types[t].type)))
				assert_true(off < layout_off(l, types[t].size));
	}
}

static void rows_are_plausible(void **state)
{
	(void)state;
	assert_true(layout_nrows > 0);
	for (int i = 0; i < layout_nrows; i++) {
		const struct layout *l = &layout_rows[i];

		assert_plausible(l);
		assert_in_range(layout_off(l, LAYOUT_G_SIZE), 300, 1000);
		assert_int_equal(layout_off(l, LAYOUT_G_STACK_LO), 0);
		assert_int_equal(layout_off(l, LAYOUT_G_STACK_HI), 8);
		assert_int_equal(layout_off(l, LAYOUT_G_GOID) % 8, 0);
		assert_int_equal(layout_off(l, LAYOUT_G_ATOMICSTATUS) % 4, 0);
		assert_true(layout_off(l, LAYOUT_G_GOPC) > layout_off(l, LAYOUT_G_GOID));
		assert_true(layout_off(l, LAYOUT_P_GOIDCACHE) + 8 ==
			    layout_off(l, LAYOUT_P_GOIDCACHEEND));
		assert_true(layout_off(l, LAYOUT_MODULEDATA_ETEXT) ==
			    layout_off(l, LAYOUT_MODULEDATA_TEXT) + 8);
	}
}

static void rows_are_in_order(void **state)
{
	(void)state;
	for (int i = 1; i < layout_nrows; i++) {
		const struct layout *a = &layout_rows[i - 1], *b = &layout_rows[i];

		if (!strcmp(a->arch, b->arch))
			assert_true(a->minor < b->minor ||
				    (a->minor == b->minor && a->patch < b->patch));
		else
			assert_true(strcmp(a->arch, b->arch) < 0);
	}
}

/* runtime2.go of the releases. */
static void fields_that_moved_are_where_they_were(void **state)
{
	(void)state;
	assert_int_equal(layout_off(find("amd64", 18, 10), LAYOUT_G_GOID), 152);
	assert_int_equal(layout_off(find("amd64", 23, 12), LAYOUT_G_GOID), 160); /* syscallbp */
	assert_int_equal(layout_off(find("arm64", 24, 13), LAYOUT_G_GOID), 160);
	assert_int_equal(layout_off(find("amd64", 25, 0), LAYOUT_G_GOID), 152); /* gobuf.ret gone */
	assert_int_equal(layout_off(find("amd64", 20, 14), LAYOUT_G_PARENTGOID), LAYOUT_ABSENT);
	assert_int_equal(layout_off(find("amd64", 21, 0), LAYOUT_G_PARENTGOID), 272);
	assert_int_equal(layout_off(find("amd64", 23, 0), LAYOUT_WORK_CYCLES), 392);
	assert_int_equal(layout_off(find("amd64", 23, 4), LAYOUT_WORK_CYCLES), 424);
	assert_int_equal(layout_off(find("amd64", 24, 5), LAYOUT_M_ALLLINK), 328);
	assert_int_equal(layout_off(find("amd64", 24, 6), LAYOUT_M_ALLLINK), 352);
	assert_int_equal(layout_off(find("amd64", 24, 13), LAYOUT_SCHED_GFREE_N), 184);
	assert_int_equal(layout_off(find("amd64", 25, 0), LAYOUT_SCHED_GFREE_N), LAYOUT_ABSENT);
	assert_true(layout_off(find("amd64", 25, 12), LAYOUT_SCHED_GOROUTINESCREATED) ==
		    LAYOUT_ABSENT);
	assert_true(layout_off(find("amd64", 26, 0), LAYOUT_SCHED_GOROUTINESCREATED) > 0);
}

static void assert_reason(int minor, int patch, unsigned int reason, const char *words)
{
	const char *got = layout_wait_reason(find("amd64", minor, patch), reason);

	if (!words) {
		assert_null(got);
		return;
	}
	assert_non_null(got);
	assert_string_equal(got, words);
}

static void wait_reasons_are_those_of_the_release(void **state)
{
	(void)state;
	assert_reason(18, 10, 0, "");
	assert_reason(18, 10, 14, "chan receive");
	assert_reason(25, 12, 14, "chan receive");
	assert_reason(26, 0, 19, "chan receive"); /* renumbered */
	assert_reason(26, 0, 14, "sleep");
	assert_reason(22, 0, 36, "coroutine");
	assert_reason(23, 0, 37, NULL);
	assert_reason(23, 4, 37, "GC weak to strong wait");
	assert_reason(27, 4, 1000, NULL);
	assert_reason(27, 4, ~0u, NULL);
}

/* runtime/symtab.go up to 1.20, internal/abi/symtab.go since. */
static void function_ids_are_those_of_the_release(void **state)
{
	static const struct {
		int minor, patch, wrapper, goexit, systemstack, mcall, sigpanic;
	} want[] = {
		{ 18, 10, 21, 7, 19, 11, 18 }, { 21, 13, 21, 7, 19, 11, 18 },
		{ 22, 12, 22, 8, 20, 12, 19 }, { 25, 0, 23, 8, 21, 12, 20 },
		{ 27, 4, 23, 8, 21, 12, 20 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct layout *l = find("amd64", want[i].minor, want[i].patch);

		assert_int_equal(l->func_id_wrapper, want[i].wrapper);
		assert_int_equal(l->func_id_goexit, want[i].goexit);
		assert_int_equal(l->func_id_systemstack, want[i].systemstack);
		assert_int_equal(l->func_id_mcall, want[i].mcall);
		assert_int_equal(l->func_id_sigpanic, want[i].sigpanic);
	}
}

static void field_names(void **state)
{
	(void)state;
	assert_string_equal(layout_field_name(LAYOUT_G_GOID), "runtime.g.goid");
	assert_string_equal(layout_field_name(LAYOUT_G_SIZE), "runtime.g");
	assert_string_equal(layout_field_name(LAYOUT_SCHED_GFREE_STACK_SIZE),
			    "runtime.schedt.gFree.stack.size");
	assert_string_equal(layout_field_name(LAYOUT_COUNT), "?");
	for (int f = 0; f < LAYOUT_COUNT; f++)
		assert_non_null(layout_field_name(f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_row_not_newer_than_release),
		cmocka_unit_test(finds_first_row_of_minor_without_patch),
		cmocka_unit_test(beyond_the_table_is_the_newest_row),
		cmocka_unit_test(nothing_before_1_18_or_for_other_machines),
		cmocka_unit_test(rows_are_plausible),
		cmocka_unit_test(rows_are_in_order),
		cmocka_unit_test(fields_that_moved_are_where_they_were),
		cmocka_unit_test(wait_reasons_are_those_of_the_release),
		cmocka_unit_test(function_ids_are_those_of_the_release),
		cmocka_unit_test(field_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
