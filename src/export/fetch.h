/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots read from the spool without waiting for the disk: each by a thread of its own.
 * One that hangs holds up that thread, and nobody else: after a while who asked is told so.
 */
#ifndef GOSPECT_EXPORT_FETCH_H
#define GOSPECT_EXPORT_FETCH_H

#include "export/pages.h"

#define FETCH_MAX 4    /* read at a time, those that hang included */
#define FETCH_MS  3000 /* until somebody is told that it hangs */

struct fetch;
struct fetches;

struct fetches *fetches_new(void); /* NULL: no memory */
/* All that are under way are over: done() was called for each.  NULL is fine. */
void fetches_stop(struct fetches *fs);
void fetches_free(struct fetches *fs);

/* Begins to read what is asked for; done(arg), in another thread, when there is an answer.
 * NULL: it cannot be begun, and done() is not called. */
struct fetch *fetch_begin(struct fetches *fs, const struct snapshot_ask *ask,
			  void (*done)(void *arg), void *arg);
/* The answer; the fetch is over. */
struct page fetch_take(struct fetch *f);
/* Nobody wants it any more.  NULL is fine. */
void fetch_put(struct fetch *f);

#endif
