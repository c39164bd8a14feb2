// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * HTTP requests: calls by place, and the phases request_write, ttfb and body.
 * Several hits per request: under the budget.
 *
 * A connection of HTTP/1, and a stream of HTTP/2, goes through the states
 * REQUEST_WRITE, TTFB, BODY, NONE; each hit ends one and begins the next.
 */
#include "errors.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * net/http.(*Client).do(c, req), body.  A call has its answer with the first
 * byte of its first response: that hit is there anyway.  Only an error that do
 * returns has a probe of its own; a call by another transport than net/http's
 * has a begin, and an end when it fails.
 */
SUBPROG int http_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	if (!takes_new(h)) {
		struct gs_open *last = open_find(s, OPEN_REQUEST, GO_G(ctx));

		if (last) /* an error to come is this call's */
			last->start_ns = last->state_ns = 0;
		return 0;
	}
	open_fresh(&s->open, NET_NO_PHASE);
	take_pcs(ctx, s, true, h->spec->http_lo, h->spec->http_hi);
	s->open.ptr = GO_ARG1(ctx);
	call_begin(h, ctx, s, OPEN_REQUEST, CALL_HTTP);
	return 0;
}

/*
 * What is under way on a connection or stream, `from`, ends, and `to` begins;
 * nothing when it is not in that state.  Two threads come here at once: the
 * answer to a request may arrive while its writer is about to say that it is
 * written.
 */
#define STATE_FAILED END_FAILED /* in `to`: what ends has failed */
SUBPROG int state_to(struct hit *h, struct gs_net_scratch *s, struct gs_open *o, __u32 from,
		     __u32 to)
{
	__u32 next = to & ~STATE_FAILED;
	__u64 since = o->state_ns, now;

	if (__sync_val_compare_and_swap(&o->state, from, next) != from)
		return 0;
	now = bpf_ktime_get_ns();
	o->state_ns = now;
	if (from < NET_PHASES && !is_stale(h, since, h->spec->since_requests_ns))
		request_phase_end(h, s, o, from | (to & STATE_FAILED), now - since);
	if (from < NET_BODY && next >= NET_BODY)
		answered(h, o->start_ns);
	return 0;
}

/* The call on goroutine g has its answer, at now_ns; before_ns: when that was asked for. */
static __always_inline void call_answered(struct hit *h, struct gs_net_scratch *s, __u64 g,
					  __u64 before_ns, __u64 now_ns)
{
	struct gs_open *call = open_find(s, OPEN_REQUEST, g);

	if (call && call->start_ns && call->start_ns <= before_ns)
		call_over(h, s, call, CALL_HTTP, false, h->spec->since_requests_ns, now_ns);
}

/* The host of a request's URL, which may leave the port to its scheme. */
SUBPROG __u64 host_of_url(struct hit *h, struct gs_net_scratch *s, __u64 url_at)
{
	__u64 url, scheme = 0;

	if (!read_word(h, &url, url_at) || !url)
		return 0;
	if (!read_word(h, &scheme, url + h->spec->url_scheme + 8) ||
	    !read_user(h, s->word, sizeof(s->word), url + h->spec->url_host))
		return 0;
	s->host_flags = scheme == GS_HTTPS_LEN || scheme == GS_WSS_LEN ? GS_HOST_TLS : 0;
	url = host_of_string(s->number);
	s->host_flags = 0;
	return url;
}

/* Whether a connection has carried requests before. */
static __always_inline bool is_reused(struct hit *h, __u64 conn)
{
	__u8 reused = 0;

	if (h->spec->pconn_reused)
		read_user(h, &reused, sizeof(reused), conn + h->spec->pconn_reused);
	return reused & 1;
}

/* A connection, o, fails in a phase: its call may be about to say so. */
SUBPROG int conn_fails(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, struct gs_open *o)
{
	__u64 conn = GO_ARG0(ctx);
	struct gs_open *call;

	call = bpf_map_lookup_elem(&opens, key_of(s, &s->other_key, OPEN_REQUEST, o->caller));
	if (!call || call->caller != conn)
		return 0;
	call->goid = o->host;
	call->state = o->state;
	if (is_reused(h, conn))
		call->flags |= GS_OPEN_REUSED;
	return 0;
}

/* Why the call on this goroutine fails, and in which phase: its connection may be over already. */
SUBPROG int call_fails(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, struct gs_open *call)
{
	__u64 conn = call->caller, host = call->goid;
	struct gs_fail_key *k = &s->fail;
	struct gs_open *o;

	s->word[0] = GO_ARG0(ctx);
	s->word[1] = GO_ARG1(ctx);
	error_read(s, GS_ERR_LEVELS);
	k->target = s->target;
	k->phase = call->state;
	k->of = call->flags & GS_OPEN_REUSED ? GS_FAIL_REUSED : GS_FAIL_CALL;
#pragma unroll
	for (__u32 i = 0; i < GS_CALL_FRAMES; i++)
		k->pcs[i] = call->pcs[i];
	o = conn ? open_find(s, OPEN_CONN, conn) : NULL;
	if (o && o->caller == GO_G(ctx) && o->state < NET_NO_PHASE) {
		k->phase = o->state;
		k->of = is_reused(h, conn) ? GS_FAIL_REUSED : GS_FAIL_CALL;
		host = o->host;
	}
	k->host = host ? host : host_of_url(h, s, call->ptr + h->spec->request_url);
	fail_count(h, s);
	return 0;
}

/* (*Client).do's closure that makes its errors, body: the call on this goroutine fails.  Then
 * urlErrorOp, body, where do itself may come from as well. */
SUBPROG int call_failed(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *call = open_find(s, OPEN_REQUEST, GO_G(ctx));
	struct gs_sum *row;

	if (!call || !call->state_ns) {
		if (s->argument)
			gs_add(&h->count->unpaired, 1);
		return 0;
	}
	/* of the same calls as their errors: see is_stale() */
	if (s->argument && call->state_ns >= h->spec->since_requests_ns)
		call_fails(h, ctx, s, call);
	call = open_find(s, OPEN_REQUEST, GO_G(ctx)); /* for the verifier */
	if (!call)
		return 0;
	if (call->start_ns) {
		call_over(h, s, call, CALL_HTTP, true, h->spec->since_requests_ns,
			  bpf_ktime_get_ns());
	} else if (!is_stale(h, call->state_ns, h->spec->since_requests_ns)) {
		/* it was answered, but not with a response: a bad header, a redirect to nowhere */
		row = call_sum(s, call, CALL_HTTP);
		if (row)
			gs_add(&row->errors, 1);
	}
	call->state_ns = 0;
	return 0;
}

/* The first byte of the response. */
static __always_inline void first_byte(struct hit *h, struct gs_net_scratch *s, struct gs_open *o)
{
	state_to(h, s, o, NET_REQUEST_WRITE, NET_TTFB);
	state_to(h, s, o, NET_TTFB, NET_BODY);
}

/* A request, s->open.ptr, has got its connection or stream.  Its place is that
 * of the call on this goroutine, where that was seen.  last: what is known of
 * that connection or stream; NULL. */
static __always_inline void carry_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s,
					__u32 kind, __u64 host, struct gs_open *last)
{
	struct gs_open *call = open_find(s, OPEN_REQUEST, GO_G(ctx)), *o = &s->open;

	o->host = host;
	if (last && last->host == host)
		o->row = last->row;
	o->caller = GO_G(ctx);
	if (call && call->start_ns) {
		call->caller = GO_ARG0(ctx);
		call->state = NET_NO_PHASE;
		call->flags &= ~GS_OPEN_REUSED;
		call->goid = 0;
		o->npcs = call->npcs;
#pragma unroll
		for (__u32 i = 0; i < GS_CALL_FRAMES; i++)
			o->pcs[i] = call->pcs[i];
	}
	open_renew(h, s, last, kind, GO_ARG0(ctx));
	gs_add(&h->count->requests_begun, 1);
}

/* What is remembered of a connection or stream, the one found last, was of another request. */
static __always_inline void carry_forget(struct hit *h, struct gs_net_scratch *s,
					 struct gs_open *last)
{
	/* A response without a body ends nothing: what follows its header does. */
	if (last->state < NET_BODY)
		answered(h, last->start_ns);
	if (!takes_new(h))
		open_delete(s);
}

/*
 * A connection has one host as long as it lives, and while its probe is on no
 * connection ends unseen: the number of its own host is still right, if it is
 * of since then and has its row: without, its name may have made room too.
 */
static __always_inline bool knows_host(const struct hit *h, const struct gs_open *last)
{
	return last && last->flags & GS_OPEN_OWN_HOST && h->spec->flags & GS_SPEC_CLOSES &&
	       last->start_ns >= h->spec->since_requests_ns && keeps_row(last);
}

/* Where a request was made; 0: by Client.do.  (By itself for the sake of the stack.) */
SUBPROG int direct_place(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	open_fresh(&s->open, NET_NO_PHASE);
	take_pcs(ctx, s, true, h->spec->http_lo, h->spec->http_hi);
#pragma unroll
	for (__u32 i = 0; i < GS_CALL_FRAMES; i++)
		if (s->open.pcs[i] >= h->spec->do_lo && s->open.pcs[i] < h->spec->do_hi)
			return 0;
	return 1;
}

/*
 * Who calls RoundTrip itself (httputil.ReverseProxy, an API's own transport) comes by no
 * Client.do: then its call begins where it has its connection.  A redirect does.
 */
SUBPROG int direct_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *call = open_find(s, OPEN_REQUEST, GO_G(ctx));

	if (call && call->start_ns >= h->spec->since_requests_ns && call->start_ns &&
	    !(call->flags & GS_OPEN_DIRECT))
		return 0;
	if (!direct_place(h, ctx, s) ||
	    !read_user(h, &s->open.ptr, sizeof(s->open.ptr), GO_ARG1(ctx)))
		return 0;
	s->open.flags = GS_OPEN_DIRECT;
	call_begin(h, ctx, s, OPEN_REQUEST, CALL_HTTP);
	return 0;
}

/* The connection of such a call, o, is closed before its answer. */
static __always_inline void direct_failed(struct hit *h, struct gs_net_scratch *s,
					  struct gs_open *o)
{
	struct gs_open *call = open_find(s, OPEN_REQUEST, o->caller);

	if (call && call->start_ns && call->flags & GS_OPEN_DIRECT && call->start_ns <= o->start_ns)
		call_over(h, s, call, CALL_HTTP, true, h->spec->since_requests_ns,
			  bpf_ktime_get_ns());
}

/* net/http.(*persistConn).roundTrip(pc, req), body; req begins with the
 * *Request.  Through a proxy a plain request's connection names no host. */
SUBPROG int conn_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *last = open_find(s, OPEN_CONN, GO_ARG0(ctx));
	__u64 host;
	bool known;

	if (last)
		carry_forget(h, s, last);
	if (!takes_new(h))
		return 0;
	direct_begin(h, ctx, s);
	open_fresh(&s->open, NET_REQUEST_WRITE);
	known = knows_host(h, last);
	if (!(known && h->spec->flags & GS_SPEC_ALWAYS) &&
	    !read_user(h, &s->open.ptr, sizeof(s->open.ptr), GO_ARG1(ctx)))
		return 0;
	host = known ? last->host : host_at(h, s, GO_ARG0(ctx) + h->spec->pconn_addr);
	if (host)
		s->open.flags = GS_OPEN_OWN_HOST;
	else
		host = host_of_url(h, s, s->open.ptr + h->spec->request_url);
	carry_begin(h, ctx, s, OPEN_CONN, host, last);
	return 0;
}

/* The connection or stream whose address is in a slot of this frame. */
static __always_inline struct gs_open *open_in_slot(struct hit *h, go_regs *ctx,
						    struct gs_net_scratch *s, __u32 kind,
						    __u64 slot, __u64 *addr)
{
	return read_word(h, addr, GO_SP(ctx) + slot) ? open_find(s, kind, *addr) : NULL;
}

/* (*persistConn).writeLoop behind Flush, at `if err != nil`.  A request that
 * cannot be written ends when its connection is closed: that comes next. */
SUBPROG int conn_written(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o;
	__u64 conn;

	if (GO_ARG0(ctx) || !GO_EQUAL(ctx))
		return 0;
	o = open_in_slot(h, ctx, s, OPEN_CONN, s->argument, &conn);
	if (o)
		state_to(h, s, o, NET_REQUEST_WRITE, NET_TTFB);
	return 0;
}

/* (*persistConn).readResponse(pc, rc, trace), body: the first byte is there. */
SUBPROG int conn_first_byte(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_find(s, OPEN_CONN, GO_ARG0(ctx));

	if (!o || o->state >= NET_BODY)
		return 0;
	first_byte(h, s, o);
	call_answered(h, s, o->caller, o->start_ns, o->state_ns);
	return 0;
}

/* (*persistConn).close(pc, err), body: also how a connection that is not to
 * be used again ends, so it says nothing of a body. */
SUBPROG int conn_closed(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_find(s, OPEN_CONN, GO_ARG0(ctx));
	__u32 state;

	if (!o)
		return 0;
	state = o->state;
	if (state < NET_BODY)
		conn_fails(h, ctx, s, o);
	if (state != NET_NO_PHASE)
		state_to(h, s, o, state, NET_NO_PHASE | (state != NET_BODY ? STATE_FAILED : 0));
	if (state < NET_BODY)
		direct_failed(h, s, o);
	key_of(s, &s->key, OPEN_CONN, GO_ARG0(ctx));
	open_delete(s);
	return 0;
}

/* Which of the closure's variables was a connection last, by target. */
static volatile __u32 body_variable[GS_MAX_TARGETS];

/*
 * (*persistConn).readLoop.func4(err), body: the body was read to its end (or
 * closed there), or could not be.  The connection is one of the three
 * variables of the closure; which one differs by release.
 */
SUBPROG int conn_body_end(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	bool eof = GO_ARG0(ctx) == h->spec->eof_itab && GO_ARG1(ctx) == h->spec->eof_data;
	__u32 i, target = s->target & (GS_MAX_TARGETS - 1), k = body_variable[target];
	struct gs_open *o;
	__u64 addr;

#pragma unroll
	for (i = 0; i < 3; i++, k = k < 2 ? k + 1 : 0) {
		if (!read_word(h, &addr, GO_CLOSURE(ctx) + 8 + 8 * k))
			return 0;
		o = open_find(s, OPEN_CONN, addr);
		if (!o || o->state != NET_BODY)
			continue;
		if (i)
			body_variable[target] = k;
		state_to(h, s, o, NET_BODY,
			 NET_NO_PHASE | (GO_ARG0(ctx) && !eof ? STATE_FAILED : 0));
		break;
	}
	return 0;
}

CALL_PROGRAM(net_request, GROUP_REQUESTS)
{
	switch (s->probe) {
	case PROBE_CALL_BEGIN:
		http_begin(h, ctx, s);
		break;
	case PROBE_CALL_FAILED:
		call_failed(h, ctx, s);
		break;
	case PROBE_CONN_BEGIN:
		conn_begin(h, ctx, s);
		break;
	case PROBE_CONN_WRITTEN:
		conn_written(h, ctx, s);
		break;
	case PROBE_CONN_FIRST_BYTE:
		conn_first_byte(h, ctx, s);
		break;
	case PROBE_CONN_CLOSED:
		conn_closed(h, ctx, s);
		break;
	case PROBE_CONN_BODY_END:
		conn_body_end(h, ctx, s);
		break;
	}
}

/* --- HTTP/2 ------------------------------------------------------------------ */

/* (*clientStream).encodeAndWriteHeaders(cs, req), body: on a goroutine of its own. */
SUBPROG int stream_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *last = open_find(s, OPEN_STREAM, GO_ARG0(ctx));

	if (last)
		carry_forget(h, s, last);
	if (!takes_new(h))
		return 0;
	open_fresh(&s->open, NET_REQUEST_WRITE);
	s->open.ptr = GO_ARG1(ctx);
	carry_begin(h, ctx, s, OPEN_STREAM, host_of_url(h, s, s->open.ptr + s->argument), last);
	return 0;
}

/* (*clientStream).writeRequest where it waits for the end of the stream; it comes back there, and
 * comes there, too, when the request is given up before all of its body is sent. */
SUBPROG int stream_written(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	__u64 stream, field = GS_SENT_FIELD(s->argument);
	struct gs_open *o =
		open_in_slot(h, ctx, s, OPEN_STREAM, GS_SENT_SLOT(s->argument), &stream);
	__u8 sent = 1;

	if (!o)
		return 0;
	if (field && o->state == NET_REQUEST_WRITE)
		read_user(h, &sent, sizeof(sent), stream + field);
	if (sent)
		state_to(h, s, o, NET_REQUEST_WRITE, NET_TTFB);
	return 0;
}

/* (*clientConnReadLoop).handleResponse(rl, cs, f), body: informational
 * responses (1xx) come here too. */
SUBPROG int stream_first_byte(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_find(s, OPEN_STREAM, GO_ARG1(ctx));

	if (o)
		first_byte(h, s, o);
	return 0;
}

/* (*clientStream).cleanupWriteRequest(cs, err), body: the stream is over; err
 * is that of the request.  An error made by errors.New, as io.EOF is, only says
 * that the caller has closed or cancelled a body that was there. */
SUBPROG int stream_end(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	struct gs_open *o = open_find(s, OPEN_STREAM, GO_ARG0(ctx));
	__u32 state;
	bool closed;

	if (!o)
		return 0;
	state = o->state;
	closed = state == NET_BODY && GO_ARG1(ctx) == h->spec->eof_itab;
	if (state != NET_NO_PHASE)
		state_to(h, s, o, state,
			 NET_NO_PHASE | (GO_ARG1(ctx) && !closed ? STATE_FAILED : 0));
	open_delete(s);
	return 0;
}

CALL_PROGRAM(net_stream, GROUP_REQUESTS)
{
	switch (s->probe) {
	case PROBE_STREAM_BEGIN:
		stream_begin(h, ctx, s);
		break;
	case PROBE_STREAM_WRITTEN:
		stream_written(h, ctx, s);
		break;
	case PROBE_STREAM_FIRST_BYTE:
		stream_first_byte(h, ctx, s);
		break;
	case PROBE_STREAM_ANSWERED:
		/* (*ClientConn).RoundTrip behind its select, on the caller's
		 * goroutine: the header is there, or the call will fail */
		call_answered(h, s, GO_G(ctx), ~0ull, bpf_ktime_get_ns());
		break;
	case PROBE_STREAM_END:
		stream_end(h, ctx, s);
		break;
	}
}
