/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the errors of a live program are told apart: the itabs that its linker has
 * made of the types in gospect/errtypes.def, and where in each is what matters,
 * found in the types' descriptors.  Knows nothing of a single error, nor of
 * what one means.
 */
#ifndef GOSPECT_GORT_GOERRORS_H
#define GOSPECT_GORT_GOERRORS_H

#include <stddef.h>
#include <stdint.h>

struct goruntime;
struct gotypes;

struct goerror {
	uint64_t key; /* of map `errtypes`: an itab, or the hash of a text */
	uint32_t id;  /* enum errtype */
	uint16_t how; /* GS_ERR_… */
	uint16_t far;
	uint32_t off;
	uint16_t bytes, text;
};

/* At most max of them: how many.  0 also where no error or no itab is found: then nothing
 * is known of errors. */
size_t goerrors_find(struct goruntime *rt, struct gotypes *types, struct goerror *out, size_t max);

#endif
