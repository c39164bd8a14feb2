/* SPDX-License-Identifier: BSD-2-Clause */
/* What trace.c, load.c and drain.c share. */
#ifndef GOSPECT_TRACE_PRIV_H
#define GOSPECT_TRACE_PRIV_H

#include "base/map.h"
#include "gospect/abi.h"
#include "trace/governor.h"
#include "trace/keeper.h"
#include "trace/pidns.h"
#include "trace/sample.h"
#include "trace/sizes.h"
#include "trace/trace.h"

struct gospect_bpf;
struct bpf_program;

_Static_assert(GS_HOST_BYTES == TRACE_MAX_HOST + 1, "names and places");
_Static_assert(TRACE_MAX_FRAMES == GS_MAX_FRAMES, "frames");
_Static_assert(TRACE_HIST_BUCKETS == GS_HIST_BUCKETS, "histograms");
_Static_assert(sizeof(struct trace_hist) == sizeof(struct gs_hist), "histograms");

#define STATS_SAMPLES 15
#define TARGET        0u /* one process per trace, for now */

enum trace_prog {
#define PROGRAM(id, function) PROG_##id,
#include "gospect/probes.def"
	PROG_COUNT
};
_Static_assert(PROG_COUNT <= KEEPER_MAX_JOBS, "all programs are armed at once");

/* One program, its places in the target, and what it costs. */
struct arm {
	struct bpf_program *prog; /* of the skeleton */
	int prog_fd;              /* borrowed from it; -1 not loaded */
	int armed;                /* the keeper's number; -1 */
	enum probe_group group;
	/* while it is attached: */
	uint64_t offset[ATTACH_MAX_SITES], cookie[ATTACH_MAX_SITES];
	/* run time of the program as bpf statistics had it; < 0 not measured */
	double prog_ns;
	uint64_t stat_cnt, stat_ns;   /* at the end of the last sample */
	double sample[STATS_SAMPLES]; /* mean run time of each, sorted */
	int nsample;
	uint64_t tried_hits; /* hits when a round was last begun for it */
};

/* A row of `sums` at the latest reading: what was counted there, and for how many
 * readings it has been the same. */
struct row_age {
	uint64_t count;
	uint8_t still;
};

/* Names by number, as far as they were read. */
struct host_name {
	uint64_t number;
	char name[TRACE_MAX_HOST + 1];
};

struct host_table {
	struct host_name *name; /* owned; by number */
	size_t n;
	uint64_t seen;    /* the last number given, when it was read */
	bool stale;       /* names have left the table since */
	uint64_t settled; /* … at the reading before: a number up to there has its name, or none */
};

/* A row of `sums`: what it had when it was last looked at, of what is counted and of
 * errors; in slices of the window, and of before it. */
enum slice_count { SLICE_BEGUN, SLICE_ERRORS, SLICE_COUNTS };
struct slice_row {
	uint64_t count[SLICE_COUNTS];
	struct sample_row now[SLICE_COUNTS], before[SLICE_COUNTS];
};

struct slices {
	int io_fd;             /* /proc/PID/io; -1 */
	struct slice_row *row; /* owned: t->sizes.sums of them, what is not used untouched */
	struct sample_window w;
	double begin[SAMPLE_BYS];  /* when the slice began, or was last cut */
	double window[SAMPLE_BYS]; /* when the window began */
	double ended[SAMPLE_BYS];  /* the slice that is over, whose requests are followed … */
	bool has_ended;            /* … and are not counted yet */
	bool cut;                  /* the running one, or that, began in another window */
};

struct trace {
	struct trace_config cfg; /* plan, mem and exe_fd: borrowed */
	struct plan plan;        /* our copy */
	struct trace_features features;
	struct gospect_bpf *skel; /* owned */
	struct arm arm[PROG_COUNT];
	int ncpu;           /* possible CPUs */
	struct pidns pidns; /* of the target */
	/* mapped from the BPF maps, owned */
	volatile struct gs_spec *spec;
	volatile struct gs_birth *births;
	volatile struct gs_gc *gc;
	volatile struct gs_sum *sums;
	volatile struct gs_page *pages;
	volatile struct gs_crash *crashes; /* NULL: no such probe */
	struct map_sizes sizes;
	uint64_t map_bytes;
	uint64_t mapped_bytes; /* see trace_mapped_bytes() */
	bool found_armed;      /* some places had a breakpoint before we came */
	int taken_away;        /* … of them, that nobody else holds */
	/* lifecycle */
	uint64_t attached_ns;              /* 0: not attached */
	double births_per_s, cpu_ns_per_s; /* trace_predict(); < 0 not known */
	uint64_t first_cpu_ns, first_created;
	struct governor gov;
	unsigned int on;     /* groups attached and counting */
	unsigned int parked; /* … before trace_disarm() */
	unsigned int lapses; /* of the keeper, as far as they are dealt with */
	uint64_t on_since_ns[GROUP_COUNT], on_ns[GROUP_COUNT];
	bool was_off[GROUP_COUNT]; /* at or since the last reading */
	/* A slice of the per-request probes is over, but they stay until what began
	 * in it has its answer, or until then; 0: not so. */
	uint64_t follow_until_ns;
	uint64_t begun_base;  /* gs_counters.requests_begun − answered when it began */
	struct slices slices; /* of the per-request probes */
	/* what hits have cost so far, each at the price of its time */
	uint64_t paid_hits[PROBE_COUNT];
	double cost_ns[GROUP_COUNT];
	uint64_t samples_ns; /* trace_samples_cost() */
	/* bpf statistics */
	int stats_fd;                            /* -1: off */
	uint64_t stats_since_ns, stats_until_ns; /* the running or the last round */
	uint64_t stats_hits;                     /* when it began */
	double stats_rate;                       /* hits per second during it; < 0: none yet */
	uint64_t tick_ns, tick_hits;             /* of the last tick */
	/* drain */
	struct gs_counters *percpu; /* owned: ncpu of them */
	uint64_t threads_removed;   /* from alloc_scratch */
	struct host_table hosts;
	/* rows that made room for others: see evict.c */
	struct bytesmap idle_sites, idle_stacks, idle_fails;
	struct row_age *age; /* owned: t->sizes.sums of them */
	uint64_t births_gone;
	uint64_t calls_gone_begun, calls_gone_ended;
	uint64_t nameless;                 /* hosts whose name made room as they came back */
	struct u64map calls_before;        /* under way at the latest reading of what is open */
	uint64_t pushed_out;               /* of such, gone since without an end */
	uint64_t holds_full;               /* opens_full when `holds` was last swept */
	uint64_t calls_begun, calls_ended; /* when their share was last looked at */
	uint64_t window_taken[2];          /* what was read from gs_gc.stw_max_ns[] */
};

/* The probe of the plan with this id and a site, or NULL. */
struct probe *trace_probe(struct trace *t, enum probe_id id);
/* Takes a probe out of the plan, and says why. */
void trace_refuse(struct probe *p, const char *why);
enum trace_prog trace_prog_of(enum probe_id id);
/* Such a program tells its probes apart by the cookie. */
bool trace_serves_several(enum trace_prog prog);
/* Hits of all probes of a program. */
uint64_t trace_prog_hits(const struct gs_counters *c, enum trace_prog prog);
/* Whether a probe of one of these sensors (SENSOR_BIT()) has a site. */
bool trace_uses(struct trace *t, uint32_t sensors);
/* Map descriptors of the loaded object. */
enum trace_map {
	TRACE_MAP_COUNTERS,
	TRACE_MAP_SITES,
	TRACE_MAP_STACKS,
	TRACE_MAP_SCRATCH,
	TRACE_MAP_OPENS,
	TRACE_MAP_HOLDS,
	TRACE_MAP_HOSTS,
	TRACE_MAP_PHASES,
	TRACE_MAP_CALLS,
	TRACE_MAP_FAILS,
	TRACE_MAP_GROWTHS,
	TRACE_MAP_PANICS,
	TRACE_MAP_CRASH_SPEC
};
int trace_map_fd(const struct trace *t, enum trace_map m);

/* load.c: opens with programs chosen; loads and maps. */
int load_open(struct trace *t, struct err *err);
int load_object(struct trace *t, struct err *err);
/* The most stack, bytes, that the verifier's log gives to a function of a program
 * ("stack depth 24+16+40"); -1: it does not say. */
int load_most_stack(const char *log);
#define LOAD_MOST_STACK 48
void load_close(struct trace *t);

/* verify.c: takes probes out of the plan whose code in memory is not the file's. */
void verify_text(struct trace *t);
/* How many places have a breakpoint now. */
int verify_breakpoints(const struct trace *t);

/* spec.c: what the programs know of the target; takes out of the plan the
 * probes that need what is not known of it. */
void spec_check(struct trace *t);
/* Cookie layout of a probe site: an offset from SP, or in a structure. */
int32_t spec_argument(const struct trace *t, enum probe_id id, const struct site *s);
void spec_write(struct trace *t);

/* crash.c: what the programs that see its end know of the target. */
int crash_write_spec(struct trace *t);

/* dump.c: fn is called with each entry of a hash map; what it returns but 0 ends it. */
typedef int (*dump_fn)(void *ctx, const void *key, const void *value);
int dump_each(int fd, uint32_t key_size, uint32_t value_size, dump_fn fn, void *ctx);
/* Keys and values in two arrays. */
struct dump {
	uint8_t *keys, *values; /* owned */
	size_t n, key_cap, value_cap;
	uint32_t key_size, value_size;
};
int dump_map(struct dump *d, int fd, uint32_t key_size, uint32_t value_size);
void dump_deinit(struct dump *d);

/*
 * evict.c: once a table is nearly full, takes rows out that have had the same count
 * in some readings; what they had in the end is in *d.  gone: [d->n], false.
 */
#define EVICT_NEARLY_FULL 0.75 /* of the table's rows are in use */
#define EVICT_STILL       3    /* readings without an addition, mostly */
struct evict_table {
	int fd;
	uint32_t rows;
	struct bytesmap *seen; /* what is remembered of the readings before */
	uint64_t (*count)(const void *value);
};
void evict_idle(struct trace *t, const struct evict_table *e, struct dump *d, bool *gone);
struct evict_need {
	const uint8_t *still;  /* of n rows: for how many readings, up to EVICT_STILL */
	size_t n, used, fresh; /* fresh: that were not there at the reading before */
	uint32_t room;
};
/* For how many readings a row is still, at least, that makes room; 0: none does.  Where many
 * rows are fresh, it is fewer. */
uint8_t evict_least(const struct evict_need *e);
/* Until no program is under way that was when this was called; whether the kernel can. */
void evict_wait(void);
bool evict_can_wait(void);

/* rows.c: the same of tables whose values are references to rows of `sums`. */
struct row_table {
	const struct dump *d;
	int fd;
	uint32_t room, nrow; /* entries, and the rows that each has */
	bool *gone;          /* [d->n] */
};
/* Says in gone[] which are to go; once a reading. */
void rows_pick(struct trace *t, const struct row_table *r);
/* Takes them out of n tables: afterwards nothing is added to their rows. */
void rows_take_out(struct trace *t, const struct row_table *r, size_t n);
/* What was read may be used by others: nrow rows from that one on. */
void rows_give_back(struct trace *t, int pool, uint32_t ref, uint32_t nrow);
uint32_t rows_ref(const struct dump *d, size_t i);
/* Behind the last row, or page, that was ever taken from a pool. */
uint32_t rows_end(const struct trace *t, int pool);

/* A row of `sums` by a reference, or NULL; what it has, in a histogram that is all 0; its largest
 * since the reading before: in the slot that went out of use with that window. */
const volatile struct gs_sum *drain_sum(const struct trace *t, uint32_t ref);
void drain_read_sum(const struct trace *t, struct trace_hist *h, const volatile struct gs_sum *s);
uint64_t drain_max(const volatile struct gs_sum *s, uint32_t window);

/* drain_calls.c: phases, calls and what has begun; window: the one that ended. */
int drain_calls(struct trace *t, struct trace_reading *r, uint32_t window);
void sweep_holds(struct trace *t, uint64_t full);

/* drain_growths.c, crash.c */
int drain_growths(struct trace *t, struct trace_reading *r);
int drain_panics(struct trace *t, struct trace_reading *r);

/* hosts.c: the names of hosts, methods and routes. */
int hosts_read(struct trace *t);
/* The name with this number; NULL: not read yet, or it has made room.  Valid until hosts
 * are read again. */
const char *hosts_name(const struct trace *t, uint64_t number);
/* Whether that is because it has made room. */
bool hosts_is_nameless(const struct trace *t, uint64_t number);
/* Once their table is nearly full, names that nothing has make room. */
void hosts_evict(struct trace *t);
void drain_calls_deinit(struct trace *t);

/* drain.c */
int drain_counters(struct trace *t, struct gs_counters *sum);
/* How long a group was on, up to now. */
uint64_t trace_on_ns(const struct trace *t, enum probe_group g, uint64_t now);

/* slices.c: what was counted in slices of the per-request probes. */
enum slices_turn { SLICES_STAY, SLICES_BEGIN, SLICES_END };
/* Says what counts from now on; returns the time. */
uint64_t slices_set_active(struct trace *t, uint32_t bits, enum slices_turn turn);
/* A window is over; what a row's count stands for in it; the next one begins. */
void slices_read(struct trace *t);
struct trace_sample slices_of(const struct trace *t, uint32_t row);
void slices_next_window(struct trace *t);
/* A row is another's from now on. */
void slices_forget(struct trace *t, uint32_t row);
int slices_init(struct trace *t);
void slices_deinit(struct trace *t);

/* cost.c: adds what the hits since the last call cost the target; mean cost of a
 * hit of a group before any was seen. */
void trace_pay(struct trace *t, const struct gs_counters *c);
double trace_first_cost(const struct trace *t, enum probe_group g);
/* How many hits of a program one of its events makes, for the limit of what is rare. */
uint64_t trace_event_hits(enum trace_prog p);

/* stats.c: measures the programs' run time, for a second at a time. */
void stats_step(struct trace *t, const struct gs_counters *c, uint64_t now);
void stats_off(struct trace *t);

#endif
