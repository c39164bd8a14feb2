/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Executables that are damaged, from fixed seeds, on copies in memory; worth most
 * under AddressSanitizer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "gobin/argslots.h"
#include "gobin/gobin.h"
#include "gobin_open.h"
#include "tiny_elf.h"

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

struct damage {
	uint64_t opened, refused; /* how the damaged ones were taken */
};

/* Everything that reads the tables, on a program that opened. */
static void use_everything(struct gobin *gb)
{
	int n = pclntab_nfunc(gb->pcln), step = n / 40 + 1;

	for (int i = 0; i < n; i += step) {
		struct argslots slots;
		struct goframe fr[16];
		struct gofunc f;
		int32_t v;
		uint64_t a;

		if (pclntab_func_at(gb->pcln, (uint32_t)i, &f))
			continue;
		assert_non_null(f.name);
		for (int k = 0; k < 4; k++) {
			uint64_t pc = f.entry + (f.end - f.entry) * (uint64_t)k / 4;
			int got = pclntab_frames(gb->pcln, pc, k & 1, fr, 16);

			assert_true(got <= 16 && got != 0);
			while (got-- > 0)
				assert_true(fr[got].function && fr[got].path && fr[got].file &&
					    fr[got].line >= 0);
			(void)pclntab_frame_size(gb->pcln, pc, &v);
			(void)pclntab_pcdata(gb->pcln, pc, 0, &v);
			(void)pclntab_funcdata(gb->pcln, pc, 1, &a);
			(void)gobin_arg_slots(gb, pc, k & 1, &slots);
			(void)gobin_arg_from_sp(gb, pc, 0, &v);
		}
		assert_non_null(gobin_start_name(gb, f.entry));
		(void)gobin_go_place(gb, f.entry + 5, &fr[0]);
	}
}

/* Opens what fd holds: it works, or it says why not; and it does not take long. */
static void try_damaged(struct damage *d, int fd)
{
	struct err err = { 0 };
	uint64_t began = clock_self_cpu_ns();
	struct gobin *gb;
	int ret;

	ret = gobin_open_fd(&gb, fd, &err);
	if (ret) {
		d->refused++;
		assert_null(gb);
		if (ret != -EBADMSG && ret != -ENOEXEC)
			fail_msg("%d: %s", ret, err.what);
		assert_int_equal(err.code, ret);
		assert_true(err.what[0]);
	} else {
		d->opened++;
		use_everything(gb);
		gobin_free(gb);
	}
	assert_true(clock_self_cpu_ns() - began < 5 * NS_PER_S);
}

/* The values that break parsers, and some at random. */
static uint64_t bad_value(int k, uint64_t was, int bytes)
{
	const uint64_t top = 1ull << (8 * bytes - 1);

	switch (k) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return top;
	case 3:
		return top - 1;
	case 4:
		return was + 1;
	case 5:
		return was - 1;
	case 6:
		return was * 2;
	case 7:
		return was ^ top;
	case 8:
		return 0xfffffff0u;
	default:
		return next_random();
	}
}

#define BAD_VALUES 11

/* One field, with every bad value in turn; the file is as before afterwards. */
static void damage_field(struct damage *d, int fd, const uint8_t *file, uint64_t off, int bytes)
{
	uint64_t was = 0;

	for (int i = 0; i < bytes; i++)
		was |= (uint64_t)file[off + (uint64_t)i] << 8 * i;
	for (int k = 0; k < BAD_VALUES; k++) {
		uint64_t v = bad_value(k, was, bytes);
		uint8_t raw[8];

		for (int i = 0; i < bytes; i++)
			raw[i] = (uint8_t)(v >> 8 * i);
		assert_int_equal(pwrite(fd, raw, (size_t)bytes, (off_t)off), bytes);
		try_damaged(d, fd);
	}
	assert_int_equal(pwrite(fd, file + off, (size_t)bytes, (off_t)off), bytes);
}

static void damage_headers(struct damage *d, int fd, const uint8_t *file)
{
	static const struct {
		uint8_t off, bytes;
	} ehdr[] = {
		{ 4, 1 },  { 5, 1 },  { 16, 2 }, { 18, 2 }, { 32, 8 }, { 40, 8 },
		{ 54, 2 }, { 56, 2 }, { 58, 2 }, { 60, 2 }, { 62, 2 },
	};
	uint64_t i, phoff = load_u64(file + 32), shoff = load_u64(file + 40);
	size_t k;

	for (k = 0; k < ARRAY_SIZE(ehdr); k++)
		damage_field(d, fd, file, ehdr[k].off, ehdr[k].bytes);
	for (i = 0; i < load_u16(file + 56); i++) {
		damage_field(d, fd, file, phoff + i * 56, 4);
		for (k = 8; k < 56; k += 8)
			damage_field(d, fd, file, phoff + i * 56 + k, 8);
	}
	for (i = 0; shoff && i < load_u16(file + 60); i += 3) {
		damage_field(d, fd, file, shoff + i * 64, 4);
		for (k = 16; k < 40; k += 8)
			damage_field(d, fd, file, shoff + i * 64 + k, 8);
	}
}

static void damage_pclntab(struct damage *d, int fd, const uint8_t *file, uint64_t header)
{
	uint64_t funcs = header + load_u64(file + header + 64), n = load_u64(file + header + 8), i,
		 k;

	damage_field(d, fd, file, header, 4);
	damage_field(d, fd, file, header + 4, 4);
	for (i = 8; i < 72; i += 8)
		damage_field(d, fd, file, header + i, 8);
	for (i = 0; i < 6; i++) {
		uint64_t at = next_random() % n, func = load_u32(file + funcs + 8 * at + 4);

		damage_field(d, fd, file, funcs + 8 * at, 4);
		damage_field(d, fd, file, funcs + 8 * at + 4, 4);
		/* entryOff, nameOff … nfuncdata, and the pcdata and funcdata after them */
		for (k = 0; k < 72; k += 4)
			damage_field(d, fd, file, funcs + func + k, 4);
	}
	damage_field(d, fd, file, funcs + 8 * n, 4);
}

static void damage_words(struct damage *d, int fd, const uint8_t *file, uint64_t off, size_t size)
{
	for (size_t k = 0; k < size; k += 8)
		damage_field(d, fd, file, off + k, 8);
}

static void damage_program(const char *path)
{
	struct damage d = { 0, 0 };
	struct gobin *gb = open_ok(path);
	uint64_t header, md, info = 0;
	uint8_t *file, *found;
	size_t size;
	int fd;

	file = load_file(path, &size);
	fd = memfd_of(file, size);
	assert_int_equal(image_addr_to_off(&gb->image, gb->mod.pclntab, &header), 0);
	assert_int_equal(image_addr_to_off(&gb->image, gb->mod.addr, &md), 0);
	found = memmem(file, size, "\xff Go buildinf:\x08\x02", 16);
	assert_non_null(found);
	info = (uint64_t)(found - file);
	gobin_free(gb);
	random_state = 0x9e3779b97f4a7c15ull;
	damage_headers(&d, fd, file);
	damage_pclntab(&d, fd, file, header);
	damage_words(&d, fd, file, md, 600);
	damage_words(&d, fd, file, info, 64);
	print_message("%s: %llu damaged copies refused, %llu opened\n", strrchr(path, '/') + 1,
		      (unsigned long long)d.refused, (unsigned long long)d.opened);
	assert_true(d.refused > 300 && d.opened > 300);
	close(fd);
	free(file);
}

static void test_damaged_programs(void **state)
{
	static const char *const which[] = { "oldest-stripped", "1.24-pie", "newest-stripped" };
	char path[4096];
	struct rusage before, after;
	size_t i;

	(void)state;
	getrusage(RUSAGE_SELF, &before);
	for (i = 0; i < ARRAY_SIZE(which); i++)
		if (find_program(path, sizeof(path), "work-%s", which[i]))
			damage_program(path);
	getrusage(RUSAGE_SELF, &after);
	print_message("at most %ld KB of memory (%ld before)\n", after.ru_maxrss, before.ru_maxrss);
#ifndef __SANITIZE_ADDRESS__
	assert_true(after.ru_maxrss < 64 * 1024);
#endif
	skip_if_missing();
}

static void test_truncated_program(void **state)
{
	struct damage d = { 0, 0 };
	char path[4096];
	uint8_t *file;
	size_t size, i;
	int fd;

	(void)state;
	if (!find_program(path, sizeof(path), "work-newest-stripped"))
		skip();
	file = load_file(path, &size);
	fd = memfd_of(file, size);
	for (i = 100; i > 0; i--) {
		assert_int_equal(ftruncate(fd, (off_t)(size * i / 100 - i % 7)), 0);
		try_damaged(&d, fd);
	}
	/* only section headers are beyond the last segment */
	assert_true(d.refused > 90);
	close(fd);
	free(file);
}

/* The file shrinks after it was opened: errors, no signal. */
static void test_shrinks_while_open(void **state)
{
	struct err err = { 0 };
	struct gobin *gb;
	char path[4096];
	uint8_t *file;
	size_t size;
	int fd;

	(void)state;
	if (!find_program(path, sizeof(path), "work-newest-stripped"))
		skip();
	file = load_file(path, &size);
	fd = memfd_of(file, size);
	assert_int_equal(gobin_open_fd(&gb, fd, &err), 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(image_read(&gb->image, 0, file, size), -EBADMSG);
	use_everything(gb); /* some of it may be in the block cache still */
	gobin_free(gb);
	close(fd);
	free(file);
}

/* Every byte of the small program, and every length of it. */
static void test_every_byte_of_a_tiny_program(void **state)
{
	static const uint8_t masks[] = { 0x01, 0x80, 0xff, 0x10 };
	struct damage d = { 0, 0 };
	struct tiny t;
	size_t i, k;

	(void)state;
	for (int minor = 19; minor <= 27; minor += 4) {
		int fd;

		tiny_make(&t, minor, "go1.27.1", modinfo);
		fd = memfd_of(t.data, t.size);
		for (i = 0; i < t.size; i++) {
			for (k = 0; k < ARRAY_SIZE(masks); k++) {
				uint8_t b = t.data[i] ^ masks[k];

				assert_int_equal(pwrite(fd, &b, 1, (off_t)i), 1);
				try_damaged(&d, fd);
			}
			assert_int_equal(pwrite(fd, &t.data[i], 1, (off_t)i), 1);
		}
		for (i = t.size; i > 0; i--) {
			assert_int_equal(ftruncate(fd, (off_t)i), 0);
			try_damaged(&d, fd);
		}
		close(fd);
	}
	assert_true(d.refused > 1000 && d.opened > 1000);
}

/* An inline tree that leads back to itself ends in an error, not in a loop. */
static void test_inline_cycle(void **state)
{
	struct goframe fr[8];
	struct gobin *gb;
	struct tiny t;

	(void)state;
	tiny_make(&t, 24, "go1.24.1", "");
	tiny_set(&t, t.gofunc + 8, 0x15, 4); /* main.leaf, inlined into itself */
	gb = open_tiny(&t);
	assert_int_equal(pclntab_frames(gb->pcln, TINY_TEXT + 0x15, false, fr, 8), -EBADMSG);
	assert_int_equal(pclntab_frames(gb->pcln, TINY_TEXT, false, fr, 8), 1);
	gobin_free(gb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_damaged_programs, start_counting),
		cmocka_unit_test_setup(test_truncated_program, start_counting),
		cmocka_unit_test_setup(test_shrinks_while_open, start_counting),
		cmocka_unit_test(test_every_byte_of_a_tiny_program),
		cmocka_unit_test(test_inline_cycle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
