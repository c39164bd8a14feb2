// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * HTTP requests: calls by place, and the phases request_write, ttfb and body.
 * Several hits per request: under the budget.
 *
 * A connection of HTTP/1, and a stream of HTTP/2, goes through the states
 * REQUEST_WRITE, TTFB, BODY, NONE; each hit ends one and begins the next.
 */
#include "calls.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* net/http.(*Client).do(c, req), body. */
static __always_inline void http_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	if (!takes_new(h))
		return;
	open_fresh(&s->open, GS_PHASE_NONE);
	take_pcs(ctx, s, true, h->spec->http_lo, h->spec->http_hi);
	s->open.ptr = GO_ARG1(ctx);
	call_begin(h, ctx, s, GS_OPEN_REQUEST, GS_CALL_HTTP);
}

/*
 * What is under way on a connection or stream, `from`, ends, and `next` begins;
 * nothing when it is not in that state.  Two threads come here at once: the
 * answer to a request may arrive while its writer is about to say that it is
 * written.
 */
static __always_inline void state_to(struct hit *h, struct gs_net_scratch *s, struct gs_open *o, __u32 from,
				     __u32 next, bool failed)
{
	__u64 since = o->state_ns, now;

	if (__sync_val_compare_and_swap(&o->state, from, next) != from)
		return;
	now = bpf_ktime_get_ns();
	o->state_ns = now;
	if (from < GS_PHASE_MAX && !is_stale(h, since, h->spec->since_requests_ns))
		phase_end(h, s, from, o->host, now - since, failed);
	if (from < GS_PHASE_BODY && next >= GS_PHASE_BODY)
		answered(h, o->start_ns);
}

/* The first byte of the response. */
static __always_inline void first_byte(struct hit *h, struct gs_net_scratch *s, struct gs_open *o)
{
	state_to(h, s, o, GS_PHASE_REQUEST_WRITE, GS_PHASE_TTFB, false);
	state_to(h, s, o, GS_PHASE_TTFB, GS_PHASE_BODY, false);
}

/* A request, s->open.ptr, has got its connection or stream.  Its place is that
 * of the call on this goroutine, where that was seen.  last: what is known of
 * that connection or stream; NULL. */
static __always_inline void carry_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, __u32 kind,
					__u64 host, struct gs_open *last)
{
	struct gs_open *call = open_find(h, s, GS_OPEN_REQUEST, GO_G(ctx)), *o = &s->open;
	__u32 i;

	o->host = host;
	if (call && call->start_ns) {
		o->npcs = call->npcs;
#pragma unroll
		for (i = 0; i < GS_CALL_FRAMES; i++)
			o->pcs[i] = call->pcs[i];
	}
	open_renew(h, s, last, kind, GO_ARG0(ctx));
	gs_add(&h->count->requests_begun, 1);
}

/* What is remembered of a connection or stream, the one found last, was of
 * another request. */
static __always_inline void carry_forget(struct hit *h, struct gs_net_scratch *s, struct gs_open *last)
{
	/* A response without a body ends nothing: what follows its header does. */
	if (last->state < GS_PHASE_BODY)
		answered(h, last->start_ns);
	if (!takes_new(h))
		open_delete(s);
}

/* The host of a request's URL. */
static __always_inline __u64 host_of_url(struct hit *h, struct gs_net_scratch *s, __u64 url_at)
{
	if (!read_user(h, &s->word[0], sizeof(s->word[0]), url_at) || !s->word[0])
		return 0;
	return host_at(h, s, s->word[0] + h->spec->url_host);
}

/*
 * A connection has one host as long as it lives, and while its probe is on no
 * connection ends unseen: the number of its own host is still right, if it is
 * of since then.
 */
static __always_inline bool knows_host(const struct hit *h, const struct gs_open *last)
{
	return last && last->flags & GS_OPEN_OWN_HOST && h->spec->flags & GS_SPEC_CLOSES &&
	       last->start_ns >= h->spec->since_requests_ns;
}

/* net/http.(*persistConn).roundTrip(pc, req), body; req begins with the
 * *Request.  Through a proxy a plain request's connection names no host. */
static __always_inline void conn_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *last = open_find(h, s, GS_OPEN_CONN, GO_ARG0(ctx));
	__u64 host;

	if (last)
		carry_forget(h, s, last);
	if (!takes_new(h))
		return;
	open_fresh(&s->open, GS_PHASE_REQUEST_WRITE);
	if (!read_user(h, &s->open.ptr, sizeof(s->open.ptr), GO_ARG1(ctx)))
		return;
	host = knows_host(h, last) ? last->host : host_at(h, s, GO_ARG0(ctx) + h->spec->pconn_addr);
	if (host)
		s->open.flags = GS_OPEN_OWN_HOST;
	else
		host = host_of_url(h, s, s->open.ptr + h->spec->request_url);
	carry_begin(h, ctx, s, GS_OPEN_CONN, host, last);
}

/* The connection or stream whose address is in a slot of this frame. */
static __always_inline struct gs_open *open_in_slot(struct hit *h, go_regs *ctx, struct gs_net_scratch *s,
						    __u32 kind)
{
	if (!read_user(h, &s->word[0], sizeof(s->word[0]), GO_SP(ctx) + h->argument))
		return NULL;
	return open_find(h, s, kind, s->word[0]);
}

/* (*persistConn).writeLoop at `pc.writeErrCh <- err`: chansend1(c, &err). */
static __always_inline void conn_written(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_in_slot(h, ctx, s, GS_OPEN_CONN);

	if (!o || o->state != GS_PHASE_REQUEST_WRITE)
		return;
	s->word[0] = 0;
	read_user(h, &s->word[0], sizeof(s->word[0]), GO_ARG1(ctx));
	state_to(h, s, o, GS_PHASE_REQUEST_WRITE, s->word[0] ? GS_PHASE_NONE : GS_PHASE_TTFB, s->word[0]);
}

/* (*persistConn).readLoop at `call readResponse`: the first byte is there. */
static __always_inline void conn_first_byte(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_find(h, s, GS_OPEN_CONN, GO_ARG0(ctx));

	if (o)
		first_byte(h, s, o);
}

/* (*persistConn).close(pc, err), body: also how a connection that is not to
 * be used again ends, so it says nothing of a body. */
static __always_inline void conn_closed(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_find(h, s, GS_OPEN_CONN, GO_ARG0(ctx));
	__u32 state;

	if (!o)
		return;
	state = o->state;
	if (state != GS_PHASE_NONE)
		state_to(h, s, o, state, GS_PHASE_NONE, state != GS_PHASE_BODY);
	open_delete(s);
}

/* Which of the closure's variables was a connection last, by target. */
static volatile __u32 body_variable[GS_MAX_TARGETS];

/*
 * (*persistConn).readLoop.func4(err), body: the body was read to its end (or
 * closed there), or could not be.  The connection is one of the three
 * variables of the closure; which one differs by release.
 */
static __always_inline void conn_body_end(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	bool eof = GO_ARG0(ctx) == h->spec->eof_itab && GO_ARG1(ctx) == h->spec->eof_data;
	__u32 i, k, target = h->target & (GS_MAX_TARGETS - 1), first = body_variable[target];
	struct gs_open *o;

	if (!read_user(h, s->open.pcs, 3 * sizeof(__u64), GO_CLOSURE(ctx) + 8))
		return;
#pragma unroll
	for (i = 0; i < 3; i++) {
		k = first + i < 3 ? first + i : first + i - 3;
		barrier_var(k);
		o = open_find(h, s, GS_OPEN_CONN, s->open.pcs[k & 3]);	/* masked for the verifier */
		if (!o || o->state != GS_PHASE_BODY)
			continue;
		if (i)
			body_variable[target] = k;
		state_to(h, s, o, GS_PHASE_BODY, GS_PHASE_NONE, GO_ARG0(ctx) && !eof);
		break;
	}
}

SEC("uprobe")
int net_request(go_regs *ctx)
{
	struct gs_net_scratch *s;
	struct hit h;
	__u32 probe;

	s = call_hit(&h, ctx, GS_ACTIVE_REQUESTS, &probe);
	if (!s)
		return 0;
	switch (probe) {
	case GS_PROBE_CALL_BEGIN:
		http_begin(&h, ctx, s);
		break;
	case GS_PROBE_CALL_END:
		/* (*Client).do behind `call send`: (resp, didTimeout, error) */
		call_end(&h, ctx, s, GS_OPEN_REQUEST, GS_CALL_HTTP, GO_ARG2(ctx),
			 h.spec->since_requests_ns);
		break;
	case GS_PROBE_CONN_BEGIN:
		conn_begin(&h, ctx, s);
		break;
	case GS_PROBE_CONN_WRITTEN:
		conn_written(&h, ctx, s);
		break;
	case GS_PROBE_CONN_FIRST_BYTE:
		conn_first_byte(&h, ctx, s);
		break;
	case GS_PROBE_CONN_CLOSED:
		conn_closed(&h, ctx, s);
		break;
	case GS_PROBE_CONN_BODY_END:
		conn_body_end(&h, ctx, s);
		break;
	}
	return 0;
}

/* --- HTTP/2 ------------------------------------------------------------------ */

/* (*clientStream).doRequest(cs, req, …), body: on a goroutine of its own. */
static __always_inline void stream_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *last = open_find(h, s, GS_OPEN_STREAM, GO_ARG0(ctx));

	if (last)
		carry_forget(h, s, last);
	if (!takes_new(h))
		return;
	open_fresh(&s->open, GS_PHASE_REQUEST_WRITE);
	s->open.ptr = GO_ARG1(ctx);
	carry_begin(h, ctx, s, GS_OPEN_STREAM, host_of_url(h, s, s->open.ptr + h->argument), last);
}

/* (*clientStream).writeRequest where it waits for the end of the stream; it
 * comes back there. */
static __always_inline void stream_written(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_in_slot(h, ctx, s, GS_OPEN_STREAM);

	if (o)
		state_to(h, s, o, GS_PHASE_REQUEST_WRITE, GS_PHASE_TTFB, false);
}

/* (*clientConnReadLoop).handleResponse(rl, cs, f), body: informational
 * responses (1xx) come here too. */
static __always_inline void stream_first_byte(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_find(h, s, GS_OPEN_STREAM, GO_ARG1(ctx));

	if (o)
		first_byte(h, s, o);
}

/* (*clientStream).cleanupWriteRequest(cs, err), body: the stream is over; err
 * is that of the request.  An error made by errors.New, as io.EOF is, only says
 * that the caller has closed or cancelled a body that was there. */
static __always_inline void stream_end(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_find(h, s, GS_OPEN_STREAM, GO_ARG0(ctx));
	__u32 state;
	bool closed;

	if (!o)
		return;
	state = o->state;
	closed = state == GS_PHASE_BODY && GO_ARG1(ctx) == h->spec->eof_itab;
	if (state != GS_PHASE_NONE)
		state_to(h, s, o, state, GS_PHASE_NONE, GO_ARG1(ctx) && !closed);
	open_delete(s);
}

SEC("uprobe")
int net_stream(go_regs *ctx)
{
	struct gs_net_scratch *s;
	struct hit h;
	__u32 probe;

	s = call_hit(&h, ctx, GS_ACTIVE_REQUESTS, &probe);
	if (!s)
		return 0;
	switch (probe) {
	case GS_PROBE_STREAM_BEGIN:
		stream_begin(&h, ctx, s);
		break;
	case GS_PROBE_STREAM_WRITTEN:
		stream_written(&h, ctx, s);
		break;
	case GS_PROBE_STREAM_FIRST_BYTE:
		stream_first_byte(&h, ctx, s);
		break;
	case GS_PROBE_STREAM_END:
		stream_end(&h, ctx, s);
		break;
	}
	return 0;
}
