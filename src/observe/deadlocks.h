/* SPDX-License-Identifier: BSD-2-Clause */
/* Goroutines that wait for each other's locks. */
#ifndef GOSPECT_OBSERVE_DEADLOCKS_H
#define GOSPECT_OBSERVE_DEADLOCKS_H

#include "observe/sites.h"
#include "observe/window.h"

/* Fills w->locks from a walk.  0, or why nothing is known: -EOPNOTSUPP, -ESRCH, -ENOMEM. */
int deadlocks_find(struct window *w, struct sites *s, const struct gowalk *walk);
/* Marks the members that the verdict on leaks names. */
void deadlocks_mark_leaked(struct window *w);

#endif
