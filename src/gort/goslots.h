/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arguments of the functions on a goroutine's stack.  Go passes them in
 * registers and spills them to fixed slots in the caller's frame; the pclntab
 * says where the slots are and from which pc on they are filled
 * (gobin/argslots.h).
 */
#ifndef GOSPECT_GORT_GOSLOTS_H
#define GOSPECT_GORT_GOSLOTS_H

#include "gort/goruntime.h"

/* A physical frame of a parked goroutine. */
struct gostack_frame {
	uint64_t pc;   /* run-time: where it stands, or a return address */
	uint64_t sp;   /* of this frame */
	uint64_t argp; /* behind the return address: where argument slots are counted from;
				 * 0: a frame without one (the last, of assembly) */
};

/*
 * As goruntime_stack(), with addresses.  The stack's bytes and the g are read
 * in one call: 0 when it has run meanwhile.
 */
int goruntime_stack_frames(struct goruntime *rt, const struct goroutine *g,
			   struct gostack_frame *out, int max);

/*
 * Where the argument's n-th word (flattened: receiver first; a string has two
 * words, a slice three, an interface two; n < 10) is at this pc: offset from
 * argp.  innermost: pc is where it stands (or a signal hit it), not a return
 * address.  The value is what was passed, or what the variable got later.
 * -ENOENT: no such word, too wide, or not in memory at this pc; -EBADMSG.
 * Remembered per pc.
 */
int goslot_arg(struct goruntime *rt, uint64_t pc, bool innermost, unsigned int n, int32_t *off);

#endif
