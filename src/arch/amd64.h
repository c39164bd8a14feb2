/* SPDX-License-Identifier: BSD-2-Clause */
/* The amd64 entry of arch_find(); private to src/arch. */
#ifndef GOSPECT_ARCH_AMD64_H
#define GOSPECT_ARCH_AMD64_H

#include "arch/effect.h"

extern const struct arch arch_amd64;

int amd64_effect(const uint8_t *code, size_t len, uint64_t addr, struct effect *out);
int amd64_access(const uint8_t *code, size_t len, uint64_t addr, struct insn_access *out);

#endif
