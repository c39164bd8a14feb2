/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * runtime.moduledata as the linker wrote it: it ties the pclntab to the text,
 * and says where data, types and function data are.  Found in the file by the
 * addresses of the pclntab that it must contain.
 */
#ifndef GOSPECT_GOBIN_MODULEDATA_H
#define GOSPECT_GOBIN_MODULEDATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image;

/* Words of runtime.moduledata that others need; link-time addresses. */
struct moduledata {
	uint64_t addr;    /* of the moduledata itself */
	uint64_t pclntab; /* header */
	uint64_t text, etext, noptrdata, enoptrdata, data, edata, bss, ebss, noptrbss, enoptrbss;
	uint64_t end, gcdata, gcbss, types, etypes, rodata, gofunc, next;
	/* Lengths of the slices over the pclntab, in bytes; cutab's in u32 since 1.26,
	 * in bytes before (a slip of the linker); ftab's in entries. */
	uint64_t nfuncname, ncutab, nfiletab, npctab, npclntable, nftab;
	uint64_t minpc, maxpc;
	/* Itabs that the linker has made: up to 1.26 where the slice of pointers to them is, in
	 * the moduledata; since 1.27 they are in one piece. */
	uint64_t itablinks, itabs, itabs_end;
};

/* Whether an address is of the program's variables: by module data, not by segment, for in a PIE
 * the type descriptors are in a writable segment too. */
static inline bool moduledata_has_variable(const struct moduledata *md, uint64_t addr)
{
	return (addr >= md->noptrdata && addr < md->enoptrdata) ||
	       (addr >= md->data && addr < md->edata) || (addr >= md->bss && addr < md->ebss) ||
	       (addr >= md->noptrbss && addr < md->enoptrbss);
}

/* What a pclntab header says of itself; link-time addresses. */
struct pclntab_claim {
	uint64_t header, funcname, cutab, filetab, pctab, pclntable;
	uint64_t nfunc;
};

/*
 * Finds the moduledata of one of the claims: 0 with *which set, -ENOENT, or a
 * failure to read.  Fills everything up to noptrbss, which has the same shape
 * in 1.18 to 1.27.
 */
int moduledata_find(struct moduledata *md, struct image *im, const struct pclntab_claim *claims,
		    size_t nclaims, size_t *which);
/* Fills the rest, whose shape depends on the release (1.minor): 0 or -EBADMSG. */
int moduledata_finish(struct moduledata *md, struct image *im, int minor);

#endif
