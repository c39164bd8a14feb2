/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same facts by other ways: the ELF symbol table, and programs without
 * section headers, garbled, and with words only in relocations.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>

#include <cmocka.h>

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "gobin/gobin.h"
#include "gobin_open.h"
#include "tiny_elf.h"

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
	struct symtab s = { 0 };
	uint8_t type;

	symtab_load(&s, path);
	for (i = 0; i < s.nsym; i++) {
		const char *name = sym_at(&s, i, &value, &type);
		struct gofunc f;

		if (type == STT_OBJECT && (!strncmp(name, "runtime.", 8) ||
					   !strcmp(name, "io.EOF") || !strncmp(name, "sync.", 5))) {
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_against_symbols, start_counting),
		cmocka_unit_test_setup(test_without_section_headers, start_counting),
		cmocka_unit_test_setup(test_garbled_is_dated, start_counting),
		cmocka_unit_test_setup(test_pie_with_words_only_in_relocations, start_counting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
