/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is missing from a report.  Whoever drops something says so with one
 * call; a failed allocation is a drop like any other.  A read that was repeated
 * with success is not a loss.
 */
#ifndef GOSPECT_MODEL_LOSSES_H
#define GOSPECT_MODEL_LOSSES_H

#include <stdbool.h>
#include <stdint.h>

#include "plan/sensor.h"

struct window;

enum loss {
#define LOSS(id, member, sensors, what) LOSS_##id,
#include "model/losses.def"
#undef LOSS
	LOSS_COUNT
};

/* Of one window: zeroed when it begins. */
struct losses {
	uint64_t n[LOSS_COUNT];
};

static inline void lose(struct losses *l, enum loss id, uint64_t n)
{
	l->n[id] += n;
}

/* Whether a number that probes count for a sensor lacks some. */
bool losses_of_counts(const struct losses *l, enum sensor s);
/* Adds them to the window's sums; a sensor that misses something is covered as
 * partial at best, with the reason.  The rows of its coverage must be there. */
void losses_report(const struct losses *l, struct window *w);

#endif
