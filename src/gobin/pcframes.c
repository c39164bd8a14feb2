/* SPDX-License-Identifier: BSD-2-Clause */
/* The pc tables of the pclntab: lines, frame sizes, inline trees. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/vec.h"
#include "gobin/frames.h"
#include "gobin/image.h"
#include "gobin/pclntab.h"
#include "gobin/pclntab_priv.h"

#define PCDATA_INL_TREE_INDEX 2 /* internal/abi/symtab.go, all releases */
#define FUNCDATA_INL_TREE     3
#define MAX_DEPTH             128        /* inlined frames at one pc; more is a cycle */
#define MAX_STEPS             (1u << 20) /* of one pc table */
#define MAX_CACHED            65536      /* frames, and frame sizes; full: start afresh */
#define STREAM                512        /* bytes read ahead of a pc table */

/* A pc table while it is walked: runtime/symtab.go, step(). */
struct pcwalk {
	struct pclntab *p;
	uint64_t next; /* in pctab, of the bytes after buf */
	uint8_t buf[STREAM];
	struct cursor c; /* over buf */
	uint64_t pc;     /* where the current value ends */
	int32_t value;
	unsigned int steps;
};

/* Keeps a pair of varints whole in the buffer as long as the table goes on. */
static int refill(struct pcwalk *w)
{
	size_t keep = cursor_left(&w->c);
	uint64_t left = w->p->pctab.size - w->next;
	size_t n = STREAM - keep;
	int err;

	memmove(w->buf, w->buf + w->c.pos, keep);
	if (n > left)
		n = left;
	err = pcl_read(w->p, &w->p->pctab, w->next, w->buf + keep, n);
	if (err)
		return err;
	w->next += n;
	cursor_init(&w->c, w->buf, keep + n);
	return 0;
}

static int walk_init(struct pcwalk *w, struct pclntab *p, uint32_t table, uint64_t entry)
{
	if (table >= p->pctab.size)
		return -EBADMSG;
	w->p = p;
	w->next = table;
	w->pc = entry;
	w->value = -1;
	w->steps = 0;
	cursor_init(&w->c, w->buf, 0);
	return 0;
}

/* The next value and where it ends: 0, -ENOENT at the table's end, -EBADMSG. */
static int walk_next(struct pcwalk *w)
{
	uint32_t dv, dpc;

	if (cursor_left(&w->c) < 10 && w->next < w->p->pctab.size) {
		int err = refill(w);

		if (err)
			return err;
	}
	if (w->steps == MAX_STEPS)
		return -EBADMSG;
	dv = cursor_uvarint32(&w->c);
	if (w->c.bad)
		return -EBADMSG;
	if (!dv && w->steps)
		return -ENOENT;
	dpc = cursor_uvarint32(&w->c);
	if (w->c.bad)
		return -EBADMSG;
	w->steps++;
	w->value = (int32_t)((uint32_t)w->value + (dv & 1 ? ~(dv >> 1) : dv >> 1));
	w->pc += (uint64_t)dpc * w->p->min_lc;
	return 0;
}

/* Value at pc of the pc table at `table` (offset in pctab): -ENOENT when it has none. */
static int pcl_value(struct pclntab *p, const struct funcrec *f, uint32_t table, uint64_t pc,
		     int32_t *out)
{
	struct pcwalk w;
	int err;

	if (!table)
		return -ENOENT;
	err = walk_init(&w, p, table, f->entry);
	while (!err) {
		err = walk_next(&w);
		if (!err && pc < w.pc) {
			*out = w.value;
			return 0;
		}
	}
	return err;
}

/* As pcl_value(), with -1 where there is no value. */
static int value_or_none(struct pclntab *p, const struct funcrec *f, uint32_t table, uint64_t pc,
			 int32_t *out)
{
	int err = pcl_value(p, f, table, pc, out);

	if (err == -ENOENT) {
		*out = -1;
		err = 0;
	}
	return err;
}

static int pcdata_table(struct pclntab *p, const struct funcrec *f, uint32_t which, uint32_t *table)
{
	uint8_t raw[4];
	int err;

	*table = 0;
	if (which >= f->npcdata)
		return 0;
	err = pcl_read(p, &p->funcs, f->pcdata_pos + 4 * which, raw, sizeof(raw));
	if (!err)
		*table = load_u32(raw);
	return err;
}

static int pcdata_value(struct pclntab *p, const struct funcrec *f, uint32_t which, uint64_t pc,
			int32_t *out)
{
	uint32_t table;
	int err = pcdata_table(p, f, which, &table);

	return err ? err : value_or_none(p, f, table, pc, out);
}

static int funcdata_addr(struct pclntab *p, const struct funcrec *f, uint32_t which, uint64_t *out)
{
	uint8_t raw[4];
	int err;

	if (which >= f->nfuncdata || !p->gofunc)
		return -ENOENT;
	err = pcl_read(p, &p->funcs, f->pcdata_pos + 4 * (f->npcdata + which), raw, sizeof(raw));
	if (err)
		return err;
	if (load_u32(raw) == UINT32_MAX)
		return -ENOENT;
	*out = p->gofunc + load_u32(raw);
	return 0;
}

int pcl_file(struct pclntab *p, const struct funcrec *f, uint64_t pc, const char **out)
{
	int32_t fileno;
	uint8_t raw[4];
	int err = value_or_none(p, f, f->pcfile, pc, &fileno);

	*out = "";
	if (err || fileno < 0)
		return err;
	err = pcl_read(p, &p->cutab, 4 * ((uint64_t)f->cu_off + (uint32_t)fileno), raw,
		       sizeof(raw));
	if (err || load_u32(raw) == UINT32_MAX)
		return err;
	return pcl_string(p, &p->filetab, load_u32(raw), out);
}

/* runtime.inlinedCall */
struct inlined {
	uint8_t func_id;
	uint32_t name_off;
	uint32_t parent_pc; /* offset from the function's entry of the call that was inlined */
	int32_t start_line; /* since 1.20 */
};

static int read_inlined(struct pclntab *p, uint64_t tree, int32_t index, struct inlined *in)
{
	const unsigned int size = p->old_func ? 20 : 16;
	uint8_t raw[20];

	if (image_read_addr(p->im, tree + (uint64_t)index * size, raw, size))
		return -EBADMSG;
	if (p->old_func) { /* parent, funcID, pad, file, line, func_, parentPc */
		*in = (struct inlined){ raw[2], load_u32(raw + 12), load_u32(raw + 16), 0 };
	} else { /* since 1.20: funcID, pad, nameOff, parentPc, startLine */
		*in = (struct inlined){ raw[0], load_u32(raw + 4), load_u32(raw + 8),
					(int32_t)load_u32(raw + 12) };
	}
	return 0;
}

/* File and line at pc: what the innermost frame shows, and an outer one at its call. */
static int fill_place(struct pclntab *p, const struct funcrec *f, uint64_t pc, struct goframe *out)
{
	int32_t line;
	const char *slash;
	int err = pcl_file(p, f, pc, &out->path);

	if (!err)
		err = value_or_none(p, f, f->pcln, pc, &line);
	if (err)
		return err;
	out->line = line > 0 ? line : 0;
	slash = strrchr(out->path, '/');
	out->file = slash ? slash + 1 : out->path;
	out->entry = f->entry;
	return 0;
}

static void fill_whose(const struct pclntab *p, uint8_t func_id, struct goframe *out)
{
	out->func_id = func_id;
	out->wrapper = (p->id_wrapper && func_id == p->id_wrapper) ||
		       !strcmp(out->path, "<autogenerated>");
	out->of = (uint8_t)frame_of(out->function, out->path, p->own);
}

static int fill_physical(struct pclntab *p, const struct funcrec *f, uint64_t pc,
			 struct goframe *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	err = fill_place(p, f, pc, out);
	if (!err)
		err = pcl_name(p, f->name_off, &out->function);
	out->start_line = f->start_line;
	if (!err)
		fill_whose(p, f->func_id, out);
	return err;
}

static int fill_inlined(struct pclntab *p, const struct funcrec *f, const struct inlined *in,
			uint64_t pc, struct goframe *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	err = fill_place(p, f, pc, out);
	if (!err)
		err = pcl_name(p, in->name_off, &out->function);
	out->inlined = true;
	out->start_line = in->start_line;
	if (!err)
		fill_whose(p, in->func_id, out);
	return err;
}

/*
 * What the compiler has no place for, as the jump that closes a loop, it writes as line 1:
 * the line of what comes before it in the same function, inlined or not; else its first one.
 */
static int mend_line(struct pclntab *p, const struct funcrec *f, uint64_t pc, struct goframe *out)
{
	int32_t index, other;
	struct pcwalk w;
	int err;

	if (out->line != 1 || out->start_line == 1 || out->wrapper)
		return 0;
	out->line = out->start_line;
	err = pcdata_value(p, f, PCDATA_INL_TREE_INDEX, pc, &index);
	if (!err)
		err = walk_init(&w, p, f->pcln, f->entry);
	while (!err && !(err = walk_next(&w)) && w.pc <= pc) {
		if (w.value <= 1)
			continue;
		err = pcdata_value(p, f, PCDATA_INL_TREE_INDEX, w.pc - 1, &other);
		if (!err && other == index)
			out->line = w.value;
	}
	return err == -ENOENT ? 0 : err;
}

/* Frames at a call pc, innermost first: their number, or negative errno. */
static int decode_frames(struct pclntab *p, const struct funcrec *f, uint64_t pc,
			 struct goframe *out)
{
	uint64_t tree, innermost = pc;
	int n = 0, err = funcdata_addr(p, f, FUNCDATA_INL_TREE, &tree);

	if (err && err != -ENOENT)
		return err;
	while (!err) {
		struct inlined in;
		int32_t index;

		err = pcdata_value(p, f, PCDATA_INL_TREE_INDEX, pc, &index);
		if (err)
			return err;
		if (index < 0)
			break;
		if (n == MAX_DEPTH) /* a chain that bites its tail */
			return -EBADMSG;
		err = read_inlined(p, tree, index, &in);
		if (!err)
			err = fill_inlined(p, f, &in, pc, &out[n++]);
		if (err)
			return err;
		pc = f->entry + in.parent_pc;
		if (pc >= f->end)
			return -EBADMSG;
	}
	err = fill_physical(p, f, pc, &out[n]);
	if (!err)
		err = mend_line(p, f, innermost, &out[0]);
	return err ? err : n + 1;
}

void pcl_cache_init(struct pclntab *p)
{
	u64map_init(&p->cache.by_pc, MAX_CACHED);
	u64map_init(&p->frame_sizes, MAX_CACHED);
}

void pcl_cache_deinit(struct pclntab *p)
{
	u64map_deinit(&p->cache.by_pc);
	u64map_deinit(&p->frame_sizes);
	free(p->cache.frames);
}

/* Keeps the frames of a pc; a cache that cannot grow keeps nothing. */
static void cache_put(struct frame_cache *c, uint64_t key, const struct goframe *f, int n)
{
	if (c->n + (size_t)n > MAX_CACHED) {
		u64map_clear(&c->by_pc);
		c->n = 0;
	}
	if (array_grow(&c->frames, c->n + (size_t)n, &c->cap, sizeof(*c->frames)) ||
	    !u64map_put(&c->by_pc, key, (uint64_t)c->n << 8 | (uint64_t)n, NULL))
		return;
	memcpy(c->frames + c->n, f, (size_t)n * sizeof(*f));
	c->n += (size_t)n;
}

int pclntab_frames(struct pclntab *p, uint64_t pc, bool is_return, struct goframe *out, int max)
{
	struct goframe all[MAX_DEPTH + 1], *from = all;
	uint64_t key = pc << 1 | is_return, *found = u64map_find(&p->cache.by_pc, key);
	struct funcrec f;
	int n;

	if (found) {
		from = p->cache.frames + (*found >> 8);
		n = (int)(*found & 0xff);
	} else {
		n = pcl_find(p, pc, &f);
		if (n)
			return n;
		/* As runtime.Frames: back to the call, but not out of the function. */
		n = decode_frames(p, &f, pc - (is_return && pc > f.entry), all);
		if (n < 0)
			return n;
		cache_put(&p->cache, key, all, n);
	}
	if (n > max)
		n = max;
	memcpy(out, from, (size_t)n * sizeof(*out));
	return n;
}

int pclntab_frame_size(struct pclntab *p, uint64_t pc, int32_t *out)
{
	uint64_t *found = u64map_find(&p->frame_sizes, pc);
	struct funcrec f;
	int err;

	if (found) {
		*out = (int32_t)*found;
		return 0;
	}
	err = pcl_find(p, pc, &f);
	if (!err)
		err = pcl_value(p, &f, f.pcsp, pc, out);
	if (!err && *out < 0)
		err = -EBADMSG;
	if (err)
		return err;
	if (p->frame_sizes.len == MAX_CACHED)
		u64map_clear(&p->frame_sizes);
	u64map_put(&p->frame_sizes, pc, (uint64_t)(uint32_t)*out, NULL);
	return 0;
}

int pclntab_pcdata(struct pclntab *p, uint64_t pc, int which, int32_t *out)
{
	struct funcrec f;
	int err = which < 0 ? -EINVAL : pcl_find(p, pc, &f);

	return err ? err : pcdata_value(p, &f, (uint32_t)which, pc, out);
}

int pclntab_pcdata_since(struct pclntab *p, uint64_t pc, int which, int32_t *out, uint64_t *since)
{
	struct funcrec f;
	struct pcwalk w;
	uint32_t table = 0;
	int err = which < 0 ? -EINVAL : pcl_find(p, pc, &f);

	*out = -1;
	if (!err)
		*since = f.entry;
	if (!err)
		err = pcdata_table(p, &f, (uint32_t)which, &table);
	if (err || !table)
		return err;
	err = walk_init(&w, p, table, f.entry);
	while (!err) {
		uint64_t from = w.pc;

		err = walk_next(&w);
		if (err == -ENOENT || (!err && pc < w.pc)) {
			*since = from;
			*out = err ? -1 : w.value;
			return 0;
		}
	}
	return err;
}

int pclntab_funcdata(struct pclntab *p, uint64_t pc, int which, uint64_t *out)
{
	struct funcrec f;
	int err = which < 0 ? -EINVAL : pcl_find(p, pc, &f);

	return err ? err : funcdata_addr(p, &f, (uint32_t)which, out);
}

/* The outermost call inlined at pc when it is not the runtime's: 0, -ENOENT. */
static int outermost_inlined(struct pclntab *p, uint64_t pc, struct goframe *out)
{
	struct goframe frames[MAX_DEPTH + 1];
	int n = pclntab_frames(p, pc, false, frames, MAX_DEPTH + 1);

	if (n < 0)
		return n;
	if (n < 2 || !strncmp(frames[n - 2].function, "runtime.", 8))
		return -ENOENT;
	*out = frames[n - 2];
	return 0;
}

int pclntab_inlined_body(struct pclntab *p, uint64_t pc, struct goframe *out)
{
	struct funcrec f;
	struct pcwalk w;
	uint32_t table;
	int err = pcl_find(p, pc, &f);

	if (!err)
		err = pcdata_table(p, &f, PCDATA_INL_TREE_INDEX, &table);
	if (!err)
		err = table ? walk_init(&w, p, table, f.entry) : -ENOENT;
	while (!err) {
		uint64_t from = w.pc;

		err = walk_next(&w);
		if (err || w.value < 0 || from >= f.end)
			continue;
		err = outermost_inlined(p, from, out);
		if (err != -ENOENT)
			return err;
		err = 0;
	}
	return err;
}
