/* SPDX-License-Identifier: BSD-2-Clause */
/* What other subjects know of what a process has under way that has been asked to end. */
#include "observe/detect.h"

/* Calls to others: HTTP and gRPC. */
static void add_calls(const struct net_window *n, struct shutdown_window *s)
{
	s->calls_known = n->known;
	for (int i = 0; i < n->nclient; i++) {
		const struct net_client *c = &n->client[i];

		s->calls += c->in_flight;
		if (c->in_flight && !c->other && c->longest_in_flight_s >= s->call_s) {
			s->call = c->place;
			s->call_s = c->longest_in_flight_s;
		}
	}
	for (int i = 0; i < n->ngrpc; i++) {
		const struct net_grpc *c = &n->grpc[i];

		s->calls += c->in_flight;
		if (c->in_flight && !c->other && c->longest_in_flight_s >= s->call_s) {
			s->call = c->place;
			s->call_s = c->longest_in_flight_s;
		}
	}
}

static void add_transactions(const struct sql_window *q, struct shutdown_window *s)
{
	s->transactions_known = q->known;
	for (int i = 0; i < q->npool; i++) {
		const struct sql_pool *p = &q->pool[i];

		s->transactions += p->transactions_open;
		for (int k = 0; p->transactions_open && k < p->nholder; k++)
			if (p->holder[k].what == SQL_TRANSACTION &&
			    p->holder[k].held_s >= s->transaction_s) {
				s->transaction = p->holder[k].place;
				s->transaction_s = p->holder[k].held_s;
			}
		if (p->oldest_transaction_s > s->transaction_s)
			s->transaction_s = p->oldest_transaction_s;
	}
}

void join_shutdown(struct window *w)
{
	struct shutdown_window *s = &w->crash->shutdown;

	if (!s->known || s->ended)
		return; /* they read memory: of a process that is gone they know the look before */
	add_calls(w->net, s);
	add_transactions(w->sql, s);
}
