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

#define ARGSLOT_WORDS 10 /* abi.TraceArgsLimit: the compiler tells of no more */
#define ARGSLOT_NONE  INT16_MIN

/*
 * The words of the arguments (flattened: receiver first; a string has two, a
 * slice three, an interface two): their offsets from the first byte behind the
 * return address, or ARGSLOT_NONE, and their sizes, at most 8 bytes.
 */
struct argslots {
	int16_t off[ARGSLOT_WORDS];
	uint8_t size[ARGSLOT_WORDS];
};

/*
 * Those that are filled at pc.  is_return: it is a return address, so the call
 * before it counts; else they are filled both before and at it.  The value is
 * what was passed, or what the variable got later.
 * -ENOENT: the function tells of none; -EBADMSG.
 */
int gobin_arg_slots(struct gobin *gb, uint64_t pc, bool is_return, struct argslots *out);
/* One of them from SP before the instruction at pc: what a probe there reads.
 * -ENOENT also when there is no such word, or it has not 8 bytes, and in the function's first instructions, before it has its frame. */
int gobin_arg_from_sp(struct gobin *gb, uint64_t pc, unsigned int n, int32_t *off);

#endif
