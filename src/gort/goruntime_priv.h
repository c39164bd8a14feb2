/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the goruntime files of this folder only. */
#ifndef GOSPECT_GORT_GORUNTIME_PRIV_H
#define GOSPECT_GORT_GORUNTIME_PRIV_H

#include "base/map.h"
#include "gort/goruntime.h"

#define GO_MAX_GOROUTINES (4u << 20)  /* of one walk; beyond: counted as failures */
#define GO_MAX_PS         16384       /* of allp; beyond: no counts */
#define GO_MAX_G_BYTES    2048        /* of a g that are read */
#define GO_STACK_BYTES    (64u << 10) /* of one stack that are read */
#define GO_STATUS_SCAN    0x1000u     /* runtime2.go, _Gscan */

/* The collections whose ends memstats keeps, the oldest first; by our monotonic clock. */
#define GO_CYCLES 256
struct gocycles {
	int64_t end_ns[GO_CYCLES], pause_ns[GO_CYCLES];
	int n; /* of them; 0: nothing is proven by them */
	bool known;
	uint32_t ended;          /* since the start */
	bool asked, coroutines;  /* whether the program has any */
	int64_t last_ns;         /* what was asked for last, */
	uint64_t last_proven_ns; /* and the answer */
};

struct gowalk_cache {
	/* what is read of each g: from, length */
	uint32_t g_from, g_len;
	uint32_t walks; /* so far */
	/* allgs, which only ever grows: known entries, sorted by address */
	uint64_t *addr;
	size_t naddr, addr_cap;
	size_t list_seen;  /* entries of the list that are in addr */
	uint64_t list_odd; /* of them unusable as addresses */
	/* one batch of g's */
	uint8_t *raw;
	struct mem_piece *piece;
	size_t *first; /* piece i holds addr[first[i]] … */
	/* allp */
	uint8_t *praw;
	struct mem_piece *ppiece;
	size_t p_cap;
	/* start pc -> is it the runtime's own */
	struct u64map system;
	uint8_t *stack;             /* GO_STACK_BYTES */
	struct gocycles cycles;     /* of before the latest walk */
	struct goslot_cache *slots; /* owned; goslots.c */
};

/* NULL is fine. */
void goslot_cache_free(struct goslot_cache *c);

/* The list's array and length, from both places it is kept in; -EAGAIN while they differ. */
int goread_list(struct goruntime *rt, uint64_t *array, uint64_t *len);
/* A g from its bytes (cache->g_from on); status as it is, scan bit masked. */
void goread_decode(struct goruntime *rt, uint64_t addr, const uint8_t *raw, struct goroutine *out);
/* Whether the g with these bytes is still where it was, without a step in between. */
bool goread_stands(const struct goruntime *rt, const uint8_t *raw, const struct goroutine *g);
/* One g. 0 or -EFAULT, … */
int goread_one(struct goruntime *rt, uint64_t addr, struct goroutine *out);
/* A status the walk lists; *known false when no release has it. */
bool gostatus_is_live(uint8_t status, bool *known);
/* Alive, and complete: what a g in the middle of its birth is not yet. */
bool goroutine_is_sound(const struct goroutine *g);

/* Reads the counters; with `raw` the unverified ones too, for the verification. */
struct goraw {
	uint64_t allglen, gfree, ngsys, goidgen, unspent_ids;
	uint64_t created_counter; /* >= 1.26 */
	uint32_t maxmcount, work_cycles;
	uint64_t np; /* len(allp) */
	bool has_sched, has_p, has_created_counter, has_memstats, has_controller, has_cycles;
	uint64_t heap_minimum;
	bool p_ids_fit;    /* allp[i].id == i and a known status, for all of len(allp) */
	bool gc_ring_fits; /* last_gc_unix is what the ring has for numgc */
	bool torn;         /* the counters changed while they were read, every time */
};
int goread_counters(struct goruntime *rt, struct goraw *raw, struct gototals *t);
/* Of these only memstats and the number of cycles. */
int goread_memstats(struct goruntime *rt, struct goraw *raw, struct gototals *t);

/* gocycles.c: reads them anew. */
void gocycles_read(struct goruntime *rt);
/* From memstats, and what our wall clock has over our monotonic one. */
void gocycles_set(struct gocycles *c, const struct gototals *t, int64_t real_offset_ns);
/* Since when a goroutine with that g.waitsince, by our monotonic clock, is blocked at least; 0:
 * nothing is proven. */
uint64_t gocycles_proven_ns(struct gocycles *c, int64_t since_ns);

/* Makes the process's own wait reasons those of rt->gb->layout: 0, -ENOENT, -ENOMEM. */
int goreasons_learn(struct goruntime *rt);
/* Off, with a sentence; the first one stays. */
void goruntime_off(struct goruntime *rt, enum gofact f, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
bool go_in_text(const struct goruntime *rt, uint64_t pc);

/* goverify.c */
int goruntime_verify(struct goruntime *rt, struct err *err);

#endif
