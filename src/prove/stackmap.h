/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the compiler wrote about the frames of functions: how large they are at
 * a pc and which of their words hold pointers (runtime/stkframe.go).  From the
 * executable alone; all addresses are link-time.
 */
#ifndef GOSPECT_PROVE_STACKMAP_H
#define GOSPECT_PROVE_STACKMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "gobin/gobin.h"

/* A variable that the frame's code points to (runtime.stackObjectRecord). */
struct stackobj {
	int32_t off; /* from varp when negative, else from argp */
	uint32_t size, ptr_bytes;
	uint32_t mask; /* in stackmaps.bits; STACKMAP_NONE: any word may be a pointer */
};

#define STACKMAP_NONE UINT32_MAX

struct framemap {
	int32_t size;        /* from SP to the return address slot */
	uint32_t args;       /* mask of the arguments, in stackmaps.bits, or none */
	uint32_t nargs;      /* words in it */
	uint32_t args_bytes; /* of arguments and results on the stack */
	uint32_t locals, nlocals;
	uint32_t first_object, nobjects; /* in stackmaps.object */
	bool top;                        /* nothing is above it */
	bool sp_write; /* assembly that switches stacks: nothing can be said of what is above */
	bool injected; /* pushed by a signal: asyncPreempt, debugCall; the frame above stopped anywhere */
	bool sigpanic;
	bool unknown_args;       /* reflect's stubs: the stack above is not described */
	bool no_locals, no_args; /* no map: any word may be a pointer */
};

struct stackmaps {
	struct gobin *gb;    /* borrowed */
	struct u64map by_pc; /* link-time pc -> index + 1; 0: in no function */
	struct framemap *frame;
	size_t nframe, frame_cap;
	uint8_t *bits;
	size_t nbits, bits_cap; /* bytes */
	struct stackobj *object;
	size_t nobject, object_cap;
};

void stackmaps_init(struct stackmaps *m, struct gobin *gb);
void stackmaps_deinit(struct stackmaps *m);
/* What is remembered grows without end in a hostile program: call between stacks. */
void stackmaps_trim(struct stackmaps *m);
/*
 * The frame of the function at pc (where it stands or will return to).  NULL:
 * in no function, or damaged.  Valid until the next call.
 */
const struct framemap *stackmaps_at(struct stackmaps *m, uint64_t pc);
static inline bool stackmap_bit(const uint8_t *bits, uint32_t i)
{
	return bits[i / 8] >> i % 8 & 1;
}

#endif
