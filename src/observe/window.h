/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One window of observation of one process, as plain data: what detectors
 * judge and reports show.  No behaviour, no process, no kernel: a test can
 * write one by hand.
 *
 * Strings are borrowed from the observer (function and file names live as long
 * as it does) unless an array holds them.  Counts are of this window unless
 * named total; *_ns are nanoseconds, *_s seconds, *_bytes bytes.
 */
#ifndef GOSPECT_OBSERVE_WINDOW_H
#define GOSPECT_OBSERVE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan/phase.h"
#include "plan/sensor.h"

struct place {
	const char *function;	/* "main.(*Server).notify"; NULL: no place */
	const char *file;	/* "notify.go" */
	const char *path;	/* as the compiler recorded it; may be NULL */
	int line;		/* 0: not known */
};

enum exactness { EXACT, SAMPLED, ESTIMATED };
enum age_kind { AGE_UNKNOWN, AGE_EXACT, AGE_AT_LEAST };
enum coverage_state { COVERAGE_EXACT, COVERAGE_SAMPLED, COVERAGE_ESTIMATED, COVERAGE_PARTIAL, COVERAGE_OFF };

struct coverage {
	enum sensor sensor;
	const char *name;	/* static: of a row that is no sensor's ("heap"), else NULL */
	enum coverage_state state;
	double rate;		/* SAMPLED: share of the window, 0..1 */
	char why[200];		/* "" when exact */
};

/* How a goroutine waits, for judging. */
enum wait_class {
	WAIT_NOT,		/* running, runnable, in a system call */
	WAIT_BLOCKED,		/* channel, select, mutex, wait group, condition, semaphore */
	WAIT_IO,		/* the network poller, or a channel inside net, net/http, database/sql … */
	WAIT_SLEEP,		/* time.Sleep */
	WAIT_OTHER
};

#define WINDOW_MAX_STACK 32

struct wait_row {
	const char *reason;	/* as the goroutine dump words it */
	enum wait_class klass;
	uint64_t count;
	struct place stack[WINDOW_MAX_STACK]; /* of one of them, innermost first */
	int nstack;		/* 0: not read (running) */
	int user;		/* index in stack of the first frame outside the runtime and
				 * the standard library's sync/time/…: where it stands; -1 none */
};

/* One look at a site.  Looks are about a second apart (a fifth of the window at most). */
struct site_point {
	double t_s;		/* since the observation began */
	uint64_t live;
	uint64_t stuck;		/* blocked, there at the look before, and not run since */
	uint64_t stuck_left;	/* stuck at the look before, now gone or moved */
	uint64_t ran;		/* there at the look before and run since */
};

#define WINDOW_MAX_POINTS 64	/* older ones are thinned out: first and last are kept */

struct site_row {
	bool other;		/* the rest beyond 1,000 rows, summed */
	struct place place;	/* of the go statement */
	const char *start;	/* function it names */
	uint64_t births, deaths, live;	/* deaths: births and what live became say them */
	bool births_known;	/* false: no probe counted them; births and deaths are 0 */
	uint64_t live_at_start;
	enum exactness exactness;	/* of births and deaths */
	double oldest_s;
	enum age_kind age;
	struct wait_row *wait;	/* owned by the window; most frequent first */
	int nwait;
	size_t wait_at;		/* the observer's own, while it fills the row */
	struct site_point point[WINDOW_MAX_POINTS]; /* since the observation began, oldest first */
	int npoint;
	uint64_t stuck_window;	/* blocked, and not seen to run in the whole window */
};

struct state_count {
	const char *state;
	uint64_t count;
};

struct alloc_row {
	bool other;
	struct place place;	/* innermost frame outside the runtime */
	uint64_t count, bytes, max_bytes;
	struct place stack[WINDOW_MAX_STACK]; /* the busiest stack there, innermost first */
	int nstack;
};

/*
 * Whole stacks, each distinct one once.  A stack is a list of locations, a
 * location a pc with the functions inlined there.
 */
struct stack_location {
	uint64_t pc;		/* run-time; a return address but for the innermost */
	uint32_t first, n;	/* in line[]: innermost (inlined) first; 0: in no function */
};

struct stack_entry {
	uint32_t first, n;	/* in at[]: innermost first */
	bool whole;		/* down to where the goroutine began */
};

#define DUMP_NO_STACK UINT32_MAX
#define DUMP_MAX_IDS 10

struct stack_table {
	struct stack_location *location; size_t nlocation;	/* all owned */
	struct place *line; size_t nline;
	uint32_t *at; size_t nat;	/* numbers of locations */
	struct stack_entry *stack; size_t nstack;
};

/* Sampled allocation by place, from the runtime's own heap profile. */
struct heap_row {
	bool other;
	struct place place;	/* innermost frame outside the runtime */
	uint64_t in_use_bytes, in_use_count, alloc_bytes, alloc_count;
	int64_t grown_bytes;	/* in use, in this window */
	uint32_t stack;		/* the busiest there, in stacks */
};

/* One stack and object size. */
struct heap_sample {
	uint32_t stack;
	uint64_t object_bytes, in_use_bytes, in_use_count, alloc_bytes, alloc_count;
	int64_t grown_bytes;
};

struct heap_window {
	bool known;
	char why[200];		/* why not, or what is missing; "" */
	uint64_t rate;		/* bytes per sample, mean */
	uint64_t in_use_bytes, in_use_count, alloc_bytes, alloc_count; /* of all */
	int64_t grown_bytes;
	bool collected;		/* a collection ended in the window: growth means something */
	struct heap_row *row; int nrow;		/* all owned; most bytes in use first */
	struct heap_sample *sample; size_t nsample;
	struct stack_table stacks;
};

struct gc_window {
	bool known;		/* memstats could be read */
	uint64_t cycles_total, forced_total;
	uint64_t cycles, forced;
	bool heap_known;
	uint64_t heap_live_bytes, heap_marked_bytes, heap_goal_bytes;
	int gogc;		/* percent, -1 off */
	int64_t memory_limit_bytes; /* -1 not known, INT64_MAX none */
	double cpu_pct;		/* GC's share of the CPU since the start, percent; < 0 not known */
	bool pauses_known;
	bool pauses_from_memory;/* one sum per cycle, not each stop-the-world */
	bool pauses_partial;	/* from memory, and the ring of 256 was overrun */
	uint64_t pause_count, pause_p50_ns, pause_p99_ns, pause_max_ns, pause_total_ns;
};

struct probe_row {
	const char *name;	/* "goroutine-birth" */
	const char *function;
	uint64_t hits;
	double cost_ns;		/* per hit, program included; < 0 not measured */
	bool armed;
	char why[160];		/* why it is not armed */
};

/* Every goroutine of the process, as read once at the end of the window (observe/dump.h). */

struct dump_label {
	const char *key, *value; /* foreign bytes */
};

struct dump_label_set {
	uint32_t first, n;	/* in label[] */
};

#define DUMP_LABELS_UNKNOWN UINT32_MAX

/* Goroutines with the same stack, state and labels. */
struct dump_group {
	const char *reason;	/* wait reason, else running, runnable, syscall */
	const char *state;	/* waiting, running, runnable, syscall, … */
	uint64_t count;
	double oldest_s;
	enum age_kind age;
	uint32_t labels;	/* in label_set[]: 0 none, or DUMP_LABELS_UNKNOWN */
	uint32_t stack;		/* in stacks, or DUMP_NO_STACK: it runs, or was not read */
	bool unread;		/* changed each time it was read: no stack for that reason */
	struct place created;	/* of all of them; no function: of several places */
	uint64_t id[DUMP_MAX_IDS]; /* the lowest */
	int nid;
};

struct dump_goroutine {
	uint64_t goid, creator;	/* 0: not known */
	const char *reason, *state;
	double age_s;
	enum age_kind age;
	uint32_t labels, stack;
	struct place created;
	const char *start;
	bool locked;		/* to a thread */
};

struct goroutine_dump {
	struct stack_table stacks;	/* all owned */
	struct dump_label *label; size_t nlabel;
	struct dump_label_set *label_set; size_t nlabel_set;
	struct dump_group *group; size_t ngroup;	/* most goroutines first */
	struct dump_goroutine *all; size_t nall;	/* by id; only when asked for */
	uint64_t goroutines;	/* in the groups */
	uint64_t unread, ended;	/* could not be read in peace; ended since the list was read */
	uint64_t labels_unknown;
	double read_s;
	void *store;		/* what holds the strings; see dump_free() */
};

enum leaks_verdict { LEAKS_VERDICT_OFF, LEAKS_VERDICT_PASSES, LEAKS_VERDICT_PROVEN };

/* Leaked goroutines of one go statement that wait in the same way at one place. */
struct leak_row {
	bool other;
	struct place place;	/* of the go statement */
	const char *start;
	const char *reason;	/* wait reason */
	bool by_design;		/* waits for ever on purpose: main in select {} */
	uint64_t count;
	uint64_t count_before;	/* of them, there at the start of the window (before_known) */
	double oldest_s;
	enum age_kind age;
	uint32_t stack;		/* of one of them, in stacks; DUMP_NO_STACK */
	struct place at;	/* where they stand, in the user's code; may have no function */
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
	uint64_t holder;	/* goid that holds the lock it waits for; 0: not known */
};

/* On a CPU when the process was frozen for the proof. */
struct running_goroutine {
	uint64_t goid;
	uint32_t stack;		/* in the verdict's stacks */
};

struct leaks_window {
	bool asked;
	enum leaks_verdict verdict;
	char why[240];		/* OFF, or why only PASSES; else "" */
	int passes;
	double stop_ms;		/* how long the process was frozen; < 0: it was not */
	uint64_t candidates;	/* blocked goroutines that were judged */
	uint64_t heap_bytes;	/* mirrored */
	bool before_known;	/* count_before means something */
	struct leak_row *row; int nrow;		/* all owned; most goroutines first, by design last */
	struct leaked_goroutine *goroutine; size_t ngoroutine; /* by goid */
	struct running_goroutine *running; size_t nrunning;
	struct stack_table stacks;
};

/* What a goroutine in a circle waits for. */
enum deadlock_wait { DEADLOCK_LOCK, DEADLOCK_READ_LOCK, DEADLOCK_SEND, DEADLOCK_RECEIVE, DEADLOCK_GROUP };
/* What it would do, were it not for the circle, that the one before waits for. */
enum deadlock_gift { DEADLOCK_UNLOCKS, DEADLOCK_LOCKS_FIRST, DEADLOCK_RECEIVES, DEADLOCK_SENDS, DEADLOCK_CLOSES, DEADLOCK_IS_DONE };

/* A goroutine in a circle: it waits for what the next one would do. */
struct deadlock_member {
	uint64_t goid, lock;	/* lock: address of the lock, channel or wait group that it waits for */
	enum deadlock_wait wait;
	enum deadlock_gift gift;
	struct place at;	/* where it waits */
	struct place held_at;	/* where it took the lock that the one before waits for; inferred */
	struct place gift_at;	/* where it would do what the one before waits for; inferred */
	struct place created;
	bool leaked;		/* so by the verdict on leaks */
	bool stuck;		/* so, or it would be if the locks are held as inferred */
};

struct deadlock {
	uint32_t first, n;	/* in member[]; the last one waits for the first */
	uint64_t waiting;	/* goroutines that wait for the same, those in the circle included */
};

#define WINDOW_MAX_DEADLOCKS 32

/* By inference, waiter waits for a lock that holder would give back. */
struct held_pair {
	uint64_t waiter, holder;	/* goids; may be the same */
};

struct locks_window {
	bool known;
	struct held_pair *held; size_t nheld;	/* owned */
	struct deadlock deadlock[WINDOW_MAX_DEADLOCKS]; int ndeadlock;
	struct deadlock_member *member; size_t nmember;	/* owned */
};

/* --- network and database/sql (sensors net and sql) ---------------------------- */

/* What is known of a limit on a call. */
enum known { UNKNOWN, KNOWN_NO, KNOWN_YES };

/*
 * Calls of one place (the innermost frame outside net/…, database/sql, context,
 * crypto/tls and the runtime).  In flight: read from memory, begun before us or
 * not.  requests, errors and durations: seen by probes in this window.
 */
struct net_client {
	bool other;
	struct place place;
	enum known timeout;	/* http.Client.Timeout; KNOWN_NO: there is none (or no http.Client) */
	double timeout_s;	/* KNOWN_YES */
	enum known deadline;	/* the request's own context has one */
	enum known cancel;	/* its context can be cancelled otherwise */
	bool requests_known;	/* probes counted them */
	uint64_t requests, errors;	/* begun, and failed, in the window */
	uint64_t p50_ns, p99_ns, max_ns; /* call to the first byte of the response; 0 not known */
	uint64_t in_flight;
	double longest_in_flight_s;
	enum age_kind age;
	/* in flight for over 3 s (or ten times p99_ns) with no limit at all, and no
	 * body being read: what no-timeout is about */
	uint64_t hanging;
	double longest_hanging_s;
	enum age_kind hanging_age;
	enum exactness exactness;	/* of requests and errors */
	double rate;			/* SAMPLED: 0..1 */
};

#define WINDOW_MAX_HOST 263	/* 255 of a name, colon, 5 digits, brackets */

struct net_phase_row {
	bool other;		/* hosts beyond the table, summed */
	char host[WINDOW_MAX_HOST + 1];	/* "name:port", lower case, foreign bytes made printable */
	enum net_phase phase;
	uint64_t count, errors;
	uint64_t p50_ns, p99_ns, max_ns, total_ns;
	uint64_t before_p50_ns, before_count;	/* since the observation began, before this window */
	struct place busiest;	/* the call with most requests to that host; may have no function */
	enum exactness exactness;
	double rate;
};

/* One request under way. */
struct net_request {
	char host[WINDOW_MAX_HOST + 1];	/* "": not known */
	int phase;		/* enum net_phase; -1: between phases or not known */
	double since_s;		/* of the request */
	enum age_kind age;
	uint64_t goroutine;
	struct place place;	/* may have no function */
	enum known timeout, deadline, cancel;
	double timeout_s;
};

/* Responses neither read to the end nor closed, that nobody reads. */
struct net_body_row {
	bool other;
	char host[WINDOW_MAX_HOST + 1];
	struct place place;	/* may have no function: its call was not seen */
	uint64_t count;
	uint64_t count_before;	/* at the first look of the observation */
	double oldest_s;
	enum age_kind age;
	enum exactness exactness;
};
/* None has come since the first look: where these have no place, they are older than the
 * observation, and it is not that their call was not seen. */
static inline bool net_bodies_are_older(const struct net_body_row *r)
{
	return r->count <= r->count_before;
}

struct net_connections {
	bool other;
	char host[WINDOW_MAX_HOST + 1];
	const char *protocol;	/* "http/1.1", "h2"; static */
	uint64_t open, idle, waiting;
	int64_t max_per_host;		/* Transport.MaxConnsPerHost; 0 unlimited; -1 not known */
	int64_t max_idle_per_host;	/* what applies: the default is 2; -1 not known */
	uint64_t dials;		/* connects to it in the window; with idle limits: churn */
};

struct net_server {
	bool other;
	struct place place;	/* the handler's declaration */
	char pattern[128];	/* route pattern where the mux has it; "" */
	bool requests_known;
	uint64_t requests;
	uint64_t p50_ns, p99_ns, max_ns;	/* 0 not known */
	uint64_t in_flight;
	double longest_in_flight_s;
	enum age_kind age;
	bool no_read_timeout;	/* its http.Server has neither ReadTimeout nor ReadHeaderTimeout */
	uint64_t hanging;	/* connections of that server that wait for a request's bytes for long */
	enum exactness exactness;
	double rate;
};

/* gRPC client calls by method. */
struct net_grpc {
	bool other;
	char method[192];	/* "/pkg.Service/Method" */
	uint64_t calls, errors;
	uint64_t p50_ns, p99_ns, max_ns;
	uint64_t in_flight;
	double longest_in_flight_s;
	enum age_kind age;
	struct place place;
	enum exactness exactness;
	double rate;
};

struct net_window {
	bool known;		/* memory could be read for it */
	bool phases_known;	/* probes count phases */
	struct net_client *client; int nclient;		/* all owned; busiest first */
	struct net_phase_row *phase; int nphase;
	struct net_request *in_flight; int nin_flight;	/* oldest first, at most 1,000 */
	uint64_t in_flight_total;
	struct net_body_row *unclosed; int nunclosed;
	struct net_connections *connection; int nconnection;
	struct net_server *server; int nserver;
	struct net_grpc *grpc; int ngrpc;
};

enum sql_holding { SQL_TRANSACTION, SQL_ROWS, SQL_CONN, SQL_CALL };

/* Connections in use, by who keeps them. */
struct sql_holder {
	struct place place;
	bool place_is_now;	/* older than us: where its goroutine stands, not the call */
	enum sql_holding what;
	uint64_t count;
	double held_s;
	enum age_kind age;
	uint64_t goroutine;	/* of the oldest; 0 not known */
};

struct sql_pool {
	char driver[96];	/* dynamic type: "*pq.Driver" */
	int64_t max_open;	/* 0 unlimited */
	uint64_t open, in_use, idle;
	uint64_t waiters;
	double longest_wait_s;
	enum age_kind age;
	struct place waits_at;	/* where most of the waiters stand; may have no function */
	uint64_t wait_count_total, wait_ns_total;
	uint64_t transactions_open;
	double oldest_transaction_s;
	enum age_kind transaction_age;
	struct sql_holder *holder; int nholder;	/* owned; most connections first */
};

struct sql_window {
	bool known;
	struct sql_pool *pool; int npool;	/* owned */
};

/* Goroutines that wait for one mutex or RWMutex at one place. */
struct lock_wait_row {
	bool other;
	const char *kind;	/* "sync.Mutex", "sync.RWMutex" …; static */
	uint64_t lock;		/* address */
	struct place place;	/* where they wait */
	uint64_t waiters;
	uint64_t waiters_before;/* at the look before */
	double longest_s;
	enum age_kind age;
	uint64_t holder;	/* goid, inferred; 0 not known */
	struct place holder_at;	/* where the holder stands now; may have no function */
};

struct contention_window {
	bool known;
	struct lock_wait_row *row; int nrow;	/* owned; most waiters first */
	/* from the slow path's probe, under the budget */
	bool waits_known;
	uint64_t waits, p50_ns, p99_ns, max_ns;
	enum exactness exactness;
	double rate;
};

struct window {
	/* time */
	uint64_t end_real_ns;
	double window_s;
	double observed_s;	/* since the observation began */
	bool last;		/* the last of this run */
	const char *end_reason;	/* why it is the last, for people; NULL */

	/* target */
	int pid;
	const char *exe, *go, *arch, *build_id, *module, *module_version, *container;
	/* go, module, … NULL when not known */
	bool stripped, pie;
	uint64_t started_real_ns;
	uint64_t target_rss_bytes;
	double target_cpu_cores;	/* CPU time used per second in this window */

	/* cost */
	double cost_target_pct;	/* of the target's own CPU time in this window; < 0: not known */
	double budget_pct;
	bool exact_mode;	/* the governor is off */
	double agent_cpu_pct;	/* of one CPU */
	uint64_t agent_rss_bytes;
	int probes_armed, probes_emulated, probes_stepped;
	uint64_t probe_hits;
	struct probe_row probe[64];	/* one per probe of the plan */
	int nprobe;
	const char *memory_only;/* why no probes at all, one sentence; NULL when armed */

#define WINDOW_MAX_COVERAGE (SENSOR_COUNT + 4)
	struct coverage coverage[WINDOW_MAX_COVERAGE];
	int ncoverage;

	/* losses: what is missing from this report */
	uint64_t lost_events, lost_map_full, lost_read_failures;

	/* goroutines */
	bool goroutines_known;
	bool created_known;
	uint64_t created_total, live_at_start, live, system, births, deaths;
	bool births_known;	/* counted by probes, or from the totals */
	enum exactness births_exactness;
	struct state_count *state; int nstate;	/* owned, most first */
	struct site_row *site; int nsite;	/* owned, most live first */
	struct goroutine_dump *dump;	/* owned; NULL: not asked for, or not possible */
	struct leaks_window leaks;
	struct locks_window locks;

	/* large allocations */
	bool alloc_known;
	enum exactness alloc_exactness;
	uint64_t large_threshold_bytes;	/* 32768 */
	uint64_t large_count, large_bytes;
	uint64_t total_alloc_bytes;	/* all allocation of the window; 0 not known */
	struct alloc_row *alloc; int nalloc;	/* owned, most bytes first */

	struct gc_window gc;
	struct heap_window heap;

	struct net_window net;
	struct sql_window sql;
	struct contention_window contention;
};

/* Adds a row of coverage; rate is 1. */
struct coverage *window_cover(struct window *w, enum sensor s, enum coverage_state st, const char *why);
/* Frees what the window owns, not the window. */
void window_deinit(struct window *w);

#endif
