/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests of routers that are one http.Handler (gin, echo, chi): begun at the router, and at
 * their end given to their route.  It is in the context that the router keeps for a request
 * and has just put back into its sync.Pool, so no hit is spent on it.  A context counts only
 * when it is that of this request: another goroutine may have taken it since; then the request
 * stays where it was, with the router.
 *
 * Where something of the user's is around the router, or a mux has given it the request, its
 * pool is looked into all the same, where it is known (gs_spec.router_pool).
 *
 * While one is under way its open has, behind pcs[0]:
 */
#ifndef GOSPECT_ROUTERS_BPF_H
#define GOSPECT_ROUTERS_BPF_H

#include "calls.bpf.h"

enum {
	ROUTER_REQUEST = 1, /* the *Request */
	ROUTER_IS,          /* the router */
	ROUTER_WINDOW,      /* in which it began, and behind it, << 32, its number in the spec */
	/* the route of the last one on this goroutine: what it is known by, and its row */
	ROUTER_ROUTE,
	ROUTER_ROUTE_ROW
};

/* sync.Pool: local, localSize; poolLocal: private, shared.head, 128 bytes in all;
 * poolChainElt: headTail, vals (sync/pool.go, poolqueue.go; the same in 1.18 to 1.27). */
#define POOL_LOCAL_BYTES 128
#define POOL_HEAD_SHIFT  32

#define ROUTER_MAX_PARTS 3 /* of a pattern, one a router */
#define ROUTER_PART      (GS_HOST_BYTES / ROUTER_MAX_PARTS)

/* Of a request that counts, one more or one less in its row. */
static __always_inline void handler_add(struct hit *h, struct gs_open *o, __u64 n)
{
	struct gs_sum *row = o->start_ns < h->spec->since_requests_ns ? NULL : sum_of(o->row);

	if (row)
		gs_add(&row->begun, n);
}

/* What may have changed since: no loss. */
static __always_inline bool peek(void *to, __u32 len, __u64 from)
{
	return !bpf_probe_read_user(to, len, (void *)from);
}

SUBPROG __u64 peek_word(struct gs_net_scratch *s, __u64 from)
{
	return peek(s->word, sizeof(s->word[0]), from) ? s->word[0] : 0;
}

/* The number of the router whose ServeHTTP a handler's code is; GS_ROUTERS: of none. */
static __always_inline __u32 router_of(struct hit *h, __u64 entry)
{
	__u32 found = GS_ROUTERS;

#pragma unroll
	for (__u32 i = 0; i < GS_ROUTERS; i++)
		if (h->spec->router[i].entry == entry)
			found = i;
	return found;
}

/* What a request that may be a router's is known by. */
SUBPROG int router_asks(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	/* of serverHandler.ServeHTTP, and of x/net's runHandler */
	__u64 of_http = GO_ARG3(ctx), of_x = GO_ARG2(ctx);

	barrier_var(of_http); /* read both: no address is chosen within ctx */
	barrier_var(of_x);
	s->open.pcs[ROUTER_REQUEST] = s->argument ? of_http : of_x;
	s->open.pcs[ROUTER_WINDOW] = h->spec->window;
	return 0;
}

/* What is remembered of a request of router number i, whose data word is in s->word[1];
 * GS_ROUTERS: of what may be around one. */
SUBPROG int router_note(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, __u32 i)
{
	take_goid(h, ctx, &s->open);
	s->open.ptr = s->open.pcs[0];
	s->open.npcs = 1;
	router_asks(h, ctx, s);
	if (i == GS_ROUTERS)
		return 0;
	s->open.flags = GS_OPEN_ROUTED; /* what is below it is its own */
	s->open.pcs[ROUTER_IS] = s->word[1];
	s->open.pcs[ROUTER_WINDOW] |= (__u64)i << 32;
	return 0;
}

/* The row of the handler that s->open is for. */
SUBPROG int router_own_row(struct gs_net_scratch *s, const struct gs_open *last)
{
	if (last && last->pcs[0] == s->open.pcs[0] && !last->caller && is_kept(last->router_row)) {
		s->open.row = last->router_row;
		s->open.pcs[ROUTER_ROUTE] = last->pcs[ROUTER_ROUTE];
		s->open.pcs[ROUTER_ROUTE_ROW] = last->pcs[ROUTER_ROUTE_ROW];
	} else {
		s->open.row = call_row(s->number, CALL_HANDLER);
	}
	s->open.router_row = s->open.row;
	return 0;
}

/* A request has come for s->open.ptr, router number i; its data word is in s->word[1]. */
SUBPROG int router_serve(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, __u32 i)
{
	struct gs_open *last = open_find(s, OPEN_HANDLER, GO_G(ctx));
	__u64 entry = s->open.ptr;

	gs_add(&h->count->requests_begun, 1);
	open_fresh(&s->open, HANDLER_COUNTED);
	s->open.pcs[0] = entry;
	router_own_row(s, last);
	router_note(h, ctx, s, i);
	handler_add(h, &s->open, 1);
	open_renew(h, s, last, OPEN_HANDLER, GO_G(ctx));
	return 0;
}

#define ROUTER_MAX_CONTEXTS 4 /* that handlers around a router have made, one of the other */

/* Whether a context is that one, or made of it: each kind begins with its parent. */
SUBPROG bool router_descends(struct gs_net_scratch *s, __u64 context, __u64 of)
{
	for (__u32 i = 0; i < ROUTER_MAX_CONTEXTS && context && context != of; i++)
		context = peek_word(s, context + 8);
	return of && context == of;
}

/* Whether a context is that of request o. */
SUBPROG bool router_has(struct hit *h, struct gs_net_scratch *s, struct gs_open *o,
			const volatile struct gs_router *r, __u64 context)
{
	__u64 request = o->pcs[ROUTER_REQUEST], word;

	if (!context)
		return false;
	word = peek_word(s, context + r->request);
	if (r->flags & GS_ROUTER_CONTEXT)
		return router_descends(s, word, peek_word(s, request + h->spec->request_ctx + 8));
	if (word == request)
		return true;
	/* what is around the handler may have made a copy, for a context of its own: its URL is the same */
	word = word ? peek_word(s, word + h->spec->request_url) : 0;
	return word && word == peek_word(s, request + h->spec->request_url);
}

/* Where the P that this goroutine runs on has its part of a sync.Pool; 0: not known. */
SUBPROG __u64 pool_local(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, __u64 pool)
{
	__u64 p = peek_word(s, GO_G(ctx) + h->spec->g_m);
	__u32 id;

	p = p ? peek_word(s, p + h->spec->m_p) : 0;
	if (!p)
		return 0;
	id = (__u32)peek_word(s, p + h->spec->p_id);
	if (!peek(s->word, sizeof(s->word), pool) || id >= s->word[1])
		return 0;
	return s->word[0] + (__u64)id * POOL_LOCAL_BYTES;
}

/* The context of request o, in the part of a pool where it was put last; 0. */
SUBPROG __u64 router_context(struct hit *h, struct gs_net_scratch *s, struct gs_open *o,
			     const volatile struct gs_router *r, __u64 at)
{
	if (!at || !peek(s->stack, 24, at)) /* private: an interface; shared.head */
		return 0;
	at = s->stack[1];
	if (router_has(h, s, o, r, at))
		return at;
	at = s->stack[2];
	if (!at || !peek(s->stack, 24, at)) /* headTail; vals */
		return 0;
	at = ((s->stack[0] >> POOL_HEAD_SHIFT) - 1) & (s->stack[2] - 1);
	at = peek_word(s, s->stack[1] + at * 16 + 8);
	return router_has(h, s, o, r, at) ? at : 0;
}

/* The parts of a pattern, {data, length} each, into s->stack: how many; 0: there is none. */
SUBPROG __u32 router_pattern(struct gs_net_scratch *s, const volatile struct gs_router *r,
			     __u64 context)
{
	__u32 n;

	if (!peek(s->word, sizeof(s->word), context + r->pattern))
		return 0;
	s->stack[0] = s->word[0];
	s->stack[1] = s->word[1];
	if (!(r->flags & GS_ROUTER_PATTERNS))
		return s->word[0] && s->word[1] ? 1 : 0;
	n = (__u32)s->word[1];
	barrier_var(n);
	if (!n || n > ROUTER_MAX_PARTS || !peek(s->stack, n * 16, s->word[0]))
		return 0;
	return n;
}

/* What a route is known by: 0: not known. */
SUBPROG __u64 router_route(struct gs_net_scratch *s, const volatile struct gs_router *r,
			   __u64 context, __u32 n)
{
	__u64 id = 0;

	if (r->handlers) /* made once for each route */
		return peek_word(s, context + r->handlers);
#pragma unroll
	for (__u32 i = 0; i < ROUTER_MAX_PARTS; i++)
		if (i < n)
			id = id * 31 + s->stack[2 * i];
	return id;
}

/* The function that the user has given the route; the router's where it is not kept. */
SUBPROG __u64 router_function(struct gs_net_scratch *s, const volatile struct gs_router *r,
			      __u64 context, __u64 entry)
{
	__u64 word;

	if (!r->handlers || entry != r->entry ||
	    !peek(s->word, sizeof(s->word), context + r->handlers) || !s->word[1])
		return entry;
	word = peek_word(s, s->word[0] + 8 * (s->word[1] - 1));
	word = word ? peek_word(s, word) : 0;
	return word ? word : entry;
}

/* The number of the pattern of n parts in s->stack; 0: it cannot be read, or is too long. */
SUBPROG __u64 router_name(struct gs_net_scratch *s, __u32 n)
{
	__u64 *to = (__u64 *)s->host.name;
	__u32 at = 0;

#pragma unroll
	for (__u32 i = 0; i < GS_HOST_BYTES / 8; i++)
		to[i] = 0;
#pragma unroll
	for (__u32 i = 0; i < ROUTER_MAX_PARTS; i++) {
		__u64 len = s->stack[2 * i + 1];
		__u32 bytes = (__u32)len;

		if (i >= n)
			break;
		if (len > ROUTER_PART)
			return 0;
		barrier_var(bytes);
		barrier_var(at);
		if (bytes > ROUTER_PART || at > GS_HOST_BYTES - ROUTER_PART) /* for the verifier */
			return 0;
		if (!peek(s->host.name + at, bytes, s->stack[2 * i]))
			return 0;
		at += bytes;
	}
	s->host.target = s->target;
	s->host.len = at;
	return host_number(s->number);
}

/* The row of the route that the context has; 0: there is none. */
SUBPROG __u32 router_row(struct gs_net_scratch *s, struct gs_open *o,
			 const volatile struct gs_router *r, __u64 context)
{
	__u32 n = router_pattern(s, r, context);
	__u64 route = n ? router_route(s, r, context, n) : 0;

	if (!route)
		return 0;
	route += o->pcs[0]; /* what is around it may differ */
	if (route == o->pcs[ROUTER_ROUTE] && is_kept((__u32)o->pcs[ROUTER_ROUTE_ROW]))
		return (__u32)o->pcs[ROUTER_ROUTE_ROW];
	open_fresh(&s->open, HANDLER_COUNTED);
	s->open.host = router_name(s, n);
	if (!s->open.host)
		return 0;
	s->open.pcs[0] = router_function(s, r, context, o->pcs[0]);
	n = call_row(s->number, CALL_HANDLER);
	o->pcs[ROUTER_ROUTE] = route;
	o->pcs[ROUTER_ROUTE_ROW] = n;
	return n;
}

/* A request of one that has been idle for long: another may have its row. */
SUBPROG int router_row_again(struct gs_net_scratch *s, struct gs_open *o)
{
	if (sum_of(o->row))
		return 0;
	open_fresh(&s->open, HANDLER_COUNTED);
	s->open.pcs[0] = o->pcs[0];
	s->open.host = o->host;
	o->row = call_row(s->number, CALL_HANDLER);
	return 0;
}

/* Request o is of that row, and no longer of its handler's; 0: it stays. */
static __always_inline void router_moves(struct hit *h, struct gs_open *o, __u32 row)
{
	bool moves = (__u32)o->pcs[ROUTER_WINDOW] == h->spec->window;

	if (!row || row == o->row)
		return;
	if (moves)
		handler_add(h, o, -1ull);
	o->row = row;
	if (moves)
		handler_add(h, o, 1);
}

/*
 * Request o of a router is over: it is of its route.  One that began in a window before was
 * counted there, with its router, and stays so; its duration is its route's.
 */
SUBPROG int router_routed(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, struct gs_open *o)
{
	__u32 i = o->pcs[ROUTER_WINDOW] >> 32;
	const volatile struct gs_router *r;
	__u64 context;

	barrier_var(i);
	if (i >= GS_ROUTERS)
		return 0;
	router_row_again(s, o);
	r = &h->spec->router[i];
	context = o->pcs[ROUTER_IS] + r->pool;
	if (r->flags & GS_ROUTER_POINTS)
		context = peek_word(s, context);
	context = context ? pool_local(h, ctx, s, context) : 0;
	context = router_context(h, s, o, r, context);
	router_moves(h, o, context ? router_row(s, o, r, context) : 0);
	return 0;
}

/* The same of one that a handler around a router has, or a mux that leads to it: whether that
 * pool has its context. */
SUBPROG bool router_pooled(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, struct gs_open *o,
			   __u64 pool)
{
	__u32 i = pool & GS_POOL_KIND;
	const volatile struct gs_router *r;
	__u64 context;

	barrier_var(i);
	if (i >= GS_ROUTERS)
		return false;
	r = &h->spec->router[i];
	context = pool_local(h, ctx, s, pool & ~(__u64)GS_POOL_KIND);
	context = router_context(h, s, o, r, context);
	if (!context)
		return false;
	o->router_row = o->row;
	router_moves(h, o, router_row(s, o, r, context));
	return true;
}

SUBPROG int router_within(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, struct gs_open *o)
{
	router_row_again(s, o);
	for (__u32 k = 0; k < GS_ROUTER_POOLS; k++) {
		__u64 pool = h->spec->router_pool[k];

		if (!pool || router_pooled(h, ctx, s, o, pool))
			break;
	}
	return 0;
}

#endif
