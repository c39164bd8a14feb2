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
