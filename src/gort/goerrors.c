/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/goerrors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/vec.h"
#include "gort/gotypes.h"
#include "gospect/abi.h"

/* runtime.itab, internal/abi.ITab: Inter, Type, Hash, Fun[]; the same in 1.18 to 1.27 */
#define ITAB_BYTES   24
#define ITAB_TYPE    8
#define IFACE_NMETHS 64 /* abi.InterfaceType: Type (48), PkgPath (8), Methods: a slice */
#define MAX_ITABS    (1u << 20)
#define MAX_METHODS  4096
#define MAX_FIELD    64

static const struct known {
	const char *type;
	uint32_t id;
	uint16_t how;
	const char *field;
	uint16_t bytes;
	const char *text;
} known[] = {
#define ERRTYPE(id, type, how, field, bytes, text) \
	{ type, ERRTYPE_##id, GS_ERR_##how, field, bytes, text },
#include "gospect/errtypes.def"
};

static const struct {
	uint32_t id;
	const char *text;
} texts[] = {
#define ERRTEXT(id, text) { ERRTYPE_##id, text },
#include "gospect/errtypes.def"
};

struct search {
	struct goruntime *rt;
	struct gotypes *types;
	uint64_t inter; /* descriptor of the interface `error`; 0: not known yet */
	uint64_t other; /* of one that is not it */
	struct goerror *out;
	size_t n, max;
};

static void add(struct search *s, struct goerror e)
{
	if (s->n < s->max)
		s->out[s->n++] = e;
}

static const struct known *known_type(struct search *s, uint64_t type)
{
	const char *name = gotypes_path_name(s->types, type);

	for (size_t i = 0; name && i < ARRAY_SIZE(known); i++)
		if (!strcmp(known[i].type, name))
			return &known[i];
	return NULL;
}

/* Offset of a field, and how many pointers lead to its struct: "a>b>field".  0 or -ENOENT. */
static int find_field(struct search *s, uint64_t type, const char *path, struct goerror *out)
{
	char name[MAX_FIELD];
	size_t n;

	for (; (n = strcspn(path, ">")) < sizeof(name) && path[n]; path += n + 1) {
		snprintf(name, sizeof(name), "%.*s", (int)n, path);
		if (gotypes_field(s->types, type, name, &out->off, &type) || out->off ||
		    ++out->far > GS_ERR_FAR)
			return -ENOENT;
	}
	return gotypes_field(s->types, type, path, &out->off, NULL);
}

/* Whether an itab's interface is `error`: known of io.EOF's, else by its name. */
static bool is_error(struct search *s, uint64_t inter)
{
	const char *name;

	if (s->inter || inter == s->other)
		return inter == s->inter;
	name = gotypes_name(s->types, inter);
	if (name && !strcmp(name, "error"))
		s->inter = inter;
	else
		s->other = inter;
	return inter == s->inter;
}

/* An itab; of another interface than `error` it is of no interest. */
static void take_itab(struct search *s, uint64_t itab)
{
	uint64_t inter, type;
	const struct known *k;
	struct goerror e = { .key = itab };
	uint32_t text = 0;

	if (mem_read_u64(s->rt->mem, itab, &inter) || !is_error(s, inter) ||
	    mem_read_u64(s->rt->mem, itab + ITAB_TYPE, &type))
		return;
	k = known_type(s, type);
	if (!k || (k->field[0] && find_field(s, type, k->field, &e)))
		return;
	if (k->text[0] && gotypes_field(s->types, type, k->text, &text, NULL))
		return;
	e.id = k->id;
	e.how = k->how;
	e.bytes = k->bytes;
	e.text = k->text[0] ? (uint16_t)(text + 1) : 0;
	add(s, e);
}

/* Up to 1.26: a slice of pointers. */
static void each_link(struct search *s, uint64_t slice)
{
	uint64_t first, n, itab;

	if (mem_read_u64(s->rt->mem, slice, &first) || mem_read_u64(s->rt->mem, slice + 8, &n) ||
	    n > MAX_ITABS)
		return;
	for (uint64_t i = 0; i < n; i++)
		if (!mem_read_u64(s->rt->mem, first + 8 * i, &itab))
			take_itab(s, itab);
}

/* How many methods the interface of an itab has; 0: it is none. */
static uint64_t methods_of(struct search *s, uint64_t itab)
{
	uint64_t inter, n;

	if (mem_read_u64(s->rt->mem, itab, &inter) || !gotypes_name(s->types, inter) ||
	    mem_read_u64(s->rt->mem, inter + IFACE_NMETHS, &n) || n > MAX_METHODS)
		return 0;
	return n;
}

/* Since 1.27: one behind the other, each as large as its interface has methods. */
static void each_in_piece(struct search *s, uint64_t at, uint64_t end)
{
	uint64_t n;

	for (size_t i = 0; at < end && i < MAX_ITABS && (n = methods_of(s, at)); i++) {
		take_itab(s, at);
		at += ITAB_BYTES + 8 * n;
	}
}

static void add_texts(struct search *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		__u64 words[GS_TEXT_WORDS] = { 0 };
		size_t len = strlen(texts[i].text);

		memcpy(words, texts[i].text, len < sizeof(words) ? len : sizeof(words));
		add(s, (struct goerror){ .key = gs_text_hash(words, len),
					 .id = texts[i].id,
					 .how = GS_ERR_LEAF });
	}
}

size_t goerrors_find(struct goruntime *rt, struct gotypes *types, struct goerror *out, size_t max)
{
	struct search s = { .rt = rt, .types = types, .out = out, .max = max };
	const struct moduledata *md = &rt->gb->mod;
	uint64_t eof = rt->gb->global[GLOBAL_IO_EOF], itab;

	/* the interface is that of an error which is known, where net/http is linked */
	if (eof && (mem_read_u64(rt->mem, eof + rt->bias, &itab) || !itab ||
		    mem_read_u64(rt->mem, itab, &s.inter)))
		return 0;
	if (md->itablinks)
		each_link(&s, md->itablinks + rt->bias);
	else
		each_in_piece(&s, md->itabs + rt->bias, md->itabs_end + rt->bias);
	if (s.n)
		add_texts(&s);
	return s.n;
}
