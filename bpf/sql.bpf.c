// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * database/sql: waits for a pooled connection, and who took which one.
 * A connection that was given back is forgotten; where that was not seen (the
 * probe was off), user space compares with driverConn.returnedAt.
 */
#include "calls.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* (*DB).conn where it waits for a connection. */
SUBPROG int wait_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	open_fresh(&s->open, 0);
	take_goid(h, ctx, &s->open);
	take_pcs(ctx, s, false, 0, 0);
	call_begin(h, ctx, s, OPEN_SQL_WAIT, CALL_SQL_WAIT);
	return 0;
}

/* A connection is taken for something that keeps it.  What a transaction does
 * with its own connection changes nothing. */
SUBPROG int grab(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, __u64 dc, __u32 what)
{
	struct gs_open *known = bpf_map_lookup_elem(&holds, key_of(s, &s->key, OPEN_SQL_GRAB, dc));

	if (known && what == SQL_ROWS && known->state != SQL_ROWS)
		return 0;
	open_fresh(&s->open, what);
	take_goid(h, ctx, &s->open);
	take_pcs(ctx, s, what != SQL_CONN, 0, 0);
	if (bpf_map_update_elem(&holds, &s->key, &s->open, BPF_ANY))
		gs_add(&h->count->opens_full, 1);
	return 0;
}

CALL_PROGRAM(sql_rare, GROUP_RARE)
{
	switch (s->probe) {
	case PROBE_SQL_WAIT_BEGIN:
		wait_begin(h, ctx, s);
		break;
	case PROBE_SQL_WAIT_END:
		call_end(h, ctx, s, OPEN_SQL_WAIT, CALL_SQL_WAIT, false, h->spec->since_rare_ns);
		break;
	case PROBE_SQL_BEGIN_TX:
		/* (*DB).beginDC(db, ctx, dc, …), body */
		grab(h, ctx, s, GO_ARG3(ctx), SQL_TRANSACTION);
		break;
	}
}

CALL_PROGRAM(sql_request, GROUP_REQUESTS)
{
	switch (s->probe) {
	case PROBE_SQL_ROWS:
		/* (*DB).queryDC(db, ctx, txctx, dc, …), body */
		grab(h, ctx, s, GO_ARG5(ctx), SQL_ROWS);
		break;
	case PROBE_SQL_CONN:
		/* (*DB).Conn behind `call conn`: (*driverConn, error) */
		if (GO_ARG0(ctx))
			grab(h, ctx, s, GO_ARG0(ctx), SQL_CONN);
		break;
	case PROBE_SQL_PUT:
		/* (*DB).putConn(db, dc, …), body */
		bpf_map_delete_elem(&holds, key_of(s, &s->key, OPEN_SQL_GRAB, GO_ARG1(ctx)));
		break;
	}
}

/*
 * A statement has its connection, and the driver is to run it.  Drivers that have no fast path
 * for it prepare it and run the Stmt: that is within the statement that has begun already, which
 * is known by its goroutine (one that a panic has left open is taken for that, once).
 */
SUBPROG int statement_begin(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, bool prepared)
{
	struct gs_open *last;

	if (!takes_new(h))
		return 0;
	open_fresh(&s->open, NET_NO_PHASE);
	take_goid(h, ctx, &s->open);
	if (prepared) {
		last = open_find(s, OPEN_STATEMENT, GO_G(ctx));
		if (last && last->goid == s->open.goid && last->start_ns &&
		    last->start_ns >= h->spec->since_requests_ns)
			return 0;
	}
	take_pcs(ctx, s, true, 0, 0);
	call_begin(h, ctx, s, OPEN_STATEMENT, CALL_STATEMENT);
	return 0;
}

/* A connection is given back, to whomever: the end of a statement that had no other. */
SUBPROG int statement_end(struct hit *h, go_regs *ctx, struct gs_net_scratch *s, bool failed)
{
	struct gs_open *o = open_find(s, OPEN_STATEMENT, GO_G(ctx));

	if (o && o->start_ns)
		call_over(h, s, o, CALL_STATEMENT, failed, h->spec->since_requests_ns,
			  bpf_ktime_get_ns());
	return 0;
}

/* *err of execDC, whose address its deferred function has behind `release`. */
SUBPROG bool exec_failed(struct hit *h, go_regs *ctx)
{
	__u64 at = 0, itab = 0;

	return read_word(h, &at, GO_CLOSURE(ctx) + 16) && read_word(h, &itab, at) && itab;
}

/* The error that pgx's ResultReader keeps: the site knows where. */
SUBPROG bool reader_failed(struct hit *h, go_regs *ctx, struct gs_net_scratch *s)
{
	__u64 itab = 0;

	return read_word(h, &itab, GO_ARG0(ctx) + s->argument) && itab;
}

/* Exec's error is behind the tag: a string, or a slice (v4). */
static __always_inline bool exec_tag_failed(go_regs *ctx, struct gs_net_scratch *s)
{
	__u64 v5 = GO_ARG2(ctx), v4 = GO_ARG3(ctx);

	/* both are read: the verifier wants a register's place to be a constant */
	barrier_var(v5);
	barrier_var(v4);
	return s->argument ? v4 : v5;
}

CALL_PROGRAM(sql_statement, GROUP_REQUESTS)
{
	switch (s->probe) {
	case PROBE_STMT_QUERY:
	case PROBE_STMT_EXEC:
		statement_begin(h, ctx, s, false);
		break;
	case PROBE_STMT_PREPARED_QUERY:
	case PROBE_STMT_PREPARED_EXEC:
	case PROBE_PGX_QUERY: /* which database/sql may have called */
	case PROBE_PGX_EXEC:
		statement_begin(h, ctx, s, true);
		break;
	case PROBE_STMT_ROWS:
		statement_end(h, ctx, s, false);
		break;
	case PROBE_STMT_EXEC_END:
		statement_end(h, ctx, s, exec_failed(h, ctx));
		break;
	case PROBE_STMT_PUT:
		/* (*DB).putConn(db, dc, err, …), body */
		statement_end(h, ctx, s, GO_ARG2(ctx));
		break;
	case PROBE_STMT_TX:
	case PROBE_STMT_CONN:
		statement_end(h, ctx, s, GO_ARG0(ctx));
		break;
	case PROBE_PGX_ROWS:
		statement_end(h, ctx, s, reader_failed(h, ctx, s));
		break;
	case PROBE_PGX_RESULT:
		if (GO_ARG0(ctx) & 1)
			statement_end(h, ctx, s, false);
		break;
	case PROBE_PGX_FAILED:
		statement_end(h, ctx, s, true);
		break;
	case PROBE_PGX_EXEC_END:
		statement_end(h, ctx, s, exec_tag_failed(ctx, s));
		break;
	}
}
