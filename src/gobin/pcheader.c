/* SPDX-License-Identifier: BSD-2-Clause */
#include "gobin/pcheader.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "gobin/image.h"

/* runtime/symtab.go: pcHeader; 72 bytes from 1.18 to 1.27. */
#define HEADER_SIZE 72
#define MAX_FUNCS   (1u << 24)
#define MAX_FILES   (1u << 26)
#define MAX_CLAIMS  16 /* look-alikes kept; beyond: ignored */
#define CHUNK       (128u << 10)

enum verdict { NOT_ONE, TOO_OLD, DAMAGED, PLAUSIBLE };

struct search {
	struct image *im;
	struct pcheader found[MAX_CLAIMS];
	struct pclntab_claim claims[MAX_CLAIMS];
	size_t n;
	bool any_magic;        /* the second pass: garble writes a random one */
	bool too_old, damaged; /* seen on the way */
};

/* The four bytes after the magic: two zeros, the pc quantum, the pointer size. */
static bool has_shape(const uint8_t *p)
{
	return !p[4] && !p[5] && (p[6] == 1 || p[6] == 2 || p[6] == 4) && p[7] == 8;
}

static enum verdict judge_magic(const struct search *s, uint32_t magic)
{
	switch (magic) {
	case PCLNTAB_MAGIC_118:
	case PCLNTAB_MAGIC_120:
		return s->any_magic ? NOT_ONE : PLAUSIBLE;
	case 0xfffffffb: /* 1.2 to 1.15 */
	case 0xfffffffa: /* 1.16, 1.17 */
		return s->any_magic ? NOT_ONE : TOO_OLD;
	}
	return s->any_magic ? PLAUSIBLE : NOT_ONE;
}

/* Parses the header at p, which lives at addr with `room` bytes to the end of its segment. */
static enum verdict judge(const struct search *s, const uint8_t *p, uint64_t addr, uint64_t room,
			  struct pcheader *h)
{
	uint64_t off[5], nfunc, last = HEADER_SIZE - 1;
	struct cursor c;
	enum verdict v;

	if (!has_shape(p))
		return NOT_ONE;
	v = judge_magic(s, load_u32(p));
	if (v != PLAUSIBLE)
		return v;
	cursor_init(&c, p, HEADER_SIZE);
	cursor_seek(&c, 8);
	nfunc = cursor_u64(&c);
	h->nfiles = cursor_u64(&c);
	h->text_start = cursor_u64(&c);
	for (int i = 0; i < 5; i++) {
		off[i] = cursor_u64(&c);
		if (off[i] <= last || off[i] >= room)
			return DAMAGED;
		last = off[i];
	}
	if (!nfunc || nfunc > MAX_FUNCS || h->nfiles > MAX_FILES || off[0] > 256 ||
	    room - off[4] < nfunc * 8 + 4)
		return DAMAGED;
	h->magic = load_u32(p);
	h->min_lc = p[6];
	h->at = (struct pclntab_claim){
		.header = addr,
		.funcname = addr + off[0],
		.cutab = addr + off[1],
		.filetab = addr + off[2],
		.pctab = addr + off[3],
		.pclntable = addr + off[4],
		.nfunc = nfunc,
	};
	return PLAUSIBLE;
}

static void consider(struct search *s, const uint8_t *p, uint64_t addr, uint64_t room)
{
	switch (judge(s, p, addr, room, &s->found[s->n])) {
	case PLAUSIBLE:
		s->claims[s->n] = s->found[s->n].at;
		s->n++;
		break;
	case DAMAGED:
		s->damaged |= !s->any_magic;
		break;
	case TOO_OLD:
		s->too_old = true;
		break;
	case NOT_ONE:
		break;
	}
}

static void try_section(struct search *s, const char *name)
{
	const struct image_section *sec = image_section_named(s->im, name);
	const struct image_segment *seg = sec ? image_segment_at(s->im, sec->addr) : NULL;
	uint8_t raw[HEADER_SIZE];

	if (!seg || s->n == MAX_CLAIMS || sec->addr - seg->addr >= seg->file_size ||
	    image_read_addr(s->im, sec->addr, raw, sizeof(raw)))
		return;
	consider(s, raw, sec->addr, seg->file_size - (sec->addr - seg->addr));
}

static int scan_segment(struct search *s, const struct image_segment *seg, uint8_t *chunk)
{
	uint64_t pos = -seg->addr & 7;

	while (pos < seg->file_size && seg->file_size - pos >= HEADER_SIZE) {
		uint64_t left = seg->file_size - pos;
		size_t n = left < CHUNK ? left : CHUNK;
		int err = image_read_addr(s->im, seg->addr + pos, chunk, n);

		if (err)
			return err;
		for (size_t i = 0; i + HEADER_SIZE <= n && s->n < MAX_CLAIMS; i += 8)
			if (has_shape(chunk + i))
				consider(s, chunk + i, seg->addr + pos + i, left - i);
		if (n == left)
			break;
		pos += n - HEADER_SIZE; /* one across the border is seen next time */
	}
	return 0;
}

static int scan_all(struct search *s)
{
	uint8_t *chunk = malloc(CHUNK);
	int err = chunk ? 0 : -ENOMEM;

	for (int i = 0; i < s->im->nseg && !err; i++)
		if (s->im->seg[i].read)
			err = scan_segment(s, &s->im->seg[i], chunk);
	free(chunk);
	return err;
}

/* 0 when a moduledata vouches for one of the finds, -ENOENT when for none. */
static int confirm(struct search *s, struct pcheader *h, struct moduledata *md)
{
	size_t which;
	int err;

	if (!s->n)
		return -ENOENT;
	err = moduledata_find(md, s->im, s->claims, s->n, &which);
	if (err == -ENOENT)
		s->damaged |= !s->any_magic;
	if (err)
		return err;
	*h = s->found[which];
	return 0;
}

static int pass(struct search *s, bool any_magic, struct pcheader *h, struct moduledata *md)
{
	int err;

	s->any_magic = any_magic;
	s->n = 0;
	try_section(s, ".gopclntab");
	try_section(s, ".data.rel.ro.gopclntab"); /* PIE, up to 1.25 */
	err = confirm(s, h, md);
	if (err != -ENOENT)
		return err;
	s->n = 0;
	err = scan_all(s);
	return err ? err : confirm(s, h, md);
}

int pcheader_find(struct pcheader *h, struct moduledata *md, struct image *im, struct err *err)
{
	struct search s = { .im = im };
	int ret = pass(&s, false, h, md);

	if (ret == -ENOENT && !s.too_old)
		ret = pass(&s, true, h, md);
	if (!ret)
		return 0;
	if (ret != -ENOENT)
		return err_set(err, ret,
			       "cannot read the executable while looking for its function table");
	if (s.damaged)
		return err_set(err, -EBADMSG, "damaged function table (pclntab) in the executable");
	if (s.too_old)
		return err_set(err, -ENOEXEC, "built by a Go release before 1.18");
	return err_set(err, -ENOEXEC, "not a Go program: no function table (pclntab)");
}
