/* SPDX-License-Identifier: BSD-2-Clause */
#include "gobin/moduledata.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "gobin/image.h"

/*
 * runtime/symtab.go.  These words have not moved from 1.18 to 1.27; a slice
 * is pointer, length, capacity.
 */
enum {
	MD_PCHEADER = 0,
	MD_FUNCNAMETAB = 8,
	MD_CUTAB = 32,
	MD_FILETAB = 56,
	MD_PCTAB = 80,
	MD_PCLNTABLE = 104,
	MD_FTAB = 128,
	MD_MINPC = 160,
	MD_MAXPC = 168,
	MD_TEXT = 176,
	MD_ETEXT = 184,
	MD_NOPTRDATA = 192,
	MD_ENOPTRDATA = 200,
	MD_DATA = 208,
	MD_EDATA = 216,
	MD_BSS = 224,
	MD_EBSS = 232,
	MD_NOPTRBSS = 240,
	MD_ENOPTRBSS = 248,
	MD_FIXED_SIZE = 256,
	MD_ITABLINKS_AFTER_GOFUNC = 8 + 24 + 24, /* textsectmap, typelinks; until 1.26 */
	MD_MAX_SIZE = 1024,                      /* sizeof has been 552 to 592 */
};

/* Where the words after noptrbss are, by the release that moved them; newest first. */
static const struct shape {
	int minor;
	uint16_t end, gcdata, gcbss, types, etypes, rodata, gofunc, next, size;
} shapes[] = {
	/* 1.27: typedesclen, itaboffset, itabsize in, typelinks and itablinks out */
	{ 27, 272, 280, 288, 296, 312, 336, 344, 560, 568 },
	/* 1.26: epclntab */
	{ 26, 272, 280, 288, 296, 304, 312, 320, 584, 592 },
	/* 1.23: bad became a neighbour of hasmain */
	{ 23, 272, 280, 288, 296, 304, 312, 320, 576, 584 },
	/* 1.21: inittasks */
	{ 21, 272, 280, 288, 296, 304, 312, 320, 584, 592 },
	/* 1.20: covctrs */
	{ 20, 272, 280, 288, 296, 304, 312, 320, 560, 568 },
	{ 0, 256, 264, 272, 280, 288, 296, 304, 544, 552 },
};

#define CHUNK     (128u << 10) /* of the scans, read past the block cache */
#define RELA_SIZE 24
#define MAX_RELA  (16u << 20) /* entries: 384 MiB of relocations */

static uint32_t relative_type(const struct image *im)
{
	return im->machine == EM_AARCH64 ? R_AARCH64_RELATIVE : R_X86_64_RELATIVE;
}

/* The words of a candidate at p that must be the claim's. */
static bool matches(const uint8_t *p, const struct pclntab_claim *c)
{
	return load_u64(p + MD_PCHEADER) == c->header &&
	       load_u64(p + MD_FUNCNAMETAB) == c->funcname && load_u64(p + MD_CUTAB) == c->cutab &&
	       load_u64(p + MD_FILETAB) == c->filetab && load_u64(p + MD_PCTAB) == c->pctab &&
	       load_u64(p + MD_PCLNTABLE) == c->pclntable &&
	       load_u64(p + MD_FTAB) == c->pclntable && load_u64(p + MD_FTAB + 8) == c->nfunc + 1;
}

/* Slice lengths against the places in the claim, text against the segments. */
static bool is_sane(const struct moduledata *md, const struct image *im,
		    const struct pclntab_claim *c)
{
	const struct image_segment *s = image_segment_at(im, md->text);

	if (md->nfuncname > c->cutab - c->funcname || md->ncutab > c->filetab - c->cutab ||
	    md->nfiletab > c->pctab - c->filetab || md->npctab > c->pclntable - c->pctab)
		return false;
	return s && s->exec && md->text < md->etext && md->etext - s->addr <= s->mem_size;
}

static void take_fixed(struct moduledata *md, uint64_t addr, const uint8_t *p)
{
	*md = (struct moduledata){
		.addr = addr,
		.pclntab = load_u64(p + MD_PCHEADER),
		.text = load_u64(p + MD_TEXT),
		.etext = load_u64(p + MD_ETEXT),
		.noptrdata = load_u64(p + MD_NOPTRDATA),
		.enoptrdata = load_u64(p + MD_ENOPTRDATA),
		.data = load_u64(p + MD_DATA),
		.edata = load_u64(p + MD_EDATA),
		.bss = load_u64(p + MD_BSS),
		.ebss = load_u64(p + MD_EBSS),
		.noptrbss = load_u64(p + MD_NOPTRBSS),
		.enoptrbss = load_u64(p + MD_ENOPTRBSS),
		.nfuncname = load_u64(p + MD_FUNCNAMETAB + 8),
		.ncutab = load_u64(p + MD_CUTAB + 8),
		.nfiletab = load_u64(p + MD_FILETAB + 8),
		.npctab = load_u64(p + MD_PCTAB + 8),
		.npclntable = load_u64(p + MD_PCLNTABLE + 8),
		.nftab = load_u64(p + MD_FTAB + 8),
		.minpc = load_u64(p + MD_MINPC),
		.maxpc = load_u64(p + MD_MAXPC),
	};
}

struct rela_table {
	uint64_t addr, count;
};

/* DT_RELA and DT_RELASZ; count 0 when there are none. */
static struct rela_table find_rela(struct image *im)
{
	struct rela_table t = { 0, 0 };
	uint64_t size = 0;
	uint8_t dyn[16];

	for (uint64_t i = 0; i < im->dynamic.size / sizeof(dyn) && i < 256; i++) {
		if (image_read_addr(im, im->dynamic.addr + i * sizeof(dyn), dyn, sizeof(dyn)) ||
		    load_u64(dyn) == DT_NULL)
			break;
		if (load_u64(dyn) == DT_RELA)
			t.addr = load_u64(dyn + 8);
		else if (load_u64(dyn) == DT_RELASZ)
			size = load_u64(dyn + 8);
	}
	if (t.addr)
		t.count = size / RELA_SIZE;
	if (t.count > MAX_RELA)
		t.count = 0;
	return t;
}

typedef bool (*rela_fn)(void *arg, uint64_t place, uint64_t value);

/* Calls fn for each RELATIVE relocation until it says true: 0, -ENOENT or a failure to read. */
static int each_relative(struct image *im, const struct rela_table *t, rela_fn fn, void *arg)
{
	const size_t per_chunk = CHUNK / RELA_SIZE;
	uint8_t *chunk = malloc(per_chunk * RELA_SIZE);
	uint64_t done = 0;
	int err = chunk ? -ENOENT : -ENOMEM;

	while (err == -ENOENT && done < t->count) {
		size_t n = t->count - done < per_chunk ? t->count - done : per_chunk;

		if (image_read_addr(im, t->addr + done * RELA_SIZE, chunk, n * RELA_SIZE)) {
			err = -EBADMSG;
			break;
		}
		for (size_t i = 0; i < n && err == -ENOENT; i++) {
			const uint8_t *r = chunk + i * RELA_SIZE;

			if (load_u32(r + 8) == relative_type(im) &&
			    fn(arg, load_u64(r), load_u64(r + 16)))
				err = 0;
		}
		done += n;
	}
	free(chunk);
	return err;
}

/* The words of [addr, addr+size) that a relocation fills. */
struct overlay {
	uint64_t addr;
	size_t size;
	uint8_t *bytes;
};

static bool apply_one(void *arg, uint64_t place, uint64_t value)
{
	struct overlay *o = arg;

	if (place < o->addr || o->size < 8 || place - o->addr > o->size - 8)
		return false;
	for (int i = 0; i < 8; i++)
		o->bytes[place - o->addr + i] = (uint8_t)(value >> 8 * i);
	return false;
}

/*
 * Bytes as they are in a process loaded at bias 0.  Go's linker and GNU ld
 * leave a RELATIVE relocation's value in place too, lld leaves zeros.
 */
static int read_relocated(struct image *im, uint64_t addr, uint8_t *dst, size_t len)
{
	struct overlay o = { addr, len, dst };
	struct rela_table t;
	int err = image_read_addr(im, addr, dst, len);

	if (err || !im->is_pie)
		return err;
	t = find_rela(im);
	err = each_relative(im, &t, apply_one, &o);
	return err == -ENOENT ? 0 : err;
}

struct hunt {
	struct moduledata *md;
	struct image *im;
	const struct pclntab_claim *claims;
	size_t n, which;
};

/* Tries the moduledata at addr for every claim. */
static bool try_at(struct hunt *h, uint64_t addr, bool relocate)
{
	uint8_t raw[MD_FIXED_SIZE];

	if (relocate ? read_relocated(h->im, addr, raw, sizeof(raw))
		     : image_read_addr(h->im, addr, raw, sizeof(raw)))
		return false;
	for (size_t i = 0; i < h->n; i++) {
		if (!matches(raw, &h->claims[i]))
			continue;
		take_fixed(h->md, addr, raw);
		if (is_sane(h->md, h->im, &h->claims[i])) {
			h->which = i;
			return true;
		}
	}
	return false;
}

static bool is_header(const struct hunt *h, uint64_t word)
{
	for (size_t i = 0; i < h->n; i++)
		if (word == h->claims[i].header)
			return true;
	return false;
}

static int scan_segment(struct hunt *h, const struct image_segment *s, uint8_t *chunk)
{
	uint64_t addr = s->addr + (-s->addr & 7), end = s->addr + s->file_size;

	while (addr < end && end - addr >= MD_FIXED_SIZE) {
		size_t n = end - addr < CHUNK ? end - addr : CHUNK;
		int err = image_read_addr(h->im, addr, chunk, n);

		if (err)
			return err;
		for (size_t i = 0; i + 8 <= n; i += 8)
			if (is_header(h, load_u64(chunk + i)) && try_at(h, addr + i, false))
				return 0;
		addr += n & ~(size_t)7;
		if (n < CHUNK)
			break;
	}
	return -ENOENT;
}

static int scan_segments(struct hunt *h)
{
	uint8_t *chunk = malloc(CHUNK);
	int err = chunk ? -ENOENT : -ENOMEM;

	for (int i = 0; i < h->im->nseg && err == -ENOENT; i++)
		if (h->im->seg[i].write)
			err = scan_segment(h, &h->im->seg[i], chunk);
	free(chunk);
	return err;
}

static int try_section(struct hunt *h)
{
	const struct image_section *s = image_section_named(h->im, ".go.module"); /* since 1.26 */

	return s && s->size >= MD_FIXED_SIZE && try_at(h, s->addr, false) ? 0 : -ENOENT;
}

/* Places whose relocation is the address of a header, at most a few. */
struct places {
	const struct hunt *h;
	uint64_t addr[16];
	int n;
};

static bool note_place(void *arg, uint64_t place, uint64_t value)
{
	struct places *p = arg;

	if (is_header(p->h, value))
		p->addr[p->n++] = place;
	return p->n == 16;
}

static int try_relocations(struct hunt *h)
{
	struct places p = { .h = h };
	struct rela_table t = find_rela(h->im);
	int i, err = each_relative(h->im, &t, note_place, &p);

	if (err && err != -ENOENT)
		return err;
	for (i = 0; i < p.n; i++)
		if (try_at(h, p.addr[i], true))
			return 0;
	return -ENOENT;
}

int moduledata_find(struct moduledata *md, struct image *im, const struct pclntab_claim *claims,
		    size_t nclaims, size_t *which)
{
	struct hunt h = { md, im, claims, nclaims, 0 };
	int err;

	memset(md, 0, sizeof(*md));
	err = try_section(&h);
	if (err == -ENOENT)
		err = scan_segments(&h);
	if (err == -ENOENT && im->is_pie)
		err = try_relocations(&h);
	*which = h.which;
	return err;
}

static const struct shape *shape_of(int minor)
{
	size_t i;

	for (i = 0; minor < shapes[i].minor; i++)
		;
	return &shapes[i];
}

int moduledata_finish(struct moduledata *md, struct image *im, int minor)
{
	const struct shape *s = shape_of(minor);
	uint8_t raw[MD_MAX_SIZE];

	if (read_relocated(im, md->addr, raw, s->size))
		return -EBADMSG;
	md->end = load_u64(raw + s->end);
	md->gcdata = load_u64(raw + s->gcdata);
	md->gcbss = load_u64(raw + s->gcbss);
	md->types = load_u64(raw + s->types);
	md->etypes = load_u64(raw + s->etypes);
	md->rodata = load_u64(raw + s->rodata);
	md->gofunc = load_u64(raw + s->gofunc);
	md->next = load_u64(raw + s->next);
	if (minor < 27) /* 1.26 has epclntab before them */
		md->itablinks =
			md->addr + s->gofunc + MD_ITABLINKS_AFTER_GOFUNC + (minor == 26 ? 8 : 0);
	if (minor >= 27) {
		md->itabs = md->types + load_u64(raw + s->etypes + 8);
		md->itabs_end = md->itabs + load_u64(raw + s->etypes + 16);
	}
	if (md->types > md->etypes || !image_segment_at(im, md->gofunc))
		return -EBADMSG;
	return 0;
}
