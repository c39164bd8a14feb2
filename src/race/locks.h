/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which locks may guard a word, and whether they were held when it was touched.  Candidates are
 * the mutexes that the functions around an access take, where the access's registers say which
 * these are; they are read in the trap.  A bit that is clear says that nobody held the lock.
 * The other way round nothing follows: it may have been somebody else's.
 */
#ifndef GOSPECT_RACE_LOCKS_H
#define GOSPECT_RACE_LOCKS_H

#include "race/hit_sites.h"
#include "race/race.h"

/* Looks for locks around an access that was seen, once for each way to come there. */
void locks_learn(struct race *r, struct word_watch *w, struct shared_access *a,
		 const struct hit_site *site, const struct gs_watch_hit *h);
/* The word is somewhere else now: its locks are others. */
void locks_forget(struct word_watch *w);
/* Asks for those of a word, the `word`th of the slice, as far as there is room. */
void locks_ask(const struct word_watch *w, int word, struct watch_slice *s);
/* What a hit says of them. */
void locks_take(struct shared_access *a, const struct watch_slice *s, const struct gs_watch_hit *h);
/* At the end: whether a lock is held at every store, and not at an access by others. */
void locks_judge(struct word_watch *w);

#endif
