/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_PROVE_NEWER_H
#define GOSPECT_PROVE_NEWER_H

#include "gort/goruntime.h"

/*
 * Whether the newest known layout holds for this newer release: NULL, or what
 * did not fit (static, or of rt).  Takes some milliseconds.
 */
const char *newer_misfit(struct goruntime *rt);

#endif
