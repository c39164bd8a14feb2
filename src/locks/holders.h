/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who holds the locks that goroutines wait for at a window's end, where that one
 * stands and what it does: by looking ahead of all goroutines (gort/goholders.h).
 * One is named when it alone can be it.
 */
#ifndef GOSPECT_LOCKS_HOLDERS_H
#define GOSPECT_LOCKS_HOLDERS_H

#include "locks/window.h"
#include "model/look.h"

struct goahead;

#define HOLDERS_MAX_LOCKS   64  /* those with most waiters */
#define HOLDERS_MAX_WAITERS 8   /* of one lock that are looked at: they hold others, or this one */
#define HOLDERS_MAX_OTHERS  256 /* that wait for locks besides */

/* Fills holder… of the window's rows.  a: what was learned of the code before, NULL: it cannot
 * be followed.  lock_of[l->walk->n]: what each waits for, 0 none.  pid: where its descriptors
 * are.  Waits for those that run, but not in windows that are short.  0 or -ENOMEM. */
int holders_fill(struct locks_window *w, struct goahead *a, const struct look *l,
		 const uint64_t *lock_of, long pid);

#endif
