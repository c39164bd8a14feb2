/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What begins and ends: the maps of the programs of network, database/sql and
 * locks (defined in calls.bpf.c), and the few moves they are made of.
 *
 * A begin is remembered by an address that the end knows too: the g (a call
 * begins and ends on one goroutine), a connection, a queued request.  A g or a
 * connection that is used again overwrites what was there; an end without a
 * begin counts nothing.
 *
 * What a request makes is written over in place, for it comes again: adding to
 * a table and taking away from it would be most of what a hit costs.  The entry
 * of a call that is over stays, with a start of 0.
 */
#ifndef GOSPECT_CALLS_BPF_H
#define GOSPECT_CALLS_BPF_H

#include "sums.bpf.h"

/* The least recently used one makes room: then its end counts nothing. */
struct gs_opens_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, GS_MAX_OPENS);
	__type(key, struct gs_open_key);
	__type(value, struct gs_open);
};
/* Connections taken from a database pool.  Full: counted in opens_full. */
struct gs_holds_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_HOLDS);
	__type(key, struct gs_open_key);
	__type(value, struct gs_open);
};
/* Number of the host that a net.Conn was dialled for. */
struct gs_conn_hosts_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, GS_MAX_CONN_HOSTS);
	__type(key, struct gs_open_key);
	__type(value, __u64);
};
/* Full: counted in hosts_full, and the host is "other". */
struct gs_hosts_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_HOSTS);
	__type(key, struct gs_host);
	__type(value, __u64);
};
/* Full: counted in phases_full, calls_full, and summed in the row of the
 * others, which user space makes before it attaches. */
struct gs_phases_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_PHASES);
	__type(key, struct gs_phase_key);
	__type(value, __u32);
};
struct gs_calls_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_CALLS);
	__type(key, struct gs_call_key);
	__type(value, __u32);
};
/* How to read errors; written once, by user space. */
struct gs_errtypes_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_ERRTYPES);
	__type(key, struct gs_errtype_key);
	__type(value, struct gs_errtype);
};
/* Full: counted in fails_full. */
struct gs_fails_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_FAILS);
	__type(key, struct gs_fail_key);
	__type(value, __u64);
};
/* A program can be preempted, and another run on its CPU: each takes one that is
 * free.  All taken: counted in scratches_full, and the hit in no sum. */
struct gs_net_scratch_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GS_SCRATCHES);
	__type(key, __u32);
	__type(value, struct gs_net_scratch);
};
extern struct gs_opens_map opens SEC(".maps");
extern struct gs_holds_map holds SEC(".maps");
extern struct gs_conn_hosts_map conn_hosts SEC(".maps");
extern struct gs_hosts_map hosts SEC(".maps");
extern struct gs_phases_map phases SEC(".maps");
extern struct gs_calls_map calls SEC(".maps");
extern struct gs_errtypes_map errtypes SEC(".maps");
extern struct gs_fails_map fails SEC(".maps");
extern struct gs_net_scratch_map net_scratch SEC(".maps");

/* The last number given to a host: none is given twice. */
extern volatile __u64 gs_last_host;

static __always_inline struct gs_net_scratch *scratch_take(struct hit *h)
{
#pragma unroll
	for (__u32 i = 0; i < GS_SCRATCHES; i++) {
		__u32 k = i;
		struct gs_net_scratch *s = bpf_map_lookup_elem(&net_scratch, &k);

		if (!s)
			return NULL; /* for the verifier */
		if (!__sync_val_compare_and_swap(&s->taken, 0, 1)) {
			s->number = i;
			return s;
		}
	}
	gs_add(&h->count->scratches_full, 1);
	return NULL;
}

/* One run of a program of several probes: a scratch for it, which says which
 * probe it is; NULL when it must not be summed.  call_done() is the end of it. */
SUBPROG struct gs_net_scratch *call_hit(struct hit *h, go_regs *ctx, __u32 group)
{
	struct gs_net_scratch *s;
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u32 probe = GS_COOKIE_PROBE(cookie);

	barrier_var(probe); /* what is compared is what is used, for the verifier */
	if (probe >= PROBE_COUNT || !hit_of(h, ctx, (__u32)cookie, probe, group))
		return NULL;
	s = scratch_take(h);
	if (!s)
		return NULL;
	s->target = (__u32)cookie;
	s->probe = probe;
	s->argument = GS_COOKIE_ARGUMENT(cookie);
	return s;
}

static __always_inline void call_done(struct gs_net_scratch *s)
{
	*(volatile __u32 *)&s->taken = 0;
}

/* A program of several probes: its body is run with a hit and its scratch. */
#define CALL_PROGRAM(name, group)                                           \
	static __always_inline void name##_run(struct hit *h, go_regs *ctx, \
					       struct gs_net_scratch *s);   \
	SEC("uprobe")                                                       \
	int name(go_regs *ctx)                                              \
	{                                                                   \
		struct hit h;                                               \
		struct gs_net_scratch *s = call_hit(&h, ctx, group);        \
                                                                            \
		if (s) {                                                    \
			name##_run(&h, ctx, s);                             \
			call_done(s);                                       \
		}                                                           \
		return 0;                                                   \
	}                                                                   \
	static __always_inline void name##_run(struct hit *h, go_regs *ctx, \
					       struct gs_net_scratch *s)

static __always_inline bool read_user(struct hit *h, void *to, __u32 len, __u64 from)
{
	if (!bpf_probe_read_user(to, len, (void *)from))
		return true;
	gs_add(&h->count->read_failures, 1);
	return false;
}

/* One word, to the stack of the program: elsewhere the kernel looks longer at
 * where it writes to. */
static __always_inline bool read_word(struct hit *h, __u64 *to, __u64 from)
{
	return read_user(h, to, sizeof(*to), from);
}

static __always_inline struct gs_open_key *key_of(struct gs_net_scratch *s, struct gs_open_key *key,
						  __u32 kind, __u64 addr)
{
	key->addr = addr;
	key->target = s->target;
	key->kind = kind;
	return key;
}

static __always_inline struct gs_open *open_find(struct gs_net_scratch *s, __u32 kind, __u64 addr)
{
	return bpf_map_lookup_elem(&opens, key_of(s, &s->key, kind, addr));
}

/* What s->open says has begun. */
static __always_inline void open_put(struct hit *h, struct gs_net_scratch *s, __u32 kind,
				     __u64 addr)
{
	if (bpf_map_update_elem(&opens, key_of(s, &s->key, kind, addr), &s->open, BPF_ANY))
		gs_add(&h->count->opens_full, 1);
}

/*
 * The same in its entry, where there is one: o, as found by this kind and
 * address.  Other threads that come by see nothing, or all of it: its start
 * and state are the first to go and the last to be set.
 */
static __always_inline void open_renew(struct hit *h, struct gs_net_scratch *s, struct gs_open *o,
				       __u32 kind, __u64 addr)
{
	const struct gs_open *n = &s->open;

	if (!o) {
		open_put(h, s, kind, addr);
		return;
	}
	*(volatile __u64 *)&o->start_ns = 0;
	*(volatile __u32 *)&o->state = NET_NO_PHASE;
	o->state_ns = n->state_ns;
	o->goid = n->goid;
	o->caller = n->caller;
	o->ptr = n->ptr;
	o->host = n->host;
	o->npcs = n->npcs;
	o->flags = n->flags;
	o->row = n->row;
	o->router_row = n->router_row;
#pragma unroll
	for (__u32 i = 0; i < GS_CALL_FRAMES; i++)
		o->pcs[i] = n->pcs[i];
	*(volatile __u32 *)&o->state = n->state;
	*(volatile __u64 *)&o->start_ns = n->start_ns;
}

/* The one found last. */
static __always_inline void open_delete(struct gs_net_scratch *s)
{
	bpf_map_delete_elem(&opens, &s->key);
}

/* Begins now, for nobody in particular. */
static __always_inline void open_fresh(struct gs_open *o, __u32 state)
{
	o->start_ns = o->state_ns = bpf_ktime_get_ns();
	o->goid = 0;
	o->caller = 0;
	o->ptr = 0;
	o->host = 0;
	o->state = state;
	o->npcs = 0;
	o->flags = 0;
	o->row = o->router_row = 0;
#pragma unroll
	for (__u32 i = 0; i < GS_CALL_FRAMES; i++)
		o->pcs[i] = 0;
}

/*
 * Functions of their own for the verifier, too (calls.bpf.c; sums.bpf.h says why).  They take
 * nothing but numbers, and find a scratch by its own, k: a run stays on its CPU.
 *
 * host_number: of the name in its `host`; 0: the table is full (counted).
 * host_of_string: of the Go string whose header is in its `word`; 0 when it is empty.
 * pcs_take: see take_pcs().
 * phase_rows: the first row of a host's dials or requests.
 * call_row: the row of the calls that begin where its `open` did.
 */
__u64 host_number(__u32 k);
__u64 host_of_string(__u32 k);
int pcs_take(__u32 k, __u64 sp, __u64 fp, __u64 lo, __u64 hi);
__u32 phase_rows(__u32 k, __u32 group, __u64 host);
__u32 call_row(__u32 k, __u32 kind);

/* In those: the run's counters; it has no need of the spec. */
static __always_inline struct gs_net_scratch *scratch_again(struct hit *h, __u32 k)
{
	struct gs_net_scratch *s = bpf_map_lookup_elem(&net_scratch, &k);

	if (!s)
		return NULL;
	h->spec = NULL;
	h->target = s->target;
	h->count = bpf_map_lookup_elem(&counters, &h->target);
	return h->count ? s : NULL;
}

/* The number of the Go string whose header is at an address. */
static __always_inline __u64 host_at(struct hit *h, struct gs_net_scratch *s, __u64 addr)
{
	return read_user(h, s->word, sizeof(s->word), addr) ? host_of_string(s->number) : 0;
}

#define PCS_BODY 0x100u /* beside the scratch's number */

/*
 * Return addresses by the frame pointers, which Go keeps in every function
 * with a frame.  body: at a function's start, where its own return address is
 * still on top of the stack; else inside it.  The first of them that is not
 * within [lo, hi) and the one behind it are the last (the first may be a
 * wrapper that the compiler has made); hi 0: as many as there is room for.
 */
static __always_inline void take_pcs(go_regs *ctx, struct gs_net_scratch *s, bool body, __u64 lo,
				     __u64 hi)
{
	pcs_take(s->number | (body ? PCS_BODY : 0), GO_SP(ctx), GO_FP(ctx), lo, hi);
}

static __always_inline void take_goid(struct hit *h, go_regs *ctx, struct gs_open *o)
{
	__u64 goid = 0;

	read_word(h, &goid, GO_G(ctx) + h->spec->g_goid);
	o->goid = goid;
}

/* --- sums ------------------------------------------------------------------- */

/*
 * A begin from before the probes were last switched on: its end may have come
 * while they were off, and this is the end of something else that has the same
 * address.  Not summed.
 */
static __always_inline bool is_stale(struct hit *h, __u64 start_ns, __u64 since_ns)
{
	if (start_ns >= since_ns)
		return false;
	gs_add(&h->count->unpaired, 1);
	return true;
}

/* Whether what begins now is to be remembered. */
static __always_inline bool takes_new(struct hit *h)
{
	return h->spec->active & GS_ACTIVE_NEW;
}

/* A request that was counted as begun in this slice has its answer. */
static __always_inline void answered(struct hit *h, __u64 start_ns)
{
	if (start_ns >= h->spec->since_requests_ns)
		gs_add(&h->count->requests_answered, 1);
}

/* A row of the others: who is summed there is to have one of its own once there is room. */
static __always_inline bool is_of_others(__u32 row)
{
	row = GS_ROW_NUMBER(row);
	return row - GS_CALL_ROWS < CALL_KINDS || row - GS_PHASE_ROWS < 2 * GS_PHASE_BLOCK;
}

/* The row that many behind the first one. */
static __always_inline __u32 row_behind(__u32 first, __u32 plus)
{
	return first ? first + plus : 0;
}

#define END_FAILED 0x100u /* in `how`, beside a phase or a kind of call */

/* A phase of a request, on connection or stream o, ends. */
SUBPROG int request_phase_end(struct hit *h, struct gs_net_scratch *s, struct gs_open *o, __u32 how,
			      __u64 ns)
{
	__u32 plus = (how & ~END_FAILED) - GS_PHASES_FIRST(GS_PHASES_REQUEST), first;

	if (sum_end(h, row_behind(o->row, plus), ns, how & END_FAILED))
		return 0;
	first = phase_rows(s->number, GS_PHASES_REQUEST, o->host);
	o->row = is_of_others(first) ? 0 : first;
	sum_end(h, row_behind(first, plus), ns, how & END_FAILED);
	return 0;
}

/* Whether what begins now began at the place of the last one of this kind on this goroutine. */
static __always_inline bool same_place(const struct gs_open *last, const struct gs_open *o)
{
	__u64 diff = last->host ^ o->host;

#pragma unroll
	for (__u32 i = 0; i < GS_CALL_FRAMES; i++)
		diff |= last->pcs[i] ^ o->pcs[i];
	return !diff;
}

/* Whether a row that was remembered is its place's still. */
static __always_inline bool is_kept(__u32 row)
{
	return row && !is_of_others(row) && sum_of(row);
}

/* The same of the row of the last one. */
static __always_inline bool keeps_row(const struct gs_open *last)
{
	return is_kept(last->row);
}

/* A call, s->open, begins: remembered by its g, and counted at its place. */
static __always_inline void call_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s,
				       __u32 open, __u32 call)
{
	struct gs_open *last = open_find(s, open, GO_G(ctx));
	struct gs_sum *row;

	s->open.row = last && same_place(last, &s->open) && keeps_row(last)
			      ? last->row
			      : call_row(s->number, call);
	row = sum_of(s->open.row);
	if (row)
		gs_add(&row->begun, 1);
	open_renew(h, s, last, open, GO_G(ctx));
}

/* The row that a call has got in the place of one that was taken from it: of the same place. */
SUBPROG int call_row_again(struct gs_net_scratch *s, struct gs_open *o, __u32 call)
{
	s->open.host = o->host;
#pragma unroll
	for (__u32 i = 0; i < GS_CALL_FRAMES; i++)
		s->open.pcs[i] = o->pcs[i];
	o->row = call_row(s->number, call);
	return 0;
}

/* The row of a call that is under way, o. */
static __always_inline struct gs_sum *call_sum(struct gs_net_scratch *s, struct gs_open *o,
					       __u32 call)
{
	if (o->row && !sum_of(o->row))
		call_row_again(s, o, call);
	return sum_of(o->row);
}

SUBPROG int call_sum_end(struct hit *h, struct gs_net_scratch *s, struct gs_open *o, __u32 how,
			 __u64 ns)
{
	if (!o->row || sum_end(h, o->row, ns, how & END_FAILED))
		return 0;
	call_row_again(s, o, how & ~END_FAILED);
	sum_end(h, o->row, ns, how & END_FAILED);
	return 0;
}

/* It, o, ends, at now_ns: nothing when its begin was not seen; since_ns: see is_stale(). */
static __always_inline void call_over(struct hit *h, struct gs_net_scratch *s, struct gs_open *o,
				      __u32 call, bool failed, __u64 since_ns, __u64 now_ns)
{
	if (!o || !o->start_ns) {
		gs_add(&h->count->unpaired, 1);
		return;
	}
	if (!is_stale(h, o->start_ns, since_ns))
		call_sum_end(h, s, o, call | (failed ? END_FAILED : 0), now_ns - o->start_ns);
	*(volatile __u64 *)&o->start_ns = 0;
}

/* The one of this goroutine ends. */
static __always_inline void call_end(struct hit *h, go_regs *ctx, struct gs_net_scratch *s,
				     __u32 open, __u32 call, bool failed, __u64 since_ns)
{
	call_over(h, s, open_find(s, open, GO_G(ctx)), call, failed, since_ns, bpf_ktime_get_ns());
}

#endif
