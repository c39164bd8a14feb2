// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Calls on one goroutine: HTTP handlers, gRPC client calls, waits for a lock. */
#include "calls.bpf.h"
#include "errors.bpf.h"
#include "routers.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline bool is_within(__u64 pc, __u64 lo, __u64 hi)
{
	return pc >= lo && pc < hi;
}

/* The code that an http.Handler leads to: its ServeHTTP, or the function that an
 * http.HandlerFunc is; 0: not known. */
SUBPROG __u64 handler_entry(struct hit *h, __u64 itab, __u64 data)
{
	__u64 entry;

	if (!read_word(h, &entry, itab + GS_ITAB_FUN))
		return 0;
	if (is_within(entry, h->spec->func_lo, h->spec->func_hi) && !read_word(h, &entry, data))
		return 0;
	return entry;
}

/* The request on this goroutine, o, is counted at a handler, s->open.ptr, with a route's
 * pattern, and no longer where it was. */
SUBPROG int handler_count(struct hit *h, struct gs_net_scratch *s, struct gs_open *o)
{
	__u64 entry = s->open.ptr, pattern = s->word[0];
	bool same = o->pcs[0] == entry && o->caller == pattern && keeps_row(o);

	if (o->state == HANDLER_COUNTED) {
		if (same)
			return 0;
		handler_add(h, o, -1ull);
	}
	if (!same) {
		open_fresh(&s->open, HANDLER_COUNTED);
		s->open.pcs[0] = entry;
		s->open.host = host_of_string(s->number);
		o->row = o->router_row = call_row(s->number, CALL_HANDLER);
		o->host = s->open.host;
		o->pcs[0] = entry;
		o->npcs = 1;
		o->caller = pattern;
	}
	o->state = HANDLER_COUNTED;
	handler_add(h, o, 1);
	return 0;
}

/* What is known of the last request on this goroutine, for s->open. */
SUBPROG int handler_again(struct gs_net_scratch *s, const struct gs_open *last)
{
	s->open.row = s->open.router_row = last->router_row ? last->router_row : last->row;
	s->open.pcs[0] = last->pcs[0];
	s->open.pcs[ROUTER_ROUTE] = last->pcs[ROUTER_ROUTE];
	s->open.pcs[ROUTER_ROUTE_ROW] = last->pcs[ROUTER_ROUTE_ROW];
	s->open.npcs = last->npcs;
	s->open.caller = last->caller;
	s->open.host = last->host;
	return 0;
}

/* Whether the request, as the last one did, may come to a mux. */
static __always_inline bool may_be_routed(const struct gs_open *last, __u64 entry)
{
	return last && last->ptr == entry && last->flags & GS_OPEN_ROUTED;
}

/* A request has come for s->open.ptr.  What another serves in its place is not
 * counted yet, and what is known of the last request on this goroutine stays. */
SUBPROG int handler_first(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, __u32 state)
{
	struct gs_open *last = open_find(s, OPEN_HANDLER, GO_G(ctx));
	__u64 entry = s->open.ptr;

	if (!(last && last->start_ns && last->state == HANDLER_ROUTING))
		gs_add(&h->count->requests_begun, 1);
	open_fresh(&s->open, state);
	take_goid(h, ctx, &s->open);
	s->open.ptr = entry;
	if (state == HANDLER_COUNTED && !may_be_routed(last, entry)) {
		s->open.pcs[0] = entry;
		s->open.npcs = 1;
		call_begin(h, ctx, s, OPEN_HANDLER, CALL_HANDLER);
		return 0;
	}
	if (state == HANDLER_COUNTED)
		s->open.state = HANDLER_ROUTING;
	if (h->spec->router_pool[0])
		router_asks(h, ctx, s);
	if (last)
		handler_again(s, last);
	open_renew(h, s, last, OPEN_HANDLER, GO_G(ctx));
	return 0;
}

/* The same, where a router may be below it. */
SUBPROG int handler_serve(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, __u32 state)
{
	if (state == HANDLER_COUNTED && h->spec->router_pool[0] &&
	    !may_be_routed(open_find(s, OPEN_HANDLER, GO_G(ctx)), s->open.ptr))
		return router_serve(h, ctx, s, GS_ROUTERS);
	return handler_first(h, ctx, s, state);
}

/* net/http.serverHandler.ServeHTTP(sh, rw, req), body: sh is the *Server. */
SUBPROG int handler_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	__u32 state = HANDLER_COUNTED;
	__u64 entry = h->spec->mux_lo; /* without a Handler it is http.DefaultServeMux */

	if (!read_user(h, s->word, sizeof(s->word), GO_ARG0(ctx) + h->spec->server_handler))
		return 0;
	if (s->word[0])
		entry = handler_entry(h, s->word[0], s->word[1]);
	if (entry && is_within(entry, h->spec->h2c_lo, h->spec->h2c_hi)) {
		state = HANDLER_H2C;
		if (!read_user(h, s->word, sizeof(s->word), s->word[1]))
			return 0;
		entry = handler_entry(h, s->word[0], s->word[1]);
	} else if (is_within(entry, h->spec->mux_lo, h->spec->mux_hi)) {
		state = HANDLER_ROUTING;
	}
	if (!entry)
		return 0;
	s->open.ptr = entry;
	if (state == HANDLER_COUNTED) {
		__u32 router = router_of(h, entry);

		if (router < GS_ROUTERS)
			return router_serve(h, ctx, s, router);
	}
	return handler_serve(h, ctx, s, state);
}

/*
 * golang.org/x/net/http2.(*serverConn).runHandler(sc, rw, req, handler), body:
 * handler is ServeHTTP of what ServeConn was given.  That may be net/http's, which
 * comes to serverHandler.
 */
SUBPROG int stream_serve(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	__u64 word;

	if (!read_word(h, &word, GO_ARG3(ctx)) ||
	    !is_within(word, h->spec->method_lo, h->spec->method_hi) ||
	    !read_user(h, s->word, sizeof(s->word), GO_ARG3(ctx) + 8))
		return 0;
	word = handler_entry(h, s->word[0], s->word[1]);
	if (!word)
		return 0;
	s->open.ptr = word;
	return handler_serve(h, ctx, s,
			     is_within(word, h->spec->http_lo, h->spec->http_hi) ? HANDLER_ROUTING
										 : HANDLER_COUNTED);
}

/* The request on this goroutine that no mux has given to a handler yet; NULL. */
static __always_inline struct gs_open *handler_unrouted(go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_find(s, OPEN_HANDLER, GO_G(ctx));

	return o && o->start_ns && !(o->flags & GS_OPEN_ROUTED) ? o : NULL;
}

/* Whether a handler is one that no user wrote: a mux, or what net/http puts around another. */
static __always_inline bool is_of_http(struct hit *h, __u64 entry)
{
	return is_within(entry, h->spec->mux_lo, h->spec->mux_hi) ||
	       is_within(entry, h->spec->http_lo, h->spec->http_hi);
}

/* A mux gives request o to handler s->open.ptr, by the pattern in s->word: it is the route of
 * the outermost handler that a user wrote. */
SUBPROG int handler_chosen(struct hit *h, struct gs_net_scratch *s, struct gs_open *o)
{
	__u64 outer = o->state == HANDLER_COUNTED ? o->pcs[0] : o->ptr;

	if (!is_of_http(h, outer))
		s->open.ptr = outer;
	o->flags |= GS_OPEN_ROUTED;
	return handler_count(h, s, o);
}

/* net/http.(*ServeMux).ServeHTTP(mux, w, r) behind findHandler: (Handler, pattern, …). */
SUBPROG int handler_route(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = handler_unrouted(ctx, s);
	__u64 entry;

	if (!o || !GO_ARG0(ctx))
		return 0;
	entry = handler_entry(h, GO_ARG0(ctx), GO_ARG1(ctx));
	if (!entry || is_within(entry, h->spec->mux_lo, h->spec->mux_hi))
		return 0;
	s->open.ptr = entry;
	s->word[0] = s->word[1] = 0;
	if (GO_ARG3(ctx) < GS_MAX_PATTERN) {
		s->word[0] = GO_ARG2(ctx);
		s->word[1] = GO_ARG3(ctx);
	}
	handler_chosen(h, s, o);
	return 0;
}

/* net/http.HandlerFunc.ServeHTTP(f, w, r), body, when a mux calls it: f is a
 * pointer to the function. */
SUBPROG int handler_func(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = handler_unrouted(ctx, s);
	__u64 word;

	if (!o || (o->state == HANDLER_COUNTED && !is_of_http(h, o->pcs[0])) ||
	    !read_word(h, &word, GO_SP(ctx)) ||
	    !is_within(word, h->spec->mux_lo, h->spec->mux_hi) ||
	    !read_word(h, &word, GO_ARG0(ctx)))
		return 0;
	s->open.ptr = word;
	s->word[0] = s->word[1] = 0;
	handler_chosen(h, s, o);
	return 0;
}

/* (*conn).serve behind `call serverHandler.ServeHTTP` and `call hijacked`, whose
 * result it has; HTTP/2: runHandler.func1. */
SUBPROG int handler_end(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_find(s, OPEN_HANDLER, GO_G(ctx));

	if (o)
		answered(h, o->start_ns);
	if (o && o->start_ns && o->pcs[ROUTER_IS])
		router_routed(h, ctx, s, o);
	if (o && o->start_ns && o->state == HANDLER_H2C && s->argument && GO_ARG0(ctx) & 0xff) {
		o->start_ns = 0; /* its connection goes on as HTTP/2's */
		return 0;
	}
	if (o && o->start_ns && o->state != HANDLER_COUNTED) {
		s->open.ptr = o->ptr;
		s->word[0] = s->word[1] = 0;
		handler_count(h, s, o);
	}
	if (o && o->start_ns && o->pcs[ROUTER_REQUEST] && !o->pcs[ROUTER_IS])
		router_within(h, ctx, s, o);
	call_over(h, s, o, CALL_HANDLER, false, h->spec->since_requests_ns, bpf_ktime_get_ns());
	return 0;
}

/*
 * google.golang.org/grpc.(*Server).handleStream(s, t, stream) at `call strings.LastIndex`:
 * the method without its slash.  net/http's servers have counted theirs.
 */
SUBPROG int stream_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	__u64 word;

	if (!takes_new(h) || !read_word(h, &word, GO_SP(ctx) + s->argument) ||
	    !read_word(h, &word, word + GS_ITAB_FUN) ||
	    !is_within(word, h->spec->close_lo, h->spec->close_hi))
		return 0;
	gs_add(&h->count->requests_begun, 1);
	open_fresh(&s->open, HANDLER_COUNTED);
	take_goid(h, ctx, &s->open);
	s->open.ptr = s->open.pcs[0] = h->spec->stream_entry;
	s->open.npcs = 1;
	s->open.flags = GS_OPEN_ROUTED;
	s->word[0] = GO_ARG0(ctx);
	s->word[1] = GO_ARG1(ctx);
	s->open.host = host_of_string(s->number);
	call_begin(h, ctx, s, OPEN_HANDLER, CALL_HANDLER);
	return 0;
}

/* (*http2Server).writeStatus(t, stream, status), body: status.Status is a message, which has
 * the code. */
SUBPROG int stream_end(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_find(s, OPEN_HANDLER, GO_G(ctx));
	__u64 message = 0;
	__u32 code = 0;

	if (!o || o->pcs[0] != h->spec->stream_entry)
		return 0;
	answered(h, o->start_ns);
	if (h->spec->status_code && GO_ARG2(ctx) && read_word(h, &message, GO_ARG2(ctx)) && message)
		read_user(h, &code, sizeof(code), message + h->spec->status_code);
	call_over(h, s, o, CALL_HANDLER, code != 0, h->spec->since_requests_ns, bpf_ktime_get_ns());
	return 0;
}

/* google.golang.org/grpc.(*ClientConn).Invoke(cc, ctx, method, …), body. */
SUBPROG int grpc_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	if (!takes_new(h))
		return 0;
	open_fresh(&s->open, NET_NO_PHASE);
	take_goid(h, ctx, &s->open);
	take_pcs(ctx, s, true, 0, 0);
	s->word[0] = GO_ARG3(ctx);
	s->word[1] = GO_ARG4(ctx);
	s->open.host = host_of_string(s->number);
	call_begin(h, ctx, s, OPEN_GRPC, CALL_GRPC);
	return 0;
}

/* Whether an error is io.EOF: where its address is not known, because net/http's client is
 * not linked, by what it points to, the string "EOF". */
SUBPROG bool is_eof(struct hit *h, struct gs_net_scratch *s, __u64 itab, __u64 data)
{
	__u64 text = 0;

	if (h->spec->eof_itab)
		return itab == h->spec->eof_itab && data == h->spec->eof_data;
	if (bpf_probe_read_user(s->word, sizeof(s->word), (void *)data) || s->word[1] != 3 ||
	    bpf_probe_read_user(&text, 3, (void *)s->word[0]))
		return false;
	return text == ('E' | 'O' << 8 | 'F' << 16);
}

#define GRPC_LEVELS 2 /* gRPC wraps no status; an interceptor may */

/* The code of the error in s->word, with which the call on this goroutine fails. */
SUBPROG int grpc_fails(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *call = open_find(s, OPEN_GRPC, GO_G(ctx));
	struct gs_fail_key *k = &s->fail;

	/* of the same calls as their errors: see is_stale() */
	if (!call || !call->start_ns || call->start_ns < h->spec->since_requests_ns)
		return 0;
	k->host = call->host;
	error_read(s, GRPC_LEVELS);
	k->target = s->target;
	k->phase = NET_NO_PHASE;
	k->of = GS_FAIL_GRPC;
#pragma unroll
	for (__u32 i = 0; i < GS_CALL_FRAMES; i++)
		k->pcs[i] = 0;
	fail_count(h, s);
	return 0;
}

static __always_inline void grpc_failed(struct hit *h, go_regs *ctx, struct gs_net_scratch *s,
					__u64 itab, __u64 data)
{
	s->word[0] = itab;
	s->word[1] = data;
	grpc_fails(h, ctx, s);
	call_end(h, ctx, s, OPEN_GRPC, CALL_GRPC, true, h->spec->since_requests_ns);
}

/* google.golang.org/grpc.(*clientStream).finish(cs, err), body: of a call on the
 * goroutine that made it.  Where an interceptor repeats a call, the first time counts.
 * A stream that has come to its end, io.EOF, went well: since grpc-go 1.84 so does every call. */
SUBPROG int grpc_end(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	__u64 itab = GO_ARG1(ctx);

	if (itab && !is_eof(h, s, itab, GO_ARG2(ctx)))
		grpc_failed(h, ctx, s, itab, GO_ARG2(ctx));
	else
		call_end(h, ctx, s, OPEN_GRPC, CALL_GRPC, false, h->spec->since_requests_ns);
	return 0;
}

CALL_PROGRAM(net_call, GROUP_REQUESTS)
{
	switch (s->probe) {
	case PROBE_HANDLER_BEGIN:
		if (!takes_new(h))
			break;
		if (s->argument)
			handler_begin(h, ctx, s);
		else
			stream_serve(h, ctx, s);
		break;
	case PROBE_HANDLER_ROUTE:
		handler_route(h, ctx, s);
		break;
	case PROBE_HANDLER_FUNC:
		handler_func(h, ctx, s);
		break;
	case PROBE_HANDLER_END:
		handler_end(h, ctx, s);
		break;
	case PROBE_STREAM_SERVE:
		stream_begin(h, ctx, s);
		break;
	case PROBE_STREAM_SERVED:
		stream_end(h, ctx, s);
		break;
	case PROBE_GRPC_BEGIN:
		grpc_begin(h, ctx, s);
		break;
	case PROBE_GRPC_END:
		grpc_end(h, ctx, s);
		break;
	case PROBE_GRPC_FAILED:
		/* invoke behind `call newClientStream`: (ClientStream, error);
		 * without a stream nothing is finished */
		if (GO_ARG2(ctx))
			grpc_failed(h, ctx, s, GO_ARG2(ctx), GO_ARG3(ctx));
		break;
	}
}

/* (*Mutex).lockSlow at `call runtime_SemacquireMutex`, and behind it: one
 * wait for the semaphore. */
CALL_PROGRAM(lock_wait, GROUP_REQUESTS)
{
	switch (s->probe) {
	case PROBE_LOCK_BEGIN:
		if (!takes_new(h))
			break;
		open_fresh(&s->open, NET_NO_PHASE);
		take_goid(h, ctx, &s->open);
		take_pcs(ctx, s, false, 0, 0);
		call_begin(h, ctx, s, OPEN_LOCK, CALL_LOCK);
		break;
	case PROBE_LOCK_END:
		call_end(h, ctx, s, OPEN_LOCK, CALL_LOCK, false, h->spec->since_requests_ns);
		break;
	}
}
