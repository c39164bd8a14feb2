/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <errno.h>
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

static void take(struct image *im, const struct image_section *strings, const uint8_t *p,
		 const char *what, struct symbol *out)
{
	const uint8_t type = ELF64_ST_TYPE(p[4]);
	size_t len;

	if (type != STT_OBJECT && type != STT_NOTYPE)
		return;
	if (load_u16(p + 6) == SHN_UNDEF)
		return;
	len = match(im, strings, load_u32(p), what);
	if (len > out->len)
		*out = (struct symbol){ load_u64(p + 8), load_u64(p + 16), len };
}

int symbol_find(struct image *im, const char *what, struct symbol *out)
{
	const struct image_section *symbols = image_section_named(im, ".symtab"),
				   *strings = image_section_named(im, ".strtab");
	uint8_t chunk[CHUNK * sizeof(Elf64_Sym)];

	memset(out, 0, sizeof(*out));
	if (!symbols || !strings)
		return -EOPNOTSUPP;
	for (uint64_t at = 0; at < symbols->size;) {
		uint64_t n =
			symbols->size - at < sizeof(chunk) ? symbols->size - at : sizeof(chunk);
		int err = image_read(im, symbols->off + at, chunk, n);

		if (err)
			return err;
		for (uint64_t i = 0; i + sizeof(Elf64_Sym) <= n; i += sizeof(Elf64_Sym))
			take(im, strings, chunk + i, what, out);
		at += n;
	}
	return out->len ? 0 : -ENOENT;
}
