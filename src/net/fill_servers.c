/* SPDX-License-Identifier: BSD-2-Clause */
/* Handlers of servers. */
#include "net/fill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "model/place.h"

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
	double age = fill_age_s(f, v->start_ns);

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
		if (l->serving[i].reading_request &&
		    l->now_ns > l->serving[i].start_ns + NET_HANGS_NS)
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
		b = fill_base_of(f, c);
		if (c->begun == (b ? b->begun : 0) && c->hist.count == (b ? b->hist.count : 0))
			continue;
		r = server_by_entry(f, s, c->pcs[0]);
		if (!r)
			return -ENOMEM;
		r->row.requests += fill_scaled(c->begun - (b ? b->begun : 0), f->p->requests_sliced,
					       f->p->requests_rate);
		err = fill_add_times(&r->times, c, b);
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

int fill_servers(struct fill *f)
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
				fill_percentiles(r->times, &r->row.p50_ns, &r->row.p99_ns,
						 &r->row.max_ns);
			r->row.requests_known = f->now && f->p->handlers;
			r->row.exactness = fill_exactness(f);
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
