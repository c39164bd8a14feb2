/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Executables of every Go release, whole and damaged.  The damage is made here,
 * from fixed seeds, on copies in memory; it is worth most under AddressSanitizer.
 */
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
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "gobin/argslots.h"
#include "gobin/gobin.h"
#include "tiny_elf.h"
#include "releases.h"

static const char *const variants[] = {
	"1.20-pie",       "1.20-cgo",     "1.20-race",  "1.24-pie",     "1.24-cgo",
	"1.24-race",      "newest-pie",   "newest-cgo", "newest-race",  "newest-staticpie",
	"usual-trimpath", "oldest-plain", "1.21-plain", "newest-plain",
};

static size_t missing; /* programs that were not there, of the test that runs */

/* As program_path(); those that are not there are counted. */
#define find_program(...) (program_path(__VA_ARGS__) || (missing++, false))

static int start_counting(void **state)
{
	(void)state;
	missing = 0;
	return 0;
}

/* A test that did not see all its programs is a skip, not a pass. */
static void skip_if_missing(void)
{
	if (missing)
		skip();
}

static struct gobin *open_ok(const char *path)
{
	struct err err = { 0 };
	struct gobin *gb;

	if (gobin_open(&gb, path, &err))
		fail_msg("%s: %s", path, err.what);
	return gb;
}

/* A copy in memory that a test may damage. */
static int memfd_of(const void *data, size_t size)
{
	int fd = memfd_create("gobin", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, size, 0), size);
	return fd;
}

static uint8_t *load_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *p;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*size = (size_t)st.st_size;
	p = malloc(*size);
	assert_non_null(p);
	assert_int_equal(read(fd, p, *size), *size);
	close(fd);
	return p;
}

/* --- whole programs ------------------------------------------------------- */

static bool in_variables(const struct moduledata *m, uint64_t a)
{
	return (a >= m->noptrdata && a < m->enoptrdata) || (a >= m->data && a < m->edata) ||
	       (a >= m->bss && a < m->ebss) || (a >= m->noptrbss && a < m->enoptrbss) ||
	       a == m->addr;
}

/* The queues are looked for where the prover wants them: allfin from 1.20 on,
 * gcCleanups where the release has it; io.EOF where there is an HTTP client. */
static bool is_looked_for(const struct gobin *gb, int g)
{
	struct gofunc fn;

	if (g == GLOBAL_IO_EOF)
		return !pclntab_find_name(gb->pcln, "net/http.(*persistConn).readLoop.func4", &fn);
	return (g != GLOBAL_ALLFIN || gb->release.minor >= 20) &&
	       (g != GLOBAL_GCCLEANUPS || gb->release.minor >= 25);
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
		bool system, uncounted;
	} starts[] = {
		{ "runtime.main", false, false },        { "runtime.bgsweep", true, true },
		{ "runtime.bgscavenge", true, true },    { "runtime.gcBgMarkWorker", true, true },
		{ "runtime.forcegchelper", true, true }, { "runtime.corostart", false, false },
		{ "runtime.runfinq", false, true },      { "runtime.runFinalizers", false, true },
		{ "runtime.runCleanups", false, true },  { "main.main", false, false },
	};
	size_t i, found = 0;

	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		struct gofunc f;

		if (pclntab_find_name(gb->pcln, starts[i].name, &f))
			continue;
		found++;
		assert_int_equal(gobin_is_system_start(gb, f.entry), starts[i].system);
		assert_int_equal(gobin_is_uncounted_start(gb, f.entry), starts[i].uncounted);
		assert_string_equal(gobin_start_name(gb, f.entry), starts[i].name);
	}
	assert_true(found >= 6);
	assert_string_equal(gobin_start_name(gb, 1), "?");
	assert_false(gobin_is_system_start(gb, 1));
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

/* --- against the ELF symbol table ----------------------------------------- */

struct symtab {
	uint8_t *file;
	size_t size;
	uint64_t sym_off, nsym, str_off, str_size;
};

static void symtab_load(struct symtab *s, const char *path)
{
	uint64_t shoff, i;
	uint16_t n;

	s->file = load_file(path, &s->size);
	shoff = load_u64(s->file + 40);
	n = load_u16(s->file + 60);
	for (i = 0; i < n; i++) {
		const uint8_t *sh = s->file + shoff + i * 64, *str;

		if (load_u32(sh + 4) != SHT_SYMTAB)
			continue;
		str = s->file + shoff + load_u32(sh + 40) * 64;
		s->sym_off = load_u64(sh + 24);
		s->nsym = load_u64(sh + 32) / 24;
		s->str_off = load_u64(str + 24);
		s->str_size = load_u64(str + 32);
		return;
	}
	fail_msg("%s has no symbol table", path);
}

static const char *sym_at(const struct symtab *s, uint64_t i, uint64_t *value, uint8_t *type)
{
	const uint8_t *sym = s->file + s->sym_off + i * 24;
	uint32_t name = load_u32(sym);

	*value = load_u64(sym + 8);
	*type = sym[4] & 0xf;
	assert_true(name < s->str_size);
	return (const char *)s->file + s->str_off + name;
}

/* The pclntab cuts type arguments, and has neither ABI suffixes nor numbered doubles. */
static bool same_name(const char *sym, const char *name)
{
	const char *bracket = strchr(name, '['), *dots = "[...]";
	size_t n = strlen(name);

	if (!strncmp(sym, name, n) && (!sym[n] || !strcmp(sym + n, ".abi0")))
		return true;
	if (strchr(name, '\302')) /* "·1" of a symbol that is local to a package */
		return true;
	return bracket && !strncmp(bracket, dots, 5) &&
	       !strncmp(sym, name, (size_t)(bracket - name));
}

static void check_symbols(const char *path)
{
	struct gobin *gb = open_ok(path);
	uint64_t i, value, compared = 0, globals = 0;
	struct symtab s;
	uint8_t type;

	symtab_load(&s, path);
	for (i = 0; i < s.nsym; i++) {
		const char *name = sym_at(&s, i, &value, &type);
		struct gofunc f;

		if (type == STT_OBJECT &&
		    (!strncmp(name, "runtime.", 8) || !strcmp(name, "io.EOF"))) {
			const char *word = name[0] == 'r' ? name + 8 : name;

			for (int g = 0; g < GLOBAL_COUNT; g++) {
				if (strcmp(word, goglobal_name(g)) || !is_looked_for(gb, g))
					continue;
				if (gb->global[g] != value)
					fail_msg("%s: %s at %llx, not %llx", path, name,
						 (unsigned long long)value,
						 (unsigned long long)gb->global[g]);
				globals++;
			}
		}
		if (type != STT_FUNC || !strchr(name, '.') || !strcmp(name, "runtime.etext"))
			continue;
		assert_int_equal(pclntab_find_pc(gb->pcln, value, &f), 0);
		assert_int_equal(f.entry, value);
		if (!same_name(name, f.name) && strcmp(name, "runtime.text"))
			fail_msg("%s: %s at its entry, the pclntab says %s", path, name, f.name);
		compared++;
	}
	for (int g = 0; g < GLOBAL_COUNT; g++)
		globals -= is_looked_for(gb, g);
	assert_int_equal(globals, 0);
	assert_true(compared > (uint64_t)pclntab_nfunc(gb->pcln) * 9 / 10);
	free(s.file);
	gobin_free(gb);
}

static void test_against_symbols(void **state)
{
	static const char *const which[] = { "oldest", "1.21", "newest" };
	char path[4096];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(which); i++)
		if (find_program(path, sizeof(path), "work-%s-plain", which[i]))
			check_symbols(path);
	skip_if_missing();
}

/* --- the same facts by other ways ----------------------------------------- */

static void assert_same_facts(struct gobin *a, struct gobin *b)
{
	uint32_t i, n = (uint32_t)pclntab_nfunc(a->pcln);

	assert_int_equal(n, pclntab_nfunc(b->pcln));
	assert_int_equal(a->release.minor, b->release.minor);
	assert_memory_equal(&a->mod, &b->mod, sizeof(a->mod));
	assert_memory_equal(a->global, b->global, sizeof(a->global));
	for (i = 0; i < n; i += 13) {
		struct goframe fa[64], fb[64];
		struct gofunc x, y;
		int k;

		assert_int_equal(pclntab_func_at(a->pcln, i, &x), 0);
		assert_int_equal(pclntab_func_at(b->pcln, i, &y), 0);
		assert_string_equal(x.name, y.name);
		assert_int_equal(x.is_wrapper, y.is_wrapper);
		k = pclntab_frames(a->pcln, (x.entry + x.end) / 2, false, fa, 64);
		assert_int_equal(k, pclntab_frames(b->pcln, (x.entry + x.end) / 2, false, fb, 64));
		while (k-- > 0) {
			assert_string_equal(fa[k].function, fb[k].function);
			assert_int_equal(fa[k].line, fb[k].line);
		}
	}
}

static struct gobin *open_copy(const uint8_t *p, size_t size)
{
	struct err err = { 0 };
	struct gobin *gb;
	int fd = memfd_of(p, size);

	if (gobin_open_fd(&gb, fd, &err))
		fail_msg("%s", err.what);
	close(fd);
	return gb;
}

static void test_without_section_headers(void **state)
{
	static const char *const which[] = {
		"oldest-stripped", "1.20-pie", "1.24-cgo", "newest-pie", "newest-stripped",
	};
	char path[4096];
	size_t i, size;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(which); i++) {
		struct gobin *a, *b;
		uint8_t *p;

		if (!find_program(path, sizeof(path), "work-%s", which[i]))
			continue;
		p = load_file(path, &size);
		memset(p + 40, 0, 8); /* e_shoff */
		memset(p + 58, 0, 6); /* e_shentsize, e_shnum, e_shstrndx */
		a = open_ok(path);
		b = open_copy(p, size);
		assert_int_equal(b->image.nsec, 0);
		assert_same_facts(a, b);
		assert_string_equal(a->build.version, b->build.version);
		gobin_free(a);
		gobin_free(b);
		free(p);
	}
	skip_if_missing();
}

/* As garble leaves a program: no version, a magic of its own, scrambled _func.entryOff. */
static void garble(uint8_t *p, struct gobin *gb)
{
	uint64_t header, pcln, i, n = (uint64_t)pclntab_nfunc(gb->pcln);
	const uint8_t *info =
		memmem(p, gb->image.file_size, gb->build.version, strlen(gb->build.version));

	while (info && memcmp(info - 33, "\xff Go buildinf:", 14))
		info = memmem(info + 1, gb->image.file_size - (size_t)(info + 1 - p),
			      gb->build.version, strlen(gb->build.version));
	assert_non_null(info);
	memset(p + (info - p), 'u', strlen(gb->build.version));
	assert_int_equal(image_addr_to_off(&gb->image, gb->mod.pclntab, &header), 0);
	memcpy(p + header, "\x5a\x13\x77\x2b", 4);
	pcln = header + load_u64(p + header + 64);
	for (i = 0; i < n; i++)
		memset(p + pcln + load_u32(p + pcln + 8 * i + 4), 0xa5, 4);
}

/* And the names of all packages but the runtime's. */
static void hide_names(uint8_t *p, size_t size)
{
	static const char *const packages[] = { "errors.New", "sync.(*", "os.(*File)",
						"syscall.Close", "internal/poll.(*FD)" };

	for (size_t i = 0; i < ARRAY_SIZE(packages); i++) {
		uint8_t *at = p;

		while ((at = memmem(at, size - (size_t)(at - p), packages[i], strlen(packages[i]))))
			memset(at, 'x', strcspn((const char *)at, "."));
	}
}

static void test_garbled_is_dated(void **state)
{
	char path[4096];
	size_t i, size;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(releases); i++) {
		struct gobin *a, *b;
		uint8_t *p;

		if (!find_program(path, sizeof(path), "work-%s-stripped", releases[i]))
			continue;
		p = load_file(path, &size);
		a = open_ok(path);
		garble(p, a);
		b = open_copy(p, size);
		assert_true(b->release_is_dated);
		assert_int_equal(b->release.patch, -1);
		assert_false(a->names_hidden || b->names_hidden);
		assert_same_facts(a, b);
		gobin_free(a);
		gobin_free(b);
		hide_names(p, size);
		b = open_copy(p, size);
		assert_true(b->names_hidden);
		gobin_free(b);
		free(p);
	}
	skip_if_missing();
}

/* lld leaves zeros where a RELATIVE relocation will write: only the table has the words. */
static size_t zero_relocated(uint8_t *p, struct gobin *gb)
{
	const struct image *im = &gb->image;
	uint64_t dyn = 0, rela = 0, rela_size = 0, i, off, to;
	size_t zeroed = 0;

	assert_int_equal(image_addr_to_off(im, im->dynamic.addr, &dyn), 0);
	for (i = 0; i < im->dynamic.size; i += 16) {
		if (load_u64(p + dyn + i) == DT_RELA)
			rela = load_u64(p + dyn + i + 8);
		if (load_u64(p + dyn + i) == DT_RELASZ)
			rela_size = load_u64(p + dyn + i + 8);
	}
	assert_int_equal(image_addr_to_off(im, rela, &off), 0);
	for (i = 0; i < rela_size; i += 24) {
		if (load_u32(p + off + i + 8) != R_X86_64_RELATIVE ||
		    image_addr_to_off(im, load_u64(p + off + i), &to))
			continue;
		memset(p + to, 0, 8);
		zeroed++;
	}
	return zeroed;
}

static void test_pie_with_words_only_in_relocations(void **state)
{
	static const char *const which[] = { "1.20-pie", "1.24-pie", "newest-pie" };
	char path[4096];
	size_t i, size;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(which); i++) {
		struct gobin *a, *b;
		uint8_t *p;

		if (!find_program(path, sizeof(path), "work-%s", which[i]))
			continue;
		p = load_file(path, &size);
		a = open_ok(path);
		assert_true(zero_relocated(p, a) > 1000);
		b = open_copy(p, size);
		assert_same_facts(a, b);
		gobin_free(a);
		gobin_free(b);
		free(p);
	}
	skip_if_missing();
}

/* --- a program made here -------------------------------------------------- */

static const char modinfo[] =
	"path\tshop.test/cmd/shop\nmod\tshop.test\tv1.2.3\th1:x=\n"
	"dep\tgithub.com/a/b\tv0.1.0\th1:y=\nbuild\t-gcflags=\"all=-N -l\"\n"
	"build\t-race=true\nbuild\tCGO_ENABLED=1\nbuild\tGOEXPERIMENT=rangefunc,x\n";

static struct gobin *open_tiny(const struct tiny *t)
{
	return open_copy(t->data, t->size);
}

static void assert_frame(const struct goframe *f, const char *function, const char *file, int line,
			 bool inlined)
{
	assert_string_equal(f->function, function);
	assert_string_equal(f->file, file);
	assert_int_equal(f->line, line);
	assert_int_equal(f->inlined, inlined);
}

static void check_tiny(int minor)
{
	struct goframe fr[8];
	struct gobin *gb;
	struct gofunc f;
	struct tiny t;
	char version[16];
	int32_t v;

	snprintf(version, sizeof(version), "go1.%d.3", minor);
	tiny_make(&t, minor, version, modinfo);
	gb = open_tiny(&t);
	assert_int_equal(gb->release.minor, minor);
	assert_int_equal(gb->release.patch, 3);
	assert_int_equal(gb->mod.addr, TINY_DATA);
	assert_int_equal(pclntab_nfunc(gb->pcln), TINY_NFUNC);

	/* leaf in helper in main: lines of the code, then of the calls */
	assert_int_equal(pclntab_frames(gb->pcln, TINY_TEXT + 0x15, false, fr, 8), 3);
	assert_frame(&fr[0], "main.leaf", "main.go", 70, true);
	assert_frame(&fr[1], "main.helper", "main.go", 50, true);
	assert_frame(&fr[2], "main.main", "main.go", 11, false);
	assert_string_equal(fr[0].path, "/src/shop/main.go");
	/* again, from the cache, and cut to what there is room for */
	assert_int_equal(pclntab_frames(gb->pcln, TINY_TEXT + 0x15, false, fr, 2), 2);
	assert_frame(&fr[1], "main.helper", "main.go", 50, true);
	/* a return address belongs to the call before it */
	assert_int_equal(pclntab_frames(gb->pcln, TINY_TEXT + 0x20, true, fr, 8), 2);
	assert_frame(&fr[0], "main.helper", "main.go", 51, true);
	assert_int_equal(pclntab_frames(gb->pcln, TINY_TEXT + 0x20, false, fr, 8), 1);
	assert_frame(&fr[0], "main.main", "main.go", 12, false);

	assert_int_equal(pclntab_frame_size(gb->pcln, TINY_TEXT, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(pclntab_frame_size(gb->pcln, TINY_TEXT + 0x3b, &v), 0);
	assert_int_equal(v, 24);
	assert_int_equal(pclntab_pcdata(gb->pcln, TINY_TEXT + 0x15, 2, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(pclntab_pcdata(gb->pcln, TINY_TEXT + 0x15, 0, &v), 0);
	assert_int_equal(v, -1);
	assert_int_equal(pclntab_pcdata(gb->pcln, TINY_TEXT + 0x15, 9, &v), 0);
	assert_int_equal(v, -1);

	/* the body, not the wrapper of the same name before it */
	assert_int_equal(pclntab_find_name(gb->pcln, "runtime.newproc", &f), 0);
	assert_int_equal(f.entry, TINY_TEXT + 0xa0);
	assert_string_equal(gobin_start_name(gb, TINY_TEXT + 0x40), "main.body");
	assert_string_equal(gobin_start_name(gb, TINY_TEXT + 0x100), "main.target");
	assert_true(gobin_is_system_start(gb, TINY_TEXT + 0x60));
	assert_int_equal(gobin_go_place(gb, TINY_TEXT + 0x20, &fr[0]), 0);
	assert_frame(&fr[0], "main.helper", "main.go", 51, true);
	gobin_free(gb);
}

static void test_tiny_program(void **state)
{
	(void)state;
	for (int minor = 18; minor <= 27; minor++)
		check_tiny(minor);
}

static void test_build_info_text(void **state)
{
	struct tiny t;
	struct gobin *gb;

	(void)state;
	tiny_make(&t, 24, "go1.24.1 X:rangefunc", modinfo);
	gb = open_tiny(&t);
	assert_string_equal(gb->build.version, "go1.24.1 X:rangefunc");
	assert_string_equal(gb->build.main_path, "shop.test/cmd/shop");
	assert_string_equal(gb->build.module, "shop.test");
	assert_string_equal(gb->build.module_version, "v1.2.3");
	assert_string_equal(gb->build.goexperiment, "rangefunc,x");
	assert_true(gb->build.race && gb->build.cgo && gb->build.no_optimize);
	gobin_free(gb);

	tiny_make(&t, 24, "go1.24.1", "path\tx\nmod\ta\033[31m\t(devel)\t\n");
	gb = open_tiny(&t);
	assert_string_equal(gb->build.module, "a?[31m"); /* nothing for the terminal */
	assert_string_equal(gb->build.module_version, "(devel)");
	assert_false(gb->build.race || gb->build.cgo || gb->build.no_optimize);
	gobin_free(gb);

	tiny_make(&t, 20, "unknown", "");
	gb = open_tiny(&t);
	assert_string_equal(gb->build.version, "unknown");
	assert_true(gb->build.present && gb->release_is_dated);
	assert_int_equal(gb->release.minor, 20); /* no function to date it by: the table's format */
	gobin_free(gb);

	tiny_make(&t, 19, "go1.27.4", ""); /* the table says otherwise */
	gb = open_tiny(&t);
	assert_true(gb->release_is_dated);
	assert_int_equal(gb->release.minor, 18);
	gobin_free(gb);
}

static void test_release_names(void **state)
{
	static const struct {
		const char *text;
		int err, minor, patch;
	} names[] = {
		{ "go1.26.8", 0, 26, 8 },
		{ "go1.20", 0, 20, 0 },
		{ "go1.21.0", 0, 21, 0 },
		{ "go1.27rc1", 0, 27, -1 },
		{ "go1.22beta2", 0, 22, -1 },
		{ "devel go1.28-abcdef Tue Jan 1", 0, 28, -1 },
		{ "go1.24.3 X:nocoverageredesign", 0, 24, 3 },
		{ "go1.22.5 (Red Hat 1.22.5-1.el9)", 0, 22, 5 },
		{ "go1.27-devel_abc", 0, 27, -1 },
		{ "go1.26.4-custom", 0, 26, 4 },
		{ "unknown", -EINVAL, 0, -1 },
		{ "", -EINVAL, 0, -1 },
		{ "go2.1", -EINVAL, 0, -1 },
		{ "go1.", -EINVAL, 0, -1 },
		{ "devel +abc", -EINVAL, 0, -1 },
		{ "go1.99999999999", -EINVAL, 0, -1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		struct go_release r;

		if (go_release_parse(names[i].text, &r) != names[i].err ||
		    r.minor != names[i].minor || r.patch != names[i].patch)
			fail_msg("'%s': 1.%d.%d", names[i].text, r.minor, r.patch);
	}
}

static void test_frame_classes(void **state)
{
	static const struct {
		const char *function;
		bool runtime, std;
	} frames[] = {
		{ "runtime.gopark", true, true },
		{ "internal/runtime/maps.(*Map).Get", true, true },
		{ "type:.eq.main.T", true, true },
		{ "net/http.(*Server).Serve", false, true },
		{ "fmt.Println", false, true },
		{ "sync.(*Mutex).Lock", false, true },
		{ "slices.SortFunc[...]", false, true },
		{ "vendor/golang.org/x/net/idna.f", false, true },
		{ "main.main", false, false },
		{ "main.f[go.shape.int]", false, false },
		{ "shop/internal/db.Query", false, false },
		{ "go.uber.org/zap.New", false, false },
		{ "github.com/a/b.F", false, false },
		{ "network/http.F", false, false },
		{ "gopkg.in/yaml%2ev3.Unmarshal", false, false },
		{ "runtime/debug.Stack", false, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(frames); i++) {
		struct goframe f = { .function = frames[i].function };

		if (goframe_is_runtime(&f) != frames[i].runtime ||
		    goframe_is_std(&f) != frames[i].std)
			fail_msg("%s", f.function);
	}
}

static void test_whose_frame(void **state)
{
	static const char own[] = "github.com/a/b.go/v2";
	static const struct {
		const char *function, *path;
		enum frame_of of;
	} frames[] = {
		{ "runtime.gopark", "", FRAME_RUNTIME },
		{ "internal/poll.(*FD).Read", "", FRAME_INSIDE },
		{ "sync.(*WaitGroup).Go.func1", "", FRAME_INSIDE },
		{ "bytes.growSlice", "", FRAME_STD },
		{ "golang.org/x/net/http2.(*Transport).RoundTrip", "", FRAME_STD },
		{ "golang.org/x/net/http2x.F", "", FRAME_PLUMBING },
		{ "vendor/golang.org/x/net/idna.f", "", FRAME_STD },
		{ "golang.org/x/sync/errgroup.(*Group).Go", "", FRAME_PLUMBING },
		{ "google.golang.org/grpc.newClientStream", "", FRAME_PLUMBING },
		{ "github.com/a/b.go/v2.F", "x/f.go", FRAME_OWN },
		{ "github.com/a/b.go/v2/c%2ed.F", "x/f.go", FRAME_OWN },
		{ "github.com/a/b.go/v2/api.(*client).Get", "x/api.pb.go", FRAME_PLUMBING },
		{ "github.com/a/b.go/v22.F", "x/f.go", FRAME_LIBRARY },
		{ "github.com/a/b.go/v2/vendor/github.com/c/d.F", "", FRAME_LIBRARY },
		{ "github.com/c/d.F", "", FRAME_LIBRARY },
		{ "main.main", NULL, FRAME_OWN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++)
		if (frame_of(frames[i].function, frames[i].path, own) != frames[i].of)
			fail_msg("%s: %d", frames[i].function,
				 frame_of(frames[i].function, frames[i].path, own));
	assert_int_equal(frame_of("gopkg.in/yaml%2ev3.F", "", "gopkg.in/yaml.v3"), FRAME_OWN);
	assert_int_equal(frame_of("shop.F", "", NULL), FRAME_LIBRARY);
}

/* Stacks by a letter a frame, innermost first: r(untime), i(nside), s(td), p(lumbing),
 * l(ibrary), o(wn).  The answer in the same letters, by index. */
static void test_which_frame(void **state)
{
	static const struct {
		const char *stack;
		int user, any, inside, inside_std;
	} t[] = {
		{ "rrssoor", 4, 4, -1, 2 }, /* bytes.growSlice under main.load */
		{ "rislsor", 5, 5, 3, 3 },  /* a library counts more than what it uses */
		{ "rplpor", 4, 4, 1, 1 },   /* grpc, a client of it, its caller */
		{ "rsplsr", 3, 3, 2, 2 },   /* nothing of its own */
		{ "rspsr", 2, 2, -1, 1 },   /* but what passes calls on */
		{ "rissr", -1, 3, -1, 2 },  /* the outermost of the standard library */
		{ "riir", -1, 2, -1, -1 },  /* and of its inside */
		{ "rrr", -1, -1, -1, -1 },  { "", -1, -1, -1, -1 },
		{ "oslo", 0, 0, -1, -1 }, /* what it has called, not what called it */
	};
	static const char kinds[] = "?risplo";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct frame_pick p = { 0 };
		int any;

		for (int k = 0; t[i].stack[k]; k++)
			frame_pick_add(&p, (enum frame_of)(strchr(kinds, t[i].stack[k]) - kinds),
				       k);
		any = frame_pick_any(&p);
		if (frame_pick_user(&p) != t[i].user || any != t[i].any ||
		    frame_pick_inside(&p, any, false) != t[i].inside ||
		    frame_pick_inside(&p, any, true) != t[i].inside_std)
			fail_msg("%s: %d %d %d %d", t[i].stack, frame_pick_user(&p), any,
				 frame_pick_inside(&p, any, false),
				 frame_pick_inside(&p, any, true));
	}
}

static void test_own_module(void **state)
{
	static const struct {
		struct buildinfo build;
		const char *own;
	} t[] = {
		{ { .module = "example.org/shop", .main_path = "example.org/shop/cmd/x" },
		  "example.org/shop" },
		/* without modules, as distributions build */
		{ { .main_path = "github.com/a/b/cmd/c" }, "github.com/a/b" },
		{ { .main_path = "github.com/a/b" }, "github.com/a/b" },
		{ { .main_path = "go.example.org/x/cmd/c" }, "go.example.org/x" },
		{ { .main_path = "command-line-arguments" }, "" },
		{ { .module = "log" }, "" },
		{ { .module = "shop" }, "shop" },
		{ { .main_path = "" }, "" },
	};
	char own[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		frames_own(&t[i].build, own, sizeof(own));
		assert_string_equal(own, t[i].own);
	}
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

/* --- damage --------------------------------------------------------------- */

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
		cmocka_unit_test_setup(test_every_release, start_counting),
		cmocka_unit_test_setup(test_every_variant, start_counting),
		cmocka_unit_test_setup(test_arm64_parses_without_decoder, start_counting),
		cmocka_unit_test_setup(test_build_settings, start_counting),
		cmocka_unit_test_setup(test_go_places, start_counting),
		cmocka_unit_test_setup(test_start_names, start_counting),
		cmocka_unit_test_setup(test_against_symbols, start_counting),
		cmocka_unit_test_setup(test_without_section_headers, start_counting),
		cmocka_unit_test_setup(test_garbled_is_dated, start_counting),
		cmocka_unit_test_setup(test_pie_with_words_only_in_relocations, start_counting),
		cmocka_unit_test(test_tiny_program),
		cmocka_unit_test(test_build_info_text),
		cmocka_unit_test(test_release_names),
		cmocka_unit_test(test_frame_classes),
		cmocka_unit_test(test_whose_frame),
		cmocka_unit_test(test_which_frame),
		cmocka_unit_test(test_own_module),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_no_regular_file),
		cmocka_unit_test(test_peek),
		cmocka_unit_test_setup(test_damaged_programs, start_counting),
		cmocka_unit_test_setup(test_truncated_program, start_counting),
		cmocka_unit_test_setup(test_shrinks_while_open, start_counting),
		cmocka_unit_test(test_every_byte_of_a_tiny_program),
		cmocka_unit_test(test_inline_cycle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
