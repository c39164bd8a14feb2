/* SPDX-License-Identifier: BSD-2-Clause */
/* The rows of a window: what the latest look saw, joined with what probes counted. */
#include "net/priv.h"
#include "base/vec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "model/place.h"
#include "model/stacktable.h"
#include "trace/trace.h"
#include "net/window.h"

#define MAX_ROWS      10000 /* of one table; beyond: the row "other" */
#define MAX_IN_FLIGHT 1000
#define HANGS_NS \
	(3 * NS_PER_S) /* in flight for longer, or for HANGS_P99 times what is usual there */
#define HANGS_P99 10

/* Rows by key. */
struct rowset {
	struct bytesmap index;
	uint8_t *row; /* owned until taken */
	size_t n, cap, size;
	size_t other; /* index + 1 of the rest; 0 none */
};

static void rowset_init(struct rowset *s, size_t size)
{
	memset(s, 0, sizeof(*s));
	s->size = size;
	bytesmap_init(&s->index, MAX_ROWS);
}

static void rowset_deinit(struct rowset *s)
{
	bytesmap_deinit(&s->index);
	free(s->row);
}

/* The rows, for the window. */
static void *rowset_take(struct rowset *s, int *n)
{
	void *row = s->row;

	*n = (int)s->n;
	s->row = NULL;
	return row;
}

/* The row of a key, zeroed when *made.  *other: there is no more room, it is
 * the row of the rest.  NULL: no memory. */
static void *rowset_put(struct rowset *s, const void *key, size_t len, bool *made, bool *other)
{
	uint64_t *at = bytesmap_put(&s->index, key, len, s->n, made);

	*other = !at;
	if (!at) {
		*made = !s->other;
		if (s->other)
			return s->row + (s->other - 1) * s->size;
	} else if (!*made) {
		return s->row + *at * s->size;
	}
	if (array_room(&s->row, s->n, &s->cap, s->size))
		return NULL;
	if (!at)
		s->other = s->n + 1;
	memset(s->row + s->n * s->size, 0, s->size);
	return s->row + s->n++ * s->size;
}

struct fill {
	struct netwatch *nw;
	const struct gowalk *w;
	const struct gostacks *gs;
	const uint32_t *stack_of;
	struct trace *trace;
	const struct trace_reading *base, *now; /* base may be NULL */
	const struct netwatch_probes *p;
	struct net_window *out;
	struct bytesmap base_call; /* key of a call -> index in base */
};

static double age_s(const struct fill *f, uint64_t start_ns)
{
	uint64_t now = f->nw->cur.now_ns;

	return start_ns && now > start_ns ? (double)(now - start_ns) / 1e9 : 0;
}

static void set_host(const struct fill *f, uint32_t host, char out[WINDOW_MAX_HOST + 1])
{
	snprintf(out, WINDOW_MAX_HOST + 1, "%s", f->nw->host[host]);
}

static uint64_t scaled(uint64_t n, bool sampled, double rate)
{
	return sampled && rate > 0 ? (uint64_t)((double)n / rate + 0.5) : n;
}

/* ---- histograms of a window ---- */

static void hist_add(struct trace_hist *to, const struct trace_hist *now,
		     const struct trace_hist *base)
{
	to->count += now->count - (base ? base->count : 0);
	to->sum_ns += now->sum_ns - (base ? base->sum_ns : 0);
	for (int i = 0; i < TRACE_HIST_BUCKETS; i++)
		to->bucket[i] += now->bucket[i] - (base ? base->bucket[i] : 0);
	if (now->max_ns > to->max_ns)
		to->max_ns = now->max_ns;
}

struct times {
	struct trace_hist hist;
	uint64_t max_ns;
};

static void percentiles(const struct times *t, uint64_t *p50, uint64_t *p99, uint64_t *max)
{
	if (!t->hist.count)
		return;
	*p50 = trace_hist_percentile(&t->hist, NULL, 0.5);
	*p99 = trace_hist_percentile(&t->hist, NULL, 0.99);
	*max = t->max_ns;
	if (*p99 > *max && *max)
		*p99 = *max;
	if (*p50 > *max && *max)
		*p50 = *max;
}

/* ---- calls counted by probes ---- */

struct call_key {
	uint64_t pcs[TRACE_CALL_FRAMES], text, kind;
};

static struct call_key key_of_call(const struct trace_call *c)
{
	struct call_key k = { .kind = c->kind + 1,
			      .text = hash_bytes(c->text, strnlen(c->text, sizeof(c->text))) };

	memcpy(k.pcs, c->pcs, sizeof(k.pcs));
	return k;
}

static void index_base(struct fill *f)
{
	bytesmap_init(&f->base_call, 1u << 20);
	for (size_t i = 0; f->base && i < f->base->ncall; i++) {
		struct call_key k = key_of_call(&f->base->call[i]);

		bytesmap_put(&f->base_call, &k, sizeof(k), i, NULL);
	}
}

static const struct trace_call *base_of(const struct fill *f, const struct trace_call *c)
{
	struct call_key k = key_of_call(c);
	uint64_t *at = bytesmap_find(&f->base_call, &k, sizeof(k));

	return at ? &f->base->call[*at] : NULL;
}

static enum exactness requests_exactness(const struct fill *f)
{
	return f->p->requests_sliced ? SAMPLED : EXACT;
}

/* ---- clients ---- */

struct client {
	struct net_client row;
	struct times *times; /* owned; NULL: none ended */
	uint64_t longest_ns;
};

static struct client *client_of(struct rowset *s, const struct place *place)
{
	struct place_key k = place_key(place);
	bool made, other;
	struct client *c = rowset_put(s, &k, sizeof(k), &made, &other);

	if (c && made) {
		c->row.other = other;
		c->row.timeout = c->row.deadline = c->row.cancel = UNKNOWN;
		if (!other)
			c->row.place = *place;
	}
	return c;
}

static int add_times(struct times **to, const struct trace_call *now, const struct trace_call *base)
{
	if (now->hist.count == (base ? base->hist.count : 0))
		return 0;
	if (!*to)
		*to = calloc(1, sizeof(**to));
	if (!*to)
		return -ENOMEM;
	hist_add(&(*to)->hist, &now->hist, base ? &base->hist : NULL);
	if (now->max_ns_window > (*to)->max_ns)
		(*to)->max_ns = now->max_ns_window;
	return 0;
}

static int count_calls(struct fill *f, struct rowset *s)
{
	int err = 0;

	for (size_t i = 0; f->now && f->p->calls && i < f->now->ncall && !err; i++) {
		const struct trace_call *c = &f->now->call[i], *b;
		struct place place = { 0 };
		struct client *row;
		uint64_t begun, errors;

		if (c->kind != CALL_HTTP)
			continue;
		b = base_of(f, c);
		begun = c->begun - (b ? b->begun : 0);
		errors = c->errors - (b ? b->errors : 0);
		if (!begun && !errors && c->hist.count == (b ? b->hist.count : 0))
			continue;
		if (!c->other)
			netplace_of_pcs(f->nw->rt, c->pcs, (int)c->npcs, false, &place);
		row = client_of(s, &place);
		if (!row)
			return -ENOMEM;
		row->row.other = row->row.other || c->other;
		row->row.requests += scaled(begun, f->p->requests_sliced, f->p->requests_rate);
		row->row.errors += scaled(errors, f->p->requests_sliced, f->p->requests_rate);
		err = add_times(&row->times, c, b);
	}
	return err;
}

static bool has_no_limit(const struct net_limits *l)
{
	return l->timeout == KNOWN_NO && l->deadline == KNOWN_NO && l->cancel == KNOWN_NO;
}

static void count_flight(const struct fill *f, struct client *c, const struct net_limits *limits,
			 int phase, uint64_t start_ns, enum age_kind age)
{
	uint64_t now = f->nw->cur.now_ns, took = now > start_ns ? now - start_ns : 0,
		 hangs = HANGS_NS;

	c->row.in_flight++;
	if (!c->longest_ns || took >= c->longest_ns) {
		c->longest_ns = took ? took : 1;
		c->row.longest_in_flight_s = (double)took / 1e9;
		c->row.age = age;
		if (!c->row.hanging && (limits->timeout != UNKNOWN || c->row.in_flight == 1)) {
			c->row.timeout = limits->timeout;
			c->row.timeout_s = (double)limits->timeout_ns / 1e9;
			c->row.deadline = limits->deadline;
			c->row.cancel = limits->cancel;
		}
	}
	if (c->row.p99_ns * HANGS_P99 > hangs)
		hangs = c->row.p99_ns * HANGS_P99;
	if (phase == NET_BODY || took <= hangs || !has_no_limit(limits))
		return;
	if (!c->row.hanging++) { /* of a place that calls in several ways, this one counts */
		c->row.timeout = c->row.deadline = c->row.cancel = KNOWN_NO;
		c->row.timeout_s = 0;
	}
	if ((double)took / 1e9 > c->row.longest_hanging_s) {
		c->row.longest_hanging_s = (double)took / 1e9;
		c->row.hanging_age = age;
	}
}

/* Where the goroutine that holds a body stands. */
static struct place holder_place(const struct fill *f, const struct net_conn *c)
{
	struct place place = { 0 };
	uint32_t stack = c->holder ? f->stack_of[c->holder - 1] : GOSTACK_UNREAD;

	if (stack < GOSTACK_MAX) {
		const struct gostack *k = &f->gs->stack[stack];

		netplace_of_pcs(f->nw->rt, f->gs->pc + k->first, (int)k->n, true, &place);
	}
	return place;
}

static struct place place_of_body(const struct fill *f, const struct net_conn *c)
{
	return c->place.function ? c->place : holder_place(f, c);
}

/* A body that a goroutine holds, and does not read just now: its request goes on. */
static bool is_held_body(const struct fill *f, const struct net_conn *c)
{
	return c->held && c->holder && nethold_is_candidate(&f->nw->cur, c);
}

static uint64_t body_start(const struct net_conn *c)
{
	return c->request_start_ns ? c->request_start_ns : c->awaits_ns;
}

static const struct net_limits no_limits_known = { UNKNOWN, UNKNOWN, UNKNOWN, 0 };

static int count_flights(struct fill *f, struct rowset *s)
{
	const struct net_look *l = &f->nw->cur;
	const struct place *last = NULL;
	struct client *c = NULL;

	for (size_t i = 0; i < l->nflight; i++) {
		const struct net_flight *r = &l->flight[i];

		if (r->dead)
			continue;
		if (!last || !place_is(last, &r->place))
			c = client_of(s, &r->place);
		if (!c)
			return -ENOMEM;
		last = &r->place;
		count_flight(f, c, &r->limits, r->phase, r->start_ns, r->age);
	}
	for (size_t i = 0; i < l->nconn; i++) {
		struct place place;

		if (!is_held_body(f, &l->conn[i]))
			continue;
		place = place_of_body(f, &l->conn[i]);
		c = client_of(s, &place);
		if (!c)
			return -ENOMEM;
		count_flight(f, c, &no_limits_known, NET_BODY, body_start(&l->conn[i]),
			     l->conn[i].request_age == AGE_EXACT ? AGE_EXACT : AGE_AT_LEAST);
	}
	return 0;
}

static int by_client(const void *a, const void *b)
{
	const struct net_client *x = a, *y = b;

	if (x->hanging != y->hanging)
		return x->hanging < y->hanging ? 1 : -1;
	if (x->requests != y->requests)
		return x->requests < y->requests ? 1 : -1;
	return x->in_flight < y->in_flight ? 1 : x->in_flight > y->in_flight ? -1 : 0;
}

static int fill_clients(struct fill *f)
{
	struct net_window *w = f->out;
	struct rowset s;
	int err;

	rowset_init(&s, sizeof(struct client));
	err = count_calls(f, &s);
	for (size_t i = 0; i < s.n; i++) {
		struct client *c = (struct client *)s.row + i;

		if (c->times) /* first: what hangs is longer than what is usual */
			percentiles(c->times, &c->row.p50_ns, &c->row.p99_ns, &c->row.max_ns);
	}
	if (!err)
		err = count_flights(f, &s);
	w->client = err ? NULL : calloc(s.n + 1, sizeof(*w->client));
	if (!w->client)
		err = -ENOMEM;
	for (size_t i = 0; i < s.n; i++) {
		struct client *c = (struct client *)s.row + i;

		free(c->times);
		if (err)
			continue;
		c->row.requests_known = f->now && f->p->calls;
		c->row.exactness = requests_exactness(f);
		c->row.rate = f->p->requests_sliced ? f->p->requests_rate : 1;
		w->client[w->nclient++] = c->row;
	}
	if (w->nclient)
		qsort(w->client, (size_t)w->nclient, sizeof(*w->client), by_client);
	rowset_deinit(&s);
	return err;
}

/* ---- requests under way ---- */

/* One of them while they are put in order: a row is large, and most are in no list. */
struct aged {
	double since_s;
	uint64_t goroutine;
	uint32_t at; /* flight, or from nflight on connection */
};

static int by_age(const void *a, const void *b)
{
	const struct aged *x = a, *y = b;

	if (x->since_s != y->since_s)
		return x->since_s < y->since_s ? 1 : -1;
	return x->goroutine < y->goroutine ? -1 : x->goroutine > y->goroutine;
}

static void put_flight(const struct fill *f, const struct net_flight *r, struct net_request *out)
{
	*out = (struct net_request){
		.phase = r->phase,
		.since_s = age_s(f, r->start_ns),
		.age = r->age,
		.goroutine = r->goid,
		.place = r->place,
		.timeout = r->limits.timeout,
		.deadline = r->limits.deadline,
		.cancel = r->limits.cancel,
		.timeout_s = (double)r->limits.timeout_ns / 1e9,
	};
	set_host(f, r->host, out->host);
}

static void put_held(const struct fill *f, const struct net_conn *c, struct net_request *out)
{
	*out = (struct net_request){
		.phase = NET_BODY,
		.since_s = age_s(f, body_start(c)),
		.goroutine = f->w->g[c->holder - 1].goid,
		.age = c->request_age == AGE_EXACT ? AGE_EXACT : AGE_AT_LEAST,
		.place = place_of_body(f, c),
	};
	set_host(f, c->request_host != NET_NO_HOST ? c->request_host : c->host, out->host);
}

/* All of them, the oldest first. */
static size_t list_aged(const struct fill *f, struct aged *all)
{
	const struct net_look *l = &f->nw->cur;
	size_t n = 0;

	for (size_t i = 0; i < l->nflight; i++)
		if (!l->flight[i].dead)
			all[n++] = (struct aged){ age_s(f, l->flight[i].start_ns),
						  l->flight[i].goid, (uint32_t)i };
	for (size_t i = 0; i < l->nconn; i++)
		if (is_held_body(f, &l->conn[i]))
			all[n++] = (struct aged){ age_s(f, body_start(&l->conn[i])),
						  f->w->g[l->conn[i].holder - 1].goid,
						  (uint32_t)(l->nflight + i) };
	qsort(all, n, sizeof(*all), by_age);
	return n;
}

static int fill_in_flight(struct fill *f)
{
	const struct net_look *l = &f->nw->cur;
	struct net_window *w = f->out;
	struct aged *all = malloc((l->nflight + l->nconn + 1) * sizeof(*all));
	size_t n = all ? list_aged(f, all) : 0, shown = n < MAX_IN_FLIGHT ? n : MAX_IN_FLIGHT;
	int err = all ? 0 : -ENOMEM;

	w->in_flight = calloc(shown + 1, sizeof(*w->in_flight));
	if (!w->in_flight)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < shown; i++) {
		if (all[i].at < l->nflight)
			put_flight(f, &l->flight[all[i].at], &w->in_flight[i]);
		else
			put_held(f, &l->conn[all[i].at - l->nflight], &w->in_flight[i]);
	}
	w->in_flight_total = n;
	w->nin_flight = err ? 0 : (int)shown;
	free(all);
	return err;
}

/* ---- bodies left alone ---- */

static int by_bodies(const void *a, const void *b)
{
	const struct net_body_row *x = a, *y = b;

	return x->count < y->count ? 1 : x->count > y->count ? -1 : strcmp(x->host, y->host);
}

/* Those of the first look that are gone by now count for the rows of their host that have grown. */
static void spread_before(struct fill *f)
{
	struct net_window *w = f->out;

	for (int i = 0; i < w->nunclosed; i++) {
		struct net_body_row *r = &w->unclosed[i];
		uint64_t *host = bytesmap_find(&f->nw->host_at, r->host, strlen(r->host)), *at,
			 there = 0, missing;

		at = host ? u64map_find(&f->nw->unread_before, *host) : NULL;
		for (int k = 0; k < w->nunclosed; k++)
			if (!strcmp(w->unclosed[k].host, r->host))
				there += w->unclosed[k].count_before;
		if (!at || *at <= there)
			continue;
		missing = *at - there;
		r->count_before +=
			missing < r->count - r->count_before ? missing : r->count - r->count_before;
	}
}

static int fill_unclosed(struct fill *f)
{
	const struct net_look *l = &f->nw->cur;
	struct rowset s;
	int err = 0;

	rowset_init(&s, sizeof(struct net_body_row));
	for (size_t i = 0; i < l->nconn && !err; i++) {
		const struct net_conn *c = &l->conn[i];
		struct {
			struct place_key place;
			uint64_t host;
		} key;
		struct net_body_row *r;
		bool made, other;
		double age;

		if (c->held || !nethold_is_candidate(l, c))
			continue;
		key.place = place_key(&c->place);
		key.host = c->request_host != NET_NO_HOST ? c->request_host : c->host;
		r = rowset_put(&s, &key, sizeof(key), &made, &other);
		if (!r) {
			err = -ENOMEM;
			break;
		}
		if (made) {
			r->other = other;
			set_host(f, other ? NET_OTHER_HOST : (uint32_t)key.host, r->host);
			if (!other)
				r->place = c->place;
			r->exactness = EXACT;
		}
		r->count++;
		r->count_before += c->awaits_ns <= f->nw->begin_ns;
		age = age_s(f, c->awaits_ns);
		if (age >= r->oldest_s) {
			r->oldest_s = age;
			r->age = c->awaits_exact ? AGE_EXACT : AGE_AT_LEAST;
		}
	}
	f->out->unclosed = rowset_take(&s, &f->out->nunclosed);
	if (f->out->nunclosed) {
		spread_before(f);
		qsort(f->out->unclosed, (size_t)f->out->nunclosed, sizeof(*f->out->unclosed),
		      by_bodies);
	}
	rowset_deinit(&s);
	return err;
}

/* ---- connections ---- */

static struct net_connections *connections_of(struct fill *f, struct rowset *s, uint32_t host,
					      bool h2)
{
	uint64_t key = (uint64_t)host << 1 | h2;
	bool made, other;
	struct net_connections *r = rowset_put(s, &key, sizeof(key), &made, &other);

	if (r && made) {
		r->other = other;
		set_host(f, other ? NET_OTHER_HOST : host, r->host);
		r->protocol = h2 ? "h2" : "http/1.1";
		r->max_per_host = r->max_idle_per_host = -1;
	}
	return r;
}

/* The limits that bind first, of several transports to one host. */
static void take_limits(const struct fill *f, struct net_connections *r, uint64_t transport)
{
	uint64_t *at = u64map_find(&f->nw->cur.transport_at, transport);
	const struct net_transport *t = at ? &f->nw->cur.transport[*at] : NULL;

	if (!t || !t->known)
		return;
	if (r->max_per_host <= 0 || (t->max_per_host > 0 && t->max_per_host < r->max_per_host))
		r->max_per_host = t->max_per_host;
	if (r->max_idle_per_host < 0 || t->max_idle_per_host < r->max_idle_per_host)
		r->max_idle_per_host = t->max_idle_per_host;
}

static int by_open(const void *a, const void *b)
{
	const struct net_connections *x = a, *y = b;

	if (x->open != y->open)
		return x->open < y->open ? 1 : -1;
	return strcmp(x->host, y->host);
}

static int count_conns(struct fill *f, struct rowset *s)
{
	const struct net_look *l = &f->nw->cur;
	struct net_connections *r;

	for (size_t i = 0; i < l->nconn; i++) {
		const struct net_conn *c = &l->conn[i];

		if (c->dead || c->h2 || (c->closed && !c->awaits_body))
			continue;
		r = connections_of(f, s, c->host, false);
		if (!r)
			return -ENOMEM;
		r->open++;
		r->idle += !c->expects && !c->awaits_body && !c->writing;
		take_limits(f, r, c->transport);
	}
	for (size_t i = 0; i < l->nh2conn; i++) {
		if (l->h2conn[i].dead || l->h2conn[i].closed)
			continue;
		r = connections_of(f, s, l->h2conn[i].host, true);
		if (!r)
			return -ENOMEM;
		r->open++;
		r->idle += !l->h2conn[i].streams;
	}
	for (size_t i = 0; i < l->nflight; i++) {
		if (l->flight[i].dead || l->flight[i].phase != NET_POOL_WAIT)
			continue;
		r = connections_of(f, s, l->flight[i].host, false);
		if (!r)
			return -ENOMEM;
		r->waiting++;
		take_limits(f, r, l->flight[i].transport);
	}
	return 0;
}

static int fill_connections(struct fill *f)
{
	struct net_window *w = f->out;
	struct rowset s;
	int err;

	rowset_init(&s, sizeof(struct net_connections));
	err = count_conns(f, &s);
	w->connection = rowset_take(&s, &w->nconnection);
	for (int i = 0; i < w->nconnection; i++)
		for (int k = 0; k < w->nphase; k++)
			if (w->phase[k].phase == NET_CONNECT &&
			    !strcmp(w->phase[k].host, w->connection[i].host))
				w->connection[i].dials = w->phase[k].count;
	if (w->nconnection)
		qsort(w->connection, (size_t)w->nconnection, sizeof(*w->connection), by_open);
	rowset_deinit(&s);
	return err;
}

/* ---- servers ---- */

struct server {
	struct net_server row;
	struct times *times;
	uint64_t server; /* *Server; 0 not known */
};

static struct server *server_of(struct rowset *s, const struct place *place, const char *pattern)
{
	struct {
		struct place_key place;
		uint64_t pattern;
	} key = { place_key(place), pattern[0] ? hash_bytes(pattern, strlen(pattern)) : 0 };
	bool made, other;
	struct server *r = rowset_put(s, &key, sizeof(key), &made, &other);

	if (r && made) {
		r->row.other = other;
		if (!other) {
			r->row.place = *place;
			snprintf(r->row.pattern, sizeof(r->row.pattern), "%s", pattern);
		}
	}
	return r;
}

static void count_serving(const struct fill *f, struct server *r, const struct net_serving *v)
{
	double age = age_s(f, v->start_ns);

	r->server = v->server;
	r->row.no_read_timeout = r->row.no_read_timeout || v->no_read_timeout;
	r->row.in_flight++;
	if (age >= r->row.longest_in_flight_s) {
		r->row.longest_in_flight_s = age;
		r->row.age = v->age;
	}
}

/* A connection on which a request does not come: counted with its server's handler,
 * else at the place that serves. */
static int count_hanging(struct fill *f, struct rowset *s, const struct net_serving *v)
{
	const struct net_look *l = &f->nw->cur;
	struct server *r = NULL;

	for (size_t i = 0; i < s->n && !r; i++) {
		struct server *k = (struct server *)s->row + i;

		if (k->server == v->server)
			r = k;
	}
	for (size_t i = 0; i < l->nlistener && !r; i++)
		if (l->listener[i].server == v->server) {
			r = server_of(s, &l->listener[i].place, "");
			if (!r)
				return -ENOMEM;
		}
	if (!r)
		return 0;
	r->server = v->server;
	r->row.hanging++;
	r->row.no_read_timeout = r->row.no_read_timeout || v->no_read_timeout;
	return 0;
}

static int count_servings(struct fill *f, struct rowset *s)
{
	const struct net_look *l = &f->nw->cur;
	int err = 0;

	for (size_t i = 0; i < l->nserving; i++) {
		const struct netstack *k = &f->nw->stacks.stack[l->serving[i].stack];
		struct server *r;

		if (!k->in_handler)
			continue;
		r = server_of(s, &k->handler, l->serving[i].pattern);
		if (!r)
			return -ENOMEM;
		count_serving(f, r, &l->serving[i]);
	}
	for (size_t i = 0; i < l->nserving && !err; i++)
		if (l->serving[i].reading_request && l->now_ns > l->serving[i].start_ns + HANGS_NS)
			err = count_hanging(f, s, &l->serving[i]);
	return err;
}

/* The declaration of the function that begins at pc; what the compiler wraps
 * around a method (a method value, "-fm") is looked through. */
static struct place declaration(struct gobin *gb, uint64_t pc)
{
	struct goframe g[16];
	struct gofunc fn;
	int n = pclntab_frames(gb->pcln, pc, false, g, 16);

	if (n > 0 && g[n - 1].wrapper &&
	    !pclntab_find_name(gb->pcln, gobin_start_name(gb, pc), &fn))
		n = pclntab_frames(gb->pcln, fn.entry, false, g, 16);
	if (n <= 0)
		return (struct place){ 0 };
	return (struct place){ g[n - 1].function, g[n - 1].file, g[n - 1].path, g[n - 1].line };
}

/* The row of a handler that is known by its entry: the one of its place, whatever its pattern. */
static struct server *server_by_entry(struct fill *f, struct rowset *s, uint64_t entry)
{
	struct place place = declaration(f->nw->rt->gb, entry - f->nw->rt->bias);
	struct place_key key;

	key = place_key(&place);
	for (size_t i = 0; i < s->n; i++) {
		struct server *r = (struct server *)s->row + i;
		struct place_key k = place_key(&r->row.place);

		if (!memcmp(&k, &key, sizeof(k)))
			return r;
	}
	return server_of(s, &place, "");
}

static int count_handled(struct fill *f, struct rowset *s)
{
	int err = 0;

	for (size_t i = 0; f->now && f->p->handlers && i < f->now->ncall && !err; i++) {
		const struct trace_call *c = &f->now->call[i], *b;
		struct server *r;

		if (c->kind != CALL_HANDLER || !c->npcs)
			continue;
		b = base_of(f, c);
		if (c->begun == (b ? b->begun : 0) && c->hist.count == (b ? b->hist.count : 0))
			continue;
		r = server_by_entry(f, s, c->pcs[0]);
		if (!r)
			return -ENOMEM;
		r->row.requests += scaled(c->begun - (b ? b->begun : 0), f->p->requests_sliced,
					  f->p->requests_rate);
		err = add_times(&r->times, c, b);
	}
	return err;
}

static int by_served(const void *a, const void *b)
{
	const struct net_server *x = a, *y = b;

	if (x->requests != y->requests)
		return x->requests < y->requests ? 1 : -1;
	return x->in_flight < y->in_flight ? 1 : x->in_flight > y->in_flight ? -1 : 0;
}

static int fill_servers(struct fill *f)
{
	struct net_window *w = f->out;
	struct rowset s;
	int err;

	rowset_init(&s, sizeof(struct server));
	err = count_servings(f, &s);
	if (!err)
		err = count_handled(f, &s);
	w->server = err ? NULL : calloc(s.n + 1, sizeof(*w->server));
	if (!w->server)
		err = -ENOMEM;
	for (size_t i = 0; i < s.n; i++) {
		struct server *r = (struct server *)s.row + i;

		if (!err) {
			if (r->times)
				percentiles(r->times, &r->row.p50_ns, &r->row.p99_ns,
					    &r->row.max_ns);
			r->row.requests_known = f->now && f->p->handlers;
			r->row.exactness = requests_exactness(f);
			r->row.rate = f->p->requests_sliced ? f->p->requests_rate : 1;
			w->server[w->nserver++] = r->row;
		}
		free(r->times);
	}
	if (w->nserver)
		qsort(w->server, (size_t)w->nserver, sizeof(*w->server), by_served);
	rowset_deinit(&s);
	return err;
}

/* ---- gRPC ---- */

struct grpc {
	struct net_grpc row;
	struct times *times;
};

static struct grpc *grpc_of(struct rowset *s, const char *method, const struct place *place)
{
	bool made, other;
	struct grpc *r = rowset_put(s, method, strlen(method), &made, &other);

	if (r && made) {
		r->row.other = other;
		snprintf(r->row.method, sizeof(r->row.method), "%s", other ? "other" : method);
	}
	if (r && !r->row.place.function && !other)
		r->row.place = *place;
	return r;
}

static int count_grpc(struct fill *f, struct rowset *s)
{
	int err = 0;

	for (size_t i = 0; f->now && f->p->grpc && i < f->now->ncall && !err; i++) {
		const struct trace_call *c = &f->now->call[i], *b;
		char method[192];
		struct place place = { 0 };
		struct grpc *r;
		size_t k;

		if (c->kind != CALL_GRPC)
			continue;
		b = base_of(f, c);
		if (c->begun == (b ? b->begun : 0) && c->hist.count == (b ? b->hist.count : 0))
			continue;
		for (k = 0; k < sizeof(method) - 1 && c->text[k]; k++)
			method[k] =
				(char)(c->text[k] > ' ' && c->text[k] < 0x7f ? c->text[k] : '?');
		method[k] = '\0';
		netplace_of_pcs(f->nw->rt, c->pcs, (int)c->npcs, false, &place);
		r = grpc_of(s, method, &place);
		if (!r)
			return -ENOMEM;
		r->row.calls += scaled(c->begun - (b ? b->begun : 0), f->p->requests_sliced,
				       f->p->requests_rate);
		r->row.errors += scaled(c->errors - (b ? b->errors : 0), f->p->requests_sliced,
					f->p->requests_rate);
		err = add_times(&r->times, c, b);
	}
	return err;
}

static int fill_grpc(struct fill *f)
{
	const struct net_look *l = &f->nw->cur;
	struct net_window *w = f->out;
	struct rowset s;
	int err;

	rowset_init(&s, sizeof(struct grpc));
	err = count_grpc(f, &s);
	for (size_t i = 0; i < l->ngcall && !err; i++) {
		const struct net_gcall *c = &l->gcall[i];
		struct grpc *r = grpc_of(&s, c->method, &f->nw->stacks.stack[c->stack].place);
		double age = age_s(f, c->start_ns);

		if (!r) {
			err = -ENOMEM;
			break;
		}
		r->row.in_flight++;
		if (age >= r->row.longest_in_flight_s) {
			r->row.longest_in_flight_s = age;
			r->row.age = c->age;
		}
	}
	w->grpc = err ? NULL : calloc(s.n + 1, sizeof(*w->grpc));
	if (!w->grpc)
		err = -ENOMEM;
	for (size_t i = 0; i < s.n; i++) {
		struct grpc *r = (struct grpc *)s.row + i;

		if (!err) {
			if (r->times)
				percentiles(r->times, &r->row.p50_ns, &r->row.p99_ns,
					    &r->row.max_ns);
			r->row.exactness = requests_exactness(f);
			r->row.rate = f->p->requests_sliced ? f->p->requests_rate : 1;
			w->grpc[w->ngrpc++] = r->row;
		}
		free(r->times);
	}
	rowset_deinit(&s);
	return err;
}

/* ---- phases ---- */

struct phase {
	struct net_phase_row row;
	struct times *times, *before;
};

static bool is_rare(enum net_phase p)
{
	return p == NET_POOL_WAIT || p == NET_DNS || p == NET_CONNECT || p == NET_TLS;
}

static struct phase *phase_of(struct fill *f, struct rowset *s, const struct trace_phase *t)
{
	struct {
		uint64_t host;
		uint64_t phase;
	} key = { NET_OTHER_HOST, t->phase };
	char host[WINDOW_MAX_HOST + 1];
	bool made, other;
	struct phase *r;

	if (!t->other) {
		net_host_format(t->host, strnlen(t->host, sizeof(t->host)), "80", host);
		key.host = net_host_number(f->nw, host);
	}
	r = rowset_put(s, &key, sizeof(key), &made, &other);
	if (r && made) {
		r->row.other = other || key.host == NET_OTHER_HOST;
		set_host(f, r->row.other ? NET_OTHER_HOST : (uint32_t)key.host, r->row.host);
		r->row.phase = t->phase;
		r->times = calloc(1, sizeof(*r->times));
		r->before = calloc(1, sizeof(*r->before));
	}
	return r && r->times && r->before ? r : NULL;
}

/* By host and phase, not by the host as it was written: those of the base are taken off again. */
static int count_phases(struct fill *f, struct rowset *s)
{
	for (size_t i = 0; i < f->now->nphase; i++) {
		const struct trace_phase *t = &f->now->phase[i];
		struct phase *r = (unsigned int)t->phase < NET_PHASES ? phase_of(f, s, t) : NULL;

		if (!r)
			return -ENOMEM;
		hist_add(&r->times->hist, &t->hist, NULL);
		r->row.errors += t->errors;
		if (t->max_ns_window > r->times->max_ns)
			r->times->max_ns = t->max_ns_window;
	}
	for (size_t i = 0; f->base && i < f->base->nphase; i++) {
		const struct trace_phase *t = &f->base->phase[i];
		struct phase *r = (unsigned int)t->phase < NET_PHASES ? phase_of(f, s, t) : NULL;

		if (!r)
			return -ENOMEM;
		hist_add(&r->before->hist, &t->hist, NULL);
		r->row.errors -= t->errors < r->row.errors ? t->errors : r->row.errors;
	}
	return 0;
}

/* The call with most requests to a host. */
static struct place busiest(const struct fill *f, const char *host)
{
	uint64_t *at = bytesmap_find(&f->nw->host_at, host, strlen(host)), most = 0;
	struct place place = { 0 };

	for (size_t i = 0; at && i < f->nw->nbusy; i++)
		if (f->nw->busy[i].host == *at && f->nw->busy[i].count > most) {
			most = f->nw->busy[i].count;
			place = f->nw->busy[i].place;
		}
	return place;
}

static bool finish_phase(struct fill *f, struct phase *r)
{
	bool rare = is_rare(r->row.phase);
	bool sliced = rare ? f->p->rare_sliced : f->p->requests_sliced;
	double rate = rare ? f->p->rare_rate : f->p->requests_rate;
	struct trace_hist *now = &r->times->hist, *before = &r->before->hist;

	r->row.before_count = before->count;
	if (before->count)
		r->row.before_p50_ns = trace_hist_percentile(before, NULL, 0.5);
	now->count -= before->count < now->count ? before->count : now->count;
	now->sum_ns -= before->sum_ns < now->sum_ns ? before->sum_ns : now->sum_ns;
	for (int i = 0; i < TRACE_HIST_BUCKETS; i++)
		now->bucket[i] -=
			before->bucket[i] < now->bucket[i] ? before->bucket[i] : now->bucket[i];
	if (!now->count && !r->row.errors)
		return false;
	percentiles(r->times, &r->row.p50_ns, &r->row.p99_ns, &r->row.max_ns);
	r->row.count = scaled(now->count, sliced, rate);
	r->row.errors = scaled(r->row.errors, sliced, rate);
	r->row.total_ns = scaled(now->sum_ns, sliced, rate);
	r->row.exactness = sliced ? SAMPLED : EXACT;
	r->row.rate = sliced ? rate : 1;
	if (!r->row.other)
		r->row.busiest = busiest(f, r->row.host);
	return true;
}

static int by_total(const void *a, const void *b)
{
	const struct net_phase_row *x = a, *y = b;

	if (x->total_ns != y->total_ns)
		return x->total_ns < y->total_ns ? 1 : -1;
	return strcmp(x->host, y->host);
}

static int fill_phases(struct fill *f)
{
	struct net_window *w = f->out;
	struct rowset s;
	int err = 0;

	w->phases_known = f->now && f->p->phases;
	if (!w->phases_known)
		return 0;
	rowset_init(&s, sizeof(struct phase));
	err = count_phases(f, &s);
	w->phase = err ? NULL : calloc(s.n + 1, sizeof(*w->phase));
	if (!w->phase)
		err = -ENOMEM;
	for (size_t i = 0; i < s.n; i++) {
		struct phase *r = (struct phase *)s.row + i;

		if (!err && finish_phase(f, r))
			w->phase[w->nphase++] = r->row;
		free(r->times);
		free(r->before);
	}
	if (w->nphase)
		qsort(w->phase, (size_t)w->nphase, sizeof(*w->phase), by_total);
	rowset_deinit(&s);
	return err;
}

/* ---- all ---- */

static bool has_candidates(const struct net_look *l)
{
	for (size_t i = 0; i < l->nconn; i++)
		if (nethold_is_candidate(l, &l->conn[i]))
			return true;
	return false;
}

static void forget_candidates(struct net_look *l)
{
	for (size_t i = 0; i < l->nconn; i++)
		l->conn[i].held = l->conn[i].held || nethold_is_candidate(l, &l->conn[i]);
}

int netwatch_fill(struct netwatch *nw, const struct gowalk *walk, const struct gostacks *gs,
		  const uint32_t *stack_of, struct trace *trace, const struct trace_reading *base,
		  const struct trace_reading *now, const struct netwatch_probes *probes,
		  struct net_window *out)
{
	static const struct netwatch_probes none = { 0 };
	struct fill f = { nw,  walk, gs, stack_of, trace, base, now, probes ? probes : &none,
			  out, { 0 } };
	int err = 0;

	memset(out, 0, sizeof(*out));
	out->known = true;
	index_base(&f);
	if (has_candidates(&nw->cur))
		err = nethold_find(nw, walk, stack_of);
	if (err ==
	    -ESRCH) { /* it has ended: what was seen stands, but for what cannot be told now */
		forget_candidates(&nw->cur);
		err = 0;
	}
	if (!err)
		err = fill_phases(&f);
	if (!err)
		err = fill_clients(&f);
	if (!err)
		err = fill_in_flight(&f);
	if (!err)
		err = fill_unclosed(&f);
	if (!err)
		err = fill_connections(&f);
	if (!err)
		err = fill_servers(&f);
	if (!err)
		err = fill_grpc(&f);
	bytesmap_deinit(&f.base_call);
	return err;
}
