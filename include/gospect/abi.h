/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The contract between the BPF programs and user space: map keys and values.
 *
 * Fixed-width members only, no padding the compiler could choose, no libc;
 * included by bpf/ and by src/trace/.  Every size is asserted on both sides,
 * because the two sides are compiled by different compilers.
 *
 * Sums only.  No program sends a record per hit; what a program could not sum
 * it counts in struct gs_counters.
 */
#ifndef GOSPECT_ABI_H
#define GOSPECT_ABI_H

#include <linux/types.h>

#include "gospect/kinds.h"

/*
 * Largest sizes of the tables; src/trace/sizes.c says how much of it a target
 * gets.  What happens when one is full is said at the table (bpf/).
 */
#define GS_MAX_TARGETS 64 /* a power of two */
#define GS_MAX_SITES   6144
#define GS_MAX_STACKS  2048
#define GS_MAX_THREADS 1024
#define GS_BIRTH_SLOTS 65536 /* a power of two */
/* Births beyond these in one jiffy (1 to 10 ms) are counted but not timed: at
 * such a rate the table above would forget them within seconds anyway. */
#define GS_BIRTHS_PER_JIFFY 32
#define GS_MAX_FRAMES       24
#define GS_HIST_BUCKETS     624
#define GS_MAX_OPENS        10240
#define GS_MAX_HOLDS        1024
#define GS_MAX_CONN_HOSTS   2048 /* between a connect and its handshake */
#define GS_MAX_PHASES       1024 /* hosts, twice: see GS_PHASES_… */
#define GS_MAX_CALLS        1024
#define GS_MAX_HOSTS        (GS_MAX_PHASES + GS_MAX_CALLS) /* each has one name at most */
#define GS_MAX_FAILS        512  /* kinds of failure, by host, phase and place */
#define GS_MAX_ERRTYPES     128  /* itabs, and texts, that tell what an error is */
#define GS_MAX_LIVES        1024 /* sites whose goroutines are timed */
#define GS_MAX_GROWTHS      1024 /* places that append, by type */
#define GS_PHASE_BLOCK      4    /* rows of an entry of `phases` */
/* Rows of `sums`: of lifetimes from 1, of calls and of phases behind them. */
#define GS_CALL_ROWS   GS_MAX_LIVES
#define GS_PHASE_ROWS  (GS_CALL_ROWS + GS_MAX_CALLS)
#define GS_MAX_SUMS    (GS_PHASE_ROWS + GS_PHASE_BLOCK * GS_MAX_PHASES)
#define GS_MAX_PAGES   10240
#define GS_CALL_FRAMES 8
#define GS_STACK_WORDS 32 /* of the goroutine's stack that are read in one piece */
#define GS_SCRATCHES   8
#define GS_HOST_BYTES  264 /* 255 of a name, colon, 5 digits, brackets; a multiple of 8 */

/* gs_spec.active: GROUP_BIT() of the probes that count, and of GROUP_REQUESTS
 * also those that begin now: without it a slice is over, and what began in it is
 * followed to its end. */
#define GS_ACTIVE_NEW GROUP_BIT(GROUP_COUNT)

/*
 * Cookies: the target in the low 32 bits, the probe in the next 8, what differs
 * from site to site of a probe (an offset, signed) in the high 24.  Programs
 * that serve several probes tell them apart by it, so these need Linux 5.15.
 */
#define GS_COOKIE(target, probe, argument) \
	((__u64)(argument) << 40 | (__u64)(__u8)(probe) << 32 | (__u32)(target))
#define GS_COOKIE_PROBE(cookie)    ((__u8)((cookie) >> 32))
#define GS_COOKIE_ARGUMENT(cookie) ((__s64)(cookie) >> 40)

/*
 * A router that is one http.Handler and keeps a context for each request in a sync.Pool:
 * where that is, and what of it tells the request and the route.  Offsets.
 */
struct gs_router {
	__u64 entry;    /* its ServeHTTP, run-time; 0: there is none */
	__u32 pool;     /* in the router … */
	__u32 request;  /* … in the context: the *Request, or the data word of its Context */
	__u32 pattern;  /* a string, or a slice of them, one a router */
	__u32 handlers; /* a slice of functions, the last one the user's; 0: there is none */
	__u32 flags;    /* GS_ROUTER_… */
	__u32 unused;
};
#define GS_ROUTERS         3
#define GS_ROUTER_POOLS    4  /* pools of routers that something else is around */
#define GS_POOL_KIND       7u /* of such a word: which of the routers; the rest is its address */
#define GS_ROUTER_POINTS   1u /* the pool is somewhere else, and the router points to it */
#define GS_ROUTER_CONTEXT  2u /* request is the context of the request */
#define GS_ROUTER_PATTERNS 4u /* pattern is a slice */
_Static_assert(sizeof(struct gs_router) == 32, "gs_router");

#define GS_PROBE_WORDS    2 /* of a mask with a bit for each probe */
#define GS_PROBE_WORD(id) ((id) / 64)
#define GS_PROBE_BIT(id)  (1ull << (id) % 64)
_Static_assert(PROBE_COUNT <= 64 * GS_PROBE_WORDS, "masks of probes");
_Static_assert(PROBE_COUNT <= 256, "GS_COOKIE has a byte for it");

/*
 * What the programs know of one target: the value of map `specs`, found by
 * the cookie's low 32 bits (0 where the kernel has no cookies).  User space
 * writes it before attaching; `active` and `window` change while attached.
 */
struct gs_spec {
	__u32 tgid;   /* as the programs see it: see gs_pidns_ino */
	__u32 active; /* GROUP_BIT(), GS_ACTIVE_NEW */
	/* Bit per probe: the site is the stack check's jbe, and a hit that takes it (CF or ZF)
	 * does not count. */
	__u64 branch_probes[GS_PROBE_WORDS];
	__u32 window; /* number of the reading to come; its lowest bit says which
				 * stw_max_ns[] and max_ns[] grow */
	/* offsets in the runtime's g; startpc is at gopc + 16 in every release */
	__u32 g_goid;
	__u32 g_gopc;
	/* Offsets in types of the standard library; the strings are {data, len}. */
	__u32 dialer_network;  /* net.sysDialer.network */
	__u32 dialer_address;  /* net.sysDialer.address */
	__u32 pconn_addr;      /* net/http.persistConn.cacheKey.addr */
	__u32 pconn_conn;      /* net/http.persistConn.conn: interface */
	__u32 want_addr;       /* net/http.wantConn.key.addr */
	__u32 tls_conn;        /* crypto/tls.Conn.conn: interface */
	__u32 tls_config;      /* crypto/tls.Conn.config */
	__u32 tls_server_name; /* crypto/tls.Config.ServerName */
	__u32 request_url;     /* net/http.Request.URL */
	__u32 url_host;        /* net/url.URL.Host */
	__u32 server_handler;  /* net/http.Server.Handler: interface */
	__u32 flags;           /* GS_SPEC_… */
	__u32 pconn_reused;    /* net/http.persistConn.reused; 0: not known */
	__u32 url_scheme;      /* net/url.URL.Scheme */
	__u32 unused;
	/* When the rare and the per-request probes were last switched on: what
	 * began before may have ended unseen, and is in no sum. */
	__u64 since_rare_ns, since_requests_ns;
	/* Run-time code ranges [lo, hi): callers that make a difference. */
	__u64 resolver_lo, resolver_hi; /* net.(*Resolver).dial: its dials are no connects */
	__u64 mux_lo, mux_hi;           /* net/http.(*ServeMux).ServeHTTP */
	__u64 func_lo, func_hi;         /* net/http.HandlerFunc.ServeHTTP */
	__u64 method_lo, method_hi;     /* ServeHTTP of an http.Handler, as a func */
	__u64 h2c_lo, h2c_hi;           /* x/net's h2c handler, which has the real one */
	__u64 http_lo, http_hi;       /* net/http, and what of the standard library is beside it */
	__u64 do_lo, do_hi;           /* net/http.(*Client).do */
	__u64 runtime_lo, runtime_hi; /* package runtime, as far as it is in one piece */
	__u64 eof_itab, eof_data;     /* the value of io.EOF */
	__u64 stream_entry;           /* google.golang.org/grpc.(*Server).handleStream */
	__u64 close_lo, close_hi;     /* (*http2Server).Close: the first method of its transport */
	/* Offsets: those of the runtime's, of net/http.Request.ctx, and of a gRPC status's code
	 * in its message (0: not known). */
	__u32 g_m, m_p, p_id, request_ctx, status_code;
	__u32 unused2;
	struct gs_router router[GS_ROUTERS];
	/* The sync.Pools that they have, as far as they are known, and GS_POOL_KIND; 0: none. */
	__u64 router_pool[GS_ROUTER_POOLS];
};
_Static_assert(sizeof(struct gs_spec) ==
		       288 + 8 * GS_PROBE_WORDS + 32 * GS_ROUTERS + 8 * GS_ROUTER_POOLS,
	       "gs_spec");

/* gs_spec.flags */
#define GS_SPEC_CLOSES 1u /* the end of every HTTP/1 connection is seen while requests are */
#define GS_SPEC_ALWAYS \
	2u /* every request is seen: what a connection has is what began on it last */

/* The argument of PROBE_STREAM_WRITTEN: the slot of the clientStream, in words, and where that has
 * sentEndStream; 0: not known. */
#define GS_SENT_SLOT(argument)        (((argument)&0xfff) << 3)
#define GS_SENT_FIELD(argument)       ((argument) >> 12 & 0x7ff)
#define GS_SENT_ARGUMENT(slot, field) ((slot) >> 3 | (field) << 12)
#define GS_SENT_MAX_SLOT              (0xfff << 3)
#define GS_SENT_MAX_FIELD             0x7ff

/* Where an itab has its first method (internal/abi.ITab.Fun; before, runtime.itab.fun). */
#define GS_ITAB_FUN 24
/* A route's pattern that is longer is none: its length was no longer in its register. */
#define GS_MAX_PATTERN 4096

/* Distance of g.startpc from g.gopc: the two are read in one piece. */
#define GS_STARTPC_AFTER_GOPC 16

/* Per target and CPU; updated atomically, for uprobe programs can be preempted. */
struct gs_counters {
	__u64 hits[PROBE_COUNT]; /* every run of a program: what the target paid for */
	/* early returns */
	__u64 inactive;      /* not counting yet, or between two slices */
	__u64 foreign;       /* another process: the pid filter let it through */
	__u64 retried;       /* stack check that took its branch */
	__u64 read_failures; /* the g or the funcval could not be read */
	__u64 sites_full;
	__u64 stacks_full;
	__u64 threads_full;
	__u64 stack_failures; /* bpf_get_stack() failed */
	__u64 unpaired;       /* end of a cycle or pause whose begin was not seen */
	__u64 threads_made;   /* entries added to `alloc_scratch` */
	__u64 stack_collisions;
	__u64 hosts_full;     /* events that went to the row of the other hosts */
	__u64 calls_full;     /* look-ups that ended at the row of the other places */
	__u64 phases_full;    /* … at the rows of the other hosts */
	__u64 fails_full;     /* failed calls of a kind that has no row */
	__u64 opens_full;     /* a begin that could not be remembered */
	__u64 pages_full;     /* an end that has no page of `pages` */
	__u64 lives_full;     /* the end of a goroutine whose site has no row of `sums` */
	__u64 scratches_full; /* preempted threads have all of `net_scratch` */
	/* Requests (clients' and handlers) that have begun, and those of them that
	 * have an answer: the difference is what a slice that is over waits for. */
	__u64 requests_begun;
	__u64 requests_answered;
	/* Counted without their site or stack, for whatever reason. */
	__u64 births_other;
	__u64 allocs_other;
	__u64 allocs_other_bytes;
	__u64 growths_other;
	__u64 panics_other;
};
_Static_assert(sizeof(struct gs_counters) == 96 + 8 * PROBE_COUNT + 112, "gs_counters");

/* Goroutines: key and value of map `sites`.  The key's shape lets the program
 * read g.gopc … g.startpc right into it. */
struct gs_site_key {
	__u64 gopc;
	__u64 target;
	__u64 startpc;
};
struct gs_site {
	__u64 births;
	__u64 ends;
	__u32 row; /* reference into `sums`: lifetimes of those whose birth was seen; 0: none yet */
	__u32 unused;
};
_Static_assert(sizeof(struct gs_site_key) == 24, "gs_site_key");
_Static_assert(sizeof(struct gs_site) == 24, "gs_site");

/*
 * Birth times: a direct-mapped table, slot = (goid + target * odd) & mask.
 * `owner` is GS_BIRTH_OWNER(target, goid); 0 while a slot is being written.
 */
struct gs_birth {
	__u64 owner;
	__u64 ns; /* CLOCK_MONOTONIC */
};
_Static_assert(sizeof(struct gs_birth) == 16, "gs_birth");
#define GS_BIRTH_OWNER(target, goid) (((__u64)(target) << 48) | (goid))
#define GS_BIRTH_SLOT(target, goid)  (((goid) + (__u64)(target)*40503u) & (GS_BIRTH_SLOTS - 1))

/*
 * Large allocations by stack: value of map `stacks`.  The key is a 64-bit hash
 * of the stack; the frames are compared, and two stacks of one hash are
 * counted in stack_collisions, never merged.
 */
struct gs_stack {
	__u64 count;
	__u64 bytes;
	__u64 max_bytes;
	__u32 target;
	__u32 npcs;
	__u64 pcs[GS_MAX_FRAMES]; /* 0 beyond npcs */
};
_Static_assert(sizeof(struct gs_stack) == 32 + 8 * GS_MAX_FRAMES, "gs_stack");

/*
 * Slices that append moved to a larger array, by where it is and what they are of: key and
 * value of map `growths`.  Bytes are elements by the size that the type says.
 */
struct gs_growth_key {
	__u64 pc; /* return address of the first call that is not the runtime's own */
	__u64 type;
	__u32 target, unused;
};
struct gs_growth {
	__u64 count;
	__u64 begun;    /* of them, that had no array on the heap yet: a slice begins */
	__u64 elements; /* that were copied */
	/* largest, since it is probed */
	__u64 max_length, max_capacity; /* needed; outgrown */
};
_Static_assert(sizeof(struct gs_growth_key) == 24, "gs_growth_key");
_Static_assert(sizeof(struct gs_growth) == 40, "gs_growth");

/* A histogram of durations: sixteen buckets an octave (a percentile is at most
 * 3 % off), exact below 16 ns; the last bucket takes all from 2^42 ns (73 minutes). */
struct gs_hist {
	__u64 count;
	__u64 sum_ns;
	__u64 max_ns;
	__u32 bucket[GS_HIST_BUCKETS];
};
_Static_assert(sizeof(struct gs_hist) == 24 + 4 * GS_HIST_BUCKETS, "gs_hist");

/* Index of the highest bit set; v is not 0.  (BPF has no such instruction.) */
static inline __attribute__((always_inline)) __u32 gs_high_bit(__u64 v)
{
	__u32 n = 0, step;

	for (step = 32; step; step >>= 1)
		if (v >> step) {
			v >>= step;
			n += step;
		}
	return n;
}

/* The bucket of a duration. */
static inline __attribute__((always_inline)) __u32 gs_hist_bucket(__u64 ns)
{
	__u32 e;

	if (ns < 16)
		return (__u32)ns;
	if (ns >> 42)
		return GS_HIST_BUCKETS - 1;
	e = gs_high_bit(ns);
	return (e - 3) * 16 + (__u32)((ns >> (e - 4)) & 15);
}

/* GC of one target: the value of map `gc`. */
struct gs_gc {
	__u64 starts;         /* gcStart: losers of the race included */
	__u64 ends;           /* cycles ended */
	__u64 cycle_begin_ns; /* 0: no cycle under way that we saw begin */
	__u64 cycle_stopped;  /* the world was stopped since cycle_begin_ns */
	__u64 stw_begin_ns;   /* 0: the world runs */
	__u64 stw_max_ns[2];  /* largest pause by window: see gs_spec.window */
	struct gs_hist cycle;
	struct gs_hist stw;
};
_Static_assert(sizeof(struct gs_gc) == 56 + 2 * sizeof(struct gs_hist), "gs_gc");

/* --- network, database/sql, locks ---------------------------------------------- */

/*
 * A name, "host:port" or a gRPC method, as the program wrote it: key of map
 * `hosts`; the value is its number, from 1.  0 is "other": the table was full
 * or the name could not be read.
 */
struct gs_host {
	__u32 target;
	__u32 len;                /* of the whole name, which may be longer; GS_HOST_TLS */
	char name[GS_HOST_BYTES]; /* 0 beyond it */
};
#define GS_HOST_LEN  0x7fffffffu
#define GS_HOST_TLS  0x80000000u /* of a URL of TLS: without a port it means 443 */
#define GS_HTTPS_LEN 5           /* the schemes that do */
#define GS_WSS_LEN   3
_Static_assert(sizeof(struct gs_host) == 8 + GS_HOST_BYTES, "gs_host");

/*
 * Sums by host and phase: key of map `phases`; the value is a reference to its
 * first row in `sums`.  A host has rows for its dials, for its requests, or for both.
 */
enum {
	GS_PHASES_DIAL,   /* NET_POOL_WAIT to NET_TLS */
	GS_PHASES_REQUEST /* NET_REQUEST_WRITE to NET_BODY */
};
#define GS_PHASES_FIRST(group) ((group) == GS_PHASES_DIAL ? NET_POOL_WAIT : NET_REQUEST_WRITE)
#define GS_PHASES_ROWS(group)  ((group) == GS_PHASES_DIAL ? 4 : 3)
struct gs_phase_key {
	__u32 target;
	__u32 group; /* GS_PHASES_… */
	__u64 host;  /* number; 0: other */
};
/*
 * A row of array `sums`: a histogram as struct gs_hist, of which a page of
 * array `pages` is taken when a duration of its octave comes first (most rows
 * have three to five of the 39).  0 means none, also of a page.
 */
#define GS_PAGE_BUCKETS 16
#define GS_SUM_PAGES    (GS_HIST_BUCKETS / GS_PAGE_BUCKETS)
struct gs_page {
	__u32 bucket[GS_PAGE_BUCKETS];
};
struct gs_sum {
	__u64 begun; /* calls only */
	__u64 errors;
	__u64 max_ns[2]; /* of window max_window[…]: by the lowest bit of its number */
	__u32 max_window[2];
	/* of those that ended */
	__u64 count;
	__u64 sum_ns;
	__u64 longest_ns;
	__u32 page[GS_SUM_PAGES];
	__u32 generation; /* of who has it: see GS_ROW_REF */
};
_Static_assert(sizeof(struct gs_phase_key) == 16, "gs_phase_key");
_Static_assert(sizeof(struct gs_page) == 64, "gs_page");
_Static_assert(sizeof(struct gs_sum) == 68 + 4 * GS_SUM_PAGES, "gs_sum");

/*
 * How a row is known to those who remember it: its number, and its generation then.
 * Once a row has been given to another, what is remembered of it leads nowhere.
 */
#define GS_ROW_BITS                 13
#define GS_ROW_NUMBER(ref)          ((ref) & ((1u << GS_ROW_BITS) - 1))
#define GS_ROW_GENERATION(ref)      ((ref) >> GS_ROW_BITS)
#define GS_ROW_REF(row, generation) ((row) | (generation) << GS_ROW_BITS)
_Static_assert(GS_MAX_SUMS <= 1 << GS_ROW_BITS, "rows have numbers of so many bits");

/*
 * What rows and pages are taken from: those never used yet, then a list of those
 * that were given back.  `free` has the first of it in the low half (0: none) and in
 * the high half the number of changes, so that one who was slow takes nothing twice;
 * the next one is in page[0] of a row, in bucket[0] of a page.
 */
enum { GS_POOL_LIVES, GS_POOL_CALLS, GS_POOL_PHASES, GS_POOL_PAGES, GS_POOLS };
struct gs_pool {
	__u64 next, end; /* not used yet: [next, end) */
	__u64 free;
};
_Static_assert(sizeof(struct gs_pool) == 24, "gs_pool");

/* Sums by place: key of map `calls`; the value is a reference to its row in
 * `sums`.  All zero behind kind: the other places. */
struct gs_call_key {
	__u32 target;
	__u32 kind;
	__u64 text;                /* number of a name in `hosts`; 0: none */
	__u64 pcs[GS_CALL_FRAMES]; /* return addresses, innermost first; 0 beyond */
};
_Static_assert(sizeof(struct gs_call_key) == 16 + 8 * GS_CALL_FRAMES, "gs_call_key");

/*
 * How to read an error: map `errtypes`, by the itab of an interface value, or by
 * gs_text_hash() of its text.
 */
struct gs_errtype_key {
	__u64 itab;
	__u32 target;
	__u32 unused;
};
enum { GS_ERR_LEAF, GS_ERR_INNER, GS_ERR_WORD, GS_ERR_TEXT };
struct gs_errtype {
	__u32 id;    /* enum errtype */
	__u16 how;   /* GS_ERR_… */
	__u16 far;   /* GS_ERR_WORD: so many pointers lead to it, each the first member */
	__u32 off;   /* of what is read next, in what the interface (or they) points to */
	__u16 bytes; /* GS_ERR_WORD: 1 to 8 … */
	__u16 text;  /* … and where its string is, + 1; 0: nowhere */
};
_Static_assert(sizeof(struct gs_errtype_key) == 16, "gs_errtype_key");
_Static_assert(sizeof(struct gs_errtype) == 16, "gs_errtype");
_Static_assert(ERRTYPE_COUNT <= 256, "gs_fail_key.types has a byte for each");
#define GS_ERR_LEVELS 7 /* that are unwrapped */

/* An error's text, by its first bytes (0 beyond its end) and its length: no itab's address. */
#define GS_TEXT_WORDS 8
static inline __attribute__((always_inline)) __u64 gs_text_hash(const __u64 *text, __u64 len)
{
	__u64 h = len;
	int i;

	for (i = 0; i < GS_TEXT_WORDS; i++)
		h = (h ^ text[i]) * 0x9e3779b97f4a7c15ull;
	return h | 1;
}

#define GS_ERR_FAR 2 /* pointers that are followed */

/* Failed calls of http.Client and gRPC, and dials: key of map `fails`; the value is their number. */
enum {
	GS_FAIL_CALL,
	GS_FAIL_REUSED, /* a call on a connection that had carried requests before */
	GS_FAIL_DIAL, /* no call: a look-up, connect or handshake, whoever wants it; without pcs */
	GS_FAIL_GRPC  /* a unary call of gRPC; host is its method; without phase and pcs */
};
struct gs_fail_key {
	__u32 target;
	__u32 phase;  /* enum net_phase; NET_NO_PHASE: not known, it has no connection */
	__u64 host;   /* number; 0: not known */
	__u64 types;  /* enum errtype, a byte each: of the error, and of what it wraps; the last one
			* is the innermost */
	__u64 detail; /* of a GS_ERR_WORD */
	__u64 of;     /* GS_FAIL_… */
	__u64 pcs[GS_CALL_FRAMES];
};
_Static_assert(sizeof(struct gs_fail_key) == 40 + 8 * GS_CALL_FRAMES, "gs_fail_key");

/* What has begun: maps `opens` (the least recently used entry makes room) and
 * `holds` (OPEN_SQL_GRAB; full: counted in opens_full). */
struct gs_open_key {
	__u64 addr;
	__u32 target;
	__u32 kind;
};
struct gs_open {
	__u64 start_ns; /* CLOCK_MONOTONIC; 0: it is over */
	__u64 state_ns; /* since when in `state`; of an HTTP call its start, also when it
				 * has its answer, until it is known how it ended */
	__u64 goid;
	__u64 caller; /* connection: the g whose call it carries */
	__u64 ptr;
	__u64 host; /* number in `hosts` */
	__u32 state;
	__u16 npcs;
	__u16 flags; /* GS_OPEN_… */
	__u32 row; /* reference: of a call; the first of its host's for requests; 0: not looked up */
	__u32 router_row; /* likewise, of a request that a router has: that of the router */
	__u64 pcs[GS_CALL_FRAMES];
};
#define GS_OPEN_OWN_HOST 1u /* host is the connection's, whatever is asked of it */
#define GS_OPEN_ROUTED   2u /* a mux has given the request to a handler */
#define GS_OPEN_DIRECT   4u /* no http.Client makes the call */
#define GS_OPEN_REUSED   8u /* a call whose connection has failed: that had carried others */
_Static_assert(sizeof(struct gs_open_key) == 16, "gs_open_key");
_Static_assert(sizeof(struct gs_open) == 64 + 8 * GS_CALL_FRAMES, "gs_open");

/* Where a program puts what is too large for its stack: map `net_scratch`. */
struct gs_net_scratch {
	__u32 taken;
	__u32 target; /* of the hit … */
	__u32 probe;
	__u32 host_flags; /* GS_HOST_TLS, of the name that is looked up; else 0 */
	__s64 argument;   /* … and its site: see GS_COOKIE */
	__u64 number;     /* its own: where a function of its own finds it */
	__u64 stack_at;   /* where stack[] was read; 0: nowhere */
	__u64 word[2];    /* a string, an interface, a frame */
	struct gs_open_key key;
	struct gs_open_key other_key;
	struct gs_phase_key phase;
	struct gs_open open;
	struct gs_call_key call;
	struct gs_errtype_key errtype;
	struct gs_fail_key fail;
	__u64 stack[GS_STACK_WORDS];
	struct gs_host host;
};

#endif
