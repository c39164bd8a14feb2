/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which words are watched when, where nobody has named one: four at a time, in slices.  Stores
 * alone first, which costs nothing while nobody stores; then reads, too, of the words that were
 * stored to.  Both take turns, so that a race on one word need not wait until all were looked
 * at.  Pure: no clock, no process.
 */
#ifndef GOSPECT_RACE_SWEEP_H
#define GOSPECT_RACE_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "race/words.h"

#define SWEEP_SLOTS 4

struct sweep_slice {
	size_t word[SWEEP_SLOTS]; /* indices in the list */
	size_t n;
	bool reads; /* reads, too; else stores alone */
	uint32_t ms;
};

/* What a slice showed of one word. */
struct sweep_seen {
	uint32_t hits;
	bool stored; /* plainly, by code of the program */
	bool proven; /* a race: it needs no more slices */
	bool owned;  /* the runtime's, after all: never again */
	bool gone;   /* nothing to watch: nil, or not mapped; the next round tries again */
};

struct sweep {
	const struct race_words *l; /* borrowed; neither sorted nor grown meanwhile */
	struct sweep_word *w;       /* owned */
	size_t slots; /* words of a slice: SWEEP_SLOTS, or as few as there is room for */
	size_t next;  /* of the round */
	bool begun;   /* the round: some of its words were watched */
	uint64_t stores_ms, reads_ms; /* with the pauses behind them */
	/* For the report. */
	uint64_t rounds, slices; /* rounds that are complete */
	size_t swept;            /* words that were watched at least once */
	size_t stored;           /* words that were stored to */
};

/* 0 or -ENOMEM. */
int sweep_init(struct sweep *s, const struct race_words *l);
void sweep_deinit(struct sweep *s);
/* The next slice: false when there is nothing to watch (any more). */
bool sweep_next(struct sweep *s, struct sweep_slice *out);
/* Whether a word is being stored to, as far as is known, and not done with. */
bool sweep_is_live(const struct sweep *s, size_t i);
/* What came of it: seen[i] is of word[i]. */
void sweep_saw(struct sweep *s, const struct sweep_slice *slice, const struct sweep_seen *seen);
/* The pause behind it: of the time that both have, it is the slice's. */
void sweep_paused(struct sweep *s, const struct sweep_slice *slice, uint64_t ms);

#endif
