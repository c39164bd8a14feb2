/* SPDX-License-Identifier: BSD-2-Clause */
/* Handlers of servers. */
#include "net/fill.h"

#include "net/subject.h"

#define CHI "github.com/go-chi/chi/"

/* The rows, and how else they are found. */
struct servers {
	struct rowset s;         /* first: fill_calls() has it */
	struct u64map of_server; /* *Server -> row of one of its handlers */
};

static struct net_server *row_at(const struct servers *v, size_t i)
{
	return (struct net_server *)v->s.row + i;
}

/* The row of a server from now on; without room it has none. */
static void index_server(struct fill *f, struct servers *v, uint64_t server,
			 const struct net_server *r)
{
	f->nw->no_room += !u64map_put(&v->of_server, server, (size_t)(r - row_at(v, 0)), NULL);
}

/* The row of a handler and a route, "": none. */
static struct net_server *server_of(struct servers *v, const struct place *place,
				    const char *pattern)
{
	struct {
		struct place_key place;
		uint64_t pattern;
	} key = { place_key(place), pattern[0] ? hash_bytes(pattern, strlen(pattern)) : 0 };
	bool made, other;
	struct net_server *r = rowset_put(&v->s, &key, sizeof(key), &made, &other);

	if (r && made) {
		r->other = other;
		if (!other) {
			r->place = *place;
			snprintf(r->pattern, sizeof(r->pattern), "%s", pattern);
		}
	}
	return r;
}

static void count_serving(const struct fill *f, struct net_server *r, const struct net_serving *v)
{
	r->no_read_timeout = r->no_read_timeout || v->no_read_timeout;
	r->in_flight++;
	fill_oldest(f, v->start_ns, v->age, &r->longest_in_flight_s, &r->age);
}

/* The row of a server's handler, else that of the place that serves; NULL: neither is known,
 * or *err. */
static struct net_server *row_of_server(struct fill *f, struct servers *v, uint64_t server,
					int *err)
{
	const struct net_look *l = &f->nw->cur;
	uint64_t *at = u64map_find(&v->of_server, server);
	struct net_server *r = NULL;

	if (at)
		return row_at(v, *at);
	for (size_t i = 0; i < l->nlistener && !r && !*err; i++)
		if (l->listener[i].server == server) {
			r = server_of(v, &l->listener[i].place, "");
			*err = r ? 0 : -ENOMEM;
		}
	if (r)
		index_server(f, v, server, r);
	return r;
}

/* A connection on which a request does not come. */
static int count_hanging(struct fill *f, struct servers *v, const struct net_serving *c)
{
	int err = 0;
	struct net_server *r = row_of_server(f, v, c->server, &err);

	if (r) {
		r->hanging++;
		r->no_read_timeout = r->no_read_timeout || c->no_read_timeout;
	}
	return err;
}

static int *balance_of(struct fill *f, struct u64map *at, int *balance, size_t i)
{
	uint64_t *k = u64map_put(at, f->nw->cur.serving[i].server, i, NULL);

	f->nw->no_room += !k;
	return k ? &balance[*k] : NULL;
}

/* Of each server, by the index of its first connection: how many more there are on which nothing
 * has ever come than others. */
static void take_balance(struct fill *f, struct u64map *at, int *balance)
{
	const struct net_look *l = &f->nw->cur;

	for (size_t i = 0; i < l->nserving; i++) {
		int *b = l->serving[i].server ? balance_of(f, at, balance, i) : NULL;

		if (b)
			*b += l->serving[i].silent ? 1 : -1;
	}
}

/*
 * net/http's client dials for a request that gets another connection meanwhile, and keeps the
 * new one: a few on which nothing has ever come are spare, unless they are most of a server's.
 */
static int count_all_hanging(struct fill *f, struct servers *v)
{
	const struct net_look *l = &f->nw->cur;
	int *balance = calloc(l->nserving + 1, sizeof(*balance));
	int err = balance ? 0 : -ENOMEM;
	struct u64map at;

	u64map_init(&at, FILL_MAX_ROWS);
	if (!err)
		take_balance(f, &at, balance);
	for (size_t i = 0; i < l->nserving && !err; i++) {
		const struct net_serving *c = &l->serving[i];
		const uint64_t *k = u64map_find(&at, c->server);

		if (c->reading_request && !(c->silent && k && balance[*k] <= 0) &&
		    server_no_timeout_hangs(fill_age_s(f, c->start_ns)))
			err = count_hanging(f, v, c);
	}
	u64map_deinit(&at);
	free(balance);
	return err;
}

/* Whether probes count the requests that are served so. */
static bool is_counted(const struct netwatch_probes *p, const struct netstack *k,
		       const char *pattern)
{
	if (k->is_stream)
		return p->streams;
	if (!p->handlers || !k->routed)
		return p->handlers;
	return p->routes ? pattern[0] : k->is_around || (p->funcs && k->is_func);
}

static int count_servings(struct fill *f, struct servers *v)
{
	const struct net_look *l = &f->nw->cur;

	for (size_t i = 0; i < l->nserving; i++) {
		const struct net_serving *c = &l->serving[i];
		const struct netstack *k = &f->nw->stacks.stack[c->stack];
		struct net_server *r;

		if (!k->in_handler)
			continue;
		r = server_of(v, &k->handler, k->routed || k->is_stream ? c->pattern : "");
		if (!r)
			return -ENOMEM;
		count_serving(f, r, c);
		r->requests_known = is_counted(f->p, k, c->pattern);
		if (c->server)
			index_server(f, v, c->server, r);
	}
	return count_all_hanging(f, v);
}

/* Patterns of chi's routers below each other, as its RoutePattern() has them; which has none of
 * another's between slashes. */
static void join_chi(char *pattern, const struct place *place)
{
	size_t n;
	char *at;

	if (!strstr(pattern, "/*/") &&
	    !(place->function && !strncmp(place->function, CHI, strlen(CHI))))
		return;
	while ((at = strstr(pattern, "/*/")))
		memmove(at, at + 2, strlen(at + 2) + 1);
	n = strlen(pattern);
	if (n > 1 && pattern[n - 1] == '/')
		pattern[n - 1] = '\0';
}

static void *row_of_call(struct fill *f, struct rowset *s, const struct fill_call *c)
{
	const struct trace_call *call = c->call;
	char pattern[NET_MAX_PATTERN];
	struct place place = { 0 };
	struct net_server *r;
	bool is_stream;

	net_handler_place(f->nw->rt->gb, call->pcs[0] - f->nw->rt->bias, &place);
	is_stream = place.function && !strcmp(place.function, NET_GRPC_HANDLER);
	if (is_stream)
		net_method_pattern(call->text, pattern);
	else
		net_pattern_format(call->text, strlen(call->text), pattern);
	join_chi(pattern, &place);
	r = server_of((struct servers *)s, &place, pattern);
	if (r) {
		r->errors_known = is_stream && c->call->pcs[0];
		r->errors += c->errors;
		r->other = r->other || call->other;
		r->requests += c->begun;
		r->margin += c->margin;
		r->errors_margin += c->errors_margin;
		r->requests_known = true;
	}
	return r;
}

static int by_served(const void *a, const void *b)
{
	const struct net_server *x = a, *y = b;

	if (x->requests != y->requests)
		return x->requests < y->requests ? 1 : -1;
	return x->in_flight < y->in_flight ? 1 : x->in_flight > y->in_flight ? -1 : 0;
}

static struct net_server *server_find(struct servers *v, const struct net_spend *p)
{
	for (size_t i = 0; i < v->s.n; i++)
		if (!row_at(v, i)->other && place_equal(&row_at(v, i)->place, &p->handler) &&
		    !strcmp(row_at(v, i)->pattern, p->pattern))
			return row_at(v, i);
	return NULL;
}

/* Those that are seen most often; host and phase in order of sightings. */
static void put_spent(const struct fill *f, struct net_server *r, const struct net_spend *p)
{
	int i = r->nspent;

	while (i > 0 && r->spent[i - 1].seen < p->seen)
		i--;
	if (i == NET_MAX_SPENDS)
		return;
	if (r->nspent < NET_MAX_SPENDS)
		r->nspent++;
	for (int k = r->nspent - 1; k > i; k--)
		r->spent[k] = r->spent[k - 1];
	r->spent[i] = (struct net_spent){ .phase = (enum net_phase)p->phase, .seen = p->seen };
	fill_host(f, p->host, r->spent[i].host);
}

static void fill_spent(const struct fill *f, struct servers *v)
{
	for (size_t i = 0; i < f->nw->nspend; i++) {
		const struct net_spend *p = &f->nw->spend[i];
		struct net_server *r = server_find(v, p);

		if (r && p->phase == NET_SPEND_ANY)
			r->sightings = p->seen;
		else if (r)
			put_spent(f, r, p);
	}
	for (size_t i = 0; i < v->s.n; i++)
		for (int k = 0; k < row_at(v, i)->nspent; k++)
			row_at(v, i)->spent[k].share = (double)row_at(v, i)->spent[k].seen /
						       (double)row_at(v, i)->sightings;
}

int fill_servers(struct fill *f)
{
	struct servers v;
	int err;

	rowset_init(&v.s, sizeof(struct net_server));
	u64map_init(&v.of_server, FILL_MAX_ROWS);
	err = count_servings(f, &v);
	if (!err && (f->p->handlers || f->p->streams))
		err = fill_calls(f, &v.s, CALL_HANDLER, row_of_call);
	for (size_t i = 0; i < v.s.n; i++) {
		struct net_server *r = row_at(&v, i);

		rowset_percentiles(&v.s, r, &r->timed, &r->p50_ns, &r->p99_ns, &r->max_ns);
		fill_exactness(f->p->requests_sliced, f->p->requests_rate, &r->exactness, &r->rate);
	}
	if (!err)
		fill_spent(f, &v);
	u64map_deinit(&v.of_server);
	return rowset_take(&v.s, err, &f->out->server, &f->out->nserver, by_served);
}
