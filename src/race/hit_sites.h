/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an access was: by the instruction before the place where a trap stood, and by the
 * function it is in.  In doubt it is left out: a verdict rests on it.
 */
#ifndef GOSPECT_RACE_HIT_SITES_H
#define GOSPECT_RACE_HIT_SITES_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/effect.h"
#include "base/map.h"
#include "gospect/watchpoints.h"
#include "race/race.h"

enum hit_of {
	HIT_OF_PROGRAM, /* it counts */
	HIT_OF_RUNTIME, /* of the runtime or package sync: no access of the program's */
	HIT_OF_MAP,     /* of the runtime's maps: the word must not be watched */
	HIT_UNKNOWN     /* which instruction it was cannot be told, or whose */
};

/* An instruction, and where it was called from as far as that decides whose access it is. */
struct hit_site {
	uint64_t pc, caller; /* run-time: behind it; the return address, or 0 */
	enum hit_of of;
	uint8_t does; /* ACCESS_READ, … */
	uint8_t map;  /* it loads a map, and straight on calls what reads or writes it: mask of
		       * ACCESS_READ, ACCESS_WRITE; 0: nothing of the kind */
	struct operand at;
	uint16_t written;
	struct place frame[HIT_FRAMES]; /* of the program: the function, and those that it is
					    * inlined into */
	int nframe;
};

enum {
	HIT_MAP_REG = 3
}; /* where the map is then: RBX, the second argument of runtime.mapassign and
			   * its like */

struct hit_sites {
	struct goruntime *rt;  /* borrowed */
	struct u64map known;   /* hash of pc and caller: index + 1 */
	struct hit_site *site; /* owned */
	size_t n, cap;
};

/* NULL: no memory. */
struct hit_sites *hit_sites_new(struct goruntime *rt);
void hit_sites_free(struct hit_sites *a);
/* Index of the site of a hit, or -ENOMEM. */
int hit_sites_find(struct hit_sites *a, const struct gs_watch_hit *h);
/*
 * The bytes that it touched of the `len` at addr: offsets from there, *hi behind the last.  1;
 * 0: cannot be told (a load that changes its own base); -1: by its registers it touched none,
 * so it was another instruction.
 */
int hit_site_bytes(const struct hit_site *s, const struct gs_watch_hit *h, uint64_t bias,
		   uint64_t addr, uint32_t len, uint32_t *lo, uint32_t *hi);
/* The address that it touched: false where the registers do not say it any more. */
bool hit_site_address(const struct hit_site *s, const struct gs_watch_hit *h, uint64_t bias,
		      uint64_t *out);
/* Index of the first of a hit's frames that is a return address. */
int hit_sites_first_caller(struct hit_sites *a, const struct gs_watch_hit *h);
/* The code of the runtime's maps, which must not be held up while a map is marked as written:
 * run-time ranges, at most max.  Returns the number. */
size_t hit_sites_map_code(struct goruntime *rt, struct gs_watch_range *out, size_t max);

#endif
