/* SPDX-License-Identifier: BSD-2-Clause */
/* Waits for locks in a window. */
#ifndef GOSPECT_LOCKS_WINDOW_H
#define GOSPECT_LOCKS_WINDOW_H

#include "model/window.h"

/* Goroutines that wait for one mutex or RWMutex at one place. */
struct lock_wait_row {
	bool other;
	const char *kind;   /* "sync.Mutex", "sync.RWMutex" …; static */
	uint64_t lock;      /* address */
	struct place place; /* where they wait */
	uint64_t waiters;
	uint64_t waiters_before;  /* at the look before */
	enum exactness exactness; /* of waiters */
	double rate;
	double longest_s;
	enum age_kind age;
	bool rw;
	const char *std;        /* the function that locks it, where it is the standard library's */
	uint64_t holder;        /* goid, inferred; 0 not known */
	uint64_t holders;       /* of an RWMutex: so many hold it for reading, he is one of them */
	uint64_t holder_wants;  /* the lock that he waits for himself; 0: none, or not known */
	struct place holder_at; /* where the holder stands now; may have no function */
	char holder_does[40];   /* "sleeps", "writes to a pipe" */
	bool explained;         /* a deadlock or leak says why: see observe/explain_rows.c */
};

/* Goroutines that wait in what looks like a pool by its name: pool_waits.h. */
struct pool_wait_row {
	struct place place;   /* the user's call */
	const char *function; /* of the pool, in which they are parked */
	uint64_t waiting;
	double longest_s;
	enum age_kind age;
	double quiet_s; /* since one of them has come through, or is known to wait: at least */
};

struct locks_window {
	bool known;
	bool is_sought; /* deadlocks were looked for: see observe/explain_rows.c */
	struct lock_wait_row *row;
	int nrow; /* owned; most waiters first */
	struct pool_wait_row *pool_wait;
	int npool_wait; /* owned */
	/* from the slow path's probe, under the budget */
	bool waits_known;
	uint64_t waits, timed, p50_ns, p99_ns, max_ns; /* timed: seen, not scaled */
	uint64_t margin;                               /* of waits, SAMPLED */
	enum exactness exactness;
	double rate;
};

/* Frees what it owns; it is then empty. */
void locks_window_deinit(struct locks_window *l);

#endif
