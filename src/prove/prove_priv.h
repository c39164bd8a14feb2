/* SPDX-License-Identifier: BSD-2-Clause */
/* What prove.c, passes.c and refusal.c share. */
#ifndef GOSPECT_PROVE_PROVE_PRIV_H
#define GOSPECT_PROVE_PROVE_PRIV_H

#include "proc/waiting.h"
#include "prove/freeze.h"
#include "prove/prove.h"
#include "prove/snap.h"

/* A goroutine that every pass so far has found stuck. */
struct suspect {
	uint64_t addr, goid, sp, primitive;
	uint8_t seq, kind;
	bool leaked; /* else only if what config.held says is so */
};

struct run {
	const struct prove_config *cfg;
	struct prove_result *out;
	struct snap snap;
	struct freeze *freeze; /* with a proof */
	struct suspect *suspect;
	size_t nsuspect;
	uint64_t rest_ns;       /* that copying stacks would take which a freeze spares, keep.c */
	uint64_t copy_ns;       /* of the last unfrozen pass: what a frozen one will take */
	uint64_t stop_ns;       /* of the last one */
	uint64_t end_ns;        /* no pass goes on after; 0: none is running */
	int want;               /* passes */
	struct waiting waiting; /* who wanted a CPU at the end of the last pass */
	bool moved;             /* the process ran during the last pass */
	bool before;            /* a freeze: judged only to spare stacks */
};

/* refusal.c: NULL when this program can be judged, else why not. */
const char *prove_refusal(struct goruntime *rt, char *text, size_t size);
/* passes.c: the verdict of passes over the running process. */
int prove_passes(struct run *r);

/* Refused, with a sentence: never an error. */
int prove_off(struct prove_result *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t prove_count_stuck(const struct snap *s);
int prove_unfrozen_pass(struct run *r);
/* After the last look: the list.  only: of these (1: leaked; 2: at most stuck); NULL: of all. */
int prove_finish(struct run *r, const struct u64map *only);
/* 1: it is one; 0: gone, or somebody else's meanwhile: it was none; -ESRCH, -ESTALE:
 * the process ended, and half a list is useless. */
int prove_fill_one(const struct run *r, const struct pgo *g, struct leaked *l);
/* By goid. */
void prove_sort(struct leaked *v, size_t n);

#endif
