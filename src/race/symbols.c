/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "gobin/image.h"
#include "race/named.h"

enum { CHUNK = 256 /* symbols read at once */, MAX_NAME = 512 };

static bool ends_a_name(char c)
{
	return !c || strchr(".+-:", c);
}

/* The length of the symbol's name, when `what` begins with it; 0. */
static size_t match(struct image *im, const struct image_section *strings, uint32_t at,
		    const char *what)
{
	char name[MAX_NAME];
	size_t want = strlen(what) + 1, len;

	if (at >= strings->size)
		return 0;
	if (want > sizeof(name))
		want = sizeof(name);
	if (want > strings->size - at)
		want = strings->size - at;
	if (image_read(im, strings->off + at, name, want))
		return 0;
	len = strnlen(name, want);
	return len < want && !memcmp(name, what, len) && ends_a_name(what[len]) ? len : 0;
}

/* Every symbol of a variable: 0, -EOPNOTSUPP without a table, or what fn said. */
static int each_symbol(struct image *im,
		       int (*fn)(void *arg, struct image *im, const struct image_section *strings,
				 const uint8_t *symbol),
		       void *arg)
{
	const struct image_section *symbols = image_section_named(im, ".symtab"),
				   *strings = image_section_named(im, ".strtab");
	uint8_t chunk[CHUNK * sizeof(Elf64_Sym)];

	if (!symbols || !strings)
		return -EOPNOTSUPP;
	for (uint64_t at = 0; at < symbols->size; at += sizeof(chunk)) {
		uint64_t n =
			symbols->size - at < sizeof(chunk) ? symbols->size - at : sizeof(chunk);
		int err = image_read(im, symbols->off + at, chunk, n);

		for (uint64_t i = 0; i + sizeof(Elf64_Sym) <= n && !err; i += sizeof(Elf64_Sym)) {
			uint8_t type = ELF64_ST_TYPE(chunk[i + 4]);

			if ((type == STT_OBJECT || type == STT_NOTYPE) &&
			    load_u16(chunk + i + 6) != SHN_UNDEF)
				err = fn(arg, im, strings, chunk + i);
		}
		if (err)
			return err;
	}
	return 0;
}

/* ---- by name ---- */

struct wanted {
	const char *what;
	struct symbol *out;
};

static int take(void *arg, struct image *im, const struct image_section *strings, const uint8_t *p)
{
	struct wanted *w = arg;
	size_t len = match(im, strings, load_u32(p), w->what);

	if (len > w->out->len)
		*w->out = (struct symbol){ load_u64(p + 8), load_u64(p + 16), len };
	return 0;
}

int symbol_find(struct image *im, const char *what, struct symbol *out)
{
	struct wanted w = { what, out };
	int err;

	memset(out, 0, sizeof(*out));
	err = each_symbol(im, take, &w);
	return err ? err : out->len ? 0 : -ENOENT;
}

/* ---- by address ---- */

struct unnamed {
	struct race_word **by_base; /* owned */
	size_t n;
	uint64_t bias;
};

static int by_base(const void *a, const void *b)
{
	const struct race_word *x = *(struct race_word *const *)a,
			       *y = *(struct race_word *const *)b;

	return x->base < y->base ? -1 : x->base > y->base;
}

/* The first word at an address or behind it. */
static size_t first_from(const struct unnamed *u, uint64_t addr)
{
	size_t low = 0, high = u->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (u->by_base[mid]->base < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int give_name(struct race_word *w, struct image *im, const struct image_section *strings,
		     uint32_t at, uint64_t off)
{
	char name[MAX_NAME], more[64] = "";
	size_t want = sizeof(name);
	int n = 0;

	if (at >= strings->size)
		return 0;
	if (want > strings->size - at)
		want = strings->size - at;
	if (image_read(im, strings->off + at, name, want) || !memchr(name, 0, want) || !name[0])
		return 0;
	if (off)
		n = snprintf(more, sizeof(more), "+%llu", (unsigned long long)off);
	if (w->via)
		snprintf(more + n, sizeof(more) - (size_t)n, "->+%u", w->off);
	w->name = malloc(strlen(name) + strlen(more) + 1);
	if (!w->name)
		return -ENOMEM;
	stpcpy(stpcpy(w->name, name), more);
	return 0;
}

static int name_words(void *arg, struct image *im, const struct image_section *strings,
		      const uint8_t *p)
{
	struct unnamed *u = arg;
	uint64_t addr = load_u64(p + 8) + u->bias, size = load_u64(p + 16);
	int err = 0;

	for (size_t i = first_from(u, addr); i < u->n && !err; i++) {
		struct race_word *w = u->by_base[i];

		if (w->base - addr >= size)
			break;
		if (!w->name)
			err = give_name(w, im, strings, load_u32(p), w->base - addr);
	}
	return err;
}

int symbols_name(struct image *im, uint64_t bias, struct race_words *l)
{
	struct unnamed u = { calloc(l->n + 1, sizeof(*u.by_base)), l->n, bias };
	int err;

	if (!u.by_base)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++)
		u.by_base[i] = &l->w[i];
	qsort(u.by_base, u.n, sizeof(*u.by_base), by_base);
	err = each_symbol(im, name_words, &u);
	free(u.by_base);
	return err == -EOPNOTSUPP ? 0 : err;
}
