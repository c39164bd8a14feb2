/* SPDX-License-Identifier: BSD-2-Clause */
/* Goroutines by creation site and state; snapshots: their stacks, leaks and deadlocks. */
#ifndef GOSPECT_GOROUTINES_SUBJECT_H
#define GOSPECT_GOROUTINES_SUBJECT_H

#include "model/subject.h"

struct prove_result;

extern const struct subject goroutines_subject;

/* Its detectors, one file each. */
extern const struct detector deadlock_detector;
extern const struct detector goroutine_flood_detector;
extern const struct detector goroutine_leak_detector;

/* Adds the verdicts on leaks to a window that was filled with `self` and l, and what they cover. */
void goroutines_add_leaks(void *self, struct look *l, struct window *w,
			  const struct prove_result *r);

/* Adds all goroutines by stack to such a window, as they are now. */
void goroutines_add_dump(void *self, struct look *l, struct window *w);

#endif
