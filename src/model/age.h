/* SPDX-License-Identifier: BSD-2-Clause */
/* Since when things are there that one look after the other sees. */
#ifndef GOSPECT_MODEL_AGE_H
#define GOSPECT_MODEL_AGE_H

#include "base/map.h"
#include "model/window.h"
#include "gort/goruntime.h"

/* A time at which something began (exact), or was there already (at least). */
struct since {
	uint64_t ns; /* our monotonic clock; 0 not known */
	enum age_kind kind;
};

/* The one longer ago; one that is not known loses. */
struct since since_earlier(struct since a, struct since b);
/* In seconds; a lower bound of under a millisecond says nothing: AGE_UNKNOWN. */
double since_age_s(struct since s, uint64_t now_ns, enum age_kind *kind);
/* Makes it the older of two ages; one that is not known loses. */
void age_max(double *s, enum age_kind *kind, double other_s, enum age_kind other);
/* At first_ns it was as it is, or earlier, as a collection proves. */
struct since since_parked(const struct goroutine *g, uint64_t first_ns);

/*
 * Tells one stop of a goroutine from its next: what differs between them, mostly.
 * How often it has run is known by 8 bits, so that one of 256 that have run seems
 * to stand where it was.
 */
uint64_t goroutine_stop(const struct goroutine *g);

/* What one look leaves to the next, by key; mark: what must be the same. */
struct recalled {
	uint64_t mark[2], first_ns;
	uint32_t looks; /* that had the same marks, this one included */
};

struct recall {
	struct u64map at;      /* key -> number in fact */
	struct recalled *fact; /* owned */
	size_t n, cap;
	uint64_t dropped; /* facts that found no room: new again at the next look */
};

#define RECALL_MAX 65536 /* facts; beyond: dropped */

void recall_init(struct recall *r);
void recall_deinit(struct recall *r);
/* NULL: not there at the look before.  Valid until the recall changes. */
const struct recalled *recall_find(const struct recall *r, uint64_t key);
/* Puts it into `to`; returns since when it is there with the same marks: as `from` has it, else now. */
uint64_t recall_keep(const struct recall *from, struct recall *to, uint64_t key, uint64_t mark0,
		     uint64_t mark1, uint64_t now_ns);
/* Of a goroutine that waits (mark1 is its stop): what two looks have alike may be chance, of three
 * it is not. */
uint64_t recall_keep_stop(const struct recall *from, struct recall *to, const struct goroutine *g,
			  uint64_t mark0, uint64_t now_ns);
/* The look ends: `new` becomes `old`, and empty. */
void recall_swap(struct recall *old, struct recall *new);

#endif
