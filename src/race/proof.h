/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which accesses are a data race, by nothing but when they were.
 *
 * A trap comes right behind the access, and until it is over its thread executes nothing: it
 * releases no lock, sends nothing, stores nothing atomically.  Two threads that are in such a
 * trap at the same time, on one word, have therefore nothing between their accesses that would
 * order them (go.dev/ref/mem): with a plain store among the two that is a data race, whatever
 * locks there are.  The same holds of a map that both have just loaded, and straight on read or
 * write, one of them.  The idea is that of DataCollider (OSDI '10), the trap itself the delay.
 *
 * The program that a trap runs takes the time at its beginning and at its end; what is before
 * and behind it belongs to the trap, too.  Of this a part is counted in: `margin`, well below
 * the least that was ever measured.  Knows no threads and no clock.
 */
#ifndef GOSPECT_RACE_PROOF_H
#define GOSPECT_RACE_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct race_event {
	uint64_t begin_ns, end_ns;
	uint32_t tid;
	uint64_t goid;
	uint32_t site; /* of the caller's */
	bool store;    /* it stores, and not atomically */
	uint64_t
		map; /* it has loaded this map, and straight on gives it to the runtime; 0: not so */
	bool map_store;  /* … which writes it */
	bool known;      /* which bytes it touched: */
	uint32_t lo, hi; /* offsets in the word; else it touched one of them */
};

struct race_clock {
	uint64_t margin_ns; /* of the trap outside of begin and end, counted in */
	uint64_t
		skew_ns; /* clocks of two CPUs may differ by it: a shorter overlap proves nothing */
};

/* At most so much of the least that a trap was measured to take outside of its program. */
#define RACE_MARGIN      0.6
#define RACE_MARGIN_MOST 5000 /* ns */
#define RACE_SKEW        1000 /* ns */
struct race_clock race_clock_of(uint64_t around_ns);

/* Two that overlapped, a began first; gap_ns: from the end of a to the beginning of b. */
struct race_pair {
	size_t a, b;
	int64_t gap_ns;
};

/* Whether they prove a race on a word of `len` bytes; a began first. */
bool race_proves(const struct race_event *a, const struct race_event *b, uint32_t len,
		 const struct race_clock *c);
/*
 * Sorts the events of one word by time and calls fn for each pair that proves it.  Returns how
 * many there were.
 */
size_t race_pairs(struct race_event *e, size_t n, uint32_t len, const struct race_clock *c,
		  void (*fn)(void *arg, const struct race_pair *p), void *arg);
/*
 * How many pairs would have overlapped had nothing ordered the threads, and had they all run
 * at the same time: of events that came within span_ns.
 */
double race_expected(const struct race_event *e, size_t n, uint64_t span_ns,
		     const struct race_clock *c);

#endif
