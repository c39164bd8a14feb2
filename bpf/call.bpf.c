// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Calls on one goroutine: HTTP handlers, gRPC client calls, waits for a lock. */
#include "calls.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * net/http.HandlerFunc.ServeHTTP(f, w, r), body, when the mux or the server
 * calls it: f is a pointer to the function.  One that another handler calls
 * (a middleware) is a part of that one.
 */
SUBPROG int handler_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	__u64 word;

	if (!takes_new(h) || !read_word(h, &word, GO_SP(ctx)))
		return 0;
	if (!(word >= h->spec->mux_lo && word < h->spec->mux_hi) &&
	    !(word >= h->spec->server_lo && word < h->spec->server_hi))
		return 0;
	if (!read_word(h, &word, GO_ARG0(ctx)))
		return 0;
	open_fresh(&s->open, NET_NO_PHASE);
	take_goid(h, ctx, &s->open);
	s->open.pcs[0] = word;
	s->open.npcs = 1;
	call_begin(h, ctx, s, OPEN_HANDLER, CALL_HANDLER);
	gs_add(&h->count->requests_begun, 1);
	return 0;
}

/* (*conn).serve behind `call serverHandler.ServeHTTP` and `call hijacked`;
 * HTTP/2: runHandler.func1. */
SUBPROG int handler_end(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_find(s, OPEN_HANDLER, GO_G(ctx));

	if (o)
		answered(h, o->start_ns);
	call_over(h, o, false, h->spec->since_requests_ns, bpf_ktime_get_ns());
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
	s->open.host = host_of_string(h, s);
	call_begin(h, ctx, s, OPEN_GRPC, CALL_GRPC);
	return 0;
}

CALL_PROGRAM(net_call, GROUP_REQUESTS)
{
	switch (s->probe) {
	case PROBE_HANDLER_BEGIN:
		handler_begin(h, ctx, s);
		break;
	case PROBE_HANDLER_END:
		handler_end(h, ctx, s);
		break;
	case PROBE_GRPC_BEGIN:
		grpc_begin(h, ctx, s);
		break;
	case PROBE_GRPC_END:
		/* (*clientStream).finish(cs, err), body: of a call on the
		 * goroutine that made it.  Where an interceptor repeats a call,
		 * the first time counts. */
		call_end(h, ctx, s, OPEN_GRPC, GO_ARG1(ctx), h->spec->since_requests_ns);
		break;
	case PROBE_GRPC_FAILED:
		/* invoke behind `call newClientStream`: (ClientStream, error);
		 * without a stream nothing is finished */
		if (GO_ARG2(ctx))
			call_end(h, ctx, s, OPEN_GRPC, true, h->spec->since_requests_ns);
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
		call_end(h, ctx, s, OPEN_LOCK, false, h->spec->since_requests_ns);
		break;
	}
}
