// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Dials: look-up, connect, TLS handshake, and waits for a connection where
 * MaxConnsPerHost is reached.  All rare: a connection that is used again hits
 * none of them.
 */
#include "errors.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SUBPROG int dial_begin(struct hit *h, struct gs_net_scratch *s, __u64 addr, __u32 phase, __u64 host)
{
	open_fresh(&s->open, phase);
	s->open.host = host;
	open_put(h, s, phase == NET_POOL_WAIT ? OPEN_POOL : OPEN_DIAL, addr);
	return 0;
}

/* A dial to a host has failed with the error in s->word. */
SUBPROG int dial_fails(struct hit *h, struct gs_net_scratch *s, __u32 phase, __u64 host)
{
	struct gs_fail_key *k = &s->fail;

	error_read(s, GS_ERR_LEVELS);
	k->target = s->target;
	k->phase = phase;
	k->host = host;
	k->of = GS_FAIL_DIAL;
#pragma unroll
	for (__u32 i = 0; i < GS_CALL_FRAMES; i++)
		k->pcs[i] = 0;
	fail_count(h, s);
	return 0;
}

/* A phase of a dial ends. */
static __always_inline void phase_end(struct hit *h, struct gs_net_scratch *s, __u32 phase,
				      __u64 host, __u64 ns, bool failed)
{
	__u32 first = phase_rows(s->number, GS_PHASES_DIAL, host);

	sum_end(h, row_behind(first, phase - GS_PHASES_FIRST(GS_PHASES_DIAL)), ns, failed);
}

/* Ends what began in that phase; its host, or 0.  failed: with the error in s->word, where
 * there is one: not in the pool. */
SUBPROG __u64 dial_end(struct hit *h, struct gs_net_scratch *s, __u64 addr, __u32 phase,
		       bool failed)
{
	struct gs_open *o = open_find(s, phase == NET_POOL_WAIT ? OPEN_POOL : OPEN_DIAL, addr);
	__u64 host;

	if (!o || o->state != phase) {
		gs_add(&h->count->unpaired, 1);
		return 0;
	}
	host = o->host;
	if (!is_stale(h, o->start_ns, h->spec->since_rare_ns)) {
		phase_end(h, s, phase, host, bpf_ktime_get_ns() - o->start_ns, failed);
		if (failed && phase != NET_POOL_WAIT)
			dial_fails(h, s, phase, host);
	}
	open_delete(s);
	return host;
}

/* The same, with an error, which may be nil. */
static __always_inline __u64 dial_end_with(struct hit *h, struct gs_net_scratch *s, __u64 addr,
					   __u32 phase, __u64 itab, __u64 data)
{
	s->word[0] = itab;
	s->word[1] = data;
	return dial_end(h, s, addr, phase, itab);
}

/* net.(*Resolver).internetAddrList(r, ctx, net, addr), body. */
SUBPROG int dns_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	s->word[0] = GO_ARG5(ctx);
	s->word[1] = GO_ARG6(ctx);
	dial_begin(h, s, GO_G(ctx), NET_DNS, host_of_string(s->number));
	return 0;
}

/* The first three bytes of the network's name. */
static __always_inline bool is_tcp(struct hit *h, struct gs_net_scratch *s, __u64 dialer)
{
	if (!read_user(h, s->word, sizeof(s->word), dialer + h->spec->dialer_network) ||
	    s->word[1] < 3)
		return false;
	s->word[1] = 0;
	return read_user(h, &s->word[1], 3, s->word[0]) &&
	       s->word[1] == ('t' | 'c' << 8 | 'p' << 16);
}

/* net.(*Dialer).DialContext at `call dialParallel`: (sd, ctx, …).  The
 * resolver's own connections do not count. */
SUBPROG int connect_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	__u64 host;

	if (!is_tcp(h, s, GO_ARG0(ctx)))
		return 0;
	/* the caller's frame pointer, and where it returns to */
	if (!read_user(h, s->word, sizeof(s->word), GO_FP(ctx)))
		return 0;
	if (s->word[1] >= h->spec->resolver_lo && s->word[1] < h->spec->resolver_hi)
		return 0;
	host = host_at(h, s, GO_ARG0(ctx) + h->spec->dialer_address);
	dial_begin(h, s, GO_G(ctx), NET_CONNECT, host);
	return 0;
}

static __always_inline void name_conn(struct gs_net_scratch *s, __u64 conn, __u64 host)
{
	s->phase.host = host;
	if (host && conn)
		bpf_map_update_elem(&conn_hosts, key_of(s, &s->other_key, OPEN_CONN, conn),
				    &s->phase.host, BPF_ANY);
}

/* Behind it: (Conn, error). */
SUBPROG int connect_end(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	bool failed = GO_ARG2(ctx);
	__u64 host = dial_end_with(h, s, GO_G(ctx), NET_CONNECT, GO_ARG2(ctx), GO_ARG3(ctx));

	if (!failed)
		name_conn(s, GO_ARG1(ctx), host);
	return 0;
}

/* net/http.(*persistConn).addTLS(pc, …), body: behind a proxy the connection
 * was dialled for another host than the handshake is with. */
SUBPROG int tls_name(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	__u64 host = host_at(h, s, GO_ARG0(ctx) + h->spec->pconn_addr);

	if (read_user(h, s->word, sizeof(s->word), GO_ARG0(ctx) + h->spec->pconn_conn))
		name_conn(s, s->word[1], host);
	return 0;
}

/* The host of a handshake: what its connection was dialled for, else the
 * server's name in the configuration. */
static __always_inline __u64 tls_host(struct hit *h, struct gs_net_scratch *s, __u64 c)
{
	__u64 *host;

	if (!read_user(h, s->word, sizeof(s->word), c + h->spec->tls_conn))
		return 0;
	host = bpf_map_lookup_elem(&conn_hosts, key_of(s, &s->other_key, OPEN_CONN, s->word[1]));
	if (host)
		return *host;
	if (!read_user(h, &s->word[0], sizeof(s->word[0]), c + h->spec->tls_config) || !s->word[0])
		return 0;
	return host_at(h, s, s->word[0] + h->spec->tls_server_name);
}

/* crypto/tls.(*Conn).clientHandshake(c, ctx), body. */
SUBPROG int tls_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	dial_begin(h, s, GO_G(ctx), NET_TLS, tls_host(h, s, GO_ARG0(ctx)));
	return 0;
}

/* net/http.(*Transport).queueForDial(t, w) where w is put into the queue. */
SUBPROG int pool_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	__u64 want;

	if (!read_user(h, &s->other_key.addr, sizeof(__u64), GO_SP(ctx) + s->argument))
		return 0;
	want = s->other_key.addr;
	dial_begin(h, s, want, NET_POOL_WAIT, host_at(h, s, want + h->spec->want_addr));
	return 0;
}

/* Most of these requests never were in the queue. */
static __always_inline void pool_end(struct hit *h, struct gs_net_scratch *s, __u64 want,
				     bool failed)
{
	dial_end(h, s, want, NET_POOL_WAIT, failed);
}

CALL_PROGRAM(net_dial, GROUP_RARE)
{
	switch (s->probe) {
	case PROBE_DNS_BEGIN:
		dns_begin(h, ctx, s);
		break;
	case PROBE_DNS_END:
		/* behind `call lookupIPAddr`: ([]IPAddr, error) */
		dial_end_with(h, s, GO_G(ctx), NET_DNS, GO_ARG3(ctx), GO_ARG4(ctx));
		break;
	case PROBE_CONNECT_BEGIN:
		connect_begin(h, ctx, s);
		break;
	case PROBE_CONNECT_END:
		connect_end(h, ctx, s);
		break;
	case PROBE_TLS_NAME:
		tls_name(h, ctx, s);
		break;
	case PROBE_TLS_BEGIN:
		tls_begin(h, ctx, s);
		break;
	case PROBE_TLS_END:
		/* crypto/tls.(*Conn).handshakeContext behind an indirect call; the
		 * first one after the begin is that of the handshake: error */
		dial_end_with(h, s, GO_G(ctx), NET_TLS, GO_ARG0(ctx), GO_ARG1(ctx));
		break;
	case PROBE_POOL_BEGIN:
		pool_begin(h, ctx, s);
		break;
	case PROBE_POOL_DELIVERED:
		/* (*Transport).tryPutIdleConn at `call tryDeliver`: (w, …) */
		pool_end(h, s, GO_ARG0(ctx), false);
		break;
	case PROBE_POOL_DIAL:
		/* (*Transport).dialConnFor(t, w), body */
		pool_end(h, s, GO_ARG1(ctx), false);
		break;
	case PROBE_POOL_CANCEL:
		/* (*wantConn).cancel(w, …), body */
		pool_end(h, s, GO_ARG0(ctx), true);
		break;
	}
}
