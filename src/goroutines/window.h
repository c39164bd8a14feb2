/* SPDX-License-Identifier: BSD-2-Clause */
/* Goroutines in a window: by site and state, one by one, leaked, deadlocked. */
#ifndef GOSPECT_GOROUTINES_WINDOW_H
#define GOSPECT_GOROUTINES_WINDOW_H

#include "model/stacktable.h"
#include "model/window.h"

#define DUMP_MAX_IDS 10

/* How a goroutine waits, for judging. */
enum wait_class {
	WAIT_NOT,     /* running, runnable, in a system call */
	WAIT_BLOCKED, /* channel, select, mutex, wait group, condition, semaphore */
	WAIT_IO,      /* the network poller, or a channel inside net, net/http, database/sql … */
	WAIT_SLEEP,   /* time.Sleep */
	WAIT_OTHER
};

struct wait_row {
	const char *reason; /* as the goroutine dump words it */
	enum wait_class klass;
	uint64_t count;
	struct place stack[WINDOW_MAX_STACK]; /* of one of them, innermost first */
	int nstack;                           /* 0: not read (running) */
	int user; /* index in stack of where it stands, as place_pick(); -1 none */
};

/* One look at a site.  Looks are about a second apart (a fifth of the window at most). */
struct site_point {
	double t_s;          /* since the observation began */
	uint32_t live;       /* these four: UINT32_MAX is so many, or more */
	uint32_t stuck;      /* blocked, there at the look before, and not run since */
	uint32_t stuck_left; /* stuck at the look before, now gone or moved */
	uint32_t ran;        /* there at the look before and run since */
};

#define WINDOW_MAX_POINTS 64 /* older ones are thinned out: first and last are kept */

/* How long goroutines had lived that ended in the window and whose birth was seen. */
struct lifetime {
	uint64_t count;                         /* 0: none */
	uint64_t timed, p50_ns, p99_ns, max_ns; /* of so many */
	enum exactness exactness;               /* PARTIAL: others ended, too */
	double rate;                            /* SAMPLED: 0..1 */
};

/* Who holds the lock that goroutines wait for: observe/explain_rows.c. */
struct site_lock {
	bool known;       /* they wait for a lock that others wait for, too */
	bool rw;          /* an RWMutex */
	uint64_t holder;  /* goid; 0 not known */
	const char *does; /* "sleeps"; of another part of the window */
	struct place at;  /* where it stands; may have no function */
	bool is_sought;   /* deadlocks were looked for */
};

struct site_row {
	bool other;                    /* the rest beyond 1,000 rows, summed */
	struct place place;            /* of the go statement */
	const char *start;             /* function it names */
	uint64_t births, deaths, live; /* deaths: births and what live became say them */
	bool births_known;             /* false: no probe counted them; births and deaths are 0 */
	uint64_t live_at_start;
	enum exactness exactness; /* of births and deaths */
	double oldest_s;
	enum age_kind age;
	struct wait_row *wait; /* owned by the window; most frequent first */
	int nwait;
	size_t wait_at; /* the observer's own, while it fills the row */
	struct site_point
		*point;        /* owned by the window: since the observation began, oldest first */
	int npoint;            /* at most WINDOW_MAX_POINTS */
	uint64_t stuck_window; /* blocked, and not seen to run in the whole window */
	bool explained;        /* another finding says why: see observe/explain_rows.c */
	struct site_lock lock;
	struct lifetime lifetime;
	uint64_t lived_before_ns; /* p50 in the first window that had enough; 0 not known */
	uint32_t track;           /* the observer's own: which of struct sites */
};

struct state_count {
	const char *state;
	uint64_t count;
};

/* Every goroutine of the process, as read once at the end of the window (goroutines/dump.h). */

struct dump_label {
	const char *key, *value; /* foreign bytes */
};

struct dump_label_set {
	uint32_t first, n; /* in label[] */
};

#define DUMP_LABELS_UNKNOWN UINT32_MAX

/* Goroutines with the same stack, state and labels. */
struct dump_group {
	const char *reason; /* wait reason, else running, runnable, syscall */
	const char *state;  /* waiting, running, runnable, syscall, … */
	uint64_t count;
	double oldest_s;
	enum age_kind age;
	uint32_t labels;           /* in label_set[]: 0 none, or DUMP_LABELS_UNKNOWN */
	uint32_t stack;            /* in stacks, or STACK_NONE: it runs, or was not read */
	bool unread;               /* changed each time it was read: no stack for that reason */
	struct place created;      /* of all of them; no function: of several places */
	uint64_t id[DUMP_MAX_IDS]; /* the lowest */
	int nid;
};

struct dump_goroutine {
	uint64_t goid, creator; /* 0: not known */
	const char *reason, *state;
	double age_s;
	enum age_kind age;
	uint32_t labels, stack;
	struct place created;
	const char *start;
	bool locked; /* to a thread */
};

struct goroutine_dump {
	struct stack_table stacks; /* all owned */
	struct dump_label *label;
	size_t nlabel;
	struct dump_label_set *label_set;
	size_t nlabel_set;
	struct dump_group *group;
	size_t ngroup; /* most goroutines first */
	struct dump_goroutine *all;
	size_t nall;            /* by id; only when asked for */
	uint64_t goroutines;    /* in the groups */
	uint64_t unread, ended; /* could not be read in peace; ended since the list was read */
	uint64_t labels_unknown;
	uint64_t left_out; /* in no group: there are too many, or memory was short */
	double read_s;
	void *store; /* what holds the strings; see dump_free() */
};

enum leaks_verdict { LEAKS_VERDICT_OFF, LEAKS_VERDICT_PASSES, LEAKS_VERDICT_PROVEN };

/* Leaked goroutines of one go statement that wait in the same way at one place. */
struct leak_row {
	bool other;
	struct place place; /* of the go statement */
	const char *start;
	const char *reason; /* wait reason */
	bool by_design;     /* waits for ever on purpose: main in select {} */
	bool explained;     /* another finding says why: see observe/explain_rows.c */
	uint64_t count;
	uint64_t count_before; /* of them, there at the start of the window (before_known) */
	double oldest_s;
	enum age_kind age;
	uint32_t stack;  /* of one of them, in stacks; STACK_NONE */
	struct place at; /* where they stand, in the user's code; may have no function */
	uint64_t id[DUMP_MAX_IDS];
	int nid;
};

struct leaked_goroutine {
	uint64_t goid, primitive;
	uint32_t row;
	double age_s;
	enum age_kind age;
	int seen_passes;
	uint32_t stack;
	uint64_t holder; /* goid that holds the lock it waits for; 0: not known */
};

/* On a CPU when the process was frozen for the proof. */
struct running_goroutine {
	uint64_t goid;
	uint32_t stack; /* in the verdict's stacks */
};

struct leaks_window {
	bool asked;
	enum leaks_verdict verdict;
	char why[240]; /* OFF, or why only PASSES; else "" */
	int passes;
	double stop_ms;      /* how long the process was frozen; < 0: it was not */
	uint64_t candidates; /* blocked goroutines that were judged */
	uint64_t heap_bytes; /* mirrored */
	bool before_known;   /* count_before means something */
	double late_s;       /* the verdicts are of so long after the window's end */
	struct leak_row *row;
	int nrow; /* all owned; most goroutines first, by design last */
	struct leaked_goroutine *goroutine;
	size_t ngoroutine; /* by goid */
	struct running_goroutine *running;
	size_t nrunning;
	struct stack_table stacks;
};

/* What a goroutine in a cycle waits for. */
enum deadlock_wait {
	DEADLOCK_LOCK,
	DEADLOCK_READ_LOCK,
	DEADLOCK_SEND,
	DEADLOCK_RECEIVE,
	DEADLOCK_GROUP
};
/* How it would wake up the one before, were it not for the cycle. */
enum deadlock_wakeup {
	DEADLOCK_UNLOCKS,
	DEADLOCK_LOCKS_FIRST,
	DEADLOCK_RECEIVES,
	DEADLOCK_SENDS,
	DEADLOCK_CLOSES,
	DEADLOCK_IS_DONE
};

/* A goroutine in a cycle: it waits for what the next one would do. */
struct deadlock_member {
	uint64_t goid,
		lock; /* lock: address of the lock, channel or wait group that it waits for */
	enum deadlock_wait wait;
	enum deadlock_wakeup wakeup;
	struct place at;        /* where it waits */
	struct place wakeup_at; /* where it would do what the one before waits for; inferred */
	bool wakeup_deferred;   /* that is the compiler's wrapper of a deferred call */
	struct place created;
	bool leaked; /* so by the verdict on leaks */
	bool stuck;  /* so, or it would be if the locks are held as inferred */
};

struct deadlock {
	uint32_t first, n; /* in member[]; the last one waits for the first */
	uint64_t waiting;  /* goroutines that wait for the same, those in the cycle included */
};

#define WINDOW_MAX_DEADLOCKS 32

/* By inference, waiter waits for a lock that holder would release. */
struct held_pair {
	uint64_t waiter, holder; /* goids; may be the same */
};

struct deadlocks_window {
	bool known;
	bool no_lock_waits; /* nobody waited for a lock */
	struct held_pair *held;
	size_t nheld; /* owned */
	struct deadlock deadlock[WINDOW_MAX_DEADLOCKS];
	int ndeadlock;
	struct deadlock_member *member;
	size_t nmember; /* owned */
};

struct goroutines_window {
	bool known;
	bool created_known;
	uint64_t created_total, live_at_start, live, system, births, deaths;
	bool births_known; /* counted by probes, or from the totals */
	enum exactness births_exactness;
	struct state_count *state;
	int nstate; /* owned, most first */
	struct site_row *site;
	int nsite;                   /* owned, most live first */
	struct goroutine_dump *dump; /* owned; NULL: not asked for, or not possible */
	struct leaks_window leaks;
	struct deadlocks_window deadlocks;
};

/* Frees what it owns; it is then empty. */
void goroutines_window_deinit(struct goroutines_window *g);

#endif
