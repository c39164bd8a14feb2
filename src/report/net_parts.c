/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/net_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "model/place.h"
#include "report/net_rows.h"
#include "report/summary_priv.h"

#define COLUMNS(c) .column = c, .ncolumn = sizeof(c) / sizeof(*c)

/* ---- cells ---- */

static void cell_ns(struct table *t, enum exactness e, uint64_t ns)
{
	char text[HUMAN_MAX], cell[HUMAN_MAX + 4];

	snprintf(cell, sizeof(cell), "%s%s", e == EXACT ? "" : "~",
		 human_seconds((double)ns / 1e9, text));
	table_cell(t, ns ? cell : "-");
}

/* "-" where there is none. */
static void cell_lasted(struct table *t, uint64_t n, enum age_kind age, double s)
{
	summary_cell_age(t, n ? age : AGE_UNKNOWN, s);
}

static void cell_some(struct table *t, uint64_t n)
{
	char text[HUMAN_MAX];

	table_cell(t, n ? human_count(n, text) : "-");
}

static void cell_host(struct table *t, const char *host)
{
	table_cell(t, *host ? host : "?");
}

static void cell_known_place(struct table *t, const struct place *p, const char *else_words)
{
	if (p->function)
		summary_cell_place(t, p);
	else
		table_cell(t, else_words);
}

static void cell_rest(struct table *t, int nrest)
{
	char text[HUMAN_MAX], cell[HUMAN_MAX + 8];

	snprintf(cell, sizeof(cell), "%s more", human_count((uint64_t)nrest, text));
	table_cell(t, cell);
}

static void cell_limit(struct table *t, enum known timeout, double timeout_s, enum known deadline,
		       enum known cancel)
{
	char text[HUMAN_MAX];

	if (timeout == KNOWN_YES)
		table_cell(t, timeout_s > 0 ? human_seconds(timeout_s, text) : "yes");
	else if (deadline == KNOWN_YES)
		table_cell(t, "deadline");
	else if (cancel == KNOWN_YES)
		table_cell(t, "cancel");
	else if (timeout == KNOWN_NO && deadline == KNOWN_NO)
		table_cell(t, "none");
	else
		table_cell(t, "-"); /* not known */
}

/* Every row of a list, the sum of the others last. */
typedef void (*row_fn)(struct table *t, const void *row, int nrest);

static void fill(struct table *t, enum net_list list, const void *rows, int n, int max, row_fn fn)
{
	struct net_rows cut;

	if (net_rows_init(&cut, list, rows, n, max))
		return; /* the sentence has the whole */
	for (int i = 0; i < cut.n; i++)
		fn(t, cut.row[i], net_rows_is_rest(&cut, i) ? cut.nrest : 0);
	net_rows_deinit(&cut);
}

static void add_ns(struct buf *out, const char *before, uint64_t ns)
{
	char text[HUMAN_MAX];

	buf_printf(out, "%s%s", before, human_seconds((double)ns / 1e9, text));
}

static void add_plural(struct buf *out, const char *before, uint64_t n, const char *word,
		       const char *more)
{
	char text[HUMAN_MAX];

	buf_printf(out, "%s%s %s%s", before, human_count(n, text), word, n == 1 ? "" : more);
}

/* The line behind a list that was cut: `before` empty cells, "N more", and the rest of the row. */
static void more_row(struct table *t, uint64_t more, int before)
{
	char text[HUMAN_MAX], cell[HUMAN_MAX + 8];

	for (int i = 0; i < before; i++)
		table_cell(t, "");
	snprintf(cell, sizeof(cell), "%s more", human_count(more, text));
	table_cell(t, cell);
	for (int i = before + 1; i < t->ncolumn; i++)
		table_cell(t, "");
}

/* ---- phases ---- */

static bool any_phases(const struct window *w)
{
	return w->net->phases_known && w->net->nphase;
}

static void phases_sentence(const struct window *w, struct buf *out)
{
	uint64_t errors = 0;

	for (int i = 0; i < w->net->nphase; i++)
		errors += w->net->phase[i].errors;
	buf_puts(out, "phases of requests and dials that ended in this window, by host");
	if (errors)
		add_plural(out, "; ", errors, "error", "s");
}

static const struct table_column phase_column[] = {
	{ .head = "host", .min = 20 },      { .head = "phase" },
	{ .head = "count", .right = true }, { .head = "errors", .right = true },
	{ .head = "p50", .right = true },   { .head = "p99", .right = true },
	{ .head = "max", .right = true },   { .head = "in all", .right = true },
};

static void phase_row(struct table *t, const void *row, int nrest)
{
	const struct net_phase_row *p = row;

	if (nrest)
		cell_rest(t, nrest);
	else
		cell_host(t, p->host);
	table_cell(t, nrest ? "" : net_phase_name(p->phase));
	summary_cell_count(t, true, p->exactness, p->count);
	if (p->errors)
		summary_cell_count(t, true, p->exactness, p->errors);
	else
		table_cell(t, "-");
	cell_ns(t, EXACT, p->p50_ns);
	cell_ns(t, EXACT, p->p99_ns);
	cell_ns(t, EXACT, p->max_ns);
	cell_ns(t, p->exactness, p->total_ns);
}

struct phase_order {
	const struct net_phase_row *row;
	uint64_t host_ns; /* of all phases of its host */
};

static int by_host(const void *a, const void *b)
{
	const struct phase_order *x = a, *y = b;

	return strcmp(x->row->host, y->row->host);
}

/* The host with most time first, its phases in the order in which they happen. */
static int by_time(const void *a, const void *b)
{
	const struct phase_order *x = a, *y = b;
	int r;

	if (x->row->other != y->row->other)
		return x->row->other ? 1 : -1;
	if (x->host_ns != y->host_ns)
		return x->host_ns > y->host_ns ? -1 : 1;
	r = strcmp(x->row->host, y->row->host);
	return r ? r : (int)x->row->phase - (int)y->row->phase;
}

static void order_phases(struct phase_order *o, int n)
{
	qsort(o, (size_t)n, sizeof(*o), by_host);
	for (int first = 0, i; first < n; first = i) {
		uint64_t sum = 0;

		for (i = first; i < n && !strcmp(o[i].row->host, o[first].row->host); i++)
			sum += o[i].row->total_ns;
		for (int k = first; k < i; k++)
			o[k].host_ns = sum;
	}
	qsort(o, (size_t)n, sizeof(*o), by_time);
}

static void phases_fill(const struct window *w, int max, struct table *t)
{
	int n = w->net->nphase;
	struct phase_order *o = calloc((size_t)n, sizeof(*o));
	struct net_phase_row *sorted = calloc((size_t)n, sizeof(*sorted));

	if (o && sorted) {
		for (int i = 0; i < n; i++)
			o[i].row = &w->net->phase[i];
		order_phases(o, n);
		for (int i = 0; i < n; i++)
			sorted[i] = *o[i].row;
		fill(t, LIST_PHASES, sorted, n, max, phase_row);
	}
	free(sorted);
	free(o);
}

/* ---- requests in flight ---- */

static bool any_in_flight(const struct window *w)
{
	return w->net->known && w->net->in_flight_total;
}

static void in_flight_sentence(const struct window *w, struct buf *out)
{
	const struct net_window *n = w->net;

	add_plural(out, "", n->in_flight_total, "request", "s");
	if (n->nin_flight > 1)
		buf_puts(out, ", the oldest first");
}

static const struct table_column in_flight_column[] = {
	{ .head = "since", .right = true },
	{ .head = "phase" },
	{ .head = "host", .min = 16 },
	{ .head = "timeout" },
	{ .head = "goroutine", .right = true },
	{ .head = "called at", .min = 20, .keep_end = true },
};

static void in_flight_fill(const struct window *w, int max, struct table *t)
{
	int n = w->net->nin_flight < max ? w->net->nin_flight : max;
	char goroutine[32];

	for (int i = 0; i < n; i++) {
		const struct net_request *r = &w->net->in_flight[i];

		summary_cell_age(t, r->age, r->since_s);
		table_cell(t, r->phase >= 0 && r->phase < NET_PHASES
				      ? net_phase_name((enum net_phase)r->phase)
				      : "-");
		cell_host(t, r->host);
		cell_limit(t, r->timeout, r->timeout_s, r->deadline, r->cancel);
		snprintf(goroutine, sizeof(goroutine), "%llu", (unsigned long long)r->goroutine);
		table_cell(t, r->goroutine ? goroutine : "-");
		cell_known_place(t, &r->place, "?");
	}
	if (n && w->net->in_flight_total > (uint64_t)n)
		more_row(t, w->net->in_flight_total - (uint64_t)n, 2);
}

/* ---- calling places ---- */

static bool any_clients(const struct window *w)
{
	return w->net->nclient;
}

static void clients_sentence(const struct window *w, struct buf *out)
{
	uint64_t requests = 0, errors = 0, hanging = 0;
	enum exactness e = EXACT;
	bool known = false;

	for (int i = 0; i < w->net->nclient; i++) {
		const struct net_client *c = &w->net->client[i];

		known |= c->requests_known;
		requests += c->requests;
		errors += c->errors;
		hanging += c->hanging;
		e = c->exactness > e ? c->exactness : e;
	}
	buf_puts(out, "HTTP requests by call");
	if (known) {
		add_plural(out, e == EXACT ? ": " : ": ~", requests, "request", "s");
		buf_puts(out, " begun");
	}
	if (errors)
		summary_add_count(out, ", ", errors, " failed");
	if (hanging)
		summary_add_count(out, "; ", hanging,
				  hanging == 1 ? " hangs without a timeout"
					       : " hang without a timeout");
}

static const struct table_column client_column[] = {
	{ .head = "called at", .min = 24, .keep_end = true },
	{ .head = "timeout" },
	{ .head = "requests", .right = true },
	{ .head = "errors", .right = true },
	{ .head = "p50", .right = true },
	{ .head = "p99", .right = true },
	{ .head = "in flight", .right = true },
	{ .head = "longest", .right = true },
};

static void client_row(struct table *t, const void *row, int nrest)
{
	const struct net_client *c = row;

	if (nrest)
		cell_rest(t, nrest);
	else
		cell_known_place(t, &c->place, "?");
	if (nrest)
		table_cell(t, "");
	else
		cell_limit(t, c->timeout, c->timeout_s, c->deadline, c->cancel);
	summary_cell_count(t, c->requests_known, c->exactness, c->requests);
	cell_some(t, c->errors);
	cell_ns(t, EXACT, c->p50_ns);
	cell_ns(t, EXACT, c->p99_ns);
	cell_some(t, c->in_flight);
	cell_lasted(t, c->in_flight, c->age, c->longest_in_flight_s);
}

static void clients_fill(const struct window *w, int max, struct table *t)
{
	fill(t, LIST_CLIENTS, w->net->client, w->net->nclient, max, client_row);
}

/* ---- bodies ---- */

static bool any_unclosed(const struct window *w)
{
	return w->net->known && w->net->nunclosed;
}

static uint64_t unclosed(const struct window *w)
{
	uint64_t n = 0;

	for (int i = 0; w->net->known && i < w->net->nunclosed; i++)
		n += w->net->unclosed[i].count;
	return n;
}

static void unclosed_sentence(const struct window *w, struct buf *out)
{
	add_plural(out, "", unclosed(w), "response", "s");
	buf_puts(out, " neither read to the end nor closed, and read by nobody");
}

static const struct table_column body_column[] = {
	{ .head = "now", .right = true },
	{ .head = "at first", .right = true },
	{ .head = "oldest", .right = true },
	{ .head = "host", .min = 20 },
	{ .head = "got at", .min = 24, .keep_end = true },
};

static void body_row(struct table *t, const void *row, int nrest)
{
	const struct net_body_row *r = row;
	const char *why = net_bodies_are_older(r) ? "(older than gospect)" : "(call not seen)";

	summary_cell_count(t, true, r->exactness, r->count);
	summary_cell_count(t, true, EXACT, r->count_before);
	summary_cell_age(t, r->age, r->oldest_s);
	if (nrest)
		cell_rest(t, nrest);
	else
		cell_host(t, r->host);
	cell_known_place(t, &r->place, nrest ? "" : why);
}

static void unclosed_fill(const struct window *w, int max, struct table *t)
{
	fill(t, LIST_UNCLOSED, w->net->unclosed, w->net->nunclosed, max, body_row);
}

/* ---- connections ---- */

static bool any_connections(const struct window *w)
{
	return w->net->known && w->net->nconnection;
}

static void connections_sentence(const struct window *w, struct buf *out)
{
	uint64_t open = 0, idle = 0, waiting = 0;

	for (int i = 0; i < w->net->nconnection; i++) {
		open += w->net->connection[i].open;
		idle += w->net->connection[i].idle;
		waiting += w->net->connection[i].waiting;
	}
	summary_add_count(out, "", open, " open");
	summary_add_count(out, ", ", idle, " of them idle");
	if (waiting)
		summary_add_count(out, "; ", waiting,
				  waiting == 1 ? " request waits for one"
					       : " requests wait for one");
}

static const struct table_column connection_column[] = {
	{ .head = "host", .min = 24 },         { .head = "protocol" },
	{ .head = "open", .right = true },     { .head = "idle", .right = true },
	{ .head = "waiting", .right = true },  { .head = "max", .right = true },
	{ .head = "max idle", .right = true }, { .head = "dialled", .right = true },
};

static void cell_most(struct table *t, int64_t max)
{
	char text[HUMAN_MAX];

	table_cell(t, max > 0 ? human_count((uint64_t)max, text) : max == 0 ? "no limit" : "?");
}

static void connection_row(struct table *t, const void *row, int nrest)
{
	const struct net_connections *c = row;

	if (nrest)
		cell_rest(t, nrest);
	else
		cell_host(t, c->host);
	table_cell(t, nrest || !c->protocol ? "" : c->protocol);
	summary_cell_count(t, true, EXACT, c->open);
	cell_some(t, c->idle);
	cell_some(t, c->waiting);
	if (nrest) {
		table_cell(t, "");
		table_cell(t, "");
	} else {
		cell_most(t, c->max_per_host);
		cell_most(t, c->max_idle_per_host);
	}
	cell_some(t, c->dials);
}

static void connections_fill(const struct window *w, int max, struct table *t)
{
	fill(t, LIST_CONNECTIONS, w->net->connection, w->net->nconnection, max, connection_row);
}

/* ---- handlers ---- */

static bool any_servers(const struct window *w)
{
	return w->net->nserver;
}

static void servers_sentence(const struct window *w, struct buf *out)
{
	uint64_t requests = 0, in_flight = 0, hanging = 0;
	enum exactness e = EXACT;
	bool known = false;

	for (int i = 0; i < w->net->nserver; i++) {
		const struct net_server *s = &w->net->server[i];

		known |= s->requests_known;
		requests += s->requests;
		in_flight += s->in_flight;
		if (s->no_read_timeout && s->hanging > hanging)
			hanging = s->hanging;
		e = s->exactness > e ? s->exactness : e;
	}
	buf_puts(out, "HTTP handlers");
	if (known)
		add_plural(out, e == EXACT ? ": " : ": ~", requests, "request", "s");
	if (w->net->known)
		summary_add_count(out, ", ", in_flight, " in flight");
	if (hanging)
		summary_add_count(out, "; ", hanging,
				  hanging == 1 ? " connection hangs, no read timeout"
					       : " connections hang, no read timeout");
}

static const struct table_column server_column[] = {
	{ .head = "handler", .min = 24, .keep_end = true },
	{ .head = "pattern", .min = 10 },
	{ .head = "requests", .right = true },
	{ .head = "p50", .right = true },
	{ .head = "p99", .right = true },
	{ .head = "max", .right = true },
	{ .head = "in flight", .right = true },
	{ .head = "longest", .right = true },
};

static void server_row(struct table *t, const void *row, int nrest)
{
	const struct net_server *s = row;

	if (nrest)
		cell_rest(t, nrest);
	else
		cell_known_place(t, &s->place, "?");
	table_cell(t, nrest ? "" : s->pattern[0] ? s->pattern : "-");
	summary_cell_count(t, s->requests_known, s->exactness, s->requests);
	cell_ns(t, EXACT, s->p50_ns);
	cell_ns(t, EXACT, s->p99_ns);
	cell_ns(t, EXACT, s->max_ns);
	cell_some(t, s->in_flight);
	cell_lasted(t, s->in_flight, s->age, s->longest_in_flight_s);
}

static void servers_fill(const struct window *w, int max, struct table *t)
{
	fill(t, LIST_SERVERS, w->net->server, w->net->nserver, max, server_row);
}

/* ---- gRPC ---- */

static bool any_grpc(const struct window *w)
{
	return w->net->ngrpc;
}

static void grpc_sentence(const struct window *w, struct buf *out)
{
	uint64_t in_flight = 0;

	for (int i = 0; i < w->net->ngrpc; i++)
		in_flight += w->net->grpc[i].in_flight;
	buf_puts(out, "client calls by method");
	if (w->net->known)
		summary_add_count(out, ", ", in_flight, " in flight");
}

static const struct table_column grpc_column[] = {
	{ .head = "method", .min = 24, .keep_end = true },
	{ .head = "calls", .right = true },
	{ .head = "errors", .right = true },
	{ .head = "p50", .right = true },
	{ .head = "p99", .right = true },
	{ .head = "in flight", .right = true },
	{ .head = "longest", .right = true },
	{ .head = "called at", .min = 14, .keep_end = true },
};

static void grpc_row(struct table *t, const void *row, int nrest)
{
	const struct net_grpc *g = row;

	if (nrest)
		cell_rest(t, nrest);
	else
		table_cell(t, g->method[0] ? g->method : "?");
	summary_cell_count(t, true, g->exactness, g->calls);
	cell_some(t, g->errors);
	cell_ns(t, EXACT, g->p50_ns);
	cell_ns(t, EXACT, g->p99_ns);
	cell_some(t, g->in_flight);
	cell_lasted(t, g->in_flight, g->age, g->longest_in_flight_s);
	cell_known_place(t, &g->place, "");
}

static void grpc_fill(const struct window *w, int max, struct table *t)
{
	fill(t, LIST_GRPC, w->net->grpc, w->net->ngrpc, max, grpc_row);
}

/* ---- database pools ---- */

static bool any_pools(const struct window *w)
{
	return w->sql->known && w->sql->npool;
}

static void pools_sentence(const struct window *w, struct buf *out)
{
	uint64_t in_use = 0, open = 0, waiters = 0, transactions = 0;

	for (int i = 0; i < w->sql->npool; i++) {
		in_use += w->sql->pool[i].in_use;
		open += w->sql->pool[i].open;
		waiters += w->sql->pool[i].waiters;
		transactions += w->sql->pool[i].transactions_open;
	}
	add_plural(out, "", (uint64_t)w->sql->npool, "database pool", "s");
	add_plural(out, ": ", open, "connection", "s");
	summary_add_count(out, ", ", in_use, " in use");
	if (waiters)
		summary_add_count(out, ", ", waiters, " waiting for one");
	if (transactions)
		add_plural(out, ", ", transactions, "open transaction", "s");
}

static const struct table_column pool_column[] = {
	{ .head = "driver", .min = 12 },         { .head = "in use", .right = true },
	{ .head = "idle", .right = true },       { .head = "max", .right = true },
	{ .head = "waiting", .right = true },    { .head = "longest", .right = true },
	{ .head = "waits ever", .right = true }, { .head = "waited", .right = true },
	{ .head = "tx", .right = true },         { .head = "oldest tx", .right = true },
};

static void pools_fill(const struct window *w, int max, struct table *t)
{
	for (int i = 0; i < w->sql->npool && i < max; i++) {
		const struct sql_pool *p = &w->sql->pool[i];

		table_cell(t, p->driver[0] ? p->driver : "?");
		summary_cell_count(t, true, EXACT, p->in_use);
		cell_some(t, p->idle);
		cell_most(t, p->max_open);
		cell_some(t, p->waiters);
		cell_lasted(t, p->waiters, p->age, p->longest_wait_s);
		cell_some(t, p->wait_count_total);
		cell_ns(t, EXACT, p->wait_ns_total);
		cell_some(t, p->transactions_open);
		cell_lasted(t, p->transactions_open, p->transaction_age, p->oldest_transaction_s);
	}
	if (w->sql->npool > max)
		more_row(t, (uint64_t)(w->sql->npool - max), 0);
}

/* ---- who holds connections ---- */

static bool any_holders(const struct window *w)
{
	for (int i = 0; w->sql->known && i < w->sql->npool; i++)
		if (w->sql->pool[i].nholder)
			return true;
	return false;
}

static void holders_sentence(const struct window *w, struct buf *out)
{
	(void)w;
	buf_puts(out, "who keeps database connections");
}

static const struct table_column holder_column[] = {
	{ .head = "count", .right = true },
	{ .head = "held", .right = true },
	{ .head = "by" },
	{ .head = "goroutine", .right = true },
	{ .head = "driver", .min = 10 },
	{ .head = "at", .min = 24, .keep_end = true },
};

static void holder_cells(struct table *t, const struct sql_pool *p, const struct sql_holder *h)
{
	static const char *const what[] = { "transaction", "rows", "DB.Conn", "call" };
	char text[64], place[WORDS_PLACE_MAX], cell[WORDS_PLACE_MAX + 8];

	summary_cell_count(t, true, EXACT, h->count);
	summary_cell_age(t, h->age, h->held_s);
	table_cell(t, what[h->what]);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)h->goroutine);
	table_cell(t, h->goroutine ? text : "-");
	table_cell(t, p->driver[0] ? p->driver : "?");
	snprintf(cell, sizeof(cell), "%s%s", h->place_is_now ? "now " : "",
		 h->place.function ? words_place_short(&h->place, place, sizeof(place)) : "?");
	table_cell(t, cell);
}

static void holders_fill(const struct window *w, int max, struct table *t)
{
	uint64_t more = 0;

	for (int i = 0; i < w->sql->npool; i++)
		for (int k = 0; k < w->sql->pool[i].nholder; k++) {
			if (max-- > 0)
				holder_cells(t, &w->sql->pool[i], &w->sql->pool[i].holder[k]);
			else
				more++;
		}
	if (more)
		more_row(t, more, 2);
}

/* ---- locks ---- */

static bool any_locks(const struct window *w)
{
	return (w->locks->known && w->locks->nrow) || (w->locks->waits_known && w->locks->waits);
}

static void locks_sentence(const struct window *w, struct buf *out)
{
	const struct locks_window *c = w->locks;
	uint64_t waiters = 0;

	for (int i = 0; i < c->nrow; i++)
		waiters += c->row[i].waiters;
	if (c->known)
		add_plural(out, "", waiters, "goroutine", "s");
	if (c->known)
		buf_puts(out, waiters == 1 ? " waits for a lock" : " wait for locks");
	if (!c->waits_known || !c->waits)
		return;
	add_plural(out, c->known ? (c->exactness == EXACT ? "; " : "; ~") : "", c->waits, "wait",
		   "s");
	add_ns(out, " ended, p50 ", c->p50_ns);
	add_ns(out, ", p99 ", c->p99_ns);
	add_ns(out, ", max ", c->max_ns);
}

static const struct table_column lock_column[] = {
	{ .head = "waiting", .right = true },
	{ .head = "before", .right = true },
	{ .head = "longest", .right = true },
	{ .head = "lock" },
	{ .head = "at", .min = 22, .keep_end = true },
	{ .head = "its holder is now at", .min = 20, .keep_end = true },
};

static void lock_row(struct table *t, const void *row, int nrest)
{
	const struct lock_wait_row *r = row;

	cell_some(t, r->waiters);
	cell_some(t, r->waiters_before);
	summary_cell_age(t, r->age, r->longest_s);
	table_cell(t, nrest ? "" : r->kind ? r->kind : "?");
	if (nrest)
		cell_rest(t, nrest);
	else
		cell_known_place(t, &r->place, "?");
	cell_known_place(t, &r->holder_at, nrest ? "" : "-");
}

static void locks_fill(const struct window *w, int max, struct table *t)
{
	fill(t, LIST_LOCKS, w->locks->row, w->locks->nrow, max, lock_row);
}

/* In the order in which one asks: where does time go, what hangs, who asked for it. */
const struct net_part net_parts[NET_PARTS] = {
	{ "network", any_phases, phases_sentence, COLUMNS(phase_column), 20, phases_fill },
	{ "in flight", any_in_flight, in_flight_sentence, COLUMNS(in_flight_column), 8,
	  in_flight_fill },
	{ "clients", any_clients, clients_sentence, COLUMNS(client_column), 10, clients_fill },
	{ "unclosed", any_unclosed, unclosed_sentence, COLUMNS(body_column), 10, unclosed_fill },
	{ "connections", any_connections, connections_sentence, COLUMNS(connection_column), 10,
	  connections_fill },
	{ "servers", any_servers, servers_sentence, COLUMNS(server_column), 10, servers_fill },
	{ "grpc", any_grpc, grpc_sentence, COLUMNS(grpc_column), 10, grpc_fill },
	{ "sql", any_pools, pools_sentence, COLUMNS(pool_column), 10, pools_fill },
	{ "held by", any_holders, holders_sentence, COLUMNS(holder_column), 10, holders_fill },
	{ "locks", any_locks, locks_sentence, COLUMNS(lock_column), 10, locks_fill },
};

/* ---- for the live screen ---- */

/* The row in which most time went. */
static const struct net_phase_row *slowest(const struct net_window *n)
{
	const struct net_phase_row *best = NULL;

	for (int i = 0; n->phases_known && i < n->nphase; i++)
		if (!n->phase[i].other && (!best || n->phase[i].total_ns > best->total_ns))
			best = &n->phase[i];
	return best;
}

static uint64_t phase_errors(const struct net_window *n)
{
	uint64_t errors = 0;

	for (int i = 0; n->phases_known && i < n->nphase; i++)
		errors += n->phase[i].errors;
	return errors;
}

void net_parts_network(const struct window *w, struct buf *out)
{
	const struct net_window *n = w->net;
	const struct net_phase_row *p = slowest(n);

	if (!p && !n->in_flight_total && !unclosed(w))
		return;
	if (n->known) {
		summary_add_count(out, "", n->in_flight_total, " in flight");
		if (n->nin_flight && n->in_flight[0].age != AGE_UNKNOWN)
			summary_add_seconds(out, n->in_flight[0].age == AGE_AT_LEAST ? " (>" : " (",
					    n->in_flight[0].since_s, ")");
	}
	if (unclosed(w))
		summary_add_count(out, ", ", unclosed(w), " unclosed");
	if (phase_errors(n))
		add_plural(out, out->len ? ", " : "", phase_errors(n), "error", "s");
	if (!p)
		return;
	buf_printf(out, "%s%s", out->len ? "; " : "", net_phase_name(p->phase));
	add_ns(out, " p50 ", p->p50_ns);
	summary_add_name(out, " at ", p->host, 40);
}

/* The pool that is worst off, and how many others there are. */
void net_parts_pools(const struct window *w, struct buf *out)
{
	const struct sql_pool *p = any_pools(w) ? &w->sql->pool[0] : NULL;

	for (int i = 1; p && i < w->sql->npool; i++)
		if (w->sql->pool[i].waiters > p->waiters ||
		    (w->sql->pool[i].waiters == p->waiters && w->sql->pool[i].in_use > p->in_use))
			p = &w->sql->pool[i];
	if (!p)
		return;
	summary_add_name(out, "", p->driver, 32);
	summary_add_count(out, " ", p->in_use, "");
	if (p->max_open > 0)
		summary_add_count(out, " of ", (uint64_t)p->max_open, "");
	buf_puts(out, " in use");
	if (p->waiters)
		summary_add_count(out, ", ", p->waiters, " waiting");
	if (p->waiters && p->age != AGE_UNKNOWN)
		summary_add_seconds(out, p->age == AGE_AT_LEAST ? " (>" : " (", p->longest_wait_s,
				    ")");
	if (p->transactions_open)
		add_plural(out, ", ", p->transactions_open, "open transaction", "s");
	if (p->transactions_open && p->transaction_age != AGE_UNKNOWN)
		summary_add_seconds(out, p->transaction_age == AGE_AT_LEAST ? " (>" : " (",
				    p->oldest_transaction_s, ")");
	if (w->sql->npool > 1)
		add_plural(out, "; ", (uint64_t)w->sql->npool - 1, "more pool", "s");
}
