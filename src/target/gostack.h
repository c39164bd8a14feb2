/* SPDX-License-Identifier: BSD-2-Clause */
/* Unwinding for the verification: as goruntime_stack(), and whether the end was reached. */
#ifndef GOSPECT_TARGET_GOSTACK_H
#define GOSPECT_TARGET_GOSTACK_H

#include "target/goruntime.h"

/* *whole: it ended at goexit or another top frame, within max. */
int gostack_unwind(struct goruntime *rt, const struct goroutine *g, uint64_t *pcs, int max, bool *whole);

#endif
