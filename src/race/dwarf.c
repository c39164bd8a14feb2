/* SPDX-License-Identifier: BSD-2-Clause */
#include "race/dwarf.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/cursor.h"
#include "base/vec.h"
#include "gobin/image.h"

enum {
	MAX_ABBREVS = 1 << 16,
	MAX_NAMES = 16, /* of one type */
	GNU_HEADER = 12 /* "ZLIB" and the size, before 1.19 */
};

enum {
	TAG_POINTER = 0x0f,
	TAG_MEMBER = 0x0d,
	TAG_STRUCT = 0x13,
	TAG_TYPEDEF = 0x16,
	TAG_VARIABLE = 0x34,
	AT_NAME = 0x03,
	AT_BYTE_SIZE = 0x0b,
	AT_MEMBER = 0x38,
	AT_TYPE = 0x49,
	AT_GO_KIND = 0x2900, /* reflect.Kind */
	KIND_CHAN = 18,
	KIND_MAP = 21,
	VERSION_5 = 5,
	UNIT_COMPILE = 1
};

enum {
	FORM_ADDR = 0x01,
	FORM_BLOCK2 = 0x03,
	FORM_BLOCK4,
	FORM_DATA2,
	FORM_DATA4,
	FORM_DATA8,
	FORM_STRING,
	FORM_BLOCK,
	FORM_BLOCK1,
	FORM_DATA1,
	FORM_FLAG,
	FORM_SDATA,
	FORM_STRP,
	FORM_UDATA,
	FORM_REF_ADDR,
	FORM_REF1,
	FORM_REF2,
	FORM_REF4,
	FORM_REF8,
	FORM_REF_UDATA,
	FORM_SEC_OFFSET = 0x17,
	FORM_EXPRLOC,
	FORM_PRESENT,
	FORM_STRX,
	FORM_ADDRX,
	FORM_DATA16 = 0x1e,
	FORM_LINE_STRP,
	FORM_REF_SIG8,
	FORM_IMPLICIT_CONST,
	FORM_LOCLISTX,
	FORM_RNGLISTX
};

/* ---- sections ---- */

/* As compilers pack them: by the ELF header of compression, or as GNU once did. */
static size_t unpacked_size(const uint8_t *p, size_t n, bool gnu, size_t *header)
{
	uint64_t size = 0;

	if (gnu && n > GNU_HEADER && !memcmp(p, "ZLIB", 4)) {
		*header = GNU_HEADER;
		for (int i = 4; i < GNU_HEADER; i++)
			size = size << 8 | p[i];
	} else if (!gnu && n > sizeof(Elf64_Chdr) && load_u64(p) == ELFCOMPRESS_ZLIB) {
		/* no unit is of 1 byte, and no abbreviation has tag 0 */
		*header = sizeof(Elf64_Chdr);
		size = load_u64(p + 8);
	}
	return size;
}

static int unpack(uint8_t **data, size_t *n, bool gnu)
{
	size_t header, size = unpacked_size(*data, *n, gnu, &header);
	uLongf got = size;
	uint8_t *out;

	if (!size)
		return gnu ? -EBADMSG : 0;
	if (size > DWARF_MAX)
		return -E2BIG;
	out = malloc(size);
	if (!out)
		return -ENOMEM;
	if (uncompress(out, &got, *data + header, *n - header) != Z_OK) {
		free(out);
		return -EBADMSG;
	}
	free(*data);
	*data = out;
	*n = got;
	return 0;
}

static int read_section(struct image *im, const char *name, uint8_t **data, size_t *n)
{
	char gnu[32] = ".z"; /* .zdebug_info */
	const struct image_section *s = image_section_named(im, name);
	bool is_gnu = !s;
	int err;

	strncat(gnu, name + 1, sizeof(gnu) - 3);
	s = s ? s : image_section_named(im, gnu);
	if (!s || !s->size)
		return -ENOENT;
	if (s->size > DWARF_MAX)
		return -E2BIG;
	*data = malloc(s->size);
	if (!*data)
		return -ENOMEM;
	*n = s->size;
	err = image_read(im, s->off, *data, *n);
	return err ? err : unpack(data, n, is_gnu);
}

int dwarf_open(struct dwarf *d, struct image *im)
{
	int err;

	memset(d, 0, sizeof(*d));
	d->known_at = UINT64_MAX;
	err = read_section(im, ".debug_info", &d->info, &d->ninfo);
	return err ? err : read_section(im, ".debug_abbrev", &d->abbrev, &d->nabbrev);
}

void dwarf_close(struct dwarf *d)
{
	free(d->info);
	free(d->abbrev);
	free(d->known);
	memset(d, 0, sizeof(*d));
}

/* ---- units and abbreviations ---- */

struct unit {
	uint64_t at, die, end; /* in .debug_info */
	uint64_t abbrev;
	uint16_t version;
	uint8_t address; /* bytes */
	bool known;      /* one that is read */
};

/* In order: 1, 0 at the end. */
static int next_unit(const struct dwarf *d, uint64_t at, struct unit *u)
{
	struct cursor c;
	uint32_t len;
	uint8_t type = UNIT_COMPILE;

	cursor_init(&c, d->info, d->ninfo);
	cursor_seek(&c, at);
	len = cursor_u32(&c);
	*u = (struct unit){ .at = at, .end = c.pos + len };
	u->version = cursor_u16(&c);
	if (u->version == VERSION_5) {
		type = cursor_u8(&c);
		u->address = cursor_u8(&c);
		u->abbrev = cursor_u32(&c);
	} else {
		u->abbrev = cursor_u32(&c);
		u->address = cursor_u8(&c);
	}
	u->die = c.pos;
	u->known = type == UNIT_COMPILE && u->version >= 2 && u->version <= VERSION_5 &&
		   u->address == 8;
	return !c.bad && u->end > u->die &&
	       u->end <= d->ninfo; /* no 64-bit DWARF: it is all ones */
}

static int unit_of(const struct dwarf *d, uint64_t at, struct unit *u)
{
	for (uint64_t pos = 0; next_unit(d, pos, u); pos = u->end)
		if (at >= u->die && at < u->end)
			return u->known ? 0 : -EBADMSG;
	return -EBADMSG;
}

struct dwarf_abbrev {
	uint64_t code, tag, attributes; /* where these begin, in .debug_abbrev */
	bool children;
};

static void skip_attributes(struct cursor *c)
{
	uint64_t name, form;

	do {
		name = cursor_uvarint64(c);
		form = cursor_uvarint64(c);
		if (form == FORM_IMPLICIT_CONST)
			cursor_uvarint64(c);
	} while (!c->bad && (name || form));
}

static int read_abbrevs(struct dwarf *d, uint64_t at)
{
	struct cursor c;

	if (d->known_at == at)
		return 0;
	d->known_at = UINT64_MAX;
	d->nknown = 0;
	cursor_init(&c, d->abbrev, d->nabbrev);
	cursor_seek(&c, at);
	for (;;) {
		struct dwarf_abbrev a = { .code = cursor_uvarint64(&c) };

		if (!a.code || c.bad || d->nknown == MAX_ABBREVS)
			break;
		a.tag = cursor_uvarint64(&c);
		a.children = cursor_u8(&c);
		a.attributes = c.pos;
		skip_attributes(&c);
		if (array_room(&d->known, d->nknown, &d->known_cap, sizeof(a)))
			return -ENOMEM;
		d->known[d->nknown++] = a;
	}
	if (c.bad)
		return -EBADMSG;
	d->known_at = at;
	return 0;
}

static const struct dwarf_abbrev *abbrev_of(const struct dwarf *d, uint64_t code)
{
	if (code && code <= d->nknown && d->known[code - 1].code == code)
		return &d->known[code - 1];
	for (size_t i = 0; i < d->nknown; i++)
		if (d->known[i].code == code)
			return &d->known[i];
	return NULL;
}

/* ---- entries ---- */

struct die {
	uint64_t at, tag; /* tag 0: the end of a list of children */
	bool children, has_type;
	const char *name; /* not terminated */
	size_t name_len;
	uint64_t type, size, member, kind;
};

static uint64_t take_block(struct cursor *c, uint64_t n)
{
	if (n > cursor_left(c))
		c->bad = true;
	else
		cursor_skip(c, n);
	return 0;
}

static const char *take_string(struct cursor *c, size_t *len)
{
	const char *s = (const char *)c->data + c->pos;
	const char *end = cursor_left(c) ? memchr(s, 0, cursor_left(c)) : NULL;

	*len = end ? (size_t)(end - s) : 0;
	take_block(c, end ? *len + 1 : UINT64_MAX);
	return s;
}

/* A value, and the cursor behind it; of references the place in .debug_info. */
static uint64_t take_value(struct cursor *c, const struct unit *u, uint64_t form)
{
	switch (form) {
	case FORM_PRESENT:
	case FORM_IMPLICIT_CONST:
		return 0;
	case FORM_DATA1:
	case FORM_FLAG:
		return cursor_u8(c);
	case FORM_DATA2:
		return cursor_u16(c);
	case FORM_DATA4:
	case FORM_STRP:
	case FORM_LINE_STRP:
	case FORM_SEC_OFFSET:
		return cursor_u32(c);
	case FORM_REF_ADDR:
		return u->version < 3 ? cursor_u64(c) : cursor_u32(c);
	case FORM_DATA8:
	case FORM_ADDR:
	case FORM_REF_SIG8:
		return cursor_u64(c);
	case FORM_DATA16:
		return take_block(c, 16);
	case FORM_REF1:
		return u->at + cursor_u8(c);
	case FORM_REF2:
		return u->at + cursor_u16(c);
	case FORM_REF4:
		return u->at + cursor_u32(c);
	case FORM_REF8:
		return u->at + cursor_u64(c);
	case FORM_REF_UDATA:
		return u->at + cursor_uvarint64(c);
	case FORM_SDATA:
	case FORM_UDATA:
	case FORM_STRX:
	case FORM_ADDRX:
	case FORM_LOCLISTX:
	case FORM_RNGLISTX:
		return cursor_uvarint64(c);
	case FORM_BLOCK1:
		return take_block(c, cursor_u8(c));
	case FORM_BLOCK2:
		return take_block(c, cursor_u16(c));
	case FORM_BLOCK4:
		return take_block(c, cursor_u32(c));
	case FORM_BLOCK:
	case FORM_EXPRLOC:
		return take_block(c, cursor_uvarint64(c));
	default:
		c->bad = true; /* its length is not known */
		return 0;
	}
}

static void take_attribute(struct cursor *c, const struct unit *u, uint64_t name, uint64_t form,
			   struct die *out)
{
	const char *s = NULL;
	uint64_t value = 0;
	size_t len = 0;

	if (form == FORM_STRING)
		s = take_string(c, &len);
	else
		value = take_value(c, u, form);
	if (name == AT_NAME && s) {
		out->name = s;
		out->name_len = len;
	} else if (name == AT_TYPE) {
		out->type = value;
		out->has_type = true;
	} else if (name == AT_BYTE_SIZE) {
		out->size = value;
	} else if (name == AT_MEMBER) {
		out->member = value;
	} else if (name == AT_GO_KIND) {
		out->kind = value;
	}
}

/* The entry at the cursor, which moves behind it: false when it cannot be read. */
static bool take_die(const struct dwarf *d, const struct unit *u, struct cursor *c, struct die *out)
{
	const struct dwarf_abbrev *a;
	uint64_t code, name, form;
	struct cursor at;

	*out = (struct die){ .at = c->pos };
	code = cursor_uvarint64(c);
	if (c->bad || !code)
		return !c->bad;
	a = abbrev_of(d, code);
	if (!a)
		return false;
	out->tag = a->tag;
	out->children = a->children;
	cursor_init(&at, d->abbrev, d->nabbrev);
	cursor_seek(&at, a->attributes);
	for (;;) {
		name = cursor_uvarint64(&at);
		form = cursor_uvarint64(&at);
		if (form == FORM_IMPLICIT_CONST)
			cursor_uvarint64(&at);
		if ((!name && !form) || at.bad || c->bad)
			return !at.bad && !c->bad;
		take_attribute(c, u, name, form, out);
	}
}

static int begin(struct dwarf *d, const struct unit *u, uint64_t at, struct cursor *c)
{
	cursor_init(c, d->info, u->end);
	cursor_seek(c, at);
	return read_abbrevs(d, u->abbrev);
}

/* ---- types ---- */

static enum dwarf_kind kind_of(const struct die *e)
{
	if (e->tag == TAG_POINTER)
		return DWARF_POINTER;
	return e->tag == TAG_STRUCT ? DWARF_STRUCT : DWARF_OTHER;
}

int dwarf_type(struct dwarf *d, uint64_t at, struct dwarf_type *out)
{
	bool owned = false;

	for (int i = 0; i < MAX_NAMES; i++) {
		struct cursor c;
		struct unit u;
		struct die e;
		int err = unit_of(d, at, &u);

		err = err ? err : begin(d, &u, at, &c);
		if (err)
			return err;
		if (!take_die(d, &u, &c, &e))
			return -EBADMSG;
		owned |= e.kind == KIND_CHAN || e.kind == KIND_MAP;
		if (e.tag == TAG_TYPEDEF && e.has_type) {
			at = e.type;
			continue;
		}
		*out = (struct dwarf_type){ .kind = owned ? DWARF_OWNED : kind_of(&e),
					    .at = at,
					    .size = e.size,
					    .to = e.type };
		if (e.tag == TAG_POINTER)
			out->size = 8;
		return 0;
	}
	return -EBADMSG;
}

static bool is_named(const struct die *e, const char *name, size_t len)
{
	return e->name && e->name_len == len && !memcmp(e->name, name, len);
}

/* Whether the package that a unit is of can have such a variable. */
static bool is_of_package(const struct die *unit, const char *name, size_t len)
{
	return unit->name && unit->name_len < len && name[unit->name_len] == '.' &&
	       !memcmp(unit->name, name, unit->name_len);
}

static int find_in_unit(struct dwarf *d, const struct unit *u, const char *name, size_t len,
			bool only_package, struct dwarf_type *out)
{
	struct cursor c;
	struct die e;
	int err = begin(d, u, u->die, &c);

	if (err || !take_die(d, u, &c, &e))
		return err ? err : -EBADMSG;
	if (only_package != is_of_package(&e, name, len))
		return -ENOENT;
	while (cursor_left(&c) && take_die(d, u, &c, &e))
		if (e.tag == TAG_VARIABLE && e.has_type && is_named(&e, name, len))
			return dwarf_type(d, e.type, out);
	return -ENOENT;
}

/* First where the package is, then elsewhere: C code's, and names written in another way. */
int dwarf_variable(struct dwarf *d, const char *name, size_t len, struct dwarf_type *out)
{
	for (int only_package = 1; only_package >= 0; only_package--) {
		struct unit u;

		for (uint64_t at = 0; next_unit(d, at, &u); at = u.end) {
			int err = u.known ? find_in_unit(d, &u, name, len, only_package, out)
					  : -ENOENT;

			if (err != -ENOENT && err != -EBADMSG)
				return err;
		}
	}
	return -ENOENT;
}

int dwarf_field(struct dwarf *d, const struct dwarf_type *in, const char *name, size_t len,
		uint64_t *off, struct dwarf_type *out)
{
	struct cursor c;
	struct unit u;
	struct die e;
	int depth = 0, err = unit_of(d, in->at, &u);

	err = err ? err : begin(d, &u, in->at, &c);
	if (err || !take_die(d, &u, &c, &e))
		return err ? err : -EBADMSG;
	if (!e.children)
		return -ENOENT;
	for (depth = 1; depth; depth += e.tag ? e.children : -1) {
		if (!take_die(d, &u, &c, &e))
			return -EBADMSG;
		if (depth == 1 && e.tag == TAG_MEMBER && e.has_type && is_named(&e, name, len)) {
			*off = e.member;
			return dwarf_type(d, e.type, out);
		}
	}
	return -ENOENT;
}
