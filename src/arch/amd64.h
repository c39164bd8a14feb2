/* SPDX-License-Identifier: BSD-2-Clause */
/* The amd64 entry of arch_find(); private to src/arch. */
#ifndef GOSPECT_ARCH_AMD64_H
#define GOSPECT_ARCH_AMD64_H

#include <Zydis/Zydis.h>

#include "arch/effect.h"

/* One decoded instruction as Zydis has it. */
struct amd64 {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

extern const struct arch arch_amd64;

/* arch->decode() without the text, and what it came from. */
int amd64_insn(const uint8_t *code, size_t len, uint64_t addr, struct amd64 *a, struct insn *out);
int amd64_effect(const uint8_t *code, size_t len, uint64_t addr, struct effect *out);
int amd64_access(const uint8_t *code, size_t len, uint64_t addr, struct insn_access *out);

#endif
