/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a function's arguments are in memory, by pc.  Go passes them in
 * registers and spills them to slots in the caller's frame; the pclntab says
 * where the slots are (FUNCDATA_ArgInfo) and from which pc on they are filled
 * (FUNCDATA_ArgLiveInfo, PCDATA_ArgLiveIndex; Go 1.18 and later).
 * All from the file; pcs are link-time.
 */
#ifndef GOSPECT_GOBIN_ARGSLOTS_H
#define GOSPECT_GOBIN_ARGSLOTS_H

#include <stdbool.h>
#include <stdint.h>

struct gobin;

/*
 * The slot of the argument's n-th word (flattened: receiver first; a string has
 * two words, a slice three, an interface two; n < 10): its offset from the first
 * byte behind the return address.  is_return: pc is a return address.
 * -ENOENT: no such word, not one of 8 bytes, or not filled at this pc; -EBADMSG.
 */
int gobin_arg_slot(struct gobin *gb, uint64_t pc, bool is_return, unsigned int n, int32_t *off);
/* The same from SP before the instruction at pc: what a probe there reads. */
int gobin_arg_from_sp(struct gobin *gb, uint64_t pc, unsigned int n, int32_t *off);

#endif
