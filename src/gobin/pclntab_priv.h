/* SPDX-License-Identifier: BSD-2-Clause */
/* What pclntab.c and pcframes.c share. */
#ifndef GOSPECT_GOBIN_PCLNTAB_PRIV_H
#define GOSPECT_GOBIN_PCLNTAB_PRIV_H

#include "base/map.h"
#include "gobin/pcheader.h"
#include "gobin/pclntab.h"

/* Bytes of the file that one table occupies. */
struct pcregion {
	uint64_t off, size;
};

/* runtime._func, decoded. */
struct funcrec {
	uint32_t index;
	uint64_t entry, end;
	uint32_t name_off, pcsp, pcfile, pcln, npcdata, cu_off;
	int32_t args, start_line; /* since 1.20; 0 before */
	uint8_t func_id, flag, nfuncdata;
	uint64_t pcdata_pos; /* in the pclntable region: pcdata[], then funcdata[] */
};

struct pcl_chunk;

struct frame_cache {
	struct u64map by_pc;    /* pc * 2 + is_return -> first << 8 | count */
	struct goframe *frames; /* owned */
	size_t n, cap;
};

struct pclntab {
	struct image *im; /* borrowed */
	uint64_t text;
	uint32_t magic;
	uint8_t min_lc;
	bool old_func;      /* 1.18, 1.19: no startLine, 20-byte inline entries */
	uint8_t id_wrapper; /* funcID of the release; 0 until it is known */
	const char *own;    /* borrowed; NULL until it is known */
	uint64_t gofunc;    /* base of funcdata offsets; 0 until it is known */
	struct pcregion names, cutab, filetab, pctab, funcs;
	uint32_t nfunc;
	uint8_t *ftab; /* owned: nfunc * {entry, func} u32, and the end */
	/* interned strings */
	struct pcl_chunk *chunks;
	size_t interned;         /* bytes */
	struct u64map strings;   /* kind << 32 | offset -> char * */
	struct bytesmap by_name; /* name -> index + 1, 0: absent */
	struct frame_cache cache;
	struct u64map frame_sizes; /* pc -> pcsp value */
};

/* Reads inside a region: 0, -EBADMSG beyond it. */
int pcl_read(struct pclntab *p, const struct pcregion *r, uint64_t pos, void *dst, size_t len);
/* The function that holds pc: -ENOENT outside the text. */
int pcl_find(struct pclntab *p, uint64_t pc, struct funcrec *f);
/* The interned C string at an offset of a region: -EBADMSG, -ENOSPC, -ENOMEM. */
int pcl_string(struct pclntab *p, const struct pcregion *r, uint32_t off, const char **out);
/* A function's name as Go prints it: type arguments as "[...]". */
int pcl_name(struct pclntab *p, uint32_t off, const char **out);
/* File of the function's code at pc; "" when not known. */
int pcl_file(struct pclntab *p, const struct funcrec *f, uint64_t pc, const char **out);
void pcl_cache_init(struct pclntab *p);
void pcl_cache_deinit(struct pclntab *p);

#endif
