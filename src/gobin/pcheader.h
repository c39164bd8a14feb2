/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding the pclntab in an executable: by section name, else by scanning the
 * load segments; each find must be vouched for by a moduledata.
 * Private to src/gobin.
 */
#ifndef GOSPECT_GOBIN_PCHEADER_H
#define GOSPECT_GOBIN_PCHEADER_H

#include <stdint.h>

#include "base/err.h"
#include "gobin/moduledata.h"

struct image;

struct pcheader {
	struct pclntab_claim at; /* where its tables are */
	uint64_t text_start;     /* 0 since 1.26 (and in a file linked by lld) */
	uint64_t nfiles;
	uint32_t magic;
	uint8_t min_lc; /* instruction size quantum: 1 amd64, 4 arm64 */
};

#define PCLNTAB_MAGIC_118 0xfffffff0u /* 1.18, 1.19 */
#define PCLNTAB_MAGIC_120 0xfffffff1u /* since 1.20 */

/*
 * -ENOEXEC: none, or of a release before 1.18; -EBADMSG: there is one, damaged.
 * md is filled as moduledata_find() does.
 */
int pcheader_find(struct pcheader *h, struct moduledata *md, struct image *im, struct err *err);

#endif
