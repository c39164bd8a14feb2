/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a line appends to: the element behind the length of a slice in a variable.  Two slices
 * over one array, each appended to, write the same place: whether they do is what a watch there
 * shows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/effect.h"
#include "base/cursor.h"
#include "base/vec.h"
#include "gort/goruntime.h"
#include "race/named.h"

enum { MAX_CODE = 64 << 10, MAX_FRAMES = 32, WORD = 8, LOADS = 12, ELEMENT_MAX = 1 << 16 };

struct search {
	struct race_words *l;
	struct goruntime *rt;
	const char *path;
	int line;
	struct gofunc f;
	uint64_t load[LOADS]; /* words of variables that the line loads */
	int nload;
	uint64_t type; /* in the register that tells growslice of what type the elements are */
	uint64_t size; /* of one, once it is called */
	uint8_t code[MAX_CODE];
};

bool line_has(struct goruntime *rt, uint64_t text_addr, const char *path, int line)
{
	struct goframe f[MAX_FRAMES];
	int n = pclntab_frames(rt->gb->pcln, text_addr, false, f, MAX_FRAMES);
	size_t want = strlen(path);

	for (int i = 0; i < n; i++) {
		size_t len = strlen(f[i].path);

		if (f[i].line == line && len >= want && !strcmp(f[i].path + len - want, path) &&
		    (len == want || f[i].path[len - want - 1] == '/'))
			return true;
	}
	return false;
}

static bool calls_growslice(struct search *s, uint64_t target)
{
	struct gofunc f;

	return !pclntab_find_pc(s->rt->gb->pcln, target, &f) && f.entry == target &&
	       !strcmp(f.name, "runtime.growslice");
}

/* It is told the type by RSI; before Go 1.20 by RAX. */
static uint8_t type_register(const struct search *s)
{
	enum { RAX = 0, RSI = 6 };

	return s->rt->gb->build.release.minor < 20 ? RAX : RSI;
}

static void take(struct search *s, const struct effect *e)
{
	struct image *image = &s->rt->gb->image;
	uint8_t size[8];

	if (e->kind == EFFECT_ADDRESS && e->src.reg == EFFECT_PC && e->dst.kind == OPERAND_REG &&
	    e->dst.reg == type_register(s))
		s->type = (uint64_t)e->src.value;
	if (e->access.does & ACCESS_READ && e->access.at.reg == EFFECT_PC &&
	    e->access.at.size == WORD && s->nload < LOADS &&
	    moduledata_has_variable(&s->rt->gb->mod, (uint64_t)e->access.at.value))
		s->load[s->nload++] = (uint64_t)e->access.at.value;
	if (e->flow == FLOW_CALL && calls_growslice(s, e->target) && s->type &&
	    !image_read_addr(image, s->type, size, sizeof(size)))
		s->size = load_u64(size); /* a type begins with it */
}

static bool is_loaded(const struct search *s, uint64_t addr)
{
	for (int i = 0; i < s->nload; i++)
		if (s->load[i] == addr)
			return true;
	return false;
}

/* A slice: its pointer, its length and its capacity are loaded. */
static int add_slices(struct search *s)
{
	struct race_word w = { .via = true, .size = WORD, .element = (uint32_t)s->size };
	int err = 0;

	if (!s->size || s->size > ELEMENT_MAX)
		return 0;
	while (s->size % w.size)
		w.size /= 2;
	for (int i = 0; i < s->nload && !err; i++) {
		if (!is_loaded(s, s->load[i] + WORD) || !is_loaded(s, s->load[i] + 2 * WORD))
			continue;
		w.base = s->load[i] + s->rt->bias;
		for (size_t k = 0; k < s->l->n; k++)
			if (s->l->w[k].element && s->l->w[k].base == w.base)
				return 0;
		err = array_room(&s->l->w, s->l->n, &s->l->cap, sizeof(w));
		if (!err)
			s->l->w[s->l->n++] = w;
	}
	return err;
}

static bool is_in_file(struct search *s)
{
	struct goframe f;
	size_t want = strlen(s->path), len;

	if (pclntab_frames(s->rt->gb->pcln, s->f.entry, false, &f, 1) < 1)
		return false;
	len = strlen(f.path);
	return len >= want && !strcmp(f.path + len - want, s->path);
}

static int look_into(struct search *s)
{
	struct gobin *gb = s->rt->gb;
	size_t len = (size_t)(s->f.end - s->f.entry);
	struct effect e;

	if (!len || len > MAX_CODE || !is_in_file(s) ||
	    image_read_addr(&gb->image, s->f.entry, s->code, len))
		return 0;
	s->nload = 0;
	s->type = s->size = 0;
	for (size_t at = 0; at < len; at += e.len) {
		if (gb->arch->effect(s->code + at, len - at, s->f.entry + at, &e))
			return 0;
		if (line_has(s->rt, s->f.entry + at, s->path, s->line))
			take(s, &e);
	}
	return add_slices(s);
}

int race_words_of_append(struct race_words *l, struct goruntime *rt, const char *path, int line)
{
	struct search *s = calloc(1, sizeof(*s));
	int n = pclntab_nfunc(rt->gb->pcln), err = 0;

	if (!s)
		return -ENOMEM;
	s->l = l;
	s->rt = rt;
	s->path = path;
	s->line = line;
	for (int i = 0; i < n && !err && rt->gb->arch; i++)
		if (!pclntab_func_at(rt->gb->pcln, (uint32_t)i, &s->f))
			err = look_into(s);
	free(s);
	return err;
}
