/* SPDX-License-Identifier: BSD-2-Clause */
/* The amd64 entry of arch_find(); private to src/arch. */
#ifndef GOSPECT_ARCH_AMD64_H
#define GOSPECT_ARCH_AMD64_H

#include "arch/decode.h"

extern const struct arch arch_amd64;

#endif
