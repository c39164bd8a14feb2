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

#include "gospect.bpf.h"

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
	__type(value, struct gs_sum);
};
struct gs_calls_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_CALLS);
	__type(key, struct gs_call_key);
	__type(value, struct gs_sum);
};
/* By thread id.  Full: counted in threads_full; user space removes threads that ended. */
struct gs_net_scratch_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_THREADS);
	__type(key, __u32);
	__type(value, struct gs_net_scratch);
};
extern struct gs_opens_map opens SEC(".maps");
extern struct gs_holds_map holds SEC(".maps");
extern struct gs_conn_hosts_map conn_hosts SEC(".maps");
extern struct gs_hosts_map hosts SEC(".maps");
extern struct gs_phases_map phases SEC(".maps");
extern struct gs_calls_map calls SEC(".maps");
extern struct gs_net_scratch_map net_scratch SEC(".maps");

/* The last number given to a host. */
extern volatile __u64 gs_last_host;

/* New rows: nothing summed yet. */
static const struct gs_sum no_sum;
static const struct gs_net_scratch no_scratch;

static __always_inline struct gs_net_scratch *scratch_of(struct hit *h)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct gs_net_scratch *mine = bpf_map_lookup_elem(&net_scratch, &tid);

	if (mine)
		return mine;
	if (!bpf_map_update_elem(&net_scratch, &tid, &no_scratch, BPF_NOEXIST))
		gs_add(&h->count->net_threads_made, 1);
	mine = bpf_map_lookup_elem(&net_scratch, &tid);
	if (!mine)
		gs_add(&h->count->threads_full, 1);
	return mine;
}

/* One run of a program of several probes: which one it is, and its thread's
 * scratch; NULL when it must not be summed. */
static __always_inline struct gs_net_scratch *call_hit(struct hit *h, go_regs *ctx, __u32 group, __u32 *probe)
{
	*probe = hit_which(h, ctx, group);
	return *probe == GS_PROBE_MAX ? NULL : scratch_of(h);
}

static __always_inline bool read_user(struct hit *h, void *to, __u32 len, __u64 from)
{
	if (!bpf_probe_read_user(to, len, (void *)from))
		return true;
	gs_add(&h->count->read_failures, 1);
	return false;
}

static __always_inline struct gs_open_key *key_of(struct hit *h, struct gs_open_key *key, __u32 kind, __u64 addr)
{
	key->addr = addr;
	key->target = h->target;
	key->kind = kind;
	return key;
}

static __always_inline struct gs_open *open_find(struct hit *h, struct gs_net_scratch *s, __u32 kind, __u64 addr)
{
	return bpf_map_lookup_elem(&opens, key_of(h, &s->key, kind, addr));
}

/* What s->open says has begun. */
static __always_inline void open_put(struct hit *h, struct gs_net_scratch *s, __u32 kind, __u64 addr)
{
	if (bpf_map_update_elem(&opens, key_of(h, &s->key, kind, addr), &s->open, BPF_ANY))
		gs_add(&h->count->opens_full, 1);
}

/*
 * The same in its entry, where there is one: o, as found by this kind and
 * address.  Other threads that come by see nothing, or all of it: its start
 * and state are the first to go and the last to be set.
 */
static __always_inline void open_renew(struct hit *h, struct gs_net_scratch *s, struct gs_open *o, __u32 kind,
				       __u64 addr)
{
	const struct gs_open *n = &s->open;
	__u32 i;

	if (!o) {
		open_put(h, s, kind, addr);
		return;
	}
	*(volatile __u64 *)&o->start_ns = 0;
	*(volatile __u32 *)&o->state = GS_PHASE_NONE;
	o->state_ns = n->state_ns;
	o->goid = n->goid;
	o->ptr = n->ptr;
	o->host = n->host;
	o->npcs = n->npcs;
	o->flags = n->flags;
#pragma unroll
	for (i = 0; i < GS_CALL_FRAMES; i++)
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
	__u32 i;

	o->start_ns = o->state_ns = bpf_ktime_get_ns();
	o->goid = 0;
	o->ptr = 0;
	o->host = 0;
	o->state = state;
	o->npcs = 0;
	o->flags = 0;
#pragma unroll
	for (i = 0; i < GS_CALL_FRAMES; i++)
		o->pcs[i] = 0;
}

/* --- names ------------------------------------------------------------------ */

/* The number of the name in s->host. */
static __always_inline __u64 host_number(struct hit *h, struct gs_host *key)
{
	__u64 *known = bpf_map_lookup_elem(&hosts, key), number;

	if (known)
		return *known;
	number = __sync_fetch_and_add(&gs_last_host, 1) + 1;
	/* Another CPU may be faster: what counts is the look-up after it. */
	bpf_map_update_elem(&hosts, key, &number, BPF_NOEXIST);
	known = bpf_map_lookup_elem(&hosts, key);
	if (known)
		return *known;
	gs_add(&h->count->hosts_full, 1);
	return 0;
}

/* The number of the Go string whose header is in s->word; 0 when it is empty. */
static __always_inline __u64 host_of_string(struct hit *h, struct gs_net_scratch *s)
{
	__u64 *to = (__u64 *)s->host.name, len = s->word[1];
	__u32 n = len, i;

	if (!len || !s->word[0])
		return 0;
#pragma unroll
	for (i = 0; i < GS_HOST_BYTES / 8; i++)
		to[i] = 0;
	if (len >= GS_HOST_BYTES)
		n = GS_HOST_BYTES;
	barrier_var(n);
	if (n > GS_HOST_BYTES)	/* for the verifier */
		return 0;
	if (!read_user(h, s->host.name, n, s->word[0]))
		return 0;
	s->host.target = h->target;
	s->host.len = len > 0xffffffff ? 0xffffffff : len;
	return host_number(h, &s->host);
}

/* The same of a string header at an address. */
static __always_inline __u64 host_at(struct hit *h, struct gs_net_scratch *s, __u64 addr)
{
	return read_user(h, s->word, sizeof(s->word), addr) ? host_of_string(h, s) : 0;
}

/* --- places ----------------------------------------------------------------- */

/*
 * Return addresses by the frame pointers, which Go keeps in every function
 * with a frame.  body: at a function's start, where its own return address is
 * still on top of the stack; else inside it.  The first of them that is not
 * within [lo, hi) and the one behind it are the last (the first may be a
 * wrapper that the compiler has made); hi 0: as many as there is room for.
 */
static __always_inline void take_pcs(go_regs *ctx, struct gs_net_scratch *s, bool body, __u64 lo, __u64 hi)
{
	__u64 fp = GO_FP(ctx), *pcs = s->open.pcs;
	bool left = false;
	__u32 i;

	if (body) {
		if (bpf_probe_read_user(&pcs[0], sizeof(pcs[0]), (void *)GO_SP(ctx)))
			return;
		s->open.npcs = 1;
	}
#pragma unroll
	for (i = 0; i < GS_CALL_FRAMES; i++) {
		if (i) {
			if (left)
				break;
			left = hi && (pcs[i - 1] < lo || pcs[i - 1] >= hi);
		}
		if (body && !i)
			continue;
		if (!fp || bpf_probe_read_user(s->word, sizeof(s->word), (void *)fp))
			break;
		fp = s->word[0];
		pcs[i] = s->word[1];
		s->open.npcs = i + 1;
	}
}

static __always_inline void take_goid(struct hit *h, go_regs *ctx, struct gs_open *o)
{
	read_user(h, &o->goid, sizeof(o->goid), GO_G(ctx) + h->spec->g_goid);
}

/* --- sums ------------------------------------------------------------------- */

static __always_inline void sum_end(struct hit *h, struct gs_sum *s, __u64 ns, bool failed)
{
	__u32 bucket = gs_hist_bucket(ns), window = h->spec->window, w = window & 1;

	if (bucket >= GS_HIST_BUCKETS)	/* for the verifier */
		bucket = GS_HIST_BUCKETS - 1;
	gs_add(&s->hist.count, 1);
	gs_add(&s->hist.sum_ns, ns);
	gs_add(&s->hist.bucket[bucket], 1);
	if (failed)
		gs_add(&s->errors, 1);
	/* Of two new maxima at the same instant the smaller may stay. */
	if (ns > s->hist.max_ns)
		s->hist.max_ns = ns;
	if (s->max_window[w] != window) {
		s->max_window[w] = window;
		s->max_ns[w] = 0;
	}
	if (ns > s->max_ns[w])
		s->max_ns[w] = ns;
}

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

static __always_inline struct gs_sum *phase_row(struct hit *h, struct gs_phase_key *key)
{
	struct gs_sum *s = bpf_map_lookup_elem(&phases, key);

	if (s)
		return s;
	bpf_map_update_elem(&phases, key, &no_sum, BPF_NOEXIST);
	s = bpf_map_lookup_elem(&phases, key);
	if (s)
		return s;
	gs_add(&h->count->phases_full, 1);
	key->host = 0;
	return bpf_map_lookup_elem(&phases, key);
}

static __always_inline void phase_end(struct hit *h, struct gs_net_scratch *s, __u32 phase, __u64 host,
				      __u64 ns, bool failed)
{
	struct gs_sum *row;

	s->phase.target = h->target;
	s->phase.phase = phase;
	s->phase.host = host;
	row = phase_row(h, &s->phase);
	if (row)
		sum_end(h, row, ns, failed);
}

/* The row of the call whose key is in scratch (target and kind too). */
static __always_inline struct gs_sum *call_row(struct hit *h, struct gs_call_key *key)
{
	struct gs_sum *s = bpf_map_lookup_elem(&calls, key);
	__u32 i;

	if (s)
		return s;
	bpf_map_update_elem(&calls, key, &no_sum, BPF_NOEXIST);
	s = bpf_map_lookup_elem(&calls, key);
	if (s)
		return s;
	gs_add(&h->count->calls_full, 1);
	key->text = 0;
#pragma unroll
	for (i = 0; i < GS_CALL_FRAMES; i++)
		key->pcs[i] = 0;
	return bpf_map_lookup_elem(&calls, key);
}

/* Where a call began, as the key of its sums. */
static __always_inline void call_key(struct hit *h, struct gs_call_key *key, __u32 kind,
				     const struct gs_open *o)
{
	__u32 i;

	key->target = h->target;
	key->kind = kind;
	key->text = o->host;
#pragma unroll
	for (i = 0; i < GS_CALL_FRAMES; i++)
		key->pcs[i] = o->pcs[i];
}

/* A call, s->open, begins: remembered by its g, and counted at its place. */
static __always_inline void call_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, __u32 open,
				       __u32 call)
{
	struct gs_sum *row;

	call_key(h, &s->call, call, &s->open);
	row = call_row(h, &s->call);
	if (row)
		gs_add(&row->begun, 1);
	open_renew(h, s, open_find(h, s, open, GO_G(ctx)), open, GO_G(ctx));
}

/* It, o, ends: nothing when its begin was not seen; since_ns: see is_stale(). */
static __always_inline void call_over(struct hit *h, struct gs_net_scratch *s, struct gs_open *o, __u32 call,
				      bool failed, __u64 since_ns)
{
	struct gs_sum *row;

	if (!o || !o->start_ns) {
		gs_add(&h->count->unpaired, 1);
		return;
	}
	call_key(h, &s->call, call, o);
	row = is_stale(h, o->start_ns, since_ns) ? 0 : call_row(h, &s->call);
	if (row)
		sum_end(h, row, bpf_ktime_get_ns() - o->start_ns, failed);
	*(volatile __u64 *)&o->start_ns = 0;
}

/* The one of this goroutine ends. */
static __always_inline void call_end(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, __u32 open,
				     __u32 call, bool failed, __u64 since_ns)
{
	call_over(h, s, open_find(h, s, open, GO_G(ctx)), call, failed, since_ns);
}

#endif
