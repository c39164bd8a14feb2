/* SPDX-License-Identifier: BSD-2-Clause */
/* gRPC calls by method. */
#include "net/fill.h"

#include "net/subject.h"

static struct net_grpc *grpc_of(struct rowset *s, const char *method, const struct place *place)
{
	bool made, other;
	struct net_grpc *r = rowset_put(s, method, strlen(method), &made, &other);

	if (r && made) {
		r->other = other;
		snprintf(r->method, sizeof(r->method), "%s", other ? "other" : method);
	}
	if (r && !r->place.function && !other)
		r->place = *place;
	return r;
}

static void *row_of_call(struct fill *f, struct rowset *s, const struct fill_call *c)
{
	char method[NET_MAX_METHOD];
	struct place place = { 0 };
	struct net_grpc *r;

	net_method_format(c->call->text, strnlen(c->call->text, sizeof(c->call->text)), method);
	place_of_pcs(f->nw->rt, c->call->pcs, (int)c->call->npcs, false, &place);
	r = grpc_of(s, method, &place);
	if (!r)
		return NULL;
	r->calls += c->begun;
	r->margin += c->margin;
	r->errors_margin += c->errors_margin;
	r->errors += c->errors;
	return r;
}

static int code_of(uint64_t types, uint64_t detail)
{
	switch (types & 0xff) {
	case ERRTYPE_GRPC:
		return detail < NET_CODE_OTHER ? (int)detail : NET_CODE_OTHER;
	case ERRTYPE_DEADLINE:
		return NET_CODE_DEADLINE;
	case ERRTYPE_CANCELED:
		return NET_CODE_CANCELED;
	default:
		return NET_CODE_OTHER;
	}
}

static int count_codes(struct rowset *s, const struct trace_reading *from, bool before)
{
	static const struct place nowhere = { 0 };

	for (size_t i = 0; from && i < from->nfailure; i++) {
		const struct trace_failure *t = &from->failure[i];
		char method[NET_MAX_METHOD];
		struct net_grpc *r;

		if (!t->grpc)
			continue;
		net_method_format(t->host, strnlen(t->host, sizeof(t->host)), method);
		r = grpc_of(s, method, &nowhere);
		if (!r)
			return -ENOMEM;
		r->code[code_of(t->types, t->detail)] += before ? -t->count : t->count;
	}
	return 0;
}

/* They are counted beside the errors of their method, and stand for as many as these do. */
static void scale_codes(const struct fill *f, struct net_grpc *r)
{
	double share;

	for (int i = 0; i < NET_CODES; i++)
		r->seen += r->code[i];
	share = r->errors > r->seen ? (double)r->seen / (double)r->errors : 1;
	for (int i = 0; i < NET_CODES; i++)
		r->code[i] = fill_scaled(r->code[i], f->p->requests_sliced, share);
}

static bool is_empty(const struct net_grpc *r)
{
	return !r->calls && !r->errors && !r->timed && !r->in_flight && !r->seen && !r->receiving;
}

/* Rows of before the window have nothing in it. */
static void leave_out_empty(struct rowset *s)
{
	struct net_grpc *row = (struct net_grpc *)s->row;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (is_empty(&row[i])) {
			free(s->times[i].now);
			free(s->times[i].before);
			continue;
		}
		row[n] = row[i];
		s->times[n++] = s->times[i];
	}
	s->n = n;
}

static bool has_no_limit(const struct net_limits *l)
{
	return l->deadline == KNOWN_NO && l->cancel == KNOWN_NO;
}

/* The dead connection that it is on; NULL: none. */
static const struct net_peer *dead_of(const struct net_look *l, const struct net_gcall *c)
{
	for (size_t i = 0; c->conn && i < l->npeer; i++)
		if (!l->peer[i].h2 && l->peer[i].addr == c->conn)
			return l->peer[i].dead ? &l->peer[i] : NULL;
	return NULL;
}

/* What hangs; of those that receive only where nothing can come. */
static void count_hanging(const struct fill *f, struct net_grpc *r, const struct net_gcall *c)
{
	const struct net_peer *dead;
	const struct netstack *s = &f->nw->stacks.stack[c->stack];
	enum age_kind age;
	double took_s = fill_age(f, c->start_ns, c->age, &age);

	if (!has_no_limit(&c->limits) || !no_timeout_hangs(took_s, r->p99_ns))
		return;
	dead = dead_of(&f->nw->cur, c);
	if (s->receives && !dead)
		return;
	if (dead && !r->on_dead++)
		fill_host(f, dead->host, r->host);
	r->hanging++;
	r->hanging_at[s->grpc_at]++;
	if (took_s <= r->longest_hanging_s)
		return;
	r->longest_hanging_s = took_s;
	r->hanging_age = age;
	r->hanging_place = s->grpc_place;
}

static int count_inflight(struct fill *f, struct rowset *s)
{
	const struct net_look *l = &f->nw->cur;

	for (size_t i = 0; i < l->ngcall; i++) {
		const struct net_gcall *c = &l->gcall[i];
		struct net_grpc *r =
			grpc_of(s, c->method, &f->nw->stacks.stack[c->stack].grpc_place);

		if (!r)
			return -ENOMEM;
		if (f->nw->stacks.stack[c->stack].receives) {
			r->receiving++;
		} else {
			r->in_flight++;
			fill_oldest(f, c->start_ns, c->age, &r->longest_in_flight_s, &r->age);
		}
		count_hanging(f, r, c);
	}
	return 0;
}

int fill_grpc(struct fill *f)
{
	struct rowset s;
	int err;

	rowset_init(&s, sizeof(struct net_grpc));
	err = f->p->grpc ? fill_calls(f, &s, CALL_GRPC, row_of_call) : 0;
	if (!err && f->p->grpc)
		err = count_codes(&s, f->now, false);
	if (!err && f->p->grpc)
		err = count_codes(&s, f->base, true);
	for (size_t i = 0; i < s.n; i++) { /* first: what hangs is longer than what is usual */
		struct net_grpc *r = (struct net_grpc *)s.row + i;

		rowset_percentiles(&s, r, &r->timed, &r->p50_ns, &r->p99_ns, &r->max_ns);
	}
	if (!err)
		err = count_inflight(f, &s);
	for (size_t i = 0; i < s.n; i++)
		scale_codes(f, (struct net_grpc *)s.row + i);
	leave_out_empty(&s);
	for (size_t i = 0; i < s.n; i++) {
		struct net_grpc *r = (struct net_grpc *)s.row + i;

		r->calls_known = f->now && f->p->grpc;
		fill_exactness(f->p->requests_sliced, f->p->requests_rate, &r->exactness, &r->rate);
	}
	return rowset_take(&s, err, &f->out->grpc, &f->out->ngrpc, NULL);
}
