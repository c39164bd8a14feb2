/* SPDX-License-Identifier: BSD-2-Clause */
/* Executables of every Go release: what is read of them, and what is no Go program. */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <setjmp.h>

#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cursor.h"
#include "gobin/gobin.h"
#include "gobin_open.h"
#include "tiny_elf.h"
#include "releases.h"

static const char *const variants[] = {
	"1.20-pie",       "1.20-cgo",     "1.20-race",  "1.24-pie",     "1.24-cgo",
	"1.24-race",      "newest-pie",   "newest-cgo", "newest-race",  "newest-staticpie",
	"usual-trimpath", "oldest-plain", "1.21-plain", "newest-plain",
};

/* --- whole programs ------------------------------------------------------- */

static bool in_variables(const struct moduledata *m, uint64_t a)
{
	return (a >= m->noptrdata && a < m->enoptrdata) || (a >= m->data && a < m->edata) ||
	       (a >= m->bss && a < m->ebss) || (a >= m->noptrbss && a < m->enoptrbss) ||
	       a == m->addr;
}

static void check_globals(struct gobin *gb, const char *path)
{
	for (int g = 0; g < GLOBAL_COUNT; g++) {
		if (!is_looked_for(gb, g))
			continue;
		if (!gb->global[g])
			fail_msg("%s: %s: %s", path, goglobal_name(g), gb->global_why[g]);
		assert_null(gb->global_why[g]);
		assert_true(in_variables(&gb->mod, gb->global[g]));
	}
	assert_int_equal(gb->global[GLOBAL_FIRSTMODULEDATA], gb->mod.addr);
}

/* The layout table, made from DWARF, says where the same words of moduledata are. */
static void check_layout(struct gobin *gb)
{
	const struct {
		enum layout_field f;
		uint64_t value;
	} words[] = {
		{ LAYOUT_MODULEDATA_TEXT, gb->mod.text },
		{ LAYOUT_MODULEDATA_ETEXT, gb->mod.etext },
		{ LAYOUT_MODULEDATA_NOPTRDATA, gb->mod.noptrdata },
		{ LAYOUT_MODULEDATA_BSS, gb->mod.bss },
		{ LAYOUT_MODULEDATA_END, gb->mod.end },
		{ LAYOUT_MODULEDATA_GCBSS, gb->mod.gcbss },
		{ LAYOUT_MODULEDATA_TYPES, gb->mod.types },
		{ LAYOUT_MODULEDATA_ETYPES, gb->mod.etypes },
		{ LAYOUT_MODULEDATA_RODATA, gb->mod.rodata },
		{ LAYOUT_MODULEDATA_GOFUNC, gb->mod.gofunc },
		{ LAYOUT_MODULEDATA_NEXT, gb->mod.next },
	};
	size_t i;

	assert_non_null(gb->layout);
	assert_false(gb->layout_is_newer);
	assert_int_equal(gb->layout->minor, gb->release.minor);
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		int32_t off = layout_off(gb->layout, words[i].f);
		uint8_t raw[8];

		assert_true(off >= 0);
		assert_int_equal(image_read_addr(&gb->image, gb->mod.addr + (uint64_t)off, raw, 8),
				 0);
		if (words[i].value != load_u64(raw))
			fail_msg("1.%d: %s: %llx, by the layout %llx", gb->release.minor,
				 layout_field_name(words[i].f), (unsigned long long)words[i].value,
				 (unsigned long long)load_u64(raw));
	}
	assert_true(gb->mod.types < gb->mod.etypes);
	assert_non_null(image_segment_at(&gb->image, gb->mod.gofunc));
}

/* Type arguments are "[...]", as Go prints them. */
static void check_shown_name(const char *shown, const char *name)
{
	const char *open = strchr(name, '['), *close = strrchr(name, ']');
	size_t head = open ? (size_t)(open - name) : 0;

	if (!open || !close) {
		assert_string_equal(shown, name);
		return;
	}
	assert_memory_equal(shown, name, head);
	assert_memory_equal(shown + head, "[...]", 5);
	assert_string_equal(shown + head + 5, close + 1);
}

/* Every function of the program decodes, in order, with lines and frame sizes. */
static void check_all_functions(struct gobin *gb)
{
	int n = pclntab_nfunc(gb->pcln), inlined = 0, with_line = 0;
	uint64_t last = 0;

	assert_in_range(n, 1500, 100000);
	for (int i = 0; i < n; i++) {
		struct goframe frames[64];
		struct gofunc f, again;
		int k, step;

		assert_int_equal(pclntab_func_at(gb->pcln, (uint32_t)i, &f), 0);
		assert_true(f.entry >= last && f.end >= f.entry && f.name[0]);
		last = f.entry;
		if (f.end == f.entry)
			continue;
		assert_int_equal(pclntab_find_pc(gb->pcln, f.entry, &again), 0);
		assert_int_equal(again.index, f.index);
		step = (int)((f.end - f.entry) / 7) + 1;
		for (uint64_t pc = f.entry; pc < f.end; pc += (uint64_t)step) {
			k = pclntab_frames(gb->pcln, pc, false, frames, 64);
			assert_in_range(k, 1, 64);
			check_shown_name(frames[k - 1].function, f.name);
			assert_false(frames[k - 1].inlined);
			inlined += k > 1;
			with_line += frames[0].line > 0 && frames[0].file[0];
		}
	}
	assert_int_equal(pclntab_func_at(gb->pcln, (uint32_t)n, &(struct gofunc){ 0 }), -ENOENT);
	assert_true(inlined > 300);
	assert_true(with_line > n);
}

static void check_main(struct gobin *gb, const char *path)
{
	struct goframe fr[8];
	struct gofunc f;
	int32_t size;

	if (pclntab_find_name(gb->pcln, "main.main", &f))
		fail_msg("%s: no main.main", path);
	assert_int_equal(pclntab_frames(gb->pcln, f.entry, false, fr, 8), 1);
	assert_string_equal(fr[0].function, "main.main");
	assert_string_equal(fr[0].file, "main.go");
	assert_true(fr[0].line > 1);
	assert_int_equal(pclntab_frame_size(gb->pcln, f.entry, &size), 0);
	if (gb->image.machine == EM_X86_64)
		assert_int_equal(size, 0);
	assert_int_equal(pclntab_find_name(gb->pcln, "main.mai", &f), -ENOENT);
	assert_int_equal(pclntab_find_name(gb->pcln, "", &f), -ENOENT);
	assert_int_equal(pclntab_find_pc(gb->pcln, gb->mod.text - 1, &f), -ENOENT);
	assert_int_equal(pclntab_find_pc(gb->pcln, gb->mod.maxpc, &f), -ENOENT);
}

/* The names that the tracer needs; newproc and goexit1 have ABI wrappers beside the body. */
static void check_names(struct gobin *gb)
{
	static const char *const names[] = {
		"runtime.newproc",
		"runtime.newproc.func1",
		"runtime.goexit1",
		"runtime.gopark",
		"runtime.(*mcache).allocLarge",
		"runtime.gcStart",
		"runtime.gcMarkTermination",
		"runtime.no such function",
		"runtime.newproc",
		"runtime.goexit",
	};
	struct gofunc out[ARRAY_SIZE(names)], one;
	size_t i;

	assert_int_equal(pclntab_find_names(gb->pcln, names, ARRAY_SIZE(names), out), 0);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (i == 7) {
			assert_int_equal(out[i].entry, 0);
			continue;
		}
		assert_true(out[i].entry != 0);
		assert_string_equal(out[i].name, names[i]);
		assert_false(out[i].is_wrapper);
		assert_int_equal(pclntab_find_name(gb->pcln, names[i], &one), 0);
		assert_int_equal(one.entry, out[i].entry);
	}
	assert_int_equal(out[0].entry, out[8].entry);
}

static void check_system_starts(struct gobin *gb)
{
	static const struct {
		const char *name;
		bool uncounted;
	} starts[] = {
		{ "runtime.main", false },         { "runtime.bgsweep", true },
		{ "runtime.bgscavenge", true },    { "runtime.gcBgMarkWorker", true },
		{ "runtime.forcegchelper", true }, { "runtime.corostart", false },
		{ "runtime.runfinq", true },       { "runtime.runFinalizers", true },
		{ "runtime.runCleanups", true },   { "main.main", false },
	};
	size_t i, found = 0;

	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		struct gofunc f;

		if (pclntab_find_name(gb->pcln, starts[i].name, &f))
			continue;
		found++;
		assert_int_equal(gobin_is_uncounted_start(gb, f.entry), starts[i].uncounted);
		assert_string_equal(gobin_start_name(gb, f.entry), starts[i].name);
	}
	assert_true(found >= 6);
	assert_string_equal(gobin_start_name(gb, 1), "?");
	assert_false(gobin_is_uncounted_start(gb, 1));
}

static void check_program(const char *path, const char *release)
{
	struct gobin *gb = open_ok(path);
	char version[32];

	snprintf(version, sizeof(version), "go%s", release);
	assert_string_equal(gb->build.version, version);
	assert_true(gb->build.present);
	assert_false(gb->release_is_dated);
	assert_string_equal(gb->build.main_path, gb->build.module);
	assert_int_equal(gb->release.minor, atoi(release + 2));
	assert_int_equal(gb->release.patch, atoi(strrchr(release, '.') + 1));
	assert_true(gb->image.go_build_id[0]);
	check_main(gb, path);
	check_names(gb);
	check_layout(gb);
	check_system_starts(gb);
	check_all_functions(gb);
	if (gb->arch)
		check_globals(gb, path);
	gobin_free(gb);
}

static void test_every_release(void **state)
{
	char path[4096];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(releases); i++)
		if (find_program(path, sizeof(path), "work-%s-stripped", releases[i]))
			check_program(path, releases[i]);
	skip_if_missing();
}

static void test_every_variant(void **state)
{
	char path[4096], release[16];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(variants); i++) {
		snprintf(release, sizeof(release), "%.*s", (int)strcspn(variants[i], "-"),
			 variants[i]);
		if (find_program(path, sizeof(path), "work-%s", variants[i]))
			check_program(path, release_named(release));
	}
	skip_if_missing();
}

static void test_arm64_parses_without_decoder(void **state)
{
	static const char *const which[] = { "oldest", "newest" };
	char path[4096];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(which); i++) {
		struct gobin *gb;

		if (!find_program(path, sizeof(path), "work-%s-arm64", which[i]))
			continue;
		check_program(path, release_named(which[i]));
		gb = open_ok(path);
		assert_int_equal(gb->image.machine, EM_AARCH64);
		assert_string_equal(gb->layout->arch, "arm64");
		assert_int_equal(gb->global[GLOBAL_FIRSTMODULEDATA], gb->mod.addr);
		gobin_free(gb);
	}
	skip_if_missing();
}

static void test_build_settings(void **state)
{
	char path[4096];
	struct gobin *gb;

	(void)state;
	if (find_program(path, sizeof(path), "work-newest-race")) {
		gb = open_ok(path);
		assert_true(gb->build.race && gb->build.cgo && !gb->build.no_optimize);
		gobin_free(gb);
	}
	if (find_program(path, sizeof(path), "work-usual-noopt")) {
		gb = open_ok(path);
		assert_true(gb->build.no_optimize);
		assert_false(gb->build.race || gb->build.cgo);
		gobin_free(gb);
	}
	if (find_program(path, sizeof(path), "work-newest-pie")) {
		gb = open_ok(path);
		assert_true(gb->image.is_pie && gb->image.is_stripped);
		gobin_free(gb);
	}
	if (find_program(path, sizeof(path), "work-newest-plain")) {
		gb = open_ok(path);
		assert_false(gb->image.is_pie || gb->image.is_stripped || gb->image.is_dynamic);
		gobin_free(gb);
	}
	skip_if_missing();
}

/* The return address of the first call of `callee` in a function, or 0. */
static uint64_t return_of_call(struct gobin *gb, const struct gofunc *f, const char *callee)
{
	uint8_t code[8192];
	size_t len = f->end - f->entry, pos;
	struct insn in;

	assert_true(len <= sizeof(code));
	assert_int_equal(image_read_addr(&gb->image, f->entry, code, len), 0);
	for (pos = 0; pos < len; pos += in.len) {
		struct gofunc to;

		assert_int_equal(
			gb->arch->decode(code + pos, len - pos, f->entry + pos, false, &in), 0);
		if (in.flow == FLOW_CALL && !pclntab_find_pc(gb->pcln, in.target, &to) &&
		    !strcmp(to.name, callee))
			return f->entry + pos + in.len;
	}
	return 0;
}

/* The number of the line after `from` that has the text, from the program's own source. */
static int source_line(const char *file, const char *from, const char *text)
{
	char path[4096], line[1024];
	bool seen = false;
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "tests/progs/work/%s", file);
	f = fopen(path, "r");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		n++;
		seen |= strstr(line, from) != NULL;
		if (seen && strstr(line, text)) {
			fclose(f);
			return n;
		}
	}
	fclose(f);
	return -1;
}

/* Places of `go` statements as the source has them, in every release. */
static void test_go_places(void **state)
{
	static const struct {
		const char *func, *text;
	} sites[] = {
		{ "main.bornNamed", "go bodyNamed()" },   { "main.bornArgs", "go bodyArgs(" },
		{ "main.bornMethod", "go w.run(" },       { "main.bornInlined", "go bodySmall(" },
		{ "main.bornGoexit", "go bodyGoexit()" },
	};
	char path[4096], from[64];
	size_t i, k;

	(void)state;
	if (!source_line("births.go", "package", "package")) {
		print_message("not run from the top of the tree: tests/progs/work is not there\n");
		skip();
	}
	for (i = 0; i < ARRAY_SIZE(releases); i++) {
		struct gobin *gb;

		if (!find_program(path, sizeof(path), "work-%s-stripped", releases[i]))
			continue;
		gb = open_ok(path);
		for (k = 0; k < ARRAY_SIZE(sites); k++) {
			struct goframe place;
			struct gofunc f;
			uint64_t gopc;

			assert_int_equal(pclntab_find_name(gb->pcln, sites[k].func, &f), 0);
			gopc = return_of_call(gb, &f, "runtime.newproc");
			assert_true(gopc != 0);
			assert_int_equal(gobin_go_place(gb, gopc, &place), 0);
			assert_string_equal(place.function, sites[k].func);
			assert_string_equal(place.file, "births.go");
			snprintf(from, sizeof(from), "func %s(", sites[k].func + 5);
			assert_int_equal(place.line, source_line("births.go", from, sites[k].text));
			assert_false(goframe_is_runtime(&place) || goframe_is_std(&place));
		}
		assert_int_equal(gobin_go_place(gb, 0, &(struct goframe){ 0 }), -ENOENT);
		gobin_free(gb);
	}
	skip_if_missing();
}

/* The wrappers that the compiler makes for `go f(args)` show f. */
static void test_start_names(void **state)
{
	static const struct {
		const char *site, *body;
	} starts[] = {
		{ "main.bornArgs", "main.bodyArgs" },
		{ "main.bornInlined", "main.bodySmall" },
		{ "main.bornMethod", "main.(*worker).run" },
	};
	char path[4096];
	size_t i, k;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(releases); i++) {
		struct gobin *gb;

		if (!find_program(path, sizeof(path), "work-%s-stripped", releases[i]))
			continue;
		gb = open_ok(path);
		for (k = 0; k < ARRAY_SIZE(starts); k++) {
			char wrapper[64];
			struct gofunc f;

			/* gowrapN since 1.22, funcN before */
			snprintf(wrapper, sizeof(wrapper), "%s.%s1", starts[k].site,
				 gb->release.minor >= 22 ? "gowrap" : "func");
			assert_int_equal(pclntab_find_name(gb->pcln, wrapper, &f), 0);
			assert_true(f.is_wrapper);
			assert_string_equal(gobin_start_name(gb, f.entry), starts[k].body);
			assert_string_equal(gobin_start_name(gb, f.entry), starts[k].body);
		}
		gobin_free(gb);
	}
	skip_if_missing();
}

/* --- what is no Go program ------------------------------------------------ */

static void expect_fd(int fd, int code, const char *words)
{
	struct err err = { 0 };
	struct gobin *gb;
	int ret = gobin_open_fd(&gb, fd, &err);

	if (ret != code || !strstr(err.what, words))
		fail_msg("%d '%s', not %d '%s'", ret, err.what, code, words);
	assert_null(gb);
	close(fd);
}

static void expect_bytes(const void *p, size_t n, int code, const char *words)
{
	expect_fd(memfd_of(p, n), code, words);
}

static void test_refusals(void **state)
{
	uint8_t *name;
	struct tiny t;

	(void)state;
	expect_bytes("", 0, -ENOEXEC, "not an ELF executable");
	expect_bytes("#!/bin/sh\n", 10, -ENOEXEC, "not an ELF executable");
	tiny_make(&t, 24, "go1.24.1", "");
	expect_bytes(t.data, 63, -ENOEXEC, "not an ELF executable");
	t.data[4] = 1;
	expect_bytes(t.data, t.size, -ENOEXEC, "32-bit");
	t.data[4] = 2;
	t.data[5] = 2;
	expect_bytes(t.data, t.size, -ENOEXEC, "big-endian");
	t.data[5] = 1;
	t.data[16] = 1;
	expect_bytes(t.data, t.size, -ENOEXEC, "not an executable");
	t.data[16] = 2;
	t.data[t.pclntab] = 0xfa; /* 1.16's magic */
	expect_bytes(t.data, t.size, -ENOEXEC, "before 1.18");
	tiny_make(&t, 24, "go1.17.13", "");
	expect_bytes(t.data, t.size, -ENOEXEC, "go1.17.13");
	tiny_make(&t, 24, "go1.24.1", "");
	memset(t.data + t.pclntab, 0, 8);
	expect_bytes(t.data, t.size, -ENOEXEC, "not a Go program");
	memcpy(t.data + t.size - 36, "UPX!", 4);
	expect_bytes(t.data, t.size, -ENOEXEC, "packed with UPX");
	tiny_make(&t, 24, "unknown", ""); /* no version, and nothing to date it by */
	while ((name = memmem(t.data, t.size, "runtime.newproc", 15)))
		memcpy(name + 8, "?\0?\0?\0?", 7);
	expect_bytes(t.data, t.size, -ENOEXEC, "names");
	tiny_make(&t, 24, "go1.24.1", "");
	t.data[t.pclntab + 11] = 0xff; /* nfunc */
	expect_bytes(t.data, t.size, -EBADMSG, "damaged");
}

static void test_no_regular_file(void **state)
{
	char dir[] = "/tmp/gobin.XXXXXX", fifo[64];
	struct err err = { 0 };
	struct gobin *gb;
	int fds[2];

	(void)state;
	assert_int_equal(gobin_open(&gb, "/dev/null", &err), -ENOEXEC);
	assert_non_null(strstr(err.what, "not a regular file"));
	assert_int_equal(gobin_open(&gb, "/tmp", &err), -ENOEXEC);
	assert_int_equal(gobin_open(&gb, "/nonexistent", &err), -ENOENT);
	assert_non_null(mkdtemp(dir));
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(gobin_open(&gb, fifo, &err),
			 -ENOEXEC); /* and does not wait for a writer */
	unlink(fifo);
	rmdir(dir);
	assert_int_equal(pipe(fds), 0);
	expect_fd(fds[0], -ENOEXEC, "not a regular file");
	close(fds[1]);
}

static void test_peek(void **state)
{
	struct buildinfo bi;
	struct tiny t;
	int fd;

	(void)state;
	tiny_make(&t, 25, "go1.25.1", modinfo);
	fd = memfd_of(t.data, t.size);
	assert_int_equal(gobin_peek_fd(fd, &bi, NULL), 0);
	assert_string_equal(bi.version, "go1.25.1");
	assert_string_equal(bi.module, "shop.test");
	close(fd);
	memset(t.data + t.buildinfo, 0, 16);
	fd = memfd_of(t.data, t.size);
	assert_int_equal(gobin_peek_fd(fd, &bi, NULL), -ENOEXEC);
	assert_int_equal(bi.release.minor, 0);
	close(fd);
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(gobin_peek_fd(fd, &bi, NULL), -ENOEXEC);
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(gobin_peek_fd(fd, &bi, NULL), -ENOEXEC);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_every_release, start_counting),
		cmocka_unit_test_setup(test_every_variant, start_counting),
		cmocka_unit_test_setup(test_arm64_parses_without_decoder, start_counting),
		cmocka_unit_test_setup(test_build_settings, start_counting),
		cmocka_unit_test_setup(test_go_places, start_counting),
		cmocka_unit_test_setup(test_start_names, start_counting),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_no_regular_file),
		cmocka_unit_test(test_peek),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
