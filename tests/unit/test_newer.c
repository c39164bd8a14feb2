/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a release beyond the table of layouts must show, asked of every release
 * that the table has: all of them pass, by their own words.  The memory is the
 * executable, as it is before the program runs.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gort/goruntime_priv.h"
#include "prove/newer.h"
#include "releases.h"

#define FIRST_JUDGED 20 /* 1.20 */

struct file {
	struct memreader mem;
	struct gobin *gb;
	struct goruntime rt;
};

static int file_read(struct memreader *m, struct mem_piece *p, size_t n)
{
	struct file *f = (struct file *)m;
	int failed = 0;

	for (size_t i = 0; i < n; i++) {
		p[i].status =
			image_read_addr(&f->gb->image, p[i].addr, p[i].dst, p[i].len) ? -EFAULT : 0;
		failed += p[i].status != 0;
	}
	return failed;
}

static const struct memreader_ops file_ops = { file_read, NULL };

static void file_open(struct file *f, const char *release, const char *variant)
{
	char path[512];

	memset(f, 0, sizeof(*f));
	if (!program_path(path, sizeof(path), "work-%s-%s", release, variant))
		skip();
	assert_int_equal(gobin_open(&f->gb, path, NULL), 0);
	f->mem.ops = &file_ops;
	f->rt = (struct goruntime){ .gb = f->gb, .mem = &f->mem };
	f->gb->layout_is_newer = true;
}

static void check(const char *release, const char *variant)
{
	const struct layout *known;
	struct file f;

	file_open(&f, release, variant);
	known = f.gb->layout;
	assert_int_equal(goreasons_learn(&f.rt), 0);
	assert_ptr_not_equal(f.gb->layout, known);
	assert_true(f.gb->layout->n_wait_reason >= known->n_wait_reason);
	for (int i = 0; i < known->n_wait_reason; i++)
		assert_string_equal(layout_wait_reason(f.gb->layout, (unsigned int)i),
				    known->wait_reason[i]);
	if (f.gb->release.minor >= FIRST_JUDGED && newer_misfit(&f.rt))
		fail_msg("%s %s: %s", release, variant, newer_misfit(&f.rt));
	gobin_free(f.gb);
}

static void every_release(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(releases); i++)
		check(releases[i], "stripped");
}

static void every_variant(void **state)
{
	(void)state;
	check("newest", "pie");
	check("newest", "cgo");
	check("newest", "race");
	check("1.20", "pie");
}

static void reasons_that_are_not_there(void **state)
{
	struct goroutine g = { .status = GO_WAITING, .wait_reason = 9 };
	const struct layout *known;
	struct file f;

	(void)state;
	file_open(&f, "newest", "stripped");
	known = f.gb->layout;
	f.gb->mod.edata = f.gb->mod.data;
	assert_int_equal(goreasons_learn(&f.rt), -ENOENT);
	f.gb->mod.edata = f.gb->mod.data + (1ull << 40); /* of a hostile file */
	assert_int_equal(goreasons_learn(&f.rt), -ENOENT);
	assert_ptr_equal(f.gb->layout, known);
	goruntime_off(&f.rt, FACT_REASONS, "not found");
	assert_string_equal(goroutine_state(&f.rt, &g), "waiting");
	assert_string_equal(newer_misfit(&f.rt), "not found");
	gobin_free(f.gb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_release),
		cmocka_unit_test(every_variant),
		cmocka_unit_test(reasons_that_are_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
