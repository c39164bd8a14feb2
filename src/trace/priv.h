/* SPDX-License-Identifier: BSD-2-Clause */
/* What trace.c, load.c and drain.c share. */
#ifndef GOSPECT_TRACE_PRIV_H
#define GOSPECT_TRACE_PRIV_H

#include "gospect/abi.h"
#include "trace/attach.h"
#include "trace/governor.h"
#include "trace/trace.h"

struct gospect_bpf;
struct bpf_program;

/* The contract numbers probes as the plan does. */
#define SAME_PROBE(name) _Static_assert(GS_PROBE_##name == (int)PROBE_##name, "probe ids")
SAME_PROBE(GO_BIRTH);
SAME_PROBE(CORO_BIRTH);
SAME_PROBE(ALLOC_LARGE);
SAME_PROBE(GC_START);
SAME_PROBE(GC_END);
SAME_PROBE(STW_BEGIN);
SAME_PROBE(STW_END);
SAME_PROBE(DNS_BEGIN);
SAME_PROBE(DNS_END);
SAME_PROBE(CONNECT_BEGIN);
SAME_PROBE(CONNECT_END);
SAME_PROBE(TLS_NAME);
SAME_PROBE(TLS_BEGIN);
SAME_PROBE(TLS_END);
SAME_PROBE(POOL_BEGIN);
SAME_PROBE(POOL_DELIVERED);
SAME_PROBE(POOL_DIAL);
SAME_PROBE(POOL_CANCEL);
SAME_PROBE(CALL_BEGIN);
SAME_PROBE(CALL_FAILED);
SAME_PROBE(CONN_BEGIN);
SAME_PROBE(CONN_WRITTEN);
SAME_PROBE(CONN_FIRST_BYTE);
SAME_PROBE(CONN_CLOSED);
SAME_PROBE(STREAM_BEGIN);
SAME_PROBE(STREAM_WRITTEN);
SAME_PROBE(STREAM_FIRST_BYTE);
SAME_PROBE(STREAM_ANSWERED);
SAME_PROBE(STREAM_END);
SAME_PROBE(HANDLER_BEGIN);
SAME_PROBE(HANDLER_END);
SAME_PROBE(GRPC_BEGIN);
SAME_PROBE(GRPC_END);
SAME_PROBE(GRPC_FAILED);
SAME_PROBE(SQL_WAIT_BEGIN);
SAME_PROBE(SQL_WAIT_END);
SAME_PROBE(SQL_BEGIN_TX);
SAME_PROBE(SQL_ROWS);
SAME_PROBE(SQL_CONN);
SAME_PROBE(SQL_PUT);
SAME_PROBE(LOCK_BEGIN);
SAME_PROBE(LOCK_END);
#undef SAME_PROBE
_Static_assert(GS_PROBE_MAX == (int)PROBE_COUNT, "probe ids");
_Static_assert(GS_PHASE_POOL_WAIT == (int)NET_POOL_WAIT && GS_PHASE_DNS == (int)NET_DNS &&
		       GS_PHASE_CONNECT == (int)NET_CONNECT && GS_PHASE_TLS == (int)NET_TLS &&
		       GS_PHASE_REQUEST_WRITE == (int)NET_REQUEST_WRITE &&
		       GS_PHASE_TTFB == (int)NET_TTFB && GS_PHASE_BODY == (int)NET_BODY &&
		       GS_PHASE_MAX == (int)NET_PHASES,
	       "phases");
_Static_assert(GS_CALL_HTTP == (int)TRACE_CALL_HTTP && GS_CALL_HANDLER == (int)TRACE_CALL_HANDLER &&
		       GS_CALL_GRPC == (int)TRACE_CALL_GRPC &&
		       GS_CALL_SQL_WAIT == (int)TRACE_CALL_SQL_WAIT &&
		       GS_CALL_LOCK == (int)TRACE_CALL_LOCK,
	       "calls");
_Static_assert(GS_OPEN_REQUEST == (int)TRACE_OPEN_REQUEST && GS_OPEN_CONN == (int)TRACE_OPEN_CONN &&
		       GS_OPEN_STREAM == (int)TRACE_OPEN_STREAM &&
		       GS_OPEN_HANDLER == (int)TRACE_OPEN_HANDLER &&
		       GS_OPEN_SQL_GRAB == (int)TRACE_OPEN_SQL_GRAB &&
		       GS_OPEN_SQL_WAIT == (int)TRACE_OPEN_SQL_WAIT &&
		       GS_OPEN_DIAL == (int)TRACE_OPEN_DIAL && GS_OPEN_GRPC == (int)TRACE_OPEN_GRPC,
	       "begun");
_Static_assert(GS_SQL_CALL == (int)TRACE_SQL_CALL &&
		       GS_SQL_TRANSACTION == (int)TRACE_SQL_TRANSACTION &&
		       GS_SQL_ROWS == (int)TRACE_SQL_ROWS && GS_SQL_CONN == (int)TRACE_SQL_CONN,
	       "holders");
_Static_assert(GS_CALL_FRAMES == TRACE_CALL_FRAMES && GS_HOST_BYTES == TRACE_MAX_HOST + 1,
	       "names and places");
_Static_assert(TRACE_MAX_FRAMES == GS_MAX_FRAMES, "frames");
_Static_assert(TRACE_HIST_BUCKETS == GS_HIST_BUCKETS, "histograms");
_Static_assert(sizeof(struct trace_hist) == sizeof(struct gs_hist), "histograms");

#define STATS_SAMPLES 15
#define TARGET        0u /* one process per trace, for now */

/* The BPF programs: one for each of the first probes, then those that serve
 * several and tell them apart by the cookie. */
enum trace_prog {
	PROG_GO_BIRTH,
	PROG_CORO_BIRTH,
	PROG_ALLOC_LARGE,
	PROG_GC_START,
	PROG_GC_END,
	PROG_STW_BEGIN,
	PROG_STW_END,
	PROG_NET_DIAL,
	PROG_NET_REQUEST,
	PROG_NET_STREAM,
	PROG_NET_CALL,
	PROG_SQL_RARE,
	PROG_SQL_REQUEST,
	PROG_LOCK_WAIT,
	PROG_COUNT
};
_Static_assert(PROG_COUNT <= ATTACH_MAX_JOBS, "all programs are attached at once");

/* One program, its places in the target, and what it costs. */
struct arm {
	struct bpf_program *prog; /* of the skeleton */
	int prog_fd;              /* borrowed from it; -1 not loaded */
	struct attachment at;
	enum gov_group group;
	/* while it is attached: */
	uint64_t offset[ATTACH_MAX_SITES], cookie[ATTACH_MAX_SITES];
	/* run time of the program as bpf statistics had it; < 0 not measured */
	double prog_ns;
	uint64_t stat_cnt, stat_ns;   /* at the end of the last sample */
	double sample[STATS_SAMPLES]; /* mean run time of each, sorted */
	int nsample;
	uint64_t tried_hits; /* hits when a round was last begun for it */
};

/* Names by number, as far as they were read. */
struct host_name {
	uint64_t number;
	char name[TRACE_MAX_HOST + 1];
};

struct host_table {
	struct host_name *name; /* owned; by number */
	size_t n;
	uint64_t seen; /* the last number given, when it was read */
};

struct trace {
	struct trace_config cfg; /* plan, mem and exe_fd: borrowed */
	struct plan plan;        /* our copy */
	struct trace_features features;
	struct gospect_bpf *skel; /* owned */
	struct arm arm[PROG_COUNT];
	char path[64];  /* of the executable, for the kernel */
	int ncpu;       /* possible CPUs */
	bool own_pidns; /* we live in a pid namespace of our own */
	/* mapped from the BPF maps, owned */
	volatile struct gs_spec *spec;
	volatile struct gs_birth *births;
	volatile struct gs_gc *gc;
	/* lifecycle */
	uint64_t attached_ns;              /* 0: not attached */
	double births_per_s, cpu_ns_per_s; /* trace_predict(); < 0 not known */
	uint64_t first_cpu_ns, first_created;
	struct governor gov;
	unsigned int on; /* groups attached and counting */
	struct detacher detacher;
	uint64_t on_since_ns[GOV_GROUPS], on_ns[GOV_GROUPS];
	bool was_off[GOV_GROUPS]; /* at or since the last reading */
	/* A slice of the per-request probes is over, but they stay until what began
	 * in it has its answer, or until then; 0: not so. */
	uint64_t follow_until_ns;
	uint64_t begun_base; /* gs_counters.requests_begun − answered when it began */
	/* slices of the per-request probes: see trace_reading.requests_all */
	uint64_t request_hits;              /* when the counters were last read */
	uint64_t slice_hits;                /* … when the slice began */
	uint64_t pause_since_ns;            /* 0: in a slice */
	double requests_seen, requests_all; /* up to the last switch */
	double requests_read[2];            /* both, as the last reading had them */
	/* what hits have cost so far, each at the price of its time */
	uint64_t paid_hits[PROBE_COUNT];
	double cost_ns[GOV_GROUPS];
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
	uint64_t holds_full;               /* opens_full when `holds` was last swept */
	uint64_t calls_begun, calls_ended; /* when their share was last looked at */
	uint64_t window_taken[2];          /* what was read from gs_gc.stw_max_ns[] */
};

/* The probe of the plan with this id and a site, or NULL. */
struct probe *trace_probe(struct trace *t, enum probe_id id);
/* Takes a probe out of the plan, and says why. */
void trace_refuse(struct probe *p, const char *why);
enum trace_prog trace_prog_of(enum probe_id id);
/* Hits of all probes of a program. */
uint64_t trace_prog_hits(const struct gs_counters *c, enum trace_prog prog);
/* Whether a probe of one of these sensors (SENSOR_BIT()) has a site. */
bool trace_uses(struct trace *t, uint32_t sensors);
#define NET_SENSORS (SENSOR_BIT(SENSOR_NET) | SENSOR_BIT(SENSOR_SQL) | SENSOR_BIT(SENSOR_LOCKS))
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
	TRACE_MAP_SUMS
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

/* spec.c: what the programs are told of the target; takes out of the plan the
 * probes that need what is not known of it. */
void spec_check(struct trace *t);
/* What the hits of a site are told in the cookie: an offset from SP, or in a structure. */
int32_t spec_argument(const struct trace *t, enum probe_id id, const struct site *s);
void spec_write(struct trace *t);

/* dump.c: all entries of a hash map, keys and values in two arrays. */
struct dump {
	uint8_t *keys, *values; /* owned */
	size_t n, cap;
	uint32_t key_size, value_size;
};
int dump_map(struct dump *d, int fd, uint32_t key_size, uint32_t value_size, size_t max);
void dump_deinit(struct dump *d);

/* drain_calls.c: phases, calls and what has begun; window: the one that ended. */
int drain_calls(struct trace *t, struct trace_reading *r, uint32_t window);
void sweep_holds(struct trace *t, uint64_t full);
void drain_calls_deinit(struct trace *t);

/* drain.c */
int drain_counters(struct trace *t, struct gs_counters *sum);
/* Of slices and pauses so far, the running one included. */
void trace_requests(const struct trace *t, uint64_t now, double *seen, double *all);
void trace_read_hist(struct trace_hist *h, const volatile struct gs_hist *from);
/* Adds what the hits since the last call cost the target. */
void trace_pay(struct trace *t, const struct gs_counters *c);

/* stats.c: measures the programs' run time, for a second at a time. */
void stats_step(struct trace *t, const struct gs_counters *c, uint64_t now);
void stats_off(struct trace *t);

#endif
