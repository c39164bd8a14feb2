// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Calls on one goroutine: HTTP handlers, gRPC client calls, waits for a lock. */
#include "calls.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * net/http.HandlerFunc.ServeHTTP(f, w, r), body, when the mux or the server
 * calls it: f is a pointer to the function.  One that another handler calls
 * (a middleware) is a part of that one.
 */
static __always_inline void handler_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	__u64 caller;

	if (!takes_new(h) || !read_user(h, &s->word[0], sizeof(s->word[0]), GO_SP(ctx)))
		return;
	caller = s->word[0];
	if (!(caller >= h->spec->mux_lo && caller < h->spec->mux_hi) &&
	    !(caller >= h->spec->server_lo && caller < h->spec->server_hi))
		return;
	open_fresh(&s->open, GS_PHASE_NONE);
	take_goid(h, ctx, &s->open);
	if (!read_user(h, &s->open.pcs[0], sizeof(s->open.pcs[0]), GO_ARG0(ctx)))
		return;
	s->open.npcs = 1;
	call_begin(h, ctx, s, GS_OPEN_HANDLER, GS_CALL_HANDLER);
	gs_add(&h->count->requests_begun, 1);
}

/* (*conn).serve behind `call serverHandler.ServeHTTP`, at `call hijacked`;
 * HTTP/2: runHandler.func1. */
static __always_inline void handler_end(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_find(h, s, GS_OPEN_HANDLER, GO_G(ctx));

	if (o)
		answered(h, o->start_ns);
	call_over(h, s, o, GS_CALL_HANDLER, false, h->spec->since_requests_ns);
}

/* google.golang.org/grpc.(*ClientConn).Invoke(cc, ctx, method, …), body. */
static __always_inline void grpc_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	if (!takes_new(h))
		return;
	open_fresh(&s->open, GS_PHASE_NONE);
	take_goid(h, ctx, &s->open);
	take_pcs(ctx, s, true, 0, 0);
	s->word[0] = GO_ARG3(ctx);
	s->word[1] = GO_ARG4(ctx);
	s->open.host = host_of_string(h, s);
	call_begin(h, ctx, s, GS_OPEN_GRPC, GS_CALL_GRPC);
}

SEC("uprobe")
int net_call(go_regs *ctx)
{
	struct gs_net_scratch *s;
	struct hit h;
	__u32 probe;

	s = call_hit(&h, ctx, GS_ACTIVE_REQUESTS, &probe);
	if (!s)
		return 0;
	switch (probe) {
	case GS_PROBE_HANDLER_BEGIN:
		handler_begin(&h, ctx, s);
		break;
	case GS_PROBE_HANDLER_END:
		handler_end(&h, ctx, s);
		break;
	case GS_PROBE_GRPC_BEGIN:
		grpc_begin(&h, ctx, s);
		break;
	case GS_PROBE_GRPC_END:
		/* (*clientStream).finish(cs, err), body: of a call on the
		 * goroutine that made it.  Where an interceptor repeats a call,
		 * the first time counts. */
		call_end(&h, ctx, s, GS_OPEN_GRPC, GS_CALL_GRPC, GO_ARG1(ctx),
			 h.spec->since_requests_ns);
		break;
	case GS_PROBE_GRPC_FAILED:
		/* invoke behind `call newClientStream`: (ClientStream, error);
		 * without a stream nothing is finished */
		if (GO_ARG2(ctx))
			call_end(&h, ctx, s, GS_OPEN_GRPC, GS_CALL_GRPC, true,
				 h.spec->since_requests_ns);
		break;
	}
	return 0;
}

/* (*Mutex).lockSlow at `call runtime_SemacquireMutex`, and behind it: one
 * wait for the semaphore. */
SEC("uprobe")
int lock_wait(go_regs *ctx)
{
	struct gs_net_scratch *s;
	struct hit h;
	__u32 probe;

	s = call_hit(&h, ctx, GS_ACTIVE_REQUESTS, &probe);
	if (!s)
		return 0;
	switch (probe) {
	case GS_PROBE_LOCK_BEGIN:
		if (!takes_new(&h))
			break;
		open_fresh(&s->open, GS_PHASE_NONE);
		take_goid(&h, ctx, &s->open);
		take_pcs(ctx, s, false, 0, 0);
		call_begin(&h, ctx, s, GS_OPEN_LOCK, GS_CALL_LOCK);
		break;
	case GS_PROBE_LOCK_END:
		call_end(&h, ctx, s, GS_OPEN_LOCK, GS_CALL_LOCK, false,
			 h.spec->since_requests_ns);
		break;
	}
	return 0;
}
