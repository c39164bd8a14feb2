/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Members `net`, `sql`, `locks` and `lock_waits` of the report.  A list is
 * there when somebody looked, also when nothing was found; what only probes
 * count is absent without them.
 */
#include "report/json_net.h"

#include <stdio.h>

#include "report/net_rows.h"
#include "report/report.h"

#define MS 0.001

/* ---- what many rows have ---- */

static void put_exactness(struct json_builder *b, json_t *o, enum exactness e, double rate)
{
	jb_put(b, o, "exactness",
	       json_string(e == EXACT     ? "exact"
			   : e == SAMPLED ? "sampled"
					  : "estimated"));
	if (e == SAMPLED && rate > 0)
		jb_put_real(b, o, "rate", rate, 0.0001);
}

/* How long something has lasted, which may have ended: then it is 0, exactly. */
static void put_lasted(struct json_builder *b, json_t *o, const char *key, const char *age_key,
		       uint64_t n, enum age_kind age, double s)
{
	if (!n) {
		age = AGE_EXACT;
		s = 0;
	}
	if (age == AGE_UNKNOWN)
		return;
	jb_put_real(b, o, key, s, MS);
	jb_put(b, o, age_key, json_string(age == AGE_AT_LEAST ? "at_least" : "exact"));
}

static void put_in_flight(struct json_builder *b, json_t *o, uint64_t n, enum age_kind age,
			  double longest_s)
{
	jb_put_count(b, o, "in_flight", n);
	put_lasted(b, o, "longest_in_flight_s", "age", n, age, longest_s);
}

static void put_place_at(struct json_builder *b, json_t *o, const char *key, const struct place *p)
{
	json_t *place;

	if (!p->function)
		return;
	place = json_object();
	jb_put_place(b, place, p);
	jb_put(b, o, key, place);
}

/* Foreign text that may not be known. */
static void put_text(struct json_builder *b, json_t *o, const char *key, const char *s)
{
	if (s && *s)
		jb_put_string(b, o, key, s);
}

static void put_known(struct json_builder *b, json_t *o, const char *key, enum known k)
{
	if (k != UNKNOWN)
		jb_put(b, o, key, json_boolean(k == KNOWN_YES));
}

/* null: known to have none. */
static void put_limits(struct json_builder *b, json_t *o, enum known timeout, double timeout_s,
		       enum known deadline, enum known cancel)
{
	if (timeout == KNOWN_NO)
		jb_put(b, o, "timeout_s", json_null());
	else if (timeout == KNOWN_YES)
		jb_put_real(b, o, "timeout_s", timeout_s, MS);
	put_known(b, o, "deadline", deadline);
	put_known(b, o, "cancel", cancel);
}

/* Percentiles that are 0 are not known; a sum has none. */
static void put_durations(struct json_builder *b, json_t *o, uint64_t p50, uint64_t p99,
			  uint64_t max)
{
	if (p50)
		jb_put_count(b, o, "p50_ns", p50);
	if (p99)
		jb_put_count(b, o, "p99_ns", p99);
	if (max)
		jb_put_count(b, o, "max_ns", max);
}

/* ---- rows ---- */

static void client(struct json_builder *b, json_t *o, const struct net_window *n, const void *row,
		   bool rest)
{
	const struct net_client *c = row;

	put_place_at(b, o, "place", &c->place);
	if (!rest)
		put_limits(b, o, c->timeout, c->timeout_s, c->deadline, c->cancel);
	if (c->requests_known) {
		jb_put_count(b, o, "requests", c->requests);
		jb_put_count(b, o, "errors", c->errors);
		put_durations(b, o, c->p50_ns, c->p99_ns, c->max_ns);
	}
	if (n->known) {
		put_in_flight(b, o, c->in_flight, c->age, c->longest_in_flight_s);
		jb_put_count(b, o, "hanging", c->hanging);
	}
	put_exactness(b, o, c->exactness, c->rate);
}

static void phase(struct json_builder *b, json_t *o, const struct net_window *n, const void *row,
		  bool rest)
{
	const struct net_phase_row *p = row;

	(void)n;
	if (!rest) {
		put_text(b, o, "host", p->host);
		jb_put_string(b, o, "phase", net_phase_name(p->phase));
	}
	jb_put_count(b, o, "count", p->count);
	jb_put_count(b, o, "errors", p->errors);
	if (!rest) {
		jb_put_count(b, o, "p50_ns", p->p50_ns);
		jb_put_count(b, o, "p99_ns", p->p99_ns);
	}
	jb_put_count(b, o, "max_ns", p->max_ns);
	jb_put_count(b, o, "total_ns", p->total_ns);
	if (p->before_count) {
		jb_put_count(b, o, "before_p50_ns", p->before_p50_ns);
		jb_put_count(b, o, "before_count", p->before_count);
	}
	put_place_at(b, o, "busiest", &p->busiest);
	put_exactness(b, o, p->exactness, p->rate);
}

static json_t *request(struct json_builder *b, const struct net_request *r)
{
	json_t *o = json_object();

	put_text(b, o, "host", r->host);
	if (r->phase >= 0 && r->phase < NET_PHASES)
		jb_put_string(b, o, "phase", net_phase_name((enum net_phase)r->phase));
	put_lasted(b, o, "since_s", "age", 1, r->age, r->since_s);
	if (r->goroutine)
		jb_put_count(b, o, "goroutine", r->goroutine);
	put_place_at(b, o, "place", &r->place);
	put_limits(b, o, r->timeout, r->timeout_s, r->deadline, r->cancel);
	put_exactness(b, o, EXACT, 0);
	return o;
}

static void body(struct json_builder *b, json_t *o, const struct net_window *n, const void *row,
		 bool rest)
{
	const struct net_body_row *r = row;

	(void)n;
	if (!rest)
		put_text(b, o, "host", r->host);
	jb_put_count(b, o, "count", r->count);
	jb_put_count(b, o, "count_before", r->count_before);
	put_lasted(b, o, "oldest_s", "age", r->count, r->age, r->oldest_s);
	put_place_at(b, o, "place", &r->place);
	put_exactness(b, o, r->exactness, 0);
}

static void connections(struct json_builder *b, json_t *o, const struct net_window *n,
			const void *row, bool rest)
{
	const struct net_connections *c = row;

	if (!rest) {
		put_text(b, o, "host", c->host);
		jb_put_string(b, o, "protocol", c->protocol);
	}
	jb_put_count(b, o, "open", c->open);
	jb_put_count(b, o, "idle", c->idle);
	if (c->max_per_host >= 0)
		jb_put(b, o, "max_per_host", json_integer(c->max_per_host));
	if (c->max_idle_per_host >= 0)
		jb_put(b, o, "max_idle_per_host", json_integer(c->max_idle_per_host));
	jb_put_count(b, o, "waiting", c->waiting);
	if (n->phases_known)
		jb_put_count(b, o, "dials", c->dials);
	put_exactness(b, o, EXACT, 0);
}

static void server(struct json_builder *b, json_t *o, const struct net_window *n, const void *row,
		   bool rest)
{
	const struct net_server *s = row;

	put_place_at(b, o, "place", &s->place);
	if (!rest)
		put_text(b, o, "pattern", s->pattern);
	if (s->requests_known) {
		jb_put_count(b, o, "requests", s->requests);
		put_durations(b, o, s->p50_ns, s->p99_ns, s->max_ns);
	}
	if (n->known)
		put_in_flight(b, o, s->in_flight, s->age, s->longest_in_flight_s);
	if (s->no_read_timeout)
		jb_put(b, o, "no_read_timeout", json_true());
	if (s->hanging)
		jb_put_count(b, o, "hanging", s->hanging);
	put_exactness(b, o, s->exactness, s->rate);
}

static void grpc(struct json_builder *b, json_t *o, const struct net_window *n, const void *row,
		 bool rest)
{
	const struct net_grpc *g = row;

	if (!rest)
		put_text(b, o, "method", g->method);
	put_place_at(b, o, "place", &g->place);
	jb_put_count(b, o, "calls", g->calls);
	jb_put_count(b, o, "errors", g->errors);
	put_durations(b, o, g->p50_ns, g->p99_ns, g->max_ns);
	if (n->known)
		put_in_flight(b, o, g->in_flight, g->age, g->longest_in_flight_s);
	put_exactness(b, o, g->exactness, g->rate);
}

static void lock_wait(struct json_builder *b, json_t *o, const struct net_window *n,
		      const void *row, bool rest)
{
	const struct lock_wait_row *r = row;
	char address[24];

	(void)n;
	if (!rest) {
		jb_put_string(b, o, "kind", r->kind);
		snprintf(address, sizeof(address), "0x%llx", (unsigned long long)r->lock);
		jb_put_string(b, o, "lock", address);
	}
	put_place_at(b, o, "place", &r->place);
	jb_put_count(b, o, "waiters", r->waiters);
	jb_put_count(b, o, "waiters_before", r->waiters_before);
	put_lasted(b, o, "longest_wait_s", "age", r->waiters, r->age, r->longest_s);
	if (r->holder)
		jb_put_count(b, o, "holder", r->holder);
	put_place_at(b, o, "holder_at", &r->holder_at);
	put_exactness(b, o, EXACT, 0);
}

static void holder(struct json_builder *b, json_t *o, const struct net_window *n, const void *row,
		   bool rest)
{
	static const char *const what[] = { "transaction", "rows", "conn", "call" };
	const struct sql_holder *h = row;

	(void)n;
	put_place_at(b, o, "place", &h->place);
	if (!rest)
		jb_put(b, o, "place_is", json_string(h->place_is_now ? "now" : "call"));
	jb_put_count(b, o, "count", h->count);
	put_lasted(b, o, "held_s", "age", h->count, h->age, h->held_s);
	if (h->what == SQL_TRANSACTION)
		jb_put(b, o, "transaction", json_true());
	if (!rest)
		jb_put(b, o, "what", json_string(what[h->what]));
	if (h->goroutine)
		jb_put_count(b, o, "goroutine", h->goroutine);
	put_exactness(b, o, EXACT, 0);
}

/* ---- lists ---- */

typedef void (*row_fn)(struct json_builder *b, json_t *o, const struct net_window *n,
		       const void *row, bool rest);

static json_t *list(struct json_builder *b, enum net_list which, const void *rows, int n, row_fn fn,
		    const struct net_window *net)
{
	json_t *out = json_array();
	struct net_rows cut;

	if (net_rows_init(&cut, which, rows, n, REPORT_MAX_ROWS))
		b->failed = true;
	for (int i = 0; i < cut.n; i++) {
		bool rest = net_rows_is_rest(&cut, i);
		json_t *o = json_object();

		if (rest)
			jb_put(b, o, "other", json_true());
		fn(b, o, net, cut.row[i], rest);
		jb_append(b, out, o);
	}
	net_rows_deinit(&cut);
	return out;
}

static json_t *in_flight(struct json_builder *b, const struct net_window *n)
{
	json_t *out = json_array();

	for (int i = 0; i < n->nin_flight && i < REPORT_MAX_ROWS; i++)
		jb_append(b, out, request(b, &n->in_flight[i]));
	return out;
}

json_t *json_net(struct json_builder *b, const struct net_window *n)
{
	json_t *o = json_object();

	jb_put(b, o, "clients", list(b, LIST_CLIENTS, n->client, n->nclient, client, n));
	if (n->phases_known)
		jb_put(b, o, "phases", list(b, LIST_PHASES, n->phase, n->nphase, phase, n));
	if (n->known) {
		jb_put(b, o, "in_flight", in_flight(b, n));
		jb_put_count(b, o, "in_flight_total", n->in_flight_total);
		jb_put(b, o, "unclosed_bodies",
		       list(b, LIST_UNCLOSED, n->unclosed, n->nunclosed, body, n));
		jb_put(b, o, "connections",
		       list(b, LIST_CONNECTIONS, n->connection, n->nconnection, connections, n));
	}
	jb_put(b, o, "servers", list(b, LIST_SERVERS, n->server, n->nserver, server, n));
	if (n->ngrpc)
		jb_put(b, o, "grpc", list(b, LIST_GRPC, n->grpc, n->ngrpc, grpc, n));
	return o;
}

/* ---- database/sql ---- */

static json_t *pool(struct json_builder *b, const struct sql_pool *p)
{
	json_t *o = json_object();

	put_text(b, o, "driver", p->driver);
	jb_put(b, o, "max_open", json_integer(p->max_open));
	jb_put_count(b, o, "open", p->open);
	jb_put_count(b, o, "in_use", p->in_use);
	jb_put_count(b, o, "idle", p->idle);
	jb_put_count(b, o, "waiters", p->waiters);
	put_lasted(b, o, "longest_wait_s", "age", p->waiters, p->age, p->longest_wait_s);
	put_place_at(b, o, "waits_at", &p->waits_at);
	jb_put_count(b, o, "wait_count_total", p->wait_count_total);
	jb_put_count(b, o, "wait_ns_total", p->wait_ns_total);
	jb_put_count(b, o, "transactions_open", p->transactions_open);
	put_lasted(b, o, "oldest_transaction_s", "transaction_age", p->transactions_open,
		   p->transaction_age, p->oldest_transaction_s);
	jb_put(b, o, "holders", list(b, LIST_HOLDERS, p->holder, p->nholder, holder, NULL));
	put_exactness(b, o, EXACT, 0);
	return o;
}

/* Pools beyond the maximum, summed from `from` on. */
static json_t *other_pools(struct json_builder *b, const struct sql_window *s, int from)
{
	struct sql_pool sum = { 0 };
	json_t *o = json_object();

	for (int i = from; i < s->npool; i++) {
		sum.open += s->pool[i].open;
		sum.in_use += s->pool[i].in_use;
		sum.idle += s->pool[i].idle;
		sum.waiters += s->pool[i].waiters;
		sum.wait_count_total += s->pool[i].wait_count_total;
		sum.wait_ns_total += s->pool[i].wait_ns_total;
		sum.transactions_open += s->pool[i].transactions_open;
	}
	jb_put(b, o, "other", json_true());
	jb_put_count(b, o, "open", sum.open);
	jb_put_count(b, o, "in_use", sum.in_use);
	jb_put_count(b, o, "idle", sum.idle);
	jb_put_count(b, o, "waiters", sum.waiters);
	jb_put_count(b, o, "wait_count_total", sum.wait_count_total);
	jb_put_count(b, o, "wait_ns_total", sum.wait_ns_total);
	jb_put_count(b, o, "transactions_open", sum.transactions_open);
	put_exactness(b, o, EXACT, 0);
	return o;
}

json_t *json_sql(struct json_builder *b, const struct sql_window *s)
{
	int n = s->npool <= REPORT_MAX_ROWS ? s->npool : REPORT_MAX_ROWS - 1;
	json_t *o = json_object(), *pools = json_array();

	for (int i = 0; i < n; i++)
		jb_append(b, pools, pool(b, &s->pool[i]));
	if (n < s->npool)
		jb_append(b, pools, other_pools(b, s, n));
	jb_put(b, o, "pools", pools);
	return o;
}

/* ---- locks ---- */

json_t *json_locks(struct json_builder *b, const struct locks_window *c)
{
	return list(b, LIST_LOCKS, c->row, c->nrow, lock_wait, NULL);
}

json_t *json_lock_waits(struct json_builder *b, const struct locks_window *c)
{
	json_t *o = json_object();

	jb_put_count(b, o, "count", c->waits);
	put_durations(b, o, c->p50_ns, c->p99_ns, c->max_ns);
	put_exactness(b, o, c->exactness, c->rate);
	return o;
}
