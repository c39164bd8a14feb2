/* SPDX-License-Identifier: BSD-2-Clause */
/* What a slice has shown, added to what is known of its words. */
#ifndef GOSPECT_RACE_SEEN_H
#define GOSPECT_RACE_SEEN_H

#include "race/race.h"

/*
 * word[i] was watched at s->word[i]; moved: mask of those that are elsewhere now: where they
 * were may have become something else, so nothing is said of them.  0 or -ENOMEM.
 */
int race_seen(struct race *r, struct word_watch *const *word, const struct watch_slice *s,
	      const struct watch_seen *seen, uint32_t moved);
/* At the end: the accesses in order, and a name for who has none. */
void word_watch_finish(struct word_watch *w);

#endif
