/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Variables of all modules: the program and its plugins (runtime.moduledata,
 * a list).  The runtime has expanded the pointer masks of data and bss; a mask
 * that does not verify is not used, then every word may be a pointer.
 */
#include "prove/snap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MODULE    1024 /* bytes of a moduledata */
#define MAX_VARIABLES (4ull << 30)
#define PIECE         (16u << 20)
#define MASK_SENTINEL 0xa1 /* behind each mask: mbitmap.go, progToPointerMask */

static uint64_t field(const struct snap *s, const uint8_t *raw, enum layout_field f)
{
	return heap_word(raw + layout_off(s->rt->gb->layout, f));
}

/* The mask of `size` bytes of variables: NULL when it is not one. */
static uint8_t *read_mask(struct snap *s, uint64_t addr, uint64_t bits, uint64_t size)
{
	uint64_t words = size / 8, bytes = (words + 7) / 8;
	uint8_t *mask;

	if (!addr || bits != words || bytes > MAX_VARIABLES / 64)
		return NULL;
	mask = malloc(bytes + 1);
	if (mask && (mem_read(s->rt->mem, addr, mask, bytes + 1) || mask[bytes] != MASK_SENTINEL)) {
		free(mask);
		mask = NULL;
	}
	return mask;
}

static int take_range(struct snap *s, struct pmodule *m, int which, uint64_t from, uint64_t to,
		      uint64_t mask, uint64_t bits)
{
	if (from > to || from % 8 || to - from > MAX_VARIABLES || to >> HEAP_ADDR_BITS)
		return snap_fail(s, -EBADMSG, "the bounds of a module's variables are impossible");
	m->base[which] = from;
	m->size[which] = (to - from) & ~7ull;
	m->copy[which] = malloc(m->size[which] + 8);
	if (!m->copy[which])
		return -ENOMEM;
	memset(m->copy[which], 0, m->size[which] + 8); /* touched now, not while frozen */
	m->mask[which] = read_mask(s, mask, bits, to - from);
	return 0;
}

static int take_module(struct snap *s, const uint8_t *raw)
{
	struct pmodule *m = &s->module[s->nmodule];
	int err;

	memset(m, 0, sizeof(*m));
	s->nmodule++;
	err = take_range(s, m, 0, field(s, raw, LAYOUT_MODULEDATA_DATA),
			 field(s, raw, LAYOUT_MODULEDATA_EDATA),
			 field(s, raw, LAYOUT_MODULEDATA_GCDATAMASK_BYTES),
			 (uint32_t)field(s, raw, LAYOUT_MODULEDATA_GCDATAMASK_N));
	if (!err)
		err = take_range(s, m, 1, field(s, raw, LAYOUT_MODULEDATA_BSS),
				 field(s, raw, LAYOUT_MODULEDATA_EBSS),
				 field(s, raw, LAYOUT_MODULEDATA_GCBSSMASK_BYTES),
				 (uint32_t)field(s, raw, LAYOUT_MODULEDATA_GCBSSMASK_N));
	return err;
}

void snap_free_modules(struct snap *s)
{
	for (int i = 0; i < s->nmodule; i++) {
		for (int w = 0; w < 2; w++) {
			free(s->module[i].copy[w]);
			free(s->module[i].mask[w]);
		}
	}
	s->nmodule = 0;
}

/* The list in memory; *n is its length, with `take` the modules are entered. */
static int walk_modules(struct snap *s, bool take, int *n)
{
	const struct layout *l = s->rt->gb->layout;
	uint64_t addr = s->rt->gb->mod.addr + s->rt->bias;
	int32_t size = layout_off(l, LAYOUT_MODULEDATA_SIZE);
	uint8_t raw[MAX_MODULE];
	int err = 0;

	if (size <= 0 || size > MAX_MODULE || layout_off(l, LAYOUT_MODULEDATA_NEXT) < 0 ||
	    layout_off(l, LAYOUT_MODULEDATA_GCBSSMASK_BYTES) < 0)
		return snap_fail(s, -EBADMSG,
				 "the layout of module data is not known for this release");
	for (*n = 0; addr && !err; (*n)++) {
		if (*n == SNAP_MAX_MODULES)
			return snap_fail(s, -EBADMSG, "the list of modules does not end");
		err = mem_read(s->rt->mem, addr, raw, (size_t)size);
		if (err)
			return snap_fail(s, err, "the list of modules cannot be read");
		if (take)
			err = take_module(s, raw);
		addr = field(s, raw, LAYOUT_MODULEDATA_NEXT);
	}
	return err;
}

int snap_read_modules(struct snap *s)
{
	int n, err = walk_modules(s, false, &n);

	if (err || n == s->nmodule)
		return err;
	snap_free_modules(s); /* a plugin was loaded */
	err = walk_modules(s, true, &n);
	if (err)
		snap_free_modules(s);
	return err;
}

int snap_copy_modules(struct snap *s)
{
	for (int i = 0; i < s->nmodule; i++) {
		for (int w = 0; w < 2; w++) {
			struct pmodule *m = &s->module[i];

			for (uint64_t at = 0; at < m->size[w]; at += PIECE) {
				uint64_t n = m->size[w] - at < PIECE ? m->size[w] - at : PIECE;
				int err = mem_read(s->rt->mem, m->base[w] + at, m->copy[w] + at, n);

				if (err)
					return snap_fail(s, err,
							 "the program's variables cannot be read");
			}
		}
	}
	return 0;
}

void snap_mark_modules(struct snap *s)
{
	for (int i = 0; i < s->nmodule; i++) {
		for (int w = 0; w < 2; w++) {
			const struct pmodule *m = &s->module[i];

			if (!m->mask[w]) {
				heap_mark_words(&s->heap, m->copy[w], m->size[w]);
				continue;
			}
			for (uint64_t k = 0; k < m->size[w] / 8; k++)
				if (m->mask[w][k / 8] >> k % 8 & 1)
					heap_mark_word(&s->heap, heap_word(m->copy[w] + 8 * k));
		}
	}
}

bool snap_module_word(const struct snap *s, uint64_t addr, uint64_t *out)
{
	for (int i = 0; i < s->nmodule; i++) {
		for (int w = 0; w < 2; w++) {
			const struct pmodule *m = &s->module[i];

			if (addr >= m->base[w] && m->size[w] >= 8 &&
			    addr - m->base[w] <= m->size[w] - 8) {
				*out = heap_word(m->copy[w] + (addr - m->base[w]));
				return true;
			}
		}
	}
	return false;
}

int snap_variable(struct snap *s, uint64_t addr, uint64_t *out)
{
	uint8_t raw[8];

	if (snap_module_word(s, addr, out))
		return 0;
	/* a variable that the collector does not look at */
	if (heap_copy(&s->heap, addr, raw, sizeof(raw)))
		return -EFAULT;
	*out = heap_word(raw);
	return 0;
}
