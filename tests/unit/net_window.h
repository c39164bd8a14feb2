/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A window of a program with every fault that the sensors net, sql and locks
 * see, written by hand: for the tests of detectors and of reports.
 */
#ifndef GOSPECT_TESTS_NET_WINDOW_H
#define GOSPECT_TESTS_NET_WINDOW_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observe/window.h"

#define PLACE(f, file_, line_) ((struct place){ .function = f, .file = file_, .line = line_ })
#define AT_CHARGE              PLACE("main.charge", "charge.go", 52)
#define AT_STATUS              PLACE("main.statusOnly", "check.go", 19)
#define AT_TX                  PLACE("main.holdTx", "tx.go", 96)
#define AT_QUERY               PLACE("main.(*Store).load", "store.go", 33)
#define AT_LOCK                PLACE("main.(*Cache).Get", "cache.go", 71)
#define API                    "api.example.com:443"
#define NS_MS                  1000000ull

/* An idle program in which the sensors see everything and find nothing. */
static inline void net_window_init(struct window *w)
{
	if (window_init(w))
		abort();
	w->pid = 4242;
	w->end_real_ns = 1795341605ull * 1000000000; /* 2026-11-22T10:00:05Z */
	w->window_s = 5;
	w->observed_s = 20;
	w->exe = "/srv/shop";
	w->go = "go1.26.8";
	w->module = "example.com/shop";
	w->cost_target_pct = 0.41;
	w->budget_pct = 1;
	w->memory->gc.cpu_pct = -1;
	w->memory->gc.memory_limit_bytes = -1;
	w->ncoverage = 3;
	w->coverage[0].sensor = SENSOR_NET;
	w->coverage[1].sensor = SENSOR_SQL;
	w->coverage[2].sensor = SENSOR_LOCKS;
	w->net->known = w->net->phases_known = w->sql->known = w->locks->known = true;
}

/* One more zeroed row of an array that the window owns. */
#define MORE(array, n) more_row((void **)&(array), &(n), sizeof(*(array)))
static inline void *more_row(void **array, int *n, size_t size)
{
	char *p = realloc(*array, ((size_t)*n + 1) * size);

	if (!p)
		abort();
	*array = p;
	memset(p + (size_t)*n * size, 0, size);
	return p + (size_t)(*n)++ * size;
}

static inline struct net_phase_row *add_phase(struct window *w, const char *host,
					      enum net_phase phase, uint64_t count, uint64_t p50_ms)
{
	struct net_phase_row *p = MORE(w->net->phase, w->net->nphase);

	snprintf(p->host, sizeof(p->host), "%s", host);
	p->phase = phase;
	p->count = count;
	p->timed = 120;
	p->p50_ns = p50_ms * NS_MS;
	p->p99_ns = p->p50_ns * 3 / 2;
	p->max_ns = p->p50_ns * 2;
	p->total_ns = count * p->p50_ns;
	return p;
}

static inline struct net_request *add_request(struct window *w, const char *host, int phase,
					      double since_s)
{
	struct net_request *r = MORE(w->net->in_flight, w->net->nin_flight);

	w->net->in_flight_total++;
	snprintf(r->host, sizeof(r->host), "%s", host);
	r->phase = phase;
	r->since_s = since_s;
	r->age = AGE_EXACT;
	r->goroutine = 4711;
	r->place = AT_CHARGE;
	return r;
}

static inline struct net_client *add_client(struct window *w, uint64_t hanging, double longest_s)
{
	struct net_client *c = MORE(w->net->client, w->net->nclient);

	c->place = AT_CHARGE;
	c->timeout = c->deadline = c->cancel = KNOWN_NO;
	c->requests_known = true;
	c->in_flight = c->hanging = hanging;
	c->longest_in_flight_s = c->longest_hanging_s = longest_s;
	c->age = c->hanging_age = AGE_EXACT;
	return c;
}

static inline struct net_body_row *add_unclosed(struct window *w, const char *host, uint64_t count,
						uint64_t before, double oldest_s)
{
	struct net_body_row *r = MORE(w->net->unclosed, w->net->nunclosed);

	snprintf(r->host, sizeof(r->host), "%s", host);
	r->place = AT_STATUS;
	r->count = count;
	r->count_before = before;
	r->oldest_s = oldest_s;
	r->age = AGE_AT_LEAST;
	return r;
}

static inline struct net_connections *add_connections(struct window *w, const char *host,
						      uint64_t open, uint64_t idle, uint64_t dials)
{
	struct net_connections *c = MORE(w->net->connection, w->net->nconnection);

	snprintf(c->host, sizeof(c->host), "%s", host);
	c->protocol = "http/1.1";
	c->open = open;
	c->idle = idle;
	c->dials = dials;
	c->max_idle_per_host = 2;
	c->max_streams = -1;
	return c;
}

static inline struct sql_pool *add_pool(struct window *w, int64_t max_open, uint64_t in_use,
					uint64_t waiters, double wait_s)
{
	struct sql_pool *p = MORE(w->sql->pool, w->sql->npool);

	strcpy(p->driver, "*pq.Driver");
	p->max_open = max_open;
	p->open = p->in_use = in_use;
	p->waiters = waiters;
	p->longest_wait_s = wait_s;
	p->age = waiters ? AGE_EXACT : AGE_UNKNOWN;
	return p;
}

static inline struct sql_holder *add_holder(struct sql_pool *p, enum sql_holding what,
					    uint64_t count, double held_s, struct place place)
{
	struct sql_holder *h = MORE(p->holder, p->nholder);

	h->what = what;
	h->count = count;
	h->held_s = held_s;
	h->age = AGE_EXACT;
	h->place = place;
	h->goroutine = 31;
	if (what == SQL_TRANSACTION) {
		p->transactions_open += count;
		p->transaction_age = AGE_EXACT;
		if (held_s > p->oldest_transaction_s)
			p->oldest_transaction_s = held_s;
	}
	return h;
}

static inline struct lock_wait_row *add_lock(struct window *w, uint64_t waiters, uint64_t before,
					     double longest_s)
{
	struct lock_wait_row *r = MORE(w->locks->row, w->locks->nrow);

	r->kind = "sync.Mutex";
	r->lock = 0xc000123450ull + (uint64_t)w->locks->nrow;
	r->place = AT_LOCK;
	r->waiters = waiters;
	r->waiters_before = before;
	r->longest_s = longest_s;
	r->age = AGE_EXACT;
	return r;
}

static inline struct net_server *add_server(struct window *w, uint64_t requests, uint64_t hanging)
{
	struct net_server *s = MORE(w->net->server, w->net->nserver);

	s->place = PLACE("main.(*Shop).cart", "cart.go", 30);
	strcpy(s->pattern, "GET /cart/{id}");
	s->requests_known = true;
	s->requests = requests;
	s->no_read_timeout = true;
	s->hanging = hanging;
	return s;
}

#define INVENTORY "inventory.shop.svc.cluster.local:8080"

static inline void faulty_clients(struct window *w)
{
	struct net_client *c = add_client(w, 7, 14.2);

	c->requests = 12;
	c->errors = 2;
	c->timed = 120;
	c->p50_ns = 40 * NS_MS;
	c->p99_ns = 900 * NS_MS;
	c->max_ns = 950 * NS_MS;
	c = add_client(w, 0, 0);
	c->place = PLACE("example.com/shop/internal/inventory.(*Client).Reserve", "client.go", 118);
	c->timeout = KNOWN_YES;
	c->timeout_s = 30;
	c->deadline = UNKNOWN;
	c->cancel = UNKNOWN;
	c->requests = 12050;
	c->margin = 440;
	c->in_flight = 3;
	c->longest_in_flight_s = 2.2;
	c->age = AGE_AT_LEAST;
	c->exactness = SAMPLED;
	c->rate = 0.25;
}

static inline void faulty_in_flight(struct window *w)
{
	struct net_request *r;

	for (int i = 0; i < 7; i++) {
		r = add_request(w, API, i < 5 ? NET_CONNECT : NET_TTFB, 14.2 - i);
		r->timeout = r->deadline = r->cancel = KNOWN_NO;
		r->goroutine = 4711 + (uint64_t)i;
	}
	r = add_request(w, INVENTORY, NET_BODY, 2.2);
	r->timeout = KNOWN_YES;
	r->timeout_s = 30;
	r->age = AGE_AT_LEAST;
	r = add_request(w, INVENTORY, NET_TTFB, 0.2);
	r->deadline = KNOWN_YES;
	r = add_request(w, "", -1, 0); /* nothing is known of it */
	r->age = AGE_UNKNOWN;
	r->goroutine = 0;
	r->place = (struct place){ 0 };
}

static inline void faulty_phases(struct window *w)
{
	struct net_phase_row *p;

	p = add_phase(w, API, NET_DNS, 12, 121);
	p->busiest = AT_CHARGE;
	p->before_count = 40;
	p->before_p50_ns = 2 * NS_MS;
	add_phase(w, API, NET_CONNECT, 12, 4)->errors = 2;
	add_phase(w, API, NET_TLS, 10, 11);
	add_phase(w, API, NET_TTFB, 10, 20);
	p = add_phase(w, INVENTORY, NET_BODY, 12050, 1);
	p->exactness = SAMPLED;
	p->rate = 0.25;
	p = add_phase(w, INVENTORY, NET_TTFB, 12050, 3);
	p->exactness = SAMPLED;
	p->rate = 0.25;
}

static inline void faulty_rest(struct window *w)
{
	struct net_server *s = add_server(w, 900, 40);
	struct net_grpc *g = MORE(w->net->grpc, w->net->ngrpc);
	struct lock_wait_row *l = add_lock(w, 30, 28, 4.2);

	s->p50_ns = 4 * NS_MS;
	s->p99_ns = 40 * NS_MS;
	s->timed = 120;
	s->max_ns = 14000 * NS_MS;
	s->in_flight = 3;
	s->longest_in_flight_s = 14.1;
	s->age = AGE_EXACT;
	strcpy(g->method, "/shop.v1.Stock/Reserve");
	g->calls_known = true;
	g->calls = 300;
	g->errors = 1;
	g->p50_ns = 2 * NS_MS;
	g->p99_ns = 8 * NS_MS;
	g->timed = 120;
	g->max_ns = 9 * NS_MS;
	g->place = AT_CHARGE;
	l->holder = 12;
	l->holder_at = PLACE("main.(*Cache).fill", "cache.go", 90);
	w->locks->waits_known = true;
	w->locks->waits = 40222;
	w->locks->p50_ns = 51000;
	w->locks->p99_ns = 4 * NS_MS;
	w->locks->timed = 120;
	w->locks->max_ns = 4200 * NS_MS;
	w->locks->exactness = SAMPLED;
	w->locks->rate = 0.5;
}

/* Every fault at once, and every field set somewhere. */
static inline void net_window_faulty(struct window *w)
{
	struct net_connections *c;
	struct sql_pool *p;

	net_window_init(w);
	faulty_clients(w);
	faulty_in_flight(w);
	faulty_phases(w);
	add_unclosed(w, API, 38, 8, 610);
	add_unclosed(w, API, 12, 12, 900)->place = (struct place){ 0 };
	add_connections(w, API, 52, 2, 12)->waiting = 1;
	c = add_connections(w, INVENTORY, 1, 0, 0);
	c->protocol = "h2";
	c->max_per_host = c->max_idle_per_host = -1;
	c->streams = 1;
	c->max_streams = 250;
	c->holder[c->nholder++] = (struct net_holder){ AT_CHARGE, 1, 0 };
	p = add_pool(w, 4, 4, 20, 9.8);
	p->wait_count_total = 20441;
	p->wait_ns_total = 88000 * NS_MS;
	p->waits_at = AT_QUERY;
	add_holder(p, SQL_TRANSACTION, 2, 12.1, AT_TX);
	add_holder(p, SQL_ROWS, 2, 3.1, AT_QUERY)->place_is_now = true;
	add_pool(w, 0, 0, 0, 0)->driver[0] = '\0';
	faulty_rest(w);
}

#endif
