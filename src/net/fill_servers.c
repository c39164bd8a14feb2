/* SPDX-License-Identifier: BSD-2-Clause */
/* Handlers of servers. */
#include "net/fill.h"

#include "net/subject.h"

/* The rows, and how else they are found. */
struct servers {
	struct rowset s;          /* first: fill_calls() has it */
	struct u64map of_server;  /* *Server -> row of one of its handlers */
	struct bytesmap of_place; /* handler -> its first row */
};

/* In an index of the rows; what has no room there is not found again. */
static void index_row(struct fill *f, uint64_t *put)
{
	f->nw->no_room += !put;
}

static struct net_server *row_at(const struct servers *v, size_t i)
{
	return (struct net_server *)v->s.row + i;
}

static size_t number(const struct servers *v, const struct net_server *r)
{
	return (size_t)(r - row_at(v, 0));
}

static struct net_server *server_of(struct fill *f, struct servers *v, const struct place *place,
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
			index_row(f, bytesmap_put(&v->of_place, &key.place, sizeof(key.place),
						  number(v, r), NULL));
		}
	}
	return r;
}

static void count_serving(const struct fill *f, struct net_server *r, const struct net_serving *v)
{
	r->no_read_timeout = r->no_read_timeout || v->no_read_timeout;
	r->in_flight++;
	fill_oldest(fill_age_s(f, v->start_ns), v->age, &r->longest_in_flight_s, &r->age);
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
			r = server_of(f, v, &l->listener[i].place, "");
			*err = r ? 0 : -ENOMEM;
		}
	if (r)
		index_row(f, u64map_put(&v->of_server, server, number(v, r), NULL));
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

static int count_servings(struct fill *f, struct servers *v)
{
	const struct net_look *l = &f->nw->cur;
	int err = 0;

	for (size_t i = 0; i < l->nserving; i++) {
		const struct net_serving *c = &l->serving[i];
		const struct netstack *k = &f->nw->stacks.stack[c->stack];
		struct net_server *r;

		if (!k->in_handler)
			continue;
		r = server_of(f, v, &k->handler, c->pattern);
		if (!r)
			return -ENOMEM;
		count_serving(f, r, c);
		index_row(f, u64map_put(&v->of_server, c->server, number(v, r), NULL));
	}
	for (size_t i = 0; i < l->nserving && !err; i++)
		if (l->serving[i].reading_request &&
		    server_no_timeout_hangs(fill_age_s(f, l->serving[i].start_ns)))
			err = count_hanging(f, v, &l->serving[i]);
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
	return place_of_frame(&g[n - 1]);
}

/* The row of a handler that is known by its entry: the one of its place, whatever its pattern. */
static struct net_server *server_by_entry(struct fill *f, struct servers *v, uint64_t entry)
{
	struct place place = declaration(f->nw->rt->gb, entry - f->nw->rt->bias);
	struct place_key key = place_key(&place);
	uint64_t *at = bytesmap_find(&v->of_place, &key, sizeof(key));

	return at ? row_at(v, *at) : server_of(f, v, &place, "");
}

static void *row_of_call(struct fill *f, struct rowset *s, const struct fill_call *c)
{
	struct net_server *r = server_by_entry(f, (struct servers *)s, c->call->pcs[0]);

	if (r)
		r->requests += c->begun;
	return r;
}

static int by_served(const void *a, const void *b)
{
	const struct net_server *x = a, *y = b;

	if (x->requests != y->requests)
		return x->requests < y->requests ? 1 : -1;
	return x->in_flight < y->in_flight ? 1 : x->in_flight > y->in_flight ? -1 : 0;
}

int fill_servers(struct fill *f)
{
	struct servers v;
	int err;

	rowset_init(&v.s, sizeof(struct net_server));
	u64map_init(&v.of_server, FILL_MAX_ROWS);
	bytesmap_init(&v.of_place, FILL_MAX_ROWS);
	err = count_servings(f, &v);
	if (!err && f->p->handlers)
		err = fill_calls(f, &v.s, CALL_HANDLER, row_of_call);
	for (size_t i = 0; i < v.s.n; i++) {
		struct net_server *r = row_at(&v, i);

		rowset_percentiles(&v.s, r, &r->p50_ns, &r->p99_ns, &r->max_ns);
		r->requests_known = f->now && f->p->handlers;
		fill_exactness(f->p->requests_sliced, f->p->requests_rate, &r->exactness, &r->rate);
	}
	u64map_deinit(&v.of_server);
	bytesmap_deinit(&v.of_place);
	return rowset_take(&v.s, err, &f->out->server, &f->out->nserver, by_served);
}
