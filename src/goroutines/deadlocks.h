/* SPDX-License-Identifier: BSD-2-Clause */
/* Goroutines that wait for each other: for locks, wait groups and channels. */
#ifndef GOSPECT_GOROUTINES_DEADLOCKS_H
#define GOSPECT_GOROUTINES_DEADLOCKS_H

#include "goroutines/sites.h"
#include "goroutines/window.h"
#include "model/losses.h"

struct prove_result;

/*
 * Fills w->goroutines->deadlocks anew from a walk.  leaked: the verdict that w->goroutines->leaks is of, for
 * cycles with channels in them, or NULL.  Who is left out is a loss.  0, or why nothing is known:
 * -EOPNOTSUPP, -ESRCH, -ENOMEM.
 */
int deadlocks_find(struct window *w, struct sites *s, const struct gowalk *walk,
		   const struct prove_result *leaked, struct losses *losses);
/* Marks the members that the verdict on leaks names. */
void deadlocks_mark_leaked(struct window *w);

#endif
