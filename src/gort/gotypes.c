/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/gotypes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/map.h"
#include "base/vec.h"

/* abi.Type and what is behind it by kind; the same in 1.18 to 1.27 */
#define TYPE_BYTES       48
#define TYPE_TFLAG       20
#define TYPE_KIND        23
#define TYPE_STR         40
#define PTR_ELEM         48
#define STRUCT_FIELDS    56 /* slice; pkgPath before it */
#define FIELD_BYTES      24 /* name, type, offset */
#define TFLAG_UNCOMMON   1
#define TFLAG_EXTRA_STAR 2
#define TFLAG_NAMED      4
#define KIND_MASK        31 /* above: direct interface, GC program (to 1.23) */
#define KIND_MAX         26
enum {
	KIND_ARRAY = 17,
	KIND_CHAN,
	KIND_FUNC,
	KIND_INTERFACE,
	KIND_MAP,
	KIND_POINTER,
	KIND_SLICE,
	KIND_STRING,
	KIND_STRUCT
};
#define FIRST_PLAIN_OFFSET_MINOR 19 /* before: offset << 1 | embedded */

#define ITAB_TYPE 8

#define MAX_TYPES  65536       /* described; beyond: no names for more */
#define MAX_ITABS  65536       /* remembered; beyond: read anew */
#define MAX_FIELDS 4096        /* of one struct; more is no struct of a program's */
#define MAX_NAME   1024        /* bytes shown of a name; longer ones are cut */
#define MAX_TEXT   (16u << 20) /* of all names; beyond: none */
#define CHUNK      (32u << 10)

struct text_chunk {
	struct text_chunk *next;
	size_t used, size;
	char bytes[];
};

struct type_info {
	const char *name, *path_name; /* NULL: not read yet */
	struct gotype_field *field;   /* owned */
	int nfield;                   /* -1: not read yet */
	uint64_t elem;                /* of a pointer */
	uint64_t addr;
	uint32_t str;
	uint8_t kind, tflag;
	bool bad; /* no descriptor */
};

struct gotypes {
	struct goruntime *rt;
	uint64_t types, etypes; /* run-time */
	struct u64map by_addr;  /* descriptor -> number in info */
	struct u64map itabs;    /* itab -> descriptor */
	struct type_info *info; /* owned */
	size_t ninfo, cap;
	struct text_chunk *text;
	size_t text_bytes;
};

int gotypes_new(struct gotypes **out, struct goruntime *rt)
{
	struct gotypes *t = calloc(1, sizeof(*t));

	*out = t;
	if (!t)
		return -ENOMEM;
	t->rt = rt;
	t->types = rt->gb->mod.types + rt->bias;
	t->etypes = rt->gb->mod.etypes + rt->bias;
	u64map_init(&t->by_addr, MAX_TYPES);
	u64map_init(&t->itabs, MAX_ITABS);
	return 0;
}

void gotypes_free(struct gotypes *t)
{
	if (!t)
		return;
	while (t->text) {
		struct text_chunk *next = t->text->next;

		free(t->text);
		t->text = next;
	}
	for (size_t i = 0; i < t->ninfo; i++)
		free(t->info[i].field);
	u64map_deinit(&t->by_addr);
	u64map_deinit(&t->itabs);
	free(t->info);
	free(t);
}

/* ---- names ---- */

static char *text_room(struct gotypes *t, size_t n)
{
	struct text_chunk *c = t->text;

	if (!c || c->size - c->used < n) {
		size_t size = n > CHUNK ? n : CHUNK;

		if (t->text_bytes + size > MAX_TEXT)
			return NULL;
		c = malloc(sizeof(*c) + size);
		if (!c)
			return NULL;
		*c = (struct text_chunk){ .next = t->text, .size = size };
		t->text = c;
		t->text_bytes += size;
	}
	c->used += n;
	return c->bytes + c->used - n;
}

static const char *keep(struct gotypes *t, const char *s, size_t n)
{
	char *copy = text_room(t, n + 1);

	if (!copy)
		return NULL;
	memcpy(copy, s, n);
	copy[n] = '\0';
	return copy;
}

/*
 * abi.Name: a byte of flags, the length as a varint, the bytes.  Into out,
 * foreign bytes as '?': the length, or -EBADMSG.
 */
static int read_name(struct gotypes *t, uint64_t addr, char *out)
{
	uint8_t head[6];
	struct cursor c;
	uint32_t len;
	int err;

	if (addr < t->types || addr >= t->etypes || t->etypes - addr < sizeof(head))
		return -EBADMSG;
	err = mem_read(t->rt->mem, addr, head, sizeof(head));
	if (err)
		return err;
	cursor_init(&c, head, sizeof(head));
	cursor_skip(&c, 1);
	len = cursor_uvarint32(&c);
	if (c.bad || len > t->etypes - addr - c.pos)
		return -EBADMSG;
	if (len > MAX_NAME)
		len = MAX_NAME;
	err = len ? mem_read(t->rt->mem, addr + c.pos, out, len) : 0;
	for (uint32_t i = 0; i < len && !err; i++)
		if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
			out[i] = '?';
	return err ? err : (int)len;
}

/* ---- descriptors ---- */

static void read_type(struct gotypes *t, struct type_info *i)
{
	uint8_t raw[TYPE_BYTES + 8];

	i->bad = true;
	i->nfield = -1;
	if (i->addr % 8 || i->addr < t->types || i->addr >= t->etypes ||
	    t->etypes - i->addr < sizeof(raw) || mem_read(t->rt->mem, i->addr, raw, sizeof(raw)))
		return;
	i->tflag = raw[TYPE_TFLAG];
	i->kind = raw[TYPE_KIND] & KIND_MASK;
	i->str = load_u32(raw + TYPE_STR);
	if (i->kind == KIND_POINTER)
		i->elem = load_u64(raw + PTR_ELEM);
	i->bad = !i->kind || i->kind > KIND_MAX || i->str >= t->etypes - t->types;
}

/* NULL: no descriptor, or no room for more. */
static struct type_info *info_of(struct gotypes *t, uint64_t addr)
{
	uint64_t *at = u64map_find(&t->by_addr, addr);
	struct type_info *i;

	if (!at) {
		if (array_room(&t->info, t->ninfo, &t->cap, sizeof(*t->info)))
			return NULL;
		if (!u64map_put(&t->by_addr, addr, t->ninfo, NULL))
			return NULL;
		i = &t->info[t->ninfo++];
		*i = (struct type_info){ .addr = addr };
		read_type(t, i);
	} else {
		i = &t->info[*at];
	}
	return i->bad ? NULL : i;
}

static const char *string_of(struct gotypes *t, struct type_info *i)
{
	char buf[MAX_NAME];
	int n;

	if (i->name)
		return i->name;
	n = read_name(t, t->types + i->str, buf);
	if (n > 0 && (i->tflag & TFLAG_EXTRA_STAR))
		i->name = buf[0] == '*' ? keep(t, buf + 1, (size_t)n - 1) : NULL;
	else if (n > 0)
		i->name = keep(t, buf, (size_t)n);
	i->bad = !i->name; /* what has no name is no descriptor */
	return i->name;
}

const char *gotypes_name(struct gotypes *t, uint64_t type)
{
	struct type_info *i = info_of(t, type);

	return i ? string_of(t, i) : NULL;
}

uint64_t gotypes_itab_type(struct gotypes *t, uint64_t itab)
{
	uint64_t *at, type;

	if (!itab || itab % 8)
		return 0;
	at = u64map_find(&t->itabs, itab);
	if (at)
		return *at;
	/* those made at run time are outside of the image, their types inside */
	if (mem_read_u64(t->rt->mem, itab + ITAB_TYPE, &type) || !gotypes_name(t, type))
		return 0;
	u64map_put(&t->itabs, itab, type, NULL);
	return type;
}

const char *gotypes_of_itab(struct gotypes *t, uint64_t itab)
{
	uint64_t type = gotypes_itab_type(t, itab);

	return type ? gotypes_name(t, type) : NULL;
}

/* ---- import paths ---- */

/* Where abi.UncommonType is: behind what the kind adds.  0: not known. */
static uint32_t uncommon_at(uint8_t kind)
{
	switch (kind) {
	case KIND_STRUCT:
	case KIND_INTERFACE:
		return 80;
	case KIND_POINTER:
	case KIND_SLICE:
	case KIND_FUNC:
		return 56;
	case KIND_ARRAY:
		return 72;
	case KIND_CHAN:
		return 64;
	case KIND_MAP: /* another with each kind of map */
		return 0;
	default:
		return TYPE_BYTES;
	}
}

/* "pkg.Name" -> "import/path.Name"; as it is when it has no path. */
static const char *with_path(struct gotypes *t, struct type_info *i)
{
	char path[MAX_NAME + 1 + MAX_NAME];
	const char *name = string_of(t, i), *dot;
	uint32_t off, at = uncommon_at(i->kind);
	int n;

	if (!name || !(i->tflag & TFLAG_NAMED) || !(i->tflag & TFLAG_UNCOMMON) || !at)
		return name;
	if (mem_read_u32(t->rt->mem, i->addr + at, &off) || !off || off >= t->etypes - t->types)
		return name;
	n = read_name(t, t->types + off, path);
	dot = strchr(name, '.'); /* a package's name has none; type arguments may */
	if (n <= 0 || !dot)
		return name;
	memcpy(path + n, dot, strlen(dot));
	return keep(t, path, (size_t)n + strlen(dot));
}

const char *gotypes_path_name(struct gotypes *t, uint64_t type)
{
	struct type_info *i = info_of(t, type), *elem = NULL;
	char star[1 + 2 * MAX_NAME + 1] = "*";
	const char *of;

	if (!i || i->path_name)
		return i ? i->path_name : NULL;
	if (i->kind == KIND_POINTER && !(i->tflag & TFLAG_NAMED)) {
		uint64_t addr = i->elem;

		elem = info_of(t, addr); /* may move i */
		i = info_of(t, type);
	}
	if (!elem || !i)
		return i ? (i->path_name = with_path(t, i)) : NULL;
	of = with_path(t, elem);
	if (!of || strlen(of) > 2 * MAX_NAME)
		return NULL;
	memcpy(star + 1, of, strlen(of));
	return i->path_name = keep(t, star, strlen(of) + 1);
}

/* ---- fields ---- */

static int read_field(struct gotypes *t, const uint8_t *raw, struct gotype_field *f)
{
	bool plain = t->rt->gb->release.minor >= FIRST_PLAIN_OFFSET_MINOR;
	uint64_t off = load_u64(raw + 16) >> (plain ? 0 : 1);
	char buf[MAX_NAME];
	int n = read_name(t, load_u64(raw), buf);

	if (n < 0)
		return n;
	if (off > UINT32_MAX)
		return -EBADMSG;
	f->name = keep(t, buf, (size_t)n);
	f->type = load_u64(raw + 8);
	f->offset = (uint32_t)off;
	return f->name ? 0 : -ENOSPC;
}

static int read_fields(struct gotypes *t, const struct type_info *i, struct gotype_field **out)
{
	uint8_t head[16], *raw;
	uint64_t array, n;
	int err = mem_read(t->rt->mem, i->addr + STRUCT_FIELDS, head, sizeof(head));

	if (err)
		return err;
	array = load_u64(head);
	n = load_u64(head + 8);
	if (n > MAX_FIELDS)
		return -EBADMSG;
	if (!n)
		return 0;
	raw = malloc(n * FIELD_BYTES);
	*out = calloc(n, sizeof(**out));
	err = raw && *out ? mem_read(t->rt->mem, array, raw, n * FIELD_BYTES) : -ENOMEM;
	for (uint64_t k = 0; k < n && !err; k++)
		err = read_field(t, raw + k * FIELD_BYTES, &(*out)[k]);
	free(raw);
	if (err) {
		free(*out);
		*out = NULL;
	}
	return err ? err : (int)n;
}

/* The struct, or what a pointer points to; NULL: neither. */
static struct type_info *struct_of(struct gotypes *t, uint64_t type)
{
	struct type_info *i = info_of(t, type);

	if (i && i->kind == KIND_POINTER)
		i = info_of(t, i->elem);
	if (!i || i->kind != KIND_STRUCT)
		return NULL;
	if (i->nfield < 0) {
		int n = read_fields(t, i, &i->field);

		i->nfield = n > 0 ? n : 0;
	}
	return i;
}

int gotypes_fields(struct gotypes *t, uint64_t type, struct gotype_field *out, int max)
{
	const struct type_info *i = struct_of(t, type);

	if (!i)
		return 0;
	for (int k = 0; k < i->nfield && k < max; k++)
		out[k] = i->field[k];
	return i->nfield;
}

int gotypes_field(struct gotypes *t, uint64_t type, const char *name, uint32_t *offset,
		  uint64_t *field_type)
{
	const struct type_info *i = struct_of(t, type);

	for (int k = 0; i && k < i->nfield; k++) {
		if (strcmp(i->field[k].name, name))
			continue;
		*offset = i->field[k].offset;
		if (field_type)
			*field_type = i->field[k].type;
		return 0;
	}
	return -ENOENT;
}

/* ---- by name ---- */

#define MAX_DESCRIPTORS (256u << 20) /* bytes; of a larger program none are looked for */

/* Where one of that name may be: its str leads to "*name", with the star left out. */
static uint64_t with_name(struct gotypes *t, const uint8_t *raw, size_t size, uint32_t str,
			  const char *path_name)
{
	for (size_t i = 0; i + TYPE_BYTES <= size; i += 8) {
		const char *path;

		if (load_u32(raw + i + TYPE_STR) != str ||
		    !(raw[i + TYPE_TFLAG] & TFLAG_EXTRA_STAR) ||
		    !(raw[i + TYPE_TFLAG] & TFLAG_NAMED))
			continue;
		path = gotypes_path_name(t, t->types + i);
		if (path && !strcmp(path, path_name))
			return t->types + i;
	}
	return 0;
}

uint64_t gotypes_find(struct gotypes *t, const char *name, const char *path_name)
{
	size_t size = t->etypes - t->types, n = strlen(name);
	uint8_t *raw = size && size <= MAX_DESCRIPTORS ? malloc(size) : NULL, *at = raw;
	uint64_t found = 0;

	if (!raw || n > 127 || mem_read(t->rt->mem, t->types, raw, size)) {
		free(raw);
		return 0;
	}
	/* abi.Name: flags, length, bytes */
	while (!found && (at = memmem(at, size - (size_t)(at - raw), name, n))) {
		size_t pos = (size_t)(at - raw);

		if (pos >= 3 && at[-1] == '*' && at[-2] == n + 1)
			found = with_name(t, raw, size, (uint32_t)(pos - 3), path_name);
		at++;
	}
	free(raw);
	return found;
}
