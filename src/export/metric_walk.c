/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process by its last walk: goroutines by state and site, requests and connections
 * by host, handlers, pools.  Tables are cut to the largest rows; the rest is one row "other".
 */
#include "export/metric.h"

#include <stdio.h>
#include <string.h>

#define MAX_HOSTS    10
#define MAX_HANDLERS 10
#define MAX_POOLS    20
#define MAX_STATES   30
#define HOST_SIZE    (WINDOW_MAX_HOST + 1)

static const struct window *window(const struct metric_from *from)
{
	return from->process->walk ? &from->process->walk->window : NULL;
}

static const struct goroutines_window *goroutines(const struct metric_from *from)
{
	const struct window *w = window(from);

	return w && w->goroutines->known ? w->goroutines : NULL;
}

static void states(const struct metric_from *from, struct metric_sink *to)
{
	const struct goroutines_window *g = goroutines(from);
	uint64_t rest = 0;

	for (int i = 0; g && i < g->nstate; i++)
		if (i < MAX_STATES)
			metric_put1(to, (double)g->state[i].count, "state", g->state[i].state);
		else
			rest += g->state[i].count;
	if (rest)
		metric_put1(to, (double)rest, "state", "other");
}

/* ---- by site ---- */

static void put_site(struct metric_sink *to, double value, const struct place *p)
{
	char line[16] = "";
	const struct metric_label label[] = {
		{ "code.function.name", p && p->function ? p->function : "other" },
		{ "code.file.path", p && p->file ? p->file : "" },
		{ "code.line.number", line },
	};

	if (p && p->line > 0)
		snprintf(line, sizeof(line), "%d", p->line);
	to->put(to, value, label, 3);
}

/* Whether a row is one of its own: sites are sorted by size. */
static bool is_own(const struct metric_from *from, const struct site_row *s, int i)
{
	return !s->other && s->place.function && (uint32_t)i < from->config->max_sites;
}

static void site_live(const struct metric_from *from, struct metric_sink *to)
{
	const struct goroutines_window *g = goroutines(from);
	uint64_t rest = 0;

	for (int i = 0; g && i < g->nsite; i++)
		if (is_own(from, &g->site[i], i))
			put_site(to, (double)g->site[i].live, &g->site[i].place);
		else
			rest += g->site[i].live;
	if (rest)
		put_site(to, (double)rest, NULL);
}

static void site_oldest(const struct metric_from *from, struct metric_sink *to)
{
	const struct goroutines_window *g = goroutines(from);
	double rest = -1;

	for (int i = 0; g && i < g->nsite; i++) {
		const struct site_row *s = &g->site[i];

		if (s->age == AGE_UNKNOWN || !s->live)
			continue;
		if (is_own(from, s, i))
			put_site(to, s->oldest_s, &s->place);
		else if (s->oldest_s > rest)
			rest = s->oldest_s;
	}
	if (rest >= 0)
		put_site(to, rest, NULL);
}

/* Rows of leaks of one site, by what they wait for, are one series. */
static void site_leaked(const struct metric_from *from, struct metric_sink *to)
{
	const struct goroutines_window *g = goroutines(from);
	const struct leaks_window *l =
		g && g->leaks.verdict != LEAKS_VERDICT_OFF ? &g->leaks : NULL;
	uint64_t rest = 0;
	uint32_t own = 0;

	for (int i = 0; l && i < l->nrow; i++) {
		const struct place *p = &l->row[i].place;
		uint64_t n = 0;
		bool before = false;

		if (l->row[i].by_design)
			continue;
		for (int k = 0; k < l->nrow; k++)
			if (!l->row[k].by_design && place_equal(&l->row[k].place, p)) {
				before = before || k < i;
				n += l->row[k].count;
			}
		if (l->row[i].other || !p->function)
			rest += l->row[i].count;
		else if (!before && own++ < from->config->max_sites)
			put_site(to, (double)n, p);
		else if (!before)
			rest += n;
	}
	if (rest)
		put_site(to, (double)rest, NULL);
}

/* ---- by host ---- */

static const struct net_window *net(const struct metric_from *from)
{
	const struct window *w = window(from);

	return w && w->net->known ? w->net : NULL;
}

struct host_sum {
	char host[HOST_SIZE]; /* "" : the rest */
	double value[2];
};

/* Sums by host; the last is that of the rest. */
struct by_host {
	struct host_sum row[MAX_HOSTS + 1];
	int n;
	bool rest;
};

static struct host_sum *of_host(struct by_host *b, const char *host)
{
	for (int i = 0; *host && i < b->n; i++)
		if (!strcmp(b->row[i].host, host))
			return &b->row[i];
	if (!*host || b->n == MAX_HOSTS) {
		b->rest = true;
		return &b->row[MAX_HOSTS];
	}
	snprintf(b->row[b->n].host, HOST_SIZE, "%s", host);
	return &b->row[b->n++];
}

/* "api.example.com:443", "[::1]:80": address and port. */
static void put_host(struct metric_sink *to, double value, const char *host, const char *state)
{
	const char *colon = strrchr(host, ':');
	char address[HOST_SIZE];
	struct metric_label label[3] = { { "server.address", address },
					 { "server.port", colon ? colon + 1 : "" },
					 { "http.connection.state", state } };
	size_t n = colon ? (size_t)(colon - host) : strlen(host);

	if (n > 1 && host[0] == '[' && host[n - 1] == ']')
		snprintf(address, sizeof(address), "%.*s", (int)n - 2, host + 1);
	else
		snprintf(address, sizeof(address), "%.*s", (int)n, *host ? host : "other");
	if (!*host) /* the words for it have no colon */
		snprintf(address, sizeof(address), "other");
	to->put(to, value, label, 3);
}

static void put_by_host(struct metric_sink *to, const struct by_host *b)
{
	for (int i = 0; i < b->n; i++)
		put_host(to, b->row[i].value[0], b->row[i].host, "");
	if (b->rest)
		put_host(to, b->row[MAX_HOSTS].value[0], "", "");
}

static void connections(const struct metric_from *from, struct metric_sink *to)
{
	const struct net_window *n = net(from);
	struct by_host b = { 0 };

	for (int i = 0; n && i < n->nconnection; i++) {
		const struct net_connections *c = &n->connection[i];
		struct host_sum *h = of_host(&b, c->other ? "" : c->host);
		uint64_t idle = c->idle < c->open ? c->idle : c->open;

		h->value[0] += (double)(c->open - idle);
		h->value[1] += (double)idle;
	}
	for (int i = 0; i <= MAX_HOSTS; i++) {
		if (i >= b.n && (i < MAX_HOSTS || !b.rest))
			continue;
		put_host(to, b.row[i].value[0], b.row[i].host, "active");
		put_host(to, b.row[i].value[1], b.row[i].host, "idle");
	}
}

/* Hosts with connections have zero of what there may be. */
static void of_connections(struct by_host *b, const struct net_window *n)
{
	for (int i = 0; n && i < n->nconnection && b->n < MAX_HOSTS; i++)
		if (!n->connection[i].other)
			of_host(b, n->connection[i].host);
}

static bool any(const struct net_request *r)
{
	(void)r;
	return true;
}

static bool has_no_limit(const struct net_request *r)
{
	return r->timeout == KNOWN_NO && r->deadline == KNOWN_NO && r->cancel == KNOWN_NO;
}

static void requests(const struct metric_from *from, struct metric_sink *to,
		     bool (*counts)(const struct net_request *r), bool all)
{
	const struct net_window *n = net(from);
	struct by_host b = { 0 };

	of_connections(&b, n);
	for (int i = 0; n && i < n->nin_flight; i++)
		of_host(&b, n->in_flight[i].host)->value[0] += counts(&n->in_flight[i]);
	if (all && n && n->in_flight_total > (uint64_t)n->nin_flight)
		of_host(&b, "")->value[0] += (double)(n->in_flight_total - (uint64_t)n->nin_flight);
	put_by_host(to, &b);
}

static void active_requests(const struct metric_from *from, struct metric_sink *to)
{
	requests(from, to, any, true);
}

static void without_timeout(const struct metric_from *from, struct metric_sink *to)
{
	requests(from, to, has_no_limit, false);
}

static void oldest_request(const struct metric_from *from, struct metric_sink *to)
{
	const struct net_window *n = net(from);
	struct by_host b = { 0 };

	for (int i = 0; n && i < n->nin_flight; i++) {
		const struct net_request *r = &n->in_flight[i];
		struct host_sum *h;

		if (r->age == AGE_UNKNOWN)
			continue;
		h = of_host(&b, r->host);
		if (r->since_s > h->value[0])
			h->value[0] = r->since_s;
	}
	put_by_host(to, &b);
}

static void unclosed_bodies(const struct metric_from *from, struct metric_sink *to)
{
	const struct net_window *n = net(from);
	struct by_host b = { 0 };

	of_connections(&b, n);
	for (int i = 0; n && i < n->nunclosed; i++)
		of_host(&b, n->unclosed[i].other ? "" : n->unclosed[i].host)->value[0] +=
			(double)n->unclosed[i].count;
	put_by_host(to, &b);
}

/* Rows of one function, by route, are one series. */
static void handlers(const struct metric_from *from, struct metric_sink *to)
{
	const struct net_window *n = net(from);
	uint64_t rest = 0;
	bool has_rest = false;
	int own = 0;

	for (int i = 0; n && i < n->nserver; i++) {
		const struct net_server *s = &n->server[i];
		uint64_t sum = 0;
		bool before = false;

		for (int k = 0; s->place.function && k < n->nserver; k++)
			if (n->server[k].place.function &&
			    !strcmp(n->server[k].place.function, s->place.function)) {
				before = before || k < i;
				sum += n->server[k].in_flight;
			}
		if (before)
			continue;
		if (!s->other && s->place.function && own < MAX_HANDLERS) {
			own++;
			metric_put1(to, (double)sum, "code.function.name", s->place.function);
		} else {
			has_rest = true;
			rest += s->place.function ? sum : s->in_flight;
		}
	}
	if (has_rest)
		metric_put1(to, (double)rest, "code.function.name", "other");
}

/* ---- pools ---- */

#define POOL_NAME_SIZE 128
/* The driver, and which of the pools it is. */
static char *pool_name(const struct sql_pool *p, int i, char *out)
{
	snprintf(out, POOL_NAME_SIZE, "%s/%d", p->driver, i + 1);
	return out;
}

static int npools(const struct window *w)
{
	int n = w && w->sql->known ? w->sql->npool : 0;

	return n < MAX_POOLS ? n : MAX_POOLS;
}

static void pools(const struct metric_from *from, struct metric_sink *to,
		  double (*value)(const struct sql_pool *p))
{
	const struct window *w = window(from);
	char name[POOL_NAME_SIZE];

	for (int i = 0; i < npools(w); i++) {
		double v = value(&w->sql->pool[i]);

		if (v >= 0) /* less: not known */
			metric_put1(to, v, "db.client.connection.pool.name",
				    pool_name(&w->sql->pool[i], i, name));
	}
}

/* As the semantic conventions have it. */
static void sql_connections(const struct metric_from *from, struct metric_sink *to)
{
	const struct window *w = window(from);
	char name[POOL_NAME_SIZE];

	for (int i = 0; i < npools(w); i++) {
		const struct sql_pool *p = &w->sql->pool[i];
		struct metric_label label[] = {
			{ "db.client.connection.pool.name", pool_name(p, i, name) },
			{ "db.client.connection.state", "used" },
		};

		to->put(to, (double)p->in_use, label, 2);
		label[1].value = "idle";
		to->put(to, (double)p->idle, label, 2);
	}
}

/* name(from, to) puts VALUE of each pool; < 0: it has none. */
#define POOL(name, expression)                                                   \
	static double name##_of(const struct sql_pool *p)                        \
	{                                                                        \
		return (expression);                                             \
	}                                                                        \
	static void name(const struct metric_from *from, struct metric_sink *to) \
	{                                                                        \
		pools(from, to, name##_of);                                      \
	}

POOL(sql_open, (double)p->open)
POOL(sql_in_use, (double)p->in_use)
POOL(sql_idle, (double)p->idle)
POOL(sql_max_open, p->max_open >= 0 ? (double)p->max_open : -1)
POOL(sql_waiters, (double)p->waiters)
POOL(sql_wait_count, p->library == SQL_STD ? (double)p->wait_count_total : -1)
POOL(sql_wait_time, p->library == SQL_STD ? (double)p->wait_ns_total / 1e9 : -1)
POOL(sql_transactions, p->library == SQL_STD ? (double)p->transactions_open : -1)
POOL(sql_oldest_transaction,
     p->transactions_open && p->transaction_age != AGE_UNKNOWN ? p->oldest_transaction_s : -1)

const struct metric metrics_walk[] = {
	{ "gospect_goroutines", "gospect.goroutine.state.count", METRIC_AMOUNT, "{goroutine}",
	  "Goroutines by state or wait reason.", states },
	{ "gospect_http_client_unclosed_bodies", "gospect.http.client.unclosed_bodies",
	  METRIC_AMOUNT, "{body}", "Responses that are neither read to the end nor closed.",
	  unclosed_bodies },
	{ "http_client_active_requests", "http.client.active_requests", METRIC_AMOUNT, "{request}",
	  "HTTP client requests in flight, by host.", active_requests },
	{ "gospect_http_client_active_requests_without_timeout",
	  "gospect.http.client.active_requests_without_timeout", METRIC_AMOUNT, "{request}",
	  "Of them, those known to have no timeout, deadline or cancellation.", without_timeout },
	{ "gospect_http_client_oldest_request_seconds", "gospect.http.client.oldest_request",
	  METRIC_GAUGE, "s", "Age of the oldest HTTP client request in flight, at least as long.",
	  oldest_request },
	{ "http_client_open_connections", "http.client.open_connections", METRIC_AMOUNT,
	  "{connection}", "Connections of HTTP clients, from their own pools.", connections },
	{ "gospect_http_server_active_requests", "gospect.http.server.active_requests",
	  METRIC_AMOUNT, "{request}", "HTTP handlers running now.", handlers },
	{ NULL, "db.client.connection.count", METRIC_AMOUNT, "{connection}",
	  "Connections of a database pool, used and idle.", sql_connections },
	{ "go_sql_open_connections", NULL, METRIC_AMOUNT, "{connection}",
	  "Connections of a database pool.", sql_open },
	{ "go_sql_in_use_connections", NULL, METRIC_AMOUNT, "{connection}", "Of them, in use.",
	  sql_in_use },
	{ "go_sql_idle_connections", NULL, METRIC_AMOUNT, "{connection}", "Of them, idle.",
	  sql_idle },
	{ "go_sql_max_open_connections", "db.client.connection.max", METRIC_AMOUNT, "{connection}",
	  "Most connections that the pool may open; 0: no limit.", sql_max_open },
	{ "gospect_sql_waiters", "db.client.connection.pending_requests", METRIC_AMOUNT,
	  "{request}", "Goroutines that wait for a connection.", sql_waiters },
	{ "go_sql_wait_count", "gospect.sql.wait.count", METRIC_COUNTER, "{wait}",
	  "Waits for a connection.", sql_wait_count },
	{ "go_sql_wait_duration_seconds", "gospect.sql.wait.time", METRIC_COUNTER, "s",
	  "Time spent waiting for a connection.", sql_wait_time },
	{ "gospect_sql_transactions", "gospect.sql.transactions", METRIC_AMOUNT, "{transaction}",
	  "Open transactions.", sql_transactions },
	{ "gospect_sql_oldest_transaction_seconds", "gospect.sql.oldest_transaction", METRIC_GAUGE,
	  "s", "Age of the oldest open transaction, at least as long.", sql_oldest_transaction },
	{ "gospect_goroutine_site_leaked", "gospect.goroutine.site.leaked", METRIC_AMOUNT,
	  "{goroutine}", "Goroutines that can never run again, by the go statement that made them.",
	  site_leaked },
	{ "gospect_goroutine_site_live", "gospect.goroutine.site.live", METRIC_AMOUNT,
	  "{goroutine}", "Goroutines by the go statement that made them, the largest sites.",
	  site_live },
	{ "gospect_goroutine_site_oldest_seconds", "gospect.goroutine.site.oldest", METRIC_GAUGE,
	  "s", "Age of the oldest goroutine of a site, at least as long.", site_oldest },
	{ NULL, NULL, METRIC_GAUGE, NULL, NULL, NULL },
};
