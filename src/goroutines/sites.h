/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The history of creation sites and of the goroutines seen there: who was
 * there at the look before, who has run since, who has been stuck.
 *
 * "Has run since" comes from g.trackingSeq, which casgstatus bumps each time a
 * goroutine stops running (runtime/proc.go, Go 1.17 and later); it is a byte,
 * so a goroutine that ran exactly 256 times between two looks is missed.
 */
#ifndef GOSPECT_GOROUTINES_SITES_H
#define GOSPECT_GOROUTINES_SITES_H

#include "base/map.h"
#include "model/age.h"
#include "goroutines/window.h"
#include "gort/goruntime.h"

struct trace_births;
struct trace_reading;

#define SITES_MAX      16384      /* tracked sites; those beyond are one, of no place */
#define SITES_OVERFLOW 0          /* that one's track */
#define GIVEN_MAX      (1u << 22) /* goroutines whose function is remembered */

/* A goroutine as remembered. */
struct seen {
	uint64_t addr, goid;
	uint64_t born_ns; /* our monotonic clock: birth, or a time it already lived */
	uint32_t track;   /* of its go statement */
	uint8_t seq, status, reason;
	bool born_exact;
	bool blocked;      /* waiting on a channel, lock, … */
	bool stuck;        /* so already at the look before, and not run since */
	bool window_stuck; /* so since the window began */
};

/* A creation site: one go statement; where that starts a function that it was given
 * (goroutines/given.h) one for each, whose births nobody can count. */
struct site_track {
	struct place place;
	const char *start;
	bool system;
	bool given;  /* goroutines whose function is known are at another track */
	uint32_t of; /* such a track: the one of all of them; else SITES_OVERFLOW */
	uint64_t given_live, given_base; /* live and live_base of those */
	/* of the latest look */
	uint64_t live, stuck, stuck_left, ran, stuck_window;
	uint64_t stuck_before, stuck_still; /* of the look before; of them still stuck */
	struct since oldest;                /* ns 0: nobody lives */
	uint64_t parked_ns;                 /* the earliest that a collection proves; 0: none */
	/* since the probes were armed, and the same at the start of the window */
	uint64_t births, births_base;
	uint64_t births_gone;   /* of rows of the kernel's table that made room for others */
	uint64_t births_looked; /* births as they were counted before the latest look */
	uint64_t live_base;
	uint64_t lived_ns;        /* p50 of the first lifetimes; 0 none yet */
	struct site_point *point; /* owned */
	int npoint, point_cap;
};

struct sites {
	struct goruntime *rt;     /* borrowed */
	struct bytesmap index;    /* gopc, startpc -> track */
	struct bytesmap places;   /* place -> track */
	struct u64map given;      /* goid -> track of the function that it was given */
	struct site_track *track; /* owned */
	size_t n, cap;
	struct seen *seen, *now; /* owned: of the look before, by address; of the one under way */
	size_t nseen, seen_cap, now_cap;
	bool unlearned; /* the look under way met some whose function may yet be learned */
	struct u64map reason_class; /* cache: address of the words -> class + 1 */
	uint64_t paused_ns;         /* for how long the process did not run, since the first look */
	uint64_t begin_ns, look_ns; /* first and latest recorded look, pauses left out */
	uint64_t system, system_base; /* the runtime's own, at the latest look; at the start */
	uint64_t dropped; /* goroutines and points not remembered: table full, no memory */
};

int sites_init(struct sites *s, struct goruntime *rt);
void sites_deinit(struct sites *s);
/*
 * Takes in one walk.  With `record` it becomes the look that the next one is
 * compared with and a point of the history; without, only the present numbers
 * change.  births may be NULL.  Births are counted before.
 */
int sites_look(struct sites *s, const struct gowalk *w, const struct trace_births *births,
	       bool record);
/* The births counted so far; those without a site are of the overflow track. */
void sites_count(struct sites *s, const struct trace_reading *r);
/*
 * Births and ends of the window, as of the latest look; the births counted are
 * multiplied by scale (sampling).  live_base + births - deaths is live, always.
 */
void site_flow(const struct site_track *t, double scale, uint64_t *births, uint64_t *deaths);
/*
 * Births that are taken for granted, for somebody new is alive, at sites that the
 * probes counted none of: these were counted without their site.  The runtime's own
 * are among them.
 */
uint64_t sites_inferred(const struct sites *s);
/*
 * The window begins: present numbers become its start.  follows: the one before
 * it saw every birth, and what it took for a birth is not counted again.
 */
void sites_begin_window(struct sites *s, bool follows);
/* The track of a goroutine; never NULL (the overflow track when full). */
struct site_track *sites_of_g(struct sites *s, const struct goroutine *g);
/* Reads the stacks of those whose function is not known yet.  As gostacks_read(), but
 * without stacks there is nothing to learn: 0. */
int sites_learn(struct sites *s, const struct gowalk *w);
/* The function that it runs: its own, one go statement may start several (go f(), f a variable). */
const char *site_start(const struct sites *s, const struct site_track *t,
		       const struct goroutine *g);
/* And of a birth. */
struct site_track *sites_of(struct sites *s, uint64_t gopc, uint64_t startpc);
enum wait_class sites_wait_class(struct sites *s, const struct goroutine *g);
/* Since when (our monotonic clock) it is known to live.  *at: 0 at first; quick for those of a
 * walk, in its order. */
uint64_t sites_born_ns(const struct sites *s, const struct goroutine *g, uint64_t now_ns,
		       size_t *at);
/* How old it is: from its observed birth, else a lower bound from when it was
 * first seen, or, where a collection has set it, from when it blocked.  A bound
 * of nothing is AGE_UNKNOWN. */
double sites_age_s(const struct sites *s, const struct goroutine *g, uint64_t now_ns,
		   enum age_kind *kind);

#endif
