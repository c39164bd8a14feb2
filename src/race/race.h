/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data races on words of a process, seen by hardware watchpoints: what is watched when, and
 * what was seen of each word.  Nothing says that a word is free of races: a silent one was
 * watched for so long, and so many overlaps would have been expected of it.
 */
#ifndef GOSPECT_RACE_RACE_H
#define GOSPECT_RACE_RACE_H

#include "base/map.h"
#include "model/finding.h"
#include "race/proof.h"
#include "race/sweep.h"
#include "race/words.h"
#include "trace/watchpoints.h"

#define HIT_FRAMES 4 /* kept of a line and those that it is inlined into */

enum race_verdict {
	RACE_UNPROVEN, /* nothing overlapped: no verdict at all */
	RACE_SUSPECTED, /* accesses overlapped, but the clocks of this machine's CPUs cannot be compared */
	RACE_NO_LOCK, /* … but a lock is held at every store, and not at an access by others */
	RACE_PROVEN
};
extern const char *const race_verdict_word[RACE_PROVEN + 1];

#define WORD_LOCKS 4 /* kept of a word */

/* A lock that may guard a word. */
struct word_lock {
	uint64_t addr; /* of what says whether it is held */
	bool rw;
	struct place taken; /* one of the places where it is */
};

/* … and how often somebody held it at an access. */
struct lock_seen {
	const struct word_lock *lock;
	uint64_t sampled, held;
};

/* By one instruction, in goroutines of one creation site. */
struct shared_access {
	const struct word_watch *word; /* whose it is */
	uint32_t site;                 /* in race.sites */
	struct place place;            /* its line; strings are the pclntab's */
	struct place frame[HIT_FRAMES];
	int nframe;
	const char *kind; /* "read", "write", "update", "map read", "map write" */
	bool stores, is_map;
	bool atomic;
	uint64_t gopc;
	uint64_t goid; /* of one of them: of an overlap, where there was one */
	struct place created;
	bool many;      /* by more than that one */
	bool orders;    /* around it there is other means of order, or a lock that is not known */
	uint64_t count; /* seen */
	uint64_t overlaps;
	struct lock_seen lock[WORD_LOCKS]; /* as those of the word */
	struct lock_seen *locks;           /* the first of them, once they are all */
	int nlock;
};

struct hit_sites;
#define WORD_ACCESSES 64 /* kept of a word; others are counted */

/* What was seen of a word. */
struct word_watch {
	const struct race_word *word; /* borrowed */
	char name[400];               /* as a sentence has it, of unnamed ones by their accesses */
	const char *how;              /* "named", or found in the "code" */
	uint64_t address, offset;     /* where it was last; behind a pointer, with `via` */
	bool via;
	int size;
	enum race_verdict verdict;
	uint64_t overlaps;
	int64_t closest_ns; /* from the end of one trap to the beginning of the other; < 0: strictly
			     * within */
	double expected;    /* overlaps, had nothing ordered the accesses */
	uint64_t hits;      /* of the program; and of the runtime: */
	uint64_t others;
	uint64_t unclear; /* left out: which instruction it was, or whose, cannot be told */
	uint64_t watched_ns;
	uint32_t slices;
	bool written;                 /* plainly, since it is watched */
	bool is_map;                  /* the runtime's map code touched it: not watched any more */
	bool is_gone;                 /* it could not be read */
	struct shared_access *access; /* owned; those that overlapped first, then by count */
	int naccess;
	size_t access_cap;
	uint64_t dropped; /* accesses beyond WORD_ACCESSES sites */
	int pair[2];      /* of the first overlap, or of the lock that is forgotten: index of the
			   * accesses; the store first */
	struct word_lock lock[WORD_LOCKS];
	int nlock, forgot; /* the one that is */
	bool more_locks;   /* there are more, or they cannot be read */
};

struct race_options {
	double budget_pct;
	uint64_t hold_ns; /* after a plain store a thread is held for so long; 0: never */
	int wake_fd;      /* ends a slice; -1: none */
	uint64_t for_ns;  /* 0: as long as it takes, at most RACE_FOR_NS */
};
#define RACE_FOR_NS (60 * NS_PER_S)

struct race {
	struct watchpoints *wp; /* borrowed */
	struct goruntime *rt;   /* borrowed */
	const struct process *proc;
	struct race_options o;
	struct race_words words;
	struct word_watch *watch; /* owned; one for each of the words */
	struct hit_sites *sites;  /* owned */
	struct u64map ways;       /* to accesses, that were looked at for locks */
	struct race_clock clock;
	bool comparable; /* clocks of CPUs */
	bool sweeps;     /* nobody named a word */

	/* of all slices */
	uint64_t begin_ns, cpu_ns; /* when it began; CPU time of the process then */
	uint64_t slices, hits, held, cost_ns, watched_ns;
	double expected;
	uint64_t slice_ns;      /* of the next one */
	bool cut;               /* in the last one threads were disarmed */
	struct sweep sweep;     /* where nobody named a word */
	uint64_t looked_ns;     /* when its words were read last, for those that change */
	uint64_t swept;         /* words that were watched */
	int registers;          /* words at a time: fewer than 4 where somebody else has them */
	int missed;             /* threads */
	struct word_watch *row; /* copies of those with something to say, worst first */
	int nrow;
	double for_s; /* that it took */
};

/* words: already named, or empty: then candidates are sought.  0 or -errno with err. */
int race_begin(struct race *r, struct watchpoints *wp, struct goruntime *rt,
	       const struct process *proc, const struct race_options *o, struct err *err);
void race_deinit(struct race *r);
/* One slice and the pause that the budget asks for.  0; 1: it is over; -ESRCH: the process is; else
 * err says why. */
int race_step(struct race *r, struct err *err);
/* To be called at the end: makes the rows. */
void race_sum(struct race *r);
/* Whether the clocks of all CPUs are one: the kernel found its TSC to be. */
bool race_clocks_comparable(void);

/* shared_memory.c */
void race_find(const struct race *r, struct findings *found);

#endif
